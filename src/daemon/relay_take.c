/*
 * relay_take -- the way of one message, from Redis or sent again: rules, topic, record; see relay.h.
 *
 *     rules --pass--> measure --> topic's number --> room in the ring --> render --> commit
 *       |                |             | none             | none
 *       rejected         too large     rejected, dropped  dropped
 *       |
 *       the payload as it came, as a dead letter, in the ring too
 *
 * Never allocates for a message. Loop thread.
 */
#include <stdio.h>

#include "base/units.h"
#include "daemon/reject.h"
#include "daemon/relay.h"
#include "daemon/route_topics.h"

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
    verdict->code = rkb_relay_drop_word(reason);
}

void rkb_relay_too_large(const struct rkb_arrival *arrival, size_t size, struct rkb_verdict *verdict)
{
    drop(verdict, RKB_DROP_too_large);
    snprintf(verdict->reason, sizeof verdict->reason,
             "would make a record of %zu bytes, and at most %zu fit journal.ring_size and journal.segment_size", size,
             arrival->source->relay->record_limit);
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
