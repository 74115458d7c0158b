/* The way out: its steps in order, what each may take, and what being asked again does in each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/ending.h"

#include "base/sys.h"

#define SECOND 1000000
#define HOUR (3600LL * SECOND)

/* Turned by hand; it only says how much time is left. */
static int64_t now_us;

static int64_t now(void)
{
    return now_us;
}

struct world {
    struct rkb_sys sys;
    struct event_base *base;
    struct rkb_ending *ending;
    char steps[200];                    /* what it asked for, in order */
    bool at_once;                       /* unsubscribing takes no time */
};

static void note(struct world *world, const char *format, long long number)
{
    size_t used = strlen(world->steps);
    snprintf(world->steps + used, sizeof world->steps - used, format, number);
}

static void on_begun(void *context, int64_t within_us)
{
    note(context, "begun %lld, ", within_us);
}

static void on_unsubscribe(void *context, int64_t within_us)
{
    struct world *world = context;
    note(world, "unsubscribe %lld, ", within_us);
    if (world->at_once)
        rkb_ending_unsubscribed(world->ending);
}

static void on_drain(void *context)
{
    note(context, "drain, ", 0);
}

static void on_leave(void *context)
{
    note(context, "leave.", 0);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->base = event_base_new();
    world->sys = rkb_sys_posix;
    world->sys.monotonic_us = now;
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    rkb_ending_free(world->ending);
    event_base_free(world->base);
    free(world);
    return 0;
}

static void make(struct world *world, int64_t linger_us, int64_t timeout_us)
{
    struct rkb_ending_options options = {
        .sys = &world->sys, .linger_us = linger_us, .timeout_us = timeout_us,
        .begun = on_begun, .unsubscribe = on_unsubscribe, .drain = on_drain, .leave = on_leave, .context = world};
    world->ending = rkb_ending_new(world->base, &options);
    assert_non_null(world->ending);
}

static void drains_and_leaves(void **state)
{
    struct world *world = *state;
    make(world, 0, HOUR);
    rkb_ending_drained(world->ending);          /* nobody asked for it */
    rkb_ending_unsubscribed(world->ending);
    assert_string_equal(world->steps, "");
    assert_false(rkb_ending_begun(world->ending));
    rkb_ending_ask(world->ending, "SIGTERM");
    rkb_ending_drained(world->ending);          /* not yet */
    assert_string_equal(world->steps, "begun 3600000000, unsubscribe 2000000, ");
    rkb_ending_unsubscribed(world->ending);
    rkb_ending_unsubscribed(world->ending);
    rkb_ending_drained(world->ending);
    rkb_ending_ask(world->ending, "SIGTERM");
    assert_string_equal(world->steps, "begun 3600000000, unsubscribe 2000000, drain, leave.");
    assert_int_equal(event_base_loop(world->base, EVLOOP_NONBLOCK), 1);     /* no timer is left */
}

static void lingers_first(void **state)
{
    struct world *world = *state;
    make(world, 3000, SECOND);
    world->at_once = true;
    rkb_ending_ask(world->ending, "SIGTERM");
    assert_string_equal(world->steps, "begun 1003000, ");
    assert_true(rkb_ending_begun(world->ending));
    rkb_ending_drained(world->ending);          /* while it lingers nothing ends it */
    assert_string_equal(world->steps, "begun 1003000, ");
    event_base_loop(world->base, EVLOOP_ONCE);
    assert_string_equal(world->steps, "begun 1003000, unsubscribe 1000000, drain, ");
    rkb_ending_drained(world->ending);
    assert_string_equal(world->steps, "begun 1003000, unsubscribe 1000000, drain, leave.");
}

static void asked_again_ends_the_linger_then_the_drain(void **state)
{
    struct world *world = *state;
    make(world, HOUR, HOUR);
    rkb_ending_ask(world->ending, "SIGTERM");
    rkb_ending_ask(world->ending, "SIGTERM");
    assert_string_equal(world->steps, "begun 7200000000, unsubscribe 2000000, ");
    rkb_ending_unsubscribed(world->ending);
    rkb_ending_ask(world->ending, "SIGINT");
    rkb_ending_drained(world->ending);
    assert_string_equal(world->steps, "begun 7200000000, unsubscribe 2000000, drain, leave.");
}

static void asked_again_while_unsubscribing_leaves(void **state)
{
    struct world *world = *state;
    make(world, 0, HOUR);
    rkb_ending_ask(world->ending, "SIGTERM");
    rkb_ending_ask(world->ending, "SIGTERM");
    rkb_ending_unsubscribed(world->ending);     /* too late */
    assert_string_equal(world->steps, "begun 3600000000, unsubscribe 2000000, leave.");
}

static void leaves_when_its_time_is_over(void **state)
{
    struct world *world = *state;
    make(world, 0, 5000);
    world->at_once = true;
    rkb_ending_ask(world->ending, "SIGTERM");
    assert_string_equal(world->steps, "begun 5000, unsubscribe 5000, drain, ");
    event_base_loop(world->base, EVLOOP_ONCE);
    assert_string_equal(world->steps, "begun 5000, unsubscribe 5000, drain, leave.");
}

static void the_linger_does_not_shorten_the_drain(void **state)
{
    struct world *world = *state;
    make(world, 3000, HOUR);
    world->at_once = true;
    rkb_ending_ask(world->ending, "SIGTERM");
    event_base_loop(world->base, EVLOOP_ONCE);
    /* The linger's timer is the drain's now, and an hour is not over. */
    event_base_loop(world->base, EVLOOP_NONBLOCK);
    assert_null(strstr(world->steps, "leave"));
    rkb_ending_drained(world->ending);
    assert_non_null(strstr(world->steps, "leave"));
}

/* For whoever looks meanwhile: which of the two it is, and for how long still. */
static void says_how_long_still(void **state)
{
    struct world *world = *state;
    make(world, 5 * SECOND, 25 * SECOND);
    assert_false(rkb_ending_lingers(world->ending));
    assert_int_equal(rkb_ending_left_us(world->ending), 0);
    rkb_ending_ask(world->ending, "SIGTERM");
    now_us += 2 * SECOND;
    assert_true(rkb_ending_lingers(world->ending));
    assert_int_equal(rkb_ending_left_us(world->ending), 3 * SECOND);
    now_us += 7 * SECOND;                       /* the loop is late */
    assert_int_equal(rkb_ending_left_us(world->ending), 0);
    rkb_ending_ask(world->ending, "SIGTERM");
    now_us += SECOND;
    assert_false(rkb_ending_lingers(world->ending));
    assert_int_equal(rkb_ending_left_us(world->ending), 24 * SECOND);
    rkb_ending_unsubscribed(world->ending);
    assert_int_equal(rkb_ending_left_us(world->ending), 24 * SECOND);
    rkb_ending_drained(world->ending);
    assert_int_equal(rkb_ending_left_us(world->ending), 0);
}

#define IN_A_WORLD(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_WORLD(drains_and_leaves),
        IN_A_WORLD(lingers_first),
        IN_A_WORLD(asked_again_ends_the_linger_then_the_drain),
        IN_A_WORLD(asked_again_while_unsubscribing_leaves),
        IN_A_WORLD(leaves_when_its_time_is_over),
        IN_A_WORLD(the_linger_does_not_shorten_the_drain),
        IN_A_WORLD(says_how_long_still),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
