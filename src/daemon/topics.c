/*
 * topics -- see topics.h.
 *
 * The list only grows: with the config's topics at first, later in the shipper's thread. Whoever asks finds a topic by
 * an index of the names, without a lock; a topic is whole before it stands there.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/topics_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000
#define AGAIN_MS 30000

/* ---- what the routes want ---- */

/* The place in the index that holds this name, or the free one where it would go. */
static _Atomic uint32_t *place_of(const struct rkb_topics *topics, const char *name)
{
    for (size_t at = XXH3_64bits(name, strlen(name));; at++) {
        _Atomic uint32_t *place = &topics->index[at & (topics->index_size - 1)];
        uint32_t number = atomic_load_explicit(place, memory_order_acquire);
        if (number == 0 || strcmp(topics->list[number - 1].wanted.name, name) == 0)
            return place;
    }
}

static struct rkb_topic *find(const struct rkb_topics *topics, const char *name)
{
    uint32_t number = atomic_load_explicit(place_of(topics, name), memory_order_acquire);
    return number == 0 ? NULL : &topics->list[number - 1];
}

static bool wants_creating(const struct rkb_topics *topics)
{
    return !topics->options.embedded && topics->options.config->kafka.create_topics;
}

/* A new one behind the last, which nobody sees yet; `route` is the first that writes to it. */
static struct rkb_topic *begin_topic(struct rkb_topics *topics, const char *name, const struct rkb_config_route *route)
{
    struct rkb_topic *topic = &topics->list[atomic_load(&topics->count)];
    topic->route = route;
    topic->wanted = (struct rkb_new_topic){.name = name, .partitions = -1, .replication = -1};
    atomic_init(&topic->ready, !wants_creating(topics));
    atomic_init(&topic->missing, false);
    atomic_init(&topic->absent, false);
    return topic;
}

static void publish_topic(struct rkb_topics *topics, const struct rkb_topic *topic)
{
    uint32_t number = (uint32_t)(topic - topics->list) + 1;
    atomic_store_explicit(place_of(topics, topic->wanted.name), number, memory_order_release);
    atomic_store(&topics->count, number);
}

/* The topic of this name, from the config. */
static struct rkb_topic *add_topic(struct rkb_topics *topics, const char *name, const struct rkb_config_route *route)
{
    struct rkb_topic *topic = find(topics, name);
    if (topic == NULL) {
        topic = begin_topic(topics, name, route);
        publish_topic(topics, topic);
    }
    return topic;
}

/* Of the routes of one topic the config has made sure that they agree in what they say. */
static void add_wish(struct rkb_topic *topic, const struct rkb_config_route *route, uint64_t longest)
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

static uint64_t longest_of(const struct rkb_topics *topics, const struct rkb_config_route *route)
{
    return topics->options.config->sources[route->source_index].max_message_size;
}

static void add_route(struct rkb_topics *topics, const struct rkb_config_route *route)
{
    uint64_t longest = longest_of(topics, route);
    if (route->topic_varies)
        topics->grows = true;
    else
        add_wish(add_topic(topics, route->topic, route), route, longest);
    if (route->dead_letter == NULL)
        return;
    struct rkb_topic *letters = add_topic(topics, route->dead_letter, route);
    letters->letters = true;
    if (longest > letters->longest)
        letters->longest = longest;
}

/* Of the route's source. Records may come to it too, and then it is told of as theirs. */
static void add_gaps(struct rkb_topics *topics, const struct rkb_config_route *route)
{
    const char *name = topics->options.config->sources[route->source_index].gap_topic;
    if (name != NULL && find(topics, name) == NULL)
        add_topic(topics, name, route)->gaps = true;
}

static bool make_lists(struct rkb_topics *topics)
{
    topics->index_size = 16;
    while (topics->index_size < 2 * topics->room)
        topics->index_size *= 2;
    topics->list = calloc(topics->room, sizeof *topics->list);
    topics->index = calloc(topics->index_size, sizeof *topics->index);
    topics->wanted = calloc(topics->room, sizeof(struct rkb_topic *));
    topics->names = calloc(topics->room, sizeof *topics->names);
    topics->seen = calloc(topics->room, sizeof *topics->seen);
    return topics->list != NULL && topics->index != NULL && topics->wanted != NULL && topics->names != NULL
        && topics->seen != NULL;
}

struct rkb_topics *rkb_topics_new(const struct rkb_topics_options *options, struct rkb_error *error)
{
    struct rkb_topics *topics = calloc(1, sizeof *topics);
    bool made = false;
    if (topics != NULL) {
        topics->options = *options;
        if (options->answer_ms == 0)
            topics->options.answer_ms = ANSWER_MS;
        if (options->again_ms == 0)
            topics->options.again_ms = AGAIN_MS;
        topics->room = 2 * options->config->route_count     /* each route's, and its dead letters' */
            + options->config->source_count + options->named;       /* and each source's of gaps */
        made = make_lists(topics);
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&topics->asked, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&topics->mutex, NULL);
    }
    if (!made) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the topics");
        rkb_topics_free(topics);
        return NULL;
    }
    for (size_t i = 0; i < options->config->route_count; i++)
        add_route(topics, &options->config->routes[i]);
    for (size_t i = 0; i < options->config->route_count; i++)
        add_gaps(topics, &options->config->routes[i]);
    return topics;
}

void rkb_topics_add(struct rkb_topics *topics, const char *name, const struct rkb_config_route *route)
{
    if (topics == NULL || find(topics, name) != NULL || atomic_load(&topics->count) == topics->room)
        return;
    struct rkb_topic *topic = begin_topic(topics, name, route);
    add_wish(topic, route, longest_of(topics, route));
    publish_topic(topics, topic);
    pthread_mutex_lock(&topics->mutex);
    topics->grown = true;
    pthread_cond_broadcast(&topics->asked);
    pthread_mutex_unlock(&topics->mutex);
}

/* ---- what others ask ---- */

bool rkb_topics_ready(const struct rkb_topics *topics, const char *name)
{
    const struct rkb_topic *topic = topics != NULL ? find(topics, name) : NULL;
    return topic == NULL || atomic_load(&topic->ready);
}

bool rkb_topics_absent(const struct rkb_topics *topics, const char *name)
{
    const struct rkb_topic *topic = topics != NULL ? find(topics, name) : NULL;
    return topic != NULL && atomic_load(&topic->absent);
}

uint64_t rkb_topics_limit(const struct rkb_topics *topics, const char *name)
{
    const struct rkb_topic *topic = topics != NULL ? find(topics, name) : NULL;
    return topic != NULL ? atomic_load(&topic->limit) : 0;
}

size_t rkb_topics_missing(const struct rkb_topics *topics, char *names, size_t size)
{
    size_t count = 0, shown = 0;
    names[0] = '\0';
    for (size_t i = 0; topics != NULL && i < atomic_load(&topics->count); i++) {
        if (!atomic_load(&topics->list[i].missing))
            continue;
        const char *name = topics->list[i].wanted.name;
        size_t used = strlen(names);
        if (used + strlen(name) + sizeof ", and 1234567890 more" < size) {
            snprintf(names + used, size - used, "%s%s", count == 0 ? "" : ", ", name);
            shown++;
        }
        count++;
    }
    if (count > shown)
        snprintf(names + strlen(names), size - strlen(names), "%s%zu more", shown > 0 ? " and " : "", count - shown);
    return count;
}

/* ---- its life ---- */

bool rkb_topics_start(struct rkb_topics *topics, void (*changed)(void *context), void *context, struct rkb_error *error)
{
    topics->changed = changed;
    topics->context = context;
    if (topics->options.embedded)
        return true;
    int code = pthread_create(&topics->thread, NULL, rkb_topics_work, topics);
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
    free(topics->index);
    free(topics->wanted);
    free(topics->names);
    free(topics->seen);
    free(topics);
}
