/* utf8: every sequence up to three bytes and every first pair of four, against the numbers of RFC 3629. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/utf8.h"

static bool valid(const char *text)
{
    return rkb_utf8_valid(rkb_slice_text(text));
}

static size_t encode(uint32_t point, uint8_t out[4])
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    size_t length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    static const uint8_t leads[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length - 1; i > 0; i--, point >>= 6)
        out[i] = (uint8_t)(0x80 | (point & 0x3F));
    out[0] = (uint8_t)(leads[length] | point);
    return length;
}

static void every_character_is_valid_and_no_surrogate_is(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x10FFFF; point++) {
        uint8_t bytes[4];
        size_t size = encode(point, bytes), skip = 99;
        bool surrogate = point >= 0xD800 && point <= 0xDFFF;
        assert_true(rkb_utf8_step(rkb_slice(bytes, size), &skip) == (surrogate ? 0 : size));
        assert_true(rkb_utf8_valid(rkb_slice(bytes, size)) == !surrogate);
        for (size_t cut = 1; cut < size; cut++)
            assert_false(rkb_utf8_valid(rkb_slice(bytes, cut)));
    }
}

/* Counting what is well-formed leaves no room for anything else: 2^k sequences, of which exactly so many characters. */
static void nothing_else_is_valid(void **state)
{
    (void)state;
    size_t two = 0, three = 0, four = 0;
    for (uint32_t i = 0; i < 1u << 24; i++) {
        uint8_t bytes[4] = {(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 0x80};
        if (bytes[0] < 0x80)
            continue;
        size_t length = rkb_utf8_step(rkb_slice(bytes, 4), NULL);
        two += length == 2 && bytes[2] == 0;
        three += length == 3;
        four += length == 4;
    }
    assert_int_equal(two, 0x800 - 0x80);
    assert_int_equal(three, 0x10000 - 0x800 - 0x800);
    assert_int_equal(four, 0x100000 / 64);      /* one last byte of 64 */
}

static void the_ill_formed_part_is_maximal(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t skip;
    } cases[] = {
        {"\x80z", 1}, {"\xBF\xBF", 1}, {"\xC0\x80", 1}, {"\xC1\xBF", 1}, {"\xC3(", 1}, {"\xC3", 1},
        {"\xE0\x80\x80", 1}, {"\xE0\xA0(", 2}, {"\xE0\xA0", 2}, {"\xE2\x82z", 2}, {"\xED\xA0\x80", 1}, {"\xED\x9F(", 2},
        {"\xF0\x8F\xBF\xBF", 1}, {"\xF0\x9F\x98(", 3}, {"\xF0\x9F\x98", 3}, {"\xF0\x9F", 2}, {"\xF4\x90\x80\x80", 1},
        {"\xF4\x8F\xBF(", 3}, {"\xF5\x80", 1}, {"\xFE", 1}, {"\xFF", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t skip = 99;
        assert_int_equal(rkb_utf8_step(rkb_slice_text(cases[i].text), &skip), 0);
        assert_int_equal(skip, cases[i].skip);
    }
}

static void empty(void **state)
{
    (void)state;
    size_t skip = 99;
    assert_true(rkb_utf8_valid(rkb_slice(NULL, 0)));
    assert_int_equal(rkb_utf8_step(rkb_slice(NULL, 0), &skip), 0);
    assert_int_equal(skip, 0);
}

static void texts(void **state)
{
    (void)state;
    assert_true(valid("plain text that is longer than any block of sixteen bytes"));
    assert_true(valid("\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82, \xF0\x9F\x98\x80 and more ASCII behind it"));
    assert_true(rkb_utf8_valid(rkb_slice("a\0b", 3)));
    assert_false(valid("ASCII for a long while and then \xE9"));
    assert_false(valid("\xF0\x9F\x98\x80\xF0\x9F\x98"));
}

/* A bad byte is found at every place of texts of every length around the blocks. */
static void a_bad_byte_is_found_anywhere(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 70; size++) {
        uint8_t *text = malloc(size);
        memset(text, 'a', size);
        for (size_t at = 0; at < size; at++) {
            text[at] = 0xFF;
            assert_false(rkb_utf8_valid(rkb_slice(text, size)));
            text[at] = 'a';
        }
        assert_true(rkb_utf8_valid(rkb_slice(text, size)));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_valid_and_no_surrogate_is),
        cmocka_unit_test(nothing_else_is_valid),
        cmocka_unit_test(the_ill_formed_part_is_maximal),
        cmocka_unit_test(empty),
        cmocka_unit_test(texts),
        cmocka_unit_test(a_bad_byte_is_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
