/*
 * discover_fields -- which fields of JSON payloads could be keys: nearly always there, and with different values.
 *
 *     {"user": {"id": 7, "name": "x"}, "at": 1.5, "tags": ["a"]}   -->   /user/id, /user/name
 *
 * Promise: of a value no more than a hash is kept, so that nobody's data can leak from here; of names only those that
 * nearly all payloads of a group have are told (names that are data, as in {"bob@example.com": 1}, differ from one
 * payload to the next). Memory is bounded. Never: looks into arrays, which have no place for a key.
 */
#ifndef RKB_TOOL_DISCOVER_FIELDS_H
#define RKB_TOOL_DISCOVER_FIELDS_H

#include "base/bytes.h"

#define RKB_FIELDS_DEPTH 4              /* tokens of a pointer */
#define RKB_FIELD_POINTER_MOST 120      /* bytes */
#define RKB_FIELDS_TOLD 3               /* of one group */

struct rkb_fields;

struct rkb_fields *rkb_fields_new(void);
void rkb_fields_free(struct rkb_fields *fields);

/*
 * Looks into a payload, which is a JSON object for sure; owner: a number of the caller's (the channel); first: it is
 * one of the owner's first few. Only such may bring new names: what nearly all payloads have, one of those has.
 */
void rkb_fields_look(struct rkb_fields *fields, uint32_t owner, bool first, struct rkb_slice object);
#define RKB_FIELDS_FIRST 4              /* so many are "the first few" */
/* Owners have other numbers now: of[old]. */
void rkb_fields_move(struct rkb_fields *fields, const uint32_t *of, size_t count);

struct rkb_field {
    struct rkb_slice pointer;           /* lent */
    unsigned present, distinct;         /* percent: of the payloads that have it; different values per such payload */
    uint64_t values, looked;            /* different values; payloads, with it or without */
};
/*
 * The likeliest keys of all owners of a group, the best first, at most RKB_FIELDS_TOLD; group_of[owner] for each of so
 * many owners. How many. False in *good: memory ran out.
 */
size_t rkb_fields_tell(const struct rkb_fields *fields, const uint32_t *group_of, size_t owners, uint32_t group,
                       struct rkb_field out[RKB_FIELDS_TOLD], bool *good);

#endif
