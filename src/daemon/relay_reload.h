/*
 * relay_reload -- from one routing to the next, while messages come: nothing is lost or taken twice, and what stays
 * is not touched.
 *
 *     prepare: limits, room, numbers, memory (all that can fail) --> [others are told] --> change
 *
 *                          for each source, in its own stream                        all sources
 *     change: what is new is subscribed to --> the turn --> what is gone is given up ------------> the old routing goes
 *               by the old routing                   by the new one
 *
 * The turn stands in the stream itself, between two messages (redis/subscriber_change.c). Before it the old routing's
 * subscriptions decide: the copy that counts is computed from those that Redis has confirmed, and those of the new
 * routing count only where none of the old matches, so that what is subscribed to is not thrown away. Behind it the
 * new routing decides alone. Since each copy of a message stands on the same side, each message is taken once, by the
 * routing that was in force when it was published. What the ring and the journal hold stays as it is.
 */
#ifndef RKB_DAEMON_RELAY_RELOAD_H
#define RKB_DAEMON_RELAY_RELOAD_H

#include "daemon/relay.h"

/* Numbers of routes and topics go so far from now on. */
struct rkb_relay_limits {
    uint32_t routes, topics;
};

/*
 * Whatever of a change can fail: all names get their numbers (those that were seen before keep theirs), the books their
 * places. False and *error (RKB_FULL, RKB_NO_MEMORY, RKB_USAGE): nothing has changed but that some names have numbers.
 */
bool rkb_relay_prepare(struct rkb_relay *relay, struct rkb_routing *routing, struct rkb_relay_limits *limits,
                       struct rkb_error *error) RKB_MUST_CHECK;
/*
 * Takes the prepared routing. `changed` comes when all sources have changed, also from within; not before that may
 * another change begin. The old routing is kept until rkb_relay_forget.
 */
void rkb_relay_change(struct rkb_relay *relay, struct rkb_routing *routing, const struct rkb_relay_limits *limits,
                      void (*changed)(void *context), void *context);
/* A change is not done yet. */
bool rkb_relay_is_changing(const struct rkb_relay *relay);
/* Frees the old routing, after `changed`, and once nobody else looks at its config. */
void rkb_relay_forget(struct rkb_relay *relay);

#endif
