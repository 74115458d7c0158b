/*
 * scan -- steps through the bytes of one segment by the rule of validity. Internal to the journal.
 */
#ifndef RKB_JOURNAL_SCAN_H
#define RKB_JOURNAL_SCAN_H

#include "journal/format.h"

struct rkb_scan {
    const uint8_t *data;
    size_t size;            /* where to stop */
    size_t offset;          /* of the next record */
    uint64_t salt;
    uint64_t next;          /* the sequence number the next numbered record must have */
    uint64_t end;           /* here the next segment begins: a record with this number is that one's; 0: not known */
};

/* From behind the header. */
struct rkb_scan rkb_scan(const uint8_t *data, size_t size, const struct rkb_segment_head *head);

/*
 * The next record that counts; BLANK at the end; BAD with *why where one does not count. Then offset stays where it is.
 */
enum rkb_parse rkb_scan_next(struct rkb_scan *scan, struct rkb_record *record, const char **why) RKB_MUST_CHECK;

/*
 * Behind a place that does not count: the next record after it that does, but for numbers in between. False when none
 * begins before `end`.
 */
bool rkb_scan_ahead(struct rkb_scan *scan, size_t end, struct rkb_record *record) RKB_MUST_CHECK;

#endif
