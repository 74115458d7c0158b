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
 * facts: channel, pattern, payload and uuid are looked at. The message is the one counted last in the source's stream.
 * code: one word. reason: names pointer and rule, never a value. Counted as appended; where it does not fit, dropped.
 */
void rkb_relay_reject(struct rkb_relay_source *source, const struct rkb_relay_route *route,
                      const struct rkb_facts *facts, const char *code, const char *reason, int64_t time_us);

#endif
