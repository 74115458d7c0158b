/* Tests of the acks, against the simplest model there is: one bool per number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "journal/acks.h"

#include <stdlib.h>
#include <string.h>

static void add(struct rkb_acks *acks, uint64_t first, uint64_t last)
{
    for (; first <= last; first++)
        assert_true(rkb_acks_add(acks, first, NULL));
}

static void in_order_low_follows(void **state)
{
    (void)state;
    struct rkb_acks *acks = rkb_acks_new(100);
    assert_int_equal(rkb_acks_low(acks), 100);
    assert_true(rkb_acks_has(acks, 99));
    assert_false(rkb_acks_has(acks, 100));
    for (uint64_t i = 100; i < 10000; i++) {
        add(acks, i, i);
        assert_int_equal(rkb_acks_low(acks), i + 1);
    }
    assert_int_equal(rkb_acks_ranges(acks, UINT64_MAX, NULL, 0), 0);
    rkb_acks_free(acks);
}

static void backwards_low_jumps_at_the_end(void **state)
{
    (void)state;
    struct rkb_acks *acks = rkb_acks_new(1);
    for (uint64_t i = 100000; i > 1; i--)
        add(acks, i, i);
    assert_int_equal(rkb_acks_low(acks), 1);
    add(acks, 1, 1);
    assert_int_equal(rkb_acks_low(acks), 100001);
    add(acks, 5, 5);
    assert_int_equal(rkb_acks_low(acks), 100001);
    rkb_acks_free(acks);
}

static void ranges_are_told_as_many_as_fit(void **state)
{
    (void)state;
    struct rkb_acks *acks = rkb_acks_new(10);
    struct rkb_range ranges[8];
    add(acks, 12, 12);
    add(acks, 20, 400);
    add(acks, 448, 511);        /* just a word */
    add(acks, 513, 513);
    assert_int_equal(rkb_acks_ranges(acks, UINT64_MAX, ranges, 8), 4);
    static const struct rkb_range expected[] = {{12, 1}, {20, 381}, {448, 64}, {513, 1}};
    assert_memory_equal(ranges, expected, sizeof expected);
    assert_int_equal(rkb_acks_ranges(acks, UINT64_MAX, ranges, 2), 2);
    assert_memory_equal(ranges, expected + 2, 2 * sizeof expected[0]);      /* the highest */
    rkb_acks_free(acks);
}

static void no_range_goes_beyond_the_limit(void **state)
{
    (void)state;
    struct rkb_acks *acks = rkb_acks_new(10);
    add(acks, 12, 12);
    add(acks, 20, 400);
    for (uint64_t limit = 0; limit < 500; limit++) {
        struct rkb_range ranges[3] = {{0, 0}};
        size_t count = rkb_acks_ranges(acks, limit, ranges, 3);
        assert_int_equal(count, (limit > 12) + (limit > 20));
        if (limit > 12)
            assert_true(ranges[0].first == 12 && ranges[0].count == 1);
        if (limit > 20)
            assert_true(ranges[1].first == 20 && ranges[1].count == (limit < 401 ? limit : 401) - 20);
    }
    rkb_acks_free(acks);
}

static void raising_settles_what_is_below(void **state)
{
    (void)state;
    struct rkb_acks *acks = rkb_acks_new(10);
    add(acks, 200, 300);
    add(acks, 320, 330);
    rkb_acks_raise(acks, 5);
    assert_int_equal(rkb_acks_low(acks), 10);
    rkb_acks_raise(acks, 150);
    assert_int_equal(rkb_acks_low(acks), 150);
    rkb_acks_raise(acks, 250);
    assert_int_equal(rkb_acks_low(acks), 301);
    assert_false(rkb_acks_has(acks, 301));
    assert_true(rkb_acks_has(acks, 325));
    rkb_acks_raise(acks, 1000000);
    assert_int_equal(rkb_acks_low(acks), 1000000);
    assert_false(rkb_acks_has(acks, 1000000));
    for (uint64_t i = 1000001; i < 1010000; i++)
        assert_false(rkb_acks_has(acks, i));
    rkb_acks_free(acks);
}

/* A number from a source whose every value is the same in every run. */
static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

#define MODEL 20000

static void check_against(const struct rkb_acks *acks, const bool *settled, uint64_t base)
{
    uint64_t low = 0;
    while (low < MODEL && settled[low])
        low++;
    assert_int_equal(rkb_acks_low(acks), base + low);
    static struct rkb_range ranges[MODEL];
    size_t count = rkb_acks_ranges(acks, UINT64_MAX, ranges, MODEL), at = 0;
    for (uint64_t i = low; i < MODEL; i++) {
        assert_int_equal(rkb_acks_has(acks, base + i), settled[i]);
        if (settled[i] && (i == 0 || !settled[i - 1]))
            assert_int_equal(ranges[at++].first, base + i);
        if (!settled[i] && i > low && settled[i - 1])
            assert_int_equal(ranges[at - 1].first + ranges[at - 1].count, base + i);
    }
    assert_int_equal(at, count);
}

static void it_agrees_with_a_simple_model(void **state)
{
    (void)state;
    static bool settled[MODEL];
    for (uint64_t seed = 1; seed <= 6; seed++) {
        uint64_t random = seed, base = seed * 1000003, low = 0;
        uint64_t spread = 1 + next_random(&random) % 9000;      /* how far ahead of low numbers settle */
        struct rkb_acks *acks = rkb_acks_new(base);
        memset(settled, 0, sizeof settled);
        for (int step = 0; step < 30000; step++) {
            uint64_t at = low + next_random(&random) % spread;
            if (at >= MODEL)
                break;
            if (next_random(&random) % 4000 == 0) {
                memset(settled, 1, at);
                rkb_acks_raise(acks, base + at);
            } else {
                settled[at] = true;
                add(acks, base + at, base + at);
            }
            while (low < MODEL && settled[low])
                low++;
            assert_int_equal(rkb_acks_low(acks), base + low);
            if (step % 3000 == 0)
                check_against(acks, settled, base);
        }
        check_against(acks, settled, base);
        rkb_acks_free(acks);
    }
}

/*
 * The circle is full to its last word when it has to grow: the words of low and high must not be taken for each other.
 */
static void growing_keeps_every_bit(void **state)
{
    (void)state;
    for (uint64_t top = 4030; top < 4100; top++) {
        struct rkb_acks *acks = rkb_acks_new(1);
        struct rkb_range ranges[3];
        add(acks, 2, top);
        add(acks, 9000, 9000);
        assert_int_equal(rkb_acks_ranges(acks, UINT64_MAX, ranges, 3), 2);
        assert_int_equal(ranges[0].first, 2);
        assert_int_equal(ranges[0].count, top - 1);
        for (uint64_t i = top + 1; i < 9000; i++)
            assert_false(rkb_acks_has(acks, i));
        rkb_acks_free(acks);
    }
}

static void what_memory_cannot_hold_is_refused_not_forgotten(void **state)
{
    (void)state;
    struct rkb_acks *acks = rkb_acks_new(1);
    struct rkb_error error = {0};
    add(acks, 5, 5);
    assert_false(rkb_acks_add(acks, UINT64_MAX, &error));
    assert_int_equal(error.code, RKB_NO_MEMORY);
    assert_false(rkb_acks_has(acks, UINT64_MAX));
    assert_true(rkb_acks_has(acks, 5));
    add(acks, 1, 4);
    assert_int_equal(rkb_acks_low(acks), 6);
    rkb_acks_free(acks);
}

/* ---- spans as long as the numbers are many ---- */

#define FAR (UINT64_C(1) << 50)
#define NEAR 300                /* numbers below FAR and above it that the model knows one by one */

struct model {
    bool settled[2 * NEAR];     /* 1 ... NEAR - 1, and FAR ... */
    bool between;
};

static uint64_t number_of(size_t index)
{
    return index < NEAR ? index : FAR + index - NEAR;
}

static void settle_span(struct model *model, uint64_t first, uint64_t end)
{
    for (size_t i = 0; i < 2 * NEAR; i++)
        if (number_of(i) >= first && number_of(i) < end)
            model->settled[i] = true;
    model->between = model->between || (first <= NEAR && end >= FAR);
}

static uint64_t low_of(const struct model *model)
{
    for (size_t i = 0; i < 2 * NEAR; i++) {
        if (i == NEAR && !model->between)
            return NEAR;
        if (!model->settled[i])
            return number_of(i);
    }
    return FAR + NEAR;
}

static void check_open(const struct rkb_acks *acks, const struct model *model, size_t from, size_t to)
{
    uint64_t first = number_of(from), last = number_of(to), wanted_first = UINT64_MAX, wanted_last = 0;
    for (size_t i = from; i <= to; i++) {
        if (model->settled[i])
            continue;
        wanted_first = wanted_first == UINT64_MAX ? number_of(i) : wanted_first;
        wanted_last = number_of(i);
    }
    assert_int_equal(rkb_acks_open(acks, &first, &last), wanted_first != UINT64_MAX);
    if (wanted_first == UINT64_MAX)
        return;
    assert_int_equal(first, wanted_first);
    assert_int_equal(last, wanted_last);
}

static void check_ranges(const struct rkb_acks *acks, const struct model *model, uint64_t limit)
{
    struct rkb_range ranges[2 * NEAR];
    struct model told = {.between = false};
    uint64_t low = rkb_acks_low(acks), after = low;
    size_t count = rkb_acks_ranges(acks, limit, ranges, 2 * NEAR);
    for (size_t i = 0; i < count; i++) {
        assert_true(ranges[i].first >= after && ranges[i].first > low && ranges[i].count > 0);
        after = ranges[i].first + ranges[i].count;
        assert_true(after <= limit);
        settle_span(&told, ranges[i].first, after);
    }
    for (size_t i = 1; i < 2 * NEAR; i++) {
        if (number_of(i) < low)
            continue;
        assert_true(model->settled[i] || !told.settled[i]);
        assert_true(told.settled[i] || !model->settled[i] || limit != UINT64_MAX);
    }
}

static void spans_without_end_cost_nothing(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        struct rkb_acks *acks = rkb_acks_new(1);
        struct model model = {.settled = {true}};
        unsigned seed = round * 77 + 1;
        for (int step = 0; step < 120; step++) {
            size_t a = 1 + (size_t)rand_r(&seed) % (NEAR - 1), b = NEAR + (size_t)rand_r(&seed) % NEAR;
            if (step == 20 + (int)(round % 30)) {               /* all in between, and parts of both ends */
                assert_true(rkb_acks_add_span(acks, a, number_of(b), NULL));
                settle_span(&model, a, number_of(b));
            } else if (model.between && rand_r(&seed) % 2 == 0) {
                assert_true(rkb_acks_add(acks, number_of(b), NULL));
                settle_span(&model, number_of(b), number_of(b) + 1);
            } else {
                size_t end = a + (size_t)rand_r(&seed) % 4;
                end = end < NEAR ? end : NEAR;
                assert_true(rkb_acks_add_span(acks, a, end, NULL));
                settle_span(&model, a, end);
            }
            for (size_t i = 1; i < 2 * NEAR; i++)
                assert_int_equal(rkb_acks_has(acks, number_of(i)), model.settled[i]);
            assert_int_equal(rkb_acks_has(acks, FAR / 2), model.between);
            assert_int_equal(rkb_acks_low(acks), low_of(&model));
            if (model.between) {
                check_open(acks, &model, a, b);
                check_open(acks, &model, a, NEAR - 1);
                check_open(acks, &model, NEAR, b);
                check_ranges(acks, &model, UINT64_MAX);
                check_ranges(acks, &model, number_of(b));
            }
        }
        rkb_acks_raise(acks, FAR + NEAR / 2);
        assert_true(rkb_acks_low(acks) >= FAR + NEAR / 2);
        assert_true(rkb_acks_has(acks, FAR / 2));
        rkb_acks_free(acks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_low_follows),
        cmocka_unit_test(backwards_low_jumps_at_the_end),
        cmocka_unit_test(ranges_are_told_as_many_as_fit),
        cmocka_unit_test(no_range_goes_beyond_the_limit),
        cmocka_unit_test(raising_settles_what_is_below),
        cmocka_unit_test(it_agrees_with_a_simple_model),
        cmocka_unit_test(growing_keeps_every_bit),
        cmocka_unit_test(what_memory_cannot_hold_is_refused_not_forgotten),
        cmocka_unit_test(spans_without_end_cost_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
