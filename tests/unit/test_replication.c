/* Tests of replication: what INFO replication says, in the words of Redis 7.0, and what two answers tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "redis/replication.h"

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define C "3333333333333333333333333333333333333333"
#define NONE "0000000000000000000000000000000000000000"

static struct rkb_replication parsed(const char *text)
{
    struct rkb_replication replication;
    rkb_replication_begin(&replication);
    while (*text != '\0') {
        size_t length = strcspn(text, "\n");
        rkb_replication_line(&replication, rkb_slice(text, length));
        text += length + (text[length] == '\n');
    }
    return replication;
}

static struct rkb_replication master(const char *history, const char *before)
{
    char text[400];
    snprintf(text, sizeof text, "# Replication\nrole:master\nconnected_slaves:1\n"
             "slave0:ip=10.0.0.2,port=6379,state=online,offset=1,lag=0\nmaster_failover_state:no-failover\n"
             "master_replid:%s\nmaster_replid2:%s\nmaster_repl_offset:1\nsecond_repl_offset:-1\n", history, before);
    return parsed(text);
}

static struct rkb_replication replica(const char *host, const char *link, const char *history)
{
    char text[400];
    snprintf(text, sizeof text, "role:slave\nmaster_host:%s\nmaster_port:6379\nmaster_link_status:%s\n"
             "master_last_io_seconds_ago:7\nmaster_sync_in_progress:0\nmaster_replid:%s\nmaster_replid2:" NONE "\n",
             host, link, history);
    return parsed(text);
}

static void what_redis_says(void **state)
{
    char text[RKB_ROLE_TEXT];
    struct rkb_replication one = master(A, NONE);
    (void)state;
    assert_int_equal(one.role, RKB_ROLE_MASTER);
    assert_string_equal(one.history, A);
    assert_string_equal(one.before, "");
    rkb_replication_describe(&one, text);
    assert_string_equal(text, "a master");
    one = replica("10.0.0.1", "up", B);
    assert_int_equal(one.role, RKB_ROLE_REPLICA);
    assert_true(one.linked);
    assert_int_equal(one.silent_seconds, 7);
    rkb_replication_describe(&one, text);
    assert_string_equal(text, "a replica of 10.0.0.1:6379");
    assert_false(replica("10.0.0.1", "down", B).linked);
    assert_int_equal(parsed("master_last_io_seconds_ago:-1\n").silent_seconds, -1);
    assert_int_equal(parsed("").silent_seconds, -1);
}

/* A role that we do not know, a name that is too long, lines without a value. */
static void what_it_does_not(void **state)
{
    char text[600], name[400];
    (void)state;
    struct rkb_replication one = parsed("role:sentinel\nrole\nmaster_host\n:\n\nmaster_replid:\n");
    assert_int_equal(one.role, RKB_ROLE_UNKNOWN);
    rkb_replication_describe(&one, text);
    assert_string_equal(text, "of an unknown role");
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text, "role:slave\nmaster_host:%s\nmaster_port:6379\n", name);
    one = parsed(text);
    assert_int_equal(strlen(one.host), sizeof one.host - 1);
}

static enum rkb_role_news news(struct rkb_replication old, struct rkb_replication now)
{
    return rkb_replication_news(&old, &now);
}

static void another_role(void **state)
{
    (void)state;
    assert_int_equal(news(master(A, NONE), master(A, NONE)), RKB_ROLE_SAME);
    assert_int_equal(news(master(A, NONE), replica("m", "up", B)), RKB_ROLE_CHANGED);
    assert_int_equal(news(master(A, NONE), replica("m", "down", A)), RKB_ROLE_CHANGED);
    assert_int_equal(news(replica("m", "down", A), master(B, A)), RKB_ROLE_CHANGED);
    assert_int_equal(news(parsed(""), master(A, NONE)), RKB_ROLE_SAME);
    assert_int_equal(news(replica("m", "up", A), parsed("")), RKB_ROLE_SAME);
}

/* Down and up again between two answers. */
static void another_role_in_between(void **state)
{
    (void)state;
    assert_int_equal(news(master(A, NONE), master(C, B)), RKB_ROLE_WAS_ANOTHER);
    assert_int_equal(news(master(A, NONE), master(B, A)), RKB_ROLE_WAS_ANOTHER);
    assert_int_equal(news(master(A, B), master(C, A)), RKB_ROLE_WAS_ANOTHER);
    /* Its first replica came, or it forgot the last: nothing happened to those who are subscribed. */
    assert_int_equal(news(master(A, NONE), master(B, NONE)), RKB_ROLE_SAME);
    assert_int_equal(news(master(A, B), master(C, NONE)), RKB_ROLE_SAME);
    assert_int_equal(news(master(A, B), master(A, B)), RKB_ROLE_SAME);
}

static void another_master(void **state)
{
    (void)state;
    assert_int_equal(news(replica("m", "up", A), replica("m", "up", A)), RKB_ROLE_SAME);
    assert_int_equal(news(replica("m", "up", A), replica("m", "down", A)), RKB_ROLE_SAME);
    assert_int_equal(news(replica("m", "up", A), replica("n", "up", A)), RKB_ROLE_REFILLED);
    assert_int_equal(news(replica("m", "up", A), replica("m", "up", B)), RKB_ROLE_REFILLED);
    assert_int_equal(news(replica("m", "down", A), replica("m", "up", B)), RKB_ROLE_SAME);     /* that gap is open */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_redis_says),
        cmocka_unit_test(what_it_does_not),
        cmocka_unit_test(another_role),
        cmocka_unit_test(another_role_in_between),
        cmocka_unit_test(another_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
