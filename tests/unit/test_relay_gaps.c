/*
 * The relay's gaps, by hand: lost connections, restarts, damage, and what goes on over a restart. The books have to
 * balance at every step.
 */
#include "relay_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_a_lost_connection(void **state)
{
    struct world *world = *state;
    open_simple(world);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 0);
    copy_of(world, "u*", "user", "1");
    int64_t last_us = now_us;
    now_us += SECOND;
    lose(world, true, last_us);
    expect_gap(world, 0, "connection_lost", last_us, 0);
    assert_false(balance(world)->ready);
    copy_of(world, "u*", "user", "nobody is subscribed");
    for (int i = 0; i < 3; i++) {           /* tries that come to nothing, and one that gets halfway */
        now_us += SECOND;
        lose(world, false, 0);
    }
    begin_stream(world);
    lose(world, true, now_us);
    begin_stream(world);
    confirm(world, true, "u*", true);
    copy_of(world, "u*", "user", "2");
    expect_gap(world, 0, "connection_lost", last_us, 0);
    now_us += SECOND;
    confirm_all(world);
    expect_gap(world, 0, "connection_lost", last_us, now_us);
    assert_true(balance(world)->ready);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    assert_int_equal(balance(world)->totals.received, 2);
    lose(world, true, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 2);
}

/* Never connected yet: nothing was read, so nothing was missed that was ours. */
static void test_no_gap_before_the_first_connection(void **state)
{
    struct world *world = *state;
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    lose(world, false, 0);
    lose(world, false, 0);
    begin_stream(world);
    confirm_all(world);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 0);
    assert_true(balance(world)->ready);
}

/* From the last byte the instance before read, which the ring knows, to the subscription. */
static void test_a_restart(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    int64_t last_us = now_us + 500;
    rkb_ring_note_read(world->store.ring, last_us);
    world_kill(world);
    now_us += 10 * SECOND;
    world_open(world);
    expect_gap(world, 0, "restart", last_us, 0);
    begin_stream(world);
    now_us += SECOND;
    confirm_all(world);
    expect_gap(world, 0, "restart", last_us, now_us);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.recovered, 1);
    assert_int_equal(snapshot->totals.pending, 1);
    take(world);
    acknowledge(world);
    snapshot = balance(world);
    assert_int_equal(snapshot->totals.delivered, 1);
    assert_int_equal(snapshot->totals.pending, 0);
}

static void nothing(void *context)
{
    (void)context;
}

/* Told to end: Redis stopped giving us messages some time after it was asked, and its answer came late. */
static void test_an_end_that_was_asked_for(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    int64_t asked_us = now_us += SECOND;
    rkb_relay_stop(&world->relay, SECOND, nothing, NULL);
    now_us += SECOND;
    copy_of(world, "u*", "user", "2");
    rkb_relay_events.stopped(source_of(world));
    expect_gap(world, 0, "restart", asked_us, 0);
    take(world);
    world_kill(world);
    now_us += SECOND;
    world_open(world);
    expect_gap(world, 0, "restart", asked_us, 0);
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "restart", asked_us, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
}

/* Without a ring that outlives: from the last record in the journal. */
static void test_a_restart_without_a_ring(void **state)
{
    struct world *world = *state;
    world->config.journal.ring_directory = NULL;
    open_simple(world);
    now_us += SECOND;
    copy_of(world, "u*", "user", "1");
    int64_t last_us = now_us;
    take(world);
    world_kill(world);
    now_us += 10 * SECOND;
    world_open(world);
    expect_gap(world, 0, "restart", last_us, 0);
    balance(world);
}

/* A gap that the instance before left open goes on until we are subscribed: it is one gap, not two. */
static void test_a_gap_left_open(void **state)
{
    struct world *world = *state;
    open_simple(world);
    int64_t last_us = now_us;
    lose(world, true, last_us);
    take(world);
    world_kill(world);
    now_us += SECOND;
    world_open(world);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    expect_gap(world, 0, "connection_lost", last_us, 0);
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "connection_lost", last_us, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
}

/* Killed while it dropped: that gap ends where the restart's begins. */
static void test_dropping_left_open(void **state)
{
    struct world *world = *state;
    open_small(world);
    now_us += SECOND;
    int64_t began_us = since(world);
    while (balance(world)->totals.dropped == 0)
        large_copy(world, "u*", "user", 1000);
    int64_t last_us = now_us += SECOND;
    rkb_ring_note_read(world->store.ring, last_us);
    uint64_t pending = balance(world)->totals.pending;
    world_kill(world);
    now_us += SECOND;
    world_open(world);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 2);
    expect_gap(world, 0, "journal_full", began_us, last_us);
    expect_gap(world, 1, "restart", last_us, 0);
    assert_int_equal(balance(world)->totals.recovered, pending);
}

/* The disk fails, works, fails again: what is read meanwhile is said not to be durable, from when to when. */
static void test_not_durable(void **state)
{
    struct world *world = *state;
    open_simple(world);
    int64_t first_us = now_us += SECOND;
    atomic_store(&world->shipper->not_durable_us, first_us);
    now_us += SECOND;
    rkb_relay_look(&world->relay);
    rkb_relay_look(&world->relay);
    expect_gap(world, 0, "not_durable", first_us, 0);
    int64_t second_us = now_us += SECOND;
    atomic_store(&world->shipper->not_durable_us, second_us);       /* there was a moment in which it worked */
    rkb_relay_look(&world->relay);
    expect_gap(world, 0, "not_durable", first_us, second_us);
    expect_gap(world, 1, "not_durable", second_us, 0);
    assert_true(balance(world)->ready);
    now_us += SECOND;
    atomic_store(&world->shipper->not_durable_us, 0);
    rkb_relay_look(&world->relay);
    expect_gap(world, 1, "not_durable", second_us, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 2);
    assert_int_equal(source_of(world)->gaps_total, 2);
}

/*
 * Killed meanwhile, before the loop knew or after: the start says it, up to what was read last, and it is no absence.
 */
static void test_not_durable_and_killed(void **state)
{
    struct world *world = *state;
    open_simple(world);
    for (int known = 0; known < 2; known++) {
        int64_t first_us = now_us += SECOND;
        rkb_ring_note_not_durable(world->store.ring, first_us);
        atomic_store(&world->shipper->not_durable_us, first_us);
        if (known)
            rkb_relay_look(&world->relay);
        int64_t last_us = now_us += SECOND;
        rkb_ring_note_read(world->store.ring, last_us);
        world_kill(world);
        now_us += SECOND;
        world_open(world);
        size_t count = rkb_gaps_count(world->store.gaps);
        expect_gap(world, count - 2, "not_durable", first_us, last_us);
        expect_gap(world, count - 1, "restart", last_us, 0);
        begin_stream(world);
        confirm_all(world);
        world_kill(world);
        world_open(world);
        assert_int_equal(rkb_gaps_count(world->store.gaps), count + 1);     /* said once, then over */
        begin_stream(world);
        confirm_all(world);
    }
}

/* Records that did not read back: a gap with their number as its bound, for whoever may have sent them. */
static void test_damage(void **state)
{
    struct world *world = *state;
    world->config.journal.segment_size = 64 * 1024;
    open_simple(world);
    for (int i = 0; i < 200; i++) {
        now_us += SECOND;
        large_copy(world, "u*", "user", 1000);
        take(world);
    }
    world_kill(world);
    damage_middle(world->directory, "00000000000000000001.seg");
    world_open(world);
    const struct rkb_recovery *recovery = &world->store.recovery;
    assert_true(recovery->lost_last > 0);
    uint64_t lost = recovery->lost_last - recovery->lost_first + 1;
    expect_gap(world, 0, "damage", recovery->lost_from_us, recovery->lost_to_us);
    assert_int_equal(gap_at(world, 0)->bound, lost);
    assert_string_equal(gap_at(world, 1)->reason, "restart");
    assert_int_equal(balance(world)->totals.recovered, 200 - lost);
}

/* ---- what is around them, and how much is in them ---- */

static void expect_position(const char *position, const struct rkb_stream *stream, uint32_t count)
{
    char expected[RKB_GAP_POSITION];
    snprintf(expected, sizeof expected, "%.32s:%u", stream->mark_text, count);
    assert_string_equal(position, expected);
}

/* The last message before it, by the old stream; the last before all stood again, by the new. */
static void test_positions_around_a_gap(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    copy_of(world, "u*", "user", "2");
    const struct rkb_stream before = source_of(world)->stream;
    lose(world, true, now_us);
    expect_position(gap_at(world, 0)->before, &before, 2);
    assert_string_equal(gap_at(world, 0)->after, "");
    begin_stream(world);
    confirm(world, true, "u*", true);
    copy_of(world, "u*", "user", "3");
    confirm_all(world);
    expect_position(gap_at(world, 0)->before, &before, 2);
    expect_position(gap_at(world, 0)->after, &source_of(world)->stream, 1);
}

/* Killed: by the last mark, and by what was found behind it. */
static void test_positions_around_a_restart(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    take(world);
    acknowledge(world);
    copy_of(world, "u*", "user", "2");
    copy_of(world, "u*", "user", "3");
    const struct rkb_stream before = source_of(world)->stream;
    world_kill(world);
    now_us += SECOND;
    world_open(world);
    assert_string_equal(gap_at(world, 0)->reason, "restart");
    expect_position(gap_at(world, 0)->before, &before, 3);
    assert_int_equal(world->store.recovery.last_count, 3);
    assert_false(gap_at(world, 0)->has_anchor);
}

/* Each that was dropped is in the bound, and the first of them is not before the gap. */
static void test_how_many_were_dropped(void **state)
{
    struct world *world = *state;
    open_small(world);
    while (balance(world)->totals.dropped < 5)
        large_copy(world, "u*", "user", 1000);
    const struct rkb_stream *stream = &source_of(world)->stream;
    expect_position(gap_at(world, 0)->before, stream, stream->count - 5);
    rkb_relay_stop_dropping(source_of(world));
    assert_int_equal(gap_at(world, 0)->bound, 5);
    expect_position(gap_at(world, 0)->after, stream, stream->count);
}

/* ---- names ---- */

/* A route that is no longer in the config keeps its number and its books until all it left is shipped. */
static void test_a_route_that_is_gone(void **state)
{
    struct world *world = *state;
    world_route(world, "old", NULL, LIST("o*"));
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    copy_of(world, "o*", "other", "1");
    copy_of(world, "u*", "user", "2");
    world_kill(world);
    world->config.route_count = 0;
    world_route(world, "new", NULL, LIST("n*"));
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    copy_of(world, "n*", "name", "3");
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->route_count, 3);
    assert_string_equal(snapshot->routes[0].name, "new");
    assert_int_equal(snapshot->routes[0].books.received, 1);
    assert_int_equal(snapshot->routes[0].books.recovered, 0);
    assert_int_equal(snapshot->routes[1].books.recovered, 1);
    assert_string_equal(snapshot->routes[2].name, "old");
    assert_int_equal(snapshot->routes[2].books.recovered, 1);
    assert_null(snapshot->routes[2].topic);
    take(world);
    acknowledge(world);
    snapshot = balance(world);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(snapshot->routes[i].books.delivered, 1);
}

/* Numbers, epochs and mark times go on over a restart. */
static void test_what_goes_on_over_a_restart(void **state)
{
    struct world *world = *state;
    struct taken taken[8];
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    struct rkb_mark before = source_of(world)->stream.mark;
    uint64_t next = world->relay.next_sequence;
    world_kill(world);
    now_us -= 5 * SECOND;           /* the clock went back meanwhile */
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    assert_int_equal(source_of(world)->stream.mark.epoch, before.epoch + 1);
    assert_true(source_of(world)->stream.mark.time_ms > before.time_ms);
    copy_of(world, "u*", "user", "1");
    assert_true(world->relay.next_sequence > next);
    assert_int_equal(read_taken(world, 1, taken, 8), 2);
    assert_true(taken[1].sequence >= next);
    assert_true(strcmp(taken[1].uuid, taken[0].uuid) > 0);
    balance(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lost_connection, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_no_gap_before_the_first_connection, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_restart, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_an_end_that_was_asked_for, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_restart_without_a_ring, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_gap_left_open, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_dropping_left_open, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_not_durable, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_not_durable_and_killed, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_damage, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_positions_around_a_gap, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_positions_around_a_restart, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_how_many_were_dropped, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_route_that_is_gone, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_what_goes_on_over_a_restart, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
