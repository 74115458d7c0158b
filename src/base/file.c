/* file -- see file.h. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool refuse_kind(const char *path, mode_t mode, struct rkb_error *error)
{
    const char *kind = S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a FIFO" : "a device";
    return rkb_fail(error, RKB_USAGE, "%.200s is %s; a regular file is needed", path, kind);
}

/* Opens it without waiting for anybody at its other end. -1 and *error where it is not to be read. */
static int open_regular(const char *path, struct rkb_error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0)
        (void)rkb_fail_errno(error, "%.200s cannot be read", path);
    else if (S_ISREG(status.st_mode))
        return fd;
    else
        (void)refuse_kind(path, status.st_mode, error);
    if (fd >= 0)
        close(fd);
    return -1;
}

/* Bytes read, at most size; -1 and errno. */
static ssize_t fill(int fd, char *out, size_t size)
{
    size_t filled = 0;
    while (filled < size) {
        ssize_t got = read(fd, out + filled, size - filled);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        filled += (size_t)got;
    }
    return (ssize_t)filled;
}

bool rkb_file_read(const char *path, void *out, size_t size, size_t *length, struct rkb_error *error)
{
    char more;
    int fd = open_regular(path, error);
    if (fd < 0)
        return false;
    ssize_t filled = fill(fd, out, size);
    ssize_t rest = filled == (ssize_t)size ? fill(fd, &more, 1) : 0;
    bool read = filled >= 0 && rest == 0;
    if (filled < 0 || rest < 0)
        (void)rkb_fail_errno(error, "%.200s cannot be read", path);
    else if (rest > 0)
        (void)rkb_fail(error, RKB_USAGE, "%.200s is longer than %zu bytes", path, size);
    close(fd);
    if (read)
        *length = (size_t)filled;
    else
        explicit_bzero(out, size);
    return read;
}
