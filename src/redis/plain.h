/*
 * plain -- knows one thing: a whole message, in the words in which Redis writes it.
 *
 *     *3\r\n$7\r\nmessage\r\n$N\r\n<channel>\r\n$M\r\n<payload>\r\n
 *     *4\r\n$8\r\npmessage\r\n$P\r\n<pattern>\r\n$N\r\n<channel>\r\n$M\r\n<payload>\r\n
 *
 * Nearly all that a subscriber reads is this, and stands whole in what was read. Everything else, a message that is cut
 * or too long among it, is for lengths and the reader. Why: measured, the two cost more than 100 ns a message, this
 * costs 25.
 */
#ifndef RKB_REDIS_PLAIN_H
#define RKB_REDIS_PLAIN_H

#include "base/bytes.h"

struct rkb_plain {
    bool is_pattern;
    struct rkb_slice pattern, channel, payload;     /* lent of the bytes; pattern is empty where is_pattern is false */
};

/*
 * How many bytes the message takes that the bytes begin with; 0: they begin with something else, it is not whole, a
 * name is over most_name or the payload over most_payload.
 */
size_t rkb_plain_message(struct rkb_slice bytes, uint64_t most_payload, uint64_t most_name, struct rkb_plain *message);

#endif
