/* Tests of `rkbctl render`: each thing that may become of a message, how it is shown, what is asked of the words. */
#include "config_files.h"

#include <fcntl.h>

#include "tool/tool.h"

static const char config[] =
    "redis:\n"
    "  legacy: {url: 'redis://127.0.0.1', max_message_size: 1KiB}\n"
    "  second: {url: 'redis://127.0.0.2'}\n"
    "routes:\n"
    "  users: {source: legacy, channels: [user_created], topic: user_activity, payload_name: user}\n"
    "  stock:\n"
    "    source: legacy\n"
    "    patterns: ['stock.*.*', 'st?ck.*']\n"
    "    topic: inventory\n"
    "    key: '{{payload:/code}}'\n"
    "    value: '{\"place\": \"{{1}}\", \"at\": \"{{time}}\", \"ms\": \"{{time_ms}}\", \"p\": \"{{payload}}\"}'\n"
    "    headers: {where: '{{position}}', count: '{{payload:/count}}'}\n"
    "    dead_letter: stock_dead\n"
    "    expect: [{at: /count, type: integer, min: 0}]\n"
    "    filter: [{at: /test, exists: no}]\n"
    "  needy: {source: legacy, channels: [needy], topic: needy, key: '{{payload:/id}}', missing: drop}\n"
    "  strict: {source: legacy, channels: [strict], topic: strict, payload: json}\n"
    "  bare: {source: second, channels: [user_created], patterns: [b*], topic: bare, envelope: raw, key: none}\n"
    "  varied: {source: second, patterns: ['v.*'], topic: '{{1}}'}\n";

#define UUID "01890a5d-ac96-774b-bcce-b302099a8057"
#define TIME "2026-11-22T20:51:07.123Z"

struct result {
    int code;
    char *out, *err;
    size_t out_size;
};

/* What `rkbctl render -c <the config>` makes of the words (by a blank each) and this standard input; NULL: none. */
static struct result run_with(const char *words, const void *input, size_t size)
{
    struct result result;
    size_t err_size;
    char *copy = strdup(words), *argv[24] = {strdup("render"), strdup("-c"), strdup(files.config)};
    int argc = 3, kept = dup(STDIN_FILENO);
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(fwrite(input, 1, size, file), size);
    rewind(file);
    assert_int_equal(dup2(fileno(file), STDIN_FILENO), STDIN_FILENO);
    for (char *word = strtok(copy, " "); word != NULL && argc < 23; word = strtok(NULL, " "))
        argv[argc++] = strdup(word);
    FILE *out = open_memstream(&result.out, &result.out_size), *err = open_memstream(&result.err, &err_size);
    result.code = rkb_tool_render(argc, argv, out, err);
    fclose(out);
    fclose(err);
    fclose(file);
    dup2(kept, STDIN_FILENO);
    close(kept);
    while (argc > 0)
        free(argv[--argc]);
    free(copy);
    return result;
}

static void drop(struct result *result)
{
    free(result->out);
    free(result->err);
}

/* Exactly this on standard output; some of these words on standard error, and nothing where there are none. */
static void expect(const char *words, const char *payload, int code, const char *out, const char *err)
{
    struct result result = run_with(words, payload, strlen(payload));
    if (result.code != code || strcmp(result.out, out) != 0
        || (err[0] == '\0' ? result.err[0] != '\0' : strstr(result.err, err) == NULL))
        fail_msg("%s: code %d instead of %d; out:\n%s\nerr (with \"%s\"?):\n%s", words, result.code, code, result.out,
                 err, result.err);
    drop(&result);
}

/* Somewhere in it. */
static void expect_within(const char *words, const char *payload, int code, const char *some)
{
    struct result result = run_with(words, payload, strlen(payload));
    if (result.code != code || (strstr(result.out, some) == NULL && strstr(result.err, some) == NULL))
        fail_msg("%s: code %d instead of %d, or no \"%s\" in\n%s%s", words, result.code, code, some, result.out,
                 result.err);
    drop(&result);
}

static void test_a_record(void **state)
{
    (void)state;
    write_completed(&files, config);
    expect("--source legacy --uuid " UUID " user_created", "{\"id\": 1.0}", 0,
           "source   legacy\n"
           "route    users, by its channel\n"
           "becomes  a record\n"
           "topic    user_activity\n"
           "key      user_created\n"
           "value    {\"name\":\"user_created\",\"data\":{\"id\":\"" UUID "\",\"user\":{\"id\": 1.0}}}\n", "");
    expect("--time " TIME " stock.a.b", "{\"code\": \"x\\n\", \"count\": 10}", 0,
           "source   legacy\n"
           "route    stock, by its pattern stock.*.*\n"
           "becomes  a record\n"
           "topic    inventory\n"
           "key      x\\n\n"
           "header   where: 00112233445566778899aabbccddeeff:1\n"
           "header   count: 10\n"
           "value    {\"place\":\"a\",\"at\":\"" TIME "\",\"ms\":1795380667123,"
           "\"p\":{\"code\": \"x\\n\", \"count\": 10}}\n", "");
}

/* The same message at the same time is the same record; another is not. */
static void test_the_uuid_follows_the_message(void **state)
{
    (void)state;
    write_completed(&files, config);
    struct result one = run_with("--source legacy --time " TIME " --json user_created", "1", 1);
    struct result same = run_with("--source legacy --time " TIME " --json user_created", "1", 1);
    struct result other = run_with("--source legacy --time " TIME " --json user_created", "2", 1);
    assert_string_equal(one.out, same.out);
    const char *id = strstr(one.out, "\\\"id\\\":\\\"");
    char with_id[10 + 36];
    assert_non_null(id);
    snprintf(with_id, sizeof with_id, "%s", id);
    assert_non_null(strstr(same.out, with_id));
    assert_non_null(strstr(with_id, "01a20506-e2f3-7000-8"));       /* its time, in milliseconds, and the first there */
    assert_null(strstr(other.out, with_id));
    drop(&one);
    drop(&same);
    drop(&other);
}

static void test_what_is_no_record(void **state)
{
    (void)state;
    write_completed(&files, config);
    expect("stock.a", "{\"count\": -1}", 4,
           "source   legacy\n"
           "route    stock, by its pattern st?ck.*\n"
           "becomes  a dead letter (expect): /count: below min 0\n"
           "topic    stock_dead\n", "");
    expect("stock.a", "{\"test\": 1}", 5,
           "source   legacy\n"
           "route    stock, by its pattern st?ck.*\n"
           "becomes  nothing: taken out by the route's filter, and counted as filtered\n", "");
    expect("needy", "{}", 6,
           "source   legacy\n"
           "route    needy, by its channel\n"
           "becomes  nothing: dropped (missing): /id: not in the payload, and a template needs it\n", "");
    expect_within("strict", "x", 4, "becomes  a dead letter (payload): the payload is not JSON");
    expect_within("strict", "x", 4, "/journal/dead-letters\n");
    expect_within("--json strict", "x", 4, "\"becomes\":\"dead_letter\",\"code\":\"payload\",\"reason\":\"the payload");
    expect("--json stock.a", "{\"test\": 1}", 5,
           "{\"source\":\"legacy\",\"route\":\"stock\",\"pattern\":\"st?ck.*\",\"becomes\":\"filtered\"}\n", "");
    expect_within("--json needy", "{}", 6, "\"becomes\":\"dropped\",\"code\":\"missing\"");
}

/* A topic that the message names: by the relay's rule. */
static void test_a_named_topic(void **state)
{
    (void)state;
    write_completed(&files, config);
    expect_within("v.a/b", "1", 0, "topic    a_b\n");
    expect_within("v.", "1", 4, "becomes  a dead letter (topic): the topic's name is empty");
    expect_within("v.stock_dead", "1", 4, "becomes  a dead letter (topic): the topic is one for dead letters");
}

static void test_too_large(void **state)
{
    (void)state;
    char payload[1026];
    memset(payload, '1', sizeof payload - 1);
    payload[1025] = '\0';
    write_completed(&files, config);
    expect_within("needy", payload, 6, "dropped (too_large): a payload of 1 KiB is over max_message_size (1 KiB)");
    payload[1024] = '\0';
    expect_within("strict", payload, 0, "becomes  a record\n");
    /* Of a source that takes more it is all held. */
    payload[1024] = '1';
    struct result result = run_with("--value box", payload, 1025);
    assert_int_equal(result.code, 0);
    assert_int_equal(result.out_size, 1025);
    drop(&result);
}

static void test_a_record_too_large(void **state)
{
    (void)state;
    static char payload[80001];
    memset(payload, '\xFF', sizeof payload - 1);
    write_completed(&files, "journal: {directory: @/journal, ring_size: 256KiB}\n");
    expect_within("any", payload, 6,
                  "nothing: dropped (too_large): a record of 104.3 KiB is over what journal.ring_size");
}

static void test_several_sources(void **state)
{
    (void)state;
    write_completed(&files, config);
    expect_within("--uuid " UUID " user_created", "x", 0, "\"user\":\"x\"}}\n\nsource   second\n");
    expect("--source second --value user_created", "x\n", 0, "x\n", "note: the payload ends with a newline");
    expect("--value user_created", "x", 64, "", "--value needs --source NAME");
    /* The worst counts. */
    expect_within("--json user_created", "x", 0, "{\"source\":\"second\"");
    static char large[1100];
    memset(large, 'x', sizeof large - 1);
    expect_within("--json user_created", large, 6, "\"route\":\"bare\",\"pattern\":null,\"becomes\":\"record\"");
}

static void test_bytes(void **state)
{
    (void)state;
    write_completed(&files, config);
    expect_within("b", "\xFF", 0, "key      (none)\n");
    expect_within("b", "\xFF", 0, "value    /w== (no UTF-8: base64)\n");
    expect_within("b", "", 0, "value    (empty)\n");
    expect_within("b\xFF", "", 0, "header   rkb-channel: Yv8= (no UTF-8: base64)\n");
    expect_within("--json b", "\xFF", 0, "\"key\":null");
    expect_within("--json b", "\xFF", 0, "\"value_base64\":\"/w==\"}\n");
    struct result result = run_with("--value b", "\0\xFF\n\r\0", 5);
    assert_int_equal(result.code, 0);
    assert_int_equal(result.out_size, 5);
    assert_memory_equal(result.out, "\0\xFF\n\r\0", 5);
    drop(&result);
    expect("--source legacy --payload 7 --value --uuid " UUID " user_created", "not this", 0,
           "{\"name\":\"user_created\",\"data\":{\"id\":\"" UUID "\",\"user\":7}}", "");
    expect("--value stock.a", "{\"count\": -1}", 4, "",
           "rkbctl: it becomes a dead letter (expect): /count: below min 0");
}

static void test_no_route(void **state)
{
    (void)state;
    write_completed(&files, config);
    expect("user_craeted", "x", 3, "", "no route takes the channel \"user_craeted\": rkbridge would not see such");
    expect("user_craeted", "x", 3, "", "Did you mean user_created?\nThe nearest: channel user_created of route users");
    expect("stock", "x", 3, "", "The nearest: pattern stock.*.* of route stock\n             pattern st?ck.* of");
    expect("--route stock needy", "x", 3, "",
           "note: with all routes of the config it is needy that takes this channel");
    expect_within("--route stock --json stock.a", "{\"count\":1}", 0, "\"becomes\":\"record\"");
}

static void test_wrong_use(void **state)
{
    (void)state;
    write_completed(&files, config);
    expect("", "", 64, "", "usage: rkbctl render");
    expect("a b", "", 64, "", "usage: rkbctl render");
    expect("--nonsense a", "", 64, "", "usage: rkbctl render");
    expect("--json --value a", "", 64, "", "not both");
    expect("--uuid 1 a", "", 64, "", "--uuid takes");
    expect("--uuid 01890A5D-ac96-774b-bcce-b302099a8057 a", "", 64, "", "--uuid takes");
    expect("--time yesterday a", "", 64, "", "--time takes");
    expect("--time 2026-11-31T20:51:07.123Z a", "", 64, "", "--time takes");
    expect("--time 2026-11-22T20:51:07.123+ a", "", 64, "", "--time takes");
    expect("--source legcy a", "", 64, "", "no source legcy; did you mean legacy?");
    expect("--route usres a", "", 64, "", "no route usres; did you mean users?");
    char render[] = "render", channel[] = "a", *argv[] = {render, channel}, *text;
    size_t size;
    FILE *err = open_memstream(&text, &size);
    assert_int_equal(rkb_tool_render(2, argv, stdout, err), 64);
    fclose(err);
    assert_non_null(strstr(text, "name one with -c FILE"));
    free(text);
}

static void test_mistakes_are_listed(void **state)
{
    (void)state;
    write_completed(&files, "routes: {all: {source: legacy, patterns: ['*'], topic: 'a b', key: '{{no}}'}}\n");
    expect("a", "", 64, "", "rkbridge.yaml:1:56: routes.all.topic: no name for a Kafka topic");
    expect("a", "", 64, "", "no slot {{no}}");
    expect("a", "", 64, "", ": 2 mistakes\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record),
        cmocka_unit_test(test_the_uuid_follows_the_message),
        cmocka_unit_test(test_what_is_no_record),
        cmocka_unit_test(test_a_named_topic),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_a_record_too_large),
        cmocka_unit_test(test_several_sources),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_no_route),
        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_mistakes_are_listed),
    };
    return cmocka_run_group_tests_name("render", tests, make_files, drop_files);
}
