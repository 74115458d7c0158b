/*
 * The subscriber and an ACL, against a scripted Redis on the same loop: what is refused is known by name, the others
 * stand, and what is allowed later comes in.
 */
#include "subscriber_support.h"
#include "times_in.h"

#include <stdio.h>
#include <string.h>

static int commands(struct test *test)
{
    return times_in(fake_redis_heard(test->fake), "SUBSCRIBE ");
}

static void the_others_stand(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused = " b ~p2 ";
    make(test);
    add(test, "a");
    add(test, "b");
    add(test, "c");
    add(test, "d");
    add(test, "~p1");
    add(test, "~p2");
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed", 1);
    assert_log(test, "stream\non c\non d\non ~p1\nrefused ~p2 channel\non a\nrefused b channel\nsubscribed but 2\n");
    assert_int_equal(figures(test).subscribed, 4);
    assert_int_equal(figures(test).refused, 2);
    fake_redis_publish(test->fake, NULL, "a", "1");
    until(test, "message a 1\n", 1);
    size_t at = 0;
    struct rkb_refused refused;
    assert_true(rkb_subscriber_next_refused(test->subscriber, &at, &refused));
    assert_true(rkb_slice_equal(refused.name, rkb_slice_text("b")));
    assert_int_equal(refused.lack, RKB_LACKS_CHANNEL);
    assert_true(rkb_subscriber_next_refused(test->subscriber, &at, &refused));
    assert_true(refused.is_pattern && rkb_slice_equal(refused.name, rkb_slice_text("p2")));
    assert_false(rkb_subscriber_next_refused(test->subscriber, &at, &refused));
}

/* One of five hundred costs some twenty commands, not five hundred. */
static void halves_find_the_one(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused = " name377 ";
    make(test);
    for (int i = 0; i < 500; i++) {
        char name[24];
        snprintf(name, sizeof name, "name%d", i);
        add(test, name);
    }
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed but 1\n", 1);
    assert_non_null(strstr(log_text(test), "refused name377 channel\n"));
    assert_int_equal(figures(test).subscribed, 499);
    assert_in_range(commands(test), 5 + 12, 5 + 14);
}

/* Without the right to the command all its names are refused at once, and no halves are asked for. */
static void a_command_that_is_not_allowed(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused_command = "PSUBSCRIBE";
    make(test);
    add(test, "a");
    for (int i = 0; i < 10; i++) {
        char name[24];
        snprintf(name, sizeof name, "~p%d", i);
        add(test, name);
    }
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed but 10\n", 1);
    assert_non_null(strstr(log_text(test), "refused ~p9 command\n"));
    assert_int_equal(commands(test), 2);
}

static void all_are_refused(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused = " users ~u* ";
    begin(test);
    until(test, "subscribed but 2\n", 1);
    assert_log(test, "stream\nrefused users channel\nrefused ~u* channel\nsubscribed but 2\n");
    assert_true(figures(test).connected);
    rkb_subscriber_stop(test->subscriber, 5 * SECOND);
    until(test, "stopped\n", 1);
}

/* The timer asks for each alone; told is what changes. Between the rounds the heart beats. */
static void what_is_allowed_later_comes_in(void **state)
{
    struct test *test = *state;
    test->options.refused_again_us = 10 * MILLISECOND;
    test->options.heartbeat_us = 3 * MILLISECOND;
    fake_redis_rules(test->fake)->refused = " users ~u* ";
    make(test);
    add(test, "users");
    add(test, "other");
    add(test, "~u*");
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed but 2\n", 1);
    until(test, "PING\n", 2);
    until(test, "\nPSUBSCRIBE u*\n", 3);
    until(test, "\nSUBSCRIBE users\n", 3);
    const char *first = "stream\nrefused ~u* channel\nrefused users channel\non other\nsubscribed but 2\n";
    assert_log(test, first);
    forget_log(test);
    fake_redis_rules(test->fake)->refused = " users ";
    until(test, "subscribed but 1\n", 1);
    assert_log(test, "on ~u*\nallowed ~u*\nsubscribed but 1\n");
    forget_log(test);
    fake_redis_rules(test->fake)->refused = NULL;
    until(test, "subscribed\n", 1);
    assert_log(test, "on users\nallowed users\nsubscribed\n");
    assert_int_equal(figures(test).subscribed, 3);
    assert_int_equal(figures(test).refused, 0);
    int before = commands(test);
    until(test, "PING\n", 12);
    assert_int_equal(commands(test), before);
}

/* An error is the answer to what was asked first: while a PING is open nothing else is asked. */
static void nothing_is_asked_beside_an_open_ping(void **state)
{
    struct test *test = *state;
    test->options.refused_again_us = 5 * MILLISECOND;
    test->options.heartbeat_us = MILLISECOND;
    fake_redis_rules(test->fake)->refused = " users ";
    fake_redis_rules(test->fake)->mute_pings = true;
    begin(test);
    until(test, "subscribed but 1\n", 1);
    until(test, "PING\n", 1);
    int before = commands(test);
    pass(test, 40);
    assert_int_equal(commands(test), before);
    fake_redis_rules(test->fake)->mute_pings = false;
    fake_redis_say(test->fake, "-NOPERM this user has no permissions to run the 'ping' command\r\n");
    until(test, "SUBSCRIBE users\n", 2);
    pass(test, 20);
    assert_null(strstr(log_text(test), "lost"));
}

static void asked_again_when_connected_again(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused = " users ";
    begin(test);
    until(test, "subscribed but 1\n", 1);
    fake_redis_cut(test->fake);
    until(test, "subscribed but 1\n", 2);
    /* It is known by name and not told again. */
    assert_log(test, "stream\nrefused users channel\non ~u*\nsubscribed but 1\nlost stream\n"
                     "stream\non ~u*\nsubscribed but 1\n");
    forget_log(test);
    fake_redis_rules(test->fake)->refused = NULL;
    fake_redis_cut(test->fake);
    until(test, "subscribed\n", 1);
    assert_log(test, "lost stream\nstream\non users\nallowed users\non ~u*\nsubscribed\n");
}

/* What is refused stands alone, so that a new connection does not look for it in halves again. */
static void what_was_refused_is_asked_for_alone(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused = " c ";
    make(test);
    for (int i = 0; i < 5; i++)
        add(test, (char[]){(char)('a' + i), '\0'});
    rkb_subscriber_start(test->subscriber);
    until(test, "subscribed but 1\n", 1);
    int before = commands(test);
    fake_redis_cut(test->fake);
    until(test, "subscribed but 1\n", 2);
    assert_int_equal(commands(test), before + 3);
    assert_non_null(strstr(fake_redis_heard(test->fake), "SUBSCRIBE a b\nSUBSCRIBE c\nSUBSCRIBE d e\n"));
}

static void another_lack_is_told(void **state)
{
    struct test *test = *state;
    test->options.refused_again_us = 5 * MILLISECOND;
    fake_redis_rules(test->fake)->refused_command = "SUBSCRIBE";
    begin(test);
    until(test, "refused users command\n", 1);
    fake_redis_rules(test->fake)->refused_command = NULL;
    fake_redis_rules(test->fake)->refused = " users ";
    until(test, "refused users channel\n", 1);
    pass(test, 20);
    assert_log(test, "stream\nrefused users command\non ~u*\nsubscribed but 1\nrefused users channel\n");
}

static void stopped_while_asking_again(void **state)
{
    struct test *test = *state;
    test->options.refused_again_us = 5 * MILLISECOND;
    fake_redis_rules(test->fake)->refused = " users ";
    begin(test);
    until(test, "subscribed but 1\n", 1);
    until(test, "SUBSCRIBE users\n", 1);
    fake_redis_rules(test->fake)->mute = true;
    until(test, "SUBSCRIBE users\n", 2);
    rkb_subscriber_stop(test->subscriber, 5 * SECOND);
    until(test, "UNSUBSCRIBE\n", 1);
    fake_redis_rules(test->fake)->mute = false;
    fake_redis_say(test->fake,
                   "-NOPERM this user has no permissions to access one of the channels used as arguments\r\n");
    fake_redis_publish(test->fake, "u*", "users", "last");
    until(test, "message ~u* users last\n", 1);
    assert_null(strstr(log_text(test), "stopped"));
    fake_redis_say(test->fake, "*3\r\n$12\r\npunsubscribe\r\n$2\r\nu*\r\n:0\r\n");
    until(test, "stopped\n", 1);
}

static void freed_inside_refused(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->refused_command = "SUBSCRIBE";
    test->free_at = "refused";
    make(test);
    add(test, "a");
    add(test, "b");
    rkb_subscriber_start(test->subscriber);
    until(test, "(freed)\n", 1);
    pass(test, 5);
    assert_log(test, "stream\nrefused a command\n(freed)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_others_stand),
        TEST(halves_find_the_one),
        TEST(a_command_that_is_not_allowed),
        TEST(all_are_refused),
        TEST(what_is_allowed_later_comes_in),
        TEST(nothing_is_asked_beside_an_open_ping),
        TEST(asked_again_when_connected_again),
        TEST(what_was_refused_is_asked_for_alone),
        TEST(another_lack_is_told),
        TEST(stopped_while_asking_again),
        TEST(freed_inside_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
