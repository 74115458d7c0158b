/* Waits double up to their limit, within their jitter, and begin anew only when told to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/backoff.h"

enum { MIDDLE = UINT32_MAX / 2 };

static void assert_near(int64_t value, int64_t wanted)
{
    assert_in_range(value, wanted - 1, wanted);
}

static void doubles_to_its_limit(void **state)
{
    (void)state;
    struct rkb_backoff backoff = rkb_backoff(1000, 10000);
    static const int64_t wanted[] = {1000, 2000, 4000, 8000, 10000, 10000, 10000};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        assert_near(rkb_backoff_next(&backoff, MIDDLE), wanted[i]);
    rkb_backoff_reset(&backoff);
    assert_near(rkb_backoff_next(&backoff, MIDDLE), 1000);
    assert_near(rkb_backoff_next(&backoff, MIDDLE), 2000);
}

static void jitters_by_a_quarter(void **state)
{
    (void)state;
    struct rkb_backoff backoff = rkb_backoff(1000, 100000);
    assert_int_equal(rkb_backoff_next(&backoff, 0), 750);
    assert_int_equal(rkb_backoff_next(&backoff, UINT32_MAX), 2500);
    for (int i = 0; i < 20; i++)
        rkb_backoff_next(&backoff, 0);
    assert_int_equal(rkb_backoff_next(&backoff, 0), 75000);
    assert_int_equal(rkb_backoff_next(&backoff, UINT32_MAX), 100000);
}

static void survives_odd_limits(void **state)
{
    (void)state;
    struct rkb_backoff backoff = rkb_backoff(0, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rkb_backoff_next(&backoff, UINT32_MAX), 1);
    backoff = rkb_backoff(5000, 10);
    assert_int_equal(rkb_backoff_next(&backoff, UINT32_MAX), 5000);
    backoff = rkb_backoff(1, INT64_MAX);
    for (int i = 0; i < 200; i++)
        assert_true(rkb_backoff_next(&backoff, 0) >= 0);
    backoff = rkb_backoff(1, INT64_MAX / 4);
    for (int i = 0; i < 200; i++)
        assert_true(rkb_backoff_next(&backoff, UINT32_MAX) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_to_its_limit),
        cmocka_unit_test(jitters_by_a_quarter),
        cmocka_unit_test(survives_odd_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
