/*
 * Which topics are ready, missing, told: with a mock cluster, which knows nothing of creating topics by request. It
 * makes each topic that it is asked for, whatever the asker allows; so one that is missing is one for which it is told
 * to say so.
 *
 * Nothing is measured by time; a wait that lasts PATIENCE_S has failed.
 */
#include "config_files.h"
#include "times_in.h"

#include <dirent.h>
#include <stdatomic.h>
#include <time.h>

#include "daemon/topics.h"
#include "kafka/mock.h"

#define PATIENCE_S 30
#define NAMED 1000              /* so many topics messages may name */

struct world {
    struct files files;
    struct rkb_mock *mock;
    struct rkb_config *config;
    struct rkb_log *log;
    FILE *lines;
    struct rkb_topics *topics;
    atomic_int changes;
    int again_ms;
};

static void on_changed(void *context)
{
    struct world *world = context;
    atomic_fetch_add(&world->changes, 1);
}

/* The routes with a mock cluster; text is all of the config but the brokers. */
static struct world *world_new(const char *kafka, const char *routes)
{
    struct world *world = calloc(1, sizeof *world);
    struct rkb_error error;
    char text[2000];
    assert_non_null(world);
    files_make(&world->files);
    world->mock = rkb_mock_start(1, &error);
    assert_non_null(world->mock);
    snprintf(text, sizeof text, "kafka: {properties: {bootstrap.servers: '%s', reconnect.backoff.max.ms: 100}%s}\n"
                                "routes: {%s}\n",
             rkb_mock_bootstrap(world->mock), kafka, routes);
    world->config = read_good(&world->files, text);
    world->lines = tmpfile();
    assert_non_null(world->lines);
    world->again_ms = 50;
    world->log = rkb_log_new(fileno(world->lines), RKB_LOG_INFO, RKB_LOG_TEXT, &error);
    assert_non_null(world->log);
    return world;
}

static void make(struct world *world, bool embedded)
{
    struct rkb_topics_options options = {
        .config = world->config, .properties = &world->config->kafka.properties, .embedded = embedded,
        .log = world->log, .named = NAMED, .answer_ms = 200, .again_ms = world->again_ms};
    struct rkb_error error;
    world->topics = rkb_topics_new(&options, &error);
    assert_non_null(world->topics);
}

static void start(struct world *world)
{
    struct rkb_error error;
    make(world, false);
    assert_true(rkb_topics_start(world->topics, on_changed, world, &error));
}

/* Ends all and returns the log's lines, to be freed. */
static char *world_end(struct world *world)
{
    rkb_topics_free(world->topics);
    rkb_log_free(world->log, 10000);
    char *lines = calloc(1, 65536);
    assert_non_null(lines);
    rewind(world->lines);
    assert_true(fread(lines, 1, 65535, world->lines) < 65535);
    fclose(world->lines);
    rkb_config_free(world->config);
    rkb_mock_stop(world->mock);
    files_drop(&world->files);
    free(world);
    return lines;
}

/* So many lines, one of them with these words too. */
static void expect_told(const char *lines, const char *event, int count, const char *words)
{
    if (times_in(lines, event) != count || strstr(lines, words) == NULL)
        fail_msg("not %d of \"%s\" with \"%s\":\n%s", count, event, words, lines);
}

static void rest(void)
{
    nanosleep(&(struct timespec){0, 2000000}, NULL);
}

static void wait_ready(const struct world *world, const char *topic)
{
    time_t end = time(NULL) + PATIENCE_S;
    while (!rkb_topics_ready(world->topics, topic)) {
        assert_true(time(NULL) < end);
        rest();
    }
}

static void wait_missing(const struct world *world, size_t wanted)
{
    char names[100];
    time_t end = time(NULL) + PATIENCE_S;
    while (rkb_topics_missing(world->topics, names, sizeof names) != wanted) {
        assert_true(time(NULL) < end);
        rest();
    }
}

/* What stands in the log so far, until these words do. */
static void wait_told(const struct world *world, const char *words)
{
    char lines[16384];
    time_t end = time(NULL) + PATIENCE_S;
    for (;;) {
        ssize_t size = pread(fileno(world->lines), lines, sizeof lines - 1, 0);
        assert_true(size >= 0);
        lines[size] = '\0';
        if (strstr(lines, words) != NULL)
            return;
        if (time(NULL) >= end)
            fail_msg("never \"%s\" in:\n%s", words, lines);
        rest();
    }
}

static void make_topic(struct world *world, const char *name, int partitions)
{
    struct rkb_error error;
    assert_true(rkb_mock_topic(world->mock, name, partitions, &error));
}

static void make_error(struct world *world, const char *name, rd_kafka_resp_err_t code)
{
    make_topic(world, name, 4);
    rd_kafka_mock_topic_set_error(rkb_mock_cluster(world->mock), name, code);
}

static void make_missing(struct world *world, const char *name)
{
    make_error(world, name, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART);
}

#define A "a: {source: legacy, channels: a, topic: one}"
#define B "b: {source: legacy, channels: b, topic: two, partitions: 3}"
#define CREATE ", create_topics: yes"

static void without_create_all_are_ready(void **state)
{
    (void)state;
    struct world *world = world_new("", A ", " B);
    make(world, false);
    assert_true(rkb_topics_ready(world->topics, "one"));
    assert_true(rkb_topics_ready(world->topics, "two"));
    assert_true(rkb_topics_ready(world->topics, "of no route"));
    assert_true(rkb_topics_ready(NULL, "one"));
    free(world_end(world));
}

static void missing_then_found(void **state)
{
    (void)state;
    char names[100];
    struct world *world = world_new("", A ", " B);
    make_missing(world, "one");
    make_missing(world, "two");
    start(world);
    wait_missing(world, 2);
    assert_int_equal(rkb_topics_missing(world->topics, names, sizeof names), 2);
    assert_string_equal(names, "one, two");
    wait_told(world, "route b writes");
    make_error(world, "one", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_missing(world, 1);
    make_error(world, "two", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_missing(world, 0);
    assert_int_equal(rkb_topics_missing(world->topics, names, sizeof names), 0);
    assert_string_equal(names, "");
    wait_told(world, "has 4 partitions");
    char *lines = world_end(world);
    expect_told(lines, "event=topic_missing", 2,
                "topic[one]: Kafka has no such topic, to which the route a writes; unless");
    expect_told(lines, "event=topic_found", 2, "topic[two]: it is there now");
    expect_told(lines, "event=topic_differs", 1, "topic[two]: it has 4 partitions and the route b asks for 3");
    free(lines);
}

static void names_for_which_there_is_no_room(void **state)
{
    (void)state;
    char names[40], none[21];
    struct world *world = world_new("", A ", " B ", c: {source: legacy, channels: c, topic: a_long_name}");
    make_missing(world, "one");
    make_missing(world, "two");
    make_missing(world, "a_long_name");
    start(world);
    wait_missing(world, 3);
    assert_int_equal(rkb_topics_missing(world->topics, names, sizeof names), 3);
    assert_string_equal(names, "one, two and 1 more");
    assert_int_equal(rkb_topics_missing(world->topics, none, sizeof none), 3);
    assert_string_equal(none, "3 more");
    free(world_end(world));
}

static void there_is_ready_at_once_and_told_nothing(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, A);
    make_topic(world, "one", 4);
    make(world, false);
    assert_false(rkb_topics_ready(world->topics, "one"));
    assert_true(rkb_topics_ready(world->topics, "of no route"));
    struct rkb_error error;
    assert_true(rkb_topics_start(world->topics, on_changed, world, &error));
    wait_ready(world, "one");
    wait_told(world, "its settings are not known, and not needed");
    assert_int_equal(atomic_load(&world->changes), 1);
    char *lines = world_end(world);
    assert_int_equal(times_in(lines, "event="), 0);
    free(lines);
}

/*
 * Kafka answers, but not this request: given up, told once, tried again; the topic that is there does not wait for it.
 */
static void not_created(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, B ", " A);
    make_topic(world, "one", 4);
    make_missing(world, "two");
    start(world);
    wait_ready(world, "one");
    wait_ready(world, "two");
    wait_missing(world, 1);
    assert_int_equal(atomic_load(&world->changes), 2);
    make_error(world, "two", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_told(world, "event=topic_differs");
    char *lines = world_end(world);
    expect_told(lines, "event=topic_not_created", 1,
                "topic[two]: it is missing, and Kafka does not create it for the route b: ");
    expect_told(lines, "event=topic_found", 1, "topic[two]: it is there now");
    free(lines);
}

static void hidden(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, A ", " B);
    make_topic(world, "two", 3);
    make_error(world, "one", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    start(world);
    wait_ready(world, "one");
    wait_missing(world, 0);
    make_error(world, "one", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_told(world, "event=topic_found");
    char *lines = world_end(world);
    expect_told(lines, "event=topic_hidden", 1, "the route a waits in the journal");
    assert_int_equal(times_in(lines, "event=topic_not_created"), 0);
    free(lines);
}

/* A topic for dead letters is looked for like a route's; what is missing is not waited for where nobody makes it. */
static void topics_for_dead_letters(void **state)
{
    (void)state;
    struct world *world = world_new("", "a: {source: legacy, channels: a, topic: one, dead_letter: letters}, "
                                        "b: {source: legacy, channels: b, topic: two, dead_letter: letters}");
    make_topic(world, "one", 4);
    make_topic(world, "two", 4);
    make_missing(world, "letters");
    start(world);
    wait_missing(world, 1);
    wait_told(world, "event=topic_missing");
    assert_false(rkb_topics_absent(world->topics, "letters"));      /* the brokers may make it: it is not known */
    make_error(world, "letters", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_missing(world, 0);
    assert_false(rkb_topics_absent(world->topics, "of no route"));
    assert_false(rkb_topics_absent(NULL, "letters"));
    char *lines = world_end(world);
    expect_told(lines, "event=topic_missing", 1,
                "topic[letters]: Kafka has no such topic, to which the route a writes its dead letters; unless");
    expect_told(lines, "its dead letters go to the file", 1, "event=topic_found");
    free(lines);
}

/* So is a topic that a source's gaps are told in; where records go to it as well it is known by these. */
static void topics_for_gaps(void **state)
{
    (void)state;
    char names[100];
    struct world *world = world_new("", A "}\nredis: {legacy: {url: 'redis://127.0.0.1', gap_topic: gaps}");
    make_topic(world, "one", 4);
    make_missing(world, "gaps");
    start(world);
    wait_missing(world, 1);
    assert_int_equal(rkb_topics_missing(world->topics, names, sizeof names), 1);
    assert_string_equal(names, "gaps");
    wait_told(world, "event=topic_missing");
    make_error(world, "gaps", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_missing(world, 0);
    char *lines = world_end(world);
    expect_told(lines, "event=topic_missing", 1,
                "topic[gaps]: Kafka has no such topic, to which the route a writes the gaps of its source; unless");
    free(lines);
    world = world_new("", A "}\nredis: {legacy: {url: 'redis://127.0.0.1', gap_topic: one}");
    make_missing(world, "one");
    start(world);
    wait_missing(world, 1);
    wait_told(world, "event=topic_missing");
    lines = world_end(world);
    expect_told(lines, "event=topic_missing", 1, "to which the route a writes; unless");
    free(lines);
}

#define N "n: {source: legacy, patterns: 'n*', topic: 'n.{{1}}', partitions: 2}"

static const struct rkb_config_route *route_of(const struct world *world, const char *name)
{
    for (size_t i = 0; i < world->config->route_count; i++)
        if (strcmp(world->config->routes[i].name, name) == 0)
            return &world->config->routes[i];
    return NULL;
}

/* Named by a message when all others are there long since: looked at at once, compared, told where it is missing. */
static void named_later(void **state)
{
    (void)state;
    struct world *world = world_new("", A ", " N);
    world->again_ms = 1000000;
    make_topic(world, "one", 4);
    make_topic(world, "n.a", 4);
    make_missing(world, "n.b");
    start(world);
    wait_told(world, "topic[one]: its settings are not known");
    rest();
    rkb_topics_add(world->topics, "n.a", route_of(world, "n"));
    assert_true(rkb_topics_ready(world->topics, "n.a"));
    wait_told(world, "topic[n.a]: it has 4 partitions and the route n asks for 2");
    rkb_topics_add(world->topics, "n.a", route_of(world, "n"));
    rkb_topics_add(world->topics, "n.b", route_of(world, "n"));
    wait_told(world, "topic[n.b]: Kafka has no such topic, to which the route n writes");
    wait_missing(world, 1);
    rkb_topics_add(NULL, "n.b", route_of(world, "n"));
    char *lines = world_end(world);
    expect_told(lines, "event=topic_differs", 1, "n.a");
    expect_told(lines, "event=topic_missing", 1, "n.b");
    free(lines);
}

/* Not ready before it is there; what else is missing does not make it wait, nor is that looked at again for it. */
static void named_later_is_created(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, B ", " N);
    world->again_ms = 1000000;
    make_missing(world, "two");
    make_topic(world, "n.a", 2);
    start(world);
    wait_ready(world, "two");
    wait_told(world, "event=topic_not_created");
    assert_true(rkb_topics_ready(world->topics, "n.a"));        /* nobody has named it */
    make_missing(world, "n.b");
    make_error(world, "two", RD_KAFKA_RESP_ERR_NO_ERROR);       /* which its time has to come for to be seen */
    rkb_topics_add(world->topics, "n.b", route_of(world, "n"));
    assert_false(rkb_topics_ready(world->topics, "n.b"));
    rkb_topics_add(world->topics, "n.a", route_of(world, "n"));
    wait_ready(world, "n.a");
    wait_ready(world, "n.b");
    wait_missing(world, 2);
    char *lines = world_end(world);
    assert_int_equal(times_in(lines, "topic[two]"), 1);
    expect_told(lines, "event=topic_not_created", 2, "topic[n.b]: it is missing, and Kafka does not create it for");
    free(lines);
}

/* What is missing is looked at again in its time, also where more names come. */
static void looked_at_again(void **state)
{
    (void)state;
    struct world *world = world_new("", A ", " N);
    make_topic(world, "one", 4);
    make_missing(world, "n.a");
    start(world);
    rkb_topics_add(world->topics, "n.a", route_of(world, "n"));
    wait_missing(world, 1);
    make_error(world, "n.a", RD_KAFKA_RESP_ERR_NO_ERROR);
    wait_missing(world, 0);
    char *lines = world_end(world);
    expect_told(lines, "event=topic_found", 1, "topic[n.a]: it is there now");
    free(lines);
}

/* So many that places in the index collide; one more than there may be is let through as one of no route. */
static void many_names(void **state)
{
    (void)state;
    static char names[NAMED + 10][16];
    struct world *world = world_new(CREATE, A ", " N);
    make(world, false);
    size_t count = 0;
    for (; count < NAMED + 10; count++) {
        snprintf(names[count], sizeof names[count], "n.%zu", count);
        rkb_topics_add(world->topics, names[count], route_of(world, "n"));
        if (rkb_topics_ready(world->topics, names[count]))
            break;
    }
    assert_in_range(count, NAMED, NAMED + 9);
    for (size_t i = 0; i < count; i++)
        assert_false(rkb_topics_ready(world->topics, names[i]));
    assert_false(rkb_topics_ready(world->topics, "one"));
    assert_true(rkb_topics_ready(world->topics, "n."));
    free(world_end(world));
}

/* Other routes; their config is gone at once. */
static void reload(struct world *world, const char *kafka, const char *routes)
{
    char text[2000];
    snprintf(text, sizeof text, "kafka: {properties: {bootstrap.servers: '%s'}%s}\nroutes: {%s}\n",
             rkb_mock_bootstrap(world->mock), kafka, routes);
    struct rkb_config *config = read_good(&world->files, text);
    rkb_topics_reload(world->topics, config, NAMED);
    rkb_config_free(config);
}

/* All were there and nothing was looked for any more: what is new is, and only that; what is gone is not missing. */
static void reloaded(void **state)
{
    (void)state;
    struct world *world = world_new("", A);
    world->again_ms = 1000000;
    make_topic(world, "one", 4);
    make_missing(world, "two");
    start(world);
    wait_told(world, "topic[one]: its settings are not known");
    rest();
    reload(world, "", A ", " B);
    wait_told(world, "topic[two]: Kafka has no such topic, to which the route b writes");
    wait_missing(world, 1);
    reload(world, "", A);
    wait_missing(world, 0);
    for (int i = 0; i < 20; i++) {
        char route[64];
        snprintf(route, sizeof route, "c: {source: legacy, channels: c, topic: new-%d}", i);
        reload(world, "", route);
        assert_true(rkb_topics_ready(world->topics, "one"));
    }
    reload(world, "", A ", " B);
    wait_missing(world, 1);
    char *lines = world_end(world);
    assert_int_equal(times_in(lines, "topic[one]"), 1);
    expect_told(lines, "topic[two]", 1, "event=topic_missing");
    free(lines);
}

/* Kafka did not make it as the config said; as it says now it is tried again. */
static void reloaded_with_another_wish(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, A ", " B);
    world->again_ms = 1000000;
    make_topic(world, "one", 4);
    make_missing(world, "two");
    start(world);
    wait_told(world, "topic[two]: it is missing, and Kafka does not create it for the route b");
    reload(world, CREATE, A ", " B);
    rest();
    reload(world, CREATE, A ", d: {source: legacy, channels: d, topic: two, partitions: 5}");
    wait_told(world, "topic[two]: it is missing, and Kafka does not create it for the route d");
    char *lines = world_end(world);
    assert_int_equal(times_in(lines, "topic[two]"), 2);
    free(lines);
}

static void kafka_away(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, A);
    make_topic(world, "one", 4);
    rd_kafka_mock_broker_set_down(rkb_mock_cluster(world->mock), 1);
    start(world);
    for (int i = 0; i < 100; i++) {
        assert_false(rkb_topics_ready(world->topics, "one"));
        rest();
    }
    rd_kafka_mock_broker_set_up(rkb_mock_cluster(world->mock), 1);
    wait_ready(world, "one");
    free(world_end(world));
}

/* Asked to end while Kafka is away, and while a topic is being created. */
static void ends_while_it_waits(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, A);
    rd_kafka_mock_broker_set_down(rkb_mock_cluster(world->mock), 1);
    start(world);
    rkb_topics_quit(world->topics);
    char *lines = world_end(world);
    assert_int_equal(times_in(lines, "event="), 0);
    free(lines);
    world = world_new(CREATE, A);
    make_missing(world, "one");
    start(world);
    wait_missing(world, 1);
    rkb_topics_quit(world->topics);
    free(world_end(world));
}

static int thread_count(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    assert_non_null(tasks);
    while (readdir(tasks) != NULL)
        count++;
    closedir(tasks);
    return count;
}

static void embedded(void **state)
{
    (void)state;
    struct world *world = world_new(CREATE, A);
    struct rkb_error error;
    make(world, true);
    assert_true(rkb_topics_ready(world->topics, "one"));
    int threads = thread_count();
    assert_true(rkb_topics_start(world->topics, on_changed, world, &error));
    assert_int_equal(thread_count(), threads);
    char *lines = world_end(world);
    assert_string_equal(lines, "");
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_create_all_are_ready),
        cmocka_unit_test(missing_then_found),
        cmocka_unit_test(names_for_which_there_is_no_room),
        cmocka_unit_test(there_is_ready_at_once_and_told_nothing),
        cmocka_unit_test(not_created),
        cmocka_unit_test(hidden),
        cmocka_unit_test(topics_for_dead_letters), cmocka_unit_test(topics_for_gaps),
        cmocka_unit_test(named_later),
        cmocka_unit_test(named_later_is_created),
        cmocka_unit_test(looked_at_again),
        cmocka_unit_test(many_names),
        cmocka_unit_test(reloaded),
        cmocka_unit_test(reloaded_with_another_wish),
        cmocka_unit_test(kafka_away),
        cmocka_unit_test(ends_while_it_waits),
        cmocka_unit_test(embedded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
