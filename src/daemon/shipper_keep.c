/*
 * shipper_keep -- from the ring to the journal, to the disk, and past the checkpoint; see shipper.h.
 *
 *     take --> (a sync interval later) sync job --> checkpoint up to what is synced
 *          --> next job makes it durable --> segments go
 *
 * Promise: the checkpoint never passes a record that is not settled, nor one that is not synced. A new checkpoint is
 * written only when the one before is durable, so that of its two slots one always counts.
 */
#include "daemon/shipper_state.h"

#include "base/units.h"

#define CHECKPOINT_US 1000000
#define CHECKPOINT_LATE_US 1250000      /* after a sync: by then the next mark has come, where marks come */
#define CHECKPOINT_AGAIN_US 4000000     /* more, after one that failed */
#define FILES_US 1000000
#define TROUBLE_AGAIN_US 60000000
#define MOST_TRIES 4                    /* of one turn: the disk, the disk anew, memory */

/* ---- a disk that fails ---- */

/*
 * The disk broke a promise. With on_disk_error: exit that is the end; else what is not synced is given up, and the
 * journal goes on without it. True where it goes on.
 */
static bool go_on_without(struct rkb_shipper *shipper, const struct rkb_error *error)
{
    bool of_disk = error->code == RKB_SYSTEM || error->code == RKB_FULL;
    if (shipper->options.exit_on_disk_error || !of_disk) {
        rkb_shipper_fail(shipper, error);
        return false;
    }
    rkb_journal_give_up(shipper->options.journal, error);
    return true;
}

/* A checkpoint or a removal that failed breaks no promise: it comes later. Said once a minute. */
void rkb_shipper_say_trouble(struct rkb_shipper *shipper, const struct rkb_error *error)
{
    if (shipper->options.exit_on_disk_error || (error->code != RKB_SYSTEM && error->code != RKB_FULL)) {
        rkb_shipper_fail(shipper, error);
        return;
    }
    if (shipper->trouble_us != 0 && shipper->now_us - shipper->trouble_us < TROUBLE_AGAIN_US)
        return;
    shipper->trouble_us = shipper->now_us;
    rkb_log(shipper->options.log, RKB_LOG_ERROR, "journal", "disk_trouble",
            "%s; nothing is lost by that, it is tried again; what Kafka has may come again after a restart",
            error->text);
}

/* When the record with this number was read, wherever it is by now; else now. */
static int64_t read_at(struct rkb_shipper *shipper, uint64_t sequence)
{
    struct rkb_record record;
    struct rkb_cursor cursor = {0};
    struct rkb_error error;
    const uint8_t *at;
    rkb_cursor_seek(&cursor, shipper->options.journal, sequence);
    bool found = rkb_cursor_next(&cursor, &record, &error) == RKB_NEXT_RECORD;
    rkb_cursor_close(&cursor);
    if (found)
        return rkb_shipper_since(shipper, &record);
    size_t bytes = rkb_ring_peek(shipper->options.ring, &at);
    for (size_t offset = 0; offset < bytes; offset += rkb_record_length(at + offset)) {
        if (rkb_record_peek(at + offset, bytes - offset, &record, NULL) != RKB_PARSE_RECORD)
            break;
        if (record.kind != RKB_DICTIONARY)
            return rkb_shipper_since(shipper, &record);
    }
    return shipper->real_us;
}

int64_t rkb_shipper_not_durable(const struct rkb_shipper *shipper)
{
    return atomic_load(&shipper->not_durable_us);
}

static void set_not_durable(struct rkb_shipper *shipper, int64_t from_us)
{
    rkb_ring_note_not_durable(shipper->options.ring, from_us);
    atomic_store(&shipper->not_durable_us, from_us);
    shipper->changed = true;
    rkb_shipper_tell_loop(shipper);
}

/* Says what the journal has come to: each failure of the disk; since when nothing is durable; that it is again. */
static void follow_journal(struct rkb_shipper *shipper)
{
    struct rkb_degraded how;
    struct rkb_log *log = shipper->options.log;
    bool degraded = rkb_journal_degraded(shipper->options.journal, &how);
    char from[25] = "", wait[32];
    int64_t from_us = rkb_shipper_not_durable(shipper);
    if (how.failures != shipper->disk_failures) {
        shipper->disk_failures = how.failures;
        rkb_format_duration(wait, sizeof wait, how.again_us);
        rkb_log(log, RKB_LOG_ERROR, "journal", "disk_error",
                "%s; what is not synced is given up, the disk is tried again in %s", how.why->text, wait);
    }
    if (degraded && from_us == 0) {
        from_us = read_at(shipper, how.first);
        set_not_durable(shipper, from_us);
        rkb_format_time(from, from_us);
        rkb_log(log, RKB_LOG_ERROR, "journal", "not_durable",
                "not durable from %s on: what is read goes to Kafka, but a power loss would lose what "
                "Kafka does not have yet; mend the disk", from);
    } else if (!degraded && from_us != 0) {
        set_not_durable(shipper, 0);
        rkb_format_time(from, from_us);
        rkb_log(log, RKB_LOG_WARN, "journal", "durable_again",
                "the disk takes records again; not durable from %s to now", from);
    }
}

/* ---- from the ring to the journal ---- */

static void say_full(struct rkb_shipper *shipper, bool full, const struct rkb_error *error)
{
    if (full == atomic_load(&shipper->full))
        return;
    atomic_store(&shipper->full, full);
    if (full)
        rkb_log(shipper->options.log, RKB_LOG_WARN, "journal", "journal_full", "%s", error->text);
    else
        rkb_log(shipper->options.log, RKB_LOG_INFO, "journal", "journal_room", "there is room again");
    rkb_shipper_tell_loop(shipper);
}

/* Appends what is in the ring once; *again: the disk failed, and the journal goes on without it. */
static size_t take_once(struct rkb_shipper *shipper, bool *again)
{
    struct rkb_ring *ring = shipper->options.ring;
    const uint8_t *records;
    size_t bytes = rkb_ring_peek(ring, &records), taken = 0;
    struct rkb_error error;
    *again = false;
    if (bytes == 0)
        return 0;
    bool all = rkb_journal_append(shipper->options.journal, records, bytes, rkb_ring_salt(ring), &taken, &error);
    rkb_ring_note_next(ring, rkb_journal_next(shipper->options.journal));   /* before they are gone from the ring */
    rkb_ring_consume(ring, taken);
    shipper->figures->taken_bytes += taken;
    shipper->changed = true;
    if (!all && error.code != RKB_FULL)
        *again = go_on_without(shipper, &error);
    if (!*again)
        say_full(shipper, !all && error.code == RKB_FULL, &error);
    return taken;
}

/* Returns how many bytes were taken. */
size_t rkb_shipper_take(struct rkb_shipper *shipper)
{
    size_t taken = 0;
    bool again = true;
    for (int i = 0; i < MOST_TRIES && again; i++)
        taken += take_once(shipper, &again);
    return taken;
}

/* ---- to the disk, and past the checkpoint ---- */

/* No checkpoint goes beyond this. */
static uint64_t checkpoint_limit(const struct rkb_shipper *shipper)
{
    return shipper->options.sync_us == RKB_SYNC_NONE ? UINT64_MAX : rkb_journal_synced(shipper->options.journal);
}

/* What is set aside is on the disk before a checkpoint passes it. */
static void write_checkpoint(struct rkb_shipper *shipper, bool durable)
{
    struct rkb_error error;
    bool safe = shipper->options.sync_us == RKB_SYNC_NONE || rkb_dead_sync(shipper->options.dead, &error);
    shipper->checkpoint_us = shipper->now_us;
    if (!safe || !rkb_journal_checkpoint(shipper->options.journal, checkpoint_limit(shipper), durable, &error)) {
        shipper->checkpoint_us += CHECKPOINT_AGAIN_US;
        rkb_shipper_say_trouble(shipper, &error);
        return;
    }
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
    if (ran && job.count > 0)
        rkb_histogram_add_span(&shipper->figures->sync, job.took_us);
    bool promised = rkb_journal_sync_end(shipper->options.journal, &job);
    if (promised && !ran)
        rkb_shipper_say_trouble(shipper, &error);
    else if (!promised && !go_on_without(shipper, &error))
        return;
}

/* Behind the job that is under way: the journal takes one sync at a time. */
bool rkb_shipper_sync_now(struct rkb_shipper *shipper)
{
    struct rkb_error error;
    const struct rkb_sys *sys = shipper->options.sys;
    finish_job(shipper, true);
    int64_t begin_us = sys->monotonic_us();
    if (!rkb_journal_sync(shipper->options.journal, &error))
        return go_on_without(shipper, &error);
    rkb_histogram_add_span(&shipper->figures->sync, sys->monotonic_us() - begin_us);
    return true;
}

static void start_job(struct rkb_shipper *shipper, bool records)
{
    struct rkb_sync job;
    struct rkb_error error;
    if (records)
        shipper->synced_us = shipper->now_us;
    if (rkb_journal_sync_begin(shipper->options.journal, records, &job, &error))
        rkb_syncer_run(shipper->syncer, &job);
    else if (!go_on_without(shipper, &error))
        return;
}

/* While the journal is in memory a job only tells whether the disk takes something again: once a second is enough. */
static int64_t records_due_us(const struct rkb_shipper *shipper)
{
    const struct rkb_journal *journal = shipper->options.journal;
    bool degraded = rkb_journal_degraded(journal, NULL);
    int64_t interval_us = shipper->options.sync_us;
    if (interval_us == RKB_SYNC_NONE || (!degraded && rkb_journal_synced(journal) >= rkb_journal_next(journal)))
        return INT64_MAX;
    if (degraded && interval_us < CHECKPOINT_US)
        interval_us = CHECKPOINT_US;
    return shipper->synced_us + interval_us;
}

/* Put off a little while records are to be synced soon, or a mark is likely to come: one job is for both. */
static int64_t checkpoint_due_us(const struct rkb_shipper *shipper, int64_t records_us)
{
    bool full = atomic_load(&shipper->full);
    int64_t due_us = shipper->checkpoint_us + (full ? CHECKPOINT_US / 10 : CHECKPOINT_US);
    int64_t soon_us = records_us != INT64_MAX ? records_us : shipper->synced_us + CHECKPOINT_LATE_US;
    if (!rkb_journal_checkpoint_due(shipper->options.journal, checkpoint_limit(shipper)))
        return INT64_MAX;
    return !full && due_us < soon_us && soon_us - due_us < 2 * CHECKPOINT_US ? soon_us : due_us;
}

int64_t rkb_shipper_keep_us(struct rkb_shipper *shipper)
{
    int64_t records_us = records_due_us(shipper), checkpoint_us = checkpoint_due_us(shipper, records_us);
    if (!rkb_syncer_idle(shipper->syncer))      /* it wakes the thread when it is done */
        return INT64_MAX;
    return records_us < checkpoint_us ? records_us : checkpoint_us;
}

/* No job is under way, so the checkpoint before is durable: time for the next one, and for the next job? */
static void start_what_is_due(struct rkb_shipper *shipper)
{
    int64_t records_us = records_due_us(shipper);
    bool records_due = shipper->now_us >= records_us;
    bool checkpoint_due = shipper->now_us >= checkpoint_due_us(shipper, records_us);
    if (checkpoint_due)
        write_checkpoint(shipper, false);
    if (records_due || (checkpoint_due && shipper->options.sync_us != RKB_SYNC_NONE)
        || rkb_journal_removable(shipper->options.journal))
        start_job(shipper, records_due);
}

/* Files that were deleted under us take what is written, and are gone with the process. */
static void look_for_files(struct rkb_shipper *shipper)
{
    struct rkb_error error;
    if (shipper->now_us - shipper->files_us < FILES_US)
        return;
    shipper->files_us = shipper->now_us;
    if (!rkb_journal_look(shipper->options.journal, &error))
        go_on_without(shipper, &error);
    else if (error.code != RKB_OK)
        rkb_log(shipper->options.log, RKB_LOG_ERROR, "journal", "files_deleted", "%s", error.text);
}

void rkb_shipper_keep(struct rkb_shipper *shipper)
{
    struct rkb_journal *journal = shipper->options.journal;
    rkb_ring_note_low(shipper->options.ring, rkb_acks_low(rkb_journal_acks(journal)));
    finish_job(shipper, false);
    if (rkb_syncer_idle(shipper->syncer))
        start_what_is_due(shipper);
    look_for_files(shipper);
    rkb_journal_mend(journal);
    rkb_journal_prepare(journal);
    rkb_shipper_mend_ledger(shipper, false);
    follow_journal(shipper);
}

void rkb_shipper_keep_last(struct rkb_shipper *shipper)
{
    finish_job(shipper, true);
    rkb_shipper_mend_ledger(shipper, true);
    if (shipper->options.sync_us == RKB_SYNC_NONE || rkb_shipper_sync_now(shipper))
        write_checkpoint(shipper, true);
    follow_journal(shipper);
}
