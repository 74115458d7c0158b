/* Which properties are taken, which are refused and why, and what a producer's configuration then says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/client.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct rkb_property servers = {"bootstrap.servers", "127.0.0.1:1"};

static void expect_refused(const char *name, const char *value, const char *words)
{
    struct rkb_error error = {0};
    if (rkb_kafka_property_check(name, value, &error))
        fail_msg("%s=%s was taken", name, value);
    assert_int_equal(error.code, RKB_USAGE);
    if (strstr(error.text, name) == NULL || strstr(error.text, words) == NULL)
        fail_msg("%s=%s: \"%s\" does not say \"%s\"", name, value, error.text, words);
    assert_null(strchr(error.text, '\n'));
}

static void expect_taken(const char *name, const char *value)
{
    struct rkb_error error = {0};
    if (!rkb_kafka_property_check(name, value, &error))
        fail_msg("%s=%s: %s", name, value, error.text);
}

static void test_refused_with_the_reason(void **state)
{
    static const struct { const char *name, *value, *words; } refused[] = {
        {"enable.idempotence", "false", "has to be true"},
        {"acks", "1", "has to be all"},
        {"acks", "0", "every in-sync replica"},
        {"request.required.acks", "1", "has to be all"},
        {"message.timeout.ms", "300000", "wait in the journal"},
        {"delivery.timeout.ms", "1", "wait in the journal"},
        {"retries", "0", "overtaken"},
        {"retries", "5", "overtaken"},
        {"message.send.max.retries", "0", "overtaken"},
        {"max.in.flight", "6", "from 1 to 5"},
        {"max.in.flight.requests.per.connection", "1000", "from 1 to 5"},
        {"queuing.strategy", "lifo", "order"},
        {"partitioner", "random", "one partition"},
        {"enable.gapless.guarantee", "true", "would stop all others"},
        {"delivery.report.only.error", "true", "lets go of a record"},
        {"queue.buffering.max.messages", "0", "memory does not grow"},
        {"queue.buffering.max.messages", "100001", "memory does not grow"},
        {"queue.buffering.max.kbytes", "262145", "memory does not grow"},
        {"queue.buffering.max.kbytes", "1", "memory does not grow"},
        {"transactional.id", "mine", "kafka.delivery"},
        {"transaction.timeout.ms", "1000", "kafka.delivery"},
        {"statistics.interval.ms", "1000", "nobody would read them"},
        {"log.queue", "false", "log lines"},
        {"enabled_events", "1", "rkbridge decides"},
        {"internal.termination.signal", "15", "signals"},
        {"plugin.library.paths", "monitoring", "other code"},
        {"test.mock.num.brokers", "3", "--embedded-kafka"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++)
        expect_refused(refused[i].name, refused[i].value, refused[i].words);
}

static void test_a_program_s_properties(void **state)
{
    static const char *const names[] = {
        "dr_cb", "dr_msg_cb", "error_cb", "log_cb", "stats_cb", "partitioner_cb", "rebalance_cb",
        "ssl.certificate.verify_cb", "opaque", "default_topic_conf", "msg_order_cmp", "interceptors", "ssl_key",
        "ssl_ca", "ssl_engine_callback_data",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        expect_refused(names[i], "1", "a program sets it");
}

static void test_a_consumer_s_properties(void **state)
{
    static const char *const names[] = {
        "group.id", "session.timeout.ms", "auto.offset.reset", "enable.auto.commit", "isolation.level",
        "fetch.min.bytes", "partition.assignment.strategy", "max.poll.interval.ms",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        expect_refused(names[i], "1", "no effect here");
}

/*
 * librdkafka prints its table of properties: name | C, P or * | range | ... Each that is only a consumer's has to be in
 * our list. A newer librdkafka may have more of them; what it has from 2.0 has to be there all the same.
 */
static void test_all_consumer_s_properties(void **state)
{
    char *table = NULL, *line, *rest, name[128], kind[4];
    size_t size = 0;
    int known = 0;
    (void)state;
    FILE *out = open_memstream(&table, &size);
    rd_kafka_conf_properties_show(out);
    fclose(out);
    for (line = strtok_r(table, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        if (sscanf(line, "%127[a-z_.] | %3[CP*] |", name, kind) != 2 || strcmp(kind, "C") != 0)
            continue;
        struct rkb_error error = {0};
        if (!rkb_kafka_property_check(name, "1", &error) &&
            (strstr(error.text, "no effect here") != NULL || strstr(name, "_cb") != NULL))
            known++;
        else if (rd_kafka_version() < 0x02010000)
            fail_msg("%s is only a consumer's: \"%s\"", name, error.text);
        else
            print_message("[  NOTE    ] new in this librdkafka, only a consumer's and not refused: %s\n", name);
    }
    free(table);
    assert_true(known >= 34);
}

static void test_librdkafka_s_own_words(void **state)
{
    (void)state;
    expect_refused("compresion.type", "lz4", "No such configuration property");
    expect_refused("compression.type", "zip", "Invalid value \"zip\"");
    expect_refused("enable.idempotence", "maybe", "true or false");
    expect_refused("linger.ms", "-1", "outside allowed range");
    expect_refused("message.timeout.ms", "", "cannot be set to empty");
    expect_refused("debug", "a\nb", "a?b");
}

/* A rule looks at what librdkafka understood, so other spellings of what is allowed are allowed too. */
static void test_taken(void **state)
{
    (void)state;
    expect_taken("acks", "all");
    expect_taken("acks", "-1");
    expect_taken("message.timeout.ms", "0x0");
    expect_taken("enable.idempotence", "TRUE");
    expect_taken("retries", "2147483647");
    expect_taken("max.in.flight", "1");
    expect_taken("max.in.flight", "5");
    expect_taken("partitioner", "consistent_random");
    expect_taken("queue.buffering.max.messages", "100000");
    expect_taken("queue.buffering.max.kbytes", "262144");
    expect_taken("compression.type", "zstd");
    expect_taken("client.id", "shop");
    expect_taken("bootstrap.servers", "a:1,b:2");
    expect_taken("sasl.password", "hunter2");
    expect_refused("message.timeout.ms", "0x1", "wait in the journal");
}

static void test_secrets_are_not_repeated(void **state)
{
    static const char secret[] = "hunter2-canary";
    static const char *const names[] = {
        "sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem", "ssl.certificate.pem",
        "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret", "sasl.kerberos.kinit.cmd", "sasl.jaas.config",
        "no.such.password", "ssl_key", "my.Secret.thing",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct rkb_error error = {0};
        if (rkb_kafka_property_check(names[i], secret, &error))
            continue;
        assert_null(strstr(error.text, secret));
    }
    /* librdkafka says the mechanism that it does not know; here that is the password too. */
    struct rkb_property properties[] = {
        servers, {"security.protocol", "sasl_plaintext"}, {"sasl.mechanism", secret}, {"sasl.username", "me"},
        {"sasl.password", secret},
    };
    struct rkb_error error = {0};
    assert_null(rkb_kafka_conf(properties, COUNT(properties), &error));
    assert_null(strstr(error.text, secret));
    assert_non_null(strstr(error.text, "not shown"));
    properties[4].value = "another";
    assert_null(rkb_kafka_conf(properties, COUNT(properties), &error));
    assert_non_null(strstr(error.text, secret));
}

static void assert_set(const rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[128] = "";
    size_t size = sizeof text;
    assert_int_equal(rd_kafka_conf_get(conf, name, text, &size), RD_KAFKA_CONF_OK);
    assert_string_equal(text, value);
}

static void test_defaults_are_effective(void **state)
{
    (void)state;
    rd_kafka_conf_t *conf = rkb_kafka_conf(&servers, 1, NULL);
    assert_non_null(conf);
    assert_set(conf, "enable.idempotence", "true");
    assert_set(conf, "acks", "-1");
    assert_set(conf, "message.timeout.ms", "0");
    assert_set(conf, "partitioner", "murmur2_random");
    assert_set(conf, "client.id", "rkbridge");
    assert_set(conf, "socket.keepalive.enable", "true");
    assert_set(conf, "reconnect.backoff.max.ms", "2000");
    assert_set(conf, "log.queue", "true");
    assert_set(conf, "linger.ms", "0.5");
    assert_set(conf, "message.max.bytes", "67108864");
    assert_set(conf, "queue.buffering.max.messages", "8000");
    assert_set(conf, "queue.buffering.max.kbytes", "65536");
    assert_set(conf, "statistics.interval.ms", "0");
    assert_set(conf, "bootstrap.servers", "127.0.0.1:1");
    rd_kafka_conf_destroy(conf);
}

static void test_the_user_s_come_after_ours(void **state)
{
    const struct rkb_property properties[] = {servers, {"client.id", "shop"}, {"linger.ms", "20"},
                                              {"compression.type", "lz4"}};
    (void)state;
    rd_kafka_conf_t *conf = rkb_kafka_conf(properties, COUNT(properties), NULL);
    assert_non_null(conf);
    assert_set(conf, "client.id", "shop");
    assert_set(conf, "linger.ms", "20");
    assert_set(conf, "compression.type", "lz4");
    rd_kafka_conf_destroy(conf);
}

static void expect_no_conf(const struct rkb_property *properties, size_t count, const char *words)
{
    struct rkb_error error = {0};
    assert_null(rkb_kafka_conf(properties, count, &error));
    assert_int_equal(error.code, RKB_USAGE);
    if (strstr(error.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void test_what_does_not_go_together(void **state)
{
    const struct rkb_property keystore[] = {servers, {"security.protocol", "ssl"},
                                            {"ssl.keystore.location", "/nowhere"}};
    const struct rkb_property ca[] = {servers, {"security.protocol", "ssl"}, {"ssl.ca.location", "/nowhere/ca.pem"}};
    const struct rkb_property threshold[] = {servers, {"queue.buffering.backpressure.threshold", "2"}};
    const struct rkb_property record[] = {servers, {"message.max.bytes", "67108865"}};
    const struct rkb_property queue[] = {servers, {"queue.buffering.max.kbytes", "65535"}};
    const struct rkb_property both[] = {servers, {"message.max.bytes", "100000000"},
                                        {"queue.buffering.max.kbytes", "100000"}};
    const struct rkb_property rule[] = {servers, {"acks", "1"}};
    (void)state;
    expect_no_conf(keystore, COUNT(keystore), "ssl.keystore.password");
    expect_no_conf(ca, COUNT(ca), "ssl.ca.location");
    expect_no_conf(threshold, COUNT(threshold), "threshold");
    expect_no_conf(record, COUNT(record), "would never be taken");
    expect_no_conf(queue, COUNT(queue), "would never be taken");
    expect_no_conf(rule, COUNT(rule), "has to be all");
    rd_kafka_conf_t *conf = rkb_kafka_conf(both, COUNT(both), NULL);
    assert_non_null(conf);
    rd_kafka_conf_destroy(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused_with_the_reason),
        cmocka_unit_test(test_a_program_s_properties),
        cmocka_unit_test(test_a_consumer_s_properties),
        cmocka_unit_test(test_all_consumer_s_properties),
        cmocka_unit_test(test_librdkafka_s_own_words),
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_secrets_are_not_repeated),
        cmocka_unit_test(test_defaults_are_effective),
        cmocka_unit_test(test_the_user_s_come_after_ours),
        cmocka_unit_test(test_what_does_not_go_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
