/* control: real unix sockets, each limit, and clients that behave badly. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/sys.h"
#include "control/client.h"
#include "control/commands.h"
#include "control_fixture.h"
#include "control_talk.h"

static void test_answers(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    check_answer(fixture, fd, "  version\t \r\n", "rkbridge 1.2.3\nOK\n");
    check_answer(fixture, fd, "help version\n",
                 "version                                  look   the version of the running rkbridge\nOK\n");
    say(fixture, fd, "help\n");
    char *help = hear_answer(fixture, fd);
    size_t rows;
    const struct rkb_command *commands = rkb_commands(&rows);
    for (size_t i = 0; i < rows; i++)
        assert_non_null(strstr(help, commands[i].help));
    assert_int_equal(count(help, "\n"), rows + 1);
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
    assert_int_equal(count(status, "\nOK\n"), 1);
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
    heard = ask(fixture, fd, "stats prom route users\n");
    assert_non_null(strstr(heard, "{route=\"users\"}"));
    assert_null(strstr(heard, "{route=\"a"));
    assert_null(strstr(heard, "(other)"));
    free(heard);
    heard = ask(fixture, fd, "stats prom\n");
    assert_int_equal(count(heard, "\nOK\n"), 1);
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
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    close(fd);
}

static void test_nul_bytes(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say_bytes(fixture, fd, "version\0\n", 9);
    char *heard = hear_answer(fixture, fd);
    assert_string_equal(heard, "ERROR unknown_command there is no command \"version\\x00\"; try help\n");
    free(heard);
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    close(fd);
}

static void test_a_command_in_single_bytes(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    for (const char *at = "version\n"; *at != '\0'; at++)
        say_bytes(fixture, fd, at, 1);
    char *heard = hear_answer(fixture, fd);
    assert_string_equal(heard, "rkbridge 1.2.3\nOK\n");
    free(heard);
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
    char *heard = hear_end(fixture, fd);
    assert_string_equal(heard, as_text(&expected));
    free(heard);
    rkb_buffer_free(&commands);
    rkb_buffer_free(&expected);
    close(fd);
}

/* All clients together have had their share: they are answered when it is made up for, and newcomers are taken then. */
static void test_beyond_the_share(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture), other;
    turn(fixture);
    fixture->control->share = (struct rkb_share){1000, 3000, rkb_sys_posix.monotonic_us()};
    say(fixture, fd, "version\n");
    other = dial(fixture);
    for (int i = 0; i < 20; i++)
        turn(fixture);
    assert_int_equal(fixture->asked, 0);
    assert_int_equal(fixture->control->client_count, 2);
    char *heard = hear_answer(fixture, fd);
    assert_string_equal(heard, "rkbridge 1.2.3\nOK\n");
    free(heard);
    check_answer(fixture, other, "version\n", "rkbridge 1.2.3\nOK\n");
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

static void test_half_closed_without_newline(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    say(fixture, fd, "version\nstat");
    shutdown(fd, SHUT_WR);
    char *heard = hear_end(fixture, fd);
    assert_string_equal(heard, "rkbridge 1.2.3\nOK\nERROR incomplete the last line has no newline at its end\n");
    free(heard);
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
    char *heard = hear_answer(fixture, fd);
    assert_string_equal(heard, "rkbridge 1.2.3\nOK\n");
    free(heard);
    line[RKB_CONTROL_LINE_MAX] = '\r';          /* the same with CR LF */
    line[RKB_CONTROL_LINE_MAX + 1] = '\n';
    say_bytes(fixture, fd, line, RKB_CONTROL_LINE_MAX + 2);
    heard = hear_answer(fixture, fd);
    assert_string_equal(heard, "rkbridge 1.2.3\nOK\n");
    free(heard);
    line[RKB_CONTROL_LINE_MAX] = ' ';           /* one too long; what comes after it is not obeyed */
    line[RKB_CONTROL_LINE_MAX + 1] = '\n';
    assert_int_equal(send(fd, line, RKB_CONTROL_LINE_MAX + 2, MSG_NOSIGNAL), RKB_CONTROL_LINE_MAX + 2);
    assert_int_equal(send(fd, "version\n", 8, MSG_NOSIGNAL), 8);
    heard = hear_end(fixture, fd);
    assert_string_equal(heard, "ERROR too_long a command is at most 4096 bytes long; closing\n");
    free(heard);
    close(fd);
}

static void test_garbage_without_end(void **state)
{
    struct fixture *fixture = *state;
    char garbage[10000];
    memset(garbage, 0, sizeof garbage);
    int fd = dial(fixture);
    assert_int_equal(send(fd, garbage, sizeof garbage, MSG_NOSIGNAL), (ssize_t)sizeof garbage);
    char *heard = hear_end(fixture, fd);
    assert_string_equal(heard, "ERROR too_long a command is at most 4096 bytes long; closing\n");
    free(heard);
    close(fd);
}

static void test_client_limit(void **state)
{
    struct fixture *fixture = *state;
    int fds[RKB_CONTROL_CLIENTS_MAX];
    for (size_t i = 0; i < RKB_CONTROL_CLIENTS_MAX; i++) {
        fds[i] = dial(fixture);
        turn(fixture);
    }
    int late = dial(fixture);
    char *heard = hear_end(fixture, late);
    assert_string_equal(heard, "ERROR too_many_clients at most 32 clients at a time\n");
    free(heard);
    close(late);
    check_answer(fixture, fds[31], "version\n", "rkbridge 1.2.3\nOK\n");
    close(fds[0]);
    turn(fixture);
    turn(fixture);
    late = dial(fixture);
    check_answer(fixture, late, "version\n", "rkbridge 1.2.3\nOK\n");
    close(late);
    for (size_t i = 1; i < RKB_CONTROL_CLIENTS_MAX; i++)
        close(fds[i]);
}

static struct rkb_buffer gaps_answer(struct fixture *fixture)
{
    struct rkb_peer peer = {.right = RKB_RIGHT_LOOK};
    struct rkb_asking asking = {.snapshot = give_snapshot, .context = fixture, .peer = &peer};
    struct rkb_buffer answer = {0};
    assert_true(rkb_command_answer(rkb_slice_text("gaps"), &asking, &answer));
    return answer;
}

static int64_t hand_us;

static int64_t by_hand(void)
{
    return hand_us;
}

static void open_by_hand(struct fixture *fixture, struct rkb_sys *sys)
{
    struct rkb_error error;
    rkb_control_free(fixture->control);
    *sys = rkb_sys_posix;
    sys->monotonic_us = by_hand;
    struct rkb_control_options options = {.path = fixture->path, .mode = 0660, .snapshot = give_snapshot,
                                          .context = fixture, .rights = {.own = geteuid()}, .sys = sys};
    fixture->control = rkb_control_new(fixture->base, &options, &error);
    assert_non_null(fixture->control);
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
    check_answer(fixture, early, "version\n", "rkbridge 1.2.3\nOK\n");
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
    check_answer(fixture, late, "version\n", "rkbridge 1.2.3\nOK\n");
    check_answer(fixture, early, "version\n", "rkbridge 1.2.3\nOK\n");
    char *heard = hear_end(fixture, silent[0]);
    assert_string_equal(heard, "ERROR too_many_clients others need the place of one who says or reads nothing; come again\n");
    free(heard);
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
    char *heard = hear_end(fixture, late);
    assert_string_equal(heard, "ERROR too_many_clients at most 32 clients at a time\n");
    free(heard);
    close(late);
    for (size_t i = 0; i < RKB_CONTROL_CLIENTS_MAX; i++)
        close(deaf[i]);
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
    check_answer(fixture, other, "version\n", "rkbridge 1.2.3\nOK\n");
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
    assert_int_equal(count(heard, "\nOK\n"), 20);
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
    char *heard = hear_end(fixture, fd);
    assert_string_equal(heard, as_text(&expected));
    free(heard);
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
    int fd = dial(fixture);     /* nobody of them takes a place any more */
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    close(fd);
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

static mode_t mode_of(const char *path)
{
    struct stat there;
    assert_int_equal(lstat(path, &there), 0);
    return there.st_mode & 07777;
}

static void test_mode(void **state)
{
    struct fixture *fixture = *state;
    static const mode_t modes[] = {0600, 0660, 0666, 0700, 0222, 0060};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char path[128];
        struct rkb_error error = {0};
        snprintf(path, sizeof path, "%s/mode", fixture->directory);
        mode_t before = umask(077);
        struct rkb_control *control = new_control(fixture, path, modes[i], &error);
        assert_int_equal(umask(before), 077);       /* put back */
        assert_non_null(control);
        assert_int_equal(mode_of(path), modes[i]);
        rkb_control_free(control);
        assert_int_equal(access(path, F_OK), -1);   /* and removed */
    }
}

static void test_in_use(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_error error = {0};
    assert_null(new_control(fixture, fixture->path, 0660, &error));
    assert_int_equal(error.code, RKB_LOCKED);
    assert_non_null(strstr(error.text, fixture->path));
    int fd = dial(fixture);     /* the one that is there is not disturbed */
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    close(fd);
}

static void test_stale_socket_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    rkb_control_free(fixture->control);
    strcpy(address.sun_path, fixture->path);
    int gone = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(gone, (struct sockaddr *)&address, sizeof address), 0);
    close(gone);
    assert_int_equal(access(fixture->path, F_OK), 0);
    struct rkb_error error = {0};
    fixture->control = new_control(fixture, fixture->path, 0600, &error);
    assert_non_null(fixture->control);
    assert_int_equal(mode_of(fixture->path), 0600);
    int fd = dial(fixture);
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    close(fd);
}

static void check_left_alone(struct fixture *fixture, const char *path)
{
    struct rkb_error error = {0};
    struct stat before, after;
    assert_int_equal(lstat(path, &before), 0);
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_USAGE);
    assert_non_null(strstr(error.text, "no socket"));
    assert_int_equal(lstat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void test_what_is_no_socket_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char file[128], link[128];
    snprintf(file, sizeof file, "%s/file", fixture->directory);
    snprintf(link, sizeof link, "%s/link", fixture->directory);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(symlink(fixture->path, link), 0);
    check_left_alone(fixture, file);
    check_left_alone(fixture, link);
    check_left_alone(fixture, fixture->directory);
    unlink(file);
    unlink(link);
}

static void test_places_where_no_socket_can_be(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_error error = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/none/control.sock", fixture->directory);
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_non_null(strstr(error.text, path));
    size_t size = strlen(path);
    memset(path + size, 'x', 108 - size);       /* 108 bytes are one too many; of 107 only the directory is missing */
    path[108] = '\0';
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_USAGE);
    path[107] = '\0';
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
}

static void test_a_successor_keeps_its_socket(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_error error = {0};
    unlink(fixture->path);      /* somebody tidied up, and a successor came */
    struct rkb_control *successor = new_control(fixture, fixture->path, 0660, &error);
    assert_non_null(successor);
    rkb_control_free(fixture->control);
    fixture->control = successor;
    assert_int_equal(access(fixture->path, F_OK), 0);
    int fd = dial(fixture);
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
    close(fd);
}

static void test_freeing_inside_a_callback(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture), other = dial(fixture);
    fixture->free_when_asked = true;
    say(fixture, fd, "version\nversion\n");
    fixture->control = NULL;
    char *heard = hear_end(fixture, fd);
    free(heard);
    assert_int_equal(fixture->asked, 1);
    heard = hear_end(fixture, other);
    assert_string_equal(heard, "");
    free(heard);
    assert_int_equal(access(fixture->path, F_OK), -1);
    close(fd);
    close(other);
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
        EACH(test_beyond_the_share),
        EACH(test_many_commands_let_others_in_between),
        EACH(test_half_closed_without_newline),
        EACH(test_line_limit),
        EACH(test_garbage_without_end),
        EACH(test_client_limit),
        EACH(test_500_who_say_nothing),
        EACH(test_who_waits_keeps_its_place),
        EACH(test_who_never_reads_is_dropped),
        EACH(test_many_large_answers_to_a_reader),
        EACH(test_a_large_answer_to_a_slow_reader),
        EACH(test_who_leaves_early),
        EACH(test_no_descriptors_left),
        EACH(test_mode),
        EACH(test_in_use),
        EACH(test_stale_socket_is_replaced),
        EACH(test_what_is_no_socket_is_left_alone),
        EACH(test_places_where_no_socket_can_be),
        EACH(test_a_successor_keeps_its_socket),
        EACH(test_freeing_inside_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
