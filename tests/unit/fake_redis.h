/*
 * fake_redis -- a Redis for one client at a time that does what a test scripts: on the test's own event loop, on a
 * loopback port or a unix socket of its own.
 *
 * It keeps what it was told ("AUTH bridge secret", "SUBSCRIBE a b", ...) and answers as Redis 7 would, but for its
 * rules.
 */
#ifndef RKB_TESTS_FAKE_REDIS_H
#define RKB_TESTS_FAKE_REDIS_H

#include <event2/event.h>
#include <stdbool.h>

/* The whole command, and what is said to it; reply NULL: nothing. */
struct fake_script {
    const char *command, *reply;
};

/* A test changes these at any time. Texts are lent; NULL: as Redis does. */
struct fake_rules {
    const char *user, *password;        /* AUTH wants these */
    const char *greeting;               /* sent at once to whoever connects */
    const char *auth_reply, *setname_reply, *subscribe_reply, *ping_reply, *unsubscribe_reply;
    const char *publish_reply;          /* to PUBLISH; NULL: one got it; "": no answer */
    const char *before_unsubscribe;     /* sent when UNSUBSCRIBE comes, ahead of its confirmations */
    const struct fake_script *scripts;  /* to these commands, as they stand; ends with a command that is NULL */
    const char *refused;                /* names the ACL refuses, a blank on both sides of each; "~" before a pattern */
    const char *refused_command;        /* a command that it refuses */
    int confirmations;                  /* how many confirmations at most; -1: all */
    bool reversed;                      /* confirms the names of a command last first */
    bool mute;                          /* answers nothing at all */
    bool mute_pings;
    bool one_byte;                      /* each byte in a turn of the loop of its own */
    const char *cut_at;                 /* closes when this command comes ("CONNECT": at once) ... */
    int cuts;                           /* ... so many times */
};

struct fake_redis;

/* path NULL: a free port of 127.0.0.1, or of ::1. Ends the test where it cannot. */
struct fake_redis *fake_redis_new(struct event_base *base, const char *path, bool six);
void fake_redis_free(struct fake_redis *fake);
int fake_redis_port(const struct fake_redis *fake);
struct fake_rules *fake_redis_rules(struct fake_redis *fake);
/* The commands so far, each with a newline behind it. */
const char *fake_redis_heard(struct fake_redis *fake);
void fake_redis_say(struct fake_redis *fake, const char *bytes);
/* As a message to that channel, or to that pattern too. */
void fake_redis_publish(struct fake_redis *fake, const char *pattern, const char *channel, const char *payload);
/* Closes the client's connection. */
void fake_redis_cut(struct fake_redis *fake);

#endif
