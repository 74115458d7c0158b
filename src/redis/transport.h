/*
 * transport -- a byte stream to one Redis, over TCP, TLS or a unix socket: connects, reads, writes, breaks.
 *
 *     closed --open--> resolving --> connecting (each address in turn) --> [TLS handshake] --> open --> closed
 *                          |                 | none is left                     |               | end of stream, error
 *                          +-----------------+-------------- broken ------------+---------------+
 *
 * Promise: never blocks; after close no event comes. Never: knows what the bytes mean, waits by itself (the owner holds
 * the deadline). May be opened again, but not from within an event. The process ignores SIGPIPE.
 */
#ifndef RKB_REDIS_TRANSPORT_H
#define RKB_REDIS_TRANSPORT_H

#include <event2/event.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/sys.h"
#include "redis/guard.h"
#include "redis/resolver.h"
#include "redis/tls.h"
#include "redis/url.h"

struct rkb_transport;

struct rkb_transport_events {
    void (*opened)(void *context);
    /* Lent. time_us: realtime, when its read began. */
    void (*bytes)(void *context, struct rkb_slice bytes, int64_t time_us);
    /*
     * Nothing more for this turn of the loop. caught_up_us: realtime when the read began that took all there was,
     * less how long that had been there already; 0 if more waits. (Who reads late, because he was stopped, does not
     * know whether more would have come since then: the network may have gone meanwhile.)
     */
    void (*idle)(void *context, int64_t caught_up_us);
    void (*broken)(void *context, const struct rkb_error *error);       /* closed already; may come from within open */
};

/* All lent for the transport's life. */
struct rkb_transport_options {
    const struct rkb_redis_url *url;
    struct rkb_tls_options tls;                 /* for a rediss:// url */
    const struct rkb_resolver_files *names;     /* NULL: as this system looks names up */
    int64_t silence_us;                         /* how long TCP may go without an acknowledgement */
    const struct rkb_sys *sys;
};

/* NULL when memory ran out. */
struct rkb_transport *rkb_transport_new(struct event_base *base, const struct rkb_transport_options *options,
                                        struct rkb_guard *guard, const struct rkb_transport_events *events,
                                        void *context);
void rkb_transport_free(struct rkb_transport *transport);
void rkb_transport_open(struct rkb_transport *transport);
void rkb_transport_close(struct rkb_transport *transport);
bool rkb_transport_write(struct rkb_transport *transport, const void *data, size_t size,
                         struct rkb_error *error) RKB_MUST_CHECK;
/* The same; what it keeps of data until it is sent is overwritten then. */
bool rkb_transport_write_secret(struct rkb_transport *transport, const void *data, size_t size,
                                struct rkb_error *error) RKB_MUST_CHECK;
/* What a deadline of so long (as text) that passed before `opened` waited for, in words, to *error. */
void rkb_transport_overdue(const struct rkb_transport *transport, const char *time, struct rkb_error *error);
/* Lasts over close and open. What was read already is still handed on. */
void rkb_transport_pause(struct rkb_transport *transport, bool paused);
/* Both are connected, and to one address and port, or one socket. */
bool rkb_transport_same_peer(const struct rkb_transport *a, const struct rkb_transport *b);
/* Open, and the other end is this machine, by its address: a unix socket, loopback, or the same as ours. */
bool rkb_transport_is_local(const struct rkb_transport *transport);

#endif
