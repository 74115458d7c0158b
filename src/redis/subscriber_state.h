/*
 * subscriber_state -- what the subscriber's files share. Nothing else includes this.
 *
 *     subscriber.c          its connection: subscribing, answers, losing it, stopping
 *     subscriber_change.c   other subscriptions than before, on a connection that stays
 */
#ifndef RKB_REDIS_SUBSCRIBER_STATE_H
#define RKB_REDIS_SUBSCRIBER_STATE_H

#include "redis/backoff.h"
#include "redis/connection.h"
#include "redis/guard.h"
#include "redis/idle.h"
#include "redis/refusal.h"
#include "redis/subscriber.h"
#include "redis/subscriptions.h"

/*
 * A change: none --> asked --> adding --> turning --> leaving --> none; see subscriber_change.c.
 */
enum change { NONE, ASKED, ADDING, TURNING, LEAVING };
enum state { NEW, WAITING, OPENING, SUBSCRIBING, SUBSCRIBED, STOPPING, STOPPED };

struct rkb_subscriber {
    struct rkb_guard guard;
    struct rkb_subscriber_events events;
    void *context;
    const struct rkb_sys *sys;
    struct rkb_redis_url url;
    char *user, *client_name;
    struct rkb_connection *connection;
    struct event *timer;                /* waiting: to try again; stopping: to have done */
    struct event *again;                /* to ask for what is refused */
    int64_t refused_again_us, heartbeat_us;
    struct rkb_idle idle;
    bool paused;
    struct rkb_backoff backoff;
    int64_t healthy_us;
    enum state state;
    struct rkb_subscriptions subscriptions;
    enum change change;
    struct rkb_subscriptions other;     /* asked: what is wanted next; leaving: what is given up and still stands */
    struct event *late;                 /* a change has waited too long for an answer, whatever else came */
    int64_t patience_us, left_us;       /* so long it waits for one answer; what was left of that ... */
    int64_t waits_since_us;             /* ... then, monotonic */
    size_t told_refused;                /* what `subscribed` said last */
    bool is_stream, batch_due;
    bool broke_off;                     /* the last connection that ended */
    bool settled;                       /* all was answered on this connection, at some time */
    int64_t since_us;                   /* monotonic: since when */
    uint64_t connections;
    int64_t caught_up_us;
    char error[sizeof((struct rkb_subscriber_figures *)0)->error];
    char heartbeat[32];                 /* how the last PING's answer began, where that was an error; else "" */
};

/* False once it is freed or stopped, also from within an event. */
static inline bool rkb_subscriber_alive(const struct rkb_subscriber *subscriber)
{
    return !subscriber->guard.doomed && subscriber->state != STOPPED;
}

/* subscriber.c */
/* Asks for what does not stand. */
void rkb_subscriber_ask_all(struct rkb_subscriber *subscriber);
/* Is all answered? Then what follows; else the deadline begins anew. */
void rkb_subscriber_check(struct rkb_subscriber *subscriber);

/* subscriber_change.c */
/* One command with list[from] to list[end - 1], which stands in line from now on. */
void rkb_subscriber_send_names(struct rkb_subscriber *subscriber, struct rkb_subscriptions *subscriptions,
                               const char *command, size_t from, size_t end);
/* The next step of a change, where what it waits for has come. */
void rkb_subscriber_change_on(struct rkb_subscriber *subscriber);
/* Something was read: what the change waits for may still be on its way behind it. */
void rkb_subscriber_change_moves(struct rkb_subscriber *subscriber);
/* Redis answered something: for the next answer there is as much time again. */
void rkb_subscriber_change_answered(struct rkb_subscriber *subscriber);
/* Reading rests, or goes on: time in which no answer could be read does not count. */
void rkb_subscriber_change_rests(struct rkb_subscriber *subscriber);
/* Of the timer `late`: the connection is given up. */
void rkb_subscriber_change_late(evutil_socket_t fd, short what, void *subscriber);
/* There is no connection any more, or it is about to stop: a change is done at once. */
void rkb_subscriber_change_ended(struct rkb_subscriber *subscriber);
/* Redis confirmed that this one ended; false: nobody asked for that. */
bool rkb_subscriber_left(struct rkb_subscriber *subscriber, bool is_pattern, struct rkb_slice name);
/* An error: that of an UNSUBSCRIBE? Then those stay. */
bool rkb_subscriber_stays(struct rkb_subscriber *subscriber, struct rkb_slice words);

#endif
