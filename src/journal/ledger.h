/*
 * ledger -- the gaps, kept longer than the segments that carried their records.
 *
 * A file in the journal's own format (a segment header and gap records) in the journal's directory; at 1 MiB it is
 * written anew with the newest half of its closed gaps and all open ones (new file, sync, rename). Appended by the
 * shipper when it takes a gap record from the ring; read at start.
 */
#ifndef RKB_JOURNAL_LEDGER_H
#define RKB_JOURNAL_LEDGER_H

#include "base/sys.h"
#include "journal/gap.h"

struct rkb_ledger;

/*
 * Opens or makes directory/ledger; `visit` sees the latest state of each gap, ordered by id. A torn tail is cut; damage
 * ends the reading and is said in *error with a non-NULL result (code RKB_DAMAGED).
 */
struct rkb_ledger *rkb_ledger_open(const char *directory, const uint8_t journal_id[16], const struct rkb_sys *sys,
                                   void (*visit)(void *context, const struct rkb_gap *gap), void *context,
                                   struct rkb_error *error);
void rkb_ledger_close(struct rkb_ledger *ledger);
/* Appends the gap's present state and syncs. */
bool rkb_ledger_append(struct rkb_ledger *ledger, const struct rkb_gap *gap, struct rkb_error *error) RKB_MUST_CHECK;

/* Writes anew what append could not write, or a file that was deleted; true also where there is nothing to do. */
bool rkb_ledger_mend(struct rkb_ledger *ledger, struct rkb_error *error) RKB_MUST_CHECK;

#endif
