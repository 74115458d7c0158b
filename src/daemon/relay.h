/*
 * relay -- the loop's joint: what knows Redis, routes, envelopes and the ring.
 *
 *     relay.c        what a subscriber tells: messages, the life of a stream; what the shipper says
 *     relay_take.c   one message: rules, topic, record
 *     relay_drop.c   what could not be taken: counted, in gaps
 *     relay_gap.c    gaps: the positions around them, and how their bounds are found
 *     relay_intake.c the intake, stopped and started because somebody asked for it
 *     relay_init.c   made from the config, and taken apart
 *     relay_reload.c from one config to the next
 *
 *     subscriber --copy--> winner? --message--> count, UUID --> measure --> reserve in the ring --> render --> commit
 *                            | no                                 | no room: pause reading,
 *                            overlap                              | or drop when the journal is full
 *
 * Promise: a message is in the ring before anything else is done with it; what could not be taken is counted, with
 * its reason, and lies in a gap. Never: waits, allocates per message, touches a file or Kafka. Loop thread.
 */
#ifndef RKB_DAEMON_RELAY_H
#define RKB_DAEMON_RELAY_H

#include <event2/event.h>

#include "base/log.h"
#include "control/stats.h"
#include "config/config.h"
#include "daemon/routing.h"
#include "daemon/shipper.h"
#include "daemon/store.h"
#include "daemon/turn.h"
#include "message/route.h"
#include "message/rules.h"
#include "redis/subscriber.h"

struct rkb_route_topics;
struct rkb_watch;

/* What the loop counts for one route; the shipper counts the rest. By route number. */
struct rkb_tally {
    uint64_t received, recovered, appended, filtered;
    uint64_t dropped[RKB_DROP_REASON_COUNT];
    int64_t rejected_us;                /* a dead letter was last told of; since then not of so many: */
    uint64_t rejected_unsaid;
    bool moved;                         /* since the start it has gone to another topic */
};

struct rkb_relay;

/* Messages given up one by one for one reason since the last mark: the first has a gap, the others share another. */
struct rkb_relay_run {
    struct rkb_gap *gap;                /* of the others; NULL: there are none */
    uint64_t count;
    int64_t last_us;
};

struct rkb_relay_source {
    struct rkb_relay *relay;
    const struct rkb_config_source *config;
    struct rkb_subscriber *subscriber;
    struct rkb_watch *watch;            /* NULL: none is wanted */
    struct rkb_router *router;
    struct rkb_router *next;            /* while its subscriptions change: what takes messages then; else NULL */
    bool changing;                      /* they do, or what is gone is not given up yet */
    struct rkb_stream stream;
    struct event *mark_timer;
    struct rkb_gap *away;               /* open while we are not subscribed; NULL otherwise */
    struct rkb_relay_run runs[RKB_DROP_REASON_COUNT];
    char object[80];                    /* "source[legacy]" for the log */
    uint32_t number;
    uint32_t gap_topic;                 /* the number of the topic that is told of its gaps; 0: none */
    bool streaming, subscribed, dropping, stopped;
    bool unlinked;                      /* it is a replica, and its link to its master is down */
    bool was_whole;                     /* all its subscriptions stood at some time */
    int64_t stream_us;                  /* when the stream began */
    uint64_t overlaps_total, gaps_total;
    uint64_t published;                 /* messages that came, each once, but for those that are no PUBLISH */
    bool events;                        /* a subscription may match such */
    bool next_events;                   /* likewise, once they have changed */
    uint64_t full_count;                /* dropped in the gap that is open because the journal is full */
};

struct rkb_relay_options {
    const struct rkb_config *config;
    struct event_base *base;
    struct rkb_store *store;            /* of the journal only its limits are asked, before the shipper has it */
    struct rkb_log *log;
    const struct rkb_sys *sys;
    /* A subscription is, or another bridge holds us off, and neither may be at the start; NULL: never mind. */
    void (*refused)(void *context);
    void *refused_context;
};

struct rkb_relay {
    struct rkb_relay_options options;
    struct rkb_ring *ring;              /* the store's, as are gaps and dictionary */
    struct rkb_gaps *gaps;
    struct rkb_shipper *shipper;        /* set before the loop runs */
    struct rkb_dictionary *dictionary;
    struct rkb_mark_clock clock;
    struct rkb_relay_source *sources;
    struct rkb_routing *routing;        /* what it goes by */
    struct rkb_routing *before;         /* by which messages are taken that came before a change; else NULL */
    struct rkb_relay_route *routes;     /* the routing's */
    struct rkb_tally *tallies;          /* by route number, tally_count + 1 of them */
    uint32_t tally_count;
    uint32_t gap_route;                 /* of what topics are told of gaps: in no books; 0: there never was any */
    uint64_t next_sequence;
    uint32_t topic_limit;               /* no topic gets a higher number before the next start, or reload */
    bool strict;                        /* at the start all subscriptions must stand */
    size_t names_limit;                 /* bytes: no topic is named at run time beyond this */
    size_t record_limit;                /* bytes: half a ring less some room, or what a segment takes */
    bool ending;                        /* somebody asked for the end: what still comes is taken, for a while */
    struct rkb_pauses *pauses;          /* NULL: nothing ever rests */
    bool stopping;
    int64_t stop_us;            /* realtime: since when */
    uint64_t boot;                      /* rkb_sys_boot() */
    int64_t noted_clock_us;             /* how far ahead the clock was when the last instance last looked; 0: unknown */
    char token[9];                      /* of this process, in the names of its connections; "": none yet */
    int64_t not_durable_us;             /* since when, as the gaps say it; 0: what is read is durable */
    struct rkb_turn turn;
    struct rkb_histogram sizes;         /* of the payloads that were received */
    bool paused;                        /* reading rests until the ring has room */
    bool intake_off;                    /* not subscribed because somebody asked for it, since intake_us (realtime) */
    size_t intake_left;                 /* sources that are still subscribed then */
    int64_t intake_us;
    void (*intake_stopped)(void *context);
    void *intake_context;
    void (*stopped)(void *context);     /* all sources are, after rkb_relay_stop */
    void *stopped_context;
    void (*changed)(void *context);     /* all sources have, after rkb_relay_change */
    void *changed_context;
};

/*
 * Makes sources, routers, routes and envelopes, gives numbers to new names (their dictionary records go to the ring
 * first) and opens the restart gaps. What the options point to must outlive it. The templates were checked with the
 * config.
 */
bool rkb_relay_init(struct rkb_relay *relay, const struct rkb_relay_options *options,
                    struct rkb_error *error) RKB_MUST_CHECK;
/*
 * The number of a name; a new one's dictionary record goes to the ring first, which must keep `keep` bytes free. 0 and
 * *error (RKB_FULL, RKB_NO_MEMORY) when that fails: then nothing has changed.
 */
uint32_t rkb_relay_name(struct rkb_relay *relay, enum rkb_name class, struct rkb_slice name, size_t keep,
                        struct rkb_error *error);
/* Gives the names of a routing their numbers, as rkb_relay_name does. */
bool rkb_relay_number(struct rkb_relay *relay, struct rkb_routing *routing, struct rkb_error *error) RKB_MUST_CHECK;
/* What the source subscribes to, or is about to. */
static inline struct rkb_router *rkb_relay_wanted(const struct rkb_relay_source *source)
{
    return source->next != NULL ? source->next : source->router;
}
/* In place of a route's name, since every record has one: no route can be called so. */
#define RKB_GAP_ROUTE "(gaps)"
/* The gaps' writer: see gaps.h. context: the relay. The source's gap_topic is told in the same step. */
bool rkb_relay_append_gap(void *context, struct rkb_gap *gap);
/* A message that was received, on its way to a record. All lent. */
struct rkb_arrival {
    struct rkb_relay_source *source;
    const struct rkb_relay_route *route;
    const struct rkb_subscription *subscription;    /* its pattern counts, where it is one */
    struct rkb_channel *channel;
    struct rkb_slice payload;
    uint8_t uuid[16];
    struct rkb_slice position;      /* NULL data: the source's stream says it */
    int64_t time_us, now_us;        /* when it was read; now, the same but for one that is sent again */
    uint64_t epoch;
    uint32_t count;                 /* since the mark of that epoch */
    uint8_t flags;                  /* RKB_FLAG_RETRIED, or none */
};

/*
 * What becomes of it, by its route's rules: in the ring, and counted as appended, where *verdict is RKB_PASS or (a dead
 * letter) RKB_REJECTED. Else nothing is counted: RKB_FILTERED; RKB_DROPPED with the drop's word as its code.
 */
void rkb_relay_take(const struct rkb_arrival *arrival, struct rkb_verdict *verdict);
/* A drop's word, and the drop that a word is. */
const char *rkb_relay_drop_word(enum rkb_drop_reason reason);
enum rkb_drop_reason rkb_relay_drop_reason(const char *code);
/*
 * Reading rests while less than half the ring is free: a batch that was read already, and one large record, still
 * fit.
 */
void rkb_relay_pause_if_short(struct rkb_relay *relay);
/* Of the ring: messages leave it to marks and gaps. */
#define RKB_RELAY_KEEP (64u << 10)
/* A message that was received and is not taken: counted, with a place in a gap. */
void rkb_relay_drop(struct rkb_relay_source *source, const struct rkb_relay_route *route, enum rkb_drop_reason reason,
                    int64_t time_us);
/* A second, or the stream, is over: the gaps of what was dropped one by one end. */
void rkb_relay_end_runs(struct rkb_relay_source *source);
/* The gap of a full journal is over; and: the journal has room again. */
void rkb_relay_end_full(struct rkb_relay_source *source);
void rkb_relay_stop_dropping(struct rkb_relay_source *source);
/* The verdict on one whose record of this size is larger than record_limit. */
void rkb_relay_too_large(const struct rkb_arrival *arrival, size_t size, struct rkb_verdict *verdict);
/* A gap of this source, counted; the open one where there is one with this reason. NULL: no memory. */
struct rkb_gap *rkb_relay_open_gap(struct rkb_relay_source *source, const char *reason, int64_t from_us);
/* Likewise, of the message that came last: it is not before the gap. */
struct rkb_gap *rkb_relay_open_gap_at_last(struct rkb_relay_source *source, const char *reason, int64_t from_us);
/* Says so where the clock went back. */
void rkb_relay_say_clock(struct rkb_relay *relay);
/* It is over, before anything else that comes; its handle is no longer valid. */
void rkb_relay_close_gap(struct rkb_relay_source *source, struct rkb_gap *gap, int64_t to_us);
/* What a source's subscriber tells; the context is its rkb_relay_source. */
extern const struct rkb_subscriber_events rkb_relay_events;
/* Subscriptions change (relay_reload.c): what comes was published behind the turn; and: it is done. */
void rkb_relay_turned(struct rkb_relay_source *source);
void rkb_relay_changed(struct rkb_relay_source *source, size_t kept);
/* Tells the journal and the log nothing, but that what follows is counted anew: the next mark, without waiting. */
void rkb_relay_cut(struct rkb_relay_source *source);
/* The second is over: cuts the next mark of this source. */
void rkb_relay_mark(struct rkb_relay_source *source);
/* The source may not subscribe now, because of another bridge: a gap from then (0: now) until it is subscribed. */
void rkb_relay_wait(struct rkb_relay_source *source, int64_t from_us);
/* Why the connection was lost, known better now: the reason of the gap that is open for it. */
void rkb_relay_blame(struct rkb_relay_source *source, const char *reason);
/* Connects. */
void rkb_relay_start(struct rkb_relay *relay, struct rkb_shipper *shipper);
/* The shipper wrote to the loop: there may be room again, or the journal is full now. */
void rkb_relay_look(struct rkb_relay *relay);
enum rkb_intake { RKB_INTAKE_RUNS, RKB_INTAKE_STOPPING, RKB_INTAKE_STOPPED };
enum rkb_intake rkb_relay_intake(const struct rkb_relay *relay);
/*
 * While it runs: unsubscribes everywhere, within timeout_us, and calls `stopped` from the loop. What is published from
 * then on is missed: a gap of each source, until it is subscribed again. And, once it is stopped: subscribes.
 */
void rkb_relay_stop_intake(struct rkb_relay *relay, int64_t timeout_us, void (*stopped)(void *context), void *context);
void rkb_relay_start_intake(struct rkb_relay *relay);
/* This source is unsubscribed for that. */
void rkb_relay_intake_source_stopped(struct rkb_relay_source *source);
/* Unsubscribes everywhere and calls `stopped` when that is done, within timeout_us. */
void rkb_relay_stop(struct rkb_relay *relay, int64_t timeout_us, void (*stopped)(void *context), void *context);
void rkb_relay_free(struct rkb_relay *relay);

#endif
