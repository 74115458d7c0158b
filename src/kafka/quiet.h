/*
 * quiet -- a consumer handle that only asks and reads: no logs, no errors told beside its calls, no topic made.
 *
 * It has the producer's configuration, with which brokers to meet and how; what only a producer uses is passed over.
 * What goes wrong with its connection shows as a call that gets no answer.
 */
#ifndef RKB_KAFKA_QUIET_H
#define RKB_KAFKA_QUIET_H

#include "kafka/client.h"

/*
 * `what`: for words, as "look for topics". partition_eof: whether the end of a partition is told. NULL and *error
 * (RKB_SYSTEM, or what rkb_kafka_conf says). To be destroyed with rd_kafka_destroy.
 */
rd_kafka_t *rkb_kafka_quiet(const struct rkb_property *properties, size_t count, const char *what, bool partition_eof,
                            struct rkb_error *error);

#endif
