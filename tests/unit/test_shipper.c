/*
 * The shipper with a real ring and journal against librdkafka's mock cluster, read back by a consumer: every record
 * arrives with its bytes, in order, whatever Kafka does meanwhile; what is not acknowledged stays.
 */
#include "shipper_world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rd_kafka_mock_cluster_t *cluster(struct world *world)
{
    return rkb_mock_cluster(world->mock);
}

#define INIT_PRODUCER_ID 22         /* Kafka's number of the request */

static void broker_down(struct world *world)
{
    assert_int_equal(rd_kafka_mock_broker_set_down(cluster(world), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static void broker_up(struct world *world)
{
    assert_int_equal(rd_kafka_mock_broker_set_up(cluster(world), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

/* One request at a time and small ones: the mock takes requests behind a failed one, which Kafka would not. */
static void one_at_a_time(struct world *world)
{
    static const struct rkb_property properties[] = {{"max.in.flight", "1"}, {"batch.num.messages", "50"},
                                                     {"linger.ms", "0"}};
    memcpy(world->properties, properties, sizeof properties);
}

/* Of all brokers, by all producers. */
static uint64_t answers(struct world *world)
{
    const struct rkb_shipped *figures = rkb_shipper_figures(world->shipper);
    uint64_t sum = 0;
    for (size_t i = 0; i < figures->broker_count; i++)
        sum += figures->brokers[i].answers;
    return sum;
}

static bool was_rebuilt(struct world *world, uint64_t wanted)
{
    return rkb_shipper_figures(world->shipper)->rebuilds_total == wanted;
}

/* ---- the plain way ---- */

static void count_gap(void *context, const struct rkb_gap *gap)
{
    assert_string_equal(gap->reason, "connection_lost");
    assert_int_equal(gap->bound, 7);
    ++*(size_t *)context;
}

static bool is_drained(struct world *world, uint64_t wanted)
{
    (void)wanted;
    return loop_was_told(world) && rkb_shipper_drained(world->shipper);
}

static void test_all_arrive(void **state)
{
    struct world *world = *state;
    struct rkb_error error = {0};
    world_open(world);
    world_start(world);
    world_put(world, 1000);
    world_put_mark(world);
    world_put_gap(world, "connection_lost");
    world_put_mark(world);
    world_put(world, 1000);
    assert_false(rkb_shipper_drained(world->shipper));
    rkb_shipper_drain(world->shipper);
    world_wait(world, is_drained, 0, "the loop to be told that all is settled");
    const struct rkb_shipped *shipped = rkb_shipper_figures(world->shipper);
    assert_int_equal(shipped->journal.low, world->next);
    assert_int_equal(shipped->journal.head, world->next);
    assert_int_equal(shipped->in_flight, 0);
    assert_int_equal(shipped->oldest_us, 0);
    assert_int_equal(shipped->routes[2].delivered, 666);        /* of 1..1000 and 1004..2003 what 3 divides */
    assert_int_equal(shipped->routes[1].delivered, 2000 - 666);
    assert_int_equal(shipped->routes[2].newest, 2001);
    assert_int_equal(shipped->routes[1].newest, 2003);
    assert_true(shipped->routes[1].newest_us > 0);
    assert_int_equal(shipped->latency.count, 2000);
    assert_int_equal(delivered(world), 2000);
    assert_false(rkb_shipper_failed(world->shipper, &error));
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    assert_int_equal(arrived->total, 2000);
    for (uint64_t i = 1; i < world->next; i++)
        assert_int_equal(arrived->times[i], i < 1001 || i > 1003);
    free(arrived);
    world_close(world);
    world_open(world);
    assert_int_equal(world->recovery.low, world->next);
    size_t gaps = 0;
    rkb_ledger_close(world->ledger);
    world->ledger = rkb_ledger_open(world->directory, rkb_journal_id(world->journal), &rkb_sys_posix, count_gap, &gaps,
                                    &error);
    assert_int_equal(gaps, 1);
}

/* A producer that takes ten at a time: the record it has no room for is neither skipped nor sent twice. */
static void test_a_small_queue(void **state)
{
    struct world *world = *state;
    world->properties[0] = (struct rkb_property){"queue.buffering.max.messages", "10"};
    world_open(world);
    world_start(world);
    world_put(world, 2000);
    world_wait(world, all_delivered, 2000, "all deliveries");
    expect_arrived(world, 1, 2000, false);
}

/* What the loop committed last without a wake-up is taken by stop. */
static void test_stop_takes_what_is_in_the_ring(void **state)
{
    struct world *world = *state;
    const uint8_t *at;
    broker_down(world);
    world_open(world);
    world_start(world);
    for (int i = 0; i < 50; i++)
        assert_true(world_try(world));
    assert_true(rkb_shipper_stop(world->shipper, NULL));
    assert_int_equal(rkb_ring_peek(world->ring, &at), 0);
    assert_int_equal(rkb_shipper_figures(world->shipper)->journal.head, 51);
    assert_int_equal(rkb_journal_synced(world->journal), 51);
    world_drop(world);
    world_open(world);
    assert_int_equal(world->recovery.low, 1);
    assert_int_equal(world->recovery.next_sequence, 51);
}

/* ---- Kafka is not well ---- */

static void test_passing_errors(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world_begin(world, 10);
    rd_kafka_mock_push_request_errors(cluster(world), PRODUCE, 5, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    world_put(world, 2000);
    world_wait(world, all_delivered, 2010, "all deliveries");
    expect_arrived(world, 1, 2010, false);
    assert_int_equal(rkb_shipper_figures(world->shipper)->rebuilds_total, 0);
}

static void test_broker_goes_and_comes(void **state)
{
    struct world *world = *state;
    one_at_a_time(world);
    world_begin(world, 500);
    for (int i = 0; i < 3; i++) {
        world_put(world, 200);
        broker_down(world);
        world_put(world, 300);
        world_wait(world, all_taken, world->next, "the journal");
        broker_up(world);
    }
    world_wait(world, all_delivered, 2000, "all deliveries");
    expect_arrived(world, 1, 2000, true);
}

/* Some acknowledged, some at a broker that does not answer: the first are not sent again, the others are. */
static void test_a_fatal_error(void **state)
{
    struct world *world = *state;
    world_begin(world, 300);
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 600000);
    world_put(world, 300);
    world_wait(world, all_in_flight, 300, "records in flight");
    assert_int_not_equal(rkb_shipper_figures(world->shipper)->oldest_us, 0);
    uint64_t answered = answers(world);
    assert_true(answered > 2);
    world_fatal_error(world);
    world_wait(world, was_rebuilt, 1, "a new producer");
    assert_true(answers(world) >= answered);
    assert_int_equal(delivered(world), 300);
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 0);
    world_put(world, 300);
    world_wait(world, all_delivered, 900, "all deliveries");
    world_wait(world, all_settled, 901, "all to be settled");
    assert_int_equal(rkb_shipper_figures(world->shipper)->rebuilds_total, 1);
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    for (uint64_t i = 1; i <= 900; i++)
        assert_true(i <= 300 ? arrived->times[i] == 1 : arrived->times[i] >= 1);
    free(arrived);
}

/* ---- one producer after the other ---- */

static bool delivered_at_last(struct world *world, uint64_t wanted)
{
    world_hurry(20 * SECOND);
    return all_delivered(world, wanted);
}

static bool rebuilt_at_last(struct world *world, uint64_t wanted)
{
    world_hurry(20 * SECOND);
    return rkb_shipper_figures(world->shipper)->rebuilds_total >= wanted;    /* some come between two looks */
}

/* Each new producer ends like the one before: the next one waits, so that Kafka and the log are not flooded. */
static void test_fatal_again_and_again(void **state)
{
    struct world *world = *state;
    rd_kafka_resp_err_t errors[400];
    for (size_t i = 0; i < 400; i++)
        errors[i] = RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    world_open(world);
    rd_kafka_mock_push_request_errors_array(cluster(world), INIT_PRODUCER_ID, 400, errors);
    world_start(world);
    world_put(world, 10);
    world_wait(world, rebuilt_at_last, 4, "new producers");
    world_put(world, 1);
    world_wait(world, all_taken, world->next, "figures that know of all of them");
    uint64_t rebuilds = rkb_shipper_figures(world->shipper)->rebuilds_total;
    for (int i = 0; i < 20; i++) {
        world_put(world, 1);
        world_wait(world, all_taken, world->next, "the journal");
    }
    assert_in_range(rkb_shipper_figures(world->shipper)->rebuilds_total, rebuilds, rebuilds + 1);
    assert_int_equal(delivered(world), 0);
    rd_kafka_mock_clear_request_errors(cluster(world), INIT_PRODUCER_ID);
    world_wait(world, delivered_at_last, 31, "all deliveries");
    expect_arrived(world, 1, 31, false);
}

static bool is_without_producer(struct world *world, uint64_t wanted)
{
    world_put(world, 1);            /* so that figures are posted */
    return was_rebuilt(world, wanted) && !rkb_shipper_figures(world->shipper)->connected;
}

/* What a producer is made of cannot be used for a while: that is waited for, and meanwhile the journal takes all. */
static void test_no_producer_for_a_while(void **state)
{
    struct world *world = *state;
    world->properties[0] = (struct rkb_property){"compression.type", "none"};
    world_begin(world, 300);
    struct rkb_property *property = &world->all_properties[world->given.count - 1];
    property->value = "nonsense";
    world_fatal_error(world);
    world_wait(world, is_without_producer, 1, "the producer's end");
    world_hurry(20 * SECOND);
    world_put(world, 300);
    world_wait(world, all_taken, world->next, "the journal");
    assert_false(has_failed(world, 0));
    property->value = "none";
    world_wait(world, delivered_at_last, world->next - 1, "all deliveries");
    expect_arrived(world, 1, world->next - 1, true);
}

/* ---- restarts ---- */

static void test_kafka_absent(void **state)
{
    struct world *world = *state;
    broker_down(world);
    world_open(world);
    world_start(world);
    world_put(world, 500);
    world_wait(world, all_taken, 501, "the journal");
    world_close(world);
    world_open(world);
    assert_int_equal(world->recovery.low, 1);
    assert_int_equal(world->recovery.next_sequence, 501);
    assert_int_equal(rkb_journal_next(world->journal), 501);
    broker_up(world);
    world_start(world);
    world_wait(world, all_delivered, 500, "all deliveries");
    expect_arrived(world, 1, 500, false);
}

/* Part acknowledged, then a clean end and a start: only what is not acknowledged is sent. */
static void test_after_a_restart(void **state)
{
    struct world *world = *state;
    world_begin(world, 300);
    broker_down(world);
    world_put(world, 200);
    world_wait(world, all_taken, 501, "the journal");
    assert_int_equal(rkb_ring_noted_low(world->ring), 301);
    world_close(world);
    world_open(world);
    assert_int_equal(world->recovery.low, 301);
    broker_up(world);
    world_start(world);
    world_wait(world, all_delivered, 200, "the others' deliveries");
    expect_arrived(world, 1, 500, false);
    world_wait(world, all_settled, 501, "all to be settled");
}

/*
 * Route 2's records are acknowledged while route 1's are not: what stands above the lowest open one is not sent again
 * either.
 */
static void test_acknowledged_above_the_checkpoint(void **state)
{
    struct world *world = *state;
    world_begin(world, 30);
    world_stop(world);
    world_put(world, 300);
    for (uint64_t sequence = 33; sequence <= 330; sequence += 3)
        settle(world->journal, sequence, sequence);
    world_start(world);
    world_wait(world, all_delivered, 200, "the others' deliveries");
    world_wait(world, all_settled, 331, "all to be settled");
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    for (uint64_t i = 31; i <= 330; i++)
        assert_int_equal(arrived->times[i], i % 3 != 0);
    free(arrived);
}

/* ---- a full journal ---- */

static bool room_offered(struct world *world, uint64_t wanted)
{
    return loop_was_told(world) && rkb_ring_room(world->ring) >= wanted;
}

static bool full_and_told(struct world *world, uint64_t wanted)
{
    while (world_try(world))
        rkb_shipper_wake(world->shipper);
    return is_full(world, wanted) && loop_was_told(world);
}

static void test_journal_at_its_limit(void **state)
{
    struct world *world = *state;
    world->max_size = MIB;
    world->ring_size = 256 * 1024;
    broker_down(world);
    world_open(world);
    world_start(world);
    world_wait(world, full_and_told, 1, "the loop to be told that the journal is full");
    while (world_try(world)) {
    }
    uint64_t last = world->next - 1;
    rkb_shipper_want_room(world->shipper, 128 * 1024);
    assert_false(loop_was_told(world));
    assert_true(rkb_shipper_figures(world->shipper)->journal.bytes <= MIB);
    broker_up(world);
    world_wait(world, room_offered, 128 * 1024, "room in the ring");
    world_wait(world, is_full, 0, "the journal to have room");
    world_wait(world, all_delivered, last, "all deliveries");
    expect_arrived(world, 1, last, true);
    assert_true(last > 3000);
    assert_false(has_failed(world, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_arrive, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_small_queue, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_stop_takes_what_is_in_the_ring, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_passing_errors, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_broker_goes_and_comes, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_fatal_error, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_fatal_again_and_again, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_no_producer_for_a_while, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_kafka_absent, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_after_a_restart, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_acknowledged_above_the_checkpoint, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_journal_at_its_limit, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
