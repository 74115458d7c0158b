/* tls -- see tls.h. */
#include "redis/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "redis/tls_files.h"
#include "redis/tls_words.h"

enum { READ_AHEAD = 64 * 1024 };        /* of the socket, at once: several records */

struct rkb_tls {
    SSL *ssl;
    BIO *outgoing;                      /* belongs to ssl */
    char wanted[256];                   /* the name or address the certificate must be for */
    bool system_cas, has_certificate;
    bool established, ended;
    struct rkb_error certificate;       /* what is wrong with it; code RKB_OK: nothing */
};

void rkb_tls_free(struct rkb_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_free(tls->ssl);
    free(tls);
}

/* OpenSSL asks here about each certificate of the chain; the first that is not well ends it. */
static int on_certificate(int well, X509_STORE_CTX *at)
{
    const SSL *ssl = X509_STORE_CTX_get_ex_data(at, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct rkb_tls *tls = SSL_get_app_data(ssl);
    if (!well)
        rkb_tls_say_certificate(at, tls->wanted, tls->system_cas, &tls->certificate);
    return well;
}

/* Whom we want to meet; a dot at a name's end is DNS's, not the certificate's. */
static void choose_name(struct rkb_tls *tls, const struct rkb_tls_options *options, const char *host)
{
    const char *name = options->server_name != NULL ? options->server_name : host;
    size_t length = strnlen(name, sizeof tls->wanted - 1);
    memcpy(tls->wanted, name, length);
    if (length > 1 && name[length - 1] == '.')
        tls->wanted[length - 1] = '\0';
}

/* An address is checked against the addresses of the certificate, and is no server name to send. */
static bool expect_name(struct rkb_tls *tls)
{
    uint8_t address[16];
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);
    if (inet_pton(AF_INET, tls->wanted, address) == 1 || inet_pton(AF_INET6, tls->wanted, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(parameters, tls->wanted) == 1;
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(parameters, tls->wanted, 0) == 1 &&
           SSL_set_tlsext_host_name(tls->ssl, tls->wanted) == 1;
}

static bool set_up(struct rkb_tls *tls, SSL_CTX *context, bool verify, int fd)
{
    tls->ssl = SSL_new(context);
    BIO *incoming = BIO_new_socket(fd, BIO_NOCLOSE);
    tls->outgoing = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || incoming == NULL || tls->outgoing == NULL) {
        BIO_free(incoming);
        BIO_free(tls->outgoing);
        return false;
    }
    SSL_set_bio(tls->ssl, incoming, tls->outgoing);
    SSL_set_app_data(tls->ssl, tls);
    SSL_set_connect_state(tls->ssl);
    SSL_set_read_ahead(tls->ssl, 1);
    SSL_set_verify(tls->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, verify ? on_certificate : NULL);
    return expect_name(tls);
}

struct rkb_tls *rkb_tls_new(const struct rkb_tls_options *options, const char *host, int fd, struct rkb_error *error)
{
    const char *setting;
    struct rkb_error why;
    SSL_CTX *context = rkb_tls_context(options, &setting, &why);
    if (context == NULL) {
        const char *glue = setting != NULL ? ": " : "";
        (void)rkb_fail(error, why.code, "%s%s%s", setting != NULL ? setting : "", glue, why.text);
        return NULL;
    }
    struct rkb_tls *tls = calloc(1, sizeof *tls);
    SSL_CTX_set_default_read_buffer_len(context, READ_AHEAD);
    if (tls != NULL) {
        tls->system_cas = options->ca_file == NULL && options->ca_directory == NULL;
        tls->has_certificate = options->certificate_file != NULL;
        choose_name(tls, options, host);
    }
    bool made = tls != NULL && set_up(tls, context, !options->unverified, fd);
    SSL_CTX_free(context);      /* ssl keeps it */
    if (made)
        return tls;
    rkb_tls_free(tls);
    (void)rkb_fail(error, RKB_NO_MEMORY, "no memory for TLS, or its server name cannot be used");
    return NULL;
}

/*
 * A record that is not whole. One of which just the head is taken has nothing pending; its state ("read body") tells.
 */
static bool has_begun(const SSL *ssl)
{
    return SSL_has_pending(ssl) || strcmp(SSL_rstate_string(ssl), "RB") == 0;
}

/* What a call of OpenSSL's that did not succeed came to. */
static enum rkb_tls_outcome judge(struct rkb_tls *tls, int result, int number, struct rkb_error *error)
{
    int why = SSL_get_error(tls->ssl, result);
    if (why == SSL_ERROR_WANT_READ)
        return has_begun(tls->ssl) ? RKB_TLS_PARTLY : RKB_TLS_DRY;
    tls->ended = why != SSL_ERROR_ZERO_RETURN;
    if (tls->certificate.code != RKB_OK)
        *error = tls->certificate;
    else if (why == SSL_ERROR_ZERO_RETURN)
        (void)rkb_fail(error, RKB_CLOSED, "Redis closed the connection");
    else
        rkb_tls_say_failure(!tls->established, tls->has_certificate, number, error);
    return RKB_TLS_ENDED;
}

enum rkb_tls_outcome rkb_tls_handshake(struct rkb_tls *tls, struct rkb_error *error)
{
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(tls->ssl);
    if (result != 1)
        return judge(tls, result, errno, error);
    tls->established = true;
    return RKB_TLS_DONE;
}

enum rkb_tls_outcome rkb_tls_read(struct rkb_tls *tls, void *out, size_t size, size_t *got, struct rkb_error *error)
{
    *got = 0;
    while (*got < size) {
        size_t more = 0;
        ERR_clear_error();
        errno = 0;
        int result = SSL_read_ex(tls->ssl, (char *)out + *got, size - *got, &more);
        if (result != 1)
            return judge(tls, result, errno, error);
        *got += more;
    }
    return RKB_TLS_DONE;
}

bool rkb_tls_write(struct rkb_tls *tls, const void *data, size_t size, struct rkb_error *error)
{
    size_t written;
    ERR_clear_error();
    if (tls->ended || SSL_write_ex(tls->ssl, data, size, &written) != 1)
        return rkb_fail(error, RKB_CLOSED, "TLS takes no more: the connection is at its end");
    return true;
}

void rkb_tls_goodbye(struct rkb_tls *tls)
{
    ERR_clear_error();
    if (tls->established && !tls->ended)
        (void)SSL_shutdown(tls->ssl);
    tls->ended = true;
}

struct rkb_slice rkb_tls_outgoing(struct rkb_tls *tls)
{
    char *data = NULL;
    long size = BIO_get_mem_data(tls->outgoing, &data);
    return rkb_slice(data, size > 0 ? (size_t)size : 0);
}

void rkb_tls_sent(struct rkb_tls *tls)
{
    (void)BIO_reset(tls->outgoing);
}

bool rkb_tls_check(const struct rkb_tls_options *options, const char **setting, struct rkb_error *error)
{
    SSL_CTX *context = rkb_tls_context(options, setting, error);
    SSL_CTX_free(context);
    return context != NULL;
}
