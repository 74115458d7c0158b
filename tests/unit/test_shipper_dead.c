/*
 * Dead letters that a lane brings, from the ring to their topic or to the file, the shipper without its thread, against
 * librdkafka's mock cluster.
 */
#include "dead_world.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

static void test_to_its_topic(void **state)
{
    struct world *world = *state;
    begin(world);
    world_put(world, 3);
    put_letter(world, LETTERS, "as it came");
    put_letter(world, LETTERS, "and this");
    world_put(world, 3);
    settle_all(world);
    expect_books(world, 6, 2);
    assert_int_equal(books(world, 1)->dead_lettered, 2);
    const struct pile *pile = in_topic(world);
    assert_int_equal(pile->count, 2);
    expect_letter(&pile->letters[0], "as it came");
    expect_letter(&pile->letters[1], "and this");
    assert_int_equal(in_file(world)->count, 0);
}

/* Without a topic: into the file when the line comes to it, with the same headers, and its reason in the JSON line. */
static void test_to_the_file(void **state)
{
    struct world *world = *state;
    open_by_hand(world);
    world_put(world, 3);
    put_letter(world, 0, "as it came");
    world_put(world, 1);
    put_letter(world, 0, "and this");
    settle_all(world);
    expect_books(world, 4, 2);
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 2);
    expect_letter(&pile->letters[0], "as it came");
    expect_letter(&pile->letters[1], "and this");
    assert_int_equal(pile->letters[0].sequence, 4);
    assert_int_equal(pile->letters[0].flags, RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1);
    assert_string_equal(pile->letters[0].code, "require");
    assert_string_equal(pile->letters[0].reason, "/id is missing");
    assert_string_equal(pile->letters[0].topic, "");
}

static bool others_settled(struct world *world, uint64_t wanted)
{
    return books(world, 1)->delivered + books(world, 2)->delivered == wanted;
}

/* A file that is full holds up nobody else; where it goes on outlives a kill. */
static void test_a_full_file(void **state)
{
    struct world *world = *state;
    world->dead_limit = 700;        /* one letter */
    open_by_hand(world);
    put_letter(world, 0, "first");
    put_letter(world, 0, "second");
    world_put(world, 50);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, others_settled, 50, "the others");
    expect_books(world, 50, 1);
    assert_true(low_is(world, 2));
    assert_int_equal(rkb_lanes_at(&world->shipper->lanes, 0)->state, RKB_LANE_WAITING);
    assert_non_null(strstr(rkb_lanes_at(&world->shipper->lanes, 0)->why, "at its limit"));
    world_turn(world);
    assert_int_equal(rkb_ring_noted_topic_low(world->ring, 0), 2);
    assert_int_equal(rkb_ring_noted_topic_low(world->ring, 1), 53);
    world_drop(world);

    world->by_hand = false;
    world->dead_limit = MIB;
    open_by_hand(world);
    world_turn_until(world, low_is_at_last, 53, "the second letter");
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 2);
    expect_letter(&pile->letters[1], "second");
}

/* The same where there is only one topic: what it has delivered must not be sent again for the letter's sake. */
static void test_a_full_file_beside_one_topic(void **state)
{
    struct world *world = *state;
    world->dead_limit = 700;
    open_by_hand(world);
    put_letter(world, 0, "first");
    put_letter(world, 0, "second");
    for (int i = 0; i < 5; i++)
        world_put_of_size(world, 100);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, others_settled, 5, "the others");
    world_turn(world);
    assert_int_equal(rkb_ring_noted_topic_low(world->ring, 0), 2);
    assert_int_equal(rkb_ring_noted_topic_low(world->ring, 1), 8);
}

/* It waits in this run too, and goes on when there is room. */
static bool second_is_there(struct world *world, uint64_t wanted)
{
    world->hand_us += SECOND;
    return in_file(world)->count == wanted;
}

static ssize_t (*real_write)(int, const void *, size_t, off_t);
static bool no_room;

static ssize_t write_or_not(int fd, const void *data, size_t size, off_t offset)
{
    if (no_room && world_is_file(fd, "dead-letters")) {
        errno = ENOSPC;
        return -1;
    }
    return real_write(fd, data, size, offset);
}

static void test_a_file_that_takes_again(void **state)
{
    struct world *world = *state;
    real_write = world->disk.pwrite;
    world->disk.pwrite = write_or_not;
    no_room = false;
    open_by_hand(world);
    put_letter(world, 0, "first");
    settle_all(world);
    no_room = true;
    put_letter(world, 0, "second");
    put_letter(world, 0, "third");
    world_put(world, 5);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, others_settled, 5, "the others");
    assert_int_equal(world->shipper->lanes.troubled, 1);
    no_room = false;
    world_turn_until(world, second_is_there, 3, "the second and third letter");
    world_turn_until(world, low_is, world->next, "all to be settled");
    expect_books(world, 5, 3);
    assert_int_equal(world->shipper->lanes.troubled, 0);
    assert_string_equal(rkb_lanes_at(&world->shipper->lanes, 0)->why, "");
}

/* ---- a topic that does not take them ---- */

static void deny_letters(struct world *world, rd_kafka_resp_err_t error)
{
    rd_kafka_mock_topic_set_error(rkb_mock_cluster(world->mock), world->topics[2], error);
}

/* Into the file at once, the next ones too, without asking; after a while the topic is asked again. */
static void test_a_topic_that_refuses(void **state)
{
    struct world *world = *state;
    world->properties[0] = (struct rkb_property){"topic.metadata.propagation.max.ms", "1"};
    deny_letters(world, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
    begin(world);
    put_letter(world, LETTERS, "first");
    world_put(world, 5);
    settle_all(world);
    expect_books(world, 5, 1);
    const struct rkb_lane *lane = rkb_lanes_at(&world->shipper->lanes, LETTERS);
    assert_true(lane->shut_us > world->hand_us);
    assert_string_equal(lane->why, "");
    assert_null(world->shipper->alone);         /* it was not asked a second time */
    put_letter(world, LETTERS, "second");
    rkb_shipper_take(world->shipper);
    world_turn(world);
    assert_true(low_is(world, world->next));    /* nothing was sent for it */
    expect_books(world, 5, 2);
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 2);
    expect_letter(&pile->letters[0], "first");
    expect_letter(&pile->letters[1], "second");
    assert_string_equal(pile->letters[0].code, "require");
    assert_string_equal(pile->letters[0].topic, world->topics[2]);

    deny_letters(world, RD_KAFKA_RESP_ERR_NO_ERROR);
    poll(NULL, 0, 1100);                        /* the producer looks at its topics again */
    world->hand_us = lane->shut_us;
    put_letter(world, LETTERS, "third");
    settle_all(world);
    assert_int_equal(in_file(world)->count, 2);
    pile = in_topic(world);
    assert_int_equal(pile->count, 1);
    expect_letter(&pile->letters[0], "third");
}

/* What is only that letter's goes into the file, and the next one to the topic. */
static void test_one_that_is_refused(void **state)
{
    struct world *world = *state;
    begin(world);
    world_put(world, 3);
    settle_all(world);
    put_letter(world, LETTERS, "too large");
    refuse_next(world, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    assert_int_not_equal(rkb_lanes_at(&world->shipper->lanes, LETTERS)->smallest_refused, 0);
    put_letter(world, LETTERS, "small");
    settle_all(world);
    expect_books(world, 3, 2);
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 1);
    expect_letter(&pile->letters[0], "too large");
    pile = in_topic(world);
    assert_int_equal(pile->count, 1);
    expect_letter(&pile->letters[0], "small");
}

/* While Kafka has too much to do the letter waits; it does not go to the file. */
static void test_a_kafka_that_is_away(void **state)
{
    struct world *world = *state;
    begin(world);
    put_letter(world, LETTERS, "later");
    refuse_next(world, 2, RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, low_is_at_last, world->next, "the letter");
    assert_int_equal(in_file(world)->count, 0);
    assert_int_equal(in_topic(world)->count, 1);
    expect_books(world, 0, 1);
}

/* Read years ago and sent again: how long it took says nothing of how long messages take. The other's does. */
static void test_sent_again(void **state)
{
    static const int64_t year_us = INT64_C(365) * 86400 * SECOND;
    struct world *world = *state;
    const struct rkb_latency *latency;
    begin(world);
    latency = &world->shipper->figures->latency;
    for (unsigned flag = RKB_FLAG_RETRIED;; flag = 0) {
        world_put_record(world, (struct rkb_record){.kind = RKB_MESSAGE, .flags = (uint8_t)flag, .route = 1, .topic = 1,
                                                    .value = rkb_slice_text("again")});
        settle_all(world);
        assert_int_equal(latency->max_us > (uint64_t)year_us, flag == 0);
        if (flag == 0)
            break;
    }
    expect_books(world, 2, 0);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_world(test_to_its_topic),
        in_world(test_to_the_file),
        in_world(test_a_full_file),
        in_world(test_a_full_file_beside_one_topic),
        in_world(test_a_file_that_takes_again),
        in_world(test_a_topic_that_refuses),
        in_world(test_one_that_is_refused),
        in_world(test_a_kafka_that_is_away),
        in_world(test_sent_again),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
