/* One topic's part of the line: what may be in flight, what lies open, and where it goes on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>

#include "daemon/lane.h"
#include "journal_support.h"

#define POOL 1024
#define TOPICS 40
#define BYTES 100

struct set {
    struct rkb_lanes lanes;
    char *directory;
    struct rkb_journal *journal;
    struct rkb_cursor cursor;           /* it pins the segment that all flights of these tests name */
};

static int set_up(void **state)
{
    struct set *set = calloc(1, sizeof *set);
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct rkb_record record;
    set->directory = make_directory();
    struct rkb_journal_options options = {.directory = set->directory, .max_size = 8 * MIB, .segment_size = MIB,
                                          .sys = &rkb_sys_posix};
    set->journal = rkb_journal_open(&options, &recovery, NULL, NULL, &error);
    assert_non_null(set->journal);
    uint8_t mark[RKB_RECORD_HEADER + 8];
    size_t taken, size = rkb_record_write(mark, &(struct rkb_record){.kind = RKB_MARK, .sequence = 1}, 7);
    assert_true(rkb_journal_append(set->journal, mark, size, 7, &taken, &error));
    rkb_cursor_seek(&set->cursor, set->journal, 1);
    assert_int_equal(rkb_cursor_next(&set->cursor, &record, &error), RKB_NEXT_RECORD);
    assert_true(rkb_lanes_init(&set->lanes, TOPICS, POOL));
    *state = set;
    return 0;
}

static int tear_down(void **state)
{
    struct set *set = *state;
    rkb_lanes_free(&set->lanes);
    rkb_cursor_close(&set->cursor);
    rkb_journal_close(set->journal);
    remove_directory(set->directory);
    free(set);
    return 0;
}

static struct rkb_flight *depart(struct set *set, uint32_t topic, uint64_t sequence, int64_t now_us)
{
    struct rkb_flight *flight = rkb_flight_open(&set->lanes);
    if (flight == NULL)
        return NULL;
    flight->segment = set->cursor.segment;
    flight->sequence = sequence;
    flight->time_us = (int64_t)sequence * 10;
    flight->topic = topic;
    flight->bytes = BYTES;
    flight->alone = false;
    rkb_flight_keep(&set->lanes, flight, now_us);
    return flight;
}

static void all_move(struct set *set)
{
    for (uint32_t topic = 1; topic <= TOPICS; topic++)
        rkb_lanes_at(&set->lanes, topic)->moves = true;
}

/* Sends until the lane takes no more; returns how many it took. */
static uint32_t fill(struct set *set, uint32_t topic, int64_t now_us)
{
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, topic);
    uint32_t sent = 0;
    while (rkb_lane_has_room(&set->lanes, lane, BYTES, now_us) && depart(set, topic, sent + 1, now_us) != NULL)
        sent++;
    return sent;
}

static void test_landing_in_any_order(void **state)
{
    struct set *set = *state;
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 3);
    struct rkb_flight *all[4];
    assert_int_equal(rkb_lane_low(lane, 50), 50);
    assert_int_equal(rkb_lane_oldest_us(lane), 0);
    for (uint64_t i = 0; i < 4; i++)
        all[i] = depart(set, 3, i + 11, 0);
    depart(set, 4, 5, 0);
    assert_int_equal(lane->in_flight, 4);
    assert_int_equal(set->lanes.in_flight, 5);
    assert_int_equal(set->lanes.bytes_in_flight, 5 * BYTES);
    rkb_flight_land(&set->lanes, all[1], 1);
    assert_int_equal(rkb_lane_low(lane, 50), 11);
    assert_int_equal(rkb_lane_oldest_us(lane), 110);
    rkb_flight_land(&set->lanes, all[0], 2);
    assert_int_equal(rkb_lane_low(lane, 50), 13);
    rkb_flight_land(&set->lanes, all[3], 3);
    assert_int_equal(rkb_lane_low(lane, 50), 13);
    rkb_flight_land(&set->lanes, all[2], 4);
    assert_int_equal(rkb_lane_low(lane, 50), 50);
    assert_int_equal(lane->in_flight, 0);
    assert_int_equal(lane->bytes_in_flight, 0);
    assert_int_equal(lane->moved_us, 4);
    assert_int_equal(lane->sent_end, 15);
}

static void test_no_more_places_than_there_are(void **state)
{
    struct set *set = *state;
    struct rkb_flight *one = NULL;
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < POOL; i++)
            assert_non_null(one = depart(set, 1 + i % TOPICS, i + 1, 0));
        assert_null(rkb_flight_open(&set->lanes));
        rkb_flight_land(&set->lanes, one, 0);
        assert_non_null(depart(set, 1, POOL + 1, 0));
        for (uint32_t topic = 1; topic <= TOPICS; topic++)
            while ((one = rkb_lanes_at(&set->lanes, topic)->oldest) != NULL)
                rkb_flight_land(&set->lanes, one, 0);
        assert_int_equal(set->lanes.in_flight, 0);
    }
}

static void test_the_only_lane_has_all_places(void **state)
{
    struct set *set = *state;
    set->lanes.topic_limit = 1;
    assert_int_equal(fill(set, 1, 0), POOL);
}

/* The first of several has them only as long as it moves, and never all: the next may come any time. */
static void test_the_first_lane_of_several(void **state)
{
    struct set *set = *state;
    assert_int_equal(fill(set, 1, 0), 64);
    rkb_lanes_at(&set->lanes, 1)->moves = true;
    assert_int_equal(64 + fill(set, 1, 0), POOL / 2);
}

/* Each leaves half of what is free, and the least is left to each. */
static void test_lanes_share(void **state)
{
    struct set *set = *state;
    all_move(set);
    rkb_flight_land(&set->lanes, depart(set, 9, 1, 0), 0);     /* so that 1 is not the only one */
    depart(set, 1, 1, 0);
    rkb_flight_land(&set->lanes, rkb_lanes_at(&set->lanes, 1)->oldest, 0);
    assert_int_equal(fill(set, 1, 0), POOL / 2);
    assert_int_equal(fill(set, 2, 0), POOL / 4);
    assert_int_equal(fill(set, 3, 0), POOL / 8);
    assert_int_equal(fill(set, 4, 0), POOL / 16);
    assert_int_equal(fill(set, 5, 0), 64);
    assert_null(rkb_flight_open(&set->lanes));
}

/* However many topics stand still from the beginning: some places are left for those that move. */
static void test_who_never_moved_has_few(void **state)
{
    struct set *set = *state;
    depart(set, 11, 1, 0);
    for (uint32_t topic = 1; topic <= 10; topic++)
        assert_int_equal(fill(set, topic, 0), 64);
    assert_non_null(rkb_flight_open(&set->lanes));
    rkb_lanes_at(&set->lanes, 12)->moves = true;
    assert_int_equal(fill(set, 12, 0), (POOL - 10 * 64 - 1) / 2 + 1);
}

/* Nor do a hundred leave nothing: beyond three quarters of the places, each has one. */
static void test_a_hundred_that_never_moved(void **state)
{
    struct set *set = *state;
    rkb_lanes_free(&set->lanes);
    assert_true(rkb_lanes_init(&set->lanes, 200, POOL));
    for (uint32_t topic = 1; topic <= 100; topic++)
        assert_int_equal(fill(set, topic, 0), topic <= 12 ? 64 : 1);
    rkb_lanes_at(&set->lanes, 101)->moves = true;
    assert_int_equal(fill(set, 101, 0), (POOL - 12 * 64 - 88) / 2);
}

/* Lanes whose topics were not met yet are no memory, and none of them is looked at. */
static void test_lanes_to_come(void **state)
{
    struct set *set = *state;
    rkb_lanes_free(&set->lanes);
    assert_true(rkb_lanes_init(&set->lanes, 10000, POOL));
    depart(set, 3, 1, 0);
    assert_int_equal(set->lanes.topic_count, 3);
    assert_int_equal(set->lanes.lanes[4].returned, 0);
    assert_int_equal(rkb_lanes_at(&set->lanes, 7)->returned, RKB_NOTHING_RETURNED);
    assert_int_equal(set->lanes.lanes[5].returned, RKB_NOTHING_RETURNED);
    assert_int_equal(set->lanes.topic_count, 7);
    assert_int_equal(rkb_lanes_at(&set->lanes, 1)->returned, RKB_NOTHING_RETURNED);
    assert_int_equal(set->lanes.topic_count, 7);
    assert_int_equal(rkb_lanes_topic(&set->lanes, rkb_lanes_at(&set->lanes, 10000)), 10000);
}

static void test_one_that_stands_still_keeps_few(void **state)
{
    struct set *set = *state;
    const struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 1);
    all_move(set);
    depart(set, 2, 1, 0);
    for (uint64_t i = 1; i <= 64; i++)
        depart(set, 1, i, 0);
    assert_false(rkb_lane_stuck(lane, RKB_LANE_STUCK_US - 1));
    assert_true(rkb_lane_has_room(&set->lanes, lane, BYTES, RKB_LANE_STUCK_US - 1));
    assert_true(rkb_lane_stuck(lane, RKB_LANE_STUCK_US));
    assert_false(rkb_lane_has_room(&set->lanes, lane, BYTES, RKB_LANE_STUCK_US));
    rkb_flight_land(&set->lanes, lane->oldest, RKB_LANE_STUCK_US);
    assert_false(rkb_lane_stuck(lane, RKB_LANE_STUCK_US + 1));
    assert_true(rkb_lane_has_room(&set->lanes, lane, BYTES, RKB_LANE_STUCK_US + 1));
}

static void test_bytes_are_bounded_too(void **state)
{
    struct set *set = *state;
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 1);
    set->lanes.byte_places = MIB;
    all_move(set);
    set->lanes.used = 2;
    assert_true(rkb_lane_has_room(&set->lanes, lane, 2 * MIB, 0));      /* one may always go */
    depart(set, 1, 1, 0);
    assert_true(rkb_lane_has_room(&set->lanes, lane, MIB - 200, 0));
    assert_false(rkb_lane_has_room(&set->lanes, lane, MIB, 0));
    lane->most_bytes = 3 * BYTES;
    assert_true(rkb_lane_has_room(&set->lanes, lane, 2 * BYTES, 0));
    assert_false(rkb_lane_has_room(&set->lanes, lane, 2 * BYTES + 1, 0));
}

/* Each lane may have a few in flight when no place is left, and no more than a few. */
static void test_more_than_there_are_places(void **state)
{
    struct set *set = *state;
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 3);
    for (uint64_t i = 1; i <= 20; i++)
        depart(set, 1, i, 0);
    set->lanes.used = 3;
    set->lanes.places = 10;
    set->lanes.byte_places = 10 * BYTES;
    lane->moves = true;
    for (uint64_t i = 1; i <= 64; i++) {
        assert_true(rkb_lane_has_room(&set->lanes, lane, BYTES, 0));
        depart(set, 3, i, 0);
    }
    assert_false(rkb_lane_has_room(&set->lanes, lane, BYTES, 0));
    rkb_flight_land(&set->lanes, lane->oldest, 0);
    assert_false(rkb_lane_has_room(&set->lanes, lane, MIB, 0));
}

static int64_t usual(struct set *set, uint32_t topic)
{
    return rkb_lanes_at(&set->lanes, topic)->usual_us;
}

/* What landing usually takes is learnt, and an outage does not make it hours. */
static void test_the_usual_time(void **state)
{
    struct set *set = *state;
    assert_int_equal(rkb_lanes_usual_us(&set->lanes, 0), 0);
    rkb_flight_land(&set->lanes, depart(set, 1, 1, 1000), 5000);
    assert_int_equal(usual(set, 1), 4000);
    for (uint64_t i = 2; i <= 1000; i++)
        rkb_flight_land(&set->lanes, depart(set, 1, i, 1000), 9000);
    assert_in_range(usual(set, 1), 7800, 8000);
    for (uint64_t i = 1001; i <= 3000; i++)
        rkb_flight_land(&set->lanes, depart(set, 1, i, 0), 20000000);
    assert_in_range(usual(set, 1), 99800, RKB_LONG_US);
}

/* The quickest counts, unless nothing has moved in it for a second. */
static void test_the_quickest_lane(void **state)
{
    struct set *set = *state;
    rkb_flight_land(&set->lanes, depart(set, 1, 1, 0), 50000);
    rkb_flight_land(&set->lanes, depart(set, 2, 2, 48000), 50000);
    depart(set, 3, 3, 50000);
    assert_int_equal(rkb_lanes_usual_us(&set->lanes, 50000), 2000);
    depart(set, 1, 4, 900000);
    assert_int_equal(rkb_lanes_usual_us(&set->lanes, 1049999), 2000);
    assert_int_equal(rkb_lanes_usual_us(&set->lanes, 1050000), 50000);
    assert_int_equal(rkb_lanes_usual_us(&set->lanes, 1900000), 0);
}

static void test_whether_others_move(void **state)
{
    struct set *set = *state;
    const struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 1);
    depart(set, 1, 1, 0);
    assert_false(rkb_lanes_others_move(&set->lanes, lane, 0));
    depart(set, 2, 2, 0);
    assert_true(rkb_lanes_others_move(&set->lanes, lane, 0));
    assert_false(rkb_lanes_others_move(&set->lanes, lane, RKB_LANE_STUCK_US));
    depart(set, 7, 3, RKB_LANE_STUCK_US);
    assert_true(rkb_lanes_others_move(&set->lanes, lane, RKB_LANE_STUCK_US));
}

static void test_behind(void **state)
{
    struct set *set = *state;
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 1);
    struct rkb_flight *flight = depart(set, 1, 7, 0);
    rkb_lane_fall_behind(&set->lanes, lane, set->journal, 9, 90);
    assert_int_equal(set->lanes.behind, 1);
    assert_int_equal(rkb_lane_low(lane, 50), 7);
    rkb_flight_land(&set->lanes, flight, 0);
    assert_int_equal(rkb_lane_low(lane, 50), 9);
    assert_int_equal(rkb_lane_oldest_us(lane), 90);
    lane->holding = true;
    rkb_lane_fall_behind(&set->lanes, lane, set->journal, 8, 80);      /* what came back is lower */
    assert_false(lane->holding);
    assert_int_equal(set->lanes.behind, 1);
    assert_int_equal(rkb_lane_low(lane, 50), 8);
    lane->returned = 4;
    assert_int_equal(rkb_lane_low(lane, 50), 4);
    lane->returned = RKB_NOTHING_RETURNED;
    rkb_lane_catch_up(&set->lanes, lane);
    rkb_lane_catch_up(&set->lanes, lane);
    assert_int_equal(set->lanes.behind, 0);
    assert_int_equal(rkb_lane_low(lane, 50), 50);
}

static void test_trouble_is_counted(void **state)
{
    struct set *set = *state;
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 1);
    rkb_lane_enter(&set->lanes, lane, RKB_LANE_LANDING);
    rkb_lane_enter(&set->lanes, lane, RKB_LANE_ALONE);
    rkb_lane_enter(&set->lanes, rkb_lanes_at(&set->lanes, 2), RKB_LANE_WAITING);
    assert_int_equal(set->lanes.troubled, 2);
    rkb_lane_enter(&set->lanes, lane, RKB_LANE_FLOWING);
    rkb_lane_enter(&set->lanes, lane, RKB_LANE_FLOWING);
    assert_int_equal(set->lanes.troubled, 1);
}

static void test_suspicion(void **state)
{
    struct set *set = *state;
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 1);
    lane->largest_taken = 500;
    assert_false(rkb_lane_suspects(lane, 100000));
    lane->smallest_refused = 2000;
    assert_false(rkb_lane_suspects(lane, 500));
    assert_true(rkb_lane_suspects(lane, 501));
}

/* After a refused time: what was read till then, and what was read by a clock that was ahead. */
static void test_other_times(void **state)
{
    struct set *set = *state;
    struct rkb_lane *lane = rkb_lanes_at(&set->lanes, 1);
    assert_false(rkb_lane_restamps(lane, 1, 5000));
    assert_false(rkb_lane_restamps(lane, 6000, 5000));
    lane->restamp_us = 2000;
    assert_true(rkb_lane_restamps(lane, 2000, 5000));
    assert_false(rkb_lane_restamps(lane, 2001, 5000));
    assert_false(rkb_lane_restamps(lane, 5000, 5000));
    assert_true(rkb_lane_restamps(lane, 5001, 5000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_landing_in_any_order),      TEST(test_no_more_places_than_there_are),
        TEST(test_the_only_lane_has_all_places), TEST(test_the_first_lane_of_several),
        TEST(test_lanes_share),               TEST(test_a_hundred_that_never_moved),
        TEST(test_lanes_to_come),
        TEST(test_who_never_moved_has_few),   TEST(test_one_that_stands_still_keeps_few),
        TEST(test_bytes_are_bounded_too),
        TEST(test_more_than_there_are_places),
        TEST(test_the_usual_time),            TEST(test_the_quickest_lane),
        TEST(test_whether_others_move),       TEST(test_behind),
        TEST(test_trouble_is_counted),        TEST(test_suspicion),
        TEST(test_other_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
