/*
 * budget -- how long we could stop reading before Redis cuts us off, and whether it is near that.
 *
 * Redis closes a subscriber whose output buffer passes the hard limit, or stays above the soft one for soft_seconds.
 * The buffer grows by what is published to us less what we read. Never: reads a clock, logs. Negative: unknown.
 */
#ifndef RKB_REDIS_BUDGET_H
#define RKB_REDIS_BUDGET_H

#include "redis/client_list.h"

/* Zero at first, but for buffer -1. */
struct rkb_budget {
    bool has_limits, alarm;
    struct rkb_output_limits limits;
    int64_t buffer;                     /* bytes, as Redis told last */
    double rate;                        /* bytes a second that are published to us */
    bool growing;
    int64_t above_soft_us;              /* monotonic: since when the buffer is above the soft limit; 0: it is not */
    int64_t sampled_us;                 /* monotonic: the last sample; 0: none */
    uint64_t read;                      /* bytes read then */
};

/* A new connection: what was measured of the old one says nothing. */
void rkb_budget_begin(struct rkb_budget *budget);
/* buffer: Redis's, -1 where it is unknown; read: bytes that we have read, ever. */
void rkb_budget_sample(struct rkb_budget *budget, int64_t now_us, int64_t buffer, uint64_t read);
/* Seconds until the cut if we stopped reading now; -1: unknown, without limits, or nothing comes. */
double rkb_budget_seconds(const struct rkb_budget *budget, int64_t now_us);
/* Above half of the hard limit, for long above the soft one, or close to the cut at this rate; with hysteresis. */
bool rkb_budget_alarm(struct rkb_budget *budget, int64_t now_us);
/* The buffer was so full when last seen that a cut is the likely reason for a lost connection. */
bool rkb_budget_was_high(const struct rkb_budget *budget);
/* Worth looking again soon. */
bool rkb_budget_filling(const struct rkb_budget *budget);

#endif
