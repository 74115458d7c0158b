/* glob: a real server's answers, and a plain recursive matcher as the judge of many random patterns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/glob.h"

static int hex_value(char digit)
{
    return digit <= '9' ? digit - '0' : digit - 'A' + 10;
}

/* Takes %XX back in place. */
static struct rkb_slice decode(char *text)
{
    size_t size = 0;
    for (size_t at = 0; text[at] != '\0'; at++, size++) {
        if (text[at] != '%') {
            text[size] = text[at];
            continue;
        }
        text[size] = (char)(hex_value(text[at + 1]) * 16 + hex_value(text[at + 2]));
        at += 2;
    }
    return rkb_slice(text, size);
}

static void answers_of_a_real_server(void **state)
{
    (void)state;
    const char *srcdir = getenv("srcdir");
    char path[1024], line[256];
    snprintf(path, sizeof path, "%s/tests/unit/data/globs.txt", srcdir == NULL ? "." : srcdir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t lines = 0;
    for (; fgets(line, sizeof line, file) != NULL; lines++) {
        if (line[0] == '#')
            continue;
        line[strcspn(line, "\n")] = '\0';
        char *pattern = strchr(line, '\t') + 1, *channel = strchr(pattern, '\t') + 1;
        channel[-1] = '\0';
        bool expected = strncmp(line, "yes\t", 4) == 0;
        char shown[256];
        snprintf(shown, sizeof shown, "line %zu: %s, %s", lines + 1, pattern, channel);
        struct rkb_slice text = decode(channel);
        if (rkb_glob_match(decode(pattern), text) != expected)
            fail_msg("%s: should be %s", shown, expected ? "yes" : "no");
    }
    fclose(file);
    assert_true(lines > 300);
}

/* ---- the judge: every `*` tries every length, by recursion ---- */

static bool judge_in_class(const char *inside, size_t size, uint8_t byte)
{
    bool found = false;
    for (size_t i = 0; i < size;) {
        if (inside[i] == '\\' && i + 1 < size) {
            found = found || (uint8_t)inside[i + 1] == byte;
            i += 2;
        } else if (i + 2 < size && inside[i + 1] == '-') {
            signed char low = (signed char)inside[i], high = (signed char)inside[i + 2], own = (signed char)byte;
            found = found || (low <= own && own <= high) || (high <= own && own <= low);
            i += 3;
        } else {
            found = found || (uint8_t)inside[i] == byte;
            i++;
        }
    }
    return found;
}

/* The place of the `]` that closes a class whose inside begins at `at`: not one that is escaped or ends a range. */
static size_t judge_class_end(const char *pattern, size_t size, size_t at)
{
    while (at < size && pattern[at] != ']') {
        if (pattern[at] == '\\' && at + 1 < size)
            at += 2;
        else if (at + 2 < size && pattern[at + 1] == '-')
            at += 3;
        else
            at++;
    }
    return at;
}

/* What each star of a pattern took, the shortest first. */
struct judged {
    size_t taken[16], stars;
};

static bool judge(const char *pattern, size_t size, const uint8_t *text, size_t left, struct judged *judged)
{
    if (size == 0)
        return left == 0;
    if (pattern[0] == '*') {
        size_t star = judged->stars++;
        for (size_t take = 0; take <= left; take++) {
            judged->taken[star] = take;
            judged->stars = star + 1;
            if (judge(pattern + 1, size - 1, text + take, left - take, judged))
                return true;
        }
        return false;
    }
    if (left == 0)
        return false;
    size_t used = 1;
    bool fits;
    if (pattern[0] == '[') {
        bool negated = size > 1 && pattern[1] == '^';
        size_t begin = negated ? 2 : 1, end = judge_class_end(pattern, size, begin);
        fits = judge_in_class(pattern + begin, end - begin, text[0]) != negated;
        used = end < size ? end + 1 : size;
    } else if (pattern[0] == '\\' && size > 1) {
        fits = (uint8_t)pattern[1] == text[0];
        used = 2;
    } else {
        fits = pattern[0] == '?' || (uint8_t)pattern[0] == text[0];
    }
    return fits && judge(pattern + used, size - used, text + 1, left - 1, judged);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void check_captures(struct rkb_slice pattern, struct rkb_slice text, const struct judged *judged)
{
    struct rkb_slice captures[10];
    assert_int_equal(rkb_glob_stars(pattern), judged->stars);
    for (size_t limit = 0; limit <= judged->stars; limit++) {
        assert_true(rkb_glob_captures(pattern, text, captures, limit));
        for (size_t i = 0; i < limit; i++)
            if (captures[i].size != judged->taken[i] || captures[i].data < text.data
                || captures[i].data + captures[i].size > text.data + text.size)
                fail_msg("pattern %.*s, text %.*s: star %zu took %zu, not %zu", (int)pattern.size,
                         (const char *)pattern.data, (int)text.size, (const char *)text.data, i + 1, captures[i].size,
                         judged->taken[i]);
    }
}

static void random_patterns_are_judged_right(void **state)
{
    (void)state;
    static const char in_patterns[] = "abab**?[]^-\\c\xff";
    static const char in_texts[] = "ababab[]^-\\c\xff\x80";
    uint64_t seed = 3;
    size_t matches = 0;
    for (int round = 0; round < 500000; round++) {
        size_t size = next_random(&seed) % 10, length = 1 + next_random(&seed) % 8;
        char *pattern = malloc(size + 1);
        uint8_t *text = malloc(length);
        for (size_t i = 0; i < size; i++)
            pattern[i] = in_patterns[next_random(&seed) % (sizeof in_patterns - 1)];
        for (size_t i = 0; i < length; i++)
            text[i] = (uint8_t)in_texts[next_random(&seed) % (sizeof in_texts - 1)];
        struct judged judged = {.stars = 0};
        bool expected = judge(pattern, size, text, length, &judged);
        if (rkb_glob_match(rkb_slice(pattern, size), rkb_slice(text, length)) != expected)
            fail_msg("pattern %.*s, text %.*s", (int)size, pattern, (int)length, (const char *)text);
        matches += expected;
        if (expected)
            check_captures(rkb_slice(pattern, size), rkb_slice(text, length), &judged);
        free(pattern);
        free(text);
    }
    assert_true(matches > 10000);
}

static void what_stars_take(void **state)
{
    static const struct {
        const char *pattern, *text, *taken[3];
    } cases[] = {
        {"user.*.*", "user.7.name", {"7", "name"}}, {"user.*.*", "user.7.x.y", {"7", "x.y"}}, {"*", "all", {"all"}},
        {"a*b*", "axbyb", {"x", "yb"}}, {"**x", "abx", {"", "ab"}}, {"a*", "a", {""}}, {"[*]*\\**", "*a*b", {"a", "b"}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rkb_slice captures[3];
        size_t stars = rkb_glob_stars(rkb_slice_text(cases[i].pattern));
        assert_true(rkb_glob_captures(rkb_slice_text(cases[i].pattern), rkb_slice_text(cases[i].text), captures, 3));
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(cases[i].taken[j] != NULL, j < stars);
            if (j < stars)
                assert_true(rkb_slice_equal(captures[j], rkb_slice_text(cases[i].taken[j])));
        }
    }
}

/* Redis does not let even `*` match an empty channel name; a plain matcher would. */
static void an_empty_name_matches_only_the_empty_pattern(void **state)
{
    (void)state;
    struct rkb_slice nothing = rkb_slice(NULL, 0);
    assert_true(rkb_glob_match(nothing, nothing));
    assert_false(rkb_glob_match(rkb_slice_text("*"), nothing));
    assert_false(rkb_glob_match(nothing, rkb_slice_text("a")));
}

/* Would take for ever if stars tried all lengths. */
static void many_stars_end_soon(void **state)
{
    (void)state;
    enum { SIZE = 4000 };
    static uint8_t pattern[2 * SIZE + 1], text[SIZE + 1];
    for (size_t i = 0; i < SIZE; i++) {
        pattern[2 * i] = '*';
        pattern[2 * i + 1] = 'a';
        text[i] = 'a';
    }
    pattern[2 * SIZE] = 'b';
    text[SIZE] = 'c';
    assert_true(rkb_glob_match(rkb_slice(pattern, 2 * SIZE), rkb_slice(text, SIZE)));
    assert_false(rkb_glob_match(rkb_slice(pattern, sizeof pattern), rkb_slice(text, sizeof text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_a_real_server),
        cmocka_unit_test(random_patterns_are_judged_right),
        cmocka_unit_test(what_stars_take),
        cmocka_unit_test(an_empty_name_matches_only_the_empty_pattern),
        cmocka_unit_test(many_stars_end_soon),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
