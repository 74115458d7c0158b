/*
 * resolver -- see resolver.h.
 *
 * libevent calls back even for a question that was cancelled, a turn of the loop later, when the resolver may be gone.
 * So what it calls back on is a small question of its own that points to its resolver, or to nobody any more.
 */
#include "redis/resolver.h"

#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

struct question {
    struct rkb_resolver *resolver;      /* NULL: nobody waits for the answer */
};

struct rkb_resolver {
    struct event_base *base;
    rkb_resolver_answer *answer;
    void *context;
    struct evdns_base *dns;             /* NULL until the first question, and after a cancelled one */
    bool stale;                         /* the files are to be read anew */
    struct question *open;
};

struct rkb_resolver *rkb_resolver_new(struct event_base *base, rkb_resolver_answer *answer, void *context)
{
    struct rkb_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver != NULL)
        *resolver = (struct rkb_resolver){.base = base, .answer = answer, .context = context};
    return resolver;
}

void rkb_resolver_free(struct rkb_resolver *resolver)
{
    if (resolver == NULL)
        return;
    rkb_resolver_cancel(resolver);
    if (resolver->dns != NULL)
        evdns_base_free(resolver->dns, 0);
    free(resolver);
}

void rkb_resolver_cancel(struct rkb_resolver *resolver)
{
    if (resolver->open == NULL)
        return;
    resolver->open->resolver = NULL;
    resolver->open = NULL;
    evdns_base_free(resolver->dns, 1);
    resolver->dns = NULL;
}

static void on_answer(int code, struct evutil_addrinfo *addresses, void *arg)
{
    struct question *question = arg;
    struct rkb_resolver *resolver = question->resolver;
    free(question);
    if (resolver != NULL) {
        struct rkb_error error = {0};
        resolver->open = NULL;
        resolver->stale = code != 0;
        if (code != 0)
            rkb_fail(&error, RKB_CLOSED, "%s", evutil_gai_strerror(code));
        resolver->answer(resolver->context, code == 0 ? addresses : NULL, &error);
    }
    if (addresses != NULL)
        evutil_freeaddrinfo(addresses);
}

/* No name server at all is no reason to stop: the hosts file may know the name. */
static struct evdns_base *read_files(struct event_base *base)
{
    struct evdns_base *dns = evdns_base_new(base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns != NULL)
        (void)evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
    return dns;
}

void rkb_resolver_ask(struct rkb_resolver *resolver, const char *host, int port)
{
    if (resolver->stale && resolver->dns != NULL) {
        evdns_base_free(resolver->dns, 0);
        resolver->dns = NULL;
    }
    if (resolver->dns == NULL)
        resolver->dns = read_files(resolver->base);
    struct question *question = resolver->dns == NULL ? NULL : calloc(1, sizeof *question);
    resolver->stale = false;
    if (question == NULL) {
        struct rkb_error error;
        rkb_fail(&error, RKB_NO_MEMORY, "no memory for a DNS question");
        resolver->answer(resolver->context, NULL, &error);
        return;
    }
    const struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP,
    };
    char service[16];
    snprintf(service, sizeof service, "%d", port);
    question->resolver = resolver;
    resolver->open = question;
    (void)evdns_getaddrinfo(resolver->dns, host, service, &hints, on_answer, question);
}
