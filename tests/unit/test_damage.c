/*
 * Tests of damage to a journal's files: every byte cut, every byte flipped, segments missing or foreign. The question
 * is always: is every record before the damage there, is none of them wrong, is no number used twice, is the damage
 * told?
 */
#include "recovery_support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void every_cut_of_the_newest_segment(void **state)
{
    const char *directory = *state;
    struct rkb_recovery recovery;
    struct seen seen;
    make_dozens(directory, 1);
    struct sample sample = take_sample(directory, 1);
    assert_int_equal(sample.count, 12);
    for (size_t cut = 0; cut <= sample.used; cut++) {
        remove_segments(directory);
        write_whole(sample.path, sample.bytes, cut);
        struct rkb_journal *journal = must_open(directory, &recovery, &seen);
        size_t whole = whole_before(&sample, cut);
        assert_false(seen.wrong);
        assert_int_equal(seen.count, whole);
        assert_int_equal(recovery.next_sequence, whole + 1);
        assert_int_equal(recovery.damaged, 0);
        assert_int_equal(recovery.lost_first, 0);
        assert_true(recovery.torn_bytes <= cut);
        if (cut == sample.used || cut == 0)
            assert_int_equal(recovery.torn_bytes, 0);
        else if (whole > 0 && cut >= sample.ends[whole - 1] + 16)
            assert_true(recovery.torn_bytes > 0);
        goes_on(journal, directory, &seen, whole + 1);
    }
    free_sample(&sample);
}

static void every_flip_in_the_newest_segment(void **state)
{
    const char *directory = *state;
    struct rkb_recovery recovery;
    struct seen seen;
    make_dozens(directory, 1);
    struct sample sample = take_sample(directory, 1);
    for (size_t flip = 0; flip < sample.used + 80; flip++) {
        remove_segments(directory);
        write_flipped(&sample, flip, sample.used + 4096);
        struct rkb_journal *journal = must_open(directory, &recovery, &seen);
        size_t whole = flip < RKB_SEGMENT_HEADER ? 0 : whole_before(&sample, flip);
        bool last = flip >= sample.ends[sample.count - 2];
        assert_false(seen.wrong);
        assert_int_equal(seen.count, whole);
        assert_true(recovery.damaged > 0 || recovery.torn_bytes > 0);
        if (last) {
            assert_int_equal(recovery.damaged, 0);
            assert_int_equal(recovery.next_sequence, whole + 1);
        } else {
            assert_lost(&recovery, whole + 1, 12);
            assert_non_null(strstr(recovery.damage, "00000000000000000001.seg at "));
            assert_int_equal(recovery.next_sequence, 13);
        }
        goes_on(journal, directory, &seen, recovery.next_sequence);
    }
    free_sample(&sample);
}

/*
 * Records whole+1 to 12 of 27 are damaged. What can be shipped is shipped: the checkpoint passes the damage, and
 * nothing is told of it any more.
 */
static void damage_is_passed(const char *directory, uint64_t whole)
{
    struct rkb_recovery recovery;
    struct seen seen;
    struct rkb_error error;
    struct rkb_journal *journal = must_open(directory, &recovery, &seen);
    settle(journal, 1, whole);
    settle(journal, 13, 27);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(journal)), 28);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, false, &error));
    rkb_journal_close(journal);
    journal = must_open(directory, &recovery, &seen);
    assert_int_equal(recovery.damaged, 0);
    assert_int_equal(recovery.low, 28);
    assert_int_equal(recovery.next_sequence, 28);
    rkb_journal_close(journal);
}

static void every_flip_in_an_older_segment(void **state)
{
    const char *directory = *state;
    struct rkb_recovery recovery;
    struct seen seen;
    make_dozens(directory, 2);
    char *checkpoint = join(directory, "checkpoint");
    size_t checkpoint_size;
    uint8_t *checkpoint_bytes = read_whole(checkpoint, &checkpoint_size);
    struct sample sample = take_sample(directory, 1);
    struct sample newer = take_sample(directory, 13);
    assert_int_equal(sample.size, sample.used);
    for (size_t flip = 0; flip < sample.size; flip++) {
        remove_segments(directory);
        write_whole(checkpoint, checkpoint_bytes, checkpoint_size);
        write_flipped(&sample, flip, sample.size);
        write_whole(newer.path, newer.bytes, newer.size);

        struct rkb_journal *journal = must_open(directory, &recovery, &seen);
        size_t whole = flip < RKB_SEGMENT_HEADER ? 0 : whole_before(&sample, flip);
        assert_false(seen.wrong);
        assert_int_equal(seen.count, whole + 12);
        assert_lost(&recovery, whole + 1, 12);
        assert_int_equal(recovery.torn_bytes, 0);
        assert_int_equal(recovery.next_sequence, 25);
        assert_string_equal(rkb_dictionary_name(rkb_journal_dictionary(journal), RKB_NAME_TOPIC, 1), "user_activity");
        assert_false(whole > 0 && rkb_acks_has(rkb_journal_acks(journal), whole));
        assert_true(rkb_acks_has(rkb_journal_acks(journal), whole + 1));
        assert_false(rkb_acks_has(rkb_journal_acks(journal), 13));
        goes_on(journal, directory, &seen, 25);
        damage_is_passed(directory, whole);
    }
    free(checkpoint);
    free(checkpoint_bytes);
    free_sample(&sample);
    free_sample(&newer);
}

static void a_missing_segment_is_damage_where_it_held_open_records(void **state)
{
    static const struct {
        unsigned segment;
        uint64_t first, last, next;
        int64_t from_us, to_us;         /* from 0: when the journal was made */
    } rows[] = {
        {1, 1, 12, 49, 0, 77000},
        {13, 13, 24, 49, 1000012, 77000},
        {25, 25, 36, 49, 1000024, 77000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_recovery recovery;
        struct seen seen;
        empty_directory(*state);
        int64_t before_us = rkb_sys_posix.realtime_us();
        make_dozens(*state, 4);
        int64_t after_us = rkb_sys_posix.realtime_us();
        remove_segment(*state, rows[i].segment);
        struct rkb_journal *journal = must_open(*state, &recovery, &seen);
        assert_lost(&recovery, rows[i].first, rows[i].last);
        assert_int_equal(recovery.next_sequence, rows[i].next);
        if (rows[i].from_us == 0)
            assert_in_range(recovery.lost_from_us, before_us, after_us);
        else
            assert_int_equal(recovery.lost_from_us, rows[i].from_us);
        assert_int_equal(recovery.lost_to_us, rows[i].to_us);
        assert_int_equal(seen.count, 36);
        goes_on(journal, *state, &seen, rows[i].next);
    }
}

static void a_missing_segment_whose_records_are_settled_is_none(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct seen seen;
    make_dozens(*state, 4);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    settle(journal, 13, 24);        /* not removed: the first segment is still open */
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    remove_segment(*state, 13);
    journal = must_open(*state, &recovery, &seen);
    assert_int_equal(recovery.damaged, 0);
    assert_int_equal(recovery.lost_first, 0);
    assert_int_equal(seen.count, 36);
    goes_on(journal, *state, &seen, 49);
}

static void a_segment_of_another_journal_or_under_a_wrong_name_is_damage(void **state)
{
    struct rkb_recovery recovery;
    struct seen seen;
    char *other = make_directory();
    make_dozens(*state, 4);
    make_dozens(other, 4);
    struct sample foreign = take_sample(other, 13);
    struct sample own = take_sample(*state, 13);
    write_whole(own.path, foreign.bytes, foreign.size);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    assert_lost(&recovery, 13, 24);
    rkb_journal_close(journal);

    struct sample wrong = take_sample(*state, 25);
    write_whole(own.path, wrong.bytes, wrong.size);
    journal = must_open(*state, &recovery, &seen);
    assert_lost(&recovery, 13, 24);
    rkb_journal_close(journal);
    free_sample(&foreign);
    free_sample(&wrong);
    free_sample(&own);
    remove_directory(other);
}

static void a_cursor_tells_of_damage_done_under_it(void **state)
{
    struct rkb_error error = {0};
    struct rkb_record record;
    struct rkb_cursor cursor;
    struct rkb_journal *journal = damaged_while_open(*state);
    rkb_cursor_seek(&cursor, journal, 15);
    assert_next(&cursor, 15);
    assert_next(&cursor, 16);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_DAMAGED);
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_non_null(strstr(error.text, "00000000000000000013.seg at "));
    assert_int_equal(record.sequence, 25);
    assert_next(&cursor, 25);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

/* The journal refuses to go on from records that were read as damaged zeros in the middle of the newest segment. */
static void pages_lost_in_the_middle_of_the_newest_segment(void **state)
{
    struct rkb_recovery recovery;
    struct seen seen;
    make_dozens(*state, 1);
    struct sample sample = take_sample(*state, 1);
    memset(sample.bytes + sample.ends[2], 0, sample.ends[4] - sample.ends[2]);
    write_whole(sample.path, sample.bytes, sample.size);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    assert_int_equal(seen.count, 3);
    assert_lost(&recovery, 4, 12);
    assert_int_equal(recovery.next_sequence, 13);
    goes_on(journal, *state, &seen, 13);
    free_sample(&sample);
}

/*
 * Head and records of the newest segment are damaged: its numbers can only be guessed, and the guess must not be too
 * low.
 */
static void a_headless_newest_segment_with_damaged_records(void **state)
{
    struct rkb_recovery recovery;
    struct seen seen;
    make_dozens(*state, 1);
    struct sample sample = take_sample(*state, 1);
    sample.bytes[20] ^= 1;
    sample.bytes[sample.ends[4] + 12] ^= 0x40;      /* a kind that there is not */
    write_whole(sample.path, sample.bytes, sample.used);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    assert_int_equal(seen.count, 0);
    assert_lost(&recovery, 1, recovery.next_sequence - 1);
    assert_true(recovery.next_sequence >= 13);
    goes_on(journal, *state, &seen, recovery.next_sequence);
    free_sample(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(every_cut_of_the_newest_segment),
        in_directory(every_flip_in_the_newest_segment),
        in_directory(every_flip_in_an_older_segment),
        in_directory(a_missing_segment_is_damage_where_it_held_open_records),
        in_directory(a_missing_segment_whose_records_are_settled_is_none),
        in_directory(a_segment_of_another_journal_or_under_a_wrong_name_is_damage),
        in_directory(a_cursor_tells_of_damage_done_under_it),
        in_directory(pages_lost_in_the_middle_of_the_newest_segment),
        in_directory(a_headless_newest_segment_with_damaged_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
