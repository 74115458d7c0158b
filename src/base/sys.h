/*
 * sys -- the system calls that can fail under us, as a small table that tests can swap.
 *
 * "the third fdatasync fails", "no space now": a test copies rkb_sys_posix, replaces a row and
 * hands its table to the journal or the ring. Not a mocking framework, and nothing on the
 * per-message path goes through it.
 */
#ifndef RKB_BASE_SYS_H
#define RKB_BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rkb_sys {
    int (*open)(const char *path, int flags, mode_t mode);
    int (*close)(int fd);
    ssize_t (*pread)(int fd, void *data, size_t size, off_t offset);
    ssize_t (*pwrite)(int fd, const void *data, size_t size, off_t offset);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);                                      /* directories, after create, rename, unlink */
    int (*allocate)(int fd, off_t offset, off_t size);         /* posix_fallocate, but -1 and errno */
    int (*space)(int fd, uint64_t *size, uint64_t *available); /* fstatvfs: bytes of it; bytes we may take */
    int (*ftruncate)(int fd, off_t size);
    int (*rename)(const char *from, const char *to);
    int (*unlink)(const char *path);
    int (*random)(void *data, size_t size);                    /* getrandom: fills all or gives -1 and errno */
    int64_t (*realtime_us)(void);                              /* microseconds since 1970-01-01 UTC */
    int64_t (*monotonic_us)(void);                             /* microseconds since some start, never back */
    /* Microseconds since a TCP socket's last byte came in, up to a tick of the kernel's clock too many; 0: just now. */
    int64_t (*quiet_us)(int fd);
};

/* The real ones. */
extern const struct rkb_sys rkb_sys_posix;

/* Tells this start of the machine from all others, below 2^63: its monotonic clock counts since then. 0: unknown. */
uint64_t rkb_sys_boot(void);

/* All of the bytes, in as many calls as it takes. False: errno; some of them may be written. */
bool rkb_sys_write(const struct rkb_sys *sys, int fd, const void *data, size_t size, size_t offset);
/* As many bytes as the file has from its start on, at most `size`; -1: errno. */
ssize_t rkb_sys_read(const struct rkb_sys *sys, int fd, void *data, size_t size);

#endif
