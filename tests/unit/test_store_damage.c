/*
 * What a start makes of damage that is not in a segment: bits flipped in the ring, a number in the ledger that nobody
 * can have given, a journal whose directory is gone.
 */
#include "store_support.h"

#include "journal/raw.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAR (UINT64_C(1) << 60)
#define READ_US INT64_C(1700000000000000)

/* A journal with its names and so many messages of route 1. */
static void open_with(struct test *test, size_t count)
{
    open_store(test);
    put_names(test);
    put_messages(test, 1, count);
    assert_true(take(test));
}

/* The ring's notes: the next number, the lowest that Kafka has not, and until when all was read. */
static void note(struct test *test, uint64_t next, uint64_t low, int64_t read_us)
{
    rkb_ring_note_next(test->store.ring, next);
    rkb_ring_note_low(test->store.ring, low);
    rkb_ring_note_read(test->store.ring, read_us);
}

/* A gap whose number nobody gave. */
static void forge_gap(struct test *test, uint64_t id)
{
    const struct rkb_gap forged = {.id = id, .source = "legacy", .reason = "restart",
                                   .from_us = 1000, .to_us = 2000, .bound = RKB_BOUND_UNKNOWN};
    assert_true(rkb_ledger_append(test->store.ledger, &forged, NULL));
}

static char *ring_path(const struct test *test)
{
    char *found = NULL;
    DIR *open = opendir(test->ring_directory);
    for (struct dirent *entry = readdir(open); entry != NULL; entry = readdir(open))
        if (strstr(entry->d_name, ".ring") != NULL)
            found = join(test->ring_directory, entry->d_name);
    closedir(open);
    assert_non_null(found);
    return found;
}

/*
 * Killed with records in the journal, of which Kafka has some, and in the ring. Whatever bit of the ring's notes flips:
 * all that Kafka has not is there, and what it has does not come again.
 */
static void test_bits_of_the_ring_flip(void **state)
{
    struct test *test = *state;
    size_t size;
    for (size_t at = 64; at < 460; at += 3) {
        open_store(test);
        if (at == 64)
            put_names(test);
        put_messages(test, 1, 10);
        assert_true(take(test));
        uint64_t next = rkb_journal_next(test->store.journal);
        rkb_ring_note_next(test->store.ring, next);
        rkb_ring_note_low(test->store.ring, next - 4);
        rkb_ring_note_topic_low(test->store.ring, 1, next - 4);
        put_messages(test, 2, 5);
        close_store(test);
        char *path = ring_path(test);
        uint8_t *ring = read_whole(path, &size);
        ring[at] ^= (uint8_t)(1 << at / 3 % 8);
        write_whole(path, ring, size);
        free(ring);
        free(path);
        open_store(test);
        assert_int_equal(waiting(test, 1), 4);
        assert_int_equal(waiting(test, 2), 5);
        assert_int_equal(test->store.recovery.damaged, 0);
        assert_int_equal(test->store.next_sequence, test->next);
        rkb_ring_note_low(test->store.ring, test->next);
        close_store(test);
    }
    open_store(test);
}

/* Its checksum holds, and yet: no start can count up to it, nor remember each number on the way there. */
static void test_a_number_nobody_can_have_given(void **state)
{
    struct test *test = *state;
    open_with(test, 20);
    settle(test->store.journal, 1, 5);
    settle(test->store.journal, 8, 9);
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    forge_gap(test, FAR);
    reopen_store(test);
    const struct rkb_recovery *recovery = &test->store.recovery;
    assert_int_equal(waiting(test, 1), 13);
    assert_int_equal(recovery->lost_first, 21);
    assert_int_equal(recovery->lost_last, FAR);
    assert_int_equal(recovery->damaged, 1);
    assert_int_equal(test->store.next_sequence, FAR + 1);
    /* It goes on behind it, is settled out of turn, and the next start finds just that. */
    test->next = FAR + 1;
    put_messages(test, 2, 10);
    assert_true(take(test));
    settle(test->store.journal, FAR + 3, FAR + 6);
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    for (int restart = 0; restart < 2; restart++) {
        reopen_store(test);
        assert_int_equal(waiting(test, 1), 13);
        assert_int_equal(waiting(test, 2), 6);
        assert_int_equal(recovery->damaged, 0);
        assert_int_equal(recovery->lost_last, 0);
        assert_int_equal(test->store.next_sequence, FAR + 11);
    }
    settle(test->store.journal, 6, 7);
    settle(test->store.journal, 10, 20);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(test->store.journal)), FAR + 1);
    settle(test->store.journal, FAR + 1, FAR + 10);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(test->store.journal)), FAR + 11);
}

/* Behind it no number would be left: it is not believed. */
static void test_the_last_number_there_is(void **state)
{
    struct test *test = *state;
    open_with(test, 20);
    forge_gap(test, INT64_MAX);
    reopen_store(test);
    assert_int_equal(test->store.next_sequence, 21);
    assert_int_equal(waiting(test, 1), 20);
}

static void delete_journal(struct test *test)
{
    close_store(test);
    empty_directory(test->parent);
}

/* After a kill its ring tells that there was one, what was not settled, and until when all had been read. */
static void test_the_journal_is_gone(void **state)
{
    struct test *test = *state;
    open_with(test, 20);
    note(test, 21, 16, READ_US);
    put_messages(test, 2, 2);
    size_t bytes = ring_bytes(test);
    delete_journal(test);
    open_store(test);
    const struct rkb_recovery *recovery = &test->store.recovery;
    assert_false(recovery->fresh);
    assert_int_equal(recovery->damaged, 2);         /* that it is gone, and that records are */
    assert_int_equal(recovery->lost_first, 16);
    assert_int_equal(recovery->lost_last, 20 + bytes / 64);     /* at most */
    assert_int_equal(recovery->lost_to_us, READ_US);
    assert_int_equal(recovery->last_time_us, READ_US);
    assert_true(test->store.next_sequence > 22);
    assert_int_equal(waiting(test, 1), 0);          /* their topics' names are gone: nothing wrong is delivered */
    assert_int_equal(waiting(test, 2), 0);
    char *log = read_log(test);
    assert_non_null(strstr(log, "journal_damaged"));
    assert_non_null(strstr(log, "gone from its directory"));
    free(log);
}

/* All was shipped: nothing is lost but what was published meanwhile. */
static void test_the_journal_is_gone_and_all_was_shipped(void **state)
{
    struct test *test = *state;
    open_with(test, 20);
    note(test, 21, 21, READ_US);
    delete_journal(test);
    open_store(test);
    assert_false(test->store.recovery.fresh);
    assert_int_equal(test->store.recovery.damaged, 1);
    assert_int_equal(test->store.recovery.lost_last, 0);
    assert_int_equal(test->store.recovery.last_time_us, READ_US);
    assert_int_equal(test->store.next_sequence, 21);
    /* It is told once: the new journal stands for itself. */
    put_names(test);
    test->next = 21;
    put_messages(test, 1, 3);
    assert_true(take(test));
    reopen_store(test);
    assert_int_equal(test->store.next_sequence, 24);
    assert_int_equal(waiting(test, 1), 3);
}

/* Nothing at all is left of it: a first start like any other. */
static void test_the_journal_is_gone_after_a_clean_end(void **state)
{
    struct test *test = *state;
    open_with(test, 20);
    rkb_store_close(&test->store, true);
    test->store = (struct rkb_store){0};
    delete_journal(test);
    open_store(test);
    assert_true(test->store.recovery.fresh);
    assert_int_equal(test->store.recovery.damaged, 0);
}

/*
 * The checkpoint's last time is by a clock that was an hour ahead. What was lost behind it ends before it begins, and
 * says so: the gap is made of both (test_relay_clock).
 */
static void test_a_checkpoint_of_before_the_clock_went_back(void **state)
{
    struct test *test = *state;
    static const uint8_t value[72];
    int64_t now_us = rkb_sys_posix.realtime_us(), ahead_us = now_us + INT64_C(3600000000);
    open_store(test);
    put_names(test);
    put_messages(test, 1, 5);
    const struct rkb_record mark = {.kind = RKB_MARK, .sequence = test->next++, .time_us = ahead_us, .epoch = 9,
                                    .route = 1, .value = {value, sizeof value}};
    assert_true(put(test, &mark));
    assert_true(take(test));
    settle(test->store.journal, 1, 6);
    assert_true(rkb_journal_checkpoint(test->store.journal, UINT64_MAX, true, NULL));
    rkb_ring_note_next(test->store.ring, 10);
    rkb_ring_note_read(test->store.ring, now_us);
    reopen_store(test);
    const struct rkb_recovery *recovery = &test->store.recovery;
    assert_int_equal(recovery->lost_first, 7);
    assert_int_equal(recovery->lost_last, 9);
    assert_true(recovery->lost_from_us >= ahead_us / 1000 * 1000);
    assert_in_range(recovery->lost_to_us, now_us, ahead_us - 1);
    assert_int_equal(recovery->last_mark_ms, ahead_us / 1000);      /* the next mark comes after it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bits_of_the_ring_flip, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_number_nobody_can_have_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_last_number_there_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_checkpoint_of_before_the_clock_went_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_journal_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_journal_is_gone_and_all_was_shipped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_journal_is_gone_after_a_clean_end, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
