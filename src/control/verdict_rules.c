/*
 * verdict_rules -- see verdict_rules.h.
 *
 * Promise: a row says one thing, about the first object it is true of, and counts the others. Never: logs, reads a
 * clock (the snapshot has the time), says that somebody should look at what asks for nothing.
 */
#include "control/verdict_rules.h"

#include <string.h>

#include "control/flow.h"
#include "control/verdict_words.h"

#define HOUR_US 3600000000ll
#define AWAY_S 10               /* a reconnect, a handing over between two bridges take less */
#define RECENT_S 600.0
#define SOON_FULL_S 600.0
#define FILLING_S 3600.0
#define LONG_PENDING_S 60.0
#define SHORT_STALL_S 1.0
#define MANY_STARTS 3
#define UNKNOWN_AGE 1e12        /* no clock's */

/* ---- what is true of a source: the first that it is true of, and how many there are ---- */

static const struct rkb_source_snapshot *first_source(const struct rkb_look *look, size_t *count,
                                                      bool (*is)(const struct rkb_source_snapshot *source))
{
    const struct rkb_source_snapshot *first = NULL;
    *count = 0;
    for (size_t i = 0; i < look->snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &look->snapshot->sources[i];
        if (!is(source))
            continue;
        if ((*count)++ == 0)
            first = source;
    }
    return first;
}

static bool is_away(const struct rkb_source_snapshot *source)
{
    return !source->held && (!source->connected || source->subscribed + source->refused < source->wanted);
}

static bool not_subscribed(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_away);
    if (source == NULL || look->snapshot->draining || look->snapshot->intake_stopped)
        return false;
    bool has_error = source->error != NULL && source->error[0] != '\0';
    if (!source->connected)
        say(look, "source %s is not connected%s%s", source->name, has_error ? ": " : "",
            has_error ? source->error : "");
    else
        say(look, "source %s: %u of %u subscriptions are confirmed", source->name, source->subscribed, source->wanted);
    return and_more(look, count - 1, "source");
}

static bool is_held(const struct rkb_source_snapshot *source)
{
    return source->held;
}

static bool held(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_held);
    return source != NULL && say(look, "source %s is not subscribed: %s", source->name, source->rival)
        && and_more(look, count - 1, "source");
}

static bool is_shared(const struct rkb_source_snapshot *source)
{
    return !source->held && source->connected && source->another_bridge > 0;
}

static bool shipped_twice(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_shared);
    return source != NULL && say(look, "source %s is shipped twice: %s", source->name, source->rival)
        && and_more(look, count - 1, "source");
}

static bool is_unlinked(const struct rkb_source_snapshot *source)
{
    return source->unlinked;
}

static bool replica_link_down(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_unlinked);
    return source != NULL
        && say(look, "source %s is a replica whose link to its master%s%s is down: what is published there is missed",
               source->name, source->master != NULL ? " " : "", source->master != NULL ? source->master : "")
        && and_more(look, count - 1, "source");
}

static bool is_unverified(const struct rkb_source_snapshot *source)
{
    return source->unverified;
}

static bool tls_unverified(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_unverified);
    return source != NULL
        && say(look, "source %s believes whoever answers (tls_verify: no): set it to yes, and tls_ca_file where this "
               "system does not know its CA", source->name)
        && and_more(look, count - 1, "source");
}

static bool is_paused(const struct rkb_source_snapshot *source)
{
    return source->connected && source->paused;
}

static bool not_read(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_paused);
    return source != NULL
        && say(look, "source %s is not read until the disk takes what waits in the ring", source->name)
        && and_more(look, count - 1, "source");
}

/* Half of what makes Redis cut us off, or what it bears for some time only. */
static bool is_near_cut(const struct rkb_source_snapshot *source)
{
    const struct rkb_stall_snapshot *stall = &source->stall;
    return source->connected && ((stall->hard > 0 && stall->buffer > stall->hard / 2)
                                 || (stall->soft > 0 && stall->buffer > stall->soft));
}

static bool output_buffer(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_near_cut);
    if (source == NULL)
        return false;
    const struct rkb_stall_snapshot *stall = &source->stall;
    if (stall->hard > 0 && stall->buffer > stall->hard / 2)
        say(look, "Redis holds %s for source %s and cuts it off beyond %s", size_of((double)stall->buffer).text,
            source->name, size_of((double)stall->hard).text);
    else
        say(look, "Redis holds %s for source %s and cuts it off when it is more than %s for %s",
            size_of((double)stall->buffer).text, source->name, size_of((double)stall->soft).text,
            duration((double)stall->soft_seconds).text);
    return and_more(look, count - 1, "source");
}

static bool is_short(const struct rkb_source_snapshot *source)
{
    return source->connected && source->stall.seconds >= 0 && source->stall.seconds < SHORT_STALL_S;
}

static bool stall_budget_short(const struct rkb_look *look)
{
    size_t count;
    const struct rkb_source_snapshot *source = first_source(look, &count, is_short);
    return source != NULL
        && say(look, "Redis would cut source %s off if nothing were read for %s (%s/s come): raise its "
               "client-output-buffer-limit", source->name, duration(source->stall.seconds).text,
               size_of(source->stall.rate > 0 ? source->stall.rate : 0).text)
        && and_more(look, count - 1, "source");
}

#define OF_CANARIES(word, one, other) \
    static bool word(const struct rkb_look *look) \
    { \
        return rkb_flow_find(look->snapshot, RKB_FLOW_##one, RKB_FLOW_##other, look->what, look->size); \
    }
OF_CANARIES(canary_lost, NOT_BACK, NOT_BACK)
OF_CANARIES(canary_late, NOT_TAKEN, NOT_TAKEN)
OF_CANARIES(canary_refused, REFUSED, UNHEARD)

static bool subscription_refused(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    const struct rkb_refused_snapshot *first = snapshot->refused;
    size_t count = 0;
    for (size_t i = 0; i < snapshot->source_count; i++)
        count += snapshot->sources[i].refused;
    if (count == 0)
        return false;
    if (snapshot->refused_count == 0)
        return say(look, "%zu subscription%s refused by Redis's ACL: the log names what is missing", count,
                   count == 1 ? " is" : "s are");
    say(look, "route %s of source %s gets nothing from %s, Redis's ACL refuses it: %s", first->route, first->source,
        first->name, first->rule);
    return and_more(look, count - 1, "subscription");
}

static bool intake_stopped(const struct rkb_look *look)
{
    return look->snapshot->intake_stopped
        && say(look, "the intake is stopped, what is published is missed: rkbctl intake start");
}

/* ---- routes and their books ---- */

static bool paused(const struct rkb_look *look)
{
    const struct rkb_pause_snapshot *first = look->snapshot->pauses;
    if (look->snapshot->pause_count == 0)
        return false;
    *look->began_us = first->since_us;
    return say(look, "%s %s is paused, its records wait: rkbctl resume %s %s", first->is_topic ? "topic" : "route",
               first->name, first->is_topic ? "topic" : "route", first->name)
        && and_more(look, look->snapshot->pause_count - 1, "pause");
}

static bool pauses_unread(const struct rkb_look *look)
{
    return look->snapshot->pauses_unread != NULL
        && say(look, "what was paused before the start is not: %s", look->snapshot->pauses_unread);
}

static bool books_unbalanced(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    int64_t off = rkb_books_imbalance(&snapshot->totals);
    if (off != 0)
        return say(look, "the books do not balance (off by %lld): a defect of rkbridge, report it with what rkbctl "
                   "stats says", (long long)off);
    for (size_t i = 0; i < snapshot->route_count; i++) {
        off = rkb_books_imbalance(&snapshot->routes[i].books);
        if (off != 0)
            return say(look, "the books of route %s do not balance (off by %lld): a defect of rkbridge, report it with "
                       "what rkbctl stats says", snapshot->routes[i].name, (long long)off);
    }
    return false;
}

/* ---- Kafka ---- */

static bool is_over_budget(const struct rkb_snapshot *snapshot)
{
    return !snapshot->kafka.connected && snapshot->kafka.away_seconds > snapshot->kafka.outage_budget_seconds;
}

static bool kafka_away_long(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    if (!is_over_budget(snapshot))
        return false;
    began_before(look, snapshot->kafka.away_seconds);
    return say(look, "no broker of Kafka has been connected for %s (kafka.outage_budget is %s), messages wait in the "
               "journal",
               duration(snapshot->kafka.away_seconds).text, duration(snapshot->kafka.outage_budget_seconds).text);
}

static bool kafka_away(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    double left = snapshot->journal.seconds_to_full;
    if (snapshot->kafka.connected || is_over_budget(snapshot))
        return false;
    began_before(look, snapshot->kafka.away_seconds);
    say(look, "Kafka is not connected, messages wait in the journal");
    if (left > 0 && left < UNKNOWN_AGE && !snapshot->journal.full)
        say_behind(look, ", which has room for %s", duration(left).text);
    return true;
}

static bool topic_missing(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    return snapshot->kafka.topics_missing > 0
        && say(look, "Kafka lacks %s %s", snapshot->kafka.topics_missing == 1 ? "the topic" : "the topics",
               snapshot->kafka.missing_topics);
}

static bool record_refused(const struct rkb_look *look)
{
    return look->snapshot->kafka.refused != NULL && say(look, "%s", look->snapshot->kafka.refused);
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

static bool backlog_old(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    double seconds = snapshot->pause_count > 0 ? snapshot->journal.oldest_moving_seconds
                                               : snapshot->journal.oldest_pending_seconds;
    if (!(seconds >= LONG_PENDING_S && seconds < UNKNOWN_AGE))
        return false;
    const char *topic = look->snapshot->kafka.connected ? oldest_topic(look->snapshot) : "";
    began_before(look, seconds);
    return say(look, "the oldest record has waited %s for Kafka%s%s", duration(seconds).text,
               topic[0] != '\0' ? ", its topic is " : "", topic);
}

static bool dead_letters(const struct rkb_look *look)
{
    const struct rkb_rise *rise = look->memory != NULL ? &look->memory->dead_letters : NULL;
    if (rise == NULL || !rise->ever || look->snapshot->uptime_seconds - rise->at > RECENT_S)
        return false;
    return say(look, "%llu message%s became dead letter%s since the start, the last %s ago",
               (unsigned long long)rise->value, plural(rise->value), plural(rise->value),
               duration(look->snapshot->uptime_seconds - rise->at).text);
}

static bool dead_letter_file(const struct rkb_look *look)
{
    uint64_t bytes = look->snapshot->kafka.dead_letter_bytes, limit = look->snapshot->kafka.dead_letter_limit;
    return limit > 0 && bytes / 4 >= limit / 5      /* 80 % */
        && say(look, "the dead-letter file holds %s of at most %s", size_of((double)bytes).text,
               size_of((double)limit).text);
}

/* ---- the journal ---- */

static bool journal_full(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    return snapshot->journal.full
        && say(look, "the journal is full (%s), messages are being dropped",
               snapshot->journal.limit == NULL ? "no room" : snapshot->journal.limit);
}

static bool full_within(const struct rkb_look *look, double at_least, double below)
{
    double seconds = look->snapshot->journal.seconds_to_full;
    return !look->snapshot->journal.full && seconds >= at_least && seconds < below
        && say(look, "at the present rate the journal is full in %s: %s, or raise journal.max_size",
               duration(seconds).text,
               look->snapshot->kafka.connected ? "Kafka takes less than comes" : "bring Kafka back");
}

static bool journal_full_soon(const struct rkb_look *look)
{
    return full_within(look, 0, SOON_FULL_S);
}

static bool journal_filling(const struct rkb_look *look)
{
    return full_within(look, SOON_FULL_S, FILLING_S);
}

static bool not_durable(const struct rkb_look *look)
{
    return look->snapshot->journal.disk_error != NULL
        && say(look, "the disk fails, what is read now is not durable: %s", look->snapshot->journal.disk_error);
}

static bool ring_lost(const struct rkb_look *look)
{
    return !look->snapshot->journal.ring_outlives && look->snapshot->journal.ring_wanted
        && say(look, "the ring is not in journal.ring_directory, where it was to be: a kill -9 loses what is in it");
}

static bool ring_anonymous(const struct rkb_look *look)
{
    return !look->snapshot->journal.ring_outlives && !look->snapshot->journal.ring_wanted
        && say(look, "a kill -9 loses what is in the ring: journal.ring_directory may name a tmpfs");
}

/* ---- gaps ---- */

/* By what is known of a power loss only: no loss by itself. */
static bool loses_nothing(const struct rkb_gap_snapshot *gap)
{
    return gap->bound == 0 || strcmp(gap->reason, "not_durable") == 0;
}

static bool gap_open(const struct rkb_look *look)
{
    const struct rkb_gap_snapshot *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < look->snapshot->gap_count; i++) {
        const struct rkb_gap_snapshot *gap = &look->snapshot->gaps[i];
        if (gap->to_us != 0 || loses_nothing(gap))
            continue;
        if (count++ == 0)
            first = gap;
    }
    if (first == NULL)
        return false;
    *look->began_us = first->from_us;
    return say(look, "gap %llu of source %s is open (%s): messages may be missing until it ends",
               (unsigned long long)first->id, first->source, first->reason)
        && and_more(look, count - 1, "gap");
}

static bool is_restart(const struct rkb_gap_snapshot *gap)
{
    return strcmp(gap->reason, "restart") == 0;
}

/* Which ended within the last hour. Those of restarts are told otherwise: somebody may have asked for one. */
static bool gaps_recent(const struct rkb_look *look)
{
    const struct rkb_gap_snapshot *last = NULL;
    uint64_t sum = 0;
    size_t count = 0;
    bool known = true;
    for (size_t i = 0; i < look->snapshot->gap_count; i++) {
        const struct rkb_gap_snapshot *gap = &look->snapshot->gaps[i];
        if (gap->to_us == 0 || gap->to_us < look->snapshot->now_us - HOUR_US || loses_nothing(gap) || is_restart(gap))
            continue;
        if (count++ == 0)
            *look->began_us = gap->from_us;
        last = gap;
        known = known && gap->bound != UINT64_MAX;
        sum += gap->bound;
    }
    if (count == 0)
        return false;
    say(look, "%zu gap%s within the last hour (the last: source %s, %s): ", count, plural(count), last->source,
        last->reason);
    if (known)
        return say_behind(look, "at most %llu message%s missing", (unsigned long long)sum, sum == 1 ? " is" : "s are");
    return say_behind(look, "how many messages are missing is not known");
}

/* Each source has a gap of its own: those of the newest one's are counted. */
static size_t starts_within_hour(const struct rkb_snapshot *snapshot)
{
    const char *source = NULL;
    size_t count = 0;
    for (size_t i = snapshot->gap_count; i-- > 0;) {
        const struct rkb_gap_snapshot *gap = &snapshot->gaps[i];
        if (!is_restart(gap) || (gap->to_us != 0 && gap->to_us < snapshot->now_us - HOUR_US))
            continue;
        if (source == NULL)
            source = gap->source;
        count += strcmp(source, gap->source) == 0;
    }
    return count;
}

static bool restarts(const struct rkb_look *look)
{
    size_t count = starts_within_hour(look->snapshot);
    return count >= MANY_STARTS
        && say(look, "rkbridge was started %zu times within the last hour, each time with a gap", count);
}

/* Not where Redis's count shows that nothing is missing. */
static bool restarted(const struct rkb_look *look)
{
    size_t count = 0;
    for (size_t i = 0; i < look->snapshot->gap_count; i++) {
        const struct rkb_gap_snapshot *gap = &look->snapshot->gaps[i];
        count += is_restart(gap) && gap->bound != 0 && gap->to_us >= look->snapshot->now_us - HOUR_US;
    }
    return count > 0 && starts_within_hour(look->snapshot) < MANY_STARTS
        && say(look, "rkbridge was started anew within the last hour: a gap says what may be missing");
}

/* ---- the process ---- */

static bool log_lines_lost(const struct rkb_look *look)
{
    const struct rkb_rise *rise = look->memory != NULL ? &look->memory->log_lines : NULL;
    if (rise == NULL || !rise->ever || look->snapshot->uptime_seconds - rise->at > RECENT_S)
        return false;
    return say(look, "%llu log line%s lost since the start, the last %s ago: whoever reads the log is too slow",
               (unsigned long long)rise->value, rise->value == 1 ? " was" : "s were",
               duration(look->snapshot->uptime_seconds - rise->at).text);
}

static bool reload_refused(const struct rkb_look *look)
{
    return look->snapshot->config.refused
        && say(look, "what runs is not what the config file says, its last reload was refused: %s",
               look->snapshot->config.why);
}

/* Lingering, and then draining. */
static bool draining(const struct rkb_look *look)
{
    const struct rkb_snapshot *snapshot = look->snapshot;
    struct words left = duration(snapshot->ending_seconds);
    uint64_t waiting = snapshot->totals.pending;
    if (snapshot->lingering)
        return say(look, "asked to end: it takes messages for %s more (linger), then ships what waits and ends",
                   left.text);
    return snapshot->draining
        && say(look, "shutting down: it takes no more, and ships what waits (%llu record%s) for %s more at the most",
               (unsigned long long)waiting, plural(waiting), left.text);
}

static bool not_ready(const struct rkb_look *look)
{
    return !look->snapshot->ready && look->found == 0 && say(look, "not ready yet");
}

/*
 * The rules. Of one severity the first comes first: what loses messages, then what will, then what only waits.
 *
 * BAD at once is what can be nothing else; what a reconnect, a restart of a neighbour or a burst brings along is WARN,
 * or not said, until it lasts.
 */
#define IN_RUNBOOK(word, severity, quiet_s, grace_s) \
    {#word, RKB_SEVERITY_##severity, quiet_s, grace_s, RKB_VERDICT_PAGE "#" #word, word}
#define BY_COMMAND(word, severity, quiet_s, grace_s, command) \
    {#word, RKB_SEVERITY_##severity, quiet_s, grace_s, command, word}

const struct rkb_rule rkb_verdict_rules[] = {
    IN_RUNBOOK(journal_full, BAD, 0, 0),
    IN_RUNBOOK(not_subscribed, BAD, 0, AWAY_S),
    IN_RUNBOOK(held, BAD, 0, AWAY_S),
    IN_RUNBOOK(shipped_twice, BAD, 0, AWAY_S),
    IN_RUNBOOK(subscription_refused, BAD, 0, 0),
    IN_RUNBOOK(replica_link_down, BAD, 0, AWAY_S),
    IN_RUNBOOK(intake_stopped, BAD, 0, 900),
    IN_RUNBOOK(books_unbalanced, BAD, 0, 0),
    IN_RUNBOOK(not_durable, BAD, 0, 0),
    IN_RUNBOOK(output_buffer, BAD, 0, 10),
    IN_RUNBOOK(journal_full_soon, BAD, 10, 0),
    IN_RUNBOOK(canary_lost, BAD, 0, AWAY_S),
    IN_RUNBOOK(not_read, BAD, 2, 30),
    IN_RUNBOOK(kafka_away_long, BAD, 0, 0),
    IN_RUNBOOK(kafka_away, WARN, 0, 0),
    IN_RUNBOOK(topic_missing, WARN, 0, 0),
    IN_RUNBOOK(record_refused, WARN, 0, 0),
    IN_RUNBOOK(canary_late, WARN, 0, 0),
    IN_RUNBOOK(canary_refused, WARN, 0, 0),
    IN_RUNBOOK(journal_filling, WARN, 10, 0),
    IN_RUNBOOK(backlog_old, WARN, 0, 0),
    BY_COMMAND(paused, WARN, 0, 0, "rkbctl pause"),
    IN_RUNBOOK(pauses_unread, WARN, 0, 0),
    IN_RUNBOOK(dead_letter_file, WARN, 0, 0),
    IN_RUNBOOK(dead_letters, WARN, 0, 0),
    IN_RUNBOOK(stall_budget_short, WARN, 10, 0),
    IN_RUNBOOK(restarts, WARN, 0, 0),
    IN_RUNBOOK(reload_refused, WARN, 0, 0),
    BY_COMMAND(gap_open, WARN, 10, 0, "rkbctl gaps 1h"),
    BY_COMMAND(gaps_recent, WARN, 0, 0, "rkbctl gaps 1h"),
    IN_RUNBOOK(ring_lost, WARN, 0, 0),
    IN_RUNBOOK(log_lines_lost, WARN, 0, 0),
    IN_RUNBOOK(draining, WARN, 0, 0),
    IN_RUNBOOK(not_ready, WARN, 0, 0),
    BY_COMMAND(restarted, OK, 0, 0, "rkbctl gaps 1h"),
    IN_RUNBOOK(ring_anonymous, OK, 0, 0),
    IN_RUNBOOK(tls_unverified, OK, 0, 0),
};

_Static_assert(sizeof rkb_verdict_rules / sizeof rkb_verdict_rules[0] == RKB_VERDICT_ROWS,
               "RKB_VERDICT_ROWS says how many rules there are");
