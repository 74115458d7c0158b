/*
 * replication -- what Redis says of itself as a master or a replica (INFO replication), and what two such answers tell.
 *
 * A history is what Redis calls a replication id: 40 hexadecimal digits for one order of commands. A promoted replica
 * begins a new one and keeps the one before; a full synchronisation takes over the master's. So two answers that look
 * alike tell whether a node was something else between them. (A master begins a new one too when its first replica
 * comes, or the last was away for an hour, but then forgets the one before.)
 */
#ifndef RKB_REDIS_REPLICATION_H
#define RKB_REDIS_REPLICATION_H

#include "base/bytes.h"

enum rkb_role { RKB_ROLE_UNKNOWN, RKB_ROLE_MASTER, RKB_ROLE_REPLICA };

#define RKB_HISTORY 40

struct rkb_replication {
    enum rkb_role role;
    /* Of a replica: */
    bool linked;                                /* its link to its master stands, and it is not being filled */
    int64_t silent_seconds;                     /* since it last heard its master; -1: unknown */
    char host[128], port[8];                    /* its master's, as it was told */
    char history[RKB_HISTORY + 1];              /* "" before Redis 4 */
    char before[RKB_HISTORY + 1];               /* the one before; "": none */
};

/* Nothing is known yet. */
void rkb_replication_begin(struct rkb_replication *replication);
/* One line of INFO replication; others are passed over. */
void rkb_replication_line(struct rkb_replication *replication, struct rkb_slice line);

enum rkb_role_news {
    RKB_ROLE_SAME,              /* or one of the two is unknown */
    RKB_ROLE_CHANGED,           /* a master became a replica, or the other way round */
    RKB_ROLE_WAS_ANOTHER,       /* a master was a replica in between */
    RKB_ROLE_REFILLED           /* a replica's link was broken in between: another master, or another history */
};
/* What happened from the one answer to the other, both of one node without a restart in between. */
enum rkb_role_news rkb_replication_news(const struct rkb_replication *old, const struct rkb_replication *now);

/* "a master", "a replica of 10.0.0.1:6379" */
#define RKB_ROLE_TEXT 160
void rkb_replication_describe(const struct rkb_replication *replication, char out[RKB_ROLE_TEXT]);

#endif
