/*
 * schema_keywords -- the keywords of draft-07, one row each: what it is about, how its operand is read and checked.
 *
 * A keyword without a row is a mistake; so is an operand that the draft does not allow. What the draft lets stand
 * without effect (`then` without `if`, `additionalItems` without a list of items) is read all the same, so that no
 * keyword in it goes unread.
 */
#include <stdlib.h>

#include "message/schema_compiler.h"

/* Reads the keyword's operand into *rule; true if the rule is to be kept. */
typedef bool compile_operand(struct rkb_compiler *compiler, struct rkb_rule *rule);

struct keyword {
    const char *name;
    enum rkb_about about;
    compile_operand *compile;
    rkb_rule_check *check;
};

/* ---- operands ---- */

static bool read_number(struct rkb_compiler *compiler, const struct rkb_rule *rule, struct rkb_number *number)
{
    const struct rkb_value *value = &compiler->values[rule->key + 1];
    if (value->kind == RKB_KIND_NUMBER && rkb_number_read(rkb_value_text(value), number))
        return true;
    return rkb_compiler_mistake(compiler, rule->key + 1, "here a number must stand");
}

static bool compile_number(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    return read_number(compiler, rule, &rule->with.number);
}

static bool compile_divisor(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    struct rkb_number number;
    if (!read_number(compiler, rule, &number))
        return false;
    if (rkb_divisor_make(&number, &rule->with.divisor))
        return true;
    return rkb_compiler_mistake(compiler, rule->key + 1, "here a number above 0 must stand, of at most 18 digits that "
                                "count, and no exponent of 17 digits");
}

/* An integer that is not negative, as a size: what is beyond all sizes is the largest. */
static uint64_t size_of_number(const struct rkb_number *number)
{
    uint64_t size = 0;
    if (number->huge.size > 0 || number->point > 18)
        return UINT64_MAX;
    for (size_t i = 0; i < number->digits.size; i++)
        if (number->digits.data[i] != '.')
            size = size * 10 + (number->digits.data[i] - (uint64_t)'0');
    for (int64_t i = (int64_t)number->count; i < number->point; i++)
        size *= 10;
    return size;
}

static bool compile_limit(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    struct rkb_number number;
    if (!read_number(compiler, rule, &number))
        return false;
    if (number.sign < 0 || !rkb_number_is_integer(&number))
        return rkb_compiler_mistake(compiler, rule->key + 1, "here an integer must stand that is not negative");
    rule->with.limit = size_of_number(&number);
    return true;
}

static bool compile_pattern(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    rule->with.regex = rkb_compiler_pattern(compiler, rule->key + 1);
    return rule->with.regex != NULL;
}

static bool compile_enum(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    const struct rkb_value *list = &compiler->values[rule->key + 1];
    if (list->kind == RKB_KIND_ARRAY && list->count > 0)
        return true;
    return rkb_compiler_mistake(compiler, rule->key + 1, "here a list of values must stand, with at least one in it");
}

static bool compile_const(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    (void)compiler, (void)rule;
    return true;
}

static bool compile_unique(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    const struct rkb_value *value = &compiler->values[rule->key + 1];
    if (value->kind != RKB_KIND_BOOLEAN)
        return rkb_compiler_mistake(compiler, rule->key + 1, "here true or false must stand");
    return *value->data == 't';
}

static const struct {
    const char *name;
    uint32_t bits;
} types[] = {
    {"null", 1u << RKB_KIND_NULL}, {"boolean", 1u << RKB_KIND_BOOLEAN}, {"number", 1u << RKB_KIND_NUMBER},
    {"integer", RKB_TYPE_INTEGER}, {"string", 1u << RKB_KIND_STRING}, {"array", 1u << RKB_KIND_ARRAY},
    {"object", 1u << RKB_KIND_OBJECT}};

/* Adds the type's bit to *bits; a mistake where it is there already. */
static bool add_type(struct rkb_compiler *compiler, uint32_t value, uint32_t *bits)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        bool same = compiler->values[value].kind == RKB_KIND_STRING &&
                    rkb_slice_equal(rkb_value_text(&compiler->values[value]), rkb_slice_text(types[i].name));
        if (!same)
            continue;
        if ((*bits & types[i].bits) != 0)
            return rkb_compiler_mistake(compiler, value, "this type stands twice in the list");
        *bits |= types[i].bits;
        return true;
    }
    return rkb_compiler_mistake(compiler, value,
                                "a type is null, boolean, object, array, number, string or integer");
}

/* No rule of its own: each node looks at its types first. */
static bool compile_type(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    const struct rkb_value *values = compiler->values;
    uint32_t value = rule->key + 1, bits = 0;
    if (values[value].kind == RKB_KIND_ARRAY && values[value].count == 0)
        return rkb_compiler_mistake(compiler, value, "here a type must stand, or a list with at least one in it");
    if (values[value].kind != RKB_KIND_ARRAY)
        add_type(compiler, value, &bits);
    else
        for (uint32_t at = value + 1; at < values[value].next; at = values[at].next)
            add_type(compiler, at, &bits);
    struct rkb_node *node = &compiler->schema->nodes[compiler->node];
    node->types = bits;
    node->type_key = rule->key;
    return false;
}

/* ---- keywords that lead to other schemas ---- */

static bool compile_schema(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    rule->link = rkb_compiler_link(compiler, rule->key, rule->key + 1, false);
    return rule->link != RKB_NONE;
}

static bool compile_not(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    rule->link = rkb_compiler_link(compiler, rule->key, rule->key + 1, true);
    return rule->link != RKB_NONE;
}

static bool compile_schemas(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    rule->link = rkb_compiler_links(compiler, rule->key, true, &rule->count);
    return rule->link != RKB_NONE;
}

/* The schema of another keyword beside this one; RKB_NONE where there is none. *good: false where it is no schema. */
static uint32_t link_beside(struct rkb_compiler *compiler, const char *name, bool in_place, bool *good)
{
    uint32_t value = rkb_compiler_keyword(compiler, name);
    if (value == 0)
        return RKB_NONE;
    uint32_t link = rkb_compiler_link(compiler, value - 1, value, in_place);
    *good = *good && link != RKB_NONE;
    return link;
}

static bool compile_items(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    bool good = true;
    if (compiler->values[rule->key + 1].kind != RKB_KIND_ARRAY) {
        rule->with.rest = rkb_compiler_link(compiler, rule->key, rule->key + 1, false);
        return rule->with.rest != RKB_NONE;
    }
    rule->with.rest = link_beside(compiler, "additionalItems", false, &good);
    rule->link = rkb_compiler_links(compiler, rule->key, false, &rule->count);
    return good && rule->link != RKB_NONE;
}

/* Beside a list of items it is part of their rule; else it has no effect, but is read. */
static bool compile_additional_items(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    uint32_t items = rkb_compiler_keyword(compiler, "items");
    if (items == 0 || compiler->values[items].kind != RKB_KIND_ARRAY)
        compile_schema(compiler, rule);
    return false;
}

static bool compile_if(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    bool good = true;
    rule->with.choice.condition = rkb_compiler_link(compiler, rule->key, rule->key + 1, true);
    rule->with.choice.then = link_beside(compiler, "then", true, &good);
    rule->with.choice.otherwise = link_beside(compiler, "else", true, &good);
    return good && rule->with.choice.condition != RKB_NONE;
}

/* then, else: beside an `if` part of its rule. */
static bool compile_branch(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    if (rkb_compiler_keyword(compiler, "if") == 0)
        compile_schema(compiler, rule);
    return false;
}

static bool is_object(struct rkb_compiler *compiler, uint32_t value, const char *of)
{
    if (compiler->values[value].kind == RKB_KIND_OBJECT)
        return true;
    return rkb_compiler_mistake(compiler, value, "here an object of %s must stand", of);
}

static bool compile_definitions(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    const struct rkb_value *values = compiler->values;
    uint32_t object = rule->key + 1;
    if (!is_object(compiler, object, "names with schemas"))
        return false;
    for (uint32_t key = object + 1; key < values[object].next; key = values[key + 1].next)
        rkb_compiler_link(compiler, key, key + 1, false);
    return false;
}

static bool is_list_of_names(struct rkb_compiler *compiler, uint32_t list)
{
    const struct rkb_value *values = compiler->values;
    bool good = values[list].kind == RKB_KIND_ARRAY;
    for (uint32_t at = list + 1; good && at < values[list].next; at = values[at].next)
        good = values[at].kind == RKB_KIND_STRING;
    return good;
}

static bool compile_dependencies(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    struct rkb_value *values = compiler->schema->document.values;
    uint32_t object = rule->key + 1;
    if (!is_object(compiler, object, "names with schemas or lists of names"))
        return false;
    struct rkb_dependency *dependencies =
        rkb_pool_add(&compiler->schema->pool, (values[object].count + (size_t)1) * sizeof *dependencies);
    if (dependencies == NULL)
        return rkb_compiler_no_memory(compiler);
    for (uint32_t key = object + 1; key < values[object].next; key = values[key + 1].next) {
        struct rkb_dependency *one = &dependencies[rule->count++];
        *one = (struct rkb_dependency){key, RKB_NONE};
        if (!is_list_of_names(compiler, key + 1)) {
            one->link = rkb_compiler_link(compiler, key, key + 1, true);
            continue;
        }
        for (uint32_t at = key + 2; at < values[key + 1].next; at = values[at].next)
            values[at].hash = rkb_key_hash(rkb_value_text(&values[at]));
    }
    rule->with.dependencies = dependencies;
    return true;
}

/* The first of the four is where their rule stands. */
static bool compile_members(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    if (compiler->members_done)
        return false;
    compiler->members_done = true;
    return rkb_compile_members(compiler, rule);
}

/* ---- keywords without a rule ---- */

static bool take_note(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    (void)compiler, (void)rule;
    return false;
}

static bool compile_dialect(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    const struct rkb_value *value = &compiler->values[rule->key + 1];
    struct rkb_slice text = rkb_value_text(value);
    if (value->kind == RKB_KIND_STRING &&
        (rkb_slice_equal(text, rkb_slice_text("http://json-schema.org/draft-07/schema#")) ||
         rkb_slice_equal(text, rkb_slice_text("http://json-schema.org/draft-07/schema"))))
        return false;
    return rkb_compiler_mistake(compiler, rule->key + 1, "rkbridge reads draft-07 only: make the schema one, and say "
                                "\"http://json-schema.org/draft-07/schema#\" here");
}

static bool refuse_format(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    return rkb_compiler_mistake(compiler, rule->key, "format is not checked by rkbridge: take it out, or say what you "
                                "need with pattern");
}

static bool refuse_content(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    return rkb_compiler_mistake(compiler, rule->key, "rkbridge does not look into a string's content: take this out");
}

static bool refuse_later_draft(struct rkb_compiler *compiler, struct rkb_rule *rule)
{
    return rkb_compiler_mistake(compiler, rule->key, "this keyword is of a later draft: in draft-07 write definitions "
                                "for $defs, dependencies for dependentRequired and dependentSchemas, a list as items "
                                "for prefixItems, \"$id\": \"#name\" for $anchor; the others have no counterpart");
}

static const struct keyword keywords[] = {
    {"multipleOf", RKB_ABOUT_NUMBER, compile_divisor, rkb_check_multiple_of},
    {"maximum", RKB_ABOUT_NUMBER, compile_number, rkb_check_maximum},
    {"exclusiveMaximum", RKB_ABOUT_NUMBER, compile_number, rkb_check_exclusive_maximum},
    {"minimum", RKB_ABOUT_NUMBER, compile_number, rkb_check_minimum},
    {"exclusiveMinimum", RKB_ABOUT_NUMBER, compile_number, rkb_check_exclusive_minimum},
    {"maxLength", RKB_ABOUT_STRING, compile_limit, rkb_check_max_length},
    {"minLength", RKB_ABOUT_STRING, compile_limit, rkb_check_min_length},
    {"pattern", RKB_ABOUT_STRING, compile_pattern, rkb_check_pattern},
    {"items", RKB_ABOUT_ARRAY, compile_items, rkb_check_items},
    {"additionalItems", RKB_ABOUT_ARRAY, compile_additional_items, NULL},
    {"maxItems", RKB_ABOUT_ARRAY, compile_limit, rkb_check_max_items},
    {"minItems", RKB_ABOUT_ARRAY, compile_limit, rkb_check_min_items},
    {"uniqueItems", RKB_ABOUT_ARRAY, compile_unique, rkb_check_unique_items},
    {"contains", RKB_ABOUT_ARRAY, compile_schema, rkb_check_contains},
    {"maxProperties", RKB_ABOUT_OBJECT, compile_limit, rkb_check_max_properties},
    {"minProperties", RKB_ABOUT_OBJECT, compile_limit, rkb_check_min_properties},
    {"required", RKB_ABOUT_OBJECT, compile_members, rkb_check_members},
    {"properties", RKB_ABOUT_OBJECT, compile_members, rkb_check_members},
    {"patternProperties", RKB_ABOUT_OBJECT, compile_members, rkb_check_members},
    {"additionalProperties", RKB_ABOUT_OBJECT, compile_members, rkb_check_members},
    {"dependencies", RKB_ABOUT_OBJECT, compile_dependencies, rkb_check_dependencies},
    {"propertyNames", RKB_ABOUT_OBJECT, compile_schema, rkb_check_property_names},
    {"type", RKB_ABOUT_ANY, compile_type, NULL},
    {"enum", RKB_ABOUT_ANY, compile_enum, rkb_check_enum},
    {"const", RKB_ABOUT_ANY, compile_const, rkb_check_const},
    {"if", RKB_ABOUT_ANY, compile_if, rkb_check_if},
    {"then", RKB_ABOUT_ANY, compile_branch, NULL},
    {"else", RKB_ABOUT_ANY, compile_branch, NULL},
    {"allOf", RKB_ABOUT_ANY, compile_schemas, rkb_check_all_of},
    {"anyOf", RKB_ABOUT_ANY, compile_schemas, rkb_check_any_of},
    {"oneOf", RKB_ABOUT_ANY, compile_schemas, rkb_check_one_of},
    {"not", RKB_ABOUT_ANY, compile_not, rkb_check_not},
    {"definitions", RKB_ABOUT_ANY, compile_definitions, NULL},
    {"$schema", RKB_ABOUT_ANY, compile_dialect, NULL},
    {"$id", RKB_ABOUT_ANY, take_note, NULL},
    {"$comment", RKB_ABOUT_ANY, take_note, NULL},
    {"title", RKB_ABOUT_ANY, take_note, NULL},
    {"description", RKB_ABOUT_ANY, take_note, NULL},
    {"default", RKB_ABOUT_ANY, take_note, NULL},
    {"examples", RKB_ABOUT_ANY, take_note, NULL},
    {"readOnly", RKB_ABOUT_ANY, take_note, NULL},
    {"writeOnly", RKB_ABOUT_ANY, take_note, NULL},
    {"format", RKB_ABOUT_ANY, refuse_format, NULL},
    {"contentEncoding", RKB_ABOUT_ANY, refuse_content, NULL},
    {"contentMediaType", RKB_ABOUT_ANY, refuse_content, NULL},
    {"$defs", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"$anchor", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"dependentRequired", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"dependentSchemas", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"prefixItems", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"minContains", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"maxContains", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"unevaluatedItems", RKB_ABOUT_ANY, refuse_later_draft, NULL},
    {"unevaluatedProperties", RKB_ABOUT_ANY, refuse_later_draft, NULL},
};

static const struct keyword *find_keyword(struct rkb_slice name)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (rkb_slice_equal(name, rkb_slice_text(keywords[i].name)))
            return &keywords[i];
    return NULL;
}

static void compile_keyword(struct rkb_compiler *compiler, uint32_t key)
{
    const struct keyword *keyword = find_keyword(rkb_value_text(&compiler->values[key]));
    if (keyword == NULL) {
        rkb_compiler_mistake_about(compiler, key, "is no keyword of JSON Schema draft-07: mend it, or take it out");
        return;
    }
    struct rkb_rule rule = {.check = keyword->check, .about = keyword->about, .key = key, .link = RKB_NONE};
    if (!keyword->compile(compiler, &rule))
        return;
    struct rkb_rule *rules = rkb_grown(compiler->rules, compiler->rule_count, &compiler->rule_capacity, sizeof *rules);
    if (rules == NULL) {
        rkb_compiler_no_memory(compiler);
        return;
    }
    compiler->rules = rules;
    rules[compiler->rule_count++] = rule;
}

/* Beside a $ref: nothing that the draft would have us ignore, though it looks as if it had an effect. */
static void compile_ref(struct rkb_compiler *compiler, uint32_t object, uint32_t ref)
{
    const struct rkb_value *values = compiler->values;
    compiler->schema->nodes[compiler->node].ref_key = ref - 1;
    if (values[ref].kind != RKB_KIND_STRING)
        rkb_compiler_mistake(compiler, ref, "a $ref is a string, such as \"#/definitions/NAME\"");
    for (uint32_t key = object + 1; key < values[object].next; key = values[key + 1].next) {
        const struct keyword *keyword = find_keyword(rkb_value_text(&values[key]));
        bool is_note = keyword != NULL && (keyword->compile == take_note || keyword->compile == compile_dialect ||
                                           keyword->compile == compile_definitions);
        bool is_inner_id = compiler->node > 0 && rkb_slice_equal(rkb_value_text(&values[key]), rkb_slice_text("$id"));
        if (key == ref - 1)
            continue;
        if (is_note && !is_inner_id)
            compile_keyword(compiler, key);
        else
            rkb_compiler_mistake(compiler, key, "beside a $ref this has no effect in draft-07: write "
                                 "\"allOf\": [{\"$ref\": ...}, {...}] to have both");
    }
}

void rkb_compile_keywords(struct rkb_compiler *compiler, uint32_t object)
{
    const struct rkb_value *values = compiler->values;
    uint32_t id = rkb_compiler_keyword(compiler, "$id"), ref = rkb_compiler_keyword(compiler, "$ref");
    if (id != 0 && (ref == 0 || compiler->node == 0))
        rkb_compile_id(compiler, id);
    if (ref != 0) {
        compile_ref(compiler, object, ref);
        return;
    }
    for (uint32_t key = object + 1; key < values[object].next; key = values[key + 1].next)
        if (!values[key].shadowed)
            compile_keyword(compiler, key);
}
