/*
 * journal -- the on-disk queue of records, made of segments.
 *
 *     directory/ lock                       one process, holds the journal id and the pid
 *                checkpoint                 two slots (checkpoint.c)
 *                ledger                     the gaps (ledger.c)
 *                00000000000000000001.seg   segments, named by their first sequence number (20 digits)
 *
 *     made --> filling --> sealed (cut to its length) --> shipped (checkpoint past it, no pins) --> removed
 *
 * Promise: what append took is found again after a kill; after a power loss too if it was synced. Never: gives a
 * sequence number twice; appends to a recovered segment; deletes what the written checkpoint has not passed. All calls
 * from one thread (the shipper's, or main's before it runs). Files 0600, directory 0700.
 */
#ifndef RKB_JOURNAL_JOURNAL_H
#define RKB_JOURNAL_JOURNAL_H

#include "base/sys.h"
#include "base/units.h"
#include "journal/acks.h"
#include "journal/dictionary.h"
#include "journal/format.h"

struct rkb_journal;
struct rkb_segment;

struct rkb_journal_options {
    const char *directory;      /* made with 0700 if only its last part is missing */
    uint64_t max_size;          /* bytes of all segments, preallocated ones as a whole, and of what is reserved */
    uint64_t segment_size;      /* bytes; clipped to an eighth of max_size, at least 64 KiB */
    const struct rkb_sys *sys;
    struct rkb_share min_free;  /* of the file system it is on: no new segment takes it */
    bool no_sync;               /* sync: none: nothing is promised to outlive a power loss */
    bool degrade;               /* when the disk fails give_up may be called; segments in memory then take up to ... */
    size_t memory_size;         /* ... so many bytes, */
    const char *ring_directory; /* on this tmpfs, where the ring is too; NULL: anonymous */
};

/* What recovery found. */
struct rkb_recovery {
    bool fresh;                 /* no journal was here */
    uint64_t next_sequence;     /* after the higher of tail and checkpoint */
    uint64_t low;               /* of the checkpoint */
    uint64_t last_epoch;        /* highest epoch of a mark or record, also from the checkpoint; 0 if none */
    uint32_t last_count;        /* highest count since the mark of that epoch, of the messages found */
    uint64_t last_mark_ms;      /* highest mark time, also from the checkpoint */
    int64_t last_time_us;       /* time of the last record found; none: of the last when all was settled, by the
                                   checkpoint: none that is missing now was read before */
    uint64_t torn_bytes;        /* cut off at the tail of the newest segment */
    uint64_t damaged;           /* segments (or parts) that did not read back, other than a torn tail */
    uint64_t lost_first, lost_last; /* the span of unshipped sequence numbers that damage may have cost; 0, 0 if none */
    int64_t lost_from_us, lost_to_us; /* times of the records around that span; before the first: when the segment
                                         before it was made, when all was last settled, or 1; behind the last: now;
                                         the one after the other, but where the clock was set back */
    char damage[256];           /* the first damage in words: file, offset, reason */
};

/*
 * Locks, reads, seals and starts a new segment. `visit`, if given, sees each record that is not settled yet by the
 * checkpoint, in order, and every mark and gap of the newest old segment; the slices are lent for the call. Errors:
 * RKB_LOCKED (with the pid), RKB_VERSION, RKB_DAMAGED, RKB_SYSTEM, RKB_FULL.
 */
struct rkb_journal *rkb_journal_open(const struct rkb_journal_options *options, struct rkb_recovery *recovery,
                                     void (*visit)(void *context, const struct rkb_record *record), void *context,
                                     struct rkb_error *error);
/* Closes and unlocks; syncs nothing. */
void rkb_journal_close(struct rkb_journal *journal);

const uint8_t *rkb_journal_id(const struct rkb_journal *journal);
const struct rkb_dictionary *rkb_journal_dictionary(const struct rkb_journal *journal);
struct rkb_acks *rkb_journal_acks(struct rkb_journal *journal);

/*
 * Appends whole records as they stand in the ring (sealed with `salt`), in one write per segment they touch. Records
 * with a sequence the journal has already (a crash between append and consume) are skipped; dictionary records are
 * learned. *taken is how many bytes of `bytes` are dealt with, also on failure. RKB_FULL: at a limit, see
 * enum rkb_limit; the same call may be made again and again: the disk is asked at most once a second. RKB_SYSTEM: the
 * disk broke; RKB_DAMAGED: a record that does not parse.
 */
bool rkb_journal_append(struct rkb_journal *journal, const uint8_t *records, size_t bytes, uint64_t salt, size_t *taken,
                        struct rkb_error *error) RKB_MUST_CHECK;
/* The longest record a segment takes. */
size_t rkb_journal_record_limit(const struct rkb_journal *journal);
/* The next sequence number append expects. */
uint64_t rkb_journal_next(const struct rkb_journal *journal);

/* fdatasync of what was appended since the last one. After a failure nothing more may be promised: never retried. */
bool rkb_journal_sync(struct rkb_journal *journal, struct rkb_error *error) RKB_MUST_CHECK;
/* The first sequence number that is not synced. */
uint64_t rkb_journal_synced(const struct rkb_journal *journal);

/*
 * The same in three steps, so that the one that waits can be another thread's. begin takes what is to be synced: the
 * records (unless `records` is false), the directory, the checkpoint, and the segments that may go. run waits for the
 * disk; any thread, with nothing of the journal. end says what is promised now: false where the records are not,
 * whatever run found else wrong (a checkpoint is written again, a removal tried again). One job at a time; each begin
 * that gave true is followed by run and end.
 */
#define RKB_SYNC_SEGMENTS 30
#define RKB_SYNC_GIVEN 8
struct rkb_given {
    char *path;
    size_t from, end;           /* the part of this segment that is shipped: its pages go back to the kernel */
};
struct rkb_sync {
    const struct rkb_sys *sys;
    int files[RKB_SYNC_SEGMENTS + 2];
    size_t count;
    char *removals[RKB_SYNC_SEGMENTS];
    size_t removal_count;
    struct rkb_given given[RKB_SYNC_GIVEN];
    size_t given_count;
    uint64_t next, low;         /* what is promised when it has run: numbers below next; a checkpoint of low */
    size_t length;              /* of the last segment, at begin */
    bool on_disk;               /* the newest segment is, and is synced by this */
    uint64_t failures;          /* of the disk, at begin */
    size_t records;             /* of files: what lies behind is the checkpoint's */
    size_t done, removed;       /* files that were synced, segments that were removed */
    int64_t took_us;            /* syncing them */
};
bool rkb_journal_sync_begin(struct rkb_journal *journal, bool records, struct rkb_sync *job,
                            struct rkb_error *error) RKB_MUST_CHECK;
bool rkb_sync_run(struct rkb_sync *job, struct rkb_error *error) RKB_MUST_CHECK;
bool rkb_journal_sync_end(struct rkb_journal *journal, struct rkb_sync *job);

/*
 * All messages of this topic with a number below `low` are settled; topic 0 stands for all marks and gaps. Kept in the
 * checkpoint where it is above the common low: while one topic stands still, the others' are not sent again after a
 * crash. Costs next to nothing: call it whenever a low has moved. Beyond the journal's end it counts up to that end.
 */
void rkb_journal_topic_low(struct rkb_journal *journal, uint32_t topic, uint64_t low);

/* Settles a record that lies below its topic's low. False: RKB_NO_MEMORY. */
bool rkb_journal_settle_known(struct rkb_journal *journal, const struct rkb_record *record,
                              struct rkb_error *error) RKB_MUST_CHECK;

/*
 * Writes the acks as the checkpoint: nothing in it higher than `limit` (what is synced, or UINT64_MAX where `sync:
 * none`). `durable`: syncs it, and removes the segments it passed that nobody pins; else the next sync job makes it
 * durable, and the one after that removes.
 */
bool rkb_journal_checkpoint(struct rkb_journal *journal, uint64_t limit, bool durable,
                            struct rkb_error *error) RKB_MUST_CHECK;
/* True when a checkpoint written now would say more than the written one: low, or the lows of topics, have moved. */
bool rkb_journal_checkpoint_due(const struct rkb_journal *journal, uint64_t limit);
/* True when sync jobs would let segments go. */
bool rkb_journal_removable(const struct rkb_journal *journal);

/* Bytes that other files of the directory take: part of max_size too. */
void rkb_journal_reserve(struct rkb_journal *journal, uint64_t bytes);

/*
 * After an append or a sync that failed (RKB_SYSTEM, or RKB_FULL of a sync), where options.degrade: what is not synced
 * is given up, never written or synced again, but read as long as it reads back. The next append goes on in a new
 * segment, on the disk or, failing that, in memory. From here on the journal is degraded, until a new segment on the
 * disk is synced.
 */
void rkb_journal_give_up(struct rkb_journal *journal, const struct rkb_error *why);
/*
 * Looks whether the directory at its path is still the one that was opened, and whether what is written has a name in
 * it: descriptors go on working when files are deleted, and all of it is gone with the process. False: the directory,
 * or a segment that is being written, is gone (RKB_SYSTEM), or another rkbridge has taken the lock's place
 * (RKB_LOCKED); while the journal is degraded anyway, true. A checkpoint or a lock that is gone is made anew: true, and
 * *error says so (RKB_DAMAGED; RKB_OK where all is well). Now and then, a second apart.
 */
bool rkb_journal_look(struct rkb_journal *journal, struct rkb_error *error) RKB_MUST_CHECK;
struct rkb_degraded {
    uint64_t first;             /* the first number that is not durable */
    uint64_t failures;          /* of the disk, since the start */
    int64_t again_us;           /* how long after the last one the disk is tried again */
    const struct rkb_error *why;
};
/* True while it is; how, where not NULL, is about the last time. */
bool rkb_journal_degraded(const struct rkb_journal *journal, struct rkb_degraded *how);
/* Frees settled memory, tries the disk again when it is time: called each turn. */
void rkb_journal_mend(struct rkb_journal *journal);

/* Makes the next segment if there is none ready and room for it: called when there is time. */
void rkb_journal_prepare(struct rkb_journal *journal);

/* What keeps a new segment from being made; at first: what did so last. */
enum rkb_limit { RKB_LIMIT_NONE, RKB_LIMIT_MAX_SIZE, RKB_LIMIT_MIN_FREE, RKB_LIMIT_DISK, RKB_LIMIT_MEMORY };

struct rkb_journal_figures {
    uint64_t bytes;             /* allocated on disk, what is reserved for other files included */
    uint64_t max_size;
    uint64_t free, min_free;    /* of the file system: what may be taken, as looked at last; what is to be left */
    enum rkb_limit limit;
    uint64_t memory;            /* bytes of segments in memory, in the place of a disk that fails */
    bool degraded;              /* what is appended now is not durable ... */
    char trouble[200];          /* ... and why, "" while it is */
    uint32_t segments;
    uint64_t low, head;         /* lowest unsettled sequence; next sequence */
};
void rkb_journal_figures(const struct rkb_journal *journal, struct rkb_journal_figures *figures);

/*
 * Reading. A cursor stands before a sequence number. next gives records in order, their slices pointing
 * into the mapped segment: valid until the cursor moves to another segment, or as long as the segment is pinned.
 */
struct rkb_cursor {
    struct rkb_journal *journal;
    struct rkb_segment *segment;    /* of the record last returned */
    size_t offset;
    uint64_t sequence;              /* what next() looks for */
};

void rkb_cursor_seek(struct rkb_cursor *cursor, struct rkb_journal *journal, uint64_t sequence);
/* Lets go of the segment it stands in. */
void rkb_cursor_close(struct rkb_cursor *cursor);

enum rkb_next { RKB_NEXT_RECORD, RKB_NEXT_END, RKB_NEXT_DAMAGED, RKB_NEXT_FAILED };
/*
 * The next message, mark or gap; END when there is none yet. DAMAGED: the record there does not count; *error says
 * where, the cursor stands after the damage (at the next segment) and record->sequence is the first number there.
 * FAILED: could not map (RKB_SYSTEM).
 */
enum rkb_next rkb_cursor_next(struct rkb_cursor *cursor, struct rkb_record *record,
                              struct rkb_error *error) RKB_MUST_CHECK;

/*
 * The next message of this topic with a number below `limit`; all others are passed over by their headers, unchecked
 * but for the order of their numbers. END when there is none: the cursor then stands at `limit`, or at the journal's
 * end where that comes first. The rest as rkb_cursor_next; one cursor may be used with both.
 */
enum rkb_next rkb_cursor_next_of(struct rkb_cursor *cursor, uint32_t topic, uint64_t limit, struct rkb_record *record,
                                 struct rkb_error *error) RKB_MUST_CHECK;

/* A pinned segment stays mapped and on disk. Pins are counted. */
void rkb_segment_pin(struct rkb_segment *segment);
void rkb_segment_unpin(struct rkb_segment *segment);

#endif
