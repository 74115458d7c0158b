/*
 * reject -- a message that its route does not let through becomes a dead letter, in the ring like any other message.
 *
 * Its record has the payload byte for byte, its channel as the key, and the headers of message/letter.h. It goes to the
 * route's topic for dead letters, or (topic 0) to the file; the shipper settles it. Loop thread.
 */
#ifndef RKB_DAEMON_REJECT_H
#define RKB_DAEMON_REJECT_H

#include "daemon/relay.h"

/*
 * facts: channel, pattern, payload and uuid are looked at. verdict: RKB_REJECTED with its code, one word, and a reason,
 * which names pointer and rule, never a value. Counted as appended; where it does not fit, *verdict comes to say that
 * it is dropped.
 */
void rkb_relay_reject(const struct rkb_arrival *arrival, const struct rkb_facts *facts, struct rkb_verdict *verdict);

#endif
