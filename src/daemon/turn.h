/*
 * turn -- how long the loop is busy in one turn: from the first message or question in it to its end.
 *
 *     event_base_loop(ONCE) { ... begin ... begin ... } --> end --> event_base_loop(ONCE) ...
 *
 * Only who has much to do says that a turn begins; a turn in which nobody does is not counted. Loop thread.
 */
#ifndef RKB_DAEMON_TURN_H
#define RKB_DAEMON_TURN_H

#include <event2/event.h>

#include "base/histogram.h"
#include "base/sys.h"

struct rkb_turn {
    const struct rkb_sys *sys;
    int64_t began_us;               /* monotonic; 0: it has not begun */
    struct rkb_histogram spans;
};

void rkb_turn_init(struct rkb_turn *turn, const struct rkb_sys *sys);

/* Called for each message: costs a comparison but for the first of a turn. */
static inline void rkb_turn_begin(struct rkb_turn *turn)
{
    if (turn->began_us == 0)
        turn->began_us = turn->sys->monotonic_us();
}

/* As event_base_dispatch: until somebody ends the loop. */
void rkb_turn_dispatch(struct rkb_turn *turn, struct event_base *base);

#endif
