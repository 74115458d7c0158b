/* control: real unix sockets: commands and their answers, however the bytes come; lines that are none. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <signal.h>

#include "control/commands.h"
#include "control_talk.h"

static void test_answers(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    check_version(fixture, fd);
    check_answer(fixture, fd, "  version\t \r\n", "rkbridge 1.2.3\nOK\n");
    check_answer(fixture, fd, "help version\n",
                 "version                                  look   the version of the running rkbridge\nOK\n");
    say(fixture, fd, "help\n");
    char *help = hear_answer(fixture, fd);
    size_t rows;
    const struct rkb_command *commands = rkb_commands(&rows);
    for (size_t i = 0; i < rows; i++)
        assert_non_null(strstr(help, commands[i].help));
    assert_int_equal(times_in(help, "\n"), rows + 1);
    free(help);
    say(fixture, fd, "stats json\n");
    char *stats = hear_answer(fixture, fd);
    json_t *root = json_loads(stats, JSON_DISABLE_EOF_CHECK, NULL);
    assert_non_null(root);
    assert_string_equal(strchr(stats, '\n'), "\nOK\n");
    json_decref(root);
    free(stats);
    say(fixture, fd, "status\n");
    char *status = hear_answer(fixture, fd);
    assert_int_equal(strncmp(status, "verdict: OK all is well\n", 24), 0);
    assert_int_equal(times_in(status, "\nOK\n"), 1);
    free(status);
    close(fd);
}

static char *ask(const struct fixture *fixture, int fd, const char *command)
{
    say(fixture, fd, command);
    return hear_answer(fixture, fd);
}

static void check_starts(const struct fixture *fixture, int fd, const char *command, const char *with)
{
    char *heard = ask(fixture, fd, command);
    if (strncmp(heard, with, strlen(with)) != 0)
        fail_msg("%s: %s", command, heard);
    free(heard);
}

static void test_parts(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    check_starts(fixture, fd, "sources\n", "sources:\n  name ");
    check_starts(fixture, fd, "sources json\n", "{\"sources\":[{\"name\":");
    check_starts(fixture, fd, "kafka\n", "kafka.connected: yes\n");
    check_starts(fixture, fd, "kafka json\n", "{\"kafka\":{\"connected\":true,");
    check_starts(fixture, fd, "journal text\n", "journal.bytes: ");
    check_starts(fixture, fd, "journal json\n", "{\"journal\":{\"bytes\":");
    check_starts(fixture, fd, "stats prom\n", "# HELP rkbridge_");
    char *heard = ask(fixture, fd, "stats json route users\n");
    json_t *root = json_loads(heard, JSON_DISABLE_EOF_CHECK, NULL), *routes = json_object_get(root, "routes");
    assert_int_equal(json_object_size(root), 1);
    assert_int_equal(json_object_size(routes), 1);
    assert_non_null(json_object_get(json_object_get(routes, "users"), "received"));
    json_decref(root);
    free(heard);
    struct rkb_route_snapshot both[] = {sample_routes[0], sample_routes[1]};
    both[0].among_others = true;        /* who asks for it by its name gets it by its name */
    fixture->snapshot.routes = both;
    heard = ask(fixture, fd, "stats prom route users\n");
    assert_non_null(strstr(heard, "{route=\"users\"}"));
    assert_null(strstr(heard, "{route=\"a"));
    assert_null(strstr(heard, "(other)"));
    free(heard);
    heard = ask(fixture, fd, "stats prom\n");
    assert_int_equal(times_in(heard, "\nOK\n"), 1);
    free(heard);
    check_answer(fixture, fd, "stats route no-such\n",
                 "ERROR unknown_name there is no route no-such; routes lists them\n");
    check_answer(fixture, fd, "stats route\n", "ERROR usage usage: stats [text|json|prom] [route NAME]\n");
    check_answer(fixture, fd, "stats prom json\n", "ERROR usage usage: stats [text|json|prom] [route NAME]\n");
    check_answer(fixture, fd, "journal now\n", "ERROR usage usage: journal [text|json]\n");
    close(fd);
}

static void test_errors(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    size_t asked = fixture->asked;
    check_answer(fixture, fd, "frobnicate now\n",
                 "ERROR unknown_command there is no command \"frobnicate\"; try help\n");
    check_answer(fixture, fd, "VERSION\n", "ERROR unknown_command there is no command \"VERSION\"; try help\n");
    check_answer(fixture, fd, "\n", "ERROR unknown_command there is no command \"\"; try help\n");
    check_answer(fixture, fd, "\x1b[31m\xff\n",
                 "ERROR unknown_command there is no command \"\\x1b[31m\\xff\"; try help\n");
    assert_int_equal(fixture->asked, asked);    /* who asks for nothing costs nothing */
    check_answer(fixture, fd, "stats xml\n", "ERROR usage usage: stats [text|json|prom] [route NAME]\n");
    check_answer(fixture, fd, "stats json json\n", "ERROR usage usage: stats [text|json|prom] [route NAME]\n");
    check_answer(fixture, fd, "routes 1\n", "ERROR usage usage: routes [text|json]\n");
    check_answer(fixture, fd, "gaps 1 json\n", "ERROR usage usage: gaps [SINCE] [text|json]\n");
    check_answer(fixture, fd, "gaps json 2h\n", "ERROR usage usage: gaps [SINCE] [text|json]\n");
    check_answer(fixture, fd, "gaps 2h json 1\n", "ERROR usage usage: gaps [SINCE] [text|json]\n");
    check_answer(fixture, fd, "gaps 1 2\n", "ERROR usage usage: gaps [SINCE] [text|json]\n");
    check_answer(fixture, fd, "version 1\n", "ERROR usage usage: version \n");
    check_answer(fixture, fd, "status xml\n", "ERROR usage usage: status [text|json]\n");
    check_answer(fixture, fd, "help me\n", "ERROR usage usage: help [COMMAND]\n");
    check_answer(fixture, fd, "version 1 2 3 4 5 6 7 8 9 10 11 12\n", "ERROR usage usage: version \n");
    check_version(fixture, fd);
    close(fd);
}

static void test_nul_bytes(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say_bytes(fixture, fd, "version\0\n", 9);
    expect_answer(fixture, fd, "ERROR unknown_command there is no command \"version\\x00\"; try help\n");
    check_version(fixture, fd);
    close(fd);
}

static void test_a_command_in_single_bytes(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    for (const char *at = "version\n"; *at != '\0'; at++)
        say_bytes(fixture, fd, at, 1);
    expect_answer(fixture, fd, "rkbridge 1.2.3\nOK\n");
    close(fd);
}

static void test_pipelined_commands_in_order(void **state)
{
    struct fixture *fixture = *state;
    enum { COMMANDS = 2000 };
    struct rkb_buffer commands = {0}, expected = {0};
    for (int i = 0; i < COMMANDS; i++) {
        rkb_buffer_format(&commands, i % 3 == 0 ? "version\n" : "no%d\n", i);
        if (i % 3 == 0)
            rkb_buffer_text(&expected, "rkbridge 1.2.3\nOK\n");
        else
            rkb_buffer_format(&expected, "ERROR unknown_command there is no command \"no%d\"; try help\n", i);
    }
    int fd = dial(fixture);
    say_bytes(fixture, fd, commands.data, commands.size);
    shutdown(fd, SHUT_WR);      /* and who has said all still hears all */
    expect_end(fixture, fd, as_text(&expected));
    rkb_buffer_free(&commands);
    rkb_buffer_free(&expected);
    close(fd);
}

static void test_half_closed_without_newline(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say(fixture, fd, "version\nstat");
    shutdown(fd, SHUT_WR);
    expect_end(fixture, fd, "rkbridge 1.2.3\nOK\nERROR incomplete the last line has no newline at its end\n");
    close(fd);
}

static void test_line_limit(void **state)
{
    struct fixture *fixture = *state;
    char line[RKB_CONTROL_LINE_MAX + 3];
    memset(line, ' ', sizeof line);
    memcpy(line, "version", 7);
    int fd = dial(fixture);
    line[RKB_CONTROL_LINE_MAX] = '\n';          /* just as long as allowed */
    say_bytes(fixture, fd, line, RKB_CONTROL_LINE_MAX + 1);
    expect_answer(fixture, fd, "rkbridge 1.2.3\nOK\n");
    line[RKB_CONTROL_LINE_MAX] = '\r';          /* the same with CR LF */
    line[RKB_CONTROL_LINE_MAX + 1] = '\n';
    say_bytes(fixture, fd, line, RKB_CONTROL_LINE_MAX + 2);
    expect_answer(fixture, fd, "rkbridge 1.2.3\nOK\n");
    line[RKB_CONTROL_LINE_MAX] = ' ';           /* one too long; what comes after it is not obeyed */
    line[RKB_CONTROL_LINE_MAX + 1] = '\n';
    assert_int_equal(send(fd, line, RKB_CONTROL_LINE_MAX + 2, MSG_NOSIGNAL), RKB_CONTROL_LINE_MAX + 2);
    assert_int_equal(send(fd, "version\n", 8, MSG_NOSIGNAL), 8);
    expect_end(fixture, fd, "ERROR too_long a command is at most 4096 bytes long; closing\n");
    close(fd);
}

static void test_garbage_without_end(void **state)
{
    struct fixture *fixture = *state;
    char garbage[10000];
    memset(garbage, 0, sizeof garbage);
    int fd = dial(fixture);
    assert_int_equal(send(fd, garbage, sizeof garbage, MSG_NOSIGNAL), (ssize_t)sizeof garbage);
    expect_end(fixture, fd, "ERROR too_long a command is at most 4096 bytes long; closing\n");
    close(fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        EACH(test_answers),
        EACH(test_parts),
        EACH(test_errors),
        EACH(test_nul_bytes),
        EACH(test_a_command_in_single_bytes),
        EACH(test_pipelined_commands_in_order),
        EACH(test_half_closed_without_newline),
        EACH(test_line_limit),
        EACH(test_garbage_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
