/*
 * What Redis counts of PUBLISH, and the bounds that follow from two readings: the sum, and each case in which there is
 * none, since it would be too low.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "redis/published.h"

/* What a Redis 7 says, in the order in which it is asked. */
static const char *const redis_7[] = {
    "# Server", "redis_version:7.0.15", "redis_mode:standalone", "run_id:f29e2a0c2d8e4f6a8b0c1d3e5f7a9b1c3d5e7f90",
    "uptime_in_seconds:3600", "uptime_in_days:0", "# Replication", "role:master", "connected_slaves:0",
    "master_replid:0102030405060708090a0b0c0d0e0f1011121314", "master_replid2:0000000000000000000000000000000000000000",
    "# Stats", "total_connections_received:12", "total_commands_processed:5000", "total_net_input_bytes:700000",
    "# Modules", "module:name=ReJSON,ver=20807,api=1", "# Commandstats",
    "cmdstat_config|resetstat:calls=1,usec=210,usec_per_call=210.00,rejected_calls=0,failed_calls=0",
    "cmdstat_config|get:calls=9,usec=1000,usec_per_call=111.11", "cmdstat_info:calls=77,usec=9000,usec_per_call=116.88",
    "cmdstat_publish:calls=4000,usec=8000,usec_per_call=2.00,rejected_calls=0,failed_calls=0", NULL};

/* Reads these; a line that begins like `instead` is replaced by it, and one of another Redis added. */
static const char *read_with(const char *instead, const char *more, bool events, struct rkb_published *published)
{
    struct rkb_published_reading reading = {0};
    size_t same = instead != NULL ? strcspn(instead, ":") + 1 : 0;
    for (size_t i = 0; redis_7[i] != NULL; i++) {
        bool is_replaced = same > 0 && strncmp(redis_7[i], instead, same) == 0;
        rkb_published_line(&reading, rkb_slice_text(is_replaced ? instead : redis_7[i]));
    }
    if (more != NULL)
        rkb_published_line(&reading, rkb_slice_text(more));
    return rkb_published_end(&reading, events, published);
}

static void what_redis_says_is_read(void **state)
{
    (void)state;
    struct rkb_published read;
    assert_null(read_with(NULL, NULL, false, &read));
    assert_true(read.run != 0 && read.history != 0 && read.run != read.history);
    assert_int_equal(read.uptime, 3600);
    assert_int_equal(read.calls, 4000);
    assert_int_equal(read.microseconds, 8000);
    assert_int_equal(read.commands, 5000);
    assert_int_equal(read.connections, 12);
    assert_int_equal(read.input, 700000);
    assert_int_equal(read.resets, 1);
    assert_int_equal(read.resets_microseconds, 210);
    assert_int_equal(read.config, 0);
    assert_int_equal(read.received, 0);
    assert_null(read_with(NULL, "cmdstat_config:calls=31,usec=5,usec_per_call=0.16", false, &read));
    assert_int_equal(read.config, 31);
}

/* No PUBLISH yet is no line; so it counts 0, where the others are counted. */
static void nothing_published_yet(void **state)
{
    (void)state;
    struct rkb_published_reading reading = {0};
    struct rkb_published read;
    for (size_t i = 0; redis_7[i + 1] != NULL; i++)
        rkb_published_line(&reading, rkb_slice_text(redis_7[i]));
    assert_null(rkb_published_end(&reading, false, &read));
    assert_int_equal(read.calls, 0);
}

static void what_tells_nothing(void **state)
{
    (void)state;
    static const struct { const char *instead, *more, *why; } rows[] = {
        {"run_id:", NULL, "run_id"},
        {"redis_mode:cluster", NULL, "cluster"},
        {"redis_mode:sentinel", NULL, "cluster"},
        {"role:slave", NULL, "replica"},
        {"master_replid:", NULL, "master_replid"},
        {"total_commands_processed:?", NULL, "count its commands"},
        {"total_connections_received:", NULL, "count its commands"},
        {"total_net_input_bytes:x", NULL, "count its commands"},
        {"cmdstat_publish:calls=x", NULL, "count its commands"},
        {"cmdstat_publish:usec=4", NULL, "count its commands"},
        {NULL, "module:name=mine,ver=1", "module"},
        {NULL, "module:name=searching,ver=1", "module"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_published read;
        const char *why = read_with(rows[i].instead, rows[i].more, false, &read);
        if (why == NULL || strstr(why, rows[i].why) == NULL)
            fail_msg("row %zu: %s", i, why == NULL ? "good" : why);
        assert_int_equal(read.run, 0);
    }
    struct rkb_published_reading nothing = {0};
    struct rkb_published read;
    assert_non_null(rkb_published_end(&nothing, false, &read));
}

/* A server that has no statistics of commands as Redis has them says so by their absence. */
static void without_statistics_of_commands(void **state)
{
    (void)state;
    struct rkb_published_reading reading = {0};
    struct rkb_published read;
    for (size_t i = 0; strcmp(redis_7[i], "# Commandstats") != 0; i++)
        rkb_published_line(&reading, rkb_slice_text(redis_7[i]));
    assert_non_null(rkb_published_end(&reading, false, &read));
    rkb_published_line(&reading, rkb_slice_text("# Commandstats"));
    rkb_published_line(&reading, rkb_slice_text("cmdstat_PUBLISH:calls=4,usec=1"));
    assert_non_null(rkb_published_end(&reading, false, &read));
    rkb_published_line(&reading, rkb_slice_text("cmdstat_info:calls=1,usec=1"));
    assert_null(rkb_published_end(&reading, false, &read));
}

static const char *with_setting(const char *name, const char *value)
{
    struct rkb_published_reading reading = {0};
    struct rkb_published read;
    for (size_t i = 0; redis_7[i] != NULL; i++)
        rkb_published_line(&reading, rkb_slice_text(redis_7[i]));
    if (name != NULL)
        rkb_published_setting(&reading, rkb_slice_text(name));
    if (value != NULL)
        rkb_published_setting(&reading, rkb_slice_text(value));
    return rkb_published_end(&reading, true, &read);
}

static void events_are_not_counted(void **state)
{
    (void)state;
    assert_null(with_setting("notify-keyspace-events", NULL));
    assert_non_null(with_setting("notify-keyspace-events", "KEA"));
    assert_non_null(with_setting(NULL, NULL));
    struct rkb_published read;
    assert_null(read_with(NULL, NULL, false, &read));
    assert_non_null(read_with(NULL, NULL, true, &read));
}

static const struct rkb_published before = {.run = 1, .history = 2, .uptime = 100, .calls = 1000, .microseconds = 2000,
                                            .commands = 3000, .connections = 40, .input = 50000, .config = 5,
                                            .resets = 1, .resets_microseconds = 77};

static struct rkb_published later(void)
{
    struct rkb_published after = before;
    after.uptime += 10;
    after.calls += 30;
    after.microseconds += 60;
    after.commands += 90;
    after.connections += 2;
    after.input += 900;
    after.config += 1;
    return after;
}

static void the_bound(void **state)
{
    (void)state;
    struct rkb_published after = later();
    uint64_t bound = 99;
    assert_int_equal(rkb_published_bound(&before, &after, 10, 0, &bound), RKB_PUBLISHED_SAME);
    assert_int_equal(bound, 30);
    assert_int_equal(rkb_published_bound(&before, &after, 10, 29, &bound), RKB_PUBLISHED_SAME);
    assert_int_equal(bound, 1);
    assert_int_equal(rkb_published_bound(&before, &after, 10, 30, &bound), RKB_PUBLISHED_SAME);
    assert_int_equal(bound, 0);
    assert_int_equal(rkb_published_bound(&before, &before, 0, 0, &bound), RKB_PUBLISHED_SAME);
    assert_int_equal(bound, 0);
}

static void expect_none(const struct rkb_published *after, uint64_t received, enum rkb_published_news news)
{
    uint64_t bound = 99;
    assert_int_equal(rkb_published_bound(&before, after, 10, received, &bound), news);
    assert_int_equal(bound, 99);
    assert_true(strlen(rkb_published_why(news)) > 10);
}

static void no_bound_between_two_runs(void **state)
{
    (void)state;
    struct rkb_published after = later();
    after.run = 3;
    after.uptime = 12;
    expect_none(&after, 0, RKB_PUBLISHED_RESTARTED);
    after.uptime = 13;                  /* it ran before we lost the other */
    expect_none(&after, 0, RKB_PUBLISHED_ANOTHER_NODE);
    after = later();
    after.history = 9;
    expect_none(&after, 0, RKB_PUBLISHED_ANOTHER_ROLE);
    after = (struct rkb_published){0};
    expect_none(&after, 0, RKB_PUBLISHED_UNKNOWN);
    uint64_t bound;
    const struct rkb_published nothing = {0};
    after = later();
    assert_int_equal(rkb_published_bound(&nothing, &after, 10, 0, &bound), RKB_PUBLISHED_UNKNOWN);
}

/* CONFIG RESETSTAT, also where what was counted since has overtaken what was; a clock that went back. */
static void no_bound_over_a_reset(void **state)
{
    (void)state;
    size_t fields[] = {offsetof(struct rkb_published, uptime), offsetof(struct rkb_published, calls),
                       offsetof(struct rkb_published, microseconds), offsetof(struct rkb_published, commands),
                       offsetof(struct rkb_published, connections), offsetof(struct rkb_published, input),
                       offsetof(struct rkb_published, config), offsetof(struct rkb_published, resets),
                       offsetof(struct rkb_published, resets_microseconds)};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        struct rkb_published after = later();
        uint64_t value;
        memcpy(&value, (const char *)&before + fields[i], sizeof value);
        value--;
        memcpy((char *)&after + fields[i], &value, sizeof value);
        expect_none(&after, 0, RKB_PUBLISHED_RESET);
    }
    struct rkb_published after = later();
    after.resets_microseconds++;
    expect_none(&after, 0, RKB_PUBLISHED_RESET);
    after = later();
    after.resets++;
    expect_none(&after, 0, RKB_PUBLISHED_RESET);
}

static void more_received_than_counted(void **state)
{
    (void)state;
    struct rkb_published after = later();
    expect_none(&after, 31, RKB_PUBLISHED_MISCOUNTED);
}

static void what_is_written_comes_back(void **state)
{
    (void)state;
    static const uint8_t first[] = {1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 100, 0};
    struct rkb_published written = before, back;
    uint8_t bytes[RKB_PUBLISHED_SIZE];
    written.received = UINT64_C(0x1122334455667788);
    rkb_published_write(&written, bytes);
    assert_memory_equal(bytes, first, sizeof first);
    assert_memory_equal(bytes + 88, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
    rkb_published_parse(bytes, &back);
    assert_memory_equal(&back, &written, sizeof back);
}

static void names_of_events(void **state)
{
    (void)state;
    static const struct { bool is_pattern, may; const char *name; } rows[] = {
        {false, true, "__keyspace@0__:a"}, {false, true, "__keyevent@0__:expired"},
        {false, true, "__redis__:invalidate"}, {false, false, "__keyspace"}, {false, false, "user_created"},
        {false, false, "*"}, {false, false, ""},
        {true, true, "*"}, {true, true, "__key*"}, {true, true, "__keyevent@*__:expired"}, {true, true, "?_key*"},
        {true, true, "[_u]*"}, {true, true, "\\__keyspace@0__:*"}, {true, true, "__redis__*"},
        {true, false, "user.*"}, {true, false, "?ser.*"}, {true, false, "__key"}, {true, false, "??"},
        {true, false, "\\*"}, {true, false, "_user*"}, {true, false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rkb_published_may_match_events(rows[i].is_pattern, rkb_slice_text(rows[i].name)) != rows[i].may)
            fail_msg("%s %s", rows[i].is_pattern ? "pattern" : "channel", rows[i].name);
    assert_true(rkb_published_is_event(rkb_slice_text("__keyevent@3__:del")));
    assert_false(rkb_published_is_event(rkb_slice_text("__keyevents")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_redis_says_is_read), cmocka_unit_test(nothing_published_yet),
        cmocka_unit_test(what_tells_nothing), cmocka_unit_test(without_statistics_of_commands),
        cmocka_unit_test(events_are_not_counted), cmocka_unit_test(the_bound),
        cmocka_unit_test(no_bound_between_two_runs), cmocka_unit_test(no_bound_over_a_reset),
        cmocka_unit_test(more_received_than_counted), cmocka_unit_test(what_is_written_comes_back),
        cmocka_unit_test(names_of_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
