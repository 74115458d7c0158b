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

#include "base/log_line.h"
#include "base/recent.h"
#include "base/repeat.h"

#define QUEUE_SIZE ((size_t)256 * 1024)
#define TEXT_SIZE 3072
#define EVENTS_KEPT 256                 /* lines with an event word, for who watches */
#define ERRORS_KEPT 128                 /* warnings and errors, for who asks later */

struct rkb_log {
    int fd;
    enum rkb_log_format format;
    const struct rkb_sys *sys;
    struct rkb_recent *events, *errors;
    _Atomic int level;          /* the least important that any object writes */
    _Atomic int watch_fd;       /* written when a line with an event came; -1: nobody waits for that */
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
    enum rkb_log_level all;     /* the level of those that have none of their own */
    struct own_level {
        char object[RKB_LOG_OBJECT_SIZE];
        enum rkb_log_level level;
    } own[RKB_LOG_OWN_LEVELS];
    size_t own_count;
};

static size_t compose(const struct rkb_log *log, struct rkb_log_line *line, char out[RKB_LOG_LINE_SIZE])
{
    line->time_us = log->sys->realtime_us();
    return rkb_log_line_compose(line, log->format, out);
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
    if (size <= RKB_LOG_LINE_SIZE)
        return size;
    const char *last = memrchr(data, '\n', RKB_LOG_LINE_SIZE);
    return last == NULL ? RKB_LOG_LINE_SIZE : (size_t)(last - data) + 1;
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
    char text[80], out[RKB_LOG_LINE_SIZE];
    struct rkb_log_line line = {.object = "log", .event = "log_lines_lost", .text = text, .level = RKB_LOG_WARN};
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
    rkb_recent_free(log->events);
    rkb_recent_free(log->errors);
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
    log->level = log->all = level;
    log->watch_fd = -1;
    log->format = format;
    log->sys = sys;
    log->queue = malloc(QUEUE_SIZE);
    log->batch = malloc(QUEUE_SIZE);
    log->events = rkb_recent_new(EVENTS_KEPT);
    log->errors = rkb_recent_new(ERRORS_KEPT);
    initialise_locks(log);
    bool made = log->queue != NULL && log->batch != NULL && log->events != NULL && log->errors != NULL;
    errno = made ? start_thread(log) : ENOMEM;
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

/* Under the lock. */
static enum rkb_log_level level_of(const struct rkb_log *log, const char *object)
{
    for (size_t i = 0; i < log->own_count; i++)
        if (strcmp(log->own[i].object, object) == 0)
            return log->own[i].level;
    return log->all;
}

static bool may_pass(struct rkb_log *log, enum rkb_log_level level, const char *object, uint64_t kind,
                     uint64_t *suppressed)
{
    int64_t now_us = log->sys->monotonic_us();
    pthread_mutex_lock(&log->lock);
    bool passes = level <= level_of(log, object) && rkb_repeat_pass(&log->repeat, kind, now_us, suppressed);
    pthread_mutex_unlock(&log->lock);
    return passes;
}

/* For who watches, and who asks later. */
static void keep(struct rkb_log *log, const struct rkb_log_line *line)
{
    uint64_t one = 1;
    if (line->level <= RKB_LOG_WARN)
        rkb_recent_add(log->errors, line);
    if (line->event == NULL)
        return;
    rkb_recent_add(log->events, line);
    if (log->watch_fd < 0)
        return;
    pthread_mutex_lock(&log->lock);     /* so that nobody closes it meanwhile */
    if (log->watch_fd >= 0)
        (void)!write(log->watch_fd, &one, sizeof one);
    pthread_mutex_unlock(&log->lock);
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
    char text[TEXT_SIZE], out[RKB_LOG_LINE_SIZE];
    struct rkb_log_line line = {.object = object, .event = event, .text = text, .level = level};
    if (log == NULL || (int)level > log->level
        || !may_pass(log, level, object, kind_of(object, event, format), &line.suppressed))
        return;
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size >= (int)sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    line.text = without_object(text, object);
    enqueue(log, out, compose(log, &line, out));
    keep(log, &line);
}

struct rkb_recent *rkb_log_kept(const struct rkb_log *log, enum rkb_log_kept which)
{
    return which == RKB_LOG_EVENTS ? log->events : log->errors;
}

void rkb_log_watch(struct rkb_log *log, int fd)
{
    pthread_mutex_lock(&log->lock);
    log->watch_fd = fd;
    pthread_mutex_unlock(&log->lock);
}

/* ---- levels ---- */

static void note_least(struct rkb_log *log)
{
    int least = (int)log->all;
    for (size_t i = 0; i < log->own_count; i++)
        least = (int)log->own[i].level > least ? (int)log->own[i].level : least;
    log->level = least;
}

static bool set_own(struct rkb_log *log, const char *object, enum rkb_log_level level)
{
    size_t i = 0;
    while (i < log->own_count && strcmp(log->own[i].object, object) != 0)
        i++;
    if (i == RKB_LOG_OWN_LEVELS || strlen(object) >= RKB_LOG_OBJECT_SIZE)
        return false;
    if (i == log->own_count)
        log->own_count++;
    strcpy(log->own[i].object, object);
    log->own[i].level = level;
    return true;
}

bool rkb_log_set_level(struct rkb_log *log, enum rkb_log_level level, const char *object)
{
    bool set = true;
    pthread_mutex_lock(&log->lock);
    if (object != NULL) {
        set = set_own(log, object, level);
    } else {
        log->all = level;
        log->own_count = 0;
    }
    note_least(log);
    pthread_mutex_unlock(&log->lock);
    return set;
}

enum rkb_log_level rkb_log_level_at(struct rkb_log *log, size_t i, char object[RKB_LOG_OBJECT_SIZE])
{
    pthread_mutex_lock(&log->lock);
    bool own = i > 0 && i <= log->own_count;
    snprintf(object, RKB_LOG_OBJECT_SIZE, "%s", own ? log->own[i - 1].object : "");
    enum rkb_log_level level = own ? log->own[i - 1].level : log->all;
    pthread_mutex_unlock(&log->lock);
    return level;
}

uint64_t rkb_log_lost(const struct rkb_log *log)
{
    return log != NULL ? log->lost : 0;
}
