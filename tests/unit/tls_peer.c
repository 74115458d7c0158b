/* tls_peer -- see tls_peer.h. */
#include "tls_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <linux/sockios.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/bytes.h"

struct tls_peer {
    struct event_base *base;
    struct evconnlistener *listener;
    struct bufferevent *client;
    SSL *ssl;
    BIO *in, *out;
    struct evbuffer *held;
    struct tls_peer_rules rules;
    struct rkb_buffer heard;
};

static void need(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "peer: %s\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

/* Sends what TLS has to send, or holds it. */
static void flush(struct tls_peer *peer)
{
    char *data;
    long size = BIO_get_mem_data(peer->out, &data);
    if (size > 0 && peer->rules.held)
        evbuffer_add(peer->held, data, (size_t)size);
    else if (size > 0)
        bufferevent_write(peer->client, data, (size_t)size);
    (void)BIO_reset(peer->out);
}

void tls_peer_cut(struct tls_peer *peer, bool goodbye)
{
    if (peer->client == NULL)
        return;
    if (peer->ssl != NULL && goodbye) {
        SSL_shutdown(peer->ssl);
        char *data;
        long size = BIO_get_mem_data(peer->out, &data);
        need(send(bufferevent_getfd(peer->client), data, (size_t)size, 0) == size, "goodbye");
    }
    SSL_free(peer->ssl);
    peer->ssl = NULL;
    bufferevent_free(peer->client);
    peer->client = NULL;
    evbuffer_drain(peer->held, evbuffer_get_length(peer->held));
}

static void on_input(struct bufferevent *client, void *arg)
{
    struct tls_peer *peer = arg;
    struct evbuffer *input = bufferevent_get_input(client);
    size_t size = evbuffer_get_length(input);
    if (peer->ssl == NULL) {
        evbuffer_drain(input, size);
        return;
    }
    need(BIO_write(peer->in, evbuffer_pullup(input, -1), (int)size) == (int)size, "input");
    evbuffer_drain(input, size);
    for (;;) {
        char text[4096];
        ERR_clear_error();
        int got = SSL_read(peer->ssl, text, sizeof text);
        if (peer->rules.greeting != NULL && SSL_is_init_finished(peer->ssl)) {
            SSL_write(peer->ssl, peer->rules.greeting, (int)strlen(peer->rules.greeting));
            peer->rules.greeting = NULL;
        }
        flush(peer);
        if (got > 0) {
            rkb_buffer_add(&peer->heard, text, (size_t)got);
            continue;
        }
        if (SSL_get_error(peer->ssl, got) == SSL_ERROR_ZERO_RETURN)
            rkb_buffer_text(&peer->heard, "(goodbye)");
        return;
    }
}

static void on_end(struct bufferevent *client, short what, void *arg)
{
    (void)client;
    (void)what;
    struct tls_peer *peer = arg;
    rkb_buffer_text(&peer->heard, "(closed)");
    tls_peer_cut(peer, false);
}

static SSL *new_ssl(const struct tls_peer_rules *rules)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    need(context != NULL, "context");
    SSL_CTX_set_security_level(context, 0);     /* also the versions that nobody should speak */
    need(SSL_CTX_use_certificate_chain_file(context, rules->certificate) == 1 &&
             SSL_CTX_use_PrivateKey_file(context, rules->key, SSL_FILETYPE_PEM) == 1, "certificate");
    SSL_CTX_set_min_proto_version(context, rules->version);
    SSL_CTX_set_max_proto_version(context, rules->version);
    if (rules->client_ca != NULL) {
        need(SSL_CTX_load_verify_locations(context, rules->client_ca, NULL) == 1, "client CA");
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    SSL *ssl = SSL_new(context);
    SSL_CTX_free(context);
    return ssl;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *arg)
{
    (void)listener;
    (void)address;
    (void)size;
    struct tls_peer *peer = arg;
    tls_peer_cut(peer, false);
    peer->client = bufferevent_socket_new(peer->base, fd, BEV_OPT_CLOSE_ON_FREE);
    need(peer->client != NULL, "client");
    bufferevent_setcb(peer->client, on_input, NULL, on_end, peer);
    bufferevent_enable(peer->client, EV_READ | EV_WRITE);
    if (peer->rules.cut) {
        tls_peer_cut(peer, false);
    } else if (peer->rules.plain != NULL) {
        bufferevent_write(peer->client, peer->rules.plain, strlen(peer->rules.plain));
    } else {
        peer->ssl = new_ssl(&peer->rules);
        peer->in = BIO_new(BIO_s_mem());
        peer->out = BIO_new(BIO_s_mem());
        need(peer->ssl != NULL && peer->in != NULL && peer->out != NULL, "ssl");
        SSL_set_bio(peer->ssl, peer->in, peer->out);
        SSL_set_accept_state(peer->ssl);
    }
}

struct tls_peer *tls_peer_new(struct event_base *base)
{
    struct tls_peer *peer = calloc(1, sizeof *peer);
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    need(peer != NULL, "memory");
    signal(SIGPIPE, SIG_IGN);       /* as the daemon does: either side may be gone when the other writes */
    peer->base = base;
    peer->held = evbuffer_new();
    peer->listener = evconnlistener_new_bind(base, on_accept, peer, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 16,
                                             (const struct sockaddr *)&address, sizeof address);
    need(peer->held != NULL && peer->listener != NULL, "listen");
    return peer;
}

void tls_peer_free(struct tls_peer *peer)
{
    tls_peer_cut(peer, false);
    evconnlistener_free(peer->listener);
    evbuffer_free(peer->held);
    rkb_buffer_free(&peer->heard);
    free(peer);
}

int tls_peer_port(const struct tls_peer *peer)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    need(getsockname(evconnlistener_get_fd(peer->listener), (struct sockaddr *)&address, &size) == 0, "getsockname");
    return ntohs(address.sin_port);
}

struct tls_peer_rules *tls_peer_rules(struct tls_peer *peer)
{
    return &peer->rules;
}

const char *tls_peer_heard(struct tls_peer *peer)
{
    uint8_t *end = rkb_buffer_reserve(&peer->heard, 1);
    need(end != NULL, "memory");
    *end = '\0';
    return (const char *)peer->heard.data;
}

void tls_peer_say(struct tls_peer *peer, const void *data, size_t size)
{
    need(peer->ssl != NULL && SSL_write(peer->ssl, data, (int)size) == (int)size, "say");
    flush(peer);
}

bool tls_peer_has_delivered(const struct tls_peer *peer)
{
    int unacknowledged = 0;
    need(ioctl(bufferevent_getfd(peer->client), SIOCOUTQ, &unacknowledged) == 0, "SIOCOUTQ");
    return unacknowledged == 0 && evbuffer_get_length(bufferevent_get_output(peer->client)) == 0;
}

size_t tls_peer_waiting(const struct tls_peer *peer)
{
    return evbuffer_get_length(peer->held);
}

void tls_peer_release(struct tls_peer *peer, size_t size)
{
    while (size > 0 && evbuffer_get_length(peer->held) > 0) {
        char data[4096];
        ev_ssize_t got = evbuffer_copyout(peer->held, data, size < sizeof data ? size : sizeof data);
        ssize_t sent = send(bufferevent_getfd(peer->client), data, (size_t)got, 0);
        need(sent > 0 || errno == EAGAIN, "release");
        if (sent <= 0)
            return;
        evbuffer_drain(peer->held, (size_t)sent);
        size -= (size_t)sent;
    }
}
