/* canary -- see canary.h. */
#include "config/canary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "config/walk.h"
#include "message/route.h"
#include "message/topic_name.h"

#define NAME_PREFIX "canary."

/* ---- checks ---- */

static bool is(const char *topic, const char *other)
{
    return other != NULL && strcmp(topic, other) == 0;
}

/* Whoever reads another topic than the canary's is not to meet canaries there. */
static void check_topic(struct rkb_reading *reading)
{
    const struct rkb_config *config = reading->config;
    const char *topic = config->canary.topic;
    if (!rkb_topic_name_taken(topic))
        rkb_reading_mistake(reading, &reading->global, "canary.topic",
                            "no name for a Kafka topic, which is 1 to 249 of A-Z a-z 0-9 . _ -; no template either");
    for (size_t i = 0; i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        if (!is(topic, route->topic) && !is(topic, route->dead_letter))
            continue;
        rkb_reading_mistake(reading, &reading->global, "canary.topic",
                            "the route %s writes to this topic; the canary needs one of its own", route->name);
        return;
    }
    for (size_t i = 0; i < config->source_count; i++) {
        if (!is(topic, config->sources[i].gap_topic))
            continue;
        rkb_reading_mistake(reading, &reading->global, "canary.topic",
                            "the gaps of %s are told to this topic; the canary needs one of its own",
                            config->sources[i].name);
        return;
    }
}

static void check_source(struct rkb_reading *reading, size_t source)
{
    const struct rkb_config *config = reading->config;
    char name[80];
    snprintf(name, sizeof name, NAME_PREFIX "%.64s", config->sources[source].name);
    for (size_t i = 0; i < config->route_count; i++)
        if (strcmp(config->routes[i].name, name) == 0)
            rkb_findings_add(&reading->findings, rkb_yaml_place(reading->routes[i].name),
                             "routes.%s: with canary.topic, the route of this source's canary has that name; take "
                             "another", name);
    if (config->sources[source].watch == RKB_SYNC_NONE)
        rkb_reading_mistake(reading, &reading->sources[source], "redis.*.watch",
                            "none, and canary.topic is given: the canary is published by the second connection; let it "
                            "watch, or take canary.topic out");
}

void rkb_canary_check(struct rkb_reading *reading)
{
    struct rkb_config *config = reading->config;
    if (config->canary.topic != NULL && config->canary.topic[0] == '\0')
        rkb_value_free(rkb_setting_find("canary.topic"), config);
    if (config->canary.late_after <= config->canary.interval)
        rkb_reading_mistake(reading, &reading->global, "canary.late_after", "not longer than canary.interval");
    if (config->canary.topic == NULL)
        return;
    check_topic(reading);
    for (size_t i = 0; i < config->source_count; i++)
        check_source(reading, i);
}

/* ---- the routes ---- */

/* Makes *text what the format says. */
static bool set(char **text, const char *prefix, const char *one, const char *between, const char *other)
{
    size_t size = strlen(prefix) + strlen(one) + strlen(between) + strlen(other) + 1;
    char *made = malloc(size);
    if (made == NULL)
        return false;
    snprintf(made, size, "%s%s%s%s", prefix, one, between, other);
    free(*text);
    *text = made;
    return true;
}

static bool fill(struct rkb_reading *reading, struct rkb_config_route *route, size_t source)
{
    const struct rkb_config *config = reading->config;
    const char *name = config->sources[source].name;
    char *channel = NULL;
    rkb_walk_defaults(reading, "routes.*.", route);
    route->canary = true;
    route->source_index = source;
    bool filled = set(&route->name, NAME_PREFIX, name, "", "") && set(&route->source, name, "", "", "")
        && set(&route->topic, config->canary.topic, "", "", "") && set(&route->envelope, "raw", "", "", "")
        && set(&channel, RKB_CANARY_PREFIX, config->instance, ":", name)
        && rkb_value_add_text(&route->channels, channel);
    free(channel);
    return filled;
}

void rkb_canary_add_routes(struct rkb_reading *reading)
{
    struct rkb_config *config = reading->config;
    if (config->canary.topic == NULL)
        return;
    size_t room = config->route_count + config->source_count;
    struct rkb_config_route *routes = realloc(config->routes, room * sizeof *routes);
    if (routes == NULL) {
        reading->findings.failed = true;
        return;
    }
    config->routes = routes;
    memset(&routes[config->route_count], 0, config->source_count * sizeof *routes);
    for (size_t i = 0; i < config->source_count; i++) {
        if (!fill(reading, &routes[config->route_count], i))
            reading->findings.failed = true;
        config->route_count++;
        config->canary_count++;
    }
}
