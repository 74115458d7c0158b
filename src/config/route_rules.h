/*
 * route_rules -- from a route's settings to what message/rules.h compiles.
 */
#ifndef RKB_CONFIG_ROUTE_RULES_H
#define RKB_CONFIG_ROUTE_RULES_H

#include "config/config.h"
#include "message/rules.h"

/* How many headers a route may add. */
#define RKB_ROUTE_HEADERS 32

struct rkb_route_rules {
    struct rkb_rules_spec spec;
    struct rkb_envelope_header headers[RKB_ROUTE_HEADERS];
};

/* Fills rules, which lends what the route and `instance` have and must stay where it is while it is compiled. */
void rkb_route_rules(const struct rkb_config_route *route, struct rkb_name_forms instance,
                     struct rkb_route_rules *rules);

#endif
