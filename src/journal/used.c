/* used -- see used.h. */
#include "journal/used.h"

#include "journal/format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MOST (UINT64_C(1) << 62)        /* no number can be: behind it none would be left to give */

static void walk(const uint8_t *data, size_t size, const uint8_t journal_id[16], uint64_t *highest)
{
    struct rkb_segment_head head;
    struct rkb_record record;
    if (!rkb_segment_head_parse(data, size, &head, NULL) || memcmp(head.journal_id, journal_id, 16) != 0)
        return;
    for (size_t at = RKB_SEGMENT_HEADER; at < size;) {
        bool counts = rkb_record_parse_any(data + at, size - at, head.salt, &record, NULL) == RKB_PARSE_RECORD;
        if (counts && record.sequence > *highest && record.sequence <= MOST)
            *highest = record.sequence;
        at += counts ? rkb_record_length(data + at) : 8;        /* records begin at multiples of 8 */
    }
}

static bool look_into(const char *directory, const char *name, const uint8_t journal_id[16],
                      const struct rkb_sys *sys, uint64_t *highest, struct rkb_error *error)
{
    char path[PATH_MAX];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = sys->open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return errno == ENOENT || rkb_fail_errno(error, "journal: cannot open %s", path);
    bool done = fstat(fd, &status) == 0;
    size_t size = done ? (size_t)status.st_size : 0;
    void *data = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    done = done && data != MAP_FAILED;
    if (!done)
        rkb_fail_errno(error, "journal: cannot read %s", path);
    sys->close(fd);
    if (!done || data == NULL)
        return done;
    walk(data, size, journal_id, highest);
    munmap(data, size);
    return true;
}

bool rkb_used_highest(const char *directory, const uint8_t journal_id[16], const struct rkb_sys *sys,
                      uint64_t *highest, struct rkb_error *error)
{
    *highest = 0;
    return look_into(directory, "ledger", journal_id, sys, highest, error) &&
           look_into(directory, "dead-letters", journal_id, sys, highest, error);
}
