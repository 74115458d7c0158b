/*
 * state -- what the files of the journal share: the struct behind journal.h and the steps that cross files.
 * Nothing outside src/journal includes this.
 */
#ifndef RKB_JOURNAL_STATE_H
#define RKB_JOURNAL_STATE_H

#include "journal/checkpoint.h"
#include "journal/journal.h"
#include "journal/ring.h"
#include "journal/segment.h"

struct rkb_journal {
    const struct rkb_sys *sys;
    char *directory;
    int directory_fd, lock_fd;
    uint8_t id[16];
    uint64_t max_size;
    uint64_t reserved;                  /* of max_size, by other files */
    size_t segment_size;

    struct rkb_dictionary *dictionary;
    struct rkb_acks *acks;
    struct rkb_segment **segments;      /* by number, the newest last; never empty once there was one */
    size_t segment_count, segment_capacity;
    struct rkb_segment *filling;        /* the newest, while it is appended to; else NULL */
    struct rkb_segment *spare;          /* made ahead, or NULL */
    int64_t prepare_after;              /* no new look by prepare before this time (monotonic) */

    struct rkb_share min_free;
    uint64_t free, min_free_bytes;      /* of the file system, looked at when ... */
    int64_t looked_us;                  /* ... monotonic */
    enum rkb_limit limit;
    struct rkb_error no_room;           /* why the disk gave no segment: says it again until ... */
    int64_t ask_again_us;               /* ... monotonic; 0: it may be asked */

    uint64_t next;                      /* the sequence number append expects */
    uint64_t synced;                    /* the first one that is not synced */
    size_t unsynced;                    /* index of the oldest segment that may hold unsynced bytes */
    bool no_sync;                       /* sync: none */
    bool go_on;                         /* when the disk fails: see degrade.c */
    char *memory_directory;             /* for segments in memory; NULL: anonymous */
    size_t memory_size;
    bool degraded;
    uint64_t degraded_first;            /* the first number that is not durable, or was not */
    uint64_t failures;                  /* of the disk, since the start */
    int64_t failed_us, try_disk_us, try_wait_us;    /* monotonic: the last; the next attempt; the wait before it */
    struct rkb_error trouble;           /* of the last one */
    bool checkpoint_broken;             /* its file is made anew before it is written again */
    char **left;                        /* paths of segments that could not be removed yet */
    size_t left_count;
    struct rkb_ring_notes notes;        /* of the ring's file, as this start found it */
    char *left_ring;                    /* that file, where it is of a journal that is gone; NULL: it is ours */

    bool directory_changed;             /* a name in it is not synced */
    bool sync_failed;

    uint32_t names[RKB_NAME_SOURCE + 1];/* per class: up to which number the filling segment holds the names */
    size_t names_size;                  /* of all names as dictionary records */
    uint64_t last_epoch, last_mark_ms;
    uint32_t last_count;                /* of messages with that epoch, the highest */
    int64_t last_time_us;
    int64_t settled_us;                 /* the last record's time when a checkpoint last found all settled */

    struct rkb_checkpoint *checkpoint;
    struct rkb_range *ranges;           /* RKB_CHECKPOINT_ENTRIES of them, to put a checkpoint together */
    struct rkb_topic_low *topics;       /* RKB_CHECKPOINT_TOPICS of them, likewise */
    uint64_t *topic_lows;               /* by topic number; 0: nothing is known */
    uint32_t topic_low_count;
    bool topic_lows_changed;            /* the written checkpoint says less */
    uint64_t written_low;               /* of the checkpoint that is written */
    uint64_t durable_low;               /* of the one that is synced: a power loss brings back no lower one */
    bool checkpoint_unsynced;           /* the written one is not the synced one */

    uint8_t *staging;                   /* where a batch gets its salt before it is written */
    size_t staging_size;
};

/* settled.c */
/* Below it all of this topic is settled; where memory runs out it is not kept, which is no harm. */
void rkb_journal_raise_topic(struct rkb_journal *journal, uint32_t topic, uint64_t low);

/* journal.c */
bool rkb_journal_add_segment(struct rkb_journal *journal, struct rkb_segment *segment,
                             struct rkb_error *error) RKB_MUST_CHECK;
void rkb_journal_drop_segment(struct rkb_journal *journal, size_t index);
/* Index of the first segment whose last number is `sequence` or higher; segment_count when there is none. */
size_t rkb_journal_find(const struct rkb_journal *journal, uint64_t sequence);
/* Learns a name; RKB_USAGE when the names would take more than half a segment. */
bool rkb_journal_learn(struct rkb_journal *journal, const struct rkb_record *record,
                       struct rkb_error *error) RKB_MUST_CHECK;
/* True when the segment is wholly below `low`, nobody pins it, and it is not the newest. */
bool rkb_journal_passed(const struct rkb_journal *journal, size_t index, uint64_t low);
/* Removes the segments that the durable checkpoint has passed and nobody pins: it must not ask for what is gone. */
bool rkb_journal_remove_passed(struct rkb_journal *journal, struct rkb_error *error) RKB_MUST_CHECK;
/* Where a name in it was changed. */
bool rkb_journal_sync_directory(struct rkb_journal *journal, struct rkb_error *error) RKB_MUST_CHECK;
/* Keeps what must outlive the segments: epoch, times. */
void rkb_journal_note(struct rkb_journal *journal, const struct rkb_record *record);

/* give_back.c, for sync.c's begin, run and end. */
void rkb_journal_give_back(struct rkb_journal *journal, struct rkb_sync *job);
void rkb_sync_give_back(struct rkb_sync *job);
void rkb_sync_forget_given(struct rkb_sync *job);

/* gone.c: false where the directory at its path is not the one that was opened. */
bool rkb_journal_is_here(const struct rkb_journal *journal, struct rkb_error *error) RKB_MUST_CHECK;

/* room.c: makes the spare, unless there is one. RKB_FULL at a limit. */
bool rkb_journal_make_spare(struct rkb_journal *journal, struct rkb_error *error) RKB_MUST_CHECK;
/* Room was made: the disk may be asked again at once. */
void rkb_journal_room_made(struct rkb_journal *journal);

/*
 * append.c: seals the filling segment, if there is one, and starts the next at journal->next, with room for at least a
 * record of this size.
 */
bool rkb_journal_start_segment(struct rkb_journal *journal, size_t record, struct rkb_error *error) RKB_MUST_CHECK;
/* Its halves: head, names and name for a spare; from now on it is the one that is filled (on failure it is freed). */
bool rkb_journal_begin_segment(struct rkb_journal *journal, struct rkb_segment *segment, const char *directory,
                               struct rkb_error *error) RKB_MUST_CHECK;
bool rkb_journal_take_segment(struct rkb_journal *journal, struct rkb_segment *segment,
                              struct rkb_error *error) RKB_MUST_CHECK;

/* degrade.c: the next segment, begun; on the disk if that can be, else in memory where the journal is to go on. */
struct rkb_segment *rkb_journal_next_segment(struct rkb_journal *journal, size_t record, struct rkb_error *error);
/* Bytes of all segments in memory. */
uint64_t rkb_journal_memory(const struct rkb_journal *journal);
/* Where segments in memory are, once the id is known; and when they are not needed any more. */
bool rkb_journal_name_memory(struct rkb_journal *journal, const char *ring_directory,
                             struct rkb_error *error) RKB_MUST_CHECK;
void rkb_journal_leave_memory(struct rkb_journal *journal);

/*
 * recover.c: reads what is in the directory into the journal, which is locked and has its id. *generation: of the
 * checkpoint read, 0: none.
 */
bool rkb_journal_recover(struct rkb_journal *journal, struct rkb_recovery *recovery, uint64_t *generation,
                         void (*visit)(void *context, const struct rkb_record *record), void *context,
                         struct rkb_error *error) RKB_MUST_CHECK;

/*
 * directory.c: the numbers of the segments in a directory, ascending, malloc'd; false and errno when it cannot be read.
 */
bool rkb_directory_segments(const char *directory, uint64_t **numbers, size_t *count) RKB_MUST_CHECK;
/* Of the directory and of the one in memory together, ascending; malloc'd. */
struct rkb_listed {
    uint64_t first;
    bool in_memory;
};
bool rkb_directory_list(const struct rkb_journal *journal, struct rkb_listed **list, size_t *count,
                        struct rkb_error *error) RKB_MUST_CHECK;

#endif
