/* base64 -- see base64.h. */
#include "message/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint8_t digit(uint32_t bits)
{
    return (uint8_t)alphabet[bits & 63];
}

/* The last one or two bytes, with padding. */
static uint8_t *encode_rest(uint8_t *out, const uint8_t *data, size_t size)
{
    uint32_t bits = (uint32_t)data[0] << 16 | (size == 2 ? (uint32_t)data[1] << 8 : 0);
    *out++ = digit(bits >> 18);
    *out++ = digit(bits >> 12);
    *out++ = size == 2 ? digit(bits >> 6) : '=';
    *out++ = '=';
    return out;
}

uint8_t *rkb_base64_encode(uint8_t *out, struct rkb_slice data)
{
    size_t at = 0;
    for (; data.size - at >= 3; at += 3) {
        uint32_t bits = (uint32_t)data.data[at] << 16 | (uint32_t)data.data[at + 1] << 8 | data.data[at + 2];
        *out++ = digit(bits >> 18);
        *out++ = digit(bits >> 12);
        *out++ = digit(bits >> 6);
        *out++ = digit(bits);
    }
    return at == data.size ? out : encode_rest(out, data.data + at, data.size - at);
}
