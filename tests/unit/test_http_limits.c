/* http: each limit, and clients that behave badly; nobody keeps the others out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "http_world.h"

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
    clock_us += 100000;
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
    for (int i = 0; i < 20; i++) {
        turn(&world);
        rest();
    }
    assert_false(hung_up(seventh));     /* all read, or seem to: it waits for a place */
    assert_int_equal(world.asked, 4);
    clock_us += 3000000;
    say(seventh, "GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    free(hear(&world, seventh, "ready: every", 1));
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

/* All places are taken by those who ask on and on, of this: another one's question is answered all the same. */
static void check_crowd(const char *request, size_t times)
{
    struct world world;
    struct rkb_http_limits limits = rkb_http_default_limits;
    limits.small_rate = 20;             /* none of them comes to his end */
    int greedy[64];
    size_t asked = 0;
    begin(&world, &limits);
    for (size_t i = 0; i < limits.connections; i++) {
        greedy[i] = dial(&world);
        for (size_t k = 0; k < times; k++)
            say(greedy[i], request);
        clock_us += 5000;               /* each is taken */
        turn(&world);
    }
    int other = dial(&world);
    say(other, "GET /healthz HTTP/1.0\r\n\r\n");
    struct rkb_buffer heard = {0}, ignored = {0};
    for (int waited = 0; heard.size == 0; waited++) {
        assert_in_range(waited, 0, PATIENCE_MS);
        clock_us += 3000;
        turn(&world);
        for (size_t i = 0; i < limits.connections; i++)
            asked += hear_some(greedy[i], &ignored) > 0;
        ignored.size = 0;
        assert_true(hear_some(other, &heard) != 0 || heard.size > 0);
        rest();
    }
    rkb_buffer_add(&heard, "", 1);
    has((char *)heard.data, "the loop turns");
    assert_true(asked > 0);
    rkb_buffer_free(&heard);
    rkb_buffer_free(&ignored);
    for (size_t i = 0; i < limits.connections; i++)
        close(greedy[i]);
    close(other);
    end(&world);
}

static void test_a_crowd_keeps_nobody_out(void **state)
{
    (void)state;
    check_crowd("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 50);
    check_crowd("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 110);
}

static void stingy(struct rkb_http_limits *limits)
{
    limits->large_rate = 0;
}

/* Nobody gets figures just now, and many more come who want some: whoever asks for health among them is answered. */
static void test_health_among_many_who_come(void **state)
{
    (void)state;
    struct world world;
    struct rkb_http_limits limits = limits_with(stingy);
    int waiting[64], coming[20];
    begin(&world, &limits);
    for (size_t i = 0; i < 64; i++) {
        waiting[i] = dial(&world);
        say(waiting[i], "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
        clock_us += 5000;
        turn(&world);
        turn(&world);
    }
    for (size_t i = 0; i < 20; i++) {
        coming[i] = dial(&world);
        say(coming[i], i == 3 ? "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
                              : "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    free(hear(&world, coming[3], "the loop turns", 1));
    assert_int_equal(world.asked, 0);
    for (size_t i = 0; i < 64; i++) {
        assert_int_equal(hung_up(waiting[i]), i >= 44);     /* the last that came */
        close(waiting[i]);
    }
    for (size_t i = 0; i < 20; i++)
        close(coming[i]);
    end(&world);
}

/* Who goes on sending when all is said is not listened to for ever. */
static void test_endless_sender(void **state)
{
    (void)state;
    struct world world;
    static char junk[16384];
    begin(&world, NULL);
    memset(junk, 'x', sizeof junk);
    int fd = dial(&world);
    say(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    size_t sent = 0;
    ssize_t got = 0;
    for (int turns = 0; got >= 0 || errno == EAGAIN; turns++) {
        assert_in_range(turns, 0, 10000);
        got = send(fd, junk, sizeof junk, MSG_NOSIGNAL);
        sent += got > 0 ? (size_t)got : 0;
        turn(&world);
        turn(&world);
    }
    assert_in_range(sent, 64 * 1024, 64 << 20);     /* what the kernel holds among it */
    close(fd);
    end(&world);
}

static void set_flag(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    *(bool *)context = true;
}

/* accept fails, and the loop does not spin on it; it goes on when there are descriptors again. */
static void test_no_descriptors_left(void **state)
{
    (void)state;
    struct world world;
    struct rlimit before, none;
    begin(&world, NULL);
    int fd = dial(&world);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool over = false;
    size_t passes = 0;
    event_base_once(world.base, -1, EV_TIMEOUT, set_flag, &over, &(struct timeval){0, 300000});
    while (!over) {
        event_base_loop(world.base, EVLOOP_ONCE);
        clock_us += 20000;
        passes++;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_in_range(passes, 1, 60);
    say(fd, "GET /healthz HTTP/1.0\r\n\r\n");
    char *answer = hear_end(&world, fd);
    has(answer, "the loop turns");
    free(answer);
    close(fd);
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

static const struct rkb_snapshot *give_slowly(void *context)
{
    clock_us += 60000;
    return give_snapshot(context);
}

/* Figures that take long, as those of very many routes: they come no faster than the loop can bear; health does. */
static void test_beyond_the_share(void **state)
{
    (void)state;
    struct world world;
    int fds[6];
    begin(&world, NULL);
    rkb_http_free(world.http);
    struct rkb_http_options options = {.listen = "127.0.0.1:0", .sys = &sys,
                                       .snapshot = give_slowly, .context = &world};
    struct rkb_error error = {0};
    world.http = rkb_http_new(world.base, &options, &error);
    assert_non_null(world.http);
    for (size_t i = 0; i < 6; i++) {
        fds[i] = dial(&world);
        say(fds[i], i % 2 == 0 ? "GET /readyz HTTP/1.0\r\n\r\n" : "GET /metrics HTTP/1.0\r\n\r\n");
    }
    for (int i = 0; i < 50; i++)
        turn(&world);
    assert_int_equal(world.asked, 2);
    answers(&world, "GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n", "the loop turns");
    assert_int_equal(world.asked, 2);
    for (int waited = 0; world.asked < 6; waited++) {
        assert_in_range(waited, 0, PATIENCE_MS);
        size_t before = world.asked;
        clock_us += 20000;
        turn(&world);
        assert_true(world.asked - before <= 2);
        rest();
    }
    for (size_t i = 0; i < 6; i++) {
        free(hear_end(&world, fds[i]));
        close(fds[i]);
    }
    /* Of what was over the first 100 ms, 19 of 20 parts were others'. */
    assert_in_range(clock_us, 3 * 20 * 60000, INT64_MAX);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_huge_head),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_slow_request),
        cmocka_unit_test(test_idle_connection),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_silent_connections),
        cmocka_unit_test(test_who_gives_way),
        cmocka_unit_test(test_a_crowd_keeps_nobody_out),
        cmocka_unit_test(test_health_among_many_who_come),
        cmocka_unit_test(test_endless_sender),
        cmocka_unit_test(test_no_descriptors_left),
        cmocka_unit_test(test_never_readers),
        cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_beyond_the_share),
        cmocka_unit_test(test_accepting_is_paced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
