/*
 * published -- how many PUBLISHes a Redis has run, and what follows from two such readings: at most how many messages
 * were missed between them.
 *
 *     anchor: counts at A --- messages we received that are surely in the difference --- reading: counts at B
 *
 *     at most missed = calls at B - calls at A - received
 *
 * The anchor was read while we were subscribed, and what is `received` since came behind the answer to a PING that was
 * sent after it: so it was published after A. The reading was asked for when all stood again, and what is received was
 * read before it was asked for: so it was published before B.
 *
 * Promise: never too low a number. Where the two are not of one run of one node in one role, where counters were reset
 * as far as that can be seen, or where something publishes that the count does not hold (keyspace events, modules, the
 * other nodes of a cluster), there is none. Pure: no time, no connection. Field names as in INFO of Redis 4 to 8.
 */
#ifndef RKB_REDIS_PUBLISHED_H
#define RKB_REDIS_PUBLISHED_H

#include "base/bytes.h"

/* All 0: nothing is known. */
struct rkb_published {
    uint64_t run;                   /* a hash of run_id */
    uint64_t history;               /* a hash of master_replid, which is another one after each change of role */
    uint64_t uptime;                /* seconds */
    uint64_t calls, microseconds;   /* of PUBLISH: cmdstat_publish */
    uint64_t commands, connections, input;      /* total_..._processed, _received, total_net_input_bytes */
    uint64_t config;                /* calls of CONFIG, where a Redis before 7 counts all of them together */
    uint64_t resets, resets_microseconds;       /* of CONFIG RESETSTAT, in Redis 7: of the last, which reset itself */
    uint64_t received;              /* messages, since it was read; kept by its owner */
};

#define RKB_PUBLISHED_SIZE 96       /* twelve u64, in the order above */
void rkb_published_write(const struct rkb_published *published, uint8_t out[RKB_PUBLISHED_SIZE]);
void rkb_published_parse(const uint8_t in[RKB_PUBLISHED_SIZE], struct rkb_published *published);

/* ---- reading it ---- */

struct rkb_published_reading {
    struct rkb_published counts;
    bool is_standalone, is_master;
    bool counts_commands;           /* its commandstats know our own INFO ... */
    bool is_odd;                    /* ... but PUBLISH not as Redis does */
    bool has_commands, has_connections, has_input;
    bool has_modules;               /* one that may publish by itself */
    bool events_off;                /* notify-keyspace-events is empty, and was asked for */
    bool is_setting;                /* the name of that setting came; an empty value is no line */
};
/* All 0 at first. A line of INFO server, replication, stats, commandstats, modules. */
void rkb_published_line(struct rkb_published_reading *reading, struct rkb_slice line);
/* A line of CONFIG GET notify-keyspace-events: the name, then the value where that is not empty. */
void rkb_published_setting(struct rkb_published_reading *reading, struct rkb_slice line);
/*
 * What was read, when all was answered; NULL, or in words why it is good for nothing: then *published is all 0.
 * events: a subscription of ours may match keyspace events.
 */
const char *rkb_published_end(const struct rkb_published_reading *reading, bool events,
                              struct rkb_published *published);

/* ---- what follows ---- */

enum rkb_published_news {
    RKB_PUBLISHED_SAME,             /* and *bound is good */
    RKB_PUBLISHED_UNKNOWN,          /* one of the two is all 0 */
    RKB_PUBLISHED_RESTARTED,        /* another run, younger than `since` seconds */
    RKB_PUBLISHED_ANOTHER_NODE,     /* another run, older */
    RKB_PUBLISHED_ANOTHER_ROLE,
    RKB_PUBLISHED_RESET,            /* a counter or the uptime went back, or the counters were reset */
    RKB_PUBLISHED_MISCOUNTED,       /* more was received than is counted: something publishes that is not */
};
/*
 * since: seconds from the anchor to the reading by our own clock. received: messages since the anchor, all told.
 */
enum rkb_published_news rkb_published_bound(const struct rkb_published *anchor, const struct rkb_published *reading,
                                            uint64_t since, uint64_t received, uint64_t *bound);
/* In words, why there is no bound. */
const char *rkb_published_why(enum rkb_published_news news);

/* What a channel's name, or a pattern, may stand for: keyspace events, tracking; calls do not count these. */
bool rkb_published_is_event(struct rkb_slice channel);
bool rkb_published_may_match_events(bool is_pattern, struct rkb_slice name);

#endif
