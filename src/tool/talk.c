/* talk -- see talk.h. */
#include "tool/talk.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "tool/tool.h"

#define SILENCE_MS 10000

static const char *advice(int number)
{
    switch (number) {
    case ENOENT:
        return "Is rkbridge running? Another socket is named with -s or RKBRIDGE_SOCKET "
               "(control.socket in its config).";
    case ECONNREFUSED:
        return "Nobody listens there: rkbridge is not running, and left its socket behind.";
    case EACCES:
    case EPERM:
        return "Run rkbctl as root, as the user of rkbridge, or as a member of its group "
               "(control.socket_mode in its config).";
    case EAGAIN:
        return "It has let nobody in for 10 seconds: rkbridge hangs, or was stopped.";
    default:
        return "Is rkbridge running, and is this its control.socket?";
    }
}

int rkb_talk_unreachable(FILE *err, const char *path, int number)
{
    fprintf(err, "rkbctl: cannot reach rkbridge at %s: %s\n%s\n", path, strerror(number), advice(number));
    return RKB_EXIT_UNREACHABLE;
}

bool rkb_talk_wait(int fd, short what)
{
    struct pollfd ready = {.fd = fd, .events = what};
    int got;
    do
        got = poll(&ready, 1, SILENCE_MS);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        errno = ETIMEDOUT;
    return got > 0;
}

bool rkb_talk_send(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = rkb_talk_wait(fd, POLLOUT) ? send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
    }
    return true;
}

int rkb_talk_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Also bounds connect, which waits while the queue of those who want in is full. */
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){SILENCE_MS / 1000, 0}, sizeof(struct timeval));
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) {
        int number = errno;
        close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

bool rkb_talk_starts(struct rkb_slice line, const char *with)
{
    size_t size = strlen(with);
    return line.size >= size && memcmp(line.data, with, size) == 0;
}

int rkb_talk_verdict(struct rkb_slice line)
{
    static const struct { const char *text, *json; } known[] = {
        {"verdict: OK", "{\"verdict\":{\"level\":\"OK\""},
        {"verdict: WARN", "{\"verdict\":{\"level\":\"WARN\""},
        {"verdict: BAD", "{\"verdict\":{\"level\":\"BAD\""},
    };
    for (int code = 0; code < 3; code++)
        if (rkb_talk_starts(line, known[code].text) || rkb_talk_starts(line, known[code].json))
            return code;
    return RKB_EXIT_UNREACHABLE;
}
