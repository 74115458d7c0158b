/* kafka_reader -- see kafka_reader.h. */
#include "kafka_reader.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define PATIENCE_S 30

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    assert_int_equal(rd_kafka_conf_set(conf, name, value, NULL, 0), RD_KAFKA_CONF_OK);
}

struct kafka_reader {
    rd_kafka_t *consumer;
};

struct kafka_reader *kafka_reader_new(struct rkb_mock *mock)
{
    struct kafka_reader *reader = calloc(1, sizeof *reader);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", rkb_mock_bootstrap(mock));
    set(conf, "group.id", "reader");
    set(conf, "fetch.wait.max.ms", "10");
    set(conf, "reconnect.backoff.max.ms", "100");
    set(conf, "log_level", "0");
    set(conf, "fetch.message.max.bytes", "10000000");
    reader->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, NULL, 0);
    assert_non_null(reader->consumer);
    rd_kafka_poll_set_consumer(reader->consumer);
    return reader;
}

static void *end(void *consumer)
{
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    return NULL;
}

/*
 * librdkafka's consumer now and then waits for ever for one of its own references (its issue
 * 3954); what was tested does not hang on that.
 */
void kafka_reader_free(struct kafka_reader *reader)
{
    pthread_t thread;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    assert_int_equal(pthread_create(&thread, NULL, end, reader->consumer), 0);
    if (pthread_timedjoin_np(thread, NULL, &until) != 0) {
        fprintf(stderr, "the reader's consumer does not end: left alone\n");
        pthread_detach(thread);
    }
    free(reader);
}

static void assign(struct kafka_reader *reader, const char *topic, int partition)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    assert_int_equal(rd_kafka_assign(reader->consumer, list), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_topic_partition_list_destroy(list);
}

size_t kafka_read(struct kafka_reader *reader, const char *topic, int partition,
                  void (*visit)(void *context, const rd_kafka_message_t *message), void *context)
{
    int64_t low, high;
    rd_kafka_resp_err_t asked =
        rd_kafka_query_watermark_offsets(reader->consumer, topic, partition, &low, &high, PATIENCE_S * 1000);
    assert_int_equal(asked, RD_KAFKA_RESP_ERR_NO_ERROR);
    assign(reader, topic, partition);
    time_t end = time(NULL) + PATIENCE_S;
    for (int64_t next = low; next < high;) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(reader->consumer, 1000);
        if (message != NULL && message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            assert_int_equal(message->offset, next);
            next++;
            visit(context, message);
        } else if (time(NULL) >= end) {
            fail_msg("record %lld of %lld of topic %s did not come back", (long long)next, (long long)high, topic);
        }
        if (message != NULL)
            rd_kafka_message_destroy(message);
    }
    assert_int_equal(rd_kafka_assign(reader->consumer, NULL), RD_KAFKA_RESP_ERR_NO_ERROR);
    return (size_t)(high - low);
}
