/* control: the socket as a file: its mode, who has it, what is in its place, and that it goes with its owner only. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "control_talk.h"

static mode_t mode_of(const char *path)
{
    struct stat there;
    assert_int_equal(lstat(path, &there), 0);
    return there.st_mode & 07777;
}

static void test_mode(void **state)
{
    struct fixture *fixture = *state;
    static const mode_t modes[] = {0600, 0660, 0666, 0700, 0222, 0060};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char path[128];
        struct rkb_error error = {0};
        snprintf(path, sizeof path, "%s/mode", fixture->directory);
        mode_t before = umask(077);
        struct rkb_control *control = new_control(fixture, path, modes[i], &error);
        assert_int_equal(umask(before), 077);       /* put back */
        assert_non_null(control);
        assert_int_equal(mode_of(path), modes[i]);
        rkb_control_free(control);
        assert_int_equal(access(path, F_OK), -1);   /* and removed */
    }
}

static void test_in_use(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_error error = {0};
    assert_null(new_control(fixture, fixture->path, 0660, &error));
    assert_int_equal(error.code, RKB_LOCKED);
    assert_non_null(strstr(error.text, fixture->path));
    check_served(fixture);    /* the one that is there is not disturbed */
}

static void test_stale_socket_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    rkb_control_free(fixture->control);
    strcpy(address.sun_path, fixture->path);
    int gone = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(gone, (struct sockaddr *)&address, sizeof address), 0);
    close(gone);
    assert_int_equal(access(fixture->path, F_OK), 0);
    struct rkb_error error = {0};
    fixture->control = new_control(fixture, fixture->path, 0600, &error);
    assert_non_null(fixture->control);
    assert_int_equal(mode_of(fixture->path), 0600);
    check_served(fixture);
}

static void check_left_alone(struct fixture *fixture, const char *path)
{
    struct rkb_error error = {0};
    struct stat before, after;
    assert_int_equal(lstat(path, &before), 0);
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_USAGE);
    assert_non_null(strstr(error.text, "no socket"));
    assert_int_equal(lstat(path, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

static void test_what_is_no_socket_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char file[128], link[128];
    snprintf(file, sizeof file, "%s/file", fixture->directory);
    snprintf(link, sizeof link, "%s/link", fixture->directory);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(symlink(fixture->path, link), 0);
    check_left_alone(fixture, file);
    check_left_alone(fixture, link);
    check_left_alone(fixture, fixture->directory);
    unlink(file);
    unlink(link);
}

static void test_places_where_no_socket_can_be(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_error error = {0};
    char path[300];
    snprintf(path, sizeof path, "%s/none/control.sock", fixture->directory);
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_non_null(strstr(error.text, path));
    size_t size = strlen(path);
    memset(path + size, 'x', 108 - size);       /* 108 bytes are one too many; of 107 only the directory is missing */
    path[108] = '\0';
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_USAGE);
    path[107] = '\0';
    assert_null(new_control(fixture, path, 0660, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
}

static void test_a_successor_keeps_its_socket(void **state)
{
    struct fixture *fixture = *state;
    struct rkb_error error = {0};
    unlink(fixture->path);      /* somebody tidied up, and a successor came */
    struct rkb_control *successor = new_control(fixture, fixture->path, 0660, &error);
    assert_non_null(successor);
    rkb_control_free(fixture->control);
    fixture->control = successor;
    assert_int_equal(access(fixture->path, F_OK), 0);
    check_served(fixture);
}

static void test_freeing_inside_a_callback(void **state)
{
    struct fixture *fixture = *state;
    int fd = dial(fixture), other = dial(fixture);
    fixture->free_when_asked = true;
    say(fixture, fd, "version\nversion\n");
    fixture->control = NULL;
    char *heard = hear_end(fixture, fd);
    free(heard);
    assert_int_equal(fixture->asked, 1);
    expect_end(fixture, other, "");
    assert_int_equal(access(fixture->path, F_OK), -1);
    close(fd);
    close(other);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
#define EACH(test) cmocka_unit_test_setup_teardown(test, start, stop)
    const struct CMUnitTest tests[] = {
        EACH(test_mode),
        EACH(test_in_use),
        EACH(test_stale_socket_is_replaced),
        EACH(test_what_is_no_socket_is_left_alone),
        EACH(test_places_where_no_socket_can_be),
        EACH(test_a_successor_keeps_its_socket),
        EACH(test_freeing_inside_a_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
