/*
 * unix_socket -- a socket in the file system that is listened on: its file has its final mode from the start, one that
 * is left over is replaced, one that is in use or is something else is left alone.
 */
#ifndef RKB_CONTROL_UNIX_SOCKET_H
#define RKB_CONTROL_UNIX_SOCKET_H

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>

#include "base/error.h"

struct rkb_unix_socket {
    struct sockaddr_un address;
    dev_t device;               /* with inode: the file that we made; inode 0: none */
    ino_t inode;
};

/*
 * A bound descriptor, close-on-exec and non-blocking, that nobody listens on yet. -1 and *error: RKB_USAGE for a path
 * that no socket can have and for a file that is no socket; RKB_LOCKED where somebody listens; RKB_SYSTEM. The umask of
 * the process is another one for a moment, for group and others.
 */
int rkb_unix_socket_bind(struct rkb_unix_socket *place, const char *path, mode_t mode, struct rkb_error *error);
/* Removes the file, if it is still the one that was made. */
void rkb_unix_socket_remove(const struct rkb_unix_socket *place);

#endif
