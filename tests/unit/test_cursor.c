/* Tests of the cursor that reads one topic's messages and passes over the rest. What reads all is test_journal.c's. */
#include "recovery_support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TOPICS 5
#define COUNT 3000

/* Of which topic a number's message is; 0: it is a mark or a gap. Runs of one topic, and topics in turn. */
static uint32_t topic_of(uint64_t sequence)
{
    if (sequence % 97 == 0)
        return 0;
    return (uint32_t)(sequence / 500 % 2 ? sequence / 40 : sequence) % TOPICS + 1;
}

static void append_numbers(struct rkb_journal *journal, uint64_t first, uint64_t last)
{
    struct batch batch = {0};
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        if (topic_of(sequence) != 0)
            batch_message_of(&batch, sequence, sequence % 300, topic_of(sequence));
        else if (sequence % 2)
            batch_mark(&batch, sequence, 5, 77000);
        else
            batch_gap(&batch, sequence);
    }
    append_batch(journal, &batch);
    batch_free(&batch);
}

/* The cursor gives this topic's messages from `from` to below `limit`, and then none. */
static void gives(struct rkb_cursor *cursor, uint32_t topic, uint64_t from, uint64_t limit, uint64_t there_are)
{
    struct rkb_record record;
    struct rkb_error error = {0};
    for (uint64_t sequence = from; sequence < limit && sequence < there_are; sequence++) {
        if (topic_of(sequence) != topic)
            continue;
        if (rkb_cursor_next_of(cursor, topic, limit, &record, &error) != RKB_NEXT_RECORD)
            fail_msg("%s", error.text);
        assert_int_equal(record.sequence, sequence);
        assert_int_equal(record.topic, topic);
        assert_true(is_message(&record, sequence % 300));
    }
    for (int again = 0; again < 2; again++) {
        assert_int_equal(rkb_cursor_next_of(cursor, topic, limit, &record, &error), RKB_NEXT_END);
        assert_int_equal(cursor->sequence, limit < there_are ? limit : there_are);
    }
}

static void each_topic_is_read_alone_over_many_segments(void **state)
{
    struct rkb_journal *journal = open_journal(*state, LIMIT, SEGMENT, NULL);
    append_numbers(journal, 1, COUNT);
    assert_true(count_files(*state, ".seg") > 5);
    struct rkb_cursor cursors[TOPICS + 2];
    for (uint32_t topic = 1; topic <= TOPICS + 1; topic++) {
        rkb_cursor_seek(&cursors[topic], journal, 1);
        gives(&cursors[topic], topic, 1, UINT64_MAX, COUNT + 1);
    }
    append_numbers(journal, COUNT + 1, 2 * COUNT);
    for (uint32_t topic = 1; topic <= TOPICS + 1; topic++) {
        gives(&cursors[topic], topic, COUNT + 1, UINT64_MAX, 2 * COUNT + 1);
        rkb_cursor_close(&cursors[topic]);
    }
    rkb_journal_close(journal);
}

static void it_stops_at_any_limit_and_goes_on_from_there(void **state)
{
    struct rkb_journal *journal = open_journal(*state, LIMIT, SEGMENT, NULL);
    append_numbers(journal, 1, COUNT);
    struct rkb_cursor cursor;
    for (uint64_t step = 1; step < COUNT; step = step * 3 + 1) {
        uint64_t at = 1;
        rkb_cursor_seek(&cursor, journal, at);
        for (uint64_t limit = 1 + step; at <= COUNT; at = limit, limit += step)
            gives(&cursor, 2, at, limit, COUNT + 1);
        rkb_cursor_close(&cursor);
    }
    /* A limit behind it moves it nowhere. */
    struct rkb_record record;
    struct rkb_error error;
    rkb_cursor_seek(&cursor, journal, 1000);
    assert_int_equal(rkb_cursor_next_of(&cursor, 2, 10, &record, &error), RKB_NEXT_END);
    assert_int_equal(cursor.sequence, 1000);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

static void one_cursor_serves_both_ways_of_reading(void **state)
{
    struct rkb_journal *journal = open_journal(*state, LIMIT, SEGMENT, NULL);
    append_numbers(journal, 1, COUNT);
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    rkb_cursor_seek(&cursor, journal, 1);
    for (uint64_t at = 1; at + 50 < COUNT; at += 50) {
        gives(&cursor, 3, at, at + 49, COUNT + 1);
        assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
        assert_int_equal(record.sequence, at + 49);
    }
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

/* At a limit that is a segment's end too it does not hold that segment: it could never be removed. */
static void it_holds_no_segment_it_is_done_with(void **state)
{
    struct rkb_journal *journal = open_journal(*state, LIMIT, SEGMENT, NULL);
    append_numbers(journal, 1, COUNT);
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    struct rkb_segment *first = NULL;
    uint64_t end = 1;
    rkb_cursor_seek(&cursor, journal, 1);
    while (rkb_cursor_next(&cursor, &record, &error) == RKB_NEXT_RECORD && (first == NULL || cursor.segment == first)) {
        first = cursor.segment;
        end = cursor.sequence;
    }
    rkb_cursor_close(&cursor);
    assert_true(end > 1 && end < COUNT);
    rkb_cursor_seek(&cursor, journal, 1);
    gives(&cursor, 1, 1, end, COUNT + 1);
    assert_null(cursor.segment);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

/* What a cursor for topic 2 does with a segment of a dozen records, in which one byte was turned over meanwhile. */
struct read_back {
    uint64_t numbers[16];
    size_t count;
    bool damaged;
};

static struct read_back read_topic_2(struct rkb_journal *journal)
{
    struct read_back read = {.count = 0};
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    rkb_cursor_seek(&cursor, journal, 1);
    for (;;) {
        enum rkb_next next = rkb_cursor_next_of(&cursor, 2, UINT64_MAX, &record, &error);
        if (next == RKB_NEXT_END)
            break;
        read.damaged = read.damaged || next == RKB_NEXT_DAMAGED;
        if (next == RKB_NEXT_DAMAGED)
            assert_int_equal(error.code, RKB_DAMAGED);
        if (next == RKB_NEXT_RECORD) {
            assert_true(record.sequence <= 12 && is_message(&record, SIZE));
            read.numbers[read.count++] = record.sequence;
        }
    }
    rkb_cursor_close(&cursor);
    return read;
}

/*
 * Every record is odd of topic 1, even of topic 2; a byte in one of them turns over while the journal is open. Nothing
 * wrong is ever given; all of topic 2 is, or damage is told, or the damage lies where nobody looks: in what is passed
 * over, in a number it cannot have been taken for, or it made the record another topic's.
 */
static void damage_in_what_it_reads_is_told(void **state)
{
    struct batch batch = {0};
    struct rkb_journal *journal = open_journal(*state, LIMIT, SEGMENT, NULL);
    for (uint64_t sequence = 1; sequence <= 12; sequence++)
        batch_message_of(&batch, sequence, SIZE, sequence % 2 ? 1 : 2);
    append_batch(journal, &batch);
    batch_free(&batch);
    struct sample sample = take_sample(*state, 1);
    for (size_t flip = RKB_SEGMENT_HEADER; flip < sample.used; flip++) {
        size_t whole = whole_before(&sample, flip);
        size_t within = flip - (whole == 0 ? RKB_SEGMENT_HEADER : sample.ends[whole - 1]);
        bool passed_over = whole % 2 == 0, topic = within >= 48 && within < 52;
        bool framing = (within >= 8 && within < 13) || (within >= 16 && within < 24) || (within >= 52 && within < 64);
        sample.bytes[flip] ^= 0x20;
        write_over(sample.path, sample.bytes, sample.used);
        sample.bytes[flip] ^= 0x20;
        struct read_back read = read_topic_2(journal);
        if (passed_over ? framing : !topic)
            assert_true(read.damaged);
        assert_true(read.damaged || read.count == (size_t)6 - (!passed_over && topic));
        for (size_t i = 0; i < read.count && read.damaged; i++)
            assert_true(read.numbers[i] <= whole);
    }
    write_over(sample.path, sample.bytes, sample.used);
    struct read_back read = read_topic_2(journal);
    assert_false(read.damaged);
    assert_int_equal(read.count, 6);
    rkb_journal_close(journal);
    free_sample(&sample);
}

/* After damage it goes on with what the next segment has, as one that reads all does. */
static void behind_damage_it_goes_on_with_the_next_segment(void **state)
{
    struct rkb_error error = {0};
    struct rkb_record record;
    struct rkb_cursor cursor;
    struct rkb_journal *journal = damaged_while_open(*state);
    rkb_cursor_seek(&cursor, journal, 15);
    for (uint64_t expected = 15; expected < 17; expected++) {
        assert_int_equal(rkb_cursor_next_of(&cursor, 1, 40, &record, &error), RKB_NEXT_RECORD);
        assert_int_equal(record.sequence, expected);
    }
    assert_int_equal(rkb_cursor_next_of(&cursor, 1, 40, &record, &error), RKB_NEXT_DAMAGED);
    assert_int_equal(record.sequence, 25);
    assert_int_equal(rkb_cursor_next_of(&cursor, 1, 40, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(record.sequence, 26);      /* 25 is a mark */
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(each_topic_is_read_alone_over_many_segments),
        in_directory(it_stops_at_any_limit_and_goes_on_from_there),
        in_directory(one_cursor_serves_both_ways_of_reading),
        in_directory(it_holds_no_segment_it_is_done_with),
        in_directory(damage_in_what_it_reads_is_told),
        in_directory(behind_damage_it_goes_on_with_the_next_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
