/* bytes -- see bytes.h. */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct rkb_reader rkb_reader(const void *data, size_t size)
{
    return (struct rkb_reader){data, size, 0, false};
}

/* The next size bytes, or NULL (and failed from then on). */
static const uint8_t *take(struct rkb_reader *reader, size_t size)
{
    if (reader->failed || size > reader->size - reader->at) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *bytes = reader->data + reader->at;
    reader->at += size;
    return bytes;
}

static uint64_t take_integer(struct rkb_reader *reader, size_t width)
{
    const uint8_t *bytes = take(reader, width);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < width; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

uint8_t rkb_read_u8(struct rkb_reader *reader)
{
    return (uint8_t)take_integer(reader, 1);
}

uint16_t rkb_read_u16(struct rkb_reader *reader)
{
    return (uint16_t)take_integer(reader, 2);
}

uint32_t rkb_read_u32(struct rkb_reader *reader)
{
    return (uint32_t)take_integer(reader, 4);
}

uint64_t rkb_read_u64(struct rkb_reader *reader)
{
    return take_integer(reader, 8);
}

struct rkb_slice rkb_read_slice(struct rkb_reader *reader, size_t size)
{
    const uint8_t *bytes = take(reader, size);
    return bytes == NULL ? (struct rkb_slice){NULL, 0} : (struct rkb_slice){bytes, size};
}

struct rkb_writer rkb_writer(void *data, size_t size)
{
    return (struct rkb_writer){data, size, 0, false};
}

static uint8_t *give(struct rkb_writer *writer, size_t size)
{
    if (writer->failed || size > writer->size - writer->at) {
        writer->failed = true;
        return NULL;
    }
    uint8_t *bytes = writer->data + writer->at;
    writer->at += size;
    return bytes;
}

static void give_integer(struct rkb_writer *writer, uint64_t value, size_t width)
{
    uint8_t *bytes = give(writer, width);
    for (size_t i = 0; bytes != NULL && i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

void rkb_write_u8(struct rkb_writer *writer, uint8_t value)
{
    give_integer(writer, value, 1);
}

void rkb_write_u16(struct rkb_writer *writer, uint16_t value)
{
    give_integer(writer, value, 2);
}

void rkb_write_u32(struct rkb_writer *writer, uint32_t value)
{
    give_integer(writer, value, 4);
}

void rkb_write_u64(struct rkb_writer *writer, uint64_t value)
{
    give_integer(writer, value, 8);
}

void rkb_write_bytes(struct rkb_writer *writer, const void *data, size_t size)
{
    uint8_t *bytes = give(writer, size);
    if (bytes != NULL && size > 0)
        memcpy(bytes, data, size);
}

void rkb_write_zeros(struct rkb_writer *writer, size_t size)
{
    uint8_t *bytes = give(writer, size);
    if (bytes != NULL)
        memset(bytes, 0, size);
}

uint8_t *rkb_buffer_reserve(struct rkb_buffer *buffer, size_t size)
{
    if (buffer->failed)
        return NULL;
    if (buffer->data == NULL || size > buffer->capacity - buffer->size) {
        size_t capacity = buffer->capacity ? buffer->capacity : 256;
        while (capacity - buffer->size < size && capacity <= SIZE_MAX / 2)
            capacity *= 2;
        uint8_t *data = capacity - buffer->size < size ? NULL : realloc(buffer->data, capacity);
        if (data == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void rkb_buffer_add(struct rkb_buffer *buffer, const void *data, size_t size)
{
    uint8_t *at = rkb_buffer_reserve(buffer, size);
    if (at == NULL)
        return;
    if (size > 0)
        memcpy(at, data, size);
    buffer->size += size;
}

void rkb_buffer_text(struct rkb_buffer *buffer, const char *text)
{
    rkb_buffer_add(buffer, text, strlen(text));
}

void rkb_buffer_format(struct rkb_buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    uint8_t *at = size < 0 ? NULL : rkb_buffer_reserve(buffer, (size_t)size + 1);
    if (at != NULL) {
        vsnprintf((char *)at, (size_t)size + 1, format, again);
        buffer->size += (size_t)size;
    }
    va_end(again);
}

void rkb_buffer_free(struct rkb_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct rkb_buffer){0};
}

void rkb_hex(char *out, const void *data, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
}
