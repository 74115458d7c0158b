/*
 * recent -- the last lines of the log, in memory of fixed size; the newest push out the oldest.
 *
 * Each line has a number, one higher than the line before it. A reader is a number: the last that it has seen. So any
 * number of readers costs nothing, and one that is too slow knows how many lines it has missed. Long lines are cut.
 * Thread-safe; the lock is held for the copying of one line.
 */
#ifndef RKB_BASE_RECENT_H
#define RKB_BASE_RECENT_H

#include <stdbool.h>

#include "base/log_line.h"

struct rkb_recent;

/* A line, copied. */
struct rkb_recent_line {
    uint64_t number;                /* from 1 on */
    int64_t time_us;
    uint64_t suppressed;
    enum rkb_log_level level;
    bool has_event;
    char object[112], event[48], text[800];
};

/* For so many lines; NULL: no memory. */
struct rkb_recent *rkb_recent_new(size_t lines);
void rkb_recent_free(struct rkb_recent *recent);
void rkb_recent_add(struct rkb_recent *recent, const struct rkb_log_line *line);
/* The number of the newest; 0: there is none yet. */
uint64_t rkb_recent_newest(struct rkb_recent *recent);
/* The oldest that is there behind number `after`; false: there is none. What lies between is lost. */
bool rkb_recent_next(struct rkb_recent *recent, uint64_t after, struct rkb_recent_line *line);
/* As it looks in the log. */
size_t rkb_recent_compose(const struct rkb_recent_line *line, enum rkb_log_format format, char out[RKB_LOG_LINE_SIZE]);

#endif
