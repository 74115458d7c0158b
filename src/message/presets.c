/* presets -- see presets.h. A preset is a text for the template compiler, and headers. */
#include "message/presets.h"

#include <string.h>

#include "message/json_string.h"

const struct rkb_preset_header rkb_preset_rkb_headers[] = {
    {"rkb-id", "{{uuid}}", RKB_WHEN_ALWAYS},
    {"rkb-channel", "{{channel}}", RKB_WHEN_ALWAYS},
    {"rkb-pattern", "{{pattern}}", RKB_WHEN_ALWAYS},
    {"rkb-source", "{{source}}", RKB_WHEN_ALWAYS},
    {"rkb-position", "{{position}}", RKB_WHEN_ALWAYS},
    {"rkb-time", "{{time}}", RKB_WHEN_ALWAYS},
    {"rkb-encoding", "{{encoding}}", RKB_WHEN_ALWAYS},
    {NULL, NULL, RKB_WHEN_ALWAYS},
};

static const struct rkb_preset_header tells_encoding[] = {
    {"rkb-encoding", "{{encoding}}", RKB_WHEN_NOT_JSON},
    {NULL, NULL, RKB_WHEN_ALWAYS},
};

static const struct rkb_preset_header tells_id_and_encoding[] = {
    {"rkb-id", "{{uuid}}", RKB_WHEN_ID_KEPT},
    {"rkb-encoding", "{{encoding}}", RKB_WHEN_NOT_JSON},
    {NULL, NULL, RKB_WHEN_ALWAYS},
};

/* The source is a URI-reference of the characters that names of sources are made of. */
static const struct rkb_preset_header attributes[] = {
    {"ce_specversion", "1.0", RKB_WHEN_ALWAYS},
    {"ce_id", "{{uuid}}", RKB_WHEN_ALWAYS},
    {"ce_source", "/redis/{{source}}", RKB_WHEN_ALWAYS},
    {"ce_type", NULL, RKB_WHEN_ALWAYS},
    {"ce_subject", "{{attribute}}{{channel}}", RKB_WHEN_ALWAYS},
    {"ce_time", "{{time}}", RKB_WHEN_ALWAYS},
    {"content-type", "{{content_type}}", RKB_WHEN_ALWAYS},
    {NULL, NULL, RKB_WHEN_ALWAYS},
};

static const struct rkb_preset_header structured[] = {
    {"content-type", "application/cloudevents+json; charset=UTF-8", RKB_WHEN_ALWAYS},
    {NULL, NULL, RKB_WHEN_ALWAYS},
};

static const struct rkb_preset_header id_and_channel[] = {
    {"rkb-id", "{{uuid}}", RKB_WHEN_ALWAYS},
    {"rkb-channel", "{{channel}}", RKB_WHEN_OTHER_KEY},
    {NULL, NULL, RKB_WHEN_ALWAYS},
};

/* Adds text as the inside of a JSON string; its slots stay slots. */
static void add_escaped(struct rkb_buffer *text, struct rkb_slice plain)
{
    size_t size = rkb_json_escaped_size(plain);
    uint8_t *room = rkb_buffer_reserve(text, size + 1);
    if (room != NULL) {
        rkb_json_escape(room, plain);
        text->size += size;
    }
}

/* The same, meaning only itself: each {{ is doubled. */
static void add_literal(struct rkb_buffer *text, struct rkb_slice plain)
{
    size_t start = 0;
    for (size_t i = 0; i + 1 < plain.size; i++) {
        if (plain.data[i] != '{' || plain.data[i + 1] != '{')
            continue;
        add_escaped(text, rkb_slice(plain.data + start, i - start));
        rkb_buffer_text(text, "{{{{");
        start = ++i + 1;
    }
    add_escaped(text, rkb_slice(plain.data + start, plain.size - start));
}

static void event(struct rkb_buffer *text, const struct rkb_preset_names *names)
{
    rkb_buffer_text(text, "{\"name\": \"");
    add_escaped(text, rkb_slice_text(names->name));
    rkb_buffer_text(text, "\", \"data\": {\"id\": \"{{uuid}}\", \"");
    add_literal(text, rkb_slice_text(names->payload_name));
    rkb_buffer_text(text, "\": \"{{payload}}\"}}");
}

static void flat(struct rkb_buffer *text, const struct rkb_preset_names *names)
{
    rkb_buffer_text(text, "{\"name\": \"");
    add_escaped(text, rkb_slice_text(names->name));
    rkb_buffer_text(text, "\", \"id\": \"{{uuid}}\", \"");
    add_literal(text, rkb_slice_text(names->payload_name));
    rkb_buffer_text(text, "\": \"{{payload}}\"}");
}

static void no_object(struct rkb_buffer *text, const struct rkb_preset_names *names)
{
    rkb_buffer_text(text, "{\"id\": \"{{uuid}}\", \"channel\": \"{{channel}}\", \"time\": \"{{time}}\", \"");
    add_literal(text, rkb_slice_text(names->payload_name));
    rkb_buffer_text(text, "\": \"{{payload}}\"}");
}

static void cloudevent(struct rkb_buffer *text, const struct rkb_preset_names *names)
{
    rkb_buffer_text(text, "{\"specversion\": \"1.0\", \"id\": \"{{uuid}}\", \"source\": \"/redis/{{source}}\", "
                          "\"type\": \"{{attribute}}");
    add_escaped(text, rkb_slice_text(names->name));
    rkb_buffer_text(text, "\", \"subject\": \"{{attribute}}{{channel}}\", \"time\": \"{{time}}\", "
                          "\"datacontenttype\": \"{{content_type}}\", \"data{{_base64}}\": \"{{payload}}\"}");
}

static const struct rkb_preset presets[] = {
    {.name = "event", .form = RKB_FORM_EVENT, .value = event, .headers = tells_encoding, .taken = "id",
     .uses_name = true, .uses_payload_name = true},
    {.name = "flat", .form = RKB_FORM_FLAT, .value = flat, .headers = tells_encoding, .taken = "name id",
     .uses_name = true, .uses_payload_name = true},
    {.name = "merge", .form = RKB_FORM_MERGE, .value = no_object, .headers = tells_id_and_encoding,
     .taken = "id channel time", .uses_payload_name = true, .merges = true},
    {.name = "raw", .form = RKB_FORM_RAW, .headers = id_and_channel},
    {.name = "cloudevents", .form = RKB_FORM_CLOUDEVENTS, .headers = attributes, .uses_name = true,
     .attributes = true},
    {.name = "cloudevents-json", .form = RKB_FORM_CLOUDEVENTS_JSON, .value = cloudevent, .headers = structured,
     .uses_name = true, .attributes = true},
};

const char rkb_preset_names[] = "event, flat, merge, raw, cloudevents, cloudevents-json";

const struct rkb_preset *rkb_preset_find(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}
