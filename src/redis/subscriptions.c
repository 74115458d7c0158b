/* subscriptions -- see subscriptions.h. */
#include "redis/subscriptions.h"

#include <stdlib.h>

void rkb_subscriptions_free(struct rkb_subscriptions *subscriptions)
{
    for (size_t i = 0; i < subscriptions->size; i++)
        rkb_buffer_free(&subscriptions->list[i].name);
    free(subscriptions->list);
    free(subscriptions->line);
}

static bool is_there(const struct rkb_subscriptions *subscriptions, bool is_pattern, struct rkb_slice name)
{
    for (size_t i = 0; i < subscriptions->size; i++) {
        const struct rkb_wish *wish = &subscriptions->list[i];
        if (wish->is_pattern == is_pattern && rkb_slice_equal(rkb_wish_name(wish), name))
            return true;
    }
    return false;
}

static bool grow(struct rkb_subscriptions *subscriptions)
{
    if (subscriptions->size < subscriptions->capacity)
        return true;
    size_t capacity = subscriptions->capacity > 0 ? 2 * subscriptions->capacity : 16;
    struct rkb_asked *line = realloc(subscriptions->line, capacity * sizeof *line);
    if (line == NULL)
        return false;
    subscriptions->line = line;
    struct rkb_wish *list = realloc(subscriptions->list, capacity * sizeof *list);
    if (list == NULL)
        return false;
    subscriptions->list = list;
    subscriptions->capacity = capacity;
    return true;
}

/* Keeps channels before patterns, each in the order in which they were added. */
bool rkb_subscriptions_add(struct rkb_subscriptions *subscriptions, bool is_pattern, struct rkb_slice name,
                           struct rkb_error *error)
{
    struct rkb_wish added = {.is_pattern = is_pattern};
    if (is_there(subscriptions, is_pattern, name))
        return true;
    rkb_buffer_add(&added.name, name.data, name.size);
    if (added.name.failed || !grow(subscriptions)) {
        rkb_buffer_free(&added.name);
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a subscription");
    }
    struct rkb_wish *place = &subscriptions->list[is_pattern ? subscriptions->size : subscriptions->channels++];
    size_t behind = subscriptions->size - (size_t)(place - subscriptions->list);
    memmove(place + 1, place, behind * sizeof *place);
    *place = added;
    subscriptions->size++;
    return true;
}

void rkb_subscriptions_reset(struct rkb_subscriptions *subscriptions)
{
    for (size_t i = 0; i < subscriptions->size; i++)
        subscriptions->list[i].stands = false;
    subscriptions->standing = subscriptions->asked = subscriptions->head = 0;
}

size_t rkb_subscriptions_batch_end(const struct rkb_subscriptions *subscriptions, size_t from)
{
    size_t bytes = 0, end = from;
    size_t last = from < subscriptions->channels ? subscriptions->channels : subscriptions->size;
    for (; end < last && end - from < RKB_BATCH_NAMES; end++) {
        const struct rkb_wish *wish = &subscriptions->list[end];
        bytes += wish->name.size;
        const struct rkb_wish *first = &subscriptions->list[from];
        if (end > from && (bytes > RKB_BATCH_BYTES || wish->refused || first->refused || wish->stands != first->stands))
            break;
    }
    return end;
}

void rkb_subscriptions_ask(struct rkb_subscriptions *subscriptions, size_t from, size_t end)
{
    size_t place = (subscriptions->head + subscriptions->asked++) % subscriptions->capacity;
    subscriptions->line[place] = (struct rkb_asked){.from = from, .end = end};
}

static struct rkb_asked *first(const struct rkb_subscriptions *subscriptions)
{
    return subscriptions->asked > 0 ? &subscriptions->line[subscriptions->head] : NULL;
}

const struct rkb_asked *rkb_subscriptions_first(const struct rkb_subscriptions *subscriptions)
{
    return first(subscriptions);
}

struct rkb_asked rkb_subscriptions_take(struct rkb_subscriptions *subscriptions)
{
    struct rkb_asked taken = subscriptions->line[subscriptions->head];
    subscriptions->head = (subscriptions->head + 1) % subscriptions->capacity;
    subscriptions->asked--;
    return taken;
}

static bool is_it(const struct rkb_wish *wish, bool is_pattern, struct rkb_slice name)
{
    return wish->is_pattern == is_pattern && rkb_slice_equal(rkb_wish_name(wish), name);
}

/*
 * The wish of the command in turn that Redis's answer is about: it stands, or not yet. Looks where the next answer is
 * due first, so that in Redis's order each is found at once.
 */
static struct rkb_wish *find_asked(const struct rkb_subscriptions *subscriptions, bool stands, bool is_pattern,
                                   struct rkb_slice name)
{
    const struct rkb_asked *asked = first(subscriptions);
    size_t count = asked != NULL ? asked->end - asked->from : 0;
    for (size_t i = 0; i < count; i++) {
        struct rkb_wish *wish = &subscriptions->list[asked->from + (asked->confirmed + i) % count];
        if (wish->stands == stands && is_it(wish, is_pattern, name))
            return wish;
    }
    return NULL;
}

/* One more name of the command in turn is answered. */
static void answered(struct rkb_subscriptions *subscriptions)
{
    struct rkb_asked *asked = first(subscriptions);
    if (++asked->confirmed == asked->end - asked->from)
        (void)rkb_subscriptions_take(subscriptions);
}

struct rkb_wish *rkb_subscriptions_confirm(struct rkb_subscriptions *subscriptions, bool is_pattern,
                                           struct rkb_slice name)
{
    struct rkb_wish *wish = find_asked(subscriptions, false, is_pattern, name);
    if (wish == NULL)
        return NULL;
    wish->stands = true;
    subscriptions->standing++;
    subscriptions->refused -= wish->refused;
    wish->refused = false;
    answered(subscriptions);
    return wish;
}

bool rkb_subscriptions_leave(struct rkb_subscriptions *subscriptions, bool is_pattern, struct rkb_slice name)
{
    struct rkb_wish *wish = find_asked(subscriptions, true, is_pattern, name);
    if (wish == NULL)
        return false;
    wish->stands = false;
    subscriptions->standing--;
    answered(subscriptions);
    return true;
}

/* Looks behind the one that was found last first: two lists that are alike are compared in one walk. */
static struct rkb_wish *find_after(struct rkb_subscriptions *subscriptions, size_t *last, const struct rkb_wish *wanted)
{
    for (size_t i = 1; i <= subscriptions->size; i++) {
        size_t at = (*last + i) % subscriptions->size;
        if (is_it(&subscriptions->list[at], wanted->is_pattern, rkb_wish_name(wanted))) {
            *last = at;
            return &subscriptions->list[at];
        }
    }
    return NULL;
}

/* What stands closes up; the rest goes. */
static void keep_standing(struct rkb_subscriptions *subscriptions)
{
    size_t kept = 0, channels = 0;
    for (size_t i = 0; i < subscriptions->size; i++) {
        struct rkb_wish *wish = &subscriptions->list[i];
        if (!wish->stands) {
            rkb_buffer_free(&wish->name);
            continue;
        }
        channels += !wish->is_pattern;
        wish->refused = false;
        subscriptions->list[kept++] = *wish;
    }
    subscriptions->size = subscriptions->standing = kept;
    subscriptions->channels = channels;
    subscriptions->refused = 0;
}

void rkb_subscriptions_inherit(struct rkb_subscriptions *next, struct rkb_subscriptions *old)
{
    size_t last = old->size > 0 ? old->size - 1 : 0;
    for (size_t i = 0; i < next->size; i++) {
        struct rkb_wish *wish = &next->list[i], *was = find_after(old, &last, wish);
        if (was == NULL)
            continue;
        wish->stands = was->stands;
        wish->refused = was->refused;
        wish->lack = was->lack;
        next->standing += wish->stands;
        next->refused += wish->refused;
        was->stands = false;
    }
    keep_standing(old);
}

bool rkb_subscriptions_refuse(struct rkb_subscriptions *subscriptions, struct rkb_wish *wish, enum rkb_lack lack)
{
    bool is_new = !wish->refused || wish->lack != lack;
    subscriptions->refused += !wish->refused;
    wish->refused = true;
    wish->lack = lack;
    return is_new;
}

bool rkb_subscriptions_again(struct rkb_subscriptions *subscriptions, size_t *index)
{
    for (size_t i = 0; i < subscriptions->size; i++) {
        size_t at = (subscriptions->next_again + i) % subscriptions->size;
        if (subscriptions->list[at].refused && !subscriptions->list[at].stands) {
            *index = at;
            subscriptions->next_again = (at + 1) % subscriptions->size;
            return true;
        }
    }
    return false;
}
