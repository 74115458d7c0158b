/* view_shipped -- what the shipper's figures, and those of the process, come to in the snapshot; see view_state.h. */
#include "daemon/view_state.h"

#include <sys/resource.h>

/* Bytes of records that wait in journal and ring. */
static uint64_t waiting(const struct rkb_view *view, const struct rkb_shipped *shipped)
{
    size_t ring = rkb_ring_size(view->options.ring) - rkb_ring_room(view->options.ring);
    uint64_t journal =
        shipped->taken_bytes > shipped->settled_bytes ? shipped->taken_bytes - shipped->settled_bytes : 0;
    return journal + ring;
}

/* What the journal may come to: its limit, or what it has and the disk may still give. */
static uint64_t most_bytes(const struct rkb_journal_figures *journal)
{
    uint64_t room = journal->free > journal->min_free ? journal->free - journal->min_free : 0;
    return room < journal->max_size && journal->bytes + room < journal->max_size ? journal->bytes + room
                                                                                 : journal->max_size;
}

static double seconds_to_full(const struct rkb_view *view, const struct rkb_shipped *shipped)
{
    if (shipped->full)
        return 0;
    if (view->growth < 1 || view->snapshot.totals.pending == 0)
        return -1;
    uint64_t used = waiting(view, shipped), most = most_bytes(&shipped->journal);
    return used >= most ? 0 : (double)(most - used) / view->growth;
}

static const char *limit_name(enum rkb_limit limit)
{
    switch (limit) {
    case RKB_LIMIT_NONE:
        break;
    case RKB_LIMIT_MAX_SIZE:
        return "journal.max_size";
    case RKB_LIMIT_MIN_FREE:
        return "journal.min_free";
    case RKB_LIMIT_DISK:
        return "disk";
    case RKB_LIMIT_MEMORY:
        return "memory in the place of a disk that fails";
    }
    return NULL;
}

static void fill_journal(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    struct rkb_snapshot *snapshot = &view->snapshot;
    snapshot->journal.bytes = shipped->journal.bytes;
    snapshot->journal.max_size = shipped->journal.max_size;
    snapshot->journal.segments = shipped->journal.segments;
    snapshot->journal.checkpoint = shipped->journal.low;
    snapshot->journal.head = shipped->journal.head;
    snapshot->journal.synced = shipped->synced;
    snapshot->journal.ring_size = rkb_ring_size(view->options.ring);
    snapshot->journal.ring_bytes = snapshot->journal.ring_size - rkb_ring_room(view->options.ring);
    snapshot->journal.ring_outlives = rkb_ring_outlives(view->options.ring);
    snapshot->journal.ring_wanted = view->options.config->journal.ring_directory != NULL;
    snapshot->journal.full = shipped->full;
    snapshot->journal.limit = shipped->full ? limit_name(shipped->journal.limit) : NULL;
    snapshot->journal.disk_error = shipped->journal.degraded ? shipped->journal.trouble : NULL;
    snapshot->journal.memory_bytes = shipped->journal.memory;
    snapshot->journal.disk_free = shipped->journal.free;
    snapshot->journal.min_free = shipped->journal.min_free;
    bool waits = snapshot->totals.pending > 0;
    snapshot->journal.oldest_pending_seconds = waits ? rkb_view_age(view, shipped->oldest_us) : 0;
    snapshot->journal.oldest_moving_seconds = waits ? rkb_view_age(view, shipped->moving_us) : 0;
    snapshot->journal.seconds_to_full = seconds_to_full(view, shipped);
    snapshot->journal.directory = view->options.config->journal.directory;
}

/* librdkafka's own. */
static void fill_library(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    struct rkb_snapshot *snapshot = &view->snapshot;
    int64_t away_us = shipped->away_us > 0 ? view->options.sys->monotonic_us() - shipped->away_us : 0;
    snapshot->kafka.library = rd_kafka_version_str();
    snapshot->kafka.away_seconds = away_us > 0 ? (double)away_us / 1e6 : 0;
    snapshot->kafka.outage_budget_seconds = (double)view->options.config->kafka.outage_budget / 1e6;
    snapshot->kafka.queue = shipped->queue_length;
    snapshot->kafka.brokers_connected = shipped->brokers_up;
    size_t count = 0;
    for (; count < shipped->broker_count && count < RKB_BROKERS_SHOWN; count++) {
        const struct rkb_broker_times *times = &shipped->brokers[count];
        snapshot->kafka.brokers[count] = (struct rkb_broker_snapshot){
            times->id, times->answers, (double)times->answers_us / 1e6, (double)times->throttled_us / 1e6};
    }
    snapshot->kafka.broker_count = count;
}

/* The histograms are lent: of the shipper's figures, and of the loop's own. */
static void fill_histograms(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    view->snapshot.histograms.delivery = &shipped->delivery;
    view->snapshot.histograms.produce = &shipped->produce;
    view->snapshot.histograms.sync = &shipped->sync;
    view->snapshot.histograms.turn = &view->options.relay->turn.spans;
    view->snapshot.histograms.size = &view->options.relay->sizes;
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void fill_process(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    struct rkb_snapshot *snapshot = &view->snapshot;
    struct rusage usage;
    struct rlimit limit;
    snapshot->process.start_seconds = view->start_seconds;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        snapshot->process.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        snapshot->process.max_fds = limit.rlim_cur;
    snapshot->process.resident_bytes = shipped->process.resident_bytes;
    snapshot->process.virtual_bytes = shipped->process.virtual_bytes;
    snapshot->process.open_fds = shipped->process.open_fds;
}

static void fill_kafka(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    struct rkb_snapshot *snapshot = &view->snapshot;
    snapshot->kafka.connected = shipped->connected;
    snapshot->kafka.in_flight = shipped->in_flight;
    snapshot->kafka.rebuilds_total = shipped->rebuilds_total;
    snapshot->kafka.bootstrap_servers = view->options.bootstrap_servers;
    snapshot->kafka.topics_waiting = shipped->topics_waiting;
    snapshot->kafka.dead_letter_bytes = shipped->dead.bytes;
    snapshot->kafka.dead_letter_limit = shipped->dead.limit;
    snapshot->kafka.refused = shipped->refused[0] != '\0' ? shipped->refused : NULL;
    snapshot->kafka.topics_missing = rkb_topics_missing(view->options.topics, view->missing_topics,
                                                        sizeof view->missing_topics);
    snapshot->kafka.missing_topics = view->missing_topics;
    size_t count = 0;
    while (count < RKB_KAFKA_ERRORS && count < RKB_KAFKA_ERROR_NAMES && shipped->errors[count].count > 0) {
        snapshot->kafka.errors[count].name = rd_kafka_err2name(shipped->errors[count].error);
        snapshot->kafka.errors[count].count = shipped->errors[count].count;
        count++;
    }
    snapshot->kafka.error_count = count;
    fill_library(view, shipped);
    snapshot->latency.p50_seconds = rkb_latency_quantile(&shipped->latency, 0.5);
    snapshot->latency.p99_seconds = rkb_latency_quantile(&shipped->latency, 0.99);
    snapshot->latency.max_seconds = (double)shipped->latency.max_us / 1e6;
    snapshot->latency.count = shipped->latency.count;
}

void rkb_view_fill_shipped(struct rkb_view *view, const struct rkb_shipped *shipped)
{
    fill_journal(view, shipped);
    fill_kafka(view, shipped);
    fill_histograms(view, shipped);
    fill_process(view, shipped);
}

void rkb_view_grow(struct rkb_view *view)
{
    uint64_t now = waiting(view, rkb_shipper_figures(view->options.shipper));
    double growth = (double)now - (double)view->last_waiting;
    view->last_waiting = now;
    view->growth += (growth - view->growth) / 8;
}
