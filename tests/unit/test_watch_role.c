/*
 * Tests of watch_role: a relay whose subscriber talks to one scripted Redis, and whose second connection to another,
 * which says what it is: master, or replica with its link up or down.
 */
#include "watch_support.h"

#include <stdio.h>
#include <stdlib.h>

#define A "1111111111111111111111111111111111111111"
#define B "2222222222222222222222222222222222222222"
#define MASTER "role:master\r\nmaster_replid:" A "\r\n"
#define MASTER_AGAIN "role:master\r\nmaster_replid:" B "\r\nmaster_replid2:" A "\r\n"
#define REPLICA_OF(history) "role:slave\r\nmaster_host:m\r\nmaster_port:6379\r\nmaster_replid:" history "\r\n"
#define LINKED REPLICA_OF(A) "master_link_status:up\r\nmaster_last_io_seconds_ago:7\r\n"
#define UNLINKED REPLICA_OF(A) "master_link_status:down\r\nmaster_last_io_seconds_ago:7\r\n"
#define REFILLED REPLICA_OF(B) "master_link_status:up\r\nmaster_last_io_seconds_ago:0\r\n"
#define SILENCE INT64_C(8000000)        /* for so long a linked one did not hear its master, and a second */

struct role_test {
    struct world *world;
    struct fake_redis *subscribed, *watched;
    struct fake_script scripts[6];
    char reply[512];
};

/* From now on INFO replication is answered so; "-...": refused. */
static void say(struct role_test *test, const char *answer)
{
    if (answer[0] == '-')
        snprintf(test->reply, sizeof test->reply, "%s\r\n", answer);
    else
        snprintf(test->reply, sizeof test->reply, "$%zu\r\n%s\r\n", strlen(answer), answer);
}

static struct rkb_relay_source *source(const struct role_test *test)
{
    return source_of(test->world);
}

static int looks(const struct role_test *test)
{
    return times_in(fake_redis_heard(test->watched), "INFO replication");
}

/* Two more looks: the first of them is answered. */
static void look(struct role_test *test)
{
    int wanted = looks(test) + 2;
    UNTIL(test, looks(test) >= wanted);
}

static int begin(void **state)
{
    struct role_test *test = calloc(1, sizeof *test);
    struct world *world = test->world = world_new();
    const struct fake_script scripts[] = {
        {"INFO replication", test->reply}, {"CONFIG GET client-output-buffer-limit", "-ERR\r\n"},
        {"INFO stats", "$0\r\n\r\n"}, {"CONFIG GET dir", "-ERR\r\n"},
        {"INFO commandstats", "-ERR\r\n"},       /* no bounds of gaps: they ask for the same things */
        {NULL, NULL}};
    memcpy(test->scripts, scripts, sizeof scripts);
    world_route(world, "all", NULL, LIST("*"));
    world->source.watch = 10000;
    world->source.retry_refused = 30000;
    world->source.connect_timeout = 5000000;
    world->source.allow_parallel = 1;
    test->subscribed = fake_redis_new(world->base, NULL, false);
    test->watched = fake_redis_new(world->base, NULL, false);
    fake_redis_rules(test->watched)->scripts = test->scripts;
    world->source.url.port = fake_redis_port(test->subscribed);     /* the subscriber takes a copy */
    world_open(world);
    world->source.url.port = fake_redis_port(test->watched);
    *state = test;
    return 0;
}

static int end(void **state)
{
    struct role_test *test = *state;
    world_kill(test->world);
    fake_redis_free(test->subscribed);
    fake_redis_free(test->watched);
    world_free(test->world);
    free(test);
    return 0;
}

static size_t gaps(const struct role_test *test)
{
    return rkb_gaps_count(test->world->store.gaps);
}

/* Subscribed to one that is this. */
static void subscribed_to(struct role_test *test, const char *answer)
{
    say(test, answer);
    rkb_relay_start(&test->world->relay, test->world->shipper);
    UNTIL(test, source(test)->subscribed);
    look(test);
}

/* Its connection ended, and it is subscribed again. */
static void connected_again(struct role_test *test)
{
    struct rkb_subscriber_figures figures;
    fake_redis_cut(test->subscribed);
    UNTIL(test, !source(test)->subscribed);
    UNTIL(test, source(test)->subscribed);
    rkb_subscriber_figures(source(test)->subscriber, &figures);
    assert_int_equal(figures.connections_total, 2);
}

static bool ready(const struct role_test *test)
{
    return rkb_view_snapshot(test->world->view)->ready;
}

static void a_master_is_well(void **state)
{
    struct role_test *test = *state;
    subscribed_to(test, MASTER);
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(test->world->view);
    assert_string_equal(snapshot->sources[0].role, "master");
    assert_null(snapshot->sources[0].master);
    assert_true(snapshot->ready);
    assert_int_equal(gaps(test), 0);
}

/* From when the replica had last heard its master, until the link is up; the connection stays. */
static void a_link_goes_down_and_up(void **state)
{
    struct role_test *test = *state;
    subscribed_to(test, LINKED);
    assert_true(ready(test));
    int64_t good_us = now_us;
    now_us += 3 * SECOND;
    look(test);
    good_us += 3 * SECOND - SILENCE;
    say(test, UNLINKED);
    look(test);
    now_us += 2 * SECOND;
    look(test);
    expect_gap(test->world, 0, "replica_link_down", good_us, 0);
    const struct rkb_snapshot *snapshot = rkb_view_snapshot(test->world->view);
    assert_string_equal(snapshot->sources[0].role, "replica");
    assert_string_equal(snapshot->sources[0].master, "m:6379");
    assert_true(snapshot->sources[0].unlinked && snapshot->sources[0].connected);
    assert_false(snapshot->ready);
    say(test, LINKED);
    now_us += SECOND;
    look(test);
    expect_gap(test->world, 0, "replica_link_down", good_us, now_us);
    assert_true(ready(test));
    assert_int_equal(gaps(test), 1);
}

/* Nothing is known from before: since the stream began. */
static void a_link_that_was_down_at_first(void **state)
{
    struct role_test *test = *state;
    int64_t begin_us = now_us;
    subscribed_to(test, UNLINKED);
    now_us += SECOND;
    look(test);
    expect_gap(test->world, 0, "replica_link_down", begin_us, 0);
    /* It goes on over a lost connection, and there is no hole between the two. */
    connected_again(test);
    look(test);
    assert_int_equal(gaps(test), 2);
    expect_gap(test->world, 0, "replica_link_down", begin_us, 0);
    say(test, LINKED);
    now_us += SECOND;
    look(test);
    expect_gap(test->world, 0, "replica_link_down", begin_us, now_us);
}

/* Down and up between two looks: its history tells. */
static void a_link_that_was_broken_meanwhile(void **state)
{
    struct role_test *test = *state;
    subscribed_to(test, LINKED);
    int64_t good_us = now_us - SILENCE;
    say(test, REFILLED);
    now_us += SECOND;
    look(test);
    expect_gap(test->world, 0, "replica_link_down", good_us, now_us);
    assert_true(ready(test));
    assert_int_equal(gaps(test), 1);
}

/* The stream ends, with a gap from when all was well; the next one has new marks. */
static void changes(struct role_test *test, const char *before, const char *after, int64_t silent_us)
{
    subscribed_to(test, before);
    uint64_t epoch = source(test)->stream.mark.epoch;
    int64_t good_us = now_us - silent_us;
    say(test, after);
    now_us += SECOND;
    UNTIL(test, gaps(test) == 1 && source(test)->subscribed);
    expect_gap(test->world, 0, "role_changed", good_us, now_us);
    look(test);
    assert_int_equal(gaps(test), 1);
    assert_true(source(test)->stream.mark.epoch > epoch);
    assert_true(ready(test));
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(source(test)->subscriber, &figures);
    assert_int_equal(figures.connections_total, 2);
}

static void a_master_becomes_a_replica(void **state)
{
    changes(*state, MASTER, LINKED, 0);
}

static void a_replica_becomes_a_master(void **state)
{
    changes(*state, LINKED, MASTER_AGAIN, SILENCE);
}

static void a_master_that_was_a_replica_meanwhile(void **state)
{
    changes(*state, MASTER, MASTER_AGAIN, 0);
}

/* It became a replica whose link is not up yet: the two gaps leave no hole. */
static void a_master_that_is_filled_by_another(void **state)
{
    struct role_test *test = *state;
    subscribed_to(test, MASTER);
    int64_t good_us = now_us;
    say(test, UNLINKED);
    now_us += SECOND;
    UNTIL(test, gaps(test) == 2 && source(test)->subscribed);
    expect_gap(test->world, 0, "role_changed", good_us, now_us);
    expect_gap(test->world, 1, "replica_link_down", good_us, 0);
    assert_false(ready(test));
    /* And is promoted before the link was ever up. */
    now_us += 60 * SECOND;
    look(test);
    say(test, MASTER_AGAIN);
    UNTIL(test, gaps(test) == 3 && ready(test));
    expect_gap(test->world, 1, "replica_link_down", good_us, now_us);
    expect_gap(test->world, 2, "role_changed", good_us, now_us);
}

/* The connection ended first, and the new one finds another role. */
static void a_role_that_changed_between_two_streams(void **state)
{
    struct role_test *test = *state;
    subscribed_to(test, MASTER);
    int64_t good_us = now_us;
    now_us += SECOND;
    fake_redis_cut(test->subscribed);
    say(test, LINKED);
    UNTIL(test, gaps(test) == 2 && source(test)->subscribed);
    assert_string_equal(gap_at(test->world, 0)->reason, "connection_lost");
    expect_gap(test->world, 1, "role_changed", good_us, now_us);
}

/* An answer that was asked for before the stream began says nothing of it. */
static void an_answer_from_before_the_stream(void **state)
{
    struct role_test *test = *state;
    test->world->source.retry_refused = 60 * SECOND;        /* what is refused is not among what is asked */
    subscribed_to(test, MASTER);
    int64_t good_us = now_us;
    fake_redis_rules(test->watched)->mute = true;
    int wanted = looks(test) + 1;
    UNTIL(test, looks(test) >= wanted);
    now_us += SECOND;
    connected_again(test);
    assert_int_equal(looks(test), wanted);
    fake_redis_rules(test->watched)->mute = false;
    fake_redis_say(test->watched, test->reply);
    fake_redis_say(test->watched, "$0\r\n\r\n+OK\r\n");      /* CLIENT LIST ID, CLIENT SETNAME */
    say(test, LINKED);
    UNTIL(test, looks(test) >= wanted + 2);
    look(test);
    struct rkb_subscriber_figures figures;
    rkb_subscriber_figures(source(test)->subscriber, &figures);
    assert_int_equal(figures.connections_total, 2);
    assert_int_equal(gaps(test), 2);
    expect_gap(test->world, 1, "role_changed", good_us, now_us);
}

/* The clock went back: what was well is older than it seems. */
static void a_clock_that_goes_back(void **state)
{
    struct role_test *test = *state;
    subscribed_to(test, MASTER);
    now_us -= 3600 * SECOND;
    look(test);
    int64_t good_us = now_us;
    say(test, LINKED);
    now_us += SECOND;
    UNTIL(test, gaps(test) == 1 && source(test)->subscribed);
    expect_gap(test->world, 0, "role_changed", good_us, now_us);
}

/* Refused: nothing is known. Allowed later: it is asked for again, and known. */
static void what_an_acl_hides(void **state)
{
    struct role_test *test = *state;
    subscribed_to(test, "-NOPERM this user has no permissions to run the 'info' command");
    assert_null(rkb_view_snapshot(test->world->view)->sources[0].role);
    assert_true(ready(test));
    say(test, LINKED);
    UNTIL(test, rkb_view_snapshot(test->world->view)->sources[0].role != NULL);
    assert_int_equal(gaps(test), 0);
}

/* Of the time before the first answer nothing is known. */
static void what_an_acl_hid_for_a_while(void **state)
{
    struct role_test *test = *state;
    int64_t begin_us = now_us;
    subscribed_to(test, "-NOPERM this user has no permissions to run the 'info' command");
    now_us += SECOND;
    say(test, UNLINKED);
    UNTIL(test, gaps(test) == 1);
    expect_gap(test->world, 0, "replica_link_down", begin_us, 0);
}

/* Killed while the link is down: that gap ends where the next instance's begins. */
static void killed_while_a_link_is_down(void **state)
{
    struct role_test *test = *state;
    struct world *world = test->world;
    int64_t begin_us = now_us;
    subscribed_to(test, UNLINKED);
    look(test);
    now_us += SECOND;
    rkb_ring_note_read(world->store.ring, now_us);
    world_kill(world);
    now_us += SECOND;
    world_open(world);
    expect_gap(world, 0, "replica_link_down", begin_us, now_us - SECOND);
    expect_gap(world, 1, "restart", now_us - SECOND, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_master_is_well),
        TEST(a_link_goes_down_and_up),
        TEST(a_link_that_was_down_at_first),
        TEST(a_link_that_was_broken_meanwhile),
        TEST(a_master_becomes_a_replica),
        TEST(a_replica_becomes_a_master),
        TEST(a_master_that_was_a_replica_meanwhile),
        TEST(a_master_that_is_filled_by_another),
        TEST(a_role_that_changed_between_two_streams),
        TEST(an_answer_from_before_the_stream),
        TEST(a_clock_that_goes_back),
        TEST(what_an_acl_hides),
        TEST(what_an_acl_hid_for_a_while),
        TEST(killed_while_a_link_is_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
