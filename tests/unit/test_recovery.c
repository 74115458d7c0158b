/*
 * Tests of what is found again: every byte cut, every byte flipped, files missing, and system calls that fail. The
 * question is always: is every record before the damage there, is none of them wrong, is no number used twice, is the
 * damage told?
 */
#include "journal_support.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (8 * MIB)
#define SEGMENT (64 * 1024)
#define SIZE 60             /* of a message's value */

static int set_up(void **state)
{
    *state = make_directory();
    return 0;
}

static int tear_down(void **state)
{
    remove_directory(*state);
    return 0;
}

/* The posix table without the waiting: thousands of openings are too many for real syncs. */
static int no_sync(int fd)
{
    (void)fd;
    return 0;
}

static struct rkb_sys quick(void)
{
    struct rkb_sys sys = rkb_sys_posix;
    sys.fdatasync = sys.fsync = no_sync;
    return sys;
}

/* What recovery showed, and whether it was right. */
struct seen {
    uint64_t numbers[64];
    size_t count;
    bool wrong;
};

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

static struct rkb_journal *try_open(const char *directory, const struct rkb_sys *sys, struct rkb_recovery *recovery,
                                    struct seen *seen, struct rkb_error *error)
{
    struct rkb_journal_options options = options_for(directory, LIMIT, SEGMENT, sys);
    *seen = (struct seen){.count = 0};
    return rkb_journal_open(&options, recovery, see, seen, error);
}

static struct rkb_journal *must_open(const char *directory, struct rkb_recovery *recovery, struct seen *seen)
{
    struct rkb_sys sys = quick();
    static struct rkb_sys kept;
    struct rkb_error error = {0};
    kept = sys;
    struct rkb_journal *journal = try_open(directory, &kept, recovery, seen, &error);
    if (journal == NULL)
        fail_msg("%s", error.text);
    return journal;
}

/* Names, a mark, messages and a gap: numbers first..first+11. */
static void append_dozen(struct rkb_journal *journal, uint64_t first)
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

/* A segment in memory, and where its records end. */
struct sample {
    char *path;
    uint8_t *bytes;
    size_t size;            /* of the file */
    size_t used;            /* up to the end of its last record */
    size_t ends[32];        /* of its numbered records, in order */
    size_t count;
};

static struct sample take_sample(const char *directory, const char *name)
{
    struct sample sample = {.path = join(directory, name)};
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

static void free_sample(struct sample *sample)
{
    free(sample->path);
    free(sample->bytes);
}

/* How many numbered records lie wholly before `at`. */
static size_t whole_before(const struct sample *sample, size_t at)
{
    size_t count = 0;
    while (count < sample->count && sample->ends[count] <= at)
        count++;
    return count;
}

/* The journal goes on from here as if nothing had been: appends, is read, opens again with all of it. */
static void goes_on(struct rkb_journal *journal, const char *directory, const struct seen *before, uint64_t next)
{
    struct rkb_recovery recovery;
    struct seen seen;
    append_messages(journal, next, next + 2, SIZE);
    struct rkb_cursor cursor;
    struct rkb_record record;
    struct rkb_error error;
    rkb_cursor_seek(&cursor, journal, 1);
    for (size_t i = 0; i < before->count; i++) {
        assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
        assert_int_equal(record.sequence, before->numbers[i]);
        assert_true(is_right(&record));
    }
    for (uint64_t i = next; i < next + 3; i++) {
        assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
        assert_int_equal(record.sequence, i);
        assert_true(is_message(&record, SIZE));
    }
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

static void remove_segments(const char *directory)
{
    char *command;
    for (unsigned first = 1; first < 40; first++) {
        assert_true(asprintf(&command, "%s/%020u.seg", directory, first) > 0);
        unlink(command);
        free(command);
    }
}

static void every_cut_of_the_newest_segment(void **state)
{
    const char *directory = *state;
    struct rkb_recovery recovery;
    struct seen seen;
    struct rkb_journal *journal = must_open(directory, &recovery, &seen);
    append_dozen(journal, 1);
    rkb_journal_close(journal);
    struct sample sample = take_sample(directory, "00000000000000000001.seg");
    assert_int_equal(sample.count, 12);
    for (size_t cut = 0; cut <= sample.used; cut++) {
        remove_segments(directory);
        write_whole(sample.path, sample.bytes, cut);
        journal = must_open(directory, &recovery, &seen);
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
    struct rkb_journal *journal = must_open(directory, &recovery, &seen);
    append_dozen(journal, 1);
    rkb_journal_close(journal);
    struct sample sample = take_sample(directory, "00000000000000000001.seg");
    for (size_t flip = 0; flip < sample.used + 80; flip++) {
        remove_segments(directory);
        sample.bytes[flip] ^= (uint8_t)(1 << flip % 8);
        write_whole(sample.path, sample.bytes, sample.used + 4096);
        sample.bytes[flip] ^= (uint8_t)(1 << flip % 8);
        journal = must_open(directory, &recovery, &seen);
        size_t whole = flip < RKB_SEGMENT_HEADER ? 0 : whole_before(&sample, flip);
        bool last = flip >= sample.ends[sample.count - 2];
        assert_false(seen.wrong);
        assert_int_equal(seen.count, whole);
        assert_true(recovery.damaged > 0 || recovery.torn_bytes > 0);
        if (last) {
            assert_int_equal(recovery.damaged, 0);
            assert_int_equal(recovery.next_sequence, whole + 1);
        } else {
            assert_int_equal(recovery.damaged, 1);
            assert_non_null(strstr(recovery.damage, "00000000000000000001.seg at "));
            assert_int_equal(recovery.next_sequence, 13);
            assert_int_equal(recovery.lost_first, whole + 1);
            assert_int_equal(recovery.lost_last, 12);
        }
        goes_on(journal, directory, &seen, recovery.next_sequence);
    }
    free_sample(&sample);
}

static void every_flip_in_an_older_segment(void **state)
{
    const char *directory = *state;
    struct rkb_recovery recovery;
    struct seen seen;
    struct rkb_error error;
    for (uint64_t round = 0; round < 2; round++) {
        struct rkb_journal *journal = must_open(directory, &recovery, &seen);
        append_dozen(journal, round * 12 + 1);
        rkb_journal_close(journal);
    }
    char *checkpoint = join(directory, "checkpoint");
    size_t checkpoint_size;
    uint8_t *checkpoint_bytes = read_whole(checkpoint, &checkpoint_size);
    struct sample sample = take_sample(directory, "00000000000000000001.seg");
    struct sample newer = take_sample(directory, "00000000000000000013.seg");
    assert_int_equal(sample.size, sample.used);
    for (size_t flip = 0; flip < sample.size; flip++) {
        remove_segments(directory);
        write_whole(checkpoint, checkpoint_bytes, checkpoint_size);
        sample.bytes[flip] ^= (uint8_t)(1 << flip % 8);
        write_whole(sample.path, sample.bytes, sample.size);
        sample.bytes[flip] ^= (uint8_t)(1 << flip % 8);
        write_whole(newer.path, newer.bytes, newer.size);

        struct rkb_journal *journal = must_open(directory, &recovery, &seen);
        size_t whole = flip < RKB_SEGMENT_HEADER ? 0 : whole_before(&sample, flip);
        assert_false(seen.wrong);
        assert_int_equal(seen.count, whole + 12);
        assert_int_equal(recovery.damaged, 1);
        assert_int_equal(recovery.torn_bytes, 0);
        assert_int_equal(recovery.lost_first, whole + 1);
        assert_int_equal(recovery.lost_last, 12);
        assert_int_equal(recovery.next_sequence, 25);
        assert_string_equal(rkb_dictionary_name(rkb_journal_dictionary(journal), RKB_NAME_TOPIC, 1), "user_activity");
        assert_false(whole > 0 && rkb_acks_has(rkb_journal_acks(journal), whole));
        assert_true(rkb_acks_has(rkb_journal_acks(journal), whole + 1));
        assert_false(rkb_acks_has(rkb_journal_acks(journal), 13));
        goes_on(journal, directory, &seen, 25);

        /* What can be shipped is shipped: the checkpoint passes the damage, and nothing is told of it any more. */
        journal = must_open(directory, &recovery, &seen);
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
    free(checkpoint);
    free(checkpoint_bytes);
    free_sample(&sample);
    free_sample(&newer);
}

/* Four segments of a dozen records each, all closed. */
static void make_four(const char *directory)
{
    struct rkb_recovery recovery;
    struct seen seen;
    for (uint64_t round = 0; round < 4; round++) {
        struct rkb_journal *journal = must_open(directory, &recovery, &seen);
        append_dozen(journal, round * 12 + 1);
        rkb_journal_close(journal);
    }
}

static void remove_named(const char *directory, const char *name)
{
    char *path = join(directory, name);
    assert_int_equal(unlink(path), 0);
    free(path);
}

static void a_missing_segment_is_damage_where_it_held_open_records(void **state)
{
    static const struct {
        const char *name;
        uint64_t first, last, next;
        int64_t from_us, to_us;
    } rows[] = {
        {"00000000000000000001.seg", 1, 12, 49, 1, 77000},
        {"00000000000000000013.seg", 13, 24, 49, 1000012, 77000},
        {"00000000000000000025.seg", 25, 36, 49, 1000024, 77000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rkb_recovery recovery;
        struct seen seen;
        empty_directory(*state);
        make_four(*state);
        remove_named(*state, rows[i].name);
        struct rkb_journal *journal = must_open(*state, &recovery, &seen);
        assert_int_equal(recovery.damaged, 1);
        assert_int_equal(recovery.lost_first, rows[i].first);
        assert_int_equal(recovery.lost_last, rows[i].last);
        assert_int_equal(recovery.next_sequence, rows[i].next);
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
    make_four(*state);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    settle(journal, 13, 24);        /* not removed: the first segment is still open */
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    remove_named(*state, "00000000000000000013.seg");
    journal = must_open(*state, &recovery, &seen);
    assert_int_equal(recovery.damaged, 0);
    assert_int_equal(recovery.lost_first, 0);
    assert_int_equal(seen.count, 36);
    goes_on(journal, *state, &seen, 49);
}

static void only_what_is_open_is_shown_but_all_marks_of_the_newest(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct seen seen;
    make_four(*state);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    settle(journal, 1, 40);
    settle(journal, 42, 42);
    settle(journal, 44, 48);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    for (int restart = 0; restart < 3; restart++) {
        static const uint64_t expected[] = {37, 41, 43};
        journal = must_open(*state, &recovery, &seen);
        assert_int_equal(recovery.low, 41);
        assert_int_equal(recovery.next_sequence, 49);
        assert_int_equal(recovery.last_epoch, 5);
        assert_int_equal(recovery.last_mark_ms, 77);
        assert_int_equal(seen.count, 3);
        assert_memory_equal(seen.numbers, expected, sizeof expected);
        rkb_journal_close(journal);
    }
}

static void a_checkpoint_beyond_the_tail_sets_the_next_number(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error;
    struct seen seen;
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    append_dozen(journal, 1);
    settle(journal, 1, 9);
    settle(journal, 11, 11);
    assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
    rkb_journal_close(journal);
    struct sample sample = take_sample(*state, "00000000000000000001.seg");
    write_whole(sample.path, sample.bytes, sample.ends[4]);     /* a power loss took what was not synced */
    journal = must_open(*state, &recovery, &seen);
    assert_int_equal(recovery.next_sequence, 12);
    assert_int_equal(recovery.lost_first, 10);
    assert_int_equal(recovery.lost_last, 10);
    assert_int_equal(recovery.damaged, 1);
    append_messages(journal, 12, 15, SIZE);
    settle(journal, 12, 15);
    assert_int_equal(rkb_acks_low(rkb_journal_acks(journal)), 16);
    rkb_journal_close(journal);
    free_sample(&sample);
}

static void without_a_checkpoint_all_is_shown_again(void **state)
{
    for (int missing = 0; missing < 2; missing++) {
        struct rkb_recovery recovery;
        struct rkb_error error;
        struct seen seen;
        empty_directory(*state);
        make_four(*state);
        struct rkb_journal *journal = must_open(*state, &recovery, &seen);
        settle(journal, 1, 30);
        assert_true(rkb_journal_checkpoint(journal, UINT64_MAX, true, &error));
        rkb_journal_close(journal);
        char *checkpoint = join(*state, "checkpoint");
        size_t size;
        uint8_t *bytes = read_whole(checkpoint, &size);
        for (size_t i = 4096; i < size; i += 65536)
            bytes[i] ^= 1;
        if (missing)
            assert_int_equal(unlink(checkpoint), 0);
        else
            write_whole(checkpoint, bytes, size);
        free(bytes);
        free(checkpoint);

        journal = must_open(*state, &recovery, &seen);
        assert_int_equal(recovery.damaged, 1);
        assert_non_null(strstr(recovery.damage, "checkpoint"));
        assert_false(recovery.fresh);
        assert_int_equal(recovery.low, 25);     /* the two segments before were removed */
        assert_int_equal(seen.count, 24);
        assert_int_equal(seen.numbers[0], 25);
        assert_int_equal(recovery.next_sequence, 49);
        rkb_journal_close(journal);
        journal = must_open(*state, &recovery, &seen);
        assert_int_equal(recovery.damaged, 0);
        rkb_journal_close(journal);
    }
}

static void a_newer_version_is_refused_in_words_and_left_alone(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    struct rkb_sys sys = quick();
    make_four(*state);
    struct sample sample = take_sample(*state, "00000000000000000025.seg");
    struct rkb_segment_head head;
    assert_true(rkb_segment_head_parse(sample.bytes, sample.size, &head, &error));
    head.version = RKB_FORMAT_VERSION + 1;
    rkb_segment_head_write(sample.bytes, &head);
    write_whole(sample.path, sample.bytes, sample.size);
    assert_null(try_open(*state, &sys, &recovery, &seen, &error));
    assert_int_equal(error.code, RKB_VERSION);
    assert_non_null(strstr(error.text, "newer rkbridge"));
    assert_int_equal(seen.count, 0);
    assert_int_equal(count_files(*state, ".seg"), 4);
    free_sample(&sample);
}

static void a_segment_of_another_journal_or_under_a_wrong_name_is_damage(void **state)
{
    struct rkb_recovery recovery;
    struct seen seen;
    char *other = make_directory();
    make_four(*state);
    make_four(other);
    struct sample foreign = take_sample(other, "00000000000000000013.seg");
    char *path = join(*state, "00000000000000000013.seg");
    write_whole(path, foreign.bytes, foreign.size);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    assert_int_equal(recovery.damaged, 1);
    assert_int_equal(recovery.lost_first, 13);
    assert_int_equal(recovery.lost_last, 24);
    rkb_journal_close(journal);

    struct sample wrong = take_sample(*state, "00000000000000000025.seg");
    write_whole(path, wrong.bytes, wrong.size);
    journal = must_open(*state, &recovery, &seen);
    assert_int_equal(recovery.damaged, 1);
    assert_int_equal(recovery.lost_first, 13);
    assert_int_equal(recovery.lost_last, 24);
    rkb_journal_close(journal);
    free_sample(&foreign);
    free_sample(&wrong);
    free(path);
    remove_directory(other);
}

static void a_cursor_tells_of_damage_done_under_it(void **state)
{
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct rkb_record record;
    struct rkb_cursor cursor;
    struct seen seen;
    make_four(*state);
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    struct sample sample = take_sample(*state, "00000000000000000013.seg");
    sample.bytes[sample.ends[3] + 70] ^= 1;
    int fd = open(sample.path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, sample.bytes, sample.size, 0), sample.size);
    close(fd);
    rkb_cursor_seek(&cursor, journal, 15);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(record.sequence, 15);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_DAMAGED);
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_non_null(strstr(error.text, "00000000000000000013.seg at "));
    assert_int_equal(record.sequence, 25);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(record.sequence, 25);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
    free_sample(&sample);
}

/* The journal refuses to go on from records that were read as damaged zeros in the middle of the newest segment. */
static void pages_lost_in_the_middle_of_the_newest_segment(void **state)
{
    struct rkb_recovery recovery;
    struct seen seen;
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    append_dozen(journal, 1);
    rkb_journal_close(journal);
    struct sample sample = take_sample(*state, "00000000000000000001.seg");
    memset(sample.bytes + sample.ends[2], 0, sample.ends[4] - sample.ends[2]);
    write_whole(sample.path, sample.bytes, sample.size);
    journal = must_open(*state, &recovery, &seen);
    assert_int_equal(seen.count, 3);
    assert_int_equal(recovery.damaged, 1);
    assert_int_equal(recovery.lost_first, 4);
    assert_int_equal(recovery.lost_last, 12);
    assert_int_equal(recovery.next_sequence, 13);
    goes_on(journal, *state, &seen, 13);
    free_sample(&sample);
}

/*
 * System calls that fail by table: the nth call of one kind.
 */
enum call { OPEN, PREAD, PWRITE, PWRITE_SHORT, FDATASYNC, FSYNC, ALLOCATE, FTRUNCATE, RENAME, UNLINK, RANDOM, CALLS };

static struct {
    enum call call;
    int countdown, number;
    bool fired;
} fault;

static bool fails(enum call call)
{
    if (fault.call != call || --fault.countdown != 0)
        return false;
    fault.fired = true;
    errno = fault.number;
    return true;
}

static int faulty_open(const char *path, int flags, mode_t mode)
{
    return fails(OPEN) ? -1 : rkb_sys_posix.open(path, flags, mode);
}

static ssize_t faulty_pread(int fd, void *data, size_t size, off_t offset)
{
    return fails(PREAD) ? -1 : pread(fd, data, size, offset);
}

/* Fails after half of it was written, as disks do. */
static ssize_t faulty_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (fails(PWRITE_SHORT))
        return pwrite(fd, data, (size + 1) / 2, offset);
    if (!fails(PWRITE))
        return pwrite(fd, data, size, offset);
    int number = errno;
    assert_true(pwrite(fd, data, size / 2, offset) >= 0);
    errno = number;
    return -1;
}

static int faulty_fdatasync(int fd)
{
    (void)fd;
    return fails(FDATASYNC) ? -1 : 0;
}

static int faulty_fsync(int fd)
{
    (void)fd;
    return fails(FSYNC) ? -1 : 0;
}

static int faulty_allocate(int fd, off_t offset, off_t size)
{
    if (!fails(ALLOCATE))
        return rkb_sys_posix.allocate(fd, offset, size);
    int number = errno;
    assert_int_equal(rkb_sys_posix.allocate(fd, offset, size / 2), 0);
    errno = number;
    return -1;
}

static int faulty_ftruncate(int fd, off_t size)
{
    return fails(FTRUNCATE) ? -1 : ftruncate(fd, size);
}

static int faulty_rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : rename(from, to);
}

static int faulty_unlink(const char *path)
{
    return fails(UNLINK) ? -1 : unlink(path);
}

static int faulty_random(void *data, size_t size)
{
    return fails(RANDOM) ? -1 : rkb_sys_posix.random(data, size);
}

static struct rkb_sys faulty(void)
{
    struct rkb_sys sys = rkb_sys_posix;
    sys.open = faulty_open;
    sys.pread = faulty_pread;
    sys.pwrite = faulty_pwrite;
    sys.fdatasync = faulty_fdatasync;
    sys.fsync = faulty_fsync;
    sys.allocate = faulty_allocate;
    sys.ftruncate = faulty_ftruncate;
    sys.rename = faulty_rename;
    sys.unlink = faulty_unlink;
    sys.random = faulty_random;
    return sys;
}

/*
 * Appends messages until `last` is in; a batch that fails is tried once more, as the shipper does. False when that
 * fails too.
 */
static bool append_up_to(struct rkb_journal *journal, uint64_t last)
{
    struct batch batch = {0};
    struct rkb_error error;
    bool good = true;
    for (int attempt = 0; good && rkb_journal_next(journal) <= last; attempt++) {
        uint64_t first = rkb_journal_next(journal);
        size_t taken, expected = 0;
        batch_clear(&batch);
        batch_name(&batch, RKB_NAME_TOPIC, "t1");
        for (uint64_t i = first; i < first + 20; i++)
            batch_message(&batch, i, 1000);
        good = rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error) ||
               attempt < 20;
        for (uint64_t i = first; i < rkb_journal_next(journal); i++)
            expected += rkb_record_size(i % 2 == 0 ? 3 : 0, 0, 1000);
        assert_true(taken == 0 || taken == expected + 64 + 8);
    }
    batch_free(&batch);
    return good;
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
    static const int numbers[CALLS] = {EMFILE, EIO, EIO, 0, EIO, EIO, ENOSPC, EIO, EIO, EIO, EIO};
    struct rkb_sys sys = faulty();
    for (enum call call = 0; call < CALLS; call++) {
        int points = 0;
        for (bool fired = true; fired; points += fired) {
            struct promised promised = {0, 1, 1};
            empty_directory(*state);
            fault.call = call;
            fault.countdown = points + 1;
            fault.number = numbers[call];
            fault.fired = false;
            live(*state, &sys, &promised);
            fired = fault.fired;
            fault.countdown = 0;
            reopens_correctly(*state, &promised);
        }
        assert_true(points > 0);
    }
}

static void a_failed_sync_is_never_tried_again(void **state)
{
    struct rkb_sys sys = faulty();
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    fault.countdown = 0;
    struct rkb_journal *journal = try_open(*state, &sys, &recovery, &seen, &error);
    append_messages(journal, 1, 10, SIZE);
    fault.call = FDATASYNC;
    fault.countdown = 1;
    fault.number = EIO;
    assert_false(rkb_journal_sync(journal, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_false(rkb_journal_sync(journal, &error));
    assert_int_equal(rkb_journal_synced(journal), 1);
    settle(journal, 1, 10);
    assert_true(rkb_journal_checkpoint(journal, rkb_journal_synced(journal), true, &error));
    rkb_journal_close(journal);
    journal = try_open(*state, &sys, &recovery, &seen, &error);
    assert_int_equal(recovery.low, 1);
    assert_int_equal(seen.count, 10);
    rkb_journal_close(journal);
}

/*
 * A batch over several segments whose first write fails: nothing of it is taken, and no second write is tried in that
 * call.
 */
static void a_batch_whose_write_fails_stops_there(void **state)
{
    struct rkb_sys sys = faulty();
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    struct batch batch = {0};
    size_t taken = 9;
    fault.countdown = 0;
    struct rkb_journal *journal = try_open(*state, &sys, &recovery, &seen, &error);
    for (uint64_t i = 1; i <= 200; i++)
        batch_message(&batch, i, 1000);
    fault.call = PWRITE;
    fault.countdown = 1;
    fault.number = EIO;
    assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_int_equal(taken, 0);
    assert_int_equal(rkb_journal_next(journal), 1);
    append_batch(journal, &batch);
    assert_int_equal(read_messages(journal, 1, 1000), 201);
    batch_free(&batch);
    rkb_journal_close(journal);
}

/* An empty newest segment is replaced by the next one under the same name: no cursor may stand in it. */
static void a_cursor_keeps_out_of_a_segment_that_will_be_replaced(void **state)
{
    struct rkb_sys sys = faulty();
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct rkb_record record;
    struct rkb_cursor cursor;
    struct seen seen;
    fault.countdown = 0;
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    append_dozen(journal, 1);
    rkb_journal_close(journal);
    rkb_journal_close(must_open(*state, &recovery, &seen));
    remove_named(*state, "00000000000000000001.seg");
    fault.call = ALLOCATE;
    fault.countdown = 1;
    fault.number = ENOSPC;
    journal = try_open(*state, &sys, &recovery, &seen, &error);
    assert_non_null(journal);
    assert_int_equal(recovery.lost_last, 12);
    rkb_cursor_seek(&cursor, journal, 1);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_END);
    assert_null(cursor.segment);
    append_messages(journal, 13, 15, SIZE);
    assert_int_equal(rkb_cursor_next(&cursor, &record, &error), RKB_NEXT_RECORD);
    assert_int_equal(record.sequence, 13);
    rkb_cursor_close(&cursor);
    rkb_journal_close(journal);
}

/* A process is killed while it appends and checkpoints as fast as it can. */
static void what_was_taken_outlives_kill_9(void **state)
{
    for (unsigned round = 0; round < 8; round++) {
        uint64_t *taken = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_true(taken != MAP_FAILED);
        empty_directory(*state);
        pid_t child = fork();
        if (child == 0) {
            struct rkb_sys sys = quick();
            struct rkb_recovery recovery;
            struct rkb_error error;
            struct seen seen;
            struct rkb_journal *journal = try_open(*state, &sys, &recovery, &seen, &error);
            for (uint64_t next = 1; journal != NULL; next += 10) {
                append_messages(journal, next, next + 9, 1000);
                __atomic_store_n(taken, next + 9, __ATOMIC_SEQ_CST);
                settle(journal, next > 100 ? next - 100 : 1, next > 50 ? next - 50 : 1);
                if (!rkb_journal_checkpoint(journal, UINT64_MAX, next % 3 == 0, &error))
                    break;
                rkb_journal_prepare(journal);
            }
            _exit(1);
        }
        while (__atomic_load_n(taken, __ATOMIC_SEQ_CST) < 100 + round * 97)
            sched_yield();
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, NULL, 0), child);

        struct rkb_recovery recovery;
        struct rkb_journal *journal = open_journal(*state, LIMIT, SEGMENT, &recovery);
        assert_int_equal(recovery.damaged, 0);
        assert_true(recovery.next_sequence > *taken);
        assert_true(recovery.low <= *taken);
        assert_int_equal(read_messages(journal, recovery.low, 1000), recovery.next_sequence);
        rkb_journal_close(journal);
        munmap(taken, 4096);
    }
}

/*
 * Head and records of the newest segment are damaged: its numbers can only be guessed, and the guess must not be too
 * low.
 */
static void a_headless_newest_segment_with_damaged_records(void **state)
{
    struct rkb_recovery recovery;
    struct seen seen;
    struct rkb_journal *journal = must_open(*state, &recovery, &seen);
    append_dozen(journal, 1);
    rkb_journal_close(journal);
    struct sample sample = take_sample(*state, "00000000000000000001.seg");
    sample.bytes[20] ^= 1;
    sample.bytes[sample.ends[4] + 12] ^= 0x40;      /* a kind that there is not */
    write_whole(sample.path, sample.bytes, sample.used);
    journal = must_open(*state, &recovery, &seen);
    assert_int_equal(seen.count, 0);
    assert_int_equal(recovery.damaged, 1);
    assert_true(recovery.next_sequence >= 13);
    assert_int_equal(recovery.lost_first, 1);
    assert_int_equal(recovery.lost_last, recovery.next_sequence - 1);
    goes_on(journal, *state, &seen, recovery.next_sequence);
    free_sample(&sample);
}

static void a_full_disk_is_full_and_leaves_no_half_made_file(void **state)
{
    struct rkb_sys sys = faulty();
    struct rkb_recovery recovery;
    struct rkb_error error = {0};
    struct seen seen;
    fault.countdown = 0;
    struct rkb_journal *journal = try_open(*state, &sys, &recovery, &seen, &error);
    append_messages(journal, 1, 60, 1000);
    struct batch batch = {0};
    size_t taken = 9;
    batch_message(&batch, 61, 4000);
    for (int attempt = 0; attempt < 3; attempt++) {
        fault.call = ALLOCATE;
        fault.countdown = 1;
        fault.number = ENOSPC;
        assert_false(rkb_journal_append(journal, batch.bytes.data, batch.bytes.size, BATCH_SALT, &taken, &error));
        assert_int_equal(error.code, RKB_FULL);
        assert_int_equal(taken, 0);
        assert_int_equal(count_files(*state, ".tmp"), 0);
    }
    append_batch(journal, &batch);
    batch_free(&batch);
    rkb_journal_close(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_cut_of_the_newest_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_flip_in_the_newest_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_flip_in_an_older_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_segment_is_damage_where_it_held_open_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_missing_segment_whose_records_are_settled_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_what_is_open_is_shown_but_all_marks_of_the_newest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_checkpoint_beyond_the_tail_sets_the_next_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_checkpoint_all_is_shown_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_newer_version_is_refused_in_words_and_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_segment_of_another_journal_or_under_a_wrong_name_is_damage, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_tells_of_damage_done_under_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_lost_in_the_middle_of_the_newest_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_system_call_may_fail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_sync_is_never_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_batch_whose_write_fails_stops_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_keeps_out_of_a_segment_that_will_be_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_taken_outlives_kill_9, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_headless_newest_segment_with_damaged_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_disk_is_full_and_leaves_no_half_made_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
