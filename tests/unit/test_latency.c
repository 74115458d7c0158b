/* The histogram: every span lies in a bucket whose edge is at most an eighth above it; quantiles count from below. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "daemon/latency.h"

/* What one span alone is told as, were a far longer one not to cap it: two quantiles of {span, longest}. */
static double told_as(int64_t span)
{
    struct rkb_latency latency = {0};
    rkb_latency_add(&latency, span);
    rkb_latency_add(&latency, INT64_C(1) << 40);
    return rkb_latency_quantile(&latency, 0.25) * 1e6;
}

static void test_error_below_an_eighth(void **state)
{
    (void)state;
    for (int64_t span = 1; span < INT64_C(1) << 36; span += span / 61 + 1) {
        double told = told_as(span);
        if (told < (double)span || told > (double)span * 1.125 + 1.01)
            fail_msg("%lld us is told as %g us", (long long)span, told);
    }
}

static void test_buckets_rise(void **state)
{
    double before = 0;
    (void)state;
    for (int64_t span = 0; span < 5000; span++) {
        double told = told_as(span);
        assert_true(told >= before);
        before = told;
    }
}

static void test_nothing_counted(void **state)
{
    struct rkb_latency latency = {0};
    (void)state;
    assert_true(rkb_latency_quantile(&latency, 0.5) <= 0);
    assert_true(rkb_latency_quantile(&latency, 1) <= 0);
}

static void test_quantiles_of_a_thousand(void **state)
{
    struct rkb_latency latency = {0};
    (void)state;
    for (int64_t i = 1; i <= 1000; i++)
        rkb_latency_add(&latency, i * 1000);
    assert_int_equal(latency.count, 1000);
    assert_int_equal(latency.max_us, 1000000);
    static const struct { double share, least, most; } rows[] = {
        {0, 0.001, 0.00113}, {0.5, 0.5, 0.5643}, {0.9, 0.9, 1.0}, {0.99, 0.99, 1.0}, {1, 1.0, 1.0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double told = rkb_latency_quantile(&latency, rows[i].share);
        if (told < rows[i].least || told > rows[i].most)
            fail_msg("quantile %g is %g", rows[i].share, told);
    }
}

static void test_never_above_the_longest(void **state)
{
    struct rkb_latency latency = {0};
    (void)state;
    rkb_latency_add(&latency, 100001);
    assert_true(rkb_latency_quantile(&latency, 0.5) * 1e6 <= 100001.5);
    assert_true(rkb_latency_quantile(&latency, 1) * 1e6 <= 100001.5);
}

/* A clock that went back, and a span past all buckets. */
static void test_ends(void **state)
{
    struct rkb_latency latency = {0};
    (void)state;
    rkb_latency_add(&latency, -5);
    rkb_latency_add(&latency, INT64_MIN);
    assert_int_equal(latency.buckets[0], 2);
    assert_int_equal(latency.max_us, 0);
    rkb_latency_add(&latency, INT64_MAX);
    assert_int_equal(latency.buckets[RKB_LATENCY_BUCKETS - 1], 1);
    assert_int_equal(latency.count, 3);
    assert_true(rkb_latency_quantile(&latency, 1) > 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_below_an_eighth),
        cmocka_unit_test(test_buckets_rise),
        cmocka_unit_test(test_nothing_counted),
        cmocka_unit_test(test_quantiles_of_a_thousand),
        cmocka_unit_test(test_never_above_the_longest),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
