/* view -- see view.h; what the shipper's figures come to is view_shipped.c's. */
#include "daemon/view_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ready.h"
#include "daemon/route_topics.h"
#include "daemon/watch.h"
#include "redis/replication.h"

static bool is_in(const struct rkb_routing *routing, uint32_t number)
{
    for (size_t i = 0; routing != NULL && i < routing->config->route_count; i++)
        if (routing->routes[i].number == number)
            return true;
    return false;
}

/* Of a route that the config does not have, or not any more. */
static bool has_books(const struct rkb_relay *relay, uint32_t number)
{
    return number != relay->gap_route && rkb_dictionary_name(relay->dictionary, RKB_NAME_ROUTE, number) != NULL
        && (relay->tallies[number].recovered > 0 || relay->tallies[number].received > 0
            || is_in(relay->before, number));
}

static uint32_t number_of(const struct rkb_view *view, const struct rkb_route_snapshot *route)
{
    return rkb_dictionary_number(view->options.relay->dictionary, RKB_NAME_ROUTE, rkb_slice_text(route->name));
}

/* It had one, and leaving it would make a sum less. */
static bool keeps_place(const struct rkb_view *view, uint32_t number)
{
    const struct rkb_tally *tally = &view->options.relay->tallies[number];
    bool had_any = tally->received > 0 || tally->recovered > 0;
    return view->places[number] == OWN_PLACE || (view->places[number] == OTHERS_PLACE && had_any);
}

/* Who has no place yet gets one: of their own as long as there are some. Who is gone gives his back. */
static void give_places(struct rkb_view *view)
{
    size_t room = (size_t)view->options.config->metrics.routes;
    enum metrics_place *before = view->places, *after = view->places_after;
    memset(after, 0, view->place_room * sizeof *after);
    for (size_t i = 0; i < view->snapshot.route_count; i++) {
        uint32_t number = number_of(view, &view->routes[i]);
        after[number] = keeps_place(view, number) ? before[number] : NO_PLACE;
        room -= after[number] == OWN_PLACE && room > 0;
    }
    for (size_t i = 0; i < view->snapshot.route_count; i++) {
        uint32_t number = number_of(view, &view->routes[i]);
        if (after[number] == NO_PLACE) {
            after[number] = room > 0 ? OWN_PLACE : OTHERS_PLACE;
            room -= room > 0;
        }
        view->routes[i].among_others = after[number] == OTHERS_PLACE;
    }
    view->places = after;
    view->places_after = before;
}

/* Config routes first, in their order; then those that only the journal, or a config before a reload, knows. */
static void name_routes(struct rkb_view *view)
{
    const struct rkb_config *config = view->options.config;
    const struct rkb_relay *relay = view->options.relay;
    for (size_t i = 0; i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        view->routes[i] = (struct rkb_route_snapshot){
            .name = route->name,
            .source = route->source,
            .topic = route->topic,
            .channels = (const char *const *)route->channels.texts,
            .patterns = (const char *const *)route->patterns.texts,
        };
    }
    size_t count = config->route_count;
    for (uint32_t number = 1; number <= relay->tally_count; number++) {
        if (!is_in(relay->routing, number) && has_books(relay, number))
            view->routes[count++].name = rkb_dictionary_name(relay->dictionary, RKB_NAME_ROUTE, number);
    }
    view->snapshot.route_count = count;
    give_places(view);
}

static bool widen_places(enum metrics_place **places, size_t before, size_t room)
{
    enum metrics_place *list = realloc(*places, room * sizeof *list);
    if (list == NULL)
        return false;
    memset(&list[before], 0, (room - before) * sizeof *list);
    *places = list;
    return true;
}

bool rkb_view_widen(struct rkb_view *view, size_t routes)
{
    size_t room = routes + view->options.relay->tally_count, places = view->options.relay->tally_count + 1u;
    if (places > view->place_room) {
        if (!widen_places(&view->places, view->place_room, places)
            || !widen_places(&view->places_after, view->place_room, places))
            return false;
        view->place_room = places;
    }
    if (room <= view->route_room)
        return true;
    struct rkb_route_snapshot *list = realloc(view->routes, room * sizeof *list);
    if (list == NULL)
        return false;
    memset(&list[view->route_room], 0, (room - view->route_room) * sizeof *list);
    view->routes = list;
    view->route_room = room;
    return true;
}

void rkb_view_reload(struct rkb_view *view)
{
    view->options.config = view->options.relay->options.config;
    memset(view->routes, 0, view->route_room * sizeof *view->routes);
    name_routes(view);
}

struct rkb_view *rkb_view_new(const struct rkb_view_options *options)
{
    struct rkb_view *view = calloc(1, sizeof *view);
    if (view == NULL)
        return NULL;
    const struct rkb_config *config = options->config;
    view->options = *options;
    view->started_us = options->sys->monotonic_us();
    view->start_seconds = (double)options->sys->realtime_us() / 1e6;
    rkb_view_reloaded(view, NULL);
    view->sources = calloc(config->source_count, sizeof *view->sources);
    view->source_texts = calloc(config->source_count, sizeof *view->source_texts);
    if (!rkb_view_widen(view, config->route_count) || view->sources == NULL || view->source_texts == NULL) {
        rkb_view_free(view);
        return NULL;
    }
    name_routes(view);
    return view;
}

void rkb_view_free(struct rkb_view *view)
{
    if (view == NULL)
        return;
    free(view->routes);
    free(view->places);
    free(view->places_after);
    free(view->sources);
    free(view->source_texts);
    free(view->gaps);
    free(view);
}

void rkb_view_reloaded(struct rkb_view *view, const char *refused)
{
    snprintf(view->refused_config, sizeof view->refused_config, "%s", refused != NULL ? refused : "");
    view->snapshot.config.refused = refused != NULL;
    view->snapshot.config.why = refused != NULL ? view->refused_config : NULL;
    if (refused == NULL)
        view->snapshot.config.taken_seconds = (double)view->options.sys->realtime_us() / 1e6;
}

void rkb_view_draining(struct rkb_view *view)
{
    view->draining = true;
}

/*
 * Of the topics that the route has named. Those of what it left at an earlier start are not known here: then, of all.
 */
static int64_t oldest_named_us(const struct rkb_view *view, const struct rkb_relay_route *route,
                               const struct rkb_shipped *shipped)
{
    const struct rkb_relay *relay = view->options.relay;
    uint32_t count = rkb_dictionary_count(relay->dictionary, RKB_NAME_TOPIC);
    int64_t oldest_us = 0;
    if (relay->tallies[route->number].recovered > 0)
        return shipped->oldest_us;
    for (uint32_t topic = 1; topic <= count; topic++) {
        int64_t read_us = rkb_route_topics_has(route->topics, topic) ? rkb_shipped_topic_us(shipped, topic) : 0;
        if (read_us > 0 && (oldest_us == 0 || read_us < oldest_us))
            oldest_us = read_us;
    }
    return oldest_us > 0 ? oldest_us : shipped->line_us;
}

/* Of the route's topic if it has something in flight or passed over, else of what the line has before it. */
static int64_t oldest_us(const struct rkb_view *view, const struct rkb_route_snapshot *route,
                         const struct rkb_shipped *shipped)
{
    size_t place = (size_t)(route - view->routes);      /* those of the config come first, in its order */
    if (place < view->options.config->route_count
        && view->options.relay->tallies[view->options.relay->routes[place].number].moved)
        return shipped->oldest_us;
    if (place < view->options.config->route_count && view->options.relay->routes[place].topics != NULL)
        return oldest_named_us(view, &view->options.relay->routes[place], shipped);
    uint32_t topic = route->topic == NULL ? 0 : rkb_dictionary_number(view->options.relay->dictionary, RKB_NAME_TOPIC,
                                                                      rkb_slice_text(route->topic));
    if (topic == 0)
        return shipped->oldest_us;
    int64_t read_us = rkb_shipped_topic_us(shipped, topic);
    return read_us > 0 ? read_us : shipped->line_us;
}

/* Itself, or the topic that it names. */
static bool is_paused(const struct rkb_view *view, const struct rkb_route_snapshot *route, uint32_t number)
{
    const struct rkb_dictionary *names = view->options.relay->dictionary;
    if (view->pauses.count == 0)
        return false;
    uint32_t topic = 0;
    if (route->topic != NULL)
        topic = rkb_dictionary_number(names, RKB_NAME_TOPIC, rkb_slice_text(route->topic));
    return rkb_pauses_has(&view->pauses, false, number) || (topic != 0 && rkb_pauses_has(&view->pauses, true, topic));
}

static void fill_pauses(struct rkb_view *view)
{
    if (view->options.pauses != NULL)
        rkb_pauses_list(view->options.pauses, &view->pauses);
    for (size_t i = 0; i < view->pauses.count; i++) {
        const struct rkb_pause *pause = &view->pauses.list[i];
        view->paused[i] = (struct rkb_pause_snapshot){pause->is_topic, pause->name, pause->since_us};
    }
    view->snapshot.pauses = view->paused;
    view->snapshot.pause_count = view->pauses.count;
    bool unread = view->options.pauses != NULL && rkb_pauses_unread(view->options.pauses, &view->pauses_unread);
    view->snapshot.pauses_unread = unread ? view->pauses_unread.text : NULL;
    view->snapshot.intake_stopped = view->options.relay->intake_off;
}

static void fill_ending(struct rkb_view *view)
{
    const struct rkb_ending *ending = view->options.ending;
    view->snapshot.draining = view->draining;
    view->snapshot.lingering = ending != NULL && rkb_ending_lingers(ending);
    view->snapshot.ending_seconds = ending != NULL ? (double)rkb_ending_left_us(ending) / 1e6 : 0;
}

static void fill_route(struct rkb_view *view, struct rkb_route_snapshot *route, const struct rkb_shipped *shipped)
{
    const struct rkb_relay *relay = view->options.relay;
    uint32_t number = number_of(view, route);
    const struct rkb_tally *tally = &relay->tallies[number];
    const struct rkb_shipped_route *done = rkb_shipped_of(shipped, number);
    route->books = (struct rkb_books){
        .received = tally->received,
        .filtered = tally->filtered,
        .recovered = tally->recovered,
        .delivered = done->delivered,
        .dead_lettered = done->dead_lettered,
        .pending = tally->appended + tally->recovered - done->settled,
    };
    for (size_t i = 0; i < RKB_DROP_REASON_COUNT; i++) {
        route->books.dropped += tally->dropped[i];
        view->snapshot.dropped_by_reason[i] += tally->dropped[i];
    }
    route->oldest_pending_seconds = 0;
    route->paused = is_paused(view, route, number);
    if (route->books.pending > 0) {
        double waiting = rkb_view_age(view, oldest_us(view, route, shipped));
        double resting = rkb_view_age(view, done->resting_us);
        route->oldest_pending_seconds = waiting > resting ? waiting : resting;
    }
    rkb_books_add(&view->snapshot.totals, &route->books);
}

static void fill_routes(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    memset(&view->snapshot.totals, 0, sizeof view->snapshot.totals);
    memset(view->snapshot.dropped_by_reason, 0, sizeof view->snapshot.dropped_by_reason);
    for (size_t i = 0; i < view->snapshot.route_count; i++)
        fill_route(view, &view->routes[i], shipped);
    view->snapshot.routes = view->routes;
}

static void fill_notices(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    uint32_t number = view->options.relay->gap_route;
    const struct rkb_tally *tally = &view->options.relay->tallies[number];
    if (number != 0)
        view->snapshot.notices_pending = tally->appended + tally->recovered - shipped->routes[number].settled;
}

static void fill_role(struct rkb_source_snapshot *source, const struct rkb_replication *role, struct source_text *text)
{
    bool is_replica = role != NULL && role->role == RKB_ROLE_REPLICA;
    if (role != NULL)
        source->role = is_replica ? "replica" : "master";
    if (!is_replica)
        return;
    snprintf(text->master, sizeof text->master, "%s:%s", role->host, role->port);
    source->master = text->master;
}

static void fill_source(struct rkb_view *view, size_t index, const struct rkb_shipped *shipped)
{
    const struct rkb_relay_source *source = &view->options.relay->sources[index];
    struct source_text *text = &view->source_texts[index];
    struct rkb_subscriber_figures figures;
    struct rkb_watch_figures watch;
    rkb_subscriber_figures(source->subscriber, &figures);
    rkb_watch_figures(source->watch, &watch);
    rkb_redis_url_show(&source->config->url, text->url, sizeof text->url);
    memcpy(text->error, figures.error, sizeof figures.error);
    view->sources[index] = (struct rkb_source_snapshot){
        .name = source->config->name,
        .url = text->url,
        .error = text->error,
        .connected = figures.connected,
        .whole = source->subscribed,
        .unverified = source->config->url.is_tls && source->config->tls.verify == 0,
        .paused = view->options.relay->paused,
        .subscribed = figures.subscribed,
        .wanted = (uint32_t)rkb_router_count(rkb_relay_wanted(source)),
        .refused = figures.refused,
        .connections_total = figures.connections_total,
        .gaps_total = source->gaps_total,
        .overlaps_total = source->overlaps_total,
        .bytes_total = figures.bytes_total,
        .stall = {watch.buffer, watch.hard, watch.soft, watch.soft_seconds, watch.rate, watch.stall_seconds},
        .another_bridge = watch.rival,
        .held = watch.held && !view->options.relay->intake_off,
        .rival = watch.rival_text,
        .unlinked = source->unlinked,
    };
    fill_role(&view->sources[index], watch.role, text);
    rkb_watch_canary_look(source->watch, shipped);
    rkb_watch_canary_figures(source->watch, &view->sources[index].canary);
}

static void fill_sources(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    view->snapshot.source_count = view->options.config->source_count;
    view->snapshot.sources = view->sources;
    for (size_t i = 0; i < view->snapshot.source_count; i++)
        fill_source(view, i, shipped);
}

static void fill_refused(struct rkb_view *view)
{
    size_t count = rkb_refused_list(view->options.relay, view->refused_texts, REFUSED_SHOWN);
    for (size_t i = 0; i < count; i++) {
        const struct rkb_refused_text *text = &view->refused_texts[i];
        view->refused[i] = (struct rkb_refused_snapshot){text->source, text->route, text->name, text->rule};
    }
    view->snapshot.refused = view->refused;
    view->snapshot.refused_count = count;
}

static void fill_gaps(struct rkb_view *view)
{
    size_t count = rkb_gaps_count(view->options.gaps);
    if (count > view->gap_room) {
        struct rkb_gap_snapshot *gaps = realloc(view->gaps, count * sizeof *gaps);
        if (gaps == NULL)
            count = view->gap_room;
        else
            view->gaps = gaps;
        view->gap_room = count;
    }
    for (size_t i = 0; i < count; i++) {
        const struct rkb_gap *gap = rkb_gaps_at(view->options.gaps, i);
        int64_t to_us = (gap->to_us + 999) / 1000 * 1000;       /* as its record says it */
        view->gaps[i] = (struct rkb_gap_snapshot){gap->id, gap->source, gap->reason, gap->from_us, to_us, gap->bound,
                                                  gap->before, gap->after};
    }
    view->snapshot.gap_count = count;
    view->snapshot.gaps = view->gaps;
}

const struct rkb_snapshot *rkb_view_snapshot(void *context)
{
    struct rkb_view *view = context;
    rkb_turn_begin(&view->options.relay->turn);
    const struct rkb_shipped *shipped = rkb_shipper_figures(view->options.shipper);
    struct rkb_snapshot *snapshot = &view->snapshot;
    struct rkb_error error;
    snapshot->version = PACKAGE_VERSION;
    snapshot->instance = view->options.config->instance;
    snapshot->uptime_seconds = (double)(view->options.sys->monotonic_us() - view->started_us) / 1e6;
    snapshot->now_us = view->options.sys->realtime_us();
    fill_ending(view);
    fill_pauses(view);
    fill_routes(view, shipped);
    fill_notices(view, shipped);
    fill_sources(view, shipped);
    fill_refused(view);
    fill_gaps(view);
    rkb_view_fill_shipped(view, shipped);
    snapshot->ready = !rkb_shipper_failed(view->options.shipper, &error) && rkb_ready(snapshot, NULL);
    snapshot->log_lines_lost_total = rkb_log_lost(view->options.log);
    snapshot->verdict = NULL;
    rkb_verdict_look(snapshot, &view->memory, &view->verdict);
    snapshot->verdict = &view->verdict;
    return snapshot;
}

/* A change of the verdict is a line of the log. */
static void say_verdict(struct rkb_view *view)
{
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(view);
    const struct rkb_judgement *verdict = &view->verdict;
    enum rkb_severity before;
    if (!rkb_verdict_changed(&view->memory, verdict, snapshot->uptime_seconds, &before))
        return;
    const char *was = rkb_severity_word(before), *why = rkb_verdict_why(verdict);
    switch (verdict->severity) {
    case RKB_SEVERITY_OK:
        rkb_log(view->options.log, RKB_LOG_INFO, "verdict", "verdict_ok", "OK, it was %s: %s", was, why);
        break;
    case RKB_SEVERITY_WARN:
        rkb_log(view->options.log, RKB_LOG_WARN, "verdict", "verdict_warn", "WARN, it was %s: %s; next: %s", was, why,
                verdict->reasons[0].next);
        break;
    case RKB_SEVERITY_BAD:
        rkb_log(view->options.log, RKB_LOG_ERROR, "verdict", "verdict_bad", "BAD, it was %s: %s; next: %s", was, why,
                verdict->reasons[0].next);
        break;
    }
}

void rkb_view_tick(struct rkb_view *view)
{
    rkb_view_grow(view);
    say_verdict(view);
}
