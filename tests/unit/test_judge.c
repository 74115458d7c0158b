/* judge: the order of the checks, the codes, and what costs nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/json.h"
#include "message/judge.h"

#define TEXT(literal) (char *)(uintptr_t)literal

static const struct rkb_expect_spec not_negative = {
    .at = TEXT("/n"), .types = RKB_JSON_INTEGER, .min = TEXT("0"), .max_length = RKB_NO_LENGTH};
static const struct rkb_filter_spec no_tests = {.at = TEXT("/test"), .kind = RKB_FILTER_EXISTS, .exists = false};

static struct rkb_verdict judge(const struct rkb_judge_spec *spec, const char *payload)
{
    struct rkb_error error = {0};
    struct rkb_judge *made;
    struct rkb_pointers *pointers = rkb_pointers_new();
    if (!rkb_judge_compile(spec, pointers, &made, &error))
        fail_msg("%s", error.text);
    assert_true(rkb_judge_needs_json(made));
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_judge_facts facts = {.payload = rkb_slice_text(payload), .found = found};
    facts.is_json = rkb_pointers_find(pointers, facts.payload, RKB_JSON_DEPTH, found);
    struct rkb_verdict verdict = {.kind = RKB_DROPPED};
    rkb_judge(made, &facts, &verdict);
    rkb_judge_free(made);
    rkb_pointers_free(pointers);
    return verdict;
}

static void check_dead(const struct rkb_judge_spec *spec, const char *payload, const char *code, const char *reason)
{
    struct rkb_verdict verdict = judge(spec, payload);
    assert_int_equal(verdict.kind, RKB_REJECTED);
    assert_string_equal(verdict.code, code);
    assert_string_equal(verdict.reason, reason);
}

static void nothing_checked_is_no_judge(void **state)
{
    (void)state;
    struct rkb_judge *made = (struct rkb_judge *)(uintptr_t)1;
    struct rkb_pointers *pointers = rkb_pointers_new();
    assert_true(rkb_judge_compile(&(struct rkb_judge_spec){.require = RKB_REQUIRE_ANY}, pointers, &made, NULL));
    assert_null(made);
    assert_false(rkb_judge_needs_json(made));
    assert_int_equal(rkb_pointers_count(pointers), 0);
    struct rkb_verdict verdict = {.kind = RKB_DROPPED};
    rkb_judge(NULL, &(struct rkb_judge_facts){.payload = rkb_slice_text("x")}, &verdict);
    assert_int_equal(verdict.kind, RKB_PASS);
    rkb_judge_free(NULL);
    rkb_pointers_free(pointers);
}

static void require(void **state)
{
    (void)state;
    struct rkb_judge_spec json = {.require = RKB_REQUIRE_JSON}, object = {.require = RKB_REQUIRE_OBJECT};
    assert_int_equal(judge(&json, " [1] ").kind, RKB_PASS);
    assert_int_equal(judge(&json, "1").kind, RKB_PASS);
    check_dead(&json, "hello", "require", "not JSON");
    check_dead(&json, "", "require", "not JSON");
    assert_int_equal(judge(&object, "\n {\"a\":1}").kind, RKB_PASS);
    check_dead(&object, " [{}]", "require", "not an object");
    check_dead(&object, "\"{}\"", "require", "not an object");
    check_dead(&object, "{", "require", "not JSON");
}

static void filter_comes_before_all_else(void **state)
{
    (void)state;
    struct rkb_judge_spec spec = {.require = RKB_REQUIRE_OBJECT, .expects = &not_negative, .expect_count = 1,
                                  .filters = &no_tests, .filter_count = 1};
    assert_int_equal(judge(&spec, "{\"n\":1}").kind, RKB_PASS);
    assert_int_equal(judge(&spec, "{\"n\":-1,\"test\":true}").kind, RKB_FILTERED);
    check_dead(&spec, "{\"n\":-1}", "expect", "/n: below min 0");
    check_dead(&spec, "[]", "require", "not an object");
    check_dead(&spec, "no json", "require", "not JSON");
    spec.require = RKB_REQUIRE_ANY;
    check_dead(&spec, "no json", "expect", "/n: not there, as the payload is not JSON");
    check_dead(&spec, "[]", "expect", "/n: not there");
}

#define PRICED "{\"properties\": {\"price\": {\"minimum\": 0}}, \"required\": [\"price\"]}"

static void schema_comes_last(void **state)
{
    (void)state;
    struct rkb_judge_spec spec = {.expects = &not_negative, .expect_count = 1, .schema = rkb_slice_text(PRICED)};
    assert_int_equal(judge(&spec, " {\"n\":1,\"price\":0.5} ").kind, RKB_PASS);
    check_dead(&spec, "{\"n\":-1,\"price\":-1}", "expect", "/n: below min 0");
    struct rkb_verdict verdict = judge(&spec, "{\"n\":1,\"price\":-1}");
    assert_int_equal(verdict.kind, RKB_REJECTED);
    assert_string_equal(verdict.code, "schema");
    assert_non_null(strstr(verdict.reason, "/price: minimum"));
    spec = (struct rkb_judge_spec){.schema = rkb_slice_text(PRICED), .filters = &no_tests, .filter_count = 1};
    check_dead(&spec, "no json", "schema", "not JSON");
    assert_int_equal(judge(&spec, "{\"test\":1}").kind, RKB_FILTERED);
    spec = (struct rkb_judge_spec){.schema = rkb_slice_text(PRICED)};
    assert_int_equal(judge(&spec, "{\"price\":1e400}").kind, RKB_PASS);
    assert_int_equal(judge(&spec, "{}").kind, RKB_REJECTED);
}

/* What is nested deeper than the route allows is no JSON for it, whatever a schema would say. */
static void what_counts_as_json_is_told_by_the_facts(void **state)
{
    (void)state;
    struct rkb_judge_spec spec = {.schema = rkb_slice_text(PRICED)};
    struct rkb_pointers *pointers = rkb_pointers_new();
    struct rkb_judge *made;
    struct rkb_verdict verdict;
    assert_true(rkb_judge_compile(&spec, pointers, &made, NULL));
    rkb_judge(made, &(struct rkb_judge_facts){.payload = rkb_slice_text("{\"price\":1}")}, &verdict);
    assert_int_equal(verdict.kind, RKB_REJECTED);
    assert_string_equal(verdict.reason, "not JSON");
    rkb_judge_free(made);
    rkb_pointers_free(pointers);
}

static void one_judge_serves_many_messages(void **state)
{
    (void)state;
    struct rkb_expect_spec expect = {.at = TEXT("/s"), .pattern = TEXT("^b\\n"), .max_length = RKB_NO_LENGTH};
    struct rkb_judge_spec spec = {.expects = &expect, .expect_count = 1};
    struct rkb_error error;
    struct rkb_judge *made;
    struct rkb_pointers *pointers = rkb_pointers_new();
    assert_true(rkb_judge_compile(&spec, pointers, &made, &error));
    for (int i = 0; i < 1000; i++) {
        struct rkb_slice found[1];
        bool good = i % 3 == 0;
        struct rkb_slice payload = rkb_slice_text(good ? "{\"s\":\"b\\n\"}" : "{\"s\":\"\\nb\\nnnnnnnnnnnn\"}");
        struct rkb_judge_facts facts = {payload, rkb_pointers_find(pointers, payload, RKB_JSON_DEPTH, found), found};
        struct rkb_verdict verdict;
        rkb_judge(made, &facts, &verdict);
        assert_int_equal(verdict.kind, good ? RKB_PASS : RKB_REJECTED);
    }
    rkb_judge_free(made);
    rkb_pointers_free(pointers);
}

static void what_cannot_be_compiled_leaves_nothing(void **state)
{
    (void)state;
    struct rkb_expect_spec bad = {.at = TEXT("/s"), .pattern = TEXT("("), .max_length = RKB_NO_LENGTH};
    struct rkb_judge_spec spec = {.expects = &bad, .expect_count = 1, .filters = &no_tests, .filter_count = 1};
    struct rkb_error error = {0};
    struct rkb_judge *made = (struct rkb_judge *)(uintptr_t)1;
    struct rkb_pointers *pointers = rkb_pointers_new();
    assert_false(rkb_judge_compile(&spec, pointers, &made, &error));
    assert_null(made);
    assert_int_equal(error.code, RKB_USAGE);
    spec = (struct rkb_judge_spec){.schema = rkb_slice_text("{\n \"minimum\": true,\n \"maxLength\": -1}")};
    assert_false(rkb_judge_compile(&spec, pointers, &made, &error));
    assert_null(made);
    assert_int_equal(error.code, RKB_USAGE);
    assert_non_null(strstr(error.text, "the schema, 2:13: "));
    rkb_pointers_free(pointers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_checked_is_no_judge),
        cmocka_unit_test(require),
        cmocka_unit_test(filter_comes_before_all_else),
        cmocka_unit_test(schema_comes_last),
        cmocka_unit_test(what_counts_as_json_is_told_by_the_facts),
        cmocka_unit_test(one_judge_serves_many_messages),
        cmocka_unit_test(what_cannot_be_compiled_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
