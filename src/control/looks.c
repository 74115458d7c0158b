/* looks -- the commands that only show, from the snapshot and the log's memory; see request.h. */
#include "control/request.h"

#include <string.h>

#include "base/recent.h"
#include "base/units.h"
#include "control/metrics.h"
#include "control/status.h"

#define ERRORS_SHOWN 20         /* where no number is given */
#define ERRORS_MOST 1000        /* that may be asked for; there are fewer */

void rkb_request_drop(struct rkb_request *request, size_t i)
{
    request->count--;
    memmove(&request->words[i], &request->words[i + 1], (request->count - i) * sizeof request->words[0]);
}

bool rkb_request_format(struct rkb_request *request, enum rkb_output_kind *kind)
{
    size_t last = request->count - 1;
    *kind = rkb_request_is(request, last, "json") ? RKB_OUTPUT_JSON : RKB_OUTPUT_TEXT;
    if (last > 0 && (*kind == RKB_OUTPUT_JSON || rkb_request_is(request, last, "text")))
        rkb_request_drop(request, last);
    return request->count == 1;
}

/* What only takes `[text|json]`. */
static bool show(const struct rkb_request *request, struct rkb_buffer *out,
                 void (*write)(const struct rkb_snapshot *snapshot, struct rkb_output *output))
{
    struct rkb_request rest = *request;
    struct rkb_output output;
    enum rkb_output_kind kind;
    if (!rkb_request_format(&rest, &kind))
        return false;
    rkb_output_begin(&output, kind, out);
    write(request->snapshot, &output);
    rkb_output_end(&output);
    return true;
}

bool rkb_look_version(const struct rkb_request *request, struct rkb_buffer *out)
{
    rkb_buffer_format(out, "rkbridge %s\n", request->snapshot->version);
    return request->count == 1;
}

bool rkb_look_status(const struct rkb_request *request, struct rkb_buffer *out)
{
    return show(request, out, rkb_status_write);
}

bool rkb_look_routes(const struct rkb_request *request, struct rkb_buffer *out)
{
    return show(request, out, rkb_routes_write);
}

bool rkb_look_sources(const struct rkb_request *request, struct rkb_buffer *out)
{
    return show(request, out, rkb_sources_write);
}

bool rkb_look_kafka(const struct rkb_request *request, struct rkb_buffer *out)
{
    return show(request, out, rkb_kafka_write);
}

bool rkb_look_journal(const struct rkb_request *request, struct rkb_buffer *out)
{
    return show(request, out, rkb_journal_write);
}

/* ---- stats ---- */

/* Takes `route NAME` from the end, and leaves that route alone, in *route, in *one; false: there is no such. */
static bool take_route(struct rkb_request *request, struct rkb_snapshot *one, struct rkb_route_snapshot *route)
{
    *one = *request->snapshot;
    if (request->count < 3 || !rkb_request_is(request, request->count - 2, "route"))
        return true;
    struct rkb_slice name = request->words[request->count - 1];
    request->count -= 2;
    for (size_t i = 0; i < one->route_count; i++) {
        if (!rkb_slice_equal(name, rkb_slice_text(one->routes[i].name)))
            continue;
        *route = one->routes[i];
        route->among_others = false;
        one->routes = route;
        one->route_count = 1;
        return true;
    }
    return rkb_fail(request->unknown, RKB_USAGE, "there is no route %.*s; routes lists them", (int)name.size,
                    (const char *)name.data);
}

/* [text|json|prom] [route NAME] */
bool rkb_look_stats(const struct rkb_request *request, struct rkb_buffer *out)
{
    struct rkb_request rest = *request;
    struct rkb_snapshot one;
    struct rkb_route_snapshot route;
    struct rkb_output output;
    enum rkb_output_kind kind;
    if (!take_route(&rest, &one, &route))
        return false;
    bool alone = rest.count < request->count;
    if (rest.count == 2 && rkb_request_is(&rest, 1, "prom")) {
        rkb_metrics_write(&one, out);
        return true;
    }
    if (!rkb_request_format(&rest, &kind))
        return false;
    rkb_output_begin(&output, kind, out);
    if (alone)
        rkb_stats_routes_write(&one, &output);
    else
        rkb_stats_write(&one, &output);
    rkb_output_end(&output);
    return true;
}

/* ---- gaps ---- */

/* An RFC 3339 time in UTC, with or without a fraction, or how long ago: 2h. */
static bool since_of(struct rkb_slice word, int64_t now_us, int64_t *since_us)
{
    char text[40];
    struct rkb_error error;
    int64_t ago_us;
    if (word.size >= sizeof text)
        return false;
    memcpy(text, word.data, word.size);
    text[word.size] = '\0';
    if (rkb_read_time(text, since_us))
        return true;
    if (!rkb_parse_duration(text, &ago_us, &error))
        return false;
    *since_us = now_us - ago_us;
    return true;
}

/* [SINCE] [text|json] */
bool rkb_look_gaps(const struct rkb_request *request, struct rkb_buffer *out)
{
    struct rkb_request rest = *request;
    struct rkb_output output;
    enum rkb_output_kind kind;
    int64_t since_us = 0;
    if (request->count > 1 && since_of(request->words[1], request->snapshot->now_us, &since_us))
        rkb_request_drop(&rest, 1);
    if (!rkb_request_format(&rest, &kind))
        return false;
    rkb_output_begin(&output, kind, out);
    rkb_gaps_write(request->snapshot, since_us, &output);
    rkb_output_end(&output);
    return true;
}

/* ---- errors ---- */

static bool read_count(struct rkb_slice word, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
        *count = *count * 10 + (size_t)(word.data[i] - '0');
        if (*count > ERRORS_MOST)
            return false;
    }
    return *count > 0;
}

/* As in the log: the lines themselves, or as JSON an array of such objects. */
static void show_errors(struct rkb_recent *recent, size_t most, enum rkb_output_kind kind, struct rkb_buffer *out)
{
    bool json = kind == RKB_OUTPUT_JSON;
    uint64_t newest = rkb_recent_newest(recent), after = newest > most ? newest - most : 0;
    struct rkb_recent_line line;
    size_t shown = 0;
    rkb_buffer_text(out, json ? "{\"errors\":[" : "");
    for (; rkb_recent_next(recent, after, &line); after = line.number, shown++) {
        char text[RKB_LOG_LINE_SIZE];
        size_t size = rkb_recent_compose(&line, json ? RKB_LOG_JSON : RKB_LOG_TEXT, text);
        rkb_buffer_text(out, json && shown > 0 ? "," : "");
        rkb_buffer_add(out, text, json ? size - 1 : size);
    }
    rkb_buffer_text(out, json ? "]}\n" : shown == 0 ? "errors: none since the start\n" : "");
}

/* [N] [text|json] */
bool rkb_look_errors(const struct rkb_request *request, struct rkb_buffer *out)
{
    struct rkb_request rest = *request;
    enum rkb_output_kind kind;
    size_t most = ERRORS_SHOWN;
    if (request->count > 1 && read_count(request->words[1], &most))
        rkb_request_drop(&rest, 1);
    if (!rkb_request_format(&rest, &kind) || request->log == NULL)
        return false;
    show_errors(rkb_log_kept(request->log, RKB_LOG_ERRORS), most, kind, out);
    return true;
}
