/* directory -- which segments lie in a journal's directory, and in the one on the ring's tmpfs. */
#include "journal/state.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

bool rkb_directory_segments(const char *directory, uint64_t **numbers, size_t *count)
{
    DIR *open = opendir(directory);
    struct rkb_buffer found = {0};
    if (open == NULL)
        return false;
    errno = 0;
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open)) {
        uint64_t first;
        if (rkb_segment_number(entry->d_name, &first))
            rkb_buffer_add(&found, &first, sizeof first);
        errno = 0;
    }
    int error = found.failed ? ENOMEM : errno;
    closedir(open);
    *numbers = (uint64_t *)(void *)found.data;
    *count = found.size / sizeof **numbers;
    if (*count > 0)
        qsort(*numbers, *count, sizeof **numbers, ascending);
    if (error == 0)
        return true;
    rkb_buffer_free(&found);
    errno = error;
    return false;
}

/*
 * Where both have a number, that on the disk was given up before anything counted in it: it goes.
 */
static void merge(const struct rkb_journal *journal, const uint64_t *disk, size_t disk_count, const uint64_t *memory,
                  size_t memory_count, struct rkb_listed *list, size_t *count)
{
    size_t d = 0, m = 0;
    for (*count = 0; d < disk_count || m < memory_count;) {
        bool in_memory = d == disk_count || (m < memory_count && memory[m] <= disk[d]);
        if (in_memory && d < disk_count && memory[m] == disk[d]) {
            char *path = rkb_segment_path(journal->directory, disk[d++]);
            if (path != NULL)
                journal->sys->unlink(path);
            free(path);
        }
        list[(*count)++] = (struct rkb_listed){in_memory ? memory[m++] : disk[d++], in_memory};
    }
}

bool rkb_directory_list(const struct rkb_journal *journal, struct rkb_listed **list, size_t *count,
                        struct rkb_error *error)
{
    uint64_t *disk = NULL, *memory = NULL;
    size_t disk_count = 0, memory_count = 0;
    *list = NULL;
    if (!rkb_directory_segments(journal->directory, &disk, &disk_count))
        return rkb_fail_errno(error, "journal: cannot read the directory %s", journal->directory);
    if (journal->memory_directory != NULL
        && !rkb_directory_segments(journal->memory_directory, &memory, &memory_count)) {
        if (errno != ENOENT) {
            free(disk);
            return rkb_fail_errno(error, "journal: cannot read the directory %s", journal->memory_directory);
        }
        memory = NULL;
        memory_count = 0;
    }
    *list = calloc(disk_count + memory_count + 1, sizeof **list);
    if (*list != NULL)
        merge(journal, disk, disk_count, memory, memory_count, *list, count);
    free(disk);
    free(memory);
    return *list != NULL || rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for the list of its segments");
}
