/*
 * verdict -- see verdict.h; the rules are in verdict_rules.c.
 *
 *     holds:   ---seen--- quiet_s ---said as WARN--- grace_s ---said with its severity--->
 *     broken:  for less than BREAK_S: as if it had held all the time, so that what comes and goes is one trouble
 */
#include "control/verdict.h"

#include "control/verdict_rules.h"

#define BREAK_S 10.0
#define SAY_AFTER_S 10.0

struct rkb_verdict_row rkb_verdict_row(size_t index)
{
    const struct rkb_rule *rule = &rkb_verdict_rules[index];
    return (struct rkb_verdict_row){rule->word, rule->severity, rule->next};
}

/* ---- looking ---- */

static void see_rise(struct rkb_rise *rise, uint64_t value, double uptime)
{
    if (value > rise->value) {
        rise->at = uptime;
        rise->ever = true;
    }
    rise->value = value;
}

/* It is new: since now, or since the rule says that it began, be it before the start or as another row. */
static void begin_row(struct rkb_verdict_memory *memory, size_t row, const struct rkb_snapshot *snapshot,
                      int64_t began_us)
{
    bool earlier = began_us != 0 && began_us < snapshot->now_us;
    memory->rows[row].since_us = earlier ? began_us : snapshot->now_us;
    memory->rows[row].before = earlier ? (double)(snapshot->now_us - began_us) / 1e6 : 0;
    memory->rows[row].since = snapshot->uptime_seconds;
    memory->rows[row].ever = true;
}

/* How long the row has been seen to hold, now included; since when it does, and how long, comes to the reason. */
static double lasted(struct rkb_verdict_memory *memory, size_t row, const struct rkb_snapshot *snapshot,
                     int64_t began_us, struct rkb_reason *reason)
{
    double now = snapshot->uptime_seconds;
    reason->since_us = began_us;
    reason->seconds = began_us != 0 ? (double)(snapshot->now_us - began_us) / 1e6 : 0;
    if (memory == NULL)
        return 0;
    if (!memory->rows[row].ever || now - memory->rows[row].seen > BREAK_S)
        begin_row(memory, row, snapshot, began_us);
    memory->rows[row].seen = now;
    double seconds = now - memory->rows[row].since;
    reason->since_us = memory->rows[row].since_us;
    reason->seconds = seconds + memory->rows[row].before;
    return seconds;
}

/* Where the rule holds and is to be said, it is the next reason. */
static void try_rule(size_t row, struct rkb_look *look, struct rkb_verdict_memory *memory,
                     struct rkb_judgement *judgement)
{
    const struct rkb_rule *rule = &rkb_verdict_rules[row];
    struct rkb_reason *reason = &judgement->reasons[judgement->count];
    int64_t began_us = 0;
    look->what = reason->what;
    look->size = sizeof reason->what;
    look->began_us = &began_us;
    if (!rule->holds(look))
        return;
    double seconds = lasted(memory, row, look->snapshot, began_us, reason);
    if (seconds < rule->quiet_s)
        return;
    reason->word = rule->word;
    reason->next = rule->next;
    reason->severity = seconds < rule->grace_s ? RKB_SEVERITY_WARN : rule->severity;
    look->found += reason->severity > RKB_SEVERITY_OK;
    judgement->count++;
}

/* The worst first; of one severity they keep their order. */
static void sort(struct rkb_judgement *judgement)
{
    for (size_t i = 1; i < judgement->count; i++) {
        struct rkb_reason reason = judgement->reasons[i];
        size_t at = i;
        for (; at > 0 && judgement->reasons[at - 1].severity < reason.severity; at--)
            judgement->reasons[at] = judgement->reasons[at - 1];
        judgement->reasons[at] = reason;
    }
}

static void see_well(const struct rkb_snapshot *snapshot, struct rkb_verdict_memory *memory,
                     struct rkb_judgement *judgement)
{
    if (judgement->severity > RKB_SEVERITY_OK) {
        memory->well_us = 0;
        return;
    }
    if (memory->well_us == 0) {
        memory->well_us = snapshot->now_us;
        memory->well = snapshot->uptime_seconds;
    }
    judgement->since_us = memory->well_us;
    judgement->seconds = snapshot->uptime_seconds - memory->well;
}

void rkb_verdict_look(const struct rkb_snapshot *snapshot, struct rkb_verdict_memory *memory,
                      struct rkb_judgement *judgement)
{
    struct rkb_look look = {.snapshot = snapshot, .memory = memory};
    if (memory != NULL) {
        see_rise(&memory->dead_letters, snapshot->totals.dead_lettered, snapshot->uptime_seconds);
        see_rise(&memory->log_lines, snapshot->log_lines_lost_total, snapshot->uptime_seconds);
    }
    judgement->count = 0;
    judgement->severity = RKB_SEVERITY_OK;
    judgement->since_us = 0;
    judgement->seconds = 0;
    for (size_t i = 0; i < RKB_VERDICT_ROWS; i++)
        try_rule(i, &look, memory, judgement);
    sort(judgement);
    if (look.found > 0) {
        judgement->severity = judgement->reasons[0].severity;
        judgement->since_us = judgement->reasons[0].since_us;
        judgement->seconds = judgement->reasons[0].seconds;
    }
    if (memory != NULL)
        see_well(snapshot, memory, judgement);
}

const struct rkb_judgement *rkb_verdict_of(const struct rkb_snapshot *snapshot, struct rkb_judgement *room)
{
    if (snapshot->verdict != NULL)
        return snapshot->verdict;
    rkb_verdict_look(snapshot, NULL, room);
    return room;
}

bool rkb_verdict_changed(struct rkb_verdict_memory *memory, const struct rkb_judgement *judgement,
                         double uptime_seconds, enum rkb_severity *before)
{
    *before = memory->said;
    if (judgement->severity == memory->said) {
        memory->differs = false;
        return false;
    }
    if (!memory->differs)
        memory->differs_since = uptime_seconds;
    memory->differs = true;
    if (judgement->severity != RKB_SEVERITY_BAD && uptime_seconds - memory->differs_since < SAY_AFTER_S)
        return false;
    memory->said = judgement->severity;
    memory->differs = false;
    return true;
}

const char *rkb_severity_word(enum rkb_severity severity)
{
    switch (severity) {
    case RKB_SEVERITY_OK: return "OK";
    case RKB_SEVERITY_WARN: return "WARN";
    case RKB_SEVERITY_BAD: return "BAD";
    }
    return "";
}

const char *rkb_verdict_why(const struct rkb_judgement *judgement)
{
    return judgement->severity == RKB_SEVERITY_OK ? "all is well" : judgement->reasons[0].what;
}
