/*
 * message -- writes the numbered messages of bench.h as PUBLISH commands, and finds them again in a record.
 */
#ifndef RKB_TESTS_BENCH_MESSAGE_H
#define RKB_TESTS_BENCH_MESSAGE_H

#include <stddef.h>

#include "bench.h"

enum { BENCH_HEAD_SIZE = 256, BENCH_SMALLEST = 128, BENCH_LARGEST = 1 << 20 };

struct bench_writer {
    unsigned channels;
    size_t size;                            /* of a payload: BENCH_SHORT_SIZE, or BENCH_SMALLEST and more */
    char (*heads)[BENCH_HEAD_SIZE];         /* per channel: the command up to its payload */
    char *text;
};

struct bench_bytes {
    const char *at;
    size_t size;
};

struct bench_message {
    uint64_t number, channel, us;           /* us: how long it was under way */
    int64_t kafka_ms;                       /* when Kafka appended it, time of day; left alone by bench_find */
};

/* Channels are PREFIX.0, PREFIX.1, ...; a prefix has at most 64 bytes. Dies where there is no memory. */
struct bench_writer bench_writer_new(const char *prefix, unsigned channels, size_t size);
void bench_writer_free(struct bench_writer *writer);
/* What a command may take. */
size_t bench_command_size(const struct bench_writer *writer);
/* Writes the command of a message; returns its end. */
char *bench_put_command(const struct bench_writer *writer, char *at, uint64_t number);

/* Is this record such a message? */
bool bench_find(struct bench_bytes key, struct bench_bytes value, uint64_t now, struct bench_message *message);

#endif
