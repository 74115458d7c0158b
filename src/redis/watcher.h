/*
 * watcher -- a second connection to a source's Redis that asks what the subscribed one cannot.
 *
 *     waiting --timer--> connecting --> greeting --> ready --rkb_watcher_ask--> asking --answered--> ready
 *        ^                   |             |           |                          |
 *        +----- backoff -----+-------------+---- lost -+--------------------------+
 *
 * Promise: each question is answered once, in the order of asking: with what Redis said, with a refusal (an ACL, an
 * older Redis), or by `lost`, which answers all that are open. Tries again for ever. Memory does not grow with an
 * answer. Never: decides anything, blocks, asks by itself. Loop thread.
 */
#ifndef RKB_REDIS_WATCHER_H
#define RKB_REDIS_WATCHER_H

#include <event2/event.h>

#include "base/sys.h"
#include "redis/client_list.h"
#include "redis/subscriber.h"
#include "redis/tls.h"
#include "redis/url.h"

/* Each is one command; what it costs Redis, with N clients connected. */
enum rkb_question {
    RKB_ASK_NAME,               /* CLIENT SETNAME, with the name as it is now; O(1) */
    RKB_ASK_LIMITS,             /* CONFIG GET client-output-buffer-limit; O(number of settings) */
    RKB_ASK_DIRECTORY,          /* CONFIG GET dir; likewise */
    RKB_ASK_CUTS,               /* INFO stats; O(1) */
    RKB_ASK_ROLE,               /* INFO replication; O(replicas), a line for each */
    RKB_ASK_SERVER,             /* INFO server; O(1) */
    RKB_ASK_HISTORY,            /* INFO replication */
    RKB_ASK_COUNTERS,           /* INFO stats */
    RKB_ASK_MODULES,            /* INFO modules; O(modules) */
    RKB_ASK_EVENTS,             /* CONFIG GET notify-keyspace-events; O(settings) */
    RKB_ASK_COMMANDS,           /* INFO commandstats; O(commands that were ever used there) */
    RKB_ASK_CHANNELS,           /* PUBSUB CHANNELS; O(number of channels somebody is subscribed to by their names) */
    RKB_ASK_LISTENERS,          /* PUBSUB NUMSUB; O(number of channels asked for) */
    RKB_ASK_PUBLISH,            /* PUBLISH; O(subscribers of the channel + patterns anybody is subscribed to) */
    RKB_ASK_OURS,               /* CLIENT LIST ID, of one or two; O(1) */
    RKB_ASK_SELF,               /* the same */
    RKB_ASK_OTHERS,             /* the same */
    RKB_ASK_SUBSCRIBED,         /* CLIENT LIST TYPE pubsub; O(N), a line for each that is subscribed */
    RKB_ASK_NORMAL,             /* CLIENT LIST TYPE normal; O(N), a line for each that is not */
    RKB_QUESTIONS
};
/* "CLIENT LIST TYPE pubsub" */
const char *rkb_question_text(enum rkb_question question);
/* The right to it, as ACL SETUSER takes it: "client|list". */
const char *rkb_question_right(enum rkb_question question);

struct rkb_watcher;

/* All lent for the watcher's life. */
struct rkb_watcher_options {
    const struct rkb_redis_url *url;
    struct rkb_tls_options tls;         /* as struct rkb_subscriber_options has it */
    const char *user;                   /* as struct rkb_subscriber_options has them */
    bool (*password)(void *context, char *out, size_t size, struct rkb_error *error);
    int64_t deadline_us;                /* for connecting, for greeting, and for what was asked together */
    int64_t backoff_min_us, backoff_max_us;
    const struct rkb_sys *sys;
};

struct rkb_watcher_events {
    void (*ready)(void *context, uint64_t id);          /* logged in; its number in CLIENT LIST, 0 where refused */
    /* A line of a list of clients, and any other: the name or the value of a setting, a field of INFO. Lent. */
    void (*client)(void *context, enum rkb_question question, const struct rkb_client *client);
    void (*line)(void *context, enum rkb_question question, struct rkb_slice line);
    /* An integer, alone or in a list; NULL: nothing is asked that has any. */
    void (*number)(void *context, enum rkb_question question, long long integer);
    /* refused: NULL, or what Redis said instead. */
    void (*answered)(void *context, enum rkb_question question, const struct rkb_error *refused);
    void (*lost)(void *context, const struct rkb_error *error);
};

/* NULL when memory ran out. Nothing happens before start. */
struct rkb_watcher *rkb_watcher_new(struct event_base *base, const struct rkb_watcher_options *options,
                                    const struct rkb_watcher_events *events, void *context);
/* Its name from the next connection, or the next RKB_ASK_NAME, on. Copied. */
void rkb_watcher_rename(struct rkb_watcher *watcher, const char *name);
void rkb_watcher_start(struct rkb_watcher *watcher);
/* ids: for the questions by number, one or two that are not 0. Does nothing unless ready. */
void rkb_watcher_ask(struct rkb_watcher *watcher, enum rkb_question question, const uint64_t ids[2]);
/* The same with names behind the command: at most RKB_WATCHER_NAMES. */
#define RKB_WATCHER_NAMES 100
void rkb_watcher_ask_names(struct rkb_watcher *watcher, enum rkb_question question, const struct rkb_slice *names,
                           int count);
/* Somebody else just reached that Redis: no more waiting before the next attempt. */
void rkb_watcher_hurry(struct rkb_watcher *watcher);
bool rkb_watcher_ready(const struct rkb_watcher *watcher);
/* Something that was asked is not answered yet; a PUBLISH does not count. */
bool rkb_watcher_busy(const struct rkb_watcher *watcher);
/* Connected to the same address as that subscriber. */
bool rkb_watcher_beside(const struct rkb_watcher *watcher, const struct rkb_subscriber *subscriber);
/* Connected to this very machine, as far as addresses tell. */
bool rkb_watcher_is_local(const struct rkb_watcher *watcher);
/* Safe inside an event. */
void rkb_watcher_free(struct rkb_watcher *watcher);

#endif
