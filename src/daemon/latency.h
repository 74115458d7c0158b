/*
 * latency -- a histogram with eight buckets per doubling, from 1 microsecond on (a span is told as at most an eighth
 * more).
 *
 * One thread writes; copies of it are read elsewhere.
 */
#ifndef RKB_DAEMON_LATENCY_H
#define RKB_DAEMON_LATENCY_H

#include <stdint.h>

#define RKB_LATENCY_BUCKETS 320

struct rkb_latency {
    uint64_t count, max_us;
    uint64_t buckets[RKB_LATENCY_BUCKETS];
};

/* Counts one span; one below 0 (the clock went back) counts as 0. */
void rkb_latency_add(struct rkb_latency *latency, int64_t microseconds);
/*
 * The upper edge, in seconds, of the bucket that holds this share (0..1) of all; never above the maximum. 0 when
 * nothing was counted.
 */
double rkb_latency_quantile(const struct rkb_latency *latency, double share);

#endif
