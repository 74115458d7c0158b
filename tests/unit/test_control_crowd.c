/* control: clients that are many, silent, deaf, greedy or gone: nobody is kept out by them, and nothing grows. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/resource.h>

#include "base/sys.h"
#include "control/client.h"
#include "control/commands.h"
#include "control_talk.h"

static int64_t hand_us;

static int64_t by_hand(void)
{
    return hand_us;
}

static void open_by_hand(struct fixture *fixture, struct rkb_sys *sys)
{
    struct rkb_control_options options = options_of(fixture);
    *sys = rkb_sys_posix;
    sys->monotonic_us = by_hand;
    options.sys = sys;
    assert_int_equal(reopen(fixture, &options), 0);
}

/* All clients together have had their share: they are answered when it is made up for, and newcomers are taken then. */
static void test_beyond_the_share(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_sys sys;
    open_by_hand(fixture, &sys);
    int fd = dial(fixture), other;
    turn(fixture);
    fixture->control->share = (struct rkb_share){1000, 3000, hand_us};
    say(fixture, fd, "version\n");
    other = dial(fixture);
    for (int i = 0; i < 20; i++)
        turn(fixture);
    assert_int_equal(fixture->asked, 0);
    assert_int_equal(fixture->control->client_count, 2);
    hand_us += 4000 * RKB_SHARE_PARTS;
    expect_answer(fixture, fd, "rkbridge 1.2.3\nOK\n");
    check_version(fixture, other);
    close(fd);
    close(other);
}

static void test_many_commands_let_others_in_between(void **state)
{
    struct fixture *fixture = *state;
    int greedy = dial(fixture), other = dial(fixture);
    turn(fixture);
    size_t asked = fixture->asked;
    char commands[3200];
    for (size_t i = 0; i < sizeof commands; i += 8)
        memcpy(commands + i, "version\n", 8);
    assert_int_equal(send(greedy, commands, sizeof commands, MSG_NOSIGNAL), (ssize_t)sizeof commands);
    assert_int_equal(send(other, "version\n", 8, MSG_NOSIGNAL), 8);
    struct rkb_buffer heard = {0};
    while (heard.size == 0) {
        event_base_loop(fixture->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
        hear_some(other, &heard);
    }
    assert_true(fixture->asked - asked < 100);
    assert_string_equal(as_text(&heard), "rkbridge 1.2.3\nOK\n");
    rkb_buffer_free(&heard);
    close(greedy);
    close(other);
}

static void test_client_limit(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_sys sys;
    int fds[RKB_CONTROL_CLIENTS_MAX];
    open_by_hand(fixture, &sys);
    for (size_t i = 0; i < RKB_CONTROL_CLIENTS_MAX; i++) {
        fds[i] = dial(fixture);
        turn(fixture);
    }
    int late = dial(fixture);
    expect_end(fixture, late, "ERROR too_many_clients at most 32 clients at a time\n");
    close(late);
    check_version(fixture, fds[31]);
    close(fds[0]);
    turn(fixture);
    turn(fixture);
    late = dial(fixture);
    check_version(fixture, late);
    close(late);
    for (size_t i = 1; i < RKB_CONTROL_CLIENTS_MAX; i++)
        close(fds[i]);
}

/* Silence keeps nobody out: 500 say nothing, and one who asks is answered; one who has just asked keeps its place. */
static void test_500_who_say_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_sys sys;
    int silent[500];
    size_t places = sizeof silent / sizeof silent[0];
    open_by_hand(fixture, &sys);
    int early = dial(fixture);
    check_version(fixture, early);
    size_t asked = fixture->asked;
    for (size_t i = 0; i < places; i++) {
        hand_us += RKB_CONTROL_IDLE_US / 10;
        silent[i] = dial(fixture);
        turn(fixture);
        if (i % 4 == 0)
            check_answer(fixture, early, "nonsense\n",
                         "ERROR unknown_command there is no command \"nonsense\"; try help\n");
    }
    assert_int_equal(fixture->asked, asked);    /* they cost nothing */
    hand_us += RKB_CONTROL_IDLE_US;
    int late = dial(fixture);
    check_version(fixture, late);
    check_version(fixture, early);
    expect_end(fixture, silent[0],
               "ERROR too_many_clients others need the place of one who says or reads nothing; come again\n");
    for (size_t i = 0; i < places; i++)
        close(silent[i]);
    close(early);
    close(late);
}

/* Nobody loses its place whose answer is under way; test_control_places: how long. */
static void test_who_waits_keeps_its_place(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_sys sys;
    int deaf[RKB_CONTROL_CLIENTS_MAX];
    open_by_hand(fixture, &sys);
    show_gaps(fixture, 20000);      /* more than a socket holds */
    for (size_t i = 0; i < RKB_CONTROL_CLIENTS_MAX; i++) {
        deaf[i] = dial(fixture);
        say(fixture, deaf[i], "gaps\n");
        turn(fixture);
    }
    hand_us += RKB_CONTROL_DEAF_US - 1;
    int late = dial(fixture);
    expect_end(fixture, late, "ERROR too_many_clients at most 32 clients at a time\n");
    close(late);
    for (size_t i = 0; i < RKB_CONTROL_CLIENTS_MAX; i++)
        close(deaf[i]);
}

static struct rkb_buffer gaps_answer(struct fixture *fixture)
{
    struct rkb_peer peer = {.right = RKB_RIGHT_LOOK};
    struct rkb_asking asking = {.snapshot = give_snapshot, .context = fixture, .peer = &peer};
    struct rkb_buffer answer = {0};
    assert_true(rkb_command_answer(rkb_slice_text("gaps"), &asking, &answer));
    return answer;
}

static void test_who_never_reads_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    show_gaps(fixture, 4000);      /* an answer of about 400 kB */
    int deaf = dial(fixture), other = dial(fixture);
    struct rkb_buffer one = gaps_answer(fixture);
    size_t asked = fixture->asked;
    for (int i = 0; i < 40; i++) {
        (void)!send(deaf, "gaps\n", 5, MSG_NOSIGNAL);      /* fails once it is dropped */
        turn(fixture);
        turn(fixture);
    }
    size_t answers = fixture->asked - asked;
    assert_true(answers > RKB_CONTROL_UNREAD_MAX / one.size);
    assert_true(answers < RKB_CONTROL_UNREAD_MAX / one.size + 4);
    check_version(fixture, other);
    char *heard = hear_end(fixture, deaf);      /* what the kernel holds, and the end */
    assert_true(strlen(heard) < RKB_CONTROL_UNREAD_MAX);
    free(heard);
    rkb_buffer_free(&one);
    close(deaf);
    close(other);
}

static void test_many_large_answers_to_a_reader(void **state)
{
    struct fixture *fixture = *state;
    show_gaps(fixture, 4000);      /* together twice what may be unread */
    char commands[101] = "";
    for (int i = 0; i < 20; i++)
        strcat(commands, "gaps\n");
    int fd = dial(fixture);
    say(fixture, fd, commands);
    shutdown(fd, SHUT_WR);
    char *heard = hear_end(fixture, fd);
    assert_int_equal(times_in(heard, "\nOK\n"), 20);
    free(heard);
    close(fd);
}

static void test_a_large_answer_to_a_slow_reader(void **state)
{
    struct fixture *fixture = *state;
    show_gaps(fixture, 60000);      /* an answer above what may be unread: one is always allowed */
    struct rkb_buffer expected = gaps_answer(fixture);
    assert_true(expected.size > RKB_CONTROL_UNREAD_MAX);
    int fd = dial(fixture);
    say(fixture, fd, "gaps\n");
    shutdown(fd, SHUT_WR);
    expect_end(fixture, fd, as_text(&expected));
    rkb_buffer_free(&expected);
    close(fd);
}

static void test_who_leaves_early(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3 * RKB_CONTROL_CLIENTS_MAX; i++) {
        int fd = dial(fixture);
        if (i % 3 != 0)
            assert_int_equal(send(fd, "stats\nstats\nsta", i % 3 == 1 ? 3 : 15, MSG_NOSIGNAL), i % 3 == 1 ? 3 : 15);
        if (i % 2 == 0)
            turn(fixture);
        close(fd);
        turn(fixture);
        turn(fixture);
    }
    check_served(fixture);    /* nobody of them takes a place any more */
}

static void set_flag(evutil_socket_t fd, short what, void *context)
{
    bool *flag = context;
    (void)fd;
    (void)what;
    *flag = true;
}

static void test_no_descriptors_left(void **state)
{
    struct fixture *fixture = *state;
    int first = dial(fixture), second = dial(fixture), waiting = dial(fixture);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)waiting + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    bool over = false;
    size_t passes = 0;
    event_base_once(fixture->base, -1, EV_TIMEOUT, set_flag, &over, &(struct timeval){0, 300000});
    while (!over) {     /* accept fails, and the loop does not spin on it */
        event_base_loop(fixture->base, EVLOOP_ONCE);
        passes++;
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(passes < 50);
    assert_int_equal(send(first, "version\n", 8, MSG_NOSIGNAL), 8);
    struct rkb_buffer heard = {0};
    while (hear_some(first, &heard) < 0)
        event_base_loop(fixture->base, EVLOOP_ONCE);    /* waits for the pause to end */
    assert_string_equal(as_text(&heard), "rkbridge 1.2.3\nOK\n");
    rkb_buffer_free(&heard);
    close(first);
    close(second);
    close(waiting);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        EACH(test_beyond_the_share),
        EACH(test_many_commands_let_others_in_between),
        EACH(test_client_limit),
        EACH(test_500_who_say_nothing),
        EACH(test_who_waits_keeps_its_place),
        EACH(test_who_never_reads_is_dropped),
        EACH(test_many_large_answers_to_a_reader),
        EACH(test_a_large_answer_to_a_slow_reader),
        EACH(test_who_leaves_early),
        EACH(test_no_descriptors_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
