/*
 * topic -- a consumer of one topic, from its beginning, for the programs that count what arrives. All of it dies with a
 * word on standard error where it fails.
 */
#ifndef RKB_TESTS_BENCH_TOPIC_H
#define RKB_TESTS_BENCH_TOPIC_H

#include <librdkafka/rdkafka.h>

#include "bench.h"

struct bench_topic {
    const char *brokers, *name;
    int partitions;
    const char *queue_kbytes;       /* what it may read ahead */
    bool append_time;               /* records get the time at which Kafka appended them */
    rd_kafka_t *consumer;
};

/* Starts the consumer, makes the topic, waits for its leaders, and reads from the beginning. */
void bench_topic_open(struct bench_topic *self);
void bench_topic_close(struct bench_topic *self);

#endif
