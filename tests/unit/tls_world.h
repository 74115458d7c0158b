/*
 * tls_world -- what the tests of TLS share: certificates made once, a server that shows one of them, a client that
 * believes their CA.
 */
#ifndef RKB_TESTS_TLS_WORLD_H
#define RKB_TESTS_TLS_WORLD_H

#include "transport_support.h"

#include "tls_certificates.h"
#include "tls_peer.h"

/* Where the certificates are that all tests share: keys take their time. */
extern char tls_store[64];

/* Setup and teardown of the whole group. */
int tls_make_store(void **state);
int tls_drop_store(void **state);
/* "NAME.crt" or "NAME.key" in the store; lent until the sixteenth call from now. */
const char *tls_in_store(const char *name, const char *end);

/* A server with this certificate; the line's options believe "ca" and nothing else. */
struct tls_peer *tls_prepare(struct line *line, const char *server);
void until_heard(struct line *line, struct tls_peer *peer, const char *text);
void write_text(struct line *line, const char *text);
/* Waits till it is open; a question goes out and an answer comes back. */
void assert_talks(struct line *line, struct tls_peer *peer);

#endif
