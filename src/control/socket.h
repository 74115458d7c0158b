/*
 * socket -- the control socket: unix domain, one command a line, answers that end in OK or
 * are one line ERROR code text.
 *
 * It watches and never stands in the way: limits on line length (4096), clients (32; of those who say nothing for a
 * second, or read nothing for ten, the one that has longest leaves its place to who comes) and unread output (4 MiB;
 * past it the client is dropped; of what is watched 64 KiB, past that lines are missed). Pipelined commands are
 * answered in order. Loop thread. The process must ignore SIGPIPE.
 *
 * One command brings bytes with it, a dead letter to be sent again: of one client at a time, as many as upload_limit,
 * within 10 s. Whoever comes in between is told `busy` and closed.
 */
#ifndef RKB_CONTROL_SOCKET_H
#define RKB_CONTROL_SOCKET_H

#include <event2/event.h>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/sys.h"
#include "control/commands.h"
#include "control/rights.h"
#include "control/stats.h"

#define RKB_CONTROL_DEFAULT_PATH "/run/rkbridge/control.sock"

#define RKB_CONTROL_LINE_MAX 4096               /* without its newline */
#define RKB_CONTROL_CLIENTS_MAX 32
#define RKB_CONTROL_UNREAD_MAX (4 << 20)
#define RKB_CONTROL_WATCHERS_MAX 8
#define RKB_CONTROL_IDLE_US INT64_C(1000000)    /* so long a place is safe from who comes later */
#define RKB_CONTROL_DEAF_US INT64_C(10000000)   /* likewise of who does not read what it was sent */
#define RKB_CONTROL_UPLOAD_US INT64_C(10000000)
#define RKB_CONTROL_UPLOAD_HEADERS (1u << 20)   /* beside the largest payload */

struct rkb_control;

struct rkb_control_options {
    int64_t share_us;           /* what all clients may take of the loop at one go (share.h); 0: what is usual */
    const char *path;
    mode_t mode;                                    /* final from its creation on */
    struct rkb_rights rights;                       /* who is admin beside root; its lists outlive the control */
    /* Fills the snapshot; what it points to stays valid until the next call. */
    const struct rkb_snapshot *(*snapshot)(void *context);
    void *context;
    struct rkb_log *log;                            /* whose last lines are shown; NULL: none are */
    rkb_act *act;                                   /* does what a command asks of the daemon */
    /* For the log, with act_context: the first of a client's dead letters; NULL: nobody wants to know. */
    void (*asked)(void *context, const char *word, const struct rkb_peer *peer);
    void *act_context;
    /*
     * Takes a dead letter; headers and payload are lent. True: *out has the lines of the answer; false: *code, a word,
     * and *error. Does not free the control.
     */
    bool (*retry)(void *context, struct rkb_slice headers, struct rkb_slice payload, struct rkb_buffer *out,
                  const char **code, struct rkb_error *error);
    void *retry_context;
    const struct rkb_sys *sys;                      /* for its clock; NULL: the real one */
    size_t upload_limit;                            /* bytes of headers and payload together; 0: none are taken */
};

/*
 * Listens. A stale socket file (nobody answers) is replaced; one that is in use is RKB_LOCKED; a file that is no socket
 * is left alone and said. The directory must exist. The umask of the process is another one for a moment: threads that
 * run by then may make files for their owner alone (unix_socket.c).
 */
struct rkb_control *rkb_control_new(struct event_base *base, const struct rkb_control_options *options,
                                    struct rkb_error *error);
/* Others have the admin right from now on, also of those who are connected; the lists are lent as before. */
void rkb_control_rights(struct rkb_control *control, const struct rkb_rights *rights);
/*
 * Of an answer that comes later (RKB_LATER), on the loop thread, once act has returned: lines of it, each with its
 * newline, none of them `OK` or beginning with `ERROR `; the buffer is emptied. And its end: OK, or code and text. Who
 * has left, or does not read, misses them. Tickets that are not finished are abandoned when the control is freed: these
 * clients are told so.
 */
void rkb_control_say(struct rkb_control *control, uint64_t ticket, struct rkb_buffer *lines);
void rkb_control_finish(struct rkb_control *control, uint64_t ticket, const char *code, const char *text);
/*
 * Closes all clients, removes the socket file if it is still ours. Safe inside snapshot(): freeing
 * is deferred. NULL is allowed.
 */
void rkb_control_free(struct rkb_control *control);

#endif
