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
        if (end > from && (bytes > RKB_BATCH_BYTES || wish->refused || subscriptions->list[from].refused))
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

/* Looks where the next confirmation is due first, so that in Redis's order each is found at once. */
static struct rkb_wish *find_asked(const struct rkb_subscriptions *subscriptions, const struct rkb_asked *asked,
                                   bool is_pattern, struct rkb_slice name)
{
    size_t count = asked->end - asked->from;
    for (size_t i = 0; i < count; i++) {
        struct rkb_wish *wish = &subscriptions->list[asked->from + (asked->confirmed + i) % count];
        if (!wish->stands && wish->is_pattern == is_pattern && rkb_slice_equal(rkb_wish_name(wish), name))
            return wish;
    }
    return NULL;
}

struct rkb_wish *rkb_subscriptions_confirm(struct rkb_subscriptions *subscriptions, bool is_pattern,
                                           struct rkb_slice name)
{
    struct rkb_asked *asked = first(subscriptions);
    struct rkb_wish *wish = asked != NULL ? find_asked(subscriptions, asked, is_pattern, name) : NULL;
    if (wish == NULL)
        return NULL;
    wish->stands = true;
    subscriptions->standing++;
    subscriptions->refused -= wish->refused;
    wish->refused = false;
    if (++asked->confirmed == asked->end - asked->from)
        (void)rkb_subscriptions_take(subscriptions);
    return wish;
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
