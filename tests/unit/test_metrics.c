/* metrics: the rows as text, label values that try to break it, the cap on routes, and that sums come out. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/metrics.h"
#include "control/verdict.h"
#include "sample_snapshot.h"
#include "times_in.h"

static char *text_of(const struct rkb_snapshot *snapshot)
{
    struct rkb_buffer out = {0};
    rkb_metrics_write(snapshot, &out);
    rkb_buffer_add(&out, "", 1);
    assert_false(out.failed);
    return (char *)out.data;
}

static void has(const char *text, const char *line)
{
    char whole[300];
    snprintf(whole, sizeof whole, "\n%s\n", line);
    if (strstr(text, whole) == NULL)
        fail_msg("no line %s in:\n%s", line, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part) != NULL)
        fail_msg("there is %s in:\n%s", part, text);
}

static int count_lines(const char *text, const char *begin)
{
    char first[256];
    snprintf(first, sizeof first, "\n%s", begin);
    return times_in(text, first);
}

static void test_verdict(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_judgement judgement = {.severity = RKB_SEVERITY_WARN};
    snapshot.verdict = &judgement;
    char *text = text_of(&snapshot);
    has(text, "rkbridge_verdict 1");
    free(text);
}

static void test_what_is_not_as_asked(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    char *text = text_of(&snapshot);
    has(text, "rkbridge_config_last_reload_successful 1");
    has(text, "rkbridge_config_last_reload_success_timestamp_seconds 1795380667");
    has(text, "rkbridge_pauses_unread 0");
    has(text, "rkbridge_lingering 0");
    free(text);
    snapshot.config.refused = snapshot.lingering = true;
    snapshot.pauses_unread = "why";
    text = text_of(&snapshot);
    has(text, "rkbridge_config_last_reload_successful 0");
    has(text, "rkbridge_pauses_unread 1");
    has(text, "rkbridge_lingering 1");
    free(text);
}

static void test_figures(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    snapshot.kafka.library = "2.0.2";
    char *text = text_of(&snapshot);
    assert_int_equal(strncmp(text, "# HELP rkbridge_build_info ", 27), 0);
    has(text, "# TYPE rkbridge_build_info gauge");
    has(text, "rkbridge_build_info{version=\"1.2.3\",librdkafka=\"2.0.2\"} 1");
    has(text, "rkbridge_uptime_seconds 7325.5");
    has(text, "rkbridge_ready 1");
    has_not(text, "\nrkbridge_verdict ");
    has(text, "# TYPE rkbridge_messages_received_total counter");
    has(text, "rkbridge_messages_received_total 90");
    has(text, "# TYPE rkbridge_messages_pending gauge");
    has(text, "rkbridge_messages_pending 22");
    has(text, "rkbridge_books_imbalance 0");
    has(text, "rkbridge_drops_total{reason=\"journal_full\"} 3");
    has(text, "rkbridge_drops_total{reason=\"too_large\"} 2");
    has(text, "rkbridge_drops_total{reason=\"no_memory\"} 0");
    has(text, "rkbridge_pending_age_seconds 1.25");
    has(text, "rkbridge_route_messages_delivered_total{route=\"users\"} 80");
    has(text, "rkbridge_route_pending_age_seconds{route=\"users\"} 12.5");
    has(text, "rkbridge_routes 2");
    has(text, "rkbridge_source_connected{source=\"legacy\"} 1");
    has(text, "rkbridge_source_gaps_total{source=\"legacy\"} 42");
    has(text, "rkbridge_source_output_buffer_bytes{source=\"legacy\"} 45056");
    has(text, "rkbridge_source_stall_budget_seconds{source=\"legacy\"} 6.25");
    has(text, "rkbridge_gaps{reason=\"restart\"} 1");
    has(text, "rkbridge_gaps_open 1");
    has(text, "rkbridge_gaps_bound_messages 12");
    has(text, "rkbridge_gaps_bound_unknown 1");
    has(text, "rkbridge_gap_notices_pending 5");
    has(text, "rkbridge_journal_bytes 1536");
    has(text, "rkbridge_journal_durable 1");
    has(text, "rkbridge_journal_time_to_full_seconds +Inf");
    has(text, "rkbridge_kafka_errors_total{error=\"TRANSPORT\"} 4");
    has(text, "rkbridge_log_lines_lost_total 6");
    free(text);
}

/* A figure that is not known has no sample; the family is named all the same. */
static void test_unknown(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_source_snapshot source = sample_sources[0];
    source.stall = (struct rkb_stall_snapshot){-1, -1, -1, -1, -1, -1};
    source.another_bridge = -1;
    snapshot.sources = &source;
    snapshot.journal.disk_free = UINT64_MAX;
    snapshot.journal.disk_error = "EIO";
    char *text = text_of(&snapshot);
    has(text, "# TYPE rkbridge_source_output_buffer_bytes gauge");
    has_not(text, "rkbridge_source_output_buffer_bytes{");
    has_not(text, "rkbridge_source_output_buffer_limit_bytes{");
    has_not(text, "rkbridge_source_stall_budget_seconds{");
    has_not(text, "rkbridge_source_another_bridge{");
    has_not(text, "rkbridge_journal_disk_free_bytes 1");
    has_not(text, "rkbridge_delivery_seconds_bucket");
    has(text, "rkbridge_journal_durable 0");
    free(text);
}

static void test_each_family_once(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    char *text = text_of(&snapshot), line[200];
    for (size_t i = 0; i < rkb_metric_count; i++) {
        const char *name = rkb_metrics[i].name;
        snprintf(line, sizeof line, "# TYPE %s ", name);
        assert_int_equal(count_lines(text, line), 1);
        bool counts = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
        assert_int_equal(counts, rkb_metrics[i].type == RKB_METRIC_COUNTER);
        assert_int_equal(rkb_metrics[i].help[strlen(rkb_metrics[i].help) - 1], '.');
    }
    free(text);
}

static void test_odd_names(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    char *text = text_of(&snapshot);
    /* a"b\c, a newline, a byte that is no UTF-8, e with an accent */
    has(text, "rkbridge_route_messages_pending{route=\"a\\\"b\\\\c\\\\n\\\\xff\xc3\xa9\"} 7");
    free(text);
}

/* Each of what cannot stand for itself, alone. */
static void test_label_values(void **state)
{
    (void)state;
    static const struct { const char *value, *text; } rows[] = {
        {"", ""}, {"plain", "plain"}, {"a\"b", "a\\\"b"}, {"a\\b", "a\\\\b"}, {"a\nb", "a\\\\nb"}, {"\x7f", "\\\\x7f"},
        {"\xc3\xa9", "\xc3\xa9"}, {"\xff", "\\\\xff"}, {"{}=,", "{}=,"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_buffer out = {0};
        struct rkb_prometheus writer = {.out = &out, .name = "x", .name_size = 1};
        rkb_prometheus_number(&writer, "", (struct rkb_label){"l", rows[i].value}, 1);
        rkb_buffer_add(&out, "", 1);
        char line[64];
        snprintf(line, sizeof line, "x{l=\"%s\"} 1\n", rows[i].text);
        assert_string_equal((char *)out.data, line);
        rkb_buffer_free(&out);
    }
}

#define ROUTES 50

static struct rkb_route_snapshot many[ROUTES];

static struct rkb_snapshot many_routes(void)
{
    static char names[ROUTES][8];
    struct rkb_snapshot snapshot = sample_snapshot();
    for (size_t i = 0; i < ROUTES; i++) {
        snprintf(names[i], sizeof names[i], "r%zu", i);
        many[i] = (struct rkb_route_snapshot){.name = names[i], .books = {.received = i + 1, .pending = 2},
                                              .oldest_pending_seconds = i == 20 ? 99 : (double)i};
    }
    snapshot.routes = many;
    snapshot.route_count = ROUTES;
    return snapshot;
}

/* So many have metrics of their own. */
static void first_own(size_t count)
{
    for (size_t i = 0; i < ROUTES; i++)
        many[i].among_others = i >= count;
}

static void test_cap(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = many_routes();
    first_own(3);
    char *text = text_of(&snapshot);
    assert_int_equal(count_lines(text, "rkbridge_route_messages_received_total{"), 4);
    has(text, "rkbridge_route_messages_received_total{route=\"r2\"} 3");
    has(text, "rkbridge_route_messages_received_total{route=\"(other)\"} 1269");     /* 4 + 5 + ... + 50 */
    has(text, "rkbridge_route_messages_pending{route=\"(other)\"} 94");
    has(text, "rkbridge_route_pending_age_seconds{route=\"(other)\"} 99");
    free(text);
    first_own(ROUTES);
    text = text_of(&snapshot);
    assert_int_equal(count_lines(text, "rkbridge_route_messages_received_total{"), ROUTES);
    has_not(text, "(other)");
    free(text);
    first_own(0);
    text = text_of(&snapshot);
    assert_int_equal(count_lines(text, "rkbridge_route_messages_received_total{"), 1);
    has(text, "rkbridge_route_messages_received_total{route=\"(other)\"} 1275");
    free(text);
}

static void test_brokers(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    snapshot.kafka.broker_count = 2;
    snapshot.kafka.brokers[0] = (struct rkb_broker_snapshot){-1, 3, 0.5, 0};
    snapshot.kafka.brokers[1] = (struct rkb_broker_snapshot){12, 4, 0.25, 1.5};
    char *text = text_of(&snapshot);
    has(text, "# TYPE rkbridge_kafka_broker_round_trip_seconds summary");
    has(text, "rkbridge_kafka_broker_round_trip_seconds_sum{broker=\"bootstrap\"} 0.5");
    has(text, "rkbridge_kafka_broker_round_trip_seconds_count{broker=\"12\"} 4");
    has(text, "rkbridge_kafka_broker_throttle_seconds_total{broker=\"12\"} 1.5");
    free(text);
}

static void test_histograms(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_histogram spans = {.kind = &rkb_histogram_delivery}, sizes = {.kind = &rkb_histogram_size};
    static const int64_t taken[] = {-5, 0, 1000, 1001, 1000, 999, 2000, INT64_C(7200000000), INT64_C(7200000001), 3000};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        rkb_histogram_add_span(&spans, taken[i]);
    rkb_histogram_add(&sizes, 0);
    rkb_histogram_add(&sizes, 64);
    rkb_histogram_add(&sizes, 65);
    rkb_histogram_add(&sizes, UINT64_C(1) << 40);
    snapshot.histograms.delivery = &spans;
    snapshot.histograms.size = &sizes;
    char *text = text_of(&snapshot);
    has(text, "# TYPE rkbridge_delivery_seconds histogram");
    has(text, "rkbridge_delivery_seconds_bucket{le=\"0.001\"} 5");
    has(text, "rkbridge_delivery_seconds_bucket{le=\"0.002\"} 7");
    has(text, "rkbridge_delivery_seconds_bucket{le=\"0.005\"} 8");
    has(text, "rkbridge_delivery_seconds_bucket{le=\"7200\"} 9");
    has(text, "rkbridge_delivery_seconds_bucket{le=\"+Inf\"} 10");
    has(text, "rkbridge_delivery_seconds_count 10");
    has(text, "rkbridge_delivery_seconds_sum 14400.009001");
    has(text, "rkbridge_message_size_bytes_bucket{le=\"64\"} 2");
    has(text, "rkbridge_message_size_bytes_bucket{le=\"256\"} 3");
    has(text, "rkbridge_message_size_bytes_bucket{le=\"8388608\"} 3");
    has(text, "rkbridge_message_size_bytes_bucket{le=\"+Inf\"} 4");
    has(text, "rkbridge_message_size_bytes_sum 1099511627905");
    free(text);
}

/* Each kind's bounds ascend, so that a bucket holds what its name says. */
/* Of the sources that have them; the histogram has its source beside the bounds. */
static void test_canaries(void **state)
{
    (void)state;
    struct rkb_snapshot snapshot = sample_snapshot();
    struct rkb_source_snapshot sources[2] = {sample_sources[0], sample_sources[0]};
    struct rkb_histogram spans = {.kind = &rkb_histogram_delivery};
    rkb_histogram_add_span(&spans, 1500);
    sources[0].canary = (struct rkb_canary_snapshot){.sent = -1, .received = -1, .acknowledged = -1,
                                                     .success_seconds = -1};
    sources[1].name = "second";
    sources[1].canary = (struct rkb_canary_snapshot){.on = true, .sent = 7, .received = 6, .acknowledged = 5,
                                                     .success_seconds = 1700000000.25, .round_trip = &spans};
    snapshot.sources = sources;
    snapshot.source_count = 2;
    char *text = text_of(&snapshot);
    has(text, "rkbridge_source_canary_sent_total{source=\"second\"} 7");
    has(text, "rkbridge_source_canary_received_total{source=\"second\"} 6");
    has(text, "rkbridge_source_canary_acknowledged_total{source=\"second\"} 5");
    has(text, "rkbridge_source_canary_last_success_timestamp_seconds{source=\"second\"} 1700000000.25");
    has(text, "rkbridge_source_canary_round_trip_seconds_bucket{source=\"second\",le=\"0.001\"} 0");
    has(text, "rkbridge_source_canary_round_trip_seconds_bucket{source=\"second\",le=\"+Inf\"} 1");
    has(text, "rkbridge_source_canary_round_trip_seconds_sum{source=\"second\"} 0.0015");
    has(text, "rkbridge_source_canary_round_trip_seconds_count{source=\"second\"} 1");
    has_not(text, "canary_sent_total{source=\"legacy\"}");
    has_not(text, "canary_last_success_timestamp_seconds{source=\"legacy\"}");
    free(text);
}

static void test_kinds(void **state)
{
    (void)state;
    const struct rkb_histogram_kind *const kinds[] = {&rkb_histogram_delivery, &rkb_histogram_produce,
                                                      &rkb_histogram_sync, &rkb_histogram_turn, &rkb_histogram_size};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct rkb_histogram histogram = {.kind = kinds[i]};
        assert_in_range(kinds[i]->count, 1, RKB_HISTOGRAM_BOUNDS);
        for (unsigned at = 0; at < kinds[i]->count; at++) {
            assert_true(at == 0 || kinds[i]->bounds[at] > kinds[i]->bounds[at - 1]);
            rkb_histogram_add(&histogram, kinds[i]->bounds[at]);
            rkb_histogram_add(&histogram, kinds[i]->bounds[at] + 1);
            assert_int_equal(histogram.counts[at], at == 0 ? 1 : 2);
            assert_int_equal(histogram.counts[at + 1], 1);
        }
    }
}

static void test_reals(void **state)
{
    (void)state;
    static const struct { double value; const char *text; } rows[] = {
        {0, "0"}, {0.0000004, "0"}, {0.0000005, "0.000001"}, {1.5, "1.5"}, {-2.25, "-2.25"}, {0.999999, "0.999999"},
        {0.9999999, "1"}, {123456789.000001, "123456789.000001"}, {1795380670.25, "1795380670.25"},
        {1e13, "10000000000000"}, {1e300, "1.0000000000000001e+300"}, {-0.0000001, "0"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_buffer out = {0};
        struct rkb_prometheus writer = {.out = &out, .name = "x", .name_size = 1};
        rkb_prometheus_real(&writer, "", (struct rkb_label){0}, rows[i].value);
        rkb_buffer_add(&out, "", 1);
        char line[64];
        snprintf(line, sizeof line, "x %s\n", rows[i].text);
        assert_string_equal((char *)out.data, line);
        rkb_buffer_free(&out);
    }
}

static void test_help_is_escaped(void **state)
{
    (void)state;
    struct rkb_buffer out = {0};
    struct rkb_prometheus writer = {.out = &out};
    rkb_prometheus_family(&writer, "x", "gauge", "a\\b\nc \"d\"");
    rkb_buffer_add(&out, "", 1);
    assert_string_equal((char *)out.data, "# HELP x a\\\\b\\nc \"d\"\n# TYPE x gauge\n");
    rkb_buffer_free(&out);
}

static void test_table(void **state)
{
    (void)state;
    struct rkb_buffer out = {0};
    rkb_metrics_table(&out);
    rkb_buffer_add(&out, "", 1);
    has((char *)out.data,
        "| `rkbridge_source_connected` | gauge | source | 1 while the connection to this Redis stands. |");
    assert_int_equal(count_lines((char *)out.data, "| `"), rkb_metric_count);
    rkb_buffer_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_what_is_not_as_asked),
        cmocka_unit_test(test_verdict), cmocka_unit_test(test_unknown), cmocka_unit_test(test_each_family_once),
        cmocka_unit_test(test_odd_names), cmocka_unit_test(test_label_values), cmocka_unit_test(test_cap),
        cmocka_unit_test(test_brokers), cmocka_unit_test(test_histograms), cmocka_unit_test(test_canaries),
        cmocka_unit_test(test_kinds), cmocka_unit_test(test_reals),
        cmocka_unit_test(test_help_is_escaped), cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
