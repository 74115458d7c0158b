/* routing -- see routing.h. */
#include "daemon/routing.h"

#include <stdlib.h>
#include <string.h>

#include "config/route_rules.h"
#include "daemon/route_topics.h"
#include "journal/format.h"
#include "message/json_string.h"
#include "redis/published.h"

#define CACHE_BYTES (8u << 20)          /* of channels per source */

bool rkb_routing_varies(const struct rkb_relay_route *route)
{
    return rkb_envelope_topic(rkb_rules_envelope(route->rules)) != NULL;
}

/* What the record's flags tell of every message of this route. */
static uint8_t flags_of(const struct rkb_relay_route *route)
{
    enum rkb_form form = rkb_envelope_form(rkb_rules_envelope(route->rules));
    bool by_channel = route->config->key != NULL && strcmp(route->config->key, "{{channel}}") == 0;
    return (uint8_t)(form | (by_channel ? RKB_FLAG_CHANNEL : 0));
}

static bool compile_route(struct rkb_relay_route *route, const struct rkb_config_route *config,
                          struct rkb_name_forms instance, struct rkb_error *error)
{
    struct rkb_route_rules rules;
    struct rkb_envelope_mistake mistake;
    rkb_route_rules(config, instance, &rules);
    rules.spec.envelope.kept = true;
    route->config = config;
    route->rules = rkb_rules_compile(&rules.spec, &mistake, error);
    if (route->rules == NULL)
        return false;
    route->flags = flags_of(route);
    route->canary = config->canary;
    return true;
}

static bool compile_routes(struct rkb_routing *routing, struct rkb_error *error)
{
    const struct rkb_config *config = routing->config;
    struct rkb_slice plain = rkb_slice_text(config->instance);
    size_t size = rkb_json_escaped_size(plain);
    uint8_t *escaped = malloc(size + 1);
    bool made = escaped != NULL || rkb_fail(error, RKB_NO_MEMORY, "no memory for %zu routes", config->route_count);
    if (made)
        rkb_json_escape(escaped, plain);
    struct rkb_name_forms instance = {plain, rkb_slice(escaped, size)};
    for (size_t i = 0; made && i < config->route_count; i++)
        made = compile_route(&routing->routes[i], &config->routes[i], instance, error);
    free(escaped);
    return made;
}

static bool add_subscriptions(struct rkb_routing_source *source, struct rkb_relay_route *route,
                              const struct rkb_texts *names, bool is_pattern, struct rkb_error *error)
{
    size_t captures = rkb_envelope_captures(rkb_rules_envelope(route->rules));
    for (size_t i = 0; i < names->count; i++) {
        struct rkb_slice name = rkb_slice_text(names->texts[i]);
        if (!rkb_router_add(source->router, is_pattern, name, route, error)
            || !rkb_subscriptions_add(&source->wanted, is_pattern, name, error))
            return false;
        source->events = source->events || rkb_published_may_match_events(is_pattern, name);
        rkb_router_find(source->router, is_pattern, name)->captures = captures;
    }
    return true;
}

static bool make_sources(struct rkb_routing *routing, struct rkb_error *error)
{
    const struct rkb_config *config = routing->config;
    for (size_t i = 0; i < config->source_count; i++) {
        routing->sources[i].router = rkb_router_new(CACHE_BYTES);
        if (routing->sources[i].router == NULL)
            return rkb_fail(error, RKB_NO_MEMORY, "no memory for source[%s]", config->sources[i].name);
    }
    for (size_t i = 0; i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        struct rkb_routing_source *source = &routing->sources[route->source_index];
        if (!add_subscriptions(source, &routing->routes[i], &route->channels, false, error)
            || !add_subscriptions(source, &routing->routes[i], &route->patterns, true, error))
            return false;
    }
    return true;
}

struct rkb_routing *rkb_routing_new(const struct rkb_config *config, struct rkb_error *error)
{
    struct rkb_routing *routing = calloc(1, sizeof *routing);
    if (routing != NULL) {
        routing->config = config;
        routing->routes = calloc(config->route_count + 1, sizeof *routing->routes);
        routing->sources = calloc(config->source_count + 1, sizeof *routing->sources);
    }
    if (routing == NULL || routing->routes == NULL || routing->sources == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for %zu routes", config->route_count);
    } else if (compile_routes(routing, error) && make_sources(routing, error)) {
        return routing;
    }
    rkb_routing_free(routing);
    return NULL;
}

void rkb_routing_free(struct rkb_routing *routing)
{
    if (routing == NULL)
        return;
    for (size_t i = 0; routing->sources != NULL && i < routing->config->source_count; i++) {
        if (routing->sources[i].router != NULL)
            rkb_router_free(routing->sources[i].router);
        rkb_subscriptions_free(&routing->sources[i].wanted);
    }
    for (size_t i = 0; routing->routes != NULL && i < routing->config->route_count; i++) {
        rkb_route_topics_free(routing->routes[i].topics);
        rkb_rules_free(routing->routes[i].rules);
    }
    free(routing->sources);
    free(routing->routes);
    rkb_config_free(routing->owned);
    free(routing);
}
