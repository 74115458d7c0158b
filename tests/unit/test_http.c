/* http: real sockets on loopback, each page, each limit, and clients that behave badly. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

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

#define PATIENCE_MS 10000

static int64_t clock_us;            /* turned by hand: what tokens and ages go by; deadlines are libevent's */

static int64_t monotonic(void)
{
    return clock_us;
}

static int64_t realtime(void)
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

static const struct rkb_snapshot *give_snapshot(void *context)
{
    struct world *world = context;
    world->asked++;
    return &world->snapshot;
}

static void begin_with(struct world *world, const struct rkb_http_limits *limits, const char *listen, bool all)
{
    struct rkb_http_options options = {.listen = listen, .all = all, .limits = limits, .sys = &sys,
                                       .snapshot = give_snapshot, .context = world};
    struct rkb_error error = {0};
    clock_us = 1;
    *world = (struct world){.base = event_base_new(), .snapshot = sample_snapshot()};
    world->snapshot.metric_routes = 100000;
    world->http = rkb_http_new(world->base, &options, &error);
    if (world->http == NULL)
        fail_msg("%s", error.text);
}

static void begin(struct world *world, const struct rkb_http_limits *limits)
{
    begin_with(world, limits, "127.0.0.1:0", false);
}

static void end(struct world *world)
{
    rkb_http_free(world->http);
    event_base_free(world->base);
}

/* An answer of some megabytes. */
static void grow(struct world *world)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        routes[i].name = "a route with a name of some length";
    world->snapshot.routes = routes;
    world->snapshot.route_count = sizeof routes / sizeof routes[0];
}

static void turn(struct world *world)
{
    event_base_loop(world->base, EVLOOP_NONBLOCK);
}

static int dial(struct world *world)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)rkb_http_port(world->http)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads what is there; 0: it hung up, -1: nothing yet. */
static ssize_t hear_some(int fd, struct rkb_buffer *heard)
{
    char some[65536];
    ssize_t got = recv(fd, some, sizeof some, 0);
    if (got > 0)
        rkb_buffer_add(heard, some, (size_t)got);
    return got < 0 && errno == ECONNRESET ? 0 : got;
}

static void rest(void)
{
    poll(NULL, 0, 1);
}

/* Until `what` was heard so many times, or it hung up; NUL-terminated, the caller's. */
static char *hear(struct world *world, int fd, const char *what, size_t times)
{
    struct rkb_buffer heard = {0};
    for (int waited = 0; waited < PATIENCE_MS;) {
        turn(world);
        ssize_t got = hear_some(fd, &heard);
        rkb_buffer_add(&heard, "", 1);
        heard.size--;
        size_t found = 0;
        for (const char *at = (char *)heard.data; what != NULL && (at = strstr(at, what)) != NULL; at++)
            found++;
        if (got == 0 || (what != NULL && found >= times))
            return (char *)heard.data;
        if (got < 0) {
            rest();
            waited++;
        }
    }
    fail_msg("not heard in time: %s; but: %s", what, (char *)heard.data);
    return NULL;
}

static char *hear_end(struct world *world, int fd)
{
    return hear(world, fd, NULL, 0);
}

static bool hung_up(int fd)
{
    char some[65536];
    ssize_t got;
    while ((got = recv(fd, some, sizeof some, 0)) > 0) {
    }
    return got == 0 || errno != EAGAIN;
}

static void wait_for_hangup(struct world *world, int fd)
{
    for (int waited = 0; waited < PATIENCE_MS; waited++) {
        turn(world);
        if (hung_up(fd))
            return;
        rest();
    }
    fail_msg("it has not hung up");
}

static void has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("no %s in: %s", part, text);
}

/* The answer to one request on a connection of its own. */
static char *ask(struct world *world, const char *request)
{
    int fd = dial(world);
    say(fd, request);
    char *answer = hear_end(world, fd);
    close(fd);
    return answer;
}

static void answers(struct world *world, const char *request, const char *first, const char *part)
{
    char *answer = ask(world, request);
    if (strncmp(answer, first, strlen(first)) != 0)
        fail_msg("not %s: %s", first, answer);
    has(answer, part);
    free(answer);
}

static void test_pages(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    answers(&world, "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\nrkbridge_messages_received_total 90\n");
    answers(&world, "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n",
            "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    answers(&world, "GET /stats?x HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\"received\":90");
    answers(&world, "GET /stats HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "Content-Type: application/json\r\n");
    answers(&world, "GET /readyz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\nready: every");
    assert_int_equal(world.asked, 5);
    answers(&world, "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nthe loop turns\n");
    answers(&world, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "/metrics");
    answers(&world, "GET /metrics/ HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "");
    answers(&world, "POST /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET, HEAD\r\n");
    answers(&world, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n");
    answers(&world, "GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 413 ", "Connection: close\r\n");
    assert_int_equal(world.asked, 5);       /* who asks for no figures costs none */
    end(&world);
}

static void test_head(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    char *whole = ask(&world, "GET /stats HTTP/1.0\r\n\r\n"), *head = ask(&world, "HEAD /stats HTTP/1.0\r\n\r\n");
    char *body = strstr(whole, "\r\n\r\n") + 4, length[64];
    snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    has(whole, length);
    *body = '\0';
    assert_string_equal(head, whole);
    free(whole);
    free(head);
    end(&world);
}

static void not_ready_because(struct world *world, const char *reason)
{
    world->snapshot.ready = false;
    answers(world, "GET /readyz HTTP/1.0\r\n\r\n", "HTTP/1.1 503 Service Unavailable\r\n", reason);
    world->snapshot = sample_snapshot();
}

static void test_not_ready(void **state)
{
    (void)state;
    struct world world;
    struct rkb_source_snapshot source = sample_sources[0];
    begin(&world, NULL);
    source.subscribed = 1;
    source.whole = false;
    world.snapshot.sources = &source;
    not_ready_because(&world, "not ready: source legacy has 1 of 3 subscriptions confirmed\n");
    source.subscribed = 3;
    source.whole = true;
    source.unlinked = true;
    world.snapshot.sources = &source;
    not_ready_because(&world, "not ready: source legacy is a replica that has lost its master\n");
    world.snapshot.journal.full = true;
    world.snapshot.journal.limit = "disk";
    not_ready_because(&world, "not ready: the journal is full (disk)\n");
    world.snapshot.journal.disk_error = "EIO";
    not_ready_because(&world, "not ready: the journal's disk fails");
    world.snapshot.kafka.away_seconds = 61;
    world.snapshot.kafka.outage_budget_seconds = 60;
    not_ready_because(&world, "not ready: no broker of Kafka has been connected for ");
    world.snapshot.draining = true;
    not_ready_because(&world, "\r\n\r\nnot ready: ending");
    not_ready_because(&world, "not ready: just beginning");
    end(&world);
}

static void test_keeps_connections(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    int fd = dial(&world);
    for (int i = 0; i < 3; i++) {
        say(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        char *answer = hear(&world, fd, "turns\n", 1);
        has(answer, "Connection: keep-alive\r\n");
        free(answer);
    }
    say(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    char *answer = hear_end(&world, fd);
    has(answer, "Connection: close\r\n");
    free(answer);
    close(fd);
    end(&world);
}

static void test_pipelined(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    int fd = dial(&world);
    for (int i = 0; i < 50; i++)
        say(fd, i % 2 == 0 ? "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n" : "GET /none HTTP/1.1\r\nHost: a\r\n\r\n");
    char *answer = hear(&world, fd, "there are /metrics", 25), *at = answer;
    for (int i = 0; i < 50; i++) {      /* in order */
        const char *code = i % 2 == 0 ? "HTTP/1.1 200" : "HTTP/1.1 404";
        assert_int_equal(strncmp(at, code, strlen(code)), 0);
        char *next = strstr(at + 1, "HTTP/1.1 ");
        at = next != NULL ? next : at;
    }
    free(answer);
    close(fd);
    end(&world);
}

static void test_a_request_in_single_bytes(void **state)
{
    (void)state;
    struct world world;
    begin(&world, NULL);
    int fd = dial(&world);
    const char *request = "GET /healthz HTTP/1.0\r\n\r\n";
    for (size_t i = 0; request[i] != '\0'; i++) {
        char one[2] = {request[i], '\0'};
        say(fd, one);
        turn(&world);
    }
    char *answer = hear_end(&world, fd);
    has(answer, "the loop turns");
    free(answer);
    close(fd);
    end(&world);
}

static void test_huge_head(void **state)
{
    (void)state;
    struct world world;
    char most[RKB_HTTP_HEAD_MOST + 200];
    begin(&world, NULL);
    memset(most, 'a', sizeof most);
    /* just at the limit, and one byte over it */
    for (size_t over = 0; over < 2; over++) {
        size_t size = RKB_HTTP_HEAD_MOST + over;
        memcpy(most, "GET /healthz HTTP/1.0\r\nX: ", 26);
        memset(most + 26, 'a', size - 30);
        memcpy(most + size - 4, "\r\n\r\n", 5);
        answers(&world, most, over == 0 ? "HTTP/1.1 200" : "HTTP/1.1 431", "");
    }
    end(&world);
}

static void test_garbage(void **state)
{
    (void)state;
    struct world world;
    static const char *const rows[] = {"\x16\x03\x01\x02\r\n\r\n", "\n\n", "hello\r\n\r\n", "GET /healthz\r\n\r\n"};
    begin(&world, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        answers(&world, rows[i], "HTTP/1.1 400 Bad Request\r\n", "");
    end(&world);
}

static struct rkb_http_limits limits_with(void (*change)(struct rkb_http_limits *))
{
    struct rkb_http_limits limits = rkb_http_default_limits;
    change(&limits);
    return limits;
}

static void hasty(struct rkb_http_limits *limits)
{
    limits->request_us = 50000;
    limits->answer_us = 50000;
    limits->idle_us = 50000;
    limits->linger_us = 50000;
}

/* A byte now and then gains nothing: the deadline is for the whole head. */
static void test_slow_request(void **state)
{
    (void)state;
    struct world world;
    struct rkb_http_limits limits = limits_with(hasty);
    begin(&world, &limits);
    int fd = dial(&world), silent = dial(&world);
    int waited = 0;
    say(fd, "GET /healthz HTTP/1.0\r\nX: ");
    while (!hung_up(fd) && waited++ < PATIENCE_MS) {
        (void)!send(fd, "a", 1, MSG_NOSIGNAL);
        turn(&world);
        rest();
    }
    assert_in_range(waited, 0, PATIENCE_MS - 1);
    wait_for_hangup(&world, silent);
    close(fd);
    close(silent);
    end(&world);
}

static void test_idle_connection(void **state)
{
    (void)state;
    struct world world;
    struct rkb_http_limits limits = limits_with(hasty);
    begin(&world, &limits);
    int fd = dial(&world);
    say(fd, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    free(hear(&world, fd, "turns\n", 1));
    wait_for_hangup(&world, fd);
    close(fd);
    end(&world);
}

/* Who reads a little now and then has all his answer's time, and not more. */
static void test_slow_reader(void **state)
{
    (void)state;
    struct world world;
    struct rkb_http_limits limits = limits_with(hasty);
    begin(&world, &limits);
    grow(&world);
    int fd = dial(&world), waited = 0;
    ssize_t got = -1;
    char some[16];
    say(fd, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 200; i++) {
        turn(&world);
        (void)!recv(fd, some, sizeof some, 0);
        rest();
    }
    struct rkb_buffer heard = {0};
    while ((got = hear_some(fd, &heard)) != 0 && waited++ < PATIENCE_MS)    /* what the kernel has is not all of it */
        rest();
    assert_int_equal(got, 0);
    assert_int_equal(world.asked, 1);
    rkb_buffer_free(&heard);
    close(fd);
    end(&world);
}

static void few(struct rkb_http_limits *limits)
{
    limits->connections = 4;
    limits->unread_bytes = SIZE_MAX;
}

/* Many who say nothing: each new one takes the place of the oldest, and who asks is answered at once. */
static void test_silent_connections(void **state)
{
    (void)state;
    struct world world;
    int silent[500];
    begin(&world, NULL);
    for (size_t i = 0; i < 500; i++) {
        silent[i] = dial(&world);
        clock_us += 10000;
        turn(&world);
    }
    answers(&world, "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "");
    for (size_t i = 0; i < 500; i++) {
        assert_int_equal(hung_up(silent[i]), i < 500 - 63);
        close(silent[i]);
    }
    end(&world);
}

/* Places are taken from who says nothing, then from who has been answered, then from who does not read for long. */
static void test_who_gives_way(void **state)
{
    (void)state;
    struct world world;
    struct rkb_http_limits limits = limits_with(few);
    begin(&world, &limits);
    grow(&world);
    int deaf = dial(&world), idle = dial(&world), mute = dial(&world);
    say(deaf, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    say(idle, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    free(hear(&world, idle, "turns\n", 1));
    say(mute, "GET");
    turn(&world);
    int fourth = dial(&world);
    turn(&world);
    assert_false(hung_up(mute));
    int fifth = dial(&world);
    turn(&world);
    assert_true(hung_up(mute));         /* the oldest that has not asked */
    assert_false(hung_up(idle));
    say(fourth, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    say(fifth, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 20; i++)
        turn(&world);
    int sixth = dial(&world);
    turn(&world);
    assert_true(hung_up(idle));
    say(sixth, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 20; i++)
        turn(&world);
    int seventh = dial(&world);
    turn(&world);
    assert_true(hung_up(seventh));      /* all read, or seem to */
    clock_us += 3000000;
    int eighth = dial(&world);
    say(eighth, "GET /healthz HTTP/1.0\r\n\r\n");
    char *answer = hear_end(&world, eighth);
    has(answer, "the loop turns");
    free(answer);
    int all[] = {deaf, idle, mute, fourth, fifth, sixth, seventh, eighth};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        close(all[i]);
    end(&world);
}

static void narrow(struct rkb_http_limits *limits)
{
    limits->unread_bytes = 1 << 20;
}

/* What nobody reads is bounded: the oldest answer is given up for the next. */
static void test_never_readers(void **state)
{
    (void)state;
    struct world world;
    struct rkb_http_limits limits = limits_with(narrow);
    int fds[8];
    begin(&world, &limits);
    grow(&world);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = dial(&world);
        say(fds[i], "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        for (int j = 0; j < 20; j++)
            turn(&world);
    }
    for (size_t i = 0; i < 7; i++) {
        wait_for_hangup(&world, fds[i]);
        close(fds[i]);
    }
    char *last = hear(&world, fds[7], "\nprocess_start_time_seconds ", 1);
    free(last);
    close(fds[7]);
    end(&world);
}

/* So many large answers at first, then as the clock goes; small ones come meanwhile. */
static void test_greedy(void **state)
{
    (void)state;
    struct world world;
    int fds[30];
    begin(&world, NULL);
    for (size_t i = 0; i < 30; i++) {
        fds[i] = dial(&world);
        say(fds[i], "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (int i = 0; i < 100; i++)
        turn(&world);
    assert_int_equal(world.asked, 20);
    answers(&world, "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "");
    clock_us += 300000;
    for (int i = 0; i < 200 && world.asked < 23; i++) {
        turn(&world);
        rest();
    }
    assert_int_equal(world.asked, 23);
    clock_us += 10000000;
    for (int i = 0; i < 1000 && world.asked < 30; i++) {
        turn(&world);
        rest();
    }
    assert_int_equal(world.asked, 30);
    char *last = hear(&world, fds[29], "process_start_time_seconds ", 1);
    free(last);
    for (size_t i = 0; i < 30; i++)
        close(fds[i]);
    end(&world);
}

static void shy(struct rkb_http_limits *limits)
{
    limits->accept_rate = 2;
    limits->connections = 100;
}

/* A flood of connections is taken bit by bit. */
static void test_accepting_is_paced(void **state)
{
    (void)state;
    struct world world;
    struct rkb_http_limits limits = limits_with(shy);
    int fds[8];
    begin(&world, &limits);
    for (size_t i = 0; i < 8; i++) {
        fds[i] = dial(&world);
        say(fds[i], "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (int i = 0; i < 100; i++)
        turn(&world);
    struct rkb_buffer heard = {0};
    assert_true(hear_some(fds[0], &heard) > 0);
    assert_int_equal(hear_some(fds[7], &heard), -1);
    rkb_buffer_free(&heard);
    clock_us += 4000000;
    free(hear(&world, fds[7], "turns\n", 1));
    for (size_t i = 0; i < 8; i++)
        close(fds[i]);
    end(&world);
}

/* Off loopback: metrics and health only, unless all is to be seen. */
static void test_exposed(void **state)
{
    (void)state;
    struct world world;
    for (int all = 0; all < 2; all++) {
        begin_with(&world, NULL, "0.0.0.0:0", all == 1);
        answers(&world, "GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "");
        answers(&world, "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "");
        answers(&world, "GET /readyz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "");
        answers(&world, "GET /stats HTTP/1.0\r\n\r\n", all == 1 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 403 Forbidden\r\n", "");
        end(&world);
    }
}

static void test_where_it_listens(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "a.b:80", "[::1:9464",
                                        "256.0.0.1:1"};
    struct rkb_http_options options = {.sys = &sys, .snapshot = give_snapshot};
    struct rkb_error error = {0};
    struct event_base *base = event_base_new();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.listen = wrong[i];
        assert_null(rkb_http_new(base, &options, &error));
        has(error.text, "not HOST:PORT");
    }
    options.listen = "localhost:0";
    struct rkb_http *http = rkb_http_new(base, &options, &error);
    assert_non_null(http);
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", rkb_http_port(http));
    options.listen = taken;
    assert_null(rkb_http_new(base, &options, &error));
    has(error.text, "cannot listen");
    rkb_http_free(http);
    event_base_free(base);
}

/* Freed while clients are in all states. */
static void test_freed_in_all_states(void **state)
{
    (void)state;
    struct world world;
    int fds[25];
    begin(&world, NULL);
    grow(&world);
    for (size_t i = 0; i < 25; i++) {
        fds[i] = dial(&world);
        if (i > 1)
            say(fds[i], i == 2 ? "nonsense\r\n\r\n" : i == 3 ? "GET" : "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        turn(&world);
    }
    end(&world);
    for (size_t i = 0; i < 25; i++)
        close(fds[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages), cmocka_unit_test(test_head), cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_keeps_connections), cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_a_request_in_single_bytes), cmocka_unit_test(test_huge_head),
        cmocka_unit_test(test_garbage), cmocka_unit_test(test_slow_request), cmocka_unit_test(test_idle_connection),
        cmocka_unit_test(test_slow_reader), cmocka_unit_test(test_silent_connections),
        cmocka_unit_test(test_who_gives_way), cmocka_unit_test(test_never_readers), cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_accepting_is_paced), cmocka_unit_test(test_exposed),
        cmocka_unit_test(test_where_it_listens), cmocka_unit_test(test_freed_in_all_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
