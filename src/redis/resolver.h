/*
 * resolver -- host names to addresses by libevent's own DNS, without blocking; the hosts file counts.
 *
 * /etc/resolv.conf and /etc/hosts are read at the first question and again after one that failed or was
 * cancelled, so that a bridge that came up before its network finds its way. One question at a time. Never:
 * calls back after cancel or free.
 */
#ifndef RKB_REDIS_RESOLVER_H
#define RKB_REDIS_RESOLVER_H

#include <event2/event.h>
#include <event2/util.h>

#include "base/error.h"

struct rkb_resolver;

/* addresses: lent, NULL when there are none and *error says why. May come before ask returns. */
typedef void rkb_resolver_answer(void *context, const struct evutil_addrinfo *addresses, const struct rkb_error *error);

/* NULL when memory ran out. */
struct rkb_resolver *rkb_resolver_new(struct event_base *base, rkb_resolver_answer *answer, void *context);
void rkb_resolver_free(struct rkb_resolver *resolver);
void rkb_resolver_ask(struct rkb_resolver *resolver, const char *host, int port);
/* What libevent holds of the question is freed in the loop's next turn. */
void rkb_resolver_cancel(struct rkb_resolver *resolver);

#endif
