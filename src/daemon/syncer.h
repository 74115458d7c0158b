/*
 * syncer -- a thread that waits for the disk, so that the shipper need not: runs one sync job of the journal at a time.
 *
 *     idle --run--> running (fdatasync) --> done --finish--> idle
 *
 * Why: a sync of what a burst left takes 50 to 200 ms on a healthy disk, in which 100,000 messages may come.
 */
#ifndef RKB_DAEMON_SYNCER_H
#define RKB_DAEMON_SYNCER_H

#include "journal/journal.h"

struct rkb_syncer;

/* wake_fd: an eventfd that is written when a job is done. Started with the signal mask of its caller. */
struct rkb_syncer *rkb_syncer_start(int wake_fd, struct rkb_error *error);
/* True when no job is under way and none is done but not finished. */
bool rkb_syncer_idle(struct rkb_syncer *syncer);
/* Takes the job; only when idle. */
void rkb_syncer_run(struct rkb_syncer *syncer, const struct rkb_sync *job);
/* True once for each job that is done: gives it back with its result. `wait`: until it is. */
bool rkb_syncer_finish(struct rkb_syncer *syncer, bool wait, struct rkb_sync *job, bool *ran, struct rkb_error *error);
/* Ends the thread, behind the job that is under way; what that one found is not asked any more. */
void rkb_syncer_stop(struct rkb_syncer *syncer);

#endif
