/*
 * resolver -- see resolver.h.
 *
 * A lookup has a DNS base of its own, made from the files and taken apart in the loop's turn after the answer (libevent
 * must not lose it in the middle of one). A base that lived on would remember failed name servers and try them again by
 * asking for a name of libevent's choice.
 *
 * The search list is ours, and so is putting A and AAAA together. libevent would search for each by itself, and add to
 * a name that has only an IPv4 address the IPv6 address of another one, further down the list.
 *
 * libevent calls back even for a question that was given up, a turn of the loop later, when the resolver may be gone.
 * So what it calls back on is a small question of its own that points to its resolver, or to nobody any more.
 */
#include "redis/resolver.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/dns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LONGEST_FILE = 1 << 20 };
enum { FOUR, SIX, FAMILIES };

struct question {
    struct rkb_resolver *resolver;      /* NULL: nobody waits for the answer */
    int family;
};

struct rkb_resolver {
    struct event_base *base;
    struct rkb_resolver_files files;
    rkb_resolver_answer *answer;
    void *context;
    struct evdns_base *dns;             /* of the lookup that runs, or has just ended */
    struct event *over;                 /* takes it apart */
    struct event *patience;             /* for the other family, once one has answered */
    char host[RKB_NAME_SIZE];           /* in small letters */
    int port;
    struct rkb_search search;
    unsigned which;                     /* of its names */
    struct question *open[FAMILIES];
    struct rkb_address found[FAMILIES][RKB_MOST_ADDRESSES];
    size_t counts[FAMILIES];
    int why;                            /* of libevent's DNS_ERR_*: why no name so far was the one */
};

static void forget_questions(struct rkb_resolver *resolver)
{
    event_del(resolver->patience);
    for (int family = 0; family < FAMILIES; family++) {
        if (resolver->open[family] != NULL)
            resolver->open[family]->resolver = NULL;
        resolver->open[family] = NULL;
    }
}

static void drop(struct rkb_resolver *resolver)
{
    forget_questions(resolver);
    event_del(resolver->over);
    if (resolver->dns != NULL)
        evdns_base_free(resolver->dns, 1);
    resolver->dns = NULL;
}

static void on_over(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    drop(arg);
}

/* ---- the answer ---- */

/* libevent takes a name server's failure (SERVFAIL) for silence, and asks again or the next. */
static void explain(int why, char *out, size_t size)
{
    static const struct {
        int why;
        const char *words;
    } known[] = {
        {DNS_ERR_NOTEXIST, "neither the hosts file nor DNS knows this name; correct it, or wait for it to come back"},
        {DNS_ERR_NODATA, "the name has no address; give it one in DNS or in the hosts file"},
        {DNS_ERR_TIMEOUT, "no name server answers, or only by failing; look at /etc/resolv.conf"},
        {DNS_ERR_TRUNCATED, "its addresses do not fit into an answer by UDP; give it fewer"},
    };
    snprintf(out, size, "the name server's answer cannot be used: %s", evdns_err_to_string(why));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (known[i].why == why)
            snprintf(out, size, "%s", known[i].words);
}

static void give_up(struct rkb_resolver *resolver, enum rkb_code code, const char *why)
{
    struct rkb_error error;
    rkb_fail(&error, code, "%s", why);
    resolver->answer(resolver->context, NULL, 0, &error);
}

static void give(struct rkb_resolver *resolver)
{
    struct rkb_address all[RKB_MOST_ADDRESSES];
    size_t count = 0;
    for (int family = 0; family < FAMILIES; family++)
        for (size_t i = 0; i < resolver->counts[family] && count < RKB_MOST_ADDRESSES; i++)
            all[count++] = resolver->found[family][i];
    resolver->answer(resolver->context, all, count, NULL);
}

/* What could not be found out says more than that there is no address, and that more than that there is no name. */
static bool says_more(int why, int than)
{
    return than == DNS_ERR_NONE || than == DNS_ERR_NOTEXIST || (than == DNS_ERR_NODATA && why != DNS_ERR_NOTEXIST);
}

static void ask_next(struct rkb_resolver *resolver);

/* Both families have answered, or one was waited for long enough. */
static void conclude(struct rkb_resolver *resolver)
{
    const struct timeval now = {0, 0};
    forget_questions(resolver);
    if (resolver->counts[FOUR] + resolver->counts[SIX] == 0) {
        ask_next(resolver);
        return;
    }
    event_add(resolver->over, &now);
    give(resolver);
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    conclude(arg);
}

static void keep(struct rkb_resolver *resolver, int family, int count, const uint8_t *data)
{
    size_t size = family == FOUR ? 4 : 16;
    resolver->counts[family] = 0;
    for (int i = 0; i < count && i < RKB_MOST_ADDRESSES / FAMILIES; i++) {
        char text[INET6_ADDRSTRLEN];
        if (inet_ntop(family == FOUR ? AF_INET : AF_INET6, data + size * (size_t)i, text, sizeof text) != NULL &&
            rkb_address_parse(text, resolver->port, &resolver->found[family][resolver->counts[family]]))
            resolver->counts[family]++;
    }
}

static void on_reply(int result, char type, int count, int ttl, void *data, void *arg)
{
    (void)type;
    (void)ttl;
    const struct timeval patience = {1, 0};
    struct question *question = arg;
    struct rkb_resolver *resolver = question->resolver;
    int family = question->family;
    free(question);
    if (resolver == NULL)
        return;
    resolver->open[family] = NULL;
    if (result == DNS_ERR_NONE)
        keep(resolver, family, count, data);
    else if (says_more(result, resolver->why))
        resolver->why = result;
    if (resolver->open[FOUR] == NULL && resolver->open[SIX] == NULL)
        conclude(resolver);
    else if (result == DNS_ERR_NONE)
        event_add(resolver->patience, &patience);
}

/* ---- the question ---- */

static bool ask_for(struct rkb_resolver *resolver, int family, const char *name)
{
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return false;
    *question = (struct question){resolver, family};
    resolver->counts[family] = 0;
    const struct evdns_request *request =
        family == FOUR ? evdns_base_resolve_ipv4(resolver->dns, name, DNS_QUERY_NO_SEARCH, on_reply, question)
                       : evdns_base_resolve_ipv6(resolver->dns, name, DNS_QUERY_NO_SEARCH, on_reply, question);
    if (request != NULL)
        resolver->open[family] = question;
    else
        free(question);
    return request != NULL;
}

/* Asks for the next name that the host may stand for; when there is none left, that is the answer. */
static void ask_next(struct rkb_resolver *resolver)
{
    const struct timeval now = {0, 0};
    char name[2 * RKB_NAME_SIZE], why[128];
    bool more = rkb_search_name(&resolver->search, resolver->host, resolver->which++, name, sizeof name);
    if (more && ask_for(resolver, FOUR, name) && ask_for(resolver, SIX, name))
        return;
    forget_questions(resolver);
    event_add(resolver->over, &now);
    explain(resolver->why, why, sizeof why);
    give_up(resolver, RKB_CLOSED, more ? "DNS cannot be asked for it: the name is too long, or memory is short" : why);
}

static bool can_be_read(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= LONGEST_FILE;
}

/*
 * resolv.conf's own options come after these. A second is long for a name server, and the owner's deadline is but a
 * few. Letters keep their case: libevent compares case by case when it does not mix them, so it is given small letters.
 */
static void set_options(struct evdns_base *dns)
{
    static const char *const options[][2] = {{"randomize-case", "0"}, {"timeout", "1"}, {"attempts", "4"}};
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)evdns_base_set_option(dns, options[i][0], options[i][1]);
}

/* Without a name server in the file it is this machine's. */
static struct evdns_base *new_dns(const struct rkb_resolver *resolver)
{
    const struct rkb_resolver_files *files = &resolver->files;
    struct evdns_base *dns = evdns_base_new(resolver->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (dns == NULL)
        return NULL;
    set_options(dns);
    int flags = DNS_OPTION_MISC | (files->servers == NULL ? DNS_OPTION_NAMESERVERS : 0);
    if (can_be_read(files->resolv_conf))
        (void)evdns_base_resolv_conf_parse(dns, flags, files->resolv_conf);
    for (size_t i = 0; files->servers != NULL && files->servers[i] != NULL; i++)
        (void)evdns_base_nameserver_ip_add(dns, files->servers[i]);
    if (evdns_base_count_nameservers(dns) == 0)
        (void)evdns_base_nameserver_ip_add(dns, "127.0.0.1");
    return dns;
}

static void ask_dns(struct rkb_resolver *resolver, const char *host, int port)
{
    size_t length = strnlen(host, sizeof resolver->host - 1);
    for (size_t i = 0; i < length; i++)
        resolver->host[i] = (char)tolower((unsigned char)host[i]);
    resolver->host[length] = '\0';
    resolver->port = port;
    resolver->which = 0;
    resolver->why = DNS_ERR_NONE;
    rkb_search_read(resolver->files.resolv_conf, &resolver->search);
    resolver->dns = new_dns(resolver);
    if (resolver->dns != NULL)
        ask_next(resolver);
    else
        give_up(resolver, RKB_NO_MEMORY, "no memory for a DNS question");
}

void rkb_resolver_ask(struct rkb_resolver *resolver, const char *host, int port)
{
    struct rkb_address known[RKB_MOST_ADDRESSES];
    drop(resolver);
    size_t count = rkb_hosts_find(resolver->files.hosts, host, port, known, RKB_MOST_ADDRESSES);
    if (count > 0)
        resolver->answer(resolver->context, known, count, NULL);
    else
        ask_dns(resolver, host, port);
}

void rkb_resolver_cancel(struct rkb_resolver *resolver)
{
    if (resolver->open[FOUR] != NULL || resolver->open[SIX] != NULL)
        drop(resolver);
}

struct rkb_resolver *rkb_resolver_new(struct event_base *base, const struct rkb_resolver_files *files,
                                      rkb_resolver_answer *answer, void *context)
{
    struct rkb_resolver *resolver = calloc(1, sizeof *resolver);
    if (resolver == NULL)
        return NULL;
    resolver->base = base;
    resolver->answer = answer;
    resolver->context = context;
    if (files != NULL)
        resolver->files = *files;
    if (resolver->files.hosts == NULL)
        resolver->files.hosts = "/etc/hosts";
    if (resolver->files.resolv_conf == NULL)
        resolver->files.resolv_conf = "/etc/resolv.conf";
    resolver->over = evtimer_new(base, on_over, resolver);
    resolver->patience = evtimer_new(base, on_patience, resolver);
    if (resolver->over != NULL && resolver->patience != NULL)
        return resolver;
    rkb_resolver_free(resolver);
    return NULL;
}

void rkb_resolver_free(struct rkb_resolver *resolver)
{
    if (resolver == NULL)
        return;
    if (resolver->over != NULL && resolver->patience != NULL)
        drop(resolver);
    if (resolver->over != NULL)
        event_free(resolver->over);
    if (resolver->patience != NULL)
        event_free(resolver->patience);
    free(resolver);
}
