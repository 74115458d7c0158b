/* units -- see units.h. All in integers: what is read back is what was written. */
#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct unit {
    const char *name;
    uint64_t factor;
};

#define KIB UINT64_C(1024)
#define SECOND UINT64_C(1000000)

static const struct unit size_units[] = {
    {"", 1}, {"B", 1},
    {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000}, {"TB", 1000000000000},
    {"KiB", KIB}, {"MiB", KIB * KIB}, {"GiB", KIB * KIB * KIB}, {"TiB", KIB * KIB * KIB * KIB},
    {NULL, 0},
};

static const struct unit duration_units[] = {
    {"us", 1}, {"ms", 1000}, {"s", SECOND}, {"m", 60 * SECOND}, {"h", 3600 * SECOND}, {"d", 86400 * SECOND},
    {NULL, 0},
};

static const struct unit *find_unit(const struct unit *units, const char *name)
{
    while (units->name != NULL && strcmp(units->name, name) != 0)
        units++;
    return units->name != NULL ? units : NULL;
}

/* A whole number at *text, and moves behind it. False where there is none or it is too large. */
static bool take_number(const char **text, uint64_t *number)
{
    const char *at = *text;
    *number = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');
        if (*number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    bool any = at > *text;
    *text = at;
    return any;
}

/* The unit behind a number: blanks may stand between the two, but none behind a number without a unit. */
static const char *skip_blanks(const char *text)
{
    const char *unit = text + strspn(text, " ");
    return *unit != '\0' ? unit : text;
}

bool rkb_parse_size(const char *text, uint64_t *bytes, struct rkb_error *error)
{
    const char *at = text;
    uint64_t number;
    const struct unit *unit = take_number(&at, &number) ? find_unit(size_units, skip_blanks(at)) : NULL;
    if (unit == NULL)
        return rkb_fail(error, RKB_USAGE,
                        "\"%s\" is not a size: a whole number with B, kB, MB, GB, TB, KiB, MiB, GiB or TiB", text);
    if (number > UINT64_MAX / unit->factor)
        return rkb_fail(error, RKB_USAGE, "\"%s\" is too large for a size", text);
    *bytes = number * unit->factor;
    return true;
}

bool rkb_parse_share(const char *text, struct rkb_share *share, struct rkb_error *error)
{
    const char *at = text;
    uint64_t number;
    *share = (struct rkb_share){0};
    if (!take_number(&at, &number) || strcmp(at + strspn(at, " "), "%") != 0)
        return rkb_parse_size(text, &share->bytes, error);
    if (number > 99)
        return rkb_fail(error, RKB_USAGE, "\"%s\" is not a percentage from 0%% to 99%%", text);
    share->percent = (uint32_t)number;
    return true;
}

uint64_t rkb_share_of(const struct rkb_share *share, uint64_t whole)
{
    return share->percent > 0 ? whole / 100 * share->percent : share->bytes;
}

void rkb_format_share(char *out, size_t size, const struct rkb_share *share)
{
    if (share->percent > 0)
        snprintf(out, size, "%u %%", share->percent);
    else
        rkb_format_size(out, size, share->bytes);
}

/*
 * The part behind a decimal point, in microseconds. False where there is no digit, or where it is not whole
 * microseconds: what cannot be kept exactly is refused.
 */
static bool take_fraction(const char **text, uint64_t factor, uint64_t *microseconds)
{
    const char *at = *text;
    *microseconds = 0;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (*at != '0' && factor % 10 != 0)
            return false;
        factor /= 10;
        *microseconds += (uint64_t)(*at - '0') * factor;
    }
    bool any = at > *text;
    *text = at;
    return any;
}

bool rkb_parse_duration(const char *text, int64_t *microseconds, struct rkb_error *error)
{
    const char *at = text;
    uint64_t number, part = 0;
    bool good = take_number(&at, &number);
    const char *fraction = good && *at == '.' ? at + 1 : NULL;
    if (fraction != NULL)
        at = fraction + strspn(fraction, "0123456789");
    if (good && number == 0 && *at == '\0' && fraction == NULL) {
        *microseconds = 0;
        return true;
    }
    const struct unit *unit = good ? find_unit(duration_units, skip_blanks(at)) : NULL;
    if (unit == NULL || (fraction != NULL && !take_fraction(&fraction, unit->factor, &part)))
        return rkb_fail(error, RKB_USAGE, "\"%s\" is not a duration: a number with us, ms, s, m, h or d", text);
    if (number > ((uint64_t)INT64_MAX - part) / unit->factor)
        return rkb_fail(error, RKB_USAGE, "\"%s\" is too large for a duration", text);
    *microseconds = (int64_t)(number * unit->factor + part);
    return true;
}

/* value / factor with one decimal, "1.5 MiB"; no decimal where it is 0. */
static void format_tenths(char *out, size_t size, const char *sign, uint64_t tenths, const char *unit)
{
    if (tenths % 10 == 0)
        snprintf(out, size, "%s%" PRIu64 " %s", sign, tenths / 10, unit);
    else
        snprintf(out, size, "%s%" PRIu64 ".%" PRIu64 " %s", sign, tenths / 10, tenths % 10, unit);
}

/* Tenths of a factor, rounded, for any value. */
static uint64_t tenths_of(uint64_t value, uint64_t factor)
{
    return value / factor * 10 + (value % factor * 10 + factor / 2) / factor;
}

void rkb_format_size(char *out, size_t size, uint64_t bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    uint64_t factor = 1;
    while (unit < 4 && tenths_of(bytes, factor) >= 10240) {
        factor *= KIB;
        unit++;
    }
    format_tenths(out, size, "", tenths_of(bytes, factor), names[unit]);
}

/* "3 min 20 s": the whole of the larger unit and, unless 0, of the smaller. */
static void format_pair(char *out, size_t size, const char *sign, uint64_t small, uint64_t ratio,
                        const char *large_name, const char *small_name)
{
    if (small % ratio == 0)
        snprintf(out, size, "%s%" PRIu64 " %s", sign, small / ratio, large_name);
    else
        snprintf(out, size, "%s%" PRIu64 " %s %" PRIu64 " %s", sign, small / ratio, large_name, small % ratio,
                 small_name);
}

void rkb_format_duration(char *out, size_t size, int64_t microseconds)
{
    const char *sign = microseconds < 0 ? "-" : "";
    uint64_t value = microseconds < 0 ? -(uint64_t)microseconds : (uint64_t)microseconds;
    uint64_t seconds = (value + SECOND / 2) / SECOND;
    uint64_t minutes = (value + 30 * SECOND) / (60 * SECOND), hours = (value + 1800 * SECOND) / (3600 * SECOND);
    if (value == 0)
        snprintf(out, size, "0 s");
    else if (value < 1000)
        snprintf(out, size, "%s%" PRIu64 " us", sign, value);
    else if (tenths_of(value, 1000) < 10000)
        format_tenths(out, size, sign, tenths_of(value, 1000), "ms");
    else if (tenths_of(value, SECOND) < 600)
        format_tenths(out, size, sign, tenths_of(value, SECOND), "s");
    else if (seconds < 3600)
        format_pair(out, size, sign, seconds, 60, "min", "s");
    else if (minutes < 24 * 60)
        format_pair(out, size, sign, minutes, 60, "h", "min");
    else
        format_pair(out, size, sign, hours, 24, "d", "h");
}

struct date {
    uint64_t year, month, day;
};

static bool is_leap(uint64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The date `days` days after 1970-01-01, up to 9999-12-31. */
static struct date date_of(uint64_t days)
{
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t year = 1970 + days / 366;      /* not after the right year, and near it */
    uint64_t before = year - 1;
    days -= (year - 1970) * 365 + (before / 4 - 492) - (before / 100 - 19) + (before / 400 - 4);
    while (days >= 365u + is_leap(year))
        days -= 365u + is_leap(year++);
    uint64_t month = 0;
    for (;;) {
        uint64_t length = month_days[month] + (month == 1 && is_leap(year) ? 1u : 0u);
        if (days < length)
            break;
        days -= length;
        month++;
    }
    return (struct date){year, month + 1, days + 1};
}

static char *put_digits(char *out, uint64_t value, int digits, char after)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    out[digits] = after;
    return out + digits + 1;
}

void rkb_format_time(char out[24], int64_t realtime_us)
{
    const int64_t last = INT64_C(253402300799999);     /* 9999-12-31T23:59:59.999Z */
    int64_t wanted = realtime_us < 0 ? 0 : realtime_us / 1000;
    uint64_t ms = (uint64_t)(wanted > last ? last : wanted);
    struct date date = date_of(ms / 86400000);
    out = put_digits(out, date.year, 4, '-');
    out = put_digits(out, date.month, 2, '-');
    out = put_digits(out, date.day, 2, 'T');
    out = put_digits(out, ms / 3600000 % 24, 2, ':');
    out = put_digits(out, ms / 60000 % 60, 2, ':');
    out = put_digits(out, ms / 1000 % 60, 2, '.');
    put_digits(out, ms % 1000, 3, 'Z');
}

bool rkb_parse_time(struct rkb_slice text, int64_t *realtime_us)
{
    struct tm parts = {0};
    int milliseconds = 0;
    char copy[25] = "", again[24];
    if (text.size != sizeof again)
        return false;
    memcpy(copy, text.data, text.size);
    if (sscanf(copy, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon, &parts.tm_mday, &parts.tm_hour,
               &parts.tm_min, &parts.tm_sec, &milliseconds) != 7)
        return false;
    parts.tm_year -= 1900;
    parts.tm_mon -= 1;
    *realtime_us = ((int64_t)timegm(&parts) * 1000 + milliseconds) * 1000;
    rkb_format_time(again, *realtime_us);
    return memcmp(copy, again, sizeof again) == 0;
}

/* So many digits, as a number. */
static bool read_digits(const char **at, int count, int *number)
{
    for (*number = 0; count > 0; count--, ++*at) {
        if (**at < '0' || **at > '9')
            return false;
        *number = *number * 10 + (**at - '0');
    }
    return true;
}

/* Further digits than six say nothing here. */
static bool read_fraction(const char **at, int64_t *us)
{
    int64_t unit = 100000;
    *us = 0;
    if (**at != '.')
        return true;
    for (++*at; **at >= '0' && **at <= '9'; ++*at, unit /= 10)
        *us += (**at - '0') * unit;
    return (*at)[-1] != '.';
}

/* Z, or +hh:mm, up to the end of the text. */
static bool read_offset(const char **at, int64_t *us)
{
    int hours = 0, minutes = 0;
    int64_t sign = **at == '-' ? -1 : 1;
    if (**at == 'Z') {
        ++*at;
    } else {
        if (*(*at)++ != (sign < 0 ? '-' : '+') || !read_digits(at, 2, &hours) || *(*at)++ != ':'
            || !read_digits(at, 2, &minutes))
            return false;
    }
    *us = sign * (hours * 60 + minutes) * INT64_C(60000000);
    return **at == '\0';
}

bool rkb_read_time(const char *text, int64_t *realtime_us)
{
    static const char between[] = "--T::";
    static const int digits[] = {4, 2, 2, 2, 2, 2};
    int numbers[6];
    int64_t fraction_us, offset_us;
    for (size_t i = 0; i < 6; i++)
        if ((i > 0 && *text++ != between[i - 1]) || !read_digits(&text, digits[i], &numbers[i]))
            return false;
    if (!read_fraction(&text, &fraction_us) || !read_offset(&text, &offset_us))
        return false;
    struct tm parts = {.tm_year = numbers[0] - 1900, .tm_mon = numbers[1] - 1, .tm_mday = numbers[2],
                       .tm_hour = numbers[3], .tm_min = numbers[4], .tm_sec = numbers[5]};
    *realtime_us = (int64_t)timegm(&parts) * 1000000 + fraction_us - offset_us;
    return parts.tm_mon == numbers[1] - 1 && parts.tm_mday == numbers[2] && parts.tm_hour == numbers[3]
           && parts.tm_min == numbers[4];
}
