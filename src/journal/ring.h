/*
 * ring -- the fixed memory between the loop and the shipper: where a record is first.
 *
 *     loop: reserve, write, commit --> [ tail ... head ) --> shipper: peek, take to the journal, consume
 *
 * One producing thread, one consuming thread, no lock: head and tail are 64-bit counts of bytes,
 * published with release and read with acquire. The data is mapped twice, one copy behind the other, so
 * that every record is contiguous wherever it starts. On tmpfs it is a file that outlives kill -9:
 * head is stored after the record is whole, so what lies between tail and head is good. Before the
 * data are magic, version, size, journal id, salt, head, tail, and the notes for the next start (below), each three
 * times. Records in it are sealed with the ring's salt.
 */
#ifndef RKB_JOURNAL_RING_H
#define RKB_JOURNAL_RING_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/sys.h"
#include "journal/format.h"

#include <limits.h>

struct rkb_ring;

struct rkb_ring_options {
    const char *directory;      /* a tmpfs, usually /dev/shm; NULL: anonymous memory, gone with the process */
    size_t size;                /* bytes; rounded up to a whole number of pages */
    const uint8_t *journal_id;  /* 16 bytes; also names the file: rkbridge-<32 hex digits>.ring, mode 0600 */
    const struct rkb_sys *sys;
    const char *journal_directory;  /* noted in the file, for a start that finds no journal there; NULL: it is not */
};

/*
 * Opens the ring of this journal, with what a killed process left in it, or makes a new one. A file that is
 * not ours (owner, mode, magic, journal id, inconsistent head and tail) is refused with RKB_DAMAGED, never overwritten.
 * A ring with records in it whose size differs from options->size keeps its old size; an empty one is made anew, and so
 * is one of an older version, with what is in it (RKB_VERSION where there is no room for that).
 */
struct rkb_ring *rkb_ring_open(const struct rkb_ring_options *options, struct rkb_error *error);
/* Unmaps. The file stays. */
void rkb_ring_close(struct rkb_ring *ring);
/*
 * Shows each record between tail and head, in order, the slices lent for the call: before producer and consumer run.
 * RKB_DAMAGED, with file and offset, where one does not count; open has made the same walk, so this is about what came
 * after.
 */
bool rkb_ring_visit(const struct rkb_ring *ring, void (*visit)(void *context, const struct rkb_record *record),
                    void *context, struct rkb_error *error) RKB_MUST_CHECK;
/*
 * Unmaps and removes the file, when all was consumed and the journal knows what the notes say: a clean end leaves no
 * memory taken.
 */
void rkb_ring_remove(struct rkb_ring *ring);
/* True when it outlives the process. */
bool rkb_ring_outlives(const struct rkb_ring *ring);
size_t rkb_ring_size(const struct rkb_ring *ring);
uint64_t rkb_ring_salt(const struct rkb_ring *ring);

/*
 * Producer. NULL when there is no room for `size` bytes plus `keep` bytes that must stay free (kept for gaps and
 * marks).
 */
uint8_t *rkb_ring_reserve(struct rkb_ring *ring, size_t size, size_t keep);
void rkb_ring_commit(struct rkb_ring *ring, size_t size);
/* Bytes free; either thread may ask. For the producer a lower bound, for the consumer an upper one. */
size_t rkb_ring_room(const struct rkb_ring *ring);

/* Consumer. All that is committed and not consumed, contiguous; 0 when empty. */
size_t rkb_ring_peek(const struct rkb_ring *ring, const uint8_t **at);
void rkb_ring_consume(struct rkb_ring *ring, size_t size);

/*
 * Any thread. Notes that outlive kill -9: when all there was had last been read from every Redis (microseconds since
 * 1970, kept by the loop) ...
 */
void rkb_ring_note_read(struct rkb_ring *ring, int64_t realtime_us);
int64_t rkb_ring_noted_read(const struct rkb_ring *ring);
/*
 * ... and by how much the clock was then ahead of the one that never goes back (microseconds; 0: nobody noted it since
 * this boot, see rkb_sys_boot) ...
 */
void rkb_ring_note_clock(struct rkb_ring *ring, int64_t ahead_us, uint64_t boot);
int64_t rkb_ring_noted_clock(const struct rkb_ring *ring, uint64_t boot);
/*
 * ... and the lowest sequence Kafka has not acknowledged (kept by the shipper, so that a kill resends only what was in
 * flight).
 */
void rkb_ring_note_low(struct rkb_ring *ring, uint64_t sequence);
uint64_t rkb_ring_noted_low(const struct rkb_ring *ring);
/*
 * ... and below which number all of a topic is settled, where that is more than the lowest of all says; topic 0 stands
 * for marks and gaps. For topics below RKB_RING_TOPICS; of others nothing is noted, and 0 is read. A lower number than
 * the noted one changes nothing.
 */
#define RKB_RING_TOPICS 472
void rkb_ring_note_topic_low(struct rkb_ring *ring, uint32_t topic, uint64_t sequence);
uint64_t rkb_ring_noted_topic_low(const struct rkb_ring *ring, uint32_t topic);
/* Before the threads run: no note is to say something of numbers from `next` on, which were not given out yet. */
void rkb_ring_limit_notes(struct rkb_ring *ring, uint64_t next);
/*
 * The number behind the highest that the journal was given (kept by the shipper, before it consumes what it gave): no
 * lower one is given again, whatever became of the disk. 0: nobody noted one.
 */
void rkb_ring_note_next(struct rkb_ring *ring, uint64_t sequence);
/*
 * Since when what is read is not on a disk (realtime), 0 while it is: the next start has to say it. Kept by the
 * shipper.
 */
void rkb_ring_note_not_durable(struct rkb_ring *ring, int64_t realtime_us);
int64_t rkb_ring_noted_not_durable(const struct rkb_ring *ring);

/* Notes in the file of a ring that is not open, for the journal's recovery, which comes before the ring's. */
struct rkb_ring_notes {
    uint64_t low, next;
    int64_t read_us;
};
/* False, and all 0, where there is no such file or it is not ours: to open it is to be told why. */
bool rkb_ring_read_notes(const char *directory, const uint8_t journal_id[16], const struct rkb_sys *sys,
                         struct rkb_ring_notes *notes);

/* What a directory's path is noted as; 0 for NULL or one that is not there. */
uint64_t rkb_ring_place(const char *journal_directory);
/* A ring that a journal has left behind whose directory is gone: ring_left.c. */
struct rkb_ring_left {
    char path[PATH_MAX];
    struct rkb_ring_notes notes;
    uint64_t bytes;             /* of records in it, which were not in the journal yet */
};
/*
 * Looks in the ring's directory for a ring of the journal that was in this directory before, other than `journal_id`,
 * that nobody uses; of several the one that was used last.
 */
bool rkb_ring_find_left(const char *directory, const char *journal_directory, const uint8_t journal_id[16],
                        const struct rkb_sys *sys, struct rkb_ring_left *left);

#endif
