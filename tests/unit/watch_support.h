/*
 * watch_support -- for tests of a relay whose subscriber talks to one scripted Redis and whose second connection to
 * another, which watches it.
 */
#ifndef RKB_TEST_WATCH_SUPPORT_H
#define RKB_TEST_WATCH_SUPPORT_H

#include "fake_redis.h"
#include "relay_world.h"
#include "times_in.h"

/* A millisecond of the loop. */
static inline void turn(struct world *world)
{
    const struct timeval moment = {0, 1000};
    event_base_loopexit(world->base, &moment);
    event_base_dispatch(world->base);
}

/* Turns the loop until it holds; fails after some ten seconds, with what that Redis has heard. */
#define UNTIL_HEARD(world, redis, condition) \
    do { \
        for (int turns = 0; !(condition); turns++) { \
            if (turns > 10000) \
                fail_msg("in vain: %s; heard:\n%s", #condition, fake_redis_heard(redis)); \
            turn(world); \
        } \
    } while (0)
/* test: has a world, and the Redis that is `watched`. */
#define UNTIL(test, condition) UNTIL_HEARD((test)->world, (test)->watched, condition)

#endif
