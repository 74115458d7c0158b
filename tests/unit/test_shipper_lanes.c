/*
 * What one topic does to the other: nothing. Records that Kafka does not take, a topic without a leader, a producer
 * that says nothing, against librdkafka's mock cluster.
 */
#include "shipper_world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 64

static rd_kafka_mock_cluster_t *cluster(struct world *world)
{
    return rkb_mock_cluster(world->mock);
}

static void set_leader(struct world *world, int topic, int32_t broker)
{
    assert_int_equal(rd_kafka_mock_partition_set_leader(cluster(world), world->topics[topic], 0, broker),
                     RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* One request at a time and small ones: the mock takes requests behind a failed one, which Kafka would not. */
static void one_at_a_time(struct world *world)
{
    static const struct rkb_property properties[] = {{"max.in.flight", "1"}, {"batch.num.messages", "50"},
                                                     {"linger.ms", "0"}};
    memcpy(world->properties, properties, sizeof properties);
}

static void refuse(struct world *world, size_t count, rd_kafka_resp_err_t error)
{
    rd_kafka_resp_err_t errors[500];
    for (size_t i = 0; i < count; i++)
        errors[i] = error;
    rd_kafka_mock_push_request_errors_array(cluster(world), PRODUCE, count, errors);
}

static bool delivered_at_last(struct world *world, uint64_t wanted)
{
    world_hurry(20 * SECOND);
    return all_delivered(world, wanted);
}

static bool first_delivered(struct world *world, uint64_t wanted)
{
    return delivered_of(world, 1) >= wanted;
}

static bool second_delivered(struct world *world, uint64_t wanted)
{
    return delivered_of(world, 2) >= wanted;
}

static bool settled_at_last(struct world *world, uint64_t wanted)
{
    world_hurry(20 * SECOND);
    return all_settled(world, wanted);
}

static bool rebuilt(struct world *world, uint64_t wanted)
{
    return rkb_shipper_figures(world->shipper)->rebuilds_total == wanted;
}

/* ---- refused ---- */

/* A batch is refused though each of its records alone is not: none is set aside, all arrive, in order. */
static void test_innocents(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world_begin(world, 100);
    refuse(world, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    world_put(world, 1000);
    world_wait(world, all_settled, 1101, "all to be settled");
    assert_int_equal(delivered(world), 1100);
    assert_int_equal(dead_of(world, 1) + dead_of(world, 2), 0);
    assert_true(errors_of(world, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) > 0);
    expect_arrived(world, 1, 1100, true);
    assert_int_equal(rkb_shipper_figures(world->shipper)->topics_waiting, 0);
}

/* The batch and then its first record alone: that one is the dead letter, and it alone. */
static void refuse_one(struct world *world, rd_kafka_resp_err_t error)
{
    uint64_t letters[MOST];
    one_at_a_time(world);
    world_begin(world, 102);
    refuse(world, 2, error);
    world_put(world, 1);                    /* so that both refusals are its */
    world_wait(world, all_settled, 104, "it to be settled");
    world_put(world, 301);
    world_wait(world, all_settled, 405, "all to be settled");
    assert_int_equal(rkb_shipper_figures(world->shipper)->rebuilds_total, 1);
    assert_int_equal(delivered(world), 403);
    assert_int_equal(dead_letters(world, letters, MOST), 1);
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    for (uint64_t i = 1; i <= 404; i++)
        assert_int_equal(arrived->times[i] > 0, i != letters[0]);
    free(arrived);
    assert_int_equal(letters[0], 103);
}

static void test_one_too_large(void **state)
{
    refuse_one(*state, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
}

static void test_one_invalid(void **state)
{
    refuse_one(*state, RD_KAFKA_RESP_ERR_INVALID_RECORD);
}

static void put_of_size(struct world *world, size_t size)
{
    static const uint8_t value[40000];
    struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = world->next++, .route = 1, .topic = 1,
                                .value = {value, size}};
    uint8_t *at = rkb_ring_reserve(world->ring, rkb_record_size(0, 0, size), 0);
    rkb_ring_commit(world->ring, rkb_record_write(at, &record, rkb_ring_salt(world->ring)));
    rkb_shipper_wake(world->shipper);
}

/*
 * Once one was too large, what is larger than all that were taken goes alone from the start: no producer is lost for
 * it.
 */
static void test_the_next_too_large(void **state)
{
    struct world *world = *state;
    uint64_t letters[MOST];
    one_at_a_time(world);
    world_begin(world, 100);
    refuse(world, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    put_of_size(world, 20000);
    world_wait(world, all_settled, 102, "the first large one");
    assert_true(rebuilt(world, 1));
    for (int i = 0; i < 3; i++) {
        refuse(world, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
        put_of_size(world, 20000 + 100 * (size_t)i);
        world_wait(world, all_settled, world->next, "the next large one");
    }
    assert_true(rebuilt(world, 1));
    assert_int_equal(dead_letters(world, letters, MOST), 4);
    put_of_size(world, 19000);                 /* larger than all before, but taken */
    put_of_size(world, 18000);
    put_of_size(world, 21000);                 /* and so is this: the limit was raised */
    put_of_size(world, 30000);
    world_wait(world, all_settled, world->next, "all to be settled");
    assert_int_equal(dead_of(world, 1), 4);
    assert_true(rebuilt(world, 1));
}

/* The segment in which a record was refused: nobody holds on to it any more. */
static bool first_segment_gone(struct world *world, uint64_t wanted)
{
    (void)wanted;
    char *path = join(world->directory, "00000000000000000001.seg");
    bool gone = access(path, F_OK) != 0;
    free(path);
    world_hurry(2 * SECOND);
    return gone;
}

static bool refused_again(struct world *world, uint64_t wanted)
{
    world_hurry(20 * SECOND);
    return errors_of(world, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) >= wanted;
}

/* Refused for a while for want of a right: it waits, the checkpoint does not pass it, nothing is set aside. */
static void test_not_authorised(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world->refuse_after_us = INT64_MAX;
    world->max_size = MIB;          /* segments of 128 KiB */
    world_begin(world, 100);
    refuse(world, 500, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    world_put(world, 100);
    for (int round = 0; round < 3; round++) {
        uint64_t before = errors_of(world, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
        world_wait(world, refused_again, before + 1, "another refusal");
        assert_int_equal(rkb_shipper_figures(world->shipper)->journal.low, 101);
        assert_int_equal(delivered(world), 100);
    }
    assert_true(checkpoint_on_disk(world) <= 101);
    assert_true(rkb_shipper_figures(world->shipper)->topics_waiting > 0);
    assert_non_null(strstr(rkb_shipper_figures(world->shipper)->refused, "TOPIC_AUTHORIZATION_FAILED"));
    rd_kafka_mock_clear_request_errors(cluster(world), PRODUCE);
    world_put(world, 2000);
    world_wait(world, delivered_at_last, 2200, "all deliveries");
    expect_arrived(world, 1, 2200, true);
    assert_int_equal(dead_of(world, 1) + dead_of(world, 2), 0);
    world_wait(world, first_segment_gone, 0, "the shipped segments to go");
    assert_string_equal(rkb_shipper_figures(world->shipper)->refused, "");
}

/* For longer than refuse_after: set aside, one after the other, and what comes when the right is given goes on. */
static void test_not_authorised_for_too_long(void **state)
{
    struct world *world = *state;
    uint64_t letters[MOST];
    one_at_a_time(world);
    world->refuse_after_us = 60 * SECOND;
    world_open(world);
    world_start(world);
    refuse(world, 500, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    world_put(world, 20);
    world_wait(world, settled_at_last, 21, "all to be set aside");
    assert_int_equal(delivered(world), 0);
    assert_int_equal(dead_of(world, 1), 14);
    assert_int_equal(dead_of(world, 2), 6);
    assert_int_equal(dead_letters(world, letters, MOST), 20);
    rd_kafka_mock_clear_request_errors(cluster(world), PRODUCE);
    world_put(world, 20);
    world_wait(world, delivered_at_last, 20, "all deliveries");
    expect_arrived(world, 21, 40, false);
}

/* One that librdkafka itself does not take: a dead letter at once. */
static void test_too_large_for_the_producer(void **state)
{
    struct world *world = *state;
    uint64_t letters[MOST];
    world->properties[0] = (struct rkb_property){"message.max.bytes", "1000"};
    world_open(world);
    world_start(world);
    world_put(world, 10);
    put_of_size(world, 2000);
    world_put(world, 10);
    world_wait(world, all_settled, 22, "all to be settled");
    assert_int_equal(delivered(world), 20);
    assert_int_equal(dead_letters(world, letters, MOST), 1);
    assert_int_equal(letters[0], 11);
    assert_int_equal(rkb_shipper_figures(world->shipper)->topics_waiting, 0);
}

static bool is_waiting(struct world *world, uint64_t wanted)
{
    return rkb_shipper_figures(world->shipper)->topics_waiting == wanted;
}

/* The dead-letter file is full: nothing is given up, its topic waits, the other does not; with room it goes on. */
static void test_no_room_for_dead_letters(void **state)
{
    struct world *world = *state;
    world->properties[0] = (struct rkb_property){"message.max.bytes", "1000"};
    world->dead_limit = 1000;
    world_open(world);
    world_start(world);
    put_of_size(world, 2000);
    world_put(world, 300);
    world_wait(world, second_delivered, 100, "the other topic's deliveries");
    world_wait(world, is_waiting, 1, "the topic that waits");
    assert_int_equal(delivered_of(world, 1), 0);
    assert_int_equal(rkb_shipper_figures(world->shipper)->journal.low, 1);
    assert_int_not_equal(rkb_shipped_topic_us(rkb_shipper_figures(world->shipper), 2) == 0
                             && rkb_shipped_topic_us(rkb_shipper_figures(world->shipper), 1) != 0, 1);
    world_close(world);
    world->dead_limit = MIB;
    world_open(world);
    assert_int_equal(world->recovery.low, 1);
    world_start(world);
    world_wait(world, settled_at_last, 302, "all to be settled");
    assert_int_equal(dead_of(world, 1), 1);
    assert_int_equal(delivered_of(world, 1), 200);
}

/* ---- a topic that does not move ---- */

static bool both_taken(struct world *world, uint64_t wanted)
{
    return all_taken(world, wanted) && first_delivered(world, (wanted - 1) - (wanted - 1) / 3);
}

static void test_without_a_leader(void **state)
{
    struct world *world = *state;
    world->max_size = 8 * MIB;
    world_begin(world, 300);
    set_leader(world, 1, -1);
    for (int i = 0; i < 20; i++) {
        world_put(world, 500);
        world_wait(world, both_taken, world->next, "the topic that moves");
        world_hurry(SECOND);
    }
    const struct rkb_shipped *shipped = rkb_shipper_figures(world->shipper);
    assert_int_equal(delivered_of(world, 2), 100);
    assert_int_equal(shipped->journal.low, 303);
    assert_true(shipped->in_flight <= 8000 / 2);
    set_leader(world, 1, 1);
    world_wait(world, all_delivered, 10300, "all deliveries");
    world_wait(world, all_settled, 10301, "all to be settled");
    expect_arrived(world, 1, 10300, true);
}

/*
 * All that went since the start may be one topic's, more than the producer holds, and that topic without a leader: the
 * other topic's first record goes all the same.
 */
static void test_the_first_to_go_has_no_leader(void **state)
{
    struct world *world = *state;
    set_leader(world, 0, -1);
    world_open(world);
    world_start(world);
    for (int i = 0; i < 9000; i++) {
        put_of_size(world, 10);
        if (i % 500 == 0)
            world_wait(world, all_taken, world->next, "the journal");
    }
    world_wait(world, all_taken, world->next, "the journal");
    while (world->next % 3 != 0)
        put_of_size(world, 10);
    world_put(world, 1);
    world_wait(world, second_delivered, 1, "the other topic's first record");
    assert_int_equal(delivered(world), 1);
    set_leader(world, 0, 1);
    world_wait(world, delivered_at_last, world->next - 2, "all deliveries");
}

static bool is_connected(struct world *world, uint64_t wanted)
{
    world_put_mark(world);          /* so that figures are posted */
    return rkb_shipper_figures(world->shipper)->connected == (wanted == 1);
}

/* A topic is behind when Kafka goes away: then it goes with the line again, and nothing is sent twice for that. */
static void test_all_go_on_together(void **state)
{
    struct world *world = *state;
    world->max_size = 8 * MIB;
    world_begin(world, 300);
    world_wait(world, is_connected, 1, "the connection to be known");
    set_leader(world, 1, -1);
    uint64_t count = 300;
    for (int i = 0; i < 8; i++) {
        world_put(world, 500);
        count += 500;
        world_wait(world, first_delivered, count * 2 / 3 - 2, "the topic that moves");
        world_hurry(SECOND);
    }
    world_wait(world, all_taken, world->next, "the journal");
    assert_int_equal(rd_kafka_mock_broker_set_down(cluster(world), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    world_wait(world, is_connected, 0, "the loss to be known");
    world_put(world, 300);
    set_leader(world, 1, 1);
    assert_int_equal(rd_kafka_mock_broker_set_up(cluster(world), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    world_wait(world, all_delivered, count + 300, "all deliveries");
    world_wait(world, all_settled, world->next, "all to be settled");
    assert_int_equal(delivered(world), count + 300);
}

/* What was settled before this start is not sent again by the cursor of a topic that is behind either. */
static void test_settled_and_behind(void **state)
{
    struct world *world = *state;
    world_begin(world, 30);
    world_stop(world);
    set_leader(world, 1, -1);
    world_put(world, 3000);
    for (uint64_t sequence = 1503; sequence <= 3030; sequence += 3)
        settle(world->journal, sequence, sequence);
    world_start(world);
    world_wait(world, first_delivered, 2000, "the other topic's deliveries");
    world_hurry(SECOND);
    world_put(world, 300);
    world_wait(world, first_delivered, 2200, "the other topic's deliveries");
    set_leader(world, 1, 1);
    world_wait(world, all_settled, 3331, "all to be settled");
    assert_int_equal(delivered_of(world, 2), (1500 - 30) / 3 + 100);
}

/*
 * Nothing is reported though records are in flight: the producer is made anew, later and later, until something moves.
 */
static void test_the_watchdog(void **state)
{
    struct world *world = *state;
    world->watchdog_us = 120 * SECOND;
    world_begin(world, 30);
    world_wait(world, is_connected, 1, "the connection to be known");
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 600000);
    world_put(world, 30);
    world_wait(world, all_in_flight, 30, "records in flight");
    world_hurry(119 * SECOND);
    world_put_mark(world);
    world_wait(world, all_taken, world->next, "the journal");
    assert_true(rebuilt(world, 0));
    world_hurry(2 * SECOND);
    world_wait(world, rebuilt, 1, "a new producer");
    world_wait(world, all_in_flight, 30, "records in flight again");
    world_hurry(1100 * SECOND);     /* the new one has no connection: five times as long, twice that for the second */
    world_put_mark(world);
    world_wait(world, all_taken, world->next, "the journal");
    assert_true(rebuilt(world, 1));
    world_hurry(110 * SECOND);
    world_wait(world, rebuilt, 2, "the next producer");
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 0);
    world_wait(world, all_delivered, 60, "all deliveries");
    world_wait(world, all_settled, world->next, "all to be settled");
}

static bool waits_alone(struct world *world, uint64_t wanted)
{
    world_hurry(SECOND);
    return refused_again(world, wanted) && is_waiting(world, 1);
}

/* However late the connection is known, or the record sent once more: without one it may take five times as long. */
static bool rebuilt_in_time(struct world *world, uint64_t wanted)
{
    world_hurry(SECOND);
    return rebuilt(world, wanted);
}

/* The producer for records that go alone may be the one that says nothing. */
static void test_the_watchdog_of_what_goes_alone(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world->watchdog_us = 120 * SECOND;
    world_begin(world, 30);
    refuse(world, 500, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    world_put(world, 1);
    world_wait(world, waits_alone, 2, "the record to be refused alone");
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 600000);
    rd_kafka_mock_clear_request_errors(cluster(world), PRODUCE);
    world_hurry(16 * SECOND);
    world_wait(world, all_in_flight, 1, "the record in flight");
    uint64_t rebuilds = rkb_shipper_figures(world->shipper)->rebuilds_total;
    const struct rkb_producer *line = world->shipper->producer;
    world_wait(world, rebuilt_in_time, rebuilds + 1, "a new one");
    assert_ptr_equal(world->shipper->producer, line);
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 0);
    world_put(world, 30);
    world_wait(world, delivered_at_last, 61, "all deliveries");
    expect_arrived(world, 1, 61, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
        TEST(test_innocents),
        TEST(test_one_too_large),
        TEST(test_one_invalid),
        TEST(test_the_next_too_large),
        TEST(test_not_authorised),
        TEST(test_not_authorised_for_too_long),
        TEST(test_too_large_for_the_producer),
        TEST(test_no_room_for_dead_letters),
        TEST(test_without_a_leader),
        TEST(test_the_first_to_go_has_no_leader),
        TEST(test_all_go_on_together),
        TEST(test_settled_and_behind),
        TEST(test_the_watchdog),
        TEST(test_the_watchdog_of_what_goes_alone),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
