/*
 * The shipper's pace, turn by turn, by a clock that stands still: what it collects before it hands it over, when a sync
 * and a checkpoint are due, and that one job does for both. Against librdkafka's mock cluster.
 */
#include "shipper_world.h"

#include <errno.h>

#include <string.h>

#define MILLISECOND INT64_C(1000)
#define SLOW_MS 600000
#define USUAL (20 * MILLISECOND)        /* what an acknowledgement is said to take */
#define TRICKLE (256 * 1024)

static void begin(struct world *world)
{
    world_open(world);
    world_start(world);
    world_by_hand(world);
}

static bool settled(struct world *world, uint64_t wanted)
{
    return rkb_acks_low(rkb_journal_acks(world->journal)) == wanted;
}

static uint32_t in_flight(struct world *world)
{
    return world->shipper->lanes.in_flight;
}

static void say_usual(struct world *world, int64_t usual_us)
{
    for (uint32_t topic = 1; topic <= 2; topic++)
        rkb_lanes_at(&world->shipper->lanes, topic)->usual_us = usual_us;
}

/* Both topics have shown that they move; from now on Kafka does not answer, and two records are on their way. */
static void two_on_their_way(struct world *world)
{
    begin(world);
    world_put(world, 10);
    world_turn_until(world, settled, 11, "the first ten");
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, SLOW_MS);
    say_usual(world, USUAL);
    world->hand_us += SECOND;
    world_put(world, 2);
    world_turn(world);
    assert_int_equal(in_flight(world), 2);
}

/* ---- what is collected ---- */

static void test_a_trickle_waits_for_what_is_in_flight(void **state)
{
    struct world *world = *state;
    two_on_their_way(world);
    world_put(world, 3);
    world_turn(world);
    world->hand_us += USUAL * 3 / 2 - 1;
    world_turn(world);
    assert_int_equal(rkb_journal_next(world->journal), 16);     /* taken all the same */
    assert_int_equal(in_flight(world), 2);
    world->hand_us++;
    world_turn(world);
    assert_int_equal(in_flight(world), 5);
}

static void test_it_goes_when_that_has_landed(void **state)
{
    struct world *world = *state;
    begin(world);
    for (uint64_t next = 3; next < 21; next += 2) {
        say_usual(world, 1000 * SECOND);
        world_put(world, 2);
        world_turn_until(world, settled, next, "the next two");     /* the clock does not move */
    }
}

static void test_more_than_a_trickle_goes(void **state)
{
    struct world *world = *state;
    two_on_their_way(world);
    world_put(world, 3);
    world->shipper->collected = TRICKLE / 2;
    world_turn(world);
    assert_int_equal(in_flight(world), 2);
    world->shipper->collected = TRICKLE;
    world_turn(world);
    assert_int_equal(in_flight(world), 5);
    assert_int_equal(world->shipper->collected, 0);
}

/* One that waits for a place, and one that was passed over, are behind already. */
static void test_what_is_behind_goes(void **state)
{
    struct world *world = *state;
    two_on_their_way(world);
    struct rkb_lanes *lanes = &world->shipper->lanes;
    assert_true(rkb_shipper_collects(world->shipper));
    world->shipper->holding = true;
    assert_false(rkb_shipper_collects(world->shipper));
    world->shipper->holding = false;
    world->shipper->more = true;
    assert_false(rkb_shipper_collects(world->shipper));
    world->shipper->more = false;
    rkb_lane_fall_behind(lanes, rkb_lanes_at(lanes, 1), world->journal, 13, 0);
    assert_false(rkb_shipper_collects(world->shipper));
}

/* A topic that stands still is not waited for: half a second without a report, and the others go as they come. */
static void test_what_stands_still_is_not_waited_for(void **state)
{
    struct world *world = *state;
    two_on_their_way(world);
    world->shipper->collect_until_us = INT64_MAX;
    world_put(world, 2);
    world->hand_us += RKB_LANE_STUCK_US - 1;
    world_turn(world);
    assert_int_equal(in_flight(world), 2);
    world->hand_us++;
    world_turn(world);
    assert_int_equal(in_flight(world), 4);
}

/* ---- sync and checkpoint ---- */

static struct {
    int checkpoints;        /* written */
    int syncs;              /* of segments */
} seen;

static ssize_t counted_write(int fd, const void *data, size_t size, off_t offset)
{
    seen.checkpoints += world_is_file(fd, "checkpoint");
    return rkb_sys_posix.pwrite(fd, data, size, offset);
}

static int counted_sync(int fd)
{
    if (!world_is_file(fd, "checkpoint"))
        __atomic_fetch_add(&seen.syncs, 1, __ATOMIC_SEQ_CST);
    return rkb_sys_posix.fdatasync(fd);
}

static bool is_idle(struct world *world, uint64_t wanted)
{
    (void)wanted;
    return rkb_syncer_idle(world->shipper->syncer);
}

/* Four records of one topic are delivered and synced, the checkpoint is on its way; nothing is due. */
static void four_synced(struct world *world)
{
    world->disk.pwrite = counted_write;
    world->disk.fdatasync = counted_sync;
    begin(world);
    for (int i = 0; i < 4; i++)
        world_put_of_size(world, 10);
    world_turn_until(world, settled, 5, "four");
    for (int i = 0; i < 3; i++) {
        world->hand_us += 2 * SECOND;
        world_turn(world);
        world_turn_until(world, is_idle, 0, "the syncer");
    }
    assert_int_equal(rkb_shipper_keep_us(world->shipper), INT64_MAX);
    memset(&seen, 0, sizeof seen);
}

static void test_a_sync_is_due_after_its_interval(void **state)
{
    struct world *world = *state;
    four_synced(world);
    world_put(world, 2);
    world_turn(world);          /* the last sync was long ago */
    assert_int_equal(rkb_shipper_keep_us(world->shipper), INT64_MAX);     /* under way: it tells when it is done */
    world_turn_until(world, is_idle, 0, "the syncer");
    assert_int_equal(seen.syncs, 1);
    world->hand_us += 10 * MILLISECOND;
    world_put(world, 2);
    rkb_shipper_take(world->shipper);
    assert_int_equal(rkb_shipper_keep_us(world->shipper), world->hand_us - 10 * MILLISECOND + SECOND);
}

static void one_more(struct world *world, uint64_t next)
{
    world_put_of_size(world, 10);
    world_turn_until(world, settled, next, "one more");
    world_turn_until(world, is_idle, 0, "the syncer");
}

/* The first checkpoint does not wait, since the one before was long ago; the second does. */
static void two_more(struct world *world)
{
    four_synced(world);
    one_more(world, 6);
    assert_int_equal(seen.checkpoints, 1);
    world->hand_us += SECOND;
    one_more(world, 7);
    assert_int_equal(seen.checkpoints, 1);
    assert_int_equal(seen.syncs, 2);
}

/* With a record to sync each second there is one job a second, not one for the record and one for the checkpoint. */
static void test_one_job_for_both(void **state)
{
    struct world *world = *state;
    two_more(world);
    world->hand_us += SECOND;
    world_turn(world);
    assert_int_equal(seen.checkpoints, 1);
    one_more(world, 8);
    assert_int_equal(seen.checkpoints, 2);
    assert_int_equal(seen.syncs, 3);
}

/* Without one the checkpoint goes alone. */
static void test_a_checkpoint_alone(void **state)
{
    struct world *world = *state;
    two_more(world);
    assert_int_equal(rkb_shipper_keep_us(world->shipper), world->hand_us + SECOND + 250 * MILLISECOND);
    world->hand_us += SECOND + 250 * MILLISECOND - 1;
    world_turn(world);
    assert_int_equal(seen.checkpoints, 1);
    world->hand_us++;
    world_turn(world);
    assert_int_equal(seen.checkpoints, 2);
    assert_int_equal(seen.syncs, 2);
}

/* Segments in memory lie in .segments/, and take what they are given. */
static ssize_t write_to_memory_only(int fd, const void *data, size_t size, off_t offset)
{
    char path[PATH_MAX];
    world_path_of(fd, path);
    if (strstr(path, ".segments/") != NULL)
        return rkb_sys_posix.pwrite(fd, data, size, offset);
    errno = EIO;
    return -1;
}

static bool is_durable(struct world *world, uint64_t wanted)
{
    (void)wanted;
    world->hand_us += 100 * MILLISECOND;
    return !rkb_journal_degraded(world->journal, NULL);
}

/* In memory there is nothing to sync, however often one wants it: the disk is looked at once a second. */
static void test_no_haste_without_a_disk(void **state)
{
    struct world *world = *state;
    world->degrade = true;
    world->sync_us = RKB_SYNC_ALWAYS;
    begin(world);
    world_put_of_size(world, 10);
    world_turn_until(world, settled, 2, "the first");
    world->disk.pwrite = write_to_memory_only;
    world_put_of_size(world, 10);
    world_turn_until(world, settled, 3, "one that is in memory");
    assert_true(rkb_journal_degraded(world->journal, NULL));
    world_turn_until(world, is_idle, 0, "the syncer");
    assert_in_range(rkb_shipper_keep_us(world->shipper), world->hand_us + 1, world->hand_us + SECOND);
    world->disk.pwrite = rkb_sys_posix.pwrite;
    world_turn_until(world, is_durable, 0, "the disk to be taken again");
}

/* ---- memory ---- */

static unsigned trims;

int __wrap_malloc_trim(size_t pad);

int __wrap_malloc_trim(size_t pad)
{
    (void)pad;
    trims++;
    return 1;
}

static void expect_trims(struct world *world, int64_t after_us, unsigned wanted)
{
    world->hand_us += after_us;
    world_turn(world);
    assert_int_equal(trims, wanted);
}

/* Each 30 s where something was delivered, not while very many records wait. */
static void test_memory_is_given_back(void **state)
{
#ifndef __GLIBC__
    print_message("NOT RUN: only glibc keeps memory and gives it back\n");
    skip();
#endif
    struct world *world = *state;
    world->ring_size = 8 << 20;
    begin(world);
    world_put(world, 100);
    world_turn_until(world, settled, 101, "a few");
    world->shipper->trimmed_us = world->hand_us;
    world->shipper->trimmed_low = 1;
    trims = 0;
    expect_trims(world, 30 * SECOND, 1);
    world_put(world, 1);
    world_turn_until(world, settled, 102, "one");
    expect_trims(world, 30 * SECOND - 1, 1);
    expect_trims(world, 1, 2);
    expect_trims(world, 30 * SECOND, 2);
    for (int i = 0; i < 10001; i++)
        assert_true(world_try(world));
    expect_trims(world, 30 * SECOND, 2);
    world_turn_until(world, settled, 10103, "the flood");
    assert_int_equal(trims, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
        TEST(test_a_trickle_waits_for_what_is_in_flight),
        TEST(test_it_goes_when_that_has_landed),
        TEST(test_more_than_a_trickle_goes),
        TEST(test_what_is_behind_goes),
        TEST(test_what_stands_still_is_not_waited_for),
        TEST(test_a_sync_is_due_after_its_interval),
        TEST(test_one_job_for_both),
        TEST(test_a_checkpoint_alone),
        TEST(test_no_haste_without_a_disk),
        TEST(test_memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
