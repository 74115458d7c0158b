/*
 * expect -- what must hold of values in a payload: rules of a pointer and of type, range, length, enum or pattern.
 *
 * A payload of which one does not hold is a dead letter. The reason names pointer and rule, never a value of the
 * payload.
 */
#ifndef RKB_MESSAGE_EXPECT_H
#define RKB_MESSAGE_EXPECT_H

#include "message/json_value.h"
#include "message/pointer.h"

/* A constant as it is written: its text, and whether that is a string whatever it looks like. */
struct rkb_literal {
    char *text;
    bool is_string;
};

/* One rule; what is not asked for is NULL or 0 (max_length: RKB_NO_LENGTH). Who makes it owns its texts. */
struct rkb_expect_spec {
    char *at;                       /* a JSON Pointer, never NULL */
    unsigned types;                 /* of enum rkb_json_type */
    bool optional;                  /* where the pointer finds nothing, that is no failure */
    char *min, *max;                /* JSON numbers; what is no number fails */
    uint64_t min_length, max_length;    /* characters of a string, elements of an array; what is neither fails */
    struct rkb_literal *values;     /* one of these */
    size_t value_count;
    char *pattern;                  /* PCRE2, found anywhere in a string's content; what is no string fails */
};

#define RKB_NO_LENGTH UINT64_MAX

struct rkb_expect;

/*
 * The rules, in their order; adds to pointers what they look at. The specs must outlive them. NULL and *error, which
 * names the rule (RKB_USAGE, RKB_NO_MEMORY).
 */
struct rkb_expect *rkb_expect_compile(const struct rkb_expect_spec *specs, size_t count, struct rkb_pointers *pointers,
                                      struct rkb_error *error);
void rkb_expect_free(struct rkb_expect *expect);

/*
 * Whether all rules hold of what the pointers found (NULL: the payload is not JSON). Where not, the first that does not
 * is named in reason. `room` is for strings with escapes, and keeps its size.
 */
bool rkb_expect_holds(const struct rkb_expect *expect, const struct rkb_slice *found, struct rkb_buffer *room,
                      char *reason, size_t size);

#endif
