/*
 * brokers -- which of a client's brokers are connected, and how long they take to answer, as librdkafka tells it at
 * each change and each answer: interceptors cost nothing while nothing happens, where statistics would cost 0.1 % of a
 * core for ever, and grow with the topics.
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

#define RKB_BROKERS_TIMED 64

/* How one broker answers. */
struct rkb_broker_times {
    int32_t id;                     /* -1: not known yet (it was only named to begin with), or beyond what is kept */
    uint64_t answers, answers_us;   /* of all requests, from sending to answer; their sum */
    uint64_t throttled_us;          /* sum of the times it told us to wait for its quotas */
};

struct rkb_brokers {
    pthread_mutex_t lock;
    struct rkb_broker *list;        /* each that was ever heard of; librdkafka 2.0 forgets none either */
    size_t count;
    atomic_size_t up;
    struct rkb_broker_times times[RKB_BROKERS_TIMED];       /* [0] is that of -1 */
    size_t timed;
};

/* For the client that will be made of `conf`. `brokers` stays in its place until that client is destroyed. */
bool rkb_brokers_watch(struct rkb_brokers *brokers, rd_kafka_conf_t *conf, struct rkb_error *error) RKB_MUST_CHECK;
/* When the client is destroyed, or was never made. */
void rkb_brokers_free(struct rkb_brokers *brokers);
/* True while at least one connection is up. Any thread. */
bool rkb_brokers_any_up(const struct rkb_brokers *brokers);
size_t rkb_brokers_up(const struct rkb_brokers *brokers);
/* Likewise: this broker tells us to wait. */
void rkb_brokers_throttled(struct rkb_brokers *brokers, int32_t id, int milliseconds);
/* Likewise: copies what is known of each that ever answered; returns how many. */
size_t rkb_brokers_times(struct rkb_brokers *brokers, struct rkb_broker_times out[RKB_BROKERS_TIMED]);
/*
 * Adds what one client's brokers took to `sum`, which has `count`; returns how many it has then.
 * Brokers for which there is no room count as -1.
 */
size_t rkb_broker_times_add(struct rkb_broker_times sum[RKB_BROKERS_TIMED], size_t count,
                            const struct rkb_broker_times *more, size_t more_count);

#endif
