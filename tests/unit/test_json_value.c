/* json_value: types, lengths and equality, and lengths against what the unescaped text says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/json.h"
#include "message/json_string.h"
#include "message/json_value.h"

static void types_are_known_by_the_first_byte(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum rkb_json_type type;
    } cases[] = {
        {"\"\"", RKB_JSON_STRING}, {"{}", RKB_JSON_OBJECT}, {"[1]", RKB_JSON_ARRAY}, {"true", RKB_JSON_BOOLEAN},
        {"false", RKB_JSON_BOOLEAN}, {"null", RKB_JSON_NULL}, {"0", RKB_JSON_NUMBER}, {"-1e5", RKB_JSON_NUMBER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(rkb_json_type_of(rkb_slice_text(cases[i].text)), cases[i].type);
    assert_string_equal(rkb_json_type_names[0], "string");
    assert_string_equal(rkb_json_type_names[2], "integer");
    assert_string_equal(rkb_json_type_names[RKB_JSON_TYPES - 1], "null");
}

static void characters_are_code_points(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t characters;
    } cases[] = {
        {"\"\"", 0}, {"\"abc\"", 3}, {"\"\xC3\xA9\"", 1}, {"\"\xF0\x9F\x98\x80\"", 1}, {"\"\\n\\\\\\\"\"", 3},
        {"\"\\u0041b\"", 2}, {"\"\\ud83d\\ude00\"", 1}, {"\"\\uD83D\\uDE00\"", 1}, {"\"\\ud83d\"", 1},
        {"\"\\ud83d\\u0041\"", 2}, {"\"\\ude00\\ud83d\"", 2}, {"\"\\ud83d\\n\"", 2}, {"\"\\ud7ff\\udc00\"", 2},
        {"\"\\udbff\\udfff\"", 1}, {"\"\\ud83dx12345\"", 7}, {"\"\\\\ud83d\\\\ude00\"", 12}, {"\"\\u0000\"", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (rkb_json_characters(rkb_slice_text(cases[i].text)) != cases[i].characters)
            fail_msg("%s: %zu characters", cases[i].text, rkb_json_characters(rkb_slice_text(cases[i].text)));
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

/* Each byte that begins a character of the unescaped text is one; a lone surrogate is U+FFFD there, one too. */
static void characters_are_those_of_the_unescaped_text(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "\\n", "\\ud83d", "\\ude00", "\\uDBFF", "\\uDFFF", "\xC3\xA9", "\\u00e9",
                                         "\xF0\x9F\x98\x80", "\\\\", "u", "\\uD7FF", "\\ue000", "\\\""};
    uint64_t seed = 3;
    for (int round = 0; round < 20000; round++) {
        struct rkb_buffer text = {0}, room = {0};
        struct rkb_slice content;
        rkb_buffer_text(&text, "\"");
        for (uint32_t count = next_random(&seed) % 9; count > 0; count--)
            rkb_buffer_text(&text, pieces[next_random(&seed) % (sizeof pieces / sizeof pieces[0])]);
        rkb_buffer_text(&text, "\"");
        struct rkb_slice string = rkb_slice(text.data, text.size);
        assert_true(rkb_json_valid(string, NULL));
        assert_true(rkb_json_content(string, &room, &content));
        size_t expected = 0;
        for (size_t i = 0; i < content.size; i++)
            expected += (content.data[i] & 0xC0) != 0x80;
        if (rkb_json_characters(string) != expected)
            fail_msg("%.*s: %zu", (int)string.size, (const char *)string.data, rkb_json_characters(string));
        rkb_buffer_free(&text);
        rkb_buffer_free(&room);
    }
}

static void elements_are_those_of_the_array_alone(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t elements;
    } cases[] = {
        {"[]", 0}, {"[ \n]", 0}, {"[1]", 1}, {"[ 1 , 2 ]", 2}, {"[[1,2,3],{\"a\":[4,5]},\",],\"]", 3}, {"[\"]\"]", 1},
        {"[null,true,-1.5e3]", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (rkb_json_elements(rkb_slice_text(cases[i].text)) != cases[i].elements)
            fail_msg("%s: %zu elements", cases[i].text, rkb_json_elements(rkb_slice_text(cases[i].text)));
}

static void check_equal(const char *constant, bool is_string, const char *value, bool equal)
{
    struct rkb_json_constant made = rkb_json_constant(rkb_slice_text(constant), is_string);
    if (rkb_json_equals(&made, rkb_slice_text(value)) != equal)
        fail_msg("%s (%s) and %s", constant, is_string ? "string" : "as it reads", value);
}

static void equality_is_by_value(void **state)
{
    (void)state;
    check_equal("1", false, "1.0", true);
    check_equal("1", false, "10e-1", true);
    check_equal("12345678901234567890", false, "12345678901234567891", false);
    check_equal("1e400", false, "10e399", true);
    check_equal("0", false, "-0.0", true);
    check_equal("1", false, "\"1\"", false);
    check_equal("1", true, "\"1\"", true);
    check_equal("1", true, "1", false);
    check_equal("a", false, "\"\\u0061\"", true);
    check_equal("a\"b", false, "\"a\\\"b\"", true);
    check_equal("a", false, "\"ab\"", false);
    check_equal("", true, "\"\"", true);
    check_equal("true", false, "true", true);
    check_equal("true", false, "false", false);
    check_equal("true", true, "\"true\"", true);
    check_equal("null", false, "null", true);
    check_equal("null", false, "{}", false);
    check_equal("007", false, "\"007\"", true);
    check_equal("007", false, "7", false);
    check_equal("NULL", false, "\"NULL\"", true);
}

static void room_is_kept_and_used_again(void **state)
{
    (void)state;
    struct rkb_buffer room = {0};
    struct rkb_slice content;
    struct rkb_slice plain = rkb_slice_text("\"abc\"");
    assert_true(rkb_json_content(plain, &room, &content));
    assert_ptr_equal(content.data, plain.data + 1);
    assert_null(room.data);
    assert_true(rkb_json_content(rkb_slice_text("\"a\\tb\\u0000c\""), &room, &content));
    assert_int_equal(content.size, 5);
    assert_memory_equal(content.data, "a\tb\0c", 5);
    uint8_t *first = room.data;
    size_t capacity = room.capacity;
    for (int i = 0; i < 100; i++)
        assert_true(rkb_json_content(rkb_slice_text("\"\\n\\n\\n\\n\""), &room, &content));
    assert_ptr_equal(room.data, first);
    assert_int_equal(room.capacity, capacity);
    assert_memory_equal(content.data, "\n\n\n\n", 4);
    rkb_buffer_free(&room);
}

static void room_grows_with_the_string(void **state)
{
    (void)state;
    struct rkb_buffer room = {0}, text = {0};
    struct rkb_slice content;
    rkb_buffer_text(&text, "\"\\n");
    for (int i = 0; i < 10000; i++)
        rkb_buffer_text(&text, "x");
    rkb_buffer_text(&text, "\"");
    assert_true(rkb_json_content(rkb_slice(text.data, text.size), &room, &content));
    assert_int_equal(content.size, 10001);
    assert_int_equal(content.data[10000], 'x');
    rkb_buffer_free(&room);
    rkb_buffer_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_known_by_the_first_byte),
        cmocka_unit_test(characters_are_code_points),
        cmocka_unit_test(characters_are_those_of_the_unescaped_text),
        cmocka_unit_test(elements_are_those_of_the_array_alone),
        cmocka_unit_test(equality_is_by_value),
        cmocka_unit_test(room_is_kept_and_used_again),
        cmocka_unit_test(room_grows_with_the_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
