/*
 * pauses -- see pauses.h.
 *
 * The file is text: a line `rkbridge paused 1`, then `route NAME SINCE` or `topic NAME SINCE`, since in microseconds
 * since 1970, and last a line `end`: without it the file does not count. It is whole from the first moment: made
 * beside, synced, renamed. Nothing rests: no file.
 */
#include "daemon/pauses.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/file.h"

#define FIRST_LINE "rkbridge paused 1\n"
#define FILE_LIMIT ((size_t)64 * 1024)

struct rkb_pauses {
    const struct rkb_sys *sys;
    char directory[PATH_MAX - 16], path[PATH_MAX];
    _Atomic uint64_t version;           /* raised with the list, under the lock */
    pthread_mutex_t lock;               /* of all below */
    struct rkb_pause_list now;
    uint64_t kept_version;
    bool kept;
    struct rkb_error error;
    _Atomic bool unread;
    struct rkb_error unread_error;
};

struct rkb_pauses *rkb_pauses_new(const char *directory, const struct rkb_sys *sys)
{
    struct rkb_pauses *pauses = calloc(1, sizeof *pauses);
    if (pauses == NULL)
        return NULL;
    pauses->sys = sys;
    pauses->kept = true;
    snprintf(pauses->directory, sizeof pauses->directory, "%s", directory);
    snprintf(pauses->path, sizeof pauses->path, "%s/paused", pauses->directory);
    pthread_mutex_init(&pauses->lock, NULL);
    return pauses;
}

void rkb_pauses_free(struct rkb_pauses *pauses)
{
    if (pauses == NULL)
        return;
    pthread_mutex_destroy(&pauses->lock);
    free(pauses);
}

/* ---- the list ---- */

static size_t place_of(const struct rkb_pause_list *list, bool is_topic, uint32_t number)
{
    size_t i = 0;
    while (i < list->count && (list->list[i].is_topic != is_topic || list->list[i].number != number))
        i++;
    return i;
}

bool rkb_pauses_has(const struct rkb_pause_list *list, bool is_topic, uint32_t number)
{
    return place_of(list, is_topic, number) < list->count;
}

uint64_t rkb_pauses_add(struct rkb_pauses *pauses, const struct rkb_pause *pause)
{
    uint64_t version = 0;
    pthread_mutex_lock(&pauses->lock);
    if (pauses->now.count < RKB_PAUSES_MOST) {
        pauses->now.list[pauses->now.count++] = *pause;
        version = ++pauses->version;
    }
    pthread_mutex_unlock(&pauses->lock);
    return version;
}

uint64_t rkb_pauses_remove(struct rkb_pauses *pauses, bool is_topic, uint32_t number)
{
    uint64_t version = 0;
    pthread_mutex_lock(&pauses->lock);
    struct rkb_pause_list *now = &pauses->now;
    size_t at = place_of(now, is_topic, number);
    if (at < now->count) {
        now->count--;
        memmove(&now->list[at], &now->list[at + 1], (now->count - at) * sizeof now->list[0]);
        version = ++pauses->version;
    }
    pthread_mutex_unlock(&pauses->lock);
    return version;
}

uint64_t rkb_pauses_list(struct rkb_pauses *pauses, struct rkb_pause_list *list)
{
    pthread_mutex_lock(&pauses->lock);
    list->count = pauses->now.count;
    memcpy(list->list, pauses->now.list, list->count * sizeof list->list[0]);
    uint64_t version = pauses->version;
    pthread_mutex_unlock(&pauses->lock);
    return version;
}

uint64_t rkb_pauses_version(const struct rkb_pauses *pauses)
{
    return atomic_load_explicit(&pauses->version, memory_order_relaxed);
}

/* ---- the file ---- */

static bool bad(const struct rkb_pauses *pauses, struct rkb_error *error)
{
    return rkb_fail(error, RKB_DAMAGED, "%s is not what rkbridge writes: nothing is paused; look at what should be, "
                    "pause it anew, and remove the file", pauses->path);
}

/* One line, cut in its words. False: it is none of ours. */
static bool learn(struct rkb_pauses *pauses, const struct rkb_dictionary *dictionary, const char *line,
                  size_t *forgotten)
{
    struct rkb_pause pause = {0};
    char kind[8];
    long long since;
    int end = 0;
    if (sscanf(line, "%7s %255s %lld%n", kind, pause.name, &since, &end) != 3 || line[end] != '\n')
        return false;
    pause.is_topic = strcmp(kind, "topic") == 0;
    pause.since_us = since;
    if ((!pause.is_topic && strcmp(kind, "route") != 0) || pauses->now.count == RKB_PAUSES_MOST)
        return false;
    pause.number = rkb_dictionary_number(dictionary, pause.is_topic ? RKB_NAME_TOPIC : RKB_NAME_ROUTE,
                                         rkb_slice_text(pause.name));
    if (pause.number == 0)
        *forgotten += 1;
    else
        pauses->now.list[pauses->now.count++] = pause;
    return true;
}

static bool learn_all(struct rkb_pauses *pauses, const struct rkb_dictionary *dictionary, const char *text,
                      size_t *forgotten)
{
    if (strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0)
        return false;
    const char *line = text + strlen(FIRST_LINE);
    while (strcmp(line, "end\n") != 0) {
        const char *end = strchr(line, '\n');
        if (end == NULL || !learn(pauses, dictionary, line, forgotten))
            return false;
        line = end + 1;
    }
    return true;
}

static bool load(struct rkb_pauses *pauses, const struct rkb_dictionary *dictionary, size_t *forgotten,
                 struct rkb_error *error)
{
    size_t size;
    *forgotten = 0;
    int fd = pauses->sys->open(pauses->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (fd < 0)
        return errno == ENOENT || rkb_fail_errno(error, "%s", pauses->path);
    pauses->sys->close(fd);
    char *text = calloc(1, FILE_LIMIT + 1);
    bool read = text != NULL && rkb_file_read(pauses->path, text, FILE_LIMIT, &size, error);
    bool right = read && strlen(text) == size && learn_all(pauses, dictionary, text, forgotten);
    if (text == NULL)
        rkb_fail(error, RKB_NO_MEMORY, "no memory to read %s", pauses->path);
    free(text);
    if (right) {
        pauses->version += pauses->now.count > 0;       /* the shipper has yet to hear of it */
        return true;
    }
    pauses->now.count = 0;
    return read ? bad(pauses, error) : false;
}

bool rkb_pauses_load(struct rkb_pauses *pauses, const struct rkb_dictionary *dictionary, size_t *forgotten,
                     struct rkb_error *error)
{
    pauses->unread = !load(pauses, dictionary, forgotten, error);
    if (pauses->unread)
        pauses->unread_error = *error;
    return !pauses->unread;
}

bool rkb_pauses_unread(struct rkb_pauses *pauses, struct rkb_error *error)
{
    if (!pauses->unread)
        return false;
    *error = pauses->unread_error;
    return true;
}

bool rkb_pauses_look(struct rkb_pauses *pauses)
{
    if (!pauses->unread)
        return false;
    int fd = pauses->sys->open(pauses->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
    pauses->unread = fd >= 0 || errno != ENOENT;
    if (fd >= 0)
        pauses->sys->close(fd);
    return !pauses->unread;
}

static void compose(const struct rkb_pause_list *list, struct rkb_buffer *out)
{
    rkb_buffer_text(out, FIRST_LINE);
    for (size_t i = 0; i < list->count; i++)
        rkb_buffer_format(out, "%s %s %lld\n", list->list[i].is_topic ? "topic" : "route", list->list[i].name,
                          (long long)list->list[i].since_us);
    rkb_buffer_text(out, "end\n");
}

static bool sync_directory(const struct rkb_pauses *pauses)
{
    int fd = pauses->sys->open(pauses->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    bool synced = fd >= 0 && pauses->sys->fsync(fd) == 0;
    if (fd >= 0)
        pauses->sys->close(fd);
    return synced;
}

static bool put_in_place(const struct rkb_pauses *pauses, const struct rkb_buffer *text)
{
    const struct rkb_sys *sys = pauses->sys;
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s.new", pauses->path);
    if (sys->unlink(path) != 0 && errno != ENOENT)
        return false;
    int fd = sys->open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool written = rkb_sys_write(sys, fd, text->data, text->size, 0) && sys->fdatasync(fd) == 0
                   && sys->rename(path, pauses->path) == 0;
    int number = errno;
    sys->close(fd);
    errno = number;
    return written && sync_directory(pauses);
}

static bool remove_file(const struct rkb_pauses *pauses)
{
    if (pauses->sys->unlink(pauses->path) != 0)
        return errno == ENOENT;
    return sync_directory(pauses);
}

bool rkb_pauses_keep(struct rkb_pauses *pauses, uint64_t version, const struct rkb_pause_list *list,
                     struct rkb_error *error)
{
    struct rkb_buffer text = {0};
    compose(list, &text);
    bool kept = !text.failed && (list->count == 0 ? remove_file(pauses) : put_in_place(pauses, &text));
    if (text.failed)
        rkb_fail(error, RKB_NO_MEMORY, "no memory to write %s", pauses->path);
    else if (!kept)
        rkb_fail_errno(error, "%s cannot be written", pauses->path);
    rkb_buffer_free(&text);
    pthread_mutex_lock(&pauses->lock);
    pauses->kept_version = version;
    pauses->kept = kept;
    if (kept)
        pauses->unread = false;
    else
        pauses->error = *error;
    pthread_mutex_unlock(&pauses->lock);
    return kept;
}

bool rkb_pauses_kept(struct rkb_pauses *pauses, uint64_t *version, struct rkb_error *error)
{
    pthread_mutex_lock(&pauses->lock);
    bool kept = pauses->kept;
    *version = pauses->kept_version;
    if (!kept)
        *error = pauses->error;
    pthread_mutex_unlock(&pauses->lock);
    return kept;
}
