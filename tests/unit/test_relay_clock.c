/*
 * The clock is set back by an hour: while nobody runs, while a gap is open, before one opens. Whoever published by the
 * clock as it was, or as it is, finds what was missed inside the gap.
 */
#include "relay_world.h"

#include <stdlib.h>
#include <string.h>

#include "journal/gap.h"

#define HOUR (3600 * SECOND)

static void set_back(int64_t by_us)
{
    now_us -= by_us;
    stepped_us -= by_us;
}

static void nothing(void *context)
{
    (void)context;
}

/* The ring knows by how much: the gap is as long as it was, by either clock. */
static void test_while_nobody_runs(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    int64_t last_us = now_us + 500;
    rkb_ring_note_read(world->store.ring, last_us);
    world_kill(world);
    now_us += 300 * SECOND;
    set_back(HOUR);
    world_open(world);
    begin_stream(world);
    now_us += SECOND;
    confirm_all(world);
    expect_gap(world, 0, "restart", last_us - HOUR, now_us + HOUR);
    balance(world);
    /* The next one is not: the clock goes as it should. */
    now_us += 120 * SECOND;
    lose(world, true, now_us - SECOND);
    int64_t from_us = now_us - SECOND;
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 1, "connection_lost", from_us, now_us);
}

/* Longer away than the step was: nothing begins later than now, and yet the gap is too short by a whole hour. */
static void test_while_nobody_runs_for_long(void **state)
{
    struct world *world = *state;
    open_simple(world);
    int64_t last_us = now_us;
    rkb_ring_note_read(world->store.ring, last_us);
    world_kill(world);
    now_us += 3 * HOUR;
    set_back(HOUR);
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "restart", last_us - HOUR, now_us + HOUR);
}

static int64_t end_as_asked(struct world *world)
{
    copy_of(world, "u*", "user", "1");
    int64_t asked_us = now_us += SECOND;
    rkb_relay_stop(&world->relay, SECOND, nothing, NULL);
    rkb_relay_events.stopped(source_of(world));
    take(world);
    world_kill(world);
    empty_directory(world->ring_directory);
    return asked_us;
}

/* A clean end takes the ring away; the gap that it opened knows. */
static void test_after_a_clean_end(void **state)
{
    struct world *world = *state;
    open_simple(world);
    int64_t asked_us = end_as_asked(world);
    now_us += 3 * HOUR;
    set_back(HOUR);
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "restart", asked_us - HOUR, now_us + HOUR);
}

/* Nobody knows by how much; it begins later than now, which shows something of it. */
static void test_nobody_knows_by_how_much(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, "u*", "user", "1");
    take(world);
    int64_t last_us = now_us;
    world_kill(world);
    empty_directory(world->ring_directory);
    now_us += 60 * SECOND;
    set_back(HOUR);
    world_open(world);
    begin_stream(world);
    now_us += SECOND;
    confirm_all(world);
    int64_t shown_us = HOUR - 60 * SECOND;
    expect_gap(world, 0, "restart", last_us - 2 * shown_us, now_us + 2 * shown_us);
}

static void test_while_a_gap_is_open(void **state)
{
    struct world *world = *state;
    open_simple(world);
    now_us += 10 * SECOND;
    int64_t from_us = now_us;
    lose(world, true, from_us);
    now_us += 20 * SECOND;
    set_back(HOUR);
    begin_stream(world);
    now_us += SECOND;
    confirm_all(world);
    expect_gap(world, 0, "connection_lost", from_us - HOUR, now_us + HOUR);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    balance(world);
}

/* What was read before the step has its time by the clock as it was then; whether a mark was cut since or not. */
static void test_before_a_gap_opens(void **state)
{
    struct world *world = *state;
    open_simple(world);
    for (int marked = 0; marked < 2; marked++) {
        now_us += 200 * SECOND;
        rkb_relay_mark(source_of(world));
        int64_t from_us = now_us;
        now_us += SECOND / 2;
        set_back(HOUR);
        if (marked) {
            now_us += SECOND;
            rkb_relay_mark(source_of(world));
        }
        lose(world, true, from_us);
        now_us += SECOND;
        begin_stream(world);
        confirm_all(world);
        expect_gap(world, (size_t)marked, "connection_lost", from_us - HOUR, now_us + HOUR);
    }
}

/* Killed within a second after the step, with the read note by the old clock, and then with one by the new. */
static void test_a_kill_after_a_step(void **state)
{
    struct world *world = *state;
    open_simple(world);
    now_us += 100 * SECOND;
    rkb_relay_mark(source_of(world));
    int64_t last_us = now_us;
    rkb_ring_note_read(world->store.ring, last_us);
    set_back(HOUR);
    now_us += SECOND;
    rkb_relay_mark(source_of(world));
    world_kill(world);
    now_us += 30 * SECOND;
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "restart", last_us - HOUR, now_us + HOUR);
}

/* Marks go on from the highest, and so do UUIDs, over a restart too; the books balance. */
static void test_marks_and_uuids(void **state)
{
    struct world *world = *state;
    struct taken taken[8];
    open_simple(world);
    for (int i = 0; i < 4; i++) {
        copy_of(world, "u*", "user", "1");
        now_us += SECOND;
        if (i == 1)
            set_back(HOUR);
        if (i == 2) {
            take(world);
            world_kill(world);
            set_back(HOUR);
            world_open(world);
            begin_stream(world);
            confirm_all(world);
        }
        rkb_relay_mark(source_of(world));
    }
    assert_int_equal(read_taken(world, 1, taken, 8), 4);
    for (int i = 1; i < 4; i++)
        assert_true(strncmp(taken[i - 1].uuid, taken[i].uuid, 13) < 0);     /* the time in front */
    balance(world);
}

static void nothing_is_there(struct world *world)
{
    assert_int_equal(rkb_gaps_clock_went_back(world->store.gaps), 0);
}

/* A clock that is set forward, or drawn back gently, makes no gap longer. */
static void test_other_changes(void **state)
{
    struct world *world = *state;
    open_simple(world);
    int64_t from_us = now_us;
    lose(world, true, from_us);
    set_back(-HOUR);
    set_back(SECOND / 20);
    begin_stream(world);
    confirm_all(world);
    expect_gap(world, 0, "connection_lost", from_us, now_us);
    nothing_is_there(world);
}

/* Lost between a record of before the step and one of after: longer by what shows of it, at both ends. */
static void test_a_span_that_ends_before_it_begins(void **state)
{
    struct world *world = *state;
    open_simple(world);
    now_us += HOUR;
    struct rkb_gap *gap = rkb_gaps_open(world->store.gaps, "legacy", "damage", now_us - SECOND);
    rkb_gaps_close(world->store.gaps, gap, now_us - HOUR);
    int64_t shown_us = HOUR - SECOND;
    expect_gap(world, 0, "damage", now_us - SECOND - 2 * shown_us, now_us - HOUR + 2 * shown_us);
}

/* Another machine's clock, or this one's before it was started anew, is no measure. */
static void test_another_machine(void **state)
{
    struct world *world = *state;
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    struct rkb_gap old = {.id = 7, .source = "legacy", .reason = "restart", .from_us = now_us - HOUR,
                          .bound = RKB_BOUND_UNKNOWN, .clock_us = now_us, .boot = world->relay.boot + 1}, again;
    struct rkb_buffer json = {0};
    rkb_gap_write(&old, &json);
    assert_true(rkb_gap_parse(rkb_slice(json.data, json.size), &again, NULL));
    assert_int_equal(again.clock_us, old.clock_us);
    assert_int_equal(again.boot, old.boot);
    rkb_buffer_free(&json);
    rkb_gaps_recall(world->store.gaps, &again);
    rkb_gaps_use_clock(world->store.gaps, world->relay.options.sys, world->relay.boot, 0);
    nothing_is_there(world);
    rkb_gaps_close(world->store.gaps, rkb_gaps_find_open(world->store.gaps, "legacy", "restart"), now_us);
    expect_gap(world, 0, "restart", now_us - HOUR, now_us);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_while_nobody_runs, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_while_nobody_runs_for_long, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_after_a_clean_end, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_knows_by_how_much, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_while_a_gap_is_open, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_before_a_gap_opens, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_kill_after_a_step, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_marks_and_uuids, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_other_changes, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_span_that_ends_before_it_begins, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_another_machine, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
