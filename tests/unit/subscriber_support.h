/*
 * subscriber_support -- what the subscriber's tests share: a subscriber, a scripted Redis, one loop, and a log of
 * events.
 *
 * Times only decide how long a test takes, never whether it passes; where time counts (backoff), the clock is turned
 * by hand.
 */
#ifndef RKB_TEST_SUBSCRIBER_SUPPORT_H
#define RKB_TEST_SUBSCRIBER_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake_redis.h"
#include "redis/subscriber.h"

enum { MILLISECOND = 1000, SECOND = 1000000 };

struct test {
    struct event_base *base;
    struct fake_redis *fake;
    struct rkb_subscriber *subscriber;
    struct rkb_subscriber_options options;
    struct rkb_sys sys;
    char path[64];                      /* of the unix socket, "" where there is none */
    struct rkb_buffer log;              /* each event a line */
    const char *free_at, *stop_at, *pause_at;   /* at the event whose line begins so */
    struct rkb_error lost;
    int64_t caught_up_us, retry_us;
    const char *password;
};

/* What the subscriber takes for the monotonic clock. */
extern int64_t monotonic_now;
/* The realtime of every test: the same, but for what it is moved by. */
int64_t realtime(void);
extern int64_t realtime_moved;
/* How long the last byte has been there already when it is read. */
extern int64_t quiet_now;

/* Setup and teardown. */
int start(void **state);
int end(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

/* The address becomes redis://<login><host>:<the fake's port>; login is "" or "user:password@". */
void use_port(struct test *test, const char *login, const char *host);
/* The fake listens somewhere else; the subscriber is not told. */
void listen_anew(struct test *test, const char *path, bool six);
void make(struct test *test);
/* "~name" is a pattern. */
void add(struct test *test, const char *name);
/* Makes and starts one that subscribes to channel users and pattern u*; what its log then says. */
void begin(struct test *test);
/* And waits until it is subscribed. */
void begin_subscribed(struct test *test);
#define SUBSCRIBED "stream\non users\non ~u*\nsubscribed\n"

/* Turns the loop until the log, or what Redis heard, has the text so many times. */
void until(struct test *test, const char *text, int times);
/* Turns the loop for a while: what must not happen had its chance. Returns how many turns that took. */
int pass(struct test *test, int milliseconds);

const char *log_text(struct test *test);
void assert_log(struct test *test, const char *wanted);
void forget_log(struct test *test);
bool begins(const char *line, const char *with);
struct rkb_subscriber_figures figures(const struct test *test);
/* May be the password of rkb_subscriber_options: test->password, or a failure where that is NULL. */
bool give_password(void *context, char *out, size_t size, struct rkb_error *error);

#endif
