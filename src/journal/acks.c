/*
 * acks -- see acks.h. A bitmap of a power of two bits, used as a circle: number n has bit n mod size.
 *
 *     low                 high
 *      v                   v
 *    ..0 1 1 0 1 0 0 0 1 1 |0 0 0 ..     all bits outside [low, high) are 0
 *
 * Promise: low never goes back. Never: forgets a settled number when memory runs out (it refuses the new one).
 */
#include "journal/acks.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WORDS 64
#define MOST_WORDS (UINT64_C(1) << 30)     /* 68 thousand million numbers apart: nobody's journal */
#define LEAP (UINT64_C(1) << 24)           /* a span so long has no bits */

/* Settled numbers without bits; `place` is that of number `end`. */
struct leap {
    uint64_t first, end, place;
};

struct rkb_acks {
    uint64_t low, high;     /* places; high: the one after the highest settled one, or low */
    uint64_t *words;
    uint64_t count;         /* of words, a power of two */
    struct leap *leaps;     /* ascending */
    size_t leap_count;
};

struct rkb_acks *rkb_acks_new(uint64_t low)
{
    struct rkb_acks *acks = calloc(1, sizeof *acks);
    if (acks == NULL)
        return NULL;
    *acks = (struct rkb_acks){.low = low, .high = low, .count = FIRST_WORDS};
    acks->words = calloc(FIRST_WORDS, sizeof *acks->words);
    if (acks->words == NULL) {
        free(acks);
        return NULL;
    }
    return acks;
}

void rkb_acks_free(struct rkb_acks *acks)
{
    if (acks == NULL)
        return;
    free(acks->words);
    free(acks->leaps);
    free(acks);
}

/* The highest leap that begins at or below the number; NULL: none. */
static const struct leap *leap_below(const struct rkb_acks *acks, uint64_t sequence)
{
    size_t i = acks->leap_count;
    while (i > 0 && acks->leaps[i - 1].first > sequence)
        i--;
    return i > 0 ? &acks->leaps[i - 1] : NULL;
}

static bool is_leapt(const struct rkb_acks *acks, uint64_t sequence)
{
    const struct leap *leap = leap_below(acks, sequence);
    return leap != NULL && sequence < leap->end;
}

/* Its place; within a leap that of the number behind it. */
static uint64_t place_of(const struct rkb_acks *acks, uint64_t sequence)
{
    const struct leap *leap = leap_below(acks, sequence);
    if (leap == NULL)
        return sequence;
    return sequence < leap->end ? leap->place : leap->place + (sequence - leap->end);
}

static uint64_t number_at(const struct rkb_acks *acks, uint64_t place)
{
    size_t i = acks->leap_count;
    while (i > 0 && acks->leaps[i - 1].place > place)
        i--;
    return i > 0 ? acks->leaps[i - 1].end + (place - acks->leaps[i - 1].place) : place;
}

static uint64_t *word_of(const struct rkb_acks *acks, uint64_t sequence)
{
    return &acks->words[(sequence / 64) & (acks->count - 1)];
}

/* Makes room for `sequence`: words keep their meaning, only their place in the circle changes. */
static bool grow(struct rkb_acks *acks, uint64_t sequence)
{
    uint64_t needed = sequence / 64 - acks->low / 64 + 2, count = acks->count;
    if (needed > MOST_WORDS)
        return false;
    while (count < needed)
        count *= 2;
    uint64_t *words = calloc(count, sizeof *words);
    if (words == NULL)
        return false;
    for (uint64_t i = acks->low / 64; i <= acks->high / 64; i++)
        words[i & (count - 1)] = acks->words[i & (acks->count - 1)];
    free(acks->words);
    acks->words = words;
    acks->count = count;
    return true;
}

/* Low moves over what is settled, a word at a time; the bits it leaves become 0. */
static void advance(struct rkb_acks *acks)
{
    while (acks->low < acks->high) {
        uint64_t *word = word_of(acks, acks->low);
        uint64_t open = ~*word & (UINT64_MAX << (acks->low % 64));
        if (open != 0) {
            uint64_t bit = (uint64_t)__builtin_ctzll(open);
            *word &= UINT64_MAX << bit;
            acks->low += bit - acks->low % 64;
            return;
        }
        *word = 0;
        acks->low += 64 - acks->low % 64;
    }
}

/* One word is kept spare, so that the words of low and of high never share a place. */
static bool make_room(struct rkb_acks *acks, uint64_t place, struct rkb_error *error)
{
    if (place / 64 - acks->low / 64 < acks->count - 1 || grow(acks, place))
        return true;
    return rkb_fail(error, RKB_NO_MEMORY,
                    "no memory to remember that record %" PRIu64 " is settled while %" PRIu64 " is not",
                    number_at(acks, place), rkb_acks_low(acks));
}

bool rkb_acks_add(struct rkb_acks *acks, uint64_t sequence, struct rkb_error *error)
{
    uint64_t place = place_of(acks, sequence);
    if (place < acks->low || is_leapt(acks, sequence))
        return true;
    if (place == acks->low && acks->high == acks->low) {
        acks->low = acks->high = place + 1;
        return true;
    }
    if (!make_room(acks, place, error))
        return false;
    *word_of(acks, place) |= UINT64_C(1) << (place % 64);
    if (place >= acks->high)
        acks->high = place + 1;
    if (place == acks->low)
        advance(acks);
    return true;
}

/* Nothing from `first` on is settled: the span becomes a leap. */
static bool add_leap(struct rkb_acks *acks, uint64_t first, uint64_t end, struct rkb_error *error)
{
    uint64_t place = place_of(acks, first);
    struct leap *leaps = realloc(acks->leaps, (acks->leap_count + 1) * sizeof *leaps);
    if (leaps == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the acks");
    acks->leaps = leaps;
    if (!make_room(acks, place, error))
        return false;
    leaps[acks->leap_count++] = (struct leap){first, end, place};
    acks->high = place;
    return true;
}

bool rkb_acks_add_span(struct rkb_acks *acks, uint64_t first, uint64_t end, struct rkb_error *error)
{
    uint64_t low = rkb_acks_low(acks), high = rkb_acks_high(acks);
    if (first <= low) {
        rkb_acks_raise(acks, end);
        return true;
    }
    uint64_t stop = place_of(acks, end < high ? end : high);
    for (uint64_t place = place_of(acks, first); place < stop; place++)
        *word_of(acks, place) |= UINT64_C(1) << (place % 64);
    if (first < high)
        first = high;
    if (first < end && end - first >= LEAP)
        return add_leap(acks, first, end, error);
    for (; first < end; first++)
        if (!rkb_acks_add(acks, first, error))
            return false;
    return true;
}

bool rkb_acks_has(const struct rkb_acks *acks, uint64_t sequence)
{
    uint64_t place = place_of(acks, sequence);
    if (place < acks->low || is_leapt(acks, sequence))
        return true;
    return place < acks->high && (*word_of(acks, place) >> (place % 64) & 1) != 0;
}

uint64_t rkb_acks_low(const struct rkb_acks *acks)
{
    return number_at(acks, acks->low);
}

void rkb_acks_raise(struct rkb_acks *acks, uint64_t low)
{
    uint64_t place = place_of(acks, low);
    if (place <= acks->low)
        return;
    if (place >= acks->high) {
        memset(acks->words, 0, acks->count * sizeof *acks->words);
        acks->low = acks->high = place;
        return;
    }
    for (uint64_t i = acks->low / 64; i < place / 64; i++)
        acks->words[i & (acks->count - 1)] = 0;
    acks->low = place;
    advance(acks);      /* clears what is below low in its own word */
}

uint64_t rkb_acks_high(const struct rkb_acks *acks)
{
    return number_at(acks, acks->high);
}

/* The number after the highest one below `before` whose bit is `settled`; low where there is none. */
static uint64_t end_of(const struct rkb_acks *acks, uint64_t before, bool settled)
{
    while (before > acks->low) {
        uint64_t last = before - 1, word = settled ? *word_of(acks, last) : ~*word_of(acks, last);
        word &= UINT64_MAX >> (63 - last % 64);
        if (word != 0)
            return last - last % 64 + 64 - (uint64_t)__builtin_clzll(word);
        before = last - last % 64;
    }
    return acks->low;
}

/* The lowest open place from this one on. */
static uint64_t next_open(const struct rkb_acks *acks, uint64_t place)
{
    while (place < acks->high) {
        uint64_t open = ~*word_of(acks, place) & (UINT64_MAX << (place % 64));
        if (open != 0)
            return place - place % 64 + (uint64_t)__builtin_ctzll(open);
        place += 64 - place % 64;
    }
    return place < acks->high ? place : acks->high;
}

bool rkb_acks_open(const struct rkb_acks *acks, uint64_t *first, uint64_t *last)
{
    uint64_t low = rkb_acks_low(acks), high = rkb_acks_high(acks);
    if (*last < low || *last < *first)
        return false;
    if (*first < low)
        *first = low;
    if (*last < high)
        *last = number_at(acks, end_of(acks, place_of(acks, *last + 1), false) - 1);
    if (*first < high)
        *first = number_at(acks, next_open(acks, place_of(acks, *first)));
    return *first <= *last;
}

/* What is told of is put in front of what there is: the highest are told first. */
struct told {
    struct rkb_range *out;
    size_t room, used;
};

static bool tell(struct told *told, uint64_t first, uint64_t count)
{
    if (told->used == told->room)
        return false;
    told->out[told->room - ++told->used] = (struct rkb_range){first, count};
    return true;
}

/* The settled places from `floor` up to `at`, between which no leap lies. */
static bool tell_places(const struct rkb_acks *acks, uint64_t floor, uint64_t at, struct told *told)
{
    for (uint64_t end = end_of(acks, at, true); end > floor; end = end_of(acks, at, true)) {
        at = end_of(acks, end, false);
        if (at < floor)
            at = floor;
        if (!tell(told, number_at(acks, at), end - at))
            return false;
    }
    return true;
}

size_t rkb_acks_ranges(const struct rkb_acks *acks, uint64_t limit, struct rkb_range *out, size_t room)
{
    struct told told = {out, room, 0};
    uint64_t at = place_of(acks, limit);
    if (at > acks->high)
        at = acks->high;
    bool all = true;
    for (size_t i = acks->leap_count; all && i > 0 && acks->leaps[i - 1].place > acks->low; i--) {
        const struct leap *leap = &acks->leaps[i - 1];
        if (leap->end > limit)
            continue;
        all = tell_places(acks, leap->place, at, &told) && tell(&told, leap->first, leap->end - leap->first);
        at = leap->place;
    }
    if (all)
        all = tell_places(acks, acks->low, at, &told);      /* low itself is not settled */
    if (told.used > 0)
        memmove(out, out + (room - told.used), told.used * sizeof *out);
    return told.used;
}
