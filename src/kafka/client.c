/*
 * client -- the producer's configuration; see client.h.
 *
 *     our defaults --> the user's properties, each checked --> do they go together? --> the configuration
 *                        | unknown to librdkafka: its words       | a producer without brokers is made
 *                        | against a rule: ours                   | and let go at once
 *
 * A rule looks at the value as librdkafka understood it, not as it was written ("all" and -1 are one).
 * Promise: no error text holds the value of a secret. Never: connects to anything.
 */
#include "kafka/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/vault.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/*
 * What a record may take, and so what the queue has to hold at least; the topic's own limit decides what Kafka takes.
 */
#define RECORD_BYTES "67108864"
#define QUEUE_KBYTES "65536"

/*
 * Measured in bursts, 350 B and lz4: with 8000 a record costs 1.96 us and 11 MB are taken, with 20000 2.2 us (what is
 * touched again has left the caches by then) and 16 MB, with 100000 40 % more and 45 MB. 8000 at a broker 50 ms away
 * are 160,000 records/s; farther away, or faster, it has to be raised.
 */
#define QUEUE_MESSAGES "8000"

/*
 * linger.ms: the shipper hands over what came in some milliseconds at a time, and waits for what is in flight (see
 * shipper_send.c); what is left for librdkafka is to wait until all of it is in its queues. Less than 1 ms becomes 1 ms
 * there.
 */
static const struct rkb_property defaults[] = {
    {"client.id", "rkbridge"},
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "0"},
    {"partitioner", "murmur2_random"},
    {"linger.ms", "0.5"},
    {"queue.buffering.max.messages", QUEUE_MESSAGES},
    {"queue.buffering.max.kbytes", QUEUE_KBYTES},
    {"message.max.bytes", RECORD_BYTES},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.max.ms", "2000"},
    {"log.queue", "true"},
};

enum test {
    NEVER,          /* the property itself is refused */
    ONLY,           /* one value is taken, `text` */
    NOT,            /* one value is refused, `text` */
    BETWEEN         /* a number from least to most */
};

struct rule {
    const char *name;
    enum test test;
    const char *text;
    long least, most;
    const char *reason;
};

#define NO_LOSS "has to be all (-1): a record counts as delivered only when every in-sync replica has it"
#define NO_TIMEOUT "has to be 0: records wait in the journal for as long as Kafka is away, none is given up for its age"
#define NO_GIVING_UP \
    "has to be 2147483647: a record that librdkafka gave up would be overtaken by the records behind it"
#define OUR_TRANSACTIONS "is not taken: rkbridge decides about transactions itself (kafka.delivery)"
#define IN_FLIGHT \
    "has to be from 1 to 5: with more requests in flight Kafka can not keep the order of what is sent again"

static const struct rule rules[] = {
    {"enable.idempotence", ONLY, "true", 0, 0,
     "has to be true: without it a retry can repeat records and swap their order"},
    {"acks", ONLY, "-1", 0, 0, NO_LOSS},
    {"request.required.acks", ONLY, "-1", 0, 0, NO_LOSS},
    {"message.timeout.ms", ONLY, "0", 0, 0, NO_TIMEOUT},
    {"delivery.timeout.ms", ONLY, "0", 0, 0, NO_TIMEOUT},
    {"retries", ONLY, "2147483647", 0, 0, NO_GIVING_UP},
    {"message.send.max.retries", ONLY, "2147483647", 0, 0, NO_GIVING_UP},
    {"max.in.flight", BETWEEN, NULL, 1, 5, IN_FLIGHT},
    {"max.in.flight.requests.per.connection", BETWEEN, NULL, 1, 5, IN_FLIGHT},
    {"queuing.strategy", ONLY, "fifo", 0, 0, "has to be fifo: records of a channel keep their order"},
    {"partitioner", NOT, "random", 0, 0,
     "is not taken as random: records with one key have to be in one partition to keep their order"},
    {"enable.gapless.guarantee", ONLY, "false", 0, 0,
     "has to be false: one record that Kafka refuses would stop all others"},
    {"delivery.report.only.error", ONLY, "false", 0, 0,
     "has to be false: the journal lets go of a record when its delivery is reported"},
    {"queue.buffering.max.messages", BETWEEN, NULL, 1, 100000,
     "has to be from 1 to 100000: what waits, waits in the journal, and memory does not grow while Kafka is away"},
    {"queue.buffering.max.kbytes", BETWEEN, NULL, 1024, 262144,
     "has to be from 1024 to 262144: what waits, waits in the journal, and memory does not grow while Kafka is away"},
    {"transactional.id", NEVER, NULL, 0, 0, OUR_TRANSACTIONS},
    {"transaction.timeout.ms", NEVER, NULL, 0, 0, OUR_TRANSACTIONS},
    {"statistics.interval.ms", NEVER, NULL, 0, 0,
     "is not taken: nobody would read them, and to make them costs 0.1 % of a core; see rkbctl stats"},
    {"log.queue", NEVER, NULL, 0, 0, "is not taken: rkbridge sets it, to write librdkafka's log lines among its own"},
    {"enabled_events", NEVER, NULL, 0, 0, "is not taken: rkbridge decides what it hears from librdkafka"},
    {"internal.termination.signal", NEVER, NULL, 0, 0, "is not taken: the signals of this process are rkbridge's own"},
    {"plugin.library.paths", NEVER, NULL, 0, 0,
     "is not taken: it would load other code into rkbridge, which could change records on their way"},
    {"test.mock.num.brokers", NEVER, NULL, 0, 0,
     "is not taken: start rkbridge with --embedded-kafka for a mock cluster"},
};

/* Known to librdkafka, but only a consumer looks at them. */
static const char *const consumer_only[] = {
    "group.id", "group.instance.id", "group.protocol", "group.protocol.type", "group.remote.assignor",
    "partition.assignment.strategy", "session.timeout.ms", "heartbeat.interval.ms", "coordinator.query.interval.ms",
    "max.poll.interval.ms", "enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms",
    "enable.auto.offset.store", "queued.min.messages", "queued.max.messages.kbytes", "fetch.wait.max.ms",
    "fetch.queue.backoff.ms", "fetch.message.max.bytes", "max.partition.fetch.bytes", "fetch.max.bytes",
    "fetch.min.bytes", "fetch.error.backoff.ms", "offset.store.method", "offset.store.path",
    "offset.store.sync.interval.ms", "isolation.level", "enable.partition.eof", "check.crcs", "auto.offset.reset",
    "consume.callback.max.messages",
};

/* Known to librdkafka, but pointers of a program and not words of a configuration; and all that end in _cb. */
static const char *const pointers[] = {
    "opaque", "default_topic_conf", "msg_order_cmp", "interceptors", "ssl_key", "ssl_certificate", "ssl_ca",
    "ssl_engine_callback_data",
};

/* A part of a name that makes the value a secret. */
static const char *const secret_words[] = {
    "password", "passphrase", "secret", ".pem", "ssl_key", "oauthbearer.config", "oauthbearer.extensions",
    "endpoint.url", "kinit.cmd", "jaas",
};

static bool listed(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool rkb_kafka_property_secret(const char *name)
{
    for (size_t i = 0; i < COUNT(secret_words); i++)
        if (strcasestr(name, secret_words[i]) != NULL)
            return true;
    return false;
}

static bool is_pointer(const char *name)
{
    size_t size = strlen(name);
    return listed(name, pointers, COUNT(pointers)) || (size > 3 && strcmp(name + size - 3, "_cb") == 0);
}

static bool is_servers(const char *name)
{
    return strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0;
}

static const struct rule *rule_of(const char *name)
{
    for (size_t i = 0; i < COUNT(rules); i++)
        if (strcmp(name, rules[i].name) == 0)
            return &rules[i];
    return NULL;
}

/* librdkafka's words end in a newline here and there, and repeat what the user wrote. */
static void one_line(char *text)
{
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == '\n')
        text[--size] = '\0';
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
}

/* The value as librdkafka understood it; empty where it has none. */
static void effective(const rd_kafka_conf_t *conf, const char *name, char *out, size_t size)
{
    out[0] = '\0';
    if (rd_kafka_conf_get(conf, name, out, &size) != RD_KAFKA_CONF_OK)
        out[0] = '\0';
}

static long effective_number(const rd_kafka_conf_t *conf, const char *name)
{
    char text[32];
    effective(conf, name, text, sizeof text);
    return strtol(text, NULL, 10);
}

static bool obeys(const rd_kafka_conf_t *conf, const struct rule *rule)
{
    char value[64];
    effective(conf, rule->name, value, sizeof value);
    switch (rule->test) {
    case NEVER:
        return false;
    case ONLY:
        return strcmp(value, rule->text) == 0;
    case NOT:
        return strcmp(value, rule->text) != 0;
    case BETWEEN:
        return strtol(value, NULL, 10) >= rule->least && strtol(value, NULL, 10) <= rule->most;
    }
    return false;
}

/* Before librdkafka sees the value: it would load a plugin at once. */
static bool may_be_set(const char *name, const char *value, const struct rule *rule, struct rkb_error *error)
{
    if (listed(name, consumer_only, COUNT(consumer_only)))
        return rkb_fail(error, RKB_USAGE,
                        "kafka property %s has no effect here: it is a consumer's, and rkbridge writes to Kafka with "
                        "these properties", name);
    if (is_pointer(name))
        return rkb_fail(error, RKB_USAGE, "kafka property %s is not taken: a program sets it, a configuration can not",
                        name);
    if (rule != NULL && rule->test == NEVER)
        return rkb_fail(error, RKB_USAGE, "kafka property %s %s", name, rule->reason);
    if (is_servers(name) && strchr(value, '@') != NULL)     /* it is shown in places, and means nothing to librdkafka */
        return rkb_fail(error, RKB_USAGE,
                        "kafka property %s takes no user and no password; sasl.username and sasl.password do", name);
    return true;
}

static bool apply(rd_kafka_conf_t *conf, const char *name, const char *value, struct rkb_error *error)
{
    const struct rule *rule = rule_of(name);
    if (!may_be_set(name, value, rule, error))
        return false;
    char words[256] = "";
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, words, sizeof words);
    one_line(words);
    if (result == RD_KAFKA_CONF_INVALID && rkb_kafka_property_secret(name))
        return rkb_fail(error, RKB_USAGE,
                        "kafka property %s: librdkafka does not take this value (not shown: a secret)", name);
    if (result != RD_KAFKA_CONF_OK)
        return rkb_fail(error, RKB_USAGE, "kafka property %s: %s", name, words);
    if (rule != NULL && !obeys(conf, rule))
        return rkb_fail(error, RKB_USAGE, "kafka property %s %s", name, rule->reason);
    return true;
}

bool rkb_kafka_property_check(const char *name, const char *value, struct rkb_error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = apply(conf, name, value, error);
    rd_kafka_conf_destroy(conf);
    return good;
}

static bool set_defaults(rd_kafka_conf_t *conf, struct rkb_error *error)
{
    for (size_t i = 0; i < COUNT(defaults); i++) {
        char words[256] = "";
        if (rd_kafka_conf_set(conf, defaults[i].name, defaults[i].value, words, sizeof words) != RD_KAFKA_CONF_OK)
            return rkb_fail(error, RKB_USAGE, "this librdkafka does not take %s=%s: %s", defaults[i].name,
                            defaults[i].value, words);
    }
    return true;
}

static bool apply_all(rd_kafka_conf_t *conf, const struct rkb_property *properties, size_t count, bool servers,
                      struct rkb_error *error)
{
    for (size_t i = 0; i < count; i++)
        if (is_servers(properties[i].name) == servers && !apply(conf, properties[i].name, properties[i].value, error))
            return false;
    return true;
}

bool rkb_kafka_holds_secret(const char *text, const struct rkb_property *properties, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (rkb_kafka_property_secret(properties[i].name) &&
            rkb_vault_repeats(rkb_slice_text(text), properties[i].value))
            return true;
    return false;
}

static void no_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    (void)level;
    (void)facility;
    (void)text;
}

/*
 * librdkafka looks at properties together (and at the files they name) only when it makes a
 * producer. conf has no brokers yet.
 */
static bool makes_a_producer(const rd_kafka_conf_t *conf, const struct rkb_property *properties, size_t count,
                             struct rkb_error *error)
{
    char words[384] = "";
    rd_kafka_conf_t *copy = rd_kafka_conf_dup(conf);
    rd_kafka_conf_set_log_cb(copy, no_log);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, copy, words, sizeof words);
    if (rk != NULL) {
        rd_kafka_destroy(rk);
        return true;
    }
    rd_kafka_conf_destroy(copy);
    one_line(words);
    if (rkb_kafka_holds_secret(words, properties, count))
        return rkb_fail(error, RKB_USAGE, "kafka properties do not go together (why is not shown: it holds a secret)");
    return rkb_fail(error, RKB_USAGE, "kafka properties do not go together: %s", words);
}

static bool fits_together(const rd_kafka_conf_t *conf, struct rkb_error *error)
{
    long record = effective_number(conf, "message.max.bytes");
    long queue = effective_number(conf, "queue.buffering.max.kbytes");
    if (record > queue * 1024)
        return rkb_fail(error, RKB_USAGE,
                        "kafka property message.max.bytes (%ld) is more than queue.buffering.max.kbytes (%ld) holds: "
                        "such a record would never be taken", record, queue);
    return true;
}

rd_kafka_conf_t *rkb_kafka_conf(const struct rkb_property *properties, size_t count, struct rkb_error *error)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = set_defaults(conf, error) && apply_all(conf, properties, count, false, error) &&
                fits_together(conf, error) && makes_a_producer(conf, properties, count, error) &&
                apply_all(conf, properties, count, true, error);
    if (good)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}
