/*
 * watch_canary -- sends the canaries of a source by its second connection, and tells what came of them; see canary.h.
 *
 *     timer, "subscribed", "ready" --> may one go? --yes--> PUBLISH --answered--> counted; refused: said once, and
 *                                      no: looked again with the timer            later again; heard by nobody: said
 *
 * One goes only while its own subscription is confirmed, nothing rests on purpose, and nothing else that was asked is
 * still to be answered: so it never keeps what watches Redis from being asked. It costs a message of its route a call,
 * and other messages nothing.
 */
#include "daemon/watch_state.h"

#include <event2/event.h>
#include <stdio.h>

#define SOON_US INT64_C(50000)      /* to look again, while an answer is open */
#define UNHEARD 2                   /* one may have gone out while our subscription was being lost */

static const struct rkb_config *config_of(const struct rkb_watch *watch)
{
    return watch->source->relay->options.config;
}

static int64_t now_us(const struct rkb_watch *watch)
{
    return rkb_watch_sys(watch)->monotonic_us();
}

/* The canary's own subscription, as messages are taken by it now; NULL: there is none. */
static const struct rkb_subscription *subscription_of(const struct rkb_watch *watch)
{
    const struct rkb_config *config = config_of(watch);
    char channel[sizeof RKB_CANARY_PREFIX + 2 * 65];
    snprintf(channel, sizeof channel, RKB_CANARY_PREFIX "%.64s:%.64s", config->instance, watch->source->config->name);
    return rkb_router_find(watch->source->router, false, rkb_slice_text(channel));
}

static const struct rkb_relay_route *route_of(const struct rkb_watch *watch)
{
    const struct rkb_subscription *subscription = subscription_of(watch);
    return subscription != NULL ? subscription->route : NULL;
}

/* Somebody paused its route or its topic, or we are about to end: nothing is asked of it meanwhile. */
static bool rests(const struct rkb_watch *watch, const struct rkb_relay_route *route)
{
    const struct rkb_relay *relay = watch->source->relay;
    struct rkb_pause_list list;
    if (relay->ending || relay->stopping)
        return true;
    if (relay->pauses == NULL || route == NULL)
        return false;
    rkb_pauses_list(relay->pauses, &list);
    return rkb_pauses_has(&list, false, route->number) || rkb_pauses_has(&list, true, route->topic);
}

/* ---- sending ---- */

static void arm(struct rkb_watch *watch, int64_t us)
{
    const struct timeval time = {us / 1000000, us % 1000000};
    if (!watch->stopping)
        event_add(watch->canary.timer, &time);
}

static void publish(struct rkb_watch *watch, const struct rkb_subscription *subscription)
{
    struct rkb_watch_canary *own = &watch->canary;
    int64_t real_us = rkb_watch_sys(watch)->realtime_us();
    char payload[RKB_CANARY_PAYLOAD];
    const struct rkb_slice words[] = {
        subscription->name.plain,
        rkb_canary_next(&own->canary, config_of(watch)->instance, watch->source->config->name, real_us, payload)};
    own->open = true;
    own->receivers = -1;
    rkb_canary_sent(&own->canary, now_us(watch), real_us);
    rkb_watcher_ask_names(watch->watcher, RKB_ASK_PUBLISH, words, 2);
}

/* Sends one where one is due and may go; says when to look again. */
static int64_t send_if_due(struct rkb_watch *watch, const struct rkb_subscription *subscription)
{
    struct rkb_watch_canary *own = &watch->canary;
    int64_t now = now_us(watch), interval = config_of(watch)->canary.interval;
    if (!rkb_watcher_ready(watch->watcher) || now < own->again_us || rests(watch, subscription->route))
        return interval;
    if (now < own->next_us)
        return own->next_us - now;
    if (own->open || rkb_watcher_busy(watch->watcher))
        return SOON_US < interval ? SOON_US : interval;
    publish(watch, subscription);
    own->next_us = now + interval;
    return interval;
}

/* Its subscription stands, anew: what came before proves nothing of that. */
static void begin(struct rkb_watch *watch)
{
    struct rkb_watch_canary *own = &watch->canary;
    if (own->trusts)
        rkb_canary_trust(&own->canary, now_us(watch));
    else
        rkb_canary_begin(&own->canary, now_us(watch));
    own->trusts = false;
    own->next_us = 0;
}

static void turn(struct rkb_watch *watch)
{
    struct rkb_watch_canary *own = &watch->canary;
    const struct rkb_subscription *subscription = subscription_of(watch);
    bool stands = subscription != NULL && subscription->confirmed && watch->source->streaming;
    if (!own->on || watch->stopping)
        return;
    rkb_watch_canary_look(watch, rkb_shipper_figures(watch->source->relay->shipper));
    if (stands && !own->began)
        begin(watch);
    own->began = stands;
    arm(watch, stands ? send_if_due(watch, subscription) : config_of(watch)->canary.interval);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    turn(context);
}

/* ---- what others tell ---- */

void rkb_watch_canary_ready(struct rkb_watch *watch)
{
    watch->canary.open = false;
    watch->canary.again_us = 0;
    turn(watch);
}

void rkb_watch_canary_streaming(struct rkb_watch *watch)
{
    watch->canary.began = watch->canary.trusts = false;
}

void rkb_watch_canary_subscribed(struct rkb_watch *watch)
{
    if (watch != NULL)
        turn(watch);
}

void rkb_watch_canary_lost(struct rkb_watch *watch)
{
    watch->canary.open = false;
}

void rkb_watch_canary_number(struct rkb_watch *watch, long long receivers)
{
    watch->canary.receivers = receivers;
}

static void say_refused(struct rkb_watch *watch, const struct rkb_error *refused)
{
    struct rkb_watch_canary *own = &watch->canary;
    const struct rkb_subscription *subscription = subscription_of(watch);
    struct rkb_buffer rule = {0};
    bool is_right = strstr(refused->text, "NOPERM") != NULL && subscription != NULL;
    if (is_right) {
        rkb_buffer_text(&rule, "; the rule that is missing: ");
        rkb_refusal_begin(&rule, watch->source->config->user);
        rkb_buffer_text(&rule, " +publish");
        rkb_refusal_add_name(&rule, false, subscription->name.plain);
        own->again_us = now_us(watch) + watch->source->config->retry_refused;
    }
    snprintf(own->refused, sizeof own->refused, "%.250s%.*s", refused->text, (int)rule.size,
             rule.data != NULL ? (const char *)rule.data : "");
    rkb_buffer_free(&rule);
    if (!own->said)
        rkb_log(rkb_watch_log(watch), RKB_LOG_ERROR, watch->source->object, "canary_refused",
                "no canary can be sent, so this rkbridge is not ready: %s", own->refused);
    own->said = true;
}

static void say_allowed(struct rkb_watch *watch)
{
    struct rkb_watch_canary *own = &watch->canary;
    if (own->said)
        rkb_log(rkb_watch_log(watch), RKB_LOG_INFO, watch->source->object, "canary_allowed",
                "Redis takes the canary, which it refused before");
    own->said = false;
    own->refused[0] = '\0';
}

void rkb_watch_canary_answered(struct rkb_watch *watch, const struct rkb_error *refused)
{
    struct rkb_watch_canary *own = &watch->canary;
    own->open = false;
    if (refused != NULL) {
        rkb_canary_unsent(&own->canary);
        say_refused(watch, refused);
        return;
    }
    say_allowed(watch);
    own->unheard = own->receivers == 0 ? own->unheard + 1 : 0;
    if (own->unheard == UNHEARD)
        rkb_log(rkb_watch_log(watch), RKB_LOG_WARN, watch->source->object, "canary_unheard",
                "Redis takes the canary and gives it to nobody, though its channel is subscribed to: the second "
                "connection reaches another Redis than the first; give the url an address that is one Redis's");
}

void rkb_watch_canary_came(struct rkb_watch *watch, struct rkb_slice payload, uint64_t record)
{
    if (watch != NULL)
        (void)rkb_canary_came(&watch->canary.canary, payload, record);
}

/* ---- looking ---- */

void rkb_watch_canary_look(struct rkb_watch *watch, const struct rkb_shipped *shipped)
{
    if (watch == NULL || !watch->canary.on)
        return;
    struct rkb_canary *canary = &watch->canary.canary;
    const struct rkb_relay_route *route = route_of(watch);
    int64_t now = now_us(watch);
    if (route != NULL) {
        const struct rkb_shipped_route *done = rkb_shipped_of(shipped, route->number);
        rkb_canary_shipped(canary, done->newest, done->newest_us, done->dead_lettered);
    }
    if (rests(watch, route))
        rkb_canary_excuse(canary, RKB_CANARY_REDIS, now);
    if (rests(watch, route) || shipped->away_us > 0)
        rkb_canary_excuse(canary, RKB_CANARY_KAFKA, now);
}

static struct rkb_canary_leg_snapshot leg_of(const struct rkb_watch *watch, enum rkb_canary_leg leg)
{
    const struct rkb_canary *canary = &watch->canary.canary;
    return (struct rkb_canary_leg_snapshot){canary->legs[leg].proven,
                                            (double)rkb_canary_age_us(canary, leg, now_us(watch)) / 1e6};
}

void rkb_watch_canary_figures(const struct rkb_watch *watch, struct rkb_canary_snapshot *figures)
{
    *figures = (struct rkb_canary_snapshot){.sent = -1, .received = -1, .acknowledged = -1, .success_seconds = -1};
    if (watch == NULL || !watch->canary.on)
        return;
    const struct rkb_watch_canary *own = &watch->canary;
    const struct rkb_canary *canary = &own->canary;
    *figures = (struct rkb_canary_snapshot){
        .on = true,
        .rests = rests(watch, route_of(watch)),
        .refused = own->refused[0] != '\0' ? own->refused : NULL,
        .unheard = own->unheard >= UNHEARD,
        .unsent = !watch->connected,
        .redis = leg_of(watch, RKB_CANARY_REDIS),
        .kafka = leg_of(watch, RKB_CANARY_KAFKA),
        .late_after_seconds = (double)config_of(watch)->canary.late_after / 1e6,
        .topic = config_of(watch)->canary.topic,
        .sent = (int64_t)canary->sent,
        .received = (int64_t)canary->received,
        .acknowledged = (int64_t)canary->acknowledged,
        .success_seconds = canary->success_us > 0 ? (double)canary->success_us / 1e6 : -1,
        .round_trip = &canary->round_trip,
    };
}

/* ---- making it ---- */

/* What is sent less often may be late by new rules before the next one comes: so it has its time from now on. */
void rkb_watch_canary_reload(struct rkb_watch *watch)
{
    if (watch == NULL)
        return;
    struct rkb_watch_canary *own = &watch->canary;
    const struct rkb_config *config = config_of(watch);
    bool was_on = own->on;
    own->on = config->canary.topic != NULL;
    if (!own->on) {
        event_del(own->timer);
        return;
    }
    if (!was_on && watch->source->streaming) {
        rkb_canary_trust(&own->canary, now_us(watch));
        own->trusts = true;
    } else if (config->canary.interval != own->interval || config->canary.late_after != own->late_after) {
        rkb_canary_excuse(&own->canary, RKB_CANARY_REDIS, now_us(watch));
        rkb_canary_excuse(&own->canary, RKB_CANARY_KAFKA, now_us(watch));
        own->next_us = 0;
    }
    own->interval = config->canary.interval;
    own->late_after = config->canary.late_after;
    turn(watch);
}

bool rkb_watch_canary_init(struct rkb_watch *watch)
{
    watch->canary.timer = evtimer_new(watch->source->relay->options.base, on_timer, watch);
    rkb_canary_init(&watch->canary.canary, rkb_watch_sys(watch));
    return watch->canary.timer != NULL;
}

void rkb_watch_canary_free(struct rkb_watch *watch)
{
    if (watch->canary.timer != NULL)
        event_free(watch->canary.timer);
}
