/*
 * view -- fills the snapshot that control shows: the loop's figures now, and the shipper's newest.
 *
 * The shipper's figures are read first and the loop's after, and each message is counted by the loop before the
 * shipper sees it: so the books balance in every snapshot. Loop thread.
 */
#ifndef RKB_DAEMON_VIEW_H
#define RKB_DAEMON_VIEW_H

#include "control/stats.h"
#include "daemon/ending.h"
#include "daemon/relay.h"
#include "daemon/shipper.h"
#include "daemon/topics.h"

struct rkb_view;

struct rkb_view_options {
    const struct rkb_config *config;
    struct rkb_relay *relay;
    struct rkb_shipper *shipper;
    const struct rkb_topics *topics;
    struct rkb_gaps *gaps;
    struct rkb_pauses *pauses;          /* NULL: nothing ever rests */
    const struct rkb_ending *ending;    /* NULL: it never ends */
    struct rkb_ring *ring;
    struct rkb_log *log;
    const char *bootstrap_servers;
    const struct rkb_sys *sys;
};

/* NULL when memory ran out. The names it shows are lent from the options. */
struct rkb_view *rkb_view_new(const struct rkb_view_options *options);
void rkb_view_free(struct rkb_view *view);
/* Room for a config of so many routes, and all that the relay has books of. False: no memory, nothing has changed. */
bool rkb_view_widen(struct rkb_view *view, size_t routes) RKB_MUST_CHECK;
/* The relay goes by another config, for which there is room. */
void rkb_view_reload(struct rkb_view *view);
/* What became of a reload: NULL, what the file says runs; else why it was refused (copied). */
void rkb_view_reloaded(struct rkb_view *view, const char *refused);
/* Once a second: how fast the journal fills, and how it is; where that has changed, the log says so. */
void rkb_view_tick(struct rkb_view *view);
/* What is said from now on: we are on our way out. */
void rkb_view_draining(struct rkb_view *view);
/* context: the view. Valid until the next call. */
const struct rkb_snapshot *rkb_view_snapshot(void *context);

#endif
