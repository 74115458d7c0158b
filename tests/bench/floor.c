/*
 * floor -- the least program that can carry messages from Redis to Kafka: what the bridge's cost is measured against.
 *
 * One thread: read() on a plain socket, a parser for just the two replies a subscriber gets, rd_kafka_produce (key:
 * the channel; lz4 or -z, acks=all, idempotent, linger 5 ms). With -u it wraps each payload with a UUID, as the
 * bridge's preset `event` does. It keeps nothing and counts nearly nothing. librdkafka's queue may hold a whole burst,
 * so that the cost is that of every message; with a smaller one (-q; librdkafka's default is 100000) it does not read
 * while the queue is full, Redis cuts it off, and what it had for us is lost. It connects again at once. With -P it
 * subscribes to one pattern instead of to each channel.
 *
 * Prints `ready` when subscribed; on SIGTERM it flushes and ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "bench.h"

static volatile sig_atomic_t ending;

struct floor {
    const char *brokers, *topic, *prefix, *name, *queue, *compression;
    uint16_t port;
    unsigned channels;
    bool wrap, by_pattern;

    rd_kafka_t *producer;
    rd_kafka_topic_t *handle;
    char *input, *value;
    size_t input_size, filled, value_size;
    unsigned confirmed;
    uint8_t random[4096];
    size_t random_used;
    uint64_t read, delivered, failed, connections;
};

struct bulk {
    const char *text;
    size_t size;
};

static void end(int number)
{
    (void)number;
    ending = 1;
}

static void on_delivery(rd_kafka_t *producer, const rd_kafka_message_t *message, void *opaque)
{
    struct floor *self = opaque;
    (void)producer;
    if (message->err)
        self->failed++;
    else
        self->delivered++;
}

static void start_producer(struct floor *self)
{
    const char *const settings[][2] = {{"bootstrap.servers", self->brokers}, {"compression.type", self->compression},
                                       {"acks", "all"}, {"enable.idempotence", "true"}, {"linger.ms", "5"},
                                       {"queue.buffering.max.messages", self->queue}};
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) != RD_KAFKA_CONF_OK)
            bench_die("floor: %s", why);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_opaque(conf, self);
    self->producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (self->producer == NULL)
        bench_die("floor: %s", why);
    self->handle = rd_kafka_topic_new(self->producer, self->topic, NULL);
}

static char *put(char *at, const char *bytes, size_t size)
{
    memcpy(at, bytes, size);
    return at + size;
}

static char *put_uuid(struct floor *self, char *at)
{
    static const char hex[] = "0123456789abcdef";
    if (self->random_used == sizeof self->random) {
        if (getrandom(self->random, sizeof self->random, 0) != (ssize_t)sizeof self->random)
            bench_die("floor: getrandom: %s", strerror(errno));
        self->random_used = 0;
    }
    uint8_t *bytes = self->random + self->random_used;
    self->random_used += 16;
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    return at;
}

#define PUT_LITERAL(at, literal) put(at, literal, sizeof(literal) - 1)

/* {"name": CHANNEL, "data": {"id": UUID, NAME: PAYLOAD}}, without looking at what the payload is. */
static struct bulk wrap(struct floor *self, struct bulk channel, struct bulk payload)
{
    size_t name = strlen(self->name), needed = channel.size + payload.size + name + 128;
    if (needed > self->value_size) {
        self->value_size = needed;
        self->value = realloc(self->value, needed);
        if (self->value == NULL)
            bench_die("floor: out of memory");
    }
    char *at = PUT_LITERAL(self->value, "{\"name\":\"");
    at = put(at, channel.text, channel.size);
    at = put_uuid(self, PUT_LITERAL(at, "\",\"data\":{\"id\":\""));
    at = put(PUT_LITERAL(at, "\",\""), self->name, name);
    at = put(PUT_LITERAL(at, "\":"), payload.text, payload.size);
    at = PUT_LITERAL(at, "}}");
    return (struct bulk){self->value, (size_t)(at - self->value)};
}

static void carry(struct floor *self, struct bulk channel, struct bulk payload)
{
    struct bulk value = self->wrap ? wrap(self, channel, payload) : payload;
    self->read++;
    while (rd_kafka_produce(self->handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)value.text,
                            value.size, channel.text, channel.size, NULL) != 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            bench_die("floor: %s", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(self->producer, 10);
    }
}

/* A number up to its line's end; returns what follows, NULL when the line is not all there. */
static const char *take_number(const char *at, const char *limit, size_t *number)
{
    size_t value = 0;
    while (at < limit && *at != '\r')
        value = value * 10 + (size_t)(*at++ - '0');
    *number = value;
    return limit - at < 2 ? NULL : at + 2;
}

static const char *take_bulk(const char *at, const char *limit, struct bulk *bulk)
{
    if (at == limit || (at = take_number(at + 1, limit, &bulk->size)) == NULL || (size_t)(limit - at) < bulk->size + 2)
        return NULL;
    bulk->text = at;
    return at + bulk->size + 2;
}

static const char *take_confirmation(struct floor *self, const char *at, const char *limit)
{
    size_t count;
    at = take_number(at + 1, limit, &count);
    if (at != NULL && ++self->confirmed == (self->by_pattern ? 1 : self->channels)) {
        puts("ready");
        fflush(stdout);
    }
    return at;
}

/*
 * One push, "*3 message CHANNEL PAYLOAD", "*4 pmessage PATTERN CHANNEL PAYLOAD" or "*3 subscribe CHANNEL :N"; NULL when
 * it is not all there.
 */
static const char *take_push(struct floor *self, const char *at, const char *limit)
{
    struct bulk kind, channel, payload;
    size_t count;
    if (at == limit || (at = take_number(at + 1, limit, &count)) == NULL ||
        (at = take_bulk(at, limit, &kind)) == NULL || (at = take_bulk(at, limit, &channel)) == NULL || at == limit)
        return NULL;
    if (*at == ':')
        return take_confirmation(self, at, limit);
    if (count == 4 && (at = take_bulk(at, limit, &channel)) == NULL)
        return NULL;
    if ((at = take_bulk(at, limit, &payload)) != NULL)
        carry(self, channel, payload);
    return at;
}

static void take_all(struct floor *self)
{
    const char *at = self->input, *limit = self->input + self->filled;
    for (const char *next; (next = take_push(self, at, limit)) != NULL;)
        at = next;
    self->filled = (size_t)(limit - at);
    memmove(self->input, at, self->filled);
    if (self->filled == self->input_size) {
        self->input_size *= 2;
        self->input = realloc(self->input, self->input_size);
        if (self->input == NULL)
            bench_die("floor: out of memory");
    }
}

static int subscribe(struct floor *self)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(self->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {0, 100000};      /* how long a quiet connection keeps delivery reports waiting */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
        bench_die("floor: connect: %s", strerror(errno));
    char *command;
    size_t size;
    FILE *out = open_memstream(&command, &size);
    if (out == NULL)
        bench_die("floor: out of memory");
    if (self->by_pattern)
        fprintf(out, "*2\r\n$10\r\nPSUBSCRIBE\r\n$%zu\r\n%s.*\r\n", strlen(self->prefix) + 2, self->prefix);
    else
        fprintf(out, "*%u\r\n$9\r\nSUBSCRIBE\r\n", self->channels + 1);
    for (unsigned channel = 0; !self->by_pattern && channel < self->channels; channel++) {
        char name[96];
        fprintf(out, "$%d\r\n%s\r\n", snprintf(name, sizeof name, "%s.%u", self->prefix, channel), name);
    }
    fclose(out);
    if (write(fd, command, size) != (ssize_t)size)
        bench_die("floor: write: %s", strerror(errno));
    free(command);
    self->connections++;
    self->filled = 0;
    return fd;
}

static void run(struct floor *self)
{
    while (!ending) {
        int fd = subscribe(self);
        ssize_t got;
        while (!ending && ((got = read(fd, self->input + self->filled, self->input_size - self->filled)) > 0 ||
                           (got < 0 && (errno == EAGAIN || errno == EINTR)))) {
            if (got > 0) {
                self->filled += (size_t)got;
                take_all(self);
            }
            rd_kafka_poll(self->producer, 0);
        }
        close(fd);
    }
}

static _Noreturn void usage(FILE *out, int code)
{
    fputs("usage: floor [-u] [-P] [-p REDIS_PORT] [-b BROKERS] [-t TOPIC] [-c CHANNELS] [-x PREFIX] [-k PAYLOAD_NAME]\n"
          "             [-q MESSAGES] [-z COMPRESSION]\n", out);
    exit(code);
}

static void read_options(struct floor *self, int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "uPp:b:t:c:x:k:q:z:h")) != -1;) {
        switch (option) {
        case 'u': self->wrap = true; break;
        case 'P': self->by_pattern = true; break;
        case 'p': self->port = (uint16_t)bench_number(optarg, 1, 65535); break;
        case 'b': self->brokers = optarg; break;
        case 't': self->topic = optarg; break;
        case 'c': self->channels = (unsigned)bench_number(optarg, 1, BENCH_MAX_CHANNELS); break;
        case 'x': self->prefix = optarg; break;
        case 'k': self->name = optarg; break;
        case 'q': self->queue = optarg; break;
        case 'z': self->compression = optarg; break;
        case 'h': usage(stdout, 0);
        default: usage(stderr, 2);
        }
    }
    if (optind < argc || strlen(self->prefix) > 64)
        usage(stderr, 2);
}

int main(int argc, char **argv)
{
    struct floor self = {.brokers = "127.0.0.1:9092", .topic = "bench", .prefix = "bench", .name = "payload",
                         .queue = "10000000", .compression = "lz4", .port = 6379, .channels = 16, .input_size = 1 << 18,
                         .random_used = sizeof self.random};
    read_options(&self, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = end}, NULL);
    sigaction(SIGINT, &(struct sigaction){.sa_handler = end}, NULL);
    self.input = malloc(self.input_size);
    if (self.input == NULL)
        bench_die("floor: out of memory");
    start_producer(&self);
    run(&self);
    rd_kafka_flush(self.producer, 30000);
    printf("{\"read\": %" PRIu64 ", \"delivered\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"connections\": %" PRIu64 "}\n",
           self.read, self.delivered, self.failed, self.connections);
    rd_kafka_topic_destroy(self.handle);
    rd_kafka_destroy(self.producer);
    free(self.input);
    free(self.value);
    return 0;
}
