/*
 * filter -- which messages of a route are wanted at all: a pointer with a value, a glob, or whether it is there.
 *
 * A message passes only where all hold; what does not is counted as filtered, and no dead letter.
 */
#ifndef RKB_MESSAGE_FILTER_H
#define RKB_MESSAGE_FILTER_H

#include "message/expect.h"

enum rkb_filter_kind { RKB_FILTER_NONE, RKB_FILTER_EQUALS, RKB_FILTER_GLOB, RKB_FILTER_EXISTS };

/* One condition. Who makes it owns its texts. */
struct rkb_filter_spec {
    char *at;                       /* a JSON Pointer, never NULL */
    enum rkb_filter_kind kind;      /* never RKB_FILTER_NONE in what is compiled */
    struct rkb_literal equals;      /* the value is this one: strings by content, numbers by value */
    char *glob;                     /* it is a string, and its content matches, by Redis's glob rules */
    bool exists;                    /* there is one, or there is none */
};

struct rkb_filter;

/* As rkb_expect_compile. */
struct rkb_filter *rkb_filter_compile(const struct rkb_filter_spec *specs, size_t count, struct rkb_pointers *pointers,
                                      struct rkb_error *error);
void rkb_filter_free(struct rkb_filter *filter);

/* Whether the message passes, by what the pointers found (NULL: the payload is not JSON, so that nothing was). */
bool rkb_filter_passes(const struct rkb_filter *filter, const struct rkb_slice *found, struct rkb_buffer *room);

#endif
