/*
 * check_topics -- see check.h: names that Kafka takes, templates of them, dead letters apart from records, routes that
 * agree on what their topic is to be like.
 *
 * A template that comes to the same for every message, as "{{route}}.events", is written out here: from then on
 * it is a name like any other.
 */
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/properties.h"
#include "config/route_rules.h"
#include "message/topic_name.h"

static struct rkb_template *compile(const struct rkb_config *config, const struct rkb_config_route *route)
{
    struct rkb_slice instance = rkb_slice_text(config->instance == NULL ? "" : config->instance);
    struct rkb_route_rules rules;
    struct rkb_error error;
    size_t at;
    rkb_route_rules(route, (struct rkb_name_forms){instance, instance}, &rules);
    struct rkb_template_scope *scope = &rules.spec.envelope.scope;
    scope->pointers = rkb_pointers_new();
    struct rkb_template *template =
        scope->pointers == NULL ? NULL
                                : rkb_template_compile(RKB_TEMPLATE_PLAIN, rkb_slice_text(route->topic), scope, &at,
                                                       &error);
    rkb_pointers_free(scope->pointers);
    return template;
}

static void write_out(struct rkb_reading *reading, struct rkb_config_route *route, const struct rkb_template *template)
{
    struct rkb_facts nothing = {.encoding = RKB_ENCODING_TEXT};
    size_t size = rkb_template_size(template, &nothing);
    char *name = malloc(size + 1);
    if (name == NULL) {
        reading->findings.failed = true;
        return;
    }
    *rkb_template_render(template, &nothing, (uint8_t *)name) = '\0';
    free(route->topic);
    route->topic = name;
}

/* What does not compile was told with the other templates. */
static void resolve(struct rkb_reading *reading, const struct rkb_section *section, struct rkb_config_route *route)
{
    static const char max_topics[] = "routes.*.max_topics";
    if (route->topic == NULL)
        return;
    if (strstr(route->topic, "{{") != NULL) {
        struct rkb_template *template = compile(reading->config, route);
        route->topic_varies = template == NULL || !rkb_template_constant(template);
        if (!route->topic_varies)
            write_out(reading, route, template);
        rkb_template_free(template);
    }
    if (!route->topic_varies && rkb_reading_node(section, max_topics) != NULL)
        rkb_reading_mistake(reading, section, max_topics, "has no effect here; it is for a topic whose name varies, as "
                            "\"inventory.{{1}}\"");
}

static void check_name(struct rkb_reading *reading, const struct rkb_section *section,
                       const struct rkb_config_route *route)
{
    if (route->topic != NULL && !route->topic_varies && !rkb_topic_name_taken(route->topic))
        rkb_reading_mistake(reading, section, "routes.*.topic",
                            "no name for a Kafka topic, which is 1 to 249 of A-Z a-z 0-9 . _ -");
}

/* Whoever reads a route's topic reads records of its envelope: a dead letter there would be no such thing. */
static void check_dead_letter(struct rkb_reading *reading, const struct rkb_section *section,
                              const struct rkb_config_route *route)
{
    const struct rkb_config *config = reading->config;
    if (route->dead_letter == NULL)
        return;
    if (!rkb_topic_name_taken(route->dead_letter))
        rkb_reading_mistake(reading, section, "routes.*.dead_letter",
                            "no name for a Kafka topic, which is 1 to 249 of A-Z a-z 0-9 . _ -; no template either");
    for (size_t i = 0; i < config->route_count; i++) {
        if (config->routes[i].topic == NULL || strcmp(config->routes[i].topic, route->dead_letter) != 0)
            continue;
        rkb_reading_mistake(reading, section, "routes.*.dead_letter",
                            "the route %s writes its records to this topic; name another for dead letters, which "
                            "routes may share", config->routes[i].name);
        return;
    }
}

static bool same_setting(const char *path, const struct rkb_config_route *a, const struct rkb_config_route *b)
{
    if (strcmp(path, "routes.*.partitions") == 0)
        return a->partitions == b->partitions;
    if (strcmp(path, "routes.*.replication") == 0)
        return a->replication == b->replication;
    return rkb_properties_equal(&a->topic_config, &b->topic_config);
}

/*
 * A topic is made once: what several routes say of it must be one and the same; a route may say nothing. Where names
 * vary it is not known here which are the same.
 */
static void check_agreed(struct rkb_reading *reading, size_t route, const char *path)
{
    const struct rkb_config_route *routes = reading->config->routes;
    if (rkb_reading_node(&reading->routes[route], path) == NULL || routes[route].topic == NULL
        || routes[route].topic_varies)
        return;
    for (size_t i = 0; i < route; i++) {
        const yaml_node_t *node = rkb_reading_node(&reading->routes[i], path);
        if (node == NULL || routes[i].topic == NULL || strcmp(routes[i].topic, routes[route].topic) != 0)
            continue;
        if (!same_setting(path, &routes[i], &routes[route]))
            rkb_reading_mistake(reading, &reading->routes[route], path,
                                "the route %s has another for the same topic, line %zu; leave one of them out",
                                routes[i].name, rkb_yaml_place(node).line);
        return;
    }
}

static void check_gap_topic(struct rkb_reading *reading, const struct rkb_section *section,
                            const struct rkb_config_source *source)
{
    if (source->gap_topic != NULL && !rkb_topic_name_taken(source->gap_topic))
        rkb_reading_mistake(reading, section, "redis.*.gap_topic",
                            "no name for a Kafka topic, which is 1 to 249 of A-Z a-z 0-9 . _ -; no template either");
}

void rkb_check_topics(struct rkb_reading *reading)
{
    struct rkb_config *config = reading->config;
    for (size_t i = 0; i < config->source_count; i++)
        check_gap_topic(reading, &reading->sources[i], &config->sources[i]);
    for (size_t i = 0; i < config->route_count; i++)
        resolve(reading, &reading->routes[i], &config->routes[i]);
    for (size_t i = 0; i < config->route_count; i++) {
        check_name(reading, &reading->routes[i], &config->routes[i]);
        check_dead_letter(reading, &reading->routes[i], &config->routes[i]);
        check_agreed(reading, i, "routes.*.partitions");
        check_agreed(reading, i, "routes.*.replication");
        check_agreed(reading, i, "routes.*.topic_config");
    }
}
