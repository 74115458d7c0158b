/* fake_dns -- see fake_dns.h. The wire's form: RFC 1035, section 4. */
#include "fake_dns.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"

enum { HEAD = 12, TYPE_A = 1, TYPE_AAAA = 28, CLASS_IN = 1, MOST_RULES = 32, PACKET = 512 };
enum { ANSWER = 0x8180, CUT = 0x0200 };
enum { NO_ERROR, FORMAT, FAILED, UNKNOWN, NOT_BUILT, REFUSED };

struct fake_dns {
    int fd;
    struct event *readable;
    char address[32];
    const struct fake_dns_rule *rules;
    int used[MOST_RULES];
    struct rkb_buffer asked;
};

struct question {
    uint8_t packet[PACKET];
    size_t size;                /* of head and question */
    char name[256];
    int type;
};

static void need(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    abort();
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* False for what is no question. */
static bool parse(struct question *question, size_t size)
{
    size_t at = HEAD, used = 0;
    while (at < size && question->packet[at] != 0) {
        size_t length = question->packet[at];
        if (at + 1 + length >= size || used + length + 2 > sizeof question->name)
            return false;
        used += (size_t)snprintf(question->name + used, sizeof question->name - used, "%s%.*s", used > 0 ? "." : "",
                                 (int)length, (const char *)question->packet + at + 1);
        at += 1 + length;
    }
    if (at + 5 > size)
        return false;
    question->type = question->packet[at + 1] << 8 | question->packet[at + 2];
    question->size = at + 5;
    return true;
}

static const char *family_of(const struct question *question)
{
    return question->type == TYPE_A ? "A" : question->type == TYPE_AAAA ? "AAAA" : "?";
}

static const struct fake_dns_rule *find_rule(struct fake_dns *dns, const struct question *question)
{
    static const struct fake_dns_rule nobody = {.kind = FAKE_DNS_UNKNOWN};
    for (int i = 0; dns->rules[i].name == NULL || dns->rules[i].name[0] != '\0'; i++) {
        const struct fake_dns_rule *rule = &dns->rules[i];
        need(i < MOST_RULES, "rules");
        bool fits = (rule->name == NULL || strcasecmp(rule->name, question->name) == 0) &&
                    (rule->family == NULL || strcmp(rule->family, family_of(question)) == 0);
        if (fits && (rule->times == 0 || dns->used[i]++ < rule->times))
            return rule;
    }
    return &nobody;
}

/* One answer, the name by a pointer to the question; returns its size. */
static size_t put_record(uint8_t *at, const struct question *question, const void *data, size_t size)
{
    put16(at, 0xc000 | HEAD);
    put16(at + 2, (unsigned)question->type);
    put16(at + 4, CLASS_IN);
    memset(at + 6, 0, 4);
    put16(at + 10, (unsigned)size);
    memcpy(at + 12, data, size);
    return 12 + size;
}

static void put_addresses(struct question *question, const char *addresses)
{
    char copy[256], *rest = copy;
    unsigned count = 0;
    snprintf(copy, sizeof copy, "%s", addresses != NULL ? addresses : "");
    for (const char *one; (one = strsep(&rest, " ")) != NULL;) {
        uint8_t data[16];
        int family = question->type == TYPE_A ? AF_INET : AF_INET6;
        if (inet_pton(family, one, data) != 1)
            continue;
        question->size += put_record(question->packet + question->size, question, data, family == AF_INET ? 4 : 16);
        count++;
    }
    put16(question->packet + 6, count);
}

static void to_small_letters(struct question *question)
{
    for (size_t i = HEAD; i < question->size - 4; i++)
        question->packet[i] = (uint8_t)tolower(question->packet[i]);
}

/* Makes the question its own answer; its code. */
static unsigned answer(struct question *question, const struct fake_dns_rule *rule)
{
    switch (rule->kind) {
    case FAKE_DNS_SMALL_LETTERS:
        to_small_letters(question);
        put_addresses(question, rule->addresses);
        return NO_ERROR;
    case FAKE_DNS_ADDRESSES:
    case FAKE_DNS_NOISE:
        put_addresses(question, rule->addresses);
        return NO_ERROR;
    case FAKE_DNS_GARBAGE:
        put16(question->packet + 6, 7);
        memset(question->packet + question->size, 0xff, 20);
        question->size += 20;
        return NO_ERROR;
    case FAKE_DNS_TRUNCATED:
        return CUT;
    case FAKE_DNS_FAILS:
        return FAILED;
    case FAKE_DNS_REFUSES:
        return REFUSED;
    case FAKE_DNS_UNKNOWN:
    case FAKE_DNS_SILENT:
        break;
    }
    return UNKNOWN;
}

static void on_question(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct fake_dns *dns = arg;
    struct question question = {.size = 0};
    struct sockaddr_storage from;
    socklen_t size = sizeof from;
    ssize_t got = recvfrom(fd, question.packet, sizeof question.packet, 0, (struct sockaddr *)&from, &size);
    if (got < HEAD || !parse(&question, (size_t)got))
        return;
    rkb_buffer_format(&dns->asked, "%s %s\n", family_of(&question), question.name);
    const struct fake_dns_rule *rule = find_rule(dns, &question);
    if (rule->kind == FAKE_DNS_SILENT)
        return;
    if (rule->kind == FAKE_DNS_NOISE)
        need(sendto(fd, "noise that no one asked for", 27, 0, (struct sockaddr *)&from, size) == 27, "sendto");
    put16(question.packet + 8, 0);
    put16(question.packet + 10, 0);
    put16(question.packet + 2, ANSWER | answer(&question, rule));
    need(sendto(fd, question.packet, question.size, 0, (struct sockaddr *)&from, size) == (ssize_t)question.size,
         "sendto");
}

void fake_dns_rules(struct fake_dns *dns, const struct fake_dns_rule *rules)
{
    dns->rules = rules;
    memset(dns->used, 0, sizeof dns->used);
}

struct fake_dns *fake_dns_new(struct event_base *base, const struct fake_dns_rule *rules)
{
    struct fake_dns *dns = calloc(1, sizeof *dns);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    need(dns != NULL, "memory");
    dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    need(dns->fd >= 0 && bind(dns->fd, (struct sockaddr *)&address, size) == 0 &&
             getsockname(dns->fd, (struct sockaddr *)&address, &size) == 0, "bind");
    snprintf(dns->address, sizeof dns->address, "127.0.0.1:%d", ntohs(address.sin_port));
    dns->readable = event_new(base, dns->fd, EV_READ | EV_PERSIST, on_question, dns);
    need(dns->readable != NULL && event_add(dns->readable, NULL) == 0, "event");
    fake_dns_rules(dns, rules);
    return dns;
}

void fake_dns_free(struct fake_dns *dns)
{
    if (dns == NULL)
        return;
    event_free(dns->readable);
    close(dns->fd);
    rkb_buffer_free(&dns->asked);
    free(dns);
}

const char *fake_dns_address(const struct fake_dns *dns)
{
    return dns->address;
}

const char *fake_dns_asked(struct fake_dns *dns)
{
    uint8_t *end = rkb_buffer_reserve(&dns->asked, 1);
    need(end != NULL, "memory");
    *end = '\0';
    return (const char *)dns->asked.data;
}

void fake_dns_forget(struct fake_dns *dns)
{
    dns->asked.size = 0;
}
