/* Tests of the file of dead letters on a disk that fails: what append and sync said true to is there. */
#include "dead_support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    struct dead_file file = dead_make_three(directory);
    write_whole(file.path, file.bytes, file.size - 8);
    if (fresh)
        unlink(file.path);
    else
        for (uint64_t i = 1; i <= 2; i++)
            promised[count++] = i;
    dead_file_free(&file);

    const struct rkb_sys *sys = faulty_disk();
    fail_call(call, point, EIO);
    struct rkb_dead *dead = dead_try_open(directory, sys, &error);
    for (uint64_t i = 4; dead != NULL && i < 10; i++) {
        if (dead_try_append(dead, i, &error))
            promised[count++] = i;
        if (!rkb_dead_sync(dead, &error))
            break;
    }
    bool failed = call_failed();
    fail_call(call, 0, 0);
    if (!failed)
        assert_int_equal(count, fresh ? 6 : 8);
    rkb_dead_close(dead);
    rkb_dead_close(dead_must_open(directory));
    if (count > 0)
        dead_holds(directory, promised, count);
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
    struct rkb_dead *dead = dead_try_open(*state, faulty_disk(), &error);
    dead_append_one(dead, 30);
    uint8_t large[4000];
    struct dead_letter letter;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = i % 4 == 0 ? 64 : 0;         /* read as a header, its length would be possible */
    dead_letter_for(&letter, 39);
    letter.record.headers = rkb_slice(NULL, 0);
    letter.record.value = rkb_slice(large, sizeof large);
    fail_call(CALL_PWRITE, 1, ENOSPC);
    assert_false(rkb_dead_append(dead, &letter.record, "r", "t", "c", "", 0, &error));
    assert_int_equal(error.code, RKB_FULL);
    dead_append_one(dead, 2);            /* shorter than what was left of the other */
    assert_int_equal(dead_count(dead), 2);
    rkb_dead_close(dead);
    rkb_dead_close(dead_must_open(*state));
    dead_holds(*state, numbers, 2);
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
        struct rkb_dead *dead = dead_try_open(*state, faulty_disk(), &error);
        dead_append_one(dead, 1);
        dead_sync_now(dead);
        dead_append_one(dead, 2);
        assert_int_equal(stat(path, &before), 0);
        fail_call(CALL_FDATASYNC, 1, EIO);
        assert_false(rkb_dead_sync(dead, &error));
        assert_int_equal(error.code, RKB_SYSTEM);
        fail_call(CALL_FDATASYNC, 1, EIO);      /* nor does the new one get there at once */
        assert_false(by_append ? dead_try_append(dead, 3, &error) : rkb_dead_sync(dead, &error));
        if (!by_append)
            dead_sync_now(dead);
        dead_append_one(dead, 3);
        assert_int_equal(stat(path, &after), 0);
        assert_true(before.st_ino != after.st_ino);
        assert_int_equal(dead_count(dead), 3);
        dead_sync_now(dead);
        rkb_dead_close(dead);
        rkb_dead_close(dead_must_open(*state));
        dead_holds(*state, numbers, 3);
    }
    free(path);
}

/* What does not read back is never called safe: the checkpoint waits for a start that sets the file aside. */
static void after_a_failed_sync_what_is_lost_is_not_promised(void **state)
{
    struct rkb_error error = {0};
    char *path = join(*state, "dead-letters");
    struct rkb_dead *dead = dead_try_open(*state, faulty_disk(), &error);
    dead_append_one(dead, 1);
    dead_append_one(dead, 2);
    fail_call(CALL_FDATASYNC, 1, EIO);
    assert_false(rkb_dead_sync(dead, &error));
    assert_int_equal(truncate(path, 300), 0);
    assert_int_equal(truncate(path, 900), 0);       /* its pages are gone */
    for (int again = 0; again < 2; again++) {
        assert_false(rkb_dead_sync(dead, &error));
        assert_int_equal(error.code, RKB_DAMAGED);
        assert_false(dead_try_append(dead, 3, &error));
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
    struct rkb_dead *dead = dead_try_open(*state, &sys, &error);
    dead_append_one(dead, 1);
    dead_sync_now(dead);
    syncs = 0;
    dead_sync_now(dead);
    assert_int_equal(syncs, 0);
    dead_append_one(dead, 2);
    dead_append_one(dead, 4);
    dead_sync_now(dead);
    dead_sync_now(dead);
    dead_append_one(dead, 1);
    dead_sync_now(dead);
    assert_int_equal(syncs, 1);
    dead_append_one(dead, 3);
    rkb_dead_close(dead);       /* killed */
    dead = dead_try_open(*state, &sys, &error);
    dead_append_one(dead, 3);
    dead_sync_now(dead);
    assert_int_equal(syncs, 2);
    rkb_dead_close(dead);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(what_append_promised_is_there_whatever_fails),
        in_directory(after_a_failed_write_the_same_may_be_tried_again),
        in_directory(a_failed_sync_is_not_just_repeated),
        in_directory(after_a_failed_sync_what_is_lost_is_not_promised),
        in_directory(sync_waits_only_for_what_is_not_there_yet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
