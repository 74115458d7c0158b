/*
 * yaml_place -- where a byte of a scalar's value is written in the file.
 *
 *     key: "a\tb {{uid}}"     the value's byte 4 stands in column 11: quotes, escapes and folded lines take their own
 *                             room
 *
 * The scalar is walked again as it is written, counting the bytes of value that each step makes.
 */
#include <string.h>

#include "config/yaml.h"

/* One step through the written form: how far it goes, how many bytes of the value it makes. */
struct step {
    size_t written, made;
};

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool line_end(char c)
{
    return c == '\n' || c == '\r';
}

/* A line break with the blanks around it: one break is a space, more are one newline less. */
static struct step step_over_breaks(const char *at, const char *end)
{
    size_t breaks = 0;
    const char *p = at;
    for (; p < end && (blank(*p) || line_end(*p)); p++)
        breaks += *p == '\n' || (*p == '\r' && (p + 1 == end || p[1] != '\n'));
    return breaks == 0 ? (struct step){0, 0} : (struct step){(size_t)(p - at), breaks == 1 ? 1 : breaks - 1};
}

static size_t hex_value(const char *at, const char *end, size_t digits)
{
    size_t value = 0;
    for (size_t i = 0; i < digits && at + i < end; i++) {
        char c = at[i];
        value = value * 16 + (size_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static size_t utf8_size(size_t code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/* An escape of a double-quoted scalar; at stands on the backslash. */
static struct step step_over_escape(const char *at, const char *end)
{
    char c = at + 1 < end ? at[1] : '\\';
    if (line_end(c)) {
        struct step step = step_over_breaks(at + 1, end);
        return (struct step){step.written + 1, step.made - 1};
    }
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits > 0)
        return (struct step){2 + digits, utf8_size(hex_value(at + 2, end, digits))};
    return (struct step){2, c == 'N' || c == '_' ? 2 : c == 'L' || c == 'P' ? 3 : 1};
}

static struct step next_step(yaml_scalar_style_t style, const char *at, const char *end)
{
    if (blank(*at) || line_end(*at)) {
        struct step step = step_over_breaks(at, end);
        return step.written > 0 ? step : (struct step){1, 1};
    }
    if (style == YAML_DOUBLE_QUOTED_SCALAR_STYLE && *at == '\\')
        return step_over_escape(at, end);
    if (style == YAML_SINGLE_QUOTED_SCALAR_STYLE && *at == '\'')
        return (struct step){2, 1};
    return (struct step){1, 1};
}

static const char *byte_of_character(const struct rkb_yaml *yaml, size_t index)
{
    const char *at = yaml->bytes, *end = yaml->bytes + yaml->size;
    for (; at < end && index > 0; index--)
        for (at++; at < end && ((unsigned char)*at & 0xc0) == 0x80; at++)
            continue;
    return at;
}

/* Past an anchor and a tag, which libyaml counts to the scalar. */
static const char *skip_properties(const char *at, const char *end)
{
    while (at < end && (*at == '&' || *at == '!')) {
        while (at < end && !blank(*at) && !line_end(*at))
            at++;
        while (at < end && (blank(*at) || line_end(*at)))
            at++;
    }
    return at;
}

/* Moves a place over written bytes. */
static struct rkb_place move(struct rkb_place place, const char *from, const char *to)
{
    for (; from < to; from++) {
        if (*from == '\n') {
            place.line++;
            place.column = 1;
        } else if (((unsigned char)*from & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

static struct rkb_place place_in_flow(const struct rkb_yaml *yaml, const yaml_node_t *scalar, size_t offset)
{
    const char *start = byte_of_character(yaml, scalar->start_mark.index);
    const char *end = byte_of_character(yaml, scalar->end_mark.index);
    const char *at = skip_properties(start, end);
    if (scalar->data.scalar.style != YAML_PLAIN_SCALAR_STYLE && at < end)
        at++;
    for (size_t made = 0; at < end;) {
        struct step step = next_step(scalar->data.scalar.style, at, end);
        if (made + step.made > offset || step.written > (size_t)(end - at))
            break;
        made += step.made;
        at += step.written;
    }
    return move(rkb_yaml_place(scalar), start, at);
}

/* A literal block keeps its lines; what a written line has more than the value's is its indentation. */
static struct rkb_place place_in_literal(const struct rkb_yaml *yaml, const yaml_node_t *scalar, size_t offset)
{
    const char *value = rkb_yaml_text(scalar), *line = value;
    const char *end = yaml->bytes + yaml->size;
    const char *at = skip_properties(byte_of_character(yaml, scalar->start_mark.index), end);
    struct rkb_place place = move(rkb_yaml_place(scalar), byte_of_character(yaml, scalar->start_mark.index), at);
    for (const char *p = value; p <= value + offset; p++) {
        if (p > value && p[-1] != '\n')
            continue;
        const char *next = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        at = next == NULL ? end : next + 1;
        place.line++;
        line = p;
    }
    size_t written = 0;
    while (at + written < end && !line_end(at[written]))
        written++;
    size_t kept = strcspn(line, "\n");
    size_t indent = written > kept ? written - kept : 0;
    place.column = 1 + indent;
    return move(place, line, value + offset);
}

struct rkb_place rkb_yaml_place_in(const struct rkb_yaml *yaml, const yaml_node_t *scalar, size_t offset)
{
    if (offset > scalar->data.scalar.length)
        offset = scalar->data.scalar.length;
    switch (scalar->data.scalar.style) {
    case YAML_ANY_SCALAR_STYLE:
    case YAML_FOLDED_SCALAR_STYLE:
        return rkb_yaml_place(scalar);
    case YAML_LITERAL_SCALAR_STYLE:
        return place_in_literal(yaml, scalar, offset);
    case YAML_PLAIN_SCALAR_STYLE:
    case YAML_SINGLE_QUOTED_SCALAR_STYLE:
    case YAML_DOUBLE_QUOTED_SCALAR_STYLE:
        return place_in_flow(yaml, scalar, offset);
    }
    return rkb_yaml_place(scalar);
}
