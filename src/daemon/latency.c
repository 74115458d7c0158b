/*
 * latency -- see latency.h.
 *
 * Bucket of n microseconds: below 8 it is n itself; above, the place of the highest bit picks a group of eight,
 * and the three bits behind it the bucket within the group.
 */
#include "daemon/latency.h"

static unsigned bucket_of(uint64_t microseconds)
{
    if (microseconds < 8)
        return (unsigned)microseconds;
    unsigned high = 63u - (unsigned)__builtin_clzll(microseconds);
    unsigned bucket = (high - 2) * 8 + (unsigned)((microseconds >> (high - 3)) & 7);
    return bucket < RKB_LATENCY_BUCKETS ? bucket : RKB_LATENCY_BUCKETS - 1;
}

static uint64_t upper_edge(unsigned bucket)
{
    if (bucket < 8)
        return bucket + 1;
    return (uint64_t)(bucket % 8 + 9) << (bucket / 8 - 1);
}

void rkb_latency_add(struct rkb_latency *latency, int64_t microseconds)
{
    uint64_t span = microseconds > 0 ? (uint64_t)microseconds : 0;
    latency->buckets[bucket_of(span)]++;
    latency->count++;
    if (span > latency->max_us)
        latency->max_us = span;
}

double rkb_latency_quantile(const struct rkb_latency *latency, double share)
{
    uint64_t wanted = (uint64_t)(share * (double)latency->count), seen = 0;
    for (unsigned i = 0; i < RKB_LATENCY_BUCKETS && latency->count > 0; i++) {
        seen += latency->buckets[i];
        if (seen > wanted || seen == latency->count) {
            uint64_t edge = upper_edge(i);
            return (double)(edge < latency->max_us ? edge : latency->max_us) / 1e6;
        }
    }
    return 0;
}
