/*
 * number: what is a JSON number, and order, integers and multiples judged by a plain expansion into digits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/number.h"

/* Exactly its bytes in memory of their own, so that a sanitizer sees a read behind the end. */
static bool reads(const char *text)
{
    size_t size = strlen(text);
    uint8_t *exact = malloc(size > 0 ? size : 1);
    assert_non_null(exact);
    memcpy(exact, text, size);
    struct rkb_number number;
    bool good = rkb_number_read(rkb_slice(exact, size), &number);
    free(exact);
    return good;
}

static struct rkb_number number(const char *text)
{
    struct rkb_number out;
    if (!rkb_number_read(rkb_slice_text(text), &out))
        fail_msg("not read: %s", text);
    return out;
}

static int compare(const char *a, const char *b)
{
    struct rkb_number left = number(a), right = number(b);
    int order = rkb_number_compare(&left, &right);
    assert_int_equal((order > 0) - (order < 0), order);
    assert_int_equal(rkb_number_compare(&right, &left), -order);
    if (order == 0)
        assert_true(rkb_number_hash(&left) == rkb_number_hash(&right));
    return order;
}

static bool divides(const char *divisor_text, const char *text)
{
    struct rkb_number by = number(divisor_text), of = number(text);
    struct rkb_divisor divisor;
    assert_true(rkb_divisor_make(&by, &divisor));
    return rkb_divisor_divides(&divisor, &of);
}

static void what_is_a_number(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "-0", "0.0", "10", "1.0", "-1.50", "1e5", "1E+05", "1e-5", "0e0", "1e400",
                                       "12345678901234567890", "0.000e99999999999999999999999"};
    static const char *const bad[] = {"", "-", "+1", "01", "-01", "00", ".5", "1.", "1.e5", "1e", "1e+", "1e5.0", "0x1",
                                      "1 ", " 1", "NaN", "1a", "1.5a", "1e5a", "--1", "1-", "e5", "1.5.5"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!reads(good[i]))
            fail_msg("a number: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (reads(bad[i]))
            fail_msg("no number: %s", bad[i]);
    struct rkb_number out;
    assert_false(rkb_number_read(rkb_slice(NULL, 0), &out));
}

static void equal_however_written(void **state)
{
    (void)state;
    static const char *const same[][2] = {
        {"0", "-0"}, {"0", "0.000"}, {"0", "0e999999999999999999999999"}, {"-0e-5", "0"}, {"1", "1.0"},
        {"1", "0.1e1"}, {"1", "10e-1"}, {"1", "1e-0"}, {"100", "1e2"}, {"100", "1.00E+02"}, {"-12.50", "-0.00125e4"},
        {"12345678901234567890", "1234567890.1234567890e10"}, {"1e400", "0.001e403"}, {"1e-400", "1000e-403"},
        {"1e1000000000000000000", "10e999999999999999999"},     /* 19 digits of exponent, and 18 */
        {"1e-1000000000000000000", "0.1e-999999999999999999"}, {"1e000000000000000000000000005", "100000"},
        {"12e99999999999999999999", "1.2e100000000000000000000"},
        {"1e-99999999999999999999", "0.1e-99999999999999999998"}};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        if (compare(same[i][0], same[i][1]) != 0)
            fail_msg("%s = %s", same[i][0], same[i][1]);
}

static void in_order(void **state)
{
    (void)state;
    static const char *const rising[] = {
        "-1e99999999999999999999999999", "-1e10000000000000000000", "-1e999999999999999999", "-1e400",
        "-18446744073709551616", "-18446744073709551615", "-10", "-9.99", "-9.9", "-1", "-0.10000000000000000001",
        "-0.1", "-1e-400", "-1e-1000000000000000000", "-1e-20000000000000000000000", "0", "1e-20000000000000000000000",
        "1e-1000000000000000000", "1e-999999999999999999", "9e-401", "1e-400", "0.1", "0.10000000000000000001", "0.2",
        "0.9999", "1", "1.0000000000000000000000001", "2", "9.9", "9.99", "10", "18446744073709551615",
        "18446744073709551616", "972783798187987123879878123.18878137", "972783798187987123879878123.188781371",
        "1e399",
        "9.99999e399", "1e400", "1e999999999999999999", "1e1000000000000000000", "1e1000000000000000001",
        "1e10000000000000000000", "1e99999999999999999999999998", "2e99999999999999999999999998",
        "1e99999999999999999999999999", "1e100000000000000000000000000"};
    size_t count = sizeof rising / sizeof *rising;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++)
            if (compare(rising[i], rising[j]) != (i > j) - (i < j))
                fail_msg("%s against %s", rising[i], rising[j]);
}

static void integers(void **state)
{
    (void)state;
    static const char *const yes[] = {"0", "-0.0", "0e-5", "1", "-7", "1.0", "1e2", "1.5e1", "0.001e3", "1e400",
                                      "100e-2", "12345678901234567890", "1e99999999999999999999999",
                                      "0e-99999999999999999999999"};
    static const char *const no[] = {"0.5", "-1.5", "1e-1", "15e-1", "1.25e1", "1e-400",
                                     "1e-99999999999999999999999", "12345678901234567890.1", "101e-2"};
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
        struct rkb_number n = number(yes[i]);
        if (!rkb_number_is_integer(&n))
            fail_msg("an integer: %s", yes[i]);
    }
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        struct rkb_number n = number(no[i]);
        if (rkb_number_is_integer(&n))
            fail_msg("no integer: %s", no[i]);
    }
}

static void multiples(void **state)
{
    (void)state;
    assert_true(divides("2", "10"));
    assert_false(divides("2", "7"));
    assert_true(divides("1.5", "4.5"));
    assert_true(divides("1.5", "-4.5"));
    assert_false(divides("1.5", "35"));
    assert_true(divides("0.0001", "0.0075"));
    assert_false(divides("0.0001", "0.00751"));
    assert_true(divides("0.01", "4.35"));               /* binary floating point says no */
    assert_true(divides("7", "0"));
    assert_true(divides("7", "-0.0e5"));
    assert_true(divides("100", "1e2"));
    assert_true(divides("100", "12e400"));
    assert_false(divides("100", "50"));
    assert_false(divides("1e5", "1e4"));
    assert_true(divides("3", "3e400"));
    assert_false(divides("3", "1e400"));
    assert_false(divides("3", "1e999999999999999999"));         /* and soon: not by so many steps */
    assert_true(divides("576460752303423488", "1e59"));         /* 2^59 goes into 10^59, not into 10^58 */
    assert_false(divides("576460752303423488", "1e58"));
    assert_true(divides("576460752303423488", "1e400"));
    assert_true(divides("7", "7e99999999999999999999999999"));
    assert_false(divides("7", "8e99999999999999999999999999"));
    assert_false(divides("7", "7e-99999999999999999999999999"));
    assert_true(divides("1e-400", "5"));
    assert_false(divides("3e-400", "5"));
    assert_true(divides("999999999999999999", "999999999999999998000000000000000001"));
    assert_false(divides("999999999999999999", "999999999999999998000000000000000002"));
}

static void divisors_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"0", "-1", "-0.5", "1234567890123456789", "1e99999999999999999999",
                                      "1e100000000000000000", "1e-200000000000000000"};
    struct rkb_divisor divisor;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct rkb_number n = number(bad[i]);
        if (rkb_divisor_make(&n, &divisor))
            fail_msg("no divisor: %s", bad[i]);
    }
    struct rkb_number most = number("123456789012345678000.0");
    assert_true(rkb_divisor_make(&most, &divisor));
}

/* ---- the judge: every number as sign and 60 digits, 30 of them behind the point ---- */

#define PLACES 60

struct expanded {
    int sign;
    char digits[PLACES + 1];
};

/* coefficient * 10^exponent, in one of many ways to write it, and what it is. */
static void write_number(char *out, size_t size, struct expanded *what, int64_t coefficient, int exponent,
                         unsigned manner)
{
    int64_t magnitude = coefficient < 0 ? -coefficient : coefficient;
    const char *minus = coefficient < 0 ? "-" : "";
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)magnitude);
    switch (magnitude == 0 ? 0 : manner % 4) {
    case 0:
        snprintf(out, size, "%s%se%d", minus, digits, exponent);
        break;
    case 1:
        snprintf(out, size, "%s0.00%se%+d", minus, digits, exponent + length + 2);
        break;
    case 2:
        snprintf(out, size, "%s%c.%s0E%d", minus, digits[0], digits + 1, exponent + length - 1);
        break;
    case 3:
        snprintf(out, size, "%s%s000.00e%d", minus, digits, exponent - 3);
        break;
    }
    what->sign = (coefficient > 0) - (coefficient < 0);
    memset(what->digits, '0', PLACES);
    what->digits[PLACES] = '\0';
    memcpy(what->digits + PLACES / 2 - exponent - length, digits, (size_t)length);
}

static int judge_compare(const struct expanded *a, const struct expanded *b)
{
    if (a->sign != b->sign)
        return a->sign > b->sign ? 1 : -1;
    int order = memcmp(a->digits, b->digits, PLACES);
    return a->sign * ((order > 0) - (order < 0));
}

static bool judge_divides(uint64_t modulus, int divisor_exponent, const struct expanded *of)
{
    unsigned __int128 rest = 0;
    for (int i = 0; i < PLACES; i++) {
        rest = (rest * 10 + (unsigned)(of->digits[i] - '0'));
        if (i >= PLACES / 2 - divisor_exponent && of->digits[i] != '0')
            return false;
        if (i < PLACES / 2 - divisor_exponent)
            rest %= modulus;
        if (i == PLACES / 2 - divisor_exponent - 1 && rest != 0)
            return false;
    }
    return true;
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static void as_the_judge_says(void **state)
{
    (void)state;
    uint64_t seed = 7;
    static const int64_t spans[] = {3, 20, 1000, 2000000000};
    for (int round = 0; round < 40000; round++) {
        char texts[2][80];
        struct expanded what[2];
        int64_t coefficients[2];
        int exponents[2];
        int64_t span = spans[next_random(&seed) % 4];
        for (int i = 0; i < 2; i++) {
            coefficients[i] = (int64_t)(next_random(&seed) % (uint64_t)span) - span / 2;
            exponents[i] = (int)(next_random(&seed) % 9) - 4;
            unsigned manner = (unsigned)next_random(&seed);
            write_number(texts[i], sizeof texts[i], &what[i], coefficients[i], exponents[i], manner);
        }
        if (compare(texts[0], texts[1]) != judge_compare(&what[0], &what[1]))
            fail_msg("%s against %s", texts[0], texts[1]);
        struct rkb_number first = number(texts[0]);
        if (rkb_number_is_integer(&first) != judge_divides(1, 0, &what[0]))
            fail_msg("%s: an integer?", texts[0]);
        if (coefficients[1] <= 0)
            continue;
        if (divides(texts[1], texts[0]) != judge_divides((uint64_t)coefficients[1], exponents[1], &what[0]))
            fail_msg("%s a multiple of %s?", texts[0], texts[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_a_number), cmocka_unit_test(equal_however_written), cmocka_unit_test(in_order),
        cmocka_unit_test(integers), cmocka_unit_test(multiples), cmocka_unit_test(divisors_refused),
        cmocka_unit_test(as_the_judge_says)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
