/* store -- see store.h. */
#include "daemon/store.h"

#include <stdlib.h>
#include <string.h>

#define DEAD_PART 4         /* of max_size the dead letters take at most */

/* What the walks over journal and ring share. */
struct walk {
    struct rkb_store *store;
    struct rkb_error error;
    bool failed;
};

static void recall_gap(void *context, const struct rkb_gap *gap)
{
    rkb_gaps_recall(context, gap);
}

/* The latest mark of each source. */
static void note_mark(struct walk *walk, const struct rkb_record *record)
{
    struct rkb_store *store = walk->store;
    struct rkb_store_mark seen = {.source = record->route}, *mark;
    if (!rkb_mark_parse(record->value, &seen.mark, NULL))
        return;
    seen.has_anchor = record->value.size == RKB_MARK_SIZE + RKB_GAP_ANCHOR;
    if (seen.has_anchor)
        memcpy(seen.anchor, record->value.data + RKB_MARK_SIZE, RKB_GAP_ANCHOR);
    for (mark = store->marks; mark < store->marks + store->mark_count && mark->source != seen.source; mark++)
        ;
    if (mark == store->marks + store->mark_count) {
        struct rkb_store_mark *marks = realloc(store->marks, (store->mark_count + 1) * sizeof *marks);
        if (marks == NULL)
            return;
        store->marks = marks;
        mark = &marks[store->mark_count++];
        mark->mark.epoch = 0;
    }
    if (seen.mark.epoch >= mark->mark.epoch)
        *mark = seen;
}

const struct rkb_store_mark *rkb_store_last_mark(const struct rkb_store *store, uint32_t source)
{
    for (size_t i = 0; i < store->mark_count; i++)
        if (store->marks[i].source == source)
            return &store->marks[i];
    return NULL;
}

static void see_record(void *context, const struct rkb_record *record)
{
    struct walk *walk = context;
    struct rkb_gap gap;
    if (record->kind == RKB_MARK)
        note_mark(walk, record);
    if (record->kind == RKB_GAP && rkb_gap_parse(record->value, &gap, NULL))
        rkb_gaps_recall(walk->store->gaps, &gap);
}

static void count_waiting(struct walk *walk, uint32_t route)
{
    struct rkb_store *store = walk->store;
    if (route > store->waiting_count || store->waiting == NULL) {
        uint64_t *waiting = realloc(store->waiting, (route + 1) * sizeof *waiting);
        if (waiting == NULL) {
            walk->failed = !rkb_fail(&walk->error, RKB_NO_MEMORY, "no memory to count what waits");
            return;
        }
        size_t had = store->waiting == NULL ? 0 : store->waiting_count + 1;
        memset(waiting + had, 0, (route + 1 - had) * sizeof *waiting);
        store->waiting = waiting;
        store->waiting_count = route;
    }
    store->waiting[route]++;
}

/* A record the ring still holds because the journal is full. */
static void see_leftover(void *context, const struct rkb_record *record)
{
    struct walk *walk = context;
    if (record->kind == RKB_DICTIONARY) {
        walk->failed = walk->failed || !rkb_dictionary_learn(walk->store->dictionary, record, &walk->error);
        return;
    }
    if (record->sequence < walk->store->next_sequence)
        return;
    walk->store->next_sequence = record->sequence + 1;
    if (record->kind == RKB_MESSAGE)
        count_waiting(walk, record->route);
    see_record(context, record);
}

static bool open_ring(struct rkb_store *store, const struct rkb_config *config, struct rkb_log *log,
                      struct rkb_error *error)
{
    struct rkb_ring_options options = {
        .directory = config->journal.ring_directory,
        .size = config->journal.ring_size,
        .journal_id = rkb_journal_id(store->journal),
        .sys = &rkb_sys_posix,
        .journal_directory = config->journal.directory,
    };
    store->ring = rkb_ring_open(&options, error);
    if (store->ring == NULL && options.directory != NULL && error->code != RKB_DAMAGED && error->code != RKB_VERSION) {
        rkb_log(log, RKB_LOG_WARN, "ring", "ring_anonymous", "%s", error->text);
        options.directory = NULL;
        store->ring = rkb_ring_open(&options, error);
    }
    if (store->ring != NULL && !rkb_ring_outlives(store->ring))
        rkb_log(log, RKB_LOG_WARN, "ring", "ring_anonymous",
                "not on a tmpfs: a kill -9 loses what was read in the last milliseconds; "
                "journal.ring_directory may name one");
    return store->ring != NULL;
}

/* Marks, and when a record was read: also those that only the ring has count as known. */
static void note_leftover(void *context, const struct rkb_record *record)
{
    struct rkb_recovery *recovery = context;
    uint64_t time_ms = (uint64_t)record->time_us / 1000;
    if (record->kind == RKB_DICTIONARY)
        return;
    if (record->epoch > recovery->last_epoch) {
        recovery->last_epoch = record->epoch;
        recovery->last_count = 0;
    }
    recovery->last_count = rkb_record_last_count(record, recovery->last_epoch, recovery->last_count);
    if (record->kind == RKB_MARK && time_ms > recovery->last_mark_ms)
        recovery->last_mark_ms = time_ms;
    recovery->last_time_us = record->time_us;
}

/* What a killed process left in the ring goes to the journal, as the shipper would have done. */
static bool take_ring(struct rkb_store *store, struct rkb_log *log, struct rkb_error *error)
{
    const uint8_t *records;
    size_t bytes = rkb_ring_peek(store->ring, &records), taken = 0;
    if (bytes == 0)
        return true;
    bool all = rkb_journal_append(store->journal, records, bytes, rkb_ring_salt(store->ring), &taken, error);
    rkb_ring_note_next(store->ring, rkb_journal_next(store->journal));
    rkb_ring_consume(store->ring, taken);
    rkb_log(log, RKB_LOG_INFO, "ring", "ring_recovered",
            "%zu bytes left by the instance before, %zu of them taken to the journal", bytes, taken);
    return all || error->code == RKB_FULL;
}

/*
 * What the ring says of low and of the topics' lows is newer than the checkpoint. It says nothing of numbers this
 * journal has not given out, and must not come to say something of them later: the journal may have been put back from
 * a copy.
 */
static void use_notes(struct rkb_store *store)
{
    rkb_ring_limit_notes(store->ring, rkb_journal_next(store->journal));
    rkb_acks_raise(rkb_journal_acks(store->journal), rkb_ring_noted_low(store->ring));
    for (uint32_t topic = 0; topic < RKB_RING_TOPICS; topic++)
        rkb_journal_topic_low(store->journal, topic, rkb_ring_noted_topic_low(store->ring, topic));
}

/* Every message that is not settled, by route; what lies below its topic's low is settled now. */
static bool count_journal(struct walk *walk)
{
    struct rkb_store *store = walk->store;
    struct rkb_acks *acks = rkb_journal_acks(store->journal);
    struct rkb_cursor cursor = {0};
    struct rkb_record record;
    rkb_cursor_seek(&cursor, store->journal, rkb_acks_low(acks));
    enum rkb_next next;
    while ((next = rkb_cursor_next(&cursor, &record, &walk->error)) == RKB_NEXT_RECORD && !walk->failed) {
        if (!rkb_journal_settle_known(store->journal, &record, &walk->error))
            return false;
        if (rkb_acks_has(acks, record.sequence))
            continue;
        if (record.kind == RKB_MESSAGE)
            count_waiting(walk, record.route);
        see_record(walk, &record);
    }
    rkb_cursor_close(&cursor);
    return next == RKB_NEXT_END && !walk->failed;
}

/* Behind what ring and checkpoint have said of low: numbers below it never come again. */
static bool open_dead(struct rkb_store *store, const struct rkb_config *config, struct rkb_log *log,
                      struct rkb_error *error)
{
    uint64_t most = config->journal.max_size / DEAD_PART, limit = config->journal.dead_letter_size;
    struct rkb_dead_figures figures;
    store->dead = rkb_dead_open(config->journal.directory, rkb_journal_id(store->journal), limit < most ? limit : most,
                                rkb_acks_low(rkb_journal_acks(store->journal)), &rkb_sys_posix, error);
    if (store->dead == NULL)
        return false;
    if (error->code == RKB_DAMAGED)
        rkb_log(log, RKB_LOG_ERROR, "journal", "dead_letters_damaged",
                "%s; the file is kept as it is, as dead-letters.damaged (.2, .3, ... where there is one), and a new "
                "one begins with the next dead letter",
                error->text);
    rkb_dead_figures(store->dead, &figures);
    if (figures.torn_bytes > 0)
        rkb_log(log, RKB_LOG_WARN, "journal", "torn_tail", "%llu bytes of an unfinished write cut off the dead "
                "letters; no letter is lost by that",
                (unsigned long long)figures.torn_bytes);
    rkb_journal_reserve(store->journal, figures.bytes);
    return true;
}

static bool open_ledger(struct rkb_store *store, const struct rkb_config *config, struct rkb_log *log,
                        struct rkb_error *error)
{
    store->ledger = rkb_ledger_open(config->journal.directory, rkb_journal_id(store->journal), &rkb_sys_posix,
                                    recall_gap, store->gaps, error);
    if (store->ledger != NULL && error->code == RKB_DAMAGED)
        rkb_log(log, RKB_LOG_ERROR, "journal", "ledger_damaged", "%s", error->text);
    return store->ledger != NULL;
}

static void say_recovery(const struct rkb_store *store, const char *directory, struct rkb_log *log)
{
    const struct rkb_recovery *recovery = &store->recovery;
    uint64_t waiting = 0;
    for (uint32_t route = 0; store->waiting != NULL && route <= store->waiting_count; route++)
        waiting += store->waiting[route];
    if (recovery->damaged > 0)
        rkb_log(log, RKB_LOG_ERROR, "journal", "journal_damaged", "%s", recovery->damage);
    if (recovery->torn_bytes > 0)
        rkb_log(log, RKB_LOG_WARN, "journal", "torn_tail", "%llu bytes of an unfinished write cut off",
                (unsigned long long)recovery->torn_bytes);
    if (recovery->fresh)
        rkb_log(log, RKB_LOG_INFO, "journal", NULL, "new journal in %s", directory);
    else
        rkb_log(log, RKB_LOG_INFO, "journal", "recovered", "messages that wait to be shipped: %llu",
                (unsigned long long)waiting);
}

bool rkb_store_open(struct rkb_store *store, const struct rkb_config *config,
                    bool (*append)(void *context, struct rkb_gap *gap), void *context,
                    struct rkb_log *log, struct rkb_error *error)
{
    struct walk walk = {.store = store};
    struct rkb_journal_options options = {
        .directory = config->journal.directory,
        .max_size = config->journal.max_size,
        .segment_size = config->journal.segment_size,
        .sys = &rkb_sys_posix,
        .min_free = config->journal.min_free,
        .no_sync = config->journal.sync == RKB_SYNC_NONE,
        .degrade = config->journal.on_disk_error == RKB_DISK_ERROR_DEGRADE,
        .memory_size = config->journal.ring_size,
        .ring_directory = config->journal.ring_directory,
    };
    error->code = RKB_OK;
    store->gaps = rkb_gaps_new(append, context);
    if (store->gaps == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the gaps");
    store->journal = rkb_journal_open(&options, &store->recovery, see_record, &walk, error);
    if (store->journal == NULL || !open_ring(store, config, log, error))
        return false;
    if (!rkb_ring_visit(store->ring, note_leftover, &store->recovery, error) || !take_ring(store, log, error))
        return false;
    use_notes(store);
    if (!open_ledger(store, config, log, error) || !open_dead(store, config, log, error))
        return false;
    store->next_sequence = rkb_journal_next(store->journal);
    store->not_durable_us = rkb_ring_noted_not_durable(store->ring);
    store->dictionary = rkb_dictionary_copy(rkb_journal_dictionary(store->journal));
    if (store->dictionary == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the dictionary");
    if (!count_journal(&walk) || !rkb_ring_visit(store->ring, see_leftover, &walk, &walk.error) || walk.failed) {
        *error = walk.error;
        return false;
    }
    say_recovery(store, config->journal.directory, log);
    return true;
}

static void close_ring(struct rkb_ring *ring, bool clean)
{
    const uint8_t *at;
    if (clean && rkb_ring_peek(ring, &at) == 0)
        rkb_ring_remove(ring);
    else
        rkb_ring_close(ring);
}

/* While the journal is degraded the ring's notes say what its files do not. */
static bool keeps_notes(const struct rkb_journal *journal)
{
    struct rkb_journal_figures figures;
    if (journal == NULL)
        return false;
    rkb_journal_figures(journal, &figures);
    return figures.degraded || figures.memory > 0;
}

void rkb_store_close(struct rkb_store *store, bool clean)
{
    rkb_gaps_free(store->gaps);
    if (store->ledger != NULL)
        rkb_ledger_close(store->ledger);
    rkb_dead_close(store->dead);
    if (store->ring != NULL)
        close_ring(store->ring, clean && !keeps_notes(store->journal));
    if (store->journal != NULL)
        rkb_journal_close(store->journal);
    if (store->dictionary != NULL)
        rkb_dictionary_free(store->dictionary);
    free(store->waiting);
    free(store->marks);
}
