/*
 * Fuzz target: JSON Schema, compiled and checked.
 *
 *     input   a schema, an empty line, the payload
 *
 * Claims, for any input: what is refused has mistakes with their places; a check says the same when asked
 * again, and of the payload in other white space; what S says of it, {"allOf": [S]} says too, and {"not": S}
 * says the contrary, unless one of them gave up.
 */
#include "fuzz.h"

#include "message/json.h"
#include "message/schema.h"

static void on_mistake(void *context, size_t line, size_t column, const char *text)
{
    size_t *count = context;
    CLAIM(line > 0 && column > 0 && text[0] != '\0' && strchr(text, '\n') == NULL);
    (*count)++;
}

static struct rkb_schema *compile(struct rkb_slice text)
{
    size_t mistakes = 0;
    struct rkb_schema *schema = rkb_schema_compile(text, on_mistake, &mistakes);
    CLAIM((schema == NULL) == (mistakes > 0) && mistakes <= 50);
    CLAIM(schema == NULL || rkb_json_valid(text, NULL));
    return schema;
}

enum answer { NO, YES, GAVE_UP };

static enum answer ask(const struct rkb_schema *schema, struct rkb_schema_room *room, struct rkb_slice json)
{
    static const char *const limits[] = {"takes too long", "too deep", "more values", "too large",
                                         "out of memory", "no memory"};
    char reason[RKB_SCHEMA_REASON];
    if (rkb_schema_check(schema, room, json, reason, sizeof reason))
        return YES;
    CLAIM(memchr(reason, '\0', sizeof reason) != NULL && reason[0] != '\0');
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        if (strstr(reason, limits[i]) != NULL)
            return GAVE_UP;
    return NO;
}

/* The schema within another; NULL where it may mean something else there: what it refers to is named from the top. */
static struct rkb_schema *within(const char *before, struct rkb_slice schema, const char *behind)
{
    struct rkb_buffer text = {0};
    rkb_buffer_text(&text, before);
    rkb_buffer_add(&text, schema.data, schema.size);
    rkb_buffer_text(&text, behind);
    bool refers = memmem(schema.data, schema.size, "\"$", 2) != NULL || memchr(schema.data, '\\', schema.size) != NULL
                  || memmem(schema.data, schema.size, "definitions", 11) != NULL;
    struct rkb_schema *made = refers ? NULL : compile(rkb_slice(text.data, text.size));
    rkb_buffer_free(&text);
    return made;
}

static void check(const struct rkb_schema *schema, struct rkb_slice text, struct rkb_slice payload)
{
    struct rkb_schema_room *room = rkb_schema_room_new();
    struct rkb_buffer spaced = {0};
    CLAIM(room != NULL);
    enum answer answer = ask(schema, room, payload);
    CLAIM(answer == ask(schema, room, payload));
    rkb_buffer_text(&spaced, "\n ");
    rkb_buffer_add(&spaced, payload.data, payload.size);
    rkb_buffer_text(&spaced, "\t");
    enum answer other = ask(schema, room, rkb_slice(spaced.data, spaced.size));
    CLAIM(other == answer || other == GAVE_UP || answer == GAVE_UP);
    struct rkb_schema *all = within("{\"allOf\": [", text, "]}"), *not = within("{\"not\": ", text, "}");
    other = all != NULL ? ask(all, room, payload) : answer;
    CLAIM(other == answer || other == GAVE_UP || answer == GAVE_UP);
    other = not != NULL ? ask(not, room, payload) : GAVE_UP;
    CLAIM(other != answer || answer == GAVE_UP);
    rkb_schema_free(all);
    rkb_schema_free(not);
    rkb_buffer_free(&spaced);
    rkb_schema_room_free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *blank = size > 0 ? memmem(data, size, "\n\n", 2) : NULL;
    size_t schema_size = blank == NULL ? size : (size_t)(blank - data);
    struct rkb_slice text = copy_exactly(rkb_slice(data, schema_size));
    struct rkb_slice payload = copy_exactly(blank == NULL ? rkb_slice("1", 1)
                                                          : rkb_slice(blank + 2, size - schema_size - 2));
    struct rkb_schema *schema = compile(text);
    if (schema != NULL && rkb_json_valid(payload, NULL))
        check(schema, text, payload);
    rkb_schema_free(schema);
    free((void *)(uintptr_t)text.data);
    free((void *)(uintptr_t)payload.data);
    return 0;
}
