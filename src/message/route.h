/*
 * route -- which route takes a message: of our confirmed subscriptions that match the channel, exact
 * before patterns, patterns by their order in the config. One router per source. Loop thread.
 *
 *     copy from Redis (subscription, channel) --> channel cache --> winner? --> received, or a losing copy (overlap)
 *
 * The order in which Redis sends the copies of several patterns is that of a hash table and changes, so the copy that
 * counts is computed, not the first to come. The cache is bounded; it is emptied when a confirmation changes.
 */
#ifndef RKB_MESSAGE_ROUTE_H
#define RKB_MESSAGE_ROUTE_H

#include "message/template.h"

struct rkb_subscription {
    bool is_pattern;
    bool confirmed;
    struct rkb_name_forms name;     /* the channel or pattern, with its JSON form */
    void *route;                    /* the caller's */
    size_t captures;                /* how many of a channel's captures are wanted; the caller's to set */
    uint64_t copies_epoch;          /* epoch of the mark that `copies` counts from */
    uint32_t copies;                /* copies seen on this subscription since that mark, losing ones too */
};

/* A channel seen lately. */
struct rkb_channel {
    struct rkb_name_forms name;
    struct rkb_subscription *winner;    /* NULL: no confirmed subscription matches */
    uint32_t topic;                     /* the caller's, 0 at first: kept while the winner is */
    size_t capture_count;
    struct rkb_name_forms captures[];   /* what each `*` of the winner matched, as many as it wants */
};

/*
 * Channels of canaries begin so. By a pattern nobody wins them: not ours while the canary's own subscription comes or
 * goes, and not those of another rkbridge on the same Redis.
 */
#define RKB_CANARY_PREFIX "rkbridge:canary:"

struct rkb_router;

struct rkb_router *rkb_router_new(size_t cache_bytes);
void rkb_router_free(struct rkb_router *router);
/* Adds a subscription, in the order of the config. False (RKB_USAGE) where it is there already; RKB_NO_MEMORY. */
bool rkb_router_add(struct rkb_router *router, bool is_pattern, struct rkb_slice name, void *route,
                    struct rkb_error *error) RKB_MUST_CHECK;
size_t rkb_router_count(const struct rkb_router *router);
struct rkb_subscription *rkb_router_at(const struct rkb_router *router, size_t index);
/* The subscription of exactly this name, O(1); NULL where we have none. */
struct rkb_subscription *rkb_router_find(const struct rkb_router *router, bool is_pattern, struct rkb_slice name);
/* Redis confirmed it (or its end). */
void rkb_router_confirm(struct rkb_router *router, struct rkb_subscription *subscription, bool confirmed);
void rkb_router_confirm_none(struct rkb_router *router);
/* The channel with its winner, from the cache or computed; valid until the next call. NULL when memory ran out. */
struct rkb_channel *rkb_router_channel(struct rkb_router *router, struct rkb_slice name);
/*
 * A channel as if this subscription had won it, which must match: not in the cache, the caller frees it. NULL when
 * memory ran out.
 */
struct rkb_channel *rkb_router_channel_by(struct rkb_subscription *subscription, struct rkb_slice name);
/* Its winner alone, computed: no memory is needed. NULL: no confirmed subscription matches. */
struct rkb_subscription *rkb_router_winner(const struct rkb_router *router, struct rkb_slice name);
/* How many channels are in the cache. */
size_t rkb_router_cached(const struct rkb_router *router);
/* A fingerprint over all subscriptions in order: XXH3-64. */
uint64_t rkb_router_fingerprint(const struct rkb_router *router);

#endif
