/*
 * check_subscribe -- tries whether a source's Redis lets us subscribe, by subscribing, on a connection of its own.
 *
 *     login --> PING, UNSUBSCRIBE, PUNSUBSCRIBE --> for each name SUBSCRIBE and UNSUBSCRIBE, in one write --> done
 *                                                   (a hundred names at a time)
 *
 * Redis runs commands that come together one after the other, without anybody else's between: so as a rule not one
 * message is sent to us. Each command is O(1) for Redis. Where the ACL refuses UNSUBSCRIBE what is published until we
 * close, some milliseconds, comes and is thrown away. Loop thread.
 */
#ifndef RKB_TOOL_CHECK_SUBSCRIBE_H
#define RKB_TOOL_CHECK_SUBSCRIBE_H

#include <event2/event.h>

#include "base/sys.h"
#include "redis/refusal.h"
#include "redis/tls.h"
#include "redis/url.h"

#define RKB_TRIAL_WORDS 200

struct rkb_trial_name {
    bool is_pattern;
    struct rkb_slice name;              /* lent */
    bool tried, refused;
    enum rkb_lack lack;                 /* where refused ... */
    char words[RKB_TRIAL_WORDS];        /* ... in Redis's words, fit for a terminal */
};

/* All lent for the trial's life. */
struct rkb_trial_options {
    const struct rkb_redis_url *url;
    struct rkb_tls_options tls;
    const char *user;                   /* as struct rkb_subscriber_options has them */
    bool (*password)(void *context, char *out, size_t size, struct rkb_error *error);
    void *password_context;
    const char *client_name;
    int64_t deadline_us;                /* for connecting, for the login, and for each hundred names */
    const struct rkb_sys *sys;
    struct rkb_trial_name *names;
    size_t count;
};

struct rkb_trial_found {
    bool logged_in;
    bool no_ping, no_unsubscribe, no_punsubscribe;      /* what Redis refuses besides */
    uint64_t messages;                  /* that came all the same */
    struct rkb_error ended;             /* RKB_OK: all was tried; else why not */
};

struct rkb_trial;
/* done is called once, from the loop, after start; found is lent. NULL when memory ran out. */
struct rkb_trial *rkb_trial_new(struct event_base *base, const struct rkb_trial_options *options,
                                void (*done)(void *context, const struct rkb_trial_found *found), void *context);
void rkb_trial_start(struct rkb_trial *trial);
/* Safe inside done. NULL is allowed. */
void rkb_trial_free(struct rkb_trial *trial);

#endif
