/*
 * shipper -- see shipper.h.
 *
 *     appended --> in flight --> acknowledged --> (segment may go)
 *         ^           |
 *         |           +--> refused: hold the line, let what is in flight land, wait, go on from the lowest open one
 *         +--------------- fatal: free the producer, make a new one, go on from the lowest open one, the same bytes
 *
 * Promise: the checkpoint never passes a record that Kafka has not acknowledged. A record is in a segment before it is
 * produced. Never: touches a Redis connection, changes a record, makes the loop wait.
 *
 * One turn: take what is in the ring, send what the producer takes, serve its deliveries, sync and write the checkpoint when due, post
 * the figures. After a turn that found little it rests a millisecond, so that wake-ups are paid per batch; then it
 * sleeps on its eventfd, which the loop and librdkafka write to. In a flood it only takes: a message that is in the journal can wait
 * for Kafka, one that is still in Redis's output buffer cannot.
 */
#include "daemon/shipper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "daemon/flight.h"
#include "daemon/mailbox.h"
#include "daemon/settings.h"

#define FLIGHTS 32768               /* above the producer's own queue limit, so that is met first */
#define REST_NS 1000000             /* between turns that found little */
#define TURN_RECORDS 4096           /* sent between two looks at the ring */
#define FLOOD_PART 16               /* of the ring: more than that in one turn, and taking goes before sending */
#define CHECKPOINT_US 1000000
#define FIGURES_US 50000
#define RETRY_LEAST_US 250000
#define RETRY_MOST_US 15000000

struct rkb_shipper {
    struct rkb_shipper_options options;
    pthread_t thread;
    int wake_fd;

    /* Shared with the loop. */
    atomic_bool sleeping, full, failed, draining, drained, stopping;
    atomic_size_t wanted_room;
    struct rkb_error failure;           /* written before failed is stored */
    struct rkb_mailbox mailbox;

    /* The thread's own. */
    struct rkb_producer *producer;
    struct rkb_flights flights;
    struct rkb_cursor cursor;
    struct rkb_record held;             /* read but not sent: the producer's queue was full */
    bool holding;
    bool line_held;                     /* a record was refused: nothing goes out until retry_us */
    int64_t retry_us, retry_wait_us;
    int64_t now_us, real_us;            /* of this turn */
    int64_t synced_us, checkpoint_us, figures_us;
    uint64_t checkpoint_low;
    bool changed;                       /* figures to post */
    struct rkb_shipped *figures;        /* counted here, copied to the mailbox */
    size_t figures_size;
};

static void tell_loop(struct rkb_shipper *shipper)
{
    uint64_t one = 1;
    /* The descriptor is an eventfd: a failing write means that it is signalled already. */
    if (write(shipper->options.loop_fd, &one, sizeof one) < 0)
        return;
}

static void fail(struct rkb_shipper *shipper, const struct rkb_error *error)
{
    if (atomic_load(&shipper->failed))
        return;
    shipper->failure = *error;
    atomic_store(&shipper->failed, true);
    tell_loop(shipper);
}

/* ---- what the producer tells ---- */

static void count_error(struct rkb_shipped *figures, rd_kafka_resp_err_t error)
{
    size_t i = 0;
    while (i < RKB_KAFKA_ERRORS - 1 && figures->errors[i].count > 0 && figures->errors[i].error != error)
        i++;
    figures->errors[i].error = error;
    figures->errors[i].count++;
}

static void settle(struct rkb_shipper *shipper, uint64_t sequence)
{
    struct rkb_error error;
    if (!rkb_acks_add(rkb_journal_acks(shipper->options.journal), sequence, &error))
        fail(shipper, &error);
}

/* Holds the line: nothing more is sent before retry_us, and then from the lowest open record on. */
static void hold_line(struct rkb_shipper *shipper, const char *what, const char *why)
{
    if (shipper->line_held)
        return;
    shipper->line_held = true;
    shipper->retry_wait_us = shipper->retry_wait_us ? shipper->retry_wait_us * 2 : RETRY_LEAST_US;
    if (shipper->retry_wait_us > RETRY_MOST_US)
        shipper->retry_wait_us = RETRY_MOST_US;
    shipper->retry_us = shipper->now_us + shipper->retry_wait_us;
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "record_refused",
            "%s: %s; it stays in the journal, trying again in %lld ms", what, why, (long long)shipper->retry_wait_us / 1000);
}

static void on_delivered(void *context, void *opaque, rd_kafka_resp_err_t error)
{
    struct rkb_shipper *shipper = context;
    struct rkb_flight *flight = opaque;
    shipper->changed = true;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
        struct rkb_shipped_route *route = &shipper->figures->routes[flight->route];
        settle(shipper, flight->sequence);
        route->delivered++;
        route->settled++;
        shipper->figures->settled_bytes += flight->bytes;
        shipper->retry_wait_us = 0;
        rkb_latency_add(&shipper->figures->latency, shipper->real_us - flight->time_us);
    } else if (error != RD_KAFKA_RESP_ERR__PURGE_QUEUE && error != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT) {
        count_error(shipper->figures, error);
        if (!rkb_producer_fatal(shipper->producer, NULL))
            hold_line(shipper, "Kafka refused a record", rd_kafka_err2str(error));
    }
    rkb_segment_unpin(flight->segment);
    rkb_flights_land(&shipper->flights, flight);
}

static void on_error(void *context, rd_kafka_resp_err_t error, const char *reason)
{
    struct rkb_shipper *shipper = context;
    shipper->changed = true;
    count_error(shipper->figures, error);
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "kafka_error", "%s (%s)", reason, rd_kafka_err2name(error));
}

static void on_log(void *context, int level, const char *text)
{
    struct rkb_shipper *shipper = context;
    enum rkb_log_level ours = level <= 3 ? RKB_LOG_WARN : level <= 5 ? RKB_LOG_INFO : RKB_LOG_DEBUG;
    rkb_log(shipper->options.log, ours, "librdkafka", NULL, "%s", text);
}

static const struct rkb_producer_events producer_events = {
    .delivered = on_delivered,
    .error = on_error,
    .log = on_log,
};

/* ---- from the ring to the journal ---- */

/* Returns how many bytes were taken. */
static size_t take(struct rkb_shipper *shipper)
{
    struct rkb_ring *ring = shipper->options.ring;
    const uint8_t *records;
    size_t bytes = rkb_ring_peek(ring, &records), taken = 0;
    if (bytes == 0)
        return 0;
    struct rkb_error error;
    bool all = rkb_journal_append(shipper->options.journal, records, bytes, rkb_ring_salt(ring), &taken, &error);
    rkb_ring_consume(ring, taken);
    shipper->figures->taken_bytes += taken;
    shipper->changed = true;
    if (!all && error.code != RKB_FULL)
        fail(shipper, &error);
    bool full = !all && error.code == RKB_FULL;
    if (full != atomic_load(&shipper->full)) {
        atomic_store(&shipper->full, full);
        if (full)
            rkb_log(shipper->options.log, RKB_LOG_WARN, "journal", "journal_full", "%s", error.text);
        else
            rkb_log(shipper->options.log, RKB_LOG_INFO, "journal", "journal_room", "there is room again");
        tell_loop(shipper);
    }
    return taken;
}

static void offer_room(struct rkb_shipper *shipper)
{
    size_t wanted = atomic_load(&shipper->wanted_room);
    if (wanted > 0 && rkb_ring_room(shipper->options.ring) >= wanted) {
        atomic_store(&shipper->wanted_room, 0);
        tell_loop(shipper);
    }
}

/* ---- from the journal to Kafka ---- */

static void keep_gap(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    struct rkb_gap gap;
    struct rkb_error error;
    if (!rkb_gap_parse(record->value, &gap, &error)
        || (shipper->options.ledger != NULL && !rkb_ledger_append(shipper->options.ledger, &gap, &error)))
        rkb_log(shipper->options.log, RKB_LOG_ERROR, "journal", "ledger_failed", "gap not kept in the ledger: %s", error.text);
}

/* Hands one message to the producer. False when it has to wait. */
static bool send_message(struct rkb_shipper *shipper, const struct rkb_record *record)
{
    struct rkb_error error;
    const char *topic = rkb_dictionary_name(rkb_journal_dictionary(shipper->options.journal), RKB_NAME_TOPIC, record->topic);
    if (topic == NULL || record->route == 0 || record->route > shipper->options.route_limit) {
        rkb_fail(&error, RKB_DAMAGED, "record %llu names topic %u and route %u, which no dictionary record explains",
                 (unsigned long long)record->sequence, record->topic, record->route);
        fail(shipper, &error);
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
        hold_line(shipper, topic, error.text);
        return false;
    }
    *flight = (struct rkb_flight){
        .sequence = record->sequence,
        .time_us = record->time_us,
        .segment = shipper->cursor.segment,
        .route = record->route,
        .bytes = (uint32_t)rkb_record_size(record->key.size, record->headers.size, record->value.size),
    };
    enum rkb_sent sent = rkb_producer_send(shipper->producer, &outgoing, &error);
    if (sent == RKB_SENT) {
        rkb_segment_pin(flight->segment);
        rkb_flights_keep(&shipper->flights, flight);
    } else if (sent == RKB_SENT_REFUSED) {
        hold_line(shipper, "librdkafka refused a record", error.text);
    }
    return sent == RKB_SENT;
}

/* The next record that is not settled yet, from the cursor. False when there is none, or the journal does not read back. */
static bool next_open(struct rkb_shipper *shipper, struct rkb_record *record)
{
    const struct rkb_acks *acks = rkb_journal_acks(shipper->options.journal);
    struct rkb_error error;
    enum rkb_next next;
    do
        next = rkb_cursor_next(&shipper->cursor, record, &error);
    while (next == RKB_NEXT_RECORD && rkb_acks_has(acks, record->sequence));
    if (next == RKB_NEXT_DAMAGED || next == RKB_NEXT_FAILED)
        fail(shipper, &error);
    return next == RKB_NEXT_RECORD;
}

/* True when something was sent or settled. */
static bool ship(struct rkb_shipper *shipper)
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
            settle(shipper, shipper->held.sequence);
            shipper->figures->settled_bytes += rkb_record_size(0, 0, shipper->held.value.size);
        }
        shipper->holding = false;
        done++;
    }
    shipper->changed = shipper->changed || done > 0;
    return done > 0;
}

/* From the lowest open record on, whatever was in flight before. */
static void ship_from_checkpoint(struct rkb_shipper *shipper)
{
    shipper->holding = false;
    rkb_cursor_seek(&shipper->cursor, shipper->options.journal, rkb_acks_low(rkb_journal_acks(shipper->options.journal)));
}

static bool make_producer(struct rkb_shipper *shipper, struct rkb_error *error)
{
    shipper->producer = rkb_producer_new(shipper->options.properties, shipper->options.property_count, shipper->wake_fd,
                                         &producer_events, shipper, error);
    return shipper->producer != NULL;
}

/* A fatal error ends a producer for good: a new one sends again what is open, the same bytes in the same order. */
static void rebuild(struct rkb_shipper *shipper, const struct rkb_error *cause)
{
    rkb_log(shipper->options.log, RKB_LOG_WARN, "kafka", "producer_rebuilt",
            "fatal producer error: %s; %u records in flight are sent again by a new producer", cause->text, shipper->flights.count);
    shipper->figures->rebuilds_total++;
    shipper->holding = false;
    rkb_cursor_close(&shipper->cursor);
    rkb_producer_free(shipper->producer);
    struct rkb_error error;
    if (!make_producer(shipper, &error))
        fail(shipper, &error);
    shipper->line_held = false;
    ship_from_checkpoint(shipper);
}

static void mend(struct rkb_shipper *shipper)
{
    struct rkb_error cause;
    if (rkb_producer_fatal(shipper->producer, &cause)) {
        rebuild(shipper, &cause);
    } else if (shipper->line_held && shipper->flights.count == 0 && shipper->now_us >= shipper->retry_us) {
        shipper->line_held = false;
        ship_from_checkpoint(shipper);
    }
}

/* ---- sync and checkpoint ---- */

static bool sync_journal(struct rkb_shipper *shipper)
{
    struct rkb_error error;
    bool synced = rkb_journal_sync(shipper->options.journal, &error);
    if (!synced)
        fail(shipper, &error);
    shipper->synced_us = shipper->now_us;
    return synced;
}

static void write_checkpoint(struct rkb_shipper *shipper)
{
    struct rkb_journal *journal = shipper->options.journal;
    bool durable = shipper->options.sync_us != RKB_SYNC_NONE;
    struct rkb_error error;
    if (!rkb_journal_checkpoint(journal, durable ? rkb_journal_synced(journal) : UINT64_MAX, durable, &error))
        fail(shipper, &error);
    shipper->checkpoint_us = shipper->now_us;
    shipper->checkpoint_low = rkb_acks_low(rkb_journal_acks(journal));
    shipper->changed = true;
}

static void keep_promises(struct rkb_shipper *shipper)
{
    struct rkb_journal *journal = shipper->options.journal;
    int64_t interval = shipper->options.sync_us;
    bool unsynced = rkb_journal_synced(journal) < rkb_journal_next(journal);
    if (interval != RKB_SYNC_NONE && unsynced && shipper->now_us - shipper->synced_us >= interval && !sync_journal(shipper))
        return;
    uint64_t low = rkb_acks_low(rkb_journal_acks(journal));
    rkb_ring_note_low(shipper->options.ring, low);
    bool due = shipper->now_us - shipper->checkpoint_us >= (atomic_load(&shipper->full) ? CHECKPOINT_US / 10 : CHECKPOINT_US);
    if (due && low > shipper->checkpoint_low)
        write_checkpoint(shipper);
    rkb_journal_prepare(journal);
}

/* ---- figures ---- */

static int64_t oldest_us(const struct rkb_shipper *shipper)
{
    const struct rkb_flight *oldest = rkb_flights_oldest(&shipper->flights);
    if (oldest != NULL)
        return oldest->time_us;
    return shipper->holding ? shipper->held.time_us : 0;
}

static void post_figures(struct rkb_shipper *shipper)
{
    struct rkb_shipped *figures = shipper->figures;
    rkb_journal_figures(shipper->options.journal, &figures->journal);
    figures->synced = rkb_journal_synced(shipper->options.journal);
    figures->full = atomic_load(&shipper->full);
    figures->connected = shipper->producer != NULL && rkb_producer_connected(shipper->producer);
    figures->in_flight = shipper->flights.count;
    figures->oldest_us = oldest_us(shipper);
    memcpy(rkb_mailbox_draft(&shipper->mailbox), figures, shipper->figures_size);
    rkb_mailbox_post(&shipper->mailbox);
    shipper->figures_us = shipper->now_us;
    shipper->changed = false;
}

/* ---- the thread ---- */

static bool nothing_left(const struct rkb_shipper *shipper)
{
    const uint8_t *at;
    return rkb_ring_peek(shipper->options.ring, &at) == 0
        && rkb_acks_low(rkb_journal_acks(shipper->options.journal)) == rkb_journal_next(shipper->options.journal);
}

static void rest(long nanoseconds)
{
    struct timespec time = {0, nanoseconds};
    nanosleep(&time, NULL);
}

static int sleep_limit_ms(const struct rkb_shipper *shipper)
{
    if (shipper->line_held || atomic_load(&shipper->full) || shipper->changed)
        return 50;
    return 250;
}

/* Sleeps until the loop or librdkafka writes, or something is due. */
static void doze(struct rkb_shipper *shipper)
{
    const uint8_t *at;
    atomic_store(&shipper->sleeping, true);
    atomic_thread_fence(memory_order_seq_cst);
    bool waiting = rkb_ring_peek(shipper->options.ring, &at) > 0 && !atomic_load(&shipper->full);
    if (!waiting && !atomic_load(&shipper->stopping)) {
        struct pollfd descriptor = {.fd = shipper->wake_fd, .events = POLLIN};
        poll(&descriptor, 1, sleep_limit_ms(shipper));
    }
    atomic_store(&shipper->sleeping, false);
    uint64_t count;
    while (read(shipper->wake_fd, &count, sizeof count) > 0) {
    }
}

static void turn(struct rkb_shipper *shipper)
{
    shipper->now_us = shipper->options.sys->monotonic_us();
    shipper->real_us = shipper->options.sys->realtime_us();
    size_t taken = take(shipper);
    if (shipper->options.sync_us == RKB_SYNC_ALWAYS && taken > 0 && !sync_journal(shipper))
        return;
    bool flood = taken > rkb_ring_size(shipper->options.ring) / FLOOD_PART;
    bool shipped = !flood && ship(shipper);
    int served = rkb_producer_poll(shipper->producer);
    mend(shipper);
    keep_promises(shipper);
    offer_room(shipper);
    bool drained = atomic_load(&shipper->draining) && nothing_left(shipper);
    if (shipper->changed && (drained || shipper->now_us - shipper->figures_us >= FIGURES_US))
        post_figures(shipper);
    if (drained && !atomic_exchange(&shipper->drained, true))
        tell_loop(shipper);
    if (taken == 0 && !shipped && served == 0)
        doze(shipper);
    else if (!flood && rkb_ring_room(shipper->options.ring) > rkb_ring_size(shipper->options.ring) / 4 * 3)
        rest(REST_NS);
}

static void *run(void *context)
{
    struct rkb_shipper *shipper = context;
    pthread_setname_np(pthread_self(), "rkb-shipper");
    while (!atomic_load(&shipper->stopping)) {
        if (atomic_load(&shipper->failed))
            rest(10 * REST_NS);
        else
            turn(shipper);
    }
    return NULL;
}

/* ---- what the loop calls ---- */

void rkb_shipper_free(struct rkb_shipper *shipper)
{
    rkb_cursor_close(&shipper->cursor);
    if (shipper->producer != NULL)
        rkb_producer_free(shipper->producer);
    if (shipper->wake_fd >= 0)
        close(shipper->wake_fd);
    rkb_flights_free(&shipper->flights);
    rkb_mailbox_free(&shipper->mailbox);
    free(shipper->figures);
    free(shipper);
}

/* The thread is started with all signals blocked: they are the loop's. */
static bool start_thread(struct rkb_shipper *shipper, struct rkb_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = make_producer(shipper, error);
    errno = made ? pthread_create(&shipper->thread, NULL, run, shipper) : 0;
    bool started = made && errno == 0;
    if (made && !started)
        rkb_fail_errno(error, "cannot start the shipper's thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

struct rkb_shipper *rkb_shipper_start(const struct rkb_shipper_options *options, struct rkb_error *error)
{
    struct rkb_shipper *shipper = calloc(1, sizeof *shipper);
    if (shipper == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the shipper");
        return NULL;
    }
    shipper->options = *options;
    shipper->figures_size = sizeof *shipper->figures + (options->route_limit + 1) * sizeof shipper->figures->routes[0];
    shipper->figures = calloc(1, shipper->figures_size);
    shipper->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool made = rkb_mailbox_init(&shipper->mailbox, shipper->figures_size);
    made = rkb_flights_init(&shipper->flights, FLIGHTS) && made;
    if (!made || shipper->figures == NULL || shipper->wake_fd < 0) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory or descriptors for the shipper");
        rkb_shipper_free(shipper);
        return NULL;
    }
    shipper->now_us = shipper->synced_us = shipper->checkpoint_us = options->sys->monotonic_us();
    ship_from_checkpoint(shipper);
    post_figures(shipper);
    if (!start_thread(shipper, error)) {
        rkb_shipper_free(shipper);
        return NULL;
    }
    return shipper;
}

static void wake(struct rkb_shipper *shipper)
{
    uint64_t one = 1;
    if (write(shipper->wake_fd, &one, sizeof one) < 0)
        return;     /* signalled already */
}

void rkb_shipper_wake(struct rkb_shipper *shipper)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&shipper->sleeping, memory_order_relaxed) && atomic_exchange(&shipper->sleeping, false))
        wake(shipper);
}

bool rkb_shipper_full(const struct rkb_shipper *shipper)
{
    return atomic_load(&shipper->full);
}

bool rkb_shipper_failed(struct rkb_shipper *shipper, struct rkb_error *error)
{
    if (!atomic_load(&shipper->failed))
        return false;
    *error = shipper->failure;
    return true;
}

void rkb_shipper_want_room(struct rkb_shipper *shipper, size_t room)
{
    atomic_store(&shipper->wanted_room, room);
    wake(shipper);
}

void rkb_shipper_drain(struct rkb_shipper *shipper)
{
    atomic_store(&shipper->draining, true);
    wake(shipper);
}

bool rkb_shipper_drained(const struct rkb_shipper *shipper)
{
    return atomic_load(&shipper->drained);
}

const struct rkb_shipped *rkb_shipper_figures(struct rkb_shipper *shipper)
{
    return rkb_mailbox_read(&shipper->mailbox);
}

bool rkb_shipper_stop(struct rkb_shipper *shipper, struct rkb_error *error)
{
    atomic_store(&shipper->stopping, true);
    wake(shipper);
    pthread_join(shipper->thread, NULL);
    bool failed = atomic_load(&shipper->failed);
    if (!failed) {
        take(shipper);
        rkb_producer_poll(shipper->producer);
        if (shipper->options.sync_us == RKB_SYNC_NONE || sync_journal(shipper))
            write_checkpoint(shipper);
        failed = atomic_load(&shipper->failed);
    }
    if (failed && error != NULL)
        *error = shipper->failure;
    post_figures(shipper);
    return !failed;
}
