/*
 * regex -- see regex.h.
 *
 * PCRE2's own match limit counts anew at each place where a match could start, and does not count the characters that
 * `a+` runs over, so that `a+b` over a megabyte of a's takes hours well below it. So every item of a pattern is
 * compiled with a callout before it, which counts both and ends the search when the sum is too high. That costs half
 * as much again as the plain search does (100 ns become 160), and needs no second limit for time.
 *
 * Without JIT: it would save some 80 ns, but needs memory that is written and run, which hardened services are refused,
 * and it does not come to the callouts in the same way: the same message would be judged otherwise elsewhere.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "message/regex.h"

#include <pcre2.h>
#include <stdlib.h>

struct rkb_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
    pcre2_match_data *data;
    bool refers_back;           /* \1: it compares up to the whole text between two callouts */
};

struct search {
    uint64_t steps, most;
    size_t last_at, per_item;
};

/* Nonzero ends the search. */
static int count_step(pcre2_callout_block *block, void *data)
{
    struct search *search = data;
    size_t at = block->current_position;
    search->steps += search->per_item + (at > search->last_at ? at - search->last_at : 0);
    search->last_at = at;
    return search->steps > search->most ? PCRE2_ERROR_CALLOUT : 0;
}

static uint32_t options_of(enum rkb_regex_dialect dialect)
{
    uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
    uint32_t script = PCRE2_ALT_BSUX | PCRE2_MATCH_UNSET_BACKREF | PCRE2_ALLOW_EMPTY_CLASS;
    return dialect == RKB_REGEX_ECMA ? options | script : options;
}

static bool compile(struct rkb_regex *regex, enum rkb_regex_dialect dialect, struct rkb_slice pattern, size_t *at,
                    struct rkb_error *error)
{
    int code = 0;
    PCRE2_SIZE offset = 0;
    PCRE2_SPTR text = pattern.size > 0 ? pattern.data : (PCRE2_SPTR)"";
    regex->code = pcre2_compile(text, pattern.size, options_of(dialect), &code, &offset, NULL);
    if (regex->code != NULL)
        return true;
    PCRE2_UCHAR words[160];
    pcre2_get_error_message(code, words, sizeof words);
    *at = offset < pattern.size ? offset : pattern.size;
    return rkb_fail(error, RKB_USAGE, "not a pattern (PCRE2): %s, at offset %zu", (const char *)words, *at);
}

static bool make_room(struct rkb_regex *regex, struct rkb_error *error)
{
    uint32_t back = 0;
    pcre2_pattern_info(regex->code, PCRE2_INFO_BACKREFMAX, &back);
    regex->refers_back = back > 0;
    regex->limits = pcre2_match_context_create(NULL);
    regex->data = pcre2_match_data_create(1, NULL);     /* where it matches is not asked */
    if (regex->limits == NULL || regex->data == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a pattern");
    pcre2_set_match_limit(regex->limits, RKB_REGEX_STEPS);
    pcre2_set_heap_limit(regex->limits, RKB_REGEX_HEAP);
    return true;
}

struct rkb_regex *rkb_regex_compile(struct rkb_slice pattern, size_t *at, struct rkb_error *error)
{
    return rkb_regex_compile_as(RKB_REGEX_PERL, pattern, at, error);
}

struct rkb_regex *rkb_regex_compile_as(enum rkb_regex_dialect dialect, struct rkb_slice pattern, size_t *at,
                                       struct rkb_error *error)
{
    *at = 0;
    struct rkb_regex *regex = calloc(1, sizeof *regex);
    if (regex == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for a pattern");
        return NULL;
    }
    if (compile(regex, dialect, pattern, at, error) && make_room(regex, error))
        return regex;
    rkb_regex_free(regex);
    return NULL;
}

void rkb_regex_free(struct rkb_regex *regex)
{
    if (regex == NULL)
        return;
    pcre2_match_data_free(regex->data);
    pcre2_match_context_free(regex->limits);
    pcre2_code_free(regex->code);
    free(regex);
}

enum rkb_regex_result rkb_regex_match(const struct rkb_regex *regex, struct rkb_slice text)
{
    uint64_t steps = RKB_REGEX_STEPS + (uint64_t)text.size * RKB_REGEX_STEPS_PER_BYTE;
    return rkb_regex_match_within(regex, text, &steps);
}

enum rkb_regex_result rkb_regex_match_within(const struct rkb_regex *regex, struct rkb_slice text, uint64_t *steps)
{
    struct search search = {
        .most = *steps,
        .per_item = 1 + (regex->refers_back ? text.size / 256 : 0),
    };
    pcre2_set_callout(regex->limits, count_step, &search);
    PCRE2_SPTR data = text.size > 0 ? text.data : (PCRE2_SPTR)"";
    int result = pcre2_match(regex->code, data, text.size, 0, 0, regex->data, regex->limits);
    *steps -= search.steps < *steps ? search.steps : *steps;
    if (result >= 0)
        return RKB_REGEX_MATCH;
    bool not_utf8 = result <= PCRE2_ERROR_UTF8_ERR1 && result >= PCRE2_ERROR_UTF8_ERR21;
    return result == PCRE2_ERROR_NOMATCH || not_utf8 ? RKB_REGEX_NO_MATCH : RKB_REGEX_LIMIT;
}
