/* stats and output: every field that others rely on, both formats, the books. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/output.h"
#include "control/stats.h"
#include "sample_snapshot.h"

static struct rkb_buffer show(void (*write)(const struct rkb_snapshot *, struct rkb_output *),
                              enum rkb_output_kind kind, const struct rkb_snapshot *snapshot)
{
    struct rkb_buffer out = {0};
    struct rkb_output output;
    rkb_output_begin(&output, kind, &out);
    write(snapshot, &output);
    rkb_output_end(&output);
    rkb_buffer_add(&out, "", 1);
    assert_false(out.failed);
    return out;
}

static json_t *show_json(void (*write)(const struct rkb_snapshot *, struct rkb_output *),
                         const struct rkb_snapshot *snapshot)
{
    struct rkb_buffer out = show(write, RKB_OUTPUT_JSON, snapshot);
    const char *text = (const char *)out.data;
    assert_ptr_equal(strchr(text, '\n'), text + out.size - 2);     /* one line */
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s in %s", error.text, text);
    rkb_buffer_free(&out);
    return root;
}

/* The value at a path like "journal/bytes". */
static json_t *at(json_t *value, const char *path)
{
    while (*path != '\0') {
        char name[64];
        size_t size = strcspn(path, "/");
        assert_true(size < sizeof name);
        memcpy(name, path, size);
        name[size] = '\0';
        value = json_object_get(value, name);
        if (value == NULL)
            fail_msg("no field %s", path);
        path += size + (path[size] == '/');
    }
    return value;
}

#define BOOKS "received recovered delivered covered dead_lettered filtered echoed dropped pending"

/* What others rely on: object, its fields, their type. */
static const struct { const char *object, *fields; char type; } promised[] = {
    {"", "version instance", 's'},
    {"", "uptime_seconds", 'n'},
    {"", "ready", 'b'},
    {"totals", BOOKS, 'n'},
    {"dropped_by_reason", "journal_full too_large", 'n'},
    {"routes/users", BOOKS, 'n'},
    {"sources/legacy", "connected", 'b'},
    {"gaps", "count open bound_unknown bound_sum notices_pending", 'n'},
    {"gaps/by_reason", "restart connection_lost", 'n'},
    {"sources/legacy", "subscribed connections_total gaps_total overlaps_total bytes_total", 'n'},
    {"journal", "bytes segments oldest_pending_seconds checkpoint head seconds_to_full", 'n'},
    {"kafka", "connected", 'b'},
    {"kafka", "in_flight rebuilds_total", 'n'},
    {"kafka", "errors_total", 'o'},
    {"latency", "p50_seconds p99_seconds max_seconds", 'n'},
};

static bool has_type(const json_t *value, char type)
{
    return type == 's' ? json_is_string(value) : type == 'n' ? json_is_number(value)
        : type == 'b' ? json_is_boolean(value) : json_is_object(value);
}

static void test_json_keeps_its_promise(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    snapshot.journal.seconds_to_full = 12.5;
    json_t *root = show_json(rkb_stats_write, &snapshot);
    for (size_t i = 0; i < sizeof promised / sizeof promised[0]; i++) {
        char fields[200];
        strcpy(fields, promised[i].fields);
        for (char *save, *field = strtok_r(fields, " ", &save); field != NULL; field = strtok_r(NULL, " ", &save))
            if (!has_type(at(at(root, promised[i].object), field), promised[i].type))
                fail_msg("%s/%s is of the wrong type", promised[i].object, field);
    }
    json_decref(root);
}

static void check_number(json_t *root, const char *path, double value)
{
    double found = json_number_value(at(root, path));
    if (fabs(found - value) > 1e-9)
        fail_msg("%s is %.17g, not %.17g", path, found, value);
}

static void test_json_values(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    json_t *root = show_json(rkb_stats_write, &snapshot);
    assert_string_equal(json_string_value(at(root, "version")), "1.2.3");
    assert_string_equal(json_string_value(at(root, "instance")), "shop-sidecar");
    check_number(root, "uptime_seconds", 7325.5);
    check_number(root, "totals/pending", 22);
    check_number(root, "dropped_by_reason/journal_full", 3);
    check_number(root, "dropped_by_reason/too_large", 2);
    check_number(root, "routes/users/delivered", 80);
    check_number(root, "sources/legacy/subscribed", 3);
    check_number(root, "sources/legacy/connections_total", 41);
    check_number(root, "sources/legacy/gaps_total", 42);
    check_number(root, "gaps/count", 2);
    check_number(root, "gaps/open", 1);
    check_number(root, "gaps/bound_unknown", 1);
    check_number(root, "gaps/bound_sum", 12);
    check_number(root, "gaps/notices_pending", 5);
    check_number(root, "gaps/by_reason/restart", 1);
    check_number(root, "sources/legacy/overlaps_total", 43);
    check_number(root, "sources/legacy/bytes_total", 44);
    check_number(root, "journal/bytes", 1536);
    check_number(root, "journal/segments", 2);
    check_number(root, "journal/checkpoint", 50);
    check_number(root, "journal/head", 60);
    check_number(root, "journal/max_size", 4096);
    check_number(root, "journal/synced", 55);
    check_number(root, "journal/oldest_pending_seconds", 1.25);
    assert_true(json_is_null(at(root, "journal/seconds_to_full")));
    check_number(root, "kafka/in_flight", 9);
    check_number(root, "kafka/rebuilds_total", 1);
    check_number(root, "kafka/errors_total/TRANSPORT", 4);
    check_number(root, "kafka/errors_total/ALL_BROKERS_DOWN", 1);
    check_number(root, "latency/p50_seconds", 0.0025);
    check_number(root, "latency/p99_seconds", 0.012346);
    check_number(root, "latency/max_seconds", 1);
    check_number(root, "log_lines_lost_total", 6);
    assert_true(json_is_true(at(root, "ready")));
    assert_true(json_is_false(at(root, "draining")));
    assert_true(json_is_false(at(root, "lingering")));
    assert_true(json_is_null(at(root, "paused_unread")));
    assert_true(json_is_false(at(root, "config/refused")));
    assert_true(json_is_null(at(root, "config/why")));
    assert_string_equal(json_string_value(at(root, "config/taken")), "2026-11-22T20:51:07.000Z");
    check_number(json_object_get(at(root, "routes"), "a\"b\\c\n\\xff\xc3\xa9"), "recovered", 7);
    json_decref(root);
}

static void test_json_of_odd_numbers(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    snapshot.totals.received = UINT64_MAX;
    snapshot.uptime_seconds = (double)NAN;
    snapshot.latency.p50_seconds = (double)INFINITY;
    snapshot.latency.p99_seconds = 1e300;
    snapshot.latency.max_seconds = 1e-9;
    struct rkb_buffer out = show(rkb_stats_write, RKB_OUTPUT_JSON, &snapshot);
    assert_non_null(strstr((char *)out.data, "\"uptime_seconds\":null,"));
    assert_non_null(strstr((char *)out.data, "\"received\":18446744073709551615,"));
    const char *p50 = strstr((char *)out.data, "\"p50_seconds\":null,\"p99_seconds\":");
    assert_non_null(p50);
    char *end;
    assert_true(strtod(p50 + strlen("\"p50_seconds\":null,\"p99_seconds\":"), &end) == 1e300);
    assert_int_equal(strncmp(end, ",\"max_seconds\":0.0,", 19), 0);
    rkb_buffer_free(&out);
}

static void test_json_of_what_is_not_as_asked(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    snapshot.lingering = true;
    snapshot.ending_seconds = 3.5;
    snapshot.pauses_unread = "/j/paused: Permission denied";
    snapshot.config.refused = true;
    snapshot.config.why = "journal.sync: needs a restart";
    json_t *root = show_json(rkb_stats_write, &snapshot);
    assert_true(json_is_true(at(root, "lingering")));
    check_number(root, "ending_seconds", 3.5);
    assert_string_equal(json_string_value(at(root, "paused_unread")), "/j/paused: Permission denied");
    assert_true(json_is_true(at(root, "config/refused")));
    assert_string_equal(json_string_value(at(root, "config/why")), "journal.sync: needs a restart");
    json_decref(root);
}

static void test_json_of_nothing(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = {.version = "0", .instance = ""};
    json_t *root = show_json(rkb_stats_write, &snapshot);
    assert_true(json_is_null(at(root, "journal/directory")));
    assert_int_equal(json_object_size(at(root, "routes")), 0);
    json_decref(root);
}

static void check_line(const struct rkb_buffer *out, const char *line)
{
    const char *found = strstr((const char *)out->data, line);
    if (found == NULL || (found != (const char *)out->data && found[-1] != '\n') || found[strlen(line)] != '\n')
        fail_msg("no line '%s' in:\n%s", line, (const char *)out->data);
}

static void test_stats_text(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_buffer out = show(rkb_stats_write, RKB_OUTPUT_TEXT, &snapshot);
    check_line(&out, "version: 1.2.3");
    check_line(&out, "uptime_seconds: 7325.5");
    check_line(&out, "ready: yes");
    check_line(&out, "totals.received: 90");
    check_line(&out, "routes.users.delivered: 80");
    check_line(&out, "routes.a\"b\\c\\n\\xff\xc3\xa9.recovered: 7");
    check_line(&out, "sources.legacy.error: -");
    check_line(&out, "journal.seconds_to_full: not filling");
    check_line(&out, "kafka.errors_total.TRANSPORT: 4");
    check_line(&out, "kafka.bootstrap_servers: 127.0.0.1:9092");
    check_line(&out, "latency.max_seconds: 1.0");
    rkb_buffer_free(&out);
}

static void write_all_gaps(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_gaps_write(snapshot, 0, output);
}

static void write_last_gap(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_last_gaps_write(snapshot, 1, output);
}

static void write_gaps_since(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_gaps_write(snapshot, 1795380668123457, output);
}

static void write_gaps_since_its_end(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_gaps_write(snapshot, 1795380668123456, output);
}

#define POSITION "00112233445566778899aabbccddeeff:17"

static void test_gaps(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_buffer out = show(write_all_gaps, RKB_OUTPUT_TEXT, &snapshot);
    assert_non_null(strstr((char *)out.data, "  reason             bound  position_before  "));
    assert_non_null(strstr((char *)out.data, "restart               12  " POSITION));
    rkb_buffer_free(&out);
    json_t *root = show_json(write_all_gaps, &snapshot);
    json_t *expected = json_loads("{\"gaps\":[{\"id\":101,\"source\":\"legacy\",\"from\":\"2026-11-22T20:51:07.123Z\","
                                  "\"to\":\"2026-11-22T20:51:08.123Z\",\"reason\":\"restart\",\"bound\":12,"
                                  "\"position_before\":\"" POSITION "\",\"position_after\":null},"
                                  "{\"id\":102,\"source\":\"legacy\",\"from\":\"2026-11-22T20:51:09.000Z\",\"to\":null,"
                                  "\"reason\":\"connection_lost\",\"bound\":null,\"position_before\":null,"
                                  "\"position_after\":null}]}", 0, NULL);
    assert_true(json_equal(root, expected));
    json_decref(root);
    json_decref(expected);
    snapshot.gap_count = 0;
    out = show(write_all_gaps, RKB_OUTPUT_TEXT, &snapshot);
    assert_string_equal((char *)out.data, "gaps: none\n");
    rkb_buffer_free(&out);
    out = show(write_all_gaps, RKB_OUTPUT_JSON, &snapshot);
    assert_string_equal((char *)out.data, "{\"gaps\":[]}\n");
    rkb_buffer_free(&out);
}

/* One that is open has not ended before anything. */
static void test_gaps_since(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    json_t *root = show_json(write_gaps_since, &snapshot);
    assert_int_equal(json_array_size(at(root, "gaps")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(at(root, "gaps"), 0), "id")), 102);
    json_decref(root);
    root = show_json(write_gaps_since_its_end, &snapshot);
    assert_int_equal(json_array_size(at(root, "gaps")), 2);
    json_decref(root);
}

static void test_last_gaps(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_buffer out = show(write_last_gap, RKB_OUTPUT_TEXT, &snapshot);
    assert_string_equal((char *)out.data, "gaps:\n"
                        "   id  source  from                        to  reason             bound\n"
                        "  102  legacy  2026-11-22T20:51:09.000Z  open  connection_lost  unknown\n");
    rkb_buffer_free(&out);
}

static void test_routes(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_buffer out = show(rkb_routes_write, RKB_OUTPUT_TEXT, &snapshot);
    assert_string_equal((char *)out.data,
                        "routes:\n"
                        "  name          source  topic          channels                    patterns  "
                        "received  delivered  dropped  pending  state\n"
                        "  users         legacy  user_activity  user_created, odd \"name\"\\n  user.*    "
                        "      90         80        5       15  runs\n"
                        "  a\"b\\c\\n\\xff\xc3\xa9  -       -              -                           -         "
                        "       0          0        0        7  runs\n");
    rkb_buffer_free(&out);
    json_t *root = show_json(rkb_routes_write, &snapshot);
    json_t *first = json_array_get(at(root, "routes"), 0), *second = json_array_get(at(root, "routes"), 1);
    assert_string_equal(json_string_value(json_array_get(at(first, "channels"), 1)), "odd \"name\"\n");
    assert_string_equal(json_string_value(at(first, "topic")), "user_activity");
    assert_true(json_is_null(at(second, "topic")));
    assert_int_equal(json_array_size(at(second, "patterns")), 0);
    json_decref(root);
}

static void test_books(void **state)
{
    (void)state;
    struct rkb_books books = {1, 2, 3, 4, 5, 6, 7, 8, 9}, sum = {.received = 100, .pending = 1};
    assert_int_equal(rkb_books_imbalance(&books), 1 + 2 - (3 + 4 + 5 + 6 + 7 + 8 + 9));
    rkb_books_add(&sum, &books);
    assert_int_equal(sum.received, 101);
    assert_int_equal(sum.recovered, 2);
    assert_int_equal(sum.dropped, 8);
    assert_int_equal(sum.pending, 10);
    books = (struct rkb_books){.received = 5, .recovered = 1, .delivered = 1, .covered = 1, .dead_lettered = 1,
                               .filtered = 1, .echoed = 1, .dropped = 1};
    assert_int_equal(rkb_books_imbalance(&books), 0);
    books.pending = 1;
    assert_int_equal(rkb_books_imbalance(&books), -1);
    books.received = 7;
    assert_int_equal(rkb_books_imbalance(&books), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_keeps_its_promise),
        cmocka_unit_test(test_json_values),
        cmocka_unit_test(test_json_of_odd_numbers),
        cmocka_unit_test(test_json_of_what_is_not_as_asked),
        cmocka_unit_test(test_json_of_nothing),
        cmocka_unit_test(test_stats_text),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_gaps_since),
        cmocka_unit_test(test_last_gaps),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_books),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
