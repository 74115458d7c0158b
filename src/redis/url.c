/*
 * url -- see url.h.
 *
 * No message here repeats what was read, but for nothing at all: a stray '/' or '@' in a password moves pieces of it to
 * where host, port or path are looked for.
 */
#include "redis/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { DEFAULT_PORT = 6379 };

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes text into out. A NUL byte is refused: it would end the word early. */
static bool decode(const char *what, const char *text, size_t length, char *out, size_t size, struct rkb_error *error)
{
    size_t used = 0;
    for (size_t i = 0; i < length; i++) {
        char byte = text[i];
        if (byte == '%') {
            int high = i + 2 < length ? hex_digit(text[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(text[i + 2]);
            if (low < 0 || high * 16 + low == 0)
                return rkb_fail(error, RKB_USAGE, "the %s has a %% without the two digits of a byte behind it "
                                                  "(write %%25 for a %%)", what);
            byte = (char)(high * 16 + low);
            i += 2;
        }
        if (used + 1 >= size)
            return rkb_fail(error, RKB_USAGE, "the %s is longer than %zu bytes", what, size - 1);
        out[used++] = byte;
    }
    out[used] = '\0';
    return true;
}

/* user[:password] */
static bool parse_login(const char *text, size_t length, struct rkb_redis_url *url, struct rkb_error *error)
{
    const char *colon = memchr(text, ':', length);
    size_t user = colon == NULL ? length : (size_t)(colon - text);
    if (!decode("user", text, user, url->user, sizeof url->user, error))
        return false;
    return colon == NULL ||
           decode("password", colon + 1, length - user - 1, url->password, sizeof url->password, error);
}

static bool parse_port(const char *text, size_t length, int *port, struct rkb_error *error)
{
    int value = 0;
    for (size_t i = 0; i < length && value <= 65535; i++)
        value = isdigit((unsigned char)text[i]) ? value * 10 + (text[i] - '0') : 65536;
    if (length == 0 || value < 1 || value > 65535)
        return rkb_fail(error, RKB_USAGE, "the port is not a number from 1 to 65535 (an IPv6 address needs brackets)");
    *port = value;
    return true;
}

static bool copy_host(const char *text, size_t length, struct rkb_redis_url *url, struct rkb_error *error)
{
    if (length == 0)
        return rkb_fail(error, RKB_USAGE, "the host is missing");
    if (length >= sizeof url->host)
        return rkb_fail(error, RKB_USAGE, "the host is longer than %zu bytes", sizeof url->host - 1);
    memcpy(url->host, text, length);
    url->host[length] = '\0';
    return true;
}

/* [address][:port]: what stands behind the bracket's end goes to *rest. */
static bool parse_bracketed(const char *text, size_t length, struct rkb_redis_url *url, size_t *rest,
                            struct rkb_error *error)
{
    const char *end = memchr(text, ']', length);
    if (end == NULL)
        return rkb_fail(error, RKB_USAGE, "the bracket of the IPv6 address is not closed");
    if (!copy_host(text + 1, (size_t)(end - text) - 1, url, error))
        return false;
    struct in6_addr address;
    if (inet_pton(AF_INET6, url->host, &address) != 1)
        return rkb_fail(error, RKB_USAGE, "what stands in the brackets is not an IPv6 address");
    *rest = (size_t)(end - text) + 1;
    if (*rest < length && text[*rest] != ':')
        return rkb_fail(error, RKB_USAGE, "only a port may stand behind the IPv6 address");
    return true;
}

static bool parse_name(const char *text, size_t length, struct rkb_redis_url *url, size_t *rest,
                       struct rkb_error *error)
{
    const char *colon = memchr(text, ':', length);
    *rest = colon == NULL ? length : (size_t)(colon - text);
    for (size_t i = 0; i < *rest; i++)
        if (!isalnum((unsigned char)text[i]) && strchr(".-_", text[i]) == NULL)
            return rkb_fail(error, RKB_USAGE, "the host has a character that no host name has "
                                              "(in user and password, write it as %%XX)");
    return copy_host(text, *rest, url, error);
}

/* host[:port][/] */
static bool parse_place(const char *text, size_t length, const char *behind, struct rkb_redis_url *url,
                        struct rkb_error *error)
{
    size_t rest = 0;
    bool bracketed = length > 0 && text[0] == '[';
    if (bracketed ? !parse_bracketed(text, length, url, &rest, error) : !parse_name(text, length, url, &rest, error))
        return false;
    url->port = DEFAULT_PORT;
    if (rest < length && !parse_port(text + rest + 1, length - rest - 1, &url->port, error))
        return false;
    if (behind[0] != '\0' && strcmp(behind, "/") != 0)
        return rkb_fail(error, RKB_USAGE, "nothing may stand behind the host: Pub/Sub knows no database number "
                                          "(in user and password, write / as %%2F)");
    return true;
}

static bool parse_path(size_t place, const char *path, struct rkb_redis_url *url, struct rkb_error *error)
{
    struct sockaddr_un address;
    if (place > 0 || path[0] != '/')
        return rkb_fail(error, RKB_USAGE, "unix:// needs an absolute path, as in unix:///run/redis/redis.sock");
    if (path[1] == '\0' || strlen(path) >= sizeof address.sun_path)
        return rkb_fail(error, RKB_USAGE, "the path of a unix socket has 2 to %zu bytes", sizeof address.sun_path - 1);
    url->port = 0;
    memcpy(url->host, path, strlen(path) + 1);
    return true;
}

static bool parse(const char *text, struct rkb_redis_url *url, struct rkb_error *error)
{
    size_t length = strcspn(text, "/?#");
    const char *place = text, *at = memrchr(text, '@', length);
    if (at != NULL) {
        if (!parse_login(text, (size_t)(at - text), url, error))
            return false;
        place = at + 1;
        length -= (size_t)(place - text);
    }
    if (url->is_unix)
        return parse_path(length, place + length, url, error);
    return parse_place(place, length, place + length, url, error);
}

bool rkb_redis_url_parse(const char *text, struct rkb_redis_url *url, struct rkb_error *error)
{
    static const struct {
        const char *begin;
        struct rkb_redis_url url;
    } kinds[] = {
        {"redis://", {.is_unix = false}},
        {"rediss://", {.is_tls = true}},
        {"unix://", {.is_unix = true}},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i].begin);
        *url = kinds[i].url;
        if (strncmp(text, kinds[i].begin, length) == 0)
            return parse(text + length, url, error);
    }
    *url = (struct rkb_redis_url){0};
    return rkb_fail(error, RKB_USAGE, "the address of a Redis begins with redis://, rediss:// (TLS) or unix://");
}

/* The user as it may stand in a url, "@" behind it. */
static void show_user(const char *user, char *out, size_t size)
{
    size_t used = 0;
    for (; *user != '\0' && used + 5 < size; user++) {
        bool plain = isalnum((unsigned char)*user) || strchr("-._~", *user) != NULL;
        used += (size_t)snprintf(out + used, size - used, plain ? "%c" : "%%%02X", (unsigned char)*user);
    }
    if (used > 0)
        out[used++] = '@';
    out[used] = '\0';
}

void rkb_redis_url_show(const struct rkb_redis_url *url, char *out, unsigned size)
{
    char user[3 * sizeof url->user + 8];
    show_user(url->user, user, sizeof user);
    const char *scheme = url->is_tls ? "rediss" : "redis";
    if (url->is_unix)
        snprintf(out, size, "unix://%s%s", user, url->host);
    else if (strchr(url->host, ':') != NULL)
        snprintf(out, size, "%s://%s[%s]:%d", scheme, user, url->host, url->port);
    else
        snprintf(out, size, "%s://%s%s:%d", scheme, user, url->host, url->port);
}
