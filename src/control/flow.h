/*
 * flow -- what a source's canary says of the way from Redis to Kafka: for /readyz, for the verdict, for people.
 *
 *     asked for where the source is wholly subscribed; of Kafka's leg only while Kafka is there, or, where none was
 *     acknowledged since the start, until it has been away for late_after
 */
#ifndef RKB_CONTROL_FLOW_H
#define RKB_CONTROL_FLOW_H

#include "control/stats.h"

enum rkb_flow {
    RKB_FLOW_OFF,               /* there is no canary */
    RKB_FLOW_UNASKED,           /* it rests, or the source has other trouble */
    RKB_FLOW_PROVEN,
    RKB_FLOW_BEGINS,            /* none came the whole way yet, and it is not late */
    RKB_FLOW_REFUSED,           /* Redis does not take it */
    RKB_FLOW_UNHEARD,           /* late, and Redis gave the last ones to nobody, or none can be sent now */
    RKB_FLOW_NOT_BACK,          /* late: it does not come back from Redis */
    RKB_FLOW_NOT_TAKEN          /* late: Kafka does not acknowledge it */
};

enum rkb_flow rkb_flow(const struct rkb_snapshot *snapshot, const struct rkb_source_snapshot *source);
/* The same in words, without the source's name; room for 400 bytes is enough. */
void rkb_flow_say(const struct rkb_source_snapshot *source, enum rkb_flow flow, char *out, size_t size);
/* The first source of which one or the other is true, in words with its name. False: there is none. */
bool rkb_flow_find(const struct rkb_snapshot *snapshot, enum rkb_flow one, enum rkb_flow other, char *out, size_t size);

#endif
