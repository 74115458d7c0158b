/*
 * watch_rival -- what a watch does about another bridge on the same Redis: looks, decides, holds, yields, takes over.
 */
#include "daemon/watch_state.h"

#include <stdio.h>

#define YIELD_US INT64_C(2000000)       /* for Redis to confirm that we are unsubscribed */
#define MOST_STRANGE 2                  /* looks at a rival without a watcher before we yield to it */

static void describe(struct rkb_watch *watch)
{
    const struct rkb_rival *rival = &watch->rival;
    char other[64] = "";
    if (rival->watcher != 0)
        snprintf(other, sizeof other, " and %llu", (unsigned long long)rival->watcher);
    snprintf(watch->rival_text, sizeof watch->rival_text,
             "another bridge, instance %s at %s (client%s %llu%s), is subscribed to the same Redis: stop one of the "
             "two, or, where they ship different routes, set redis.%s.allow_parallel: yes in both",
             rival->instance, rival->address, rival->watcher != 0 ? "s" : "", (unsigned long long)rival->subscriber,
             other, watch->source->config->name);
}

void rkb_watch_look(struct rkb_watch *watch)
{
    bool refused = watch->refused[RKB_ASK_SUBSCRIBED] || watch->refused[RKB_ASK_NORMAL];
    if (!watch->looks || refused || watch->id == 0 || !rkb_watcher_ready(watch->watcher))
        return;
    watch->again = watch->looking;
    if (watch->looking)
        return;
    watch->looking = true;
    rkb_rivals_begin(&watch->rivals);
    rkb_watcher_ask(watch->watcher, RKB_ASK_SUBSCRIBED, NULL);
}

/* Where all must stand at the start, and cannot. */
static void give_up(struct rkb_watch *watch)
{
    const struct rkb_relay_options *options = &watch->source->relay->options;
    rkb_log(options->log, RKB_LOG_ERROR, watch->source->object, "start_failed",
            "another bridge is subscribed, and start is strict: ending; stop it, or wait for its end with "
            "start: lenient");
    if (options->refused != NULL)
        options->refused(options->refused_context);
}

static void hold(struct rkb_watch *watch)
{
    bool at_start = watch->standing == LOOKING && !watch->source->was_whole;
    if (watch->standing != HELD)
        rkb_log(rkb_watch_log(watch), RKB_LOG_ERROR, watch->source->object, "another_bridge",
                "%s; not subscribing until it is gone", watch->rival_text);
    if (watch->standing == LOOKING)
        rkb_watch_arm(watch, watch->period_us);
    watch->standing = HELD;
    rkb_relay_wait(watch->source, 0);
    if (at_start && watch->source->relay->strict)
        give_up(watch);
}

void rkb_watch_let_go(struct rkb_watch *watch, const char *why)
{
    bool was_held = watch->standing == HELD;
    if (watch->source->relay->intake_off)
        return;
    if (watch->standing == LOOKING)
        rkb_watch_arm(watch, watch->period_us);
    watch->standing = FREE;
    watch->strange = watch->blind = 0;
    if (was_held)
        rkb_log(rkb_watch_log(watch), RKB_LOG_WARN, watch->source->object, "takes_over", "%s: subscribing", why);
    rkb_subscriber_start(watch->source->subscriber);
}

static void yield_to(struct rkb_watch *watch)
{
    watch->standing = YIELDING;
    rkb_log(rkb_watch_log(watch), RKB_LOG_ERROR, watch->source->object, "another_bridge",
            "%s; it was there first: unsubscribing until it is gone", watch->rival_text);
    rkb_subscriber_stop(watch->source->subscriber, YIELD_US);
}

/*
 * Whether a rival without a watcher has been there for a while. It may be a source of our own process that came back
 * together with this one, and whose watcher has not said yet whose it is.
 */
static bool has_stayed(struct rkb_watch *watch)
{
    int64_t now_us = rkb_watch_sys(watch)->monotonic_us();
    if (watch->strange++ == 0)
        watch->strange_us = now_us;
    return watch->strange >= MOST_STRANGE && now_us - watch->strange_us >= watch->period_us / 2;
}

/*
 * We are subscribed, or about to be, and so is another: the later connection yields, which looks as soon as it is
 * there. One without a watcher does not look, and so never yields.
 */
static void settle(struct rkb_watch *watch)
{
    uint64_t own = rkb_watch_subscriber(watch);
    if (watch->rival.watcher == 0 && !has_stayed(watch))
        return;
    if (watch->rival.watcher == 0 || own == 0 || watch->rival.subscriber < own) {
        yield_to(watch);
    } else if (!watch->both_said) {
        watch->both_said = true;
        rkb_log(rkb_watch_log(watch), RKB_LOG_WARN, watch->source->object, "another_bridge",
                "%s; it came later and is to yield, until then messages are shipped twice", watch->rival_text);
    }
}

static void decide(struct rkb_watch *watch)
{
    const struct rkb_rival *found = rkb_rivals_find(&watch->rivals);
    watch->looking = false;
    watch->known = true;
    watch->blind = 0;
    watch->has_rival = found != NULL;
    if (found != NULL) {
        watch->rival = *found;
        describe(watch);
    } else {
        watch->strange = 0;
        watch->both_said = false;
    }
    if (watch->stopping || watch->standing == YIELDING)
        return;
    if (watch->standing == FREE && found != NULL)
        settle(watch);
    else if (watch->standing != FREE && found != NULL)
        hold(watch);
    else if (watch->standing != FREE)
        rkb_watch_let_go(watch, "the other bridge is gone");
    if (watch->again)
        rkb_watch_look(watch);
}

void rkb_watch_decide_blindly(struct rkb_watch *watch, const char *why)
{
    watch->looking = watch->again = watch->known = watch->has_rival = false;
    if (watch->stopping || (watch->standing != LOOKING && watch->standing != HELD))
        return;
    rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, watch->source->object, "unwatched",
            "cannot look for another bridge (%s): subscribing all the same", why);
    rkb_watch_let_go(watch, "another bridge cannot be looked for any more");
}

void rkb_watch_stopped(struct rkb_watch *watch)
{
    if (watch == NULL)
        return;
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(watch->source->subscriber, &figures);
    watch->standing = HELD;
    rkb_relay_wait(watch->source, figures.caught_up_us);
}

void rkb_watch_rest(struct rkb_watch *watch)
{
    if (watch != NULL)
        watch->standing = HELD;
}

/* As at the start. */
void rkb_watch_look_anew(struct rkb_watch *watch)
{
    watch->standing = LOOKING;
    watch->blind = watch->strange = 0;
    if (!watch->looks) {
        rkb_watch_let_go(watch, "");
        return;
    }
    rkb_watch_arm(watch, watch->source->config->connect_timeout);
    rkb_watch_look(watch);
}

void rkb_watch_looked(struct rkb_watch *watch, enum rkb_question question, const struct rkb_error *refused)
{
    if (refused != NULL)
        rkb_watch_decide_blindly(watch, refused->text);
    else if (question == RKB_ASK_SUBSCRIBED && watch->rivals.count > 0)
        rkb_watcher_ask(watch->watcher, RKB_ASK_NORMAL, NULL);
    else
        decide(watch);
}
