/*
 * The shipper without its thread, turn by turn, by a clock that stands still: what it waits for and for how long, and
 * what it remembers between two turns. Against librdkafka's mock cluster.
 */
#include "shipper_world.h"

#include <errno.h>
#include <string.h>

#define MILLISECOND INT64_C(1000)
#define LOOK (50 * MILLISECOND)         /* so often it looks at what stands still */
#define SLOW_MS 600000
#define MOST 64

static rd_kafka_mock_cluster_t *cluster(struct world *world)
{
    return rkb_mock_cluster(world->mock);
}

static struct rkb_lane *lane_of(struct world *world, uint32_t topic)
{
    return rkb_lanes_at(&world->shipper->lanes, topic);
}

static struct rkb_acks *acks(struct world *world)
{
    return rkb_journal_acks(world->journal);
}

static void begin(struct world *world)
{
    world_open(world);
    world_start(world);
    world_by_hand(world);
}

static void refuse_next(struct world *world, rd_kafka_resp_err_t error)
{
    rd_kafka_mock_push_request_errors_array(cluster(world), PRODUCE, 1, &error);
}

static bool low_is(struct world *world, uint64_t wanted)
{
    return rkb_acks_low(acks(world)) == wanted;
}

static bool in_flight(struct world *world, uint64_t wanted)
{
    return world->shipper->lanes.in_flight == wanted;
}

static void all_settled_by_hand(struct world *world)
{
    rkb_shipper_take(world->shipper);
    world_turn_until(world, low_is, world->next, "all to be settled");
}

/* Kafka does not answer any more; what is asked of it hangs. */
static void hangs(struct world *world, bool whether)
{
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, whether ? SLOW_MS : 0);
}

static uint64_t rebuilds(struct world *world)
{
    return world->shipper->figures->rebuilds_total;
}

/* ---- dead letters and the checkpoint ---- */

static struct {
    bool dirty;             /* written to and not synced */
    bool fail_sync;
    int failed;
    int early;              /* checkpoints written meanwhile */
} letters;

static ssize_t watched_write(int fd, const void *data, size_t size, off_t offset)
{
    if (world_is_file(fd, "dead-letters"))
        letters.dirty = true;
    else if (world_is_file(fd, "checkpoint") && letters.dirty)
        letters.early++;
    return rkb_sys_posix.pwrite(fd, data, size, offset);
}

static int watched_sync(int fd)
{
    if (!world_is_file(fd, "dead-letters") && !world_is_file(fd, "dead-letters.new"))
        return rkb_sys_posix.fdatasync(fd);
    letters.failed += letters.fail_sync;
    letters.dirty = letters.fail_sync;
    errno = EIO;
    return letters.fail_sync ? -1 : rkb_sys_posix.fdatasync(fd);
}

static bool checkpoint_is(struct world *world, uint64_t wanted)
{
    return checkpoint_on_disk(world) == wanted;
}

/* Ten records and one that no producer takes; all that is settled is synced, only the checkpoint is missing. */
static void set_one_aside(struct world *world)
{
    uint64_t sequences[MOST];
    memset(&letters, 0, sizeof letters);
    world->degrade = true;
    world->disk.pwrite = watched_write;
    world->disk.fdatasync = watched_sync;
    world->properties[0] = (struct rkb_property){"message.max.bytes", "1000"};
    begin(world);
    world_put(world, 5);
    world_put_of_size(world, 2000);
    world_put(world, 5);
    all_settled_by_hand(world);
    assert_int_equal(dead_letters(world, sequences, MOST), 1);
    assert_int_equal(sequences[0], 6);
    assert_true(letters.dirty);
    assert_true(rkb_shipper_sync_now(world->shipper));
    assert_int_equal(checkpoint_on_disk(world), 1);
}

/* A power loss must not take the letter and leave the checkpoint. */
static void test_a_dead_letter_before_the_checkpoint(void **state)
{
    struct world *world = *state;
    set_one_aside(world);
    world->hand_us += 2 * SECOND;
    world_turn_until(world, checkpoint_is, 12, "the checkpoint");
    assert_int_equal(letters.early, 0);
    assert_false(letters.dirty);
}

static bool is_idle(struct world *world, uint64_t wanted)
{
    (void)wanted;
    return rkb_syncer_idle(world->shipper->syncer);
}

/* The sync of the letters fails: the checkpoint stays where it is, and goes on, later, once they are safe. */
static void test_a_dead_letter_that_is_not_safe(void **state)
{
    struct world *world = *state;
    uint64_t sequences[MOST];
    set_one_aside(world);
    letters.fail_sync = true;
    world->hand_us += 2 * SECOND;
    world_turn(world);
    assert_int_equal(letters.failed, 1);
    assert_int_equal(checkpoint_on_disk(world), 1);
    world_turn_until(world, is_idle, 0, "the syncer");
    world->hand_us += 5 * SECOND - 1;
    world_turn(world);
    assert_int_equal(letters.failed, 1);
    letters.fail_sync = false;
    world->hand_us++;
    world_turn_until(world, checkpoint_is, 12, "the checkpoint");
    assert_int_equal(letters.early, 0);
    assert_int_equal(dead_letters(world, sequences, MOST), 1);
}

/* ---- lanes that go with the line again ---- */

/* From this one on the topic's records wait, and the line passes them over. */
static void leave_behind(struct world *world, uint32_t topic, uint64_t sequence)
{
    struct rkb_lane *lane = lane_of(world, topic);
    rkb_lane_fall_behind(&world->shipper->lanes, lane, world->journal, sequence, 0);
    rkb_lane_enter(&world->shipper->lanes, lane, RKB_LANE_WAITING);
    lane->retry_us = INT64_MAX;
}

static bool line_is(struct world *world, uint64_t wanted)
{
    return rkb_shipper_line(world->shipper) == wanted && in_flight(world, 0);
}

static void deliver_300(struct world *world)
{
    begin(world);
    world_put(world, 300);
    all_settled_by_hand(world);
}

static void put_300_more(struct world *world)
{
    world_put(world, 300);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, line_is, 601, "the line to pass all");
}

static void flow_again(struct world *world, uint32_t topic)
{
    rkb_lane_enter(&world->shipper->lanes, lane_of(world, topic), RKB_LANE_FLOWING);
}

static void test_the_line_goes_back_for_a_lane(void **state)
{
    struct world *world = *state;
    deliver_300(world);
    rkb_shipper_regroup(world->shipper);
    assert_int_equal(rkb_shipper_line(world->shipper), 301);    /* nobody is behind */
    leave_behind(world, 2, 303);
    put_300_more(world);
    flow_again(world, 2);
    rkb_shipper_regroup(world->shipper);
    assert_int_equal(rkb_shipper_line(world->shipper), 303);
    assert_false(lane_of(world, 2)->behind);
    all_settled_by_hand(world);
    expect_arrived(world, 1, 600, false);
}

static void test_the_line_goes_back_for_the_lowest(void **state)
{
    struct world *world = *state;
    deliver_300(world);
    leave_behind(world, 1, 301);
    leave_behind(world, 2, 303);
    put_300_more(world);
    flow_again(world, 1);
    flow_again(world, 2);
    rkb_shipper_regroup(world->shipper);
    assert_int_equal(rkb_shipper_line(world->shipper), 301);
    all_settled_by_hand(world);
    expect_arrived(world, 1, 600, false);
}

/* Kafka goes away: nothing moves any more, so all may go by one cursor. */
static void test_a_lost_connection_joins_the_lanes(void **state)
{
    struct world *world = *state;
    rd_kafka_mock_broker_set_down(cluster(world), 1);
    begin(world);
    leave_behind(world, 1, 1);
    leave_behind(world, 2, 3);
    world_put(world, 300);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, line_is, 301, "the line to pass all");
    flow_again(world, 1);
    flow_again(world, 2);
    rkb_shipper_mend(world->shipper);
    assert_int_equal(rkb_shipper_line(world->shipper), 301);    /* it had none before either */
    world->shipper->connected = true;
    rkb_shipper_mend(world->shipper);
    assert_int_equal(rkb_shipper_line(world->shipper), 1);
    rd_kafka_mock_broker_set_up(cluster(world), 1);
    all_settled_by_hand(world);
    expect_arrived(world, 1, 300, false);
}

/* What waits for its time goes on by itself: the line would not go back for it a second time. */
static void test_a_lane_that_waits_stays_behind(void **state)
{
    struct world *world = *state;
    deliver_300(world);
    leave_behind(world, 2, 303);
    put_300_more(world);
    rkb_shipper_regroup(world->shipper);
    assert_true(lane_of(world, 2)->behind);
    assert_int_equal(rkb_shipper_line(world->shipper), 601);
    lane_of(world, 2)->retry_us = 0;
    all_settled_by_hand(world);
    expect_arrived(world, 1, 600, false);
}

/* What came back lies before where its lane stands, and goes first. */
static void test_a_lane_with_returned_records_stays_behind(void **state)
{
    struct world *world = *state;
    deliver_300(world);
    leave_behind(world, 2, 309);
    put_300_more(world);
    flow_again(world, 2);
    lane_of(world, 2)->returned = 303;
    rkb_shipper_regroup(world->shipper);
    assert_true(lane_of(world, 2)->behind);
    assert_int_equal(rkb_shipper_line(world->shipper), 601);
    rkb_shipper_mend(world->shipper);           /* nothing has returned yet, as far as the shipper knows */
    world->shipper->returned = true;
    rkb_shipper_mend(world->shipper);
    assert_int_equal(lane_of(world, 2)->next, 303);
    all_settled_by_hand(world);
    expect_arrived(world, 1, 600, false);
}

/* ---- refused among others ---- */

/*
 * Records of topic 1 that the line has passed, and as if Kafka had refused them in one batch. Returns how many bytes
 * they have.
 */
static size_t put_and_refuse(struct world *world, size_t count, size_t size, rd_kafka_resp_err_t error)
{
    uint64_t first = world->next;
    size_t bytes = rkb_record_size(0, 0, size);
    for (size_t i = 0; i < count; i++)
        world_put_of_size(world, size);
    leave_behind(world, 1, first);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, line_is, world->next, "the line to pass all");
    for (uint64_t sequence = first; sequence < world->next; sequence++)
        rkb_shipper_refused(world->shipper, lane_of(world, 1), sequence, bytes, error);
    assert_int_equal(lane_of(world, 1)->state, RKB_LANE_LANDING);
    return bytes * count;
}

/* Each alone was taken, so it was the batch: from then on as much is in flight as makes none so large. */
static void test_a_batch_too_large_is_learnt_from(void **state)
{
    struct world *world = *state;
    struct rkb_lane *lane;
    begin(world);
    lane = lane_of(world, 1);
    size_t bytes = put_and_refuse(world, 10, 2000, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_int_equal(lane->refused_bytes, bytes);
    all_settled_by_hand(world);
    world_turn(world);
    assert_int_equal(lane->state, RKB_LANE_FLOWING);
    assert_int_equal(lane->most_bytes, bytes / 4);
    assert_int_equal(lane->refused_bytes, 0);
    hangs(world, true);
    for (int i = 0; i < 100; i++)
        world_put_of_size(world, 500);
    for (int i = 0; i < 5; i++)
        world_turn(world);
    assert_in_range(lane->bytes_in_flight, bytes / 8, bytes / 4);
    world->hand_us += 59 * SECOND;
    world_turn(world);
    assert_int_equal(lane->most_bytes, bytes / 4);
    world->hand_us += SECOND;                   /* the topic's limit may have been raised since */
    world_turn(world);
    assert_int_equal(lane->most_bytes, bytes / 4 * 2);
    hangs(world, false);
}

static void test_a_small_batch_too_large(void **state)
{
    struct world *world = *state;
    begin(world);
    put_and_refuse(world, 3, 50, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    all_settled_by_hand(world);
    world_turn(world);
    assert_int_equal(lane_of(world, 1)->most_bytes, 1024);
}

/* It was not the batch but one of them; or not for its size. */
static void test_nothing_to_learn_of_a_batch(void **state)
{
    struct world *world = *state;
    uint64_t sequences[MOST];
    begin(world);
    put_and_refuse(world, 10, 2000, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    all_settled_by_hand(world);
    world_turn(world);
    assert_int_equal(lane_of(world, 1)->state, RKB_LANE_FLOWING);
    assert_int_equal(lane_of(world, 1)->most_bytes, 0);
    put_and_refuse(world, 10, 2000, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    refuse_next(world, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    all_settled_by_hand(world);
    world_turn(world);
    assert_int_equal(dead_letters(world, sequences, MOST), 1);
    assert_int_equal(sequences[0], 11);
    assert_int_equal(lane_of(world, 1)->state, RKB_LANE_FLOWING);
    assert_int_equal(lane_of(world, 1)->most_bytes, 0);
}

/* Until topic 1 has this record delivered none of its records goes among others. */
static bool all_went_alone(struct world *world, uint64_t wanted)
{
    bool there = rkb_acks_has(acks(world), wanted);
    assert_true(there || lane_of(world, 1)->state != RKB_LANE_FLOWING);
    return there;
}

/* Another one of what was sent with it may be as bad: it would cost one more producer. */
static void test_all_that_was_sent_goes_alone(void **state)
{
    struct world *world = *state;
    begin(world);
    hangs(world, true);
    world_put(world, 30);
    world_turn_until(world, in_flight, 30, "records in flight");
    struct rkb_lane *lane = lane_of(world, 1);
    rkb_shipper_refused(world->shipper, lane, 1, 100, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    rkb_shipper_refused(world->shipper, lane, 2, 100, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    assert_int_equal(lane->alone_end, 30);
    rd_kafka_test_fatal_error(rkb_producer_handle(world->shipper->producer),
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as told");
    world_turn_until(world, in_flight, 0, "all to come back");
    hangs(world, false);
    world_put(world, 30);
    world_turn_until(world, all_went_alone, 29, "all of them to go alone");
    all_settled_by_hand(world);
    expect_arrived(world, 1, 60, true);
}

/* ---- refused alone ---- */

/* A record of topic 1 that was never sent was not taken: it goes alone. Without a thread that is told by its lane. */
static struct rkb_lane *send_one_alone(struct world *world)
{
    put_and_refuse(world, 1, 100, RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC);
    assert_int_equal(lane_of(world, 1)->alone_end, world->next);
    return lane_of(world, 1);
}

static bool waits_for(struct world *world, uint64_t wanted)
{
    const struct rkb_lane *lane = lane_of(world, 1);
    return lane->state == RKB_LANE_WAITING && lane->retry_wait_us == (int64_t)wanted && lane->in_flight == 0;
}

static bool is_alone(struct world *world, uint64_t wanted)
{
    return lane_of(world, 1)->state == RKB_LANE_ALONE && lane_of(world, 1)->in_flight == wanted;
}

/* Turns in which nothing is tried, up to a microsecond before its time. */
static void nothing_is_tried_for(struct world *world, int64_t wait_us)
{
    int64_t retry_us = lane_of(world, 1)->retry_us;
    for (int i = 0; i < 20; i++) {
        world->hand_us += i == 10 ? wait_us - 1 : 0;
        world_turn(world);
        assert_int_equal(world->shipper->lanes.in_flight, 0);
        assert_int_equal(lane_of(world, 1)->retry_us, retry_us);
    }
    world->hand_us++;
}

/* Not now: it is tried again after twice the time, not at every turn. */
static void test_again_later_and_later(void **state)
{
    struct world *world = *state;
    begin(world);
    struct rkb_lane *lane = send_one_alone(world);
    for (int64_t wait_us = 250 * MILLISECOND; wait_us <= 2 * SECOND; wait_us *= 2) {
        refuse_next(world, RD_KAFKA_RESP_ERR_UNKNOWN);
        world_turn_until(world, waits_for, (uint64_t)wait_us, "a refusal");
        assert_int_equal(lane->retry_us, world->hand_us + wait_us);
        assert_string_not_equal(lane->why, "");
        nothing_is_tried_for(world, wait_us);
    }
    all_settled_by_hand(world);
    world_turn(world);
    assert_int_equal(lane->state, RKB_LANE_FLOWING);
    assert_int_equal(lane->retry_wait_us, 0);
    assert_string_equal(lane->why, "");
    assert_int_equal(rebuilds(world), 0);
}

/* What it had in flight is open, and was not refused by that. */
static void end_alone(struct world *world)
{
    rd_kafka_test_fatal_error(rkb_producer_handle(world->shipper->alone),
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as told");
    world_turn(world);
    assert_null(world->shipper->alone);
    assert_int_equal(world->shipper->lanes.in_flight, 0);
    assert_int_equal(rkb_lane_low(lane_of(world, 1), rkb_shipper_line(world->shipper)), 1);
    assert_int_equal(lane_of(world, 1)->state, RKB_LANE_ALONE);
    assert_string_equal(lane_of(world, 1)->why, "");
}

/* The producer for records that go alone ends as suddenly each time: the next one is made later and later. */
static void test_the_producer_of_what_goes_alone_ends(void **state)
{
    struct world *world = *state;
    begin(world);
    hangs(world, true);
    send_one_alone(world);
    const struct rkb_producer *line = world->shipper->producer;
    for (int64_t wait_us = 250 * MILLISECOND; wait_us <= SECOND; wait_us *= 2) {
        world_turn_until(world, is_alone, 1, "the record in flight");
        end_alone(world);
        nothing_is_tried_for(world, wait_us);
        assert_null(world->shipper->alone);
    }
    assert_int_equal(rebuilds(world), 3);
    assert_ptr_equal(world->shipper->producer, line);
    hangs(world, false);
    all_settled_by_hand(world);
    assert_int_equal(world->shipper->alone_wait_us, 0);     /* it delivered: the next end is a first one */
}

/* ---- a producer that says nothing ---- */

/* Just before this time it is not replaced yet, then it is. */
static void replaced_after(struct world *world, int64_t wait_us, uint64_t which)
{
    world->hand_us += wait_us - LOOK;
    world_turn(world);
    assert_int_equal(rebuilds(world), which - 1);
    world->hand_us += LOOK;
    world_turn(world);
    assert_int_equal(rebuilds(world), which);
}

static bool is_connected(struct world *world, uint64_t wanted)
{
    return world->shipper->connected == (wanted == 1);
}

/* Without a connection five times as long, and each time twice; and the time before it came back does not count. */
static void test_the_watchdog_without_a_connection(void **state)
{
    struct world *world = *state;
    world->watchdog_us = 120 * SECOND;
    rd_kafka_mock_broker_set_down(cluster(world), 1);
    begin(world);
    world_put(world, 30);
    world_turn_until(world, in_flight, 30, "records in flight");
    assert_false(world->shipper->connected);
    replaced_after(world, 5 * 120 * SECOND, 1);
    world_turn_until(world, in_flight, 30, "records in flight again");
    replaced_after(world, 5 * 240 * SECOND, 2);
    world_turn_until(world, in_flight, 30, "records in flight again");
    world->hand_us += 1000 * SECOND;
    for (int i = 0; i < 2; i++)
        rd_kafka_mock_partition_set_leader(cluster(world), world->topics[i], 0, -1);
    rd_kafka_mock_broker_set_up(cluster(world), 1);
    world_turn_until(world, is_connected, 1, "a connection");
    world->hand_us += LOOK;
    world_turn(world);
    assert_int_equal(rebuilds(world), 2);
    for (int i = 0; i < 2; i++)
        rd_kafka_mock_partition_set_leader(cluster(world), world->topics[i], 0, 1);
    all_settled_by_hand(world);
    expect_arrived(world, 1, 30, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
        TEST(test_a_dead_letter_before_the_checkpoint),
        TEST(test_a_dead_letter_that_is_not_safe),
        TEST(test_the_line_goes_back_for_a_lane),
        TEST(test_the_line_goes_back_for_the_lowest),
        TEST(test_a_lost_connection_joins_the_lanes),
        TEST(test_a_lane_that_waits_stays_behind),
        TEST(test_a_lane_with_returned_records_stays_behind),
        TEST(test_a_batch_too_large_is_learnt_from),
        TEST(test_a_small_batch_too_large),
        TEST(test_nothing_to_learn_of_a_batch),
        TEST(test_all_that_was_sent_goes_alone),
        TEST(test_again_later_and_later),
        TEST(test_the_producer_of_what_goes_alone_ends),
        TEST(test_the_watchdog_without_a_connection),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
