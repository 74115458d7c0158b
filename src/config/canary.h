/*
 * canary -- the routes that a config makes by itself: with `canary.topic`, one for each source, by which messages of
 * our own go the whole way (daemon/canary.h).
 *
 * Each is named canary.SOURCE, subscribes to the channel RKB_CANARY_PREFIX INSTANCE:SOURCE, which is nobody else's, and
 * goes to that topic, raw, by its channel as the key. It stands behind all routes of the file.
 */
#ifndef RKB_CONFIG_CANARY_H
#define RKB_CONFIG_CANARY_H

#include "config/reading.h"

/* What is wrong with the settings of the canary, or would be in its way. After all other checks. */
void rkb_canary_check(struct rkb_reading *reading);
/* Adds the routes, where there are to be any. For a config without mistakes. */
void rkb_canary_add_routes(struct rkb_reading *reading);

#endif
