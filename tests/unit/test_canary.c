/*
 * Tests of canary: which messages are ours, what each leg of the way is proven by and for how long, what is no success,
 * and that memory of many on their way costs a time, never a count. Time is a number here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "daemon/canary.h"

static uint8_t chance;

static int count_up(void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)data)[i] = chance++;
    return 0;
}

static struct rkb_canary canary_of_a_process(void)
{
    struct rkb_sys sys = rkb_sys_posix;
    struct rkb_canary canary;
    sys.random = count_up;
    rkb_canary_init(&canary, &sys);
    rkb_canary_begin(&canary, 0);
    return canary;
}

/* One is sent at that time; its payload stays in `out`. */
static struct rkb_slice send_at(struct rkb_canary *canary, int64_t us, char out[RKB_CANARY_PAYLOAD])
{
    struct rkb_slice payload = rkb_canary_next(canary, "here", "legacy", 1700000000000000 + us, out);
    rkb_canary_sent(canary, us, 1700000000000000 + us);
    return payload;
}

/* Sent then, and come back at once as this record. */
static void round_trip(struct rkb_canary *canary, int64_t us, uint64_t record)
{
    char out[RKB_CANARY_PAYLOAD];
    assert_true(rkb_canary_came(canary, send_at(canary, us, out), record));
}

static uint64_t timed(const struct rkb_canary *canary)
{
    uint64_t count = 0;
    for (unsigned i = 0; i <= canary->round_trip.kind->count; i++)
        count += canary->round_trip.counts[i];
    return count;
}

static void one_goes_the_whole_way(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    char out[RKB_CANARY_PAYLOAD];
    struct rkb_slice payload = send_at(&canary, 1000, out);
    (void)state;
    assert_int_equal(payload.size, strlen(out));
    assert_non_null(strstr(out, "\"number\":1,\"instance\":\"here\",\"source\":\"legacy\","
                                "\"sent\":\"2023-11-14T22:13:20.001Z\"}"));
    assert_false(canary.legs[RKB_CANARY_REDIS].proven);
    assert_true(rkb_canary_came(&canary, payload, 17));
    assert_true(canary.legs[RKB_CANARY_REDIS].proven);
    assert_false(canary.legs[RKB_CANARY_KAFKA].proven);
    rkb_canary_shipped(&canary, 16, 2000, 0);
    assert_int_equal(canary.acknowledged, 0);
    assert_int_equal(canary.success_us, 0);
    rkb_canary_shipped(&canary, 17, 4500, 0);
    assert_true(canary.legs[RKB_CANARY_KAFKA].proven);
    assert_int_equal(canary.acknowledged, 1);
    assert_int_equal(canary.success_us, 1700000000001000);
    assert_int_equal(timed(&canary), 1);
    assert_int_equal(canary.round_trip.sum, 3500);
    rkb_canary_shipped(&canary, 17, 9000, 0);
    assert_int_equal(canary.acknowledged, 1);
    assert_int_equal(timed(&canary), 1);
}

/* Of another process, garbage, twice, not sent by us: none is ours. */
static void only_ours_count(void **state)
{
    struct rkb_canary canary = canary_of_a_process(), other = canary_of_a_process();
    char out[RKB_CANARY_PAYLOAD], theirs[RKB_CANARY_PAYLOAD], text[200];
    (void)state;
    struct rkb_slice payload = send_at(&canary, 1, out);
    assert_false(rkb_canary_came(&canary, send_at(&other, 1, theirs), 5));
    assert_false(rkb_canary_came(&canary, rkb_slice_text(""), 5));
    assert_false(rkb_canary_came(&canary, rkb_slice_text("{}"), 5));
    const char *const numbers[] = {"", "x", "0", "2", "99999999999999999999", "18446744073709551617", "-1", " 1"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        snprintf(text, sizeof text, "{\"token\":\"%s\",\"number\":%s", canary.token, numbers[i]);
        assert_false(rkb_canary_came(&canary, rkb_slice_text(text), 5));
    }
    for (size_t size = 0; size < payload.size; size++)
        if (size <= strlen("{\"token\":\"0123456789abcdef\",\"number\":"))
            assert_false(rkb_canary_came(&canary, rkb_slice(out, size), 5));
    assert_int_equal(canary.received, 0);
    assert_true(rkb_canary_came(&canary, payload, 6));
    assert_false(rkb_canary_came(&canary, payload, 7));
    assert_int_equal(canary.received, 1);
    rkb_canary_shipped(&canary, 5, 2, 0);
    assert_int_equal(canary.acknowledged, 0);
}

/* How old the newest is that walked a leg, counted from its sending: what takes long is late too. */
static void late_is_counted_from_sending(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    (void)state;
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 700), 700);
    round_trip(&canary, 1000, 1);
    round_trip(&canary, 2000, 2);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_REDIS, 9000), 7000);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 9000), 9000);
    rkb_canary_shipped(&canary, 1, 8999, 0);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 9000), 8000);
    rkb_canary_shipped(&canary, 2, 9500, 0);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 9500), 7500);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 1), 0);
}

/* A new subscription has to be proven anew; what was sent before it does not count as younger than it. */
static void each_subscription_anew(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    (void)state;
    round_trip(&canary, 1000, 1);
    rkb_canary_begin(&canary, 4000);
    rkb_canary_shipped(&canary, 1, 4100, 0);
    assert_true(canary.legs[RKB_CANARY_KAFKA].proven);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 4500), 500);
    rkb_canary_begin(&canary, 5000);
    for (int leg = 0; leg < RKB_CANARY_LEGS; leg++) {
        assert_false(canary.legs[leg].proven);
        assert_int_equal(rkb_canary_age_us(&canary, (enum rkb_canary_leg)leg, 5100), 100);
    }
    round_trip(&canary, 6000, 2);
    rkb_canary_shipped(&canary, 2, 6500, 0);
    assert_true(canary.legs[RKB_CANARY_REDIS].proven && canary.legs[RKB_CANARY_KAFKA].proven);
    assert_int_equal(canary.acknowledged, 2);
}

/* While there is a reason for none to come the time stands; but what never worked is not excused into working. */
static void excuses_prove_nothing(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    (void)state;
    rkb_canary_excuse(&canary, RKB_CANARY_KAFKA, 4000);
    assert_false(canary.legs[RKB_CANARY_KAFKA].proven);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 4500), 500);
    round_trip(&canary, 5000, 1);
    rkb_canary_shipped(&canary, 1, 5500, 0);
    rkb_canary_begin(&canary, 6000);
    rkb_canary_excuse(&canary, RKB_CANARY_KAFKA, 7000);
    assert_true(canary.legs[RKB_CANARY_KAFKA].proven);
    assert_false(canary.legs[RKB_CANARY_REDIS].proven);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_KAFKA, 7500), 500);
}

/* Turned on while all else runs: nothing is doubted before its time, and an excuse does not take that back. */
static void trusted_for_a_while(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    (void)state;
    rkb_canary_trust(&canary, 1000);
    rkb_canary_excuse(&canary, RKB_CANARY_KAFKA, 1500);
    assert_true(canary.legs[RKB_CANARY_REDIS].proven && canary.legs[RKB_CANARY_KAFKA].proven);
    assert_int_equal(rkb_canary_age_us(&canary, RKB_CANARY_REDIS, 3000), 2000);
}

/* A dropped one came back from Redis, and no further. */
static void a_dropped_one_is_no_success(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    (void)state;
    round_trip(&canary, 1000, 0);
    assert_int_equal(canary.received, 1);
    assert_true(canary.legs[RKB_CANARY_REDIS].proven);
    rkb_canary_shipped(&canary, 100, 1500, 0);
    assert_int_equal(canary.acknowledged, 0);
    assert_false(canary.legs[RKB_CANARY_KAFKA].proven);
    round_trip(&canary, 2000, 101);
    rkb_canary_shipped(&canary, 101, 2500, 0);
    assert_int_equal(canary.acknowledged, 1);
}

/* Those before one that was acknowledged are settled: as many of them as became dead letters did not succeed. */
static void dead_letters_are_no_success(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    (void)state;
    rkb_canary_shipped(&canary, 0, 0, 4);       /* of a life before */
    for (uint64_t i = 1; i <= 5; i++)
        round_trip(&canary, (int64_t)i * 1000, i);
    rkb_canary_shipped(&canary, 0, 0, 5);
    rkb_canary_shipped(&canary, 0, 0, 6);
    assert_int_equal(canary.acknowledged, 0);
    rkb_canary_shipped(&canary, 5, 9000, 6);
    assert_int_equal(canary.acknowledged, 3);
    assert_int_equal(timed(&canary), 3);
    assert_int_equal(canary.round_trip.sum, (9000 - 3000) + (9000 - 4000) + (9000 - 5000));
    round_trip(&canary, 10000, 6);
    rkb_canary_shipped(&canary, 6, 10001, 6);
    assert_int_equal(canary.acknowledged, 4);
}

/* Redis refused it: it was none. */
static void a_refused_one_was_not_sent(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    char out[RKB_CANARY_PAYLOAD];
    (void)state;
    send_at(&canary, 1000, out);
    rkb_canary_unsent(&canary);
    assert_int_equal(canary.sent, 0);
    round_trip(&canary, 5000, 1);
    assert_int_equal(canary.sent, 1);
    rkb_canary_shipped(&canary, 1, 6000, 0);
    assert_int_equal(canary.round_trip.sum, 1000);
}

/* Many are on their way while Kafka is away for hours: each counts, the newest are timed. */
static void many_on_their_way(void **state)
{
    struct rkb_canary canary = canary_of_a_process();
    char out[RKB_CANARY_PAYLOAD];
    (void)state;
    for (uint64_t i = 1; i <= 1000; i++) {
        if (i % 10 == 0)
            send_at(&canary, (int64_t)i * 1000, out);       /* never came */
        else
            round_trip(&canary, (int64_t)i * 1000, i);
    }
    assert_int_equal(canary.received, 900);
    rkb_canary_shipped(&canary, 500, 2000000, 0);           /* none that is remembered yet */
    assert_int_equal(canary.acknowledged, 0);
    rkb_canary_shipped(&canary, 999, 2000000, 0);
    assert_int_equal(canary.acknowledged, 900);
    assert_int_equal(timed(&canary), RKB_CANARIES - 7);     /* 940, 950 ... 1000 never came */
    assert_int_equal(canary.success_us, 1700000000999000);
    round_trip(&canary, 2000000, 1001);
    rkb_canary_shipped(&canary, 1001, 2000500, 0);
    assert_int_equal(canary.acknowledged, 901);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_goes_the_whole_way),
        cmocka_unit_test(only_ours_count),
        cmocka_unit_test(late_is_counted_from_sending),
        cmocka_unit_test(each_subscription_anew),
        cmocka_unit_test(excuses_prove_nothing),
        cmocka_unit_test(trusted_for_a_while),
        cmocka_unit_test(a_dropped_one_is_no_success),
        cmocka_unit_test(dead_letters_are_no_success),
        cmocka_unit_test(a_refused_one_was_not_sent),
        cmocka_unit_test(many_on_their_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
