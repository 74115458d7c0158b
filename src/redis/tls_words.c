/* tls_words -- see tls_words.h. */
#include "redis/tls_words.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "redis/refusal.h"

enum { NAMES_SHOWN = 4, NAME_SIZE = 72 };

/* ---- certificates ---- */

static void show_time(const ASN1_TIME *time, char *out, size_t size)
{
    struct tm tm;
    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        snprintf(out, size, "a time that cannot be read");
}

/* The common name of a subject or issuer, else all of it. */
static void show_name(const X509_NAME *name, char *out, size_t size)
{
    char line[256];
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    const ASN1_STRING *common = at < 0 ? NULL : X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
    if (common != NULL)
        rkb_printable(out, size, rkb_slice(ASN1_STRING_get0_data(common), (size_t)ASN1_STRING_length(common)));
    else if (X509_NAME_oneline(name, line, sizeof line) != NULL)
        rkb_printable(out, size, rkb_slice_text(line));
}

/* One alternative name; false for a kind that cannot be a server's. */
static bool show_alternative(const GENERAL_NAME *name, char *out, size_t size)
{
    int kind;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &kind);
    size_t length = kind == GEN_DNS || kind == GEN_IPADD ? (size_t)ASN1_STRING_length(value) : 0;
    if (kind == GEN_DNS)
        rkb_printable(out, size, rkb_slice(ASN1_STRING_get0_data(value), length));
    else if (kind == GEN_IPADD && (length == 4 || length == 16))
        inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(value), out, (socklen_t)size);
    else
        return false;
    return true;
}

/* "a.example, 10.0.0.1, ... (7 names)"; the common name where there is no alternative. */
static void show_names(X509 *certificate, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int count = 0;
    size_t used = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        char one[NAME_SIZE];
        if (!show_alternative(sk_GENERAL_NAME_value(names, i), one, sizeof one))
            continue;
        if (count++ < NAMES_SHOWN)
            used += (size_t)snprintf(out + used, size - used, "%s%s", count > 1 ? ", " : "", one);
    }
    if (count == 0)
        show_name(X509_get_subject_name(certificate), out, size);
    else if (count > NAMES_SHOWN)
        snprintf(out + used, size - used, ", ... (%d names)", count);
    GENERAL_NAMES_free(names);
}

/* "its certificate", or the CA's on the way to it. */
static void show_whose(X509_STORE_CTX *at, char *out, size_t size)
{
    char name[NAME_SIZE];
    X509 *certificate = X509_STORE_CTX_get_current_cert(at);
    if (X509_STORE_CTX_get_error_depth(at) == 0 || certificate == NULL) {
        snprintf(out, size, "its certificate");
        return;
    }
    show_name(X509_get_subject_name(certificate), name, sizeof name);
    snprintf(out, size, "the certificate of its CA %s", name);
}

static void say_time(X509_STORE_CTX *at, bool expired, struct rkb_error *error)
{
    char whose[128], time[40];
    const X509 *certificate = X509_STORE_CTX_get_current_cert(at);
    show_whose(at, whose, sizeof whose);
    show_time(expired ? X509_get0_notAfter(certificate) : X509_get0_notBefore(certificate), time, sizeof time);
    if (expired)
        rkb_fail(error, RKB_REFUSED, "%s expired on %s: renew it there, or look at this machine's clock", whose, time);
    else
        rkb_fail(error, RKB_REFUSED, "%s is not valid before %s: look at this machine's clock, or have it made anew",
                 whose, time);
}

static void say_name(X509_STORE_CTX *at, const char *wanted, struct rkb_error *error)
{
    char names[NAMES_SHOWN * (NAME_SIZE + 2) + 32];
    show_names(X509_STORE_CTX_get_current_cert(at), names, sizeof names);
    rkb_fail(error, RKB_REFUSED,
             "its certificate is for %.230s, and not for %.64s: correct the url, or name what it is for in "
             "tls_server_name", names, wanted);
}

static void say_unknown(X509_STORE_CTX *at, bool self_signed, bool system_cas, struct rkb_error *error)
{
    char issuer[NAME_SIZE];
    const char *where = system_cas ? "the CAs of this system: name its CA in tls_ca_file"
                                   : "tls_ca_file and tls_ca_directory: add its CA there";
    show_name(X509_get_issuer_name(X509_STORE_CTX_get_current_cert(at)), issuer, sizeof issuer);
    if (self_signed)
        rkb_fail(error, RKB_REFUSED, "its certificate is signed by itself and not among %s", where);
    else
        rkb_fail(error, RKB_REFUSED, "its certificate is signed by %s, which is not among %s", issuer, where);
}

void rkb_tls_say_certificate(X509_STORE_CTX *at, const char *wanted, bool system_cas, struct rkb_error *error)
{
    char whose[128];
    int code = X509_STORE_CTX_get_error(at);
    switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        say_time(at, code == X509_V_ERR_CERT_HAS_EXPIRED, error);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        say_name(at, wanted, error);
        break;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        say_unknown(at, code == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, system_cas, error);
        break;
    default:
        show_whose(at, whose, sizeof whose);
        rkb_fail(error, RKB_REFUSED, "%s is not accepted: %s", whose, X509_verify_cert_error_string(code));
    }
}

/* ---- everything else ---- */

#define NO_TLS "what answers there does not speak TLS: is it the port of a Redis without TLS (redis://)?"
#define WANTS_ONE "the server asks for a client certificate: give tls_certificate_file and tls_key_file"
#define REFUSES_OURS "the server refuses our certificate"

/* Reasons of OpenSSL's, most of them alerts from the server. with: the words where we showed a certificate. */
static const struct {
    int reason;
    const char *words, *with;
} reasons[] = {
    {SSL_R_WRONG_VERSION_NUMBER, NO_TLS, NULL},
    {SSL_R_HTTP_REQUEST, NO_TLS, NULL},
    {SSL_R_UNSUPPORTED_PROTOCOL, "the server knows only TLS older than 1.2: raise it there (tls-protocols)", NULL},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION,
     "the server takes no version of TLS that we know: 1.2 or newer is needed there (tls-protocols)", NULL},
#ifdef SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, WANTS_ONE, WANTS_ONE},
#endif
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE,
     "the server refuses the handshake: it may ask for a client certificate (tls_certificate_file, tls_key_file), or "
     "take none of our ciphers",
     "the server refuses the handshake: it takes none of our ciphers, or not our certificate"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the server refuses the handshake: unknown CA",
     REFUSES_OURS ": it does not know its CA (tls-ca-cert-file there)"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the server refuses the handshake: certificate expired",
     REFUSES_OURS ": it has expired; renew what tls_certificate_file names"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, REFUSES_OURS ": it is revoked", NULL},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, WANTS_ONE, REFUSES_OURS ": it does not like it (bad certificate)"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, REFUSES_OURS ", and does not say why", NULL},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE,
     REFUSES_OURS ": it is not for clients (extended key usage clientAuth)", NULL},
    {SSL_R_TLSV1_UNRECOGNIZED_NAME, "the server knows no such name: correct the url, or give tls_server_name", NULL},
};

static const char *find_words(int reason, bool has_certificate)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].reason == reason)
            return has_certificate && reasons[i].with != NULL ? reasons[i].with : reasons[i].words;
    return NULL;
}

/* The end of the stream: OpenSSL 1.1 tells it by an empty queue, 3 by a reason. */
static bool is_end(unsigned long code, int number)
{
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
    if (ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return true;
#endif
    return code == 0 && number == 0;
}

void rkb_tls_say_failure(bool in_handshake, bool has_certificate, int number, struct rkb_error *error)
{
    unsigned long code = ERR_peek_error();
    const char *words = ERR_GET_LIB(code) == ERR_LIB_SSL ? find_words(ERR_GET_REASON(code), has_certificate) : NULL;
    const char *reason = ERR_reason_error_string(code);
    bool cut = is_end(code, number) || (code == 0 && (number == ECONNRESET || number == EPIPE));
    if (cut && in_handshake)
        rkb_fail(error, RKB_PROTOCOL,
                 "the server closed the connection in the handshake: does it speak TLS on this port?");
    else if (is_end(code, number))
        rkb_fail(error, RKB_CLOSED, "Redis closed the connection");
    else if (words != NULL)
        rkb_fail(error, RKB_REFUSED, "%s", words);
    else if (code == 0 || ERR_GET_LIB(code) == ERR_LIB_SYS)
        rkb_fail(error, RKB_CLOSED, "%s", strerror(code == 0 ? number : ERR_GET_REASON(code)));
    else
        rkb_fail(error, RKB_PROTOCOL, "%s", reason != NULL ? reason : "OpenSSL says no more");
}
