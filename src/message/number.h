/*
 * number -- JSON numbers (RFC 8259, section 6) compared as what they are: decimals, exactly, with no C type in between.
 *
 * 1e400, 12345678901234567890, 0.1e1 and 1.0 all have their written value; -0 is 0. Digits and exponents may be of any
 * length. Nothing is allocated, and every call takes time in proportion to the text.
 */
#ifndef RKB_MESSAGE_NUMBER_H
#define RKB_MESSAGE_NUMBER_H

#include "base/bytes.h"

/* sign * 0.DIGITS * 10^(point + huge). It points into the text it was read from, which must outlive it. */
struct rkb_number {
    struct rkb_slice digits;    /* from the first digit that is not 0 to the last; a '.' may stand among them */
    struct rkb_slice huge;      /* digits of an exponent too long for `point`; else empty */
    size_t count;               /* of digits, without the '.'; 0 for the number 0 */
    int64_t point;
    int8_t sign;                /* -1, 0 or 1 */
    bool huge_negative;
    bool dotted;                /* a '.' stands among the digits */
};

/* False for what is not exactly one JSON number. Any bytes may be given. */
bool rkb_number_read(struct rkb_slice text, struct rkb_number *out);

/* -1, 0 or 1, as a is below, equal to or above b. */
int rkb_number_compare(const struct rkb_number *a, const struct rkb_number *b);

/* By its value: 1.0, 1e2 and 1e400 are integers, 0.5 and 1e-400 are none. */
bool rkb_number_is_integer(const struct rkb_number *number);

/* Equal numbers have equal hashes, however they are written. */
uint64_t rkb_number_hash(const struct rkb_number *number);

/* A number that others may be a multiple of: coefficient * 10^exponent. */
struct rkb_divisor {
    uint64_t coefficient;       /* at most 18 digits, the last of them not 0 */
    uint64_t odd_part;          /* the coefficient without its factors 2 and 5 */
    int64_t exponent;
};

/* False where the number is not above 0, has more than 18 digits that count, or an exponent of 10^17 and more. */
bool rkb_divisor_make(const struct rkb_number *number, struct rkb_divisor *out);

/* Whether number / divisor is an integer, exactly. */
bool rkb_divisor_divides(const struct rkb_divisor *divisor, const struct rkb_number *number);

#endif
