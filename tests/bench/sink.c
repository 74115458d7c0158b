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
#include <string.h>

#include "message.h"
#include "topic.h"

#define TENTH_MS 100
#define TENTHS 36000                /* an hour */

struct tenth {
    uint32_t count, longest_ms;
};

struct sink {
    const char *file;
    struct bench_topic topic;
    uint64_t count, warm;           /* warm: messages below this number are not measured */
    uint64_t idle, quiet;           /* nanoseconds */

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

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

static void note_tenth(struct sink *self, const struct bench_message *message, uint64_t now)
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

static void note_arrival(struct sink *self, const struct bench_message *message, uint64_t now)
{
    uint32_t us = message->us < UINT32_MAX ? (uint32_t)message->us : UINT32_MAX;
    self->latency_us[self->measured++] = us;
    if (us > self->longest_us)
        self->longest_us = us;
    if (self->first_ns == 0)
        self->first_ns = now;
    self->last_ns = now;
    if (self->topic.append_time)
        note_tenth(self, message, now);
}

static void account(struct sink *self, struct bench_bytes key, struct bench_bytes value, int64_t kafka_ms, uint64_t now)
{
    struct bench_message message = {.kafka_ms = kafka_ms};
    self->bytes += value.size;
    if (!bench_find(key, value, now, &message) ||
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
        rd_kafka_message_t *record = rd_kafka_consumer_poll(self->topic.consumer, 100);
        now = bench_now();
        if (record != NULL && record->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            account(self, (struct bench_bytes){record->key, record->key_len},
                    (struct bench_bytes){record->payload, record->len}, rd_kafka_message_timestamp(record, NULL),
                    now);
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
        account(self, (struct bench_bytes){line, key}, (struct bench_bytes){tab + 1, (size_t)size - key - 1}, 0,
                bench_now());
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
    if (self->topic.append_time)
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
        case 'b': self->topic.brokers = optarg; break;
        case 't': self->topic.name = optarg; break;
        case 'n': self->count = bench_number(optarg, 1, BENCH_MAX_COUNT); break;
        case 'p': self->topic.partitions = (int)bench_number(optarg, 1, 64); break;
        case 'i': self->idle = bench_number(optarg, 1, 3600) * BENCH_SECOND; break;
        case 'q': self->quiet = bench_number(optarg, 0, 3600) * BENCH_SECOND; break;
        case 'd': self->warm = bench_number(optarg, 0, BENCH_MAX_COUNT); break;
        case 'f': self->file = optarg; break;
        case 'a': self->topic.append_time = true; break;
        case 'h': usage(stdout, 0);
        default: usage(stderr, 2);
        }
    }
    if (optind < argc || (self->topic.name == NULL) == (self->file == NULL))
        usage(stderr, 2);
}

static void read_topic(struct sink *self)
{
    bench_topic_open(&self->topic);
    say("ready");
    read_all(self);
}

int main(int argc, char **argv)
{
    struct sink self = {.topic = {.brokers = "127.0.0.1:9092", .partitions = 4, .queue_kbytes = "1048576"},
                        .count = 1000000, .idle = 20 * BENCH_SECOND, .quiet = BENCH_SECOND};
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
    if (self.topic.consumer != NULL)
        bench_topic_close(&self.topic);
    free(self.seen);
    free(self.latency_us);
    free(self.arrivals);
    return 0;
}
