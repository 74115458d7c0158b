/* disks -- see disks.h. */
#include "disks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
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
    bool fired;
} fault;

void fail_call(enum call call, int nth, int number)
{
    fault.call = call;
    fault.countdown = nth;
    fault.number = number;
    fault.fired = false;
}

bool call_failed(void)
{
    return fault.fired;
}

static bool fails(enum call call)
{
    if (fault.call != call || --fault.countdown != 0)
        return false;
    fault.fired = true;
    errno = fault.number;
    return true;
}

static int faulty_open(const char *path, int flags, mode_t mode)
{
    return fails(CALL_OPEN) ? -1 : rkb_sys_posix.open(path, flags, mode);
}

static ssize_t faulty_pread(int fd, void *data, size_t size, off_t offset)
{
    return fails(CALL_PREAD) ? -1 : pread(fd, data, size, offset);
}

static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (fails(CALL_PWRITE_SHORT))
        return pwrite(fd, data, (size + 1) / 2, offset);
    if (!fails(CALL_PWRITE))
        return pwrite(fd, data, size, offset);
    assert_true(pwrite(fd, data, size / 2, offset) >= 0);
    errno = fault.number;
    return -1;
}

static int faulty_fdatasync(int fd)
{
    (void)fd;
    return fails(CALL_FDATASYNC) ? -1 : 0;
}

static int faulty_fsync(int fd)
{
    (void)fd;
    return fails(CALL_FSYNC) ? -1 : 0;
}

static int faulty_allocate(int fd, off_t offset, off_t size)
{
    if (!fails(CALL_ALLOCATE))
        return rkb_sys_posix.allocate(fd, offset, size);
    assert_int_equal(rkb_sys_posix.allocate(fd, offset, size / 2), 0);
    errno = fault.number;
    return -1;
}

static int faulty_ftruncate(int fd, off_t size)
{
    return fails(CALL_FTRUNCATE) ? -1 : ftruncate(fd, size);
}

static int faulty_rename(const char *from, const char *to)
{
    return fails(CALL_RENAME) ? -1 : rename(from, to);
}

static int faulty_unlink(const char *path)
{
    return fails(CALL_UNLINK) ? -1 : unlink(path);
}

static int faulty_random(void *data, size_t size)
{
    return fails(CALL_RANDOM) ? -1 : rkb_sys_posix.random(data, size);
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
    fault.countdown = 0;
    return &sys;
}
