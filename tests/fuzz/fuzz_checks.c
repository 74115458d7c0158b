/*
 * Fuzz target: filter and expect, and what they are made of: numbers, globs, patterns.
 *
 *     input   5 numbers: types (bits), optional, require, filter (kind, exists), length
 *             lines: at, min, max, pattern, enum, filter's at, its value or glob
 *             the payload
 *
 * Claims, for any input: a verdict is the same when asked again and says what it must; numbers compare as long double
 * does where that can tell, and as whole numbers divide; a glob that matches is one that captures.
 */
#include "fuzz.h"

#include <ctype.h>
#include <math.h>

#include "message/glob.h"
#include "message/json.h"
#include "message/rules.h"

#define CAPTURES 4

/* ---- numbers ---- */

/* Its digits all, and few enough for a long double to hold. */
static bool is_plain(const char *text)
{
    size_t size = strlen(text);
    return size <= 17 && strspn(text, "0123456789") == size;
}

/* Whether it is whole, where that can be seen without counting: no exponent. */
static bool is_whole(const char *text)
{
    const char *dot = strchr(text, '.');
    return dot == NULL || strspn(dot + 1, "0") == strlen(dot + 1);
}

static void check_order(const char *one, const char *other, const struct rkb_number *a, const struct rkb_number *b)
{
    int order = rkb_number_compare(a, b);
    CLAIM(order == -rkb_number_compare(b, a) && order >= -1 && order <= 1);
    CLAIM(order != 0 || rkb_number_hash(a) == rkb_number_hash(b));
    long double x = strtold(one, NULL), y = strtold(other, NULL);
    long double margin = (fabsl(x) + fabsl(y)) * 1e-17L;
    bool told = isfinite(x) && isfinite(y) && (x == 0 || fabsl(x) > 1e-4000L) && (y == 0 || fabsl(y) > 1e-4000L);
    if (told && fabsl(x - y) > margin)
        CLAIM(order == (x < y ? -1 : 1));
    struct rkb_divisor divisor;
    if (is_plain(one) && is_plain(other) && rkb_divisor_make(b, &divisor))
        CLAIM(rkb_divisor_divides(&divisor, a) == (strtoull(one, NULL, 10) % strtoull(other, NULL, 10) == 0));
}

static bool check_number(const char *text, struct rkb_number *number)
{
    bool read = rkb_number_read(rkb_slice_text(text), number);
    CLAIM(read == (rkb_json_valid(rkb_slice_text(text), NULL) && (text[0] == '-' || isdigit((unsigned char)text[0]))
                   && isdigit((unsigned char)text[strlen(text) - 1])));
    if (!read)
        return false;
    CLAIM(rkb_number_compare(number, number) == 0);
    if (strpbrk(text, "eE") == NULL)
        CLAIM(rkb_number_is_integer(number) == is_whole(text));
    return true;
}

static void check_numbers(const char *one, const char *other)
{
    struct rkb_number a, b;
    if (check_number(one, &a) && check_number(other, &b))
        check_order(one, other, &a, &b);
}

/* ---- globs ---- */

static void check_glob(const char *pattern, struct rkb_slice text)
{
    struct rkb_slice glob = rkb_slice_text(pattern), captures[CAPTURES];
    size_t stars = rkb_glob_stars(glob);
    bool matches = rkb_glob_match(glob, text);
    CLAIM(stars <= glob.size && matches == rkb_glob_captures(glob, text, captures, CAPTURES));
    for (size_t i = 0; matches && i < stars && i < CAPTURES; i++)
        CLAIM(captures[i].size == 0 || (captures[i].data >= text.data
                                        && captures[i].data + captures[i].size <= text.data + text.size));
}

/* ---- a route's checks ---- */

static void check_verdict(const struct rkb_verdict *verdict)
{
    static const char *const codes[] = {"require", "expect", "schema", "missing", "payload"};
    size_t known = 0;
    if (verdict->kind != RKB_REJECTED)
        return;
    CLAIM(memchr(verdict->reason, '\0', sizeof verdict->reason) != NULL && verdict->reason[0] != '\0');
    for (const char *at = verdict->reason; *at != '\0'; at++)
        CLAIM((unsigned char)*at >= ' ' && *at != 0x7F);
    while (known < sizeof codes / sizeof codes[0] && strcmp(codes[known], verdict->code) != 0)
        known++;
    CLAIM(known < sizeof codes / sizeof codes[0]);
}

static void judge(const struct rkb_judge_spec *checks, struct rkb_slice payload)
{
    struct rkb_name_forms word = {rkb_slice_text("w"), rkb_slice_text("w")};
    const struct rkb_template_scope scope = {.route = word, .source = word, .instance = word};
    struct rkb_rules_spec spec = {.envelope = {.preset = "event", .scope = scope},
                                  .checks = *checks, .depth = RKB_JSON_DEPTH};
    struct rkb_envelope_mistake mistake;
    struct rkb_error error = {0};
    struct rkb_rules *rules = rkb_rules_compile(&spec, &mistake, &error);
    if (rules == NULL) {
        CLAIM(error.code != RKB_OK && error.text[0] != '\0' && memchr(error.text, '\n', sizeof error.text) == NULL);
        return;
    }
    struct rkb_facts facts = {.channel = word, .payload = payload};
    struct rkb_slice found[RKB_POINTERS_LIMIT];
    struct rkb_verdict first, again;
    rkb_rules_apply(rules, &facts, found, &first);
    rkb_rules_apply(rules, &facts, found, &again);
    check_verdict(&first);
    CLAIM(first.kind == again.kind && (first.kind != RKB_REJECTED || strcmp(first.reason, again.reason) == 0));
    rkb_rules_free(rules);
}

static char *unless_empty(char *text)
{
    return text[0] != '\0' ? text : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { AT, MIN, MAX, PATTERN, ENUM, FILTER_AT, FILTER_VALUE, TEXTS };
    struct input input = {rkb_slice(data, size)};
    char *texts[TEXTS];
    unsigned types = (unsigned)take_number(&input, 1 << RKB_JSON_TYPES);
    bool optional = take_number(&input, 2) == 1;
    enum rkb_require require = (enum rkb_require)take_number(&input, 3);
    size_t filter_kind = take_number(&input, 8), length = take_number(&input, 100);
    for (size_t i = 0; i < TEXTS; i++)
        texts[i] = take_text(&input);
    struct rkb_slice payload = copy_exactly(input.rest);
    check_numbers(texts[MIN], texts[MAX]);
    check_glob(texts[FILTER_VALUE], payload);
    struct rkb_literal literal = {texts[ENUM], optional};
    struct rkb_expect_spec expect = {
        .at = texts[AT], .types = types, .optional = optional, .min = unless_empty(texts[MIN]),
        .max = unless_empty(texts[MAX]), .min_length = length < 50 ? 0 : length - 50,
        .max_length = length < 50 ? RKB_NO_LENGTH : length, .values = &literal,
        .value_count = texts[ENUM][0] != '\0', .pattern = unless_empty(texts[PATTERN])};
    struct rkb_filter_spec filter = {
        .at = texts[FILTER_AT], .kind = (enum rkb_filter_kind)(filter_kind % 4),
        .equals = {texts[FILTER_VALUE], optional}, .glob = texts[FILTER_VALUE], .exists = filter_kind >= 4};
    struct rkb_judge_spec checks = {.require = require, .expects = &expect, .expect_count = 1, .filters = &filter,
                                    .filter_count = filter.kind != RKB_FILTER_NONE};
    judge(&checks, payload);
    for (size_t i = 0; i < TEXTS; i++)
        free(texts[i]);
    free((void *)(uintptr_t)payload.data);
    return 0;
}
