/*
 * schema_reason -- why a payload failed, in one line: where in the payload, what the schema asked, where it says so.
 *
 *     /items/3/price: minimum 0 (#/properties/items/items/properties/price/minimum)
 *
 * Of the payload it names array indexes, and of its keys only those that the schema's text has; others read `*`. What
 * is too long is cut, and ends in "...".
 */
#include <stdio.h>

#include "base/escape.h"
#include "message/schema_state.h"

#define LONGEST_DETAIL 40
#define MOST_OF_PLACE 80        /* of the place in the payload, so that the schema's still fits */

/* Text that is cut at `most`, on a character's border. */
struct line {
    char *out;
    size_t size, most;
    bool cut;
};

static void add(struct line *line, const char *text, size_t size)
{
    line->cut = line->cut || size > line->most - line->size;
    if (line->cut)
        return;
    memcpy(line->out + line->size, text, size);
    line->size += size;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

static void add_escaped(struct line *line, struct rkb_slice text)
{
    while (text.size > 0 && !line->cut) {
        char character[RKB_ESCAPE_MAX];
        size_t size, taken = rkb_escape_step(RKB_ESCAPE_PLAIN, text, character, &size);
        add(line, character, size);
        text = rkb_slice(text.data + taken, text.size - taken);
    }
}

/* A key as a token of a JSON Pointer (RFC 6901, section 3). */
static void add_token(struct line *line, struct rkb_slice key)
{
    for (size_t i = 0, start = 0; i <= key.size; i++) {
        if (i < key.size && key.data[i] != '~' && key.data[i] != '/')
            continue;
        add_escaped(line, rkb_slice(key.data + start, i - start));
        if (i < key.size)
            add_text(line, key.data[i] == '~' ? "~0" : "~1");
        start = i + 1;
    }
}

/* What follows may be as long as this; where the last part was cut that is said. */
static void let(struct line *line, size_t most)
{
    static const char dots[] = {'.', '.', '.'};
    if (line->cut && line->most >= sizeof dots) {
        size_t border = line->most - sizeof dots < line->size ? line->most - sizeof dots : line->size;
        while (border > 0 && border < line->size && ((uint8_t)line->out[border] & 0xC0) == 0x80)
            border--;
        memcpy(line->out + border, dots, sizeof dots);
        line->size = border + sizeof dots;
    }
    line->cut = false;
    line->most = most;
}

/* The child of the container that is, or holds, `target`; *index gets its number. Of an object: the key. */
static uint32_t child_towards(const struct rkb_value *values, uint32_t container, uint32_t target, uint32_t *index)
{
    bool object = values[container].kind == RKB_KIND_OBJECT;
    uint32_t child = container + 1;
    *index = 0;
    while (values[object ? child + 1 : child].next <= target) {
        child = values[object ? child + 1 : child].next;
        ++*index;
    }
    return child;
}

/* The pointer to `target`. known: only keys among these are named; NULL: all. */
static void add_pointer(struct line *line, const struct rkb_value *values, uint32_t target,
                        const struct rkb_names *known)
{
    for (uint32_t at = 0; at < target && !line->cut;) {
        uint32_t index, child = child_towards(values, at, target, &index);
        const struct rkb_value *value = &values[child];
        add_text(line, "/");
        if (values[at].kind == RKB_KIND_ARRAY) {
            char digits[16];
            add(line, digits, (size_t)snprintf(digits, sizeof digits, "%u", (unsigned)index));
        } else if (known == NULL || rkb_names_find(known, rkb_value_text(value), value->hash) != NULL) {
            add_token(line, rkb_value_text(value));
        } else {
            add_text(line, "*");
        }
        at = value->key ? child + 1 : child;
    }
}

/* What the keyword asks, where it is short: the 0 of minimum, the name that is required. */
static void add_asked(struct line *line, const struct rkb_schema *schema, uint32_t key, uint32_t at)
{
    const struct rkb_value *values = schema->document.values;
    if (key == RKB_NONE) {
        add_text(line, "not allowed");
        return;
    }
    add_escaped(line, rkb_value_text(&values[key]));
    const struct rkb_value *asked = &values[at];
    if (asked->kind >= RKB_KIND_ARRAY || asked->size > LONGEST_DETAIL)
        return;
    add_text(line, " ");
    add_escaped(line, rkb_value_text(asked));
}

bool rkb_reason_words(char *reason, size_t size, const char *words)
{
    snprintf(reason, size < RKB_SCHEMA_REASON ? size : RKB_SCHEMA_REASON, "%s", words);
    return false;
}

static void describe(const struct rkb_check *check, const char *more, char *reason, size_t size)
{
    const struct rkb_schema *schema = check->schema;
    size_t most = (size < RKB_SCHEMA_REASON ? size : RKB_SCHEMA_REASON) - 1;
    struct line line = {.out = reason, .most = most < MOST_OF_PLACE ? most : MOST_OF_PLACE};
    if (check->failed_value == 0)
        add_text(&line, "the whole payload");
    else
        add_pointer(&line, check->values, check->failed_value, &schema->known);
    let(&line, most);
    add_text(&line, ": ");
    add_asked(&line, schema, check->failed_key, check->failed_at);
    add_text(&line, more);
    add_text(&line, " (#");
    add_pointer(&line, schema->document.values, check->failed_at, NULL);
    add_text(&line, ")");
    let(&line, most);
    reason[line.size] = '\0';
}

void rkb_check_reason(const struct rkb_check *check, char *reason, size_t size)
{
    if (size == 0)
        return;
    switch (check->gave_up) {
    case RKB_GOES_ON:
        describe(check, "", reason, size);
        break;
    case RKB_PATTERN_TOO_LONG:
        describe(check, " takes too long to search for", reason, size);
        break;
    case RKB_TOO_LONG:
        rkb_reason_words(reason, size, "the schema takes too long to check against this payload");
        break;
    case RKB_TOO_DEEP:
        rkb_reason_words(reason, size, "payload and schema together are nested too deep to check");
        break;
    case RKB_CHECK_NO_MEMORY:
        rkb_reason_words(reason, size, "no memory to check a schema");
        break;
    }
}
