/* Tests of budget: the time to a cut, and the alarm with its hysteresis. Limits as Redis has them by default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/budget.h"

#define SECOND INT64_C(1000000)
#define MIB (INT64_C(1) << 20)

static struct rkb_budget fresh(uint64_t hard, uint64_t soft, int64_t soft_seconds)
{
    struct rkb_budget budget = {.has_limits = true, .limits = {hard, soft, soft_seconds}};
    rkb_budget_begin(&budget);
    return budget;
}

/* Two samples, a second apart: what is held then, and what was read between. */
static struct rkb_budget after(struct rkb_budget budget, int64_t before, int64_t buffer, uint64_t read)
{
    rkb_budget_sample(&budget, SECOND, before, 1000);
    rkb_budget_sample(&budget, 2 * SECOND, buffer, 1000 + read);
    return budget;
}

static void assert_seconds(const struct rkb_budget *budget, int64_t now_us, double wanted)
{
    double seconds = rkb_budget_seconds(budget, now_us);
    if (seconds < wanted - 0.001 || seconds > wanted + 0.001)
        fail_msg("%f seconds and not %f", seconds, wanted);
}

static void the_time_left(void **state)
{
    (void)state;
    static const struct {
        uint64_t hard, soft;
        int64_t soft_seconds, before, buffer;
        uint64_t read;
        double wanted;
    } rows[] = {
        {32 * MIB, 8 * MIB, 60, 0, 0, 4 * MIB, 8},              /* the hard limit is nearer */
        {32 * MIB, 8 * MIB, 2, 0, 0, 4 * MIB, 4},               /* the soft one: 2 s to it, and 2 above it */
        {32 * MIB, 8 * MIB, 60, 16 * MIB, 16 * MIB, 4 * MIB, 4},
        {32 * MIB, 0, 0, 0, 2 * MIB, 2 * MIB, 7.5},             /* what is held more is inflow too */
        {0, 8 * MIB, 10, 0, 0, 4 * MIB, 12},
        {32 * MIB, 0, 0, 40 * MIB, 40 * MIB, MIB, 0},
        {0, 0, 0, 0, 0, 4 * MIB, -1},
        {32 * MIB, 8 * MIB, 60, 0, 0, 0, -1},                   /* nothing comes */
        {32 * MIB, 8 * MIB, 60, -1, -1, 4 * MIB, -1},           /* unknown */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_budget budget = after(fresh(rows[i].hard, rows[i].soft, rows[i].soft_seconds), rows[i].before,
                                         rows[i].buffer, rows[i].read);
        assert_seconds(&budget, 2 * SECOND, rows[i].wanted);
    }
    struct rkb_budget budget = after(fresh(32 * MIB, 8 * MIB, 60), 0, 0, MIB);
    budget.has_limits = false;
    assert_seconds(&budget, 2 * SECOND, -1);
    struct rkb_budget first = fresh(32 * MIB, 0, 0);
    rkb_budget_sample(&first, SECOND, 0, 1000);
    assert_seconds(&first, SECOND, -1);
}

static void time_above_the_soft_limit_counts(void **state)
{
    (void)state;
    struct rkb_budget budget = after(fresh(0, 8 * MIB, 60), 9 * MIB, 9 * MIB, MIB);
    assert_seconds(&budget, 11 * SECOND, 50);
    assert_seconds(&budget, 100 * SECOND, 0);
    assert_false(rkb_budget_alarm(&budget, 31 * SECOND));
    assert_true(rkb_budget_alarm(&budget, 32 * SECOND));
    rkb_budget_sample(&budget, 33 * SECOND, 7 * MIB, 2 * MIB);
    assert_true(rkb_budget_alarm(&budget, 33 * SECOND));        /* until it is well below */
    rkb_budget_sample(&budget, 34 * SECOND, 4 * MIB, 3 * MIB);
    assert_false(rkb_budget_alarm(&budget, 34 * SECOND));
    rkb_budget_sample(&budget, 35 * SECOND, 9 * MIB, 4 * MIB);
    assert_false(rkb_budget_alarm(&budget, 35 * SECOND));       /* the time begins anew */
}

static void the_alarm(void **state)
{
    (void)state;
    struct rkb_budget budget = after(fresh(32 * MIB, 0, 0), 17 * MIB, 16 * MIB, 2 * MIB);
    assert_false(rkb_budget_alarm(&budget, 2 * SECOND));
    assert_false(rkb_budget_was_high(&budget));
    rkb_budget_sample(&budget, 3 * SECOND, 16 * MIB + 1, 4 * MIB);
    assert_true(rkb_budget_alarm(&budget, 3 * SECOND));
    assert_true(rkb_budget_was_high(&budget) && rkb_budget_filling(&budget));
    rkb_budget_sample(&budget, 4 * SECOND, 9 * MIB, 5 * MIB);
    assert_true(rkb_budget_alarm(&budget, 4 * SECOND));
    rkb_budget_sample(&budget, 5 * SECOND, 8 * MIB, 6 * MIB);
    assert_false(rkb_budget_alarm(&budget, 5 * SECOND));
    rkb_budget_sample(&budget, 6 * SECOND, 9 * MIB, 7 * MIB);
    assert_false(rkb_budget_alarm(&budget, 6 * SECOND));
    rkb_budget_begin(&budget);
    assert_false(rkb_budget_alarm(&budget, 7 * SECOND));
    assert_false(rkb_budget_was_high(&budget) || rkb_budget_filling(&budget));
}

/* Little is held yet, but at this rate it is a second's worth less than the limit, and it grows. */
static void near_by_its_rate(void **state)
{
    (void)state;
    struct rkb_budget budget = after(fresh(32 * MIB, 0, 0), 0, MIB, 40 * MIB);
    assert_true(rkb_budget_alarm(&budget, 2 * SECOND));
    rkb_budget_sample(&budget, 3 * SECOND, MIB, 80 * MIB);
    assert_false(rkb_budget_alarm(&budget, 3 * SECOND));        /* it does not grow */
    budget = after(fresh(32 * MIB, 0, 0), 0, 0, 40 * MIB);
    assert_false(rkb_budget_alarm(&budget, 2 * SECOND));        /* nothing is held */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_left),
        cmocka_unit_test(time_above_the_soft_limit_counts),
        cmocka_unit_test(the_alarm),
        cmocka_unit_test(near_by_its_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
