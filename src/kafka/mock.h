/*
 * mock -- a Kafka inside the process (librdkafka's mock cluster), on a real port of the loopback interface.
 *
 * Good for any client built on librdkafka; not for Java clients; answers no admin calls, keeps about the last 5 MiB of a
 * partition, and nothing survives it.
 */
#ifndef RKB_KAFKA_MOCK_H
#define RKB_KAFKA_MOCK_H

#include "base/error.h"

struct rkb_mock;

struct rkb_mock *rkb_mock_start(struct rkb_error *error);
/* "127.0.0.1:41234" */
const char *rkb_mock_bootstrap(const struct rkb_mock *mock);
/* Makes a topic with that many partitions; one that exists is left as it is. */
bool rkb_mock_topic(struct rkb_mock *mock, const char *topic, int partitions, struct rkb_error *error) RKB_MUST_CHECK;
void rkb_mock_stop(struct rkb_mock *mock);

#endif
