/* merge: where ours stand, what is cut and told, and back; attributes of CloudEvents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/attribute.h"
#include "message/merge.h"
#include "message/rules.h"

#define UUID "01a0c450-6c00-7000-8001-7ef5d20f7c56"
#define TIME "2026-09-21T14:13:20.123Z"
/* Ours, without the braces. */
#define ID "\"id\":\"" UUID "\""
#define CHANNEL "\"channel\":\"c\""
#define AT "\"time\":\"" TIME "\""
#define OURS ID "," CHANNEL "," AT

static struct rkb_name_forms forms(const char *text)
{
    return (struct rkb_name_forms){rkb_slice_text(text), rkb_slice_text(text)};
}

struct merged {
    struct rkb_verdict verdict;
    struct rkb_merge merge;
    char value[600], note[300];
};

static void merge(const char *payload, enum rkb_when_taken when_taken, struct merged *merged)
{
    struct rkb_rules_spec spec = {
        .envelope = {.preset = "merge", .when_taken = when_taken,
                     .scope = {.route = forms("r"), .source = forms("s"), .instance = forms("i")}},
        .depth = 512};
    struct rkb_envelope_mistake mistake;
    struct rkb_error error;
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_facts facts = {.channel = forms("c"), .payload = rkb_slice_text(payload)};
    struct rkb_rules *rules = rkb_rules_compile(&spec, &mistake, &error);
    assert_non_null(rules);
    memcpy(facts.uuid, UUID, RKB_UUID_TEXT);
    memcpy(facts.time, TIME, sizeof facts.time);
    memset(merged, 0, sizeof *merged);
    rkb_rules_apply(rules, &facts, found, &merged->verdict);
    merged->merge = *facts.merge;
    if (merged->verdict.kind == RKB_PASS && merged->merge.object) {
        size_t size = rkb_merge_size(facts.merge, &facts);
        assert_in_range(size, 2, sizeof merged->value - 1);
        assert_ptr_equal(rkb_merge_write(facts.merge, &facts, (uint8_t *)merged->value), merged->value + size);
    }
    size_t size = rkb_merge_note_size(facts.merge);
    assert_in_range(size, 0, sizeof merged->note - 1);
    if (merged->verdict.kind == RKB_PASS && size > 0)
        assert_ptr_equal(rkb_merge_note_write(facts.merge, &facts, (uint8_t *)merged->note), merged->note + size);
    rkb_rules_free(rules);
}

static void check(const char *payload, enum rkb_when_taken when_taken, const char *value, const char *note)
{
    struct merged merged;
    struct rkb_buffer back = {0};
    merge(payload, when_taken, &merged);
    assert_int_equal(merged.verdict.kind, RKB_PASS);
    assert_string_equal(merged.value, value);
    assert_string_equal(merged.note, note);
    assert_true(rkb_merge_inverse(rkb_slice_text(merged.value), rkb_slice_text(merged.note), &back));
    assert_true(rkb_slice_equal(rkb_slice(back.data, back.size), rkb_slice_text(payload)));
    rkb_buffer_free(&back);
}

static void ours_stand_first(void **state)
{
    (void)state;
    check("{}", RKB_TAKEN_KEEP, "{" OURS "}", "");
    check(" { \n} ", RKB_TAKEN_KEEP, " {" OURS " \n} ", "");
    check("{\"a\":1e400, \"a\":2}", RKB_TAKEN_OVERWRITE, "{" OURS ",\"a\":1e400, \"a\":2}", "");
    check("\t{\r\n \"a\" : [ ] }\n", RKB_TAKEN_DEAD_LETTER, "\t{" OURS ",\r\n \"a\" : [ ] }\n", "");
    /* not at the top */
    check("{\"a\":{\"id\":1}}", RKB_TAKEN_DEAD_LETTER, "{" OURS ",\"a\":{\"id\":1}}", "");
    check("{\"ID\":1,\"id \":2}", RKB_TAKEN_DEAD_LETTER, "{" OURS ",\"ID\":1,\"id \":2}", "");
}

static void kept(void **state)
{
    (void)state;
    check("{\"id\":1}", RKB_TAKEN_KEEP, "{" CHANNEL "," AT ",\"id\":1}", "kept id");
    check("{\"\\u0069d\":null}", RKB_TAKEN_KEEP, "{" CHANNEL "," AT ",\"\\u0069d\":null}", "kept id");
    check("{\"time\":1,\"channel\":2}", RKB_TAKEN_KEEP, "{" ID ",\"time\":1,\"channel\":2}", "kept channel time");
    check(" {\"time\":1,\"channel\":2,\"id\":3} ", RKB_TAKEN_KEEP, " {\"time\":1,\"channel\":2,\"id\":3} ",
          "kept id channel time");
}

static void cut(void **state)
{
    (void)state;
    check("{\"id\":1}", RKB_TAKEN_OVERWRITE, "{" OURS "}", "cut 1:6:\"id\":1");
    check("{ \"id\" : 1 }", RKB_TAKEN_OVERWRITE, "{" OURS "  }", "cut 2:8:\"id\" : 1");
    check("{\"a\": 1, \"id\": 2, \"b\": 3}", RKB_TAKEN_OVERWRITE, "{" OURS ",\"a\": 1, \"b\": 3}",
          "cut 7:9:, \"id\": 2");
    check("{\"id\": 2 , \"a\": 1}", RKB_TAKEN_OVERWRITE, "{" OURS ", \"a\": 1}", "cut 1:9:\"id\": 2 ,");
    check("{\"id\":[1,{}],\"time\":{\"id\":2}}", RKB_TAKEN_OVERWRITE, "{" OURS "}",
          "cut 1:12:\"id\":[1,{}], 13:15:\"time\":{\"id\":2}");
    check("{\"id\":1,\"a\":2,\"i\\u0064\":3,\"id\":4}", RKB_TAKEN_OVERWRITE, "{" OURS ",\"a\":2}",
          "cut 1:7:\"id\":1, 13:12:,\"i\\u0064\":3 25:7:,\"id\":4");
    check("{\"id\":1,\"id\":2,\"id\":3,\"id\":4,\"id\":5,\"id\":6,\"id\":7,\"time\":8}", RKB_TAKEN_OVERWRITE,
          "{" OURS "}",
          "cut 1:7:\"id\":1, 8:7:\"id\":2, 15:7:\"id\":3, 22:7:\"id\":4, 29:7:\"id\":5, 36:7:\"id\":6, "
          "43:7:\"id\":7, 50:8:\"time\":8");
}

static void what_is_rejected(void **state)
{
    static const struct {
        const char *payload, *reason;
        enum rkb_when_taken when_taken;
    } cases[] = {
        {"{\"a\":1,\"id\":2}", "/id: the payload has this member itself, and when_taken is dead_letter",
         RKB_TAKEN_DEAD_LETTER},
        {"{\"\\u0074ime\":1,\"channel\":2}",
         "/channel: the payload has this member itself, and when_taken is dead_letter", RKB_TAKEN_DEAD_LETTER},
        {"{\"time\":null}", "/time: the payload has this member itself, and when_taken is dead_letter",
         RKB_TAKEN_DEAD_LETTER},
        {"{\"id\":1,\"id\":2,\"id\":3,\"id\":4,\"id\":5,\"id\":6,\"id\":7,\"id\":8,\"id\":9}",
         "/id: the payload has more than 8 members named id, channel or time", RKB_TAKEN_OVERWRITE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct merged merged;
        merge(cases[i].payload, cases[i].when_taken, &merged);
        assert_int_equal(merged.verdict.kind, RKB_REJECTED);
        assert_string_equal(merged.verdict.code, "merge");
        assert_string_equal(merged.verdict.reason, cases[i].reason);
    }
}

/* What was said before of a message is not said otherwise. */
static void merging_comes_last(void **state)
{
    struct rkb_rules_spec spec = {
        .envelope = {.preset = "merge", .when_taken = RKB_TAKEN_DEAD_LETTER, .key = "{{payload:/nope}}",
                     .scope = {.route = forms("r"), .source = forms("s"), .instance = forms("i")}},
        .missing = RKB_MISSING_DROP, .depth = 512};
    struct rkb_envelope_mistake mistake;
    struct rkb_error error;
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_facts facts = {.channel = forms("c"), .payload = rkb_slice_text("{\"id\":1}")};
    struct rkb_verdict verdict;
    struct rkb_rules *rules = rkb_rules_compile(&spec, &mistake, &error);
    (void)state;
    assert_non_null(rules);
    rkb_rules_apply(rules, &facts, found, &verdict);
    assert_int_equal(verdict.kind, RKB_DROPPED);
    assert_string_equal(verdict.code, "missing");
    rkb_rules_free(rules);
}

static void what_is_no_object(void **state)
{
    static const char *const payloads[] = {"[1]", " 7 ", "null", "\"{}\"", "hello", ""};
    (void)state;
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        struct merged merged;
        merge(payloads[i], RKB_TAKEN_DEAD_LETTER, &merged);
        assert_int_equal(merged.verdict.kind, RKB_PASS);
        assert_false(merged.merge.object);
        assert_string_equal(merged.note, i < 4 ? "member" : "");
    }
}

static void value_and_header_that_do_not_belong_together(void **state)
{
    static const char *const cases[][2] = {
        {"", ""}, {"[]", ""}, {"{}", ""}, {"{\"id\":1," CHANNEL "," AT "}", ""}, {"{" OURS "}", "kept id"},
        {"{" OURS "}", "kept time id"}, {"{" OURS "}", "keep"}, {"{" OURS "}", "cut 1"}, {"{" OURS "}", "cut 1:"},
        {"{" OURS "}", "cut 1:5"}, {"{" OURS "}", "cut 1:5:abcd"}, {"{" OURS "}", "cut 0:1:a"},
        {"{" OURS "}", "cut 3:1:a"}, {"{" OURS "}", "cut 1:1:a 1:1:b"}, {"{" OURS "}", "cut 1:1:ax"},
        {"{" OURS "}", "cut 99999999999999999999:1:a"}, {"{" OURS "}", "cut 1:999999999999999:a"},
        {"{" ID "," CHANNEL ",\"time\":\"", ""}, {"{" ID CHANNEL, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_buffer back = {0};
        rkb_buffer_text(&back, "x");
        if (rkb_merge_inverse(rkb_slice_text(cases[i][0]), rkb_slice_text(cases[i][1]), &back))
            fail_msg("%s with %s gave %.*s", cases[i][0], cases[i][1], (int)back.size, (const char *)back.data);
        assert_int_equal(back.size, 1);
        rkb_buffer_free(&back);
    }
}

#define FFFD "\xEF\xBF\xBD"

static void attributes(void **state)
{
    static const struct {
        const char *text, *plain, *json;
    } cases[] = {
        {"user.created", "user.created", "user.created"}, {"", "", ""}, {"a\"b\\c", "a\"b\\c", "a\\\"b\\\\c"},
        {"\x01" "a\x1F\x7F", FFFD "a" FFFD FFFD, NULL}, {"\xC2\x80\xC2\x9F\xC2\xA0", FFFD FFFD "\xC2\xA0", NULL},
        {"\xEF\xB7\x8F\xEF\xB7\x90\xEF\xB7\xAF\xEF\xB7\xB0", "\xEF\xB7\x8F" FFFD FFFD "\xEF\xB7\xB0", NULL},
        {"\xEF\xBF\xBD\xEF\xBF\xBE\xEF\xBF\xBF", FFFD FFFD FFFD, NULL},
        {"\xF0\x9F\xBF\xBE\xF4\x8F\xBF\xBF\xF0\x9F\xBF\xBD\xF0\x9F\x98\xBF",
         FFFD FFFD "\xF0\x9F\xBF\xBD\xF0\x9F\x98\xBF", NULL},
        {"\xF0\x90\xBF\xBE\xF0\xAF\xBF\xBF", "\xF0\x90\xBF\xBE" FFFD, NULL},
        {"\xFF\xE2\x82" "a\xED\xA0\x80", FFFD FFFD "a" FFFD FFFD FFFD, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int json = 0; json < 2; json++) {
            const char *wanted = json && cases[i].json != NULL ? cases[i].json : cases[i].plain;
            struct rkb_attribute attribute = {.text = rkb_slice_text(cases[i].text), .json = json};
            uint8_t out[64] = {0};
            assert_int_equal(rkb_attribute_size(&attribute), strlen(wanted));
            assert_ptr_equal(rkb_attribute_write(&attribute, out), out + strlen(wanted));
            assert_string_equal((char *)out, wanted);
        }
        assert_int_equal(rkb_attribute_allows(rkb_slice_text(cases[i].text)), i < 3);
    }
    struct rkb_attribute escaped = {
        .text = rkb_slice_text("a\\u0000\\n\\u0085\\ud800\\\"\\ud83d\\ude00"), .escaped = true};
    uint8_t out[64] = {0};
    rkb_attribute_write(&escaped, out);
    assert_string_equal((char *)out, "a" FFFD FFFD FFFD FFFD "\"\xF0\x9F\x98\x80");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_stand_first), cmocka_unit_test(kept), cmocka_unit_test(cut),
        cmocka_unit_test(what_is_rejected), cmocka_unit_test(merging_comes_last),
        cmocka_unit_test(what_is_no_object),
        cmocka_unit_test(value_and_header_that_do_not_belong_together), cmocka_unit_test(attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
