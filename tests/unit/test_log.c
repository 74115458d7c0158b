/* log: both formats, escaping, repeats, and a reader that does not read. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/escape.h"
#include "base/log.h"
#include "base/repeat.h"
#include "times_in.h"

static _Atomic int64_t clock_us;    /* turned by hand */

static int64_t realtime_us(void)
{
    return 1795380667123456 + clock_us;    /* 2026-11-22T20:51:07.123456Z */
}

static int64_t monotonic_us(void)
{
    return 5000000 + clock_us;
}

static const struct rkb_sys hand_clock = {.realtime_us = realtime_us, .monotonic_us = monotonic_us};

struct fixture {
    int pipe[2];
    struct rkb_log *log;
    char output[65536];
};

static void start(struct fixture *fixture, enum rkb_log_level level, enum rkb_log_format format)
{
    struct rkb_error error = {0};
    clock_us = 0;
    assert_int_equal(pipe(fixture->pipe), 0);
    fixture->log = rkb_log_new_with(fixture->pipe[1], level, format, &hand_clock, &error);
    assert_non_null(fixture->log);
}

/* Ends the log and returns all that it wrote. */
static const char *finish(struct fixture *fixture)
{
    rkb_log_free(fixture->log, 10000);
    close(fixture->pipe[1]);
    size_t size = 0;
    ssize_t got;
    while ((got = read(fixture->pipe[0], fixture->output + size, sizeof fixture->output - 1 - size)) > 0)
        size += (size_t)got;
    close(fixture->pipe[0]);
    fixture->output[size] = '\0';
    return fixture->output;
}

struct line {
    enum rkb_log_level level;
    const char *object, *event, *text;
};

/* Logs the lines up to the first without an object, and compares all that comes out. */
static void assert_logged(enum rkb_log_level level, enum rkb_log_format format, const struct line *lines,
                          const char *expected)
{
    struct fixture fixture;
    start(&fixture, level, format);
    for (; lines->object != NULL; lines++)
        rkb_log(fixture.log, lines->level, lines->object, lines->event, "%s", lines->text);
    assert_string_equal(finish(&fixture), expected);
}

static void test_text(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {RKB_LOG_INFO, "source[legacy]", "connected", "logged in as bridge"},
        {RKB_LOG_DEBUG, "journal", NULL, "no event"},
        {RKB_LOG_WARN, "journal", NULL, "w"},
        {RKB_LOG_ERROR, "journal", NULL, "e"},
        {RKB_LOG_ERROR, "journal", NULL, "journal: named once"},
        {RKB_LOG_ERROR, "journal", NULL, "journals: another word"},
        {0},
    };
    assert_logged(RKB_LOG_DEBUG, RKB_LOG_TEXT, lines,
                  "2026-11-22T20:51:07.123Z info source[legacy]: logged in as bridge event=connected\n"
                  "2026-11-22T20:51:07.123Z debug journal: no event\n"
                  "2026-11-22T20:51:07.123Z warn journal: w\n"
                  "2026-11-22T20:51:07.123Z error journal: e\n"
                  "2026-11-22T20:51:07.123Z error journal: named once\n"
                  "2026-11-22T20:51:07.123Z error journal: journals: another word\n");
}

static void test_json(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {RKB_LOG_INFO, "source[a\"b]", "connected", "tab\t quote\" back\\ nul-free \x01 bad \xff good \xc3\xa9"},
        {RKB_LOG_WARN, "journal", NULL, "plain"},
        {0},
    };
    assert_logged(RKB_LOG_INFO, RKB_LOG_JSON, lines,
                  "{\"time\":\"2026-11-22T20:51:07.123Z\",\"level\":\"info\",\"object\":\"source[a\\\"b]\","
                  "\"event\":\"connected\","
                  "\"text\":\"tab\\t quote\\\" back\\\\ nul-free \\u0001 bad \\\\xff good \xc3\xa9\"}\n"
                  "{\"time\":\"2026-11-22T20:51:07.123Z\",\"level\":\"warn\",\"object\":\"journal\",\"event\":null,"
                  "\"text\":\"plain\"}\n");
}

static void test_levels(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {RKB_LOG_INFO, "x", NULL, "not this"},
        {RKB_LOG_DEBUG, "x", NULL, "nor this"},
        {RKB_LOG_WARN, "x", NULL, "this"},
        {0},
    };
    rkb_log(NULL, RKB_LOG_ERROR, "x", NULL, "nowhere");
    rkb_log_free(NULL, 1);
    assert_logged(RKB_LOG_WARN, RKB_LOG_TEXT, lines, "2026-11-22T20:51:07.123Z warn x: this\n");
}

static void test_control_bytes_stay_on_the_line(void **state)
{
    (void)state;
    static const struct line lines[] = {
        {RKB_LOG_INFO, "source[a\nb]", "e\nv",
         "one\r\ntwo \x1b[31m\x7f \xc2\x9b \xe2\x82\xac \xed\xa0\x80 \xc0\xaf \xf5"},
        {0},
    };
    assert_logged(RKB_LOG_INFO, RKB_LOG_TEXT, lines,
                  "2026-11-22T20:51:07.123Z info source[a\\nb]: one\\r\\ntwo \\x1b[31m\\x7f \\xc2\\x9b \xe2\x82\xac "
                  "\\xed\\xa0\\x80 \\xc0\\xaf \\xf5 event=e\\nv\n");
}

static void check_long_line(enum rkb_log_format format, char fill)
{
    struct fixture fixture;
    char *text = malloc(100001);
    assert_non_null(text);
    memset(text, fill, 100000);
    text[100000] = '\0';
    start(&fixture, RKB_LOG_INFO, format);
    rkb_log(fixture.log, RKB_LOG_INFO, text, text, "%s", text);
    rkb_log(fixture.log, RKB_LOG_INFO, "next", NULL, "line");
    const char *output = finish(&fixture);
    const char *end = strchr(output, '\n');
    assert_non_null(end);
    assert_true(end - output < 4096 && end - output > 3000);
    assert_non_null(strstr(output, "..."));
    assert_non_null(strstr(end, "next"));
    if (format == RKB_LOG_JSON) {
        json_t *line = json_loadb(output, (size_t)(end - output), 0, NULL);
        assert_non_null(line);
        json_decref(line);
    }
    free(text);
}

static void test_long_lines_are_cut(void **state)
{
    (void)state;
    check_long_line(RKB_LOG_TEXT, 'x');
    check_long_line(RKB_LOG_TEXT, '\x01');
    check_long_line(RKB_LOG_JSON, 'x');
    check_long_line(RKB_LOG_JSON, '\x01');
    check_long_line(RKB_LOG_JSON, '\xff');
}

static void test_repeats_are_limited(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, RKB_LOG_INFO, RKB_LOG_TEXT);
    for (int i = 0; i < 22; i++)
        rkb_log(fixture.log, RKB_LOG_WARN, "source[a]", "lost", "number %d", i);
    rkb_log(fixture.log, RKB_LOG_WARN, "source[b]", "lost", "another object");
    rkb_log(fixture.log, RKB_LOG_WARN, "source[a]", "found", "another event");
    rkb_log(fixture.log, RKB_LOG_DEBUG, "source[a]", "lost", "below the level, not counted");
    clock_us = 9999999;
    rkb_log(fixture.log, RKB_LOG_WARN, "source[a]", "lost", "still in the window");
    clock_us = 10000000;
    rkb_log(fixture.log, RKB_LOG_WARN, "source[a]", "lost", "after it");
    rkb_log(fixture.log, RKB_LOG_WARN, "source[a]", "lost", "and on");
    const char *output = finish(&fixture);
    assert_int_equal(times_in(output, "source[a]: number"), 10);
    assert_int_equal(times_in(output, "source[b]: another object event=lost\n"), 1);
    assert_int_equal(times_in(output, "source[a]: another event event=found\n"), 1);
    assert_int_equal(times_in(output, "still in the window"), 0);
    assert_int_equal(times_in(output, "source[a]: after it (13 like this suppressed) event=lost\n"), 1);
    assert_int_equal(times_in(output, "source[a]: and on event=lost\n"), 1);
}

static void test_repeats_in_json_and_without_event(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, RKB_LOG_INFO, RKB_LOG_JSON);
    for (int i = 0; i < 12; i++)
        rkb_log(fixture.log, RKB_LOG_INFO, "main", NULL, "same format %d", i);
    rkb_log(fixture.log, RKB_LOG_INFO, "main", NULL, "another format");
    clock_us = 10000000;
    rkb_log(fixture.log, RKB_LOG_INFO, "main", NULL, "same format %d", 12);
    const char *output = finish(&fixture);
    assert_int_equal(times_in(output, "\"same format "), 11);
    assert_int_equal(times_in(output, "another format\"}"), 1);
    assert_int_equal(times_in(output, "\"text\":\"same format 12\",\"suppressed\":2}\n"), 1);
}

static void test_repeat_with_more_kinds_than_it_knows(void **state)
{
    (void)state;
    struct rkb_repeat repeat = {0};
    uint64_t suppressed;
    for (uint64_t kind = 0; kind < RKB_REPEAT_KINDS; kind++)
        for (int i = 0; i < RKB_REPEAT_PASS; i++)
            assert_true(rkb_repeat_pass(&repeat, kind, 0, &suppressed));
    assert_false(rkb_repeat_pass(&repeat, 7, 1, &suppressed));
    for (int i = 0; i < 2 * RKB_REPEAT_PASS; i++)
        assert_true(rkb_repeat_pass(&repeat, 100000, 2, &suppressed));     /* no slot: not limited */
    assert_false(rkb_repeat_pass(&repeat, 7, 3, &suppressed));             /* and nobody was pushed out */
    /* Later slots are taken over, those with something left to say last. */
    for (uint64_t kind = 1; kind < RKB_REPEAT_KINDS; kind++)
        assert_true(rkb_repeat_pass(&repeat, 1000 + kind, RKB_REPEAT_WINDOW_US, &suppressed) && suppressed == 0);
    assert_true(rkb_repeat_pass(&repeat, 7, RKB_REPEAT_WINDOW_US, &suppressed));
    assert_int_equal(suppressed, 2);
}

/* Fills the pipe, so that the writer is stuck with its first line. */
static void fill(struct fixture *fixture)
{
    int flags = fcntl(fixture->pipe[1], F_GETFL);
    char block[4096];
    memset(block, '#', sizeof block);
    assert_int_equal(fcntl(fixture->pipe[1], F_SETFL, flags | O_NONBLOCK), 0);
    while (write(fixture->pipe[1], block, sizeof block) > 0)
        continue;
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(fcntl(fixture->pipe[1], F_SETFL, flags), 0);
}

static void *drain(void *argument)
{
    int fd = *(int *)argument;
    struct rkb_buffer all = {0};
    char block[65536];
    ssize_t got;
    while ((got = read(fd, block, sizeof block)) > 0)
        rkb_buffer_add(&all, block, (size_t)got);
    rkb_buffer_add(&all, "", 1);
    return all.data;
}

static void test_a_reader_that_does_not_read(void **state)
{
    (void)state;
    enum { LINES = 20000 };
    struct fixture fixture;
    start(&fixture, RKB_LOG_INFO, RKB_LOG_TEXT);
    fill(&fixture);
    /* Far more than pipe and both buffers hold; that this loop ends at all is the point. */
    for (int i = 0; i < LINES; i++) {
        char event[16];
        snprintf(event, sizeof event, "e%d", i);
        rkb_log(fixture.log, RKB_LOG_INFO, "flood", event, "line number %d with some length to it", i);
    }
    uint64_t lost = rkb_log_lost(fixture.log);
    assert_true(lost > 0 && lost < LINES);
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, drain, &fixture.pipe[0]), 0);
    rkb_log_free(fixture.log, 10000);
    close(fixture.pipe[1]);
    void *output;
    pthread_join(reader, &output);
    close(fixture.pipe[0]);
    assert_int_equal(times_in(output, "info flood: line number"), LINES - lost);
    uint64_t said = 0;
    for (const char *at = strstr(output, "warn log: "); at != NULL; at = strstr(at + 1, "warn log: "))
        said += strtoull(at + strlen("warn log: "), NULL, 10);
    assert_int_equal(said, lost);
    assert_non_null(strstr(output, " lines lost: nobody took them in time event=log_lines_lost\n"));
    free(output);
}

static size_t threads(void)
{
    size_t found = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    while (readdir(tasks) != NULL)
        found++;
    closedir(tasks);
    return found;
}

static void test_free_does_not_wait_for_a_stuck_write(void **state)
{
    (void)state;
    struct fixture fixture;
    size_t before = threads();
    start(&fixture, RKB_LOG_INFO, RKB_LOG_TEXT);
    fill(&fixture);
    for (int i = 0; i < 400; i++) {
        char event[16];
        snprintf(event, sizeof event, "e%d", i);
        rkb_log(fixture.log, RKB_LOG_INFO, "flood", event, "line");
    }
    /* Room for one write: the first line goes out, and the writer is stuck with all the others. */
    char block[4096];
    assert_int_equal(read(fixture.pipe[0], block, sizeof block), (ssize_t)sizeof block);
    rkb_log_free(fixture.log, 50);  /* that it returns is the point */
    /* Once its write returns, the thread frees the log and ends; and it writes nothing more. */
    struct rkb_buffer output = {0};
    ssize_t got;
    assert_int_equal(fcntl(fixture.pipe[0], F_SETFL, fcntl(fixture.pipe[0], F_GETFL) | O_NONBLOCK), 0);
    do {
        got = read(fixture.pipe[0], block, sizeof block);
        rkb_buffer_add(&output, block, got > 0 ? (size_t)got : 0);
    } while (got > 0 || threads() != before);
    rkb_buffer_add(&output, "", 1);
    assert_true(times_in((const char *)output.data, "info flood: line") < 200);   /* two writes take about 154 */
    rkb_buffer_free(&output);
    close(fixture.pipe[0]);
    close(fixture.pipe[1]);
}

static void test_a_closed_pipe_kills_nobody(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, RKB_LOG_INFO, RKB_LOG_TEXT);
    close(fixture.pipe[0]);
    rkb_log(fixture.log, RKB_LOG_INFO, "x", NULL, "one");
    rkb_log(fixture.log, RKB_LOG_INFO, "x", "event", "two");
    while (rkb_log_lost(fixture.log) < 2)
        usleep(100);
    rkb_log_free(fixture.log, 10000);
    close(fixture.pipe[1]);
    assert_int_equal(rkb_log_lost(NULL), 0);
}

static void test_a_nonblocking_descriptor_loses_nothing(void **state)
{
    (void)state;
    enum { LINES = 2000 };
    struct fixture fixture;
    start(&fixture, RKB_LOG_INFO, RKB_LOG_TEXT);
    fcntl(fixture.pipe[1], F_SETFL, fcntl(fixture.pipe[1], F_GETFL) | O_NONBLOCK);
    for (int i = 0; i < LINES; i++) {
        char event[16];
        snprintf(event, sizeof event, "e%d", i);
        rkb_log(fixture.log, RKB_LOG_INFO, "many", event, "line number %d with some length to it", i);
    }
    pthread_t reader;
    assert_int_equal(pthread_create(&reader, NULL, drain, &fixture.pipe[0]), 0);
    rkb_log_free(fixture.log, 10000);
    close(fixture.pipe[1]);
    void *output;
    pthread_join(reader, &output);
    close(fixture.pipe[0]);
    assert_int_equal(times_in(output, "info many: line number"), LINES);
    free(output);
}

static void *log_many(void *argument)
{
    struct rkb_log *log = argument;
    for (int i = 0; i < 300; i++) {
        char event[40];
        snprintf(event, sizeof event, "e%d-%lx", i, (unsigned long)pthread_self());
        rkb_log(log, RKB_LOG_INFO, "thread", event, "a line of its own");
    }
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    struct fixture fixture;
    pthread_t threads[4], reader;
    start(&fixture, RKB_LOG_INFO, RKB_LOG_TEXT);
    assert_int_equal(pthread_create(&reader, NULL, drain, &fixture.pipe[0]), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, fixture.log), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    rkb_log_free(fixture.log, 10000);
    close(fixture.pipe[1]);
    void *output;
    pthread_join(reader, &output);
    close(fixture.pipe[0]);
    assert_int_equal(times_in(output, "\n"), 1200);
    assert_int_equal(times_in(output, "Z info thread: a line of its own event=e"), 1200);
    free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_control_bytes_stay_on_the_line),
        cmocka_unit_test(test_long_lines_are_cut),
        cmocka_unit_test(test_repeats_are_limited),
        cmocka_unit_test(test_repeats_in_json_and_without_event),
        cmocka_unit_test(test_repeat_with_more_kinds_than_it_knows),
        cmocka_unit_test(test_a_reader_that_does_not_read),
        cmocka_unit_test(test_free_does_not_wait_for_a_stuck_write),
        cmocka_unit_test(test_a_closed_pipe_kills_nobody),
        cmocka_unit_test(test_a_nonblocking_descriptor_loses_nothing),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
