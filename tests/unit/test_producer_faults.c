/* The producer in trouble: errors that pass and errors that stay, a broker that goes and comes, an end at any time. */
#include "producer_support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PRODUCE 0           /* Kafka's number of the request */

/*
 * One request at a time: unlike Kafka, the mock takes the requests behind a failed one, whatever their numbers.
 */
static void test_passing_errors_keep_the_order(void **state)
{
    const struct rkb_property quick[] = {
        {"retry.backoff.ms", "10"}, {"linger.ms", "0"}, {"batch.num.messages", "50"}, {"max.in.flight", "1"},
    };
    (void)state;
    struct world *world = world_new(quick, COUNT(quick), 1);
    send_numbered(world, 0, 1);
    assert_true(pump(world, all_reported, 1));
    rd_kafka_mock_push_request_errors(rkb_mock_cluster(world->mock), PRODUCE, 5,
                                      RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NO_ERROR,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
    send_numbered(world, 1, 1000);
    assert_true(pump(world, all_reported, 1000));
    expect_each_once(world, 1000);
    expect_order(world, 1000);
    assert_false(rkb_producer_fatal(world->producer, NULL));
    expect_numbered(world, 0, 1000);
    world_free(world);
}

/* Of a producer for records that go alone, a refusal is the record's only. */
static void test_a_refusal_alone(void **state)
{
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
    rkb_producer_free(world->producer);
    world->role = RKB_PRODUCER_ALONE;
    start_producer(world, rkb_mock_bootstrap(world->mock), NULL, 0);
    rd_kafka_mock_push_request_errors(rkb_mock_cluster(world->mock), PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    send_numbered(world, 0, 1);
    assert_true(pump(world, all_reported, 1));
    assert_int_equal(world->result[0], RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    send_numbered(world, 1, 5);
    assert_true(pump(world, all_reported, 5));
    expect_each_once(world, 5);
    assert_int_equal(world->acknowledged, 4);
    expect_numbered(world, 1, 5);
    world_free(world);
}

/* As many of the records from..to-1 as it takes before it stops; how many these are. */
static size_t send_until_stopped(struct world *world, size_t from, size_t to)
{
    size_t i = from;
    while (i < to && send_text(world, i, "key", numbered(i)) == RKB_SENT)
        i++;
    return i - from;
}

/*
 * Of the line's it stops all, so that nothing overtakes it: what came behind is given back, and no error of ours is
 * told.
 */
static void test_a_refusal_among_others(void **state)
{
    const struct rkb_property small[] = {{"batch.num.messages", "1"}, {"max.in.flight", "1"}};
    struct rkb_error error = {0};
    (void)state;
    struct world *world = world_new(small, 2, 1);
    rd_kafka_mock_push_request_errors(rkb_mock_cluster(world->mock), PRODUCE, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    size_t sent = send_until_stopped(world, 0, 50);
    assert_true(sent > 0);
    assert_true(pump(world, all_reported, 1));
    assert_int_equal(world->result[0], RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    assert_true(rkb_producer_fatal(world->producer, &error));
    assert_true(rkb_producer_stopped_for_order(world->producer));
    rkb_producer_free(world->producer);
    world->producer = NULL;
    expect_each_once(world, sent);
    /* a request that was out already: the mock takes it, Kafka would not */
    assert_in_range(world->acknowledged, 0, 1);
    world_free(world);
}

static bool topic_is_gone(struct world *world, size_t wanted)
{
    struct rkb_error error = {0};
    rd_kafka_resp_err_t code;
    struct rkb_outgoing record = record_for(world, wanted);
    record.value = rkb_slice_text("x");
    record.headers = rkb_slice(HEADERS, sizeof HEADERS - 1);
    record.header_count = HEADER_COUNT;
    if (world->reported < wanted || rkb_producer_send(world->producer, &record, &code, &error) != RKB_SENT_REFUSED)
        return false;
    assert_int_equal(error.code, RKB_REFUSED);
    assert_non_null(strstr(error.text, "UNKNOWN_TOPIC"));
    return true;
}

/*
 * Its waiting records come back with an error; then send says so at once, and does not leak or free the headers twice.
 */
static void test_a_topic_that_is_not_there(void **state)
{
    const struct rkb_property quick[] = {
        {"topic.metadata.propagation.max.ms", "0"}, {"topic.metadata.refresh.interval.ms", "100"},
    };
    (void)state;
    struct world *world = world_new(quick, COUNT(quick), 1);
    rd_kafka_mock_topic_set_error(rkb_mock_cluster(world->mock), "t", RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    send_numbered(world, 0, 3);
    assert_true(pump(world, all_reported, 3));
    expect_each_once(world, 3);
    assert_int_equal(world->acknowledged, 0);
    assert_int_equal(world->result[0], RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    assert_true(pump(world, topic_is_gone, 3));
    world_free(world);
}

static bool is_connected(struct world *world, size_t wanted)
{
    return rkb_producer_connected(world->producer) == (wanted == 1);
}

/* Both come by queues of their own, some time after the connection is known to be gone. */
static bool is_told(struct world *world, size_t wanted)
{
    (void)wanted;
    return world->errors > 0 && world->logs > 0;
}

static void test_broker_goes_and_comes(void **state)
{
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
    send_numbered(world, 0, 100);
    assert_true(pump(world, all_reported, 100));
    assert_true(pump(world, is_connected, 1));
    /* Down with nothing to send, and up again. */
    broker_down(world);
    assert_true(pump(world, is_connected, 0));
    assert_true(pump(world, is_told, 0));
    broker_up(world);
    assert_true(pump(world, is_connected, 1));
    /* Down with records under way. */
    send_numbered(world, 100, 200);
    broker_down(world);
    send_numbered(world, 200, 1000);
    assert_true(pump(world, is_connected, 0));
    broker_up(world);
    assert_true(pump(world, all_reported, 1000));
    expect_each_once(world, 1000);
    expect_order(world, 1000);
    expect_numbered(world, 0, 1000);
    world_free(world);
}

static bool is_fatal(struct world *world, size_t wanted)
{
    (void)wanted;
    return rkb_producer_fatal(world->producer, NULL) && world->last_error == RD_KAFKA_RESP_ERR__FATAL;
}

static void test_fatal_error(void **state)
{
    struct rkb_error error = {0};
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
    send_numbered(world, 0, 100);
    assert_true(pump(world, all_reported, 100));
    assert_false(rkb_producer_fatal(world->producer, &error));
    /* Some in flight at a broker that takes long to answer, some in the queue. */
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 60000);
    send_numbered(world, 100, 200);
    usleep(50000);
    send_numbered(world, 200, 300);
    rd_kafka_test_fatal_error(rkb_producer_handle(world->producer), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
                              "as told");
    assert_true(pump(world, is_fatal, 0));
    assert_true(rkb_producer_fatal(world->producer, &error));
    assert_non_null(strstr(error.text, "OUT_OF_ORDER_SEQUENCE_NUMBER"));
    assert_non_null(strstr(error.text, "as told"));
    assert_int_equal(send_text(world, 300, "key", numbered(300)), RKB_SENT_FATAL);
    free_producer(world);
    assert_true(world->was_fatal);
    expect_each_once(world, 300);
    assert_int_equal(world->acknowledged, 100);
    /* A new producer goes on where the old one was. */
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 0);
    memset(world->times, 0, sizeof world->times);
    start_producer(world, rkb_mock_bootstrap(world->mock), NULL, 0);
    send_numbered(world, 300, 400);
    assert_true(pump(world, all_reported, 400));
    assert_int_equal(world->acknowledged, 200);
    assert_false(rkb_producer_fatal(world->producer, NULL));
    world_free(world);
}

/* A listening socket nobody accepts from: a broker that is reached and says nothing. */
static int mute_broker(char *address, size_t size)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, length), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    snprintf(address, size, "127.0.0.1:%d", ntohs(name.sin_port));
    return fd;
}

/* Nothing answers: free gives all back and returns. */
static void free_unreachable(const char *servers)
{
    struct world *world = world_at(servers);
    send_numbered(world, 0, 1000);
    rkb_producer_poll(world->producer);
    assert_false(rkb_producer_connected(world->producer));
    free_producer(world);
    assert_false(world->was_fatal);
    expect_each_once(world, 1000);
    assert_int_equal(world->acknowledged, 0);
    assert_int_equal(world->result[999], RD_KAFKA_RESP_ERR__PURGE_QUEUE);
    world_free(world);
}

static void test_free_without_a_broker(void **state)
{
    char address[32];
    (void)state;
    alarm(60);
    free_unreachable("127.0.0.1:1");
    int fd = mute_broker(address, sizeof address);
    free_unreachable(address);
    close(fd);
    alarm(0);
    rkb_producer_free(NULL);
}

/* Free with records in the queue, half-sent and in flight, many times over: each is reported once. */
static void test_free_at_any_time(void **state)
{
    const struct rkb_property quick[] = {{"linger.ms", "0"}, {"batch.num.messages", "20"}};
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct world *world = world_new(quick, COUNT(quick), 3);
        for (size_t i = 0; i < 500; i++)
            assert_int_equal(send_text(world, i, i % 2 ? "odd" : "even", numbered(i)), RKB_SENT);
        usleep(round * 1000);
        free_producer(world);
        expect_each_once(world, 500);
        world_free(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passing_errors_keep_the_order),
        cmocka_unit_test(test_a_refusal_alone),
        cmocka_unit_test(test_a_refusal_among_others),
        cmocka_unit_test(test_a_topic_that_is_not_there),
        cmocka_unit_test(test_broker_goes_and_comes),
        cmocka_unit_test(test_fatal_error),
        cmocka_unit_test(test_free_without_a_broker),
        cmocka_unit_test(test_free_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
