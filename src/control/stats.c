/*
 * stats -- see stats.h.
 *
 * Never: renames a field (scripts read them), computes one figure from others.
 */
#include "control/stats.h"

#include <math.h>
#include <string.h>

#include "control/flow.h"
#include "control/output.h"

int64_t rkb_books_imbalance(const struct rkb_books *books)
{
    uint64_t all = 0, left = books->received + books->recovered;
#define ADD(name, help) all += books->name;
    RKB_BOOKS(ADD)
#undef ADD
    return (int64_t)(left - (all - left));
}

void rkb_books_add(struct rkb_books *a, const struct rkb_books *b)
{
#define ADD(name, help) a->name += b->name;
    RKB_BOOKS(ADD)
#undef ADD
}

static void write_books(struct rkb_output *output, const struct rkb_books *books)
{
#define WRITE(field, help) rkb_output_number(output, #field, books->field);
    RKB_BOOKS(WRITE)
#undef WRITE
}

static void write_drops(struct rkb_output *output, const uint64_t drops[RKB_DROP_REASON_COUNT])
{
    rkb_output_object(output, "dropped_by_reason");
#define WRITE(name, help) rkb_output_number(output, #name, drops[RKB_DROP_##name]);
    RKB_DROP_REASONS(WRITE)
#undef WRITE
    rkb_output_object_end(output);
}

void rkb_stats_routes_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_output_object(output, "routes");
    for (size_t i = 0; i < snapshot->route_count; i++) {
        const struct rkb_route_snapshot *route = &snapshot->routes[i];
        rkb_output_object(output, route->name);
        write_books(output, &route->books);
        rkb_output_real(output, "oldest_pending_seconds", route->oldest_pending_seconds);
        rkb_output_truth(output, "paused", route->paused);
        rkb_output_object_end(output);
    }
    rkb_output_object_end(output);
}

static void write_known(struct rkb_output *output, const char *name, int64_t value)
{
    if (value < 0)
        rkb_output_none(output, name, "unknown");
    else
        rkb_output_number(output, name, (uint64_t)value);
}

static void write_stall(struct rkb_output *output, const struct rkb_stall_snapshot *stall)
{
    write_known(output, "output_buffer_bytes", stall->buffer);
    write_known(output, "output_buffer_limit_bytes", stall->hard);
    write_known(output, "output_buffer_soft_limit_bytes", stall->soft);
    write_known(output, "output_buffer_soft_limit_seconds", stall->soft_seconds);
    if (stall->rate < 0)
        rkb_output_none(output, "inflow_bytes_per_second", "unknown");
    else
        rkb_output_real(output, "inflow_bytes_per_second", stall->rate);
    if (stall->seconds < 0)
        rkb_output_none(output, "stall_budget_seconds", "unknown");
    else
        rkb_output_real(output, "stall_budget_seconds", stall->seconds);
}

static void write_canary(struct rkb_output *output, const struct rkb_snapshot *snapshot,
                         const struct rkb_source_snapshot *source)
{
    const struct rkb_canary_snapshot *canary = &source->canary;
    char says[400];
    if (!canary->on) {
        rkb_output_none(output, "canary", "off");
        return;
    }
    rkb_flow_say(source, rkb_flow(snapshot, source), says, sizeof says);
    rkb_output_text(output, "canary", says);
    write_known(output, "canary_sent_total", canary->sent);
    write_known(output, "canary_received_total", canary->received);
    write_known(output, "canary_acknowledged_total", canary->acknowledged);
    if (canary->success_seconds < 0)
        rkb_output_none(output, "canary_last_success", "never");
    else
        rkb_output_time(output, "canary_last_success", (int64_t)(canary->success_seconds * 1e6));
}

static void write_source(struct rkb_output *output, const struct rkb_snapshot *snapshot,
                         const struct rkb_source_snapshot *source)
{
    rkb_output_object(output, source->name);
    rkb_output_truth(output, "connected", source->connected);
    rkb_output_number(output, "subscribed", source->subscribed);
    rkb_output_number(output, "connections_total", source->connections_total);
    rkb_output_number(output, "gaps_total", source->gaps_total);
    rkb_output_number(output, "overlaps_total", source->overlaps_total);
    rkb_output_number(output, "bytes_total", source->bytes_total);
    rkb_output_number(output, "wanted", source->wanted);
    rkb_output_number(output, "refused", source->refused);
    rkb_output_truth(output, "paused", source->paused);
    rkb_output_text(output, "url", source->url);
    rkb_output_text(output, "error", source->error);
    write_stall(output, &source->stall);
    if (source->another_bridge < 0)
        rkb_output_none(output, "another_bridge", "unknown");
    else
        rkb_output_truth(output, "another_bridge", source->another_bridge > 0);
    rkb_output_truth(output, "held", source->held);
    rkb_output_text(output, "role", source->role);
    rkb_output_text(output, "master", source->master);
    if (source->master == NULL)
        rkb_output_none(output, "master_link", "unknown");
    else
        rkb_output_truth(output, "master_link", !source->unlinked);
    write_canary(output, snapshot, source);
    rkb_output_object_end(output);
}

void rkb_journal_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_output_object(output, "journal");
    rkb_output_number(output, "bytes", snapshot->journal.bytes);
    rkb_output_number(output, "segments", snapshot->journal.segments);
    rkb_output_real(output, "oldest_pending_seconds", snapshot->journal.oldest_pending_seconds);
    rkb_output_real(output, "oldest_moving_seconds", snapshot->journal.oldest_moving_seconds);
    rkb_output_number(output, "checkpoint", snapshot->journal.checkpoint);
    rkb_output_number(output, "head", snapshot->journal.head);
    if (snapshot->journal.seconds_to_full < 0)
        rkb_output_none(output, "seconds_to_full", "not filling");
    else
        rkb_output_real(output, "seconds_to_full", snapshot->journal.seconds_to_full);
    rkb_output_number(output, "max_size", snapshot->journal.max_size);
    rkb_output_number(output, "synced", snapshot->journal.synced);
    rkb_output_number(output, "ring_bytes", snapshot->journal.ring_bytes);
    rkb_output_number(output, "ring_size", snapshot->journal.ring_size);
    rkb_output_truth(output, "ring_outlives", snapshot->journal.ring_outlives);
    rkb_output_truth(output, "full", snapshot->journal.full);
    rkb_output_text(output, "directory", snapshot->journal.directory);
    rkb_output_text(output, "limit", snapshot->journal.limit);
    if (snapshot->journal.disk_free == UINT64_MAX)
        rkb_output_none(output, "disk_free", "unknown");
    else
        rkb_output_number(output, "disk_free", snapshot->journal.disk_free);
    rkb_output_number(output, "min_free", snapshot->journal.min_free);
    rkb_output_truth(output, "durable", snapshot->journal.disk_error == NULL);
    rkb_output_text(output, "disk_error", snapshot->journal.disk_error);
    rkb_output_number(output, "memory_bytes", snapshot->journal.memory_bytes);
    rkb_output_object_end(output);
}

void rkb_kafka_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_output_object(output, "kafka");
    rkb_output_truth(output, "connected", snapshot->kafka.connected);
    rkb_output_number(output, "in_flight", snapshot->kafka.in_flight);
    rkb_output_number(output, "rebuilds_total", snapshot->kafka.rebuilds_total);
    rkb_output_object(output, "errors_total");
    for (size_t i = 0; i < snapshot->kafka.error_count; i++)
        rkb_output_number(output, snapshot->kafka.errors[i].name, snapshot->kafka.errors[i].count);
    rkb_output_object_end(output);
    rkb_output_text(output, "bootstrap_servers", snapshot->kafka.bootstrap_servers);
    rkb_output_text(output, "refused", snapshot->kafka.refused);
    rkb_output_number(output, "topics_waiting", snapshot->kafka.topics_waiting);
    rkb_output_number(output, "dead_letter_bytes", snapshot->kafka.dead_letter_bytes);
    rkb_output_number(output, "topics_missing", snapshot->kafka.topics_missing);
    rkb_output_object_end(output);
}

void rkb_gap_sums(const struct rkb_snapshot *snapshot, struct rkb_gap_sums *sums)
{
    *sums = (struct rkb_gap_sums){0};
    for (size_t i = 0; i < snapshot->gap_count; i++) {
        const struct rkb_gap_snapshot *gap = &snapshot->gaps[i];
        sums->open += gap->to_us == 0;
        sums->unknown += gap->bound == UINT64_MAX;
        sums->bound += gap->bound == UINT64_MAX ? 0 : gap->bound;
    }
}

void rkb_gap_reasons(const struct rkb_snapshot *snapshot, struct rkb_gap_reasons *reasons)
{
    reasons->count = 0;
    for (size_t i = 0; i < snapshot->gap_count; i++) {
        size_t at = 0;
        while (at < reasons->count && strcmp(reasons->names[at], snapshot->gaps[i].reason) != 0)
            at++;
        if (at == RKB_GAP_REASONS_SHOWN)
            continue;
        if (at == reasons->count) {
            reasons->names[at] = snapshot->gaps[i].reason;
            reasons->counts[reasons->count++] = 0;
        }
        reasons->counts[at]++;
    }
}

static void write_reasons(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    struct rkb_gap_reasons reasons;
    rkb_gap_reasons(snapshot, &reasons);
    rkb_output_object(output, "by_reason");
    for (size_t i = 0; i < reasons.count; i++)
        rkb_output_number(output, reasons.names[i], reasons.counts[i]);
    rkb_output_object_end(output);
}

/* Of the whole ledger, over restarts. */
static void write_gap_figures(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    struct rkb_gap_sums sums;
    rkb_gap_sums(snapshot, &sums);
    rkb_output_object(output, "gaps");
    rkb_output_number(output, "count", snapshot->gap_count);
    rkb_output_number(output, "open", sums.open);
    rkb_output_number(output, "bound_unknown", sums.unknown);
    rkb_output_number(output, "bound_sum", sums.bound);
    rkb_output_number(output, "notices_pending", snapshot->notices_pending);
    write_reasons(output, snapshot);
    rkb_output_object_end(output);
}

static void write_pauses(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    rkb_output_table(output, "paused");
    for (size_t i = 0; i < snapshot->pause_count; i++) {
        rkb_output_row(output);
        rkb_output_text(output, "what", snapshot->pauses[i].is_topic ? "topic" : "route");
        rkb_output_text(output, "name", snapshot->pauses[i].name);
        rkb_output_time(output, "since", snapshot->pauses[i].since_us);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

/* What became of the config file when it was read last. */
static void write_config(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    rkb_output_object(output, "config");
    rkb_output_truth(output, "refused", snapshot->config.refused);
    rkb_output_text(output, "why", snapshot->config.why);
    rkb_output_time(output, "taken", (int64_t)(snapshot->config.taken_seconds * 1e6));
    rkb_output_object_end(output);
}

void rkb_stats_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_output_text(output, "version", snapshot->version);
    rkb_output_text(output, "instance", snapshot->instance);
    rkb_output_real(output, "uptime_seconds", snapshot->uptime_seconds);
    rkb_output_truth(output, "ready", snapshot->ready);
    rkb_output_truth(output, "draining", snapshot->draining);
    rkb_output_truth(output, "lingering", snapshot->lingering);
    rkb_output_real(output, "ending_seconds", snapshot->ending_seconds);
    write_config(output, snapshot);
    rkb_output_text(output, "intake", snapshot->intake_stopped ? "stopped" : "runs");
    write_pauses(output, snapshot);
    rkb_output_text(output, "paused_unread", snapshot->pauses_unread);
    rkb_output_object(output, "totals");
    write_books(output, &snapshot->totals);
    rkb_output_object_end(output);
    write_drops(output, snapshot->dropped_by_reason);
    rkb_stats_routes_write(snapshot, output);
    rkb_output_object(output, "sources");
    for (size_t i = 0; i < snapshot->source_count; i++)
        write_source(output, snapshot, &snapshot->sources[i]);
    rkb_output_object_end(output);
    write_gap_figures(output, snapshot);
    rkb_journal_write(snapshot, output);
    rkb_kafka_write(snapshot, output);
    rkb_output_object(output, "latency");
    rkb_output_real(output, "p50_seconds", snapshot->latency.p50_seconds);
    rkb_output_real(output, "p99_seconds", snapshot->latency.p99_seconds);
    rkb_output_real(output, "max_seconds", snapshot->latency.max_seconds);
    rkb_output_number(output, "count", snapshot->latency.count);
    rkb_output_object_end(output);
    rkb_output_number(output, "log_lines_lost_total", snapshot->log_lines_lost_total);
}

void rkb_routes_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    static const char *const none[] = {NULL};
    rkb_output_table(output, "routes");
    for (size_t i = 0; i < snapshot->route_count; i++) {
        const struct rkb_route_snapshot *route = &snapshot->routes[i];
        rkb_output_row(output);
        rkb_output_text(output, "name", route->name);
        rkb_output_text(output, "source", route->source);
        rkb_output_text(output, "topic", route->topic);
        rkb_output_texts(output, "channels", route->channels == NULL ? none : route->channels);
        rkb_output_texts(output, "patterns", route->patterns == NULL ? none : route->patterns);
        rkb_output_number(output, "received", route->books.received);
        rkb_output_number(output, "delivered", route->books.delivered);
        rkb_output_number(output, "dropped", route->books.dropped);
        rkb_output_number(output, "pending", route->books.pending);
        rkb_output_text(output, "state", route->paused ? "paused" : "runs");
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

void rkb_sources_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    rkb_output_table(output, "sources");
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        rkb_output_row(output);
        rkb_output_text(output, "name", source->name);
        rkb_output_text(output, "url", source->url);
        rkb_output_truth(output, "connected", source->connected);
        rkb_output_number(output, "subscribed", source->subscribed);
        rkb_output_number(output, "wanted", source->wanted);
        rkb_output_number(output, "refused", source->refused);
        rkb_output_number(output, "connections", source->connections_total);
        rkb_output_number(output, "gaps", source->gaps_total);
        rkb_output_number(output, "bytes", source->bytes_total);
        rkb_output_text(output, "role", source->role);
        if (source->stall.seconds < 0 || isinf(source->stall.seconds))
            rkb_output_none(output, "stall_budget", source->stall.seconds < 0 ? "unknown" : "no end");
        else
            rkb_output_seconds(output, "stall_budget", source->stall.seconds);
        rkb_output_text(output, "error", source->error);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

static void write_position(struct rkb_output *output, const char *name, const char *position)
{
    if (position == NULL || position[0] == '\0')
        rkb_output_none(output, name, "unknown");
    else
        rkb_output_text(output, name, position);
}

static void write_gap(struct rkb_output *output, const struct rkb_gap_snapshot *gap)
{
    rkb_output_number(output, "id", gap->id);
    rkb_output_text(output, "source", gap->source);
    rkb_output_time(output, "from", gap->from_us);
    if (gap->to_us == 0)
        rkb_output_none(output, "to", "open");
    else
        rkb_output_time(output, "to", gap->to_us);
    rkb_output_text(output, "reason", gap->reason);
    if (gap->bound == UINT64_MAX)
        rkb_output_none(output, "bound", "unknown");
    else
        rkb_output_number(output, "bound", gap->bound);
}

void rkb_gaps_write(const struct rkb_snapshot *snapshot, int64_t since_us, struct rkb_output *output)
{
    rkb_output_table(output, "gaps");
    for (size_t i = 0; i < snapshot->gap_count; i++) {
        const struct rkb_gap_snapshot *gap = &snapshot->gaps[i];
        if (gap->to_us != 0 && gap->to_us < since_us)
            continue;
        rkb_output_row(output);
        write_gap(output, gap);
        write_position(output, "position_before", gap->before);
        write_position(output, "position_after", gap->after);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

void rkb_last_gaps_write(const struct rkb_snapshot *snapshot, size_t most, struct rkb_output *output)
{
    rkb_output_table(output, "gaps");
    for (size_t i = snapshot->gap_count > most ? snapshot->gap_count - most : 0; i < snapshot->gap_count; i++) {
        rkb_output_row(output);
        write_gap(output, &snapshot->gaps[i]);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}
