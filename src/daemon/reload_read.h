/*
 * reload_read -- reads a config and compiles its routes in a thread of its own, so that the loop waits for no file.
 *
 *     loop: begin --> thread: read, check, compile --> the loop's eventfd --> loop: take, or abandon
 *
 * The thread has only what belongs to it, so whoever does not want to wait for it leaves it alone: it frees what it
 * has.
 */
#ifndef RKB_DAEMON_RELOAD_READ_H
#define RKB_DAEMON_RELOAD_READ_H

#include "config/config.h"
#include "daemon/routing.h"

struct rkb_reading_job;

struct rkb_reading_result {
    struct rkb_mistakes mistakes;       /* its warnings also where there are none */
    struct rkb_routing *routing;              /* with its config; NULL: mistakes, or */
    struct rkb_error error;             /* RKB_OK where there is no other than mistakes */
};

/*
 * file and what `now` says of sources (their order) are copied. wake_fd: an eventfd that is written to when it is done.
 * NULL and *error where no thread can be had.
 */
struct rkb_reading_job *rkb_reading_begin(const char *file, bool embedded, const struct rkb_config *now, int wake_fd,
                                          struct rkb_error *error);
/* True: it is done, *result is the caller's, and the job is freed. */
bool rkb_reading_take(struct rkb_reading_job *job, struct rkb_reading_result *result);
/* Done or not, nobody waits for it any more. NULL is allowed. */
void rkb_reading_abandon(struct rkb_reading_job *job);

#endif
