/*
 * retry -- see retry.h.
 *
 * Promise: what is answered with true is in the ring, or is where its route's rules want it; the books balance. Never:
 * takes the room that messages from Redis need, believes a header without looking at it.
 */
#include "daemon/retry.h"

#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "message/glob.h"
#include "message/letter.h"
#include "message/uuid.h"

/* What cannot be: a code and words. */
struct refusal {
    const char **code;
    struct rkb_error *error;
};

static bool refuse(const struct refusal *refusal, const char *code)
{
    *refusal->code = code;
    return false;
}

/* What a position may be made of. A value says it as it is, so nothing else may stand there. */
static bool is_position(struct rkb_slice text)
{
    static const char characters[] = "0123456789abcdef:";
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '\0' || strchr(characters, text.data[i]) == NULL)
            return false;
    return text.size > 0 && text.size <= RKB_POSITION_TEXT;
}

static bool read_letter(const struct rkb_letter *letter, struct rkb_arrival *arrival, const struct refusal *refusal)
{
    const struct rkb_slice *of = letter->of;
    const char *lacks = of[RKB_LETTER_CHANNEL].data == NULL ? "the channel"
                        : !rkb_uuid_parse(of[RKB_LETTER_ID], arrival->uuid) ? "the UUID"
                        : !rkb_parse_time(of[RKB_LETTER_TIME], &arrival->time_us) ? "the time" : NULL;
    arrival->position = is_position(of[RKB_LETTER_POSITION]) ? of[RKB_LETTER_POSITION] : rkb_slice_text("unknown");
    if (lacks != NULL) {
        rkb_fail(refusal->error, RKB_USAGE, "%s of its message is not known", lacks);
        return refuse(refusal, "bad_letter");
    }
    if (of[RKB_LETTER_FORM].data != NULL) {
        rkb_fail(refusal->error, RKB_USAGE, "its value is a record and not the payload that it was made of; publish "
                 "the message again");
        return refuse(refusal, "bad_letter");
    }
    return true;
}

static bool find_route(struct rkb_relay *relay, struct rkb_slice name, struct rkb_arrival *arrival,
                       const struct refusal *refusal)
{
    const struct rkb_config *config = relay->options.config;
    for (size_t i = 0; name.data != NULL && i < config->route_count; i++) {
        if (!rkb_slice_equal(rkb_slice_text(config->routes[i].name), name))
            continue;
        arrival->route = &relay->routes[i];
        arrival->source = &relay->sources[config->routes[i].source_index];
        return true;
    }
    rkb_fail(refusal->error, RKB_USAGE, "there is no route %.*s any longer: make one of this name", (int)name.size,
             name.data != NULL ? (const char *)name.data : "");
    return refuse(refusal, "unknown_route");
}

static bool matches(const struct rkb_subscription *subscription, const struct rkb_relay_route *route,
                    struct rkb_slice channel)
{
    return subscription != NULL && subscription->route == route
           && (subscription->is_pattern ? rkb_glob_match(subscription->name.plain, channel)
                                        : rkb_slice_equal(subscription->name.plain, channel));
}

/* The one it came by, else the route's first that takes its channel; whether Redis confirmed it does not matter. */
static struct rkb_subscription *subscription_of(const struct rkb_arrival *arrival, const struct rkb_letter *letter)
{
    const struct rkb_router *router = rkb_relay_wanted(arrival->source);
    struct rkb_slice channel = letter->of[RKB_LETTER_CHANNEL], pattern = letter->of[RKB_LETTER_PATTERN];
    bool by_pattern = pattern.data != NULL;
    struct rkb_subscription *first = rkb_router_find(router, by_pattern, by_pattern ? pattern : channel);
    if (matches(first, arrival->route, channel))
        return first;
    for (size_t i = 0; i < rkb_router_count(router); i++)
        if (matches(rkb_router_at(router, i), arrival->route, channel))
            return rkb_router_at(router, i);
    return NULL;
}

static bool find_channel(const struct rkb_letter *letter, struct rkb_arrival *arrival, const struct refusal *refusal)
{
    struct rkb_slice channel = letter->of[RKB_LETTER_CHANNEL];
    struct rkb_subscription *subscription = subscription_of(arrival, letter);
    if (subscription == NULL) {
        rkb_fail(refusal->error, RKB_USAGE, "route %s has no channel or pattern any longer that takes %.*s",
                 arrival->route->config->name, (int)(channel.size < 200 ? channel.size : 200),
                 (const char *)channel.data);
        return refuse(refusal, "no_channel");
    }
    arrival->subscription = subscription;
    arrival->channel = rkb_router_channel_by(subscription, channel);
    if (arrival->channel != NULL)
        return true;
    rkb_fail(refusal->error, RKB_NO_MEMORY, "no memory for a channel's name of %zu bytes", channel.size);
    return refuse(refusal, "no_memory");
}

/* Half the ring is for what comes from Redis: whoever takes it below that makes reading pause, and us, too. */
static bool has_room(struct rkb_relay *relay, const struct refusal *refusal)
{
    if (relay->stopping) {
        rkb_fail(refusal->error, RKB_CLOSED, "rkbridge is about to end");
        return refuse(refusal, "stopping");
    }
    bool dropping = false;
    for (size_t i = 0; i < relay->options.config->source_count; i++)
        dropping = dropping || relay->sources[i].dropping;
    if (!dropping && !relay->paused && !rkb_shipper_full(relay->shipper))
        return true;
    rkb_fail(refusal->error, RKB_FULL, "the journal or the ring before it has no room now");
    return refuse(refusal, "busy");
}

/* A drop other than the one that its route asks for is none: the letter is where it was. */
static bool not_taken(const struct rkb_verdict *verdict, const struct refusal *refusal)
{
    enum rkb_drop_reason reason = rkb_relay_drop_reason(verdict->code);
    if (reason == RKB_DROP_too_large)
        rkb_fail(refusal->error, RKB_USAGE, "it %s", verdict->reason);
    else
        rkb_fail(refusal->error, RKB_FULL, "there is no room for it now");
    return refuse(refusal, reason == RKB_DROP_journal_full ? "busy" : verdict->code);
}

static bool count(struct rkb_relay *relay, const struct rkb_arrival *arrival, const struct rkb_verdict *verdict,
                  struct rkb_buffer *out, const struct refusal *refusal)
{
    struct rkb_tally *tally = &relay->tallies[arrival->route->number];
    switch (verdict->kind) {
    case RKB_PASS:
        rkb_buffer_text(out, "taken\n");
        break;
    case RKB_REJECTED:
        rkb_buffer_format(out, "dead_letter %s\n", verdict->code);
        break;
    case RKB_FILTERED:
        rkb_buffer_text(out, "filtered\n");
        tally->filtered++;
        break;
    case RKB_DROPPED:
        if (rkb_relay_drop_reason(verdict->code) != RKB_DROP_missing)
            return not_taken(verdict, refusal);
        rkb_buffer_text(out, "dropped missing\n");
        tally->dropped[RKB_DROP_missing]++;
        break;
    }
    tally->received++;
    return true;
}

bool rkb_retry(void *context, struct rkb_slice headers, struct rkb_slice payload, struct rkb_buffer *out,
               const char **code, struct rkb_error *error)
{
    struct rkb_relay *relay = context;
    const struct refusal refusal = {code, error};
    struct rkb_arrival arrival = {.payload = payload, .now_us = relay->options.sys->realtime_us(),
                                  .flags = RKB_FLAG_RETRIED};
    struct rkb_letter letter;
    struct rkb_verdict verdict;
    rkb_letter_read(headers, &letter);
    if (!read_letter(&letter, &arrival, &refusal)
        || !find_route(relay, letter.of[RKB_LETTER_ROUTE], &arrival, &refusal) || !has_room(relay, &refusal)
        || !find_channel(&letter, &arrival, &refusal))
        return false;
    rkb_relay_take(&arrival, &verdict);
    bool done = count(relay, &arrival, &verdict, out, &refusal);
    free(arrival.channel);
    rkb_relay_pause_if_short(relay);
    rkb_shipper_wake(relay->shipper);
    return done;
}
