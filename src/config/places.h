/*
 * places -- where each setting of a config is written, for whoever points there after the file was read.
 *
 * Named as people know them: "redis.legacy.url", "routes.users.channels[2]", "kafka.properties.bootstrap.servers".
 */
#ifndef RKB_CONFIG_PLACES_H
#define RKB_CONFIG_PLACES_H

#include "config/findings.h"

struct rkb_setting_place {
    char *path;
    struct rkb_place place;
};

/* Zero-initialise; filled by rkb_config_read_placed. Places that memory did not suffice for are not known. */
struct rkb_places {
    struct rkb_setting_place *list;     /* sorted by path */
    size_t count, capacity;
};

/* The setting's place; where it is not written that of the nearest name above it; 0, 0 where there is none either. */
struct rkb_place rkb_places_find(const struct rkb_places *places, const char *path);
void rkb_places_free(struct rkb_places *places);

struct rkb_reading;
/* Notes all that was given. */
void rkb_places_take(struct rkb_places *places, struct rkb_reading *reading);

#endif
