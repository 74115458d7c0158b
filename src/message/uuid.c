/* uuid -- see uuid.h for the layout. */
#include "message/uuid.h"

#include <endian.h>

void rkb_uuid_make(uint8_t uuid[16], uint64_t time_ms, uint32_t count, uint64_t hash)
{
    uint64_t high = time_ms << 16 | 0x7000 | (count >> 12 & 0xFFF);
    uint64_t low = UINT64_C(2) << 62 | (uint64_t)(count & 0xFFF) << 50 | hash >> 14;
    high = htobe64(high);
    low = htobe64(low);
    memcpy(uuid, &high, 8);
    memcpy(uuid + 8, &low, 8);
}

void rkb_uuid_text(char out[RKB_UUID_TEXT], const uint8_t uuid[16])
{
    rkb_hex(out, uuid, 4);
    out[8] = '-';
    rkb_hex(out + 9, uuid + 4, 2);
    out[13] = '-';
    rkb_hex(out + 14, uuid + 6, 2);
    out[18] = '-';
    rkb_hex(out + 19, uuid + 8, 2);
    out[23] = '-';
    rkb_hex(out + 24, uuid + 10, 6);
}

static bool read_digit(uint8_t character, uint8_t *digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = character != '\0' ? strchr(digits, character) : NULL;
    *digit = found != NULL ? (uint8_t)(found - digits) : 0;
    return found != NULL;
}

bool rkb_uuid_parse(struct rkb_slice text, uint8_t uuid[16])
{
    uint8_t digit;
    size_t digits = 0;
    if (text.size != RKB_UUID_TEXT)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (text.data[i] != '-')
                return false;
            continue;
        }
        if (!read_digit(text.data[i], &digit))
            return false;
        uint8_t *byte = &uuid[digits++ / 2];
        *byte = (uint8_t)(*byte << 4 | digit);
    }
    return true;
}
