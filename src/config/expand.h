/*
 * expand -- ${NAME} and ${NAME:-default} in a scalar, from the environment.
 *
 * NAME: letters, digits and _, no digit first. The default stands in where NAME is unset or empty and goes up to the
 * next }. $${ is a literal ${. What comes from the environment is not looked at again. Every other $ is itself.
 */
#ifndef RKB_CONFIG_EXPAND_H
#define RKB_CONFIG_EXPAND_H

#include "base/bytes.h"

/* One piece of the written text and what it becomes. */
struct rkb_piece {
    size_t at, size;            /* where it is written */
    const char *value;          /* lent; NULL where this piece is a mistake */
    size_t value_size;
    const char *mistake;        /* what is wrong with it, or NULL */
    const char *name;           /* of the variable, not NUL-terminated; NULL for plain text */
    size_t name_size;
};

/* The next piece behind *piece (zero-initialise it). False at the end. */
bool rkb_expand_next(const char *text, size_t size, struct rkb_piece *piece);

/* Where the byte at `offset` of the expanded text was written: itself, or the ${ it comes from. */
size_t rkb_expand_origin(const char *text, size_t size, size_t offset);

#endif
