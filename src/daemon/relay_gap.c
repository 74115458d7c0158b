/*
 * relay_gap -- how the relay opens and closes a source's gaps: with the positions around them, and with what their
 * bounds are to be counted from; see relay.h.
 *
 *     open: position before it, anchor --> over: position after it --bound known, or never--> closed
 *                                                    |                                          ^
 *                                                    +-- waits for Redis's count (watch.h) -----+
 */
#include <stdio.h>
#include <string.h>

#include "daemon/relay.h"
#include "daemon/watch.h"

/* The position so many messages before the last; "" where no stream has begun. */
static void write_position(const struct rkb_relay_source *source, uint32_t back, char out[RKB_GAP_POSITION])
{
    const struct rkb_stream *stream = &source->stream;
    out[0] = '\0';
    if (stream->mark_text[0] != '\0')
        snprintf(out, RKB_GAP_POSITION, "%.32s:%u", stream->mark_text,
                 stream->count > back ? stream->count - back : 0);
}

/* What Redis counts says nothing of these: they are of messages that came, or that another node had. */
static bool is_counted(const char *reason)
{
    return strcmp(reason, "not_durable") != 0 && strcmp(reason, "replica_link_down") != 0;
}

static struct rkb_gap *open_gap(struct rkb_relay_source *source, const char *reason, int64_t from_us, uint32_t back)
{
    struct rkb_gap gap = {.from_us = from_us, .bound = RKB_BOUND_UNKNOWN, .counted = source->published};
    snprintf(gap.source, sizeof gap.source, "%s", source->config->name);
    snprintf(gap.reason, sizeof gap.reason, "%s", reason);
    write_position(source, back, gap.before);
    gap.has_anchor = is_counted(reason) && rkb_watch_anchor(source->watch, gap.anchor);
    source->gaps_total++;
    return rkb_gaps_open_like(source->relay->gaps, &gap);
}

struct rkb_gap *rkb_relay_open_gap(struct rkb_relay_source *source, const char *reason, int64_t from_us)
{
    return open_gap(source, reason, from_us, 0);
}

struct rkb_gap *rkb_relay_open_gap_at_last(struct rkb_relay_source *source, const char *reason, int64_t from_us)
{
    return open_gap(source, reason, from_us, 1);
}

void rkb_relay_close_gap(struct rkb_relay_source *source, struct rkb_gap *gap, int64_t to_us)
{
    write_position(source, 0, gap->after);
    if (gap->bound == RKB_BOUND_UNKNOWN && gap->has_anchor && rkb_watch_can_await(source->watch)) {
        rkb_gaps_wait(source->relay->gaps, gap, to_us);
        rkb_watch_await(source->watch);
    } else {
        rkb_gaps_close(source->relay->gaps, gap, to_us);
    }
}
