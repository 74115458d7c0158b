/* Lengths: what is too long is taken out and named, the rest passes as it came, however it is cut; and pauses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis/lengths.h"
#include "redis/resp.h"

enum { LIMIT = 64 };

/* A stream, and what it must come to: made together, one reply after the other, by nothing cleverer than printf. */
struct script {
    struct rkb_buffer bytes, wanted;
};

static void bulk(struct script *script, const char *data, size_t size)
{
    rkb_buffer_format(&script->bytes, "$%zu\r\n", size);
    rkb_buffer_add(&script->bytes, data, size);
    rkb_buffer_text(&script->bytes, "\r\n");
}

static void message(struct script *script, const char *pattern, const char *channel, const char *payload, size_t size)
{
    rkb_buffer_text(&script->bytes, pattern == NULL ? "*3\r\n" : "*4\r\n");
    bulk(script, pattern == NULL ? "message" : "pmessage", pattern == NULL ? 7 : 8);
    if (pattern != NULL)
        bulk(script, pattern, strlen(pattern));
    bulk(script, channel, strlen(channel));
    bulk(script, payload, size);
    rkb_buffer_format(&script->wanted, "%s %s %zu", pattern == NULL ? "-" : pattern, channel, size);
    if (size <= LIMIT) {
        rkb_buffer_text(&script->wanted, " ");
        rkb_buffer_add(&script->wanted, payload, size);
    }
    rkb_buffer_text(&script->wanted, "\n");
}

static void other(struct script *script, const char *bytes, const char *wanted)
{
    rkb_buffer_text(&script->bytes, bytes);
    rkb_buffer_text(&script->wanted, wanted);
}

struct heard {
    struct rkb_resp *resp;
    struct rkb_buffer calls;
    bool pauses;                /* at each call */
    int calls_made;
};

static void called(struct heard *heard)
{
    heard->calls_made++;
    if (heard->pauses)
        rkb_resp_pause(heard->resp, true);
}

static void hear(struct heard *heard, struct rkb_slice pattern, struct rkb_slice channel, uint64_t size)
{
    rkb_buffer_format(&heard->calls, "%.*s %.*s %llu", pattern.size > 0 ? (int)pattern.size : 1,
                      pattern.size > 0 ? (const char *)pattern.data : "-", (int)channel.size,
                      channel.size > 0 ? (const char *)channel.data : "", (unsigned long long)size);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload)
{
    struct heard *heard = context;
    assert_int_equal(is_pattern, pattern.size > 0);
    hear(heard, pattern, channel, payload.size);
    rkb_buffer_text(&heard->calls, " ");
    rkb_buffer_add(&heard->calls, payload.data, payload.size);
    rkb_buffer_text(&heard->calls, "\n");
    called(heard);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size)
{
    struct heard *heard = context;
    assert_int_equal(is_pattern, pattern.size > 0);
    hear(heard, pattern, channel, size);
    rkb_buffer_text(&heard->calls, "\n");
    called(heard);
}

static void on_confirmation(void *context, const struct rkb_confirmation *confirmation)
{
    struct heard *heard = context;
    rkb_buffer_format(&heard->calls, "confirmed %lld\n", confirmation->count);
    called(heard);
}

static void on_pong(void *context)
{
    struct heard *heard = context;
    rkb_buffer_text(&heard->calls, "pong\n");
    called(heard);
}

static void on_reply(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    struct heard *heard = context;
    rkb_buffer_format(&heard->calls, "reply %d %.*s %lld\n", (int)kind, (int)text.size,
                      text.size > 0 ? (const char *)text.data : "", integer);
    called(heard);
}

static const struct rkb_resp_events events = {on_message, on_confirmation, on_pong, on_reply, on_too_large};

struct test {
    struct script script;
    struct heard heard;
};

static int start(void **state)
{
    struct test *test = calloc(1, sizeof *test);
    test->heard.resp = rkb_resp_new(&events, LIMIT, &test->heard);
    *state = test;
    return test->heard.resp == NULL;
}

static int end(void **state)
{
    struct test *test = *state;
    rkb_resp_free(test->heard.resp);
    rkb_buffer_free(&test->heard.calls);
    rkb_buffer_free(&test->script.bytes);
    rkb_buffer_free(&test->script.wanted);
    free(test);
    return 0;
}

static void begin_anew(struct test *test)
{
    struct rkb_error error;
    test->heard.calls.size = 0;
    assert_true(rkb_resp_reset(test->heard.resp, &error));
}

static void assert_heard(const struct test *test)
{
    const struct rkb_buffer *calls = &test->heard.calls, *wanted = &test->script.wanted;
    if (calls->size != wanted->size || memcmp(calls->data, wanted->data, wanted->size) != 0)
        fail_msg("heard:\n%.*s\nwanted:\n%.*s", (int)calls->size, (const char *)calls->data, (int)wanted->size,
                 (const char *)wanted->data);
}

/* In a copy of its own size, so that a sanitizer sees what is read beyond it or after it. Pauses are ended at once. */
static bool feed(struct test *test, const uint8_t *data, size_t size, struct rkb_error *error)
{
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, data, size);
    struct rkb_slice rest = rkb_slice(copy, size);
    bool fine = true;
    int made;
    do {
        made = test->heard.calls_made;
        rkb_resp_pause(test->heard.resp, false);
        fine = rkb_resp_feed(test->heard.resp, &rest, error);
        if (fine && test->heard.pauses)
            assert_true(test->heard.calls_made <= made + 1);
    } while (fine && (rest.size > 0 || test->heard.calls_made > made));
    free(copy);
    return fine;
}

static void must_feed(struct test *test, size_t from, size_t to)
{
    struct rkb_error error = {0};
    if (!feed(test, test->script.bytes.data + from, to - from, &error))
        fail_msg("%s", error.text);
}

static void fill(char *out, size_t size, char first)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (char)((size_t)first + i % 20);
}

/* Payloads at, below and above the limit; such that look like headers; what is not a message between them. */
static void write_script(struct script *script)
{
    char text[4 * LIMIT];
    fill(text, sizeof text, 'a');
    other(script, "+OK\r\n", "reply 0 OK 0\n");
    other(script, "*3\r\n$9\r\nsubscribe\r\n$5\r\nusers\r\n:1\r\n", "confirmed 1\n");
    message(script, NULL, "users", text, LIMIT);
    message(script, NULL, "users", text, LIMIT + 1);
    message(script, "u*", "users", text, LIMIT - 1);
    message(script, "u*", "users", text, 3 * LIMIT);
    message(script, NULL, "users", "", 0);
    other(script, "*2\r\n$4\r\npong\r\n$0\r\n\r\n", "pong\n");
    memcpy(text + 10, "\r\n*3\r\n$7\r\nmessage\r\n$5\r\nwrong\r\n$2\r\nno\r\n", 39);
    message(script, NULL, "users", text, LIMIT);
    message(script, NULL, "users", text, sizeof text);
    other(script, "-ERR no\r\n:12\r\n$-1\r\n", "reply 1 ERR no 0\nreply 3  12\nreply 4  0\n");
    other(script, "+a\nb\rc\n\r\n", "reply 0 a\nb\rc\n 0\n");
    message(script, "u*", "users", text, 2 * LIMIT);
    message(script, "u*", "users", text, 1);
}

static void cuts_make_no_difference(void **state)
{
    struct test *test = *state;
    write_script(&test->script);
    size_t size = test->script.bytes.size;
    for (int pauses = 0; pauses < 2; pauses++) {
        test->heard.pauses = pauses == 1;
        for (size_t cut = 0; cut <= size; cut++) {
            begin_anew(test);
            must_feed(test, 0, cut);
            must_feed(test, cut, size);
            assert_heard(test);
        }
        begin_anew(test);
        for (size_t at = 0; at < size; at++)
            must_feed(test, at, at + 1);
        assert_heard(test);
        assert_true(rkb_resp_between(test->heard.resp));
    }
}

/* Replies before what is no RESP, and paused among them: each makes its call before the connection is given up. */
static void what_is_wrong_waits_behind_the_replies(void **state)
{
    static const char *const behind[] = {"?", "$-1M\n", "$1048577\r\n"};
    struct test *test = *state;
    other(&test->script, "+OK\r\n:1\r\n-ERR no\r\n", "reply 0 OK 0\nreply 3  1\nreply 1 ERR no 0\n");
    size_t size = test->script.bytes.size;
    for (size_t i = 0; i < 6; i++) {
        struct rkb_error error = {0};
        test->heard.pauses = i % 2 == 1;
        begin_anew(test);
        test->script.bytes.size = size;
        rkb_buffer_text(&test->script.bytes, behind[i / 2]);
        assert_false(feed(test, test->script.bytes.data, test->script.bytes.size, &error));
        assert_int_equal(error.code, RKB_PROTOCOL);
        assert_heard(test);
        assert_false(rkb_resp_between(test->heard.resp));
    }
}

static uint32_t step(uint32_t *random)
{
    *random = *random * 1664525u + 1013904223u;
    return *random >> 8;
}

static void random_streams_in_random_pieces(void **state)
{
    struct test *test = *state;
    static char text[20 * 1024];
    uint32_t random = 11;
    fill(text, sizeof text, 'A');
    for (int round = 0; round < 60; round++) {
        test->script.bytes.size = test->script.wanted.size = 0;
        for (int i = 0; i < 40; i++) {
            static const size_t sizes[] = {0, 1, LIMIT - 1, LIMIT, LIMIT + 1, 3000, 4096, 20 * 1024};
            size_t most = sizes[step(&random) % 8], size = most - (most > 0 ? step(&random) % 2 : 0);
            message(&test->script, step(&random) % 2 ? "n.*" : NULL, step(&random) % 2 ? "n.1" : "n.20", text, size);
        }
        test->heard.pauses = round % 2 == 1;
        begin_anew(test);
        for (size_t at = 0, size; at < test->script.bytes.size; at += size) {
            size = 1 + step(&random) % (round % 3 == 0 ? 40 : 9000);
            size = size < test->script.bytes.size - at ? size : test->script.bytes.size - at;
            must_feed(test, at, at + size);
        }
        assert_heard(test);
    }
}

/* Not even what the reader has already: it comes when reading goes on, also where nothing is fed any more. */
static void a_pause_holds_the_very_next_message(void **state)
{
    struct test *test = *state;
    struct rkb_error error;
    char text[2 * LIMIT];
    fill(text, sizeof text, 'a');
    message(&test->script, NULL, "a", text, 1);
    message(&test->script, NULL, "b", text, sizeof text);
    message(&test->script, NULL, "c", text, 2);
    struct rkb_slice rest = rkb_slice(test->script.bytes.data, test->script.bytes.size);
    test->heard.pauses = true;
    assert_true(rkb_resp_feed(test->heard.resp, &rest, &error));
    assert_int_equal(test->heard.calls_made, 1);
    assert_true(rest.size > 0 || !rkb_resp_between(test->heard.resp));
    assert_true(rkb_resp_feed(test->heard.resp, &rest, &error));
    assert_int_equal(test->heard.calls_made, 1);
    for (int made = 2; made <= 3; made++) {
        rkb_resp_pause(test->heard.resp, false);
        assert_true(rkb_resp_feed(test->heard.resp, &rest, &error));
        assert_int_equal(test->heard.calls_made, made);
    }
    assert_int_equal(rest.size, 0);
    rkb_resp_pause(test->heard.resp, false);
    assert_true(rkb_resp_feed(test->heard.resp, &rest, &error));
    assert_true(rkb_resp_between(test->heard.resp));
    assert_heard(test);
}

/* Between messages or not: at every byte of one that passes, of one that is skipped, and of a reply on one line. */
static void knows_when_it_is_between(void **state)
{
    struct test *test = *state;
    char text[2 * LIMIT];
    fill(text, sizeof text, 'a');
    size_t ends[3];
    message(&test->script, NULL, "a", text, 5);
    ends[0] = test->script.bytes.size;
    message(&test->script, "b*", "b", text, sizeof text);
    ends[1] = test->script.bytes.size;
    other(&test->script, "+PONG\r\n", "reply 0 PONG 0\n");
    ends[2] = test->script.bytes.size;
    for (size_t at = 0; at < ends[2]; at++) {
        must_feed(test, at, at + 1);
        bool ended = at + 1 == ends[0] || at + 1 == ends[1] || at + 1 == ends[2];
        assert_int_equal(rkb_resp_between(test->heard.resp), ended);
    }
    assert_heard(test);
}

static void a_name_that_is_too_long_is_said(void **state)
{
    struct test *test = *state;
    static const char *const places[] = {
        "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1048577\r\n", "*4\r\n$8\r\npmessage\r\n$1048577\r\n", "*3\r\n$1048577\r\n",
        "$1048577\r\n", "*4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$9223372036854775807\r\n",
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct rkb_error error = {0};
        begin_anew(test);
        assert_false(feed(test, (const uint8_t *)places[i], strlen(places[i]), &error));
        assert_int_equal(error.code, RKB_PROTOCOL);
        assert_non_null(strstr(error.text, "max_message_size"));
        assert_false(feed(test, (const uint8_t *)"+OK\r\n", 5, &error));
        assert_int_equal(test->heard.calls.size, 0);
    }
}

/* A name over the limit of messages is still a name; a limit that is higher than a name's is the name's too. */
static void a_name_may_be_longer_than_a_message(void **state)
{
    struct test *test = *state;
    char name[2 * LIMIT + 1];
    fill(name, sizeof name - 1, 'n');
    name[sizeof name - 1] = '\0';
    message(&test->script, "*", name, "hi", 2);
    must_feed(test, 0, test->script.bytes.size);
    assert_heard(test);

    struct rkb_lengths lengths = rkb_lengths(2048, 1024);
    struct rkb_slice pass[2], bytes = rkb_slice_text("*2\r\n$2048\r\n");
    assert_int_equal(rkb_lengths_scan(&lengths, &bytes, pass), RKB_LENGTHS_NOTHING);
    assert_int_equal(pass[1].size, 11);
    lengths = rkb_lengths(2048, 1024);
    bytes = rkb_slice_text("*2\r\n$2049\r\n");
    assert_int_equal(rkb_lengths_scan(&lengths, &bytes, pass), RKB_LENGTHS_REFUSED);
    assert_int_equal(pass[1].size, 4);
    assert_int_equal(lengths.size, 2049);
}

/* Only the last element of an array that is in no other is a payload. */
static void nothing_is_skipped_inside_an_inner_array(void **state)
{
    (void)state;
    struct rkb_lengths lengths = rkb_lengths(8, 8);
    struct rkb_slice pass[2], bytes = rkb_slice_text("*2\r\n:1\r\n*2\r\n$-1\r\n$9\r\n123456789\r\n");
    assert_int_equal(rkb_lengths_scan(&lengths, &bytes, pass), RKB_LENGTHS_REFUSED);
    rkb_lengths_reset(&lengths);
    bytes = rkb_slice_text("*2\r\n*1\r\n*0\r\n$8\r\n12345678\r\n");
    assert_int_equal(rkb_lengths_scan(&lengths, &bytes, pass), RKB_LENGTHS_NOTHING);
    assert_true(rkb_lengths_between(&lengths));
    bytes = rkb_slice_text("*2\r\n:1\r\n$9\r\n123456789\r\n");
    assert_int_equal(rkb_lengths_scan(&lengths, &bytes, pass), RKB_LENGTHS_NOTHING);
    assert_int_equal(rkb_lengths_scan(&lengths, &bytes, pass), RKB_LENGTHS_SKIPPED);
    assert_int_equal(bytes.size, 0);
    assert_true(rkb_lengths_between(&lengths));
}

static void refuses_what_has_no_length(void **state)
{
    (void)state;
    static const char *const wrong[] = {"$x\r\n", "$\r\n", "$-2\r\n", "$--1\r\n", "$1\n", "$1\rx", "$01\r\n", "$-\r\n",
                                        "*x\r\n", "*-2\r\n", "*99999999999\r\n", "$12345678901234567890",
                                        "hello", "\r\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        for (int split = 0; split < 2; split++) {
            struct rkb_lengths lengths = rkb_lengths(LIMIT, LIMIT);
            enum rkb_lengths_found found = RKB_LENGTHS_NOTHING;
            struct rkb_slice pass[2], bytes = rkb_slice_text(wrong[i]);
            for (size_t at = 0; split && at < strlen(wrong[i]) && found == RKB_LENGTHS_NOTHING; at++) {
                struct rkb_slice one = rkb_slice(wrong[i] + at, 1);
                found = rkb_lengths_scan(&lengths, &one, pass);
            }
            while (!split && bytes.size > 0 && found == RKB_LENGTHS_NOTHING)
                found = rkb_lengths_scan(&lengths, &bytes, pass);
            if (found != RKB_LENGTHS_MALFORMED)
                fail_msg("taken (%s): %s", split ? "byte by byte" : "whole", wrong[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(cuts_make_no_difference, start, end),
        cmocka_unit_test_setup_teardown(what_is_wrong_waits_behind_the_replies, start, end),
        cmocka_unit_test_setup_teardown(random_streams_in_random_pieces, start, end),
        cmocka_unit_test_setup_teardown(a_pause_holds_the_very_next_message, start, end),
        cmocka_unit_test_setup_teardown(knows_when_it_is_between, start, end),
        cmocka_unit_test_setup_teardown(a_name_that_is_too_long_is_said, start, end),
        cmocka_unit_test_setup_teardown(a_name_may_be_longer_than_a_message, start, end),
        cmocka_unit_test(nothing_is_skipped_inside_an_inner_array),
        cmocka_unit_test(refuses_what_has_no_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
