/* secret -- see secret.h. */
#include "config/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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

bool rkb_secret_read(const char *path, char *out, size_t size, struct rkb_error *error)
{
    if (path[0] != '/')
        return rkb_fail(error, RKB_USAGE, "%.200s is not an absolute path", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t filled = fd < 0 ? -1 : fill(fd, out, size);
    if (filled < 0)
        (void)rkb_fail_errno(error, "%.200s cannot be read", path);
    if (fd >= 0)
        close(fd);
    if (filled < 0)
        return false;
    size_t length = (size_t)filled;
    if (length == size)
        return rkb_fail(error, RKB_USAGE, "%.200s is longer than %zu bytes", path, size - 1);
    if (length > 0 && out[length - 1] == '\n')
        length--;
    out[length] = '\0';
    if (length == 0)
        return rkb_fail(error, RKB_USAGE, "%.200s is empty", path);
    if (memchr(out, '\0', length) != NULL)
        return rkb_fail(error, RKB_USAGE, "%.200s has a NUL byte", path);
    return true;
}
