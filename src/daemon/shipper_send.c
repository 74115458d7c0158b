/*
 * shipper_send -- from the journal to Kafka; see shipper.h.
 *
 *     appended --> in flight --> acknowledged --> (segment may go)
 *         ^           |
 *         |           +--> refused: hold the line, let what is in flight land, wait, go on from the lowest open one
 *         +--------------- fatal: free the producer, make a new one, go on from the lowest open one, the same bytes
 *
 * Promise: a record counts as settled only when Kafka acknowledged it. Never: changes a record.
 */
#include "daemon/shipper_state.h"

#include <stdio.h>

#define TURN_RECORDS 4096           /* sent between two looks at the ring */
#define RETRY_LEAST_US 250000
#define RETRY_MOST_US 15000000

/* ---- what the producer tells ---- */

static void count_error(struct rkb_shipped *figures, rd_kafka_resp_err_t error)
{
    size_t i = 0;
    while (i < RKB_KAFKA_ERRORS - 1 && figures->errors[i].count > 0 && figures->errors[i].error != error)
        i++;
    figures->errors[i].error = error;
    figures->errors[i].count++;
}

static int64_t longer(int64_t wait_us)
{
    if (wait_us == 0)
        return RETRY_LEAST_US;
    return wait_us * 2 < RETRY_MOST_US ? wait_us * 2 : RETRY_MOST_US;
}

/*
 * Holds the line for a record of this route and topic: nothing more is sent before retry_us, and then from the lowest
 * open record on.
 */
static void hold_line(struct rkb_shipper *shipper, uint64_t sequence, uint32_t route, uint32_t topic, const char *why)
{
    const struct rkb_dictionary *names = rkb_journal_dictionary(shipper->options.journal);
    char *refused = shipper->figures->refused;
    if (shipper->line_held)
        return;
    shipper->line_held = shipper->troubled = shipper->changed = true;
    shipper->refused_sequence = sequence;
    shipper->retry_wait_us = longer(shipper->retry_wait_us);
    shipper->retry_us = shipper->now_us + shipper->retry_wait_us;
    snprintf(refused, sizeof shipper->figures->refused, "a record of route %s for topic %s is refused: %s",
             rkb_dictionary_name(names, RKB_NAME_ROUTE, route), rkb_dictionary_name(names, RKB_NAME_TOPIC, topic), why);
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "record_refused",
            "%s; it stays in the journal and all topics wait for it, trying again in %lld ms", refused,
            (long long)shipper->retry_wait_us / 1000);
}

static void say_well(struct rkb_shipper *shipper)
{
    shipper->troubled = false;
    shipper->changed = true;
    rkb_log(shipper->options.log, RKB_LOG_INFO, "kafka", "delivering", "Kafka takes records again");
}

/* Kafka took a record. While one is refused, that others are taken says nothing. */
static void note_delivery(struct rkb_shipper *shipper)
{
    shipper->rebuild_wait_us = 0;
    if (shipper->figures->refused[0] != '\0')
        return;
    shipper->retry_wait_us = 0;
    if (shipper->troubled)
        say_well(shipper);
}

/* The refused record is behind us. */
static void note_acceptance(struct rkb_shipper *shipper)
{
    bool refused = shipper->figures->refused[0] != '\0';
    if (!refused || rkb_acks_low(rkb_journal_acks(shipper->options.journal)) <= shipper->refused_sequence)
        return;
    shipper->figures->refused[0] = '\0';
    shipper->retry_wait_us = 0;
    say_well(shipper);
}

static void on_delivered(void *context, void *opaque, rd_kafka_resp_err_t error)
{
    struct rkb_shipper *shipper = context;
    struct rkb_flight *flight = opaque;
    shipper->changed = true;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        struct rkb_shipped_route *route = &shipper->figures->routes[flight->route];
        rkb_shipper_settle(shipper, flight->sequence);
        route->delivered++;
        route->settled++;
        shipper->figures->settled_bytes += flight->bytes;
        note_delivery(shipper);
        rkb_latency_add(&shipper->figures->latency, shipper->real_us - flight->time_us);
    } else if (error != RD_KAFKA_RESP_ERR__PURGE_QUEUE && error != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        count_error(shipper->figures, error);
        if (!rkb_producer_fatal(shipper->producer, NULL))
            hold_line(shipper, flight->sequence, flight->route, flight->topic, rd_kafka_err2str(error));
    }
    rkb_segment_unpin(flight->segment);
    rkb_flights_land(&shipper->flights, flight);
}

static void on_error(void *context, rd_kafka_resp_err_t error, const char *reason)
{
    struct rkb_shipper *shipper = context;
    shipper->changed = shipper->troubled = true;
    count_error(shipper->figures, error);
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "kafka_error", "%s (%s)", reason, rd_kafka_err2name(error));
}

/* What librdkafka logs as an error it reports as one too (on_error); only what is worse is said twice. */
static void on_log(void *context, int level, const char *text)
{
    struct rkb_shipper *shipper = context;
    rkb_log(shipper->options.log, level <= 2 ? RKB_LOG_WARN : RKB_LOG_DEBUG, "librdkafka", NULL, "%s", text);
}

static const struct rkb_producer_events producer_events = {
    .delivered = on_delivered,
    .error = on_error,
    .log = on_log,
};

/* ---- from the journal to Kafka ---- */

static void keep_gap(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    struct rkb_gap gap;
    struct rkb_error error;
    if (!rkb_gap_parse(record->value, &gap, &error)
        || (shipper->options.ledger != NULL && !rkb_ledger_append(shipper->options.ledger, &gap, &error)))
        rkb_log(shipper->options.log, RKB_LOG_ERROR, "journal", "ledger_failed", "gap not kept in the ledger: %s",
                error.text);
}

/* Hands one message to the producer. False when it has to wait. */
static bool send_message(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    struct rkb_error error;
    const char *topic = rkb_dictionary_name(rkb_journal_dictionary(shipper->options.journal), RKB_NAME_TOPIC,
                                            record->topic);
    if (topic == NULL || record->route == 0 || record->route > shipper->options.route_limit) {
        rkb_fail(&error, RKB_DAMAGED, "record %llu names topic %u and route %u, which no dictionary record explains",
                 (unsigned long long)record->sequence, record->topic, record->route);
        rkb_shipper_fail(shipper, &error);
        return false;
    }
    struct rkb_flight *flight = rkb_flights_open(&shipper->flights);
    if (flight == NULL)
        return false;
    struct rkb_outgoing outgoing = {
        .topic = rkb_producer_topic(shipper->producer, record->topic - 1, topic, &error),
        .has_key = record->has_key,
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .header_count = record->header_count,
        .time_ms = record->time_us / 1000,
        .opaque = flight,
    };
    if (outgoing.topic == NULL) {
        hold_line(shipper, record->sequence, record->route, record->topic, error.text);
        return false;
    }
    *flight = (struct rkb_flight){
        .sequence = record->sequence,
        .time_us = record->time_us,
        .segment = shipper->cursor.segment,
        .route = record->route,
        .topic = record->topic,
        .bytes = (uint32_t)rkb_record_size(record->key.size, record->headers.size, record->value.size),
    };
    enum rkb_sent sent = rkb_producer_send(shipper->producer, &outgoing, &error);
    if (sent == RKB_SENT) {
        rkb_segment_pin(flight->segment);
        rkb_flights_keep(&shipper->flights, flight);
    } else if (sent == RKB_SENT_REFUSED) {
        hold_line(shipper, record->sequence, record->route, record->topic, error.text);
    }
    return sent == RKB_SENT;
}

/*
 * The next record that is not settled yet, from the cursor. False when there is none, or the journal does not read
 * back.
 */
static bool next_open(struct rkb_shipper *shipper, struct rkb_record *record)
{
    const struct rkb_acks *acks = rkb_journal_acks(shipper->options.journal);
    struct rkb_error error;
    enum rkb_next next;
    do
        next = rkb_cursor_next(&shipper->cursor, record, &error);
    while (next == RKB_NEXT_RECORD && rkb_acks_has(acks, record->sequence));
    if (next == RKB_NEXT_DAMAGED || next == RKB_NEXT_FAILED)
        rkb_shipper_fail(shipper, &error);
    return next == RKB_NEXT_RECORD;
}

/* True when something was sent or settled. */
bool rkb_shipper_send(struct rkb_shipper *shipper)
{
    size_t done = 0;
    while (!shipper->line_held && done < TURN_RECORDS) {
        if (!shipper->holding && !next_open(shipper, &shipper->held))
            break;
        shipper->holding = true;
        if (shipper->held.kind == RKB_MESSAGE) {
            if (!send_message(shipper, &shipper->held))
                break;
        } else {
            if (shipper->held.kind == RKB_GAP)
                keep_gap(shipper, &shipper->held);
            rkb_shipper_settle(shipper, shipper->held.sequence);
            shipper->figures->settled_bytes += rkb_record_size(0, 0, shipper->held.value.size);
        }
        shipper->holding = false;
        done++;
    }
    shipper->changed = shipper->changed || done > 0;
    return done > 0;
}

/* From the lowest open record on, whatever was in flight before. */
void rkb_shipper_from_checkpoint(struct rkb_shipper *shipper)
{
    shipper->holding = false;
    rkb_cursor_close(&shipper->cursor);     /* else the segment it stands in would stay for ever */
    rkb_cursor_seek(&shipper->cursor, shipper->options.journal,
                    rkb_acks_low(rkb_journal_acks(shipper->options.journal)));
}

bool rkb_shipper_make_producer(struct rkb_shipper *shipper, struct rkb_error *error)
{
    shipper->producer = rkb_producer_new(shipper->options.properties, shipper->options.property_count, shipper->wake_fd,
                                         &producer_events, shipper, error);
    return shipper->producer != NULL;
}

/*
 * A fatal error ends a producer for good: a new one sends again what is open, the same bytes in the same order. Where
 * that one's end is as sudden (Kafka does not authorise it, say) the next comes later and later.
 */
static void rebuild(struct rkb_shipper *shipper, const struct rkb_error *cause)
{
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "producer_rebuilt",
            "fatal producer error: %s; %u records in flight are sent again by a new producer", cause->text, shipper->flights.count);
    shipper->figures->rebuilds_total++;
    shipper->changed = true;
    shipper->holding = false;
    rkb_cursor_close(&shipper->cursor);
    rkb_producer_free(shipper->producer);
    /* What it did not give back in its time is not its any more either. */
    for (struct rkb_flight *lost; (lost = rkb_flights_oldest(&shipper->flights)) != NULL;) {
        rkb_segment_unpin(lost->segment);
        rkb_flights_land(&shipper->flights, lost);
    }
    struct rkb_error error;
    if (!rkb_shipper_make_producer(shipper, &error))
        rkb_shipper_fail(shipper, &error);
    shipper->line_held = false;
    shipper->rebuild_wait_us = longer(shipper->rebuild_wait_us);
    shipper->rebuild_us = shipper->now_us + shipper->rebuild_wait_us;
    rkb_shipper_from_checkpoint(shipper);
}

void rkb_shipper_mend(struct rkb_shipper *shipper)
{
    struct rkb_error cause;
    note_acceptance(shipper);
    if (rkb_producer_fatal(shipper->producer, &cause)) {
        if (shipper->now_us >= shipper->rebuild_us)
            rebuild(shipper, &cause);
    } else if (shipper->line_held && shipper->flights.count == 0 && shipper->now_us >= shipper->retry_us) {
        shipper->line_held = false;
        rkb_shipper_from_checkpoint(shipper);
    }
}
