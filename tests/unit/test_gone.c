/*
 * Files deleted under a running journal: descriptors go on working, and what is written to them is gone with the
 * process. It is noticed, and what can be is made anew.
 */
#include "degrade_life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/dead.h"
#include "journal/ledger.h"
#include "journal/lock.h"

/* ---- a life in a directory that goes ---- */

static char *moved(const struct life *life)
{
    char *path;
    assert_true(asprintf(&path, "%s.moved", life->directory) > 0);
    return path;
}

static void remove_in(const struct life *life, const char *name)
{
    char *path = join(life->directory, name);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void begin(struct life *life)
{
    life_begin(life, faulty_disk(), false);
    for (int i = 0; i < 12; i++)
        life_turn(life, 3);
}

static void assert_all_is_well(struct life *life)
{
    struct rkb_error error = {.code = RKB_SYSTEM};
    assert_true(rkb_journal_look(life->journal, &error));
    assert_int_equal(error.code, RKB_OK);
}

static void assert_gone(struct life *life, const char *words)
{
    struct rkb_error error = {0};
    assert_false(rkb_journal_look(life->journal, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_non_null(strstr(error.text, words));
    rkb_journal_give_up(life->journal, &error);
    assert_true(life_degraded(life));
}

/* Nothing is put into another directory in its place; put back, it is used again, and has all. */
static void the_directory_is_renamed(void **state)
{
    struct life *life = *state;
    struct rkb_error error = {0};
    char *away = moved(life);
    begin(life);
    assert_all_is_well(life);
    assert_int_equal(rename(life->directory, away), 0);
    assert_gone(life, "was deleted, or another is in its place");
    for (int i = 0; i < 20; i++)
        life_turn(life, 3);
    assert_int_equal(mkdir(life->directory, 0700), 0);
    fail_call(CALL_PWRITE, 1, EIO);     /* the checkpoint is to be made anew, too */
    assert_false(rkb_journal_checkpoint(life->journal, rkb_journal_synced(life->journal), false, &error));
    assert_true(call_failed());
    for (int i = 0; i < 120; i++)
        life_turn(life, 3);
    assert_true(life_degraded(life) && life_in_memory(life) > 0);
    assert_all_is_well(life);           /* said already */
    assert_int_equal(rmdir(life->directory), 0);        /* nothing is in it */
    assert_int_equal(rename(away, life->directory), 0);
    life_recovers(life, 3);
    assert_all_is_well(life);
    assert_int_equal(life->dropped, 0);
    life_starts_again(life);
    life_end(life);
    free(away);
}

/* All of it goes; what was not delivered goes on through memory. */
static void the_directory_is_deleted(void **state)
{
    struct life *life = *state;
    begin(life);
    empty_directory(life->directory);
    assert_int_equal(rmdir(life->directory), 0);
    assert_gone(life, "was deleted, or another is in its place");
    for (int i = 0; i < 20; i++)
        life_turn(life, 3);
    life_turn(life, 0);
    assert_true(life_degraded(life));
    assert_int_equal(life->dropped, 0);
    life_end(life);
    assert_int_equal(mkdir(life->directory, 0700), 0);
}

/* A new segment takes its place; of what was in it only what Kafka had not is missing at the next start. */
static void the_segment_that_is_written(void **state)
{
    struct life *life = *state;
    char name[32];
    begin(life);
    life_turn(life, 0);
    for (uint64_t i = 1; i < rkb_journal_next(life->journal); i++) {
        snprintf(name, sizeof name, "%020d.seg", (int)i);
        char *path = join(life->directory, name);
        unlink(path);
        free(path);
    }
    assert_gone(life, "was deleted while it was written");
    life_recovers(life, 0);
    assert_all_is_well(life);
    life_starts_again(life);
    life_end(life);
}

static void the_checkpoint(void **state)
{
    struct life *life = *state;
    struct rkb_error error = {0};
    begin(life);
    remove_in(life, "checkpoint");
    assert_true(rkb_journal_look(life->journal, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_non_null(strstr(error.text, "/checkpoint was deleted"));
    assert_true(rkb_journal_checkpoint_due(life->journal, UINT64_MAX));
    life_turn(life, 0);
    assert_all_is_well(life);
    life_starts_again(life);
    assert_int_equal(life->recovery.low, rkb_journal_next(life->journal));
    life_end(life);
}

static void the_lock(void **state)
{
    struct life *life = *state;
    struct rkb_error error = {0};
    uint8_t id[16], before[16];
    begin(life);
    memcpy(before, rkb_journal_id(life->journal), sizeof before);
    remove_in(life, "lock");
    assert_true(rkb_journal_look(life->journal, &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_non_null(strstr(error.text, "/lock was deleted"));
    assert_all_is_well(life);
    assert_true(rkb_lock_read_id(life->directory, &rkb_sys_posix, id, &error));
    assert_memory_equal(id, before, sizeof id);
    assert_int_equal(rkb_lock_take(life->directory, &rkb_sys_posix, &error), -1);
    assert_int_equal(error.code, RKB_LOCKED);
    life_starts_again(life);

    remove_in(life, "lock");            /* somebody is quicker */
    int other = rkb_lock_take(life->directory, &rkb_sys_posix, &error);
    assert_true(other >= 0);
    assert_false(rkb_journal_look(life->journal, &error));
    assert_int_equal(error.code, RKB_LOCKED);
    close(other);
    assert_true(rkb_journal_look(life->journal, &error));
    life_end(life);
}

/* ---- the files beside ---- */

static void count_gap(void *context, const struct rkb_gap *gap)
{
    size_t *count = context;
    assert_int_equal(gap->id, ++*count);
}

static void the_ledger(void **state)
{
    static const uint8_t id[16] = {1};
    struct life *life = *state;
    struct rkb_error error = {0};
    size_t count = 0;
    struct rkb_ledger *ledger = rkb_ledger_open(life->directory, id, quick_disk(), NULL, NULL, &error);
    for (uint64_t i = 1; i <= 2; i++) {
        struct rkb_gap gap = {.id = i, .source = "s", .reason = "restart", .from_us = 1000, .to_us = 2000};
        assert_true(rkb_ledger_append(ledger, &gap, &error));
        if (i == 1)
            remove_in(life, "ledger");
    }
    assert_true(rkb_ledger_mend(ledger, &error));
    rkb_ledger_close(ledger);
    ledger = rkb_ledger_open(life->directory, id, quick_disk(), count_gap, &count, &error);
    assert_int_equal(error.code, RKB_OK);
    assert_int_equal(count, 2);
    rkb_ledger_close(ledger);
}

static void the_dead_letters(void **state)
{
    static const uint8_t id[16] = {1};
    struct life *life = *state;
    struct rkb_error error = {0};
    struct rkb_dead_figures figures;
    struct rkb_dead *dead = rkb_dead_open(life->directory, id, MIB, 1, quick_disk(), &error);
    for (uint64_t i = 1; i <= 2; i++) {
        struct rkb_record record = {.kind = RKB_MESSAGE, .sequence = i, .value = rkb_slice_text("{}")};
        assert_true(rkb_dead_append(dead, &record, "r", "t", "CODE", "why", 1000, &error));
        if (i == 1)
            remove_in(life, "dead-letters");
    }
    assert_true(rkb_dead_sync(dead, &error));
    rkb_dead_close(dead);
    dead = rkb_dead_open(life->directory, id, MIB, 1, quick_disk(), &error);
    rkb_dead_figures(dead, &figures);
    assert_int_equal(figures.count, 2);
    rkb_dead_close(dead);
}

#define one(test) cmocka_unit_test_setup_teardown(test, life_set_up, life_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        one(the_directory_is_renamed), one(the_directory_is_deleted), one(the_segment_that_is_written),
        one(the_checkpoint), one(the_lock), one(the_ledger), one(the_dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
