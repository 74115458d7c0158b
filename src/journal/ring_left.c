/*
 * ring_left -- the ring of a journal whose directory is gone; see ring.h.
 *
 * A journal that is deleted while nobody runs takes all that it knew with it. Its ring lies elsewhere: after a kill it
 * is still there, and says until when all had been read and which numbers were not settled. Its records can not be
 * used: the names of their routes and topics were in the journal. Never: removes or changes a file.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/ring_page.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

uint64_t rkb_ring_place(const char *journal_directory)
{
    char *path = journal_directory == NULL ? NULL : realpath(journal_directory, NULL);
    uint64_t place = path == NULL ? 0 : XXH3_64bits(path, strlen(path));
    free(path);
    return place;
}

/* Whoever has a ring open holds its lock. */
static bool is_used(const char *path, const struct rkb_sys *sys)
{
    int fd = sys->open(path, O_RDONLY | O_NOFOLLOW, 0);
    bool free_to_take = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
    if (fd >= 0)
        sys->close(fd);
    return !free_to_take;
}

static bool is_ring(const char *name)
{
    size_t size = strlen(name);
    return size > 14 && strncmp(name, "rkbridge-", 9) == 0 && strcmp(name + size - 5, ".ring") == 0;
}

/* Takes it where it is one, and was used later than the one that is known. */
static bool take(const char *path, uint64_t place, const uint8_t journal_id[16], const struct rkb_sys *sys,
                 struct rkb_ring_left *left)
{
    struct rkb_ring_head head;
    struct rkb_ring_values values;
    if (!rkb_ring_file_read(path, sys, &head, &values) || values.place != place ||
        memcmp(head.journal_id, journal_id, 16) == 0 || (int64_t)values.read < left->notes.read_us ||
        is_used(path, sys))
        return false;
    snprintf(left->path, sizeof left->path, "%s", path);
    left->notes = (struct rkb_ring_notes){.low = values.low, .next = values.next, .read_us = (int64_t)values.read};
    left->bytes = values.head - values.tail;
    return true;
}

bool rkb_ring_find_left(const char *directory, const char *journal_directory, const uint8_t journal_id[16],
                        const struct rkb_sys *sys, struct rkb_ring_left *left)
{
    uint64_t place = rkb_ring_place(journal_directory);
    DIR *open = directory == NULL || place == 0 ? NULL : opendir(directory);
    bool found = false;
    *left = (struct rkb_ring_left){.path = ""};
    for (struct dirent *entry = open == NULL ? NULL : readdir(open); entry != NULL; entry = readdir(open)) {
        char path[PATH_MAX];
        bool fits = snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) < (int)sizeof path;
        if (fits && is_ring(entry->d_name) && take(path, place, journal_id, sys, left))
            found = true;
    }
    if (open != NULL)
        closedir(open);
    return found;
}
