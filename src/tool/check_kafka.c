/* check_kafka -- see check_kafka.h, also for the picture. */
#include "tool/check_kafka.h"

#include <stdlib.h>

#include "base/sys.h"
#include "base/units.h"
#include "kafka/admin.h"
#include "kafka/trial.h"
#include "tool/check_rights.h"
#include "tool/check_wanted.h"
#include "tool/rendering.h"

#define BATCH_BYTES 100                 /* what Kafka's format puts around a record that is alone in its batch */
#define LETTER_BYTES 1024               /* the headers of a dead letter */
#define TOPICS_US INT64_C(60000000)     /* for all questions about single topics but the last */

enum { LONGEST, POLICY, MARK_OF_APACHE, SETTINGS };

struct topic_found {
    struct rkb_topic_seen seen;
    bool described;
    struct rkb_kafka_setting settings[SETTINGS];
};

struct checking {
    const struct rkb_config *config;
    struct rkb_report *report;
    int limit_ms;
    atomic_bool quit;
    struct rkb_wanted_topic *wanted;
    size_t count;
    const char **names;
    struct topic_found *found;
    struct rkb_admin *admin;
    enum { NOT_ASKED, NOT_TOLD, MADE_BY_NOBODY, MADE_BY_BROKERS } habit;    /* with topics that are missing */
    int64_t until_us;                   /* monotonic: no more topics are asked about */
    char principal[RKB_PRINCIPAL];
};

uint64_t rkb_check_overhead(const struct rkb_config *config, size_t number)
{
    static const char *const payloads[] = {"{}", "0", "a"};
    const struct rkb_config_route *route = &config->routes[number];
    const char *channel = route->channels.count > 0 ? route->channels.texts[0] : route->patterns.texts[0];
    uint64_t bytes = 0;
    for (size_t i = 0; bytes == 0 && i < sizeof payloads / sizeof payloads[0]; i++) {
        struct rkb_rendering rendering = {0};
        struct rkb_error error;
        const struct rkb_render_message message = {.channel = rkb_slice_text(channel),
                                                   .payload = rkb_slice_text(payloads[i]),
                                                   .payload_size = strlen(payloads[i]), .time_us = 1};
        if (rkb_rendering_make(&rendering, config, route->source_index, route->name, &message, &error) &&
            rendering.route != NULL && rendering.verdict.kind == RKB_PASS)
            bytes = rendering.key.size + rendering.value.size + rendering.headers.size + BATCH_BYTES -
                    strlen(payloads[i]);
        rkb_rendering_free(&rendering);
    }
    return bytes;
}

/* ---- login ---- */

/* False: there is nothing more to ask. */
static bool check_login(struct checking *checking)
{
    const struct rkb_properties *properties = &checking->config->kafka.properties;
    bool named = strcmp(checking->principal, "User:NAME") != 0;
    struct rkb_error error;
    enum rkb_code code = rkb_kafka_try_login(properties->list, properties->count, checking->limit_ms, &error);
    if (code == RKB_OK) {
        rkb_report_add(checking->report, RKB_GRADE_OK, "kafka.properties.bootstrap.servers",
                       "Kafka took us in%s%s, and gave the producer its id",
                       named ? " as " : "", named ? checking->principal : "");
    } else if (code == RKB_FULL) {
        rkb_report_add(checking->report, RKB_GRADE_BAD, "kafka.properties",
                       "Kafka took us in and does not let us produce: %s", error.text);
        rkb_report_change(checking->report, "give %s Write on its topics, and before Kafka 2.8 IdempotentWrite "
                                            "on the cluster: the lines below", checking->principal);
    } else if (code == RKB_REFUSED) {
        rkb_report_add(checking->report, RKB_GRADE_BAD, "kafka.properties", "Kafka refuses the login: %s", error.text);
        rkb_report_change(checking->report, "mend sasl.username, its password, or the mechanism");
    } else {
        rkb_report_add(checking->report, RKB_GRADE_BAD, "kafka.properties.bootstrap.servers",
                       "no answer of use from Kafka: %s", error.text);
        rkb_report_change(checking->report, "see that a broker listens there, with what security.protocol says, and "
                                            "that its advertised.listeners can be reached from here");
    }
    return code == RKB_OK || code == RKB_FULL;
}

/* ---- topics ---- */

static void name_right(struct checking *checking, const struct rkb_wanted_topic *topic, const char *operations)
{
    rkb_report_change(checking->report, "kafka-acls.sh --add --allow-principal %s %s --topic %s",
                      checking->principal, operations, topic->name);
}

/* Once for all. */
static bool brokers_make_topics(struct checking *checking)
{
    struct rkb_kafka_setting setting = {.name = "auto.create.topics.enable"};
    struct rkb_error error;
    if (checking->habit == NOT_ASKED) {
        checking->habit = NOT_TOLD;
        if (rkb_admin_settings(checking->admin, NULL, &setting, 1, checking->limit_ms, &error) && setting.found)
            checking->habit = strcmp(setting.value, "true") == 0 ? MADE_BY_BROKERS : MADE_BY_NOBODY;
    }
    return checking->habit == MADE_BY_BROKERS;
}

static const char *what_waits(const struct rkb_wanted_topic *topic)
{
    switch (topic->use) {
    case RKB_TOPIC_OF_ROUTE: return "its records wait in the journal";
    case RKB_TOPIC_OF_LETTERS: return "its dead letters go to the file";
    case RKB_TOPIC_OF_GAPS: return "what it is to be told waits in the journal";
    }
    return "";
}

/* Asks Kafka to look at it as if it was to be made. */
static void judge_making(struct checking *checking, const struct rkb_wanted_topic *topic)
{
    struct rkb_error error;
    const struct rkb_new_topic wished = {
        .name = topic->name, .partitions = (int)topic->partitions, .replication = (int)topic->replication,
        .settings = topic->settings != NULL ? topic->settings->list : NULL,
        .setting_count = topic->settings != NULL ? topic->settings->count : 0, .only_ask = true};
    switch ((int)rkb_admin_create(checking->admin, &wished, checking->limit_ms, &error)) {
    case RKB_OK:
    case RKB_LOCKED:
        rkb_report_add(checking->report, RKB_GRADE_OK, topic->setting,
                       "topic %s is not there yet, and Kafka lets us make it", topic->name);
        return;
    case RKB_REFUSED:
        rkb_report_add(checking->report, RKB_GRADE_BAD, topic->setting,
                       "topic %s is not there, and Kafka does not let us make it: %s", topic->name, error.text);
        name_right(checking, topic, "--operation Create");
        return;
    case RKB_USAGE:
        rkb_report_add(checking->report, RKB_GRADE_BAD, topic->setting,
                       "topic %s is not there, and Kafka does not make it so: %s", topic->name, error.text);
        rkb_report_change(checking->report,
                          "mend partitions, replication or topic_config of the route, or make it by hand");
        return;
    default:
        rkb_report_add(checking->report, RKB_GRADE_WARN, topic->setting,
                       "topic %s is not there, and whether Kafka lets us make it is not known: %s",
                       topic->name, error.text);
        rkb_report_change(checking->report, "make it by hand, or look again");
    }
}

static void judge_missing(struct checking *checking, const struct rkb_wanted_topic *topic)
{
    if (checking->config->kafka.create_topics) {
        judge_making(checking, topic);
        return;
    }
    bool made = brokers_make_topics(checking);
    rkb_report_add(checking->report, made ? RKB_GRADE_WARN : RKB_GRADE_BAD, topic->setting, "Kafka has no topic %s%s",
                   topic->name, made ? "; the brokers make it for its first record, as they think fit" : "");
    rkb_report_change(checking->report,
                      "kafka-topics.sh --create --topic %s%s, or set kafka.create_topics: yes; till then %s",
                      topic->name, topic->partitions > 0 ? " with the route's partitions" : "", what_waits(topic));
}

static void judge_partitions(struct checking *checking, const struct rkb_wanted_topic *topic, int partitions)
{
    if (topic->partitions < 1 || partitions == 0 || partitions == topic->partitions) {
        rkb_report_add(checking->report, RKB_GRADE_OK, topic->setting, "topic %s is there, with %d partition%s",
                       topic->name, partitions, partitions == 1 ? "" : "s");
        return;
    }
    rkb_report_add(checking->report, RKB_GRADE_WARN, topic->setting,
                   "topic %s has %d partitions, and the route asks for %lld; the bridge leaves it as it is",
                   topic->name, partitions, (long long)topic->partitions);
    rkb_report_change(checking->report, "change one of the two");
}

static void judge_seen(struct checking *checking, size_t i)
{
    const struct rkb_wanted_topic *topic = &checking->wanted[i];
    switch (checking->found[i].seen.presence) {
    case RKB_TOPIC_MISSING:
        judge_missing(checking, topic);
        return;
    case RKB_TOPIC_HIDDEN:
        rkb_report_add(checking->report, RKB_GRADE_BAD, topic->setting,
                       "Kafka does not let us see topic %s, so neither write to it", topic->name);
        name_right(checking, topic, "--operation Describe --operation Write");
        return;
    case RKB_TOPIC_THERE:
        judge_partitions(checking, topic, checking->found[i].seen.partitions);
        return;
    }
}

static bool is_late(struct checking *checking)
{
    return rkb_sys_posix.monotonic_us() > checking->until_us;
}

static bool look(struct checking *checking)
{
    const struct rkb_properties *properties = &checking->config->kafka.properties;
    struct rkb_topic_seen *seen = calloc(checking->count + 1, sizeof *seen);
    struct rkb_error error = {.code = RKB_NO_MEMORY, .text = "out of memory"};
    checking->admin = rkb_admin_new(properties->list, properties->count, checking->names, checking->count,
                                    &checking->quit, &error);
    bool good = seen != NULL && checking->admin != NULL &&
                rkb_admin_look(checking->admin, seen, checking->limit_ms, &error);
    for (size_t i = 0; good && i < checking->count; i++)
        checking->found[i].seen = seen[i];
    free(seen);
    if (good)
        return true;
    rkb_report_add(checking->report, RKB_GRADE_BAD, "kafka.properties.bootstrap.servers", "%s", error.text);
    rkb_report_change(checking->report, "see that the brokers' advertised.listeners can be reached from here");
    return false;
}

/* ---- settings ---- */

static void judge_limit(struct checking *checking, const struct rkb_wanted_topic *topic, uint64_t limit)
{
    char takes[32], longest[32], lower[32];
    uint64_t around = topic->use == RKB_TOPIC_OF_ROUTE ? rkb_check_overhead(checking->config, topic->route)
                      : LETTER_BYTES;
    if (limit == 0 || topic->longest == 0 || limit >= topic->longest + around)
        return;
    rkb_format_size(takes, sizeof takes, limit);
    rkb_format_size(longest, sizeof longest, topic->longest);
    snprintf(lower, sizeof lower, "%llu", (unsigned long long)(limit > around ? limit - around : 0));
    rkb_report_add(checking->report, RKB_GRADE_WARN, topic->setting,
                   "topic %s takes records up to %s (max.message.bytes); a message may have %s (max_message_size) and "
                   "%llu bytes around it: what is too long would %s", topic->name, takes, longest,
                   (unsigned long long)around,
                   topic->use == RKB_TOPIC_OF_LETTERS ? "go to the file of dead letters" : "become a dead letter");
    rkb_report_change(checking->report, "kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config "
                                        "max.message.bytes=%llu, or max_message_size: %sB of its source",
                      topic->name, (unsigned long long)(topic->longest + around), lower);
}

static void judge_settings(struct checking *checking, size_t i)
{
    const struct rkb_wanted_topic *topic = &checking->wanted[i];
    const struct topic_found *found = &checking->found[i];
    judge_limit(checking, topic, strtoull(found->settings[LONGEST].value, NULL, 10));
    if (!topic->keyless || strstr(found->settings[POLICY].value, "compact") == NULL)
        return;
    rkb_report_add(checking->report, RKB_GRADE_BAD, topic->setting,
                   "cleanup.policy of topic %s is %s: Kafka takes no record without a key "
                   "there, and route %s gives none",
                   topic->name, found->settings[POLICY].value, checking->config->routes[topic->route].name);
    rkb_report_change(checking->report, "give the route a key");
}

/* False: no answer, and there is no use in asking on. */
static bool describe(struct checking *checking, size_t i)
{
    const struct rkb_wanted_topic *topic = &checking->wanted[i];
    struct topic_found *found = &checking->found[i];
    struct rkb_error error;
    found->settings[LONGEST].name = "max.message.bytes";
    found->settings[POLICY].name = "cleanup.policy";
    found->settings[MARK_OF_APACHE].name = "follower.replication.throttled.replicas";
    found->described = rkb_admin_settings(checking->admin, topic->name, found->settings, SETTINGS, checking->limit_ms,
                                          &error);
    if (found->described) {
        judge_settings(checking, i);
        return true;
    }
    rkb_report_add(checking->report, RKB_GRADE_WARN, topic->setting,
                   "the settings of topic %s cannot be read, so neither its max.message.bytes: %s",
                   topic->name, error.text);
    if (error.code == RKB_REFUSED)
        name_right(checking, topic, "--operation DescribeConfigs");
    else
        rkb_report_change(checking->report, "compare them by hand with max_message_size");
    return error.code != RKB_TIMEOUT;
}

/* ---- the right to write ---- */

static void judge_right(struct checking *checking, size_t i, const struct rkb_write_found *found)
{
    const struct rkb_wanted_topic *topic = &checking->wanted[i];
    switch (found->right) {
    case RKB_WRITE_ALLOWED:
        rkb_report_add(checking->report, RKB_GRADE_OK, topic->setting, "Kafka lets us write to topic %s", topic->name);
        return;
    case RKB_WRITE_DENIED:
        rkb_report_add(checking->report, RKB_GRADE_BAD, topic->setting, "Kafka does not let us write to topic %s",
                       topic->name);
        name_right(checking, topic, "--operation Write");
        return;
    case RKB_WRITE_TAKEN:
        rkb_report_add(checking->report, RKB_GRADE_WARN, topic->setting,
                       "the broker took a record with acks=2 for topic %s, which Apache Kafka refuses: one record with "
                       "the header rkb-check stands there now", topic->name);
        rkb_report_change(checking->report, "nothing for the bridge; do not use --connect with this broker again");
        return;
    case RKB_WRITE_UNKNOWN:
        rkb_report_add(checking->report, RKB_GRADE_WARN, topic->setting,
                       "whether we may write to topic %s is not known: %s", topic->name,
                       found->code != RD_KAFKA_RESP_ERR_NO_ERROR ? rd_kafka_err2str(found->code) : "no answer in time");
        rkb_report_change(checking->report, "see that all its partitions have a leader");
        return;
    }
}

static void say_unasked(struct checking *checking, size_t i)
{
    const struct rkb_wanted_topic *topic = &checking->wanted[i];
    rkb_report_add(checking->report, RKB_GRADE_WARN, topic->setting,
                   "whether we may write to topic %s is not known: it can be asked without writing only where the "
                   "topic's settings show that this is Apache Kafka", topic->name);
    name_right(checking, topic, "--operation DescribeConfigs");
}

/* By a setting that others do not have; its value is empty as a rule. */
static bool is_apache(const struct topic_found *found)
{
    return found->described && found->settings[MARK_OF_APACHE].found;
}

static void say_no_trial(struct checking *checking, const struct rkb_error *error)
{
    rkb_report_add(checking->report, RKB_GRADE_WARN, "kafka.properties",
                   "whether we may write is not known: %s", error->text);
    rkb_report_change(checking->report, "mend what that says, or try it with a record of your own");
}

static void check_writing(struct checking *checking)
{
    const struct rkb_properties *properties = &checking->config->kafka.properties;
    const char **names = calloc(checking->count + 1, sizeof *names);
    size_t *of = calloc(checking->count + 1, sizeof *of), count = 0;
    struct rkb_write_found *found = calloc(checking->count + 1, sizeof *found);
    struct rkb_error error;
    for (size_t i = 0; names != NULL && of != NULL && i < checking->count; i++) {
        if (checking->found[i].seen.presence != RKB_TOPIC_THERE)
            continue;
        if (!is_apache(&checking->found[i])) {
            say_unasked(checking, i);
            continue;
        }
        of[count] = i;
        names[count++] = checking->wanted[i].name;
    }
    if (names == NULL || of == NULL || found == NULL)
        checking->report->failed = true;
    else if (count > 0 && !rkb_kafka_try_writing(properties->list, properties->count, names, count, checking->limit_ms,
                                                 found, &error))
        say_no_trial(checking, &error);
    else
        for (size_t i = 0; i < count; i++)
            judge_right(checking, of[i], &found[i]);
    free(names);
    free(of);
    free(found);
}

/* ---- the whole ---- */

static void say_varying(struct checking *checking)
{
    char setting[RKB_SETTING_SHOWN];
    for (size_t i = 0; i < checking->config->route_count; i++) {
        const struct rkb_config_route *route = &checking->config->routes[i];
        if (!route->topic_varies)
            continue;
        snprintf(setting, sizeof setting, "routes.%s.topic", route->name);
        rkb_report_add(checking->report, RKB_GRADE_OK, setting,
                       "its messages name the topics, which are not looked for here");
    }
}

static bool prepare(struct checking *checking)
{
    bool good = rkb_wanted_topics(checking->config, &checking->wanted, &checking->count);
    checking->names = calloc(checking->count + 1, sizeof *checking->names);
    checking->found = calloc(checking->count + 1, sizeof *checking->found);
    for (size_t i = 0; checking->names != NULL && i < checking->count; i++)
        checking->names[i] = checking->wanted[i].name;
    rkb_rights_principal(checking->config, checking->principal);
    return good && checking->names != NULL && checking->found != NULL;
}

static void say_late(struct checking *checking)
{
    rkb_report_add(checking->report, RKB_GRADE_WARN, "kafka.properties.bootstrap.servers",
                   "Kafka answers too slowly: not all topics were asked about within a minute");
    rkb_report_change(checking->report, "look at its load, or ask again");
}

static void check_topics(struct checking *checking)
{
    if (!look(checking))
        return;
    bool answers = true;
    size_t i;
    checking->until_us = rkb_sys_posix.monotonic_us() + TOPICS_US;
    for (i = 0; i < checking->count && !is_late(checking); i++)
        judge_seen(checking, i);
    for (i = 0; answers && i < checking->count && !is_late(checking); i++)
        if (checking->found[i].seen.presence == RKB_TOPIC_THERE)
            answers = describe(checking, i);
    if (is_late(checking))
        say_late(checking);
    check_writing(checking);
}

void rkb_check_kafka(const struct rkb_config *config, int limit_ms, struct rkb_report *report)
{
    struct checking checking = {.config = config, .report = report, .limit_ms = limit_ms};
    atomic_init(&checking.quit, false);
    if (!prepare(&checking)) {
        report->failed = true;
    } else if (check_login(&checking)) {
        if (checking.count > 0)
            check_topics(&checking);
        say_varying(&checking);
    }
    rkb_admin_free(checking.admin);
    free(checking.wanted);
    free(checking.names);
    free(checking.found);
}
