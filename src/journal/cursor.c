/*
 * cursor -- see journal.h.
 *
 * A cursor pins the segment it stands in. Promise: each record it returns was checked against its checksum just now,
 * and has the number asked for, or the next one there is. Never: stays at the end of a segment that gets no more
 * records; computes a checksum over what it passes over.
 */
#include "journal/state.h"

#include <inttypes.h>

static void leave(struct rkb_cursor *cursor)
{
    if (cursor->segment != NULL)
        rkb_segment_unpin(cursor->segment);
    cursor->segment = NULL;
    cursor->offset = 0;
}

void rkb_cursor_seek(struct rkb_cursor *cursor, struct rkb_journal *journal, uint64_t sequence)
{
    *cursor = (struct rkb_cursor){.journal = journal, .sequence = sequence};
}

void rkb_cursor_close(struct rkb_cursor *cursor)
{
    leave(cursor);
}

/* Steps into the segment that has cursor->sequence, or the first after it. END when that is none. */
static enum rkb_next enter(struct rkb_cursor *cursor, struct rkb_error *error)
{
    struct rkb_journal *journal = cursor->journal;
    size_t at = rkb_journal_find(journal, cursor->sequence);
    while (at < journal->segment_count && journal->segments[at]->length <= RKB_SEGMENT_HEADER)
        at++;
    if (at == journal->segment_count)
        return RKB_NEXT_END;
    struct rkb_segment *segment = journal->segments[at];
    if (rkb_segment_map(segment, error) == NULL)
        return RKB_NEXT_FAILED;
    rkb_segment_pin(segment);
    cursor->segment = segment;
    cursor->offset = RKB_SEGMENT_HEADER;
    if (cursor->sequence < segment->first)
        cursor->sequence = segment->first;
    return RKB_NEXT_RECORD;
}

/* Nothing more counts in this segment: the cursor goes on behind it. */
static enum rkb_next skip_rest(struct rkb_cursor *cursor, const char *why, struct rkb_record *record,
                               struct rkb_error *error)
{
    struct rkb_segment *segment = cursor->segment;
    rkb_fail(error, RKB_DAMAGED, "journal: %s at %zu: record %" PRIu64 " does not count: %s", segment->path,
             cursor->offset, cursor->sequence, why);
    if (cursor->sequence <= segment->last)
        cursor->sequence = segment->last + 1;
    if (segment->filling)
        cursor->offset = segment->length;
    else
        leave(cursor);
    size_t at = rkb_journal_find(cursor->journal, cursor->sequence);
    if (at < cursor->journal->segment_count && cursor->journal->segments[at]->first > cursor->sequence)
        cursor->sequence = cursor->journal->segments[at]->first;
    record->sequence = cursor->sequence;
    return RKB_NEXT_DAMAGED;
}

/* What is looked for: every numbered record, or only the messages of one topic below a number. */
struct wanted {
    bool messages_of_topic;
    uint32_t topic;
    uint64_t limit;
};

/* A record without a number, or with one before the cursor's. */
static bool behind(const struct rkb_cursor *cursor, const struct rkb_record *record)
{
    return record->kind == RKB_DICTIONARY || record->sequence < cursor->sequence;
}

static bool is_wanted(const struct wanted *wanted, const struct rkb_record *record)
{
    return !wanted->messages_of_topic || (record->kind == RKB_MESSAGE && record->topic == wanted->topic);
}

/*
 * Within the segment the cursor stands in, up to its end or the limit (then END). Of what is passed over only the
 * header is looked at: that its number is the next one shows that all before it was passed over whole.
 */
static enum rkb_next next_in_segment(struct rkb_cursor *cursor, const struct wanted *wanted, struct rkb_record *record,
                                     struct rkb_error *error)
{
    const struct rkb_segment *segment = cursor->segment;
    while (cursor->offset < segment->length && cursor->sequence < wanted->limit) {
        const char *why = "nothing was written here";
        const uint8_t *at = segment->map + cursor->offset;
        size_t available = segment->length - cursor->offset;
        if (rkb_record_peek(at, available, record, &why) != RKB_PARSE_RECORD)
            return skip_rest(cursor, why, record, error);
        if (behind(cursor, record)) {
            cursor->offset += rkb_record_length(at);
            continue;
        }
        bool found = is_wanted(wanted, record);
        if (found && rkb_record_parse(at, available, segment->salt, record, &why) != RKB_PARSE_RECORD)
            return skip_rest(cursor, why, record, error);
        if (record->sequence != cursor->sequence)
            return skip_rest(cursor, "its sequence number does not follow the one before", record, error);
        cursor->offset += rkb_record_length(at);
        cursor->sequence++;
        if (found)
            return RKB_NEXT_RECORD;
    }
    return RKB_NEXT_END;
}

/* A segment that gets no more records is left at its end. */
static void leave_at_end(struct rkb_cursor *cursor)
{
    const struct rkb_segment *segment = cursor->segment;
    if (segment == NULL || segment->filling || cursor->offset < segment->length)
        return;
    if (cursor->sequence <= segment->last)
        cursor->sequence = segment->last + 1;   /* recovery has reported what is missing here */
    leave(cursor);
}

static enum rkb_next next(struct rkb_cursor *cursor, const struct wanted *wanted, struct rkb_record *record,
                          struct rkb_error *error)
{
    for (;;) {
        leave_at_end(cursor);
        if (cursor->sequence >= wanted->limit)
            return RKB_NEXT_END;
        if (cursor->segment == NULL) {
            enum rkb_next entered = enter(cursor, error);
            if (entered != RKB_NEXT_RECORD)
                return entered;
        }
        enum rkb_next found = next_in_segment(cursor, wanted, record, error);
        if (found != RKB_NEXT_END || cursor->segment->filling)
            return found;
    }
}

enum rkb_next rkb_cursor_next(struct rkb_cursor *cursor, struct rkb_record *record, struct rkb_error *error)
{
    static const struct wanted all = {.limit = UINT64_MAX};
    return next(cursor, &all, record, error);
}

enum rkb_next rkb_cursor_next_of(struct rkb_cursor *cursor, uint32_t topic, uint64_t limit, struct rkb_record *record,
                                 struct rkb_error *error)
{
    const struct wanted messages = {.messages_of_topic = true, .topic = topic, .limit = limit};
    return next(cursor, &messages, record, error);
}
