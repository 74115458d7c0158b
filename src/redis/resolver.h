/*
 * resolver -- host names to addresses by libevent's own DNS, without blocking; the hosts file comes first.
 *
 * /etc/hosts and /etc/resolv.conf (name servers, search domains, ndots, timeout, attempts) are read anew at each
 * question, so that a bridge that came up before its network, or outlives a change, finds its way. Each question begins
 * with another name server: one that fails does not stand in the way of the others for ever. Nothing else that the
 * system may look names up by (nsswitch.conf) is asked. One question at a time. Never: calls back after cancel or free.
 */
#ifndef RKB_REDIS_RESOLVER_H
#define RKB_REDIS_RESOLVER_H

#include <event2/event.h>
#include <event2/util.h>

#include "base/error.h"

struct rkb_resolver;

/* Instead of the system's files; what is NULL stays the system's. Lent for the resolver's life. */
struct rkb_resolver_files {
    const char *hosts, *resolv_conf;
    const char *const *servers;         /* "127.0.0.1:5353", NULL at the end: instead of those in resolv_conf */
};

/* addresses: lent, NULL when there are none and *error says why. May come before ask returns. */
typedef void rkb_resolver_answer(void *context, const struct evutil_addrinfo *addresses, const struct rkb_error *error);

/* files: NULL for the system's. NULL when memory ran out. */
struct rkb_resolver *rkb_resolver_new(struct event_base *base, const struct rkb_resolver_files *files,
                                      rkb_resolver_answer *answer, void *context);
void rkb_resolver_free(struct rkb_resolver *resolver);
void rkb_resolver_ask(struct rkb_resolver *resolver, const char *host, int port);
/* What libevent holds of the question is freed in the loop's next turn. */
void rkb_resolver_cancel(struct rkb_resolver *resolver);

#endif
