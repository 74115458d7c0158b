/*
 * check -- what no setting shows by itself: places on the disk, settings that exclude each other,
 * names that must exist, templates.
 */
#ifndef RKB_CONFIG_CHECK_H
#define RKB_CONFIG_CHECK_H

#include "config/reading.h"

/* instance, redis, kafka, journal, control; fills in what follows from other settings. */
void rkb_check_settings(struct rkb_reading *reading);
/* Who has the admin right on the control socket: fills in the numbers. */
void rkb_check_admins(struct rkb_reading *reading);
/* routes, and that every source has one. */
void rkb_check_routes(struct rkb_reading *reading);
/* Reads and compiles a route's schema; what is wrong with it is told with the place in its file. */
void rkb_check_schema(struct rkb_reading *reading, const struct rkb_section *section, struct rkb_config_route *route);
/* The routes' topics, and those of their dead letters; fills in topic_varies. */
void rkb_check_topics(struct rkb_reading *reading);
/* A route's checks; adds to pointers what they look at. */
void rkb_check_rules(struct rkb_reading *reading, const struct rkb_section *section,
                     const struct rkb_config_route *route, struct rkb_pointers *pointers);
/* Warns of keys that leave partitions unused. For a config without mistakes. */
void rkb_check_keys(struct rkb_reading *reading);

#endif
