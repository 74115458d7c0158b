/*
 * process -- what this process takes of the machine, as the kernel's files tell it (proc(5)). Reads files: not for the
 * loop.
 */
#ifndef RKB_DAEMON_PROCESS_H
#define RKB_DAEMON_PROCESS_H

#include <stdint.h>

struct rkb_process_figures {
    uint64_t resident_bytes, virtual_bytes, open_fds;
};

/* What cannot be read is left as it was. */
void rkb_process_read(struct rkb_process_figures *figures);

#endif
