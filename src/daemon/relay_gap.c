/*
 * relay_gap -- how the relay opens and closes a source's gaps: with the positions around them, and with what their
 * bounds are to be counted from; see relay.h.
 *
 *     open: position before it, anchor --> over: position after it --bound known, or never--> closed
 *                                                    |                                          ^
 *                                                    +-- waits for Redis's count (watch.h) -----+
 *
 * Each state is a record of the journal's own, for the ledger, and, where the source has a gap_topic, right behind it a
 * message to that: both are in the ring, or neither.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/relay.h"
#include "daemon/watch.h"

/* ---- their records ---- */

static const struct rkb_relay_source *source_of(const struct rkb_relay *relay, const char *name)
{
    for (size_t i = 0; i < relay->options.config->source_count; i++)
        if (strcmp(relay->options.config->sources[i].name, name) == 0)
            return &relay->sources[i];
    return NULL;
}

/* What a topic is told: all but their values, which come as JSON. */
struct notice {
    struct rkb_buffer json;
    uint8_t header[32];
    struct rkb_record record;
};

static void write_notice(const struct rkb_relay *relay, const struct rkb_gap *gap, uint32_t topic, int64_t time_us,
                         struct notice *notice)
{
    struct rkb_slice name = rkb_slice_text("rkb-gap");
    struct rkb_slice word = rkb_slice_text(gap->to_us == 0 ? "opened" : "closed");
    rkb_gap_show(gap, &notice->json);
    rkb_header_write(notice->header, name, word);
    notice->record = (struct rkb_record){
        .kind = RKB_MESSAGE, .flags = RKB_FORM_RAW, .header_count = 1, .time_us = time_us, .route = relay->gap_route,
        .topic = topic, .has_key = true, .key = rkb_slice_text(gap->source),
        .headers = rkb_slice(notice->header, rkb_header_size(name, word)),
        .value = rkb_slice(notice->json.data, notice->json.size),
    };
}

static size_t size_of(const struct rkb_record *record)
{
    return rkb_record_size(record->key.size, record->headers.size, record->value.size);
}

/* Two records, the second where its kind is set, with the next numbers. False when the ring has no room for both. */
static bool append_both(struct rkb_relay *relay, struct rkb_record *first, struct rkb_record *second)
{
    size_t size = size_of(first), more = second->kind == RKB_MESSAGE ? size_of(second) : 0;
    uint8_t *at = rkb_ring_reserve(relay->ring, size + more, 0);
    if (at == NULL)
        return false;
    first->sequence = relay->next_sequence++;
    rkb_record_write(at, first, rkb_ring_salt(relay->ring));
    if (more > 0) {
        second->sequence = relay->next_sequence++;
        rkb_record_write(at + size, second, rkb_ring_salt(relay->ring));
    }
    rkb_ring_commit(relay->ring, size + more);
    return true;
}

bool rkb_relay_append_gap(void *context, struct rkb_gap *gap)
{
    struct rkb_relay *relay = context;
    const struct rkb_relay_source *source = source_of(relay, gap->source);
    struct rkb_buffer json = {0};
    struct notice notice = {.json = {0}};
    bool is_new = gap->id == 0;
    if (is_new)
        gap->id = relay->next_sequence;
    rkb_gap_write(gap, &json);
    struct rkb_record record = {
        .kind = RKB_GAP,
        .time_us = relay->options.sys->realtime_us(),
        .route = rkb_dictionary_number(relay->dictionary, RKB_NAME_SOURCE, rkb_slice_text(gap->source)),
        .value = rkb_slice(json.data, json.size),
    };
    if (source != NULL && source->gap_topic != 0)
        write_notice(relay, gap, source->gap_topic, record.time_us, &notice);
    bool written = !json.failed && !notice.json.failed && append_both(relay, &record, &notice.record);
    if (!written && is_new)
        gap->id = 0;
    else if (written && notice.record.kind == RKB_MESSAGE)
        relay->tallies[relay->gap_route].appended++;
    rkb_buffer_free(&json);
    rkb_buffer_free(&notice.json);
    return written;
}

/* ---- a source's gaps ---- */

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

void rkb_relay_say_clock(struct rkb_relay *relay)
{
    int64_t back_us = rkb_gaps_clock_went_back(relay->gaps);
    char text[32];
    if (back_us == 0)
        return;
    rkb_format_duration(text, sizeof text, back_us);
    rkb_log(relay->options.log, RKB_LOG_WARN, "clock", "clock_back",
            "this machine's clock went back by %s; gaps over that are made longer by as much at both ends, so that "
            "they cover the time by either clock", text);
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
