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

/* Those that an earlier job could not remove go first. */
static void add_left(struct rkb_journal *journal, struct rkb_sync *job)
{
    while (journal->left_count > 0 && job->removal_count < RKB_SYNC_SEGMENTS)
        job->removals[job->removal_count++] = journal->left[--journal->left_count];
}

/* What could not be removed is kept in mind. Without memory even for that the next start finds it. */
static void keep_left(struct rkb_journal *journal, struct rkb_sync *job)
{
    size_t count = job->removal_count - job->removed;
    char **left = count == 0 ? NULL : realloc(journal->left, (journal->left_count + count) * sizeof *left);
    if (left == NULL)
        return;
    journal->left = left;
    while (job->removal_count > job->removed)
        left[journal->left_count++] = job->removals[--job->removal_count];
}

static void drop_files(struct rkb_sync *job)
{
    while (job->count > 0)
        job->sys->close(job->files[--job->count]);
    while (job->removal_count > job->removed)
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
        if (!segment->nameless) {
            job->removals[job->removal_count++] = segment->path;
            segment->path = NULL;
        }
        rkb_journal_drop_segment(journal, i);
    }
}

static bool add_segments(const struct rkb_journal *journal, struct rkb_sync *job, struct rkb_error *error)
{
    for (size_t i = journal->unsynced; i < journal->segment_count && job->count < RKB_SYNC_SEGMENTS; i++) {
        const struct rkb_segment *segment = journal->segments[i];
        if (segment->fd >= 0 && segment->synced < segment->length && !segment->in_memory &&
            !add_file(job, segment->fd, error))
            return false;
        job->on_disk = segment == journal->filling && !segment->in_memory;
        job->next = segment->last + 1;
        job->length = segment->length;
    }
    return true;
}

bool rkb_journal_sync_begin(struct rkb_journal *journal, bool records, struct rkb_sync *job, struct rkb_error *error)
{
    *job = (struct rkb_sync){.sys = journal->sys, .next = journal->synced, .low = journal->written_low,
                             .failures = journal->failures};
    if (journal->sync_failed)
        return rkb_fail(error, RKB_SYSTEM, "journal: an earlier sync failed; what it was for may be lost");
    add_left(journal, job);
    add_removals(journal, job);
    bool good = !records || add_segments(journal, job, error);
    if (good && journal->directory_changed) {
        journal->directory_changed = false;     /* what changes from now on is the next job's */
        good = add_file(job, journal->directory_fd, error);
    }
    job->records = job->count;
    /* Last, and only behind what it speaks of: run keeps this order. */
    if (good && journal->checkpoint_unsynced) {
        journal->checkpoint_unsynced = false;
        good = add_file(job, rkb_checkpoint_fd(journal->checkpoint), error);
    }
    if (good)
        rkb_journal_give_back(journal, job);
    if (!good) {
        keep_left(journal, job);
        drop_files(job);
        journal->sync_failed = true;
    }
    return good;
}

/* A removal that fails keeps nothing from being synced: that it goes later is all. */
bool rkb_sync_run(struct rkb_sync *job, struct rkb_error *error)
{
    bool good = true;
    while (good && job->removed < job->removal_count) {
        good = job->sys->unlink(job->removals[job->removed]) == 0 || errno == ENOENT;
        if (good)
            free(job->removals[job->removed++]);
        else
            rkb_fail_errno(error, "journal: cannot remove %s", job->removals[job->removed]);
    }
    int64_t begin_us = job->sys->monotonic_us();
    for (; job->done < job->count; job->done++) {
        /* On a directory it is the same as fsync. */
        if (job->sys->fdatasync(job->files[job->done]) != 0)
            return rkb_fail_errno(error, "journal: cannot sync to the disk");
    }
    job->took_us = job->sys->monotonic_us() - begin_us;
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

bool rkb_journal_sync_end(struct rkb_journal *journal, struct rkb_sync *job)
{
    bool records = job->done >= job->records, all = job->done == job->count, checkpoint = job->count > job->records;
    if (job->removed > 0)
        rkb_journal_room_made(journal);
    keep_left(journal, job);
    drop_files(job);
    if (!records) {
        journal->checkpoint_unsynced = journal->checkpoint_unsynced || checkpoint;
        journal->sync_failed = true;
        return false;
    }
    if (job->next > journal->synced) {
        settle_segments(journal, job);
        journal->synced = job->next;
    }
    if (job->on_disk && job->failures == journal->failures)
        journal->degraded = false;
    if (all)
        journal->durable_low = job->low;
    else
        journal->checkpoint_broken = true;
    return true;
}
