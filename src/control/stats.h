/*
 * stats -- the one table of figures: each a row, and each with exactly one writing thread.
 *
 * The loop fills an rkb_snapshot when somebody asks; control only formats it. Rows make the enum, the JSON and the help
 * text; those of the metrics are in metrics.c. Counters end in _total, time is in seconds, size in bytes.
 */
#ifndef RKB_CONTROL_STATS_H
#define RKB_CONTROL_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/histogram.h"

/* The books, per route and in total: received + recovered = all the others (pending is counted on its own). */
#define RKB_BOOKS(X) \
    X(received, "messages that reached us and have a winning route, each once") \
    X(recovered, "messages that were waiting in ring and journal at start") \
    X(delivered, "records Kafka acknowledged") \
    X(covered, "messages another instance shipped") \
    X(dead_lettered, "messages set aside: they failed a check, or Kafka refused them for good") \
    X(filtered, "messages a filter took out") \
    X(echoed, "our own reverse messages come back") \
    X(dropped, "messages given up, by reason below") \
    X(pending, "records in ring and journal that are not settled")

struct rkb_books {
#define RKB_FIELD(name, help) uint64_t name;
    RKB_BOOKS(RKB_FIELD)
#undef RKB_FIELD
};

#define RKB_DROP_REASONS(X) \
    X(journal_full, "the journal was at its limit and the ring was full") \
    X(too_large, "the payload was over max_message_size, or the record would not fit a segment or half the ring") \
    X(no_memory, "there was no memory to take it") \
    X(missing, "a JSON Pointer of the route's templates found nothing, and missing is drop")

enum rkb_drop_reason {
#define RKB_ENUM(name, help) RKB_DROP_##name,
    RKB_DROP_REASONS(RKB_ENUM)
#undef RKB_ENUM
    RKB_DROP_REASON_COUNT
};

struct rkb_route_snapshot {
    const char *name, *source, *topic;  /* source and topic NULL for a route only the journal knows */
    const char *const *channels, *const *patterns;  /* NULL-terminated; NULL for a route only the journal knows */
    struct rkb_books books;
    double oldest_pending_seconds;      /* of its topic's oldest record that waits; 0: none does */
    bool paused;                        /* somebody asked for it: what comes is taken and waits */
    bool among_others;                  /* it has no metrics of its own, but those of all such together */
};

/* One part of the way that a canary goes: from Redis to us, or to Kafka's acknowledgement. */
struct rkb_canary_leg_snapshot {
    bool proven;                        /* one has walked it since the source was subscribed */
    double age_seconds;                 /* since that one was sent, or since one is asked for */
};

/* Messages of our own that have to come the whole way. What is KNOWN is -1 without them. */
struct rkb_canary_snapshot {
    bool on, rests;                     /* rests: nothing is asked of it now */
    bool unheard;                       /* Redis gave the last ones to nobody */
    bool unsent;                        /* the second connection, which sends it, does not stand */
    const char *refused;                /* why Redis does not take it, and what to do; NULL: it does */
    struct rkb_canary_leg_snapshot redis, kafka;
    double late_after_seconds;
    const char *topic;
    int64_t sent, received, acknowledged;
    double success_seconds;             /* realtime at which the newest that was acknowledged was sent */
    const struct rkb_histogram *round_trip;     /* NULL without them */
};

struct rkb_source_snapshot {
    const char *name, *url, *error;     /* url without password; error "" or why the last connection ended */
    bool connected, paused;
    bool whole;                         /* all its subscriptions are confirmed, and its gap has ended */
    bool unverified;                    /* TLS that does not look who answers */
    uint32_t subscribed, wanted, refused;
    uint64_t connections_total, gaps_total, overlaps_total, bytes_total;
    struct rkb_stall_snapshot {         /* Redis's output buffer for us; negative: unknown */
        int64_t buffer, hard, soft;     /* bytes; limits: 0 is none */
        int64_t soft_seconds;
        double rate;                    /* bytes a second that are published to us */
        double seconds;                 /* until Redis cuts us off if we stopped reading now; also: no end to it */
    } stall;
    int another_bridge;                 /* on this Redis: -1 unknown, 0 none, 1 there is one */
    bool held;                          /* not subscribed because of it */
    const char *role;                   /* of this Redis: "master", "replica"; NULL: unknown */
    const char *master;                 /* a replica's: "10.0.0.1:6379"; NULL: it has none, or unknown */
    bool unlinked;                      /* a replica whose link to its master is down: what comes there is missing */
    const char *rival;                  /* who it is, and what to do; "" for none */
    struct rkb_canary_snapshot canary;
};

/* A subscription that Redis's ACL refuses. */
struct rkb_refused_snapshot {
    const char *source, *route, *name, *rule;   /* name: "channel a"; rule: what to give to redis-cli */
};

struct rkb_gap_snapshot {
    uint64_t id;
    const char *source, *reason;
    int64_t from_us, to_us;             /* to_us 0: open */
    uint64_t bound;                     /* UINT64_MAX: unknown */
    const char *before, *after;         /* positions; NULL or "": unknown */
};

#define RKB_KAFKA_ERROR_NAMES 32
#define RKB_BROKERS_SHOWN 64

/* What librdkafka says of one broker, since its producer was made. */
struct rkb_broker_snapshot {
    int32_t id;                         /* -1: all that have no number here */
    uint64_t round_trips;
    double round_trip_seconds;          /* sum */
    double throttle_seconds;            /* sum */
};

/* What somebody has paused. */
struct rkb_pause_snapshot {
    bool is_topic;                      /* else a route */
    const char *name;
    int64_t since_us;                   /* realtime */
};

struct rkb_judgement;

struct rkb_snapshot {
    const char *version, *instance;
    double uptime_seconds;
    int64_t now_us;                     /* realtime */
    bool ready, draining;
    bool lingering;                     /* asked to end, and still taking messages */
    double ending_seconds;              /* so long at the most until that, or the draining, is over; 0: neither */
    struct {
        bool refused;                   /* what runs is not what the file says: its last reload was refused, */
        const char *why;                /* ... for this reason */
        double taken_seconds;           /* realtime: when what runs was taken, at the start or by a reload */
    } config;
    bool intake_stopped;                /* somebody asked for it: we are not subscribed */
    struct rkb_books totals;
    uint64_t dropped_by_reason[RKB_DROP_REASON_COUNT];
    size_t route_count, source_count, gap_count;
    const struct rkb_route_snapshot *routes;
    const struct rkb_source_snapshot *sources;
    const struct rkb_gap_snapshot *gaps;        /* ascending by id */
    uint64_t notices_pending;                   /* of gaps, to their topics: in no books */
    size_t pause_count;
    const struct rkb_pause_snapshot *pauses;
    const char *pauses_unread;          /* why what was paused before the start is not; NULL: it is */
    size_t refused_count;
    const struct rkb_refused_snapshot *refused; /* the first ones; a source says how many there are */
    struct {
        uint64_t bytes, max_size, segments, checkpoint, head, synced;
        uint64_t ring_bytes, ring_size;
        bool ring_outlives, full;
        bool ring_wanted;                       /* the config names where the ring is to outlive us */
        const char *limit;                      /* that it is at: "journal.min_free", "disk", ...; NULL: not full */
        const char *disk_error;                 /* why what is read now is not durable; NULL: it is */
        uint64_t memory_bytes;                  /* of segments in memory, while the disk fails */
        uint64_t disk_free, min_free;           /* bytes of its file system; disk_free UINT64_MAX: unknown */
        double oldest_pending_seconds;
        double oldest_moving_seconds;           /* of what is not paused */
        double seconds_to_full;                 /* -1: not filling */
        const char *directory;
    } journal;
    struct {
        bool connected;
        uint64_t in_flight, rebuilds_total;
        const char *bootstrap_servers;
        const char *refused;                    /* what a topic does not take, and why; NULL: each takes all */
        uint64_t topics_waiting;                /* that do not take a record now, or whose records go alone */
        uint64_t dead_letter_bytes, dead_letter_limit;
        uint64_t topics_missing;
        const char *missing_topics;             /* their names, as many as there is room for; NULL: none */
        size_t error_count;
        struct { const char *name; uint64_t count; } errors[RKB_KAFKA_ERROR_NAMES];
        const char *library;                    /* librdkafka's version */
        double outage_budget_seconds;           /* so long it may be away, and this rkbridge is ready still */
        double away_seconds;                    /* since when no broker is connected; 0: one is */
        uint64_t queue;                         /* records and events in librdkafka's queues */
        uint64_t brokers_connected;
        size_t broker_count;
        struct rkb_broker_snapshot brokers[RKB_BROKERS_SHOWN];
    } kafka;
    struct {
        double p50_seconds, p99_seconds, max_seconds;
        uint64_t count;
    } latency;                                  /* from reading a message to its acknowledgement */
    uint64_t log_lines_lost_total;
    struct {                                    /* NULL: not kept */
        const struct rkb_histogram *delivery, *produce, *sync, *turn, *size;
    } histograms;
    struct {
        double start_seconds, cpu_seconds;      /* realtime; user and system */
        uint64_t resident_bytes, virtual_bytes, open_fds, max_fds;
    } process;
    const struct rkb_judgement *verdict;        /* NULL: nobody has looked */
};

/* 0 when the books balance, else left side minus right side. */
int64_t rkb_books_imbalance(const struct rkb_books *books);
/* Adds b to a, field by field. */
void rkb_books_add(struct rkb_books *a, const struct rkb_books *b);

/* What the gaps of the ledger come to. */
struct rkb_gap_sums {
    uint64_t open, unknown, bound;      /* unknown: without a bound; bound: the sum of all others */
};
void rkb_gap_sums(const struct rkb_snapshot *snapshot, struct rkb_gap_sums *sums);
#define RKB_GAP_REASONS_SHOWN 24
/* How many have each reason, in the order in which reasons are met. Names are the snapshot's. */
struct rkb_gap_reasons {
    const char *names[RKB_GAP_REASONS_SHOWN];
    uint64_t counts[RKB_GAP_REASONS_SHOWN];
    size_t count;
};
void rkb_gap_reasons(const struct rkb_snapshot *snapshot, struct rkb_gap_reasons *reasons);

struct rkb_output;

/*
 * All figures, in the order and with the names of `stats json`. Others rely on them: some may be added, none renamed.
 */
void rkb_stats_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);
/* Parts of it: the routes, the journal, Kafka. And what each source is like, as a table. */
void rkb_stats_routes_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);
void rkb_journal_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);
void rkb_kafka_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);
void rkb_sources_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);
/* The table of routes; that of gaps which did not end before since_us; and of the last so many, without positions. */
void rkb_routes_write(const struct rkb_snapshot *snapshot, struct rkb_output *output);
void rkb_gaps_write(const struct rkb_snapshot *snapshot, int64_t since_us, struct rkb_output *output);
void rkb_last_gaps_write(const struct rkb_snapshot *snapshot, size_t most, struct rkb_output *output);

#endif
