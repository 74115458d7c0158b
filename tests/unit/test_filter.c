/* filter: each kind of condition, several together, and payloads that are no JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/filter.h"
#include "message/json.h"

#define TEXT(literal) (char *)(uintptr_t)literal

static bool passes(const struct rkb_filter_spec *specs, size_t count, const char *json)
{
    struct rkb_error error = {0};
    struct rkb_pointers *pointers = rkb_pointers_new();
    struct rkb_filter *filter = rkb_filter_compile(specs, count, pointers, &error);
    if (filter == NULL)
        fail_msg("%s", error.text);
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_buffer room = {0};
    bool is_json = rkb_pointers_find(pointers, rkb_slice_text(json), RKB_JSON_DEPTH, found);
    bool result = rkb_filter_passes(filter, is_json ? found : NULL, &room);
    rkb_buffer_free(&room);
    rkb_filter_free(filter);
    rkb_pointers_free(pointers);
    return result;
}

static void equals(void **state)
{
    (void)state;
    struct rkb_filter_spec text = {.at = TEXT("/type"), .kind = RKB_FILTER_EQUALS, .equals = {TEXT("order"), false}};
    assert_true(passes(&text, 1, "{\"type\":\"order\"}"));
    assert_true(passes(&text, 1, "{\"type\":\"ord\\u0065r\"}"));
    assert_false(passes(&text, 1, "{\"type\":\"orders\"}"));
    assert_false(passes(&text, 1, "{}"));
    assert_false(passes(&text, 1, "order"));
    struct rkb_filter_spec number = {.at = TEXT("/v"), .kind = RKB_FILTER_EQUALS, .equals = {TEXT("2"), false}};
    assert_true(passes(&number, 1, "{\"v\":2.0}"));
    assert_false(passes(&number, 1, "{\"v\":\"2\"}"));
    struct rkb_filter_spec quoted = {.at = TEXT("/v"), .kind = RKB_FILTER_EQUALS, .equals = {TEXT("2"), true}};
    assert_true(passes(&quoted, 1, "{\"v\":\"2\"}"));
    assert_false(passes(&quoted, 1, "{\"v\":2}"));
}

static void globs(void **state)
{
    (void)state;
    struct rkb_filter_spec glob = {.at = TEXT("/code"), .kind = RKB_FILTER_GLOB, .glob = TEXT("a?\n*")};
    assert_true(passes(&glob, 1, "{\"code\":\"ab\\nc\"}"));
    assert_true(passes(&glob, 1, "{\"code\":\"ab\\n\"}"));
    assert_false(passes(&glob, 1, "{\"code\":\"ab\"}"));
    assert_false(passes(&glob, 1, "{\"code\":[\"ab\\nc\"]}"));
    assert_false(passes(&glob, 1, "{}"));
    struct rkb_filter_spec digits = {.at = TEXT("/n"), .kind = RKB_FILTER_GLOB, .glob = TEXT("*")};
    assert_false(passes(&digits, 1, "{\"n\":1234}"));
    assert_true(passes(&digits, 1, "{\"n\":\"12\"}"));
}

static void existence(void **state)
{
    (void)state;
    struct rkb_filter_spec wanted = {.at = TEXT("/a"), .kind = RKB_FILTER_EXISTS, .exists = true};
    struct rkb_filter_spec unwanted = {.at = TEXT("/a"), .kind = RKB_FILTER_EXISTS, .exists = false};
    assert_true(passes(&wanted, 1, "{\"a\":null}"));
    assert_false(passes(&wanted, 1, "{}"));
    assert_false(passes(&wanted, 1, "no json"));
    assert_false(passes(&unwanted, 1, "{\"a\":null}"));
    assert_true(passes(&unwanted, 1, "{}"));
    assert_true(passes(&unwanted, 1, "no json"));
}

static void all_must_hold(void **state)
{
    (void)state;
    struct rkb_filter_spec specs[] = {
        {.at = TEXT("/type"), .kind = RKB_FILTER_EQUALS, .equals = {TEXT("order"), false}},
        {.at = TEXT("/test"), .kind = RKB_FILTER_EXISTS, .exists = false},
        {.at = TEXT("/shop"), .kind = RKB_FILTER_GLOB, .glob = TEXT("de-*")},
    };
    assert_true(passes(specs, 3, "{\"type\":\"order\",\"shop\":\"de-1\"}"));
    assert_false(passes(specs, 3, "{\"type\":\"offer\",\"shop\":\"de-1\"}"));
    assert_false(passes(specs, 3, "{\"type\":\"order\",\"shop\":\"de-1\",\"test\":1}"));
    assert_false(passes(specs, 3, "{\"type\":\"order\",\"shop\":\"fr-1\"}"));
}

static void a_bad_pointer_says_which_filter(void **state)
{
    (void)state;
    struct rkb_filter_spec specs[] = {{.at = TEXT("/a"), .kind = RKB_FILTER_EXISTS}, {.at = TEXT("/~2"),
                                      .kind = RKB_FILTER_EXISTS}};
    struct rkb_pointers *pointers = rkb_pointers_new();
    struct rkb_error error = {0};
    assert_null(rkb_filter_compile(specs, 2, pointers, &error));
    assert_int_equal(error.code, RKB_USAGE);
    assert_non_null(strstr(error.text, "filter 2 (at /~2)"));
    rkb_pointers_free(pointers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals),
        cmocka_unit_test(globs),
        cmocka_unit_test(existence),
        cmocka_unit_test(all_must_hold),
        cmocka_unit_test(a_bad_pointer_says_which_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
