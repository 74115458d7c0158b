/*
 * Dead letters from the ring to a topic or to the file, the shipper without its thread, against librdkafka's mock
 * cluster: those that their lane brings, and those made of what Kafka refuses for good.
 */
#include "shipper_world.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message/letter.h"

#define MOST 16
#define LETTERS 3           /* the topic's number */

static rd_kafka_mock_cluster_t *cluster(struct world *world)
{
    return rkb_mock_cluster(world->mock);
}

static void refuse_next(struct world *world, size_t count, rd_kafka_resp_err_t error)
{
    for (size_t i = 0; i < count; i++)
        rd_kafka_mock_push_request_errors_array(cluster(world), PRODUCE, 1, &error);
}

static void open_by_hand(struct world *world)
{
    world_open(world);
    world_start(world);
    world_by_hand(world);
}

static void begin(struct world *world)
{
    world->letters = true;
    open_by_hand(world);
}

static bool low_is(struct world *world, uint64_t wanted)
{
    return rkb_acks_low(rkb_journal_acks(world->journal)) == wanted;
}

static bool low_is_at_last(struct world *world, uint64_t wanted)
{
    world->hand_us += SECOND;
    return low_is(world, wanted);
}

static bool in_flight(struct world *world, uint64_t wanted)
{
    return world->shipper->lanes.in_flight == wanted;
}

/* Takes what is in the ring, and turns until all of it is settled. */
static void settle_all(struct world *world)
{
    rkb_shipper_take(world->shipper);
    world_turn_until(world, low_is, world->next, "all to be settled");
}

static const struct rkb_shipped_route *books(struct world *world, uint32_t route)
{
    const struct rkb_shipped_route *books = &world->shipper->figures->routes[route];
    assert_int_equal(books->delivered + books->dead_lettered, books->settled);
    return books;
}

static void expect_books(struct world *world, uint64_t delivered, uint64_t dead_lettered)
{
    assert_int_equal(books(world, 1)->delivered + books(world, 2)->delivered, delivered);
    assert_int_equal(books(world, 1)->dead_lettered + books(world, 2)->dead_lettered, dead_lettered);
}

/* ---- dead letters as they come from the ring ---- */

static size_t headers_of(uint8_t *at, const char *code, const char *reason, uint16_t *count)
{
    struct rkb_letter letter = {.of = {[RKB_LETTER_CODE] = rkb_slice_text(code),
                                       [RKB_LETTER_REASON] = rkb_slice_text(reason),
                                       [RKB_LETTER_ROUTE] = rkb_slice_text("first"),
                                       [RKB_LETTER_CHANNEL] = rkb_slice_text("chan"),
                                       [RKB_LETTER_ID] = rkb_slice_text("the id")}};
    size_t size = rkb_letter_size(&letter, count);
    rkb_letter_write(&letter, at);
    return size;
}

/* One that failed a check of route 1. */
static void put_letter(struct world *world, uint32_t topic, const char *value)
{
    uint8_t headers[200];
    uint16_t count;
    size_t size = headers_of(headers, "require", "/id is missing", &count);
    world_put_record(world, (struct rkb_record){
        .kind = RKB_MESSAGE, .flags = RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1, .header_count = count, .route = 1,
        .topic = topic, .has_key = true, .key = rkb_slice_text("chan"), .headers = rkb_slice(headers, size),
        .value = rkb_slice_text(value)});
}

/* A letter, wherever it was found. */
struct found {
    char value[80], key[40], of[RKB_LETTER_HEADERS][100], others[100];
    bool has[RKB_LETTER_HEADERS];
    char code[40], reason[100], topic[40];      /* in the file: what the line of JSON says */
    size_t headers;
    uint8_t flags;
    uint64_t sequence;
};

struct pile {
    struct found letters[MOST];
    size_t count;
};

static void note(char *out, size_t size, struct rkb_slice bytes)
{
    snprintf(out, size, "%.*s", (int)bytes.size, bytes.data != NULL ? (const char *)bytes.data : "");
}

static struct found *add_found(struct pile *pile, struct rkb_slice key, struct rkb_slice value,
                               struct rkb_slice headers)
{
    assert_true(pile->count < MOST);
    struct found *found = &pile->letters[pile->count++];
    struct rkb_letter letter;
    memset(found, 0, sizeof *found);
    note(found->key, sizeof found->key, key);
    note(found->value, sizeof found->value, value);
    rkb_letter_read(headers, &letter);
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++) {
        found->has[i] = letter.of[i].data != NULL;
        note(found->of[i], sizeof found->of[i], letter.of[i]);
    }
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, content;
    while (rkb_headers_next(&area, &name, &content)) {
        found->headers++;
        if (rkb_letter_names(name))
            continue;
        size_t used = strlen(found->others);
        snprintf(found->others + used, sizeof found->others - used, "%.*s=%.*s;", (int)name.size, name.data,
                 (int)content.size, content.data);
    }
    return found;
}

static void see(void *context, const rd_kafka_message_t *message)
{
    struct rkb_buffer area = {0};
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    assert_int_equal(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR; i++) {
        struct rkb_slice slices[] = {rkb_slice_text(name), rkb_slice(value, size)};
        uint8_t *at = rkb_buffer_reserve(&area, rkb_header_size(slices[0], slices[1]));
        rkb_header_write(at, slices[0], slices[1]);
        area.size += rkb_header_size(slices[0], slices[1]);
    }
    add_found(context, rkb_slice(message->key, message->key_len), rkb_slice(message->payload, message->len),
              rkb_slice(area.data, area.size));
    rkb_buffer_free(&area);
}

static const struct pile *in_topic(struct world *world)
{
    static struct pile pile;
    pile.count = 0;
    world_read_letters(world, see, &pile);
    return &pile;
}

/* The member of the JSON line, which has no escapes in these tests. */
static void member(struct rkb_slice json, const char *name, char *out, size_t size)
{
    char text[600], wanted[40];
    note(text, sizeof text, json);
    snprintf(wanted, sizeof wanted, "\"%s\":\"", name);
    const char *at = strstr(text, wanted);
    assert_non_null(at);
    at += strlen(wanted);
    snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
}

static const struct pile *in_file(struct world *world)
{
    static struct pile pile;
    char *path = join(world->directory, "dead-letters");
    pile.count = 0;
    if (count_files(world->directory, "dead-letters") > 0) {
        size_t size, offset = RKB_SEGMENT_HEADER;
        uint8_t *bytes = read_whole(path, &size);
        struct rkb_segment_head head;
        struct rkb_record letter, message;
        assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
        while (rkb_dead_next(bytes, size, head.salt, &offset, &letter, &message, NULL) == RKB_PARSE_RECORD) {
            struct found *found = add_found(&pile, message.key, message.value, message.headers);
            found->flags = message.flags;
            found->sequence = message.sequence;
            member(letter.value, "code", found->code, sizeof found->code);
            member(letter.value, "reason", found->reason, sizeof found->reason);
            member(letter.value, "topic", found->topic, sizeof found->topic);
        }
        free(bytes);
    }
    free(path);
    return &pile;
}

/* The one that put_letter made. */
static void expect_letter(const struct found *found, const char *value)
{
    assert_string_equal(found->value, value);
    assert_string_equal(found->key, "chan");
    assert_string_equal(found->of[RKB_LETTER_CODE], "require");
    assert_string_equal(found->of[RKB_LETTER_REASON], "/id is missing");
    assert_string_equal(found->of[RKB_LETTER_CHANNEL], "chan");
    assert_string_equal(found->of[RKB_LETTER_ID], "the id");
    assert_false(found->has[RKB_LETTER_TOPIC]);
    assert_false(found->has[RKB_LETTER_FORM]);
}

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
    rd_kafka_mock_topic_set_error(cluster(world), world->topics[2], error);
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

/* ---- what Kafka refuses for good ---- */

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
 * Headers that the letter has itself come once; what stands behind the headers that Kafka gets is known and not sent; the
 * key is the channel where the record says so; the UUID is where its form has it.
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
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 200);
    put_letter(world, LETTERS, "in flight");
    rkb_shipper_take(world->shipper);
    rkb_shipper_send(world->shipper);
    assert_true(in_flight(world, 1));
    kill_and_start(world);
    rd_kafka_mock_broker_set_rtt(cluster(world), 1, 0);
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
        in_world(test_to_its_topic),
        in_world(test_to_the_file),
        in_world(test_a_full_file),
        in_world(test_a_full_file_beside_one_topic),
        in_world(test_a_file_that_takes_again),
        in_world(test_a_topic_that_refuses),
        in_world(test_one_that_is_refused),
        in_world(test_a_kafka_that_is_away),
        in_world(test_in_its_place),
        in_world(test_its_lane_waits),
        in_world(test_as_it_stood),
        in_world(test_what_the_record_tells),
        in_world(test_in_the_file_after_all),
        in_world(test_only_a_file),
        in_world(test_larger_than_is_sent),
        in_world(test_a_right_too_late),
        in_world(test_a_kill),
        in_world(test_a_kill_in_its_place),
    };
    return cmocka_run_group_tests(tests, kafka_set_up, kafka_tear_down);
}
