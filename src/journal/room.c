/*
 * room -- whether there is room for one more segment, and the making of the spare.
 *
 *     journal.max_size (our own sum) --> journal.min_free (statvfs) --> the disk itself (its room is reserved)
 *
 * Promise: a full disk is met here, before anything is promised. A disk that had no room is asked again once a second,
 * or when segments went. Never: called where somebody may not wait.
 */
#include "base/units.h"
#include "journal/state.h"

#define LOOK_US 1000000
#define PREPARE_AGAIN_US 1000000

static bool at_limit(struct rkb_journal *journal, enum rkb_limit limit)
{
    journal->limit = limit;
    return false;
}

static bool below_max_size(struct rkb_journal *journal, struct rkb_error *error)
{
    struct rkb_journal_figures figures;
    rkb_journal_figures(journal, &figures);
    if (figures.bytes + journal->segment_size <= journal->max_size || journal->segment_count <= 1)
        return true;
    char limit[32];
    rkb_format_size(limit, sizeof limit, journal->max_size);
    rkb_fail(error, RKB_FULL,
             "journal: at its limit of %s (journal.max_size): bring Kafka back, or let it take more", limit);
    return at_limit(journal, RKB_LIMIT_MAX_SIZE);
}

/* A file system that cannot be asked has no limit but its own. */
static void look_at_disk(struct rkb_journal *journal)
{
    uint64_t size, available;
    journal->looked_us = journal->sys->monotonic_us();
    journal->free = UINT64_MAX;
    journal->min_free_bytes = 0;
    if (journal->sys->space(journal->directory_fd, &size, &available) != 0)
        return;
    journal->free = available;
    journal->min_free_bytes = rkb_share_of(&journal->min_free, size);
}

static bool leaves_enough(struct rkb_journal *journal, struct rkb_error *error)
{
    look_at_disk(journal);
    if (journal->min_free_bytes == 0 || (journal->free >= journal->segment_size &&
                                         journal->free - journal->segment_size >= journal->min_free_bytes))
        return true;
    char available[32], wanted[32], share[32], size[32];
    rkb_format_size(available, sizeof available, journal->free);
    rkb_format_size(wanted, sizeof wanted, journal->min_free_bytes);
    rkb_format_share(share, sizeof share, &journal->min_free);
    rkb_format_size(size, sizeof size, journal->segment_size);
    rkb_fail(error, RKB_FULL,
             "journal: the file system of %.200s has %s free; a segment of %s would leave less than %s "
             "(journal.min_free: %s): make room there, or lower journal.min_free",
             journal->directory, available, size, wanted, share);
    return at_limit(journal, RKB_LIMIT_MIN_FREE);
}

static bool reserve(struct rkb_journal *journal, struct rkb_error *error)
{
    if (!rkb_journal_is_here(journal, error))
        return at_limit(journal, RKB_LIMIT_DISK);
    journal->spare = rkb_segment_make(journal->directory, journal->segment_size, journal->sys, error);
    return journal->spare != NULL || at_limit(journal, RKB_LIMIT_DISK);
}

bool rkb_journal_make_spare(struct rkb_journal *journal, struct rkb_error *error)
{
    if (journal->spare != NULL)
        return true;
    if (!below_max_size(journal, error))
        return false;
    if (journal->sys->monotonic_us() >= journal->ask_again_us) {
        if (leaves_enough(journal, &journal->no_room) && reserve(journal, &journal->no_room)) {
            journal->limit = RKB_LIMIT_NONE;
            journal->ask_again_us = 0;
            return true;
        }
        journal->ask_again_us = journal->sys->monotonic_us() + LOOK_US;
    }
    if (error != NULL)
        *error = journal->no_room;
    return false;
}

void rkb_journal_room_made(struct rkb_journal *journal)
{
    journal->ask_again_us = journal->prepare_after = 0;
}

void rkb_journal_prepare(struct rkb_journal *journal)
{
    int64_t now = journal->sys->monotonic_us();
    if (now - journal->looked_us >= LOOK_US)
        look_at_disk(journal);
    if (journal->spare != NULL || now < journal->prepare_after)
        return;
    if (!rkb_journal_make_spare(journal, NULL))
        journal->prepare_after = now + PREPARE_AGAIN_US;
}
