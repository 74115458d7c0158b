/*
 * watch -- what the daemon concludes from a source's second connection: may we subscribe, are we near a cut.
 *
 *     looking --nobody else, or cannot look--> free --another bridge came first--> yielding --unsubscribed--> held
 *        |                                      ^                                                             |
 *        +---- another bridge is there ---------|--> held --it is gone, or cannot be looked for any more -----+
 *
 * Promise: of bridges on one Redis that can see each other one is subscribed, but for the moment in which two find each
 * other: then the one that connected later yields. What cannot be known is said to be unknown and
 * holds nothing up for longer than connect_timeout. Never: touches a message, waits for a disk. Loop thread.
 */
#ifndef RKB_DAEMON_WATCH_H
#define RKB_DAEMON_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/error.h"

struct rkb_relay_source;
struct rkb_replication;
struct rkb_shipped;
struct rkb_watch;

/* source: lent, with config, object, relay and subscriber. NULL and *error when memory ran out. */
struct rkb_watch *rkb_watch_new(struct rkb_relay_source *source, struct rkb_error *error);
void rkb_watch_free(struct rkb_watch *watch);
/* Connects, and starts the subscriber when it may. NULL: at once is as good, the caller starts it. */
void rkb_watch_start(struct rkb_watch *watch);
/* Decides nothing any more: we are on our way out. */
void rkb_watch_stop(struct rkb_watch *watch);

/* What the subscriber told; NULL is allowed for each. */
void rkb_watch_streaming(struct rkb_watch *watch);
void rkb_watch_stopped(struct rkb_watch *watch);
/* The source is not to subscribe, whatever is seen; and: it may again, unless another bridge is there. */
void rkb_watch_rest(struct rkb_watch *watch);
void rkb_watch_look_anew(struct rkb_watch *watch);
/* A stream was lost: the gap's reason. source: also where it has no watch. *from_us: may get earlier. */
const char *rkb_watch_lost(struct rkb_relay_source *source, const struct rkb_error *error, int64_t *from_us);

/*
 * Whether the bound of a gap can still be found here; and that one waits for it, from now on (gaps.h): its bound, or
 * that it is unknown, comes with what Redis answers next, or within a few periods. give_up: now, unknown.
 */
bool rkb_watch_can_await(const struct rkb_watch *watch);
void rkb_watch_await(struct rkb_watch *watch);
void rkb_watch_give_up(struct rkb_watch *watch);
/* All subscriptions are answered: as good a time as any to count anew. */
void rkb_watch_subscribed(struct rkb_watch *watch);
/* A PING on the subscriber's connection was answered; a stream ended. */
void rkb_watch_pong(struct rkb_watch *watch);
void rkb_watch_published_ended(struct rkb_watch *watch);
/*
 * What the bound of a gap that begins now can be counted from, in RKB_PUBLISHED_SIZE bytes. False: from nothing. For a
 * mark likewise; but only where what comes behind it can be counted too.
 */
bool rkb_watch_anchor(const struct rkb_watch *watch, uint8_t *out);
bool rkb_watch_mark_anchor(const struct rkb_watch *watch, uint8_t *out);

/*
 * Canaries (canary.h). The config may be another one now; subscriptions are answered; a message of the
 * canary's route was received, and is the record of this number (0: it was not taken); what the
 * shipper says may be newer. watch NULL is allowed.
 */
void rkb_watch_canary_reload(struct rkb_watch *watch);
void rkb_watch_canary_subscribed(struct rkb_watch *watch);
void rkb_watch_canary_came(struct rkb_watch *watch, struct rkb_slice payload, uint64_t record);
void rkb_watch_canary_look(struct rkb_watch *watch, const struct rkb_shipped *shipped);
struct rkb_canary_snapshot;
/* For people; lent until the next call. After a look. watch NULL: there is none. */
void rkb_watch_canary_figures(const struct rkb_watch *watch, struct rkb_canary_snapshot *figures);

struct rkb_watch_figures {
    int64_t buffer, hard, soft, soft_seconds;   /* -1: unknown; limits: 0 is none */
    double rate, stall_seconds;                 /* -1: unknown, or no end to it */
    int rival;                                  /* -1: unknown; 0: none; 1: there is one */
    bool held;                                  /* not subscribed because of it */
    const struct rkb_replication *role; /* lent; NULL: unknown */
    const char *rival_text;                     /* who it is and what to do; lent */
};
/* NULL: all is unknown. */
void rkb_watch_figures(const struct rkb_watch *watch, struct rkb_watch_figures *figures);

#endif
