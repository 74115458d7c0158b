/*
 * check_redis -- the Redis of each source, as the bridge would meet it: login, subscriptions, limits, role, others.
 *
 *     each source:  try its subscriptions (check_subscribe) --> ask what the second connection would ask --> judge
 *                         |                                        |
 *                         +--> no connection, no login: BAD        +--> refused: WARN, with the rule that is missing
 *
 * All sources at once, on a loop of its own; one connection for each at a time. Their client name is not one that a
 * bridge takes for a rival. What it costs a Redis with N clients: two connections; per name two commands that are O(1);
 * INFO server, replication and stats, CONFIG GET, and CLIENT LIST TYPE pubsub once, O(N). Never: publishes, writes.
 */
#ifndef RKB_TOOL_CHECK_REDIS_H
#define RKB_TOOL_CHECK_REDIS_H

#include "base/sys.h"
#include "config/config.h"
#include "redis/budget.h"
#include "redis/replication.h"
#include "redis/rivals.h"
#include "redis/watcher.h"
#include "tool/check_report.h"
#include "tool/check_subscribe.h"

#define RKB_CHECK_CLIENT "rkbctl-check"

/* What was found of one source. */
struct rkb_redis_found {
    struct rkb_trial_found trial;
    struct rkb_trial_name *names;       /* beside wanted */
    struct rkb_wanted_name *wanted;
    size_t count;
    bool asked;                         /* the second connection was logged in ... */
    struct rkb_error lost;              /* ... and was lost before all was answered; else RKB_OK */
    bool answered[RKB_QUESTIONS];
    struct rkb_error refused[RKB_QUESTIONS];        /* RKB_OK: not refused */
    uint64_t id;                        /* of the second connection; 0: Redis does not tell */
    bool has_limits;
    struct rkb_output_limits limits;
    struct rkb_replication role;
    char version[32], server[32], mode[16];         /* "" where it did not say */
    double input;                       /* bytes a second that come in now; -1: unknown */
    struct rkb_rivals rivals;
    bool looked;                        /* for other bridges */
    bool is_local;
    char directory[1024];               /* its dir, "" where it is not asked for or not known */
    char events[32];                    /* notify-keyspace-events */
};

struct rkb_check_redis_options {
    const struct rkb_config *config;
    bool runs;                          /* a bridge has this config's journal open */
    const char *journal;                /* a path on its disk */
    int64_t limit_us;                   /* for all of it */
    struct event_base *base;            /* for tests; NULL: one of its own */
    const struct rkb_sys *sys;
};

/* Blocks until all is known, or the time is up. */
void rkb_check_redis(const struct rkb_check_redis_options *options, struct rkb_report *report);

/* What one source's answers are worth, without asking anybody: a part of the above. */
void rkb_judge_redis(const struct rkb_check_redis_options *options, size_t source, const struct rkb_redis_found *found,
                     struct rkb_report *report);

#endif
