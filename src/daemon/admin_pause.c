/*
 * admin_pause -- pause, resume and intake: what comes waits, goes on, or does not come at all; see admin.h.
 *
 * A pause is answered when it is written down (pauses.h); the end of the intake when all is unsubscribed.
 */
#include "daemon/admin_call.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "daemon/pauses.h"

/* ---- which one ---- */

static const char *kind_word(const struct rkb_pause *pause)
{
    return pause->is_topic ? "topic" : "route";
}

static uint32_t number_of(const struct rkb_admin *admin, bool is_topic, struct rkb_slice name)
{
    if (name.size >= RKB_PAUSE_NAME || memchr(name.data, '(', name.size) != NULL)      /* no route's: (gaps) */
        return 0;
    return rkb_dictionary_number(admin->relay->dictionary, is_topic ? RKB_NAME_TOPIC : RKB_NAME_ROUTE, name);
}

/* Reads `[route|topic] NAME`; RKB_DONE: *pause says which is meant. */
static enum rkb_outcome read_which(const struct rkb_call *call, struct rkb_pause *pause)
{
    bool route = rkb_call_is(call, 0, "route"), topic = rkb_call_is(call, 0, "topic");
    size_t count = call->action->count;
    if (count == 0 || count > 2 || (count == 2 && !route && !topic))
        return RKB_WRONG_WORDS;
    struct rkb_slice name = call->action->words[count - 1];
    uint32_t as_route = count == 2 && topic ? 0 : number_of(call->admin, false, name);
    uint32_t as_topic = count == 2 && route ? 0 : number_of(call->admin, true, name);
    int size = name.size < 80 ? (int)name.size : 80;
    if (as_route == 0 && as_topic == 0)
        return rkb_call_deny(call, "unknown_name", "there is no %s %.*s; routes lists what there is",
                             count == 2 ? route ? "route" : "topic" : "route or topic", size, (const char *)name.data);
    if (as_route != 0 && as_topic != 0)
        return rkb_call_deny(call, "ambiguous", "there is a route %.*s and a topic %.*s: say which, as %s route %.*s",
                             size, (const char *)name.data, size, (const char *)name.data, call->action->word, size,
                             (const char *)name.data);
    *pause = (struct rkb_pause){.is_topic = as_route == 0, .number = as_route != 0 ? as_route : as_topic,
                                .since_us = rkb_sys_posix.realtime_us()};
    memcpy(pause->name, name.data, name.size);
    return RKB_DONE;
}

/* ---- pause, resume ---- */

static void list_all(const struct rkb_call *call)
{
    struct rkb_pause_list list;
    rkb_pauses_list(call->admin->pauses, &list);
    for (size_t i = 0; i < list.count; i++) {
        char since[24];
        rkb_format_time(since, list.list[i].since_us);
        rkb_buffer_format(call->out, "paused: %s %s since %.24s\n", kind_word(&list.list[i]), list.list[i].name, since);
    }
    if (list.count == 0)
        rkb_buffer_text(call->out, "paused: nothing\n");
}

/* The answer comes when this version is kept. */
static enum rkb_outcome wait_for(const struct rkb_call *call, uint64_t version)
{
    struct rkb_admin *admin = call->admin;
    for (size_t i = 0; i < RKB_CONTROL_CLIENTS_MAX; i++) {
        if (admin->waiting[i].ticket != 0)
            continue;
        admin->waiting[i].ticket = call->action->ticket;
        admin->waiting[i].version = version;
        break;
    }
    rkb_shipper_wake(admin->relay->shipper);
    return RKB_LATER;
}

enum rkb_outcome rkb_admin_pause(const struct rkb_call *call)
{
    struct rkb_admin *admin = call->admin;
    struct rkb_pause pause;
    struct rkb_pause_list list;
    if (call->action->count == 0) {
        list_all(call);
        return RKB_DONE;
    }
    enum rkb_outcome read = read_which(call, &pause);
    if (read != RKB_DONE)
        return read;
    rkb_pauses_list(admin->pauses, &list);
    if (rkb_pauses_has(&list, pause.is_topic, pause.number)) {
        rkb_buffer_format(call->out, "%s %s is paused already\n", kind_word(&pause), pause.name);
        return RKB_DONE;
    }
    uint64_t version = rkb_pauses_add(admin->pauses, &pause);
    if (version == 0)
        return rkb_call_deny(call, "too_many", "at most %d routes and topics are paused at a time", RKB_PAUSES_MOST);
    rkb_log(admin->log, RKB_LOG_WARN, "rkbridge", "paused", "%s %s is paused: what comes for it waits in the journal, "
            "over restarts too, until it is resumed", kind_word(&pause), pause.name);
    rkb_buffer_format(call->out, "%s %s is paused: what comes for it waits in the journal, over restarts too, until "
                      "resume %s %s\n", kind_word(&pause), pause.name, kind_word(&pause), pause.name);
    return wait_for(call, version);
}

enum rkb_outcome rkb_admin_resume(const struct rkb_call *call)
{
    struct rkb_admin *admin = call->admin;
    struct rkb_pause pause;
    enum rkb_outcome read = read_which(call, &pause);
    if (read != RKB_DONE)
        return read;
    uint64_t version = rkb_pauses_remove(admin->pauses, pause.is_topic, pause.number);
    if (version == 0) {
        rkb_buffer_format(call->out, "%s %s is not paused\n", kind_word(&pause), pause.name);
        return RKB_DONE;
    }
    rkb_log(admin->log, RKB_LOG_INFO, "rkbridge", "resumed", "%s %s goes on: what waited is shipped", kind_word(&pause),
            pause.name);
    rkb_buffer_format(call->out, "%s %s goes on: what waited is shipped\n", kind_word(&pause), pause.name);
    return wait_for(call, version);
}

void rkb_admin_kept(struct rkb_admin *admin)
{
    struct rkb_error error;
    uint64_t kept;
    bool right = rkb_pauses_kept(admin->pauses, &kept, &error);
    for (size_t i = 0; i < RKB_CONTROL_CLIENTS_MAX; i++) {
        struct rkb_buffer line = {0};
        if (admin->waiting[i].ticket == 0 || admin->waiting[i].version > kept)
            continue;
        if (!right)
            rkb_buffer_format(&line, "warning: until the next start only: %s\n", error.text);
        rkb_control_say(admin->control, admin->waiting[i].ticket, &line);
        rkb_control_finish(admin->control, admin->waiting[i].ticket, NULL, NULL);
        admin->waiting[i].ticket = 0;
    }
}

/* ---- intake ---- */

#define UNSUBSCRIBE_US INT64_C(2000000)

static void on_intake_stopped(void *context)
{
    struct rkb_admin *admin = context;
    struct rkb_buffer line = {0};
    rkb_log(admin->log, RKB_LOG_WARN, "rkbridge", "intake_stopped",
            "unsubscribed because somebody asked for it: what is published from now on is missed, "
            "until rkbctl intake start");
    rkb_buffer_text(&line, "intake: stopped; all is unsubscribed\n");
    rkb_control_say(admin->control, admin->intake_ticket, &line);
    rkb_control_finish(admin->control, admin->intake_ticket, NULL, NULL);
    admin->intake_ticket = 0;
}

static enum rkb_outcome stop_intake(const struct rkb_call *call)
{
    struct rkb_admin *admin = call->admin;
    admin->intake_ticket = call->action->ticket;
    rkb_buffer_text(call->out,
                    "intake: unsubscribing. THIS LOSES MESSAGES: what is published until `intake start` (or the next "
                    "start of rkbridge) is missed; each source has a gap with the reason intake_stopped, open until "
                    "it is subscribed again. To hold records back without loss: pause\n");
    rkb_relay_stop_intake(admin->relay, UNSUBSCRIBE_US, on_intake_stopped, admin);
    return RKB_LATER;
}

enum rkb_outcome rkb_admin_intake(const struct rkb_call *call)
{
    struct rkb_relay *relay = call->admin->relay;
    bool stop = rkb_call_is(call, 0, "stop"), start = rkb_call_is(call, 0, "start");
    if (call->action->count > 1 || (call->action->count == 1 && !stop && !start))
        return RKB_WRONG_WORDS;
    if ((stop || start) && relay->stopping)
        return rkb_call_deny(call, "ending", "rkbridge is ending");
    if ((stop || start) && rkb_relay_intake(relay) == RKB_INTAKE_STOPPING)
        return rkb_call_deny(call, "busy", "the intake is being stopped; ask again in a moment");
    if (stop && rkb_relay_intake(relay) == RKB_INTAKE_RUNS)
        return stop_intake(call);
    if (start && rkb_relay_intake(relay) == RKB_INTAKE_STOPPED) {
        rkb_log(call->admin->log, RKB_LOG_INFO, "rkbridge", "intake_started", "subscribing again, as somebody asked");
        rkb_relay_start_intake(relay);
    }
    rkb_buffer_format(call->out, "intake: %s\n", rkb_relay_intake(relay) == RKB_INTAKE_RUNS ? "runs" : "stopped");
    return RKB_DONE;
}
