/*
 * segment -- see segment.h.
 *
 * Promise: a file with a segment's name has been written up to its head and names at least; room for all of it
 * was reserved before. Never: writes where something counts already; is read beyond `length`.
 */
#include "journal/segment.h"

#include "journal/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NAME_DIGITS 20
#define BLOCK 4096

char *rkb_segment_path(const char *directory, uint64_t first)
{
    char *path;
    return asprintf(&path, "%s/%020" PRIu64 ".seg", directory, first) < 0 ? NULL : path;
}

bool rkb_segment_number(const char *name, uint64_t *first)
{
    if (strspn(name, "0123456789") != NAME_DIGITS || strcmp(name + NAME_DIGITS, ".seg") != 0)
        return false;
    errno = 0;
    *first = strtoull(name, NULL, 10);
    return errno == 0;
}

static struct rkb_segment *new_segment(const struct rkb_sys *sys, char *path)
{
    struct rkb_segment *segment = path == NULL ? NULL : calloc(1, sizeof *segment);
    if (segment == NULL) {
        free(path);
        return NULL;
    }
    *segment = (struct rkb_segment){.sys = sys, .path = path, .fd = -1};
    return segment;
}

void rkb_segment_free(struct rkb_segment *segment)
{
    if (segment == NULL)
        return;
    rkb_segment_unmap(segment);
    if (segment->fd >= 0)
        segment->sys->close(segment->fd);
    free(segment->path);
    free(segment);
}

/* One that was begun and could not be removed when that failed is in the way. */
static int open_new(const char *path, const struct rkb_sys *sys)
{
    int fd = sys->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0 && errno == EEXIST && sys->unlink(path) == 0)
        fd = sys->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    return fd;
}

struct rkb_segment *rkb_segment_make(const char *directory, size_t size, const struct rkb_sys *sys,
                                     struct rkb_error *error)
{
    char *path;
    struct rkb_segment *segment = new_segment(sys, asprintf(&path, "%s/" RKB_SPARE_NAME, directory) < 0 ? NULL : path);
    if (segment == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for a segment");
        return NULL;
    }
    segment->allocated = size;
    segment->fd = open_new(segment->path, sys);
    if (segment->fd < 0) {
        rkb_fail_errno(error, "journal: cannot make %s", segment->path);
    } else if (sys->allocate(segment->fd, 0, (off_t)size) != 0) {
        rkb_fail_errno(error, "journal: no room for a segment of %zu bytes in %s", size, directory);
        sys->unlink(segment->path);
    } else {
        return segment;
    }
    rkb_segment_free(segment);
    return NULL;
}

struct rkb_segment *rkb_segment_make_anonymous(size_t size, const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_segment *segment = new_segment(sys, strdup("a segment in memory"));
    if (segment == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for a segment");
        return NULL;
    }
    segment->allocated = size;
    segment->in_memory = segment->nameless = true;
    segment->fd = memfd_create("rkbridge-segment", MFD_CLOEXEC);
    if (segment->fd >= 0 && sys->allocate(segment->fd, 0, (off_t)size) == 0)
        return segment;
    rkb_fail_errno(error, "journal: no memory for a segment of %zu bytes", size);
    rkb_segment_free(segment);
    return NULL;
}

static bool write_all(struct rkb_segment *segment, const uint8_t *data, size_t size, size_t offset,
                      struct rkb_error *error)
{
    return rkb_sys_write(segment->sys, segment->fd, data, size, offset) ||
           rkb_fail_errno(error, "journal: cannot write to %s at %zu", segment->path, offset);
}

static bool give_name(struct rkb_segment *segment, const char *directory, uint64_t first, struct rkb_error *error)
{
    char *path = rkb_segment_path(directory, first);
    if (path == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for a segment's name");
    if (segment->sys->rename(segment->path, path) != 0) {
        rkb_fail_errno(error, "journal: cannot rename %s to %s", segment->path, path);
        free(path);
        return false;
    }
    free(segment->path);
    segment->path = path;
    return true;
}

bool rkb_segment_begin(struct rkb_segment *segment, const char *directory, const struct rkb_segment_head *head,
                       const uint8_t *names, size_t size, struct rkb_error *error)
{
    uint8_t start[RKB_SEGMENT_HEADER];
    rkb_segment_head_write(start, head);
    if (!write_all(segment, start, sizeof start, 0, error) || !write_all(segment, names, size, sizeof start, error))
        return false;

    if (!segment->nameless && !give_name(segment, directory, head->first_sequence, error))
        return false;
    segment->first = head->first_sequence;
    segment->last = head->first_sequence - 1;
    segment->salt = head->salt;
    segment->length = sizeof start + size;
    segment->filling = true;
    return true;
}

struct rkb_segment *rkb_segment_adopt(const char *directory, uint64_t first, const struct rkb_sys *sys)
{
    struct rkb_segment *segment = new_segment(sys, rkb_segment_path(directory, first));
    if (segment != NULL) {
        segment->first = first;
        segment->last = first - 1;
    }
    return segment;
}

bool rkb_segment_write(struct rkb_segment *segment, const uint8_t *data, size_t size, struct rkb_error *error)
{
    if (!write_all(segment, data, size, segment->length, error))
        return false;
    segment->length += size;
    return true;
}

bool rkb_segment_sync(struct rkb_segment *segment, struct rkb_error *error)
{
    size_t length = segment->length;
    if (segment->synced == length)
        return true;
    if (!segment->in_memory && segment->sys->fdatasync(segment->fd) != 0)
        return rkb_fail_errno(error, "journal: cannot sync %s", segment->path);
    segment->synced = length;
    return true;
}

bool rkb_segment_seal(struct rkb_segment *segment, struct rkb_error *error)
{
    segment->filling = false;
    if (segment->sys->ftruncate(segment->fd, (off_t)segment->length) != 0)
        return rkb_fail_errno(error, "journal: cannot cut %s to its %zu bytes", segment->path, segment->length);
    segment->allocated = (segment->length + BLOCK - 1) / BLOCK * BLOCK;
    return true;
}

void rkb_segment_close_synced(struct rkb_segment *segment)
{
    if (segment->filling || segment->fd < 0 || segment->synced != segment->length || segment->in_memory)
        return;
    segment->sys->close(segment->fd);
    segment->fd = -1;
}

const uint8_t *rkb_segment_map(struct rkb_segment *segment, struct rkb_error *error)
{
    if (segment->map != NULL)
        return segment->map;
    int fd = segment->fd >= 0 ? segment->fd : segment->sys->open(segment->path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0) {
        rkb_fail_errno(error, "journal: cannot open %s", segment->path);
        return NULL;
    }
    size_t size = segment->filling ? (size_t)segment->allocated : segment->length;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        rkb_fail_errno(error, "journal: cannot map %s", segment->path);
    } else {
        segment->map = map;
        segment->map_size = size;
    }
    if (segment->fd < 0)
        segment->sys->close(fd);
    return segment->map;
}

void rkb_segment_unmap(struct rkb_segment *segment)
{
    if (segment->map == NULL)
        return;
    union { const uint8_t *lent; void *own; } map = {.lent = segment->map};
    munmap(map.own, segment->map_size);
    segment->map = NULL;
}

bool rkb_segment_remove(struct rkb_segment *segment, struct rkb_error *error)
{
    if (segment->nameless || segment->sys->unlink(segment->path) == 0 || errno == ENOENT)
        return true;
    return rkb_fail_errno(error, "journal: cannot remove %s", segment->path);
}

void rkb_segment_pin(struct rkb_segment *segment)
{
    segment->pins++;
}

void rkb_segment_unpin(struct rkb_segment *segment)
{
    segment->pins--;
    if (segment->pins == 0 && !segment->filling)
        rkb_segment_unmap(segment);
}
