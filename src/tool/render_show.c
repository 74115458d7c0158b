/*
 * render_show -- see render_show.h. What is UTF-8 is shown as it is, anything else as base64 that says so; in all but
 * the value, control characters are escaped.
 */
#include "tool/render_show.h"

#include <jansson.h>
#include <stdlib.h>

#include "base/escape.h"
#include "base/headers.h"
#include "message/base64.h"
#include "message/utf8.h"
#include "tool/dump.h"

static const char *becomes(const struct rkb_rendering *rendering)
{
    switch (rendering->verdict.kind) {
    case RKB_PASS: return "record";
    case RKB_REJECTED: return "dead_letter";
    case RKB_FILTERED: return "filtered";
    case RKB_DROPPED: break;
    }
    return "dropped";
}

void rkb_rendering_words(const struct rkb_rendering *rendering, FILE *out)
{
    const struct rkb_verdict *verdict = &rendering->verdict;
    switch (verdict->kind) {
    case RKB_PASS:
        fprintf(out, "a record");
        break;
    case RKB_REJECTED:
        fprintf(out, "a dead letter (%s): %s", verdict->code, verdict->reason);
        break;
    case RKB_FILTERED:
        fprintf(out, "nothing: taken out by the route's filter, and counted as filtered");
        break;
    case RKB_DROPPED:
        fprintf(out, "nothing: dropped (%s): %s", verdict->code, verdict->reason);
        break;
    }
}

/* ---- for people ---- */

static void print_base64(struct rkb_slice bytes, FILE *out)
{
    struct rkb_buffer coded = {0};
    uint8_t *room = rkb_buffer_reserve(&coded, rkb_base64_size(bytes.size) + 1);
    if (room != NULL)
        fprintf(out, "%.*s (no UTF-8: base64)", (int)(rkb_base64_encode(room, bytes) - room), (const char *)room);
    rkb_buffer_free(&coded);
}

/* On one line whatever is in it. */
static void print_line(struct rkb_slice bytes, FILE *out)
{
    struct rkb_buffer shown = {0};
    if (rkb_utf8_valid(bytes)) {
        rkb_escape(RKB_ESCAPE_PLAIN, bytes, &shown);
        fprintf(out, "%.*s", (int)shown.size, shown.size > 0 ? (const char *)shown.data : "");
    } else {
        print_base64(bytes, out);
    }
    rkb_buffer_free(&shown);
    fputc('\n', out);
}

static void print_headers(struct rkb_slice headers, FILE *out)
{
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, value;
    while (rkb_headers_next(&area, &name, &value)) {
        fprintf(out, "header   %.*s: ", (int)name.size, (const char *)name.data);
        print_line(value, out);
    }
}

static void print_record(const struct rkb_rendering *rendering, FILE *out)
{
    fprintf(out, "topic    ");
    print_line(rkb_slice(rendering->topic.data, rendering->topic.size), out);
    fprintf(out, "key      ");
    if (rendering->has_key)
        print_line(rendering->key, out);
    else
        fprintf(out, "(none)\n");
    print_headers(rendering->headers, out);
    fprintf(out, "value    ");
    if (rendering->value.size == 0)
        fprintf(out, "(empty)");
    else if (rkb_utf8_valid(rendering->value))
        fwrite(rendering->value.data, 1, rendering->value.size, out);
    else
        print_base64(rendering->value, out);
    fputc('\n', out);
}

void rkb_rendering_text(const struct rkb_rendering *rendering, const struct rkb_config *config, FILE *out)
{
    fprintf(out, "source   %s\nroute    %s, ", rendering->source->name, rendering->route->name);
    fprintf(out, rendering->pattern.size > 0 ? "by its pattern " : "by its channel\n");
    if (rendering->pattern.size > 0)
        print_line(rendering->pattern, out);
    fprintf(out, "becomes  ");
    rkb_rendering_words(rendering, out);
    fputc('\n', out);
    if (rendering->verdict.kind == RKB_PASS)
        print_record(rendering, out);
    else if (rendering->verdict.kind == RKB_REJECTED && rendering->route->dead_letter != NULL)
        fprintf(out, "topic    %s\n", rendering->route->dead_letter);
    else if (rendering->verdict.kind == RKB_REJECTED)
        fprintf(out, "file     %s/dead-letters\n", config->journal.directory);
}

/* ---- for programs ---- */

static json_t *headers_of(struct rkb_slice headers)
{
    json_t *list = json_array();
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, value;
    while (rkb_headers_next(&area, &name, &value)) {
        json_t *header = json_object();
        rkb_dump_bytes(header, "name", name);
        rkb_dump_bytes(header, "value", value);
        json_array_append_new(list, header);
    }
    return list;
}

static void add_record(json_t *object, const struct rkb_rendering *rendering)
{
    rkb_dump_bytes(object, "topic", rkb_slice(rendering->topic.data, rendering->topic.size));
    if (rendering->has_key)
        rkb_dump_bytes(object, "key", rendering->key);
    else
        json_object_set_new(object, "key", json_null());
    json_object_set_new(object, "headers", headers_of(rendering->headers));
    rkb_dump_bytes(object, "value", rendering->value);
}

static void add_dead_letter(json_t *object, const struct rkb_rendering *rendering, const struct rkb_config *config)
{
    if (rendering->route->dead_letter != NULL)
        json_object_set_new(object, "topic", json_string(rendering->route->dead_letter));
    else
        json_object_set_new(object, "file", json_sprintf("%s/dead-letters", config->journal.directory));
}

bool rkb_rendering_json(const struct rkb_rendering *rendering, const struct rkb_config *config, FILE *out)
{
    json_t *object = json_object();
    json_object_set_new(object, "source", json_string(rendering->source->name));
    json_object_set_new(object, "route", json_string(rendering->route->name));
    if (rendering->pattern.size > 0)
        rkb_dump_bytes(object, "pattern", rendering->pattern);
    else
        json_object_set_new(object, "pattern", json_null());
    json_object_set_new(object, "becomes", json_string(becomes(rendering)));
    if (rendering->verdict.kind == RKB_REJECTED || rendering->verdict.kind == RKB_DROPPED) {
        json_object_set_new(object, "code", json_string(rendering->verdict.code));
        json_object_set_new(object, "reason", json_string(rendering->verdict.reason));
    }
    if (rendering->verdict.kind == RKB_PASS)
        add_record(object, rendering);
    else if (rendering->verdict.kind == RKB_REJECTED)
        add_dead_letter(object, rendering, config);
    bool good = json_dumpf(object, out, JSON_COMPACT) == 0;
    fputc('\n', out);
    json_decref(object);
    return good;
}
