/* check_rights -- see check_rights.h. */
#include "tool/check_rights.h"

#include <stdlib.h>
#include <strings.h>

#include "redis/refusal.h"
#include "redis/watcher.h"
#include "tool/check_wanted.h"

#define LINE 600                    /* names are put into further lines from here on */
#define USER_OF_ITS_OWN "rkbridge"  /* where the source names none */

/* ---- Redis ---- */

static void add_names(const struct rkb_config *config, size_t source, const char *user, struct rkb_buffer *out)
{
    struct rkb_wanted_name *names = NULL;
    size_t count, begun = out->size;
    if (!rkb_wanted_names(config, source, &names, &count))
        out->failed = true;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || out->size - begun > LINE) {
            if (i > 0)
                rkb_buffer_text(out, "\n");
            begun = out->size;
            rkb_refusal_begin(out, user);
        }
        rkb_refusal_add_name(out, names[i].is_pattern, names[i].name);
    }
    rkb_buffer_text(out, count > 0 ? "\n" : "");
    free(names);
}

/* What the daemon's second connection asks; the other questions are other tools'. */
static bool is_asked(const struct rkb_config *config, enum rkb_question question)
{
    if (question == RKB_ASK_PUBLISH)
        return config->canary.topic != NULL;
    return question != RKB_ASK_CHANNELS && question != RKB_ASK_LISTENERS;
}

static void add_questions(const struct rkb_config *config, const char *user, struct rkb_buffer *out)
{
    rkb_refusal_begin(out, user);
    rkb_buffer_text(out, " +client|id");
    for (int i = 0; i < RKB_QUESTIONS; i++) {
        const char *right = rkb_question_right((enum rkb_question)i);
        bool said = !is_asked(config, (enum rkb_question)i) || i == RKB_ASK_NAME;
        for (int before = 0; before < i; before++)
            said = said || (is_asked(config, (enum rkb_question)before) &&
                            strcmp(rkb_question_right((enum rkb_question)before), right) == 0);
        if (!said)
            rkb_buffer_format(out, " +%s", right);
    }
    rkb_buffer_text(out, "\n");
}

static void add_source(const struct rkb_config *config, size_t number, struct rkb_buffer *out)
{
    const struct rkb_config_source *source = &config->sources[number];
    bool named = source->user != NULL && source->user[0] != '\0' && strcmp(source->user, "default") != 0;
    const char *user = named ? source->user : USER_OF_ITS_OWN;
    if (named)
        rkb_buffer_format(out, "# source %s; for a user that only the bridge has: its other channels are taken away\n",
                          source->name);
    else
        rkb_buffer_format(out, "# source %s names no user, and Redis's default user has all rights as a rule; this is "
                               "for one of its own\n", source->name);
    rkb_refusal_begin(out, user);
    rkb_buffer_text(out, " on >PASSWORD resetchannels +subscribe +psubscribe +unsubscribe +punsubscribe +ping "
                         "+client|setname\n");
    add_names(config, number, user, out);
    if (source->watch == RKB_SYNC_NONE)
        return;
    rkb_buffer_text(out,
                    "# for the second connection, which watches Redis; without it what it would tell is unknown\n");
    add_questions(config, user, out);
}

void rkb_rights_redis(const struct rkb_config *config, struct rkb_buffer *out)
{
    for (size_t i = 0; i < config->source_count; i++)
        add_source(config, i, out);
}

/* ---- Kafka ---- */

static const char *property(const struct rkb_config *config, const char *name, const char *other)
{
    for (size_t i = 0; i < config->kafka.properties.count; i++) {
        const struct rkb_property *one = &config->kafka.properties.list[i];
        if (strcmp(one->name, name) == 0 || (other != NULL && strcmp(one->name, other) == 0))
            return one->value;
    }
    return "";
}

void rkb_rights_principal(const struct rkb_config *config, char out[RKB_PRINCIPAL])
{
    const char *protocol = property(config, "security.protocol", NULL);
    const char *mechanism = property(config, "sasl.mechanism", "sasl.mechanisms");
    bool by_name = strcasecmp(mechanism, "PLAIN") == 0 || strncasecmp(mechanism, "SCRAM-", 6) == 0;
    const char *user = property(config, "sasl.username", NULL);
    if (*protocol == '\0' || strcasecmp(protocol, "plaintext") == 0)
        user = "ANONYMOUS";
    else if (strncasecmp(protocol, "sasl", 4) != 0 || !by_name || *user == '\0')
        user = "NAME";
    snprintf(out, RKB_PRINCIPAL, "User:%.300s", user);
}

/* As a shell takes it. */
static void add_word(struct rkb_buffer *out, const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.,:/@%+=";
    rkb_buffer_text(out, " ");
    if (*word != '\0' && strspn(word, plain) == strlen(word)) {
        rkb_buffer_text(out, word);
        return;
    }
    rkb_buffer_text(out, "'");
    for (; *word != '\0'; word++)
        rkb_buffer_format(out, *word == '\'' ? "'\\%c'" : "%c", *word);
    rkb_buffer_text(out, "'");
}

static void begin(const struct rkb_config *config, const char *operations, struct rkb_buffer *out)
{
    char principal[RKB_PRINCIPAL];
    rkb_rights_principal(config, principal);
    const char *bootstrap = property(config, "bootstrap.servers", "metadata.broker.list");
    rkb_buffer_text(out, "kafka-acls.sh --bootstrap-server");
    add_word(out, *bootstrap != '\0' ? bootstrap : "HOST:9092");
    rkb_buffer_text(out, " --add --allow-principal");
    add_word(out, principal);
    rkb_buffer_text(out, operations);
}

static const char *topic_operations(const struct rkb_config *config)
{
    return config->kafka.create_topics
        ? " --operation Describe --operation Write --operation DescribeConfigs --operation Create"
        : " --operation Describe --operation Write --operation DescribeConfigs";
}

/* What comes before the first slot of a template: all its topics begin with that. */
static void add_varying(const struct rkb_config *config, const struct rkb_config_route *route, struct rkb_buffer *out)
{
    char start[256];
    const char *slot = strstr(route->topic, "{{");
    snprintf(start, sizeof start, "%.*s", slot != NULL ? (int)(slot - route->topic) : 0, route->topic);
    rkb_buffer_format(out, "# route %s: what its messages name begins so\n", route->name);
    begin(config, topic_operations(config), out);
    rkb_buffer_text(out, start[0] != '\0' ? " --resource-pattern-type prefixed" : "");
    rkb_buffer_text(out, " --topic");
    add_word(out, start[0] != '\0' ? start : "*");
    rkb_buffer_text(out, "\n");
}

void rkb_rights_kafka(const struct rkb_config *config, struct rkb_buffer *out)
{
    struct rkb_wanted_topic *topics = NULL;
    size_t count;
    if (!rkb_wanted_topics(config, &topics, &count))
        out->failed = true;
    rkb_buffer_text(out, "# by somebody who may, which takes --command-config FILE as a rule\n");
    for (size_t i = 0; i < count; i++) {
        begin(config, topic_operations(config), out);
        rkb_buffer_text(out, " --topic");
        add_word(out, topics[i].name);
        rkb_buffer_text(out, "\n");
    }
    free(topics);
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].topic_varies)
            add_varying(config, &config->routes[i], out);
    rkb_buffer_text(out, "# Kafka before 2.8 lets nobody produce without repeats who has not this\n");
    begin(config, " --operation IdempotentWrite --cluster\n", out);
    if (config->kafka.create_topics)
        return;
    rkb_buffer_text(out, "# says whether the brokers make missing topics by themselves; it does without\n");
    begin(config, " --operation DescribeConfigs --cluster\n", out);
}
