/*
 * The shipper on a disk that fails or waits: what it promises then, when it syncs, and how far the checkpoint may go.
 */
#include "shipper_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

/* What the journal's disk does; changed by the test at any time. */
static struct {
    atomic_bool fail_write, fail_sync, hold_sync, slow_sync;
    atomic_int inside, most_inside, syncs;
} disk;

static bool is_segment(int fd)
{
    char path[PATH_MAX];
    world_path_of(fd, path);
    size_t size = strlen(path);
    return size > 4 && memcmp(path + size - 4, ".seg", 4) == 0 && strstr(path, ".segments/") == NULL;
}

/* Only the segments' writes: that of a checkpoint would fail sooner or later anyway. */
static ssize_t write_or_fail(int fd, const void *data, size_t size, off_t offset)
{
    if (!atomic_load(&disk.fail_write) || !is_segment(fd))
        return rkb_sys_posix.pwrite(fd, data, size, offset);
    errno = EIO;
    return -1;
}

static int sync_or_fail(int fd)
{
    static const struct timespec millisecond = {0, 1000000};
    int inside = atomic_fetch_add(&disk.inside, 1) + 1;
    if (inside > atomic_load(&disk.most_inside))
        atomic_store(&disk.most_inside, inside);
    atomic_fetch_add(&disk.syncs, 1);
    if (atomic_load(&disk.slow_sync))
        nanosleep(&millisecond, NULL);
    while (atomic_load(&disk.hold_sync))
        nanosleep(&millisecond, NULL);
    bool fail = atomic_load(&disk.fail_sync);
    int result = fail ? -1 : rkb_sys_posix.fdatasync(fd);
    if (fail)
        errno = EIO;
    atomic_fetch_sub(&disk.inside, 1);
    return result;
}

static int set_up(void **state)
{
    memset(&disk, 0, sizeof disk);
    if (world_set_up(state) != 0)
        return -1;
    struct world *world = *state;
    world->disk.pwrite = write_or_fail;
    world->disk.fdatasync = sync_or_fail;
    return 0;
}

static void open_and_start(struct world *world, int64_t sync_us)
{
    world->sync_us = sync_us;
    world_open(world);
    world_start(world);
}

static bool failed_and_told(struct world *world, uint64_t wanted)
{
    (void)wanted;
    struct rkb_error error;
    return rkb_shipper_failed(world->shipper, &error) && loop_was_told(world);
}

/* Stops the shipper that failed, and opens what it left on a disk that works again. */
static void open_again(struct world *world)
{
    struct rkb_error error = {0};
    assert_false(rkb_shipper_stop(world->shipper, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_non_null(strstr(error.text, strerror(EIO)));
    world_drop(world);
    atomic_store(&disk.fail_write, false);
    atomic_store(&disk.fail_sync, false);
    world_open(world);
}

/* All that is in Kafka is below `next`; returns how many there are. */
static size_t expect_below(struct world *world, uint64_t next)
{
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    for (uint64_t sequence = next; sequence < MOST_RECORDS; sequence++)
        assert_int_equal(arrived->times[sequence], 0);
    size_t total = arrived->total;
    free(arrived);
    return total;
}

static bool checkpoint_is(struct world *world, uint64_t wanted)
{
    world_hurry(2 * SECOND);
    return checkpoint_on_disk(world) == wanted;
}

static bool loop_was_told_by_now(struct world *world, uint64_t wanted)
{
    (void)wanted;
    return loop_was_told(world);
}

static bool is_syncing(struct world *world, uint64_t wanted)
{
    (void)world;
    return atomic_load(&disk.inside) == (int)wanted;
}

/* ---- a disk that fails ---- */

static void test_a_failing_write(void **state)
{
    struct world *world = *state;
    open_and_start(world, SECOND);
    world_put(world, 300);
    world_wait(world, all_settled, 301, "the first deliveries");
    atomic_store(&disk.fail_write, true);
    world_put(world, 200);
    world_wait(world, failed_and_told, 0, "the loop to be told");
    open_again(world);
    assert_int_equal(world->recovery.next_sequence, 301);
    assert_int_equal(expect_below(world, 301), 300);
    world_start(world);         /* the others are still in the ring */
    world_wait(world, all_delivered, 200, "all deliveries");
    expect_arrived(world, 1, 500, true);
}

static void test_a_failing_sync(void **state)
{
    struct world *world = *state;
    open_and_start(world, SECOND);
    world_put(world, 100);
    world_wait(world, all_settled, 101, "the deliveries");
    atomic_store(&disk.fail_sync, true);
    world_hurry(2 * SECOND);
    world_wait(world, failed_and_told, 0, "the loop to be told");
    assert_int_equal(checkpoint_on_disk(world), 1);
    open_again(world);
    assert_int_equal(world->recovery.low, 1);
}

/* With sync: always nothing is sent that is not synced. */
static void test_a_failing_sync_before_sending(void **state)
{
    struct world *world = *state;
    open_and_start(world, RKB_SYNC_ALWAYS);
    world_put(world, 100);
    world_wait(world, all_settled, 101, "the first deliveries");
    atomic_store(&disk.fail_sync, true);
    world_put(world, 100);
    world_wait(world, failed_and_told, 0, "the loop to be told");
    assert_int_equal(expect_below(world, 101), 100);
    open_again(world);
    world_start(world);
    world_wait(world, all_delivered, 100, "the others' deliveries");
    expect_arrived(world, 1, 200, true);
}

static void test_a_sync_that_fails_at_the_end(void **state)
{
    struct world *world = *state;
    open_and_start(world, HOUR);
    world_put(world, 100);
    world_wait(world, all_settled, 101, "the deliveries");
    atomic_store(&disk.fail_sync, true);
    open_again(world);
    assert_int_equal(world->recovery.low, 1);
}

/* ---- a disk that fails, and the shipper goes on ---- */

/* Without syncs it is a record that shows that the disk takes some again. */
static bool not_durable(struct world *world, uint64_t wanted)
{
    world_hurry(SECOND);
    if (world->sync_us == RKB_SYNC_NONE)
        world_put(world, 1);
    return (rkb_shipper_not_durable(world->shipper) != 0) == (wanted == 1);
}

/* Each time one more message: what is all settled leaves memory. */
static bool in_memory(struct world *world, uint64_t wanted)
{
    world_put(world, 1);
    return (rkb_shipper_figures(world->shipper)->journal.memory > 0) == (wanted == 1);
}

/*
 * Whatever fails, all arrives once and in order; the loop and the ring's page are told from when on it was not durable.
 */
static void go_on_and_mend(struct world *world, atomic_bool *failure, int64_t sync_us)
{
    world->degrade = true;
    open_and_start(world, sync_us);
    world_put(world, 100);
    world_wait(world, all_settled, 101, "the first deliveries");
    world_hurry(2 * SECOND);
    world_put(world, 1);
    world_wait(world, all_settled, 102, "one more");
    while (loop_was_told(world)) {
    }
    atomic_store(failure, true);
    world_put(world, 100);
    world_wait(world, not_durable, 1, "the failure");
    world_wait(world, loop_was_told_by_now, 0, "the loop to be told");
    int64_t from_us = rkb_shipper_not_durable(world->shipper);
    assert_in_range(from_us, 1700000000000000 + 101 * 1000, 1700000000000000 + 104 * 1000);
    assert_int_equal(rkb_ring_noted_not_durable(world->ring), from_us);
    world_wait(world, in_memory, 1, "segments in memory");
    world_put(world, 100);
    world_wait(world, all_settled, world->next, "deliveries without a disk");
    atomic_store(failure, false);
    world_hurry(60 * SECOND);
    world_put(world, 100);
    world_wait(world, not_durable, 0, "the disk to be used again");
    world_wait(world, in_memory, 0, "memory to be freed");
    assert_int_equal(rkb_ring_noted_not_durable(world->ring), 0);
    world_put(world, 10);
    world_wait(world, all_settled, world->next, "the last deliveries");
    world_wait(world, checkpoint_is, world->next, "the checkpoint");
    expect_arrived(world, 1, world->next - 1, false);
    world_close(world);
    world_open(world);
    assert_int_equal(world->recovery.low, world->next);
    assert_int_equal(world->recovery.damaged, 0);
}

static void test_writes_fail_and_it_goes_on(void **state)
{
    go_on_and_mend(*state, &disk.fail_write, SECOND);
}

static void test_writes_fail_without_syncs(void **state)
{
    go_on_and_mend(*state, &disk.fail_write, RKB_SYNC_NONE);
}

static void test_syncs_fail_and_it_goes_on(void **state)
{
    go_on_and_mend(*state, &disk.fail_sync, SECOND);
}

static void test_syncs_fail_before_sending(void **state)
{
    go_on_and_mend(*state, &disk.fail_sync, RKB_SYNC_ALWAYS);
}

/* Stopped while the disk fails: nothing of what was taken is missing at the next start. */
static void test_stopped_while_the_disk_fails(void **state)
{
    struct world *world = *state;
    world->degrade = true;
    open_and_start(world, SECOND);
    world_put(world, 100);
    world_wait(world, all_settled, 101, "the first deliveries");
    rd_kafka_mock_broker_set_down(rkb_mock_cluster(world->mock), 1);
    atomic_store(&disk.fail_write, true);
    atomic_store(&disk.fail_sync, true);
    world_put(world, 100);
    world_wait(world, not_durable, 1, "the failure");
    world_wait(world, in_memory, 1, "segments in memory");
    assert_true(rkb_shipper_stop(world->shipper, NULL));
    struct rkb_ring_notes notes;
    assert_true(rkb_ring_read_notes(world->ring_directory, rkb_journal_id(world->journal), &rkb_sys_posix, &notes));
    assert_int_equal(notes.low, 101);
    assert_int_equal(notes.next, world->next);      /* no number comes twice, whatever becomes of memory and disk */
    world_drop(world);
    atomic_store(&disk.fail_write, false);
    atomic_store(&disk.fail_sync, false);
    rd_kafka_mock_broker_set_up(rkb_mock_cluster(world->mock), 1);
    world_open(world);
    assert_int_equal(world->recovery.next_sequence, world->next);
    assert_int_equal(world->recovery.damaged, 0);
    assert_true(rkb_ring_noted_not_durable(world->ring) > 0);
    world_start(world);
    world_wait(world, all_settled, world->next, "the others' deliveries");
    expect_arrived(world, 1, world->next - 1, true);
}

/* ---- files that are deleted under it ---- */

static char *move_directory(struct world *world)
{
    char *away;
    assert_true(asprintf(&away, "%s.moved", world->directory) > 0);
    assert_int_equal(rename(world->directory, away), 0);
    return away;
}

static void test_the_directory_is_gone_and_back(void **state)
{
    struct world *world = *state;
    world->degrade = true;
    world_begin(world, 100);
    char *away = move_directory(world);
    world_put(world, 100);
    world_wait(world, not_durable, 1, "the directory to be missed");
    world_wait(world, in_memory, 1, "segments in memory");
    world_put(world, 100);
    world_wait(world, all_settled, world->next, "deliveries without a directory");
    assert_int_equal(rename(away, world->directory), 0);
    free(away);
    world_hurry(60 * SECOND);
    world_put(world, 100);
    world_wait(world, not_durable, 0, "the directory to be used again");
    world_put(world, 10);
    world_wait(world, all_settled, world->next, "the last deliveries");
    world_wait(world, checkpoint_is, world->next, "the checkpoint");
    expect_arrived(world, 1, world->next - 1, false);
}

static bool missed(struct world *world, uint64_t wanted)
{
    world_hurry(SECOND);
    world_put(world, 1);
    return has_failed(world, wanted);
}

static void test_the_directory_is_gone_and_that_is_the_end(void **state)
{
    struct world *world = *state;
    struct rkb_error error = {0};
    world_begin(world, 100);
    char *away = move_directory(world);
    world_wait(world, missed, 0, "the directory to be missed");
    assert_false(rkb_shipper_stop(world->shipper, &error));
    assert_non_null(strstr(error.text, "was deleted, or another is in its place"));
    world_drop(world);
    assert_int_equal(rename(away, world->directory), 0);
    free(away);
    world_open(world);
    world_start(world);
    world_wait(world, all_settled, world->next, "the others' deliveries");
    expect_arrived(world, 1, world->next - 1, true);
}

/* ---- what is no fault of the disk's ---- */

/* A record that no dictionary record explains is damage: nothing may be done with it. */
static void test_a_route_nobody_knows(void **state)
{
    struct world *world = *state;
    struct rkb_error error = {0};
    open_and_start(world, SECOND);
    struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = world->next, .route = 3, .topic = 1};
    uint8_t *at = rkb_ring_reserve(world->ring, rkb_record_size(0, 0, 0), 0);
    rkb_ring_commit(world->ring, rkb_record_write(at, &record, rkb_ring_salt(world->ring)));
    rkb_shipper_wake(world->shipper);
    world_wait(world, failed_and_told, 0, "the loop to be told");
    assert_false(rkb_shipper_stop(world->shipper, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    world_drop(world);
}

/* ---- the ledger has no room ---- */

static atomic_bool ledger_full;

static ssize_t ledger_write(int fd, const void *data, size_t size, off_t offset)
{
    if (!atomic_load(&ledger_full))
        return rkb_sys_posix.pwrite(fd, data, size, offset);
    errno = ENOSPC;
    return -1;
}

static void count_gap(void *context, const struct rkb_gap *gap)
{
    size_t *count = context;
    *count += strcmp(gap->reason, "connection_lost") == 0;
}

/* How many gaps the ledger has, read anew. */
static size_t open_ledger(struct world *world, const struct rkb_sys *sys)
{
    struct rkb_error error = {0};
    size_t gaps = 0;
    rkb_ledger_close(world->ledger);
    world->ledger = rkb_ledger_open(world->directory, rkb_journal_id(world->journal), sys, count_gap, &gaps, &error);
    assert_non_null(world->ledger);
    return gaps;
}

static bool others_settled(struct world *world, uint64_t wanted)
{
    return rkb_shipper_figures(world->shipper)->routes[1].delivered
           + rkb_shipper_figures(world->shipper)->routes[2].delivered == wanted;
}

/* The ledger cannot take a gap: what lies behind is delivered, and no checkpoint passes the one place that knows it. */
static void test_a_gap_waits_for_the_ledger(void **state)
{
    static struct rkb_sys sys;      /* the ledger is closed after the test has returned */
    struct world *world = *state;
    struct rkb_cursor cursor = {0};
    struct rkb_record record;
    struct rkb_error error = {0};
    sys = rkb_sys_posix;
    sys.pwrite = ledger_write;
    world->degrade = true;
    world->max_size = MIB;
    world_open(world);
    open_ledger(world, &sys);
    atomic_store(&ledger_full, true);
    world_start(world);
    world_put(world, 100);
    world_put_gap(world, "connection_lost");
    world_put(world, 3000);
    world_wait(world, others_settled, 3100, "what lies behind the gap");
    world_hurry(2 * SECOND);
    world_wait(world, checkpoint_is, 101, "the checkpoint");
    for (int i = 0; i < 3; i++) {
        world_hurry(10 * SECOND);
        world_put(world, 1);
        world_wait(world, others_settled, 3101 + (uint64_t)i, "what comes then");
    }
    assert_int_equal(checkpoint_on_disk(world), 101);
    world_close(world);
    world_open(world);
    assert_int_equal(open_ledger(world, &sys), 0);
    assert_int_equal(world->recovery.low, 101);
    rkb_cursor_seek(&cursor, world->journal, 101);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(record.kind, RKB_GAP);
    rkb_cursor_close(&cursor);
    world_start(world);
    world_hurry(2 * SECOND);
    atomic_store(&ledger_full, false);
    world_hurry(10 * SECOND);
    world_wait(world, all_settled, world->next, "the ledger");
    world_close(world);
    world_open(world);
    assert_int_equal(open_ledger(world, &sys), 1);
}

/* ---- when it syncs, and how far the checkpoint goes ---- */

/*
 * All is delivered, but nothing is synced yet: a power loss would bring back an older journal, so the checkpoint stays.
 */
static void test_the_checkpoint_waits_for_the_sync(void **state)
{
    struct world *world = *state;
    open_and_start(world, HOUR);
    world_put(world, 100);
    world_wait(world, all_settled, 101, "the deliveries");
    world_hurry(2 * SECOND);
    world_put(world, 1);        /* behind its settling lies a turn in which a checkpoint was due */
    world_wait(world, all_settled, 102, "the next delivery");
    assert_int_equal(checkpoint_on_disk(world), 1);
    world_hurry(HOUR);
    world_wait(world, checkpoint_is, 102, "the checkpoint to follow the sync");
}

static void test_a_sync_that_takes_its_time(void **state)
{
    struct world *world = *state;
    open_and_start(world, SECOND);
    world_put(world, 100);
    world_wait(world, all_taken, 101, "the journal");
    atomic_store(&disk.hold_sync, true);
    world_hurry(2 * SECOND);
    world_wait(world, is_syncing, 1, "a sync to begin");
    for (int i = 0; i < 5; i++) {
        world_put(world, 100);
        world_hurry(2 * SECOND);
        world_wait(world, all_settled, world->next, "deliveries during a sync");
    }
    assert_int_equal(checkpoint_on_disk(world), 1);
    assert_int_equal(atomic_load(&disk.most_inside), 1);
    atomic_store(&disk.hold_sync, false);
    world_wait(world, checkpoint_is, 601, "the checkpoint");
    world_close(world);
    world_open(world);
    assert_int_equal(world->recovery.low, 601);
}

static void test_sync_none(void **state)
{
    struct world *world = *state;
    open_and_start(world, RKB_SYNC_NONE);
    int before = atomic_load(&disk.syncs);
    world_put(world, 500);
    world_wait(world, all_settled, 501, "the deliveries");
    world_wait(world, checkpoint_is, 501, "the checkpoint");
    assert_int_equal(atomic_load(&disk.syncs), before);
}

static void test_sync_always(void **state)
{
    struct world *world = *state;
    open_and_start(world, RKB_SYNC_ALWAYS);
    atomic_store(&disk.hold_sync, true);
    world_put(world, 5);
    world_wait(world, is_syncing, 1, "a sync");
    assert_int_equal(expect_below(world, 1), 0);
    assert_int_equal(delivered(world), 0);
    atomic_store(&disk.hold_sync, false);
    world_wait(world, all_settled, 6, "the deliveries");
    world_wait(world, checkpoint_is, 6, "the checkpoint");
}

/* The journal takes one sync at a time, whoever waits for it: the shipper or the syncer. */
static void test_one_sync_at_a_time(void **state)
{
    struct world *world = *state;
    open_and_start(world, RKB_SYNC_ALWAYS);
    atomic_store(&disk.slow_sync, true);
    for (int i = 0; i < 100; i++) {
        world_put(world, 1);
        world_hurry(2 * SECOND);
        world_wait(world, all_taken, world->next, "the journal");
    }
    world_wait(world, all_settled, world->next, "the deliveries");
    assert_int_equal(atomic_load(&disk.most_inside), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_failing_write, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_sync, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_failing_sync_before_sending, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_sync_that_fails_at_the_end, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_writes_fail_and_it_goes_on, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_writes_fail_without_syncs, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_syncs_fail_and_it_goes_on, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_syncs_fail_before_sending, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_stopped_while_the_disk_fails, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_the_directory_is_gone_and_back, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_the_directory_is_gone_and_that_is_the_end, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_route_nobody_knows, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_gap_waits_for_the_ledger, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_the_checkpoint_waits_for_the_sync, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_sync_that_takes_its_time, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_sync_none, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_sync_always, set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_one_sync_at_a_time, set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
