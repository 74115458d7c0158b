/*
 * json_string -- what stands between the quotes of a JSON string (RFC 8259, section 7), and what it means.
 *
 * Text never has its quotes here. What is unescaped must be the inside of a valid JSON string.
 */
#ifndef RKB_MESSAGE_JSON_STRING_H
#define RKB_MESSAGE_JSON_STRING_H

#include "base/bytes.h"

/*
 * The size of `text` escaped for the inside of a JSON string, and the escaping itself; returns the end. Bytes that are
 * not UTF-8 become U+FFFD, one per maximal ill-formed part. Control characters, `"` and `\` are escaped, nothing else.
 */
size_t rkb_json_escaped_size(struct rkb_slice text);
uint8_t *rkb_json_escape(uint8_t *out, struct rkb_slice text);

/* What the inside of a string means, as UTF-8: its size, and its bytes; returns the end. A lone surrogate is U+FFFD. */
size_t rkb_json_unescaped_size(struct rkb_slice text);
uint8_t *rkb_json_unescape(uint8_t *out, struct rkb_slice text);
/*
 * The next piece of what it means, from text.data[*at], which is moved behind it: a run that stands as it is, or one
 * escape, made in `one`. Whole characters, if the text is UTF-8. Empty at the end.
 */
struct rkb_slice rkb_json_piece(struct rkb_slice text, size_t *at, uint8_t one[4]);
/* Whether it means exactly these bytes. */
bool rkb_json_means(struct rkb_slice text, struct rkb_slice plain);

#endif
