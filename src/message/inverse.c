/*
 * inverse -- see inverse.h.
 *
 * A preset's value is known text up to where the payload stands, so that it is read from the left and the payload is
 * what is left, but for the braces at the end:
 *
 *     {"name":"user_created","data":{"id":"01a0...","user": {"a": 1} }}
 *     ~~~~~~~~%~~~~~~~~~~~~~~~~~~~~~~~~~~~~%~~~~~~~~%~~~~~~~~~~~~~~~~~~~       the form's shape; % is a value
 *                                                          ~~~~~~~~~~         the payload, white space and all
 *
 * Promise: reads nothing outside the slices, whatever stands in them.
 */
#include "message/inverse.h"

#include "base/headers.h"
#include "message/base64.h"
#include "message/json.h"
#include "message/json_string.h"
#include "message/merge.h"
#include "message/scan.h"
#include "message/uuid.h"

/*
 * What stands before the payload: text as it is, and % for a JSON value (or key): %i is the UUID, %t the content type,
 * %v any value, %s a string. `behind` bytes follow the payload.
 */
struct shape {
    const char *before;
    size_t behind;
};

/* NULL: the payload is the value, or is nowhere. */
static const struct shape *shape_of(enum rkb_form form)
{
    static const struct shape event = {"{\"name\":%v,\"data\":{\"id\":%i,%s:", 2};
    static const struct shape flat = {"{\"name\":%v,\"id\":%i,%s:", 1};
    static const struct shape merge = {"{\"id\":%i,\"channel\":%s,\"time\":%s,%s:", 1};
    static const struct shape cloudevents_json = {
        "{\"specversion\":\"1.0\",\"id\":%i,\"source\":%s,\"type\":%s,\"subject\":%s,\"time\":%s,"
        "\"datacontenttype\":%t,%s:", 1};
    switch (form) {
    case RKB_FORM_EVENT:
        return &event;
    case RKB_FORM_FLAT:
        return &flat;
    case RKB_FORM_MERGE:
        return &merge;
    case RKB_FORM_CLOUDEVENTS_JSON:
        return &cloudevents_json;
    case RKB_FORM_RAW:
    case RKB_FORM_CLOUDEVENTS:
    case RKB_FORM_UNKNOWN:
        return NULL;
    }
    return NULL;
}

/* What was found on the way. Strings are without their quotes. */
struct parts {
    struct rkb_slice id, content_type, payload;
};

/* A value where % stands, of this kind. False: there is none. */
static bool read_part(char kind, const uint8_t **at, const uint8_t *end, struct parts *parts)
{
    const uint8_t *start = kind == 'v' ? rkb_json_space(*at, end) : *at;
    if (kind != 'v' && (start == end || *start != '"'))
        return false;
    struct rkb_json_spot spot = rkb_json_value(start, end, RKB_JSON_DEPTH);
    if (!spot.good)
        return false;
    if (kind == 'i')
        parts->id = rkb_slice(start + 1, (size_t)(spot.at - start) - 2);
    if (kind == 't')
        parts->content_type = rkb_slice(start + 1, (size_t)(spot.at - start) - 2);
    *at = kind == 'v' ? rkb_json_space(spot.at, end) : spot.at;
    return true;
}

/* As far as the shape goes. False: the value is not of this shape; what was found before stands. */
static bool read_shape(const struct shape *shape, struct rkb_slice value, struct parts *parts)
{
    const uint8_t *at = value.data, *end = value.data + value.size;
    for (const char *next = shape->before; *next != '\0'; next++) {
        if (*next == '%') {
            if (!read_part(*++next, &at, end, parts))
                return false;
        } else if (at == end || *at++ != (uint8_t)*next) {
            return false;
        }
    }
    if ((size_t)(end - at) < shape->behind)
        return false;
    for (size_t i = 1; i <= shape->behind; i++)
        if (end[-(ptrdiff_t)i] != '}')
            return false;
    parts->payload = rkb_slice(at, (size_t)(end - at) - shape->behind);
    return true;
}

static bool find(struct rkb_slice headers, const char *wanted, struct rkb_slice *value)
{
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name;
    while (rkb_headers_next(&area, &name, value))
        if (rkb_slice_equal(name, rkb_slice_text(wanted)))
            return true;
    *value = rkb_slice(NULL, 0);
    return false;
}

/* ---- the payload's text back to its bytes ---- */

static bool add_json(struct rkb_slice text, struct rkb_buffer *payload)
{
    if (!rkb_json_valid(text, NULL))
        return false;
    rkb_buffer_add(payload, text.data, text.size);
    return !payload->failed;
}

/* Exactly one string; its content is lent. */
static bool read_string(struct rkb_slice text, struct rkb_slice *content)
{
    const uint8_t *end = text.data + text.size;
    if (text.size < 2 || text.data[0] != '"')
        return false;
    struct rkb_json_spot spot = rkb_json_string(text.data + 1, end);
    *content = rkb_slice(text.data + 1, text.size - 2);
    return spot.good && spot.at == end;
}

static bool add_text(struct rkb_slice text, struct rkb_buffer *payload)
{
    if (!read_string(text, &text))
        return false;
    uint8_t *room = rkb_buffer_reserve(payload, text.size + 1);
    if (room == NULL)
        return false;
    payload->size += (size_t)(rkb_json_unescape(room, text) - room);
    return true;
}

static bool add_base64(struct rkb_slice text, struct rkb_buffer *payload)
{
    if (!read_string(text, &text))
        return false;
    uint8_t *room = rkb_buffer_reserve(payload, text.size + 1);
    uint8_t *end = room != NULL ? rkb_base64_decode(room, text) : NULL;
    if (end != NULL)
        payload->size += (size_t)(end - room);
    return end != NULL;
}

static bool is(struct rkb_slice slice, const char *word)
{
    return rkb_slice_equal(slice, rkb_slice_text(word));
}

/* How it stands there is told by the content type, or by rkb-encoding. */
static bool add_member(const struct parts *parts, struct rkb_slice headers, struct rkb_buffer *payload)
{
    struct rkb_slice encoding, type = parts->content_type;
    bool told = find(headers, "rkb-encoding", &encoding);
    bool by_type = type.data != NULL;
    if (by_type ? is(type, "application/json") : !told || is(encoding, "json"))
        return add_json(parts->payload, payload);
    if (by_type ? is(type, "text/plain; charset=utf-8") : is(encoding, "text"))
        return add_text(parts->payload, payload);
    if (by_type ? is(type, "application/octet-stream") : is(encoding, "base64"))
        return add_base64(parts->payload, payload);
    return false;
}

/* Whether an object was merged, rather than put into a member. */
static bool is_merged(struct rkb_slice headers, struct rkb_slice *note)
{
    struct rkb_slice encoding;
    bool json = !find(headers, "rkb-encoding", &encoding) || is(encoding, "json");
    find(headers, rkb_merge_header, note);
    return json && !is(*note, "member");
}

bool rkb_inverse(enum rkb_form form, struct rkb_slice value, struct rkb_slice headers, struct rkb_buffer *payload)
{
    const struct shape *shape = shape_of(form);
    struct parts parts = {0};
    struct rkb_slice note;
    if (payload->failed)
        return false;
    value = rkb_with_data(value);
    if (form == RKB_FORM_MERGE && is_merged(headers, &note))
        return rkb_merge_inverse(value, note, payload);
    if (shape != NULL)
        return read_shape(shape, value, &parts) && add_member(&parts, headers, payload);
    if (form != RKB_FORM_RAW && form != RKB_FORM_CLOUDEVENTS)
        return false;
    rkb_buffer_add(payload, value.data, value.size);
    return !payload->failed;
}

/* ---- the UUID ---- */

/* An object that was merged into may have white space before it; where it kept an id of its own, there was rkb-id. */
static void find_merged_id(struct rkb_slice value, struct parts *parts)
{
    static const struct shape first = {"{\"id\":%i", 0};
    const uint8_t *end = value.data + value.size, *start = rkb_json_space(value.data, end);
    read_shape(&first, rkb_slice(start, (size_t)(end - start)), parts);
}

bool rkb_inverse_id(enum rkb_form form, struct rkb_slice value, struct rkb_slice headers, struct rkb_slice *id)
{
    const struct shape *shape = shape_of(form);
    struct parts parts = {0};
    struct rkb_slice note;
    if (find(headers, "rkb-id", id) || find(headers, "ce_id", id))
        return true;
    value = rkb_with_data(value);
    if (form == RKB_FORM_MERGE && is_merged(headers, &note))
        find_merged_id(value, &parts);
    else if (shape != NULL)
        read_shape(shape, value, &parts);
    *id = parts.id;
    return parts.id.size == RKB_UUID_TEXT;
}
