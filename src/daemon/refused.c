/* refused -- see refused.h. */
#include "daemon/refused.h"

#include <stdio.h>
#include <string.h>

#define REASON "refused"

static void describe(const struct rkb_relay_source *source, bool is_pattern, struct rkb_slice name, enum rkb_lack lack,
                     struct rkb_refused_text *out)
{
    const struct rkb_subscription *subscription = rkb_router_find(rkb_relay_wanted(source), is_pattern, name);
    const struct rkb_relay_route *route = subscription != NULL ? subscription->route : NULL;
    out->source = source->config->name;
    out->route = route != NULL ? route->config->name : "";
    int used = snprintf(out->name, sizeof out->name, "%s ", is_pattern ? "pattern" : "channel");
    rkb_printable(out->name + used, sizeof out->name - (size_t)used, name);
    rkb_refusal_rule(out->rule, source->config->user, is_pattern, name, lack);
}

void rkb_refused_tell(struct rkb_relay_source *source, bool is_pattern, struct rkb_slice name, enum rkb_lack lack,
                      struct rkb_slice words)
{
    struct rkb_refused_text text;
    char shown[160];
    describe(source, is_pattern, name, lack, &text);
    rkb_printable(shown, sizeof shown, words);
    rkb_log(source->relay->options.log, RKB_LOG_ERROR, source->object, "subscription_refused",
            "route %s gets nothing from %s, Redis says %s; the rule that is missing: %s", text.route, text.name,
            shown, text.rule);
    /* Open already where another was refused, or this one on an earlier connection: it stays until all stand. */
    if (rkb_gaps_find_open(source->relay->gaps, source->config->name, REASON) == NULL)
        rkb_relay_open_gap(source, REASON, source->changing ? source->relay->options.sys->realtime_us()
                                                            : source->stream_us);
}

void rkb_refused_allowed(struct rkb_relay_source *source, bool is_pattern, struct rkb_slice name)
{
    struct rkb_refused_text text;
    describe(source, is_pattern, name, RKB_LACKS_NOTHING, &text);
    rkb_log(source->relay->options.log, RKB_LOG_INFO, source->object, "subscription_allowed",
            "%s of route %s was refused, and is confirmed now", text.name, text.route);
}

/* An error is an answer: the connection lives, and nothing is lost. */
void rkb_refused_heartbeat(struct rkb_relay_source *source, struct rkb_slice words)
{
    struct rkb_log *log = source->relay->options.log;
    struct rkb_error error;
    char rule[RKB_RULE_SIZE] = "";
    if (words.size == 0) {
        rkb_log(log, RKB_LOG_INFO, source->object, "heartbeat_answered", "Redis answers PING again");
        return;
    }
    rkb_refusal(&error, "PING", words, "");
    if (rkb_refusal_lack(words) == RKB_LACKS_COMMAND)
        rkb_refusal_command_rule(rule, source->config->user, "ping");
    rkb_log(log, RKB_LOG_INFO, source->object, "heartbeat_refused",
            "%s; that is an answer too, so the connection lives and messages come%s%s", error.text,
            rule[0] != '\0' ? "; the rule that is missing: " : "", rule);
}

/* Where all must stand at the start, and do not. */
static void give_up(struct rkb_relay_source *source, size_t refused)
{
    const struct rkb_relay_options *options = &source->relay->options;
    rkb_log(options->log, RKB_LOG_ERROR, source->object, "start_failed",
            "%zu of %zu subscriptions are refused, and start is strict: ending; give the rights named above, or set "
            "start: lenient",
            refused, rkb_router_count(rkb_relay_wanted(source)));
    if (options->refused != NULL)
        options->refused(options->refused_context);
}

void rkb_refused_settled(struct rkb_relay_source *source, int64_t time_us, size_t refused)
{
    const struct rkb_relay_options *options = &source->relay->options;
    size_t count = rkb_router_count(rkb_relay_wanted(source));
    if (refused == 0) {
        struct rkb_gap *gap = rkb_gaps_find_open(source->relay->gaps, source->config->name, REASON);
        source->was_whole = true;
        if (gap != NULL)
            rkb_relay_close_gap(source, gap, time_us);
        rkb_log(options->log, RKB_LOG_INFO, source->object, "subscribed", "all %zu subscriptions are confirmed", count);
        return;
    }
    rkb_log(options->log, RKB_LOG_WARN, source->object, "subscribed_in_part",
            "%zu of %zu subscriptions are confirmed, the others refused; they are asked for again",
            count - refused, count);
    if (source->relay->strict && !source->was_whole)
        give_up(source, refused);
}

size_t rkb_refused_list(const struct rkb_relay *relay, struct rkb_refused_text *out, size_t room)
{
    size_t count = 0;
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        const struct rkb_relay_source *source = &relay->sources[i];
        struct rkb_refused refused;
        for (size_t at = 0; count < room && rkb_subscriber_next_refused(source->subscriber, &at, &refused);)
            describe(source, refused.is_pattern, refused.name, refused.lack, &out[count++]);
    }
    return count;
}
