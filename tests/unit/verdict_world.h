/* verdict_world -- a world that is well, what may go wrong in it, and what its verdict is. For tests. */
#ifndef RKB_TEST_VERDICT_WORLD_H
#define RKB_TEST_VERDICT_WORLD_H

#include <string.h>

#include "control/verdict.h"
#include "sample_snapshot.h"

#define OK RKB_SEVERITY_OK
#define WARN RKB_SEVERITY_WARN
#define BAD RKB_SEVERITY_BAD

/* A world that is well, and what is remembered of it. */
struct world {
    struct rkb_snapshot snapshot;
    struct rkb_source_snapshot sources[3];
    struct rkb_route_snapshot routes[3];
    struct rkb_gap_snapshot gaps[8];
    struct rkb_verdict_memory memory;
    struct rkb_judgement judgement;
};

static inline void well(struct world *world)
{
    *world = (struct world){.snapshot = sample_snapshot()};
    for (size_t i = 0; i < 3; i++) {
        world->sources[i] = sample_sources[0];
        world->routes[i] = sample_routes[0];
        world->routes[i].oldest_pending_seconds = 0;
    }
    world->sources[1].name = "second";
    world->sources[2].name = "third";
    world->routes[1].name = "orders";
    world->routes[2].name = "views";
    world->snapshot.sources = world->sources;
    world->snapshot.routes = world->routes;
    world->snapshot.gaps = world->gaps;
    world->snapshot.route_count = 3;
    world->snapshot.source_count = 3;
    world->snapshot.gap_count = 0;
    world->snapshot.uptime_seconds = 1000;
    world->snapshot.log_lines_lost_total = 0;
    world->snapshot.kafka.outage_budget_seconds = 600;
    world->snapshot.journal.ring_wanted = true;
}

static inline void look(struct world *world)
{
    rkb_verdict_look(&world->snapshot, &world->memory, &world->judgement);
}

/* Time goes by; somebody looks each second, as the daemon does. */
static inline void wait(struct world *world, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        world->snapshot.uptime_seconds += 1;
        world->snapshot.now_us += 1000000;
        look(world);
    }
}

static inline const struct rkb_reason *find(const struct world *world, const char *word)
{
    for (size_t i = 0; i < world->judgement.count; i++)
        if (strcmp(world->judgement.reasons[i].word, word) == 0)
            return &world->judgement.reasons[i];
    return NULL;
}

static inline bool is_quiet(const struct world *world)
{
    return world->judgement.severity == RKB_SEVERITY_OK && world->judgement.count == 0;
}

/* ---- what more than one test lets go wrong ---- */

static inline void away(struct world *world)
{
    world->sources[0].connected = false;
    world->sources[0].error = "Connection refused";
}

static inline void hold(struct world *world)
{
    world->sources[0].held = true;
    world->sources[0].connected = false;
    world->sources[0].another_bridge = 1;
    world->sources[0].rival = "stop it";
}

static inline void fill(struct world *world)
{
    world->snapshot.journal.full = true;
    world->snapshot.journal.limit = "journal.min_free";
    world->snapshot.journal.seconds_to_full = 0;
}

static inline void fail_disk(struct world *world)
{
    world->snapshot.journal.disk_error = "Input/output error";
}

static inline void filling(struct world *world)
{
    world->snapshot.journal.seconds_to_full = 600;
}

static inline void no_kafka(struct world *world)
{
    world->snapshot.kafka.connected = false;
}

static inline void no_kafka_for_long(struct world *world)
{
    world->snapshot.kafka.connected = false;
    world->snapshot.kafka.away_seconds = 601;
}

static inline void grow_old(struct world *world)
{
    world->snapshot.journal.oldest_pending_seconds = 60;
    world->routes[0].oldest_pending_seconds = 1;
    world->routes[1].oldest_pending_seconds = 60;
    world->routes[1].topic = "the_one_that_waits";
}

static inline void pause_route(struct world *world)
{
    static const struct rkb_pause_snapshot pauses[] = {{false, "orders", 1}, {true, "views", 2}};
    world->snapshot.pauses = pauses;
    world->snapshot.pause_count = 2;
    world->snapshot.journal.oldest_pending_seconds = 7200;     /* what rests does not count as late */
}

static inline struct rkb_gap_snapshot gap(uint64_t id, const char *reason, int64_t from_s, int64_t to_s, uint64_t bound)
{
    int64_t now_us = 1795380670000000;
    return (struct rkb_gap_snapshot){.id = id, .source = "legacy", .reason = reason, .bound = bound,
                                     .from_us = now_us + from_s * 1000000,
                                     .to_us = to_s > 0 ? 0 : now_us + to_s * 1000000};
}

static inline void open_gap(struct world *world)
{
    world->gaps[0] = gap(17, "connection_lost", -5, 1, UINT64_MAX);
    world->snapshot.gap_count = 1;
}

static inline void recent_gaps(struct world *world)
{
    world->gaps[0] = gap(17, "connection_lost", -30, -20, 4);
    world->gaps[1] = gap(18, "redis_restart", -10, -5, 3);
    world->snapshot.gap_count = 2;
}

static inline void recent_unknown_gap(struct world *world)
{
    world->gaps[0] = gap(17, "connection_lost", -30, -20, UINT64_MAX);
    world->snapshot.gap_count = 1;
}

static inline void believe_all(struct world *world)
{
    world->sources[0].unverified = true;
}

static inline void not_ready(struct world *world)
{
    world->snapshot.ready = false;
}

#endif
