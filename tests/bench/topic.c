/*
 * topic -- see topic.h.
 */
#include "topic.h"

static void start_consumer(struct bench_topic *self)
{
    const char *const settings[][2] = {{"bootstrap.servers", self->brokers}, {"group.id", "bench-sink"},
                                       {"log_level", "3"},
                                       {"enable.auto.commit", "false"}, {"auto.offset.reset", "earliest"},
                                       {"queued.min.messages", "1000000"},
                                       {"queued.max.messages.kbytes", self->queue_kbytes},
                                       {"reconnect.backoff.max.ms", "500"}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK)
            bench_die("consumer: %s", why);
    self->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (self->consumer == NULL)
        bench_die("consumer: %s", why);
    rd_kafka_poll_set_consumer(self->consumer);
}

static void make_topic(struct bench_topic *self)
{
    char why[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(self->consumer);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(self->name, self->partitions, 1, why, sizeof why);
    if (topic == NULL)
        bench_die("consumer: %s", why);
    if (self->append_time)
        rd_kafka_NewTopic_set_config(topic, "message.timestamp.type", "LogAppendTime");
    rd_kafka_CreateTopics(self->consumer, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 60000);
    const rd_kafka_CreateTopics_result_t *result = event == NULL ? NULL : rd_kafka_event_CreateTopics_result(event);
    if (result == NULL || rd_kafka_event_error(event))
        bench_die("consumer: no answer to CreateTopics: %s",
                  event == NULL ? "timed out" : rd_kafka_event_error_string(event));
    size_t count;
    const rd_kafka_topic_result_t *const *topics = rd_kafka_CreateTopics_result_topics(result, &count);
    if (rd_kafka_topic_result_error(topics[0]))
        bench_die("consumer: topic %s: %s", self->name, rd_kafka_err2str(rd_kafka_topic_result_error(topics[0])));
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

/* Do all partitions have a leader by now? */
static bool led(struct bench_topic *self)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(self->consumer, self->name, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(self->consumer, 0, handle, &metadata, 10000);
    rd_kafka_topic_destroy(handle);
    if (error)
        bench_die("consumer: metadata: %s", rd_kafka_err2str(error));
    int leaders = 0;
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
        leaders += metadata->topics[0].partitions[i].leader >= 0;
    rd_kafka_metadata_destroy(metadata);
    return leaders == self->partitions;
}

static void assign(struct bench_topic *self)
{
    const struct timespec pause = {0, 50000000};
    for (uint64_t start = bench_now(); !led(self); nanosleep(&pause, NULL))
        if (bench_now() - start > 30 * BENCH_SECOND)
            bench_die("consumer: topic %s has no leaders", self->name);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(self->partitions);
    for (int i = 0; i < self->partitions; i++)
        rd_kafka_topic_partition_list_add(list, self->name, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t error = rd_kafka_assign(self->consumer, list);
    if (error)
        bench_die("consumer: assign: %s", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(list);
}

void bench_topic_open(struct bench_topic *self)
{
    start_consumer(self);
    make_topic(self);
    assign(self);
}

void bench_topic_close(struct bench_topic *self)
{
    rd_kafka_consumer_close(self->consumer);
    rd_kafka_destroy(self->consumer);
    self->consumer = NULL;
}
