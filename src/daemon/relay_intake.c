/*
 * relay_intake -- the intake, stopped and started because somebody asked for it; see relay.h.
 *
 *     runs --stop--> stopping: unsubscribing, what Redis still sends is taken --all sources--> stopped --start--> runs
 *
 * What is published meanwhile is missed: each source has a gap of its own reason, from the last read that took all
 * there was to all subscriptions confirmed. A lost connection's gap that is open already goes on. Over a restart:
 * a start subscribes, and the gap ends then.
 */
#include "daemon/relay.h"

#include "daemon/watch.h"

enum rkb_intake rkb_relay_intake(const struct rkb_relay *relay)
{
    if (!relay->intake_off)
        return RKB_INTAKE_RUNS;
    return relay->intake_left > 0 ? RKB_INTAKE_STOPPING : RKB_INTAKE_STOPPED;
}

void rkb_relay_stop_intake(struct rkb_relay *relay, int64_t timeout_us, void (*stopped)(void *context), void *context)
{
    size_t count = relay->options.config->source_count;
    relay->intake_off = true;
    relay->intake_left = count;
    relay->intake_us = relay->options.sys->realtime_us();
    relay->intake_stopped = stopped;
    relay->intake_context = context;
    for (size_t i = 0; i < count; i++) {
        rkb_subscriber_pause(relay->sources[i].subscriber, false);
        rkb_subscriber_stop(relay->sources[i].subscriber, timeout_us);
    }
}

void rkb_relay_intake_source_stopped(struct rkb_relay_source *source)
{
    struct rkb_relay *relay = source->relay;
    struct rkb_subscriber_figures figures;
    int64_t from_us = relay->intake_us;
    rkb_subscriber_figures(source->subscriber, &figures);
    if (figures.caught_up_us > 0 && figures.caught_up_us < from_us)
        from_us = figures.caught_up_us;
    if (source->away == NULL)
        source->away = rkb_relay_open_gap(source, "intake_stopped", from_us);
    rkb_watch_rest(source->watch);
    if (relay->intake_left > 0 && --relay->intake_left == 0)
        relay->intake_stopped(relay->intake_context);
}

void rkb_relay_start_intake(struct rkb_relay *relay)
{
    relay->intake_off = false;
    for (size_t i = 0; i < relay->options.config->source_count; i++) {
        if (relay->sources[i].watch != NULL)
            rkb_watch_look_anew(relay->sources[i].watch);
        else
            rkb_subscriber_start(relay->sources[i].subscriber);
    }
}
