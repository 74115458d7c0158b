/* Tests of sys: bytes that a file takes and gives in pieces, with a signal in between, are whole all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/sys.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AT 5                    /* where a write begins */

/* A file in memory that takes and gives three bytes at a time, each time after an interruption. */
static char file[32];
static size_t length;
static int calls, fails_at, fails_with;

/* How many of `size` bytes this call moves; -1 and errno, or 0 with no errno where the call is to fail with none. */
static ssize_t piece(size_t size)
{
    calls++;
    errno = calls == fails_at ? fails_with : EINTR;
    if (calls == fails_at)
        return fails_with == 0 ? 0 : -1;
    return calls % 2 == 1 ? -1 : size < 3 ? (ssize_t)size : 3;
}

static ssize_t slow_pwrite(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t moved = piece(size);
    assert_int_equal(fd, 7);
    if (moved > 0)
        memcpy(file + offset, data, (size_t)moved);
    return moved;
}

static ssize_t slow_pread(int fd, void *data, size_t size, off_t offset)
{
    size_t left = length - (size_t)offset;
    ssize_t moved = piece(left < size ? left : size);
    assert_int_equal(fd, 7);
    if (moved > 0)
        memcpy(data, file + offset, (size_t)moved);
    return moved;
}

static const struct rkb_sys slow = {.pread = slow_pread, .pwrite = slow_pwrite};

static int begin(void **state)
{
    (void)state;
    memset(file, '.', sizeof file);
    length = 0;
    calls = fails_at = fails_with = 0;
    return 0;
}

static void writes_all(void **state)
{
    (void)state;
    assert_true(rkb_sys_write(&slow, 7, "0123456789", 10, AT));
    assert_memory_equal(file, ".....0123456789....", 19);
    assert_true(rkb_sys_write(&slow, 7, "x", 0, AT));
    assert_memory_equal(file, ".....0123456789....", 19);
}

/* One that takes nothing and gives no reason would else be asked for ever. */
static void a_write_that_fails_says_why(void **state)
{
    (void)state;
    fails_at = 4;
    fails_with = ENOSPC;
    assert_false(rkb_sys_write(&slow, 7, "0123456789", 10, AT));
    assert_int_equal(errno, ENOSPC);
    assert_memory_equal(file, ".....012...........", 19);
    calls = 0;
    fails_with = 0;
    assert_false(rkb_sys_write(&slow, 7, "0123456789", 10, AT));
    assert_int_equal(errno, EIO);
}

static void reads_what_there_is(void **state)
{
    char data[16] = "";
    (void)state;
    memcpy(file, "0123456789", 10);
    length = 10;
    assert_int_equal(rkb_sys_read(&slow, 7, data, 8), 8);
    assert_string_equal(data, "01234567");
    assert_int_equal(rkb_sys_read(&slow, 7, data, sizeof data), 10);
    assert_string_equal(data, "0123456789");
    calls = 0;
    fails_at = 4;
    fails_with = EIO;
    assert_int_equal(rkb_sys_read(&slow, 7, data, 8), -1);
    assert_int_equal(errno, EIO);
}

/* A byte that lies in a socket unread grows older; a socket that is none of TCP's does not say. */
static void how_long_a_socket_was_quiet(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    assert_return_code(bind(listener, (struct sockaddr *)&address, size), errno);
    assert_return_code(listen(listener, 1), errno);
    assert_return_code(getsockname(listener, (struct sockaddr *)&address, &size), errno);
    assert_return_code(connect(client, (struct sockaddr *)&address, size), errno);
    int server = accept(listener, NULL, NULL);
    assert_int_equal(write(client, "x", 1), 1);
    int64_t since_us = rkb_sys_posix.monotonic_us();
    while (rkb_sys_posix.monotonic_us() - since_us < 30000)
        usleep(5000);
    assert_true(rkb_sys_posix.quiet_us(server) >= 30000);
    assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), errno);
    assert_int_equal(rkb_sys_posix.quiet_us(pair[0]), 0);
    for (size_t i = 0; i < 5; i++)
        close((const int[]){listener, client, server, pair[0], pair[1]}[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(writes_all, begin),
        cmocka_unit_test_setup(a_write_that_fails_says_why, begin),
        cmocka_unit_test_setup(reads_what_there_is, begin),
        cmocka_unit_test(how_long_a_socket_was_quiet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
