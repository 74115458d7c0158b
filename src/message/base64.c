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

/* ---- back again ---- */

/* The six bits of a digit; 64: none. */
static uint32_t bits_of(uint8_t digit)
{
    if (digit >= 'A' && digit <= 'Z')
        return digit - (uint32_t)'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - (uint32_t)'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - (uint32_t)'0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : 64;
}

/* Four digits, the last `padding` of which are "=": three bytes or fewer. What padding cuts off must be zero. */
static uint8_t *decode_four(uint8_t *out, const uint8_t *digits, size_t padding)
{
    uint32_t all = 0;
    for (size_t i = 0; i < 4; i++) {
        uint32_t bits = i < 4 - padding ? bits_of(digits[i]) : 0;
        if (bits == 64)
            return NULL;
        all = all << 6 | bits;
    }
    if (padding > 0 && (all & ((1u << 8 * padding) - 1)) != 0)
        return NULL;
    for (size_t i = 0; i < 3 - padding; i++)
        *out++ = (uint8_t)(all >> (16 - 8 * i));
    return out;
}

uint8_t *rkb_base64_decode(uint8_t *out, struct rkb_slice text)
{
    if (text.size % 4 != 0)
        return NULL;
    for (size_t at = 0; at < text.size && out != NULL; at += 4) {
        const uint8_t *digits = text.data + at;
        bool last = at + 4 == text.size && digits[3] == '=';
        out = decode_four(out, digits, last ? 1u + (digits[2] == '=') : 0);
    }
    return out;
}
