/*
 * A route's checks as they are read: what each name becomes, and that the judge takes it. What is wrong with them is in
 * tests/unit/data/config/checks.txt.
 */
#include "config_files.h"

#include "message/json.h"
#include "message/judge.h"

static struct rkb_config *read_route(const char *checks)
{
    struct rkb_buffer text = {0};
    rkb_buffer_text(&text, "routes:\n  a:\n    source: legacy\n    channels: [x]\n    topic: t\n");
    rkb_buffer_text(&text, checks);
    rkb_buffer_add(&text, "", 1);
    struct rkb_config *config = read_good(&files, (char *)text.data);
    rkb_buffer_free(&text);
    return config;
}

static void nothing_is_checked_by_default(void **state)
{
    (void)state;
    struct rkb_config *config = read_route("");
    struct rkb_judge_spec spec = rkb_config_checks(&config->routes[0]);
    assert_int_equal(spec.require, RKB_REQUIRE_ANY);
    assert_int_equal(spec.expect_count, 0);
    assert_int_equal(spec.filter_count, 0);
    rkb_config_free(config);
}

static void every_part_of_expect(void **state)
{
    (void)state;
    setenv("RKB_LEAST", "3", 1);
    struct rkb_config *config = read_route(
        "    require: object\n"
        "    expect:\n"
        "      - {at: /a, type: [string, \"null\"], optional: yes, min_length: '${RKB_LEAST}', max_length: 20}\n"
        "      - at: \"\"\n"
        "      - {at: /b, type: integer, min: -1.5, max: 1e400}\n"
        "      - {at: /c, enum: [red, 5, '5', \"null\", null, true, 007, ~], pattern: '^.'}\n");
    struct rkb_judge_spec spec = rkb_config_checks(&config->routes[0]);
    assert_int_equal(spec.require, RKB_REQUIRE_OBJECT);
    assert_int_equal(spec.expect_count, 4);
    const struct rkb_expect_spec *a = &spec.expects[0], *whole = &spec.expects[1], *b = &spec.expects[2],
                                 *c = &spec.expects[3];
    assert_string_equal(a->at, "/a");
    assert_int_equal(a->types, RKB_JSON_STRING | RKB_JSON_NULL);
    assert_true(a->optional);
    assert_int_equal(a->min_length, 3);
    assert_int_equal(a->max_length, 20);
    assert_string_equal(whole->at, "");
    assert_int_equal(whole->types, 0);
    assert_int_equal(whole->max_length, RKB_NO_LENGTH);
    assert_false(whole->optional);
    assert_string_equal(b->min, "-1.5");
    assert_string_equal(b->max, "1e400");
    assert_string_equal(c->pattern, "^.");
    assert_int_equal(c->value_count, 8);
    /* What has quotes is a string; what has none is what it reads as in JSON. */
    static const bool is_string[] = {false, false, true, true, false, false, false, false};
    static const enum rkb_json_type types[] = {RKB_JSON_STRING, RKB_JSON_NUMBER, RKB_JSON_STRING, RKB_JSON_STRING,
                                               RKB_JSON_NULL, RKB_JSON_BOOLEAN, RKB_JSON_STRING, RKB_JSON_STRING};
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(c->values[i].is_string, is_string[i]);
        struct rkb_json_constant constant = rkb_json_constant(rkb_slice_text(c->values[i].text), is_string[i]);
        assert_int_equal(constant.type, types[i]);
    }
    rkb_config_free(config);
}

static void one_rule_needs_no_list(void **state)
{
    (void)state;
    struct rkb_config *config = read_route("    expect: {at: /a, type: array}\n    filter: {at: /b, exists: no}\n");
    struct rkb_judge_spec spec = rkb_config_checks(&config->routes[0]);
    assert_int_equal(spec.expect_count, 1);
    assert_int_equal(spec.expects[0].types, RKB_JSON_ARRAY);
    assert_int_equal(spec.filter_count, 1);
    assert_int_equal(spec.filters[0].kind, RKB_FILTER_EXISTS);
    assert_false(spec.filters[0].exists);
    rkb_config_free(config);
}

static void every_kind_of_filter(void **state)
{
    (void)state;
    struct rkb_config *config = read_route("    filter: [{at: /a, equals: 5}, {equals: '5', at: /a}, {at: /b, "
                                           "glob: 'de-*'}, {at: /c, exists: yes}]\n");
    struct rkb_judge_spec spec = rkb_config_checks(&config->routes[0]);
    assert_int_equal(spec.filter_count, 4);
    assert_int_equal(spec.filters[0].kind, RKB_FILTER_EQUALS);
    assert_false(spec.filters[0].equals.is_string);
    assert_true(spec.filters[1].equals.is_string);
    assert_string_equal(spec.filters[1].at, "/a");
    assert_string_equal(spec.filters[2].glob, "de-*");
    assert_true(spec.filters[3].exists);
    rkb_config_free(config);
}

static enum rkb_verdict_kind judge(const struct rkb_config_route *route, const char *payload)
{
    struct rkb_judge_spec spec = rkb_config_checks(route);
    struct rkb_pointers *pointers = rkb_pointers_new();
    struct rkb_judge *made;
    struct rkb_error error;
    assert_true(rkb_judge_compile(&spec, pointers, &made, &error));
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_judge_facts facts = {.payload = rkb_slice_text(payload), .found = found};
    facts.is_json = rkb_pointers_find(pointers, facts.payload, RKB_JSON_DEPTH, found);
    struct rkb_verdict verdict;
    rkb_judge(made, &facts, &verdict);
    rkb_judge_free(made);
    rkb_pointers_free(pointers);
    return verdict.kind;
}

static void the_judge_takes_what_was_read(void **state)
{
    (void)state;
    struct rkb_config *config = read_route("    expect:\n"
                                           "      - {at: /inventory_count, type: integer, min: 0}\n"
                                           "      - {at: /product_code, pattern: \"^[A-Z]{3}-[0-9]+$\"}\n"
                                           "    filter: {at: /test, exists: no}\n");
    const struct rkb_config_route *route = &config->routes[0];
    assert_int_equal(judge(route, "{\"inventory_count\":0,\"product_code\":\"ABC-1\"}"), RKB_PASS);
    assert_int_equal(judge(route, "{\"inventory_count\":-1,\"product_code\":\"ABC-1\"}"), RKB_REJECTED);
    assert_int_equal(judge(route, "{\"inventory_count\":1,\"product_code\":\"abc-1\"}"), RKB_REJECTED);
    assert_int_equal(judge(route, "{\"inventory_count\":-1,\"test\":1}"), RKB_FILTERED);
    rkb_config_free(config);
}

#define PRICED "{\"properties\": {\"price\": {\"minimum\": 0}}}"

static void a_schema_is_read_with_the_config(void **state)
{
    (void)state;
    files_add(&files, "priced.json", PRICED, strlen(PRICED));
    char *absolute = replaced_directory(&files, "    schema: '@/priced.json'\n");
    const char *const names[] = {"    schema: priced.json\n", absolute};
    for (size_t i = 0; i < 2; i++) {
        struct rkb_config *config = read_route(names[i]);
        assert_int_equal(judge(&config->routes[0], "{\"price\":0}"), RKB_PASS);
        assert_int_equal(judge(&config->routes[0], "{\"price\":-1}"), RKB_REJECTED);
        rkb_config_free(config);
    }
    free(absolute);
    files_remove(&files, "priced.json");
}

static void a_mistake_in_a_schema_has_its_place(void **state)
{
    (void)state;
    static const char bad[] = "{\n  \"minimum\": true,\n  \"formatt\": 1\n}";
    struct rkb_mistakes mistakes;
    files_add(&files, "bad.json", bad, strlen(bad));
    write_completed(&files, "routes:\n  a:\n    source: legacy\n    channels: [x]\n    topic: t\n    schema: bad.json\n"
                            "  b:\n    source: legacy\n    channels: [y]\n    topic: t\n    schema: none.json\n");
    assert_null(rkb_config_read(files.config, false, &mistakes));
    const char *text = (const char *)mistakes.text.data;
    assert_int_equal(mistakes.count, 3);
    assert_non_null(strstr(text, ":6:13: routes.a.schema: bad.json:2:14: "));
    assert_non_null(strstr(text, ":6:13: routes.a.schema: bad.json:3:3: "));
    assert_non_null(strstr(text, ":11:13: routes.b.schema: "));
    rkb_mistakes_free(&mistakes);
    files_remove(&files, "bad.json");
}

/* `count` rules, each with a pointer of its own. */
static struct rkb_config *read_many(size_t count, struct rkb_mistakes *mistakes)
{
    struct rkb_buffer text = {0};
    rkb_buffer_text(&text, "routes:\n  a:\n    source: legacy\n    channels: [x]\n    topic: t\n    expect:\n");
    for (size_t i = 0; i < count; i++)
        rkb_buffer_format(&text, "      - {at: /%zu}\n", i);
    rkb_buffer_add(&text, "", 1);
    write_completed(&files, (char *)text.data);
    rkb_buffer_free(&text);
    return rkb_config_read(files.config, false, mistakes);
}

static void pointers_have_their_limit(void **state)
{
    (void)state;
    struct rkb_mistakes mistakes;
    rkb_config_free(read_many(RKB_POINTERS_LIMIT, &mistakes));
    assert_int_equal(mistakes.count, 0);
    rkb_mistakes_free(&mistakes);
    assert_null(read_many(RKB_POINTERS_LIMIT + 1, &mistakes));
    assert_int_equal(mistakes.count, 1);
    const char *wanted = ":7:7: routes.a.expect: expect, rule 65 (at /64): more than 64";
    assert_non_null(strstr((char *)mistakes.text.data, wanted));
    rkb_mistakes_free(&mistakes);
}

/* Only we may write there, whatever the umask; others come in as the socket's mode lets them. What is there stays. */
static void the_directory_of_the_socket(void **state)
{
    (void)state;
    static const struct { const char *socket_mode; mode_t mode; } rows[] = {
        {"0660", 0750}, {"0600", 0750}, {"0666", 0755}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[400], path[240];
        struct stat there;
        struct rkb_error error;
        snprintf(path, sizeof path, "%s/run-%zu", files.directory, i);
        snprintf(text, sizeof text, "routes: {a: {source: legacy, channels: [x], topic: t}}\n"
                 "control: {socket: @/run-%zu/control.sock, socket_mode: '%s'}\n", i, rows[i].socket_mode);
        struct rkb_config *config = read_good(&files, text);
        mode_t before = umask(0077);
        assert_true(rkb_config_make_directory(config, &error));
        umask(before);
        assert_int_equal(stat(path, &there), 0);
        assert_int_equal(there.st_mode & 07777, rows[i].mode);
        assert_int_equal(chmod(path, 0711), 0);
        assert_true(rkb_config_make_directory(config, &error));
        assert_int_equal(stat(path, &there), 0);
        assert_int_equal(there.st_mode & 07777, 0711);
        assert_int_equal(rmdir(path), 0);
        rkb_config_free(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_checked_by_default),
        cmocka_unit_test(every_part_of_expect),
        cmocka_unit_test(one_rule_needs_no_list),
        cmocka_unit_test(every_kind_of_filter),
        cmocka_unit_test(the_judge_takes_what_was_read),
        cmocka_unit_test(a_schema_is_read_with_the_config),
        cmocka_unit_test(a_mistake_in_a_schema_has_its_place),
        cmocka_unit_test(pointers_have_their_limit),
        cmocka_unit_test(the_directory_of_the_socket),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
