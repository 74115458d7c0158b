/*
 * retried -- which dead letters were sent again: a text file beside theirs, `dead-letters.retried`, a line for each.
 *
 *     2026-01-02T03:04:05.678Z file/17 018bcfe5-6800-7000-8000-123456789abc
 *     when                     place   id of its message
 *
 * A letter is one of them where place and id both are: places of a topic that was made anew come again. A last line
 * without its newline is an unfinished write and does not count. Only who sends them again writes, one at a time; not
 * the bridge. One thread.
 */
#ifndef RKB_JOURNAL_RETRIED_H
#define RKB_JOURNAL_RETRIED_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/sys.h"

struct rkb_retried;

/* As it is now, to look at; where there is no file, none was. NULL: RKB_SYSTEM, RKB_NO_MEMORY. */
struct rkb_retried *rkb_retried_read(const char *directory, const struct rkb_sys *sys, struct rkb_error *error);
/*
 * To add to it: made where it is missing (0600, of the directory's owner), locked until it is freed. NULL also for
 * RKB_LOCKED: somebody adds to it now.
 */
struct rkb_retried *rkb_retried_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error);
void rkb_retried_free(struct rkb_retried *retried);     /* NULL is allowed */

/* When it was sent again, 24 characters, lent until the next add; NULL: it was not. */
const char *rkb_retried_when(const struct rkb_retried *retried, const char *place, struct rkb_slice id);
/* True when a letter of this message was added since the file was opened. */
bool rkb_retried_just_now(const struct rkb_retried *retried, struct rkb_slice id);
/*
 * Adds one; after a kill it is there, after a power loss once it was synced. False: RKB_SYSTEM, RKB_FULL,
 * RKB_NO_MEMORY, RKB_USAGE for an id or place that is no word. Then the file's lines are as before.
 */
bool rkb_retried_add(struct rkb_retried *retried, const char *place, struct rkb_slice id, struct rkb_error *error)
    RKB_MUST_CHECK;
bool rkb_retried_sync(struct rkb_retried *retried, struct rkb_error *error) RKB_MUST_CHECK;

#endif
