/*
 * difference -- two configs compared, setting by setting, by the table of settings: what a reload would change, and
 * what of it can only count after a restart.
 *
 *     now, next --sources and routes by their names, settings by their rows--> changes --live?--> taken, or refused
 *
 * Sources cannot come or go; routes can, and their order counts. No value is ever repeated, only where it stands.
 * What a file holds that a setting names (value_file, schema) is compared like a setting; what is read again anyway
 * when it is needed (passwords, kafka.properties.NAME_file) is not looked at. Reads no file.
 */
#ifndef RKB_CONFIG_DIFFERENCE_H
#define RKB_CONFIG_DIFFERENCE_H

#include "config/config.h"

struct rkb_difference {
    /* "routes.users: topic, key", "routes.orders: new", "log.level", a line each, without newline at the end of all. */
    struct rkb_buffer changed;
    size_t change_count;
    /* "redis.legacy.url: needs a restart": what could not count without one, likewise. */
    struct rkb_buffer refused;
    size_t refused_count;
};

/* False where memory ran out. Free the difference in any case. */
bool rkb_config_difference(const struct rkb_config *now, const struct rkb_config *next,
                           struct rkb_difference *difference) RKB_MUST_CHECK;
/* Sources of these names come to stand first, in this order: source_index is then the same in two configs. */
void rkb_config_order_sources(struct rkb_config *config, char *const *names, size_t count);
void rkb_difference_free(struct rkb_difference *difference);
/* The same setting in two of its structs (config, source or route, as the row's path says). */
bool rkb_setting_equal(const struct rkb_setting *row, const void *a, const void *b);

#endif
