/* plain -- see plain.h. Never: takes what the reader would not, looks behind the bytes. */
#include "redis/plain.h"

#include <string.h>

#define MOST_DIGITS 9           /* of a length: 512 MB has nine */
#define SHORTEST_BULK 6         /* an empty one: $0, and two ends of line */

static const char message_word[] = "*3\r\n$7\r\nmessage\r\n";
static const char pattern_word[] = "*4\r\n$8\r\npmessage\r\n";

/* The bulk at `at`; returns what stands behind it, NULL where there is no whole one. */
static const uint8_t *read_bulk(const uint8_t *at, const uint8_t *end, uint64_t most, struct rkb_slice *bulk)
{
    if (end - at < SHORTEST_BULK || at[0] != '$')
        return NULL;
    const uint8_t *digit = at + 1, *limit = end - at > MOST_DIGITS + 3 ? digit + MOST_DIGITS : end - 2;
    size_t size = 0;
    for (unsigned next; digit < limit && (next = *digit - (unsigned)'0') <= 9; digit++)
        size = size * 10 + next;
    if (digit == at + 1 || (at[1] == '0' && digit > at + 2) || digit[0] != '\r' || digit[1] != '\n')
        return NULL;
    const uint8_t *data = digit + 2;
    if (size > most || (size_t)(end - data) < size + 2 || data[size] != '\r' || data[size + 1] != '\n')
        return NULL;
    *bulk = rkb_slice(data, size);
    return data + size + 2;
}

size_t rkb_plain_message(struct rkb_slice bytes, uint64_t most_payload, uint64_t most_name, struct rkb_plain *message)
{
    const uint8_t *at = bytes.data, *end = bytes.data + bytes.size;
    uint64_t most = most_payload > most_name ? most_payload : most_name;    /* of a name, as lengths has it */
    message->is_pattern = false;
    message->pattern = rkb_slice(NULL, 0);
    if (bytes.size < sizeof pattern_word)
        return 0;
    if (memcmp(at, message_word, sizeof message_word - 1) == 0) {
        at += sizeof message_word - 1;
    } else if (memcmp(at, pattern_word, sizeof pattern_word - 1) == 0) {
        message->is_pattern = true;
        at = read_bulk(at + sizeof pattern_word - 1, end, most, &message->pattern);
    } else {
        return 0;
    }
    if (at != NULL)
        at = read_bulk(at, end, most, &message->channel);
    if (at != NULL)
        at = read_bulk(at, end, most_payload, &message->payload);
    return at != NULL ? (size_t)(at - bytes.data) : 0;
}
