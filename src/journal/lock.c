/* lock -- see lock.h. */
#include "journal/lock.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ID_LINE "rkbridge journal "
#define ID_AT (sizeof ID_LINE - 1)
#define PID_AT (ID_AT + 32 + 1)
#define FILE_SIZE 96
#define TRIES 10                /* rkb_lock_look may have it for a moment: that is nobody who keeps it */
#define TRY_AGAIN_NS 10000000L

static void path_of(char path[PATH_MAX], const char *directory)
{
    snprintf(path, PATH_MAX, "%s/lock", directory);
}

/* The file's text, NUL-terminated; how long it is. */
static size_t read_text(int fd, const struct rkb_sys *sys, char text[FILE_SIZE])
{
    ssize_t got = sys->pread(fd, text, FILE_SIZE - 1, 0);
    text[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_id(const char *text, size_t size, uint8_t id[16])
{
    if (size < PID_AT || memcmp(text, ID_LINE, ID_AT) != 0 || text[PID_AT - 1] != '\n')
        return false;
    for (size_t i = 0; i < 16; i++) {
        int high = digit(text[ID_AT + 2 * i]), low = digit(text[ID_AT + 2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool write_text(int fd, const char *path, const struct rkb_sys *sys, const char *text, size_t at,
                       struct rkb_error *error)
{
    size_t size = strlen(text);
    ssize_t done = sys->pwrite(fd, text, size, (off_t)at);
    if (done >= 0 && (size_t)done != size)
        errno = ENOSPC;
    return done == (ssize_t)size || rkb_fail_errno(error, "journal: cannot write %s", path);
}

/* The id, on disk before anything is named after it. */
static bool write_id(int fd, const char *path, const struct rkb_sys *sys, const uint8_t id[16],
                     struct rkb_error *error)
{
    char line[PID_AT + 1] = ID_LINE;
    rkb_hex(line + ID_AT, id, 16);
    line[PID_AT - 1] = '\n';
    line[PID_AT] = '\0';
    if (!write_text(fd, path, sys, line, 0, error))
        return false;
    return sys->fdatasync(fd) == 0 || rkb_fail_errno(error, "journal: cannot sync %s", path);
}

static bool write_pid(int fd, const char *path, const struct rkb_sys *sys, struct rkb_error *error)
{
    char pid[24];
    snprintf(pid, sizeof pid, "pid %-10ld\n", (long)getpid());
    return write_text(fd, path, sys, pid, PID_AT, error);
}

static long pid_in(const char *text)
{
    const char *pid = strstr(text, "\npid ");
    return pid == NULL ? 0L : strtol(pid + 5, NULL, 10);
}

static void locked_by(const char *directory, const char *text, struct rkb_error *error)
{
    rkb_fail(error, RKB_LOCKED, "journal: %s is in use by another rkbridge (process %ld)", directory, pid_in(text));
}

bool rkb_lock_own(int fd, const char *directory, bool has_segments, const struct rkb_sys *sys, uint8_t id[16],
                  struct rkb_error *error)
{
    char path[PATH_MAX], text[FILE_SIZE];
    path_of(path, directory);
    size_t size = read_text(fd, sys, text);
    if (!parse_id(text, size, id)) {
        if (has_segments)
            return rkb_fail(error, RKB_DAMAGED,
                            "journal: %s does not hold the id of the journal whose segments lie beside it. Write it "
                            "back (\"" ID_LINE "\" and the id that `rkbctl journal list` shows), or "
                            "move the segments away", path);
        if (sys->random(id, 16) != 0)
            return rkb_fail_errno(error, "journal: no random bytes for its id");
        if (!write_id(fd, path, sys, id, error))
            return false;
    }
    return write_pid(fd, path, sys, error);
}

bool rkb_lock_write_again(int fd, const char *directory, const struct rkb_sys *sys, const uint8_t id[16],
                          struct rkb_error *error)
{
    char path[PATH_MAX];
    path_of(path, directory);
    return write_id(fd, path, sys, id, error) && write_pid(fd, path, sys, error);
}

/* text: who has it, where it is not to be had (EWOULDBLOCK). */
static bool try_for_a_moment(int fd, const struct rkb_sys *sys, char text[FILE_SIZE])
{
    static const struct timespec turn = {0, TRY_AGAIN_NS};
    for (int i = 0; i < TRIES; i++) {
        if (i > 0)
            nanosleep(&turn, NULL);
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return true;
        if (errno != EWOULDBLOCK)
            return false;
        read_text(fd, sys, text);
    }
    errno = EWOULDBLOCK;
    return false;
}

int rkb_lock_take(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    char path[PATH_MAX], text[FILE_SIZE];
    path_of(path, directory);
    int fd = sys->open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (fd < 0) {
        rkb_fail_errno(error, "journal: cannot open %s", path);
        return -1;
    }
    if (try_for_a_moment(fd, sys, text))
        return fd;
    if (errno == EWOULDBLOCK)
        locked_by(directory, text, error);
    else
        rkb_fail_errno(error, "journal: cannot lock %s", path);
    sys->close(fd);
    return -1;
}

bool rkb_lock_look(const char *directory, const struct rkb_sys *sys, bool *held, long *pid)
{
    char path[PATH_MAX], text[FILE_SIZE];
    path_of(path, directory);
    int fd = sys->open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return false;
    *held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    read_text(fd, sys, text);
    *pid = pid_in(text);
    sys->close(fd);
    return true;
}

bool rkb_lock_read_id(const char *directory, const struct rkb_sys *sys, uint8_t id[16], struct rkb_error *error)
{
    char path[PATH_MAX], text[FILE_SIZE];
    path_of(path, directory);
    int fd = sys->open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return rkb_fail_errno(error, "journal: cannot open %s", path);
    size_t size = read_text(fd, sys, text);
    sys->close(fd);
    return parse_id(text, size, id) || rkb_fail(error, RKB_DAMAGED, "journal: %s holds no journal id", path);
}
