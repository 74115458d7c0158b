/*
 * transport -- see transport.h.
 *
 * The bufferevent connects and writes. It does not read: libevent 2.1 reads 4 KiB at a time and asks before each how
 * much there is. An event of ours on the same socket reads into one buffer, up to a budget for one turn of the loop; it
 * is level-triggered, so what is left calls it again. TLS stands between (tls.h, not libevent's, which could not tell
 * when a read began): it reads from the socket by itself, and what it wants sent goes through the bufferevent. What it
 * has taken from the socket and not handed on makes no event, so that a timer goes on with it.
 *
 * A write that fails ends nothing yet: the read that follows hands on what came before, and perhaps why (Redis's
 * words, a TLS alert).
 */
#include "redis/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024,
    TURN_SIZE = 512 * 1024,             /* then other events of the loop get their turn */
    RECEIVE_BUFFER = 16 * 1024 * 1024,  /* what the kernel holds for us while we are late */
    KEEPALIVE_IDLE_S = 10,
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_PROBES = 3
};

struct rkb_transport {
    struct event_base *base;
    struct rkb_transport_options options;
    struct rkb_guard *guard;
    struct rkb_transport_events events;
    void *context;
    struct rkb_resolver *resolver;
    struct rkb_address addresses[RKB_MOST_ADDRESSES];
    unsigned known, tried;              /* addresses, and those tried in this open */
    unsigned opens;                     /* each open begins with another address */
    struct bufferevent *stream;         /* not NULL: connecting, or connected */
    struct event *readable;             /* not NULL: connected */
    struct rkb_tls *tls;                /* not NULL: connected, and over TLS */
    struct event *leftover;             /* TLS: what it holds is handed on in the loop's next turn */
    bool open;                          /* said so */
    bool paused;
    struct rkb_error unwritten;         /* a write failed; code RKB_OK: none did */
    uint8_t buffer[READ_SIZE];
};

/* Hands what TLS wants sent to the bufferevent. */
static void send_outgoing(struct rkb_transport *transport)
{
    struct rkb_slice outgoing = rkb_tls_outgoing(transport->tls);
    if (outgoing.size > 0)
        (void)bufferevent_write(transport->stream, outgoing.data, outgoing.size);
    rkb_tls_sent(transport->tls);
}

/* Says goodbye where that can be done at once. */
static void end_tls(struct rkb_transport *transport)
{
    rkb_tls_goodbye(transport->tls);
    struct rkb_slice outgoing = rkb_tls_outgoing(transport->tls);
    if (outgoing.size > 0 && evbuffer_get_length(bufferevent_get_output(transport->stream)) == 0)
        (void)send(bufferevent_getfd(transport->stream), outgoing.data, outgoing.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    rkb_tls_free(transport->tls);
    transport->tls = NULL;
}

void rkb_transport_close(struct rkb_transport *transport)
{
    rkb_resolver_cancel(transport->resolver);
    if (transport->tls != NULL)
        end_tls(transport);
    if (transport->leftover != NULL)
        event_free(transport->leftover);
    if (transport->readable != NULL)
        event_free(transport->readable);
    if (transport->stream != NULL)
        bufferevent_free(transport->stream);
    transport->leftover = transport->readable = NULL;
    transport->stream = NULL;
    transport->open = false;
}

static void fail(struct rkb_transport *transport, const struct rkb_error *error)
{
    rkb_transport_close(transport);
    transport->events.broken(transport->context, error);
}

/* The url without its user. */
static void show_place(const struct rkb_transport *transport, char *out, unsigned size)
{
    struct rkb_redis_url url = *transport->options.url;
    url.user[0] = '\0';
    rkb_redis_url_show(&url, out, size);
}

#define PLACE_SIZE (sizeof((struct rkb_redis_url *)0)->host + 64)

/* What went wrong while doing what with this Redis. */
static void explain(const struct rkb_transport *transport, const char *what, enum rkb_code code, const char *why,
                    struct rkb_error *error)
{
    char place[PLACE_SIZE];
    show_place(transport, place, sizeof place);
    rkb_fail(error, code, "%s %s: %s", what, place, why);
}

/* Why the socket broke, as the kernel says it. */
static void explain_system(const struct rkb_transport *transport, const char *what, int number, struct rkb_error *error)
{
    explain(transport, what, RKB_CLOSED, number == 0 ? "the connection broke" : strerror(number), error);
}

static void explain_tls(const struct rkb_transport *transport, struct rkb_error *error)
{
    struct rkb_error why = *error;
    explain(transport, "TLS with", why.code, why.text, error);
}

/*
 * Asks for a large receive buffer, but only where it can be had: a smaller fixed size would be worse than
 * what the kernel grows by itself.
 */
static void widen(int fd)
{
    const int size = RECEIVE_BUFFER;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) == 0)
        return;
    int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), got = 0;
    socklen_t length = sizeof got;
    if (probe < 0)
        return;
    if (setsockopt(probe, SOL_SOCKET, SO_RCVBUF, &size, sizeof size) == 0 &&
        getsockopt(probe, SOL_SOCKET, SO_RCVBUF, &got, &length) == 0 && got >= size)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    close(probe);
}

/* A peer that is gone without a word is noticed by TCP too. Each of these may fail without harm. */
static void set_tcp_options(const struct rkb_transport *transport, int fd)
{
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(transport->options.silence_us / 1000)},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
    widen(fd);
}

enum outcome { MORE, DRY, PARTLY, ENDED };

static enum outcome receive(struct rkb_transport *transport, size_t *taken, struct rkb_error *error)
{
    ssize_t got = recv(bufferevent_getfd(transport->stream), transport->buffer, sizeof transport->buffer, 0);
    *taken = got > 0 ? (size_t)got : 0;
    if (got > 0)
        return *taken < sizeof transport->buffer ? DRY : MORE;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return DRY;
    if (got < 0)
        explain_system(transport, "reading from", errno, error);
    else
        rkb_fail(error, RKB_CLOSED, "Redis closed the connection");
    return ENDED;
}

static enum outcome decrypt(struct rkb_transport *transport, size_t *taken, struct rkb_error *error)
{
    enum rkb_tls_outcome outcome =
        rkb_tls_read(transport->tls, transport->buffer, sizeof transport->buffer, taken, error);
    send_outgoing(transport);
    switch (outcome) {
    case RKB_TLS_DONE: return MORE;
    case RKB_TLS_DRY: return DRY;
    case RKB_TLS_PARTLY: return PARTLY;
    case RKB_TLS_ENDED: break;
    }
    if (error->code != RKB_CLOSED)
        explain_tls(transport, error);
    return ENDED;
}

static bool reading(const struct rkb_transport *transport)
{
    return transport->open && !transport->paused;
}

/* One read, handed on. time_us: from before it, so that what was sent until then is in it if it took all. */
static enum outcome read_once(struct rkb_transport *transport, size_t *taken, int64_t time_us, struct rkb_error *error)
{
    size_t got;
    enum outcome outcome = transport->tls != NULL ? decrypt(transport, &got, error) : receive(transport, &got, error);
    *taken += got;
    if (got > 0)
        transport->events.bytes(transport->context, rkb_slice(transport->buffer, got), time_us);
    return outcome;
}

static void go_on_soon(struct rkb_transport *transport)
{
    const struct timeval now = {0, 0};
    if (transport->leftover != NULL)
        event_add(transport->leftover, &now);
}

/* What came after the last word, or instead of it: the failed write is the better reason for an end without words. */
static void end(struct rkb_transport *transport, const struct rkb_error *error)
{
    const struct rkb_error why =
        transport->unwritten.code != RKB_OK && error->code == RKB_CLOSED ? transport->unwritten : *error;
    fail(transport, &why);
}

/* A read that began then took all there was: what came in before this time has been read. */
static int64_t caught_up(const struct rkb_transport *transport, int64_t time_us)
{
    return time_us - transport->options.sys->quiet_us(bufferevent_getfd(transport->stream));
}

static void take(struct rkb_transport *transport)
{
    struct rkb_error error;
    size_t taken = 0;
    int64_t time_us = 0;
    enum outcome outcome = MORE;
    while (outcome == MORE && taken < TURN_SIZE && reading(transport)) {
        time_us = transport->options.sys->realtime_us();
        outcome = read_once(transport, &taken, time_us, &error);
    }
    if (transport->open)
        transport->events.idle(transport->context, outcome == DRY ? caught_up(transport, time_us) : 0);
    if (transport->open && outcome == ENDED)
        end(transport, &error);
    else if (outcome == MORE && reading(transport))
        go_on_soon(transport);
}

static void open_up(struct rkb_transport *transport)
{
    transport->open = true;
    if (transport->paused)
        event_del(transport->readable);
    transport->events.opened(transport->context);
}

/* Bytes that came behind the handshake may be in OpenSSL already. */
static void shake_hands(struct rkb_transport *transport)
{
    struct rkb_error error;
    enum rkb_tls_outcome outcome = rkb_tls_handshake(transport->tls, &error);
    send_outgoing(transport);
    if (outcome == RKB_TLS_ENDED) {
        explain_tls(transport, &error);
        end(transport, &error);
    } else if (outcome == RKB_TLS_DONE) {
        go_on_soon(transport);
        open_up(transport);
    }
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rkb_transport *transport = arg;
    rkb_guard_enter(transport->guard);
    if (!transport->open)
        shake_hands(transport);
    else if (!transport->paused)
        take(transport);
    rkb_guard_leave(transport->guard);
}

void rkb_transport_pause(struct rkb_transport *transport, bool paused)
{
    transport->paused = paused;
    if (!transport->open)
        return;
    if (paused) {
        event_del(transport->readable);
    } else {
        event_add(transport->readable, NULL);
        go_on_soon(transport);
    }
}

static void on_event(struct bufferevent *stream, short what, void *arg);

/* Begins to connect to one address. */
static bool begin(struct rkb_transport *transport, const struct rkb_address *address, struct rkb_error *error)
{
    const struct sockaddr *to = (const struct sockaddr *)&address->storage;
    int fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return rkb_fail_errno(error, "socket");
    if (to->sa_family != AF_UNIX)
        set_tcp_options(transport, fd);
    transport->stream = bufferevent_socket_new(transport->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (transport->stream == NULL) {
        close(fd);
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a connection");
    }
    bufferevent_setcb(transport->stream, NULL, NULL, on_event, transport);
    if (bufferevent_socket_connect(transport->stream, to, (int)address->size) == 0)
        return true;
    explain_system(transport, "connecting to", errno, error);
    bufferevent_free(transport->stream);
    transport->stream = NULL;
    return false;
}

/* Tries the addresses that are left; why: the reason of the one that failed last. */
static void try_next(struct rkb_transport *transport, struct rkb_error *why)
{
    while (transport->tried < transport->known) {
        unsigned which = (transport->opens - 1 + transport->tried++) % transport->known;
        if (begin(transport, &transport->addresses[which], why))
            return;
    }
    fail(transport, why);
}

static bool start_tls(struct rkb_transport *transport, int fd, struct rkb_error *error)
{
    transport->leftover = evtimer_new(transport->base, on_readable, transport);
    if (transport->leftover == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a connection");
    transport->tls = rkb_tls_new(&transport->options.tls, transport->options.url->host, fd, error);
    return transport->tls != NULL;
}

static bool start_reading(struct rkb_transport *transport, struct rkb_error *error)
{
    evutil_socket_t fd = bufferevent_getfd(transport->stream);
    transport->unwritten.code = RKB_OK;
    transport->readable = event_new(transport->base, fd, EV_READ | EV_PERSIST, on_readable, transport);
    if (transport->readable == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a connection");
    event_add(transport->readable, NULL);
    return !transport->options.url->is_tls || start_tls(transport, fd, error);
}

static void connected(struct rkb_transport *transport)
{
    struct rkb_error error;
    if (!start_reading(transport, &error))
        fail(transport, &error);
    else if (transport->tls != NULL)
        shake_hands(transport);
    else
        open_up(transport);
}

static void on_event(struct bufferevent *stream, short what, void *arg)
{
    int number = errno;
    struct rkb_transport *transport = arg;
    struct rkb_error error;
    rkb_guard_enter(transport->guard);
    if (what & BEV_EVENT_CONNECTED) {
        connected(transport);
    } else if (transport->readable != NULL) {
        explain_system(transport, "writing to", number, &transport->unwritten);
    } else {
        explain_system(transport, "connecting to", number, &error);
        bufferevent_free(stream);
        transport->stream = NULL;
        try_next(transport, &error);
    }
    rkb_guard_leave(transport->guard);
}

/* A socket's path, or an address that needs no resolver. */
static bool add_literal(struct rkb_transport *transport)
{
    const struct rkb_redis_url *url = transport->options.url;
    struct rkb_address *address = &transport->addresses[0];
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    if (url->is_unix) {
        memcpy(path.sun_path, url->host, strnlen(url->host, sizeof path.sun_path - 1));
        memcpy(&address->storage, &path, sizeof path);
        address->size = sizeof path;
    }
    transport->known = url->is_unix || rkb_address_parse(url->host, url->port, address);
    return transport->known > 0;
}

static void on_answer(void *context, const struct rkb_address *addresses, size_t count, const struct rkb_error *error)
{
    struct rkb_transport *transport = context;
    struct rkb_error why;
    rkb_guard_enter(transport->guard);
    transport->known = (unsigned)count;
    for (size_t i = 0; i < count; i++)
        transport->addresses[i] = addresses[i];
    if (count == 0)
        rkb_fail(&why, RKB_CLOSED, "looking up %s: %s", transport->options.url->host, error->text);
    try_next(transport, &why);
    rkb_guard_leave(transport->guard);
}

void rkb_transport_open(struct rkb_transport *transport)
{
    const struct rkb_redis_url *url = transport->options.url;
    struct rkb_error error;
    rkb_transport_close(transport);
    transport->known = transport->tried = 0;
    transport->opens++;
    if (add_literal(transport))
        try_next(transport, &error);
    else
        rkb_resolver_ask(transport->resolver, url->host, url->port);
}

void rkb_transport_overdue(const struct rkb_transport *transport, const char *time, struct rkb_error *error)
{
    char place[PLACE_SIZE];
    show_place(transport, place, sizeof place);
    if (transport->tls != NULL)
        rkb_fail(error, RKB_TIMEOUT, "TLS with %s: no answer within %s; a Redis without TLS on that port never answers "
                                     "(then the url is redis://)", place, time);
    else if (transport->stream != NULL)
        rkb_fail(error, RKB_TIMEOUT, "connecting to %s: no answer within %s", place, time);
    else
        rkb_fail(error, RKB_TIMEOUT, "looking up %s: no name server answered within %s; look at /etc/resolv.conf",
                 transport->options.url->host, time);
}

/* Over TLS nothing goes to the bufferevent but through here: not one byte of ours in the clear. */
static bool encrypt(struct rkb_transport *transport, const void *data, size_t size, struct rkb_error *error)
{
    if (!transport->open)
        return rkb_fail(error, RKB_CLOSED, "a command of %zu bytes, but the connection is not open", size);
    if (!rkb_tls_write(transport->tls, data, size, error))
        return false;
    send_outgoing(transport);
    return true;
}

bool rkb_transport_write(struct rkb_transport *transport, const void *data, size_t size, struct rkb_error *error)
{
    if (transport->tls != NULL)
        return encrypt(transport, data, size, error);
    if (!transport->open || bufferevent_write(transport->stream, data, size) != 0)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a command of %zu bytes", size);
    return true;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
    if (address->ss_family == AF_INET)
        return ntohl(four->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return address->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static bool same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family)
        return false;
    const struct sockaddr_in *four_a = (const struct sockaddr_in *)a, *four_b = (const struct sockaddr_in *)b;
    const struct sockaddr_in6 *six_a = (const struct sockaddr_in6 *)a, *six_b = (const struct sockaddr_in6 *)b;
    if (a->ss_family == AF_INET)
        return four_a->sin_addr.s_addr == four_b->sin_addr.s_addr;
    return a->ss_family == AF_INET6 && memcmp(&six_a->sin6_addr, &six_b->sin6_addr, sizeof six_a->sin6_addr) == 0;
}

bool rkb_transport_is_local(const struct rkb_transport *transport)
{
    struct sockaddr_storage ours = {0}, theirs = {0};
    socklen_t our_size = sizeof ours, their_size = sizeof theirs;
    if (transport->readable == NULL)
        return false;
    int fd = bufferevent_getfd(transport->stream);
    if (getsockname(fd, (struct sockaddr *)&ours, &our_size) != 0 ||
        getpeername(fd, (struct sockaddr *)&theirs, &their_size) != 0)
        return false;
    return theirs.ss_family == AF_UNIX || is_loopback(&theirs) || same_host(&ours, &theirs);
}

/* The size of the other end's address, or path; 0: not connected. */
static socklen_t peer_of(const struct rkb_transport *transport, struct sockaddr_storage *peer)
{
    socklen_t size = sizeof *peer;
    memset(peer, 0, sizeof *peer);
    bool known = transport->readable != NULL
                 && getpeername(bufferevent_getfd(transport->stream), (struct sockaddr *)peer, &size) == 0;
    return known ? size : 0;
}

bool rkb_transport_same_peer(const struct rkb_transport *a, const struct rkb_transport *b)
{
    struct sockaddr_storage first, second;
    socklen_t size = peer_of(a, &first);
    return size > 0 && size == peer_of(b, &second) && memcmp(&first, &second, size) == 0;
}

static void wipe(const void *data, size_t size, void *context)
{
    (void)data;
    explicit_bzero(context, size);
    free(context);
}

bool rkb_transport_write_secret(struct rkb_transport *transport, const void *data, size_t size, struct rkb_error *error)
{
    if (transport->tls != NULL)
        return encrypt(transport, data, size, error);
    void *copy = !transport->open ? NULL : malloc(size);
    if (copy == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a command of %zu bytes", size);
    memcpy(copy, data, size);
    if (evbuffer_add_reference(bufferevent_get_output(transport->stream), copy, size, wipe, copy) == 0)
        return true;
    wipe(copy, size, copy);
    return rkb_fail(error, RKB_NO_MEMORY, "no memory for a command of %zu bytes", size);
}

struct rkb_transport *rkb_transport_new(struct event_base *base, const struct rkb_transport_options *options,
                                        struct rkb_guard *guard, const struct rkb_transport_events *events,
                                        void *context)
{
    struct rkb_transport *transport = calloc(1, sizeof *transport);
    if (transport == NULL)
        return NULL;
    transport->base = base;
    transport->options = *options;
    transport->guard = guard;
    transport->events = *events;
    transport->context = context;
    transport->resolver = rkb_resolver_new(base, options->names, on_answer, transport);
    if (transport->resolver == NULL) {
        free(transport);
        return NULL;
    }
    return transport;
}

void rkb_transport_free(struct rkb_transport *transport)
{
    if (transport == NULL)
        return;
    rkb_transport_close(transport);
    rkb_resolver_free(transport->resolver);
    free(transport);
}
