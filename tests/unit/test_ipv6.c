/*
 * IPv6: a Redis at ::1, and one that listens on only one of a name's two addresses.
 *
 * On a machine without ::1 nothing of this can run: then it says so and ends with 77, which `make check` counts as
 * skipped.
 */
#include "subscriber_support.h"
#include "transport_support.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>

static bool is_there(void)
{
    const struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return bound;
}

static void listens_on_ipv6(void **state)
{
    struct test *test = *state;
    listen_anew(test, NULL, true);
    use_port(test, "", "[::1]");
    begin_subscribed(test);
}

/* Whichever comes first, and wherever Redis listens: the other address is tried in the same attempt. */
static void tries_both_addresses_of_a_name(void **state)
{
    static const char *const hosts[] = {"127.0.0.1 r.test\n::1 r.test\n", "::1 r.test\n127.0.0.1 r.test\n"};
    struct line *line = *state;
    for (unsigned i = 0; i < 4; i++) {
        struct fake_redis *redis = fake_redis_new(line->base, NULL, i % 2 == 0);
        line_write(line, "hosts", hosts[i / 2]);
        line->log.size = 0;
        line_open(line, "redis", "r.test", fake_redis_port(redis));
        line_until(line, "opened\n");
        assert_null(strstr(line_log(line), "broken"));
        fake_redis_free(redis);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(listens_on_ipv6),
        LINE_TEST(tries_both_addresses_of_a_name),
    };
    if (is_there())
        return cmocka_run_group_tests(tests, NULL, NULL);
    fprintf(stderr, "NOT RUN: all tests of IPv6, since this machine has no ::1; to have them run, turn on IPv6 for "
                    "the loopback interface (sysctl net.ipv6.conf.lo.disable_ipv6=0)\n");
    return 77;
}
