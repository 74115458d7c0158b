/* http_world -- the HTTP server on loopback, the sample figures behind it, and what its clients do. For tests. */
#ifndef RKB_TEST_HTTP_WORLD_H
#define RKB_TEST_HTTP_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "control/http.h"
#include "sample_snapshot.h"
#include "times_in.h"

#define PATIENCE_MS 10000

static int64_t clock_us;            /* turned by hand: what tokens and ages go by; deadlines are libevent's */

static inline int64_t monotonic(void)
{
    return clock_us;
}

static inline int64_t realtime(void)
{
    return 1795380667123456;
}

static const struct rkb_sys sys = {.monotonic_us = monotonic, .realtime_us = realtime};

struct world {
    struct event_base *base;
    struct rkb_http *http;
    struct rkb_snapshot snapshot;
    size_t asked;
};

static struct rkb_route_snapshot routes[3000];

static inline const struct rkb_snapshot *give_snapshot(void *context)
{
    struct world *world = context;
    world->asked++;
    return &world->snapshot;
}

static inline void begin_with(struct world *world, const struct rkb_http_limits *limits, const char *listen, bool all)
{
    struct rkb_http_options options = {.listen = listen, .all = all, .limits = limits, .sys = &sys,
                                       .snapshot = give_snapshot, .context = world};
    struct rkb_error error = {0};
    clock_us = 1;
    *world = (struct world){.base = event_base_new(), .snapshot = sample_snapshot()};
    world->http = rkb_http_new(world->base, &options, &error);
    if (world->http == NULL)
        fail_msg("%s", error.text);
}

static inline void begin(struct world *world, const struct rkb_http_limits *limits)
{
    begin_with(world, limits, "127.0.0.1:0", false);
}

static inline void end(struct world *world)
{
    rkb_http_free(world->http);
    event_base_free(world->base);
}

/* An answer of some megabytes. */
static inline void grow(struct world *world)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        routes[i].name = "a route with a name of some length";
    world->snapshot.routes = routes;
    world->snapshot.route_count = sizeof routes / sizeof routes[0];
}

static inline void turn(struct world *world)
{
    event_base_loop(world->base, EVLOOP_NONBLOCK);
}

static inline int dial(struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)rkb_http_port(world->http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static inline void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads what is there; 0: it hung up, -1: nothing yet. */
static inline ssize_t hear_some(int fd, struct rkb_buffer *heard)
{
    char some[65536];
    ssize_t got = recv(fd, some, sizeof some, 0);
    if (got > 0)
        rkb_buffer_add(heard, some, (size_t)got);
    return got < 0 && errno == ECONNRESET ? 0 : got;
}

static inline void rest(void)
{
    poll(NULL, 0, 1);
}

/* Until `what` was heard so many times, or it hung up; NUL-terminated, the caller's. */
static inline char *hear(struct world *world, int fd, const char *what, int times)
{
    struct rkb_buffer heard = {0};
    for (int waited = 0; waited < PATIENCE_MS;) {
        turn(world);
        ssize_t got = hear_some(fd, &heard);
        rkb_buffer_add(&heard, "", 1);
        heard.size--;
        if (got == 0 || (what != NULL && times_in((char *)heard.data, what) >= times))
            return (char *)heard.data;
        if (got < 0) {
            rest();
            waited++;
        }
    }
    fail_msg("not heard in time: %s; but: %s", what != NULL ? what : "the end", (char *)heard.data);
    return NULL;
}

static inline char *hear_end(struct world *world, int fd)
{
    return hear(world, fd, NULL, 0);
}

static inline bool hung_up(int fd)
{
    char some[65536];
    ssize_t got;
    while ((got = recv(fd, some, sizeof some, 0)) > 0) {
    }
    return got == 0 || errno != EAGAIN;
}

static inline void wait_for_hangup(struct world *world, int fd)
{
    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        turn(world);
        if (hung_up(fd))
            return;
        rest();
    }
    fail_msg("it has not hung up");
}

static inline void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in: %s", part, text);
}

/* The answer to one request on a connection of its own. */
static inline char *ask(struct world *world, const char *request)
{
    int fd = dial(world);
    say(fd, request);
    char *answer = hear_end(world, fd);
    close(fd);
    return answer;
}

static inline void answers(struct world *world, const char *request, const char *first, const char *part)
{
    char *answer = ask(world, request);
    if (strncmp(answer, first, strlen(first)) != 0)
        fail_msg("not %s: %s", first, answer);
    has(answer, part);
    free(answer);
}

#endif
