/* The producer against librdkafka's mock cluster, read back by a consumer: bytes, order, refusals, a broker that goes and comes, fatal errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "kafka/mock.h"
#include "kafka/producer.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define PRODUCE 0           /* Kafka's number of the request */
#define RECORDS 5000
#define PATIENCE_S 30       /* a test that waits longer has failed; nothing is measured by it */

/* One producer and what it told us. A record's opaque is its number + 1. */
struct world {
    struct rkb_mock *mock;
    struct rkb_producer *producer;
    int wake_fd;
    bool freeing, was_fatal;
    size_t reported, acknowledged;
    int times[RECORDS];
    rd_kafka_resp_err_t result[RECORDS];
    size_t order[RECORDS];
    size_t errors, logs;
    rd_kafka_resp_err_t last_error;
};

static void on_delivered(void *context, void *opaque, rd_kafka_resp_err_t error)
{
    struct world *world = context;
    size_t number = (size_t)(uintptr_t)opaque - 1;
    assert_true(number < RECORDS);
    /* What free reports is free to go: no thread of librdkafka is left that could read it. */
    if (world->freeing)
        assert_null(rkb_producer_handle(world->producer));
    world->was_fatal = rkb_producer_fatal(world->producer, NULL);
    world->times[number]++;
    world->result[number] = error;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        world->order[world->acknowledged++] = number;
    world->reported++;
}

static void on_error(void *context, rd_kafka_resp_err_t error, const char *reason)
{
    struct world *world = context;
    assert_non_null(reason);
    world->errors++;
    world->last_error = error;
}

static void on_log(void *context, int level, const char *text)
{
    struct world *world = context;
    assert_in_range(level, 0, 7);
    assert_true(strlen(text) > 0);
    world->logs++;
}

static const struct rkb_producer_events events = {on_delivered, on_error, on_log};

static void start_producer(struct world *world, const char *servers, const struct rkb_property *more, size_t count)
{
    struct rkb_property properties[8] = {{"bootstrap.servers", servers}, {"reconnect.backoff.max.ms", "200"}};
    struct rkb_error error = {0};
    for (size_t i = 0; i < count; i++)
        properties[i + 2] = more[i];
    world->producer = rkb_producer_new(properties, count + 2, world->wake_fd, &events, world, &error);
    if (world->producer == NULL)
        fail_msg("%s", error.text);
}

static struct world *world_new(const struct rkb_property *more, size_t count, int partitions)
{
    struct world *world = calloc(1, sizeof *world);
    world->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    world->mock = rkb_mock_start(NULL);
    assert_non_null(world->mock);
    assert_true(rkb_mock_topic(world->mock, "t", partitions, NULL));
    start_producer(world, rkb_mock_bootstrap(world->mock), more, count);
    return world;
}

static void free_producer(struct world *world)
{
    world->freeing = true;
    rkb_producer_free(world->producer);
    world->freeing = false;
    world->producer = NULL;
}

static void world_free(struct world *world)
{
    free_producer(world);
    rkb_mock_stop(world->mock);
    close(world->wake_fd);
    free(world);
}

static rd_kafka_topic_t *topic_t(struct world *world)
{
    rd_kafka_topic_t *topic = rkb_producer_topic(world->producer, 0, "t", NULL);
    assert_non_null(topic);
    return topic;
}

/* Waits at the descriptor and polls, as the shipper does, until done says so. */
static bool pump(struct world *world, bool (*done)(struct world *, size_t), size_t wanted)
{
    time_t end = time(NULL) + PATIENCE_S;
    while (!done(world, wanted) && time(NULL) < end) {
        struct pollfd fd = {world->wake_fd, POLLIN, 0};
        uint64_t value;
        poll(&fd, 1, 1000);
        if (read(world->wake_fd, &value, sizeof value) < 0)
            assert_int_equal(errno, EAGAIN);
        rkb_producer_poll(world->producer);
    }
    return done(world, wanted);
}

static bool all_reported(struct world *world, size_t wanted)
{
    return world->reported >= wanted;
}

static bool is_connected(struct world *world, size_t wanted)
{
    return rkb_producer_connected(world->producer) == (wanted == 1);
}

static bool is_fatal(struct world *world, size_t wanted)
{
    (void)wanted;
    return rkb_producer_fatal(world->producer, NULL) && world->last_error == RD_KAFKA_RESP_ERR__FATAL;
}

static enum rkb_sent send_text(struct world *world, size_t number, const char *key, const char *value, struct rkb_error *error)
{
    struct rkb_outgoing record = {
        .topic = topic_t(world), .has_key = key != NULL, .value = rkb_slice_text(value), .opaque = (void *)(uintptr_t)(number + 1),
    };
    if (key != NULL)
        record.key = rkb_slice_text(key);
    return rkb_producer_send(world->producer, &record, error);
}

/* Values that stay where they are: "0", "1", ... one after the other. */
static const char *numbered(size_t number)
{
    static char texts[RECORDS][8];
    snprintf(texts[number], sizeof texts[number], "%zu", number);
    return texts[number];
}

static void send_numbered(struct world *world, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        assert_int_equal(send_text(world, i, "key", numbered(i), NULL), RKB_SENT);
}

/* -- reading back -- */

struct reader {
    rd_kafka_t *rk;
};

static struct reader reader_new(struct world *world, int partitions)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(rd_kafka_conf_set(conf, "bootstrap.servers", rkb_mock_bootstrap(world->mock), NULL, 0), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "group.id", "reader", NULL, 0), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "fetch.wait.max.ms", "10", NULL, 0), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "log_level", "0", NULL, 0), RD_KAFKA_CONF_OK);
    assert_int_equal(rd_kafka_conf_set(conf, "fetch.message.max.bytes", "10000000", NULL, 0), RD_KAFKA_CONF_OK);
    struct reader reader = {rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0)};
    assert_non_null(reader.rk);
    rd_kafka_poll_set_consumer(reader.rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int i = 0; i < partitions; i++)
        rd_kafka_topic_partition_list_add(list, "t", i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(reader.rk, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
    return reader;
}

static rd_kafka_message_t *read_one(struct reader reader)
{
    time_t end = time(NULL) + PATIENCE_S;
    while (time(NULL) < end) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader.rk, 1000);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            return message;
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    fail_msg("no record came back");
    return NULL;
}

static void reader_free(struct reader reader)
{
    rd_kafka_consumer_close(reader.rk);
    rd_kafka_destroy(reader.rk);
}

/* The records "from" to "to" - 1, each once, in this order, and nothing behind them. */
static void expect_numbered(struct world *world, size_t from, size_t to)
{
    struct reader reader = reader_new(world, 1);
    for (size_t i = from; i < to; i++) {
        rd_kafka_message_t *message = read_one(reader);
        if (message->len != strlen(numbered(i)) || memcmp(message->payload, numbered(i), message->len) != 0)
            fail_msg("\"%.*s\" in the place of \"%s\"", (int)message->len, (const char *)message->payload, numbered(i));
        rd_kafka_message_destroy(message);
    }
    int64_t low, high;
    assert_int_equal(rd_kafka_query_watermark_offsets(reader.rk, "t", 0, &low, &high, 10000), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(high - low, to - from);
    reader_free(reader);
}

static void expect_each_once(const struct world *world, size_t count)
{
    assert_int_equal(world->reported, count);
    for (size_t i = 0; i < count; i++)
        if (world->times[i] != 1)
            fail_msg("record %zu was reported %d times", i, world->times[i]);
}

/* -- tests -- */

struct sample {
    bool has_key;
    struct rkb_slice key, value;
    uint16_t header_count;
    struct rkb_slice headers;
    int64_t time_ms;
};

static void expect_bytes(const void *data, size_t size, struct rkb_slice wanted)
{
    assert_int_equal(size, wanted.size);
    assert_non_null(data);
    if (size > 0)
        assert_memory_equal(data, wanted.data, size);
}

static void expect_sample(const rd_kafka_message_t *message, const struct sample *sample)
{
    rd_kafka_timestamp_type_t type;
    rd_kafka_headers_t *headers = NULL;
    expect_bytes(message->payload, message->len, sample->value);
    if (sample->has_key)
        expect_bytes(message->key, message->key_len, sample->key);
    else
        assert_null(message->key);
    if (sample->time_ms != 0)
        assert_int_equal(rd_kafka_message_timestamp(message, &type), sample->time_ms);
    else
        assert_true(rd_kafka_message_timestamp(message, &type) / 1000 >= time(NULL) - 3600);
    assert_int_equal(type, RD_KAFKA_TIMESTAMP_CREATE_TIME);
    if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        assert_int_equal(sample->header_count, 0);
    else
        assert_int_equal(rd_kafka_header_cnt(headers), sample->header_count);
}

#define HEADERS "\x03\0\x04\0\0\0" "one" "a\0b\xff" "\x05\0\0\0\0\0" "empty" "\x03\0\x01\0\0\0" "one" "2"

static void expect_headers(const rd_kafka_message_t *message)
{
    static const struct { const char *name; struct rkb_slice value; } wanted[] = {
        {"one", {(const uint8_t *)"a\0b\xff", 4}}, {"empty", {NULL, 0}}, {"one", {(const uint8_t *)"2", 1}},
    };
    rd_kafka_headers_t *headers = NULL;
    assert_int_equal(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (size_t i = 0; i < COUNT(wanted); i++) {
        const char *name;
        const void *value;
        size_t size;
        assert_int_equal(rd_kafka_header_get_all(headers, i, &name, &value, &size), RD_KAFKA_RESP_ERR_NO_ERROR);
        assert_string_equal(name, wanted[i].name);
        expect_bytes(value, size, wanted[i].value);
    }
}

static void test_bytes_come_back(void **state)
{
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
    size_t big = 3000000;
    uint8_t *noise = malloc(big);
    for (size_t i = 0; i < big; i++)
        noise[i] = (uint8_t)(i * 2654435761u >> 13);
    const struct sample samples[] = {
        {true, rkb_slice_text("user_created"), rkb_slice_text("{\"id\":1}"), 0, {NULL, 0}, 1700000000123},
        {false, {NULL, 0}, rkb_slice_text("no key"), 0, {NULL, 0}, 0},
        {true, {NULL, 0}, rkb_slice_text("an empty key"), 0, {NULL, 0}, 0},
        {true, rkb_slice("a\0b", 3), rkb_slice("x\0y\0", 4), 0, {NULL, 0}, 0},
        {false, {NULL, 0}, {NULL, 0}, 0, {NULL, 0}, 1},
        {true, rkb_slice_text("k"), rkb_slice(noise, 0), 3, rkb_slice(HEADERS, sizeof HEADERS - 1), 2},
        {false, {NULL, 0}, rkb_slice(noise, big), 3, rkb_slice(HEADERS, sizeof HEADERS - 1), 0},
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        const struct rkb_outgoing record = {
            .topic = topic_t(world), .has_key = samples[i].has_key, .key = samples[i].key, .value = samples[i].value,
            .headers = samples[i].headers, .header_count = samples[i].header_count, .time_ms = samples[i].time_ms,
            .opaque = (void *)(uintptr_t)(i + 1),
        };
        assert_int_equal(rkb_producer_send(world->producer, &record, NULL), RKB_SENT);
    }
    assert_true(pump(world, all_reported, COUNT(samples)));
    expect_each_once(world, COUNT(samples));
    struct reader reader = reader_new(world, 1);
    for (size_t i = 0; i < COUNT(samples); i++) {
        rd_kafka_message_t *message = read_one(reader);
        expect_sample(message, &samples[i]);
        if (samples[i].header_count > 0)
            expect_headers(message);
        rd_kafka_message_destroy(message);
    }
    reader_free(reader);
    free(noise);
    world_free(world);
}

/* murmur2 of these keys as Java's client computes it. */
static void test_partition_as_java(void **state)
{
    static const struct { const char *key; uint32_t hash; } keys[] = {
        {"kafka", 0xd067cf64}, {"giberish123456789", 0x8f552b0c}, {"1234", 0x9fc97b14}, {"234", 0xe7c009ca},
        {"34", 0x873930da}, {"4", 0x5a4b5ca1}, {"", 0x106e08d9},
    };
    const int partitions = 7;
    (void)state;
    struct world *world = world_new(NULL, 0, partitions);
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_int_equal(send_text(world, i, keys[i].key, keys[i].key, NULL), RKB_SENT);
    assert_true(pump(world, all_reported, COUNT(keys)));
    struct reader reader = reader_new(world, partitions);
    for (size_t i = 0; i < COUNT(keys); i++) {
        rd_kafka_message_t *message = read_one(reader);
        size_t at = 0;
        while (at < COUNT(keys) && (strlen(keys[at].key) != message->key_len || memcmp(keys[at].key, message->key, message->key_len) != 0))
            at++;
        assert_true(at < COUNT(keys));
        assert_int_equal(message->partition, (keys[at].hash & 0x7fffffff) % (uint32_t)partitions);
        rd_kafka_message_destroy(message);
    }
    reader_free(reader);
    world_free(world);
}

static void test_full_is_a_state(void **state)
{
    const struct rkb_property small[] = {{"queue.buffering.max.messages", "10"}};
    (void)state;
    struct world *world = world_new(small, 1, 1);
    assert_int_equal(rd_kafka_mock_broker_set_down(rkb_mock_cluster(world->mock), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    send_numbered(world, 0, 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_text(world, 10, "key", numbered(10), NULL), RKB_SENT_QUEUE_FULL);
        rkb_producer_poll(world->producer);
    }
    assert_int_equal(world->reported, 0);
    assert_int_equal(rd_kafka_mock_broker_set_up(rkb_mock_cluster(world->mock), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_true(pump(world, all_reported, 10));
    send_numbered(world, 10, 20);
    assert_true(pump(world, all_reported, 20));
    expect_each_once(world, 20);
    expect_numbered(world, 0, 20);
    world_free(world);
}

/* One request at a time: unlike Kafka, the mock takes the requests behind a failed one, whatever their sequence numbers. */
static void test_passing_errors_keep_the_order(void **state)
{
    const struct rkb_property quick[] = {
        {"retry.backoff.ms", "10"}, {"linger.ms", "0"}, {"batch.num.messages", "50"}, {"max.in.flight", "1"},
    };
    (void)state;
    struct world *world = world_new(quick, COUNT(quick), 1);
    send_numbered(world, 0, 1);
    assert_true(pump(world, all_reported, 1));
    rd_kafka_mock_push_request_errors(rkb_mock_cluster(world->mock), PRODUCE, 5, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
                                      RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR);
    send_numbered(world, 1, 1000);
    assert_true(pump(world, all_reported, 1000));
    expect_each_once(world, 1000);
    assert_int_equal(world->acknowledged, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(world->order[i], i);
    assert_false(rkb_producer_fatal(world->producer, NULL));
    expect_numbered(world, 0, 1000);
    world_free(world);
}

static void test_a_refusal_is_reported(void **state)
{
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
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

static void test_not_taken(void **state)
{
    const struct rkb_property small[] = {{"message.max.bytes", "1000"}};
    static const uint8_t big[1000];
    struct rkb_error error = {0};
    (void)state;
    struct world *world = world_new(small, 1, 1);
    struct rkb_outgoing record = {
        .topic = topic_t(world), .value = rkb_slice(big, sizeof big), .header_count = 3,
        .headers = rkb_slice(HEADERS, sizeof HEADERS - 1), .opaque = (void *)1,
    };
    assert_int_equal(rkb_producer_send(world->producer, &record, &error), RKB_SENT_REFUSED);
    assert_int_equal(error.code, RKB_USAGE);
    assert_non_null(strstr(error.text, "MSG_SIZE_TOO_LARGE"));
    record.value.size = 10;
    record.headers.size--;
    assert_int_equal(rkb_producer_send(world->producer, &record, &error), RKB_SENT_REFUSED);
    assert_int_equal(error.code, RKB_DAMAGED);
    record.headers.size++;
    assert_int_equal(rkb_producer_send(world->producer, &record, &error), RKB_SENT);
    assert_true(pump(world, all_reported, 1));
    expect_each_once(world, 1);
    world_free(world);
}

static bool topic_is_gone(struct world *world, size_t wanted)
{
    struct rkb_error error = {0};
    struct rkb_outgoing record = {
        .topic = topic_t(world), .value = rkb_slice_text("x"), .header_count = 3,
        .headers = rkb_slice(HEADERS, sizeof HEADERS - 1), .opaque = (void *)(uintptr_t)(wanted + 1),
    };
    if (world->reported < wanted || rkb_producer_send(world->producer, &record, &error) != RKB_SENT_REFUSED)
        return false;
    assert_int_equal(error.code, RKB_REFUSED);
    assert_non_null(strstr(error.text, "UNKNOWN_TOPIC"));
    return true;
}

/* Its waiting records come back with an error; then send says so at once, and does not leak or free the headers twice. */
static void test_a_topic_that_is_not_there(void **state)
{
    const struct rkb_property quick[] = {{"topic.metadata.propagation.max.ms", "0"}, {"topic.metadata.refresh.interval.ms", "100"}};
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

static void test_broker_goes_and_comes(void **state)
{
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
    send_numbered(world, 0, 100);
    assert_true(pump(world, all_reported, 100));
    assert_true(pump(world, is_connected, 1));
    /* Down with nothing to send, and up again. */
    rd_kafka_mock_broker_set_down(rkb_mock_cluster(world->mock), 1);
    assert_true(pump(world, is_connected, 0));
    assert_true(world->errors > 0 && world->logs > 0);
    rd_kafka_mock_broker_set_up(rkb_mock_cluster(world->mock), 1);
    assert_true(pump(world, is_connected, 1));
    /* Down with records under way. */
    send_numbered(world, 100, 200);
    rd_kafka_mock_broker_set_down(rkb_mock_cluster(world->mock), 1);
    send_numbered(world, 200, 1000);
    assert_true(pump(world, is_connected, 0));
    rd_kafka_mock_broker_set_up(rkb_mock_cluster(world->mock), 1);
    assert_true(pump(world, all_reported, 1000));
    expect_each_once(world, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(world->order[i], i);
    expect_numbered(world, 0, 1000);
    world_free(world);
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
    rd_kafka_test_fatal_error(rkb_producer_handle(world->producer), RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as told");
    assert_true(pump(world, is_fatal, 0));
    assert_true(rkb_producer_fatal(world->producer, &error));
    assert_non_null(strstr(error.text, "OUT_OF_ORDER_SEQUENCE_NUMBER"));
    assert_non_null(strstr(error.text, "as told"));
    assert_int_equal(send_text(world, 300, "key", numbered(300), NULL), RKB_SENT_FATAL);
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
    struct world *world = calloc(1, sizeof *world);
    world->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    start_producer(world, servers, NULL, 0);
    send_numbered(world, 0, 1000);
    rkb_producer_poll(world->producer);
    assert_false(rkb_producer_connected(world->producer));
    free_producer(world);
    assert_false(world->was_fatal);
    expect_each_once(world, 1000);
    assert_int_equal(world->acknowledged, 0);
    assert_int_equal(world->result[999], RD_KAFKA_RESP_ERR__PURGE_QUEUE);
    close(world->wake_fd);
    free(world);
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

/* Free with records in the queue, half-sent and in flight, many times over: each is reported once, acknowledged or not. */
static void test_free_at_any_time(void **state)
{
    const struct rkb_property quick[] = {{"linger.ms", "0"}, {"batch.num.messages", "20"}};
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct world *world = world_new(quick, COUNT(quick), 3);
        for (size_t i = 0; i < 500; i++)
            assert_int_equal(send_text(world, i, i % 2 ? "odd" : "even", numbered(i), NULL), RKB_SENT);
        usleep(round * 1000);
        free_producer(world);
        expect_each_once(world, 500);
        world_free(world);
    }
}

static void test_wake_up(void **state)
{
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
    struct pollfd fd = {world->wake_fd, POLLIN, 0};
    uint64_t value;
    send_numbered(world, 0, 1);
    assert_true(pump(world, all_reported, 1));
    for (size_t i = 1; i < 10; i++) {
        /* Drain the descriptor, then the queue: whatever comes after wakes us again. */
        while (read(world->wake_fd, &value, sizeof value) == sizeof value)
            rkb_producer_poll(world->producer);
        rkb_producer_poll(world->producer);
        send_numbered(world, i, i + 1);
        do {
            assert_int_equal(poll(&fd, 1, PATIENCE_S * 1000), 1);
            assert_int_equal(read(world->wake_fd, &value, sizeof value), sizeof value);
            assert_int_equal(value, 1);
            assert_true(rkb_producer_poll(world->producer) >= 1);
        } while (world->reported <= i);
    }
    world_free(world);
}

static void test_topics(void **state)
{
    static const char *const bad[] = {"", ".", "..", "a b", "a/b", "caf\xc3\xa9", "a\n"};
    char name[251];
    struct rkb_error error = {0};
    (void)state;
    struct world *world = world_new(NULL, 0, 1);
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_null(rkb_producer_topic(world->producer, 0, bad[i], &error));
        assert_int_equal(error.code, RKB_USAGE);
    }
    memset(name, 'x', 250);
    name[250] = '\0';
    assert_null(rkb_producer_topic(world->producer, 0, name, NULL));
    name[249] = '\0';
    assert_non_null(rkb_producer_topic(world->producer, 0, name, NULL));
    rd_kafka_topic_t *first = rkb_producer_topic(world->producer, 1, "a.b_c-D9", NULL);
    assert_non_null(first);
    for (uint32_t slot = 2; slot < 100; slot++) {
        snprintf(name, sizeof name, "topic-%u", slot);
        assert_string_equal(rd_kafka_topic_name(rkb_producer_topic(world->producer, slot, name, NULL)), name);
    }
    assert_ptr_equal(rkb_producer_topic(world->producer, 1, "a.b_c-D9", NULL), first);
    world_free(world);
}

static void test_no_producer(void **state)
{
    const struct rkb_property wrong[] = {{"bootstrap.servers", "127.0.0.1:1"}, {"acks", "1"}};
    struct rkb_error error = {0};
    (void)state;
    assert_null(rkb_producer_new(wrong, COUNT(wrong), -1, &events, NULL, &error));
    assert_int_equal(error.code, RKB_USAGE);
}

static void test_mock_topics(void **state)
{
    (void)state;
    struct rkb_mock *mock = rkb_mock_start(NULL);
    assert_non_null(mock);
    assert_int_equal(strncmp(rkb_mock_bootstrap(mock), "127.0.0.1:", 10), 0);
    assert_null(strchr(rkb_mock_bootstrap(mock), ','));
    assert_true(rkb_mock_topic(mock, "a", 3, NULL));
    assert_true(rkb_mock_topic(mock, "a", 5, NULL));
    rkb_mock_stop(mock);
    rkb_mock_stop(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_come_back),
        cmocka_unit_test(test_partition_as_java),
        cmocka_unit_test(test_full_is_a_state),
        cmocka_unit_test(test_passing_errors_keep_the_order),
        cmocka_unit_test(test_a_refusal_is_reported),
        cmocka_unit_test(test_not_taken),
        cmocka_unit_test(test_a_topic_that_is_not_there),
        cmocka_unit_test(test_broker_goes_and_comes),
        cmocka_unit_test(test_fatal_error),
        cmocka_unit_test(test_free_without_a_broker),
        cmocka_unit_test(test_free_at_any_time),
        cmocka_unit_test(test_wake_up),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_no_producer),
        cmocka_unit_test(test_mock_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
