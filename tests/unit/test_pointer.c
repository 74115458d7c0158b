/*
 * pointer: the examples of RFC 6901, duplicates, escapes, depth, and every cut of a document: never read behind the
 * end, never found in what is not JSON. Whether it is JSON is compared with json.h's own answer.
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
#include "message/pointer.h"

/* Searches exactly these bytes, so that a sanitizer sees a read behind the end. */
static bool find(const struct rkb_pointers *pointers, struct rkb_slice json, struct rkb_slice *found, char **copy)
{
    *copy = malloc(json.size > 0 ? json.size : 1);
    assert_non_null(*copy);
    memcpy(*copy, json.data, json.size);
    return rkb_pointers_find(pointers, rkb_slice(*copy, json.size), RKB_JSON_DEPTH, found);
}

/* What one pointer finds; NULL: nothing. */
static void expect(const char *json, const char *pointer, const char *wanted)
{
    struct rkb_error error;
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    char *copy;
    size_t place;
    struct rkb_pointers *pointers = rkb_pointers_new();
    assert_true(rkb_pointers_add(pointers, rkb_slice_text(pointer), &place, &error));
    assert_int_equal(place, 0);
    assert_int_equal(find(pointers, rkb_slice_text(json), found, &copy), rkb_json_valid(rkb_slice_text(json), NULL));
    if (wanted == NULL) {
        assert_null(found[0].data);
    } else {
        assert_non_null(found[0].data);
        assert_int_equal(found[0].size, strlen(wanted));
        assert_memory_equal(found[0].data, wanted, found[0].size);
    }
    free(copy);
    rkb_pointers_free(pointers);
}

/* The document of RFC 6901, section 5. */
static void test_the_standards_examples(void **state)
{
    static const char document[] = "{\"foo\": [\"bar\", \"baz\"], \"\": 0, \"a/b\": 1, \"c%d\": 2, \"e^f\": 3, "
                                   "\"g|h\": 4, \"i\\\\j\": 5, \"k\\\"l\": 6, \" \": 7, \"m~n\": 8}";
    (void)state;
    expect(document, "", document);
    expect(document, "/foo", "[\"bar\", \"baz\"]");
    expect(document, "/foo/0", "\"bar\"");
    expect(document, "/", "0");
    expect(document, "/a~1b", "1");
    expect(document, "/c%d", "2");
    expect(document, "/e^f", "3");
    expect(document, "/g|h", "4");
    expect(document, "/i\\j", "5");
    expect(document, "/k\"l", "6");
    expect(document, "/ ", "7");
    expect(document, "/m~0n", "8");
}

static void test_found_and_not(void **state)
{
    (void)state;
    expect(" { \"a\" : [ 1 , { \"b\" : 1e400 } ] } ", "/a/1/b", "1e400");
    expect("{\"a\": {\"b\": 12345678901234567890}}", "/a/b", "12345678901234567890");
    expect("{\"a\": [1, 2]}", "/a/2", NULL);
    expect("{\"a\": [1, 2]}", "/a/-", NULL);
    expect("{\"a\": [1, 2]}", "/a/01", NULL);
    expect("{\"a\": {\"0\": \"key\", \"01\": 2}}", "/a/0", "\"key\"");
    expect("{\"a\": {\"0\": \"key\", \"01\": 2}}", "/a/01", "2");
    expect("{\"a\": 7}", "/a/b", NULL);
    expect("{\"a\": null}", "/a", "null");
    expect("{\"ab\": 1}", "/a", NULL);
    expect("[]", "/0", NULL);
    expect("{}", "/a", NULL);
    expect("7", "/a", NULL);
    expect("7", "", "7");
    expect("{\"a\": 1} x", "/a", NULL);
    expect("{\"a\": 1, }", "/a", NULL);
    expect("{\"a\": 1 \"b\": 2}", "/a", NULL);
    expect("[1 2]", "/0", NULL);
    expect("[1, 2}", "/0", NULL);
    expect("", "/a", NULL);
}

static void test_keys_by_their_meaning(void **state)
{
    (void)state;
    expect("{\"\\u0069d\": 1}", "/id", "1");
    expect("{\"\\ud83d\\ude00\": 1}", "/\xF0\x9F\x98\x80", "1");
    expect("{\"a\\/b\": 1}", "/a~1b", "1");
    expect("{\"a\\tb\": 1}", "/a\tb", "1");
    expect("{\"\\u00e9\": 1}", "/\xC3\xA9", "1");
    expect("{\"i\\u0064x\": 1}", "/id", NULL);
    expect("{\"\\ud83d\": 1}", "/x", NULL);
}

static void test_the_last_of_two_counts(void **state)
{
    (void)state;
    expect("{\"a\": 1, \"a\": 2}", "/a", "2");
    expect("{\"a\": {\"b\": 1}, \"a\": {\"c\": 2}}", "/a/b", NULL);
    expect("{\"a\": {\"b\": 1}, \"\\u0061\": 3}", "/a/b", NULL);
    expect("{\"a\": 3, \"a\": {\"b\": 1}}", "/a/b", "1");
}

static void test_many_in_one_pass(void **state)
{
    static const char *const texts[] = {"/user/id", "/user/name", "/items/1", "/user", "/user/id", "/missing", ""};
    static const char *const wanted[] = {"7", "\"x\"", "[2]", "{\"id\": 7, \"name\": \"x\"}", NULL, "{"};
    static const char json[] = "{\"user\": {\"id\": 7, \"name\": \"x\"}, \"items\": [1, [2], 3]}";
    static const size_t places[] = {0, 1, 2, 3, 0, 4, 5};
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_error error;
    char *copy;
    (void)state;
    struct rkb_pointers *pointers = rkb_pointers_new();
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t place;
        assert_true(rkb_pointers_add(pointers, rkb_slice_text(texts[i]), &place, &error));
        assert_int_equal(place, places[i]);
    }
    assert_int_equal(rkb_pointers_count(pointers), 6);
    assert_true(find(pointers, rkb_slice_text(json), found, &copy));
    for (size_t i = 0; i < 6; i++) {
        if (wanted[i] == NULL)
            assert_null(found[i].data);
        else
            assert_memory_equal(found[i].data, wanted[i], strlen(wanted[i]));
    }
    assert_int_equal(found[5].size, strlen(json));
    free(copy);
    rkb_pointers_free(pointers);
}

/* Cut anywhere, and with any byte changed: JSON by this scan just when it is by the other. */
static void test_every_cut_and_change(void **state)
{
    static const char json[] = "{\"a\": [{\"b\": [1, -2.5e3, true]}, \"\\u0061x\"], "
                               "\"c\": {\"d\": null, \"e\": [[], {}]}} ";
    static const char *const texts[] = {"/a/0/b/1", "/c/e/0", "/c/d", "/a/1", "/c/e/1/x"};
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_error error;
    struct rkb_pointers *pointers = rkb_pointers_new();
    char *copy;
    (void)state;
    for (size_t i = 0, place; i < sizeof texts / sizeof texts[0]; i++)
        assert_true(rkb_pointers_add(pointers, rkb_slice_text(texts[i]), &place, &error));
    for (size_t size = 0; size < sizeof json; size++) {
        struct rkb_slice cut = rkb_slice(json, size);
        assert_int_equal(find(pointers, cut, found, &copy), rkb_json_valid(cut, NULL));
        free(copy);
    }
    char changed[sizeof json];
    for (size_t at = 0; at < sizeof json - 1; at++) {
        for (int byte = 0; byte < 256; byte++) {
            memcpy(changed, json, sizeof json);
            changed[at] = (char)byte;
            struct rkb_slice text = rkb_slice(changed, sizeof json - 1);
            bool valid = find(pointers, text, found, &copy);
            assert_int_equal(valid, rkb_json_valid(text, NULL));
            for (size_t i = 0; !valid && i < rkb_pointers_count(pointers); i++)
                assert_null(found[i].data);
            free(copy);
        }
    }
    rkb_pointers_free(pointers);
}

/* [[[...]]] is as deep as it is, whether a pointer leads inside or not. */
static void test_depth(void **state)
{
    static const char *const texts[] = {"/0/0/0/0", "/x", ""};
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_error error;
    char deep[2 * 600];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t place;
        struct rkb_pointers *pointers = rkb_pointers_new();
        assert_true(rkb_pointers_add(pointers, rkb_slice_text(texts[i]), &place, &error));
        for (size_t depth = 1; depth < 600; depth += depth < 10 || (depth > 505 && depth < 520) ? 1 : 9) {
            memset(deep, '[', depth);
            memset(deep + depth, ']', depth);
            struct rkb_slice json = rkb_slice(deep, 2 * depth);
            assert_int_equal(rkb_pointers_find(pointers, json, 4, found), depth <= 4);
            assert_int_equal(rkb_pointers_find(pointers, json, 1000, found), depth <= RKB_JSON_DEPTH);
        }
        rkb_pointers_free(pointers);
    }
}

static void refuse(const char *text, const char *words)
{
    struct rkb_error error;
    size_t place;
    struct rkb_pointers *pointers = rkb_pointers_new();
    assert_false(rkb_pointers_add(pointers, rkb_slice_text(text), &place, &error));
    assert_int_equal(error.code, RKB_USAGE);
    assert_non_null(strstr(error.text, words));
    rkb_pointers_free(pointers);
}

static void test_no_pointers(void **state)
{
    char deep[2 * (RKB_POINTER_TOKENS + 1) + 1] = "";
    (void)state;
    refuse("user", "begins with /");
    refuse("/a~b", "~0");
    refuse("/a~", "~0");
    for (int i = 0; i <= RKB_POINTER_TOKENS; i++)
        strcat(deep, "/a");
    refuse(deep, "tokens");
}

static void test_too_many(void **state)
{
    struct rkb_error error;
    struct rkb_pointers *pointers = rkb_pointers_new();
    char text[16];
    size_t place;
    (void)state;
    for (int i = 0; i < RKB_POINTERS_LIMIT; i++) {
        snprintf(text, sizeof text, "/%d", i);
        assert_true(rkb_pointers_add(pointers, rkb_slice_text(text), &place, &error));
    }
    assert_false(rkb_pointers_add(pointers, rkb_slice_text("/one/more"), &place, &error));
    assert_true(rkb_pointers_add(pointers, rkb_slice_text("/7"), &place, &error));
    assert_int_equal(place, 7);
    rkb_pointers_free(pointers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_standards_examples),
        cmocka_unit_test(test_found_and_not),
        cmocka_unit_test(test_keys_by_their_meaning),
        cmocka_unit_test(test_the_last_of_two_counts),
        cmocka_unit_test(test_many_in_one_pass),
        cmocka_unit_test(test_every_cut_and_change),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_no_pointers),
        cmocka_unit_test(test_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
