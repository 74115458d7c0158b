/*
 * topics -- see topics.h.
 *
 *     look --> there ---------------------------------+--> settings looked at, differences said: done
 *       |                                             |
 *       +----> missing --create_topics--> created ----+
 *       |         |                          ^
 *       |         +--> said; ready unless Kafka may still make it -- 30 s, look again
 *       +----> hidden (not authorised): said; ready
 *
 * The thread has a client of its own (kafka/admin.h), made for a look and freed behind it. It ends when all topics are
 * there. Promise: one line for each thing found, not one for each look. Never: changes a topic that is there.
 */
#include "daemon/topics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"
#include "kafka/admin.h"

#define LOOK_MS 900             /* how long a look may hold up the end of the process */
#define PAUSE_MS 300            /* between two tries */
#define ANSWER_MS 10000
#define AGAIN_MS 30000
#define TRIES 3
#define LEAST_LOOKS 2           /* with one client, while Kafka does not answer; twice as many with the next */
#define MOST_LOOKS 32

struct topic {
    struct rkb_new_topic wanted;
    const struct rkb_config_route *route;       /* the first that writes to it */
    bool letters;                               /* it is for dead letters */
    bool keyless;                               /* a route that writes to it gives no key */
    uint64_t longest;                           /* payload that its sources let through */
    atomic_bool ready, missing;
    atomic_bool absent;                         /* missing, and as far as is known nobody makes it */
    _Atomic uint64_t limit;                     /* what it takes, 0: not known */
    /* the thread's own */
    bool there, described, told_missing, told_hidden;
    enum rkb_code told_refusal;
};

struct rkb_topics {
    struct rkb_topics_options options;
    struct topic *list;
    const char **names;
    struct rkb_topic_seen *seen;
    size_t count;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex;
    pthread_cond_t asked;
    atomic_bool quit;
    void (*changed)(void *context);
    void *context;
};

/* ---- what the routes want ---- */

static struct topic *find(const struct rkb_topics *topics, const char *name)
{
    for (size_t i = 0; i < topics->count; i++)
        if (strcmp(topics->names[i], name) == 0)
            return &topics->list[i];
    return NULL;
}

static bool wants_creating(const struct rkb_topics *topics)
{
    return !topics->options.embedded && topics->options.config->kafka.create_topics;
}

/* The topic of this name, which `route` is the first to write to where it is new. */
static struct topic *add_topic(struct rkb_topics *topics, const char *name, const struct rkb_config_route *route)
{
    struct topic *topic = find(topics, name);
    if (topic != NULL)
        return topic;
    topics->names[topics->count] = name;
    topic = &topics->list[topics->count++];
    topic->route = route;
    topic->wanted = (struct rkb_new_topic){.name = name, .partitions = -1, .replication = -1};
    atomic_init(&topic->ready, !wants_creating(topics));
    atomic_init(&topic->missing, false);
    atomic_init(&topic->absent, false);
    return topic;
}

/* Of the routes of one topic the config has made sure that they agree in what they say. */
static void add_wish(struct topic *topic, const struct rkb_config_route *route, uint64_t longest)
{
    struct rkb_new_topic *wanted = &topic->wanted;
    if (route->partitions > 0)
        wanted->partitions = (int)route->partitions;
    if (route->replication > 0)
        wanted->replication = (int)route->replication;
    if (route->topic_config.count > 0) {
        wanted->settings = route->topic_config.list;
        wanted->setting_count = route->topic_config.count;
    }
    if (longest > topic->longest)
        topic->longest = longest;
    topic->keyless = topic->keyless || route->key[0] == '\0';
}

static void add_route(struct rkb_topics *topics, const struct rkb_config_route *route)
{
    uint64_t longest = topics->options.config->sources[route->source_index].max_message_size;
    add_wish(add_topic(topics, route->topic, route), route, longest);
    if (route->dead_letter == NULL)
        return;
    struct topic *letters = add_topic(topics, route->dead_letter, route);
    letters->letters = true;
    if (longest > letters->longest)
        letters->longest = longest;
}

struct rkb_topics *rkb_topics_new(const struct rkb_topics_options *options, struct rkb_error *error)
{
    struct rkb_topics *topics = calloc(1, sizeof *topics);
    size_t most = 2 * options->config->route_count;     /* each route's, and that of its dead letters */
    if (topics != NULL) {
        topics->options = *options;
        if (options->answer_ms == 0)
            topics->options.answer_ms = ANSWER_MS;
        if (options->again_ms == 0)
            topics->options.again_ms = AGAIN_MS;
        topics->list = calloc(most, sizeof *topics->list);
        topics->names = calloc(most, sizeof *topics->names);
        topics->seen = calloc(most, sizeof *topics->seen);
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&topics->asked, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&topics->mutex, NULL);
    }
    if (topics == NULL || topics->list == NULL || topics->names == NULL || topics->seen == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the topics");
        rkb_topics_free(topics);
        return NULL;
    }
    for (size_t i = 0; i < options->config->route_count; i++)
        add_route(topics, &options->config->routes[i]);
    return topics;
}

/* ---- what others ask ---- */

bool rkb_topics_ready(const struct rkb_topics *topics, const char *name)
{
    const struct topic *topic = topics != NULL ? find(topics, name) : NULL;
    return topic == NULL || atomic_load(&topic->ready);
}

bool rkb_topics_absent(const struct rkb_topics *topics, const char *name)
{
    const struct topic *topic = topics != NULL ? find(topics, name) : NULL;
    return topic != NULL && atomic_load(&topic->absent);
}

uint64_t rkb_topics_limit(const struct rkb_topics *topics, const char *name)
{
    const struct topic *topic = topics != NULL ? find(topics, name) : NULL;
    return topic != NULL ? atomic_load(&topic->limit) : 0;
}

size_t rkb_topics_missing(const struct rkb_topics *topics, char *names, size_t size)
{
    size_t count = 0, shown = 0;
    names[0] = '\0';
    for (size_t i = 0; topics != NULL && i < topics->count; i++) {
        if (!atomic_load(&topics->list[i].missing))
            continue;
        size_t used = strlen(names);
        if (used + strlen(topics->names[i]) + sizeof ", and 1234567890 more" < size) {
            snprintf(names + used, size - used, "%s%s", count == 0 ? "" : ", ", topics->names[i]);
            shown++;
        }
        count++;
    }
    if (count > shown)
        snprintf(names + strlen(names), size - strlen(names), "%s%zu more", shown > 0 ? " and " : "", count - shown);
    return count;
}

/* ---- the thread ---- */

static bool asked_to_quit(const struct rkb_topics *topics)
{
    return atomic_load(&topics->quit);
}

static void pause_for(struct rkb_topics *topics, int milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_mutex_lock(&topics->mutex);
    int waited = 0;
    while (!asked_to_quit(topics) && waited == 0)
        waited = pthread_cond_timedwait(&topics->asked, &topics->mutex, &until);
    pthread_mutex_unlock(&topics->mutex);
}

static void set_ready(struct rkb_topics *topics, struct topic *topic)
{
    if (!atomic_exchange(&topic->ready, true))
        topics->changed(topics->context);
}

/* The line's object: "topic[NAME]". */
static const char *object_of(const struct topic *topic, char out[280])
{
    snprintf(out, 280, "topic[%.249s]", topic->wanted.name);
    return out;
}

/* ---- a topic that is missing ---- */

/*
 * What the brokers do about a topic that is missing, in words, as far as they let us know. False where they do not make
 * it by themselves.
 */
static bool say_brokers_habit(struct rkb_topics *topics, struct rkb_admin *admin, const struct topic *topic, char *out,
                              size_t size)
{
    struct rkb_kafka_setting settings[] = {{.name = "auto.create.topics.enable"}, {.name = "num.partitions"}};
    const char *else_what = topic->letters ? "its dead letters go to the file" : "its records wait in the journal";
    struct rkb_error error;
    bool known = rkb_admin_settings(admin, NULL, settings, 2, topics->options.answer_ms, &error);
    bool unknown = !known || settings[0].value[0] == '\0', made = strcmp(settings[0].value, "true") == 0;
    if (unknown)
        snprintf(out, size, "unless the brokers make it by themselves (auto.create.topics.enable; with their own "
                            "number of partitions), %s", else_what);
    else if (made)
        snprintf(out, size, "the brokers make it by themselves for its first record, with their own settings "
                            "(num.partitions is %s)", settings[1].value);
    else
        snprintf(out, size, "the brokers do not make it by themselves: %s", else_what);
    return unknown || made;
}

static void tell_missing(struct rkb_topics *topics, struct rkb_admin *admin, struct topic *topic)
{
    char object[280], habit[200];
    if (topic->told_missing)
        return;
    topic->told_missing = true;
    atomic_store(&topic->absent, !say_brokers_habit(topics, admin, topic, habit, sizeof habit));
    rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_missing",
            "Kafka has no such topic, to which the route %s writes%s; %s. Create it, or set kafka.create_topics: yes",
            topic->route->name, topic->letters ? " its dead letters" : "", habit);
}

static void tell_refusal(struct rkb_topics *topics, struct topic *topic, enum rkb_code code, const char *words)
{
    static const char denied[] = "; give the user of kafka.properties the operation Create on this topic "
                                 "(kafka-acls.sh --add --allow-principal User:NAME --operation Create --topic TOPIC), "
                                 "or create it";
    static const char wrong[] = "; mend partitions, replication or topic_config of the route, or create it";
    static const char silent[] = "; it is tried again";
    char object[280];
    if (topic->told_refusal == code)
        return;
    topic->told_refusal = code;
    rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_not_created",
            "it is missing, and Kafka does not create it for the route %s: %s%s", topic->route->name, words,
            code == RKB_REFUSED ? denied : code == RKB_USAGE ? wrong : silent);
}

/* True when it is there as the route asks; somebody else's is looked at in the next turn. */
static bool create(struct rkb_topics *topics, struct rkb_admin *admin, struct topic *topic)
{
    struct rkb_error error = {0};
    enum rkb_code code = RKB_TIMEOUT;
    char object[280];
    for (int i = 0; i < TRIES && code == RKB_TIMEOUT && !asked_to_quit(topics); i++) {
        if (i > 0)
            pause_for(topics, PAUSE_MS);
        code = rkb_admin_create(admin, &topic->wanted, topics->options.answer_ms, &error);
    }
    if (asked_to_quit(topics))
        return false;
    if (code == RKB_OK)
        rkb_log(topics->options.log, RKB_LOG_INFO, object_of(topic, object), "topic_created",
                "it was missing, and was created for the route %s", topic->route->name);
    else if (code == RKB_LOCKED)
        atomic_store(&topic->missing, false);
    else
        tell_refusal(topics, topic, code, error.text);
    if (code == RKB_REFUSED || code == RKB_USAGE)
        atomic_store(&topic->absent, true);
    return code == RKB_OK;
}

/* ---- a topic that is there ---- */

static void compare_partitions(struct rkb_topics *topics, const struct topic *topic, int partitions)
{
    char object[280];
    if (topic->wanted.partitions < 1 || partitions == 0 || partitions == topic->wanted.partitions)
        return;
    rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_differs",
            "it has %d partitions and the route %s asks for %d; rkbridge leaves it as it is: change one of the two",
            partitions, topic->route->name, topic->wanted.partitions);
}

static void compare_limit(struct rkb_topics *topics, const struct topic *topic)
{
    char object[280], takes[32], comes[32];
    uint64_t limit = atomic_load(&topic->limit);
    if (limit == 0 || limit >= topic->longest)
        return;
    rkb_format_size(takes, sizeof takes, limit);
    rkb_format_size(comes, sizeof comes, topic->longest);
    rkb_log(topics->options.log, RKB_LOG_INFO, object_of(topic, object), "topic_limit",
            "it takes records up to %s (max.message.bytes), the source of route %s may send up to %s "
            "(max_message_size): what is between would %s; raise the one or lower the other",
            takes, topic->route->name, comes,
            topic->letters ? "go to the file of dead letters" : "become dead letters");
}

static void describe(struct rkb_topics *topics, struct rkb_admin *admin, struct topic *topic)
{
    struct rkb_kafka_setting settings[] = {{.name = "cleanup.policy"}, {.name = "max.message.bytes"}};
    struct rkb_error error = {.code = RKB_TIMEOUT};
    char object[280];
    bool known = false;
    for (int i = 0; i < TRIES && !known && error.code == RKB_TIMEOUT && !asked_to_quit(topics); i++) {
        if (i > 0)
            pause_for(topics, PAUSE_MS);    /* one just created is not known to every broker yet */
        known = rkb_admin_settings(admin, topic->wanted.name, settings, 2, topics->options.answer_ms, &error);
    }
    if (!known && !asked_to_quit(topics))
        rkb_log(topics->options.log, RKB_LOG_INFO, object_of(topic, object), NULL,
                "its settings are not known, and not needed: %s", error.text);
    if (!known)
        return;
    atomic_store(&topic->limit, strtoull(settings[1].value, NULL, 10));
    compare_limit(topics, topic);
    if (topic->keyless && strstr(settings[0].value, "compact") != NULL)
        rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_compacted",
                "cleanup.policy is %s, and Kafka takes no record without a key there: give the route %s a key",
                settings[0].value, topic->route->name);
}

static void tell_hidden(struct rkb_topics *topics, struct topic *topic)
{
    char object[280];
    if (topic->told_hidden)
        return;
    topic->told_hidden = true;
    rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_hidden",
            "we are not authorised to see it, so neither to write to it: give the user of kafka.properties the "
            "operations Describe and Write (kafka-acls.sh --add --allow-principal User:NAME --operation Describe "
            "--operation Write --topic TOPIC); %s the route %s %s",
            topic->letters ? "dead letters of" : "what comes by", topic->route->name,
            topic->letters ? "go to the file meanwhile" : "waits in the journal");
}

/* It is there: how it was found. */
static void found(struct rkb_topics *topics, struct topic *topic, int partitions)
{
    char object[280];
    if (topic->told_missing || topic->told_hidden || topic->told_refusal != RKB_OK)
        rkb_log(topics->options.log, RKB_LOG_INFO, object_of(topic, object), "topic_found", "it is there now");
    atomic_store(&topic->absent, false);
    atomic_store(&topic->missing, false);
    set_ready(topics, topic);
    compare_partitions(topics, topic, partitions);
    topic->there = true;
}

static void missing(struct rkb_topics *topics, struct rkb_admin *admin, struct topic *topic)
{
    atomic_store(&topic->missing, true);
    if (!topics->options.config->kafka.create_topics)
        tell_missing(topics, admin, topic);
    else if (create(topics, admin, topic))
        found(topics, topic, 0);
    if (!asked_to_quit(topics))
        set_ready(topics, topic);
}

static void hidden(struct rkb_topics *topics, struct topic *topic)
{
    tell_hidden(topics, topic);
    set_ready(topics, topic);
}

static void take_up(struct rkb_topics *topics, struct rkb_admin *admin, struct topic *topic,
                    const struct rkb_topic_seen *seen)
{
    switch (seen->presence) {
    case RKB_TOPIC_THERE:
        found(topics, topic, seen->partitions);
        return;
    case RKB_TOPIC_HIDDEN:
        hidden(topics, topic);
        return;
    case RKB_TOPIC_MISSING:
        missing(topics, admin, topic);
        return;
    }
}

/* Those that are there need not wait for those that are to be created, nor these for what is only told. */
static bool take_up_all(struct rkb_topics *topics, struct rkb_admin *admin)
{
    bool all = true;
    for (size_t i = 0; i < topics->count; i++)
        if (topics->seen[i].presence == RKB_TOPIC_THERE)
            set_ready(topics, &topics->list[i]);
    for (size_t i = 0; i < topics->count && !asked_to_quit(topics); i++)
        if (!topics->list[i].there)
            take_up(topics, admin, &topics->list[i], &topics->seen[i]);
    for (size_t i = 0; i < topics->count && !asked_to_quit(topics); i++) {
        struct topic *topic = &topics->list[i];
        if (topic->there && !topic->described)
            describe(topics, admin, topic);
        topic->described = topic->there;
        all = all && topic->there;
    }
    return all;
}

/* So many times at the most, or until Kafka answers, or we are to end. */
static bool look(struct rkb_topics *topics, struct rkb_admin *admin, int times)
{
    struct rkb_error error;
    for (int i = 0; i < times && !asked_to_quit(topics); i++) {
        if (rkb_admin_look(admin, topics->seen, LOOK_MS, &error))
            return true;
        pause_for(topics, PAUSE_MS);
    }
    return false;
}

/* A file that cannot be read now leaves its old value in use; the producer says so. */
static struct rkb_admin *client_new(struct rkb_topics *topics, struct rkb_error *error)
{
    struct rkb_properties fresh;
    bool read = rkb_properties_read(topics->options.properties, &fresh, error);
    const struct rkb_properties *used = read ? &fresh : topics->options.properties;
    struct rkb_admin *admin = rkb_admin_new(used->list, used->count, topics->names, topics->count, &topics->quit,
                                            error);
    if (read)
        rkb_properties_free(&fresh);
    return admin;
}

/*
 * A client that Kafka has answered; NULL when none can be made, or we are to end. Where Kafka does not answer a
 * client, the next one may have credentials that were mended meanwhile.
 */
static struct rkb_admin *client_answered(struct rkb_topics *topics)
{
    struct rkb_error error;
    for (int times = LEAST_LOOKS; !asked_to_quit(topics); times = times < MOST_LOOKS ? times * 2 : times) {
        struct rkb_admin *admin = client_new(topics, &error);
        if (admin == NULL) {
            rkb_log(topics->options.log, RKB_LOG_WARN, "kafka", "topics_unknown",
                    "it is not known whether the topics are there: %s", error.text);
            return NULL;
        }
        if (look(topics, admin, times))
            return admin;
        rkb_admin_free(admin);
    }
    return NULL;
}

static bool turn(struct rkb_topics *topics)
{
    struct rkb_admin *admin = client_answered(topics);
    bool all = admin != NULL && take_up_all(topics, admin);
    for (size_t i = 0; admin == NULL && i < topics->count && !asked_to_quit(topics); i++)
        set_ready(topics, &topics->list[i]);
    rkb_admin_free(admin);
    return all;
}

static void *work(void *context)
{
    struct rkb_topics *topics = context;
    pthread_setname_np(pthread_self(), "rkb-topics");
    while (!turn(topics) && !asked_to_quit(topics))
        pause_for(topics, topics->options.again_ms);
    return NULL;
}

bool rkb_topics_start(struct rkb_topics *topics, void (*changed)(void *context), void *context, struct rkb_error *error)
{
    topics->changed = changed;
    topics->context = context;
    if (topics->options.embedded)
        return true;
    int code = pthread_create(&topics->thread, NULL, work, topics);
    topics->started = code == 0;
    return topics->started || rkb_fail(error, RKB_SYSTEM, "cannot start the topics' thread: %s", strerror(code));
}

void rkb_topics_quit(struct rkb_topics *topics)
{
    pthread_mutex_lock(&topics->mutex);
    atomic_store(&topics->quit, true);
    pthread_cond_broadcast(&topics->asked);
    pthread_mutex_unlock(&topics->mutex);
}

void rkb_topics_free(struct rkb_topics *topics)
{
    if (topics == NULL)
        return;
    rkb_topics_quit(topics);
    if (topics->started)
        pthread_join(topics->thread, NULL);
    pthread_cond_destroy(&topics->asked);
    pthread_mutex_destroy(&topics->mutex);
    free(topics->list);
    free(topics->names);
    free(topics->seen);
    free(topics);
}
