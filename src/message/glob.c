/*
 * glob -- see glob.h.
 *
 * Each element of a pattern but `*` takes exactly one byte, whichever byte it is. So when something does not fit, only
 * the last `*` need take one byte more: at most pattern times text steps, no recursion.
 *
 * Redis's habits, kept on purpose:
 *     `*` does not match an empty channel name        (nothing but the empty pattern does)
 *     a class without its `]` ends with the pattern   ("[ab" is "[ab]", "[" matches nothing, "[^" any byte)
 *     `]` first in a class closes it                  ("[]" matches nothing, "[^]" any byte)
 *     a range may stand backwards                     ("[z-a]" is "[a-z]"), and its end is taken even if it is `]`
 *     `\` at the very end means itself
 *     bytes above 127 are negative in ranges          (as on any x86 server: "[a-\xff]" is "[\xff-a]")
 */
#include "message/glob.h"

/* The value of a byte in the ranges of a class. */
static int rank(uint8_t byte)
{
    return (int8_t)byte;
}

static bool in_range(uint8_t byte, uint8_t one, uint8_t other)
{
    return (rank(byte) >= rank(one) && rank(byte) <= rank(other))
           || (rank(byte) >= rank(other) && rank(byte) <= rank(one));
}

/* *at behind the `[`; moves it behind the class. */
static bool match_class(struct rkb_slice pattern, size_t *at, uint8_t byte)
{
    const uint8_t *data = pattern.data;
    size_t i = *at;
    bool negated = i < pattern.size && data[i] == '^', found = false;
    i += negated;
    while (i < pattern.size && data[i] != ']') {
        size_t left = pattern.size - i;
        if (data[i] == '\\' && left >= 2) {
            found |= data[i + 1] == byte;
            i += 2;
        } else if (left >= 3 && data[i + 1] == '-') {
            found |= in_range(byte, data[i], data[i + 2]);
            i += 3;
        } else {
            found |= data[i] == byte;
            i++;
        }
    }
    *at = i < pattern.size ? i + 1 : i;
    return found != negated;
}

/* Matches one byte with the element at *at, which is not a `*`, and moves *at behind the element. */
static bool match_one(struct rkb_slice pattern, size_t *at, uint8_t byte)
{
    uint8_t first = pattern.data[(*at)++];
    if (first == '?')
        return true;
    if (first == '[')
        return match_class(pattern, at, byte);
    if (first == '\\' && *at < pattern.size)
        first = pattern.data[(*at)++];
    return first == byte;
}

static size_t skip_stars(struct rkb_slice pattern, size_t at)
{
    while (at < pattern.size && pattern.data[at] == '*')
        at++;
    return at;
}

/* What the stars took, while matching. */
struct captures {
    struct rkb_slice *list;
    size_t limit, count;        /* count: stars met so far; the last of them is the one that may take more */
};

/* Stars side by side: all but the last take nothing. */
static void meet_stars(struct captures *captures, size_t stars, struct rkb_slice at)
{
    for (size_t i = 0; i < stars; i++, captures->count++)
        if (captures->count < captures->limit)
            captures->list[captures->count] = at;
}

static void last_star_took(struct captures *captures, size_t behind, size_t size)
{
    captures->count = behind;
    if (behind <= captures->limit && behind > 0)
        captures->list[behind - 1].size = size;
}

static bool match(struct rkb_slice pattern, struct rkb_slice text, struct captures *captures)
{
    if (text.size == 0)
        return pattern.size == 0;
    size_t in_pattern = 0, in_text = 0;
    /* Where to go on when the last `*` takes one more; where it begins and ends in the text. */
    size_t behind_star = SIZE_MAX, star_start = 0, star_end = 0, stars = 0;
    while (in_text < text.size) {
        if (in_pattern < pattern.size && pattern.data[in_pattern] == '*') {
            behind_star = skip_stars(pattern, in_pattern);
            meet_stars(captures, behind_star - in_pattern, rkb_slice(text.data + in_text, 0));
            stars = captures->count;
            in_pattern = behind_star;
            star_start = star_end = in_text;
            if (in_pattern == pattern.size) {
                last_star_took(captures, stars, text.size - star_start);
                return true;
            }
        }
        if (in_pattern < pattern.size && match_one(pattern, &in_pattern, text.data[in_text])) {
            in_text++;
        } else if (behind_star != SIZE_MAX) {
            in_pattern = behind_star;
            in_text = ++star_end;
            last_star_took(captures, stars, star_end - star_start);
        } else {
            return false;
        }
    }
    size_t end = skip_stars(pattern, in_pattern);
    meet_stars(captures, end - in_pattern, rkb_slice(text.data + text.size, 0));
    return end == pattern.size;
}

bool rkb_glob_match(struct rkb_slice pattern, struct rkb_slice text)
{
    return match(pattern, text, &(struct captures){NULL, 0, 0});
}

bool rkb_glob_captures(struct rkb_slice pattern, struct rkb_slice text, struct rkb_slice *captures, size_t limit)
{
    return match(pattern, text, &(struct captures){captures, limit, 0});
}

size_t rkb_glob_stars(struct rkb_slice pattern)
{
    size_t stars = 0;
    for (size_t at = 0; at < pattern.size;) {
        if (pattern.data[at] == '*') {
            stars++;
            at++;
        } else {
            match_one(pattern, &at, 0);
        }
    }
    return stars;
}
