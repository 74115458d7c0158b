/* flow -- see flow.h. */
#include "control/flow.h"

#include <stdio.h>

#include "base/units.h"

static bool is_late(const struct rkb_canary_snapshot *canary, const struct rkb_canary_leg_snapshot *leg)
{
    return leg->age_seconds > canary->late_after_seconds;
}

static bool asks_kafka(const struct rkb_snapshot *snapshot, const struct rkb_canary_snapshot *canary)
{
    double away = snapshot->kafka.away_seconds;
    return away <= 0 || (canary->acknowledged == 0 && away <= canary->late_after_seconds);
}

enum rkb_flow rkb_flow(const struct rkb_snapshot *snapshot, const struct rkb_source_snapshot *source)
{
    const struct rkb_canary_snapshot *canary = &source->canary;
    if (!canary->on)
        return RKB_FLOW_OFF;
    if (canary->rests || !source->whole)
        return RKB_FLOW_UNASKED;
    if (canary->refused != NULL)
        return RKB_FLOW_REFUSED;
    if (is_late(canary, &canary->redis))
        return canary->unheard || canary->unsent ? RKB_FLOW_UNHEARD : RKB_FLOW_NOT_BACK;
    if (!canary->redis.proven)
        return RKB_FLOW_BEGINS;
    if (!asks_kafka(snapshot, canary))
        return RKB_FLOW_PROVEN;
    if (is_late(canary, &canary->kafka))
        return RKB_FLOW_NOT_TAKEN;
    return canary->kafka.proven ? RKB_FLOW_PROVEN : RKB_FLOW_BEGINS;
}

static void say_late(const struct rkb_canary_snapshot *canary, const struct rkb_canary_leg_snapshot *leg,
                     const char *what, const char *why, char *out, size_t size)
{
    char age[32], limit[32];
    rkb_format_duration(age, sizeof age, (int64_t)leg->age_seconds * 1000000);
    rkb_format_duration(limit, sizeof limit, (int64_t)(canary->late_after_seconds * 1e6));
    snprintf(out, size, "%s for %s (canary.late_after is %s)%s", what, age, limit, why);
}

void rkb_flow_say(const struct rkb_source_snapshot *source, enum rkb_flow flow, char *out, size_t size)
{
    const struct rkb_canary_snapshot *canary = &source->canary;
    switch (flow) {
    case RKB_FLOW_OFF:
        snprintf(out, size, "off");
        break;
    case RKB_FLOW_UNASKED:
        snprintf(out, size, canary->rests ? "rests" : "waits for the subscriptions");
        break;
    case RKB_FLOW_PROVEN:
        snprintf(out, size, "comes the whole way");
        break;
    case RKB_FLOW_BEGINS:
        snprintf(out, size, "no canary has come the whole way yet");
        break;
    case RKB_FLOW_REFUSED:
        snprintf(out, size, "Redis does not take the canary: %.340s", canary->refused);
        break;
    case RKB_FLOW_UNHEARD:
        say_late(canary, &canary->redis, "no canary has come back from Redis",
                 canary->unsent ? ": none is sent, the second connection does not stand"
                                : ": Redis gave the last ones to nobody, the second connection reaches another one",
                 out, size);
        break;
    case RKB_FLOW_NOT_BACK:
        say_late(canary, &canary->redis, "no canary has come back from Redis", "", out, size);
        break;
    case RKB_FLOW_NOT_TAKEN:
        say_late(canary, &canary->kafka, "Kafka has acknowledged no canary", "", out, size);
        break;
    }
}

bool rkb_flow_find(const struct rkb_snapshot *snapshot, enum rkb_flow one, enum rkb_flow other, char *out, size_t size)
{
    for (size_t i = 0; i < snapshot->source_count; i++) {
        const struct rkb_source_snapshot *source = &snapshot->sources[i];
        enum rkb_flow flow = rkb_flow(snapshot, source);
        if (flow != one && flow != other)
            continue;
        int used = snprintf(out, size, "source %s: ", source->name);
        if (used > 0 && (size_t)used < size)
            rkb_flow_say(source, flow, out + used, size - (size_t)used);
        return true;
    }
    return false;
}
