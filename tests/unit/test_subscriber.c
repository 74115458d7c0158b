/*
 * The subscriber against a scripted Redis on the same loop: what it says to Redis, what it hands on and in which order, and
 * how it comes back from whatever breaks. Times here only decide how long a test takes, never whether it passes.
 */
#include <netdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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
    int64_t last_read_us, retry_us;
    const char *password;
};

/* The clock is turned by hand, and chance is none: jitter is in the middle. */
static int64_t monotonic_now;

static int64_t monotonic(void)
{
    return monotonic_now;
}

static int64_t realtime(void)
{
    return 1700000000 * (int64_t)SECOND;
}

static int no_chance(void *data, size_t size)
{
    memset(data, 0x7f, size);
    return 0;
}

static const char *log_text(struct test *test)
{
    uint8_t *end = rkb_buffer_reserve(&test->log, 1);
    assert_non_null(end);
    *end = '\0';
    return (const char *)test->log.data;
}

static bool begins(const char *line, const char *with)
{
    return with != NULL && strncmp(line, with, strlen(with)) == 0;
}

/* Writes the line down, and does what the test wants done inside this callback. */
static void happened(struct test *test, const char *line)
{
    rkb_buffer_format(&test->log, "%s\n", line);
    if (begins(line, test->pause_at)) {
        test->pause_at = NULL;
        rkb_subscriber_pause(test->subscriber, true);
    }
    if (begins(line, test->stop_at)) {
        test->stop_at = NULL;
        rkb_subscriber_stop(test->subscriber, 5 * SECOND);
        rkb_buffer_text(&test->log, "(stop)\n");
    }
    if (begins(line, test->free_at)) {
        test->free_at = NULL;
        rkb_subscriber_free(test->subscriber);
        test->subscriber = NULL;
        rkb_buffer_text(&test->log, "(freed)\n");
    }
}

static void on_stream(void *context, int64_t time_us)
{
    assert_int_equal(time_us, realtime());
    happened(context, "stream");
}

static void on_confirmed(void *context, bool is_pattern, struct rkb_slice name, bool on)
{
    char line[256];
    snprintf(line, sizeof line, "%s %s%.*s", on ? "on" : "off", is_pattern ? "~" : "", (int)name.size, (const char *)name.data);
    happened(context, line);
}

static void on_subscribed(void *context, int64_t time_us)
{
    assert_int_equal(time_us, realtime());
    happened(context, "subscribed");
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    char line[256];
    assert_int_equal(time_us, realtime());
    assert_true(is_pattern || pattern.size == 0);
    snprintf(line, sizeof line, "message %s%.*s%s%.*s %.*s", is_pattern ? "~" : "", (int)pattern.size, (const char *)pattern.data,
             is_pattern ? " " : "", (int)channel.size, (const char *)channel.data, (int)payload.size, (const char *)payload.data);
    happened(context, line);
}

static void on_batch(void *context)
{
    happened(context, "batch");
}

static void on_lost(void *context, const struct rkb_error *error, bool was_stream, int64_t last_read_us, int64_t retry_us)
{
    struct test *test = context;
    test->lost = *error;
    test->last_read_us = last_read_us;
    test->retry_us = retry_us;
    happened(test, was_stream ? "lost stream" : "lost");
}

static void on_stopped(void *context)
{
    happened(context, "stopped");
}

static bool give_password(void *context, char *out, size_t size, struct rkb_error *error)
{
    const struct test *test = context;
    if (test->password == NULL)
        return rkb_fail(error, RKB_SYSTEM, "the password file cannot be read");
    snprintf(out, size, "%s", test->password);
    return true;
}

static const struct rkb_subscriber_events recording = {
    on_stream, on_confirmed, on_subscribed, on_message, on_batch, on_lost, on_stopped,
};

static void use_port(struct test *test, const char *login, const char *host)
{
    char url[256];
    struct rkb_error error;
    snprintf(url, sizeof url, "redis://%s%s:%d", login, host, fake_redis_port(test->fake));
    assert_true(rkb_redis_url_parse(url, &test->options.url, &error));
}

static void listen_anew(struct test *test, const char *path, bool six)
{
    fake_redis_free(test->fake);
    test->fake = fake_redis_new(test->base, path, six);
}

static int start(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    test->base = event_base_new();
    listen_anew(test, NULL, false);
    test->sys = rkb_sys_posix;
    test->sys.monotonic_us = monotonic;
    test->sys.realtime_us = realtime;
    test->sys.random = no_chance;
    test->options = (struct rkb_subscriber_options){
        .client_name = "rkbridge:test",
        .connect_timeout_us = 20 * SECOND,
        .heartbeat_us = 20 * SECOND,
        .heartbeat_timeout_us = 20 * SECOND,
        .backoff_min_us = 2 * MILLISECOND,
        .backoff_max_us = 16 * MILLISECOND,
        .healthy_us = 10 * SECOND,
        .sys = &test->sys,
    };
    use_port(test, "", "127.0.0.1");
    *state = test;
    return 0;
}

static int end(void **state)
{
    struct test *test = *state;
    rkb_subscriber_free(test->subscriber);
    fake_redis_free(test->fake);
    if (test->path[0] != '\0')
        unlink(test->path);
    event_base_loop(test->base, EVLOOP_NONBLOCK);
    event_base_free(test->base);
    rkb_buffer_free(&test->log);
    free(test);
    return 0;
}

static void make(struct test *test)
{
    test->subscriber = rkb_subscriber_new(test->base, &test->options, &recording, test);
    assert_non_null(test->subscriber);
}

static void add(struct test *test, const char *name)
{
    struct rkb_error error;
    bool is_pattern = name[0] == '~';
    assert_true(rkb_subscriber_add(test->subscriber, is_pattern, rkb_slice_text(name + is_pattern), &error));
}

/* Subscribes to channel users and pattern u*. */
static void begin(struct test *test)
{
    make(test);
    add(test, "users");
    add(test, "~u*");
    rkb_subscriber_start(test->subscriber);
}

static void too_late(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    *(bool *)arg = true;
}

/* Turns the loop until the log, or what Redis heard, has the text so many times. */
static void until(struct test *test, const char *text, int times)
{
    bool late = false;
    const struct timeval limit = {15, 0};
    struct event *timer = evtimer_new(test->base, too_late, &late);
    event_add(timer, &limit);
    for (int seen = 0; seen < times && !late;) {
        event_base_loop(test->base, EVLOOP_ONCE);
        seen = 0;
        for (const char *at = log_text(test); (at = strstr(at, text)) != NULL; at++)
            seen++;
        for (const char *at = fake_redis_heard(test->fake); (at = strstr(at, text)) != NULL; at++)
            seen++;
    }
    event_free(timer);
    if (late)
        fail_msg("no \"%s\" in time; log:\n%sheard:\n%s", text, log_text(test), fake_redis_heard(test->fake));
}

/* Turns the loop for a while. What must not happen had its chance. */
static void pass(struct test *test, int milliseconds)
{
    bool late = false;
    const struct timeval limit = {0, milliseconds * 1000};
    struct event *timer = evtimer_new(test->base, too_late, &late);
    event_add(timer, &limit);
    while (!late)
        event_base_loop(test->base, EVLOOP_ONCE);
    event_free(timer);
}

static void assert_log(struct test *test, const char *wanted)
{
    assert_string_equal(log_text(test), wanted);
}

static void forget_log(struct test *test)
{
    test->log.size = 0;
}

static struct rkb_subscriber_figures figures(const struct test *test)
{
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(test->subscriber, &figures);
    return figures;
}

#define SUBSCRIBED "stream\non users\non ~u*\nsubscribed\n"

static void subscribes_and_hands_on(void **state)
{
    struct test *test = *state;
    begin(test);
    until(test, "subscribed\n", 1);
    assert_log(test, SUBSCRIBED);
    assert_string_equal(fake_redis_heard(test->fake), "CLIENT SETNAME rkbridge:test\nSUBSCRIBE users\nPSUBSCRIBE u*\n");
    fake_redis_publish(test->fake, NULL, "users", "one");
    fake_redis_publish(test->fake, "u*", "users", "one");
    fake_redis_publish(test->fake, NULL, "users", "");
    until(test, "batch\n", 1);
    assert_log(test, SUBSCRIBED "message users one\nmessage ~u* users one\nmessage users \nbatch\n");
    assert_true(figures(test).connected);
    assert_int_equal(figures(test).subscribed, 2);
    assert_int_equal(figures(test).connections_total, 1);
    assert_int_equal(figures(test).last_read_us, realtime());
    assert_true(figures(test).bytes_total > 150);
    assert_string_equal(figures(test).error, "");
}

static void splits_make_no_difference(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->one_byte = true;
    begin(test);
    until(test, "subscribed\n", 1);
    fake_redis_publish(test->fake, "u*", "users", "one");
    until(test, "batch\n", 1);
    assert_log(test, SUBSCRIBED "message ~u* users one\nbatch\n");
}

static void logs_in(void **state)
{
    struct test *test = *state;
    use_port(test, "bridge:from%20url@", "127.0.0.1");
    fake_redis_rules(test->fake)->user = "bridge";
    fake_redis_rules(test->fake)->password = "from url";
    begin(test);
    until(test, "subscribed\n", 1);
    assert_true(begins(fake_redis_heard(test->fake), "AUTH bridge from url\nCLIENT SETNAME rkbridge:test\nSUBSCRIBE"));
}

static void logs_in_without_a_user(void **state)
{
    struct test *test = *state;
    use_port(test, ":secret@", "127.0.0.1");
    test->options.client_name = NULL;
    fake_redis_rules(test->fake)->password = "secret";
    begin(test);
    until(test, "subscribed\n", 1);
    assert_true(begins(fake_redis_heard(test->fake), "AUTH secret\nSUBSCRIBE users\n"));
}

static void asks_for_the_password_each_time(void **state)
{
    struct test *test = *state;
    use_port(test, "other:unused@", "127.0.0.1");
    test->options.user = "bridge";
    test->options.password = give_password;
    fake_redis_rules(test->fake)->user = "bridge";
    fake_redis_rules(test->fake)->password = "second";
    begin(test);
    until(test, "lost\n", 1);
    assert_string_equal(test->lost.text, "the password file cannot be read");
    assert_int_equal(test->lost.code, RKB_SYSTEM);
    test->password = "first";
    until(test, "AUTH bridge first\n", 1);
    until(test, "lost\n", 2);
    assert_int_equal(test->lost.code, RKB_REFUSED);
    assert_string_equal(test->lost.text, "Redis refused AUTH: WRONGPASS invalid username-password pair or user is disabled. "
                                         "(check the source's user and password)");
    test->password = "second";
    until(test, "subscribed\n", 1);
    assert_null(strstr(fake_redis_heard(test->fake), "unused"));
}

/* Redis repeats the arguments of a command that it does not know. */
static void never_repeats_the_password(void **state)
{
    struct test *test = *state;
    use_port(test, ":sEcReT@", "127.0.0.1");
    fake_redis_rules(test->fake)->auth_reply = "-ERR unknown command 'AUTH', with args beginning with: 'sEcReT' \r\n";
    begin(test);
    until(test, "lost\n", 1);
    assert_string_equal(test->lost.text, "Redis refused AUTH: ERR unknown command 'AUTH'");
    fake_redis_rules(test->fake)->auth_reply = "-ERR what is sEcReT?\r\n";
    until(test, "lost\n", 2);
    assert_null(strstr(test->lost.text, "sEcReT"));
    assert_null(strstr(figures(test).error, "sEcReT"));
}

/* Redis answers the login with these words: lost, and they are repeated. */
static void assert_refused(struct test *test, const char *words, const char *wanted)
{
    forget_log(test);
    until(test, "lost\n", 1);
    assert_log(test, "lost\n");
    assert_int_equal(test->lost.code, RKB_REFUSED);
    if (strstr(test->lost.text, wanted) == NULL)
        fail_msg("%s gave: %s", words, test->lost.text);
}

static void says_why_redis_refuses(void **state)
{
    struct test *test = *state;
    struct fake_rules *rules = fake_redis_rules(test->fake);
    static const char *const setname[][2] = {
        {"-NOAUTH Authentication required.\r\n", "CLIENT SETNAME: NOAUTH Authentication required. (the source needs a password)"},
        {"-LOADING Redis is loading the dataset in memory\r\n", "LOADING Redis is loading the dataset in memory (Redis still loads"},
        {"-MASTERDOWN Link with MASTER is down\r\n", "MASTERDOWN"},
        {"-ERR odd \x01\x7f\xff words\r\n", "ERR odd \\x01\\x7f\\xff words"},
    };
    rules->setname_reply = setname[0][0];
    begin(test);
    for (size_t i = 0; i < sizeof setname / sizeof setname[0]; i++) {
        rules->setname_reply = setname[i][0];
        assert_refused(test, setname[i][0], setname[i][1]);
    }
    rules->greeting = "-ERR max number of clients reached\r\n";
    assert_refused(test, rules->greeting, "ERR max number of clients reached (raise maxclients");
    assert_false(figures(test).connected);
    assert_int_equal(figures(test).connections_total, 0);
    assert_non_null(strstr(figures(test).error, "max number of clients"));
}

static void does_without_a_client_name(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->setname_reply = "-NOPERM this user has no permissions to run the 'client|setname' command\r\n";
    begin(test);
    until(test, "subscribed\n", 1);
    assert_log(test, SUBSCRIBED);
}

static void always_asks_something_first(void **state)
{
    struct test *test = *state;
    test->options.client_name = "";
    begin(test);
    until(test, "subscribed\n", 1);
    assert_string_equal(fake_redis_heard(test->fake), "PING\nSUBSCRIBE users\nPSUBSCRIBE u*\n");
    assert_log(test, SUBSCRIBED);
}

static void names_the_refused_subscriptions(void **state)
{
    struct test *test = *state;
    make(test);
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d\n", i);
        add(test, name);
    }
    rkb_subscriber_start(test->subscriber);
    fake_redis_rules(test->fake)->subscribe_reply = "-NOPERM this user has no permissions to access one of the channels\r\n";
    until(test, "lost stream\n", 1);
    assert_log(test, "stream\nlost stream\n");
    assert_int_equal(test->lost.code, RKB_REFUSED);
    assert_non_null(strstr(test->lost.text, "Redis refused SUBSCRIBE c0\\x0a, c1\\x0a, c2\\x0a, ... (5 names): NOPERM this user"));
}

static void names_the_refused_command_only(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->confirmations = 1;
    begin(test);
    until(test, "PSUBSCRIBE", 1);
    until(test, "on users\n", 1);
    fake_redis_say(test->fake, "-NOPERM no\r\n");
    until(test, "lost stream\n", 1);
    assert_log(test, "stream\non users\nlost stream\n");
    assert_non_null(strstr(test->lost.text, "refused PSUBSCRIBE u*: NOPERM no"));
}

/* Hundreds of names go out in several commands, and none is forgotten. */
static void subscribes_in_batches(void **state)
{
    struct test *test = *state;
    make(test);
    for (int i = 0; i < 250; i++) {
        char name[16];
        snprintf(name, sizeof name, "%sname%d", i % 5 == 0 ? "~" : "", i);
        add(test, name);
        add(test, name);
    }
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed\n", 1);
    const char *heard = fake_redis_heard(test->fake), *second = strstr(heard + 40, "SUBSCRIBE");
    assert_true(begins(heard, "CLIENT SETNAME rkbridge:test\nSUBSCRIBE name1 name2 name3 name4 name6 "));
    assert_true(begins(second, "SUBSCRIBE name126 name127"));
    assert_non_null(strstr(heard, "name249\nPSUBSCRIBE name0 name5 "));
    assert_int_equal(figures(test).subscribed, 250);
}

static void long_names_make_small_batches(void **state)
{
    struct test *test = *state;
    char name[10001];
    make(test);
    for (int i = 0; i < 3; i++) {
        memset(name, 'a' + i, sizeof name - 1);
        name[sizeof name - 1] = '\0';
        add(test, name);
    }
    rkb_subscriber_start(test->subscriber);
    until(test, "\nSUBSCRIBE", 3);
    until(test, "subscribed\n", 1);
}

static void takes_confirmations_by_name(void **state)
{
    struct test *test = *state;
    make(test);
    add(test, "a");
    add(test, "b");
    add(test, "c");
    fake_redis_rules(test->fake)->reversed = true;
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed\n", 1);
    assert_log(test, "stream\non c\non b\non a\nsubscribed\n");
}

static void trusts_no_strange_confirmation(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->subscribe_reply = "*3\r\n$9\r\nsubscribe\r\n$2\r\nu*\r\n:1\r\n";
    begin(test);
    until(test, "lost stream\n", 1);
    assert_log(test, "stream\nlost stream\n");
    assert_int_equal(test->lost.code, RKB_PROTOCOL);
    assert_non_null(strstr(test->lost.text, "u*"));
}

static void is_not_subscribed_before_all_is_confirmed(void **state)
{
    struct test *test = *state;
    test->options.connect_timeout_us = 60 * MILLISECOND;
    fake_redis_rules(test->fake)->confirmations = 1;
    begin(test);
    until(test, "on users\n", 1);
    fake_redis_publish(test->fake, NULL, "users", "early");
    until(test, "lost stream\n", 1);
    assert_log(test, "stream\non users\nmessage users early\nbatch\nlost stream\n");
    assert_int_equal(test->lost.code, RKB_TIMEOUT);
    assert_int_equal(test->last_read_us, realtime());
    assert_int_equal(figures(test).subscribed, 0);
    fake_redis_rules(test->fake)->confirmations = -1;
    forget_log(test);
    until(test, "subscribed\n", 1);
    assert_log(test, SUBSCRIBED);
}

static void a_mute_redis_is_given_up(void **state)
{
    struct test *test = *state;
    test->options.connect_timeout_us = 30 * MILLISECOND;
    fake_redis_rules(test->fake)->mute = true;
    begin(test);
    until(test, "lost\n", 1);
    assert_int_equal(test->lost.code, RKB_TIMEOUT);
    assert_int_equal(test->last_read_us, 0);
    assert_non_null(strstr(test->lost.text, "the answer to the login did not come within 30 ms"));
    fake_redis_rules(test->fake)->mute = false;
    until(test, "subscribed\n", 1);
}

/* Whatever it was doing when the connection was cut, it comes back and subscribes to all. */
static void comes_back_from_a_cut_anywhere(void **state)
{
    struct test *test = *state;
    static const struct {
        const char *at, *wanted;
    } cuts[] = {
        {"CONNECT", "lost\n"},
        {"AUTH", "lost\n"},
        {"CLIENT", "lost\n"},
        {"SUBSCRIBE", "stream\nlost stream\n"},
        {"PSUBSCRIBE", "stream\non users\nlost stream\n"},
        {"PING", SUBSCRIBED "lost stream\n"},
    };
    struct fake_rules *rules = fake_redis_rules(test->fake);
    use_port(test, ":x@", "127.0.0.1");
    test->options.heartbeat_us = 5 * MILLISECOND;
    rules->password = "x";
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        rules->cut_at = cuts[i].at;
        rules->cuts = 2;
        forget_log(test);
        begin(test);
        until(test, "lost", 2);
        forget_log(test);
        until(test, "subscribed\n", 1);
        assert_log(test, SUBSCRIBED);
        assert_int_equal(test->lost.code, RKB_CLOSED);
        rkb_subscriber_free(test->subscriber);
        test->subscriber = NULL;
        fake_redis_cut(test->fake);
    }
}

static void a_cut_while_subscribed_tells_all(void **state)
{
    struct test *test = *state;
    begin(test);
    until(test, "subscribed\n", 1);
    fake_redis_publish(test->fake, NULL, "users", "last");
    until(test, "message users last\n", 1);
    fake_redis_cut(test->fake);
    until(test, "lost stream\n", 1);
    assert_log(test, SUBSCRIBED "message users last\nbatch\nlost stream\n");
    assert_string_equal(test->lost.text, "Redis closed the connection");
    assert_int_equal(test->last_read_us, realtime());
    assert_false(figures(test).connected);
    assert_string_equal(figures(test).error, "Redis closed the connection");
    assert_int_equal(figures(test).last_read_us, realtime());
    until(test, "subscribed\n", 2);
    assert_int_equal(figures(test).connections_total, 2);
}

static void garbage_ends_the_connection(void **state)
{
    struct test *test = *state;
    begin(test);
    until(test, "subscribed\n", 1);
    fake_redis_publish(test->fake, NULL, "users", "good");
    fake_redis_say(test->fake, "!what is this\r\n");
    until(test, "lost stream\n", 1);
    assert_log(test, SUBSCRIBED "message users good\nbatch\nlost stream\n");
    assert_int_equal(test->lost.code, RKB_PROTOCOL);
    until(test, "subscribed\n", 2);
}

static void messages_before_the_login_end_the_connection(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->greeting = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n";
    begin(test);
    until(test, "lost\n", 1);
    assert_log(test, "lost\n");
    assert_int_equal(test->lost.code, RKB_PROTOCOL);
}

static void what_nobody_asked_for_ends_the_connection(void **state)
{
    struct test *test = *state;
    begin(test);
    until(test, "subscribed\n", 1);
    fake_redis_say(test->fake, ":7\r\n");
    until(test, "lost stream\n", 1);
    assert_int_equal(test->lost.code, RKB_PROTOCOL);
    until(test, "subscribed\n", 2);
    fake_redis_say(test->fake, "-NOPERM not any more\r\n");
    until(test, "lost stream\n", 2);
    assert_int_equal(test->lost.code, RKB_REFUSED);
    assert_non_null(strstr(test->lost.text, "NOPERM not any more"));
    until(test, "subscribed\n", 3);
    fake_redis_say(test->fake, "*3\r\n$11\r\nunsubscribe\r\n$5\r\nusers\r\n:1\r\n");
    until(test, "off users\n", 1);
    until(test, "lost stream\n", 3);
    assert_int_equal(test->lost.code, RKB_REFUSED);
    assert_non_null(strstr(test->lost.text, "Redis ended a subscription by itself: users"));
    until(test, "subscribed\n", 4);
}

static void a_silent_redis_is_given_up(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 5 * MILLISECOND;
    test->options.heartbeat_timeout_us = 40 * MILLISECOND;
    fake_redis_rules(test->fake)->mute_pings = true;
    begin(test);
    until(test, "lost stream\n", 1);
    assert_log(test, SUBSCRIBED "lost stream\n");
    assert_int_equal(test->lost.code, RKB_TIMEOUT);
    assert_string_equal(test->lost.text, "nothing came from Redis for 40 ms after a PING");
    until(test, "PSUBSCRIBE u*\nPING\n(closed)\n", 1);
}

static void a_heartbeat_keeps_the_connection(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 2 * MILLISECOND;
    begin(test);
    until(test, "PING\n", 20);
    assert_log(test, SUBSCRIBED);
    fake_redis_rules(test->fake)->ping_reply = "+PONG\r\n";
    until(test, "PING\n", 25);
    fake_redis_rules(test->fake)->ping_reply = "-LOADING Redis is loading the dataset in memory\r\n";
    until(test, "PING\n", 30);
    assert_log(test, SUBSCRIBED);
}

/* The PONG may stand behind a great many messages. */
static void any_byte_is_a_sign_of_life(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 5 * MILLISECOND;
    test->options.heartbeat_timeout_us = 300 * MILLISECOND;
    fake_redis_rules(test->fake)->mute_pings = true;
    begin(test);
    until(test, "PING\n", 1);
    for (int i = 0; i < 10; i++) {
        pass(test, 60);
        fake_redis_publish(test->fake, NULL, "users", "x");
    }
    until(test, "message", 10);
    assert_null(strstr(log_text(test), "lost"));
    assert_null(strstr(strstr(fake_redis_heard(test->fake), "PING\n") + 1, "PING\n"));
    until(test, "lost stream\n", 1);
    assert_int_equal(test->lost.code, RKB_TIMEOUT);
}

static void a_pause_holds_all(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 5 * MILLISECOND;
    test->options.heartbeat_timeout_us = 15 * MILLISECOND;
    begin(test);
    until(test, "subscribed\n", 1);
    until(test, "PING\n", 2);
    rkb_subscriber_pause(test->subscriber, true);
    fake_redis_publish(test->fake, NULL, "users", "held");
    pass(test, 120);
    assert_log(test, SUBSCRIBED);
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "message users held\n", 1);
    int pings = 0;
    for (const char *at = fake_redis_heard(test->fake); (at = strstr(at, "PING\n")) != NULL; at++)
        pings++;
    until(test, "PING\n", pings + 2);
    assert_log(test, SUBSCRIBED "message users held\nbatch\n");
}

static void a_pause_inside_a_message(void **state)
{
    struct test *test = *state;
    test->pause_at = "message users 1";
    begin(test);
    until(test, "subscribed\n", 1);
    fake_redis_publish(test->fake, NULL, "users", "1");
    until(test, "batch\n", 1);
    fake_redis_publish(test->fake, NULL, "users", "2");
    pass(test, 20);
    assert_log(test, SUBSCRIBED "message users 1\nbatch\n");
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "message users 2\n", 1);
}

/* Paused while nothing stands yet: it connects, and goes on when told to, without a deadline in between. */
static void a_pause_before_the_connection(void **state)
{
    struct test *test = *state;
    test->options.connect_timeout_us = 30 * MILLISECOND;
    begin(test);
    rkb_subscriber_pause(test->subscriber, true);
    until(test, "CLIENT SETNAME", 1);
    pass(test, 100);
    assert_log(test, "");
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "subscribed\n", 1);
    assert_log(test, SUBSCRIBED);
}

enum { FLOOD = 4000 };

/* Nearly a megabyte, more than one turn of the loop reads; each message ends in x and its number. */
static void flood(struct test *test)
{
    char payload[200];
    memset(payload, 'x', sizeof payload);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(payload + 190, 10, "%d", i);
        fake_redis_publish(test->fake, NULL, "users", payload);
    }
}

static void a_pause_inside_a_flood(void **state)
{
    struct test *test = *state;
    char line[32];
    begin(test);
    until(test, "subscribed\n", 1);
    flood(test);
    test->pause_at = "message";
    until(test, "batch\n", 1);
    pass(test, 20);
    size_t size = test->log.size;
    /* No more than one read of 64 KiB. */
    assert_in_range(size, 200, 66 * 1024);
    pass(test, 20);
    assert_int_equal(test->log.size, size);
    rkb_subscriber_pause(test->subscriber, false);
    snprintf(line, sizeof line, "x%d\n", FLOOD - 1);
    until(test, line, 1);
}

static void freed_inside_a_flood(void **state)
{
    struct test *test = *state;
    begin(test);
    until(test, "subscribed\n", 1);
    flood(test);
    test->free_at = "message";
    until(test, "(freed)\n", 1);
    pass(test, 5);
    assert_true(strstr(log_text(test), "(freed)\n")[8] == '\0');
}

static void more_than_one_turn_of_the_loop(void **state)
{
    struct test *test = *state;
    char line[32];
    begin(test);
    until(test, "subscribed\n", 1);
    flood(test);
    snprintf(line, sizeof line, "x%d\n", FLOOD - 1);
    until(test, line, 1);
    const char *at = log_text(test);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(line, sizeof line, "x%d\n", i);
        at = strstr(at, line);
        assert_non_null(at);
    }
    assert_null(strstr(log_text(test), "lost"));
}

static void stops_with_messages_in_flight(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->before_unsubscribe = "*3\r\n$7\r\nmessage\r\n$5\r\nusers\r\n$9\r\nin flight\r\n";
    begin(test);
    until(test, "subscribed\n", 1);
    rkb_subscriber_stop(test->subscriber, 5 * SECOND);
    assert_log(test, SUBSCRIBED);
    until(test, "stopped\n", 1);
    assert_log(test, SUBSCRIBED "message users in flight\noff users\noff ~u*\nbatch\nstopped\n");
    until(test, "UNSUBSCRIBE\nPUNSUBSCRIBE\n(closed)\n", 1);
    assert_int_equal(figures(test).subscribed, 0);
    assert_false(figures(test).connected);
    pass(test, 30);
    assert_true(strstr(log_text(test), "stopped\n")[8] == '\0');
}

static void stops_after_the_last_confirmation(void **state)
{
    struct test *test = *state;
    make(test);
    add(test, "a");
    add(test, "b");
    add(test, "~c");
    add(test, "~d");
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed\n", 1);
    forget_log(test);
    rkb_subscriber_stop(test->subscriber, 5 * SECOND);
    until(test, "stopped\n", 1);
    assert_log(test, "off b\noff a\noff ~d\noff ~c\nstopped\n");
}

static void stops_where_there_are_only_patterns(void **state)
{
    struct test *test = *state;
    make(test);
    add(test, "~c");
    fake_redis_rules(test->fake)->before_unsubscribe = "*4\r\n$8\r\npmessage\r\n$1\r\nc\r\n$1\r\nc\r\n$1\r\n1\r\n";
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed\n", 1);
    forget_log(test);
    rkb_subscriber_stop(test->subscriber, 5 * SECOND);
    until(test, "stopped\n", 1);
    assert_log(test, "message ~c c 1\noff ~c\nbatch\nstopped\n");
}

static void stops_in_time_where_redis_does_not_answer(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 2 * MILLISECOND;
    begin(test);
    until(test, "subscribed\n", 1);
    fake_redis_rules(test->fake)->mute = true;
    rkb_subscriber_stop(test->subscriber, 20 * MILLISECOND);
    until(test, "stopped\n", 1);
    assert_log(test, SUBSCRIBED "stopped\n");
    until(test, "\nUNSUBSCRIBE\nPUNSUBSCRIBE\n(closed)\n", 1);
}

static void stops_where_unsubscribe_is_refused(void **state)
{
    struct test *test = *state;
    begin(test);
    until(test, "subscribed\n", 1);
    fake_redis_rules(test->fake)->unsubscribe_reply = "-NOPERM no\r\n";
    rkb_subscriber_stop(test->subscriber, 20 * SECOND);
    until(test, "stopped\n", 1);
    assert_log(test, SUBSCRIBED "stopped\n");
}

static void stops_when_the_connection_breaks(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->cut_at = "UNSUBSCRIBE";
    fake_redis_rules(test->fake)->cuts = 1;
    begin(test);
    until(test, "subscribed\n", 1);
    rkb_subscriber_stop(test->subscriber, 20 * SECOND);
    until(test, "stopped\n", 1);
    assert_log(test, SUBSCRIBED "stopped\n");
    assert_string_equal(figures(test).error, "Redis closed the connection");
}

/* Not connected: at once, but from the loop. */
static void stops_where_nothing_stands(void **state)
{
    struct test *test = *state;
    static const char *const while_doing[] = {"new", "waiting", "CLIENT", "lost"};
    struct fake_rules *rules = fake_redis_rules(test->fake);
    for (int i = 0; i < 4; i++) {
        forget_log(test);
        rules->mute = i == 2;
        rules->cut_at = i == 3 ? "CONNECT" : NULL;
        rules->cuts = 1;
        make(test);
        add(test, "users");
        if (i > 0)
            rkb_subscriber_start(test->subscriber);
        if (i > 1)
            until(test, while_doing[i], 1);
        forget_log(test);
        rkb_subscriber_stop(test->subscriber, 20 * SECOND);
        rkb_subscriber_stop(test->subscriber, 20 * SECOND);
        assert_log(test, "");
        until(test, "stopped\n", 1);
        pass(test, 20);
        assert_log(test, "stopped\n");
        rkb_subscriber_free(test->subscriber);
        test->subscriber = NULL;
    }
}

static void stops_before_all_is_confirmed(void **state)
{
    struct test *test = *state;
    test->stop_at = "on users";
    begin(test);
    until(test, "stopped\n", 1);
    assert_log(test, "stream\non users\n(stop)\non ~u*\noff users\noff ~u*\nstopped\n");
}

static void stops_inside_each_callback(void **state)
{
    struct test *test = *state;
    static const char *const places[] = {"stream", "on users", "on ~u*", "subscribed", "message", "batch", "lost"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        forget_log(test);
        fake_redis_rules(test->fake)->cut_at = strcmp(places[i], "lost") == 0 ? "CLIENT" : NULL;
        fake_redis_rules(test->fake)->cuts = 1;
        test->stop_at = places[i];
        begin(test);
        if (i == 4 || i == 5) {
            until(test, "subscribed\n", 1);
            fake_redis_publish(test->fake, NULL, "users", "1");
        }
        until(test, "stopped\n", 1);
        pass(test, 5);
        assert_true(strstr(log_text(test), "stopped\n")[8] == '\0');
        assert_null(strstr(log_text(test), "stopped\n(stop)"));
        if (i == 0)
            assert_null(strstr(fake_redis_heard(test->fake), "\nSUBSCRIBE"));
        rkb_subscriber_free(test->subscriber);
        test->subscriber = NULL;
    }
}

static void frees_inside_each_callback(void **state)
{
    struct test *test = *state;
    static const char *const places[] = {"stream", "on users", "on ~u*", "subscribed", "message", "batch", "lost", "off users", "stopped"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        forget_log(test);
        fake_redis_rules(test->fake)->cut_at = strcmp(places[i], "lost") == 0 ? "SUBSCRIBE" : NULL;
        fake_redis_rules(test->fake)->cuts = 1;
        test->free_at = places[i];
        begin(test);
        if (i == 4 || i == 5) {
            until(test, "subscribed\n", 1);
            fake_redis_publish(test->fake, NULL, "users", "1");
            fake_redis_publish(test->fake, NULL, "users", "2");
        }
        if (i > 6) {
            until(test, "subscribed\n", 1);
            rkb_subscriber_stop(test->subscriber, 5 * SECOND);
        }
        until(test, "(freed)\n", 1);
        pass(test, 10);
        assert_null(test->subscriber);
        assert_true(strstr(log_text(test), "(freed)\n")[8] == '\0');
        fake_redis_cut(test->fake);
    }
}

static void backs_off_until_healthy(void **state)
{
    struct test *test = *state;
    static const int64_t wanted[] = {2, 4, 8, 16, 16};
    begin(test);
    for (int i = 0; i < 5; i++) {
        until(test, "subscribed\n", i + 1);
        monotonic_now += test->options.healthy_us - 1;
        fake_redis_cut(test->fake);
        until(test, "lost stream\n", i + 1);
        assert_in_range(test->retry_us, wanted[i] * MILLISECOND - 100, wanted[i] * MILLISECOND);
    }
    until(test, "subscribed\n", 6);
    monotonic_now += test->options.healthy_us;
    fake_redis_cut(test->fake);
    until(test, "lost stream\n", 6);
    assert_in_range(test->retry_us, 2 * MILLISECOND - 100, 2 * MILLISECOND);
}

static void a_port_that_nobody_listens_on(void **state)
{
    struct test *test = *state;
    listen_anew(test, NULL, false);
    begin(test);
    until(test, "lost\n", 3);
    assert_int_equal(test->lost.code, RKB_CLOSED);
    assert_non_null(strstr(test->lost.text, "connecting to redis://127.0.0.1:"));
    assert_non_null(strstr(test->lost.text, "Connection refused"));
}

/* Whether this machine knows the name in that family and can use it. */
static bool has_address(const char *name, int family)
{
    const struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (getaddrinfo(name, NULL, &hints, &found) != 0)
        return false;
    int fd = socket(family, SOCK_STREAM, 0);
    bool usable = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0;
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return usable;
}

static void unix_sockets(void **state)
{
    struct test *test = *state;
    char url[128];
    struct rkb_error error;
    const char *directory = getenv("TMPDIR");
    snprintf(test->path, sizeof test->path, "%.30s/rkb-test-%d.sock", directory != NULL ? directory : "/tmp", (int)getpid());
    snprintf(url, sizeof url, "unix://%s", test->path);
    assert_true(rkb_redis_url_parse(url, &test->options.url, &error));
    begin(test);
    until(test, "lost\n", 1);
    assert_non_null(strstr(test->lost.text, "No such file or directory"));
    listen_anew(test, test->path, false);
    until(test, "subscribed\n", 1);
    fake_redis_publish(test->fake, NULL, "users", "1");
    until(test, "message users 1\n", 1);
}

/* The socket's path does not exist, so opening fails before it returns. */
static void freed_where_opening_fails_at_once(void **state)
{
    struct test *test = *state;
    struct rkb_error error;
    assert_true(rkb_redis_url_parse("unix:///no/such/socket", &test->options.url, &error));
    test->free_at = "lost";
    begin(test);
    until(test, "(freed)\n", 1);
    pass(test, 5);
    assert_log(test, "lost\n(freed)\n");
}

static void listens_on_ipv6(void **state)
{
    struct test *test = *state;
    if (!has_address("::1", AF_INET6))
        skip();
    listen_anew(test, NULL, true);
    use_port(test, "", "[::1]");
    begin(test);
    until(test, "subscribed\n", 1);
}

/* Redis listens on one of the name's addresses only: the other one is tried too, in the same attempt. */
static void tries_each_address_of_a_name(void **state)
{
    struct test *test = *state;
    for (int six = 0; six < 2; six++) {
        if (!has_address("localhost", six ? AF_INET6 : AF_INET))
            continue;
        listen_anew(test, NULL, six);
        use_port(test, "", "localhost");
        forget_log(test);
        begin(test);
        until(test, "subscribed\n", 1);
        assert_log(test, SUBSCRIBED);
        rkb_subscriber_free(test->subscriber);
        test->subscriber = NULL;
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(subscribes_and_hands_on),
        TEST(splits_make_no_difference),
        TEST(logs_in),
        TEST(logs_in_without_a_user),
        TEST(asks_for_the_password_each_time),
        TEST(never_repeats_the_password),
        TEST(says_why_redis_refuses),
        TEST(does_without_a_client_name),
        TEST(always_asks_something_first),
        TEST(names_the_refused_subscriptions),
        TEST(names_the_refused_command_only),
        TEST(subscribes_in_batches),
        TEST(long_names_make_small_batches),
        TEST(takes_confirmations_by_name),
        TEST(trusts_no_strange_confirmation),
        TEST(is_not_subscribed_before_all_is_confirmed),
        TEST(a_mute_redis_is_given_up),
        TEST(comes_back_from_a_cut_anywhere),
        TEST(a_cut_while_subscribed_tells_all),
        TEST(garbage_ends_the_connection),
        TEST(messages_before_the_login_end_the_connection),
        TEST(what_nobody_asked_for_ends_the_connection),
        TEST(a_silent_redis_is_given_up),
        TEST(a_heartbeat_keeps_the_connection),
        TEST(any_byte_is_a_sign_of_life),
        TEST(a_pause_holds_all),
        TEST(a_pause_inside_a_message),
        TEST(a_pause_before_the_connection),
        TEST(more_than_one_turn_of_the_loop),
        TEST(a_pause_inside_a_flood),
        TEST(freed_inside_a_flood),
        TEST(stops_with_messages_in_flight),
        TEST(stops_after_the_last_confirmation),
        TEST(stops_where_there_are_only_patterns),
        TEST(stops_in_time_where_redis_does_not_answer),
        TEST(stops_where_unsubscribe_is_refused),
        TEST(stops_when_the_connection_breaks),
        TEST(stops_where_nothing_stands),
        TEST(stops_before_all_is_confirmed),
        TEST(stops_inside_each_callback),
        TEST(frees_inside_each_callback),
        TEST(backs_off_until_healthy),
        TEST(a_port_that_nobody_listens_on),
        TEST(unix_sockets),
        TEST(freed_where_opening_fails_at_once),
        TEST(listens_on_ipv6),
        TEST(tries_each_address_of_a_name),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
