/*
 * fuzz -- what the fuzz targets share: an input cut into parts, and a claim that ends the run where it does not hold.
 *
 * An input is some bytes of numbers, then lines, then the payload, so that seeds can be written by hand and a mutation
 * of one part leaves the others alone. What libFuzzer finds is a file in that form.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/bytes.h"

#define CLAIM(holds)                                                                                                \
    do {                                                                                                            \
        if (!(holds)) {                                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);                              \
            abort();                                                                                                \
        }                                                                                                           \
    } while (0)

struct input {
    struct rkb_slice rest;
};

/* The next number, 0 to limit - 1. Digits stand for themselves, so that seeds are text. */
static inline size_t take_number(struct input *input, size_t limit)
{
    if (input->rest.size == 0)
        return 0;
    uint8_t byte = input->rest.data[0];
    input->rest = rkb_slice(input->rest.data + 1, input->rest.size - 1);
    return (byte >= '0' && byte <= '9' ? byte - (size_t)'0' : byte) % limit;
}

/* The bytes up to the next newline, or all. */
static inline struct rkb_slice take_line(struct input *input)
{
    struct rkb_slice line = input->rest;
    const uint8_t *end = line.size > 0 ? memchr(line.data, '\n', line.size) : NULL;
    if (end != NULL)
        line.size = (size_t)(end - line.data);
    size_t taken = line.size + (end != NULL);
    input->rest = rkb_slice(input->rest.data + taken, input->rest.size - taken);
    return line;
}

/* A copy with nothing behind it, so that a byte read too far is seen; to be freed. */
static inline struct rkb_slice copy_exactly(struct rkb_slice bytes)
{
    uint8_t *copy = malloc(bytes.size > 0 ? bytes.size : 1);
    CLAIM(copy != NULL);
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return rkb_slice(copy, bytes.size);
}

/* A line as a C string, up to its first NUL; to be freed. */
static inline char *take_text(struct input *input)
{
    struct rkb_slice line = take_line(input);
    char *text = malloc(line.size + 1);
    CLAIM(text != NULL);
    if (line.size > 0)
        memcpy(text, line.data, line.size);
    text[line.size] = '\0';
    return text;
}

/* A name that no other process has. */
static inline void temporary_path(char *out, size_t size, const char *what)
{
    const char *under = getenv("TMPDIR");
    snprintf(out, size, "%s/%s-%d", under != NULL ? under : "/tmp", what, (int)getpid());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
