/*
 * headers -- a record's headers area: per header u16 name length, u32 value length (little-endian), name, value.
 *
 * The same bytes in the ring, in the journal, and on their way to the producer.
 */
#ifndef RKB_BASE_HEADERS_H
#define RKB_BASE_HEADERS_H

#include "base/bytes.h"

#define RKB_HEADER_PREFIX 6

/* The bytes that one header takes; writes it, returning the end. A name of at most 65,535 bytes. */
static inline size_t rkb_header_size(struct rkb_slice name, struct rkb_slice value)
{
    return RKB_HEADER_PREFIX + name.size + value.size;
}
uint8_t *rkb_header_write(uint8_t *out, struct rkb_slice name, struct rkb_slice value);

/*
 * Steps through an area: true with the next name and value, false at its end (or where it is cut short: area->failed).
 */
bool rkb_headers_next(struct rkb_reader *area, struct rkb_slice *name, struct rkb_slice *value);

#endif
