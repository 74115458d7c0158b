/*
 * recover -- reads what an earlier process left; see journal.h.
 *
 *     heads of all segments --> checkpoint --> each segment that may hold unsettled records, oldest first
 *                                          --> newest: cut
 *
 *     first place that does not count      in an older segment: damage, its numbers up to the next segment are lost
 *                                          in the newest: torn tail; damage too if records that count lie behind it
 *     segment whose head does not read     damage; as far as its numbers may go, they are lost
 *     numbers between segments             damage if not settled
 *
 * Promise: what is visited was checked; next is higher than every number that was found used. Lost numbers become
 * settled, so that the checkpoint can pass them: telling of them is the caller's. Never: changes a file but to cut the
 * newest's tail.
 */
#include "journal/scan.h"
#include "journal/state.h"
#include "journal/used.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum head_state { HEAD_GOOD, HEAD_NEVER_WRITTEN, HEAD_BAD };

struct finding {
    struct rkb_segment *segment;
    size_t size;
    struct rkb_segment_head head;
    enum head_state state;
    char why[160];
};

struct recovery {
    struct rkb_journal *journal;
    struct rkb_recovery *report;
    void (*visit)(void *context, const struct rkb_record *record);
    void *context;
    struct finding *found;
    size_t count;
    size_t newest_with_records;     /* from here on segments are read even if all of it is settled */
    uint64_t low;                   /* of the checkpoint */
    uint64_t expected;              /* the number that comes next */
    int64_t before_us;              /* the latest time that is known to be before what is read next */
    bool end_open;                  /* a span was lost and no record behind it was read yet */
};

static void describe(struct recovery *recovery, const char *path, size_t offset, const char *why)
{
    struct rkb_recovery *report = recovery->report;
    if (report->damaged++ == 0)
        snprintf(report->damage, sizeof report->damage, "%s at %zu: %s", path, offset, why);
}

/* The span is gone: what is not settled of it is lost, and settled from now on. True when anything was. */
static bool lose(struct recovery *recovery, uint64_t first, uint64_t last, bool *lost, struct rkb_error *error)
{
    struct rkb_acks *acks = recovery->journal->acks;
    struct rkb_recovery *report = recovery->report;
    *lost = rkb_acks_open(acks, &first, &last);
    if (!*lost)
        return true;
    if (report->lost_first == 0) {
        report->lost_first = first;
        report->lost_from_us = recovery->before_us;
    }
    recovery->end_open = true;
    if (last > report->lost_last)
        report->lost_last = last;
    return rkb_acks_add_span(acks, first, last + 1, error);
}

static bool head_is_zero(const uint8_t *at)
{
    for (size_t i = 0; i < RKB_SEGMENT_HEADER; i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* Judges the head of one segment. False: it cannot be opened, or a newer rkbridge wrote it. */
static bool read_head(struct recovery *recovery, struct finding *finding, struct rkb_error *error)
{
    struct rkb_journal *journal = recovery->journal;
    struct rkb_segment *segment = finding->segment;
    uint8_t at[RKB_SEGMENT_HEADER];
    struct stat status;
    struct rkb_error trouble;
    int fd = journal->sys->open(segment->path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0 || fstat(fd, &status) != 0) {
        rkb_fail_errno(error, "journal: cannot open %s", segment->path);
        if (fd >= 0)
            journal->sys->close(fd);
        return false;
    }
    ssize_t got = journal->sys->pread(fd, at, sizeof at, 0);
    int number = errno;
    journal->sys->close(fd);
    errno = number;
    if (got < 0)
        return rkb_fail_errno(error, "journal: cannot read %s", segment->path);

    finding->size = (size_t)status.st_size;
    segment->allocated = (uint64_t)status.st_size;
    finding->state = HEAD_BAD;
    if (rkb_segment_head_parse(at, (size_t)got, &finding->head, &trouble)) {
        if (memcmp(finding->head.journal_id, journal->id, sizeof journal->id) != 0)
            snprintf(finding->why, sizeof finding->why, "belongs to another journal");
        else if (finding->head.first_sequence != segment->first)
            snprintf(finding->why, sizeof finding->why, "its name and its head disagree about its first record");
        else
            finding->state = HEAD_GOOD;
        segment->salt = finding->head.salt;
        return true;
    }
    if (trouble.code == RKB_VERSION)
        return rkb_fail(error, RKB_VERSION, "journal: %s: %s", segment->path, trouble.text);
    if (got < (ssize_t)sizeof at || head_is_zero(at))
        finding->state = HEAD_NEVER_WRITTEN;
    snprintf(finding->why, sizeof finding->why, "%.150s", trouble.text);
    return true;
}

static bool find_segments(struct recovery *recovery, struct rkb_error *error)
{
    struct rkb_journal *journal = recovery->journal;
    struct rkb_listed *listed;
    if (!rkb_directory_list(journal, &listed, &recovery->count, error))
        return false;
    recovery->found = calloc(recovery->count + 1, sizeof *recovery->found);
    bool good = recovery->found != NULL || rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for its recovery");
    for (size_t i = 0; good && i < recovery->count; i++) {
        const char *directory = listed[i].in_memory ? journal->memory_directory : journal->directory;
        struct rkb_segment *segment = rkb_segment_adopt(directory, listed[i].first, journal->sys);
        recovery->found[i].segment = segment;
        good = segment != NULL || rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for its recovery");
        if (good)
            segment->in_memory = listed[i].in_memory;
        good = good && rkb_journal_add_segment(journal, segment, error) &&
               read_head(recovery, &recovery->found[i], error);
    }
    free(listed);
    return good;
}

/* Acks from the checkpoint, or from the oldest segment where there is none. *high: the highest number it knows of. */
static bool load_checkpoint(struct recovery *recovery, uint64_t *generation, uint64_t *high, struct rkb_error *error)
{
    struct rkb_journal *journal = recovery->journal;
    struct rkb_error trouble = {.text = "the checkpoint is missing"};
    struct rkb_checkpoint_state state = {.ranges = journal->ranges, .topics = journal->topics};
    enum rkb_checkpoint_found found = rkb_checkpoint_read(journal->directory, journal->id, journal->sys, &state,
                                                          generation, &trouble);
    if (found == RKB_CHECKPOINT_FAILED) {
        *error = trouble;
        return false;
    }
    if (found == RKB_CHECKPOINT_READ && state.low == 0)
        state.low = 1;
    if (found != RKB_CHECKPOINT_READ) {
        state = (struct rkb_checkpoint_state){.low = recovery->count > 0 ? recovery->found[0].segment->first : 1};
        recovery->report->fresh = found == RKB_CHECKPOINT_MISSING && recovery->count == 0;
        if (!recovery->report->fresh && recovery->report->damaged++ == 0)
            snprintf(recovery->report->damage, sizeof recovery->report->damage, "%.180s; all segments are sent again",
                     trouble.text);
    }
    journal->acks = rkb_acks_new(state.low);
    if (journal->acks == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for its acks");
    *high = state.low - 1;
    for (uint32_t i = 0; i < state.range_count; i++) {
        const struct rkb_range *range = &state.ranges[i];
        if (!rkb_acks_add_span(journal->acks, range->first, range->first + range->count, error))
            return false;
        *high = range->first + range->count - 1;
    }
    for (uint32_t i = 0; i < state.topic_count; i++) {
        rkb_journal_raise_topic(journal, state.topics[i].topic, state.topics[i].low);
        if (state.topics[i].low > *high + 1)
            *high = state.topics[i].low - 1;
    }
    journal->topic_lows_changed = false;
    if (journal->notes.low <= journal->notes.next)
        rkb_acks_raise(journal->acks, journal->notes.low);
    journal->last_epoch = state.last_epoch;
    journal->last_mark_ms = state.last_mark_ms;
    journal->last_time_us = journal->settled_us = state.last_time_us;
    recovery->low = recovery->expected = state.low;
    if (state.last_time_us > recovery->before_us)
        recovery->before_us = state.last_time_us;
    return true;
}

/* Maps the whole file as found. */
static const uint8_t *map_found(const struct finding *finding, struct rkb_error *error)
{
    finding->segment->length = finding->size;
    return rkb_segment_map(finding->segment, error);
}

static bool has_records(const struct finding *finding, bool *any, struct rkb_error *error)
{
    *any = false;
    if (finding->state != HEAD_GOOD)
        return true;
    const uint8_t *data = map_found(finding, error);
    if (data == NULL)
        return false;
    struct rkb_scan scan = rkb_scan(data, finding->size, &finding->head);
    struct rkb_record record;
    const char *why;
    while (!*any && rkb_scan_next(&scan, &record, &why) == RKB_PARSE_RECORD)
        *any = record.kind != RKB_DICTIONARY;
    rkb_segment_unmap(finding->segment);
    return true;
}

static bool find_newest_with_records(struct recovery *recovery, struct rkb_error *error)
{
    bool any = false;
    for (size_t i = recovery->count; i > 0 && !any; i--) {
        if (!has_records(&recovery->found[i - 1], &any, error))
            return false;
        recovery->newest_with_records = i - 1;
    }
    return true;
}

static void show(struct recovery *recovery, const struct rkb_record *record, bool all_marks)
{
    bool mark = record->kind == RKB_MARK || record->kind == RKB_GAP;
    recovery->before_us = record->time_us;
    if (recovery->end_open)
        recovery->report->lost_to_us = record->time_us;
    recovery->end_open = false;
    rkb_journal_note(recovery->journal, record);
    if (recovery->visit != NULL && (!rkb_acks_has(recovery->journal->acks, record->sequence) || (all_marks && mark)))
        recovery->visit(recovery->context, record);
}

/* Reads records up to the first that does not count. BLANK or BAD with *why; false when memory ran out. */
static bool read_records(struct recovery *recovery, struct rkb_scan *scan, bool all_marks, enum rkb_parse *ended,
                         const char **why, struct rkb_error *error)
{
    for (;;) {
        struct rkb_record record;
        size_t before = scan->offset;
        *ended = rkb_scan_next(scan, &record, why);
        if (*ended != RKB_PARSE_RECORD)
            return true;
        if (record.kind != RKB_DICTIONARY) {
            if (!rkb_journal_settle_known(recovery->journal, &record, error))
                return false;
            show(recovery, &record, all_marks);
        } else if (!rkb_journal_learn(recovery->journal, &record, error)) {
            scan->offset = before;
            *ended = RKB_PARSE_BAD;
            *why = "a dictionary record makes no sense";
            return error->code == RKB_DAMAGED;
        }
    }
}

/* Promises to find again what was read: a process that was killed may not have synced it. */
static bool sync_found(struct rkb_segment *segment, struct rkb_error *error)
{
    segment->fd = segment->sys->open(segment->path, O_RDWR | O_NOFOLLOW, 0);
    if (segment->fd < 0)
        return rkb_fail_errno(error, "journal: cannot open %s for writing", segment->path);
    return rkb_segment_sync(segment, error);
}

static bool read_older(struct recovery *recovery, size_t index, struct rkb_error *error)
{
    struct finding *finding = &recovery->found[index];
    struct rkb_segment *segment = finding->segment;
    uint64_t end = finding[1].segment->first;
    bool lost = false;
    segment->last = end - 1;
    if (finding->state != HEAD_GOOD) {
        segment->length = segment->synced = 0;
        if (!lose(recovery, segment->first, end - 1, &lost, error))
            return false;
        if (lost || finding->state == HEAD_BAD)
            describe(recovery, segment->path, 0, finding->why);
        return true;
    }
    const uint8_t *data = map_found(finding, error);
    if (data == NULL)
        return false;
    struct rkb_scan scan = rkb_scan(data, finding->size, &finding->head);
    enum rkb_parse ended;
    const char *why = "it ends before the next segment begins";
    scan.end = end;         /* what lies behind was given up in the middle of a write, and could not be cut off */
    bool good = read_records(recovery, &scan, index >= recovery->newest_with_records, &ended, &why, error);
    rkb_segment_unmap(segment);
    segment->length = scan.offset;
    if (!good || !sync_found(segment, error))
        return false;
    rkb_segment_close_synced(segment);

    if (scan.next < end && !lose(recovery, scan.next, end - 1, &lost, error))
        return false;
    if (lost)
        describe(recovery, segment->path, scan.offset, why);
    else if (ended == RKB_PARSE_BAD)    /* given up in the middle of a write, which the next segment has too */
        recovery->report->torn_bytes += finding->size - scan.offset;
    return true;
}

/*
 * The end of what was written at or after `from`: room that was only reserved reads as zeros and is skipped without
 * reading it.
 */
static size_t written_end(int fd, const uint8_t *data, size_t from, size_t size)
{
    size_t end = from;
    for (size_t at = from; at < size;) {
        off_t start = lseek(fd, (off_t)at, SEEK_DATA);
        if (start < 0 && errno == ENXIO)
            break;
        off_t stop = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);
        size_t first = start < 0 ? at : (size_t)start, last = stop < 0 || (size_t)stop > size ? size : (size_t)stop;
        for (size_t i = last; i > first && end < i; i--)
            if (data[i - 1] != 0)
                end = i;
        at = last;
    }
    return end;
}

/*
 * Looks behind a torn place for records that count: their numbers were used. They are not shown: what is before them is
 * gone.
 */
static bool look_ahead(struct recovery *recovery, struct rkb_scan scan, size_t end, uint64_t *next)
{
    bool any = false;
    struct rkb_record record;
    while (rkb_scan_ahead(&scan, end, &record)) {
        any = true;
        if (record.kind == RKB_DICTIONARY && !rkb_journal_learn(recovery->journal, &record, NULL))
            break;
    }
    *next = scan.next;
    return any;
}

/*
 * The numbers a segment without a readable head may have used: as long as its records look right, else as many as would
 * fit.
 */
static uint64_t guess_end(const struct finding *finding, const uint8_t *data)
{
    uint64_t next = finding->segment->first;
    size_t at = RKB_SEGMENT_HEADER;
    struct rkb_record record;
    enum rkb_parse parse;
    while ((parse = rkb_record_peek(data + at, finding->size - at, &record, NULL)) == RKB_PARSE_RECORD &&
           record.sequence == (record.kind == RKB_DICTIONARY ? 0 : next)) {
        next += record.kind != RKB_DICTIONARY;
        at += rkb_record_length(data + at);
    }
    return parse == RKB_PARSE_BLANK ? next : next + (finding->size - at) / RKB_RECORD_HEADER;
}

/* The newest segment's head does not read: nothing of it does. It stays as it is until the checkpoint has passed it. */
static bool give_up_newest(struct recovery *recovery, struct finding *finding, struct rkb_error *error)
{
    struct rkb_segment *segment = finding->segment;
    bool lost;
    recovery->expected = segment->first;
    segment->length = segment->synced = 0;
    if (finding->state == HEAD_NEVER_WRITTEN) {
        recovery->report->torn_bytes += finding->size < RKB_SEGMENT_HEADER ? finding->size : 0;
        return true;
    }
    const uint8_t *data = map_found(finding, error);
    if (data == NULL)
        return false;
    recovery->expected = guess_end(finding, data);
    rkb_segment_unmap(segment);
    segment->length = 0;
    segment->last = recovery->expected - 1;
    describe(recovery, segment->path, 0, finding->why);
    return lose(recovery, segment->first, segment->last, &lost, error);
}

static bool read_newest(struct recovery *recovery, size_t index, struct rkb_error *error)
{
    struct finding *finding = &recovery->found[index];
    struct rkb_segment *segment = finding->segment;
    if (finding->state != HEAD_GOOD)
        return give_up_newest(recovery, finding, error);
    const uint8_t *data = map_found(finding, error);
    if (data == NULL)
        return false;
    struct rkb_scan scan = rkb_scan(data, finding->size, &finding->head);
    enum rkb_parse ended;
    const char *why = "nothing was written here";
    if (!read_records(recovery, &scan, true, &ended, &why, error))
        return false;
    segment->fd = segment->sys->open(segment->path, O_RDWR | O_NOFOLLOW, 0);
    if (segment->fd < 0)
        return rkb_fail_errno(error, "journal: cannot open %s for writing", segment->path);

    size_t end = written_end(segment->fd, data, scan.offset, finding->size);
    uint64_t next = scan.next;
    bool more = look_ahead(recovery, scan, end, &next), lost;
    rkb_segment_unmap(segment);
    recovery->report->torn_bytes += end - scan.offset;
    if (more)
        describe(recovery, segment->path, scan.offset, why);
    if (next > scan.next && !lose(recovery, scan.next, next - 1, &lost, error))
        return false;
    segment->length = scan.offset;
    segment->last = next - 1;
    recovery->expected = next;
    if (!rkb_segment_seal(segment, error) || !rkb_segment_sync(segment, error))
        return false;
    rkb_segment_close_synced(segment);
    return true;
}

/* One segment, and the hole before it. */
static bool read_segment(struct recovery *recovery, size_t index, struct rkb_error *error)
{
    struct finding *finding = &recovery->found[index];
    struct rkb_segment *segment = finding->segment;
    bool newest = index + 1 == recovery->count, lost = false;
    if (segment->first > recovery->expected && !lose(recovery, recovery->expected, segment->first - 1, &lost, error))
        return false;
    if (lost)
        describe(recovery, segment->path, 0, "the records before it are missing");
    if (newest)
        return read_newest(recovery, index, error);

    recovery->expected = finding[1].segment->first;
    if (recovery->expected > recovery->low || index >= recovery->newest_with_records)
        return read_older(recovery, index, error);
    segment->length = segment->synced = finding->size;
    segment->last = recovery->expected - 1;
    /* What it begins with may have been read before it was made, and waited in the ring; what is behind it was not. */
    if (finding->state == HEAD_GOOD && finding->head.created_us > recovery->before_us)
        recovery->before_us = finding->head.created_us;
    return true;
}

/*
 * What the ring's note, the ledger or the dead letters say was given to the journal, and is not in it: it was in
 * memory, or the disk has forgotten it, or somebody has deleted it all.
 */
static bool lose_given_out(struct recovery *recovery, struct rkb_error *error)
{
    struct rkb_journal *journal = recovery->journal;
    uint64_t next = journal->notes.next, used;
    bool lost = false;
    if (!rkb_used_highest(journal->directory, journal->id, journal->sys, &used, error))
        return false;
    if (journal->left_ring != NULL) {
        describe(recovery, journal->left_ring, 0,
                 "this ring is of a journal that is gone from its directory; what it holds cannot be used, remove it");
        recovery->report->fresh = false;
        journal->last_time_us = journal->notes.read_us;
    }
    if (used >= next)
        next = used + 1;
    if (next <= journal->next)
        return true;
    recovery->report->fresh = false;
    if (!lose(recovery, journal->next, next - 1, &lost, error))
        return false;
    if (lost)
        describe(recovery, journal->directory, 0, "the newest records it was given are missing");
    journal->next = next;
    return true;
}

/* Nothing behind what was lost says when that was: up to the ring's note, or now. */
static void end_span(struct recovery *recovery)
{
    const struct rkb_journal *journal = recovery->journal;
    int64_t from_us = recovery->report->lost_from_us, now_us = journal->sys->realtime_us();
    if (journal->notes.read_us > from_us)
        now_us = journal->notes.read_us;
    recovery->report->lost_to_us = now_us;
}

/* What the checkpoint knows of and no segment holds. */
static bool settle_end(struct recovery *recovery, uint64_t high, struct rkb_error *error)
{
    struct rkb_journal *journal = recovery->journal;
    bool lost = false;
    if (high >= recovery->expected && !lose(recovery, recovery->expected, high, &lost, error))
        return false;
    bool gone = recovery->count == 0 && high > 0;
    if (lost || gone)
        describe(recovery, journal->directory, 0,
                 gone ? "no segment is left of what the checkpoint tells of"
                      : "records the checkpoint tells of are missing");
    journal->next = high >= recovery->expected ? high + 1 : recovery->expected;
    if (!lose_given_out(recovery, error))
        return false;
    if (recovery->end_open)
        end_span(recovery);
    return true;
}

bool rkb_journal_recover(struct rkb_journal *journal, struct rkb_recovery *report, uint64_t *generation,
                         void (*visit)(void *context, const struct rkb_record *record), void *context,
                         struct rkb_error *error)
{
    struct recovery recovery = {.journal = journal, .report = report, .visit = visit, .context = context,
                                .before_us = 1};
    uint64_t high = 0;
    bool good = find_segments(&recovery, error) && load_checkpoint(&recovery, generation, &high, error) &&
                find_newest_with_records(&recovery, error);
    if (good && recovery.count > 0 && recovery.found[0].segment->first < recovery.expected)
        recovery.expected = recovery.found[0].segment->first;
    for (size_t i = 0; good && i < recovery.count; i++)
        good = read_segment(&recovery, i, error);
    good = good && settle_end(&recovery, high, error);
    free(recovery.found);
    report->next_sequence = journal->next;
    report->low = recovery.low;
    report->last_epoch = journal->last_epoch;
    report->last_count = journal->last_count;
    report->last_mark_ms = journal->last_mark_ms;
    report->last_time_us = journal->last_time_us;
    return good;
}
