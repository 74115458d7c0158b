/*
 * envelope -- a route's templates together: value, key, headers and topic.
 *
 * Headers are written in the form of the journal's headers area: u16 name length, u32 value length
 * (little-endian), name, value. A key or header of which a slot finds nothing is left out: a missing key is no key,
 * never an empty one.
 *
 * Kept headers (rkb-channel where the key is not the channel, rkb-id where the value does not tell it) stand behind
 * those that are counted: the journal has them, Kafka does not get them. A record that Kafka refuses for good becomes a
 * dead letter with their help.
 */
#ifndef RKB_MESSAGE_ENVELOPE_H
#define RKB_MESSAGE_ENVELOPE_H

#include "message/form.h"
#include "message/merge.h"
#include "message/template.h"

enum rkb_envelope_field {
    RKB_FIELD_ENVELOPE,
    RKB_FIELD_VALUE,
    RKB_FIELD_NAME,
    RKB_FIELD_PAYLOAD_NAME,
    RKB_FIELD_KEY,
    RKB_FIELD_TOPIC,
    RKB_FIELD_HEADER
};

/* Which setting is wrong: a header's number, and the offset in the setting's text. */
struct rkb_envelope_mistake {
    enum rkb_envelope_field field;
    size_t header, at;
};

struct rkb_envelope_header {
    const char *name;
    const char *value;              /* a plain template */
};

struct rkb_envelope_spec {
    const char *preset;             /* NULL where value is given; see presets.h */
    const char *value;              /* a JSON template, or NULL */
    const char *name;               /* a plain template, what the preset calls the message; NULL: "{{channel}}" */
    const char *payload_name;       /* NULL: "payload" */
    enum rkb_when_taken when_taken; /* of an envelope that merges */
    const char *key;                /* a plain template; NULL, "" or "none" for no key */
    const char *topic;              /* a plain template; NULL: not looked at */
    const struct rkb_envelope_header *headers;
    size_t header_count;
    bool rkb_headers;
    bool kept;                      /* what a dead letter could not have otherwise is kept beside the record */
    struct rkb_template_scope scope;
};

struct rkb_envelope;

/* NULL and *error; *mistake says where. Nothing of spec is kept. */
struct rkb_envelope *rkb_envelope_compile(const struct rkb_envelope_spec *spec, struct rkb_envelope_mistake *mistake,
                                          struct rkb_error *error);
void rkb_envelope_free(struct rkb_envelope *envelope);

enum rkb_form rkb_envelope_form(const struct rkb_envelope *envelope);
/* Whether it wants facts->merge, by rkb_merge_plan. */
bool rkb_envelope_merges(const struct rkb_envelope *envelope);
/* The topic's template; NULL where the topic is constant. */
const struct rkb_template *rkb_envelope_topic(const struct rkb_envelope *envelope);
/* Whether any of its templates needs facts->position, time or time_ms. */
bool rkb_envelope_uses_position(const struct rkb_envelope *envelope);
/* How many captures of a pattern its templates use. */
size_t rkb_envelope_captures(const struct rkb_envelope *envelope);

/*
 * Sizes of the parts of one record; has_key false where the key is absent or would be empty. Kept headers are in
 * headers, and not in header_count.
 */
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
