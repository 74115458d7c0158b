/*
 * The subscriber against a scripted Redis on the same loop: what it says to Redis, what it hands on and in which order,
 * and how it comes back from whatever is refused or breaks.
 */
#include "subscriber_support.h"

#include <stdio.h>
#include <string.h>

static void subscribes_and_hands_on(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
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
    assert_int_equal(figures(test).caught_up_us, realtime());
    assert_true(figures(test).bytes_total > 150);
    assert_string_equal(figures(test).error, "");
}

static void splits_make_no_difference(void **state)
{
    struct test *test = *state;
    fake_redis_rules(test->fake)->one_byte = true;
    begin_subscribed(test);
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
    begin_subscribed(test);
    assert_true(begins(fake_redis_heard(test->fake), "AUTH bridge from url\nCLIENT SETNAME rkbridge:test\nSUBSCRIBE"));
}

static void logs_in_without_a_user(void **state)
{
    struct test *test = *state;
    use_port(test, ":secret@", "127.0.0.1");
    test->options.client_name = NULL;
    fake_redis_rules(test->fake)->password = "secret";
    begin_subscribed(test);
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
    assert_string_equal(test->lost.text,
                        "Redis refused AUTH: WRONGPASS invalid username-password pair or user is disabled. (check the "
                        "source's user and password, and that ACL LIST has that user on)");
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
    assert_string_equal(test->lost.text,
                        "Redis refused AUTH: ERR unknown command 'AUTH' (Redis, or a proxy before it, does not know "
                        "the command: look for rename-command)");
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
        {"-NOAUTH Authentication required.\r\n",
         "CLIENT SETNAME: NOAUTH Authentication required. (give this source a password"},
        {"-LOADING Redis is loading the dataset in memory\r\n",
         "LOADING Redis is loading the dataset in memory (Redis still loads"},
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
    fake_redis_rules(test->fake)->setname_reply = "-NOPERM this user has no permissions to run the "
                                                  "'client|setname' command\r\n";
    begin_subscribed(test);
    assert_log(test, SUBSCRIBED);
}

static void always_asks_something_first(void **state)
{
    struct test *test = *state;
    test->options.client_name = "";
    begin_subscribed(test);
    assert_string_equal(fake_redis_heard(test->fake), "PING\nSUBSCRIBE users\nPSUBSCRIBE u*\n");
    assert_log(test, SUBSCRIBED);
}

/* Another no than the ACL's: nobody knows what stands, so it is all or nothing. */
static void names_the_refused_command(void **state)
{
    struct test *test = *state;
    make(test);
    for (int i = 0; i < 5; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d\n", i);
        add(test, name);
    }
    rkb_subscriber_start(test->subscriber);
    fake_redis_rules(test->fake)->subscribe_reply = "-LOADING Redis is loading the dataset in memory\r\n";
    until(test, "lost stream\n", 1);
    assert_log(test, "stream\nlost stream\n");
    assert_int_equal(test->lost.code, RKB_REFUSED);
    assert_non_null(strstr(test->lost.text,
                           "Redis refused SUBSCRIBE c0\\x0a, c1\\x0a, c2\\x0a, ... (5 names): LOADING Redis"));
}

/* Hundreds of names go out in several commands, and none is forgotten. */
static void subscribes_in_batches(void **state)
{
    struct test *test = *state;
    make(test);
    for (int i = 0; i < 250; i++) {
        char name[24];
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
    assert_int_equal(test->caught_up_us, realtime());
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
    assert_int_equal(test->caught_up_us, 0);
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
    begin_subscribed(test);
    fake_redis_publish(test->fake, NULL, "users", "last");
    until(test, "message users last\n", 1);
    fake_redis_cut(test->fake);
    until(test, "lost stream\n", 1);
    assert_log(test, SUBSCRIBED "message users last\nbatch\nlost stream\n");
    assert_string_equal(test->lost.text, "Redis closed the connection");
    assert_int_equal(test->caught_up_us, realtime());
    assert_false(figures(test).connected);
    assert_string_equal(figures(test).error, "Redis closed the connection");
    assert_int_equal(figures(test).caught_up_us, realtime());
    until(test, "subscribed\n", 2);
    assert_int_equal(figures(test).connections_total, 2);
}

/*
 * Closed again and again after the same silence: somebody in between does that, and it is said. Traffic in between is
 * none.
 */
static void names_a_proxy_that_closes_idle_connections(void **state)
{
    struct test *test = *state;
    monotonic_now += SECOND;
    begin(test);
    for (int i = 0; i < 3; i++) {
        until(test, "subscribed\n", i + 1);
        monotonic_now += 60 * SECOND;
        fake_redis_cut(test->fake);
        until(test, "lost stream\n", i + 1);
        assert_int_equal(strstr(test->lost.text, "after about 1 min without a byte") != NULL, i > 0);
        assert_int_equal(strstr(figures(test).error, "set heartbeat, now 20 s") != NULL, i > 0);
    }
    until(test, "subscribed\n", 4);
    monotonic_now += 60 * SECOND;
    fake_redis_publish(test->fake, NULL, "users", "busy");
    until(test, "message users busy\n", 1);
    fake_redis_cut(test->fake);
    until(test, "lost stream\n", 4);
    assert_string_equal(test->lost.text, "Redis closed the connection");
}

static void garbage_ends_the_connection(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
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
    begin_subscribed(test);
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
        TEST(names_the_refused_command),
        TEST(subscribes_in_batches),
        TEST(long_names_make_small_batches),
        TEST(takes_confirmations_by_name),
        TEST(trusts_no_strange_confirmation),
        TEST(is_not_subscribed_before_all_is_confirmed),
        TEST(a_mute_redis_is_given_up),
        TEST(comes_back_from_a_cut_anywhere),
        TEST(a_cut_while_subscribed_tells_all),
        TEST(names_a_proxy_that_closes_idle_connections),
        TEST(garbage_ends_the_connection),
        TEST(messages_before_the_login_end_the_connection),
        TEST(what_nobody_asked_for_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
