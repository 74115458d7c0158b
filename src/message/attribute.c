/*
 * attribute -- see attribute.h.
 *
 * One walk serves measuring, writing and asking, so that they cannot disagree.
 */
#include "message/attribute.h"

#include "message/json_string.h"
#include "message/scan.h"
#include "message/utf8.h"

/* Where the text goes: without out it is only measured. */
struct sink {
    uint8_t *out;
    size_t size;
    bool replaced;
    bool json;
};

static void put(struct sink *sink, const void *data, size_t size)
{
    if (sink->out != NULL)
        memcpy(sink->out + sink->size, data, size);
    sink->size += size;
}

static void replace(struct sink *sink)
{
    put(sink, "\xEF\xBF\xBD", 3);
    sink->replaced = true;
}

/* Of one well-formed sequence of two or more bytes: a control character of Latin-1, or a noncharacter. */
static bool is_refused(const uint8_t *data, size_t size)
{
    if (size == 2)
        return data[0] == 0xC2 && data[1] < 0xA0;
    if (size == 3 && data[0] == 0xEF && data[1] == 0xB7)
        return data[2] >= 0x90 && data[2] <= 0xAF;                  /* U+FDD0 to U+FDEF */
    if (size == 3)
        return data[0] == 0xEF && data[1] == 0xBF && data[2] >= 0xBE;   /* U+FFFE, U+FFFF */
    return (data[1] & 0x0F) == 0x0F && data[2] == 0xBF && data[3] >= 0xBE;
}

static void add_ascii(struct sink *sink, const uint8_t *byte)
{
    if (*byte < 0x20 || *byte == 0x7F) {
        replace(sink);
        return;
    }
    if (sink->json && (*byte == '"' || *byte == '\\'))
        put(sink, "\\", 1);
    put(sink, byte, 1);
}

static void add(struct sink *sink, struct rkb_slice text)
{
    for (size_t at = 0; at < text.size;) {
        const uint8_t *data = text.data + at;
        size_t skip = 0, size = rkb_utf8_step(rkb_slice(data, text.size - at), &skip);
        if (size == 1)
            add_ascii(sink, data);
        else if (size == 0 || is_refused(data, size))
            replace(sink);
        else
            put(sink, data, size);
        at += size > 0 ? size : skip;
    }
}

static void walk(struct sink *sink, const struct rkb_attribute *attribute)
{
    struct rkb_slice text = rkb_with_data(attribute->text);
    uint8_t one[4];
    size_t at = 0;
    sink->json = attribute->json;
    if (!attribute->escaped)
        add(sink, text);
    while (attribute->escaped && at < text.size)
        add(sink, rkb_json_piece(text, &at, one));
}

size_t rkb_attribute_size(const struct rkb_attribute *attribute)
{
    struct sink sink = {0};
    walk(&sink, attribute);
    return sink.size;
}

uint8_t *rkb_attribute_write(const struct rkb_attribute *attribute, uint8_t *out)
{
    struct sink sink = {.out = out};
    walk(&sink, attribute);
    return out + sink.size;
}

bool rkb_attribute_allows(struct rkb_slice text)
{
    struct sink sink = {0};
    walk(&sink, &(struct rkb_attribute){.text = text});
    return !sink.replaced;
}
