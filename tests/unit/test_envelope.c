/* envelope: the presets as written down, keys, headers, and which setting is at fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/headers.h"
#include "message/envelope.h"
#include "message/json.h"
#include "message/utf8.h"

static struct rkb_name_forms forms(const char *text)
{
    return (struct rkb_name_forms){rkb_slice_text(text), rkb_slice_text(text)};
}

static struct rkb_envelope_spec test_spec(const char *preset)
{
    return (struct rkb_envelope_spec){
        .preset = preset, .scope = {.route = forms("users"), .source = forms("legacy"), .instance = forms("bridge-1")}};
}

static enum rkb_encoding encoding_of(struct rkb_slice payload)
{
    return rkb_json_valid(payload, NULL) ? RKB_ENCODING_JSON
                                         : rkb_utf8_valid(payload) ? RKB_ENCODING_TEXT : RKB_ENCODING_BASE64;
}

static struct rkb_facts test_facts(const char *payload, const char *pattern)
{
    struct rkb_facts facts = {
        .channel = forms("user_created"),
        .pattern = forms(pattern),
        .payload = rkb_slice_text(payload),
        .encoding = encoding_of(rkb_slice_text(payload)),
        .time_ms = rkb_slice_text("1790000000123"),
        .position = rkb_slice_text("00112233445566778899aabbccddeeff:42"),
    };
    memcpy(facts.uuid, "01a0c450-6c00-7000-8001-7ef5d20f7c56", RKB_UUID_TEXT);
    memcpy(facts.time, "2026-09-21T14:13:20.123Z", 24);
    return facts;
}

static struct rkb_envelope *compile(const struct rkb_envelope_spec *spec)
{
    struct rkb_envelope_mistake mistake;
    struct rkb_error error = {.text = ""};
    struct rkb_envelope *envelope = rkb_envelope_compile(spec, &mistake, &error);
    if (envelope == NULL)
        fail_msg("%s", error.text);
    return envelope;
}

struct rendered {
    struct rkb_envelope_sizes sizes;
    uint8_t *bytes;
    struct rkb_slice key, headers, value;
};

static struct rendered render(const struct rkb_envelope *envelope, const struct rkb_facts *facts)
{
    struct rendered rendered;
    memset(&rendered, 0xA5, sizeof rendered);
    rkb_envelope_measure(envelope, facts, &rendered.sizes);
    size_t size = rendered.sizes.key + rendered.sizes.headers + rendered.sizes.value;
    rendered.bytes = malloc(size > 0 ? size : 1);
    assert_ptr_equal(rkb_envelope_render(envelope, facts, &rendered.sizes, rendered.bytes), rendered.bytes + size);
    rendered.key = rkb_slice(rendered.bytes, rendered.sizes.key);
    rendered.headers = rkb_slice(rendered.bytes + rendered.sizes.key, rendered.sizes.headers);
    rendered.value = rkb_slice(rendered.headers.data + rendered.sizes.headers, rendered.sizes.value);
    return rendered;
}

static void check_value(const struct rkb_envelope_spec *spec, const struct rkb_facts *facts, const char *expected)
{
    struct rkb_envelope *envelope = compile(spec);
    struct rendered rendered = render(envelope, facts);
    if (!rkb_slice_equal(rendered.value, rkb_slice_text(expected)))
        fail_msg("%.*s, not %s", (int)rendered.value.size, (const char *)rendered.value.data, expected);
    free(rendered.bytes);
    rkb_envelope_free(envelope);
}

static void check_headers(struct rkb_slice headers, const char *const (*expected)[2], size_t count)
{
    struct rkb_reader reader = rkb_reader(headers.data, headers.size);
    for (size_t i = 0; i < count; i++) {
        uint16_t name_size = rkb_read_u16(&reader);
        uint32_t value_size = rkb_read_u32(&reader);
        assert_true(rkb_slice_equal(rkb_read_slice(&reader, name_size), rkb_slice_text(expected[i][0])));
        assert_true(rkb_slice_equal(rkb_read_slice(&reader, value_size), rkb_slice_text(expected[i][1])));
    }
    assert_false(reader.failed);
    assert_int_equal(reader.at, reader.size);
}

static void the_event_preset(void **state)
{
    (void)state;
    struct rkb_envelope_spec spec = test_spec("event");
    struct rkb_facts facts = test_facts("{\"id\": 7}", "");
    spec.payload_name = "user";
    check_value(&spec, &facts,
                "{\"name\":\"user_created\",\"data\":{\"id\":\"01a0c450-6c00-7000-8001-7ef5d20f7c56\","
                "\"user\":{\"id\": 7}}}");
    spec.payload_name = NULL;
    check_value(&spec, &facts,
                "{\"name\":\"user_created\",\"data\":{\"id\":\"01a0c450-6c00-7000-8001-7ef5d20f7c56\","
                "\"payload\":{\"id\": 7}}}");
    facts = test_facts("", "");
    check_value(&spec, &facts,
                "{\"name\":\"user_created\",\"data\":{\"id\":\"01a0c450-6c00-7000-8001-7ef5d20f7c56\","
                "\"payload\":\"\"}}");
    struct rkb_envelope *envelope = compile(&spec);
    struct rendered rendered = render(envelope, &facts);
    assert_false(rendered.sizes.has_key);
    assert_int_equal(rendered.sizes.header_count, 1);       /* the value does not tell it from JSON's "" */
    check_headers(rendered.headers, (const char *const[][2]){{"rkb-encoding", "text"}}, 1);
    assert_false(rkb_envelope_uses_position(envelope));
    free(rendered.bytes);
    facts = test_facts("\"\"", "");
    rendered = render(envelope, &facts);
    assert_int_equal(rendered.sizes.header_count, 0);
    assert_int_equal(rendered.sizes.headers, 0);
    free(rendered.bytes);
    rkb_envelope_free(envelope);
}

static void the_payloads_name_means_itself(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        {"a\"b\\c\n", "a\\\"b\\\\c\\n"}, {"{{uuid}}", "{{uuid}}"}, {"{{", "{{"}, {"{{{", "{{{"}, {"{{{{", "{{{{"},
        {"{{{{{", "{{{{{"}, {"{", "{"}, {"a{{b{{c", "a{{b{{c"}, {"}}", "}}"}, {"\xC3\xA9", "\xC3\xA9"}, {"Id", "Id"},
    };
    struct rkb_facts facts = test_facts("1", "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct rkb_envelope_spec spec = test_spec("event");
        char expected[200];
        spec.payload_name = names[i][0];
        snprintf(expected, sizeof expected,
                 "{\"name\":\"user_created\",\"data\":{\"id\":\"01a0c450-6c00-7000-8001-7ef5d20f7c56\",\"%s\":1}}",
                 names[i][1]);
        check_value(&spec, &facts, expected);
    }
}

static void check_raw(const struct rkb_envelope_spec *spec, struct rkb_facts facts, const char *const (*headers)[2],
                      size_t count)
{
    struct rkb_envelope *envelope = compile(spec);
    struct rendered rendered = render(envelope, &facts);
    assert_int_equal(rendered.sizes.header_count, count);
    check_headers(rendered.headers, headers, count);
    assert_true(rkb_slice_equal(rendered.value, facts.payload));
    assert_int_equal(rkb_envelope_uses_position(envelope), spec->rkb_headers);
    free(rendered.bytes);
    rkb_envelope_free(envelope);
}

static void the_raw_preset(void **state)
{
    (void)state;
    static const char *const by_pattern[][2] = {
        {"rkb-id", "01a0c450-6c00-7000-8001-7ef5d20f7c56"}, {"rkb-channel", "user_created"},
        {"rkb-pattern", "user_*"}, {"rkb-source", "legacy"},
        {"rkb-position", "00112233445566778899aabbccddeeff:42"}, {"rkb-time", "2026-09-21T14:13:20.123Z"},
        {"rkb-encoding", "base64"},
    };
    static const char *const exact[][2] = {
        {"rkb-id", "01a0c450-6c00-7000-8001-7ef5d20f7c56"}, {"rkb-channel", "user_created"}, {"rkb-source", "legacy"},
        {"rkb-position", "00112233445566778899aabbccddeeff:42"}, {"rkb-time", "2026-09-21T14:13:20.123Z"},
        {"rkb-encoding", "json"},
    };
    static const char *const by_other_key[][2] = {
        {"rkb-id", "01a0c450-6c00-7000-8001-7ef5d20f7c56"}, {"rkb-channel", "user_created"},
    };
    struct rkb_envelope_spec spec = test_spec("raw");
    spec.key = "{{channel}}";
    check_raw(&spec, test_facts("\xFF\x01", "user_*"), by_other_key, 1);     /* the channel is the key */
    spec.key = "{{encoding}}";
    check_raw(&spec, test_facts("\xFF\x01", "user_*"), by_other_key, 2);
    spec.key = NULL;
    check_raw(&spec, test_facts(" {} ", ""), by_other_key, 2);
    spec.key = "{{channel}}";
    spec.rkb_headers = true;
    check_raw(&spec, test_facts("\xFF\x01", "user_*"), by_pattern, 7);
    check_raw(&spec, test_facts(" {} ", ""), exact, 6);
}

/* Behind those that count: what a dead letter could not have otherwise, and only that. */
static void kept_headers(void **state)
{
    (void)state;
    static const struct {
        const char *preset, *key;
        bool rkb_headers;
        uint16_t counted;
        const char *kept[2];
    } rows[] = {
        {"event", "{{channel}}", false, 0, {NULL}},
        {"event", "{{payload:/n}}", false, 0, {"rkb-channel"}},
        {"flat", NULL, false, 0, {"rkb-channel"}},
        {"event", "{{payload:/n}}", true, 6, {NULL}},
        {NULL, "{{channel}}", false, 0, {"rkb-id"}},
        {NULL, "a {{channel}}", false, 0, {"rkb-channel", "rkb-id"}},
        {NULL, NULL, true, 6, {NULL}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_envelope_spec spec = test_spec(rows[i].preset);
        struct rkb_facts facts = test_facts("text", "");
        facts.encoding = RKB_ENCODING_JSON;
        facts.found = (const struct rkb_slice[]){rkb_slice_text("1")};
        spec.scope.pointers = rkb_pointers_new();
        spec.value = rows[i].preset == NULL ? "{}" : NULL;
        spec.key = rows[i].key;
        spec.rkb_headers = rows[i].rkb_headers;
        spec.kept = true;
        struct rkb_envelope *envelope = compile(&spec);
        struct rendered rendered = render(envelope, &facts);
        struct rkb_reader area = rkb_reader(rendered.headers.data, rendered.headers.size);
        struct rkb_slice name, value;
        assert_int_equal(rendered.sizes.header_count, rows[i].counted);
        for (size_t skip = 0; skip < rows[i].counted; skip++)
            assert_true(rkb_headers_next(&area, &name, &value));
        for (size_t j = 0; j < 2 && rows[i].kept[j] != NULL; j++) {
            bool is_id = strcmp(rows[i].kept[j], "rkb-id") == 0;
            assert_true(rkb_headers_next(&area, &name, &value));
            assert_true(rkb_slice_equal(name, rkb_slice_text(rows[i].kept[j])));
            assert_true(rkb_slice_equal(value, is_id ? rkb_slice(facts.uuid, RKB_UUID_TEXT) : facts.channel.plain));
        }
        assert_false(rkb_headers_next(&area, &name, &value));
        assert_false(area.failed);
        free(rendered.bytes);
        rkb_envelope_free(envelope);
        rkb_pointers_free(spec.scope.pointers);
    }
}

static void a_value_of_ones_own(void **state)
{
    (void)state;
    struct rkb_envelope_spec spec = test_spec(NULL);
    struct rkb_facts facts = test_facts("[1]", "");
    spec.value = "{ \"from\": \"{{source}}/{{route}}/{{instance}}\", \"body\": \"{{payload}}\", \"at\": "
                 "\"{{time_ms}}\" }";
    check_value(&spec, &facts, "{\"from\":\"legacy/users/bridge-1\",\"body\":[1],\"at\":1790000000123}");
    struct rkb_envelope *envelope = compile(&spec);
    assert_int_equal(rkb_envelope_form(envelope), RKB_FORM_UNKNOWN);
    assert_true(rkb_envelope_uses_position(envelope));
    rkb_envelope_free(envelope);
}

static void keys(void **state)
{
    (void)state;
    static const struct {
        const char *key, *pattern, *expected;
        bool position;
    } cases[] = {
        {NULL, "", NULL, false}, {"", "", NULL, false}, {"none", "u*", NULL, false},
        {"x{{pattern}}", "", NULL, false}, {"{{pattern}}", "", NULL, false},
        {"{{pattern}}", "u*", "u*", false}, {"fixed", "", "fixed", false},
        {"{{channel}}-{{encoding}}", "", "user_created-json", false},
        {"{{position}}", "", "00112233445566778899aabbccddeeff:42", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_envelope_spec spec = test_spec("event");
        spec.key = cases[i].key;
        struct rkb_envelope *envelope = compile(&spec);
        struct rkb_facts facts = test_facts("1", cases[i].pattern);
        struct rendered rendered = render(envelope, &facts);
        assert_int_equal(rendered.sizes.has_key, cases[i].expected != NULL);
        assert_true(rkb_slice_equal(rendered.key, rkb_slice_text(cases[i].expected == NULL ? "" : cases[i].expected)));
        assert_true(rkb_json_valid(rendered.value, NULL));
        assert_int_equal(rkb_envelope_uses_position(envelope), cases[i].position);
        free(rendered.bytes);
        rkb_envelope_free(envelope);
    }
    rkb_envelope_free(NULL);
}

/* What a slot means, less what a CloudEvent may not have; where there is nothing, one U+FFFD. */
static void the_type_of_a_cloudevent(void **state)
{
    (void)state;
    static const struct {
        const char *name, *plain, *json;
    } cases[] = {
        {"{{channel}}.v1", "user_created.v1", "user_created.v1"},
        {"{{payload:/t}}", "a\xEF\xBF\xBD\"\xC3\xA9", "a\xEF\xBF\xBD\\\"\xC3\xA9"},
        {"\"{{payload:/n}}\\", "\"\xEF\xBF\xBD\\", "\\\"\xEF\xBF\xBD\\\\"},
        {"{{payload:/none}}.{{pattern}}", "\xEF\xBF\xBD.\xEF\xBF\xBD", "\xEF\xBF\xBD.\xEF\xBF\xBD"},
        {"{{payload:/number}}", "1.0", "1.0"}, {"{{payload_base64}}", "e30=", "e30="},
        {"{{instance}}", "b\"\xEF\xBF\xBD", "b\\\"\xEF\xBF\xBD"}, {"{{{{x}}", "{{x}}", "{{x}}"},
    };
    static const char payload[] = "{\"t\":\"a\\n\\\"\\u00e9\",\"n\":null,\"number\":1.0}";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int json = 0; json < 2; json++) {
            struct rkb_envelope_spec spec = test_spec(json ? "cloudevents-json" : "cloudevents");
            struct rkb_facts facts = test_facts("{}", "");
            struct rkb_slice found[RKB_POINTERS_LIMIT];
            char expected[200];
            spec.name = cases[i].name;
            spec.scope.pointers = rkb_pointers_new();
            spec.scope.instance = (struct rkb_name_forms){rkb_slice_text("b\"\n"), rkb_slice_text("b\\\"\\n")};
            struct rkb_envelope *envelope = compile(&spec);
            facts.found = found;
            assert_true(rkb_pointers_find(spec.scope.pointers, rkb_slice_text(payload), 512, found));
            struct rendered rendered = render(envelope, &facts);
            snprintf(expected, sizeof expected, json ? "\"type\":\"%s\",\"subject\"" : "ce_type%s\x0a",
                     json ? cases[i].json : cases[i].plain);
            struct rkb_slice in = json ? rendered.value : rendered.headers;
            if (memmem(in.data, in.size, expected, strlen(expected)) == NULL)
                fail_msg("%s is not in %.*s", expected, (int)in.size, (const char *)in.data);
            free(rendered.bytes);
            rkb_envelope_free(envelope);
            rkb_pointers_free(spec.scope.pointers);
        }
    }
}

static void the_setting_at_fault_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *preset, *value, *key, *payload_name;
        enum rkb_envelope_field field;
        size_t at;
        const char *says;
    } cases[] = {
        {"nope", NULL, NULL, NULL, RKB_FIELD_ENVELOPE, 0, "event, flat, merge, raw, cloudevents"},
        {NULL, NULL, NULL, NULL, RKB_FIELD_ENVELOPE, 0, "event, flat, merge, raw, cloudevents"},
        {NULL, "{\"a\": x}", NULL, NULL, RKB_FIELD_VALUE, 6, "not JSON"},
        {NULL, "[\"{{x}}\"]", NULL, NULL, RKB_FIELD_VALUE, 2, "{{x}}"},
        {"event", NULL, "ab{{x}}", NULL, RKB_FIELD_KEY, 2, "{{x}}"},
        {"raw", NULL, "{{", NULL, RKB_FIELD_KEY, 0, "without"},
        {"event", NULL, NULL, "", RKB_FIELD_PAYLOAD_NAME, 0, "not empty"},
        {"event", NULL, NULL, "a\xFF", RKB_FIELD_PAYLOAD_NAME, 0, "UTF-8"},
        {"event", NULL, NULL, "id", RKB_FIELD_PAYLOAD_NAME, 0, "cannot have this name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_envelope_spec spec = test_spec(cases[i].preset);
        spec.value = cases[i].value;
        spec.key = cases[i].key;
        spec.payload_name = cases[i].payload_name;
        struct rkb_envelope_mistake mistake;
        struct rkb_error error = {.code = RKB_OK};
        assert_null(rkb_envelope_compile(&spec, &mistake, &error));
        assert_int_equal(error.code, RKB_USAGE);
        assert_int_equal(mistake.field, cases[i].field);
        assert_int_equal(mistake.at, cases[i].at);
        assert_non_null(strstr(error.text, cases[i].says));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_event_preset),
        cmocka_unit_test(the_payloads_name_means_itself),
        cmocka_unit_test(the_raw_preset),
        cmocka_unit_test(kept_headers),
        cmocka_unit_test(a_value_of_ones_own),
        cmocka_unit_test(keys),
        cmocka_unit_test(the_type_of_a_cloudevent),
        cmocka_unit_test(the_setting_at_fault_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
