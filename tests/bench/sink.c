/*
 * sink -- reads a topic and accounts for every message of the publisher (bench.h), whatever envelope it arrives in.
 *
 * It makes the topic with the partitions asked for, reads it from the beginning, prints `ready`, prints `warm` when
 * the messages below FIRST_MEASURED have come and `all` when every message has, and ends when QUIET_SECONDS passed
 * then without another (which would be a second copy), or when nothing came for IDLE_SECONDS. Then it prints one line
 * of JSON:
 *
 *     distinct, missing   numbers seen, numbers not seen
 *     twice               records beyond the first of their number
 *     disordered          first copies that came after a higher number of their channel
 *     strange             records that are no message of ours
 *     measured            first copies of the messages from FIRST_MEASURED on; what follows is of these alone
 *     seconds             from the first to the last of them
 *     p50_ms p99_ms max_ms  from publishing to reading
 *     arrivals            with -a: by Kafka's clock (the topic's records get the time they were appended), their number
 *                         and the longest way from publishing to Kafka (ms) among them, for each 100 ms since the first
 *
 * With -f it reads records from a file, a line each, KEY TAB VALUE, and no Kafka: so the checker itself is checked.
 */
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "bench.h"

#define TENTH_MS 100
#define TENTHS 36000                /* an hour */

struct tenth {
    uint32_t count, longest_ms;
};

struct sink {
    const char *brokers, *topic, *file;
    uint64_t count, warm;           /* warm: messages below this number are not measured */
    bool show_arrivals;
    int partitions;
    uint64_t idle, quiet;           /* nanoseconds */

    rd_kafka_t *consumer;
    uint8_t *seen;
    uint32_t *latency_us;
    int64_t highest[BENCH_MAX_CHANNELS];
    uint64_t distinct, twice, disordered, strange, bytes;
    size_t measured;                /* latencies in latency_us */
    uint32_t longest_us;
    uint64_t first_ns, last_ns;
    struct tenth *arrivals;
    int64_t first_ms, offset_ms;    /* offset: from our clock to that of the day */
    size_t tenths;
};

struct message {
    uint64_t number, channel, us;   /* us: how long it was under way */
    int64_t kafka_ms;               /* when Kafka appended it, time of day */
};

struct bytes {
    const char *at;
    size_t size;
};

static void start_consumer(struct sink *self)
{
    const char *const settings[][2] = {{"bootstrap.servers", self->brokers}, {"group.id", "bench-sink"},
                                       {"log_level", "3"},
                                       {"enable.auto.commit", "false"}, {"auto.offset.reset", "earliest"},
                                       {"queued.min.messages", "1000000"}, {"queued.max.messages.kbytes", "1048576"},
                                       {"reconnect.backoff.max.ms", "500"}};
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
    if (self->show_arrivals)
        rd_kafka_NewTopic_set_config(topic, "message.timestamp.type", "LogAppendTime");
    rd_kafka_CreateTopics(self->consumer, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 60000);
    const rd_kafka_CreateTopics_result_t *result = event == NULL ? NULL : rd_kafka_event_CreateTopics_result(event);
    if (result == NULL || rd_kafka_event_error(event))
        bench_die("sink: no answer to CreateTopics: %s",
                  event == NULL ? "timed out" : rd_kafka_event_error_string(event));
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

static uint64_t since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

/* The channel's number at the end of a record's key. */
static bool key_channel(struct bytes key, uint64_t *channel)
{
    const char *dot = key.at == NULL ? NULL : memrchr(key.at, '.', key.size);
    return take(dot, key.at + key.size, ".", channel) != NULL;
}

/* The long shape, anywhere in a value; under another channel's key it is none of ours. */
static bool find_long(struct bytes key, struct bytes value, uint64_t now, struct message *message)
{
    const char *limit = value.at + value.size;
    const char *number = &BENCH_NUMBER[1];      /* without its brace: other members may stand before it */
    const char *at = memmem(value.at, value.size, number, strlen(number));
    uint64_t then, channel;
    at = take(at, limit, number, &message->number);
    at = take(at, limit, BENCH_CHANNEL, &message->channel);
    if (take(at, limit, BENCH_AT, &then) == NULL || !key_channel(key, &channel) || channel != message->channel)
        return false;
    message->us = since(now, then) / 1000;
    return true;
}

/* The short shape: the first run of just so many digits; a UUID has none that is as long. */
static const char *find_digits(struct bytes value)
{
    size_t run = 0;
    for (size_t i = 0; i <= value.size; i++) {
        if (i < value.size && value.at[i] >= '0' && value.at[i] <= '9') {
            run++;
        } else {
            if (run == BENCH_SHORT_SIZE)
                return value.at + i - run;
            run = 0;
        }
    }
    return NULL;
}

static uint64_t take_digits(const char *at, size_t count)
{
    uint64_t number = 0;
    while (count-- > 0)
        number = number * 10 + (uint64_t)(*at++ - '0');
    return number;
}

static bool find_short(struct bytes key, struct bytes value, uint64_t now, struct message *message)
{
    const char *at = find_digits(value);
    if (at == NULL || !key_channel(key, &message->channel))
        return false;
    message->number = take_digits(at, 8) - BENCH_SHORT_FIRST;
    uint64_t then = take_digits(at + 8, BENCH_SHORT_SIZE - 8);
    message->us = (now / 1000 % BENCH_SHORT_TIMES + BENCH_SHORT_TIMES - then) % BENCH_SHORT_TIMES;
    return true;
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

static void note_tenth(struct sink *self, const struct message *message, uint64_t now)
{
    if (self->first_ms == 0)
        self->first_ms = message->kafka_ms;
    int64_t since_first = message->kafka_ms - self->first_ms;
    size_t place = since_first < 0 ? 0 : (size_t)since_first / TENTH_MS;
    if (place >= TENTHS)
        return;
    if (place >= self->tenths)
        self->tenths = place + 1;
    int64_t published_ms = (int64_t)(now - message->us * 1000) / 1000000 + self->offset_ms;
    int64_t way_ms = message->kafka_ms > published_ms ? message->kafka_ms - published_ms : 0;
    struct tenth *tenth = &self->arrivals[place];
    tenth->count++;
    if (way_ms > tenth->longest_ms)
        tenth->longest_ms = (uint32_t)way_ms;
}

static void note_arrival(struct sink *self, const struct message *message, uint64_t now)
{
    uint32_t us = message->us < UINT32_MAX ? (uint32_t)message->us : UINT32_MAX;
    self->latency_us[self->measured++] = us;
    if (us > self->longest_us)
        self->longest_us = us;
    if (self->first_ns == 0)
        self->first_ns = now;
    self->last_ns = now;
    if (self->show_arrivals)
        note_tenth(self, message, now);
}

static void account(struct sink *self, struct bytes key, struct bytes value, int64_t kafka_ms, uint64_t now)
{
    struct message message = {.kafka_ms = kafka_ms};
    self->bytes += value.size;
    if (!(value.at != NULL && (find_long(key, value, now, &message) || find_short(key, value, now, &message))) ||
        message.number >= self->count || message.channel >= BENCH_MAX_CHANNELS) {
        if (self->strange++ == 0)
            fprintf(stderr, "sink: no message of ours: %.*s\n", (int)(value.size < 300 ? value.size : 300),
                    value.at == NULL ? "" : value.at);
        return;
    }
    if (self->seen[message.number]) {
        self->twice++;
        return;
    }
    self->seen[message.number] = 1;
    self->distinct++;
    int64_t *highest = &self->highest[message.channel];
    if ((int64_t)message.number < *highest)
        self->disordered++;
    else
        *highest = (int64_t)message.number;
    if (message.number >= self->warm)
        note_arrival(self, &message, now);
    if (self->distinct == self->warm)
        say("warm");
    if (self->distinct == self->count)
        say("all");
}

static void read_all(struct sink *self)
{
    for (uint64_t latest = bench_now(), now = latest;;) {
        rd_kafka_message_t *record = rd_kafka_consumer_poll(self->consumer, 100);
        now = bench_now();
        if (record != NULL && record->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            account(self, (struct bytes){record->key, record->key_len}, (struct bytes){record->payload, record->len},
                    rd_kafka_message_timestamp(record, NULL), now);
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

static void read_file(struct sink *self)
{
    FILE *file = fopen(self->file, "r");
    if (file == NULL)
        bench_die("sink: %s cannot be read", self->file);
    char *line = NULL;
    size_t room = 0;
    for (ssize_t size; (size = getline(&line, &room, file)) > 0;) {
        size -= line[size - 1] == '\n';
        char *tab = memchr(line, '\t', (size_t)size);
        if (tab == NULL)
            bench_die("sink: a line of %s has no tab", self->file);
        size_t key = (size_t)(tab - line);
        account(self, (struct bytes){line, key}, (struct bytes){tab + 1, (size_t)size - key - 1}, 0, bench_now());
    }
    free(line);
    fclose(file);
}

static int by_size(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static double part_ms(const struct sink *self, double part)
{
    return self->measured == 0 ? 0 : self->latency_us[(size_t)((double)(self->measured - 1) * part)] / 1000.0;
}

static void print_arrivals(const struct sink *self)
{
    printf(", \"arrivals\": [");
    for (size_t i = 0; i < self->tenths; i++)
        printf("%s[%" PRIu32 ", %" PRIu32 "]", i == 0 ? "" : ", ", self->arrivals[i].count,
               self->arrivals[i].longest_ms);
    putchar(']');
}

static void report(struct sink *self)
{
    qsort(self->latency_us, self->measured, sizeof *self->latency_us, by_size);
    printf("{\"distinct\": %" PRIu64 ", \"missing\": %" PRIu64 ", \"twice\": %" PRIu64 ", \"disordered\": %" PRIu64
           ", \"strange\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"measured\": %zu, \"seconds\": %.3f", self->distinct,
           self->count - self->distinct, self->twice, self->disordered, self->strange, self->bytes, self->measured,
           (double)(self->last_ns - self->first_ns) / (double)BENCH_SECOND);
    printf(", \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"max_ms\": %.2f", part_ms(self, 0.5), part_ms(self, 0.99),
           self->longest_us / 1000.0);
    if (self->show_arrivals)
        print_arrivals(self);
    puts("}");
}

static _Noreturn void usage(FILE *out, int code)
{
    fputs("usage: sink [-b BROKERS] -t TOPIC [-n COUNT] [-p PARTITIONS] [-i IDLE_SECONDS] [-q QUIET_SECONDS]\n"
          "            [-d FIRST_MEASURED] [-a]\n"
          "       sink -f FILE [-n COUNT]\n", out);
    exit(code);
}

static void read_options(struct sink *self, int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "b:t:n:p:i:q:d:f:ah")) != -1;) {
        switch (option) {
        case 'b': self->brokers = optarg; break;
        case 't': self->topic = optarg; break;
        case 'n': self->count = bench_number(optarg, 1, BENCH_MAX_COUNT); break;
        case 'p': self->partitions = (int)bench_number(optarg, 1, 64); break;
        case 'i': self->idle = bench_number(optarg, 1, 3600) * BENCH_SECOND; break;
        case 'q': self->quiet = bench_number(optarg, 0, 3600) * BENCH_SECOND; break;
        case 'd': self->warm = bench_number(optarg, 0, BENCH_MAX_COUNT); break;
        case 'f': self->file = optarg; break;
        case 'a': self->show_arrivals = true; break;
        case 'h': usage(stdout, 0);
        default: usage(stderr, 2);
        }
    }
    if (optind < argc || (self->topic == NULL) == (self->file == NULL))
        usage(stderr, 2);
}

static void read_topic(struct sink *self)
{
    start_consumer(self);
    make_topic(self);
    assign(self);
    say("ready");
    read_all(self);
}

int main(int argc, char **argv)
{
    struct sink self = {.brokers = "127.0.0.1:9092", .count = 1000000, .partitions = 4, .idle = 20 * BENCH_SECOND,
                        .quiet = BENCH_SECOND};
    read_options(&self, argc, argv);
    self.seen = calloc(self.count, sizeof *self.seen);
    self.latency_us = calloc(self.count, sizeof *self.latency_us);
    self.arrivals = calloc(TENTHS, sizeof *self.arrivals);
    if (self.seen == NULL || self.latency_us == NULL || self.arrivals == NULL)
        bench_die("sink: out of memory");
    memset(self.highest, -1, sizeof self.highest);
    struct timespec day;
    clock_gettime(CLOCK_REALTIME, &day);
    self.offset_ms = (int64_t)day.tv_sec * 1000 + day.tv_nsec / 1000000 - (int64_t)(bench_now() / 1000000);
    if (self.file != NULL)
        read_file(&self);
    else
        read_topic(&self);
    report(&self);
    if (self.consumer != NULL) {
        rd_kafka_consumer_close(self.consumer);
        rd_kafka_destroy(self.consumer);
    }
    free(self.seen);
    free(self.latency_us);
    free(self.arrivals);
    return 0;
}
