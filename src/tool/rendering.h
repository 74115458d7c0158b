/*
 * rendering -- what a message would become, by the code that the bridge has for it: router, rules, envelope.
 *
 *     channel --the source's router, all its subscriptions confirmed--> route --its rules--> a record
 *                 |                                                              +--> a dead letter, or nothing
 *                 +--> no route takes it
 *
 * Never: asks a server, opens a journal. UUID and position are made as the relay makes them, from a mark whose random
 * bits are 00112233445566778899aabbccddeeff: so the same message at the same time is the same record.
 */
#ifndef RKB_TOOL_RENDERING_H
#define RKB_TOOL_RENDERING_H

#include "config/config.h"

struct rkb_render_message {
    struct rkb_slice channel, payload;
    uint64_t payload_size;          /* more than payload has where it was too large to be held */
    int64_t time_us;                /* when it was read */
    const char *uuid;               /* 36 bytes in place of its own; NULL */
};

struct rkb_rendering_route {
    const struct rkb_config_route *config;
    struct rkb_rules *rules;
};

struct rkb_rendering {
    const struct rkb_config_source *source;
    const struct rkb_config_route *route;   /* NULL: none of the source's routes takes the channel */
    struct rkb_slice pattern;               /* the one that took it; empty: its channel was named */
    struct rkb_verdict verdict;             /* code and reason also where it is dropped */
    struct rkb_buffer topic;                /* of a record */
    bool has_key;
    struct rkb_slice key, headers, value;   /* of a record */
    /* What the above points into. */
    struct rkb_buffer record;
    struct rkb_router *router;
    struct rkb_rendering_route *routes;
    size_t route_count;
};

/*
 * What the source makes of the message; only_route: as if it had no other route. False when memory ran out. Config and
 * message must outlive the rendering, which is to be freed in any case.
 */
bool rkb_rendering_make(struct rkb_rendering *rendering, const struct rkb_config *config, size_t source,
                        const char *only_route, const struct rkb_render_message *message, struct rkb_error *error);
void rkb_rendering_free(struct rkb_rendering *rendering);

#endif
