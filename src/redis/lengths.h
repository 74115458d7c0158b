/*
 * lengths -- walks RESP2 by its lengths, ahead of the reader, and takes out a payload that is too long as it arrives.
 *
 *     bytes --> a header line --> short enough --> pass: the header, and its bulk as it comes
 *                            \--> a payload over the limit --> skipped, byte by byte; none is held
 *                            \--> anything else over its limit, or no RESP --> said, never swallowed
 *
 * A payload is the last element of an array that is in no other: the channel and the pattern came before it, so
 * whoever reads what is passed knows whose it was. Headers are held back until they are whole (at most 24 bytes); all
 * else passes as it comes, however it is cut. Promise: what passes is what came, less the skipped bulks. Never:
 * allocates, looks into a bulk. Source: the RESP2 specification.
 */
#ifndef RKB_REDIS_LENGTHS_H
#define RKB_REDIS_LENGTHS_H

#include "base/bytes.h"

struct rkb_lengths {
    uint64_t most_payload, most_name;   /* the limits; both stay */
    uint64_t elements;                  /* of the reply that are not whole yet */
    uint64_t bulk;                      /* bytes to come of the bulk that passes, with its end of line */
    uint64_t skip;                      /* likewise of the one that does not pass */
    uint64_t size;                      /* of the bulk that was skipped or refused last */
    bool nested;                        /* an array in an array: nothing in it is a payload */
    bool in_line;                       /* inside a status, an error or an integer */
    bool after_cr;                      /* whose last byte was \r */
    uint8_t held;                       /* bytes of `head` */
    uint8_t head[24];                   /* a header that is not whole */
};

enum rkb_lengths_found {
    RKB_LENGTHS_NOTHING,
    RKB_LENGTHS_SKIPPED,                /* here a payload of `size` bytes was, all of it */
    RKB_LENGTHS_REFUSED,                /* a bulk of `size` bytes begins that is too long and no payload */
    RKB_LENGTHS_MALFORMED               /* no RESP2 */
};

/*
 * 0: no limit. Anything but a payload may have most_name bytes, or as many as a payload where that is more
 * generous.
 */
struct rkb_lengths rkb_lengths(uint64_t most_payload, uint64_t most_name);
/* A new connection begins: the limits stay. */
void rkb_lengths_reset(struct rkb_lengths *lengths);
/*
 * Takes some of the bytes, at least one where there is one, and moves the slice on. What passes is in pass[0] (a
 * header that was held; good until the next call) and then pass[1] (lent of the bytes); either may be empty, and both
 * are where a payload was SKIPPED: what stood before it passed in an earlier call. What else was found comes after
 * what passes. After REFUSED and MALFORMED only reset helps.
 */
enum rkb_lengths_found rkb_lengths_scan(struct rkb_lengths *lengths, struct rkb_slice *bytes, struct rkb_slice pass[2]);
/* True between two replies: no byte of the next one has come. */
static inline bool rkb_lengths_between(const struct rkb_lengths *lengths)
{
    return (lengths->elements | lengths->bulk | lengths->skip | lengths->held) == 0 && !lengths->in_line;
}

#endif
