/*
 * check_report -- what `rkbctl check` found: findings with their grade and place, and the rights that are needed.
 *
 * A finding is one line: control characters in it are shown escaped. Never: a secret; whoever adds a finding sees to
 * that.
 */
#ifndef RKB_TOOL_CHECK_REPORT_H
#define RKB_TOOL_CHECK_REPORT_H

#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "config/places.h"

enum rkb_grade {
    RKB_GRADE_BAD,          /* it would not run, or lose messages */
    RKB_GRADE_WARN,         /* it runs, with less than one might think; or it could not be known */
    RKB_GRADE_OK
};

struct rkb_report_line {
    enum rkb_grade grade;
    char *setting;          /* "redis.legacy.url"; NULL: of the file as a whole */
    struct rkb_place place;
    char *text, *change;    /* what was found; what to do, NULL: nothing */
};

/* Zero but for file and places, which are lent. */
struct rkb_report {
    const char *file;
    const struct rkb_places *places;
    struct rkb_report_line *list;
    size_t count, capacity;
    bool failed;                            /* memory ran out */
    struct rkb_buffer redis_rights, kafka_rights;       /* lines to be pasted; those that begin with # are for people */
};

void rkb_report_add(struct rkb_report *report, enum rkb_grade grade, const char *setting, const char *format,
                    ...) RKB_PRINTF(4, 5);
/* What to do about the one added last. */
void rkb_report_change(struct rkb_report *report, const char *format, ...) RKB_PRINTF(2, 3);
/* What the config's reading wrote, "FILE:LINE:COLUMN: [warning: ]what" a line. */
void rkb_report_mistakes(struct rkb_report *report, enum rkb_grade grade, const struct rkb_buffer *lines);

/* The worst of all. */
enum rkb_grade rkb_report_verdict(const struct rkb_report *report);
/* BAD first, then WARN, then OK, in each in the order of adding; the rights; the verdict. */
void rkb_report_text(struct rkb_report *report, FILE *out);
/* The same as one JSON object on one line. */
void rkb_report_json(struct rkb_report *report, FILE *out);
void rkb_report_free(struct rkb_report *report);

#endif
