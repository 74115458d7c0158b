/*
 * properties -- kafka.properties: any librdkafka property; NAME_file takes the value from a file.
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
/* NULL where there is none of this name. */
const char *rkb_property_find(const struct rkb_properties *properties, const char *name);

#endif
