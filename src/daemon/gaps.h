/*
 * gaps -- keeps the gaps of this instance: which are open, the latest ones for people, and their records.
 *
 *     open --record--> (open) --close--> record with the same id --> ledger
 *
 * A gap's record goes the way of every record, through the ring; where it has no room the gap waits here and is
 * written with the next flush. Holds the latest 4,096, which is what the ledger holds. Loop thread.
 *
 * A clock that is set back makes its times mean two things. So each gap knows by how much the clock was ahead
 * of the one that only goes forward (CLOCK_MONOTONIC) when it began; where it is less at its end, the gap is
 * made longer by the difference, at both ends: then it covers the time by the clock as it was, and by the
 * clock as it is. Where that is not known (the machine was started anew, or is another) and the gap begins
 * later than now, the difference counts twice.
 */
#ifndef RKB_DAEMON_GAPS_H
#define RKB_DAEMON_GAPS_H

#include "base/sys.h"
#include "journal/gap.h"

struct rkb_gaps;

/*
 * `append` writes one gap record to the ring: source by its number, the value as JSON. It sets gap->id to the
 * record's sequence number first where it is 0. False when the ring has no room.
 */
struct rkb_gaps *rkb_gaps_new(bool (*append)(void *context, struct rkb_gap *gap), void *context);
void rkb_gaps_free(struct rkb_gaps *gaps);

/*
 * From now on these clocks are looked at, when a gap begins or ends and when one is asked for; `boot` is the
 * machine's, and `noted_us` how far ahead the one was when the instance before had last looked, 0: not known.
 * All gaps that are open have been recalled.
 */
void rkb_gaps_use_clock(struct rkb_gaps *gaps, const struct rkb_sys *sys, uint64_t boot, int64_t noted_us);
/*
 * How far ahead the clock is, for a gap that begins now: for a minute after it went back what it was before, since what
 * was read before that has its time by it.
 */
int64_t rkb_gaps_clock(struct rkb_gaps *gaps);
/* By how many microseconds it went back since this was asked last; 0: it did not. */
int64_t rkb_gaps_clock_went_back(struct rkb_gaps *gaps);

/* A gap from the ledger or the journal, as recovery found it; a newer state of a known id replaces it. */
void rkb_gaps_recall(struct rkb_gaps *gaps, const struct rkb_gap *gap);

/* Opens a gap, or gives the open one of this source and reason. The handle is valid until it is closed. */
struct rkb_gap *rkb_gaps_open(struct rkb_gaps *gaps, const char *source, const char *reason, int64_t from_us);
/* The same, with what else is known of it in `like`. */
struct rkb_gap *rkb_gaps_open_like(struct rkb_gaps *gaps, const struct rkb_gap *like);
/* An open gap of this source with this reason (NULL: any), or NULL. */
struct rkb_gap *rkb_gaps_find_open(struct rkb_gaps *gaps, const char *source, const char *reason);
/* Closes it: the handle is no longer valid. */
void rkb_gaps_close(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t to_us);
/*
 * It is over, but its bound is still to be found: it waits, and its record with it, until it is closed. A start after a
 * crash finds it open, and goes on with it.
 */
void rkb_gaps_wait(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t to_us);
/* The first gap of this source that waits so, or NULL. */
struct rkb_gap *rkb_gaps_find_waiting(struct rkb_gaps *gaps, const char *source);
/* Writes the records that had no room. */
void rkb_gaps_flush(struct rkb_gaps *gaps);

size_t rkb_gaps_count(const struct rkb_gaps *gaps);
/* In the order in which they were opened. */
const struct rkb_gap *rkb_gaps_at(const struct rkb_gaps *gaps, size_t index);

#endif
