/*
 * scan -- runs of harmless bytes, many at a time: under JSON strings and UTF-8 text.
 *
 * Each scan has a portable form (8 bytes in an integer) and, where the machine has it, an SSE2 form (16 bytes);
 * both give the same answers, and both are there to be tested. Nothing is read outside [data, data + size).
 */
#ifndef RKB_MESSAGE_SCAN_H
#define RKB_MESSAGE_SCAN_H

#include "base/bytes.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* An empty slice may have no data, and C does not let one add even 0 to NULL. */
static inline struct rkb_slice rkb_with_data(struct rkb_slice text)
{
    return text.data != NULL ? text : rkb_slice("", 0);
}

#define RKB_EACH_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

/* True for a byte that stands in a JSON string as it is and means only itself: ASCII, no control, no `"`, no `\`. */
static inline bool rkb_is_plain(uint8_t byte)
{
    return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

/* Nonzero if a byte of the word is 0 (it may not tell which, as the borrow runs upwards). */
static inline uint64_t rkb_word_has_zero(uint64_t word)
{
    return (word - RKB_EACH_BYTE(0x01)) & ~word & RKB_EACH_BYTE(0x80);
}

static inline bool rkb_word_is_plain(uint64_t word)
{
    uint64_t below_space = (word - RKB_EACH_BYTE(0x20)) & ~word & RKB_EACH_BYTE(0x80);
    uint64_t quote = rkb_word_has_zero(word ^ RKB_EACH_BYTE('"'));
    uint64_t backslash = rkb_word_has_zero(word ^ RKB_EACH_BYTE('\\'));
    return (below_space | quote | backslash | (word & RKB_EACH_BYTE(0x80))) == 0;
}

/* The length of the run of plain bytes at the start. */
static inline size_t rkb_scan_plain_portable(const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (uint64_t word; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, data + at, sizeof word);
        if (!rkb_word_is_plain(word))
            break;
    }
    while (at < size && rkb_is_plain(data[at]))
        at++;
    return at;
}

/* The length of the run of ASCII bytes at the start. */
static inline size_t rkb_scan_ascii_portable(const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (uint64_t word; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, data + at, sizeof word);
        if ((word & RKB_EACH_BYTE(0x80)) != 0)
            break;
    }
    while (at < size && data[at] < 0x80)
        at++;
    return at;
}

#ifdef __SSE2__

/* Bit n is set where byte n of the 16 is not plain. */
static inline unsigned rkb_block_not_plain(const uint8_t *data)
{
    __m128i block = _mm_loadu_si128((const void *)data);
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(block, _mm_set1_epi8(0x1F)), block);
    __m128i quote = _mm_cmpeq_epi8(block, _mm_set1_epi8('"'));
    __m128i backslash = _mm_cmpeq_epi8(block, _mm_set1_epi8('\\'));
    __m128i found = _mm_or_si128(_mm_or_si128(control, quote), _mm_or_si128(backslash, block));
    return (unsigned)_mm_movemask_epi8(found);
}

static inline size_t rkb_scan_plain_sse2(const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (; size - at >= 16; at += 16) {
        unsigned found = rkb_block_not_plain(data + at);
        if (found != 0)
            return at + (unsigned)__builtin_ctz(found);
    }
    return at + rkb_scan_plain_portable(data + at, size - at);
}

static inline size_t rkb_scan_ascii_sse2(const uint8_t *data, size_t size)
{
    size_t at = 0;
    for (; size - at >= 16; at += 16) {
        unsigned found = (unsigned)_mm_movemask_epi8(_mm_loadu_si128((const void *)(data + at)));
        if (found != 0)
            return at + (unsigned)__builtin_ctz(found);
    }
    return at + rkb_scan_ascii_portable(data + at, size - at);
}

#define rkb_scan_plain rkb_scan_plain_sse2
#define rkb_scan_ascii rkb_scan_ascii_sse2
#else
#define rkb_scan_plain rkb_scan_plain_portable
#define rkb_scan_ascii rkb_scan_ascii_portable
#endif

#endif
