/*
 * status -- see status.h.
 *
 * Promise: the length of the answer is bounded, however many routes and gaps there are. Never: judges (verdict.c does).
 */
#include "control/status.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "control/flow.h"
#include "control/verdict.h"

#define GAPS_SHOWN 5
#define NAME_WIDTH 28           /* of names, as text */
#define SHORT_NAME_WIDTH 20     /* where much stands beside */
#define URL_WIDTH 30
#define PATH_WIDTH 22
#define ERROR_WIDTH 84

struct words {
    char text[320];
};

/* People read short names over narrow columns, programs those of `stats json`. */
static const char *either(const struct rkb_output *output, const char *text, const char *json)
{
    return rkb_output_is_text(output) ? text : json;
}

/* One row, which in JSON is an object. */
static void begin_part(struct rkb_output *output, const char *name)
{
    if (!rkb_output_is_text(output)) {
        rkb_output_object(output, name);
        return;
    }
    rkb_output_table(output, name);
    rkb_output_row(output);
}

static void end_part(struct rkb_output *output)
{
    if (!rkb_output_is_text(output)) {
        rkb_output_object_end(output);
        return;
    }
    rkb_output_row_end(output);
    rkb_output_table_end(output);
}

/* ---- the verdict ---- */

/* "; since 2026-11-22T20:51:07Z (4 min 3 s)", where it is known */
static void add_since(struct rkb_buffer *line, int64_t since_us, double seconds)
{
    char time[24], lasted[40];
    if (since_us == 0)
        return;
    rkb_format_time(time, since_us);
    rkb_format_duration(lasted, sizeof lasted, (int64_t)seconds * 1000000);
    rkb_buffer_format(line, "; since %.19sZ (%s)", time, lasted);
}

static void write_line(struct rkb_output *output, const char *name, struct rkb_buffer *line, const char *else_text)
{
    rkb_buffer_add(line, "", 1);
    rkb_output_text(output, name, line->failed ? else_text : (const char *)line->data);
    rkb_buffer_free(line);
}

static void write_reason_line(struct rkb_output *output, const struct rkb_reason *reason, const char *name)
{
    struct rkb_buffer line = {0};
    bool is_note = reason->severity == RKB_SEVERITY_OK;
    rkb_buffer_format(&line, "%s%s%s", is_note ? "" : rkb_severity_word(reason->severity), is_note ? "" : " ",
                      reason->what);
    if (!is_note)
        add_since(&line, reason->since_us, reason->seconds);
    rkb_buffer_format(&line, "; next: %s", reason->next);
    write_line(output, is_note ? "note" : name, &line, reason->word);
}

static void write_verdict_lines(struct rkb_output *output, const struct rkb_judgement *judgement)
{
    struct rkb_buffer line = {0};
    if (judgement->severity == RKB_SEVERITY_OK) {
        rkb_buffer_text(&line, "OK all is well");
        add_since(&line, judgement->since_us, judgement->seconds);
        write_line(output, "verdict", &line, "OK");
    }
    for (size_t i = 0; i < judgement->count; i++)
        write_reason_line(output, &judgement->reasons[i], i == 0 ? "verdict" : "also");
}

static void write_since(struct rkb_output *output, int64_t since_us, double seconds)
{
    if (since_us == 0)
        rkb_output_none(output, "since", "unknown");
    else
        rkb_output_time(output, "since", since_us);
    rkb_output_real(output, "seconds", seconds);
}

static void write_verdict_object(struct rkb_output *output, const struct rkb_judgement *judgement)
{
    bool is_well = judgement->severity == RKB_SEVERITY_OK;
    rkb_output_object(output, "verdict");
    rkb_output_text(output, "level", rkb_severity_word(judgement->severity));
    rkb_output_text(output, "why", rkb_verdict_why(judgement));
    rkb_output_text(output, "reason", is_well ? NULL : judgement->reasons[0].word);
    write_since(output, judgement->since_us, judgement->seconds);
    rkb_output_text(output, "next", is_well ? NULL : judgement->reasons[0].next);
    rkb_output_table(output, "reasons");
    for (size_t i = 0; i < judgement->count; i++) {
        const struct rkb_reason *reason = &judgement->reasons[i];
        rkb_output_row(output);
        rkb_output_text(output, "level", rkb_severity_word(reason->severity));
        rkb_output_text(output, "reason", reason->word);
        rkb_output_text(output, "why", reason->what);
        write_since(output, reason->since_us, reason->seconds);
        rkb_output_text(output, "next", reason->next);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
    rkb_output_object_end(output);
}

static void write_verdict(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    struct rkb_judgement room;
    const struct rkb_judgement *judgement = rkb_verdict_of(snapshot, &room);
    if (rkb_output_is_text(output))
        write_verdict_lines(output, judgement);
    else
        write_verdict_object(output, judgement);
}

/* ---- sources ---- */

/* As text what is longer than that many places loses its middle. NULL stays it. */
static const char *fit(const struct rkb_output *output, const char *text, size_t places, struct words *room)
{
    size_t size = text == NULL ? 0 : strlen(text);
    if (!rkb_output_is_text(output) || size <= places)
        return text;
    size_t head = places / 2, tail = size - (places - 3 - head);
    while (head > 0 && ((unsigned char)text[head] & 0xc0) == 0x80)
        head--;
    while (tail < size && ((unsigned char)text[tail] & 0xc0) == 0x80)
        tail++;
    snprintf(room->text, sizeof room->text, "%.*s...%s", (int)head, text, text + tail);
    return room->text;
}

static void write_name(struct rkb_output *output, const char *name, const char *value, size_t places)
{
    struct words room;
    rkb_output_text(output, name, fit(output, value, places, &room));
}

/* "subscribed 3/3", "waits for another bridge", "not connected" */
static void describe_state(const struct rkb_source_snapshot *source, const struct rkb_snapshot *snapshot,
                           struct words *out)
{
    if (snapshot->intake_stopped)
        snprintf(out->text, sizeof out->text, "intake stopped");
    else if (source->held)
        snprintf(out->text, sizeof out->text, "another bridge");
    else if (!source->connected)
        snprintf(out->text, sizeof out->text, "not connected");
    else
        snprintf(out->text, sizeof out->text, "%s %u/%u", source->paused ? "not read" : "subscribed",
                 source->subscribed, source->wanted);
}

/* "master", "replica of 10.0.0.1:6379, link down" */
static void describe_role(const struct rkb_source_snapshot *source, struct words *out)
{
    snprintf(out->text, sizeof out->text, "%s%s%s%s", source->role != NULL ? source->role : "unknown",
             source->master != NULL ? " of " : "", source->master != NULL ? source->master : "",
             source->unlinked ? ", link down" : "");
}

/* "32 MiB, or 8 MiB for 1 min" */
static void describe_limits(const struct rkb_stall_snapshot *stall, struct words *out)
{
    char hard[32], soft[32], time[32];
    rkb_format_size(hard, sizeof hard, stall->hard > 0 ? (uint64_t)stall->hard : 0);
    rkb_format_size(soft, sizeof soft, stall->soft > 0 ? (uint64_t)stall->soft : 0);
    rkb_format_duration(time, sizeof time, stall->soft_seconds * 1000000);
    if (stall->hard < 0)
        snprintf(out->text, sizeof out->text, "unknown");
    else if (stall->hard == 0 && stall->soft == 0)
        snprintf(out->text, sizeof out->text, "never");
    else if (stall->soft == 0)
        snprintf(out->text, sizeof out->text, "%s", hard);
    else if (stall->hard == 0)
        snprintf(out->text, sizeof out->text, "%s for %s", soft, time);
    else
        snprintf(out->text, sizeof out->text, "%s, or %s for %s", hard, soft, time);
}

/* "6.2 s at 4.1 MiB/s" */
static void describe_stall(const struct rkb_stall_snapshot *stall, struct words *out)
{
    char seconds[32], rate[32];
    if (stall->seconds < 0 || stall->seconds > 1e9) {
        bool has_none = stall->hard == 0 && stall->soft == 0;
        snprintf(out->text, sizeof out->text, "%s",
                 has_none ? "no limit" : stall->rate == 0 && stall->hard >= 0 ? "nothing comes" : "unknown");
        return;
    }
    rkb_format_duration(seconds, sizeof seconds, (int64_t)(stall->seconds * 1e6));
    rkb_format_size(rate, sizeof rate, (uint64_t)stall->rate);
    snprintf(out->text, sizeof out->text, "%s at %s/s", seconds, rate);
}

static void write_state(struct rkb_output *output, const struct rkb_source_snapshot *source,
                        const struct rkb_snapshot *snapshot)
{
    struct words words;
    describe_state(source, snapshot, &words);
    rkb_output_text(output, "state", words.text);
    if (rkb_output_is_text(output))
        return;
    rkb_output_truth(output, "connected", source->connected);
    rkb_output_number(output, "subscribed", source->subscribed);
    rkb_output_number(output, "wanted", source->wanted);
    rkb_output_text(output, "error", source->error);
    if (source->stall.seconds < 0)
        rkb_output_none(output, "stall_budget_seconds", "unknown");
    else
        rkb_output_seconds(output, "stall_budget_seconds", source->stall.seconds);
}

static void write_source(struct rkb_output *output, const struct rkb_source_snapshot *source,
                         const struct rkb_snapshot *snapshot)
{
    struct words words;
    rkb_output_row(output);
    write_name(output, "name", source->name, NAME_WIDTH);
    write_state(output, source, snapshot);
    rkb_output_number(output, "refused", source->refused);
    rkb_output_number(output, either(output, "gaps", "gaps_total"), source->gaps_total);
    rkb_output_size(output, either(output, "read", "bytes_total"), source->bytes_total);
    const char *buffer = either(output, "held_by_redis", "output_buffer_bytes");
    if (source->stall.buffer < 0)
        rkb_output_none(output, buffer, "unknown");
    else
        rkb_output_size(output, buffer, (uint64_t)source->stall.buffer);
    describe_stall(&source->stall, &words);
    rkb_output_text(output, "stall_budget", words.text);
    rkb_output_row_end(output);
}

static void write_sources(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    rkb_output_table(output, "sources");
    for (size_t i = 0; i < snapshot->source_count; i++)
        write_source(output, &snapshot->sources[i], snapshot);
    rkb_output_table_end(output);
}

/* Who is at the other end. */
static void write_redis(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    static const char *const known[] = {"unknown", "no", "yes"};
    struct words words;
    rkb_output_table(output, "redis");
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        rkb_output_row(output);
        write_name(output, "source", source->name, SHORT_NAME_WIDTH);
        write_name(output, "url", source->url, URL_WIDTH);
        describe_role(source, &words);
        rkb_output_text(output, "role", words.text);
        describe_limits(&source->stall, &words);
        rkb_output_text(output, "cut_off_beyond", words.text);
        rkb_output_text(output, either(output, "rival", "another_bridge"), known[source->another_bridge + 1]);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

/* Where there are any. */
static void write_canaries(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    bool any = false;
    for (size_t i = 0; i < snapshot->source_count; i++)
        any = any || snapshot->sources[i].canary.on;
    if (!any)
        return;
    rkb_output_table(output, "canaries");
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        const struct rkb_canary_snapshot *canary = &source->canary;
        struct words words;
        if (!canary->on)
            continue;
        rkb_flow_say(source, rkb_flow(snapshot, source), words.text, sizeof words.text);
        rkb_output_row(output);
        write_name(output, "source", source->name, SHORT_NAME_WIDTH);
        rkb_output_number(output, "sent", (uint64_t)canary->sent);
        rkb_output_number(output, "received", (uint64_t)canary->received);
        rkb_output_number(output, "acknowledged", (uint64_t)canary->acknowledged);
        rkb_output_seconds(output, "last_seconds", canary->kafka.age_seconds);
        rkb_output_text(output, "state", words.text);
        rkb_output_row_end(output);
    }
    rkb_output_table_end(output);
}

/* Why the last connection of a source ended; JSON has it beside the source. */
static void write_errors(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    for (size_t i = 0; rkb_output_is_text(output) && i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        struct words name, error;
        if (source->error == NULL || source->error[0] == '\0')
            continue;
        snprintf(name.text, sizeof name.text, "last_error of %s", source->name);
        rkb_output_text(output, name.text, fit(output, source->error, ERROR_WIDTH, &error));
    }
}

/* Only where there is one. */
static void write_refused(struct rkb_output *output, const struct rkb_snapshot *snapshot)
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

/* ---- Kafka and the journal ---- */

static void write_kafka(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    uint64_t errors = 0;
    for (size_t i = 0; i < snapshot->kafka.error_count; i++)
        errors += snapshot->kafka.errors[i].count;
    begin_part(output, "kafka");
    write_name(output, either(output, "servers", "bootstrap_servers"), snapshot->kafka.bootstrap_servers, NAME_WIDTH);
    rkb_output_truth(output, "connected", snapshot->kafka.connected);
    rkb_output_number(output, "in_flight", snapshot->kafka.in_flight);
    rkb_output_number(output, "topics_waiting", snapshot->kafka.topics_waiting);
    rkb_output_number(output, either(output, "rebuilds", "rebuilds_total"), snapshot->kafka.rebuilds_total);
    rkb_output_number(output, either(output, "errors", "errors_total"), errors);
    rkb_output_seconds(output, either(output, "p50", "p50_seconds"), snapshot->latency.p50_seconds);
    rkb_output_seconds(output, either(output, "p99", "p99_seconds"), snapshot->latency.p99_seconds);
    rkb_output_seconds(output, either(output, "max", "max_seconds"), snapshot->latency.max_seconds);
    end_part(output);
}

static void write_journal(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    const char *full_in = either(output, "full_in", "seconds_to_full");
    begin_part(output, "journal");
    rkb_output_size(output, "bytes", snapshot->journal.bytes);
    rkb_output_size(output, "max_size", snapshot->journal.max_size);
    if (snapshot->journal.full && rkb_output_is_text(output))
        rkb_output_none(output, full_in, "full now");
    else if (snapshot->journal.seconds_to_full < 0)
        rkb_output_none(output, full_in, "not filling");
    else
        rkb_output_seconds(output, full_in, snapshot->journal.seconds_to_full);
    rkb_output_seconds(output, either(output, "oldest", "oldest_pending_seconds"),
                       snapshot->journal.oldest_pending_seconds);
    rkb_output_size(output, either(output, "ring", "ring_bytes"), snapshot->journal.ring_bytes);
    rkb_output_size(output, either(output, "of", "ring_size"), snapshot->journal.ring_size);
    rkb_output_truth(output, either(output, "outlives", "ring_outlives"), snapshot->journal.ring_outlives);
    write_name(output, "directory", snapshot->journal.directory, PATH_WIDTH);
    end_part(output);
}

/* ---- routes ---- */

/* True where a is to be shown before b: paused, then what has waited longest, what has most waiting, what was lost. */
static bool is_worse(const struct rkb_route_snapshot *a, const struct rkb_route_snapshot *b)
{
    if (a->paused != b->paused)
        return a->paused;
    if (a->oldest_pending_seconds < b->oldest_pending_seconds || a->oldest_pending_seconds > b->oldest_pending_seconds)
        return a->oldest_pending_seconds > b->oldest_pending_seconds;
    if (a->books.pending != b->books.pending)
        return a->books.pending > b->books.pending;
    return a->books.dropped + a->books.dead_lettered > b->books.dropped + b->books.dead_lettered;
}

/* The worst of them, and else in the order of the config. */
static size_t pick_routes(const struct rkb_snapshot *snapshot,
                          const struct rkb_route_snapshot *picked[RKB_STATUS_ROUTES])
{
    size_t count = 0;
    for (size_t i = 0; i < snapshot->route_count; i++) {
        const struct rkb_route_snapshot *route = &snapshot->routes[i];
        size_t at = count;
        while (at > 0 && is_worse(route, picked[at - 1]))
            at--;
        if (at == RKB_STATUS_ROUTES)
            continue;
        count += count < RKB_STATUS_ROUTES;
        memmove(&picked[at + 1], &picked[at], (count - at - 1) * sizeof picked[0]);
        picked[at] = route;
    }
    return count;
}

static void write_route(struct rkb_output *output, const struct rkb_route_snapshot *route)
{
    rkb_output_row(output);
    write_name(output, "name", route->name, SHORT_NAME_WIDTH);
    write_name(output, "topic", route->topic, SHORT_NAME_WIDTH);
    rkb_output_text(output, "state", route->paused ? "paused" : "runs");
    rkb_output_number(output, "pending", route->books.pending);
    rkb_output_seconds(output, either(output, "oldest", "oldest_pending_seconds"), route->oldest_pending_seconds);
    rkb_output_number(output, "delivered", route->books.delivered);
    rkb_output_number(output, either(output, "dead", "dead_lettered"), route->books.dead_lettered);
    rkb_output_number(output, "dropped", route->books.dropped);
    rkb_output_row_end(output);
}

static void write_routes(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    const struct rkb_route_snapshot *picked[RKB_STATUS_ROUTES];
    size_t count = pick_routes(snapshot, picked);
    rkb_output_table(output, "routes");
    for (size_t i = 0; i < count; i++)
        write_route(output, picked[i]);
    rkb_output_table_end(output);
    if (snapshot->route_count > count)
        rkb_output_number(output, "more_routes", snapshot->route_count - count);
}

/* ---- gaps and books ---- */

static void write_gaps(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    rkb_last_gaps_write(snapshot, GAPS_SHOWN, output);
    if (snapshot->gap_count > GAPS_SHOWN)
        rkb_output_number(output, "earlier_gaps", snapshot->gap_count - GAPS_SHOWN);
}

/* "received 90 + recovered 17 = delivered 80 + dropped 5 + pending 22: balanced"; others only where they are not 0 */
static void write_books_line(struct rkb_output *output, const struct rkb_books *books, const char *balance)
{
    struct rkb_buffer line = {0};
    rkb_buffer_format(&line, "received %llu + recovered %llu = delivered %llu", (unsigned long long)books->received,
                      (unsigned long long)books->recovered, (unsigned long long)books->delivered);
    const struct { const char *name; uint64_t value; } right[] = {
        {"covered", books->covered}, {"dead_lettered", books->dead_lettered}, {"filtered", books->filtered},
        {"echoed", books->echoed}, {"dropped", books->dropped}};
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (right[i].value > 0)
            rkb_buffer_format(&line, " + %s %llu", right[i].name, (unsigned long long)right[i].value);
    rkb_buffer_format(&line, " + pending %llu: %s", (unsigned long long)books->pending, balance);
    write_line(output, "books", &line, balance);
}

static void write_books(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    char balance[48] = "balanced";
    int64_t off = rkb_books_imbalance(&snapshot->totals);
    if (off != 0)
        snprintf(balance, sizeof balance, "off by %lld", (long long)off);
    if (rkb_output_is_text(output)) {
        write_books_line(output, &snapshot->totals, balance);
        return;
    }
    rkb_output_object(output, "books");
#define WRITE(field, help) rkb_output_number(output, #field, snapshot->totals.field);
    RKB_BOOKS(WRITE)
#undef WRITE
    rkb_output_text(output, "balance", balance);
    rkb_output_object_end(output);
}

/* "shop-sidecar, rkbridge 1.2.3, up for 2 h 2 min, ready" */
static void write_instance(struct rkb_output *output, const struct rkb_snapshot *snapshot)
{
    struct words line;
    char uptime[40];
    if (!rkb_output_is_text(output)) {
        rkb_output_text(output, "instance", snapshot->instance);
        rkb_output_text(output, "version", snapshot->version);
        rkb_output_real(output, "uptime_seconds", snapshot->uptime_seconds);
        rkb_output_truth(output, "ready", snapshot->ready);
        rkb_output_truth(output, "lingering", snapshot->lingering);
        rkb_output_truth(output, "draining", snapshot->draining);
        rkb_output_real(output, "ending_seconds", snapshot->ending_seconds);
        return;
    }
    rkb_format_duration(uptime, sizeof uptime, (int64_t)(snapshot->uptime_seconds * 1e6));
    snprintf(line.text, sizeof line.text, "%s, rkbridge %s, up for %s, %s%s", snapshot->instance, snapshot->version,
             uptime, snapshot->ready ? "ready" : "not ready",
             snapshot->lingering ? ", lingering" : snapshot->draining ? ", draining" : "");
    rkb_output_text(output, "instance", line.text);
}

void rkb_status_write(const struct rkb_snapshot *snapshot, struct rkb_output *output)
{
    write_verdict(output, snapshot);
    write_instance(output, snapshot);
    write_sources(output, snapshot);
    write_redis(output, snapshot);
    write_canaries(output, snapshot);
    write_errors(output, snapshot);
    write_refused(output, snapshot);
    write_kafka(output, snapshot);
    write_journal(output, snapshot);
    write_routes(output, snapshot);
    write_gaps(output, snapshot);
    write_books(output, snapshot);
}
