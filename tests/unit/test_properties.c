/*
 * Properties read anew: a rotated file counts, a file that is no good leaves nothing, no error holds what a file holds.
 */
#include "config_files.h"

#include "config/properties.h"

static void put(const char *text)
{
    files_add(&files, "secret", text, strlen(text));
}

static int drop_secret(void **state)
{
    (void)state;
    files_remove(&files, "secret");
    return 0;
}

static struct rkb_config *with_secret(const char *text)
{
    put(text);
    return read_good(&files,
                     "kafka: {properties: {bootstrap.servers: h, sasl.password_file: @/secret, linger.ms: 7}}\n");
}

static void a_rotated_file_counts(void **state)
{
    (void)state;
    struct rkb_config *config = with_secret("first\n");
    const struct rkb_properties *given = &config->kafka.properties;
    struct rkb_properties fresh;
    struct rkb_error error;
    assert_string_equal(rkb_property_find(given, "sasl.password"), "first");
    put("second\n");
    assert_true(rkb_properties_read(given, &fresh, &error));
    assert_int_equal(fresh.count, 3);
    assert_string_equal(rkb_property_find(&fresh, "sasl.password"), "second");
    assert_string_equal(rkb_property_find(&fresh, "bootstrap.servers"), "h");
    assert_string_equal(rkb_property_find(&fresh, "linger.ms"), "7");
    assert_string_equal(rkb_property_find(given, "sasl.password"), "first");
    put("third");
    struct rkb_properties again;        /* what was read anew can be read anew */
    assert_true(rkb_properties_read(&fresh, &again, &error));
    assert_string_equal(rkb_property_find(&again, "sasl.password"), "third");
    rkb_properties_free(&again);
    rkb_properties_free(&fresh);
    assert_int_equal(fresh.count, 0);
    rkb_config_free(config);
}

static void expect_no_list(const struct rkb_properties *given, const char *words)
{
    struct rkb_properties fresh;
    struct rkb_error error;
    assert_false(rkb_properties_read(given, &fresh, &error));
    assert_null(fresh.list);
    assert_int_equal(fresh.count, 0);
    if (strstr(error.text, words) == NULL || strstr(error.text, "sasl.password_file") == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void a_file_that_is_no_good(void **state)
{
    (void)state;
    struct rkb_config *config = with_secret("s3cret");
    const struct rkb_properties *given = &config->kafka.properties;
    put("");
    expect_no_list(given, "is empty");
    files_remove(&files, "secret");
    expect_no_list(given, "No such file");
    char path[300];
    snprintf(path, sizeof path, "%s/secret", files.directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_no_list(given, "regular file");      /* and is not waited for */
    assert_string_equal(rkb_property_find(given, "sasl.password"), "s3cret");
    rkb_config_free(config);
}

static void a_value_that_is_no_good(void **state)
{
    (void)state;
    put("7");
    struct rkb_config *config = read_good(&files,
                                          "kafka: {properties: {bootstrap.servers: h, linger.ms_file: @/secret}}\n");
    struct rkb_properties fresh;
    struct rkb_error error;
    put("many");
    assert_false(rkb_properties_read(&config->kafka.properties, &fresh, &error));
    assert_non_null(strstr(error.text, "linger.ms"));
    put("9");
    assert_true(rkb_properties_read(&config->kafka.properties, &fresh, &error));
    assert_string_equal(rkb_property_find(&fresh, "linger.ms"), "9");
    rkb_properties_free(&fresh);
    rkb_config_free(config);
}

static void no_error_holds_a_secret(void **state)
{
    (void)state;
    put("-----BEGIN");
    struct rkb_config *config = read_good(&files, "kafka: {properties: {bootstrap.servers: h, "
                                                  "sasl.password_file: @/secret}}\n");
    struct rkb_properties fresh;
    struct rkb_error error;
    files_add(&files, "secret", "s3cret\0s3cret", 13);
    assert_false(rkb_properties_read(&config->kafka.properties, &fresh, &error));
    assert_null(strstr(error.text, "s3cret"));
    rkb_config_free(config);
}

/* A list that names no files: that of an embedded Kafka. */
static void a_list_without_files(void **state)
{
    (void)state;
    struct rkb_property list[] = {{"bootstrap.servers", "h"}, {"linger.ms", "7"}};
    struct rkb_properties given = {.list = list, .count = 2}, fresh;
    struct rkb_error error;
    assert_true(rkb_properties_read(&given, &fresh, &error));
    assert_true(rkb_properties_equal(&given, &fresh));
    rkb_properties_free(&fresh);
}

static void equal_in_any_order(void **state)
{
    (void)state;
    struct rkb_property one[] = {{"a", "1"}, {"b", "2"}}, two[] = {{"b", "2"}, {"a", "1"}};
    struct rkb_property other[] = {{"a", "1"}, {"b", "3"}};
    struct rkb_properties x = {.list = one, .count = 2}, y = {.list = two, .count = 2}, z = {.list = other, .count = 2};
    struct rkb_properties less = {.list = one, .count = 1};
    assert_true(rkb_properties_equal(&x, &y));
    assert_false(rkb_properties_equal(&x, &z));
    assert_false(rkb_properties_equal(&less, &x));
    assert_false(rkb_properties_equal(&x, &less));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_rotated_file_counts, drop_secret),
        cmocka_unit_test_teardown(a_file_that_is_no_good, drop_secret),
        cmocka_unit_test_teardown(a_value_that_is_no_good, drop_secret),
        cmocka_unit_test_teardown(no_error_holds_a_secret, drop_secret),
        cmocka_unit_test(a_list_without_files),
        cmocka_unit_test(equal_in_any_order),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
