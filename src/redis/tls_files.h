/*
 * tls_files -- what a TLS client needs from files: CAs, our certificate, our key. Read anew for each connection, so
 * that renewed files count.
 */
#ifndef RKB_REDIS_TLS_FILES_H
#define RKB_REDIS_TLS_FILES_H

#include <openssl/ssl.h>

#include "redis/tls.h"

/* To be freed with SSL_CTX_free. NULL, *error, and *setting (see rkb_tls_check). */
SSL_CTX *rkb_tls_context(const struct rkb_tls_options *options, const char **setting, struct rkb_error *error);

#endif
