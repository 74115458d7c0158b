/*
 * reload -- another config while messages come: SIGHUP, or the control socket's `reload`.
 *
 *     asked --> reading: a thread reads and checks the whole file (reload_read.h)
 *                 | mistakes, or something that needs a restart: said, nothing has changed
 *                 v
 *               prepared: names, limits, memory --no--> said, nothing has changed
 *                 | all that can fail has not
 *                 v
 *               changing: topics, shipper, sources (relay_reload.h), each in its own time --> done: said
 *
 * Who asks while one is under way has asked for another behind it, since the file may have changed meanwhile. All or
 * nothing: a file is taken whole or not at all. The config that the process started with stays, since connections,
 * journal and Kafka go by it; of the others one is kept, and while one is under way two. Loop thread; never waits.
 */
#ifndef RKB_DAEMON_RELOAD_H
#define RKB_DAEMON_RELOAD_H

#include <event2/event.h>

#include "control/socket.h"
#include "daemon/relay.h"
#include "daemon/shipper.h"
#include "daemon/topics.h"
#include "daemon/view.h"

struct rkb_reload;

struct rkb_reload_options {
    const char *file;                   /* the config's */
    bool embedded;                      /* as it was read at the start */
    struct event_base *base;
    struct rkb_relay *relay;
    struct rkb_shipper *shipper;
    const struct rkb_shipper_route *routes;     /* what the shipper was started with, relay->tally_count + 1 of them */
    struct rkb_topics *topics;
    struct rkb_view *view;
    struct rkb_control *control;        /* who asked there hears of it; NULL: nobody does */
    struct rkb_log *log;
    const struct rkb_sys *sys;
    /* Another config is in force; the one before is gone soon. And: a run began, or ended (whatever came of it). */
    void (*taken)(void *context, const struct rkb_config *config);
    void (*runs)(void *context, bool runs);
    void *context;
};

/* All lent. NULL and *error. */
struct rkb_reload *rkb_reload_new(const struct rkb_reload_options *options, struct rkb_error *error);
/* Before relay and shipper. NULL is allowed. */
void rkb_reload_free(struct rkb_reload *reload);
/*
 * ticket: of the control socket, which is finished, later, with what came of it; 0: nobody waits. False: the process is
 * about to end.
 */
bool rkb_reload_ask(struct rkb_reload *reload, uint64_t ticket);
/* The shipper wrote to the loop. */
void rkb_reload_look(struct rkb_reload *reload);
/* Once a second: says what a reload waits for that takes long. */
void rkb_reload_tick(struct rkb_reload *reload);
/* The process is about to end: what is asked for from now on is refused. */
void rkb_reload_stop(struct rkb_reload *reload);
/*
 * What the shipper is to know of the routing's routes, by number; of routes that are gone what `before` says of them.
 */
void rkb_reload_routes(const struct rkb_relay *relay, const struct rkb_routing *routing,
                       struct rkb_shipper_route *routes);

#endif
