/*
 * retried -- see retried.h.
 *
 *     the file's lines --> table: "place id" --> its line      what was added since: also "id" --> its line
 *
 * Promise: what add said true to is in the file, whole. Never: changes a line. An unfinished one has no newline, and
 * the next is written over it.
 */
#include "journal/retried.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/units.h"

#define TIME_TEXT 24
#define FIRST_SLOTS 64
#define READ_AT_ONCE ((size_t)1 << 20)

/* A key and the line it stands for. */
struct entry {
    struct rkb_slice key;       /* data NULL: free */
    const char *line;
};

/* A piece of memory that lines stand in. */
struct block {
    struct block *next;
    char bytes[];
};

struct rkb_retried {
    const struct rkb_sys *sys;
    int fd;                     /* -1: only to look at, or there is none */
    size_t size;                /* of what counts in the file */
    struct entry *entries;      /* open addressing, at most half full */
    size_t capacity, count;
    struct block *blocks;
    char path[PATH_MAX];
};

/* ---- the table ---- */

static struct entry *slot_of(const struct entry *entries, size_t capacity, struct rkb_slice key)
{
    size_t at = XXH3_64bits(key.data, key.size) & (capacity - 1);
    while (entries[at].key.data != NULL && !rkb_slice_equal(entries[at].key, key))
        at = (at + 1) & (capacity - 1);
    return (struct entry *)(uintptr_t)&entries[at];
}

/* Makes sure that two more fit. */
static bool grow(struct rkb_retried *retried)
{
    if (2 * (retried->count + 2) <= retried->capacity)
        return true;
    size_t capacity = retried->capacity == 0 ? FIRST_SLOTS : 2 * retried->capacity;
    struct entry *entries = calloc(capacity, sizeof *entries);
    if (entries == NULL)
        return false;
    for (size_t i = 0; i < retried->capacity; i++)
        if (retried->entries[i].key.data != NULL)
            *slot_of(entries, capacity, retried->entries[i].key) = retried->entries[i];
    free(retried->entries);
    retried->entries = entries;
    retried->capacity = capacity;
    return true;
}

/* There is room for it; the first of two lines with one key counts. */
static void put(struct rkb_retried *retried, struct rkb_slice key, const char *line)
{
    struct entry *entry = slot_of(retried->entries, retried->capacity, key);
    if (entry->key.data != NULL)
        return;
    *entry = (struct entry){key, line};
    retried->count++;
}

static const char *find(const struct rkb_retried *retried, struct rkb_slice key)
{
    return retried->capacity == 0 ? NULL : slot_of(retried->entries, retried->capacity, key)->line;
}

static char *new_block(struct rkb_retried *retried, size_t size)
{
    struct block *block = malloc(sizeof *block + size);
    if (block == NULL)
        return NULL;
    block->next = retried->blocks;
    retried->blocks = block;
    return block->bytes;
}

/* ---- reading ---- */

static bool no_memory(const struct rkb_retried *retried, struct rkb_error *error)
{
    return rkb_fail(error, RKB_NO_MEMORY, "no memory for %s", retried->path);
}

/* One line without its newline; what is none of ours is passed over. */
static bool take_line(struct rkb_retried *retried, const char *line, size_t size)
{
    if (size <= TIME_TEXT + 1 || line[TIME_TEXT] != ' ')
        return true;
    if (!grow(retried))
        return false;
    put(retried, rkb_slice(line + TIME_TEXT + 1, size - TIME_TEXT - 1), line);
    return true;
}

static bool take_lines(struct rkb_retried *retried, const char *bytes, size_t size)
{
    const char *end;
    retried->size = 0;
    while ((end = memchr(bytes + retried->size, '\n', size - retried->size)) != NULL) {
        const char *line = bytes + retried->size;
        if (!take_line(retried, line, (size_t)(end - line)))
            return false;
        retried->size = (size_t)(end - bytes) + 1;
    }
    return true;
}

/* All of the file as it stands. */
static bool read_all(struct rkb_retried *retried, int fd, struct rkb_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return rkb_fail_errno(error, "cannot read %s", retried->path);
    if (!S_ISREG(status.st_mode))
        return rkb_fail(error, RKB_SYSTEM, "%s is no file", retried->path);
    char *bytes = new_block(retried, (size_t)status.st_size);
    if (bytes == NULL)
        return no_memory(retried, error);
    ssize_t got = rkb_sys_read(retried->sys, fd, bytes, (size_t)status.st_size);
    if (got < 0)
        return rkb_fail_errno(error, "cannot read %s", retried->path);
    return take_lines(retried, bytes, (size_t)got) || no_memory(retried, error);
}

static struct rkb_retried *new_retried(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_retried *retried = calloc(1, sizeof *retried);
    if (retried == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "no memory for dead-letters.retried");
        return NULL;
    }
    retried->sys = sys;
    retried->fd = -1;
    snprintf(retried->path, sizeof retried->path, "%s/dead-letters.retried", directory);
    return retried;
}

static struct rkb_retried *or_none(struct rkb_retried *retried, bool good)
{
    if (good)
        return retried;
    rkb_retried_free(retried);
    return NULL;
}

struct rkb_retried *rkb_retried_read(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_retried *retried = new_retried(directory, sys, error);
    if (retried == NULL)
        return NULL;
    int fd = sys->open(retried->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0);
    if (fd < 0)
        return or_none(retried, errno == ENOENT || rkb_fail_errno(error, "cannot read %s", retried->path));
    bool good = read_all(retried, fd, error);
    sys->close(fd);
    return or_none(retried, good);
}

/* ---- writing ---- */

/* root works for the user whose directory it is. */
static bool give_to_owner(const struct rkb_retried *retried, const char *directory, struct rkb_error *error)
{
    struct stat status;
    if (geteuid() != 0)
        return true;
    if (stat(directory, &status) != 0 || fchown(retried->fd, status.st_uid, status.st_gid) != 0)
        return rkb_fail_errno(error, "cannot give %s to the owner of its directory", retried->path);
    return true;
}

static bool sync_directory(const struct rkb_retried *retried, const char *directory, struct rkb_error *error)
{
    int fd = retried->sys->open(directory, O_RDONLY | O_DIRECTORY, 0);
    bool synced = fd >= 0 && retried->sys->fsync(fd) == 0;
    if (!synced)
        rkb_fail_errno(error, "cannot sync the directory %s", directory);
    if (fd >= 0)
        retried->sys->close(fd);
    return synced;
}

static bool open_to_add(struct rkb_retried *retried, const char *directory, struct rkb_error *error)
{
    retried->fd = retried->sys->open(retried->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (retried->fd < 0)
        return rkb_fail_errno(error, "cannot write to %s", retried->path);
    if (flock(retried->fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return rkb_fail(error, RKB_LOCKED, "dead letters are sent again already: somebody holds %s", retried->path);
    return give_to_owner(retried, directory, error) && sync_directory(retried, directory, error)
           && read_all(retried, retried->fd, error);
}

struct rkb_retried *rkb_retried_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_retried *retried = new_retried(directory, sys, error);
    return retried == NULL ? NULL : or_none(retried, open_to_add(retried, directory, error));
}

void rkb_retried_free(struct rkb_retried *retried)
{
    if (retried == NULL)
        return;
    if (retried->fd >= 0)
        retried->sys->close(retried->fd);
    for (struct block *block = retried->blocks; block != NULL;) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(retried->entries);
    free(retried);
}

static bool is_word(struct rkb_slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7f)
            return false;
    return text.size > 0;
}

const char *rkb_retried_when(const struct rkb_retried *retried, const char *place, struct rkb_slice id)
{
    char key[512];
    if (!is_word(id) || strlen(place) + 1 + id.size >= sizeof key)
        return NULL;
    int size = snprintf(key, sizeof key, "%s %.*s", place, (int)id.size, (const char *)id.data);
    return find(retried, rkb_slice(key, (size_t)size));
}

bool rkb_retried_just_now(const struct rkb_retried *retried, struct rkb_slice id)
{
    return is_word(id) && find(retried, id) != NULL;
}

bool rkb_retried_add(struct rkb_retried *retried, const char *place, struct rkb_slice id, struct rkb_error *error)
{
    if (!is_word(id) || !is_word(rkb_slice_text(place)))
        return rkb_fail(error, RKB_USAGE, "a dead letter without an id, or without a place, cannot be noted");
    size_t size = TIME_TEXT + 1 + strlen(place) + 1 + id.size + 1;
    char *line = grow(retried) ? new_block(retried, size + 1) : NULL;
    if (line == NULL)
        return no_memory(retried, error);
    rkb_format_time(line, retried->sys->realtime_us());
    snprintf(line + TIME_TEXT, size + 1 - TIME_TEXT, " %s %.*s\n", place, (int)id.size, (const char *)id.data);
    if (!rkb_sys_write(retried->sys, retried->fd, line, size, retried->size)) {
        rkb_fail_errno(error, "cannot write to %s", retried->path);
        return false;           /* its newline is not there: it does not count, and the next is written over it */
    }
    retried->size += size;
    put(retried, rkb_slice(line + TIME_TEXT + 1, size - TIME_TEXT - 2), line);
    put(retried, rkb_slice(line + size - 1 - id.size, id.size), line);
    return true;
}

bool rkb_retried_sync(struct rkb_retried *retried, struct rkb_error *error)
{
    return retried->sys->fdatasync(retried->fd) == 0 || rkb_fail_errno(error, "cannot sync %s", retried->path);
}
