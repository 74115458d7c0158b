/*
 * tls_peer -- the other end of a TLS connection, for one client at a time, on a free port of 127.0.0.1 and the test's
 * loop.
 *
 * Its TLS is in memory, so that a test decides which of its bytes are sent when.
 */
#ifndef RKB_TESTS_TLS_PEER_H
#define RKB_TESTS_TLS_PEER_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>

/* Paths of PEM files; a change counts from the next client on. */
struct tls_peer_rules {
    const char *certificate, *key;
    const char *client_ca;      /* clients must show a certificate of this CA */
    int version;                /* the only one spoken; 0: any */
    const char *plain;          /* speaks no TLS but says this; "" says nothing */
    const char *greeting;       /* said right behind the handshake */
    bool cut;                   /* closes at once */
    bool held;                  /* what it says waits for tls_peer_release */
};

struct tls_peer;

struct tls_peer *tls_peer_new(struct event_base *base);
void tls_peer_free(struct tls_peer *peer);
int tls_peer_port(const struct tls_peer *peer);
struct tls_peer_rules *tls_peer_rules(struct tls_peer *peer);
/* What it was told, decrypted; then "(goodbye)" and "(closed)". */
const char *tls_peer_heard(struct tls_peer *peer);
void tls_peer_say(struct tls_peer *peer, const void *data, size_t size);
/* How many bytes wait; sends the first of them, at once, as far as the socket takes them. */
size_t tls_peer_waiting(const struct tls_peer *peer);
void tls_peer_release(struct tls_peer *peer, size_t size);
/* All that was sent is in the other end's socket. */
bool tls_peer_has_delivered(const struct tls_peer *peer);
/* Closes the client's connection. */
void tls_peer_cut(struct tls_peer *peer, bool goodbye);

#endif
