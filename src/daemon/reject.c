/*
 * reject -- see reject.h.
 *
 * Promise: what is rejected is in the ring, or counted as dropped; a flood of it is at most one line a second and
 * route. Never: logs anything of a payload; allocates.
 */
#include "daemon/reject.h"

#include <stdio.h>

#include "base/units.h"
#include "message/inverse.h"
#include "message/letter.h"

#define SAY_AGAIN_US 1000000

static void say(const struct rkb_relay_source *source, const struct rkb_relay_route *route, const char *code,
                const char *reason, int64_t time_us)
{
    struct rkb_tally *tally = &source->relay->tallies[route->number];
    char more[64] = "";
    if (tally->rejected_us != 0 && time_us >= tally->rejected_us && time_us - tally->rejected_us < SAY_AGAIN_US) {
        tally->rejected_unsaid++;
        return;
    }
    if (tally->rejected_unsaid > 0)
        snprintf(more, sizeof more, "; so are %llu before it", (unsigned long long)tally->rejected_unsaid);
    tally->rejected_us = time_us;
    tally->rejected_unsaid = 0;
    rkb_log(source->relay->options.log, RKB_LOG_WARN, source->object, "message_rejected",
            "a message for route %s is a dead letter (%s): %s%s", route->config->name, code, reason, more);
}

/* False when the ring has no room. */
static bool write_letter(struct rkb_relay *relay, const struct rkb_letter *letter, const struct rkb_record *record,
                         size_t size)
{
    uint8_t *at = rkb_ring_reserve(relay->ring, size, RKB_RELAY_KEEP);
    if (at == NULL)
        return false;
    rkb_record_begin(at, record);
    uint8_t *to = at + RKB_RECORD_HEADER;
    if (record->key.size > 0)
        memcpy(to, record->key.data, record->key.size);
    to = rkb_letter_write(letter, to + record->key.size);
    if (record->value.size > 0)
        memcpy(to, record->value.data, record->value.size);
    rkb_record_seal(at, rkb_ring_salt(relay->ring));
    rkb_ring_commit(relay->ring, size);
    relay->next_sequence++;
    return true;
}

/* A slice that is there, whatever its size. */
static struct rkb_slice there(struct rkb_slice bytes)
{
    return bytes.data != NULL ? bytes : rkb_slice_text("");
}

void rkb_relay_reject(const struct rkb_arrival *arrival, const struct rkb_facts *facts, struct rkb_verdict *verdict)
{
    const struct rkb_relay_source *source = arrival->source;
    const struct rkb_relay_route *route = arrival->route;
    struct rkb_relay *relay = source->relay;
    struct rkb_slice channel = there(facts->channel.plain);
    char position[RKB_POSITION_TEXT], time[24], now[24];
    rkb_format_time(time, arrival->time_us);
    rkb_format_time(now, arrival->now_us);
    const struct rkb_letter letter = {.of = {
        [RKB_LETTER_CODE] = rkb_slice_text(verdict->code),
        [RKB_LETTER_REASON] = rkb_slice_text(verdict->reason),
        [RKB_LETTER_ERROR_TIME] = {(const uint8_t *)now, sizeof now},
        [RKB_LETTER_ROUTE] = rkb_slice_text(route->config->name),
        [RKB_LETTER_SOURCE] = rkb_slice_text(source->config->name),
        [RKB_LETTER_CHANNEL] = channel,
        [RKB_LETTER_PATTERN] = facts->pattern.plain.size > 0 ? facts->pattern.plain : rkb_slice(NULL, 0),
        [RKB_LETTER_ID] = {(const uint8_t *)facts->uuid, RKB_UUID_TEXT},
        [RKB_LETTER_POSITION] = arrival->position.data != NULL
            ? arrival->position : rkb_slice(position, rkb_position_text(position, &source->stream)),
        [RKB_LETTER_TIME] = {(const uint8_t *)time, sizeof time},
    }};
    struct rkb_record record = {
        .kind = RKB_MESSAGE, .flags = RKB_FLAG_DEAD | RKB_FLAG_CHANNEL | RKB_FORM_RAW | arrival->flags,
        .sequence = relay->next_sequence, .time_us = arrival->time_us, .epoch = arrival->epoch,
        .count = arrival->count, .route = route->number, .topic = route->dead_topic, .has_key = true, .key = channel,
        .value = facts->payload,
    };
    record.headers = rkb_slice(NULL, rkb_letter_size(&letter, &record.header_count));
    size_t size = rkb_record_size(record.key.size, record.headers.size, record.value.size);
    if (size > relay->record_limit) {
        rkb_relay_too_large(arrival, size, verdict);
    } else if (!write_letter(relay, &letter, &record, size)) {
        verdict->kind = RKB_DROPPED;
        verdict->code = "journal_full";
    } else {
        relay->tallies[route->number].appended++;
        say(source, route, verdict->code, verdict->reason, arrival->now_us);
    }
}
