/*
 * degrade -- what the journal does when its disk breaks a promise and the process is to go on; see journal.h.
 *
 *     sound --a write, a sync, the making of a segment fails--> degraded
 *       ^                                                          | what is not synced is given up: still read, never
 *       |                                                          | written or synced again
 *       |                                                          v
 *       |                                    next segment: on the disk, and where that fails again, in memory
 *       +--- a segment begun behind the failure is synced ---------'      ^ the disk is tried again: at once,
 *                                                                         ' then every 5 s, ... 60 s
 *
 * Segments in memory are files on the ring's tmpfs, so that they outlive a kill as the ring does; where there is none
 * they are anonymous. All of them together take no more than the ring, and go when their records are settled: no
 * checkpoint has to be durable for that. Never: syncs again what a failed sync was for; the kernel may have dropped it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/units.h"
#include "journal/state.h"

#define TRY_LEAST_US 5000000
#define TRY_MOST_US 60000000
#define PARTS 8                 /* the memory is taken in so many segments, fewer where records are large */
#define PAGE 4096
#define MOST_OPEN 64            /* segments given up that keep their descriptor */

/* The disk failed: when is it tried again? At once after the first time. */
static void disk_failed(struct rkb_journal *journal, uint64_t first, const struct rkb_error *why)
{
    int64_t now = journal->sys->monotonic_us();
    bool again = journal->failures > 0 && (journal->degraded || now - journal->failed_us < TRY_MOST_US);
    int64_t longer = journal->try_wait_us * 2 < TRY_MOST_US ? journal->try_wait_us * 2 : TRY_MOST_US;
    journal->try_wait_us = !again ? 0 : longer > TRY_LEAST_US ? longer : TRY_LEAST_US;
    journal->try_disk_us = now + journal->try_wait_us;
    journal->failed_us = now;
    journal->failures++;
    journal->trouble = *why;
    if (!journal->degraded)
        journal->degraded_first = first;
    journal->degraded = true;
}

/*
 * Of what is no longer written or synced only so many keep their descriptors; the others are opened again to be read.
 */
static void close_oldest(struct rkb_journal *journal)
{
    size_t open = 0;
    for (size_t i = journal->unsynced; i-- > 0;) {
        struct rkb_segment *segment = journal->segments[i];
        if (segment->fd < 0 || segment->nameless || ++open <= MOST_OPEN)
            continue;
        segment->sys->close(segment->fd);
        segment->fd = -1;
    }
}

void rkb_journal_give_up(struct rkb_journal *journal, const struct rkb_error *why)
{
    uint64_t first = journal->no_sync ? journal->next : journal->synced;
    if (journal->filling != NULL) {
        bool cut = rkb_segment_seal(journal->filling, NULL);
        (void)cut;          /* what lies behind its length is not read */
        if (journal->filling->pins == 0)
            rkb_segment_unmap(journal->filling);
    }
    for (size_t i = journal->unsynced; i < journal->segment_count; i++)
        journal->segments[i]->given_up = true;
    journal->filling = NULL;
    journal->unsynced = journal->segment_count;
    journal->synced = journal->next;
    journal->sync_failed = false;
    close_oldest(journal);
    disk_failed(journal, first, why);
}

static void drop_spare(struct rkb_journal *journal)
{
    bool removed = journal->spare == NULL || rkb_segment_remove(journal->spare, NULL);
    (void)removed;          /* the next one takes its place */
    rkb_segment_free(journal->spare);
    journal->spare = NULL;
}

static struct rkb_segment *begin_on_disk(struct rkb_journal *journal, struct rkb_error *error)
{
    if (!rkb_journal_make_spare(journal, error))
        return NULL;
    struct rkb_segment *segment = journal->spare;
    if (rkb_journal_begin_segment(journal, segment, journal->directory, error)) {
        journal->spare = NULL;
        return segment;
    }
    if (journal->go_on && error->code == RKB_SYSTEM)
        drop_spare(journal);
    return NULL;
}

uint64_t rkb_journal_memory(const struct rkb_journal *journal)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < journal->segment_count; i++)
        if (journal->segments[i]->in_memory)
            bytes += journal->segments[i]->allocated;
    return bytes;
}

static struct rkb_segment *make_in_memory(struct rkb_journal *journal, size_t size, struct rkb_error *error)
{
    struct rkb_segment *segment = NULL;
    if (journal->memory_directory != NULL && (mkdir(journal->memory_directory, 0700) == 0 || errno == EEXIST))
        segment = rkb_segment_make(journal->memory_directory, size, journal->sys, NULL);
    if (segment == NULL)
        return rkb_segment_make_anonymous(size, journal->sys, error);
    segment->in_memory = true;
    return segment;
}

static struct rkb_segment *begin_in_memory(struct rkb_journal *journal, size_t record, struct rkb_error *error)
{
    size_t least = RKB_SEGMENT_HEADER + journal->names_size + record, size = journal->memory_size / PARTS;
    size = ((size > least ? size : least) + PAGE - 1) / PAGE * PAGE;
    if (rkb_journal_memory(journal) + size > journal->memory_size) {
        char limit[32];
        rkb_format_size(limit, sizeof limit, journal->memory_size);
        journal->limit = RKB_LIMIT_MEMORY;
        rkb_fail(error, RKB_FULL,
                 "journal: the disk fails, and the memory in its place (%s, journal.ring_size) is full: mend the disk; "
                 "Kafka makes room too", limit);
        return NULL;
    }
    struct rkb_segment *segment = make_in_memory(journal, size, error);
    const char *directory = journal->memory_directory;
    if (segment == NULL || rkb_journal_begin_segment(journal, segment, directory, error))
        return segment;
    bool removed = rkb_segment_remove(segment, NULL);
    (void)removed;
    rkb_segment_free(segment);
    return NULL;
}

struct rkb_segment *rkb_journal_next_segment(struct rkb_journal *journal, size_t record, struct rkb_error *error)
{
    struct rkb_error trouble = {0};
    if (!journal->degraded || journal->sys->monotonic_us() >= journal->try_disk_us) {
        struct rkb_segment *segment = begin_on_disk(journal, &trouble);
        if (segment != NULL)
            return segment;
        if (!journal->go_on || (!journal->degraded && trouble.code != RKB_SYSTEM)) {
            if (error != NULL)
                *error = trouble;
            return NULL;
        }
        disk_failed(journal, journal->next, &trouble);
    }
    return begin_in_memory(journal, record, error);
}

/* Memory goes when its records are settled. The newest stays: its number keeps numbers from being used again. */
static void free_memory(struct rkb_journal *journal)
{
    uint64_t low = rkb_acks_low(journal->acks);
    for (size_t i = 0; i + 1 < journal->segment_count && journal->segments[i]->last < low;) {
        struct rkb_segment *segment = journal->segments[i];
        if (!segment->in_memory || segment->pins > 0 || !rkb_segment_remove(segment, NULL)) {
            i++;
            continue;
        }
        rkb_journal_drop_segment(journal, i);
    }
}

void rkb_journal_mend(struct rkb_journal *journal)
{
    free_memory(journal);
    if (!journal->degraded)
        return;
    const struct rkb_segment *filling = journal->filling;
    bool on_disk = filling != NULL && !filling->in_memory;
    if (on_disk && journal->no_sync && filling->last >= filling->first)
        journal->degraded = false;
    if (on_disk || journal->sys->monotonic_us() < journal->try_disk_us)
        return;
    struct rkb_error trouble = {0};
    struct rkb_segment *segment = begin_on_disk(journal, &trouble);
    if (segment == NULL || !rkb_journal_take_segment(journal, segment, &trouble))
        disk_failed(journal, journal->next, &trouble);
}

bool rkb_journal_degraded(const struct rkb_journal *journal, struct rkb_degraded *how)
{
    if (how != NULL)
        *how = (struct rkb_degraded){.first = journal->degraded_first, .failures = journal->failures,
                                     .again_us = journal->try_wait_us, .why = &journal->trouble};
    return journal->degraded;
}

/* ---- the place in memory ---- */

/* Only a directory that is ours and nobody else's: others may write where the ring is. */
bool rkb_journal_name_memory(struct rkb_journal *journal, const char *ring_directory, struct rkb_error *error)
{
    char id[33] = "";
    struct stat status;
    if (ring_directory == NULL)
        return true;
    rkb_hex(id, journal->id, 16);
    if (asprintf(&journal->memory_directory, "%s/rkbridge-%s.segments", ring_directory, id) < 0) {
        journal->memory_directory = NULL;
        return rkb_fail(error, RKB_NO_MEMORY, "journal: no memory");
    }
    if (lstat(journal->memory_directory, &status) != 0 ||
        (S_ISDIR(status.st_mode) && status.st_uid == geteuid() && (status.st_mode & 077) == 0))
        return true;
    free(journal->memory_directory);
    journal->memory_directory = NULL;
    return true;
}

void rkb_journal_leave_memory(struct rkb_journal *journal)
{
    if (journal->memory_directory != NULL && rmdir(journal->memory_directory) != 0)
        return;     /* there is none, or it is needed yet */
}
