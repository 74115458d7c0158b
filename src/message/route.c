/*
 * route -- see route.h.
 *
 *     names    (is_pattern, name) --> subscription      hash table, for all subscriptions
 *     cache    channel --> (its forms, winner)          hash table, for channels seen lately
 *
 * Both are open addressing with linear probes over powers of two, at most half full. The cache is emptied whole when
 * the next channel would take it over its bytes, and when a confirmation changes: no bookkeeping of age on the
 * per-message path, and a source with fewer channels than fit never pays for it. Never keeps what it was lent.
 */
#include "message/route.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "message/glob.h"
#include "message/json_string.h"

#define FIRST_SLOTS 64

/* In a table: the hash beside the pointer, so that a probe seldom follows it. */
struct slot {
    uint64_t hash;
    void *item;         /* NULL: free */
};

struct table {
    struct slot *slots;
    size_t capacity, count;
};

struct rkb_router {
    struct rkb_subscription **subscriptions;    /* in the order of the config */
    size_t count, capacity;
    struct table names;
    struct table cache;
    size_t cache_bytes, cache_limit;
};

static uint64_t hash_of(struct rkb_slice name)
{
    return XXH3_64bits(name.data, name.size);
}

static uint64_t hash_of_subscription(bool is_pattern, struct rkb_slice name)
{
    return XXH3_64bits_withSeed(name.data, name.size, is_pattern);
}

static void put(struct table *table, uint64_t hash, void *item)
{
    size_t at = hash & (table->capacity - 1);
    while (table->slots[at].item != NULL)
        at = (at + 1) & (table->capacity - 1);
    table->slots[at] = (struct slot){hash, item};
}

/* Makes sure that one more item fits. */
static bool grow(struct table *table)
{
    if (2 * (table->count + 1) <= table->capacity)
        return true;
    struct table larger = {.capacity = table->capacity == 0 ? FIRST_SLOTS : 2 * table->capacity, .count = table->count};
    larger.slots = calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->slots[i].item != NULL)
            put(&larger, table->slots[i].hash, table->slots[i].item);
    free(table->slots);
    *table = larger;
    return true;
}

struct rkb_router *rkb_router_new(size_t cache_bytes)
{
    struct rkb_router *router = calloc(1, sizeof *router);
    if (router != NULL)
        router->cache_limit = cache_bytes;
    return router;
}

static void empty_cache(struct rkb_router *router)
{
    for (size_t i = 0; i < router->cache.capacity; i++)
        free(router->cache.slots[i].item);
    free(router->cache.slots);
    router->cache = (struct table){0};
    router->cache_bytes = 0;
}

void rkb_router_free(struct rkb_router *router)
{
    if (router == NULL)
        return;
    empty_cache(router);
    for (size_t i = 0; i < router->count; i++)
        free(router->subscriptions[i]);
    free(router->subscriptions);
    free(router->names.slots);
    free(router);
}

/* The forms of a name, written to `room` (which has name.size and escaped_size bytes). */
static struct rkb_name_forms write_forms(uint8_t *room, struct rkb_slice name, size_t escaped_size)
{
    if (name.size > 0)
        memcpy(room, name.data, name.size);
    rkb_json_escape(room + name.size, name);
    return (struct rkb_name_forms){rkb_slice(room, name.size), rkb_slice(room + name.size, escaped_size)};
}

static bool grow_list(struct rkb_router *router)
{
    if (router->count < router->capacity)
        return true;
    size_t capacity = router->capacity == 0 ? 16 : 2 * router->capacity;
    struct rkb_subscription **list = realloc(router->subscriptions, capacity * sizeof(struct rkb_subscription *));
    if (list == NULL)
        return false;
    router->subscriptions = list;
    router->capacity = capacity;
    return true;
}

bool rkb_router_add(struct rkb_router *router, bool is_pattern, struct rkb_slice name, void *route,
                    struct rkb_error *error)
{
    if (rkb_router_find(router, is_pattern, name) != NULL)
        return rkb_fail(error, RKB_USAGE, "this %s is there already", is_pattern ? "pattern" : "channel");
    size_t escaped = rkb_json_escaped_size(name);
    struct rkb_subscription *subscription = NULL;
    if (grow_list(router) && grow(&router->names))
        subscription = calloc(1, sizeof *subscription + name.size + escaped);
    if (subscription == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a subscription");
    subscription->is_pattern = is_pattern;
    subscription->name = write_forms((uint8_t *)(subscription + 1), name, escaped);
    subscription->route = route;
    router->subscriptions[router->count++] = subscription;
    put(&router->names, hash_of_subscription(is_pattern, name), subscription);
    router->names.count++;
    return true;
}

size_t rkb_router_count(const struct rkb_router *router)
{
    return router->count;
}

struct rkb_subscription *rkb_router_at(const struct rkb_router *router, size_t index)
{
    return router->subscriptions[index];
}

struct rkb_subscription *rkb_router_find(const struct rkb_router *router, bool is_pattern, struct rkb_slice name)
{
    if (router->names.capacity == 0)
        return NULL;
    uint64_t hash = hash_of_subscription(is_pattern, name);
    size_t mask = router->names.capacity - 1;
    for (size_t at = hash & mask; router->names.slots[at].item != NULL; at = (at + 1) & mask) {
        struct rkb_subscription *subscription = router->names.slots[at].item;
        if (router->names.slots[at].hash == hash && subscription->is_pattern == is_pattern
            && rkb_slice_equal(subscription->name.plain, name))
            return subscription;
    }
    return NULL;
}

void rkb_router_confirm(struct rkb_router *router, struct rkb_subscription *subscription, bool confirmed)
{
    if (subscription->confirmed == confirmed)
        return;
    subscription->confirmed = confirmed;
    empty_cache(router);
}

void rkb_router_confirm_none(struct rkb_router *router)
{
    for (size_t i = 0; i < router->count; i++)
        rkb_router_confirm(router, router->subscriptions[i], false);
}

static bool is_canary(struct rkb_slice channel)
{
    size_t size = strlen(RKB_CANARY_PREFIX);
    return channel.size >= size && memcmp(channel.data, RKB_CANARY_PREFIX, size) == 0;
}

struct rkb_subscription *rkb_router_winner(const struct rkb_router *router, struct rkb_slice channel)
{
    struct rkb_subscription *exact = rkb_router_find(router, false, channel);
    if (exact != NULL && exact->confirmed)
        return exact;
    if (is_canary(channel))
        return NULL;
    for (size_t i = 0; i < router->count; i++) {
        struct rkb_subscription *subscription = router->subscriptions[i];
        if (subscription->is_pattern && subscription->confirmed && rkb_glob_match(subscription->name.plain, channel))
            return subscription;
    }
    return NULL;
}

static struct rkb_channel *find_cached(const struct rkb_router *router, uint64_t hash, struct rkb_slice name)
{
    if (router->cache.capacity == 0)
        return NULL;
    size_t mask = router->cache.capacity - 1;
    for (size_t at = hash & mask; router->cache.slots[at].item != NULL; at = (at + 1) & mask) {
        struct rkb_channel *channel = router->cache.slots[at].item;
        if (router->cache.slots[at].hash == hash && rkb_slice_equal(channel->name.plain, name))
            return channel;
    }
    return NULL;
}

/* How many captures of its channels a winner wants; 0 where there is none. */
static size_t wanted_captures(const struct rkb_subscription *winner)
{
    size_t wanted = winner == NULL || !winner->is_pattern ? 0 : winner->captures;
    return wanted < RKB_CAPTURES ? wanted : RKB_CAPTURES;
}

/* A channel with its winner and what that captured, its forms behind it. NULL when memory ran out. */
static struct rkb_channel *make_channel(struct rkb_subscription *winner, struct rkb_slice name, size_t *bytes)
{
    struct rkb_slice captures[RKB_CAPTURES] = {{NULL, 0}};
    size_t wanted = wanted_captures(winner), escaped = rkb_json_escaped_size(name);
    *bytes = sizeof(struct rkb_channel) + wanted * sizeof(struct rkb_name_forms) + name.size + escaped;
    if (wanted > 0)
        rkb_glob_captures(winner->name.plain, name, captures, wanted);
    for (size_t i = 0; i < wanted; i++)
        *bytes += captures[i].size + rkb_json_escaped_size(captures[i]);
    struct rkb_channel *channel = malloc(*bytes);
    if (channel == NULL)
        return NULL;
    *channel = (struct rkb_channel){.winner = winner, .capture_count = wanted};
    uint8_t *room = (uint8_t *)&channel->captures[wanted];
    channel->name = write_forms(room, name, escaped);
    room += name.size + escaped;
    for (size_t i = 0; i < wanted; i++) {
        escaped = rkb_json_escaped_size(captures[i]);
        channel->captures[i] = write_forms(room, captures[i], escaped);
        room += captures[i].size + escaped;
    }
    return channel;
}

/* A channel costs its own bytes and, the table being at most half full and doubled when it is, up to four slots. */
static struct rkb_channel *add_cached(struct rkb_router *router, uint64_t hash, struct rkb_slice name)
{
    size_t bytes;
    struct rkb_channel *channel = make_channel(rkb_router_winner(router, name), name, &bytes);
    size_t cost = bytes + 4 * sizeof(struct slot);
    if (router->cache.count > 0 && cost > router->cache_limit - router->cache_bytes)
        empty_cache(router);
    if (channel == NULL || !grow(&router->cache)) {
        free(channel);
        return NULL;
    }
    put(&router->cache, hash, channel);
    router->cache.count++;
    /* One that is too large on its own fills the cache, so that the next one empties it. */
    bool fills = cost > router->cache_limit - router->cache_bytes;
    router->cache_bytes = fills ? router->cache_limit : router->cache_bytes + cost;
    return channel;
}

struct rkb_channel *rkb_router_channel(struct rkb_router *router, struct rkb_slice name)
{
    uint64_t hash = hash_of(name);
    struct rkb_channel *channel = find_cached(router, hash, name);
    return channel != NULL ? channel : add_cached(router, hash, name);
}

struct rkb_channel *rkb_router_channel_by(struct rkb_subscription *subscription, struct rkb_slice name)
{
    size_t bytes;
    return make_channel(subscription, name, &bytes);
}

size_t rkb_router_cached(const struct rkb_router *router)
{
    return router->cache.count;
}

/* Each subscription: XXH3 of its name, seeded with XXH3 over what came before, its kind and the length of its name. */
uint64_t rkb_router_fingerprint(const struct rkb_router *router)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < router->count; i++) {
        const struct rkb_subscription *subscription = router->subscriptions[i];
        uint8_t block[17];
        struct rkb_writer writer = rkb_writer(block, sizeof block);
        rkb_write_u64(&writer, hash);
        rkb_write_u64(&writer, subscription->name.plain.size);
        rkb_write_u8(&writer, subscription->is_pattern);
        hash = XXH3_64bits_withSeed(subscription->name.plain.data, subscription->name.plain.size,
                                    XXH3_64bits(block, sizeof block));
    }
    return hash;
}
