/*
 * gap -- see gap.h.
 *
 * Times are written in milliseconds; the end is rounded up, so that what lies between from and to never
 * shrinks on its way through the record.
 */
#include "journal/gap.h"

#include "base/units.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* NULL time: JSON null. */
static json_t *time_json(int64_t realtime_us)
{
    char text[24];
    if (realtime_us == 0)
        return json_null();
    rkb_format_time(text, realtime_us);
    return json_stringn(text, sizeof text);
}

static json_t *position_json(const char *position)
{
    return position[0] == '\0' ? json_null() : json_string(position);
}

/* NULL when memory ran out. */
static json_t *object_of(const struct rkb_gap *gap)
{
    json_t *to = time_json((gap->to_us + 999) / 1000 * 1000);
    json_t *bound = gap->bound > INT64_MAX ? json_null() : json_integer((json_int_t)gap->bound);
    return json_pack("{s:I, s:s, s:o, s:o, s:s, s:o, s:o, s:o}", "id", (json_int_t)gap->id, "source", gap->source,
                     "from", time_json(gap->from_us), "to", to, "reason", gap->reason, "bound", bound,
                     "position_before", position_json(gap->before), "position_after", position_json(gap->after));
}

static void write_object(json_t *object, struct rkb_buffer *out)
{
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (text != NULL)
        rkb_buffer_text(out, text);
    else
        out->failed = true;
    free(text);
    json_decref(object);
}

void rkb_gap_write(const struct rkb_gap *gap, struct rkb_buffer *out)
{
    char anchor[2 * RKB_GAP_ANCHOR + 1] = "";
    json_t *object = object_of(gap);
    rkb_hex(anchor, gap->anchor, sizeof gap->anchor);
    anchor[2 * RKB_GAP_ANCHOR] = '\0';
    if (gap->has_anchor && json_object_set_new(object, "anchor", json_string(anchor)) != 0)
        out->failed = true;
    if (gap->clock_us != 0 && (json_object_set_new(object, "clock", json_integer(gap->clock_us)) != 0
                               || json_object_set_new(object, "boot", json_integer((json_int_t)gap->boot)) != 0))
        out->failed = true;
    write_object(object, out);
}

void rkb_gap_show(const struct rkb_gap *gap, struct rkb_buffer *out)
{
    write_object(object_of(gap), out);
}

static bool copy_text(char *to, size_t room, const char *from)
{
    size_t size = strlen(from);
    if (size >= room)
        return false;
    memcpy(to, from, size + 1);
    return true;
}

/* One that is not there, or null, is unknown. */
static bool read_position(json_t *object, const char *name, char out[RKB_GAP_POSITION])
{
    json_t *position = json_object_get(object, name);
    out[0] = '\0';
    return position == NULL || json_is_null(position)
           || (json_is_string(position) && copy_text(out, RKB_GAP_POSITION, json_string_value(position)));
}

/* An anchor of another size is another version's: there is none then. */
static void read_anchor(json_t *object, struct rkb_gap *gap)
{
    const char *text = json_string_value(json_object_get(object, "anchor"));
    gap->has_anchor = text != NULL && strlen(text) == 2 * RKB_GAP_ANCHOR
                      && strspn(text, "0123456789abcdef") == 2 * RKB_GAP_ANCHOR;
    for (size_t i = 0; i < RKB_GAP_ANCHOR; i++) {
        const char digits[3] = {gap->has_anchor ? text[2 * i] : '0', gap->has_anchor ? text[2 * i + 1] : '0', '\0'};
        gap->anchor[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
}

static bool read_members(json_t *object, struct rkb_gap *gap)
{
    json_int_t id;
    const char *source, *from, *reason;
    json_t *to, *bound;
    if (json_unpack(object, "{s:I, s:s, s:s, s:o, s:s, s:o}", "id", &id, "source", &source, "from", &from, "to", &to,
                    "reason", &reason, "bound", &bound) != 0)
        return false;
    gap->id = (uint64_t)id;
    gap->bound = json_is_null(bound) ? RKB_BOUND_UNKNOWN : (uint64_t)json_integer_value(bound);
    gap->to_us = 0;
    gap->counted = 0;
    gap->clock_us = (int64_t)json_integer_value(json_object_get(object, "clock"));
    gap->boot = (uint64_t)json_integer_value(json_object_get(object, "boot"));
    read_anchor(object, gap);
    return id >= 0 && read_position(object, "position_before", gap->before) &&
           read_position(object, "position_after", gap->after) && copy_text(gap->source, sizeof gap->source, source) &&
           copy_text(gap->reason, sizeof gap->reason, reason) && rkb_parse_time(rkb_slice_text(from), &gap->from_us) &&
           (json_is_null(bound) || (json_is_integer(bound) && json_integer_value(bound) >= 0)) &&
           (json_is_null(to) ||
            (json_is_string(to) && rkb_parse_time(rkb_slice_text(json_string_value(to)), &gap->to_us)));
}

bool rkb_gap_parse(struct rkb_slice json, struct rkb_gap *gap, struct rkb_error *error)
{
    json_error_t trouble;
    json_t *object = json_loadb((const char *)json.data, json.size, JSON_REJECT_DUPLICATES, &trouble);
    if (object == NULL)
        return rkb_fail(error, RKB_DAMAGED, "a gap's record is not JSON: %s", trouble.text);
    bool good = read_members(object, gap);
    json_decref(object);
    return good || rkb_fail(error, RKB_DAMAGED, "a gap's record lacks a member, or one makes no sense");
}
