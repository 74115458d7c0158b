/*
 * publisher -- publishes numbered messages (bench.h) at a steady rate until SIGTERM, over restarts of Redis, and writes
 * down what became of each.
 *
 *     send what is due each millisecond --> read all replies --> note outcomes --> ...
 *            ^                                    | connection lost: the rest of this batch is unanswered
 *            +------- connect, each 10 ms --------+
 *
 * A number is used only for what was handed to a connection, so nothing is published, or numbered, while Redis is away.
 * The file of outcomes has a line for messages in a row that met the same fate within SPAN_US:
 *
 *     FIRST LAST FATE SENT_US ANSWERED_US
 *
 * FATE: h heard (Redis counted a receiver), u unheard (it counted none), x unanswered (nobody knows). SENT_US is taken
 * before the first of them went out, ANSWERED_US after the last answer, or after the loss of the connection was
 * noticed: microseconds since 1970. At its end it prints one line of JSON. Its memory does not grow.
 */
#include <getopt.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "../../bench/message.h"

enum { SPAN_US = 20000, TICKS = 1000, BATCH_MOST = 1000, TIMEOUT_S = 20 };

struct span {
    uint64_t first, last;
    char fate;
    int64_t sent_us, answered_us;
};

struct publisher {
    const char *host, *prefix, *path;
    int port;
    uint64_t rate;
    unsigned channels;
    size_t size;

    FILE *file;
    redisContext *redis;            /* NULL: not connected */
    struct bench_writer writer;
    char *batch;
    struct span span;               /* the line that is not written yet; fate 0: none */
    uint64_t next;                  /* the next number */
    uint64_t start_ns, sent;        /* of this connection: when its schedule began, what of it is done */
    uint64_t heard, unheard, unanswered, connections, late_ns;
};

static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void write_span(struct publisher *self)
{
    const struct span *span = &self->span;
    if (span->fate != 0)
        fprintf(self->file, "%" PRIu64 " %" PRIu64 " %c %" PRId64 " %" PRId64 "\n", span->first, span->last, span->fate,
                span->sent_us, span->answered_us);
    self->span.fate = 0;
}

static void note(struct publisher *self, uint64_t number, char fate, int64_t sent_us)
{
    self->heard += fate == 'h';
    self->unheard += fate == 'u';
    self->unanswered += fate == 'x';
    if (self->span.fate != fate || sent_us - self->span.sent_us >= SPAN_US) {
        write_span(self);
        self->span = (struct span){.first = number, .fate = fate, .sent_us = sent_us};
    }
    self->span.last = number;
    self->span.answered_us = now_us();
}

static void pause_until(uint64_t ns)
{
    struct timespec until = {(time_t)(ns / BENCH_SECOND), (long)(ns % BENCH_SECOND)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void disconnect(struct publisher *self)
{
    redisFree(self->redis);
    self->redis = NULL;
}

static void connect_once(struct publisher *self)
{
    const struct timeval timeout = {TIMEOUT_S, 0};
    self->redis = redisConnectWithTimeout(self->host, self->port, timeout);
    if (self->redis == NULL)
        bench_die("publisher: out of memory");
    if (self->redis->err || redisSetTimeout(self->redis, timeout) != REDIS_OK) {
        disconnect(self);
        return;
    }
    self->connections++;
    self->start_ns = bench_now();
    self->sent = 0;
}

/* Reads the fate of one message; 0 where the connection is lost. */
static char read_fate(struct publisher *self)
{
    void *got = NULL;
    if (redisGetReply(self->redis, &got) != REDIS_OK)
        return 0;
    const redisReply *reply = got;
    if (reply->type != REDIS_REPLY_INTEGER)
        bench_die("publisher: refused: %s", reply->str);
    char fate = reply->integer > 0 ? 'h' : 'u';
    freeReplyObject(got);
    return fate;
}

/* Publishes so many in one go; the connection is gone afterwards where one had no answer. */
static void publish(struct publisher *self, uint64_t count)
{
    char *at = self->batch;
    for (uint64_t i = 0; i < count; i++)
        at = bench_put_command(&self->writer, at, self->next + i);
    int64_t sent_us = now_us();
    bool lost = redisAppendFormattedCommand(self->redis, self->batch, (size_t)(at - self->batch)) != REDIS_OK;
    for (uint64_t i = 0; i < count; i++) {
        char fate = lost ? 0 : read_fate(self);
        lost = fate == 0;
        note(self, self->next + i, lost ? 'x' : fate, sent_us);
    }
    self->next += count;
    self->sent += count;
    if (lost)
        disconnect(self);
}

/* What is due by the schedule of this connection, which began when it stood: a delay is caught up with. */
static void tick(struct publisher *self)
{
    uint64_t due = (bench_now() - self->start_ns) / (BENCH_SECOND / 1000) * self->rate / 1000;
    if (due <= self->sent)
        return;
    uint64_t behind = (due - self->sent) * BENCH_SECOND / self->rate;
    self->late_ns = behind > self->late_ns ? behind : self->late_ns;
    publish(self, due - self->sent < BATCH_MOST ? due - self->sent : BATCH_MOST);
}

static void run(struct publisher *self)
{
    uint64_t flushed = bench_now();
    while (!ended) {
        if (self->redis == NULL)
            connect_once(self);
        if (self->redis == NULL) {
            pause_until(bench_now() + BENCH_SECOND / 100);
        } else {
            tick(self);
            pause_until((bench_now() / (BENCH_SECOND / TICKS) + 1) * (BENCH_SECOND / TICKS));
        }
        if (bench_now() - flushed > BENCH_SECOND) {
            flushed = bench_now();
            fflush(self->file);
        }
    }
    write_span(self);
}

static _Noreturn void usage(FILE *out, int code)
{
    fputs("usage: publisher [-H HOST] [-p PORT] [-c CHANNELS] [-x PREFIX] [-s BYTES] [-r PER_SECOND] -f FILE\n"
          "Publishes messages of BYTES each, numbered from 0, over PREFIX.0 to PREFIX.CHANNELS-1 until SIGTERM.\n",
          out);
    exit(code);
}

static void read_options(struct publisher *self, int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "H:p:c:x:s:r:f:h")) != -1;) {
        switch (option) {
        case 'H': self->host = optarg; break;
        case 'p': self->port = (int)bench_number(optarg, 1, 65535); break;
        case 'c': self->channels = (unsigned)bench_number(optarg, 1, BENCH_MAX_CHANNELS); break;
        case 'x': self->prefix = optarg; break;
        case 's': self->size = bench_number(optarg, BENCH_SMALLEST, BENCH_LARGEST); break;
        case 'r': self->rate = bench_number(optarg, 1, 1000000); break;
        case 'f': self->path = optarg; break;
        case 'h': usage(stdout, 0);
        default: usage(stderr, 2);
        }
    }
    if (optind < argc || self->path == NULL || strlen(self->prefix) > 64)
        usage(stderr, 2);
}

int main(int argc, char **argv)
{
    struct publisher self = {.host = "127.0.0.1", .port = 6379, .channels = 16, .prefix = "bench", .size = 200,
                             .rate = 20000};
    read_options(&self, argc, argv);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, end);
    signal(SIGINT, end);
    self.writer = bench_writer_new(self.prefix, self.channels, self.size);
    self.batch = malloc(BATCH_MOST * bench_command_size(&self.writer));
    self.file = fopen(self.path, "w");
    if (self.batch == NULL || self.file == NULL)
        bench_die("publisher: out of memory, or %s cannot be written", self.path);
    run(&self);
    if (fclose(self.file) != 0)
        bench_die("publisher: %s could not be written", self.path);
    printf("{\"published\": %" PRIu64 ", \"heard\": %" PRIu64 ", \"unheard\": %" PRIu64 ", \"unanswered\": %" PRIu64
           ", \"connections\": %" PRIu64 ", \"late_ms\": %.1f}\n", self.next, self.heard, self.unheard, self.unanswered,
           self.connections, (double)self.late_ns / 1e6);
    if (self.redis != NULL)
        redisFree(self.redis);
    free(self.batch);
    bench_writer_free(&self.writer);
    return 0;
}
