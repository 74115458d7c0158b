/* turn -- see turn.h. */
#include "daemon/turn.h"

void rkb_turn_init(struct rkb_turn *turn, const struct rkb_sys *sys)
{
    *turn = (struct rkb_turn){.sys = sys, .spans = {.kind = &rkb_histogram_turn}};
}

static void end(struct rkb_turn *turn)
{
    if (turn->began_us == 0)
        return;
    rkb_histogram_add_span(&turn->spans, turn->sys->monotonic_us() - turn->began_us);
    turn->began_us = 0;
}

/* Libevent tells nobody when a turn ends, but for giving the loop back after each. */
void rkb_turn_dispatch(struct rkb_turn *turn, struct event_base *base)
{
    int left;
    do {
        left = event_base_loop(base, EVLOOP_ONCE);
        end(turn);
    } while (left == 0 && !event_base_got_exit(base) && !event_base_got_break(base));
}
