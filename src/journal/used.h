/*
 * used -- the numbers that files beside the segments know: the ledger (a gap's id is a sequence number) and the dead
 * letters. They may be on the disk when the segments that held those numbers are not, after a power loss; who gave such
 * a number again would write one gap over another, and take a new letter for an old one. Internal to the journal.
 */
#ifndef RKB_JOURNAL_USED_H
#define RKB_JOURNAL_USED_H

#include "base/error.h"
#include "base/sys.h"

/*
 * The highest number in either file of this journal, 0 where there is none; what does not read back is passed over, and
 * told by those who open the files. False: one of them cannot be read (RKB_SYSTEM).
 */
bool rkb_used_highest(const char *directory, const uint8_t journal_id[16], const struct rkb_sys *sys,
                      uint64_t *highest, struct rkb_error *error) RKB_MUST_CHECK;

#endif
