/*
 * What a source's gap_topic is told: right behind each record of the ledger's, both or neither, in no books; over a
 * kill, without room, and when nobody wants to be told any more.
 */
#include "relay_world.h"

#include <stdio.h>
#include <string.h>

#define LEAST_ROOM 400          /* for the one record ... */
#define MOST_ROOM 600           /* ... and not for both */

static void open_told(struct world *world, const char *topic)
{
    world->source.gap_topic = (char *)(uintptr_t)topic;
    open_simple(world);
}

static bool is_notice(const struct world *world, const struct rkb_record *record)
{
    return record->kind == RKB_MESSAGE && record->route == world->relay.gap_route;
}

static void expect_notice(const struct world *world, const struct rkb_record *record, const struct rkb_gap *gap)
{
    struct rkb_reader headers = rkb_reader(record->headers.data, record->headers.size);
    struct rkb_slice name, value;
    struct rkb_buffer json = {0};
    assert_int_equal(record->topic, source_of((struct world *)(uintptr_t)world)->gap_topic);
    assert_int_equal(record->flags, RKB_FORM_RAW);
    assert_true(record->has_key && rkb_slice_equal(record->key, rkb_slice_text("legacy")));
    assert_true(rkb_headers_next(&headers, &name, &value) && record->header_count == 1);
    assert_true(rkb_slice_equal(name, rkb_slice_text("rkb-gap")));
    assert_true(rkb_slice_equal(value, rkb_slice_text(gap->to_us == 0 ? "opened" : "closed")));
    rkb_gap_show(gap, &json);
    assert_true(rkb_slice_equal(record->value, rkb_slice(json.data, json.size)));
    rkb_buffer_free(&json);
}

/* All that the journal holds: a notice behind each gap, and nowhere else; returns how many. */
static size_t count_told(struct world *world)
{
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    struct rkb_gap gap;
    size_t count = 0;
    bool due = false;
    take(world);
    rkb_cursor_seek(&cursor, world->store.journal, 1);
    while (rkb_cursor_next(&cursor, &record, &error) == RKB_NEXT_RECORD) {
        assert_int_equal(is_notice(world, &record), due);
        if (due)
            expect_notice(world, &record, &gap);
        count += due;
        due = record.kind == RKB_GAP;
        if (due)
            assert_true(rkb_gap_parse(record.value, &gap, &error));
    }
    rkb_cursor_close(&cursor);
    assert_false(due);
    return count;
}

static uint64_t pending(struct world *world)
{
    return rkb_view_snapshot(world->view)->notices_pending;
}

/* The books know nothing of it. */
static void test_each_gap_is_told(void **state)
{
    struct world *world = *state;
    open_told(world, "gaps");
    copy_of(world, "u*", "user", "1");
    lose(world, true, now_us);
    assert_int_equal(pending(world), 1);
    now_us += SECOND;
    begin_stream(world);
    confirm_all(world);
    copy_of(world, "u*", "user", "2");
    assert_int_equal(count_told(world), 2);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->route_count, 1);
    assert_int_equal(snapshot->totals.received, 2);
    assert_int_equal(snapshot->totals.pending, 2);
    assert_int_equal(snapshot->notices_pending, 2);
    acknowledge(world);
    snapshot = balance(world);
    assert_int_equal(snapshot->totals.delivered, 2);
    assert_int_equal(snapshot->totals.pending, 0);
    assert_int_equal(snapshot->notices_pending, 0);
}

/* Where records go to that topic too, a notice stands behind what came before the gap, and before what came after. */
static void test_in_its_place(void **state)
{
    struct world *world = *state;
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    char order[16] = "";
    open_told(world, "all");
    assert_int_equal(source_of(world)->gap_topic, world->relay.routes[0].topic);
    copy_of(world, "u*", "user", "1");
    lose(world, true, now_us);
    begin_stream(world);
    confirm_all(world);
    copy_of(world, "u*", "user", "2");
    assert_int_equal(count_told(world), 2);
    rkb_cursor_seek(&cursor, world->store.journal, 1);
    while (rkb_cursor_next(&cursor, &record, &error) == RKB_NEXT_RECORD)
        if (record.kind == RKB_MESSAGE)
            snprintf(order + strlen(order), sizeof order - strlen(order), "%s", is_notice(world, &record) ? "g" : "m");
    rkb_cursor_close(&cursor);
    assert_string_equal(order, "mggm");
}

/* Killed with all of it in the ring. */
static void test_over_a_kill(void **state)
{
    struct world *world = *state;
    open_told(world, "gaps");
    copy_of(world, "u*", "user", "1");
    lose(world, true, now_us);
    world_kill(world);
    world_open(world);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->route_count, 1);
    assert_int_equal(snapshot->totals.recovered, 1);
    assert_int_equal(snapshot->notices_pending, 1);
    now_us += SECOND;
    begin_stream(world);
    confirm_all(world);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    assert_int_equal(count_told(world), 2);
    assert_int_equal(pending(world), 2);
}

/* The setting is gone: what waits is sent all the same, nothing more is told, and it becomes nobody's route. */
static void test_not_wanted_any_more(void **state)
{
    struct world *world = *state;
    open_told(world, "gaps");
    copy_of(world, "u*", "user", "1");
    lose(world, true, now_us);
    assert_int_equal(count_told(world), 1);
    world_kill(world);
    world->source.gap_topic = NULL;
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    assert_true(gap_at(world, 0)->to_us > 0);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->route_count, 1);
    assert_int_equal(snapshot->totals.recovered, 1);
    assert_int_equal(snapshot->notices_pending, 1);
    take(world);
    acknowledge(world);
    snapshot = balance(world);
    assert_int_equal(snapshot->totals.delivered, 1);
    assert_int_equal(snapshot->notices_pending, 0);
}

/* What bounds are counted from is nobody else's. */
static void test_without_its_anchor(void **state)
{
    struct world *world = *state;
    const struct rkb_gap gap = {.source = "legacy", .reason = "refused", .from_us = now_us, .bound = RKB_BOUND_UNKNOWN,
                                .has_anchor = true, .anchor = {1, 2, 3}};
    open_told(world, "gaps");
    assert_non_null(rkb_gaps_open_like(world->store.gaps, &gap));
    assert_int_equal(count_told(world), 1);
}

/* Nobody is told, and nothing of it is kept. */
static void test_without_a_topic(void **state)
{
    struct world *world = *state;
    open_simple(world);
    lose(world, true, now_us);
    assert_int_equal(pending(world), 0);
    assert_int_equal(rkb_dictionary_number(world->relay.dictionary, RKB_NAME_ROUTE, rkb_slice_text(RKB_GAP_ROUTE)), 0);
}

/* Names fill the ring. */
static void fill_ring(struct world *world)
{
    struct rkb_error error;
    char name[200];
    for (int i = 0; rkb_ring_room(world->relay.ring) >= MOST_ROOM; i++) {
        int width = rkb_ring_room(world->relay.ring) >= MOST_ROOM + 300 ? 150 : 20;
        snprintf(name, sizeof name, "%0*d", width, i);
        assert_true(rkb_relay_name(&world->relay, RKB_NAME_SOURCE, rkb_slice_text(name), 0, &error) > 0);
    }
    assert_true(rkb_ring_room(world->relay.ring) >= LEAST_ROOM);
}

/* Room for the one record and not for both: neither is written, until there is; then in their order. */
static void test_both_or_neither(void **state)
{
    struct world *world = *state;
    open_told(world, "gaps");
    fill_ring(world);
    uint64_t next = world->relay.next_sequence;
    size_t room = rkb_ring_room(world->relay.ring);
    lose(world, true, now_us);
    assert_int_equal(world->relay.next_sequence, next);
    assert_int_equal(rkb_ring_room(world->relay.ring), room);
    assert_int_equal(gap_at(world, 0)->id, 0);
    assert_int_equal(pending(world), 0);
    begin_stream(world);
    confirm_all(world);
    rkb_gaps_open(world->store.gaps, "legacy", "too_large", now_us);
    assert_int_equal(pending(world), 0);
    assert_int_equal(count_told(world), 0);
    rkb_relay_mark(source_of(world));
    assert_int_equal(count_told(world), 2);
    assert_string_equal(gap_at(world, 0)->reason, "connection_lost");
    assert_int_equal(gap_at(world, 1)->id, gap_at(world, 0)->id + 2);
    assert_int_equal(pending(world), 2);
    struct rkb_cursor cursor = {0};
    assert_int_equal(read_record(world, &cursor, gap_at(world, 0)->id).kind, RKB_GAP);
    rkb_cursor_close(&cursor);
    balance(world);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_gap_is_told), TEST(test_in_its_place), TEST(test_over_a_kill), TEST(test_not_wanted_any_more),
        TEST(test_without_its_anchor),
        TEST(test_without_a_topic), TEST(test_both_or_neither),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
