/*
 * ring_page -- see ring_page.h; doc/journal-format.md has the table.
 *
 * Version 1 had one page, each note once, no clock and no place; its rings are read.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/raw.h"
#include "journal/ring_page.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_VERSION 2
#define OLD_VERSION 1
#define OLD_OFFSET 4096

/* Where version 1 had its notes. */
enum { OLD_HEAD = 64, OLD_TAIL = 128, OLD_READ = 192, OLD_LOW = 256, OLD_NEXT = 264, OLD_NOT_DURABLE = 272,
       OLD_TOPICS = 320 };

_Static_assert(sizeof(struct rkb_ring_page) <= RKB_RING_OFFSET, "the notes lie before the data");
_Static_assert(OLD_TOPICS + RKB_RING_TOPICS * 8 <= OLD_OFFSET, "they did so in version 1");

static const uint8_t magic[8] = {'R', 'K', 'B', 'R', 'I', 'N', 'G', '\n'};

void rkb_ring_head_write(uint8_t at[RKB_RING_FIXED], const struct rkb_ring_head *head)
{
    struct rkb_writer writer = rkb_writer(at, RKB_RING_FIXED);
    rkb_write_bytes(&writer, magic, sizeof magic);
    rkb_write_u32(&writer, RING_VERSION);
    rkb_write_u32(&writer, RKB_RING_OFFSET);
    rkb_write_bytes(&writer, head->journal_id, 16);
    rkb_write_u64(&writer, head->salt);
    rkb_write_u64(&writer, head->size);
    rkb_write_u64(&writer, XXH3_64bits(at, RKB_RING_FIXED - 8));
}

bool rkb_ring_head_read(const uint8_t *at, const char *path, struct rkb_ring_head *head, struct rkb_error *error)
{
    struct rkb_reader reader = rkb_reader(at, RKB_RING_FIXED);
    bool ours = rkb_slice_equal(rkb_read_slice(&reader, sizeof magic), rkb_slice(magic, sizeof magic));
    head->version = rkb_read_u32(&reader);
    head->offset = rkb_read_u32(&reader);
    memcpy(head->journal_id, rkb_read_slice(&reader, 16).data, 16);
    head->salt = rkb_read_u64(&reader);
    head->size = rkb_read_u64(&reader);
    if (!ours || rkb_read_u64(&reader) != XXH3_64bits(at, RKB_RING_FIXED - 8))
        return rkb_fail(error, RKB_DAMAGED, "ring %s: its first page is not one of ours, or damaged", path);
    if (head->version > RING_VERSION)
        return rkb_fail(error, RKB_VERSION,
                        "ring %s: written in version %u by a newer rkbridge; start that one to empty it", path,
                        head->version);
    return head->offset == (head->version == OLD_VERSION ? OLD_OFFSET : RKB_RING_OFFSET) ||
           rkb_fail(error, RKB_DAMAGED, "ring %s: its data begins at %zu, which is not where it does", path,
                    head->offset);
}

static uint64_t vote(const uint8_t *at, bool *agreed)
{
    uint64_t a = rkb_raw_u64(at), b = rkb_raw_u64(at + 8), c = rkb_raw_u64(at + 16);
    *agreed = a == b || a == c || b == c;
    if (*agreed)
        return b == c ? b : a;
    uint64_t least = a < b ? a : b;
    return least < c ? least : c;
}

static void read_old(const uint8_t *page, struct rkb_ring_values *values)
{
    *values = (struct rkb_ring_values){
        .head = rkb_raw_u64(page + OLD_HEAD), .tail = rkb_raw_u64(page + OLD_TAIL),
        .read = rkb_raw_u64(page + OLD_READ), .low = rkb_raw_u64(page + OLD_LOW), .next = rkb_raw_u64(page + OLD_NEXT),
        .not_durable = rkb_raw_u64(page + OLD_NOT_DURABLE)};
    for (size_t i = 0; i < RKB_RING_TOPICS; i++)
        values->topics[i] = rkb_raw_u64(page + OLD_TOPICS + 8 * i);
}

bool rkb_ring_values_read(const uint8_t *page, const struct rkb_ring_head *head, const char *path,
                          struct rkb_ring_values *values, struct rkb_error *error)
{
    bool agreed, head_agreed, tail_agreed;
    if (head->version == OLD_VERSION) {
        read_old(page, values);
        return true;
    }
    values->head = vote(page + offsetof(struct rkb_ring_page, head), &head_agreed);
    values->tail = vote(page + offsetof(struct rkb_ring_page, tail), &tail_agreed);
    values->read = vote(page + offsetof(struct rkb_ring_page, read), &agreed);
    values->clock = vote(page + offsetof(struct rkb_ring_page, clock), &agreed);
    values->low = vote(page + offsetof(struct rkb_ring_page, low), &agreed);
    values->next = vote(page + offsetof(struct rkb_ring_page, next), &agreed);
    values->not_durable = vote(page + offsetof(struct rkb_ring_page, not_durable), &agreed);
    values->place = vote(page + offsetof(struct rkb_ring_page, place), &agreed);
    values->boot = vote(page + offsetof(struct rkb_ring_page, boot), &agreed);
    for (size_t i = 0; i < RKB_RING_TOPICS; i++)
        values->topics[i] = vote(page + offsetof(struct rkb_ring_page, topics) + i * sizeof(struct rkb_ring_note),
                                 &agreed);
    return (head_agreed && tail_agreed) ||
           rkb_fail(error, RKB_DAMAGED, "ring %s: its page does not say where its records begin and end", path);
}

void rkb_ring_values_write(struct rkb_ring_page *page, const struct rkb_ring_values *values)
{
    rkb_ring_set(&page->head, values->head);
    rkb_ring_set(&page->tail, values->tail);
    rkb_ring_set(&page->read, values->read);
    rkb_ring_set(&page->clock, values->clock);
    rkb_ring_set(&page->low, values->low);
    rkb_ring_set(&page->next, values->next);
    rkb_ring_set(&page->not_durable, values->not_durable);
    rkb_ring_set(&page->place, values->place);
    rkb_ring_set(&page->boot, values->boot);
    for (size_t i = 0; i < RKB_RING_TOPICS; i++)
        rkb_ring_set(&page->topics[i], values->topics[i]);
}

bool rkb_ring_is_ours(const struct stat *status, const char *path, struct rkb_error *error)
{
    if (S_ISREG(status->st_mode) && status->st_uid == geteuid() && (status->st_mode & 07777) == 0600)
        return true;
    return rkb_fail(error, RKB_DAMAGED, "ring %s: not a file of ours (owner %u, mode %o; expected %u and 600)", path,
                    (unsigned)status->st_uid, (unsigned)status->st_mode & 07777, (unsigned)geteuid());
}

bool rkb_ring_file_read(const char *path, const struct rkb_sys *sys, struct rkb_ring_head *head,
                        struct rkb_ring_values *values)
{
    uint8_t *page = calloc(1, RKB_RING_OFFSET);
    struct stat status;
    int fd = page == NULL ? -1 : sys->open(path, O_RDONLY | O_NOFOLLOW, 0);
    bool good = fd >= 0 && fstat(fd, &status) == 0 && rkb_ring_is_ours(&status, path, NULL);
    ssize_t got = good ? sys->pread(fd, page, RKB_RING_OFFSET, 0) : -1;
    good = got >= OLD_OFFSET && rkb_ring_head_read(page, path, head, NULL) && (size_t)got >= head->offset &&
           rkb_ring_values_read(page, head, path, values, NULL);
    if (fd >= 0)
        sys->close(fd);
    free(page);
    return good;
}
