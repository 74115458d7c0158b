/*
 * pointer -- a set of JSON Pointers (RFC 6901), found in one pass over a payload as slices of its original text.
 *
 *     set  /user/id  /user/name  /items/0      payload  {"user": {"id": 7, "name": "x"}, "items": ["a"]}
 *     tree user -> id, name; items -> 0        found    7                "x"                     "a"
 *
 * The pass also says whether the payload is JSON at all, and builds nothing: what no pointer leads to is skipped as a
 * whole. Of keys that are there twice the last counts, as it does for nearly all parsers. Keys are compared by their
 * meaning ("\u0069d" is id). A set is made at start; searching it changes nothing, so that threads may share it.
 */
#ifndef RKB_MESSAGE_POINTER_H
#define RKB_MESSAGE_POINTER_H

#include "base/bytes.h"
#include "base/error.h"

/* How many pointers a set holds at most, and how many tokens one has. */
#define RKB_POINTERS_LIMIT 64
#define RKB_POINTER_TOKENS 32

struct rkb_pointers;

struct rkb_pointers *rkb_pointers_new(void);
void rkb_pointers_free(struct rkb_pointers *pointers);
/*
 * Adds a pointer ("" is the whole payload) and gives the place of its value in `found`; one that is there already has
 * the same place. False: RKB_USAGE, it is no JSON Pointer, or one too many; RKB_NO_MEMORY. Keeps nothing of text.
 */
bool rkb_pointers_add(struct rkb_pointers *pointers, struct rkb_slice text, size_t *place,
                      struct rkb_error *error) RKB_MUST_CHECK;
size_t rkb_pointers_count(const struct rkb_pointers *pointers);
/* The pointer whose value has this place, as it was written. */
const char *rkb_pointers_text(const struct rkb_pointers *pointers, size_t place);
/*
 * True if the bytes are one JSON text, nested at most `depth` deep. Then found[place] is the text of each value as it
 * stands, a string with its quotes; without data where there is none. Otherwise nothing is found. found: as many as
 * the set has.
 */
bool rkb_pointers_find(const struct rkb_pointers *pointers, struct rkb_slice json, size_t depth,
                       struct rkb_slice *found);

#endif
