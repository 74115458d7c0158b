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

/* NULL time: JSON null. */
static json_t *time_json(int64_t realtime_us)
{
    char text[24];
    if (realtime_us == 0)
        return json_null();
    rkb_format_time(text, realtime_us);
    return json_stringn(text, sizeof text);
}

void rkb_gap_write(const struct rkb_gap *gap, struct rkb_buffer *out)
{
    json_t *to = time_json((gap->to_us + 999) / 1000 * 1000);
    json_t *bound = gap->bound > INT64_MAX ? json_null() : json_integer((json_int_t)gap->bound);
    json_t *object = json_pack("{s:I, s:s, s:o, s:o, s:s, s:o}", "id", (json_int_t)gap->id, "source", gap->source,
                               "from", time_json(gap->from_us), "to", to, "reason", gap->reason, "bound", bound);
    char *text = object == NULL ? NULL : json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER);
    if (text != NULL)
        rkb_buffer_text(out, text);
    else
        out->failed = true;
    free(text);
    json_decref(object);
}

static bool copy_text(char *to, size_t room, const char *from)
{
    size_t size = strlen(from);
    if (size >= room)
        return false;
    memcpy(to, from, size + 1);
    return true;
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
    return id >= 0 && copy_text(gap->source, sizeof gap->source, source) &&
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
