/* backoff -- see backoff.h. */
#include "redis/backoff.h"

struct rkb_backoff rkb_backoff(int64_t min_us, int64_t max_us)
{
    if (min_us < 1)
        min_us = 1;
    if (max_us < min_us)
        max_us = min_us;
    return (struct rkb_backoff){min_us, max_us, min_us};
}

int64_t rkb_backoff_next(struct rkb_backoff *backoff, uint32_t random)
{
    int64_t base = backoff->base_us;
    backoff->base_us = base > backoff->max_us / 2 ? backoff->max_us : base * 2;
    int64_t wait = base - base / 4 + (int64_t)((double)(base / 2) * ((double)random / UINT32_MAX));
    return wait > backoff->max_us ? backoff->max_us : wait;
}

void rkb_backoff_reset(struct rkb_backoff *backoff)
{
    backoff->base_us = backoff->min_us;
}
