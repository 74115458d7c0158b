/*
 * Tests of the canary's settings: the routes that the config makes by itself, behind those of the file, and that they
 * are nobody's settings. What is wrong with such settings is in tests/unit/data/config/mistakes.txt.
 */
#include "config_files.h"

#include "config/difference.h"
#include "config/effective.h"

#define TWO "instance: here\nredis: {one: {url: 'redis://h'}, two: {url: 'redis://h2'}}\n" \
            "routes:\n  a: {source: one, patterns: '*', topic: t}\n  b: {source: two, patterns: '*', topic: t}\n"

static void a_route_for_each_source(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files, TWO "canary: {topic: flows}\n");
    assert_int_equal(config->route_count, 4);
    assert_int_equal(config->canary_count, 2);
    assert_int_equal(config->canary.interval, 1000000);
    assert_int_equal(config->canary.late_after, 10000000);
    static const char *const names[] = {"a", "b", "canary.one", "canary.two"};
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(config->routes[i].name, names[i]);
        assert_int_equal(config->routes[i].canary, i >= 2);
    }
    const struct rkb_config_route *route = &config->routes[3];
    assert_int_equal(route->source_index, 1);
    assert_string_equal(route->source, "two");
    assert_string_equal(route->topic, "flows");
    assert_string_equal(route->key, "{{channel}}");
    assert_string_equal(route->envelope, "raw");
    assert_null(route->dead_letter);
    assert_int_equal(route->channels.count, 1);
    assert_string_equal(route->channels.texts[0], "rkbridge:canary:here:two");
    assert_int_equal(route->patterns.count, 0);
    rkb_config_free(config);
}

static void none_without_a_topic(void **state)
{
    static const char *const texts[] = {"", "canary:\n", "canary: {topic: ''}\n", "canary: {interval: 2s}\n"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[400];
        snprintf(text, sizeof text, TWO "%s", texts[i]);
        struct rkb_config *config = read_good(&files, text);
        assert_null(config->canary.topic);
        assert_int_equal(config->route_count, 2);
        assert_int_equal(config->canary_count, 0);
        rkb_config_free(config);
    }
}

static void add_path(void *context, const char *path, const char *value, const char *origin)
{
    rkb_buffer_format(context, "%s=%s (%s)\n", path, value, origin);
}

static void they_are_nobodys_settings(void **state)
{
    struct rkb_buffer all = {0};
    (void)state;
    struct rkb_config *config = read_good(&files, TWO "canary: {topic: flows}\n");
    rkb_effective_each(config, false, add_path, &all);
    rkb_buffer_add(&all, "", 1);
    assert_non_null(strstr((char *)all.data, "\ncanary.topic=flows (line 6)\n"));
    assert_non_null(strstr((char *)all.data, "\nroutes.b.topic=t (line 5)\n"));
    assert_null(strstr((char *)all.data, "routes.canary."));
    rkb_buffer_free(&all);
    rkb_config_free(config);
}

/* A reload takes it: routes come and go, nothing needs a restart. */
static void a_reload_takes_it(void **state)
{
    struct rkb_difference difference;
    (void)state;
    struct rkb_config *off = read_good(&files, TWO), *on = read_good(&files, TWO "canary: {topic: flows}\n");
    assert_true(rkb_config_difference(off, on, &difference));
    rkb_buffer_add(&difference.changed, "", 1);
    assert_int_equal(difference.refused_count, 0);
    assert_string_equal((char *)difference.changed.data,
                        "canary.topic\nroutes.canary.one: new\nroutes.canary.two: new");
    rkb_difference_free(&difference);
    rkb_config_free(off);
    rkb_config_free(on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_route_for_each_source),
        cmocka_unit_test(none_without_a_topic),
        cmocka_unit_test(they_are_nobodys_settings),
        cmocka_unit_test(a_reload_takes_it),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
