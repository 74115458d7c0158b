/*
 * route_topics -- the topics of a route whose topic is a template: which it has named since the start, and their
 * numbers.
 *
 *     message --template, rule (message/topic_name.h)--> name --dictionary--> number --> one of the route's?
 *                                                          | new: its record goes to the ring first
 *
 * A name is looked up once per message, or once per channel where only the channel decides. A route names at most
 * max_topics; a name that is known already counts when the route first comes to it. Loop thread.
 */
#ifndef RKB_DAEMON_ROUTE_TOPICS_H
#define RKB_DAEMON_ROUTE_TOPICS_H

#include "daemon/relay.h"
#include "message/verdict.h"

/* For a route whose topic varies. topic_limit: no number is higher. NULL when memory ran out. */
struct rkb_route_topics *rkb_route_topics_new(const struct rkb_template *template, uint32_t max_topics,
                                              uint32_t topic_limit);
/* A higher limit. False when memory ran out: then it stays as it was. */
bool rkb_route_topics_widen(struct rkb_route_topics **topics, uint32_t topic_limit) RKB_MUST_CHECK;
/* What `from` has named counts as named by `to`. */
void rkb_route_topics_inherit(struct rkb_route_topics *to, const struct rkb_route_topics *from);
/* How many it may still name, at that most. NULL: none were. */
uint32_t rkb_route_topics_left(const struct rkb_route_topics *topics, uint32_t max_topics);
void rkb_route_topics_free(struct rkb_route_topics *topics);

/*
 * The number of this message's topic; 0: *verdict says what becomes of the message, RKB_REJECTED with code `topic`, or
 * RKB_DROPPED with code `journal_full` (the ring has no room for a new name) or `no_memory`. channel->topic is used and
 * kept where it decides.
 */
uint32_t rkb_route_topic(struct rkb_relay *relay, const struct rkb_relay_route *route, struct rkb_channel *channel,
                         const struct rkb_facts *facts, struct rkb_verdict *verdict);
/* True when the route has named this topic since the start. NULL topics: false. */
bool rkb_route_topics_has(const struct rkb_route_topics *topics, uint32_t topic);

#endif
