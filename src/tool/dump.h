/*
 * dump -- a journal's records as JSON, one object a line.
 */
#ifndef RKB_TOOL_DUMP_H
#define RKB_TOOL_DUMP_H

#include "journal/inspect.h"

#include <stdio.h>

#define RKB_DUMP_MARKS 256

struct json_t;

/* The member of this name: a string where the bytes are UTF-8, else NAME_base64. */
void rkb_dump_bytes(struct json_t *object, const char *member, struct rkb_slice bytes);

struct rkb_dump {
    FILE *out;
    const struct rkb_inspection *inspection;
    bool values;                /* false: sizes instead of values */
    struct {
        uint64_t epoch;
        char random[33];
    } marks[RKB_DUMP_MARKS];    /* the last ones seen, to write positions */
    size_t mark_count;
};

/* Writes a dead letter, likewise for rkb_inspect_dead. */
void rkb_dump_dead(void *context, const struct rkb_record *letter, const struct rkb_record *message);

/* Writes one line; for rkb_inspect_segment, with a struct rkb_dump as its context. */
void rkb_dump_record(void *context, const struct rkb_record *record);

#endif
