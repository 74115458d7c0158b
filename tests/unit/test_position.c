/*
 * position: marks and their clock, and the two hashes: fixed values, since they are a format, and what must change
 * them.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/position.h"
#include "message/uuid.h"

/* A hand-turned clock and dice; the table of calls knows no state, so they live here. */
static int64_t now_us;
static uint8_t next_byte;
static bool dice_broken;

static int64_t turned_clock(void)
{
    return now_us;
}

static int dice(void *data, size_t size)
{
    if (dice_broken) {
        memset(data, 0xEE, size / 2);
        errno = EIO;
        return -1;
    }
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = (uint8_t)(next_byte + i);
    next_byte = (uint8_t)(next_byte + 16);
    return 0;
}

static const struct rkb_sys sys = {.realtime_us = turned_clock, .random = dice};

static struct rkb_mark_clock new_clock(int64_t ms)
{
    now_us = ms * 1000 + 999;
    next_byte = 0;
    dice_broken = false;
    return (struct rkb_mark_clock){.sys = &sys};
}

static void cut(struct rkb_stream *stream, struct rkb_mark_clock *clock, const char *name)
{
    struct rkb_error error;
    assert_true(rkb_stream_mark(stream, clock, rkb_slice_text(name), 77, &error));
}

static void count(struct rkb_stream *stream, const char *channel, const char *payload, uint8_t uuid[16])
{
    rkb_stream_count(stream, false, rkb_slice_text(channel), 0, rkb_slice_text(channel), rkb_slice_text(payload), uuid);
}

static void a_mark_is_written_and_read(void **state)
{
    (void)state;
    struct rkb_mark mark = {{0}, 0x1122334455667788, 2, {0}, 3, 4, 0xFFEEDDCCBBAA9988}, again;
    memset(mark.random, 0xA1, 16);
    memset(mark.before, 0xB2, 16);
    uint8_t bytes[RKB_MARK_SIZE];
    rkb_mark_write(&mark, bytes);
    uint8_t expected[RKB_MARK_SIZE] = {0};
    memset(expected, 0xA1, 16);
    memcpy(expected + 16, "\x88\x77\x66\x55\x44\x33\x22\x11\x02", 9);
    memset(expected + 32, 0xB2, 16);
    expected[48] = 3;
    expected[56] = 4;
    memcpy(expected + 64, "\x88\x99\xAA\xBB\xCC\xDD\xEE\xFF", 8);
    assert_memory_equal(bytes, expected, sizeof expected);
    struct rkb_error error;
    assert_true(rkb_mark_parse(rkb_slice(bytes, sizeof bytes), &again, &error));
    assert_memory_equal(&again, &mark, sizeof mark);
}

/* What stands behind is the source's. */
static void a_mark_that_is_too_short_is_damage(void **state)
{
    (void)state;
    uint8_t bytes[RKB_MARK_SIZE + 1] = {0};
    for (size_t size = 0; size <= sizeof bytes; size++) {
        struct rkb_mark mark;
        struct rkb_error error = {.code = RKB_OK};
        assert_int_equal(rkb_mark_parse(rkb_slice(bytes, size), &mark, &error), size >= RKB_MARK_SIZE);
        assert_int_equal(error.code, size >= RKB_MARK_SIZE ? RKB_OK : RKB_DAMAGED);
    }
}

static void mark_times_go_forward_whatever_the_clock_does(void **state)
{
    (void)state;
    struct rkb_mark_clock clock = new_clock(5000);
    struct rkb_stream one = {.count = 0}, two = {.count = 0};
    cut(&one, &clock, "one");
    assert_int_equal(one.mark.time_ms, 5000);
    cut(&two, &clock, "two");
    assert_int_equal(two.mark.time_ms, 5001);
    now_us = 1000;
    cut(&one, &clock, "one");
    assert_int_equal(one.mark.time_ms, 5002);
    now_us = -1000000;
    cut(&one, &clock, "one");
    assert_int_equal(one.mark.time_ms, 5003);
    now_us = 9000000;
    cut(&one, &clock, "one");
    assert_int_equal(one.mark.time_ms, 9000);
    assert_int_equal(clock.last_ms, 9000);
    struct rkb_mark_clock restarted = {.sys = &sys, .last_epoch = 12, .last_ms = 20000};
    cut(&one, &restarted, "one");
    assert_int_equal(one.mark.time_ms, 20001);
    assert_int_equal(one.mark.epoch, 13);
}

static void marks_are_chained_and_close_their_span(void **state)
{
    (void)state;
    struct rkb_mark_clock clock = new_clock(1000);
    struct rkb_stream stream = {.count = 0};
    uint8_t uuid[16], zeros[16] = {0};
    cut(&stream, &clock, "s");
    struct rkb_mark first = stream.mark;
    assert_memory_equal(first.before, zeros, 16);
    assert_int_equal(first.epoch, 1);
    assert_int_equal(first.fingerprint, 77);
    assert_int_equal(first.span_count, 0);
    assert_true(first.span_hash == 0);
    for (int i = 0; i < 3; i++)
        count(&stream, "c", "p", uuid);
    uint64_t span_hash = stream.span_hash;
    cut(&stream, &clock, "s");
    assert_memory_equal(stream.mark.before, first.random, 16);
    assert_int_equal(stream.mark.epoch, 2);
    assert_int_equal(stream.mark.span_count, 3);
    assert_true(stream.mark.span_hash == span_hash && span_hash != 0);
    assert_int_equal(stream.count, 0);
    assert_true(stream.span_hash == 0);
    count(&stream, "c", "p", uuid);
    rkb_stream_begin(&stream);
    cut(&stream, &clock, "s");
    assert_memory_equal(stream.mark.before, zeros, 16);
    assert_int_equal(stream.mark.span_count, 0);
    assert_int_equal(stream.mark.epoch, 3);
}

static void without_random_bits_the_old_mark_stays(void **state)
{
    (void)state;
    struct rkb_mark_clock clock = new_clock(1000);
    struct rkb_stream stream = {.count = 0};
    uint8_t uuid[16];
    cut(&stream, &clock, "s");
    count(&stream, "c", "p", uuid);
    struct rkb_stream before = stream;
    struct rkb_mark_clock clock_before = clock;
    struct rkb_error error = {.code = RKB_OK};
    dice_broken = true;
    assert_false(rkb_stream_mark(&stream, &clock, rkb_slice_text("s"), 77, &error));
    assert_int_equal(error.code, RKB_SYSTEM);
    assert_memory_equal(&stream, &before, sizeof stream);
    assert_memory_equal(&clock, &clock_before, sizeof clock);
}

static void positions_count_from_one(void **state)
{
    (void)state;
    struct rkb_mark_clock clock = new_clock(1000);
    struct rkb_stream stream = {.count = 0};
    uint8_t uuid[16];
    char text[RKB_POSITION_TEXT + 1] = "";
    cut(&stream, &clock, "s");
    count(&stream, "c", "p", uuid);
    text[rkb_position_text(text, &stream)] = '\0';
    assert_string_equal(text, "000102030405060708090a0b0c0d0e0f:1");
    for (int i = 0; i < 99; i++)
        count(&stream, "c", "p", uuid);
    text[rkb_position_text(text, &stream)] = '\0';
    assert_string_equal(text, "000102030405060708090a0b0c0d0e0f:100");
    stream.count = UINT32_MAX;
    assert_int_equal(rkb_position_text(text, &stream), RKB_POSITION_TEXT);
    assert_string_equal(text, "000102030405060708090a0b0c0d0e0f:4294967295");
    stream.count = 0;
    assert_int_equal(rkb_position_text(text, &stream), 34);
}

/* These values are on other machines and on disks: if this fails, the format has changed. */
static void the_format_of_the_hashes_is_fixed(void **state)
{
    (void)state;
    struct rkb_mark_clock clock = new_clock(1790000000000);
    struct rkb_stream stream = {.count = 0};
    uint8_t uuid[16];
    char text[RKB_UUID_TEXT + 1] = "";
    cut(&stream, &clock, "legacy");
    count(&stream, "user_created", "{\"id\":1}", uuid);
    rkb_uuid_text(text, uuid);
    assert_string_equal(text, "01a0c450-6c00-7000-8001-7ef5d20f7c56");
    rkb_stream_count(&stream, true, rkb_slice_text("user_*"), 5000, rkb_slice_text("user_deleted"),
                     rkb_slice(NULL, 0), uuid);
    rkb_uuid_text(text, uuid);
    assert_string_equal(text, "01a0c450-6c00-7001-8e22-409da894858c");
    char hash[17];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)stream.span_hash);
    assert_string_equal(hash, "b6c9285aa552fe9e");
}

struct message {
    const char *stream;
    bool is_pattern;
    const char *subscription;
    uint32_t copy;
    const char *channel, *payload;
};

/* The UUID's last 50 bits: those of the hash. */
static uint64_t hash_bits(const uint8_t uuid[16])
{
    uint64_t bits = 0;
    for (int i = 9; i < 16; i++)
        bits = bits << 8 | uuid[i];
    return bits & ((UINT64_C(1) << 50) - 1);
}

static uint64_t hash_of(const struct message *message, uint8_t random)
{
    struct rkb_mark_clock clock = new_clock(1000);
    struct rkb_stream stream = {.count = 0};
    uint8_t uuid[16];
    next_byte = random;
    cut(&stream, &clock, message->stream);
    rkb_stream_count(&stream, message->is_pattern, rkb_slice_text(message->subscription), message->copy,
                     rkb_slice_text(message->channel), rkb_slice_text(message->payload), uuid);
    return hash_bits(uuid);
}

/* Also what only moves bytes from one part to its neighbour. */
static void everything_a_message_is_changes_the_hash(void **state)
{
    (void)state;
    static const struct message messages[] = {
        {"s", false, "ab", 0, "ab", "cd"}, {"t", false, "ab", 0, "ab", "cd"}, {"s", true, "ab", 0, "ab", "cd"},
        {"s", false, "ax", 0, "ab", "cd"}, {"s", false, "ab", 1, "ab", "cd"},
        {"s", false, "ab", 0, "ax", "cd"}, {"s", false, "ab", 0, "ab", "cx"}, {"s", false, "ab", 0, "abc", "d"},
        {"s", false, "ab", 0, "a", "bcd"}, {"s", false, "aba", 0, "b", "cd"},
        {"s", false, "a", 0, "bab", "cd"}, {"s", false, "ab", 0, "cd", "ab"}, {"s", false, "cd", 0, "ab", "ab"},
        {"s", false, "ab", 0, "", "abcd"}, {"s", false, "", 0, "abab", "cd"},
        {"s", false, "ab", 0, "ab", ""}, {"s", false, "ab", 0, "ab", "cd "}, {"s", true, "", 0, "", ""},
        {"s", false, "", 0, "", ""}, {"s", false, "", 0x1000000, "", ""},
    };
    enum { COUNT = sizeof messages / sizeof messages[0] };
    uint64_t hashes[COUNT + 1];
    for (size_t i = 0; i < COUNT; i++)
        hashes[i] = hash_of(&messages[i], 0);
    hashes[COUNT] = hash_of(&messages[0], 1);       /* another mark */
    for (size_t i = 0; i <= COUNT; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    assert_true(hashes[0] == hash_of(&messages[0], 0));
}

/* Payloads of all lengths around XXH3's own limits (16, 128, 240), each differing in one bit. */
static void every_bit_of_a_payload_counts(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 4, 8, 9, 16, 17, 128, 129, 240, 241, 1024, 1100};
    struct rkb_mark_clock clock = new_clock(1000);
    struct rkb_stream stream = {.count = 0};
    cut(&stream, &clock, "s");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *payload = calloc(1, sizes[i]), base[16], other[16];
        struct rkb_slice c = rkb_slice_text("c");
        rkb_stream_count(&stream, false, c, 0, c, rkb_slice(payload, sizes[i]), base);
        for (size_t bit = 0; bit < sizes[i] * 8; bit++) {
            payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
            rkb_stream_count(&stream, false, c, 0, c, rkb_slice(payload, sizes[i]), other);
            assert_true(hash_bits(base) != hash_bits(other));
            payload[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        free(payload);
    }
}

static void the_span_hash_knows_the_order(void **state)
{
    (void)state;
    static const char *const orders[][3] = {{"1", "2", "3"}, {"2", "1", "3"}, {"1", "3", "2"}, {"3", "2", "1"},
        {"1", "2", "2"}};
    uint64_t hashes[5];
    for (size_t i = 0; i < 5; i++) {
        struct rkb_mark_clock clock = new_clock(1000);
        struct rkb_stream stream = {.count = 0};
        uint8_t uuid[16];
        cut(&stream, &clock, "s");
        for (int j = 0; j < 3; j++)
            count(&stream, "c", orders[i][j], uuid);
        hashes[i] = stream.span_hash;
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    }
}

/* A message of which only the length is known counts, and its length does. */
static void an_unread_message_counts_by_its_length(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 2, UINT64_C(512) << 20};
    struct rkb_slice c = rkb_slice_text("c");
    uint64_t hashes[5];
    for (size_t i = 0; i < 5; i++) {
        struct rkb_mark_clock clock = new_clock(1000);
        struct rkb_stream stream = {.count = 0};
        uint8_t uuid[16];
        cut(&stream, &clock, "s");
        if (i < 4)
            rkb_stream_count_unread(&stream, false, c, 0, c, sizes[i]);
        else
            rkb_stream_count(&stream, false, c, 0, c, rkb_slice_text("x"), uuid);
        assert_int_equal(stream.count, 1);
        hashes[i] = stream.span_hash;
        for (size_t j = 0; j < i; j++)
            assert_true(hashes[i] != hashes[j]);
    }
}

static void the_uuid_carries_mark_time_and_copy(void **state)
{
    (void)state;
    struct rkb_mark_clock clock = new_clock(0x0123456789AB);
    struct rkb_stream stream = {.count = 0};
    uint8_t uuid[16];
    struct rkb_slice c = rkb_slice_text("c");
    cut(&stream, &clock, "s");
    rkb_stream_count(&stream, false, c, 0xABCDEF, c, c, uuid);
    assert_memory_equal(uuid, "\x01\x23\x45\x67\x89\xAB\x7A\xBC", 8);
    assert_int_equal(uuid[8], 0x80 | 0xDEF >> 6);
    assert_int_equal(uuid[9] >> 2, 0xDEF & 0x3F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mark_is_written_and_read),
        cmocka_unit_test(a_mark_that_is_too_short_is_damage),
        cmocka_unit_test(mark_times_go_forward_whatever_the_clock_does),
        cmocka_unit_test(marks_are_chained_and_close_their_span),
        cmocka_unit_test(without_random_bits_the_old_mark_stays),
        cmocka_unit_test(positions_count_from_one),
        cmocka_unit_test(the_format_of_the_hashes_is_fixed),
        cmocka_unit_test(everything_a_message_is_changes_the_hash),
        cmocka_unit_test(every_bit_of_a_payload_counts),
        cmocka_unit_test(the_span_hash_knows_the_order),
        cmocka_unit_test(an_unread_message_counts_by_its_length),
        cmocka_unit_test(the_uuid_carries_mark_time_and_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
