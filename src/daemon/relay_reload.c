/*
 * relay_reload -- see relay_reload.h. Never: waits, reads a file, gives a name a second number. Loop thread.
 */
#include "daemon/relay_reload.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/route_topics.h"
#include "daemon/watch.h"

/* ---- what can fail ---- */

/* What a routing's names would need, were each of them new that is not known: some may come twice. */
struct need {
    const struct rkb_relay *relay;
    uint32_t names[RKB_NAME_SOURCE + 1];
    size_t bytes;
};

static void need_name(struct need *need, enum rkb_name class, const char *name)
{
    struct rkb_slice slice = rkb_slice_text(name != NULL ? name : "");
    if (name == NULL || rkb_dictionary_number(need->relay->dictionary, class, slice) != 0)
        return;
    need->names[class]++;
    need->bytes += rkb_dictionary_new_size(slice);
}

static void measure(const struct rkb_routing *routing, struct need *need)
{
    const struct rkb_config *config = routing->config;
    for (size_t i = 0; i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        need_name(need, RKB_NAME_ROUTE, route->name);
        need_name(need, RKB_NAME_TOPIC, rkb_routing_varies(&routing->routes[i]) ? NULL : route->topic);
        need_name(need, RKB_NAME_TOPIC, route->dead_letter);
    }
    for (size_t i = 0; i < config->source_count; i++) {
        need_name(need, RKB_NAME_TOPIC, config->sources[i].gap_topic);
        need_name(need, RKB_NAME_ROUTE, config->sources[i].gap_topic != NULL ? RKB_GAP_ROUTE : NULL);
    }
}

static bool has_room(const struct rkb_relay *relay, const struct need *need, struct rkb_error *error)
{
    if (need->bytes > 0 && rkb_dictionary_bytes(relay->dictionary) + need->bytes > relay->names_limit)
        return rkb_fail(error, RKB_USAGE, "the names of routes and topics would take more than a part of a segment: "
                        "make journal.segment_size larger, which needs a restart");
    if (need->bytes > 0 && rkb_ring_room(relay->ring) < 2 * (need->bytes + RKB_RELAY_KEEP))
        return rkb_fail(error, RKB_FULL, "the ring has no room for new names now: the disk is behind; try again");
    return true;
}

/* How many topics the routes of a routing may still name. */
static uint32_t still_to_name(const struct rkb_routing *routing)
{
    uint32_t count = 0;
    for (size_t i = 0; i < routing->config->route_count; i++)
        if (rkb_routing_varies(&routing->routes[i]))
            count += rkb_route_topics_left(routing->routes[i].topics, (uint32_t)routing->config->routes[i].max_topics);
    return count;
}

/* Looks behind the one found last first (*last, 0 at first): two that are alike are gone through in one walk. */
static const struct rkb_relay_route *route_of(const struct rkb_routing *routing, const char *name, size_t *last)
{
    for (size_t i = 0; i < routing->config->route_count; i++) {
        size_t at = (*last + i) % routing->config->route_count;
        if (strcmp(routing->config->routes[at].name, name) != 0)
            continue;
        *last = at + 1;
        return &routing->routes[at];
    }
    return NULL;
}

/* A route whose template stays goes on with the topics it has named. */
static bool make_topics(struct rkb_relay *relay, struct rkb_routing *routing, uint32_t limit, struct rkb_error *error)
{
    bool made = true;
    size_t last = 0;
    for (size_t i = 0; made && i < routing->config->route_count; i++) {
        struct rkb_relay_route *route = &routing->routes[i];
        if (!rkb_routing_varies(route))
            continue;
        const struct rkb_relay_route *old = route_of(relay->routing, route->config->name, &last);
        bool same = old != NULL && old->topics != NULL && strcmp(old->config->topic, route->config->topic) == 0;
        route->topics = rkb_route_topics_new(rkb_envelope_topic(rkb_rules_envelope(route->rules)),
                                             (uint32_t)route->config->max_topics, limit);
        made = route->topics != NULL;
        if (made && same)
            rkb_route_topics_inherit(route->topics, old->topics);
    }
    return made || rkb_fail(error, RKB_NO_MEMORY, "no memory for the topics of routes");
}

/* Those of the routing before may come to see higher numbers too, until each source has turned. */
static bool widen_topics(struct rkb_relay *relay, uint32_t limit, struct rkb_error *error)
{
    for (size_t i = 0; i < relay->routing->config->route_count; i++) {
        struct rkb_relay_route *route = &relay->routing->routes[i];
        if (route->topics != NULL && !rkb_route_topics_widen(&route->topics, limit))
            return rkb_fail(error, RKB_NO_MEMORY, "no memory for the topics of route %s", route->config->name);
    }
    return true;
}

static bool widen_tallies(struct rkb_relay *relay, uint32_t limit, struct rkb_error *error)
{
    if (limit <= relay->tally_count)
        return true;
    struct rkb_tally *tallies = realloc(relay->tallies, ((size_t)limit + 1) * sizeof *tallies);
    if (tallies == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the books of %u routes", limit);
    memset(&tallies[relay->tally_count + 1], 0, (limit - relay->tally_count) * sizeof *tallies);
    relay->tallies = tallies;
    relay->tally_count = limit;
    return true;
}

bool rkb_relay_prepare(struct rkb_relay *relay, struct rkb_routing *routing, struct rkb_relay_limits *limits,
                       struct rkb_error *error)
{
    struct need need = {.relay = relay};
    measure(routing, &need);
    if (!has_room(relay, &need, error))
        return false;
    uint32_t topics = rkb_dictionary_count(relay->dictionary, RKB_NAME_TOPIC) + need.names[RKB_NAME_TOPIC]
        + still_to_name(relay->routing);
    limits->routes = rkb_dictionary_count(relay->dictionary, RKB_NAME_ROUTE) + need.names[RKB_NAME_ROUTE];
    for (size_t i = 0; i < routing->config->route_count; i++)
        topics += rkb_routing_varies(&routing->routes[i]) ? (uint32_t)routing->config->routes[i].max_topics : 0;
    limits->topics = topics > relay->topic_limit ? topics : relay->topic_limit;
    return widen_tallies(relay, limits->routes, error) && widen_topics(relay, limits->topics, error)
        && make_topics(relay, routing, limits->topics, error) && rkb_relay_number(relay, routing, error);
}

/* ---- the change ---- */

/* What is subscribed to already is so in what comes next. */
static void confirm_same(const struct rkb_router *from, struct rkb_router *to)
{
    for (size_t i = 0; i < rkb_router_count(to); i++) {
        struct rkb_subscription *subscription = rkb_router_at(to, i);
        const struct rkb_subscription *same = rkb_router_find(from, subscription->is_pattern, subscription->name.plain);
        rkb_router_confirm(to, subscription, same != NULL && same->confirmed);
    }
}

/* Copies are counted on, so that no number is used twice since a mark. */
static void carry_counts(const struct rkb_router *from, struct rkb_router *to)
{
    for (size_t i = 0; i < rkb_router_count(to); i++) {
        struct rkb_subscription *subscription = rkb_router_at(to, i);
        const struct rkb_subscription *same = rkb_router_find(from, subscription->is_pattern, subscription->name.plain);
        if (same == NULL)
            continue;
        subscription->copies_epoch = same->copies_epoch;
        subscription->copies = same->copies;
    }
}

/* What waits of these may be for a topic that the config does not name any longer. */
static void note_moved(struct rkb_relay *relay)
{
    size_t last = 0;
    for (size_t i = 0; i < relay->routing->config->route_count; i++) {
        const struct rkb_relay_route *route = &relay->routes[i];
        const struct rkb_relay_route *old = route_of(relay->before, route->config->name, &last);
        if (old != NULL && strcmp(old->config->topic, route->config->topic) != 0)
            relay->tallies[route->number].moved = true;
    }
}

static void change_source(struct rkb_relay_source *source, const struct rkb_config_source *config,
                          struct rkb_routing_source *planned)
{
    source->config = config;
    source->gap_topic = planned->gap_topic;
    source->next = planned->router;
    planned->router = NULL;
    source->next_events = planned->events;
    source->events = source->events || planned->events;
    confirm_same(source->router, source->next);
    source->changing = true;
    if (!rkb_subscriber_change(source->subscriber, &planned->wanted))
        rkb_relay_changed(source, 0);       /* it is being freed */
    rkb_watch_canary_reload(source->watch);
}

bool rkb_relay_is_changing(const struct rkb_relay *relay)
{
    for (size_t i = 0; i < relay->options.config->source_count; i++)
        if (relay->sources[i].changing)
            return true;
    return false;
}

void rkb_relay_change(struct rkb_relay *relay, struct rkb_routing *routing, const struct rkb_relay_limits *limits,
                      void (*changed)(void *context), void *context)
{
    relay->before = relay->routing;
    relay->routing = routing;
    relay->routes = routing->routes;
    relay->options.config = routing->config;
    relay->strict = false;                  /* that was about the start */
    relay->changed = NULL;
    relay->topic_limit = limits->topics;
    note_moved(relay);
    for (size_t i = 0; i < routing->config->source_count; i++)
        change_source(&relay->sources[i], &routing->config->sources[i], &routing->sources[i]);
    relay->changed = changed;
    relay->changed_context = context;
    if (!rkb_relay_is_changing(relay))
        relay->changed(relay->changed_context);
}

void rkb_relay_turned(struct rkb_relay_source *source)
{
    struct rkb_router *before = source->router;
    if (source->next == NULL)
        return;
    carry_counts(before, source->next);
    source->router = source->next;
    source->next = NULL;
    source->events = source->next_events;
    rkb_router_free(before);
    if (source->streaming)
        rkb_relay_cut(source);
}

void rkb_relay_changed(struct rkb_relay_source *source, size_t kept)
{
    struct rkb_relay *relay = source->relay;
    if (!source->changing)
        return;
    source->changing = false;
    if (kept > 0)
        rkb_log(relay->options.log, RKB_LOG_WARN, source->object, "unsubscribe_refused",
                "Redis does not let us unsubscribe from %zu channels or patterns that no route wants any longer: what "
                "comes by them is passed over until the next connection; give its user +unsubscribe and +punsubscribe",
                kept);
    if (relay->changed != NULL && !rkb_relay_is_changing(relay))
        relay->changed(relay->changed_context);
}

void rkb_relay_forget(struct rkb_relay *relay)
{
    rkb_routing_free(relay->before);
    relay->before = NULL;
}
