/* watch and errors: the log's lines on the control socket, for readers that are quick, slow, or gone. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>

#include "base/log.h"
#include "control_talk.h"

static struct rkb_log *log_here;
static int64_t clock_us;

static int64_t now(void)
{
    return clock_us;
}

static int open_log(void **state)
{
    static struct rkb_sys sys;
    if (start(state) != 0)
        return -1;
    struct fixture *fixture = *state;
    struct rkb_error error;
    struct rkb_control_options options = options_of(fixture);
    sys = rkb_sys_posix;
    sys.realtime_us = sys.monotonic_us = now;
    clock_us = INT64_C(1764000000000000);
    log_here = rkb_log_new_with(open("/dev/null", O_WRONLY | O_CLOEXEC), RKB_LOG_INFO, RKB_LOG_TEXT, &sys, &error);
    options.log = log_here;
    return reopen(fixture, &options);
}

static int close_log(void **state)
{
    struct fixture *fixture = *state;
    rkb_control_free(fixture->control);
    fixture->control = NULL;
    rkb_log_free(log_here, 10000);
    return stop(state);
}

/* Of an event each time another, so that none is held back as a repeat. */
static void tell(size_t i)
{
    clock_us += 60000000;
    rkb_log(log_here, RKB_LOG_INFO, "source[legacy]", "tried", "line %zu\n\x1b", i);
}

static void begin(const struct fixture *fixture, int fd, const char *line)
{
    say(fixture, fd, line);
    for (int i = 0; i < 5; i++)
        turn(fixture);
}

static void test_events_as_they_come(void **state)
{
    struct fixture *fixture = *state;
    int text = dial(fixture), json = dial(fixture), other = dial(fixture);
    tell(1);                                    /* before: not shown */
    begin(fixture, text, "watch\n");
    begin(fixture, json, "version\nwatch json\nversion\n");
    expect(fixture, json, "rkbridge 1.2.3\nOK\n");
    rkb_log(log_here, RKB_LOG_INFO, "journal", NULL, "no event: not shown");
    rkb_log(log_here, RKB_LOG_DEBUG, "journal", "deep", "below the level: not shown");
    tell(2);
    expect(fixture, text, "2025-11-24T16:02:00.000Z info source[legacy]: line 2\\n\\x1b event=tried\n");
    expect(fixture, json, "{\"time\":\"2025-11-24T16:02:00.000Z\",\"level\":\"info\",\"object\":\"source[legacy]\","
           "\"event\":\"tried\",\"text\":\"line 2\\n\\u001b\"}\n");
    check_version(fixture, other);
    check_answer(fixture, other, "watch me\n", "ERROR usage usage: watch [text|json]\n");
    close(text);
    close(json);
    close(other);
}

/* What it has not read stays bounded, and it is told how much it missed. */
static void test_who_reads_slowly_is_told(void **state)
{
    struct fixture *fixture = *state;
    int slow = dial(fixture), quick = dial(fixture);
    struct rkb_buffer heard = {0};
    begin(fixture, slow, "watch\n");
    begin(fixture, quick, "watch\n");
    for (size_t i = 0; i < 20000; i++) {
        tell(i);
        turn(fixture);
        hear_some(quick, &heard);
        heard.size = 0;
    }
    size_t lines = 0, missed = 0;
    for (int i = 0; lines + missed < 20000; i++) {
        assert_true(i < 1000000);
        turn(fixture);
        hear_some(slow, &heard);
        uint8_t *end;
        while ((end = memchr(heard.data, '\n', heard.size)) != NULL) {
            unsigned long long count;
            *end = '\0';
            if (sscanf((char *)heard.data, "missed: %llu events", &count) == 1)
                missed += count;
            else
                lines++;
            size_t size = (size_t)(end - heard.data) + 1;
            memmove(heard.data, heard.data + size, heard.size -= size);
        }
    }
    assert_int_equal(lines + missed, 20000);
    assert_true(missed > 10000 && lines > 256);
    rkb_buffer_free(&heard);
    close(slow);
    close(quick);
}

static void test_who_leaves_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3 * RKB_CONTROL_WATCHERS_MAX; i++) {
        int fd = dial(fixture);
        begin(fixture, fd, "watch\n");
        if (i % 2 == 0)
            tell(1);
        close(fd);
        for (int j = 0; j < 4; j++)
            turn(fixture);      /* also where nothing is told */
    }
    int fds[RKB_CONTROL_WATCHERS_MAX + 1];
    for (size_t i = 0; i < RKB_CONTROL_WATCHERS_MAX; i++) {
        fds[i] = dial(fixture);
        begin(fixture, fds[i], "watch\n");
    }
    fds[RKB_CONTROL_WATCHERS_MAX] = dial(fixture);
    check_answer(fixture, fds[RKB_CONTROL_WATCHERS_MAX], "watch\n", "ERROR busy at most 8 clients watch at a time\n");
    check_version(fixture, fds[RKB_CONTROL_WATCHERS_MAX]);
    for (size_t i = 0; i <= RKB_CONTROL_WATCHERS_MAX; i++)
        close(fds[i]);
}

/* A sending side that is closed is no reason to leave; the end of rkbridge is. */
static void test_until_the_end(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    begin(fixture, fd, "watch\n");
    shutdown(fd, SHUT_WR);
    for (int i = 0; i < 5; i++)
        turn(fixture);
    tell(3);
    expect(fixture, fd, "2025-11-24T16:01:00.000Z info source[legacy]: line 3\\n\\x1b event=tried\n");
    rkb_control_free(fixture->control);
    fixture->control = NULL;
    tell(4);                                    /* nobody watches any more */
    expect_left(fd, "ERROR ending rkbridge ends before this is done\n");
    close(fd);
}

static void test_errors(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture);
    check_answer(fixture, fd, "errors\n", "errors: none since the start\nOK\n");
    check_answer(fixture, fd, "errors json\n", "{\"errors\":[]}\nOK\n");
    rkb_log(log_here, RKB_LOG_INFO, "journal", "fine", "not shown");
    for (int i = 0; i < 500; i++) {
        clock_us += 60000000;
        rkb_log(log_here, i % 2 == 0 ? RKB_LOG_WARN : RKB_LOG_ERROR, "kafka", i % 2 == 0 ? "tried" : NULL, "no %d", i);
    }
    check_answer(fixture, fd, "errors 2\n",
                 "2025-11-25T00:19:00.000Z warn kafka: no 498 event=tried\n"
                 "2025-11-25T00:20:00.000Z error kafka: no 499\nOK\n");
    say(fixture, fd, "errors\n");
    char *heard = hear_answer(fixture, fd);
    assert_int_equal(times_in(heard, "\n"), 20 + 1);
    free(heard);
    say(fixture, fd, "errors 1000 json\n");
    heard = hear_answer(fixture, fd);
    json_t *root = json_loads(heard, JSON_DISABLE_EOF_CHECK, NULL), *list = json_object_get(root, "errors");
    assert_int_equal(json_array_size(list), 128);       /* what there is room for */
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 127), "text")), "no 499");
    json_decref(root);
    free(heard);
    check_answer(fixture, fd, "errors 0\n", "ERROR usage usage: errors [N] [text|json]\n");
    check_answer(fixture, fd, "errors -1\n", "ERROR usage usage: errors [N] [text|json]\n");
    check_answer(fixture, fd, "errors 99999999999999999999999999\n", "ERROR usage usage: errors [N] [text|json]\n");
    close(fd);
}

static void test_long_lines_are_cut(void **state)
{
    struct fixture *fixture = *state;
    static char text[3000];
    int fd = dial(fixture);
    for (size_t i = 0; i + 3 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa4", 2);
    rkb_log(log_here, RKB_LOG_WARN, "kafka", "tried", "%s", text);
    say(fixture, fd, "errors\n");
    char *heard = hear_answer(fixture, fd);
    assert_non_null(strstr(heard, "\xc3\xa4... event=tried\nOK\n"));
    assert_null(strstr(heard, "\\xc3"));        /* no half of a character */
    assert_true(strlen(heard) > 800 && strlen(heard) < 1000);
    free(heard);
    close(fd);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, open_log, close_log)
    const struct CMUnitTest tests[] = {
        EACH(test_events_as_they_come),
        EACH(test_who_reads_slowly_is_told),
        EACH(test_who_leaves_is_forgotten),
        EACH(test_until_the_end),
        EACH(test_errors),
        EACH(test_long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
