/*
 * log -- see log.h.
 *
 *     callers --memcpy--> queue --swapped with--> batch --write(2)--> descriptor
 *                           | full: closed until the next swap; the lines meanwhile are counted
 *
 * The writer takes the whole queue at once by swapping it with its empty batch, so the lock is never held over a write,
 * and at most two queues' worth of lines is in memory. Since a full queue stays closed until it is taken, the lines
 * that were lost belong exactly behind that batch, and there it is said.
 *
 * Never: sets O_NONBLOCK on a descriptor that others share; waits for a stuck write when freed (the writer thread then
 * owns the log, frees it when its write returns, and writes nothing more).
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/escape.h"
#include "base/repeat.h"
#include "base/units.h"

#define QUEUE_SIZE ((size_t)256 * 1024)
#define LINE_SIZE ((size_t)PIPE_BUF)    /* a write of up to this is not mixed with other writers' of the same pipe */
#define TEXT_SIZE 3072
#define TAIL_SIZE 96                    /* kept free behind the text: suppressed count, closing quotes */
#define OBJECT_SIZE 512
#define EVENT_SIZE 128

struct rkb_log {
    int fd;
    enum rkb_log_level level;
    enum rkb_log_format format;
    const struct rkb_sys *sys;
    pthread_t thread;
    char *batch;                /* the writer's own */
    _Atomic uint64_t lost;
    _Atomic bool abandoned;     /* nobody waits for the writer any more: no further write */

    pthread_mutex_t lock;       /* of all below */
    pthread_cond_t wake, finished;
    char *queue;
    size_t size;
    uint64_t unsaid;            /* lines lost that no line has told yet */
    bool closed, stopping, ended;
    struct rkb_repeat repeat;
};

struct line {
    uint64_t suppressed;
    const char *object, *event, *text;
    enum rkb_log_level level;
};

static const char *level_word(enum rkb_log_level level)
{
    switch (level) {
    case RKB_LOG_ERROR: return "error";
    case RKB_LOG_WARN: return "warn";
    case RKB_LOG_INFO: return "info";
    case RKB_LOG_DEBUG: return "debug";
    }
    return "";
}

static void put(struct rkb_writer *out, const char *text)
{
    rkb_write_bytes(out, text, strlen(text));
}

/* Text, escaped, up to place `end` of the line; "..." says that something was cut. */
static void put_escaped(struct rkb_writer *out, enum rkb_escape_style style, const char *text, size_t end)
{
    struct rkb_slice rest = rkb_slice_text(text);
    while (rest.size > 0) {
        char step[RKB_ESCAPE_MAX];
        size_t size;
        size_t took = rkb_escape_step(style, rest, step, &size);
        if (out->at + size > end) {
            put(out, "...");
            return;
        }
        rkb_write_bytes(out, step, size);
        rest = rkb_slice(rest.data + took, rest.size - took);
    }
}

static void put_number(struct rkb_writer *out, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    put(out, text);
}

static void compose_text(struct rkb_writer *out, const char time[24], const struct line *line)
{
    size_t event_size = line->event == NULL ? 0 : EVENT_SIZE + sizeof " event=";
    rkb_write_bytes(out, time, 24);
    put(out, " ");
    put(out, level_word(line->level));
    put(out, " ");
    put_escaped(out, RKB_ESCAPE_PLAIN, line->object, out->at + OBJECT_SIZE);
    put(out, ": ");
    put_escaped(out, RKB_ESCAPE_PLAIN, line->text, out->size - TAIL_SIZE - event_size);
    if (line->suppressed > 0) {
        put(out, " (");
        put_number(out, line->suppressed);
        put(out, " like this suppressed)");
    }
    if (line->event != NULL) {
        put(out, " event=");
        put_escaped(out, RKB_ESCAPE_PLAIN, line->event, out->at + EVENT_SIZE);
    }
    put(out, "\n");
}

static void compose_json(struct rkb_writer *out, const char time[24], const struct line *line)
{
    put(out, "{\"time\":\"");
    rkb_write_bytes(out, time, 24);
    put(out, "\",\"level\":\"");
    put(out, level_word(line->level));
    put(out, "\",\"object\":\"");
    put_escaped(out, RKB_ESCAPE_JSON, line->object, out->at + OBJECT_SIZE);
    put(out, line->event == NULL ? "\",\"event\":null" : "\",\"event\":\"");
    if (line->event != NULL) {
        put_escaped(out, RKB_ESCAPE_JSON, line->event, out->at + EVENT_SIZE);
        put(out, "\"");
    }
    put(out, ",\"text\":\"");
    put_escaped(out, RKB_ESCAPE_JSON, line->text, out->size - TAIL_SIZE);
    put(out, "\"");
    if (line->suppressed > 0) {
        put(out, ",\"suppressed\":");
        put_number(out, line->suppressed);
    }
    put(out, "}\n");
}

static size_t compose(const struct rkb_log *log, const struct line *line, char out[LINE_SIZE])
{
    char time[24];
    rkb_format_time(time, log->sys->realtime_us());
    struct rkb_writer writer = rkb_writer(out, LINE_SIZE);
    switch (log->format) {
    case RKB_LOG_TEXT: compose_text(&writer, time, line); break;
    case RKB_LOG_JSON: compose_json(&writer, time, line); break;
    }
    return writer.at;
}

/* One write; waits where somebody else made the descriptor non-blocking. false: it failed. */
static bool write_some(int fd, const char *data, size_t size, size_t *written)
{
    ssize_t got = write(fd, data, size);
    if (got < 0 && errno == EAGAIN) {
        struct pollfd ready = {.fd = fd, .events = POLLOUT};
        (void)!poll(&ready, 1, 1000);
        return true;
    }
    if (got < 0 && errno != EINTR)
        return false;
    *written += got > 0 ? (size_t)got : 0;
    return true;
}

/* The length of the whole lines at data that go out in one write. */
static size_t whole_lines(const char *data, size_t size)
{
    if (size <= LINE_SIZE)
        return size;
    const char *last = memrchr(data, '\n', LINE_SIZE);
    return last == NULL ? LINE_SIZE : (size_t)(last - data) + 1;
}

static uint64_t count_lines(const char *data, size_t size)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    return lines;
}

/* Writes all, unless the descriptor fails or nobody waits any more. Returns how many lines did not get out whole. */
static uint64_t write_lines(const struct rkb_log *log, const char *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t end = at + whole_lines(data + at, size - at);
        while (at < end)
            if (log->abandoned || !write_some(log->fd, data + at, end - at, &at))
                return count_lines(data + at, size - at);
    }
    return 0;
}

/* Says behind a batch how many lines were lost; what could not even be said stays for the next time. */
static uint64_t say_lost(struct rkb_log *log, uint64_t lost)
{
    char text[80], out[LINE_SIZE];
    struct line line = {.object = "log", .event = "log_lines_lost", .text = text, .level = RKB_LOG_WARN};
    snprintf(text, sizeof text, "%llu lines lost: nobody took them in time", (unsigned long long)lost);
    return lost > 0 && write_lines(log, out, compose(log, &line, out)) > 0 ? lost : 0;
}

/* Waits for lines and takes them all. Under the lock. false: stopping, and none are left. */
static bool take_batch(struct rkb_log *log, size_t *size, uint64_t *unsaid)
{
    while (log->size == 0 && !log->stopping)
        pthread_cond_wait(&log->wake, &log->lock);
    char *empty = log->batch;
    log->batch = log->queue;
    log->queue = empty;
    *size = log->size;
    *unsaid = log->unsaid;
    log->size = 0;
    log->unsaid = 0;
    log->closed = false;
    return *size > 0 && !log->abandoned;
}

static void destroy(struct rkb_log *log)
{
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->wake);
    pthread_cond_destroy(&log->finished);
    free(log->queue);
    free(log->batch);
    free(log);
}

static void *run(void *argument)
{
    struct rkb_log *log = argument;
    size_t size;
    uint64_t unsaid;
    pthread_mutex_lock(&log->lock);
    while (take_batch(log, &size, &unsaid)) {
        pthread_mutex_unlock(&log->lock);
        uint64_t failed = write_lines(log, log->batch, size);
        unsaid = say_lost(log, unsaid + failed);
        log->lost += failed;
        pthread_mutex_lock(&log->lock);
        log->unsaid += unsaid;
    }
    log->ended = true;
    bool mine = log->abandoned;
    pthread_cond_signal(&log->finished);
    pthread_mutex_unlock(&log->lock);
    if (mine)
        destroy(log);
    return NULL;
}

/* All signals are for other threads; and a SIGPIPE of ours becomes an EPIPE. */
static int start_thread(struct rkb_log *log)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&log->thread, NULL, run, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number;
}

static void initialise_locks(struct rkb_log *log)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wake, NULL);
    pthread_cond_init(&log->finished, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

struct rkb_log *rkb_log_new_with(int fd, enum rkb_log_level level, enum rkb_log_format format,
                                 const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_log *log = calloc(1, sizeof *log);
    if (log == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the log");
        return NULL;
    }
    log->fd = fd;
    log->level = level;
    log->format = format;
    log->sys = sys;
    log->queue = malloc(QUEUE_SIZE);
    log->batch = malloc(QUEUE_SIZE);
    initialise_locks(log);
    errno = log->queue == NULL || log->batch == NULL ? ENOMEM : start_thread(log);
    if (errno != 0) {
        rkb_fail_errno(error, "the log cannot start");
        destroy(log);
        return NULL;
    }
    return log;
}

struct rkb_log *rkb_log_new(int fd, enum rkb_log_level level, enum rkb_log_format format, struct rkb_error *error)
{
    return rkb_log_new_with(fd, level, format, &rkb_sys_posix, error);
}

static struct timespec deadline_in(int milliseconds)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += milliseconds / 1000;
    at.tv_nsec += (long)(milliseconds % 1000) * 1000000;
    if (at.tv_nsec >= 1000000000) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000;
    }
    return at;
}

void rkb_log_free(struct rkb_log *log, int milliseconds)
{
    if (log == NULL)
        return;
    struct timespec deadline = deadline_in(milliseconds);
    pthread_mutex_lock(&log->lock);
    log->stopping = true;
    pthread_cond_signal(&log->wake);
    while (!log->ended && pthread_cond_timedwait(&log->finished, &log->lock, &deadline) != ETIMEDOUT)
        continue;
    bool ended = log->ended;
    if (!ended) {
        log->abandoned = true;
        pthread_detach(log->thread);
    }
    pthread_mutex_unlock(&log->lock);
    if (ended) {
        pthread_join(log->thread, NULL);
        destroy(log);
    }
}

static uint64_t hash(uint64_t seed, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        seed = (seed ^ bytes[i]) * 0x100000001b3;
    return seed;
}

/* What counts as the same line again: object and event; without an event, object and format. */
static uint64_t kind_of(const char *object, const char *event, const char *format)
{
    const char *what = event != NULL ? event : format;
    uint64_t kind = hash(0xcbf29ce484222325, object, strlen(object) + 1);
    return hash(kind, what, strlen(what));
}

static bool may_pass(struct rkb_log *log, uint64_t kind, uint64_t *suppressed)
{
    int64_t now_us = log->sys->monotonic_us();
    pthread_mutex_lock(&log->lock);
    bool passes = rkb_repeat_pass(&log->repeat, kind, now_us, suppressed);
    pthread_mutex_unlock(&log->lock);
    return passes;
}

static void enqueue(struct rkb_log *log, const char *data, size_t size)
{
    pthread_mutex_lock(&log->lock);
    log->closed = log->closed || size > QUEUE_SIZE - log->size;
    if (log->closed) {
        log->unsaid++;
        log->lost++;
    } else {
        memcpy(log->queue + log->size, data, size);
        log->size += size;
    }
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
}

/* An error's own words may begin with the object they are about ("journal: ..."): it is not named twice. */
static const char *without_object(const char *text, const char *object)
{
    size_t size = strlen(object);
    return strncmp(text, object, size) == 0 && strncmp(text + size, ": ", 2) == 0 ? text + size + 2 : text;
}

void rkb_log(struct rkb_log *log, enum rkb_log_level level, const char *object, const char *event, const char *format,
             ...)
{
    char text[TEXT_SIZE], out[LINE_SIZE];
    struct line line = {.object = object, .event = event, .text = text, .level = level};
    if (log == NULL || level > log->level || !may_pass(log, kind_of(object, event, format), &line.suppressed))
        return;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    line.text = without_object(text, object);
    enqueue(log, out, compose(log, &line, out));
}

uint64_t rkb_log_lost(const struct rkb_log *log)
{
    return log != NULL ? log->lost : 0;
}
