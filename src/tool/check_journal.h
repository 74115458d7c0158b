/*
 * check_journal -- the journal's directory as the bridge would meet it: who has it,
 * how much room there is, how fast its disk is.
 *
 *     a thread: lock, room, 4 MiB written and synced to a file without a name --> found --> judge
 *
 * A sick disk may take any time, so a thread asks it and nobody waits longer than the limit; it is left behind then.
 * Never: makes a directory, or a file that stays; opens a segment.
 */
#ifndef RKB_TOOL_CHECK_JOURNAL_H
#define RKB_TOOL_CHECK_JOURNAL_H

#include <limits.h>

#include "base/sys.h"
#include "config/config.h"
#include "tool/check_report.h"

enum rkb_file_system { RKB_ON_A_DISK, RKB_IN_MEMORY, RKB_IN_A_LAYER };     /* a layer: overlayfs, a container's own */

struct rkb_journal_found {
    bool in_time;                       /* all below is known; else the disk did not answer */
    char where[PATH_MAX];               /* the directory, or its parent where it is still to be made */
    bool is_there, locked;
    long pid;                           /* of who has it, 0: unknown */
    char owner[64];                     /* where it is there and belongs to another user than ours; else "" */
    enum rkb_file_system lies, ring_lies;           /* ring_lies: in memory also where there is no file */
    bool has_room;                      /* the next four are known */
    uint64_t size, available, used;     /* of the file system; what may be taken; what the journal has taken already */
    uint64_t ring_available;            /* where the ring would be; UINT64_MAX: no file, or not known */
    struct rkb_error write;             /* RKB_OK: it took the bytes */
    int64_t write_us, sync_us;
};

/* True: a bridge has the journal open. Waits at most for the limit. *found is for the disk of Redis. */
bool rkb_check_journal(const struct rkb_config *config, const struct rkb_sys *sys, int limit_ms,
                       struct rkb_journal_found *found, struct rkb_report *report);
/* What was found is worth: a part of the above. */
void rkb_judge_journal(const struct rkb_config *config, const struct rkb_journal_found *found,
                       struct rkb_report *report);

#endif
