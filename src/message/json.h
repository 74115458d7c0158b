/*
 * json -- one scanner for JSON (RFC 8259) that builds no tree, and JSON text writing.
 *
 * It only says whether bytes are one JSON text, so that a payload can be passed on without changing
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

/*
 * The size of `text` escaped for the inside of a JSON string (no quotes), and the escaping itself; returns the
 * end. Bytes that are not UTF-8 become U+FFFD, one per maximal ill-formed part. Control characters, `"` and
 * `\` are escaped, nothing else.
 */
size_t rkb_json_escaped_size(struct rkb_slice text);
uint8_t *rkb_json_escape(uint8_t *out, struct rkb_slice text);

#endif
