/*
 * merge -- the payload's own object with id, channel and time merged in, every other byte as it was.
 *
 *     payload   { "product_code": "ABC-1", "id": 7 }
 *     keep      {"channel":"c","time":"t", "product_code": "ABC-1", "id": 7 }             rkb-merge: kept id
 *     overwrite {"id":"<uuid>","channel":"c","time":"t", "product_code": "ABC-1" }        rkb-merge: cut 26:9:, "id": 7
 *
 * Ours stand first, right behind the `{`, and what follows it in the payload follows them. A payload that is no object
 * stands in a member of its own, which a template writes (presets.c). Where value and rkb-encoding do not tell all, the
 * header rkb-merge does:
 *
 *     kept NAME...               ours of these names were left out: the payload has them
 *     cut PLACE:SIZE:BYTES...    the payload's, taken out: where each stood in the payload, how many bytes, which
 *     member                     JSON, but no object
 */
#ifndef RKB_MESSAGE_MERGE_H
#define RKB_MESSAGE_MERGE_H

#include "message/template.h"
#include "message/verdict.h"

/* What becomes of a payload that has a member of one of our names itself. */
enum rkb_when_taken { RKB_TAKEN_KEEP, RKB_TAKEN_OVERWRITE, RKB_TAKEN_DEAD_LETTER };

/* Ours are id, channel and time: numbers 0 to 2, and bits in this order. */
#define RKB_MERGE_NAMES 3
#define RKB_MERGE_ID 1u
/* How many members of the payload may be taken out. */
#define RKB_MERGE_CUTS 8

extern const char rkb_merge_header[];       /* "rkb-merge" */

struct rkb_merge_rule {
    enum rkb_when_taken when_taken;
    size_t places[RKB_MERGE_NAMES];         /* of our names among the route's pointers */
};

/* Adds to pointers what the rule looks at. False and *error. */
bool rkb_merge_compile(enum rkb_when_taken when_taken, struct rkb_pointers *pointers, struct rkb_merge_rule *rule,
                       struct rkb_error *error) RKB_MUST_CHECK;

/* How one payload is merged. */
struct rkb_merge {
    bool json, object;
    bool followed;                          /* something of the payload stands behind ours */
    unsigned kept;                          /* ours that were left out */
    size_t open;                            /* behind the payload's { */
    size_t cut_count;
    struct {
        size_t at, size;
    } cuts[RKB_MERGE_CUTS];
};

/* Looks at facts->payload, whose encoding and found are known. False, with code and reason: it is rejected. */
bool rkb_merge_plan(const struct rkb_merge_rule *rule, const struct rkb_facts *facts, struct rkb_merge *merge,
                    struct rkb_verdict *verdict);

/* The value of an object: its size; the writing, which returns the end. */
size_t rkb_merge_size(const struct rkb_merge *merge, const struct rkb_facts *facts);
uint8_t *rkb_merge_write(const struct rkb_merge *merge, const struct rkb_facts *facts, uint8_t *out);

/* The value of the header, 0 where there is none; likewise. */
size_t rkb_merge_note_size(const struct rkb_merge *merge);
uint8_t *rkb_merge_note_write(const struct rkb_merge *merge, const struct rkb_facts *facts, uint8_t *out);

/*
 * The payload of an object's value, by the header's value (empty: there was none), added to the buffer. False where
 * value and header do not belong together.
 */
bool rkb_merge_inverse(struct rkb_slice value, struct rkb_slice note, struct rkb_buffer *payload);

#endif
