/* view_state -- the inside of a view, for view.c (what the loop knows) and view_shipped.c (what the shipper knows). */
#ifndef RKB_DAEMON_VIEW_STATE_H
#define RKB_DAEMON_VIEW_STATE_H

#include "control/verdict.h"
#include "daemon/refused.h"
#include "daemon/view.h"

#define TEXT_SIZE 320
#define REFUSED_SHOWN 20

/* Which routes have metrics of their own. Kept for good, so that the sum of the others never goes down. */
enum metrics_place { NO_PLACE, OWN_PLACE, OTHERS_PLACE };

struct source_text {
    char url[TEXT_SIZE], error[TEXT_SIZE], master[160];
};

struct rkb_view {
    struct rkb_view_options options;
    struct rkb_snapshot snapshot;
    struct rkb_route_snapshot *routes;
    enum metrics_place *places, *places_after;  /* by the route's number; after: for the next time */
    size_t route_room, place_room;
    struct rkb_source_snapshot *sources;
    struct source_text *source_texts;
    struct rkb_refused_text refused_texts[REFUSED_SHOWN];
    struct rkb_refused_snapshot refused[REFUSED_SHOWN];
    struct rkb_pause_list pauses;
    struct rkb_pause_snapshot paused[RKB_PAUSES_MOST];
    struct rkb_gap_snapshot *gaps;
    size_t gap_room;
    int64_t started_us;
    double start_seconds;               /* realtime */
    double growth;                      /* bytes per second that the journal grows, smoothed */
    uint64_t last_waiting;
    bool draining;
    char refused_config[256];           /* why the last reload was refused; "": it was not */
    struct rkb_error pauses_unread;
    char missing_topics[TEXT_SIZE];
    struct rkb_verdict_memory memory;
    struct rkb_judgement verdict;
};

/* How long ago that was; 0: it never was. */
static inline double rkb_view_age(const struct rkb_view *view, int64_t read_us)
{
    int64_t age_us = read_us > 0 ? view->options.sys->realtime_us() - read_us : 0;
    return age_us > 0 ? (double)age_us / 1e6 : 0;
}

/* Journal, Kafka, histograms and process; after the routes, whose totals it reads. */
void rkb_view_fill_shipped(struct rkb_view *view, const struct rkb_shipped *shipped);
/* Once a second: how fast grows what waits? */
void rkb_view_grow(struct rkb_view *view);

#endif
