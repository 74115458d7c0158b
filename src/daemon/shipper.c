/*
 * shipper -- the thread, its turns, and what the loop calls; see shipper.h and, for its other parts, shipper_state.h.
 *
 * One turn: take what is in the ring, send what the producer takes, serve its deliveries, sync and write the
 * checkpoint when due, post the figures. After a turn that took something it rests 4.5 ms, so that wake-ups are
 * paid per batch; after one that took nothing it sleeps on its eventfd, which the loop, the syncer and librdkafka write
 * to. In a flood it only takes: a message that is in the journal can wait for Kafka, one that is still in Redis's
 * output buffer cannot.
 *
 * Promise: a record is in a segment before it is produced. Never: touches a Redis connection, changes a record, makes
 * the loop wait.
 */
#include "daemon/shipper_state.h"

#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define FLIGHTS 32768               /* above the producer's own queue limit, unless that is set higher */
#define REST_NS 4500000             /* after a turn that took something, so that wake-ups are paid per batch */
#define SHORT_REST_NS 1500000       /* the same while more waits than the producer takes */
#define FLOOD_PART 16               /* of the ring: more than that in one turn, and taking goes before sending */
#define FIGURES_US 50000
#define PROCESS_US 5000000
#define WAIT_LEAST_US 250000        /* before something that Kafka did not take is tried again */
#define WAIT_MOST_US 15000000
#define MANY_OPEN 10000             /* records that are not settled: more than come together in passing */
#define TRIM_US 30000000            /* from one time that memory is given back to the next */

void rkb_shipper_tell_loop(struct rkb_shipper *shipper)
{
    uint64_t one = 1;
    /* The descriptor is an eventfd: a failing write means that it is signalled already. */
    if (write(shipper->options.loop_fd, &one, sizeof one) < 0)
        return;
}

void rkb_shipper_fail(struct rkb_shipper *shipper, const struct rkb_error *error)
{
    if (atomic_load(&shipper->failed))
        return;
    shipper->failure = *error;
    atomic_store(&shipper->failed, true);
    rkb_shipper_tell_loop(shipper);
}

void rkb_shipper_settle(struct rkb_shipper *shipper, uint64_t sequence)
{
    struct rkb_error error;
    if (!rkb_acks_add(rkb_journal_acks(shipper->options.journal), sequence, &error))
        rkb_shipper_fail(shipper, &error);
}

int64_t rkb_shipper_longer(int64_t wait_us)
{
    if (wait_us == 0)
        return WAIT_LEAST_US;
    return wait_us * 2 < WAIT_MOST_US ? wait_us * 2 : WAIT_MOST_US;
}

static void offer_room(struct rkb_shipper *shipper)
{
    size_t wanted = atomic_load(&shipper->wanted_room);
    if (wanted > 0 && rkb_ring_room(shipper->options.ring) >= wanted) {
        atomic_store(&shipper->wanted_room, 0);
        rkb_shipper_tell_loop(shipper);
    }
}

/* ---- figures ---- */

/*
 * The time of the lowest record that is not settled; looked up once for each, since finding it reads a part of a
 * segment.
 */
static int64_t lowest_open_us(struct rkb_shipper *shipper, uint64_t low)
{
    struct rkb_record record = {0};
    struct rkb_cursor cursor = {0};
    struct rkb_error error;
    if (low == shipper->lowest_open)
        return shipper->lowest_open_us;
    rkb_cursor_seek(&cursor, shipper->options.journal, low);
    bool found = rkb_cursor_next(&cursor, &record, &error) == RKB_NEXT_RECORD;
    rkb_cursor_close(&cursor);
    shipper->lowest_open = low;
    shipper->lowest_open_us = found ? rkb_shipper_since(shipper, &record) : 0;
    return shipper->lowest_open_us;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

static int64_t *topic_times(struct rkb_shipped *figures)
{
    return (int64_t *)&figures->routes[figures->route_limit + 1];
}

const struct rkb_shipped_route *rkb_shipped_of(const struct rkb_shipped *figures, uint32_t route)
{
    static const struct rkb_shipped_route nothing;
    return route <= figures->route_limit ? &figures->routes[route] : &nothing;
}

int64_t rkb_shipped_topic_us(const struct rkb_shipped *figures, uint32_t topic)
{
    if (topic > figures->topic_limit)
        return 0;
    return ((const int64_t *)&figures->routes[figures->route_limit + 1])[topic];
}

static int64_t oldest_in_ring_us(const struct rkb_shipper *shipper)
{
    struct rkb_record record;
    const uint8_t *at;
    size_t bytes = rkb_ring_peek(shipper->options.ring, &at);
    bool waits = bytes > 0 && rkb_record_parse(at, bytes, rkb_ring_salt(shipper->options.ring), &record,
                                               NULL) == RKB_PARSE_RECORD;
    return waits ? rkb_shipper_since(shipper, &record) : 0;
}

/* Of the lanes, and of what the line has not passed yet. */
static int64_t oldest_us(struct rkb_shipper *shipper)
{
    uint64_t low = rkb_acks_low(rkb_journal_acks(shipper->options.journal));
    int64_t oldest = shipper->holding ? rkb_shipper_since(shipper, &shipper->held) : 0;
    for (uint32_t topic = 0; topic <= shipper->lanes.topic_count; topic++)
        oldest = earlier(oldest, topic_times(shipper->figures)[topic]);
    if (oldest == 0 && low < rkb_journal_next(shipper->options.journal))
        oldest = lowest_open_us(shipper, low);
    oldest = earlier(oldest, rkb_shipper_oldest_resting_us(shipper));
    return oldest != 0 ? oldest : oldest_in_ring_us(shipper);
}

/* Likewise, but of what does not rest. */
static int64_t moving_us(struct rkb_shipper *shipper)
{
    int64_t oldest = shipper->holding ? rkb_shipper_since(shipper, &shipper->held) : 0;
    if (shipper->resting.count == 0)
        return shipper->figures->oldest_us;
    for (uint32_t topic = 1; topic <= shipper->lanes.topic_count; topic++)
        if (!rkb_shipper_topic_rests(shipper, rkb_lanes_at(&shipper->lanes, topic)))
            oldest = earlier(oldest, topic_times(shipper->figures)[topic]);
    return oldest != 0 ? oldest : oldest_in_ring_us(shipper);
}

/* What each topic waits for, the first that refuses something in words. */
static void fill_topics(struct rkb_shipper *shipper)
{
    struct rkb_shipped *figures = shipper->figures;
    const struct rkb_dictionary *names = rkb_journal_dictionary(shipper->options.journal);
    figures->refused[0] = '\0';
    figures->topics_waiting = shipper->lanes.troubled;
    for (uint32_t topic = 0; topic <= shipper->lanes.topic_count; topic++) {
        const struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
        topic_times(figures)[topic] = rkb_lane_oldest_us(lane);
        if (lane->why[0] == '\0' || figures->refused[0] != '\0')
            continue;
        snprintf(figures->refused, sizeof figures->refused, "%s%s does not take a record of route %s: %s",
                 topic > 0 ? "topic " : "", rkb_shipper_topic(shipper, lane),
                 rkb_dictionary_name(names, RKB_NAME_ROUTE, lane->held.route), lane->why);
    }
}

size_t rkb_shipped_size(uint32_t routes, uint32_t topics)
{
    return sizeof(struct rkb_shipped) + ((size_t)routes + 1) * sizeof(struct rkb_shipped_route)
        + ((size_t)topics + 1) * sizeof(int64_t);
}

static void fill_kafka(struct rkb_shipper *shipper)
{
    struct rkb_shipped *figures = shipper->figures;
    struct rkb_producer *producer = shipper->producer;
    figures->connected = producer != NULL && rkb_producer_connected(producer);
    figures->in_flight = shipper->lanes.in_flight;
    figures->queue_length = producer != NULL ? rkb_producer_queue_length(producer) : 0;
    figures->brokers_up = producer != NULL ? rkb_producer_brokers_up(producer) : 0;
    struct rkb_broker_times times[RKB_BROKERS_TIMED];
    size_t count = producer != NULL ? rkb_producer_broker_times(producer, times) : 0;
    memcpy(figures->brokers, shipper->brokers, shipper->broker_count * sizeof times[0]);
    figures->broker_count = rkb_broker_times_add(figures->brokers, shipper->broker_count, times, count);
}

static void look_at_process(struct rkb_shipper *shipper)
{
    if (shipper->process_us != 0 && shipper->now_us - shipper->process_us < PROCESS_US)
        return;
    shipper->process_us = shipper->now_us;
    rkb_process_read(&shipper->figures->process);
}

static void post_figures(struct rkb_shipper *shipper)
{
    struct rkb_shipped *figures = shipper->figures;
    rkb_journal_figures(shipper->options.journal, &figures->journal);
    rkb_dead_figures(shipper->options.dead, &figures->dead);
    figures->synced = rkb_journal_synced(shipper->options.journal);
    figures->full = atomic_load(&shipper->full);
    fill_kafka(shipper);
    fill_topics(shipper);
    look_at_process(shipper);
    figures->line_us = shipper->holding ? rkb_shipper_since(shipper, &shipper->held) : oldest_in_ring_us(shipper);
    figures->oldest_us = oldest_us(shipper);
    figures->moving_us = moving_us(shipper);
    struct rkb_mailbox *mailbox = rkb_shipper_mailbox(shipper);
    memcpy(rkb_mailbox_draft(mailbox), figures, rkb_shipped_size(figures->route_limit, shipper->lanes.topic_count));
    rkb_mailbox_post(mailbox);
    shipper->figures_us = shipper->now_us;
    shipper->changed = false;
}

/*
 * Where each topic goes on is noted in the ring and in the next checkpoint, so that a start does not send again what a
 * topic had delivered while another stood still.
 */
static void note_low(struct rkb_shipper *shipper, uint32_t topic, uint64_t low)
{
    struct rkb_lane *lane = rkb_lanes_at(&shipper->lanes, topic);
    if (low <= lane->noted_low)
        return;
    lane->noted_low = low;
    rkb_journal_topic_low(shipper->options.journal, topic, low);
    rkb_ring_note_topic_low(shipper->options.ring, topic, low);
}

/* Marks and gaps are topic 0's: the line settles them as it passes. So are dead letters for the file, its lane's. */
static void note_lows(struct rkb_shipper *shipper)
{
    struct rkb_lanes *lanes = &shipper->lanes;
    uint64_t line = rkb_shipper_line(shipper), gaps = rkb_shipper_gaps_low(shipper, line);
    const struct rkb_lane *file = rkb_lanes_at(lanes, 0);
    if (atomic_load(&shipper->failed))      /* a cursor that met damage stands behind it */
        return;
    if (lanes->used <= 1 && !file->behind)
        return;
    note_low(shipper, 0, rkb_lane_low(file, gaps));
    for (uint32_t topic = 1; topic <= lanes->topic_count; topic++) {
        const struct rkb_lane *lane = rkb_lanes_at(lanes, topic);
        if (lane->sent_end > 0)
            note_low(shipper, topic, rkb_lane_low(lane, line));
    }
}

/* ---- the thread ---- */

/* Nothing that will go: what rests stays in the journal. */
static bool nothing_left(struct rkb_shipper *shipper)
{
    const uint8_t *at;
    if (rkb_ring_peek(shipper->options.ring, &at) > 0)
        return false;
    return rkb_acks_low(rkb_journal_acks(shipper->options.journal)) == rkb_journal_next(shipper->options.journal)
        || rkb_shipper_only_resting_left(shipper);
}

static void rest(long nanoseconds)
{
    struct timespec time = {0, nanoseconds};
    nanosleep(&time, NULL);
}

/* How long it may sleep where nobody wakes it: until something is due, and not longer than it takes to get stuck. */
static int sleep_limit_ms(struct rkb_shipper *shipper)
{
    bool waiting = shipper->lanes.in_flight > 0 || shipper->holding || !shipper->connected
                   || rkb_journal_degraded(shipper->options.journal, NULL);
    int64_t due_us = shipper->now_us + (waiting ? 250000 : 1000000), keep_us = rkb_shipper_keep_us(shipper);
    if (shipper->lanes.troubled > 0 || shipper->returned || atomic_load(&shipper->full) || shipper->changed)
        return 50;
    if (keep_us < due_us)
        due_us = keep_us;
    if (rkb_shipper_collects(shipper) && shipper->collect_until_us < due_us)
        due_us = shipper->collect_until_us;
    return due_us > shipper->now_us ? (int)((due_us - shipper->now_us) / 1000) + 1 : 0;
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

static bool is_flood(const struct rkb_shipper *shipper, size_t taken)
{
    return taken > rkb_ring_size(shipper->options.ring) / FLOOD_PART;
}

/*
 * What a busy moment took of memory goes back to the kernel in a calm one; glibc would keep it. That takes some
 * milliseconds, in which another thread may wait for its memory: so only now and then, and not while much waits.
 */
static void give_memory_back(struct rkb_shipper *shipper)
{
    struct rkb_journal *journal = shipper->options.journal;
    uint64_t low = rkb_acks_low(rkb_journal_acks(journal));
    if (shipper->now_us - shipper->trimmed_us < TRIM_US || rkb_journal_next(journal) - low > MANY_OPEN)
        return;
    shipper->trimmed_us = shipper->now_us;
    if (low == shipper->trimmed_low)
        return;
    shipper->trimmed_low = low;
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

static void take_up(struct rkb_shipper *shipper)
{
    if (!rkb_shipper_take_up(shipper))
        return;
    post_figures(shipper);
    rkb_shipper_taken_up(shipper);
}

size_t rkb_shipper_turn(struct rkb_shipper *shipper, int64_t now_us, int64_t real_us)
{
    shipper->now_us = now_us;
    shipper->real_us = real_us;
    size_t taken = rkb_shipper_take(shipper);
    take_up(shipper);
    if (shipper->options.sync_us == RKB_SYNC_ALWAYS && taken > 0 && !rkb_shipper_sync_now(shipper))
        return taken;
    shipper->collected += taken;
    rkb_shipper_poll(shipper);
    rkb_shipper_look_at_pauses(shipper);
    if (!is_flood(shipper, taken) && !rkb_shipper_collects(shipper))
        rkb_shipper_send(shipper);
    rkb_shipper_mend(shipper);
    note_lows(shipper);
    rkb_shipper_keep(shipper);
    give_memory_back(shipper);
    offer_room(shipper);
    bool drained = atomic_load(&shipper->draining) && nothing_left(shipper);
    if (shipper->changed && (drained || shipper->now_us - shipper->figures_us >= FIGURES_US))
        post_figures(shipper);
    if (drained && !atomic_exchange(&shipper->drained, true))
        rkb_shipper_tell_loop(shipper);
    return taken;
}

/* Between two turns; not at all while the ring fills. */
static void pause_after(struct rkb_shipper *shipper, size_t taken)
{
    struct rkb_ring *ring = shipper->options.ring;
    if (taken == 0 && !shipper->more)
        doze(shipper);
    else if (!is_flood(shipper, taken) && rkb_ring_room(ring) > rkb_ring_size(ring) / 4 * 3)
        rest(shipper->more || shipper->holding ? SHORT_REST_NS : REST_NS);
}

static void *run(void *context)
{
    struct rkb_shipper *shipper = context;
    const struct rkb_sys *sys = shipper->options.sys;
    pthread_setname_np(pthread_self(), "rkb-shipper");
    while (!atomic_load(&shipper->stopping)) {
        if (atomic_load(&shipper->failed))
            rest(4 * REST_NS);
        else
            pause_after(shipper, rkb_shipper_turn(shipper, sys->monotonic_us(), sys->realtime_us()));
    }
    return NULL;
}

/* ---- what the loop calls ---- */

void rkb_shipper_free(struct rkb_shipper *shipper)
{
    rkb_cursor_close(&shipper->cursor);
    rkb_producer_free(shipper->producer);
    rkb_producer_free(shipper->alone);
    rkb_properties_free(&shipper->made_of);
    if (shipper->syncer != NULL)
        rkb_syncer_stop(shipper->syncer);
    if (shipper->wake_fd >= 0)
        close(shipper->wake_fd);
    rkb_lanes_free(&shipper->lanes);
    rkb_mailbox_free(&shipper->mailbox);
    rkb_shipper_free_tables(shipper);
    free(shipper->figures);
    free(shipper->unkept);
    free(shipper);
}

/* All threads are started with all signals blocked: they are the loop's. */
static bool start_thread(struct rkb_shipper *shipper, struct rkb_error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool made = rkb_shipper_make_producer(shipper, error);
    if (made)
        shipper->syncer = rkb_syncer_start(shipper->wake_fd, error);
    made = made && shipper->syncer != NULL;
    errno = made ? pthread_create(&shipper->thread, NULL, run, shipper) : 0;
    bool started = made && errno == 0;
    if (made && !started)
        rkb_fail_errno(error, "cannot start the shipper's thread");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

static void begin_figures(struct rkb_shipper *shipper)
{
    struct rkb_shipped *figures = shipper->figures;
    figures->route_limit = shipper->options.route_limit;
    figures->topic_limit = shipper->options.topic_limit;
    figures->delivery.kind = &rkb_histogram_delivery;
    figures->produce.kind = &rkb_histogram_produce;
    figures->sync.kind = &rkb_histogram_sync;
    figures->away_us = shipper->options.sys->monotonic_us();
}

struct rkb_shipper *rkb_shipper_start(const struct rkb_shipper_options *options, struct rkb_error *error)
{
    struct rkb_shipper *shipper = calloc(1, sizeof *shipper);
    if (shipper == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the shipper");
        return NULL;
    }
    shipper->options = *options;
    size_t size = rkb_shipped_size(options->route_limit, options->topic_limit);
    shipper->figures = calloc(1, size);
    if (shipper->figures != NULL)
        begin_figures(shipper);
    shipper->offered_topics = options->topic_limit;
    shipper->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    bool made = rkb_mailbox_init(&shipper->mailbox, size);
    made = rkb_lanes_init(&shipper->lanes, options->topic_limit, FLIGHTS) && made;
    if (!made || shipper->figures == NULL || shipper->wake_fd < 0) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory or descriptors for the shipper");
        rkb_shipper_free(shipper);
        return NULL;
    }
    shipper->now_us = shipper->synced_us = shipper->checkpoint_us = options->sys->monotonic_us();
    rkb_shipper_from_checkpoint(shipper);
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

bool rkb_shipper_stop(struct rkb_shipper *shipper, struct rkb_error *error)
{
    atomic_store(&shipper->stopping, true);
    wake(shipper);
    pthread_join(shipper->thread, NULL);
    bool failed = atomic_load(&shipper->failed);
    if (!failed) {
        rkb_shipper_take(shipper);
        take_up(shipper);
        rkb_shipper_poll(shipper);
        note_lows(shipper);
        rkb_shipper_keep_last(shipper);
        failed = atomic_load(&shipper->failed);
    }
    if (failed && error != NULL)
        *error = shipper->failure;
    post_figures(shipper);
    return !failed;
}
