/*
 * inspect -- reads a journal offline, by the journal's own code: no lock is taken, nothing is changed.
 *
 * A bridge may be running: its newest segment is read as far as it was written at that moment, and a segment it removed
 * meanwhile is passed over.
 */
#ifndef RKB_JOURNAL_INSPECT_H
#define RKB_JOURNAL_INSPECT_H

#include "base/sys.h"
#include "journal/acks.h"
#include "journal/dictionary.h"
#include "journal/format.h"

struct rkb_inspection;

enum rkb_segment_state {
    RKB_SEGMENT_SEALED,     /* whole */
    RKB_SEGMENT_FILLING,    /* the newest: whole so far, room behind it */
    RKB_SEGMENT_TORN,       /* the newest: an unfinished write at its end, which the next start cuts off */
    RKB_SEGMENT_DAMAGED,    /* does not read back from `offset` on */
    RKB_SEGMENT_NEWER,      /* written by a newer rkbridge */
    RKB_SEGMENT_GONE        /* was removed while we looked */
};

struct rkb_inspected_segment {
    char path[4096];
    uint64_t first, last;               /* of the records that count; last is first - 1 when there are none */
    uint64_t size;                      /* of the file */
    uint64_t used;                      /* up to the last record that counts */
    uint64_t records[RKB_GAP + 1];      /* by kind */
    enum rkb_segment_state state;
    uint64_t offset;                    /* torn or damaged: where ... */
    char reason[480];                   /* ... and why */
    uint64_t missing_first, missing_last; /* unsettled numbers that should follow and are nowhere; 0, 0: none */
    struct rkb_segment_head head;       /* where it reads */
    bool head_reads;
};

struct rkb_inspected_checkpoint {
    bool reads;
    char reason[480];                   /* why not */
    uint64_t low;
    uint32_t range_count;
    uint64_t settled_above;             /* numbers in the ranges */
    uint64_t high;                      /* the highest settled number */
    uint32_t topic_count;               /* that have a low of their own, higher than low ... */
    uint64_t topic_high;                /* ... up to this */
    uint64_t last_epoch, last_mark_ms;
    int64_t last_time_us;
};

/* NULL: no journal there, or it cannot be read. */
struct rkb_inspection *rkb_inspect_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error);
void rkb_inspect_close(struct rkb_inspection *inspection);

/* The journal's id as the lock file has it; NULL when that does not read. */
const uint8_t *rkb_inspect_id(const struct rkb_inspection *inspection);
const struct rkb_inspected_checkpoint *rkb_inspect_checkpoint(const struct rkb_inspection *inspection);
size_t rkb_inspect_segments(const struct rkb_inspection *inspection);
/* What the segments read so far have named. */
const struct rkb_dictionary *rkb_inspect_names(const struct rkb_inspection *inspection);
/* True for a record of a segment that was read by rkb_inspect_segment. */
bool rkb_inspect_settled(const struct rkb_inspection *inspection, uint64_t sequence);
/* Numbers that are not settled and lie before the oldest segment; false: none. */
bool rkb_inspect_missing_before(const struct rkb_inspection *inspection, uint64_t *first, uint64_t *last);

/*
 * Reads one segment, the oldest being 0, in order; `visit`, if given, sees every record that counts. False: it cannot
 * be read (RKB_SYSTEM).
 */
bool rkb_inspect_segment(struct rkb_inspection *inspection, size_t index, struct rkb_inspected_segment *segment,
                         void (*visit)(void *context, const struct rkb_record *record), void *context,
                         struct rkb_error *error) RKB_MUST_CHECK;

/* The file of dead letters. */
struct rkb_inspected_dead {
    bool there;
    char path[4096];
    uint64_t size, count;               /* of the file; of the letters that count */
    enum rkb_segment_state state;       /* SEALED, TORN, DAMAGED or NEWER */
    uint64_t offset;                    /* where it is not whole ... */
    char reason[480];                   /* ... and why */
};

/*
 * Reads it; `visit`, if given, sees each letter (kind RKB_DEAD) with its message. False: it cannot be read
 * (RKB_SYSTEM).
 */
bool rkb_inspect_dead(const struct rkb_inspection *inspection, struct rkb_inspected_dead *dead,
                      void (*visit)(void *context, const struct rkb_record *letter, const struct rkb_record *message),
                      void *context, struct rkb_error *error) RKB_MUST_CHECK;

#endif
