/*
 * relay_drop -- what could not be taken: counted with its reason, and in a gap; see relay.h.
 *
 *     the journal is full     one gap from the first on, until there is room again
 *     one by one              each in a gap of its own, or many of a second in one
 *     asked for (missing)     in none
 */
#include <string.h>

#include "daemon/relay.h"

static const char *const drop_words[] = {
#define WORD(name, help) #name,
    RKB_DROP_REASONS(WORD)
#undef WORD
};

const char *rkb_relay_drop_word(enum rkb_drop_reason reason)
{
    return drop_words[reason];
}

enum rkb_drop_reason rkb_relay_drop_reason(const char *code)
{
    for (size_t i = 0; i < RKB_DROP_REASON_COUNT; i++)
        if (strcmp(drop_words[i], code) == 0)
            return (enum rkb_drop_reason)i;
    return RKB_DROP_missing;
}

/*
 * From when on a message read at time_us may have been published: it waited in the socket, while reading rested, since
 * the last read that took all there was at the most, and not since before the stream.
 */
static int64_t earliest_us(const struct rkb_relay_source *source, int64_t time_us)
{
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(source->subscriber, &figures);
    int64_t from_us = figures.caught_up_us > source->stream_us ? figures.caught_up_us : source->stream_us;
    return from_us > 0 && from_us < time_us ? from_us : time_us;
}

/*
 * One message's place in a gap: to is its time. More of them until the next mark share one, open from the
 * first of them on, so that a flood of them is no flood of gaps, and a crash in the middle leaves it open.
 */
static void place_in_gap(struct rkb_relay_source *source, enum rkb_drop_reason reason, int64_t time_us)
{
    struct rkb_relay_run *run = &source->runs[reason];
    run->count++;
    run->last_us = time_us;
    if (run->gap != NULL)
        return;
    struct rkb_gap *gap = rkb_relay_open_gap_at_last(source, drop_words[reason], earliest_us(source, time_us));
    if (run->count > 1) {
        run->gap = gap;
    } else if (gap != NULL) {
        gap->bound = 1;
        rkb_relay_close_gap(source, gap, time_us);
    }
}

void rkb_relay_end_runs(struct rkb_relay_source *source)
{
    for (size_t i = 0; i < RKB_DROP_REASON_COUNT; i++) {
        struct rkb_relay_run *run = &source->runs[i];
        if (run->gap != NULL) {
            run->gap->bound = run->count - 1;
            rkb_relay_close_gap(source, run->gap, run->last_us);
        }
        *run = (struct rkb_relay_run){0};
    }
}

static void start_dropping(struct rkb_relay_source *source, int64_t time_us)
{
    struct rkb_relay *relay = source->relay;
    source->dropping = true;
    source->full_count = 0;
    rkb_relay_open_gap_at_last(source, drop_words[RKB_DROP_journal_full], earliest_us(source, time_us));
    rkb_shipper_want_room(relay->shipper, rkb_ring_size(relay->ring) / 2);
    rkb_log(relay->options.log, RKB_LOG_ERROR, source->object, "messages_dropped",
            "the journal takes no more and the ring is full: messages are dropped and counted, until there is room; "
            "the line of the journal says what stands in its way");
}

void rkb_relay_drop(struct rkb_relay_source *source, const struct rkb_relay_route *route, enum rkb_drop_reason reason,
                    int64_t time_us)
{
    source->relay->tallies[route->number].dropped[reason]++;
    if (reason == RKB_DROP_journal_full && !source->dropping)
        start_dropping(source, time_us);
    else if (reason != RKB_DROP_journal_full && reason != RKB_DROP_missing)     /* that is what was asked for */
        place_in_gap(source, reason, time_us);
    source->full_count += reason == RKB_DROP_journal_full;
}

void rkb_relay_end_full(struct rkb_relay_source *source)
{
    struct rkb_relay *relay = source->relay;
    struct rkb_gap *gap = rkb_gaps_find_open(relay->gaps, source->config->name, drop_words[RKB_DROP_journal_full]);
    source->dropping = false;
    if (gap == NULL)
        return;
    gap->bound = source->full_count;
    rkb_relay_close_gap(source, gap, relay->options.sys->realtime_us());
}

void rkb_relay_stop_dropping(struct rkb_relay_source *source)
{
    struct rkb_relay *relay = source->relay;
    rkb_relay_end_full(source);
    rkb_log(relay->options.log, RKB_LOG_WARN, source->object, "messages_taken",
            "the journal has room: messages are taken again");
}
