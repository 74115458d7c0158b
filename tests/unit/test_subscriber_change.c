/*
 * Other subscriptions than before, against a scripted Redis on the same loop: what stays is not touched, what is new
 * stands before what is gone is given up, and the turn is where Redis answers.
 */
#include "subscriber_support.h"

#include <stdio.h>
#include <string.h>

#include "redis/subscriptions.h"

#define PONG "*2\r\n$4\r\npong\r\n$0\r\n\r\n"

/* "a ~b": wanted from now on. */
static bool change(struct test *test, const char *names)
{
    struct rkb_subscriptions wanted = {0};
    struct rkb_error error;
    char text[256], *rest = NULL;
    snprintf(text, sizeof text, "%s", names);
    for (char *name = strtok_r(text, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest)) {
        bool is_pattern = name[0] == '~';
        assert_true(rkb_subscriptions_add(&wanted, is_pattern, rkb_slice_text(name + is_pattern), &error));
    }
    bool taken = rkb_subscriber_change(test->subscriber, &wanted);
    rkb_subscriptions_free(&wanted);
    return taken;
}

/* Subscribed to users and u*; the log begins anew. */
static void begun(struct test *test)
{
    begin_subscribed(test);
    forget_log(test);
}

static size_t heard_size(struct test *test)
{
    return strlen(fake_redis_heard(test->fake));
}

static void what_stays_is_not_touched(void **state)
{
    struct test *test = *state;
    begun(test);
    size_t before = heard_size(test);
    assert_true(change(test, "users orders ~v*"));
    until(test, "changed\n", 1);
    assert_log(test, "on orders\non ~v*\nturned\nchanged\n");
    assert_string_equal(fake_redis_heard(test->fake) + before,
                        "SUBSCRIBE orders\nPSUBSCRIBE v*\nPING\nPUNSUBSCRIBE u*\n");
    assert_int_equal(figures(test).subscribed, 3);
    assert_int_equal(figures(test).connections_total, 1);
    fake_redis_publish(test->fake, NULL, "orders", "1");
    until(test, "message orders 1\n", 1);
}

/* Only the turn is needed, as where routes change but not what they take. */
static void nothing_new(void **state)
{
    struct test *test = *state;
    begun(test);
    size_t before = heard_size(test);
    assert_true(change(test, "~u* users"));
    until(test, "changed\n", 1);
    assert_log(test, "turned\nchanged\n");
    assert_string_equal(fake_redis_heard(test->fake) + before, "PING\n");
}

/* The turn is the PING's answer, between two messages; what is gone is given up only then. */
static void the_turn_is_in_the_stream(void **state)
{
    struct test *test = *state;
    begun(test);
    fake_redis_rules(test->fake)->mute_pings = true;
    assert_true(change(test, "orders"));
    until(test, "PING\n", 1);
    fake_redis_publish(test->fake, NULL, "users", "1");
    fake_redis_publish(test->fake, "u*", "users", "1");
    fake_redis_say(test->fake, PONG);
    fake_redis_publish(test->fake, NULL, "users", "2");
    until(test, "changed\n", 1);
    assert_log(test, "on orders\nmessage users 1\nmessage ~u* users 1\nturned\nmessage users 2\nbatch\nchanged\n");
    assert_null(strstr(fake_redis_heard(test->fake), "UNSUBSCRIBE orders"));
}

/* An error is an answer too. */
static void a_ping_that_is_refused(void **state)
{
    struct test *test = *state;
    begun(test);
    fake_redis_rules(test->fake)->ping_reply = "-NOPERM this user has no permissions to run the 'ping' command\r\n";
    assert_true(change(test, "orders"));
    until(test, "changed\n", 1);
    assert_non_null(strstr(log_text(test), "turned\nchanged\n"));
}

/* The PONG of an older PING says nothing: so that is waited for first. */
static void an_open_ping_comes_first(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 5 * MILLISECOND;
    begun(test);
    fake_redis_rules(test->fake)->mute_pings = true;
    until(test, "PING\n", 1);
    pass(test, 10);
    size_t before = heard_size(test);
    assert_true(change(test, "users orders ~u*"));
    pass(test, 10);
    assert_int_equal(heard_size(test), before);
    fake_redis_rules(test->fake)->mute_pings = false;
    fake_redis_say(test->fake, PONG);
    until(test, "changed\n", 1);
    assert_log(test, "on orders\nturned\nchanged\n");
}

static void a_new_one_is_refused(void **state)
{
    struct test *test = *state;
    test->options.refused_again_us = 5 * MILLISECOND;
    begun(test);
    fake_redis_rules(test->fake)->refused = " b ";
    assert_true(change(test, "users a b c"));
    until(test, "changed\n", 1);
    assert_log(test, "on a\nrefused b channel\non c\nsubscribed but 1\nturned\nchanged\n");
    fake_redis_rules(test->fake)->refused = NULL;
    until(test, "subscribed\n", 1);
    assert_int_equal(figures(test).subscribed, 4);
    assert_int_equal(figures(test).refused, 0);
}

/* What was refused is not wanted any more: then all stand. */
static void a_refused_one_goes(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused = " users ";
    begin(test);
    until(test, "subscribed but 1\n", 1);
    forget_log(test);
    assert_true(change(test, "~u*"));
    until(test, "changed\n", 1);
    assert_log(test, "subscribed\nturned\nchanged\n");
    assert_int_equal(figures(test).refused, 0);
    assert_null(strstr(fake_redis_heard(test->fake), "UNSUBSCRIBE"));
}

/* Lost at this command: turned and changed once, behind `lost`, and the next connection has what is wanted. */
static void lost_at(struct test *test, const char *command, const char *wanted)
{
    begun(test);
    fake_redis_rules(test->fake)->cut_at = command;
    fake_redis_rules(test->fake)->cuts = 1;
    assert_true(change(test, "orders"));
    until(test, "subscribed\n", 1);
    assert_log(test, wanted);
    assert_int_equal(figures(test).subscribed, 1);
    const char *heard = fake_redis_heard(test->fake), last[] = "SUBSCRIBE orders\n";
    assert_string_equal(heard + strlen(heard) - strlen(last), last);
}

static void lost_while_adding(void **state)
{
    lost_at(*state, "SUBSCRIBE", "lost stream\nturned\nchanged\nstream\non orders\nsubscribed\n");
}

static void lost_while_turning(void **state)
{
    lost_at(*state, "PING", "on orders\nlost stream\nturned\nchanged\nstream\non orders\nsubscribed\n");
}

static void lost_while_leaving(void **state)
{
    lost_at(*state, "UNSUBSCRIBE", "on orders\nturned\nlost stream\nchanged\nstream\non orders\nsubscribed\n");
}

static void not_connected(void **state)
{
    struct test *test = *state;
    make(test);
    add(test, "users");
    assert_true(change(test, "orders ~o*"));
    assert_log(test, "turned\nchanged\n");
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed\n", 1);
    assert_log(test, "turned\nchanged\nstream\non orders\non ~o*\nsubscribed\n");
}

/* While the first subscriptions are not answered, these come first. */
static void in_the_middle_of_subscribing(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->confirmations = 1;
    begin(test);
    until(test, "on users\n", 1);
    assert_true(change(test, "users orders"));
    assert_false(change(test, "users"));
    pass(test, 5);
    fake_redis_rules(test->fake)->confirmations = -1;
    fake_redis_say(test->fake, "*3\r\n$10\r\npsubscribe\r\n$2\r\nu*\r\n:2\r\n");
    until(test, "changed\n", 1);
    assert_log(test, "stream\non users\non ~u*\nsubscribed\non orders\nturned\nchanged\n");
}

static void stopped_while_turning(void **state)
{
    struct test *test = *state;
    begun(test);
    fake_redis_rules(test->fake)->mute_pings = true;
    assert_true(change(test, "users orders"));
    until(test, "PING\n", 1);
    rkb_subscriber_stop(test->subscriber, 5 * SECOND);
    until(test, "stopped\n", 1);
    assert_log(test, "on orders\noff orders\noff users\noff ~u*\nturned\nchanged\nstopped\n");
    forget_log(test);
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed\n", 1);
    assert_log(test, "stream\non users\non orders\nsubscribed\n");
}

/* Reading rests: nothing is sent whose answer would not be read. */
static void paused(void **state)
{
    struct test *test = *state;
    begun(test);
    size_t before = heard_size(test);
    rkb_subscriber_pause(test->subscriber, true);
    assert_true(change(test, "users orders"));
    pass(test, 5);
    assert_int_equal(heard_size(test), before);
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "changed\n", 1);
    assert_log(test, "on orders\nturned\nchanged\n");
}

static void leaving_is_refused(void **state)
{
    struct test *test = *state;
    begun(test);
    fake_redis_rules(test->fake)->refused_command = "UNSUBSCRIBE";
    assert_true(change(test, "orders"));
    until(test, "changed but 1\n", 1);
    assert_log(test, "on orders\nturned\nchanged but 1\n");
    fake_redis_publish(test->fake, NULL, "users", "1");
    until(test, "message users 1\n", 1);
    fake_redis_rules(test->fake)->refused_command = NULL;
    forget_log(test);
    assert_true(change(test, "orders users"));          /* which stands, as Redis sees it */
    until(test, "changed\n", 1);
    assert_log(test, "on users\nturned\nchanged\n");
}

static void freed_at_the_turn(void **state)
{
    struct test *test = *state;
    begun(test);
    test->free_at = "turned";
    assert_true(change(test, "orders"));
    until(test, "(freed)\n", 1);
    pass(test, 5);
    assert_log(test, "on orders\nturned\n(freed)\n");
}

static void stopped_at_the_turn(void **state)
{
    struct test *test = *state;
    begun(test);
    test->stop_at = "turned";
    assert_true(change(test, "orders"));
    until(test, "stopped\n", 1);
    assert_non_null(strstr(log_text(test), "turned\n(stop)\n"));
    assert_non_null(strstr(log_text(test), "changed\nstopped\n"));
}

/* ---- answers that do not come, while messages do ---- */

static void publish_more(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    const struct test *test = arg;
    fake_redis_publish(test->fake, "u*", "unread", "1");
}

/* Until then a message each two milliseconds: Redis is not silent, so it is not given up for that. */
static void until_among_messages(struct test *test, const char *text)
{
    const struct timeval period = {0, 2 * MILLISECOND};
    struct event *more = event_new(test->base, -1, EV_PERSIST, publish_more, test);
    event_add(more, &period);
    until(test, text, 1);
    event_free(more);
}

/* One answer is swallowed: the connection is given up, and the next one subscribes to what is wanted. */
static void swallowed(struct test *test, void (*swallow)(struct fake_rules *rules, bool on), const char *last)
{
    test->options.connect_timeout_us = 100 * MILLISECOND;
    begun(test);
    swallow(fake_redis_rules(test->fake), true);
    assert_true(change(test, "users orders"));
    until_among_messages(test, "lost stream\n");
    swallow(fake_redis_rules(test->fake), false);
    assert_int_equal(test->lost.code, RKB_TIMEOUT);
    assert_non_null(strstr(test->lost.text, last));
    until(test, "subscribed\n", 1);
    assert_non_null(strstr(log_text(test), "changed\nstream\n"));
    assert_null(strstr(strstr(log_text(test), "changed\n") + 1, "changed\n"));
    assert_non_null(strstr(log_text(test), "on users\non orders\nsubscribed\n"));
    assert_int_equal(figures(test).subscribed, 2);
    assert_true(change(test, "users"));
    until(test, "changed\n", 2);
}

static void no_confirmations(struct fake_rules *rules, bool on)
{
    rules->confirmations = on ? 0 : -1;
}

static void no_pongs(struct fake_rules *rules, bool on)
{
    rules->mute_pings = on;
}

static void no_farewells(struct fake_rules *rules, bool on)
{
    rules->unsubscribe_reply = on ? "" : NULL;
}

static void the_answer_to_subscribe_is_swallowed(void **state)
{
    swallowed(*state, no_confirmations, "the answer to all subscriptions did not come within");
}

static void the_answer_to_ping_is_swallowed(void **state)
{
    swallowed(*state, no_pongs, "the answer to PING did not come within 1 s, though other things did");
}

static void the_answer_to_unsubscribe_is_swallowed(void **state)
{
    swallowed(*state, no_farewells, "the answer to UNSUBSCRIBE did not come within");
}

/* The heartbeat's PING was not answered before the change was asked for. */
static void an_open_ping_that_is_never_answered(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 5 * MILLISECOND;
    test->options.connect_timeout_us = 100 * MILLISECOND;
    begun(test);
    fake_redis_rules(test->fake)->mute_pings = true;
    until(test, "PING\n", 1);
    pass(test, 10);
    assert_true(change(test, "orders"));
    until_among_messages(test, "lost stream\n");
    assert_non_null(strstr(test->lost.text, "the answer to PING did not come within 1 s, though other things did"));
    fake_redis_rules(test->fake)->mute_pings = false;
    until(test, "subscribed\n", 1);
    assert_non_null(strstr(log_text(test), "turned\nchanged\nstream\n"));
    assert_int_equal(figures(test).subscribed, 1);
}

/* Time in which nothing is read does not count; and when the change is done no time does. */
static void rest_does_not_count(void **state)
{
    struct test *test = *state;
    test->options.connect_timeout_us = 60 * MILLISECOND;
    begun(test);
    fake_redis_rules(test->fake)->mute_pings = true;
    assert_true(change(test, "users orders"));
    until(test, "PING\n", 1);
    rkb_subscriber_pause(test->subscriber, true);
    pass(test, 700);
    assert_log(test, "on orders\n");
    rkb_subscriber_pause(test->subscriber, false);
    fake_redis_say(test->fake, PONG);
    until(test, "changed\n", 1);
    pass(test, 700);
    assert_log(test, "on orders\nturned\nchanged\n");
}

/* By the clock that the test turns: what of the 200 s is left. */
static void read_for(struct test *test, int seconds)
{
    monotonic_now += (int64_t)seconds * SECOND;
    rkb_subscriber_pause(test->subscriber, true);
    monotonic_now += INT64_C(1000) * SECOND;
    rkb_subscriber_pause(test->subscriber, false);
}

static void each_answer_has_its_time(void **state)
{
    struct test *test = *state;
    begun(test);
    fake_redis_rules(test->fake)->mute_pings = true;
    fake_redis_rules(test->fake)->unsubscribe_reply = "";
    assert_true(change(test, "orders"));
    until(test, "PING\n", 1);
    read_for(test, 150);
    fake_redis_say(test->fake, PONG);
    until(test, "PUNSUBSCRIBE u*\n", 1);
    read_for(test, 150);
    fake_redis_say(test->fake, "*3\r\n$11\r\nunsubscribe\r\n$5\r\nusers\r\n:2\r\n");
    pass(test, 20);
    read_for(test, 150);
    pass(test, 20);
    assert_log(test, "on orders\nturned\n");
    read_for(test, 50);
    until(test, "lost stream\n", 1);
}

/* Many in, most of them out again, in another order. */
static void many(void **state)
{
    struct test *test = *state;
    struct rkb_subscriptions wanted = {0};
    struct rkb_error error;
    begun(test);
    for (int i = 0; i < 40; i++) {
        char name[24];
        snprintf(name, sizeof name, "name%d", i);
        assert_true(rkb_subscriptions_add(&wanted, false, rkb_slice_text(name), &error));
    }
    assert_true(rkb_subscriber_change(test->subscriber, &wanted));
    until(test, "changed\n", 1);
    assert_int_equal(figures(test).subscribed, 40);
    assert_true(change(test, "name39 name3 name17"));
    until(test, "changed\n", 2);
    assert_int_equal(figures(test).subscribed, 3);
    assert_int_equal(figures(test).connections_total, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_stays_is_not_touched), TEST(nothing_new), TEST(the_turn_is_in_the_stream),
        TEST(a_ping_that_is_refused), TEST(an_open_ping_comes_first), TEST(a_new_one_is_refused),
        TEST(a_refused_one_goes), TEST(lost_while_adding), TEST(lost_while_turning), TEST(lost_while_leaving),
        TEST(not_connected), TEST(in_the_middle_of_subscribing), TEST(stopped_while_turning), TEST(paused),
        TEST(leaving_is_refused), TEST(freed_at_the_turn), TEST(stopped_at_the_turn), TEST(many),
        TEST(the_answer_to_subscribe_is_swallowed), TEST(the_answer_to_ping_is_swallowed),
        TEST(the_answer_to_unsubscribe_is_swallowed), TEST(an_open_ping_that_is_never_answered),
        TEST(rest_does_not_count), TEST(each_answer_has_its_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
