/*
 * metrics -- the rows, and how they are read; see metrics.h.
 *
 * Never: computes a figure that the snapshot has, looks anywhere but into the snapshot.
 */
#include "control/metrics.h"

#include <stddef.h>

#include "control/metrics_parts.h"

#define PLAIN(member) offsetof(struct rkb_snapshot, member)
#define ROUTE(member) offsetof(struct rkb_route_snapshot, member)
#define SOURCE(member) offsetof(struct rkb_source_snapshot, member)
#define BROKER(member) offsetof(struct rkb_broker_snapshot, member)

/* One figure; per route, source or broker; or by a function of its own. */
#define ONE(name, type, form, member, help) \
    {"rkbridge_" name, RKB_METRIC_##type, RKB_PER_ALL, RKB_FORM_##form, PLAIN(member), NULL, "", help}
#define EACH_ROUTE(name, type, form, member, help) \
    {"rkbridge_route_" name, RKB_METRIC_##type, RKB_PER_ROUTE, RKB_FORM_##form, ROUTE(member), NULL, "route", help}
#define EACH_SOURCE(name, type, form, member, help) \
    {"rkbridge_source_" name, RKB_METRIC_##type, RKB_PER_SOURCE, RKB_FORM_##form, SOURCE(member), NULL, "source", help}
#define EACH_BROKER(name, type, form, member, help) \
    {"rkbridge_kafka_broker_" name, RKB_METRIC_##type, RKB_PER_BROKER, RKB_FORM_##form, BROKER(member), NULL, \
     "broker", help}
#define OWN(name, type, labels, function, help) \
    {"rkbridge_" name, RKB_METRIC_##type, RKB_PER_ALL, RKB_FORM_U64, 0, function, labels, help}
#define SPANS(name, member, help) ONE(name, HISTOGRAM, HISTOGRAM, histograms.member, help)
#define PROCESS(name, type, form, member, help) \
    {"process_" name, RKB_METRIC_##type, RKB_PER_ALL, RKB_FORM_##form, PLAIN(process.member), NULL, "", help}

#define BOOK_HELP(help) "The books: " help "."

const struct rkb_metric rkb_metrics[] = {
    OWN("build_info", GAUGE, "version, librdkafka", rkb_metric_build,
        "1; the versions of rkbridge and of the librdkafka it runs with."),
    ONE("uptime_seconds", GAUGE, REAL, uptime_seconds, "How long this process has been running."),
    ONE("ready", GAUGE, TRUTH, ready,
        "1 where /readyz says so: all is subscribed, the journal takes records, Kafka is there or was not long ago."),
    OWN("verdict", GAUGE, "", rkb_metric_verdict, "What rkbctl status says in its first line: 0 OK, 1 WARN, 2 BAD."),
    ONE("lingering", GAUGE, TRUTH, lingering,
        "1 while it was asked to end, and takes messages for as long as linger says."),
    ONE("draining", GAUGE, TRUTH, draining, "1 while it ends: it takes no more, and ships what waits."),
    OWN("config_last_reload_successful", GAUGE, "", rkb_metric_reload,
        "0 where the last reload was refused: what runs is not what the config file says."),
    ONE("config_last_reload_success_timestamp_seconds", GAUGE, REAL, config.taken_seconds,
        "When the config that runs was taken, at the start or by a reload, since 1970."),

/* All books count up but for what is pending. */
#define BOOK(field, help) RKB_METRIC_BOOK_##field("messages_" #field, totals.field, BOOK_HELP(help))
#define COUNTED(name, member, help) ONE(name "_total", COUNTER, U64, member, help),
#define STANDING(name, member, help) ONE(name, GAUGE, U64, member, help),
#define RKB_METRIC_BOOK_received COUNTED
#define RKB_METRIC_BOOK_recovered COUNTED
#define RKB_METRIC_BOOK_delivered COUNTED
#define RKB_METRIC_BOOK_covered COUNTED
#define RKB_METRIC_BOOK_dead_lettered COUNTED
#define RKB_METRIC_BOOK_filtered COUNTED
#define RKB_METRIC_BOOK_echoed COUNTED
#define RKB_METRIC_BOOK_dropped COUNTED
#define RKB_METRIC_BOOK_pending STANDING
    RKB_BOOKS(BOOK)
#undef COUNTED
#undef STANDING
    OWN("books_imbalance", GAUGE, "", rkb_metric_imbalance,
        "received + recovered less all other books: 0, or rkbridge has a bug."),
    OWN("drops_total", COUNTER, "reason", rkb_metric_drops,
        "Messages given up, by reason; their sum is rkbridge_messages_dropped_total."),
    ONE("pending_age_seconds", GAUGE, REAL, journal.oldest_pending_seconds,
        "How long the oldest record that is not settled has waited; 0: none waits."),
    ONE("pending_moving_age_seconds", GAUGE, REAL, journal.oldest_moving_seconds,
        "The same without what is paused."),
    ONE("pauses", GAUGE, U64, pause_count, "Routes and topics that somebody has paused."),
    OWN("pauses_unread", GAUGE, "", rkb_metric_pauses_unread,
        "1 where what was paused before the start is not, because its file could not be read."),
    ONE("intake_stopped", GAUGE, TRUTH, intake_stopped, "1 while somebody keeps us unsubscribed: messages are missed."),

#define COUNTED(name, member, help) EACH_ROUTE(name "_total", COUNTER, U64, member, help),
#define STANDING(name, member, help) EACH_ROUTE(name, GAUGE, U64, member, help),
#define BOOK_OF_ROUTE(field, help) RKB_METRIC_BOOK_##field("messages_" #field, books.field, BOOK_HELP(help))
    RKB_BOOKS(BOOK_OF_ROUTE)
#undef COUNTED
#undef STANDING
    EACH_ROUTE("pending_age_seconds", GAUGE, REAL, oldest_pending_seconds,
               "How long the oldest record of the route's topics has waited; 0: none waits."),
    ONE("routes", GAUGE, U64, route_count, "Routes there are: of the config, and those that only the journal knows."),

    EACH_SOURCE("connected", GAUGE, TRUTH, connected, "1 while the connection to this Redis stands."),
    EACH_SOURCE("subscriptions", GAUGE, U32, subscribed, "Subscriptions that Redis has confirmed."),
    EACH_SOURCE("subscriptions_wanted", GAUGE, U32, wanted, "Subscriptions that the config asks for."),
    EACH_SOURCE("subscriptions_refused", GAUGE, U32, refused, "Subscriptions that Redis's ACL refuses."),
    EACH_SOURCE("connections_total", COUNTER, U64, connections_total,
                "Connections that were made; each but the first ended a gap."),
    EACH_SOURCE("gaps_total", COUNTER, U64, gaps_total, "Gaps that were opened since the start."),
    EACH_SOURCE("overlaps_total", COUNTER, U64, overlaps_total,
                "Copies of messages that came by further subscriptions, and were not taken twice."),
    EACH_SOURCE("read_bytes_total", COUNTER, U64, bytes_total, "Bytes read from this Redis."),
    EACH_SOURCE("paused", GAUGE, TRUTH, paused, "1 while reading rests because the ring has no room."),
    EACH_SOURCE("held", GAUGE, TRUTH, held, "1 while it is not subscribed because another rkbridge is."),
    EACH_SOURCE("another_bridge", GAUGE, KNOWN_TRUTH, another_bridge,
                "1 where another rkbridge is subscribed on this Redis, 0 where none is."),
    EACH_SOURCE("master_link_down", GAUGE, TRUTH, unlinked,
                "1 while this Redis is a replica that has lost its master: what is published there is missing."),
    EACH_SOURCE("output_buffer_bytes", GAUGE, KNOWN, stall.buffer, "What Redis holds for us in its output buffer."),
    EACH_SOURCE("output_buffer_limit_bytes", GAUGE, KNOWN, stall.hard,
                "More than that, and Redis cuts us off at once; 0: no such limit."),
    EACH_SOURCE("output_buffer_soft_limit_bytes", GAUGE, KNOWN, stall.soft,
                "More than that for too long, and Redis cuts us off; 0: no such limit."),
    EACH_SOURCE("stall_budget_seconds", GAUGE, KNOWN_REAL, stall.seconds,
                "How long Redis would bear it if we stopped reading now; no sample: for ever, or unknown."),

    EACH_SOURCE("canary_sent_total", COUNTER, KNOWN, canary.sent,
                "Canaries that were published there; no sample without canary.topic, as of all that follow."),
    EACH_SOURCE("canary_received_total", COUNTER, KNOWN, canary.received, "Canaries that came back from this Redis."),
    EACH_SOURCE("canary_acknowledged_total", COUNTER, KNOWN, canary.acknowledged,
                "Canaries that came the whole way: Kafka has acknowledged them."),
    EACH_SOURCE("canary_last_success_timestamp_seconds", GAUGE, KNOWN_REAL, canary.success_seconds,
                "When the newest canary that came the whole way was sent, since 1970; no sample: none has."),
    EACH_SOURCE("canary_round_trip_seconds", HISTOGRAM, HISTOGRAM, canary.round_trip,
                "From publishing a canary to its acknowledgement by Kafka."),

    OWN("gaps", GAUGE, "reason", rkb_metric_gaps, "Gaps in the ledger (the latest 4,096, over restarts), by reason."),
    OWN("gaps_open", GAUGE, "", rkb_metric_gaps_open, "Gaps that have not ended."),
    OWN("gaps_bound_messages", GAUGE, "", rkb_metric_gaps_bound,
        "At most so many messages are missing in the gaps of the ledger whose bound is known."),
    OWN("gaps_bound_unknown", GAUGE, "", rkb_metric_gaps_unknown,
        "Gaps in the ledger of which nobody can say how many messages are missing at most."),
    ONE("gap_notices_pending", GAUGE, U64, notices_pending,
        "What the topics that are told of gaps are still to be told."),

    ONE("journal_bytes", GAUGE, U64, journal.bytes, "What the journal takes of the disk."),
    ONE("journal_limit_bytes", GAUGE, U64, journal.max_size, "What it may take: journal.max_size."),
    ONE("journal_segments", GAUGE, U64, journal.segments, "Files the journal is made of."),
    ONE("journal_head", GAUGE, U64, journal.head, "Sequence number that the next record gets."),
    ONE("journal_synced", GAUGE, U64, journal.synced,
        "Sequence number of the first record that a power loss may cost."),
    ONE("journal_checkpoint", GAUGE, U64, journal.checkpoint,
        "Sequence number of the lowest record that is not settled."),
    ONE("journal_full", GAUGE, TRUTH, journal.full, "1 while the journal is at a limit and takes nothing."),
    OWN("journal_durable", GAUGE, "", rkb_metric_durable,
        "0 while the disk fails and what is read would not outlive a power loss."),
    ONE("journal_memory_bytes", GAUGE, U64, journal.memory_bytes,
        "Segments in memory, in the place of a disk that fails."),
    OWN("journal_disk_free_bytes", GAUGE, "", rkb_metric_disk_free, "What the journal's file system has free."),
    ONE("journal_min_free_bytes", GAUGE, U64, journal.min_free, "What is to be left free of it: journal.min_free."),
    OWN("journal_time_to_full_seconds", GAUGE, "", rkb_metric_time_to_full,
        "How long the room lasts at the present rate; +Inf: it is not filling, 0: it is full."),
    SPANS("journal_sync_seconds", sync, "How long forcing the journal to the disk took."),
    ONE("ring_bytes", GAUGE, U64, journal.ring_bytes, "What is in the ring, between the loop and the journal."),
    ONE("ring_size_bytes", GAUGE, U64, journal.ring_size, "What fits into it: journal.ring_size."),
    ONE("ring_outlives_kill", GAUGE, TRUTH, journal.ring_outlives,
        "1 where the ring is on a tmpfs and outlives a kill."),

    ONE("kafka_connected", GAUGE, TRUTH, kafka.connected, "1 while at least one broker is connected."),
    ONE("kafka_away_seconds", GAUGE, REAL, kafka.away_seconds,
        "How long no broker has been connected; 0 while one is."),
    ONE("kafka_in_flight_records", GAUGE, U64, kafka.in_flight, "Records handed to librdkafka and not acknowledged."),
    ONE("kafka_producer_rebuilds_total", COUNTER, U64, kafka.rebuilds_total,
        "Producers that were made anew after a fatal error, or because nothing moved."),
    OWN("kafka_errors_total", COUNTER, "error", rkb_metric_errors,
        "Errors that Kafka or librdkafka told, by librdkafka's name."),
    ONE("kafka_topics_waiting", GAUGE, U64, kafka.topics_waiting,
        "Topics that take no record now, or whose records go alone after a refusal."),
    ONE("kafka_topics_missing", GAUGE, U64, kafka.topics_missing, "Topics of routes that Kafka does not have."),
    SPANS("kafka_produce_seconds", produce, "From handing a record to librdkafka to its acknowledgement."),
    ONE("kafka_queue_length", GAUGE, U64, kafka.queue,
        "librdkafka's own: records in its queues and requests, and events it has not told yet."),
    ONE("kafka_brokers_connected", GAUGE, U64, kafka.brokers_connected,
        "librdkafka's own: connections to brokers that stand."),
    OWN("kafka_broker_round_trip_seconds", SUMMARY, "broker", rkb_metric_round_trips,
        "librdkafka's own: from a request's sending to its answer; of all requests."),
    EACH_BROKER("throttle_seconds_total", COUNTER, REAL, throttle_seconds,
                "librdkafka's own: sum of the times this broker told us to wait for its quotas."),
    ONE("dead_letter_file_bytes", GAUGE, U64, kafka.dead_letter_bytes, "What the file of dead letters holds."),
    ONE("dead_letter_file_limit_bytes", GAUGE, U64, kafka.dead_letter_limit,
        "What it may hold: journal.dead_letter_size."),

    SPANS("delivery_seconds", delivery,
          "From reading a message from Redis to its acknowledgement by Kafka; dead letters are not in it."),
    SPANS("message_size_bytes", size, "Payloads of the messages that were received."),
    SPANS("loop_turn_seconds", turn,
          "One turn of the loop that had messages or a question: from the first of them to its end."),
    ONE("log_lines_lost_total", COUNTER, U64, log_lines_lost_total, "Log lines that nobody took in time."),

    PROCESS("cpu_seconds_total", COUNTER, REAL, cpu_seconds, "CPU time, user and system, of all threads."),
    PROCESS("resident_memory_bytes", GAUGE, U64, resident_bytes,
            "Resident memory, the ring on tmpfs and mapped segments among it; at most 5 s old."),
    PROCESS("virtual_memory_bytes", GAUGE, U64, virtual_bytes, "Virtual memory; at most 5 s old."),
    PROCESS("open_fds", GAUGE, U64, open_fds, "Open descriptors; at most 5 s old."),
    PROCESS("max_fds", GAUGE, U64, max_fds, "Descriptors it may have open."),
    PROCESS("start_time_seconds", GAUGE, REAL, start_seconds, "When the process was started, since 1970."),
};

const size_t rkb_metric_count = sizeof rkb_metrics / sizeof rkb_metrics[0];

static const char *const type_names[] = {"counter", "gauge", "histogram", "summary"};
static const struct rkb_label no_label = {0};

/* ---- reading ---- */

/* Whole figures as they are; false: it is unknown, or no whole figure. */
static bool read_number(const struct rkb_metric *metric, const char *at, uint64_t *out)
{
    const void *place = at + metric->offset;
    switch (metric->form) {
    case RKB_FORM_U64:
        *out = *(const uint64_t *)place;
        return true;
    case RKB_FORM_U32:
        *out = *(const uint32_t *)place;
        return true;
    case RKB_FORM_TRUTH:
        *out = *(const bool *)place;
        return true;
    case RKB_FORM_KNOWN_TRUTH:
        *out = *(const int *)place > 0;
        return *(const int *)place >= 0;
    case RKB_FORM_KNOWN:
        *out = (uint64_t)*(const int64_t *)place;
        return *(const int64_t *)place >= 0;
    case RKB_FORM_REAL:
    case RKB_FORM_KNOWN_REAL:
    case RKB_FORM_HISTOGRAM:
        break;
    }
    return false;
}

static void write_figure(const struct rkb_metric *metric, const void *of, struct rkb_label label,
                         struct rkb_prometheus *writer)
{
    const char *at = of;
    uint64_t number;
    if (metric->form == RKB_FORM_HISTOGRAM) {
        const struct rkb_histogram *const *histogram = (const void *)(at + metric->offset);
        if (*histogram != NULL)
            rkb_prometheus_histogram(writer, label, *histogram);
    } else if (metric->form == RKB_FORM_REAL || metric->form == RKB_FORM_KNOWN_REAL) {
        double real = *(const double *)(const void *)(at + metric->offset);
        if (metric->form == RKB_FORM_REAL || real >= 0)
            rkb_prometheus_real(writer, "", label, real);
    } else if (read_number(metric, at, &number)) {
        rkb_prometheus_number(writer, "", label, number);
    }
}

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* Of all routes among the others: sums of what is counted, of ages the oldest. False: there are none. */
static bool sum_others(const struct rkb_metric *metric, const struct rkb_snapshot *snapshot, uint64_t *sum,
                       double *oldest)
{
    bool found = false;
    uint64_t number;
    for (size_t i = 0; i < snapshot->route_count; i++) {
        const char *at = (const char *)&snapshot->routes[i];
        if (!snapshot->routes[i].among_others)
            continue;
        found = true;
        if (metric->form == RKB_FORM_REAL)
            *oldest = later(*oldest, *(const double *)(const void *)(at + metric->offset));
        else if (read_number(metric, at, &number))
            *sum += number;
    }
    return found;
}

static void write_routes(const struct rkb_metric *metric, const struct rkb_snapshot *snapshot,
                         struct rkb_prometheus *writer)
{
    const struct rkb_label others = {"route", RKB_OTHER_ROUTES};
    uint64_t sum = 0;
    double oldest = 0;
    for (size_t i = 0; i < snapshot->route_count; i++)
        if (!snapshot->routes[i].among_others)
            write_figure(metric, &snapshot->routes[i], (struct rkb_label){"route", snapshot->routes[i].name}, writer);
    if (!sum_others(metric, snapshot, &sum, &oldest))
        return;
    if (metric->form == RKB_FORM_REAL)
        rkb_prometheus_real(writer, "", others, oldest);
    else
        rkb_prometheus_number(writer, "", others, sum);
}

static void write_brokers(const struct rkb_metric *metric, const struct rkb_snapshot *snapshot,
                          struct rkb_prometheus *writer)
{
    char number[RKB_BROKER_LABEL];
    for (size_t i = 0; i < snapshot->kafka.broker_count; i++)
        write_figure(metric, &snapshot->kafka.brokers[i], rkb_broker_label(&snapshot->kafka.brokers[i], number),
                     writer);
}

static void write_samples(const struct rkb_metric *metric, const struct rkb_snapshot *snapshot,
                          struct rkb_prometheus *writer)
{
    if (metric->write != NULL) {
        metric->write(snapshot, writer);
        return;
    }
    switch (metric->per) {
    case RKB_PER_ALL:
        write_figure(metric, snapshot, no_label, writer);
        break;
    case RKB_PER_ROUTE:
        write_routes(metric, snapshot, writer);
        break;
    case RKB_PER_SOURCE:
        for (size_t i = 0; i < snapshot->source_count; i++)
            write_figure(metric, &snapshot->sources[i], (struct rkb_label){"source", snapshot->sources[i].name},
                         writer);
        break;
    case RKB_PER_BROKER:
        write_brokers(metric, snapshot, writer);
        break;
    }
}

void rkb_metrics_write(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    struct rkb_prometheus writer = {.out = out};
    for (size_t i = 0; i < rkb_metric_count; i++) {
        const struct rkb_metric *metric = &rkb_metrics[i];
        rkb_prometheus_family(&writer, metric->name, type_names[metric->type], metric->help);
        write_samples(metric, snapshot, &writer);
    }
}

void rkb_metrics_table(struct rkb_buffer *out)
{
    rkb_buffer_text(out, "| name | type | labels | what it says |\n|---|---|---|---|\n");
    for (size_t i = 0; i < rkb_metric_count; i++) {
        const struct rkb_metric *metric = &rkb_metrics[i];
        rkb_buffer_format(out, "| `%s` | %s | %s | %s |\n", metric->name, type_names[metric->type], metric->labels,
                          metric->help);
    }
}
