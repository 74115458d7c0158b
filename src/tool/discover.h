/*
 * discover -- what the parts of `rkbctl discover` share: a finished listening and its plan, shown or written.
 *
 * Promise of all of them: no value of a payload, and no secret, is ever shown or written.
 */
#ifndef RKB_TOOL_DISCOVER_H
#define RKB_TOOL_DISCOVER_H

#include "tool/discover_listen.h"
#include "tool/discover_plan.h"

struct rkb_discovery {
    const struct rkb_listen_options *options;
    const struct rkb_heard *heard;
    const struct rkb_plan *plan;
    const char *written;                /* the config's path, or NULL */
    int64_t started_us;                 /* realtime */
};

/* For people, on 100 columns. */
void rkb_discover_text(const struct rkb_discovery *discovery, struct rkb_buffer *out);
/* All of it, one JSON object on one line. */
void rkb_discover_json(const struct rkb_discovery *discovery, struct rkb_buffer *out);
/* A config that `rkbridge --check` takes, with comments. False: there is nothing to route. */
bool rkb_discover_config(const struct rkb_discovery *discovery, struct rkb_buffer *out);

/* Why listening ended, for people; NULL: the time was up. */
const char *rkb_discover_ending(const struct rkb_heard *heard);
/* How many a second. */
double rkb_discover_rate(const struct rkb_heard *heard, uint64_t count);

#endif
