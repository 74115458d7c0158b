/*
 * envelope -- see envelope.h.
 *
 * A preset is a text for the template compiler and nothing more; `raw` alone has a value no text can say, and headers.
 * Promise: measure and render walk the same templates, so a record fills exactly the room reserved for it.
 */
#include "message/envelope.h"

#include <stdlib.h>

#include "message/json_string.h"
#include "message/utf8.h"

struct header {
    const char *name;
    const char *value;          /* a plain template */
    bool only_for_pattern;
};

static const struct header raw_headers[] = {
    {"rkb-id", "{{uuid}}", false},
    {"rkb-channel", "{{channel}}", false},
    {"rkb-pattern", "{{pattern}}", true},
    {"rkb-source", "{{source}}", false},
    {"rkb-position", "{{position}}", false},
    {"rkb-time", "{{time}}", false},
    {"rkb-encoding", "{{encoding}}", false},
};

enum { HEADERS = sizeof raw_headers / sizeof raw_headers[0], HEADER_PREFIX = 2 + 4 };

struct rkb_envelope {
    enum rkb_payload_kind payload;
    struct rkb_template *value;
    struct rkb_template *key;                   /* NULL: no key */
    struct rkb_template *headers[HEADERS];      /* all NULL but for raw */
};

/* Where a mistake is told. */
struct place {
    enum rkb_envelope_field *field;
    size_t *at;
    struct rkb_error *error;
};

static bool refuse(const struct place *place, enum rkb_envelope_field field, const char *text)
{
    *place->field = field;
    *place->at = 0;
    return rkb_fail(place->error, RKB_USAGE, "%s", text);
}

static bool compile(struct rkb_template **out, const struct place *place, enum rkb_envelope_field field,
                    enum rkb_template_kind kind, struct rkb_slice text, const struct rkb_template_scope *scope)
{
    *out = rkb_template_compile(kind, text, scope, place->at, place->error);
    if (*out == NULL)
        *place->field = field;
    return *out != NULL;
}

/* Adds a name to the text of a JSON template so that it means itself: escaped, each {{ doubled. */
static void add_name(struct rkb_buffer *text, struct rkb_slice name)
{
    struct rkb_buffer escaped = {0};
    size_t size = rkb_json_escaped_size(name);
    uint8_t *room = rkb_buffer_reserve(&escaped, size);
    text->failed = text->failed || room == NULL;
    if (room != NULL)
        rkb_json_escape(room, name);
    for (size_t i = 0; room != NULL && i < size;) {
        bool braces = size - i >= 2 && room[i] == '{' && room[i + 1] == '{';
        rkb_buffer_add(text, braces ? (const void *)"{{{{" : room + i, braces ? 4 : 1);
        i += braces ? 2 : 1;
    }
    rkb_buffer_free(&escaped);
}

static bool compile_event(struct rkb_envelope *envelope, const struct rkb_envelope_spec *spec,
                          const struct place *place)
{
    struct rkb_slice name = rkb_slice_text(spec->payload_name == NULL ? "payload" : spec->payload_name);
    if (name.size == 0 || !rkb_utf8_valid(name))
        return refuse(place, RKB_FIELD_PAYLOAD_NAME, "the name of the payload must be UTF-8 and not empty");
    if (rkb_slice_equal(name, rkb_slice_text("id")))
        return refuse(place, RKB_FIELD_PAYLOAD_NAME,
                      "the payload cannot be named \"id\": that is the UUID's name in this envelope");
    struct rkb_buffer text = {0};
    rkb_buffer_text(&text, "{\"name\": \"{{channel}}\", \"data\": {\"id\": \"{{uuid}}\", \"");
    add_name(&text, name);
    rkb_buffer_text(&text, "\": \"{{payload}}\"}}");
    bool good = text.failed ? rkb_fail(place->error, RKB_NO_MEMORY, "no memory for an envelope")
                            : compile(&envelope->value, place, RKB_FIELD_ENVELOPE, RKB_TEMPLATE_JSON,
                                      rkb_slice(text.data, text.size), &spec->scope);
    rkb_buffer_free(&text);
    return good;
}

static bool compile_raw(struct rkb_envelope *envelope, const struct rkb_envelope_spec *spec, const struct place *place)
{
    envelope->value = rkb_template_bytes(place->error);
    for (size_t i = 0; envelope->value != NULL && i < HEADERS; i++)
        if (!compile(&envelope->headers[i], place, RKB_FIELD_ENVELOPE, RKB_TEMPLATE_PLAIN,
                     rkb_slice_text(raw_headers[i].value), &spec->scope))
            return false;
    return envelope->value != NULL;
}

static bool compile_value(struct rkb_envelope *envelope, const struct rkb_envelope_spec *spec,
                          const struct place *place)
{
    if (spec->value != NULL)
        return compile(&envelope->value, place, RKB_FIELD_VALUE, RKB_TEMPLATE_JSON, rkb_slice_text(spec->value),
                       &spec->scope);
    if (spec->preset != NULL && strcmp(spec->preset, "event") == 0)
        return compile_event(envelope, spec, place);
    if (spec->preset != NULL && strcmp(spec->preset, "raw") == 0)
        return compile_raw(envelope, spec, place);
    return refuse(place, RKB_FIELD_ENVELOPE, "no such envelope; there are event and raw, or give a value");
}

struct rkb_envelope *rkb_envelope_compile(const struct rkb_envelope_spec *spec, enum rkb_envelope_field *field,
                                          size_t *at, struct rkb_error *error)
{
    const struct place place = {field, at, error};
    *field = RKB_FIELD_ENVELOPE;
    *at = 0;
    struct rkb_envelope *envelope = calloc(1, sizeof *envelope);
    if (envelope == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for an envelope");
        return NULL;
    }
    envelope->payload = spec->payload;
    bool wants_key = spec->key != NULL && spec->key[0] != '\0';
    if (!compile_value(envelope, spec, &place)
        || (wants_key && !compile(&envelope->key, &place, RKB_FIELD_KEY, RKB_TEMPLATE_PLAIN,
                                  rkb_slice_text(spec->key), &spec->scope))) {
        rkb_envelope_free(envelope);
        return NULL;
    }
    return envelope;
}

void rkb_envelope_free(struct rkb_envelope *envelope)
{
    if (envelope == NULL)
        return;
    rkb_template_free(envelope->value);
    rkb_template_free(envelope->key);
    for (size_t i = 0; i < HEADERS; i++)
        rkb_template_free(envelope->headers[i]);
    free(envelope);
}

enum rkb_payload_kind rkb_envelope_payload(const struct rkb_envelope *envelope)
{
    return envelope->payload;
}

bool rkb_envelope_uses_position(const struct rkb_envelope *envelope)
{
    bool uses = rkb_template_uses_position(envelope->value)
                || (envelope->key != NULL && rkb_template_uses_position(envelope->key));
    for (size_t i = 0; i < HEADERS && !uses; i++)
        uses = envelope->headers[i] != NULL && rkb_template_uses_position(envelope->headers[i]);
    return uses;
}

/* Whether this message gets header number i. */
static bool has_header(const struct rkb_envelope *envelope, size_t i, const struct rkb_facts *facts)
{
    return envelope->headers[i] != NULL && !(raw_headers[i].only_for_pattern && facts->pattern.plain.size == 0);
}

void rkb_envelope_measure(const struct rkb_envelope *envelope, const struct rkb_facts *facts,
                          struct rkb_envelope_sizes *sizes)
{
    sizes->key = envelope->key == NULL ? 0 : rkb_template_size(envelope->key, facts);
    sizes->has_key = sizes->key > 0;
    sizes->value = rkb_template_size(envelope->value, facts);
    sizes->headers = 0;
    sizes->header_count = 0;
    for (size_t i = 0; i < HEADERS; i++) {
        if (!has_header(envelope, i, facts))
            continue;
        sizes->headers += HEADER_PREFIX + strlen(raw_headers[i].name) + rkb_template_size(envelope->headers[i], facts);
        sizes->header_count++;
    }
}

static uint8_t *put_integer(uint8_t *out, size_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        *out++ = (uint8_t)(value >> (8 * i));
    return out;
}

static uint8_t *put_header(uint8_t *out, const char *name, const struct rkb_template *template,
                           const struct rkb_facts *facts)
{
    size_t name_size = strlen(name);
    uint8_t *value = out + HEADER_PREFIX + name_size;
    uint8_t *end = rkb_template_render(template, facts, value);
    out = put_integer(out, name_size, 2);
    out = put_integer(out, (size_t)(end - value), 4);
    memcpy(out, name, name_size);
    return end;
}

uint8_t *rkb_envelope_render(const struct rkb_envelope *envelope, const struct rkb_facts *facts,
                             const struct rkb_envelope_sizes *sizes, uint8_t *out)
{
    if (sizes->has_key)
        out = rkb_template_render(envelope->key, facts, out);
    if (sizes->header_count > 0)
        for (size_t i = 0; i < HEADERS; i++)
            if (has_header(envelope, i, facts))
                out = put_header(out, raw_headers[i].name, envelope->headers[i], facts);
    return rkb_template_render(envelope->value, facts, out);
}
