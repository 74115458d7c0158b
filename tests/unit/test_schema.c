/* schema: mistakes with their places, references, and the words of reasons. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema_support.h"

static void mistakes_have_their_places(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *says;
    } cases[] = {
        {"", "1:1: this is not JSON"},
        {"{'type':\n  'string',}", "2:12: this is not JSON"},
        {"3", "1:1: here a schema must stand"},
        {"{\n  'minimun': 3\n}", "2:3: 'minimun' is no keyword"},
        {"{'properties': {\n\t'a': {'format': 'date'}}}", "2:8: format is not checked"},
        {"{'description': '\xC3\xA9\xF0\x9F\x98\x80', 'format': 1}", "1:23: format is not checked"},
        {"{'contentEncoding': 'base64'}", "1:2: rkbridge does not look into a string"},
        {"{'contentMediaType': 'a/b'}", "1:2: rkbridge does not look into a string"},
        {"{'$defs': {}}", "1:2: this keyword is of a later draft"},
        {"{'$schema': 'https://json-schema.org/draft/2020-12/schema'}", "1:13: rkbridge reads draft-07 only"},
        {"{'type': 'int'}", "1:10: a type is null, boolean,"},
        {"{'type': []}", "1:10: here a type must stand"},
        {"{'type': ['null', 'null']}", "1:19: this type stands twice"},
        {"{'type': 3}", "1:10: a type is null"},
        {"{'minimum': '3'}", "1:13: here a number must stand"},
        {"{'multipleOf': 0}", "1:16: here a number above 0 must stand"},
        {"{'multipleOf': 1234567890123456789}", "1:16: here a number above 0 must stand, of at most 18 digits"},
        {"{'maxLength': -1}", "1:15: here an integer must stand"},
        {"{'maxItems': 1.5}", "1:14: here an integer must stand"},
        {"{'pattern': '('}", "1:13: not a pattern (PCRE2)"},
        {"{'pattern': 3}", "1:13: a pattern is a string"},
        {"{'patternProperties': {'[': {}}}", "1:24: not a pattern (PCRE2)"},
        {"{'items': []}", "1:11: here a list of schemas must stand"},
        {"{'items': 3}", "1:11: here a schema must stand"},
        {"{'items': [3]}", "1:12: here a schema must stand"},
        {"{'items': [{}], 'additionalItems': 3}", "1:36: here a schema must stand"},
        {"{'additionalItems': {'x': 3}}", "1:22: 'x' is no keyword"},
        {"{'then': {'x': 3}}", "1:11: 'x' is no keyword"},
        {"{'if': true, 'else': {'x': 3}}", "1:23: 'x' is no keyword"},
        {"{'uniqueItems': 1}", "1:17: here true or false must stand"},
        {"{'allOf': []}", "1:11: here a list of schemas must stand"},
        {"{'oneOf': {}}", "1:11: here a list of schemas must stand"},
        {"{'enum': []}", "1:10: here a list of values must stand"},
        {"{'required': 'a'}", "1:14: here a list of names must stand"},
        {"{'required': ['a', 3]}", "1:14: here a list of names must stand"},
        {"{'required': ['a', 'a']}", "1:20: this name stands twice"},
        {"{'properties': []}", "1:16: here an object of names"},
        {"{'properties': [], 'required': ['a'], 'additionalProperties': true}", "1:16: here an object of names"},
        {"{'properties': {'a': 1}}", "1:22: here a schema must stand"},
        {"{'definitions': {'unused': {'x': 1}}}", "1:29: 'x' is no keyword"},
        {"{'dependencies': {'a': 3}}", "1:24: here a schema must stand"},
        {"{'type': 'string', 'type': 'null'}", "1:2: 'type' stands twice in this object"},
        {"{'const': {'a': 1, '\\u0061': 1}}", "1:12: 'a' stands twice in this object"},
        {"{'\\n': 1}", "1:2: '\\n' is no keyword"},
        {"{'$ref': 3}", "1:10: a $ref is a string"},
        {"{'$ref': 'other.json'}", "1:10: this $ref leads to no schema in this file"},
        {"{'$ref': '#/definitions/a'}", "1:10: nothing stands where this $ref leads"},
        {"{'$ref': '#/enum/1', 'definitions': {}}", "1:10: nothing stands where this $ref leads"},
        {"{'items': {'$ref': '#/enum/0'}, 'enum': [{}]}", "1:20: what stands where this $ref leads is used as no"},
        {"{'$ref': '#a'}", "1:10: this $ref leads to no schema in this file"},
        {"{'$ref': '#'}", "1:2: this $ref leads only back to itself"},
        {"{'definitions': {'a': {'$ref': '#/definitions/b'}, 'b': {'$ref': '#/definitions/a'}}}",
         "1:24: this $ref leads only back to itself"},
        {"{'items': {'$ref': '#', 'minItems': 3}}", "1:25: beside a $ref this has no effect"},
        {"{'items': {'$ref': '#', '$id': 'a'}}", "1:25: beside a $ref this has no effect"},
        {"{'allOf': [{'$ref': '#'}]}", "1:2: this leads back to itself"},
        {"{'definitions': {'a': {'not': {'anyOf': [true, {'$ref': '#/definitions/a'}]}}}}", "leads back to itself"},
        {"{'dependencies': {'a': {'$ref': '#'}}}", "1:19: this leads back to itself"},
        {"{'$id': 3}", "1:9: an $id is a string"},
        {"{'$id': 'a#/b'}", "1:9: an $id is a URI without a fragment"},
        {"{'$id': 'a', 'items': {'$id': 'b#c'}}", "1:31: an $id is a URI without a fragment"},
        {"{'items': {'$id': '#a'}, 'not': {'$id': '#a'}}", "1:41: another schema has this $id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mistakes mistakes;
        refuse(rkb_slice_text(cases[i].schema), &mistakes);
        char *says = quoted(rkb_slice_text(cases[i].says));
        if (strstr(mistakes.text, says) == NULL)
            fail_msg("%s\nis refused with\n%s\nnot with %s", cases[i].schema, mistakes.text, cases[i].says);
        if (mistakes.count != 1)
            fail_msg("%s\nhas more than one mistake:\n%s", cases[i].schema, mistakes.text);
        free(says);
    }
}

static void all_mistakes_are_said_in_order(void **state)
{
    (void)state;
    struct mistakes mistakes;
    refuse(rkb_slice_text("{'items': {'format': 'a'},\n 'type': 'int',\n 'zzz': 1,\n"
                          " 'allOf': [{'x': 1}, {'y': 2}]}"), &mistakes);
    assert_int_equal(mistakes.count, 5);
    const char *at = mistakes.text;
    static const char *const places[] = {"1:12: ", "2:10: ", "3:2: ", "4:13: ", "4:23: "};
    for (size_t i = 0; i < 5; i++) {
        assert_true(strncmp(at, places[i], strlen(places[i])) == 0);
        at = strchr(at, '\n') + 1;
    }
    /* Keys that stand there again and again: each but the last. */
    refuse(rkb_slice_text("{'patternProperties': {'a': {}, 'a': {}, 'a': {}, 'a': {}, 'a': {}, 'a': {}, 'b': {}}}"),
           &mistakes);
    assert_int_equal(mistakes.count, 5);
    assert_non_null(strstr(mistakes.text, "1:60: \"a\" stands twice in this object"));
    struct rkb_buffer many = {0};
    rkb_buffer_text(&many, "{'a': 0");
    for (int i = 0; i < 100; i++)
        rkb_buffer_format(&many, ", 'a%d': 0", i);
    rkb_buffer_text(&many, "}");
    refuse(rkb_slice(many.data, many.size), &mistakes);
    assert_int_equal(mistakes.count, 50);
    rkb_buffer_free(&many);
}

static void what_has_no_effect_is_taken(void **state)
{
    (void)state;
    const char *schema = "{'$schema': 'http://json-schema.org/draft-07/schema#', '$id': 'http://x/y', '$comment': 1,"
                         " 'title': 1, 'description': 1, 'default': {'x': 1}, 'examples': [{'y': 2}],"
                         " 'readOnly': true, 'writeOnly': true, 'definitions': {'a': true}, 'then': false,"
                         " 'else': false, 'additionalItems': false}";
    assert_true(holds(schema, "[1, {'a': null}]"));
}

static void references(void **state)
{
    (void)state;
    const char *escaped = "{'definitions': {'til~de': {'type': 'integer'}, 'sla/sh': {'type': 'integer'},"
                          " 'per%cent': {'type': 'integer'}, 'q\\'': {'type': 'integer'}},"
                          " 'properties': {'t': {'$ref': '#/definitions/til~0de'},"
                          " 's': {'$ref': '#/definitions/sla~1sh'}, 'p': {'$ref': '#/definitions/per%25cent'},"
                          " 'q': {'$ref': '#/definitions/q%22'}}}";
    assert_true(holds(escaped, "{'t': 1, 's': 2, 'p': 3, 'q': 4}"));
    fails_with(escaped, "{'t': ''}", "/t: type integer (#/definitions/til~0de/type)");
    fails_with(escaped, "{'s': ''}", "/s: type integer (#/definitions/sla~1sh/type)");
    fails_with(escaped, "{'p': ''}", "/p: type integer (#/definitions/per%cent/type)");
    fails_with(escaped, "{'q': ''}", "/q: type integer (#/definitions/q'/type)");

    const char *named = "{'items': [{'$ref': '#whole'}, {'$ref': '#/items/0'}],"
                        " 'definitions': {'x': {'$id': '#whole', 'type': 'integer'}}}";
    assert_true(holds(named, "[1, 2]"));
    assert_false(holds(named, "[1, '']"));

    /* An $id within makes its own document of what stands below it. */
    const char *nested = "{'$id': 'http://a/root', 'items': {'$ref': 'part#/definitions/n'},"
                         " 'definitions': {'n': {'type': 'string'}, 'p': {'$id': 'part',"
                         " 'definitions': {'n': {'type': 'integer'}}, 'not': {'$ref': '#/definitions/n'}}}}";
    assert_true(holds(nested, "[1]"));
    assert_false(holds(nested, "['']"));

    const char *tree = "{'type': 'object', 'required': ['n'], 'properties': {'n': {'type': 'integer'},"
                       " 'left': {'$ref': '#'}, 'right': {'$ref': '#'}}}";
    assert_true(holds(tree, "{'n': 1, 'left': {'n': 2, 'right': {'n': 3}}}"));
    fails_with(tree, "{'n': 1, 'left': {'n': 2, 'right': {'m': 3}}}", "/left/right: required n (#/required/0)");
    assert_true(holds("{'$id': 'http://a/b', '$ref': '#/definitions/a', 'definitions': {'a': true}}", "1"));
    assert_false(holds("{'properties': {'$ref': {'type': 'string'}}}", "{'$ref': 1}"));
}

/* ---- reasons ---- */

static void reasons_name_place_and_keyword(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"{'type': 'object'}", "[]", "the whole payload: type object (#/type)"},
        {"{'type': ['object', 'null']}", "[]", "the whole payload: type (#/type)"},
        {"false", "1", "the whole payload: not allowed (#)"},
        {"{'properties': {'a': false}}", "{'a': 1}", "/a: not allowed (#/properties/a)"},
        {"{'additionalProperties': false}", "{'secret': 1}", "/*: not allowed (#/additionalProperties)"},
        {"{'properties': {'items': {'items': {'properties': {'price': {'minimum': 0}}}}}}",
         "{'items': [{}, {'price': 1}, {}, {'price': -1}]}",
         "/items/3/price: minimum 0 (#/properties/items/items/properties/price/minimum)"},
        {"{'exclusiveMinimum': 1.50}", "1.5", "the whole payload: exclusiveMinimum 1.50 (#/exclusiveMinimum)"},
        {"{'exclusiveMaximum': 1}", "1", "the whole payload: exclusiveMaximum 1 (#/exclusiveMaximum)"},
        {"{'maximum': 1}", "1.1", "the whole payload: maximum 1 (#/maximum)"},
        {"{'multipleOf': 0.01}", "1.001", "the whole payload: multipleOf 0.01 (#/multipleOf)"},
        {"{'maxLength': 2}", "'abc'", "the whole payload: maxLength 2 (#/maxLength)"},
        {"{'minLength': 2}", "'a'", "the whole payload: minLength 2 (#/minLength)"},
        {"{'pattern': '^a$'}", "'b'", "the whole payload: pattern ^a$ (#/pattern)"},
        {"{'pattern': '^1234567890123456789012345678901234567890$'}", "'b'", "the whole payload: pattern (#/pattern)"},
        {"{'enum': [1, 2]}", "3", "the whole payload: enum (#/enum)"},
        {"{'const': 'x'}", "3", "the whole payload: const x (#/const)"},
        {"{'items': [true, {'not': {}}]}", "[1, 2]", "/1: not (#/items/1/not)"},
        {"{'items': [true], 'additionalItems': {'type': 'null'}}", "[1, null, 2]",
         "/2: type null (#/additionalItems/type)"},
        {"{'maxItems': 1}", "[1, 2]", "the whole payload: maxItems 1 (#/maxItems)"},
        {"{'minItems': 1}", "[]", "the whole payload: minItems 1 (#/minItems)"},
        {"{'uniqueItems': true}", "[1, 1]", "the whole payload: uniqueItems true (#/uniqueItems)"},
        {"{'contains': {'type': 'null'}}", "[1]", "the whole payload: contains (#/contains)"},
        {"{'maxProperties': 0}", "{'a': 1}", "the whole payload: maxProperties 0 (#/maxProperties)"},
        {"{'minProperties': 1}", "{}", "the whole payload: minProperties 1 (#/minProperties)"},
        {"{'required': ['a', 'b']}", "{'a': 1}", "the whole payload: required b (#/required/1)"},
        {"{'patternProperties': {'^a': {'type': 'null'}}}", "{'ab': 1}",
         "/*: type null (#/patternProperties/^a/type)"},
        {"{'dependencies': {'a': ['b']}}", "{'a': 1}", "the whole payload: dependencies b (#/dependencies/a/0)"},
        {"{'dependencies': {'a': {'required': ['b']}}}", "{'a': 1}",
         "the whole payload: required b (#/dependencies/a/required/0)"},
        {"{'propertyNames': {'maxLength': 1}}", "{'ab': 1}", "/*: maxLength 1 (#/propertyNames/maxLength)"},
        {"{'allOf': [true, {'type': 'null'}]}", "1", "the whole payload: type null (#/allOf/1/type)"},
        {"{'anyOf': [false, {'type': 'null'}]}", "1", "the whole payload: anyOf (#/anyOf)"},
        {"{'oneOf': [true, {'type': 'integer'}]}", "1", "the whole payload: oneOf (#/oneOf)"},
        {"{'if': true, 'then': {'type': 'null'}}", "1", "the whole payload: type null (#/then/type)"},
        {"{'if': false, 'else': {'type': 'null'}}", "1", "the whole payload: type null (#/else/type)"},
        {"{'properties': {'a/b~\\n': false}}", "{'a/b~\\n': 1}", "/a~1b~0\\n: not allowed (#/properties/a~1b~0\\n)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        fails_with(cases[i][0], cases[i][1], cases[i][2]);
}

static void a_reason_holds_nothing_of_the_payload(void **state)
{
    (void)state;
    static const char *const schemas[] = {
        "{'additionalProperties': {'additionalProperties': {'type': 'null'}}}",
        "{'propertyNames': {'enum': ['a']}}", "{'maxProperties': 0}",
        "{'additionalProperties': {'additionalProperties': {'pattern': '^x$'}}}",
        "{'additionalProperties': {'propertyNames': {'const': 1}}}",
        "{'additionalProperties': {'additionalProperties': {'enum': [1]}}}"};
    char *json = quoted(rkb_slice_text("{'hush1': {'hush2': 'hush3'}}"));
    for (size_t i = 0; i < sizeof schemas / sizeof *schemas; i++) {
        char reason[RKB_SCHEMA_REASON];
        struct rkb_schema *schema = compile(schemas[i]);
        struct rkb_schema_room *room = make_room();
        assert_false(check(schema, room, rkb_slice_text(json), reason));
        assert_null(strstr(reason, "hush"));
        rkb_schema_room_free(room);
        rkb_schema_free(schema);
    }
    free(json);
}

/* Long pointers and long keys: cut, on the border of a character, and never beyond the room. */
static void long_reasons_are_cut(void **state)
{
    (void)state;
    struct rkb_buffer schema = {0}, json = {0};
    for (int i = 0; i < 30; i++) {
        rkb_buffer_text(&schema, "{'properties': {'caf\xC3\xA9\xC3\xA9\xC3\xA9': ");
        rkb_buffer_text(&json, "{'caf\xC3\xA9\xC3\xA9\xC3\xA9': ");
    }
    rkb_buffer_text(&schema, "{'type': 'null'}");
    rkb_buffer_text(&json, "1");
    for (int i = 0; i < 30; i++) {
        rkb_buffer_text(&schema, "}}");
        rkb_buffer_text(&json, "}");
    }
    rkb_buffer_add(&schema, "", 1);
    struct rkb_schema *compiled = compile((const char *)schema.data);
    char *payload = quoted(rkb_slice(json.data, json.size));
    struct rkb_schema_room *room = make_room();
    for (size_t size = 1; size <= 300; size++) {
        char *reason = malloc(size);
        assert_non_null(reason);
        assert_false(rkb_schema_check(compiled, room, rkb_slice(payload, json.size), reason, size));
        size_t length = strlen(reason);
        assert_true(length < size && length < RKB_SCHEMA_REASON);
        assert_true(size < 5 || strcmp(reason + length - 3, "...") == 0);
        /* Nothing of a character without the rest of it. */
        for (size_t i = 0; i < length; i++)
            if ((uint8_t)reason[i] == 0xC3)
                assert_int_equal((uint8_t)reason[i + 1], 0xA9);
        if (size > 120)
            assert_non_null(strstr(reason, "...: type null (#/properties/"));
        free(reason);
    }
    rkb_schema_room_free(room);
    rkb_schema_free(compiled);
    free(payload);
    rkb_buffer_free(&schema);
    rkb_buffer_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_have_their_places),
        cmocka_unit_test(all_mistakes_are_said_in_order),
        cmocka_unit_test(what_has_no_effect_is_taken),
        cmocka_unit_test(references),
        cmocka_unit_test(reasons_name_place_and_keyword),
        cmocka_unit_test(a_reason_holds_nothing_of_the_payload),
        cmocka_unit_test(long_reasons_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
