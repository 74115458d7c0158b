/*
 * watch_screen -- see watch_screen.h.
 *
 *     notice            where there is one
 *     status            as many lines as there is room for; how many more there would be
 *     last events:      at least EVENTS_LEAST of them where there are so many, more where there is room
 */
#include "tool/watch_screen.h"

#include <stdio.h>
#include <string.h>

#define HOME "\033[H"
#define TO_THE_END_OF_LINE "\033[K"
#define TO_THE_END "\033[J"
#define EVENTS_LEAST 5

struct screen {
    struct rkb_buffer *out;
    size_t rows, columns, used;
};

void rkb_watch_events_add(struct rkb_watch_events *events, struct rkb_slice line)
{
    char *place = events->lines[events->total++ % RKB_WATCH_EVENTS];
    size_t size = line.size < RKB_WATCH_EVENT_SIZE ? line.size : RKB_WATCH_EVENT_SIZE;
    snprintf(place, RKB_WATCH_EVENT_SIZE, "%.*s", (int)size, (const char *)line.data);
}

static bool is_middle(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;       /* of a character in UTF-8 */
}

/* How many bytes of the line fit into so many places. */
static size_t fitting(struct rkb_slice line, size_t places)
{
    size_t at = 0;
    for (; at < line.size; at++) {
        if (is_middle(line.data[at]))
            continue;
        if (places == 0)
            break;
        places--;
    }
    return at;
}

/* How many bytes of the line stand in its next row: up to the last blank that fits, where that is not far before. */
static size_t next_row(struct rkb_slice line, size_t columns)
{
    size_t size = fitting(line, columns), at = size;
    if (size == line.size)
        return size;
    while (at > size / 2 && line.data[at] != ' ')
        at--;
    return line.data[at] == ' ' ? at : size;
}

/* What is behind a row; the blank at which it was broken goes. */
static struct rkb_slice rest_behind(struct rkb_slice line, size_t size)
{
    size += size < line.size && line.data[size] == ' ';
    return rkb_slice(line.data + size, line.size - size);
}

static size_t rows_of(struct rkb_slice line, size_t columns)
{
    size_t rows = 1;
    for (line = rest_behind(line, next_row(line, columns)); line.size > 0; rows++)
        line = rest_behind(line, next_row(line, columns));
    return rows;
}

/* One row; the last one of the screen has no newline, which would scroll. */
static void put(struct screen *screen, struct rkb_slice text)
{
    if (screen->used++ > 0)
        rkb_buffer_text(screen->out, "\n");
    rkb_buffer_add(screen->out, text.data, fitting(text, screen->columns));
    rkb_buffer_text(screen->out, TO_THE_END_OF_LINE);
}

static void put_wrapped(struct screen *screen, struct rkb_slice line)
{
    do {
        size_t size = next_row(line, screen->columns);
        put(screen, rkb_slice(line.data, size));
        line = rest_behind(line, size);
    } while (line.size > 0);
}

/* The first line of the rest, without its newline, which is taken off. */
static struct rkb_slice next_line(struct rkb_slice *rest)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
    struct rkb_slice line = rkb_slice(rest->data, size);
    size_t taken = end == NULL ? size : size + 1;
    *rest = rkb_slice(rest->data + taken, rest->size - taken);
    return line;
}

/* What begins a table: nothing behind the colon. */
static bool is_table(struct rkb_slice line)
{
    return line.size > 0 && line.data[line.size - 1] == ':';
}

/* As many lines as fit into `room` rows; the last row says where the rest is. */
static void draw_status(struct screen *screen, struct rkb_slice status, size_t room)
{
    bool wraps = true;
    size_t end = screen->used + room;
    while (status.size > 0) {
        struct rkb_slice line = next_line(&status);
        wraps = wraps && !is_table(line);
        size_t rows = wraps ? rows_of(line, screen->columns) : 1;
        if (screen->used + rows + (status.size > 0) > end) {
            put(screen, rkb_slice_text("... the rest: rkbctl status"));
            return;
        }
        if (wraps)
            put_wrapped(screen, line);
        else
            put(screen, line);
    }
}

static size_t status_rows(struct rkb_slice status, size_t columns)
{
    size_t rows = 0;
    bool wraps = true;
    while (status.size > 0) {
        struct rkb_slice line = next_line(&status);
        wraps = wraps && !is_table(line);
        rows += wraps ? rows_of(line, columns) : 1;
    }
    return rows;
}

static void draw_events(struct screen *screen, const struct rkb_watch_events *events, size_t count)
{
    put(screen, rkb_slice_text(""));
    put(screen, rkb_slice_text(events->total == 0 ? "last events: none yet" : "last events:"));
    for (size_t i = events->total - count; i < events->total; i++)
        put(screen, rkb_slice_text(events->lines[i % RKB_WATCH_EVENTS]));
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void rkb_watch_draw(struct rkb_slice status, const struct rkb_watch_events *events, const char *notice, size_t rows,
                    size_t columns, struct rkb_buffer *out)
{
    struct screen screen = {.out = out, .rows = rows, .columns = columns < 20 ? 20 : columns};
    size_t kept = least(events->total, RKB_WATCH_EVENTS), head = notice != NULL ? 1 : 0;
    size_t room = rows > head + 2 ? rows - head - 2 : 0;        /* for both */
    size_t wanted = status_rows(status, screen.columns), reserved = least(least(kept, EVENTS_LEAST), room / 2);
    size_t for_status = least(wanted, room - reserved);
    rkb_buffer_text(out, HOME);
    if (notice != NULL)
        put(&screen, rkb_slice_text(notice));
    draw_status(&screen, status, for_status);
    if (room > 0)
        draw_events(&screen, events, least(kept, room - for_status));
    rkb_buffer_text(out, TO_THE_END);
}
