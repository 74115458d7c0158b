/*
 * What a check does not let through: its dead letter in the ring, byte for byte, with why, where and when; what becomes
 * of it when there is no room. The books have to balance at every step.
 */
#include "relay_world.h"
#include "times_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "daemon/reject.h"
#include "message/letter.h"

#define CODE "expect"
#define REASON "/count: less than 0"

/* As the relay does it in between counting a message and writing its record. */
static void reject(struct world *world, const char *channel, const char *pattern, struct rkb_slice payload)
{
    struct rkb_relay_source *source = source_of(world);
    struct rkb_relay_route *route = &world->relay.routes[0];
    struct rkb_arrival arrival = {.source = source, .route = route, .payload = payload, .time_us = now_us,
                                  .now_us = now_us};
    struct rkb_verdict verdict = {.kind = RKB_REJECTED, .code = CODE, .reason = REASON};
    struct rkb_facts facts = {.channel.plain = rkb_slice_text(channel), .pattern.plain = rkb_slice_text(pattern),
                              .payload = payload};
    uint8_t uuid[16];
    world->relay.tallies[route->number].received++;
    rkb_stream_count(&source->stream, true, rkb_slice_text("u*"), 0, facts.channel.plain, payload, uuid);
    rkb_uuid_text(facts.uuid, uuid);
    arrival.epoch = source->stream.mark.epoch;
    arrival.count = source->stream.count;
    if (source->dropping)
        rkb_relay_drop(source, route, RKB_DROP_journal_full, now_us);
    else
        rkb_relay_reject(&arrival, &facts, &verdict);
    if (!source->dropping && verdict.kind == RKB_DROPPED)
        rkb_relay_drop(source, route, rkb_relay_drop_reason(verdict.code), now_us);
}

static void open_with(struct world *world, const char *dead_letter)
{
    world_route(world, "all", NULL, LIST("u*"));
    world->routes[0].dead_letter = (char *)(uintptr_t)dead_letter;
    world_open(world);
    begin_stream(world);
    confirm_all(world);
}

static struct rkb_record last_record(struct world *world, struct rkb_cursor *cursor)
{
    return read_record(world, cursor, world->relay.next_sequence - 1);
}

static void expect_header(const struct rkb_letter *letter, enum rkb_letter_header header, const char *text)
{
    if (!rkb_slice_equal(letter->of[header], rkb_slice_text(text)))
        fail_msg("header %d is \"%.*s\" instead of \"%s\"", header, (int)letter->of[header].size,
                 letter->of[header].data, text);
}

/* The payload as it came, whatever it is, under its channel, with all there is to know. */
static void test_the_letter(void **state)
{
    static const uint8_t payload[] = {0xff, 0, '{', '"', 0xc3, '\n'};
    struct world *world = *state;
    struct rkb_cursor cursor;
    struct rkb_letter letter;
    char time[25] = "", position[RKB_POSITION_TEXT + 1] = "";
    open_with(world, "letters");
    copy_of(world, "u*", "user", "before");
    reject(world, "user", "u*", rkb_slice(payload, sizeof payload));
    balance(world);
    struct rkb_record record = last_record(world, &cursor);
    const struct rkb_dictionary *names = world->store.dictionary;
    assert_int_equal(record.kind, RKB_MESSAGE);
    assert_int_equal(record.flags, RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | 1);
    assert_string_equal(rkb_dictionary_name(names, RKB_NAME_TOPIC, record.topic), "letters");
    assert_string_equal(rkb_dictionary_name(names, RKB_NAME_ROUTE, record.route), "all");
    assert_true(record.has_key && rkb_slice_equal(record.key, rkb_slice_text("user")));
    assert_true(rkb_slice_equal(record.value, rkb_slice(payload, sizeof payload)));
    assert_int_equal(record.time_us, now_us);
    assert_int_equal(record.epoch, source_of(world)->stream.mark.epoch);
    assert_int_equal(record.count, 2);
    rkb_letter_read(record.headers, &letter);
    rkb_format_time(time, now_us);
    rkb_position_text(position, &source_of(world)->stream);
    expect_header(&letter, RKB_LETTER_CODE, CODE);
    expect_header(&letter, RKB_LETTER_REASON, REASON);
    expect_header(&letter, RKB_LETTER_ERROR_TIME, time);
    expect_header(&letter, RKB_LETTER_ROUTE, "all");
    expect_header(&letter, RKB_LETTER_SOURCE, "legacy");
    expect_header(&letter, RKB_LETTER_CHANNEL, "user");
    expect_header(&letter, RKB_LETTER_PATTERN, "u*");
    expect_header(&letter, RKB_LETTER_POSITION, position);
    expect_header(&letter, RKB_LETTER_TIME, time);
    assert_int_equal(letter.of[RKB_LETTER_ID].size, 36);
    assert_null(letter.of[RKB_LETTER_TOPIC].data);
    assert_null(letter.of[RKB_LETTER_FORM].data);
    assert_int_equal(record.header_count, 10);
    rkb_cursor_close(&cursor);
}

/* Without a topic, without a pattern, with an empty channel and nothing in it. */
static void test_the_least_letter(void **state)
{
    struct world *world = *state;
    struct rkb_cursor cursor;
    struct rkb_letter letter;
    open_with(world, NULL);
    reject(world, "", "", rkb_slice(NULL, 0));
    balance(world);
    struct rkb_record record = last_record(world, &cursor);
    assert_int_equal(record.topic, 0);
    assert_true(record.has_key);
    assert_int_equal(record.key.size + record.value.size, 0);
    rkb_letter_read(record.headers, &letter);
    expect_header(&letter, RKB_LETTER_CHANNEL, "");
    assert_non_null(letter.of[RKB_LETTER_CHANNEL].data);
    assert_null(letter.of[RKB_LETTER_PATTERN].data);
    rkb_cursor_close(&cursor);
}

/* Pending until it is settled, and recovered by the next start. */
static void test_the_books(void **state)
{
    struct world *world = *state;
    open_with(world, "letters");
    for (int i = 0; i < 10; i++) {
        copy_of(world, "u*", "user", "good");
        reject(world, "user", "u*", rkb_slice_text("bad"));
        assert_int_equal(balance(world)->totals.pending, 2 * i + 2);
    }
    take(world);
    assert_int_equal(balance(world)->totals.received, 20);
    world_kill(world);
    world_open(world);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.recovered, 20);
    assert_int_equal(snapshot->totals.pending, 20);
}

static void test_no_room(void **state)
{
    struct world *world = *state;
    open_small(world);
    uint64_t before = balance(world)->totals.dropped;
    char payload[3000];
    memset(payload, 'x', sizeof payload);
    while (!source_of(world)->dropping) {
        reject(world, "user", "u*", rkb_slice(payload, sizeof payload));
        balance(world);
    }
    reject(world, "user", "u*", rkb_slice(payload, sizeof payload));
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->totals.dropped, before + 2);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_journal_full], snapshot->totals.dropped);
    assert_int_equal(rkb_gaps_count(world->store.gaps), 1);
    assert_string_equal(gap_at(world, 0)->reason, "journal_full");
}

static void test_too_large(void **state)
{
    struct world *world = *state;
    open_with(world, NULL);
    size_t size = world->relay.record_limit;
    char *payload = calloc(1, size);
    reject(world, "user", "u*", rkb_slice(payload, size));
    reject(world, "user", "u*", rkb_slice(payload, size - 1000));
    free(payload);
    const struct rkb_snapshot *snapshot = balance(world);
    assert_int_equal(snapshot->dropped_by_reason[RKB_DROP_too_large], 1);
    assert_int_equal(snapshot->totals.pending, 1);
    assert_string_equal(gap_at(world, 0)->reason, "too_large");
}

/* A flood is one line a second, and the next one says how many were not told. */
static void test_a_flood(void **state)
{
    struct world *world = *state;
    FILE *file = tmpfile();
    struct rkb_log *log = rkb_log_new(fileno(file), RKB_LOG_INFO, RKB_LOG_TEXT, NULL);
    char lines[8192] = "";
    open_with(world, NULL);
    world->relay.options.log = log;
    for (int second = 0; second < 3; second++) {
        for (int i = 0; i < 100; i++)
            reject(world, "user", "u*", rkb_slice_text("the secret"));
        now_us += SECOND;
    }
    rkb_log_free(log, 10000);
    world->relay.options.log = NULL;
    rewind(file);
    assert_true(fread(lines, 1, sizeof lines - 1, file) > 0);
    fclose(file);
    assert_int_equal(times_in(lines, "event=message_rejected"), 3);
    assert_int_equal(times_in(lines, "route all is a dead letter (" CODE "): " REASON), 3);
    assert_int_equal(times_in(lines, "; so are 99 before it"), 2);
    assert_int_equal(times_in(lines, "secret"), 0);
}

#define in_world(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_world(test_the_letter), in_world(test_the_least_letter), in_world(test_the_books), in_world(test_no_room),
        in_world(test_too_large),  in_world(test_a_flood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
