/* What a file becomes: defaults, each type, the environment, aliases, secrets, a whole file as a user writes it. */
#include "config/effective.h"
#include "config_files.h"

#include "config/properties.h"
#include "config/settings.h"
#include "message/template.h"

static int set_up(void **state)
{
    unsetenv("RKB_A");
    unsetenv("RKB_B");
    return make_files(state);
}

static void defaults(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files, "");
    assert_int_equal(config->shutdown_timeout, 25000000);
    assert_true(strlen(config->instance) > 0);
    assert_int_equal(config->source_count, 1);
    const struct rkb_config_source *source = &config->sources[0];
    assert_string_equal(source->name, "legacy");
    assert_string_equal(source->url.host, "127.0.0.1");
    assert_int_equal(source->url.port, 6379);
    assert_null(source->user);
    assert_null(source->password);
    assert_null(source->password_file);
    assert_int_equal(source->connect_timeout, 5000000);
    assert_int_equal(source->heartbeat, 5000000);
    assert_int_equal(source->heartbeat_timeout, 5000000);
    assert_int_equal(source->reconnect_min, 5000);
    assert_int_equal(source->reconnect_max, 5000000);
    assert_int_equal(source->healthy_after, 10000000);
    assert_int_equal(config->kafka.delivery, 0);
    assert_int_equal(config->kafka.properties.count, 1);
    assert_int_equal(config->journal.max_size, UINT64_C(4) << 30);
    assert_int_equal(config->journal.min_free.percent, 10);
    assert_int_equal(config->journal.on_disk_error, 0);
    assert_int_equal(config->journal.segment_size, 64 << 20);
    assert_int_equal(config->journal.sync, 1000000);
    assert_int_equal(config->journal.ring_size, 32 << 20);
    if (access("/dev/shm", W_OK) == 0)
        assert_string_equal(config->journal.ring_directory, "/dev/shm");
    assert_int_equal(config->control.socket_mode, 0660);
    assert_null(config->http.listen);
    assert_int_equal(config->log.level, RKB_LOG_INFO);
    assert_int_equal(config->log.format, RKB_LOG_TEXT);
    const struct rkb_config_route *route = &config->routes[0];
    assert_int_equal(route->source_index, 0);
    assert_int_equal(route->channels.count, 0);
    assert_string_equal(route->patterns.texts[0], "*");
    assert_null(route->patterns.texts[1]);
    assert_string_equal(route->key, "{{channel}}");
    assert_string_equal(route->envelope, "event");
    assert_string_equal(route->payload_name, "payload");
    assert_null(route->value);
    assert_int_equal(route->payload, RKB_PAYLOAD_AUTO);
    rkb_config_free(config);
}

static void every_type(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files,
        "instance: shop-1\n"
        "shutdown_timeout: 0\n"
        "http: {listen: '[::1]:0'}\n"
        "log: {level: debug, format: json}\n"
        "journal: {directory: @/j, max_size: 1MiB, min_free: 2GiB, on_disk_error: exit, segment_size: 1GiB, sync: "
        "always, ring_size: 256KiB, ring_directory: none}\n"
        "control: {socket: @/c.sock, socket_mode: '600', admins: [root, 1234567], admin_groups: 4294967294}\n"
        "redis:\n"
        "  a: {url: 'unix:///run/redis.sock', heartbeat: 100ms}\n"
        "  b: {url: 'redis://[::1]:7000'}\n"
        "routes:\n"
        "  one: {source: b, channels: single, topic: t, key: '', payload: base64, envelope: raw}\n"
        "  two: {source: a, channels: [x, \"y z\"], topic: t, value: '\"{{payload}}\"'}\n");
    assert_string_equal(config->instance, "shop-1");
    assert_int_equal(config->shutdown_timeout, 0);
    assert_string_equal(config->http.listen, "[::1]:0");
    assert_int_equal(config->log.level, RKB_LOG_DEBUG);
    assert_int_equal(config->log.format, RKB_LOG_JSON);
    assert_int_equal(config->journal.max_size, 1 << 20);
    assert_int_equal(config->journal.min_free.bytes, INT64_C(2) << 30);
    assert_int_equal(config->journal.on_disk_error, 1);
    assert_int_equal(config->journal.segment_size, 1 << 30);
    assert_true(config->journal.sync == RKB_SYNC_ALWAYS);
    assert_null(config->journal.ring_directory);
    assert_int_equal(config->control.socket_mode, 0600);
    assert_int_equal(config->control.admin_users.count, 2);
    assert_int_equal(config->control.admin_users.list[0], 0);
    assert_int_equal(config->control.admin_users.list[1], 1234567);
    assert_int_equal(config->control.admin_group_numbers.count, 1);
    assert_int_equal(config->control.admin_group_numbers.list[0], 4294967294u);
    assert_true(config->sources[0].url.is_unix);
    assert_int_equal(config->sources[0].heartbeat, 100000);
    assert_int_equal(config->sources[1].url.port, 7000);
    assert_int_equal(config->routes[0].source_index, 1);
    assert_int_equal(config->routes[0].channels.count, 1);
    assert_string_equal(config->routes[0].channels.texts[0], "single");
    assert_string_equal(config->routes[0].key, "");
    assert_int_equal(config->routes[0].payload, RKB_PAYLOAD_BASE64);
    assert_string_equal(config->routes[0].envelope, "raw");
    assert_int_equal(config->routes[1].source_index, 0);
    assert_string_equal(config->routes[1].channels.texts[1], "y z");
    assert_string_equal(config->routes[1].value, "\"{{payload}}\"");
    assert_null(config->routes[1].envelope);
    rkb_config_free(config);
}

static void sync_none(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files, "journal: {directory: @/j, sync: none}\n");
    assert_true(config->journal.sync == RKB_SYNC_NONE);
    rkb_config_free(config);
}

static void same_channel_elsewhere(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files,
        "redis: {a: {url: 'redis://h'}, b: {url: 'redis://h'}}\n"
        "routes:\n"
        "  one: {source: a, channels: x, patterns: x, topic: t}\n"
        "  two: {source: b, channels: x, patterns: x, topic: t}\n");
    assert_int_equal(config->route_count, 2);
    rkb_config_free(config);
}

static void environment(void **state)
{
    (void)state;
    setenv("RKB_A", "a${RKB_B}", 1);
    setenv("RKB_B", "", 1);
    struct rkb_config *config = read_good(&files,
        "redis: {legacy: {url: 'redis://${RKB_HOST:-localhost}:${RKB_PORT:-1234}', password: '${RKB_A}', user: "
        "\"${RKB_B}\"}}\n"
        "routes:\n"
        "  one:\n"
        "    source: legacy\n"
        "    topic: t${RKB_B:-0}\n"
        "    key: $${x}$RKB_A$${RKB_A}${RKB_B}\n"
        "    channels: ['${RKB_B}x', 'y${RKB_NO:-}']\n");
    assert_string_equal(config->sources[0].url.host, "localhost");
    assert_int_equal(config->sources[0].url.port, 1234);
    assert_string_equal(config->sources[0].password, "a${RKB_B}");     /* not looked at again */
    assert_null(config->sources[0].user);                               /* empty is none */
    assert_string_equal(config->routes[0].topic, "t0");
    assert_string_equal(config->routes[0].key, "${x}$RKB_A${RKB_A}");
    assert_string_equal(config->routes[0].channels.texts[0], "x");
    assert_string_equal(config->routes[0].channels.texts[1], "y");
    rkb_config_free(config);
}

static void aliases(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files,
        "redis:\n"
        "  a: &a {url: 'redis://h', heartbeat: &two 2s, connect_timeout: *two}\n"
        "  b: *a\n"
        "routes:\n"
        "  one: {source: a, channels: &list [x, y], topic: t}\n"
        "  two: {source: b, channels: *list, topic: t}\n");
    assert_int_equal(config->sources[0].connect_timeout, 2000000);
    assert_int_equal(config->sources[1].heartbeat, 2000000);
    assert_string_equal(config->routes[1].channels.texts[1], "y");
    rkb_config_free(config);
}

static void empty_sections(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files, "log:\nhttp:\n# level: x\ncontrol: {socket: @/c}\n");
    assert_int_equal(config->log.level, RKB_LOG_INFO);
    rkb_config_free(config);
}

static void byte_order_mark(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files, "\xef\xbb\xbfinstance: b\r\n");
    assert_string_equal(config->instance, "b");
    rkb_config_free(config);
}

static void embedded(void **state)
{
    (void)state;
    struct rkb_mistakes mistakes;
    write_completed(&files, "kafka:\n");
    struct rkb_config *config = rkb_config_read(files.config, true, &mistakes);
    assert_non_null(config);
    assert_int_equal(config->kafka.properties.count, 0);
    rkb_config_free(config);
    assert_null(rkb_config_read(files.config, false, &mistakes));
    assert_int_equal(mistakes.count, 1);
    rkb_mistakes_free(&mistakes);
}

static void properties(void **state)
{
    (void)state;
    files_add(&files, "secret", "s3cret\n\n", 8);
    struct rkb_config *config = read_good(&files,
        "kafka:\n  properties:\n    metadata.broker.list: h\n    sasl.password_file: @/secret\n    linger.ms: 7\n");
    const struct rkb_properties *list = &config->kafka.properties;
    assert_int_equal(list->count, 3);
    assert_string_equal(list->list[0].name, "metadata.broker.list");
    assert_string_equal(list->list[1].name, "sasl.password");
    assert_string_equal(list->list[1].value, "s3cret\n");       /* one newline only */
    assert_string_equal(list->list[2].value, "7");
    rkb_config_free(config);
    files_remove(&files, "secret");
}

static void topics_of_routes(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files,
        "kafka: {create_topics: yes, properties: {bootstrap.servers: h}}\n"
        "routes:\n"
        "  one: {source: legacy, channels: a, topic: t, partitions: 3, topic_config: {cleanup.policy: compact, "
        "retention.ms: 7}}\n"
        "  two: {source: legacy, channels: b, topic: t, topic_config: {retention.ms: 7, cleanup.policy: compact}}\n"
        "  three: {source: legacy, channels: c, topic: t, replication: 2, partitions: 3}\n"
        "  four: {source: legacy, channels: d, topic: u, replication: 1, partitions: default, topic_config: {}}\n");
    assert_int_equal(config->kafka.create_topics, 1);
    assert_int_equal(config->routes[0].partitions, 3);
    assert_int_equal(config->routes[0].replication, -1);
    assert_int_equal(config->routes[0].topic_config.count, 2);
    assert_string_equal(config->routes[0].topic_config.list[1].name, "retention.ms");
    assert_string_equal(config->routes[0].topic_config.list[1].value, "7");
    assert_int_equal(config->routes[1].partitions, -1);
    assert_int_equal(config->routes[2].replication, 2);
    assert_int_equal(config->routes[3].partitions, -1);
    assert_int_equal(config->routes[3].topic_config.count, 0);
    rkb_config_free(config);
}

static const char *auto_create(struct rkb_config *config)
{
    return rkb_property_find(&config->kafka.properties, "allow.auto.create.topics");
}

/* The brokers' own way of making topics is not to come first, unless the user wants it. */
static void create_topics_is_not_the_brokers_(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files, "");
    assert_int_equal(config->kafka.create_topics, 0);
    assert_null(auto_create(config));
    rkb_config_free(config);
    config = read_good(&files, "kafka: {create_topics: yes, properties: {bootstrap.servers: h}}\n");
    assert_string_equal(auto_create(config), "false");
    rkb_config_free(config);
    config = read_good(&files,
                       "kafka: {create_topics: yes, properties: {bootstrap.servers: h, "
                       "allow.auto.create.topics: true}}\n");
    assert_string_equal(auto_create(config), "true");
    rkb_config_free(config);
}

static void user_and_password_of_url(void **state)
{
    (void)state;
    struct rkb_config *config = read_good(&files, "redis: {legacy: {url: 'redis://me:p%40ss@h'}}\n");
    char password[32];
    struct rkb_error error;
    assert_string_equal(config->sources[0].user, "me");
    assert_true(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    assert_string_equal(password, "p@ss");
    assert_false(rkb_config_password(&config->sources[0], password, 4, &error));
    rkb_config_free(config);
}

static void password_file(void **state)
{
    (void)state;
    char password[8];
    struct rkb_error error;
    files_add(&files, "password", "first\n", 6);
    struct rkb_config *config = read_good(&files,
                                          "redis: {legacy: {url: 'redis://me@h', password_file: @/password}}\n");
    assert_string_equal(config->sources[0].user, "me");
    assert_true(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    assert_string_equal(password, "first");
    files_add(&files, "password", "later", 5);
    assert_true(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    assert_string_equal(password, "later");                     /* read anew */
    files_add(&files, "password", "12345678", 8);
    assert_false(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    files_add(&files, "password", "\n", 1);
    assert_false(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    files_add(&files, "password", "a\0b", 3);
    assert_false(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    files_remove(&files, "password");
    assert_false(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    rkb_config_free(config);
}

static void no_password(void **state)
{
    (void)state;
    char password[8] = "x";
    struct rkb_error error;
    struct rkb_config *config = read_good(&files, "");
    assert_true(rkb_config_password(&config->sources[0], password, sizeof password, &error));
    assert_string_equal(password, "");
    rkb_config_free(config);
}

static void makes_only_the_directory_asked_for(void **state)
{
    (void)state;
    struct rkb_error error;
    char path[300];
    struct stat status;
    struct rkb_config *config = read_good(&files, "journal: {directory: @/j/}\ncontrol: {socket: @/run/c.sock}\n");
    snprintf(path, sizeof path, "%s/j", files.directory);
    assert_int_not_equal(stat(path, &status), 0);               /* reading makes nothing */
    snprintf(path, sizeof path, "%s/run", files.directory);
    assert_int_not_equal(stat(path, &status), 0);
    mode_t before = umask(022);
    assert_true(rkb_config_make_directory(config, &error));
    umask(before);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0750);
    assert_true(rkb_config_make_directory(config, &error));     /* again: it is there */
    rkb_config_free(config);
    assert_int_equal(rmdir(path), 0);
}

/* A bit of every section, as in the manual page. */
static void example(void **state)
{
    (void)state;
    files_add(&files, "redis.password", "x\n", 2);
    struct rkb_config *config = read_good(&files,
        "instance: shop-sidecar\n"
        "\n"
        "redis:\n"
        "  legacy:\n"
        "    url: redis://bridge@127.0.0.1:6379        # redis:// rediss:// unix://\n"
        "    password_file: @/redis.password\n"
        "\n"
        "kafka:\n"
        "  delivery: at-least-once                     # or exactly-once\n"
        "  properties:                                 # any librdkafka property; NAME_file reads it from a file\n"
        "    bootstrap.servers: 127.0.0.1:9092\n"
        "    compression.type: lz4\n"
        "\n"
        "journal: {directory: @/rkbridge, max_size: 4GiB, sync: 1s}      # sync: none, a duration, always\n"
        "control: {socket: @/run/control.sock, socket_mode: \"0660\"}\n"
        "http:    {listen: \"127.0.0.1:9464\"}\n"
        "\n"
        "routes:\n"
        "  users:\n"
        "    source: legacy\n"
        "    channels: [user_created, user_deleted]\n"
        "    patterns: [\"user.*\"]\n"
        "    topic: user_activity\n"
        "    key: \"{{channel}}\"\n"
        "    envelope: event                           # a preset; or value: '{ … }', never both\n"
        "    payload_name: user\n");
    assert_string_equal(config->http.listen, "127.0.0.1:9464");
    assert_string_equal(config->routes[0].payload_name, "user");
    assert_int_equal(config->routes[0].channels.count, 2);
    assert_int_equal(config->kafka.properties.count, 2);
    rkb_config_free(config);
    files_remove(&files, "redis.password");
}

struct seen {
    struct rkb_buffer lines;
    size_t count;
};

static char *replaced_back(const struct files *here, const char *text)
{
    char directory[210];
    snprintf(directory, sizeof directory, "%s/", here->directory);
    return replaced(text, directory, "@/");
}

static void see(void *context, const char *path, const char *value, const char *origin)
{
    struct seen *seen = context;
    rkb_buffer_format(&seen->lines, "%s = %s < %s\n", path, value, origin);
    seen->count++;
}

static struct seen effective(const struct rkb_config *config, bool changed)
{
    struct seen seen = {0};
    rkb_effective_each(config, changed, see, &seen);
    rkb_buffer_add(&seen.lines, "", 1);
    return seen;
}

static void where_each_comes_from(void **state)
{
    (void)state;
    setenv("RKB_TEST_LEVEL", "warn", 1);
    setenv("RKB_TEST_PASSWORD", "geheim-1", 1);
    struct rkb_config *config = read_good(&files,
        "log: {level: '${RKB_TEST_LEVEL}', format: text}\n"
        "control: {socket: @/c.sock, admins: [root, 77]}\n"
        "redis:\n"
        "  a: {url: 'redis://bridge:geheim-2@127.0.0.1:7000'}\n"
        "  b: {url: 'redis://127.0.0.1', password: '${RKB_TEST_PASSWORD}'}\n"
        "kafka:\n"
        "  properties:\n"
        "    bootstrap.servers: k:9092\n"
        "    sasl.password: geheim-3\n"
        "routes:\n"
        "  one: {source: b, channels: [x, y], topic: t, topic_config: {retention.ms: 5}}\n"
        "  two: {source: a, patterns: 'p.*', topic: t, key: '{{channel}}'}\n");
    struct seen changed = effective(config, true), all = effective(config, false);
    char *text = replaced_back(&files, (char *)changed.lines.data);
    assert_string_equal(text,
        "kafka.properties.bootstrap.servers = k:9092 < line 8\n"
        "kafka.properties.sasl.password = (hidden) < line 8\n"
        "journal.directory = @/journal < line 13\n"
        "control.socket = @/c.sock < line 2\n"
        "control.admins = root, 77 < line 2\n"
        "log.level = warn < environment RKB_TEST_LEVEL, line 1\n"
        "redis.a.url = redis://bridge@127.0.0.1:7000 < line 4\n"
        "redis.b.url = redis://127.0.0.1:6379 < line 5\n"
        "redis.b.password = (hidden) < environment RKB_TEST_PASSWORD, line 5\n"
        "routes.one.source = b < line 11\n"
        "routes.one.channels = x, y < line 11\n"
        "routes.one.topic = t < line 11\n"
        "routes.one.topic_config.retention.ms = 5 < line 11\n"
        "routes.two.source = a < line 12\n"
        "routes.two.patterns = p.* < line 12\n"
        "routes.two.topic = t < line 12\n");
    const char *whole = (char *)all.lines.data;
    assert_null(strstr(whole, "geheim"));
    assert_non_null(strstr(whole, "log.format = text < line 1\n"));
    assert_non_null(strstr(whole, "redis.a.heartbeat = 5s < default\n"));
    assert_non_null(strstr(whole, "routes.two.key = {{channel}} < line 12\n"));
    assert_non_null(strstr(whole, "http.listen = - < default\n"));
    free(text);
    rkb_buffer_free(&changed.lines);
    rkb_buffer_free(&all.lines);
    rkb_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_type),
        cmocka_unit_test(sync_none),
        cmocka_unit_test(same_channel_elsewhere),
        cmocka_unit_test(environment),
        cmocka_unit_test(aliases),
        cmocka_unit_test(empty_sections),
        cmocka_unit_test(byte_order_mark),
        cmocka_unit_test(embedded),
        cmocka_unit_test(properties),
        cmocka_unit_test(topics_of_routes),
        cmocka_unit_test(create_topics_is_not_the_brokers_),
        cmocka_unit_test(user_and_password_of_url),
        cmocka_unit_test(password_file),
        cmocka_unit_test(no_password),
        cmocka_unit_test(makes_only_the_directory_asked_for),
        cmocka_unit_test(example),
        cmocka_unit_test(where_each_comes_from),
    };
    return cmocka_run_group_tests(tests, set_up, drop_files);
}
