/* shipper_world -- see shipper_world.h. */
#include "shipper_world.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "journal/checkpoint.h"

#define PATIENCE_S 30
#define MOST_VALUE 400
#define HEADERS "\x02\0\x03\0\0\0" "id" "a\0b"

/* The shipper's clock: the real one, turned forward at will. */
static _Atomic int64_t hurried_us;

/* Whose producer is to fail: in the shipper's own thread, which may free it as soon as it has. */
static _Atomic(struct world *) doomed;

static void fail_producer(void)
{
    struct world *world = atomic_load(&doomed);
    if (world == NULL || !pthread_equal(pthread_self(), world->shipper->thread))
        return;
    atomic_store(&doomed, NULL);
    rd_kafka_test_fatal_error(rkb_producer_handle(world->shipper->producer),
                              RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER, "as told");
}

void world_fatal_error(struct world *world)
{
    atomic_store(&doomed, world);
    rkb_shipper_wake(world->shipper);
}

static int64_t hurried_monotonic(void)
{
    fail_producer();
    return rkb_sys_posix.monotonic_us() + atomic_load(&hurried_us);
}

static struct rkb_sys shipper_sys;

void world_hurry(int64_t microseconds)
{
    atomic_fetch_add(&hurried_us, microseconds);
}

/* One for all tests. */
static struct rkb_mock *mock;
static struct kafka_reader *reader;
/* Nobody reads it: each line is made all the same. */
static struct rkb_log *no_reader;
static int nowhere;

static int start_kafka(int brokers)
{
    struct rkb_error error = {0};
    mock = rkb_mock_start(brokers, &error);
    if (mock == NULL)
        fail_msg("%s", error.text);
    reader = kafka_reader_new(mock);
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    no_reader = rkb_log_new(nowhere, RKB_LOG_DEBUG, RKB_LOG_TEXT, &error);
    return no_reader != NULL ? 0 : -1;
}

int kafka_set_up(void **state)
{
    (void)state;
    return start_kafka(1);
}

int kafka_set_up_three(void **state)
{
    (void)state;
    return start_kafka(3);
}

int kafka_tear_down(void **state)
{
    (void)state;
    rkb_log_free(no_reader, 1000);
    close(nowhere);
    kafka_reader_free(reader);
    rkb_mock_stop(mock);
    return 0;
}

static void fresh_kafka(struct world *world)
{
    static int count;
    struct rkb_error error = {0};
    world->mock = mock;
    rd_kafka_mock_clear_request_errors(rkb_mock_cluster(mock), PRODUCE);
    rd_kafka_mock_broker_set_up(rkb_mock_cluster(mock), 1);
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(mock), 1, 0);
    count++;
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"first", "second", "letters"};
        snprintf(world->topics[i], sizeof world->topics[i], "%s-%d", names[i], count);
        if (!rkb_mock_topic(mock, world->topics[i], 1, &error))
            fail_msg("%s", error.text);
    }
}

int world_set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    shipper_sys = rkb_sys_posix;
    shipper_sys.monotonic_us = hurried_monotonic;
    world->directory = make_directory();
    world->ring_directory = make_directory();
    world->disk = rkb_sys_posix;
    world->max_size = 64 * MIB;
    world->ring_size = 1 * MIB;
    world->sync_us = 1000000;
    world->refuse_after_us = 3600 * SECOND;
    world->dead_limit = MIB;
    world->next = 1;
    world->loop_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    fresh_kafka(world);
    *state = world;
    return 0;
}

int world_tear_down(void **state)
{
    struct world *world = *state;
    if (world->shipper != NULL && !world->by_hand) {
        world_close(world);
    } else {
        if (world->shipper != NULL)
            rkb_shipper_keep_last(world->shipper);      /* for the sync that is under way */
        world_drop(world);
    }
    close(world->loop_fd);
    remove_directory(world->directory);
    remove_directory(world->ring_directory);
    free(world);
    return 0;
}

/* ---- records ---- */

static size_t value_of(uint64_t sequence, char value[MOST_VALUE])
{
    size_t size = 40 + sequence * 7919 % (MOST_VALUE - 40);
    memset(value, (int)('a' + sequence % 26), size);
    int digits = snprintf(value, MOST_VALUE, "{\"number\":%llu}", (unsigned long long)sequence);
    value[digits] = ' ';
    return size;
}

static uint32_t route_of(uint64_t sequence)
{
    return sequence % 3 == 0 ? 2 : 1;
}

static bool put(struct world *world, const struct rkb_record *record)
{
    size_t size = rkb_record_size(record->key.size, record->headers.size, record->value.size);
    uint8_t *at = rkb_ring_reserve(world->ring, size, 0);
    if (at == NULL)
        return false;
    rkb_record_write(at, record, rkb_ring_salt(world->ring));
    rkb_ring_commit(world->ring, size);
    return true;
}

bool world_try(struct world *world)
{
    char value[MOST_VALUE], key[8];
    uint64_t sequence = world->next;
    size_t size = value_of(sequence, value);
    snprintf(key, sizeof key, "k%llu", (unsigned long long)(sequence % 5));
    struct rkb_record record = {
        .kind = RKB_MESSAGE, .header_count = 1, .sequence = sequence,
        .time_us = 1700000000000000 + (int64_t)sequence * 1000, .epoch = 1, .count = (uint32_t)sequence,
        .route = route_of(sequence), .topic = world->shared ? 1 : route_of(sequence), .has_key = sequence % 4 != 0,
        .key = sequence % 4 ? rkb_slice_text(key) : rkb_slice(NULL, 0),
        .headers = rkb_slice(HEADERS, sizeof HEADERS - 1), .value = rkb_slice(value, size),
    };
    if (!put(world, &record))
        return false;
    world->next++;
    return true;
}

static bool room_for_one(struct world *world, uint64_t wanted)
{
    (void)wanted;
    return world_try(world);
}

void world_put(struct world *world, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!world_try(world))
            world_wait(world, room_for_one, 0, "room in the ring");
        if (world->shipper != NULL)
            rkb_shipper_wake(world->shipper);
    }
}

void world_put_record(struct world *world, struct rkb_record record)
{
    record.sequence = world->next;
    record.time_us = 1700000000000000 + (int64_t)record.sequence * 1000;
    assert_true(put(world, &record));
    world->next++;
}

void world_put_of_size(struct world *world, size_t size)
{
    static const uint8_t value[40000];
    struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = world->next++, .route = 1, .topic = 1,
                                .value = {value, size}};
    uint8_t *at = rkb_ring_reserve(world->ring, rkb_record_size(0, 0, size), 0);
    rkb_ring_commit(world->ring, rkb_record_write(at, &record, rkb_ring_salt(world->ring)));
}

void world_put_mark(struct world *world)
{
    static const uint8_t value[72];
    struct rkb_record record = {.kind = RKB_MARK, .sequence = world->next, .time_us = 1, .epoch = 1, .route = 1,
                                .value = {value, sizeof value}};
    assert_true(put(world, &record));
    world->next++;
}

void world_put_gap(struct world *world, const char *reason)
{
    struct rkb_gap gap = {.id = world->next, .source = "legacy", .from_us = 1000000, .to_us = 2000000, .bound = 7};
    struct rkb_buffer json = {0};
    snprintf(gap.reason, sizeof gap.reason, "%s", reason);
    rkb_gap_write(&gap, &json);
    struct rkb_record record = {.kind = RKB_GAP, .sequence = world->next, .time_us = 1, .route = 1,
                                .value = {json.data, json.size}};
    assert_true(put(world, &record));
    world->next++;
    rkb_buffer_free(&json);
}

static void put_names(struct world *world)
{
    const struct { enum rkb_name class; const char *name; } names[] = {
        {RKB_NAME_ROUTE, "first"}, {RKB_NAME_ROUTE, "second"}, {RKB_NAME_TOPIC, world->topics[0]},
        {RKB_NAME_TOPIC, world->topics[1]},
        {RKB_NAME_SOURCE, "legacy"},
        {RKB_NAME_TOPIC, world->topics[2]},
    };
    struct rkb_dictionary *dictionary = rkb_dictionary_new();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        bool added;
        uint32_t number = rkb_dictionary_add(dictionary, names[i].class, rkb_slice_text(names[i].name), &added);
        size_t size = rkb_dictionary_record_size(dictionary, names[i].class, number);
        uint8_t *at = rkb_ring_reserve(world->ring, size, 0);
        assert_non_null(at);
        rkb_dictionary_record(dictionary, names[i].class, number, at, rkb_ring_salt(world->ring));
        rkb_ring_commit(world->ring, size);
    }
    rkb_dictionary_free(dictionary);
}

/* ---- opening and closing ---- */

static void no_gap(void *context, const struct rkb_gap *gap)
{
    (void)context;
    (void)gap;
}

void world_open(struct world *world)
{
    struct rkb_error error = {0};
    struct rkb_journal_options journal = options_for(world->directory, world->max_size, 64 * MIB, &world->disk);
    journal.degrade = world->degrade;
    journal.no_sync = world->sync_us == RKB_SYNC_NONE;
    journal.memory_size = world->ring_size;
    journal.ring_directory = world->ring_directory;
    world->journal = rkb_journal_open(&journal, &world->recovery, NULL, NULL, &error);
    if (world->journal == NULL)
        fail_msg("%s", error.text);
    struct rkb_ring_options ring = {
        .directory = world->ring_directory, .size = world->ring_size, .journal_id = rkb_journal_id(world->journal),
        .sys = &rkb_sys_posix};
    world->ring = rkb_ring_open(&ring, &error);
    world->ledger = rkb_ledger_open(world->directory, rkb_journal_id(world->journal), &rkb_sys_posix, no_gap, NULL,
                                    &error);
    world->dead = rkb_dead_open(world->directory, rkb_journal_id(world->journal), world->dead_limit,
                                world->recovery.low, &world->disk, &error);
    if (world->ring == NULL || world->ledger == NULL || world->dead == NULL)
        fail_msg("%s", error.text);
    if (world->recovery.fresh)
        put_names(world);
}

static uint32_t topic_limit(const struct world *world)
{
    return world->more_topics > 0 ? 3 + world->more_topics : world->letters ? 3 : 2;
}

void world_start(struct world *world)
{
    struct rkb_error error = {0};
    const struct rkb_property ours[] = {
        {"bootstrap.servers", rkb_mock_bootstrap(world->mock)}, {"reconnect.backoff.max.ms", "100"},
        {"retry.backoff.ms", "10"},
        {"topic.metadata.refresh.interval.ms", "1000"},
    };
    size_t count = sizeof ours / sizeof ours[0];
    for (size_t i = 1; i < 3; i++)
        world->routes[i] = (struct rkb_shipper_route){"legacy", world->letters ? 3 : 0, world->routes[i].names};
    memcpy(world->all_properties, ours, sizeof ours);
    for (size_t i = 0; i < LOOSE_PROPERTIES && world->properties[i].name != NULL; i++)
        world->all_properties[count++] = world->properties[i];
    world->given = (struct rkb_properties){.list = world->all_properties, .count = count};
    struct rkb_shipper_options options = {
        .ring = world->ring, .journal = world->journal, .ledger = world->ledger, .properties = &world->given,
        .sync_us = world->sync_us, .route_limit = 2, .topic_limit = topic_limit(world), .routes = world->routes,
        .topics = world->known, .pauses = world->pauses,
        .dead = world->dead,
        .exit_on_disk_error = !world->degrade, .refuse_after_us = world->refuse_after_us,
        .watchdog_us = world->watchdog_us, .loop_fd = world->loop_fd, .log = no_reader,
        .sys = &shipper_sys,
    };
    world->shipper = rkb_shipper_start(&options, &error);
    if (world->shipper == NULL)
        fail_msg("%s", error.text);
}

void world_drop(struct world *world)
{
    if (world->shipper != NULL)
        rkb_shipper_free(world->shipper);
    if (world->ledger != NULL)
        rkb_ledger_close(world->ledger);
    if (world->dead != NULL)
        rkb_dead_close(world->dead);
    rkb_ring_close(world->ring);
    if (world->journal != NULL)
        rkb_journal_close(world->journal);
    world->shipper = NULL;
    world->ledger = NULL;
    world->dead = NULL;
    world->ring = NULL;
    world->journal = NULL;
}

void world_stop(struct world *world)
{
    struct rkb_error error = {0};
    if (!rkb_shipper_stop(world->shipper, &error))
        fail_msg("%s", error.text);
    rkb_shipper_free(world->shipper);
    world->shipper = NULL;
}

void world_close(struct world *world)
{
    world_stop(world);
    world_drop(world);
}

/* ---- by hand ---- */

void world_by_hand(struct world *world)
{
    struct rkb_error error = {0};
    world->by_hand = true;
    if (!rkb_shipper_stop(world->shipper, &error))
        fail_msg("%s", error.text);
    world->hand_us = world->shipper->now_us;
}

void world_turn(struct world *world)
{
    (void)rkb_shipper_turn(world->shipper, world->hand_us, rkb_sys_posix.realtime_us());
}

void world_turn_until(struct world *world, bool (*done)(struct world *world, uint64_t wanted), uint64_t wanted,
                      const char *what)
{
    time_t end = time(NULL) + PATIENCE_S;
    while (!done(world, wanted)) {
        if (time(NULL) >= end)
            fail_msg("turned in vain for %s", what);
        world_turn(world);
        poll(NULL, 0, 2);
    }
}

/* ---- descriptors ---- */

void world_path_of(int fd, char path[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    path[size < 0 ? 0 : size] = '\0';
}

bool world_is_file(int fd, const char *name)
{
    char path[PATH_MAX];
    world_path_of(fd, path);
    const char *last = strrchr(path, '/');
    return last != NULL && strcmp(last + 1, name) == 0;
}

/* ---- waiting ---- */

void world_wait(struct world *world, bool (*done)(struct world *world, uint64_t wanted), uint64_t wanted,
                const char *what)
{
    time_t end = time(NULL) + PATIENCE_S;
    while (!done(world, wanted)) {
        if (time(NULL) >= end)
            fail_msg("waited in vain for %s", what);
        poll(NULL, 0, 2);
    }
}

void world_begin(struct world *world, uint64_t count)
{
    world_open(world);
    world_start(world);
    world_put(world, count);
    world_wait(world, all_settled, world->next, "the first deliveries");
}

/* ---- reading back ---- */

static void expect_text(const void *data, size_t size, struct rkb_slice wanted)
{
    if (!rkb_slice_equal(rkb_slice(data, size), wanted))
        fail_msg("\"%.*s\" in the place of \"%.*s\"", (int)size, (const char *)data, (int)wanted.size,
                 (const char *)wanted.data);
}

static void expect_headers(const rd_kafka_message_t *message)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t size;
    assert_int_equal(rd_kafka_message_headers(message, &headers), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_int_equal(rd_kafka_header_get_all(headers, 0, &name, &value, &size), RD_KAFKA_RESP_ERR_NO_ERROR);
    assert_string_equal(name, "id");
    expect_text(value, size, rkb_slice("a\0b", 3));
    assert_int_equal(rd_kafka_header_cnt(headers), 1);
}

static void see(void *context, const rd_kafka_message_t *message)
{
    struct arrived *arrived = context;
    char value[MOST_VALUE], key[8];
    unsigned long long sequence = 0;
    rd_kafka_timestamp_type_t type;
    assert_int_equal(sscanf(message->payload, "{\"number\":%llu}", &sequence), 1);
    assert_in_range(sequence, 1, MOST_RECORDS - 1);
    expect_text(message->payload, message->len, rkb_slice(value, value_of(sequence, value)));
    snprintf(key, sizeof key, "k%llu", sequence % 5);
    if (sequence % 4 != 0)
        expect_text(message->key, message->key_len, rkb_slice_text(key));
    else
        assert_null(message->key);
    expect_headers(message);
    int64_t time_ms = rd_kafka_message_timestamp(message, &type);
    if (arrived->restamped == 0 || sequence < arrived->restamped)
        assert_int_equal(time_ms, 1700000000000 + (int64_t)sequence);
    else
        arrived->stamped_anew += time_ms != 1700000000000 + (int64_t)sequence;
    if (arrived->route != 0)
        assert_int_equal(route_of(sequence), arrived->route);
    uint64_t *highest = &arrived->highest[route_of(sequence)];
    if (arrived->times[sequence]++ == 0) {
        if (sequence <= *highest)
            fail_msg("%llu comes first behind %llu", sequence, (unsigned long long)*highest);
        *highest = sequence;
    }
}

void world_read_back(struct world *world, struct arrived *arrived)
{
    memset(arrived, 0, sizeof *arrived);
    arrived->restamped = world->restamped;
    if (world->shared) {
        arrived->total = kafka_read(reader, world->topics[0], 0, see, arrived);
        return;
    }
    for (arrived->route = 1; arrived->route <= 2; arrived->route++)
        arrived->total += kafka_read(reader, world->topics[arrived->route - 1], 0, see, arrived);
}

size_t world_read_letters(struct world *world, void (*visit)(void *context, const rd_kafka_message_t *message),
                          void *context)
{
    return kafka_read(reader, world->topics[2], 0, visit, context);
}

void expect_arrived(struct world *world, uint64_t first, uint64_t last, bool again)
{
    struct arrived *arrived = malloc(sizeof *arrived);
    world_read_back(world, arrived);
    for (uint64_t sequence = 0; sequence < MOST_RECORDS; sequence++) {
        bool wanted = sequence >= first && sequence <= last;
        unsigned times = arrived->times[sequence];
        if (wanted ? times < 1 || (times > 1 && !again) : times > 0)
            fail_msg("message %llu came %u times", (unsigned long long)sequence, times);
    }
    free(arrived);
}

/* Only the checkpoint's own file is looked at: the shipper may be making and removing segments meanwhile. */
uint64_t checkpoint_on_disk(struct world *world)
{
    static struct rkb_range ranges[RKB_CHECKPOINT_ENTRIES];
    static struct rkb_topic_low topics[RKB_CHECKPOINT_TOPICS];
    struct rkb_checkpoint_state state = {.ranges = ranges, .topics = topics};
    struct rkb_error error = {0};
    uint64_t generation;
    if (rkb_checkpoint_read(world->directory, rkb_journal_id(world->journal), &rkb_sys_posix, &state, &generation,
                            &error)
        != RKB_CHECKPOINT_READ)
        fail_msg("%s", error.text);
    return state.low;
}
