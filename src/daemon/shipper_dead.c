/*
 * shipper_dead -- dead letters, from the shipper's side: to a topic, or into the file.
 *
 *     a record that its lane brings as a dead letter --> its topic --acknowledged--> settled
 *                                                          | refused, or there is none     ^
 *                                                          +--> the file ------------------+
 *     a record that Kafka refused for good --> made a dead letter, and sent in its place by the producer for records
 *     that go alone, while its lane waits --> the same two ends
 *
 * The topic is the route's dead_letter. Where that refuses one for any reason but that Kafka is away, the file takes it
 * at once; and where the reason is the topic's (missing, not authorised), the next ones too, for SHUT_US.
 *
 * Promise: a message is settled as a dead letter only when its topic has acknowledged it or the file holds it; it looks
 * the same in both. Never: changes what a check made a dead letter of; waits for a topic that the file can stand in
 * for.
 */
#include "daemon/shipper_state.h"

#define XXH_INLINE_ALL
#include <stdio.h>
#include <xxhash.h>

#include "base/units.h"
#include "message/inverse.h"
#include "message/letter.h"
#include "message/uuid.h"

#define SHUT_US INT64_C(30000000)

/* A record and why it is a dead letter, written up: what becomes of it in topic or file. */
struct letter {
    struct rkb_record record;           /* of these: */
    struct rkb_buffer headers, payload;
};

static void letter_free(struct letter *letter)
{
    rkb_buffer_free(&letter->headers);
    rkb_buffer_free(&letter->payload);
}

static const char *route_name(const struct rkb_shipper *shipper, uint32_t route)
{
    return rkb_dictionary_name(rkb_journal_dictionary(shipper->options.journal), RKB_NAME_ROUTE, route);
}

static const char *topic_name(const struct rkb_shipper *shipper, uint32_t topic)
{
    return rkb_dictionary_name(rkb_journal_dictionary(shipper->options.journal), RKB_NAME_TOPIC, topic);
}

static bool is_dead(const struct rkb_record *record)
{
    return (record->flags & RKB_FLAG_DEAD) != 0;
}

/* The text of a header in a place of its own. */
static const char *text_of(struct rkb_slice slice, char *out, size_t size)
{
    snprintf(out, size, "%.*s", (int)(slice.size < size ? slice.size : size - 1),
             slice.data != NULL ? (const char *)slice.data : "");
    return out;
}

/* ---- writing one up ---- */

/*
 * For a record that does not tell its UUID: made of its number in this journal, so that it is the same each time; of
 * version 7, by the time the message was read.
 */
static void derive_id(const struct rkb_shipper *shipper, const struct rkb_record *record, char out[RKB_UUID_TEXT])
{
    uint8_t uuid[16];
    uint64_t hash = XXH3_64bits_withSeed(rkb_journal_id(shipper->options.journal), 16, record->sequence);
    uint64_t time_us = record->time_us > 0 ? (uint64_t)record->time_us : 0;
    rkb_uuid_make(uuid, time_us / 1000, (uint32_t)(record->sequence % RKB_UUID_COUNT_LIMIT), hash);
    rkb_uuid_text(out, uuid);
}

/* The headers that Kafka would have got with the record, but for those that the letter has itself. */
static void add_own_headers(struct letter *letter, const struct rkb_record *record)
{
    struct rkb_reader area = rkb_reader(record->headers.data, record->headers.size);
    struct rkb_slice name, value;
    for (uint16_t i = 0; i < record->header_count && rkb_headers_next(&area, &name, &value); i++) {
        uint8_t *at = rkb_letter_names(name) ? NULL
                                             : rkb_buffer_reserve(&letter->headers, rkb_header_size(name, value));
        if (at == NULL)
            continue;
        rkb_header_write(at, name, value);
        letter->headers.size += rkb_header_size(name, value);
        letter->record.header_count++;
    }
}

static void write_headers(struct letter *letter, const struct rkb_letter *says)
{
    size_t size = rkb_letter_size(says, &letter->record.header_count);
    uint8_t *at = rkb_buffer_reserve(&letter->headers, size);
    if (at == NULL)
        return;
    rkb_letter_write(says, at);
    letter->headers.size += size;
}

/*
 * A record that Kafka refused becomes a dead letter: the payload by its form's inverse, else its value as it stood; its
 * channel as the key where that is known. False when memory ran out.
 */
static bool write_up(const struct rkb_shipper *shipper, const struct rkb_record *record, const char *topic,
                     const char *code, const char *reason, struct letter *letter)
{
    char id[RKB_UUID_TEXT], time[24], now[24];
    struct rkb_letter says;
    const char *source = shipper->options.routes != NULL ? shipper->options.routes[record->route].source : NULL;
    *letter = (struct letter){.record = *record};
    rkb_letter_read(record->headers, &says);
    enum rkb_form form = (enum rkb_form)(record->flags & RKB_FLAG_FORM);
    bool whole = rkb_inverse(form, record->value, record->headers, &letter->payload);
    rkb_format_time(time, record->time_us);
    rkb_format_time(now, shipper->real_us);
    derive_id(shipper, record, id);
    if (!rkb_inverse_id(form, record->value, record->headers, &says.of[RKB_LETTER_ID]))
        says.of[RKB_LETTER_ID] = rkb_slice(id, sizeof id);
    if (says.of[RKB_LETTER_CHANNEL].data == NULL && record->has_key && (record->flags & RKB_FLAG_CHANNEL) != 0)
        says.of[RKB_LETTER_CHANNEL] = record->key;
    if (says.of[RKB_LETTER_SOURCE].data == NULL && source != NULL)
        says.of[RKB_LETTER_SOURCE] = rkb_slice_text(source);
    says.of[RKB_LETTER_CODE] = rkb_slice_text(code);
    says.of[RKB_LETTER_REASON] = rkb_slice_text(reason);
    says.of[RKB_LETTER_ERROR_TIME] = rkb_slice(now, sizeof now);
    says.of[RKB_LETTER_ROUTE] = rkb_slice_text(route_name(shipper, record->route));
    says.of[RKB_LETTER_TIME] = rkb_slice(time, sizeof time);
    says.of[RKB_LETTER_TOPIC] = rkb_slice_text(topic);
    says.of[RKB_LETTER_FORM] = whole ? rkb_slice(NULL, 0) : rkb_slice_text(RKB_FORM_AS_IT_STOOD);
    write_headers(letter, &says);
    if (!whole)
        add_own_headers(letter, record);
    letter->record.headers = rkb_slice(letter->headers.data, letter->headers.size);
    if (says.of[RKB_LETTER_CHANNEL].data != NULL) {
        letter->record.has_key = true;
        letter->record.key = says.of[RKB_LETTER_CHANNEL];
    }
    if (whole)
        letter->record.value = rkb_slice(letter->payload.data, letter->payload.size);
    letter->record.flags = (uint8_t)(RKB_FLAG_DEAD | (whole ? RKB_FORM_RAW : form)
                                     | (says.of[RKB_LETTER_CHANNEL].data != NULL ? RKB_FLAG_CHANNEL : 0));
    return !letter->headers.failed && !letter->payload.failed;
}

/* ---- settled ---- */

static void settle(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record)
{
    struct rkb_shipped_route *route = &shipper->figures->routes[record->route];
    rkb_shipper_settle(shipper, record->sequence);
    lane->next = record->sequence + 1;
    route->dead_lettered++;
    route->settled++;
    shipper->figures->settled_bytes += rkb_record_size(record->key.size, record->headers.size, record->value.size);
    shipper->changed = true;
}

static void say(const struct rkb_shipper *shipper, const struct rkb_lane *lane, const struct rkb_record *record,
                const char *topic, const char *reason)
{
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "dead_lettered",
            "record %llu of route %s for topic %s is set aside in the %s%s: %s", (unsigned long long)record->sequence,
            route_name(shipper, record->route), rkb_shipper_topic(shipper, lane),
            topic != NULL ? "topic " : "dead-letter file", topic != NULL ? topic : "", reason);
}

/* Into the file, as this record. False when it cannot take it now: then the lane waits, behind. */
static bool append(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record,
                   const char *topic, const char *code, const char *reason)
{
    const char *route = route_name(shipper, record->route);
    struct rkb_error error;
    if (!rkb_dead_append(shipper->options.dead, record, route, topic, code, reason, shipper->real_us, &error)) {
        if (!lane->behind)
            rkb_lane_fall_behind(&shipper->lanes, lane, shipper->options.journal, record->sequence,
                                 rkb_shipper_since(shipper, record));
        lane->held.route = record->route;
        rkb_shipper_wait(shipper, lane, error.text);
        return false;
    }
    rkb_dead_figures(shipper->options.dead, &shipper->figures->dead);
    rkb_journal_reserve(shipper->options.journal, shipper->figures->dead.bytes);
    return true;
}

bool rkb_shipper_dead_letter(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record,
                             const char *code, const char *reason)
{
    const char *topic = rkb_shipper_topic(shipper, lane);
    struct letter letter;
    if (!write_up(shipper, record, topic, code, reason, &letter)) {
        letter_free(&letter);
        struct rkb_error error;
        rkb_fail(&error, RKB_NO_MEMORY, "no memory for a dead letter");
        rkb_shipper_fail(shipper, &error);
        return false;
    }
    bool done = append(shipper, lane, &letter.record, topic, code, reason);
    letter_free(&letter);
    if (!done)
        return false;
    settle(shipper, lane, record);
    lane->aside_code = NULL;
    say(shipper, lane, record, NULL, reason);
    return true;
}

bool rkb_shipper_file_letter(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record)
{
    char code[64], reason[256];
    const char *topic = record->topic > 0 ? rkb_shipper_topic(shipper, lane) : "";
    struct rkb_letter says;
    rkb_letter_read(record->headers, &says);
    text_of(says.of[RKB_LETTER_CODE], code, sizeof code);
    text_of(says.of[RKB_LETTER_REASON], reason, sizeof reason);
    if (!append(shipper, lane, record, topic, code, reason))
        return false;
    settle(shipper, lane, record);
    rkb_shipper_takes_again(shipper, lane);
    return true;
}

/* ---- the topic ---- */

/* Errors that say nothing of record or topic: Kafka is away, or its leaders move. */
static bool is_away(rd_kafka_resp_err_t error)
{
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__RESOLVE,
        RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
        RD_KAFKA_RESP_ERR__AUTHENTICATION, RD_KAFKA_RESP_ERR__SSL, RD_KAFKA_RESP_ERR__FATAL, RD_KAFKA_RESP_ERR__STATE,
        RD_KAFKA_RESP_ERR__RETRY, RD_KAFKA_RESP_ERR__ISR_INSUFF, RD_KAFKA_RESP_ERR__GAPLESS_GUARANTEE,
        RD_KAFKA_RESP_ERR_INVALID_MSG, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
        RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
        RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH,
        RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH, RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
    };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
        if (error == errors[i])
            return true;
    return false;
}

/* What the topic refuses because of itself it refuses the next one for too. */
void rkb_shipper_shut(struct rkb_shipper *shipper, uint32_t topic, rd_kafka_resp_err_t error)
{
    struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
    if (is_away(error) || rkb_shipper_is_for_good(error))
        return;
    lane->shut_us = shipper->now_us + SHUT_US;
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "dead_letters_refused",
            "topic %s does not take dead letters: %s (%s); they go to the dead-letter file, the topic is tried again "
            "in %lld s", topic_name(shipper, topic), rd_kafka_err2str(error), rd_kafka_err2name(error),
            (long long)(SHUT_US / 1000000));
}

/* True when dead letters may be sent to this topic now. */
static bool takes_letters(const struct rkb_shipper *shipper, uint32_t topic)
{
    if (topic == 0 || topic > shipper->lanes.topic_limit)
        return false;
    const char *name = topic_name(shipper, topic);
    return name != NULL && shipper->now_us >= shipper->lanes.lanes[topic].shut_us
        && !rkb_topics_absent(shipper->options.topics, name);
}

bool rkb_shipper_is_for_file(const struct rkb_shipper *shipper, const struct rkb_record *record)
{
    return is_dead(record) && !takes_letters(shipper, record->topic);
}

/* ---- in the place of a record that was refused ---- */

static uint32_t letters_topic(const struct rkb_shipper *shipper, const struct rkb_record *record)
{
    return shipper->options.routes != NULL ? shipper->options.routes[record->route].dead_topic : 0;
}

bool rkb_shipper_set_aside(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_record *record,
                           bool alone, const char *code, const char *reason)
{
    if (is_dead(record))
        return rkb_shipper_file_letter(shipper, lane, record);
    if (!takes_letters(shipper, letters_topic(shipper, record)))
        return rkb_shipper_dead_letter(shipper, lane, record, code, reason);
    shipper->more = true;
    if (!alone) {
        rkb_shipper_single_out(shipper, lane, record->sequence);
        return false;
    }
    lane->aside_code = code;
    snprintf(lane->aside_why, sizeof lane->aside_why, "%s", reason);
    return false;
}

/* To the file after all. */
static bool give_to_file(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    if (!rkb_shipper_dead_letter(shipper, lane, &lane->held, lane->aside_code, lane->aside_why))
        return false;
    lane->holding = false;
    return true;
}

/* To this topic. The value is copied: nobody else holds it. */
static enum rkb_sent send_to(struct rkb_shipper *shipper, struct rkb_producer *producer, uint32_t topic,
                             struct rkb_flight *flight, const struct rkb_record *record, rd_kafka_resp_err_t *code)
{
    struct rkb_error error;
    struct rkb_outgoing outgoing = {
        .topic = rkb_producer_topic(producer, topic, topic_name(shipper, topic), &error),
        .has_key = record->has_key, .key = record->key, .value = record->value, .copy = true,
        .headers = record->headers, .header_count = record->header_count, .time_ms = record->time_us / 1000,
        .opaque = flight,
    };
    return outgoing.topic == NULL ? RKB_SENT_INVALID : rkb_producer_send(producer, &outgoing, code, &error);
}

bool rkb_shipper_send_letter(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    const struct rkb_record *record = &lane->held;
    uint32_t topic = letters_topic(shipper, record);
    if (!takes_letters(shipper, topic))
        return give_to_file(shipper, lane);
    struct rkb_flight *flight = rkb_flight_open(&shipper->lanes);
    struct rkb_producer *producer = rkb_shipper_alone(shipper);
    if (flight == NULL || producer == NULL || !rkb_topics_ready(shipper->options.topics, topic_name(shipper, topic)))
        return false;
    struct letter letter;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    enum rkb_sent sent = RKB_SENT_INVALID;
    if (write_up(shipper, record, rkb_shipper_topic(shipper, lane), lane->aside_code, lane->aside_why, &letter))
        sent = send_to(shipper, producer, topic, flight, &letter.record, &code);
    letter_free(&letter);
    switch (sent) {
    case RKB_SENT:
        *flight = (struct rkb_flight){
            .after = flight->after, .segment = lane->cursor.segment, .sequence = record->sequence,
            .time_us = rkb_shipper_since(shipper, record), .route = record->route,
            .topic = rkb_lanes_topic(&shipper->lanes, lane),
            .bytes = (uint32_t)rkb_record_size(record->key.size, record->headers.size, record->value.size),
            .alone = true, .dead = true};
        rkb_flight_keep(&shipper->lanes, flight, shipper->now_us);
        return true;
    case RKB_SENT_QUEUE_FULL:
    case RKB_SENT_FATAL:
        return false;
    case RKB_SENT_REFUSED:
        rkb_shipper_shut(shipper, topic, code);
        break;
    case RKB_SENT_TOO_LARGE:
    case RKB_SENT_INVALID:
        break;
    }
    return give_to_file(shipper, lane);
}

void rkb_shipper_letter_refused(struct rkb_shipper *shipper, struct rkb_lane *lane, rd_kafka_resp_err_t error,
                                const char *why)
{
    bool in_place = lane->aside_code != NULL;
    if (is_away(error)) {
        char words[200];
        snprintf(words, sizeof words, "%s%.170s", in_place ? "as a dead letter: " : "", why);
        rkb_shipper_wait(shipper, lane, words);
        return;
    }
    rkb_shipper_shut(shipper, in_place ? letters_topic(shipper, &lane->held) : lane->held.topic, error);
    if (in_place)
        give_to_file(shipper, lane);
    else if (rkb_shipper_file_letter(shipper, lane, &lane->held))
        lane->holding = false;
}

void rkb_shipper_letter_taken(struct rkb_shipper *shipper, struct rkb_lane *lane)
{
    say(shipper, lane, &lane->held, topic_name(shipper, letters_topic(shipper, &lane->held)), lane->aside_why);
    lane->aside_code = NULL;
    lane->holding = false;
}
