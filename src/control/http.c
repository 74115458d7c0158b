/* http -- see http.h. */
#include "control/http.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "control/output.h"

#define MOST_HEADERS 8192
#define IDLE_SECONDS 10

struct rkb_http {
    struct rkb_http_options options;
    struct evhttp *server;
};

static void answer(struct evhttp_request *request, int code, const char *reason, const char *type,
                   struct rkb_buffer *body)
{
    struct evbuffer *out = evbuffer_new();
    if (out == NULL || body->failed || evbuffer_add(out, body->data, body->size) < 0) {
        evhttp_send_error(request, HTTP_INTERNAL, NULL);
    } else {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
        evhttp_add_header(evhttp_request_get_output_headers(request), "Cache-Control", "no-store");
        evhttp_send_reply(request, code, reason, out);
    }
    if (out != NULL)
        evbuffer_free(out);
    rkb_buffer_free(body);
}

static void on_stats(struct evhttp_request *request, void *context)
{
    struct rkb_http *http = context;
    struct rkb_buffer body = {0};
    struct rkb_output output;
    rkb_output_begin(&output, RKB_OUTPUT_JSON, &body);
    rkb_stats_write(http->options.snapshot(http->options.context), &output);
    rkb_output_end(&output);
    answer(request, HTTP_OK, "OK", "application/json", &body);
}

static void on_health(struct evhttp_request *request, void *context)
{
    (void)context;
    struct rkb_buffer body = {0};
    rkb_buffer_text(&body, "the loop turns\n");
    answer(request, HTTP_OK, "OK", "text/plain; charset=utf-8", &body);
}

static void on_ready(struct evhttp_request *request, void *context)
{
    struct rkb_http *http = context;
    const struct rkb_snapshot *snapshot = http->options.snapshot(http->options.context);
    struct rkb_buffer body = {0};
    if (snapshot->ready) {
        rkb_buffer_text(&body, "ready: every subscription is confirmed\n");
        answer(request, HTTP_OK, "OK", "text/plain; charset=utf-8", &body);
        return;
    }
    if (snapshot->draining)
        rkb_buffer_text(&body, "not ready: ending, no message is taken any more\n");
    for (size_t i = 0; i < snapshot->source_count && !snapshot->draining; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        if (source->subscribed < source->wanted)
            rkb_buffer_format(&body, "not ready: source %s has %u of %u subscriptions confirmed\n", source->name,
                              source->subscribed, source->wanted);
    }
    answer(request, HTTP_SERVUNAVAIL, "Service Unavailable", "text/plain; charset=utf-8", &body);
}

/* "127.0.0.1:9464" or "[::1]:9464" taken apart at its last colon; brackets go. */
static bool split(const char *listen, char host[64], ev_uint16_t *port)
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon == listen)
        return false;
    bool brackets = listen[0] == '[' && colon[-1] == ']';
    size_t size = (size_t)(colon - listen) - (brackets ? 2 : 0);
    char *end;
    unsigned long number = strtoul(colon + 1, &end, 10);
    if (size >= 64 || *end != '\0' || number > UINT16_MAX)
        return false;
    memcpy(host, listen + (brackets ? 1 : 0), size);
    host[size] = '\0';
    *port = (ev_uint16_t)number;
    return true;
}

struct rkb_http *rkb_http_new(struct event_base *base, const struct rkb_http_options *options, struct rkb_error *error)
{
    struct rkb_http *http = calloc(1, sizeof *http);
    char host[64];
    ev_uint16_t port;
    if (http == NULL || (http->server = evhttp_new(base)) == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the HTTP server");
        free(http);
        return NULL;
    }
    http->options = *options;
    evhttp_set_allowed_methods(http->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(http->server, MOST_HEADERS);
    evhttp_set_max_body_size(http->server, 0);
    evhttp_set_timeout(http->server, IDLE_SECONDS);
    evhttp_set_cb(http->server, "/stats", on_stats, http);
    evhttp_set_cb(http->server, "/healthz", on_health, http);
    evhttp_set_cb(http->server, "/readyz", on_ready, http);
    if (!split(options->listen, host, &port)) {
        rkb_fail(error, RKB_USAGE, "http.listen %s: not HOST:PORT", options->listen);
    } else if (evhttp_bind_socket(http->server, host, port) == 0) {
        return http;
    } else {
        rkb_fail_errno(error, "http.listen %s: cannot listen", options->listen);
    }
    rkb_http_free(http);
    return NULL;
}

void rkb_http_free(struct rkb_http *http)
{
    evhttp_free(http->server);
    free(http);
}
