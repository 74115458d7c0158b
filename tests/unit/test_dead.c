/* Tests of the file of dead letters: what append and sync said true to is there, whatever is cut, flipped or fails. */
#include "disks.h"
#include "journal_support.h"

#include "journal/dead.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM (64 * MIB)
#define REFUSED_US INT64_C(1795380667123000)

static const uint8_t id[16] = {5, 6, 7};

static struct rkb_dead *try_open(const char *directory, const struct rkb_sys *sys, struct rkb_error *error)
{
    return rkb_dead_open(directory, id, ROOM, 0, sys, error);
}

static struct rkb_dead *must_open(const char *directory)
{
    struct rkb_error error = {0};
    struct rkb_dead *dead = try_open(directory, quick_disk(), &error);
    if (dead == NULL || error.code != RKB_OK)
        fail_msg("%s", error.text);
    return dead;
}

/* A message with key and headers, made from its number. */
struct letter {
    struct rkb_record record;
    uint8_t headers[16], value[40];
    char key[32];
};

static const struct rkb_record *letter_for(struct letter *letter, uint64_t sequence)
{
    static const uint8_t header[] = {1, 0, 2, 0, 0, 0, 'h', 'v', 'w'};
    snprintf(letter->key, sizeof letter->key, "key %u", (unsigned)sequence);
    memcpy(letter->headers, header, sizeof header);
    memset(letter->value, (int)(sequence * 7 + 1), sizeof letter->value);
    letter->record = (struct rkb_record){
        .kind = RKB_MESSAGE, .header_count = 1, .sequence = sequence, .time_us = 1000 + (int64_t)sequence, .epoch = 4,
        .count = (uint32_t)sequence + 2, .route = 3, .topic = 6, .has_key = sequence % 2 == 0,
        .headers = {letter->headers, sizeof header}, .value = {letter->value, sequence % 40},
    };
    if (letter->record.has_key)
        letter->record.key = rkb_slice_text(letter->key);
    return &letter->record;
}

static bool try_append(struct rkb_dead *dead, uint64_t sequence, struct rkb_error *error)
{
    struct letter letter;
    return rkb_dead_append(dead, letter_for(&letter, sequence), "users", "user_activity", "MSG_SIZE_TOO_LARGE",
                           "larger than the \"topic\" takes", REFUSED_US, error);
}

static void append(struct rkb_dead *dead, uint64_t sequence)
{
    struct rkb_error error = {0};
    if (!try_append(dead, sequence, &error))
        fail_msg("%s", error.text);
}

static void sync_now(struct rkb_dead *dead)
{
    struct rkb_error error = {0};
    if (!rkb_dead_sync(dead, &error))
        fail_msg("%s", error.text);
}

static uint64_t count_of(const struct rkb_dead *dead)
{
    struct rkb_dead_figures figures;
    rkb_dead_figures(dead, &figures);
    return figures.count;
}

static void assert_letter(const struct rkb_record *letter, const struct rkb_record *message, uint64_t sequence)
{
    struct letter expected;
    char json[300];
    uint8_t bytes[2][256];
    letter_for(&expected, sequence);
    snprintf(json, sizeof json,
             "{\"sequence\":%u,\"time\":\"2026-11-22T20:51:07.123Z\",\"route\":\"users\",\"topic\":\"user_activity\","
             "\"code\":\"MSG_SIZE_TOO_LARGE\",\"reason\":\"larger than the \\\"topic\\\" takes\"}", (unsigned)sequence);
    assert_int_equal(letter->kind, RKB_DEAD);
    assert_int_equal(letter->sequence, sequence);
    assert_int_equal(letter->time_us, REFUSED_US);
    assert_true(rkb_slice_equal(letter->value, rkb_slice_text(json)));
    assert_int_equal(rkb_record_write(bytes[0], &expected.record, 9), rkb_record_write(bytes[1], message, 9));
    assert_memory_equal(bytes[0], bytes[1], rkb_record_length(bytes[0]));
}

/* The file holds just these letters, right to the last byte. */
static void holds(const char *directory, const uint64_t *numbers, size_t count)
{
    char *path = join(directory, "dead-letters");
    size_t size, offset = RKB_SEGMENT_HEADER;
    uint8_t *bytes = read_whole(path, &size);
    struct rkb_segment_head head;
    struct rkb_record letter, message;
    const char *why;
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(rkb_dead_next(bytes, size, head.salt, &offset, &letter, &message, &why), RKB_PARSE_RECORD);
        assert_letter(&letter, &message, numbers[i]);
    }
    assert_int_equal(rkb_dead_next(bytes, size, head.salt, &offset, &letter, &message, &why), RKB_PARSE_BLANK);
    assert_int_equal(offset, size);
    free(bytes);
    free(path);
}

static void letters_are_kept_as_they_stood(void **state)
{
    static const uint64_t numbers[] = {7, 3, 9, 4000000000, 8};
    struct rkb_dead *dead = must_open(*state);
    for (size_t i = 0; i < 5; i++) {
        append(dead, numbers[i]);
        sync_now(dead);
        holds(*state, numbers, i + 1);
        if (i == 2) {
            rkb_dead_close(dead);
            dead = must_open(*state);
            assert_int_equal(count_of(dead), 3);
        }
    }
    rkb_dead_close(dead);
}

/* A full disk is no reason not to start: the file is made when there is something to put into it. */
static void there_is_no_file_before_the_first_letter(void **state)
{
    struct rkb_error error = {0};
    struct rkb_dead_figures figures;
    struct rkb_dead *dead = try_open(*state, faulty_disk(), &error);
    rkb_dead_figures(dead, &figures);
    assert_int_equal(figures.bytes, 0);
    assert_int_equal(count_files(*state, ""), 0);
    fail_call(CALL_PWRITE, 1, ENOSPC);
    assert_false(try_append(dead, 1, &error));
    assert_int_equal(error.code, RKB_FULL);
    append(dead, 1);
    assert_int_equal(count_files(*state, ""), 1);
    rkb_dead_close(dead);
}

static void the_same_number_is_there_once(void **state)
{
    static const uint64_t numbers[] = {7, 3, 9, 5};
    struct rkb_dead *dead = must_open(*state);
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < (round < 2 ? 3 : 4); i++)
            append(dead, numbers[i]);
        assert_int_equal(count_of(dead), round < 2 ? 3 : 4);
        rkb_dead_close(dead);
        dead = must_open(*state);
    }
    rkb_dead_close(dead);
    holds(*state, numbers, 4);
}

/* What is below the checkpoint never comes again and takes no memory; it is counted all the same. */
static void numbers_below_the_checkpoint_are_not_remembered(void **state)
{
    struct rkb_error error;
    struct rkb_dead *dead = must_open(*state);
    for (uint64_t i = 1; i <= 20; i++)
        append(dead, i);
    rkb_dead_close(dead);
    dead = rkb_dead_open(*state, id, ROOM, 11, quick_disk(), &error);
    assert_int_equal(count_of(dead), 20);
    append(dead, 11);
    append(dead, 20);
    assert_int_equal(count_of(dead), 20);
    append(dead, 5);
    assert_int_equal(count_of(dead), 21);
    rkb_dead_close(dead);
}

static void at_the_limit_nothing_is_written(void **state)
{
    struct rkb_error error = {0};
    struct rkb_dead_figures before, after;
    struct stat status;
    char *path = join(*state, "dead-letters");
    struct rkb_dead *dead = rkb_dead_open(*state, id, 1000, 0, quick_disk(), &error);
    uint64_t next = 2;
    for (; try_append(dead, next, &error); next++)
        rkb_dead_figures(dead, &before);
    assert_int_equal(error.code, RKB_FULL);
    assert_non_null(strstr(error.text, "journal.dead_letter_size"));
    rkb_dead_figures(dead, &after);
    assert_true(next > 3 && before.bytes > 500 && before.bytes <= 1000);
    assert_int_equal(after.bytes, before.bytes);
    assert_int_equal(after.count, next - 2);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, after.bytes);
    append(dead, 2);            /* it is there: nothing to write */
    rkb_dead_close(dead);
    dead = must_open(*state);   /* more room now */
    append(dead, next);
    rkb_dead_close(dead);

    empty_directory(*state);
    dead = rkb_dead_open(*state, id, 0, 0, quick_disk(), &error);
    assert_false(try_append(dead, 2, &error));
    assert_int_equal(error.code, RKB_FULL);
    rkb_dead_close(dead);
    free(path);
}

/* A file of three letters as bytes in memory, and where its six records end. */
struct file {
    char *path;
    uint8_t *bytes;
    size_t size, ends[6];
};

static struct file make_three(const char *directory)
{
    struct file file = {.path = join(directory, "dead-letters")};
    struct rkb_dead *dead = must_open(directory);
    for (uint64_t i = 1; i <= 3; i++)
        append(dead, i);
    rkb_dead_close(dead);
    file.bytes = read_whole(file.path, &file.size);
    for (size_t i = 0, at = RKB_SEGMENT_HEADER; i < 6; i++)
        file.ends[i] = at += rkb_record_length(file.bytes + at);
    assert_int_equal(file.ends[5], file.size);
    return file;
}

static void free_file(struct file *file)
{
    free(file->path);
    free(file->bytes);
}

/* How many records end at or before `at`. */
static size_t records_before(const struct file *file, size_t at)
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
    assert_int_equal(count_of(dead), whole);
    for (uint64_t i = 1; i <= 3; i++)
        append(dead, i);
    assert_int_equal(count_of(dead), 3);
    rkb_dead_close(dead);
    holds(directory, numbers, 3);
}

static void every_cut_keeps_what_is_whole_and_goes_on(void **state)
{
    struct file file = make_three(*state);
    for (size_t cut = RKB_SEGMENT_HEADER; cut <= file.size; cut++) {
        struct rkb_dead_figures figures;
        write_whole(file.path, file.bytes, cut);
        struct rkb_dead *dead = must_open(*state);
        rkb_dead_figures(dead, &figures);
        size_t whole = records_before(&file, cut) / 2;
        assert_int_equal(figures.torn_bytes, cut - (whole == 0 ? RKB_SEGMENT_HEADER : file.ends[whole * 2 - 1]));
        goes_on(dead, *state, whole);
    }
    assert_int_equal(count_files(*state, "dead-letters"), 1);
    assert_int_equal(count_files(*state, ""), 1);
    free_file(&file);
}

/* A power loss: the file has its length, but from some record on it reads as zeros. */
static void every_tail_of_zeros_is_cut(void **state)
{
    struct file file = make_three(*state);
    for (size_t records = 0; records <= 6; records++) {
        size_t from = records == 0 ? RKB_SEGMENT_HEADER : file.ends[records - 1];
        uint8_t *bytes = calloc(1, file.size + 512);
        memcpy(bytes, file.bytes, from);
        write_whole(file.path, bytes, file.size + 512);
        free(bytes);
        goes_on(must_open(*state), *state, records / 2);
    }
    free_file(&file);
}

/* What was whole in size is never thrown away: the file as it was is kept aside. */
static void every_flip_is_told_and_the_file_is_kept(void **state)
{
    struct file file = make_three(*state);
    for (size_t flip = 0; flip < file.size; flip++) {
        struct rkb_error error = {0};
        empty_directory(*state);
        file.bytes[flip] ^= 1;
        write_whole(file.path, file.bytes, file.size);
        struct rkb_dead *dead = try_open(*state, quick_disk(), &error);
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
    free_file(&file);
}

/* Two letters, two messages, or a reason that speaks of another message: no write of ours left that. */
static void a_pair_that_is_none_is_damage(void **state)
{
    struct file file = make_three(*state);
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
        struct rkb_dead *dead = try_open(*state, quick_disk(), &error);
        assert_int_equal(error.code, RKB_DAMAGED);
        goes_on(dead, *state, 0);
    }
    free_file(&file);
}

static void a_second_damaged_file_does_not_replace_the_first(void **state)
{
    struct file file = make_three(*state);
    for (int round = 0; round < 3; round++) {
        struct rkb_error error = {0};
        file.bytes[file.ends[0] + 70] ^= 1;
        write_whole(file.path, file.bytes, file.size);
        rkb_dead_close(try_open(*state, quick_disk(), &error));
        assert_int_equal(error.code, RKB_DAMAGED);
        file.bytes[file.ends[0] + 70] ^= 1;
    }
    assert_int_equal(count_files(*state, ".damaged"), 1);
    assert_int_equal(count_files(*state, ".damaged.2"), 1);
    assert_int_equal(count_files(*state, ".damaged.3"), 1);
    free_file(&file);
}

static void a_newer_or_a_foreign_file_is_not_taken(void **state)
{
    struct rkb_segment_head head;
    struct rkb_error error = {0};
    struct file file = make_three(*state);
    assert_true(rkb_segment_head_parse(file.bytes, file.size, &head, &error));
    head.version++;
    rkb_segment_head_write(file.bytes, &head);
    write_whole(file.path, file.bytes, file.size);
    assert_null(try_open(*state, quick_disk(), &error));
    assert_int_equal(error.code, RKB_VERSION);
    head.version--;
    head.journal_id[0] ^= 1;
    rkb_segment_head_write(file.bytes, &head);
    write_whole(file.path, file.bytes, file.size);
    rkb_dead_close(try_open(*state, quick_disk(), &error));
    assert_int_equal(error.code, RKB_DAMAGED);
    assert_int_equal(count_files(*state, ".damaged"), 1);
    free_file(&file);
}

/*
 * Opens, in a directory with a file that has a torn tail or with none, and appends, while one call fails. Whatever
 * append was true to is there afterwards, and nothing else. True when the call was made.
 */
static bool survives(const char *directory, bool fresh, enum call call, int point)
{
    struct rkb_error error = {0};
    uint64_t promised[10];
    size_t count = 0;
    empty_directory(directory);
    struct file file = make_three(directory);
    write_whole(file.path, file.bytes, file.size - 8);
    if (fresh)
        unlink(file.path);
    else
        for (uint64_t i = 1; i <= 2; i++)
            promised[count++] = i;
    free_file(&file);

    const struct rkb_sys *sys = faulty_disk();
    fail_call(call, point, EIO);
    struct rkb_dead *dead = try_open(directory, sys, &error);
    for (uint64_t i = 4; dead != NULL && i < 10; i++) {
        if (try_append(dead, i, &error))
            promised[count++] = i;
        if (!rkb_dead_sync(dead, &error))
            break;
    }
    bool failed = call_failed();
    fail_call(call, 0, 0);
    if (!failed)
        assert_int_equal(count, fresh ? 6 : 8);
    rkb_dead_close(dead);
    rkb_dead_close(must_open(directory));
    if (count > 0)
        holds(directory, promised, count);
    return failed;
}

static void what_append_promised_is_there_whatever_fails(void **state)
{
    static const enum call calls[] = {CALL_PWRITE, CALL_PWRITE_SHORT, CALL_FDATASYNC, CALL_FSYNC, CALL_RENAME,
                                      CALL_OPEN, CALL_FTRUNCATE, CALL_RANDOM};
    for (size_t kind = 0; kind < sizeof calls / sizeof calls[0]; kind++) {
        int made = 0;
        for (int fresh = 0; fresh < 2; fresh++)
            for (int point = 1; survives(*state, fresh, calls[kind], point); point++)
                made++;
        assert_true(made > 0);
    }
}

static void after_a_failed_write_the_same_may_be_tried_again(void **state)
{
    static const uint64_t numbers[] = {30, 2};
    struct rkb_error error = {0};
    struct rkb_dead *dead = try_open(*state, faulty_disk(), &error);
    append(dead, 30);
    uint8_t large[4000];
    struct letter letter;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = i % 4 == 0 ? 64 : 0;         /* read as a header, its length would be possible */
    letter_for(&letter, 39);
    letter.record.headers = rkb_slice(NULL, 0);
    letter.record.value = rkb_slice(large, sizeof large);
    fail_call(CALL_PWRITE, 1, ENOSPC);
    assert_false(rkb_dead_append(dead, &letter.record, "r", "t", "c", "", 0, &error));
    assert_int_equal(error.code, RKB_FULL);
    append(dead, 2);            /* shorter than what was left of the other */
    assert_int_equal(count_of(dead), 2);
    rkb_dead_close(dead);
    rkb_dead_close(must_open(*state));
    holds(*state, numbers, 2);
}

/* After a failed sync the file is not trusted: all goes into another one, by the next sync or the next append. */
static void a_failed_sync_is_not_just_repeated(void **state)
{
    static const uint64_t numbers[] = {1, 2, 3};
    char *path = join(*state, "dead-letters");
    for (int by_append = 0; by_append < 2; by_append++) {
        struct rkb_error error = {0};
        struct stat before, after;
        empty_directory(*state);
        struct rkb_dead *dead = try_open(*state, faulty_disk(), &error);
        append(dead, 1);
        sync_now(dead);
        append(dead, 2);
        assert_int_equal(stat(path, &before), 0);
        fail_call(CALL_FDATASYNC, 1, EIO);
        assert_false(rkb_dead_sync(dead, &error));
        assert_int_equal(error.code, RKB_SYSTEM);
        fail_call(CALL_FDATASYNC, 1, EIO);      /* nor does the new one get there at once */
        assert_false(by_append ? try_append(dead, 3, &error) : rkb_dead_sync(dead, &error));
        if (!by_append)
            sync_now(dead);
        append(dead, 3);
        assert_int_equal(stat(path, &after), 0);
        assert_true(before.st_ino != after.st_ino);
        assert_int_equal(count_of(dead), 3);
        sync_now(dead);
        rkb_dead_close(dead);
        rkb_dead_close(must_open(*state));
        holds(*state, numbers, 3);
    }
    free(path);
}

/* What does not read back is never called safe: the checkpoint waits for a start that sets the file aside. */
static void after_a_failed_sync_what_is_lost_is_not_promised(void **state)
{
    struct rkb_error error = {0};
    char *path = join(*state, "dead-letters");
    struct rkb_dead *dead = try_open(*state, faulty_disk(), &error);
    append(dead, 1);
    append(dead, 2);
    fail_call(CALL_FDATASYNC, 1, EIO);
    assert_false(rkb_dead_sync(dead, &error));
    assert_int_equal(truncate(path, 300), 0);
    assert_int_equal(truncate(path, 900), 0);       /* its pages are gone */
    for (int again = 0; again < 2; again++) {
        assert_false(rkb_dead_sync(dead, &error));
        assert_int_equal(error.code, RKB_DAMAGED);
        assert_false(try_append(dead, 3, &error));
    }
    rkb_dead_close(dead);
    free(path);
}

static int syncs;

static int count_sync(int fd)
{
    (void)fd;
    syncs++;
    return 0;
}

/* What a process that was killed wrote may be in memory only: it is synced before a checkpoint passes it again. */
static void sync_waits_only_for_what_is_not_there_yet(void **state)
{
    struct rkb_sys sys = *quick_disk();
    struct rkb_error error = {0};
    sys.fdatasync = count_sync;
    struct rkb_dead *dead = try_open(*state, &sys, &error);
    append(dead, 1);
    sync_now(dead);
    syncs = 0;
    sync_now(dead);
    assert_int_equal(syncs, 0);
    append(dead, 2);
    append(dead, 4);
    sync_now(dead);
    sync_now(dead);
    append(dead, 1);
    sync_now(dead);
    assert_int_equal(syncs, 1);
    append(dead, 3);
    rkb_dead_close(dead);       /* killed */
    dead = try_open(*state, &sys, &error);
    append(dead, 3);
    sync_now(dead);
    assert_int_equal(syncs, 2);
    rkb_dead_close(dead);
}

/* A file of version 1 reads, and is of this version as soon as a letter of this version is in it. */
static void an_older_file_becomes_one_of_now(void **state)
{
    size_t size;
    struct rkb_segment_head head;
    char *path = join(*state, "dead-letters");
    struct rkb_dead *dead = must_open(*state);
    append(dead, 7);
    rkb_dead_close(dead);
    uint8_t *bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    assert_int_equal(head.version, RKB_FORMAT_VERSION);
    head.version = 1;
    rkb_segment_head_write(bytes, &head);
    write_whole(path, bytes, size);
    free(bytes);

    dead = must_open(*state);
    assert_int_equal(count_of(dead), 1);
    bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    assert_int_equal(head.version, 1);          /* it was only read */
    free(bytes);
    append(dead, 9);
    append(dead, 11);
    rkb_dead_close(dead);
    bytes = read_whole(path, &size);
    assert_true(rkb_segment_head_parse(bytes, size, &head, NULL));
    assert_int_equal(head.version, RKB_FORMAT_VERSION);
    free(bytes);
    dead = must_open(*state);
    assert_int_equal(count_of(dead), 3);
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
        in_directory(what_append_promised_is_there_whatever_fails),
        in_directory(after_a_failed_write_the_same_may_be_tried_again),
        in_directory(a_failed_sync_is_not_just_repeated),
        in_directory(after_a_failed_sync_what_is_lost_is_not_promised),
        in_directory(sync_waits_only_for_what_is_not_there_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
