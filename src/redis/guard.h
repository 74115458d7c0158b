/*
 * guard -- freeing inside a callback is deferred: the outermost return frees.
 *
 * One guard stands for a subscriber and all that it is made of. Each function that libevent calls enters it first and
 * leaves it last; whoever wants to free dooms it. Nobody touches the object after leaving.
 */
#ifndef RKB_REDIS_GUARD_H
#define RKB_REDIS_GUARD_H

#include <stdbool.h>

struct rkb_guard {
    unsigned inside;
    bool doomed;
    void (*destroy)(void *object);
    void *object;
};

static inline void rkb_guard_enter(struct rkb_guard *guard)
{
    guard->inside++;
}

static inline void rkb_guard_leave(struct rkb_guard *guard)
{
    if (--guard->inside == 0 && guard->doomed)
        guard->destroy(guard->object);
}

static inline void rkb_guard_doom(struct rkb_guard *guard)
{
    guard->doomed = true;
    if (guard->inside == 0)
        guard->destroy(guard->object);
}

#endif
