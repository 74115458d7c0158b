/*
 * envelope -- a route's templates together: value, key, headers; and the presets, which are just templates.
 *
 *     event   {"name": "{{channel}}", "data": {"id": "{{uuid}}", "<payload_name>": "{{payload}}"}}
 *     raw     the payload byte for byte; headers rkb-id, rkb-channel, rkb-pattern (only for a pattern), rkb-source,
 *             rkb-position, rkb-time, rkb-encoding
 *
 * Headers are written in the form of the journal's headers area: u16 name length, u32 value length
 * (little-endian), name, value.
 */
#ifndef RKB_MESSAGE_ENVELOPE_H
#define RKB_MESSAGE_ENVELOPE_H

#include "message/template.h"

enum rkb_envelope_field { RKB_FIELD_ENVELOPE, RKB_FIELD_VALUE, RKB_FIELD_KEY, RKB_FIELD_PAYLOAD_NAME };

struct rkb_envelope_spec {
    const char *preset;             /* NULL where value is given; one of the names above */
    const char *value;              /* a JSON template, or NULL */
    const char *key;                /* a plain template; NULL or "" for no key */
    const char *payload_name;       /* NULL: "payload" */
    enum rkb_payload_kind payload;
    struct rkb_template_scope scope;
};

struct rkb_envelope;

/* NULL and *error; *field says which setting is wrong and *at the offset in its text. */
struct rkb_envelope *rkb_envelope_compile(const struct rkb_envelope_spec *spec, enum rkb_envelope_field *field,
                                          size_t *at, struct rkb_error *error);
void rkb_envelope_free(struct rkb_envelope *envelope);

enum rkb_payload_kind rkb_envelope_payload(const struct rkb_envelope *envelope);
/* Whether any of its templates needs facts->position, time or time_ms. */
bool rkb_envelope_uses_position(const struct rkb_envelope *envelope);

/* Sizes of the parts of one record; has_key false where the key is absent or would be empty. */
struct rkb_envelope_sizes {
    bool has_key;
    uint16_t header_count;
    size_t key, headers, value;
};
void rkb_envelope_measure(const struct rkb_envelope *envelope, const struct rkb_facts *facts,
                          struct rkb_envelope_sizes *sizes);
/* Writes key, headers and value one after the other, as measured; returns the end. */
uint8_t *rkb_envelope_render(const struct rkb_envelope *envelope, const struct rkb_facts *facts,
                             const struct rkb_envelope_sizes *sizes, uint8_t *out);

#endif
