/*
 * settled -- what of the journal is settled, and the checkpoint that says so; see journal.h.
 *
 *     one topic stands still:    low                       its low is the common one
 *                                 |  . . 1 . . . 1 .  |    the others' lows: all of theirs below is settled
 *                                                     |  1 1 . 1 .    ranges: what was acknowledged out of turn
 *
 * Promise: nothing that is written, or settled from what was written, goes beyond what is settled or beyond the limit.
 * Never: takes back a low.
 */
#include "journal/state.h"

#include <stdlib.h>

#define MOST_TOPICS (1 << 20)   /* the names of more do not fit a segment */

/* Marks and gaps have no topic: as topic 0 they are settled together. */
static uint32_t topic_of(const struct rkb_record *record)
{
    return record->kind == RKB_MESSAGE ? record->topic : 0;
}

void rkb_journal_raise_topic(struct rkb_journal *journal, uint32_t topic, uint64_t low)
{
    if (topic > MOST_TOPICS)
        return;
    if (topic >= journal->topic_low_count) {
        uint32_t count = topic + 64;
        uint64_t *lows = realloc(journal->topic_lows, count * sizeof *lows);
        if (lows == NULL)
            return;
        memset(lows + journal->topic_low_count, 0, (count - journal->topic_low_count) * sizeof *lows);
        journal->topic_lows = lows;
        journal->topic_low_count = count;
    }
    if (low <= journal->topic_lows[topic])
        return;
    journal->topic_lows[topic] = low;
    journal->topic_lows_changed = true;
}

void rkb_journal_topic_low(struct rkb_journal *journal, uint32_t topic, uint64_t low)
{
    if (topic <= rkb_dictionary_count(journal->dictionary, RKB_NAME_TOPIC))
        rkb_journal_raise_topic(journal, topic, low < journal->next ? low : journal->next);
}

bool rkb_journal_settle_known(struct rkb_journal *journal, const struct rkb_record *record, struct rkb_error *error)
{
    uint32_t topic = topic_of(record);
    if (topic >= journal->topic_low_count || record->sequence >= journal->topic_lows[topic])
        return true;
    return rkb_acks_add(journal->acks, record->sequence, error);
}

/* The lows of topics that say more than the common one, into journal->topics. *all: none of them had to be cut. */
static uint32_t gather_topics(const struct rkb_journal *journal, uint64_t common, uint64_t limit, bool *all)
{
    uint32_t used = 0;
    *all = true;
    for (uint32_t topic = 0; topic < journal->topic_low_count && used < RKB_CHECKPOINT_TOPICS; topic++) {
        uint64_t low = journal->topic_lows[topic];
        *all = *all && low <= limit;
        if (low > limit)
            low = limit;
        if (low > common)
            journal->topics[used++] = (struct rkb_topic_low){topic, low};
    }
    return used;
}

/* *all: it says all there is to say; else what is beyond the limit is left out. */
static struct rkb_checkpoint_state put_together(const struct rkb_journal *journal, uint64_t limit, bool *all)
{
    uint64_t low = rkb_acks_low(journal->acks);
    struct rkb_checkpoint_state state = {.low = low < limit ? low : limit, .last_epoch = journal->last_epoch,
                                         .last_mark_ms = journal->last_mark_ms, .last_time_us = journal->settled_us,
                                         .ranges = journal->ranges, .topics = journal->topics};
    if (state.low < journal->written_low)
        state.low = journal->written_low;
    if (state.low == journal->next)
        state.last_time_us = journal->last_time_us;
    state.topic_count = gather_topics(journal, state.low, limit, all);
    state.range_count = (uint32_t)rkb_acks_ranges(journal->acks, limit, journal->ranges,
                                                  RKB_CHECKPOINT_ENTRIES - state.topic_count);
    return state;
}

bool rkb_journal_checkpoint_due(const struct rkb_journal *journal, uint64_t limit)
{
    uint64_t low = rkb_acks_low(journal->acks);
    return journal->checkpoint_broken || journal->topic_lows_changed
        || (low < limit ? low : limit) > journal->written_low;
}

/*
 * A file that could not be written or synced is not trusted again: another takes its place, durable when this returns.
 */
static bool remake_checkpoint(struct rkb_journal *journal, const struct rkb_checkpoint_state *state,
                              struct rkb_error *error)
{
    if (!rkb_journal_is_here(journal, error))
        return false;
    struct rkb_checkpoint *anew = rkb_checkpoint_open(journal->directory, journal->id, journal->sys, 0, state, error);
    if (anew == NULL)
        return false;
    rkb_checkpoint_close(journal->checkpoint);
    journal->checkpoint = anew;
    journal->directory_changed = true;
    if (!rkb_journal_sync_directory(journal, error))
        return false;
    journal->checkpoint_broken = false;
    return true;
}

bool rkb_journal_checkpoint(struct rkb_journal *journal, uint64_t limit, bool durable, struct rkb_error *error)
{
    bool all;
    struct rkb_checkpoint_state state = put_together(journal, limit, &all);
    durable = durable || journal->checkpoint_broken;
    bool written = journal->checkpoint_broken ? remake_checkpoint(journal, &state, error)
                                              : rkb_checkpoint_write(journal->checkpoint, &state, durable, error);
    if (!written) {
        journal->checkpoint_broken = true;
        return false;
    }
    journal->written_low = state.low;
    journal->settled_us = state.last_time_us;
    journal->topic_lows_changed = !all;
    journal->checkpoint_unsynced = !durable;
    if (durable)
        journal->durable_low = state.low;
    return rkb_journal_remove_passed(journal, error);
}
