/*
 * discover_plan -- what was seen, as a table of groups: each with a route's name, a topic, and the keys it could have.
 *
 * Report and config show the same plan. Names are valid wherever they go: a route's (rkbridge.yaml(5)), a topic's
 * (Kafka's rule), and two topics never differ by case, `.` and `_` alone.
 */
#ifndef RKB_TOOL_DISCOVER_PLAN_H
#define RKB_TOOL_DISCOVER_PLAN_H

#include "tool/discover_channels.h"
#include "tool/discover_fields.h"

#define RKB_ROUTE_NAME 65               /* with the NUL */
#define RKB_ROUTES_MOST 200

/* Why a group gets no route. */
enum rkb_left_out {
    RKB_LEFT_NOT,
    RKB_LEFT_OURS,                      /* rkbridge's own control channels */
    RKB_LEFT_REDIS,                     /* Redis's own: keyspace events, Sentinel's talk */
    RKB_LEFT_BYTES,                     /* a name that YAML cannot say: not UTF-8, or with a NUL */
    RKB_LEFT_MANY                       /* one route too many */
};
/* "its name is not UTF-8": for people. */
const char *rkb_left_out_why(enum rkb_left_out why);

struct rkb_group {
    struct rkb_slice text;              /* channel or pattern, lent */
    bool is_pattern, is_floor;          /* floor: `channels` is a lower bound */
    uint64_t channels;
    size_t literal;
    struct rkb_figures figures;
    enum rkb_left_out left_out;
    char route[RKB_ROUTE_NAME], topic[RKB_ROUTE_NAME], payload_name[RKB_ROUTE_NAME];
    struct rkb_field fields[RKB_FIELDS_TOLD];
    size_t field_count;
    size_t taken_by;                    /* another group that takes some of its channels; its own index: none */
    uint64_t lost;                      /* how many, of those still known by name */
};

struct rkb_plan {
    struct rkb_group *groups;           /* most messages first */
    size_t count;
    size_t *order;                      /* of routes in the config: channels, then patterns, the narrower first */
    struct rkb_buffer *texts;           /* what the groups' texts are lent from */
    size_t text_count;
};

/* Lends from channels and fields. False when memory ran out; then plan is empty. */
bool rkb_plan_make(struct rkb_plan *plan, struct rkb_channels *channels, const struct rkb_fields *fields);
void rkb_plan_free(struct rkb_plan *plan);

/* "object", "json", "text", "binary", "mixed" or "-": what a group's payloads are. */
const char *rkb_group_form(const struct rkb_group *group);

#endif
