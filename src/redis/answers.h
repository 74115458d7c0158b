/*
 * answers -- takes what Redis answers to commands that list something, and hands it on line by line.
 *
 *     bytes --> head --'+' '-' ':'--------------------------> whole
 *                |  ^--'*': so many more to come
 *                +--'$'--> text --each line--> line --its end--> whole (or the next element)
 *
 * Promise: memory does not grow with an answer (a list of clients may have megabytes): a line is cut at
 * RKB_ANSWER_LINE bytes. An array's elements are handed on as if they stood alone. Whatever is not RESP2 is
 * RKB_PROTOCOL, never a crash. Never: knows which command an answer belongs to.
 * (https://redis.io/docs/reference/protocol-spec/)
 */
#ifndef RKB_REDIS_ANSWERS_H
#define RKB_REDIS_ANSWERS_H

#include "redis/resp.h"

#define RKB_ANSWER_LINE 4096

struct rkb_answers {
    /* Lent, without its end. An empty line is not handed on. */
    void (*line)(void *context, struct rkb_slice line);
    /* An integer that is an array's element. NULL: they are passed over. */
    void (*number)(void *context, long long integer);
    /* All of one command's answer; text: of a status or an error. RKB_REPLY_STRING: lines were handed on. */
    void (*whole)(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer);
    void *context;
    /* The rest is its own; zero at first. */
    bool in_text, stopped;
    enum rkb_reply kind;                /* of the whole */
    uint64_t left;                      /* bytes of the text, with its end of two */
    uint64_t elements;                  /* still to come; 0: between two answers */
    size_t size;                        /* of the line so far */
    uint8_t line_so_far[RKB_ANSWER_LINE];
};

/* Forgets what it has of an answer: a new connection begins. */
void rkb_answers_reset(struct rkb_answers *answers);
/* Calls for what became whole. After false only reset helps. */
bool rkb_answers_feed(struct rkb_answers *answers, struct rkb_slice bytes, struct rkb_error *error) RKB_MUST_CHECK;
/* Inside a call: no more calls until reset, whatever was fed. The feed that runs returns true. */
void rkb_answers_stop(struct rkb_answers *answers);

#endif
