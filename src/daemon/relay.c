/* relay -- see relay.h. */
#include "daemon/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "daemon/refused.h"
#include "daemon/watch.h"
#include "redis/published.h"

#define MARK_US 1000000
#define COPIES_LEFT 4096                /* a mark is cut when so few numbers are left */

/* ---- into the ring ---- */

/* Writes one record that is not a message. False when even the kept room is used up. */
static bool append_control(struct rkb_relay *relay, struct rkb_record *record)
{
    size_t size = rkb_record_size(0, 0, record->value.size);
    uint8_t *at = rkb_ring_reserve(relay->ring, size, 0);
    if (at == NULL)
        return false;
    record->sequence = relay->next_sequence++;
    rkb_record_write(at, record, rkb_ring_salt(relay->ring));
    rkb_ring_commit(relay->ring, size);
    return true;
}

static void cut_mark(struct rkb_relay_source *source)
{
    struct rkb_relay *relay = source->relay;
    struct rkb_error error;
    uint64_t fingerprint = rkb_router_fingerprint(source->router);
    if (!rkb_stream_mark(&source->stream, &relay->clock, rkb_slice_text(source->config->name), fingerprint, &error)) {
        rkb_log(relay->options.log, RKB_LOG_ERROR, source->object, "mark_failed", "%s", error.text);
        return;
    }
    uint8_t value[RKB_MARK_SIZE + RKB_GAP_ANCHOR];
    bool anchored = rkb_watch_mark_anchor(source->watch, value + RKB_MARK_SIZE);
    rkb_mark_write(&source->stream.mark, value);
    struct rkb_record record = {
        .kind = RKB_MARK,
        .time_us = (int64_t)source->stream.mark.time_ms * 1000,
        .epoch = source->stream.mark.epoch,
        .route = source->number,
        .value = rkb_slice(value, anchored ? sizeof value : RKB_MARK_SIZE),
    };
    /* Without room the mark is not kept; positions counted from it are then only unknown to the journal. */
    append_control(relay, &record);
}

void rkb_relay_cut(struct rkb_relay_source *source)
{
    rkb_relay_end_runs(source);
    cut_mark(source);
}

/* What the next start, and people, are to know of it. */
static void follow_clock(struct rkb_relay *relay)
{
    rkb_ring_note_clock(relay->ring, rkb_gaps_clock(relay->gaps), relay->boot);
    rkb_relay_say_clock(relay);
}

static void note_read(struct rkb_relay *relay)
{
    int64_t earliest = INT64_MAX;
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        struct rkb_subscriber_figures figures;
        rkb_subscriber_figures(relay->sources[i].subscriber, &figures);
        if (figures.connected && figures.caught_up_us < earliest)
            earliest = figures.caught_up_us;
    }
    if (earliest != INT64_MAX)
        rkb_ring_note_read(relay->ring, earliest);
}

/* ---- messages come ---- */

static void say_too_large(const struct rkb_relay_source *source, const struct rkb_relay_route *route, const char *why)
{
    rkb_log(source->relay->options.log, RKB_LOG_ERROR, source->object, "message_too_large",
            "a message for route %s %s: dropped", route->config->name, why);
}

/* Events look like messages, and Redis does not count them as such. */
static void count_published(struct rkb_relay_source *source, struct rkb_slice channel)
{
    source->published += !source->events || !rkb_published_is_event(channel);
}

/* True where it was taken: then it is the newest record there is. */
static bool receive(struct rkb_relay_source *source, const struct rkb_subscription *subscription, uint32_t copy,
                    struct rkb_channel *channel, struct rkb_slice payload, int64_t time_us)
{
    const struct rkb_relay_route *route = subscription->route;
    struct rkb_tally *tally = &source->relay->tallies[route->number];
    struct rkb_arrival arrival = {.source = source, .route = route, .subscription = subscription, .channel = channel,
                                  .payload = payload, .time_us = time_us, .now_us = time_us};
    struct rkb_verdict verdict;
    tally->received++;
    rkb_histogram_add(&source->relay->sizes, payload.size);
    count_published(source, channel->name.plain);
    rkb_stream_count(&source->stream, subscription->is_pattern, subscription->name.plain, copy, channel->name.plain,
                     payload, arrival.uuid);
    if (source->dropping) {
        rkb_relay_drop(source, route, RKB_DROP_journal_full, time_us);
        return false;
    }
    arrival.epoch = source->stream.mark.epoch;
    arrival.count = source->stream.count;
    rkb_relay_take(&arrival, &verdict);
    if (verdict.kind == RKB_FILTERED)
        tally->filtered++;
    if (verdict.kind != RKB_DROPPED)
        return verdict.kind == RKB_PASS;
    enum rkb_drop_reason reason = rkb_relay_drop_reason(verdict.code);
    if (reason == RKB_DROP_too_large)
        say_too_large(source, route, verdict.reason);
    rkb_relay_drop(source, route, reason, time_us);
    return false;
}

/* The number of this copy on its subscription since the mark; cuts a mark before the numbers run out. */
static uint32_t number_copy(struct rkb_relay_source *source, struct rkb_subscription *subscription)
{
    uint64_t epoch = source->stream.mark.epoch;
    if (subscription->copies_epoch == epoch && subscription->copies >= RKB_UUID_COUNT_LIMIT - COPIES_LEFT) {
        cut_mark(source);
        epoch = source->stream.mark.epoch;
    }
    if (subscription->copies_epoch != epoch) {
        subscription->copies_epoch = epoch;
        subscription->copies = 0;
    }
    return subscription->copies++;
}

void rkb_relay_pause_if_short(struct rkb_relay *relay)
{
    size_t half = rkb_ring_size(relay->ring) / 2;
    if (relay->paused || rkb_ring_room(relay->ring) >= half || rkb_shipper_full(relay->shipper))
        return;
    relay->paused = true;
    for (size_t i = 0; i < relay->options.config->source_count; i++)
        rkb_subscriber_pause(relay->sources[i].subscriber, true);
    rkb_shipper_want_room(relay->shipper, half + half / 4);
}

/* Where one copy belongs: its subscription, its number there, and whether it is the one of its message that counts. */
struct copy {
    struct rkb_subscription *subscription;
    struct rkb_channel *channel;            /* NULL: no memory for it */
    uint32_t number;
    bool wins;
};

static struct rkb_subscription *winner_of(struct rkb_router *router, struct rkb_slice channel, struct copy *copy)
{
    copy->channel = rkb_router_channel(router, channel);
    return copy->channel != NULL ? copy->channel->winner : rkb_router_winner(router, channel);
}

/* While subscriptions change those that are new are only in what comes next. */
static struct rkb_subscription *find(const struct rkb_relay_source *source, bool is_pattern, struct rkb_slice name)
{
    struct rkb_subscription *found = rkb_router_find(source->router, is_pattern, name);
    return found != NULL || source->next == NULL ? found : rkb_router_find(source->next, is_pattern, name);
}

/* False: of no subscription of ours. What is new counts before the change only where nothing else matches. */
static bool find_copy(struct rkb_relay_source *source, bool is_pattern, struct rkb_slice pattern,
                      struct rkb_slice channel, struct copy *copy)
{
    struct rkb_subscription *winner = winner_of(source->router, channel, copy);
    if (winner == NULL && source->next != NULL)
        winner = winner_of(source->next, channel, copy);
    copy->subscription = winner;
    if (winner == NULL || winner->is_pattern != is_pattern
        || (is_pattern && !rkb_slice_equal(winner->name.plain, pattern)))
        copy->subscription = find(source, is_pattern, is_pattern ? pattern : channel);
    if (copy->subscription == NULL)
        return false;
    copy->number = number_copy(source, copy->subscription);
    copy->wins = copy->subscription == winner;
    source->overlaps_total += !copy->wins;
    return true;
}

/* Received, but not taken: its place in the count and its route's books. */
static void count_unread(struct rkb_relay_source *source, const struct copy *copy, struct rkb_slice channel,
                         uint64_t size, enum rkb_drop_reason reason, int64_t time_us)
{
    const struct rkb_subscription *subscription = copy->subscription;
    const struct rkb_relay_route *route = subscription->route;
    source->relay->tallies[route->number].received++;
    rkb_histogram_add(&source->relay->sizes, size);
    count_published(source, channel);
    rkb_stream_count_unread(&source->stream, subscription->is_pattern, subscription->name.plain, copy->number, channel,
                            size);
    rkb_relay_drop(source, route, reason, time_us);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    struct rkb_relay_source *source = context;
    struct copy copy;
    rkb_turn_begin(&source->relay->turn);
    if (!find_copy(source, is_pattern, pattern, channel, &copy))
        return;
    if (copy.wins && copy.channel != NULL) {
        bool taken = receive(source, copy.subscription, copy.number, copy.channel, payload, time_us);
        const struct rkb_relay_route *route = copy.subscription->route;
        if (route->canary)
            rkb_watch_canary_came(source->watch, payload, taken ? source->relay->next_sequence - 1 : 0);
    } else if (copy.wins) {
        rkb_log(source->relay->options.log, RKB_LOG_ERROR, source->object, "no_memory",
                "no memory for a channel's name of %zu bytes: a message is dropped", channel.size);
        count_unread(source, &copy, channel, payload.size, RKB_DROP_no_memory, time_us);
    }
    rkb_relay_pause_if_short(source->relay);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size, int64_t time_us)
{
    struct rkb_relay_source *source = context;
    char had[32], limit[32];
    struct copy copy;
    if (!find_copy(source, is_pattern, pattern, channel, &copy) || !copy.wins)
        return;
    const struct rkb_relay_route *route = copy.subscription->route;
    rkb_format_size(had, sizeof had, size);
    rkb_format_size(limit, sizeof limit, source->config->max_message_size);
    rkb_log(source->relay->options.log, RKB_LOG_ERROR, source->object, "message_too_large",
            "a message of %s for route %s is over max_message_size (%s): dropped", had, route->config->name, limit);
    count_unread(source, &copy, channel, size, RKB_DROP_too_large, time_us);
    rkb_relay_pause_if_short(source->relay);
}

static void on_batch(void *context)
{
    struct rkb_relay_source *source = context;
    note_read(source->relay);
    rkb_shipper_wake(source->relay->shipper);
}

/* ---- the life of a stream ---- */

/* Each source by its own timer from its own start: they are staggered by nature. */
static void mark_later(struct rkb_relay_source *source)
{
    const struct timeval second = {MARK_US / 1000000, MARK_US % 1000000};
    event_add(source->mark_timer, &second);
}

void rkb_relay_mark(struct rkb_relay_source *source)
{
    if (!source->streaming)
        return;
    rkb_relay_cut(source);
    rkb_gaps_flush(source->relay->gaps);
    follow_clock(source->relay);
    note_read(source->relay);
    rkb_shipper_wake(source->relay->shipper);
    mark_later(source);
}

static void on_stream(void *context, int64_t time_us)
{
    struct rkb_relay_source *source = context;
    source->stream_us = time_us;
    source->streaming = true;
    rkb_stream_begin(&source->stream);
    cut_mark(source);
    mark_later(source);
    rkb_watch_streaming(source->watch);
}

static void on_confirmed(void *context, bool is_pattern, struct rkb_slice name, bool on)
{
    struct rkb_relay_source *source = context;
    struct rkb_router *routers[] = {source->router, source->next};
    for (size_t i = 0; i < 2 && routers[i] != NULL; i++) {
        struct rkb_subscription *subscription = rkb_router_find(routers[i], is_pattern, name);
        if (subscription != NULL)
            rkb_router_confirm(routers[i], subscription, on);
    }
}

static void confirm_none(struct rkb_relay_source *source)
{
    rkb_router_confirm_none(source->router);
    if (source->next != NULL)
        rkb_router_confirm_none(source->next);
}

static void on_turned(void *context)
{
    rkb_relay_turned(context);
}

static void on_changed(void *context, size_t kept)
{
    rkb_relay_changed(context, kept);
}

static void on_refused(void *context, bool is_pattern, struct rkb_slice name, enum rkb_lack lack,
                       struct rkb_slice words)
{
    rkb_refused_tell(context, is_pattern, name, lack, words);
}

static void on_heartbeat(void *context, struct rkb_slice words)
{
    rkb_refused_heartbeat(context, words);
}

static void on_pong(void *context)
{
    struct rkb_relay_source *source = context;
    rkb_watch_pong(source->watch);
}

static void on_allowed(void *context, bool is_pattern, struct rkb_slice name)
{
    rkb_refused_allowed(context, is_pattern, name);
}

/* What was away is back; what is refused has a gap of its own. */
static void on_subscribed(void *context, int64_t time_us, size_t refused)
{
    struct rkb_relay_source *source = context;
    struct rkb_relay *relay = source->relay;
    source->subscribed = refused == 0;
    if (source->away != NULL)
        rkb_relay_close_gap(source, source->away, time_us);
    source->away = NULL;
    rkb_watch_subscribed(source->watch);
    rkb_watch_canary_subscribed(source->watch);
    rkb_refused_settled(source, time_us, refused);
    rkb_shipper_wake(relay->shipper);
}

static void on_lost(void *context, const struct rkb_error *error, bool was_stream, int64_t caught_up_us,
                    int64_t retry_us)
{
    struct rkb_relay_source *source = context;
    struct rkb_relay *relay = source->relay;
    rkb_log(relay->options.log, RKB_LOG_WARN, source->object, was_stream ? "connection_lost" : "connection_failed",
            "%s; trying again in %lld ms", error->text, (long long)retry_us / 1000);
    if (was_stream && source->away == NULL) {
        int64_t from_us = caught_up_us ? caught_up_us : relay->options.sys->realtime_us();
        const char *reason = rkb_watch_lost(source, error, &from_us);
        source->away = rkb_relay_open_gap(source, reason, from_us);
    }
    rkb_relay_end_runs(source);
    source->streaming = source->subscribed = false;
    rkb_watch_published_ended(source->watch);
    event_del(source->mark_timer);
    confirm_none(source);
    rkb_shipper_wake(relay->shipper);
}

void rkb_relay_wait(struct rkb_relay_source *source, int64_t from_us)
{
    if (source->away == NULL)
        source->away = rkb_relay_open_gap(source, "another_bridge",
                                from_us ? from_us : source->relay->options.sys->realtime_us());
    rkb_shipper_wake(source->relay->shipper);
}

void rkb_relay_blame(struct rkb_relay_source *source, const char *reason)
{
    struct rkb_gap *gap = source->away;
    if (gap == NULL)
        gap = rkb_gaps_find_waiting(source->relay->gaps, source->config->name);
    if (gap != NULL && (strcmp(gap->reason, "connection_lost") == 0 || strcmp(gap->reason, "output_buffer") == 0))
        snprintf(gap->reason, sizeof gap->reason, "%s", reason);
}

/*
 * Redis has stopped giving us messages some time after we asked for that, and before we read its answer. The next start
 * goes on with this gap.
 */
static void open_last_gap(struct rkb_relay_source *source)
{
    int64_t from_us = source->relay->stop_us;
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(source->subscriber, &figures);
    if (figures.caught_up_us > 0 && figures.caught_up_us < from_us)
        from_us = figures.caught_up_us;
    if (source->away == NULL)
        source->away = rkb_relay_open_gap(source, "restart", from_us);
}

/* All is unsubscribed: for another bridge, or for good. */
static void on_stopped(void *context)
{
    struct rkb_relay_source *source = context;
    struct rkb_relay *relay = source->relay;
    rkb_relay_end_runs(source);
    if (source->streaming)
        cut_mark(source);
    if (relay->stopping && source->dropping)
        rkb_relay_end_full(source);
    if (source->streaming && relay->stopping)
        open_last_gap(source);
    rkb_watch_published_ended(source->watch);
    source->streaming = source->subscribed = false;
    event_del(source->mark_timer);
    rkb_shipper_wake(relay->shipper);
    if (!relay->stopping) {
        confirm_none(source);
        if (relay->intake_off)
            rkb_relay_intake_source_stopped(source);
        else
            rkb_watch_stopped(source->watch);
        return;
    }
    source->stopped = true;
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        if (!relay->sources[i].stopped)
            return;
    }
    relay->stopped(relay->stopped_context);
}

const struct rkb_subscriber_events rkb_relay_events = {
    .stream = on_stream,
    .confirmed = on_confirmed,
    .refused = on_refused,
    .allowed = on_allowed,
    .subscribed = on_subscribed,
    .heartbeat = on_heartbeat,
    .pong = on_pong,
    .message = on_message,
    .too_large = on_too_large,
    .batch = on_batch,
    .lost = on_lost,
    .stopped = on_stopped,
    .turned = on_turned,
    .changed = on_changed,
};

/* ---- what the shipper says ---- */

/*
 * While the disk fails, what is read is not durable: said as a gap of each source, since it may be missing after a
 * power loss, and only then.
 */
static void follow_disk(struct rkb_relay *relay)
{
    int64_t from_us = rkb_shipper_not_durable(relay->shipper);
    if (from_us == relay->not_durable_us)
        return;
    relay->not_durable_us = from_us;
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        struct rkb_relay_source *source = &relay->sources[i];
        struct rkb_gap *gap = rkb_gaps_find_open(relay->gaps, source->config->name, "not_durable");
        if (gap != NULL)
            rkb_gaps_close(relay->gaps, gap, relay->options.sys->realtime_us());
        if (from_us != 0)
            rkb_relay_open_gap(source, "not_durable", from_us);
    }
    rkb_shipper_wake(relay->shipper);
}

void rkb_relay_look(struct rkb_relay *relay)
{
    size_t half = rkb_ring_size(relay->ring) / 2;
    bool room = rkb_ring_room(relay->ring) >= half;
    follow_disk(relay);
    if (relay->paused && (room || rkb_shipper_full(relay->shipper))) {
        relay->paused = false;
        for (size_t i = 0; i < relay->options.config->source_count; i++)
            rkb_subscriber_pause(relay->sources[i].subscriber, false);
    } else if (relay->paused) {
        /* The shipper may have answered an older wish and, in the same moment, forgotten this one. */
        rkb_shipper_want_room(relay->shipper, half + half / 4);
    }
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        if (relay->sources[i].dropping && room)
            rkb_relay_stop_dropping(&relay->sources[i]);
        else if (relay->sources[i].dropping)
            rkb_shipper_want_room(relay->shipper, half);
    }
}
