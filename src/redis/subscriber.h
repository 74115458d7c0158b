/*
 * subscriber -- keeps one Redis subscribed, for ever, and hands each message on as it is read.
 *
 *     waiting --timer--> connecting --> greeting (AUTH, CLIENT SETNAME) --> subscribing --all answered---> subscribed
 *        ^                   |               |                                 |                              |
 *        +---- backoff ------+---------------+------------- lost --------------+--- PING unanswered, closed --+
 *
 * A subscription that the ACL refuses (NOPERM) leaves the others standing and is asked for again.
 *
 * Promise: reports a subscription confirmed only when Redis confirmed it, and one refused by its name; tries again for
 * ever, with jittered backoff that goes back to its start only after a healthy stretch; an unanswered PING ends the
 * connection within the deadline. Never: blocks, buffers messages, allocates per message. Loop thread; the process
 * ignores SIGPIPE.
 */
#ifndef RKB_REDIS_SUBSCRIBER_H
#define RKB_REDIS_SUBSCRIBER_H

#include <event2/event.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/sys.h"
#include "redis/refusal.h"
#include "redis/tls.h"
#include "redis/url.h"

struct rkb_subscriber;
struct rkb_subscriptions;           /* subscriptions.h */

struct rkb_subscriber_options {
    struct rkb_redis_url url;
    struct rkb_tls_options tls;     /* for a rediss:// url; its texts are lent for the subscriber's life */
    const char *user;               /* overrides the url's; NULL or "": none */
    /*
     * Asked at each connect, with the context of the events, so that a changed password file counts. Fills out; false
     * and *error if it cannot be had. NULL: the url's password.
     */
    bool (*password)(void *context, char *out, size_t size, struct rkb_error *error);
    const char *client_name;        /* CLIENT SETNAME; "rkbridge:<instance>" */
    bool learn_id;                  /* ask for the connection's number (CLIENT ID) */
    /* For connecting, greeting and each answer to subscriptions; of a change, while messages come, ten times that. */
    int64_t connect_timeout_us;
    int64_t heartbeat_us;           /* a PING this often ... */
    int64_t heartbeat_timeout_us;   /* ... and any byte within this, or the connection is given up */
    int64_t backoff_min_us, backoff_max_us;
    int64_t healthy_us;             /* subscribed this long: backoff starts anew */
    int64_t refused_again_us;       /* what is refused is asked for again this often; at each reconnect anyway */
    uint64_t max_message_size;      /* of a payload, in bytes; 0: no limit */
    const struct rkb_sys *sys;
};

struct rkb_subscriber_events {
    /* Logged in; subscriptions go out next: a new stream begins. time_us: realtime, now. */
    void (*stream)(void *context, int64_t time_us);
    void (*confirmed)(void *context, bool is_pattern, struct rkb_slice name, bool on);
    /*
     * The ACL refuses this one, in Redis's own words, lent. Told once, until it is allowed or lacks something else; it
     * stays refused meanwhile, over lost connections too.
     */
    void (*refused)(void *context, bool is_pattern, struct rkb_slice name, enum rkb_lack lack, struct rkb_slice words);
    /* One that was refused is confirmed, right after `confirmed`. */
    void (*allowed)(void *context, bool is_pattern, struct rkb_slice name);
    /* All are confirmed but so many that are refused; again on the same connection when their number changed. */
    void (*subscribed)(void *context, int64_t time_us, size_t refused);
    /* One copy, as Redis sent it, lent; pattern is empty where is_pattern is false. time_us: realtime of its read. */
    void (*message)(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                    struct rkb_slice payload, int64_t time_us);
    /* Likewise, of one whose payload of `size` bytes was over max_message_size: it passed by without being held. */
    void (*too_large)(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel, uint64_t size,
                      int64_t time_us);
    /*
     * A PING was answered by an error (words, lent), which is a sign of life all the same; told when it is another one
     * than before. Empty: by a PONG again. NULL: never mind.
     */
    void (*heartbeat)(void *context, struct rkb_slice words);
    /* A PING is answered: what comes behind was published after it was sent. NULL is allowed. */
    void (*pong)(void *context);
    /* No more messages in what was read: wake whoever waits. */
    void (*batch)(void *context);
    /*
     * The connection is gone, also one that never got so far: was_stream tells whether `stream` came. A (P)SUBSCRIBE
     * refused for another reason than rights ends here too. caught_up_us: realtime of this connection's last read that
     * took all there was, 0 if none. Not called when it ends while stopping.
     */
    void (*lost)(void *context, const struct rkb_error *error, bool was_stream, int64_t caught_up_us,
                 int64_t retry_us);
    /* After stop: all is unsubscribed, or the deadline passed; nothing comes any more. */
    void (*stopped)(void *context);
    /*
     * Of a change: what was published until now has come, what comes was published later; what is new stands, what is
     * gone still does, for a while. And: it is done; so many that are gone still stand, since Redis refuses to end
     * them.
     */
    void (*turned)(void *context);
    void (*changed)(void *context, size_t kept);
};

/* Copies options and events. Nothing happens before start. NULL when memory ran out. */
struct rkb_subscriber *rkb_subscriber_new(struct event_base *base, const struct rkb_subscriber_options *options,
                                          const struct rkb_subscriber_events *events, void *context);
/* What to subscribe to; before start. Copies the name. */
bool rkb_subscriber_add(struct rkb_subscriber *subscriber, bool is_pattern, struct rkb_slice name,
                        struct rkb_error *error) RKB_MUST_CHECK;
/*
 * These are wanted from now on; takes them. What is of both is not touched, what is new is subscribed to, then comes
 * `turned`, then what is gone is given up, then comes `changed`. Where no connection stands, or when it is lost
 * meanwhile (behind `lost`) or stopped, both come at once, also from within. An answer that does not come ends the
 * connection, whatever else comes. A new one that is refused is told of, and asked for again, as ever. False, and
 * nothing is taken, while another change is not done.
 */
bool rkb_subscriber_change(struct rkb_subscriber *subscriber, struct rkb_subscriptions *wanted) RKB_MUST_CHECK;
/* Also anew, after `stopped`. */
void rkb_subscriber_start(struct rkb_subscriber *subscriber);
/*
 * Stops reading from the socket (the kernel and Redis hold what comes), and goes on. Called inside `message`, not even
 * the next one that is read already is handed on; those come first when reading goes on. Deadlines and heartbeat rest
 * meanwhile. Lasts over a lost connection, and over stop, which then waits in vain.
 */
void rkb_subscriber_pause(struct rkb_subscriber *subscriber, bool paused);
/*
 * Ends the connection for this reason, as if it was lost, and connects anew: the name is looked up again, and a new
 * stream begins. Does nothing where none stands, or while it stops.
 */
void rkb_subscriber_renew(struct rkb_subscriber *subscriber, const struct rkb_error *why);
/*
 * Unsubscribes from all, hands on what Redis sent before it confirmed that, closes, and calls `stopped`, all within
 * timeout_us; at once where nothing is subscribed. `stopped` comes from the loop, never from within; again, if asked
 * again after it.
 */
void rkb_subscriber_stop(struct rkb_subscriber *subscriber, int64_t timeout_us);
/* A PING now, and `pong` with its answer. False while another is open, or not all is subscribed. */
bool rkb_subscriber_ping(struct rkb_subscriber *subscriber);
/* Safe inside a callback: freeing is deferred. */
void rkb_subscriber_free(struct rkb_subscriber *subscriber);

struct rkb_connection;
/* Its connection, to be looked at; NULL while it is not logged in. */
const struct rkb_connection *rkb_subscriber_connection(const struct rkb_subscriber *subscriber);

struct rkb_subscriber_figures {
    bool connected;                 /* logged in */
    uint32_t subscribed;            /* confirmed now */
    uint32_t refused;               /* the last answer to so many was no */
    uint64_t connections_total;     /* logins that succeeded */
    uint64_t bytes_total;           /* read from Redis */
    int64_t caught_up_us;           /* realtime of the last read that took all there was, 0 if none ever */
    uint64_t id;                    /* of this connection in Redis's CLIENT LIST; 0: unknown, or not connected */
    bool broke_off;                 /* the last connection ended in the middle of a reply, and much was waiting */
    char error[256];                /* why the last connection ended, "" if none did */
};
void rkb_subscriber_figures(const struct rkb_subscriber *subscriber, struct rkb_subscriber_figures *figures);

struct rkb_refused {
    bool is_pattern;
    struct rkb_slice name;          /* lent */
    enum rkb_lack lack;
};
/* Goes through what is refused: *at is 0 at first. False: that was all. */
bool rkb_subscriber_next_refused(const struct rkb_subscriber *subscriber, size_t *at, struct rkb_refused *refused);

#endif
