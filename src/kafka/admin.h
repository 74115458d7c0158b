/*
 * admin -- asks Kafka about topics and makes them, with a client of its own beside the producer.
 *
 * Why of its own: a producer that asks for a topic that is missing has the brokers make it, with their defaults. This
 * client is a consumer's that never subscribes, and its questions make nothing (allow.auto.create.topics, Kafka 0.11
 * and newer).
 *
 * Every call waits for Kafka, for as long as it is given; settings and create return early when *quit is set, look does
 * not. Never: logs, retries. One thread.
 */
#ifndef RKB_KAFKA_ADMIN_H
#define RKB_KAFKA_ADMIN_H

#include <stdatomic.h>
#include <stdint.h>

#include "kafka/client.h"

struct rkb_admin;

/* properties: as for a producer, lent for the call; names: the topics look will ask for, lent likewise. */
struct rkb_admin *rkb_admin_new(const struct rkb_property *properties, size_t count, const char *const *names,
                                size_t name_count, const atomic_bool *quit, struct rkb_error *error);
/* Ends its connections; waits for its threads, milliseconds as a rule. NULL is allowed. */
void rkb_admin_free(struct rkb_admin *admin);

enum rkb_topic_presence {
    RKB_TOPIC_MISSING,
    RKB_TOPIC_THERE,
    RKB_TOPIC_HIDDEN            /* there or not: we are not authorised to see it */
};

struct rkb_topic_seen {
    enum rkb_topic_presence presence;
    int partitions;             /* 0 where Kafka did not say */
};

/* Fills seen[], in the order of the names of new. False: no answer in time, or none that is of use. */
bool rkb_admin_look(struct rkb_admin *admin, struct rkb_topic_seen *seen, int timeout_ms,
                    struct rkb_error *error) RKB_MUST_CHECK;

struct rkb_new_topic {
    const char *name;
    int partitions, replication;        /* -1: the brokers' default (Kafka 2.4; 1 with older brokers) */
    const struct rkb_property *settings;
    size_t setting_count;
    bool only_ask;              /* makes nothing: whether it would be made */
};

/*
 * RKB_OK: made (or would be, where only that is asked). Else what *error says: RKB_LOCKED somebody made it
 * before us; RKB_REFUSED we are not authorised; RKB_USAGE Kafka does not take these settings; RKB_TIMEOUT
 * no answer, or none yet: worth another try.
 */
enum rkb_code rkb_admin_create(struct rkb_admin *admin, const struct rkb_new_topic *topic, int timeout_ms,
                               struct rkb_error *error) RKB_MUST_CHECK;

struct rkb_kafka_setting {
    const char *name;           /* asked for */
    char value[64];             /* found; "" where Kafka has none of this name, or a longer one */
    bool found;                 /* Kafka has one of this name */
};

/*
 * The settings of a topic; topic NULL: of the broker that answered look. False: RKB_REFUSED not authorised, RKB_TIMEOUT
 * no answer.
 */
bool rkb_admin_settings(struct rkb_admin *admin, const char *topic, struct rkb_kafka_setting *settings, size_t count,
                        int timeout_ms, struct rkb_error *error) RKB_MUST_CHECK;

#endif
