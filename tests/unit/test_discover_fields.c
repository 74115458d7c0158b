/* Tests of discover_fields: which fields are told, that nothing of a value is, and that any JSON ends the walk. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "message/json.h"
#include "tool/discover_fields.h"

static void look(struct rkb_fields *fields, uint32_t owner, int index, const char *json)
{
    size_t size = strlen(json);
    char *exact = malloc(size);         /* so that one byte beyond is noticed */
    memcpy(exact, json, size);
    assert_true(rkb_json_valid(rkb_slice(exact, size), NULL));
    rkb_fields_look(fields, owner, index < RKB_FIELDS_FIRST, rkb_slice(exact, size));
    free(exact);
}

/* What is told of group 0, to which owner 0 belongs: "pointer present distinct" each. */
static const char *told(const struct rkb_fields *fields)
{
    static char out[1024];
    static const uint32_t group_of[] = {0, 1, 0};
    struct rkb_field found[RKB_FIELDS_TOLD];
    bool good;
    size_t count = rkb_fields_tell(fields, group_of, 3, 0, found, &good), used = 0;
    assert_true(good);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%.*s %u %u", i == 0 ? "" : "; ",
                                 (int)found[i].pointer.size, (const char *)found[i].pointer.data, found[i].present,
                                 found[i].distinct);
    return out;
}

/* format has one %d: the number of the payload, from 0. */
static void check(const char *format, int count, const char *wanted)
{
    struct rkb_fields *fields = rkb_fields_new();
    char json[512];
    for (int i = 0; i < count; i++) {
        snprintf(json, sizeof json, format, i, i, i);
        look(fields, 0, i, json);
    }
    assert_string_equal(told(fields), wanted);
    rkb_fields_free(fields);
}

static void ids_are_told(void **state)
{
    (void)state;
    check("{\"user\": {\"id\": %d, \"name\": \"n\"}, \"ok\": true, \"price\": 1.5}", 50, "/user/id 100 100");
    check(" {\"a\":{\"b\":{\"c\":{\"id\":%d,\"d\":{\"id\":%d}}}}} ", 50, "/a/b/c/id 100 100");
    check("{\"x~/y\": {\"k\\\\\\\"\": {\"id\": 1}, \"id\": \"a\\\\\\\"%d\"}}", 50, "/x~0~1y/id 100 100");
    check("{\"tags\": [{\"id\": 3}, \"]\"], \"sku\": %d}", 50, "/sku 100 100");
    check("{\"userId\": %d, \"paid\": 1, \"valid\": 2}", 50, "/userId 100 100");
    check("{\"number\": %d, \"colour\": %d, \"id\": %d}", 50, "/number 100 100; /id 100 100; /colour 100 100");
}

static void what_is_no_key_is_not(void **state)
{
    (void)state;
    check("{\"id\": %d}", 9, "");                                       /* too few to say */
    check("{\"created_at\": \"%d\", \"ts\": %d, \"count\": %d}", 50, "");
    check("{\"id\": 7, \"n\": %d.5, \"f\": -%d, \"e\": %d.0e1}", 50, "");
    check("{\"bob%d@example.com\": {\"id\": 1}, \"17\": {\"id\": %d}}", 50, "");
    check("{\"name%d\": {\"id\": %d}}", 50, "");                        /* each only once */
    check("{\"a{{b\": %d, \"c}}\": %d}", 50, "");
    check("{}", 50, "");
}

static void rare_fields_and_few_values(void **state)
{
    (void)state;
    struct rkb_fields *fields = rkb_fields_new();
    char json[256];
    for (int i = 0; i < 100; i++) {
        snprintf(json, sizeof json, "{%s\"colour\": %d, \"code\": %d, \"x_id\": %d}", i % 5 == 0 ? "" : "\"id\": 1,",
                 i % 9, i % 4, i);
        look(fields, i % 2 == 0 ? 0 : 2, i / 2, json);
        look(fields, 1, i, "{\"other_id\": 1}");
    }
    assert_string_equal(told(fields), "/x_id 100 100; /code 100 4");
    rkb_fields_free(fields);
}

static void a_key_that_is_there_twice_counts_once(void **state)
{
    (void)state;
    struct rkb_fields *fields = rkb_fields_new();
    for (int i = 0; i < 40; i++) {
        char json[64];
        snprintf(json, sizeof json, i % 2 == 0 ? "{\"id\": %d, \"id\": %d}" : "{\"no\": %d}", i, i + 100);
        look(fields, 0, i, json);
    }
    assert_string_equal(told(fields), "");
    rkb_fields_free(fields);
}

/* Payloads whose names are all data do not keep those of others out. */
static void a_flood_of_names(void **state)
{
    (void)state;
    struct rkb_fields *fields = rkb_fields_new();
    for (int i = 0; i < 20000; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"k%d\": 1, \"l%d\": 2, \"m%d\": 3}", i, i, i);
        look(fields, 1, i, json);
    }
    for (int i = 0; i < 30; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"id\": %d}", i);
        look(fields, 0, i, json);
    }
    assert_string_equal(told(fields), "/id 100 100");
    rkb_fields_free(fields);
}

static void owners_move(void **state)
{
    (void)state;
    struct rkb_fields *fields = rkb_fields_new();
    for (int i = 0; i < 30; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"id\": %d}", i);
        look(fields, 1, i, json);
    }
    assert_string_equal(told(fields), "");
    rkb_fields_move(fields, (const uint32_t[]){1, 0}, 2);
    assert_string_equal(told(fields), "/id 100 100");
    rkb_fields_free(fields);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_told),
        cmocka_unit_test(what_is_no_key_is_not),
        cmocka_unit_test(rare_fields_and_few_values),
        cmocka_unit_test(a_key_that_is_there_twice_counts_once),
        cmocka_unit_test(a_flood_of_names),
        cmocka_unit_test(owners_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
