/*
 * glob -- Redis's own glob rules, so that we know which of our patterns Redis matched.
 *
 * `*` any bytes, `?` one byte, `[abc]` `[^abc]` `[a-z]`, `\` takes the next byte as it is; including what
 * Redis does with patterns that end inside a class or behind a backslash. Bytes, not characters; case matters.
 * (Redis 7.0 stringmatchlen in util.c is the model of behaviour; a test compares with a real server.)
 */
#ifndef RKB_MESSAGE_GLOB_H
#define RKB_MESSAGE_GLOB_H

#include "base/bytes.h"

bool rkb_glob_match(struct rkb_slice pattern, struct rkb_slice text);

/* How many `*` a pattern has that stand for any bytes: not those in a class or behind a `\`. */
size_t rkb_glob_stars(struct rkb_slice pattern);
/*
 * Matches, and gives what each of the first `limit` of them took, as slices of text. Each takes as little as it can,
 * from left to right. Without a match nothing is said.
 */
bool rkb_glob_captures(struct rkb_slice pattern, struct rkb_slice text, struct rkb_slice *captures, size_t limit);

#endif
