/*
 * shipper -- the thread that takes records from the ring to the journal and from the journal to Kafka.
 *
 *     ring --take--> segments --cursor--> producer --delivered--> acks --> checkpoint --> segments go
 *                                  ^                     |
 *                                  +---- from the lowest open record: at start, after a refusal, after a rebuild
 *
 * It may wait; the ring is what it may wait for. The loop never calls anything here that waits.
 */
#ifndef RKB_DAEMON_SHIPPER_H
#define RKB_DAEMON_SHIPPER_H

#include "base/histogram.h"
#include "base/log.h"
#include "base/sys.h"
#include "config/config.h"
#include "daemon/latency.h"
#include "daemon/pauses.h"
#include "daemon/process.h"
#include "daemon/topics.h"
#include "journal/dead.h"
#include "journal/journal.h"
#include "journal/ledger.h"
#include "journal/ring.h"
#include "kafka/producer.h"

struct rkb_shipper;

/* What the config says of a route, for the dead letters of what Kafka refuses. */
struct rkb_shipper_route {
    const char *source;                 /* NULL: not known */
    uint32_t dead_topic;                /* the number of its topic for dead letters; 0: they go to the file */
    const struct rkb_config_route *names;       /* itself, where its messages name topics; else NULL */
};

struct rkb_shipper_options {
    struct rkb_ring *ring;
    struct rkb_journal *journal;        /* the shipper's from start to join */
    struct rkb_ledger *ledger;          /* likewise; NULL: none */
    const struct rkb_properties *properties;    /* of the producers, lent until free; files are read anew for each */
    struct rkb_topics *topics;          /* says which topic may be sent to; NULL: each may */
    struct rkb_pauses *pauses;          /* what rests; NULL: nothing ever does */
    int64_t sync_us;                    /* RKB_SYNC_NONE, RKB_SYNC_ALWAYS or an interval */
    bool exit_on_disk_error;            /* a write or sync that fails ends the shipper; else see journal/degrade.c */
    uint32_t route_limit, topic_limit;  /* route numbers are 1..route_limit, topic numbers 1..topic_limit; topics may
                                           be named later */
    const struct rkb_shipper_route *routes;     /* by route number, route_limit + 1 of them, lent until free */
    struct rkb_dead *dead;              /* the shipper's from start to join */
    int64_t refuse_after_us;            /* so long a topic may refuse for want of a right, then it is set aside */
    int64_t watchdog_us;                /* a producer that reports nothing for so long is made anew; 0: never */
    int loop_fd;                        /* an eventfd of the loop's, written for: room, full, drained, failed */
    struct rkb_log *log;
    const struct rkb_sys *sys;
};

/* Per route, all written by the shipper. */
struct rkb_shipped_route {
    uint64_t delivered;
    uint64_t dead_lettered;             /* acknowledged by a topic for dead letters, or in the file */
    uint64_t settled;                   /* counted on its own, wherever a message leaves the line */
    uint64_t newest;                    /* highest number of a record that Kafka acknowledged; 0: none yet */
    int64_t newest_us;                  /* monotonic: when */
    int64_t resting_us;                 /* when its oldest record that rests was read; 0: none was passed over */
};

#define RKB_KAFKA_ERRORS 32

/* The shipper's figures at one moment. */
struct rkb_shipped {
    struct rkb_journal_figures journal;
    uint64_t synced;
    bool full, connected;
    uint32_t in_flight;
    uint64_t rebuilds_total;
    char refused[320];                  /* what a topic does not take, in words; "" while each takes all */
    uint32_t topics_waiting;            /* that do not take a record now, or whose records go alone */
    struct rkb_dead_figures dead;
    int64_t oldest_us;                  /* realtime of the oldest record not settled; 0: none */
    int64_t moving_us;                  /* likewise of those that do not rest */
    int64_t line_us;                    /* likewise of what the line has not passed yet, where that waits; 0: nothing */
    uint64_t taken_bytes;               /* from the ring to the journal, since the start */
    uint64_t settled_bytes;             /* of records settled since the start, as the journal counts them */
    struct rkb_latency latency;         /* from reading a message to its acknowledgement */
    struct rkb_histogram delivery, produce, sync;       /* see base/histogram.h */
    int64_t away_us;                    /* monotonic: since when no broker is connected; 0: one is */
    size_t queue_length, brokers_up, broker_count;      /* librdkafka's own */
    struct rkb_broker_times brokers[RKB_BROKERS_TIMED];
    struct rkb_process_figures process;
    struct { rd_kafka_resp_err_t error; uint64_t count; } errors[RKB_KAFKA_ERRORS];
    uint32_t route_limit, topic_limit;
    struct rkb_shipped_route routes[];  /* by route number, [0] unused; behind them the topics' */
};

/* How many bytes figures take up to these numbers. */
size_t rkb_shipped_size(uint32_t routes, uint32_t topics);
/* What is known of a route: nothing yet, where its number is higher than the shipper has met. */
const struct rkb_shipped_route *rkb_shipped_of(const struct rkb_shipped *figures, uint32_t route);
/* When the oldest record of this topic that is sent, or passed over, and not settled was read; 0: there is none. */
int64_t rkb_shipped_topic_us(const struct rkb_shipped *figures, uint32_t topic);

/* Starts the thread. NULL and *error where no producer or thread can be made. */
struct rkb_shipper *rkb_shipper_start(const struct rkb_shipper_options *options, struct rkb_error *error);

/* Loop: something was committed to the ring. Cheap when the shipper is awake. */
void rkb_shipper_wake(struct rkb_shipper *shipper);
/* Loop: the journal is at its limit and cannot take what is in the ring. */
bool rkb_shipper_full(const struct rkb_shipper *shipper);
/* Loop: the disk broke a promise; *error says how. The shipper does nothing more. */
bool rkb_shipper_failed(struct rkb_shipper *shipper, struct rkb_error *error);
/*
 * Loop: since when what is read is not durable, because the disk fails (realtime); 0 while it is. Told by loop_fd when
 * it changes.
 */
int64_t rkb_shipper_not_durable(const struct rkb_shipper *shipper);
/* Loop: asks to be told by loop_fd when at least `room` bytes are free in the ring (0: not any more). */
void rkb_shipper_want_room(struct rkb_shipper *shipper, size_t room);
/* Loop: from now on say by loop_fd when everything is settled. */
void rkb_shipper_drain(struct rkb_shipper *shipper);
bool rkb_shipper_drained(const struct rkb_shipper *shipper);
/*
 * Loop: what the shipper goes by from then on: which routes and topics there are (their numbers, as in the options),
 * and of the routes what options.routes says, to be filled in (zero at first). NULL when memory ran out.
 */
struct rkb_shipper_table;
struct rkb_shipper_table *rkb_shipper_table_new(struct rkb_shipper *shipper, uint32_t route_limit,
                                                uint32_t topic_limit);
struct rkb_shipper_route *rkb_shipper_table_routes(struct rkb_shipper_table *table);
/* As in the options, from when it is taken up; without this call they stay as they are. */
void rkb_shipper_table_times(struct rkb_shipper_table *table, int64_t refuse_after_us, int64_t watchdog_us);
void rkb_shipper_table_free(struct rkb_shipper_table *table);
/*
 * Loop: takes the table, before the first record with a number that is new. Not before the one before was taken up.
 * What it points to is lent until another was taken up, or free.
 */
void rkb_shipper_offer(struct rkb_shipper *shipper, struct rkb_shipper_table *table);
/*
 * Loop: what was offered last is in force, and what the one before pointed to is not looked at any more (loop_fd
 * tells).
 */
bool rkb_shipper_took_up(const struct rkb_shipper *shipper);
/* Loop: the newest figures, valid until the next call. */
const struct rkb_shipped *rkb_shipper_figures(struct rkb_shipper *shipper);

/*
 * Ends the thread: takes what is in the ring, syncs, writes the checkpoint, posts its last figures. False and *error
 * where the disk broke a promise.
 */
bool rkb_shipper_stop(struct rkb_shipper *shipper, struct rkb_error *error);
/* After stop. What the producer still holds is given up: it stays in the journal. */
void rkb_shipper_free(struct rkb_shipper *shipper);

#endif
