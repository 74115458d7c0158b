/*
 * slot -- see slot.h.
 *
 *     context            plain              JSON value               inside a JSON string
 *     names              as they are        "escaped", or null       escaped
 *     uuid, time, ...    as they are        "as they are"            as they are
 *     time_ms            digits             digits                   digits
 *     payload            bytes or base64    JSON, "text", "base64"   escaped text, or base64
 *     payload_text       bytes or base64    "text" or "base64"       escaped text, or base64
 *     payload_base64     base64             "base64"                 base64
 *
 * Never allocates. What comes out in a JSON context is valid JSON whatever the payload is: bytes that are not JSON are
 * never copied unescaped, which is why facts->encoding must be what rkb_payload_encoding said.
 */
#include "message/slot.h"

#include "message/base64.h"
#include "message/json.h"
#include "message/json_string.h"
#include "message/utf8.h"

enum rkb_encoding rkb_payload_encoding(enum rkb_payload_kind kind, struct rkb_slice payload)
{
    if (kind == RKB_PAYLOAD_BASE64)
        return RKB_ENCODING_BASE64;
    if (kind != RKB_PAYLOAD_TEXT && rkb_json_valid(payload, NULL))
        return RKB_ENCODING_JSON;
    return rkb_utf8_valid(payload) ? RKB_ENCODING_TEXT : RKB_ENCODING_BASE64;
}

/* ASCII that needs no escaping. */
static struct rkb_piece word(const void *data, size_t size, enum rkb_context context)
{
    return (struct rkb_piece){rkb_slice(data, size), RKB_MANNER_COPY, context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece name(const struct rkb_name_forms *forms, enum rkb_context context)
{
    return (struct rkb_piece){
        context == RKB_CONTEXT_PLAIN ? forms->plain : forms->json, RKB_MANNER_COPY, context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece text_of(struct rkb_slice text, enum rkb_context context)
{
    return (struct rkb_piece){
        text, context == RKB_CONTEXT_PLAIN ? RKB_MANNER_COPY : RKB_MANNER_ESCAPE, context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece base64_of(struct rkb_slice bytes, enum rkb_context context)
{
    return (struct rkb_piece){bytes, RKB_MANNER_BASE64, context == RKB_CONTEXT_VALUE};
}

static struct rkb_piece uuid(const struct rkb_facts *facts, enum rkb_context context)
{
    return word(facts->uuid, sizeof facts->uuid, context);
}

static struct rkb_piece channel(const struct rkb_facts *facts, enum rkb_context context)
{
    return name(&facts->channel, context);
}

static struct rkb_piece pattern(const struct rkb_facts *facts, enum rkb_context context)
{
    if (facts->pattern.plain.size == 0 && context == RKB_CONTEXT_VALUE)
        return (struct rkb_piece){rkb_slice("null", 4), RKB_MANNER_COPY, false};
    return name(&facts->pattern, context);
}

static struct rkb_piece payload(const struct rkb_facts *facts, enum rkb_context context)
{
    if (facts->encoding == RKB_ENCODING_BASE64)
        return base64_of(facts->payload, context);
    if (facts->encoding == RKB_ENCODING_JSON && context == RKB_CONTEXT_VALUE)
        return (struct rkb_piece){facts->payload, RKB_MANNER_COPY, false};
    return text_of(facts->payload, context);
}

static struct rkb_piece payload_text(const struct rkb_facts *facts, enum rkb_context context)
{
    /* base64 may be what the route asked for; the payload can still be text. */
    if (facts->encoding == RKB_ENCODING_BASE64 && !rkb_utf8_valid(facts->payload))
        return base64_of(facts->payload, context);
    return text_of(facts->payload, context);
}

static struct rkb_piece payload_base64(const struct rkb_facts *facts, enum rkb_context context)
{
    return base64_of(facts->payload, context);
}

static struct rkb_piece encoding(const struct rkb_facts *facts, enum rkb_context context)
{
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

static struct rkb_piece time_text(const struct rkb_facts *facts, enum rkb_context context)
{
    return word(facts->time, sizeof facts->time, context);
}

static struct rkb_piece time_ms(const struct rkb_facts *facts, enum rkb_context context)
{
    (void)context;      /* a number is written the same everywhere */
    return (struct rkb_piece){facts->time_ms, RKB_MANNER_COPY, false};
}

static struct rkb_piece position(const struct rkb_facts *facts, enum rkb_context context)
{
    return word(facts->position.data, facts->position.size, context);
}

static struct rkb_piece bytes(const struct rkb_facts *facts, enum rkb_context context)
{
    (void)context;
    return (struct rkb_piece){facts->payload, RKB_MANNER_COPY, false};
}

static const struct rkb_slot slots[] = {
    {"uuid", uuid, false, false},
    {"channel", channel, true, false},
    {"pattern", pattern, true, false},
    {"payload", payload, false, false},
    {"payload_text", payload_text, false, false},
    {"payload_base64", payload_base64, false, false},
    {"encoding", encoding, false, false},
    {"time", time_text, false, true},
    {"time_ms", time_ms, false, true},
    {"position", position, false, true},
};

const struct rkb_slot rkb_slot_bytes = {"", bytes, false, false};

const struct rkb_slot *rkb_slot_find(struct rkb_slice wanted)
{
    for (size_t i = 0; i < sizeof slots / sizeof slots[0]; i++)
        if (rkb_slice_equal(wanted, rkb_slice_text(slots[i].name)))
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
    return "uuid, channel, pattern, payload, payload_text, payload_base64, encoding, time, time_ms, position, "
           "route, source, instance";
}

size_t rkb_piece_size(const struct rkb_piece *piece)
{
    size_t quotes = piece->quoted ? 2 : 0;
    switch (piece->manner) {
    case RKB_MANNER_COPY:
        return quotes + piece->bytes.size;
    case RKB_MANNER_ESCAPE:
        return quotes + rkb_json_escaped_size(piece->bytes);
    case RKB_MANNER_BASE64:
        return quotes + rkb_base64_size(piece->bytes.size);
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
    case RKB_MANNER_BASE64:
        out = rkb_base64_encode(out, piece->bytes);
        break;
    }
    if (piece->quoted)
        *out++ = '"';
    return out;
}
