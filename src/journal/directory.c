/* directory -- which segments lie in a journal's directory. */
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
