/* metrics_parts -- the metrics whose samples take more than reading a field. For metrics.c only. */
#ifndef RKB_CONTROL_METRICS_PARTS_H
#define RKB_CONTROL_METRICS_PARTS_H

#include "control/metrics.h"

void rkb_metric_build(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_verdict(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_imbalance(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_drops(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_gaps(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_gaps_open(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_gaps_bound(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_gaps_unknown(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_reload(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_pauses_unread(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_durable(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_disk_free(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_time_to_full(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_errors(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);
void rkb_metric_round_trips(const struct rkb_snapshot *snapshot, struct rkb_prometheus *writer);

#define RKB_BROKER_LABEL 16
/* Its number as a label; text: where that is written. */
struct rkb_label rkb_broker_label(const struct rkb_broker_snapshot *broker, char text[RKB_BROKER_LABEL]);

#endif
