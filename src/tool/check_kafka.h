/*
 * check_kafka -- Kafka as the bridge would meet it: login, each topic that the config names, the right to write to it,
 * the longest record it takes.
 *
 *     login (kafka/trial.h) --> which topics are there, their settings (kafka/admin.h) --> the right to write
 *        |
 *        +--> no answer, refused: BAD, and nothing more is asked
 *
 * Never: makes a topic, writes a record. The right to write is only asked for where the topic's settings can be read
 * and are those of Apache Kafka, for the reason in kafka/trial.h; else it is said to be unknown.
 */
#ifndef RKB_TOOL_CHECK_KAFKA_H
#define RKB_TOOL_CHECK_KAFKA_H

#include "config/config.h"
#include "tool/check_report.h"

/* Waits for Kafka, for limit_ms at the most for each answer; after one that did not come nothing more is asked. */
void rkb_check_kafka(const struct rkb_config *config, int limit_ms, struct rkb_report *report);

/*
 * How many bytes the record of a route has besides its payload: by what the bridge makes of a small message on the
 * first of its channels. 0: not known, such a message does not become a record.
 */
uint64_t rkb_check_overhead(const struct rkb_config *config, size_t route);

#endif
