/*
 * histogram -- how many values fell into each of some buckets, and their sum; times in microseconds, sizes in bytes.
 *
 * One thread adds, on the way of each message: the bucket of the value before is tried first, since values come in
 * runs, so adding costs a nanosecond or two. Other threads see copies. Zero-initialise but for `kind`.
 */
#ifndef RKB_BASE_HISTOGRAM_H
#define RKB_BASE_HISTOGRAM_H

#include <stdint.h>

#define RKB_HISTOGRAM_BOUNDS 16

struct rkb_histogram_kind {
    unsigned count;                             /* of bounds; behind the last is one more bucket, for what is above */
    uint64_t bounds[RKB_HISTOGRAM_BOUNDS];      /* ascending; a value belongs to the first that is not below it */
    double unit;                                /* what one is in what is shown: 1e-6 for microseconds in seconds */
};

struct rkb_histogram {
    const struct rkb_histogram_kind *kind;
    uint64_t sum;
    uint64_t least, most;                       /* what belongs to bucket `last`; most 0: nothing was added yet */
    unsigned last;
    uint64_t counts[RKB_HISTOGRAM_BOUNDS + 1];
};

/* Makes the value's bucket the one that is tried first. */
void rkb_histogram_find(struct rkb_histogram *histogram, uint64_t value);

static inline void rkb_histogram_add(struct rkb_histogram *histogram, uint64_t value)
{
    if (value < histogram->least || value > histogram->most)
        rkb_histogram_find(histogram, value);
    histogram->counts[histogram->last]++;
    histogram->sum += value;
}

/* A span of time; one below 0 (the clock went back) counts as 0. */
static inline void rkb_histogram_add_span(struct rkb_histogram *histogram, int64_t microseconds)
{
    rkb_histogram_add(histogram, microseconds > 0 ? (uint64_t)microseconds : 0);
}

/* What is kept, and its buckets: see the metrics of the same names (doc/metrics.md). */
extern const struct rkb_histogram_kind rkb_histogram_delivery;     /* from Redis to the acknowledgement */
extern const struct rkb_histogram_kind rkb_histogram_produce;      /* from librdkafka to the acknowledgement */
extern const struct rkb_histogram_kind rkb_histogram_sync;         /* of the journal */
extern const struct rkb_histogram_kind rkb_histogram_turn;         /* of the loop */
extern const struct rkb_histogram_kind rkb_histogram_size;         /* of payloads, in bytes */

#endif
