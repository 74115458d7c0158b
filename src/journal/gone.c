/*
 * gone -- whether the files under us are still there; see rkb_journal_look in journal.h.
 *
 *     directory deleted, renamed, another in its place   the disk has failed: what is written would be lost
 *     a segment that is written deleted                  likewise
 *     checkpoint deleted                                 made anew with the next one
 *     lock deleted                                       made anew, unless somebody else was quicker
 *
 * Never: makes or removes anything in a directory that is not the one that was opened. What is deleted and not open any
 * more is noticed when it is read.
 */
#include "journal/lock.h"
#include "journal/state.h"

#include <errno.h>
#include <sys/stat.h>

static bool is_deleted(int fd)
{
    struct stat status;
    return fd >= 0 && fstat(fd, &status) == 0 && status.st_nlink == 0;
}

bool rkb_journal_is_here(const struct rkb_journal *journal, struct rkb_error *error)
{
    struct stat opened, now;
    if (fstat(journal->directory_fd, &opened) != 0)
        return rkb_fail_errno(error, "journal: cannot look at the directory %s", journal->directory);
    if (stat(journal->directory, &now) == 0 && now.st_dev == opened.st_dev && now.st_ino == opened.st_ino)
        return true;
    return rkb_fail(error, RKB_SYSTEM,
                    "journal: the directory %s was deleted, or another is in its place: put it back; or stop rkbridge "
                    "when Kafka has all (rkbctl status), and start it in a new one", journal->directory);
}

static bool segments_are_here(const struct rkb_journal *journal, struct rkb_error *error)
{
    for (size_t i = journal->unsynced; i < journal->segment_count; i++) {
        const struct rkb_segment *segment = journal->segments[i];
        if (!segment->in_memory && !segment->given_up && !segment->nameless && is_deleted(segment->fd))
            return rkb_fail(error, RKB_SYSTEM, "journal: %s was deleted while it was written", segment->path);
    }
    return true;
}

static bool lock_again(struct rkb_journal *journal, struct rkb_error *error)
{
    int fd = rkb_lock_take(journal->directory, journal->sys, error);
    if (fd < 0)
        return false;
    if (!rkb_lock_write_again(fd, journal->directory, journal->sys, journal->id, error)) {
        journal->sys->close(fd);
        return false;
    }
    journal->sys->close(journal->lock_fd);
    journal->lock_fd = fd;
    journal->directory_changed = true;
    rkb_fail(error, RKB_DAMAGED, "journal: %s/lock was deleted; it is made anew", journal->directory);
    return true;
}

bool rkb_journal_look(struct rkb_journal *journal, struct rkb_error *error)
{
    error->code = RKB_OK;
    if (!rkb_journal_is_here(journal, error)) {
        if (journal->degraded)          /* known, or noticed when the disk is tried again */
            error->code = RKB_OK;
        return journal->degraded;
    }
    if (!segments_are_here(journal, error))
        return false;
    if (!journal->checkpoint_broken && is_deleted(rkb_checkpoint_fd(journal->checkpoint))) {
        journal->checkpoint_broken = true;
        rkb_fail(error, RKB_DAMAGED, "journal: %s/checkpoint was deleted; it is made anew", journal->directory);
    }
    return !is_deleted(journal->lock_fd) || lock_again(journal, error);
}
