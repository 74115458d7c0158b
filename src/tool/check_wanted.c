/* check_wanted -- see check_wanted.h. */
#include "tool/check_wanted.h"

#include <stdlib.h>

#define CANARY "canary.topic"       /* what makes the routes that no line of the file has */

/* ---- subscriptions ---- */

static size_t take_names(const struct rkb_config *config, size_t source, struct rkb_wanted_name *list)
{
    size_t count = 0;
    for (size_t i = 0; i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        if (route->source_index != source)
            continue;
        for (size_t c = 0; c < route->channels.count; c++, count++)
            if (list != NULL)
                list[count] = (struct rkb_wanted_name){false, rkb_slice_text(route->channels.texts[c]), i, c};
        for (size_t p = 0; p < route->patterns.count; p++, count++)
            if (list != NULL)
                list[count] = (struct rkb_wanted_name){true, rkb_slice_text(route->patterns.texts[p]), i, p};
    }
    return count;
}

bool rkb_wanted_names(const struct rkb_config *config, size_t source, struct rkb_wanted_name **list, size_t *count)
{
    size_t all = take_names(config, source, NULL);
    *count = 0;
    *list = calloc(all + 1, sizeof **list);
    if (*list == NULL)
        return false;
    *count = take_names(config, source, *list);
    return true;
}

/* One that is no list in the file has its place all the same: places.h takes the name above. */
void rkb_wanted_name_setting(const struct rkb_config *config, const struct rkb_wanted_name *name,
                             char out[RKB_SETTING_SHOWN])
{
    if (config->routes[name->route].canary)
        snprintf(out, RKB_SETTING_SHOWN, CANARY);
    else
        snprintf(out, RKB_SETTING_SHOWN, "routes.%s.%s[%zu]", config->routes[name->route].name,
             name->is_pattern ? "patterns" : "channels", name->item);
}

/* ---- topics ---- */

static struct rkb_wanted_topic *find(struct rkb_wanted_topic *list, size_t *count, const char *name,
                                     enum rkb_topic_use use)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    struct rkb_wanted_topic *topic = &list[(*count)++];
    *topic = (struct rkb_wanted_topic){.name = name, .use = use, .partitions = -1, .replication = -1};
    return topic;
}

static void raise(uint64_t *longest, uint64_t size)
{
    if (size > *longest)
        *longest = size;
}

static void take_route(const struct rkb_config *config, size_t number, struct rkb_wanted_topic *list, size_t *count)
{
    const struct rkb_config_route *route = &config->routes[number];
    struct rkb_wanted_topic *topic = find(list, count, route->topic, RKB_TOPIC_OF_ROUTE);
    if (topic->setting[0] == '\0') {
        topic->route = number;
        if (route->canary)
            snprintf(topic->setting, sizeof topic->setting, CANARY);
        else
            snprintf(topic->setting, sizeof topic->setting, "routes.%s.topic", route->name);
    }
    if (route->partitions > 0)
        topic->partitions = route->partitions;
    if (route->replication > 0)
        topic->replication = route->replication;
    if (route->topic_config.count > 0)
        topic->settings = &route->topic_config;
    topic->keyless = topic->keyless || rkb_config_keyless(route);
    if (!route->canary)
        raise(&topic->longest, config->sources[route->source_index].max_message_size);
}

static void take_letters(const struct rkb_config *config, size_t number, struct rkb_wanted_topic *list, size_t *count)
{
    const struct rkb_config_route *route = &config->routes[number];
    struct rkb_wanted_topic *topic = find(list, count, route->dead_letter, RKB_TOPIC_OF_LETTERS);
    if (topic->setting[0] == '\0') {
        topic->route = number;
        snprintf(topic->setting, sizeof topic->setting, "routes.%s.dead_letter", route->name);
    }
    raise(&topic->longest, config->sources[route->source_index].max_message_size);
}

static void take_gaps(const struct rkb_config_source *source, struct rkb_wanted_topic *list, size_t *count)
{
    struct rkb_wanted_topic *topic = find(list, count, source->gap_topic, RKB_TOPIC_OF_GAPS);
    if (topic->setting[0] == '\0')
        snprintf(topic->setting, sizeof topic->setting, "redis.%s.gap_topic", source->name);
}

bool rkb_wanted_topics(const struct rkb_config *config, struct rkb_wanted_topic **list, size_t *count)
{
    *count = 0;
    *list = calloc(2 * config->route_count + config->source_count + 1, sizeof **list);
    if (*list == NULL)
        return false;
    for (size_t i = 0; i < config->route_count; i++)
        if (!config->routes[i].topic_varies)
            take_route(config, i, *list, count);
    for (size_t i = 0; i < config->route_count; i++)
        if (config->routes[i].dead_letter != NULL)
            take_letters(config, i, *list, count);
    for (size_t i = 0; i < config->source_count; i++)
        if (config->sources[i].gap_topic != NULL)
            take_gaps(&config->sources[i], *list, count);
    return true;
}
