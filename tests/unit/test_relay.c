/*
 * The relay, told by hand what a subscriber would tell, with a real ring and journal: which copy counts, what a UUID
 * depends on, what becomes of a message when there is no room. The books have to balance at every step.
 */
#include "relay_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- copies ---- */

static void open_overlapping(struct world *world)
{
    world_route(world, "users", LIST("user_created"), LIST("user_*"));
    world_route(world, "all", NULL, LIST("u*", "*"));
    world_open(world);
    begin_stream(world);
    confirm_all(world);
}

/*
 * Copies of one message in any order: taken once, by the exact subscription, else by the pattern that stands first in
 * the config.
 */
static void test_one_copy_counts(void **state)
{
    static const char *const orders[][4] = {
        {NULL, "user_*", "u*", "*"}, {"*", "u*", "user_*", NULL}, {"u*", NULL, "*", "user_*"},
    };
    struct world *world = *state;
    struct taken taken[8];
    open_overlapping(world);
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 4; j++) {
            copy_of(world, orders[i][j], "user_created", "1");
            balance(world);
        }
        for (size_t j = 0; j < 4; j++)
            if (orders[i][j] != NULL)
                copy_of(world, orders[i][j], "user_gone", "2");
    }
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.received, 6);
    assert_int_equal(snapshot->routes[0].books.received, 6);
    assert_int_equal(snapshot->routes[1].books.received, 0);
    assert_int_equal(snapshot->sources[0].overlaps_total, 3 * 3 + 3 * 2);
    assert_int_equal(read_taken(world, 1, taken, 8), 6);
    for (size_t i = 0; i < 6; i++) {
        assert_string_equal(taken[i].channel, i % 2 == 0 ? "user_created" : "user_gone");
        assert_string_equal(taken[i].pattern, i % 2 == 0 ? "" : "user_*");
        assert_int_equal(taken[i].route, 1);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(taken[i].uuid, taken[j].uuid);
    }
}

/* Only what Redis confirmed sends copies: a subscription that is not confirmed wins nothing. */
static void test_confirmed_ones_only(void **state)
{
    struct world *world = *state;
    struct taken taken[4];
    open_overlapping(world);
    confirm(world, false, "user_created", false);
    copy_of(world, "u*", "user_created", "1");
    copy_of(world, "user_*", "user_created", "1");
    confirm(world, true, "user_*", false);
    copy_of(world, "u*", "user_created", "2");
    confirm(world, false, "user_created", true);
    copy_of(world, "u*", "user_created", "3");
    copy_of(world, NULL, "user_created", "3");
    assert_int_equal(read_taken(world, 1, taken, 4), 3);
    assert_string_equal(taken[0].pattern, "user_*");
    assert_string_equal(taken[1].pattern, "u*");
    assert_string_equal(taken[2].pattern, "");
    assert_int_equal(balance(world)->routes[1].books.received, 1);
}

static void test_a_copy_of_nothing_we_have(void **state)
{
    struct world *world = *state;
    open_simple(world);
    copy_of(world, NULL, "user_created", "1");
    copy_of(world, "other*", "user_created", "1");
    assert_int_equal(balance(world)->totals.received, 0);
}

/* ---- positions and UUIDs ---- */

static void test_uuids_and_positions_rise(void **state)
{
    struct world *world = *state;
    struct taken taken[64];
    open_overlapping(world);
    for (int i = 0; i < 40; i++) {
        if (i == 20) {
            now_us += SECOND;
            rkb_relay_mark(source_of(world));
        }
        copy_of(world, "user_*", i % 3 == 0 ? "user_created" : "user_gone", "same");
        copy_of(world, "u*", "user_gone", "same");
        if (i % 3 == 0)
            copy_of(world, NULL, "user_created", "same");
    }
    size_t count = read_taken(world, 1, taken, 64);
    assert_int_equal(count, 40);
    for (size_t i = 1; i < count; i++) {
        bool same_mark = strncmp(taken[i].position, taken[i - 1].position, 33) == 0;
        int place = atoi(taken[i].position + 33);
        assert_int_equal(same_mark, i != 20);
        assert_int_equal(place, same_mark ? atoi(taken[i - 1].position + 33) + 1 : 1);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(taken[i].uuid, taken[j].uuid);
            if (strcmp(taken[i].pattern, taken[j].pattern) == 0)        /* on one subscription */
                assert_true(strcmp(taken[i].uuid, taken[j].uuid) > 0);
        }
    }
}

/* The same stream with and without another route that wins some of the messages: the others' UUIDs are the same. */
static size_t uuids_of_pattern(bool other_route, struct taken *taken)
{
    struct world *world = world_new();
    if (other_route)
        world_route(world, "users", LIST("user_created"), NULL);
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    for (int i = 0; i < 20; i++) {
        const char *channel = i % 3 ? "user_gone" : "user_created";
        if (other_route && i % 3 == 0)
            copy_of(world, NULL, channel, "x");
        copy_of(world, "u*", channel, "x");
    }
    size_t count = read_taken(world, 1, taken, 32);
    world_free(world);
    return count;
}

static void test_uuids_do_not_depend_on_other_routes(void **state)
{
    struct taken alone[32], beside[32];
    size_t same = 0;
    (void)state;
    size_t alone_count = uuids_of_pattern(false, alone), beside_count = uuids_of_pattern(true, beside);
    assert_int_equal(alone_count, 20);
    assert_int_equal(beside_count, 20);
    for (size_t i = 0; i < 20; i++) {
        if (strcmp(beside[i].pattern, "u*") != 0)
            continue;
        assert_string_equal(beside[i].uuid, alone[i].uuid);
        same++;
    }
    assert_int_equal(same, 13);
}

/* 24 bits hold a copy's number: a mark is cut before they run out. */
static void test_a_mark_before_numbers_run_out(void **state)
{
    struct world *world = *state;
    struct taken taken[4];
    open_simple(world);
    struct rkb_subscription *subscription = rkb_router_at(source_of(world)->router, 0);
    copy_of(world, "u*", "user", "1");
    uint64_t epoch = source_of(world)->stream.mark.epoch;
    subscription->copies = RKB_UUID_COUNT_LIMIT - 4097;
    copy_of(world, "u*", "user", "2");
    assert_int_equal(source_of(world)->stream.mark.epoch, epoch);
    copy_of(world, "u*", "user", "3");
    assert_int_equal(source_of(world)->stream.mark.epoch, epoch + 1);
    assert_int_equal(subscription->copies, 1);
    assert_int_equal(read_taken(world, 1, taken, 4), 3);
    assert_int_equal(atoi(taken[1].position + 33), 2);
    assert_int_equal(atoi(taken[2].position + 33), 1);
}

/* ---- no room ---- */

static void test_reading_rests_while_the_ring_is_short(void **state)
{
    struct world *world = *state;
    open_simple(world);
    size_t half = rkb_ring_size(world->store.ring) / 2;
    while (rkb_ring_room(world->store.ring) >= half) {
        assert_false(world->relay.paused);
        large_copy(world, "u*", "user", 1000);
    }
    assert_true(world->relay.paused);
    assert_true(balance(world)->sources[0].paused);
    assert_true(atomic_load(&world->shipper->wanted_room) > half);
    /* What was read already is still taken. */
    large_copy(world, "u*", "user", 1000);
    assert_int_equal(balance(world)->totals.dropped, 0);
    /* Told for another reason, and the wish swallowed on the way: it is made again. */
    rkb_shipper_want_room(world->shipper, 0);
    rkb_relay_look(&world->relay);
    assert_true(world->relay.paused);
    assert_true(atomic_load(&world->shipper->wanted_room) > half);
    take(world);
    rkb_relay_look(&world->relay);
    assert_false(world->relay.paused);
    large_copy(world, "u*", "user", 1000);
    assert_false(balance(world)->sources[0].paused);
}

static void nothing(void *context)
{
    (void)context;
}

/* Also while it ends: what Redis sends until it has unsubscribed us waits for room like all else. */
static void test_reading_rests_at_the_end_too(void **state)
{
    struct world *world = *state;
    open_simple(world);
    while (!world->relay.paused)
        large_copy(world, "u*", "user", 1000);
    rkb_relay_stop(&world->relay, SECOND, nothing, NULL);
    assert_false(world->relay.paused);
    large_copy(world, "u*", "user", 1000);
    assert_true(world->relay.paused);
}

/*
 * The journal at its limit: reading goes on, so that Redis need not hold it; the ring fills; then the newest are
 * dropped.
 */
static void test_dropping(void **state)
{
    struct world *world = *state;
    open_small(world);
    assert_false(world->relay.paused);
    const struct rkb_snapshot *snapshot;
    do {
        now_us += SECOND;
        large_copy(world, "u*", "user", 1000);
        snapshot = balance(world);
    } while (snapshot->totals.dropped == 0);
    assert_false(world->relay.paused);
    for (int i = 0; i < 50; i++) {
        now_us += SECOND;
        copy_of(world, "u*", "user", "small");     /* it would have room, but the gap goes on */
        balance(world);
    }
    assert_int_equal(balance(world)->dropped_by_reason[RKB_DROP_journal_full], 51);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    expect_gap(world, 0, "journal_full", since(world), 0);
    uint64_t appended = world->relay.tallies[1].appended;

    rkb_relay_look(&world->relay);                  /* no room yet */
    copy_of(world, "u*", "user", "dropped");
    assert_int_equal(balance(world)->totals.dropped, 52);
    acknowledge(world);
    take(world);
    assert_false(rkb_shipper_full(world->shipper));
    now_us += SECOND;
    rkb_relay_look(&world->relay);
    expect_gap(world, 0, "journal_full", since(world), now_us);
    copy_of(world, "u*", "user", "taken again");
    snapshot = balance(world);
    assert_int_equal(snapshot->totals.dropped, 52);
    assert_int_equal(world->relay.tallies[1].appended, appended + 1);
    assert_int_equal(snapshot->totals.received, appended + 1 + 52);
    take(world);
    acknowledge(world);
    assert_int_equal(balance(world)->totals.pending, 0);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    assert_int_equal(source_of(world)->gaps_total, 1);
}

/* Both records of the gap are in the journal, with the same id, around what was dropped. */
static void test_the_record_of_a_gap(void **state)
{
    struct world *world = *state;
    struct rkb_cursor cursor;
    struct rkb_gap gap;
    open_small(world);
    while (balance(world)->totals.dropped == 0)
        large_copy(world, "u*", "user", 1000);
    uint64_t opened = world->relay.next_sequence - 1;
    acknowledge(world);
    take(world);
    now_us += SECOND;
    rkb_relay_look(&world->relay);
    struct rkb_record record = read_record(world, &cursor, opened);
    assert_int_equal(record.kind, RKB_GAP);
    assert_int_equal(record.route, source_of(world)->number);
    assert_true(rkb_gap_parse(record.value, &gap, NULL));
    assert_int_equal(gap.id, opened);
    assert_int_equal(gap.to_us, 0);
    rkb_cursor_close(&cursor);
    record = read_record(world, &cursor, opened + 1);
    assert_true(rkb_gap_parse(record.value, &gap, NULL));
    assert_int_equal(gap.id, opened);
    assert_int_equal(gap.to_us, now_us);
    rkb_cursor_close(&cursor);
}

/* However small the messages that fill it, the ring has room left for what has to be said of them: gaps and marks. */
static void test_room_for_gaps_and_marks(void **state)
{
    struct world *world = *state;
    open_small(world);
    while (balance(world)->totals.dropped == 0)
        for (int i = 0; i < 100; i++)
            copy_of(world, "u*", "user", "");
    assert_int_not_equal(gap_at(world, 0)->id, 0);
    for (int i = 0; i < 100; i++) {
        uint64_t next = world->relay.next_sequence;
        rkb_relay_mark(source_of(world));
        assert_int_equal(world->relay.next_sequence, next + 1);
    }
}

/* Paused, and then the journal is full: nobody would make room, so reading goes on. */
static void test_paused_and_then_full(void **state)
{
    struct world *world = *state;
    open_simple(world);
    while (!world->relay.paused)
        large_copy(world, "u*", "user", 1000);
    atomic_store(&world->shipper->full, true);
    rkb_relay_look(&world->relay);
    assert_false(world->relay.paused);
}

static void test_too_large(void **state)
{
    struct world *world = *state;
    struct taken taken[2];
    open_simple(world);
    now_us += SECOND;
    large_copy(world, "u*", "user", world->relay.record_limit);
    copy_of(world, "u*", "user", "next");
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_too_large], 1);
    assert_int_equal(snapshot->totals.received, 2);
    expect_gap(world, 0, "too_large", since(world), now_us);
    assert_int_equal(gap_at(world, 0)->bound, 1);
    assert_int_equal(read_taken(world, 1, taken, 2), 1);
    assert_string_equal(taken[0].payload, "next");
    assert_int_equal(atoi(taken[0].position + 33), 2);
    /* One that just fits goes through. */
    size_t envelope = rkb_record_size(4, 0, 0) + 200;
    large_copy(world, "u*", "user", world->relay.record_limit - envelope);
    assert_int_equal(balance(world)->totals.dropped, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_copy_counts, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_confirmed_ones_only, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_a_copy_of_nothing_we_have, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_uuids_and_positions_rise, world_set_up, world_tear_down),
        cmocka_unit_test(test_uuids_do_not_depend_on_other_routes),
        cmocka_unit_test_setup_teardown(test_a_mark_before_numbers_run_out, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_reading_rests_while_the_ring_is_short, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_reading_rests_at_the_end_too, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_dropping, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_the_record_of_a_gap, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_room_for_gaps_and_marks, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_paused_and_then_full, world_set_up, world_tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, world_set_up, world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
