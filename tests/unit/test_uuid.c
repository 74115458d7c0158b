/* uuid: the layout bit by bit, order within a mark, and ten million with no two alike. */
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

static void layout(void **state)
{
    (void)state;
    uint8_t uuid[16];
    char text[RKB_UUID_TEXT + 1] = "";
    rkb_uuid_make(uuid, UINT64_C(0x0123456789AB), 0xABCDEF, UINT64_C(0xFEDCBA9876543210));
    rkb_uuid_text(text, uuid);
    /* 10 and the count's low half DEF, then FEDCBA9876543210 without its low 14 bits. */
    assert_string_equal(text, "01234567-89ab-7abc-b7bf-fb72ea61d950");
    rkb_uuid_make(uuid, 0, 0, 0);
    rkb_uuid_text(text, uuid);
    assert_string_equal(text, "00000000-0000-7000-8000-000000000000");
    rkb_uuid_make(uuid, UINT64_C(0xFFFFFFFFFFFF), RKB_UUID_COUNT_LIMIT - 1, UINT64_MAX);
    rkb_uuid_text(text, uuid);
    assert_string_equal(text, "ffffffff-ffff-7fff-bfff-ffffffffffff");
}

static void text_is_not_terminated(void **state)
{
    (void)state;
    char text[RKB_UUID_TEXT + 1];
    memset(text, '~', sizeof text);
    rkb_uuid_text(text, (const uint8_t[16]){0});
    assert_int_equal(text[RKB_UUID_TEXT], '~');
}

/* Every bit of time, count and of the hash's upper 50 has a place of its own; the version and the variant stay. */
static void each_bit_counts_once(void **state)
{
    (void)state;
    uint8_t base[16], other[16], seen[16] = {0};
    rkb_uuid_make(base, 0, 0, 0);
    for (int bit = 0; bit < 48 + 24 + 50; bit++) {
        uint64_t time_ms = bit < 48 ? UINT64_C(1) << bit : 0;
        uint32_t count = bit >= 48 && bit < 72 ? 1u << (bit - 48) : 0;
        uint64_t hash = bit >= 72 ? UINT64_C(1) << (14 + bit - 72) : 0;
        rkb_uuid_make(other, time_ms, count, hash);
        int changed = 0;
        for (int i = 0; i < 16; i++) {
            uint8_t difference = base[i] ^ other[i];
            assert_int_equal(seen[i] & difference, 0);
            seen[i] |= difference;
            changed += __builtin_popcount(difference);
        }
        assert_int_equal(changed, 1);
        assert_int_equal(other[6] >> 4, 7);
        assert_int_equal(other[8] >> 6, 2);
    }
}

static void order_follows_the_count_within_a_mark_and_the_time_of_marks(void **state)
{
    (void)state;
    uint8_t before[16], after[16];
    rkb_uuid_make(before, 1000, 0, UINT64_MAX);
    for (uint32_t count = 1; count < RKB_UUID_COUNT_LIMIT; count += 1 + count / 1000) {
        rkb_uuid_make(after, 1000, count, (uint64_t)count * UINT64_C(0x9E3779B97F4A7C15));
        assert_true(memcmp(before, after, 16) < 0);
        memcpy(before, after, 16);
    }
    rkb_uuid_make(after, 1001, 0, 0);
    assert_true(memcmp(before, after, 16) < 0);
}

/* ---- ten million ---- */

enum { MESSAGES = 10000000, SET = 1 << 24 };

/* An open hash set of whole UUIDs. Their second half is never 0: the variant is in it. */
static bool insert(uint64_t (*set)[2], const uint8_t uuid[16])
{
    uint64_t high, low;
    memcpy(&high, uuid, 8);
    memcpy(&low, uuid + 8, 8);
    size_t at = (size_t)((low ^ high) * UINT64_C(0x9E3779B97F4A7C15) >> 40);
    for (; set[at][1] != 0; at = (at + 1) % SET)
        if (set[at][0] == high && set[at][1] == low)
            return false;
    set[at][0] = high;
    set[at][1] = low;
    return true;
}

static int64_t fixed_time(void)
{
    return INT64_C(1790000000000000);
}

static int fixed_random(void *data, size_t size)
{
    memset(data, 0x5A, size);
    return 0;
}

/*
 * As they come in life: marks each 200,000 messages, two streams, subscriptions with copy numbers of their own, few
 * payloads.
 */
static void no_two_alike_over_ten_million(void **state)
{
    (void)state;
    uint64_t (*set)[2] = calloc(SET, sizeof *set);
    assert_non_null(set);
    struct rkb_sys sys = {.realtime_us = fixed_time, .random = fixed_random};
    struct rkb_mark_clock clock = {.sys = &sys};
    struct rkb_stream streams[2] = {{.count = 0}, {.count = 0}};
    static const char *const names[2] = {"one", "two"};
    uint32_t copies[2][16] = {{0}};
    for (uint32_t i = 0; i < MESSAGES; i++) {
        struct rkb_stream *stream = &streams[i % 2];
        if (i % 400000 < 2) {
            struct rkb_error error;
            assert_true(rkb_stream_mark(stream, &clock, rkb_slice_text(names[i % 2]), 0, &error));
            memset(copies[i % 2], 0, sizeof copies[0]);
        }
        uint8_t uuid[16], channel = (uint8_t)(i / 2 % 16);
        uint32_t payload = i % 3;
        rkb_stream_count(stream, false, rkb_slice(&channel, 1), copies[i % 2][channel]++, rkb_slice(&channel, 1),
                         rkb_slice(&payload, sizeof payload), uuid);
        if (!insert(set, uuid))
            fail_msg("message %u has a UUID that was there before", i);
    }
    free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),
        cmocka_unit_test(text_is_not_terminated),
        cmocka_unit_test(each_bit_counts_once),
        cmocka_unit_test(order_follows_the_count_within_a_mark_and_the_time_of_marks),
        cmocka_unit_test(no_two_alike_over_ten_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
