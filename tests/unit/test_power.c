/*
 * The power fails: at every single call that changes something on the disk, in a life with segments, checkpoints, a
 * ledger and dead letters, moved by the shipper's own code for them. What would be left is put into a directory of its
 * own, found again by the real recovery, and compared with what was promised up to that call.
 *
 *     life (one good run) --each call--> left over: nothing unsynced, all of it, any part --recovery--> compare
 *                                                                        '--any call--> left over again --> compare
 *
 * The ring is gone each time, as a tmpfs is. RKB_POWER_SEEDS=N repeats all of it with N seeds instead of 2 (a second
 * each).
 */
#include "power.h"
#include "recovery_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/shipper_state.h"

#define MOST 4000
#define TURNS 45
#define BASE_US INT64_C(1700000000000000)
#define SECOND INT64_C(1000000)

/* What the life has come to, and what it was promised. */
struct life {
    char *directory, *ring_directory, *left, *left_again;
    struct power *power;
    struct rkb_journal *journal;
    struct rkb_ring *ring;
    struct rkb_ledger *ledger;
    struct rkb_dead *dead;
    struct rkb_shipper shipper;
    struct rkb_cursor cursor;
    uint64_t next;                      /* the number that is put into the ring next */
    uint64_t read;                      /* what the cursor gave last */
    uint64_t held;                      /* the lowest of topic 2 that is not settled; 0: none */
    uint64_t promised;                  /* what lies below was synced */
    bool settled[MOST], dead_letter[MOST], in_ledger[MOST];
    uint64_t seed;
    bool lies, syncing, busy;
    int calls, looks, refused;
};

/* What a start has found. */
struct found {
    struct life *life;
    struct rkb_recovery recovery;
    bool shown[MOST], gap[MOST], letter[MOST];
    uint64_t last, highest;             /* shown last; the highest number in any file */
};

/* ---- the syncer: the same calls, in one thread ---- */

static struct {
    struct rkb_sync job;
    bool done, ran;
    struct rkb_error error;
} syncer;
static struct life *alive;

bool rkb_syncer_idle(struct rkb_syncer *unused)
{
    (void)unused;
    return !syncer.done;
}

void rkb_syncer_run(struct rkb_syncer *unused, const struct rkb_sync *job)
{
    (void)unused;
    syncer.job = *job;
    alive->syncing = true;
    syncer.ran = rkb_sync_run(&syncer.job, &syncer.error);
    alive->syncing = false;
    syncer.done = true;
}

bool rkb_syncer_finish(struct rkb_syncer *unused, bool wait, struct rkb_sync *job, bool *ran, struct rkb_error *error)
{
    (void)unused;
    (void)wait;
    if (!syncer.done)
        return false;
    *job = syncer.job;
    *ran = syncer.ran;
    *error = syncer.error;
    syncer.done = false;
    return true;
}

struct rkb_syncer *rkb_syncer_start(int wake_fd, struct rkb_error *error)
{
    (void)wake_fd;
    (void)error;
    return NULL;
}

void rkb_syncer_stop(struct rkb_syncer *unused)
{
    (void)unused;
}

/* ---- records, each made from its number ---- */

static int64_t time_of(uint64_t sequence)
{
    return BASE_US + (int64_t)sequence * 1000;
}

static struct rkb_gap gap_of(uint64_t sequence)
{
    struct rkb_gap gap = {.id = sequence, .from_us = time_of(sequence) / 1000 * 1000, .bound = sequence % 100};
    gap.to_us = gap.from_us + 1000000;
    snprintf(gap.source, sizeof gap.source, "source-%llu", (unsigned long long)sequence);
    snprintf(gap.reason, sizeof gap.reason, "connection_lost");
    return gap;
}

static void make_record(uint64_t sequence, struct rkb_record *record, struct rkb_buffer *value)
{
    value->size = 0;
    *record = (struct rkb_record){.kind = RKB_MESSAGE, .sequence = sequence, .time_us = time_of(sequence), .epoch = 3,
                                  .count = (uint32_t)sequence, .route = 1, .topic = sequence % 3 == 0 ? 2 : 1};
    if (sequence % 19 == 4) {
        struct rkb_gap gap = gap_of(sequence);
        record->kind = RKB_GAP;
        rkb_gap_write(&gap, value);
    } else {
        size_t size = sequence % 7 == 0 ? 2500 : 40 + sequence * 7919 % 500;
        if (sequence % 23 == 1) {
            record->kind = RKB_MARK;
            size = 72;
        }
        uint8_t *at = rkb_buffer_reserve(value, size);
        for (size_t i = 0; i < size; i++)
            at[i] = (uint8_t)(sequence * 31 + i * 7 + sequence / 256);
        value->size = size;
    }
    if (record->kind != RKB_MESSAGE)
        record->topic = 0;
    record->value = (struct rkb_slice){value->data, value->size};
}

static bool is_right(const struct rkb_record *record)
{
    struct rkb_buffer value = {0};
    struct rkb_record wanted;
    make_record(record->sequence, &wanted, &value);
    bool same = record->kind == wanted.kind && record->time_us == wanted.time_us && record->count == wanted.count &&
                record->topic == wanted.topic && rkb_slice_equal(record->value, wanted.value);
    rkb_buffer_free(&value);
    return same;
}

static void put_bytes(struct life *life, const uint8_t *bytes, size_t size)
{
    uint8_t *at = rkb_ring_reserve(life->ring, size, 0);
    assert_non_null(at);
    memcpy(at, bytes, size);
    rkb_ring_commit(life->ring, size);
}

static void put_names(struct life *life)
{
    struct batch batch = {0};
    batch_name(&batch, RKB_NAME_ROUTE, "users");
    batch_name(&batch, RKB_NAME_TOPIC, "one");
    batch_name(&batch, RKB_NAME_TOPIC, "two");
    for (size_t at = 0; at < batch.bytes.size; at += rkb_record_length(batch.bytes.data + at))
        rkb_record_resalt(batch.bytes.data + at, BATCH_SALT, rkb_ring_salt(life->ring));
    put_bytes(life, batch.bytes.data, batch.bytes.size);
    batch_free(&batch);
}

static void put(struct life *life, uint64_t count)
{
    static uint8_t bytes[8192];
    struct rkb_buffer value = {0};
    struct rkb_record record;
    for (; count > 0; count--) {
        assert_true(life->next < MOST);
        power_set_time(time_of(life->next));
        make_record(life->next++, &record, &value);
        put_bytes(life, bytes, rkb_record_write(bytes, &record, rkb_ring_salt(life->ring)));
    }
    rkb_buffer_free(&value);
}

/* ---- what a start finds ---- */

static void find_number(struct found *found, uint64_t sequence)
{
    assert_in_range(sequence, 1, MOST - 1);
    if (sequence > found->highest)
        found->highest = sequence;
}

static void show(void *context, const struct rkb_record *record)
{
    struct found *found = context;
    find_number(found, record->sequence);
    assert_true(record->sequence > found->last);
    assert_true(is_right(record));
    found->last = record->sequence;
    found->shown[record->sequence] = true;
}

static void show_gap(void *context, const struct rkb_gap *gap)
{
    struct found *found = context;
    find_number(found, gap->id);
    struct rkb_gap wanted = gap_of(gap->id);
    assert_string_equal(gap->source, wanted.source);
    assert_true(gap->from_us == wanted.from_us && gap->to_us == wanted.to_us && gap->bound == wanted.bound);
    found->gap[gap->id] = true;
}

/* Letters, wherever in the file: what is set aside as damaged is kept too. */
static void find_letters(struct found *found, const char *directory, const char *name, bool counts)
{
    char *path = join(directory, name);
    size_t size;
    if (access(path, F_OK) == 0) {
        uint8_t *bytes = read_whole(path, &size);
        struct rkb_segment_head head;
        struct rkb_record letter, message;
        const char *why;
        bool good = rkb_segment_head_parse(bytes, size, &head, NULL);
        for (size_t at = RKB_SEGMENT_HEADER; good && at < size;) {
            if (rkb_dead_next(bytes, size, head.salt, &at, &letter, &message, &why) != RKB_PARSE_RECORD) {
                at += 8;
                continue;
            }
            if (counts)
                find_number(found, message.sequence);
            struct rkb_record plain = message;
            plain.flags = 0;
            plain.headers = (struct rkb_slice){0};
            assert_true(is_right(&plain));
            found->letter[message.sequence] = true;
        }
        free(bytes);
    }
    free(path);
}

static struct rkb_journal *start(struct found *found, const char *directory, const struct rkb_sys *sys)
{
    struct rkb_journal_options options = options_for(directory, LIMIT, SEGMENT, sys);
    struct rkb_error error = {0};
    options.degrade = true;
    struct rkb_journal *journal = rkb_journal_open(&options, &found->recovery, show, found, &error);
    /* Where the disk lied about the lock's name, the start is refused, and says what to do. */
    if (journal == NULL && found->life->lies && strstr(error.text, "lock does not hold the id") != NULL)
        return NULL;
    if (journal == NULL)
        fail_msg("call %d: %s", found->life->calls, error.text);
    struct rkb_ledger *ledger = rkb_ledger_open(directory, rkb_journal_id(journal), sys, show_gap, found, &error);
    if (ledger == NULL || (error.code != RKB_OK && !found->life->lies))
        fail_msg("call %d: %s", found->life->calls, error.text);
    rkb_ledger_close(ledger);
    struct rkb_dead *dead = rkb_dead_open(directory, rkb_journal_id(journal), MIB, 1, sys, &error);
    assert_non_null(dead);
    find_letters(found, directory, "dead-letters", true);
    rkb_dead_close(dead);
    return journal;
}

/* ---- what it must find ---- */

/*
 * Told as damage, by number and time, or in the gap of the restart. Where a lying disk has lost the checkpoint, what
 * was before the oldest segment left is not known; that all is sent again from there is told.
 */
static bool told_lost(const struct found *found, uint64_t sequence)
{
    const struct rkb_recovery *recovery = &found->recovery;
    int64_t at_us = time_of(sequence);
    if (found->life->lies && strstr(recovery->damage, "sent again") != NULL && sequence < recovery->low)
        return true;
    bool damage = sequence >= recovery->lost_first && sequence <= recovery->lost_last &&
                  at_us >= recovery->lost_from_us && at_us <= recovery->lost_to_us;
    return damage || at_us > recovery->last_time_us;        /* from there on, it is the gap of the restart */
}

static void compare(struct found *found)
{
    struct life *life = found->life;
    const struct rkb_recovery *recovery = &found->recovery;
    uint64_t promised = life->lies ? 1 : life->promised;
    assert_true(recovery->next_sequence > found->highest);
    if (recovery->next_sequence < promised)
        fail_msg("call %d: goes on at %llu, synced was %llu", life->calls, (unsigned long long)recovery->next_sequence,
                 (unsigned long long)promised);
    if (!life->lies && (strstr(recovery->damage, "checkpoint") != NULL ||
                        (recovery->lost_first != 0 && recovery->lost_first < promised)))
        fail_msg("call %d: %s", life->calls, recovery->damage);
    for (uint64_t n = 1; n < life->next; n++) {
        /* Of what is in no segment any more, a file that a lying disk forgot tells nothing. */
        bool elsewhere = life->dead_letter[n] && !life->lies;
        bool kept = found->shown[n] || (life->settled[n] && !elsewhere) || found->letter[n];
        if (!kept && (n < promised || !told_lost(found, n)))
            fail_msg("call %d: %llu is missing (synced %llu, next %llu); told: %llu to %llu, times "
                     "%lld to %lld, from %lld on; %s", life->calls, (unsigned long long)n, (unsigned long long)promised,
                     (unsigned long long)recovery->next_sequence, (unsigned long long)recovery->lost_first,
                     (unsigned long long)recovery->lost_last, (long long)(recovery->lost_from_us - BASE_US),
                     (long long)(recovery->lost_to_us - BASE_US), (long long)(recovery->last_time_us - BASE_US),
                     recovery->damage);
        if (!life->lies && life->in_ledger[n] && !found->gap[n])
            fail_msg("call %d: the gap %llu is missing", life->calls, (unsigned long long)n);
    }
}

/* It goes on from what it found, and a second start finds that, and nothing else. */
static void go_on(struct found *found, struct rkb_journal *journal, const char *directory)
{
    static struct found again;
    struct rkb_error error = {0};
    struct batch batch = {0};
    static uint8_t bytes[8192];
    struct rkb_buffer value = {0};
    uint64_t next = found->recovery.next_sequence;
    size_t taken;
    batch_name(&batch, RKB_NAME_ROUTE, "users");
    for (uint64_t n = next; n < next + 3; n++) {
        struct rkb_record record;
        make_record(n, &record, &value);
        rkb_buffer_add(&batch.bytes, bytes, rkb_record_write(bytes, &record, BATCH_SALT));
    }
    assert_true(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    assert_true(rkb_journal_sync(journal, &error));
    rkb_journal_close(journal);
    batch_free(&batch);
    rkb_buffer_free(&value);

    again = (struct found){.life = found->life};
    rkb_journal_close(start(&again, directory, quick_disk()));
    assert_int_equal(again.recovery.next_sequence, next + 3);
    for (uint64_t n = 1; n < next; n++)
        if (found->shown[n] && !again.shown[n] && (n % 23 != 1 && n % 19 != 4))
            fail_msg("call %d: %llu was found once, and not again", found->life->calls, (unsigned long long)n);
    for (uint64_t n = next; n < next + 3; n++)
        assert_true(again.shown[n]);
}

/* ---- the power fails ---- */

struct second {
    struct life *life;
    struct power *power;
    uint64_t wait;
};

/* During the recovery the power fails again. */
static void lose_again(void *context)
{
    static struct found found;
    struct second *second = context;
    struct life *life = second->life;
    if (second->wait-- != 0)
        return;
    power_lose(second->power, (enum power_loss)power_dice(&life->seed, 3), life->seed, life->left_again);
    found = (struct found){.life = life};
    struct rkb_journal *journal = start(&found, life->left_again, quick_disk());
    if (journal == NULL)
        return;
    find_letters(&found, life->left_again, "dead-letters.damaged", false);
    compare(&found);
    go_on(&found, journal, life->left_again);
}

static void look(struct life *life, enum power_loss how)
{
    static struct found found;
    power_lose(life->power, how, life->seed + (uint64_t)life->calls, life->left);
    found = (struct found){.life = life};
    /* Where nothing but the lock is left it is a new journal, which knows nothing of what was. */
    bool any = count_files(life->left, ".seg") > 0 || count_files(life->left, "checkpoint") > 0;
    bool twice = power_dice(&life->seed, 4) == 0 && any;
    struct second second = {.life = life, .wait = power_dice(&life->seed, 12)};
    if (twice)
        second.power = power_on(life->left, lose_again, &second);
    struct rkb_journal *journal = start(&found, life->left, twice ? power_sys() : quick_disk());
    if (twice)
        power_off(second.power);
    life->refused += journal == NULL;
    if (journal == NULL)
        return;
    find_letters(&found, life->left, "dead-letters.damaged", false);
    compare(&found);
    go_on(&found, journal, life->left);
    life->looks++;
}

static void before_a_call(void *context)
{
    struct life *life = context;
    life->calls++;
    look(life, POWER_LOSES_ALL);
    look(life, POWER_LOSES_SOME);
    if (power_dice(&life->seed, 8) == 0)
        look(life, POWER_LOSES_NOTHING);
}

/* ---- a life ---- */

static void begin(struct life *life)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct rkb_journal_options options = options_for(life->directory, LIMIT, SEGMENT, power_sys());
    options.degrade = true;
    life->journal = rkb_journal_open(&options, &recovery, NULL, NULL, &error);
    assert_non_null(life->journal);
    struct rkb_ring_options ring = {.directory = life->ring_directory, .size = MIB,
                                    .journal_id = rkb_journal_id(life->journal), .sys = &rkb_sys_posix};
    life->ring = rkb_ring_open(&ring, &error);
    assert_non_null(life->ring);
    life->ledger = rkb_ledger_open(life->directory, rkb_journal_id(life->journal), power_sys(), NULL, NULL, &error);
    life->dead = rkb_dead_open(life->directory, rkb_journal_id(life->journal), MIB, 1, power_sys(), &error);
    assert_true(life->ledger != NULL && life->dead != NULL);
    life->shipper.options = (struct rkb_shipper_options){
        .ring = life->ring, .journal = life->journal, .ledger = life->ledger, .dead = life->dead, .sync_us = SECOND,
        .loop_fd = -1, .sys = power_sys()};
    life->shipper.figures = calloc(1, sizeof *life->shipper.figures);
    assert_non_null(life->shipper.figures);
    life->shipper.now_us = 1000 * SECOND;
    rkb_cursor_seek(&life->cursor, life->journal, 1);
}

static void end(struct life *life)
{
    rkb_cursor_close(&life->cursor);
    rkb_journal_close(life->journal);
    rkb_ring_close(life->ring);
    rkb_ledger_close(life->ledger);
    rkb_dead_close(life->dead);
    free(life->shipper.figures);
}

static void settle_one(struct life *life, uint64_t sequence)
{
    life->settled[sequence] = true;
    settle(life->journal, sequence, sequence);
}

/* As the shipper does it with what it has read. */
static void deliver_one(struct life *life, const struct rkb_record *record)
{
    struct rkb_error error = {0};
    uint64_t n = record->sequence;
    if (record->kind == RKB_GAP) {
        struct rkb_gap gap = gap_of(n);
        assert_true(rkb_ledger_append(life->ledger, &gap, &error));
        life->in_ledger[n] = true;
    } else if (record->kind == RKB_MESSAGE && n % 13 == 7) {
        assert_true(rkb_dead_append(life->dead, record, "users", "one", "TOO_LARGE", "as told", time_of(n), &error));
        life->dead_letter[n] = true;
    } else if (record->topic == 2) {
        life->held = life->held == 0 ? n : life->held;
        return;
    }
    settle_one(life, n);
}

static void deliver_held(struct life *life)
{
    for (uint64_t n = life->held; n > 0 && n <= life->read; n++)
        if (!life->settled[n])
            settle_one(life, n);
    life->held = 0;
}

static void deliver(struct life *life)
{
    struct rkb_record record;
    struct rkb_error error = {0};
    uint64_t most = power_dice(&life->seed, 30);
    while (most-- > 0 && rkb_cursor_next(&life->cursor, &record, &error) == RKB_NEXT_RECORD) {
        assert_true(record.sequence == life->read + 1 && is_right(&record));
        life->read = record.sequence;
        deliver_one(life, &record);
    }
    if (power_dice(&life->seed, 6) == 0)
        deliver_held(life);
    rkb_journal_topic_low(life->journal, 0, life->read + 1);
    rkb_journal_topic_low(life->journal, 1, life->read + 1);
    rkb_journal_topic_low(life->journal, 2, life->held > 0 ? life->held : life->read + 1);
}

/* Others go on while the disk syncs. */
static void meanwhile(void *context)
{
    struct life *life = context;
    if (!life->syncing || life->busy)
        return;
    life->busy = true;
    put(life, power_dice(&life->seed, 8));
    rkb_shipper_take(&life->shipper);
    life->busy = false;
}

static void turn(struct life *life)
{
    int64_t us = (int64_t)power_dice(&life->seed, 900000);
    life->shipper.now_us += us;
    power_turn_clock(us);
    put(life, power_dice(&life->seed, 25));
    rkb_shipper_take(&life->shipper);
    deliver(life);
    rkb_shipper_keep(&life->shipper);
    rkb_shipper_keep(&life->shipper);       /* for what the job has found */
    assert_false(atomic_load(&life->shipper.failed));
    assert_false(rkb_journal_degraded(life->journal, NULL));
    life->promised = rkb_journal_synced(life->journal);
}

static void live(struct life *life, uint64_t seed, bool lies, unsigned honest)
{
    struct life fresh = {.directory = life->directory, .ring_directory = life->ring_directory, .left = life->left,
                         .left_again = life->left_again, .next = 1, .promised = 1, .seed = seed, .lies = lies};
    *life = fresh;
    alive = life;
    syncer.done = false;
    empty_directory(life->directory);
    empty_directory(life->ring_directory);
    life->power = power_on(life->directory, before_a_call, life);
    power_meanwhile(life->power, meanwhile);
    if (lies)
        power_lie(life->power, honest);
    power_set_time(BASE_US);
    begin(life);
    put_names(life);
    for (int i = 0; i < TURNS; i++)
        turn(life);
    deliver_held(life);
    rkb_shipper_keep_last(&life->shipper);
    assert_int_equal(life->promised <= rkb_journal_synced(life->journal), 1);
    end(life);
    power_off(life->power);
    print_message("power lost at %d calls, %d times in all, up to message %llu\n", life->calls, life->looks,
                  (unsigned long long)life->next - 1);
    assert_true(life->calls > 150 && life->next > 300);
}

static uint64_t seeds(void)
{
    const char *text = getenv("RKB_POWER_SEEDS");
    return text == NULL ? 2 : strtoull(text, NULL, 10);
}

/* ---- tests ---- */

static void what_was_synced_is_there_and_nothing_else_is_claimed(void **state)
{
    for (uint64_t seed = 1; seed <= seeds(); seed++)
        live(*state, seed, false, 0);
}

/* Whatever is missing is told, or lies in the gap of the restart; nothing wrong is taken for right. */
static void a_disk_that_lies_about_syncs(void **state)
{
    for (uint64_t seed = 1; seed <= seeds(); seed++)
        live(*state, seed, true, seed % 2 == 0 ? 0 : 2);
}

static int set_up(void **state)
{
    struct life *life = calloc(1, sizeof *life);
    life->directory = make_directory();
    life->ring_directory = make_directory();
    life->left = make_directory();
    life->left_again = make_directory();
    *state = life;
    return 0;
}

static int tear_down(void **state)
{
    struct life *life = *state;
    remove_directory(life->directory);
    remove_directory(life->ring_directory);
    remove_directory(life->left);
    remove_directory(life->left_again);
    free(life);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_synced_is_there_and_nothing_else_is_claimed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_disk_that_lies_about_syncs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
