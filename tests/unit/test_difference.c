/*
 * Two configs compared: each setting of the table is noticed, and by its row taken or refused by its
 * name; what comes, goes and changes places.
 */
#include "config_files.h"

#include "base/vault.h"
#include "config/difference.h"
#include "config/properties.h"
#include "config/settings.h"
#include "config/values.h"

#define HEAD "kafka: {properties: {bootstrap.servers: '127.0.0.1:9', linger.ms: 5}}\n" \
             "journal: {directory: /tmp/journal}\nredis:\n  one: {url: 'redis://one'}\n  two: {url: 'redis://two'}\n"
#define A "  a: {source: one, channels: [x], patterns: ['p*'], topic: t, topic_config: {retention.ms: 1}, " \
          "headers: {h: v}, expect: {at: /a, type: string}, filter: {at: /b, exists: yes}}\n"
#define B "  b: {source: two, channels: y, topic: u}\n"
#define C "  c: {source: one, channels: z, topic: v}\n"

static struct rkb_config *config_of(const char *text)
{
    struct rkb_mistakes mistakes;
    files_write(files.config, text, strlen(text));
    struct rkb_config *config = rkb_config_read(files.config, false, &mistakes);
    if (config == NULL)
        fail_msg("%.*s", (int)mistakes.text.size, (const char *)mistakes.text.data);
    rkb_mistakes_free(&mistakes);
    return config;
}

/* "CHANGED | REFUSED", each with "; " between its lines. */
static const char *compared(const struct rkb_config *now, const struct rkb_config *next)
{
    static char text[2000];
    struct rkb_difference difference;
    assert_true(rkb_config_difference(now, next, &difference));
    snprintf(text, sizeof text, "%.*s | %.*s", (int)difference.changed.size, (const char *)difference.changed.data,
             (int)difference.refused.size, (const char *)difference.refused.data);
    size_t lines = 0, bars = difference.change_count > 0 && difference.refused_count > 0;
    for (char *at = text; (at = strchr(at, '\n')) != NULL; *at = ';')
        lines++;
    size_t told = difference.change_count + difference.refused_count;
    assert_int_equal(lines, told > 0 ? told - 1 - bars : 0);
    rkb_difference_free(&difference);
    return text;
}

static void expect(const char *now, const char *next, const char *wanted)
{
    struct rkb_config *a = config_of(now), *b = config_of(next);
    assert_string_equal(compared(a, b), wanted);
    rkb_config_free(a);
    rkb_config_free(b);
}

/* Another value than it has; for what has parts, another part. */
static void change_parts(const struct rkb_setting *row, void *at)
{
    struct rkb_expects *expects = at;
    struct rkb_filters *filters = at;
    switch (row->type) {
    case RKB_SETTING_LIST:
        assert_true(rkb_value_add_text(at, "another"));
        return;
    case RKB_SETTING_MAP:
    case RKB_SETTING_PROPERTIES:
        assert_true(rkb_properties_add(at, "another", "1", NULL));
        return;
    case RKB_SETTING_EXPECT:
        expects->list[0].optional = !expects->list[0].optional;
        return;
    case RKB_SETTING_FILTER:
        filters->list[0].exists = !filters->list[0].exists;
        return;
    case RKB_SETTING_SIZE:
    case RKB_SETTING_DURATION:
    case RKB_SETTING_SYNC:
    case RKB_SETTING_NUMBER:
        *(int64_t *)at ^= 1;
        return;
    case RKB_SETTING_SHARE:
        ((struct rkb_share *)at)->percent ^= 1;
        return;
    case RKB_SETTING_MODE:
    case RKB_SETTING_WORD:
        *(int *)at ^= 1;
        return;
    case RKB_SETTING_TEXT:
    case RKB_SETTING_TEMPLATE:
    case RKB_SETTING_PATH:
    case RKB_SETTING_FILE:
    case RKB_SETTING_URL:
    case RKB_SETTING_LISTEN:
        break;
    }
    char **text = at;
    if (row->secret)
        rkb_vault_drop(*text);
    else
        free(*text);
    *text = row->secret ? rkb_vault_keep("another") : strdup("another");
}

/* Every row: a reload that only its column decides. */
static void each_setting(void **state)
{
    (void)state;
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const struct rkb_setting *row = &rkb_settings[i];
        struct rkb_config *now = config_of(HEAD "routes:\n" A B), *next = config_of(HEAD "routes:\n" A B);
        bool of_source = strncmp(row->path, "redis.*.", 8) == 0, of_route = strncmp(row->path, "routes.*.", 9) == 0;
        void *base = of_source ? (void *)&next->sources[1] : of_route ? (void *)&next->routes[0] : (void *)next;
        char wanted[200];
        assert_string_equal(compared(now, next), " | ");
        change_parts(row, (char *)base + row->offset);
        const char *leaf = of_source ? row->path + 8 : of_route ? row->path + 9 : row->path;
        const char *head = of_source ? "redis.two" : of_route ? "routes.a" : "";
        if (row->live)
            snprintf(wanted, sizeof wanted, "%s%s%s | ", head, *head != '\0' ? ": " : "", leaf);
        else
            snprintf(wanted, sizeof wanted, " | %s%s%s: needs a restart", head, *head != '\0' ? "." : "", leaf);
        assert_string_equal(compared(now, next), wanted);
        rkb_config_free(now);
        rkb_config_free(next);
    }
}

static void routes_come_and_go(void **state)
{
    (void)state;
    expect(HEAD "routes:\n" A B, HEAD "routes:\n" A B, " | ");
    expect(HEAD "routes:\n" A B, HEAD "routes:\n" A B C, "routes.c: new | ");
    expect(HEAD "routes:\n" A B C, HEAD "routes:\n" B C, "routes.a: gone | ");
    expect(HEAD "routes:\n" A B, HEAD "routes:\n" C B, "routes.c: new;routes.a: gone | ");
    expect(HEAD "routes:\n" A B C, HEAD "routes:\n" C A B, "routes: their order | ");
    expect(HEAD "routes:\n" A B C, HEAD "routes:\n" A B, "routes.c: gone | ");
    expect(HEAD "routes:\n" B C, HEAD "routes:\n" A B C, "routes.a: new | ");
    expect(HEAD "routes:\n" A B C, HEAD "routes:\n" A B "  c: {source: two, channels: [v, w], topic: w}\n",
           "routes.c: source, channels, topic | ");
}

/* All that is refused is said, and beside it what would have been taken. */
static void sources_stay(void **state)
{
    (void)state;
    expect(HEAD "routes:\n" B C,
           "kafka: {properties: {bootstrap.servers: '127.0.0.1:9', linger.ms: 6}}\njournal: {directory: /tmp/journal}\n"
           "redis:\n  one: {url: 'redis://another', heartbeat: 1s, gap_topic: g}\n  three: {url: 'redis://two'}\n"
           "routes:\n  b: {source: three, channels: y, topic: u}\n" C,
           "redis.one: gap_topic;routes.b: source | kafka.properties: needs a restart;redis.one.url: needs a restart;"
           "redis.one.heartbeat: needs a restart;redis.two: it is gone; sources come and go only with a restart: "
           "put it back until then, so that the rest is taken;redis.three: it is new; sources come and go only with a "
           "restart: leave it and its routes out until then, so that the rest is taken");
}

/* Sources in another order are the same sources; the routes' places follow. */
static void sources_in_another_order(void **state)
{
    (void)state;
    const char *turned = "kafka: {properties: {bootstrap.servers: '127.0.0.1:9', linger.ms: 5}}\n"
                         "journal: {directory: /tmp/journal}\nredis:\n  two: {url: 'redis://two'}\n"
                         "  one: {url: 'redis://one'}\nroutes:\n" A B;
    struct rkb_config *now = config_of(HEAD "routes:\n" A B), *next = config_of(turned);
    char *const names[] = {now->sources[0].name, now->sources[1].name};
    assert_string_equal(next->sources[0].name, "two");
    rkb_config_order_sources(next, names, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(next->sources[i].name, names[i]);
        assert_int_equal(next->routes[i].source_index, now->routes[i].source_index);
    }
    assert_string_equal(compared(now, next), " | ");
    rkb_config_free(now);
    rkb_config_free(next);
}

/* What a schema's file holds is part of the config; its name alone is not enough. */
static void a_file_that_changes(void **state)
{
    (void)state;
    const char *text = HEAD "routes:\n  s: {source: one, channels: x, topic: t, schema: schema.json}\n" B;
    files_add(&files, "schema.json", "{}", 2);
    struct rkb_config *now = config_of(text);
    files_add(&files, "schema.json", "{\"type\":\"object\"}", 17);
    struct rkb_config *next = config_of(text);
    assert_string_equal(compared(now, next), "routes.s: schema's file | ");
    files_remove(&files, "schema.json");
    rkb_config_free(now);
    rkb_config_free(next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_setting),         cmocka_unit_test(routes_come_and_go),
        cmocka_unit_test(sources_stay),         cmocka_unit_test(sources_in_another_order),
        cmocka_unit_test(a_file_that_changes),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
