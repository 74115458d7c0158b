/* rendering -- see rendering.h. The steps are those of the relay (daemon/relay.c), in its order. */
#include "tool/rendering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/route_rules.h"
#include "journal/format.h"
#include "message/json_string.h"
#include "message/route.h"
#include "message/topic_name.h"

#define CACHE_BYTES (1u << 20)

/* ---- the source's routes ---- */

static bool make_routes(struct rkb_rendering *rendering, const struct rkb_config *config, const char *only,
                        struct rkb_error *error)
{
    struct rkb_slice plain = rkb_slice_text(config->instance);
    struct rkb_buffer escaped = {0};
    uint8_t *room = rkb_buffer_reserve(&escaped, rkb_json_escaped_size(plain) + 1);
    rendering->routes = calloc(config->route_count, sizeof *rendering->routes);
    bool made = room != NULL && rendering->routes != NULL;
    if (!made)
        rkb_fail(error, RKB_NO_MEMORY, "no memory for %zu routes", config->route_count);
    struct rkb_name_forms instance = {plain, rkb_slice(room, made ? (size_t)(rkb_json_escape(room, plain) - room) : 0)};
    for (size_t i = 0; made && i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        struct rkb_route_rules rules;
        struct rkb_envelope_mistake mistake;
        if (strcmp(route->source, rendering->source->name) != 0 || (only != NULL && strcmp(route->name, only) != 0))
            continue;
        rkb_route_rules(route, instance, &rules);
        struct rkb_rendering_route *to = &rendering->routes[rendering->route_count++];
        *to = (struct rkb_rendering_route){route, rkb_rules_compile(&rules.spec, &mistake, error)};
        made = to->rules != NULL;
    }
    rkb_buffer_free(&escaped);
    return made;
}

static bool subscribe(struct rkb_rendering *rendering, struct rkb_rendering_route *route,
                      const struct rkb_texts *names, bool is_pattern, struct rkb_error *error)
{
    for (size_t i = 0; i < names->count; i++) {
        struct rkb_slice name = rkb_slice_text(names->texts[i]);
        if (!rkb_router_add(rendering->router, is_pattern, name, route, error))
            return false;
        struct rkb_subscription *subscription = rkb_router_find(rendering->router, is_pattern, name);
        subscription->captures = rkb_envelope_captures(rkb_rules_envelope(route->rules));
        rkb_router_confirm(rendering->router, subscription, true);
    }
    return true;
}

static bool make_router(struct rkb_rendering *rendering, struct rkb_error *error)
{
    rendering->router = rkb_router_new(CACHE_BYTES);
    if (rendering->router == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the routes of a source");
    for (size_t i = 0; i < rendering->route_count; i++) {
        struct rkb_rendering_route *route = &rendering->routes[i];
        if (!subscribe(rendering, route, &route->config->channels, false, error)
            || !subscribe(rendering, route, &route->config->patterns, true, error))
            return false;
    }
    return true;
}

/* ---- where and when ---- */

static int fixed_bits(void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)(17 * (i % 16));
    return 0;
}

static int64_t no_time(void)
{
    return 0;
}

struct place {
    char position[RKB_POSITION_TEXT], digits[24];
};

/* The message is the first behind a mark of its own millisecond. */
static bool fill_place(struct rkb_facts *facts, struct place *place, const struct rkb_rendering *rendering,
                       const struct rkb_subscription *subscription, const struct rkb_render_message *message,
                       struct rkb_error *error)
{
    const struct rkb_sys sys = {.random = fixed_bits, .realtime_us = no_time};
    struct rkb_mark_clock clock = {.sys = &sys, .last_ms = (uint64_t)message->time_us / 1000 - 1};
    struct rkb_stream stream;
    uint8_t uuid[16];
    rkb_stream_begin(&stream);
    if (!rkb_stream_mark(&stream, &clock, rkb_slice_text(rendering->source->name),
                         rkb_router_fingerprint(rendering->router), error))
        return false;
    rkb_stream_count(&stream, subscription->is_pattern, subscription->name.plain, 0, message->channel, message->payload,
                     uuid);
    rkb_uuid_text(facts->uuid, uuid);
    if (message->uuid != NULL)
        memcpy(facts->uuid, message->uuid, sizeof facts->uuid);
    facts->position = rkb_slice(place->position, rkb_position_text(place->position, &stream));
    rkb_format_time(facts->time, message->time_us);
    int count = snprintf(place->digits, sizeof place->digits, "%lld", (long long)(message->time_us / 1000));
    facts->time_ms = rkb_slice(place->digits, (size_t)count);
    return true;
}

/* ---- what becomes of it ---- */

static bool drop_too_large(struct rkb_rendering *rendering, const char *what, uint64_t size, const char *limit_name,
                           uint64_t limit)
{
    char had[32], most[32];
    rkb_format_size(had, sizeof had, size);
    rkb_format_size(most, sizeof most, limit);
    rendering->verdict = (struct rkb_verdict){.kind = RKB_DROPPED, .code = "too_large"};
    snprintf(rendering->verdict.reason, sizeof rendering->verdict.reason, "%s of %s is over %s (%s)", what, had,
             limit_name, most);
    return true;
}

/* Why what the template gives is no topic for this message; NULL: it is one, in `name`. */
static const char *name_topic(const struct rkb_config *config, const struct rkb_template *template,
                              const struct rkb_facts *facts, char name[RKB_TOPIC_NAME + 1])
{
    const char *why = rkb_topic_name(template, facts, name);
    for (size_t i = 0; why == NULL && i < config->route_count; i++)
        if (config->routes[i].dead_letter != NULL && strcmp(config->routes[i].dead_letter, name) == 0)
            why = RKB_TOPIC_FOR_LETTERS;
    return why;
}

/* False when memory ran out; without a topic the message does not pass. */
static bool make_topic(struct rkb_rendering *rendering, const struct rkb_config *config,
                       const struct rkb_rendering_route *route, const struct rkb_facts *facts)
{
    const struct rkb_template *template = rkb_envelope_topic(rkb_rules_envelope(route->rules));
    char name[RKB_TOPIC_NAME + 1];
    const char *why = template != NULL ? name_topic(config, template, facts, name) : NULL;
    if (why != NULL) {
        rendering->verdict = (struct rkb_verdict){.kind = RKB_REJECTED, .code = "topic"};
        snprintf(rendering->verdict.reason, sizeof rendering->verdict.reason, "%.199s", why);
        return true;
    }
    rkb_buffer_text(&rendering->topic, template != NULL ? name : route->config->topic);
    return !rendering->topic.failed;
}

static bool make_record(struct rkb_rendering *rendering, const struct rkb_config *config,
                        const struct rkb_rendering_route *route, const struct rkb_facts *facts, struct rkb_error *error)
{
    uint64_t limit = rkb_config_record_limit(config);
    const struct rkb_envelope *envelope = rkb_rules_envelope(route->rules);
    struct rkb_envelope_sizes sizes;
    rkb_envelope_measure(envelope, facts, &sizes);
    size_t size = rkb_record_size(sizes.key, sizes.headers, sizes.value);
    if (size > limit)
        return drop_too_large(rendering, "a record", size, "what journal.ring_size and journal.segment_size take",
                              limit);
    uint8_t *room = rkb_buffer_reserve(&rendering->record, sizes.key + sizes.headers + sizes.value + 1);
    if (room == NULL || !make_topic(rendering, config, route, facts))
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a record of %zu bytes", size);
    if (rendering->verdict.kind != RKB_PASS)
        return true;
    rendering->record.size = (size_t)(rkb_envelope_render(envelope, facts, &sizes, room) - room);
    rendering->has_key = sizes.has_key;
    rendering->key = rkb_slice(room, sizes.key);
    rendering->headers = rkb_slice(room + sizes.key, sizes.headers);
    rendering->value = rkb_slice(room + sizes.key + sizes.headers, sizes.value);
    return true;
}

static bool receive(struct rkb_rendering *rendering, const struct rkb_config *config,
                    const struct rkb_channel *channel, const struct rkb_render_message *message,
                    struct rkb_error *error)
{
    const struct rkb_subscription *subscription = channel->winner;
    const struct rkb_rendering_route *route = subscription->route;
    struct rkb_facts facts = {.channel = channel->name, .captures = channel->captures, .payload = message->payload};
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct place place;
    rendering->route = route->config;
    if (subscription->is_pattern)
        facts.pattern = subscription->name;
    rendering->pattern = facts.pattern.plain;
    if (message->payload_size > rendering->source->max_message_size)
        return drop_too_large(rendering, "a payload", message->payload_size, "max_message_size",
                              rendering->source->max_message_size);
    if (!fill_place(&facts, &place, rendering, subscription, message, error))
        return false;
    rkb_rules_apply(route->rules, &facts, found, &rendering->verdict);
    return rendering->verdict.kind != RKB_PASS
           || make_record(rendering, config, route, &facts, error);
}

bool rkb_rendering_make(struct rkb_rendering *rendering, const struct rkb_config *config, size_t source,
                        const char *only_route, const struct rkb_render_message *message, struct rkb_error *error)
{
    *rendering = (struct rkb_rendering){.source = &config->sources[source]};
    if (!make_routes(rendering, config, only_route, error) || !make_router(rendering, error))
        return false;
    const struct rkb_channel *channel = rkb_router_channel(rendering->router, message->channel);
    if (channel == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a channel's name of %zu bytes", message->channel.size);
    return channel->winner == NULL || receive(rendering, config, channel, message, error);
}

void rkb_rendering_free(struct rkb_rendering *rendering)
{
    for (size_t i = 0; i < rendering->route_count; i++)
        rkb_rules_free(rendering->routes[i].rules);
    free(rendering->routes);
    if (rendering->router != NULL)
        rkb_router_free(rendering->router);
    rkb_buffer_free(&rendering->topic);
    rkb_buffer_free(&rendering->record);
}
