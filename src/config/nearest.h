/* nearest -- the known name that a wrong one was probably meant to be. */
#ifndef RKB_CONFIG_NEAREST_H
#define RKB_CONFIG_NEAREST_H

#include <stddef.h>

/* Keeps the best candidate so far; zero-initialise. */
struct rkb_nearest {
    const char *name;           /* lent; NULL while none is near enough */
    size_t distance;
};

/*
 * Offers a candidate. Near enough: one edit for names up to 5 bytes, two up to 11, three above; two
 * neighbours swapped are one edit.
 */
void rkb_nearest_offer(struct rkb_nearest *nearest, const char *wrong, const char *candidate);

#endif
