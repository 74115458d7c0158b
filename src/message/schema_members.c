/*
 * schema_members -- properties, patternProperties, additionalProperties and required, compiled into one rule, as each
 * asks what the others say about a member.
 */
#include "message/schema_compiler.h"

static bool is_object_or_nothing(struct rkb_compiler *compiler, uint32_t value)
{
    if (value == 0 || compiler->values[value].kind == RKB_KIND_OBJECT)
        return true;
    return rkb_compiler_mistake(compiler, value, "here an object of names with schemas must stand");
}

static bool is_required_list(struct rkb_compiler *compiler, uint32_t list)
{
    const struct rkb_value *values = compiler->values;
    if (list == 0)
        return true;
    bool good = values[list].kind == RKB_KIND_ARRAY;
    for (uint32_t at = list + 1; good && at < values[list].next; at = values[at].next)
        good = values[at].kind == RKB_KIND_STRING;
    return good || rkb_compiler_mistake(compiler, list, "here a list of names must stand");
}

static size_t count_of(const struct rkb_compiler *compiler, uint32_t value)
{
    return value != 0 ? compiler->values[value].count : 0;
}

static bool add_properties(struct rkb_compiler *compiler, struct rkb_members *members, uint32_t object)
{
    const struct rkb_value *values = compiler->values;
    bool good = true;
    for (uint32_t key = object + 1; object != 0 && key < values[object].next; key = values[key + 1].next) {
        struct rkb_name *name = rkb_names_add(&members->names, rkb_value_text(&values[key]), values[key].hash);
        name->link = rkb_compiler_link(compiler, key, key + 1, false);
        good = good && name->link != RKB_NONE;
    }
    return good;
}

static bool add_required(struct rkb_compiler *compiler, struct rkb_members *members, uint32_t list)
{
    const struct rkb_value *values = compiler->values;
    bool good = true;
    members->required_key = list != 0 ? list - 1 : RKB_NONE;
    for (uint32_t at = list + 1; list != 0 && at < values[list].next; at = values[at].next) {
        struct rkb_slice text = rkb_value_text(&values[at]);
        struct rkb_name *name = rkb_names_add(&members->names, text, rkb_key_hash(text));
        if (name->required)
            good = rkb_compiler_mistake(compiler, at, "this name stands twice in the list");
        name->required = true;
        members->required_count++;
    }
    return good;
}

static bool add_patterns(struct rkb_compiler *compiler, struct rkb_members *members, uint32_t object)
{
    const struct rkb_value *values = compiler->values;
    bool good = true;
    members->patterns = rkb_pool_add(&compiler->schema->pool, (count_of(compiler, object) + 1) * sizeof(void *));
    if (members->patterns == NULL)
        return rkb_compiler_no_memory(compiler);
    members->pattern_links = (uint32_t)compiler->schema->link_count;
    for (uint32_t key = object + 1; object != 0 && key < values[object].next; key = values[key + 1].next) {
        struct rkb_regex *pattern = rkb_compiler_pattern(compiler, key);
        uint32_t link = rkb_compiler_link(compiler, key, key + 1, false);
        members->patterns[members->pattern_count++] = pattern;
        good = good && pattern != NULL && link != RKB_NONE;
    }
    return good;
}

static bool add_additional(struct rkb_compiler *compiler, struct rkb_members *members, uint32_t value)
{
    members->additional = RKB_NONE;
    if (value == 0)
        return true;
    members->additional = rkb_compiler_link(compiler, value - 1, value, false);
    return members->additional != RKB_NONE;
}

bool rkb_compile_members(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    uint32_t properties = rkb_compiler_keyword(compiler, "properties");
    uint32_t patterns = rkb_compiler_keyword(compiler, "patternProperties");
    uint32_t required = rkb_compiler_keyword(compiler, "required");
    uint32_t additional = rkb_compiler_keyword(compiler, "additionalProperties");
    bool good = is_object_or_nothing(compiler, properties);
    good = is_object_or_nothing(compiler, patterns) && good;
    good = is_required_list(compiler, required) && good;
    struct rkb_pool *pool = &compiler->schema->pool;
    struct rkb_members *members = rkb_pool_add(pool, sizeof *members);
    if (members == NULL ||
        !rkb_names_make(&members->names, pool, count_of(compiler, properties) + count_of(compiler, required)))
        return rkb_compiler_no_memory(compiler);
    rule->with.members = members;
    if (!good)
        return false;
    good = add_properties(compiler, members, properties);
    good = add_required(compiler, members, required) && good;
    good = add_patterns(compiler, members, patterns) && good;
    return add_additional(compiler, members, additional) && good;
}
