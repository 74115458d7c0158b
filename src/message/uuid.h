/*
 * uuid -- version 7 (RFC 9562, section 5.7), made from what a message is, so that whoever ships it
 * gives it the same one.
 *
 *     48 bits  time of the mark, milliseconds since 1970
 *      4 bits  version 7
 *     12 bits  count, high half      } the copy's number on its subscription since the mark
 *      2 bits  variant 10
 *     12 bits  count, low half       }
 *     50 bits  hash over mark, stream, subscription, copy number, channel, payload
 */
#ifndef RKB_MESSAGE_UUID_H
#define RKB_MESSAGE_UUID_H

#include "base/bytes.h"

#define RKB_UUID_TEXT 36
#define RKB_UUID_COUNT_LIMIT (1u << 24)

/* count below RKB_UUID_COUNT_LIMIT; of hash the upper 50 bits are taken. */
void rkb_uuid_make(uint8_t uuid[16], uint64_t time_ms, uint32_t count, uint64_t hash);
/* 36 bytes, lower case, no NUL. */
void rkb_uuid_text(char out[RKB_UUID_TEXT], const uint8_t uuid[16]);
/* Back from that. False for anything else; any version is taken. */
bool rkb_uuid_parse(struct rkb_slice text, uint8_t uuid[16]) __attribute__((warn_unused_result));

#endif
