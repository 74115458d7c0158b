/*
 * repeat -- lets the first few of a kind pass and counts the rest.
 *
 * A kind is any 64-bit number (a hash). Of each kind RKB_REPEAT_PASS pass in a window of RKB_REPEAT_WINDOW_US, which
 * begins with its first; the first after that window learns how many were held back. Fixed memory: when more kinds than
 * RKB_REPEAT_KINDS are alive at once, the new ones pass unlimited. Not thread-safe.
 */
#ifndef RKB_BASE_REPEAT_H
#define RKB_BASE_REPEAT_H

#include <stdbool.h>
#include <stdint.h>

#define RKB_REPEAT_KINDS 256
#define RKB_REPEAT_PASS 10
#define RKB_REPEAT_WINDOW_US 10000000

/* Zero-initialise. */
struct rkb_repeat {
    struct {
        uint64_t kind, suppressed;
        int64_t since_us;
        uint32_t passed;    /* 0: the slot is free */
    } slots[RKB_REPEAT_KINDS];
};

/* May this one pass? *suppressed: how many of its kind did not since the last that did. */
bool rkb_repeat_pass(struct rkb_repeat *repeat, uint64_t kind, int64_t now_us, uint64_t *suppressed);

#endif
