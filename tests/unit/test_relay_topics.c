/*
 * Topics that messages name: by channel, by a pointer into the payload, made valid by the rule or not at all; how many
 * there may be; that a name's record stands in the ring before the first record that uses it, whatever room there is.
 */
#include "relay_world.h"

#include <stdio.h>
#include <string.h>

#include "daemon/route_topics.h"
#include "message/letter.h"

static void set_topic(struct world *world, size_t route, const char *topic, int64_t max_topics)
{
    world->routes[route].topic = (char *)(uintptr_t)topic;
    world->routes[route].max_topics = max_topics;
    world->routes[route].max_depth = 512;
}

static void subscribe(struct world *world)
{
    world_open(world);
    begin_stream(world);
    confirm_all(world);
}

static void open_with(struct world *world, const char *topic, int64_t max_topics)
{
    world_route(world, "all", NULL, LIST("u*"));
    set_topic(world, 0, topic, max_topics);
    subscribe(world);
}

static uint32_t topics_named(const struct world *world)
{
    return rkb_dictionary_count(world->relay.dictionary, RKB_NAME_TOPIC);
}

/* ---- what lies in the ring ---- */

struct named {
    uint32_t highest;
    size_t messages;
};

static void look(void *context, const struct rkb_record *record)
{
    struct named *named = context;
    if (record->kind == RKB_DICTIONARY && record->value.data[0] == RKB_NAME_TOPIC)
        named->highest++;
    if (record->kind != RKB_MESSAGE)
        return;
    named->messages++;
    if (record->topic > named->highest)
        fail_msg("a record of topic %u, and %u are named before it", record->topic, named->highest);
}

/* Every topic is named before it is used; returns how many messages wait in the ring. The books balance as well. */
static size_t expect_named(struct world *world)
{
    struct named named = {.highest = rkb_dictionary_count(rkb_journal_dictionary(world->store.journal),
                                                          RKB_NAME_TOPIC)};
    struct rkb_error error;
    assert_true(rkb_ring_visit(world->store.ring, look, &named, &error));
    assert_int_equal(named.highest, topics_named(world));
    balance(world);
    return named.messages;
}

/* The last record: where it goes; "(dead) " and the reason where it is a dead letter with code `topic`. */
static const char *last_topic(struct world *world)
{
    static char text[300];
    struct rkb_cursor cursor;
    struct rkb_letter letter;
    expect_named(world);
    struct rkb_record record = read_record(world, &cursor, world->relay.next_sequence - 1);
    assert_int_equal(record.kind, RKB_MESSAGE);
    const struct rkb_dictionary *names = rkb_journal_dictionary(world->store.journal);
    if (record.flags & RKB_FLAG_DEAD) {
        rkb_letter_read(record.headers, &letter);
        assert_true(rkb_slice_equal(letter.of[RKB_LETTER_CODE], rkb_slice_text("topic")));
        snprintf(text, sizeof text, "(dead) %.*s", (int)letter.of[RKB_LETTER_REASON].size,
                 letter.of[RKB_LETTER_REASON].data);
    } else {
        snprintf(text, sizeof text, "%s", rkb_dictionary_name(names, RKB_NAME_TOPIC, record.topic));
    }
    rkb_cursor_close(&cursor);
    return text;
}

static void expect_topic(struct world *world, const char *channel, const char *payload, const char *topic)
{
    uint64_t before = world->relay.next_sequence;
    copy_of(world, "u*", channel, payload);
    assert_int_equal(world->relay.next_sequence, before + 1);
    const char *found = last_topic(world);
    if (strncmp(found, topic, strlen(topic)) != 0 || (topic[0] != '(' && strlen(found) != strlen(topic)))
        fail_msg("%s, %s: \"%s\" instead of \"%s\"", channel, payload, found, topic);
}

/* ---- by channel ---- */

static void test_by_channel(void **state)
{
    struct world *world = *state;
    open_with(world, "t.{{1}}", 100);
    uint32_t before = topics_named(world);
    for (int i = 0; i < 3; i++) {
        expect_topic(world, "uses", "x", "t.ses");
        expect_topic(world, "user", "x", "t.ser");
        expect_topic(world, "u", "x", "t.");
    }
    assert_int_equal(topics_named(world), before + 3);
    assert_true(rkb_route_topics_has(world->relay.routes[0].topics, before + 3));
    assert_false(rkb_route_topics_has(world->relay.routes[0].topics, before + 4));
}

/* A channel that another route wins from then on goes to that one's topic. */
static void test_another_winner(void **state)
{
    struct world *world = *state;
    world_route(world, "one", NULL, LIST("u*"));
    world_route(world, "two", NULL, LIST("us*"));
    set_topic(world, 0, "one.{{1}}", 100);
    set_topic(world, 1, "two.{{1}}", 100);
    subscribe(world);
    expect_topic(world, "user", "x", "one.ser");
    confirm(world, true, "u*", false);
    copy_of(world, "us*", "user", "x");
    assert_string_equal(last_topic(world), "two.er");
    confirm(world, true, "u*", true);
    expect_topic(world, "user", "x", "one.ser");
    assert_int_equal(balance(world)->totals.pending, 3);
}

/* ---- by what is in it ---- */

static void test_by_pointer(void **state)
{
    struct world *world = *state;
    open_with(world, "t.{{payload:/type}}", 100);
    expect_topic(world, "user", "{\"type\":\"a\"}", "t.a");
    expect_topic(world, "user", "{\"type\":17}", "t.17");
    expect_topic(world, "user", "{\"type\":\"a\"}", "t.a");
    expect_topic(world, "user", "{\"type\":\"b c\\u00e9\"}", "t.b_c__");
    expect_topic(world, "user", "{\"type\":[1,{}]}", "t._1____");
    expect_topic(world, "user", "{\"type\":null}", "(dead) a slot of the topic's template finds nothing");
    expect_topic(world, "user", "{\"typ\":1}", "(dead) a slot of the topic's template finds nothing");
    expect_topic(world, "user", "text", "(dead) a slot of the topic's template finds nothing");
}

/* ---- the rule ---- */

static void test_the_rule(void **state)
{
    struct world *world = *state;
    char channel[300] = "u", topic[300];
    open_with(world, "{{1}}", 100);
    expect_topic(world, "uaZ09._-", "x", "aZ09._-");
    expect_topic(world, "ua b/c:d", "x", "a_b_c_d");
    expect_topic(world, "ua_b_c/d", "x", "a_b_c_d");
    expect_topic(world, "u\xc3\xa9\x80", "x", "___");
    expect_topic(world, "u...", "x", "...");
    expect_topic(world, "u:", "x", "_");
    expect_topic(world, "u", "x", "(dead) the topic's name is empty");
    expect_topic(world, "u.", "x", "(dead) the topic's name is . or ..");
    expect_topic(world, "u..", "x", "(dead) the topic's name is . or ..");
    memset(channel + 1, 'a', 249);
    snprintf(topic, sizeof topic, "%s", channel + 1);
    expect_topic(world, channel, "x", topic);
    channel[250] = 'a';
    expect_topic(world, channel, "x", "(dead) the topic's name is longer than 249 bytes");
    assert_int_equal(balance(world)->totals.pending, 11);
}

/* ---- how many ---- */

static void test_max_topics(void **state)
{
    struct world *world = *state;
    open_with(world, "t.{{1}}", 2);
    expect_topic(world, "ua", "x", "t.a");
    expect_topic(world, "ub", "x", "t.b");
    uint32_t named = topics_named(world);
    expect_topic(world, "uc", "x", "(dead) a new topic, and the route has named 2 already (max_topics)");
    expect_topic(world, "uc", "x", "(dead) a new topic");
    expect_topic(world, "ua", "x", "t.a");
    assert_int_equal(topics_named(world), named);
    assert_int_equal(world->relay.topic_limit, named);
}

/* Another route's topic is known and counts all the same; each route has a count of its own. */
static void test_known_ones_count(void **state)
{
    struct world *world = *state;
    world_route(world, "all", NULL, LIST("u*"));
    world_route(world, "t.a", LIST("other"), NULL);
    world_route(world, "third", NULL, LIST("v*"));
    set_topic(world, 0, "t.{{1}}", 2);
    set_topic(world, 2, "t.{{1}}", 1);
    subscribe(world);
    expect_topic(world, "ua", "x", "t.a");
    expect_topic(world, "ub", "x", "t.b");
    expect_topic(world, "uc", "x", "(dead) a new topic");
    copy_of(world, "v*", "vb", "x");
    assert_string_equal(last_topic(world), "t.b");
    copy_of(world, "v*", "va", "x");
    assert_string_equal(last_topic(world), "(dead) a new topic, and the route has named 1 already (max_topics)");
}

/* Not into a topic of dead letters, whichever route's. */
static void test_dead_letters_apart(void **state)
{
    struct world *world = *state;
    world_route(world, "all", NULL, LIST("u*"));
    world_route(world, "other", LIST("other"), NULL);
    set_topic(world, 0, "t.{{1}}", 100);
    world->routes[0].dead_letter = (char *)(uintptr_t)"t.mine";
    world->routes[1].dead_letter = (char *)(uintptr_t)"t.theirs";
    subscribe(world);
    expect_topic(world, "umine", "x", "(dead) the topic is one for dead letters");
    expect_topic(world, "utheirs", "x", "(dead) the topic is one for dead letters");
    expect_topic(world, "ux", "x", "t.x");
}

/* The journal writes all names at the head of each segment: names are not to fill it. */
static void test_names_leave_room(void **state)
{
    struct world *world = *state;
    char channel[240];
    world->config.journal.segment_size = 64 * 1024;
    open_with(world, "{{1}}", 10000);
    uint32_t before = topics_named(world), named;
    do {
        named = topics_named(world);
        snprintf(channel, sizeof channel, "u%u-%0200u", named, named);
        copy_of(world, "u*", channel, "x");
        take(world);
        assert_false(rkb_shipper_failed(world->shipper, &(struct rkb_error){0}));
    } while (topics_named(world) > named && named < 1000);
    assert_in_range(topics_named(world) - before, 30, 70);
    assert_string_equal(last_topic(world), "(dead) a new topic, and the names of topics take a quarter of a segment "
                                           "already; make journal.segment_size larger");
    expect_topic(world, "ux", "x", "x");            /* a short one */
    expect_topic(world, channel, "x", "(dead) a new topic, and the names");
    world_kill(world);
    world_open(world);
    balance(world);
}

/* ---- the ring ---- */

/* Messages until the ring has just `left` bytes more than is kept. */
static void fill_ring(struct world *world, size_t left)
{
    struct rkb_ring *ring = world->store.ring;
    size_t before = rkb_ring_room(ring);
    large_copy(world, "u*", "uknown", 100);
    size_t cost = before - rkb_ring_room(ring) - 100;
    while (rkb_ring_room(ring) - RKB_RELAY_KEEP - left > 40000)
        large_copy(world, "u*", "uknown", 20000);
    large_copy(world, "u*", "uknown", rkb_ring_room(ring) - RKB_RELAY_KEEP - left - cost);
    assert_in_range(rkb_ring_room(ring) - RKB_RELAY_KEEP, left, left + 7);
}

static void go_on(struct world *world)
{
    take(world);
    rkb_relay_look(&world->relay);
    assert_false(source_of(world)->dropping);
}

/* No room for the name: the message is dropped, and the name is none yet. */
static void test_no_room_for_a_name(void **state)
{
    struct world *world = *state;
    open_with(world, "t.{{1}}", 100);
    copy_of(world, "u*", "uknown", "x");
    uint32_t named = topics_named(world);
    fill_ring(world, 16);
    copy_of(world, "u*", "unew", "x");
    assert_true(source_of(world)->dropping);
    assert_int_equal(topics_named(world), named);
    assert_int_equal(balance(world)->dropped_by_reason[RKB_DROP_journal_full], 1);
    expect_named(world);
    go_on(world);
    expect_topic(world, "unew", "x", "t.new");
    assert_int_equal(topics_named(world), named + 1);
}

/* Room for the name, not for the message: the name stays one, and the journal learns it. */
static void test_room_for_the_name_only(void **state)
{
    struct world *world = *state;
    open_with(world, "t.{{1}}", 100);
    copy_of(world, "u*", "uknown", "x");
    uint32_t named = topics_named(world);
    fill_ring(world, rkb_dictionary_new_size(rkb_slice_text("t.new")) + 16);
    copy_of(world, "u*", "unew", "x");
    assert_true(source_of(world)->dropping);
    assert_int_equal(topics_named(world), named + 1);
    expect_named(world);
    go_on(world);
    assert_int_equal(rkb_dictionary_count(rkb_journal_dictionary(world->store.journal), RKB_NAME_TOPIC), named + 1);
    expect_topic(world, "unew", "x", "t.new");
    assert_int_equal(topics_named(world), named + 1);
}

/* ---- another start ---- */

/* Numbers stay, from the journal and from the ring; the count of max_topics begins anew. */
static void test_names_outlive(void **state)
{
    struct world *world = *state;
    open_with(world, "t.{{1}}", 2);
    expect_topic(world, "ua", "x", "t.a");          /* in the journal */
    copy_of(world, "u*", "ub", "x");                /* in the ring */
    uint32_t named = topics_named(world);
    world_kill(world);
    world_open(world);
    begin_stream(world);
    confirm_all(world);
    assert_int_equal(topics_named(world), named);
    assert_int_equal(world->relay.topic_limit, named + 2);
    expect_topic(world, "ub", "x", "t.b");
    expect_topic(world, "uc", "x", "t.c");
    assert_int_equal(topics_named(world), named + 1);
    expect_topic(world, "ua", "x", "(dead) a new topic");
}

/* ---- how old what waits is ---- */

static double oldest_of(struct world *world, size_t route)
{
    take(world);
    return balance(world)->routes[route].oldest_pending_seconds;
}

/* Of the topics that the route has named, and of no other; of all where it left something at an earlier start. */
static void test_the_oldest(void **state)
{
    struct world *world = *state;
    world_route(world, "all", NULL, LIST("u*"));
    world_route(world, "other", LIST("other"), NULL);
    set_topic(world, 0, "t.{{1}}", 100);
    subscribe(world);
    copy_of(world, "u*", "ua", "x");
    copy_of(world, "u*", "ub", "x");
    uint32_t named = topics_named(world);
    struct rkb_shipped *figures = world->shipper->figures;
    int64_t *times = (int64_t *)&figures->routes[figures->route_limit + 1];
    figures->oldest_us = now_us - 100 * SECOND;
    times[1] = now_us - 90 * SECOND;                /* the other route's */
    times[named] = now_us - 5 * SECOND;
    assert_true(oldest_of(world, 0) == 5);
    times[named - 1] = now_us - 7 * SECOND;
    assert_true(oldest_of(world, 0) == 7);
    times[named] = times[named - 1] = 0;
    figures->line_us = now_us - 3 * SECOND;
    assert_true(oldest_of(world, 0) == 3);
    world_kill(world);
    world_open(world);
    world->shipper->figures->oldest_us = now_us - 100 * SECOND;
    assert_true(oldest_of(world, 0) == 100);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_world(test_by_channel),          in_world(test_another_winner),      in_world(test_by_pointer),
        in_world(test_the_rule),            in_world(test_max_topics),          in_world(test_known_ones_count),
        in_world(test_dead_letters_apart),  in_world(test_names_leave_room),    in_world(test_no_room_for_a_name),
        in_world(test_room_for_the_name_only), in_world(test_names_outlive),
        in_world(test_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
