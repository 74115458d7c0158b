/*
 * sink -- reads a topic and accounts for every message of the publisher (bench.h), whatever envelope it arrives in.
 *
 * It makes the topic with the partitions asked for, reads it from the beginning, prints `ready`, and ends when all
 * messages have come and --quiet seconds passed without another (which would be a second copy), or when nothing came for
 * --idle seconds. Then it prints one line of JSON:
 *
 *     distinct, missing   numbers seen, numbers not seen
 *     twice               records beyond the first of their number
 *     disordered          first copies that came after a higher number of their channel
 *     strange             records that are no message of ours
 *     seconds             from the first to the last first copy
 *     p50_ms p99_ms max_ms  from publishing to reading, first copies
 */
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "bench.h"

struct sink {
    const char *brokers, *topic;
    uint64_t count;
    int partitions;
    uint64_t idle, quiet;           /* nanoseconds */

    rd_kafka_t *consumer;
    uint8_t *seen;
    uint32_t *latency_us;
    int64_t highest[BENCH_MAX_CHANNELS];
    uint64_t distinct, twice, disordered, strange, bytes;
    uint64_t first_ns, last_ns;
};

struct message {
    uint64_t number, channel, at;
};

static void start_consumer(struct sink *self)
{
    const char *const settings[][2] = {{"bootstrap.servers", self->brokers}, {"group.id", "bench-sink"}, {"log_level", "3"},
                                       {"enable.auto.commit", "false"}, {"auto.offset.reset", "earliest"},
                                       {"queued.min.messages", "1000000"}, {"queued.max.messages.kbytes", "1048576"}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK)
            bench_die("sink: %s", why);
    self->consumer = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    if (self->consumer == NULL)
        bench_die("sink: %s", why);
    rd_kafka_poll_set_consumer(self->consumer);
}

static void make_topic(struct sink *self)
{
    char why[256];
    rd_kafka_queue_t *queue = rd_kafka_queue_new(self->consumer);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(self->topic, self->partitions, 1, why, sizeof why);
    if (topic == NULL)
        bench_die("sink: %s", why);
    rd_kafka_CreateTopics(self->consumer, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 60000);
    const rd_kafka_CreateTopics_result_t *result = event == NULL ? NULL : rd_kafka_event_CreateTopics_result(event);
    if (result == NULL || rd_kafka_event_error(event))
        bench_die("sink: no answer to CreateTopics: %s", event == NULL ? "timed out" : rd_kafka_event_error_string(event));
    size_t count;
    const rd_kafka_topic_result_t *const *topics = rd_kafka_CreateTopics_result_topics(result, &count);
    if (rd_kafka_topic_result_error(topics[0]))
        bench_die("sink: topic %s: %s", self->topic, rd_kafka_err2str(rd_kafka_topic_result_error(topics[0])));
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
}

/* Do all partitions have a leader by now? */
static bool led(struct sink *self)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(self->consumer, self->topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(self->consumer, 0, handle, &metadata, 10000);
    rd_kafka_topic_destroy(handle);
    if (error)
        bench_die("sink: metadata: %s", rd_kafka_err2str(error));
    int leaders = 0;
    for (int i = 0; i < metadata->topics[0].partition_cnt; i++)
        leaders += metadata->topics[0].partitions[i].leader >= 0;
    rd_kafka_metadata_destroy(metadata);
    return leaders == self->partitions;
}

static void assign(struct sink *self)
{
    const struct timespec pause = {0, 50000000};
    for (uint64_t start = bench_now(); !led(self); nanosleep(&pause, NULL))
        if (bench_now() - start > 30 * BENCH_SECOND)
            bench_die("sink: topic %s has no leaders", self->topic);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(self->partitions);
    for (int i = 0; i < self->partitions; i++)
        rd_kafka_topic_partition_list_add(list, self->topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_resp_err_t error = rd_kafka_assign(self->consumer, list);
    if (error)
        bench_die("sink: assign: %s", rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(list);
}

/* The number after a literal, which must stand right there; NULL where it does not. */
static const char *take(const char *at, const char *limit, const char *literal, uint64_t *number)
{
    size_t size = strlen(literal);
    if (at == NULL || (size_t)(limit - at) <= size || memcmp(at, literal, size) != 0)
        return NULL;
    at += size;
    const char *digits = at;
    for (*number = 0; at < limit && *at >= '0' && *at <= '9'; at++)
        *number = *number * 10 + (uint64_t)(*at - '0');
    return at == digits ? NULL : at;
}

/* Finds our message anywhere in a record's value. */
static bool find(const rd_kafka_message_t *record, struct message *message)
{
    if (record->payload == NULL)
        return false;
    const char *value = record->payload, *limit = value + record->len;
    const char *at = memmem(value, record->len, BENCH_NUMBER, strlen(BENCH_NUMBER));
    at = take(at, limit, BENCH_NUMBER, &message->number);
    at = take(at, limit, BENCH_CHANNEL, &message->channel);
    at = take(at, limit, BENCH_AT, &message->at);
    return at != NULL && message->channel < BENCH_MAX_CHANNELS;
}

static void account(struct sink *self, const rd_kafka_message_t *record, uint64_t now)
{
    struct message message;
    self->bytes += record->len;
    if (!find(record, &message) || message.number >= self->count) {
        if (self->strange++ == 0)
            fprintf(stderr, "sink: no message of ours: %.*s\n", (int)(record->len < 300 ? record->len : 300), (const char *)record->payload);
        return;
    }
    if (self->seen[message.number]) {
        self->twice++;
        return;
    }
    self->seen[message.number] = 1;
    int64_t *highest = &self->highest[message.channel];
    if ((int64_t)message.number < *highest)
        self->disordered++;
    else
        *highest = (int64_t)message.number;
    uint64_t us = now > message.at ? (now - message.at) / 1000 : 0;
    self->latency_us[self->distinct++] = us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
    if (self->first_ns == 0)
        self->first_ns = now;
    self->last_ns = now;
}

static void read_all(struct sink *self)
{
    for (uint64_t latest = bench_now(), now = latest;;) {
        rd_kafka_message_t *record = rd_kafka_consumer_poll(self->consumer, 100);
        now = bench_now();
        if (record != NULL && record->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            account(self, record, now);
            latest = now;
        } else if (record != NULL) {
            fprintf(stderr, "sink: %s\n", rd_kafka_message_errstr(record));
        }
        if (record != NULL)
            rd_kafka_message_destroy(record);
        if (now - latest > (self->distinct == self->count ? self->quiet : self->idle))
            return;
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double part_ms(const struct sink *self, double part)
{
    return self->distinct == 0 ? 0 : self->latency_us[(size_t)((double)(self->distinct - 1) * part)] / 1000.0;
}

static void report(struct sink *self)
{
    qsort(self->latency_us, self->distinct, sizeof *self->latency_us, by_size);
    printf("{\"distinct\": %" PRIu64 ", \"missing\": %" PRIu64 ", \"twice\": %" PRIu64 ", \"disordered\": %" PRIu64
           ", \"strange\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"seconds\": %.3f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, "
           "\"max_ms\": %.2f}\n", self->distinct, self->count - self->distinct, self->twice, self->disordered, self->strange,
           self->bytes, (double)(self->last_ns - self->first_ns) / (double)BENCH_SECOND, part_ms(self, 0.5), part_ms(self, 0.99),
           part_ms(self, 1.0));
}

static _Noreturn void usage(FILE *out, int code)
{
    fputs("usage: sink [-b BROKERS] -t TOPIC [-n COUNT] [-p PARTITIONS] [-i IDLE_SECONDS] [-q QUIET_SECONDS]\n", out);
    exit(code);
}

static void read_options(struct sink *self, int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "b:t:n:p:i:q:h")) != -1;) {
        switch (option) {
        case 'b': self->brokers = optarg; break;
        case 't': self->topic = optarg; break;
        case 'n': self->count = bench_number(optarg, 1, BENCH_MAX_COUNT); break;
        case 'p': self->partitions = (int)bench_number(optarg, 1, 64); break;
        case 'i': self->idle = bench_number(optarg, 1, 3600) * BENCH_SECOND; break;
        case 'q': self->quiet = bench_number(optarg, 0, 3600) * BENCH_SECOND; break;
        case 'h': usage(stdout, 0);
        default: usage(stderr, 2);
        }
    }
    if (optind < argc || self->topic == NULL)
        usage(stderr, 2);
}

int main(int argc, char **argv)
{
    struct sink self = {.brokers = "127.0.0.1:9092", .count = 1000000, .partitions = 4, .idle = 20 * BENCH_SECOND,
                        .quiet = BENCH_SECOND};
    read_options(&self, argc, argv);
    self.seen = calloc(self.count, sizeof *self.seen);
    self.latency_us = calloc(self.count, sizeof *self.latency_us);
    if (self.seen == NULL || self.latency_us == NULL)
        bench_die("sink: out of memory");
    memset(self.highest, -1, sizeof self.highest);
    start_consumer(&self);
    make_topic(&self);
    assign(&self);
    puts("ready");
    fflush(stdout);
    read_all(&self);
    report(&self);
    rd_kafka_consumer_close(self.consumer);
    rd_kafka_destroy(self.consumer);
    free(self.seen);
    free(self.latency_us);
    return 0;
}
