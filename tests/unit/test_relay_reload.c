/*
 * The relay from one config to the next: a real ring and journal, and a subscriber on a scripted Redis that says when
 * each source turns. Copies of messages stand before and behind the turn, and each message is taken once, by the
 * right config.
 */
#include "relay_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/metrics.h"
#include "daemon/relay_reload.h"
#include "fake_redis.h"
#include "times_in.h"

#define PONG "*2\r\n$4\r\npong\r\n$0\r\n\r\n"

/* Beside the world: Redis, and the config that is to come. */
struct stage {
    struct world *world;
    struct fake_redis *fake;
    struct rkb_config config;
    struct rkb_config_route routes[MOST_ROUTES];
    char *names[MOST_ROUTES][2][4];
    int changed;
    char taken[2000];
};

static char *text(const char *constant)
{
    return (char *)(uintptr_t)constant;
}

static size_t list(char *out[4], const char *const *names)
{
    size_t count = 0;
    for (; names != NULL && names[count] != NULL; count++)
        out[count] = text(names[count]);
    return count;
}

/* A route of the config that is to come. */
static void next_route(struct stage *stage, const char *name, const char *topic, const char *const *channels,
                       const char *const *patterns)
{
    size_t i = stage->config.route_count++;
    stage->routes[i] = stage->world->routes[0];
    stage->routes[i].name = text(name);
    stage->routes[i].topic = text(topic);
    stage->routes[i].channels = (struct rkb_texts){stage->names[i][0], list(stage->names[i][0], channels)};
    stage->routes[i].patterns = (struct rkb_texts){stage->names[i][1], list(stage->names[i][1], patterns)};
}

static void until_heard(struct stage *stage, const char *what, int times)
{
    for (int turns = 0, seen = 0; seen < times; turns++) {
        assert_true(turns < 10000);
        event_base_loop(stage->world->base, EVLOOP_ONCE);
        seen = times_in(fake_redis_heard(stage->fake), what);
    }
}

static void until_subscribed(struct stage *stage)
{
    for (int turns = 0; !source_of(stage->world)->subscribed; turns++) {
        assert_true(turns < 10000);
        event_base_loop(stage->world->base, EVLOOP_ONCE);
    }
}

static void until_changed(struct stage *stage, int times)
{
    for (int turns = 0; stage->changed < times; turns++) {
        assert_true(turns < 10000);
        event_base_loop(stage->world->base, EVLOOP_ONCE);
    }
}

/* Opens the world with the routes it has, subscribed. The config that is to come is empty. */
static void open_stage(struct stage *stage)
{
    char url[64];
    struct rkb_error error;
    struct world *world = stage->world;
    stage->fake = fake_redis_new(world->base, NULL, false);
    snprintf(url, sizeof url, "redis://127.0.0.1:%d", fake_redis_port(stage->fake));
    assert_true(rkb_redis_url_parse(url, &world->source.url, &error));
    world_open(world);
    stage->config = world->config;
    stage->config.routes = stage->routes;
    stage->config.route_count = 0;
    rkb_subscriber_start(source_of(world)->subscriber);
    until_subscribed(stage);
}

static void on_changed(void *context)
{
    struct stage *stage = context;
    stage->changed++;
}

static bool prepare(struct stage *stage, struct rkb_routing **routing, struct rkb_relay_limits *limits,
                    struct rkb_error *error)
{
    *routing = rkb_routing_new(&stage->config, error);
    assert_non_null(*routing);
    return rkb_relay_prepare(&stage->world->relay, *routing, limits, error);
}

/* What the daemon does; the turn comes with Redis's PONG. */
static void change(struct stage *stage)
{
    struct world *world = stage->world;
    struct rkb_routing *routing;
    struct rkb_relay_limits limits;
    struct rkb_error error = {0};
    if (!prepare(stage, &routing, &limits, &error))
        fail_msg("%s", error.text);
    struct rkb_shipper_table *table = rkb_shipper_table_new(world->shipper, limits.routes, limits.topics);
    assert_non_null(table);
    assert_true(rkb_view_widen(world->view, stage->config.route_count));
    rkb_shipper_offer(world->shipper, table);
    rkb_relay_change(&world->relay, routing, &limits, on_changed, stage);
    rkb_view_reload(world->view);
}

/* And waits until it is in force. */
static void change_whole(struct stage *stage)
{
    int before = stage->changed;
    change(stage);
    until_changed(stage, before + 1);
    take(stage->world);
    assert_true(rkb_shipper_took_up(stage->world->shipper));
    rkb_relay_forget(&stage->world->relay);
    rkb_view_reload(stage->world->view);
    balance(stage->world);
}

/* All that is taken so far, each as "topic:channel:payload ". */
static const char *taken(struct stage *stage)
{
    struct world *world = stage->world;
    struct taken records[64];
    struct rkb_cursor cursor = {0};
    size_t count = read_taken(world, 1, records, 64), used = 0;
    stage->taken[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        struct rkb_record record = read_record(world, &cursor, records[i].sequence);
        const char *topic = rkb_dictionary_name(world->relay.dictionary, RKB_NAME_TOPIC, record.topic);
        used += (size_t)snprintf(stage->taken + used, sizeof stage->taken - used, "%s:%s:%s ", topic,
                                 records[i].channel, records[i].payload);
        rkb_cursor_close(&cursor);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(records[i].uuid, records[j].uuid);
    }
    return stage->taken;
}

/* As TCP brings it, which may take its time. */
static void expect_taken(struct stage *stage, const char *wanted)
{
    time_t end = time(NULL) + 10;
    const struct timespec little = {0, 200000};
    while (strlen(taken(stage)) < strlen(wanted) && time(NULL) < end) {
        nanosleep(&little, NULL);
        event_base_loop(stage->world->base, EVLOOP_NONBLOCK);
    }
    assert_string_equal(taken(stage), wanted);
}

/* Changes, with what `before` publishes ahead of the turn and `behind` behind it; all arrives in one read. */
static void turn_between(struct stage *stage, void (*before)(struct fake_redis *), void (*behind)(struct fake_redis *))
{
    int changed = stage->changed;
    fake_redis_rules(stage->fake)->mute_pings = true;
    change(stage);
    until_heard(stage, "PING\n", changed + 1);
    before(stage->fake);
    fake_redis_say(stage->fake, PONG);
    behind(stage->fake);
    until_changed(stage, changed + 1);
}

static void publish_u(struct fake_redis *fake)
{
    fake_redis_publish(fake, "u*", "user", "1");
}

/* The thin line: what waits goes where it was meant to go, what comes behind the turn goes to the new topic. */
static void another_topic(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "all", NULL, LIST("u*"));
    open_stage(stage);
    next_route(stage, "all", "other", NULL, LIST("u*"));
    turn_between(stage, publish_u, publish_u);
    expect_taken(stage, "all:user:1 other:user:1 ");
    assert_int_equal(balance(stage->world)->totals.received, 2);
    assert_null(strstr(fake_redis_heard(stage->fake), "UNSUBSCRIBE"));
    assert_int_equal(rkb_gaps_count(stage->world->store.gaps), 0);
}

static int no_chance(void *data, size_t size)
{
    (void)data;
    (void)size;
    errno = EIO;
    return -1;
}

/*
 * No mark can be cut at the turn: the numbers of copies go on, so that two messages that are alike differ in their
 * UUIDs.
 */
static void no_mark_at_the_turn(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "all", NULL, LIST("u*"));
    open_stage(stage);
    next_route(stage, "all", "other", NULL, LIST("u*"));
    fake_redis_rules(stage->fake)->mute_pings = true;
    change(stage);
    until_heard(stage, "PING\n", 1);
    struct rkb_sys *sys = (struct rkb_sys *)(uintptr_t)stage->world->relay.options.sys;
    sys->random = no_chance;
    publish_u(stage->fake);
    fake_redis_say(stage->fake, PONG);
    publish_u(stage->fake);
    expect_taken(stage, "all:user:1 other:user:1 ");
}

static void both_copies(struct fake_redis *fake)
{
    fake_redis_publish(fake, NULL, "user", "1");
    fake_redis_publish(fake, "u*", "user", "1");
}

/* From a pattern to an exact one: both stand for a while, and one of them counts. */
static void from_a_pattern_to_a_name(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "pattern", NULL, LIST("u*"));
    open_stage(stage);
    next_route(stage, "name", "name", LIST("user"), NULL);
    turn_between(stage, both_copies, both_copies);
    expect_taken(stage, "pattern:user:1 name:user:1 ");
    assert_int_equal(balance(stage->world)->totals.received, 2);
    assert_non_null(strstr(fake_redis_heard(stage->fake), "SUBSCRIBE user\nPING\nPUNSUBSCRIBE u*\n"));
}

static void from_a_name_to_a_pattern(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "name", LIST("user"), NULL);
    open_stage(stage);
    next_route(stage, "pattern", "pattern", NULL, LIST("u*"));
    turn_between(stage, both_copies, both_copies);
    expect_taken(stage, "name:user:1 pattern:user:1 ");
    assert_int_equal(source_of(stage->world)->overlaps_total, 1);   /* behind the turn the name is nobody's any more */
}

static void two_patterns(struct fake_redis *fake)
{
    fake_redis_publish(fake, "u*", "user", "1");
    fake_redis_publish(fake, "*r", "user", "1");
}

static void two_patterns_turned(struct fake_redis *fake)
{
    fake_redis_publish(fake, "*r", "user", "1");
    fake_redis_publish(fake, "u*", "user", "1");
}

/* In whatever order Redis sends the copies: the config's decides, on each side of the turn its own. */
static void patterns_in_another_order(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "u", NULL, LIST("u*"));
    world_route(stage->world, "r", NULL, LIST("*r"));
    open_stage(stage);
    next_route(stage, "r", "r", NULL, LIST("*r"));
    next_route(stage, "u", "u", NULL, LIST("u*"));
    turn_between(stage, two_patterns, two_patterns);
    expect_taken(stage, "u:user:1 r:user:1 ");
    stage->config.route_count = 0;
    next_route(stage, "u", "u", NULL, LIST("u*"));
    next_route(stage, "r", "r", NULL, LIST("*r"));
    take(stage->world);
    rkb_relay_forget(&stage->world->relay);
    turn_between(stage, two_patterns_turned, two_patterns_turned);
    expect_taken(stage, "u:user:1 r:user:1 r:user:1 u:user:1 ");
    assert_int_equal(balance(stage->world)->totals.received, 4);
}

static void two_channels(struct fake_redis *fake)
{
    fake_redis_publish(fake, NULL, "x", "1");
    fake_redis_publish(fake, NULL, "y", "1");
}

static void two_routes_exchange(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "a", LIST("x"), NULL);
    world_route(stage->world, "b", LIST("y"), NULL);
    open_stage(stage);
    next_route(stage, "a", "a", LIST("y"), NULL);
    next_route(stage, "b", "b", LIST("x"), NULL);
    turn_between(stage, two_channels, two_channels);
    expect_taken(stage, "a:x:1 b:y:1 b:x:1 a:y:1 ");
}

/* What is new counts from its confirmation on, what is gone until the turn. */
static void one_comes_one_goes(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "a", LIST("x"), NULL);
    open_stage(stage);
    next_route(stage, "b", "b", LIST("y"), NULL);
    turn_between(stage, two_channels, two_channels);
    expect_taken(stage, "a:x:1 b:y:1 b:y:1 ");
    const struct rkb_snapshot *snapshot = balance(stage->world);
    assert_int_equal(snapshot->route_count, 2);
    assert_string_equal(snapshot->routes[0].name, "b");
    assert_string_equal(snapshot->routes[1].name, "a");
    assert_null(snapshot->routes[1].topic);
    assert_int_equal(snapshot->routes[1].books.received, 1);
}

/* It goes on with its books and its number, and nothing gets a second number, however often. */
static void gone_and_back_again(void **state)
{
    struct stage *stage = *state;
    struct rkb_dictionary *dictionary = NULL;
    world_route(stage->world, "a", LIST("x"), NULL);
    open_stage(stage);
    uint32_t number = stage->world->relay.routes[0].number, topics = 0, routes = 0, limit = 0, tallies = 0;
    for (int i = 0; i < 40; i++) {
        stage->config.route_count = 0;
        next_route(stage, i % 2 == 0 ? "b" : "a", i % 3 == 0 ? "t" : "u", LIST("x"), NULL);
        change_whole(stage);
        fake_redis_publish(stage->fake, NULL, "x", "1");
        while (balance(stage->world)->totals.received <= (uint64_t)i)
            event_base_loop(stage->world->base, EVLOOP_ONCE);
        take(stage->world);
        if (i < 30)
            acknowledge(stage->world);
        if (i == 10) {
            dictionary = stage->world->relay.dictionary;
            topics = rkb_dictionary_count(dictionary, RKB_NAME_TOPIC);
            routes = rkb_dictionary_count(dictionary, RKB_NAME_ROUTE);
            limit = stage->world->relay.topic_limit;
            tallies = stage->world->relay.tally_count;
        }
    }
    assert_int_equal(stage->world->relay.routes[0].number, number);
    assert_int_equal(rkb_dictionary_count(dictionary, RKB_NAME_TOPIC), topics);
    assert_int_equal(rkb_dictionary_count(dictionary, RKB_NAME_ROUTE), routes);
    assert_int_equal(stage->world->relay.topic_limit, limit);
    assert_int_equal(stage->world->relay.tally_count, tallies);
    const struct rkb_snapshot *snapshot = balance(stage->world);
    assert_int_equal(snapshot->totals.received, 40);
    assert_int_equal(snapshot->totals.delivered, 30);
    assert_int_equal(snapshot->routes[0].books.received, 20);
}

static char *metrics_now(struct stage *stage)
{
    struct rkb_buffer out = {0};
    rkb_metrics_write(balance(stage->world), &out);
    rkb_buffer_add(&out, "", 1);
    assert_false(out.failed);
    return (char *)out.data;
}

/* Each counter is there still, and has not gone down; they are freed. */
static void none_is_less(char *before, char *after)
{
    char *save;
    for (char *line = strtok_r(before, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *blank = strrchr(line, ' '), begin[256];
        if (line[0] == '#' || strstr(line, "_total") == NULL)
            continue;
        snprintf(begin, sizeof begin, "\n%.*s ", (int)(blank - line), line);
        const char *found = strstr(after, begin);
        if (found == NULL || strtod(found + strlen(begin), NULL) < strtod(blank, NULL))
            fail_msg("'%s' has become less in:\n%s", line, after);
    }
    free(before);
    free(after);
}

/* Routes come and go, and the cap is on: no counter goes down, of the others together neither. */
static void no_counter_goes_down(void **state)
{
    struct stage *stage = *state;
    stage->world->config.metrics.routes = 1;
    world_route(stage->world, "a", LIST("x"), NULL);
    world_route(stage->world, "b", LIST("y"), NULL);
    open_stage(stage);
    two_channels(stage->fake);
    fake_redis_publish(stage->fake, NULL, "y", "2");
    expect_taken(stage, "a:x:1 b:y:1 b:y:2 ");
    char *before = metrics_now(stage);
    assert_non_null(strstr(before, "\nrkbridge_route_messages_received_total{route=\"(other)\"} 2\n"));
    next_route(stage, "b", "b", LIST("y"), NULL);
    next_route(stage, "c", "c", LIST("x"), NULL);
    change_whole(stage);
    none_is_less(before, metrics_now(stage));
    before = metrics_now(stage);
    assert_non_null(strstr(before, "\nrkbridge_route_messages_received_total{route=\"a\"} 1\n"));
    stage->config.route_count = 0;
    next_route(stage, "c", "c", LIST("x"), NULL);
    next_route(stage, "d", "d", LIST("z"), NULL);
    change_whole(stage);
    none_is_less(before, metrics_now(stage));
}

/* Who never got a message goes without a trace, and another gets the place. */
static void a_place_is_given_back(void **state)
{
    struct stage *stage = *state;
    stage->world->config.metrics.routes = 1;
    world_route(stage->world, "a", LIST("x"), NULL);
    world_route(stage->world, "b", LIST("y"), NULL);
    open_stage(stage);
    next_route(stage, "c", "c", LIST("x"), NULL);
    next_route(stage, "d", "d", LIST("y"), NULL);
    change_whole(stage);
    char *text = metrics_now(stage);
    assert_non_null(strstr(text, "\nrkbridge_route_messages_received_total{route=\"c\"} 0\n"));
    assert_null(strstr(text, "{route=\"d\"}"));
    assert_null(strstr(text, "{route=\"a\"}"));
    free(text);
}

/* The connection goes at the turn: the next stream has the new config, and nothing else is told of it. */
static void lost_before_the_turn(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "a", LIST("x"), NULL);
    open_stage(stage);
    next_route(stage, "b", "b", LIST("y"), NULL);
    fake_redis_rules(stage->fake)->mute_pings = true;
    change(stage);
    until_heard(stage, "PING\n", 1);
    two_channels(stage->fake);
    expect_taken(stage, "a:x:1 b:y:1 ");
    fake_redis_rules(stage->fake)->mute_pings = false;
    fake_redis_cut(stage->fake);
    until_changed(stage, 1);
    until_subscribed(stage);
    two_channels(stage->fake);
    expect_taken(stage, "a:x:1 b:y:1 b:y:1 ");
    expect_gap(stage->world, 0, "connection_lost", gap_at(stage->world, 0)->from_us, now_us);
    assert_int_equal(rkb_gaps_count(stage->world->store.gaps), 1);
}

/* There was nothing of it before: its gap begins now, not with the stream. It does not end a strict instance either. */
static void a_new_one_is_refused(void **state)
{
    struct stage *stage = *state;
    stage->world->config.start = RKB_START_STRICT;
    world_route(stage->world, "a", LIST("x"), NULL);
    open_stage(stage);
    source_of(stage->world)->was_whole = false;
    next_route(stage, "a", "a", LIST("x"), NULL);
    next_route(stage, "b", "b", LIST("y"), NULL);
    fake_redis_rules(stage->fake)->refused = " y ";
    now_us += 5 * SECOND;
    change_whole(stage);
    expect_gap(stage->world, 0, "refused", now_us, 0);
    two_channels(stage->fake);
    expect_taken(stage, "a:x:1 ");
    struct rkb_config both = stage->config;         /* which the relay goes by until it has changed */
    stage->world->relay.routing->config = stage->world->relay.options.config = &both;
    stage->config.route_count = 1;
    now_us += SECOND;
    change_whole(stage);
    expect_gap(stage->world, 0, "refused", now_us - SECOND, now_us);
}

/* The ring is full of what the disk does not take: nothing has changed but that it may be tried again. */
static void no_room_for_names(void **state)
{
    struct stage *stage = *state;
    struct rkb_routing *routing;
    struct rkb_relay_limits limits;
    struct rkb_error error = {0};
    world_route(stage->world, "a", LIST("x"), NULL);
    open_stage(stage);
    struct rkb_ring *ring = stage->world->store.ring;
    while (rkb_ring_room(ring) > RKB_RELAY_KEEP * 2)
        large_copy(stage->world, NULL, "x", 1000);
    next_route(stage, "b", "b", LIST("y"), NULL);
    assert_false(prepare(stage, &routing, &limits, &error));
    assert_int_equal(error.code, RKB_FULL);
    rkb_routing_free(routing);
    assert_int_equal(rkb_dictionary_number(stage->world->relay.dictionary, RKB_NAME_TOPIC, rkb_slice_text("b")), 0);
    take(stage->world);
    rkb_relay_look(&stage->world->relay);       /* reading had come to rest */
    change_whole(stage);
    assert_int_not_equal(rkb_dictionary_number(stage->world->relay.dictionary, RKB_NAME_TOPIC, rkb_slice_text("b")), 0);
}

/* Names of more than a segment can bear. */
/* kafka.refuse_after and kafka.watchdog go with the table. */
static void other_times(void **state)
{
    struct stage *stage = *state;
    world_route(stage->world, "all", NULL, LIST("u*"));
    open_stage(stage);
    struct rkb_shipper *shipper = stage->world->shipper;
    shipper->options.refuse_after_us = 3;
    shipper->options.watchdog_us = 4;
    uint32_t routes = shipper->options.route_limit, topics = shipper->options.topic_limit;
    int64_t wanted[][3] = {{0, 3, 4}, {5, 5, 6}, {5, 5, 6}};
    for (size_t i = 0; i < 3; i++) {
        struct rkb_shipper_table *table = rkb_shipper_table_new(shipper, routes, topics);
        assert_non_null(table);
        if (wanted[i][0] > 0)
            rkb_shipper_table_times(table, 5, 6);
        shipper->lanes.lanes[1].watch_us = 99;
        shipper->lanes.topic_count = 1;
        rkb_shipper_offer(shipper, table);
        take(stage->world);
        assert_true(rkb_shipper_took_up(shipper));
        assert_int_equal(shipper->options.refuse_after_us, wanted[i][1]);
        assert_int_equal(shipper->options.watchdog_us, wanted[i][2]);
        assert_int_equal(shipper->lanes.lanes[1].watch_us, i == 1 ? 0 : 99);
    }
}

static void too_many_names(void **state)
{
    struct stage *stage = *state;
    struct rkb_routing *routing;
    struct rkb_relay_limits limits;
    struct rkb_error error = {0};
    world_route(stage->world, "a", LIST("x"), NULL);
    open_stage(stage);
    stage->world->relay.names_limit = rkb_dictionary_bytes(stage->world->relay.dictionary);
    next_route(stage, "b", "a", LIST("y"), NULL);
    assert_false(prepare(stage, &routing, &limits, &error));
    assert_int_equal(error.code, RKB_USAGE);
    rkb_routing_free(routing);
    stage->config.route_count = 0;
    next_route(stage, "a", "a", LIST("y"), NULL);       /* names that are known cost nothing */
    change_whole(stage);
}

static int set_up(void **state)
{
    struct stage *stage = calloc(1, sizeof *stage);
    stage->world = world_new();
    *state = stage;
    return 0;
}

static int tear_down(void **state)
{
    struct stage *stage = *state;
    world_kill(stage->world);
    fake_redis_free(stage->fake);
    event_base_loop(stage->world->base, EVLOOP_NONBLOCK);
    world_free(stage->world);
    free(stage);
    return 0;
}

int main(void)
{
#define STAGED(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        STAGED(another_topic), STAGED(no_mark_at_the_turn), STAGED(from_a_pattern_to_a_name),
        STAGED(from_a_name_to_a_pattern), STAGED(two_routes_exchange), STAGED(patterns_in_another_order),
        STAGED(one_comes_one_goes), STAGED(gone_and_back_again), STAGED(no_counter_goes_down),
        STAGED(a_place_is_given_back), STAGED(lost_before_the_turn),
        STAGED(no_room_for_names), STAGED(too_many_names), STAGED(a_new_one_is_refused),
        STAGED(other_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
