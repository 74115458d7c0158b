/*
 * json_string: what escapes mean, and that escaping and back is the identity for all UTF-8. Escaping alone is tested
 * with json.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/json.h"
#include "message/json_string.h"
#include "message/utf8.h"

static void expect_bytes(const char *text, const void *wanted, size_t size)
{
    struct rkb_slice inside = rkb_slice_text(text), plain = rkb_slice(wanted, size);
    assert_int_equal(rkb_json_unescaped_size(inside), size);
    uint8_t *room = malloc(size + 1);
    assert_ptr_equal(rkb_json_unescape(room, inside), room + size);
    assert_memory_equal(room, wanted, size);
    free(room);
    assert_true(rkb_json_means(inside, plain));
    assert_false(rkb_json_means(inside, rkb_slice("never this", 10)));
    if (size > 0)
        assert_false(rkb_json_means(inside, rkb_slice(wanted, size - 1)));
}

static void expect_text(const char *text, const char *wanted)
{
    expect_bytes(text, wanted, strlen(wanted));
}

static void test_what_escapes_mean(void **state)
{
    (void)state;
    expect_text("", "");
    expect_text("plain", "plain");
    expect_text("a\\\"b\\\\c\\/d", "a\"b\\c/d");
    expect_text("\\b\\f\\n\\r\\t", "\b\f\n\r\t");
    expect_text("\\u0041\\u00e9\\u20AC\\uFFff", "A\xC3\xA9\xE2\x82\xAC\xEF\xBF\xBF");
    expect_text("x\\ud83d\\ude00y", "x\xF0\x9F\x98\x80y");
    expect_bytes("a\\u0000b", "a\0b", 3);
}

static void test_lone_surrogates(void **state)
{
    (void)state;
    expect_text("\\ud83d", "\xEF\xBF\xBD");
    expect_text("\\ude00", "\xEF\xBF\xBD");
    expect_text("\\ud83dx\\ude00", "\xEF\xBF\xBDx\xEF\xBF\xBD");
    expect_text("\\ud83d\\u0041", "\xEF\xBF\xBD" "A");
    expect_text("\\ud83d\\ud83d\\ude00", "\xEF\xBF\xBD\xF0\x9F\x98\x80");
    expect_text("\\ud83d\\n", "\xEF\xBF\xBD\n");
}

/* Every code point there is, as itself and as an escape. */
static void test_every_character(void **state)
{
    (void)state;
    for (uint32_t character = 0; character < 0x110000; character += character < 0x3000 ? 1 : 37) {
        char escape[16];
        uint8_t meant[8], escaped[16];
        if (character >= 0xD800 && character < 0xE000)
            continue;
        if (character < 0x10000)
            snprintf(escape, sizeof escape, "\\u%04x", character);
        else
            snprintf(escape, sizeof escape, "\\u%04x\\u%04X", 0xD800 + ((character - 0x10000) >> 10),
                     0xDC00 + ((character - 0x10000) & 0x3FF));
        size_t size = (size_t)(rkb_json_unescape(meant, rkb_slice_text(escape)) - meant);
        assert_int_equal(rkb_utf8_step(rkb_slice(meant, size), NULL), size);
        struct rkb_slice plain = rkb_slice(meant, size);
        size_t long_size = (size_t)(rkb_json_escape(escaped, plain) - escaped);
        assert_true(rkb_json_means(rkb_slice(escaped, long_size), plain));
        assert_true(rkb_json_means(rkb_slice_text(escape), plain));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_escapes_mean),
        cmocka_unit_test(test_lone_surrogates),
        cmocka_unit_test(test_every_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
