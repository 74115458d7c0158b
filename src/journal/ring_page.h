/*
 * ring_page -- the first bytes of a ring's file: what never changes, and the notes, which do.
 *
 *     [ fixed, checksum ][ head | tail | read, clock | low, next, not_durable | place, boot, topics ... ] [ data
 *
 * The notes change at every message and are in memory, where no checksum can follow them. So each is stored three
 * times, side by side, and what two of them say counts: a bit that flips in one changes nothing, and a kill between
 * two of the stores leaves the old value or the new one. Nothing outside src/journal/ring*.c includes this.
 */
#ifndef RKB_JOURNAL_RING_PAGE_H
#define RKB_JOURNAL_RING_PAGE_H

#include "base/error.h"
#include "journal/ring.h"

#include <stdalign.h>
#include <stdatomic.h>

#define RKB_RING_FIXED 56       /* bytes that never change, the checksum at their end included; in each version */
#define RKB_RING_COPIES 3
#define RKB_RING_OFFSET 12288   /* of the data */

struct rkb_ring_note {
    _Atomic uint64_t copies[RKB_RING_COPIES];
};

/* Lines of the cache of their own for those that have a writer of their own. */
struct rkb_ring_page {
    uint8_t fixed[64];
    alignas(64) struct rkb_ring_note head;
    alignas(64) struct rkb_ring_note tail;
    alignas(64) struct rkb_ring_note read;
    struct rkb_ring_note clock;     /* these two have one writer, and so the next three */
    alignas(64) struct rkb_ring_note low;
    struct rkb_ring_note next, not_durable;
    alignas(64) struct rkb_ring_note place;         /* these two never change while it is open */
    struct rkb_ring_note boot;
    struct rkb_ring_note topics[RKB_RING_TOPICS];
};

/* Who reads copies[0] and acts on it leaves a file in which at least two say so. */
static inline void rkb_ring_set(struct rkb_ring_note *note, uint64_t value)
{
    atomic_store_explicit(&note->copies[1], value, memory_order_relaxed);
    atomic_store_explicit(&note->copies[2], value, memory_order_relaxed);
    atomic_store_explicit(&note->copies[0], value, memory_order_release);
}

static inline uint64_t rkb_ring_get(const struct rkb_ring_note *note, memory_order order)
{
    return atomic_load_explicit(&note->copies[0], order);
}

/* What the fixed bytes say. */
struct rkb_ring_head {
    uint32_t version;
    size_t offset;              /* of the data */
    uint8_t journal_id[16];
    uint64_t salt, size;
};

void rkb_ring_head_write(uint8_t at[RKB_RING_FIXED], const struct rkb_ring_head *head);
/* RKB_DAMAGED or RKB_VERSION, with the path. `at` has RKB_RING_FIXED bytes. */
bool rkb_ring_head_read(const uint8_t *at, const char *path, struct rkb_ring_head *head,
                        struct rkb_error *error) RKB_MUST_CHECK;

/* All notes as plain numbers. */
struct rkb_ring_values {
    uint64_t head, tail, read, clock, low, next, not_durable;
    uint64_t place;             /* hash of the journal's directory; 0: not known */
    uint64_t boot;
    uint64_t topics[RKB_RING_TOPICS];
};

/*
 * From the bytes before the data, of head->offset. False (RKB_DAMAGED) where head or tail read in three ways; of
 * another note the lowest counts then, which promises least.
 */
bool rkb_ring_values_read(const uint8_t *page, const struct rkb_ring_head *head, const char *path,
                          struct rkb_ring_values *values, struct rkb_error *error) RKB_MUST_CHECK;
void rkb_ring_values_write(struct rkb_ring_page *page, const struct rkb_ring_values *values);

/* All of them from a file of ours that is not open; false, whatever is wrong with it. */
bool rkb_ring_file_read(const char *path, const struct rkb_sys *sys, struct rkb_ring_head *head,
                        struct rkb_ring_values *values) RKB_MUST_CHECK;

/* A file of ours: regular, of our user, mode 0600. */
struct stat;
bool rkb_ring_is_ours(const struct stat *status, const char *path, struct rkb_error *error) RKB_MUST_CHECK;

#endif
