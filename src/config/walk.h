/*
 * walk -- goes through the document along the table of settings and fills the config.
 *
 *     name in the file --> row?     --> its value, by the row's type
 *                      --> section? --> the names in it (journal), or one section for each name in it (redis, routes)
 *                      --> neither: unknown, with the nearest name that is known
 *
 * Defaults are set first, so that after a mistake every setting still has a value to go on checking with.
 */
#ifndef RKB_CONFIG_WALK_H
#define RKB_CONFIG_WALK_H

#include "config/reading.h"

/* False where the file is no mapping of settings at all, so that there is nothing to check. */
bool rkb_walk(struct rkb_reading *reading);
/* The defaults of one kind ("redis.*.", "routes.*.", "" for everything else) into the struct of its rows. */
void rkb_walk_defaults(struct rkb_reading *reading, const char *kind, void *base);

#endif
