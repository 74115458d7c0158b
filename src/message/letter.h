/*
 * letter -- the headers of a dead letter: why, where and when, the same in its topic and in the file.
 *
 *     rkb-error-code   one word: what it failed, or Kafka's name of the error
 *     rkb-error        the reason in words, which name a rule and never a payload's value
 *     rkb-error-time   when that was, RFC 3339
 *     rkb-route, rkb-source, rkb-channel, rkb-pattern (only where there is one), rkb-id, rkb-position
 *     rkb-time         when the message was read, RFC 3339
 *     rkb-topic        only of what Kafka refused: where it was meant to go
 *     rkb-form         "record" where the value is not the payload but the record as it stood; its own headers follow
 */
#ifndef RKB_MESSAGE_LETTER_H
#define RKB_MESSAGE_LETTER_H

#include "base/headers.h"

enum rkb_letter_header {
    RKB_LETTER_CODE, RKB_LETTER_REASON, RKB_LETTER_ERROR_TIME, RKB_LETTER_ROUTE, RKB_LETTER_SOURCE, RKB_LETTER_CHANNEL,
    RKB_LETTER_PATTERN, RKB_LETTER_ID, RKB_LETTER_POSITION, RKB_LETTER_TIME, RKB_LETTER_TOPIC, RKB_LETTER_FORM,
    RKB_LETTER_HEADERS
};

#define RKB_FORM_AS_IT_STOOD "record"   /* what RKB_LETTER_FORM says, where it says something */

/* All lent; data NULL: there is no such header. */
struct rkb_letter {
    struct rkb_slice of[RKB_LETTER_HEADERS];
};

/* The bytes that its headers take, and how many they are. */
size_t rkb_letter_size(const struct rkb_letter *letter, uint16_t *count);
/* Writes them, as measured; returns the end. */
uint8_t *rkb_letter_write(const struct rkb_letter *letter, uint8_t *out);
/* Finds them in a headers area; of two with one name the first counts. */
void rkb_letter_read(struct rkb_slice headers, struct rkb_letter *letter);
/* Is this the name of one of them? */
bool rkb_letter_names(struct rkb_slice name);

#endif
