/*
 * error -- what went wrong, as a value: a code to branch on and a line to read.
 *
 * A function that can fail returns false (or NULL) and fills one of these; whoever decides
 * (relay, shipper, control, main) logs, counts, retries or exits. Leaf code never logs.
 */
#ifndef RKB_BASE_ERROR_H
#define RKB_BASE_ERROR_H

#include <stdbool.h>

#define RKB_PRINTF(text, first) __attribute__((format(printf, text, first)))
#define RKB_MUST_CHECK __attribute__((warn_unused_result))

enum rkb_code {
    RKB_OK,
    RKB_USAGE,      /* wrong config, template, command: the caller's words are at fault */
    RKB_SYSTEM,     /* a system call failed; the text carries strerror */
    RKB_FULL,       /* no room: journal at its limit, disk full, ring full */
    RKB_LOCKED,     /* another process owns the journal */
    RKB_DAMAGED,    /* bytes on disk are not what was written */
    RKB_VERSION,    /* written by a newer rkbridge */
    RKB_PROTOCOL,   /* the peer said something its protocol does not allow */
    RKB_REFUSED,    /* the peer understood and said no (AUTH, ACL, ...) */
    RKB_CLOSED,     /* the peer closed the connection, or it broke */
    RKB_TIMEOUT,    /* a deadline passed */
    RKB_NO_MEMORY
};

struct rkb_error {
    enum rkb_code code;
    char text[480];     /* one line, no newline at its end, never a payload or a secret */
};

/* Fills *error (which may be NULL) and returns false, so that `return rkb_fail(...)` reads well. */
bool rkb_fail(struct rkb_error *error, enum rkb_code code, const char *format, ...) RKB_PRINTF(3, 4);

/* The same with ": strerror(errno)" behind the text, code RKB_SYSTEM (RKB_FULL for ENOSPC, EDQUOT, EFBIG). */
bool rkb_fail_errno(struct rkb_error *error, const char *format, ...) RKB_PRINTF(2, 3);

#endif
