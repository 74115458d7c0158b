/*
 * aside -- what the journal's append-only files beside the segments share (ledger, dead letters): whose file it is, and
 * keeping one that does not read back.
 */
#ifndef RKB_JOURNAL_ASIDE_H
#define RKB_JOURNAL_ASIDE_H

#include "base/sys.h"
#include "journal/format.h"

/*
 * Does the file begin with a head of this journal's? Then *salt is its records'. Else *error, which begins with `what`:
 * RKB_DAMAGED, or RKB_VERSION where a newer program wrote it.
 */
bool rkb_aside_head(const char *what, const char *path, const uint8_t *data, size_t size, const uint8_t journal_id[16],
                    uint64_t *salt, struct rkb_error *error) RKB_MUST_CHECK;
/*
 * Gives the file the name <path>.damaged, or .damaged.2, .3, ... where one was set aside before: that is kept as well.
 * RKB_FULL: all such names are taken; RKB_SYSTEM.
 */
bool rkb_aside_set(const char *what, const char *path, const struct rkb_sys *sys, struct rkb_error *error)
    RKB_MUST_CHECK;

#endif
