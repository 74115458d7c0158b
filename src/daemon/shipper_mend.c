/*
 * shipper_mend -- the producers: making, serving, watching and replacing them; see shipper.h.
 *
 *     made --> serving --fatal error, or nothing lands for too long--> freed, what was in flight came back --> made
 *
 * A fatal error ends a producer for good. One that reports nothing may be stuck for ever too (seen after metadata
 * without a leader), so a lane in which nothing lands for kafka.watchdog counts like one. A new producer sends again
 * what is open, the same bytes in the same order. Where Kafka refuses the login, one is made as soon as the files of
 * kafka.properties.NAME_file hold something else.
 *
 * Promise: what came back goes out again from the lowest of its lane; a producer whose end is as sudden each time comes
 * later and later. Never: frees a segment that a producer may still read.
 */
#include "daemon/shipper_state.h"

#include <string.h>

#include "config/properties.h"

#define SCRAM_MENDED 0x020601ff         /* librdkafka 2.6.1 */
#define AWAY 5                          /* so many times the watchdog's time without a connection */
#define DENIED_US 1000000               /* between two looks for other credentials */
#define LOOK_US 50000                   /* between two looks at what stands still */
#define WATCH_MOST_US INT64_C(3600000000)
#define NARROW_US INT64_C(60000000)     /* a bound that a refused batch taught is doubled this often */
#define WIDE_BYTES (4u << 20)           /* a bound this large is none any more */

/* ---- what the producers tell ---- */

static void count_error(struct rkb_shipped *figures, rd_kafka_resp_err_t error)
{
    size_t i = 0;
    while (i < RKB_KAFKA_ERRORS - 1 && figures->errors[i].count > 0 && figures->errors[i].error != error)
        i++;
    figures->errors[i].error = error;
    figures->errors[i].count++;
}

/* By it the loop knows that a canary has arrived. */
static void note_newest(const struct rkb_shipper *shipper, struct rkb_shipped_route *route, uint64_t sequence)
{
    if (sequence <= route->newest)
        return;
    route->newest = sequence;
    route->newest_us = shipper->now_us;
}

static void delivered(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_flight *flight)
{
    struct rkb_shipped_route *route = &shipper->figures->routes[flight->route];
    rkb_shipper_settle(shipper, flight->sequence);
    *(flight->dead ? &route->dead_lettered : &route->delivered) += 1;
    route->settled++;
    shipper->figures->settled_bytes += flight->bytes;
    rkb_histogram_add_span(&shipper->figures->produce, shipper->now_us - flight->sent_us);
    if (!flight->dead) {
        rkb_latency_add(&shipper->figures->latency, shipper->real_us - flight->time_us);
        rkb_histogram_add_span(&shipper->figures->delivery, shipper->real_us - flight->time_us);
        note_newest(shipper, route, flight->sequence);
    }
    rkb_shipper_taken(shipper, lane, flight);
    *(flight->alone ? &shipper->alone_wait_us : &shipper->rebuild_wait_us) = 0;
    if (!shipper->troubled)
        return;
    shipper->troubled = shipper->denied = false;
    rkb_log(shipper->options.log, RKB_LOG_INFO, "kafka", "delivering", "Kafka takes records again");
}

/* Given back unsent, because its producer is being freed. */
static bool is_given_back(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__PURGE_QUEUE || error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT
        || error == RD_KAFKA_RESP_ERR__FATAL;
}

static void came_back(struct rkb_shipper *shipper, struct rkb_lane *lane, const struct rkb_flight *flight,
                      rd_kafka_resp_err_t error)
{
    if (!is_given_back(error))
        count_error(shipper->figures, error);
    lane->moves = false;
    if (flight->alone) {
        lane->next = flight->sequence;
        if (!is_given_back(error))
            rkb_shipper_refused_alone(shipper, lane, error);
        return;
    }
    if (flight->sequence < lane->returned)
        lane->returned = flight->sequence;
    shipper->returned = true;
    if (!is_given_back(error))
        rkb_shipper_refused(shipper, lane, flight->sequence, flight->bytes, error);
}

static void on_delivered(void *context, void *opaque, rd_kafka_resp_err_t error)
{
    struct rkb_shipper *shipper = context;
    struct rkb_flight *flight = opaque;
    struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, flight->topic);
    shipper->changed = true;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR)
        delivered(shipper, lane, flight);
    else
        came_back(shipper, lane, flight, error);
    rkb_flight_land(&shipper->lanes, flight, shipper->now_us);
}

/* A refusal that stopped the line for the sake of order is told by its record, not here. */
static bool is_for_order(const struct rkb_shipper *shipper)
{
    return shipper->producer != NULL && rkb_producer_stopped_for_order(shipper->producer);
}

/* Up to 2.6.0 librdkafka sends its own part of the nonce twice, which Kafka 4 refuses (RFC 5802, section 5.1). */
static const char *advice_on_login(const struct rkb_shipper *shipper)
{
    const char *mechanism = rkb_property_find(shipper->options.properties, "sasl.mechanisms");
    if (mechanism == NULL)
        mechanism = rkb_property_find(shipper->options.properties, "sasl.mechanism");
    if (mechanism == NULL || strncmp(mechanism, "SCRAM", 5) != 0 || rd_kafka_version() >= SCRAM_MENDED)
        return "";
    return "; where user and password are right: a librdkafka older than 2.6.1 can not log in by SCRAM to Kafka 4, use "
           "a newer one, or PLAIN over TLS";
}

/* librdkafka says only that OpenSSL did not believe the certificate. */
static const char *advice(const struct rkb_shipper *shipper, rd_kafka_resp_err_t error, const char *reason)
{
    if (error == RD_KAFKA_RESP_ERR__AUTHENTICATION)
        return advice_on_login(shipper);
    if (error == RD_KAFKA_RESP_ERR__SSL && strstr(reason, "certificate verify failed") != NULL)
        return "; or it has expired, or is not for that name: look at what openssl s_client -connect shows of it";
    return "";
}

/* While one broker is connected, another that is not keeps only its own topics: what goes on need not be said. */
static void on_error(void *context, rd_kafka_resp_err_t error, const char *reason)
{
    struct rkb_shipper *shipper = context;
    bool denied = error == RD_KAFKA_RESP_ERR__AUTHENTICATION || error == RD_KAFKA_RESP_ERR__SSL;
    bool connected = shipper->producer != NULL && rkb_producer_connected(shipper->producer);
    if (error == RD_KAFKA_RESP_ERR__FATAL && is_for_order(shipper))
        return;
    shipper->changed = true;
    shipper->denied = shipper->denied || denied;
    shipper->troubled = shipper->troubled || denied || !connected;
    count_error(shipper->figures, error);
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "kafka_error", "%s (%s)%s", reason, rd_kafka_err2name(error),
            advice(shipper, error, reason));
}

/* What librdkafka logs as an error it reports as one too (on_error); only what is worse is said twice. */
static void on_log(void *context, int level, const char *text)
{
    struct rkb_shipper *shipper = context;
    bool worse = level <= 2 && !is_for_order(shipper);
    rkb_log(shipper->options.log, worse ? RKB_LOG_WARN : RKB_LOG_DEBUG, "librdkafka", "librdkafka", "%s", text);
}

static const struct rkb_producer_events producer_events = {
    .delivered = on_delivered,
    .error = on_error,
    .log = on_log,
};

/* ---- making ---- */

/* A credential that was rotated counts from now on; where it cannot be read, the one from the start does. */
static struct rkb_producer *make(struct rkb_shipper *shipper, enum rkb_producer_role role, struct rkb_error *error)
{
    const struct rkb_properties *given = shipper->options.properties;
    struct rkb_properties read;
    struct rkb_error why;
    bool fresh = rkb_properties_read(given, &read, &why);
    if (!fresh)
        rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "properties_unread",
                "%s; the value from the start is used", why.text);
    const struct rkb_properties *used = fresh ? &read : given;
    struct rkb_producer *producer = rkb_producer_new(role, used->list, used->count, shipper->wake_fd, &producer_events,
                                                     shipper, error);
    if (role == RKB_PRODUCER_LINE) {
        rkb_properties_free(&shipper->made_of);
        shipper->made_of = read;
    } else {
        rkb_properties_free(&read);
    }
    return producer;
}

bool rkb_shipper_make_producer(struct rkb_shipper *shipper, struct rkb_error *error)
{
    struct rkb_lanes *lanes = &shipper->lanes;
    shipper->producer = make(shipper, RKB_PRODUCER_LINE, error);
    if (shipper->producer == NULL)
        return false;
    size_t records = rkb_producer_queue_records(shipper->producer);
    lanes->places = records < lanes->pool_size ? (uint32_t)records : lanes->pool_size;
    lanes->byte_places = rkb_producer_queue_bytes(shipper->producer);
    return true;
}

/* No other producer of this kind before *at_us. */
static void put_off(const struct rkb_shipper *shipper, int64_t *at_us, int64_t *wait_us)
{
    *wait_us = rkb_shipper_longer(*wait_us);
    *at_us = shipper->now_us + *wait_us;
}

/* What one is made of is read anew, and may be half written just now; memory and threads may be had later. */
static void say_not_made(struct rkb_shipper *shipper, const struct rkb_error *error, int64_t wait_us)
{
    shipper->changed = shipper->troubled = true;
    rkb_log(shipper->options.log, RKB_LOG_ERROR, "kafka", "producer_failed",
            "no new producer: %s; records wait in the journal, trying again in %lld ms", error->text,
            (long long)wait_us / 1000);
}

struct rkb_producer *rkb_shipper_alone(struct rkb_shipper *shipper)
{
    struct rkb_error error;
    if (shipper->alone != NULL || shipper->now_us < shipper->alone_us)
        return shipper->alone;
    shipper->alone = make(shipper, RKB_PRODUCER_ALONE, &error);
    if (shipper->alone == NULL) {
        put_off(shipper, &shipper->alone_us, &shipper->alone_wait_us);
        say_not_made(shipper, &error, shipper->alone_wait_us);
    }
    return shipper->alone;
}

void rkb_shipper_poll(struct rkb_shipper *shipper)
{
    if (shipper->producer != NULL)
        rkb_producer_poll(shipper->producer);
    if (shipper->alone != NULL)
        rkb_producer_poll(shipper->alone);
}

/* ---- replacing ---- */

/* What a freed producer did not give back in its time is not its any more either. */
static void give_up_flights(struct rkb_shipper *shipper, bool alone)
{
    struct rkb_lanes *lanes = &shipper->lanes;
    for (uint32_t topic = 1; topic <= lanes->topic_count; topic++) {
        struct rkb_flight *flight = rkb_lanes_at(lanes, topic)->oldest;
        while (flight != NULL) {
            struct rkb_flight *after = flight->after;
            if (flight->alone == alone)
                on_delivered(shipper, flight, RD_KAFKA_RESP_ERR__PURGE_INFLIGHT);
            flight = after;
        }
    }
}

static void make_again(struct rkb_shipper *shipper)
{
    struct rkb_error error;
    if (rkb_shipper_make_producer(shipper, &error))
        return;
    put_off(shipper, &shipper->rebuild_us, &shipper->rebuild_wait_us);
    say_not_made(shipper, &error, shipper->rebuild_wait_us);
}

/* What is counted of brokers goes on counting with the next producer. */
static void note_brokers(struct rkb_shipper *shipper, struct rkb_producer *old)
{
    struct rkb_broker_times times[RKB_BROKERS_TIMED];
    size_t count = rkb_producer_broker_times(old, times);
    shipper->broker_count = rkb_broker_times_add(shipper->brokers, shipper->broker_count, times, count);
}

static void rebuild(struct rkb_shipper *shipper)
{
    struct rkb_producer *old = shipper->producer;
    shipper->figures->rebuilds_total++;
    shipper->changed = true;
    shipper->producer = NULL;
    note_brokers(shipper, old);
    rkb_producer_free(old);
    give_up_flights(shipper, false);
    make_again(shipper);
}

static void replace_fatal(struct rkb_shipper *shipper, const struct rkb_error *cause)
{
    if (shipper->now_us < shipper->rebuild_us)
        return;
    if (rkb_producer_stopped_for_order(shipper->producer))
        rkb_log(shipper->options.log, RKB_LOG_INFO, "kafka", "producer_rebuilt",
                "a record was refused among others; so that none overtakes it, %u in flight are sent again by a new "
                "producer", shipper->lanes.in_flight);
    else
        rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "producer_rebuilt",
                "fatal producer error: %s; %u records in flight are sent again by a new producer", cause->text,
                shipper->lanes.in_flight);
    rebuild(shipper);
    if (shipper->producer != NULL)
        put_off(shipper, &shipper->rebuild_us, &shipper->rebuild_wait_us);
}

/* The one for records that go alone has at most one of each lane; they go again by the next, made when it is needed. */
static void give_up_alone(struct rkb_shipper *shipper)
{
    struct rkb_producer *old = shipper->alone;
    shipper->figures->rebuilds_total++;
    shipper->changed = true;
    rkb_producer_free(old);
    give_up_flights(shipper, true);
    shipper->alone = NULL;
    put_off(shipper, &shipper->alone_us, &shipper->alone_wait_us);
}

static void replace_alone(struct rkb_shipper *shipper)
{
    struct rkb_error cause;
    if (shipper->alone == NULL || !rkb_producer_fatal(shipper->alone, &cause))
        return;
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "producer_rebuilt",
            "fatal error of the producer for records that go alone: %s", cause.text);
    give_up_alone(shipper);
}

/*
 * A lane that stands still for longer than it may; NULL when none does. Without a connection none can move, and a new
 * producer would only make come twice what this one sends again as the same: it may take AWAY times as long, in case
 * it is the connecting that hangs.
 */
static struct rkb_lane *stuck_for_too_long(struct rkb_shipper *shipper)
{
    int64_t times = shipper->connected ? 1 : AWAY;
    for (uint32_t topic = 1; topic <= shipper->lanes.topic_count; topic++) {
        struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
        int64_t limit_us = lane->watch_us > 0 ? lane->watch_us : shipper->options.watchdog_us;
        if (lane->in_flight > 0 && (shipper->now_us - lane->moved_us) / times >= limit_us)
            return lane;
    }
    return NULL;
}

/* Kafka may only be away, and then a new producer changes nothing: the next comes after twice the time. */
static void wait_longer(struct rkb_shipper *shipper, bool alone)
{
    for (uint32_t topic = 1; topic <= shipper->lanes.topic_count; topic++) {
        struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
        int64_t limit_us = 2 * (lane->watch_us > 0 ? lane->watch_us : shipper->options.watchdog_us);
        if (rkb_lane_stuck(lane, shipper->now_us) && lane->oldest->alone == alone)
            lane->watch_us = limit_us < WATCH_MOST_US ? limit_us : WATCH_MOST_US;
    }
}

/* What stands still went by one producer or by the other: only that one is replaced. */
static void watch(struct rkb_shipper *shipper)
{
    struct rkb_lane *lane = shipper->options.watchdog_us > 0 ? stuck_for_too_long(shipper) : NULL;
    if (lane == NULL)
        return;
    bool alone = lane->oldest->alone;
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "producer_stuck",
            "nothing was reported for %lld s of %u records in flight for topic %s; all that %s has in flight are sent "
            "again by a new one", (long long)(shipper->now_us - lane->moved_us) / 1000000, lane->in_flight,
            rkb_shipper_topic(shipper, lane), alone ? "the producer for records that go alone" : "its producer");
    wait_longer(shipper, alone);
    if (alone)
        give_up_alone(shipper);
    else
        rebuild(shipper);
}

/*
 * The login is refused: with other credentials it may not be. The same ones are not tried by a new producer, since the
 * one that there is goes on trying. What cannot be read may be half written.
 */
static void try_other_credentials(struct rkb_shipper *shipper)
{
    const struct rkb_properties *given = shipper->options.properties;
    const struct rkb_properties *used = shipper->made_of.count > 0 ? &shipper->made_of : given;
    struct rkb_properties read;
    struct rkb_error unread;
    if (!shipper->denied || shipper->producer == NULL || shipper->now_us < shipper->denied_us)
        return;
    shipper->denied_us = shipper->now_us + DENIED_US;
    bool other = rkb_properties_read(given, &read, &unread) && !rkb_properties_equal(&read, used);
    rkb_properties_free(&read);
    if (!other)
        return;
    rkb_log(shipper->options.log, RKB_LOG_INFO, "kafka", "producer_rebuilt",
            "Kafka refused the login, and a file of kafka.properties holds something else now: %u records in flight "
            "are sent again by a new producer", shipper->lanes.in_flight);
    if (shipper->alone != NULL)
        give_up_alone(shipper);
    rebuild(shipper);
}

/* ---- going on ---- */

/* Lanes whose records all came back go on from the lowest of them. */
static void send_again(struct rkb_shipper *shipper)
{
    struct rkb_lanes *lanes = &shipper->lanes;
    shipper->returned = false;
    for (uint32_t topic = 1; topic <= lanes->topic_count; topic++) {
        struct rkb_lane *lane = rkb_lanes_at(lanes, topic);
        if (lane->returned == RKB_NOTHING_RETURNED)
            continue;
        if (lane->in_flight > 0) {
            shipper->returned = true;
            continue;
        }
        rkb_lane_fall_behind(lanes, lane, shipper->options.journal, lane->returned, 0);
        lane->returned = RKB_NOTHING_RETURNED;
    }
}

/* Kafka is back: from now on things should move. */
static void watch_anew(struct rkb_shipper *shipper)
{
    for (uint32_t topic = 1; topic <= shipper->lanes.topic_count; topic++)
        rkb_lanes_at(&shipper->lanes, topic)->moved_us = shipper->now_us;
}

static void widen(struct rkb_shipper *shipper)
{
    for (uint32_t topic = 1; topic <= shipper->lanes.topic_count; topic++) {
        struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
        if (lane->most_bytes == 0 || shipper->now_us - lane->most_bytes_us < NARROW_US)
            continue;
        lane->most_bytes = lane->most_bytes * 2 < WIDE_BYTES ? lane->most_bytes * 2 : 0;
        lane->most_bytes_us = shipper->now_us;
    }
}

void rkb_shipper_mend(struct rkb_shipper *shipper)
{
    struct rkb_error cause;
    bool connected = shipper->producer != NULL && rkb_producer_connected(shipper->producer);
    if (shipper->connected && !connected)
        rkb_shipper_regroup(shipper);
    if (!shipper->connected && connected)
        watch_anew(shipper);
    shipper->changed = shipper->changed || shipper->connected != connected;
    shipper->connected = connected;
    if (connected)
        shipper->figures->away_us = 0;
    else if (shipper->figures->away_us == 0)
        shipper->figures->away_us = shipper->now_us;
    if (shipper->producer == NULL && shipper->now_us >= shipper->rebuild_us)
        make_again(shipper);
    else if (shipper->producer != NULL && rkb_producer_fatal(shipper->producer, &cause))
        replace_fatal(shipper, &cause);
    replace_alone(shipper);
    try_other_credentials(shipper);
    if (shipper->now_us - shipper->looked_us >= LOOK_US) {
        shipper->looked_us = shipper->now_us;
        watch(shipper);
        widen(shipper);
    }
    if (shipper->returned)
        send_again(shipper);
}
