/* idle -- see idle.h. */
#include "redis/idle.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"

#define LEAST_US INT64_C(500000)        /* a shorter silence is chance */
#define TIMES 2

/* Within a fifth, or a second where that is more: such clocks are coarse. */
static bool alike(int64_t a, int64_t b)
{
    int64_t off = a > b ? a - b : b - a, most = b / 5 > 1000000 ? b / 5 : 1000000;
    return off <= most;
}

void rkb_idle_ended(struct rkb_idle *idle, int64_t silence_us, int64_t heartbeat_us, struct rkb_error *error)
{
    char silence[32], heartbeat[32];
    if (error->code != RKB_CLOSED || silence_us < LEAST_US) {
        *idle = (struct rkb_idle){0};
        return;
    }
    idle->times = idle->times > 0 && alike(silence_us, idle->silence_us) ? idle->times + 1 : 1;
    idle->silence_us = silence_us;
    if (idle->times < TIMES)
        return;
    size_t used = strlen(error->text);
    rkb_format_duration(silence, sizeof silence, (silence_us + 50000) / 100000 * 100000);
    rkb_format_duration(heartbeat, sizeof heartbeat, heartbeat_us);
    snprintf(error->text + used, sizeof error->text - used,
             " (%u times in a row after about %s without a byte: a proxy or a firewall closes idle connections; set "
             "heartbeat, now %s, well below that)", idle->times, silence, heartbeat);
}
