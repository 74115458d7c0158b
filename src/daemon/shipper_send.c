/*
 * shipper_send -- from the journal to Kafka: the line, and the cursors of lanes that fell behind; see shipper.h,
 * lane.h.
 *
 *     journal   . . . a . b a . c a b . . . . . . . . . . . . [ appended next
 *                       ^ lane b's own cursor       ^ the line
 *
 * The line reads every record once. One whose lane cannot take it now is waited for as long as that costs no other
 * lane anything; then it is passed over, the lane is behind, and goes on by a cursor of its own until it has caught up
 * with the line. So a topic that does not move delays only itself, and where all go at one pace there is one cursor.
 *
 * Promise: the records of a lane go out in the order of the journal. Never: changes a record; passes one over without
 * remembering where.
 */
#include "daemon/shipper_state.h"

#define TURN_RECORDS 4096           /* sent between two looks at the ring */
#define LANE_RECORDS 1024           /* of these, by one lane that is behind */
#define FIRST_US 100000             /* the first lane that goes has to show within this time that it moves */
#define COLLECT_BYTES (256 * 1024)  /* more than that is no trickle */
#define TURN_LOOKS 65536            /* records that one cursor passes over between two looks at the ring */

uint64_t rkb_shipper_line(const struct rkb_shipper *shipper)
{
    return shipper->holding ? shipper->held.sequence : shipper->cursor.sequence;
}

const char *rkb_shipper_topic(const struct rkb_shipper *shipper, const struct rkb_lane *lane)
{
    uint32_t topic = rkb_lanes_topic(&shipper->lanes, lane);
    if (topic == 0)
        return "the dead-letter file";
    return rkb_dictionary_name(rkb_journal_dictionary(shipper->options.journal), RKB_NAME_TOPIC, topic);
}

static void cannot_read(struct rkb_shipper *shipper, const struct rkb_error *error)
{
    rkb_shipper_fail(shipper, error);
}

/* ---- one record ---- */

enum rkb_offer rkb_shipper_put(struct rkb_shipper *shipper, struct rkb_producer *producer, struct rkb_lane *lane,
                               const struct rkb_record *record, struct rkb_segment *segment)
{
    const struct rkb_dictionary *names = rkb_journal_dictionary(shipper->options.journal);
    struct rkb_flight *flight = rkb_flight_open(&shipper->lanes);
    size_t bytes = rkb_record_size(record->key.size, record->headers.size, record->value.size);
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    struct rkb_error error;
    if (flight == NULL)
        return RKB_QUEUE_FULL;
    struct rkb_outgoing outgoing = {
        .topic = rkb_producer_topic(producer, record->topic, rkb_dictionary_name(names, RKB_NAME_TOPIC, record->topic),
                                    &error),
        .has_key = record->has_key,
        .key = record->key,
        .value = record->value,
        .headers = record->headers,
        .header_count = record->header_count,
        .time_ms = (rkb_lane_restamps(lane, record->time_us, shipper->real_us) ? shipper->real_us : record->time_us)
                   / 1000,
        .opaque = flight,
    };
    enum rkb_sent sent = outgoing.topic == NULL ? RKB_SENT_INVALID
                                                : rkb_producer_send(producer, &outgoing, &code, &error);
    switch (sent) {
    case RKB_SENT:
        flight->segment = segment;
        flight->sequence = record->sequence;
        flight->time_us = rkb_shipper_since(shipper, record);
        flight->route = record->route;
        flight->topic = record->topic;
        flight->bytes = (uint32_t)bytes;
        flight->alone = producer == shipper->alone;
        flight->dead = (record->flags & RKB_FLAG_DEAD) != 0;
        lane->letters = lane->letters || flight->dead;
        rkb_flight_keep(&shipper->lanes, flight, shipper->now_us);
        return RKB_TAKEN;
    case RKB_SENT_QUEUE_FULL:
    case RKB_SENT_FATAL:
        return RKB_QUEUE_FULL;
    case RKB_SENT_TOO_LARGE:
    case RKB_SENT_INVALID:
        return rkb_shipper_set_aside(shipper, lane, record, producer == shipper->alone,
                                     sent == RKB_SENT_INVALID ? "INVALID_RECORD" : "MSG_SIZE_TOO_LARGE", error.text)
                   ? RKB_TAKEN : RKB_LATER;
    case RKB_SENT_REFUSED:
        break;
    }
    if (producer == shipper->alone)
        rkb_shipper_refused_alone(shipper, lane, code);
    else
        rkb_shipper_refused(shipper, lane, record->sequence, bytes, code);
    return RKB_LATER;
}

/*
 * Asking for a topic that is about to be made would have Kafka make it, with settings of its own. One that only a
 * message has named is made known first.
 */
static bool is_ready(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record)
{
    if (lane->ready)
        return true;
    const struct rkb_shipper_route *route =
        shipper->options.routes != NULL ? &shipper->options.routes[record->route] : NULL;
    if (route != NULL && route->names != NULL && !(record->flags & RKB_FLAG_DEAD))
        rkb_topics_add(shipper->options.topics, rkb_shipper_topic(shipper, lane), route->names);
    lane->ready = rkb_topics_ready(shipper->options.topics, rkb_shipper_topic(shipper, lane));
    return lane->ready;
}

/* To the producer of all, if the lane may have one more in flight. */
static enum rkb_offer offer(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record,
                            struct rkb_segment *segment)
{
    size_t bytes = rkb_record_size(record->key.size, record->headers.size, record->value.size);
    if (lane->state != RKB_LANE_FLOWING || lane->returned != RKB_NOTHING_RETURNED
        || rkb_shipper_topic_rests(shipper, lane))
        return RKB_LATER;
    if (rkb_shipper_is_for_file(shipper, record))
        return rkb_shipper_file_letter(shipper, lane, record) ? RKB_TAKEN : RKB_LATER;
    if (!is_ready(shipper, lane, record))
        return RKB_LATER;
    if (shipper->producer == NULL)
        return RKB_QUEUE_FULL;
    if (rkb_lane_suspects(lane, bytes)) {
        rkb_shipper_single_out(shipper, lane, record->sequence);
        return RKB_LATER;
    }
    if (!rkb_lane_has_room(&shipper->lanes, lane, bytes, shipper->now_us))
        return RKB_LATER;
    return rkb_shipper_put(shipper, shipper->producer, lane, record, segment);
}

/* ---- a lane that is behind ---- */

/* Settled, or of a route that rests: then that is remembered. */
static bool passes(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    if (rkb_acks_has(rkb_journal_acks(shipper->options.journal), lane->held.sequence))
        return true;
    if (!rkb_shipper_route_rests(shipper, &lane->held))
        return false;
    rkb_shipper_pass_over(shipper, lane, &lane->held);
    return true;
}

bool rkb_shipper_lane_next(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    uint32_t topic = rkb_lanes_topic(&shipper->lanes, lane);
    uint64_t line = rkb_shipper_line(shipper), far = lane->cursor.sequence + TURN_LOOKS;
    uint64_t limit = far < line ? far : line;
    struct rkb_error error;
    enum rkb_next next;
    do
        next = rkb_cursor_next_of(&lane->cursor, topic, limit, &lane->held, &error);
    while (next == RKB_NEXT_RECORD && passes(shipper, lane));
    if (next == RKB_NEXT_DAMAGED || next == RKB_NEXT_FAILED)
        cannot_read(shipper, &error);
    lane->holding = next == RKB_NEXT_RECORD;
    lane->next = lane->holding ? lane->held.sequence : lane->cursor.sequence;
    lane->next_us = lane->holding ? rkb_shipper_since(shipper, &lane->held) : 0;
    if (next == RKB_NEXT_END && limit < line && lane->cursor.sequence >= limit)
        shipper->more = true;
    else if (next == RKB_NEXT_END)
        rkb_lane_catch_up(&shipper->lanes, lane);
    return lane->holding;
}

static bool send_behind(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    size_t done = 0;
    for (; done < LANE_RECORDS && lane->state == RKB_LANE_FLOWING; done++) {
        if (lane->holding && rkb_shipper_route_rests(shipper, &lane->held)) {
            rkb_shipper_pass_over(shipper, lane, &lane->held);
            lane->holding = false;
        }
        if (!lane->holding && !rkb_shipper_lane_next(shipper, lane))
            break;
        if (offer(shipper, lane, &lane->held, lane->cursor.segment) != RKB_TAKEN)
            break;
        lane->holding = false;
    }
    shipper->more = shipper->more || done == LANE_RECORDS;
    return done > 0;
}

static bool send_all_behind(struct rkb_shipper *shipper)
{
    struct rkb_lanes *lanes = &shipper->lanes;
    bool sent = false;
    uint32_t left = lanes->behind;
    for (uint32_t topic = 0; topic <= lanes->topic_count && left > 0; topic++) {
        struct rkb_lane *lane = rkb_lanes_at(lanes, topic);
        if (!lane->behind)
            continue;
        left--;
        bool flowing = lane->state == RKB_LANE_FLOWING;
        bool moved = flowing ? send_behind(shipper, lane) : rkb_shipper_send_alone(shipper, lane);
        shipper->more = shipper->more || (moved && !flowing);
        sent = sent || moved;
    }
    return sent;
}

/* ---- the line ---- */

/*
 * The lane cannot take the record now. Waiting for it is free while the others still have records in flight; without a
 * connection none of them moves anyway. Where it is the only one that went yet, others may wait behind it, unknown.
 */
static bool worth_waiting_for(const struct rkb_shipper *shipper, const struct rkb_lane *lane)
{
    const struct rkb_lanes *lanes = &shipper->lanes;
    if (lane->state != RKB_LANE_FLOWING || !lane->ready || lane->returned != RKB_NOTHING_RETURNED
        || rkb_shipper_topic_rests(shipper, lane))
        return false;
    if (!shipper->connected || lanes->topic_limit <= 1)
        return true;
    if (lanes->used <= 1)
        return shipper->now_us - lane->moved_us < (lane->moves ? RKB_LANE_STUCK_US : FIRST_US);
    return !rkb_lane_stuck(lane, shipper->now_us) && rkb_lanes_others_move(lanes, lane, shipper->now_us);
}

static bool is_known(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    const struct rkb_dictionary *names = rkb_journal_dictionary(shipper->options.journal);
    struct rkb_error error;
    bool has_topic = record->topic > 0 || (record->flags & RKB_FLAG_DEAD) != 0;
    if (record->route > 0 && record->route <= shipper->options.route_limit && has_topic
        && record->topic <= shipper->options.topic_limit
        && record->topic <= rkb_dictionary_count(names, RKB_NAME_TOPIC))
        return true;
    rkb_fail(&error, RKB_DAMAGED, "journal: record %llu is of route %u and topic %u, which the journal does not name",
             (unsigned long long)record->sequence, record->route, record->topic);
    cannot_read(shipper, &error);
    return false;
}

/* True when the line may go on behind this message. */
static bool pass_message(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    if (!is_known(shipper, record))
        return false;
    struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, record->topic);
    if (lane->behind || record->sequence < lane->next)
        return true;
    if (rkb_shipper_route_rests(shipper, record)) {
        rkb_shipper_pass_over(shipper, lane, record);
        return true;
    }
    enum rkb_offer offered = offer(shipper, lane, record, shipper->cursor.segment);
    if (offered == RKB_TAKEN || lane->behind)       /* behind: it was refused, and its lane goes on by itself */
        return true;
    if (offered == RKB_QUEUE_FULL || worth_waiting_for(shipper, lane))
        return false;
    rkb_lane_fall_behind(&shipper->lanes, lane, shipper->options.journal, record->sequence,
                         rkb_shipper_since(shipper, record));
    return true;
}

static void settle_control(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    if (record->kind == RKB_GAP && !rkb_shipper_keep_gap(shipper, record))
        return;
    rkb_shipper_settle(shipper, record->sequence);
    shipper->figures->settled_bytes += rkb_record_size(0, 0, record->value.size);
}

/*
 * The next record that is not settled yet, into shipper->held. False when there is none, when more are settled than one
 * turn may pass over (then `more`), or the journal does not read back.
 */
static bool next_open(struct rkb_shipper *shipper)
{
    const struct rkb_acks *acks = rkb_journal_acks(shipper->options.journal);
    struct rkb_error error;
    enum rkb_next next;
    size_t looks = 0;
    bool settled;
    do {
        next = rkb_cursor_next(&shipper->cursor, &shipper->held, &error);
        settled = next == RKB_NEXT_RECORD && rkb_acks_has(acks, shipper->held.sequence);
    } while (settled && ++looks < TURN_LOOKS);
    if (next == RKB_NEXT_DAMAGED || next == RKB_NEXT_FAILED)
        cannot_read(shipper, &error);
    shipper->more = shipper->more || settled;
    return next == RKB_NEXT_RECORD && !settled;
}

/*
 * A trickle is collected while what went before is on its way, for as long as that usually takes in the quickest topic
 * and half as long again, so that a slow topic does not set the pace of a quick one: librdkafka has one request in
 * flight per partition, and while the next one is due its broker thread does not sleep (2.0.2); and so all partitions'
 * batches go at the same time. What stands still is not waited for.
 */
bool rkb_shipper_collects(const struct rkb_shipper *shipper)
{
    const struct rkb_lanes *lanes = &shipper->lanes;
    return shipper->now_us < shipper->collect_until_us && shipper->collected < COLLECT_BYTES && !shipper->more
        && !shipper->holding && lanes->behind == 0 && rkb_lanes_move(lanes, shipper->now_us);
}

void rkb_shipper_send(struct rkb_shipper *shipper)
{
    shipper->more = false;
    shipper->collected = 0;
    bool sent = send_all_behind(shipper);
    size_t done = 0;
    for (; done < TURN_RECORDS; done++) {
        if (!shipper->holding && !next_open(shipper))
            break;
        shipper->holding = true;
        if (shipper->held.kind != RKB_MESSAGE)
            settle_control(shipper, &shipper->held);
        else if (!pass_message(shipper, &shipper->held))
            break;
        shipper->holding = false;
    }
    sent = sent || done > 0;
    shipper->more = shipper->more || done == TURN_RECORDS;
    shipper->changed = shipper->changed || sent;
    if (sent)
        shipper->collect_until_us = shipper->now_us + rkb_lanes_usual_us(&shipper->lanes, shipper->now_us) * 3 / 2;
}

static void line_from(struct rkb_shipper *shipper, uint64_t sequence)
{
    shipper->holding = false;
    rkb_cursor_close(&shipper->cursor);     /* else the segment it stands in would stay for ever */
    rkb_cursor_seek(&shipper->cursor, shipper->options.journal, sequence);
}

void rkb_shipper_from_checkpoint(struct rkb_shipper *shipper)
{
    line_from(shipper, rkb_acks_low(rkb_journal_acks(shipper->options.journal)));
}

void rkb_shipper_regroup(struct rkb_shipper *shipper)
{
    struct rkb_lanes *lanes = &shipper->lanes;
    uint64_t lowest = rkb_shipper_line(shipper);
    for (uint32_t topic = 0; topic <= lanes->topic_count; topic++) {
        struct rkb_lane *lane = rkb_lanes_at(lanes, topic);
        if (!lane->behind || lane->state != RKB_LANE_FLOWING || lane->returned != RKB_NOTHING_RETURNED
            || rkb_shipper_topic_rests(shipper, lane))
            continue;
        if (lane->next < lowest)
            lowest = lane->next;
        rkb_lane_catch_up(lanes, lane);
    }
    line_from(shipper, lowest);
}
