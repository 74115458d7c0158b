/* rules -- see rules.h. Never allocates for a message. */
#include "message/rules.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"

struct rkb_rules {
    enum rkb_payload_kind payload;
    enum rkb_missing missing;
    size_t depth;
    struct rkb_pointers *pointers;
    size_t template_pointers;       /* the first of them: the templates' */
    struct rkb_envelope *envelope;
    struct rkb_judge *judge;        /* NULL: nothing is checked */
    struct rkb_merge_rule merging;  /* where the envelope merges */
    struct rkb_merge *merge;        /* NULL: it does not; else how the message is merged that is at hand */
};

/* What it looks at is behind the templates' pointers: it may be missing. */
static bool compile_merge(struct rkb_rules *rules, enum rkb_when_taken when_taken, struct rkb_error *error)
{
    if (!rkb_envelope_merges(rules->envelope))
        return true;
    rules->merge = calloc(1, sizeof *rules->merge);
    if (rules->merge == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for the rules of a route");
    return rkb_merge_compile(when_taken, rules->pointers, &rules->merging, error);
}

struct rkb_rules *rkb_rules_compile(const struct rkb_rules_spec *spec, struct rkb_envelope_mistake *mistake,
                                    struct rkb_error *error)
{
    struct rkb_rules *rules = calloc(1, sizeof *rules);
    *mistake = (struct rkb_envelope_mistake){.field = RKB_FIELD_ENVELOPE};
    if (rules == NULL || (rules->pointers = rkb_pointers_new()) == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for the rules of a route");
        rkb_rules_free(rules);
        return NULL;
    }
    struct rkb_envelope_spec envelope = spec->envelope;
    envelope.scope.pointers = rules->pointers;
    rules->payload = spec->payload;
    rules->missing = spec->missing;
    rules->depth = spec->depth;
    rules->envelope = rkb_envelope_compile(&envelope, mistake, error);
    rules->template_pointers = rkb_pointers_count(rules->pointers);
    if (rules->envelope == NULL || !compile_merge(rules, spec->envelope.when_taken, error)
        || !rkb_judge_compile(&spec->checks, rules->pointers, &rules->judge, error)) {
        rkb_rules_free(rules);
        return NULL;
    }
    return rules;
}

void rkb_rules_free(struct rkb_rules *rules)
{
    if (rules == NULL)
        return;
    rkb_judge_free(rules->judge);
    free(rules->merge);
    rkb_envelope_free(rules->envelope);
    rkb_pointers_free(rules->pointers);
    free(rules);
}

const struct rkb_envelope *rkb_rules_envelope(const struct rkb_rules *rules)
{
    return rules->envelope;
}

/* All pointers of the templates must find something, unless null will do. */
static void look_for_missing(const struct rkb_rules *rules, const struct rkb_slice *found, struct rkb_verdict *verdict)
{
    if (rules->missing == RKB_MISSING_NULL)
        return;
    for (size_t i = 0; i < rules->template_pointers; i++) {
        if (found[i].data != NULL)
            continue;
        char words[256];
        verdict->kind = rules->missing == RKB_MISSING_DROP ? RKB_DROPPED : RKB_REJECTED;
        verdict->code = "missing";
        snprintf(words, sizeof words, "%.150s: not in the payload, and a template needs it",
                 rkb_pointers_text(rules->pointers, i));
        rkb_escape_line(verdict->reason, sizeof verdict->reason, words);
        return;
    }
}

void rkb_rules_apply(const struct rkb_rules *rules, struct rkb_facts *facts, struct rkb_slice *found,
                     struct rkb_verdict *verdict)
{
    struct rkb_payload payload;
    struct rkb_verdict judged;
    judged.kind = verdict->kind = RKB_PASS;     /* the rest is said with a verdict that needs it */
    bool needs_json = rkb_judge_needs_json(rules->judge);
    bool of_kind = rkb_payload_read(rules->payload, rules->pointers, rules->depth, needs_json, facts->payload, found,
                                    &payload, verdict);
    facts->encoding = payload.encoding;
    facts->found = found;
    facts->merge = NULL;
    if (rules->judge != NULL)
        rkb_judge(rules->judge, &(struct rkb_judge_facts){facts->payload, payload.is_json, found}, &judged);
    if (judged.kind == RKB_FILTERED || (of_kind && judged.kind != RKB_PASS))
        *verdict = judged;
    else if (of_kind)
        look_for_missing(rules, found, verdict);
    if (rules->merge != NULL && verdict->kind == RKB_PASS) {
        rkb_merge_plan(&rules->merging, facts, rules->merge, verdict);
        facts->merge = rules->merge;
    }
}
