/*
 * tls_files -- see tls_files.h.
 *
 * OpenSSL opens none of these files: a FIFO would stop the loop, and it would ask the terminal for a key's password.
 * Files are read through base/file and parsed in memory.
 */
#include "redis/tls_files.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum {
    LONGEST_FILE = 1 << 20,     /* a bundle of all public CAs has 220 KB */
    MOST_OF_DIRECTORY = 1000,   /* files */
    LONGEST_PASSWORD = 1024
};

static bool fail_ssl(struct rkb_error *error, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return rkb_fail(error, RKB_SYSTEM, "%s: %s", what, reason != NULL ? reason : "OpenSSL failed");
}

/* A file in memory, and OpenSSL's way to read it. */
struct text {
    char *data;
    size_t size;
    BIO *bio;
};

static void free_text(struct text *text)
{
    BIO_free(text->bio);
    if (text->data != NULL)
        explicit_bzero(text->data, text->size);
    free(text->data);
}

static bool read_text(const char *path, struct text *text, struct rkb_error *error)
{
    *text = (struct text){.data = malloc(LONGEST_FILE)};
    bool read = text->data == NULL ? rkb_fail(error, RKB_NO_MEMORY, "no memory to read %.200s", path)
                                   : rkb_file_read(path, text->data, LONGEST_FILE, &text->size, error);
    if (read)
        text->bio = BIO_new_mem_buf(text->data, (int)text->size);
    if (text->bio != NULL)
        return true;
    free_text(text);
    return read ? rkb_fail(error, RKB_NO_MEMORY, "no memory to read %.200s", path) : false;
}

static bool has(const struct text *text, const char *word)
{
    return memmem(text->data, text->size, word, strlen(word)) != NULL;
}

/* True where PEM ended because there was no more of it. */
static bool is_end_of_pem(void)
{
    unsigned long last = ERR_peek_last_error();
    return ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
}

/* Hands each certificate of the file to take, which owns it from then on. */
static bool each_certificate(const char *path, bool (*take)(SSL_CTX *context, X509 *certificate, int which),
                             SSL_CTX *context, struct rkb_error *error)
{
    struct text text;
    int count = 0;
    bool taken = true;
    if (!read_text(path, &text, error))
        return false;
    ERR_clear_error();
    for (X509 *one; taken && (one = PEM_read_bio_X509_AUX(text.bio, NULL, NULL, NULL)) != NULL; count += taken)
        taken = take(context, one, count);
    bool ended = taken && is_end_of_pem();
    free_text(&text);
    if (taken && ended && count > 0)
        return true;
    if (taken && ended)
        return rkb_fail(error, RKB_USAGE, "%.200s has no certificate in PEM (-----BEGIN CERTIFICATE-----)", path);
    char what[256];
    snprintf(what, sizeof what, "certificate %d in %.200s cannot be used", count + 1, path);
    return fail_ssl(error, what);
}

static bool trust(SSL_CTX *context, X509 *certificate, int which)
{
    (void)which;
    bool added = X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate) == 1;
    X509_free(certificate);
    return added;
}

/* The first certificate is ours, what follows leads to its CA. */
static bool present(SSL_CTX *context, X509 *certificate, int which)
{
    bool used = which == 0 ? SSL_CTX_use_certificate(context, certificate) == 1
                           : SSL_CTX_add1_chain_cert(context, certificate) == 1;
    X509_free(certificate);
    return used;
}

/* "5ed36f99.0": what `openssl rehash` calls a certificate. */
static bool is_hashed_name(const char *name)
{
    size_t hash = strspn(name, "0123456789abcdef");
    return hash == 8 && name[8] == '.' && name[9] != '\0' && strspn(name + 9, "0123456789") == strlen(name + 9);
}

static bool trust_directory(SSL_CTX *context, const char *path, struct rkb_error *error)
{
    char file[1024];
    int count = 0;
    bool good = true;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return rkb_fail_errno(error, "%.200s cannot be read", path);
    for (const struct dirent *entry; good && (entry = readdir(directory)) != NULL;) {
        if (!is_hashed_name(entry->d_name))
            continue;
        snprintf(file, sizeof file, "%.700s/%s", path, entry->d_name);
        good = count++ < MOST_OF_DIRECTORY
                   ? each_certificate(file, trust, context, error)
                   : rkb_fail(error, RKB_USAGE, "%.200s has more than %d certificates", path, MOST_OF_DIRECTORY);
    }
    closedir(directory);
    if (good && count == 0)
        return rkb_fail(error, RKB_USAGE, "%.200s has no certificate under its hash; run openssl rehash on it", path);
    return good;
}

static bool trust_system(SSL_CTX *context, struct rkb_error *error)
{
    return SSL_CTX_set_default_verify_paths(context) == 1 || fail_ssl(error, "the CAs of this system cannot be used");
}

/* Never asks a terminal. -1: there is none, or it is too long. */
static int give_password(char *out, int size, int writing, void *context)
{
    (void)writing;
    const char *password = context;
    size_t length = password == NULL ? 0 : strlen(password);
    if (length == 0 || length > (size_t)size)
        return -1;
    memcpy(out, password, length);
    return (int)length;
}

/* One newline at its end does not count. */
static bool read_password(const char *path, char *out, size_t size, struct rkb_error *error)
{
    size_t length;
    if (!rkb_file_read(path, out, size - 1, &length, error))
        return false;
    if (length > 0 && out[length - 1] == '\n')
        length--;
    out[length] = '\0';
    if (length == 0 || strlen(out) != length)
        return rkb_fail(error, RKB_USAGE, "%.200s is empty or has a NUL byte", path);
    return true;
}

/* password: NULL where none is given. */
static bool use_key(SSL_CTX *context, const char *path, char *password, const char **setting, struct rkb_error *error)
{
    struct text text;
    if (!read_text(path, &text, error))
        return false;
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(text.bio, NULL, give_password, password);
    bool encrypted = has(&text, "ENCRYPTED"), none = !has(&text, "PRIVATE KEY-----");
    free_text(&text);
    if (key == NULL && encrypted && password != NULL) {
        *setting = "tls_key_password_file";
        return rkb_fail(error, RKB_USAGE, "it is not the password of the key in %.200s", path);
    }
    if (key == NULL && encrypted)
        return rkb_fail(error, RKB_USAGE, "the key in %.200s is encrypted; name its password's file in "
                                          "tls_key_password_file", path);
    if (key == NULL)
        return rkb_fail(error, RKB_USAGE, "%.200s %s", path, none ? "has no private key in PEM" : "has a damaged key");
    bool fits = SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return fits || rkb_fail(error, RKB_USAGE, "the key in %.200s does not belong to the certificate in "
                                              "tls_certificate_file; give the two that were made together", path);
}

static bool use_identity(SSL_CTX *context, const struct rkb_tls_options *options, const char **setting,
                         struct rkb_error *error)
{
    char password[LONGEST_PASSWORD];
    *setting = "tls_certificate_file";
    if (!each_certificate(options->certificate_file, present, context, error))
        return false;
    *setting = "tls_key_password_file";
    bool has_password = options->key_password_file != NULL;
    if (has_password && !read_password(options->key_password_file, password, sizeof password, error))
        return false;
    *setting = "tls_key_file";
    bool used = use_key(context, options->key_file, has_password ? password : NULL, setting, error);
    explicit_bzero(password, sizeof password);
    return used;
}

static bool use_files(SSL_CTX *context, const struct rkb_tls_options *options, const char **setting,
                      struct rkb_error *error)
{
    *setting = "tls_ca_file";
    if (options->ca_file != NULL && !each_certificate(options->ca_file, trust, context, error))
        return false;
    *setting = "tls_ca_directory";
    if (options->ca_directory != NULL && !trust_directory(context, options->ca_directory, error))
        return false;
    *setting = NULL;
    bool of_system = options->ca_file == NULL && options->ca_directory == NULL && !options->unverified;
    if (of_system && !trust_system(context, error))
        return false;
    if (options->certificate_file != NULL && options->key_file != NULL)
        return use_identity(context, options, setting, error);
    return true;
}

SSL_CTX *rkb_tls_context(const struct rkb_tls_options *options, const char **setting, struct rkb_error *error)
{
    *setting = NULL;
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
        (void)fail_ssl(error, "TLS cannot be used");
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    if (use_files(context, options, setting, error))
        return context;
    SSL_CTX_free(context);
    return NULL;
}
