/* A dead letter that comes in over the control socket: its bytes, its bounds, and clients that do not go on. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <event2/event_struct.h>
#include <signal.h>

#include "control_talk.h"

#define LIMIT 100000

/* What was taken last, and what is answered. */
struct desk {
    struct rkb_buffer headers, payload;
    size_t count;
    const char *code;           /* NULL: it is taken */
    const char *says;
    char orders[200];           /* what was said of who asked */
};

static struct desk desk;

static bool take_letter(void *context, struct rkb_slice headers, struct rkb_slice payload, struct rkb_buffer *out,
                        const char **code, struct rkb_error *error)
{
    struct desk *at = context;
    at->headers.size = at->payload.size = 0;
    rkb_buffer_add(&at->headers, headers.data, headers.size);
    rkb_buffer_add(&at->payload, payload.data, payload.size);
    at->count++;
    if (at->code == NULL) {
        rkb_buffer_text(out, at->says);
        return true;
    }
    *code = at->code;
    return rkb_fail(error, RKB_FULL, "%s", at->says);
}

static void note_order(void *context, const char *word, const struct rkb_peer *peer)
{
    struct desk *at = context;
    size_t used = strlen(at->orders);
    snprintf(at->orders + used, sizeof at->orders - used, "%s by %lld/%lld\n", word, (long long)peer->uid,
             (long long)peer->pid);
}

static int open_desk(void **state)
{
    if (start(state) != 0)
        return -1;
    struct fixture *fixture = *state;
    struct rkb_control_options options = options_of(fixture);
    desk = (struct desk){.says = "taken\n"};
    options.asked = note_order;
    options.act_context = &desk;
    options.retry = take_letter;
    options.retry_context = &desk;
    options.upload_limit = LIMIT;
    return reopen(fixture, &options);
}

static int close_desk(void **state)
{
    rkb_buffer_free(&desk.headers);
    rkb_buffer_free(&desk.payload);
    return stop(state);
}

static void expect_taken(size_t count, const void *headers, size_t headers_size, const void *payload, size_t size)
{
    assert_int_equal(desk.count, count);
    assert_true(rkb_slice_equal(rkb_slice(desk.headers.data, desk.headers.size), rkb_slice(headers, headers_size)));
    assert_true(rkb_slice_equal(rkb_slice(desk.payload.data, desk.payload.size), rkb_slice(payload, size)));
}

/* Bytes of any kind, newlines and commands among them, however they come; then commands again. */
static void test_taken(void **state)
{
    static const char line[] = "retry 5 9\n", bytes[] = "\0\nOK\n" "version\n\xff";
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    for (size_t step = 1; step <= 4; step++) {
        say(fixture, fd, line);
        for (size_t at = 0; at < sizeof bytes - 1; at += step)
            say_bytes(fixture, fd, bytes + at, at + step < sizeof bytes - 1 ? step : sizeof bytes - 1 - at);
        expect_answer(fixture, fd, "taken\nOK\n");
        expect_taken(step, bytes, 5, bytes + 5, 9);
    }
    check_answer(fixture, fd, "retry 0 0\n", "taken\nOK\n");
    expect_taken(5, "", 0, "", 0);
    check_version(fixture, fd);
    check_answer(fixture, fd, "retry\n", "ERROR usage usage: retry SIZE SIZE\n");
    check_answer(fixture, fd, "retry 1\n", "ERROR usage usage: retry SIZE SIZE\n");
    check_answer(fixture, fd, "retry -1 1\n", "ERROR usage usage: retry SIZE SIZE\n");
    check_answer(fixture, fd, "retry 1 1 1\n", "ERROR usage usage: retry SIZE SIZE\n");
    check_answer(fixture, fd, "retry 1 9999999999999999\n", "ERROR usage usage: retry SIZE SIZE\n");
    assert_int_equal(desk.count, 5);
    close(fd);
}

/* Who sends letters again is said once for each client; words that are wrong, or too large, are no order. */
static void test_who_asked(void **state)
{
    struct fixture *fixture = *state;
    char expected[200];
    int size = snprintf(expected, sizeof expected, "retry by %lld/%lld\n", (long long)geteuid(), (long long)getpid());
    int fd = dial(fixture);
    check_answer(fixture, fd, "retry 1\n", "ERROR usage usage: retry SIZE SIZE\n");
    assert_string_equal(desk.orders, "");
    for (int i = 0; i < 3; i++)
        check_answer(fixture, fd, "retry 1 1\nHP", "taken\nOK\n");
    assert_string_equal(desk.orders, expected);
    close(fd);
    fd = dial(fixture);
    check_answer(fixture, fd, "retry 1 1\nHP", "taken\nOK\n");
    close(fd);
    snprintf(expected + size, sizeof expected - (size_t)size, "retry by %lld/%lld\n", (long long)geteuid(),
             (long long)getpid());
    assert_string_equal(desk.orders, expected);
}

/* Many in one go, and a command behind them: each its answer, in order. */
static void test_in_a_row(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    struct rkb_buffer all = {0};
    for (int i = 0; i < 100; i++)
        rkb_buffer_text(&all, "retry 2 3\nHHPPP");
    rkb_buffer_text(&all, "version\n");
    say_bytes(fixture, fd, all.data, all.size);
    rkb_buffer_free(&all);
    shutdown(fd, SHUT_WR);
    char *heard = hear_end(fixture, fd);
    assert_int_equal(times_in(heard, "taken\nOK\n"), 100);
    assert_string_equal(strstr(heard, "rkbridge"), "rkbridge 1.2.3\nOK\n");
    free(heard);
    expect_taken(100, "HH", 2, "PPP", 3);
    close(fd);
}

static void test_the_largest(void **state)
{
    static char bytes[LIMIT];
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    say(fixture, fd, "retry 1000 99000\n");
    say_bytes(fixture, fd, bytes, sizeof bytes);
    expect_answer(fixture, fd, "taken\nOK\n");
    expect_taken(1, bytes, 1000, bytes + 1000, 99000);
    static const char *const over[] = {"retry 1000 99001\n", "retry 999999999999999 999999999999999\n"};
    for (size_t i = 0; i < 2; i++) {
        int other = dial(fixture);
        say(fixture, other, over[i]);
        char *heard = hear_end(fixture, other);
        assert_int_equal(strncmp(heard, "ERROR too_large ", 16), 0);
        free(heard);
        close(other);
    }
    assert_int_equal(desk.count, 1);
    close(fd);
}

/* Refused by whoever takes it: the connection stays. */
static void test_refused(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    desk.code = "busy";
    desk.says = "no room\nOK";
    check_answer(fixture, fd, "retry 1 1\nab", "ERROR busy no room\\nOK\n");
    check_version(fixture, fd);
    close(fd);
}

static void expect_closed(struct fixture *fixture, int fd, const char *with)
{
    char *heard = hear_end(fixture, fd);
    if (strncmp(heard, with, strlen(with)) != 0)
        fail_msg("\"%s\" instead of %s", heard, with);
    free(heard);
    close(fd);
}

/* One at a time: another is sent away and can come again; commands of others are answered meanwhile. */
static void test_one_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    int first = dial(fixture), second = dial(fixture), third = dial(fixture);
    say(fixture, first, "retry 2 2\na");
    say(fixture, second, "retry 2 2\n");
    turn(fixture);
    expect_closed(fixture, second, "ERROR busy ");
    check_version(fixture, third);
    check_answer(fixture, first, "bcd", "taken\nOK\n");
    check_answer(fixture, third, "retry 1 1\nab", "taken\nOK\n");
    assert_int_equal(desk.count, 2);
    close(first);
    close(third);
}

/* It ends, breaks off, or is silent: nothing is taken, and the next one has its turn. */
static void test_no_end(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say(fixture, fd, "retry 2 2\nabc");
    shutdown(fd, SHUT_WR);
    expect_closed(fixture, fd, "ERROR incomplete ");
    fd = dial(fixture);
    say(fixture, fd, "retry 2 2\nabc");
    close(fd);
    turn(fixture);
    fd = dial(fixture);
    check_answer(fixture, fd, "retry 1 1\nab", "taken\nOK\n");
    close(fd);
    assert_int_equal(desk.count, 1);
}

static struct event *deadline;

static int find_deadline(const struct event_base *base, const struct event *event, void *context)
{
    (void)base;
    (void)context;
    if (event_get_fd(event) < 0 && (event_get_events(event) & EV_PERSIST) == 0
        && event_pending(event, EV_TIMEOUT, NULL) != 0)
        deadline = (struct event *)(uintptr_t)event;
    return 0;
}

/* Its time is over; the test does not wait for it. */
static void test_too_late(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say(fixture, fd, "retry 2 2\nabc");
    turn(fixture);
    deadline = NULL;
    event_base_foreach_event(fixture->base, find_deadline, NULL);
    assert_non_null(deadline);
    event_active(deadline, EV_TIMEOUT, 0);
    turn(fixture);
    expect_closed(fixture, fd, "ERROR timeout ");
    fd = dial(fixture);
    check_answer(fixture, fd, "retry 1 1\nab", "taken\nOK\n");
    deadline = NULL;
    event_base_foreach_event(fixture->base, find_deadline, NULL);
    assert_null(deadline);
    close(fd);
    assert_int_equal(desk.count, 1);
}

/* Where nobody takes any. */
static void test_no_desk(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say(fixture, fd, "retry 0 0\n");
    expect_closed(fixture, fd, "ERROR too_large ");
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, open_desk, close_desk)
    const struct CMUnitTest tests[] = {
        EACH(test_taken),
        EACH(test_in_a_row),
        EACH(test_the_largest),
        EACH(test_refused),
        EACH(test_who_asked),
        EACH(test_no_end),
        EACH(test_one_at_a_time),
        EACH(test_too_late),
        cmocka_unit_test_setup_teardown(test_no_desk, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
