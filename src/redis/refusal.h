/*
 * refusal -- what Redis said no to, in its own words, with what to do where that is simple.
 *
 * Never: a secret (Redis repeats the arguments of a command it does not know), a control byte, more than fits one line.
 */
#ifndef RKB_REDIS_REFUSAL_H
#define RKB_REDIS_REFUSAL_H

#include "base/bytes.h"
#include "base/error.h"

/*
 * Fills *error, RKB_REFUSED. command: "AUTH", "SUBSCRIBE a, b"; words: the error reply;
 * secret: "", or what not to show.
 */
void rkb_refusal(struct rkb_error *error, const char *command, struct rkb_slice words, const char *secret);
/* The slice as printable ASCII, the rest as \xNN, cut with "..." where out is too small. size is at least 8. */
void rkb_printable(char *out, size_t size, struct rkb_slice text);

#endif
