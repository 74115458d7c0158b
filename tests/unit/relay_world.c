/* relay_world -- see relay_world.h. */
#include "relay_world.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int64_t now_us, stepped_us;
uint8_t chance;

static int64_t clock_us(void)
{
    return now_us;
}

static int count_up(void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = chance++;
    return 0;
}

static int64_t just_now(int fd)
{
    (void)fd;
    return 0;
}

static int64_t steady_us(void)
{
    return now_us - stepped_us - 1600000000 * SECOND;
}

static struct rkb_sys sys;

#define VALUE "{\"id\":\"{{uuid}}\",\"channel\":\"{{channel}}\",\"pattern\":\"<{{pattern}}>\"," \
              "\"position\":\"{{position}}\",\"payload\":\"<{{payload_text}}>\"}"

struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);
    sys = rkb_sys_posix;
    sys.realtime_us = clock_us;
    sys.monotonic_us = steady_us;
    stepped_us = 0;
    sys.quiet_us = just_now;
    sys.random = count_up;
    now_us = INT64_C(1700000000000000);
    chance = 0;
    world->directory = make_directory();
    world->ring_directory = make_directory();
    world->source = (struct rkb_config_source){.name = (char *)(uintptr_t)"legacy", .connect_timeout = 1000000,
                                               .heartbeat = 60000000, .heartbeat_timeout = 60000000,
                                               .reconnect_min = 1000, .reconnect_max = 1000, .healthy_after = 1000000,
                                               .watch = RKB_SYNC_NONE};
    struct rkb_error error;
    assert_true(rkb_redis_url_parse("redis://127.0.0.1:1", &world->source.url, &error));
    world->config = (struct rkb_config){.instance = (char *)(uintptr_t)"here", .sources = &world->source,
                                        .source_count = 1, .routes = world->routes};
    world->config.journal.directory = world->directory;
    world->config.journal.ring_directory = world->ring_directory;
    world->config.journal.max_size = 64 * MIB;
    world->config.journal.segment_size = MIB;
    world->config.journal.ring_size = 256 * 1024;
    world->config.kafka.outage_budget = INT64_C(600000000);
    world->base = event_base_new();
    world->log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    world->log = rkb_log_new(world->log_fd, RKB_LOG_DEBUG, RKB_LOG_TEXT, NULL);
    assert_non_null(world->log);
    return world;
}

static size_t list(char *out[4], const char *const *names)
{
    size_t count = 0;
    for (; names != NULL && names[count] != NULL; count++)
        out[count] = (char *)(uintptr_t)names[count];
    return count;
}

void world_route(struct world *world, const char *name, const char *const *channels, const char *const *patterns)
{
    size_t i = world->config.route_count++;
    char *text = (char *)(uintptr_t)name;
    world->routes[i] = (struct rkb_config_route){
        .name = text, .source = world->source.name, .topic = text, .value = (char *)(uintptr_t)VALUE,
        .key = (char *)(uintptr_t)"{{channel}}", .channels = {world->names[i][0], list(world->names[i][0], channels)},
        .patterns = {world->names[i][1], list(world->names[i][1], patterns)},
    };
}

static size_t figures_size(const struct rkb_shipped *figures)
{
    return rkb_shipped_size(figures->route_limit, figures->topic_limit);
}

/* A shipper without a thread: what the relay and the view ask of it is there, and its turns are the test's. */
static struct rkb_shipper *shipper_by_hand(struct world *world)
{
    struct rkb_shipper *shipper = calloc(1, sizeof *shipper);
    shipper->options = (struct rkb_shipper_options){
        .ring = world->store.ring, .journal = world->store.journal, .route_limit = world->relay.tally_count,
        .sys = &sys, .loop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    shipper->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    size_t size = rkb_shipped_size(world->relay.tally_count, world->relay.topic_limit);
    shipper->figures = calloc(1, size);
    shipper->offered_topics = world->relay.topic_limit;
    assert_true(rkb_lanes_init(&shipper->lanes, world->relay.topic_limit, 1));
    shipper->figures->route_limit = world->relay.tally_count;
    shipper->figures->topic_limit = world->relay.topic_limit;
    shipper->figures->delivery.kind = &rkb_histogram_delivery;
    shipper->figures->produce.kind = &rkb_histogram_produce;
    shipper->figures->sync.kind = &rkb_histogram_sync;
    assert_true(rkb_mailbox_init(&shipper->mailbox, size));
    rkb_cursor_seek(&shipper->cursor, world->store.journal, rkb_acks_low(rkb_journal_acks(world->store.journal)));
    return shipper;
}

static void post(struct world *world)
{
    struct rkb_shipper *shipper = world->shipper;
    rkb_journal_figures(world->store.journal, &shipper->figures->journal);
    shipper->figures->full = atomic_load(&shipper->full);
    memcpy(rkb_mailbox_draft(rkb_shipper_mailbox(shipper)), shipper->figures, figures_size(shipper->figures));
    rkb_mailbox_post(rkb_shipper_mailbox(shipper));
}

void world_open(struct world *world)
{
    struct rkb_error error = {0};
    world->store = (struct rkb_store){0};
    world->relay = (struct rkb_relay){0};
    if (!rkb_store_open(&world->store, &world->config, rkb_relay_append_gap, &world->relay, world->log, &error))
        fail_msg("%s", error.text);
    struct rkb_relay_options options = {.config = &world->config, .base = world->base, .store = &world->store,
                                        .log = world->log, .sys = &sys};
    if (!rkb_relay_init(&world->relay, &options, &error))
        fail_msg("%s", error.text);
    world->shipper = world->relay.shipper = shipper_by_hand(world);
    struct rkb_view_options view = {.config = &world->config, .relay = &world->relay, .shipper = world->shipper,
                                    .gaps = world->store.gaps, .ring = world->store.ring, .log = world->log,
                                    .bootstrap_servers = "", .sys = &sys};
    world->view = rkb_view_new(&view);
    assert_non_null(world->view);
    post(world);
}

void world_kill(struct world *world)
{
    struct rkb_shipper *shipper = world->shipper;
    if (shipper == NULL)
        return;
    rkb_view_free(world->view);
    rkb_relay_free(&world->relay);
    rkb_cursor_close(&shipper->cursor);
    rkb_mailbox_free(&shipper->mailbox);
    rkb_shipper_free_tables(shipper);
    rkb_lanes_free(&shipper->lanes);
    close(shipper->options.loop_fd);
    close(shipper->wake_fd);
    free(shipper->figures);
    free(shipper);
    rkb_store_close(&world->store, false);
    world->shipper = NULL;
}

void world_free(struct world *world)
{
    world_kill(world);
    event_base_free(world->base);
    rkb_log_free(world->log, 1000);
    close(world->log_fd);
    remove_directory(world->directory);
    remove_directory(world->ring_directory);
    free(world);
}

/* ---- what the subscriber tells ---- */

struct rkb_relay_source *source_of(struct world *world)
{
    return &world->relay.sources[0];
}

void begin_stream(struct world *world)
{
    rkb_relay_events.stream(source_of(world), now_us);
}

void confirm(struct world *world, bool is_pattern, const char *name, bool on)
{
    rkb_relay_events.confirmed(source_of(world), is_pattern, rkb_slice_text(name), on);
}

void confirm_all(struct world *world)
{
    for (size_t i = 0; i < world->config.route_count; i++) {
        const struct rkb_config_route *route = &world->routes[i];
        for (size_t j = 0; j < route->channels.count; j++)
            confirm(world, false, route->channels.texts[j], true);
        for (size_t j = 0; j < route->patterns.count; j++)
            confirm(world, true, route->patterns.texts[j], true);
    }
    rkb_relay_events.subscribed(source_of(world), now_us, 0);
}

void lose(struct world *world, bool was_stream, int64_t last_read_us)
{
    struct rkb_error error;
    rkb_fail(&error, RKB_CLOSED, "the connection broke");
    rkb_relay_events.lost(source_of(world), &error, was_stream, last_read_us, 1000);
}

void copy_of(struct world *world, const char *pattern, const char *channel, const char *payload)
{
    rkb_relay_events.message(source_of(world), pattern != NULL,
                             pattern != NULL ? rkb_slice_text(pattern) : rkb_slice(NULL, 0), rkb_slice_text(channel),
                             rkb_slice_text(payload), now_us);
}

void unread_copy(struct world *world, const char *pattern, const char *channel, uint64_t size)
{
    rkb_relay_events.too_large(source_of(world), pattern != NULL,
                               pattern != NULL ? rkb_slice_text(pattern) : rkb_slice(NULL, 0), rkb_slice_text(channel),
                               size, now_us);
}

void large_copy(struct world *world, const char *pattern, const char *channel, size_t size)
{
    char *payload = malloc(size + 1);
    memset(payload, 'x', size);
    payload[size] = '\0';
    copy_of(world, pattern, channel, payload);
    free(payload);
}

/* ---- the shipper's turns ---- */

void take(struct world *world)
{
    rkb_shipper_take(world->shipper);
    bool taken_up = rkb_shipper_take_up(world->shipper);
    post(world);
    if (taken_up)
        rkb_shipper_taken_up(world->shipper);
}

void acknowledge(struct world *world)
{
    struct rkb_shipper *shipper = world->shipper;
    struct rkb_record record;
    struct rkb_error error;
    while (rkb_cursor_next(&shipper->cursor, &record, &error) == RKB_NEXT_RECORD) {
        settle(world->store.journal, record.sequence, record.sequence);
        if (record.kind != RKB_MESSAGE)
            continue;
        shipper->figures->routes[record.route].delivered++;
        shipper->figures->routes[record.route].settled++;
        shipper->figures->routes[record.route].newest = record.sequence;
        shipper->figures->routes[record.route].newest_us = steady_us();
    }
    assert_true(rkb_journal_sync(world->store.journal, &error));
    assert_true(rkb_journal_checkpoint(world->store.journal, UINT64_MAX, true, &error));
    post(world);
}

/* What topics are told of gaps is in no books. */
struct counting {
    uint64_t count;
    uint32_t gap_route;
};

static void count_message(void *context, const struct rkb_record *record)
{
    struct counting *counting = context;
    counting->count += record->kind == RKB_MESSAGE && (record->route != counting->gap_route || record->route == 0);
}

static uint64_t count_waiting(struct world *world)
{
    struct counting counting = {.gap_route = world->relay.gap_route};
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    rkb_cursor_seek(&cursor, world->store.journal, rkb_acks_low(rkb_journal_acks(world->store.journal)));
    while (rkb_cursor_next(&cursor, &record, &error) == RKB_NEXT_RECORD)
        count_message(&counting, &record);
    rkb_cursor_close(&cursor);
    assert_true(rkb_ring_visit(world->store.ring, count_message, &counting, &error));
    return counting.count;
}

const struct rkb_snapshot *balance(struct world *world)
{
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(world->view);
    struct rkb_books sum = {0};
    for (size_t i = 0; i < snapshot->route_count; i++) {
        assert_int_equal(rkb_books_imbalance(&snapshot->routes[i].books), 0);
        rkb_books_add(&sum, &snapshot->routes[i].books);
    }
    assert_memory_equal(&sum, &snapshot->totals, sizeof sum);
    assert_int_equal(rkb_books_imbalance(&snapshot->totals), 0);
    assert_int_equal(snapshot->totals.pending, count_waiting(world));
    uint64_t dropped = 0;
    for (size_t i = 0; i < RKB_DROP_REASON_COUNT; i++)
        dropped += snapshot->dropped_by_reason[i];
    assert_int_equal(dropped, snapshot->totals.dropped);
    return snapshot;
}

/* ---- reading ---- */

static void copy_text(char *out, size_t size, const char *json, const char *before, const char *after)
{
    const char *from = strstr(json, before);
    assert_non_null(from);
    from += strlen(before);
    const char *to = strstr(from, after);
    assert_non_null(to);
    snprintf(out, size, "%.*s", (int)(to - from), from);
}

static void take_apart(const struct rkb_record *record, struct taken *out)
{
    char *json = strndup((const char *)record->value.data, record->value.size);
    *out = (struct taken){.sequence = record->sequence, .route = record->route};
    copy_text(out->uuid, sizeof out->uuid, json, "\"id\":\"", "\"");
    copy_text(out->channel, sizeof out->channel, json, "\"channel\":\"", "\"");
    copy_text(out->pattern, sizeof out->pattern, json, "\"pattern\":\"<", ">\"");
    copy_text(out->position, sizeof out->position, json, "\"position\":\"", "\"");
    copy_text(out->payload, sizeof out->payload, json, "\"payload\":\"<", ">\"");
    free(json);
}

size_t read_taken(struct world *world, uint64_t from, struct taken *out, size_t room)
{
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    size_t count = 0;
    take(world);
    rkb_cursor_seek(&cursor, world->store.journal, from);
    while (rkb_cursor_next(&cursor, &record, &error) == RKB_NEXT_RECORD) {
        if (record.kind != RKB_MESSAGE)
            continue;
        assert_true(count < room);
        take_apart(&record, &out[count++]);
    }
    rkb_cursor_close(&cursor);
    return count;
}

struct rkb_record read_record(struct world *world, struct rkb_cursor *cursor, uint64_t sequence)
{
    struct rkb_record record;
    struct rkb_error error;
    take(world);
    rkb_cursor_seek(cursor, world->store.journal, sequence);
    assert_int_equal(rkb_cursor_next(cursor, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(record.sequence, sequence);
    return record;
}

int world_set_up(void **state)
{
    struct world *world = world_new();
    *state = world;
    return 0;
}

int world_tear_down(void **state)
{
    world_free(*state);
    return 0;
}

void open_simple(struct world *world)
{
    world_route(world, "all", NULL, LIST("u*"));
    world_open(world);
    begin_stream(world);
    confirm_all(world);
}

const struct rkb_gap *gap_at(struct world *world, size_t index)
{
    assert_true(index < rkb_gaps_count(world->store.gaps));
    return rkb_gaps_at(world->store.gaps, index);
}

int64_t since(struct world *world)
{
    return source_of(world)->stream_us;
}

void expect_gap(struct world *world, size_t index, const char *reason, int64_t from_us, int64_t to_us)
{
    const struct rkb_gap *gap = gap_at(world, index);
    assert_string_equal(gap->source, "legacy");
    assert_string_equal(gap->reason, reason);
    assert_int_equal(gap->from_us, from_us);
    assert_int_equal(gap->to_us, to_us);
}

static void fill_journal(struct world *world)
{
    while (!rkb_shipper_full(world->shipper)) {
        for (int i = 0; i < 20; i++)
            large_copy(world, "u*", "user", 1000);
        take(world);
        rkb_relay_look(&world->relay);
    }
}

void open_small(struct world *world)
{
    world->config.journal.max_size = MIB;
    open_simple(world);
    fill_journal(world);
}
