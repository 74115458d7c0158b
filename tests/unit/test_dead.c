/* Tests of the file of dead letters: what it holds, and what is cut, flipped, of another version or too much. */
#include "dead_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void letters_are_kept_as_they_stood(void **state)
{
    static const uint64_t numbers[] = {7, 3, 9, 4000000000, 8};
    struct rkb_dead *dead = dead_must_open(*state);
    for (size_t i = 0; i < 5; i++) {
        dead_append_one(dead, numbers[i]);
        dead_sync_now(dead);
        dead_holds(*state, numbers, i + 1);
        if (i == 2) {
            rkb_dead_close(dead);
            dead = dead_must_open(*state);
            assert_int_equal(dead_count(dead), 3);
        }
    }
    rkb_dead_close(dead);
}

/* A full disk is no reason not to start: the file is made when there is something to put into it. */
static void there_is_no_file_before_the_first_letter(void **state)
{
    struct rkb_error error = {0};
    struct rkb_dead_figures figures;
    struct rkb_dead *dead = dead_try_open(*state, faulty_disk(), &error);
    rkb_dead_figures(dead, &figures);
    assert_int_equal(figures.bytes, 0);
    assert_int_equal(count_files(*state, ""), 0);
    fail_call(CALL_PWRITE, 1, ENOSPC);
    assert_false(dead_try_append(dead, 1, &error));
    assert_int_equal(error.code, RKB_FULL);
    dead_append_one(dead, 1);
    assert_int_equal(count_files(*state, ""), 1);
    rkb_dead_close(dead);
}

static void the_same_number_is_there_once(void **state)
{
    static const uint64_t numbers[] = {7, 3, 9, 5};
    struct rkb_dead *dead = dead_must_open(*state);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < (round < 2 ? 3 : 4); i++)
            dead_append_one(dead, numbers[i]);
        assert_int_equal(dead_count(dead), round < 2 ? 3 : 4);
        rkb_dead_close(dead);
        dead = dead_must_open(*state);
    }
    rkb_dead_close(dead);
    dead_holds(*state, numbers, 4);
}

/* What is below the checkpoint never comes again and takes no memory; it is counted all the same. */
static void numbers_below_the_checkpoint_are_not_remembered(void **state)
{
    struct rkb_error error;
    struct rkb_dead *dead = dead_must_open(*state);
    for (uint64_t i = 1; i <= 20; i++)
        dead_append_one(dead, i);
    rkb_dead_close(dead);
    dead = rkb_dead_open(*state, dead_journal, DEAD_ROOM, 11, quick_disk(), &error);
    assert_int_equal(dead_count(dead), 20);
    dead_append_one(dead, 11);
    dead_append_one(dead, 20);
    assert_int_equal(dead_count(dead), 20);
    dead_append_one(dead, 5);
    assert_int_equal(dead_count(dead), 21);
    rkb_dead_close(dead);
}

static void at_the_limit_nothing_is_written(void **state)
{
    struct rkb_error error = {0};
    struct rkb_dead_figures before, after;
    struct stat status;
    char *path = join(*state, "dead-letters");
    struct rkb_dead *dead = rkb_dead_open(*state, dead_journal, 1000, 0, quick_disk(), &error);
    uint64_t next = 2;
    for (; dead_try_append(dead, next, &error); next++)
        rkb_dead_figures(dead, &before);
    assert_int_equal(error.code, RKB_FULL);
    assert_non_null(strstr(error.text, "journal.dead_letter_size"));
    rkb_dead_figures(dead, &after);
    assert_true(next > 3 && before.bytes > 500 && before.bytes <= 1000);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.count, next - 2);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, after.bytes);
    dead_append_one(dead, 2);            /* it is there: nothing to write */
    rkb_dead_close(dead);
    dead = dead_must_open(*state);   /* more room now */
    dead_append_one(dead, next);
    rkb_dead_close(dead);

    empty_directory(*state);
    dead = rkb_dead_open(*state, dead_journal, 0, 0, quick_disk(), &error);
    assert_false(dead_try_append(dead, 2, &error));
    assert_int_equal(error.code, RKB_FULL);
    rkb_dead_close(dead);
    free(path);
}

/* How many records end at or before `at`. */
static size_t records_before(const struct dead_file *file, size_t at)
{
    size_t count = 0;
    while (count < 6 && file->ends[count] <= at)
        count++;
    return count;
}

/* It knows the first `whole` of the three, takes up the others again, and then holds them all. Closes it. */
static void goes_on(struct rkb_dead *dead, const char *directory, size_t whole)
{
    static const uint64_t numbers[] = {1, 2, 3};
    assert_non_null(dead);
    assert_int_equal(dead_count(dead), whole);
    for (uint64_t i = 1; i <= 3; i++)
        dead_append_one(dead, i);
    assert_int_equal(dead_count(dead), 3);
    rkb_dead_close(dead);
    dead_holds(directory, numbers, 3);
}

static void every_cut_keeps_what_is_whole_and_goes_on(void **state)
{
    struct dead_file file = dead_make_three(*state);
    for (size_t cut = RKB_SEGMENT_HEADER; cut <= file.size; cut++) {
        struct rkb_dead_figures figures;
        write_whole(file.path, file.bytes, cut);
        struct rkb_dead *dead = dead_must_open(*state);
        rkb_dead_figures(dead, &figures);
        size_t whole = records_before(&file, cut) / 2;
        assert_int_equal(figures.torn_bytes, cut - (whole == 0 ? RKB_SEGMENT_HEADER : file.ends[whole * 2 - 1]));
        goes_on(dead, *state, whole);
    }
    assert_int_equal(count_files(*state, "dead-letters"), 1);
    assert_int_equal(count_files(*state, ""), 1);
    dead_file_free(&file);
}

/* A power loss: the file has its length, but from some record on it reads as zeros. */
static void every_tail_of_zeros_is_cut(void **state)
{
    struct dead_file file = dead_make_three(*state);
    for (size_t records = 0; records <= 6; records++) {
        size_t from = records == 0 ? RKB_SEGMENT_HEADER : file.ends[records - 1];
        uint8_t *bytes = calloc(1, file.size + 512);
        memcpy(bytes, file.bytes, from);
        write_whole(file.path, bytes, file.size + 512);
        free(bytes);
        goes_on(dead_must_open(*state), *state, records / 2);
    }
    dead_file_free(&file);
}

/* What was whole in size is never thrown away: the file as it was is kept aside. */
static void every_flip_is_told_and_the_file_is_kept(void **state)
{
    struct dead_file file = dead_make_three(*state);
    for (size_t flip = 0; flip < file.size; flip++) {
        struct rkb_error error = {0};
        empty_directory(*state);
        file.bytes[flip] ^= 1;
        write_whole(file.path, file.bytes, file.size);
        struct rkb_dead *dead = dead_try_open(*state, quick_disk(), &error);
        size_t records = flip < RKB_SEGMENT_HEADER ? 0 : records_before(&file, flip);
        size_t start = records == 0 ? RKB_SEGMENT_HEADER : file.ends[records - 1];
        bool length = flip >= start + 8 && flip < start + 12;
        if (flip < RKB_SEGMENT_HEADER || records < 5 || !length) {      /* a last length beyond the file looks torn */
            assert_int_equal(error.code, RKB_DAMAGED);
            size_t size;
            char *aside = join(*state, "dead-letters.damaged");
            uint8_t *bytes = read_whole(aside, &size);
            assert_int_equal(size, file.size);
            assert_memory_equal(bytes, file.bytes, size);
            free(bytes);
            free(aside);
        }
        file.bytes[flip] ^= 1;
        goes_on(dead, *state, error.code == RKB_DAMAGED ? 0 : 2);
    }
    dead_file_free(&file);
}

/* Two letters, two messages, or a reason that speaks of another message: no write of ours left that. */
static void a_pair_that_is_none_is_damage(void **state)
{
    struct dead_file file = dead_make_three(*state);
    size_t starts[7] = {RKB_SEGMENT_HEADER};
    memcpy(starts + 1, file.ends, sizeof file.ends);
    static const struct { size_t first, last; } left_out[] = {{0, 0}, {1, 1}, {3, 3}, {1, 2}};
    for (size_t i = 0; i < sizeof left_out / sizeof left_out[0]; i++) {
        struct rkb_error error = {0};
        size_t from = starts[left_out[i].first], to = starts[left_out[i].last + 1];
        uint8_t *bytes = malloc(file.size);
        empty_directory(*state);
        memcpy(bytes, file.bytes, from);
        memcpy(bytes + from, file.bytes + to, file.size - to);
        write_whole(file.path, bytes, file.size - (to - from));
        free(bytes);
        struct rkb_dead *dead = dead_try_open(*state, quick_disk(), &error);
        assert_int_equal(error.code, RKB_DAMAGED);
        goes_on(dead, *state, 0);
    }
    dead_file_free(&file);
}

static void a_second_damaged_file_does_not_replace_the_first(void **state)
{
    struct dead_file file = dead_make_three(*state);
    for (int round = 0; round < 3; round++) {
        struct rkb_error error = {0};
        file.bytes[file.ends[0] + 70] ^= 1;
        write_whole(file.path, file.bytes, file.size);
        rkb_dead_close(dead_try_open(*state, quick_disk(), &error));
        assert_int_equal(error.code, RKB_DAMAGED);
        file.bytes[file.ends[0] + 70] ^= 1;
    }
    assert_int_equal(count_files(*state, ".damaged"), 1);
    assert_int_equal(count_files(*state, ".damaged.2"), 1);
    assert_int_equal(count_files(*state, ".damaged.3"), 1);
    dead_file_free(&file);
}

static void a_newer_or_a_foreign_file_is_not_taken(void **state)
{
    struct rkb_segment_head head;
    struct rkb_error error = {0};
    struct dead_file file = dead_make_three(*state);
    assert_true(rkb_segment_head_parse(file.bytes, file.size, &head, &error));
    head.version++;
    rkb_segment_head_write(file.bytes, &head);
    write_whole(file.path, file.bytes, file.size);
    assert_null(dead_try_open(*state, quick_disk(), &error));
    assert_int_equal(error.code, RKB_VERSION);
    head.version--;
    head.journal_id[0] ^= 1;
    rkb_segment_head_write(file.bytes, &head);
    write_whole(file.path, file.bytes, file.size);
    rkb_dead_close(dead_try_open(*state, quick_disk(), &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_int_equal(count_files(*state, ".damaged"), 1);
    dead_file_free(&file);
}

/* A file of version 1 reads, and is of this version as soon as a letter of this version is in it. */
static void an_older_file_becomes_one_of_now(void **state)
{
    size_t size;
    struct rkb_segment_head head;
    char *path = join(*state, "dead-letters");
    struct rkb_dead *dead = dead_must_open(*state);
    dead_append_one(dead, 7);
    rkb_dead_close(dead);
    uint8_t *bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    assert_int_equal(head.version, RKB_FORMAT_VERSION);
    head.version = 1;
    rkb_segment_head_write(bytes, &head);
    write_whole(path, bytes, size);
    free(bytes);

    dead = dead_must_open(*state);
    assert_int_equal(dead_count(dead), 1);
    bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    assert_int_equal(head.version, 1);          /* it was only read */
    free(bytes);
    dead_append_one(dead, 9);
    dead_append_one(dead, 11);
    rkb_dead_close(dead);
    bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    assert_int_equal(head.version, RKB_FORMAT_VERSION);
    free(bytes);
    dead = dead_must_open(*state);
    assert_int_equal(dead_count(dead), 3);
    rkb_dead_close(dead);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(an_older_file_becomes_one_of_now),
        in_directory(letters_are_kept_as_they_stood),
        in_directory(there_is_no_file_before_the_first_letter),
        in_directory(the_same_number_is_there_once),
        in_directory(numbers_below_the_checkpoint_are_not_remembered),
        in_directory(at_the_limit_nothing_is_written),
        in_directory(every_cut_keeps_what_is_whole_and_goes_on),
        in_directory(every_tail_of_zeros_is_cut),
        in_directory(every_flip_is_told_and_the_file_is_kept),
        in_directory(a_pair_that_is_none_is_damage),
        in_directory(a_second_damaged_file_does_not_replace_the_first),
        in_directory(a_newer_or_a_foreign_file_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
