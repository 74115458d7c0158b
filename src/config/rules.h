/*
 * rules -- one rule of a route's expect or filter: a mapping with `at` and what must hold there.
 *
 *     begin --> a part for each name in the mapping --> end: what the parts say together; into the route's list
 *
 * Every part is checked by itself with the code that will use it, so that what is kept compiles.
 */
#ifndef RKB_CONFIG_RULES_H
#define RKB_CONFIG_RULES_H

#include "config/reading.h"

/* How many names a rule knows; parts of expect and filter. */
#define RKB_RULE_PARTS 13

/* A rule while it is read. */
struct rkb_rule {
    struct rkb_reading *reading;
    const yaml_node_t *node;
    const char *shown;                              /* "routes.users.expect" */
    bool is_filter;
    struct rkb_expect_spec expect;                  /* `at` of both kinds is here until the end */
    struct rkb_filter_spec filter;
    const yaml_node_t *nodes[RKB_RULE_PARTS];       /* by part; NULL: not given */
};

void rkb_rule_begin(struct rkb_rule *rule, struct rkb_reading *reading, const yaml_node_t *node, const char *shown,
                    bool is_filter);
void rkb_rule_part(struct rkb_rule *rule, const yaml_node_t *key, const char *name, const yaml_node_t *value);
/* Of `expects` and `filters` only that of the rule's kind is needed. */
void rkb_rule_end(struct rkb_rule *rule, struct rkb_expects *expects, struct rkb_filters *filters);

void rkb_expects_free(struct rkb_expects *expects);
void rkb_filters_free(struct rkb_filters *filters);

#endif
