/*
 * shipper_keep -- from the ring to the journal, to the disk, and past the checkpoint; see shipper.h.
 *
 *     take --> (a sync interval later) sync job --> checkpoint up to what is synced --> next job makes it durable --> segments go
 *
 * Promise: the checkpoint never passes a record that is not settled, nor one that is not synced. A new checkpoint is
 * written only when the one before is durable, so that of its two slots one always counts.
 */
#include "daemon/shipper_state.h"

#define CHECKPOINT_US 1000000

/* Returns how many bytes were taken. */
size_t rkb_shipper_take(struct rkb_shipper *shipper)
{
    struct rkb_ring *ring = shipper->options.ring;
    const uint8_t *records;
    size_t bytes = rkb_ring_peek(ring, &records), taken = 0;
    if (bytes == 0)
        return 0;
    struct rkb_error error;
    bool all = rkb_journal_append(shipper->options.journal, records, bytes, rkb_ring_salt(ring), &taken, &error);
    rkb_ring_consume(ring, taken);
    shipper->figures->taken_bytes += taken;
    shipper->changed = true;
    if (!all && error.code != RKB_FULL)
        rkb_shipper_fail(shipper, &error);
    bool full = !all && error.code == RKB_FULL;
    if (full != atomic_load(&shipper->full)) {
        atomic_store(&shipper->full, full);
        if (full)
            rkb_log(shipper->options.log, RKB_LOG_WARN, "journal", "journal_full", "%s", error.text);
        else
            rkb_log(shipper->options.log, RKB_LOG_INFO, "journal", "journal_room", "there is room again");
        rkb_shipper_tell_loop(shipper);
    }
    return taken;
}

/* No checkpoint goes beyond this. */
static uint64_t checkpoint_limit(const struct rkb_shipper *shipper)
{
    return shipper->options.sync_us == RKB_SYNC_NONE ? UINT64_MAX : rkb_journal_synced(shipper->options.journal);
}

/* Where a checkpoint written now would stand. */
static uint64_t checkpoint_low(const struct rkb_shipper *shipper)
{
    uint64_t limit = checkpoint_limit(shipper), low = rkb_acks_low(rkb_journal_acks(shipper->options.journal));
    return low < limit ? low : limit;
}

/* What is set aside is on the disk before a checkpoint passes it. */
static void write_checkpoint(struct rkb_shipper *shipper, bool durable)
{
    struct rkb_error error;
    bool safe = shipper->options.sync_us == RKB_SYNC_NONE || rkb_dead_sync(shipper->options.dead, &error);
    if (!safe || !rkb_journal_checkpoint(shipper->options.journal, checkpoint_limit(shipper), durable, &error))
        rkb_shipper_fail(shipper, &error);
    shipper->checkpoint_us = shipper->now_us;
    shipper->checkpoint_low = checkpoint_low(shipper);
    shipper->changed = true;
}

/* Draws the conclusions of a job that is done. */
static void finish_job(struct rkb_shipper *shipper, bool wait)
{
    struct rkb_sync job;
    struct rkb_error error;
    bool ran;
    if (!rkb_syncer_finish(shipper->syncer, wait, &job, &ran, &error))
        return;
    shipper->changed = true;
    rkb_journal_sync_end(shipper->options.journal, &job, ran);
    if (!ran)
        rkb_shipper_fail(shipper, &error);
}

/* Behind the job that is under way: the journal takes one sync at a time. */
bool rkb_shipper_sync_now(struct rkb_shipper *shipper)
{
    struct rkb_error error;
    finish_job(shipper, true);
    bool synced = rkb_journal_sync(shipper->options.journal, &error);
    if (!synced)
        rkb_shipper_fail(shipper, &error);
    return synced;
}

static void start_job(struct rkb_shipper *shipper, bool records)
{
    struct rkb_sync job;
    struct rkb_error error;
    if (!rkb_journal_sync_begin(shipper->options.journal, records, &job, &error))
        rkb_shipper_fail(shipper, &error);
    else
        rkb_syncer_run(shipper->syncer, &job);
    if (records)
        shipper->synced_us = shipper->now_us;
}

/* No job is under way, so the checkpoint before is durable: time for the next one, and for the next job? */
static void start_what_is_due(struct rkb_shipper *shipper)
{
    struct rkb_journal *journal = shipper->options.journal;
    int64_t interval = shipper->options.sync_us;
    bool full = atomic_load(&shipper->full);
    bool checkpoint_due = shipper->now_us - shipper->checkpoint_us >= (full ? CHECKPOINT_US / 10 : CHECKPOINT_US)
                          && rkb_journal_checkpoint_due(journal, checkpoint_limit(shipper));
    bool records_due = interval != RKB_SYNC_NONE && rkb_journal_synced(journal) < rkb_journal_next(journal)
                       && shipper->now_us - shipper->synced_us >= interval;
    if (checkpoint_due)
        write_checkpoint(shipper, false);
    if (records_due || (checkpoint_due && interval != RKB_SYNC_NONE) || rkb_journal_removable(journal))
        start_job(shipper, records_due);
}

void rkb_shipper_keep(struct rkb_shipper *shipper)
{
    struct rkb_journal *journal = shipper->options.journal;
    rkb_ring_note_low(shipper->options.ring, rkb_acks_low(rkb_journal_acks(journal)));
    finish_job(shipper, false);
    if (rkb_syncer_idle(shipper->syncer))
        start_what_is_due(shipper);
    rkb_journal_prepare(journal);
}

void rkb_shipper_keep_last(struct rkb_shipper *shipper)
{
    finish_job(shipper, true);
    if (shipper->options.sync_us == RKB_SYNC_NONE || rkb_shipper_sync_now(shipper))
        write_checkpoint(shipper, true);
}
