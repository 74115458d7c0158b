/* process -- see process.h. */
#include "daemon/process.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

static void read_memory(struct rkb_process_figures *figures)
{
    unsigned long total, resident;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    if (fscanf(file, "%lu %lu", &total, &resident) == 2) {
        figures->virtual_bytes = total * page;
        figures->resident_bytes = resident * page;
    }
    fclose(file);
}

/* Without the one that is opened to look. */
static void count_descriptors(struct rkb_process_figures *figures)
{
    uint64_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    if (directory == NULL)
        return;
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        count += entry->d_name[0] != '.';
    closedir(directory);
    figures->open_fds = count > 0 ? count - 1 : 0;
}

void rkb_process_read(struct rkb_process_figures *figures)
{
    read_memory(figures);
    count_descriptors(figures);
}
