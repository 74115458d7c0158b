/*
 * dead -- see dead.h.
 *
 *     [ head | letter, message | letter, message | ... ]      a pair counts as a whole, or not at all
 *
 * Promise: what append and then sync said true to is in the file. Never: changes or drops what once counted; holds a
 * message in memory longer than the call.
 */
#include "journal/dead.h"

#include "base/escape.h"
#include "base/units.h"
#include "journal/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct rkb_dead {
    const struct rkb_sys *sys;
    int fd, directory_fd;       /* fd -1: there is no file yet */
    uint8_t id[16];
    uint64_t salt;
    uint64_t limit, low;
    size_t size;                /* of what counts in the file */
    uint64_t count, torn_bytes;
    uint64_t *numbers;          /* of the letters from low on, ascending */
    size_t number_count, number_capacity;
    bool unsynced;              /* something may not be on disk yet */
    bool sync_failed;
    uint32_t version;           /* of the file there is */
    bool ragged;                /* behind what counts an unfinished write may lie */
    char path[PATH_MAX];
};

/* ---- the numbers ---- */

/* Index of this number, or where it belongs. Mostly it belongs at the end. */
static size_t find(const struct rkb_dead *dead, uint64_t sequence)
{
    size_t low = 0, high = dead->number_count;
    if (high > 0 && dead->numbers[high - 1] < sequence)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (dead->numbers[middle] < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool knows(const struct rkb_dead *dead, uint64_t sequence)
{
    size_t at = find(dead, sequence);
    return at < dead->number_count && dead->numbers[at] == sequence;
}

static bool room_for_one(struct rkb_dead *dead, struct rkb_error *error)
{
    if (dead->number_count < dead->number_capacity)
        return true;
    size_t capacity = dead->number_capacity ? dead->number_capacity * 2 : 64;
    uint64_t *numbers = realloc(dead->numbers, capacity * sizeof *numbers);
    if (numbers == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "dead letters: no memory for one more");
    dead->numbers = numbers;
    dead->number_capacity = capacity;
    return true;
}

/* There is room for it. */
static void remember(struct rkb_dead *dead, uint64_t sequence)
{
    size_t at = find(dead, sequence);
    if (sequence < dead->low || (at < dead->number_count && dead->numbers[at] == sequence))
        return;
    memmove(dead->numbers + at + 1, dead->numbers + at, (dead->number_count - at) * sizeof *dead->numbers);
    dead->numbers[at] = sequence;
    dead->number_count++;
}

/* ---- reading ---- */

/* Does a record that counts begin at or after `from`? */
static bool more_behind(const uint8_t *data, size_t size, uint64_t salt, size_t from)
{
    struct rkb_record record;
    for (size_t at = from; size - at >= RKB_RECORD_HEADER; at += 8)
        if (rkb_record_parse_any(data + at, size - at, salt, &record, NULL) == RKB_PARSE_RECORD)
            return true;
    return false;
}

/* Bytes that do not count: what a write leaves that was cut short, or never came to the disk? */
static bool unfinished(const uint8_t *data, size_t size, size_t at, enum rkb_parse parse)
{
    return parse == RKB_PARSE_BLANK || size - at < RKB_RECORD_HEADER || rkb_record_length(data + at) > size - at;
}

enum rkb_parse rkb_dead_next(const uint8_t *data, size_t size, uint64_t salt, size_t *offset,
                             struct rkb_record *letter, struct rkb_record *message, const char **why)
{
    static const enum rkb_kind kinds[2] = {RKB_DEAD, RKB_MESSAGE};
    struct rkb_record *records[2] = {letter, message};
    size_t at = *offset;
    for (int i = 0; i < 2; i++) {
        enum rkb_parse parse = rkb_record_parse_any(data + at, size - at, salt, records[i], why);
        if (parse != RKB_PARSE_RECORD && unfinished(data, size, at, parse) &&
            !more_behind(data, size, salt, size - at < 8 ? size : at + 8))
            return RKB_PARSE_BLANK;
        if (parse == RKB_PARSE_BLANK)
            *why = "nothing was written here, but more lies behind";
        else if (parse == RKB_PARSE_RECORD && records[i]->kind != kinds[i])
            *why = i == 0 ? "no dead letter" : "no message behind its reason";
        if (parse != RKB_PARSE_RECORD || records[i]->kind != kinds[i])
            return RKB_PARSE_BAD;
        at += rkb_record_length(data + at);
    }
    if (message->sequence != letter->sequence) {
        *why = "a message that its reason does not speak of";
        return RKB_PARSE_BAD;
    }
    *offset = at;
    return RKB_PARSE_RECORD;
}

/* Reads head and letters; false: damage, or no memory. */
static bool read_letters(struct rkb_dead *dead, const uint8_t *data, size_t size, struct rkb_error *error)
{
    struct rkb_record letter, message;
    const char *why = "";
    enum rkb_parse parse;
    if (!rkb_aside_head("dead letters", dead->path, data, size, dead->id, &dead->salt, error))
        return false;
    struct rkb_segment_head head;
    if (!rkb_segment_head_parse(data, size, &head, error))
        return false;
    dead->version = head.version;
    dead->size = RKB_SEGMENT_HEADER;
    while ((parse = rkb_dead_next(data, size, dead->salt, &dead->size, &letter, &message, &why)) == RKB_PARSE_RECORD) {
        if (!room_for_one(dead, error))
            return false;
        remember(dead, message.sequence);
        dead->count++;
    }
    return parse == RKB_PARSE_BLANK ||
           rkb_fail(error, RKB_DAMAGED, "dead letters: %s at %zu: %s", dead->path, dead->size, why);
}

/* ---- writing ---- */

/* The file is these bytes, whole from the first moment: made beside, synced and renamed. */
static bool put_in_place(struct rkb_dead *dead, const uint8_t *data, size_t size, struct rkb_error *error)
{
    const struct rkb_sys *sys = dead->sys;
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s.new", dead->path);
    if (sys->unlink(path) != 0 && errno != ENOENT)
        return rkb_fail_errno(error, "dead letters: cannot remove %s", path);
    int fd = sys->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0)
        return rkb_fail_errno(error, "dead letters: cannot make %s", path);
    if (!rkb_sys_write(sys, fd, data, size, 0) || sys->fdatasync(fd) != 0 || sys->rename(path, dead->path) != 0 ||
        sys->fsync(dead->directory_fd) != 0) {
        rkb_fail_errno(error, "dead letters: cannot make %s and put it in its place", path);
        sys->close(fd);
        return false;
    }
    if (dead->fd >= 0)
        sys->close(dead->fd);
    dead->fd = fd;
    return true;
}

static bool make_file(struct rkb_dead *dead, struct rkb_error *error)
{
    struct rkb_segment_head head = {.version = RKB_FORMAT_VERSION, .created_us = dead->sys->realtime_us()};
    uint8_t bytes[RKB_SEGMENT_HEADER];
    if (dead->sys->random(&head.salt, sizeof head.salt) != 0)
        return rkb_fail_errno(error, "dead letters: no random bytes");
    memcpy(head.journal_id, dead->id, sizeof head.journal_id);
    rkb_segment_head_write(bytes, &head);
    if (!put_in_place(dead, bytes, sizeof bytes, error))
        return false;
    dead->salt = head.salt;
    dead->version = head.version;
    return true;
}

static bool reads_back(const struct rkb_dead *dead, const uint8_t *data, struct rkb_error *error)
{
    struct rkb_record letter, message;
    const char *why = "nothing was written here";
    size_t at = RKB_SEGMENT_HEADER;
    while (at < dead->size)
        if (rkb_dead_next(data, dead->size, dead->salt, &at, &letter, &message, &why) != RKB_PARSE_RECORD)
            return rkb_fail(error, RKB_DAMAGED, "dead letters: %s at %zu, after a sync that failed: %s; restart "
                            "rkbridge, which sets the file aside", dead->path, at, why);
    return true;
}

/*
 * After a failed sync the file is not trusted: what was to be synced may count as clean by now. What still reads back
 * goes into a new one. Where not all does, nothing more is promised: the next start sets the file aside, and the
 * messages, which no checkpoint has passed, come again. A file of an older version becomes one of this version so,
 * before a letter of this version goes into it.
 */
static bool write_anew(struct rkb_dead *dead, struct rkb_error *error)
{
    struct rkb_segment_head head;
    void *data = mmap(NULL, dead->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, dead->fd, 0);
    if (data == MAP_FAILED)
        return rkb_fail_errno(error, "dead letters: cannot map %s", dead->path);
    bool done = reads_back(dead, data, error) && rkb_segment_head_parse(data, dead->size, &head, error);
    if (done) {
        head.version = RKB_FORMAT_VERSION;
        rkb_segment_head_write(data, &head);
    }
    done = done && put_in_place(dead, data, dead->size, error);
    munmap(data, dead->size);
    if (done) {
        dead->sync_failed = dead->unsynced = dead->ragged = false;
        dead->version = RKB_FORMAT_VERSION;
    }
    return done;
}

static bool set_aside(struct rkb_dead *dead, struct rkb_error *error)
{
    if (!rkb_aside_set("dead letters", dead->path, dead->sys, error))
        return false;
    dead->sys->close(dead->fd);
    dead->fd = -1;
    dead->size = RKB_SEGMENT_HEADER;
    dead->number_count = 0;
    dead->count = 0;
    return true;
}

/* The end of the file is the end of what counts. */
static bool cut(struct rkb_dead *dead, struct rkb_error *error)
{
    if (dead->sys->ftruncate(dead->fd, (off_t)dead->size) != 0)
        return rkb_fail_errno(error, "dead letters: cannot cut an unfinished write off %s", dead->path);
    dead->ragged = false;
    return true;
}

/* Takes up the file found. True also for one that is damaged, which was set aside: then *damage has the words. */
static bool take_up(struct rkb_dead *dead, struct rkb_error *damage, struct rkb_error *error)
{
    struct stat status;
    struct rkb_error trouble = {.code = RKB_OK};
    if (fstat(dead->fd, &status) != 0)
        return rkb_fail_errno(error, "dead letters: cannot examine %s", dead->path);
    size_t size = (size_t)status.st_size;
    void *data = size == 0 ? NULL : mmap(NULL, size, PROT_READ, MAP_SHARED, dead->fd, 0);
    if (data == MAP_FAILED)
        return rkb_fail_errno(error, "dead letters: cannot map %s", dead->path);
    bool good = read_letters(dead, data, size, &trouble);
    if (data != NULL)
        munmap(data, size);
    if (good) {
        dead->torn_bytes = size - dead->size;
        dead->unsynced = true;      /* a process that was killed may not have synced it */
        return dead->torn_bytes == 0 || cut(dead, error);
    }
    if (trouble.code != RKB_DAMAGED) {
        *error = trouble;
        return false;
    }
    *damage = trouble;
    return set_aside(dead, error);
}

static bool open_all(struct rkb_dead *dead, const char *directory, struct rkb_error *damage, struct rkb_error *error)
{
    if (snprintf(dead->path, sizeof dead->path, "%s/dead-letters", directory) > (int)sizeof dead->path - 16)
        return rkb_fail(error, RKB_USAGE, "dead letters: the directory's name is too long");
    dead->directory_fd = dead->sys->open(directory, O_RDONLY | O_DIRECTORY, 0);
    if (dead->directory_fd < 0)
        return rkb_fail_errno(error, "dead letters: cannot open the directory %s", directory);
    dead->fd = dead->sys->open(dead->path, O_RDWR | O_NOFOLLOW, 0);
    if (dead->fd < 0 && errno == ENOENT)
        return true;
    if (dead->fd < 0)
        return rkb_fail_errno(error, "dead letters: cannot open %s", dead->path);
    return take_up(dead, damage, error);
}

struct rkb_dead *rkb_dead_open(const char *directory, const uint8_t journal_id[16], uint64_t limit, uint64_t low,
                               const struct rkb_sys *sys, struct rkb_error *error)
{
    struct rkb_error damage = {.code = RKB_OK}, trouble = {.code = RKB_OK};
    struct rkb_dead *dead = calloc(1, sizeof *dead);
    if (dead == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "dead letters: no memory");
        return NULL;
    }
    *dead = (struct rkb_dead){.sys = sys, .fd = -1, .directory_fd = -1, .limit = limit, .low = low,
                              .size = RKB_SEGMENT_HEADER};
    memcpy(dead->id, journal_id, sizeof dead->id);
    bool done = open_all(dead, directory, &damage, &trouble);
    *error = done ? damage : trouble;
    if (done)
        return dead;
    rkb_dead_close(dead);
    return NULL;
}

void rkb_dead_close(struct rkb_dead *dead)
{
    if (dead == NULL)
        return;
    if (dead->fd >= 0)
        dead->sys->close(dead->fd);
    if (dead->directory_fd >= 0)
        dead->sys->close(dead->directory_fd);
    free(dead->numbers);
    free(dead);
}

/* ---- one letter ---- */

static void add_text(struct rkb_buffer *json, const char *member, const char *text)
{
    rkb_buffer_format(json, ",\"%s\":\"", member);
    rkb_escape(RKB_ESCAPE_JSON, rkb_slice_text(text), json);
    rkb_buffer_text(json, "\"");
}

static void write_reason(struct rkb_buffer *json, uint64_t sequence, const char *route, const char *topic,
                         const char *code, const char *reason, int64_t now_us)
{
    char time[24];
    rkb_format_time(time, now_us);
    rkb_buffer_format(json, "{\"sequence\":%" PRIu64 ",\"time\":\"%.24s\"", sequence, time);
    add_text(json, "route", route);
    add_text(json, "topic", topic);
    add_text(json, "code", code);
    add_text(json, "reason", reason);
    rkb_buffer_text(json, "}");
}

static size_t size_of(const struct rkb_record *record)
{
    return rkb_record_size(record->key.size, record->headers.size, record->value.size);
}

static bool has_room(const struct rkb_dead *dead, size_t size, struct rkb_error *error)
{
    if (size <= dead->limit && dead->size <= dead->limit - size)
        return true;
    char limit[32];
    rkb_format_size(limit, sizeof limit, dead->limit);
    return rkb_fail(error, RKB_FULL, "dead letters: %s is at its limit of %s: raise journal.dead_letter_size, or "
                    "move the file away while rkbridge does not run", dead->path, limit);
}

/* Writes letter and message at the end of what counts. */
static bool write_pair(struct rkb_dead *dead, const struct rkb_record *letter, const struct rkb_record *message,
                       struct rkb_error *error)
{
    size_t first = size_of(letter), size = first + size_of(message);
    if (!has_room(dead, size, error) || (dead->fd < 0 && !make_file(dead, error)) ||
        (dead->ragged && !cut(dead, error)))
        return false;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "dead letters: no memory for one more");
    rkb_record_write(bytes, letter, dead->salt);
    rkb_record_write(bytes + first, message, dead->salt);
    bool done = rkb_sys_write(dead->sys, dead->fd, bytes, size, dead->size) ||
                rkb_fail_errno(error, "dead letters: cannot write %s", dead->path);
    free(bytes);
    dead->ragged = !done;
    if (done)
        dead->size += size;
    return done;
}

bool rkb_dead_append(struct rkb_dead *dead, const struct rkb_record *record, const char *route, const char *topic,
                     const char *code, const char *reason, int64_t now_us, struct rkb_error *error)
{
    if (knows(dead, record->sequence))
        return true;
    bool older = dead->fd >= 0 && dead->version < RKB_FORMAT_VERSION;
    if (!room_for_one(dead, error) || ((dead->sync_failed || older) && !write_anew(dead, error)))
        return false;
    struct rkb_buffer json = {0};
    write_reason(&json, record->sequence, route, topic, code, reason, now_us);
    struct rkb_record letter = {.kind = RKB_DEAD, .sequence = record->sequence, .time_us = now_us,
                                .epoch = record->epoch, .count = record->count, .route = record->route,
                                .topic = record->topic, .value = {json.data, json.size}};
    bool done = json.failed ? rkb_fail(error, RKB_NO_MEMORY, "dead letters: no memory for a reason")
                            : write_pair(dead, &letter, record, error);
    rkb_buffer_free(&json);
    if (!done)
        return false;
    remember(dead, record->sequence);
    dead->count++;
    dead->unsynced = true;
    return true;
}

bool rkb_dead_sync(struct rkb_dead *dead, struct rkb_error *error)
{
    struct stat status;
    bool deleted = dead->fd >= 0 && fstat(dead->fd, &status) == 0 && status.st_nlink == 0;
    if (dead->sync_failed || deleted)
        return write_anew(dead, error);
    if (!dead->unsynced)
        return true;
    if (dead->sys->fdatasync(dead->fd) != 0) {
        dead->sync_failed = true;
        return rkb_fail_errno(error, "dead letters: cannot sync %s", dead->path);
    }
    dead->unsynced = false;
    return true;
}

void rkb_dead_figures(const struct rkb_dead *dead, struct rkb_dead_figures *figures)
{
    *figures = (struct rkb_dead_figures){.bytes = dead->fd < 0 ? 0 : dead->size, .limit = dead->limit,
                                         .count = dead->count, .torn_bytes = dead->torn_bytes};
}
