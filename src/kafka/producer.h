/*
 * producer -- one librdkafka producer: hands records over without copying their values, tells what became of each.
 *
 *     send --> librdkafka's queue (small) --> broker --> delivered(opaque, error)
 *       | full: a state, wait for deliveries          | fatal error: say so; the owner frees this and makes a new one
 *
 * Promise: each record taken is reported exactly once, by `delivered`, inside poll or free. Never: retries by itself
 * what librdkafka gave up; waits in send or poll. One thread (the shipper's).
 */
#ifndef RKB_KAFKA_PRODUCER_H
#define RKB_KAFKA_PRODUCER_H

#include "base/bytes.h"
#include "kafka/brokers.h"
#include "kafka/client.h"

struct rkb_producer;

/*
 * LINE: an error that Kafka will not take back stops the whole producer (it is fatal) before anything behind the record
 * can overtake it. ALONE: such an error is that record's only, which was the only one; nothing waits to be sent with
 * it.
 */
enum rkb_producer_role { RKB_PRODUCER_LINE, RKB_PRODUCER_ALONE };

struct rkb_producer_events {
    /*
     * error is RD_KAFKA_RESP_ERR_NO_ERROR when acknowledged. After a fatal error, and in free, what is
     * open comes back with an error.
     */
    void (*delivered)(void *context, void *opaque, rd_kafka_resp_err_t error);
    /* librdkafka's error callback: _ALL_BROKERS_DOWN, _TRANSPORT, _AUTHENTICATION ... */
    void (*error)(void *context, rd_kafka_resp_err_t error, const char *reason);
    /* A log line of librdkafka's; level as in syslog. */
    void (*log)(void *context, int level, const char *text);
};

/* wake_fd: a non-blocking eventfd; 8 bytes (value 1) are written to it when there is something to poll for. */
struct rkb_producer *rkb_producer_new(enum rkb_producer_role role, const struct rkb_property *properties, size_t count,
                                      int wake_fd, const struct rkb_producer_events *events, void *context,
                                      struct rkb_error *error);
/*
 * Purges what is open, destroys, and then reports what was open by `delivered`: with an error, or
 * acknowledged at the last moment. Of the producer `delivered` may ask only whether it was fatal. Not from
 * inside a callback. NULL is allowed.
 */
void rkb_producer_free(struct rkb_producer *producer);

/*
 * The handle for a topic, made once and kept; `slot` is the caller's number for it (from 0, dense). NULL and *error
 * for a name Kafka does not take.
 */
rd_kafka_topic_t *rkb_producer_topic(struct rkb_producer *producer, uint32_t slot, const char *name,
                                     struct rkb_error *error);

struct rkb_outgoing {
    rd_kafka_topic_t *topic;
    bool has_key;
    /* value must stay where it is until delivered, unless `copy`; an empty one is sent as empty, not null */
    struct rkb_slice key, value;
    bool copy;
    /* u16 name length, u32 value length (little-endian), name, value; header_count times */
    struct rkb_slice headers;
    uint16_t header_count;
    int64_t time_ms;                    /* the record's timestamp; 0: the time of sending */
    void *opaque;
};
enum rkb_sent { RKB_SENT, RKB_SENT_QUEUE_FULL, RKB_SENT_FATAL, RKB_SENT_TOO_LARGE, RKB_SENT_INVALID, RKB_SENT_REFUSED };
/*
 * TOO_LARGE (for message.max.bytes), INVALID (its headers end too early): never will be taken. REFUSED: its topic is
 * unknown or not authorised, *code says which. In these three *error says why.
 */
enum rkb_sent rkb_producer_send(struct rkb_producer *producer, const struct rkb_outgoing *record,
                                rd_kafka_resp_err_t *code, struct rkb_error *error) RKB_MUST_CHECK;

/* Serves what is there (deliveries, errors, logs); returns how many events. Never waits. */
int rkb_producer_poll(struct rkb_producer *producer);
/* What its queue holds at the most: queue.buffering.max.messages, and max.kbytes in bytes. */
size_t rkb_producer_queue_records(const struct rkb_producer *producer);
size_t rkb_producer_queue_bytes(const struct rkb_producer *producer);
/* True after a fatal error; *error then says which. */
bool rkb_producer_fatal(const struct rkb_producer *producer, struct rkb_error *error);
/* True when that error says that a record was refused for good among others: what came behind it was not sent. */
bool rkb_producer_stopped_for_order(const struct rkb_producer *producer);
/* True while at least one broker connection is up. */
bool rkb_producer_connected(const struct rkb_producer *producer);

/* How many brokers are connected; how each answers (as rkb_brokers_times); what waits in librdkafka's queues. */
size_t rkb_producer_brokers_up(const struct rkb_producer *producer);
size_t rkb_producer_broker_times(struct rkb_producer *producer, struct rkb_broker_times out[RKB_BROKERS_TIMED]);
size_t rkb_producer_queue_length(const struct rkb_producer *producer);

/* For tests only: the handle, to inject a fatal error with rd_kafka_test_fatal_error. */
rd_kafka_t *rkb_producer_handle(struct rkb_producer *producer);

#endif
