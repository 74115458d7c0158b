/*
 * filter -- see filter.h. Like expect it allocates nothing per message but room for a string with escapes; where there
 * is no memory for that, the message passes: a filter loses nothing by accident.
 */
#include "message/filter.h"

#include <stdlib.h>

#include "message/glob.h"

struct condition {
    const struct rkb_filter_spec *spec;
    size_t place;
    struct rkb_json_constant equals;
};

struct rkb_filter {
    size_t count;
    struct condition conditions[];
};

struct rkb_filter *rkb_filter_compile(const struct rkb_filter_spec *specs, size_t count, struct rkb_pointers *pointers,
                                      struct rkb_error *error)
{
    struct rkb_filter *filter = calloc(1, sizeof *filter + count * sizeof filter->conditions[0]);
    if (filter == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for %zu filters", count);
        return NULL;
    }
    struct rkb_error inner;
    for (; filter->count < count; filter->count++) {
        const struct rkb_filter_spec *spec = &specs[filter->count];
        struct condition *condition = &filter->conditions[filter->count];
        *condition = (struct condition){.spec = spec};
        if (spec->kind == RKB_FILTER_EQUALS)
            condition->equals = rkb_json_constant(rkb_slice_text(spec->equals.text), spec->equals.is_string);
        if (rkb_pointers_add(pointers, rkb_slice_text(spec->at), &condition->place, &inner))
            continue;
        rkb_fail(error, inner.code, "filter %zu (at %.80s): %.300s", filter->count + 1, spec->at, inner.text);
        free(filter);
        return NULL;
    }
    return filter;
}

void rkb_filter_free(struct rkb_filter *filter)
{
    free(filter);
}

static bool glob_holds(const char *glob, struct rkb_slice value, struct rkb_buffer *room)
{
    struct rkb_slice content;
    if (rkb_json_type_of(value) != RKB_JSON_STRING)
        return false;
    return !rkb_json_content(value, room, &content) || rkb_glob_match(rkb_slice_text(glob), content);
}

static bool condition_holds(const struct condition *condition, struct rkb_slice value, struct rkb_buffer *room)
{
    bool is_there = value.data != NULL;
    switch (condition->spec->kind) {
    case RKB_FILTER_EXISTS:
        return is_there == condition->spec->exists;
    case RKB_FILTER_EQUALS:
        return is_there && rkb_json_equals(&condition->equals, value);
    case RKB_FILTER_GLOB:
        return is_there && glob_holds(condition->spec->glob, value, room);
    case RKB_FILTER_NONE:
        break;
    }
    return true;
}

bool rkb_filter_passes(const struct rkb_filter *filter, const struct rkb_slice *found, struct rkb_buffer *room)
{
    for (size_t i = 0; i < filter->count; i++) {
        const struct condition *condition = &filter->conditions[i];
        struct rkb_slice value = found == NULL ? rkb_slice(NULL, 0) : found[condition->place];
        if (!condition_holds(condition, value, room))
            return false;
    }
    return true;
}
