/*
 * schema_parts -- the rules about arrays and objects: they hold parts of a value against other nodes of the schema.
 *
 * Each walks over the parts once; the value of a key that stands there again, further on, is passed over.
 */
#include <stdlib.h>

#include "message/schema_state.h"

#define FEW_ITEMS 8             /* so many are compared each with each */

static bool fails(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return rkb_check_fail(check, rule->key, rule->key + 1, value);
}

static bool check_link(struct rkb_check *check, uint32_t link, uint32_t value)
{
    return rkb_check_node(check, check->schema->links[link].node, value);
}

/* ---- arrays ---- */

bool rkb_check_max_items(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return check->values[value].count <= rule->with.limit || fails(check, rule, value);
}

bool rkb_check_min_items(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return check->values[value].count >= rule->with.limit || fails(check, rule, value);
}

/* The link for the item of that index; RKB_NONE. */
static uint32_t link_of_item(const struct rkb_rule *rule, uint32_t index)
{
    return index < rule->count ? rule->link + index : rule->with.rest;
}

bool rkb_check_items(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    const struct rkb_value *values = check->values;
    uint32_t index = 0;
    for (uint32_t item = value + 1; item < values[value].next; item = values[item].next, index++) {
        uint32_t link = link_of_item(rule, index);
        if (link == RKB_NONE)
            break;
        if (!check_link(check, link, item))
            return false;
    }
    return true;
}

bool rkb_check_contains(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    const struct rkb_value *values = check->values;
    for (uint32_t item = value + 1; item < values[value].next; item = values[item].next)
        if (check_link(check, rule->link, item))
            return true;
    return fails(check, rule, value);
}

static bool each_is_unique(struct rkb_check *check, uint32_t value)
{
    const struct rkb_value *values = check->values;
    for (uint32_t item = value + 1; item < values[value].next; item = values[item].next)
        for (uint32_t other = values[item].next; other < values[value].next; other = values[other].next)
            if (rkb_check_equal(check, values, item, values, other))
                return false;
    return true;
}

static bool make_table(struct rkb_check *check, size_t slots)
{
    struct rkb_schema_room *room = check->room;
    if (room->table_capacity < slots) {
        free(room->table);
        room->table = malloc(slots * sizeof *room->table);
        room->table_capacity = room->table != NULL ? slots : 0;
        if (room->table == NULL)
            return rkb_check_give_up(check, RKB_CHECK_NO_MEMORY);
    }
    memset(room->table, 0, slots * sizeof *room->table);
    return true;
}

static bool unique_by_table(struct rkb_check *check, uint32_t value)
{
    const struct rkb_value *values = check->values;
    size_t slots = 4 * FEW_ITEMS;
    while (slots < 2 * (size_t)values[value].count)
        slots *= 2;
    if (!rkb_check_spend(check, rkb_check_weight(&values[value], value)) || !make_table(check, slots))
        return false;
    uint32_t *table = check->room->table;
    for (uint32_t item = value + 1; item < values[value].next; item = values[item].next) {
        size_t slot = rkb_value_hash(values, item) & (slots - 1);
        for (; table[slot] != 0; slot = (slot + 1) & (slots - 1))
            if (rkb_check_equal(check, values, table[slot], values, item))
                return false;
            else if (check->gave_up != RKB_GOES_ON)
                return false;
        table[slot] = item;
    }
    return true;
}

bool rkb_check_unique_items(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    bool few = check->values[value].count <= FEW_ITEMS;
    return (few ? each_is_unique(check, value) : unique_by_table(check, value)) || fails(check, rule, value);
}

/* ---- objects ---- */

bool rkb_check_max_properties(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return check->values[value].count <= rule->with.limit || fails(check, rule, value);
}

bool rkb_check_min_properties(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value)
{
    return check->values[value].count >= rule->with.limit || fails(check, rule, value);
}

static bool check_pattern_properties(struct rkb_check *check, const struct rkb_members *members, uint32_t key,
                                     bool *matched)
{
    for (size_t i = 0; i < members->pattern_count; i++) {
        switch (rkb_check_search(check, members->patterns[i], key)) {
        case RKB_REGEX_NO_MATCH:
            continue;
        case RKB_REGEX_LIMIT:
            return rkb_check_give_up(check, RKB_TOO_LONG);
        case RKB_REGEX_MATCH:
            break;
        }
        *matched = true;
        if (!check_link(check, members->pattern_links + (uint32_t)i, key + 1))
            return false;
    }
    return true;
}

static bool check_member(struct rkb_check *check, const struct rkb_members *members, const struct rkb_name *name,
                         uint32_t key)
{
    bool matched = name != NULL && name->link != RKB_NONE;
    if (matched && !check_link(check, name->link, key + 1))
        return false;
    if (members->pattern_count > 0 && !check_pattern_properties(check, members, key, &matched))
        return false;
    return matched || members->additional == RKB_NONE || check_link(check, members->additional, key + 1);
}

/* Names the first of the required ones that is not there. */
static bool fail_required(struct rkb_check *check, const struct rkb_members *members, uint32_t object)
{
    const struct rkb_value *known = check->schema->document.values;
    uint32_t list = members->required_key + 1, at = list + 1;
    for (; known[at].next < known[list].next; at = known[at].next) {
        struct rkb_slice name = rkb_value_text(&known[at]);
        if (!rkb_check_spend(check, check->values[object].count) ||
            rkb_values_member(check->values, object, name, rkb_key_hash(name)) == 0)
            break;
    }
    return rkb_check_fail(check, members->required_key, at, object);
}

bool rkb_check_members(struct rkb_check *check, const struct rkb_rule *rule, uint32_t object)
{
    const struct rkb_members *members = rule->with.members;
    const struct rkb_value *values = check->values;
    uint32_t found = 0;
    if (!rkb_check_spend(check, values[object].count))
        return false;
    for (uint32_t key = object + 1; key < values[object].next; key = values[key + 1].next) {
        if (values[key].shadowed)
            continue;
        const struct rkb_name *name = rkb_names_find(&members->names, rkb_value_text(&values[key]), values[key].hash);
        found += name != NULL && name->required;
        if (!check_member(check, members, name, key))
            return false;
    }
    return found == members->required_count || fail_required(check, members, object);
}

/* A dependency on names: all of them must be there. */
static bool has_names(struct rkb_check *check, const struct rkb_rule *rule, const struct rkb_dependency *dependency,
                      uint32_t object)
{
    const struct rkb_value *known = check->schema->document.values;
    uint32_t list = dependency->key + 1;
    for (uint32_t at = list + 1; at < known[list].next; at = known[at].next) {
        if (!rkb_check_spend(check, 1 + check->values[object].count))
            return false;
        struct rkb_slice name = rkb_value_text(&known[at]);
        if (rkb_values_member(check->values, object, name, known[at].hash) == 0)
            return rkb_check_fail(check, rule->key, at, object);
    }
    return true;
}

bool rkb_check_dependencies(struct rkb_check *check, const struct rkb_rule *rule, uint32_t object)
{
    const struct rkb_value *known = check->schema->document.values;
    for (uint32_t i = 0; i < rule->count; i++) {
        const struct rkb_dependency *dependency = &rule->with.dependencies[i];
        const struct rkb_value *key = &known[dependency->key];
        if (!rkb_check_spend(check, 1 + check->values[object].count))
            return false;
        if (rkb_values_member(check->values, object, rkb_value_text(key), key->hash) == 0)
            continue;
        bool holds = dependency->link != RKB_NONE ? check_link(check, dependency->link, object)
                                                  : has_names(check, rule, dependency, object);
        if (!holds)
            return false;
    }
    return true;
}

/* Each key is held against the schema as a string; of two that are the same, both. */
bool rkb_check_property_names(struct rkb_check *check, const struct rkb_rule *rule, uint32_t object)
{
    const struct rkb_value *values = check->values;
    for (uint32_t key = object + 1; key < values[object].next; key = values[key + 1].next)
        if (!check_link(check, rule->link, key))
            return false;
    return true;
}
