/*
 * Tests of what discover proposes and writes: whatever the channels are called, rkbridge takes the config, each
 * channel is won by the route that names it, and nothing of a payload or of a secret is in what is shown.
 */
#include "config_files.h"

#include "control/output.h"
#include "message/glob.h"
#include "tool/discover.h"

struct found {
    struct rkb_redis_url url;
    struct rkb_listen_options options;
    struct rkb_heard heard;
    struct rkb_plan plan;
    struct rkb_discovery discovery;
};

static void begin(struct found *found)
{
    *found = (struct found){.url = {.host = "127.0.0.1", .port = 6379, .user = "bridge", .password = "hunter2secret"}};
    found->options = (struct rkb_listen_options){.url = &found->url, .for_us = 60000000, .sys = &rkb_sys_posix};
    found->heard = (struct rkb_heard){.listened_us = 60000000, .buffer_most = 17, .limits_known = true,
                                      .limits = {32 << 20, 8 << 20, 60}, .listeners_known = true,
                                      .channels = rkb_channels_new(), .fields = rkb_fields_new()};
    found->discovery = (struct rkb_discovery){.options = &found->options, .heard = &found->heard, .plan = &found->plan,
                                              .started_us = 1764000000000000};
}

static void publish(struct found *found, struct rkb_slice name, const char *payload, enum rkb_payload_form form)
{
    uint32_t number = rkb_channels_number(found->heard.channels, name);
    rkb_channels_count(found->heard.channels, number, strlen(payload));
    found->heard.messages++;
    found->heard.bytes += strlen(payload);
    struct rkb_seen *seen = rkb_channels_at(found->heard.channels, number);
    seen->figures.forms[form]++;
    seen->looked++;
    if (form == RKB_FORM_OBJECT)
        rkb_fields_look(found->heard.fields, number, seen->looked <= RKB_FIELDS_FIRST, rkb_slice_text(payload));
}

static void text(struct found *found, const char *name)
{
    publish(found, rkb_slice_text(name), "payloadtext", RKB_FORM_TEXT);
}

static void plan(struct found *found)
{
    assert_true(rkb_plan_make(&found->plan, found->heard.channels, found->heard.fields));
}

static void end(struct found *found)
{
    rkb_plan_free(&found->plan);
    rkb_heard_free(&found->heard);
}

static const struct rkb_group *group(const struct found *found, const char *name)
{
    for (size_t i = 0; i < found->plan.count; i++)
        if (rkb_slice_equal(found->plan.groups[i].text, rkb_slice_text(name)))
            return &found->plan.groups[i];
    fail_msg("no group %s", name);
    return NULL;
}

/* The config as text, to be freed; with the test's own directories in the place of those of a real machine. */
static char *written(const struct found *found)
{
    struct rkb_buffer out = {0};
    assert_true(rkb_discover_config(&found->discovery, &out));
    rkb_buffer_text(&out, "control: {socket: @/control.sock}\n");
    rkb_buffer_add(&out, "", 1);
    assert_false(out.failed);
    char *placed = replaced((const char *)out.data, "/var/lib/rkbridge", "@/journal");
    char *whole = replaced_directory(&files, placed);
    free(placed);
    rkb_buffer_free(&out);
    return whole;
}

/* Frees the text. */
static struct rkb_config *read_text(char *whole)
{
    struct rkb_mistakes mistakes;
    files_write(files.config, whole, strlen(whole));
    struct rkb_config *config = rkb_config_read(files.config, false, &mistakes);
    if (config == NULL)
        fail_msg("%.*s\n%s", (int)mistakes.text.size, (char *)mistakes.text.data, whole);
    rkb_mistakes_free(&mistakes);
    free(whole);
    return config;
}

static struct rkb_config *read_back(const struct found *found)
{
    return read_text(written(found));
}

/* The route that gets the channel by rkbridge's rule; NULL: none. */
static const struct rkb_config_route *winner(const struct rkb_config *config, struct rkb_slice name)
{
    for (size_t i = 0; i < config->route_count; i++)
        for (size_t j = 0; j < config->routes[i].channels.count; j++)
            if (rkb_slice_equal(rkb_slice_text(config->routes[i].channels.texts[j]), name))
                return &config->routes[i];
    for (size_t i = 0; i < config->route_count; i++)
        for (size_t j = 0; j < config->routes[i].patterns.count; j++)
            if (rkb_glob_match(rkb_slice_text(config->routes[i].patterns.texts[j]), name))
                return &config->routes[i];
    return NULL;
}

static void a_config_that_reads(void **state)
{
    (void)state;
    struct found found;
    char json[128];
    begin(&found);
    for (int i = 0; i < 40; i++) {
        snprintf(json, sizeof json, "{\"user\": {\"id\": %d, \"mail\": \"secretvalue@x\"}}", i);
        publish(&found, rkb_slice_text("user_created"), json, RKB_FORM_OBJECT);
    }
    text(&found, "user.17.created");
    text(&found, "user.18.created");
    publish(&found, rkb_slice_text("images"), "\xff\xfe", RKB_FORM_BINARY);
    plan(&found);
    struct rkb_config *config = read_back(&found);
    assert_int_equal(config->route_count, 3);
    assert_string_equal(config->instance, "rkbridge");
    assert_string_equal(config->sources[0].url_text, "redis://bridge@127.0.0.1:6379");
    const struct rkb_config_route *route = winner(config, rkb_slice_text("user_created"));
    assert_string_equal(route->name, "user_created");
    assert_string_equal(route->topic, "user_created");
    assert_string_equal(route->key, "{{channel}}");
    assert_string_equal(route->envelope, "event");
    assert_string_equal(route->payload_name, "user");
    assert_string_equal(winner(config, rkb_slice_text("images"))->envelope, "raw");
    assert_string_equal(winner(config, rkb_slice_text("user.99.created"))->patterns.texts[0], "user.*.created");
    rkb_config_free(config);
    char *whole = written(&found);
    assert_non_null(strstr(whole, "    # key: \"{{payload:/user/id}}\"  # distinct 100 %: 40 values in 40 payloads"));
    assert_null(strstr(whole, "hunter2"));
    assert_null(strstr(whole, "secretvalue"));
    assert_null(strstr(whole, "payloadtext"));
    free(whole);
    end(&found);
}

/* The comment that proposes a key can be taken at its word. */
static void the_proposed_key_reads(void **state)
{
    (void)state;
    struct found found;
    char json[128];
    begin(&found);
    for (int i = 0; i < 40; i++) {
        snprintf(json, sizeof json, "{\"a \\u007d~b/c': #\": {\"id\": %d}, \"it's: #~/$\": {\"id\": %d}}", i, i);
        publish(&found, rkb_slice_text("odd"), json, RKB_FORM_OBJECT);
    }
    plan(&found);
    assert_int_equal(group(&found, "odd")->field_count, 1);
    char *whole = written(&found);
    char *without = replaced(whole, "    key: \"{{channel}}\"\n", "");
    struct rkb_config *config = read_text(replaced(without, "    # key: ", "    key: "));
    assert_string_equal(config->routes[0].key, "{{payload:/it's: #~0~1$/id}}");
    rkb_config_free(config);
    free(without);
    free(whole);
    end(&found);
}

#define BYTES(text) {(const uint8_t *)(text), sizeof(text) - 1}

static const struct rkb_slice nasty[] = {
    BYTES("quote\"'`"), BYTES("new\nline: {a: 1}"), BYTES("cr\rlf\r\n"), BYTES("tab\there"), BYTES("*"),
    BYTES("?x[abc]\\"), BYTES("[x"), BYTES("\\"), BYTES("{{payload}}"), BYTES("${HOME}"), BYTES("$${HOME}"),
    BYTES("$${"), BYTES("$"), BYTES(" leading"), BYTES("trailing "), BYTES("# comment"), BYTES("- item"), BYTES("~"),
    BYTES("null"), BYTES("yes"), BYTES("1.0"), BYTES("&anchor"), BYTES("!tag"), BYTES("%percent"), BYTES("@at"),
    BYTES("\x01\x1f\x7f"), BYTES("caf\xc3\xa9"), BYTES("\xf0\x9f\x98\x80"), BYTES("\xc2\x85next"),
    BYTES("\xc2\xa0space"), BYTES("\xe2\x80\xa8line"), BYTES("\xe2\x80\xaeright"), BYTES("\xef\xbb\xbf" "bom"),
    BYTES("\xef\xbf\xbe"), BYTES("\xef\xbf\xbd"), BYTES("\xee\x80\x80private"), BYTES("id"), BYTES("."), BYTES(".."),
    BYTES("---"), BYTES("..."), BYTES("User_Created"), BYTES("user_created"), BYTES("user.created"),
    BYTES("user-created"), BYTES("stock_low"), BYTES("STOCK_low"), BYTES("<<"), BYTES("a: b"), BYTES("a #b"),
    BYTES(",x]}"),
};
static const struct rkb_slice impossible[] = {
    BYTES("bad\xff" "utf"), BYTES("nul\0x"), BYTES("\xed\xa0\x80"), BYTES("__rkbridge:group"),
    BYTES("rkbridge:canary:here:legacy"),
    BYTES("__keyevent@0__:expired"), BYTES("__sentinel__:hello"), BYTES("left\nout\xff\n\""),
};
enum { NASTY = sizeof nasty / sizeof nasty[0], IMPOSSIBLE = sizeof impossible / sizeof impossible[0] };

/* Kafka's own measures take `.` and `_` for the same. */
static bool same_but_for_case(const char *a, const char *b)
{
    for (; *a != '\0' && *b != '\0'; a++, b++) {
        char one = *a == '.' ? '_' : (char)(*a | 0x20), other = *b == '.' ? '_' : (char)(*b | 0x20);
        if ((one | 0x20) != (other | 0x20))
            return false;
    }
    return *a == *b;
}

static void nasty_names(void **state)
{
    (void)state;
    struct found found;
    char longest[301];
    memset(longest, 'n', 300);
    longest[300] = '\0';
    begin(&found);
    text(&found, longest);
    for (size_t i = 0; i < NASTY; i++)
        publish(&found, nasty[i], "x", RKB_FORM_TEXT);
    for (size_t i = 0; i < IMPOSSIBLE; i++)
        publish(&found, impossible[i], "x", RKB_FORM_TEXT);
    plan(&found);
    struct rkb_config *config = read_back(&found);
    assert_non_null(winner(config, rkb_slice_text(longest)));
    for (size_t i = 0; i < NASTY; i++) {
        const struct rkb_config_route *route = winner(config, nasty[i]);
        if (route == NULL || route->channels.count != 1 || route->patterns.count != 0)
            fail_msg("%zu: %.*s", i, (int)nasty[i].size, (const char *)nasty[i].data);
    }
    for (size_t i = 0; i < IMPOSSIBLE; i++)
        assert_null(winner(config, impossible[i]));
    assert_int_equal(config->route_count, NASTY + 1);
    for (size_t i = 0; i < config->route_count; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(same_but_for_case(config->routes[i].topic, config->routes[j].topic));
    rkb_config_free(config);
    char *whole = written(&found);
    assert_non_null(strstr(whole, "\n# Left out, 8:\n"));
    assert_null(strstr(whole, "\xe2\x80\xae"));     /* nothing that turns a line around, or ends it */
    assert_null(strstr(whole, "\xe2\x80\xa8"));
    assert_non_null(strstr(whole, "\n#   \"left\\nout\\xff\\n\\\"\" (1 messages): not UTF-8"));
    free(whole);
    end(&found);
}

/* A pattern that takes another's channels: the narrower one stands first, and what it takes is said. */
static void patterns_that_overlap(void **state)
{
    (void)state;
    struct found found;
    begin(&found);
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "user.%d", i);
        text(&found, name);
        text(&found, name);
        snprintf(name, sizeof name, "user.%d.created", i);
        text(&found, name);
        snprintf(name, sizeof name, "%d.end", i);
        text(&found, name);
        snprintf(name, sizeof name, "%d.x.end", i);
        text(&found, name);
        snprintf(name, sizeof name, "user.%d.x.end", i);
        text(&found, name);
    }
    text(&found, "user.bob\xff");
    plan(&found);
    struct rkb_config *config = read_back(&found);
    assert_string_equal(winner(config, rkb_slice_text("user.1"))->patterns.texts[0], "user.*");
    assert_string_equal(winner(config, rkb_slice_text("user.1.created"))->patterns.texts[0], "user.*.created");
    assert_string_equal(winner(config, rkb_slice_text("user.1.x.end"))->patterns.texts[0], "user.*.x.end");
    assert_string_equal(winner(config, rkb_slice_text("1.x.end"))->patterns.texts[0], "*.x.end");
    assert_string_equal(winner(config, rkb_slice_text("1.end"))->patterns.texts[0], "*.end");
    rkb_config_free(config);
    for (size_t i = 0; i < found.plan.count; i++)
        assert_int_equal(found.plan.groups[i].taken_by == i, found.plan.groups[i].left_out == RKB_LEFT_NOT);
    char *whole = written(&found);
    assert_non_null(strstr(whole, "\"user.bob\\xff\" (1 messages): the route user takes it\n"));
    free(whole);
    end(&found);
}

/* A channel of its own is nobody's loss; what a pattern loses is said beside it. */
static void a_loss_is_said(void **state)
{
    (void)state;
    struct found found;
    begin(&found);
    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "ab.%d", i);
        text(&found, name);
        snprintf(name, sizeof name, "%d.abcd", i);
        text(&found, name);
    }
    text(&found, "ab.5.abcd");
    plan(&found);
    assert_int_equal(group(&found, "ab.5.abcd")->lost, 0);
    struct rkb_group *narrow = (struct rkb_group *)(uintptr_t)group(&found, "ab.*");
    narrow->taken_by = (size_t)(group(&found, "*.abcd") - found.plan.groups);
    narrow->lost = 3;
    char *whole = written(&found);
    assert_non_null(strstr(whole, "  # 3 of its channels match the route abcd as well, which comes first "
                                  "and gets them.\n"));
    free(whole);
    end(&found);
}

static void more_routes_than_anybody_reads(void **state)
{
    (void)state;
    struct found found;
    begin(&found);
    for (int i = 0; i < 3 * RKB_ROUTES_MOST; i++) {
        char name[64];
        snprintf(name, sizeof name, "w%xz", i);
        text(&found, name);
        if (i >= 2 * RKB_ROUTES_MOST)
            text(&found, name);
    }
    plan(&found);
    struct rkb_config *config = read_back(&found);
    assert_int_equal(config->route_count, RKB_ROUTES_MOST);
    assert_non_null(winner(config, rkb_slice_text("w257z")));
    assert_null(winner(config, rkb_slice_text("w1z")));
    rkb_config_free(config);
    char *whole = written(&found);
    assert_non_null(strstr(whole, "# Left out, 400:\n"));
    assert_non_null(strstr(whole, "#   ... and 350 more\n"));
    free(whole);
    end(&found);
}

static void nothing_to_write(void **state)
{
    (void)state;
    struct found found;
    struct rkb_buffer out = {0};
    begin(&found);
    plan(&found);
    assert_false(rkb_discover_config(&found.discovery, &out));
    text(&found, "__rkbridge:only");
    (void)rkb_channels_number(found.heard.channels, rkb_slice_text("half of a name"));
    rkb_channels_at(found.heard.channels, 1)->figures.listeners = 0;
    rkb_plan_free(&found.plan);
    plan(&found);
    assert_int_equal(found.plan.count, 1);
    assert_false(rkb_discover_config(&found.discovery, &out));
    rkb_channels_at(found.heard.channels, 1)->figures.listeners = 1;
    rkb_plan_free(&found.plan);
    plan(&found);
    assert_true(rkb_discover_config(&found.discovery, &out));
    rkb_buffer_free(&out);
    end(&found);
}

/* No line is longer than a terminal is wide; names that are cut say so. */
static void a_report_of_100_columns(void **state)
{
    (void)state;
    struct found found;
    struct rkb_buffer out = {0};
    char json[200];
    begin(&found);
    for (int i = 0; i < 60; i++) {
        snprintf(json, sizeof json, "{\"a_rather_long_name_of_something\": {\"id\": %d, \"b\": \"secretvalue\"}}", i);
        publish(&found, rkb_slice_text("caf\xc3\xa9_with_a_name_that_is_longer_than_its_column_by_far"), json,
                RKB_FORM_OBJECT);
        snprintf(json, sizeof json, "w%dz", i);
        text(&found, json);
    }
    rkb_channels_count(found.heard.channels, RKB_CHANNEL_NONE, UINT64_C(1) << 40);
    found.heard.messages = UINT64_C(123456789012);
    found.heard.end = RKB_END_BUFFER;
    rkb_fail(&found.heard.why, RKB_FULL, "Redis held 9 MiB for us");
    for (size_t i = 0; i < RKB_LISTENERS_KEPT; i++) {
        struct rkb_listener *listener = &found.heard.listeners[found.heard.listener_count++];
        memset(listener->name, 'n', sizeof listener->name - 1);
        memset(listener->address, 'a', sizeof listener->address - 1);
        memset(listener->user, 'u', sizeof listener->user - 1);
    }
    plan(&found);
    rkb_discover_text(&found.discovery, &out);
    rkb_buffer_add(&out, "", 1);
    size_t columns = 0;
    for (const uint8_t *at = out.data; *at != '\0'; at++) {
        columns = *at == '\n' ? 0 : columns + ((*at & 0xc0) != 0x80);
        if (columns > 100)
            fail_msg("a long line ends at: %.80s", (const char *)at);
    }
    const char *report = (const char *)out.data;
    assert_non_null(strstr(report, "stopped early"));
    assert_non_null(strstr(report, "Redis held 9 MiB for us\n"));
    assert_non_null(strstr(report, "\ncaf\xc3\xa9_with_a_name_that_is_longer_t... "));
    assert_non_null(strstr(report, "... and 21 more"));
    assert_null(strstr(report, "hunter2"));
    assert_null(strstr(report, "secretvalue"));
    out.size = 0;
    rkb_discover_json(&found.discovery, &out);
    rkb_buffer_add(&out, "", 1);
    assert_null(strstr((const char *)out.data, "hunter2"));
    assert_null(strstr((const char *)out.data, "secretvalue"));
    rkb_buffer_free(&out);
    end(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_config_that_reads),
        cmocka_unit_test(the_proposed_key_reads),
        cmocka_unit_test(nasty_names),
        cmocka_unit_test(patterns_that_overlap),
        cmocka_unit_test(a_loss_is_said),
        cmocka_unit_test(more_routes_than_anybody_reads),
        cmocka_unit_test(nothing_to_write),
        cmocka_unit_test(a_report_of_100_columns),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
