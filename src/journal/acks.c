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

struct rkb_acks {
    uint64_t low, high;     /* high: the number after the highest settled one, or low */
    uint64_t *words;
    uint64_t count;         /* of words, a power of two */
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
    free(acks);
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

bool rkb_acks_add(struct rkb_acks *acks, uint64_t sequence, struct rkb_error *error)
{
    if (sequence < acks->low)
        return true;
    if (sequence == acks->low && acks->high == acks->low) {
        acks->low = acks->high = sequence + 1;
        return true;
    }
    /* One word is kept spare, so that the words of low and of high never share a place. */
    if (sequence / 64 - acks->low / 64 >= acks->count - 1 && !grow(acks, sequence))
        return rkb_fail(error, RKB_NO_MEMORY,
                        "no memory to remember that record %" PRIu64 " is settled while %" PRIu64 " is not", sequence,
                        acks->low);
    *word_of(acks, sequence) |= UINT64_C(1) << (sequence % 64);
    if (sequence >= acks->high)
        acks->high = sequence + 1;
    if (sequence == acks->low)
        advance(acks);
    return true;
}

bool rkb_acks_has(const struct rkb_acks *acks, uint64_t sequence)
{
    if (sequence < acks->low || sequence >= acks->high)
        return sequence < acks->low;
    return (*word_of(acks, sequence) >> (sequence % 64) & 1) != 0;
}

uint64_t rkb_acks_low(const struct rkb_acks *acks)
{
    return acks->low;
}

void rkb_acks_raise(struct rkb_acks *acks, uint64_t low)
{
    if (low <= acks->low)
        return;
    if (low >= acks->high) {
        memset(acks->words, 0, acks->count * sizeof *acks->words);
        acks->low = acks->high = low;
        return;
    }
    for (uint64_t i = acks->low / 64; i < low / 64; i++)
        acks->words[i & (acks->count - 1)] = 0;
    acks->low = low;
    advance(acks);      /* clears what is below low in its own word */
}

uint64_t rkb_acks_high(const struct rkb_acks *acks)
{
    return acks->high;
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

size_t rkb_acks_ranges(const struct rkb_acks *acks, uint64_t limit, struct rkb_range *out, size_t room)
{
    size_t used = 0;
    uint64_t at = limit < acks->high ? limit : acks->high;
    while (used < room) {
        uint64_t end = end_of(acks, at, true);
        if (end <= acks->low)
            break;
        at = end_of(acks, end, false);      /* low itself is not settled */
        out[room - ++used] = (struct rkb_range){at, end - at};
    }
    if (used > 0)
        memmove(out, out + (room - used), used * sizeof *out);
    return used;
}
