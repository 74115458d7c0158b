/* Subscriptions that the ACL refuses: the gap from when they should have stood until they stand; strict. */
#include "relay_world.h"

#include <stdio.h>
#include <string.h>

static void open_two(struct world *world)
{
    world_route(world, "users", LIST("user"), NULL);
    world_route(world, "others", NULL, LIST("o*"));
    world_open(world);
}

static void refuse_users(struct world *world)
{
    rkb_relay_events.refused(source_of(world), false, rkb_slice_text("user"), RKB_LACKS_CHANNEL,
                             rkb_slice_text("NOPERM No permissions to access a channel"));
}

static void answer_all(struct world *world, size_t refused)
{
    rkb_relay_events.subscribed(source_of(world), now_us, refused);
}

/* A connection on which the one is refused and the other stands. */
static int64_t connect_in_part(struct world *world, bool told)
{
    int64_t began_us = now_us;
    begin_stream(world);
    now_us += 1000;
    if (told)
        refuse_users(world);
    assert_non_null(rkb_gaps_find_open(world->store.gaps, "legacy", "refused"));
    confirm(world, true, "o*", true);
    now_us += 1000;
    answer_all(world, 1);
    return began_us;
}

static void allow_users(struct world *world)
{
    confirm(world, false, "user", true);
    rkb_relay_events.allowed(source_of(world), false, rkb_slice_text("user"));
    answer_all(world, 0);
}

static void test_the_others_run(void **state)
{
    struct world *world = *state;
    open_two(world);
    int64_t began_us = connect_in_part(world, true);
    copy_of(world, "o*", "other", "1");
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.received, 1);
    assert_false(snapshot->ready);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    expect_gap(world, 0, "refused", began_us, 0);
    now_us += 60 * SECOND;
    allow_users(world);
    expect_gap(world, 0, "refused", began_us, now_us);
    copy_of(world, NULL, "user", "2");
    assert_true(balance(world)->ready);
    assert_int_equal(balance(world)->totals.received, 2);
}

/* Lost meanwhile: what both missed has its gap, and that of the refused one goes on. */
static void test_a_connection_lost_meanwhile(void **state)
{
    struct world *world = *state;
    open_two(world);
    int64_t began_us = connect_in_part(world, true), last_us = now_us;
    now_us += SECOND;
    lose(world, true, last_us);
    expect_gap(world, 0, "refused", began_us, 0);
    expect_gap(world, 1, "connection_lost", last_us, 0);
    now_us += SECOND;
    connect_in_part(world, false);
    expect_gap(world, 0, "refused", began_us, 0);
    expect_gap(world, 1, "connection_lost", last_us, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 2);
    now_us += SECOND;
    lose(world, true, now_us);
    begin_stream(world);
    confirm(world, true, "o*", true);
    allow_users(world);
    expect_gap(world, 0, "refused", began_us, now_us);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 3);
}

/* An ACL cut down while all stands: Redis cuts us off, and the two gaps leave nothing between them. */
static void test_cut_down_while_connected(void **state)
{
    struct world *world = *state;
    open_two(world);
    begin_stream(world);
    confirm_all(world);
    int64_t last_us = now_us;
    now_us += SECOND;
    lose(world, true, last_us);
    now_us += SECOND;
    int64_t began_us = connect_in_part(world, true);
    expect_gap(world, 0, "connection_lost", last_us, now_us);
    expect_gap(world, 1, "refused", began_us, 0);
    assert_true(gap_at(world, 1)->from_us <= gap_at(world, 0)->to_us);
}

/* Killed while one was refused: that gap ends where the restart's begins, and a new one begins with the new stream. */
static void test_killed_meanwhile(void **state)
{
    struct world *world = *state;
    open_two(world);
    int64_t began_us = connect_in_part(world, true);
    int64_t last_us = now_us + 500;
    rkb_ring_note_read(world->store.ring, last_us);
    take(world);
    world_kill(world);
    now_us += 10 * SECOND;
    world_open(world);
    expect_gap(world, 0, "refused", began_us, last_us);
    expect_gap(world, 1, "restart", last_us, 0);
    now_us += SECOND;
    began_us = connect_in_part(world, true);
    expect_gap(world, 1, "restart", last_us, now_us);
    expect_gap(world, 2, "refused", began_us, 0);
    allow_users(world);
    expect_gap(world, 2, "refused", began_us, now_us);
    balance(world);
}

static void count_up(void *context)
{
    ++*(int *)context;
}

/* Strict: the end, but only where never all stood. */
static void test_strict(void **state)
{
    struct world *world = *state;
    int ends = 0;
    open_two(world);
    world->relay.options.refused = count_up;
    world->relay.options.refused_context = &ends;
    connect_in_part(world, true);
    assert_int_equal(ends, 0);
    world->relay.strict = true;
    lose(world, true, now_us);
    connect_in_part(world, false);
    assert_int_equal(ends, 1);
    allow_users(world);
    lose(world, true, now_us);
    connect_in_part(world, true);
    assert_int_equal(ends, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_others_run, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_connection_lost_meanwhile, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_cut_down_while_connected, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_killed_meanwhile, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_strict, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
