/*
 * Places on the control socket: who has left, who reads nothing for long, and who has had his turn make
 * room for others; nobody shuts the others out.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>

#include "base/log.h"
#include "base/sys.h"
#include "control/client.h"
#include "control_talk.h"

#define MOST RKB_CONTROL_CLIENTS_MAX

static int64_t clock_us, log_us;        /* turned by hand; of the log one of its own */
static struct rkb_sys sys, log_sys;
static struct rkb_log *log_here;

static int64_t by_hand(void)
{
    return clock_us;
}

static int64_t of_log(void)
{
    return log_us;
}

/* Takes every order, and never comes back to it. */
static enum rkb_outcome act(void *context, const struct rkb_action *action, struct rkb_buffer *out, const char **code,
                            struct rkb_error *error)
{
    (void)context, (void)action, (void)code, (void)error;
    rkb_buffer_text(out, "begun\n");
    return RKB_LATER;
}

static void open_with(struct fixture *fixture, int64_t share_us)
{
    struct rkb_control_options options = options_of(fixture);
    options.share_us = share_us;
    options.sys = &sys;
    options.log = log_here;
    options.act = act;
    assert_int_equal(reopen(fixture, &options), 0);
}

static int open_places(void **state)
{
    struct rkb_error error;
    if (start(state) != 0)
        return -1;
    clock_us = 1;
    sys = rkb_sys_posix;
    sys.monotonic_us = by_hand;
    log_us = INT64_C(1764000000000000);
    log_sys = rkb_sys_posix;
    log_sys.realtime_us = log_sys.monotonic_us = of_log;
    log_here = rkb_log_new_with(open("/dev/null", O_WRONLY | O_CLOEXEC), RKB_LOG_INFO, RKB_LOG_TEXT, &log_sys, &error);
    open_with(*state, INT64_MAX);
    return 0;
}

static int close_places(void **state)
{
    struct fixture *fixture = *state;
    rkb_control_free(fixture->control);
    fixture->control = NULL;
    rkb_log_free(log_here, 10000);
    return stop(state);
}

static void turns(const struct fixture *fixture)
{
    for (int i = 0; i < 10; i++)
        turn(fixture);
}

/* Clients that say this, and no more. */
static void fill(const struct fixture *fixture, int fds[], size_t count, const char *line)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = dial(fixture);
        say(fixture, fds[i], line);
        turns(fixture);
    }
}

static void close_all(const int fds[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* Somebody comes, and is taken or refused. */
static void check_newcomer(const struct fixture *fixture, bool taken)
{
    int fd = dial(fixture);
    turns(fixture);
    (void)!send(fd, "version\n", 8, MSG_NOSIGNAL);
    expect_answer(fixture, fd, taken ? "rkbridge 1.2.3\nOK\n"
                                     : "ERROR too_many_clients at most 32 clients at a time\n");
    close(fd);
    turns(fixture);
}

/* All places are taken by answers that nobody reads: after ten seconds the first of them is free. */
static void test_who_reads_nothing_gives_way(void **state)
{
    struct fixture *fixture = *state;
    int deaf[MOST];
    show_gaps(fixture, 20000);      /* more than a socket holds */
    fill(fixture, deaf, MOST, "gaps\n");
    clock_us += RKB_CONTROL_DEAF_US - 1;
    check_newcomer(fixture, false);
    /* It reads some, and is as good as new. */
    struct rkb_buffer heard = {0};
    for (int i = 0; i < 4; i++) {
        assert_true(hear_some(deaf[0], &heard) > 0);
        turns(fixture);
    }
    rkb_buffer_free(&heard);
    clock_us += 1;
    check_newcomer(fixture, true);
    size_t left = 0;
    for (size_t i = 0; i < MOST; i++) {
        char *text = NULL;
        struct rkb_buffer rest = {0};
        while (hear_some(deaf[i], &rest) > 0)
            continue;
        text = as_text(&rest);
        left += strstr(text, "ERROR too_many") != NULL || recv(deaf[i], &rest, 1, MSG_PEEK) == 0;
        assert_true(i != 0 || left == 0);
        free(text);
    }
    assert_int_equal(left, 1);
    close_all(deaf, MOST);
}

/* An order whose answer comes later holds its place, unless nobody is there any more to hear it. */
static void test_who_has_left_gives_way(void **state)
{
    struct fixture *fixture = *state;
    int waiting[MOST];
    fill(fixture, waiting, MOST, "drain\n");
    clock_us += 1000 * RKB_CONTROL_DEAF_US;
    check_newcomer(fixture, false);
    shutdown(waiting[7], SHUT_WR);              /* it has said all, and waits */
    turns(fixture);
    check_newcomer(fixture, false);
    close(waiting[7]);
    turns(fixture);
    check_newcomer(fixture, true);
    int again = dial(fixture);
    check_answer(fixture, again, "version\n", "rkbridge 1.2.3\nOK\n");
    close(again);
    waiting[7] = dial(fixture);
    close_all(waiting, MOST);
}

static size_t watchers(const struct fixture *fixture)
{
    return fixture->control->watchers;
}

/* Of eight who watch one has left without a word, or reads nothing: a ninth takes its place. */
static void test_who_watches_gives_way(void **state)
{
    struct fixture *fixture = *state;
    int fds[RKB_CONTROL_WATCHERS_MAX];
    fill(fixture, fds, RKB_CONTROL_WATCHERS_MAX, "watch\n");
    int other = dial(fixture), ninth = dial(fixture);
    turns(fixture);
    clock_us += 1000 * RKB_CONTROL_DEAF_US;     /* that nothing happens is not their fault, nor a silent one's */
    check_answer(fixture, other, "watch\n", "ERROR busy at most 8 clients watch at a time\n");
    check_answer(fixture, ninth, "version\n", "rkbridge 1.2.3\nOK\n");
    shutdown(fds[3], SHUT_WR);
    turns(fixture);
    close(fds[3]);
    turns(fixture);
    assert_int_equal(watchers(fixture), RKB_CONTROL_WATCHERS_MAX);
    say(fixture, other, "watch\n");
    turns(fixture);
    assert_int_equal(watchers(fixture), RKB_CONTROL_WATCHERS_MAX);
    fds[3] = other;
    struct rkb_buffer heard = {0};
    for (size_t i = 0; i < 10000; i++) {        /* all read but one */
        log_us += 60000000;                     /* no repeat */
        rkb_log(log_here, RKB_LOG_ERROR, "kafka", "tried", "%zu, and much more of what nobody wants to read", i);
        for (size_t k = 0; k < RKB_CONTROL_WATCHERS_MAX; k++)
            if (k != 5)
                (void)hear_some(fds[k], &heard);
        heard.size = 0;
        turn(fixture);
    }
    rkb_buffer_free(&heard);
    check_answer(fixture, ninth, "watch\n", "ERROR busy at most 8 clients watch at a time\n");
    clock_us += RKB_CONTROL_DEAF_US;
    say(fixture, ninth, "watch\n");
    turns(fixture);
    assert_int_equal(watchers(fixture), RKB_CONTROL_WATCHERS_MAX);
    assert_true(recv(ninth, &clock_us, 1, MSG_DONTWAIT) < 0);       /* not told that it may not */
    close_all(fds, RKB_CONTROL_WATCHERS_MAX);
    close(ninth);
    turns(fixture);
    assert_int_equal(watchers(fixture), 0);
    rkb_log(log_here, RKB_LOG_ERROR, "journal", "tried", "nobody hears of it");
    uint64_t woken;
    assert_true(read(fixture->control->watch_fd, &woken, sizeof woken) < 0);
}

static const struct rkb_snapshot *give_slowly(void *context)
{
    clock_us += 30;
    return give_snapshot(context);
}

/* One asks without end, and whenever there is some of the share it is spent at once: another has its turn too. */
static void test_turns_beyond_the_share(void **state)
{
    struct fixture *fixture = *state;
    open_with(fixture, 1000);
    struct rkb_control *control = fixture->control;
    control->options.snapshot = give_slowly;
    int greedy = dial(fixture), other = dial(fixture);
    turns(fixture);
    struct rkb_buffer heard = {0}, mine = {0};
    control->share.owed_us = 1010;
    control->share.looked_us = clock_us;
    say(fixture, greedy, "version\n");
    say(fixture, other, "version\n");
    size_t answers = 0;
    while (mine.size == 0) {
        clock_us += 40;                         /* of which two are ours */
        event_active(control->accept_again, EV_TIMEOUT, 0);
        turn(fixture);
        if (hear_some(greedy, &heard) > 0) {
            assert_true(++answers < 3);
            say(fixture, greedy, "version\n");
        }
        (void)hear_some(other, &mine);
    }
    assert_int_equal(answers, 1);
    rkb_buffer_free(&heard);
    rkb_buffer_free(&mine);
    close(greedy);
    close(other);
}

/* Who has asked, and waits for his turn, is not silent. */
static void test_who_waits_for_his_turn_stays(void **state)
{
    struct fixture *fixture = *state;
    int fds[MOST];
    open_with(fixture, 100000);
    fill(fixture, fds, MOST, "");
    fixture->control->share.owed_us = 1000000000;
    fixture->control->share.looked_us = clock_us;
    for (size_t i = 0; i < MOST; i++)
        say(fixture, fds[i], "version\n");
    turns(fixture);
    clock_us += 2 * RKB_CONTROL_IDLE_US;
    int fd = dial(fixture);
    char *heard = hear_end(fixture, fd);
    assert_string_equal(heard, "ERROR too_many_clients at most 32 clients at a time\n");
    free(heard);
    close(fd);
    close_all(fds, MOST);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, open_places, close_places)
    const struct CMUnitTest tests[] = {
        EACH(test_who_reads_nothing_gives_way),
        EACH(test_who_has_left_gives_way),
        EACH(test_who_watches_gives_way),
        EACH(test_turns_beyond_the_share),
        EACH(test_who_waits_for_his_turn_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
