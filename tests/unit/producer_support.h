/*
 * producer_support -- a producer, an embedded Kafka for it, and what the producer reported: what its tests share.
 *
 * The topic is "t". A test that waits longer than PATIENCE_S has failed; nothing is measured by time.
 */
#ifndef TEST_PRODUCER_SUPPORT_H
#define TEST_PRODUCER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kafka/mock.h"
#include "kafka/producer.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define RECORDS 5000
#define PATIENCE_S 30

/* One, "empty" and one again, as a record of the journal holds them. */
#define HEADERS "\x03\0\x04\0\0\0" "one" "a\0b\xff" "\x05\0\0\0\0\0" "empty" "\x03\0\x01\0\0\0" "one" "2"
#define HEADER_COUNT 3

/* One producer and what it told us. A record's opaque is its number + 1. */
struct world {
    struct rkb_mock *mock;
    enum rkb_producer_role role;        /* the line's, unless the test says otherwise */
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

extern const struct rkb_producer_events world_events;

struct world *world_new(const struct rkb_property *more, size_t count, int partitions);
/* Without a Kafka of its own: at these servers. */
struct world *world_at(const char *servers);
void world_free(struct world *world);
/* The producer alone: another one, after the first was freed. */
void start_producer(struct world *world, const char *servers, const struct rkb_property *more, size_t count);
void free_producer(struct world *world);

void broker_down(struct world *world);
void broker_up(struct world *world);

/* A record for topic "t", with the opaque of this number and nothing else yet. */
struct rkb_outgoing record_for(struct world *world, size_t number);
enum rkb_sent send_text(struct world *world, size_t number, const char *key, const char *value);
/* The records from..to-1, each with its number as value. */
void send_numbered(struct world *world, size_t from, size_t to);
/* The value of that record; it stays where it is. */
const char *numbered(size_t number);

/* Waits at the descriptor and polls, as the shipper does, until done says so. */
bool pump(struct world *world, bool (*done)(struct world *, size_t), size_t wanted);
bool all_reported(struct world *world, size_t wanted);

/* The records 0..count-1 were reported, each once. */
void expect_each_once(const struct world *world, size_t count);
/* They were acknowledged in this order. */
void expect_order(const struct world *world, size_t count);
/* Kafka holds the records from..to-1, each once, in this order, and nothing behind them. */
void expect_numbered(struct world *world, size_t from, size_t to);

#endif
