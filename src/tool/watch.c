/*
 * watch -- `rkbctl watch`: on a terminal the status, drawn anew each second, and below it the last events; otherwise
 * the verdict when it is another, and a line for each event.
 *
 *     connected --silent, or closed--> away: said, and tried again each second --answers--> connected
 *         |                              |
 *         +------ SIGINT, SIGTERM -------+--> the screen as it was before, exit code 0
 *
 * Two connections: one for `watch`, whose answer never ends, one for `status`, asked each second. Never: waits for the
 * one while the other has something to say.
 */
#include "tool/tool.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "tool/talk.h"
#include "tool/watch_screen.h"

#define SECOND_US 1000000
#define SILENCE_US 10000000
#define READ_SIZE 65536
#define ANSWER_MAX (4u << 20)
#define OTHER_SCREEN "\033[?1049h\033[2J"
#define SCREEN_BACK "\033[?1049l"

struct line_reader {
    int fd;                     /* -1: none */
    struct rkb_buffer buffer;
    size_t at;                  /* so much of it is taken */
};

struct watching {
    const char *path;
    FILE *out, *err;
    bool draws, json;           /* on a terminal; lines of JSON */
    struct line_reader events, status;
    struct rkb_buffer answer;   /* to `status`, as far as it is there */
    struct rkb_buffer whole;    /* the last whole one, without its end */
    int64_t asked_us;           /* the last `status`, or the last attempt to connect */
    bool waits;                 /* for its answer */
    bool away;
    char reason[200], verdict[200];
    struct rkb_watch_events last;
    int signals;
};

/* ---- lines ---- */

static void forget(struct line_reader *reader)
{
    if (reader->fd >= 0)
        close(reader->fd);
    rkb_buffer_free(&reader->buffer);
    *reader = (struct line_reader){.fd = -1};
}

/* What has come; false with errno (0: closed) when no more will. */
static bool read_some(struct line_reader *reader)
{
    uint8_t *room = reader->buffer.size < ANSWER_MAX ? rkb_buffer_reserve(&reader->buffer, READ_SIZE) : NULL;
    if (room == NULL) {
        errno = ENOMEM;
        return false;
    }
    ssize_t got = recv(reader->fd, room, READ_SIZE, MSG_DONTWAIT);
    if (got > 0)
        reader->buffer.size += (size_t)got;
    if (got == 0)
        errno = 0;
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

/* The next whole line; false: there is none yet. Valid until the next call. */
static bool next_line(struct line_reader *reader, struct rkb_slice *line)
{
    struct rkb_buffer *buffer = &reader->buffer;
    size_t rest = buffer->size - reader->at;
    const uint8_t *end = rest == 0 ? NULL : memchr(buffer->data + reader->at, '\n', rest);
    if (end == NULL) {
        if (reader->at > 0 && rest > 0)
            memmove(buffer->data, buffer->data + reader->at, rest);
        buffer->size = rest;
        reader->at = 0;
        return false;
    }
    *line = rkb_slice(buffer->data + reader->at, (size_t)(end - buffer->data) - reader->at);
    reader->at += line->size + 1;
    return true;
}

/* ---- showing ---- */

static void show_line(const struct watching *watching, struct rkb_slice line)
{
    fwrite(line.data, 1, line.size, watching->out);
    fputc('\n', watching->out);
    fflush(watching->out);
}

static void draw(const struct watching *watching)
{
    struct rkb_buffer screen = {0};
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    char notice[300];
    if (ioctl(fileno(watching->out), TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
        size = (struct winsize){.ws_row = 24, .ws_col = 80};
    snprintf(notice, sizeof notice, "rkbridge does not answer (%s); trying again. This is how it was:",
             watching->reason);
    rkb_watch_draw(rkb_slice(watching->whole.data, watching->whole.size), &watching->last,
                   watching->away ? notice : NULL, size.ws_row, size.ws_col, &screen);
    if (!screen.failed)
        fwrite(screen.data, 1, screen.size, watching->out);
    fflush(watching->out);
    rkb_buffer_free(&screen);
}

/* Severity and where to go: what is between may be another each second. */
static void shorten(struct rkb_slice line, char *out, size_t size)
{
    char text[2000];
    snprintf(text, sizeof text, "%.*s", (int)line.size, (const char *)line.data);
    const char *next = strstr(text, "; next: ");
    snprintf(out, size, "%.14s %s", text, next == NULL ? "" : next);
}

/* The first line of a status, where it is another than before. */
static void show_verdict(struct watching *watching)
{
    char verdict[sizeof watching->verdict];
    const uint8_t *end = watching->whole.size == 0 ? NULL : memchr(watching->whole.data, '\n', watching->whole.size);
    struct rkb_slice line = rkb_slice(watching->whole.data, end == NULL ? 0 : (size_t)(end - watching->whole.data));
    shorten(line, verdict, sizeof verdict);
    if (strcmp(verdict, watching->verdict) == 0)
        return;
    memcpy(watching->verdict, verdict, sizeof verdict);
    show_line(watching, line);
}

static void show_event(struct watching *watching, struct rkb_slice line)
{
    if (watching->draws)
        rkb_watch_events_add(&watching->last, line);
    else
        show_line(watching, line);
}

/* ---- the connections ---- */

static void hang_up(struct watching *watching, const char *reason)
{
    forget(&watching->events);
    forget(&watching->status);
    watching->answer.size = 0;
    watching->waits = false;
    if (!watching->away && !watching->draws)
        fprintf(watching->err, "rkbctl: rkbridge at %s does not answer any more: %s; trying again\n",
                watching->path, reason);
    watching->away = true;
    snprintf(watching->reason, sizeof watching->reason, "%s", reason);
}

static bool send_line(int fd, const char *line)
{
    return rkb_talk_send(fd, (const uint8_t *)line, strlen(line));
}

/* 0, or errno. As JSON there are events only. */
static int connect_both(struct watching *watching)
{
    watching->events.fd = rkb_talk_connect(watching->path);
    watching->status.fd = watching->json || watching->events.fd < 0 ? -1 : rkb_talk_connect(watching->path);
    bool connected = watching->events.fd >= 0 && (watching->json || watching->status.fd >= 0);
    if (connected && send_line(watching->events.fd, watching->json ? "watch json\n" : "watch\n"))
        return 0;
    int number = errno;
    forget(&watching->status);
    forget(&watching->events);
    return number;
}

static void ask(struct watching *watching, int64_t now_us)
{
    watching->asked_us = now_us;
    if (watching->json)
        return;
    if (send_line(watching->status.fd, "status\n"))
        watching->waits = true;
    else
        hang_up(watching, strerror(errno));
}

static void try_again(struct watching *watching, int64_t now_us)
{
    int number = connect_both(watching);
    watching->asked_us = now_us;
    if (number != 0) {
        snprintf(watching->reason, sizeof watching->reason, "%s", strerror(number));
        return;
    }
    watching->away = false;
    if (!watching->draws)
        fprintf(watching->err, "rkbctl: rkbridge at %s answers again\n", watching->path);
    ask(watching, now_us);
}

/* An answer is whole: it is what is shown. */
static void take_status(struct watching *watching)
{
    struct rkb_buffer before = watching->whole;
    watching->whole = watching->answer;
    watching->answer = before;
    watching->answer.size = 0;
    watching->waits = false;
    if (!watching->draws)
        show_verdict(watching);
}

static void take_status_line(struct watching *watching, struct rkb_slice line)
{
    if (rkb_slice_equal(line, rkb_slice_text("OK"))) {
        take_status(watching);
        return;
    }
    rkb_buffer_add(&watching->answer, line.data, line.size);
    rkb_buffer_text(&watching->answer, "\n");
    if (rkb_talk_starts(line, "ERROR "))
        take_status(watching);
}

/* Who knows no events, or has told enough, says so: then there are none until the next connection. */
static void take_event_line(struct watching *watching, struct rkb_slice line)
{
    if (rkb_talk_starts(line, "ERROR ending "))         /* it closes the connection now, and that is said */
        return;
    bool ended = rkb_talk_starts(line, "ERROR ") || rkb_slice_equal(line, rkb_slice_text("OK"));
    show_event(watching, line);
    if (ended && watching->json)
        hang_up(watching, "it tells no events");
    else if (ended)
        forget(&watching->events);
}

static void on_readable(struct watching *watching, struct line_reader *reader,
                        void (*take)(struct watching *watching, struct rkb_slice line))
{
    struct rkb_slice line;
    bool open = read_some(reader);
    int number = errno;
    while (reader->fd >= 0 && next_line(reader, &line))
        take(watching, line);
    if (!open && reader->fd >= 0)
        hang_up(watching, number == 0 ? "it closed the connection" : strerror(number));
}

/* ---- the loop ---- */

/* Each second: what is due. */
static void on_second(struct watching *watching, int64_t now_us)
{
    if (watching->away)
        try_again(watching, now_us);
    else if (!watching->waits)
        ask(watching, now_us);
    else if (now_us - watching->asked_us > SILENCE_US)
        hang_up(watching, "nothing came for ten seconds");
    if (watching->draws && watching->away)
        draw(watching);
}

/* Waits for whatever comes first; false: somebody wants us to end. */
static bool turn(struct watching *watching, int64_t *due_us)
{
    struct signalfd_siginfo signal;
    int64_t now_us = rkb_sys_posix.monotonic_us();
    if (now_us >= *due_us) {
        on_second(watching, now_us);
        *due_us = now_us + SECOND_US;
    }
    struct pollfd ready[] = {{watching->signals, POLLIN, 0}, {watching->events.fd, POLLIN, 0},
                             {watching->status.fd, POLLIN, 0}};
    int64_t left_us = *due_us - now_us;
    if (poll(ready, 3, (int)(left_us / 1000) + 1) <= 0)
        return true;
    if (ready[0].revents != 0)
        return read(watching->signals, &signal, sizeof signal) < 0;
    if (ready[2].revents != 0)
        on_readable(watching, &watching->status, take_status_line);
    if (ready[1].revents != 0 && watching->events.fd >= 0)
        on_readable(watching, &watching->events, take_event_line);
    if (watching->draws && !watching->waits)
        draw(watching);
    return true;
}

static int watch(struct watching *watching)
{
    int number = connect_both(watching);
    int64_t due_us = 0;
    if (number != 0)
        return rkb_talk_unreachable(watching->err, watching->path, number);
    if (watching->draws)
        fputs(OTHER_SCREEN, watching->out);
    while (turn(watching, &due_us) && !ferror(watching->out))
        continue;
    if (watching->draws)
        fputs(SCREEN_BACK, watching->out);
    forget(&watching->events);
    forget(&watching->status);
    return 0;
}

static bool is_screen(FILE *out)
{
    const char *terminal = getenv("TERM");
    int fd = fileno(out);
    return fd >= 0 && isatty(fd) && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

int rkb_tool_watch(const char *path, int argc, char **argv, FILE *out, FILE *err)
{
    struct watching watching = {.path = path, .out = out, .err = err, .events.fd = -1, .status.fd = -1};
    sigset_t signals, before;
    if (argc > 2 || (argc == 2 && strcmp(argv[1], "json") != 0 && strcmp(argv[1], "--json") != 0)) {
        fprintf(err, "usage: rkbctl watch [--json]\n");
        return RKB_EXIT_USAGE;
    }
    watching.json = argc == 2;
    watching.draws = !watching.json && is_screen(out);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    watching.signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    int code = watch(&watching);
    if (watching.signals >= 0)
        close(watching.signals);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    rkb_buffer_free(&watching.answer);
    rkb_buffer_free(&watching.whole);
    return code;
}
