/*
 * tls -- one TLS connection as a client, on a socket that never blocks: handshake, read, write, and in words why not.
 *
 *     socket --read--> OpenSSL --> plain bytes
 *     plain bytes --> OpenSSL --> outgoing (memory) --> whoever owns the socket sends it
 *
 * Since OpenSSL writes to memory only, it never waits for anything but bytes to read. Promise: TLS 1.2 or newer; the
 * server's certificate is verified, chain, time and name, unless `unverified` says not to. Never: opens a file but
 * through base/file (the system's own CAs excepted), asks a terminal for a password, shows a secret.
 */
#ifndef RKB_REDIS_TLS_H
#define RKB_REDIS_TLS_H

#include "base/bytes.h"
#include "base/error.h"

/* Texts are lent; NULL: not given. */
struct rkb_tls_options {
    const char *ca_file, *ca_directory;         /* neither: the CAs of this system */
    const char *certificate_file, *key_file;    /* both, or neither: who we are, where the server asks */
    const char *key_password_file;
    const char *server_name;                    /* instead of the url's host */
    bool unverified;
};

struct rkb_tls;

/*
 * Begins on a connected socket, lent like the options for its life. The files are read now, whole, on the caller's
 * thread: some tens of kilobytes. host: a name or an address, as in the url. NULL and *error.
 */
struct rkb_tls *rkb_tls_new(const struct rkb_tls_options *options, const char *host, int fd, struct rkb_error *error);
void rkb_tls_free(struct rkb_tls *tls);

/*
 * Each of these may leave something in outgoing. DRY: all bytes of the socket are taken and handed on, none is held
 * back in a record that is not whole. PARTLY: nothing more can be had now, but such a record has begun. ENDED: *error
 * says why; nothing but goodbye, outgoing and free may follow.
 */
enum rkb_tls_outcome { RKB_TLS_DONE, RKB_TLS_DRY, RKB_TLS_PARTLY, RKB_TLS_ENDED };
enum rkb_tls_outcome rkb_tls_handshake(struct rkb_tls *tls, struct rkb_error *error);
/* Reads until out is full (DONE) or there is no more. *got: how much is in out, whatever the outcome. */
enum rkb_tls_outcome rkb_tls_read(struct rkb_tls *tls, void *out, size_t size, size_t *got, struct rkb_error *error);
bool rkb_tls_write(struct rkb_tls *tls, const void *data, size_t size, struct rkb_error *error) RKB_MUST_CHECK;
/* Says to the server that nothing more comes, where that is still possible. */
void rkb_tls_goodbye(struct rkb_tls *tls);
/* What is to be sent to the server; lent until the next call of any of these. */
struct rkb_slice rkb_tls_outgoing(struct rkb_tls *tls);
/* All of it is on its way. */
void rkb_tls_sent(struct rkb_tls *tls);

/*
 * Whether the options' files can be used. *setting: the option at fault, as its setting is called ("tls_ca_file"), or
 * NULL.
 */
bool rkb_tls_check(const struct rkb_tls_options *options, const char **setting, struct rkb_error *error) RKB_MUST_CHECK;

#endif
