/*
 * watch_screen -- what `rkbctl watch` shows on a terminal: the status on top, the last events below, cut to the screen.
 */
#ifndef RKB_TOOL_WATCH_SCREEN_H
#define RKB_TOOL_WATCH_SCREEN_H

#include "base/bytes.h"

#define RKB_WATCH_EVENTS 40
#define RKB_WATCH_EVENT_SIZE 400

/* The last lines, each cut. */
struct rkb_watch_events {
    char lines[RKB_WATCH_EVENTS][RKB_WATCH_EVENT_SIZE];
    size_t total;                       /* all that ever came */
};

void rkb_watch_events_add(struct rkb_watch_events *events, struct rkb_slice line);

/*
 * A whole screen to out: from its upper left corner, nothing left of what was there. status: the lines of `rkbctl
 * status`; notice: a line above it, or NULL. The first lines, up to the first table, are wrapped, others cut.
 */
void rkb_watch_draw(struct rkb_slice status, const struct rkb_watch_events *events, const char *notice, size_t rows,
                    size_t columns, struct rkb_buffer *out);

#endif
