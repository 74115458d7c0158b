/*
 * Tests of the verdict over time and of several reasons at once: which comes first, which is left out, since when it is
 * so, and when the log has a line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "verdict_world.h"

/* Of a trouble that brings others along: the worst first, of one severity in the order of the rules, notes last. */
static void test_the_worst_comes_first(void **state)
{
    (void)state;
    static const char *const expected[] = {"journal_full", "not_durable", "kafka_away", "backlog_old",
                                           "tls_unverified"};
    static struct world world;
    well(&world);
    believe_all(&world);
    grow_old(&world);
    no_kafka(&world);
    fail_disk(&world);
    fill(&world);
    look(&world);
    assert_int_equal(world.judgement.count, 5);
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(world.judgement.reasons[i].word, expected[i]);
    assert_int_equal(world.judgement.severity, BAD);
    assert_string_equal(rkb_verdict_why(&world.judgement),
                        "the journal is full (journal.min_free), messages are being dropped");
    /* not_subscribed is listed behind what is only WARN as long as it is WARN itself, and before it when it is BAD */
    well(&world);
    no_kafka(&world);
    away(&world);
    look(&world);
    assert_string_equal(world.judgement.reasons[0].word, "not_subscribed");
    assert_int_equal(world.judgement.severity, WARN);
    fail_disk(&world);
    look(&world);
    assert_string_equal(world.judgement.reasons[0].word, "not_durable");
    wait(&world, 10);
    assert_string_equal(world.judgement.reasons[0].word, "not_subscribed");
}

/* What would only repeat another reason is not said. */
static void test_no_reason_twice(void **state)
{
    (void)state;
    static struct world world;
    well(&world);
    away(&world);
    not_ready(&world);
    look(&world);
    assert_null(find(&world, "not_ready"));
    hold(&world);
    look(&world);
    assert_null(find(&world, "not_subscribed"));
    assert_null(find(&world, "shipped_twice"));
    well(&world);
    fill(&world);
    no_kafka(&world);
    look(&world);
    assert_null(find(&world, "journal_full_soon"));
    assert_string_equal(find(&world, "kafka_away")->what, "Kafka is not connected, messages wait in the journal");
    well(&world);
    no_kafka(&world);
    filling(&world);
    look(&world);
    wait(&world, 10);
    assert_string_equal(find(&world, "journal_filling")->what, "at the present rate the journal is full in 10 min: "
                        "bring Kafka back, or raise journal.max_size");
}

/* Since when: kept from look to look, over breaks shorter than ten seconds, and by a clock that nobody sets. */
static void test_since_when(void **state)
{
    (void)state;
    static struct world world;
    well(&world);
    look(&world);
    int64_t began_us = world.snapshot.now_us;
    assert_int_equal(world.judgement.since_us, began_us);
    wait(&world, 5);
    assert_int_equal(world.judgement.since_us, began_us);
    assert_true(world.judgement.seconds == 5);
    no_kafka(&world);
    wait(&world, 3);
    assert_int_equal(world.judgement.since_us, began_us + 6000000);
    assert_true(world.judgement.seconds == 2);
    world.snapshot.kafka.connected = true;
    wait(&world, 9);
    assert_int_equal(world.judgement.severity, OK);
    assert_int_equal(world.judgement.since_us, began_us + 9000000);
    no_kafka(&world);
    world.snapshot.now_us -= 7200000000ll;      /* the clock is set back */
    wait(&world, 1);
    assert_int_equal(world.judgement.since_us, began_us + 6000000);
    assert_true(world.judgement.seconds == 12);
    world.snapshot.kafka.connected = true;
    wait(&world, 11);
    no_kafka(&world);
    wait(&world, 1);
    assert_int_equal(world.judgement.since_us, world.snapshot.now_us);
    assert_true(world.judgement.seconds == 0);
    rkb_verdict_look(&world.snapshot, NULL, &world.judgement);
    assert_int_equal(world.judgement.severity, WARN);
    assert_int_equal(world.judgement.since_us, 0);
}

/* Since when it has been so, not since when this process has seen it: a restart, or a worse row, makes nothing new. */
static void test_since_before_it_was_seen(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        void (*break_it)(struct world *world);
        double seconds;                 /* since when, before it is first seen */
    } known[] = {
        {"kafka_away_long", no_kafka_for_long, 601}, {"backlog_old", grow_old, 60}, {"gap_open", open_gap, 5},
        {"gaps_recent", recent_gaps, 30}, {"gaps_recent", recent_unknown_gap, 30},
    };
    static struct world world;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        well(&world);
        int64_t began_us = world.snapshot.now_us - (int64_t)(known[i].seconds * 1e6);
        known[i].break_it(&world);
        wait(&world, 13);
        const struct rkb_reason *reason = find(&world, known[i].word);
        assert_non_null(reason);
        bool counts_on = known[i].break_it == no_kafka_for_long || known[i].break_it == grow_old;
        if (counts_on)                  /* the test's figure stands still: it is of the first look, a second later */
            began_us += 1000000;
        assert_int_equal(reason->since_us, began_us);
        double lasted = reason->seconds - known[i].seconds;
        assert_true(lasted > 11.9 && lasted < 13.1);
        assert_int_equal(world.judgement.since_us, began_us);
        rkb_verdict_look(&world.snapshot, NULL, &world.judgement);
        reason = find(&world, known[i].word);
        assert_true(reason == NULL || reason->since_us != 0);
    }
    well(&world);
    pause_route(&world);
    look(&world);
    assert_int_equal(world.judgement.since_us, 1);
    wait(&world, 7);
    assert_int_equal(world.judgement.since_us, 1);
    /* What it says lies ahead of the clock is not believed. */
    well(&world);
    world.gaps[0] = gap(17, "connection_lost", 3600, 1, UINT64_MAX);
    world.snapshot.gap_count = 1;
    look(&world);
    int64_t seen_us = world.snapshot.now_us;
    wait(&world, 12);
    assert_int_equal(world.judgement.since_us, seen_us);
    assert_true(world.judgement.seconds == 12);
}

/* The log: BAD at once, what is better when it has lasted; what comes and goes is no line each time. */
static void test_what_the_log_says(void **state)
{
    (void)state;
    static struct world world;
    enum rkb_severity before;
    well(&world);
#define CHANGED() (look(&world), rkb_verdict_changed(&world.memory, &world.judgement, \
                                                     world.snapshot.uptime_seconds, &before))
    assert_false(CHANGED());
    no_kafka(&world);
    assert_false(CHANGED());
    world.snapshot.uptime_seconds += 9;
    assert_false(CHANGED());
    world.snapshot.uptime_seconds += 1;
    assert_true(CHANGED());
    assert_int_equal(before, OK);
    assert_false(CHANGED());
    fill(&world);
    assert_true(CHANGED());
    assert_int_equal(before, WARN);
    for (int i = 0; i < 20; i++) {
        world.snapshot.journal.full = i % 2 == 0;
        world.snapshot.uptime_seconds += 6;
        assert_false(CHANGED());
    }
    world.snapshot.journal.full = false;
    world.snapshot.kafka.connected = true;
    world.snapshot.journal.seconds_to_full = -1;
    assert_false(CHANGED());
    world.snapshot.uptime_seconds += 10;
    assert_true(CHANGED());
    assert_int_equal(before, BAD);
    assert_int_equal(world.memory.said, OK);
#undef CHANGED
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_worst_comes_first),
        cmocka_unit_test(test_no_reason_twice),
        cmocka_unit_test(test_since_when),
        cmocka_unit_test(test_since_before_it_was_seen),
        cmocka_unit_test(test_what_the_log_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
