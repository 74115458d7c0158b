/*
 * json -- see json.h.
 *
 *     VALUE --scalar--> AFTER --","--> KEY (in an object) or VALUE (in an array)
 *       |                 |  ^
 *       |                 |  +-- "]" or "}" closes one container; at depth 0 the value ends
 *       +-- "[" --> FIRST_VALUE   (a value, or "]")
 *       +-- "{" --> FIRST_KEY     (a key and its ":", or "}")
 *
 * Promises one pass from left to right and a fixed amount of memory: which of the open containers are objects is
 * kept as bits. Never recurses, never reads outside the slice, never stops later than at the first wrong byte.
 */
#include "message/json.h"

#include "message/scan.h"
#include "message/utf8.h"

enum state { VALUE, FIRST_VALUE, KEY, FIRST_KEY, AFTER, WRONG };

/*
 * Small enough, with its functions, for the compiler to keep in registers; so what is not inlined gets and gives
 * places by value, and never a pointer to this.
 */
struct scanner {
    const uint8_t *at, *end;
    size_t depth, limit;
    uint64_t objects[RKB_JSON_DEPTH / 64];      /* bit n: the container at depth n is an object, else an array */
};

static struct rkb_json_spot good(const uint8_t *at)
{
    return (struct rkb_json_spot){at, true};
}

static struct rkb_json_spot bad(const uint8_t *at)
{
    return (struct rkb_json_spot){at, false};
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

const uint8_t *rkb_json_space(const uint8_t *at, const uint8_t *end)
{
    return skip_space(at, end);
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
static struct rkb_json_spot scan_escape(const uint8_t *at, const uint8_t *end)
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
static struct rkb_json_spot scan_wide(const uint8_t *at, const uint8_t *end)
{
    size_t skip = 0;
    size_t length = rkb_utf8_step(rkb_slice(at, (size_t)(end - at)), &skip);
    bool lead_is_good = *at >= 0xC2 && *at <= 0xF4;
    return length > 0 ? good(at + length) : bad(lead_is_good ? at + skip : at);
}

static struct rkb_json_spot scan_string(const uint8_t *at, const uint8_t *end)
{
    for (;;) {
        at += rkb_scan_plain(at, (size_t)(end - at));
        uint8_t byte = byte_at(at, end);
        if (byte == '"')
            return good(at + 1);
        if (byte < 0x20)
            return bad(at);
        struct rkb_json_spot spot = byte == '\\' ? scan_escape(at + 1, end) : scan_wide(at, end);
        if (!spot.good)
            return spot;
        at = spot.at;
    }
}

struct rkb_json_spot rkb_json_string(const uint8_t *at, const uint8_t *end)
{
    return scan_string(at, end);
}

/* At least one digit. */
static inline struct rkb_json_spot scan_digits(const uint8_t *at, const uint8_t *end)
{
    if (!is_digit(byte_at(at, end)))
        return bad(at);
    do
        at++;
    while (at < end && is_digit(*at));
    return good(at);
}

static struct rkb_json_spot scan_number(const uint8_t *at, const uint8_t *end)
{
    at += *at == '-';
    struct rkb_json_spot spot = byte_at(at, end) == '0' ? good(at + 1) : scan_digits(at, end);
    if (spot.good && byte_at(spot.at, end) == '.')
        spot = scan_digits(spot.at + 1, end);
    if (spot.good && (byte_at(spot.at, end) | 0x20) == 'e') {
        at = spot.at + 1;
        at += byte_at(at, end) == '+' || byte_at(at, end) == '-';
        spot = scan_digits(at, end);
    }
    return spot;
}

static struct rkb_json_spot scan_word(const uint8_t *at, const uint8_t *end, const char *word)
{
    for (; *word != '\0'; word++, at++)
        if (byte_at(at, end) != (uint8_t)*word)
            return bad(at);
    return good(at);
}

static inline enum state arrive(struct scanner *scanner, struct rkb_json_spot spot, enum state next)
{
    scanner->at = spot.at;
    return spot.good ? next : WRONG;
}

static inline enum state open_container(struct scanner *scanner, bool object)
{
    if (scanner->depth == scanner->limit)
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
    struct rkb_json_spot spot = scan_string(scanner->at + 1, scanner->end);
    if (!spot.good)
        return arrive(scanner, spot, WRONG);
    scanner->at = skip_space(spot.at, scanner->end);
    if (byte_at(scanner->at, scanner->end) != ':')
        return WRONG;
    scanner->at++;
    return VALUE;
}

/* Inside a container. */
static inline enum state scan_after(struct scanner *scanner)
{
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
    case WRONG:
        break;
    }
    return state;
}

struct rkb_json_spot rkb_json_value(const uint8_t *at, const uint8_t *end, size_t depth)
{
    struct scanner scanner = {.at = at, .end = end, .limit = depth < RKB_JSON_DEPTH ? depth : RKB_JSON_DEPTH};
    enum state state = scan_value(&scanner);
    while (state != WRONG && !(state == AFTER && scanner.depth == 0))
        state = scan_next(&scanner, state);
    return (struct rkb_json_spot){scanner.at, state != WRONG};
}

bool rkb_json_valid(struct rkb_slice text, size_t *stopped_at)
{
    text = rkb_with_data(text);
    const uint8_t *end = text.data + text.size;
    struct rkb_json_spot spot = rkb_json_value(skip_space(text.data, end), end, RKB_JSON_DEPTH);
    if (spot.good)
        spot.at = skip_space(spot.at, end);
    if (stopped_at != NULL)
        *stopped_at = (size_t)(spot.at - text.data);
    return spot.good && spot.at == end;
}
