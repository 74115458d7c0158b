/*
 * lock -- one process per journal directory, and the journal's id.
 *
 * The file `lock` holds two lines: "rkbridge journal <32 hex digits>" and "pid <number>". The id is made once and never
 * changed; the pid is for people. The lock itself is flock(2): gone with the process, not inherited by exec.
 */
#ifndef RKB_JOURNAL_LOCK_H
#define RKB_JOURNAL_LOCK_H

#include "base/error.h"
#include "base/sys.h"

/*
 * Takes the lock; who only looks at it (rkb_lock_look) may have it for a moment, so it tries for a tenth of a second.
 * The descriptor that holds it, or -1: RKB_LOCKED (with the pid), RKB_SYSTEM, RKB_FULL.
 */
int rkb_lock_take(const char *directory, const struct rkb_sys *sys, struct rkb_error *error);

/*
 * Notes our pid and reads the id, or makes one in a directory without segments. RKB_DAMAGED: segments are here, but
 * no readable id.
 */
bool rkb_lock_own(int fd, const char *directory, bool has_segments, const struct rkb_sys *sys, uint8_t id[16],
                  struct rkb_error *error) RKB_MUST_CHECK;

/* Writes both into a lock file made anew, in the place of one that was deleted. */
bool rkb_lock_write_again(int fd, const char *directory, const struct rkb_sys *sys, const uint8_t id[16],
                          struct rkb_error *error) RKB_MUST_CHECK;

/*
 * Whether a process has the lock now, and which as far as the file tells (0: it does not). Makes no file, and holds the
 * lock, shared, for no longer than it takes to see that it can be had. False where the file cannot be opened: errno.
 */
bool rkb_lock_look(const char *directory, const struct rkb_sys *sys, bool *held, long *pid) RKB_MUST_CHECK;

/* Reads the id without locking. */
bool rkb_lock_read_id(const char *directory, const struct rkb_sys *sys, uint8_t id[16],
                      struct rkb_error *error) RKB_MUST_CHECK;

#endif
