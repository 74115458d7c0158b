/*
 * bench -- what the three load programs agree on: one clock, and the shape of a message.
 *
 *     {"number":17,"channel":1,"at":81234567890,"text":"... up to the wanted size ..."}
 *     10000017000081234567          the short shape, JSON too: BENCH_SHORT_FIRST + number, then the time, 12 digits
 *
 * number counts from 0 over all channels and goes to channel number % channels, so numbers rise within a channel; at
 * is CLOCK_MONOTONIC in nanoseconds, the same in every process of one machine and never set back. The short shape has
 * it in microseconds, without what is over 12 digits, and its channel is known by the record's key, PREFIX.CHANNEL.
 */
#ifndef RKB_TESTS_BENCH_H
#define RKB_TESTS_BENCH_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BENCH_NUMBER "{\"number\":"
#define BENCH_CHANNEL ",\"channel\":"
#define BENCH_AT ",\"at\":"
#define BENCH_TEXT ",\"text\":\""
#define BENCH_END "\"}"

#define BENCH_SHORT_SIZE 20
#define BENCH_SHORT_FIRST 10000000ull           /* so that there is no leading 0 */
#define BENCH_SHORT_COUNT 90000000ull
#define BENCH_SHORT_TIMES 1000000000000ull

#define BENCH_MAX_CHANNELS 16384
#define BENCH_MAX_COUNT 200000000

#define BENCH_SECOND 1000000000ull

static inline uint64_t bench_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * BENCH_SECOND + (uint64_t)now.tv_nsec;
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

/* A whole number from the command line, within its range, or the end. */
static inline uint64_t bench_number(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most)
        bench_die("'%s' is no number from %llu to %llu", text, (unsigned long long)least, (unsigned long long)most);
    return value;
}

#endif
