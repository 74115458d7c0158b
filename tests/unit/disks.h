/*
 * disks -- tables of system calls for tests: a disk that never makes anyone wait, and one whose nth call of a kind
 * fails.
 */
#ifndef RKB_TEST_DISKS_H
#define RKB_TEST_DISKS_H

#include <stdbool.h>

#include "base/sys.h"

/* The posix table, but a sync waits for nothing: thousands of openings are too many for real ones. */
const struct rkb_sys *quick_disk(void);

enum call {
    CALL_OPEN,
    CALL_PREAD,
    CALL_PWRITE,            /* fails after half of it was written, as disks do */
    CALL_PWRITE_SHORT,      /* writes half, and says so */
    CALL_FDATASYNC,
    CALL_FSYNC,
    CALL_SPACE,             /* whose failure nobody minds */
    CALL_ALLOCATE,          /* fails after half of it was allocated */
    CALL_FTRUNCATE,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_RANDOM,
    CALL_CHANGE,            /* each that changes a file or a directory */
    CALLS,
};

/* The quick disk with calls that can be told to fail; none of them does yet. There is one at a time. */
const struct rkb_sys *faulty_disk(void);
/* From here on the nth call of this kind fails with this errno, once; 0: none. */
void fail_call(enum call call, int nth, int number);
/* From here on every call of this kind fails with this errno, until fail_call. */
void fail_calls(enum call call, int number);
/* Only what concerns files under this directory fails (or is counted); NULL: all. */
void fail_only_under(const char *directory);
/* How many calls of this kind there were, whatever became of them, since faulty_disk. */
int calls_of(enum call call);
/* Turns the faulty disk's monotonic clock, which stands still otherwise. */
void turn_clock(int64_t microseconds);
/* What the faulty disk's file system says of itself; unless told it says what is true. */
void tell_space(uint64_t size, uint64_t available);
/* Has it, since fail_call? */
bool call_failed(void);

#endif
