/*
 * presets -- the envelopes that have a name: templates that are ready to use.
 *
 *     event             {"name": "<name>", "data": {"id": "{{uuid}}", "<payload_name>": "{{payload}}"}}
 *     flat              {"name": "<name>", "id": "{{uuid}}", "<payload_name>": "{{payload}}"}
 *     merge             the payload's own object with id, channel and time merged in (merge.h); what is no object
 *                       stands in {"id": .., "channel": .., "time": .., "<payload_name>": "{{payload}}"}
 *     raw               the payload byte for byte; the UUID in rkb-id, the channel in rkb-channel unless it is the key
 *     cloudevents       the payload byte for byte; headers ce_* and content-type: CloudEvents 1.0.2, Kafka protocol
 *                       binding, binary content mode
 *     cloudevents-json  likewise, structured content mode: {"specversion": "1.0", .., "data": "{{payload}}"}, by the
 *                       JSON event format; base64 in data_base64
 *
 * Each has an inverse (inverse.h): where the value alone does not tell what the payload was (text hello and JSON
 * "hello" look alike in event), the header rkb-encoding does: it is there whenever the payload was not JSON.
 */
#ifndef RKB_MESSAGE_PRESETS_H
#define RKB_MESSAGE_PRESETS_H

#include "base/bytes.h"
#include "base/error.h"
#include "message/form.h"

/* Which messages get a header. */
enum rkb_preset_when {
    RKB_WHEN_ALWAYS,
    RKB_WHEN_NOT_JSON,          /* the payload is no JSON, or not taken for it */
    RKB_WHEN_ID_KEPT,           /* merge left our id out */
    RKB_WHEN_OTHER_KEY          /* the route's key is not the channel: known when it is compiled */
};

struct rkb_preset_header {
    const char *name;
    const char *value;          /* a plain template; NULL: the route's `name`, as an attribute */
    enum rkb_preset_when when;
};

/* What a preset's text is made of. */
struct rkb_preset_names {
    const char *name;           /* a plain template */
    const char *payload_name;
};

struct rkb_preset {
    const char *name;
    enum rkb_form form;
    /* Writes the text of the value's JSON template; NULL: the value is the payload byte for byte. */
    void (*value)(struct rkb_buffer *text, const struct rkb_preset_names *names);
    const struct rkb_preset_header *headers;    /* its own; ends with a name of NULL */
    const char *taken;                          /* a member of its own beside the payload, by a space each; NULL */
    bool uses_name, uses_payload_name;
    bool merges;                                /* objects, by merge.h: the template is for all else */
    bool attributes;                            /* the name is an attribute (attribute.h) */
};

/* NULL where there is none of that name. */
const struct rkb_preset *rkb_preset_find(const char *name);
/* What `rkb_headers: yes` adds; ends with a name of NULL. */
extern const struct rkb_preset_header rkb_preset_rkb_headers[];
/* The presets' names, "event, flat, ...". */
extern const char rkb_preset_names[];

#endif
