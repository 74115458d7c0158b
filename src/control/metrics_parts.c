/* metrics_parts -- see metrics_parts.h. */
#include "control/metrics_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "control/verdict.h"

static const struct rkb_label none = {0};

void rkb_metric_build(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    const char *library = snapshot->kafka.library;
    rkb_prometheus_info(writer, (struct rkb_label){"version", snapshot->version},
                        (struct rkb_label){"librdkafka", library == NULL ? "" : library});
}

void rkb_metric_verdict(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    if (snapshot->verdict != NULL)
        rkb_prometheus_number(writer, "", none, snapshot->verdict->severity);
}

void rkb_metric_imbalance(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    rkb_prometheus_real(writer, "", none, (double)rkb_books_imbalance(&snapshot->totals));
}

void rkb_metric_drops(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
#define WRITE(name, help) \
    rkb_prometheus_number(writer, "", (struct rkb_label){"reason", #name}, \
                          snapshot->dropped_by_reason[RKB_DROP_##name]);
    RKB_DROP_REASONS(WRITE)
#undef WRITE
}

/* ---- gaps ---- */

void rkb_metric_gaps(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    struct rkb_gap_reasons reasons;
    rkb_gap_reasons(snapshot, &reasons);
    for (size_t i = 0; i < reasons.count; i++)
        rkb_prometheus_number(writer, "", (struct rkb_label){"reason", reasons.names[i]}, reasons.counts[i]);
}

void rkb_metric_gaps_open(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    struct rkb_gap_sums sums;
    rkb_gap_sums(snapshot, &sums);
    rkb_prometheus_number(writer, "", none, sums.open);
}

void rkb_metric_gaps_bound(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    struct rkb_gap_sums sums;
    rkb_gap_sums(snapshot, &sums);
    rkb_prometheus_number(writer, "", none, sums.bound);
}

void rkb_metric_gaps_unknown(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    struct rkb_gap_sums sums;
    rkb_gap_sums(snapshot, &sums);
    rkb_prometheus_number(writer, "", none, sums.unknown);
}

/* ---- the journal ---- */

void rkb_metric_reload(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    rkb_prometheus_number(writer, "", none, !snapshot->config.refused);
}

void rkb_metric_pauses_unread(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    rkb_prometheus_number(writer, "", none, snapshot->pauses_unread != NULL);
}

void rkb_metric_durable(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    rkb_prometheus_number(writer, "", none, snapshot->journal.disk_error == NULL);
}

void rkb_metric_disk_free(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    if (snapshot->journal.disk_free != UINT64_MAX)
        rkb_prometheus_number(writer, "", none, snapshot->journal.disk_free);
}

void rkb_metric_time_to_full(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    double seconds = snapshot->journal.seconds_to_full;
    rkb_prometheus_real(writer, "", none, seconds < 0 ? INFINITY : seconds);
}

/* ---- Kafka ---- */

void rkb_metric_errors(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    for (size_t i = 0; i < snapshot->kafka.error_count; i++)
        rkb_prometheus_number(writer, "", (struct rkb_label){"error", snapshot->kafka.errors[i].name},
                              snapshot->kafka.errors[i].count);
}

struct rkb_label rkb_broker_label(const struct rkb_broker_snapshot *broker, char text[RKB_BROKER_LABEL])
{
    if (broker->id < 0)
        return (struct rkb_label){"broker", "bootstrap"};
    snprintf(text, RKB_BROKER_LABEL, "%d", broker->id);
    return (struct rkb_label){"broker", text};
}

void rkb_metric_round_trips(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer)
{
    char number[RKB_BROKER_LABEL];
    for (size_t i = 0; i < snapshot->kafka.broker_count; i++) {
        const struct rkb_broker_snapshot *broker = &snapshot->kafka.brokers[i];
        struct rkb_label label = rkb_broker_label(broker, number);
        rkb_prometheus_real(writer, "_sum", label, broker->round_trip_seconds);
        rkb_prometheus_number(writer, "_count", label, broker->round_trips);
    }
}
