/*
 * Tests of the verdict: each rule by a snapshot that is well but for it: severity, words, where to go; what has to last
 * before it is said, what gets worse by lasting; and that each place that a rule sends to is there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/commands.h"
#include "verdict_world.h"

/* The rule is the one that holds. */
static void check(struct world *world, const char *word, enum rkb_severity severity, const char *what)
{
    const struct rkb_reason *reason = find(world, word);
    if (reason == NULL || reason->severity != severity || strcmp(reason->what, what) != 0)
        fail_msg("%s: not %s '%s' but %s '%s'", word, rkb_severity_word(severity), what,
                 reason == NULL ? "no reason" : rkb_severity_word(reason->severity),
                 reason == NULL ? "" : reason->what);
    assert_int_equal(world->judgement.severity, severity);
    assert_int_equal(world->judgement.count, 1);
}

/* Each rule once: what is wrong, when it is first said, when it is as bad as it gets. */
struct row {
    const char *word;
    void (*break_it)(struct world *world);
    int quiet, grace;           /* seconds */
    enum rkb_severity severity;
    const char *what;
};

static void in_part(struct world *world)
{
    world->sources[1].subscribed = 2;
    world->sources[2].connected = false;
}

static void share(struct world *world)
{
    world->sources[0].another_bridge = 1;
    world->sources[0].rival = "stop it";
}

static void refuse(struct world *world)
{
    static const struct rkb_refused_snapshot refused[] = {
        {"legacy", "users", "channel user_created", "ACL SETUSER bridge &user_created"},
        {"legacy", "users", "pattern user.*", "ACL SETUSER bridge +psubscribe"}};
    world->snapshot.refused = refused;
    world->snapshot.refused_count = 2;
    world->sources[0].refused = 2;
    world->sources[0].subscribed = 1;
}

static void refuse_unnamed(struct world *world)
{
    world->sources[0].refused = 1;
    world->sources[0].subscribed = 2;
}

static void unlink_replica(struct world *world)
{
    world->sources[0].role = "replica";
    world->sources[0].master = "m:1";
    world->sources[0].unlinked = true;
}

/* Canaries are on, and well; then the one on the second source is not. */
static struct rkb_canary_snapshot *canary_of_second(struct world *world)
{
    for (size_t i = 0; i < 3; i++)
        world->sources[i].canary = (struct rkb_canary_snapshot){
            .on = true, .redis = {true, 1}, .kafka = {true, 1}, .late_after_seconds = 10};
    return &world->sources[1].canary;
}

static void lose_canary(struct world *world)
{
    canary_of_second(world)->redis.age_seconds = 12;
}

static void delay_canary(struct world *world)
{
    canary_of_second(world)->kafka.age_seconds = 12;
}

static void refuse_canary(struct world *world)
{
    canary_of_second(world)->refused = "NOPERM; ACL SETUSER x";
}

static void let_nobody_hear_canary(struct world *world)
{
    lose_canary(world);
    world->sources[1].canary.unheard = true;
}

static void stop_intake(struct world *world)
{
    world->snapshot.intake_stopped = true;
    world->sources[0].connected = false;
}

static void unbalance(struct world *world)
{
    world->snapshot.totals.pending++;
}

static void unbalance_route(struct world *world)
{
    world->routes[1].books.received++;
}

static void fill_buffer(struct world *world)
{
    world->sources[0].stall = (struct rkb_stall_snapshot){20 << 20, 32 << 20, 8 << 20, 60, 4194304, 5};
}

static void fill_buffer_softly(struct world *world)
{
    world->sources[0].stall = (struct rkb_stall_snapshot){9 << 20, 0, 8 << 20, 60, 4194304, 5};
}

static void full_soon(struct world *world)
{
    world->snapshot.journal.seconds_to_full = 599;
}

static void not_read(struct world *world)
{
    for (size_t i = 0; i < 3; i++)
        world->sources[i].paused = true;
}

static void no_kafka_and_filling(struct world *world)
{
    world->snapshot.kafka.connected = false;
    world->snapshot.journal.seconds_to_full = 7200;
}

static void lack_topics(struct world *world)
{
    world->snapshot.kafka.topics_missing = 2;
    world->snapshot.kafka.missing_topics = "a, b";
}

static void refuse_record(struct world *world)
{
    world->snapshot.kafka.refused = "a record of route users for topic t is refused: too large";
}

static void pause_topic(struct world *world)
{
    static const struct rkb_pause_snapshot pauses[] = {{true, "views", 2}};
    world->snapshot.pauses = pauses;
    world->snapshot.pause_count = 1;
}

static void lose_pauses(struct world *world)
{
    world->snapshot.pauses_unread = "/j/paused: Permission denied";
}

static void refuse_reload(struct world *world)
{
    world->snapshot.config.refused = true;
    world->snapshot.config.why = "r.yaml:3:5: routes.users.topc: unknown setting; and 1 more";
}

static void fill_dead_letters(struct world *world)
{
    world->snapshot.kafka.dead_letter_bytes = 80 << 20;
    world->snapshot.kafka.dead_letter_limit = 100 << 20;
}

static void shorten_stall(struct world *world)
{
    world->sources[0].stall = (struct rkb_stall_snapshot){0, 32 << 20, 8 << 20, 60, 64 << 20, 0.5};
}

static void start_often(struct world *world)
{
    for (size_t i = 0; i < 6; i++) {
        world->gaps[i] = gap(i, "restart", -60 + (int64_t)i, -50 + (int64_t)i, UINT64_MAX);
        world->gaps[i].source = i % 2 == 0 ? "legacy" : "second";
    }
    world->snapshot.gap_count = 6;
}

static void start_anew(struct world *world)
{
    world->gaps[0] = gap(17, "restart", -30, -20, 4);
    world->snapshot.gap_count = 1;
}

static void lose_ring(struct world *world)
{
    world->snapshot.journal.ring_outlives = false;
}

static void want_no_ring(struct world *world)
{
    world->snapshot.journal.ring_outlives = world->snapshot.journal.ring_wanted = false;
}

static void linger(struct world *world)
{
    world->snapshot.lingering = true;
    world->snapshot.ending_seconds = 3.5;
}

static void leave(struct world *world)
{
    world->snapshot.draining = true;
    world->snapshot.ending_seconds = 12;
    world->snapshot.ready = false;
    world->sources[0].connected = false;
}

static void die(struct world *world)
{
    world->snapshot.totals.received += 2;
    world->snapshot.totals.dead_lettered += 2;
}

static void lose_lines(struct world *world)
{
    world->snapshot.log_lines_lost_total += 3;
}

static const struct row rows[] = {
    {"journal_full", fill, 0, 0, BAD, "the journal is full (journal.min_free), messages are being dropped"},
    {"not_subscribed", away, 0, 10, BAD, "source legacy is not connected: Connection refused"},
    {"not_subscribed", in_part, 0, 10, BAD, "source second: 2 of 3 subscriptions are confirmed; and 1 more source"},
    {"held", hold, 0, 10, BAD, "source legacy is not subscribed: stop it"},
    {"shipped_twice", share, 0, 10, BAD, "source legacy is shipped twice: stop it"},
    {"subscription_refused", refuse, 0, 0, BAD,
     "route users of source legacy gets nothing from channel user_created, Redis's ACL refuses it: ACL SETUSER bridge "
     "&user_created; and 1 more subscription"},
    {"subscription_refused", refuse_unnamed, 0, 0, BAD,
     "1 subscription is refused by Redis's ACL: the log names what is missing"},
    {"replica_link_down", unlink_replica, 0, 10, BAD,
     "source legacy is a replica whose link to its master m:1 is down: what is published there is missed"},
    {"intake_stopped", stop_intake, 0, 900, BAD,
     "the intake is stopped, what is published is missed: rkbctl intake start"},
    {"books_unbalanced", unbalance, 0, 0, BAD,
     "the books do not balance (off by -1): a defect of rkbridge, report it with what rkbctl stats says"},
    {"books_unbalanced", unbalance_route, 0, 0, BAD,
     "the books of route orders do not balance (off by 1): a defect of rkbridge, report it with what rkbctl stats "
     "says"},
    {"not_durable", fail_disk, 0, 0, BAD, "the disk fails, what is read now is not durable: Input/output error"},
    {"output_buffer", fill_buffer, 0, 10, BAD, "Redis holds 20 MiB for source legacy and cuts it off beyond 32 MiB"},
    {"output_buffer", fill_buffer_softly, 0, 10, BAD,
     "Redis holds 9 MiB for source legacy and cuts it off when it is more than 8 MiB for 1 min"},
    {"journal_full_soon", full_soon, 10, 0, BAD,
     "at the present rate the journal is full in 9 min 59 s: Kafka takes less than comes, or raise journal.max_size"},
    {"canary_lost", lose_canary, 0, 10, BAD,
     "source second: no canary has come back from Redis for 12 s (canary.late_after is 10 s)"},
    {"canary_late", delay_canary, 0, 0, WARN,
     "source second: Kafka has acknowledged no canary for 12 s (canary.late_after is 10 s)"},
    {"canary_refused", refuse_canary, 0, 0, WARN,
     "source second: Redis does not take the canary: NOPERM; ACL SETUSER x"},
    {"canary_refused", let_nobody_hear_canary, 0, 0, WARN,
     "source second: no canary has come back from Redis for 12 s (canary.late_after is 10 s): Redis gave the last ones "
     "to nobody, the second connection reaches another one"},
    {"not_read", not_read, 2, 30, BAD,
     "source legacy is not read until the disk takes what waits in the ring; and 2 more sources"},
    {"kafka_away", no_kafka, 0, 0, WARN, "Kafka is not connected, messages wait in the journal"},
    {"kafka_away", no_kafka_and_filling, 0, 0, WARN,
     "Kafka is not connected, messages wait in the journal, which has room for 2 h"},
    {"kafka_away_long", no_kafka_for_long, 0, 0, BAD,
     "no broker of Kafka has been connected for 10 min 1 s (kafka.outage_budget is 10 min), messages wait in "
     "the journal"},
    {"topic_missing", lack_topics, 0, 0, WARN, "Kafka lacks the topics a, b"},
    {"record_refused", refuse_record, 0, 0, WARN, "a record of route users for topic t is refused: too large"},
    {"journal_filling", filling, 10, 0, WARN,
     "at the present rate the journal is full in 10 min: Kafka takes less than comes, or raise journal.max_size"},
    {"backlog_old", grow_old, 0, 0, WARN,
     "the oldest record has waited 1 min for Kafka, its topic is the_one_that_waits"},
    {"paused", pause_route, 0, 0, WARN,
     "route orders is paused, its records wait: rkbctl resume route orders; and 1 more pause"},
    {"paused", pause_topic, 0, 0, WARN, "topic views is paused, its records wait: rkbctl resume topic views"},
    {"pauses_unread", lose_pauses, 0, 0, WARN,
     "what was paused before the start is not: /j/paused: Permission denied"},
    {"dead_letter_file", fill_dead_letters, 0, 0, WARN, "the dead-letter file holds 80 MiB of at most 100 MiB"},
    {"dead_letters", die, 0, 0, WARN, "2 messages became dead letters since the start, the last 0 s ago"},
    {"stall_budget_short", shorten_stall, 10, 0, WARN,
     "Redis would cut source legacy off if nothing were read for 500 ms (64 MiB/s come): raise its "
     "client-output-buffer-limit"},
    {"restarts", start_often, 0, 0, WARN, "rkbridge was started 3 times within the last hour, each time with a gap"},
    {"reload_refused", refuse_reload, 0, 0, WARN,
     "what runs is not what the config file says, its last reload was refused: r.yaml:3:5: routes.users.topc: unknown "
     "setting; and 1 more"},
    {"gap_open", open_gap, 10, 0, WARN,
     "gap 17 of source legacy is open (connection_lost): messages may be missing until it ends"},
    {"gaps_recent", recent_gaps, 0, 0, WARN,
     "2 gaps within the last hour (the last: source legacy, redis_restart): at most 7 messages are missing"},
    {"gaps_recent", recent_unknown_gap, 0, 0, WARN,
     "1 gap within the last hour (the last: source legacy, connection_lost): how many messages are missing is not "
     "known"},
    {"ring_lost", lose_ring, 0, 0, WARN,
     "the ring is not in journal.ring_directory, where it was to be: a kill -9 loses what is in it"},
    {"log_lines_lost", lose_lines, 0, 0, WARN,
     "3 log lines were lost since the start, the last 0 s ago: whoever reads the log is too slow"},
    {"draining", linger, 0, 0, WARN,
     "asked to end: it takes messages for 3.5 s more (linger), then ships what waits and ends"},
    {"draining", leave, 0, 0, WARN,
     "shutting down: it takes no more, and ships what waits (22 records) for 12 s more at the most"},
    {"not_ready", not_ready, 0, 0, WARN, "not ready yet"},
    {"restarted", start_anew, 0, 0, OK,
     "rkbridge was started anew within the last hour: a gap says what may be missing"},
    {"ring_anonymous", want_no_ring, 0, 0, OK,
     "a kill -9 loses what is in the ring: journal.ring_directory may name a tmpfs"},
    {"tls_unverified", believe_all, 0, 0, OK,
     "source legacy believes whoever answers (tls_verify: no): set it to yes, and tls_ca_file where this system does "
     "not know its CA"},
};
#define ROWS (sizeof rows / sizeof rows[0])

static void check_row(const struct row *row)
{
    static struct world world;
    well(&world);
    look(&world);
    wait(&world, 20);
    if (!is_quiet(&world))
        fail_msg("%s: '%s' where all is well", row->word, rkb_verdict_why(&world.judgement));
    row->break_it(&world);
    look(&world);
    if (row->quiet > 0) {
        wait(&world, row->quiet - 1);
        if (!is_quiet(&world))
            fail_msg("%s is said before it has lasted: %s", row->word, rkb_verdict_why(&world.judgement));
        wait(&world, 1);
    }
    if (row->grace > row->quiet) {
        check(&world, row->word, WARN, row->what);
        wait(&world, row->grace - row->quiet - 1);
        check(&world, row->word, WARN, row->what);
        wait(&world, 1);
    }
    check(&world, row->word, row->severity, row->what);
}

static void test_each_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        check_row(&rows[i]);
    for (size_t rule = 0; rule < RKB_VERDICT_ROWS; rule++) {
        size_t tried = 0;
        for (size_t i = 0; i < ROWS; i++)
            tried += strcmp(rows[i].word, rkb_verdict_row(rule).word) == 0;
        if (tried == 0)
            fail_msg("the rule %s is not tried", rkb_verdict_row(rule).word);
    }
}

/* What is right at the edge of a rule, and what explains itself otherwise. */
static void test_what_is_well(void **state)
{
    (void)state;
    static struct world world;
    well(&world);
    world.snapshot.journal.seconds_to_full = 3600;
    world.snapshot.journal.oldest_pending_seconds = 59.9;
    world.snapshot.kafka.dead_letter_bytes = 79 << 20;
    world.snapshot.kafka.dead_letter_limit = 100 << 20;
    world.sources[0].stall = (struct rkb_stall_snapshot){16 << 20, 32 << 20, 0, 0, 32 << 20, 1};
    world.sources[1].stall = (struct rkb_stall_snapshot){-1, -1, -1, -1, -1, -1};
    world.sources[1].another_bridge = -1;
    world.gaps[0] = gap(1, "connection_lost", -60, -50, 0);             /* nothing is missing */
    world.gaps[1] = gap(2, "connection_lost", -9000, -3601, 12);        /* long ago */
    world.gaps[2] = gap(3, "not_durable", -60, -50, UINT64_MAX);        /* no loss by itself */
    world.gaps[3] = gap(4, "not_durable", -60, 1, UINT64_MAX);
    world.gaps[4] = gap(5, "restart", -7200, -3601, UINT64_MAX);
    world.gaps[5] = gap(6, "restart", -50, -40, 0);
    world.snapshot.gap_count = 6;
    look(&world);
    wait(&world, 30);
    if (!is_quiet(&world))
        fail_msg("%s", rkb_verdict_why(&world.judgement));
    world.snapshot.totals.dead_lettered = world.snapshot.totals.received = 1;
    world.snapshot.totals.recovered = world.snapshot.totals.delivered = world.snapshot.totals.dropped = 0;
    world.snapshot.totals.pending = 0;
    wait(&world, 601);
    assert_int_equal(world.judgement.severity, WARN);
    wait(&world, 2);
    assert_true(is_quiet(&world));
}

/* Who is not connected ships nothing, be another bridge there or not. */
static void test_nothing_is_shipped_twice_without_a_connection(void **state)
{
    (void)state;
    static struct world world;
    well(&world);
    share(&world);
    look(&world);
    assert_non_null(find(&world, "shipped_twice"));
    stop_intake(&world);
    look(&world);
    assert_null(find(&world, "shipped_twice"));
    assert_non_null(find(&world, "intake_stopped"));
}

static char *read_page(void)
{
    const char *srcdir = getenv("srcdir");
    char path[1024];
    snprintf(path, sizeof path, "%s/" RKB_VERDICT_PAGE, srcdir == NULL ? "." : srcdir);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s cannot be read", path);
    char *text = calloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    fclose(file);
    return text;
}

static bool is_command(const char *word, size_t size)
{
    size_t count;
    const struct rkb_command *commands = rkb_commands(&count);
    for (size_t i = 0; i < count; i++)
        if (strlen(commands[i].word) == size && strncmp(commands[i].word, word, size) == 0)
            return true;
    return false;
}

/* Each word has its section in the runbook, in which its severity stands; and where a rule sends to, that exists. */
static void test_links(void **state)
{
    (void)state;
    char *page = read_page();
    for (size_t i = 0; i < RKB_VERDICT_ROWS; i++) {
        struct rkb_verdict_row row = rkb_verdict_row(i);
        char heading[100], link[100];
        snprintf(heading, sizeof heading, "\n## %s\n", row.word);
        snprintf(link, sizeof link, RKB_VERDICT_PAGE "#%s", row.word);
        const char *section = strstr(page, heading);
        if (section == NULL)
            fail_msg(RKB_VERDICT_PAGE " has no section %s", row.word);
        const char *severity = rkb_severity_word(row.severity), *said = section + strlen(heading) + 1;
        if (strncmp(said, severity, strlen(severity)) != 0)
            fail_msg(RKB_VERDICT_PAGE ": the section %s has to begin with %s", row.word, severity);
        if (strncmp(row.next, "rkbctl ", 7) == 0)
            assert_true(is_command(row.next + 7, strcspn(row.next + 7, " ")));
        else
            assert_string_equal(row.next, link);
    }
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rule),
        cmocka_unit_test(test_what_is_well),
        cmocka_unit_test(test_nothing_is_shipped_twice_without_a_connection),
        cmocka_unit_test(test_links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
