/*
 * schema_check -- a payload held against a compiled schema: nodes, and the rules about numbers, strings and any value.
 *
 *     node: the kind of value allowed? --> rules about that kind --> rules about any value --> holds
 *                  | no                         | one does not hold
 *                  +----------------------------+--> fails; which rule and value is noted, words are made at the end
 *
 * Promises: bounded work, counted in steps, whatever payload and schema are; bounded stack; no memory but the room's.
 * Having given up is remembered, so that `not` and its like do not turn it into a yes.
 */
#include <stdlib.h>

#include "message/schema_state.h"

#define STEPS 500000            /* some 5 ns to 10 ns each */
#define DEPTH 2048              /* of nodes in nodes; about 0.5 KiB of stack each */
#define BYTES_PER_STEP 64
#define SEARCH_STEPS 16         /* what a search costs at least */

bool rkb_check_fail(struct rkb_check *check, uint32_t key, uint32_t at, uint32_t value)
{
    if (check->gave_up == RKB_GOES_ON) {
        check->failed_key = key;
        check->failed_at = at;
        check->failed_value = value;
    }
    return false;
}

bool rkb_check_give_up(struct rkb_check *check, enum rkb_gave_up why)
{
    if (check->gave_up == RKB_GOES_ON)
        check->gave_up = why;
    return false;
}

static bool fails(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return rkb_check_fail(check, rule->key, rule->key + 1, value);
}

/* ---- nodes ---- */

static bool is_integer(const struct rkb_value *value)
{
    struct rkb_number number;
    return value->whole || (rkb_number_read(rkb_value_text(value), &number) && rkb_number_is_integer(&number));
}

static inline bool has_type(const struct rkb_node *node, const struct rkb_value *value)
{
    if ((node->types >> value->kind & 1) != 0)
        return true;
    return value->kind == RKB_KIND_NUMBER && (node->types & RKB_TYPE_INTEGER) != 0 && is_integer(value);
}

static enum rkb_about about_kind(uint8_t kind)
{
    switch ((enum rkb_kind)kind) {
    case RKB_KIND_NUMBER:
        return RKB_ABOUT_NUMBER;
    case RKB_KIND_STRING:
        return RKB_ABOUT_STRING;
    case RKB_KIND_ARRAY:
        return RKB_ABOUT_ARRAY;
    case RKB_KIND_OBJECT:
        return RKB_ABOUT_OBJECT;
    case RKB_KIND_NULL:
    case RKB_KIND_BOOLEAN:
        break;
    }
    return RKB_ABOUT_ANY;
}

static bool check_rules(struct rkb_check *check, const struct rkb_node *node, enum rkb_about about, uint32_t value)
{
    const struct rkb_rule *end = node->rules + node->first[about + 1];
    for (const struct rkb_rule *rule = node->rules + node->first[about]; rule < end; rule++)
        if (!rkb_check_spend(check, 1) || !rule->check(check, rule, value))
            return false;
    return true;
}

bool rkb_check_node(struct rkb_check *check, uint32_t number, uint32_t value)
{
    const struct rkb_node *node = &check->schema->nodes[number];
    if (!rkb_check_spend(check, 1))
        return false;
    if (!has_type(node, &check->values[value]))
        return rkb_check_fail(check, node->type_key, node->types == 0 ? node->schema : node->type_key + 1, value);
    if (node->first[RKB_ABOUTS] == 0)
        return true;
    if (++check->depth > DEPTH)
        return rkb_check_give_up(check, RKB_TOO_DEEP);
    enum rkb_about about = about_kind(check->values[value].kind);
    bool holds = about == RKB_ABOUT_ANY || check_rules(check, node, about, value);
    holds = holds && check_rules(check, node, RKB_ABOUT_ANY, value);
    check->depth--;
    return holds;
}

static bool check_link(struct rkb_check *check, uint32_t link, uint32_t value)
{
    return rkb_check_node(check, check->schema->links[link].node, value);
}

/* ---- numbers ---- */

static int compare_with_limit(const struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    struct rkb_number number;
    if (!rkb_number_read(rkb_value_text(&check->values[value]), &number))
        return 0;
    return rkb_number_compare(&number, &rule->with.number);
}

bool rkb_check_maximum(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return compare_with_limit(check, rule, value) <= 0 || fails(check, rule, value);
}

bool rkb_check_exclusive_maximum(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return compare_with_limit(check, rule, value) < 0 || fails(check, rule, value);
}

bool rkb_check_minimum(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return compare_with_limit(check, rule, value) >= 0 || fails(check, rule, value);
}

bool rkb_check_exclusive_minimum(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return compare_with_limit(check, rule, value) > 0 || fails(check, rule, value);
}

bool rkb_check_multiple_of(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    struct rkb_number number;
    struct rkb_slice text = rkb_value_text(&check->values[value]);
    if (!rkb_check_spend(check, text.size / BYTES_PER_STEP))
        return false;
    bool holds = rkb_number_read(text, &number) && rkb_divisor_divides(&rule->with.divisor, &number);
    return holds || fails(check, rule, value);
}

/* ---- strings ---- */

/* Code points of well-formed UTF-8: every byte that does not go on with a character. */
static size_t count_characters(struct rkb_slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += (text.data[i] & 0xC0) != 0x80;
    return count;
}

/* Counted only where the bytes do not tell already: a character has one to four. */
bool rkb_check_max_length(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    struct rkb_slice text = rkb_value_text(&check->values[value]);
    if (text.size <= rule->with.limit)
        return true;
    if (!rkb_check_spend(check, text.size / BYTES_PER_STEP))
        return false;
    return count_characters(text) <= rule->with.limit || fails(check, rule, value);
}

bool rkb_check_min_length(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    struct rkb_slice text = rkb_value_text(&check->values[value]);
    if (text.size / 4 >= rule->with.limit)
        return true;
    if (!rkb_check_spend(check, text.size / BYTES_PER_STEP))
        return false;
    return count_characters(text) >= rule->with.limit || fails(check, rule, value);
}

enum rkb_regex_result rkb_check_search(struct rkb_check *check, const struct rkb_regex *regex, uint32_t value)
{
    struct rkb_slice text = rkb_value_text(&check->values[value]);
    if (!rkb_check_spend(check, SEARCH_STEPS + text.size / BYTES_PER_STEP))
        return RKB_REGEX_LIMIT;
    return rkb_regex_match_within(regex, text, &check->regex_steps);
}

bool rkb_check_pattern(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    switch (rkb_check_search(check, rule->with.regex, value)) {
    case RKB_REGEX_MATCH:
        return true;
    case RKB_REGEX_NO_MATCH:
        return fails(check, rule, value);
    case RKB_REGEX_LIMIT:
        break;
    }
    fails(check, rule, value);
    return rkb_check_give_up(check, RKB_PATTERN_TOO_LONG);
}

/* ---- any value ---- */

bool rkb_check_const(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    const struct rkb_value *known = check->schema->document.values;
    return rkb_check_equal(check, check->values, value, known, rule->key + 1) || fails(check, rule, value);
}

bool rkb_check_enum(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    const struct rkb_value *known = check->schema->document.values;
    uint32_t list = rule->key + 1;
    for (uint32_t at = list + 1; at < known[list].next; at = known[at].next)
        if (rkb_check_equal(check, check->values, value, known, at))
            return true;
    return fails(check, rule, value);
}

bool rkb_check_all_of(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    for (uint32_t i = 0; i < rule->count; i++)
        if (!check_link(check, rule->link + i, value))
            return false;
    return true;
}

bool rkb_check_any_of(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    for (uint32_t i = 0; i < rule->count; i++)
        if (check_link(check, rule->link + i, value))
            return true;
    return fails(check, rule, value);
}

bool rkb_check_one_of(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < rule->count && held < 2; i++)
        held += check_link(check, rule->link + i, value);
    return held == 1 || fails(check, rule, value);
}

bool rkb_check_not(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return !check_link(check, rule->link, value) || fails(check, rule, value);
}

bool rkb_check_if(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    bool holds = check_link(check, rule->with.choice.condition, value);
    uint32_t then = holds ? rule->with.choice.then : rule->with.choice.otherwise;
    return then == RKB_NONE || check_link(check, then, value);
}

/* ---- from outside ---- */

struct rkb_schema_room *rkb_schema_room_new(void)
{
    return calloc(1, sizeof(struct rkb_schema_room));
}

void rkb_schema_room_free(struct rkb_schema_room *room)
{
    if (room == NULL)
        return;
    rkb_document_free(&room->document);
    free(room->table);
    free(room);
}

bool rkb_schema_check(const struct rkb_schema *schema, struct rkb_schema_room *room, struct rkb_slice json,
                      char *reason, size_t size)
{
    switch (rkb_document_read(&room->document, json)) {
    case RKB_DOCUMENT_READ:
        break;
    case RKB_DOCUMENT_NOT_JSON:
        return rkb_reason_words(reason, size, "not JSON");
    case RKB_DOCUMENT_TOO_LARGE:
        return rkb_reason_words(reason, size,
                                "more values, or more keys that look alike, than a schema is checked against");
    case RKB_DOCUMENT_NO_MEMORY:
        return rkb_reason_words(reason, size, "no memory to check a schema");
    }
    struct rkb_check check = {.schema = schema, .room = room, .values = room->document.values, .steps = STEPS,
                              .regex_steps = RKB_REGEX_STEPS + (uint64_t)json.size * RKB_REGEX_STEPS_PER_BYTE};
    if (rkb_check_node(&check, schema->root, 0) && check.gave_up == RKB_GOES_ON)
        return true;
    rkb_check_reason(&check, reason, size);
    return false;
}
