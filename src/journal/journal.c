/*
 * journal -- see journal.h: open and close, sync, and the list of segments.
 *
 *     open: lock -> id -> recover -> checkpoint file -> new segment -> remove what the checkpoint has passed
 *
 * The newest segment is never removed: it holds the names, and its number keeps numbers from being used again.
 */
#include "journal/lock.h"
#include "journal/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define SMALLEST_SEGMENT (64 * 1024)
#define SEGMENTS 8              /* max_size is at least so many segments */
#define LONGEST_NAME_IN_IT 64   /* of the files in the directory */

bool rkb_journal_add_segment(struct rkb_journal *journal, struct rkb_segment *segment, struct rkb_error *error)
{
    if (journal->segment_count == journal->segment_capacity) {
        size_t capacity = journal->segment_capacity ? journal->segment_capacity * 2 : 64;
        struct rkb_segment **segments = realloc(journal->segments, capacity * sizeof *segments);
        if (segments == NULL)
            return rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for one more segment");
        journal->segments = segments;
        journal->segment_capacity = capacity;
    }
    journal->segments[journal->segment_count++] = segment;
    return true;
}

void rkb_journal_drop_segment(struct rkb_journal *journal, size_t index)
{
    struct rkb_segment **at = journal->segments + index;
    rkb_segment_free(*at);
    journal->segment_count--;
    memmove(at, at + 1, (journal->segment_count - index) * sizeof(struct rkb_segment *));
    if (index < journal->unsynced)
        journal->unsynced--;
}

size_t rkb_journal_find(const struct rkb_journal *journal, uint64_t sequence)
{
    size_t low = 0, high = journal->segment_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (journal->segments[middle]->last < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool rkb_journal_learn(struct rkb_journal *journal, const struct rkb_record *record, struct rkb_error *error)
{
    size_t size = rkb_record_size(0, 0, record->value.size);
    uint32_t before[RKB_NAME_SOURCE + 1];
    for (enum rkb_name class = RKB_NAME_ROUTE; class <= RKB_NAME_SOURCE; class++)
        before[class] = rkb_dictionary_count(journal->dictionary, class);
    if (!rkb_dictionary_learn(journal->dictionary, record, error))
        return false;
    for (enum rkb_name class = RKB_NAME_ROUTE; class <= RKB_NAME_SOURCE; class++)
        if (rkb_dictionary_count(journal->dictionary, class) != before[class])
            journal->names_size += size;
    if (RKB_SEGMENT_HEADER + journal->names_size > journal->segment_size / 2)
        return rkb_fail(error, RKB_USAGE,
                        "journal: the names of routes and topics take more than half a segment; make segments larger");
    return true;
}

void rkb_journal_note(struct rkb_journal *journal, const struct rkb_record *record)
{
    if (record->epoch > journal->last_epoch) {
        journal->last_epoch = record->epoch;
        journal->last_count = 0;
    }
    journal->last_count = rkb_record_last_count(record, journal->last_epoch, journal->last_count);
    if (record->kind == RKB_MARK && (uint64_t)record->time_us / 1000 > journal->last_mark_ms)
        journal->last_mark_ms = (uint64_t)record->time_us / 1000;
    if ((record->flags & RKB_FLAG_RETRIED) == 0)
        journal->last_time_us = record->time_us;
}

bool rkb_journal_passed(const struct rkb_journal *journal, size_t index, uint64_t low)
{
    const struct rkb_segment *segment = journal->segments[index];
    return index + 1 < journal->segment_count && segment->last < low && segment->pins == 0;
}

bool rkb_journal_removable(const struct rkb_journal *journal)
{
    for (size_t i = 0; i < journal->segment_count && journal->segments[i]->last < journal->written_low; i++)
        if (rkb_journal_passed(journal, i, journal->written_low))
            return true;
    return false;
}

bool rkb_journal_remove_passed(struct rkb_journal *journal, struct rkb_error *error)
{
    for (size_t i = 0; i < journal->segment_count && journal->segments[i]->last < journal->durable_low;) {
        if (!rkb_journal_passed(journal, i, journal->durable_low)) {
            i++;
            continue;
        }
        if (!rkb_segment_remove(journal->segments[i], error)) {
            if (!journal->go_on)
                return false;
            i++;            /* a sync job tries it again */
            continue;
        }
        rkb_journal_drop_segment(journal, i);
        rkb_journal_room_made(journal);
    }
    return true;
}

bool rkb_journal_sync_directory(struct rkb_journal *journal, struct rkb_error *error)
{
    if (journal->directory_changed && journal->sys->fsync(journal->directory_fd) != 0)
        return rkb_fail_errno(error, "journal: cannot sync the directory %s", journal->directory);
    journal->directory_changed = false;
    return true;
}

bool rkb_journal_sync(struct rkb_journal *journal, struct rkb_error *error)
{
    if (journal->sync_failed)
        return rkb_fail(error, RKB_SYSTEM, "journal: an earlier sync failed; what it was for may be lost");
    for (; journal->unsynced < journal->segment_count; journal->unsynced++) {
        struct rkb_segment *segment = journal->segments[journal->unsynced];
        if (!rkb_segment_sync(segment, error)) {
            journal->sync_failed = true;
            return false;
        }
        rkb_segment_close_synced(segment);
        if (segment == journal->filling)
            break;
    }
    if (!rkb_journal_sync_directory(journal, error)) {
        journal->sync_failed = true;
        return false;
    }
    journal->synced = journal->next;
    if (journal->filling != NULL && !journal->filling->in_memory)
        journal->degraded = false;
    return true;
}

void rkb_journal_figures(const struct rkb_journal *journal, struct rkb_journal_figures *figures)
{
    *figures = (struct rkb_journal_figures){.max_size = journal->max_size, .segments = (uint32_t)journal->segment_count,
                                            .low = rkb_acks_low(journal->acks), .head = journal->next,
                                            .bytes = journal->reserved,
                                            .free = journal->free, .min_free = journal->min_free_bytes,
                                            .limit = journal->limit};
    for (size_t i = 0; i < journal->segment_count; i++)
        if (!journal->segments[i]->in_memory)
            figures->bytes += journal->segments[i]->allocated;
    figures->memory = rkb_journal_memory(journal);
    figures->degraded = journal->degraded;
    if (journal->degraded)
        snprintf(figures->trouble, sizeof figures->trouble, "%.*s", (int)sizeof figures->trouble - 1,
                 journal->trouble.text);
    if (journal->spare != NULL)
        figures->bytes += journal->spare->allocated;
}

void rkb_journal_reserve(struct rkb_journal *journal, uint64_t bytes)
{
    journal->reserved = bytes;
}

/* The memory of a journal; nothing on disk is touched. */
static struct rkb_journal *new_journal(const struct rkb_journal_options *options)
{
    struct rkb_journal *journal = calloc(1, sizeof *journal);
    if (journal == NULL)
        return NULL;
    uint64_t most = options->max_size / SEGMENTS, size = options->segment_size < most ? options->segment_size : most;
    journal->sys = options->sys;
    journal->max_size = options->max_size;
    journal->min_free = options->min_free;
    journal->free = UINT64_MAX;
    journal->no_sync = options->no_sync;
    journal->memory_size = options->memory_size;
    journal->segment_size = (size_t)(size < SMALLEST_SEGMENT ? SMALLEST_SEGMENT : size / 4096 * 4096);
    journal->directory_fd = journal->lock_fd = -1;
    journal->directory = strdup(options->directory);
    journal->dictionary = rkb_dictionary_new();
    journal->ranges = calloc(RKB_CHECKPOINT_ENTRIES, sizeof *journal->ranges);
    journal->topics = calloc(RKB_CHECKPOINT_TOPICS, sizeof *journal->topics);
    bool furnished = journal->ranges != NULL && journal->topics != NULL;
    if (journal->directory != NULL && journal->dictionary != NULL && furnished)
        return journal;
    rkb_journal_close(journal);
    return NULL;
}

void rkb_journal_close(struct rkb_journal *journal)
{
    if (journal == NULL)
        return;
    rkb_journal_leave_memory(journal);
    for (size_t i = 0; i < journal->segment_count; i++)
        rkb_segment_free(journal->segments[i]);
    free(journal->segments);
    rkb_segment_free(journal->spare);
    rkb_checkpoint_close(journal->checkpoint);
    if (journal->directory_fd >= 0)
        journal->sys->close(journal->directory_fd);
    if (journal->lock_fd >= 0)
        journal->sys->close(journal->lock_fd);
    rkb_acks_free(journal->acks);
    rkb_dictionary_free(journal->dictionary);
    while (journal->left_count > 0)
        free(journal->left[--journal->left_count]);
    free(journal->left);
    free(journal->memory_directory);
    free(journal->left_ring);
    free(journal->ranges);
    free(journal->topics);
    free(journal->topic_lows);
    free(journal->staging);
    free(journal->directory);
    free(journal);
}

/* The name of a directory just made is on the disk before anything in it counts. */
static bool sync_parent(const struct rkb_journal *journal, struct rkb_error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/..", journal->directory);
    int fd = journal->sys->open(path, O_RDONLY | O_DIRECTORY, 0);
    bool done = fd >= 0 && journal->sys->fsync(fd) == 0;
    if (!done)
        rkb_fail_errno(error, "journal: cannot sync the directory %s", path);
    if (fd >= 0)
        journal->sys->close(fd);
    return done;
}

static bool make_directory(const struct rkb_journal *journal, struct rkb_error *error)
{
    if (strlen(journal->directory) + LONGEST_NAME_IN_IT > PATH_MAX)
        return rkb_fail(error, RKB_USAGE, "journal: the directory's name is too long");
    if (mkdir(journal->directory, 0700) == 0)
        return sync_parent(journal, error);
    return errno == EEXIST || rkb_fail_errno(error, "journal: cannot make the directory %s", journal->directory);
}

/*
 * Was there a journal in this directory? Of the records in its ring none can be used; as many as they could be at the
 * most count as given out.
 */
static void look_for_left(struct rkb_journal *journal, const char *ring_directory)
{
    struct rkb_ring_left left;
    if (!rkb_ring_find_left(ring_directory, journal->directory, journal->id, journal->sys, &left))
        return;
    journal->notes = left.notes;
    journal->notes.next = (left.notes.next > 0 ? left.notes.next : 1) + left.bytes / RKB_RECORD_HEADER;
    journal->left_ring = strdup(left.path);
}

static bool enter_directory(struct rkb_journal *journal, const char *ring_directory, struct rkb_error *error)
{
    if (!make_directory(journal, error))
        return false;
    journal->directory_fd = journal->sys->open(journal->directory, O_RDONLY | O_DIRECTORY, 0);
    if (journal->directory_fd < 0)
        return rkb_fail_errno(error, "journal: cannot open the directory %s", journal->directory);
    journal->lock_fd = rkb_lock_take(journal->directory, journal->sys, error);
    if (journal->lock_fd < 0)
        return false;

    uint64_t *numbers;
    size_t count;
    if (!rkb_directory_segments(journal->directory, &numbers, &count))
        return rkb_fail_errno(error, "journal: cannot read the directory %s", journal->directory);
    free(numbers);
    if (!rkb_lock_own(journal->lock_fd, journal->directory, count > 0, journal->sys, journal->id, error))
        return false;
    /* A new id is on the disk under its name before anything carries it. */
    if (count == 0 && journal->sys->fsync(journal->directory_fd) != 0)
        return rkb_fail_errno(error, "journal: cannot sync the directory %s", journal->directory);
    if (ring_directory != NULL && !rkb_ring_read_notes(ring_directory, journal->id, journal->sys, &journal->notes)
        && count == 0)
        look_for_left(journal, ring_directory);
    return rkb_journal_name_memory(journal, ring_directory, error);
}

static bool open_checkpoint(struct rkb_journal *journal, uint64_t generation, uint64_t low, struct rkb_error *error)
{
    struct rkb_checkpoint_state state = {.low = low, .last_epoch = journal->last_epoch,
                                         .last_mark_ms = journal->last_mark_ms, .last_time_us = journal->settled_us};
    journal->checkpoint = rkb_checkpoint_open(journal->directory, journal->id, journal->sys, generation,
                                              generation == 0 ? &state : NULL, error);
    return journal->checkpoint != NULL;
}

/* A spare that an earlier process made is of no use: nobody knows whether its room was reserved. */
static bool remove_spare(struct rkb_journal *journal, struct rkb_error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/" RKB_SPARE_NAME, journal->directory);
    return journal->sys->unlink(path) == 0 || errno == ENOENT ||
           rkb_fail_errno(error, "journal: cannot remove %s", path);
}

/*
 * From recovered to ready. No room for a new segment is no reason not to start: what is there can be shipped, and room
 * comes from that.
 */
static bool get_ready(struct rkb_journal *journal, uint64_t generation, const struct rkb_recovery *recovery,
                      struct rkb_error *error)
{
    uint64_t low = recovery->low;
    struct rkb_error trouble;
    if (journal->settled_us == 0)       /* no checkpoint says */
        journal->settled_us = recovery->fresh ? journal->sys->realtime_us() : 1;
    if (!remove_spare(journal, error) || !open_checkpoint(journal, generation, low, error))
        return false;
    journal->directory_changed = true;
    if (generation == 0 && !rkb_journal_sync_directory(journal, error))     /* before there is a segment */
        return false;
    journal->directory_changed = true;
    if (!rkb_journal_start_segment(journal, 0, &trouble) && trouble.code != RKB_FULL) {
        *error = trouble;
        return false;
    }
    if (!rkb_journal_sync_directory(journal, error))
        return false;
    if (journal->sys->fdatasync(rkb_checkpoint_fd(journal->checkpoint)) != 0)
        return rkb_fail_errno(error, "journal: cannot sync the checkpoint in %s", journal->directory);
    journal->synced = journal->next;
    journal->written_low = journal->durable_low = low;
    if (!rkb_journal_remove_passed(journal, error))
        return false;
    rkb_journal_leave_memory(journal);
    return true;
}

struct rkb_journal *rkb_journal_open(const struct rkb_journal_options *options, struct rkb_recovery *recovery,
                                     void (*visit)(void *context, const struct rkb_record *record), void *context,
                                     struct rkb_error *error)
{
    struct rkb_journal *journal = new_journal(options);
    uint64_t generation = 0;
    *recovery = (struct rkb_recovery){0};
    if (journal == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "journal: no memory");
        return NULL;
    }
    if (enter_directory(journal, options->ring_directory, error) &&
        rkb_journal_recover(journal, recovery, &generation, visit, context, error) &&
        get_ready(journal, generation, recovery, error)) {
        journal->go_on = options->degrade;
        return journal;
    }
    rkb_journal_close(journal);
    return NULL;
}

const uint8_t *rkb_journal_id(const struct rkb_journal *journal)
{
    return journal->id;
}

const struct rkb_dictionary *rkb_journal_dictionary(const struct rkb_journal *journal)
{
    return journal->dictionary;
}

struct rkb_acks *rkb_journal_acks(struct rkb_journal *journal)
{
    return journal->acks;
}

uint64_t rkb_journal_next(const struct rkb_journal *journal)
{
    return journal->next;
}

uint64_t rkb_journal_synced(const struct rkb_journal *journal)
{
    return journal->synced;
}
