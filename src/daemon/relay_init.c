/*
 * relay_init -- makes the relay's sources, routes and restart gaps from the config, and takes them apart again.
 *
 * New names of routes, topics and sources get their numbers here; their dictionary records stand in the ring before
 * the first record that uses them, also those of topics that come later (route_topics.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/relay.h"
#include "daemon/route_topics.h"
#include "daemon/watch.h"
#include "redis/published.h"

static void on_mark(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    rkb_relay_mark(context);
}

uint32_t rkb_relay_name(struct rkb_relay *relay, enum rkb_name class, struct rkb_slice name, size_t keep,
                        struct rkb_error *error)
{
    bool added;
    uint32_t number = rkb_dictionary_number(relay->dictionary, class, name);
    if (number != 0)
        return number;
    size_t size = rkb_dictionary_new_size(name);
    uint8_t *at = rkb_ring_reserve(relay->ring, size, keep);    /* first: no name without its record */
    if (at == NULL) {
        rkb_fail(error, RKB_FULL, "the ring has no room for the name %.*s; let the journal drain, or raise "
                 "journal.ring_size", (int)name.size, (const char *)name.data);
        return 0;
    }
    number = rkb_dictionary_add(relay->dictionary, class, name, &added);
    if (number == 0) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the dictionary");
        return 0;
    }
    rkb_dictionary_record(relay->dictionary, class, number, at, rkb_ring_salt(relay->ring));
    rkb_ring_commit(relay->ring, size);
    return number;
}

static uint32_t number_of(struct rkb_relay *relay, enum rkb_name class, const char *name, struct rkb_error *error)
{
    return rkb_relay_name(relay, class, rkb_slice_text(name), 0, error);
}

static bool number_route(struct rkb_relay *relay, struct rkb_relay_route *route, struct rkb_error *error)
{
    const struct rkb_config_route *config = route->config;
    bool varies = rkb_routing_varies(route);
    route->number = number_of(relay, RKB_NAME_ROUTE, config->name, error);
    if (route->number != 0 && !varies)
        route->topic = number_of(relay, RKB_NAME_TOPIC, config->topic, error);
    if (route->number == 0 || (route->topic == 0 && !varies))
        return false;
    if (config->dead_letter != NULL)
        route->dead_topic = number_of(relay, RKB_NAME_TOPIC, config->dead_letter, error);
    return config->dead_letter == NULL || route->dead_topic != 0;
}

/* Of the topics that are told of gaps. */
static bool number_gap_topics(struct rkb_relay *relay, struct rkb_routing *routing, struct rkb_error *error)
{
    const struct rkb_config *config = routing->config;
    for (size_t i = 0; i < config->source_count; i++) {
        if (config->sources[i].gap_topic == NULL)
            continue;
        routing->sources[i].gap_topic = number_of(relay, RKB_NAME_TOPIC, config->sources[i].gap_topic, error);
        if (routing->sources[i].gap_topic == 0 || number_of(relay, RKB_NAME_ROUTE, RKB_GAP_ROUTE, error) == 0)
            return false;
    }
    relay->gap_route = rkb_dictionary_number(relay->dictionary, RKB_NAME_ROUTE, rkb_slice_text(RKB_GAP_ROUTE));
    return true;
}

bool rkb_relay_number(struct rkb_relay *relay, struct rkb_routing *routing, struct rkb_error *error)
{
    for (size_t i = 0; i < routing->config->route_count; i++)
        if (!number_route(relay, &routing->routes[i], error))
            return false;
    return number_gap_topics(relay, routing, error);
}

/* When all names of the config have their numbers: each new one that comes later is one of a route's max_topics. */
static bool init_topics(struct rkb_relay *relay, struct rkb_error *error)
{
    const struct rkb_config *config = relay->options.config;
    relay->topic_limit = rkb_dictionary_count(relay->dictionary, RKB_NAME_TOPIC);
    for (size_t i = 0; i < config->route_count; i++)
        relay->topic_limit += rkb_routing_varies(&relay->routes[i]) ? (uint32_t)config->routes[i].max_topics : 0;
    for (size_t i = 0; i < config->route_count; i++) {
        struct rkb_relay_route *route = &relay->routes[i];
        if (!rkb_routing_varies(route))
            continue;
        route->topics = rkb_route_topics_new(rkb_envelope_topic(rkb_rules_envelope(route->rules)),
                                             (uint32_t)route->config->max_topics, relay->topic_limit);
        if (route->topics == NULL)
            return rkb_fail(error, RKB_NO_MEMORY, "no memory for the topics of route %s", route->config->name);
    }
    return true;
}

/* One tally for each number there is, also for routes that only the journal still knows. */
static bool init_tallies(struct rkb_relay *relay, struct rkb_error *error)
{
    const struct rkb_store *store = relay->options.store;
    relay->tally_count = rkb_dictionary_count(relay->dictionary, RKB_NAME_ROUTE);
    relay->tallies = calloc(relay->tally_count + 1, sizeof *relay->tallies);
    if (relay->tallies == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the books of %u routes", relay->tally_count);
    for (uint32_t route = 0; store->waiting != NULL && route <= store->waiting_count && route <= relay->tally_count;
         route++)
        relay->tallies[route].recovered = store->waiting[route];
    return true;
}

static bool password_of(void *context, char *out, size_t size, struct rkb_error *error)
{
    const struct rkb_relay_source *source = context;
    return rkb_config_password(source->config, out, size, error);
}

static struct rkb_subscriber *subscriber_of(struct rkb_relay_source *source)
{
    const struct rkb_relay *relay = source->relay;
    const struct rkb_config_source *config = source->config;
    char client_name[160];
    snprintf(client_name, sizeof client_name, "rkbridge:%s", relay->options.config->instance);
    struct rkb_subscriber_options options = {
        .url = config->url,
        .tls = rkb_config_tls(config),
        .user = config->user,
        .password = config->password != NULL || config->password_file != NULL ? password_of : NULL,
        .client_name = client_name,
        .learn_id = config->watch != RKB_SYNC_NONE,
        .connect_timeout_us = config->connect_timeout,
        .heartbeat_us = config->heartbeat,
        .heartbeat_timeout_us = config->heartbeat_timeout,
        .backoff_min_us = config->reconnect_min,
        .backoff_max_us = config->reconnect_max,
        .healthy_us = config->healthy_after,
        .refused_again_us = config->retry_refused,
        .max_message_size = config->max_message_size,
        .sys = relay->options.sys,
    };
    return rkb_subscriber_new(relay->options.base, &options, &rkb_relay_events, source);
}

static bool init_source(struct rkb_relay *relay, size_t index, struct rkb_error *error)
{
    const struct rkb_config *config = relay->options.config;
    struct rkb_relay_source *source = &relay->sources[index];
    source->relay = relay;
    source->config = &config->sources[index];
    snprintf(source->object, sizeof source->object, "source[%s]", source->config->name);
    source->number = number_of(relay, RKB_NAME_SOURCE, source->config->name, error);
    source->router = relay->routing->sources[index].router;
    relay->routing->sources[index].router = NULL;
    source->events = relay->routing->sources[index].events;
    source->gap_topic = relay->routing->sources[index].gap_topic;
    source->mark_timer = evtimer_new(relay->options.base, on_mark, source);
    source->subscriber = subscriber_of(source);
    if (source->number == 0)
        return false;
    if (source->mark_timer == NULL || source->subscriber == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for %s", source->object);
    if (source->config->watch != RKB_SYNC_NONE && (source->watch = rkb_watch_new(source, error)) == NULL)
        return false;
    bool wanted = rkb_subscriber_change(source->subscriber, &relay->routing->sources[index].wanted);
    return wanted || rkb_fail(error, RKB_USAGE, "%s cannot subscribe", source->object);
}

/*
 * What the instance before us knew last of this source: where it stood, and what a bound can be counted from. What it
 * received behind its last mark is known as far as records of it were found.
 */
static void recall_last(const struct rkb_relay_source *source, struct rkb_gap *gap)
{
    const struct rkb_store *store = source->relay->options.store;
    const struct rkb_store_mark *last = rkb_store_last_mark(store, source->number);
    struct rkb_published anchor;
    char mark[32];
    if (last == NULL)
        return;
    uint32_t count = last->mark.epoch == store->recovery.last_epoch ? store->recovery.last_count : 0;
    rkb_hex(mark, last->mark.random, sizeof last->mark.random);
    snprintf(gap->before, sizeof gap->before, "%.32s:%u", mark, count);
    gap->has_anchor = last->has_anchor;
    rkb_published_parse(last->anchor, &anchor);
    anchor.received += count;
    rkb_published_write(&anchor, gap->anchor);
}

/*
 * When the instance before us had last read all there was: the ring's note if it outlived that one, else the last
 * time in the journal.
 */
static int64_t last_alive_us(const struct rkb_relay *relay)
{
    int64_t noted = rkb_ring_noted_read(relay->ring);
    return noted > 0 ? noted : relay->options.store->recovery.last_time_us;
}

/*
 * The instance before us ended while its disk failed: what it read until then may be lost. The disk has taken our new
 * segment, so that is over.
 */
static void close_not_durable(struct rkb_relay_source *source, int64_t to_us)
{
    struct rkb_gaps *gaps = source->relay->gaps;
    int64_t noted_us = source->relay->options.store->not_durable_us;
    struct rkb_gap *gap = rkb_gaps_find_open(gaps, source->config->name, "not_durable");
    if (gap == NULL && noted_us > 0) {
        gap = rkb_gaps_open(gaps, source->config->name, "not_durable", noted_us);
        source->gaps_total++;
    }
    if (gap != NULL)
        rkb_gaps_close(gaps, gap, to_us);
}

/*
 * From when the instance before us had last read all there was, to our subscription. A gap that was open then goes
 * on.
 */
static void open_restart_gap(struct rkb_relay_source *source)
{
    struct rkb_gaps *gaps = source->relay->gaps;
    const char *name = source->config->name;
    int64_t from_us = last_alive_us(source->relay);
    static const char *const ended[] = {"journal_full", "too_large", "no_memory", "refused", "replica_link_down"};
    for (size_t i = 0; i < sizeof ended / sizeof ended[0]; i++) {
        struct rkb_gap *gap = rkb_gaps_find_open(gaps, name, ended[i]);
        if (gap != NULL)
            rkb_relay_close_gap(source, gap, from_us);
    }
    close_not_durable(source, from_us);
    source->away = rkb_gaps_find_open(gaps, name, NULL);
    if (source->away == NULL && from_us > 0) {
        struct rkb_gap gap = {.from_us = from_us, .reason = "restart", .bound = RKB_BOUND_UNKNOWN,
                              .clock_us = source->relay->noted_clock_us, .boot = source->relay->boot};
        snprintf(gap.source, sizeof gap.source, "%s", name);
        recall_last(source, &gap);
        source->away = rkb_gaps_open_like(gaps, &gap);
        source->gaps_total++;
    }
}

/* What damage cost was received once: each source that is left may have lost it. */
static void write_damage_gap(struct rkb_relay_source *source)
{
    const struct rkb_recovery *recovery = &source->relay->options.store->recovery;
    struct rkb_gaps *gaps = source->relay->gaps;
    if (recovery->lost_last == 0)
        return;
    struct rkb_gap *gap = rkb_gaps_open(gaps, source->config->name, "damage", recovery->lost_from_us);
    source->gaps_total++;
    if (gap != NULL) {
        gap->bound = recovery->lost_last - recovery->lost_first + 1;
        rkb_gaps_close(gaps, gap, recovery->lost_to_us);
    }
}

bool rkb_relay_init(struct rkb_relay *relay, const struct rkb_relay_options *options, struct rkb_error *error)
{
    const struct rkb_config *config = options->config;
    struct rkb_store *store = options->store;
    relay->options = *options;
    rkb_turn_init(&relay->turn, options->sys);
    relay->sizes.kind = &rkb_histogram_size;
    relay->ring = store->ring;
    relay->gaps = store->gaps;
    relay->dictionary = store->dictionary;
    relay->next_sequence = store->next_sequence;
    relay->clock = (struct rkb_mark_clock){
        .sys = options->sys, .last_epoch = store->recovery.last_epoch, .last_ms = store->recovery.last_mark_ms};
    size_t ring_limit = rkb_ring_size(relay->ring) / 8 * 3, segment_limit = rkb_journal_record_limit(store->journal);
    relay->record_limit = ring_limit < segment_limit ? ring_limit : segment_limit;
    relay->sources = calloc(config->source_count, sizeof *relay->sources);
    if (relay->sources == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for %zu sources", config->source_count);
    relay->names_limit = segment_limit / 2;
    relay->strict = config->start == RKB_START_STRICT;
    relay->routing = rkb_routing_new(config, error);
    if (relay->routing == NULL)
        return false;
    relay->routes = relay->routing->routes;
    if (!rkb_relay_number(relay, relay->routing, error) || !init_topics(relay, error) || !init_tallies(relay, error))
        return false;
    relay->boot = rkb_sys_boot();
    relay->noted_clock_us = rkb_ring_noted_clock(relay->ring, relay->boot);
    rkb_gaps_use_clock(relay->gaps, options->sys, relay->boot, relay->noted_clock_us);
    for (size_t i = 0; i < config->source_count; i++) {
        if (!init_source(relay, i, error))
            return false;
        write_damage_gap(&relay->sources[i]);
        if (!store->recovery.fresh)
            open_restart_gap(&relay->sources[i]);
    }
    rkb_ring_note_not_durable(relay->ring, 0);      /* the gaps say it now */
    rkb_ring_note_clock(relay->ring, rkb_gaps_clock(relay->gaps), relay->boot);
    rkb_relay_say_clock(relay);
    return true;
}

static void warn_unverified(struct rkb_relay *relay, const struct rkb_relay_source *source)
{
    if (source->config->url.is_tls && source->config->tls.verify == 0)
        rkb_log(relay->options.log, RKB_LOG_WARN, source->object, "tls_unverified",
                "tls_verify is no: whoever answers is believed to be this Redis, and gets its password; set it to yes, "
                "and tls_ca_file where this system does not know its CA");
}

void rkb_relay_start(struct rkb_relay *relay, struct rkb_shipper *shipper)
{
    relay->shipper = shipper;
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        warn_unverified(relay, &relay->sources[i]);
        if (relay->sources[i].watch != NULL)
            rkb_watch_start(relay->sources[i].watch);
        else
            rkb_subscriber_start(relay->sources[i].subscriber);
    }
    rkb_shipper_wake(shipper);
}

void rkb_relay_stop(struct rkb_relay *relay, int64_t timeout_us, void (*stopped)(void *context), void *context)
{
    relay->stopped = stopped;
    relay->stopped_context = context;
    relay->stopping = true;
    relay->stop_us = relay->options.sys->realtime_us();
    relay->paused = false;      /* but reading may come to rest again: what Redis still sends needs room too */
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        rkb_watch_give_up(relay->sources[i].watch);
        rkb_watch_stop(relay->sources[i].watch);
        rkb_subscriber_pause(relay->sources[i].subscriber, false);
        rkb_subscriber_stop(relay->sources[i].subscriber, timeout_us);
    }
}

void rkb_relay_free(struct rkb_relay *relay)
{
    for (size_t i = 0; relay->sources != NULL && i < relay->options.config->source_count; i++) {
        struct rkb_relay_source *source = &relay->sources[i];
        rkb_watch_free(source->watch);
        if (source->subscriber != NULL)
            rkb_subscriber_free(source->subscriber);
        if (source->mark_timer != NULL)
            event_free(source->mark_timer);
        if (source->router != NULL)
            rkb_router_free(source->router);
        if (source->next != NULL)
            rkb_router_free(source->next);
    }
    free(relay->sources);
    free(relay->tallies);
    rkb_routing_free(relay->before);
    rkb_routing_free(relay->routing);
}
