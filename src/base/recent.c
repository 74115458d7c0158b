/* recent -- see recent.h. */
#include "base/recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct rkb_recent {
    pthread_mutex_t lock;           /* of all below */
    uint64_t newest;
    size_t room;
    struct rkb_recent_line lines[];     /* number n is at n % room */
};

struct rkb_recent *rkb_recent_new(size_t lines)
{
    struct rkb_recent *recent = calloc(1, sizeof *recent + lines * sizeof recent->lines[0]);
    if (recent == NULL)
        return NULL;
    recent->room = lines;
    pthread_mutex_init(&recent->lock, NULL);
    return recent;
}

void rkb_recent_free(struct rkb_recent *recent)
{
    if (recent == NULL)
        return;
    pthread_mutex_destroy(&recent->lock);
    free(recent);
}

/* Ends in "..." where it is cut, and never inside a character of UTF-8. */
static void copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);
    if (length < size) {
        memcpy(to, from, length + 1);
        return;
    }
    length = size - sizeof "...";
    while (length > 0 && ((unsigned char)from[length] & 0xc0) == 0x80)
        length--;
    memcpy(to, from, length);
    memcpy(to + length, "...", sizeof "...");
}

void rkb_recent_add(struct rkb_recent *recent, const struct rkb_log_line *line)
{
    pthread_mutex_lock(&recent->lock);
    uint64_t number = ++recent->newest;
    struct rkb_recent_line *place = &recent->lines[number % recent->room];
    place->number = number;
    place->time_us = line->time_us;
    place->suppressed = line->suppressed;
    place->level = line->level;
    place->has_event = line->event != NULL;
    copy(place->object, sizeof place->object, line->object);
    copy(place->event, sizeof place->event, line->event != NULL ? line->event : "");
    copy(place->text, sizeof place->text, line->text);
    pthread_mutex_unlock(&recent->lock);
}

uint64_t rkb_recent_newest(struct rkb_recent *recent)
{
    pthread_mutex_lock(&recent->lock);
    uint64_t newest = recent->newest;
    pthread_mutex_unlock(&recent->lock);
    return newest;
}

bool rkb_recent_next(struct rkb_recent *recent, uint64_t after, struct rkb_recent_line *line)
{
    pthread_mutex_lock(&recent->lock);
    uint64_t newest = recent->newest;
    uint64_t oldest = newest > recent->room ? newest - recent->room + 1 : 1;
    uint64_t number = after + 1 > oldest ? after + 1 : oldest;
    bool is_there = number <= newest;
    if (is_there)
        *line = recent->lines[number % recent->room];
    pthread_mutex_unlock(&recent->lock);
    return is_there;
}

size_t rkb_recent_compose(const struct rkb_recent_line *line, enum rkb_log_format format, char out[RKB_LOG_LINE_SIZE])
{
    struct rkb_log_line shown = {line->time_us, line->level, line->suppressed, line->object,
                                 line->has_event ? line->event : NULL, line->text};
    return rkb_log_line_compose(&shown, format, out);
}
