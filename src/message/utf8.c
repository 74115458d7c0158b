/* utf8 -- see utf8.h. Promises to read each byte about once and never one behind the end. */
#include "message/utf8.h"

#include "message/scan.h"

/* How many bytes a sequence with this first byte has; 0 where none begins so. */
static size_t length_of(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    return lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
}

/* The lowest second byte: what lies below would be an overlong form. */
static uint8_t lowest_second(uint8_t lead)
{
    return lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
}

/* The highest second byte: what lies above would be a surrogate, or beyond U+10FFFF. */
static uint8_t highest_second(uint8_t lead)
{
    return lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
}

static size_t stop(size_t *skip, size_t length)
{
    if (skip != NULL)
        *skip = length;
    return 0;
}

size_t rkb_utf8_step(struct rkb_slice text, size_t *skip)
{
    if (text.size == 0)
        return stop(skip, 0);
    size_t length = length_of(text.data[0]);
    if (length <= 1)
        return length == 1 ? 1 : stop(skip, 1);
    uint8_t lowest = lowest_second(text.data[0]), highest = highest_second(text.data[0]);
    for (size_t i = 1; i < length; i++) {
        if (i >= text.size || text.data[i] < lowest || text.data[i] > highest)
            return stop(skip, i);
        lowest = 0x80;
        highest = 0xBF;
    }
    return length;
}

bool rkb_utf8_valid(struct rkb_slice text)
{
    text = rkb_with_data(text);
    size_t at = 0;
    for (;;) {
        at += rkb_scan_ascii(text.data + at, text.size - at);
        if (at == text.size)
            return true;
        do {
            size_t length = rkb_utf8_step(rkb_slice(text.data + at, text.size - at), NULL);
            if (length == 0)
                return false;
            at += length;
        } while (at < text.size && text.data[at] >= 0x80);
    }
}
