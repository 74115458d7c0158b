/*
 * verdict -- OK, WARN or BAD: what of a snapshot somebody should know, the worst first, since when, and where to go.
 *
 *     BAD   messages are being missed, dropped or sent twice now, or will be within minutes, or the books are wrong:
 *           worth waking somebody
 *     WARN  nothing is being lost at this moment; somebody should look today
 *     OK    all is well; what is good to know and asks for nothing is a note
 *
 * The rules are the rows of verdict_rules.c: each a condition over the snapshot, its word, its severity, where to go.
 */
#ifndef RKB_CONTROL_VERDICT_H
#define RKB_CONTROL_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/stats.h"

enum rkb_severity { RKB_SEVERITY_OK, RKB_SEVERITY_WARN, RKB_SEVERITY_BAD };

#define RKB_VERDICT_ROWS 37
#define RKB_VERDICT_PAGE "doc/runbook.md"       /* has a section for each word */

/* For tests and documents; each word has a section of that name in RKB_VERDICT_PAGE. */
struct rkb_verdict_row {
    const char *word;
    enum rkb_severity severity;
    const char *next;                   /* where to go */
};
struct rkb_verdict_row rkb_verdict_row(size_t index);

struct rkb_reason {
    const char *word, *next;
    enum rkb_severity severity;         /* OK: a note */
    char what[400];
    int64_t since_us;                   /* realtime when it began, or was first seen; 0: unknown */
    double seconds;                     /* so long it has lasted; since it was seen by a clock that nobody sets */
};

struct rkb_judgement {
    enum rkb_severity severity;
    int64_t since_us;                   /* of the first reason, or since all is well; 0: unknown */
    double seconds;
    size_t count;
    struct rkb_reason reasons[RKB_VERDICT_ROWS];    /* the worst first, notes last */
};

/* A figure that should rest: since when (uptime, seconds) it has not grown. */
struct rkb_rise {
    uint64_t value;
    double at;
    bool ever;
};

/* What is remembered from one look to the next, a second or so later. Zero at first. */
struct rkb_verdict_memory {
    struct {
        int64_t since_us;
        double since, seen;             /* uptime: when it was first seen, when it last held */
        double before;                  /* so long it had lasted when it was first seen */
        bool ever;
    } rows[RKB_VERDICT_ROWS];
    struct rkb_rise dead_letters, log_lines;
    int64_t well_us;                    /* since when all is well; 0: it is not */
    double well;
    enum rkb_severity said;             /* what the log says */
    bool differs;
    double differs_since;
};

/*
 * Looks. memory NULL: nothing is known of before; what has to last before it is said is not said then, and what gets
 * worse by lasting is not worse yet.
 */
void rkb_verdict_look(const struct rkb_snapshot *snapshot, struct rkb_verdict_memory *memory,
                      struct rkb_judgement *judgement);
/* The snapshot's verdict; where it has none, what is judged of it now, without memory, in *room. */
const struct rkb_judgement *rkb_verdict_of(const struct rkb_snapshot *snapshot, struct rkb_judgement *room);
/*
 * True when the log should say this verdict, because it says another: BAD at once, others when they have lasted for
 * ten seconds. *before: what it said until now.
 */
bool rkb_verdict_changed(struct rkb_verdict_memory *memory, const struct rkb_judgement *judgement,
                         double uptime_seconds, enum rkb_severity *before);
/* "OK", "WARN", "BAD" */
const char *rkb_severity_word(enum rkb_severity severity);
/* "all is well", or the first reason. */
const char *rkb_verdict_why(const struct rkb_judgement *judgement);

#endif
