/*
 * Tests of a journal whose system calls fail: what it took is there when it opens again, and what failed was not
 * promised.
 */
#include "recovery_support.h"

#include <errno.h>

#define SECOND INT64_C(1000000)

/* Appends messages until `last` is in; a batch that fails is tried again, as the shipper does, but not for ever. */
static void append_up_to(struct rkb_journal *journal, uint64_t last)
{
    struct batch batch = {0};
    struct rkb_error error;
    for (int attempt = 0; attempt <= 20 && rkb_journal_next(journal) <= last; attempt++) {
        uint64_t first = rkb_journal_next(journal);
        size_t taken, expected = 0;
        batch_clear(&batch);
        batch_name(&batch, RKB_NAME_TOPIC, "t1");
        for (uint64_t i = first; i < first + 20; i++)
            batch_message(&batch, i, 1000);
        assert_true(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error) ||
                    call_failed());
        for (uint64_t i = first; i < rkb_journal_next(journal); i++)
            expected += rkb_record_size(i % 2 == 0 ? 3 : 0, 0, 1000);
        assert_true(taken == 0 || taken == expected + 64 + 8);
    }
    batch_free(&batch);
}

/* What a journal has promised: what it took, and between which numbers its checkpoint's low must be. */
struct promised {
    uint64_t taken, least_low, most_low;
};

/* A life of a journal with every kind of call in it. */
static void live(const char *directory, const struct rkb_sys *sys, struct promised *promised)
{
    struct rkb_journal_options options = options_for(directory, LIMIT, SEGMENT, sys);
    struct rkb_recovery recovery;
    struct rkb_error error;
    for (uint64_t round = 0; round < 2; round++) {
        struct rkb_journal *journal = rkb_journal_open(&options, &recovery, NULL, NULL, &error);
        if (journal == NULL)
            continue;
        assert_true(recovery.next_sequence > promised->taken);
        uint64_t first = recovery.next_sequence;
        append_up_to(journal, first + 99);
        rkb_journal_prepare(journal);
        append_up_to(journal, first + 159);
        bool synced = rkb_journal_sync(journal, &error);
        assert_int_equal(rkb_journal_synced(journal), synced ? rkb_journal_next(journal) : first);
        promised->taken = rkb_journal_next(journal) - 1;
        settle(journal, 1, first + 79 < promised->taken ? first + 79 : promised->taken);
        promised->most_low = rkb_acks_low(rkb_journal_acks(journal));
        if (rkb_journal_checkpoint(journal, rkb_journal_synced(journal), true, &error))
            promised->least_low = synced ? promised->most_low : first;
        rkb_journal_close(journal);
    }
}

static void reopens_correctly(const char *directory, const struct promised *promised)
{
    struct rkb_recovery recovery;
    struct rkb_journal *journal = open_journal(directory, LIMIT, SEGMENT, &recovery);
    assert_int_equal(recovery.damaged, 0);
    assert_int_equal(recovery.lost_first, 0);
    assert_true(recovery.next_sequence > promised->taken);
    assert_true(recovery.low >= promised->least_low && recovery.low <= promised->most_low);
    assert_int_equal(read_messages(journal, recovery.low, 1000), recovery.next_sequence);
    append_messages(journal, recovery.next_sequence, recovery.next_sequence + 5, 1000);
    assert_int_equal(count_files(directory, ".tmp"), 0);
    rkb_journal_close(journal);
}

static void any_system_call_may_fail(void **state)
{
    const struct rkb_sys *sys = faulty_disk();
    for (enum call call = 0; call < CALLS; call++) {
        int number = call == CALL_OPEN ? EMFILE : call == CALL_ALLOCATE ? ENOSPC : EIO;
        int points = 0;
        for (bool fired = true; fired; points += fired) {
            struct promised promised = {0, 1, 1};
            empty_directory(*state);
            fail_call(call, points + 1, number);
            live(*state, sys, &promised);
            fired = call_failed();
            reopens_correctly(*state, &promised);
        }
        assert_true(points > 0);
    }
}

static void a_failed_sync_is_never_tried_again(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    struct rkb_journal *journal = try_open(*state, faulty_disk(), &recovery, &seen, &error);
    append_messages(journal, 1, 10, SIZE);
    fail_call(CALL_FDATASYNC, 1, EIO);
    assert_false(rkb_journal_sync(journal, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_false(rkb_journal_sync(journal, &error));
    assert_int_equal(rkb_journal_synced(journal), 1);
    settle(journal, 1, 10);
    assert_true(rkb_journal_checkpoint(journal, rkb_journal_synced(journal), true, &error));
    rkb_journal_close(journal);
    journal = try_open(*state, faulty_disk(), &recovery, &seen, &error);
    assert_int_equal(recovery.low, 1);
    assert_int_equal(seen.count, 10);
    rkb_journal_close(journal);
}

/* The batch is refused whole when this call fails under it. */
static void assert_not_taken(struct rkb_journal *journal, const struct batch *batch, enum call call, int number,
                             enum rkb_code code)
{
    struct rkb_error error = {0};
    size_t taken = 9;
    fail_call(call, 1, number);
    assert_false(rkb_journal_append(journal, batch->bytes.data, batch->bytes.size, BATCH_SALT, &taken, &error));
    assert_int_equal(error.code, code);
    assert_int_equal(taken, 0);
}

/*
 * A batch over several segments whose first write fails: nothing of it is taken, and no second write is tried in that
 * call.
 */
static void a_batch_whose_write_fails_stops_there(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    struct batch batch = {0};
    struct rkb_journal *journal = try_open(*state, faulty_disk(), &recovery, &seen, &error);
    for (uint64_t i = 1; i <= 200; i++)
        batch_message(&batch, i, 1000);
    assert_not_taken(journal, &batch, CALL_PWRITE, EIO, RKB_SYSTEM);
    assert_int_equal(rkb_journal_next(journal), 1);
    append_batch(journal, &batch);
    assert_int_equal(read_messages(journal, 1, 1000), 201);
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* An empty newest segment is replaced by the next one under the same name: no cursor may stand in it. */
static void a_cursor_keeps_out_of_a_segment_that_will_be_replaced(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct rkb_record record;
    struct rkb_cursor cursor;
    struct seen seen;
    make_dozens(*state, 1);
    rkb_journal_close(must_open(*state, &recovery, &seen));
    remove_segment(*state, 1);
    const struct rkb_sys *sys = faulty_disk();
    fail_call(CALL_ALLOCATE, 1, ENOSPC);
    struct rkb_journal *journal = try_open(*state, sys, &recovery, &seen, &error);
    assert_non_null(journal);
    assert_int_equal(recovery.lost_last, 12);
    rkb_cursor_seek(&cursor, journal, 1);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_END);
    assert_null(cursor.segment);
    turn_clock(SECOND);
    append_messages(journal, 13, 15, SIZE);
    assert_next(&cursor, 13);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

static void a_full_disk_is_full_and_leaves_no_half_made_file(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    struct rkb_journal *journal = try_open(*state, faulty_disk(), &recovery, &seen, &error);
    append_messages(journal, 1, 60, 1000);
    struct batch batch = {0};
    batch_message(&batch, 61, 4000);
    for (int attempt = 0; attempt < 3; attempt++) {
        turn_clock(SECOND);
        assert_not_taken(journal, &batch, CALL_ALLOCATE, attempt == 0 ? ENOSPC : attempt == 1 ? EDQUOT : EFBIG,
                         RKB_FULL);
        assert_true(call_failed());
        assert_int_equal(count_files(*state, ".tmp"), 0);
    }
    turn_clock(SECOND);
    append_batch(journal, &batch);
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* However often it is asked to take something, a full disk is tried once a second; at once when a segment went. */
static void a_full_disk_is_not_asked_at_every_turn(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_journal_figures figures;
    struct rkb_error error = {0};
    struct seen seen;
    struct batch batch = {0};
    struct rkb_journal *journal = try_open(*state, faulty_disk(), &recovery, &seen, &error);
    append_messages(journal, 1, 120, 1000);
    batch_message(&batch, 121, 8000);
    fail_calls(CALL_ALLOCATE, ENOSPC);
    int before = calls_of(CALL_OPEN), looked = calls_of(CALL_SPACE);
    for (int turn = 0; turn < 50; turn++) {
        size_t taken;
        assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
        assert_int_equal(error.code, RKB_FULL);
        assert_non_null(strstr(error.text, strerror(ENOSPC)));
        rkb_journal_prepare(journal);
        turn_clock(SECOND / 20);
    }
    assert_in_range(calls_of(CALL_OPEN) - before, 1, 3);
    assert_in_range(calls_of(CALL_SPACE) - looked, 1, 6);
    rkb_journal_figures(journal, &figures);
    assert_int_equal(figures.limit, RKB_LIMIT_DISK);
    fail_call(CALL_ALLOCATE, 0, 0);
    settle(journal, 1, 120);
    assert_true(rkb_journal_sync(journal, &error) && rkb_journal_checkpoint(journal, 121, true, &error));
    append_batch(journal, &batch);
    rkb_journal_figures(journal, &figures);
    assert_int_equal(figures.limit, RKB_LIMIT_NONE);
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* What is to be left free is left, and not a byte less; what the file system says is looked at again each second. */
static void what_is_to_be_left_free_is_left(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_journal_figures figures;
    struct rkb_error error = {0};
    struct batch batch = {0};
    size_t taken;
    struct rkb_journal_options options = options_for(*state, LIMIT, SEGMENT, faulty_disk());
    options.min_free = (struct rkb_share){.percent = 10};
    tell_space(100 * SEGMENT, 10 * SEGMENT + SEGMENT - 1);
    struct rkb_journal *journal = rkb_journal_open(&options, &recovery, NULL, NULL, &error);
    assert_non_null(journal);       /* what is here could be shipped */
    batch_message(&batch, 1, 1000);
    assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    assert_int_equal(error.code, RKB_FULL);
    assert_non_null(strstr(error.text, "journal.min_free: 10 %"));
    rkb_journal_figures(journal, &figures);
    assert_int_equal(figures.limit, RKB_LIMIT_MIN_FREE);
    assert_int_equal(figures.free, 11 * SEGMENT - 1);
    assert_int_equal(figures.min_free, 10 * SEGMENT);
    assert_int_equal(calls_of(CALL_ALLOCATE), 1);       /* the checkpoint's */
    tell_space(100 * SEGMENT, 11 * SEGMENT);
    assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    turn_clock(SECOND);
    append_batch(journal, &batch);
    tell_space(100 * SEGMENT, 3 * SEGMENT);
    turn_clock(SECOND);
    rkb_journal_prepare(journal);
    rkb_journal_figures(journal, &figures);
    assert_int_equal(figures.free, 3 * SEGMENT);
    assert_int_equal(figures.bytes, SEGMENT);           /* no spare */
    batch_free(&batch);
    rkb_journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(any_system_call_may_fail),
        in_directory(a_failed_sync_is_never_tried_again),
        in_directory(a_batch_whose_write_fails_stops_there),
        in_directory(a_cursor_keeps_out_of_a_segment_that_will_be_replaced),
        in_directory(a_full_disk_is_full_and_leaves_no_half_made_file),
        in_directory(a_full_disk_is_not_asked_at_every_turn),
        in_directory(what_is_to_be_left_free_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
