/*
 * publisher -- publishes numbered, timed messages (bench.h) and checks the reply of every PUBLISH.
 *
 * Without a rate it keeps up to --window commands in flight, so that Redis always has the next one: as fast as Redis
 * takes them from one connection. With a rate it sends what is due each millisecond by an absolute schedule, so that a
 * delay is caught up with and not forgotten.
 *
 * At its end it prints one line of JSON. unheard: messages for which Redis counted no receiver; nobody could have them.
 * cpu: its own seconds of CPU time.
 */
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <string.h>

#include "message.h"

enum { BATCH = 256 };

struct publisher {
    const char *host, *prefix;
    int port;
    uint64_t first, count, window, rate;
    unsigned channels;
    size_t size;

    redisContext *redis;
    struct bench_writer writer;
    char *batch;
    uint64_t sent, replied, unheard, shared;
    uint64_t latest_ns;             /* with a rate: the longest a message was behind its schedule */
};

/* Hands the messages up to the given number to hiredis; they go out with the next read of a reply. */
static void send_up_to(struct publisher *self, uint64_t number)
{
    while (self->sent < number) {
        char *at = self->batch;
        for (int i = 0; i < BATCH && self->sent < number; i++)
            at = bench_put_command(&self->writer, at, self->first + self->sent++);
        if (redisAppendFormattedCommand(self->redis, self->batch, (size_t)(at - self->batch)) != REDIS_OK)
            bench_die("publisher: %s", self->redis->errstr);
    }
}

/* Reads replies until no more than so many are open. */
static void read_down_to(struct publisher *self, uint64_t open)
{
    while (self->sent - self->replied > open) {
        void *got = NULL;
        if (redisGetReply(self->redis, &got) != REDIS_OK)
            bench_die("publisher: after %" PRIu64 " replies: %s", self->replied, self->redis->errstr);
        const redisReply *reply = got;
        if (reply->type != REDIS_REPLY_INTEGER)
            bench_die("publisher: message %" PRIu64 " was refused: %s", self->replied, reply->str);
        self->unheard += reply->integer == 0;
        self->shared += reply->integer > 1;
        self->replied++;
        freeReplyObject(got);
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void publish_fast(struct publisher *self)
{
    while (self->replied < self->count) {
        send_up_to(self, least(self->count, self->replied + self->window));
        read_down_to(self, self->sent < self->count ? self->window / 2 : 0);
    }
}

static void publish_paced(struct publisher *self)
{
    const uint64_t start = bench_now(), slice = BENCH_SECOND / 1000;
    for (uint64_t tick = 1; self->replied < self->count; tick++) {
        uint64_t wake = start + tick * slice;
        struct timespec until = {(time_t)(wake / BENCH_SECOND), (long)(wake % BENCH_SECOND)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        uint64_t late = bench_now() - wake;
        self->latest_ns = late > self->latest_ns ? late : self->latest_ns;
        send_up_to(self, least(self->count, tick * self->rate / 1000));
        read_down_to(self, 0);
    }
}

static _Noreturn void usage(FILE *out, int code)
{
    fputs("usage: publisher [-H HOST] [-p PORT] [-o FIRST] [-n COUNT] [-c CHANNELS] [-x PREFIX] [-s BYTES]\n"
          "                 [-w WINDOW] [-r PER_SECOND]\n"
          "Publishes COUNT messages, numbered from FIRST, of BYTES each (20, or 128 and more) over PREFIX.0 to\n"
          "PREFIX.CHANNELS-1; rate 0 is as fast as Redis takes them.\n", out);
    exit(code);
}

static void read_options(struct publisher *self, int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "H:p:o:n:c:x:s:w:r:h")) != -1;) {
        switch (option) {
        case 'H': self->host = optarg; break;
        case 'p': self->port = (int)bench_number(optarg, 1, 65535); break;
        case 'o': self->first = bench_number(optarg, 0, BENCH_MAX_COUNT); break;
        case 'n': self->count = bench_number(optarg, 1, BENCH_MAX_COUNT); break;
        case 'c': self->channels = (unsigned)bench_number(optarg, 1, BENCH_MAX_CHANNELS); break;
        case 'x': self->prefix = optarg; break;
        case 's': self->size = bench_number(optarg, BENCH_SHORT_SIZE, BENCH_LARGEST); break;
        case 'w': self->window = bench_number(optarg, 1, 1000000); break;
        case 'r': self->rate = bench_number(optarg, 0, 10000000); break;
        case 'h': usage(stdout, 0);
        default: usage(stderr, 2);
        }
    }
    if (optind < argc || strlen(self->prefix) > 64)
        usage(stderr, 2);
    if (self->size != BENCH_SHORT_SIZE && self->size < BENCH_SMALLEST)
        bench_die("publisher: messages are of %d bytes, or of %d and more", BENCH_SHORT_SIZE, BENCH_SMALLEST);
    if (self->size == BENCH_SHORT_SIZE && self->first + self->count > BENCH_SHORT_COUNT)
        bench_die("publisher: at most %llu short messages", BENCH_SHORT_COUNT);
}

int main(int argc, char **argv)
{
    struct publisher self = {.host = "127.0.0.1", .port = 6379, .count = 1000000, .channels = 16, .prefix = "bench",
                             .size = 200, .window = 2000};
    read_options(&self, argc, argv);
    self.writer = bench_writer_new(self.prefix, self.channels, self.size);
    self.batch = malloc(BATCH * bench_command_size(&self.writer));
    if (self.batch == NULL)
        bench_die("out of memory");
    self.redis = redisConnect(self.host, self.port);
    if (self.redis == NULL || self.redis->err)
        bench_die("publisher: %s", self.redis == NULL ? "out of memory" : self.redis->errstr);

    uint64_t start = bench_now();
    if (self.rate > 0)
        publish_paced(&self);
    else
        publish_fast(&self);
    double seconds = (double)(bench_now() - start) / (double)BENCH_SECOND;

    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);

    printf("{\"published\": %" PRIu64 ", \"unheard\": %" PRIu64 ", \"shared\": %" PRIu64 ", \"seconds\": %.3f, "
           "\"late_ms\": %.1f, \"cpu\": %.3f}\n", self.replied, self.unheard, self.shared, seconds,
           (double)self.latest_ns / 1e6, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9);
    redisFree(self.redis);
    bench_writer_free(&self.writer);
    free(self.batch);
    return 0;
}
