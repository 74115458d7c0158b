/*
 * A journal whose disk fails and which goes on: whatever call fails, once, for a while or for ever, each record is read
 * back once and in order, numbers are not given twice, and it says from when to when what it took was not durable.
 */
#include "degrade_life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct trouble {
    enum call call;
    int number;
};

static const struct trouble troubles[] = {
    {CALL_OPEN, EIO}, {CALL_OPEN, EROFS}, {CALL_PWRITE, EIO}, {CALL_PWRITE, EROFS}, {CALL_PWRITE_SHORT, EIO},
    {CALL_FDATASYNC, EIO}, {CALL_FDATASYNC, ENOSPC}, {CALL_FSYNC, EIO}, {CALL_ALLOCATE, EIO}, {CALL_ALLOCATE, EROFS},
    {CALL_FTRUNCATE, EIO}, {CALL_RENAME, EROFS}, {CALL_UNLINK, EROFS}, {CALL_SPACE, EIO}, {CALL_CHANGE, EIO},
    {CALL_CHANGE, EROFS},
};

/* One life with one trouble from its nth call on; `turns` it lasts, 0: it happens once. True when it came to happen. */
static bool live(struct life *life, const struct trouble *trouble, int nth, int turns, bool no_sync, bool killed)
{
    life_forget_memory(life);
    empty_directory(life->directory);
    empty_directory(life->ring_directory);
    life->dropped = 0;
    life_begin(life, faulty_disk(), no_sync);
    fail_only_under(life->directory);
    for (int i = 0; i < 20; i++)
        life_turn(life, 50);
    if (turns == 0)
        fail_call(trouble->call, nth, trouble->number);
    else
        fail_calls(trouble->call, trouble->number);
    for (int i = 0; i < (turns == 0 ? 20 : turns); i++)
        life_turn(life, 50);
    bool happened = call_failed();
    if (!killed)
        life_recovers(life, 50);
    assert_int_equal(life->dropped, 0);
    life_starts_again(life);
    life_turn(life, 50);
    life_end(life);
    return happened;
}

static void any_call_fails_once(void **state)
{
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++) {
        int nth = 0;
        for (int how = 0; how < 3; how++)
            for (nth = 1; live(*state, &troubles[i], nth, 0, how == 1, how == 2); nth++) {
            }
        assert_true(nth > 1 || troubles[i].call == CALL_PWRITE_SHORT || troubles[i].call == CALL_FSYNC);
    }
}

static void any_call_fails_for_a_while(void **state)
{
    for (size_t i = 0; i < sizeof troubles / sizeof troubles[0]; i++)
        for (int how = 0; how < 3; how++)
            live(*state, &troubles[i], 0, 40, how == 1, how == 2);
}

/*
 * All calls that change something fail: the disk was mounted read-only, say. Memory takes what comes until it is full.
 */
static void memory_has_its_limit(void **state)
{
    struct life *life = *state;
    struct rkb_journal_figures figures;
    life_begin(life, faulty_disk(), false);
    fail_only_under(life->directory);
    life_turn(life, 1000000);
    fail_calls(CALL_PWRITE, EROFS);
    for (int i = 0; i < 200 && life->dropped == 0; i++) {
        life_turn(life, 1000000);
        rkb_journal_figures(life->journal, &figures);
        assert_true(figures.memory <= MEMORY);
    }
    assert_true(life->dropped > 0 && life_degraded(life));
    assert_int_equal(figures.limit, RKB_LIMIT_MEMORY);
    assert_true(figures.memory > MEMORY / 2);
    assert_non_null(strstr(figures.trouble, strerror(EROFS)));
    life_turn(life, 0);              /* Kafka takes it */
    uint64_t before = life->dropped;
    life_turn(life, 0);
    life_turn(life, 0);
    assert_int_equal(life->dropped, before);
    assert_true(life_in_memory(life) < 4);
    life_recovers(life, 0);
    life_starts_again(life);
    life_end(life);
}

/* The disk is tried at once, then after 5, 10, 20, 40, 60 seconds, not more. */
static void a_disk_that_fails_is_not_tried_at_every_turn(void **state)
{
    struct life *life = *state;
    life_begin(life, faulty_disk(), false);
    fail_only_under(life->directory);
    life_turn(life, 0);
    fail_calls(CALL_PWRITE, EIO);
    int before = calls_of(CALL_OPEN);
    for (int i = 0; i < 600; i++)
        life_turn(life, 0);
    struct rkb_degraded how;
    assert_true(rkb_journal_degraded(life->journal, &how));
    assert_int_equal(how.again_us, 60 * SECOND);
    assert_in_range(how.failures, 8, 18);
    /* Each failure opens a spare; the checkpoint, made anew each time here, opens one too. */
    assert_true(calls_of(CALL_OPEN) - before < 600 + 40);
    life_recovers(life, 0);
    life_starts_again(life);
    life_end(life);
}

/* What was only in memory and is gone is lost inside a span that the next start tells of; no number comes twice. */
static void what_was_in_memory_alone_is_told(void **state)
{
    struct life *life = *state;
    life_begin(life, faulty_disk(), false);
    fail_only_under(life->directory);
    life_turn(life, 3);
    fail_calls(CALL_PWRITE, EIO);
    for (int i = 0; i < 5; i++)
        life_turn(life, 10);
    uint64_t next = rkb_journal_next(life->journal), low = rkb_acks_low(rkb_journal_acks(life->journal));
    rkb_ring_note_read(life->ring, 1700000000000000);
    life_end(life);
    life_forget_memory(life);
    life_begin(life, faulty_disk(), false);
    assert_int_equal(life->recovery.next_sequence, next);
    assert_int_equal(life->recovery.lost_first, low);
    assert_int_equal(life->recovery.lost_last, next - 1);
    assert_true(life->recovery.lost_from_us <= 1000000 + (int64_t)low);
    assert_int_equal(life->recovery.lost_to_us, 1700000000000000);
    assert_int_equal(life->recovery.damaged, 1);
    life_turn(life, 0);
    life_end(life);
}

/* An older journal put in the place of this one, and none at all: numbers go on behind those given out. */
static void numbers_are_not_given_twice_on_an_older_journal(void **state)
{
    struct life *life = *state;
    char *copy = make_directory();
    life_begin(life, faulty_disk(), false);
    life_turn(life, 0);
    copy_directory(life->directory, copy);
    for (int i = 0; i < 5; i++)
        life_turn(life, 0);
    uint64_t next = rkb_journal_next(life->journal);
    life_end(life);
    copy_directory(copy, life->directory);
    life_begin(life, faulty_disk(), false);
    assert_int_equal(life->recovery.next_sequence, next);
    assert_int_equal(life->recovery.lost_last, 0);      /* Kafka has them */
    assert_int_equal(rkb_acks_low(rkb_journal_acks(life->journal)), next);
    life_turn(life, 0);
    assert_int_equal(life->read, next + ROUND - 1);
    life_end(life);
    remove_directory(copy);
}

/* The kernel may have dropped what a failed sync was for: that it succeeds later would say nothing. */
static void what_was_given_up_is_not_synced_again(void **state)
{
    struct life *life = *state;
    struct rkb_sync job;
    struct rkb_error error = {0};
    life_begin(life, faulty_disk(), false);
    life_turn(life, 0);
    life_append(life);
    assert_true(rkb_journal_sync_begin(life->journal, true, &job, &error));
    size_t files = job.count;
    fail_call(CALL_FDATASYNC, 1, EIO);
    assert_false(rkb_sync_run(&job, &error));
    assert_false(rkb_journal_sync_end(life->journal, &job));
    uint64_t synced = rkb_journal_synced(life->journal);
    rkb_journal_give_up(life->journal, &error);
    struct rkb_degraded how;
    assert_true(rkb_journal_degraded(life->journal, &how));
    assert_int_equal(how.first, synced);
    assert_int_equal(rkb_journal_synced(life->journal), rkb_journal_next(life->journal));   /* nothing waits for it */
    life_append(life);
    assert_true(rkb_journal_sync_begin(life->journal, true, &job, &error));
    assert_int_equal(job.records, files + 1 - (files > 1));     /* the new segment and the directory */
    assert_true(job.on_disk);
    assert_true(rkb_sync_run(&job, &error));
    assert_true(rkb_journal_sync_end(life->journal, &job));
    assert_false(life_degraded(life));
    life_read_on(life, 0);
    life_starts_again(life);
    life_end(life);
}

/*
 * A failed sync leaves pages that count as written and are not on the disk: they are not given back to be read again.
 */
static void what_was_given_up_stays_in_the_page_cache(void **state)
{
    struct life *life = *state;
    struct rkb_sync job;
    struct rkb_error error = {0};
    for (int fails = 0; fails < 2; fails++) {
        empty_directory(life->directory);
        life_begin(life, faulty_disk(), false);
        life_append(life);
        fail_call(CALL_FDATASYNC, fails, EIO);
        life_sync(life);
        assert_int_equal(life_degraded(life), fails);
        for (int i = 0; i < (fails ? 2 : 10); i++)
            life_append(life);                       /* into the next segment */
        settle(life->journal, 3, 40000);        /* a topic stands still at 1, all others are far ahead */
        assert_true(rkb_journal_sync_begin(life->journal, true, &job, &error));
        assert_int_equal(job.given_count, 1 - fails);
        assert_true(rkb_sync_run(&job, &error));
        assert_true(rkb_journal_sync_end(life->journal, &job));
        life_end(life);
    }
}

/* A sync that was under way when a write failed promises nothing about what came behind it. */
static void a_sync_from_before_the_failure_mends_nothing(void **state)
{
    struct life *life = *state;
    struct rkb_sync job;
    struct rkb_error error = {0};
    life_begin(life, faulty_disk(), false);
    life_append(life);
    assert_true(rkb_journal_sync_begin(life->journal, true, &job, &error));
    fail_call(CALL_PWRITE, 1, EIO);
    life_append(life);
    assert_true(life_degraded(life));
    assert_true(rkb_sync_run(&job, &error));
    assert_true(rkb_journal_sync_end(life->journal, &job));
    assert_true(life_degraded(life));
    life_read_on(life, 0);
    life_recovers(life, 0);
    life_starts_again(life);
    life_end(life);
}

/* One segment on the disk, given up before anything counted in it, and one in memory that has its number. */
static void memory_wins_over_an_empty_one_on_the_disk(void **state)
{
    struct life *life = *state;
    life_begin(life, faulty_disk(), false);
    fail_only_under(life->directory);
    life_turn(life, 0);
    fail_calls(CALL_PWRITE, EIO);
    life_turn(life, 1000);
    char *directory = life_memory_directory(life), name[32], *at;
    uint64_t first = 0;
    for (uint64_t i = 1; i < rkb_journal_next(life->journal); i++) {
        snprintf(name, sizeof name, "%020d.seg", (int)i);
        at = join(directory, name);
        first = access(at, F_OK) == 0 ? i : first;
        free(at);
    }
    assert_int_not_equal(first, 0);
    snprintf(name, sizeof name, "%020d.seg", (int)first);
    at = join(life->directory, name);
    write_whole(at, (const uint8_t *)"RKBSEG torn", 11);
    fail_call(CALL_OPEN, 0, 0);
    life_starts_again(life);
    assert_int_not_equal(access(at, F_OK), 0);
    life_end(life);
    free(at);
    free(directory);
}

/* A directory of that name which others may write to is not used. */
static void a_foreign_place_in_memory_is_left_alone(void **state)
{
    struct life *life = *state;
    char id[33] = "", name[64], *foreign;
    life_begin(life, faulty_disk(), false);
    rkb_hex(id, rkb_journal_id(life->journal), 16);
    snprintf(name, sizeof name, "rkbridge-%s.segments", id);
    life_end(life);
    foreign = join(life->ring_directory, name);
    assert_int_equal(mkdir(foreign, 0700), 0);
    assert_int_equal(chmod(foreign, 0777), 0);
    life_begin(life, faulty_disk(), false);
    fail_only_under(life->directory);
    life_turn(life, 0);
    fail_calls(CALL_PWRITE, EIO);
    life_turn(life, 0);
    life_turn(life, 0);
    struct rkb_journal_figures figures;
    rkb_journal_figures(life->journal, &figures);
    assert_true(figures.memory > 0);
    assert_int_equal(count_files(foreign, ".seg"), 0);
    life_recovers(life, 0);
    life_end(life);
    free(foreign);
}

#define one(test) cmocka_unit_test_setup_teardown(test, life_set_up, life_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(any_call_fails_once),
        one(any_call_fails_for_a_while),
        one(memory_has_its_limit),
        one(a_disk_that_fails_is_not_tried_at_every_turn),
        one(what_was_in_memory_alone_is_told),
        one(numbers_are_not_given_twice_on_an_older_journal),
        one(what_was_given_up_is_not_synced_again),
        one(what_was_given_up_stays_in_the_page_cache),
        one(a_sync_from_before_the_failure_mends_nothing),
        one(memory_wins_over_an_empty_one_on_the_disk),
        one(a_foreign_place_in_memory_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
