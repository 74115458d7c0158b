/*
 * recovery_support -- what the tests of a journal found again share: journals to find, what recovery showed of them,
 * and segments in memory to cut and to flip.
 */
#ifndef RKB_TEST_RECOVERY_SUPPORT_H
#define RKB_TEST_RECOVERY_SUPPORT_H

#include "journal_support.h"

#include "disks.h"

#define LIMIT (8 * MIB)
#define SEGMENT (64 * 1024)
#define SIZE 60             /* of a message's value */

/* What recovery showed, and whether it was right. */
struct seen {
    uint64_t numbers[64];
    size_t count;
    bool wrong;
};

struct rkb_journal *try_open(const char *directory, const struct rkb_sys *sys, struct rkb_recovery *recovery,
                             struct seen *seen, struct rkb_error *error);
/* On a quick disk; fails the test when that fails. */
struct rkb_journal *must_open(const char *directory, struct rkb_recovery *recovery, struct seen *seen);

/* Names, a mark, messages and a gap: numbers first..first+11. */
void append_dozen(struct rkb_journal *journal, uint64_t first);
/* So many segments of a dozen records each, all closed. */
void make_dozens(const char *directory, uint64_t count);
/* Recovery told of one damage, and that it took the records first..last. */
void assert_lost(const struct rkb_recovery *recovery, uint64_t first, uint64_t last);
/* The cursor's next record is this one, and it is right. */
void assert_next(struct rkb_cursor *cursor, uint64_t number);
/* The journal goes on from here as if nothing had been: appends, is read, opens again with all of it. Closes it. */
void goes_on(struct rkb_journal *journal, const char *directory, const struct seen *before, uint64_t next);

/* A segment in memory, and where its records end. */
struct sample {
    char *path;
    uint8_t *bytes;
    size_t size;            /* of the file */
    size_t used;            /* up to the end of its last record */
    size_t ends[32];        /* of its numbered records, in order */
    size_t count;
};

/* The segment whose first number this is. */
struct sample take_sample(const char *directory, unsigned first);
void free_sample(struct sample *sample);
/* Over what stands there, so that who has it open or mapped sees it. */
void write_over(const char *path, const uint8_t *bytes, size_t size);
/* Four dozens, open; then the fifth record of the second one, number 17, is damaged under it. */
struct rkb_journal *damaged_while_open(const char *directory);
/* How many numbered records lie wholly before `at`. */
size_t whole_before(const struct sample *sample, size_t at);
/* Writes its first `size` bytes back with one bit of the byte at `flip` turned over; the sample stays as it is. */
void write_flipped(const struct sample *sample, size_t flip, size_t size);

void remove_segment(const char *directory, unsigned first);
/* All that there may be. */
void remove_segments(const char *directory);

#endif
