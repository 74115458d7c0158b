/* Tests of what `rkbctl watch` draws: it never scrolls, whatever the size; the verdict is wrapped, tables are cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tool/watch_screen.h"

static const char status[] = "verdict: WARN Kafka is not connected, messages wait in the journal; "
                             "next: doc/runbook.md#kafka_away\n"
                             "instance: try\n"
                             "sources:\n"
                             "  name    state           refused  gaps  read  held_by_redis  stall_budget\n"
                             "  legacy  subscribed 3/3        0    42  44 B         44 KiB  6.3 s at 4 MiB/s\n"
                             "gaps: none\n";

/* What is on the screen, row by row, without what clears the rest of each. */
static char *drawn(const struct rkb_watch_events *events, const char *notice, size_t rows, size_t columns)
{
    static char text[20000];
    struct rkb_buffer out = {0};
    char *at = text;
    rkb_watch_draw(rkb_slice_text(status), events, notice, rows, columns, &out);
    rkb_buffer_add(&out, "", 1);
    assert_false(out.failed);
    const char *from = (const char *)out.data;
    assert_int_equal(strncmp(from, "\033[H", 3), 0);
    for (from += 3; *from != '\0'; from++) {
        if (*from == '\033')
            from += 2;
        else
            *at++ = *from;
    }
    *at = '\0';
    rkb_buffer_free(&out);
    return text;
}

static void add(struct rkb_watch_events *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char line[40];
        snprintf(line, sizeof line, "event %zu", events->total + 1);
        rkb_watch_events_add(events, rkb_slice_text(line));
    }
}

static void test_all_has_room(void **state)
{
    (void)state;
    static struct rkb_watch_events events;
    add(&events, 2);
    assert_string_equal(drawn(&events, NULL, 30, 80),
                        "verdict: WARN Kafka is not connected, messages wait in the journal; next:\n"
                        "doc/runbook.md#kafka_away\n"
                        "instance: try\n"
                        "sources:\n"
                        "  name    state           refused  gaps  read  held_by_redis  stall_budget\n"
                        "  legacy  subscribed 3/3        0    42  44 B         44 KiB  6.3 s at 4 MiB/s\n"
                        "gaps: none\n"
                        "\n"
                        "last events:\n"
                        "event 1\n"
                        "event 2");
    assert_non_null(strstr(drawn(&events, "not there", 30, 80), "not there\nverdict: WARN"));
    events.total = 0;
    assert_non_null(strstr(drawn(&events, NULL, 30, 80), "\nlast events: none yet"));
}

static void test_little_room(void **state)
{
    (void)state;
    static struct rkb_watch_events events;
    add(&events, 50);
    assert_string_equal(drawn(&events, "not there", 12, 40),
                        "not there\n"
                        "verdict: WARN Kafka is not connected,\n"
                        "messages wait in the journal; next:\n"
                        "doc/runbook.md#kafka_away\n"
                        "instance: try\n"
                        "... the rest: rkbctl status\n"
                        "\n"
                        "last events:\n"
                        "event 47\n"
                        "event 48\n"
                        "event 49\n"
                        "event 50");
    assert_non_null(strstr(drawn(&events, NULL, 14, 40), "\n  name    state           refused  gaps \n"));
}

/* No screen is too small or too large, and none scrolls. */
static void test_any_size(void **state)
{
    (void)state;
    static struct rkb_watch_events events;
    add(&events, 100);
    rkb_watch_events_add(&events, rkb_slice_text("\xc3\xa9\xc3\xa9\xc3\xa9 a line of many characters that take two "
                                                 "bytes each \xc3\xa9"));
    for (size_t rows = 1; rows < 70; rows++) {
        for (size_t columns = 1; columns < 200; columns += 7) {
            const char *text = drawn(&events, rows % 2 == 0 ? "notice" : NULL, rows, columns);
            size_t found = 1;
            for (const char *at = text; *at != '\0'; at++)
                found += *at == '\n';
            if (found > rows && rows > 2)
                fail_msg("%zu rows on a screen of %zu", found, rows);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_has_room),
        cmocka_unit_test(test_little_room),
        cmocka_unit_test(test_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
