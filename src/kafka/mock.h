/*
 * mock -- a Kafka inside the process (librdkafka's mock cluster), on a real port of the loopback interface.
 *
 * Good for any client built on librdkafka; not for Java clients; answers no admin calls, keeps about the last 5 MiB of
 * a partition, and nothing survives it.
 */
#ifndef RKB_KAFKA_MOCK_H
#define RKB_KAFKA_MOCK_H

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "base/error.h"

struct rkb_mock;

/* With that many brokers, numbered from 1. One is enough: a single address for people to copy, and one thread less. */
struct rkb_mock *rkb_mock_start(int brokers, struct rkb_error *error);
/* "127.0.0.1:41234" */
const char *rkb_mock_bootstrap(const struct rkb_mock *mock);
/* Makes a topic with that many partitions; one that exists is left as it is. */
bool rkb_mock_topic(struct rkb_mock *mock, const char *topic, int partitions, struct rkb_error *error) RKB_MUST_CHECK;
void rkb_mock_stop(struct rkb_mock *mock);

/* For tests only: the cluster, to inject errors and to take its brokers down and up. */
rd_kafka_mock_cluster_t *rkb_mock_cluster(struct rkb_mock *mock);

#endif
