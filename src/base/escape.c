/* escape -- see escape.h. */
#include "base/escape.h"

#include <stdio.h>

/* The character at the start of rest, and in *length its bytes; -1 and 1 when they are not UTF-8. */
static int32_t decode(struct rkb_slice rest, size_t *length)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t lead = rest.data[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    *length = 1;
    if (size == 0 || size > rest.size)
        return -1;
    uint32_t value = size == 1 ? lead : lead & (0x7fU >> size);
    for (size_t i = 1; i < size; i++) {
        if ((rest.data[i] & 0xc0) != 0x80)
            return -1;
        value = value << 6 | (rest.data[i] & 0x3f);
    }
    if (value < lowest[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return -1;
    *length = size;
    return (int32_t)value;
}

static const char *short_form(enum rkb_escape_style style, int32_t character)
{
    switch (character) {
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    case '"': return style == RKB_ESCAPE_JSON ? "\\\"" : NULL;
    case '\\': return style == RKB_ESCAPE_JSON ? "\\\\" : NULL;
    default: return NULL;
    }
}

static bool is_control(int32_t character)
{
    return character < 0x20 || (character >= 0x7f && character <= 0x9f);
}

static int put_escaped(enum rkb_escape_style style, int32_t character, struct rkb_slice bytes, char out[RKB_ESCAPE_MAX])
{
    const char *known = short_form(style, character);
    if (known != NULL)
        return snprintf(out, RKB_ESCAPE_MAX, "%s", known);
    if (character < 0)
        return snprintf(out, RKB_ESCAPE_MAX, style == RKB_ESCAPE_JSON ? "\\\\x%02x" : "\\x%02x", bytes.data[0]);
    if (style == RKB_ESCAPE_JSON)
        return snprintf(out, RKB_ESCAPE_MAX, "\\u%04x", (unsigned)character);
    if (bytes.size == 2)
        return snprintf(out, RKB_ESCAPE_MAX, "\\x%02x\\x%02x", bytes.data[0], bytes.data[1]);
    return snprintf(out, RKB_ESCAPE_MAX, "\\x%02x", bytes.data[0]);
}

size_t rkb_escape_step(enum rkb_escape_style style, struct rkb_slice rest, char out[RKB_ESCAPE_MAX], size_t *size)
{
    size_t length;
    int32_t character = decode(rest, &length);
    if (is_control(character) || short_form(style, character) != NULL) {
        *size = (size_t)put_escaped(style, character, rkb_slice(rest.data, length), out);
    } else {
        memcpy(out, rest.data, length);
        *size = length;
    }
    return length;
}

void rkb_escape(enum rkb_escape_style style, struct rkb_slice text, struct rkb_buffer *out)
{
    while (text.size > 0) {
        char step[RKB_ESCAPE_MAX];
        size_t size;
        size_t took = rkb_escape_step(style, text, step, &size);
        rkb_buffer_add(out, step, size);
        text = rkb_slice(text.data + took, text.size - took);
    }
}

void rkb_escape_line(char *out, size_t size, const char *text)
{
    size_t used = 0, added = 0;
    char step[RKB_ESCAPE_MAX];
    for (struct rkb_slice rest = rkb_slice_text(text); rest.size > 0; used += added) {
        size_t took = rkb_escape_step(RKB_ESCAPE_PLAIN, rest, step, &added);
        if (added >= size - used)
            break;
        memcpy(out + used, step, added);
        rest = rkb_slice(rest.data + took, rest.size - took);
    }
    out[used] = '\0';
}
