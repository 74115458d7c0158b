/* control_talk -- what a client of the fixture's control socket does: says something, hears an answer. For tests. */
#ifndef RKB_TEST_CONTROL_TALK_H
#define RKB_TEST_CONTROL_TALK_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bytes.h"
#include "control_fixture.h"

static inline int dial(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, fixture->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static inline void say_bytes(const struct fixture *fixture, int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent > 0) {
            at += sent;
            size -= (size_t)sent;
        } else {
            assert_int_equal(errno, EAGAIN);
        }
        turn(fixture);
    }
}

static inline void say(const struct fixture *fixture, int fd, const char *text)
{
    say_bytes(fixture, fd, text, strlen(text));
}

/* Reads once; 0 at the end, also at a broken one. */
static inline ssize_t hear_some(int fd, struct rkb_buffer *heard)
{
    uint8_t *room = rkb_buffer_reserve(heard, 65536);
    assert_non_null(room);
    ssize_t got = recv(fd, room, 65536, 0);
    if (got > 0)
        heard->size += (size_t)got;
    return got < 0 && errno != EAGAIN ? 0 : got;
}

static inline char *as_text(struct rkb_buffer *heard)
{
    rkb_buffer_add(heard, "", 1);
    assert_false(heard->failed);
    return (char *)heard->data;
}

static inline bool ends_answer(const struct rkb_buffer *heard)
{
    const char *text = (const char *)heard->data;
    size_t size = heard->size;
    if (size == 0 || text[size - 1] != '\n')
        return false;
    return strncmp(text, "ERROR ", 6) == 0 || (size >= 4 && memcmp(text + size - 4, "\nOK\n", 4) == 0);
}

/* One whole answer; the caller frees it. */
static inline char *hear_answer(const struct fixture *fixture, int fd)
{
    struct rkb_buffer heard = {0};
    for (int i = 0; !ends_answer(&heard); i++) {
        assert_true(i < 100000);
        turn(fixture);
        assert_true(hear_some(fd, &heard) != 0);
    }
    return as_text(&heard);
}

/* All until the other side closes; the caller frees it. */
static inline char *hear_end(const struct fixture *fixture, int fd)
{
    struct rkb_buffer heard = {0};
    for (int i = 0; hear_some(fd, &heard) != 0; i++) {
        assert_true(i < 100000);
        turn(fixture);
    }
    return as_text(&heard);
}

static inline void expect_answer(const struct fixture *fixture, int fd, const char *answer)
{
    char *heard = hear_answer(fixture, fd);
    assert_string_equal(heard, answer);
    free(heard);
}

/* These are its last words. */
static inline void expect_end(const struct fixture *fixture, int fd, const char *words)
{
    char *heard = hear_end(fixture, fd);
    assert_string_equal(heard, words);
    free(heard);
}

/* So much comes for now, be it an answer's end or not. */
static inline void expect(const struct fixture *fixture, int fd, const char *text)
{
    struct rkb_buffer heard = {0};
    for (int i = 0; heard.size < strlen(text); i++) {
        assert_true(i < 10000);
        turn(fixture);
        hear_some(fd, &heard);
    }
    assert_string_equal(as_text(&heard), text);
    rkb_buffer_free(&heard);
}

/* Where the loop does not turn any more: what the kernel holds, up to the end. */
static inline void expect_left(int fd, const char *text)
{
    struct rkb_buffer heard = {0};
    while (hear_some(fd, &heard) > 0)
        continue;
    assert_string_equal(as_text(&heard), text);
    rkb_buffer_free(&heard);
}

static inline void check_answer(const struct fixture *fixture, int fd, const char *command, const char *answer)
{
    say(fixture, fd, command);
    expect_answer(fixture, fd, answer);
}

/* It is served like anybody. */
static inline void check_version(const struct fixture *fixture, int fd)
{
    check_answer(fixture, fd, "version\n", "rkbridge 1.2.3\nOK\n");
}

/* Whoever comes now is served: what came before has taken no place for good. */
static inline void check_served(const struct fixture *fixture)
{
    int fd = dial(fixture);
    check_version(fixture, fd);
    close(fd);
}

#endif
