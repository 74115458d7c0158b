/*
 * Messages that the relay counts without their payload: too large to be held, or without memory for their channel.
 * Routes, overlaps, positions, gaps and books, by hand.
 */
#include "relay_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

static void open_both(struct world *world)
{
    world_route(world, "exact", LIST("user"), NULL);
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    begin_stream(world);
    confirm_all(world);
}

static void test_between_its_neighbours(void **state)
{
    struct world *world = *state;
    struct taken taken[4];
    open_both(world);
    copy_of(world, NULL, "user", "1");
    now_us += SECOND;
    unread_copy(world, NULL, "user", UINT64_C(512) << 20);
    copy_of(world, NULL, "user", "3");
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_too_large], 1);
    assert_int_equal(snapshot->routes[0].books.received, 3);
    assert_int_equal(snapshot->routes[0].books.dropped, 1);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    expect_gap(world, 0, "too_large", since(world), now_us);
    assert_int_equal(gap_at(world, 0)->bound, 1);
    assert_int_equal(read_taken(world, 1, taken, 4), 2);
    assert_string_equal(taken[0].payload, "1");
    assert_string_equal(taken[1].payload, "3");
    /* It has its place: the one behind it is the third. */
    assert_int_equal(atoi(taken[1].position + 33), 3);
}

/* Redis sends a copy for each subscription: only the winner's counts. */
static void test_the_losing_copy_is_an_overlap(void **state)
{
    struct world *world = *state;
    open_both(world);
    unread_copy(world, NULL, "user", 1 << 30);
    unread_copy(world, "u*", "user", 1 << 30);
    unread_copy(world, "x*", "user", 1 << 30);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->sources[0].overlaps_total, 1);
    assert_int_equal(snapshot->routes[0].books.dropped, 1);
    assert_int_equal(snapshot->routes[1].books.received, 0);
    unread_copy(world, "u*", "user.2", 1 << 30);
    snapshot = balance(world);
    assert_int_equal(snapshot->routes[1].books.dropped, 1);
    assert_int_equal(snapshot->totals.received, 2);
}

/* More of them in one second share a gap: a flood of them is no flood of gaps. */
static void test_a_flood_of_them(void **state)
{
    struct world *world = *state;
    open_both(world);
    now_us += SECOND;
    int64_t first_us = now_us + 1000;
    for (int i = 0; i < 500; i++) {
        now_us += 1000;
        unread_copy(world, NULL, "user", 1 << 24);
    }
    assert_int_equal(rkb_gaps_count(world->store.gaps), 2);
    expect_gap(world, 0, "too_large", since(world), first_us);
    expect_gap(world, 1, "too_large", since(world), 0);
    int64_t last_us = now_us;
    now_us += SECOND;
    rkb_relay_mark(source_of(world));
    expect_gap(world, 1, "too_large", since(world), last_us);
    assert_int_equal(gap_at(world, 1)->bound, 499);
    unread_copy(world, NULL, "user", 1 << 24);
    expect_gap(world, 2, "too_large", since(world), now_us);
    unread_copy(world, NULL, "user", 1 << 24);
    lose(world, true, now_us);
    expect_gap(world, 3, "too_large", since(world), now_us);
    assert_int_equal(gap_at(world, 3)->bound, 1);
    assert_int_equal(balance(world)->totals.dropped, 502);
}

/* Killed in the middle of a flood: its gap ends, the restart's goes on, and the next one too large has its own. */
static void test_killed_in_a_flood_of_them(void **state)
{
    struct world *world = *state;
    open_both(world);
    now_us += SECOND;
    for (int i = 0; i < 3; i++)
        unread_copy(world, NULL, "user", 1 << 24);
    int64_t then_us = now_us, began_us = since(world);
    take(world);
    rkb_ring_note_read(world->store.ring, now_us + 10);
    world_kill(world);
    now_us += SECOND;
    world_open(world);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 3);
    expect_gap(world, 1, "too_large", began_us, then_us + 10);
    expect_gap(world, 2, "restart", then_us + 10, 0);
    begin_stream(world);
    unread_copy(world, NULL, "user", 1 << 24);
    confirm(world, false, "user", true);
    unread_copy(world, NULL, "user", 1 << 24);
    confirm_all(world);
    expect_gap(world, 2, "restart", then_us + 10, now_us);
    expect_gap(world, 3, "too_large", since(world), now_us);
    balance(world);
}

/* Too large is too large, also while the journal is full. */
static void test_while_the_journal_is_full(void **state)
{
    struct world *world = *state;
    open_small(world);
    while (balance(world)->totals.dropped == 0)
        large_copy(world, "u*", "user", 1000);
    unread_copy(world, "u*", "user", 1 << 30);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_too_large], 1);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_journal_full], 1);
}

/* What the config promises of a record is what the relay takes, whatever the sizes are. */
static void test_the_limit_is_the_configs(void **state)
{
    static const uint64_t sizes[][3] = {        /* ring, segment, all */
        {256 << 10, 1 << 20, 64 << 20}, {4 << 20, 256 << 10, 64 << 20}, {1 << 20, 100 << 10, 64 << 20},
        {4 << 20, 64 << 20, 1 << 20},   {4 << 20, 64 << 20, 5000001},
    };
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct world *world = world_new();
        world->config.journal.ring_size = sizes[i][0];
        world->config.journal.segment_size = sizes[i][1];
        world->config.journal.max_size = sizes[i][2];
        world_route(world, "all", NULL, LIST("u*"));
        world_open(world);
        assert_int_equal(world->relay.record_limit, rkb_config_record_limit(&world->config));
        world_free(world);
    }
}

/* With the default sizes a payload at the limit passes, as base64 too; as text that is all escaped it does not. */
static void test_eight_mebibytes(void **state)
{
    struct world *world = *state;
    enum { SIZE = 8 << 20 };
    static uint8_t payload[SIZE];
    world->config.journal.ring_size = 32 << 20;
    world->config.journal.segment_size = 64 << 20;
    world->config.journal.max_size = UINT64_C(1) << 30;
    world_route(world, "all", NULL, LIST("u*"));
    world->routes[0].value = NULL;
    world->routes[0].envelope = (char *)(uintptr_t)"event";
    world->routes[0].payload_name = (char *)(uintptr_t)"payload";
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    static const int fills[] = {'x', 0xff, '1', 0x01};
    for (int i = 0; i < 4; i++) {
        memset(payload, fills[i], SIZE);
        rkb_relay_events.message(source_of(world), true, rkb_slice_text("u*"), rkb_slice_text("user"),
                                 rkb_slice(payload, SIZE), now_us);
        take(world);
        assert_int_equal(balance(world)->totals.dropped, i == 3);
    }
    assert_int_equal(balance(world)->totals.pending, 3);
    assert_int_equal(world->relay.record_limit, 12 << 20);
}

/* ---- memory that fails: the linker leads the project's own calls of malloc here ---- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

static size_t fails_at;         /* the size that cannot be had; 0: all can */

void *__wrap_malloc(size_t size)
{
    return fails_at != 0 && size >= fails_at ? NULL : __real_malloc(size);
}

static void test_no_memory_for_a_channel(void **state)
{
    struct world *world = *state;
    char channel[2001];
    struct taken taken[2];
    memset(channel, 'u', sizeof channel - 1);
    channel[sizeof channel - 1] = '\0';
    open_both(world);
    copy_of(world, "u*", "u1", "before");
    fails_at = 2000;
    copy_of(world, "u*", channel, "lost");
    fails_at = 0;
    copy_of(world, "u*", "u1", "after");
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_no_memory], 1);
    assert_int_equal(snapshot->routes[1].books.received, 3);
    expect_gap(world, 0, "no_memory", since(world), now_us);
    assert_int_equal(gap_at(world, 0)->bound, 1);
    assert_int_equal(read_taken(world, 1, taken, 2), 2);
    assert_int_equal(atoi(taken[1].position + 33), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_between_its_neighbours, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_the_losing_copy_is_an_overlap, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_flood_of_them, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_killed_in_a_flood_of_them, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_while_the_journal_is_full, world_set_up, world_tear_down),
        cmocka_unit_test(test_the_limit_is_the_configs),
        cmocka_unit_test_setup_teardown(test_eight_mebibytes, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory_for_a_channel, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
