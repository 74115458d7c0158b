/*
 * tls_words -- why TLS failed, in words, each with what to do.
 *
 * What the other side wrote into a certificate is shown as printable ASCII, and not much of it.
 */
#ifndef RKB_REDIS_TLS_WORDS_H
#define RKB_REDIS_TLS_WORDS_H

#include <openssl/x509_vfy.h>

#include "base/error.h"

/* What is wrong with the certificate at which verification stopped. wanted: the name or address it should be for. */
void rkb_tls_say_certificate(X509_STORE_CTX *at, const char *wanted, bool system_cas, struct rkb_error *error);
/* What OpenSSL's first queued error means. number: errno of the failed call. */
void rkb_tls_say_failure(bool in_handshake, bool has_certificate, int number, struct rkb_error *error);

#endif
