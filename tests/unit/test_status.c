/* Tests of status: the first line, the order, what is cut, what is bounded, and the same matter in JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/status.h"
#include "control/verdict.h"
#include "sample_snapshot.h"

#define WIDTH 100

static struct rkb_buffer show(enum rkb_output_kind kind, const struct rkb_snapshot *snapshot)
{
    struct rkb_buffer out = {0};
    struct rkb_output output;
    rkb_output_begin(&output, kind, &out);
    rkb_status_write(snapshot, &output);
    rkb_output_end(&output);
    rkb_buffer_add(&out, "", 1);
    assert_false(out.failed);
    return out;
}

static void has(const struct rkb_buffer *out, const char *line)
{
    const char *found = strstr((const char *)out->data, line);
    if (found == NULL || (found != (const char *)out->data && found[-1] != '\n') || found[strlen(line)] != '\n')
        fail_msg("no line '%s' in:\n%s", line, (const char *)out->data);
}

static void begins(const struct rkb_buffer *out, const char *with)
{
    if (strncmp((const char *)out->data, with, strlen(with)) != 0)
        fail_msg("not '%s' but:\n%s", with, (const char *)out->data);
}

/* What somebody sees who looks for the first time. */
static void test_text(void **state)
{
    (void)state;
    struct rkb_source_snapshot source = sample_sources[0];
    struct rkb_snapshot snapshot = sample_snapshot();
    source.error = "was closed";
    source.role = "master";
    snapshot.sources = &source;
    snapshot.gap_count = 0;
    struct rkb_buffer out = show(RKB_OUTPUT_TEXT, &snapshot);
    const char *wanted =
        "verdict: OK all is well\n"
        "instance: shop-sidecar, rkbridge 1.2.3, up for 2 h 2 min, ready\n"
        "sources:\n"
        "  name    state           refused  gaps  read  held_by_redis  stall_budget\n"
        "  legacy  subscribed 3/3        0    42  44 B         44 KiB  6.3 s at 4 MiB/s\n"
        "redis:\n"
        "  source  url                     role    cut_off_beyond              rival\n"
        "  legacy  redis://127.0.0.1:6379  master  32 MiB, or 8 MiB for 1 min  no\n"
        "last_error of legacy: was closed\n"
        "kafka:\n"
        "  servers         connected  in_flight  topics_waiting  rebuilds  errors     p50      p99  max\n"
        "  127.0.0.1:9092  yes                9               0         1       5  2.5 ms  12.3 ms  1 s\n"
        "journal:\n"
        "    bytes  max_size      full_in  oldest  ring     of  outlives  directory\n"
        "  1.5 KiB     4 KiB  not filling   1.3 s  11 B  1 MiB  yes       /var/lib/rkbridge\n"
        "routes:\n"
        "  name          topic          state  pending  oldest  delivered  dead  dropped\n"
        "  users         user_activity  runs        15  12.5 s         80     0        5\n"
        "  a\"b\\c\\n\\xff\xc3\xa9  -              runs         7     0 s          0     0        0\n"
        "gaps: none\n"
        "books: received 90 + recovered 17 = delivered 80 + dropped 5 + pending 22: balanced\n";
    assert_string_equal((char *)out.data, wanted);
    rkb_buffer_free(&out);
}

static size_t row_of(const char *word)
{
    size_t row = 0;
    while (strcmp(rkb_verdict_row(row).word, word) != 0)
        row++;
    return row;
}

/* Since when, and where to go: of the first reason; the others behind it, a line each. */
static void test_the_first_line(void **state)
{
    (void)state;
    struct rkb_source_snapshot source = sample_sources[0];
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_verdict_memory memory = {.well_us = 0};
    struct rkb_judgement judgement;
    source.unverified = true;
    snapshot.sources = &source;
    snapshot.gap_count = 0;
    snapshot.log_lines_lost_total = 0;
    rkb_verdict_look(&snapshot, &memory, &judgement);
    snapshot.verdict = &judgement;
    struct rkb_buffer out = show(RKB_OUTPUT_TEXT, &snapshot);
    begins(&out,
           "verdict: OK all is well; since 2026-11-22T20:51:10Z (0 s)\nnote: source legacy believes whoever answers");
    rkb_buffer_free(&out);
    snapshot.kafka.connected = false;
    rkb_verdict_look(&snapshot, &memory, &judgement);
    snapshot.uptime_seconds += 63.7;
    snapshot.now_us += 63700000;
    snapshot.journal.full = true;
    for (int i = 0; i < 7; i++) {               /* as if somebody had looked all the time */
        memory.rows[row_of("kafka_away")].seen = snapshot.uptime_seconds - 1;
        rkb_verdict_look(&snapshot, &memory, &judgement);
    }
    out = show(RKB_OUTPUT_TEXT, &snapshot);
    begins(&out,
           "verdict: BAD the journal is full (no room), messages are being dropped; since 2026-11-22T20:52:13Z (0 s); "
           "next: doc/runbook.md#journal_full\nalso: WARN Kafka is not connected, messages wait in the journal; since "
           "2026-11-22T20:51:10Z (1 min 3 s); next: doc/runbook.md#kafka_away\nnote: source legacy believes whoever");
    has(&out, "  1.5 KiB     4 KiB  full now   1.3 s  11 B  1 MiB  yes       /var/lib/rkbridge");
    rkb_buffer_free(&out);
}

static void test_states_of_a_source(void **state)
{
    (void)state;
    struct rkb_source_snapshot sources[5];
    struct rkb_snapshot snapshot = sample_snapshot();
    for (size_t i = 0; i < 5; i++)
        sources[i] = sample_sources[0];
    sources[1].held = true;
    sources[2].connected = false;
    sources[3].paused = true;
    sources[4].subscribed = 2;
    snapshot.sources = sources;
    snapshot.source_count = 5;
    struct rkb_buffer out = show(RKB_OUTPUT_TEXT, &snapshot);
    static const char *const states[] = {"subscribed 3/3", "another bridge", "not connected ", "not read 3/3  ",
                                         "subscribed 2/3"};
    for (size_t i = 0; i < 5; i++) {
        char line[100];
        snprintf(line, sizeof line, "  legacy  %s        0    42  44 B         44 KiB  6.3 s at 4 MiB/s", states[i]);
        has(&out, line);
    }
    rkb_buffer_free(&out);
    snapshot.intake_stopped = true;
    out = show(RKB_OUTPUT_TEXT, &snapshot);
    has(&out, "  legacy  intake stopped        0    42  44 B         44 KiB  6.3 s at 4 MiB/s");
    rkb_buffer_free(&out);
}

#define MANY 1000

static void many_routes(struct rkb_route_snapshot *routes, struct rkb_snapshot *snapshot)
{
    static char names[MANY][80];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "%04zu_a_route_with_a_name_of_sixty_three_bytes_such_as_people_give", i);
        routes[i] = (struct rkb_route_snapshot){.name = names[i], .topic = names[i], .source = "legacy"};
    }
    snapshot->routes = routes;
    snapshot->route_count = MANY;
    snapshot->totals = (struct rkb_books){.received = 0};
}

/* A thousand routes: the worst ten, how many more there are; no table is wider than a terminal. */
static void test_many_routes(void **state)
{
    (void)state;
    static struct rkb_route_snapshot routes[MANY];
    struct rkb_snapshot snapshot = sample_snapshot();
    many_routes(routes, &snapshot);
    struct rkb_source_snapshot source = sample_sources[0];
    source.name = "a_source_with_a_name_that_is_much_longer_than_any_screen_is_wide_at_night";
    source.url = "rediss://somebody@a.host.with.a.very.long.name.somewhere.in.a.cluster.internal.example.com:6380";
    snapshot.sources = &source;
    routes[3].books.dropped = routes[3].books.received = 1;
    routes[4].books.dead_lettered = routes[4].books.received = 2;
    routes[5].books.pending = routes[5].books.received = 7;
    routes[999].books.pending = routes[999].books.received = 8;
    routes[500].oldest_pending_seconds = 60;
    routes[600].oldest_pending_seconds = 70;
    routes[998].paused = true;
    struct rkb_buffer out = show(RKB_OUTPUT_TEXT, &snapshot);
    static const int expected[] = {998, 600, 500, 999, 5, 4, 3, 0, 1, 2};
    const char *at = strstr((const char *)out.data, "\nroutes:\n");
    assert_non_null(at);
    for (size_t i = 0; i < 10; i++) {
        char name[40];
        snprintf(name, sizeof name, "\n  %04d_a_rou...le_give  ", expected[i]);
        const char *found = strstr(at, name);
        if (found == NULL)
            fail_msg("no '%s' where it should be in:\n%s", name, (const char *)out.data);
        at = found;
    }
    has(&out, "more_routes: 990");
    size_t lines = 0;
    char *text = (char *)out.data;
    for (char *save, *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save), lines++)
        if (strlen(line) > WIDTH && line[0] == ' ')
            fail_msg("%zu places: '%s'", strlen(line), line);
    assert_true(lines < 40);
    rkb_buffer_free(&out);
}

static void test_many_gaps(void **state)
{
    (void)state;
    struct rkb_gap_snapshot gaps[8];
    struct rkb_snapshot snapshot = sample_snapshot();
    for (size_t i = 0; i < 8; i++) {
        gaps[i] = sample_gaps[0];
        gaps[i].id = 200 + i;
    }
    snapshot.gaps = gaps;
    snapshot.gap_count = 8;
    struct rkb_buffer out = show(RKB_OUTPUT_TEXT, &snapshot);
    has(&out, "earlier_gaps: 3");
    assert_null(strstr((char *)out.data, "  202  "));
    assert_non_null(strstr((char *)out.data, "  203  "));
    assert_non_null(strstr((char *)out.data, "  207  "));
    rkb_buffer_free(&out);
}

static void test_books(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    snapshot.totals = (struct rkb_books){10, 0, 1, 1, 1, 1, 1, 1, 4};
    struct rkb_buffer out = show(RKB_OUTPUT_TEXT, &snapshot);
    has(&out, "books: received 10 + recovered 0 = delivered 1 + covered 1 + dead_lettered 1 + filtered 1 + echoed 1 + "
        "dropped 1 + pending 4: balanced");
    rkb_buffer_free(&out);
    snapshot.totals.received = 14;
    out = show(RKB_OUTPUT_TEXT, &snapshot);
    assert_non_null(strstr((char *)out.data, " + pending 4: off by 4\n"));
    rkb_buffer_free(&out);
}

/* Each refused subscription with its rule. */
static void test_refused(void **state)
{
    (void)state;
    static const struct rkb_refused_snapshot refused[] = {
        {"legacy", "users", "channel user_created", "ACL SETUSER bridge &user_created"},
        {"legacy", "users", "pattern user.*", "ACL SETUSER bridge +psubscribe"},
    };
    struct rkb_snapshot snapshot = sample_snapshot();
    snapshot.refused = refused;
    snapshot.refused_count = 2;
    struct rkb_buffer out = show(RKB_OUTPUT_TEXT, &snapshot);
    has(&out, "  legacy  users  channel user_created  ACL SETUSER bridge &user_created");
    has(&out, "  legacy  users  pattern user.*        ACL SETUSER bridge +psubscribe");
    rkb_buffer_free(&out);
}

static const char *text_at(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void test_json(void **state)
{
    (void)state;
    static struct rkb_route_snapshot routes[MANY];
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_verdict_memory memory = {.well_us = 0};
    struct rkb_judgement judgement;
    many_routes(routes, &snapshot);
    routes[999].books.pending = snapshot.totals.pending = snapshot.totals.recovered = routes[999].books.recovered = 3;
    snapshot.gap_count = 0;
    snapshot.kafka.connected = false;
    snapshot.log_lines_lost_total = 0;
    snapshot.journal.ring_outlives = false;
    rkb_verdict_look(&snapshot, &memory, &judgement);
    snapshot.verdict = &judgement;
    struct rkb_buffer out = show(RKB_OUTPUT_JSON, &snapshot);
    begins(&out, "{\"verdict\":{\"level\":\"WARN\",");
    json_error_t error;
    json_t *root = json_loads((char *)out.data, JSON_REJECT_DUPLICATES, &error);
    assert_non_null(root);
    json_t *verdict = json_object_get(root, "verdict"), *reasons = json_object_get(verdict, "reasons");
    assert_string_equal(text_at(verdict, "reason"), "kafka_away");
    assert_string_equal(text_at(verdict, "why"), "Kafka is not connected, messages wait in the journal");
    assert_string_equal(text_at(verdict, "since"), "2026-11-22T20:51:10.000Z");
    assert_string_equal(text_at(verdict, "next"), "doc/runbook.md#kafka_away");
    assert_int_equal(json_array_size(reasons), 2);
    assert_string_equal(text_at(json_array_get(reasons, 1), "level"), "OK");
    assert_string_equal(text_at(json_array_get(reasons, 1), "reason"), "ring_anonymous");
    assert_string_equal(text_at(json_array_get(json_object_get(root, "routes"), 0), "name"), routes[999].name);
    assert_int_equal(json_array_size(json_object_get(root, "routes")), 10);
    assert_int_equal(json_integer_value(json_object_get(root, "more_routes")), 990);
    assert_false(json_boolean_value(json_object_get(json_object_get(root, "kafka"), "connected")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "journal"), "bytes")), 1536);
    assert_true(json_is_null(json_object_get(json_object_get(root, "journal"), "seconds_to_full")));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "books"), "pending")), 3);
    assert_string_equal(text_at(json_array_get(json_object_get(root, "sources"), 0), "state"), "subscribed 3/3");
    json_decref(root);
    rkb_buffer_free(&out);
}

/* What scripts rely on: members may be added to this, none may go. A number is a place in an array. */
static void test_json_has_what_it_had(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "verdict level", "verdict why", "verdict reason", "verdict since", "verdict seconds", "verdict next",
        "verdict reasons 0 level", "verdict reasons 0 reason", "verdict reasons 0 why", "verdict reasons 0 since",
        "verdict reasons 0 seconds", "verdict reasons 0 next", "instance", "version", "uptime_seconds", "ready",
        "sources 0 name", "sources 0 state", "sources 0 connected", "sources 0 subscribed", "sources 0 wanted",
        "sources 0 error", "sources 0 stall_budget_seconds", "sources 0 refused", "sources 0 gaps_total",
        "sources 0 bytes_total", "sources 0 output_buffer_bytes", "sources 0 stall_budget", "redis 0 source",
        "redis 0 url", "redis 0 role", "redis 0 cut_off_beyond", "redis 0 another_bridge", "refused 0 source",
        "refused 0 route", "refused 0 subscription", "refused 0 missing_rule", "kafka bootstrap_servers",
        "kafka connected", "kafka in_flight", "kafka topics_waiting", "kafka rebuilds_total", "kafka errors_total",
        "kafka p50_seconds", "kafka p99_seconds", "kafka max_seconds", "journal bytes", "journal max_size",
        "journal seconds_to_full", "journal oldest_pending_seconds", "journal ring_bytes", "journal ring_size",
        "journal ring_outlives", "journal directory", "routes 0 name", "routes 0 topic", "routes 0 state",
        "routes 0 pending", "routes 0 oldest_pending_seconds", "routes 0 delivered", "routes 0 dead_lettered",
        "routes 0 dropped", "more_routes", "gaps 0 id", "gaps 0 source", "gaps 0 from", "gaps 0 to", "gaps 0 reason",
        "gaps 0 bound", "earlier_gaps", "books received", "books recovered", "books delivered", "books covered",
        "books dead_lettered", "books filtered", "books echoed", "books dropped", "books pending", "books balance"};
    static const struct rkb_refused_snapshot refused[] = {{"legacy", "users", "channel a", "ACL SETUSER bridge &a"}};
    static struct rkb_route_snapshot routes[MANY];
    struct rkb_gap_snapshot gaps[8];
    struct rkb_snapshot snapshot = sample_snapshot();
    many_routes(routes, &snapshot);
    for (size_t i = 0; i < 8; i++)
        gaps[i] = sample_gaps[0];
    snapshot.gaps = gaps;
    snapshot.gap_count = 8;
    snapshot.refused = refused;
    snapshot.refused_count = 1;
    snapshot.kafka.connected = false;
    struct rkb_buffer out = show(RKB_OUTPUT_JSON, &snapshot);
    json_t *root = json_loads((char *)out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char path[80], *save;
        const json_t *at = root;
        strcpy(path, paths[i]);
        for (char *word = strtok_r(path, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
            at = json_is_array(at) ? json_array_get(at, (size_t)strtoul(word, NULL, 10)) : json_object_get(at, word);
        if (at == NULL)
            fail_msg("there is no %s in %s", paths[i], (char *)out.data);
    }
    json_decref(root);
    rkb_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json_has_what_it_had),
        cmocka_unit_test(test_the_first_line),
        cmocka_unit_test(test_states_of_a_source),
        cmocka_unit_test(test_many_routes),
        cmocka_unit_test(test_many_gaps),
        cmocka_unit_test(test_books),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
