/*
 * idle -- notices that somebody closes connections for being idle: a proxy, a firewall, a balancer.
 *
 *     ended after much the same silence as the one before, twice and more --> said
 *
 * Redis itself never does so to a subscriber. The silence is the time in which not a byte went either way. Counts only
 * ends by the other side, and only silences long enough to be meant; anything else begins anew.
 */
#ifndef RKB_REDIS_IDLE_H
#define RKB_REDIS_IDLE_H

#include <stdint.h>

#include "base/error.h"

struct rkb_idle {
    int64_t silence_us;         /* of the last end that counted */
    unsigned times;             /* in a row, about the same */
};

/*
 * A connection ended, after so long without a byte. error: why; where it is one of a kind, how to end that is added to
 * its text.
 */
void rkb_idle_ended(struct rkb_idle *idle, int64_t silence_us, int64_t heartbeat_us, struct rkb_error *error);

#endif
