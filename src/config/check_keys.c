/*
 * check_keys -- warns of keys that leave partitions unused; see check.h.
 *
 * How many keys a topic can have is told from the config where a key is constant, or follows from the
 * channel and it is known how many channels come to the topic: those that are listed, or, where the
 * topic's name is made of the channel's, one. Fewer keys than partitions, and a part of these is never
 * written to, however many consumers there are.
 */
#include <string.h>

#include "config/check.h"
#include "message/glob.h"
#include "message/template.h"

/* More than any topic has partitions. */
#define MANY INT64_MAX

static struct rkb_template *compile(const char *text)
{
    struct rkb_error error;
    struct rkb_template_scope scope = {.pointers = rkb_pointers_new(), .captures = RKB_CAPTURES};
    size_t at;
    struct rkb_template *key = scope.pointers == NULL ? NULL : rkb_template_compile(
        RKB_TEMPLATE_PLAIN, rkb_slice_text(text), &scope, &at, &error);
    rkb_pointers_free(scope.pointers);
    return key;
}

/* Whether all that the pattern leaves open is in {{1}}. */
static bool open_in_one(const char *pattern)
{
    return rkb_glob_stars(rkb_slice_text(pattern)) == 1 && strpbrk(pattern, "?[") == NULL;
}

/* How many channels of the route come to one topic at most. */
static int64_t channels_of_topic(const struct rkb_config_route *route)
{
    if (strstr(route->topic, "{{channel}}") != NULL)
        return 1;
    if (strstr(route->topic, "{{") == NULL)
        return route->patterns.count == 0 ? (int64_t)route->channels.count : MANY;
    for (size_t i = 0; i < route->patterns.count; i++)
        if (strstr(route->topic, "{{1}}") == NULL || !open_in_one(route->patterns.texts[i]))
            return MANY;
    return (int64_t)(route->channels.count + route->patterns.count);
}

/* How many keys the route has in one topic at most. What has no key goes to all partitions. */
static int64_t keys_of_route(const struct rkb_config_route *route)
{
    if (rkb_config_keyless(route))
        return MANY;
    struct rkb_template *key = compile(route->key);
    int64_t count = MANY;
    if (key != NULL && rkb_template_constant(key))
        count = 1;
    else if (key != NULL && rkb_template_per_channel(key))
        count = channels_of_topic(route);
    rkb_template_free(key);
    return count;
}

static bool same_topic(const struct rkb_config_route *a, const struct rkb_config_route *b)
{
    return strcmp(a->topic, b->topic) == 0;
}

/* -1 where no route says it. */
static int64_t partitions_of_topic(const struct rkb_config *config, const struct rkb_config_route *route)
{
    int64_t partitions = -1;
    for (size_t i = 0; i < config->route_count && partitions < 0; i++)
        if (same_topic(&config->routes[i], route))
            partitions = config->routes[i].partitions;
    return partitions;
}

static int64_t keys_of_topic(const struct rkb_config *config, const struct rkb_config_route *route)
{
    int64_t sum = 0;
    for (size_t i = 0; i < config->route_count && sum != MANY; i++) {
        if (!same_topic(&config->routes[i], route))
            continue;
        int64_t keys = keys_of_route(&config->routes[i]);
        sum = keys == MANY ? MANY : sum + keys;
    }
    return sum;
}

static bool first_of_topic(const struct rkb_config *config, size_t route)
{
    for (size_t i = 0; i < route; i++)
        if (same_topic(&config->routes[i], &config->routes[route]))
            return false;
    return true;
}

void rkb_check_keys(struct rkb_reading *reading)
{
    const struct rkb_config *config = reading->config;
    for (size_t i = 0; i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        if (!first_of_topic(config, i))
            continue;
        int64_t partitions = partitions_of_topic(config, route), keys = keys_of_topic(config, route);
        if (keys < partitions)
            rkb_reading_warning(reading, &reading->routes[i], "routes.*.key",
                                "%lld of the %lld partitions of %s can be used at most, as there %s; to use all, "
                                "take as the key what has many values and whose records have to stay in order",
                                (long long)keys, (long long)partitions, route->topic,
                                keys == 1 ? "is one key" : "are no more keys");
    }
}
