/* sys -- see sys.h. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { TICK_US = 10 * 1000 };   /* the longest that Linux is built with */

static int posix_open(const char *path, int flags, mode_t mode)
{
    return open(path, flags | O_CLOEXEC, mode);
}

static int posix_allocate(int fd, off_t offset, off_t size)
{
    int error;
    do
        error = posix_fallocate(fd, offset, size);
    while (error == EINTR);
    if (error == 0)
        return 0;
    errno = error;
    return -1;
}

static int posix_space(int fd, uint64_t *size, uint64_t *available)
{
    struct statvfs status;
    if (fstatvfs(fd, &status) != 0)
        return -1;
    *size = (uint64_t)status.f_blocks * status.f_frsize;
    *available = (uint64_t)status.f_bavail * status.f_frsize;
    return 0;
}

static int posix_random(void *data, size_t size)
{
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
    return 0;
}

static int64_t microseconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t posix_realtime_us(void)
{
    return microseconds(CLOCK_REALTIME);
}

static int64_t posix_monotonic_us(void)
{
    return microseconds(CLOCK_MONOTONIC);
}

/* What is no TCP socket has no such figure, and no network to wait in. */
static int64_t posix_quiet_us(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_last_data_recv == 0)
        return 0;
    return (int64_t)info.tcpi_last_data_recv * 1000 + TICK_US;
}

const struct rkb_sys rkb_sys_posix = {
    .open = posix_open,
    .close = close,
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .fsync = fsync,
    .allocate = posix_allocate,
    .space = posix_space,
    .ftruncate = ftruncate,
    .rename = rename,
    .unlink = unlink,
    .random = posix_random,
    .realtime_us = posix_realtime_us,
    .monotonic_us = posix_monotonic_us,
    .quiet_us = posix_quiet_us,
};

bool rkb_sys_write(const struct rkb_sys *sys, int fd, const void *data, size_t size, size_t offset)
{
    for (size_t at = 0; at < size;) {
        ssize_t done = sys->pwrite(fd, (const uint8_t *)data + at, size - at, (off_t)(offset + at));
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = EIO;
        if (done <= 0)
            return false;
        at += (size_t)done;
    }
    return true;
}

ssize_t rkb_sys_read(const struct rkb_sys *sys, int fd, void *data, size_t size)
{
    size_t at = 0;
    while (at < size) {
        ssize_t got = sys->pread(fd, (uint8_t *)data + at, size - at, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        at += (size_t)got;
    }
    return (ssize_t)at;
}

uint64_t rkb_sys_boot(void)
{
    char text[40] = "";
    uint64_t boot = 0;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    for (ssize_t i = 0; i < got; i++)       /* FNV-1a */
        boot = (boot ^ (uint8_t)text[i]) * UINT64_C(1099511628211);
    if (fd >= 0)
        close(fd);
    return boot & INT64_MAX;
}
