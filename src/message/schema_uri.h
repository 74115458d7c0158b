/*
 * schema_uri -- URI references (RFC 3986), as far as $id and $ref of a schema need them: resolving, and fragments.
 */
#ifndef RKB_MESSAGE_SCHEMA_URI_H
#define RKB_MESSAGE_SCHEMA_URI_H

#include "base/bytes.h"

/* Parts of the text; a part that is not there has no data. */
struct rkb_uri {
    struct rkb_slice scheme, authority, path, query, fragment;
};

struct rkb_uri rkb_uri_parse(struct rkb_slice text);

/* The reference as seen from base (RFC 3986, section 5.2.2), without its fragment, appended to out. */
void rkb_uri_resolve(struct rkb_slice base, struct rkb_slice reference, struct rkb_buffer *out);

/* %41 is A; what is no such escape stays. out: as long as text; returns the size. */
size_t rkb_uri_decode(struct rkb_slice text, uint8_t *out);

#endif
