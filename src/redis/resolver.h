/*
 * resolver -- host names to addresses, without blocking: the hosts file first, then DNS, by libevent's.
 *
 *     ask --> hosts file --none--> one name after the other, as search domains and ndots say: A and AAAA --> answer
 *
 * /etc/hosts and /etc/resolv.conf (name servers, search domains, ndots, timeout, attempts) are read anew at each
 * question, so that a bridge that came up before its network, or outlives a change, finds its way. Nothing else that
 * the system may look names up by (nsswitch.conf) is asked. One question at a time. Never: calls back after cancel or
 * free, mixes the addresses of two names.
 */
#ifndef RKB_REDIS_RESOLVER_H
#define RKB_REDIS_RESOLVER_H

#include <event2/event.h>

#include "base/error.h"
#include "redis/names.h"

struct rkb_resolver;

/* Instead of the system's files; what is NULL stays the system's. Lent for the resolver's life. */
struct rkb_resolver_files {
    const char *hosts, *resolv_conf;
    const char *const *servers;         /* "127.0.0.1:5353", NULL at the end: instead of those in resolv_conf */
};

enum { RKB_MOST_ADDRESSES = 8 };        /* of one name; more are not used */

/* addresses: lent; count 0: *error says why. May come before ask returns. */
typedef void rkb_resolver_answer(void *context, const struct rkb_address *addresses, size_t count,
                                 const struct rkb_error *error);

/* files: NULL for the system's. NULL when memory ran out. */
struct rkb_resolver *rkb_resolver_new(struct event_base *base, const struct rkb_resolver_files *files,
                                      rkb_resolver_answer *answer, void *context);
void rkb_resolver_free(struct rkb_resolver *resolver);
void rkb_resolver_ask(struct rkb_resolver *resolver, const char *host, int port);
/* What libevent holds of the question is freed in the loop's next turn. */
void rkb_resolver_cancel(struct rkb_resolver *resolver);

#endif
