/*
 * append -- moves batches from the ring into segments; see journal.h.
 *
 *     ring --> staging (copied, salt exchanged) --> one pwrite --> filling segment --> sealed when full
 *
 * Promise: *taken never counts a record whose write failed; a failed write leaves the journal as it was, and the same
 * batch may be tried again. Never: hashes a record a second time, writes where something counts already.
 */
#include "journal/raw.h"
#include "journal/state.h"

#include <inttypes.h>
#include <stdlib.h>

#define STAGING (256 * 1024)
#define MOST_UNSYNCED 64        /* sealed segments whose descriptors stay open because nobody called sync */

/* How far a call of append is, and how the journal stands once what is staged is written. */
struct batch {
    size_t at;              /* the record being taken */
    size_t done;            /* what lies before this is written, or needed no writing */
    size_t staged;
    uint64_t next;
    uint32_t names[RKB_NAME_SOURCE + 1];
    bool broken;            /* a write failed: this call writes no more */
};

static bool flush(struct rkb_journal *journal, struct batch *batch, struct rkb_error *error)
{
    if (batch->staged > 0) {
        if (batch->broken || !rkb_segment_write(journal->filling, journal->staging, batch->staged, error)) {
            batch->broken = true;
            return false;
        }
        journal->next = batch->next;
        journal->filling->last = batch->next - 1;
        memcpy(journal->names, batch->names, sizeof journal->names);
    }
    batch->staged = 0;
    batch->done = batch->at;
    return true;
}

/* All names as dictionary records, sealed with `salt`; malloc'd. */
static uint8_t *all_names(const struct rkb_journal *journal, uint64_t salt)
{
    uint8_t *names = malloc(journal->names_size + 1), *at = names;
    for (enum rkb_name class = RKB_NAME_ROUTE; names != NULL && class <= RKB_NAME_SOURCE; class++)
        for (uint32_t number = 1; number <= rkb_dictionary_count(journal->dictionary, class); number++)
            at += rkb_dictionary_record(journal->dictionary, class, number, at, salt);
    return names;
}

bool rkb_journal_begin_segment(struct rkb_journal *journal, struct rkb_segment *segment, const char *directory,
                               struct rkb_error *error)
{
    struct rkb_segment_head head = {.version = RKB_FORMAT_VERSION, .first_sequence = journal->next,
                                    .created_us = journal->sys->realtime_us()};
    memcpy(head.journal_id, journal->id, sizeof head.journal_id);
    if (journal->sys->random(&head.salt, sizeof head.salt) != 0)
        return rkb_fail_errno(error, "journal: no random bytes for a segment's salt");
    uint8_t *names = all_names(journal, head.salt);
    if (names == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for a segment's names");
    bool done = rkb_segment_begin(segment, directory, &head, names, journal->names_size, error);
    free(names);
    return done;
}

/*
 * The segment before the newest gets no more records. Where it cannot be cut it keeps its room, which recovery
 * does not mind. Descriptors of segments that nobody syncs are not left to pile up.
 */
static void retire(struct rkb_journal *journal, struct rkb_segment *old)
{
    bool cut = rkb_segment_seal(old, NULL);
    (void)cut;
    if (old->pins == 0)
        rkb_segment_unmap(old);
    if (journal->segment_count - journal->unsynced <= MOST_UNSYNCED)
        return;
    struct rkb_segment *oldest = journal->segments[journal->unsynced];
    if (!rkb_segment_sync(oldest, NULL)) {
        journal->sync_failed = true;
        return;
    }
    rkb_segment_close_synced(oldest);
    journal->unsynced++;
}

/*
 * The newest had no records, and the one behind it begins with the same number: on the disk the new file has taken its
 * name. A cursor may stand in it; then it goes when it is passed.
 */
static void replace_empty(struct rkb_journal *journal, struct rkb_segment *old, const struct rkb_segment *segment)
{
    old->nameless = old->in_memory == segment->in_memory || rkb_segment_remove(old, NULL);
    if (old->pins > 0 || !old->nameless)
        return;
    if (old == journal->filling)
        journal->filling = NULL;
    rkb_journal_drop_segment(journal, journal->segment_count - 1);
}

bool rkb_journal_take_segment(struct rkb_journal *journal, struct rkb_segment *segment, struct rkb_error *error)
{
    size_t count = journal->segment_count;
    if (count > 0 && journal->segments[count - 1]->first == segment->first)
        replace_empty(journal, journal->segments[count - 1], segment);
    if (!rkb_journal_add_segment(journal, segment, error)) {
        rkb_segment_free(segment);
        return false;
    }
    journal->directory_changed = journal->directory_changed || !segment->in_memory;
    for (enum rkb_name class = RKB_NAME_ROUTE; class <= RKB_NAME_SOURCE; class++)
        journal->names[class] = rkb_dictionary_count(journal->dictionary, class);
    if (journal->filling != NULL)
        retire(journal, journal->filling);
    journal->filling = segment;
    return true;
}

bool rkb_journal_start_segment(struct rkb_journal *journal, size_t record, struct rkb_error *error)
{
    struct rkb_segment *segment = rkb_journal_next_segment(journal, record, error);
    return segment != NULL && rkb_journal_take_segment(journal, segment, error);
}

/* Makes room for `size` more bytes in staging and in the filling segment, writing what is staged if need be. */
static bool make_room(struct rkb_journal *journal, struct batch *batch, size_t size, struct rkb_error *error)
{
    bool fits = journal->filling != NULL
        && journal->filling->length + batch->staged + size <= journal->filling->allocated;
    if (fits && batch->staged + size <= journal->staging_size)
        return true;
    if (size > journal->segment_size / 2)
        return rkb_fail(error, RKB_DAMAGED, "journal: a record of %zu bytes is longer than a segment takes", size);
    if (!flush(journal, batch, error))
        return false;
    if (!fits) {
        if (!rkb_journal_start_segment(journal, size, error))
            return false;
        memcpy(batch->names, journal->names, sizeof batch->names);
    }
    if (size <= journal->staging_size)
        return true;
    size_t room = size > STAGING ? size : STAGING;
    uint8_t *staging = realloc(journal->staging, room);
    if (staging == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "journal: no memory to stage %zu bytes", room);
    journal->staging = staging;
    journal->staging_size = room;
    return true;
}

static bool stage(struct rkb_journal *journal, struct batch *batch, const uint8_t *at, size_t size, uint64_t salt,
                  struct rkb_error *error)
{
    if (!make_room(journal, batch, size, error))
        return false;
    uint8_t *to = journal->staging + batch->staged;
    memcpy(to, at, size);
    rkb_record_resalt(to, salt, journal->filling->salt);
    batch->staged += size;
    return true;
}

/* A name goes into each segment once: at its head, or when it comes. */
static bool take_name(struct rkb_journal *journal, struct batch *batch, const struct rkb_record *record,
                      const uint8_t *at, size_t size, uint64_t salt, struct rkb_error *error)
{
    if (!rkb_journal_learn(journal, record, error))
        return false;
    uint8_t class = record->value.data[0];
    uint32_t number = rkb_raw_u32(record->value.data + 1);
    if (!make_room(journal, batch, size, error))
        return false;
    if (number <= batch->names[class])
        return true;
    if (!stage(journal, batch, at, size, salt, error))
        return false;
    batch->names[class] = number;
    return true;
}

static bool take(struct rkb_journal *journal, struct batch *batch, const struct rkb_record *record, const uint8_t *at,
                 size_t size, uint64_t salt, struct rkb_error *error)
{
    if (record->kind == RKB_DICTIONARY)
        return take_name(journal, batch, record, at, size, salt, error);
    if (record->sequence < batch->next)
        return true;
    if (record->sequence != batch->next)
        return rkb_fail(error, RKB_DAMAGED, "journal: record %" PRIu64 " comes where %" PRIu64 " is due",
                        record->sequence, batch->next);
    if (!stage(journal, batch, at, size, salt, error))
        return false;
    batch->next++;
    rkb_journal_note(journal, record);
    return true;
}

/* Takes what it can of the batch into staging and the segments; false at the first record that cannot be taken. */
static bool take_all(struct rkb_journal *journal, struct batch *batch, const uint8_t *records, size_t bytes,
                     uint64_t salt, struct rkb_error *error)
{
    while (batch->at < bytes) {
        struct rkb_record record;
        const char *why = "nothing was written there";
        const uint8_t *at = records + batch->at;
        if (rkb_record_peek(at, bytes - batch->at, &record, &why) != RKB_PARSE_RECORD)
            return rkb_fail(error, RKB_DAMAGED, "journal: a record for it does not count: %s", why);
        size_t size = rkb_record_length(at);
        if (!take(journal, batch, &record, at, size, salt, error))
            return false;
        batch->at += size;
    }
    return true;
}

bool rkb_journal_append(struct rkb_journal *journal, const uint8_t *records, size_t bytes, uint64_t salt, size_t *taken,
                        struct rkb_error *error)
{
    struct batch batch = {.next = journal->next};
    memcpy(batch.names, journal->names, sizeof batch.names);
    bool all = take_all(journal, &batch, records, bytes, salt, error);
    bool written = flush(journal, &batch, all ? error : NULL);
    *taken = batch.done;
    return all && written;
}

size_t rkb_journal_record_limit(const struct rkb_journal *journal)
{
    return journal->segment_size / 2;
}
