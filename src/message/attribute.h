/*
 * attribute -- text that may stand in an attribute of a CloudEvent (CloudEvents 1.0.2, type String).
 *
 * Not allowed there, and U+FFFD instead, one for each: control characters (U+0000 to U+001F, U+007F to U+009F), what
 * Unicode calls noncharacters, and each maximal part that is not UTF-8.
 */
#ifndef RKB_MESSAGE_ATTRIBUTE_H
#define RKB_MESSAGE_ATTRIBUTE_H

#include "base/bytes.h"

struct rkb_attribute {
    struct rkb_slice text;
    bool escaped;           /* text is the inside of a JSON string; what it means is what counts */
    bool json;              /* it is written for the inside of a JSON string */
};

size_t rkb_attribute_size(const struct rkb_attribute *attribute);
/* Writes it, as measured; returns the end. */
uint8_t *rkb_attribute_write(const struct rkb_attribute *attribute, uint8_t *out);
/* Whether text may stand as it is. */
bool rkb_attribute_allows(struct rkb_slice text);

#endif
