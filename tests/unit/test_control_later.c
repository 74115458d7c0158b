/* Answers that come later: order of what is pipelined, clients that leave meanwhile, an end that comes first. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <signal.h>

#include "control_talk.h"

/* What was asked last, and what it comes to. */
struct desk {
    enum rkb_outcome outcome;
    uint64_t ticket;
    size_t count;
    char words[64];
    bool frees;
};

static struct desk desk;

static enum rkb_outcome act(void *context, const struct rkb_action *action, struct rkb_buffer *out, const char **code,
                            struct rkb_error *error)
{
    struct fixture *fixture = context;
    desk.ticket = action->ticket;
    desk.count++;
    snprintf(desk.words, sizeof desk.words, "%s/%zu", action->word, action->count);
    rkb_buffer_text(out, "begun\n");
    *code = "sorry";
    rkb_fail(error, RKB_REFUSED, "not\nnow");
    if (desk.frees)
        rkb_control_free(fixture->control);
    return desk.outcome;
}

static int open_desk(void **state)
{
    if (start(state) != 0)
        return -1;
    struct fixture *fixture = *state;
    struct rkb_control_options options = options_of(fixture);
    desk = (struct desk){.outcome = RKB_LATER};
    options.act = act;
    options.act_context = fixture;
    return reopen(fixture, &options);
}

static void tell(const struct fixture *fixture, uint64_t ticket, const char *text)
{
    struct rkb_buffer lines = {0};
    rkb_buffer_text(&lines, text);
    rkb_control_say(fixture->control, ticket, &lines);
    assert_null(lines.data);
}

/* Nothing more has come. */
static void expect_silence(const struct fixture *fixture, int fd)
{
    struct rkb_buffer heard = {0};
    for (int i = 0; i < 20; i++)
        turn(fixture);
    assert_true(hear_some(fd, &heard) < 0);
    rkb_buffer_free(&heard);
}

static void test_answers_at_once(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    desk.outcome = RKB_DONE;
    check_answer(fixture, fd, "drain\n", "begun\nOK\n");
    assert_string_equal(desk.words, "drain/0");
    desk.outcome = RKB_DENIED;
    check_answer(fixture, fd, "drain a b\n", "ERROR sorry not\\nnow\n");
    assert_string_equal(desk.words, "drain/2");
    desk.outcome = RKB_WRONG_WORDS;
    check_answer(fixture, fd, "drain a\n", "ERROR usage usage: drain \n");
    close(fd);
}

static void test_what_is_pipelined_waits(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture), other = dial(fixture);
    say(fixture, fd, "version\ndrain\nversion\nno\n");
    expect(fixture, fd, "rkbridge 1.2.3\nOK\nbegun\n");
    size_t asked = fixture->asked;
    expect_silence(fixture, fd);
    assert_int_equal(fixture->asked, asked);
    check_version(fixture, other);      /* nobody else waits */
    say(fixture, fd, "version\n");
    expect_silence(fixture, fd);
    tell(fixture, desk.ticket, "half\n");
    expect(fixture, fd, "half\n");
    expect_silence(fixture, fd);
    rkb_control_finish(fixture->control, desk.ticket, NULL, NULL);
    expect(fixture, fd, "OK\nrkbridge 1.2.3\nOK\nERROR unknown_command there is no command \"no\"; try help\n"
           "rkbridge 1.2.3\nOK\n");
    rkb_control_finish(fixture->control, desk.ticket, NULL, NULL);          /* there is only one end */
    tell(fixture, desk.ticket, "more\n");
    expect_silence(fixture, fd);
    close(fd);
    close(other);
}

static void test_one_after_another(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say(fixture, fd, "drain\ndrain\nversion\n");
    shutdown(fd, SHUT_WR);              /* it has said all, and still hears all */
    expect(fixture, fd, "begun\n");
    assert_int_equal(desk.count, 1);
    uint64_t first = desk.ticket;
    rkb_control_finish(fixture->control, first, "no_luck", "two\nlines");
    expect(fixture, fd, "ERROR no_luck two\\nlines\nbegun\n");
    assert_int_equal(desk.count, 2);
    assert_true(desk.ticket != first && desk.ticket != 0);
    rkb_control_finish(fixture->control, first, NULL, NULL);                /* the first one's: nobody waits for it */
    expect_silence(fixture, fd);
    rkb_control_finish(fixture->control, desk.ticket, NULL, NULL);
    expect_end(fixture, fd, "OK\nrkbridge 1.2.3\nOK\n");
    close(fd);
}

static void test_who_leaves_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 2 * RKB_CONTROL_CLIENTS_MAX; i++) {
        int fd = dial(fixture);
        say(fixture, fd, "drain\nversion\n");
        expect(fixture, fd, "begun\n");
        uint64_t ticket = desk.ticket;
        close(fd);
        turn(fixture);
        if (i % 2 == 0)
            tell(fixture, ticket, "half\n");
        turn(fixture);
        rkb_control_finish(fixture->control, ticket, NULL, NULL);
        turn(fixture);
        turn(fixture);
    }
    check_served(fixture);    /* nobody of them takes a place any more */
}

static void test_who_never_reads_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    static char much[1 << 20];
    int deaf = dial(fixture), other = dial(fixture);
    memset(much, 'x', sizeof much - 1);
    much[sizeof much - 2] = '\n';
    say(fixture, deaf, "drain\n");
    turn(fixture);
    for (int i = 0; i < 8; i++) {
        tell(fixture, desk.ticket, much);
        turn(fixture);
    }
    rkb_control_finish(fixture->control, desk.ticket, NULL, NULL);
    char *heard = hear_end(fixture, deaf);
    assert_true(strlen(heard) < 2 * sizeof much);
    assert_int_equal(times_in(heard, "OK\n"), 0);
    free(heard);
    check_version(fixture, other);
    close(deaf);
    close(other);
}

/* The bridge ends: who waits is told, and what was said before still gets out. */
static void test_abandoned_at_the_end(void **state)
{
    struct fixture *fixture = *state;
    int waiting = dial(fixture), told = dial(fixture), left = dial(fixture);
    say(fixture, waiting, "drain\nversion\n");
    expect(fixture, waiting, "begun\n");
    say(fixture, left, "drain\n");
    turn(fixture);
    close(left);
    say(fixture, told, "drain\n");
    expect(fixture, told, "begun\n");
    tell(fixture, desk.ticket, "done\n");
    rkb_control_finish(fixture->control, desk.ticket, NULL, NULL);
    rkb_control_free(fixture->control);         /* the loop does not turn any more */
    fixture->control = NULL;
    expect_left(waiting, "ERROR ending rkbridge ends before this is done\n");
    expect_left(told, "done\nOK\n");
    close(waiting);
    close(told);
}

static void test_the_end_inside_a_command(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    desk.frees = true;
    say(fixture, fd, "drain\nversion\n");
    fixture->control = NULL;
    expect_end(fixture, fd, "begun\nERROR ending rkbridge ends before this is done\n");
    close(fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, open_desk, stop)
    const struct CMUnitTest tests[] = {
        EACH(test_answers_at_once),
        EACH(test_what_is_pipelined_waits),
        EACH(test_one_after_another),
        EACH(test_who_leaves_meanwhile),
        EACH(test_who_never_reads_is_dropped),
        EACH(test_abandoned_at_the_end),
        EACH(test_the_end_inside_a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
