/* rules: what payloads are taken for, and what becomes of a message when its templates find nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/json.h"
#include "message/rules.h"

static struct rkb_rules *compile(const struct rkb_rules_spec *spec)
{
    struct rkb_envelope_mistake mistake;
    struct rkb_error error = {.text = ""};
    struct rkb_rules *rules = rkb_rules_compile(spec, &mistake, &error);
    if (rules == NULL)
        fail_msg("%s", error.text);
    return rules;
}

static struct rkb_verdict apply(const struct rkb_rules *rules, struct rkb_slice payload, struct rkb_facts *facts,
                                struct rkb_slice *found)
{
    struct rkb_verdict verdict;
    *facts = (struct rkb_facts){.payload = payload};
    rkb_rules_apply(rules, facts, found, &verdict);
    return verdict;
}

#define NO (-1)

/* auto, json, text, base64: the encoding, or NO: a dead letter. */
static void test_what_a_payload_is(void **state)
{
    static const struct {
        struct rkb_slice payload;
        int of[4];
    } cases[] = {
        {{(const uint8_t *)"{\"a\":1}", 7},
         {RKB_ENCODING_JSON, RKB_ENCODING_JSON, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
        {{(const uint8_t *)" 1e400 ", 7},
         {RKB_ENCODING_JSON, RKB_ENCODING_JSON, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
        {{(const uint8_t *)"hello", 5}, {RKB_ENCODING_TEXT, NO, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
        {{(const uint8_t *)"", 0}, {RKB_ENCODING_TEXT, NO, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
        {{NULL, 0}, {RKB_ENCODING_TEXT, NO, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
        {{(const uint8_t *)"a\0b", 3}, {RKB_ENCODING_TEXT, NO, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
        {{(const uint8_t *)"\xEF\xBB\xBF{}", 5}, {RKB_ENCODING_TEXT, NO, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
        {{(const uint8_t *)"\"\xFF\"", 3}, {RKB_ENCODING_BASE64, NO, NO, RKB_ENCODING_BASE64}},
        {{(const uint8_t *)"[[[]]]", 6}, {RKB_ENCODING_TEXT, NO, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64}},
    };
    (void)state;
    for (int kind = RKB_PAYLOAD_AUTO; kind <= RKB_PAYLOAD_BASE64; kind++) {
        struct rkb_rules_spec spec = {
            .envelope = {.preset = "raw"}, .payload = (enum rkb_payload_kind)kind, .depth = 2};
        struct rkb_rules *rules = compile(&spec);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct rkb_facts facts;
            struct rkb_slice found[RKB_POINTERS_LIMIT];
            struct rkb_verdict verdict = apply(rules, cases[i].payload, &facts, found);
            assert_int_equal(verdict.kind, cases[i].of[kind] == NO ? RKB_REJECTED : RKB_PASS);
            if (cases[i].of[kind] != NO)
                assert_int_equal(facts.encoding, cases[i].of[kind]);
            else
                assert_string_equal(verdict.code, "payload");
        }
        rkb_rules_free(rules);
    }
}

/* Of any template: value, key, topic, header; null in the payload is no miss. */
static void test_missing(void **state)
{
    static const struct rkb_envelope_header header = {"h", "{{payload:/h}}"};
    static const struct {
        const char *payload;
        const char *missing;        /* NULL: nothing */
    } cases[] = {
        {"{\"v\": 1, \"k\": 2, \"t\": 3, \"h\": 4}", NULL}, {"{\"v\": null, \"k\": 2, \"t\": 3, \"h\": 4}", NULL},
        {"{\"k\": 2, \"t\": 3, \"h\": 4}", "/v"}, {"{\"v\": 1, \"t\": 3, \"h\": 4}", "/k"},
        {"{\"v\": 1, \"k\": 2, \"h\": 4}", "/t"}, {"{\"v\": 1, \"k\": 2, \"t\": 3}", "/h"}, {"no JSON", "/v"},
    };
    (void)state;
    for (int missing = RKB_MISSING_NULL; missing <= RKB_MISSING_DEAD_LETTER; missing++) {
        struct rkb_rules_spec spec = {
            .envelope = {.value = "[\"{{payload:/v}}\"]", .key = "{{payload:/k}}", .topic = "t{{payload:/t}}",
                         .headers = &header, .header_count = 1},
            .missing = (enum rkb_missing)missing,
            .depth = RKB_JSON_DEPTH,
        };
        struct rkb_rules *rules = compile(&spec);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            struct rkb_facts facts;
            struct rkb_slice found[RKB_POINTERS_LIMIT];
            struct rkb_verdict verdict = apply(rules, rkb_slice_text(cases[i].payload), &facts, found);
            bool misses = cases[i].missing != NULL && missing != RKB_MISSING_NULL;
            assert_int_equal(verdict.kind, !misses ? RKB_PASS
                             : missing == RKB_MISSING_DROP ? RKB_DROPPED : RKB_REJECTED);
            if (misses) {
                assert_string_equal(verdict.code, "missing");
                assert_memory_equal(verdict.reason, cases[i].missing, strlen(cases[i].missing));
            }
        }
        rkb_rules_free(rules);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_payload_is),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
