/*
 * findings -- the mistakes, or the warnings, while they are being found: each
 * with its place, sorted by place in the end.
 *
 * A finding is one line: control characters in it are shown as `?`. Memory running out is a finding too.
 */
#ifndef RKB_CONFIG_FINDINGS_H
#define RKB_CONFIG_FINDINGS_H

#include <stddef.h>

#include "base/error.h"
#include "config/config.h"

/* Lines and columns count from 1, columns in characters. 0, 0: the file as a whole. */
struct rkb_place {
    size_t line, column;
};

struct rkb_finding {
    struct rkb_place place;
    size_t order;               /* in which they were found */
    char *text;
};

struct rkb_findings {
    struct rkb_finding *list;
    size_t count, capacity;
    bool failed;                /* memory ran out */
};

void rkb_findings_add(struct rkb_findings *findings, struct rkb_place place, const char *format, ...) RKB_PRINTF(3, 4);
/* Writes them to out, a line each ("FILE:LINE:COLUMN: " kind text), by their place, and frees them. How many. */
size_t rkb_findings_finish(struct rkb_findings *findings, const char *file, const char *kind, struct rkb_buffer *out);

#endif
