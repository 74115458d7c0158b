/* producer_support -- see producer_support.h. */
#include "producer_support.h"

#include "kafka_reader.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

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

const struct rkb_producer_events world_events = {on_delivered, on_error, on_log};

void start_producer(struct world *world, const char *servers, const struct rkb_property *more, size_t count)
{
    struct rkb_property properties[8] = {{"bootstrap.servers", servers}, {"reconnect.backoff.max.ms", "200"}};
    struct rkb_error error = {0};
    for (size_t i = 0; i < count; i++)
        properties[i + 2] = more[i];
    world->producer = rkb_producer_new(world->role, properties, count + 2, world->wake_fd, &world_events, world,
                                       &error);
    if (world->producer == NULL)
        fail_msg("%s", error.text);
}

static struct world *world_alone(void)
{
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return world;
}

struct world *world_new(const struct rkb_property *more, size_t count, int partitions)
{
    struct world *world = world_alone();
    world->mock = rkb_mock_start(1, NULL);
    assert_non_null(world->mock);
    assert_true(rkb_mock_topic(world->mock, "t", partitions, NULL));
    start_producer(world, rkb_mock_bootstrap(world->mock), more, count);
    return world;
}

struct world *world_at(const char *servers)
{
    struct world *world = world_alone();
    start_producer(world, servers, NULL, 0);
    return world;
}

void free_producer(struct world *world)
{
    world->freeing = true;
    rkb_producer_free(world->producer);
    world->freeing = false;
    world->producer = NULL;
}

void world_free(struct world *world)
{
    free_producer(world);
    rkb_mock_stop(world->mock);
    close(world->wake_fd);
    free(world);
}

void broker_down(struct world *world)
{
    assert_int_equal(rd_kafka_mock_broker_set_down(rkb_mock_cluster(world->mock), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void broker_up(struct world *world)
{
    assert_int_equal(rd_kafka_mock_broker_set_up(rkb_mock_cluster(world->mock), 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

struct rkb_outgoing record_for(struct world *world, size_t number)
{
    rd_kafka_topic_t *topic = rkb_producer_topic(world->producer, 0, "t", NULL);
    assert_non_null(topic);
    return (struct rkb_outgoing){.topic = topic, .opaque = (void *)(uintptr_t)(number + 1)};
}

enum rkb_sent send_text(struct world *world, size_t number, const char *key, const char *value)
{
    struct rkb_outgoing record = record_for(world, number);
    record.value = rkb_slice_text(value);
    record.has_key = key != NULL;
    if (key != NULL)
        record.key = rkb_slice_text(key);
    rd_kafka_resp_err_t code;
    return rkb_producer_send(world->producer, &record, &code, NULL);
}

const char *numbered(size_t number)
{
    static char texts[RECORDS][8];
    snprintf(texts[number], sizeof texts[number], "%zu", number);
    return texts[number];
}

void send_numbered(struct world *world, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        assert_int_equal(send_text(world, i, "key", numbered(i)), RKB_SENT);
}

bool pump(struct world *world, bool (*done)(struct world *, size_t), size_t wanted)
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

bool all_reported(struct world *world, size_t wanted)
{
    return world->reported >= wanted;
}

void expect_each_once(const struct world *world, size_t count)
{
    assert_int_equal(world->reported, count);
    for (size_t i = 0; i < count; i++)
        if (world->times[i] != 1)
            fail_msg("record %zu was reported %d times", i, world->times[i]);
}

void expect_order(const struct world *world, size_t count)
{
    assert_int_equal(world->acknowledged, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(world->order[i], i);
}

static void expect_next(void *context, const rd_kafka_message_t *message)
{
    size_t *next = context;
    const char *wanted = numbered(*next);
    if (message->len != strlen(wanted) || memcmp(message->payload, wanted, message->len) != 0)
        fail_msg("\"%.*s\" in the place of \"%s\"", (int)message->len, (const char *)message->payload, wanted);
    (*next)++;
}

void expect_numbered(struct world *world, size_t from, size_t to)
{
    struct kafka_reader *reader = kafka_reader_new(world->mock);
    size_t next = from;
    assert_int_equal(kafka_read(reader, "t", 0, expect_next, &next), to - from);
    kafka_reader_free(reader);
}
