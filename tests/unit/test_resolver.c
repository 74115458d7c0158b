/*
 * Names: the hosts file, DNS by a scripted name server, search domains, names that fail and come back, servers that are
 * silent, broken or strange; and through the transport, addresses that are tried in turn.
 */
#include "times_in.h"
#include "transport_support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_dns.h"
#include "redis/resolver.h"

struct asking {
    struct rkb_resolver *resolver;
    struct rkb_resolver_files files;
    struct fake_dns *dns[2];
    const char *servers[3];
    char answer[512];           /* "127.0.0.1 ::1", or "error: ..."; "" while there is none */
    int answers;
};

#define END {.name = ""}

static void on_answer(void *context, const struct rkb_address *addresses, size_t count, const struct rkb_error *error)
{
    struct asking *asking = context;
    size_t used = 0;
    asking->answers++;
    if (count == 0)
        snprintf(asking->answer, sizeof asking->answer, "error: %s", error->text);
    for (size_t i = 0; i < count; i++) {
        char text[64];
        const void *storage = &addresses[i].storage;
        int family = addresses[i].storage.ss_family;
        const void *at = family == AF_INET ? (const void *)&((const struct sockaddr_in *)storage)->sin_addr
                                           : (const void *)&((const struct sockaddr_in6 *)storage)->sin6_addr;
        assert_int_equal(ntohs(((const struct sockaddr_in *)storage)->sin_port), 6379);
        inet_ntop(family, at, text, sizeof text);
        used += (size_t)snprintf(asking->answer + used, sizeof asking->answer - used, "%s%s", used > 0 ? " " : "",
                                 text);
    }
}

/* A resolver with the line's files, which name the servers where `named`; else it is told which to ask. */
static void open_resolver(struct line *line, struct asking *asking, bool named)
{
    asking->files = line->names;
    for (int i = 0; i < 2; i++)
        asking->servers[i] = asking->dns[i] == NULL ? NULL : fake_dns_address(asking->dns[i]);
    asking->files.servers = named ? NULL : asking->servers;
    asking->resolver = rkb_resolver_new(line->base, &asking->files, on_answer, asking);
    assert_non_null(asking->resolver);
}

/* Servers with these rules, the second one only where it has some, and a resolver that asks them. */
static void begin(struct line *line, struct asking *asking, const struct fake_dns_rule *first,
                  const struct fake_dns_rule *second)
{
    *asking = (struct asking){.dns = {fake_dns_new(line->base, first)}};
    if (second != NULL)
        asking->dns[1] = fake_dns_new(line->base, second);
    open_resolver(line, asking, false);
}

static void end(struct asking *asking)
{
    rkb_resolver_free(asking->resolver);
    fake_dns_free(asking->dns[0]);
    fake_dns_free(asking->dns[1]);
}

static void ask(struct line *line, struct asking *asking, const char *name)
{
    int before = asking->answers;
    memset(asking->answer, 0, sizeof asking->answer);
    rkb_resolver_ask(asking->resolver, name, 6379);
    for (int i = 0; i < 6000 && asking->answers == before; i++)
        line_turn(line, 1);
    assert_int_equal(asking->answers, before + 1);
}

static void assert_says(const struct asking *asking, const char *words)
{
    if (strstr(asking->answer, words) == NULL)
        fail_msg("not said: \"%s\", but: %s", words, asking->answer);
}

static void the_hosts_file_comes_first(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = NULL, .addresses = "10.0.0.1"}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    line_write(line, "hosts", "# a comment\n127.0.0.7\tother redis.test alias # more\n::1 redis.test\n");
    ask(line, &asking, "redis.test");
    assert_string_equal(asking.answer, "127.0.0.7 ::1");
    ask(line, &asking, "REDIS.test");
    assert_says(&asking, "127.0.0.7");
    assert_string_equal(fake_dns_asked(asking.dns[0]), "");
    line_write(line, "hosts", "127.0.0.8 redis.test\n");
    ask(line, &asking, "redis.test");
    assert_string_equal(asking.answer, "127.0.0.8");
    line_write(line, "hosts", "");
    ask(line, &asking, "redis.test");
    assert_string_equal(asking.answer, "10.0.0.1");
    end(&asking);
}

static void both_families(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "redis.test", .addresses = "10.0.0.1 10.0.0.2 fd00::1"},
                                                 {.name = "six.test", .addresses = "fd00::6"}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    line_write(line, "hosts", "");
    ask(line, &asking, "redis.test");
    assert_says(&asking, "10.0.0.1 10.0.0.2");
    assert_says(&asking, "fd00::1");
    ask(line, &asking, "six.test");
    assert_string_equal(asking.answer, "fd00::6");
    ask(line, &asking, "six.test.");
    assert_string_equal(asking.answer, "fd00::6");
    end(&asking);
}

static void assert_asked(struct fake_dns *dns, const char *questions)
{
    assert_string_equal(fake_dns_asked(dns), questions);
    fake_dns_forget(dns);
}

/*
 * Few dots: the search list first. Enough of them: as it stands first. What is found ends the search, for both
 * families.
 */
static void search_domains(void **state)
{
    static const struct fake_dns_rule rules[] = {
        {.name = "redis.second.test", .addresses = "10.0.0.2"}, {.name = "redis.third.test", .addresses = "fd00::3"},
        {.name = "a.b", .addresses = "10.0.0.3"}, {.name = "a.b.c.third.test", .addresses = "10.0.0.4"}, END,
    };
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    line_write(line, "resolv.conf", "; old\ndomain not.test\nsearch first.test second.test. third.test # new\n"
                                    "options edns0 ndots:2\n");
    ask(line, &asking, "redis");
    assert_string_equal(asking.answer, "10.0.0.2");
    assert_asked(asking.dns[0],
                 "A redis.first.test\nAAAA redis.first.test\nA redis.second.test\nAAAA redis.second.test\n");
    ask(line, &asking, "a.b");
    assert_string_equal(asking.answer, "10.0.0.3");
    assert_asked(asking.dns[0], "A a.b.first.test\nAAAA a.b.first.test\nA a.b.second.test\nAAAA a.b.second.test\n"
                                "A a.b.third.test\nAAAA a.b.third.test\nA a.b\nAAAA a.b\n");
    ask(line, &asking, "a.b.c");
    assert_string_equal(asking.answer, "10.0.0.4");
    assert_non_null(strstr(fake_dns_asked(asking.dns[0]), "A a.b.c\nAAAA a.b.c\nA a.b.c.first.test\n"));
    fake_dns_forget(asking.dns[0]);
    ask(line, &asking, "redis.");
    assert_says(&asking, "neither the hosts file nor DNS knows this name");
    assert_asked(asking.dns[0], "A redis\nAAAA redis\n");
    line_write(line, "hosts", "10.9.9.9 redis\n");
    ask(line, &asking, "redis");
    assert_string_equal(asking.answer, "10.9.9.9");
    end(&asking);
}

static void names_that_fail_come_back(void **state)
{
    static const struct fake_dns_rule rules[] = {
        {.name = "gone.test", .kind = FAKE_DNS_UNKNOWN, .times = 2},
        {.name = "gone.test", .addresses = "10.0.0.1"},
        {.name = "sick.test", .kind = FAKE_DNS_FAILS, .times = 10},
        {.name = "sick.test", .addresses = "10.0.0.2"},
        {.name = "no.test", .kind = FAKE_DNS_REFUSES, .times = 2},
        {.name = "no.test", .addresses = "10.0.0.3"},
        {.name = "long.test", .kind = FAKE_DNS_TRUNCATED, .times = 2},
        {.name = "long.test", .addresses = "10.0.0.4"},
        {.name = "bad.test", .kind = FAKE_DNS_GARBAGE, .times = 2},
        {.name = "bad.test", .addresses = "10.0.0.5"},
        {.name = "none.test", .addresses = ""},
        END,
    };
    static const struct {
        const char *name, *words, *then;
    } names[] = {
        {"gone.test", "neither the hosts file nor DNS knows this name", "10.0.0.1"},
        {"sick.test", "no name server answers, or only by failing", "10.0.0.2"},
        {"no.test", "the name server's answer cannot be used: refused", "10.0.0.3"},
        {"long.test", "do not fit into an answer by UDP", "10.0.0.4"},
        {"bad.test", "the name server's answer cannot be used: ", "10.0.0.5"},
    };
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ask(line, &asking, names[i].name);
        assert_says(&asking, names[i].words);
        ask(line, &asking, names[i].name);
        assert_string_equal(asking.answer, names[i].then);
    }
    ask(line, &asking, "none.test");
    assert_says(&asking, "the name has no address");
    end(&asking);
}

/* As a laptop that changes networks: whom the file names is asked, not who was asked before and did not know. */
static void a_changed_resolv_conf_counts(void **state)
{
    static const struct fake_dns_rule nothing[] = {END};
    static const struct fake_dns_rule rules[] = {{.name = "r.test", .addresses = "10.0.0.1"}, END};
    static const char *const words[] = {"neither the hosts file nor DNS knows this name", "10.0.0.1"};
    struct line *line = *state;
    struct asking asking;
    char text[64];
    begin(line, &asking, nothing, rules);
    rkb_resolver_free(asking.resolver);
    open_resolver(line, &asking, true);
    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "nameserver %s\n", fake_dns_address(asking.dns[i % 2]));
        line_write(line, "resolv.conf", text);
        ask(line, &asking, "r.test");
        assert_says(&asking, words[i % 2]);
        assert_asked(asking.dns[i % 2], "A r.test\nAAAA r.test\n");
        assert_asked(asking.dns[(i + 1) % 2], "");
    }
    end(&asking);
}

static int open_files(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;
    assert_non_null(directory);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

/* Whatever came of it, in one turn of the loop or in two: a base that lived on would keep its sockets. */
static void nothing_is_left_of_a_lookup(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "r.test", .addresses = "10.0.0.1"}, END};
    static const char *const names[] = {"r.test", "gone.test"};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    ask(line, &asking, "localhost");
    int before = open_files();
    for (int i = 0; i < 2; i++) {
        ask(line, &asking, names[i]);
        line_turn(line, 1);
        assert_int_equal(open_files(), before);
        rkb_resolver_ask(asking.resolver, names[i], 6379);
        ask(line, &asking, names[i]);
        line_turn(line, 1);
        assert_int_equal(open_files(), before);
    }
    end(&asking);
}

/* Some servers answer in small letters whatever they were asked in; libevent would not take that for the answer. */
static void the_case_of_letters_does_not_count(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "Redis.Test", .kind = FAKE_DNS_SMALL_LETTERS,
                                                  .addresses = "10.0.0.1"}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    line_write(line, "hosts", "");
    ask(line, &asking, "Redis.Test");
    assert_string_equal(asking.answer, "10.0.0.1");
    assert_asked(asking.dns[0], "A redis.test\nAAAA redis.test\n");
    end(&asking);
}

static void noise_is_no_answer(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "r.test", .kind = FAKE_DNS_NOISE, .addresses = "10.0.0.1"},
                                                 END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    ask(line, &asking, "r.test");
    assert_string_equal(asking.answer, "10.0.0.1");
    end(&asking);
}

/* A server that drops questions for the other family must not cost the one that there is. */
static void one_family_is_silent(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "r.test", .addresses = "10.0.0.1", .family = "A"},
                                                 {.name = "r.test", .kind = FAKE_DNS_SILENT, .family = "AAAA"}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    ask(line, &asking, "r.test");
    assert_string_equal(asking.answer, "10.0.0.1");
    assert_true(times_in(fake_dns_asked(asking.dns[0]), "AAAA ") <= 2);
    end(&asking);
}

/* Nobody else's name is ever asked, whatever failed before. */
static void asks_only_for_its_name(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "r.test", .kind = FAKE_DNS_REFUSES}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    line_write(line, "resolv.conf", "options initial-probe-timeout:0.005\n");
    for (int i = 0; i < 3; i++)
        ask(line, &asking, "r.test");
    line_turn(line, 20);
    for (const char *at = fake_dns_asked(asking.dns[0]); *at != '\0'; at = strchr(at, '\n') + 1)
        assert_true(strncmp(at, "A r.test\n", 9) == 0 || strncmp(at, "AAAA r.test\n", 12) == 0);
    end(&asking);
}

/*
 * One of two servers answers every question with a failure: the name is found all the same, at the second try at most.
 */
static void a_sick_server_beside_a_well_one(void **state)
{
    static const struct fake_dns_rule sick[] = {{.name = NULL, .kind = FAKE_DNS_FAILS}, END};
    static const struct fake_dns_rule well[] = {{.name = NULL, .addresses = "10.0.0.1"}, END};
    struct line *line = *state;
    struct asking asking;
    int found = 0;
    begin(line, &asking, sick, well);
    for (int i = 0; i < 4; i++) {
        ask(line, &asking, "r.test");
        found += strcmp(asking.answer, "10.0.0.1") == 0;
    }
    assert_true(found >= 2);
    end(&asking);
}

/* One of two servers is silent: the other is asked instead. */
static void a_silent_server_beside_a_well_one(void **state)
{
    static const struct fake_dns_rule silent[] = {{.name = NULL, .kind = FAKE_DNS_SILENT}, END};
    static const struct fake_dns_rule well[] = {{.name = NULL, .addresses = "10.0.0.1"}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, silent, well);
    ask(line, &asking, "r.test");
    assert_string_equal(asking.answer, "10.0.0.1");
    end(&asking);
}

static void silence_ends(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = NULL, .kind = FAKE_DNS_SILENT}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    line_write(line, "resolv.conf", "options attempts:1\n");
    ask(line, &asking, "r.test");
    assert_says(&asking, "no name server answers");
    end(&asking);
}

static void nothing_comes_after_cancel_or_free(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = NULL, .addresses = "10.0.0.1"}, END};
    static const struct fake_dns_rule half[] = {{.name = NULL, .addresses = "10.0.0.1", .family = "A"},
                                                {.name = NULL, .kind = FAKE_DNS_SILENT}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    rkb_resolver_ask(asking.resolver, "r.test", 1);
    rkb_resolver_cancel(asking.resolver);
    line_turn(line, 5);
    fake_dns_rules(asking.dns[0], half);
    rkb_resolver_ask(asking.resolver, "r.test", 1);
    line_turn(line, 5);         /* half of the answer is there */
    rkb_resolver_cancel(asking.resolver);
    line_turn(line, 5);
    assert_int_equal(asking.answers, 0);
    fake_dns_rules(asking.dns[0], rules);
    ask(line, &asking, "r.test");
    rkb_resolver_ask(asking.resolver, "r.test", 1);
    rkb_resolver_free(asking.resolver);
    line_turn(line, 5);
    assert_int_equal(asking.answers, 1);
    fake_dns_free(asking.dns[0]);
}

/* Files that would be waited for, or have no end, are passed over. */
static void files_that_are_none(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "redis.test", .addresses = "10.0.0.1"}, END};
    struct line *line = *state;
    struct asking asking;
    begin(line, &asking, rules, NULL);
    unlink(line->hosts);
    unlink(line->resolv_conf);
    ask(line, &asking, "redis.test");
    assert_string_equal(asking.answer, "10.0.0.1");
    ask(line, &asking, "localhost");
    assert_says(&asking, "127.0.0.1");
    assert_int_equal(mkfifo(line->hosts, 0600), 0);
    assert_int_equal(mkfifo(line->resolv_conf, 0600), 0);
    ask(line, &asking, "redis.test");
    assert_string_equal(asking.answer, "10.0.0.1");
    end(&asking);
}

/* ---- through the transport ---- */

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size,
                      void *arg)
{
    (void)listener;
    (void)address;
    (void)size;
    *(int *)arg += 1;
    evutil_closesocket(fd);
}

/* Listens on 127.0.0.1 only; returns its port. */
static int listen_here(struct line *line, struct evconnlistener **listener, int *accepted)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *listener = evconnlistener_new_bind(line->base, on_accept, accepted, LEV_OPT_CLOSE_ON_FREE, 4,
                                        (struct sockaddr *)&address, sizeof address);
    assert_non_null(*listener);
    assert_int_equal(getsockname(evconnlistener_get_fd(*listener), (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

/* 127.0.0.2 and 127.0.0.3 refuse: whichever comes first, the one that takes us is found. */
static void addresses_are_tried_in_turn(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "r.test", .addresses = "127.0.0.2 127.0.0.3 127.0.0.1 ::1"},
                                                 END};
    struct line *line = *state;
    struct fake_dns *dns = fake_dns_new(line->base, rules);
    struct evconnlistener *listener;
    int accepted = 0, port = listen_here(line, &listener, &accepted);
    const char *servers[] = {fake_dns_address(dns), NULL};
    line->names.servers = servers;
    line_open(line, "redis", "r.test", port);
    for (int i = 0; i < 5; i++) {
        line_until(line, "opened\n");
        line_until(line, "broken");
        line->log.size = 0;
        rkb_transport_open(line->transport);
    }
    assert_true(accepted >= 5);
    evconnlistener_free(listener);
    rkb_transport_free(line->transport);
    line->transport = NULL;
    fake_dns_free(dns);
}

static void a_lookup_that_fails_breaks_the_transport(void **state)
{
    static const struct fake_dns_rule rules[] = {{.name = "silent.test", .kind = FAKE_DNS_SILENT}, END};
    struct line *line = *state;
    struct fake_dns *dns = fake_dns_new(line->base, rules);
    struct rkb_error error;
    const char *servers[] = {fake_dns_address(dns), NULL};
    line->names.servers = servers;
    line_open(line, "redis", "r.test", 1);
    line_until(line, "broken");
    assert_non_null(strstr(line_log(line), "looking up r.test: neither the hosts file nor DNS knows this name"));
    line_open(line, "redis", "silent.test", 1);
    line_turn(line, 3);
    rkb_transport_overdue(line->transport, "5s", &error);
    assert_non_null(strstr(error.text, "looking up silent.test: no name server answered within 5s"));
    rkb_transport_close(line->transport);
    line_turn(line, 3);
    assert_string_equal(line_log(line), "");
    rkb_transport_free(line->transport);
    line->transport = NULL;
    fake_dns_free(dns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE_TEST(the_hosts_file_comes_first),
        LINE_TEST(both_families),
        LINE_TEST(search_domains),
        LINE_TEST(names_that_fail_come_back),
        LINE_TEST(a_changed_resolv_conf_counts),
        LINE_TEST(nothing_is_left_of_a_lookup),
        LINE_TEST(the_case_of_letters_does_not_count),
        LINE_TEST(noise_is_no_answer),
        LINE_TEST(one_family_is_silent),
        LINE_TEST(asks_only_for_its_name),
        LINE_TEST(a_sick_server_beside_a_well_one),
        LINE_TEST(a_silent_server_beside_a_well_one),
        LINE_TEST(silence_ends),
        LINE_TEST(nothing_comes_after_cancel_or_free),
        LINE_TEST(files_that_are_none),
        LINE_TEST(addresses_are_tried_in_turn),
        LINE_TEST(a_lookup_that_fails_breaks_the_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
