/*
 * slot -- see slot.h.
 *
 *     context            plain              JSON value               inside a JSON string
 *     names              as they are        "escaped", or null       escaped
 *     uuid, time, ...    as they are        "as they are"            as they are
 *     content_type       likewise
 *     time_ms            digits             digits                   digits
 *     payload            bytes or base64    JSON, "text", "base64"   escaped text, or base64
 *     payload_text       bytes or base64    "text" or "base64"       escaped text, or base64
 *     payload_base64     base64             "base64"                 base64
 *     payload:/pointer
 *       a string         what it means      "as it stands"           as it stands
 *       other values     as they stand      as they stand            as they stand, escaped
 *       null, nothing    nothing            null                     nothing
 *
 * In an attribute a slot is what it is in plain, less what attribute.h takes out.
 *
 * Never allocates. What comes out in a JSON context is valid JSON whatever the payload is: bytes that are not JSON are
 * never copied unescaped, which is why facts->encoding must be what rkb_payload_read said.
 */
#include "message/slot.h"

#include "message/attribute.h"
#include "message/base64.h"
#include "message/json_string.h"
#include "message/utf8.h"

static struct rkb_piece nothing(enum rkb_context context)
{
    return (struct rkb_piece){
        .bytes = rkb_slice("null", context == RKB_CONTEXT_VALUE ? 4 : 0), .manner = RKB_MANNER_COPY, .nothing = true};
}

/* ASCII that needs no escaping. */
static struct rkb_piece word(const void *data, size_t size, enum rkb_context context)
{
    return (struct rkb_piece){
        .bytes = rkb_slice(data, size), .manner = RKB_MANNER_COPY, .quoted = context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece name(const struct rkb_name_forms *forms, enum rkb_context context)
{
    return (struct rkb_piece){.bytes = context == RKB_CONTEXT_PLAIN ? forms->plain : forms->json,
                              .manner = RKB_MANNER_COPY,
                              .quoted = context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece text_of(struct rkb_slice text, enum rkb_context context)
{
    return (struct rkb_piece){.bytes = text,
                              .manner = context == RKB_CONTEXT_PLAIN ? RKB_MANNER_COPY : RKB_MANNER_ESCAPE,
                              .quoted = context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece base64_of(struct rkb_slice bytes, enum rkb_context context)
{
    return (struct rkb_piece){
        .bytes = bytes, .manner = RKB_MANNER_BASE64, .quoted = context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece uuid(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    return word(facts->uuid, sizeof facts->uuid, context);
}

static struct rkb_piece channel(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    return name(&facts->channel, context);
}

static struct rkb_piece pattern(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    return facts->pattern.plain.size == 0 ? nothing(context) : name(&facts->pattern, context);
}

static struct rkb_piece payload(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    if (facts->encoding == RKB_ENCODING_BASE64)
        return base64_of(facts->payload, context);
    if (facts->encoding == RKB_ENCODING_JSON && context == RKB_CONTEXT_VALUE)
        return (struct rkb_piece){.bytes = facts->payload, .manner = RKB_MANNER_COPY};
    return text_of(facts->payload, context);
}

static struct rkb_piece payload_text(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    /* base64 may be what the route asked for; the payload can still be text. */
    if (facts->encoding == RKB_ENCODING_BASE64 && !rkb_utf8_valid(facts->payload))
        return base64_of(facts->payload, context);
    return text_of(facts->payload, context);
}

static struct rkb_piece payload_base64(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    return base64_of(facts->payload, context);
}

static struct rkb_piece encoding(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    static const struct {
        const char *text;
        size_t size;
    } words[] = {
        [RKB_ENCODING_JSON] = {"json", 4},
        [RKB_ENCODING_TEXT] = {"text", 4},
        [RKB_ENCODING_BASE64] = {"base64", 6},
    };
    return word(words[facts->encoding].text, words[facts->encoding].size, context);
}

/* The media type of what stands for the payload. */
static struct rkb_piece content_type(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    static const char *const types[] = {
        [RKB_ENCODING_JSON] = "application/json",
        [RKB_ENCODING_TEXT] = "text/plain; charset=utf-8",
        [RKB_ENCODING_BASE64] = "application/octet-stream",
    };
    return word(types[facts->encoding], strlen(types[facts->encoding]), context);
}

/* What a member's name ends with that holds base64: data_base64. */
static struct rkb_piece base64_suffix(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    return word("_base64", facts->encoding == RKB_ENCODING_BASE64 ? 7 : 0, context);
}

static struct rkb_piece time_text(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    return word(facts->time, sizeof facts->time, context);
}

static struct rkb_piece time_ms(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    (void)context;      /* a number is written the same everywhere */
    return (struct rkb_piece){.bytes = facts->time_ms, .manner = RKB_MANNER_COPY};
}

static struct rkb_piece position(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    return word(facts->position.data, facts->position.size, context);
}

static struct rkb_piece bytes(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    (void)argument;
    (void)context;
    return (struct rkb_piece){.bytes = facts->payload, .manner = RKB_MANNER_COPY};
}

static struct rkb_piece capture(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    return name(&facts->captures[argument], context);
}

/* Found in what is JSON, so that the inside of a string is good inside of another. */
static struct rkb_piece pointer(const struct rkb_facts *facts, enum rkb_context context, size_t argument)
{
    struct rkb_slice found = facts->found[argument];
    if (found.data == NULL || (found.data[0] == 'n' && context != RKB_CONTEXT_VALUE))
        return nothing(context);
    if (context == RKB_CONTEXT_VALUE)
        return (struct rkb_piece){.bytes = found, .manner = RKB_MANNER_COPY};
    bool string = found.data[0] == '"';
    if (string)
        found = rkb_slice(found.data + 1, found.size - 2);
    if (context == RKB_CONTEXT_PLAIN)
        return (struct rkb_piece){.bytes = found, .manner = string ? RKB_MANNER_UNESCAPE : RKB_MANNER_COPY};
    return (struct rkb_piece){.bytes = found, .manner = string ? RKB_MANNER_COPY : RKB_MANNER_ESCAPE};
}

static const struct rkb_slot slots[] = {
    {.name = "uuid", .piece = uuid},
    {.name = "channel", .piece = channel, .per_channel = true},
    {.name = "pattern", .piece = pattern, .per_channel = true, .optional = true},
    {.name = "payload", .piece = payload},
    {.name = "payload_text", .piece = payload_text},
    {.name = "payload_base64", .piece = payload_base64},
    {.name = "encoding", .piece = encoding},
    {.name = "content_type", .piece = content_type},
    {.name = "time", .piece = time_text, .position = true},
    {.name = "time_ms", .piece = time_ms, .position = true},
    {.name = "position", .piece = position, .position = true},
    {.name = "_base64", .piece = base64_suffix, .own = true},
};

const struct rkb_slot rkb_slot_bytes = {.piece = bytes};
const struct rkb_slot rkb_slot_capture = {.piece = capture, .per_channel = true};
const struct rkb_slot rkb_slot_pointer = {.piece = pointer, .optional = true};

const struct rkb_slot *rkb_slot_find(struct rkb_slice wanted, bool own)
{
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (rkb_slice_equal(wanted, rkb_slice_text(slots[i].name)) && (own || !slots[i].own))
            return &slots[i];
    return NULL;
}

const struct rkb_name_forms *rkb_slot_fixed(struct rkb_slice wanted, const struct rkb_template_scope *scope)
{
    if (rkb_slice_equal(wanted, rkb_slice_text("route")))
        return &scope->route;
    if (rkb_slice_equal(wanted, rkb_slice_text("source")))
        return &scope->source;
    return rkb_slice_equal(wanted, rkb_slice_text("instance")) ? &scope->instance : NULL;
}

const char *rkb_slot_names(void)
{
    return "uuid, channel, pattern, 1 (what a * of the pattern matched), payload, payload:/a/b (a JSON Pointer), "
           "payload_text, payload_base64, encoding, content_type, time, time_ms, position, route, source, instance";
}

struct rkb_piece rkb_slot_attribute(const struct rkb_slot *slot, const struct rkb_facts *facts,
                                    enum rkb_context context, size_t argument)
{
    struct rkb_piece piece = slot->piece(facts, RKB_CONTEXT_PLAIN, argument);
    if (piece.bytes.size == 0)
        return (struct rkb_piece){.bytes = rkb_slice("\xEF\xBF\xBD", 3), .manner = RKB_MANNER_COPY};
    if (piece.manner == RKB_MANNER_BASE64)
        return piece;
    piece.escaped = piece.manner == RKB_MANNER_UNESCAPE;
    piece.json = context == RKB_CONTEXT_ATTRIBUTE_STRING;
    piece.manner = RKB_MANNER_ATTRIBUTE;
    return piece;
}

size_t rkb_piece_size(const struct rkb_piece *piece)
{
    size_t quotes = piece->quoted ? 2 : 0;
    switch (piece->manner) {
    case RKB_MANNER_COPY:
        return quotes + piece->bytes.size;
    case RKB_MANNER_ESCAPE:
        return quotes + rkb_json_escaped_size(piece->bytes);
    case RKB_MANNER_UNESCAPE:
        return rkb_json_unescaped_size(piece->bytes);
    case RKB_MANNER_BASE64:
        return quotes + rkb_base64_size(piece->bytes.size);
    case RKB_MANNER_ATTRIBUTE:
        return rkb_attribute_size(&(struct rkb_attribute){piece->bytes, piece->escaped, piece->json});
    }
    return 0;
}

static uint8_t *copy(uint8_t *out, struct rkb_slice from)
{
    if (from.size > 0)
        memcpy(out, from.data, from.size);
    return out + from.size;
}

uint8_t *rkb_piece_write(const struct rkb_piece *piece, uint8_t *out)
{
    if (piece->quoted)
        *out++ = '"';
    switch (piece->manner) {
    case RKB_MANNER_COPY:
        out = copy(out, piece->bytes);
        break;
    case RKB_MANNER_ESCAPE:
        out = rkb_json_escape(out, piece->bytes);
        break;
    case RKB_MANNER_UNESCAPE:
        out = rkb_json_unescape(out, piece->bytes);
        break;
    case RKB_MANNER_BASE64:
        out = rkb_base64_encode(out, piece->bytes);
        break;
    case RKB_MANNER_ATTRIBUTE:
        out = rkb_attribute_write(&(struct rkb_attribute){piece->bytes, piece->escaped, piece->json}, out);
        break;
    }
    if (piece->quoted)
        *out++ = '"';
    return out;
}
