/*
 * ring -- see ring.h for the idea, doc/journal-format.md for the page.
 *
 *     address space     [ page ][ data ............ ][ the same data again ]
 *     file on tmpfs     [ page ][ data ............ ]
 *
 * Promise: what was committed is found again after kill -9; memory is reserved at the start, so no store can
 * fail later for want of it. Never: takes a lock, makes a system call after open, overwrites a file it did not make.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/format.h"
#include "journal/raw.h"
#include "journal/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SIZE_IN_FILE 4096
#define FIXED 56                /* bytes of the page that never change, the checksum at its end included */
#define RING_VERSION 1

static const uint8_t magic[8] = {'R', 'K', 'B', 'R', 'I', 'N', 'G', '\n'};

/* What changes in the page; each on a cache line of its own, since each has one writer. */
struct page {
    uint8_t fixed[64];
    alignas(64) _Atomic uint64_t head;
    alignas(64) _Atomic uint64_t tail;
    alignas(64) _Atomic int64_t read;
    alignas(64) _Atomic uint64_t low;
    _Atomic uint64_t next;          /* these three have one writer */
    _Atomic int64_t not_durable;
    alignas(64) _Atomic uint64_t topics[RKB_RING_TOPICS];
};

_Static_assert(sizeof(struct page) <= PAGE_SIZE_IN_FILE, "the page holds all notes");

struct rkb_ring {
    struct page *page;
    uint8_t *data;              /* size bytes, and the same again behind them */
    size_t size;
    uint64_t salt;
    void *reserved;             /* the whole address range */
    size_t reserved_size;
    bool outlives;
    char path[PATH_MAX];
    alignas(64) uint64_t head;  /* the producer's own copies */
    uint64_t tail_seen;
    alignas(64) uint64_t tail;  /* the consumer's own copy */
};

static void write_page(uint8_t at[FIXED], const uint8_t id[16], uint64_t salt, size_t size)
{
    struct rkb_writer writer = rkb_writer(at, FIXED);
    rkb_write_bytes(&writer, magic, sizeof magic);
    rkb_write_u32(&writer, RING_VERSION);
    rkb_write_u32(&writer, PAGE_SIZE_IN_FILE);
    rkb_write_bytes(&writer, id, 16);
    rkb_write_u64(&writer, salt);
    rkb_write_u64(&writer, size);
    rkb_write_u64(&writer, XXH3_64bits(at, FIXED - 8));
}

/* Checks the page of a file found; gives its salt and size. */
static bool read_page(const uint8_t *at, const uint8_t id[16], struct rkb_ring *ring, struct rkb_error *error)
{
    struct rkb_reader reader = rkb_reader(at, FIXED);
    bool ours = rkb_slice_equal(rkb_read_slice(&reader, sizeof magic), rkb_slice(magic, sizeof magic));
    uint32_t version = rkb_read_u32(&reader), page_size = rkb_read_u32(&reader);
    bool same = rkb_slice_equal(rkb_read_slice(&reader, 16), rkb_slice(id, 16));
    ring->salt = rkb_read_u64(&reader);
    ring->size = rkb_read_u64(&reader);
    if (!ours || rkb_read_u64(&reader) != XXH3_64bits(at, FIXED - 8))
        return rkb_fail(error, RKB_DAMAGED, "ring %s: its first page is not one of ours, or damaged", ring->path);
    if (version > RING_VERSION)
        return rkb_fail(error, RKB_VERSION,
                        "ring %s: written in version %u by a newer rkbridge; start that one to empty it", ring->path,
                        version);
    if (!same || page_size != PAGE_SIZE_IN_FILE)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: belongs to another journal", ring->path);
    return true;
}

/*
 * Maps the page and twice the data of a file of PAGE_SIZE_IN_FILE + ring->size bytes, which has its room already; its
 * pages at once (the copy behind it is seldom touched), since a fault for each page cost 20 to 60 ns a message in a
 * burst.
 */
static bool map(struct rkb_ring *ring, int fd, struct rkb_error *error)
{
    ring->reserved_size = PAGE_SIZE_IN_FILE + 2 * ring->size;
    ring->reserved = mmap(NULL, ring->reserved_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ring->reserved == MAP_FAILED) {
        ring->reserved = NULL;
        return rkb_fail_errno(error, "ring: %zu bytes of address space", ring->reserved_size);
    }
    uint8_t *base = ring->reserved;
    int access = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_FIXED;
    if (mmap(base, PAGE_SIZE_IN_FILE + ring->size, access, flags | MAP_POPULATE, fd, 0) == MAP_FAILED ||
        mmap(base + PAGE_SIZE_IN_FILE + ring->size, ring->size, access, flags, fd, PAGE_SIZE_IN_FILE) == MAP_FAILED)
        return rkb_fail_errno(error, "ring: cannot map %s", ring->path);
    ring->page = (struct page *)(void *)base;
    ring->data = base + PAGE_SIZE_IN_FILE;
    return true;
}

static void unmap(struct rkb_ring *ring)
{
    if (ring->reserved != NULL)
        munmap(ring->reserved, ring->reserved_size);
    ring->reserved = NULL;
}

/* Reserves the memory behind the file, maps it and writes its page. */
static bool furnish(struct rkb_ring *ring, int fd, const struct rkb_ring_options *options, struct rkb_error *error)
{
    if (options->sys->allocate(fd, 0, (off_t)(PAGE_SIZE_IN_FILE + ring->size)) != 0)
        return rkb_fail_errno(error, "ring: cannot reserve %zu bytes for %s", ring->size, ring->path);
    if (options->sys->random(&ring->salt, sizeof ring->salt) != 0)
        return rkb_fail_errno(error, "ring: no random bytes");
    if (!map(ring, fd, error))
        return false;
    write_page(ring->page->fixed, options->journal_id, ring->salt, ring->size);
    return true;
}

static bool make_anonymous(struct rkb_ring *ring, const struct rkb_ring_options *options, struct rkb_error *error)
{
    snprintf(ring->path, sizeof ring->path, "anonymous memory");
    int fd = memfd_create("rkbridge-ring", MFD_CLOEXEC);
    if (fd < 0)
        return rkb_fail_errno(error, "ring: cannot make anonymous memory");
    bool done = furnish(ring, fd, options, error);
    options->sys->close(fd);
    return done;
}

/*
 * Makes the file under a name of its own and moves it to its place when it is whole, so that a file found there
 * is always whole. The notes of an `empty` ring it replaces are taken along.
 */
static bool make_file(struct rkb_ring *ring, const struct rkb_ring_options *options, const struct page *empty,
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
    done = done && furnish(ring, fd, options, error);
    if (done && empty != NULL) {
        atomic_store(&ring->page->read, atomic_load(&empty->read));
        atomic_store(&ring->page->low, atomic_load(&empty->low));
        for (size_t i = 0; i < RKB_RING_TOPICS; i++)
            atomic_store(&ring->page->topics[i], atomic_load(&empty->topics[i]));
        atomic_store(&ring->page->next, atomic_load(&empty->next));
        atomic_store(&ring->page->not_durable, atomic_load(&empty->not_durable));
    }
    if (done && sys->rename(path, ring->path) != 0)
        done = rkb_fail_errno(error, "ring: cannot rename %s to its place", path);
    if (!done)
        sys->unlink(path);
    sys->close(fd);
    return done;
}

static bool check_owner(const struct rkb_ring *ring, const struct stat *status, struct rkb_error *error)
{
    if (S_ISREG(status->st_mode) && status->st_uid == geteuid() && (status->st_mode & 07777) == 0600)
        return true;
    return rkb_fail(error, RKB_DAMAGED, "ring %s: not a file of ours (owner %u, mode %o; expected %u and 600)",
                    ring->path, (unsigned)status->st_uid, (unsigned)status->st_mode & 07777, (unsigned)geteuid());
}

/* Is the file found ours to use? Learns its size from the file itself. */
static bool check_file(struct rkb_ring *ring, int fd, const struct rkb_ring_options *options, struct rkb_error *error)
{
    struct stat status;
    uint8_t page[FIXED];
    if (fstat(fd, &status) != 0)
        return rkb_fail_errno(error, "ring: cannot examine %s", ring->path);
    if (!check_owner(ring, &status, error))
        return false;
    if (options->sys->pread(fd, page, sizeof page, 0) != sizeof page)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: shorter than its first page", ring->path);
    if (!read_page(page, options->journal_id, ring, error))
        return false;
    if (ring->size == 0 || ring->size % PAGE_SIZE_IN_FILE != 0 ||
        (uint64_t)status.st_size != PAGE_SIZE_IN_FILE + ring->size)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: %jd bytes long, but its page says %zu of data", ring->path,
                        (intmax_t)status.st_size, ring->size);
    if (options->sys->allocate(fd, 0, status.st_size) != 0)
        return rkb_fail_errno(error, "ring: cannot reserve the memory of %s", ring->path);
    return true;
}

/* Walks the records between tail and head. */
static bool walk(const struct rkb_ring *ring, void (*visit)(void *context, const struct rkb_record *record),
                 void *context, struct rkb_error *error)
{
    uint64_t tail = atomic_load(&ring->page->tail), head = atomic_load(&ring->page->head);
    if (tail > head || head - tail > ring->size || tail % 8 != 0 || head % 8 != 0)
        return rkb_fail(error, RKB_DAMAGED, "ring %s: head %" PRIu64 " and tail %" PRIu64 " do not belong together",
                        ring->path, head, tail);
    while (tail < head) {
        struct rkb_record record;
        const char *why = "nothing was written here";
        const uint8_t *at = ring->data + tail % ring->size;
        if (rkb_record_parse(at, head - tail, ring->salt, &record, &why) != RKB_PARSE_RECORD)
            return rkb_fail(error, RKB_DAMAGED, "ring %s: the record at offset %" PRIu64 " does not count: %s",
                            ring->path, PAGE_SIZE_IN_FILE + tail % ring->size, why);
        if (visit != NULL)
            visit(context, &record);
        tail += rkb_record_length(at);
    }
    return true;
}

static bool reopen(struct rkb_ring *ring, int fd, const struct rkb_ring_options *options, size_t wanted,
                   struct rkb_error *error)
{
    if (!check_file(ring, fd, options, error) || !map(ring, fd, error) || !walk(ring, NULL, NULL, error))
        return false;
    if (ring->size == wanted || atomic_load(&ring->page->head) != atomic_load(&ring->page->tail))
        return true;

    struct rkb_ring old = *ring;
    ring->reserved = NULL;
    ring->size = wanted;
    bool done = make_file(ring, options, old.page, error);
    unmap(&old);
    return done;
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
    bool done = reopen(ring, fd, options, ring->size, &why);
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
    ring->head = atomic_load(&ring->page->head);
    ring->tail = ring->tail_seen = atomic_load(&ring->page->tail);
    return ring;
}

void rkb_ring_close(struct rkb_ring *ring)
{
    if (ring == NULL)
        return;
    unmap(ring);
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
    return walk(ring, visit, context, error);
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
        ring->tail_seen = atomic_load_explicit(&ring->page->tail, memory_order_acquire);
        if (ring->head - ring->tail_seen > most)
            return NULL;
    }
    return ring->data + ring->head % ring->size;
}

void rkb_ring_commit(struct rkb_ring *ring, size_t size)
{
    ring->head += size;
    atomic_store_explicit(&ring->page->head, ring->head, memory_order_release);
}

size_t rkb_ring_room(const struct rkb_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->page->tail, memory_order_acquire);
    return ring->size - (size_t)(atomic_load_explicit(&ring->page->head, memory_order_acquire) - tail);
}

size_t rkb_ring_peek(const struct rkb_ring *ring, const uint8_t **at)
{
    *at = ring->data + ring->tail % ring->size;
    return (size_t)(atomic_load_explicit(&ring->page->head, memory_order_acquire) - ring->tail);
}

void rkb_ring_consume(struct rkb_ring *ring, size_t size)
{
    ring->tail += size;
    atomic_store_explicit(&ring->page->tail, ring->tail, memory_order_release);
}

void rkb_ring_note_read(struct rkb_ring *ring, int64_t realtime_us)
{
    atomic_store_explicit(&ring->page->read, realtime_us, memory_order_relaxed);
}

int64_t rkb_ring_noted_read(const struct rkb_ring *ring)
{
    return atomic_load_explicit(&ring->page->read, memory_order_relaxed);
}

void rkb_ring_note_low(struct rkb_ring *ring, uint64_t sequence)
{
    atomic_store_explicit(&ring->page->low, sequence, memory_order_relaxed);
}

uint64_t rkb_ring_noted_low(const struct rkb_ring *ring)
{
    return atomic_load_explicit(&ring->page->low, memory_order_relaxed);
}

void rkb_ring_note_topic_low(struct rkb_ring *ring, uint32_t topic, uint64_t sequence)
{
    if (topic < RKB_RING_TOPICS && sequence > rkb_ring_noted_topic_low(ring, topic))
        atomic_store_explicit(&ring->page->topics[topic], sequence, memory_order_relaxed);
}

uint64_t rkb_ring_noted_topic_low(const struct rkb_ring *ring, uint32_t topic)
{
    return topic < RKB_RING_TOPICS ? atomic_load_explicit(&ring->page->topics[topic], memory_order_relaxed) : 0;
}

void rkb_ring_limit_notes(struct rkb_ring *ring, uint64_t next)
{
    if (atomic_load(&ring->page->low) > next)
        atomic_store(&ring->page->low, next);
    for (size_t i = 0; i < RKB_RING_TOPICS; i++)
        if (atomic_load(&ring->page->topics[i]) > next)
            atomic_store(&ring->page->topics[i], next);
}

void rkb_ring_note_next(struct rkb_ring *ring, uint64_t sequence)
{
    atomic_store_explicit(&ring->page->next, sequence, memory_order_relaxed);
}

void rkb_ring_note_not_durable(struct rkb_ring *ring, int64_t realtime_us)
{
    atomic_store_explicit(&ring->page->not_durable, realtime_us, memory_order_relaxed);
}

int64_t rkb_ring_noted_not_durable(const struct rkb_ring *ring)
{
    return atomic_load_explicit(&ring->page->not_durable, memory_order_relaxed);
}

static uint64_t note_at(const uint8_t *page, size_t offset)
{
    return rkb_raw_u64(page + offset);
}

bool rkb_ring_read_notes(const char *directory, const uint8_t journal_id[16], const struct rkb_sys *sys,
                         struct rkb_ring_notes *notes)
{
    struct rkb_ring ring = {0};
    uint8_t page[sizeof(struct page)];
    struct stat status;
    *notes = (struct rkb_ring_notes){0};
    int fd = name_file(&ring, directory, journal_id, NULL) ? sys->open(ring.path, O_RDONLY | O_NOFOLLOW, 0) : -1;
    if (fd < 0)
        return false;
    bool good = fstat(fd, &status) == 0 && check_owner(&ring, &status, NULL) &&
                sys->pread(fd, page, sizeof page, 0) == (ssize_t)sizeof page &&
                read_page(page, journal_id, &ring, NULL);
    sys->close(fd);
    if (good)
        *notes = (struct rkb_ring_notes){
            .low = note_at(page, offsetof(struct page, low)),
            .next = note_at(page, offsetof(struct page, next)),
            .read_us = (int64_t)note_at(page, offsetof(struct page, read)),
        };
    return good;
}
