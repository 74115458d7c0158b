/*
 * refused -- what the daemon makes of a subscription that Redis's ACL refuses: a line with the rule that is missing, a
 * gap, a row in the status; with `start: strict`, the end.
 *
 *     told --> log, gap `refused` from the stream's begin --> all allowed --> the gap ends when the last is confirmed
 *
 * One gap for a source, from when the first subscription should have stood until all stand; a lost connection in
 * between has one of its own. Loop thread.
 */
#ifndef RKB_DAEMON_REFUSED_H
#define RKB_DAEMON_REFUSED_H

#include "daemon/relay.h"

/* As in rkb_subscriber_events. */
void rkb_refused_tell(struct rkb_relay_source *source, bool is_pattern, struct rkb_slice name, enum rkb_lack lack,
                      struct rkb_slice words);
void rkb_refused_allowed(struct rkb_relay_source *source, bool is_pattern, struct rkb_slice name);
void rkb_refused_heartbeat(struct rkb_relay_source *source, struct rkb_slice words);
/* All but so many subscriptions of the source stand. */
void rkb_refused_settled(struct rkb_relay_source *source, int64_t time_us, size_t refused);

struct rkb_refused_text {
    const char *source, *route;         /* lent */
    char name[160];                     /* "channel user_created"; odd bytes as \xNN */
    char rule[RKB_RULE_SIZE];
};
/* The first refused ones of all sources, as many as there is room for; returns how many. */
size_t rkb_refused_list(const struct rkb_relay *relay, struct rkb_refused_text *out, size_t room);

#endif
