/*
 * http -- /metrics (Prometheus), /stats (the JSON of `stats json`), /healthz, /readyz; GET and HEAD.
 *
 * A server of our own on libevent's bufferevents: its evhttp bounds neither how many connect nor how long a request may
 * take to come. Here nobody gets more than a small share of the loop: so many connections (who says nothing gives way
 * to who comes), a head of so many bytes within so many seconds, an answer that has to be read in time, so many
 * answers a second. Off loopback /stats is refused unless `all`. Loop thread.
 */
#ifndef RKB_CONTROL_HTTP_H
#define RKB_CONTROL_HTTP_H

#include <event2/event.h>

#include "base/error.h"
#include "base/sys.h"
#include "control/stats.h"

struct rkb_http;

struct rkb_http_limits {
    unsigned connections;
    unsigned large_rate, small_rate;    /* answers a second: /metrics and /stats; all others */
    unsigned accept_rate;               /* connections taken a second */
    size_t unread_bytes;                /* of all answers together that nobody has read */
    int64_t request_us;                 /* from its first byte, or from connecting, to the end of a request's head */
    int64_t idle_us;                    /* from an answer to the next request */
    int64_t answer_us;                  /* to read an answer, or to wait for one */
    int64_t linger_us;                  /* from a last answer until the client hangs up */
    int64_t silent_us;                  /* so long one that has not asked yet is safe from who comes */
    int64_t yield_us;                   /* an answer as old as this gives way to who comes, where no place is left */
};

extern const struct rkb_http_limits rkb_http_default_limits;
#define RKB_HTTP_HEAD_MOST 8192         /* bytes of a request's head */

struct rkb_http_options {
    const char *listen;         /* "127.0.0.1:9464", "[::1]:9464", "localhost:9464" */
    bool all;                   /* /stats off loopback too */
    const struct rkb_http_limits *limits;       /* NULL: the default ones */
    const struct rkb_sys *sys;
    const struct rkb_snapshot *(*snapshot)(void *context);
    void *context;
};

struct rkb_http *rkb_http_new(struct event_base *base, const struct rkb_http_options *options, struct rkb_error *error);
/* The port it listens on, where listen says 0. */
unsigned rkb_http_port(const struct rkb_http *http);
void rkb_http_free(struct rkb_http *http);

#endif
