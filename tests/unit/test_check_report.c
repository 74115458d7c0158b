/* Tests of what `rkbctl check` shows: places, grades and their order, both forms, exit codes, the lists of rights. */
#include "config_files.h"

#include <jansson.h>

#include "config/places.h"
#include "tool/check_report.h"
#include "tool/check_rights.h"
#include "tool/check_wanted.h"
#include "tool/tool.h"

static const char config[] =
    "instance: shop\n"
    "redis:\n"
    "  legacy:\n"
    "    url: redis://bridge@127.0.0.1\n"
    "    password: s3cret-and-long\n"
    "kafka:\n"
    "  properties:\n"
    "    bootstrap.servers: 127.0.0.1:9092\n"
    "routes:\n"
    "  users:\n"
    "    source: legacy\n"
    "    channels: [user_created,\n"
    "               'user deleted']\n"
    "    patterns: 'user.*'\n"
    "    topic: user_activity\n";

/* ---- places ---- */

static struct rkb_config *read_placed(const char *text, struct rkb_places *places)
{
    struct rkb_mistakes mistakes;
    write_completed(&files, text);
    *places = (struct rkb_places){0};
    struct rkb_config *read = rkb_config_read_placed(files.config, false, &mistakes, places);
    if (read == NULL)
        fail_msg("%.*s", (int)mistakes.text.size, (char *)mistakes.text.data);
    rkb_mistakes_free(&mistakes);
    return read;
}

static void at(const struct rkb_places *places, const char *path, size_t line, size_t column)
{
    struct rkb_place place = rkb_places_find(places, path);
    if (place.line != line || place.column != column)
        fail_msg("%s is at %zu:%zu", path, place.line, place.column);
}

static void test_places(void **state)
{
    (void)state;
    struct rkb_places places;
    struct rkb_config *read = read_placed(config, &places);
    at(&places, "instance", 1, 11);
    at(&places, "redis.legacy.url", 4, 10);
    at(&places, "redis.legacy.watch", 3, 3);
    at(&places, "redis.legacy", 3, 3);
    at(&places, "kafka.properties.bootstrap.servers", 8, 24);
    at(&places, "kafka.properties.sasl.username", 8, 5);
    at(&places, "routes.users.channels[0]", 12, 16);
    at(&places, "routes.users.channels[1]", 13, 16);
    at(&places, "routes.users.channels[2]", 12, 15);
    at(&places, "routes.users.patterns[0]", 14, 15);
    at(&places, "routes.users.dead_letter", 10, 3);
    at(&places, "journal.max_size", 16, 1);
    at(&places, "http.listen", 0, 0);
    rkb_places_free(&places);
    at(&places, "instance", 0, 0);
    rkb_config_free(read);
}

/* ---- the report ---- */

static char *shown(struct rkb_report *report, void (*show)(struct rkb_report *report, FILE *out))
{
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    show(report, out);
    fclose(out);
    return text;
}

static void test_the_worst_comes_first(void **state)
{
    (void)state;
    struct rkb_places places;
    struct rkb_config *read = read_placed(config, &places);
    struct rkb_report report = {.file = "f.yaml", .places = &places};
    assert_int_equal(rkb_report_verdict(&report), RKB_GRADE_OK);
    rkb_report_add(&report, RKB_GRADE_OK, NULL, "one");
    assert_int_equal(rkb_report_verdict(&report), RKB_GRADE_OK);
    rkb_report_add(&report, RKB_GRADE_WARN, "redis.legacy.url", "two\nlines\x1b[31m");
    rkb_report_change(&report, "ACL SETUSER a &b\\*");
    assert_int_equal(rkb_report_verdict(&report), RKB_GRADE_WARN);
    rkb_report_add(&report, RKB_GRADE_BAD, "routes.users.topic", "three");
    rkb_report_add(&report, RKB_GRADE_BAD, "routes.users.topic", "four");
    assert_int_equal(rkb_report_verdict(&report), RKB_GRADE_BAD);
    rkb_buffer_text(&report.redis_rights, "# said\nACL SETUSER a\n");
    char *text = shown(&report, rkb_report_text);
    assert_string_equal(text,
                        "BAD  f.yaml:15:12: routes.users.topic: three\n"
                        "BAD  f.yaml:15:12: routes.users.topic: four\n"
                        "WARN f.yaml:4:10: redis.legacy.url: two\\nlines\\x1b[31m; to change: ACL SETUSER a &b\\*\n"
                        "OK   f.yaml: one\n"
                        "\n"
                        "# The rights that Redis has to give, for redis-cli:\n"
                        "# said\nACL SETUSER a\n"
                        "\n"
                        "f.yaml: BAD: 2 BAD, 1 WARN, 1 OK\n");
    free(text);
    text = shown(&report, rkb_report_json);
    json_t *whole = json_loads(text, 0, NULL);
    assert_non_null(whole);
    assert_string_equal(strchr(text, '\n'), "\n");
    assert_string_equal(json_string_value(json_object_get(whole, "verdict")), "BAD");
    json_t *third = json_array_get(json_object_get(whole, "findings"), 2);
    assert_string_equal(json_string_value(json_object_get(third, "grade")), "WARN");
    assert_int_equal(json_integer_value(json_object_get(third, "line")), 4);
    assert_string_equal(json_string_value(json_object_get(third, "change")), "ACL SETUSER a &b\\*");
    assert_int_equal(json_array_size(json_object_get(whole, "redis_rights")), 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(whole, "redis_rights"), 0)), "ACL SETUSER a");
    json_decref(whole);
    struct rkb_report broken = {.file = "f.yaml", .places = &places, .failed = true};
    assert_int_equal(rkb_report_verdict(&broken), RKB_GRADE_BAD);
    free(text);
    text = shown(&broken, rkb_report_text);
    assert_string_equal(text, "memory ran out: what stands above is not all\nf.yaml: BAD: 0 BAD, 0 WARN, 0 OK\n");
    free(text);
    report.file = "\xff.yaml";
    text = shown(&report, rkb_report_json);
    assert_non_null(strstr(text, "\"file\":\"\\\\xff.yaml\""));
    free(text);
    rkb_report_free(&report);
    rkb_places_free(&places);
    rkb_config_free(read);
}

/* ---- the command ---- */

static int run(const char *words, char **out, char **err)
{
    char *copy = strdup(words), *argv[12] = {strdup("check")};
    size_t out_size, err_size;
    int argc = 1;
    for (char *word = strtok(copy, " "); word != NULL && argc < 12; word = strtok(NULL, " "))
        argv[argc++] = strdup(strcmp(word, "FILE") == 0 ? files.config : word);
    FILE *to = open_memstream(out, &out_size), *wrong = open_memstream(err, &err_size);
    int code = rkb_tool_check(argc, argv, to, wrong);
    fclose(to);
    fclose(wrong);
    while (argc > 0)
        free(argv[--argc]);
    free(copy);
    return code;
}

static void runs(const char *words, int code, const char *in_out, const char *in_err)
{
    char *out, *err;
    int is = run(words, &out, &err);
    if (is != code || strstr(out, in_out) == NULL || strstr(err, in_err) == NULL)
        fail_msg("%s: %d\n%s\n%s", words, is, out, err);
    assert_null(strstr(out, "s3cret"));
    free(out);
    free(err);
}

static void test_exit_codes(void **state)
{
    (void)state;
    write_completed(&files, config);
    runs("-c FILE", 0, ": OK: 0 BAD, 0 WARN, 1 OK\n", "");
    runs("-c FILE --json", 0, "{\"verdict\":\"OK\"", "");
    runs("", 64, "", "usage:");
    runs("-c", 64, "", "usage:");
    runs("-c FILE more", 64, "", "usage:");
    runs("-c FILE --nonsense", 64, "", "usage:");
    runs("-c /nowhere.yaml", 64, "BAD  /nowhere.yaml: ", "");
    write_completed(&files,
                    "routes: {all: {source: legacy, patterns: ['*'], topic: all, key: '{{route}}', partitions: 4}}\n");
    runs("-c FILE", 1, "WARN ", "");
    write_completed(&files, "redis: {legacy: {url: 'redis://127.0.0.1:1'}}\n"
                            "kafka: {properties: {bootstrap.servers: '127.0.0.1:1'}}\n");
    runs("-c FILE --connect", 2, ": BAD: ", "");
    write_completed(&files, "instance: shop\nnonsense: 1\njournal: {directory: @/j, max_size: 1}\n");
    runs("-c FILE", 64, ":2:1: ", "");
    runs("-c FILE", 64, "\nBAD  ", "");
    runs("-c FILE --json", 64, "\"line\":2,\"column\":1", "");
}

/* ---- what is wanted, and the rights to it ---- */

static char *rights(const char *text, void (*list)(const struct rkb_config *config, struct rkb_buffer *out))
{
    struct rkb_buffer out = {0};
    struct rkb_config *read = read_good(&files, text);
    list(read, &out);
    rkb_buffer_add(&out, "", 1);
    assert_false(out.failed);
    rkb_config_free(read);
    return (char *)out.data;
}

static void lists(const char *text, void (*list)(const struct rkb_config *config, struct rkb_buffer *out),
                  const char *line)
{
    char *all = rights(text, list);
    const char *found = strstr(all, line);
    if (found == NULL || (found != all && found[-1] != '\n'))
        fail_msg("no line \"%s\" in\n%s", line, all);
    free(all);
}

static void lists_not(const char *text, void (*list)(const struct rkb_config *config, struct rkb_buffer *out),
                      const char *part)
{
    char *all = rights(text, list);
    if (strstr(all, part) != NULL)
        fail_msg("\"%s\" in\n%s", part, all);
    free(all);
}

#define CANARY "instance: here\ncanary: {topic: flows}\n"

static void test_rights_of_redis(void **state)
{
    (void)state;
    lists(config, rkb_rights_redis, "ACL SETUSER bridge on >PASSWORD resetchannels +subscribe +psubscribe +unsubscribe "
                                    "+punsubscribe +ping +client|setname\n");
    lists(config, rkb_rights_redis, "ACL SETUSER bridge &user_created &user?deleted &user.*\n");
    lists(config, rkb_rights_redis, "ACL SETUSER bridge +client|id +config|get +info +client|list\n");
    lists_not(config, rkb_rights_redis, "s3cret");
    lists_not("redis: {legacy: {url: 'redis://b@h', watch: none}}\n", rkb_rights_redis, "+info");
    lists("redis: {legacy: {url: 'redis://h'}}\n", rkb_rights_redis, "ACL SETUSER rkbridge on >PASSWORD");
    lists_not("redis: {legacy: {url: 'redis://h'}}\n", rkb_rights_redis, "SETUSER default");
    lists_not("redis: {legacy: {url: 'redis://default@h'}}\n", rkb_rights_redis, "SETUSER default");
    lists_not(config, rkb_rights_redis, "+publish");
    lists(CANARY, rkb_rights_redis, "ACL SETUSER rkbridge &* &rkbridge:canary:here:legacy\n");
    lists(CANARY, rkb_rights_redis, "ACL SETUSER rkbridge +client|id +config|get +info +publish +client|list\n");
    lists(CANARY, rkb_rights_kafka, "kafka-acls.sh --bootstrap-server 127.0.0.1:9092 --add --allow-principal "
                                    "User:ANONYMOUS --operation Describe --operation Write --operation DescribeConfigs "
                                    "--topic flows\n");
}

static void test_many_channels_are_several_lines(void **state)
{
    (void)state;
    struct rkb_buffer text = {0};
    rkb_buffer_text(&text, "routes:\n  many:\n    source: legacy\n    topic: t\n    channels:\n");
    for (int i = 0; i < 200; i++)
        rkb_buffer_format(&text, "      - channel.%d\n", i);
    rkb_buffer_text(&text, "  more: {source: legacy, topic: t, patterns: channel.7}\n");
    rkb_buffer_add(&text, "", 1);
    char *all = rights((char *)text.data, rkb_rights_redis);
    size_t names = 0, longest = 0;
    for (char *line = strtok(all, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        longest = strlen(line) > longest ? strlen(line) : longest;
        for (const char *name = line; (name = strstr(name, " &")) != NULL; name++)
            names++;
    }
    assert_int_equal(names, 201);
    assert_in_range(longest, 300, 800);
    free(all);
    rkb_buffer_free(&text);
}

#define LOGIN "security.protocol: SASL_SSL, sasl.mechanism: SCRAM-SHA-256, sasl.username: shop, " \
              "sasl.password: s3cret-and-long"
#define LINE "kafka-acls.sh --bootstrap-server h:1 --add --allow-principal "

static void test_rights_of_kafka(void **state)
{
    (void)state;
    static const char routes[] =
        "kafka: {properties: {bootstrap.servers: 'h:1', " LOGIN "}}\n"
        "redis: {legacy: {url: 'redis://h', gap_topic: gaps}}\n"
        "routes:\n"
        "  a: {source: legacy, channels: a, topic: t, dead_letter: d}\n"
        "  b: {source: legacy, channels: b, topic: t}\n"
        "  c: {source: legacy, patterns: 'c.*', topic: 'stock.{{1}}'}\n"
        "  d: {source: legacy, patterns: 'd.*', topic: '{{1}}'}\n";
    static const char may[] = LINE "User:shop --operation Describe --operation Write --operation DescribeConfigs ";
    char line[300];
    static const char *const ends[] = {"--topic t\n", "--topic d\n", "--topic gaps\n",
                                       "--resource-pattern-type prefixed --topic stock.\n", "--topic '*'\n"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(line, sizeof line, "%s%s", may, ends[i]);
        lists(routes, rkb_rights_kafka, line);
    }
    lists(routes, rkb_rights_kafka, LINE "User:shop --operation IdempotentWrite --cluster\n");
    lists(routes, rkb_rights_kafka, LINE "User:shop --operation DescribeConfigs --cluster\n");
    lists_not(routes, rkb_rights_kafka, "s3cret");
    lists_not(routes, rkb_rights_kafka, "Create");
    static const char makes[] = "kafka: {create_topics: yes, properties: {bootstrap.servers: 'h:1'}}\n";
    lists(makes, rkb_rights_kafka,
          LINE "User:ANONYMOUS --operation Describe --operation Write --operation DescribeConfigs "
          "--operation Create --topic all\n");
    lists_not(makes, rkb_rights_kafka, "--operation DescribeConfigs --cluster");
}

static void is_principal(const char *properties, const char *principal)
{
    char text[400], found[RKB_PRINCIPAL];
    snprintf(text, sizeof text, "kafka: {properties: {bootstrap.servers: 'h:1'%s}}\n", properties);
    struct rkb_config *read = read_good(&files, text);
    rkb_rights_principal(read, found);
    assert_string_equal(found, principal);
    rkb_config_free(read);
}

static void test_principals(void **state)
{
    (void)state;
    is_principal("", "User:ANONYMOUS");
    is_principal(", security.protocol: plaintext", "User:ANONYMOUS");
    is_principal(", security.protocol: ssl", "User:NAME");
    is_principal(", security.protocol: SASL_PLAINTEXT, sasl.mechanisms: PLAIN, sasl.username: a, sasl.password: b",
                 "User:a");
    is_principal(", security.protocol: sasl_plaintext, sasl.mechanism: OAUTHBEARER, sasl.username: a", "User:NAME");
    lists("kafka: {properties: {bootstrap.servers: 'h:1', security.protocol: SASL_PLAINTEXT, sasl.mechanism: PLAIN, "
          "sasl.username: \"o'neil\", sasl.password: b}}\n", rkb_rights_kafka, LINE "'User:o'\\''neil' --operation");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_the_worst_comes_first),
        cmocka_unit_test(test_exit_codes),
        cmocka_unit_test(test_rights_of_redis),
        cmocka_unit_test(test_many_channels_are_several_lines),
        cmocka_unit_test(test_rights_of_kafka),
        cmocka_unit_test(test_principals),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
