/* base64 -- RFC 4648, section 4: the standard alphabet, padded, one line. */
#ifndef RKB_MESSAGE_BASE64_H
#define RKB_MESSAGE_BASE64_H

#include "base/bytes.h"

static inline size_t rkb_base64_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Writes rkb_base64_size(data.size) bytes, no NUL; returns the end. */
uint8_t *rkb_base64_encode(uint8_t *out, struct rkb_slice data);
/*
 * Back again: writes at most text.size / 4 * 3 bytes and gives the end; NULL where text is not what encode makes of any
 * bytes.
 */
uint8_t *rkb_base64_decode(uint8_t *out, struct rkb_slice text);

#endif
