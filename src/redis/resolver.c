/*
 * resolver -- see resolver.h.
 *
 * Each question has a DNS base of its own, made from the files and taken apart in the loop's turn after the answer
 * (libevent must not lose it in the middle of one). A base that lived on would remember failed name servers and try
 * them again by asking for a name of libevent's choice.
 *
 * libevent calls back even for a question that was cancelled, a turn of the loop later, when the resolver may be gone.
 * So what it calls back on is a small question of its own that points to its resolver, or to nobody any more.
 */
#include "redis/resolver.h"

#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { LONGEST_FILE = 1 << 20, MOST_SERVERS = 8 };

struct question {
    struct rkb_resolver *resolver;      /* NULL: nobody waits for the answer */
};

struct rkb_resolver {
    struct event_base *base;
    struct rkb_resolver_files files;
    rkb_resolver_answer *answer;
    void *context;
    struct evdns_base *dns;             /* of the question that is open, or was just answered */
    struct event *done;                 /* takes it apart */
    struct question *open;
    unsigned asked;                     /* questions so far */
};

static void drop(struct rkb_resolver *resolver, bool open)
{
    event_del(resolver->done);
    if (resolver->dns != NULL)
        evdns_base_free(resolver->dns, open);
    resolver->dns = NULL;
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    drop(arg, false);
}

struct rkb_resolver *rkb_resolver_new(struct event_base *base, const struct rkb_resolver_files *files,
                                      rkb_resolver_answer *answer, void *context)
{
    struct rkb_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        return NULL;
    *resolver = (struct rkb_resolver){.base = base, .answer = answer, .context = context};
    if (files != NULL)
        resolver->files = *files;
    if (resolver->files.hosts == NULL)
        resolver->files.hosts = "/etc/hosts";
    if (resolver->files.resolv_conf == NULL)
        resolver->files.resolv_conf = "/etc/resolv.conf";
    resolver->done = evtimer_new(base, on_done, resolver);
    if (resolver->done != NULL)
        return resolver;
    free(resolver);
    return NULL;
}

void rkb_resolver_free(struct rkb_resolver *resolver)
{
    if (resolver == NULL)
        return;
    rkb_resolver_cancel(resolver);
    drop(resolver, false);
    event_free(resolver->done);
    free(resolver);
}

void rkb_resolver_cancel(struct rkb_resolver *resolver)
{
    if (resolver->open == NULL)
        return;
    resolver->open->resolver = NULL;
    resolver->open = NULL;
    drop(resolver, true);
}

static const char *words_of(int code)
{
    if (code == EVUTIL_EAI_NONAME)
        return "neither the hosts file nor DNS knows this name; correct it, or wait for it to come back";
    if (code == EVUTIL_EAI_NODATA)
        return "the name has no address";
    if (code == EVUTIL_EAI_AGAIN)
        return "no name server answers; look at /etc/resolv.conf";
    if (code == EVUTIL_EAI_FAIL)
        return "the name server failed, or gave an answer that cannot be used";
    return evutil_gai_strerror(code);
}

static void on_answer(int code, struct evutil_addrinfo *addresses, void *arg)
{
    const struct timeval now = {0, 0};
    struct question *question = arg;
    struct rkb_resolver *resolver = question->resolver;
    free(question);
    if (resolver != NULL) {
        struct rkb_error error = {0};
        resolver->open = NULL;
        event_add(resolver->done, &now);
        if (code != 0)
            rkb_fail(&error, RKB_CLOSED, "%s", words_of(code));
        resolver->answer(resolver->context, code == 0 ? addresses : NULL, &error);
    }
    if (addresses != NULL)
        evutil_freeaddrinfo(addresses);
}

/* Neither something that would be waited for, nor a list of millions of names. */
static bool can_be_read(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= LONGEST_FILE;
}

/*
 * The file's own options come after these. Names keep their case: some servers answer in small letters, which would
 * not be taken for the answer. A second is long for a name server, and the owner's deadline is but a few; nor
 * does an address of one family wait longer than that for the other family's.
 */
static void set_options(struct evdns_base *dns)
{
    static const char *const options[][2] = {
        {"randomize-case", "0"}, {"timeout", "1"}, {"attempts", "4"}, {"getaddrinfo-allow-skew", "1"},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)evdns_base_set_option(dns, options[i][0], options[i][1]);
}

/* The same name servers, but another one first. */
static void rotate(struct evdns_base *dns, unsigned by)
{
    struct sockaddr_storage servers[MOST_SERVERS];
    int sizes[MOST_SERVERS], count = evdns_base_count_nameservers(dns);
    if (count < 2 || count > MOST_SERVERS)
        return;
    for (int i = 0; i < count; i++)
        sizes[i] = evdns_base_get_nameserver_addr(dns, i, (struct sockaddr *)&servers[i], sizeof servers[i]);
    (void)evdns_base_clear_nameservers_and_suspend(dns);
    for (int i = 0; i < count; i++) {
        int which = (int)((by + (unsigned)i) % (unsigned)count);
        if (sizes[which] > 0)
            (void)evdns_base_nameserver_sockaddr_add(dns, (struct sockaddr *)&servers[which], (ev_socklen_t)sizes[which], 0);
    }
    (void)evdns_base_resume(dns);
}

/* No name server at all is no reason to stop: the hosts file may know the name. */
static struct evdns_base *read_files(const struct rkb_resolver *resolver)
{
    const struct rkb_resolver_files *files = &resolver->files;
    struct evdns_base *dns = evdns_base_new(resolver->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns == NULL)
        return NULL;
    set_options(dns);
    int flags = DNS_OPTION_SEARCH | DNS_OPTION_MISC | (files->servers == NULL ? DNS_OPTION_NAMESERVERS : 0);
    if (can_be_read(files->resolv_conf))
        (void)evdns_base_resolv_conf_parse(dns, flags, files->resolv_conf);
    for (size_t i = 0; files->servers != NULL && files->servers[i] != NULL; i++)
        (void)evdns_base_nameserver_ip_add(dns, files->servers[i]);
    (void)evdns_base_load_hosts(dns, can_be_read(files->hosts) ? files->hosts : NULL);
    rotate(dns, resolver->asked);
    return dns;
}

void rkb_resolver_ask(struct rkb_resolver *resolver, const char *host, int port)
{
    rkb_resolver_cancel(resolver);
    drop(resolver, false);
    resolver->dns = read_files(resolver);
    resolver->asked++;
    struct question *question = resolver->dns == NULL ? NULL : calloc(1, sizeof *question);
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
