/* Tests of the leaves that everybody uses: buffers, and text on one line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/escape.h"

/* NULL says that memory ran out, and nothing else. */
static void test_room_for_nothing(void **state)
{
    (void)state;
    struct rkb_buffer buffer = {0};
    assert_non_null(rkb_buffer_reserve(&buffer, 0));
    rkb_buffer_add(&buffer, NULL, 0);
    assert_false(buffer.failed);
    assert_int_equal(buffer.size, 0);
    rkb_buffer_free(&buffer);
}

static void check_line(const char *text, size_t size, const char *wanted)
{
    char out[64];
    memset(out, 'x', sizeof out);
    rkb_escape_line(out, size, text);
    assert_string_equal(out, wanted);
    assert_true(strlen(out) < size);
}

static void test_text_on_one_line(void **state)
{
    (void)state;
    check_line("", 1, "");
    check_line("abc", 4, "abc");
    check_line("abc", 3, "ab");
    check_line("a\nb\x04", 64, "a\\nb\\x04");
    check_line("a\nb", 3, "a");
    check_line("\xC3\xA9\xC3\xA9", 4, "\xC3\xA9");
    check_line("\xFF^\\d\"", 64, "\\xff^\\d\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room_for_nothing),
        cmocka_unit_test(test_text_on_one_line),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
