/* rules -- see rules.h. */
#include "config/rules.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/nearest.h"
#include "message/regex.h"

enum part { AT, TYPE, MIN, MAX, MIN_LENGTH, MAX_LENGTH, ENUM, PATTERN, OPTIONAL, EQUALS, GLOB, EXISTS };

/* ---- what is wrong with a part ---- */

RKB_PRINTF(4, 5)
static void add_mistake(struct rkb_rule *rule, enum part part, const yaml_node_t *node, const char *format, ...);

static char *text_of(struct rkb_rule *rule, enum part part, const yaml_node_t *node, const char *wanted);

/* ---- the parts ---- */

static void read_at(struct rkb_rule *rule, const yaml_node_t *node)
{
    char *text = text_of(rule, AT, node, "a JSON Pointer");
    struct rkb_pointers *pointers = rkb_pointers_new();
    struct rkb_error error;
    size_t place;
    if (pointers == NULL) {
        rule->reading->findings.failed = true;
    } else if (text != NULL && !rkb_pointers_add(pointers, rkb_slice_text(text), &place, &error)) {
        add_mistake(rule, AT, node, "%s", error.text);
        free(text);
        text = NULL;
    }
    rkb_pointers_free(pointers);
    rule->expect.at = text;
}

/* The bit of a type's name; 0, and a mistake, where it is none. */
static unsigned type_named(struct rkb_rule *rule, const yaml_node_t *node)
{
    char *text = text_of(rule, TYPE, node, "a type or a list of types");
    unsigned type = 0;
    for (unsigned i = 0; text != NULL && i < RKB_JSON_TYPES; i++)
        if (strcmp(text, rkb_json_type_names[i]) == 0)
            type = 1u << i;
    if (text != NULL && type == 0)
        add_mistake(rule, TYPE, node,
                    "\"%.80s\" is not one of string, number, integer, boolean, object, array, null", text);
    free(text);
    return type;
}

/* Calls for each item of a list, or for the one that stands in its place; an empty list is a mistake. */
static void read_items(struct rkb_rule *rule, enum part part, const yaml_node_t *node,
                       void (*read_item)(struct rkb_rule *rule, const yaml_node_t *node))
{
    if (node->type != YAML_SEQUENCE_NODE) {
        read_item(rule, node);
        return;
    }
    const yaml_node_item_t *item = node->data.sequence.items.start;
    if (item == node->data.sequence.items.top)
        add_mistake(rule, part, node, "an empty list, which nothing could be in");
    for (; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *each = rkb_yaml_node(&rule->reading->yaml, *item);
        if (!rkb_reading_step(rule->reading, each))
            return;
        read_item(rule, each);
    }
}

static void read_type(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->expect.types |= type_named(rule, node);
}

static void read_types(struct rkb_rule *rule, const yaml_node_t *node)
{
    read_items(rule, TYPE, node, read_type);
}

static char *number_of(struct rkb_rule *rule, enum part part, const yaml_node_t *node)
{
    char *text = text_of(rule, part, node, "a number");
    struct rkb_number number;
    if (text == NULL || rkb_number_read(rkb_slice_text(text), &number))
        return text;
    add_mistake(rule, part, node, "\"%.80s\" is not a number as JSON writes it", text);
    free(text);
    return NULL;
}

static void read_min(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->expect.min = number_of(rule, MIN, node);
}

static void read_max(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->expect.max = number_of(rule, MAX, node);
}

static uint64_t length_of(struct rkb_rule *rule, enum part part, const yaml_node_t *node, uint64_t none)
{
    char *text = text_of(rule, part, node, "a whole number");
    uint64_t length = none;
    size_t digits = text == NULL ? 0 : strspn(text, "0123456789");
    if (digits >= 1 && digits <= 18 && text[digits] == '\0')
        length = strtoull(text, NULL, 10);
    else if (text != NULL)
        add_mistake(rule, part, node, "\"%.80s\" is not a whole number", text);
    free(text);
    return length;
}

static void read_min_length(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->expect.min_length = length_of(rule, MIN_LENGTH, node, 0);
}

static void read_max_length(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->expect.max_length = length_of(rule, MAX_LENGTH, node, RKB_NO_LENGTH);
}

/* Without quotes it is what it reads as in JSON. */
static struct rkb_literal literal_of(struct rkb_rule *rule, enum part part, const yaml_node_t *node)
{
    char *text = text_of(rule, part, node, "text, a number, true, false or null");
    bool is_plain = node->type == YAML_SCALAR_NODE && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return (struct rkb_literal){text, !is_plain};
}

static void read_value(struct rkb_rule *rule, const yaml_node_t *node)
{
    struct rkb_expect_spec *expect = &rule->expect;
    struct rkb_literal literal = literal_of(rule, ENUM, node);
    struct rkb_literal *more = literal.text == NULL
                                   ? NULL
                                   : realloc(expect->values, (expect->value_count + 1) * sizeof *more);
    if (more == NULL) {
        rule->reading->findings.failed |= literal.text != NULL;
        free(literal.text);
        return;
    }
    expect->values = more;
    expect->values[expect->value_count++] = literal;
}

static void read_enum(struct rkb_rule *rule, const yaml_node_t *node)
{
    read_items(rule, ENUM, node, read_value);
}

static void read_pattern(struct rkb_rule *rule, const yaml_node_t *node)
{
    char *text = text_of(rule, PATTERN, node, "a pattern (PCRE2)");
    struct rkb_error error;
    size_t at;
    if (text == NULL)
        return;
    struct rkb_regex *regex = rkb_regex_compile(rkb_slice_text(text), &at, &error);
    if (regex == NULL) {
        struct rkb_place place = rkb_reading_place_in(rule->reading, node, at);
        rkb_findings_add(&rule->reading->findings, place, "%s.pattern: %s", rule->shown, error.text);
        free(text);
        return;
    }
    rkb_regex_free(regex);
    rule->expect.pattern = text;
}

static bool truth_of(struct rkb_rule *rule, enum part part, const yaml_node_t *node)
{
    char *text = text_of(rule, part, node, "yes or no");
    bool yes = text != NULL && strcmp(text, "yes") == 0;
    if (text != NULL && !yes && strcmp(text, "no") != 0)
        add_mistake(rule, part, node, "\"%.80s\" is not one of no, yes", text);
    free(text);
    return yes;
}

static void read_optional(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->expect.optional = truth_of(rule, OPTIONAL, node);
}

static void read_equals(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->filter.equals = literal_of(rule, EQUALS, node);
    rule->filter.kind = RKB_FILTER_EQUALS;
}

static void read_glob(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->filter.glob = text_of(rule, GLOB, node, "a glob");
    rule->filter.kind = RKB_FILTER_GLOB;
}

static void read_exists(struct rkb_rule *rule, const yaml_node_t *node)
{
    rule->filter.exists = truth_of(rule, EXISTS, node);
    rule->filter.kind = RKB_FILTER_EXISTS;
}

/* One row per name: which kind of rule has it, and what it lets through of the types (0: all of them). */
enum kinds { IN_EXPECT = 1, IN_FILTER = 2 };

static const struct {
    const char *name;
    unsigned kinds, types;
    const char *wants;
    void (*read)(struct rkb_rule *rule, const yaml_node_t *node);
} parts[] = {
    [AT] = {"at", IN_EXPECT | IN_FILTER, 0, NULL, read_at},
    [TYPE] = {"type", IN_EXPECT, 0, NULL, read_types},
    [MIN] = {"min", IN_EXPECT, RKB_JSON_NUMBER | RKB_JSON_INTEGER, "a number", read_min},
    [MAX] = {"max", IN_EXPECT, RKB_JSON_NUMBER | RKB_JSON_INTEGER, "a number", read_max},
    [MIN_LENGTH] = {"min_length", IN_EXPECT, RKB_JSON_STRING | RKB_JSON_ARRAY, "a string or array", read_min_length},
    [MAX_LENGTH] = {"max_length", IN_EXPECT, RKB_JSON_STRING | RKB_JSON_ARRAY, "a string or array", read_max_length},
    [ENUM] = {"enum", IN_EXPECT, 0, "one of its values", read_enum},
    [PATTERN] = {"pattern", IN_EXPECT, RKB_JSON_STRING, "a string", read_pattern},
    [OPTIONAL] = {"optional", IN_EXPECT, 0, NULL, read_optional},
    [EQUALS] = {"equals", IN_FILTER, 0, NULL, read_equals},
    [GLOB] = {"glob", IN_FILTER, 0, NULL, read_glob},
    [EXISTS] = {"exists", IN_FILTER, 0, NULL, read_exists},
};

#define PART_COUNT (sizeof parts / sizeof parts[0])
_Static_assert(PART_COUNT <= RKB_RULE_PARTS, "more parts than RKB_RULE_PARTS");

static void add_mistake(struct rkb_rule *rule, enum part part, const yaml_node_t *node, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    rkb_findings_add(&rule->reading->findings, rkb_yaml_place(node), "%s.%s: %s", rule->shown, parts[part].name, text);
}

static char *text_of(struct rkb_rule *rule, enum part part, const yaml_node_t *node, const char *wanted)
{
    char shown[200];
    snprintf(shown, sizeof shown, "%s.%s", rule->shown, parts[part].name);
    return rkb_reading_text(rule->reading, node, shown, wanted);
}

void rkb_rule_begin(struct rkb_rule *rule, struct rkb_reading *reading, const yaml_node_t *node, const char *shown,
                    bool is_filter)
{
    *rule = (struct rkb_rule){.reading = reading, .node = node, .shown = shown, .is_filter = is_filter};
    rule->expect.max_length = RKB_NO_LENGTH;
}

void rkb_rule_part(struct rkb_rule *rule, const yaml_node_t *key, const char *name, const yaml_node_t *value)
{
    struct rkb_nearest nearest = {0};
    for (size_t i = 0; i < PART_COUNT; i++) {
        if ((parts[i].kinds & (rule->is_filter ? IN_FILTER : IN_EXPECT)) == 0)
            continue;
        if (strcmp(parts[i].name, name) == 0) {
            rule->nodes[i] = value;
            parts[i].read(rule, value);
            return;
        }
        rkb_nearest_offer(&nearest, name, parts[i].name);
    }
    char shown[RKB_NAME_SHOWN];
    rkb_findings_add(&rule->reading->findings, rkb_yaml_place(key), "%s.%s: a rule knows no such name%s%s%s",
                     rule->shown, rkb_reading_name(name, value, shown), nearest.name != NULL ? "; did you mean " : "",
                     nearest.name != NULL ? nearest.name : "", nearest.name != NULL ? "?" : "");
}

/* ---- the parts together ---- */

/* The types that a part lets through. */
static unsigned types_of_part(const struct rkb_rule *rule, enum part part)
{
    unsigned types = parts[part].types;
    if (part == TYPE)
        types = rule->expect.types;
    for (size_t i = 0; part == ENUM && i < rule->expect.value_count; i++)
        types |= rkb_json_constant(rkb_slice_text(rule->expect.values[i].text), rule->expect.values[i].is_string).type;
    return types | ((types & RKB_JSON_NUMBER) != 0 ? RKB_JSON_INTEGER : 0);
}

/* A rule that no value can keep makes a dead letter of every message. */
static void check_types(struct rkb_rule *rule)
{
    unsigned left = (1u << RKB_JSON_TYPES) - 1;
    for (enum part part = TYPE; part <= PATTERN; part++) {
        unsigned types = rule->nodes[part] == NULL ? 0 : types_of_part(rule, part);
        if (types == 0)
            continue;
        left &= types;
        if (left == 0) {
            add_mistake(rule, part, rule->nodes[part], "wants %s, which the rest of the rule rules out, so that no "
                        "value could pass", parts[part].wants);
            return;
        }
    }
}

static void check_bounds(struct rkb_rule *rule)
{
    const struct rkb_expect_spec *expect = &rule->expect;
    struct rkb_number min, max;
    bool both = expect->min != NULL && expect->max != NULL && rkb_number_read(rkb_slice_text(expect->min), &min) &&
                rkb_number_read(rkb_slice_text(expect->max), &max);
    if (both && rkb_number_compare(&min, &max) > 0)
        add_mistake(rule, MAX, rule->nodes[MAX], "%.80s is below min %.80s, so that no value could pass", expect->max,
                    expect->min);
    if (expect->min_length > expect->max_length)
        add_mistake(rule, MAX_LENGTH, rule->nodes[MAX_LENGTH],
                    "%llu is below min_length %llu, so that no value could pass",
                    (unsigned long long)expect->max_length, (unsigned long long)expect->min_length);
}

static void check_expect(struct rkb_rule *rule)
{
    bool checks = false;
    for (enum part part = TYPE; part <= PATTERN; part++)
        checks = checks || rule->nodes[part] != NULL;
    if (rule->expect.optional && !checks)
        add_mistake(rule, OPTIONAL, rule->nodes[OPTIONAL], "the rule checks nothing else, so that all would pass");
    check_types(rule);
    check_bounds(rule);
}

static void check_filter(struct rkb_rule *rule)
{
    size_t given = 0;
    for (enum part part = EQUALS; part <= EXISTS; part++)
        given += rule->nodes[part] != NULL;
    if (given != 1)
        rkb_findings_add(&rule->reading->findings, rkb_yaml_place(rule->node),
                         "%s: %s of equals, glob and exists; a condition has one of them", rule->shown,
                         given == 0 ? "none" : "more than one");
}

static void free_expect(struct rkb_expect_spec *expect)
{
    for (size_t i = 0; i < expect->value_count; i++)
        free(expect->values[i].text);
    free(expect->values);
    free(expect->at);
    free(expect->min);
    free(expect->max);
    free(expect->pattern);
}

static void free_filter(struct rkb_filter_spec *filter)
{
    free(filter->at);
    free(filter->equals.text);
    free(filter->glob);
}

static bool add_expect(struct rkb_expects *expects, const struct rkb_expect_spec *expect)
{
    struct rkb_expect_spec *more = realloc(expects->list, (expects->count + 1) * sizeof *more);
    if (more == NULL)
        return false;
    expects->list = more;
    more[expects->count++] = *expect;
    return true;
}

static bool add_filter(struct rkb_filters *filters, const struct rkb_filter_spec *filter)
{
    struct rkb_filter_spec *more = realloc(filters->list, (filters->count + 1) * sizeof *more);
    if (more == NULL)
        return false;
    filters->list = more;
    more[filters->count++] = *filter;
    return true;
}

/* A rule with a mistake in it is kept too, as far as it compiles. */
static void end_expect(struct rkb_rule *rule, struct rkb_expects *expects)
{
    check_expect(rule);
    bool whole = rule->expect.at != NULL, kept = whole && add_expect(expects, &rule->expect);
    if (!kept)
        free_expect(&rule->expect);
    rule->reading->findings.failed |= whole && !kept;
}

static void end_filter(struct rkb_rule *rule, struct rkb_filters *filters)
{
    struct rkb_filter_spec *filter = &rule->filter;
    check_filter(rule);
    filter->at = rule->expect.at;
    bool has_text = filter->kind == RKB_FILTER_EXISTS || filter->equals.text != NULL || filter->glob != NULL;
    bool whole = filter->at != NULL && has_text, kept = whole && add_filter(filters, filter);
    if (!kept)
        free_filter(filter);
    rule->reading->findings.failed |= whole && !kept;
}

void rkb_rule_end(struct rkb_rule *rule, struct rkb_expects *expects, struct rkb_filters *filters)
{
    if (rule->nodes[AT] == NULL)
        rkb_findings_add(&rule->reading->findings, rkb_yaml_place(rule->node),
                         "%s.at: missing, the JSON Pointer to what is looked at, as /user/id", rule->shown);
    if (rule->is_filter)
        end_filter(rule, filters);
    else
        end_expect(rule, expects);
}

void rkb_expects_free(struct rkb_expects *expects)
{
    for (size_t i = 0; i < expects->count; i++)
        free_expect(&expects->list[i]);
    free(expects->list);
    *expects = (struct rkb_expects){0};
}

void rkb_filters_free(struct rkb_filters *filters)
{
    for (size_t i = 0; i < filters->count; i++)
        free_filter(&filters->list[i]);
    free(filters->list);
    *filters = (struct rkb_filters){0};
}
