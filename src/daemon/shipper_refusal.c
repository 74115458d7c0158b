/*
 * shipper_refusal -- what Kafka does not take: alone, again later, or a dead letter; see lane.h for the states.
 *
 *     came back with an error --> all of its lane lands --> one at a time, by a producer of their own
 *                                                            | acknowledged: the next one, and past the last: flowing
 *                                                            | refused for good: dead letter, the next one
 *                                                            + not now: again later, the lane waits
 *
 * Kafka refuses a batch for one record in it, so an error says something about a record only when that went alone.
 * A record's time is when we read it. Where a topic refuses that (message.timestamp.before.max.ms, after.max.ms), what
 * was read till then is sent with the time of sending; where it refuses that too, this machine's clock and Kafka's are
 * apart, which may pass.
 *
 * Promise: what may pass (topic missing, not authorised yet, leaders away, clocks apart) is waited for; nothing of a
 * lane overtakes what it waits for. Never: holds another lane up; sets a record aside that may pass.
 */
#include "daemon/shipper_state.h"

#include <stdio.h>

#include "base/units.h"

#define LEAST_BATCH 1024

static const char *route_name(const struct rkb_shipper *shipper, uint32_t route)
{
    return rkb_dictionary_name(rkb_journal_dictionary(shipper->options.journal), RKB_NAME_ROUTE, route);
}

bool rkb_shipper_is_for_good(rd_kafka_resp_err_t error)
{
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,    RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,      RD_KAFKA_RESP_ERR_INVALID_RECORD,
        RD_KAFKA_RESP_ERR_POLICY_VIOLATION,      RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
    };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (error == errors[i])
            return true;
    return false;
}

static bool is_size(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE;
}

static bool is_right(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED
        || error == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

/* ---- waiting ---- */

void rkb_shipper_wait(struct rkb_shipper *shipper, struct rkb_lane *lane, const char *why)
{
    lane->retry_wait_us = rkb_shipper_longer(lane->retry_wait_us);
    lane->retry_us = shipper->now_us + lane->retry_wait_us;
    snprintf(lane->why, sizeof lane->why, "%s", why);
    rkb_lane_enter(&shipper->lanes, lane, RKB_LANE_WAITING);
    shipper->changed = true;
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "record_refused",
            "%s%s does not take a record of route %s: %s; it stays in the journal, the topic waits for it and the "
            "others do not, trying again in %lld ms", rkb_lanes_topic(&shipper->lanes, lane) > 0 ? "topic " : "",
            rkb_shipper_topic(shipper, lane),
            route_name(shipper, lane->held.route), lane->why, (long long)lane->retry_wait_us / 1000);
}

void rkb_shipper_takes_again(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    if (lane->why[0] == '\0')
        return;
    rkb_log(shipper->options.log, RKB_LOG_INFO, "kafka", "delivering", "%s%s takes records again",
            rkb_lanes_topic(&shipper->lanes, lane) > 0 ? "topic " : "", rkb_shipper_topic(shipper, lane));
    lane->refusal = RD_KAFKA_RESP_ERR_NO_ERROR;
    lane->refused_us = lane->retry_wait_us = 0;
    lane->why[0] = '\0';
}

/* ---- among others ---- */

void rkb_shipper_single_out(struct rkb_shipper *shipper, struct rkb_lane *lane, uint64_t sequence)
{
    if (sequence >= lane->alone_end)
        lane->alone_end = sequence + 1;
    if (!lane->behind)
        rkb_lane_fall_behind(&shipper->lanes, lane, shipper->options.journal, sequence, 0);
    rkb_lane_enter(&shipper->lanes, lane, RKB_LANE_LANDING);
}

void rkb_shipper_refused(struct rkb_shipper *shipper, struct rkb_lane *lane, uint64_t sequence, size_t bytes,
                         rd_kafka_resp_err_t error)
{
    if (is_size(error))
        lane->refused_bytes += bytes;
    if (lane->letters)
        rkb_shipper_shut(shipper, rkb_lanes_topic(&shipper->lanes, lane), error);
    lane->refusal = error;
    if (lane->sent_end > lane->alone_end)
        lane->alone_end = lane->sent_end;
    rkb_shipper_single_out(shipper, lane, sequence);
}

/* ---- alone ---- */

static void learn_size(struct rkb_lane *lane, uint32_t bytes)
{
    lane->refused_bytes = 0;        /* it was this one's size, not the batch's */
    if (lane->smallest_refused == 0 || bytes < lane->smallest_refused)
        lane->smallest_refused = bytes;
    if (lane->largest_taken >= bytes)
        lane->largest_taken = bytes - 1;
}

/*
 * It was refused by the time at which we read it: it goes again with the time of sending, and so does what is behind
 * it, which need not go alone for that. False where it went so already.
 */
static bool restamp(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record)
{
    char time[24];
    if (rkb_lane_restamps(lane, record->time_us, shipper->real_us))
        return false;
    rkb_format_time(time, record->time_us);
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "time_refused",
            "topic %s refuses the time of a record of route %s, %.24s, by its message.timestamp.before.max.ms or "
            "after.max.ms: what was read till now is sent with the time of sending", rkb_shipper_topic(shipper, lane),
            route_name(shipper, record->route), time);
    lane->restamp_us = shipper->real_us > record->time_us ? shipper->real_us : record->time_us;
    lane->alone_end = record->sequence + 1;
    shipper->more = true;
    return true;
}

static void describe(rd_kafka_resp_err_t error, char *words, size_t size)
{
    if (error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP)
        snprintf(words, size, "this machine's clock and Kafka's are further apart than the topic's "
                 "message.timestamp.after.max.ms or before.max.ms: set the clock right (%s)", rd_kafka_err2name(error));
    else
        snprintf(words, size, "%s (%s)", rd_kafka_err2str(error), rd_kafka_err2name(error));
}

void rkb_shipper_refused_alone(struct rkb_shipper *shipper, struct rkb_lane *lane, rd_kafka_resp_err_t error)
{
    const struct rkb_record *record = &lane->held;
    char why[200];
    describe(error, why, sizeof why);
    if (lane->aside_code != NULL || (record->flags & RKB_FLAG_DEAD) != 0) {
        lane->next = record->sequence;
        if (is_size(error) && lane->aside_code == NULL)
            learn_size(lane, (uint32_t)rkb_record_size(record->key.size, record->headers.size, record->value.size));
        rkb_shipper_letter_refused(shipper, lane, error, why);
        return;
    }
    if (lane->refused_us == 0 || lane->refusal != error)
        lane->refused_us = shipper->now_us;
    lane->refusal = error;
    lane->next = record->sequence;
    bool late = is_right(error) && shipper->now_us - lane->refused_us >= shipper->options.refuse_after_us;
    if (is_size(error))
        learn_size(lane, (uint32_t)rkb_record_size(record->key.size, record->headers.size, record->value.size));
    if (error == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP && restamp(shipper, lane, record))
        return;
    if (!rkb_shipper_is_for_good(error) && !late)
        rkb_shipper_wait(shipper, lane, why);
    else if (rkb_shipper_set_aside(shipper, lane, record, true, rd_kafka_err2name(error), why))
        lane->holding = false;
}

void rkb_shipper_taken(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_flight *flight)
{
    if (lane->aside_code != NULL) {
        rkb_shipper_letter_taken(shipper, lane);
        return;
    }
    lane->moves = true;
    if (flight->bytes > lane->largest_taken)
        lane->largest_taken = flight->bytes;
    if (lane->smallest_refused > 0 && lane->largest_taken >= lane->smallest_refused)
        lane->smallest_refused = 0;     /* the topic's limit was raised */
    lane->watch_us = 0;
    if (flight->alone)
        lane->holding = false;
    if (flight->alone || lane->state == RKB_LANE_FLOWING)
        rkb_shipper_takes_again(shipper, lane);
}

/* Each record that came back was taken alone: it was the batch that was too large for the topic. */
static void learn_batch(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    size_t limit = (size_t)rkb_topics_limit(shipper->options.topics, rkb_shipper_topic(shipper, lane));
    if (lane->refused_bytes == 0)
        return;
    if (limit == 0 || limit > lane->refused_bytes)
        limit = lane->refused_bytes / 4;
    lane->most_bytes = limit > LEAST_BATCH ? limit : LEAST_BATCH;
    lane->most_bytes_us = shipper->now_us;
    lane->refused_bytes = 0;
}

static void leave_alone(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    learn_batch(shipper, lane);
    rkb_lane_enter(&shipper->lanes, lane, RKB_LANE_FLOWING);
    shipper->changed = true;
}

/* What a lane that is not flowing waits for has come: its next record may go alone. */
static bool may_go_alone(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    if (lane->in_flight > 0 || lane->returned != RKB_NOTHING_RETURNED)
        return false;
    if (lane->state == RKB_LANE_WAITING && shipper->now_us < lane->retry_us)
        return false;
    rkb_lane_enter(&shipper->lanes, lane, RKB_LANE_ALONE);
    return true;
}

bool rkb_shipper_send_alone(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    if (rkb_shipper_topic_rests(shipper, lane) || (lane->holding && rkb_shipper_route_rests(shipper, &lane->held))
        || !may_go_alone(shipper, lane))
        return false;
    if (lane->aside_code != NULL)
        return rkb_shipper_send_letter(shipper, lane);
    if (!lane->holding && !rkb_shipper_lane_next(shipper, lane)) {
        if (!lane->behind)
            leave_alone(shipper, lane);
        return !lane->behind;
    }
    const struct rkb_record *record = &lane->held;
    size_t bytes = rkb_record_size(record->key.size, record->headers.size, record->value.size);
    if (record->sequence >= lane->alone_end && !rkb_lane_suspects(lane, bytes)) {
        leave_alone(shipper, lane);
        return true;
    }
    if (rkb_shipper_is_for_file(shipper, record)) {
        lane->holding = !rkb_shipper_file_letter(shipper, lane, record);
        return !lane->holding;
    }
    struct rkb_producer *producer = rkb_shipper_alone(shipper);
    if (producer == NULL)
        return false;
    enum rkb_offer offered = rkb_shipper_put(shipper, producer, lane, record, lane->cursor.segment);
    if (offered == RKB_TAKEN && lane->in_flight == 0)
        lane->holding = false;      /* a dead letter */
    return offered == RKB_TAKEN;
}
