/*
 * Tests of watch_published: a relay whose two connections go to two scripted Redis that have one address, as if they
 * were one. What the first sends and what the second counts, who it is and in which role, is the test's.
 */
#include "watch_support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/watch.h"
#include "redis/published.h"

#define OURS "id=7 addr=unix name=rkbridge:here omem=0 tot-mem=0\n"

enum { SELF, SERVER, REPLICATION, STATS, COMMANDS, REST };

/* What Redis says when it is asked. */
struct said {
    const char *run, *role, *history, *clients;
    unsigned uptime, calls, commands, resets;
    bool is_odd;                        /* it does not count as Redis does */
};

struct published_test {
    struct world *world;
    struct fake_redis *subscribed, *watched;
    char *directory, paths[2][100];
    struct said said;
    struct fake_script scripts[REST + 5];
    char replies[REST][512];
};

/* ---- what they say ---- */

static void answer(struct published_test *test, int what, const char *text)
{
    snprintf(test->replies[what], sizeof test->replies[what], "$%zu\r\n%s\r\n", strlen(text), text);
}

static void say(struct published_test *test)
{
    const struct said *said = &test->said;
    char text[400];
    answer(test, SELF, said->clients);
    snprintf(text, sizeof text, "redis_mode:standalone\r\nrun_id:%s\r\nuptime_in_seconds:%u\r\n", said->run,
             said->uptime);
    answer(test, SERVER, text);
    snprintf(text, sizeof text, "role:%s\r\nmaster_replid:%s\r\nmaster_link_status:down\r\n", said->role,
             said->history);
    answer(test, REPLICATION, text);
    snprintf(text, sizeof text,
             "total_connections_received:9\r\ntotal_commands_processed:%u\r\ntotal_net_input_bytes:9\r\n",
             said->commands);
    answer(test, STATS, text);
    snprintf(text, sizeof text, "cmdstat_info:calls=1,usec=1\r\ncmdstat_publish:calls=%s%u,usec=9\r\n"
             "cmdstat_config|resetstat:calls=%u,usec=3\r\n", said->is_odd ? "?" : "", said->calls, said->resets);
    answer(test, COMMANDS, text);
}

/* So many that came, each counted. */
static void publish(struct published_test *test, unsigned count)
{
    test->said.calls += count;
    say(test);
    while (count-- > 0)
        fake_redis_publish(test->subscribed, "u*", "user", "1");
}

static struct rkb_relay_source *source(const struct published_test *test)
{
    return source_of(test->world);
}

static int readings(const struct published_test *test)
{
    return times_in(fake_redis_heard(test->watched), "INFO commandstats");
}

/* Two more readings: the first of them is answered. */
static void look(struct published_test *test)
{
    int wanted = readings(test) + 2;
    UNTIL(test, readings(test) >= wanted);
}

/* ---- the two ---- */

/* Both are bound to one path, and that is what a client is told; then each has its own. */
static struct fake_redis *open_fake(struct published_test *test, int which)
{
    char bound[sizeof test->paths[0]];
    snprintf(bound, sizeof bound, "%s/redis", test->directory);
    snprintf(test->paths[which], sizeof test->paths[which], "%s/%d", test->directory, which);
    struct fake_redis *fake = fake_redis_new(test->world->base, bound, false);
    assert_int_equal(rename(bound, test->paths[which]), 0);
    return fake;
}

static void target(struct published_test *test, int which)
{
    struct rkb_redis_url *url = &test->world->source.url;
    url->is_unix = true;
    snprintf(url->host, sizeof url->host, "%s", test->paths[which]);
}

static void open_world(struct published_test *test)
{
    target(test, 0);                    /* the subscriber takes a copy */
    world_open(test->world);
    target(test, 1);
}

static int begin(void **state)
{
    struct published_test *test = calloc(1, sizeof *test);
    struct world *world = test->world = world_new();
    const struct fake_script scripts[] = {
        {"CLIENT LIST ID 7", test->replies[SELF]}, {"INFO server", test->replies[SERVER]},
        {"INFO replication", test->replies[REPLICATION]}, {"INFO stats", test->replies[STATS]},
        {"INFO commandstats", test->replies[COMMANDS]}, {"INFO modules", "$0\r\n\r\n"}, {"CONFIG GET dir", "-ERR\r\n"},
        {"CONFIG GET client-output-buffer-limit", "-ERR\r\n"}, {NULL, NULL}};
    memcpy(test->scripts, scripts, sizeof scripts);
    test->said = (struct said){.run = "one", .role = "master", .history = "first", .clients = OURS, .uptime = 1000,
                               .calls = 100, .commands = 1000, .resets = 1};
    say(test);
    test->directory = make_directory();
    world_route(world, "all", NULL, LIST("u*"));
    world->source.watch = 10000;
    world->source.connect_timeout = 5000000;
    world->source.allow_parallel = 1;
    test->subscribed = open_fake(test, 0);
    test->watched = open_fake(test, 1);
    fake_redis_rules(test->watched)->scripts = test->scripts;
    open_world(test);
    *state = test;
    return 0;
}

static int end(void **state)
{
    struct published_test *test = *state;
    world_kill(test->world);
    fake_redis_free(test->subscribed);
    fake_redis_free(test->watched);
    world_free(test->world);
    remove_directory(test->directory);
    free(test);
    return 0;
}

/* ---- what follows ---- */

static bool anchor(const struct published_test *test, struct rkb_published *out)
{
    uint8_t bytes[RKB_PUBLISHED_SIZE];
    if (!rkb_watch_anchor(source(test)->watch, bytes))
        return false;
    rkb_published_parse(bytes, out);
    return true;
}

/* Whether it counts from what Redis has counted by now. */
static bool is_anchored(const struct published_test *test)
{
    struct rkb_published at;
    return anchor(test, &at) && at.calls == test->said.calls;
}

static void start(struct published_test *test)
{
    rkb_relay_start(&test->world->relay, test->world->shipper);
    UNTIL(test, source(test)->subscribed);
}

static void cut(struct published_test *test)
{
    fake_redis_cut(test->subscribed);
    UNTIL(test, !source(test)->streaming);
}

/* The gap of that number is over, and waits for nothing. */
static const struct rkb_gap *over(struct published_test *test, size_t index)
{
    UNTIL(test, source(test)->subscribed && rkb_gaps_find_waiting(test->world->store.gaps, "legacy") == NULL);
    const struct rkb_gap *gap = gap_at(test->world, index);
    assert_true(gap->to_us > 0);
    return gap;
}

static void expect_unknown(struct published_test *test, size_t index, const char *reason)
{
    const struct rkb_gap *gap = over(test, index);
    assert_string_equal(gap->reason, reason);
    assert_true(gap->bound == RKB_BOUND_UNKNOWN);
}

/* What came is not missing, whether it came before the count was last asked for, or after. */
static void what_did_not_come(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    publish(test, 4);
    UNTIL(test, is_anchored(test));
    test->said.is_odd = true;
    say(test);
    look(test);
    publish(test, 3);
    UNTIL(test, source(test)->published == 7);
    cut(test);
    test->said.is_odd = false;
    test->said.calls += 5;
    say(test);
    const struct rkb_gap *gap = over(test, 0);
    assert_string_equal(gap->reason, "connection_lost");
    assert_int_equal(gap->bound, 5);
    cut(test);
    test->said.calls += 2;
    say(test);
    assert_int_equal(over(test, 1)->bound, 2);
}

/* What the count says is an anchor when all that was sent before it is here: not by the answer to an older PING. */
static void no_anchor_before_the_pong(void **state)
{
    struct published_test *test = *state;
    struct rkb_published at;
    fake_redis_rules(test->subscribed)->mute_pings = true;
    start(test);
    look(test);
    look(test);
    assert_false(anchor(test, &at));
    fake_redis_say(test->subscribed, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    look(test);
    assert_false(anchor(test, &at));
    fake_redis_rules(test->subscribed)->mute_pings = false;
    fake_redis_say(test->subscribed, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    UNTIL(test, is_anchored(test));
}

/* ---- another Redis, another role ---- */

/* It was told to be a replica, and has its old history until it hears its master. */
static void a_master_that_is_a_replica(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    cut(test);
    test->said.role = "slave";
    test->said.calls += 5;
    say(test);
    expect_unknown(test, 0, "connection_lost");
}

/* It was a replica in between, and is a master again: of another history. */
static void a_master_that_was_a_replica(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    cut(test);
    test->said.history = "second";
    test->said.calls += 5;
    say(test);
    expect_unknown(test, 0, "connection_lost");
}

/* What its master did not send it, it has not counted: so nothing is counted from it, their link being up or not. */
static void a_replica(void **state)
{
    struct published_test *test = *state;
    struct rkb_published at;
    test->said.role = "slave";
    say(test);
    start(test);
    look(test);
    look(test);
    assert_false(anchor(test, &at));
    cut(test);
    test->said.calls += 5;
    say(test);
    UNTIL(test, source(test)->subscribed);
    look(test);
    for (size_t i = 0; i < rkb_gaps_count(test->world->store.gaps); i++)
        assert_true(gap_at(test->world, i)->bound == RKB_BOUND_UNKNOWN && !gap_at(test->world, i)->has_anchor);
}

/* Promoted while we are away: what it did not get as a replica it has not counted as a master. */
static void a_replica_that_is_a_master(void **state)
{
    struct published_test *test = *state;
    test->said.role = "slave";
    say(test);
    start(test);
    look(test);
    cut(test);
    test->said.role = "master";
    test->said.history = "second";
    test->said.calls += 5;
    say(test);
    UNTIL(test, source(test)->subscribed);
    look(test);
    for (size_t i = 0; i < rkb_gaps_count(test->world->store.gaps); i++)
        assert_true(gap_at(test->world, i)->bound == RKB_BOUND_UNKNOWN);
}

/* What is missing in these, if anything, came or was published elsewhere: no count of Redis's tells. */
static void what_is_not_counted(void **state)
{
    static const char *const reasons[] = {"not_durable", "replica_link_down"};
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        assert_false(rkb_relay_open_gap(source(test), reasons[i], now_us)->has_anchor);
    assert_true(rkb_relay_open_gap(source(test), "connection_lost", now_us)->has_anchor);
}

/* One of another run: it was started since then, or has run before. */
static void another_run(void **state)
{
    static const struct { const char *run; unsigned uptime; const char *reason; } rows[] = {
        {"two", 0, "redis_restart"}, {"three", 2000, "another_node"}};
    struct published_test *test = *state;
    start(test);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        UNTIL(test, is_anchored(test));
        cut(test);
        test->said.run = rows[i].run;
        test->said.uptime = rows[i].uptime;
        test->said.calls += 5;
        say(test);
        expect_unknown(test, i, rows[i].reason);
    }
}

static void counters_that_were_reset(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    cut(test);
    test->said.resets++;
    test->said.calls += 5;
    say(test);
    expect_unknown(test, 0, "connection_lost");
    UNTIL(test, is_anchored(test));
    cut(test);
    test->said.calls += 5;
    say(test);
    assert_int_equal(over(test, 1)->bound, 5);
}

/* The Redis that is asked does not have us among its clients, or under this number another one. */
static void one_that_does_not_know_us(void **state)
{
    static const char *const rows[] = {"", "id=7 addr=unix name=another omem=0\n"};
    struct published_test *test = *state;
    struct rkb_published at;
    start(test);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        UNTIL(test, is_anchored(test));
        cut(test);
        test->said.clients = rows[i];
        test->said.calls += 5;
        say(test);
        expect_unknown(test, i, "connection_lost");
        look(test);
        publish(test, 1);
        UNTIL(test, source(test)->published == i + 1);
        assert_false(anchor(test, &at));
        test->said.clients = OURS;
        say(test);
    }
}

/* What came from a Redis that was not asked says nothing of the one that was, later either. */
static void what_another_sent(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    cut(test);
    test->said.clients = "";
    say(test);
    expect_unknown(test, 0, "connection_lost");
    fake_redis_publish(test->subscribed, "u*", "user", "not counted there");
    UNTIL(test, source(test)->published == 1);
    test->said.is_odd = true;           /* nothing to count anew from */
    say(test);
    look(test);
    cut(test);
    test->said.clients = OURS;
    say(test);
    UNTIL(test, source(test)->subscribed);
    look(test);
    cut(test);
    test->said.is_odd = false;
    test->said.calls += 5;
    say(test);
    expect_unknown(test, 2, "connection_lost");
}

/* Another run within a stream: what came since is not of the first, and that may come back. */
static void another_run_for_a_while(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    fake_redis_rules(test->subscribed)->mute_pings = true;      /* nothing to count anew from */
    test->said.run = "two";
    say(test);
    look(test);
    fake_redis_publish(test->subscribed, "u*", "user", "not counted there");
    UNTIL(test, source(test)->published == 1);
    cut(test);
    test->said.run = "one";
    test->said.calls += 5;
    say(test);
    expect_unknown(test, 0, "connection_lost");
}

/* Two addresses may be two Redis. */
static void one_at_another_address(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    fake_redis_free(test->watched);
    test->watched = fake_redis_new(test->world->base, NULL, false);
    fake_redis_rules(test->watched)->scripts = test->scripts;
    test->world->source.url = (struct rkb_redis_url){.host = "127.0.0.1", .port = fake_redis_port(test->watched)};
    look(test);
    cut(test);
    test->said.calls += 5;
    say(test);
    expect_unknown(test, 0, "connection_lost");
}

/* ---- late answers, none; killed ---- */

/* From now on it is asked each so often. */
static void open_again(struct published_test *test, int64_t period_us)
{
    world_kill(test->world);
    test->world->source.watch = period_us;
    open_world(test);
}

static const char *script_of(const struct published_test *test, const char *command)
{
    for (size_t i = 0; test->scripts[i].command != NULL; i++)
        if (strcmp(test->scripts[i].command, command) == 0)
            return test->scripts[i].reply;
    return "+OK\r\n";
}

/* It answers again: what it heard from there on, in that order. */
static void answer_at_last(struct published_test *test, size_t from)
{
    char *heard = strdup(fake_redis_heard(test->watched) + from), *rest;
    fake_redis_rules(test->watched)->mute = false;
    for (char *line = strtok_r(heard, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
        fake_redis_say(test->watched, script_of(test, line));
    free(heard);
}

/* What was asked for before all subscriptions stood says nothing of what was published until then. */
static void an_answer_from_before(void **state)
{
    struct published_test *test = *state;
    open_again(test, SECOND / 2);       /* a gap waits for three of these */
    start(test);
    UNTIL(test, is_anchored(test));
    fake_redis_rules(test->subscribed)->confirmations = 0;
    cut(test);
    UNTIL(test, source(test)->streaming);
    size_t from = strlen(fake_redis_heard(test->watched));
    int wanted = readings(test) + 1;
    fake_redis_rules(test->watched)->mute = true;
    UNTIL(test, readings(test) >= wanted);
    fake_redis_say(test->subscribed, "*3\r\n$10\r\npsubscribe\r\n$2\r\nu*\r\n:1\r\n");
    UNTIL(test, source(test)->subscribed);
    answer_at_last(test, from);
    test->said.calls += 5;
    say(test);
    assert_int_equal(over(test, 1)->bound, 5);
}

/* A gap does not wait for ever. */
static void nobody_tells(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    fake_redis_rules(test->watched)->mute = true;
    cut(test);
    expect_unknown(test, 0, "connection_lost");
}

/* Killed before the second was over: a mark has what a bound is counted from as soon as there is any. */
static void killed_while_it_read(void **state)
{
    struct published_test *test = *state;
    start(test);
    UNTIL(test, is_anchored(test));
    test->said.is_odd = true;
    publish(test, 3);
    UNTIL(test, source(test)->published == 3);
    world_kill(test->world);
    test->said.is_odd = false;
    test->said.calls += 6;
    say(test);
    now_us += SECOND;
    open_world(test);
    start(test);
    const struct rkb_gap *gap = over(test, 0);
    assert_string_equal(gap->reason, "restart");
    assert_int_equal(gap->bound, 6);
}

/* Killed while a gap was over and waited for its bound: the next start goes on with it. */
static void killed_while_a_gap_waits(void **state)
{
    struct published_test *test = *state;
    open_again(test, 3600 * SECOND);        /* it waits for three of these */
    start(test);
    UNTIL(test, is_anchored(test));
    fake_redis_rules(test->watched)->mute = true;
    cut(test);
    test->said.calls += 5;
    say(test);
    UNTIL(test, source(test)->subscribed);
    world_kill(test->world);
    fake_redis_rules(test->watched)->mute = false;
    test->world->source.watch = 10000;
    test->said.calls += 4;
    say(test);
    open_world(test);
    assert_int_equal(rkb_gaps_count(test->world->store.gaps), 2);       /* and the first start's, which is over */
    assert_int_equal(gap_at(test->world, 1)->to_us, 0);
    start(test);
    const struct rkb_gap *gap = over(test, 1);
    assert_string_equal(gap->reason, "connection_lost");
    assert_int_equal(gap->bound, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_did_not_come),
        TEST(no_anchor_before_the_pong),
        TEST(a_master_that_is_a_replica),
        TEST(a_master_that_was_a_replica),
        TEST(a_replica),
        TEST(a_replica_that_is_a_master),
        TEST(what_is_not_counted),
        TEST(another_run),
        TEST(counters_that_were_reset),
        TEST(one_that_does_not_know_us),
        TEST(what_another_sent),
        TEST(another_run_for_a_while),
        TEST(one_at_another_address),
        TEST(an_answer_from_before),
        TEST(nobody_tells),
        TEST(killed_while_it_read),
        TEST(killed_while_a_gap_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
