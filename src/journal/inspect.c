/*
 * inspect -- see inspect.h.
 *
 * Never: takes the lock, writes, maps (a running bridge may cut a file under a map; a copy in memory stays whole).
 */
#include "journal/inspect.h"

#include "journal/checkpoint.h"
#include "journal/dead.h"
#include "journal/lock.h"
#include "journal/scan.h"
#include "journal/segment.h"
#include "journal/state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

struct rkb_inspection {
    const struct rkb_sys *sys;
    char *directory;
    uint8_t id[16];
    bool id_reads;
    struct rkb_inspected_checkpoint checkpoint;
    struct rkb_acks *acks;
    struct rkb_topic_low *topics;   /* checkpoint.topic_count of them */
    struct rkb_dictionary *names;
    uint64_t *numbers;              /* first sequence numbers of the segments, ascending */
    size_t count;
};

static bool settle_ranges(struct rkb_inspection *inspection, const struct rkb_checkpoint_state *state,
                          struct rkb_error *error)
{
    struct rkb_inspected_checkpoint *checkpoint = &inspection->checkpoint;
    for (uint32_t i = 0; i < state->range_count; i++) {
        const struct rkb_range *range = &state->ranges[i];
        for (uint64_t n = 0; n < range->count; n++)
            if (!rkb_acks_add(inspection->acks, range->first + n, error))
                return false;
        checkpoint->settled_above += range->count;
        checkpoint->high = range->first + range->count - 1;
    }
    return true;
}

static bool read_checkpoint(struct rkb_inspection *inspection, struct rkb_error *error)
{
    struct rkb_inspected_checkpoint *checkpoint = &inspection->checkpoint;
    struct rkb_error trouble = {.text = "there is no checkpoint file"};
    struct rkb_range *ranges = calloc(RKB_CHECKPOINT_ENTRIES, sizeof *ranges);
    inspection->topics = calloc(RKB_CHECKPOINT_TOPICS, sizeof *inspection->topics);
    if (ranges == NULL || inspection->topics == NULL) {
        free(ranges);
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a checkpoint");
    }
    struct rkb_checkpoint_state state = {.ranges = ranges, .topics = inspection->topics};
    uint64_t generation;
    enum rkb_checkpoint_found found = rkb_checkpoint_read(inspection->directory, inspection->id, inspection->sys,
                                                          &state, &generation, &trouble);
    checkpoint->reads = found == RKB_CHECKPOINT_READ;
    if (!checkpoint->reads) {
        state = (struct rkb_checkpoint_state){.low = inspection->count > 0 ? inspection->numbers[0] : 1};
        snprintf(checkpoint->reason, sizeof checkpoint->reason, "%s", trouble.text);
    }
    checkpoint->low = state.low;
    checkpoint->high = state.low - 1;
    checkpoint->range_count = state.range_count;
    checkpoint->topic_count = state.topic_count;
    for (uint32_t i = 0; i < state.topic_count; i++)
        if (state.topics[i].low - 1 > checkpoint->topic_high)
            checkpoint->topic_high = state.topics[i].low - 1;
    checkpoint->last_epoch = state.last_epoch;
    checkpoint->last_mark_ms = state.last_mark_ms;
    checkpoint->last_time_us = state.last_time_us;
    inspection->acks = rkb_acks_new(state.low);
    bool good = inspection->acks != NULL || rkb_fail(error, RKB_NO_MEMORY, "no memory for acks");
    good = good && settle_ranges(inspection, &state, error);
    free(ranges);
    return good;
}

struct rkb_inspection *rkb_inspect_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_error trouble;
    struct rkb_inspection *inspection = calloc(1, sizeof *inspection);
    if (inspection == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory");
        return NULL;
    }
    inspection->sys = sys;
    inspection->directory = strdup(directory);
    inspection->names = rkb_dictionary_new();
    bool good = inspection->directory != NULL && inspection->names != NULL;
    if (!good)
        rkb_fail(error, RKB_NO_MEMORY, "no memory");
    if (good && !rkb_directory_segments(directory, &inspection->numbers, &inspection->count))
        good = rkb_fail_errno(error, "cannot read the directory %s", directory);
    inspection->id_reads = good && rkb_lock_read_id(directory, sys, inspection->id, &trouble);
    if (good && !inspection->id_reads && inspection->count == 0)
        good = rkb_fail(error, RKB_USAGE, "%s is no journal: neither a segment nor a lock file with an id is in it",
                        directory);
    if (good && read_checkpoint(inspection, error))
        return inspection;
    rkb_inspect_close(inspection);
    return NULL;
}

void rkb_inspect_close(struct rkb_inspection *inspection)
{
    if (inspection == NULL)
        return;
    rkb_acks_free(inspection->acks);
    free(inspection->topics);
    rkb_dictionary_free(inspection->names);
    free(inspection->numbers);
    free(inspection->directory);
    free(inspection);
}

const uint8_t *rkb_inspect_id(const struct rkb_inspection *inspection)
{
    return inspection->id_reads ? inspection->id : NULL;
}

const struct rkb_inspected_checkpoint *rkb_inspect_checkpoint(const struct rkb_inspection *inspection)
{
    return &inspection->checkpoint;
}

size_t rkb_inspect_segments(const struct rkb_inspection *inspection)
{
    return inspection->count;
}

const struct rkb_dictionary *rkb_inspect_names(const struct rkb_inspection *inspection)
{
    return inspection->names;
}

bool rkb_inspect_settled(const struct rkb_inspection *inspection, uint64_t sequence)
{
    return rkb_acks_has(inspection->acks, sequence);
}

/* Narrows first..last to what is not settled at either end; false: all of it is. */
static bool unsettled(const struct rkb_inspection *inspection, uint64_t *first, uint64_t *last)
{
    uint64_t low = rkb_acks_low(inspection->acks);
    if (*first < low)
        *first = low;
    while (*first <= *last && rkb_acks_has(inspection->acks, *first))
        ++*first;
    while (*first <= *last && rkb_acks_has(inspection->acks, *last))
        --*last;
    return *first <= *last;
}

bool rkb_inspect_missing_before(const struct rkb_inspection *inspection, uint64_t *first, uint64_t *last)
{
    if (inspection->count == 0)
        return false;
    *first = 1;
    *last = inspection->numbers[0] - 1;
    return unsettled(inspection, first, last);
}

/* The whole file in memory; NULL with errno 0 when it is gone. */
static uint8_t *read_file(const struct rkb_sys *sys, const char *path, size_t *size, struct rkb_error *error)
{
    struct stat status;
    uint8_t *data = NULL;
    *size = 0;
    int fd = sys->open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0 || fstat(fd, &status) != 0 || (data = malloc((size_t)status.st_size + 1)) == NULL) {
        rkb_fail_errno(error, "cannot open %s", path);
        errno = fd < 0 && errno == ENOENT ? 0 : EIO;
        if (fd >= 0)
            sys->close(fd);
        return NULL;
    }
    ssize_t got = rkb_sys_read(sys, fd, data, (size_t)status.st_size);
    if (got < 0) {
        rkb_fail_errno(error, "cannot read %s", path);
        free(data);
        data = NULL;
    } else {
        *size = (size_t)got;
    }
    sys->close(fd);
    errno = EIO;
    return data;
}

static void damaged(struct rkb_inspected_segment *segment, uint64_t offset, const char *why)
{
    segment->state = RKB_SEGMENT_DAMAGED;
    segment->offset = offset;
    snprintf(segment->reason, sizeof segment->reason, "%s", why);
}

/* Judges the head; false when nothing of the segment reads. */
static bool read_head(const struct rkb_inspection *inspection, struct rkb_inspected_segment *segment,
                      const uint8_t *data, bool newest)
{
    struct rkb_error trouble;
    if (!rkb_segment_head_parse(data, segment->size, &segment->head, &trouble)) {
        damaged(segment, 0, trouble.text);
        if (trouble.code == RKB_VERSION)
            segment->state = RKB_SEGMENT_NEWER;
        else if (newest && segment->size < RKB_SEGMENT_HEADER)
            segment->state = RKB_SEGMENT_TORN;
        return false;
    }
    segment->head_reads = true;
    if (inspection->id_reads && memcmp(segment->head.journal_id, inspection->id, sizeof inspection->id) != 0)
        damaged(segment, 0, "belongs to another journal");
    else if (segment->head.first_sequence != segment->first)
        damaged(segment, 0, "its name and its head disagree about its first record");
    else
        return true;
    return false;
}

static size_t written_end(const uint8_t *data, size_t from, size_t size)
{
    while (size > from && data[size - 1] == 0)
        size--;
    return size;
}

/* Topics are ascending; marks and gaps are topic 0. */
static bool settle_known(struct rkb_inspection *inspection, const struct rkb_record *record)
{
    uint32_t topic = record->kind == RKB_MESSAGE ? record->topic : 0;
    uint32_t low = 0, high = inspection->checkpoint.topic_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (inspection->topics[middle].topic < topic)
            low = middle + 1;
        else
            high = middle;
    }
    bool known = low < inspection->checkpoint.topic_count && inspection->topics[low].topic == topic &&
                 record->sequence < inspection->topics[low].low;
    return !known || rkb_acks_add(inspection->acks, record->sequence, NULL);
}

/* What a place that does not count means, or the end that was reached. */
static void judge_end(struct rkb_inspected_segment *segment, struct rkb_scan *scan, enum rkb_parse ended,
                      const char *why, bool newest)
{
    struct rkb_record record;
    size_t end = written_end(scan->data, scan->offset, scan->size);
    segment->used = scan->offset;
    if (!newest) {
        if (ended == RKB_PARSE_BAD)
            damaged(segment, scan->offset, why);
    } else if (end == scan->offset) {
        segment->state = scan->offset < scan->size ? RKB_SEGMENT_FILLING : RKB_SEGMENT_SEALED;
    } else {
        struct rkb_scan ahead = *scan;
        damaged(segment, scan->offset, why);
        if (!rkb_scan_ahead(&ahead, end, &record))
            segment->state = RKB_SEGMENT_TORN;
    }
}

/* end: the number that the next segment begins with; 0: it is the newest. */
static void read_records(struct rkb_inspection *inspection, struct rkb_inspected_segment *segment, const uint8_t *data,
                         uint64_t end, void (*visit)(void *context, const struct rkb_record *record), void *context)
{
    struct rkb_scan scan = rkb_scan(data, segment->size, &segment->head);
    struct rkb_record record;
    scan.end = end;         /* as recovery reads it: what lies behind is the next segment's */
    const char *why = "nothing was written here";
    enum rkb_parse ended;
    size_t before = scan.offset;
    while ((ended = rkb_scan_next(&scan, &record, &why)) == RKB_PARSE_RECORD) {
        if (record.kind == RKB_DICTIONARY && !rkb_dictionary_learn(inspection->names, &record, NULL)) {
            why = "a dictionary record makes no sense";
            ended = RKB_PARSE_BAD;
            scan.offset = before;
            break;
        }
        if (record.kind != RKB_DICTIONARY && !settle_known(inspection, &record))
            break;
        segment->records[record.kind]++;
        if (visit != NULL)
            visit(context, &record);
        before = scan.offset;
    }
    segment->last = scan.next - 1;
    judge_end(segment, &scan, ended, why, end == 0);
}

bool rkb_inspect_segment(struct rkb_inspection *inspection, size_t index, struct rkb_inspected_segment *segment,
                         void (*visit)(void *context, const struct rkb_record *record), void *context,
                         struct rkb_error *error)
{
    bool newest = index + 1 == inspection->count;
    uint64_t first = inspection->numbers[index];
    size_t size;
    *segment = (struct rkb_inspected_segment){.first = first, .last = first - 1, .state = RKB_SEGMENT_SEALED};
    snprintf(segment->path, sizeof segment->path, "%s/%020" PRIu64 ".seg", inspection->directory, first);
    uint8_t *data = read_file(inspection->sys, segment->path, &size, error);
    if (data == NULL) {
        segment->state = RKB_SEGMENT_GONE;
        return errno == 0;
    }
    segment->size = size;
    if (read_head(inspection, segment, data, newest))
        read_records(inspection, segment, data, newest ? 0 : inspection->numbers[index + 1], visit, context);
    free(data);

    uint64_t missing_first = segment->last + 1, missing_last = newest ? 0 : inspection->numbers[index + 1] - 1;
    if (newest && inspection->checkpoint.high > segment->last)
        missing_last = inspection->checkpoint.high;
    if (missing_last >= missing_first && unsettled(inspection, &missing_first, &missing_last)) {
        segment->missing_first = missing_first;
        segment->missing_last = missing_last;
    }
    return true;
}

static void judge_dead(struct rkb_inspected_dead *dead, enum rkb_segment_state state, uint64_t offset, const char *why)
{
    dead->state = state;
    dead->offset = offset;
    snprintf(dead->reason, sizeof dead->reason, "%s", why);
}

static void read_letters(const struct rkb_inspection *inspection, struct rkb_inspected_dead *dead, const uint8_t *data,
                         void (*visit)(void *context, const struct rkb_record *letter,
                                       const struct rkb_record *message), void *context)
{
    struct rkb_segment_head head;
    struct rkb_record letter, message;
    struct rkb_error trouble;
    const char *why = "";
    size_t offset = RKB_SEGMENT_HEADER;
    enum rkb_parse parse;
    if (!rkb_segment_head_parse(data, dead->size, &head, &trouble)) {
        judge_dead(dead, trouble.code == RKB_VERSION ? RKB_SEGMENT_NEWER : RKB_SEGMENT_DAMAGED, 0, trouble.text);
        return;
    }
    if (inspection->id_reads && memcmp(head.journal_id, inspection->id, sizeof inspection->id) != 0) {
        judge_dead(dead, RKB_SEGMENT_DAMAGED, 0, "belongs to another journal");
        return;
    }
    while ((parse = rkb_dead_next(data, dead->size, head.salt, &offset, &letter, &message, &why)) == RKB_PARSE_RECORD) {
        dead->count++;
        if (visit != NULL)
            visit(context, &letter, &message);
    }
    if (parse == RKB_PARSE_BAD)
        judge_dead(dead, RKB_SEGMENT_DAMAGED, offset, why);
    else if (offset < dead->size)
        judge_dead(dead, RKB_SEGMENT_TORN, offset, "not written to its end");
}

bool rkb_inspect_dead(const struct rkb_inspection *inspection, struct rkb_inspected_dead *dead,
                      void (*visit)(void *context, const struct rkb_record *letter, const struct rkb_record *message),
                      void *context, struct rkb_error *error)
{
    size_t size;
    *dead = (struct rkb_inspected_dead){.state = RKB_SEGMENT_SEALED};
    snprintf(dead->path, sizeof dead->path, "%s/dead-letters", inspection->directory);
    uint8_t *data = read_file(inspection->sys, dead->path, &size, error);
    if (data == NULL)
        return errno == 0;
    dead->there = true;
    dead->size = size;
    read_letters(inspection, dead, data, visit, context);
    free(data);
    return true;
}
