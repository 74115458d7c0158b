/* ending -- see ending.h. */
#include "daemon/ending.h"

#include <stdlib.h>

#include "base/units.h"

#define UNSUBSCRIBE_US 2000000      /* of shutdown_timeout, at the most */

enum step { RUNNING, LINGERING, UNSUBSCRIBING, DRAINING, LEFT };

struct rkb_ending {
    struct rkb_ending_options options;
    enum step step;
    struct event *timer;            /* of the linger, then of shutdown_timeout */
    int64_t due_us;                 /* monotonic: when that is over */
};

static void start_timer(struct rkb_ending *ending, int64_t us)
{
    struct timeval wait = {us / 1000000, us % 1000000};
    ending->due_us = ending->options.sys->monotonic_us() + us;
    event_add(ending->timer, &wait);
}

static void leave(struct rkb_ending *ending)
{
    ending->step = LEFT;
    event_del(ending->timer);
    ending->options.leave(ending->options.context);
}

static void unsubscribe(struct rkb_ending *ending)
{
    int64_t limit = ending->options.timeout_us;
    ending->step = UNSUBSCRIBING;
    start_timer(ending, limit);
    ending->options.unsubscribe(ending->options.context, limit < UNSUBSCRIBE_US ? limit : UNSUBSCRIBE_US);
}

static void begin(struct rkb_ending *ending, const char *by)
{
    const struct rkb_ending_options *options = &ending->options;
    char linger[32];
    rkb_format_duration(linger, sizeof linger, options->linger_us);
    if (options->linger_us > 0)
        rkb_log(options->log, RKB_LOG_INFO, "rkbridge", "stopping",
                "asked to end by %s; taking messages for %s more (linger)", by, linger);
    else
        rkb_log(options->log, RKB_LOG_INFO, "rkbridge", "stopping", "asked to end by %s", by);
    options->begun(options->context, options->linger_us + options->timeout_us);
    if (options->linger_us == 0) {
        unsubscribe(ending);
        return;
    }
    ending->step = LINGERING;
    start_timer(ending, options->linger_us);
}

static void on_timer(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    struct rkb_ending *ending = context;
    if (ending->step == LINGERING)
        unsubscribe(ending);
    else
        leave(ending);
}

void rkb_ending_ask(struct rkb_ending *ending, const char *by)
{
    struct rkb_log *log = ending->options.log;
    switch (ending->step) {
    case RUNNING:
        begin(ending, by);
        break;
    case LINGERING:
        rkb_log(log, RKB_LOG_INFO, "rkbridge", NULL, "asked again to end: not lingering any more");
        unsubscribe(ending);
        break;
    case UNSUBSCRIBING:
    case DRAINING:
        rkb_log(log, RKB_LOG_WARN, "rkbridge", "left_at_once", "asked again to end: leaving at once");
        leave(ending);
        break;
    case LEFT:
        break;
    }
}

void rkb_ending_times(struct rkb_ending *ending, int64_t linger_us, int64_t timeout_us)
{
    ending->options.linger_us = linger_us;
    ending->options.timeout_us = timeout_us;
}

bool rkb_ending_begun(const struct rkb_ending *ending)
{
    return ending->step != RUNNING;
}

bool rkb_ending_lingers(const struct rkb_ending *ending)
{
    return ending->step == LINGERING;
}

int64_t rkb_ending_left_us(const struct rkb_ending *ending)
{
    int64_t left_us = ending->due_us - ending->options.sys->monotonic_us();
    return ending->step == RUNNING || ending->step == LEFT || left_us < 0 ? 0 : left_us;
}

void rkb_ending_unsubscribed(struct rkb_ending *ending)
{
    if (ending->step != UNSUBSCRIBING)
        return;
    rkb_log(ending->options.log, RKB_LOG_INFO, "rkbridge", NULL, "unsubscribed; shipping what waits");
    ending->step = DRAINING;
    ending->options.drain(ending->options.context);
}

void rkb_ending_drained(struct rkb_ending *ending)
{
    if (ending->step == DRAINING)
        leave(ending);
}

struct rkb_ending *rkb_ending_new(struct event_base *base, const struct rkb_ending_options *options)
{
    struct rkb_ending *ending = calloc(1, sizeof *ending);
    if (ending == NULL)
        return NULL;
    ending->options = *options;
    ending->timer = evtimer_new(base, on_timer, ending);
    if (ending->timer == NULL) {
        free(ending);
        return NULL;
    }
    return ending;
}

void rkb_ending_free(struct rkb_ending *ending)
{
    if (ending == NULL)
        return;
    event_free(ending->timer);
    free(ending);
}
