/*
 * What Kafka refuses for good becomes a dead letter, in the place of its record; and dead letters over a kill. The
 * shipper without its thread, against librdkafka's mock cluster.
 */
#include "dead_world.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#define RAW_HEADERS "\x06\0\x04\0\0\0rkb-idid-1" "\x0b\0\x02\0\0\0rkb-channelch" "\x0b\0\x01\0\0\0rkb-pattern*" \
    "\x0c\0\x03\0\0\0rkb-positionm:7"

/* Of route 1, as the envelope raw makes them; `form` 1, or another, of which nothing else is known. */
static void put_message(struct world *world, uint8_t form, const char *value)
{
    bool raw = form == 1;
    world_put_record(world, (struct rkb_record){
        .kind = RKB_MESSAGE, .flags = form, .header_count = raw ? 4 : 1, .route = 1, .topic = 1, .has_key = true,
        .key = rkb_slice_text("key"), .value = rkb_slice_text(value),
        .headers = raw ? rkb_slice(RAW_HEADERS, sizeof RAW_HEADERS - 1) : rkb_slice("\1\0\2\0\0\0nvv", 9)});
}

/* One of route 1 that is refused among others, and alone. */
static void refuse_one(struct world *world, uint8_t form, rd_kafka_resp_err_t error)
{
    put_message(world, form, "as it came");
    refuse_next(world, 2, error);
}

static void expect_refused(struct world *world, const struct found *found)
{
    assert_string_equal(found->value, "as it came");
    assert_string_equal(found->of[RKB_LETTER_CODE], "MSG_SIZE_TOO_LARGE");
    assert_non_null(strstr(found->of[RKB_LETTER_REASON], "too large"));
    assert_int_equal(strlen(found->of[RKB_LETTER_ERROR_TIME]), 24);
    assert_string_equal(found->of[RKB_LETTER_ROUTE], "first");
    assert_string_equal(found->of[RKB_LETTER_SOURCE], "legacy");
    assert_string_equal(found->of[RKB_LETTER_TOPIC], world->topics[0]);
    assert_int_equal(strncmp(found->of[RKB_LETTER_TIME], "2023-11-14T22:13:20.0", 21), 0);
}

static void expect_raw(struct world *world, const struct found *found)
{
    expect_refused(world, found);
    assert_string_equal(found->key, "ch");
    assert_string_equal(found->of[RKB_LETTER_CHANNEL], "ch");
    assert_string_equal(found->of[RKB_LETTER_PATTERN], "*");
    assert_string_equal(found->of[RKB_LETTER_ID], "id-1");
    assert_string_equal(found->of[RKB_LETTER_POSITION], "m:7");
    assert_false(found->has[RKB_LETTER_FORM]);
    assert_string_equal(found->others, "");
}

/* Its letter in the topic as the message arrived; its lane waits for that, and the others do not. */
static void test_in_its_place(void **state)
{
    struct world *world = *state;
    begin(world);
    world_put(world, 3);
    settle_all(world);
    refuse_one(world, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    const struct rkb_lane *lane = rkb_lanes_at(&world->shipper->lanes, 1);
    assert_int_not_equal(lane->smallest_refused, 0);    /* the letter says nothing of what this topic takes */
    world_put(world, 8);
    settle_all(world);
    expect_books(world, 11, 1);
    assert_int_equal(in_file(world)->count, 0);
    const struct pile *pile = in_topic(world);
    assert_int_equal(pile->count, 1);
    expect_raw(world, &pile->letters[0]);
    assert_int_equal(world->shipper->lanes.troubled, 0);
}

static bool letter_sent(struct world *world, uint64_t wanted)
{
    const struct rkb_flight *flight = rkb_lanes_at(&world->shipper->lanes, 1)->oldest;
    return flight != NULL && flight->dead == (wanted == 1);
}

/* Until the letter is acknowledged nothing of its lane goes, and the record is not settled. */
static void test_its_lane_waits(void **state)
{
    struct world *world = *state;
    begin(world);
    world_put(world, 2);
    settle_all(world);
    refuse_one(world, 1, RD_KAFKA_RESP_ERR_INVALID_RECORD);
    put_message(world, 1, "behind it");
    uint64_t refused = world->next - 2;
    refuse_next(world, 1, RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, letter_sent, 1, "the letter to be sent");
    assert_true(in_flight(world, 1));
    assert_true(low_is(world, refused));
    while (rkb_lanes_at(&world->shipper->lanes, 1)->state != RKB_LANE_WAITING)
        world_turn(world);
    for (int i = 0; i < 5; i++)
        world_turn(world);
    assert_true(in_flight(world, 0));           /* the letter is tried again later; what is behind it waits */
    assert_true(low_is(world, refused));
    expect_books(world, 2, 0);
    world_turn_until(world, low_is_at_last, world->next, "all to be settled");
    expect_books(world, 3, 1);
    assert_int_equal(in_file(world)->count, 0);
    assert_int_equal(in_topic(world)->count, 1);
}

/* What does not tell what arrived goes as it stood, with its own headers, and a UUID made of its number. */
static void test_as_it_stood(void **state)
{
    struct world *world = *state;
    char id[40];
    begin(world);
    refuse_one(world, 0, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    const struct found *found = &in_topic(world)->letters[0];
    expect_refused(world, found);
    assert_string_equal(found->of[RKB_LETTER_FORM], "record");
    assert_string_equal(found->key, "key");
    assert_false(found->has[RKB_LETTER_CHANNEL]);
    assert_false(found->has[RKB_LETTER_PATTERN]);
    assert_string_equal(found->others, "n=vv;");
    snprintf(id, sizeof id, "%.36s", found->of[RKB_LETTER_ID]);
    assert_int_equal(strlen(id), 36);
    assert_int_equal(strncmp(id, "018bcfe5-6801-7000-800", 22), 0);     /* its time and number, 2 bits of hash */
    assert_in_range(id[22], '4', '7');
}

/*
 * Headers that the letter has itself come once; what stands behind the headers that Kafka gets is known and not sent;
 * the key is the channel where the record says so; the UUID is where its form has it.
 */
static void test_what_the_record_tells(void **state)
{
    static const char own[] = "\x06\0\x03\0\0\0rkb-idown" "\1\0\2\0\0\0nvv" "\x0b\0\2\0\0\0rkb-patternp*";
    static const char value[] = "{\"name\":\"c\",\"data\":{\"id\":\"018bcfe5-6801-7000-8001-0123456789ab\"}}";
    struct world *world = *state;
    begin(world);
    world_put_record(world, (struct rkb_record){
        .kind = RKB_MESSAGE, .flags = RKB_FLAG_CHANNEL, .header_count = 2, .route = 1, .topic = 1, .has_key = true,
        .key = rkb_slice_text("chan"), .value = rkb_slice_text(value), .headers = rkb_slice(own, sizeof own - 1)});
    refuse_next(world, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    world_put_record(world, (struct rkb_record){
        .kind = RKB_MESSAGE, .flags = 2, .header_count = 0, .route = 1, .topic = 1, .value = rkb_slice_text(value)});
    refuse_next(world, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    expect_books(world, 0, 2);
    const struct pile *pile = in_topic(world);
    assert_int_equal(pile->count, 2);
    const struct found *found = &pile->letters[0];
    assert_string_equal(found->of[RKB_LETTER_ID], "own");
    assert_string_equal(found->of[RKB_LETTER_CHANNEL], "chan");
    assert_string_equal(found->of[RKB_LETTER_PATTERN], "p*");
    assert_string_equal(found->others, "n=vv;");
    assert_int_equal(found->headers, 12);       /* all of a letter's but the position, and its own */
    assert_string_equal(pile->letters[1].of[RKB_LETTER_ID], "018bcfe5-6801-7000-8001-0123456789ab");
}

/* What tells of a gap is of no route in the config, and no message: to the file, and its topic goes on. */
static void test_what_tells_of_a_gap(void **state)
{
    static const char own[] = "\x07\0\x06\0\0\0rkb-gapclosed";
    struct world *world = *state;
    begin(world);
    world->routes[2] = (struct rkb_shipper_route){.source = NULL};
    world_put_record(world, (struct rkb_record){
        .kind = RKB_MESSAGE, .flags = RKB_FORM_RAW, .header_count = 1, .route = 2, .topic = 2, .has_key = true,
        .key = rkb_slice_text("legacy"), .value = rkb_slice_text("{\"id\": 7}"),
        .headers = rkb_slice(own, sizeof own - 1)});
    refuse_next(world, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    expect_books(world, 0, 1);
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 1);
    assert_string_equal(pile->letters[0].value, "{\"id\": 7}");
    assert_string_equal(pile->letters[0].key, "legacy");
    assert_string_equal(pile->letters[0].of[RKB_LETTER_ROUTE], "second");
    assert_string_equal(pile->letters[0].code, "MSG_SIZE_TOO_LARGE");
    assert_string_equal(pile->letters[0].topic, world->topics[1]);
    assert_false(pile->letters[0].has[RKB_LETTER_CHANNEL] || pile->letters[0].has[RKB_LETTER_SOURCE]);
    world_put(world, 4);
    settle_all(world);
    expect_books(world, 4, 1);
}

/* The topic does not take that one either: the file has it, with the same headers. */
static void test_in_the_file_after_all(void **state)
{
    struct world *world = *state;
    begin(world);
    world_put(world, 3);
    settle_all(world);
    refuse_one(world, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    refuse_next(world, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    expect_books(world, 3, 1);
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 1);
    expect_raw(world, &pile->letters[0]);
    assert_string_equal(pile->letters[0].code, "MSG_SIZE_TOO_LARGE");
    assert_string_equal(pile->letters[0].topic, world->topics[0]);
    assert_int_equal(pile->letters[0].flags, RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1);
    world_put(world, 4);
    settle_all(world);
    expect_books(world, 7, 1);
}

/* Without a topic: the same letter, in the file. */
static void test_only_a_file(void **state)
{
    struct world *world = *state;
    open_by_hand(world);
    world_put(world, 3);
    settle_all(world);
    refuse_one(world, 1, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    settle_all(world);
    expect_books(world, 3, 1);
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 1);
    expect_raw(world, &pile->letters[0]);
}

/* Larger than any producer sends: known before it is sent, and so is its letter. */
static void test_larger_than_is_sent(void **state)
{
    struct world *world = *state;
    world->properties[0] = (struct rkb_property){"message.max.bytes", "1000"};
    begin(world);
    world_put(world, 2);
    world_put_of_size(world, 2000);
    world_put(world, 5);
    settle_all(world);
    expect_books(world, 7, 1);
    const struct pile *pile = in_file(world);
    assert_int_equal(pile->count, 1);
    assert_string_equal(pile->letters[0].of[RKB_LETTER_CODE], "MSG_SIZE_TOO_LARGE");
    assert_string_equal(pile->letters[0].of[RKB_LETTER_FORM], "record");
}

/* A right that is missing for too long: each goes to the topic for dead letters then. */
static void test_a_right_too_late(void **state)
{
    struct world *world = *state;
    world->refuse_after_us = 0;
    begin(world);
    refuse_one(world, 1, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    settle_all(world);
    expect_books(world, 0, 1);
    const struct pile *pile = in_topic(world);
    assert_int_equal(pile->count, 1);
    assert_string_equal(pile->letters[0].of[RKB_LETTER_CODE], "TOPIC_AUTHORIZATION_FAILED");
}

/* ---- over a kill ---- */

/* A start as rkb_store_open does it: what the ring noted counts. */
static void kill_and_start(struct world *world)
{
    assert_true(rkb_journal_sync(world->journal, NULL));
    world_turn(world);
    poll(NULL, 0, 300);             /* Kafka has what is in flight, and nobody hears that */
    world_drop(world);
    world->by_hand = false;
    open_by_hand(world);
    rkb_acks_raise(rkb_journal_acks(world->journal), rkb_ring_noted_low(world->ring));
    rkb_shipper_from_checkpoint(world->shipper);
}

/* What was in flight when the process was killed comes again, the same; what was settled does not. */
static void test_a_kill(void **state)
{
    struct world *world = *state;
    begin(world);
    put_letter(world, LETTERS, "settled");
    settle_all(world);
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 200);
    put_letter(world, LETTERS, "in flight");
    rkb_shipper_take(world->shipper);
    rkb_shipper_send(world->shipper);
    assert_true(in_flight(world, 1));
    kill_and_start(world);
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 0);
    settle_all(world);
    expect_books(world, 0, 1);
    const struct pile *pile = in_topic(world);
    assert_in_range(pile->count, 2, 3);
    expect_letter(&pile->letters[0], "settled");
    for (size_t i = 1; i < pile->count; i++)
        expect_letter(&pile->letters[i], "in flight");
}

static bool topic_has(struct world *world, uint64_t wanted)
{
    return in_topic(world)->count == wanted;
}

/* The letter of a refused record is in flight: the record is not settled, so both come again; its UUID is the same. */
static void test_a_kill_in_its_place(void **state)
{
    struct world *world = *state;
    begin(world);
    refuse_one(world, 0, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);
    rkb_shipper_take(world->shipper);
    world_turn_until(world, letter_sent, 1, "the letter to be sent");
    assert_true(rkb_journal_sync(world->journal, NULL));
    world_wait(world, topic_has, 1, "the letter to come, of which the process does not hear any more");
    world_drop(world);
    world->by_hand = false;
    refuse_next(world, 2, RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE);    /* its thread may send before it is taken away */
    open_by_hand(world);
    settle_all(world);
    expect_books(world, 0, 1);
    const struct pile *pile = in_topic(world);
    assert_int_equal(pile->count, 2);
    assert_string_equal(pile->letters[0].of[RKB_LETTER_ID], pile->letters[1].of[RKB_LETTER_ID]);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_world(test_in_its_place),
        in_world(test_its_lane_waits),
        in_world(test_as_it_stood),
        in_world(test_what_the_record_tells),
        in_world(test_what_tells_of_a_gap),
        in_world(test_in_the_file_after_all),
        in_world(test_only_a_file),
        in_world(test_larger_than_is_sent),
        in_world(test_a_right_too_late),
        in_world(test_a_kill),
        in_world(test_a_kill_in_its_place),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
