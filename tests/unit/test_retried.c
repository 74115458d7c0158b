/* The note of what was sent again: what add said true to is there, whatever is cut off, written by others, or fails. */
#include "journal_support.h"

#include "journal/retried.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID "018bcfe5-6800-7000-8000-123456789abc"
#define OTHER "018bcfe5-6800-7000-8000-123456789abd"

static struct rkb_retried *must_open(const char *directory)
{
    struct rkb_error error = {.text = ""};
    struct rkb_retried *retried = rkb_retried_open(directory, &rkb_sys_posix, &error);
    if (retried == NULL)
        fail_msg("%s", error.text);
    return retried;
}

static struct rkb_retried *must_read(const char *directory)
{
    struct rkb_error error = {.text = ""};
    struct rkb_retried *retried = rkb_retried_read(directory, &rkb_sys_posix, &error);
    if (retried == NULL)
        fail_msg("%s", error.text);
    return retried;
}

static bool has(const struct rkb_retried *retried, const char *place, const char *id)
{
    return rkb_retried_when(retried, place, rkb_slice_text(id)) != NULL;
}

static void add(struct rkb_retried *retried, const char *place, const char *id)
{
    struct rkb_error error = {.text = ""};
    if (!rkb_retried_add(retried, place, rkb_slice_text(id), &error))
        fail_msg("%s", error.text);
}

static void test_noted(void **state)
{
    const char *directory = *state;
    struct rkb_error error;
    struct stat status;
    struct rkb_retried *retried = must_read(directory);     /* there is no file yet, and looking makes none */
    assert_false(has(retried, "file/1", ID));
    assert_false(rkb_retried_just_now(retried, rkb_slice_text(ID)));
    rkb_retried_free(retried);
    char *path = join(directory, "dead-letters.retried");
    assert_int_equal(stat(path, &status), -1);

    retried = must_open(directory);
    add(retried, "file/1", ID);
    add(retried, "letters/0/17", OTHER);
    assert_true(rkb_retried_sync(retried, &error));
    assert_true(has(retried, "file/1", ID));
    assert_true(rkb_retried_just_now(retried, rkb_slice_text(OTHER)));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    rkb_retried_free(retried);

    retried = must_read(directory);
    assert_true(has(retried, "file/1", ID) && has(retried, "letters/0/17", OTHER));
    assert_false(has(retried, "file/1", OTHER));            /* a topic made anew: the place again, another message */
    assert_false(has(retried, "file/11", ID));
    assert_false(has(retried, "file", "1 " ID));
    assert_false(rkb_retried_just_now(retried, rkb_slice_text(ID)));
    const char *when = rkb_retried_when(retried, "file/1", rkb_slice_text(ID));
    assert_true(when[10] == 'T' && when[23] == 'Z');
    rkb_retried_free(retried);
    free(path);
}

static void test_many(void **state)
{
    const char *directory = *state;
    char place[32];
    struct rkb_retried *retried = must_open(directory);
    for (int i = 0; i < 3000; i++) {
        snprintf(place, sizeof place, "file/%d", i * 2);
        add(retried, place, ID);
    }
    rkb_retried_free(retried);
    retried = must_read(directory);
    for (int i = 0; i < 6000; i++) {
        snprintf(place, sizeof place, "file/%d", i);
        assert_int_equal(has(retried, place, ID), i % 2 == 0);
    }
    rkb_retried_free(retried);
}

/* Cut at any byte: whole lines count, and what is added behind does, too. */
static void test_torn(void **state)
{
    const char *directory = *state;
    size_t size;
    struct rkb_retried *retried = must_open(directory);
    add(retried, "file/1", ID);
    add(retried, "file/2", OTHER);
    rkb_retried_free(retried);
    char *path = join(directory, "dead-letters.retried");
    uint8_t *whole = read_whole(path, &size);
    for (size_t cut = 0; cut <= size; cut++) {
        write_whole(path, whole, cut);
        retried = must_read(directory);
        assert_int_equal(has(retried, "file/1", ID), cut >= size / 2);
        assert_int_equal(has(retried, "file/2", OTHER), cut == size);
        rkb_retried_free(retried);
        retried = must_open(directory);
        add(retried, "file/3", ID);
        rkb_retried_free(retried);
        retried = must_read(directory);
        assert_int_equal(has(retried, "file/1", ID), cut >= size / 2);
        assert_true(has(retried, "file/3", ID));
        rkb_retried_free(retried);
    }
    free(whole);
    free(path);
}

static void test_others_lines(void **state)
{
    static const char lines[] = "\n\n \n# a remark\nfile/1 " ID "\n\0\0\n2026-01-02T03:04:05.678Z\n"
                                "2026-01-02T03:04:05.678Z \n2026-01-02T03:04:05.678Z file/2 " ID "\n";
    const char *directory = *state;
    char *path = join(directory, "dead-letters.retried");
    write_whole(path, (const uint8_t *)lines, sizeof lines - 1);
    struct rkb_retried *retried = must_read(directory);
    assert_false(has(retried, "file/1", ID));
    assert_true(has(retried, "file/2", ID));
    assert_memory_equal(rkb_retried_when(retried, "file/2", rkb_slice_text(ID)), "2026-01-02T03:04:05.678Z", 24);
    rkb_retried_free(retried);
    free(path);
}

/* Only one adds; to look is no bother. An id that would break the line is refused. */
static void test_one_at_a_time(void **state)
{
    const char *directory = *state;
    struct rkb_error error = {.code = RKB_OK};
    struct rkb_retried *retried = must_open(directory);
    assert_null(rkb_retried_open(directory, &rkb_sys_posix, &error));
    assert_int_equal(error.code, RKB_LOCKED);
    rkb_retried_free(must_read(directory));
    static const char *const ids[] = {"", "a b", "a\nb", "\x01", "\xff"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_false(rkb_retried_add(retried, "file/1", rkb_slice_text(ids[i]), &error));
        assert_false(has(retried, "file/1", ids[i]));
    }
    assert_false(rkb_retried_add(retried, "file 1", rkb_slice_text(ID), &error));
    rkb_retried_free(retried);
    rkb_retried_free(must_open(directory));
}

static ssize_t (*real_write)(int, const void *, size_t, off_t);
static int writes_left;

static ssize_t write_a_part(int fd, const void *data, size_t size, off_t offset)
{
    if (writes_left-- > 0)
        return real_write(fd, data, size / 2, offset);
    errno = ENOSPC;
    return -1;
}

/* A disk that is full in the middle of a line: nothing of it counts, and the next one is whole. */
static void test_a_full_disk(void **state)
{
    const char *directory = *state;
    struct rkb_error error;
    struct rkb_sys sys = rkb_sys_posix;
    real_write = sys.pwrite;
    struct rkb_retried *retried = rkb_retried_open(directory, &sys, &error);
    add(retried, "file/1", ID);
    sys.pwrite = write_a_part;
    writes_left = 1;
    assert_false(rkb_retried_add(retried, "file/2", rkb_slice_text(ID), &error));
    assert_int_equal(error.code, RKB_FULL);
    assert_false(has(retried, "file/2", ID));
    sys.pwrite = real_write;
    add(retried, "file/3", ID);
    rkb_retried_free(retried);
    retried = must_read(directory);
    assert_true(has(retried, "file/1", ID) && has(retried, "file/3", ID));
    assert_false(has(retried, "file/2", ID));
    rkb_retried_free(retried);
}

static void test_not_a_file(void **state)
{
    const char *directory = *state;
    struct rkb_error error = {.text = ""};
    char *path = join(directory, "dead-letters.retried");
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_null(rkb_retried_open(directory, &rkb_sys_posix, &error));
    assert_null(rkb_retried_read(directory, &rkb_sys_posix, &error));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(rkb_retried_read(directory, &rkb_sys_posix, &error));
    assert_null(rkb_retried_open(directory, &rkb_sys_posix, &error));
    unlink(path);
    free(path);
    assert_null(rkb_retried_open("/nowhere/at/all", &rkb_sys_posix, &error));
    assert_true(strstr(error.text, "cannot write to /nowhere/at/all/dead-letters.retried") != NULL);
}

#define in_directory(test) cmocka_unit_test_setup_teardown(test, directory_set_up, directory_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_directory(test_noted),        in_directory(test_many),          in_directory(test_torn),
        in_directory(test_others_lines), in_directory(test_one_at_a_time), in_directory(test_a_full_disk),
        in_directory(test_not_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
