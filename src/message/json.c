/*
 * json -- see json.h.
 *
 *     VALUE --scalar--> AFTER --","--> KEY (in an object) or VALUE (in an array)
 *       |                 |  ^
 *       |                 |  +-- "]" or "}" closes one container; at depth 0 only white space may follow
 *       +-- "[" --> FIRST_VALUE   (a value, or "]")
 *       +-- "{" --> FIRST_KEY     (a key and its ":", or "}")
 *
 * Promises one pass from left to right and a fixed amount of memory: which of the open containers are objects is
 * kept as bits. Never recurses, never reads outside the slice, never stops later than at the first wrong byte.
 */
#include "message/json.h"

#include "message/scan.h"
#include "message/utf8.h"

enum state { VALUE, FIRST_VALUE, KEY, FIRST_KEY, AFTER, DONE, WRONG };

/* Where a scan came to: behind what it looked for, or at the first byte that cannot be. */
struct spot {
    const uint8_t *at;
    bool good;
};

/*
 * Small enough, with its functions, for the compiler to keep in registers; so what is not inlined gets and gives
 * places by value, and never a pointer to this.
 */
struct scanner {
    const uint8_t *at, *end;
    size_t depth;
    uint64_t objects[RKB_JSON_DEPTH / 64];      /* bit n: the container at depth n is an object, else an array */
};

static struct spot good(const uint8_t *at)
{
    return (struct spot){at, true};
}

static struct spot bad(const uint8_t *at)
{
    return (struct spot){at, false};
}

/* The byte there, or 0, which is right nowhere, at the end. */
static inline uint8_t byte_at(const uint8_t *at, const uint8_t *end)
{
    return at < end ? *at : 0;
}

static inline bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static inline const uint8_t *skip_space(const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

static inline bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static bool is_hex_digit(uint8_t byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

/* Behind a backslash. */
static struct spot scan_escape(const uint8_t *at, const uint8_t *end)
{
    uint8_t byte = byte_at(at, end);
    if (byte == 0 || strchr("\"\\/bfnrtu", byte) == NULL)
        return bad(at);
    at++;
    for (int i = 0; byte == 'u' && i < 4; i++, at++)
        if (!is_hex_digit(byte_at(at, end)))
            return bad(at);
    return good(at);
}

/* At a byte that begins no ASCII character: a whole UTF-8 sequence must stand there. */
static struct spot scan_wide(const uint8_t *at, const uint8_t *end)
{
    size_t skip = 0;
    size_t length = rkb_utf8_step(rkb_slice(at, (size_t)(end - at)), &skip);
    bool lead_is_good = *at >= 0xC2 && *at <= 0xF4;
    return length > 0 ? good(at + length) : bad(lead_is_good ? at + skip : at);
}

/* Behind the opening quote, to behind the closing one. */
static struct spot scan_string(const uint8_t *at, const uint8_t *end)
{
    for (;;) {
        at += rkb_scan_plain(at, (size_t)(end - at));
        uint8_t byte = byte_at(at, end);
        if (byte == '"')
            return good(at + 1);
        if (byte < 0x20)
            return bad(at);
        struct spot spot = byte == '\\' ? scan_escape(at + 1, end) : scan_wide(at, end);
        if (!spot.good)
            return spot;
        at = spot.at;
    }
}

/* At least one digit. */
static inline struct spot scan_digits(const uint8_t *at, const uint8_t *end)
{
    if (!is_digit(byte_at(at, end)))
        return bad(at);
    do
        at++;
    while (at < end && is_digit(*at));
    return good(at);
}

static struct spot scan_number(const uint8_t *at, const uint8_t *end)
{
    at += *at == '-';
    struct spot spot = byte_at(at, end) == '0' ? good(at + 1) : scan_digits(at, end);
    if (spot.good && byte_at(spot.at, end) == '.')
        spot = scan_digits(spot.at + 1, end);
    if (spot.good && (byte_at(spot.at, end) | 0x20) == 'e') {
        at = spot.at + 1;
        at += byte_at(at, end) == '+' || byte_at(at, end) == '-';
        spot = scan_digits(at, end);
    }
    return spot;
}

static struct spot scan_word(const uint8_t *at, const uint8_t *end, const char *word)
{
    for (; *word != '\0'; word++, at++)
        if (byte_at(at, end) != (uint8_t)*word)
            return bad(at);
    return good(at);
}

static inline enum state arrive(struct scanner *scanner, struct spot spot, enum state next)
{
    scanner->at = spot.at;
    return spot.good ? next : WRONG;
}

static inline enum state open_container(struct scanner *scanner, bool object)
{
    if (scanner->depth == RKB_JSON_DEPTH)
        return WRONG;
    uint64_t bit = UINT64_C(1) << scanner->depth % 64;
    uint64_t *bits = &scanner->objects[scanner->depth / 64];
    *bits = object ? *bits | bit : *bits & ~bit;
    scanner->depth++;
    scanner->at++;
    return object ? FIRST_KEY : FIRST_VALUE;
}

static inline enum state close_container(struct scanner *scanner)
{
    scanner->depth--;
    scanner->at++;
    return AFTER;
}

static inline bool in_object(const struct scanner *scanner)
{
    size_t top = scanner->depth - 1;
    return (scanner->objects[top / 64] >> top % 64 & 1) != 0;
}

static inline enum state scan_value(struct scanner *scanner)
{
    switch (byte_at(scanner->at, scanner->end)) {
    case '"':
        return arrive(scanner, scan_string(scanner->at + 1, scanner->end), AFTER);
    case '{':
        return open_container(scanner, true);
    case '[':
        return open_container(scanner, false);
    case 't':
        return arrive(scanner, scan_word(scanner->at, scanner->end, "true"), AFTER);
    case 'f':
        return arrive(scanner, scan_word(scanner->at, scanner->end, "false"), AFTER);
    case 'n':
        return arrive(scanner, scan_word(scanner->at, scanner->end, "null"), AFTER);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return arrive(scanner, scan_number(scanner->at, scanner->end), AFTER);
    }
    return WRONG;
}

/* A key and the colon behind it. */
static inline enum state scan_key(struct scanner *scanner)
{
    if (byte_at(scanner->at, scanner->end) != '"')
        return WRONG;
    struct spot spot = scan_string(scanner->at + 1, scanner->end);
    if (!spot.good)
        return arrive(scanner, spot, WRONG);
    scanner->at = skip_space(spot.at, scanner->end);
    if (byte_at(scanner->at, scanner->end) != ':')
        return WRONG;
    scanner->at++;
    return VALUE;
}

static inline enum state scan_after(struct scanner *scanner)
{
    if (scanner->depth == 0)
        return scanner->at == scanner->end ? DONE : WRONG;
    bool object = in_object(scanner);
    uint8_t byte = byte_at(scanner->at, scanner->end);
    if (byte == ',') {
        scanner->at++;
        return object ? KEY : VALUE;
    }
    return byte == (object ? '}' : ']') ? close_container(scanner) : WRONG;
}

static inline enum state scan_next(struct scanner *scanner, enum state state)
{
    scanner->at = skip_space(scanner->at, scanner->end);
    switch (state) {
    case FIRST_VALUE:
        if (byte_at(scanner->at, scanner->end) == ']')
            return close_container(scanner);
        /* fall through */
    case VALUE:
        return scan_value(scanner);
    case FIRST_KEY:
        if (byte_at(scanner->at, scanner->end) == '}')
            return close_container(scanner);
        /* fall through */
    case KEY:
        return scan_key(scanner);
    case AFTER:
        return scan_after(scanner);
    case DONE:
    case WRONG:
        break;
    }
    return state;
}

bool rkb_json_valid(struct rkb_slice text, size_t *stopped_at)
{
    text = rkb_with_data(text);
    struct scanner scanner = {.at = text.data, .end = text.data + text.size};
    enum state state = VALUE;
    while (state != DONE && state != WRONG)
        state = scan_next(&scanner, state);
    if (stopped_at != NULL)
        *stopped_at = (size_t)(scanner.at - text.data);
    return state == DONE;
}

/* The letter behind the backslash of a short escape, or 0. */
static uint8_t short_escape(uint8_t byte)
{
    switch (byte) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    }
    return 0;
}

static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD};

size_t rkb_json_escaped_size(struct rkb_slice text)
{
    text = rkb_with_data(text);
    size_t size = 0, at = 0;
    for (;;) {
        size_t run = rkb_scan_plain(text.data + at, text.size - at);
        size += run;
        at += run;
        if (at == text.size)
            return size;
        if (text.data[at] < 0x80) {
            size += short_escape(text.data[at]) != 0 ? 2 : 6;
            at++;
        } else {
            size_t skip = 0, length = rkb_utf8_step(rkb_slice(text.data + at, text.size - at), &skip);
            size += length > 0 ? length : sizeof replacement;
            at += length > 0 ? length : skip;
        }
    }
}

static uint8_t *escape_ascii(uint8_t *out, uint8_t byte)
{
    uint8_t letter = short_escape(byte);
    if (letter != 0) {
        *out++ = '\\';
        *out++ = letter;
        return out;
    }
    memcpy(out, "\\u00", 4);
    rkb_hex((char *)out + 4, &byte, 1);
    return out + 6;
}

uint8_t *rkb_json_escape(uint8_t *out, struct rkb_slice text)
{
    text = rkb_with_data(text);
    size_t at = 0;
    for (;;) {
        size_t run = rkb_scan_plain(text.data + at, text.size - at);
        if (run > 0)
            memcpy(out, text.data + at, run);
        out += run;
        at += run;
        if (at == text.size)
            return out;
        if (text.data[at] < 0x80) {
            out = escape_ascii(out, text.data[at++]);
            continue;
        }
        size_t skip = 0, length = rkb_utf8_step(rkb_slice(text.data + at, text.size - at), &skip);
        memcpy(out, length > 0 ? text.data + at : replacement, length > 0 ? length : sizeof replacement);
        out += length > 0 ? length : sizeof replacement;
        at += length > 0 ? length : skip;
    }
}
