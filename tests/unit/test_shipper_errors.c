/*
 * Each error that a broker can answer to a produce request, one after the other through one shipper: what may pass is
 * waited for, and all arrives, in order; what is for good sets aside the record that met it alone, and none beside it.
 * Against librdkafka's mock cluster, which answers one thing for all of a request and keeps nothing of what it refuses.
 */
#include "shipper_world.h"

#include <stdlib.h>
#include <string.h>

#define UNDER_WAY 60                /* sent when the errors begin */
#define BEHIND 340
#define ANSWERS 4                   /* in a row */
#define MOST 64

enum end { PASSES, FOR_GOOD };

static const struct {
    rd_kafka_resp_err_t error;
    enum end end;
} answers[] = {
    {RD_KAFKA_RESP_ERR_UNKNOWN, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_MSG, PASSES},                    /* corrupt on the way */
    {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE, FOR_GOOD},
    {RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, PASSES},
    {RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, PASSES},
    {RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, PASSES},
    {RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, PASSES},
    {RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE, PASSES},
    {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, FOR_GOOD},
    {RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, PASSES},
    {RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION, PASSES},
    {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, FOR_GOOD},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, PASSES},
    {RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, PASSES},
    {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, PASSES},
    {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, PASSES},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_REQUEST, PASSES},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT, FOR_GOOD},
    {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, FOR_GOOD},
    {RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_TXN_STATE, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING, PASSES},
    {RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS, PASSES},
    {RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, PASSES},            /* the broker's disk is full */
    {RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, PASSES},
    {RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, PASSES},
    {RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, PASSES},
    {RD_KAFKA_RESP_ERR_UNSUPPORTED_COMPRESSION_TYPE, PASSES},
    {RD_KAFKA_RESP_ERR_INVALID_RECORD, FOR_GOOD},
    {RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED, PASSES},
    {RD_KAFKA_RESP_ERR_PRODUCER_FENCED, PASSES},
    {(rd_kafka_resp_err_t)100, PASSES},                         /* UNKNOWN_TOPIC_ID, newer than some librdkafka */
    {(rd_kafka_resp_err_t)999, PASSES},                         /* one that nobody knows */
    {RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP, PASSES},              /* the last: from here on times are others */
};

static bool settled_at_last(struct world *world, uint64_t wanted)
{
    world->hand_us += 20 * SECOND;
    return rkb_acks_low(rkb_journal_acks(world->journal)) == wanted;
}

static const struct rkb_shipped *figures(struct world *world)
{
    return world->shipper->figures;
}

static uint64_t dead(struct world *world)
{
    return figures(world)->routes[1].dead_lettered + figures(world)->routes[2].dead_lettered;
}

static void meet(struct world *world, rd_kafka_resp_err_t error, enum end end)
{
    rd_kafka_resp_err_t errors[ANSWERS];
    uint64_t before = dead(world);
    for (size_t i = 0; i < ANSWERS; i++)
        errors[i] = error;
    rd_kafka_mock_push_request_errors_array(rkb_mock_cluster(world->mock), PRODUCE, ANSWERS, errors);
    world_put(world, UNDER_WAY);
    world_turn(world);
    world_put(world, BEHIND);
    world_turn_until(world, settled_at_last, world->next, rd_kafka_err2name(error));
    uint64_t aside = dead(world) - before;
    if (end == FOR_GOOD ? aside < 1 || aside >= ANSWERS : aside > 0)
        fail_msg("%s: %llu records set aside", rd_kafka_err2name(error), (unsigned long long)aside);
    if (world->shipper->lanes.troubled > 0)
        fail_msg("%s: a topic still waits", rd_kafka_err2name(error));
}

/* What is set aside is not in Kafka, and everything else is. */
static void expect_whole(struct world *world)
{
    uint64_t letters[MOST];
    size_t count = dead_letters(world, letters, MOST);
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    assert_int_equal(dead(world), count);
    assert_int_equal(figures(world)->routes[1].delivered + figures(world)->routes[2].delivered,
                     world->next - 1 - count);
    for (size_t i = 0; i < count; i++) {
        if (arrived->times[letters[i]] != 0)
            fail_msg("%llu is set aside, and in Kafka", (unsigned long long)letters[i]);
        arrived->times[letters[i]] = 1;
    }
    for (uint64_t i = 1; i < world->next; i++)
        if (arrived->times[i] == 0)
            fail_msg("%llu is nowhere", (unsigned long long)i);
    free(arrived);
}

/*
 * Not DUPLICATE_SEQUENCE_NUMBER, which says that Kafka has the record: it counts as delivered, and the mock has it not.
 * One request at a time and small ones: the mock takes requests behind a failed one, which Kafka would not.
 */
static void test_each_error(void **state)
{
    static const struct rkb_property properties[] = {{"max.in.flight", "1"}, {"batch.num.messages", "50"},
                                                     {"linger.ms", "0"}};
    struct world *world = *state;
    memcpy(world->properties, properties, sizeof properties);
    world->refuse_after_us = INT64_MAX;
    world_begin(world, 100);
    world_by_hand(world);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        if (answers[i].error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP)
            world->restamped = world->next;
        meet(world, answers[i].error, answers[i].end);
    }
    expect_whole(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_error, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
