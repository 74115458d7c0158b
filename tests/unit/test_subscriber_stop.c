/*
 * The subscriber's end, against a scripted Redis on the same loop: stop in every state and in time, free and stop
 * inside each of its callbacks.
 */
#include "subscriber_support.h"

#include <string.h>

#include "redis/guard.h"

static void stops_with_messages_in_flight(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->before_unsubscribe = "*3\r\n$7\r\nmessage\r\n$5\r\nusers\r\n$9\r\nin flight\r\n";
    begin_subscribed(test);
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
    begin_subscribed(test);
    fake_redis_rules(test->fake)->mute = true;
    rkb_subscriber_stop(test->subscriber, 20 * MILLISECOND);
    until(test, "stopped\n", 1);
    assert_log(test, SUBSCRIBED "stopped\n");
    until(test, "\nUNSUBSCRIBE\nPUNSUBSCRIBE\n(closed)\n", 1);
}

static void stops_where_unsubscribe_is_refused(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
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
    begin_subscribed(test);
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
    static const char *const places[] = {
        "stream", "on users", "on ~u*", "subscribed", "message", "batch", "lost", "off users", "stopped",
    };
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

static void count_destroyed(void *object)
{
    ++*(int *)object;
}

static void the_outermost_return_frees(void **state)
{
    (void)state;
    int destroyed = 0;
    struct rkb_guard guard = {.destroy = count_destroyed, .object = &destroyed};
    rkb_guard_enter(&guard);
    rkb_guard_enter(&guard);
    rkb_guard_doom(&guard);
    rkb_guard_leave(&guard);
    assert_int_equal(destroyed, 0);
    rkb_guard_leave(&guard);
    assert_int_equal(destroyed, 1);
    guard.doomed = false;
    rkb_guard_doom(&guard);
    assert_int_equal(destroyed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        TEST(the_outermost_return_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
