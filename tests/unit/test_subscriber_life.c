/*
 * The subscriber through its life, against a scripted Redis on the same loop: heartbeat, pause, floods, waits between
 * attempts, addresses. Its end is in test_subscriber_stop.c.
 */
#include "subscriber_support.h"
#include "times_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    assert_log(test, SUBSCRIBED);
}

/* An error is an answer of one that lives; told once, and again when it is another one, or over. */
static void an_error_is_a_sign_of_life(void **state)
{
    struct test *test = *state;
    struct fake_rules *rules = fake_redis_rules(test->fake);
    static const char *const replies[] = {"-LOADING Redis is loading the dataset in memory\r\n",
                                          "-NOPERM this user has no permissions to run the 'ping' command\r\n", NULL};
    test->options.heartbeat_us = 2 * MILLISECOND;
    begin(test);
    for (int i = 0; i < 3; i++) {
        rules->ping_reply = replies[i];
        until(test, "PING\n", 10 * (i + 1));
    }
    until(test, "PING\n", 40);
    assert_log(test, SUBSCRIBED "heartbeat LOADING Redis is loading the dataset in memory\n"
                     "heartbeat NOPERM this user has no permissions to run the 'ping' command\n"
                     "heartbeat \n");
}

/* As if it was lost: a new stream, and the reason is told. */
static void a_connection_that_is_made_anew(void **state)
{
    struct test *test = *state;
    struct rkb_error why;
    rkb_fail(&why, RKB_PROTOCOL, "it became another");
    begin(test);
    rkb_subscriber_renew(test->subscriber, &why);       /* none stands yet */
    until(test, "subscribed\n", 1);
    rkb_subscriber_renew(test->subscriber, &why);
    until(test, "subscribed\n", 2);
    assert_log(test, SUBSCRIBED "lost stream\n" SUBSCRIBED);
    assert_string_equal(test->lost.text, "it became another");
    assert_int_equal(figures(test).connections_total, 2);
    test->free_at = "lost";
    rkb_subscriber_renew(test->subscriber, &why);
    until(test, "(freed)\n", 1);
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
    begin_subscribed(test);
    until(test, "PING\n", 2);
    rkb_subscriber_pause(test->subscriber, true);
    fake_redis_publish(test->fake, NULL, "users", "held");
    /* And the loop does not turn in vain. */
    assert_in_range(pass(test, 120), 1, 10);
    assert_log(test, SUBSCRIBED);
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "message users held\n", 1);
    int pings = times_in(fake_redis_heard(test->fake), "PING\n");
    until(test, "PING\n", pings + 2);
    assert_log(test, SUBSCRIBED "message users held\nbatch\n");
}

static void a_pause_inside_a_message(void **state)
{
    struct test *test = *state;
    test->pause_at = "message users 1";
    begin_subscribed(test);
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

/*
 * Nearly a megabyte, more than one turn of the loop reads, most of it in the socket; each message ends in x and its
 * number.
 */
static void flood(struct test *test)
{
    char payload[204];
    memset(payload, 'x', sizeof payload);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(payload + 190, sizeof payload - 190, "%d", i);
        fake_redis_publish(test->fake, NULL, "users", payload);
    }
    rkb_subscriber_pause(test->subscriber, true);
    pass(test, 30);
    rkb_subscriber_pause(test->subscriber, false);
}

static int messages_in(const char *log)
{
    return begins(log, "message") + times_in(log, "\nmessage");
}

/* Each message of the flood, once. */
static void assert_all_in_order(struct test *test)
{
    char line[32];
    const char *at = log_text(test);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(line, sizeof line, "x%d\n", i);
        at = strstr(at, line);
        assert_non_null(at);
    }
    assert_int_equal(messages_in(log_text(test)), FLOOD);
}

static void a_pause_inside_a_flood(void **state)
{
    struct test *test = *state;
    char line[32];
    begin_subscribed(test);
    test->pause_at = "message";
    flood(test);
    until(test, "batch\n", 1);
    pass(test, 20);
    /* Not one more than the one that it was called in. */
    assert_int_equal(messages_in(log_text(test)), 1);
    assert_non_null(strstr(log_text(test), "x0\nbatch\n"));
    test->pause_at = "message";
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "batch\n", 2);
    pass(test, 20);
    assert_int_equal(messages_in(log_text(test)), 2);
    assert_non_null(strstr(log_text(test), "x1\nbatch\n"));
    rkb_subscriber_pause(test->subscriber, false);
    snprintf(line, sizeof line, "x%d\n", FLOOD - 1);
    until(test, line, 1);
    assert_all_in_order(test);
}

/* Asked to rest and to go on before it came to rest, in any order: all comes, once, in order. */
static void pauses_that_change_their_mind(void **state)
{
    struct test *test = *state;
    char line[32];
    begin_subscribed(test);
    test->pause_at = "message";
    flood(test);
    until(test, "batch\n", 1);
    for (int i = 0; i < 50; i++) {
        rkb_subscriber_pause(test->subscriber, false);
        rkb_subscriber_pause(test->subscriber, true);
        if (i % 3 == 0)
            rkb_subscriber_pause(test->subscriber, false);
        test->pause_at = "message";
        event_base_loop(test->base, EVLOOP_NONBLOCK);
    }
    test->pause_at = NULL;
    rkb_subscriber_pause(test->subscriber, false);
    snprintf(line, sizeof line, "x%d\n", FLOOD - 1);
    until(test, line, 1);
    assert_all_in_order(test);
}

/* What is held belongs to the connection it came by: a new one does not begin with it. */
static void what_is_held_ends_with_its_connection(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
    int64_t before = realtime();
    realtime_moved += SECOND;
    test->pause_at = "message users 1";
    fake_redis_publish(test->fake, NULL, "users", "1");
    fake_redis_publish(test->fake, NULL, "users", "2");
    until(test, "batch\n", 1);
    fake_redis_cut(test->fake);
    assert_int_equal(messages_in(log_text(test)), 1);
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "subscribed\n", 2);
    fake_redis_publish(test->fake, NULL, "users", "3");
    until(test, "message users 3\n", 1);
    /* The end was read behind what was held, so that came first. */
    assert_log(test, SUBSCRIBED "message users 1\nbatch\nmessage users 2\nbatch\nlost stream\n" SUBSCRIBED
                     "message users 3\nbatch\n");
    assert_int_equal(test->caught_up_us, before + SECOND);
}

static void freed_while_bytes_are_held(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
    test->pause_at = "message";
    flood(test);
    until(test, "batch\n", 1);
    rkb_subscriber_pause(test->subscriber, false);
    test->free_at = "message";
    until(test, "(freed)\n", 1);
    pass(test, 5);
    assert_int_equal(messages_in(log_text(test)), 2);
}

static void stopped_while_bytes_are_held(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
    test->pause_at = "message";
    flood(test);
    until(test, "batch\n", 1);
    rkb_subscriber_stop(test->subscriber, 5 * SECOND);
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "stopped\n", 1);
    assert_all_in_order(test);
}

/* What is read and not handed on does not count as read: a gap must not begin behind it. */
static void caught_up_is_not_what_is_held(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
    int64_t before = realtime();
    realtime_moved += SECOND;
    int64_t read = realtime();
    test->pause_at = "message users 1";
    fake_redis_publish(test->fake, NULL, "users", "1");
    fake_redis_publish(test->fake, NULL, "users", "2");
    until(test, "batch\n", 1);
    assert_int_equal(figures(test).caught_up_us, before);
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "message users 2\n", 1);
    pass(test, 5);
    assert_int_equal(figures(test).caught_up_us, read);
}

/* Over the limit: told without its payload, between its neighbours; one that is held over a pause keeps its place. */
static void a_message_that_is_too_large(void **state)
{
    struct test *test = *state;
    char *large = malloc(64 * 1024 + 2);
    memset(large, 'x', 64 * 1024 + 1);
    large[64 * 1024 + 1] = '\0';
    begin_subscribed(test);
    test->pause_at = "message users 1";
    fake_redis_publish(test->fake, NULL, "users", "1");
    fake_redis_publish(test->fake, NULL, "users", large);
    fake_redis_publish(test->fake, "u*", "users", large);
    fake_redis_publish(test->fake, "u*", "users", "2");
    until(test, "batch\n", 1);
    assert_int_equal(messages_in(log_text(test)), 1);
    forget_log(test);
    rkb_subscriber_pause(test->subscriber, false);
    until(test, "message ~u* users 2\n", 1);
    char *log = strdup(log_text(test)), *from = log, *to = log;
    for (; *from != '\0'; from += strncmp(from, "batch\n", 6) == 0 ? 6 : 1)
        if (strncmp(from, "batch\n", 6) != 0)
            *to++ = *from;
    *to = '\0';
    assert_string_equal(log, "too large - users 65537\ntoo large ~u* users 65537\nmessage ~u* users 2\n");
    free(log);
    free(large);
}

/* So long before a message was read all had been; that is known then, and when the connection is lost. */
static void expect_behind(struct test *test, int64_t us)
{
    fake_redis_publish(test->fake, NULL, "users", "1");
    until(test, "message users 1\n", 1);
    pass(test, 5);
    assert_int_equal(figures(test).caught_up_us, realtime() - us);
    fake_redis_cut(test->fake);
    until(test, "lost stream\n", 1);
    assert_int_equal(test->caught_up_us, realtime() - us);
}

/* What was under way to us had been published before we read: as long before as a PING and its answer take. */
static void caught_up_is_less_what_is_under_way(void **state)
{
    struct test *test = *state;
    test->options.heartbeat_us = 20 * MILLISECOND;
    monotonic_now += SECOND;
    begin_subscribed(test);
    assert_int_equal(figures(test).caught_up_us, realtime());
    fake_redis_rules(test->fake)->mute_pings = true;
    forget_log(test);
    int pings = times_in(fake_redis_heard(test->fake), "PING\n");
    until(test, "PING\n", pings + 1);
    monotonic_now += 30 * MILLISECOND;
    fake_redis_say(test->fake, "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    realtime_moved += SECOND;
    expect_behind(test, 30 * MILLISECOND);
}

/* Read late: what would have come meanwhile, had the network not gone, is not known to have been read. */
static void caught_up_is_less_what_lay_there(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
    realtime_moved += 4 * SECOND;
    quiet_now = 3 * SECOND;
    expect_behind(test, 3 * SECOND);
}

/* What still waits in the socket was sent before we had read all there was: a gap must not begin behind it. */
static void caught_up_is_when_all_was_read(void **state)
{
    struct test *test = *state;
    char line[32];
    begin_subscribed(test);
    int64_t before = realtime();
    realtime_moved += SECOND;
    test->pause_at = "message";
    flood(test);
    until(test, "batch\n", 1);
    assert_int_equal(figures(test).caught_up_us, before);
    rkb_subscriber_pause(test->subscriber, false);
    snprintf(line, sizeof line, "x%d\n", FLOOD - 1);
    until(test, line, 1);
    pass(test, 5);
    assert_int_equal(figures(test).caught_up_us, realtime());
}

/* Nor does a message of which only a part has come. */
static void caught_up_is_not_half_a_message(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
    int64_t before = realtime();
    realtime_moved += SECOND;
    fake_redis_say(test->fake, "*3\r\n$7\r\nmessage\r\n$5\r\nusers\r\n$4\r\nha");
    uint64_t had = figures(test).bytes_total;
    while (figures(test).bytes_total == had)
        pass(test, 5);
    assert_int_equal(figures(test).caught_up_us, before);
    fake_redis_say(test->fake, "lf\r\n");
    until(test, "message users half\n", 1);
    pass(test, 5);
    assert_int_equal(figures(test).caught_up_us, realtime());
}

static void freed_inside_a_flood(void **state)
{
    struct test *test = *state;
    begin_subscribed(test);
    test->free_at = "message";
    flood(test);
    until(test, "(freed)\n", 1);
    pass(test, 5);
    assert_true(strstr(log_text(test), "(freed)\n")[8] == '\0');
}

static void more_than_one_turn_of_the_loop(void **state)
{
    struct test *test = *state;
    char line[32];
    begin_subscribed(test);
    flood(test);
    snprintf(line, sizeof line, "x%d\n", FLOOD - 1);
    until(test, line, 1);
    assert_all_in_order(test);
    assert_null(strstr(log_text(test), "lost"));
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
static void unix_sockets(void **state)
{
    struct test *test = *state;
    char url[128];
    struct rkb_error error;
    const char *directory = getenv("TMPDIR");
    snprintf(test->path, sizeof test->path, "%.30s/rkb-test-%d.sock", directory != NULL ? directory : "/tmp",
             (int)getpid());
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

static void by_name(void **state)
{
    struct test *test = *state;
    use_port(test, "", "localhost");
    begin_subscribed(test);
    assert_log(test, SUBSCRIBED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_silent_redis_is_given_up),
        TEST(a_heartbeat_keeps_the_connection),
        TEST(an_error_is_a_sign_of_life),
        TEST(a_connection_that_is_made_anew),
        TEST(any_byte_is_a_sign_of_life),
        TEST(a_pause_holds_all),
        TEST(a_pause_inside_a_message),
        TEST(a_pause_before_the_connection),
        TEST(a_pause_inside_a_flood),
        TEST(pauses_that_change_their_mind),
        TEST(what_is_held_ends_with_its_connection),
        TEST(freed_while_bytes_are_held),
        TEST(stopped_while_bytes_are_held),
        TEST(caught_up_is_not_what_is_held),
        TEST(a_message_that_is_too_large),
        TEST(caught_up_is_less_what_is_under_way),
        TEST(caught_up_is_less_what_lay_there),
        TEST(caught_up_is_when_all_was_read),
        TEST(caught_up_is_not_half_a_message),
        TEST(freed_inside_a_flood),
        TEST(more_than_one_turn_of_the_loop),
        TEST(backs_off_until_healthy),
        TEST(a_port_that_nobody_listens_on),
        TEST(unix_sockets),
        TEST(freed_where_opening_fails_at_once),
        TEST(by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
