/*
 * bytes -- slices, and bounded cursors that remember their first error.
 *
 * All bounds checks of what is read from disk or written to it live here. Integers are
 * little-endian, field by field; no C struct ever goes to disk. After the first step out of
 * bounds a cursor is `failed`, reads give 0 or an empty slice, and writes do nothing: check once,
 * at the end.
 */
#ifndef RKB_BASE_BYTES_H
#define RKB_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Bytes lent by somebody; never NUL-terminated, never owned. data may be NULL when size is 0. */
struct rkb_slice {
    const uint8_t *data;
    size_t size;
};

static inline struct rkb_slice rkb_slice(const void *data, size_t size)
{
    return (struct rkb_slice){data, size};
}

static inline struct rkb_slice rkb_slice_text(const char *text)
{
    return (struct rkb_slice){(const uint8_t *)text, strlen(text)};
}

static inline bool rkb_slice_equal(struct rkb_slice a, struct rkb_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

struct rkb_reader {
    const uint8_t *data;
    size_t size, at;
    bool failed;
};

struct rkb_reader rkb_reader(const void *data, size_t size);
uint8_t rkb_read_u8(struct rkb_reader *reader);
uint16_t rkb_read_u16(struct rkb_reader *reader);
uint32_t rkb_read_u32(struct rkb_reader *reader);
uint64_t rkb_read_u64(struct rkb_reader *reader);
struct rkb_slice rkb_read_slice(struct rkb_reader *reader, size_t size);

struct rkb_writer {
    uint8_t *data;
    size_t size, at;
    bool failed;
};

struct rkb_writer rkb_writer(void *data, size_t size);
void rkb_write_u8(struct rkb_writer *writer, uint8_t value);
void rkb_write_u16(struct rkb_writer *writer, uint16_t value);
void rkb_write_u32(struct rkb_writer *writer, uint32_t value);
void rkb_write_u64(struct rkb_writer *writer, uint64_t value);
void rkb_write_bytes(struct rkb_writer *writer, const void *data, size_t size);
void rkb_write_zeros(struct rkb_writer *writer, size_t size);

/* A buffer that grows, for what is not on the per-message path. Zero-initialise; `failed` when memory ran out. */
struct rkb_buffer {
    uint8_t *data;
    size_t size, capacity;
    bool failed;
};

void rkb_buffer_add(struct rkb_buffer *buffer, const void *data, size_t size);
void rkb_buffer_text(struct rkb_buffer *buffer, const char *text);
void rkb_buffer_format(struct rkb_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Makes room for size more bytes (0 too) and returns where they go, not yet counted in size; NULL: memory ran out. */
uint8_t *rkb_buffer_reserve(struct rkb_buffer *buffer, size_t size);
void rkb_buffer_free(struct rkb_buffer *buffer);

/* The 2 * size lower-case hexadecimal digits of data into out, no NUL. */
void rkb_hex(char *out, const void *data, size_t size);

#endif
