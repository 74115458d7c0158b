/* relay -- see relay.h. */
#include "daemon/relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "daemon/refused.h"
#include "daemon/reject.h"
#include "daemon/route_topics.h"
#include "daemon/watch.h"

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

bool rkb_relay_append_gap(void *context, struct rkb_gap *gap)
{
    struct rkb_relay *relay = context;
    struct rkb_buffer json = {0};
    if (gap->id == 0)
        gap->id = relay->next_sequence;
    rkb_gap_write(gap, &json);
    struct rkb_record record = {
        .kind = RKB_GAP,
        .time_us = relay->options.sys->realtime_us(),
        .route = rkb_dictionary_number(relay->dictionary, RKB_NAME_SOURCE, rkb_slice_text(gap->source)),
        .value = rkb_slice(json.data, json.size),
    };
    bool written = !json.failed && append_control(relay, &record);
    rkb_buffer_free(&json);
    return written;
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
    uint8_t value[RKB_MARK_SIZE];
    rkb_mark_write(&source->stream.mark, value);
    struct rkb_record record = {
        .kind = RKB_MARK,
        .time_us = (int64_t)source->stream.mark.time_ms * 1000,
        .epoch = source->stream.mark.epoch,
        .route = source->number,
        .value = rkb_slice(value, sizeof value),
    };
    /* Without room the mark is not kept; positions counted from it are then only unknown to the journal. */
    append_control(relay, &record);
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

/* ---- messages that cannot be taken ---- */

static const char *const drop_words[] = {
#define WORD(name, help) #name,
    RKB_DROP_REASONS(WORD)
#undef WORD
};

struct rkb_gap *rkb_relay_open_gap(struct rkb_relay_source *source, const char *reason, int64_t from_us)
{
    source->gaps_total++;
    return rkb_gaps_open(source->relay->gaps, source->config->name, reason, from_us);
}

/*
 * From when on a message read at time_us may have been published: it waited in the socket, while reading rested, since
 * the last read that took all there was at the most, and not since before the stream.
 */
static int64_t earliest_us(const struct rkb_relay_source *source, int64_t time_us)
{
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(source->subscriber, &figures);
    int64_t from_us = figures.caught_up_us > source->stream_us ? figures.caught_up_us : source->stream_us;
    return from_us > 0 && from_us < time_us ? from_us : time_us;
}

/*
 * One message's place in a gap: to is its time. More of them until the next mark share one, open from the
 * first of them on, so that a flood of them is no flood of gaps, and a crash in the middle leaves it open.
 */
static void place_in_gap(struct rkb_relay_source *source, enum rkb_drop_reason reason, int64_t time_us)
{
    struct rkb_relay_run *run = &source->runs[reason];
    run->count++;
    run->last_us = time_us;
    if (run->gap != NULL)
        return;
    struct rkb_gap *gap = rkb_relay_open_gap(source, drop_words[reason], earliest_us(source, time_us));
    if (run->count > 1) {
        run->gap = gap;
    } else if (gap != NULL) {
        gap->bound = 1;
        rkb_gaps_close(source->relay->gaps, gap, time_us);
    }
}

static void end_runs(struct rkb_relay_source *source)
{
    for (size_t i = 0; i < RKB_DROP_REASON_COUNT; i++) {
        struct rkb_relay_run *run = &source->runs[i];
        if (run->gap != NULL) {
            run->gap->bound = run->count - 1;
            rkb_gaps_close(source->relay->gaps, run->gap, run->last_us);
        }
        *run = (struct rkb_relay_run){0};
    }
}

static void start_dropping(struct rkb_relay_source *source, int64_t time_us)
{
    struct rkb_relay *relay = source->relay;
    source->dropping = true;
    rkb_relay_open_gap(source, drop_words[RKB_DROP_journal_full], earliest_us(source, time_us));
    rkb_shipper_want_room(relay->shipper, rkb_ring_size(relay->ring) / 2);
    rkb_log(relay->options.log, RKB_LOG_ERROR, source->object, "messages_dropped",
            "the journal takes no more and the ring is full: messages are dropped and counted, until there is room; "
            "the line of the journal says what stands in its way");
}

void rkb_relay_drop(struct rkb_relay_source *source, const struct rkb_relay_route *route, enum rkb_drop_reason reason,
                    int64_t time_us)
{
    source->relay->tallies[route->number].dropped[reason]++;
    if (reason == RKB_DROP_journal_full && !source->dropping)
        start_dropping(source, time_us);
    else if (reason != RKB_DROP_journal_full && reason != RKB_DROP_missing)     /* that is what was asked for */
        place_in_gap(source, reason, time_us);
}

static void stop_dropping(struct rkb_relay_source *source)
{
    struct rkb_relay *relay = source->relay;
    struct rkb_gap *gap = rkb_gaps_find_open(relay->gaps, source->config->name, drop_words[RKB_DROP_journal_full]);
    source->dropping = false;
    if (gap != NULL)
        rkb_gaps_close(relay->gaps, gap, relay->options.sys->realtime_us());
    rkb_log(relay->options.log, RKB_LOG_WARN, source->object, "messages_taken",
            "the journal has room: messages are taken again");
}

/* ---- the way of a message ---- */

static void fill_times(struct rkb_facts *facts, int64_t time_us, char digits[24])
{
    rkb_format_time(facts->time, time_us);
    int count = snprintf(digits, 24, "%lld", (long long)(time_us / 1000));
    facts->time_ms = rkb_slice(digits, (size_t)count);
}

/* Wraps one message into its record, in the ring. False when the ring has no room. */
static bool wrap(const struct rkb_arrival *arrival, uint32_t topic, const struct rkb_facts *facts,
                 const struct rkb_envelope_sizes *sizes)
{
    const struct rkb_relay_route *route = arrival->route;
    struct rkb_relay *relay = arrival->source->relay;
    struct rkb_record record = {
        .kind = RKB_MESSAGE,
        .flags = route->flags | arrival->flags,
        .header_count = sizes->header_count,
        .sequence = relay->next_sequence,
        .time_us = arrival->time_us,
        .epoch = arrival->epoch,
        .count = arrival->count,
        .route = route->number,
        .topic = topic,
        .has_key = sizes->has_key,
        .key = rkb_slice(NULL, sizes->key),
        .headers = rkb_slice(NULL, sizes->headers),
        .value = rkb_slice(NULL, sizes->value),
    };
    size_t size = rkb_record_size(sizes->key, sizes->headers, sizes->value);
    uint8_t *at = rkb_ring_reserve(relay->ring, size, RKB_RELAY_KEEP);
    if (at == NULL)
        return false;
    rkb_record_begin(at, &record);
    rkb_envelope_render(rkb_rules_envelope(route->rules), facts, sizes, at + RKB_RECORD_HEADER);
    rkb_record_seal(at, rkb_ring_salt(relay->ring));
    rkb_ring_commit(relay->ring, size);
    relay->next_sequence++;
    return true;
}

static void drop(struct rkb_verdict *verdict, enum rkb_drop_reason reason)
{
    verdict->kind = RKB_DROPPED;
    verdict->code = drop_words[reason];
}

void rkb_relay_too_large(const struct rkb_arrival *arrival, size_t size, struct rkb_verdict *verdict)
{
    drop(verdict, RKB_DROP_too_large);
    snprintf(verdict->reason, sizeof verdict->reason,
             "would make a record of %zu bytes, and at most %zu fit journal.ring_size and journal.segment_size", size,
             arrival->source->relay->record_limit);
}

enum rkb_drop_reason rkb_relay_drop_reason(const char *code)
{
    for (size_t i = 0; i < RKB_DROP_REASON_COUNT; i++)
        if (strcmp(drop_words[i], code) == 0)
            return (enum rkb_drop_reason)i;
    return RKB_DROP_missing;
}

/* A message that passed its route's rules becomes a record, unless *verdict comes to say otherwise. */
static void append(const struct rkb_arrival *arrival, const struct rkb_facts *facts, struct rkb_verdict *verdict)
{
    const struct rkb_relay_route *route = arrival->route;
    struct rkb_relay *relay = arrival->source->relay;
    struct rkb_envelope_sizes sizes;
    rkb_envelope_measure(rkb_rules_envelope(route->rules), facts, &sizes);
    size_t size = rkb_record_size(sizes.key, sizes.headers, sizes.value);
    if (size > relay->record_limit) {
        rkb_relay_too_large(arrival, size, verdict);
        return;
    }
    uint32_t topic = route->topic != 0 ? route->topic : rkb_route_topic(relay, route, arrival->channel, facts, verdict);
    if (topic == 0)
        return;
    if (wrap(arrival, topic, facts, &sizes))
        relay->tallies[route->number].appended++;
    else
        drop(verdict, RKB_DROP_journal_full);
}

void rkb_relay_take(const struct rkb_arrival *arrival, struct rkb_verdict *verdict)
{
    const struct rkb_relay_route *route = arrival->route;
    struct rkb_facts facts = {.channel = arrival->channel->name, .captures = arrival->channel->captures,
                              .payload = arrival->payload};
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    char position[RKB_POSITION_TEXT], digits[24];
    if (arrival->subscription->is_pattern)
        facts.pattern = arrival->subscription->name;
    rkb_rules_apply(route->rules, &facts, found, verdict);
    rkb_uuid_text(facts.uuid, arrival->uuid);
    if (rkb_envelope_uses_position(rkb_rules_envelope(route->rules))) {
        facts.position = arrival->position.data != NULL
            ? arrival->position : rkb_slice(position, rkb_position_text(position, &arrival->source->stream));
        fill_times(&facts, arrival->time_us, digits);
    }
    if (verdict->kind == RKB_PASS)
        append(arrival, &facts, verdict);
    if (verdict->kind == RKB_REJECTED)
        rkb_relay_reject(arrival, &facts, verdict);
}

static void say_too_large(const struct rkb_relay_source *source, const struct rkb_relay_route *route, const char *why)
{
    rkb_log(source->relay->options.log, RKB_LOG_ERROR, source->object, "message_too_large",
            "a message for route %s %s: dropped", route->config->name, why);
}

static void receive(struct rkb_relay_source *source, const struct rkb_subscription *subscription, uint32_t copy,
                    struct rkb_channel *channel, struct rkb_slice payload, int64_t time_us)
{
    const struct rkb_relay_route *route = subscription->route;
    struct rkb_tally *tally = &source->relay->tallies[route->number];
    struct rkb_arrival arrival = {.source = source, .route = route, .subscription = subscription, .channel = channel,
                                  .payload = payload, .time_us = time_us, .now_us = time_us};
    struct rkb_verdict verdict;
    tally->received++;
    rkb_stream_count(&source->stream, subscription->is_pattern, subscription->name.plain, copy, channel->name.plain,
                     payload, arrival.uuid);
    if (source->dropping) {
        rkb_relay_drop(source, route, RKB_DROP_journal_full, time_us);
        return;
    }
    arrival.epoch = source->stream.mark.epoch;
    arrival.count = source->stream.count;
    rkb_relay_take(&arrival, &verdict);
    if (verdict.kind == RKB_FILTERED)
        tally->filtered++;
    if (verdict.kind != RKB_DROPPED)
        return;
    enum rkb_drop_reason reason = rkb_relay_drop_reason(verdict.code);
    if (reason == RKB_DROP_too_large)
        say_too_large(source, route, verdict.reason);
    rkb_relay_drop(source, route, reason, time_us);
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

/* False: of no subscription of ours. */
static bool find_copy(struct rkb_relay_source *source, bool is_pattern, struct rkb_slice pattern,
                      struct rkb_slice channel, struct copy *copy)
{
    copy->channel = rkb_router_channel(source->router, channel);
    struct rkb_subscription *winner = copy->channel != NULL ? copy->channel->winner
                                                            : rkb_router_winner(source->router, channel);
    copy->subscription = winner;
    if (winner == NULL || winner->is_pattern != is_pattern
        || (is_pattern && !rkb_slice_equal(winner->name.plain, pattern)))
        copy->subscription = rkb_router_find(source->router, is_pattern, is_pattern ? pattern : channel);
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
    rkb_stream_count_unread(&source->stream, subscription->is_pattern, subscription->name.plain, copy->number, channel,
                            size);
    rkb_relay_drop(source, route, reason, time_us);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    struct rkb_relay_source *source = context;
    struct copy copy;
    if (!find_copy(source, is_pattern, pattern, channel, &copy))
        return;
    if (copy.wins && copy.channel != NULL) {
        receive(source, copy.subscription, copy.number, copy.channel, payload, time_us);
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
    end_runs(source);
    cut_mark(source);
    rkb_gaps_flush(source->relay->gaps);
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
    struct rkb_subscription *subscription = rkb_router_find(source->router, is_pattern, name);
    if (subscription != NULL)
        rkb_router_confirm(source->router, subscription, on);
}

static void on_refused(void *context, bool is_pattern, struct rkb_slice name, enum rkb_lack lack,
                       struct rkb_slice words)
{
    rkb_refused_tell(context, is_pattern, name, lack, words);
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
        rkb_gaps_close(relay->gaps, source->away, time_us);
    source->away = NULL;
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
    if (was_stream && source->away == NULL)
        source->away = rkb_relay_open_gap(source, rkb_watch_lost(source, error),
                                caught_up_us ? caught_up_us : relay->options.sys->realtime_us());
    end_runs(source);
    source->streaming = source->subscribed = false;
    event_del(source->mark_timer);
    rkb_router_confirm_none(source->router);
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
    if (gap != NULL && (strcmp(gap->reason, "connection_lost") == 0 || strcmp(gap->reason, "output_buffer") == 0))
        snprintf(gap->reason, sizeof gap->reason, "%s", reason);
}

/* All is unsubscribed: for another bridge, or for good. */
static void on_stopped(void *context)
{
    struct rkb_relay_source *source = context;
    struct rkb_relay *relay = source->relay;
    end_runs(source);
    if (source->streaming)
        cut_mark(source);
    source->streaming = source->subscribed = false;
    event_del(source->mark_timer);
    rkb_shipper_wake(relay->shipper);
    if (!relay->stopping) {
        rkb_router_confirm_none(source->router);
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
    .message = on_message,
    .too_large = on_too_large,
    .batch = on_batch,
    .lost = on_lost,
    .stopped = on_stopped,
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
            stop_dropping(&relay->sources[i]);
        else if (relay->sources[i].dropping)
            rkb_shipper_want_room(relay->shipper, half);
    }
}
