/* presets -- see presets.h. A preset is a text for the template compiler, and headers. */
#include "message/presets.h"

#include <string.h>

#include "message/json_string.h"

const struct rkb_preset_header rkb_preset_rkb_headers[] = {
    {"rkb-id", "{{uuid}}", false},
    {"rkb-channel", "{{channel}}", false},
    {"rkb-pattern", "{{pattern}}", false},
    {"rkb-source", "{{source}}", false},
    {"rkb-position", "{{position}}", false},
    {"rkb-time", "{{time}}", false},
    {"rkb-encoding", "{{encoding}}", false},
    {NULL, NULL, false},
};

static const struct rkb_preset_header tells_encoding[] = {
    {"rkb-encoding", "{{encoding}}", true},
    {NULL, NULL, false},
};

static const struct rkb_preset_header no_headers[] = {{NULL, NULL, false}};

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

static const struct rkb_preset presets[] = {
    {.name = "event", .form = RKB_FORM_EVENT, .value = event, .headers = tells_encoding, .taken = "id",
     .uses_name = true, .uses_payload_name = true},
    {.name = "raw", .form = RKB_FORM_RAW, .rkb_headers = true, .headers = no_headers},
};

const char rkb_preset_names[] = "event, raw";

const struct rkb_preset *rkb_preset_find(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}
