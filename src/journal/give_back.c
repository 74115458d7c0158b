/*
 * give_back -- pages of the journal's files that are shipped and synced go back to the kernel, with each sync job.
 *
 *     begin: which part of which segment; out of our own map --> run, behind the syncs: out of the page cache
 *
 * A segment that is being filled is given back up to where it was at an earlier job, once all numbers of that time are
 * shipped; a full one as a whole, where a topic that stands still keeps it from being removed. Else the memory that a
 * cgroup is charged with would grow to its limit, and count as in use. What waits to be shipped is left to the kernel,
 * which takes it when it needs the room.
 *
 * Promise: nothing is lost: pages that are not on disk stay (also those that a failed sync left clean), and whoever
 * looks at one that went reads it again. Never: touches a map in another thread than the one that unmaps it.
 */
#include "journal/state.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096
#define IN_FLIGHT 32768         /* numbers before the highest settled one that may still be needed */

/* Out of our map: pages that somebody maps stay in the cache. */
static void unmap_pages(const struct rkb_segment *segment, size_t from, size_t end)
{
    union { const uint8_t *lent; void *own; } at = {.lent = segment->map + from};
    if (segment->map != NULL && end <= segment->map_size)
        madvise(at.own, end - from, MADV_DONTNEED);
}

static void add(struct rkb_segment *segment, size_t end, struct rkb_sync *job)
{
    size_t from = segment->given_back;
    end = end / PAGE * PAGE;
    if (end <= from || job->given_count == RKB_SYNC_GIVEN || segment->given_up || segment->in_memory)
        return;
    char *path = strdup(segment->path);
    if (path == NULL)
        return;
    unmap_pages(segment, from, end);
    job->given[job->given_count++] = (struct rkb_given){path, from, end};
    segment->given_back = end;
}

void rkb_journal_give_back(struct rkb_journal *journal, struct rkb_sync *job)
{
    uint64_t high = rkb_acks_high(journal->acks), low = rkb_acks_low(journal->acks);
    uint64_t shipped = high > low + IN_FLIGHT ? high - IN_FLIGHT : low;
    for (size_t i = 0; i < journal->segment_count && journal->segments[i]->first < shipped; i++) {
        struct rkb_segment *segment = journal->segments[i];
        /* One that lies wholly below low is about to be removed, pages and all. */
        if (!segment->filling && segment->last < shipped && segment->last >= low)
            add(segment, segment->length, job);
        if (!segment->filling || segment->seen_next > shipped)
            continue;
        add(segment, segment->seen_length, job);
        segment->seen_next = journal->next;
        segment->seen_length = segment->length;
    }
}

void rkb_sync_give_back(struct rkb_sync *job)
{
    for (size_t i = 0; i < job->given_count; i++) {
        const struct rkb_given *given = &job->given[i];
        int fd = job->sys->open(given->path, O_RDONLY | O_NOFOLLOW, 0);
        if (fd < 0)
            continue;       /* removed meanwhile */
        posix_fadvise(fd, (off_t)given->from, (off_t)(given->end - given->from), POSIX_FADV_DONTNEED);
        job->sys->close(fd);
    }
}

void rkb_sync_forget_given(struct rkb_sync *job)
{
    while (job->given_count > 0)
        free(job->given[--job->given_count].path);
}
