/*
 * socket -- the control socket: unix domain, one command a line, answers that end in OK or are one line ERROR code text.
 *
 * It watches and never stands in the way: limits on line length (4096), clients (32) and unread output (4 MiB; past it the
 * client is dropped). Pipelined commands are answered in order. Loop thread.
 */
#ifndef RKB_CONTROL_SOCKET_H
#define RKB_CONTROL_SOCKET_H

#include <event2/event.h>
#include <sys/types.h>

#include "base/error.h"
#include "control/stats.h"

struct rkb_control;

struct rkb_control_options {
    const char *path;
    mode_t mode;                                    /* final from its creation on */
    /* Fills the snapshot; what it points to stays valid until the next call. */
    const struct rkb_snapshot *(*snapshot)(void *context);
    void *context;
};

/*
 * Listens. A stale socket file (nobody answers) is replaced; one that is in use is RKB_LOCKED; a file that is no socket is
 * left alone and said. The directory must exist.
 */
struct rkb_control *rkb_control_new(struct event_base *base, const struct rkb_control_options *options, struct rkb_error *error);
/* Closes all clients, removes the socket file. */
void rkb_control_free(struct rkb_control *control);

#endif
