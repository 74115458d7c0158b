/*
 * envelope -- see envelope.h.
 *
 * Promise: measure and render walk the same templates, so a record fills exactly the room reserved for it.
 */
#include "message/envelope.h"

#include <stdlib.h>

#include "message/attribute.h"
#include "message/presets.h"
#include "message/utf8.h"

enum { HEADER_PREFIX = 2 + 4 };

struct header {
    char *name;
    size_t name_size;
    struct rkb_template *value;
    enum rkb_preset_when when;
};

struct rkb_envelope {
    enum rkb_form form;
    struct rkb_template *value;
    struct rkb_template *key;       /* NULL: no key */
    struct rkb_template *topic;     /* NULL: constant */
    struct header *headers;
    size_t header_count, kept_count;    /* these first, those behind them */
    bool uses_position;
    bool merges;
    size_t captures;
};

/* What compiling shares: where it takes from, and where a mistake is told. */
struct compiling {
    struct rkb_envelope *envelope;
    const struct rkb_envelope_spec *spec;
    const struct rkb_preset *preset;    /* NULL: a value of its own */
    struct rkb_template_scope scope;
    struct rkb_preset_names names;
    struct rkb_envelope_mistake *mistake;
    struct rkb_error *error;
};

static bool refuse(const struct compiling *compiling, enum rkb_envelope_field field, const char *text)
{
    *compiling->mistake = (struct rkb_envelope_mistake){.field = field};
    return rkb_fail(compiling->error, RKB_USAGE, "%s", text);
}

static bool no_memory(const struct compiling *compiling)
{
    return rkb_fail(compiling->error, RKB_NO_MEMORY, "no memory for an envelope");
}

/* One template, and what the whole envelope needs for it. */
static bool compile(const struct compiling *compiling, struct rkb_template **out, enum rkb_envelope_field field,
                    enum rkb_template_kind kind, struct rkb_slice text)
{
    struct rkb_envelope *envelope = compiling->envelope;
    *out = rkb_template_compile(kind, text, &compiling->scope, &compiling->mistake->at, compiling->error);
    if (*out == NULL) {
        compiling->mistake->field = field;
        return false;
    }
    size_t captures = rkb_template_captures(*out);
    envelope->captures = captures > envelope->captures ? captures : envelope->captures;
    envelope->uses_position = envelope->uses_position || rkb_template_uses_position(*out);
    return true;
}

static bool compile_plain(const struct compiling *compiling, struct rkb_template **out, enum rkb_envelope_field field,
                          const char *text)
{
    return compile(compiling, out, field, RKB_TEMPLATE_PLAIN, rkb_slice_text(text));
}

/* Whether `name` is one of the words. */
static bool is_one_of(const char *words, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = words; at != NULL && *at != '\0'; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == size && strncmp(at, name, size) == 0)
            return true;
    return false;
}

static bool check_payload_name(const struct compiling *compiling)
{
    const char *name = compiling->names.payload_name;
    if (name[0] == '\0' || !rkb_utf8_valid(rkb_slice_text(name)))
        return refuse(compiling, RKB_FIELD_PAYLOAD_NAME, "the name of the payload must be UTF-8 and not empty");
    if (is_one_of(compiling->preset->taken, name))
        return refuse(compiling, RKB_FIELD_PAYLOAD_NAME,
                      "the payload cannot have this name: the envelope has a member of this name itself");
    return true;
}

/* Alone first, so that a mistake in it is told where it stands. */
static bool check_name(const struct compiling *compiling)
{
    const char *name = compiling->names.name;
    struct rkb_template *alone;
    if (!compile_plain(compiling, &alone, RKB_FIELD_NAME, name))
        return false;
    rkb_template_free(alone);
    if (compiling->preset->attributes && (name[0] == '\0' || !rkb_attribute_allows(rkb_slice_text(name))))
        return refuse(compiling, RKB_FIELD_NAME,
                      "the type of a CloudEvent must not be empty, and has no control characters");
    return true;
}

static bool compile_preset(struct compiling *compiling)
{
    const struct rkb_envelope_spec *spec = compiling->spec;
    const struct rkb_preset *preset = compiling->preset;
    struct rkb_envelope *envelope = compiling->envelope;
    struct rkb_buffer text = {0};
    envelope->form = preset->form;
    envelope->merges = preset->merges;
    compiling->names.name = spec->name == NULL ? "{{channel}}" : spec->name;
    compiling->names.payload_name = spec->payload_name == NULL ? "payload" : spec->payload_name;
    if (!check_payload_name(compiling) || !check_name(compiling))
        return false;
    if (preset->value == NULL) {
        envelope->value = rkb_template_bytes(compiling->error);
        return envelope->value != NULL;
    }
    preset->value(&text, &compiling->names);
    compiling->scope.own = true;
    bool good = text.failed ? no_memory(compiling)
                            : compile(compiling, &envelope->value, RKB_FIELD_ENVELOPE, RKB_TEMPLATE_JSON,
                                      rkb_slice(text.data, text.size));
    compiling->scope.own = false;
    rkb_buffer_free(&text);
    return good;
}

static bool compile_value(struct compiling *compiling)
{
    const struct rkb_envelope_spec *spec = compiling->spec;
    if (spec->value != NULL)
        return compile(compiling, &compiling->envelope->value, RKB_FIELD_VALUE, RKB_TEMPLATE_JSON,
                       rkb_slice_text(spec->value));
    compiling->preset = spec->preset == NULL ? NULL : rkb_preset_find(spec->preset);
    if (compiling->preset != NULL)
        return compile_preset(compiling);
    *compiling->mistake = (struct rkb_envelope_mistake){.field = RKB_FIELD_ENVELOPE};
    return rkb_fail(compiling->error, RKB_USAGE, "no such envelope; there are %s, or give a value", rkb_preset_names);
}

static bool add_header(const struct compiling *compiling, const char *name, const char *value,
                       enum rkb_preset_when when)
{
    struct rkb_envelope *envelope = compiling->envelope;
    struct header *more = realloc(envelope->headers, (envelope->header_count + 1) * sizeof *more);
    if (more == NULL)
        return no_memory(compiling);
    envelope->headers = more;
    struct header *header = &more[envelope->header_count];
    *header = (struct header){.name = strdup(name), .name_size = strlen(name), .when = when};
    envelope->header_count++;
    if (header->name == NULL)
        return no_memory(compiling);
    return compile_plain(compiling, &header->value, RKB_FIELD_HEADER, value);
}

static bool has_name(const struct rkb_envelope *envelope, const char *name)
{
    for (size_t i = 0; i < envelope->header_count; i++)
        if (strcmp(envelope->headers[i].name, name) == 0)
            return true;
    return false;
}

/* A preset's. */
static bool add_own_header(struct compiling *compiling, const struct rkb_preset_header *header)
{
    struct rkb_buffer text = {0};
    rkb_buffer_text(&text, header->value == NULL ? "{{attribute}}" : header->value);
    rkb_buffer_text(&text, header->value == NULL ? compiling->names.name : "");
    rkb_buffer_add(&text, "", 1);
    compiling->scope.own = true;
    bool good = text.failed ? no_memory(compiling)
                            : add_header(compiling, header->name, (const char *)text.data, header->when);
    compiling->scope.own = false;
    rkb_buffer_free(&text);
    return good;
}

/* Not what the key says already, in every record of the route. */
static bool is_wanted(const struct compiling *compiling, const struct rkb_preset_header *header)
{
    const char *key = compiling->spec->key;
    return header->when != RKB_WHEN_OTHER_KEY || key == NULL || strcmp(key, "{{channel}}") != 0;
}

/* A list that ends with a name of NULL; what is there already stands for it. */
static bool add_headers(struct compiling *compiling, const struct rkb_preset_header *headers)
{
    for (; headers->name != NULL; headers++)
        if (is_wanted(compiling, headers) && !has_name(compiling->envelope, headers->name)
            && !add_own_header(compiling, headers))
            return false;
    return true;
}

/* The route's own come last, and may not take the place of others. */
static bool compile_headers(struct compiling *compiling)
{
    const struct rkb_envelope_spec *spec = compiling->spec;
    const struct rkb_preset *preset = compiling->preset;
    if (spec->rkb_headers && !add_headers(compiling, rkb_preset_rkb_headers))
        return false;
    if (preset != NULL && !add_headers(compiling, preset->headers))
        return false;
    for (size_t i = 0; i < spec->header_count; i++) {
        compiling->mistake->header = i;
        compiling->mistake->at = 0;
        bool taken = has_name(compiling->envelope, spec->headers[i].name);
        if (taken || strncmp(spec->headers[i].name, "rkb-", 4) == 0) {
            compiling->mistake->field = RKB_FIELD_HEADER;
            return rkb_fail(compiling->error, RKB_USAGE,
                            taken ? "this envelope has a header of this name itself; choose another name"
                                  : "headers that begin with rkb- are rkbridge's own; choose another name");
        }
        if (!add_header(compiling, spec->headers[i].name, spec->headers[i].value, RKB_WHEN_ALWAYS))
            return false;
    }
    return true;
}

/* What a dead letter of a record of this envelope could not have otherwise. */
static bool compile_kept(struct compiling *compiling)
{
    struct rkb_envelope *envelope = compiling->envelope;
    const struct rkb_envelope_spec *spec = compiling->spec;
    size_t counted = envelope->header_count;
    bool by_channel = spec->key != NULL && strcmp(spec->key, "{{channel}}") == 0;
    bool tells_id = envelope->form != RKB_FORM_UNKNOWN || has_name(envelope, "rkb-id");
    if (!by_channel && !has_name(envelope, "rkb-channel")
        && !add_header(compiling, "rkb-channel", "{{channel}}", RKB_WHEN_ALWAYS))
        return false;
    if (!tells_id && !add_header(compiling, "rkb-id", "{{uuid}}", RKB_WHEN_ALWAYS))
        return false;
    envelope->kept_count = envelope->header_count - counted;
    envelope->header_count = counted;
    return true;
}

static bool compile_topic(const struct compiling *compiling)
{
    struct rkb_envelope *envelope = compiling->envelope;
    if (compiling->spec->topic == NULL)
        return true;
    if (!compile_plain(compiling, &envelope->topic, RKB_FIELD_TOPIC, compiling->spec->topic))
        return false;
    if (rkb_template_constant(envelope->topic)) {
        rkb_template_free(envelope->topic);
        envelope->topic = NULL;
    }
    return true;
}

static bool compile_key(const struct compiling *compiling)
{
    const char *key = compiling->spec->key;
    bool none = key == NULL || key[0] == '\0' || strcmp(key, "none") == 0;
    return none || compile_plain(compiling, &compiling->envelope->key, RKB_FIELD_KEY, key);
}

struct rkb_envelope *rkb_envelope_compile(const struct rkb_envelope_spec *spec, struct rkb_envelope_mistake *mistake,
                                          struct rkb_error *error)
{
    struct compiling compiling = {
        .envelope = calloc(1, sizeof *compiling.envelope), .spec = spec, .scope = spec->scope, .mistake = mistake,
        .error = error};
    *mistake = (struct rkb_envelope_mistake){.field = RKB_FIELD_ENVELOPE};
    if (compiling.envelope == NULL) {
        no_memory(&compiling);
        return NULL;
    }
    if (compile_value(&compiling) && compile_key(&compiling) && compile_topic(&compiling)
        && compile_headers(&compiling) && (!spec->kept || compile_kept(&compiling)))
        return compiling.envelope;
    rkb_envelope_free(compiling.envelope);
    return NULL;
}

void rkb_envelope_free(struct rkb_envelope *envelope)
{
    if (envelope == NULL)
        return;
    rkb_template_free(envelope->value);
    rkb_template_free(envelope->key);
    rkb_template_free(envelope->topic);
    for (size_t i = 0; i < envelope->header_count + envelope->kept_count; i++) {
        free(envelope->headers[i].name);
        rkb_template_free(envelope->headers[i].value);
    }
    free(envelope->headers);
    free(envelope);
}

enum rkb_form rkb_envelope_form(const struct rkb_envelope *envelope)
{
    return envelope->form;
}

bool rkb_envelope_merges(const struct rkb_envelope *envelope)
{
    return envelope->merges;
}

const struct rkb_template *rkb_envelope_topic(const struct rkb_envelope *envelope)
{
    return envelope->topic;
}

bool rkb_envelope_uses_position(const struct rkb_envelope *envelope)
{
    return envelope->uses_position;
}

size_t rkb_envelope_captures(const struct rkb_envelope *envelope)
{
    return envelope->captures;
}

/* Whether this message gets this header. */
static bool gets_header(const struct header *header, const struct rkb_facts *facts)
{
    switch (header->when) {
    case RKB_WHEN_ALWAYS:
    case RKB_WHEN_OTHER_KEY:
        break;
    case RKB_WHEN_NOT_JSON:
        if (facts->encoding == RKB_ENCODING_JSON)
            return false;
        break;
    case RKB_WHEN_ID_KEPT:
        if (facts->merge == NULL || (facts->merge->kept & RKB_MERGE_ID) == 0)
            return false;
        break;
    }
    return rkb_template_whole(header->value, facts);
}

static void add_to_sizes(struct rkb_envelope_sizes *sizes, size_t name_size, size_t value_size)
{
    sizes->headers += HEADER_PREFIX + name_size + value_size;
    sizes->header_count++;
}

void rkb_envelope_measure(const struct rkb_envelope *envelope, const struct rkb_facts *facts,
                          struct rkb_envelope_sizes *sizes)
{
    bool keyed = envelope->key != NULL && rkb_template_whole(envelope->key, facts);
    const struct rkb_merge *merge = facts->merge;
    sizes->key = keyed ? rkb_template_size(envelope->key, facts) : 0;
    sizes->has_key = sizes->key > 0;
    sizes->value = merge != NULL && merge->object ? rkb_merge_size(merge, facts)
                                                  : rkb_template_size(envelope->value, facts);
    sizes->headers = 0;
    sizes->header_count = 0;
    for (size_t i = 0; i < envelope->header_count; i++) {
        const struct header *header = &envelope->headers[i];
        if (gets_header(header, facts))
            add_to_sizes(sizes, header->name_size, rkb_template_size(header->value, facts));
    }
    size_t note = merge != NULL ? rkb_merge_note_size(merge) : 0;
    if (note > 0)
        add_to_sizes(sizes, strlen(rkb_merge_header), note);
    for (size_t i = 0; i < envelope->kept_count; i++) {
        const struct header *header = &envelope->headers[envelope->header_count + i];
        sizes->headers += HEADER_PREFIX + header->name_size + rkb_template_size(header->value, facts);
    }
}

static uint8_t *put_integer(uint8_t *out, size_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        *out++ = (uint8_t)(value >> (8 * i));
    return out;
}

/* What stands before a value of this size. */
static uint8_t *put_name(uint8_t *out, const char *name, size_t name_size, size_t value_size)
{
    out = put_integer(out, name_size, 2);
    out = put_integer(out, value_size, 4);
    memcpy(out, name, name_size);
    return out + name_size;
}

static uint8_t *put_header(uint8_t *out, const struct header *header, const struct rkb_facts *facts)
{
    uint8_t *value = out + HEADER_PREFIX + header->name_size;
    uint8_t *end = rkb_template_render(header->value, facts, value);
    put_name(out, header->name, header->name_size, (size_t)(end - value));
    return end;
}

static uint8_t *put_headers(const struct rkb_envelope *envelope, const struct rkb_facts *facts, uint8_t *out)
{
    for (size_t i = 0; i < envelope->header_count; i++)
        if (gets_header(&envelope->headers[i], facts))
            out = put_header(out, &envelope->headers[i], facts);
    size_t note = facts->merge != NULL ? rkb_merge_note_size(facts->merge) : 0;
    if (note > 0)
        out = rkb_merge_note_write(facts->merge, facts,
                                   put_name(out, rkb_merge_header, strlen(rkb_merge_header), note));
    for (size_t i = 0; i < envelope->kept_count; i++)
        out = put_header(out, &envelope->headers[envelope->header_count + i], facts);
    return out;
}

uint8_t *rkb_envelope_render(const struct rkb_envelope *envelope, const struct rkb_facts *facts,
                             const struct rkb_envelope_sizes *sizes, uint8_t *out)
{
    if (sizes->has_key)
        out = rkb_template_render(envelope->key, facts, out);
    if (sizes->headers > 0)
        out = put_headers(envelope, facts, out);
    return facts->merge != NULL && facts->merge->object ? rkb_merge_write(facts->merge, facts, out)
                                                        : rkb_template_render(envelope->value, facts, out);
}
