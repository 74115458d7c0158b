/*
 * routing -- what the relay goes by: a config's routes, compiled, and for each source what is subscribed to and which
 * route takes what.
 *
 *     config --rkb_routing_new, in any thread--> whole but for numbers --the relay gives them--> in use --> freed
 *
 * Numbers of names are the loop's to give (relay_init.c), since their records go to the ring. Reads no file.
 */
#ifndef RKB_DAEMON_ROUTING_H
#define RKB_DAEMON_ROUTING_H

#include "config/config.h"
#include "message/route.h"
#include "message/rules.h"
#include "redis/subscriptions.h"

struct rkb_route_topics;

struct rkb_relay_route {
    const struct rkb_config_route *config;
    struct rkb_rules *rules;
    uint32_t number;
    uint32_t topic;                     /* 0: it varies, and */
    struct rkb_route_topics *topics;    /* says which it is; else NULL */
    uint32_t dead_topic;                /* where its dead letters go; 0: to the file */
    bool canary;                        /* its messages are told to the source's watch */
    uint8_t flags;                      /* of its records: RKB_FLAG_CHANNEL, RKB_FLAG_FORM */
};

struct rkb_routing_source {
    struct rkb_router *router;          /* NULL once somebody has taken it */
    struct rkb_subscriptions wanted;    /* likewise, emptied */
    bool events;                        /* a subscription may match what is no PUBLISH */
    uint32_t gap_topic;                 /* the number of the topic that is told of its gaps; 0: none */
};

struct rkb_routing {
    const struct rkb_config *config;
    struct rkb_config *owned;           /* the same, where the routing frees it; else NULL */
    struct rkb_relay_route *routes;     /* in the order of the config */
    struct rkb_routing_source *sources;    /* likewise */
};

/* NULL and *error (RKB_NO_MEMORY, or what cannot be compiled). The config must outlive the routing. */
struct rkb_routing *rkb_routing_new(const struct rkb_config *config, struct rkb_error *error);
/* With its config where that is its own. NULL is allowed. */
void rkb_routing_free(struct rkb_routing *routing);
/* The route's topic is a template. */
bool rkb_routing_varies(const struct rkb_relay_route *route);

#endif
