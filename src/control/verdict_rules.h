/*
 * verdict_rules -- the rows of the verdict: each a condition over the snapshot, its word, severity, and where to go.
 * Of the verdict's own files only.
 */
#ifndef RKB_CONTROL_VERDICT_RULES_H
#define RKB_CONTROL_VERDICT_RULES_H

#include "control/verdict.h"

struct rkb_look {
    const struct rkb_snapshot *snapshot;
    const struct rkb_verdict_memory *memory;    /* NULL: none */
    size_t found;                               /* reasons so far that are no notes */
    char *what;
    size_t size;
    int64_t *began_us;                          /* realtime, where the rule knows it, be it before the start; else 0 */
};

/* Said when it has held for quiet_s; WARN until it has held for grace_s. */
struct rkb_rule {
    const char *word;
    enum rkb_severity severity;
    int quiet_s, grace_s;
    const char *next;           /* a command, or the word's section in the runbook */
    bool (*holds)(const struct rkb_look *look);
};

extern const struct rkb_rule rkb_verdict_rules[RKB_VERDICT_ROWS];

#endif
