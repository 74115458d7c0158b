/*
 * http -- see http.h.
 *
 *     connected --> READING --head--> WAITING --its turn--> ANSWERING --all written--> IDLE --a byte--> READING
 *                     |                                        |
 *                     +--refused--> its answer ----------------+--last one--> LINGERING --it hangs up--> gone
 *
 * Each state has a deadline for all of it, so that bytes that drip in or out gain nothing. Clients are kept by
 * state, the longest in it first: where all places are taken, the first that says nothing gives way; where none
 * does, who comes waits in the kernel, and each answer is the last of its connection: so who asks without end
 * keeps nobody out. Answers are paced by buckets of tokens, one for what costs much and one for what costs
 * little, and by a share of the loop's time.
 *
 * Never: waits, builds a page for who has not read the last one, holds more than unread_bytes and one answer.
 */
#include "control/http.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control/http_pages.h"
#include "control/http_request.h"
#include "control/share.h"

#define BACKLOG 64
#define PACE_US 20000               /* how often it is looked whether what waits may go */
#define BURST_US 2000000            /* what a bucket of tokens holds: those of so long */
#define WRITE_MOST (64 * 1024)      /* at one go, then others have their turn */
#define LINGER_MOST (64 * 1024)     /* of what is not wanted any more */
#define KERNEL_MOST (128 * 1024)    /* of one answer in the kernel, which else takes megabytes for who reads nothing */

const struct rkb_http_limits rkb_http_default_limits = {
    .connections = 64, .large_rate = 10, .small_rate = 200, .accept_rate = 200, .unread_bytes = 8 << 20,
    .request_us = 10000000, .idle_us = 120000000, .answer_us = 20000000, .linger_us = 2000000, .silent_us = 100000,
    .yield_us = 3000000};

enum state { READING, IDLE, WAITING_SMALL, WAITING_LARGE, ANSWERING, LINGERING };
#define STATES (LINGERING + 1)

struct client {
    struct rkb_http *http;
    struct bufferevent *connection;
    struct event *deadline;
    enum state state;
    int64_t since_us;
    const struct rkb_page *page;    /* while it waits */
    bool head, keep;
    size_t drained;                 /* while it lingers */
    TAILQ_ENTRY(client) link;
};

struct bucket {
    unsigned rate;
    double tokens;
    int64_t filled_us;
};

struct rkb_http {
    struct rkb_http_options options;
    struct rkb_http_limits limits;
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *pace;
    bool accepting, everything;     /* everything: /stats too */
    TAILQ_HEAD(client_list, client) clients[STATES];
    unsigned count;
    struct bucket small, large, accepts;
    struct rkb_share share;         /* of the loop, for pages with figures */
};

/* ---- tokens ---- */

static bool take_token(struct rkb_http *http, struct bucket *bucket)
{
    int64_t now_us = http->options.sys->monotonic_us();
    double most = (double)bucket->rate * BURST_US / 1e6;
    if (bucket->filled_us == 0)
        bucket->tokens = most;
    else
        bucket->tokens += (double)(now_us - bucket->filled_us) / 1e6 * bucket->rate;
    bucket->filled_us = now_us;
    if (bucket->tokens > most)
        bucket->tokens = most;
    if (bucket->tokens < 1)
        return false;
    bucket->tokens--;
    return true;
}

static void look_soon(struct rkb_http *http)
{
    static const struct timeval soon = {0, PACE_US};
    if (!evtimer_pending(http->pace, NULL))
        event_add(http->pace, &soon);
}

/* ---- clients ---- */

static void client_free(struct client *client)
{
    TAILQ_REMOVE(&client->http->clients[client->state], client, link);
    client->http->count--;
    event_free(client->deadline);
    bufferevent_free(client->connection);
    free(client);
}

static void on_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    client_free(context);
}

static int64_t limit_of(const struct rkb_http *http, enum state state)
{
    switch (state) {
    case READING:
        return http->limits.request_us;
    case IDLE:
        return http->limits.idle_us;
    case WAITING_SMALL:
    case WAITING_LARGE:
    case ANSWERING:
        return http->limits.answer_us;
    case LINGERING:
        break;
    }
    return http->limits.linger_us;
}

/* Who has been longest in this state, if for so long. */
static struct client *longest_in(const struct rkb_http *http, enum state state, int64_t least_us)
{
    struct client *client = TAILQ_FIRST(&http->clients[state]);
    bool is_so_long = client != NULL && http->options.sys->monotonic_us() - client->since_us >= least_us;
    return is_so_long ? client : NULL;
}

/*
 * One that may go for another that comes: who says nothing first, then who does not read, and of those who wait for
 * much the last that came, who would wait longest. Who waits for little, as for health, never.
 */
static struct client *find_idle(struct rkb_http *http)
{
    const struct { enum state state; int64_t least_us; } order[] = {
        {READING, http->limits.silent_us}, {IDLE, 0}, {LINGERING, 0}, {ANSWERING, http->limits.yield_us}};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct client *client = longest_in(http, order[i].state, order[i].least_us);
        if (client != NULL)
            return client;
    }
    return TAILQ_LAST(&http->clients[WAITING_LARGE], client_list);
}

/* All places are taken, and nobody gives way. */
static bool is_crowded(struct rkb_http *http)
{
    return http->count >= http->limits.connections && find_idle(http) == NULL;
}

static void stop_accepting(struct rkb_http *http)
{
    http->accepting = false;
    evconnlistener_disable(http->listener);
    look_soon(http);
}

static void enter(struct client *client, enum state state)
{
    struct rkb_http *http = client->http;
    int64_t limit_us = limit_of(http, state);
    struct timeval limit = {limit_us / 1000000, limit_us % 1000000};
    TAILQ_REMOVE(&http->clients[client->state], client, link);
    TAILQ_INSERT_TAIL(&http->clients[state], client, link);
    client->state = state;
    client->since_us = http->options.sys->monotonic_us();
    event_add(client->deadline, &limit);
    if (state == READING || state == IDLE || state == LINGERING)
        bufferevent_enable(client->connection, EV_READ);
    else
        bufferevent_disable(client->connection, EV_READ);
    if (http->accepting && is_crowded(http))
        stop_accepting(http);
}

/* ---- answers ---- */

static const char *reason_of(int code)
{
    static const struct { int code; const char *words; } reasons[] = {
        {200, "OK"}, {400, "Bad Request"}, {403, "Forbidden"}, {404, "Not Found"}, {405, "Method Not Allowed"},
        {413, "Content Too Large"}, {431, "Request Header Fields Too Large"}, {500, "Internal Server Error"},
        {503, "Service Unavailable"}, {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].code == code)
            return reasons[i].words;
    return "Error";
}

static void free_body(const void *data, size_t size, void *context)
{
    (void)size, (void)context;
    free((void *)(uintptr_t)data);
}

/* The whole answer into the client's output; takes the body. */
static void write_answer(struct client *client, int code, const char *type, struct rkb_buffer *body)
{
    struct evbuffer *output = bufferevent_get_output(client->connection);
    char date[40];
    time_t now = (time_t)(client->http->options.sys->realtime_us() / 1000000);
    client->keep = client->keep && !is_crowded(client->http);
    struct tm parts;
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
    evbuffer_add_printf(output,
                        "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "Cache-Control: no-store\r\n%sConnection: %s\r\n\r\n",
                        code, reason_of(code), date, type, body->size, code == 405 ? "Allow: GET, HEAD\r\n" : "",
                        client->keep ? "keep-alive" : "close");
    enter(client, ANSWERING);
    if (client->head || body->size == 0 || evbuffer_add_reference(output, body->data, body->size, free_body, NULL) != 0)
        rkb_buffer_free(body);
}

static void answer_words(struct client *client, int code, const char *words)
{
    struct rkb_buffer body = {0};
    rkb_buffer_text(&body, words);
    write_answer(client, code, "text/plain; charset=utf-8", &body);
}

/* What comes behind is not read: nobody knows where the next request begins. */
static void refuse(struct client *client, int code)
{
    client->keep = false;
    client->head = false;
    switch (code) {
    case 405: answer_words(client, code, "only GET and HEAD\n"); return;
    case 413: answer_words(client, code, "no request here has a body\n"); return;
    case 431: answer_words(client, code, "a request's head is at most 8192 bytes long\n"); return;
    case 505: answer_words(client, code, "only HTTP/1.0 and HTTP/1.1\n"); return;
    }
    answer_words(client, code, "this is no HTTP request\n");
}

/* Answers that nobody reads make room for this one: the oldest goes first. */
static void bound_unread(struct rkb_http *http)
{
    size_t unread = 0;
    struct client *each;
    TAILQ_FOREACH(each, &http->clients[ANSWERING], link)
        unread += evbuffer_get_length(bufferevent_get_output(each->connection));
    while (unread > http->limits.unread_bytes && (each = TAILQ_FIRST(&http->clients[ANSWERING])) != NULL) {
        unread -= evbuffer_get_length(bufferevent_get_output(each->connection));
        client_free(each);
    }
}

static void answer_page(struct client *client)
{
    struct rkb_http *http = client->http;
    const struct rkb_page *page = client->page;
    struct rkb_buffer body = {0};
    if (page->large)
        bound_unread(http);
    int64_t began_us = http->options.sys->monotonic_us();
    int code = page->write(page->plain ? NULL : http->options.snapshot(http->options.context), &body);
    int64_t now_us = http->options.sys->monotonic_us();
    rkb_share_use(&http->share, now_us, now_us - began_us);
    if (!body.failed) {
        write_answer(client, code, page->type, &body);
        return;
    }
    rkb_buffer_free(&body);
    answer_words(client, 500, "there is no memory for the answer\n");
}

/* Figures cost the more the more routes there are; whether the loop turns costs nothing, and is always said. */
static bool has_to_rest(struct rkb_http *http, const struct rkb_page *page)
{
    return !page->plain && rkb_share_spent(&http->share, http->options.sys->monotonic_us());
}

/* Those that wait, in the order in which they came, as far as tokens and the share of the loop go. */
static void serve(struct rkb_http *http, enum state state, struct bucket *bucket)
{
    struct client *client = TAILQ_FIRST(&http->clients[state]), *next;
    for (; client != NULL; client = next) {
        next = TAILQ_NEXT(client, link);
        bool rests = has_to_rest(http, client->page);
        if (rests || !take_token(http, bucket))
            look_soon(http);
        else
            answer_page(client);
    }
}

static void serve_all(struct rkb_http *http)
{
    serve(http, WAITING_SMALL, &http->small);
    serve(http, WAITING_LARGE, &http->large);
}

/* ---- requests ---- */

static void find_page(struct client *client, const struct rkb_http_request *request)
{
    client->page = rkb_page_find(request->path);
    client->head = request->head;
    client->keep = request->keep;
    if (client->page == NULL)
        answer_words(client, 404, "there are /metrics, /healthz, /readyz and /stats\n");
    else if (client->page->local && !client->http->everything)
        answer_words(client, 403, "not off loopback, unless http.expose is all\n");
    else
        enter(client, client->page->large ? WAITING_LARGE : WAITING_SMALL);
}

/* The next request, if all of it is there. */
static void look_at_input(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->connection);
    size_t there = evbuffer_get_length(input), looked = there < RKB_HTTP_HEAD_MOST ? there : RKB_HTTP_HEAD_MOST;
    struct rkb_http_request request;
    if (there == 0)
        return;
    struct rkb_slice bytes = {evbuffer_pullup(input, (ev_ssize_t)looked), looked};
    size_t size = bytes.data != NULL ? rkb_http_head_size(bytes) : 0;
    if (size == 0 && there >= RKB_HTTP_HEAD_MOST) {
        refuse(client, 431);
    } else if (size == 0) {
        if (client->state == IDLE)
            enter(client, READING);
    } else {
        int code = rkb_http_request_read(rkb_slice(bytes.data, size), &request);
        if (code != 0)
            refuse(client, code);
        else
            find_page(client, &request);
        evbuffer_drain(input, size);
    }
}

/* What comes behind the last answer: not for ever. */
static void drain_input(struct client *client)
{
    struct evbuffer *input = bufferevent_get_input(client->connection);
    client->drained += evbuffer_get_length(input);
    evbuffer_drain(input, evbuffer_get_length(input));
    if (client->drained > LINGER_MOST)
        client_free(client);
}

static void on_read(struct bufferevent *connection, void *context)
{
    (void)connection;
    struct client *client = context;
    struct rkb_http *http = client->http;
    if (client->state == LINGERING)
        drain_input(client);
    else if (client->state == READING || client->state == IDLE)
        look_at_input(client);
    serve_all(http);
}

/* All is written. */
static void on_written(struct bufferevent *connection, void *context)
{
    struct client *client = context;
    struct rkb_http *http = client->http;
    if (client->state != ANSWERING)
        return;
    if (client->keep) {
        enter(client, IDLE);
        look_at_input(client);      /* it may have asked again already */
        serve_all(http);
        return;
    }
    /* To close now could take away the answer from who still sends. */
    shutdown(bufferevent_getfd(connection), SHUT_WR);
    enter(client, LINGERING);
}

static void on_event(struct bufferevent *connection, short what, void *context)
{
    (void)connection, (void)what;
    client_free(context);
}

/* ---- connections ---- */

static struct client *new_client(struct rkb_http *http, evutil_socket_t fd)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->http = http;
    client->deadline = evtimer_new(http->base, on_deadline, client);
    if (client->deadline != NULL)
        client->connection = bufferevent_socket_new(http->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (client->connection == NULL) {
        if (client->deadline != NULL)
            event_free(client->deadline);
        free(client);
        return NULL;
    }
    bufferevent_setcb(client->connection, on_read, on_written, on_event, client);
    bufferevent_setwatermark(client->connection, EV_READ, 0, 2 * RKB_HTTP_HEAD_MOST);
    bufferevent_set_max_single_write(client->connection, WRITE_MOST);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){KERNEL_MOST}, sizeof(int));
    TAILQ_INSERT_TAIL(&http->clients[READING], client, link);
    http->count++;
    enter(client, READING);
    return client;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *context)
{
    struct rkb_http *http = context;
    (void)listener, (void)address, (void)size;
    if (http->count >= http->limits.connections) {
        struct client *idle = find_idle(http);
        if (idle != NULL)
            client_free(idle);
    }
    if (http->count >= http->limits.connections || new_client(http, fd) == NULL)
        evutil_closesocket(fd);
    if (!take_token(http, &http->accepts))
        stop_accepting(http);
}

/* No descriptor left, or the like: not to spin, accepting rests for a moment. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
    (void)listener;
    stop_accepting(context);
}

static void on_pace(evutil_socket_t fd, short what, void *context)
{
    (void)fd, (void)what;
    struct rkb_http *http = context;
    if (!http->accepting && !is_crowded(http) && take_token(http, &http->accepts)) {
        http->accepting = true;
        evconnlistener_enable(http->listener);
    } else if (!http->accepting) {
        look_soon(http);
    }
    serve_all(http);
}

/* ---- listening ---- */

/* "127.0.0.1:9464" or "[::1]:9464" taken apart at its last colon; brackets go. */
static bool split(const char *listen, char host[64], unsigned long *port)
{
    const char *colon = strrchr(listen, ':');
    if (colon == NULL || colon == listen)
        return false;
    bool brackets = listen[0] == '[' && colon[-1] == ']';
    size_t size = (size_t)(colon - listen) - (brackets ? 2 : 0);
    char *end;
    *port = strtoul(colon + 1, &end, 10);
    if (size >= 64 || *end != '\0' || end == colon + 1 || *port > UINT16_MAX)
        return false;
    memcpy(host, listen + (brackets ? 1 : 0), size);
    host[size] = '\0';
    return true;
}

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
};

/* Its size; 0: no address. *loopback: whether only this machine can come to it. */
static int parse(const char *listen, union address *address, bool *loopback)
{
    char host[64];
    unsigned long port;
    *address = (union address){0};
    if (!split(listen, host, &port))
        return 0;
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address->four.sin_addr) == 1) {
        address->four.sin_family = AF_INET;
        address->four.sin_port = htons((uint16_t)port);
        *loopback = ntohl(address->four.sin_addr.s_addr) >> 24 == 127;
        return sizeof address->four;
    }
    if (inet_pton(AF_INET6, host, &address->six.sin6_addr) != 1)
        return 0;
    address->six.sin6_family = AF_INET6;
    address->six.sin6_port = htons((uint16_t)port);
    *loopback = IN6_IS_ADDR_LOOPBACK(&address->six.sin6_addr);
    return sizeof address->six;
}

static bool listen_on(struct rkb_http *http, struct rkb_error *error)
{
    union address address;
    bool loopback = false;
    int size = parse(http->options.listen, &address, &loopback);
    if (size == 0)
        return rkb_fail(error, RKB_USAGE, "http.listen %s: not HOST:PORT", http->options.listen);
    http->everything = loopback || http->options.all;
    http->listener = evconnlistener_new_bind(
        http->base, on_accept, http, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, BACKLOG,
        &address.any, size);
    if (http->listener == NULL)
        return rkb_fail_errno(error, "http.listen %s: cannot listen", http->options.listen);
    evconnlistener_set_error_cb(http->listener, on_accept_error);
    http->accepting = true;
    return true;
}

struct rkb_http *rkb_http_new(struct event_base *base, const struct rkb_http_options *options, struct rkb_error *error)
{
    struct rkb_http *http = calloc(1, sizeof *http);
    if (http == NULL || (http->pace = evtimer_new(base, on_pace, http)) == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the HTTP server");
        free(http);
        return NULL;
    }
    http->options = *options;
    http->limits = options->limits != NULL ? *options->limits : rkb_http_default_limits;
    http->base = base;
    http->small.rate = http->limits.small_rate;
    http->large.rate = http->limits.large_rate;
    http->accepts.rate = http->limits.accept_rate;
    http->share.most_us = RKB_SHARE_MOST_US;
    for (size_t i = 0; i < STATES; i++)
        TAILQ_INIT(&http->clients[i]);
    if (listen_on(http, error))
        return http;
    rkb_http_free(http);
    return NULL;
}

unsigned rkb_http_port(const struct rkb_http *http)
{
    union address address = {0};
    socklen_t size = sizeof address;
    if (getsockname(evconnlistener_get_fd(http->listener), &address.any, &size) != 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
}

void rkb_http_free(struct rkb_http *http)
{
    for (size_t i = 0; i < STATES; i++)
        while (!TAILQ_EMPTY(&http->clients[i]))
            client_free(TAILQ_FIRST(&http->clients[i]));
    if (http->listener != NULL)
        evconnlistener_free(http->listener);
    event_free(http->pace);
    free(http);
}
