/* transport_support -- see transport_support.h. */
#include "transport_support.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *line_log(struct line *line)
{
    uint8_t *end = rkb_buffer_reserve(&line->log, 1);
    assert_non_null(end);
    *end = '\0';
    return (const char *)line->log.data;
}

static void on_opened(void *context)
{
    struct line *line = context;
    rkb_buffer_text(&line->log, "opened\n");
}

static void on_bytes(void *context, struct rkb_slice bytes, int64_t time_us)
{
    struct line *line = context;
    assert_true(time_us > 0);
    rkb_buffer_add(&line->bytes, bytes.data, bytes.size);
    if (line->pause_in_bytes)
        rkb_transport_pause(line->transport, true);
    line->pause_in_bytes = false;
    if (line->in_bytes != NULL)
        line->in_bytes(line, line->argument);
    if (line->close_in_bytes)
        rkb_transport_close(line->transport);
}

static void on_idle(void *context, int64_t caught_up_us)
{
    struct line *line = context;
    line->caught_up_us = caught_up_us;
    rkb_buffer_text(&line->log, caught_up_us != 0 ? "caught up\n" : "idle\n");
}

static void on_broken(void *context, const struct rkb_error *error)
{
    struct line *line = context;
    rkb_buffer_format(&line->log, "broken %d %s\n", (int)error->code, error->text);
}

static void never(void *object)
{
    (void)object;
}

const char *line_path(struct line *line, const char *name)
{
    char *path = line->paths[line->path_count++ % LINE_PATHS];
    snprintf(path, sizeof line->paths[0], "%s/%s", line->directory, name);
    return path;
}

void line_write(struct line *line, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", line->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

int line_start(void **state)
{
    struct line *line = calloc(1, sizeof *line);
    const char *parent = getenv("TMPDIR");
    snprintf(line->directory, sizeof line->directory, "%.40s/rkb-line-XXXXXX", parent != NULL ? parent : "/tmp");
    signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(line->directory));
    line->base = event_base_new();
    line->guard = (struct rkb_guard){.destroy = never};
    line->sys = rkb_sys_posix;
    snprintf(line->hosts, sizeof line->hosts, "%s/hosts", line->directory);
    snprintf(line->resolv_conf, sizeof line->resolv_conf, "%s/resolv.conf", line->directory);
    line_write(line, "hosts", "127.0.0.1 redis.test\n");
    line_write(line, "resolv.conf", "");
    static const char *const nobody[] = {NULL};
    line->names = (struct rkb_resolver_files){line->hosts, line->resolv_conf, nobody};
    line->options = (struct rkb_transport_options){
        .url = &line->url, .names = &line->names, .silence_us = 20000000, .sys = &line->sys,
    };
    *state = line;
    return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk)
{
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

int line_end(void **state)
{
    struct line *line = *state;
    rkb_transport_free(line->transport);
    event_base_loop(line->base, EVLOOP_NONBLOCK);
    event_base_free(line->base);
    nftw(line->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    rkb_buffer_free(&line->log);
    rkb_buffer_free(&line->bytes);
    free(line);
    return 0;
}

void line_open(struct line *line, const char *scheme, const char *host, int port)
{
    static const struct rkb_transport_events events = {on_opened, on_bytes, on_idle, on_broken};
    char url[400];
    struct rkb_error error;
    snprintf(url, sizeof url, "%s://bridge@%s:%d", scheme, host, port);
    assert_true(rkb_redis_url_parse(url, &line->url, &error));
    rkb_transport_free(line->transport);
    line->log.size = line->bytes.size = 0;
    line->transport = rkb_transport_new(line->base, &line->options, &line->guard, &events, line);
    assert_non_null(line->transport);
    rkb_transport_open(line->transport);
}

static void too_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

/* Until the text is there, or, without one, so many bytes. */
static void turn_until(struct line *line, const char *text, size_t size)
{
    bool late = false;
    const struct timeval limit = {15, 0};
    struct event *timer = evtimer_new(line->base, too_late, &late);
    event_add(timer, &limit);
    while (!late && (text != NULL ? strstr(line_log(line), text) == NULL : line->bytes.size < size))
        event_base_loop(line->base, EVLOOP_ONCE);
    event_free(timer);
    if (late)
        fail_msg("no \"%s\", or %zu bytes, in time; log:\n%s", text != NULL ? text : "", size, line_log(line));
}

void line_until(struct line *line, const char *text)
{
    turn_until(line, text, 0);
}

void line_until_bytes(struct line *line, size_t size)
{
    turn_until(line, NULL, size);
}

int line_turn(struct line *line, int turns)
{
    int rounds = 0;
    const struct timeval little = {0, 2000};
    for (int i = 0; i < turns; i++) {
        bool late = false;
        struct event *timer = evtimer_new(line->base, too_late, &late);
        event_add(timer, &little);
        while (!late) {
            event_base_loop(line->base, EVLOOP_ONCE);
            rounds++;
        }
        event_free(timer);
    }
    return rounds;
}
