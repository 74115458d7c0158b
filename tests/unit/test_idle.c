/* Connections that somebody closes for being idle: noticed by their like silences, and only then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "redis/idle.h"

#define SECOND INT64_C(1000000)

/* One end after such a silence: whether it was taken for a proxy's. */
static bool said(struct rkb_idle *idle, enum rkb_code code, int64_t silence_us, struct rkb_error *error)
{
    rkb_fail(error, code, "Redis closed the connection");
    rkb_idle_ended(idle, silence_us, 30 * SECOND, error);
    assert_memory_equal(error->text, "Redis closed the connection", 27);
    return strstr(error->text, "proxy") != NULL;
}

static void the_second_alike_is_said(void **state)
{
    (void)state;
    struct rkb_idle idle = {0};
    struct rkb_error error;
    assert_false(said(&idle, RKB_CLOSED, 20 * SECOND, &error));
    assert_true(said(&idle, RKB_CLOSED, 20 * SECOND + 40000, &error));
    assert_string_equal(error.text,
                        "Redis closed the connection (2 times in a row after about 20 s without a byte: a proxy or a "
                        "firewall closes idle connections; set heartbeat, now 30 s, well below that)");
    assert_true(said(&idle, RKB_CLOSED, 23 * SECOND, &error));
    assert_non_null(strstr(error.text, "(3 times in a row"));
}

static void what_is_not_alike_begins_anew(void **state)
{
    (void)state;
    struct rkb_idle idle = {0};
    struct rkb_error error;
    assert_false(said(&idle, RKB_CLOSED, 20 * SECOND, &error));
    assert_false(said(&idle, RKB_CLOSED, 3 * SECOND, &error));
    assert_false(said(&idle, RKB_CLOSED, 5 * SECOND, &error));
    assert_false(said(&idle, RKB_TIMEOUT, 5 * SECOND, &error));     /* we ended it, or somebody said why */
    assert_false(said(&idle, RKB_CLOSED, 5 * SECOND, &error));
    assert_false(said(&idle, RKB_CLOSED, SECOND / 10, &error));     /* in the middle of things */
    assert_false(said(&idle, RKB_CLOSED, SECOND / 10, &error));
    assert_false(said(&idle, RKB_CLOSED, 5 * SECOND, &error));
    assert_true(said(&idle, RKB_CLOSED, 5 * SECOND, &error));
}

static void a_long_reason_is_not_overrun(void **state)
{
    (void)state;
    struct rkb_idle idle = {.silence_us = 5 * SECOND, .times = 9};
    struct rkb_error error = {.code = RKB_CLOSED};
    memset(error.text, 'x', sizeof error.text - 1);
    rkb_idle_ended(&idle, 5 * SECOND, SECOND, &error);
    assert_int_equal(strlen(error.text), sizeof error.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_alike_is_said),
        cmocka_unit_test(what_is_not_alike_begins_anew),
        cmocka_unit_test(a_long_reason_is_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
