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

struct scanner {
    const uint8_t *at, *end;
    size_t depth;
    uint64_t objects[RKB_JSON_DEPTH / 64];      /* bit n: the container at depth n is an object, else an array */
};

/* The next byte, or 0, which is right nowhere, at the end. */
static inline uint8_t peek(const struct scanner *scanner)
{
    return scanner->at < scanner->end ? *scanner->at : 0;
}

static inline bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r';
}

static inline void skip_space(struct scanner *scanner)
{
    while (scanner->at < scanner->end && is_space(*scanner->at))
        scanner->at++;
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
static bool scan_escape(struct scanner *scanner)
{
    uint8_t byte = peek(scanner);
    if (byte == 0 || strchr("\"\\/bfnrtu", byte) == NULL)
        return false;
    scanner->at++;
    for (int i = 0; byte == 'u' && i < 4; i++) {
        if (!is_hex_digit(peek(scanner)))
            return false;
        scanner->at++;
    }
    return true;
}

/* At a byte that begins no ASCII character: a whole UTF-8 sequence must stand there. */
static bool scan_wide(struct scanner *scanner)
{
    size_t skip = 0;
    size_t length = rkb_utf8_step(rkb_slice(scanner->at, (size_t)(scanner->end - scanner->at)), &skip);
    bool lead_is_good = *scanner->at >= 0xC2 && *scanner->at <= 0xF4;
    scanner->at += length > 0 ? length : lead_is_good ? skip : 0;
    return length > 0;
}

/* Behind the opening quote, to behind the closing one. */
static inline bool scan_string(struct scanner *scanner)
{
    for (;;) {
        scanner->at += rkb_scan_plain(scanner->at, (size_t)(scanner->end - scanner->at));
        uint8_t byte = peek(scanner);
        if (byte < 0x20)
            return false;
        if (byte >= 0x80) {
            if (!scan_wide(scanner))
                return false;
            continue;
        }
        scanner->at++;
        if (byte == '"')
            return true;
        if (!scan_escape(scanner))
            return false;
    }
}

/* At least one digit. */
static inline bool scan_digits(struct scanner *scanner)
{
    const uint8_t *start = scanner->at;
    while (scanner->at < scanner->end && is_digit(*scanner->at))
        scanner->at++;
    return scanner->at > start;
}

static inline bool scan_number(struct scanner *scanner)
{
    if (*scanner->at == '-')
        scanner->at++;
    if (peek(scanner) == '0')
        scanner->at++;
    else if (!scan_digits(scanner))
        return false;
    if (peek(scanner) == '.') {
        scanner->at++;
        if (!scan_digits(scanner))
            return false;
    }
    if ((peek(scanner) | 0x20) == 'e') {
        scanner->at++;
        if (peek(scanner) == '+' || peek(scanner) == '-')
            scanner->at++;
        return scan_digits(scanner);
    }
    return true;
}

static bool scan_word(struct scanner *scanner, const char *word)
{
    for (; *word != '\0'; word++, scanner->at++)
        if (peek(scanner) != (uint8_t)*word)
            return false;
    return true;
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
    bool good = false;
    switch (peek(scanner)) {
    case '{':
        return open_container(scanner, true);
    case '[':
        return open_container(scanner, false);
    case '"':
        scanner->at++;
        good = scan_string(scanner);
        break;
    case 't':
        good = scan_word(scanner, "true");
        break;
    case 'f':
        good = scan_word(scanner, "false");
        break;
    case 'n':
        good = scan_word(scanner, "null");
        break;
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        good = scan_number(scanner);
        break;
    }
    return good ? AFTER : WRONG;
}

/* A key and the colon behind it. */
static inline enum state scan_key(struct scanner *scanner)
{
    if (peek(scanner) != '"')
        return WRONG;
    scanner->at++;
    if (!scan_string(scanner))
        return WRONG;
    skip_space(scanner);
    if (peek(scanner) != ':')
        return WRONG;
    scanner->at++;
    return VALUE;
}

static inline enum state scan_after(struct scanner *scanner)
{
    if (scanner->depth == 0)
        return scanner->at == scanner->end ? DONE : WRONG;
    bool object = in_object(scanner);
    uint8_t byte = peek(scanner);
    if (byte == ',') {
        scanner->at++;
        return object ? KEY : VALUE;
    }
    return byte == (object ? '}' : ']') ? close_container(scanner) : WRONG;
}

static inline enum state scan_next(struct scanner *scanner, enum state state)
{
    skip_space(scanner);
    switch (state) {
    case FIRST_VALUE:
        return peek(scanner) == ']' ? close_container(scanner) : scan_value(scanner);
    case VALUE:
        return scan_value(scanner);
    case FIRST_KEY:
        return peek(scanner) == '}' ? close_container(scanner) : scan_key(scanner);
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
    struct scanner scanner;
    scanner.at = text.data;
    scanner.end = text.data + text.size;
    scanner.depth = 0;
    memset(scanner.objects, 0, sizeof scanner.objects);
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
