/* schema_uri -- see schema_uri.h. Promises to take any bytes: what is no URI resolves to what names nothing. */
#include "message/schema_uri.h"

#include "message/scan.h"

/* The first of the bytes in text, or its end. */
static size_t find_any(struct rkb_slice text, const char *bytes)
{
    size_t at = 0;
    while (at < text.size && (text.data[at] == 0 || strchr(bytes, text.data[at]) == NULL))
        at++;
    return at;
}

static struct rkb_slice behind(struct rkb_slice text, size_t size)
{
    return rkb_slice(text.data + size, text.size - size);
}

/* RFC 3986, appendix B. */
struct rkb_uri rkb_uri_parse(struct rkb_slice text)
{
    struct rkb_uri uri = {0};
    text = rkb_with_data(text);
    size_t at = find_any(text, ":/?#");
    if (at > 0 && at < text.size && text.data[at] == ':') {
        uri.scheme = rkb_slice(text.data, at);
        text = behind(text, at + 1);
    }
    if (text.size >= 2 && text.data[0] == '/' && text.data[1] == '/') {
        text = behind(text, 2);
        uri.authority = rkb_slice(text.data, find_any(text, "/?#"));
        text = behind(text, uri.authority.size);
    }
    uri.path = rkb_slice(text.data, find_any(text, "?#"));
    text = behind(text, uri.path.size);
    if (text.size > 0 && text.data[0] == '?') {
        text = behind(text, 1);
        uri.query = rkb_slice(text.data, find_any(text, "#"));
        text = behind(text, uri.query.size);
    }
    if (text.size > 0)
        uri.fragment = behind(text, 1);
    return uri;
}

static void add(struct rkb_buffer *out, struct rkb_slice text)
{
    rkb_buffer_add(out, text.data, text.size);
}

/* Takes back the last segment of what was added behind `start`. */
static void drop_segment(struct rkb_buffer *out, size_t start)
{
    while (out->size > start && out->data[--out->size] != '/')
        continue;
}

/* Adds the path, behind what stands in out since `start`, without its "." and ".." (section 5.2.4). */
static void add_without_dots(struct rkb_buffer *out, size_t start, struct rkb_slice path)
{
    while (path.size > 0) {
        bool slash = path.data[0] == '/';
        struct rkb_slice segment = behind(path, slash);
        segment.size = find_any(segment, "/");
        path = behind(path, slash + segment.size);
        bool one = rkb_slice_equal(segment, rkb_slice_text("."));
        bool two = rkb_slice_equal(segment, rkb_slice_text(".."));
        if (two)
            drop_segment(out, start);
        if ((one || two) && !slash && path.size > 0)
            path = behind(path, 1);
        if (slash && (!(one || two) || path.size == 0))
            rkb_buffer_text(out, "/");
        if (!one && !two)
            add(out, segment);
    }
}

/* A relative path, with the directory of the base's before it (section 5.2.3). */
static void add_merged(struct rkb_buffer *out, const struct rkb_uri *base, struct rkb_slice path)
{
    struct rkb_buffer merged = {0};
    size_t directory = base->path.size;
    while (directory > 0 && base->path.data[directory - 1] != '/')
        directory--;
    if (base->authority.data != NULL && base->path.size == 0)
        rkb_buffer_text(&merged, "/");
    rkb_buffer_add(&merged, base->path.data, directory);
    add(&merged, path);
    add_without_dots(out, out->size, rkb_slice(merged.data, merged.size));
    out->failed = out->failed || merged.failed;
    rkb_buffer_free(&merged);
}

static void add_origin(struct rkb_buffer *out, struct rkb_slice scheme, struct rkb_slice authority)
{
    if (scheme.data != NULL) {
        add(out, scheme);
        rkb_buffer_text(out, ":");
    }
    if (authority.data != NULL) {
        rkb_buffer_text(out, "//");
        add(out, authority);
    }
}

static void add_query(struct rkb_buffer *out, struct rkb_slice query)
{
    if (query.data == NULL)
        return;
    rkb_buffer_text(out, "?");
    add(out, query);
}

void rkb_uri_resolve(struct rkb_slice base_text, struct rkb_slice reference_text, struct rkb_buffer *out)
{
    struct rkb_uri base = rkb_uri_parse(base_text), reference = rkb_uri_parse(reference_text);
    bool absolute = reference.scheme.data != NULL;
    bool has_authority = absolute || reference.authority.data != NULL;
    add_origin(out, absolute ? reference.scheme : base.scheme, has_authority ? reference.authority : base.authority);
    if (has_authority || (reference.path.size > 0 && reference.path.data[0] == '/'))
        add_without_dots(out, out->size, reference.path);
    else if (reference.path.size > 0)
        add_merged(out, &base, reference.path);
    else
        add(out, base.path);
    bool own_query = has_authority || reference.path.size > 0 || reference.query.data != NULL;
    add_query(out, own_query ? reference.query : base.query);
}

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 0x20;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

size_t rkb_uri_decode(struct rkb_slice text, uint8_t *out)
{
    size_t size = 0;
    for (size_t at = 0; at < text.size; at++) {
        bool escape = text.data[at] == '%' && text.size - at > 2 && hex_value(text.data[at + 1]) >= 0 &&
                      hex_value(text.data[at + 2]) >= 0;
        if (escape) {
            out[size++] = (uint8_t)(hex_value(text.data[at + 1]) << 4 | hex_value(text.data[at + 2]));
            at += 2;
        } else {
            out[size++] = text.data[at];
        }
    }
    return size;
}
