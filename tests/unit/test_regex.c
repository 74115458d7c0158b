/* regex: what matches, what is no pattern and where, and patterns and texts made to take for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/regex.h"

#define SLICE(literal) rkb_slice(literal, sizeof literal - 1)

static struct rkb_regex *compile(struct rkb_slice pattern)
{
    size_t at = 0;
    struct rkb_error error = {0};
    struct rkb_regex *regex = rkb_regex_compile(pattern, &at, &error);
    if (regex == NULL)
        fail_msg("%.*s: %s", (int)pattern.size, (const char *)pattern.data, error.text);
    return regex;
}

static enum rkb_regex_result match(struct rkb_slice pattern, struct rkb_slice text)
{
    struct rkb_regex *regex = compile(pattern);
    /* Exactly its bytes, so that a sanitizer sees a read behind the end. */
    uint8_t *exact = malloc(text.size > 0 ? text.size : 1);
    memcpy(exact, text.data, text.size);
    enum rkb_regex_result result = rkb_regex_match(regex, rkb_slice(exact, text.size));
    /* A search leaves nothing behind that changes the next. */
    assert_int_equal(rkb_regex_match(regex, rkb_slice(exact, text.size)), result);
    free(exact);
    rkb_regex_free(regex);
    return result;
}

static void matches_are_searched_for_anywhere(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"^[A-Z]{3}-[0-9]+$", "ABC-1234", true}, {"^[A-Z]{3}-[0-9]+$", "ABC-1234x", false}, {"b", "abc", true},
        {"^b", "abc", false}, {"", "", true}, {"", "abc", true}, {"x", "", false}, {"(?i)ABC", "xabcx", true},
        {"^.$", "\xC3\xA9", true}, {"^..$", "\xC3\xA9", false}, {"^\\p{Lu}+$", "\xC3\x89", true},
        {"(a)\\1", "xaax", true}, {"(a)\\1", "xax", false}, {"^(?<!x)a", "a", true}, {"a(?=b)", "ab", true},
        {"^\xF0\x9F\x98\x80$", "\xF0\x9F\x98\x80", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum rkb_regex_result result = match(rkb_slice_text(cases[i].pattern), rkb_slice_text(cases[i].text));
        if (result != (cases[i].matches ? RKB_REGEX_MATCH : RKB_REGEX_NO_MATCH))
            fail_msg("%s on %s gives %d", cases[i].pattern, cases[i].text, result);
    }
}

static void as_scripts_have_it(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool perl, ecma;
    } cases[] = {
        {"^[0-9]+$", "12\n", false, false}, {"^[0-9]+$", "12", true, true}, {"^(?:(a)|b)\\1$", "b", false, true},
        {"^(a|b)\\1$", "bb", true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t at;
        struct rkb_error error;
        struct rkb_slice text = rkb_slice_text(cases[i].text);
        struct rkb_regex *ecma = rkb_regex_compile_as(RKB_REGEX_ECMA, rkb_slice_text(cases[i].pattern), &at, &error);
        assert_non_null(ecma);
        assert_int_equal(rkb_regex_match(ecma, text) == RKB_REGEX_MATCH, cases[i].ecma);
        assert_int_equal(match(rkb_slice_text(cases[i].pattern), text) == RKB_REGEX_MATCH, cases[i].perl);
        rkb_regex_free(ecma);
    }
}

static void many_searches_share_what_they_may_take(void **state)
{
    (void)state;
    struct rkb_regex *regex = compile(SLICE("^(a|b)+$"));
    uint64_t steps = 1000, before = steps;
    assert_int_equal(rkb_regex_match_within(regex, SLICE("abab"), &steps), RKB_REGEX_MATCH);
    assert_true(steps < before && steps > 900);
    int searches = 0;
    while (rkb_regex_match_within(regex, SLICE("abab"), &steps) == RKB_REGEX_MATCH && searches < 1000)
        searches++;
    assert_in_range(searches, 10, 999);
    assert_int_equal(rkb_regex_match_within(regex, SLICE("abab"), &steps), RKB_REGEX_LIMIT);
    rkb_regex_free(regex);
}

static void a_text_that_is_not_utf8_is_matched_by_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"\xFF", "a\x80", "\xC3", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC0\xAF",
                                        "\xE2\x82", "\xF8\x88\x80\x80\x80"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_int_equal(match(rkb_slice_text(""), rkb_slice_text(texts[i])), RKB_REGEX_NO_MATCH);
}

static void a_nul_is_a_byte_like_others(void **state)
{
    (void)state;
    assert_int_equal(match(SLICE("^a\\x00b$"), SLICE("a\0b")), RKB_REGEX_MATCH);
    assert_int_equal(match(SLICE("^a\0b$"), SLICE("a\0b")), RKB_REGEX_MATCH);
    assert_int_equal(match(SLICE("^a$"), SLICE("a\0b")), RKB_REGEX_NO_MATCH);
    assert_int_equal(match(SLICE("b$"), SLICE("a\0b")), RKB_REGEX_MATCH);
}

static void no_data_is_an_empty_text(void **state)
{
    (void)state;
    struct rkb_regex *regex = compile(rkb_slice(NULL, 0));
    assert_int_equal(rkb_regex_match(regex, rkb_slice(NULL, 0)), RKB_REGEX_MATCH);
    rkb_regex_free(regex);
    rkb_regex_free(NULL);
}

static void what_is_no_pattern_says_why_and_where(void **state)
{
    (void)state;
    const struct {
        struct rkb_slice pattern;
        size_t at;
        const char *words;
    } cases[] = {
        {SLICE("^[A-Z"), 5, "missing terminating ]"}, {SLICE("a(b"), 3, "parenthes"},
        {SLICE("ab)c"), 2, "parenthes"}, {SLICE("*a"), 0, "quantifier"}, {SLICE("a{2,1}"), 5, "out of order"},
        {SLICE("a\\"), 2, "end of pattern"}, {SLICE("a\xFFx"), 1, "UTF-8"},
        {SLICE("(?<n>a)\\k<m>"), 10, "non-existent"},
        {SLICE("a\\Cb"), 3, "\\C"}, {SLICE("(?:a{65535}){65535}"), 19, "too large"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t at = SIZE_MAX;
        struct rkb_error error = {0};
        assert_null(rkb_regex_compile(cases[i].pattern, &at, &error));
        assert_int_equal(error.code, RKB_USAGE);
        if (at != cases[i].at || strstr(error.text, cases[i].words) == NULL)
            fail_msg("case %zu: at %zu: %s", i, at, error.text);
    }
}

static char *repeated(char byte, size_t size)
{
    char *text = malloc(size);
    memset(text, byte, size);
    return text;
}

/* Every one of these takes minutes to hours without the limits. */
static void what_would_take_for_ever_is_given_up(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        size_t size;
    } cases[] = {
        {"(a+)+$", 100}, {"^(a|a)*$", 60}, {"^(a|aa)+$", 100}, {"(.*)*[xy]", 100}, {"^(([a-z])+.)+[A-Z]([a-z])+$", 100},
        {"a+[bc]", 1000000}, {"a+?[bc]", 1000000}, {"(?:a|a){13}a+[bc]", 2000}, {"(a*)*\\1[bc]", 2000},
        {"^(.+)\\1+[bc]", 4000}, {"(?:a?){30}a{30}[bc]", 60}, {"^((a)|b)*?(?=[bc])", 1000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = repeated('a', cases[i].size);
        text[cases[i].size - 1] = '!';
        if (match(rkb_slice_text(cases[i].pattern), rkb_slice(text, cases[i].size)) != RKB_REGEX_LIMIT)
            fail_msg("%s has an answer", cases[i].pattern);
        free(text);
    }
}

/* `(a|b)*` keeps a place for each turn, a recursion for each call; these would match, if there was room. */
static void what_would_need_much_memory_is_given_up(void **state)
{
    (void)state;
    size_t size = 400000;
    char *text = repeated('a', size);
    assert_int_equal(match(rkb_slice_text("^(a|b)*$"), rkb_slice(text, 1000)), RKB_REGEX_MATCH);
    assert_int_equal(match(rkb_slice_text("^(a|b)*$"), rkb_slice(text, size)), RKB_REGEX_LIMIT);
    assert_int_equal(match(rkb_slice_text("^(a(?1)?)$"), rkb_slice(text, size)), RKB_REGEX_LIMIT);
    free(text);
}

/* At every a behind the y, two million bytes are compared before the one that differs. */
static void comparing_with_what_was_captured_counts_by_its_length(void **state)
{
    (void)state;
    size_t run = 2000000, size = 3 * run + 2;
    char *text = repeated('a', size);
    text[run] = 'y';
    text[size - 1] = 'z';
    assert_int_equal(match(rkb_slice_text("^(a+y)a*?\\1[qr]"), rkb_slice(text, size)), RKB_REGEX_LIMIT);
    free(text);
}

static void a_long_text_is_no_hindrance_to_a_plain_pattern(void **state)
{
    (void)state;
    size_t size = (size_t)8 << 20;
    char *text = repeated('a', size);
    text[size - 1] = 'b';
    static const char *const patterns[] = {"^[a-z]*$", "b$", "ab", "^a", "^.*b$"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        assert_int_equal(match(rkb_slice_text(patterns[i]), rkb_slice(text, size)), RKB_REGEX_MATCH);
    assert_int_equal(match(rkb_slice_text("^[b-z]*$"), rkb_slice(text, size)), RKB_REGEX_NO_MATCH);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_are_searched_for_anywhere),
        cmocka_unit_test(as_scripts_have_it),
        cmocka_unit_test(many_searches_share_what_they_may_take),
        cmocka_unit_test(a_text_that_is_not_utf8_is_matched_by_nothing),
        cmocka_unit_test(a_nul_is_a_byte_like_others),
        cmocka_unit_test(no_data_is_an_empty_text),
        cmocka_unit_test(what_is_no_pattern_says_why_and_where),
        cmocka_unit_test(what_would_take_for_ever_is_given_up),
        cmocka_unit_test(what_would_need_much_memory_is_given_up),
        cmocka_unit_test(comparing_with_what_was_captured_counts_by_its_length),
        cmocka_unit_test(a_long_text_is_no_hindrance_to_a_plain_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
