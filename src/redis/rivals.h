/*
 * rivals -- finds another bridge among the clients of a Redis.
 *
 *     begin --> each that is subscribed --> (any left? then each that is not) --> find
 *
 * A rival is a connection with a bridge's name that is subscribed and is not ours. The connection that its process asks
 * by belongs to it by its name (redis/client_list.h): by that one's idle time the process lives or is a ghost, which
 * Redis still holds because nobody told it of the end. Never: keeps what it was lent, talks to anybody.
 */
#ifndef RKB_REDIS_RIVALS_H
#define RKB_REDIS_RIVALS_H

#include "redis/client_list.h"

enum { RKB_RIVALS_KEPT = 16, RKB_OWN_KEPT = 8 };

struct rkb_rival {
    uint64_t subscriber, watcher;       /* their numbers; watcher 0: none is there */
    int64_t subscriber_idle_s, watcher_idle_s, period_ms;
    char instance[65], address[72];
};

/* Who asks each period, and has not for three, is gone. Redis tells idle times in whole seconds. */
static inline bool rkb_rival_lives(int64_t idle_s, int64_t period_ms)
{
    return idle_s * 1000 <= 3 * period_ms + 1000;
}

/* Zero at first. */
struct rkb_rivals {
    char token[RKB_BRIDGE_TOKEN + 1];   /* ours */
    int64_t period_ms;                  /* ours: what a bridge without a watcher is judged by */
    uint64_t own[RKB_OWN_KEPT];         /* our subscribed connection, and those before it */
    unsigned own_count;
    struct rkb_rival list[RKB_RIVALS_KEPT];
    size_t count;
};

/* A new connection of ours. A number that is not above the last is another Redis's, or a restarted one's. */
void rkb_rivals_own(struct rkb_rivals *rivals, uint64_t subscriber);
/* Forgets all but what is ours. */
void rkb_rivals_begin(struct rkb_rivals *rivals);
void rkb_rivals_subscribed(struct rkb_rivals *rivals, const struct rkb_client *client);
void rkb_rivals_normal(struct rkb_rivals *rivals, const struct rkb_client *client);
/* The one that lives, of several the one that connected first; NULL: none. */
const struct rkb_rival *rkb_rivals_find(const struct rkb_rivals *rivals);

#endif
