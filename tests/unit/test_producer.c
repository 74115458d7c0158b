/* The producer against librdkafka's mock cluster, read back by a consumer: bytes, partitions, what it does not take. */
#include "kafka_reader.h"
#include "producer_support.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

static void expect_headers(const rd_kafka_message_t *message)
{
    static const struct {
        const char *name;
        struct rkb_slice value;
    } wanted[] = {
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

/* The message is the sample at *context, which moves on to the next. */
static void expect_sample(void *context, const rd_kafka_message_t *message)
{
    const struct sample *sample = (*(const struct sample **)context)++;
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
    if (sample->header_count > 0)
        expect_headers(message);
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
        {true, rkb_slice_text("k"), rkb_slice(noise, 0), HEADER_COUNT, rkb_slice(HEADERS, sizeof HEADERS - 1), 2},
        {false, {NULL, 0}, rkb_slice(noise, big), HEADER_COUNT, rkb_slice(HEADERS, sizeof HEADERS - 1), 0},
    };
    for (size_t i = 0; i < COUNT(samples); i++) {
        struct rkb_outgoing record = record_for(world, i);
        rd_kafka_resp_err_t code;
        record.has_key = samples[i].has_key;
        record.key = samples[i].key;
        record.value = samples[i].value;
        record.headers = samples[i].headers;
        record.header_count = samples[i].header_count;
        record.time_ms = samples[i].time_ms;
        assert_int_equal(rkb_producer_send(world->producer, &record, &code, NULL), RKB_SENT);
    }
    assert_true(pump(world, all_reported, COUNT(samples)));
    expect_each_once(world, COUNT(samples));
    struct kafka_reader *reader = kafka_reader_new(world->mock);
    const struct sample *next = samples;
    assert_int_equal(kafka_read(reader, "t", 0, expect_sample, &next), COUNT(samples));
    kafka_reader_free(reader);
    free(noise);
    world_free(world);
}

/* murmur2 of these keys as Java's client computes it. */
static const struct {
    const char *key;
    uint32_t hash;
} keys[] = {
    {"kafka", 0xd067cf64}, {"giberish123456789", 0x8f552b0c}, {"1234", 0x9fc97b14}, {"234", 0xe7c009ca},
    {"34", 0x873930da}, {"4", 0x5a4b5ca1}, {"", 0x106e08d9},
};
static const int partitions = 7;

static void expect_partition(void *context, const rd_kafka_message_t *message)
{
    (void)context;
    struct rkb_slice key = rkb_slice(message->key, message->key_len);
    size_t at = 0;
    while (at < COUNT(keys) && !rkb_slice_equal(key, rkb_slice_text(keys[at].key)))
        at++;
    assert_true(at < COUNT(keys));
    assert_int_equal(message->partition, (keys[at].hash & 0x7fffffff) % (uint32_t)partitions);
}

static void test_partition_as_java(void **state)
{
    (void)state;
    struct world *world = world_new(NULL, 0, partitions);
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_int_equal(send_text(world, i, keys[i].key, keys[i].key), RKB_SENT);
    assert_true(pump(world, all_reported, COUNT(keys)));
    struct kafka_reader *reader = kafka_reader_new(world->mock);
    size_t count = 0;
    for (int i = 0; i < partitions; i++)
        count += kafka_read(reader, "t", i, expect_partition, NULL);
    assert_int_equal(count, COUNT(keys));
    kafka_reader_free(reader);
    world_free(world);
}

static void test_full_is_a_state(void **state)
{
    const struct rkb_property small[] = {{"queue.buffering.max.messages", "10"}};
    (void)state;
    struct world *world = world_new(small, 1, 1);
    broker_down(world);
    send_numbered(world, 0, 10);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send_text(world, 10, "key", numbered(10)), RKB_SENT_QUEUE_FULL);
        rkb_producer_poll(world->producer);
    }
    assert_int_equal(world->reported, 0);
    broker_up(world);
    assert_true(pump(world, all_reported, 10));
    send_numbered(world, 10, 20);
    assert_true(pump(world, all_reported, 20));
    expect_each_once(world, 20);
    expect_numbered(world, 0, 20);
    world_free(world);
}

static void test_not_taken(void **state)
{
    const struct rkb_property small[] = {{"message.max.bytes", "1000"}};
    static const uint8_t big[1000];
    rd_kafka_resp_err_t code;
    struct rkb_error error = {0};
    (void)state;
    struct world *world = world_new(small, 1, 1);
    struct rkb_outgoing record = record_for(world, 0);
    record.value = rkb_slice(big, sizeof big);
    record.headers = rkb_slice(HEADERS, sizeof HEADERS - 1);
    record.header_count = HEADER_COUNT;
    assert_int_equal(rkb_producer_send(world->producer, &record, &code, &error), RKB_SENT_TOO_LARGE);
    assert_non_null(strstr(error.text, "MSG_SIZE_TOO_LARGE"));
    record.value.size = 10;
    record.headers.size--;
    assert_int_equal(rkb_producer_send(world->producer, &record, &code, &error), RKB_SENT_INVALID);
    assert_int_equal(error.code, RKB_DAMAGED);
    record.headers.size++;
    assert_int_equal(rkb_producer_send(world->producer, &record, &code, &error), RKB_SENT);
    assert_true(pump(world, all_reported, 1));
    expect_each_once(world, 1);
    world_free(world);
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

/* What librdkafka says of its brokers, without statistics. */
static void test_brokers_times(void **state)
{
    (void)state;
    struct rkb_broker_times times[RKB_BROKERS_TIMED];
    uint64_t answers = 0, took_us = 0;
    struct world *world = world_new(NULL, 0, 1);
    send_numbered(world, 0, 20);
    assert_in_range(rkb_producer_queue_length(world->producer), 20, RECORDS);
    assert_true(pump(world, all_reported, 20));
    assert_int_equal(rkb_producer_queue_length(world->producer), 0);
    assert_in_range(rkb_producer_brokers_up(world->producer), 1, 8);
    size_t count = rkb_producer_broker_times(world->producer, times);
    assert_in_range(count, 1, 8);
    for (size_t i = 0; i < count; i++) {
        answers += times[i].answers;
        took_us += times[i].answers_us;
        assert_true(times[i].answers > 0);
        assert_int_equal(times[i].throttled_us, 0);
    }
    assert_true(answers >= 3 && took_us > 0);       /* versions, metadata, a producer's number, records */
    world_free(world);
}

/* Many brokers: the first have a place each, all others share that of -1. */
static void test_brokers_throttle(void **state)
{
    (void)state;
    static struct rkb_brokers brokers = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct rkb_broker_times times[RKB_BROKERS_TIMED];
    for (int32_t id = 0; id < 2 * RKB_BROKERS_TIMED; id++)
        for (int i = 0; i < 2; i++)
            rkb_brokers_throttled(&brokers, id, 10 + id);
    rkb_brokers_throttled(&brokers, 3, -1);
    assert_int_equal(rkb_brokers_times(&brokers, times), RKB_BROKERS_TIMED);
    assert_int_equal(times[0].id, -1);
    assert_int_equal(times[4].id, 3);
    assert_int_equal(times[4].throttled_us, 26000);
    uint64_t others = 0;
    for (uint64_t id = RKB_BROKERS_TIMED - 1; id < 2 * RKB_BROKERS_TIMED; id++)
        others += 2000 * (10 + id);
    assert_int_equal(times[0].throttled_us, others);
}

/* Sums over several producers: each broker's own, as far as there is room, and nothing is left out. */
static void test_brokers_add(void **state)
{
    (void)state;
    struct rkb_broker_times sum[RKB_BROKERS_TIMED];
    static const struct rkb_broker_times first[] = {{7, 1, 10, 100}, {8, 2, 20, 200}};
    static const struct rkb_broker_times second[] = {{8, 3, 30, 300}, {-1, 4, 40, 400}};
    size_t count = rkb_broker_times_add(sum, 0, first, 2);
    assert_int_equal(count, 2);
    count = rkb_broker_times_add(sum, count, second, 2);
    assert_int_equal(count, 3);
    assert_memory_equal(&sum[0], &first[0], sizeof sum[0]);
    assert_true(sum[1].id == 8 && sum[1].answers == 5 && sum[1].answers_us == 50 && sum[1].throttled_us == 500);
    for (int32_t id = 100; id < 100 + 2 * RKB_BROKERS_TIMED; id++)
        count = rkb_broker_times_add(sum, count, &(struct rkb_broker_times){id, 1, 1, 1}, 1);
    assert_int_equal(count, RKB_BROKERS_TIMED);
    assert_int_equal(sum[2].id, -1);
    assert_int_equal(sum[2].answers, 4 + 2 * RKB_BROKERS_TIMED - (RKB_BROKERS_TIMED - 3));
    count = 0;
    for (int32_t id = 0; id < 2 * RKB_BROKERS_TIMED; id++)
        count = rkb_broker_times_add(sum, count, &(struct rkb_broker_times){id, 1, 1, 1}, 1);
    assert_int_equal(count, RKB_BROKERS_TIMED);
    assert_true(sum[count - 1].id == -1 && sum[count - 1].answers == RKB_BROKERS_TIMED + 1);
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
    assert_null(rkb_producer_new(RKB_PRODUCER_LINE, wrong, COUNT(wrong), -1, &world_events, NULL, &error));
    assert_int_equal(error.code, RKB_USAGE);
}

static void test_mock_topics(void **state)
{
    (void)state;
    struct rkb_mock *mock = rkb_mock_start(1, NULL);
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
        cmocka_unit_test(test_not_taken),
        cmocka_unit_test(test_wake_up),
        cmocka_unit_test(test_brokers_times), cmocka_unit_test(test_brokers_throttle),
        cmocka_unit_test(test_brokers_add),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_no_producer),
        cmocka_unit_test(test_mock_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
