/*
 * checkpoint -- see checkpoint.h.
 *
 *     generation 7 --> slot 1      generation 8 --> slot 0      generation 9 --> slot 1 ...
 *
 * Promise: a write that is torn, or fails, leaves the other slot as it was. Never: writes the slot that counts.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "journal/checkpoint.h"

#include "base/bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECKPOINT_VERSION 1
#define HEAD 64
#define HEAD_CHECKED 56
#define FIRST_SLOT 4096
#define SLOT 65536
#define SLOT_HEAD 56
#define FILE_SIZE (FIRST_SLOT + 2 * SLOT)

_Static_assert(SLOT_HEAD + RKB_CHECKPOINT_ENTRIES * 16 + 8 <= SLOT, "ranges and topics fit a slot");

static const uint8_t magic[8] = {'R', 'K', 'B', 'C', 'H', 'K', '\r', '\n'};

struct rkb_checkpoint {
    const struct rkb_sys *sys;
    int fd;
    uint64_t generation;    /* of the slot that counts */
    char path[PATH_MAX];
    uint8_t slot[SLOT];     /* where the next one is put together */
};

static void write_head(uint8_t at[HEAD], const uint8_t id[16])
{
    struct rkb_writer writer = rkb_writer(at, HEAD);
    rkb_write_bytes(&writer, magic, sizeof magic);
    rkb_write_u32(&writer, CHECKPOINT_VERSION);
    rkb_write_u32(&writer, SLOT);
    rkb_write_bytes(&writer, id, 16);
    rkb_write_zeros(&writer, HEAD_CHECKED - writer.at);
    rkb_write_u64(&writer, XXH3_64bits(at, HEAD_CHECKED));
}

static enum rkb_checkpoint_found read_head(const uint8_t *at, size_t size, const uint8_t id[16], const char *path,
                                           struct rkb_error *error)
{
    struct rkb_reader reader = rkb_reader(at, size);
    bool ours = rkb_slice_equal(rkb_read_slice(&reader, sizeof magic), rkb_slice(magic, sizeof magic));
    uint32_t version = rkb_read_u32(&reader), slot = rkb_read_u32(&reader);
    bool same = rkb_slice_equal(rkb_read_slice(&reader, 16), rkb_slice(id, 16));
    rkb_read_slice(&reader, HEAD_CHECKED - reader.at);
    uint64_t checksum = rkb_read_u64(&reader);
    if (reader.failed || !ours || checksum != XXH3_64bits(at, HEAD_CHECKED)) {
        rkb_fail(error, RKB_DAMAGED, "%s: its header does not read back", path);
        return RKB_CHECKPOINT_BAD;
    }
    if (version > CHECKPOINT_VERSION) {
        rkb_fail(error, RKB_VERSION,
                 "%s: written in format version %u by a newer rkbridge; this one reads up to version %d", path, version,
                 CHECKPOINT_VERSION);
        return RKB_CHECKPOINT_FAILED;
    }
    if (!same || slot != SLOT) {
        rkb_fail(error, RKB_DAMAGED, "%s: belongs to another journal", path);
        return RKB_CHECKPOINT_BAD;
    }
    return RKB_CHECKPOINT_READ;
}

/* Up to where the first checksum reaches. */
static size_t first_part(uint32_t ranges)
{
    return SLOT_HEAD + (size_t)ranges * 16;
}

/* The bytes a slot with so many ranges and topics uses. */
static size_t slot_size(uint32_t ranges, uint32_t topics)
{
    return first_part(ranges) + (topics > 0 ? (size_t)topics * 16 + 8 : 0);
}

static void write_topics(uint8_t *at, const struct rkb_checkpoint_state *state, uint64_t checksum)
{
    size_t size = (size_t)state->topic_count * 16;
    struct rkb_writer writer = rkb_writer(at, size + 8);
    for (uint32_t i = 0; i < state->topic_count; i++) {
        rkb_write_u32(&writer, state->topics[i].topic);
        rkb_write_u32(&writer, 0);
        rkb_write_u64(&writer, state->topics[i].low);
    }
    rkb_write_u64(&writer, XXH3_64bits(at, size) ^ checksum);
}

static size_t write_slot(uint8_t at[SLOT], uint64_t generation, const struct rkb_checkpoint_state *state)
{
    size_t size = first_part(state->range_count);
    struct rkb_writer writer = rkb_writer(at + 8, size - 8), first = rkb_writer(at, 8);
    rkb_write_u64(&writer, generation);
    rkb_write_u64(&writer, state->low);
    rkb_write_u64(&writer, state->last_epoch);
    rkb_write_u64(&writer, state->last_mark_ms);
    rkb_write_u64(&writer, (uint64_t)state->last_time_us);
    rkb_write_u32(&writer, state->range_count);
    rkb_write_u32(&writer, state->topic_count);
    for (uint32_t i = 0; i < state->range_count; i++) {
        rkb_write_u64(&writer, state->ranges[i].first);
        rkb_write_u64(&writer, state->ranges[i].count);
    }
    uint64_t checksum = XXH3_64bits(at + 8, size - 8);
    rkb_write_u64(&first, checksum);
    if (state->topic_count > 0)
        write_topics(at + size, state, checksum);
    return slot_size(state->range_count, state->topic_count);
}

/* The reader stands behind the ranges. False: what is said of topics does not count. */
static bool read_topics(struct rkb_reader *reader, struct rkb_checkpoint_state *state, uint64_t checksum)
{
    size_t size = (size_t)state->topic_count * 16;
    const uint8_t *at = reader->data + reader->at;
    for (uint32_t i = 0; i < state->topic_count; i++) {
        state->topics[i].topic = rkb_read_u32(reader);
        rkb_read_u32(reader);
        state->topics[i].low = rkb_read_u64(reader);
    }
    return state->topic_count == 0 || rkb_read_u64(reader) == (XXH3_64bits(at, size) ^ checksum);
}

/* The generation of the slot at `at`, with its content in *state; 0 when it does not count. */
static uint64_t read_slot(const uint8_t *at, size_t available, struct rkb_checkpoint_state *state)
{
    struct rkb_reader reader = rkb_reader(at, available);
    uint64_t checksum = rkb_read_u64(&reader), generation = rkb_read_u64(&reader);
    state->low = rkb_read_u64(&reader);
    state->last_epoch = rkb_read_u64(&reader);
    state->last_mark_ms = rkb_read_u64(&reader);
    state->last_time_us = (int64_t)rkb_read_u64(&reader);
    state->range_count = rkb_read_u32(&reader);
    state->topic_count = rkb_read_u32(&reader);
    if (reader.failed || state->range_count > RKB_CHECKPOINT_ENTRIES || state->topic_count > RKB_CHECKPOINT_TOPICS ||
        slot_size(state->range_count, state->topic_count) > available)
        return 0;
    if (checksum != XXH3_64bits(at + 8, first_part(state->range_count) - 8))
        return 0;
    for (uint32_t i = 0; i < state->range_count; i++) {
        state->ranges[i].first = rkb_read_u64(&reader);
        state->ranges[i].count = rkb_read_u64(&reader);
    }
    return read_topics(&reader, state, checksum) ? generation : 0;
}

static uint64_t read_slots(const uint8_t *file, size_t size, struct rkb_checkpoint_state *state)
{
    size_t second = FIRST_SLOT + SLOT;
    size_t room[2] = {size > FIRST_SLOT ? size - FIRST_SLOT : 0, size > second ? size - second : 0};
    for (int i = 0; i < 2; i++)
        room[i] = room[i] > SLOT ? SLOT : room[i];
    uint64_t a = read_slot(file + FIRST_SLOT, room[0], state);
    uint64_t b = read_slot(file + second, room[1], state);
    if (b > a || a == 0)
        return b;
    return read_slot(file + FIRST_SLOT, room[0], state);
}

static void path_of(char path[PATH_MAX], const char *directory, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", directory, name);
}

static enum rkb_checkpoint_found parse(const uint8_t *file, size_t size, const uint8_t id[16], const char *path,
                                       struct rkb_checkpoint_state *state, uint64_t *generation,
                                       struct rkb_error *error)
{
    enum rkb_checkpoint_found found = read_head(file, size, id, path, error);
    if (found != RKB_CHECKPOINT_READ)
        return found;
    *generation = read_slots(file, size, state);
    if (*generation != 0)
        return RKB_CHECKPOINT_READ;
    rkb_fail(error, RKB_DAMAGED, "%s: neither of its slots reads back", path);
    return RKB_CHECKPOINT_BAD;
}

enum rkb_checkpoint_found rkb_checkpoint_read(const char *directory, const uint8_t id[16], const struct rkb_sys *sys,
                                              struct rkb_checkpoint_state *state, uint64_t *generation,
                                              struct rkb_error *error)
{
    char path[PATH_MAX];
    path_of(path, directory, "checkpoint");
    *generation = 0;
    int fd = sys->open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0 && errno == ENOENT)
        return RKB_CHECKPOINT_MISSING;
    if (fd < 0) {
        rkb_fail_errno(error, "journal: cannot open %s", path);
        return RKB_CHECKPOINT_FAILED;
    }
    enum rkb_checkpoint_found found = RKB_CHECKPOINT_FAILED;
    uint8_t *file = malloc(FILE_SIZE);
    ssize_t size = file == NULL ? -1 : rkb_sys_read(sys, fd, file, FILE_SIZE);
    if (size < 0)
        rkb_fail_errno(error, "journal: cannot read %s", path);
    else
        found = parse(file, (size_t)size, id, path, state, generation, error);
    free(file);
    sys->close(fd);
    return found;
}

static bool write_all(struct rkb_checkpoint *checkpoint, const uint8_t *data, size_t size, size_t offset,
                      struct rkb_error *error)
{
    return rkb_sys_write(checkpoint->sys, checkpoint->fd, data, size, offset) ||
           rkb_fail_errno(error, "journal: cannot write %s", checkpoint->path);
}

int rkb_checkpoint_fd(const struct rkb_checkpoint *checkpoint)
{
    return checkpoint->fd;
}

bool rkb_checkpoint_write(struct rkb_checkpoint *checkpoint, const struct rkb_checkpoint_state *state, bool durable,
                          struct rkb_error *error)
{
    uint64_t generation = checkpoint->generation + 1;
    size_t size = write_slot(checkpoint->slot, generation, state);
    if (!write_all(checkpoint, checkpoint->slot, size, FIRST_SLOT + (generation & 1) * SLOT, error))
        return false;
    if (durable && checkpoint->sys->fdatasync(checkpoint->fd) != 0)
        return rkb_fail_errno(error, "journal: cannot sync %s", checkpoint->path);
    checkpoint->generation = generation;
    return true;
}

/* Whole from the first moment: made beside, filled, synced and renamed. */
static bool make_file(struct rkb_checkpoint *checkpoint, const char *directory, const uint8_t id[16],
                      const struct rkb_checkpoint_state *state, struct rkb_error *error)
{
    const struct rkb_sys *sys = checkpoint->sys;
    char path[PATH_MAX];
    uint8_t head[HEAD];
    path_of(path, directory, "checkpoint.tmp");
    if (sys->unlink(path) != 0 && errno != ENOENT)
        return rkb_fail_errno(error, "journal: cannot remove %s", path);
    checkpoint->fd = sys->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (checkpoint->fd < 0)
        return rkb_fail_errno(error, "journal: cannot make %s", path);
    if (sys->allocate(checkpoint->fd, 0, FILE_SIZE) != 0)
        return rkb_fail_errno(error, "journal: no room for %s", path);
    write_head(head, id);
    if (!write_all(checkpoint, head, sizeof head, 0, error) || !rkb_checkpoint_write(checkpoint, state, true, error))
        return false;
    return sys->rename(path, checkpoint->path) == 0 ||
           rkb_fail_errno(error, "journal: cannot rename %s to its place", path);
}

struct rkb_checkpoint *rkb_checkpoint_open(const char *directory, const uint8_t id[16], const struct rkb_sys *sys,
                                           uint64_t generation, const struct rkb_checkpoint_state *make,
                                           struct rkb_error *error)
{
    struct rkb_checkpoint *checkpoint = calloc(1, sizeof *checkpoint);
    if (checkpoint == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "journal: no memory for the checkpoint");
        return NULL;
    }
    checkpoint->sys = sys;
    checkpoint->generation = generation;
    checkpoint->fd = -1;
    path_of(checkpoint->path, directory, "checkpoint");

    bool done;
    if (make != NULL) {
        done = make_file(checkpoint, directory, id, make, error);
    } else {
        checkpoint->fd = sys->open(checkpoint->path, O_RDWR | O_NOFOLLOW, 0);
        done = checkpoint->fd >= 0 || rkb_fail_errno(error, "journal: cannot open %s", checkpoint->path);
    }
    if (!done) {
        rkb_checkpoint_close(checkpoint);
        return NULL;
    }
    return checkpoint;
}

void rkb_checkpoint_close(struct rkb_checkpoint *checkpoint)
{
    if (checkpoint == NULL)
        return;
    if (checkpoint->fd >= 0)
        checkpoint->sys->close(checkpoint->fd);
    free(checkpoint);
}
