/* gaps -- see gaps.h. */
#include "daemon/gaps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 4096               /* as many as a ledger of 1 MiB holds */
#define STEP_US 100000          /* a clock that differs by less is the same one */
#define AFTER_STEP_US 60000000

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
    const struct rkb_sys *sys;  /* NULL: no clock is looked at */
    uint64_t boot;
    int64_t ahead_us;           /* how far ahead the clock is ... */
    int64_t before_us, stepped_us;  /* ... and was before it went back last, and when that was seen (monotonic) */
    int64_t unsaid_us;          /* it went back by so much, which nobody has asked for yet */
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

/* ---- the clock ---- */

/* Read between two looks at the other one that are close together: what waits between them makes no step. */
static int64_t look(const struct rkb_sys *sys)
{
    int64_t before, ahead_us;
    int tries = 0;
    do {
        before = sys->monotonic_us();
        ahead_us = sys->realtime_us() - before;
    } while (sys->monotonic_us() - before > STEP_US / 10 && ++tries < 10);
    return ahead_us;
}

/* How far ahead it is now. */
static int64_t follow(struct rkb_gaps *gaps)
{
    int64_t ahead_us = look(gaps->sys), now_us = gaps->sys->monotonic_us();
    int64_t back_us = gaps->ahead_us - ahead_us;
    if (back_us >= STEP_US) {
        bool again = now_us - gaps->stepped_us < AFTER_STEP_US && gaps->before_us > gaps->ahead_us;
        gaps->before_us = again ? gaps->before_us : gaps->ahead_us;
        gaps->stepped_us = now_us;
        gaps->unsaid_us += back_us;
    }
    gaps->ahead_us = ahead_us;
    return ahead_us;
}

int64_t rkb_gaps_clock(struct rkb_gaps *gaps)
{
    if (gaps->sys == NULL)
        return 0;
    int64_t ahead_us = follow(gaps);
    bool stepped = gaps->sys->monotonic_us() - gaps->stepped_us < AFTER_STEP_US && gaps->before_us > ahead_us;
    return stepped ? gaps->before_us : ahead_us;
}

int64_t rkb_gaps_clock_went_back(struct rkb_gaps *gaps)
{
    int64_t back_us = gaps->unsaid_us;
    gaps->unsaid_us = 0;
    return back_us;
}

/*
 * What begins later than now, or later than it ends, shows that the clock went back, but not by how much: by more, as
 * long as the span was. Twice as much covers all spans that are not longer than that.
 */
static int64_t unknown_step(int64_t shown_us)
{
    return 2 * shown_us;
}

static void mind_clock(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t clock_us)
{
    if (gaps->sys == NULL)
        return;
    int64_t shown_us = gap->from_us - gaps->sys->realtime_us();
    if (gap->clock_us == 0 || gap->boot != gaps->boot)     /* another machine's clock says nothing of ours */
        gap->clock_us = clock_us;
    gap->boot = gaps->boot;
    if (shown_us >= STEP_US && gap->clock_us - gaps->ahead_us < shown_us)
        gap->clock_us = gaps->ahead_us + unknown_step(shown_us);
}

void rkb_gaps_use_clock(struct rkb_gaps *gaps, const struct rkb_sys *sys, uint64_t boot, int64_t noted_us)
{
    gaps->sys = sys;
    gaps->boot = boot;
    gaps->ahead_us = look(sys);
    gaps->stepped_us = sys->monotonic_us();
    gaps->before_us = noted_us != 0 ? noted_us : gaps->ahead_us;
    for (size_t i = 0; i < gaps->count; i++) {
        struct rkb_gap *gap = &gaps->list[i]->gap;
        if (gap->to_us != 0)
            continue;
        mind_clock(gaps, gap, noted_us);
        if (gap->clock_us > gaps->before_us)
            gaps->before_us = gap->clock_us;
    }
    if (gaps->before_us - gaps->ahead_us >= STEP_US)
        gaps->unsaid_us = gaps->before_us - gaps->ahead_us;
}

/* The time between them by the clock as it was then, and as it is now. */
static void span(struct rkb_gaps *gaps, struct rkb_gap *gap, int64_t to_us)
{
    int64_t now_us = gaps->sys == NULL ? 0 : follow(gaps);
    int64_t back_us = gaps->sys != NULL && gap->clock_us != 0 ? gap->clock_us - now_us : 0;
    if (back_us < gap->from_us - to_us)
        back_us = unknown_step(gap->from_us - to_us);
    if (back_us < STEP_US)
        back_us = 0;
    int64_t end_us = to_us + back_us;
    gap->to_us = end_us > gap->from_us ? end_us : gap->from_us;
    gap->from_us -= back_us;
    if (back_us != 0)
        gap->clock_us = now_us;
}

/* ---- the list ---- */

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
    struct kept *kept = keep(gaps, gap, true);
    if (kept != NULL && gap->to_us == 0)
        mind_clock(gaps, &kept->gap, 0);
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
    mind_clock(gaps, &kept->gap, rkb_gaps_clock(gaps));
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
    span(gaps, gap, to_us);
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
