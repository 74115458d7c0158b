/*
 * Faults of Kafka under load: producers that end fatally, whatever for and whenever; leaders that move; a broker that
 * takes what is produced and never answers; clocks that are apart. Nothing is lost, nothing overtakes. Against
 * librdkafka's mock cluster with three brokers.
 */
#include "shipper_world.h"

#include <stdlib.h>
#include <string.h>

static rd_kafka_mock_cluster_t *cluster(struct world *world)
{
    return rkb_mock_cluster(world->mock);
}

/* One request at a time and small ones: the mock takes requests behind a failed one, which Kafka would not. */
static void one_at_a_time(struct world *world)
{
    static const struct rkb_property properties[] = {{"max.in.flight", "1"}, {"batch.num.messages", "50"},
                                                     {"linger.ms", "0"}};
    memcpy(world->properties, properties, sizeof properties);
}

static void set_leader(struct world *world, int topic, int32_t broker)
{
    assert_int_equal(rd_kafka_mock_partition_set_leader(cluster(world), world->topics[topic], 0, broker),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void refuse(struct world *world, size_t count, rd_kafka_resp_err_t error)
{
    rd_kafka_resp_err_t errors[500];
    for (size_t i = 0; i < count; i++)
        errors[i] = error;
    rd_kafka_mock_push_request_errors_array(cluster(world), PRODUCE, count, errors);
}

static uint64_t rebuilds(struct world *world)
{
    return world->shipper->figures->rebuilds_total;
}

static struct rkb_lane *lane_of(struct world *world, uint32_t topic)
{
    return rkb_lanes_at(&world->shipper->lanes, topic);
}

/* By hand; each turn is 20 s after the one before. */
static bool settled_by_hand(struct world *world, uint64_t wanted)
{
    world->hand_us += 20 * SECOND;
    return rkb_acks_low(rkb_journal_acks(world->journal)) == wanted;
}

static bool rebuilt_by_hand(struct world *world, uint64_t wanted)
{
    world->hand_us += 20 * SECOND;
    return rebuilds(world) >= wanted;
}

static void put_by_hand(struct world *world, size_t count)
{
    world_put(world, count);
    world_turn(world);
}

/* All of them, none set aside. */
static void expect_all_by_hand(struct world *world)
{
    const struct rkb_shipped *figures = world->shipper->figures;
    world_turn_until(world, settled_by_hand, world->next, "all to be settled");
    assert_int_equal(figures->routes[1].delivered + figures->routes[2].delivered, world->next - 1);
    assert_int_equal(figures->routes[1].dead_lettered + figures->routes[2].dead_lettered, 0);
    assert_int_equal(world->shipper->lanes.troubled, 0);
    expect_arrived(world, 1, world->next - 1, true);
}

/* ---- fatal errors ---- */

static const rd_kafka_resp_err_t fatal[] = {
    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,       RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
    RD_KAFKA_RESP_ERR__FENCED,                      RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
    RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, RD_KAFKA_RESP_ERR__INCONSISTENT,
    RD_KAFKA_RESP_ERR_DUPLICATE_SEQUENCE_NUMBER,    RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
};

static void end_producer(struct rkb_producer *producer, rd_kafka_resp_err_t error)
{
    assert_non_null(producer);
    assert_int_equal(rd_kafka_test_fatal_error(rkb_producer_handle(producer), error, "as told"),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void begin_by_hand(struct world *world)
{
    one_at_a_time(world);
    world->refuse_after_us = INT64_MAX;
    world_begin(world, 30);
    world_by_hand(world);
}

/* Each kind under load, and once more before the new producer has delivered anything. */
static void test_fatal_of_each_kind(void **state)
{
    struct world *world = *state;
    begin_by_hand(world);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
        for (int again = 0; again < 2; again++) {
            uint64_t before = rebuilds(world);
            put_by_hand(world, 300);
            end_producer(world->shipper->producer, fatal[i]);
            put_by_hand(world, 100);
            world_turn_until(world, rebuilt_by_hand, before + 1, "a new producer");
        }
    }
    expect_all_by_hand(world);
}

static bool waits(struct world *world, uint64_t wanted)
{
    world->hand_us += SECOND;
    return lane_of(world, (uint32_t)wanted)->state == RKB_LANE_WAITING;
}

static bool has_sent_past(struct world *world, uint64_t number)
{
    world->hand_us += SECOND;
    return lane_of(world, 1)->sent_end > number;
}

static bool alone_in_flight(struct world *world, uint64_t wanted)
{
    world->hand_us += 16 * SECOND;
    const struct rkb_lane *lane = lane_of(world, (uint32_t)wanted);
    return lane->in_flight == 1 && lane->oldest->alone;
}

/* A topic refuses, and its record is waited for or under way alone, when both producers end. */
static void test_fatal_during_a_refusal(void **state)
{
    struct world *world = *state;
    begin_by_hand(world);
    for (size_t i = 0; i < 4; i++) {
        refuse(world, 400, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
        put_by_hand(world, 100);
        world_turn_until(world, waits, 1, "the first topic to wait");
        uint64_t before = rebuilds(world);
        end_producer(world->shipper->producer, fatal[i]);
        if (i % 2 == 0)
            world_turn_until(world, alone_in_flight, 1, "a record under way alone");
        if (world->shipper->alone != NULL)
            end_producer(world->shipper->alone, fatal[i]);
        put_by_hand(world, 100);
        world_turn_until(world, rebuilt_by_hand, before + 1, "a new producer");
        rd_kafka_mock_clear_request_errors(cluster(world), PRODUCE);
    }
    expect_all_by_hand(world);
}

/* The new producer cannot be made, again and again: later and later, all waits, and then goes. */
static void test_a_rebuild_that_fails(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world->properties[3] = (struct rkb_property){"compression.type", "none"};
    world_begin(world, 30);
    world_by_hand(world);
    struct rkb_property *property = &world->all_properties[world->given.count - 1];
    property->value = "nonsense";
    put_by_hand(world, 300);
    end_producer(world->shipper->producer, RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID);
    world_turn_until(world, rebuilt_by_hand, 1, "the producer's end");
    for (int i = 0; i < 8; i++) {
        int64_t wait_us = world->shipper->rebuild_wait_us;
        assert_null(world->shipper->producer);
        world->hand_us = world->shipper->rebuild_us - 1;
        put_by_hand(world, 50);
        assert_int_equal(world->shipper->rebuild_wait_us, wait_us);
        world->hand_us = world->shipper->rebuild_us;
        put_by_hand(world, 50);
        assert_int_equal(world->shipper->rebuild_wait_us, rkb_shipper_longer(wait_us));
    }
    property->value = "none";
    expect_all_by_hand(world);
}

/* ---- leaders ---- */

static bool all_settled_at_last(struct world *world, uint64_t wanted)
{
    world_hurry(SECOND);
    return all_settled(world, wanted);
}

/* Every few hundred records another broker leads, or for a while none. */
static void test_leaders_move_under_load(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world_begin(world, 100);
    for (int round = 0; round < 24; round++) {
        set_leader(world, 0, round % 5 == 4 ? -1 : round % 3 + 1);
        set_leader(world, 1, round % 7 == 6 ? -1 : (round + 1) % 3 + 1);
        world_put(world, 400);
        world_wait(world, all_taken, world->next, "the journal");
    }
    set_leader(world, 0, 2);
    set_leader(world, 1, 3);
    world_wait(world, all_settled_at_last, world->next, "all to be settled");
    assert_int_equal(delivered(world), world->next - 1);
    expect_arrived(world, 1, world->next - 1, true);
}

static void swallow_produce(struct world *world, int32_t broker, int times)
{
    for (int i = 0; i < times; i++)
        assert_int_equal(rd_kafka_mock_broker_push_request_error_rtts(cluster(world), broker, PRODUCE, 1,
                                                                      RD_KAFKA_RESP_ERR_NO_ERROR, 3600000),
                         RD_KAFKA_RESP_ERR_NO_ERROR);
}

static bool first_delivered(struct world *world, uint64_t wanted)
{
    return delivered_of(world, 1) >= wanted;
}

static bool watched(struct world *world, uint64_t wanted)
{
    world_hurry(SECOND);
    world_put_mark(world);          /* so that figures are posted */
    return rkb_shipper_figures(world->shipper)->rebuilds_total >= wanted;
}

/*
 * One broker takes connections, answers for metadata, takes what is produced and never answers. The other topic moves;
 * its producer is made anew, again and again, and when another broker leads all goes there. What was swallowed had been
 * taken: it comes twice.
 */
static void test_a_broker_that_never_answers(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world->watchdog_us = 120 * SECOND;
    set_leader(world, 0, 3);
    set_leader(world, 1, 2);
    world_begin(world, 300);
    swallow_produce(world, 2, 50);
    for (int i = 0; i < 10; i++)
        world_put(world, 300);
    world_wait(world, first_delivered, 2200, "the other topic");
    assert_int_equal(delivered_of(world, 2), 100);
    world_wait(world, watched, 2, "new producers");
    assert_int_equal(delivered_of(world, 2), 100);
    set_leader(world, 1, 1);
    world_wait(world, all_settled_at_last, world->next, "all to be settled");
    assert_int_equal(delivered(world), 3300);
    expect_arrived(world, 1, 3300, true);
}

/* ---- clocks ---- */

static size_t stamped_anew(struct world *world)
{
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    size_t count = arrived->stamped_anew;
    free(arrived);
    return count;
}

/* Records that are older than their topic allows: what was read before goes with the time of sending, all of it. */
static void test_too_old_for_the_topic(void **state)
{
    struct world *world = *state;
    begin_by_hand(world);
    world->restamped = world->next;
    refuse(world, 2, RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP);      /* the batch, and its first record alone */
    world_put(world, 1);
    assert_int_equal(lane_of(world, 1)->restamp_us, 0);
    expect_all_by_hand(world);
    assert_true(lane_of(world, 1)->restamp_us > 0);
    assert_int_equal(lane_of(world, 2)->restamp_us, 0);
    uint64_t before = rebuilds(world);
    put_by_hand(world, 299);
    expect_all_by_hand(world);
    assert_int_equal(rebuilds(world), before);
    assert_int_equal(stamped_anew(world), 200);                 /* those of the first topic */
}

/* The time of sending is refused too: waited for and said, nothing is set aside; with the clock set right all goes. */
static void test_clocks_apart(void **state)
{
    struct world *world = *state;
    begin_by_hand(world);
    world->restamped = world->next;
    refuse(world, 500, RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP);
    put_by_hand(world, 300);
    world_turn_until(world, has_sent_past, 32, "the first topic to send what stands behind");
    for (int i = 0; i < 30; i++) {
        world_turn_until(world, waits, 1, "the first topic to wait");
        world_turn_until(world, waits, 2, "the second topic to wait");
    }
    assert_non_null(strstr(lane_of(world, 1)->why, "this machine's clock and Kafka's"));
    assert_int_equal(rkb_acks_low(rkb_journal_acks(world->journal)), 31);
    assert_int_equal(lane_of(world, 1)->alone_end, 32);         /* only the first had to go alone to tell */
    assert_true(lane_of(world, 1)->sent_end > 32);
    rd_kafka_mock_clear_request_errors(cluster(world), PRODUCE);
    uint64_t before = rebuilds(world);
    expect_all_by_hand(world);
    assert_int_equal(rebuilds(world), before);
    assert_int_equal(stamped_anew(world), 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
        TEST(test_fatal_of_each_kind),
        TEST(test_fatal_during_a_refusal),
        TEST(test_a_rebuild_that_fails),
        TEST(test_leaders_move_under_load),
        TEST(test_too_old_for_the_topic),
        TEST(test_clocks_apart),
        TEST(test_a_broker_that_never_answers),     /* the last: the mock forgets none of what it is to swallow */
    };
    return cmocka_run_group_tests(tests, kafka_set_up_three, kafka_tear_down);
}
