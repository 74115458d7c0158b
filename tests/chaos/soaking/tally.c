/*
 * tally -- reads the publisher's messages from Kafka while they come, over restarts of Kafka, and accounts for each by
 * its number; for days, in memory that does not grow with their number.
 *
 *     a channel's numbers    1 2 3 4 . . . 8 9 10 | expected
 *                                    hole
 *
 * One below the expected is late where it lies in a hole (out of order; the hole shrinks), else it comes again and must
 * have the same UUID.
 *
 * It makes the topic, prints `ready`, then each second a line of JSON: the figures so far. On SIGTERM it reads up to
 * the ends that the partitions have by then and writes what is missing to the file of holes: `CHANNEL FIRST LAST`
 * each (numbers of messages; a channel has every so many), and `CHANNEL EXPECTED end`, the number that was to come
 * next. Then it prints the last line.
 *
 *     records distinct      read; different messages among them
 *     again                 records beyond the first of their message
 *     other_uuid            of these, under another UUID than before; unjudged: too long after, its UUID is forgotten
 *     late                  first copies that came after a higher number of their channel
 *     strange               records that are no message of the publisher
 *     jumped                offsets that were passed over, because Kafka had deleted them: then nothing can be said
 *
 * With -i it reads records from a file, a line each, KEY TAB VALUE, and no Kafka: so the tally itself is checked.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "../../bench/message.h"
#include "../../bench/topic.h"

enum { REMEMBERED = 1 << 15, PARTITIONS_MOST = 64, UUID_SIZE = 36, PATIENCE_S = 120 };

struct hole {
    uint64_t first, last;           /* places in the channel: number / channels */
};

struct channel {
    uint64_t expected;              /* the place that is to come next */
    struct hole *holes;             /* ascending */
    size_t count, room;
    uint64_t uuids[REMEMBERED];     /* hashes, by place */
};

struct tally {
    struct bench_topic topic;
    const char *path, *input;
    unsigned count;
    struct channel *channels;
    int64_t offsets[PARTITIONS_MOST], ends[PARTITIONS_MOST];
    uint64_t records, distinct, again, other_uuid, unjudged, late, strange, jumped;
};

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static void *demand(void *memory)
{
    if (memory == NULL)
        bench_die("tally: out of memory");
    return memory;
}

/* A hash of the UUID in the envelope `event`; 0 where there is none. */
static uint64_t hash_uuid(struct bench_bytes value)
{
    static const char name[] = "\"id\":\"";
    const char *at = memmem(value.at, value.size, name, sizeof name - 1);
    if (at == NULL || value.size - (size_t)(at - value.at) < sizeof name - 1 + UUID_SIZE)
        return 0;
    uint64_t hash = 14695981039346656037ull;        /* FNV-1a */
    for (const char *end_of = (at += sizeof name - 1) + UUID_SIZE; at < end_of; at++)
        hash = (hash ^ (uint8_t)*at) * 1099511628211ull;
    return hash;
}

static void make_room(struct channel *channel)
{
    if (channel->count < channel->room)
        return;
    channel->room = channel->room * 2 + 16;
    channel->holes = demand(realloc(channel->holes, channel->room * sizeof *channel->holes));
}

static void add_hole(struct channel *channel, size_t index, struct hole hole)
{
    make_room(channel);
    memmove(channel->holes + index + 1, channel->holes + index, (channel->count++ - index) * sizeof hole);
    channel->holes[index] = hole;
}

/* Takes a place out of the hole it lies in; false where it lies in none. */
static bool fill(struct channel *channel, uint64_t place)
{
    size_t i = channel->count;
    while (i > 0 && channel->holes[i - 1].first > place)
        i--;
    if (i == 0 || channel->holes[i - 1].last < place)
        return false;
    struct hole old = channel->holes[--i];
    memmove(channel->holes + i, channel->holes + i + 1, (--channel->count - i) * sizeof old);
    if (place < old.last)
        add_hole(channel, i, (struct hole){place + 1, old.last});
    if (place > old.first)
        add_hole(channel, i, (struct hole){old.first, place - 1});
    return true;
}

static void judge_copy(struct tally *self, const struct channel *channel, uint64_t place, uint64_t uuid)
{
    self->again++;
    if (channel->expected - place > REMEMBERED)
        self->unjudged++;
    else
        self->other_uuid += channel->uuids[place % REMEMBERED] != uuid;
}

static void account(struct tally *self, struct channel *channel, uint64_t place, uint64_t uuid)
{
    if (place >= channel->expected) {
        if (place > channel->expected)
            add_hole(channel, channel->count, (struct hole){channel->expected, place - 1});
        channel->expected = place + 1;
        channel->uuids[place % REMEMBERED] = uuid;
        self->distinct++;
    } else if (fill(channel, place)) {
        self->late++;
        self->distinct++;
        channel->uuids[place % REMEMBERED] = uuid;
    } else {
        judge_copy(self, channel, place, uuid);
    }
}

static void take(struct tally *self, struct bench_bytes key, struct bench_bytes value)
{
    struct bench_message message = {0};
    self->records++;
    uint64_t uuid = value.at == NULL ? 0 : hash_uuid(value);
    if (uuid == 0 || !bench_find(key, value, bench_now(), &message) ||
        message.number % self->count != message.channel) {
        if (self->strange++ == 0)
            fprintf(stderr, "tally: no message of ours: %.*s\n", (int)(value.size < 300 ? value.size : 300),
                    value.at == NULL ? "" : value.at);
        return;
    }
    account(self, &self->channels[message.channel], message.number / self->count, uuid);
}

static void take_record(struct tally *self, const rd_kafka_message_t *record)
{
    int64_t *offset = &self->offsets[record->partition];
    self->jumped += (uint64_t)(record->offset - *offset);
    *offset = record->offset + 1;
    take(self, (struct bench_bytes){record->key, record->key_len}, (struct bench_bytes){record->payload, record->len});
}

static void read_file(struct tally *self)
{
    FILE *file = fopen(self->input, "r");
    if (file == NULL)
        bench_die("tally: %s cannot be read", self->input);
    char *line = NULL;
    size_t room = 0;
    for (ssize_t size; (size = getline(&line, &room, file)) > 0;) {
        const char *tab = memchr(line, '\t', (size_t)size);
        if (tab == NULL)
            bench_die("tally: a line of %s has no tab", self->input);
        size_t key = (size_t)(tab - line);
        take(self, (struct bench_bytes){line, key}, (struct bench_bytes){tab + 1, (size_t)size - key - 1});
    }
    free(line);
    fclose(file);
}

static void print_figures(const struct tally *self)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    printf("{\"at_us\": %" PRId64 ", \"records\": %" PRIu64 ", \"distinct\": %" PRIu64 ", \"again\": %" PRIu64
           ", \"other_uuid\": %" PRIu64 ", \"unjudged\": %" PRIu64 ", \"late\": %" PRIu64 ", \"strange\": %" PRIu64
           ", \"jumped\": %" PRIu64 "}\n", (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, self->records,
           self->distinct, self->again, self->other_uuid, self->unjudged, self->late, self->strange, self->jumped);
    fflush(stdout);
}

/* Where the partitions end now; false where Kafka does not say. */
static bool ask_ends(struct tally *self)
{
    for (int i = 0; i < self->topic.partitions; i++) {
        int64_t low;
        rd_kafka_resp_err_t error = rd_kafka_query_watermark_offsets(self->topic.consumer, self->topic.name, i, &low,
                                                                     &self->ends[i], 5000);
        if (error)
            return false;
    }
    return true;
}

static bool at_ends(const struct tally *self)
{
    for (int i = 0; i < self->topic.partitions; i++)
        if (self->offsets[i] < self->ends[i])
            return false;
    return true;
}

static void read_until(struct tally *self, bool (*done)(const struct tally *self))
{
    for (uint64_t start = bench_now(), said = start, now = start; !done(self); now = bench_now()) {
        rd_kafka_message_t *record = rd_kafka_consumer_poll(self->topic.consumer, 100);
        if (record != NULL && record->err == RD_KAFKA_RESP_ERR_NO_ERROR)
            take_record(self, record);
        else if (record != NULL)
            fprintf(stderr, "tally: %s\n", rd_kafka_message_errstr(record));
        if (record != NULL)
            rd_kafka_message_destroy(record);
        if (now - said >= BENCH_SECOND) {
            said = now;
            print_figures(self);
        }
        if (ended && now - start > PATIENCE_S * BENCH_SECOND && done == at_ends)
            bench_die("tally: did not come to the ends of the partitions within %d s", PATIENCE_S);
    }
}

static bool told_to_end(const struct tally *self)
{
    (void)self;
    return ended;
}

static void read_topic(struct tally *self)
{
    bench_topic_open(&self->topic);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    puts("ready");
    fflush(stdout);
    read_until(self, told_to_end);
    if (!ask_ends(self))
        bench_die("tally: Kafka does not say where its partitions end");
    read_until(self, at_ends);
    bench_topic_close(&self->topic);
}

static void write_holes(const struct tally *self)
{
    FILE *file = fopen(self->path, "w");
    if (file == NULL)
        bench_die("tally: %s cannot be written", self->path);
    for (unsigned c = 0; c < self->count; c++) {
        const struct channel *channel = &self->channels[c];
        for (size_t i = 0; i < channel->count; i++)
            fprintf(file, "%u %" PRIu64 " %" PRIu64 "\n", c, channel->holes[i].first * self->count + c,
                    channel->holes[i].last * self->count + c);
        fprintf(file, "%u %" PRIu64 " end\n", c, channel->expected * self->count + c);
    }
    if (fclose(file) != 0)
        bench_die("tally: %s could not be written", self->path);
}

static _Noreturn void usage(FILE *out, int code)
{
    fputs("usage: tally [-b BROKERS] -t TOPIC [-p PARTITIONS] [-c CHANNELS] -f HOLES\n"
          "       tally -i FILE [-c CHANNELS] -f HOLES\n", out);
    exit(code);
}

static void read_options(struct tally *self, int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "b:t:p:c:f:i:h")) != -1;) {
        switch (option) {
        case 'b': self->topic.brokers = optarg; break;
        case 't': self->topic.name = optarg; break;
        case 'p': self->topic.partitions = (int)bench_number(optarg, 1, PARTITIONS_MOST); break;
        case 'c': self->count = (unsigned)bench_number(optarg, 1, BENCH_MAX_CHANNELS); break;
        case 'f': self->path = optarg; break;
        case 'i': self->input = optarg; break;
        case 'h': usage(stdout, 0);
        default: usage(stderr, 2);
        }
    }
    if (optind < argc || (self->topic.name == NULL) == (self->input == NULL) || self->path == NULL)
        usage(stderr, 2);
}

int main(int argc, char **argv)
{
    struct tally self = {.topic = {.brokers = "127.0.0.1:9092", .partitions = 4, .queue_kbytes = "65536"}, .count = 16};
    read_options(&self, argc, argv);
    self.channels = demand(calloc(self.count, sizeof *self.channels));
    if (self.input != NULL)
        read_file(&self);
    else
        read_topic(&self);
    write_holes(&self);
    print_figures(&self);
    for (unsigned c = 0; c < self.count; c++)
        free(self.channels[c].holes);
    free(self.channels);
    return 0;
}
