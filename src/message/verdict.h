/*
 * verdict -- what becomes of a message that was received: shipped, filtered, dropped, or set aside as a dead letter.
 */
#ifndef RKB_MESSAGE_VERDICT_H
#define RKB_MESSAGE_VERDICT_H

enum rkb_verdict_kind { RKB_PASS, RKB_FILTERED, RKB_DROPPED, RKB_REJECTED };

/* For RKB_REJECTED: a word for machines, and words for people that name pointer and rule, never a payload's value. */
struct rkb_verdict {
    enum rkb_verdict_kind kind;
    const char *code;           /* payload, require, expect, schema, missing, topic, merge */
    char reason[200];
};

#endif
