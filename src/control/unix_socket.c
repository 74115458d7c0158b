/* unix_socket -- see unix_socket.h. */
#include "control/unix_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int new_socket(struct rkb_error *error)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        rkb_fail_errno(error, "control socket");
    return fd;
}

/* Removes the socket file of one who is gone; false if somebody answers there, or nobody can tell. */
static bool remove_stale(const struct sockaddr_un *address, struct rkb_error *error)
{
    struct stat there;
    if (lstat(address->sun_path, &there) != 0)
        return errno == ENOENT || rkb_fail_errno(error, "control socket %s", address->sun_path);
    if (!S_ISSOCK(there.st_mode))
        return rkb_fail(error, RKB_USAGE,
                        "control socket %s: there is a file of that name that is no socket; it is left alone",
                        address->sun_path);
    int fd = new_socket(error);
    if (fd < 0)
        return false;
    int answered = connect(fd, (const struct sockaddr *)address, sizeof *address), number = errno;
    close(fd);
    if (answered == 0 || number == EAGAIN)
        return rkb_fail(error, RKB_LOCKED, "control socket %s is in use: another rkbridge listens there",
                        address->sun_path);
    errno = number;
    if (number != ECONNREFUSED || unlink(address->sun_path) != 0)
        return rkb_fail_errno(error, "control socket %s: what is left there cannot be replaced", address->sun_path);
    return true;
}

/*
 * A bound socket, its file with its final mode from the start; -1 and *error when that cannot be. The mode is the
 * descriptor's less the umask, which is without effect for a moment: but never on the owner's bits, so what other
 * threads make meanwhile for their owner alone is as ever.
 */
static int bind_file(struct rkb_unix_socket *place, mode_t mode, struct rkb_error *error)
{
    int fd = new_socket(error);
    if (fd < 0)
        return -1;
    (void)!fchmod(fd, mode);
    mode_t before = umask(~mode & 0077);
    int bound = bind(fd, (const struct sockaddr *)&place->address, sizeof place->address), number = errno;
    umask(before);
    struct stat made;
    errno = number;
    if (bound != 0 || stat(place->address.sun_path, &made) != 0) {
        rkb_fail_errno(error, "control socket %s", place->address.sun_path);
        close(fd);
        return -1;
    }
    place->device = made.st_dev;
    place->inode = made.st_ino;
    return fd;
}

int rkb_unix_socket_bind(struct rkb_unix_socket *place, const char *path, mode_t mode, struct rkb_error *error)
{
    size_t size = strlen(path);
    *place = (struct rkb_unix_socket){.address.sun_family = AF_UNIX};
    if (size >= sizeof place->address.sun_path) {
        rkb_fail(error, RKB_USAGE, "control socket %s: a path of a socket is at most %zu bytes long", path,
                 sizeof place->address.sun_path - 1);
        return -1;
    }
    memcpy(place->address.sun_path, path, size);
    return remove_stale(&place->address, error) ? bind_file(place, mode, error) : -1;
}

void rkb_unix_socket_remove(const struct rkb_unix_socket *place)
{
    struct stat there;
    if (place->inode != 0 && lstat(place->address.sun_path, &there) == 0 && there.st_dev == place->device
        && there.st_ino == place->inode)
        unlink(place->address.sun_path);
}
