/*
 * service -- what a service manager is told: systemd's protocol of NOTIFY_SOCKET (sd_notify(3)), and its watchdog.
 *
 *     STATUS= reading the journal ... --> READY=1 --> RELOADING=1 --> READY=1 ... --> STOPPING=1
 *                                            STATUS= the verdict; WATCHDOG=1: the loop turned
 *
 * Each is a datagram of a few bytes, sent from here and not by libsystemd: its sd_notify() waits while the manager does
 * not read, and the loop never waits. What cannot be sent now is sent at the next tick, as what is true then.
 *
 * READY comes when every subscription stands, or READY_AT_LATEST after the loop began: a Redis that is down is waited
 * for by us, not by whoever starts us. WATCHDOG comes from a timer of the loop at half the manager's period, so it says
 * that the loop turned and no more: a disk that stands still, or a long drain, is no reason for a kill.
 *
 * NULL for a service is allowed everywhere: nobody listens. Loop thread.
 */
#ifndef RKB_DAEMON_SERVICE_H
#define RKB_DAEMON_SERVICE_H

#include <event2/event.h>

#include "base/log.h"
#include "control/stats.h"

struct rkb_service;

struct rkb_service_options {
    const char *socket;                 /* "/run/systemd/notify", "@abstract"; NULL or "": nobody listens */
    int64_t watchdog_us;                /* the manager's period; 0: none */
    struct rkb_log *log;
    const struct rkb_sys *sys;
};

/* Socket and period from the environment: NOTIFY_SOCKET; WATCHDOG_USEC, where WATCHDOG_PID is ours or not set. */
void rkb_service_environment(struct rkb_service_options *options);
/* Says that it starts. NULL: nobody listens, or (event=unheard) it cannot be spoken to. */
struct rkb_service *rkb_service_new(struct event_base *base, const struct rkb_service_options *options);
/* The loop is about to turn: from now on the watchdog hears of it, and each tick tells what the snapshot says. */
void rkb_service_watch(struct rkb_service *service, const struct rkb_snapshot *(*snapshot)(void *context),
                       void *context);
/* Once a second, after rkb_service_watch. */
void rkb_service_tick(struct rkb_service *service);
/* A reload begins; and is over, whatever came of it. */
void rkb_service_reloading(struct rkb_service *service);
void rkb_service_reloaded(struct rkb_service *service);
/* The end has begun and takes at most so long: the manager is asked not to kill before. */
void rkb_service_stopping(struct rkb_service *service, int64_t within_us);
void rkb_service_free(struct rkb_service *service);

#endif
