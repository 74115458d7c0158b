/* subscriber_support -- see subscriber_support.h. */
#include "subscriber_support.h"
#include "times_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The clock is turned by hand, and chance is none: jitter is in the middle. */
int64_t monotonic_now;

static int64_t monotonic(void)
{
    return monotonic_now;
}

int64_t quiet_now;

static int64_t quiet(int fd)
{
    (void)fd;
    return quiet_now;
}

int64_t realtime_moved;

int64_t realtime(void)
{
    return realtime_moved + 1700000000 * (int64_t)SECOND;
}

static int no_chance(void *data, size_t size)
{
    memset(data, 0x7f, size);
    return 0;
}

const char *log_text(struct test *test)
{
    uint8_t *end = rkb_buffer_reserve(&test->log, 1);
    assert_non_null(end);
    *end = '\0';
    return (const char *)test->log.data;
}

bool begins(const char *line, const char *with)
{
    return with != NULL && strncmp(line, with, strlen(with)) == 0;
}

/* Writes the line down, and does what the test wants done inside this callback. */
static void happened(struct test *test, const char *line)
{
    rkb_buffer_format(&test->log, "%s\n", line);
    if (begins(line, test->pause_at)) {
        test->pause_at = NULL;
        rkb_subscriber_pause(test->subscriber, true);
    }
    if (begins(line, test->stop_at)) {
        test->stop_at = NULL;
        rkb_subscriber_stop(test->subscriber, 5 * SECOND);
        rkb_buffer_text(&test->log, "(stop)\n");
    }
    if (begins(line, test->free_at)) {
        test->free_at = NULL;
        rkb_subscriber_free(test->subscriber);
        test->subscriber = NULL;
        rkb_buffer_text(&test->log, "(freed)\n");
    }
}

static void on_stream(void *context, int64_t time_us)
{
    assert_int_equal(time_us, realtime());
    happened(context, "stream");
}

static void on_confirmed(void *context, bool is_pattern, struct rkb_slice name, bool on)
{
    char line[256];
    snprintf(line, sizeof line, "%s %s%.*s", on ? "on" : "off", is_pattern ? "~" : "", (int)name.size,
             (const char *)name.data);
    happened(context, line);
}

static void on_refused(void *context, bool is_pattern, struct rkb_slice name, enum rkb_lack lack,
                       struct rkb_slice words)
{
    static const char *const lacks[] = {"nothing", "command", "channel", "either"};
    char line[256];
    assert_memory_equal(words.data, "NOPERM", 6);
    snprintf(line, sizeof line, "refused %s%.*s %s", is_pattern ? "~" : "", (int)name.size, (const char *)name.data,
             lacks[lack]);
    happened(context, line);
}

static void on_allowed(void *context, bool is_pattern, struct rkb_slice name)
{
    char line[256];
    snprintf(line, sizeof line, "allowed %s%.*s", is_pattern ? "~" : "", (int)name.size, (const char *)name.data);
    happened(context, line);
}

static void on_subscribed(void *context, int64_t time_us, size_t refused)
{
    char line[64];
    assert_int_equal(time_us, realtime());
    snprintf(line, sizeof line, refused == 0 ? "subscribed" : "subscribed but %zu", refused);
    happened(context, line);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    char line[256];
    assert_int_equal(time_us, realtime());
    assert_true(is_pattern || pattern.size == 0);
    int used = is_pattern ? snprintf(line, sizeof line, "message ~%.*s ", (int)pattern.size, (const char *)pattern.data)
                          : snprintf(line, sizeof line, "message ");
    snprintf(line + used, sizeof line - (size_t)used, "%.*s %.*s", (int)channel.size, (const char *)channel.data,
             (int)payload.size, (const char *)payload.data);
    happened(context, line);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size, int64_t time_us)
{
    char line[256];
    assert_int_equal(time_us, realtime());
    snprintf(line, sizeof line, "too large %s%.*s %.*s %llu", is_pattern ? "~" : "-", (int)pattern.size,
             pattern.size > 0 ? (const char *)pattern.data : "", (int)channel.size, (const char *)channel.data,
             (unsigned long long)size);
    happened(context, line);
}

static void on_batch(void *context)
{
    happened(context, "batch");
}

static void on_lost(void *context, const struct rkb_error *error, bool was_stream, int64_t caught_up_us,
                    int64_t retry_us)
{
    struct test *test = context;
    test->lost = *error;
    test->caught_up_us = caught_up_us;
    test->retry_us = retry_us;
    happened(test, was_stream ? "lost stream" : "lost");
}

static void on_heartbeat(void *context, struct rkb_slice words)
{
    char line[128];
    snprintf(line, sizeof line, "heartbeat %.*s", (int)words.size, words.size > 0 ? (const char *)words.data : "");
    happened(context, line);
}

static void on_stopped(void *context)
{
    happened(context, "stopped");
}

static void on_turned(void *context)
{
    happened(context, "turned");
}

static void on_changed(void *context, size_t kept)
{
    char line[64];
    snprintf(line, sizeof line, kept == 0 ? "changed" : "changed but %zu", kept);
    happened(context, line);
}

bool give_password(void *context, char *out, size_t size, struct rkb_error *error)
{
    const struct test *test = context;
    if (test->password == NULL)
        return rkb_fail(error, RKB_SYSTEM, "the password file cannot be read");
    snprintf(out, size, "%s", test->password);
    return true;
}

static const struct rkb_subscriber_events recording = {
    .stream = on_stream,
    .confirmed = on_confirmed,
    .refused = on_refused,
    .allowed = on_allowed,
    .subscribed = on_subscribed,
    .heartbeat = on_heartbeat,
    .message = on_message,
    .too_large = on_too_large,
    .batch = on_batch,
    .lost = on_lost,
    .stopped = on_stopped,
    .turned = on_turned,
    .changed = on_changed,
};

void use_port(struct test *test, const char *login, const char *host)
{
    char url[256];
    struct rkb_error error;
    snprintf(url, sizeof url, "redis://%s%s:%d", login, host, fake_redis_port(test->fake));
    assert_true(rkb_redis_url_parse(url, &test->options.url, &error));
}

void listen_anew(struct test *test, const char *path, bool six)
{
    fake_redis_free(test->fake);
    test->fake = fake_redis_new(test->base, path, six);
}

int start(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    test->base = event_base_new();
    listen_anew(test, NULL, false);
    test->sys = rkb_sys_posix;
    test->sys.monotonic_us = monotonic;
    test->sys.realtime_us = realtime;
    test->sys.quiet_us = quiet;
    quiet_now = 0;
    test->sys.random = no_chance;
    test->options = (struct rkb_subscriber_options){
        .client_name = "rkbridge:test",
        .connect_timeout_us = 20 * SECOND,
        .heartbeat_us = 20 * SECOND,
        .heartbeat_timeout_us = 20 * SECOND,
        .backoff_min_us = 2 * MILLISECOND,
        .backoff_max_us = 16 * MILLISECOND,
        .healthy_us = 10 * SECOND,
        .max_message_size = 64 * 1024,
        .refused_again_us = 20 * SECOND,
        .sys = &test->sys,
    };
    use_port(test, "", "127.0.0.1");
    *state = test;
    return 0;
}

int end(void **state)
{
    struct test *test = *state;
    rkb_subscriber_free(test->subscriber);
    fake_redis_free(test->fake);
    if (test->path[0] != '\0')
        unlink(test->path);
    event_base_loop(test->base, EVLOOP_NONBLOCK);
    event_base_free(test->base);
    rkb_buffer_free(&test->log);
    free(test);
    return 0;
}

void make(struct test *test)
{
    test->subscriber = rkb_subscriber_new(test->base, &test->options, &recording, test);
    assert_non_null(test->subscriber);
}

void add(struct test *test, const char *name)
{
    struct rkb_error error;
    bool is_pattern = name[0] == '~';
    assert_true(rkb_subscriber_add(test->subscriber, is_pattern, rkb_slice_text(name + is_pattern), &error));
}

void begin(struct test *test)
{
    make(test);
    add(test, "users");
    add(test, "~u*");
    rkb_subscriber_start(test->subscriber);
}

void begin_subscribed(struct test *test)
{
    begin(test);
    until(test, "subscribed\n", 1);
}

static void too_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

void until(struct test *test, const char *text, int times)
{
    bool late = false;
    const struct timeval limit = {15, 0};
    struct event *timer = evtimer_new(test->base, too_late, &late);
    event_add(timer, &limit);
    for (int seen = 0; seen < times && !late;) {
        event_base_loop(test->base, EVLOOP_ONCE);
        seen = times_in(log_text(test), text) + times_in(fake_redis_heard(test->fake), text);
    }
    event_free(timer);
    if (late)
        fail_msg("no \"%s\" in time; log:\n%sheard:\n%s", text, log_text(test), fake_redis_heard(test->fake));
}

int pass(struct test *test, int milliseconds)
{
    bool late = false;
    int turns = 0;
    const struct timeval limit = {0, milliseconds * 1000};
    struct event *timer = evtimer_new(test->base, too_late, &late);
    event_add(timer, &limit);
    while (!late) {
        event_base_loop(test->base, EVLOOP_ONCE);
        turns++;
    }
    event_free(timer);
    return turns;
}

void assert_log(struct test *test, const char *wanted)
{
    assert_string_equal(log_text(test), wanted);
}

void forget_log(struct test *test)
{
    test->log.size = 0;
}

struct rkb_subscriber_figures figures(const struct test *test)
{
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(test->subscriber, &figures);
    return figures;
}
