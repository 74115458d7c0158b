/*
 * topics_look -- the topics' thread; see topics.h.
 *
 *     look --> there ---------------------------------+--> settings looked at, differences said: done
 *       |                                             |
 *       +----> missing --create_topics--> created ----+
 *       |         |                          ^
 *       |         +--> said; ready unless Kafka may still make it -- 30 s, look again
 *       +----> hidden (not authorised): said; ready
 *
 * The thread has a client of its own (kafka/admin.h), made for a look and freed behind it. When all topics are there it
 * sleeps until a message or a reload names more.
 * Promise: one line for each thing found, not one for each look. Never: changes a topic that is there.
 */
#include "daemon/topics_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/units.h"

#define LOOK_MS 900             /* how long a look may hold up the end of the process */
#define PAUSE_MS 300            /* between two tries */
#define TRIES 3
#define LEAST_LOOKS 2           /* with one client, while Kafka does not answer; twice as many with the next */
#define MOST_LOOKS 32

static bool asked_to_quit(const struct rkb_topics *topics)
{
    return atomic_load(&topics->quit);
}

static struct timespec time_in(int milliseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    return until;
}

/* Until the list grows, or that time where it is not NULL, or we are to end; true when it grew. */
static bool wait_for_more(struct rkb_topics *topics, const struct timespec *until)
{
    pthread_mutex_lock(&topics->mutex);
    int waited = 0;
    while (!asked_to_quit(topics) && !topics->grown && waited == 0)
        waited = until == NULL ? pthread_cond_wait(&topics->asked, &topics->mutex)
                               : pthread_cond_timedwait(&topics->asked, &topics->mutex, until);
    bool grown = topics->grown;
    pthread_mutex_unlock(&topics->mutex);
    return grown;
}

static void pause_for(struct rkb_topics *topics, int milliseconds)
{
    struct timespec until = time_in(milliseconds);
    pthread_mutex_lock(&topics->mutex);
    int waited = 0;
    while (!asked_to_quit(topics) && waited == 0)
        waited = pthread_cond_timedwait(&topics->asked, &topics->mutex, &until);
    pthread_mutex_unlock(&topics->mutex);
}

static void set_ready(struct rkb_topics *topics, struct rkb_topic *topic)
{
    if (!atomic_exchange(&topic->ready, true))
        topics->changed(topics->context);
}

/* The line's object: "topic[NAME]". */
static const char *object_of(const struct rkb_topic *topic, char out[280])
{
    snprintf(out, 280, "topic[%.249s]", topic->name);
    return out;
}

/* ---- a topic that is missing ---- */

/*
 * What the brokers do about a topic that is missing, in words, as far as they let us know. False where they do not make
 * it by themselves.
 */
static bool say_brokers_habit(struct rkb_topics *topics, struct rkb_admin *admin, const struct rkb_topic *topic,
                              char *out, size_t size)
{
    struct rkb_kafka_setting settings[] = {{.name = "auto.create.topics.enable"}, {.name = "num.partitions"}};
    const char *else_what = topic->wish->letters ? "its dead letters go to the file"
                                                 : "its records wait in the journal";
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

static void tell_missing(struct rkb_topics *topics, struct rkb_admin *admin, struct rkb_topic *topic)
{
    char object[280], habit[200];
    if (topic->told_missing)
        return;
    topic->told_missing = true;
    atomic_store(&topic->absent, !say_brokers_habit(topics, admin, topic, habit, sizeof habit));
    rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_missing",
            "Kafka has no such topic, to which the route %s writes%s; %s. Create it, or set kafka.create_topics: yes",
            topic->wish->route,
            topic->wish->letters ? " its dead letters" : topic->wish->gaps ? " the gaps of its source" : "", habit);
}

static void tell_refusal(struct rkb_topics *topics, struct rkb_topic *topic, enum rkb_code code, const char *words)
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
            "it is missing, and Kafka does not create it for the route %s: %s%s", topic->wish->route, words,
            code == RKB_REFUSED ? denied : code == RKB_USAGE ? wrong : silent);
}

/* True when it is there as the route asks; somebody else's is looked at in the next turn. */
static bool create(struct rkb_topics *topics, struct rkb_admin *admin, struct rkb_topic *topic)
{
    const struct rkb_topic_wish *wish = topic->wish;
    const struct rkb_new_topic wanted = {.name = topic->name, .partitions = wish->partitions,
                                         .replication = wish->replication, .settings = wish->settings.list,
                                         .setting_count = wish->settings.count};
    struct rkb_error error = {0};
    enum rkb_code code = RKB_TIMEOUT;
    char object[280];
    for (int i = 0; i < TRIES && code == RKB_TIMEOUT && !asked_to_quit(topics); i++) {
        if (i > 0)
            pause_for(topics, PAUSE_MS);
        code = rkb_admin_create(admin, &wanted, topics->options.answer_ms, &error);
    }
    if (asked_to_quit(topics))
        return false;
    if (code == RKB_OK)
        rkb_log(topics->options.log, RKB_LOG_INFO, object_of(topic, object), "topic_created",
                "it was missing, and was created for the route %s", topic->wish->route);
    else if (code == RKB_LOCKED)
        atomic_store(&topic->missing, false);
    else
        tell_refusal(topics, topic, code, error.text);
    if (code == RKB_REFUSED || code == RKB_USAGE)
        atomic_store(&topic->absent, true);
    return code == RKB_OK;
}

/* ---- a topic that is there ---- */

static void compare_partitions(struct rkb_topics *topics, const struct rkb_topic *topic, int partitions)
{
    char object[280];
    if (topic->wish->partitions < 1 || partitions == 0 || partitions == topic->wish->partitions)
        return;
    rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_differs",
            "it has %d partitions and the route %s asks for %d; rkbridge leaves it as it is: change one of the two",
            partitions, topic->wish->route, topic->wish->partitions);
}

static void compare_limit(struct rkb_topics *topics, const struct rkb_topic *topic)
{
    char object[280], takes[32], comes[32];
    uint64_t limit = atomic_load(&topic->limit);
    if (limit == 0 || limit >= topic->wish->longest)
        return;
    rkb_format_size(takes, sizeof takes, limit);
    rkb_format_size(comes, sizeof comes, topic->wish->longest);
    rkb_log(topics->options.log, RKB_LOG_INFO, object_of(topic, object), "topic_limit",
            "it takes records up to %s (max.message.bytes), the source of route %s may send up to %s "
            "(max_message_size): what is between would %s; raise the one or lower the other",
            takes, topic->wish->route, comes,
            topic->wish->letters ? "go to the file of dead letters" : "become dead letters");
}

static void describe(struct rkb_topics *topics, struct rkb_admin *admin, struct rkb_topic *topic)
{
    struct rkb_kafka_setting settings[] = {{.name = "cleanup.policy"}, {.name = "max.message.bytes"}};
    struct rkb_error error = {.code = RKB_TIMEOUT};
    char object[280];
    bool known = false;
    for (int i = 0; i < TRIES && !known && error.code == RKB_TIMEOUT && !asked_to_quit(topics); i++) {
        if (i > 0)
            pause_for(topics, PAUSE_MS);    /* one just created is not known to every broker yet */
        known = rkb_admin_settings(admin, topic->name, settings, 2, topics->options.answer_ms, &error);
    }
    if (!known && !asked_to_quit(topics))
        rkb_log(topics->options.log, RKB_LOG_INFO, object_of(topic, object), NULL,
                "its settings are not known, and not needed: %s", error.text);
    if (!known)
        return;
    atomic_store(&topic->limit, strtoull(settings[1].value, NULL, 10));
    compare_limit(topics, topic);
    if (topic->wish->keyless && strstr(settings[0].value, "compact") != NULL)
        rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_compacted",
                "cleanup.policy is %s, and Kafka takes no record without a key there: give the route %s a key",
                settings[0].value, topic->wish->route);
}

static void tell_hidden(struct rkb_topics *topics, struct rkb_topic *topic)
{
    const struct rkb_topic_wish *wish = topic->wish;
    char object[280];
    if (topic->told_hidden)
        return;
    topic->told_hidden = true;
    rkb_log(topics->options.log, RKB_LOG_WARN, object_of(topic, object), "topic_hidden",
            "we are not authorised to see it, so neither to write to it: give the user of kafka.properties the "
            "operations Describe and Write (kafka-acls.sh --add --allow-principal User:NAME --operation Describe "
            "--operation Write --topic TOPIC); %s the route %s %s",
            wish->letters ? "dead letters of" : wish->gaps ? "what tells of gaps beside" : "what comes by",
            wish->route, wish->letters ? "go to the file meanwhile" : "waits in the journal");
}

/* It is there: how it was found. */
static void found(struct rkb_topics *topics, struct rkb_topic *topic, int partitions)
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

static void missing(struct rkb_topics *topics, struct rkb_admin *admin, struct rkb_topic *topic)
{
    atomic_store(&topic->missing, true);
    if (!topics->options.config->kafka.create_topics)
        tell_missing(topics, admin, topic);
    else if (create(topics, admin, topic))
        found(topics, topic, 0);
    if (!asked_to_quit(topics))
        set_ready(topics, topic);
}

static void hidden(struct rkb_topics *topics, struct rkb_topic *topic)
{
    tell_hidden(topics, topic);
    set_ready(topics, topic);
}

static void take_up(struct rkb_topics *topics, struct rkb_admin *admin, struct rkb_topic *topic,
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
static void take_up_all(struct rkb_topics *topics, struct rkb_admin *admin)
{
    for (size_t i = 0; i < topics->wanted_count; i++)
        if (topics->seen[i].presence == RKB_TOPIC_THERE)
            set_ready(topics, topics->wanted[i]);
    for (size_t i = 0; i < topics->wanted_count && !asked_to_quit(topics); i++)
        take_up(topics, admin, topics->wanted[i], &topics->seen[i]);
    for (size_t i = 0; i < topics->wanted_count && !asked_to_quit(topics); i++) {
        struct rkb_topic *topic = topics->wanted[i];
        if (topic->there && !topic->described)
            describe(topics, admin, topic);
        topic->described = topic->there;
    }
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
    struct rkb_admin *admin = rkb_admin_new(used->list, used->count, topics->names, topics->wanted_count, &topics->quit,
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

/* Room for all there are; what does not fit when memory ran out is looked for at the next look. */
static bool make_room(struct rkb_topics *topics)
{
    if (topics->count <= topics->wanted_room)
        return true;
    struct rkb_topic **wanted = realloc(topics->wanted, topics->count * sizeof(struct rkb_topic *));
    if (wanted != NULL)
        topics->wanted = wanted;
    const char **names = realloc(topics->names, topics->count * sizeof *names);
    if (names != NULL)
        topics->names = names;
    struct rkb_topic_seen *seen = realloc(topics->seen, topics->count * sizeof *seen);
    if (seen != NULL)
        topics->seen = seen;
    if (wanted == NULL || names == NULL || seen == NULL)
        return false;
    topics->wanted_room = topics->count;
    return true;
}

/* What is to be looked for: all that is not there, or of that only what is new. True when there is something. */
static bool collect(struct rkb_topics *topics, bool only_new)
{
    pthread_mutex_lock(&topics->mutex);
    topics->grown = false;
    topics->wanted_count = 0;
    make_room(topics);
    for (struct rkb_topic *topic = atomic_load(&topics->first); topic != NULL; topic = rkb_topic_next(topic)) {
        if (topic->fresh != NULL)
            rkb_topic_take_wish(topic);
        if (topic->wish == NULL || topic->there || (only_new && topic->looked) || atomic_load(&topic->gone)
            || topics->wanted_count == topics->wanted_room)
            continue;
        topic->looked = true;
        topics->names[topics->wanted_count] = topic->name;
        topics->wanted[topics->wanted_count++] = topic;
    }
    pthread_mutex_unlock(&topics->mutex);
    return topics->wanted_count > 0;
}

static bool all_there(const struct rkb_topics *topics)
{
    for (struct rkb_topic *topic = atomic_load(&topics->first); topic != NULL; topic = rkb_topic_next(topic))
        if (!topic->there && !atomic_load(&topic->gone))
            return false;
    return true;
}

/* True when all are there. */
static bool turn(struct rkb_topics *topics, bool only_new)
{
    if (!collect(topics, only_new))
        return all_there(topics);
    struct rkb_admin *admin = client_answered(topics);
    if (admin != NULL)
        take_up_all(topics, admin);
    for (size_t i = 0; admin == NULL && i < topics->wanted_count && !asked_to_quit(topics); i++)
        set_ready(topics, topics->wanted[i]);
    rkb_admin_free(admin);
    return all_there(topics);
}

void *rkb_topics_work(void *context)
{
    struct rkb_topics *topics = context;
    pthread_setname_np(pthread_self(), "rkb-topics");
    bool all = turn(topics, false), grown = false;
    struct timespec again = time_in(topics->options.again_ms);
    while (!asked_to_quit(topics)) {
        grown = wait_for_more(topics, all ? NULL : &again);
        all = !asked_to_quit(topics) && turn(topics, grown);
        if (!grown || all)
            again = time_in(topics->options.again_ms);
    }
    return NULL;
}
