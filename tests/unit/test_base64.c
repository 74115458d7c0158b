/* base64: the vectors of RFC 4648, all bytes there and back, nothing written behind the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "message/base64.h"

static void check(struct rkb_slice data, const char *expected)
{
    uint8_t out[64];
    memset(out, '~', sizeof out);
    assert_int_equal(rkb_base64_size(data.size), strlen(expected));
    assert_ptr_equal(rkb_base64_encode(out, data), out + strlen(expected));
    assert_memory_equal(out, expected, strlen(expected));
    assert_int_equal(out[strlen(expected)], '~');
}

static void vectors_of_the_rfc(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++)
        check(rkb_slice_text(vectors[i][0]), vectors[i][1]);
    check(rkb_slice(NULL, 0), "");
}

static void bytes_that_are_no_text(void **state)
{
    (void)state;
    check(rkb_slice("\xFF\xFF\xFF", 3), "////");
    check(rkb_slice("\xFB\xEF\xBE", 3), "++++");
    check(rkb_slice("\0", 1), "AA==");
    check(rkb_slice("\0\0", 2), "AAA=");
    check(rkb_slice("\x80", 1), "gA==");
    check(rkb_slice("\x14\xFB\x9C\x03\xD9\x7E", 6), "FPucA9l+");
}

static int value_of(uint8_t digit)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = memchr(alphabet, digit, 64);
    return found == NULL ? -1 : (int)(found - alphabet);
}

static void there_and_back(void **state)
{
    (void)state;
    uint8_t data[256], out[344], back[256];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 167 + 13);
    for (size_t size = 0; size <= sizeof data; size++) {
        size_t written = (size_t)(rkb_base64_encode(out, rkb_slice(data, size)) - out), got = 0;
        assert_int_equal(written, rkb_base64_size(size));
        for (size_t i = 0; i < written; i += 4) {
            uint32_t bits = 0;
            int padding = (out[i + 2] == '=') + (out[i + 3] == '=');
            for (size_t j = 0; j < 4; j++) {
                bool pad = (int)j >= 4 - padding;
                assert_true(pad ? out[i + j] == '=' && i + 4 == written : value_of(out[i + j]) >= 0);
                bits = bits << 6 | (pad ? 0 : (uint32_t)value_of(out[i + j]));
            }
            for (int j = 0; j < 3 - padding; j++)
                back[got++] = (uint8_t)(bits >> (16 - 8 * j));
        }
        assert_int_equal(got, size);
        assert_memory_equal(back, data, size);
        memset(back, 0, sizeof back);
        assert_ptr_equal(rkb_base64_decode(back, rkb_slice(out, written)), back + size);
        assert_memory_equal(back, data, size);
    }
}

static void what_encode_never_makes(void **state)
{
    static const char *const cases[] = {"A", "AA", "AAA", "AAAAA", "A===", "====", "AA=A", "=AAA", "AA==AAAA", "AB==",
                                        "AAB=", "AA A", "A-A=", "AA_A", "AAA\n", "\x80\x80\x80\x80"};
    uint8_t out[8];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (rkb_base64_decode(out, rkb_slice_text(cases[i])) != NULL)
            fail_msg("%s", cases[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_of_the_rfc),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_encode_never_makes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
