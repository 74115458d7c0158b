/*
 * fake_dns -- a name server that does what a test scripts: UDP, on a free port of 127.0.0.1, on the test's loop.
 *
 * It keeps what it was asked ("A redis.test", "AAAA redis.test", ...) in the case it was asked in.
 */
#ifndef RKB_TESTS_FAKE_DNS_H
#define RKB_TESTS_FAKE_DNS_H

#include <event2/event.h>

enum fake_dns_kind {
    FAKE_DNS_ADDRESSES,         /* of the asked family; none of it: an empty answer */
    FAKE_DNS_UNKNOWN,           /* NXDOMAIN */
    FAKE_DNS_FAILS,             /* SERVFAIL */
    FAKE_DNS_REFUSES,
    FAKE_DNS_TRUNCATED,
    FAKE_DNS_GARBAGE,           /* an answer whose records point beyond its end */
    FAKE_DNS_NOISE,             /* bytes that are no answer at all, then the addresses */
    FAKE_DNS_SILENT,
    FAKE_DNS_SMALL_LETTERS      /* the addresses, for the name in small letters */
};

struct fake_dns_rule {
    const char *name;           /* compared without case; NULL: any */
    enum fake_dns_kind kind;
    const char *addresses;      /* "127.0.0.1 127.0.0.2 ::1" */
    const char *family;         /* "A" or "AAAA": only such questions; NULL: both */
    int times;                  /* then the next rule of that name; 0: for ever */
};

struct fake_dns;

/* Rules are lent, up to one whose name is "". Names that no rule fits are unknown. */
struct fake_dns *fake_dns_new(struct event_base *base, const struct fake_dns_rule *rules);
void fake_dns_free(struct fake_dns *dns);
/* "127.0.0.1:5353" */
const char *fake_dns_address(const struct fake_dns *dns);
const char *fake_dns_asked(struct fake_dns *dns);
void fake_dns_forget(struct fake_dns *dns);
/* Other rules from now on. */
void fake_dns_rules(struct fake_dns *dns, const struct fake_dns_rule *rules);

#endif
