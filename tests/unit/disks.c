/* disks -- see disks.h. */
#include "disks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

const struct rkb_sys *quick_disk(void)
{
    static struct rkb_sys sys;
    sys = rkb_sys_posix;
    sys.fdatasync = sys.fsync = no_sync;
    return &sys;
}

static struct {
    enum call call;
    int countdown, number;
    bool fired, always;
    int calls[CALLS];
    int64_t clock_us;
    uint64_t size, available;
    const char *under;
} fault;

void fail_call(enum call call, int nth, int number)
{
    fault.call = call;
    fault.countdown = nth;
    fault.number = number;
    fault.fired = fault.always = false;
}

void fail_calls(enum call call, int number)
{
    fail_call(call, 0, number);
    fault.always = true;
}

int calls_of(enum call call)
{
    return fault.calls[call];
}

void fail_only_under(const char *directory)
{
    fault.under = directory;
}

void turn_clock(int64_t microseconds)
{
    fault.clock_us += microseconds;
}

void tell_space(uint64_t size, uint64_t available)
{
    fault.size = size;
    fault.available = available;
}

bool call_failed(void)
{
    return fault.fired;
}

static bool concerns(const char *path)
{
    return fault.under == NULL || strncmp(path, fault.under, strlen(fault.under)) == 0;
}

static bool is_meant(enum call call)
{
    bool change = call == CALL_PWRITE || call == CALL_FDATASYNC || call == CALL_FSYNC || call == CALL_ALLOCATE ||
                  call == CALL_FTRUNCATE || call == CALL_RENAME || call == CALL_UNLINK;
    return fault.call == call || (fault.call == CALL_CHANGE && change);
}

static bool fails(enum call call, const char *path)
{
    if (path != NULL && !concerns(path))
        return false;
    fault.calls[call]++;
    if (!is_meant(call) || (!fault.always && --fault.countdown != 0))
        return false;
    fault.fired = true;
    errno = fault.number;
    return true;
}

static bool fails_on(enum call call, int fd)
{
    char link[64], path[PATH_MAX] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = fault.under == NULL ? 0 : readlink(link, path, sizeof path - 1);
    return (fault.under == NULL || size > 0) && fails(call, fault.under == NULL ? NULL : path);
}

static int faulty_open(const char *path, int flags, mode_t mode)
{
    return fails(CALL_OPEN, path) ? -1 : rkb_sys_posix.open(path, flags, mode);
}

static ssize_t faulty_pread(int fd, void *data, size_t size, off_t offset)
{
    return fails_on(CALL_PREAD, fd) ? -1 : pread(fd, data, size, offset);
}

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (fails_on(CALL_PWRITE_SHORT, fd))
        return pwrite(fd, data, (size + 1) / 2, offset);
    if (!fails_on(CALL_PWRITE, fd))
        return pwrite(fd, data, size, offset);
    assert_true(pwrite(fd, data, size / 2, offset) >= 0);
    errno = fault.number;
    return -1;
}

static int faulty_fdatasync(int fd)
{
    return fails_on(CALL_FDATASYNC, fd) ? -1 : 0;
}

static int faulty_fsync(int fd)
{
    return fails_on(CALL_FSYNC, fd) ? -1 : 0;
}

static int faulty_space(int fd, uint64_t *size, uint64_t *available)
{
    if (fails_on(CALL_SPACE, fd))
        return -1;
    if (fault.size == 0)
        return rkb_sys_posix.space(fd, size, available);
    *size = fault.size;
    *available = fault.available;
    return 0;
}

static int64_t hand_clock(void)
{
    return fault.clock_us;
}

static int faulty_allocate(int fd, off_t offset, off_t size)
{
    if (!fails_on(CALL_ALLOCATE, fd))
        return rkb_sys_posix.allocate(fd, offset, size);
    assert_int_equal(rkb_sys_posix.allocate(fd, offset, size / 2), 0);
    errno = fault.number;
    return -1;
}

static int faulty_ftruncate(int fd, off_t size)
{
    return fails_on(CALL_FTRUNCATE, fd) ? -1 : ftruncate(fd, size);
}

static int faulty_rename(const char *from, const char *to)
{
    return fails(CALL_RENAME, from) ? -1 : rename(from, to);
}

static int faulty_unlink(const char *path)
{
    return fails(CALL_UNLINK, path) ? -1 : unlink(path);
}

static int faulty_random(void *data, size_t size)
{
    return fails(CALL_RANDOM, NULL) ? -1 : rkb_sys_posix.random(data, size);
}

const struct rkb_sys *faulty_disk(void)
{
    static struct rkb_sys sys;
    sys = rkb_sys_posix;
    sys.open = faulty_open;
    sys.pread = faulty_pread;
    sys.pwrite = faulty_pwrite;
    sys.fdatasync = faulty_fdatasync;
    sys.fsync = faulty_fsync;
    sys.allocate = faulty_allocate;
    sys.ftruncate = faulty_ftruncate;
    sys.rename = faulty_rename;
    sys.unlink = faulty_unlink;
    sys.random = faulty_random;
    sys.space = faulty_space;
    sys.monotonic_us = hand_clock;
    memset(&fault, 0, sizeof fault);
    fault.clock_us = 1000000000;
    return &sys;
}
