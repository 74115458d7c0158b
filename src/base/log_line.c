/*
 * log_line -- see log_line.h.
 *
 * Promise: one line, whatever the texts hold: control bytes in them are escaped. What is too long is cut, and ends in
 * "...".
 */
#include "base/log_line.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/escape.h"
#include "base/units.h"

#define TAIL_SIZE 96                    /* kept free behind the text: suppressed count, closing quotes */
#define OBJECT_SIZE 512
#define EVENT_SIZE 128

const char *rkb_log_level_word(enum rkb_log_level level)
{
    switch (level) {
    case RKB_LOG_ERROR: return "error";
    case RKB_LOG_WARN: return "warn";
    case RKB_LOG_INFO: return "info";
    case RKB_LOG_DEBUG: return "debug";
    }
    return "";
}

static void put(struct rkb_writer *out, const char *text)
{
    rkb_write_bytes(out, text, strlen(text));
}

/* Text, escaped, up to place `end` of the line; "..." says that something was cut. */
static void put_escaped(struct rkb_writer *out, enum rkb_escape_style style, const char *text, size_t end)
{
    struct rkb_slice rest = rkb_slice_text(text);
    while (rest.size > 0) {
        char step[RKB_ESCAPE_MAX];
        size_t size;
        size_t took = rkb_escape_step(style, rest, step, &size);
        if (out->at + size > end) {
            put(out, "...");
            return;
        }
        rkb_write_bytes(out, step, size);
        rest = rkb_slice(rest.data + took, rest.size - took);
    }
}

static void put_number(struct rkb_writer *out, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    put(out, text);
}

static void compose_text(struct rkb_writer *out, const char time[24], const struct rkb_log_line *line)
{
    size_t event_size = line->event == NULL ? 0 : EVENT_SIZE + sizeof " event=";
    rkb_write_bytes(out, time, 24);
    put(out, " ");
    put(out, rkb_log_level_word(line->level));
    put(out, " ");
    put_escaped(out, RKB_ESCAPE_PLAIN, line->object, out->at + OBJECT_SIZE);
    put(out, ": ");
    put_escaped(out, RKB_ESCAPE_PLAIN, line->text, out->size - TAIL_SIZE - event_size);
    if (line->suppressed > 0) {
        put(out, " (");
        put_number(out, line->suppressed);
        put(out, " like this suppressed)");
    }
    if (line->event != NULL) {
        put(out, " event=");
        put_escaped(out, RKB_ESCAPE_PLAIN, line->event, out->at + EVENT_SIZE);
    }
    put(out, "\n");
}

static void compose_json(struct rkb_writer *out, const char time[24], const struct rkb_log_line *line)
{
    put(out, "{\"time\":\"");
    rkb_write_bytes(out, time, 24);
    put(out, "\",\"level\":\"");
    put(out, rkb_log_level_word(line->level));
    put(out, "\",\"object\":\"");
    put_escaped(out, RKB_ESCAPE_JSON, line->object, out->at + OBJECT_SIZE);
    put(out, line->event == NULL ? "\",\"event\":null" : "\",\"event\":\"");
    if (line->event != NULL) {
        put_escaped(out, RKB_ESCAPE_JSON, line->event, out->at + EVENT_SIZE);
        put(out, "\"");
    }
    put(out, ",\"text\":\"");
    put_escaped(out, RKB_ESCAPE_JSON, line->text, out->size - TAIL_SIZE);
    put(out, "\"");
    if (line->suppressed > 0) {
        put(out, ",\"suppressed\":");
        put_number(out, line->suppressed);
    }
    put(out, "}\n");
}

size_t rkb_log_line_compose(const struct rkb_log_line *line, enum rkb_log_format format, char out[RKB_LOG_LINE_SIZE])
{
    char time[24];
    rkb_format_time(time, line->time_us);
    struct rkb_writer writer = rkb_writer(out, RKB_LOG_LINE_SIZE);
    switch (format) {
    case RKB_LOG_TEXT: compose_text(&writer, time, line); break;
    case RKB_LOG_JSON: compose_json(&writer, time, line); break;
    }
    return writer.at;
}
