/*
 * ledger -- see ledger.h.
 *
 *     append --> [ head | gap | gap | ... ] -- over 1 MiB --> ledger.new (all open gaps, newer half of the closed)
 *                    ^------------------------- rename ----------------------'
 *
 * Promise: when append says true the gap is on disk. Never: trusts a file again after a failed sync (it is written
 * anew); throws away a file that does not read back (it is kept as ledger.damaged, .2, .3, ...).
 */
#include "journal/ledger.h"

#include "journal/aside.h"
#include "journal/format.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LARGEST (1024 * 1024)

struct rkb_ledger {
    const struct rkb_sys *sys;
    int fd, directory_fd;
    uint8_t id[16];
    uint64_t salt;
    size_t size;            /* of what counts in the file */
    bool broken;            /* a sync failed: write it anew */
    struct rkb_gap *gaps;   /* ordered by id */
    size_t count, capacity;
    char path[PATH_MAX], new_path[PATH_MAX];
};

/* Index of the gap with this id, or where it belongs. */
static size_t find(const struct rkb_ledger *ledger, uint64_t id)
{
    size_t low = 0, high = ledger->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ledger->gaps[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool remember(struct rkb_ledger *ledger, const struct rkb_gap *gap, struct rkb_error *error)
{
    size_t at = find(ledger, gap->id);
    if (at < ledger->count && ledger->gaps[at].id == gap->id) {
        ledger->gaps[at] = *gap;
        return true;
    }
    if (ledger->count == ledger->capacity) {
        size_t capacity = ledger->capacity ? ledger->capacity * 2 : 16;
        struct rkb_gap *gaps = realloc(ledger->gaps, capacity * sizeof *gaps);
        if (gaps == NULL)
            return rkb_fail(error, RKB_NO_MEMORY, "ledger: no memory for one more gap");
        ledger->gaps = gaps;
        ledger->capacity = capacity;
    }
    memmove(ledger->gaps + at + 1, ledger->gaps + at, (ledger->count - at) * sizeof *ledger->gaps);
    ledger->gaps[at] = *gap;
    ledger->count++;
    return true;
}

/* Adds a gap's record to bytes. */
static void add_record(struct rkb_buffer *bytes, const struct rkb_gap *gap, uint64_t salt)
{
    struct rkb_buffer json = {0};
    rkb_gap_write(gap, &json);
    struct rkb_record record = {.kind = RKB_GAP, .sequence = gap->id, .time_us = gap->to_us ? gap->to_us : gap->from_us,
                                .value = {json.data, json.size}};
    size_t size = rkb_record_size(0, 0, json.size);
    uint8_t *at = rkb_buffer_reserve(bytes, size);
    if (json.failed)
        bytes->failed = true;
    else if (at != NULL)
        bytes->size += rkb_record_write(at, &record, salt);
    rkb_buffer_free(&json);
}

static bool write_bytes(struct rkb_ledger *ledger, int fd, const char *path, const struct rkb_buffer *bytes,
                        size_t offset, struct rkb_error *error)
{
    if (bytes->failed)
        return rkb_fail(error, RKB_NO_MEMORY, "ledger: no memory for a gap's record");
    if (!rkb_sys_write(ledger->sys, fd, bytes->data, bytes->size, offset))
        return rkb_fail_errno(error, "ledger: cannot write %s", path);
    return ledger->sys->fdatasync(fd) == 0 || rkb_fail_errno(error, "ledger: cannot sync %s", path);
}

/* Forgets the older half of the closed gaps. */
static void halve(struct rkb_ledger *ledger)
{
    size_t closed = 0, kept = 0;
    for (size_t i = 0; i < ledger->count; i++)
        closed += ledger->gaps[i].to_us != 0;
    size_t forget = closed / 2;
    for (size_t i = 0; i < ledger->count; i++) {
        if (ledger->gaps[i].to_us != 0 && forget > 0)
            forget--;
        else
            ledger->gaps[kept++] = ledger->gaps[i];
    }
    ledger->count = kept;
}

static bool put_together(struct rkb_ledger *ledger, uint64_t salt, struct rkb_buffer *bytes)
{
    struct rkb_segment_head head = {.version = RKB_FORMAT_VERSION, .salt = salt,
                                    .created_us = ledger->sys->realtime_us()};
    memcpy(head.journal_id, ledger->id, sizeof head.journal_id);
    uint8_t *at = rkb_buffer_reserve(bytes, RKB_SEGMENT_HEADER);
    if (at == NULL)
        return false;
    rkb_segment_head_write(at, &head);
    bytes->size += RKB_SEGMENT_HEADER;
    for (size_t i = 0; i < ledger->count; i++)
        add_record(bytes, &ledger->gaps[i], salt);
    return !bytes->failed;
}

/* Writes all gaps in memory into a new file and puts it in the place of the old one. */
static bool write_anew(struct rkb_ledger *ledger, struct rkb_error *error)
{
    const struct rkb_sys *sys = ledger->sys;
    struct rkb_buffer bytes = {0};
    uint64_t salt;
    if (sys->unlink(ledger->new_path) != 0 && errno != ENOENT)
        return rkb_fail_errno(error, "ledger: cannot remove %s", ledger->new_path);
    if (sys->random(&salt, sizeof salt) != 0)
        return rkb_fail_errno(error, "ledger: no random bytes");
    put_together(ledger, salt, &bytes);
    int fd = sys->open(ledger->new_path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    bool done = fd >= 0 ? write_bytes(ledger, fd, ledger->new_path, &bytes, 0, error)
                        : rkb_fail_errno(error, "ledger: cannot make %s", ledger->new_path);
    if (done && sys->rename(ledger->new_path, ledger->path) != 0)
        done = rkb_fail_errno(error, "ledger: cannot rename %s to its place", ledger->new_path);
    size_t size = bytes.size;
    rkb_buffer_free(&bytes);
    if (!done) {
        if (fd >= 0)
            sys->close(fd);
        return false;
    }
    if (ledger->fd >= 0)
        sys->close(ledger->fd);
    ledger->fd = fd;
    ledger->salt = salt;
    ledger->size = size;
    ledger->broken = true;      /* until its name is on disk too */
    if (sys->fsync(ledger->directory_fd) != 0)
        return rkb_fail_errno(error, "ledger: cannot sync the directory of %s", ledger->path);
    ledger->broken = false;
    return true;
}

/* Does a record that counts begin behind `at`? */
static bool more_behind(const struct rkb_ledger *ledger, const uint8_t *data, size_t size, size_t at)
{
    struct rkb_record record;
    for (at += 8; at < size && size - at >= RKB_RECORD_HEADER; at += 8)
        if (rkb_record_parse(data + at, size - at, ledger->salt, &record, NULL) == RKB_PARSE_RECORD)
            return true;
    return false;
}

/*
 * Reads gap records. *end: of what counts. False, with *error, where damage ends the reading: bytes that do not count
 * with more behind them.
 */
static bool read_gaps(struct rkb_ledger *ledger, const uint8_t *data, size_t size, size_t *end, struct rkb_error *error)
{
    const char *why = "nothing was written here";
    struct rkb_record record;
    struct rkb_gap gap;
    size_t at = RKB_SEGMENT_HEADER;
    *end = at;
    while (rkb_record_parse(data + at, size - at, ledger->salt, &record, &why) == RKB_PARSE_RECORD) {
        if (record.kind != RKB_GAP || !rkb_gap_parse(record.value, &gap, NULL))
            return rkb_fail(error, RKB_DAMAGED, "ledger: %s at %zu: a record that is no gap", ledger->path, at);
        if (!remember(ledger, &gap, error))
            return false;
        *end = at += rkb_record_length(data + at);
    }
    return !more_behind(ledger, data, size, at) ||
           rkb_fail(error, RKB_DAMAGED, "ledger: %s at %zu: %s; the gaps behind it are not known", ledger->path, at,
                    why);
}

static uint8_t *read_file(struct rkb_ledger *ledger, size_t *size, struct rkb_error *error)
{
    struct stat status;
    uint8_t *data = fstat(ledger->fd, &status) != 0 ? NULL : malloc((size_t)status.st_size + 1);
    ssize_t got = data == NULL ? -1 : rkb_sys_read(ledger->sys, ledger->fd, data, (size_t)status.st_size);
    if (got < 0) {
        rkb_fail_errno(error, "ledger: cannot read %s", ledger->path);
        free(data);
        return NULL;
    }
    *size = (size_t)got;
    return data;
}

/* Takes up the file found. True also for one that is damaged, which was set aside: then *damage has the words. */
static bool take_up(struct rkb_ledger *ledger, struct rkb_error *damage, struct rkb_error *error)
{
    size_t size;
    uint8_t *data = read_file(ledger, &size, error);
    if (data == NULL)
        return false;
    struct rkb_error trouble = {.code = RKB_OK};
    bool good = rkb_aside_head("ledger", ledger->path, data, size, ledger->id, &ledger->salt, &trouble) &&
                read_gaps(ledger, data, size, &ledger->size, &trouble);
    free(data);
    if (good) {
        if (ledger->size == size || ledger->sys->ftruncate(ledger->fd, (off_t)ledger->size) == 0)
            return true;
        return rkb_fail_errno(error, "ledger: cannot cut the torn tail of %s", ledger->path);
    }
    if (trouble.code != RKB_DAMAGED) {
        *error = trouble;
        return false;
    }
    *damage = trouble;
    return rkb_aside_set("ledger", ledger->path, ledger->sys, error) && write_anew(ledger, error);
}

static bool open_all(struct rkb_ledger *ledger, const char *directory, struct rkb_error *damage,
                     struct rkb_error *error)
{
    if (snprintf(ledger->path, sizeof ledger->path, "%s/ledger", directory) > (int)sizeof ledger->path - 16)
        return rkb_fail(error, RKB_USAGE, "ledger: the directory's name is too long");
    snprintf(ledger->new_path, sizeof ledger->new_path, "%s/ledger.new", directory);
    ledger->directory_fd = ledger->sys->open(directory, O_RDONLY | O_DIRECTORY, 0);
    if (ledger->directory_fd < 0)
        return rkb_fail_errno(error, "ledger: cannot open the directory %s", directory);
    ledger->fd = ledger->sys->open(ledger->path, O_RDWR | O_NOFOLLOW, 0);
    if (ledger->fd < 0 && errno == ENOENT)
        return write_anew(ledger, error);
    if (ledger->fd < 0)
        return rkb_fail_errno(error, "ledger: cannot open %s", ledger->path);
    return take_up(ledger, damage, error);
}

struct rkb_ledger *rkb_ledger_open(const char *directory, const uint8_t journal_id[16], const struct rkb_sys *sys,
                                   void (*visit)(void *context, const struct rkb_gap *gap), void *context,
                                   struct rkb_error *error)
{
    struct rkb_error damage = {.code = RKB_OK}, trouble = {.code = RKB_OK};
    struct rkb_ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "ledger: no memory");
        return NULL;
    }
    ledger->sys = sys;
    ledger->fd = ledger->directory_fd = -1;
    memcpy(ledger->id, journal_id, sizeof ledger->id);
    bool done = open_all(ledger, directory, &damage, &trouble);
    *error = done ? damage : trouble;
    if (!done) {
        rkb_ledger_close(ledger);
        return NULL;
    }
    for (size_t i = 0; visit != NULL && i < ledger->count; i++)
        visit(context, &ledger->gaps[i]);
    return ledger;
}

void rkb_ledger_close(struct rkb_ledger *ledger)
{
    if (ledger == NULL)
        return;
    if (ledger->fd >= 0)
        ledger->sys->close(ledger->fd);
    if (ledger->directory_fd >= 0)
        ledger->sys->close(ledger->directory_fd);
    free(ledger->gaps);
    free(ledger);
}

bool rkb_ledger_append(struct rkb_ledger *ledger, const struct rkb_gap *gap, struct rkb_error *error)
{
    if (!remember(ledger, gap, error))
        return false;
    if (ledger->broken)
        return write_anew(ledger, error);
    if (ledger->size >= LARGEST) {
        halve(ledger);
        if (write_anew(ledger, error))
            return true;
        ledger->broken = true;
        return false;
    }
    struct rkb_buffer bytes = {0};
    add_record(&bytes, gap, ledger->salt);
    bool done = write_bytes(ledger, ledger->fd, ledger->path, &bytes, ledger->size, error);
    if (done)
        ledger->size += bytes.size;
    else
        ledger->broken = true;
    rkb_buffer_free(&bytes);
    return done;
}

bool rkb_ledger_mend(struct rkb_ledger *ledger, struct rkb_error *error)
{
    struct stat status;
    bool deleted = fstat(ledger->fd, &status) == 0 && status.st_nlink == 0;
    return (!ledger->broken && !deleted) || write_anew(ledger, error);
}
