/* The intake, stopped and started because somebody asked for it: what is missed lies in a gap of its own reason. */
#include "relay_world.h"

static size_t stopped;

static void on_stopped(void *context)
{
    (void)context;
    stopped++;
}

static void stop_intake(struct world *world)
{
    stopped = 0;
    rkb_relay_stop_intake(&world->relay, SECOND, on_stopped, NULL);
}

/* What the subscriber tells when Redis has confirmed it. */
static void tell_stopped(struct world *world)
{
    rkb_relay_events.stopped(source_of(world));
}

static void test_stopped_and_started(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    assert_int_equal(rkb_relay_intake(&world->relay), RKB_INTAKE_RUNS);
    now_us += SECOND;
    int64_t asked_us = now_us;
    stop_intake(world);
    assert_int_equal(rkb_relay_intake(&world->relay), RKB_INTAKE_STOPPING);
    copy_of(world, "u*", "user", "still under way");
    assert_int_equal(rkb_gaps_count(world->store.gaps), 0);
    now_us += SECOND;
    tell_stopped(world);
    assert_int_equal(stopped, 1);
    assert_int_equal(rkb_relay_intake(&world->relay), RKB_INTAKE_STOPPED);
    expect_gap(world, 0, "intake_stopped", asked_us, 0);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_true(snapshot->intake_stopped && !snapshot->ready && !snapshot->sources[0].held);
    assert_int_equal(snapshot->totals.received, 2);
    now_us += SECOND;
    rkb_relay_start_intake(&world->relay);
    assert_int_equal(rkb_relay_intake(&world->relay), RKB_INTAKE_RUNS);
    begin_stream(world);
    expect_gap(world, 0, "intake_stopped", asked_us, 0);
    now_us += SECOND;
    confirm_all(world);
    expect_gap(world, 0, "intake_stopped", asked_us, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    snapshot = balance(world);
    assert_true(snapshot->ready && !snapshot->intake_stopped);
}

/* A gap that is open already goes on, and says what it was from. */
static void test_while_the_connection_is_lost(void **state)
{
    struct world *world = *state;
    open_simple(world);
    int64_t lost_us = now_us;
    lose(world, true, lost_us);
    now_us += SECOND;
    stop_intake(world);
    tell_stopped(world);
    assert_int_equal(stopped, 1);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    expect_gap(world, 0, "connection_lost", lost_us, 0);
    rkb_relay_start_intake(&world->relay);
    begin_stream(world);
    now_us += SECOND;
    confirm_all(world);
    expect_gap(world, 0, "connection_lost", lost_us, now_us);
}

/* A start subscribes: the order does not outlive it, the gap does. */
static void test_over_a_restart(void **state)
{
    struct world *world = *state;
    open_simple(world);
    int64_t asked_us = now_us;
    stop_intake(world);
    tell_stopped(world);
    take(world);
    world_kill(world);
    now_us += 10 * SECOND;
    world_open(world);
    assert_int_equal(rkb_relay_intake(&world->relay), RKB_INTAKE_RUNS);
    expect_gap(world, 0, "intake_stopped", asked_us, 0);
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "intake_stopped", asked_us, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        EACH(test_stopped_and_started),
        EACH(test_while_the_connection_is_lost),
        EACH(test_over_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
