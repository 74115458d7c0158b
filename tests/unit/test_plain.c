/* A whole message, in Redis's own words: found, or left to those who know more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "redis/plain.h"

#include <stdlib.h>

#define MESSAGE "*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$3\r\nxyz\r\n"
#define PMESSAGE "*4\r\n$8\r\npmessage\r\n$2\r\na*\r\n$0\r\n\r\n$10\r\n0123456789\r\n"

/* In memory of just that size, so that a look behind it is seen by the sanitizer. */
static size_t parse(const char *text, size_t size, uint64_t most_payload, uint64_t most_name, struct rkb_plain *message)
{
    uint8_t *bytes = malloc(size + (size == 0));
    memcpy(bytes, text, size);
    size_t taken = rkb_plain_message(rkb_slice(bytes, size), most_payload, most_name, message);
    message->pattern.data = message->channel.data = message->payload.data = NULL;
    free(bytes);
    return taken;
}

static void test_both_kinds(void **state)
{
    struct rkb_plain message;
    (void)state;
    assert_int_equal(rkb_plain_message(rkb_slice_text(MESSAGE PMESSAGE), 100, 100, &message), sizeof MESSAGE - 1);
    assert_false(message.is_pattern);
    assert_int_equal(message.pattern.size, 0);
    assert_true(rkb_slice_equal(message.channel, rkb_slice_text("ab")));
    assert_true(rkb_slice_equal(message.payload, rkb_slice_text("xyz")));
    assert_int_equal(rkb_plain_message(rkb_slice_text(PMESSAGE), 100, 100, &message), sizeof PMESSAGE - 1);
    assert_true(message.is_pattern);
    assert_true(rkb_slice_equal(message.pattern, rkb_slice_text("a*")));
    assert_int_equal(message.channel.size, 0);
    assert_true(rkb_slice_equal(message.payload, rkb_slice_text("0123456789")));
}

static void test_not_whole(void **state)
{
    struct rkb_plain message;
    (void)state;
    for (size_t size = 0; size < sizeof MESSAGE - 1; size++)
        assert_int_equal(parse(MESSAGE, size, 100, 100, &message), 0);
    for (size_t size = 0; size < sizeof PMESSAGE - 1; size++)
        assert_int_equal(parse(PMESSAGE, size, 100, 100, &message), 0);
    assert_int_equal(parse(PMESSAGE, sizeof PMESSAGE - 1, 100, 100, &message), sizeof PMESSAGE - 1);
}

static void test_limits(void **state)
{
    struct rkb_plain message;
    (void)state;
    assert_int_not_equal(parse(MESSAGE, sizeof MESSAGE - 1, 3, 2, &message), 0);
    assert_int_equal(parse(MESSAGE, sizeof MESSAGE - 1, 2, 100, &message), 0);
    /* a name may have as much as a payload */
    assert_int_not_equal(parse(MESSAGE, sizeof MESSAGE - 1, 3, 1, &message), 0);
    assert_int_equal(parse(PMESSAGE, sizeof PMESSAGE - 1, 9, 100, &message), 0);
}

static void test_anything_else(void **state)
{
    static const char *const texts[] = {
        "*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n",
        "*3\r\n$7\r\nmessagf\r\n$2\r\nab\r\n$3\r\nxyz\r\n",
        "*3\r\n$7\r\nMESSAGE\r\n$2\r\nab\r\n$3\r\nxyz\r\n",
        "*4\r\n$7\r\nmessage\r\n$2\r\nab\r\n$3\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$-1\r\n$3\r\nxyz\r\n$3\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$02\r\nab\r\n$3\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$2\r\nabc\r\n$3\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$2\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n:3\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$\r\nxyz\r\n$3\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$3\nxyz\r\n$3\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$0000000003\r\nxyz\r\n",
        "*3\r\n$7\r\nmessage\r\n$2\r\nab\r\n$99999999999999999999\r\nxyz\r\n",
        "-ERR a line that is longer than the words of a message\r\n",
    };
    struct rkb_plain message;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(parse(texts[i], strlen(texts[i]), UINT64_MAX, UINT64_MAX, &message), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_kinds),
        cmocka_unit_test(test_not_whole),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
