/*
 * trial -- finds out whether Kafka takes a client in, and whether that may write, without writing a record.
 *
 *     login: an idempotent producer asks for its id (InitProducerId) before it ever sends: who gets one is logged in,
 *            and has IdempotentWrite or, from Kafka 2.8 on, the right to write to some topic
 *     write: a record is sent with acks=2, which Kafka refuses (INVALID_REQUIRED_ACKS, since 0.9) after it has looked
 *            at the right to write (TOPIC_AUTHORIZATION_FAILED) and before it writes anything
 *
 * The second is known of Apache Kafka, and tried with 4.1; another server that speaks its protocol may take the record.
 * So ask it only of brokers that are known to be such. Every call waits, no longer than it is given. One thread.
 */
#ifndef RKB_KAFKA_TRIAL_H
#define RKB_KAFKA_TRIAL_H

#include "kafka/client.h"

/*
 * RKB_OK: in. Else *error says why: RKB_REFUSED the login; RKB_FULL logged in, and may not produce; RKB_TIMEOUT nobody
 * answered in time, with the last that was wrong on the way; RKB_SYSTEM, RKB_USAGE no client can be made.
 */
enum rkb_code rkb_kafka_try_login(const struct rkb_property *properties, size_t count, int timeout_ms,
                                  struct rkb_error *error) RKB_MUST_CHECK;

enum rkb_write_right {
    RKB_WRITE_UNKNOWN,          /* no answer in time, or one that tells nothing */
    RKB_WRITE_ALLOWED,
    RKB_WRITE_DENIED,
    RKB_WRITE_TAKEN             /* the broker took the record: it is no Apache Kafka */
};
struct rkb_write_found {
    enum rkb_write_right right;
    rd_kafka_resp_err_t code;   /* of the answer; NO_ERROR: none came */
};
/* The topics have to be there; found[] is filled in their order. False: no client can be made. */
bool rkb_kafka_try_writing(const struct rkb_property *properties, size_t count, const char *const *topics,
                           size_t topic_count, int timeout_ms, struct rkb_write_found *found,
                           struct rkb_error *error) RKB_MUST_CHECK;

#endif
