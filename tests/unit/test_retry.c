/*
 * Dead letters that are sent again: the way of any message by the present config, with the UUID, time and position that
 * they had; what cannot be is refused and counts nowhere. The books have to balance at every step.
 */
#include "relay_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "daemon/retry.h"
#include "message/letter.h"

#define ID "018bcfe5-6800-7000-8000-123456789abc"
#define POSITION "00112233445566778899aabbccddeeff:7"
#define TIME "2023-11-01T10:00:00.123Z"
#define TIME_US INT64_C(1698832800123000)

/* Like the letter of a check; a test changes what it wants. */
static struct rkb_letter letter_of(const char *route, const char *channel, const char *pattern)
{
    struct rkb_letter letter = {.of = {
        [RKB_LETTER_CODE] = rkb_slice_text("expect"), [RKB_LETTER_REASON] = rkb_slice_text("/n: less than 0"),
        [RKB_LETTER_ROUTE] = rkb_slice_text(route), [RKB_LETTER_CHANNEL] = rkb_slice_text(channel),
        [RKB_LETTER_ID] = rkb_slice_text(ID), [RKB_LETTER_POSITION] = rkb_slice_text(POSITION),
        [RKB_LETTER_TIME] = rkb_slice_text(TIME)}};
    if (pattern != NULL)
        letter.of[RKB_LETTER_PATTERN] = rkb_slice_text(pattern);
    return letter;
}

/* The answer's line, or the code; valid until the next call. */
static const char *retry(struct world *world, const struct rkb_letter *letter, struct rkb_slice payload)
{
    static char said[80];
    uint16_t count;
    size_t size = rkb_letter_size(letter, &count);
    uint8_t *headers = malloc(size + 1);
    struct rkb_buffer out = {0};
    struct rkb_error error = {.text = ""};
    const char *code = "";
    rkb_letter_write(letter, headers);
    bool taken = rkb_retry(&world->relay, rkb_slice(headers, size), payload, &out, &code, &error);
    snprintf(said, sizeof said, "%.*s", (int)out.size, out.size > 0 ? (const char *)out.data : "");
    if (!taken) {
        assert_int_equal(out.size, 0);
        assert_true(error.text[0] != '\0');
        snprintf(said, sizeof said, "%s", code);
    }
    rkb_buffer_free(&out);
    free(headers);
    balance(world);
    return said;
}

static const char *retry_text(struct world *world, const char *route, const char *channel, const char *pattern,
                              const char *payload)
{
    struct rkb_letter letter = letter_of(route, channel, pattern);
    return retry(world, &letter, rkb_slice_text(payload));
}

static void open_routes(struct world *world)
{
    world_route(world, "all", LIST("exact"), LIST("u*", "*"));
    world_route(world, "other", LIST("o"), NULL);
    world_open(world);
    begin_stream(world);
    confirm_all(world);
}

/* As it was: under its UUID, position, time, channel and pattern; received anew. */
static void test_as_it_was(void **state)
{
    struct world *world = *state;
    struct taken taken[2];
    struct rkb_cursor cursor;
    open_routes(world);
    assert_string_equal(retry_text(world, "all", "user", "*", "again"), "taken\n");
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.received, 1);
    assert_int_equal(snapshot->totals.pending, 1);
    assert_int_equal(read_taken(world, 1, taken, 2), 1);
    assert_string_equal(taken[0].uuid, ID);
    assert_string_equal(taken[0].position, POSITION);
    assert_string_equal(taken[0].channel, "user");
    assert_string_equal(taken[0].pattern, "*");
    assert_string_equal(taken[0].payload, "again");
    struct rkb_record record = read_record(world, &cursor, taken[0].sequence);
    assert_int_equal(record.time_us, TIME_US);
    assert_int_equal(record.flags, RKB_FLAG_CHANNEL | RKB_FLAG_RETRIED);
    assert_int_equal(record.epoch, 0);
    assert_true(rkb_slice_equal(record.key, rkb_slice_text("user")));
    rkb_cursor_close(&cursor);
    world_kill(world);          /* and the next start does not take its time for when we were last there */
    world_open(world);
    assert_int_equal(world->store.recovery.last_time_us, now_us);
    assert_int_equal(balance(world)->totals.recovered, 1);
}

/* A pattern that is gone, or none: the route's own that takes the channel. Redis need not be there. */
static void test_its_subscription(void **state)
{
    static const struct {
        const char *channel, *pattern, *expected;
    } rows[] = {{"user", "gone*", "u*"}, {"exact", NULL, ""}, {"exact", "*", "*"}, {"zebra", NULL, "*"},
                {"zebra", "u*", "*"}};
    struct world *world = *state;
    struct taken taken[8];
    open_routes(world);
    lose(world, true, now_us);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(retry_text(world, "all", rows[i].channel, rows[i].pattern, "x"), "taken\n");
    assert_int_equal(read_taken(world, 1, taken, 8), 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(taken[i].pattern, rows[i].expected);
}

static void expect_refused(struct world *world, const char *said, const char *code)
{
    assert_string_equal(said, code);
    assert_int_equal(balance(world)->totals.received, 0);
}

static void test_what_is_refused(void **state)
{
    static const struct {
        enum rkb_letter_header header;
        const char *text;               /* NULL: without it */
        const char *code;
    } rows[] = {
        {RKB_LETTER_ROUTE, "gone", "unknown_route"},    {RKB_LETTER_ROUTE, NULL, "unknown_route"},
        {RKB_LETTER_ROUTE, "al", "unknown_route"},      {RKB_LETTER_ROUTE, "other", "no_channel"},
        {RKB_LETTER_CHANNEL, NULL, "bad_letter"},       {RKB_LETTER_ID, NULL, "bad_letter"},
        {RKB_LETTER_ID, "018bcfe5-6800-7000-8000-123456789ab", "bad_letter"},
        {RKB_LETTER_ID, "018BCFE5-6800-7000-8000-123456789abc", "bad_letter"},
        {RKB_LETTER_ID, "018bcfe5+6800-7000-8000-123456789abc", "bad_letter"},
        {RKB_LETTER_TIME, NULL, "bad_letter"},          {RKB_LETTER_TIME, "yesterday", "bad_letter"},
        {RKB_LETTER_TIME, "2023-13-01T10:00:00.123Z", "bad_letter"},
        {RKB_LETTER_TIME, "2023-11-01T10:00:00.12Zx", "bad_letter"},
        {RKB_LETTER_FORM, "record", "bad_letter"},
    };
    struct world *world = *state;
    open_routes(world);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_letter letter = letter_of("all", "user", "u*");
        letter.of[rows[i].header] = rows[i].text != NULL ? rkb_slice_text(rows[i].text) : rkb_slice(NULL, 0);
        expect_refused(world, retry(world, &letter, rkb_slice_text("x")), rows[i].code);
    }
}

/* Headers that are no headers area, and a position that is none: nothing of it gets into a value. */
static void test_garbage(void **state)
{
    struct world *world = *state;
    struct rkb_buffer out = {0};
    struct rkb_error error;
    struct taken taken[1];
    const char *code = "";
    uint8_t garbage[64];
    open_routes(world);
    for (int i = 0; i < 256; i++) {
        memset(garbage, i, sizeof garbage);
        assert_false(rkb_retry(&world->relay, rkb_slice(garbage, sizeof garbage), rkb_slice(NULL, 0), &out, &code,
                               &error));
        assert_string_equal(code, "bad_letter");
    }
    assert_int_equal(balance(world)->totals.received, 0);
    struct rkb_letter letter = letter_of("all", "user", "u*");
    letter.of[RKB_LETTER_POSITION] = rkb_slice_text("0\",\"evil\":\"1:2");
    assert_string_equal(retry(world, &letter, rkb_slice_text("x")), "taken\n");
    assert_int_equal(read_taken(world, 1, taken, 1), 1);
    assert_string_equal(taken[0].position, "unknown");
}

static struct rkb_letter last_letter(struct world *world, struct rkb_cursor *cursor, struct rkb_record *record)
{
    struct rkb_letter letter;
    *record = read_record(world, cursor, world->relay.next_sequence - 1);
    rkb_letter_read(record->headers, &letter);
    return letter;
}

/* By the rules of now: it fails again and is a new letter, of now, under its old UUID. */
static void test_it_fails_again(void **state)
{
    struct world *world = *state;
    struct rkb_cursor cursor;
    struct rkb_record record;
    char now[24];
    world_route(world, "all", NULL, LIST("u*"));
    world->routes[0].max_depth = 512;
    world->routes[0].require = RKB_REQUIRE_OBJECT;
    world_open(world);
    assert_string_equal(retry_text(world, "all", "user", "u*", "{}"), "taken\n");
    assert_string_equal(retry_text(world, "all", "user", "u*", "[]"), "dead_letter require\n");
    assert_int_equal(balance(world)->totals.received, 2);
    struct rkb_letter letter = last_letter(world, &cursor, &record);
    rkb_format_time(now, now_us);
    assert_int_equal(record.flags, RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | RKB_FLAG_RETRIED | RKB_FORM_RAW);
    assert_true(rkb_slice_equal(letter.of[RKB_LETTER_ID], rkb_slice_text(ID)));
    assert_true(rkb_slice_equal(letter.of[RKB_LETTER_POSITION], rkb_slice_text(POSITION)));
    assert_true(rkb_slice_equal(letter.of[RKB_LETTER_TIME], rkb_slice_text(TIME)));
    assert_true(rkb_slice_equal(letter.of[RKB_LETTER_ERROR_TIME], rkb_slice(now, sizeof now)));
    assert_true(rkb_slice_equal(letter.of[RKB_LETTER_CODE], rkb_slice_text("require")));
    assert_true(rkb_slice_equal(record.value, rkb_slice_text("[]")));
    rkb_cursor_close(&cursor);
}

static void test_filtered_and_missing(void **state)
{
    static struct rkb_filter_spec filter = {.kind = RKB_FILTER_EXISTS, .exists = true};
    struct world *world = *state;
    world_route(world, "all", NULL, LIST("u*"));
    filter.at = (char *)(uintptr_t)"/n";
    world->routes[0].filter.list = &filter;
    world->routes[0].filter.count = 1;
    world->routes[0].max_depth = 512;
    world->routes[0].value = (char *)(uintptr_t)"{\"m\":\"{{payload:/m}}\"}";
    world->routes[0].missing = RKB_MISSING_DROP;
    world_open(world);
    assert_string_equal(retry_text(world, "all", "user", "u*", "{}"), "filtered\n");
    assert_string_equal(retry_text(world, "all", "user", "u*", "{\"n\":1}"), "dropped missing\n");
    assert_string_equal(retry_text(world, "all", "user", "u*", "{\"n\":1,\"m\":2}"), "taken\n");
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.received, 3);
    assert_int_equal(snapshot->totals.filtered, 1);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_missing], 1);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 0);
}

/* What is read from Redis has its half of the ring; when there is room again, it goes. */
static void test_no_room_now(void **state)
{
    struct world *world = *state;
    open_routes(world);
    char *payload = calloc(1, 30000);
    memset(payload, 'x', 29999);
    int count = 0;
    const char *said;
    while (strcmp(said = retry_text(world, "all", "user", "u*", payload), "taken\n") == 0)
        assert_true(++count < 100);
    assert_string_equal(said, "busy");
    assert_true(world->relay.paused);           /* as after a message from Redis */
    assert_int_equal(balance(world)->totals.received, count);
    assert_true(rkb_ring_room(world->store.ring) >= rkb_ring_size(world->store.ring) / 2 - 40000);
    take(world);
    rkb_relay_look(&world->relay);
    assert_string_equal(retry_text(world, "all", "user", "u*", payload), "taken\n");
    free(payload);
    world->relay.stopping = true;
    assert_string_equal(retry_text(world, "all", "user", "u*", "x"), "stopping");
    world->relay.stopping = false;
}

static void test_a_full_journal(void **state)
{
    struct world *world = *state;
    open_small(world);
    uint64_t received = balance(world)->totals.received, dropped = balance(world)->totals.dropped;
    size_t gaps = rkb_gaps_count(world->store.gaps);
    assert_string_equal(retry_text(world, "all", "user", "u*", "x"), "busy");
    assert_int_equal(balance(world)->totals.received, received);
    assert_int_equal(balance(world)->totals.dropped, dropped);
    assert_int_equal(rkb_gaps_count(world->store.gaps), gaps);
}

/* One that no record has room for: it is where it was, and no gap. */
static void test_too_large(void **state)
{
    struct world *world = *state;
    open_routes(world);
    size_t size = world->relay.record_limit;
    char *payload = calloc(1, size + 1);
    memset(payload, 'x', size);
    assert_string_equal(retry_text(world, "all", "user", "u*", payload), "too_large");
    free(payload);
    assert_int_equal(balance(world)->totals.received, 0);
    assert_int_equal(balance(world)->totals.dropped, 0);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 0);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_world(test_as_it_was),      in_world(test_its_subscription), in_world(test_what_is_refused),
        in_world(test_garbage),        in_world(test_it_fails_again),   in_world(test_filtered_and_missing),
        in_world(test_no_room_now),    in_world(test_a_full_journal),   in_world(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
