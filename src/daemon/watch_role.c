/*
 * watch_role -- what a watch does about Redis's role: a stream is one connection to one node in one role.
 *
 *     unknown --INFO replication--> master ------another role------> the stream ends: gap `role_changed`,
 *                                   replica, linked --another role->   a new one begins
 *                                      |  ^
 *                             link down|  |link up      the connection stays, since what is published at the replica
 *                                      v  |             itself still comes; gap `replica_link_down` meanwhile
 *                                   replica, not linked
 *
 * Promise: a gap begins where all was well for the last time: at the moment the last good answer was asked for, and
 * with a replica when it had last heard its master. Never: takes one answer for another stream's. What happens and is
 * over between two answers is seen where the replication history tells it (replication.h).
 */
#include "daemon/watch_state.h"

#include <stdio.h>

#define LINK_DOWN "replica_link_down"
#define CHANGED "role_changed"

static struct rkb_log *log_of(const struct rkb_watch *watch)
{
    return rkb_watch_log(watch);
}

static int64_t now_us(const struct rkb_watch *watch)
{
    return rkb_watch_sys(watch)->realtime_us();
}

/* One at a time: each answer is to be known by the time of its question. */
void rkb_watch_ask_role(struct rkb_watch *watch)
{
    struct rkb_watch_role *role = &watch->role;
    if (watch->refused[RKB_ASK_ROLE] || !rkb_watcher_ready(watch->watcher))
        return;
    role->again = role->asking;
    if (role->asking)
        return;
    role->asking = true;
    role->stale = false;
    role->asked_us = now_us(watch);
    rkb_replication_begin(&role->coming);
    rkb_watcher_ask(watch->watcher, RKB_ASK_ROLE, NULL);
}

void rkb_watch_role_streaming(struct rkb_watch *watch)
{
    watch->role.stale = watch->role.asking;
    watch->role.is_new = true;
    rkb_watch_ask_role(watch);
}

void rkb_watch_role_lost(struct rkb_watch *watch)
{
    watch->role.asking = watch->role.again = false;
    watch->role.known = false;
}

static int64_t good_since(const struct rkb_watch *watch)
{
    const struct rkb_watch_role *role = &watch->role;
    return role->good_us != 0 ? role->good_us : watch->source->stream_us;
}

/* ---- a replica's link to its master ---- */

static void link_is_down(struct rkb_watch *watch, const char *what)
{
    struct rkb_relay_source *source = watch->source;
    char text[RKB_ROLE_TEXT];
    if (source->unlinked)
        return;
    source->unlinked = true;
    rkb_replication_describe(&watch->role.coming, text);
    rkb_log(log_of(watch), RKB_LOG_WARN, source->object, LINK_DOWN, "this Redis is %s and %s", text, what);
    rkb_relay_open_gap(source, LINK_DOWN, good_since(watch));
    rkb_shipper_wake(source->relay->shipper);
}

/* Also where the gap was opened on an earlier stream. */
static void link_is_up(struct rkb_watch *watch)
{
    struct rkb_relay_source *source = watch->source;
    struct rkb_gap *gap = rkb_gaps_find_open(source->relay->gaps, source->config->name, LINK_DOWN);
    char text[RKB_ROLE_TEXT];
    if (gap != NULL && gap != source->away)
        rkb_gaps_close(source->relay->gaps, gap, now_us(watch));
    if (!source->unlinked)
        return;
    source->unlinked = false;
    rkb_replication_describe(&watch->role.coming, text);
    rkb_log(log_of(watch), RKB_LOG_INFO, source->object, "replica_link_up", "this Redis is %s and hears all again%s",
            text, watch->role.coming.role == RKB_ROLE_MASTER ? "" : ": the link to its master is up");
    rkb_shipper_wake(source->relay->shipper);
}

static void follow_link(struct rkb_watch *watch, bool was_broken)
{
    const struct rkb_replication *now = &watch->role.coming;
    bool is_down = now->role == RKB_ROLE_REPLICA && !now->linked;
    if (is_down)
        link_is_down(watch, "its link to it is down: what is published there does not come; mend the link, or give "
                            "this source the master's address");
    else if (was_broken)
        link_is_down(watch, "its link to its master was broken since it was looked at last, or that was another one: "
                            "messages may be missing");
    if (!is_down)
        link_is_up(watch);
}

/* ---- another role ---- */

static void say_changed(const struct rkb_watch *watch)
{
    const struct rkb_watch_role *role = &watch->role;
    char before[RKB_ROLE_TEXT], text[RKB_ROLE_TEXT];
    rkb_replication_describe(&role->base, before);
    rkb_replication_describe(&role->coming, text);
    const char *hint = role->coming.role == RKB_ROLE_REPLICA
                           ? "what is published at its master comes while their link stands; to follow the master, "
                             "give this source an address that does"
                           : "what its master did not send it any more is missing";
    if (role->base.role == role->coming.role)
        snprintf(before, sizeof before, "a replica for a while");
    rkb_log(log_of(watch), RKB_LOG_WARN, watch->source->object, CHANGED, "this Redis was %s and is %s now: %s", before,
            text, hint);
}

/* The stream ends here, and its gap begins where all was well. */
static void end_stream(struct rkb_watch *watch)
{
    struct rkb_error error;
    char text[RKB_ROLE_TEXT];
    say_changed(watch);
    rkb_replication_describe(&watch->role.coming, text);
    rkb_fail(&error, RKB_PROTOCOL, "given up, because Redis changed its role: it is %s now", text);
    watch->role.ended_us = good_since(watch);
    watch->role.base = watch->role.coming;
    rkb_subscriber_renew(watch->source->subscriber, &error);
    watch->role.ended_us = 0;
}

/* The stream before this one ended by itself, and at some time before that end the role had changed. */
static void changed_before(struct rkb_watch *watch)
{
    struct rkb_relay_source *source = watch->source;
    say_changed(watch);
    struct rkb_gap *gap = rkb_relay_open_gap(source, CHANGED, good_since(watch));
    if (gap != NULL && gap != source->away)
        rkb_gaps_close(source->relay->gaps, gap, now_us(watch));
}

bool rkb_watch_role_ended(const struct rkb_watch *watch, int64_t *from_us)
{
    if (watch->role.ended_us == 0)
        return false;
    if (watch->role.ended_us < *from_us)
        *from_us = watch->role.ended_us;
    return true;
}

/* ---- an answer ---- */

static void note_good(struct rkb_watch_role *role)
{
    const struct rkb_replication *now = &role->coming;
    int64_t good_us = role->asked_us;
    if (now->role == RKB_ROLE_REPLICA && !now->linked)
        return;
    if (now->role == RKB_ROLE_REPLICA && now->silent_seconds >= 0)
        good_us -= (now->silent_seconds + 1) * 1000000;         /* Redis counts whole seconds */
    if (good_us > role->good_us || role->good_us > role->asked_us)      /* the clock went back */
        role->good_us = good_us;
}

static void conclude(struct rkb_watch *watch)
{
    struct rkb_watch_role *role = &watch->role;
    const struct rkb_replication *now = &role->coming;
    enum rkb_role_news news = rkb_replication_news(&role->base, now);
    bool another = news == RKB_ROLE_CHANGED || news == RKB_ROLE_WAS_ANOTHER;
    if (!role->is_new && another) {
        end_stream(watch);
        return;
    }
    if (role->is_new && news == RKB_ROLE_CHANGED)
        changed_before(watch);
    follow_link(watch, news == RKB_ROLE_REFILLED);
    role->is_new = false;
    role->base = *now;
    note_good(role);
}

void rkb_watch_role_answered(struct rkb_watch *watch)
{
    struct rkb_watch_role *role = &watch->role;
    role->asking = false;
    role->known = !watch->refused[RKB_ASK_ROLE] && role->coming.role != RKB_ROLE_UNKNOWN;
    if (role->known)
        role->now = role->coming;
    if (role->known && !role->stale && watch->source->streaming && watch->standing == FREE && !watch->stopping)
        conclude(watch);
    if (role->again)
        rkb_watch_ask_role(watch);
}
