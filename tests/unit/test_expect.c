/* expect: each rule with payloads that keep it and payloads that do not, and what the reason says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/expect.h"
#include "message/json.h"

#define AT(pointer) .at = (char *)(uintptr_t)pointer, .max_length = RKB_NO_LENGTH
#define TEXT(literal) (char *)(uintptr_t)literal

struct world {
    struct rkb_pointers *pointers;
    struct rkb_expect *expect;
    struct rkb_buffer room;
    char reason[200];
};

static void set_up(struct world *world, const struct rkb_expect_spec *specs, size_t count)
{
    struct rkb_error error = {0};
    *world = (struct world){.pointers = rkb_pointers_new()};
    world->expect = rkb_expect_compile(specs, count, world->pointers, &error);
    if (world->expect == NULL)
        fail_msg("%s", error.text);
}

static void tear_down(struct world *world)
{
    rkb_expect_free(world->expect);
    rkb_pointers_free(world->pointers);
    rkb_buffer_free(&world->room);
}

/* The reason, or NULL where all holds. */
static const char *look(struct world *world, const char *json)
{
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    bool is_json = rkb_pointers_find(world->pointers, rkb_slice_text(json), RKB_JSON_DEPTH, found);
    memset(world->reason, 0, sizeof world->reason);
    bool holds = rkb_expect_holds(world->expect, is_json ? found : NULL, &world->room, world->reason,
                                  sizeof world->reason);
    return holds ? NULL : world->reason;
}

struct sample {
    const char *json, *reason;      /* NULL: it holds */
};

static void check(const struct rkb_expect_spec *spec, const struct sample *samples, size_t count)
{
    struct world world;
    set_up(&world, spec, 1);
    for (size_t i = 0; i < count; i++) {
        const char *reason = look(&world, samples[i].json);
        if ((reason == NULL) != (samples[i].reason == NULL) ||
            (reason != NULL && strcmp(reason, samples[i].reason) != 0))
            fail_msg("%s: %s", samples[i].json, reason == NULL ? "holds" : reason);
    }
    tear_down(&world);
}

#define CHECK(spec, ...)                                                     \
    do {                                                                     \
        static const struct sample samples[] = {__VA_ARGS__};                \
        check(&(spec), samples, sizeof samples / sizeof samples[0]);         \
    } while (0)

static void what_is_not_there(void **state)
{
    (void)state;
    struct rkb_expect_spec there = {AT("/a/b")}, optional = {AT("/a"), .optional = true, .types = RKB_JSON_STRING};
    CHECK(there, {"{\"a\":{\"b\":null}}", NULL}, {"{\"a\":{}}", "/a/b: not there"}, {"[]", "/a/b: not there"},
          {"nonsense", "/a/b: not there, as the payload is not JSON"});
    CHECK(optional, {"{}", NULL}, {"nonsense", NULL}, {"{\"a\":\"x\"}", NULL},
          {"{\"a\":null}", "/a: not of type string"});
}

static void types(void **state)
{
    (void)state;
    struct rkb_expect_spec integer = {AT("/a"), .types = RKB_JSON_INTEGER};
    CHECK(integer, {"{\"a\":5}", NULL}, {"{\"a\":-1.0}", NULL}, {"{\"a\":1e400}", NULL},
          {"{\"a\":12345678901234567890}", NULL}, {"{\"a\":0.5}", "/a: not of type integer"},
          {"{\"a\":\"5\"}", "/a: not of type integer"}, {"{\"a\":null}", "/a: not of type integer"});
    struct rkb_expect_spec number = {AT("/a"), .types = RKB_JSON_NUMBER};
    CHECK(number, {"{\"a\":0.5}", NULL}, {"{\"a\":5}", NULL}, {"{\"a\":true}", "/a: not of type number"});
    struct rkb_expect_spec some = {AT("/a"), .types = RKB_JSON_STRING | RKB_JSON_INTEGER | RKB_JSON_NULL};
    CHECK(some, {"{\"a\":\"\"}", NULL}, {"{\"a\":null}", NULL}, {"{\"a\":7}", NULL},
          {"{\"a\":7.5}", "/a: not of type string or integer or null"},
          {"{\"a\":[]}", "/a: not of type string or integer or null"});
    struct rkb_expect_spec boolean = {AT("/a"), .types = RKB_JSON_BOOLEAN};
    CHECK(boolean, {"{\"a\":false}", NULL}, {"{\"a\":0}", "/a: not of type boolean"});
    struct rkb_expect_spec array = {AT("/a"), .types = RKB_JSON_ARRAY};
    CHECK(array, {"{\"a\":[]}", NULL}, {"{\"a\":{}}", "/a: not of type array"});
    struct rkb_expect_spec whole = {AT(""), .types = RKB_JSON_OBJECT};
    CHECK(whole, {" {} ", NULL}, {"[]", "the payload: not of type object"});
}

static void ranges_are_exact(void **state)
{
    (void)state;
    struct rkb_expect_spec min = {AT("/n"), .min = TEXT("0")};
    CHECK(min, {"{\"n\":0}", NULL}, {"{\"n\":-0.0}", NULL}, {"{\"n\":1e400}", NULL}, {"{\"n\":-1}", "/n: below min 0"},
          {"{\"n\":-1e-400}", "/n: below min 0"}, {"{\"n\":\"1\"}", "/n: no number, as min wants one"});
    struct rkb_expect_spec max = {AT("/n"), .max = TEXT("9007199254740993")};
    CHECK(max, {"{\"n\":9007199254740993}", NULL}, {"{\"n\":9007199254740992.9}", NULL},
          {"{\"n\":9007199254740993.1}", "/n: above max 9007199254740993"},
          {"{\"n\":9007199254740994}", "/n: above max 9007199254740993"},
          {"{\"n\":[1]}", "/n: no number, as max wants one"});
    struct rkb_expect_spec both = {AT("/n"), .types = RKB_JSON_INTEGER, .min = TEXT("-1.5"), .max = TEXT("1e2")};
    CHECK(both, {"{\"n\":-1}", NULL}, {"{\"n\":100}", NULL}, {"{\"n\":-2}", "/n: below min -1.5"},
          {"{\"n\":101}", "/n: above max 1e2"}, {"{\"n\":1.5}", "/n: not of type integer"});
}

static void lengths(void **state)
{
    (void)state;
    struct rkb_expect_spec two_to_three = {AT("/s"), .min_length = 2};
    two_to_three.max_length = 3;
    CHECK(two_to_three, {"{\"s\":\"ab\"}", NULL}, {"{\"s\":\"\xC3\xA9\xC3\xA9\xC3\xA9\"}", NULL},
          {"{\"s\":\"\\ud83d\\ude00\\n\"}", NULL}, {"{\"s\":\"\xF0\x9F\x98\x80\"}", "/s: shorter than min_length 2"},
          {"{\"s\":\"abcd\"}", "/s: longer than max_length 3"}, {"{\"s\":[1,[2,3,4,5]]}", NULL},
          {"{\"s\":[]}", "/s: shorter than min_length 2"}, {"{\"s\":[1,2,3,4]}", "/s: longer than max_length 3"},
          {"{\"s\":123}", "/s: no string or array, as min_length wants one"});
    struct rkb_expect_spec empty = {AT("/s")};
    empty.max_length = 0;
    CHECK(empty, {"{\"s\":\"\"}", NULL}, {"{\"s\":\"a\"}", "/s: longer than max_length 0"},
          {"{\"s\":{}}", "/s: no string or array, as max_length wants one"});
}

static void enums(void **state)
{
    (void)state;
    static struct rkb_literal values[] = {{TEXT("red"), false}, {TEXT("5"), false}, {TEXT("6"), true},
                                          {TEXT("null"), false}};
    struct rkb_expect_spec spec = {AT("/c"), .values = values, .value_count = 4};
    CHECK(spec, {"{\"c\":\"red\"}", NULL}, {"{\"c\":\"r\\u0065d\"}", NULL}, {"{\"c\":5.0}", NULL},
          {"{\"c\":\"6\"}", NULL}, {"{\"c\":null}", NULL}, {"{\"c\":6}", "/c: not in enum"},
          {"{\"c\":\"5\"}", "/c: not in enum"}, {"{\"c\":\"Red\"}", "/c: not in enum"},
          {"{\"c\":[]}", "/c: not in enum"});
}

static void patterns(void **state)
{
    (void)state;
    struct rkb_expect_spec spec = {AT("/product_code"), .pattern = TEXT("^[A-Z]{3}-[0-9]+$")};
    CHECK(spec, {"{\"product_code\":\"ABC-12\"}", NULL}, {"{\"product_code\":\"\\u0041BC\\u002d12\"}", NULL},
          {"{\"product_code\":\"ABC-\"}", "/product_code: does not match pattern ^[A-Z]{3}-[0-9]+$"},
          {"{\"product_code\":\"ABC-1\\u0000\"}", "/product_code: does not match pattern ^[A-Z]{3}-[0-9]+$"},
          {"{\"product_code\":\"ABC-12\\n\"}", "/product_code: does not match pattern ^[A-Z]{3}-[0-9]+$"},
          {"{\"product_code\":12}", "/product_code: no string, as pattern wants one"});
    struct rkb_expect_spec anywhere = {AT("/a"), .pattern = TEXT("b")};
    CHECK(anywhere, {"{\"a\":\"abc\"}", NULL}, {"{\"a\":\"\"}", "/a: does not match pattern b"});
    struct rkb_expect_spec newline = {AT("/a"), .pattern = TEXT("^a\\nb$")};
    CHECK(newline, {"{\"a\":\"a\\nb\"}", NULL}, {"{\"a\":\"a\\\\nb\"}", "/a: does not match pattern ^a\\nb$"});
    struct rkb_expect_spec hostile = {AT("/a"), .pattern = TEXT("(a+)+$")};
    CHECK(hostile, {"{\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}",
                    "/a: search given up, it takes too long: pattern (a+)+$"});
}

static void the_first_rule_that_fails_is_named(void **state)
{
    (void)state;
    struct rkb_expect_spec specs[] = {{AT("/n"), .types = RKB_JSON_INTEGER, .min = TEXT("0")},
                                      {AT("/code"), .pattern = TEXT("^[A-Z]+$")},
                                      {AT("/n"), .max = TEXT("9")}};
    struct world world;
    set_up(&world, specs, 3);
    assert_int_equal(rkb_pointers_count(world.pointers), 2);
    assert_null(look(&world, "{\"n\":9,\"code\":\"A\"}"));
    assert_string_equal(look(&world, "{\"n\":-1,\"code\":\"a\"}"), "/n: below min 0");
    assert_string_equal(look(&world, "{\"n\":10,\"code\":\"a\"}"), "/code: does not match pattern ^[A-Z]+$");
    assert_string_equal(look(&world, "{\"n\":10,\"code\":\"A\"}"), "/n: above max 9");
    /* Of keys that are there twice the last counts. */
    assert_string_equal(look(&world, "{\"n\":1,\"n\":-1,\"code\":\"A\"}"), "/n: below min 0");
    tear_down(&world);
}

static void a_long_rule_is_cut_in_the_reason(void **state)
{
    (void)state;
    char pointer[300], pattern[300];
    memset(pointer, 'p', sizeof pointer);
    memset(pattern, 'q', sizeof pattern);
    pointer[0] = '/';
    pointer[299] = pattern[299] = '\0';
    struct rkb_expect_spec spec = {.at = pointer, .max_length = RKB_NO_LENGTH, .pattern = pattern};
    struct world world;
    set_up(&world, &spec, 1);
    char json[320];
    snprintf(json, sizeof json, "{\"%s\":\"x\"}", pointer + 1);
    const char *reason = look(&world, json);
    assert_non_null(reason);
    assert_true(strlen(reason) < sizeof world.reason);
    assert_non_null(strstr(reason, ": does not match pattern qqq"));
    char small[8];
    assert_false(rkb_expect_holds(world.expect, NULL, &world.room, small, sizeof small));
    assert_string_equal(small, "/pppppp");
    tear_down(&world);
}

static void what_cannot_be_compiled_says_which_rule(void **state)
{
    (void)state;
    static const struct {
        struct rkb_expect_spec bad;
        const char *words;
    } cases[] = {
        {{AT("a")}, "begins with /"}, {{AT("/a"), .min = TEXT("x")}, "\"x\" is not a number"},
        {{AT("/a"), .max = TEXT("01")}, "\"01\" is not a number"}, {{AT("/a"), .pattern = TEXT("(")}, "offset 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_expect_spec specs[] = {{AT("/good"), .pattern = TEXT("x")}, cases[i].bad};
        struct rkb_pointers *pointers = rkb_pointers_new();
        struct rkb_error error = {0};
        assert_null(rkb_expect_compile(specs, 2, pointers, &error));
        assert_int_equal(error.code, RKB_USAGE);
        if (strstr(error.text, "rule 2") == NULL || strstr(error.text, cases[i].words) == NULL)
            fail_msg("%s", error.text);
        rkb_pointers_free(pointers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_there),
        cmocka_unit_test(types),
        cmocka_unit_test(ranges_are_exact),
        cmocka_unit_test(lengths),
        cmocka_unit_test(enums),
        cmocka_unit_test(patterns),
        cmocka_unit_test(the_first_rule_that_fails_is_named),
        cmocka_unit_test(a_long_rule_is_cut_in_the_reason),
        cmocka_unit_test(what_cannot_be_compiled_says_which_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
