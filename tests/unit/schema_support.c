/* schema_support -- see schema_support.h. */
#include "schema_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

char *quoted(struct rkb_slice text)
{
    char *copy = malloc(text.size + 1);
    assert_non_null(copy);
    for (size_t i = 0; i < text.size; i++)
        copy[i] = text.data[i] == '\'' ? '"' : (char)text.data[i];
    copy[text.size] = '\0';
    return copy;
}

void note_mistake(void *context, size_t line, size_t column, const char *text)
{
    struct mistakes *mistakes = context;
    size_t used = strlen(mistakes->text);
    snprintf(mistakes->text + used, sizeof mistakes->text - used, "%zu:%zu: %s\n", line, column, text);
    mistakes->count++;
}

struct rkb_schema *compile(const char *text)
{
    struct mistakes mistakes = {0, ""};
    char *json = quoted(rkb_slice_text(text));
    struct rkb_schema *schema = rkb_schema_compile(rkb_slice_text(json), note_mistake, &mistakes);
    free(json);
    if (schema == NULL || mistakes.count > 0)
        fail_msg("%s\n%s", text, mistakes.text);
    return schema;
}

void refuse(struct rkb_slice text, struct mistakes *mistakes)
{
    char *json = quoted(text);
    *mistakes = (struct mistakes){0, ""};
    assert_null(rkb_schema_compile(rkb_slice(json, text.size), note_mistake, mistakes));
    assert_true(mistakes->count > 0);
    free(json);
}

struct rkb_schema_room *make_room(void)
{
    struct rkb_schema_room *room = rkb_schema_room_new();
    assert_non_null(room);
    return room;
}

bool check(const struct rkb_schema *schema, struct rkb_schema_room *room, struct rkb_slice json,
           char reason[RKB_SCHEMA_REASON])
{
    uint8_t *exact = malloc(json.size > 0 ? json.size : 1);
    assert_non_null(exact);
    memcpy(exact, json.data, json.size);
    memset(reason, 'x', RKB_SCHEMA_REASON);
    bool valid = rkb_schema_check(schema, room, rkb_slice(exact, json.size), reason, RKB_SCHEMA_REASON);
    free(exact);
    if (!valid)
        assert_non_null(memchr(reason, '\0', RKB_SCHEMA_REASON));
    return valid;
}

static bool check_text(const char *schema_text, const char *text, char reason[RKB_SCHEMA_REASON])
{
    struct rkb_schema *schema = compile(schema_text);
    struct rkb_schema_room *room = make_room();
    char *json = quoted(rkb_slice_text(text));
    bool valid = check(schema, room, rkb_slice_text(json), reason);
    free(json);
    rkb_schema_room_free(room);
    rkb_schema_free(schema);
    return valid;
}

bool holds(const char *schema, const char *json)
{
    char reason[RKB_SCHEMA_REASON];
    return check_text(schema, json, reason);
}

void fails_with(const char *schema, const char *json, const char *expected)
{
    char reason[RKB_SCHEMA_REASON];
    if (check_text(schema, json, reason))
        fail_msg("%s should not hold %s", schema, json);
    char *words = quoted(rkb_slice_text(expected));
    assert_string_equal(reason, words);
    free(words);
}

void gives_up(const char *schema_text, const struct rkb_buffer *json, const char *expected)
{
    char reason[RKB_SCHEMA_REASON];
    struct rkb_schema *schema = compile(schema_text);
    struct rkb_schema_room *room = make_room();
    char *text = quoted(rkb_slice(json->data, json->size));
    assert_false(check(schema, room, rkb_slice(text, json->size), reason));
    assert_string_equal(reason, expected);
    assert_true(check(schema, room, rkb_slice_text("{}"), reason));
    free(text);
    rkb_schema_room_free(room);
    rkb_schema_free(schema);
}

void repeat(struct rkb_buffer *out, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        rkb_buffer_text(out, text);
}
