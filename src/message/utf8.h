/* utf8 -- is it UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF)? Fast over ASCII. */
#ifndef RKB_MESSAGE_UTF8_H
#define RKB_MESSAGE_UTF8_H

#include "base/bytes.h"

bool rkb_utf8_valid(struct rkb_slice text);

/*
 * The length of the well-formed sequence at the start of text (1 to 4), or 0 where there is none; *skip then gets the
 * length of the maximal ill-formed part (Unicode, section 3.9).
 */
size_t rkb_utf8_step(struct rkb_slice text, size_t *skip);

#endif
