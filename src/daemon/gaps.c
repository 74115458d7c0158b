/* gaps -- see gaps.h. */
#include "daemon/gaps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 1000

struct kept {
    struct rkb_gap gap;
    bool written;               /* its present state is in the ring */
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

/* The oldest gap that is closed and written makes room; failing that the oldest closed one. */
static void forget_one(struct rkb_gaps *gaps)
{
    size_t victim = 0;
    while (victim < gaps->count - 1 && (gaps->list[victim]->gap.to_us == 0 || !gaps->list[victim]->written))
        victim++;
    free(gaps->list[victim]);
    memmove(&gaps->list[victim], &gaps->list[victim + 1], (gaps->count - victim - 1) * sizeof gaps->list[0]);
    gaps->count--;
}

/* In the order of the ids; one that has none yet (no room for its record) comes last. */
static struct kept *keep(struct rkb_gaps *gaps, const struct rkb_gap *gap, bool written)
{
    struct kept *kept = calloc(1, sizeof *kept);
    if (kept == NULL)
        return NULL;
    if (gaps->count == KEPT)
        forget_one(gaps);
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

static void write_out(struct rkb_gaps *gaps, struct kept *kept)
{
    kept->written = gaps->append(gaps->context, &kept->gap);
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

struct rkb_gap *rkb_gaps_open(struct rkb_gaps *gaps, const char *source, const char *reason, int64_t from_us)
{
    struct rkb_gap *open = rkb_gaps_find_open(gaps, source, reason);
    if (open != NULL)
        return open;
    struct rkb_gap gap = {.from_us = from_us, .bound = RKB_BOUND_UNKNOWN};
    snprintf(gap.source, sizeof gap.source, "%s", source);
    snprintf(gap.reason, sizeof gap.reason, "%s", reason);
    struct kept *kept = keep(gaps, &gap, false);
    if (kept == NULL)
        return NULL;
    write_out(gaps, kept);
    return &kept->gap;
}

void rkb_gaps_close(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t to_us)
{
    gap->to_us = to_us > gap->from_us ? to_us : gap->from_us;
    for (size_t i = 0; i < gaps->count; i++) {
        if (&gaps->list[i]->gap == gap)
            write_out(gaps, gaps->list[i]);
    }
}

void rkb_gaps_flush(struct rkb_gaps *gaps)
{
    for (size_t i = 0; i < gaps->count; i++) {
        if (!gaps->list[i]->written)
            write_out(gaps, gaps->list[i]);
    }
}

size_t rkb_gaps_count(const struct rkb_gaps *gaps)
{
    return gaps->count;
}

const struct rkb_gap *rkb_gaps_at(const struct rkb_gaps *gaps, size_t index)
{
    return &gaps->list[index]->gap;
}
