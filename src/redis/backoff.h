/*
 * backoff -- how long to wait before trying again: from near nothing, doubling up to a limit, each time with jitter.
 *
 * Goes back to its start only when told to: the owner does so after a stretch of health, not after a bare connect.
 */
#ifndef RKB_REDIS_BACKOFF_H
#define RKB_REDIS_BACKOFF_H

#include <stdint.h>

struct rkb_backoff {
    int64_t min_us, max_us;
    int64_t base_us;        /* the next wait without its jitter */
};

struct rkb_backoff rkb_backoff(int64_t min_us, int64_t max_us);
/* The next wait: the base, give or take a quarter, never above max_us. random: any 32 bits. */
int64_t rkb_backoff_next(struct rkb_backoff *backoff, uint32_t random);
void rkb_backoff_reset(struct rkb_backoff *backoff);

#endif
