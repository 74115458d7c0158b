/*
 * tls_certificates -- certificates and keys made for a test, as files NAME.crt and NAME.key in a directory.
 */
#ifndef RKB_TESTS_TLS_CERTIFICATES_H
#define RKB_TESTS_TLS_CERTIFICATES_H

#include <stdbool.h>

struct certificate_wish {
    const char *name;           /* of the files */
    const char *common_name;
    const char *issuer;         /* name of the files of its CA; NULL: signed by itself */
    const char *names;          /* "DNS:redis.test,IP:127.0.0.1"; NULL: none */
    int from_days, to_days;     /* valid, counted from now */
    bool is_ca;
    const char *password;       /* of the key; NULL: not encrypted */
    bool rsa;                   /* instead of an elliptic curve */
};

/* Ends the test where it cannot. */
void make_certificate(const char *directory, const struct certificate_wish *wish);
/* Copies name's certificate into `to` under its hash, as openssl rehash does. */
void hash_certificate(const char *directory, const char *name, const char *to);

#endif
