/* turn: what is counted of the loop's turns, and that the loop ends when it is told to. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "daemon/turn.h"

static int64_t clock_us;

static int64_t monotonic(void)
{
    return clock_us;
}

static const struct rkb_sys sys = {.monotonic_us = monotonic};

struct world {
    struct event_base *base;
    struct rkb_turn turn;
    struct event *work, *idle;
    int left;
};

/* Three parts of work in one turn take 3 ms, and are one turn; then the loop is told to end. */
static void on_work(evutil_socket_t fd, short what, void *context)
{
    static const struct timeval at_once = {0, 0};
    struct world *world = context;
    (void)fd, (void)what;
    for (int i = 0; i < 3; i++) {
        rkb_turn_begin(&world->turn);
        clock_us += 1000;
    }
    if (--world->left == 0)
        event_base_loopexit(world->base, NULL);
    else
        event_add(world->idle, &at_once);
}

/* Turns in which nobody says that there is work are not counted, however long they take. */
static void on_idle(evutil_socket_t fd, short what, void *context)
{
    static const struct timeval at_once = {0, 0};
    struct world *world = context;
    (void)fd, (void)what;
    clock_us += 1000000;
    event_add(world->work, &at_once);
}

static void test_turns(void **state)
{
    (void)state;
    static const struct timeval at_once = {0, 0};
    struct world world = {.base = event_base_new(), .left = 5};
    clock_us = 1;
    rkb_turn_init(&world.turn, &sys);
    world.work = evtimer_new(world.base, on_work, &world);
    world.idle = evtimer_new(world.base, on_idle, &world);
    event_add(world.idle, &at_once);
    rkb_turn_dispatch(&world.turn, world.base);
    assert_int_equal(world.left, 0);
    uint64_t count = 0;
    for (unsigned i = 0; i <= RKB_HISTOGRAM_BOUNDS; i++)
        count += world.turn.spans.counts[i];
    assert_int_equal(count, 5);
    assert_int_equal(world.turn.spans.sum, 15000);
    event_free(world.work);
    event_free(world.idle);
    event_base_free(world.base);
}

/* Nothing to wait for: the loop gives itself back, as event_base_dispatch does. */
static void test_nothing_to_do(void **state)
{
    (void)state;
    struct world world = {.base = event_base_new()};
    rkb_turn_init(&world.turn, &sys);
    rkb_turn_dispatch(&world.turn, world.base);
    assert_int_equal(world.turn.spans.sum, 0);
    event_base_free(world.base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_turns), cmocka_unit_test(test_nothing_to_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
