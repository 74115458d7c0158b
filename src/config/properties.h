/*
 * properties -- lists of names and values: kafka.properties (any librdkafka property; NAME_file takes the value from
 * a file) and a topic's settings.
 */
#ifndef RKB_CONFIG_PROPERTIES_H
#define RKB_CONFIG_PROPERTIES_H

#include "config/reading.h"

/*
 * Adds one property, checked by itself. One that is a mistake is added too, as "", so that
 * it does not count as missing.
 */
void rkb_property_read(struct rkb_reading *reading, const yaml_node_t *key, const char *name, const yaml_node_t *value,
                       struct rkb_properties *properties);
/* Adds a name and a value, all copied; file: where the value was read from, or NULL. */
bool rkb_properties_add(struct rkb_properties *properties, const char *name, const char *value,
                        const char *file) RKB_MUST_CHECK;
/* NULL where there is none of this name. */
const char *rkb_property_find(const struct rkb_properties *properties, const char *name);
/* Whether both hold the same names with the same values, in whatever order. */
bool rkb_properties_equal(const struct rkb_properties *a, const struct rkb_properties *b);

#endif
