/*
 * expect -- see expect.h.
 *
 * Promises no allocation per message but for the room that a string with escapes needs to be unescaped; never more
 * than one reading of a value per rule, but for what a pattern does, which has its own limit (regex.h).
 */
#include "message/expect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"
#include "message/regex.h"

struct rule {
    const struct rkb_expect_spec *spec;
    size_t place;                       /* of its value in found */
    struct rkb_number min, max;
    struct rkb_json_constant *values;   /* spec->value_count */
    struct rkb_regex *regex;
    bool looks_at_number;
};

struct rkb_expect {
    size_t count;
    struct rule rules[];
};

/* Where a rule that does not hold is told. */
struct complaint {
    const struct rule *rule;
    struct rkb_buffer *room;
    char *reason;
    size_t size;
};

/* ---- at start ---- */

static bool read_bound(const char *text, struct rkb_number *out, struct rkb_error *error)
{
    if (text == NULL || rkb_number_read(rkb_slice_text(text), out))
        return true;
    return rkb_fail(error, RKB_USAGE, "\"%.80s\" is not a number", text);
}

static bool read_values(struct rule *rule, struct rkb_error *error)
{
    const struct rkb_expect_spec *spec = rule->spec;
    if (spec->value_count == 0)
        return true;
    rule->values = calloc(spec->value_count, sizeof *rule->values);
    if (rule->values == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for %zu values", spec->value_count);
    for (size_t i = 0; i < spec->value_count; i++)
        rule->values[i] = rkb_json_constant(rkb_slice_text(spec->values[i].text), spec->values[i].is_string);
    return true;
}

static bool read_pattern(struct rule *rule, struct rkb_error *error)
{
    size_t at;
    if (rule->spec->pattern == NULL)
        return true;
    rule->regex = rkb_regex_compile(rkb_slice_text(rule->spec->pattern), &at, error);
    return rule->regex != NULL;
}

static bool compile_rule(struct rule *rule, const struct rkb_expect_spec *spec, struct rkb_pointers *pointers,
                         struct rkb_error *error)
{
    *rule = (struct rule){.spec = spec};
    bool only_integers = (spec->types & RKB_JSON_INTEGER) != 0 && (spec->types & RKB_JSON_NUMBER) == 0;
    rule->looks_at_number = only_integers || spec->min != NULL || spec->max != NULL;
    return rkb_pointers_add(pointers, rkb_slice_text(spec->at), &rule->place, error) &&
           read_bound(spec->min, &rule->min, error) && read_bound(spec->max, &rule->max, error) &&
           read_values(rule, error) && read_pattern(rule, error);
}

struct rkb_expect *rkb_expect_compile(const struct rkb_expect_spec *specs, size_t count, struct rkb_pointers *pointers,
                                      struct rkb_error *error)
{
    struct rkb_expect *expect = calloc(1, sizeof *expect + count * sizeof expect->rules[0]);
    if (expect == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for %zu rules", count);
        return NULL;
    }
    struct rkb_error inner;
    for (size_t i = 0; i < count; i++) {
        expect->count++;
        if (compile_rule(&expect->rules[i], &specs[i], pointers, &inner))
            continue;
        rkb_fail(error, inner.code, "expect, rule %zu (at %.80s): %.300s", i + 1, specs[i].at, inner.text);
        rkb_expect_free(expect);
        return NULL;
    }
    return expect;
}

void rkb_expect_free(struct rkb_expect *expect)
{
    for (size_t i = 0; expect != NULL && i < expect->count; i++) {
        free(expect->rules[i].values);
        rkb_regex_free(expect->rules[i].regex);
    }
    free(expect);
}

/* ---- per message ---- */

RKB_PRINTF(2, 3)
static bool complain(const struct complaint *complaint, const char *format, ...)
{
    const char *at = complaint->rule->spec->at;
    char words[256];
    int used = snprintf(words, sizeof words, "%.80s: ", *at == '\0' ? "the payload" : at);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words + used, sizeof words - (size_t)used, format, arguments);
    va_end(arguments);
    /* Pointer and pattern are the config's, and may be any text. */
    rkb_escape_line(complaint->reason, complaint->size, words);
    return false;
}

static bool complain_of_type(const struct complaint *complaint)
{
    char names[80] = "";
    size_t used = 0;
    for (size_t i = 0; i < RKB_JSON_TYPES; i++)
        if ((complaint->rule->spec->types & 1u << i) != 0)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? " or " : "",
                                     rkb_json_type_names[i]);
    return complain(complaint, "not of type %s", names);
}

static bool is_of_type(unsigned types, enum rkb_json_type type, const struct rkb_number *number)
{
    if (types == 0 || (types & type) != 0)
        return true;
    return type == RKB_JSON_NUMBER && (types & RKB_JSON_INTEGER) != 0 && rkb_number_is_integer(number);
}

static bool is_in_range(const struct complaint *complaint, enum rkb_json_type type, const struct rkb_number *number)
{
    const struct rule *rule = complaint->rule;
    const char *min = rule->spec->min, *max = rule->spec->max;
    if (min == NULL && max == NULL)
        return true;
    if (type != RKB_JSON_NUMBER)
        return complain(complaint, "no number, as %s wants one", min != NULL ? "min" : "max");
    if (min != NULL && rkb_number_compare(number, &rule->min) < 0)
        return complain(complaint, "below min %.80s", min);
    if (max != NULL && rkb_number_compare(number, &rule->max) > 0)
        return complain(complaint, "above max %.80s", max);
    return true;
}

static bool is_of_length(const struct complaint *complaint, enum rkb_json_type type, struct rkb_slice value)
{
    const struct rkb_expect_spec *spec = complaint->rule->spec;
    if (spec->min_length == 0 && spec->max_length == RKB_NO_LENGTH)
        return true;
    if (type != RKB_JSON_STRING && type != RKB_JSON_ARRAY)
        return complain(complaint, "no string or array, as %s wants one",
                        spec->min_length > 0 ? "min_length" : "max_length");
    size_t length = type == RKB_JSON_STRING ? rkb_json_characters(value) : rkb_json_elements(value);
    if (length < spec->min_length)
        return complain(complaint, "shorter than min_length %llu", (unsigned long long)spec->min_length);
    if (length > spec->max_length)
        return complain(complaint, "longer than max_length %llu", (unsigned long long)spec->max_length);
    return true;
}

static bool is_in_enum(const struct complaint *complaint, struct rkb_slice value)
{
    const struct rule *rule = complaint->rule;
    for (size_t i = 0; i < rule->spec->value_count; i++)
        if (rkb_json_equals(&rule->values[i], value))
            return true;
    return rule->spec->value_count == 0 || complain(complaint, "not in enum");
}

static bool matches(const struct complaint *complaint, enum rkb_json_type type, struct rkb_slice value)
{
    const struct rule *rule = complaint->rule;
    struct rkb_slice content;
    if (rule->regex == NULL)
        return true;
    if (type != RKB_JSON_STRING)
        return complain(complaint, "no string, as pattern wants one");
    if (!rkb_json_content(value, complaint->room, &content))
        return complain(complaint, "no memory to search for pattern %.80s", rule->spec->pattern);
    switch (rkb_regex_match(rule->regex, content)) {
    case RKB_REGEX_MATCH:
        return true;
    case RKB_REGEX_NO_MATCH:
        return complain(complaint, "does not match pattern %.100s", rule->spec->pattern);
    case RKB_REGEX_LIMIT:
        break;
    }
    return complain(complaint, "search given up, it takes too long: pattern %.60s", rule->spec->pattern);
}

static bool rule_holds(const struct complaint *complaint, struct rkb_slice value)
{
    const struct rule *rule = complaint->rule;
    enum rkb_json_type type = rkb_json_type_of(value);
    struct rkb_number number = {.sign = 0};
    if (type == RKB_JSON_NUMBER && rule->looks_at_number)
        (void)rkb_number_read(value, &number);
    if (!is_of_type(rule->spec->types, type, &number))
        return complain_of_type(complaint);
    return is_in_range(complaint, type, &number) && is_of_length(complaint, type, value) &&
           is_in_enum(complaint, value) && matches(complaint, type, value);
}

bool rkb_expect_holds(const struct rkb_expect *expect, const struct rkb_slice *found, struct rkb_buffer *room,
                      char *reason, size_t size)
{
    for (size_t i = 0; i < expect->count; i++) {
        const struct rule *rule = &expect->rules[i];
        struct complaint complaint = {rule, room, reason, size};
        bool is_there = found != NULL && found[rule->place].data != NULL;
        if (is_there && !rule_holds(&complaint, found[rule->place]))
            return false;
        if (!is_there && !rule->spec->optional)
            return complain(&complaint, found == NULL ? "not there, as the payload is not JSON" : "not there");
    }
    return true;
}
