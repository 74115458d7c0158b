/*
 * template: what each slot becomes in each context, what is refused and where, and that JSON stays JSON for any
 * payload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "message/json.h"
#include "message/payload.h"
#include "message/template.h"

static struct rkb_name_forms forms(const char *plain, const char *json)
{
    return (struct rkb_name_forms){rkb_slice_text(plain), rkb_slice_text(json)};
}

static struct rkb_template_scope test_scope(void)
{
    return (struct rkb_template_scope){.route = forms("my \"route\"", "my \\\"route\\\""),
                                       .source = forms("legacy", "legacy"),
                                       .instance = forms("a\\b", "a\\\\b")};
}

static enum rkb_encoding encoding_of(enum rkb_payload_kind kind, struct rkb_slice payload)
{
    struct rkb_payload read;
    struct rkb_verdict verdict;
    struct rkb_pointers *none = rkb_pointers_new();
    rkb_payload_read(kind, none, RKB_JSON_DEPTH, false, payload, NULL, &read, &verdict);
    rkb_pointers_free(none);
    return read.encoding;
}

static struct rkb_facts test_facts(struct rkb_slice payload, enum rkb_payload_kind kind)
{
    struct rkb_facts facts = {
        .channel = forms("user:\"1\"", "user:\\\"1\\\""),
        .pattern = forms("user:*\n", "user:*\\n"),
        .payload = payload,
        .encoding = encoding_of(kind, payload),
        .time_ms = rkb_slice_text("1790000000123"),
        .position = rkb_slice_text("00112233445566778899aabbccddeeff:42"),
    };
    memcpy(facts.uuid, "01a0c450-6c00-7000-8001-7ef5d20f7c56", RKB_UUID_TEXT);
    memcpy(facts.time, "2026-09-21T14:13:20.123Z", 24);
    return facts;
}

static struct rkb_template *compile(enum rkb_template_kind kind, const char *text)
{
    struct rkb_template_scope scope = test_scope();
    struct rkb_error error = {.text = ""};
    struct rkb_template *template = rkb_template_compile(kind, rkb_slice_text(text), &scope, NULL, &error);
    if (template == NULL)
        fail_msg("%s: %s", text, error.text);
    return template;
}

/* Rendered into exactly the measured room, so that a sanitizer sees one byte too many. */
static struct rkb_slice render(const struct rkb_template *template, const struct rkb_facts *facts)
{
    size_t size = rkb_template_size(template, facts);
    uint8_t *out = malloc(size > 0 ? size : 1);
    assert_non_null(out);
    assert_ptr_equal(rkb_template_render(template, facts, out), out + size);
    return rkb_slice(out, size);
}

static void free_slice(struct rkb_slice slice)
{
    free((void *)(uintptr_t)slice.data);
}

static void check(enum rkb_template_kind kind, const char *text, const struct rkb_facts *facts, const char *expected)
{
    struct rkb_template *template = compile(kind, text);
    struct rkb_slice got = render(template, facts);
    if (!rkb_slice_equal(got, rkb_slice_text(expected)))
        fail_msg("%s gives %.*s, not %s", text, (int)got.size, (const char *)got.data, expected);
    free_slice(got);
    rkb_template_free(template);
}

static void every_slot_in_every_context(void **state)
{
    (void)state;
    static const struct {
        const char *slot, *plain, *value, *inside;
    } rows[] = {
        {"uuid", "01a0c450-6c00-7000-8001-7ef5d20f7c56", "\"01a0c450-6c00-7000-8001-7ef5d20f7c56\"",
         "01a0c450-6c00-7000-8001-7ef5d20f7c56"},
        {"channel", "user:\"1\"", "\"user:\\\"1\\\"\"", "user:\\\"1\\\""},
        {"pattern", "user:*\n", "\"user:*\\n\"", "user:*\\n"},
        {"payload", "{\"a\": 1}", "{\"a\": 1}", "{\\\"a\\\": 1}"},
        {"payload_text", "{\"a\": 1}", "\"{\\\"a\\\": 1}\"", "{\\\"a\\\": 1}"},
        {"payload_base64", "eyJhIjogMX0=", "\"eyJhIjogMX0=\"", "eyJhIjogMX0="},
        {"encoding", "json", "\"json\"", "json"},
        {"time", "2026-09-21T14:13:20.123Z", "\"2026-09-21T14:13:20.123Z\"", "2026-09-21T14:13:20.123Z"},
        {"time_ms", "1790000000123", "1790000000123", "1790000000123"},
        {"position", "00112233445566778899aabbccddeeff:42", "\"00112233445566778899aabbccddeeff:42\"",
         "00112233445566778899aabbccddeeff:42"},
        {"route", "my \"route\"", "\"my \\\"route\\\"\"", "my \\\"route\\\""},
        {"source", "legacy", "\"legacy\"", "legacy"},
        {"instance", "a\\b", "\"a\\\\b\"", "a\\\\b"},
    };
    struct rkb_facts facts = test_facts(rkb_slice_text("{\"a\": 1}"), RKB_PAYLOAD_AUTO);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[128], expected[128];
        snprintf(text, sizeof text, "<{{%s}}>", rows[i].slot);
        snprintf(expected, sizeof expected, "<%s>", rows[i].plain);
        check(RKB_TEMPLATE_PLAIN, text, &facts, expected);
        snprintf(text, sizeof text, "[\"{{%s}}\"]", rows[i].slot);
        snprintf(expected, sizeof expected, "[%s]", rows[i].value);
        check(RKB_TEMPLATE_JSON, text, &facts, expected);
        snprintf(text, sizeof text, "\"<{{ %s\t}}>\"", rows[i].slot);
        text[strcspn(text, "\t")] = ' ';
        snprintf(expected, sizeof expected, "\"<%s>\"", rows[i].inside);
        check(RKB_TEMPLATE_JSON, text, &facts, expected);
        snprintf(text, sizeof text, "{\"{{%s}}\" :1}", rows[i].slot);
        snprintf(expected, sizeof expected, "{\"%s\":1}", rows[i].inside);
        check(RKB_TEMPLATE_JSON, text, &facts, expected);
    }
}

static void the_payload_by_its_encoding(void **state)
{
    (void)state;
    static const struct {
        const char *payload;
        enum rkb_payload_kind kind;
        const char *plain, *value, *inside, *text_plain, *text_value;
    } rows[] = {
        {"say \"hi\"", RKB_PAYLOAD_AUTO, "say \"hi\"", "\"say \\\"hi\\\"\"", "say \\\"hi\\\"", "say \"hi\"",
         "\"say \\\"hi\\\"\""},
        {"[1]", RKB_PAYLOAD_TEXT, "[1]", "\"[1]\"", "[1]", "[1]", "\"[1]\""},
        {"", RKB_PAYLOAD_AUTO, "", "\"\"", "", "", "\"\""},
        {"\xFF\xFE", RKB_PAYLOAD_AUTO, "//4=", "\"//4=\"", "//4=", "//4=", "\"//4=\""},
        {"\"x\"", RKB_PAYLOAD_BASE64, "Ingi", "\"Ingi\"", "Ingi", "\"x\"", "\"\\\"x\\\"\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_facts facts = test_facts(rkb_slice_text(rows[i].payload), rows[i].kind);
        char expected[64];
        check(RKB_TEMPLATE_PLAIN, "{{payload}}", &facts, rows[i].plain);
        check(RKB_TEMPLATE_JSON, "\"{{payload}}\"", &facts, rows[i].value);
        snprintf(expected, sizeof expected, "\"-%s\"", rows[i].inside);
        check(RKB_TEMPLATE_JSON, "\"-{{payload}}\"", &facts, expected);
        check(RKB_TEMPLATE_PLAIN, "{{payload_text}}", &facts, rows[i].text_plain);
        check(RKB_TEMPLATE_JSON, "\"{{payload_text}}\"", &facts, rows[i].text_value);
    }
}

static void no_pattern_is_null_or_nothing(void **state)
{
    (void)state;
    struct rkb_facts facts = test_facts(rkb_slice_text("x"), RKB_PAYLOAD_AUTO);
    facts.pattern = (struct rkb_name_forms){{NULL, 0}, {NULL, 0}};
    check(RKB_TEMPLATE_JSON, "{\"p\": \"{{pattern}}\", \"{{pattern}}\": \"<{{pattern}}>\"}", &facts,
          "{\"p\":null,\"\":\"<>\"}");
    check(RKB_TEMPLATE_PLAIN, "<{{pattern}}>", &facts, "<>");
}

static void braces_and_literals(void **state)
{
    (void)state;
    static const char *const plain[][2] = {
        {"", ""}, {"no slots", "no slots"}, {"{{{{", "{{"}, {"{{{{uuid}}", "{{uuid}}"},
        {"{{{{{{encoding}}", "{{json"}, {"}}", "}}"}, {"a}}b{c", "a}}b{c"}, {"{", "{"}, {"{{encoding}}}", "json}"},
        {"{{encoding}}{{encoding}}", "jsonjson"},
        {"{{  encoding }}", "json"}, {"{{\tencoding}}", "json"}, {"{ {encoding}}", "{ {encoding}}"},
        {"{\"{{encoding}}\"}", "{\"json\"}"},
    };
    static const char *const json[][2] = {
        {" \"a\\u0041{{encoding}}\\n\" ", "\"a\\u0041json\\n\""}, {"\"\\\"{{encoding}}\\\\\"", "\"\\\"json\\\\\""},
        {"\"{{{{encoding}}\"", "\"{{encoding}}\""}, {"\"\\u007b{encoding}}\"", "\"\\u007b{encoding}}\""},
        {"{ \"a\" : [ 1 , -2.50e1 , true , null , { } ] ,\n\t\"b\" : \"{{encoding}}\" }\r\n",
         "{\"a\":[1,-2.50e1,true,null,{}],\"b\":\"json\"}"}, {"\"{{encoding}}{{encoding}}\"", "\"jsonjson\""},
        {"\" {{payload}}\"", "\" {}\""}, {"\"{{payload}}\"", "{}"}, {"[\"}}\", \"a  b\"]", "[\"}}\",\"a  b\"]"},
        {"{\"a\":\"{{payload}}\",\"a\":\"{{payload}}\"}", "{\"a\":{},\"a\":{}}"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
    };
    struct rkb_facts facts = test_facts(rkb_slice_text("{}"), RKB_PAYLOAD_AUTO);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        check(RKB_TEMPLATE_PLAIN, plain[i][0], &facts, plain[i][1]);
    for (size_t i = 0; i < sizeof json / sizeof json[0]; i++)
        check(RKB_TEMPLATE_JSON, json[i][0], &facts, json[i][1]);
}

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    static const struct {
        enum rkb_template_kind kind;
        const char *text;
        size_t at;
        const char *says;
    } cases[] = {
        {RKB_TEMPLATE_PLAIN, "ab{{nope}}", 2, "{{nope}}"}, {RKB_TEMPLATE_PLAIN, "ab{{nope}}", 2, "payload_base64"},
        {RKB_TEMPLATE_PLAIN, "ab{{nope}}", 2, "instance"}, {RKB_TEMPLATE_PLAIN, "{{uuid}}{{Uuid}}", 8, "{{Uuid}}"},
        {RKB_TEMPLATE_PLAIN, "a{{", 1, "without }}"}, {RKB_TEMPLATE_PLAIN, "a{{uuid", 1, "without }}"},
        {RKB_TEMPLATE_PLAIN, "a{{uuid}", 1, "without }}"}, {RKB_TEMPLATE_PLAIN, "{{}}", 0, "empty slot"},
        {RKB_TEMPLATE_PLAIN, "{{  }}", 0, "empty slot"},
        {RKB_TEMPLATE_PLAIN, "{{{uuid}}}", 0, "{{{uuid}}"},
        {RKB_TEMPLATE_PLAIN, "{{payload:a}}", 0, "begins with /"}, {RKB_TEMPLATE_PLAIN, "{{payload:/~2}}", 0, "~0"},
        {RKB_TEMPLATE_PLAIN, "x{{3}}", 1, "user.*.* has 2"}, {RKB_TEMPLATE_PLAIN, "{{0}}", 0, "begin with {{1}}"},
        {RKB_TEMPLATE_PLAIN, "{{17}}", 0, "{{1}} to {{16}}"},
        {RKB_TEMPLATE_PLAIN, "{{99999999999999999999}}", 0, "{{16}}"},
        {RKB_TEMPLATE_PLAIN, "{{1a}}", 0, "no slot {{1a}}"}, {RKB_TEMPLATE_PLAIN, "{{bad\nname}}", 0, "{{bad?name}}"},
        {RKB_TEMPLATE_PLAIN, "{{uuid}", 0, "without }}"},
        {RKB_TEMPLATE_JSON, "", 0, "not JSON"}, {RKB_TEMPLATE_JSON, "{\"a\": {{payload}}}", 7, "not JSON"},
        {RKB_TEMPLATE_JSON, "{{payload}}", 1, "not JSON"}, {RKB_TEMPLATE_JSON, "{\"a\": 1,}", 8, "not JSON"},
        {RKB_TEMPLATE_JSON, "[\"{{nope}}\"]", 2, "{{nope}}"},
        {RKB_TEMPLATE_JSON, "{\"{{nope}}\":1}", 2, "{{nope}}"},
        {RKB_TEMPLATE_JSON, "[\"a{{uuid\", \"}}\"]", 3, "without }}"},
        {RKB_TEMPLATE_JSON, "\"{{payload:user/id}}\"", 1, "begins with /"},
        {RKB_TEMPLATE_JSON, "\"{{uuid}} {{}}\"", 10, "empty slot"}, {RKB_TEMPLATE_JSON, "\"\xFF\"", 1, "not JSON"},
    };
    struct rkb_template_scope scope = test_scope();
    scope.pointers = rkb_pointers_new();
    scope.captures = 2;
    scope.captures_of = "user.*.*";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_error error = {.code = RKB_OK};
        size_t at = SIZE_MAX;
        struct rkb_template *template = rkb_template_compile(cases[i].kind, rkb_slice_text(cases[i].text), &scope,
                                                             &at, &error);
        if (template != NULL || error.code != RKB_USAGE || at != cases[i].at || strstr(error.text,
                                                                                       cases[i].says) == NULL)
            fail_msg("%s: at %zu: %s", cases[i].text, at, template != NULL ? "accepted" : error.text);
        assert_null(strchr(error.text, '\n'));
    }
    rkb_pointers_free(scope.pointers);
}

/* A payload, a slot with an argument, and what becomes of it in each context; plain NULL: nothing. */
static void pointers_and_captures_in_every_context(void **state)
{
    static const struct {
        const char *slot, *plain, *value, *inside;
    } rows[] = {
        {"payload:/s", "a\"b\xC3\xA9\n", "\"a\\\"b\\u00e9\\n\"", "a\\\"b\\u00e9\\n"},
        {"payload:/n", "1e400", "1e400", "1e400"},
        {"payload:/o", "{\"x\": \"y\"}", "{\"x\": \"y\"}", "{\\\"x\\\": \\\"y\\\"}"},
        {"payload:/t", "true", "true", "true"}, {"payload:/e", "", "\"\"", ""}, {"payload:/z", NULL, "null", ""},
        {"payload:/none", NULL, "null", ""}, {"payload:/q\\\"q", "7", "7", "7"},
        {"1", "a\"", "\"a\\\"\"", "a\\\""}, {"2", "b", "\"b\"", "b"}, {" 1 ", "a\"", "\"a\\\"\"", "a\\\""},
    };
    static const char payload[] = "{\"s\": \"a\\\"b\\u00e9\\n\", \"n\": 1e400, \"o\": {\"x\": \"y\"}, \"t\": true, "
                                  "\"e\": \"\", \"z\": null, \"q\\\"q\": 7}";
    const struct rkb_name_forms captures[] = {forms("a\"", "a\\\""), forms("b", "b")};
    struct rkb_template_scope scope = test_scope();
    (void)state;
    scope.captures = 2;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[64], wanted[64];
        struct rkb_slice found[RKB_POINTERS_LIMIT];
        struct rkb_error error;
        struct rkb_facts facts = test_facts(rkb_slice_text(payload), RKB_PAYLOAD_AUTO);
        facts.captures = captures;
        facts.found = found;
        scope.pointers = rkb_pointers_new();
        /* In a plain template the pointer stands as it is meant, in JSON as strings are written. */
        snprintf(text, sizeof text, "<{{%s}}>",
                 strcmp(rows[i].slot, "payload:/q\\\"q") == 0 ? "payload:/q\"q" : rows[i].slot);
        struct rkb_template *plain = rkb_template_compile(RKB_TEMPLATE_PLAIN, rkb_slice_text(text), &scope, NULL,
                                                          &error);
        snprintf(text, sizeof text, "[\"{{%s}}\",\"<{{%s}}>\"]", rows[i].slot, rows[i].slot);
        struct rkb_template *json = rkb_template_compile(RKB_TEMPLATE_JSON, rkb_slice_text(text), &scope, NULL, &error);
        assert_true(rkb_pointers_find(scope.pointers, facts.payload, RKB_JSON_DEPTH, found));
        struct rkb_slice got = render(json, &facts);
        snprintf(wanted, sizeof wanted, "[%s,\"<%s>\"]", rows[i].value, rows[i].inside);
        if (!rkb_slice_equal(got, rkb_slice_text(wanted)))
            fail_msg("%s gives %.*s, not %s", text, (int)got.size, (const char *)got.data, wanted);
        free_slice(got);
        got = render(plain, &facts);
        assert_int_equal(rkb_template_whole(plain, &facts), rows[i].plain != NULL);
        snprintf(wanted, sizeof wanted, "<%s>", rows[i].plain == NULL ? "" : rows[i].plain);
        assert_true(rkb_slice_equal(got, rkb_slice_text(wanted)));
        free_slice(got);
        assert_int_equal(rkb_template_captures(plain), rows[i].slot[0] == '2' ? 2 : rows[i].slot[0] == 'p' ? 0 : 1);
        assert_int_equal(rkb_template_per_channel(plain), rows[i].slot[0] != 'p');
        rkb_template_free(plain);
        rkb_template_free(json);
        rkb_pointers_free(scope.pointers);
    }
}

static void what_a_template_needs(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool constant, per_channel, position;
    } cases[] = {
        {"", true, true, false}, {"fixed", true, true, false},
        {"{{route}}-{{source}}-{{instance}}", true, true, false}, {"{{channel}}", false, true, false},
        {"a{{pattern}}{{channel}}", false, true, false}, {"{{channel}}{{uuid}}", false, false, false},
        {"{{payload}}", false, false, false}, {"{{encoding}}", false, false, false}, {"{{time}}", false, false, true},
        {"{{uuid}}{{time_ms}}", false, false, true}, {"{{position}}", false, false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_template *template = compile(RKB_TEMPLATE_PLAIN, cases[i].text);
        assert_int_equal(rkb_template_constant(template), cases[i].constant);
        assert_int_equal(rkb_template_per_channel(template), cases[i].per_channel);
        assert_int_equal(rkb_template_uses_position(template), cases[i].position);
        rkb_template_free(template);
    }
    rkb_template_free(NULL);
}

static void nothing_of_text_or_scope_is_kept(void **state)
{
    (void)state;
    char text[] = "\"{{source}} at {{channel}}\"", source[] = "legacy";
    struct rkb_template_scope scope = {.source = forms(source, source)};
    struct rkb_template *template = rkb_template_compile(RKB_TEMPLATE_JSON, rkb_slice_text(text), &scope, NULL, NULL);
    memset(text, '#', sizeof text);
    memset(source, '#', sizeof source);
    struct rkb_facts facts = test_facts(rkb_slice_text("x"), RKB_PAYLOAD_AUTO);
    struct rkb_slice got = render(template, &facts);
    assert_true(rkb_slice_equal(got, rkb_slice_text("\"legacy at user:\\\"1\\\"\"")));
    free_slice(got);
    rkb_template_free(template);
}

static void the_template_of_bytes_is_the_payload(void **state)
{
    (void)state;
    struct rkb_template *template = rkb_template_bytes(NULL);
    for (int kind = RKB_PAYLOAD_AUTO; kind <= RKB_PAYLOAD_BASE64; kind++) {
        struct rkb_facts facts = test_facts(rkb_slice("\0\xFF\"", 3), (enum rkb_payload_kind)kind);
        struct rkb_slice got = render(template, &facts);
        assert_true(rkb_slice_equal(got, facts.payload));
        free_slice(got);
    }
    assert_false(rkb_template_per_channel(template));
    rkb_template_free(template);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static size_t random_payload(uint64_t *seed, uint8_t *out, size_t limit)
{
    static const char *const json[] = {"{\"a\":[1,2,{\"b\":null}]}", " [ ] ", "\"\\ud83d\\ude00\"", "12.5e3",
        "\n{\n}\n", "\"{{uuid}}\"", "true"};
    static const char *const text[] = {"\xC3\xA9", "\"", "\\", "\n", "\x01", "{{", "}}", "plain ", "\xF0\x9F\x98\x80",
        "\xEF\xBB\xBF", "\x7F", "0123456789abcdef", ",", "]"};
    uint32_t sort = next_random(seed) % 3;
    size_t size = 0;
    if (sort == 0) {
        const char *chosen = json[next_random(seed) % (sizeof json / sizeof json[0])];
        size = strlen(chosen);
        memcpy(out, chosen, size);
    } else {
        for (uint32_t count = next_random(seed) % 12; count > 0 && size + 16 <= limit; count--) {
            const char *chosen = text[next_random(seed) % (sizeof text / sizeof text[0])];
            memcpy(out + size, chosen, strlen(chosen));
            size += strlen(chosen);
            if (sort == 2)
                out[size++ - 1] = (uint8_t)next_random(seed);
        }
        size = size > limit ? limit : size;
    }
    return size;
}

/* For every kind of payload and every payload setting, what renders is one JSON text: by our scanner and by jansson. */
static void json_templates_give_json_for_any_payload(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "\"{{payload}}\"",
        "{\"{{payload}}\": \"{{payload}}\", \"t\": \"{{payload_text}}\", \"b\": \"{{payload_base64}}\"}",
        "[\"x{{payload}}y{{payload_text}}\", \"{{encoding}}\", \"{{time_ms}}\", [\"{{pattern}}\"]]",
        ("{\"name\": \"{{channel}}\", \"data\": {\"id\": \"{{uuid}}\", \"payload\": \"{{payload}}\", \"at\": "
         "\"{{time}}\", \"{{position}}\": \"{{route}} {{source}}{{instance}}\"}}"), "\"\\\\{{payload}}\\\"\"",
    };
    enum { TEXTS = sizeof texts / sizeof texts[0], PAYLOAD_IN_KEY = 1 };      /* jansson knows no NUL in a key */
    struct rkb_template *templates[TEXTS];
    for (size_t i = 0; i < TEXTS; i++)
        templates[i] = compile(RKB_TEMPLATE_JSON, texts[i]);
    uint64_t seed = 4;
    size_t seen[3] = {0};
    for (int round = 0; round < 20000; round++) {
        uint8_t payload[256];
        size_t size = random_payload(&seed, payload, sizeof payload);
        struct rkb_facts facts = test_facts(rkb_slice(payload, size), (enum rkb_payload_kind)(next_random(&seed) % 4));
        struct rkb_slice got = render(templates[round % TEXTS], &facts);
        json_t *parsed = json_loadb((const char *)got.data, got.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        bool jansson_cannot = round % TEXTS == PAYLOAD_IN_KEY && memchr(payload, '\0', size) != NULL;
        if (!rkb_json_valid(got, NULL) || (parsed == NULL && !jansson_cannot))
            fail_msg("not JSON: %.*s", (int)got.size, (const char *)got.data);
        json_decref(parsed);
        free_slice(got);
        seen[facts.encoding]++;
    }
    assert_true(seen[RKB_ENCODING_JSON] > 1000 && seen[RKB_ENCODING_TEXT] > 1000 && seen[RKB_ENCODING_BASE64] > 1000);
    for (size_t i = 0; i < TEXTS; i++)
        rkb_template_free(templates[i]);
}

/* As text, a UTF-8 payload comes back the same from a JSON parser. */
static void text_comes_back(void **state)
{
    (void)state;
    struct rkb_template *template = compile(RKB_TEMPLATE_JSON, "[\"{{payload_text}}\"]");
    uint64_t seed = 5;
    for (int round = 0; round < 5000; round++) {
        uint8_t payload[256];
        size_t size = random_payload(&seed, payload, sizeof payload);
        struct rkb_facts facts = test_facts(rkb_slice(payload, size), RKB_PAYLOAD_TEXT);
        if (facts.encoding != RKB_ENCODING_TEXT)
            continue;
        struct rkb_slice got = render(template, &facts);
        json_t *parsed = json_loadb((const char *)got.data, got.size, JSON_ALLOW_NUL, NULL);
        json_t *text = json_array_get(parsed, 0);
        assert_int_equal(json_string_length(text), size);
        assert_memory_equal(json_string_value(text), payload, size);
        json_decref(parsed);
        free_slice(got);
    }
    rkb_template_free(template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_slot_in_every_context),
        cmocka_unit_test(the_payload_by_its_encoding),
        cmocka_unit_test(no_pattern_is_null_or_nothing),
        cmocka_unit_test(braces_and_literals),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(pointers_and_captures_in_every_context),
        cmocka_unit_test(what_a_template_needs),
        cmocka_unit_test(nothing_of_text_or_scope_is_kept),
        cmocka_unit_test(the_template_of_bytes_is_the_payload),
        cmocka_unit_test(json_templates_give_json_for_any_payload),
        cmocka_unit_test(text_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
