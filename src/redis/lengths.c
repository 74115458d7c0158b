/*
 * lengths -- see lengths.h.
 *
 *     between --*n--> n elements --$n, :, +, ---> ... --the last one--> between
 *
 * Every item counts one element down, an array counts its own up: a number is all the nesting there is. One walk goes
 * from header to header and jumps over the bulks; its pointer is what ends the run that passes. Nearly all messages are
 * whole and never come here (plain.h).
 */
#include "redis/lengths.h"

#include <string.h>

enum { MOST_DIGITS = 19 };
#define MOST_ELEMENTS (UINT64_C(1) << 31)
#define END_OF_LINE 2

struct rkb_lengths rkb_lengths(uint64_t most_payload, uint64_t most_name)
{
    return (struct rkb_lengths){
        .most_payload = most_payload > 0 ? most_payload : UINT64_MAX,
        .most_name = most_name > 0 ? most_name : UINT64_MAX,
    };
}

void rkb_lengths_reset(struct rkb_lengths *lengths)
{
    *lengths = rkb_lengths(lengths->most_payload, lengths->most_name);
}

/* What a header line says. */
struct header {
    const uint8_t *end;         /* behind it; NULL: there is more of it to come */
    uint64_t number;
    bool is_nil;                /* -1 */
    bool malformed;
};

/* Reads the line at `at`, whose first byte is its type. */
static inline struct header read_header(const uint8_t *at, const uint8_t *end)
{
    struct header header = {0};
    const uint8_t *digit = at + 1;
    for (; digit < end && *digit >= '0' && *digit <= '9'; digit++)
        header.number = header.number * 10 + (uint64_t)(*digit - '0');
    size_t digits = (size_t)(digit - at) - 1;
    if (digit < end && *digit == '-' && digits == 0) {
        header.is_nil = true;
        header.malformed = ++digit < end && *digit != '1';
        digits = digit < end;
        digit += digits;
    }
    if (end - digit >= END_OF_LINE && digits > 0 && digit[0] == '\r' && digit[1] == '\n')
        header.end = digit + END_OF_LINE;
    else if (digit < end && (digits == 0 || digit[0] != '\r' || end - digit >= END_OF_LINE))
        header.malformed = true;
    if (digits > MOST_DIGITS || (digits > 1 && at[1] == '0'))
        header.malformed = true;
    return header;
}

static void item_ends(struct rkb_lengths *lengths)
{
    if (lengths->elements > 0 && --lengths->elements == 0)
        lengths->nested = false;
}

static enum rkb_lengths_found begin_array(struct rkb_lengths *lengths, const struct header *header)
{
    if (header->number > MOST_ELEMENTS || lengths->elements > MOST_ELEMENTS)
        return RKB_LENGTHS_MALFORMED;
    if (header->is_nil || header->number == 0) {
        item_ends(lengths);
        return RKB_LENGTHS_NOTHING;
    }
    lengths->nested = lengths->elements > 0;
    lengths->elements += header->number - lengths->nested;
    return RKB_LENGTHS_NOTHING;
}

static enum rkb_lengths_found begin_bulk(struct rkb_lengths *lengths, const struct header *header)
{
    bool is_payload = lengths->elements == 1 && !lengths->nested;
    bool as_payload = is_payload || lengths->most_payload > lengths->most_name;
    uint64_t most = as_payload ? lengths->most_payload : lengths->most_name;
    if (header->is_nil) {
        item_ends(lengths);
    } else if (header->number <= most) {
        lengths->bulk = header->number + END_OF_LINE;
    } else if (is_payload) {
        lengths->skip = header->number + END_OF_LINE;
        lengths->size = header->number;
        return RKB_LENGTHS_SKIPPED;
    } else {
        lengths->size = header->number;
        return RKB_LENGTHS_REFUSED;
    }
    return RKB_LENGTHS_NOTHING;
}

/* A whole header. SKIPPED: it does not pass, nor does its bulk. */
static inline enum rkb_lengths_found take_header(struct rkb_lengths *lengths, uint8_t type, const struct header *header)
{
    if (header->malformed)
        return RKB_LENGTHS_MALFORMED;
    return type == '*' ? begin_array(lengths, header) : begin_bulk(lengths, header);
}

static struct rkb_slice between(const uint8_t *from, const uint8_t *to)
{
    return rkb_slice(from, (size_t)(to - from));
}

static void move_to(struct rkb_slice *bytes, const uint8_t *at)
{
    *bytes = between(at, bytes->data + bytes->size);
}

/* Adds one byte after the other to the header that is held, until it is whole. */
static enum rkb_lengths_found finish_header(struct rkb_lengths *lengths, struct rkb_slice *bytes,
                                            struct rkb_slice *pass)
{
    struct header header = {0};
    while (bytes->size > 0 && header.end == NULL && !header.malformed && lengths->held < sizeof lengths->head) {
        lengths->head[lengths->held++] = bytes->data[0];
        move_to(bytes, bytes->data + 1);
        header = read_header(lengths->head, lengths->head + lengths->held);
    }
    if (header.end == NULL && !header.malformed)
        return RKB_LENGTHS_NOTHING;
    enum rkb_lengths_found found = take_header(lengths, lengths->head[0], &header);
    if (found == RKB_LENGTHS_NOTHING)
        *pass = rkb_slice(lengths->head, lengths->held);
    lengths->held = 0;
    return found == RKB_LENGTHS_SKIPPED ? RKB_LENGTHS_NOTHING : found;
}

static enum rkb_lengths_found go_on_skipping(struct rkb_lengths *lengths, struct rkb_slice *bytes)
{
    size_t here = bytes->size < lengths->skip ? bytes->size : (size_t)lengths->skip;
    move_to(bytes, bytes->data + here);
    lengths->skip -= here;
    if (lengths->skip > 0)
        return RKB_LENGTHS_NOTHING;
    item_ends(lengths);
    return RKB_LENGTHS_SKIPPED;
}

/* The rest of a status, an error or an integer; ends, as the reader has it, with \r\n, not with \n alone. */
static const uint8_t *walk_line(struct rkb_lengths *lengths, const uint8_t *at, const uint8_t *end)
{
    while (at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        if (stop == NULL) {
            lengths->after_cr = end[-1] == '\r';
            return end;
        }
        bool ended = stop > at ? stop[-1] == '\r' : lengths->after_cr;
        lengths->after_cr = false;
        at = stop + 1;
        if (ended) {
            lengths->in_line = false;
            item_ends(lengths);
            return at;
        }
    }
    return at;
}

static const uint8_t *walk_bulk(struct rkb_lengths *lengths, const uint8_t *at, const uint8_t *end)
{
    size_t there = (size_t)(end - at);
    size_t here = there < lengths->bulk ? there : (size_t)lengths->bulk;
    lengths->bulk -= here;
    if (lengths->bulk == 0)
        item_ends(lengths);
    return at + here;
}

/* The header at `at`, and where to go on; what does not pass ends the run at its first byte. */
static enum rkb_lengths_found step_in(struct rkb_lengths *lengths, const uint8_t *at, const uint8_t *end,
                                      const uint8_t **next)
{
    struct header header = read_header(at, end);
    *next = end;
    if (header.end == NULL && !header.malformed) {
        lengths->held = (uint8_t)(end - at);
        memcpy(lengths->head, at, lengths->held);
        return RKB_LENGTHS_NOTHING;
    }
    if (header.end != NULL)
        *next = header.end;
    return take_header(lengths, *at, &header);
}

/* What needs no header: the rest of a bulk or of a line; or the first byte of one. NULL: no RESP. */
static const uint8_t *pass_by(struct rkb_lengths *lengths, const uint8_t *at, const uint8_t *end)
{
    if (lengths->bulk > 0)
        return walk_bulk(lengths, at, end);
    if (lengths->in_line)
        return walk_line(lengths, at, end);
    lengths->in_line = *at == '+' || *at == '-' || *at == ':';
    lengths->after_cr = false;
    return lengths->in_line ? at + 1 : NULL;
}

/* Up to the end, or to the first header that does not pass: whatever it is stands behind what passes. */
static enum rkb_lengths_found walk(struct rkb_lengths *lengths, struct rkb_slice *bytes, struct rkb_slice *pass)
{
    const uint8_t *from = bytes->data, *at = from, *end = from + bytes->size;
    while (at < end) {
        bool inside = lengths->bulk > 0 || lengths->in_line;
        const uint8_t *next = NULL;
        enum rkb_lengths_found found = RKB_LENGTHS_NOTHING;
        bool is_header = !inside && (*at == '$' || *at == '*');
        if (is_header)
            found = step_in(lengths, at, end, &next);
        else if ((next = pass_by(lengths, at, end)) == NULL)
            found = RKB_LENGTHS_MALFORMED;
        if (found != RKB_LENGTHS_NOTHING || lengths->held > 0) {
            *pass = between(from, at);
            move_to(bytes, next != NULL ? next : end);
            return found == RKB_LENGTHS_SKIPPED ? RKB_LENGTHS_NOTHING : found;
        }
        at = next;
    }
    *pass = between(from, end);
    move_to(bytes, end);
    return RKB_LENGTHS_NOTHING;
}

enum rkb_lengths_found rkb_lengths_scan(struct rkb_lengths *lengths, struct rkb_slice *bytes, struct rkb_slice pass[2])
{
    pass[0] = pass[1] = rkb_slice(NULL, 0);
    if (bytes->size == 0)
        return RKB_LENGTHS_NOTHING;
    if (lengths->skip > 0)
        return go_on_skipping(lengths, bytes);
    if (lengths->held > 0)
        return finish_header(lengths, bytes, &pass[0]);
    return walk(lengths, bytes, &pass[1]);
}
