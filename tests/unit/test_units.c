/* units: what is read, what is refused, and what is written, against the C library's calendar. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/units.h"

static void sizes_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"0", 0}, {"7", 7}, {"812B", 812}, {"1kB", 1000}, {"2MB", 2000000}, {"3GB", 3000000000},
        {"4TB", 4000000000000}, {"1KiB", 1024}, {"32MiB", 33554432}, {"4GiB", 4294967296}, {"2TiB", 2199023255552},
        {"4 GiB", 4294967296}, {"007", 7}, {"18446744073709551615", UINT64_MAX},
        {"16777215TiB", UINT64_C(16777215) << 40},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint64_t bytes = 99;
        struct rkb_error error;
        assert_true(rkb_parse_size(cases[i].text, &bytes, &error));
        assert_true(bytes == cases[i].bytes);
    }
}

static void other_sizes_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", " ", "B", "-1", "+1", " 1", "1 ", "1.5GiB", "1KB", "1kib", "1K", "1M",
        "1 Gi", "1GiBx", "1e3", "0x10", "18446744073709551616", "16777216TiB", "18446744073709552kB", "1,000"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        uint64_t bytes = 99;
        struct rkb_error error = {.code = RKB_OK};
        if (rkb_parse_size(texts[i], &bytes, &error))
            fail_msg("\"%s\" is read as %" PRIu64, texts[i], bytes);
        assert_int_equal(error.code, RKB_USAGE);
        assert_true(bytes == 99);
    }
}

static void shares_are_read(void **state)
{
    (void)state;
    struct rkb_share share;
    struct rkb_error error;
    char out[32];
    assert_true(rkb_parse_share("10%", &share, &error));
    assert_int_equal(rkb_share_of(&share, UINT64_C(4) << 30), (UINT64_C(4) << 30) / 100 * 10);
    rkb_format_share(out, sizeof out, &share);
    assert_string_equal(out, "10 %");
    assert_true(rkb_parse_share("99 %", &share, &error));
    assert_int_equal(rkb_share_of(&share, UINT64_MAX), UINT64_MAX / 100 * 99);
    assert_true(rkb_parse_share("0%", &share, &error));
    assert_int_equal(rkb_share_of(&share, 1000), 0);
    assert_true(rkb_parse_share("1GiB", &share, &error));
    assert_int_equal(rkb_share_of(&share, 1000), 1 << 30);
    rkb_format_share(out, sizeof out, &share);
    assert_string_equal(out, "1 GiB");
    static const char *const texts[] = {"", "%", "100%", "-1%", "1.5%", "10%%", "10% ", "ten"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (rkb_parse_share(texts[i], &share, &error))
            fail_msg("\"%s\" is read", texts[i]);
}

static void durations_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t microseconds;
    } cases[] = {
        {"0", 0}, {"00", 0}, {"0s", 0}, {"1us", 1}, {"250ms", 250000}, {"1s", 1000000}, {"2m", 120000000},
        {"3h", INT64_C(10800000000)}, {"1d", INT64_C(86400000000)}, {"1.5s", 1500000}, {"0.25ms", 250},
        {"1.5 h", INT64_C(5400000000)}, {"1.0us", 1}, {"0.000001s", 1},
        {"0.1m", 6000000}, {"1.50s", 1500000}, {"9223372036854775807us", INT64_MAX},
        {"9223372036854.775807s", INT64_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t microseconds = 99;
        struct rkb_error error = {.text = ""};
        if (!rkb_parse_duration(cases[i].text, &microseconds, &error))
            fail_msg("%s", error.text);
        assert_true(microseconds == cases[i].microseconds);
    }
}

static void other_durations_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "1", "10", "0.0", "0.", "-1s", "+1s", " 1s", "1s ", "1S", "1min", "1sec",
        "1w", "s", ".5s", "1.s", "1..5s", "0.5us", "0.0000001s", "1.0001ms", "9223372036854775808us",
        "9223372036854.775808s", "106751992d", "1s2ms", "1e3s",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        int64_t microseconds = 99;
        struct rkb_error error = {.code = RKB_OK};
        if (rkb_parse_duration(texts[i], &microseconds, &error))
            fail_msg("\"%s\" is read as %" PRId64, texts[i], microseconds);
        assert_int_equal(error.code, RKB_USAGE);
        assert_true(microseconds == 99);
    }
}

static void sizes_are_written(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes;
        const char *text;
    } cases[] = {
        {0, "0 B"}, {812, "812 B"}, {1023, "1023 B"}, {1024, "1 KiB"}, {1536, "1.5 KiB"}, {1572864, "1.5 MiB"},
        {UINT64_C(4) << 30, "4 GiB"}, {1048575, "1 MiB"}, {1048524, "1023.9 KiB"}, {UINT64_C(3) << 40, "3 TiB"},
        {UINT64_MAX, "16777216 TiB"}, {1100, "1.1 KiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        rkb_format_size(text, sizeof text, cases[i].bytes);
        assert_string_equal(text, cases[i].text);
    }
    char small[4];
    rkb_format_size(small, sizeof small, 123456);
    assert_string_equal(small, "120");
}

static void durations_are_written(void **state)
{
    (void)state;
    static const struct {
        int64_t microseconds;
        const char *text;
    } cases[] = {
        {0, "0 s"}, {1, "1 us"}, {999, "999 us"}, {1000, "1 ms"}, {250000, "250 ms"}, {1500, "1.5 ms"},
        {999949, "999.9 ms"}, {999950, "1 s"}, {1500000, "1.5 s"}, {59900000, "59.9 s"}, {59949999, "59.9 s"},
        {59950000, "1 min"}, {60000000, "1 min"}, {200000000, "3 min 20 s"},
        {INT64_C(3599499999), "59 min 59 s"}, {INT64_C(3599500000), "1 h"}, {INT64_C(7500000000), "2 h 5 min"},
        {INT64_C(86400000000), "1 d"}, {INT64_C(86369999999), "23 h 59 min"}, {INT64_C(86370000000), "1 d"},
        {INT64_C(97200000000), "1 d 3 h"}, {-250000, "-250 ms"}, {-INT64_C(200000000), "-3 min 20 s"},
        {INT64_MIN, "-106751991 d 4 h"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        rkb_format_duration(text, sizeof text, cases[i].microseconds);
        assert_string_equal(text, cases[i].text);
    }
}

static void check_time(int64_t realtime_us)
{
    char out[25], expected[32];
    memset(out, '~', sizeof out);
    rkb_format_time(out, realtime_us);
    assert_int_equal(out[24], '~');
    out[24] = '\0';
    time_t seconds = (time_t)(realtime_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t used = strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(expected + used, sizeof expected - used, ".%03dZ", (int)(realtime_us / 1000 % 1000));
    assert_string_equal(out, expected);
}

static void times_are_those_of_the_calendar(void **state)
{
    (void)state;
    char out[25] = "";
    rkb_format_time(out, INT64_C(1795380667123999));
    assert_string_equal(out, "2026-11-22T20:51:07.123Z");
    for (int64_t day = 0; day < 2932897; day++)         /* to the last day of 9999 */
        if (day < 60000 || day % 97 == 0 || day > 2932000)
            check_time(day * INT64_C(86400000000) + (day * INT64_C(7919000001)) % INT64_C(86400000000));
    rkb_format_time(out, -1);
    assert_string_equal(out, "1970-01-01T00:00:00.000Z");
    rkb_format_time(out, INT64_MAX);
    assert_string_equal(out, "9999-12-31T23:59:59.999Z");
}

static void times_as_people_write_them(void **state)
{
    (void)state;
    static const struct { const char *text; int64_t us; } rows[] = {
        {"2026-11-22T20:51:07Z", 1795380667000000}, {"2026-11-22T20:51:07.5Z", 1795380667500000},
        {"2026-11-22T20:51:07.123456789Z", 1795380667123456}, {"2026-11-22T22:51:07+02:00", 1795380667000000},
        {"2026-11-22T15:21:07.25-05:30", 1795380667250000}, {"1970-01-01T00:00:00Z", 0},
    };
    static const char *const wrong[] = {
        "", "2h", "2026-11-22", "2026-11-22 20:51:07Z", "2026-11-22T20:51:07", "2026-11-22T20:51:07.Z",
        "2026-11-22T20:51:07Zx", "2026-02-30T20:51:07Z", "2026-11-22T24:51:07Z", "2026-11-22T20:61:07Z",
        "2026-11-22T20:51:07+2:00", "2026-11-22T20:51:07+02", "2026-1-22T20:51:07Z", "02026-11-22T20:51:07Z",
    };
    int64_t us;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_true(rkb_read_time(rows[i].text, &us));
        assert_int_equal(us, rows[i].us);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (rkb_read_time(wrong[i], &us))
            fail_msg("taken for a time: %s", wrong[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_as_people_write_them),
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(other_sizes_are_refused),
        cmocka_unit_test(shares_are_read),
        cmocka_unit_test(durations_are_read),
        cmocka_unit_test(other_durations_are_refused),
        cmocka_unit_test(sizes_are_written),
        cmocka_unit_test(durations_are_written),
        cmocka_unit_test(times_are_those_of_the_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
