/*
 * topics -- see topics.h.
 *
 * The list only grows: with the config's topics at first and at a reload, by the loop, and with those that messages
 * name, by the shipper's thread. Whoever asks finds a topic by an index of the names, without a lock; a topic is
 * whole before it stands there. Whoever adds holds the mutex, and so does the thread while it takes up what is to be
 * looked for; nobody holds it for long. The topics' names and what the config says of them are copies: configs come
 * and go.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "daemon/topics_state.h"

#include "config/properties.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MS 10000
#define AGAIN_MS 30000
#define FIRST_PLACES 16

/* ---- the list and its index ---- */

static struct rkb_topic_index *index_new(size_t size)
{
    struct rkb_topic_index *index = calloc(1, sizeof *index + size * sizeof index->places[0]);
    if (index != NULL)
        index->size = size;
    return index;
}

/* The place in the index that holds this name, or the free one where it would go. */
static struct rkb_topic *_Atomic *place_of(struct rkb_topic_index *index, const char *name)
{
    for (size_t at = XXH3_64bits(name, strlen(name));; at++) {
        struct rkb_topic *_Atomic *place = &index->places[at & (index->size - 1)];
        struct rkb_topic *topic = atomic_load_explicit(place, memory_order_acquire);
        if (topic == NULL || strcmp(topic->name, name) == 0)
            return place;
    }
}

static struct rkb_topic *find(const struct rkb_topics *topics, const char *name)
{
    struct rkb_topic_index *index = atomic_load_explicit(&topics->index, memory_order_acquire);
    return atomic_load_explicit(place_of(index, name), memory_order_acquire);
}

static struct rkb_topic *first(const struct rkb_topics *topics)
{
    return atomic_load_explicit(&topics->first, memory_order_acquire);
}

/* Makes sure that one more fits. */
static bool grow_index(struct rkb_topics *topics)
{
    struct rkb_topic_index *index = atomic_load(&topics->index);
    if (2 * (topics->count + 1) <= index->size)
        return true;
    struct rkb_topic_index *larger = index_new(2 * index->size);
    if (larger == NULL)
        return false;
    for (struct rkb_topic *topic = first(topics); topic != NULL; topic = rkb_topic_next(topic))
        atomic_store(place_of(larger, topic->name), topic);
    larger->before = index;
    atomic_store(&topics->index, larger);
    return true;
}

static bool wants_creating(const struct rkb_topics *topics)
{
    return !topics->options.embedded && topics->options.config->kafka.create_topics;
}

/* The topic of this name, a new one where there is none; NULL when memory ran out. Under the mutex. */
static struct rkb_topic *topic_of(struct rkb_topics *topics, const char *name)
{
    struct rkb_topic *topic = find(topics, name);
    if (topic != NULL)
        return topic;
    size_t size = strlen(name) + 1;
    topic = calloc(1, sizeof *topic + size);
    if (topic == NULL || !grow_index(topics)) {
        free(topic);
        return NULL;
    }
    memcpy(topic->name, name, size);
    atomic_init(&topic->ready, !wants_creating(topics));
    if (topics->last != NULL)
        atomic_store_explicit(&topics->last->next, topic, memory_order_release);
    else
        atomic_store_explicit(&topics->first, topic, memory_order_release);
    topics->last = topic;
    atomic_store_explicit(place_of(atomic_load(&topics->index), name), topic, memory_order_release);
    topics->count++;
    return topic;
}

/* ---- what the routes want ---- */

static void wish_free(struct rkb_topic_wish *wish)
{
    if (wish != NULL)
        rkb_properties_free(&wish->settings);
    free(wish);
}

static bool same_settings(const struct rkb_properties *a, const struct rkb_properties *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->list[i].name, b->list[i].name) == 0 && strcmp(a->list[i].value, b->list[i].value) == 0;
    return same;
}

static bool same_wish(const struct rkb_topic_wish *a, const struct rkb_topic_wish *b)
{
    return strcmp(a->route, b->route) == 0 && a->letters == b->letters && a->gaps == b->gaps
        && a->keyless == b->keyless && a->longest == b->longest
        && a->partitions == b->partitions && a->replication == b->replication
        && same_settings(&a->settings, &b->settings);
}

/* What is said of the topic now, begun anew; NULL when memory ran out. */
static struct rkb_topic_wish *wish_of(struct rkb_topics *topics, const char *name, const char *route, bool named)
{
    struct rkb_topic *topic = topic_of(topics, name);
    if (topic == NULL)
        return NULL;
    topic->named = named;
    atomic_store(&topic->gone, false);
    if (topic->fresh != NULL)
        return topic->fresh;
    topic->fresh = calloc(1, sizeof *topic->fresh);
    if (topic->fresh == NULL)
        return NULL;
    topic->fresh->partitions = topic->fresh->replication = -1;
    snprintf(topic->fresh->route, sizeof topic->fresh->route, "%s", route);
    return topic->fresh;
}

static bool copy_settings(struct rkb_properties *to, const struct rkb_properties *from)
{
    bool copied = true;
    rkb_properties_free(to);
    *to = (struct rkb_properties){0};
    for (size_t i = 0; copied && i < from->count; i++)
        copied = rkb_properties_add(to, from->list[i].name, from->list[i].value, NULL);
    return copied;
}

/* Of the routes of one topic the config has made sure that they agree in what they say. */
static bool add_wish(struct rkb_topic_wish *wish, const struct rkb_config_route *route, uint64_t longest)
{
    if (wish == NULL)
        return false;
    if (route->partitions > 0)
        wish->partitions = (int)route->partitions;
    if (route->replication > 0)
        wish->replication = (int)route->replication;
    if (longest > wish->longest)
        wish->longest = longest;
    wish->keyless = wish->keyless || rkb_config_keyless(route);
    return route->topic_config.count == 0 || copy_settings(&wish->settings, &route->topic_config);
}

static uint64_t longest_of(const struct rkb_config *config, const struct rkb_config_route *route)
{
    return route->canary ? 0 : config->sources[route->source_index].max_message_size;
}

static bool add_route(struct rkb_topics *topics, const struct rkb_config *config, const struct rkb_config_route *route)
{
    uint64_t longest = longest_of(config, route);
    bool added = route->topic_varies
        || add_wish(wish_of(topics, route->topic, route->name, false), route, longest);
    if (route->dead_letter == NULL || !added)
        return added;
    struct rkb_topic_wish *letters = wish_of(topics, route->dead_letter, route->name, false);
    if (letters == NULL)
        return false;
    letters->letters = true;
    if (longest > letters->longest)
        letters->longest = longest;
    return true;
}

/* Of the route's source. Records may come to it too, and then it is told of as theirs. */
static bool add_gaps(struct rkb_topics *topics, const struct rkb_config *config, const struct rkb_config_route *route)
{
    const char *name = config->sources[route->source_index].gap_topic;
    const struct rkb_topic *known = name != NULL ? find(topics, name) : NULL;
    if (name == NULL || (known != NULL && known->fresh != NULL))
        return true;
    struct rkb_topic_wish *wish = wish_of(topics, name, route->name, false);
    if (wish != NULL)
        wish->gaps = true;
    return wish != NULL;
}

/* What is said as before is not looked at again. */
static void drop_old_wishes(struct rkb_topics *topics)
{
    for (struct rkb_topic *topic = first(topics); topic != NULL; topic = rkb_topic_next(topic)) {
        if (topic->fresh == NULL || topic->wish == NULL || !same_wish(topic->fresh, topic->wish))
            continue;
        wish_free(topic->fresh);
        topic->fresh = NULL;
    }
}

static bool add_config(struct rkb_topics *topics, const struct rkb_config *config)
{
    bool added = true;
    for (struct rkb_topic *topic = first(topics); topic != NULL; topic = rkb_topic_next(topic))
        atomic_store(&topic->gone, !topic->named);
    for (size_t i = 0; added && i < config->route_count; i++)
        added = add_route(topics, config, &config->routes[i]);
    for (size_t i = 0; added && i < config->route_count; i++)
        added = add_gaps(topics, config, &config->routes[i]);
    drop_old_wishes(topics);
    return added;
}

void rkb_topic_take_wish(struct rkb_topic *topic)
{
    wish_free(topic->wish);
    topic->wish = topic->fresh;
    topic->fresh = NULL;
    topic->looked = topic->there = topic->described = false;
    topic->told_refusal = RKB_OK;
}

static void tell_thread(struct rkb_topics *topics)
{
    topics->grown = true;
    pthread_cond_broadcast(&topics->asked);
}

void rkb_topics_reload(struct rkb_topics *topics, const struct rkb_config *config, size_t named)
{
    if (topics == NULL)
        return;
    pthread_mutex_lock(&topics->mutex);
    topics->options.named = named;
    if (!add_config(topics, config))
        rkb_log(topics->options.log, RKB_LOG_WARN, "kafka", "topics_unknown",
                "it is not known whether the topics are there: no memory for their names");
    tell_thread(topics);
    pthread_mutex_unlock(&topics->mutex);
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
        pthread_condattr_t attributes;
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&topics->asked, &attributes);
        pthread_condattr_destroy(&attributes);
        pthread_mutex_init(&topics->mutex, NULL);
        atomic_init(&topics->index, index_new(FIRST_PLACES));
        made = atomic_load(&topics->index) != NULL && add_config(topics, options->config);
    }
    if (!made) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the topics");
        rkb_topics_free(topics);
        return NULL;
    }
    return topics;
}

void rkb_topics_add(struct rkb_topics *topics, const char *name, const struct rkb_config_route *route)
{
    if (topics == NULL || find(topics, name) != NULL)
        return;
    pthread_mutex_lock(&topics->mutex);
    if (topics->named < topics->options.named && find(topics, name) == NULL) {
        topics->named++;
        add_wish(wish_of(topics, name, route->name, true), route, longest_of(topics->options.config, route));
        tell_thread(topics);
    }
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
    const struct rkb_topic *topic = topics != NULL ? first(topics) : NULL;
    for (; topic != NULL; topic = rkb_topic_next(topic)) {
        if (!atomic_load(&topic->missing) || atomic_load(&topic->gone))
            continue;
        const char *name = topic->name;
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
    for (struct rkb_topic *topic = first(topics), *next; topic != NULL; topic = next) {
        next = rkb_topic_next(topic);
        wish_free(topic->wish);
        wish_free(topic->fresh);
        free(topic);
    }
    for (struct rkb_topic_index *index = atomic_load(&topics->index), *before; index != NULL; index = before) {
        before = index->before;
        free(index);
    }
    free(topics->wanted);
    free(topics->names);
    free(topics->seen);
    free(topics);
}
