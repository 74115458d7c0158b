/* The addresses of a Redis: what is taken, what is refused, what is shown; a password is never repeated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "redis/url.h"

/* An address that is taken, and what is in it. Without a port it is a path. */
struct taken {
    const char *text, *host;
    int port;
    const char *shown, *user, *password;
};

static void assert_taken(const struct taken *row)
{
    struct rkb_redis_url url;
    struct rkb_error error = {0};
    char out[512];
    if (!rkb_redis_url_parse(row->text, &url, &error))
        fail_msg("%s: %s", row->text, error.text);
    assert_int_equal(url.is_unix, row->port == 0);
    assert_int_equal(url.is_tls, strncmp(row->text, "rediss:", 7) == 0);
    assert_string_equal(url.host, row->host);
    assert_int_equal(url.port, row->port);
    assert_string_equal(url.user, row->user);
    assert_string_equal(url.password, row->password);
    rkb_redis_url_show(&url, out, sizeof out);
    assert_string_equal(out, row->shown);
}

/* All rows up to the first without a text. */
static void assert_all_taken(const struct taken *rows)
{
    for (; rows->text != NULL; rows++)
        assert_taken(rows);
}

static void takes_hosts(void **state)
{
    (void)state;
    static const struct taken rows[] = {
        {"redis://localhost", "localhost", 6379, "redis://localhost:6379", "", ""},
        {"redis://localhost/", "localhost", 6379, "redis://localhost:6379", "", ""},
        {"redis://r-1.example_x.org:1", "r-1.example_x.org", 1, "redis://r-1.example_x.org:1", "", ""},
        {"redis://10.0.0.1:65535", "10.0.0.1", 65535, "redis://10.0.0.1:65535", "", ""},
        {"redis://[::1]", "::1", 6379, "redis://[::1]:6379", "", ""},
        {"rediss://localhost", "localhost", 6379, "rediss://localhost:6379", "", ""},
        {"rediss://[::1]:1", "::1", 1, "rediss://[::1]:1", "", ""},
        {"redis://[fe80::1:2]:7000", "fe80::1:2", 7000, "redis://[fe80::1:2]:7000", "", ""},
        {0},
    };
    assert_all_taken(rows);
}

static void takes_paths(void **state)
{
    (void)state;
    static const struct taken rows[] = {
        {"unix:///run/redis.sock", "/run/redis.sock", 0, "unix:///run/redis.sock", "", ""},
        {"unix:///run/a@b:c/r.sock", "/run/a@b:c/r.sock", 0, "unix:///run/a@b:c/r.sock", "", ""},
        {"unix://u:p@/r.sock", "/r.sock", 0, "unix://u@/r.sock", "u", "p"},
        {0},
    };
    assert_all_taken(rows);
}

static void takes_logins(void **state)
{
    (void)state;
    static const struct taken rows[] = {
        {"redis://bridge@h", "h", 6379, "redis://bridge@h:6379", "bridge", ""},
        {"redis://bridge:s3cret@h:1", "h", 1, "redis://bridge@h:1", "bridge", "s3cret"},
        {"rediss://bridge:s3cret@h:1", "h", 1, "rediss://bridge@h:1", "bridge", "s3cret"},
        {"redis://:s3cret@h", "h", 6379, "redis://h:6379", "", "s3cret"},
        {"redis://a%40b:p%2f%3A%25@h", "h", 6379, "redis://a%40b@h:6379", "a@b", "p/:%"},
        {"redis://u:a@b:c@h", "h", 6379, "redis://u@h:6379", "u", "a@b:c"},
        {"redis://u:p@[::1]:2", "::1", 2, "redis://u@[::1]:2", "u", "p"},
        {"redis://u%0a:p@h", "h", 6379, "redis://u%0A@h:6379", "u\n", "p"},
        {0},
    };
    assert_all_taken(rows);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "", "localhost", "http://h", "redis:/h", "rediss://", "rediss://h/0", "Rediss://h", "redis://", "redis://:6379",
        "redis://u:sEcReT@", "redis://h:", "redis://h:0", "redis://h:65536", "redis://h:99999999999999999999",
        "redis://h:-1", "redis://h:1x", "redis://::1", "redis://[::1", "redis://[::1]x", "redis://[localhost]",
        "redis://[]", "redis://h/0", "redis://h?db=1", "redis://h#x", "redis://a b", "redis://u:%zz@h",
        "redis://u:%4@h", "redis://u:%@h", "redis://u:%00@h", "unix://", "unix://r.sock", "unix:///",
        "unix://host/r.sock", "redis://u:sEcReT/x@h", "redis://u:sEcReT?@h", "redis://sEcReT#@h:1",
        "redis://u:sEcReT%@h",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct rkb_redis_url url;
        struct rkb_error error = {0};
        if (rkb_redis_url_parse(wrong[i], &url, &error))
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(error.code, RKB_USAGE);
        assert_true(strlen(error.text) > 10);
        assert_null(strstr(error.text, "sEcReT"));
    }
}

/* scheme + length times 'a' + rest */
static bool parses(const char *scheme, size_t length, const char *rest)
{
    char text[2048];
    struct rkb_redis_url url;
    struct rkb_error error = {0};
    memset(text, 'a', sizeof text);
    memcpy(text, scheme, strlen(scheme));
    memcpy(text + strlen(scheme) + length, rest, strlen(rest) + 1);
    return rkb_redis_url_parse(text, &url, &error);
}

static void knows_its_limits(void **state)
{
    (void)state;
    assert_true(parses("redis://", 255, ""));
    assert_false(parses("redis://", 256, ""));
    assert_true(parses("redis://", 127, "@h"));
    assert_false(parses("redis://", 128, "@h"));
    assert_true(parses("redis://:", 255, "@h"));
    assert_false(parses("redis://:", 256, "@h"));
    assert_true(parses("unix:///", 106, ""));
    assert_false(parses("unix:///", 107, ""));
}

static void shows_within_bounds(void **state)
{
    (void)state;
    struct rkb_redis_url url;
    struct rkb_error error;
    char out[16 + 1];
    assert_true(rkb_redis_url_parse("redis://somebody:x@some.host.example:7000", &url, &error));
    memset(out, '#', sizeof out);
    rkb_redis_url_show(&url, out, 16);
    assert_string_equal(out, "redis://somebod");
    assert_int_equal(out[16], '#');
    memset(url.user, 0xff, sizeof url.user - 1);
    char all[1024];
    rkb_redis_url_show(&url, all, sizeof all);
    assert_non_null(strstr(all, "%FF@some.host.example:7000"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_hosts),      cmocka_unit_test(takes_paths),
        cmocka_unit_test(takes_logins),     cmocka_unit_test(refuses),
        cmocka_unit_test(knows_its_limits), cmocka_unit_test(shows_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
