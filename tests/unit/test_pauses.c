/* pauses: the list that loop and shipper share, and its file: written whole, read whole, or not at all. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/pauses.h"

static char directory[64], path[80];
static struct rkb_dictionary *names;
static struct rkb_sys sys;

static int set_up(void **state)
{
    bool added;
    (void)state;
    strcpy(directory, "/tmp/rkb-pauses-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/paused", directory);
    names = rkb_dictionary_new();
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_ROUTE, rkb_slice_text("users"), &added), 1);
    assert_int_equal(rkb_dictionary_add(names, RKB_NAME_TOPIC, rkb_slice_text("orders"), &added), 1);
    sys = rkb_sys_posix;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rkb_dictionary_free(names);
    unlink(path);
    strcat(path, ".new");
    unlink(path);
    return rmdir(directory);
}

static struct rkb_pause pause_of(bool is_topic, uint32_t number, const char *name)
{
    struct rkb_pause pause = {.is_topic = is_topic, .number = number, .since_us = 1700000000000000};
    snprintf(pause.name, sizeof pause.name, "%s", name);
    return pause;
}

static void test_the_list(void **state)
{
    struct rkb_pauses *pauses = rkb_pauses_new(directory, &sys);
    struct rkb_pause users = pause_of(false, 1, "users"), orders = pause_of(true, 1, "orders");
    struct rkb_pause_list list;
    (void)state;
    assert_int_equal(rkb_pauses_add(pauses, &users), 1);
    assert_int_equal(rkb_pauses_add(pauses, &orders), 2);
    assert_int_equal(rkb_pauses_list(pauses, &list), 2);
    assert_int_equal(list.count, 2);
    assert_true(rkb_pauses_has(&list, false, 1) && rkb_pauses_has(&list, true, 1) && !rkb_pauses_has(&list, true, 2));
    assert_int_equal(rkb_pauses_remove(pauses, false, 1), 3);
    assert_int_equal(rkb_pauses_remove(pauses, false, 1), 0);
    rkb_pauses_list(pauses, &list);
    assert_true(!rkb_pauses_has(&list, false, 1) && rkb_pauses_has(&list, true, 1));
    for (uint32_t i = 0; i < RKB_PAUSES_MOST - 1; i++) {
        struct rkb_pause more = pause_of(false, 10 + i, "more");
        assert_true(rkb_pauses_add(pauses, &more) > 0);
    }
    assert_int_equal(rkb_pauses_add(pauses, &users), 0);        /* there is no place */
    rkb_pauses_free(pauses);
}

static bool keep(struct rkb_pauses *pauses, uint64_t version)
{
    struct rkb_pause_list list;
    struct rkb_error error;
    rkb_pauses_list(pauses, &list);
    return rkb_pauses_keep(pauses, version, &list, &error);
}

static void test_kept_and_read_again(void **state)
{
    struct rkb_pauses *pauses = rkb_pauses_new(directory, &sys), *again = rkb_pauses_new(directory, &sys);
    struct rkb_pause users = pause_of(false, 1, "users"), orders = pause_of(true, 1, "orders"),
                     gone = pause_of(false, 7, "gone");
    struct rkb_pause_list list;
    struct rkb_error error;
    size_t forgotten;
    uint64_t version;
    (void)state;
    assert_true(rkb_pauses_load(pauses, names, &forgotten, &error));        /* no file: nothing rests */
    assert_int_equal(rkb_pauses_list(pauses, &list), 0);
    rkb_pauses_add(pauses, &users);
    rkb_pauses_add(pauses, &orders);
    rkb_pauses_add(pauses, &gone);
    assert_true(keep(pauses, 3));
    assert_true(rkb_pauses_kept(pauses, &version, &error));
    assert_int_equal(version, 3);
    assert_true(rkb_pauses_load(again, names, &forgotten, &error));
    assert_int_equal(forgotten, 1);
    assert_true(rkb_pauses_list(again, &list) > 0);             /* the shipper hears of it */
    assert_int_equal(list.count, 2);
    assert_string_equal(list.list[0].name, "users");
    assert_true(list.list[1].is_topic && list.list[1].since_us == 1700000000000000);
    rkb_pauses_remove(pauses, false, 1);
    rkb_pauses_remove(pauses, false, 7);
    rkb_pauses_remove(pauses, true, 1);
    assert_true(keep(pauses, 6));
    assert_int_equal(access(path, F_OK), -1);                   /* nothing rests: no file */
    rkb_pauses_free(pauses);
    rkb_pauses_free(again);
}

static void check_refused(const char *text)
{
    struct rkb_pauses *pauses = rkb_pauses_new(directory, &sys);
    struct rkb_pause_list list;
    struct rkb_error error, unread;
    size_t forgotten;
    FILE *file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    if (rkb_pauses_load(pauses, names, &forgotten, &error))
        fail_msg("taken: %s", text);
    assert_non_null(strstr(error.text, path));
    rkb_pauses_list(pauses, &list);
    assert_int_equal(list.count, 0);
    assert_true(rkb_pauses_unread(pauses, &unread));
    assert_string_equal(unread.text, error.text);
    rkb_pauses_free(pauses);
}

/* Each part of a right file, and others: nothing rests, and it is said. */
static void test_files_that_are_not_right(void **state)
{
    static const char right[] = "rkbridge paused 1\nroute users 17\ntopic orders 18\nend\n";
    char text[sizeof right];
    (void)state;
    for (size_t size = 0; size < sizeof right - 1; size++) {
        memcpy(text, right, size);
        text[size] = '\0';
        check_refused(text);
    }
    check_refused("rkbridge paused 2\nend\n");
    check_refused("rkbridge paused 1\nroute users\nend\n");
    check_refused("rkbridge paused 1\nsource users 1\nend\n");
    check_refused("rkbridge paused 1\nroute users 1 2\nend\n");
    check_refused("rkbridge paused 1\nend\nend\n");
    struct rkb_buffer many = {0};
    rkb_buffer_text(&many, "rkbridge paused 1\n");
    for (int i = 0; i <= RKB_PAUSES_MOST; i++)
        rkb_buffer_text(&many, "route users 1\n");
    rkb_buffer_add(&many, "end\n", 5);
    check_refused((char *)many.data);
    rkb_buffer_free(&many);
}

/* It stays said until the file is removed, or written anew. */
static void test_until_the_file_goes(void **state)
{
    struct rkb_pauses *pauses = rkb_pauses_new(directory, &sys);
    struct rkb_pause users = pause_of(false, 1, "users");
    struct rkb_error error;
    size_t forgotten;
    (void)state;
    assert_true(rkb_pauses_load(pauses, names, &forgotten, &error));
    assert_false(rkb_pauses_unread(pauses, &error) || rkb_pauses_look(pauses));
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_false(rkb_pauses_load(pauses, names, &forgotten, &error));
    assert_false(rkb_pauses_look(pauses));
    assert_true(rkb_pauses_unread(pauses, &error));
    unlink(path);
    assert_true(rkb_pauses_look(pauses));
    assert_false(rkb_pauses_unread(pauses, &error) || rkb_pauses_look(pauses));
    assert_int_equal(mkdir(path, 0700), 0);
    assert_false(rkb_pauses_load(pauses, names, &forgotten, &error));
    rkb_pauses_add(pauses, &users);
    assert_false(keep(pauses, 1));
    assert_true(rkb_pauses_unread(pauses, &error));
    assert_int_equal(rmdir(path), 0);
    assert_true(keep(pauses, 2));
    assert_false(rkb_pauses_unread(pauses, &error));
    rkb_pauses_free(pauses);
}

static int no_rename(const char *from, const char *to)
{
    (void)from;
    (void)to;
    errno = ENOSPC;
    return -1;
}

static void test_a_disk_that_does_not_take_it(void **state)
{
    struct rkb_pauses *pauses = rkb_pauses_new(directory, &sys);
    struct rkb_pause users = pause_of(false, 1, "users");
    struct rkb_error error;
    uint64_t version;
    (void)state;
    rkb_pauses_add(pauses, &users);
    sys.rename = no_rename;
    assert_false(keep(pauses, 1));
    assert_false(rkb_pauses_kept(pauses, &version, &error));
    assert_int_equal(version, 1);
    assert_non_null(strstr(error.text, "cannot be written: No space left"));
    assert_int_equal(access(path, F_OK), -1);
    sys.rename = rkb_sys_posix.rename;
    assert_true(keep(pauses, 2));                               /* what the first left behind is no matter */
    assert_true(rkb_pauses_kept(pauses, &version, &error));
    assert_int_equal(access(path, F_OK), 0);
    rkb_pauses_free(pauses);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(test_the_list),
        EACH(test_kept_and_read_again),
        EACH(test_files_that_are_not_right),
        EACH(test_until_the_file_goes),
        EACH(test_a_disk_that_does_not_take_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
