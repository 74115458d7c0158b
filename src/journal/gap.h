/*
 * gap -- a span of time in which messages may have been missed; also the record that says so.
 *
 * A gap is opened when it begins (to_us 0) and closed by a second record with the same id; the ledger keeps the latest.
 * The record's value is a JSON object: {"id":..,"source":"..","from":"RFC 3339","to":"RFC 3339" or
 * null,"reason":"..","bound":n or null,"position_before":".." or null,"position_after":".." or null}, and "anchor", in
 * hexadecimal, where there is one, and "clock" (microseconds) and "boot" where that is known. An older rkbridge knew
 * nothing behind the bound, wrote none of it and ignores it.
 */
#ifndef RKB_JOURNAL_GAP_H
#define RKB_JOURNAL_GAP_H

#include "base/bytes.h"
#include "base/error.h"

#define RKB_BOUND_UNKNOWN UINT64_MAX
#define RKB_GAP_POSITION 44     /* "<32 hex digits>:<count>" and its NUL */
#define RKB_GAP_ANCHOR 96

struct rkb_gap {
    uint64_t id;                /* the sequence number of the record that opened it */
    char source[64];
    char reason[32];            /* restart, connection_lost, journal_full, too_large, damage, ... */
    int64_t from_us, to_us;     /* microseconds since 1970; to_us 0: still open */
    uint64_t bound;             /* at most so many messages, or RKB_BOUND_UNKNOWN */
    /* What is missing came after the one and, where nothing else is said, not after the other; "": unknown. */
    char before[RKB_GAP_POSITION], after[RKB_GAP_POSITION];
    bool has_anchor;
    uint8_t anchor[RKB_GAP_ANCHOR];     /* what its bound is to be counted from; of no meaning here */
    uint64_t counted;                   /* likewise, of this process only: not written, and read as 0 */
    int64_t clock_us;           /* by how much the clock of from_us is ahead of the monotonic one; 0: unknown */
    uint64_t boot;              /* since which start of which machine that one counts: see rkb_sys_boot */
};

/* The JSON object on one line, appended to out. */
void rkb_gap_write(const struct rkb_gap *gap, struct rkb_buffer *out);
/* The same for others: without anchor and clock. */
void rkb_gap_show(const struct rkb_gap *gap, struct rkb_buffer *out);
bool rkb_gap_parse(struct rkb_slice json, struct rkb_gap *gap, struct rkb_error *error) RKB_MUST_CHECK;

#endif
