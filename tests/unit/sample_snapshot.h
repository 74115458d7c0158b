/* sample_snapshot -- figures to be shown, all different, with names that try to break the formats. For tests. */
#ifndef RKB_TEST_SAMPLE_SNAPSHOT_H
#define RKB_TEST_SAMPLE_SNAPSHOT_H

#include "control/stats.h"

static const char *const sample_channels[] = {"user_created", "odd \"name\"\n", NULL};
static const char *const sample_patterns[] = {"user.*", NULL};

static const struct rkb_route_snapshot sample_routes[] = {
    {"users", "legacy", "user_activity", sample_channels, sample_patterns,
     {.received = 90, .recovered = 10, .delivered = 80, .dropped = 5, .pending = 15}, 12.5, false, false},
    {"a\"b\\c\n\xff\xc3\xa9", NULL, NULL, NULL, NULL, {.recovered = 7, .pending = 7}, 0, false, false},
};

static const struct rkb_source_snapshot sample_sources[] = {
    {.name = "legacy", .url = "redis://127.0.0.1:6379", .error = "", .connected = true, .whole = true,
     .subscribed = 3, .wanted = 3,
     .connections_total = 41, .gaps_total = 42, .overlaps_total = 43, .bytes_total = 44,
     .stall = {.buffer = 45056, .hard = 33554432, .soft = 8388608, .soft_seconds = 60, .rate = 4194304,
               .seconds = 6.25}, .rival = ""},
};

/* 1795380667123456 is 2026-11-22T20:51:07.123456Z. */
static const struct rkb_gap_snapshot sample_gaps[] = {
    {.id = 101, .source = "legacy", .reason = "restart", .from_us = 1795380667123456, .to_us = 1795380668123456,
     .bound = 12, .before = "00112233445566778899aabbccddeeff:17", .after = ""},
    {.id = 102, .source = "legacy", .reason = "connection_lost", .from_us = 1795380669000000, .to_us = 0,
     .bound = UINT64_MAX},
};

static struct rkb_snapshot sample_snapshot(void)
{
    return (struct rkb_snapshot){
        .version = "1.2.3", .instance = "shop-sidecar", .uptime_seconds = 7325.5, .now_us = 1795380670000000,
        .ready = true,
        .totals = {.received = 90, .recovered = 17, .delivered = 80, .dropped = 5, .pending = 22},
        .dropped_by_reason = {[RKB_DROP_journal_full] = 3, [RKB_DROP_too_large] = 2},
        .route_count = 2, .routes = sample_routes, .source_count = 1, .sources = sample_sources,
        .gap_count = 2, .gaps = sample_gaps, .notices_pending = 5,
        .journal = {.bytes = 1536, .max_size = 4096, .segments = 2, .checkpoint = 50, .head = 60, .synced = 55,
                    .ring_bytes = 11, .ring_size = 1048576, .ring_outlives = true, .oldest_pending_seconds = 1.25,
                    .seconds_to_full = -1, .directory = "/var/lib/rkbridge"},
        .kafka = {.connected = true, .in_flight = 9, .rebuilds_total = 1, .bootstrap_servers = "127.0.0.1:9092",
                  .error_count = 2, .errors = {{"TRANSPORT", 4}, {"ALL_BROKERS_DOWN", 1}}},
        .latency = {.p50_seconds = 0.0025, .p99_seconds = 0.0123456789, .max_seconds = 1, .count = 80},
        .log_lines_lost_total = 6, .config = {.taken_seconds = 1795380667},
    };
}

#endif
