/*
 * log_line -- one line of the log: what it says, and how that looks as text and as JSON.
 */
#ifndef RKB_BASE_LOG_LINE_H
#define RKB_BASE_LOG_LINE_H

#include <limits.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

#define RKB_LOG_LINE_SIZE ((size_t)PIPE_BUF)    /* a write of up to this is not mixed with others' of the same pipe */

/* All texts are lent. */
struct rkb_log_line {
    int64_t time_us;                /* realtime */
    enum rkb_log_level level;
    uint64_t suppressed;            /* like it, held back before it */
    const char *object, *event, *text;      /* event: NULL for none */
};

/* The line with its newline, cut where it is too long; returns its size. */
size_t rkb_log_line_compose(const struct rkb_log_line *line, enum rkb_log_format format, char out[RKB_LOG_LINE_SIZE]);

#endif
