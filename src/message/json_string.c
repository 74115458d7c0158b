/* json_string -- see json_string.h. Promises to read each byte once and never one behind the end. */
#include "message/json_string.h"

#include "message/scan.h"
#include "message/utf8.h"

/* The letter behind the backslash of a short escape, or 0. */
static uint8_t short_escape(uint8_t byte)
{
    switch (byte) {
    case '"': return '"';
    case '\\': return '\\';
    case '\b': return 'b';
    case '\f': return 'f';
    case '\n': return 'n';
    case '\r': return 'r';
    case '\t': return 't';
    }
    return 0;
}

static const uint8_t replacement[3] = {0xEF, 0xBF, 0xBD};

size_t rkb_json_escaped_size(struct rkb_slice text)
{
    text = rkb_with_data(text);
    size_t size = 0, at = 0;
    for (;;) {
        size_t run = rkb_scan_plain(text.data + at, text.size - at);
        size += run;
        at += run;
        if (at == text.size)
            return size;
        if (text.data[at] < 0x80) {
            size += short_escape(text.data[at]) != 0 ? 2 : 6;
            at++;
        } else {
            size_t skip = 0, length = rkb_utf8_step(rkb_slice(text.data + at, text.size - at), &skip);
            size += length > 0 ? length : sizeof replacement;
            at += length > 0 ? length : skip;
        }
    }
}

static uint8_t *escape_ascii(uint8_t *out, uint8_t byte)
{
    uint8_t letter = short_escape(byte);
    if (letter != 0) {
        *out++ = '\\';
        *out++ = letter;
        return out;
    }
    memcpy(out, "\\u00", 4);
    rkb_hex((char *)out + 4, &byte, 1);
    return out + 6;
}

uint8_t *rkb_json_escape(uint8_t *out, struct rkb_slice text)
{
    text = rkb_with_data(text);
    size_t at = 0;
    for (;;) {
        size_t run = rkb_scan_plain(text.data + at, text.size - at);
        if (run > 0)
            memcpy(out, text.data + at, run);
        out += run;
        at += run;
        if (at == text.size)
            return out;
        if (text.data[at] < 0x80) {
            out = escape_ascii(out, text.data[at++]);
            continue;
        }
        size_t skip = 0, length = rkb_utf8_step(rkb_slice(text.data + at, text.size - at), &skip);
        memcpy(out, length > 0 ? text.data + at : replacement, length > 0 ? length : sizeof replacement);
        out += length > 0 ? length : sizeof replacement;
        at += length > 0 ? length : skip;
    }
}

/* ---- back again ---- */

static uint8_t of_escape(uint8_t letter)
{
    switch (letter) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    }
    return letter;
}

static uint32_t hex_value(uint8_t digit)
{
    return digit <= '9' ? digit - (uint32_t)'0' : (digit | 0x20u) - 'a' + 10;
}

/* The four digits of a \u escape. */
static uint32_t unit_at(const uint8_t *digits)
{
    return hex_value(digits[0]) << 12 | hex_value(digits[1]) << 8 | hex_value(digits[2]) << 4 | hex_value(digits[3]);
}

static bool is_high(uint32_t unit)
{
    return unit >= 0xD800 && unit < 0xDC00;
}

static bool is_low(uint32_t unit)
{
    return unit >= 0xDC00 && unit < 0xE000;
}

static size_t put_character(uint8_t out[4], uint32_t character)
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    size_t size = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, character >>= 6)
        out[i] = (uint8_t)(0x80 | (character & 0x3F));
    out[0] = (uint8_t)((0xF00u >> size & 0xFF) | character);
    return size;
}

/* The character of the \u escape whose digits are at text.data[*at]; moves *at behind it. */
static size_t take_unit(struct rkb_slice text, size_t *at, uint8_t out[4])
{
    uint32_t unit = unit_at(text.data + *at);
    *at += 4;
    if (is_high(unit) && text.size - *at >= 6 && text.data[*at] == '\\' && text.data[*at + 1] == 'u') {
        uint32_t low = unit_at(text.data + *at + 2);
        if (is_low(low)) {
            *at += 6;
            return put_character(out, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
        }
    }
    return put_character(out, is_high(unit) || is_low(unit) ? 0xFFFD : unit);
}

struct rkb_slice rkb_json_piece(struct rkb_slice text, size_t *at, uint8_t out[4])
{
    size_t start = *at;
    const uint8_t *backslash = start < text.size ? memchr(text.data + start, '\\', text.size - start) : NULL;
    if (backslash == NULL || backslash > text.data + start) {
        *at = backslash == NULL ? text.size : (size_t)(backslash - text.data);
        return rkb_slice(text.data + start, *at - start);
    }
    uint8_t letter = text.data[start + 1];
    *at = start + 2;
    if (letter == 'u')
        return rkb_slice(out, take_unit(text, at, out));
    out[0] = of_escape(letter);
    return rkb_slice(out, 1);
}

size_t rkb_json_unescaped_size(struct rkb_slice text)
{
    uint8_t one[4];
    size_t size = 0, at = 0;
    text = rkb_with_data(text);
    while (at < text.size)
        size += rkb_json_piece(text, &at, one).size;
    return size;
}

uint8_t *rkb_json_unescape(uint8_t *out, struct rkb_slice text)
{
    uint8_t one[4];
    size_t at = 0;
    text = rkb_with_data(text);
    while (at < text.size) {
        struct rkb_slice piece = rkb_json_piece(text, &at, one);
        memcpy(out, piece.data, piece.size);
        out += piece.size;
    }
    return out;
}

bool rkb_json_means(struct rkb_slice text, struct rkb_slice plain)
{
    uint8_t one[4];
    size_t at = 0, done = 0;
    text = rkb_with_data(text);
    while (at < text.size) {
        struct rkb_slice piece = rkb_json_piece(text, &at, one);
        if (plain.size - done < piece.size || memcmp(plain.data + done, piece.data, piece.size) != 0)
            return false;
        done += piece.size;
    }
    return done == plain.size;
}
