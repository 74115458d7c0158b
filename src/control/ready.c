/* ready -- see ready.h. */
#include "control/ready.h"

#include "base/units.h"
#include "control/flow.h"

/* One reason, if there is somebody to tell it to. */
#define SAY(out, ...) \
    do { \
        if ((out) != NULL) \
            rkb_buffer_format((out), "not ready: " __VA_ARGS__); \
    } while (0)

static bool source_ready(const struct rkb_source_snapshot *source, struct rkb_buffer *out)
{
    if (!source->whole)
        SAY(out, "source %s has %u of %u subscriptions confirmed%s\n", source->name, source->subscribed, source->wanted,
            source->held ? ": another rkbridge is subscribed there" : "");
    if (source->unlinked)
        SAY(out, "source %s is a replica that has lost its master\n", source->name);
    return source->whole && !source->unlinked;
}

/* What a canary proves is flow; where other trouble is told, it has nothing to add. */
static bool flow_ready(const struct rkb_snapshot *snapshot, const struct rkb_source_snapshot *source,
                       struct rkb_buffer *out)
{
    enum rkb_flow flow = rkb_flow(snapshot, source);
    char why[400];
    if (flow == RKB_FLOW_OFF || flow == RKB_FLOW_UNASKED || flow == RKB_FLOW_PROVEN)
        return true;
    rkb_flow_say(source, flow, why, sizeof why);
    SAY(out, "canaries of source %s: %s\n", source->name, why);
    return false;
}

static bool journal_ready(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    if (snapshot->journal.full)
        SAY(out, "the journal is full (%s)\n", snapshot->journal.limit == NULL ? "" : snapshot->journal.limit);
    if (snapshot->journal.disk_error != NULL)
        SAY(out, "the journal's disk fails: what is read is not durable\n");
    return !snapshot->journal.full && snapshot->journal.disk_error == NULL;
}

static bool kafka_ready(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    char away[32], budget[32];
    if (snapshot->kafka.away_seconds <= snapshot->kafka.outage_budget_seconds)
        return true;
    rkb_format_duration(away, sizeof away, (int64_t)(snapshot->kafka.away_seconds * 1e6));
    rkb_format_duration(budget, sizeof budget, (int64_t)(snapshot->kafka.outage_budget_seconds * 1e6));
    SAY(out, "no broker of Kafka has been connected for %s (kafka.outage_budget is %s)\n", away, budget);
    return false;
}

bool rkb_ready(const struct rkb_snapshot *snapshot, struct rkb_buffer *out)
{
    bool ready = true;
    if (snapshot->draining) {
        SAY(out, "ending, no message is taken any more\n");
        return false;
    }
    for (size_t i = 0; i < snapshot->source_count; i++)
        ready = source_ready(&snapshot->sources[i], out) && flow_ready(snapshot, &snapshot->sources[i], out) && ready;
    ready = journal_ready(snapshot, out) && ready;
    return kafka_ready(snapshot, out) && ready;
}
