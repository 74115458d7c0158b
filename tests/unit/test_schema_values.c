/* schema: values and keys of all sorts; payloads and schemas made to take for ever, or to be no JSON at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/document.h"
#include "schema_support.h"

static void numbers_are_what_they_are_written(void **state)
{
    (void)state;
    assert_true(holds("{'type': 'integer'}", "1.0"));
    assert_true(holds("{'type': 'integer'}", "1e400"));
    assert_true(holds("{'type': 'integer'}", "-0"));
    assert_false(holds("{'type': 'integer'}", "1e-400"));
    assert_false(holds("{'type': 'integer'}", "12345678901234567890.5"));
    assert_true(holds("{'type': ['integer', 'string']}", "10E1"));
    assert_true(holds("{'const': 1}", "1.0"));
    assert_true(holds("{'const': 1e400}", "10e399"));
    assert_false(holds("{'const': 12345678901234567890}", "12345678901234567891"));
    assert_false(holds("{'const': 9007199254740993}", "9007199254740992"));
    assert_true(holds("{'const': 0}", "-0.0"));
    assert_false(holds("{'enum': [0, 1]}", "false"));
    assert_false(holds("{'enum': [[1, 2]]}", "[1]"));
    assert_false(holds("{'enum': [[1, 2]]}", "[1, 2, 3]"));
    assert_true(holds("{'enum': ['x', {'a': [1.0]}]}", "{'a': [1]}"));
    assert_false(holds("{'maximum': 1e400}", "1.1e400"));
    assert_true(holds("{'maximum': 1e400}", "1e400"));
    assert_true(holds("{'minimum': -0.1}", "-0.1"));
    assert_false(holds("{'minimum': -0.1}", "-0.10000000000000000000000000001"));
    assert_true(holds("{'exclusiveMinimum': 0}", "1e-99999999999999999999999"));
    assert_false(holds("{'exclusiveMinimum': 0}", "-1e-99999999999999999999999"));
    assert_true(holds("{'multipleOf': 0.01}", "4.35"));
    assert_false(holds("{'multipleOf': 3}", "1e400"));
    assert_false(holds("{'uniqueItems': true}", "[1, 2, 1.0]"));
    assert_true(holds("{'uniqueItems': true}", "[1, true, '1', [1], {'a': 1}, null, 'null']"));
    assert_true(holds("{'maxLength': 1e30}", "'abc'"));
    assert_true(holds("{'maxLength': 1e64}", "'abc'"));
    assert_true(holds("{'maxLength': 3.0}", "'abc'"));
    assert_false(holds("{'maxLength': 2e0}", "'abc'"));
    assert_false(holds("{'minItems': 1e30}", "[1, 2]"));
    assert_false(holds("{'minItems': 1e99999999999999999999}", "[1, 2]"));
    assert_true(holds("{'maxItems': 20e-1}", "[1, 2]"));
    assert_false(holds("{'maxItems': 0.01e3}", "[1,2,3,4,5,6,7,8,9,10,11]"));
}

static void lengths_count_characters(void **state)
{
    (void)state;
    assert_true(holds("{'minLength': 2, 'maxLength': 2}", "'\xC3\xA9\xF0\x9F\x98\x80'"));
    assert_true(holds("{'minLength': 2, 'maxLength': 2}", "'\\u00e9\\ud83d\\ude00'"));
    assert_true(holds("{'minLength': 1, 'maxLength': 1}", "'\\ud800'"));
    assert_true(holds("{'minLength': 3, 'maxLength': 3}", "'\\ude00\\ud83da'"));
    assert_true(holds("{'minLength': 1, 'maxLength': 1}", "'\\u0000'"));
    assert_false(holds("{'minLength': 4}", "'\xF0\x9F\x98\x80\xF0\x9F\x98\x80\xF0\x9F\x98\x80'"));
    assert_true(holds("{'const': '\xC3\xA9\\n'}", "'\\u00E9\\u000a'"));
    assert_true(holds("{'pattern': '^\\\\uFFFD$'}", "'\\ud800'"));
    assert_false(holds("{'pattern': '^[a-z]+$'}", "'abc\\n'"));
    assert_true(holds("{'pattern': 'b'}", "'abc'"));
    assert_true(holds("{'pattern': '^\\\\u00e9$'}", "'\xC3\xA9'"));
}

static void of_keys_that_stand_twice_the_last_counts(void **state)
{
    (void)state;
    const char *schema = "{'properties': {'a': {'type': 'integer'}}, 'maxProperties': 1, 'required': ['a'],"
                         " 'additionalProperties': false}";
    assert_true(holds(schema, "{'a': '', 'a': 1}"));
    assert_false(holds(schema, "{'a': 1, 'a': ''}"));
    assert_true(holds(schema, "{'a': {'a': 1}, '\\u0061': '', 'a': 1}"));
    assert_true(holds("{'const': {'a': 1}}", "{'a': 2, 'a': 1}"));
    assert_false(holds("{'const': {'a': 2}}", "{'a': 2, 'a': 1}"));
    assert_true(holds("{'const': {'a': 1, 'b': 2, 'c': 3}}", "{'c': 9, 'b': 2, 'a': 1, 'c': 3}"));
    assert_true(holds("{'propertyNames': {'maxLength': 1}, 'minProperties': 1}", "{'a': 2, 'a': 1}"));
    assert_false(holds("{'minProperties': 2}", "{'a': 2, 'a': 1}"));
    assert_false(holds("{'uniqueItems': true}", "[{'a': 2, 'a': 1}, {'a': 1}]"));
    assert_true(holds("{'dependencies': {'a': ['b']}}", "{'a': 2, 'b': 1, 'b': 2}"));

    /* Many members are compared by a table. */
    struct rkb_buffer json = {0};
    rkb_buffer_text(&json, "{'a': 0");
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < 200; i++)
            rkb_buffer_format(&json, ", 'k%d': %s", i, round < 2 ? "''" : "7");
    rkb_buffer_text(&json, "}");
    rkb_buffer_add(&json, "", 1);
    const char *many = "{'additionalProperties': {'type': 'integer'}, 'minProperties': 201, 'maxProperties': 201}";
    assert_true(holds(many, (const char *)json.data));
    rkb_buffer_free(&json);
}

static void members(void **state)
{
    (void)state;
    const char *schema = "{'properties': {'a': {'minimum': 3}}, 'patternProperties': {'^a': {'maximum': 5},"
                         " 'z$': {'type': 'integer'}}, 'additionalProperties': {'type': 'null'},"
                         " 'required': ['q']}";
    assert_true(holds(schema, "{'q': null, 'a': 4, 'ab': 1, 'az': 2, 'z': 100}"));
    assert_false(holds(schema, "{'q': null, 'a': 2}"));
    assert_false(holds(schema, "{'q': null, 'a': 6}"));
    assert_false(holds(schema, "{'q': null, 'az': 1.5}"));
    assert_false(holds(schema, "{'q': 1}"));
    assert_false(holds(schema, "{'Q': null}"));
    assert_true(holds(schema, "[]"));
    assert_true(holds("{'properties': {'': {'type': 'null'}}, 'required': ['']}", "{'': null}"));
    assert_false(holds("{'properties': {'': {'type': 'null'}}, 'required': ['']}", "{'\\u0000': null}"));
    assert_true(holds("{'required': ['caf\xC3\xA9']}", "{'caf\\u00e9': 1}"));
    assert_true(holds("{'required': ['a\\u0000b']}", "{'a\\u0000b': 1}"));
    assert_false(holds("{'required': ['a\\u0000b']}", "{'a\\u0000c': 1}"));
    assert_false(holds("{'if': {'properties': {'a': {'const': 1}}}, 'then': false}", "{'a': 1}"));
    assert_true(holds("{'if': {'properties': {'a': {'const': 1}}}, 'then': false}", "{'a': 2}"));
}

static void unique_among_many(void **state)
{
    (void)state;
    struct rkb_buffer json = {0};
    rkb_buffer_text(&json, "[0");
    for (int i = 1; i < 3000; i++)
        rkb_buffer_format(&json, ", %s%d%s", i % 3 == 0 ? "'" : i % 3 == 1 ? "{'a': 1, 'b': [" : "", i,
                          i % 3 == 0 ? "'" : i % 3 == 1 ? "]}" : "");
    size_t unique = json.size;
    static const char *const twins[] = {"'1500'", "{'b': [1e0], 'a': 1}", "{'a': 7, 'b': [1], 'a': 1}",
                                         "2.0", "0.0"};
    rkb_buffer_text(&json, "]");
    rkb_buffer_add(&json, "", 1);
    assert_true(holds("{'uniqueItems': true}", (const char *)json.data));
    assert_true(holds("{'uniqueItems': false}", "[1, 1]"));
    for (size_t i = 0; i < sizeof twins / sizeof *twins; i++) {
        json.size = unique;
        rkb_buffer_format(&json, ", %s]", twins[i]);
        rkb_buffer_add(&json, "", 1);
        if (holds("{'uniqueItems': true}", (const char *)json.data))
            fail_msg("%s stands there twice", twins[i]);
    }
    rkb_buffer_free(&json);
}

/* ---- bounds ---- */


static void deep_payloads(void **state)
{
    (void)state;
    const char *chain = "{'properties': {'a': {'$ref': '#'}}, 'allOf': [{'anyOf': [{'required': ['a']},"
                        " {'maxProperties': 0}]}]}";
    struct rkb_buffer json = {0};
    repeat(&json, "{'a': ", 511);
    rkb_buffer_text(&json, "{}");
    repeat(&json, "}", 511);
    rkb_buffer_add(&json, "", 1);
    assert_true(holds(chain, (const char *)json.data));
    json.size--;
    gives_up("{'allOf': [{'allOf': [{'allOf': [{'allOf': [{'properties': {'a': {'$ref': '#'}}}]}]}]}]}", &json,
             "payload and schema together are nested too deep to check");
    char reason[RKB_SCHEMA_REASON];
    struct rkb_schema *schema = compile("true");
    struct rkb_schema_room *room = make_room();
    json.size = 0;
    repeat(&json, "[", RKB_JSON_DEPTH + 1);
    repeat(&json, "]", RKB_JSON_DEPTH + 1);
    assert_false(check(schema, room, rkb_slice(json.data, json.size), reason));
    assert_string_equal(reason, "not JSON");
    assert_true(check(schema, room, rkb_slice(json.data + 1, json.size - 2), reason));
    rkb_schema_room_free(room);
    rkb_schema_free(schema);
    rkb_buffer_free(&json);
}

static void what_would_take_for_ever_is_given_up(void **state)
{
    (void)state;
    static const char too_long[] = "the schema takes too long to check against this payload";
    struct rkb_buffer json = {0};
    /* Each level is tried twice by each try of the level above. */
    repeat(&json, "[", 60);
    repeat(&json, "]", 60);
    gives_up("{'anyOf': [{'type': 'array', 'items': {'$ref': '#'}, 'minItems': 2}, {'type': 'array',"
             " 'items': {'$ref': '#'}, 'minItems': 3}, {'type': 'object'}]}", &json, too_long);
    /* What is given up is no "no" that `not` could turn. */
    gives_up("{'not': {'not': {'oneOf': [{'type': 'array', 'not': {'not': {'items': {'$ref': '#'}}}},"
             " {'type': 'array', 'items': {'$ref': '#'}, 'minItems': 3}, {'type': 'object'}]}}}", &json, too_long);
    json.size = 0;
    rkb_buffer_text(&json, "[");
    repeat(&json, "{'a': 1},", 40000);
    rkb_buffer_text(&json, "{}]");
    gives_up("{'items': {'propertyNames': {'pattern': 'a'}}}", &json, too_long);
    json.size = 0;
    rkb_buffer_text(&json, "[0");
    repeat(&json, ",0", RKB_DOCUMENT_VALUES - 1);
    rkb_buffer_text(&json, "]");
    gives_up("{}", &json, "more values, or more keys that look alike, than a schema is checked against");
    rkb_buffer_free(&json);
}

static void a_pattern_that_takes_for_ever_is_given_up(void **state)
{
    (void)state;
    struct rkb_buffer json = {0};
    rkb_buffer_text(&json, "{'a': '");
    repeat(&json, "a", 60);
    rkb_buffer_text(&json, "!'}");
    gives_up("{'properties': {'a': {'pattern': '^(a+)+$'}}}", &json,
             "/a: pattern ^(a+)+$ takes too long to search for (#/properties/a/pattern)");
    gives_up("{'properties': {'a': {'not': {'pattern': '^(a+)+$'}}}}", &json,
             "/a: pattern ^(a+)+$ takes too long to search for (#/properties/a/not/pattern)");
    gives_up("{'properties': {'a': {'anyOf': [{'pattern': '^(a+)+$'}, false]}}}", &json,
             "/a: pattern ^(a+)+$ takes too long to search for (#/properties/a/anyOf/0/pattern)");
    rkb_buffer_free(&json);
}

/* Keys whose hashes end alike stand in one heap of the table: comparing each with all before it must not stall us. */
static void keys_that_look_alike_are_bounded(void **state)
{
    (void)state;
    struct rkb_buffer json = {0};
    char key[16];
    rkb_buffer_text(&json, "{");
    for (unsigned i = 0, found = 0; found < 1000; i++) {
        int size = snprintf(key, sizeof key, "%u", i);
        if (rkb_key_hash(rkb_slice(key, (size_t)size)) % 2048 == 7)
            rkb_buffer_format(&json, "%s'%s': 1", found++ > 0 ? ", " : "", key);
    }
    rkb_buffer_text(&json, "}");
    gives_up("true", &json, "more values, or more keys that look alike, than a schema is checked against");
    rkb_buffer_free(&json);
}

/* Looking for the one of many required names that is not there. */
static void a_long_list_of_required_names_is_bounded(void **state)
{
    (void)state;
    struct rkb_buffer schema = {0}, json = {0};
    rkb_buffer_text(&schema, "{'minProperties': 0, 'if': {'minProperties': 1}, 'then': {'required': ['k0'");
    rkb_buffer_text(&json, "{'k0': 0");
    for (int i = 1; i < 2000; i++) {
        rkb_buffer_format(&schema, ", 'k%d'", i);
        rkb_buffer_format(&json, ", 'k%d': 0", i);
    }
    rkb_buffer_text(&schema, ", 'last']}}");
    rkb_buffer_add(&schema, "", 1);
    rkb_buffer_text(&json, "}");
    gives_up((const char *)schema.data, &json, "the schema takes too long to check against this payload");
    rkb_buffer_free(&schema);
    rkb_buffer_free(&json);
}

/* Items that are the same but for their end, and all of one length: each comparison counts. */
static void many_long_twins_are_bounded(void **state)
{
    (void)state;
    struct rkb_buffer json = {0};
    rkb_buffer_text(&json, "[");
    for (int i = 0; i < 300; i++) {
        rkb_buffer_text(&json, i > 0 ? ", 1e" : "1e");
        repeat(&json, "1", 20);
        rkb_buffer_format(&json, "%03d", i);
    }
    rkb_buffer_text(&json, "]");
    rkb_buffer_add(&json, "", 1);
    assert_true(holds("{'uniqueItems': true}", (const char *)json.data));
    rkb_buffer_free(&json);
}

/* What is not JSON is not for a schema; but no byte behind its end is read, whatever it is. */
static void any_bytes_are_safe(void **state)
{
    (void)state;
    char *json = quoted(rkb_slice_text("{'a': [1, -2.5e+3, 'x\\u00e9\\'', true, false, null, {}],"
                                       " 'b': {'caf\xC3\xA9': [[]]}}"));
    struct rkb_schema *schema = compile("{'properties': {'a': {'items': {'minimum': 0, 'maxLength': 3, 'pattern': '.'},"
                                        " 'uniqueItems': true}}, 'additionalProperties': {'minProperties': 1}}");
    struct rkb_schema_room *room = make_room();
    char reason[RKB_SCHEMA_REASON];
    size_t size = strlen(json);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(check(schema, room, rkb_slice(json, cut), reason));
    assert_string_equal(reason, "not JSON");
    for (size_t at = 0; at < size; at++) {
        char was = json[at];
        for (int byte = 0; byte < 256; byte++) {
            json[at] = (char)byte;
            (void)!check(schema, room, rkb_slice(json, size), reason);
        }
        json[at] = was;
    }
    free(json);
    rkb_schema_room_free(room);
    rkb_schema_free(schema);
}

/* Every cut and every changed byte of a schema is compiled, or refused with a place in it. */
static void any_schema_is_safe(void **state)
{
    (void)state;
    static const char bytes[] = "\"\\{}[],:#/~%0a1e-n \t\x80";
    char *text = quoted(rkb_slice_text("{'$id': 'http://a/b', 'definitions': {'a': {'$id': '#n', 'enum': [1, {}]}},"
                                       " 'items': [{'$ref': '#n'}, {'$ref': 'b#/definitions/a'}], 'pattern': '^a',"
                                       " 'properties': {'a': {'type': ['null']}}, 'required': ['a'],"
                                       " 'multipleOf': 1.5, 'dependencies': {'a': ['b']}, 'if': {'maxItems': 3},"
                                       " 'then': true}"));
    size_t size = strlen(text);
    struct mistakes mistakes;
    for (size_t at = 0; at < size; at++) {
        char was = text[at];
        refuse(rkb_slice(text, at), &mistakes);
        for (size_t i = 0; i < sizeof bytes; i++) {
            text[at] = bytes[i];
            mistakes = (struct mistakes){0, ""};
            struct rkb_schema *schema = rkb_schema_compile(rkb_slice(text, size), note_mistake, &mistakes);
            assert_true((schema != NULL) == (mistakes.count == 0));
            rkb_schema_free(schema);
        }
        text[at] = was;
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_what_they_are_written),
        cmocka_unit_test(lengths_count_characters),
        cmocka_unit_test(of_keys_that_stand_twice_the_last_counts),
        cmocka_unit_test(members),
        cmocka_unit_test(unique_among_many),
        cmocka_unit_test(deep_payloads),
        cmocka_unit_test(what_would_take_for_ever_is_given_up),
        cmocka_unit_test(a_pattern_that_takes_for_ever_is_given_up),
        cmocka_unit_test(keys_that_look_alike_are_bounded),
        cmocka_unit_test(a_long_list_of_required_names_is_bounded),
        cmocka_unit_test(many_long_twins_are_bounded),
        cmocka_unit_test(any_bytes_are_safe),
        cmocka_unit_test(any_schema_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
