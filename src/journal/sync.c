/*
 * sync -- forces the journal to the disk in three steps, so that the one that waits can be another thread's.
 *
 *     begin: what may go, and what is not synced yet --> run: unlink, fdatasync, as long as it takes
 *                                                    --> end: what that promises
 *
 * The job holds descriptors and paths of its own: segments may be sealed and closed while it runs. A segment goes only
 * when the checkpoint that has passed it was made durable by a job before: a power loss must not bring back one that
 * asks for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "journal/state.h"

static bool add_file(struct rkb_sync *job, int fd, struct rkb_error *error)
{
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return rkb_fail_errno(error, "journal: no descriptor for a sync");
    job->files[job->count++] = own;
    return true;
}

static void drop_files(struct rkb_sync *job)
{
    while (job->count > 0)
        job->sys->close(job->files[--job->count]);
    while (job->removal_count > 0)
        free(job->removals[--job->removal_count]);
    rkb_sync_forget_given(job);
}

/* Takes the segments that may go out of the journal: from now on they are the job's. */
static void add_removals(struct rkb_journal *journal, struct rkb_sync *job)
{
    for (size_t i = 0; i < journal->segment_count && job->removal_count < RKB_SYNC_SEGMENTS;) {
        struct rkb_segment *segment = journal->segments[i];
        if (segment->last >= journal->durable_low)
            return;
        if (!rkb_journal_passed(journal, i, journal->durable_low)) {
            i++;
            continue;
        }
        job->removals[job->removal_count++] = segment->path;
        segment->path = NULL;
        rkb_journal_drop_segment(journal, i);
    }
}

static bool add_segments(const struct rkb_journal *journal, struct rkb_sync *job, struct rkb_error *error)
{
    for (size_t i = journal->unsynced; i < journal->segment_count && job->count < RKB_SYNC_SEGMENTS; i++) {
        const struct rkb_segment *segment = journal->segments[i];
        if (segment->fd >= 0 && segment->synced < segment->length && !add_file(job, segment->fd, error))
            return false;
        job->next = segment->last + 1;
        job->length = segment->length;
    }
    return true;
}

bool rkb_journal_sync_begin(struct rkb_journal *journal, bool records, struct rkb_sync *job, struct rkb_error *error)
{
    *job = (struct rkb_sync){.sys = journal->sys, .next = journal->synced, .low = journal->written_low};
    if (journal->sync_failed)
        return rkb_fail(error, RKB_SYSTEM, "journal: an earlier sync failed; what it was for may be lost");
    add_removals(journal, job);
    bool good = !records || add_segments(journal, job, error);
    if (good && journal->directory_changed) {
        journal->directory_changed = false;     /* what changes from now on is the next job's */
        good = add_file(job, journal->directory_fd, error);
    }
    /* Last, and only behind what it speaks of: run keeps this order. */
    if (good && journal->checkpoint_unsynced) {
        journal->checkpoint_unsynced = false;
        good = add_file(job, rkb_checkpoint_fd(journal->checkpoint), error);
    }
    if (good)
        rkb_journal_give_back(journal, job);
    if (!good) {
        drop_files(job);
        journal->sync_failed = true;
    }
    return good;
}

bool rkb_sync_run(struct rkb_sync *job, struct rkb_error *error)
{
    for (size_t i = 0; i < job->removal_count; i++) {
        if (job->sys->unlink(job->removals[i]) != 0 && errno != ENOENT)
            return rkb_fail_errno(error, "journal: cannot remove %s", job->removals[i]);
    }
    bool good = true;
    for (size_t i = 0; i < job->count && good; i++) {
        /* On a directory it is the same as fsync. */
        good = job->sys->fdatasync(job->files[i]) == 0;
        if (!good)
            rkb_fail_errno(error, "journal: cannot sync to the disk");
    }
    if (good)
        rkb_sync_give_back(job);
    return good;
}

/* Segments wholly covered by the job are done with; the one that was being filled is synced up to where it was. */
static void settle_segments(struct rkb_journal *journal, const struct rkb_sync *job)
{
    for (; journal->unsynced < journal->segment_count; journal->unsynced++) {
        struct rkb_segment *segment = journal->segments[journal->unsynced];
        if (segment->last >= job->next || segment == journal->filling) {
            if (segment->first < job->next && segment->last + 1 == job->next && job->length > segment->synced)
                segment->synced = job->length;
            break;
        }
        segment->synced = segment->length;
        rkb_segment_close_synced(segment);
    }
}

void rkb_journal_sync_end(struct rkb_journal *journal, struct rkb_sync *job, bool ran)
{
    drop_files(job);
    if (!ran) {
        journal->sync_failed = true;
        return;
    }
    if (job->next > journal->synced) {
        settle_segments(journal, job);
        journal->synced = job->next;
    }
    journal->durable_low = job->low;
}
