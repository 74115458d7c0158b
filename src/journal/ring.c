/*
 * ring -- see ring.h for the idea, doc/journal-format.md for the page.
 *
 *     address space     [ page ][ data ............ ][ the same data again ]
 *     file on tmpfs     [ page ][ data ............ ]
 *
 * Promise: what was committed is found again after kill -9; memory is reserved at the start, so no store can
 * fail later for want of it. Never: takes a lock, makes a system call after open, overwrites a file it did not make.
 */
#include "journal/format.h"
#include "journal/raw.h"
#include "journal/ring.h"
#include "journal/ring_page.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SIZE_IN_FILE 4096

struct rkb_ring {
    struct rkb_ring_page *page;
    uint8_t *data;              /* size bytes, and the same again behind them */
    size_t offset;              /* of the data in the file */
    size_t size;
    uint64_t salt;
    void *reserved;             /* the whole address range */
    size_t reserved_size;
    bool outlives;
    const struct rkb_sys *sys;
    int fd;                     /* of the file, locked; -1: none */
    char path[PATH_MAX];
    alignas(64) uint64_t head;  /* the producer's own copies */
    uint64_t tail_seen;
    alignas(64) uint64_t tail;  /* the consumer's own copy */
};

/*
 * Maps the page and twice the data of a file of ring->offset + ring->size bytes, which has its room already; its
 * pages at once (the copy behind it is seldom touched), since a fault for each page cost 20 to 60 ns a message in a
 * burst.
 */
static bool map(struct rkb_ring *ring, int fd, struct rkb_error *error)
{
    ring->reserved_size = ring->offset + 2 * ring->size;
    ring->reserved = mmap(NULL, ring->reserved_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring->reserved == MAP_FAILED) {
        ring->reserved = NULL;
        return rkb_fail_errno(error, "ring: %zu bytes of address space", ring->reserved_size);
    }
    uint8_t *base = ring->reserved;
    int access = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
    if (mmap(base, ring->offset + ring->size, access, flags | MAP_POPULATE, fd, 0) == MAP_FAILED ||
        mmap(base + ring->offset + ring->size, ring->size, access, flags, fd, (off_t)ring->offset) == MAP_FAILED)
        return rkb_fail_errno(error, "ring: cannot map %s", ring->path);
    ring->page = (struct rkb_ring_page *)(void *)base;
    ring->data = base + ring->offset;
    return true;
}

static void unmap(struct rkb_ring *ring)
{
    if (ring->reserved != NULL)
        munmap(ring->reserved, ring->reserved_size);
    ring->reserved = NULL;
}

/* What a new file takes along from the one it replaces: its notes, and the records between tail and head. */
struct old {
    struct rkb_ring_values values;
    const uint8_t *data;
    uint64_t salt;
};

static void take_along(struct rkb_ring *ring, const struct old *old)
{
    struct rkb_ring_values values = old->values;
    size_t bytes = (size_t)(values.head - values.tail), from = (size_t)(values.tail % ring->size);
    if (bytes == 0)
        values.head = values.tail = 0;
    memcpy(ring->data + from, old->data + from, bytes);     /* both are mapped twice */
    rkb_ring_values_write(ring->page, &values);
}

/* Reserves the memory behind the file, maps it and writes its page. */
static bool furnish(struct rkb_ring *ring, int fd, const struct rkb_ring_options *options, const struct old *old,
                    struct rkb_error *error)
{
    ring->offset = RKB_RING_OFFSET;
    if (options->sys->allocate(fd, 0, (off_t)(ring->offset + ring->size)) != 0)
        return rkb_fail_errno(error, "ring: cannot reserve %zu bytes for %s", ring->size, ring->path);
    if (options->sys->random(&ring->salt, sizeof ring->salt) != 0)
        return rkb_fail_errno(error, "ring: no random bytes");
    if (old != NULL && old->values.head != old->values.tail)
        ring->salt = old->salt;
    if (!map(ring, fd, error))
        return false;
    struct rkb_ring_head head = {.salt = ring->salt, .size = ring->size};
    memcpy(head.journal_id, options->journal_id, sizeof head.journal_id);
    rkb_ring_head_write(ring->page->fixed, &head);
    if (old != NULL)
        take_along(ring, old);
    rkb_ring_set(&ring->page->place, rkb_ring_place(options->journal_directory));
    return true;
}

static bool make_anonymous(struct rkb_ring *ring, const struct rkb_ring_options *options, struct rkb_error *error)
{
    snprintf(ring->path, sizeof ring->path, "anonymous memory");
    int fd = memfd_create("rkbridge-ring", MFD_CLOEXEC);
    if (fd < 0)
        return rkb_fail_errno(error, "ring: cannot make anonymous memory");
    bool done = furnish(ring, fd, options, NULL, error);
    options->sys->close(fd);
    return done;
}

/* The file's descriptor stays open with a lock, so that whoever finds it knows that somebody uses it. */
static void keep(struct rkb_ring *ring, int fd, const struct rkb_sys *sys)
{
    ring->sys = sys;
    ring->fd = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return;     /* the journal's own lock is the one that counts */
}

/*
 * Makes the file under a name of its own and moves it to its place when it is whole, so that a file found there
 * is always whole. What an `old` one that it replaces had is taken along.
 */
static bool make_file(struct rkb_ring *ring, const struct rkb_ring_options *options, const struct old *old,
                      struct rkb_error *error)
{
    const struct rkb_sys *sys = options->sys;
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s.new", ring->path);
    if (sys->unlink(path) != 0 && errno != ENOENT)
        return rkb_fail_errno(error, "ring: cannot remove %s, left by an earlier start", path);
    int fd = sys->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return rkb_fail_errno(error, "ring: cannot make %s", path);

    bool done = fchmod(fd, 0600) == 0 || rkb_fail_errno(error, "ring: cannot set the mode of %s", path);
    done = done && furnish(ring, fd, options, old, error);
    if (done && sys->rename(path, ring->path) != 0)
        done = rkb_fail_errno(error, "ring: cannot rename %s to its place", path);
    if (done) {
        keep(ring, fd, sys);
        return true;
    }
    sys->unlink(path);
    sys->close(fd);
    return false;
}

/* Is the file found ours to use? Learns its size from the file itself. */
static bool check_file(struct rkb_ring *ring, int fd, const struct rkb_ring_options *options,
                       struct rkb_ring_head *head, struct rkb_error *error)
{
    struct stat status;
    uint8_t page[RKB_RING_FIXED];
    if (fstat(fd, &status) != 0)
        return rkb_fail_errno(error, "ring: cannot examine %s", ring->path);
    if (!rkb_ring_is_ours(&status, ring->path, error))
        return false;
    if (options->sys->pread(fd, page, sizeof page, 0) != sizeof page)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: shorter than its first page", ring->path);
    if (!rkb_ring_head_read(page, ring->path, head, error))
        return false;
    if (memcmp(head->journal_id, options->journal_id, sizeof head->journal_id) != 0)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: belongs to another journal", ring->path);
    ring->salt = head->salt;
    ring->size = (size_t)head->size;
    ring->offset = head->offset;
    if (ring->size == 0 || ring->size % PAGE_SIZE_IN_FILE != 0 ||
        (uint64_t)status.st_size != ring->offset + ring->size)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: %jd bytes long, but its page says %zu of data", ring->path,
                        (intmax_t)status.st_size, ring->size);
    if (options->sys->allocate(fd, 0, status.st_size) != 0)
        return rkb_fail_errno(error, "ring: cannot reserve the memory of %s", ring->path);
    return true;
}

/* Walks the records between tail and head. */
static bool walk(const struct rkb_ring *ring, uint64_t tail, uint64_t head,
                 void (*visit)(void *context, const struct rkb_record *record), void *context, struct rkb_error *error)
{
    if (tail > head || head - tail > ring->size || tail % 8 != 0 || head % 8 != 0)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: head %" PRIu64 " and tail %" PRIu64 " do not belong together",
                        ring->path, head, tail);
    while (tail < head) {
        struct rkb_record record;
        const char *why = "nothing was written here";
        const uint8_t *at = ring->data + tail % ring->size;
        if (rkb_record_parse(at, head - tail, ring->salt, &record, &why) != RKB_PARSE_RECORD)
            return rkb_fail(error, RKB_DAMAGED, "ring %s: the record at offset %" PRIu64 " does not count: %s",
                            ring->path, ring->offset + tail % ring->size, why);
        if (visit != NULL)
            visit(context, &record);
        tail += rkb_record_length(at);
    }
    return true;
}

/*
 * One without records is made anew where another size is wanted; one of an older version always is. No room for that is
 * no reason to go on without what is in it.
 */
static bool replace(struct rkb_ring *ring, const struct rkb_ring_head *head, const struct rkb_ring_values *values,
                    const struct rkb_ring_options *options, size_t wanted, struct rkb_error *error)
{
    struct rkb_ring mapped = *ring;
    struct old old = {*values, ring->data, head->salt};
    struct rkb_error trouble;
    ring->reserved = NULL;
    if (values->head == values->tail)
        ring->size = wanted;
    bool done = make_file(ring, options, &old, &trouble);
    unmap(&mapped);
    if (!done && head->offset != RKB_RING_OFFSET)
        return rkb_fail(error, RKB_VERSION,
                        "ring %s: an older rkbridge wrote it, and it cannot be made anew (%.300s): make room for "
                        "another one, or start the older one to empty it", ring->path, trouble.text);
    if (!done)
        *error = trouble;
    return done;
}

/* *kept: the descriptor is the ring's. */
static bool reopen(struct rkb_ring *ring, int fd, const struct rkb_ring_options *options, size_t wanted, bool *kept,
                   struct rkb_error *error)
{
    struct rkb_ring_head head;
    struct rkb_ring_values values;
    if (!check_file(ring, fd, options, &head, error) || !map(ring, fd, error) ||
        !rkb_ring_values_read(ring->reserved, &head, ring->path, &values, error) ||
        !walk(ring, values.tail, values.head, NULL, NULL, error))
        return false;
    if (head.offset != RKB_RING_OFFSET || (ring->size != wanted && values.head == values.tail))
        return replace(ring, &head, &values, options, wanted, error);
    rkb_ring_values_write(ring->page, &values);     /* all three say so again */
    rkb_ring_set(&ring->page->place, rkb_ring_place(options->journal_directory));
    *kept = true;
    keep(ring, fd, options->sys);
    return true;
}

static bool name_file(struct rkb_ring *ring, const char *directory, const uint8_t journal_id[16],
                      struct rkb_error *error)
{
    char id[33] = "";
    rkb_hex(id, journal_id, 16);
    int used = snprintf(ring->path, sizeof ring->path, "%s/rkbridge-%s.ring", directory, id);
    return (used >= 0 && (size_t)used < sizeof ring->path)
           || rkb_fail(error, RKB_USAGE, "ring: directory name too long: %s", directory);
}

static bool open_file(struct rkb_ring *ring, const struct rkb_ring_options *options, struct rkb_error *error)
{
    if (!name_file(ring, options->directory, options->journal_id, error))
        return false;

    int fd = options->sys->open(ring->path, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0 && errno == ENOENT)
        return make_file(ring, options, NULL, error);
    if (fd < 0)
        return rkb_fail_errno(error, "ring: cannot open %s", ring->path);
    struct rkb_error why;
    bool kept = false, done = reopen(ring, fd, options, ring->size, &kept, &why);
    if (!kept)
        options->sys->close(fd);
    return done || rkb_fail(error, why.code, "%.400s%s", why.text,
                            why.code == RKB_DAMAGED ? "; to start without what is in it, move it away" : "");
}

struct rkb_ring *rkb_ring_open(const struct rkb_ring_options *options, struct rkb_error *error)
{
    struct rkb_ring *ring = aligned_alloc(alignof(struct rkb_ring), sizeof *ring);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (ring == NULL || options->size > SIZE_MAX / 4) {
        free(ring);
        rkb_fail(error, RKB_NO_MEMORY, "ring: no memory");
        return NULL;
    }
    memset(ring, 0, sizeof *ring);
    ring->fd = -1;
    ring->size = options->size < page ? page : (options->size + page - 1) / page * page;
    ring->outlives = options->directory != NULL;
    bool done;
    if (page != PAGE_SIZE_IN_FILE)
        done = rkb_fail(error, RKB_USAGE, "ring: this machine's pages are of %zu bytes, only %d is supported", page,
                        PAGE_SIZE_IN_FILE);
    else
        done = ring->outlives ? open_file(ring, options, error) : make_anonymous(ring, options, error);
    if (!done) {
        rkb_ring_close(ring);
        return NULL;
    }
    ring->head = rkb_ring_get(&ring->page->head, memory_order_acquire);
    ring->tail = ring->tail_seen = rkb_ring_get(&ring->page->tail, memory_order_acquire);
    return ring;
}

void rkb_ring_close(struct rkb_ring *ring)
{
    if (ring == NULL)
        return;
    unmap(ring);
    if (ring->fd >= 0)
        ring->sys->close(ring->fd);
    free(ring);
}

void rkb_ring_remove(struct rkb_ring *ring)
{
    if (rkb_ring_outlives(ring))
        unlink(ring->path);
    rkb_ring_close(ring);
}

bool rkb_ring_visit(const struct rkb_ring *ring, void (*visit)(void *context, const struct rkb_record *record),
                    void *context, struct rkb_error *error)
{
    return walk(ring, rkb_ring_get(&ring->page->tail, memory_order_acquire),
                rkb_ring_get(&ring->page->head, memory_order_acquire), visit, context, error);
}

bool rkb_ring_outlives(const struct rkb_ring *ring)
{
    return ring->outlives;
}

size_t rkb_ring_size(const struct rkb_ring *ring)
{
    return ring->size;
}

uint64_t rkb_ring_salt(const struct rkb_ring *ring)
{
    return ring->salt;
}

uint8_t *rkb_ring_reserve(struct rkb_ring *ring, size_t size, size_t keep)
{
    if (size > ring->size || keep > ring->size - size)
        return NULL;
    size_t most = ring->size - size - keep;
    if (ring->head - ring->tail_seen > most) {
        ring->tail_seen = rkb_ring_get(&ring->page->tail, memory_order_acquire);
        if (ring->head - ring->tail_seen > most)
            return NULL;
    }
    return ring->data + ring->head % ring->size;
}

void rkb_ring_commit(struct rkb_ring *ring, size_t size)
{
    ring->head += size;
    rkb_ring_set(&ring->page->head, ring->head);
}

size_t rkb_ring_room(const struct rkb_ring *ring)
{
    uint64_t tail = rkb_ring_get(&ring->page->tail, memory_order_acquire);
    return ring->size - (size_t)(rkb_ring_get(&ring->page->head, memory_order_acquire) - tail);
}

size_t rkb_ring_peek(const struct rkb_ring *ring, const uint8_t **at)
{
    *at = ring->data + ring->tail % ring->size;
    return (size_t)(rkb_ring_get(&ring->page->head, memory_order_acquire) - ring->tail);
}

void rkb_ring_consume(struct rkb_ring *ring, size_t size)
{
    ring->tail += size;
    rkb_ring_set(&ring->page->tail, ring->tail);
}

void rkb_ring_note_read(struct rkb_ring *ring, int64_t realtime_us)
{
    rkb_ring_set(&ring->page->read, (uint64_t)realtime_us);
}

int64_t rkb_ring_noted_read(const struct rkb_ring *ring)
{
    return (int64_t)rkb_ring_get(&ring->page->read, memory_order_relaxed);
}

void rkb_ring_note_clock(struct rkb_ring *ring, int64_t ahead_us, uint64_t boot)
{
    if (boot != rkb_ring_get(&ring->page->boot, memory_order_relaxed)) {
        rkb_ring_set(&ring->page->clock, 0);
        rkb_ring_set(&ring->page->boot, boot);
    }
    rkb_ring_set(&ring->page->clock, (uint64_t)ahead_us);
}

int64_t rkb_ring_noted_clock(const struct rkb_ring *ring, uint64_t boot)
{
    if (boot != rkb_ring_get(&ring->page->boot, memory_order_relaxed))
        return 0;
    return (int64_t)rkb_ring_get(&ring->page->clock, memory_order_relaxed);
}

void rkb_ring_note_low(struct rkb_ring *ring, uint64_t sequence)
{
    rkb_ring_set(&ring->page->low, sequence);
}

uint64_t rkb_ring_noted_low(const struct rkb_ring *ring)
{
    return rkb_ring_get(&ring->page->low, memory_order_relaxed);
}

void rkb_ring_note_topic_low(struct rkb_ring *ring, uint32_t topic, uint64_t sequence)
{
    if (topic < RKB_RING_TOPICS && sequence > rkb_ring_noted_topic_low(ring, topic))
        rkb_ring_set(&ring->page->topics[topic], sequence);
}

uint64_t rkb_ring_noted_topic_low(const struct rkb_ring *ring, uint32_t topic)
{
    return topic < RKB_RING_TOPICS ? rkb_ring_get(&ring->page->topics[topic], memory_order_relaxed) : 0;
}

static void limit(struct rkb_ring_note *note, uint64_t most)
{
    if (rkb_ring_get(note, memory_order_relaxed) > most)
        rkb_ring_set(note, most);
}

void rkb_ring_limit_notes(struct rkb_ring *ring, uint64_t next)
{
    limit(&ring->page->low, next);
    for (size_t i = 0; i < RKB_RING_TOPICS; i++)
        limit(&ring->page->topics[i], next);
}

void rkb_ring_note_next(struct rkb_ring *ring, uint64_t sequence)
{
    rkb_ring_set(&ring->page->next, sequence);
}

void rkb_ring_note_not_durable(struct rkb_ring *ring, int64_t realtime_us)
{
    rkb_ring_set(&ring->page->not_durable, (uint64_t)realtime_us);
}

int64_t rkb_ring_noted_not_durable(const struct rkb_ring *ring)
{
    return (int64_t)rkb_ring_get(&ring->page->not_durable, memory_order_relaxed);
}

bool rkb_ring_read_notes(const char *directory, const uint8_t journal_id[16], const struct rkb_sys *sys,
                         struct rkb_ring_notes *notes)
{
    struct rkb_ring ring = {0};
    struct rkb_ring_head head;
    struct rkb_ring_values values;
    *notes = (struct rkb_ring_notes){0};
    if (!name_file(&ring, directory, journal_id, NULL) || !rkb_ring_file_read(ring.path, sys, &head, &values) ||
        memcmp(head.journal_id, journal_id, 16) != 0)
        return false;
    *notes = (struct rkb_ring_notes){.low = values.low, .next = values.next, .read_us = (int64_t)values.read};
    return true;
}
