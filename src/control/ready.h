/*
 * ready -- may others rely on this rkbridge now? Each subscription is confirmed, the journal takes records and forces
 * them to its disk, and Kafka is reachable, or has not been away for longer than kafka.outage_budget. With canaries,
 * also: each source's come the whole way (flow.h).
 */
#ifndef RKB_CONTROL_READY_H
#define RKB_CONTROL_READY_H

#include "base/bytes.h"
#include "control/stats.h"

/* True where it is. Else, and where out is not NULL, appends each reason: a line that begins with "not ready: ". */
bool rkb_ready(const struct rkb_snapshot *snapshot, struct rkb_buffer *out);

#endif
