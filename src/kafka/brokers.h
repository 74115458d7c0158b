/*
 * brokers -- which of a client's brokers are connected, as librdkafka tells it at each change: an interceptor costs
 * nothing while nothing changes, where statistics would cost 0.1 % of a core for ever.
 */
#ifndef RKB_KAFKA_BROKERS_H
#define RKB_KAFKA_BROKERS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include <librdkafka/rdkafka.h>

#include "base/error.h"

struct rkb_broker;

struct rkb_brokers {
    pthread_mutex_t lock;
    struct rkb_broker *list;        /* each that was ever heard of; librdkafka 2.0 forgets none either */
    size_t count;
    atomic_size_t up;
};

/* For the client that will be made of `conf`. `brokers` stays in its place until that client is destroyed. */
bool rkb_brokers_watch(struct rkb_brokers *brokers, rd_kafka_conf_t *conf, struct rkb_error *error) RKB_MUST_CHECK;
/* When the client is destroyed, or was never made. */
void rkb_brokers_free(struct rkb_brokers *brokers);
/* True while at least one connection is up. Any thread. */
bool rkb_brokers_any_up(const struct rkb_brokers *brokers);

#endif
