/*
 * watch_published -- how many PUBLISHes Redis has run, asked each period: what bounds of gaps are counted from.
 *
 *     asked --all answered--> read --PING on the subscriber's connection--> answered --> the anchor
 *                              |
 *                              +-- gaps that wait get their bounds, where it was asked for after their end
 *
 * An anchor goes with each gap as it opens, and with each mark, so that a start after a crash has one too. While there
 * is no stream a reading is an anchor at once: nothing that was counted in it can come any more.
 *
 * Promise: a bound is never too low (published.h says from what it follows); a gap that is over waits for its bound for
 * a few periods at most. Never: keeps a message waiting.
 */
#include "daemon/watch_state.h"

#include <stdio.h>

#define MOST_TICKS 3        /* periods that a gap waits for its bound */

_Static_assert(RKB_PUBLISHED_SIZE == RKB_GAP_ANCHOR, "a gap's anchor is what published.h writes");

static const enum rkb_question questions[] = {RKB_ASK_SELF,    RKB_ASK_SERVER, RKB_ASK_HISTORY, RKB_ASK_COUNTERS,
                                              RKB_ASK_MODULES, RKB_ASK_EVENTS, RKB_ASK_COMMANDS};

/* The events are looked for only where they could be ours; ourselves, where we know our number and are told of it. */
static bool is_needed(const struct rkb_watch *watch, enum rkb_question question)
{
    if (question == RKB_ASK_SELF)
        return watch->published.asked_self != 0 && !watch->refused[RKB_ASK_SELF];
    return question != RKB_ASK_EVENTS || watch->source->events;
}

void rkb_watch_ask_published(struct rkb_watch *watch)
{
    struct rkb_watch_published *published = &watch->published;
    if (watch->stopping || watch->refused[RKB_ASK_COMMANDS] || !rkb_watcher_ready(watch->watcher))
        return;
    published->again = published->open > 0;
    if (published->open > 0)
        return;
    published->coming = (struct rkb_published_reading){0};
    published->asked_received = watch->source->published;
    published->asked_self = rkb_watch_subscriber(watch);
    published->found_self = false;
    published->asks++;
    const uint64_t self[2] = {published->asked_self, 0};
    for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
        if (!is_needed(watch, questions[i]))
            continue;
        published->open++;
        rkb_watcher_ask(watch->watcher, questions[i], questions[i] == RKB_ASK_SELF ? self : NULL);
    }
}

void rkb_watch_published_self(struct rkb_watch *watch, const struct rkb_client *client)
{
    char name[160];
    snprintf(name, sizeof name, "rkbridge:%s", watch->source->relay->options.config->instance);
    if (client->id == watch->published.asked_self && rkb_slice_equal(client->name, rkb_slice_text(name)))
        watch->published.found_self = true;
}

/*
 * Whether the stream there is comes from the Redis that was asked: from one address, and, where it tells its clients by
 * their numbers (Redis 6.2), it has us among them.
 */
static bool is_beside(const struct rkb_watch *watch)
{
    const struct rkb_watch_published *published = &watch->published;
    bool told = published->asked_self != 0 && !watch->refused[RKB_ASK_SELF];
    return watch->source->streaming && published->asked_self == rkb_watch_subscriber(watch)
           && rkb_watcher_beside(watch->watcher, watch->source->subscriber) && (published->found_self || !told);
}

/* Whether what was received in this stream was counted by the Redis that was asked. */
static bool is_trusted(const struct rkb_watch *watch)
{
    return watch->published.beside || watch->source->published == watch->published.stream_base;
}

bool rkb_watch_published_line(struct rkb_watch *watch, enum rkb_question question, struct rkb_slice line)
{
    if (question < RKB_ASK_SERVER || question > RKB_ASK_COMMANDS)
        return false;
    if (question == RKB_ASK_EVENTS)
        rkb_published_setting(&watch->published.coming, line);
    else
        rkb_published_line(&watch->published.coming, line);
    return true;
}

/* ---- bounds ---- */

/* Why the connection ended is known better now. */
static void blame(struct rkb_gap *gap, enum rkb_published_news news)
{
    const char *reason = news == RKB_PUBLISHED_RESTARTED ? "redis_restart"
                         : news == RKB_PUBLISHED_ANOTHER_NODE ? "another_node" : NULL;
    if (reason != NULL && (strcmp(gap->reason, "connection_lost") == 0 || strcmp(gap->reason, "output_buffer") == 0))
        snprintf(gap->reason, sizeof gap->reason, "%s", reason);
}

/* why: why there is no reading; NULL: there is one. */
static void settle_one(struct rkb_watch *watch, struct rkb_gap *gap, const struct rkb_published *reading,
                       const char *why)
{
    struct rkb_relay_source *source = watch->source;
    struct rkb_published anchor;
    enum rkb_published_news news = RKB_PUBLISHED_UNKNOWN;
    rkb_published_parse(gap->anchor, &anchor);
    if (why == NULL && !(watch->source->streaming ? watch->published.beside_now : is_trusted(watch)))
        why = "the second connection is not known to be to the same Redis";
    if (why == NULL) {
        int64_t since_us = rkb_watch_sys(watch)->realtime_us() - gap->from_us + watch->period_us;
        uint64_t received = anchor.received + watch->published.asked_received - gap->counted;
        news = rkb_published_bound(&anchor, reading, since_us > 0 ? (uint64_t)since_us / 1000000 : 0, received,
                                   &gap->bound);
        why = rkb_published_why(news);
    }
    blame(gap, news);
    if (news == RKB_PUBLISHED_SAME)
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, source->object, "gap_bound",
                "at most %llu messages were missed in gap %llu (%s)", (unsigned long long)gap->bound,
                (unsigned long long)gap->id, gap->reason);
    else
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, source->object, "gap_bound",
                "how many messages were missed in gap %llu (%s) is unknown: %s", (unsigned long long)gap->id,
                gap->reason, why);
    rkb_gaps_close(source->relay->gaps, gap, gap->to_us);
}

static void settle(struct rkb_watch *watch, const struct rkb_published *reading, const char *why)
{
    struct rkb_relay_source *source = watch->source;
    struct rkb_gap *gap;
    bool any = false;
    while ((gap = rkb_gaps_find_waiting(source->relay->gaps, source->config->name)) != NULL) {
        settle_one(watch, gap, reading, why);
        any = true;
    }
    watch->published.waits = false;
    if (any)
        rkb_shipper_wake(source->relay->shipper);
}

bool rkb_watch_can_await(const struct rkb_watch *watch)
{
    return watch != NULL && !watch->stopping && !watch->refused[RKB_ASK_COMMANDS];
}

void rkb_watch_await(struct rkb_watch *watch)
{
    struct rkb_watch_published *published = &watch->published;
    published->waits = true;
    published->ticks = 0;
    published->settle_from = published->asks + 1;
    rkb_watch_ask_published(watch);
}

/* Where a gap waits it is asked for already. */
void rkb_watch_subscribed(struct rkb_watch *watch)
{
    if (watch != NULL && !watch->published.waits)
        rkb_watch_ask_published(watch);
}

void rkb_watch_give_up(struct rkb_watch *watch)
{
    if (watch != NULL && watch->published.waits)
        settle(watch, NULL, rkb_published_why(RKB_PUBLISHED_UNKNOWN));
}

void rkb_watch_published_tick(struct rkb_watch *watch)
{
    if (watch->published.waits && ++watch->published.ticks >= MOST_TICKS)
        rkb_watch_give_up(watch);
}

/* ---- the anchor ---- */

static void drop_anchor(struct rkb_watch *watch)
{
    struct rkb_watch_published *published = &watch->published;
    bool is_first = published->anchor.run == 0 || published->base <= published->stream_base;
    published->anchor = published->sample;
    published->base = watch->source->published;
    published->state = RKB_NOTHING_READ;
    if (watch->source->streaming && is_first)
        rkb_relay_mark(watch->source);      /* which has it, for whoever starts after a crash */
}

/* While another PING is open its answer comes first, and ours is sent then. */
static void ping(struct rkb_watch *watch)
{
    if (rkb_subscriber_ping(watch->source->subscriber))
        watch->published.state = RKB_PINGED;
}

static void use_sample(struct rkb_watch *watch)
{
    watch->published.state = RKB_READ;
    if (!watch->source->streaming)
        drop_anchor(watch);
    else if (watch->published.beside_now)
        ping(watch);
}

void rkb_watch_pong(struct rkb_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->published.state == RKB_PINGED)
        drop_anchor(watch);
    else if (watch->published.state == RKB_READ)
        ping(watch);
}

bool rkb_watch_mark_anchor(const struct rkb_watch *watch, uint8_t *out)
{
    return watch != NULL && watch->published.beside && rkb_watch_anchor(watch, out);
}

bool rkb_watch_anchor(const struct rkb_watch *watch, uint8_t *out)
{
    if (watch == NULL || watch->published.anchor.run == 0 || !is_trusted(watch))
        return false;
    struct rkb_published anchor = watch->published.anchor;
    anchor.received = watch->source->published - watch->published.base;
    rkb_published_write(&anchor, out);
    return true;
}

static void conclude(struct rkb_watch *watch)
{
    struct rkb_watch_published *published = &watch->published;
    struct rkb_published reading;
    const char *why = rkb_published_end(&published->coming, watch->source->events, &reading);
    if (watch->refused[RKB_ASK_COMMANDS])
        why = "Redis does not let us ask for it (INFO)";
    published->beside_now = is_beside(watch);
    published->beside = published->beside || published->beside_now;
    if (why == NULL && published->beside_now && reading.run != published->anchor.run)
        published->anchor = (struct rkb_published){0};      /* of another Redis than this stream */
    if (published->waits && published->asks >= published->settle_from)
        settle(watch, &reading, why);
    if (why == NULL) {
        published->sample = reading;
        use_sample(watch);
    }
    if (published->again)
        rkb_watch_ask_published(watch);
}

void rkb_watch_published_answered(struct rkb_watch *watch)
{
    if (watch->published.open > 0 && --watch->published.open == 0)
        conclude(watch);
}

/* What was read is of the stream that is over. The anchor stays, where all since then is counted: it is only old. */
void rkb_watch_published_ended(struct rkb_watch *watch)
{
    if (watch == NULL)
        return;
    if (!is_trusted(watch))
        watch->published.anchor = (struct rkb_published){0};
    watch->published.state = RKB_NOTHING_READ;
    watch->published.beside = false;
    watch->published.stream_base = watch->source->published;
}

void rkb_watch_published_lost(struct rkb_watch *watch)
{
    watch->published.open = 0;
    watch->published.again = false;
}
