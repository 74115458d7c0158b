/* http: real sockets on loopback, each page, and where it listens; its limits: test_http_limits. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "control/ready.h"
#include "http_world.h"

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
    answers(&world, "GET http://a:9464/readyz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\nready: every");
    assert_int_equal(world.asked, 6);
    answers(&world, "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "\r\n\r\nthe loop turns\n");
    answers(&world, "GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "/metrics");
    answers(&world, "GET /metrics/ HTTP/1.0\r\n\r\n", "HTTP/1.1 404 Not Found\r\n", "");
    answers(&world, "POST /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 405 Method Not Allowed\r\n", "Allow: GET, HEAD\r\n");
    answers(&world, "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n", "Connection: close\r\n");
    answers(&world, "GET / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", "HTTP/1.1 413 ", "Connection: close\r\n");
    answers(&world, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "HTTP/1.1 413 ", "");
    assert_int_equal(world.asked, 6);       /* who asks for no figures costs none */
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
    bool begins = strstr(reason, "just beginning") != NULL;
    assert_int_equal(rkb_ready(&world->snapshot, NULL), begins);
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
        answers(&world, "GET /stats HTTP/1.0\r\n\r\n",
                all == 1 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 403 Forbidden\r\n", "");
        end(&world);
    }
}

static void test_where_it_listens(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "a.b:80",
                                        "[::1:9464", "256.0.0.1:1"};
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
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_not_ready),
        cmocka_unit_test(test_keeps_connections),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_a_request_in_single_bytes),
        cmocka_unit_test(test_exposed),
        cmocka_unit_test(test_where_it_listens),
        cmocka_unit_test(test_freed_in_all_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
