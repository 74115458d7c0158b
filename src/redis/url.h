/*
 * url -- where a Redis is: redis://[user[:password]@]host[:port], rediss:// for the same over TLS,
 * unix://[user[:password]@]/path.
 *
 * Host may be a name, an IPv4 address or an IPv6 address in brackets; port 6379 by default. User and password are
 * percent-decoded. Pub/Sub knows no database number, so a path behind host is refused.
 */
#ifndef RKB_REDIS_URL_H
#define RKB_REDIS_URL_H

#include <stdbool.h>

#include "base/error.h"

struct rkb_redis_url {
    bool is_unix, is_tls;
    char host[256];             /* without brackets; the path for unix */
    int port;
    char user[128];             /* "" where none is given */
    char password[256];         /* "" where none is given; never shown */
};

/* The error's text never repeats the url's password. */
bool rkb_redis_url_parse(const char *text, struct rkb_redis_url *url, struct rkb_error *error) RKB_MUST_CHECK;
/* "redis://bridge@127.0.0.1:6379": for people, without the password. */
void rkb_redis_url_show(const struct rkb_redis_url *url, char *out, unsigned size);

#endif
