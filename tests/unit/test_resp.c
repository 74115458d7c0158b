/* RESP, however it is cut: the same calls; what Pub/Sub does not allow ends in words; a message costs no malloc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis/resp.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

/*
 * Counts every allocation of the process, hiredis's too. Volatile, since compilers know that malloc changes no
 * variable.
 */
static volatile unsigned long allocations;

#ifdef SANITIZED
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));

static void count_malloc(const volatile void *data, size_t size)
{
    (void)data;
    (void)size;
    allocations++;
}

static void ignore_free(const volatile void *data)
{
    (void)data;
}

static void count_allocations(void)
{
    __sanitizer_install_malloc_and_free_hooks(count_malloc, ignore_free);
}
#else
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *data, size_t size);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *data, size_t size)
{
    allocations++;
    return __libc_realloc(data, size);
}

static void count_allocations(void)
{
}
#endif

enum { LIMIT = 4096 };

/* What was called, as text. */
struct heard {
    struct rkb_buffer calls;
    struct rkb_resp *resp;
    int stop_after;             /* messages; 0: never */
    unsigned long messages;
    size_t bytes;
};

static void hear_slice(struct heard *heard, const char *before, struct rkb_slice slice)
{
    rkb_buffer_format(&heard->calls, "%s%zu:", before, slice.size);
    rkb_buffer_add(&heard->calls, slice.data, slice.size);
}

static void hear_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         struct rkb_slice payload)
{
    struct heard *heard = context;
    hear_slice(heard, is_pattern ? "P " : "M ", pattern);
    hear_slice(heard, " ", channel);
    hear_slice(heard, " ", payload);
    rkb_buffer_text(&heard->calls, "\n");
    if (heard->stop_after > 0 && --heard->stop_after == 0)
        rkb_resp_stop(heard->resp);
}

static void hear_confirmation(void *context, const struct rkb_confirmation *confirmation)
{
    struct heard *heard = context;
    hear_slice(heard, confirmation->on ? "on " : "off ", confirmation->name);
    rkb_buffer_format(&heard->calls, " %d %d %lld\n", confirmation->is_pattern, confirmation->named,
                      confirmation->count);
}

static void hear_pong(void *context)
{
    rkb_buffer_text(&((struct heard *)context)->calls, "pong\n");
}

static void hear_reply(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    struct heard *heard = context;
    hear_slice(heard, "reply ", text);
    rkb_buffer_format(&heard->calls, " %d %lld\n", (int)kind, integer);
}

static void hear_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                           uint64_t size)
{
    struct heard *heard = context;
    hear_slice(heard, is_pattern ? "P " : "M ", pattern);
    hear_slice(heard, " ", channel);
    rkb_buffer_format(&heard->calls, " too large: %llu\n", (unsigned long long)size);
    if (heard->stop_after > 0 && --heard->stop_after == 0)
        rkb_resp_stop(heard->resp);
}

static const struct rkb_resp_events recording = {hear_message, hear_confirmation, hear_pong, hear_reply,
                                                 hear_too_large};

static int start(void **state)
{
    struct heard *heard = calloc(1, sizeof *heard);
    heard->resp = rkb_resp_new(&recording, 0, heard);
    *state = heard;
    return heard->resp == NULL;
}

static int end(void **state)
{
    struct heard *heard = *state;
    rkb_resp_free(heard->resp);
    rkb_buffer_free(&heard->calls);
    free(heard);
    return 0;
}

static void begin_anew(struct heard *heard)
{
    struct rkb_error error;
    heard->calls.size = 0;
    assert_true(rkb_resp_reset(heard->resp, &error));
}

static void assert_heard(const struct heard *heard, const char *wanted)
{
    assert_int_equal(heard->calls.size, strlen(wanted));
    assert_memory_equal(heard->calls.data, wanted, heard->calls.size);
}

static const char everything[] =
    "+OK\r\n"
    "*3\r\n$9\r\nsubscribe\r\n$5\r\nusers\r\n:1\r\n"
    "*3\r\n$10\r\npsubscribe\r\n$2\r\nu*\r\n:2\r\n"
    "*3\r\n$7\r\nmessage\r\n$5\r\nusers\r\n$5\r\nhello\r\n"
    "*4\r\n$8\r\npmessage\r\n$2\r\nu*\r\n$5\r\nusers\r\n$5\r\nhello\r\n"
    "*3\r\n$7\r\nmessage\r\n$0\r\n\r\n$0\r\n\r\n"
    "*3\r\n$7\r\nmessage\r\n$3\r\n\r\na\r\n$4\r\n\r\n*3\r\n"
    "*2\r\n$4\r\npong\r\n$0\r\n\r\n"
    "*2\r\n$4\r\npong\r\n$2\r\nhi\r\n"
    "+PONG\r\n"
    "-NOPERM no\r\n"
    ":-42\r\n"
    "$-1\r\n"
    "*-1\r\n"
    "$3\r\nabc\r\n"
    "*3\r\n$11\r\nunsubscribe\r\n$5\r\nusers\r\n:1\r\n"
    "*3\r\n$12\r\npunsubscribe\r\n$-1\r\n:0\r\n";

static const char all_heard[] =
    "reply 2:OK 0 0\n"
    "on 5:users 0 1 1\n"
    "on 2:u* 1 1 2\n"
    "M 0: 5:users 5:hello\n"
    "P 2:u* 5:users 5:hello\n"
    "M 0: 0: 0:\n"
    "M 0: 3:\r\na 4:\r\n*3\n"
    "pong\n"
    "pong\n"
    "reply 4:PONG 0 0\n"
    "reply 9:NOPERM no 1 0\n"
    "reply 0: 3 -42\n"
    "reply 0: 4 0\n"
    "reply 0: 4 0\n"
    "reply 3:abc 2 0\n"
    "off 5:users 0 1 1\n"
    "off 0: 1 0 0\n";

static bool give(struct rkb_resp *resp, struct rkb_slice bytes, struct rkb_error *error)
{
    return rkb_resp_feed(resp, &bytes, error);
}

static void feed(struct heard *heard, const char *data, size_t size)
{
    struct rkb_error error = {0};
    /* A copy of its own size, so that a sanitizer sees what is read beyond it or after it. */
    char *copy = malloc(size + 1);
    memcpy(copy, data, size);
    if (!give(heard->resp, rkb_slice(copy, size), &error))
        fail_msg("%s", error.text);
    free(copy);
}

static void knows_every_reply(void **state)
{
    feed(*state, everything, sizeof everything - 1);
    assert_heard(*state, all_heard);
}

static void splits_make_no_difference(void **state)
{
    struct heard *heard = *state;
    const size_t size = sizeof everything - 1;
    for (size_t cut = 0; cut <= size; cut++) {
        begin_anew(heard);
        feed(heard, everything, cut);
        feed(heard, everything + cut, size - cut);
        assert_heard(heard, all_heard);
    }
    begin_anew(heard);
    for (size_t i = 0; i < size; i++)
        feed(heard, everything + i, 1);
    assert_heard(heard, all_heard);
}

/* The reader throws away what it consumed after each kilobyte, also in the middle of a reply. */
static void long_names_outlive_the_readers_buffer(void **state)
{
    struct heard *heard = *state;
    enum { NAME = 3000 };
    char name[NAME + 1], reply[4 * NAME], wanted[4 * NAME];
    memset(name, 'n', NAME);
    name[NAME] = '\0';
    int size = snprintf(reply, sizeof reply, "*4\r\n$8\r\npmessage\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n$2\r\nhi\r\n",
                        NAME, name, NAME, name);
    snprintf(wanted, sizeof wanted, "P %d:%s %d:%s 2:hi\n", NAME, name, NAME, name);
    for (int piece = 1; piece < 5000; piece += 777) {
        begin_anew(heard);
        for (int at = 0; at < size; at += piece)
            feed(heard, reply + at, (size_t)(size - at < piece ? size - at : piece));
        assert_heard(heard, wanted);
    }
}

static void carries_a_mebibyte(void **state)
{
    struct heard *heard = *state;
    enum { SIZE = 1 << 20 };
    struct rkb_buffer reply = {0}, wanted = {0};
    rkb_buffer_format(&reply, "*3\r\n$7\r\nmessage\r\n$3\r\nbig\r\n$%d\r\n", SIZE);
    rkb_buffer_format(&wanted, "M 0: 3:big %d:", SIZE);
    for (int i = 0; i < SIZE; i++) {
        const uint8_t byte = (uint8_t)(i * 7 + (i >> 8));
        rkb_buffer_add(&reply, &byte, 1);
        rkb_buffer_add(&wanted, &byte, 1);
    }
    rkb_buffer_text(&reply, "\r\n+OK\r\n");
    rkb_buffer_text(&wanted, "\nreply 2:OK 0 0\n");
    for (size_t at = 0, size; at < reply.size; at += size) {
        size = reply.size - at < 10007 ? reply.size - at : 10007;
        feed(heard, (const char *)reply.data + at, size);
    }
    assert_int_equal(heard->calls.size, wanted.size);
    assert_memory_equal(heard->calls.data, wanted.data, wanted.size);
    rkb_buffer_free(&reply);
    rkb_buffer_free(&wanted);
}

static void refuses_what_is_not_pubsub(void **state)
{
    struct heard *heard = *state;
    static const char *const wrong[] = {
        "hello\r\n",
        "\r\n",
        "!3\r\nabc\r\n",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "*0\r\n",
        "*1\r\n$4\r\npong\r\n",
        "*5\r\n$7\r\nmessage\r\n",
        "*2147483647\r\n",
        "*99999999999999999999\r\n",
        "*-2\r\n",
        "*3\r\n*3\r\n",
        "*3\r\n$7\r\nmessage\r\n*2\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n*0\r\n",
        "*3\r\n:1\r\n",
        "*3\r\n$-1\r\n",
        "*3\r\n+message\r\n",
        "*3\r\n-message\r\n",
        "*3\r\n$8\r\nsmessage\r\n",
        "*3\r\n$7\r\nMESSAGE\r\n",
        "*4\r\n$7\r\nmessage\r\n",
        "*3\r\n$8\r\npmessage\r\n",
        "*3\r\n$4\r\npong\r\n",
        "*2\r\n$9\r\nsubscribe\r\n",
        "*3\r\n$7\r\nmessage\r\n$-1\r\n",
        "*3\r\n$7\r\nmessage\r\n:1\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n:5\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-1\r\n",
        "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n-oops\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$-1\r\n:1\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\n1\r\n",
        "*3\r\n$9\r\nsubscribe\r\n:1\r\n",
        "*2\r\n$4\r\npong\r\n:1\r\n",
        "*2\r\n$4\r\npong\r\n$-1\r\n",
        "$99999999999999999999999\r\n",
        "$-2\r\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        begin_anew(heard);
        feed(heard, "+OK\r\n", 5);
        struct rkb_error error = {0};
        if (give(heard->resp, rkb_slice_text(wrong[i]), &error))
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(error.code, RKB_PROTOCOL);
        assert_true(strlen(error.text) > 10);
        assert_heard(heard, "reply 2:OK 0 0\n");
        /* And it stays so. */
        assert_false(give(heard->resp, rkb_slice_text("+OK\r\n"), &error));
        assert_int_equal(error.code, RKB_PROTOCOL);
        assert_heard(heard, "reply 2:OK 0 0\n");
    }
}

static void refuses_an_endless_line(void **state)
{
    struct heard *heard = *state;
    struct rkb_error error = {0};
    char line[1000];
    for (int i = 0; i < 2; i++) {
        memset(line, 'x', sizeof line);
        line[500] = i == 0 ? 'x' : '\n';        /* which alone is no end */
        begin_anew(heard);
        feed(heard, "+", 1);
        int fed = 0;
        while (fed < 1000 && give(heard->resp, rkb_slice(line, sizeof line), &error))
            fed++;
        assert_in_range(fed, 64, 70);
        assert_int_equal(error.code, RKB_PROTOCOL);
    }
}

/* However it is cut. */
static void knows_the_longest_line(void **state)
{
    enum { LONGEST = 64 * 1024 };
    static char line[LONGEST + 4];
    struct heard *heard = *state;
    memset(line, 'x', sizeof line);
    for (size_t longer = 0; longer < 2; longer++) {
        size_t size = LONGEST + longer + 3;
        line[0] = '-';
        memcpy(line + size - 2, "\r\n", 2);
        for (size_t piece = 1; piece <= size; piece = piece == 1 ? 33 : piece == 33 ? size : size + 1) {
            struct rkb_error error = {0};
            bool fine = true;
            begin_anew(heard);
            for (size_t at = 0; fine && at < size; at += piece)
                fine = give(heard->resp, rkb_slice(line + at, size - at < piece ? size - at : piece), &error);
            assert_int_equal(fine, longer == 0);
            assert_int_equal(error.code, longer == 0 ? RKB_OK : RKB_PROTOCOL);
        }
    }
}

static void stops_inside_a_call(void **state)
{
    struct heard *heard = *state;
    struct rkb_error error = {0};
    static const char two[] = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n"
                              "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n2\r\n!garbage";
    heard->stop_after = 1;
    feed(heard, two, sizeof two - 1);
    assert_heard(heard, "M 0: 1:a 1:1\n");
    assert_true(give(heard->resp, rkb_slice_text("+OK\r\n"), &error));
    assert_heard(heard, "M 0: 1:a 1:1\n");
    begin_anew(heard);
    feed(heard, "+OK\r\n", 5);
    assert_heard(heard, "reply 2:OK 0 0\n");
}

static void count_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                          struct rkb_slice payload)
{
    struct heard *heard = context;
    heard->messages++;
    heard->bytes += (size_t)is_pattern + pattern.size + channel.size + payload.size;
}

static void a_message_costs_no_malloc(void **state)
{
    (void)state;
    struct heard heard = {0};
    const struct rkb_resp_events counting = {count_message, hear_confirmation, hear_pong, hear_reply, NULL};
    static const char one[] = "*4\r\n$8\r\npmessage\r\n$5\r\nusers\r\n$8\r\nusers.12\r\n$20\r\n"
                              "abcdefghijklmnopqrst\r\n";
    struct rkb_buffer stream = {0};
    struct rkb_error error;
    for (int i = 0; i < 1000; i++)
        rkb_buffer_add(&stream, one, sizeof one - 1);
    heard.resp = rkb_resp_new(&counting, LIMIT, &heard);
    count_allocations();
    unsigned long first = allocations;
    void *volatile probe = malloc(1);
    assert_true(allocations > first);
    free(probe);
    assert_true(give(heard.resp, rkb_slice(stream.data, stream.size), &error));
    unsigned long before = allocations;
    for (int i = 0; i < 100; i++)
        if (!give(heard.resp, rkb_slice(stream.data, stream.size), &error))
            fail();
    unsigned long after = allocations;
    assert_int_equal(after - before, 0);
    assert_int_equal(heard.messages, 101000);
    assert_int_equal(heard.bytes, 101000 * (1 + 5 + 8 + 20));
    rkb_resp_free(heard.resp);
    rkb_buffer_free(&stream);
}

static void count_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                            uint64_t size)
{
    struct heard *heard = context;
    heard->messages++;
    heard->bytes += (size_t)is_pattern + pattern.size + channel.size + (size_t)size;
}

/* Whatever its length: not a byte is held. */
static void a_payload_that_is_too_long_costs_no_malloc(void **state)
{
    (void)state;
    enum { PIECE = 64 << 10, PIECES = 1024 };
    struct heard heard = {0};
    const struct rkb_resp_events counting = {count_message, hear_confirmation, hear_pong, hear_reply, count_too_large};
    char head[100];
    uint8_t *piece = calloc(1, PIECE);
    struct rkb_error error;
    snprintf(head, sizeof head, "*3\r\n$7\r\nmessage\r\n$5\r\nusers\r\n$%d\r\n", PIECE * PIECES);
    heard.resp = rkb_resp_new(&counting, LIMIT, &heard);
    count_allocations();
    for (int round = 0; round < 2; round++) {
        if (!give(heard.resp, rkb_slice_text(head), &error))
            fail();
        unsigned long before = allocations;
        for (int i = 0; i < PIECES; i++)
            if (!give(heard.resp, rkb_slice(piece, PIECE), &error))
                fail();
        unsigned long after = allocations;
        assert_int_equal(after - before, 0);
        assert_int_equal(heard.messages, round);
        assert_false(rkb_resp_between(heard.resp));
        assert_true(give(heard.resp, rkb_slice_text("\r\n"), &error));
        assert_int_equal(heard.messages, round + 1);
        assert_true(rkb_resp_between(heard.resp));
    }
    assert_int_equal(heard.bytes, 2 * (5 + (size_t)PIECE * PIECES));
    rkb_resp_free(heard.resp);
    free(piece);
}

static uint32_t step(uint32_t *random)
{
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

/* Good replies with some bytes changed, in pieces: any end but a crash. */
static void survives_noise(void **state)
{
    struct heard *heard = *state;
    uint32_t random = 7;
    for (int round = 0; round < 20000; round++) {
        char noise[sizeof everything];
        struct rkb_error error;
        memcpy(noise, everything, sizeof noise);
        for (uint32_t changes = step(&random) % 4; changes > 0; changes--)
            noise[step(&random) % (sizeof noise - 1)] = "*$+-:0123456789\r\nx"[step(&random) % 18];
        begin_anew(heard);
        bool fine = true;
        for (size_t at = 0, size; at < sizeof noise - 1 && fine; at += size) {
            size = 1 + step(&random) % 300;
            size = size < sizeof noise - 1 - at ? size : sizeof noise - 1 - at;
            fine = give(heard->resp, rkb_slice(noise + at, size), &error);
        }
        assert_true(fine || error.code == RKB_PROTOCOL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(knows_every_reply, start, end),
        cmocka_unit_test_setup_teardown(splits_make_no_difference, start, end),
        cmocka_unit_test_setup_teardown(long_names_outlive_the_readers_buffer, start, end),
        cmocka_unit_test_setup_teardown(carries_a_mebibyte, start, end),
        cmocka_unit_test_setup_teardown(refuses_what_is_not_pubsub, start, end),
        cmocka_unit_test_setup_teardown(refuses_an_endless_line, start, end),
        cmocka_unit_test_setup_teardown(knows_the_longest_line, start, end),
        cmocka_unit_test_setup_teardown(stops_inside_a_call, start, end),
        cmocka_unit_test(a_message_costs_no_malloc),
        cmocka_unit_test(a_payload_that_is_too_long_costs_no_malloc),
        cmocka_unit_test_setup_teardown(survives_noise, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
