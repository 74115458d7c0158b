/* gaps -- see gaps.h. */
#include "daemon/gaps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 4096               /* as many as a ledger of 1 MiB holds */

struct kept {
    struct rkb_gap gap;
    bool written;               /* its present state is in the ring */
    bool waits;                 /* it is over, and its bound is to be found */
};

/* Each gap has a cell of its own, so that a handle stays where it is while the list moves. */
struct rkb_gaps {
    bool (*append)(void *context, struct rkb_gap *gap);
    void *context;
    struct kept *list[KEPT];
    size_t count;
};

struct rkb_gaps *rkb_gaps_new(bool (*append)(void *context, struct rkb_gap *gap), void *context)
{
    struct rkb_gaps *gaps = calloc(1, sizeof *gaps);
    if (gaps != NULL) {
        gaps->append = append;
        gaps->context = context;
    }
    return gaps;
}

void rkb_gaps_free(struct rkb_gaps *gaps)
{
    for (size_t i = 0; gaps != NULL && i < gaps->count; i++)
        free(gaps->list[i]);
    free(gaps);
}

/* The first closed one, and if `written` also in the ring; the count when there is none. */
static size_t first_closed(const struct rkb_gaps *gaps, bool written)
{
    size_t i = 0;
    while (i < gaps->count && (gaps->list[i]->gap.to_us == 0 || gaps->list[i]->waits
                               || (written && !gaps->list[i]->written)))
        i++;
    return i;
}

/*
 * The oldest gap that is closed and written makes room; failing that the oldest closed one. Never one that is open or
 * waits: somebody holds it.
 */
static bool forget_one(struct rkb_gaps *gaps)
{
    size_t victim = first_closed(gaps, true);
    if (victim == gaps->count)
        victim = first_closed(gaps, false);
    if (victim == gaps->count)
        return false;
    free(gaps->list[victim]);
    memmove(&gaps->list[victim], &gaps->list[victim + 1], (gaps->count - victim - 1) * sizeof gaps->list[0]);
    gaps->count--;
    return true;
}

/* In the order of the ids; one that has none yet (no room for its record) comes last. */
static struct kept *keep(struct rkb_gaps *gaps, const struct rkb_gap *gap, bool written)
{
    if (gaps->count == KEPT && !forget_one(gaps))
        return NULL;
    struct kept *kept = calloc(1, sizeof *kept);
    if (kept == NULL)
        return NULL;
    kept->gap = *gap;
    kept->written = written;
    size_t place = gaps->count++;
    for (; gap->id != 0 && place > 0 && gaps->list[place - 1]->gap.id > gap->id; place--)
        gaps->list[place] = gaps->list[place - 1];
    gaps->list[place] = kept;
    return kept;
}

void rkb_gaps_recall(struct rkb_gaps *gaps, const struct rkb_gap *gap)
{
    for (size_t i = 0; i < gaps->count; i++) {
        if (gaps->list[i]->gap.id == gap->id) {
            if (gaps->list[i]->gap.to_us == 0)
                gaps->list[i]->gap = *gap;
            return;
        }
    }
    keep(gaps, gap, true);
}

/* In the order of the list: what waited for room goes first, so that ids rise in it. */
void rkb_gaps_flush(struct rkb_gaps *gaps)
{
    for (size_t i = 0; i < gaps->count; i++) {
        struct kept *kept = gaps->list[i];
        if (!kept->written && !(kept->written = gaps->append(gaps->context, &kept->gap)))
            return;
    }
}

struct rkb_gap *rkb_gaps_find_open(struct rkb_gaps *gaps, const char *source, const char *reason)
{
    for (size_t i = gaps->count; i-- > 0;) {
        struct rkb_gap *gap = &gaps->list[i]->gap;
        if (gap->to_us == 0 && strcmp(gap->source, source) == 0 && (reason == NULL || strcmp(gap->reason, reason) == 0))
            return gap;
    }
    return NULL;
}

struct rkb_gap *rkb_gaps_open_like(struct rkb_gaps *gaps, const struct rkb_gap *like)
{
    struct rkb_gap *open = rkb_gaps_find_open(gaps, like->source, like->reason);
    if (open != NULL)
        return open;
    struct kept *kept = keep(gaps, like, false);
    if (kept == NULL)
        return NULL;
    rkb_gaps_flush(gaps);
    return &kept->gap;
}

struct rkb_gap *rkb_gaps_open(struct rkb_gaps *gaps, const char *source, const char *reason, int64_t from_us)
{
    struct rkb_gap gap = {.from_us = from_us, .bound = RKB_BOUND_UNKNOWN};
    snprintf(gap.source, sizeof gap.source, "%s", source);
    snprintf(gap.reason, sizeof gap.reason, "%s", reason);
    return rkb_gaps_open_like(gaps, &gap);
}

/* Sets its end; what is kept of it. */
static struct kept *end(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t to_us)
{
    size_t i = 0;
    gap->to_us = to_us > gap->from_us ? to_us : gap->from_us;
    while (&gaps->list[i]->gap != gap)
        i++;
    return gaps->list[i];
}

void rkb_gaps_wait(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t to_us)
{
    end(gaps, gap, to_us)->waits = true;
}

struct rkb_gap *rkb_gaps_find_waiting(struct rkb_gaps *gaps, const char *source)
{
    for (size_t i = 0; i < gaps->count; i++)
        if (gaps->list[i]->waits && strcmp(gaps->list[i]->gap.source, source) == 0)
            return &gaps->list[i]->gap;
    return NULL;
}

void rkb_gaps_close(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t to_us)
{
    struct kept *kept = end(gaps, gap, to_us);
    kept->waits = false;
    kept->written = false;
    rkb_gaps_flush(gaps);
}

size_t rkb_gaps_count(const struct rkb_gaps *gaps)
{
    return gaps->count;
}

const struct rkb_gap *rkb_gaps_at(const struct rkb_gaps *gaps, size_t index)
{
    return &gaps->list[index]->gap;
}
