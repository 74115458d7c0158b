/*
 * json -- one scanner for JSON (RFC 8259) that builds no tree.
 *
 * It only says whether bytes are JSON and where a value ends, so that a payload can be passed on without changing
 * a byte of it (a tree would fold duplicate keys and lose long numbers). Strings must be UTF-8. No recursion.
 */
#ifndef RKB_MESSAGE_JSON_H
#define RKB_MESSAGE_JSON_H

#include "base/bytes.h"

/* Nesting deeper than this is not JSON for us (RFC 8259, section 9 allows a limit). */
#define RKB_JSON_DEPTH 512

/*
 * True if the bytes are exactly one JSON text, white space around it allowed. *stopped_at, if not NULL, gets the offset
 * of the first byte that cannot be. Lone surrogate escapes (\ud800) are allowed, as the grammar allows them.
 */
bool rkb_json_valid(struct rkb_slice text, size_t *stopped_at);

/* Where a scan came to: behind what it looked for, or at the first byte that cannot be. */
struct rkb_json_spot {
    const uint8_t *at;
    bool good;
};

/* One value that begins at `at`; it may hold containers `depth` deep, at most RKB_JSON_DEPTH. */
struct rkb_json_spot rkb_json_value(const uint8_t *at, const uint8_t *end, size_t depth);
/* The rest of a string, from behind its opening quote to behind the closing one. */
struct rkb_json_spot rkb_json_string(const uint8_t *at, const uint8_t *end);
/* Behind the white space. */
const uint8_t *rkb_json_space(const uint8_t *at, const uint8_t *end);

#endif
