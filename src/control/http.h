/*
 * http -- the figures over HTTP (libevent's evhttp): /stats (the JSON of `stats json`), /healthz, /readyz.
 *
 * Answers GET and HEAD only. /healthz: 200 while the loop turns. /readyz: 200 or 503 with the reason. Loop thread.
 */
#ifndef RKB_CONTROL_HTTP_H
#define RKB_CONTROL_HTTP_H

#include <event2/event.h>

#include "base/error.h"
#include "control/stats.h"

struct rkb_http;

struct rkb_http_options {
    const char *listen;         /* "127.0.0.1:9464", "[::1]:9464" */
    const struct rkb_snapshot *(*snapshot)(void *context);
    void *context;
};

struct rkb_http *rkb_http_new(struct event_base *base, const struct rkb_http_options *options, struct rkb_error *error);
void rkb_http_free(struct rkb_http *http);

#endif
