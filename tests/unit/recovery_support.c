/* recovery_support -- see recovery_support.h. */
#include "recovery_support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_right(const struct rkb_record *record)
{
    if (record->kind == RKB_MESSAGE)
        return is_message(record, SIZE);
    return (record->kind == RKB_MARK && record->value.size == 72) ||
           (record->kind == RKB_GAP && rkb_slice_equal(record->value, rkb_slice_text("{}")));
}

static void see(void *context, const struct rkb_record *record)
{
    struct seen *seen = context;
    bool forward = seen->count == 0 || record->sequence > seen->numbers[seen->count - 1];
    if (!is_right(record) || seen->count == 64 || !forward)
        seen->wrong = true;
    else
        seen->numbers[seen->count++] = record->sequence;
}

struct rkb_journal *try_open(const char *directory, const struct rkb_sys *sys, struct rkb_recovery *recovery,
                             struct seen *seen, struct rkb_error *error)
{
    struct rkb_journal_options options = options_for(directory, LIMIT, SEGMENT, sys);
    *seen = (struct seen){.count = 0};
    return rkb_journal_open(&options, recovery, see, seen, error);
}

struct rkb_journal *must_open(const char *directory, struct rkb_recovery *recovery, struct seen *seen)
{
    struct rkb_error error = {0};
    struct rkb_journal *journal = try_open(directory, quick_disk(), recovery, seen, &error);
    if (journal == NULL)
        fail_msg("%s", error.text);
    return journal;
}

void append_dozen(struct rkb_journal *journal, uint64_t first)
{
    struct batch batch = {0};
    batch_name(&batch, RKB_NAME_ROUTE, "users");
    batch_name(&batch, RKB_NAME_TOPIC, "user_activity");
    batch_mark(&batch, first, 5, 77000);
    for (uint64_t i = 1; i < 6; i++)
        batch_message(&batch, first + i, SIZE);
    batch_gap(&batch, first + 6);
    for (uint64_t i = 7; i < 12; i++)
        batch_message(&batch, first + i, SIZE);
    append_batch(journal, &batch);
    batch_free(&batch);
}

void make_dozens(const char *directory, uint64_t count)
{
    struct rkb_recovery recovery;
    struct seen seen;
    for (uint64_t round = 0; round < count; round++) {
        struct rkb_journal *journal = must_open(directory, &recovery, &seen);
        append_dozen(journal, round * 12 + 1);
        rkb_journal_close(journal);
    }
}

void assert_lost(const struct rkb_recovery *recovery, uint64_t first, uint64_t last)
{
    assert_int_equal(recovery->damaged, 1);
    assert_int_equal(recovery->lost_first, first);
    assert_int_equal(recovery->lost_last, last);
}

void assert_next(struct rkb_cursor *cursor, uint64_t number)
{
    struct rkb_record record;
    struct rkb_error error;
    assert_int_equal(rkb_cursor_next(cursor, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(record.sequence, number);
    assert_true(is_right(&record));
}

void goes_on(struct rkb_journal *journal, const char *directory, const struct seen *before, uint64_t next)
{
    struct rkb_recovery recovery;
    struct seen seen;
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    append_messages(journal, next, next + 2, SIZE);
    rkb_cursor_seek(&cursor, journal, 1);
    for (size_t i = 0; i < before->count; i++)
        assert_next(&cursor, before->numbers[i]);
    for (uint64_t i = next; i < next + 3; i++)
        assert_next(&cursor, i);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_END);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);

    journal = must_open(directory, &recovery, &seen);
    assert_false(seen.wrong);
    assert_int_equal(seen.count, before->count + 3);
    assert_memory_equal(seen.numbers, before->numbers, before->count * sizeof seen.numbers[0]);
    assert_int_equal(recovery.next_sequence, next + 3);
    assert_int_equal(recovery.torn_bytes, 0);
    rkb_journal_close(journal);
}

static char *segment_path(const char *directory, unsigned first)
{
    char *path;
    assert_true(asprintf(&path, "%s/%020u.seg", directory, first) > 0);
    return path;
}

struct sample take_sample(const char *directory, unsigned first)
{
    struct sample sample = {.path = segment_path(directory, first)};
    sample.bytes = read_whole(sample.path, &sample.size);
    size_t at = RKB_SEGMENT_HEADER;
    while (at < sample.size && rkb_record_length(sample.bytes + at) != 0) {
        bool numbered = sample.bytes[at + 12] != RKB_DICTIONARY;
        at += rkb_record_length(sample.bytes + at);
        if (numbered)
            sample.ends[sample.count++] = at;
    }
    sample.used = at;
    return sample;
}

void free_sample(struct sample *sample)
{
    free(sample->path);
    free(sample->bytes);
}

void write_over(const char *path, const uint8_t *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, size, 0), size);
    close(fd);
}

struct rkb_journal *damaged_while_open(const char *directory)
{
    struct rkb_recovery recovery;
    struct seen seen;
    make_dozens(directory, 4);
    struct rkb_journal *journal = must_open(directory, &recovery, &seen);
    struct sample sample = take_sample(directory, 13);
    sample.bytes[sample.ends[3] + 70] ^= 1;
    write_over(sample.path, sample.bytes, sample.size);
    free_sample(&sample);
    return journal;
}

size_t whole_before(const struct sample *sample, size_t at)
{
    size_t count = 0;
    while (count < sample->count && sample->ends[count] <= at)
        count++;
    return count;
}

void write_flipped(const struct sample *sample, size_t flip, size_t size)
{
    uint8_t bit = (uint8_t)(1 << flip % 8);
    sample->bytes[flip] ^= bit;
    write_whole(sample->path, sample->bytes, size);
    sample->bytes[flip] ^= bit;
}

void remove_segment(const char *directory, unsigned first)
{
    char *path = segment_path(directory, first);
    assert_int_equal(unlink(path), 0);
    free(path);
}

void remove_segments(const char *directory)
{
    for (unsigned first = 1; first < 40; first++) {
        char *path = segment_path(directory, first);
        unlink(path);
        free(path);
    }
}
