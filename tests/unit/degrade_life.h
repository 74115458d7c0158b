/*
 * degrade_life -- a journal on a disk that can be told to fail, with a ring beside it, and its turns as the shipper
 * takes them: what the tests of journal/degrade.c share.
 */
#ifndef RKB_TEST_DEGRADE_LIFE_H
#define RKB_TEST_DEGRADE_LIFE_H

#include "recovery_support.h"

#include "journal/ring.h"

#define SECOND INT64_C(1000000)
#define VALUE 1000
#define ROUND 7                 /* messages appended in one go */
#define MEMORY (512 * 1024)

struct life {
    char *directory, *ring_directory;
    struct rkb_journal *journal;
    struct rkb_ring *ring;
    struct rkb_recovery recovery;
    struct rkb_cursor cursor;
    struct batch batch;
    uint64_t read;              /* what the cursor gave last */
    uint64_t dropped;           /* appends refused as full */
    uint64_t shown;             /* by recovery, last */
};

/* Around each test: two directories, and what is left in them goes. */
int life_set_up(void **state);
int life_tear_down(void **state);

/* Opens journal and ring; recovery must show no number twice. */
void life_begin(struct life *life, const struct rkb_sys *sys, bool no_sync);
/* As a kill would: nothing is synced or written any more. */
void life_end(struct life *life);

/* The directory of the segments in memory, malloc'd; NULL when there is none. */
char *life_memory_directory(const struct life *life);
/* How many segments are in it. */
size_t life_in_memory(const struct life *life);
/* As a restart of the machine would. */
void life_forget_memory(const struct life *life);

/* A batch. As the shipper does it: what failed is given up, and the same batch goes on. */
void life_append(struct life *life);
/* What the cursor finds is the next record, whole; all that was read is settled but for the last `behind`. */
void life_read_on(struct life *life, uint64_t behind);
/* A sync job and a checkpoint. */
void life_sync(struct life *life);
/* All of it, and the clock goes on by a second. */
void life_turn(struct life *life, uint64_t behind);

bool life_degraded(const struct life *life);
/* The disk is well again: all is durable after a while, and nothing is left in memory. */
void life_recovers(struct life *life, uint64_t behind);
/* The next start finds every record that was not settled, and goes on behind the highest number. */
void life_starts_again(struct life *life);

#endif
