/*
 * Tests of `rkbctl check`'s Kafka, with a mock cluster: logins that fail, each answer to the right to write, what is
 * not asked of a broker that is not known, and how long a record may get.
 *
 * The mock knows no DescribeConfigs, so nothing of it can be asked by the whole check; and it takes records with
 * acks=2, as some other server may.
 */
#include "config_files.h"

#include "kafka/mock.h"
#include "kafka/trial.h"
#include "tool/check_kafka.h"

#define PATIENCE_MS 30000
#define ONE_ANSWER_MS 4000      /* where one is missing for certain: what the mock does not know it does not answer */

static const struct rkb_places no_places;

struct world {
    struct rkb_mock *mock;
    struct rkb_property properties[2];
};

static int begin(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct rkb_error error;
    assert_non_null(world);
    world->mock = rkb_mock_start(1, &error);
    assert_non_null(world->mock);
    assert_true(rkb_mock_topic(world->mock, "here", 2, &error));
    assert_true(rkb_mock_topic(world->mock, "there", 1, &error));
    world->properties[0] = (struct rkb_property){"bootstrap.servers", rkb_mock_bootstrap(world->mock)};
    world->properties[1] = (struct rkb_property){"reconnect.backoff.max.ms", "100"};
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;
    rkb_mock_stop(world->mock);
    free(world);
    return 0;
}

static void fails_next(const struct world *world, int16_t request, rd_kafka_resp_err_t code, size_t times)
{
    for (size_t i = 0; i < times; i++)
        rd_kafka_mock_push_request_errors(rkb_mock_cluster(world->mock), request, 1, code);
}

/* ---- login ---- */

static void test_login(void **state)
{
    struct world *world = *state;
    struct rkb_error error;
    assert_int_equal(rkb_kafka_try_login(world->properties, 2, PATIENCE_MS, &error), RKB_OK);
}

static void test_no_right_to_produce(void **state)
{
    struct world *world = *state;
    struct rkb_error error;
    fails_next(world, 22, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, 5);
    assert_int_equal(rkb_kafka_try_login(world->properties, 2, PATIENCE_MS, &error), RKB_FULL);
    assert_non_null(strstr(error.text, "CLUSTER_AUTHORIZATION_FAILED"));
}

static void test_nobody_there(void **state)
{
    (void)state;
    const struct rkb_property nowhere[] = {{"bootstrap.servers", "127.0.0.1:1"}};
    struct rkb_error error;
    assert_int_equal(rkb_kafka_try_login(nowhere, 1, PATIENCE_MS, &error), RKB_TIMEOUT);
    assert_non_null(strstr(error.text, "Connection refused"));
}

/* A broker that takes connections and never answers. */
static void test_silence(void **state)
{
    struct world *world = *state;
    struct rkb_error error;
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 60000);
    assert_int_equal(rkb_kafka_try_login(world->properties, 2, 300, &error), RKB_TIMEOUT);
    assert_non_null(strstr(error.text, "no answer within 300 ms"));
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 0);
}

static void test_properties_that_do_not_go(void **state)
{
    (void)state;
    const struct rkb_property wrong[] = {{"bootstrap.servers", "127.0.0.1:1"}, {"acks", "1"}};
    struct rkb_write_found found;
    struct rkb_error error;
    const char *const topic = "here";
    assert_int_equal(rkb_kafka_try_login(wrong, 2, PATIENCE_MS, &error), RKB_USAGE);
    assert_false(rkb_kafka_try_writing(wrong, 2, &topic, 1, PATIENCE_MS, &found, &error));
}

/* ---- the right to write ---- */

static void test_each_answer(void **state)
{
    static const struct {
        rd_kafka_resp_err_t code;
        enum rkb_write_right right;
    } rows[] = {
        {RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS, RKB_WRITE_ALLOWED},
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, RKB_WRITE_DENIED},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, RKB_WRITE_UNKNOWN},
        {RD_KAFKA_RESP_ERR_NO_ERROR, RKB_WRITE_TAKEN},
    };
    struct world *world = *state;
    const char *const topic = "here";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_write_found found;
        struct rkb_error error;
        if (rows[i].code != RD_KAFKA_RESP_ERR_NO_ERROR)
            fails_next(world, 0, rows[i].code, 1);
        assert_true(rkb_kafka_try_writing(world->properties, 2, &topic, 1, PATIENCE_MS, &found, &error));
        assert_int_equal(found.right, rows[i].right);
        assert_int_equal(found.code, rows[i].code);
    }
}

static void test_silence_is_not_a_right(void **state)
{
    struct world *world = *state;
    static const char *const topics[] = {"here", "there"};
    struct rkb_write_found found[2];
    struct rkb_error error;
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 60000);
    assert_true(rkb_kafka_try_writing(world->properties, 2, topics, 2, 300, found, &error));
    assert_int_equal(found[0].right, RKB_WRITE_UNKNOWN);
    assert_int_equal(found[1].right, RKB_WRITE_UNKNOWN);
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 0);
}

/* ---- the whole ---- */

static void finds(const struct rkb_report *report, enum rkb_grade grade, const char *setting, const char *holds)
{
    for (size_t i = 0; i < report->count; i++)
        if (report->list[i].grade == grade && strcmp(report->list[i].setting, setting) == 0 &&
            strstr(report->list[i].text, holds) != NULL)
            return;
    for (size_t i = 0; i < report->count; i++)
        print_error("%d %s: %s\n", report->list[i].grade, report->list[i].setting, report->list[i].text);
    fail_msg("no \"%s\" of %s", holds, setting);
}

static struct rkb_report check(const struct world *world, const char *routes, int limit_ms)
{
    char text[2000];
    struct rkb_report report = {.file = "f", .places = &no_places};
    snprintf(text, sizeof text,
             "kafka: {properties: {bootstrap.servers: '%s', reconnect.backoff.max.ms: 100}}\nroutes: {%s}\n",
             rkb_mock_bootstrap(world->mock), routes);
    struct rkb_config *config = read_good(&files, text);
    rkb_check_kafka(config, limit_ms, &report);
    assert_false(report.failed);
    for (size_t i = 0; i < report.count; i++)
        assert_true((report.list[i].grade == RKB_GRADE_OK) == (report.list[i].change == NULL));
    rkb_config_free(config);
    return report;
}

static void test_a_broker_that_is_not_known_is_not_asked(void **state)
{
    struct world *world = *state;
    struct rkb_report report = check(world, "a: {source: legacy, channels: a, topic: here, partitions: 4, key: none}, "
                                            "b: {source: legacy, channels: b, topic: there, dead_letter: letters}, "
                                            "c: {source: legacy, patterns: 'c*', topic: 'x.{{1}}'}", ONE_ANSWER_MS);
    finds(&report, RKB_GRADE_OK, "kafka.properties.bootstrap.servers", "gave the producer its id");
    finds(&report, RKB_GRADE_WARN, "routes.a.topic", "has 2 partitions, and the route asks for 4");
    finds(&report, RKB_GRADE_OK, "routes.b.topic", "is there, with 1 partition");
    finds(&report, RKB_GRADE_WARN, "routes.a.topic", "its max.message.bytes");
    finds(&report, RKB_GRADE_WARN, "routes.a.topic", "whether we may write to topic here is not known");
    finds(&report, RKB_GRADE_OK, "routes.c.topic", "its messages name the topics");
    for (size_t i = 0; i < report.count; i++)
        assert_null(strstr(report.list[i].text, "rkb-check"));
    rkb_report_free(&report);
}

static void test_nothing_more_is_asked_after_silence(void **state)
{
    struct world *world = *state;
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 60000);
    struct rkb_report report = check(world, "a: {source: legacy, channels: a, topic: here}", 300);
    finds(&report, RKB_GRADE_BAD, "kafka.properties.bootstrap.servers", "no answer");
    assert_int_equal(report.count, 1);
    rkb_report_free(&report);
    rd_kafka_mock_broker_set_rtt(rkb_mock_cluster(world->mock), 1, 0);
}

/* ---- how long a record may get ---- */

static uint64_t overhead(const char *route)
{
    char text[600];
    snprintf(text, sizeof text, "routes: {a: {source: legacy, topic: t, %s}}\n", route);
    struct rkb_config *config = read_good(&files, text);
    uint64_t bytes = rkb_check_overhead(config, 0);
    rkb_config_free(config);
    return bytes;
}

static void test_overhead(void **state)
{
    (void)state;
    assert_int_equal(overhead("channels: abc, envelope: raw"), 3 + 48 + 100);
    assert_int_equal(overhead("channels: abc, key: none, value: '{\"is\": \"{{payload}}\"}'"), 7 + 100);
    assert_int_equal(overhead("patterns: 'ab*', key: '{{1}}', value: '{\"is\": \"{{payload}}\"}'"), 7 + 1 + 100);
    assert_in_range(overhead("channels: abc, payload_name: user"), 150, 300);
    assert_int_equal(overhead("channels: abc, missing: dead_letter, value: '{\"is\": \"{{payload:/a}}\"}'"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_login, begin, end),
        cmocka_unit_test_setup_teardown(test_no_right_to_produce, begin, end),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test_setup_teardown(test_silence, begin, end),
        cmocka_unit_test(test_properties_that_do_not_go),
        cmocka_unit_test_setup_teardown(test_each_answer, begin, end),
        cmocka_unit_test_setup_teardown(test_silence_is_not_a_right, begin, end),
        cmocka_unit_test_setup_teardown(test_a_broker_that_is_not_known_is_not_asked, begin, end),
        cmocka_unit_test_setup_teardown(test_nothing_more_is_asked_after_silence, begin, end),
        cmocka_unit_test(test_overhead),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
