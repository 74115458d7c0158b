/*
 * status -- see status.h.
 *
 * Each reason for a verdict is found by one function of the table below; the worst comes first. BAD: messages are being
 * lost or the books are wrong. WARN: nothing of what we read is being lost, but somebody should look.
 */
#include "control/status.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"
#include "base/units.h"

#define REASONS_SHOWN 3
#define GAPS_SHOWN 5
#define SOON_FULL_SECONDS 3600.0
#define LONG_PENDING_SECONDS 60.0
#define DEFECT "a defect of rkbridge, report it with what rkbctl stats says"

struct reasons {
    struct rkb_buffer *out;
    enum rkb_verdict level, worst;      /* level: of those being looked for now */
    size_t count;
};

/* Says one more reason; only the first few are spelt out. */
static void because(struct reasons *reasons, const char *format, ...) RKB_PRINTF(2, 3);

static void because(struct reasons *reasons, const char *format, ...)
{
    char text[800];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (reasons->level > reasons->worst)
        reasons->worst = reasons->level;
    if (reasons->count++ >= REASONS_SHOWN)
        return;
    rkb_buffer_format(reasons->out, "%s%s", reasons->count > 1 ? "; " : "", text);
}

static void full(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    if (snapshot->journal.full)
        because(reasons, "the journal is full (%s), messages are being dropped",
                snapshot->journal.limit == NULL ? "no room" : snapshot->journal.limit);
}

static void not_durable(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    if (snapshot->journal.disk_error != NULL)
        because(reasons, "the disk fails, what is read now is not durable: %s", snapshot->journal.disk_error);
}

static void unbalanced(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    int64_t off = rkb_books_imbalance(&snapshot->totals);
    if (off != 0)
        because(reasons, "the books do not balance (off by %lld): " DEFECT, (long long)off);
    for (size_t i = 0; i < snapshot->route_count; i++) {
        off = rkb_books_imbalance(&snapshot->routes[i].books);
        if (off != 0)
            because(reasons, "the books of route %s do not balance (off by %lld): " DEFECT, snapshot->routes[i].name,
                    (long long)off);
    }
}

static void doubled(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        if (source->held)
            because(reasons, "source %s is not subscribed: %s", source->name, source->rival);
        else if (source->another_bridge > 0)
            because(reasons, "source %s is shipped twice: %s", source->name, source->rival);
    }
}

static void disconnected(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        bool has_error = source->error != NULL && source->error[0] != '\0';
        if (source->held)
            continue;
        if (!source->connected)
            because(reasons, "source %s is not connected%s%s", source->name, has_error ? ": " : "",
                    has_error ? source->error : "");
        else if (source->subscribed + source->refused < source->wanted)
            because(reasons, "source %s: %u of %u subscriptions are confirmed", source->name, source->subscribed,
                    source->wanted);
        else if (source->paused)
            because(reasons, "source %s is paused: it is not read until the disk takes what waits in the ring",
                    source->name);
    }
}

static void unlinked(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        if (source->unlinked)
            because(reasons, "source %s is a replica whose link to its master%s%s is down: what is published there is "
                    "missed", source->name, source->master != NULL ? " " : "",
                    source->master != NULL ? source->master : "");
    }
}

static void unverified(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    for (size_t i = 0; i < snapshot->source_count; i++)
        if (snapshot->sources[i].unverified)
            because(reasons, "source %s believes whoever answers (tls_verify: no): set it to yes, and tls_ca_file "
                    "where this system does not know its CA", snapshot->sources[i].name);
}

/* Each by its name: who reads this can mend it. */
static void forbidden(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    size_t count = 0;
    for (size_t i = 0; i < snapshot->source_count; i++)
        count += snapshot->sources[i].refused;
    for (size_t i = 0; i < snapshot->refused_count; i++) {
        const struct rkb_refused_snapshot *refused = &snapshot->refused[i];
        because(reasons, "route %s of source %s gets nothing from %s, Redis's ACL refuses it: %s", refused->route,
                refused->source, refused->name, refused->rule);
    }
    for (size_t i = snapshot->refused_count; i < count; i++)
        because(reasons, "another subscription is refused by Redis's ACL: the log names it");
}

static void kafka_away(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    if (!snapshot->kafka.connected)
        because(reasons, "Kafka is not connected, messages wait in the journal");
}

static void topics_missing(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    if (snapshot->kafka.topics_missing > 0)
        because(reasons, "Kafka lacks %s %s", snapshot->kafka.topics_missing == 1 ? "the topic" : "the topics",
                snapshot->kafka.missing_topics);
}

static void refused(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    if (snapshot->kafka.refused != NULL)
        because(reasons, "%s", snapshot->kafka.refused);
}

/* Of which topic the oldest is; "" where no route says. */
static const char *oldest_topic(const struct rkb_snapshot *snapshot)
{
    const struct rkb_route_snapshot *oldest = NULL;
    for (size_t i = 0; i < snapshot->route_count; i++) {
        const struct rkb_route_snapshot *route = &snapshot->routes[i];
        if (route->oldest_pending_seconds > (oldest != NULL ? oldest->oldest_pending_seconds : 0))
            oldest = route;
    }
    return oldest != NULL && oldest->topic != NULL ? oldest->topic : "";
}

static void waiting(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    char text[64];
    double seconds = snapshot->journal.oldest_pending_seconds;
    if (seconds >= LONG_PENDING_SECONDS && seconds < 1e12) {
        const char *topic = snapshot->kafka.connected ? oldest_topic(snapshot) : "";
        rkb_format_duration(text, sizeof text, (int64_t)(seconds * 1e6));
        because(reasons, "the oldest record has waited %s for Kafka%s%s", text,
                topic[0] != '\0' ? ", its topic is " : "", topic);
    }
}

static void filling(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    char text[64];
    double seconds = snapshot->journal.seconds_to_full;
    if (!snapshot->journal.full && seconds >= 0 && seconds < SOON_FULL_SECONDS) {
        rkb_format_duration(text, sizeof text, (int64_t)(seconds * 1e6));
        because(reasons, "at the present rate the journal is full in %s: bring Kafka back, or raise journal.max_size",
                text);
    }
}

static void leaving(const struct rkb_snapshot *snapshot, struct reasons *reasons)
{
    if (snapshot->draining)
        because(reasons, "shutting down");
    else if (!snapshot->ready && reasons->count == 0)
        because(reasons, "not ready yet");
}

static const struct {
    enum rkb_verdict level;
    void (*find)(const struct rkb_snapshot *snapshot, struct reasons *reasons);
} rules[] = {
    {RKB_VERDICT_BAD, full},
    {RKB_VERDICT_BAD, not_durable},
    {RKB_VERDICT_BAD, unbalanced},
    {RKB_VERDICT_BAD, doubled},
    {RKB_VERDICT_WARN, disconnected},
    {RKB_VERDICT_WARN, unlinked},
    {RKB_VERDICT_WARN, forbidden},
    {RKB_VERDICT_WARN, kafka_away},
    {RKB_VERDICT_WARN, topics_missing},
    {RKB_VERDICT_WARN, refused},
    {RKB_VERDICT_WARN, filling},
    {RKB_VERDICT_WARN, waiting},
    {RKB_VERDICT_WARN, leaving},
    {RKB_VERDICT_WARN, unverified},
};

enum rkb_verdict rkb_verdict(const struct rkb_snapshot *snapshot, struct rkb_buffer *why)
{
    struct reasons reasons = {.out = why};
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        reasons.level = rules[i].level;
        rules[i].find(snapshot, &reasons);
    }
    if (reasons.count > REASONS_SHOWN)
        rkb_buffer_format(why, "; and %zu more", reasons.count - REASONS_SHOWN);
    if (reasons.count == 0)
        rkb_buffer_text(why, "all is well");
    return reasons.worst;
}

static const char *verdict_word(enum rkb_verdict verdict)
{
    switch (verdict) {
    case RKB_VERDICT_OK: return "OK";
    case RKB_VERDICT_WARN: return "WARN";
    case RKB_VERDICT_BAD: return "BAD";
    }
    return "";
}

static void write_verdict(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    struct rkb_buffer why = {0}, line = {0};
    enum rkb_verdict verdict = rkb_verdict(snapshot, &why);
    rkb_buffer_format(&line, "%s %.*s", verdict_word(verdict), (int)why.size, (const char *)why.data);
    rkb_output_text(output, "verdict", line.failed ? verdict_word(verdict) : (const char *)line.data);
    rkb_buffer_free(&why);
    rkb_buffer_free(&line);
}

static void write_sources(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    rkb_output_table(output, "sources");
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        rkb_output_row(output);
        rkb_output_text(output, "name", source->name);
        rkb_output_truth(output, "connected", source->connected);
        rkb_output_number(output, "subscribed", source->subscribed);
        rkb_output_number(output, "wanted", source->wanted);
        rkb_output_number(output, "refused", source->refused);
        rkb_output_number(output, "connections", source->connections_total);
        rkb_output_number(output, "gaps", source->gaps_total);
        rkb_output_size(output, "read", source->bytes_total);
        rkb_output_text(output, "url", source->url);
        rkb_output_text(output, "last_error", source->error);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

/* "beyond 32 MiB, or 8 MiB for 1 min" */
static void describe_limits(const struct rkb_stall_snapshot *stall, char *out, size_t size)
{
    char hard[32], soft[32], time[32];
    rkb_format_size(hard, sizeof hard, stall->hard > 0 ? (uint64_t)stall->hard : 0);
    rkb_format_size(soft, sizeof soft, stall->soft > 0 ? (uint64_t)stall->soft : 0);
    rkb_format_duration(time, sizeof time, stall->soft_seconds * 1000000);
    if (stall->hard < 0)
        snprintf(out, size, "unknown");
    else if (stall->hard == 0 && stall->soft == 0)
        snprintf(out, size, "no limit");
    else if (stall->soft == 0)
        snprintf(out, size, "Redis cuts us off beyond %s", hard);
    else if (stall->hard == 0)
        snprintf(out, size, "Redis cuts us off beyond %s for %s", soft, time);
    else
        snprintf(out, size, "Redis cuts us off beyond %s, or %s for %s", hard, soft, time);
}

/* "master", "replica of 10.0.0.1:6379, link down" */
static void describe_role(const struct rkb_source_snapshot *source, char *out, size_t size)
{
    snprintf(out, size, "%s%s%s%s", source->role != NULL ? source->role : "unknown",
             source->master != NULL ? " of " : "", source->master != NULL ? source->master : "",
             source->unlinked ? ", link down" : "");
}

/* "6.2 s at 4.1 MiB/s: Redis cuts us off beyond ..." */
static void describe_stall(const struct rkb_stall_snapshot *stall, char *out, size_t size)
{
    char limits[160], seconds[32], rate[32];
    describe_limits(stall, limits, sizeof limits);
    if (stall->seconds < 0 || stall->seconds > 1e9) {
        snprintf(out, size, "%s%s", stall->rate == 0 && stall->hard >= 0 ? "nothing comes now: " : "", limits);
        return;
    }
    rkb_format_duration(seconds, sizeof seconds, (int64_t)(stall->seconds * 1e6));
    rkb_format_size(rate, sizeof rate, (uint64_t)stall->rate);
    snprintf(out, size, "%s at %s/s: %s", seconds, rate, limits);
}

static void write_stall(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    static const char *const words[] = {"unknown", "no", "yes"};
    rkb_output_table(output, "redis");
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        char text[320], role[200];
        describe_stall(&source->stall, text, sizeof text);
        rkb_output_row(output);
        rkb_output_text(output, "source", source->name);
        if (source->stall.buffer < 0)
            rkb_output_none(output, "output_buffer", "unknown");
        else
            rkb_output_size(output, "output_buffer", (uint64_t)source->stall.buffer);
        rkb_output_text(output, "another_bridge", words[source->another_bridge + 1]);
        describe_role(source, role, sizeof role);
        rkb_output_text(output, "role", role);
        rkb_output_text(output, "stall_budget", text);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

/* Only where there is one. */
static void write_forbidden(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    if (snapshot->refused_count == 0)
        return;
    rkb_output_table(output, "refused");
    for (size_t i = 0; i < snapshot->refused_count; i++) {
        const struct rkb_refused_snapshot *refused = &snapshot->refused[i];
        rkb_output_row(output);
        rkb_output_text(output, "source", refused->source);
        rkb_output_text(output, "route", refused->route);
        rkb_output_text(output, "subscription", refused->name);
        rkb_output_text(output, "missing_rule", refused->rule);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

static void write_routes(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    rkb_output_table(output, "routes");
    for (size_t i = 0; i < snapshot->route_count; i++) {
        const struct rkb_route_snapshot *route = &snapshot->routes[i];
        rkb_output_row(output);
        rkb_output_text(output, "name", route->name);
        rkb_output_text(output, "topic", route->topic);
        rkb_output_number(output, "pending", route->books.pending);
        rkb_output_number(output, "delivered", route->books.delivered);
        rkb_output_number(output, "dropped", route->books.dropped);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

static void write_kafka(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    uint64_t errors = 0;
    for (size_t i = 0; i < snapshot->kafka.error_count; i++)
        errors += snapshot->kafka.errors[i].count;
    rkb_output_table(output, "kafka");
    rkb_output_row(output);
    rkb_output_text(output, "servers", snapshot->kafka.bootstrap_servers);
    rkb_output_truth(output, "connected", snapshot->kafka.connected);
    rkb_output_number(output, "in_flight", snapshot->kafka.in_flight);
    rkb_output_number(output, "rebuilds", snapshot->kafka.rebuilds_total);
    rkb_output_number(output, "errors", errors);
    rkb_output_seconds(output, "latency_p50", snapshot->latency.p50_seconds);
    rkb_output_seconds(output, "latency_p99", snapshot->latency.p99_seconds);
    rkb_output_seconds(output, "latency_max", snapshot->latency.max_seconds);
    rkb_output_row_end(output);
    rkb_output_table_end(output);
}

static void write_journal(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    rkb_output_table(output, "journal");
    rkb_output_row(output);
    rkb_output_size(output, "bytes", snapshot->journal.bytes);
    rkb_output_size(output, "max_size", snapshot->journal.max_size);
    if (snapshot->journal.full)
        rkb_output_none(output, "full_in", "full now");
    else if (snapshot->journal.seconds_to_full < 0)
        rkb_output_none(output, "full_in", "not filling");
    else
        rkb_output_seconds(output, "full_in", snapshot->journal.seconds_to_full);
    rkb_output_seconds(output, "oldest_pending", snapshot->journal.oldest_pending_seconds);
    rkb_output_size(output, "ring", snapshot->journal.ring_bytes);
    rkb_output_size(output, "ring_size", snapshot->journal.ring_size);
    rkb_output_truth(output, "ring_outlives", snapshot->journal.ring_outlives);
    rkb_output_text(output, "directory", snapshot->journal.directory);
    rkb_output_row_end(output);
    rkb_output_table_end(output);
}

static void write_books(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    char balance[48] = "balanced";
    int64_t off = rkb_books_imbalance(&snapshot->totals);
    if (off != 0)
        snprintf(balance, sizeof balance, "off by %lld", (long long)off);
    rkb_output_table(output, "books");
    rkb_output_row(output);
#define WRITE(field, help) rkb_output_number(output, #field, snapshot->totals.field);
    RKB_BOOKS(WRITE)
#undef WRITE
    rkb_output_text(output, "balance", balance);
    rkb_output_row_end(output);
    rkb_output_table_end(output);
}

void rkb_status_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    size_t skipped = snapshot->gap_count > GAPS_SHOWN ? snapshot->gap_count - GAPS_SHOWN : 0;
    write_verdict(output, snapshot);
    rkb_output_text(output, "instance", snapshot->instance);
    rkb_output_text(output, "version", snapshot->version);
    rkb_output_seconds(output, "uptime", snapshot->uptime_seconds);
    write_sources(output, snapshot);
    write_stall(output, snapshot);
    write_forbidden(output, snapshot);
    write_routes(output, snapshot);
    write_kafka(output, snapshot);
    write_journal(output, snapshot);
    rkb_last_gaps_write(snapshot, GAPS_SHOWN, output);
    if (skipped > 0)
        rkb_output_number(output, "earlier_gaps", skipped);
    write_books(output, snapshot);
}
