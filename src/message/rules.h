/*
 * rules -- all that a route says about its messages, compiled once: what a payload is, what passes, what it becomes.
 *
 *     payload --read: JSON? pointers--> checks --> what its templates look for is there? --> the envelope's facts
 *
 * The config's check, the relay and `rkbctl render` go through here. One thread: the checks have room to work in.
 * The order: what a filter takes out, what is not of the route's kind, what a check refuses, what is missing, what
 * cannot be merged.
 */
#ifndef RKB_MESSAGE_RULES_H
#define RKB_MESSAGE_RULES_H

#include "message/envelope.h"
#include "message/judge.h"
#include "message/payload.h"

/* What becomes of a message in which a pointer of its templates finds nothing. */
enum rkb_missing { RKB_MISSING_NULL, RKB_MISSING_DROP, RKB_MISSING_DEAD_LETTER };

struct rkb_rules_spec {
    struct rkb_envelope_spec envelope;      /* the pointers of its scope are not looked at */
    struct rkb_judge_spec checks;           /* what they name must outlive the rules */
    enum rkb_payload_kind payload;
    enum rkb_missing missing;
    size_t depth;                           /* nested deeper, a payload is no JSON */
};

struct rkb_rules;

/* NULL and *error; *mistake says where in the envelope. Of spec only what the checks name is kept. */
struct rkb_rules *rkb_rules_compile(const struct rkb_rules_spec *spec, struct rkb_envelope_mistake *mistake,
                                    struct rkb_error *error);
void rkb_rules_free(struct rkb_rules *rules);
const struct rkb_envelope *rkb_rules_envelope(const struct rkb_rules *rules);

/*
 * What becomes of facts->payload. Fills facts->encoding, and facts->found with `found`, which must hold
 * RKB_POINTERS_LIMIT and live as long; both also where the message does not pass. facts->merge is good until the next
 * message.
 */
void rkb_rules_apply(const struct rkb_rules *rules, struct rkb_facts *facts, struct rkb_slice *found,
                     struct rkb_verdict *verdict);

#endif
