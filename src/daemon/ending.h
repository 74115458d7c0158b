/*
 * ending -- how rkbridge ends when it is asked to: the order of the steps, and the time each may take.
 *
 *     asked --> lingering --------> unsubscribing --> draining ------> left
 *               linger, or until    |                                  ^
 *               asked again         +-- shutdown_timeout, or asked again
 *
 * While it lingers everything goes on as before: the app beside it, which was asked to end at the
 * same moment, may still publish. shutdown_timeout begins when the linger is over, so the whole
 * takes at most the sum of both. Loop thread.
 */
#ifndef RKB_DAEMON_ENDING_H
#define RKB_DAEMON_ENDING_H

#include <event2/event.h>

#include "base/log.h"
#include "base/sys.h"

struct rkb_ending;

struct rkb_ending_options {
    struct rkb_log *log;
    const struct rkb_sys *sys;
    int64_t linger_us, timeout_us;
    /* The first word of it: the end has begun, and is over within so long. */
    void (*begun)(void *context, int64_t within_us);
    /* Nothing more is to be taken; rkb_ending_unsubscribed() follows within so long. */
    void (*unsubscribe)(void *context, int64_t within_us);
    /* What waits is to be shipped; rkb_ending_drained() follows, where it is done in time. */
    void (*drain)(void *context);
    void (*leave)(void *context);
    void *context;
};

/* NULL when memory ran out. */
struct rkb_ending *rkb_ending_new(struct event_base *base, const struct rkb_ending_options *options);
/* Other times, for what has not begun yet. */
void rkb_ending_times(struct rkb_ending *ending, int64_t linger_us, int64_t timeout_us);
/* Asked to end, by a signal or a person: "SIGTERM". Asked again it goes on to the next step at once. */
void rkb_ending_ask(struct rkb_ending *ending, const char *by);
bool rkb_ending_begun(const struct rkb_ending *ending);
bool rkb_ending_lingers(const struct rkb_ending *ending);
/* So long at the most it still lingers, or then unsubscribes and drains; 0: it does neither. */
int64_t rkb_ending_left_us(const struct rkb_ending *ending);
void rkb_ending_unsubscribed(struct rkb_ending *ending);
/* Nothing waits any more: counts only while it drains. */
void rkb_ending_drained(struct rkb_ending *ending);
/* NULL is allowed. */
void rkb_ending_free(struct rkb_ending *ending);

#endif
