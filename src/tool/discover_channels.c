/*
 * discover_channels -- see discover_channels.h, also for the picture.
 *
 * The names are found by a hash table of their numbers, open and linear, at most half full. Patterns are tried one
 * after the other, only for a name that is not there: a flood of new names costs that, and nothing else does.
 */
#include "tool/discover_channels.h"

#include <stdlib.h>
#include <xxhash.h>

#include "message/glob.h"
#include "tool/discover_names.h"

#define SLOTS 32768                     /* a power of two, more than twice the places */
#define PLACES (RKB_PATTERNS_MOST + RKB_CHANNELS_MOST)
#define LEAST_TAKEN 8                   /* channels: fewer are not worth a pattern while listening */
#define LOOKS_MOST 200                  /* into each channel's payloads ... */
#define LOOKS_LEAST 8
#define LOOKS_TOGETHER 40000            /* ... and into all of them, about */

struct rkb_channels {
    struct rkb_seen list[PLACES];
    size_t size, patterns;
    uint32_t slots[SLOTS];              /* number + 1; 0: free */
    struct rkb_figures others;
    bool hopeless;                      /* grouping made no room: not tried again for each message */
    rkb_channels_moved *moved;
    void *context;
};

struct rkb_channels *rkb_channels_new(void)
{
    struct rkb_channels *channels = calloc(1, sizeof *channels);
    if (channels != NULL)
        channels->others.listeners = -1;
    return channels;
}

void rkb_channels_free(struct rkb_channels *channels)
{
    for (size_t i = 0; channels != NULL && i < channels->size; i++)
        rkb_buffer_free(&channels->list[i].name);
    free(channels);
}

void rkb_channels_on_move(struct rkb_channels *channels, rkb_channels_moved *moved, void *context)
{
    channels->moved = moved;
    channels->context = context;
}

void rkb_figures_add(struct rkb_figures *sum, const struct rkb_figures *more)
{
    sum->messages += more->messages;
    sum->bytes += more->bytes;
    if (more->largest > sum->largest)
        sum->largest = more->largest;
    for (int i = 0; i < RKB_FORMS; i++)
        sum->forms[i] += more->forms[i];
    if (more->listeners >= 0)
        sum->listeners = (sum->listeners > 0 ? sum->listeners : 0) + more->listeners;
}

static struct rkb_slice name_of(const struct rkb_seen *seen)
{
    return rkb_slice(seen->name.data, seen->name.size);
}

/* The slot that has the name, or where it would stand. */
static uint32_t *find_slot(struct rkb_channels *channels, struct rkb_slice name)
{
    size_t at = XXH3_64bits(name.data, name.size) & (SLOTS - 1);
    while (channels->slots[at] != 0 && !rkb_slice_equal(name_of(&channels->list[channels->slots[at] - 1]), name))
        at = (at + 1) & (SLOTS - 1);
    return &channels->slots[at];
}

/* ---- room ---- */

/* Which groups become patterns; their numbers into `as`, RKB_CHANNEL_NONE for those that do not. */
static size_t choose(const struct rkb_channels *channels, const struct rkb_name_groups *groups, uint32_t *as)
{
    size_t patterns = channels->patterns;
    for (size_t i = 0; i < groups->count; i++) {
        bool wanted = groups->list[i].is_pattern && groups->list[i].members >= LEAST_TAKEN;
        as[i] = wanted && patterns < RKB_PATTERNS_MOST ? (uint32_t)patterns++ : RKB_CHANNEL_NONE;
    }
    return patterns;
}

static void take(struct rkb_seen *pattern, struct rkb_seen *channel)
{
    rkb_figures_add(&pattern->figures, &channel->figures);
    pattern->taken++;
    pattern->looked += channel->looked;
    rkb_buffer_free(&channel->name);
}

/* The new number of each place into `of`; places move to the front, behind the new patterns. */
static void move(struct rkb_channels *channels, struct rkb_name_groups *groups, const uint32_t *as, size_t patterns,
                 struct rkb_seen *old, uint32_t *of)
{
    size_t before = channels->patterns, size = channels->size, next = patterns;
    memcpy(old, channels->list, sizeof *old * size);
    for (size_t i = 0; i < before; i++)
        of[i] = (uint32_t)i;
    for (size_t i = 0; i < groups->count; i++) {
        if (as[i] == RKB_CHANNEL_NONE)
            continue;
        channels->list[as[i]] = (struct rkb_seen){.name = groups->list[i].text, .figures = {.listeners = -1}};
        groups->list[i].text = (struct rkb_buffer){0};
    }
    for (size_t i = before; i < size; i++) {
        uint32_t pattern = as[groups->of[i - before]];
        of[i] = pattern != RKB_CHANNEL_NONE ? pattern : (uint32_t)next;
        if (pattern != RKB_CHANNEL_NONE)
            take(&channels->list[pattern], &old[i]);
        else
            channels->list[next++] = old[i];
    }
    channels->patterns = patterns;
    channels->size = next;
}

static void index_anew(struct rkb_channels *channels)
{
    memset(channels->slots, 0, sizeof channels->slots);
    for (size_t i = channels->patterns; i < channels->size; i++)
        *find_slot(channels, name_of(&channels->list[i])) = (uint32_t)i + 1;
}

/* Lets patterns take what they can. */
static bool make_room(struct rkb_channels *channels)
{
    size_t before = channels->patterns, size = channels->size;
    struct rkb_name_groups groups = {0};
    struct rkb_slice *names = calloc(size, sizeof *names);
    uint32_t *as = calloc(size, sizeof *as), *of = calloc(size, sizeof *of);
    struct rkb_seen *old = calloc(size, sizeof *old);
    for (size_t i = before; names != NULL && i < size; i++)
        names[i - before] = name_of(&channels->list[i]);
    if (names != NULL && as != NULL && of != NULL && old != NULL && rkb_names_group(names, size - before, &groups)) {
        size_t patterns = choose(channels, &groups, as);
        if (patterns > before) {
            move(channels, &groups, as, patterns, old, of);
            index_anew(channels);
            if (channels->moved != NULL)
                channels->moved(channels->context, of, size);
        }
    }
    rkb_names_free(&groups);
    free(names);
    free(as);
    free(of);
    free(old);
    return channels->size < size;
}

/* ---- messages ---- */

static uint32_t matching_pattern(struct rkb_channels *channels, struct rkb_slice name)
{
    for (size_t i = 0; i < channels->patterns; i++)
        if (rkb_glob_match(name_of(&channels->list[i]), name))
            return (uint32_t)i;
    return RKB_CHANNEL_NONE;
}

static uint32_t add(struct rkb_channels *channels, struct rkb_slice name, uint32_t *slot)
{
    struct rkb_seen *seen = &channels->list[channels->size];
    *seen = (struct rkb_seen){.figures = {.listeners = -1}};
    rkb_buffer_add(&seen->name, name.data, name.size);
    if (seen->name.failed)
        return RKB_CHANNEL_NONE;
    *slot = (uint32_t)++channels->size;
    return *slot - 1;
}

uint32_t rkb_channels_number(struct rkb_channels *channels, struct rkb_slice name)
{
    uint32_t *slot = find_slot(channels, name);
    if (*slot != 0)
        return *slot - 1;
    uint32_t pattern = matching_pattern(channels, name);
    if (pattern != RKB_CHANNEL_NONE || name.size == 0 || name.size > RKB_CHANNEL_NAME_MOST)
        return pattern;
    if (channels->size - channels->patterns < RKB_CHANNELS_MOST)
        return add(channels, name, slot);
    if (channels->hopeless)
        return RKB_CHANNEL_NONE;
    channels->hopeless = !make_room(channels);
    return channels->hopeless ? RKB_CHANNEL_NONE : rkb_channels_number(channels, name);
}

void rkb_channels_count(struct rkb_channels *channels, uint32_t number, uint64_t size)
{
    struct rkb_figures *figures = number == RKB_CHANNEL_NONE ? &channels->others : &channels->list[number].figures;
    figures->messages++;
    figures->bytes += size;
    if (size > figures->largest)
        figures->largest = size;
}

bool rkb_channels_look(struct rkb_channels *channels, uint32_t number, int64_t now_us, int64_t pause_us)
{
    struct rkb_seen *seen = number != RKB_CHANNEL_NONE ? &channels->list[number] : NULL;
    size_t limit = LOOKS_TOGETHER / (channels->size + 1);
    if (seen == NULL)
        return false;
    limit = limit > LOOKS_MOST ? LOOKS_MOST : limit < LOOKS_LEAST ? LOOKS_LEAST : limit;
    if (seen->taken > 0)
        limit = LOOKS_MOST;
    if (seen->looked >= limit || (seen->looked >= limit / 2 && now_us - seen->looked_us < pause_us))
        return false;
    seen->looked++;
    seen->looked_us = now_us;
    return true;
}

size_t rkb_channels_size(const struct rkb_channels *channels)
{
    return channels->size;
}

struct rkb_seen *rkb_channels_at(struct rkb_channels *channels, uint32_t number)
{
    return &channels->list[number];
}

const struct rkb_figures *rkb_channels_others(const struct rkb_channels *channels)
{
    return &channels->others;
}
