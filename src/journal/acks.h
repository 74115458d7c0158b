/*
 * acks -- which sequence numbers are settled: all below `low`, and a set above it.
 *
 * The checkpoint is written from this. Memory grows with the distance between low and the highest
 * settled number (one bit each), not with the length of an outage. One thread.
 */
#ifndef RKB_JOURNAL_ACKS_H
#define RKB_JOURNAL_ACKS_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct rkb_acks;

struct rkb_range {
    uint64_t first, count;
};

struct rkb_acks *rkb_acks_new(uint64_t low);
void rkb_acks_free(struct rkb_acks *acks);
/* Settles one number; one that is settled already is ignored. False (RKB_NO_MEMORY) leaves it unsettled. */
bool rkb_acks_add(struct rkb_acks *acks, uint64_t sequence, struct rkb_error *error) RKB_MUST_CHECK;
/*
 * Settles all from `first` up to, but without, `end`. Costs nothing for numbers nobody has: a span as long as the
 * numbers are many takes no time and no memory where nothing behind `first` was settled yet.
 */
bool rkb_acks_add_span(struct rkb_acks *acks, uint64_t first, uint64_t end, struct rkb_error *error) RKB_MUST_CHECK;
/* Takes off both ends of the span what is settled; false where nothing of it is left. */
bool rkb_acks_open(const struct rkb_acks *acks, uint64_t *first, uint64_t *last) RKB_MUST_CHECK;
bool rkb_acks_has(const struct rkb_acks *acks, uint64_t sequence);
/* The lowest number that is not settled. */
uint64_t rkb_acks_low(const struct rkb_acks *acks);
/* The number after the highest that is settled. */
uint64_t rkb_acks_high(const struct rkb_acks *acks);
/* Raises low to at least `low`; what is below counts as settled. */
void rkb_acks_raise(struct rkb_acks *acks, uint64_t low);
/*
 * The settled ranges above low, as far as they lie below `limit`, ascending, into out; returns how many. Where there
 * are more than `room`, the highest: below them the topics' lows tell nearly all (journal.h).
 */
size_t rkb_acks_ranges(const struct rkb_acks *acks, uint64_t limit, struct rkb_range *out, size_t room);

#endif
