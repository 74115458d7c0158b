/*
 * connection -- one Redis, logged in and known to be alive: greeting, replies, deadlines, heartbeat.
 *
 *     closed --open--> connecting --> greeting --all answered--> waiting --rkb_connection_beat--> beating
 *        ^                 |              |                         |                                |
 *        +------ lost -----+--------------+-- deadline, refused ----+---- a PING, and then no byte --+
 *
 * Promise: `ready` only when Redis accepted AUTH; a deadline or heartbeat that passes ends in `lost`; after close, lost
 * or free no event comes. Never: knows what is subscribed, tries again by itself. What runs commands besides a
 * subscriber stands on this too. May be opened again, but not from within an event.
 */
#ifndef RKB_REDIS_CONNECTION_H
#define RKB_REDIS_CONNECTION_H

#include "redis/resp.h"
#include "redis/transport.h"

struct rkb_connection;

/* All lent for the connection's life. */
struct rkb_connection_options {
    const struct rkb_redis_url *url;
    struct rkb_tls_options tls;         /* for a rediss:// url */
    const char *user;                   /* overrides the url's; NULL or "": none */
    bool (*password)(void *context, char *out, size_t size, struct rkb_error *error);      /* NULL: the url's */
    void *password_context;
    const char *client_name;            /* NULL or "": none; read anew at each open */
    bool learn_id;                      /* ask for the connection's number in Redis (CLIENT ID) */
    int64_t deadline_us;                /* for connecting, for greeting, and for what rkb_connection_expect names */
    int64_t heartbeat_us, heartbeat_timeout_us;
    uint64_t max_message_size;          /* a longer payload is not held, and `too_large` is called; 0: no limit */
    const struct rkb_sys *sys;
};

struct rkb_connection_events {
    void (*ready)(void *context);
    void (*message)(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                    struct rkb_slice payload, int64_t time_us);
    /* In the place of `message`; size: of the payload that passed by. */
    void (*too_large)(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel, uint64_t size,
                      int64_t time_us);
    void (*confirmation)(void *context, const struct rkb_confirmation *confirmation);
    /* A reply to a command of the owner's. */
    void (*reply)(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer);
    /* A PING is answered. words: empty for a PONG, else the error that Redis said instead. NULL: never mind. */
    void (*beat)(void *context, struct rkb_slice words);
    void (*idle)(void *context);        /* what was read is handed on */
    /* Not NULL: once ready, what comes goes here as it is, and message, confirmation and reply never come. */
    void (*bytes)(void *context, struct rkb_slice bytes);
    void (*lost)(void *context, const struct rkb_error *error);         /* may come from within open */
};

/* NULL when memory ran out. */
struct rkb_connection *rkb_connection_new(struct event_base *base, const struct rkb_connection_options *options,
                                          struct rkb_guard *guard, const struct rkb_connection_events *events,
                                          void *context);
void rkb_connection_free(struct rkb_connection *connection);
void rkb_connection_open(struct rkb_connection *connection);
/* Also inside an event. */
void rkb_connection_close(struct rkb_connection *connection);
/* Closes, and calls `lost` with why. */
void rkb_connection_fail(struct rkb_connection *connection, const struct rkb_error *why);
/* Sends one command; a failure is noticed as `lost`, from within. */
void rkb_connection_send(struct rkb_connection *connection, int count, const struct rkb_slice *words);
/* The deadline begins anew, for `what` ("the subscriptions' confirmation"). A string that stays. */
void rkb_connection_expect(struct rkb_connection *connection, const char *what);
/* From now on PINGs instead of a deadline. The owner's commands are all answered. */
void rkb_connection_beat(struct rkb_connection *connection);
/*
 * A PING now, out of the order of the heartbeat's; `beat` tells of its answer. False, and nothing is sent, while
 * another is open, or there is no heartbeat.
 */
bool rkb_connection_ping(struct rkb_connection *connection);
/* A PING is not answered yet: an error reply would be its answer. */
bool rkb_connection_awaits_pong(const struct rkb_connection *connection);
/* No deadline and no more PINGs: the owner watches the time. */
void rkb_connection_rest(struct rkb_connection *connection);
/*
 * No reading, and no more of what is read already: not one event of its replies, also when called inside one. Going on,
 * they come first, from the loop. Deadline and heartbeat rest meanwhile. Lasts over close and open.
 */
void rkb_connection_pause(struct rkb_connection *connection, bool paused);
uint64_t rkb_connection_bytes(const struct rkb_connection *connection);         /* read, ever */
/*
 * Realtime of the last read that took all there was, and all of it was handed on, less what may have been under way to
 * us then: the longer of the last two round trips. What was published before that has been read. 0: none since open.
 */
int64_t rkb_connection_caught_up_us(const struct rkb_connection *connection);
/* Monotonic: the last byte that went either way; 0: none since open. */
int64_t rkb_connection_active_us(const struct rkb_connection *connection);
/* As rkb_transport_same_peer and rkb_transport_is_local. */
bool rkb_connection_same_peer(const struct rkb_connection *a, const struct rkb_connection *b);
bool rkb_connection_is_local(const struct rkb_connection *connection);
/* The number that Redis gave this connection; 0: not asked for, or refused. */
uint64_t rkb_connection_id(const struct rkb_connection *connection);
/*
 * It ended, or stands, in the middle of a reply after much was read that was all waiting: whoever sent it had more than
 * the sockets take. Good until it is opened again.
 */
bool rkb_connection_broke_off(const struct rkb_connection *connection);

#endif
