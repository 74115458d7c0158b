/* Tests of client_list: lines as Redis 5, 6 and 7 write them, limits, and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "redis/client_list.h"

static struct rkb_client client_of(const char *line)
{
    struct rkb_client client;
    assert_true(rkb_client_parse(rkb_slice_text(line), &client));
    return client;
}

static void lines_of_several_versions(void **state)
{
    (void)state;
    struct rkb_client seven = client_of("id=5 addr=127.0.0.1:38960 laddr=127.0.0.1:6379 fd=7 name=rkbridge:shop age=9 "
                                        "idle=3 flags=P db=0 sub=2 psub=1 ssub=0 multi=-1 qbuf=0 qbuf-free=0 "
                                        "argv-mem=0 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=12 omem=246000 tot-mem=269658 "
                                        "events=rw cmd=subscribe user=default redir=-1 resp=2");
    assert_int_equal(seven.id, 5);
    assert_int_equal(seven.idle_seconds, 3);
    assert_int_equal(seven.output_buffer, 246000);
    assert_int_equal(seven.memory, 269658);
    assert_true(rkb_slice_equal(seven.name, rkb_slice_text("rkbridge:shop")));
    assert_true(rkb_slice_equal(seven.address, rkb_slice_text("127.0.0.1:38960")));
    assert_int_equal(seven.channels, 2);
    assert_int_equal(seven.patterns, 1);
    assert_true(rkb_slice_equal(seven.user, rkb_slice_text("default")));
    struct rkb_client five = client_of("id=3 addr=/tmp/redis.sock:0 fd=8 name= age=1 idle=0 flags=N db=0 "
                                       "sub=0 omem=0 cmd=client");
    assert_int_equal(five.id, 3);
    assert_int_equal(five.name.size, 0);
    assert_int_equal(five.output_buffer, 0);
    assert_int_equal(five.memory, -1);
    assert_int_equal(five.patterns, -1);
    struct rkb_client odd = client_of("id=9 idle=x omem= name");
    assert_int_equal(odd.idle_seconds, -1);
    assert_int_equal(odd.output_buffer, -1);
    struct rkb_client none;
    assert_false(rkb_client_parse(rkb_slice_text("addr=127.0.0.1:1 name=rkbridge:x"), &none));
    assert_false(rkb_client_parse(rkb_slice_text("id= name=rkbridge:x"), &none));
    assert_false(rkb_client_parse(rkb_slice_text(""), &none));
}

static void limits(void **state)
{
    (void)state;
    struct rkb_output_limits limits;
    assert_true(rkb_output_limits_parse(rkb_slice_text("normal 0 0 0 slave 268435456 67108864 60 pubsub "
                                                       "33554432 8388608 60"), &limits));
    assert_int_equal(limits.hard, 33554432);
    assert_int_equal(limits.soft, 8388608);
    assert_int_equal(limits.soft_seconds, 60);
    assert_true(rkb_output_limits_parse(rkb_slice_text("pubsub 0 0 0 normal 1 2 3"), &limits));
    assert_int_equal(limits.hard + limits.soft, 0);
    assert_false(rkb_output_limits_parse(rkb_slice_text("normal 0 0 0"), &limits));
    assert_false(rkb_output_limits_parse(rkb_slice_text("pubsub 1 2"), &limits));
    assert_false(rkb_output_limits_parse(rkb_slice_text("pubsub 1 x 3"), &limits));
    assert_false(rkb_output_limits_parse(rkb_slice_text("client-output-buffer-limit"), &limits));
}

static void names(void **state)
{
    (void)state;
    char text[RKB_BRIDGE_NAME];
    struct rkb_bridge_name name = {.instance = rkb_slice_text("shop-1.a"), .token = rkb_slice_text("0123abcd"),
                                   .period_ms = 5000, .subscriber = 42};
    rkb_bridge_name_write(text, &name);
    assert_string_equal(text, "rkbridge:shop-1.a:0123abcd:5000:42");
    struct rkb_bridge_name read;
    assert_true(rkb_bridge_name_parse(rkb_slice_text(text), &read));
    assert_true(rkb_slice_equal(read.instance, name.instance) && rkb_slice_equal(read.token, name.token));
    assert_int_equal(read.period_ms, 5000);
    assert_int_equal(read.subscriber, 42);
    name.token.size = 0;
    rkb_bridge_name_write(text, &name);
    assert_string_equal(text, "rkbridge:shop-1.a");
    assert_true(rkb_bridge_name_parse(rkb_slice_text(text), &read));
    assert_int_equal(read.token.size + read.subscriber, 0);
    static const char *const others[] = {"", "rkbridge", "rkbridge:", "rkbridge::0123abcd:1:1", "rkbridgx:shop",
                                         "rkbridge:a:0123abc:1:1", "rkbridge:a:0123abcd:1", "rkbridge:a:0123abcd:x:1",
                                         "rkbridge:a:0123abcd:1:"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (rkb_bridge_name_parse(rkb_slice_text(others[i]), &read))
            fail_msg("taken for a name: %s", others[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_of_several_versions),
        cmocka_unit_test(limits),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
