/*
 * admin -- see admin.h.
 *
 *     look       topic handles make the names known to the client; one metadata request asks for all of those at once
 *     create     CreateTopics    --+
 *     settings   DescribeConfigs --+-- to a queue of the call's own, looked at in short turns
 */
#include "kafka/admin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kafka/quiet.h"

#define TURN_MS 50              /* how late *quit is seen */

struct rkb_admin {
    rd_kafka_t *rk;
    const atomic_bool *quit;
    rd_kafka_topic_t **topics;
    size_t topic_count;
    int32_t broker;             /* that answered look; -1: none did */
};

static bool name_topics(struct rkb_admin *admin, const char *const *names, size_t count)
{
    admin->topics = calloc(count + 1, sizeof *admin->topics);
    for (size_t i = 0; admin->topics != NULL && i < count; i++) {
        admin->topics[i] = rd_kafka_topic_new(admin->rk, names[i], NULL);
        if (admin->topics[i] == NULL)
            return false;
        admin->topic_count++;
    }
    return admin->topics != NULL;
}

struct rkb_admin *rkb_admin_new(const struct rkb_property *properties, size_t count, const char *const *names,
                                size_t name_count, const atomic_bool *quit, struct rkb_error *error)
{
    struct rkb_admin *admin = calloc(1, sizeof *admin);
    if (admin == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory to look for topics");
        return NULL;
    }
    admin->quit = quit;
    admin->broker = -1;
    admin->rk = rkb_kafka_quiet(properties, count, "look for topics", false, error);
    if (admin->rk != NULL && name_topics(admin, names, name_count))
        return admin;
    if (admin->rk != NULL)
        rkb_fail(error, RKB_SYSTEM, "librdkafka can not ask for topic %s", names[admin->topic_count]);
    rkb_admin_free(admin);
    return NULL;
}

void rkb_admin_free(struct rkb_admin *admin)
{
    if (admin == NULL)
        return;
    for (size_t i = 0; i < admin->topic_count; i++)
        rd_kafka_topic_destroy(admin->topics[i]);
    free(admin->topics);
    if (admin->rk != NULL)
        rd_kafka_destroy_flags(admin->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    free(admin);
}

static bool is_denied(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

static struct rkb_topic_seen seen_as(const struct rd_kafka_metadata_topic *topic)
{
    if (is_denied(topic->err))
        return (struct rkb_topic_seen){RKB_TOPIC_HIDDEN, 0};
    if (topic->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || topic->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
        return (struct rkb_topic_seen){RKB_TOPIC_MISSING, 0};
    return (struct rkb_topic_seen){RKB_TOPIC_THERE, topic->partition_cnt};
}

static const struct rd_kafka_metadata_topic *find(const struct rd_kafka_metadata *metadata, const char *name)
{
    for (int i = 0; i < metadata->topic_cnt; i++)
        if (strcmp(metadata->topics[i].topic, name) == 0)
            return &metadata->topics[i];
    return NULL;
}

bool rkb_admin_look(struct rkb_admin *admin, struct rkb_topic_seen *seen, int timeout_ms, struct rkb_error *error)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_resp_err_t code = rd_kafka_metadata(admin->rk, 0, NULL, &metadata, timeout_ms);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return rkb_fail(error, RKB_TIMEOUT, "Kafka does not say which topics there are: %s", rd_kafka_err2str(code));
    bool whole = true;
    for (size_t i = 0; i < admin->topic_count && whole; i++) {
        const struct rd_kafka_metadata_topic *topic = find(metadata, rd_kafka_topic_name(admin->topics[i]));
        whole = topic != NULL;
        if (whole)
            seen[i] = seen_as(topic);
    }
    admin->broker = metadata->orig_broker_id;
    rd_kafka_metadata_destroy(metadata);
    return whole || rkb_fail(error, RKB_TIMEOUT, "Kafka's answer does not name all topics");
}

/* The event a request ends with, to be destroyed; NULL when *quit was set or the time is over. */
static rd_kafka_event_t *await(const struct rkb_admin *admin, rd_kafka_queue_t *queue, int timeout_ms)
{
    rd_kafka_event_t *event = NULL;
    for (int left = timeout_ms; event == NULL && left > 0 && !atomic_load(admin->quit); left -= TURN_MS)
        event = rd_kafka_queue_poll(queue, TURN_MS);
    return event;
}

/*
 * How long librdkafka waits for the answer, and of that the broker for the topic to be known everywhere. A time it does
 * not take leaves its own; `await` ends in time all the same.
 */
static rd_kafka_AdminOptions_t *options_new(const struct rkb_admin *admin, rd_kafka_admin_op_t what, int timeout_ms)
{
    char words[128];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(admin->rk, what);
    (void)rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, words, sizeof words);
    if (what == RD_KAFKA_ADMIN_OP_CREATETOPICS)
        (void)rd_kafka_AdminOptions_set_operation_timeout(options, timeout_ms / 2, words, sizeof words);
    return options;
}

/* ---- create ---- */

static rd_kafka_NewTopic_t *new_topic(const struct rkb_new_topic *topic, struct rkb_error *error)
{
    char words[256] = "";
    rd_kafka_NewTopic_t *made = rd_kafka_NewTopic_new(topic->name, topic->partitions, topic->replication, words,
                                                      sizeof words);
    if (made == NULL) {
        rkb_fail(error, RKB_USAGE, "%s", words);
        return NULL;
    }
    for (size_t i = 0; i < topic->setting_count; i++) {
        const struct rkb_property *setting = &topic->settings[i];
        rd_kafka_resp_err_t code = rd_kafka_NewTopic_set_config(made, setting->name, setting->value);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        rkb_fail(error, RKB_USAGE, "%s: %s", setting->name, rd_kafka_err2str(code));
        rd_kafka_NewTopic_destroy(made);
        return NULL;
    }
    return made;
}

static enum rkb_code meaning(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return RKB_OK;
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
        return RKB_LOCKED;
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
        return RKB_REFUSED;
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
    case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
    case RD_KAFKA_RESP_ERR_INVALID_REQUEST:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        return RKB_USAGE;
    default:
        return RKB_TIMEOUT;
    }
}

/* Kafka's own words, where it has any. */
static enum rkb_code answer(rd_kafka_resp_err_t code, const char *words, struct rkb_error *error)
{
    enum rkb_code is = meaning(code);
    if (is != RKB_OK)
        rkb_fail(error, is, "%s: %.300s", rd_kafka_err2name(code),
                 words != NULL && words[0] != '\0' ? words : rd_kafka_err2str(code));
    return is;
}

static enum rkb_code read_created(rd_kafka_event_t *event, struct rkb_error *error)
{
    size_t count = 0;
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
    const rd_kafka_topic_result_t **topics = NULL;
    if (result != NULL && code == RD_KAFKA_RESP_ERR_NO_ERROR)
        topics = rd_kafka_CreateTopics_result_topics(result, &count);
    if (count == 1)
        return answer(rd_kafka_topic_result_error(topics[0]), rd_kafka_topic_result_error_string(topics[0]), error);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        code = RD_KAFKA_RESP_ERR__BAD_MSG;
    return answer(code, rd_kafka_event_error_string(event), error);
}

/* Sends it and waits. */
static enum rkb_code request_topic(struct rkb_admin *admin, rd_kafka_NewTopic_t *made, rd_kafka_AdminOptions_t *options,
                                   int timeout_ms, struct rkb_error *error)
{
    enum rkb_code code = RKB_TIMEOUT;
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->rk);
    rd_kafka_CreateTopics(admin->rk, &made, 1, options, queue);
    rd_kafka_event_t *event = await(admin, queue, timeout_ms + TURN_MS);
    if (event != NULL)
        code = read_created(event, error);
    else
        rkb_fail(error, RKB_TIMEOUT, "Kafka did not answer");
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return code;
}

static enum rkb_code create_once(struct rkb_admin *admin, const struct rkb_new_topic *topic, int timeout_ms,
                                 struct rkb_error *error)
{
    char words[128] = "";
    rd_kafka_NewTopic_t *made = new_topic(topic, error);
    if (made == NULL)
        return RKB_USAGE;
    rd_kafka_AdminOptions_t *options = options_new(admin, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    enum rkb_code code = RKB_USAGE;
    if (topic->only_ask && rd_kafka_AdminOptions_set_validate_only(options, 1, words, sizeof words) != 0)
        rkb_fail(error, RKB_USAGE, "%s", words);
    else
        code = request_topic(admin, made, options, timeout_ms, error);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_NewTopic_destroy(made);
    return code;
}

/* Brokers before 2.4 know no default here: librdkafka says so before it sends anything, or they refuse the number. */
enum rkb_code rkb_admin_create(struct rkb_admin *admin, const struct rkb_new_topic *topic, int timeout_ms,
                               struct rkb_error *error)
{
    enum rkb_code code = create_once(admin, topic, timeout_ms, error);
    if (code != RKB_USAGE || (topic->partitions > 0 && topic->replication > 0) ||
        strstr(error->text, rd_kafka_err2name(RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE)) == NULL)
        return code;
    struct rkb_new_topic counted = *topic;
    counted.partitions = topic->partitions > 0 ? topic->partitions : 1;
    counted.replication = topic->replication > 0 ? topic->replication : 1;
    return create_once(admin, &counted, timeout_ms, error);
}

/* ---- settings ---- */

static void take_value(struct rkb_kafka_setting *setting, const rd_kafka_ConfigEntry_t **entries, size_t count)
{
    setting->value[0] = '\0';
    setting->found = false;
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), setting->name) != 0)
            continue;
        setting->found = true;
        if (value != NULL && strlen(value) < sizeof setting->value)
            memcpy(setting->value, value, strlen(value) + 1);
    }
}

static bool read_settings(rd_kafka_event_t *event, struct rkb_kafka_setting *settings, size_t count,
                          struct rkb_error *error)
{
    size_t resource_count = 0, entry_count = 0;
    rd_kafka_resp_err_t code = rd_kafka_event_error(event);
    const char *words = rd_kafka_event_error_string(event);
    const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result(event);
    const rd_kafka_ConfigResource_t **resources =
        result != NULL ? rd_kafka_DescribeConfigs_result_resources(result, &resource_count) : NULL;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR && resource_count != 1)
        code = RD_KAFKA_RESP_ERR__BAD_MSG;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = rd_kafka_ConfigResource_error(resources[0]);
        words = rd_kafka_ConfigResource_error_string(resources[0]);
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return answer(code, words, error) == RKB_OK;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(resources[0], &entry_count);
    for (size_t i = 0; i < count; i++)
        take_value(&settings[i], entries, entry_count);
    return true;
}

bool rkb_admin_settings(struct rkb_admin *admin, const char *topic, struct rkb_kafka_setting *settings, size_t count,
                        int timeout_ms, struct rkb_error *error)
{
    char broker[16];
    snprintf(broker, sizeof broker, "%d", (int)admin->broker);
    rd_kafka_ConfigResource_t *resource = topic != NULL ? rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic)
                                                        : rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, broker);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(admin->rk);
    rd_kafka_AdminOptions_t *options = options_new(admin, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout_ms);
    rd_kafka_DescribeConfigs(admin->rk, &resource, 1, options, queue);
    rd_kafka_event_t *event = await(admin, queue, timeout_ms + TURN_MS);
    bool good = event != NULL ? read_settings(event, settings, count, error)
                              : rkb_fail(error, RKB_TIMEOUT, "Kafka did not answer");
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    return good;
}
