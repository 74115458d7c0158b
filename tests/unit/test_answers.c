/* Tests of answers: lines of whatever Redis answers, cut anywhere, and what is no RESP2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "redis/answers.h"

struct seen {
    struct rkb_answers answers;
    struct rkb_buffer log;
    const char *stop_at;
};

static void note(struct seen *seen, const char *line)
{
    if (seen->stop_at != NULL && strstr(line, seen->stop_at) != NULL)
        rkb_answers_stop(&seen->answers);
}

static void on_line(void *context, struct rkb_slice line)
{
    struct seen *seen = context;
    char text[80];
    snprintf(text, sizeof text, "%.*s|", (int)(line.size < 60 ? line.size : 60), (const char *)line.data);
    rkb_buffer_text(&seen->log, text);
    note(seen, text);
}

static void on_whole(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    static const char *const kinds[] = {"status", "error", "string", "integer", "nil"};
    struct seen *seen = context;
    rkb_buffer_format(&seen->log, "%s %.*s %lld\n", kinds[kind], (int)text.size,
                      text.size > 0 ? (const char *)text.data : "", integer);
    note(seen, kinds[kind]);
}

static void on_number(void *context, long long integer)
{
    struct seen *seen = context;
    rkb_buffer_format(&seen->log, "#%lld ", integer);
    note(seen, "number");
}

static void begin(struct seen *seen)
{
    seen->answers = (struct rkb_answers){.line = on_line, .number = on_number, .whole = on_whole, .context = seen};
}

/* What is called for these bytes, in portions of that size. */
static char *fed(const char *bytes, size_t portion, const char *stop_at)
{
    static char out[4096];
    struct seen seen = {.stop_at = stop_at};
    struct rkb_error error;
    begin(&seen);
    for (size_t at = 0, size = strlen(bytes); at < size; at += portion) {
        size_t left = size - at;
        if (!rkb_answers_feed(&seen.answers, rkb_slice(bytes + at, left < portion ? left : portion), &error)) {
            assert_int_equal(error.code, RKB_PROTOCOL);
            rkb_buffer_text(&seen.log, "PROTOCOL");
            break;
        }
    }
    snprintf(out, sizeof out, "%.*s", (int)seen.log.size, seen.log.size > 0 ? (const char *)seen.log.data : "");
    rkb_buffer_free(&seen.log);
    return out;
}

static void each_kind_however_cut(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *wanted;
    } rows[] = {
        {"+OK\r\n", "status OK 0\n"},
        {"-NOPERM this user\r\n", "error NOPERM this user 0\n"},
        {":-12\r\n", "integer  -12\n"},
        {"$-1\r\n", "nil  0\n"},
        {"$0\r\n\r\n", "string  0\n"},
        {"$3\r\nabc\r\n+OK\r\n", "abc|string  0\nstatus OK 0\n"},
        {"$10\r\nid=1\nid=2\n\r\n", "id=1|id=2|string  0\n"},
        {"$8\r\na:1\r\nb:2\r\n", "a:1|b:2|string  0\n"},
        {"*2\r\n$3\r\ndir\r\n$4\r\n/tmp\r\n:1\r\n", "dir|/tmp|string  0\ninteger  1\n"},
        {"*0\r\n*-1\r\n", "string  0\nnil  0\n"},
        {"*2\r\n*1\r\n:1\r\n$1\r\na\r\n", "#1 a|string  0\n"},
        {"*4\r\n$1\r\na\r\n:3\r\n$1\r\nb\r\n:0\r\n", "a|#3 b|#0 string  0\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t portion = 1; portion <= 9; portion += 2)
            assert_string_equal(fed(rows[i].bytes, portion, NULL), rows[i].wanted);
}

static void what_is_no_resp(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "hello\r\n", "\r\n", ":\r\n", ":1a\r\n", "$-2\r\n", "$600000000\r\n", "*2000000\r\n", "*-2\r\n",
        ":99999999999999999999\r\n", "*1000000\r\n*1000000\r\n", "$\r\n",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(fed(rows[i], 100, NULL), "PROTOCOL");
    assert_string_equal(fed("$3\r\nabcXY+OK\r\n", 100, NULL), "PROTOCOL");
}

/* Ten megabytes of one line and then one that counts: neither is held. */
static void a_long_line_is_cut(void **state)
{
    (void)state;
    struct seen seen = {0};
    struct rkb_error error;
    char portion[10000];
    begin(&seen);
    memset(portion, 'x', sizeof portion);
    assert_true(rkb_answers_feed(&seen.answers, rkb_slice_text("$10000006\r\n"), &error));
    for (int i = 0; i < 1000; i++)
        assert_true(rkb_answers_feed(&seen.answers, rkb_slice(portion, sizeof portion), &error));
    assert_true(rkb_answers_feed(&seen.answers, rkb_slice_text("\nid=7\n\r\n"), &error));
    assert_int_equal(seen.log.size, 60 + 1 + strlen("id=7|string  0\n"));
    rkb_buffer_free(&seen.log);
}

static void stops_and_begins_anew(void **state)
{
    (void)state;
    assert_string_equal(fed("$5\r\na\nb\nc\r\n+OK\r\n", 100, "b"), "a|b|");
    assert_string_equal(fed("+A\r\n+B\r\n", 100, "status"), "status A 0\n");
    assert_string_equal(fed("*1\r\n:5\r\n", 100, "number"), "#5 ");
    struct seen seen = {0};
    struct rkb_error error;
    begin(&seen);
    assert_true(rkb_answers_feed(&seen.answers, rkb_slice_text("*3\r\n$9\r\nhal"), &error));
    rkb_answers_reset(&seen.answers);
    assert_true(rkb_answers_feed(&seen.answers, rkb_slice_text(":4\r\n"), &error));
    assert_int_equal(seen.log.size, strlen("integer  4\n"));
    rkb_buffer_free(&seen.log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_however_cut),
        cmocka_unit_test(what_is_no_resp),
        cmocka_unit_test(a_long_line_is_cut),
        cmocka_unit_test(stops_and_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
