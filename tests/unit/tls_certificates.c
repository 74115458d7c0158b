/* tls_certificates -- see tls_certificates.h. */
#include "tls_certificates.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "certificates: %s\n", what);
    abort();
}

static FILE *open_file(const char *directory, const char *name, const char *end, const char *mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.%s", directory, name, end);
    FILE *file = fopen(path, mode);
    need(file != NULL, path);
    return file;
}

static EVP_PKEY *new_key(bool rsa)
{
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(rsa ? EVP_PKEY_RSA : EVP_PKEY_EC, NULL);
    need(context != NULL && EVP_PKEY_keygen_init(context) == 1, "a key");
    need((rsa ? EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048)
              : EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1)) == 1, "a key's kind");
    need(EVP_PKEY_keygen(context, &key) == 1, "a key");
    EVP_PKEY_CTX_free(context);
    return key;
}

static void extend(X509 *certificate, X509 *issuer, int kind, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, kind, value);
    need(extension != NULL && X509_add_ext(certificate, extension, -1) == 1, value);
    X509_EXTENSION_free(extension);
}

static void fill(X509 *certificate, X509 *issuer, EVP_PKEY *key, const struct certificate_wish *wish)
{
    static long serial = 1000;
    X509_NAME *subject = X509_get_subject_name(certificate);
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 86400L * wish->from_days);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 86400L * wish->to_days);
    X509_set_pubkey(certificate, key);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)wish->common_name, -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(issuer));
    extend(certificate, issuer, NID_basic_constraints, wish->is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (wish->names != NULL)
        extend(certificate, issuer, NID_subject_alt_name, wish->names);
}

static void read_issuer(const char *directory, const char *name, X509 **certificate, EVP_PKEY **key)
{
    FILE *file = open_file(directory, name, "crt", "r");
    *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    file = open_file(directory, name, "key", "r");
    *key = PEM_read_PrivateKey(file, NULL, NULL, NULL);
    fclose(file);
    need(*certificate != NULL && *key != NULL, name);
}

static void write_files(const char *directory, const struct certificate_wish *wish, X509 *certificate, EVP_PKEY *key)
{
    FILE *file = open_file(directory, wish->name, "crt", "w");
    need(PEM_write_X509(file, certificate) == 1, "writing");
    fclose(file);
    file = open_file(directory, wish->name, "key", "w");
    char *password = wish->password == NULL ? NULL : strdup(wish->password);
    need(PEM_write_PrivateKey(file, key, password == NULL ? NULL : EVP_aes_128_cbc(), NULL, 0, NULL, password) == 1,
         "writing");
    free(password);
    fclose(file);
}

void make_certificate(const char *directory, const struct certificate_wish *wish)
{
    X509 *certificate = X509_new(), *issuer = certificate;
    EVP_PKEY *key = new_key(wish->rsa), *signing = key;
    need(certificate != NULL, "memory");
    if (wish->issuer != NULL)
        read_issuer(directory, wish->issuer, &issuer, &signing);
    fill(certificate, issuer, key, wish);
    need(X509_sign(certificate, signing, EVP_sha256()) > 0, "signing");
    write_files(directory, wish, certificate, key);
    if (issuer != certificate) {
        X509_free(issuer);
        EVP_PKEY_free(signing);
    }
    X509_free(certificate);
    EVP_PKEY_free(key);
}

void hash_certificate(const char *directory, const char *name, const char *to)
{
    char hashed[32];
    FILE *file = open_file(directory, name, "crt", "r");
    X509 *certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    need(certificate != NULL, name);
    snprintf(hashed, sizeof hashed, "%08lx", X509_subject_name_hash(certificate));
    file = open_file(to, hashed, "0", "w");
    need(PEM_write_X509(file, certificate) == 1, "writing");
    fclose(file);
    X509_free(certificate);
}
