/*
 * number -- see number.h.
 *
 *     -00120.340e-5   is not JSON;   -120.340e-5:   sign -1, digits "120.34", count 5, point 3 - 5
 *
 * Promise: exact, whatever the length of digits and exponent; one pass over the text. Never allocates, never rounds,
 * never reads outside the slice.
 *
 * An exponent of up to 18 digits is added to `point`, where nothing can overflow: texts are shorter than 10^18 bytes.
 * A longer one stays text (`huge`), and two of them are subtracted digit by digit as far as the difference matters.
 */
#include "message/number.h"

#include "message/scan.h"

#define EXPONENT_DIGITS 18                      /* so many always fit, with the layout's part added */
#define FAR INT64_C(4000000000000000000)        /* an exponent's difference that nothing makes up for */
#define NEAR INT64_C(100000000000000000)        /* 10^17: a tenth of the least huge exponent */
#define COEFFICIENT_DIGITS 18                   /* coefficient * 10 + 9 fits 64 bits */
#define ALL_POWERS 60                           /* 2^60 is above every coefficient: its factors 2 and 5 go into 10^60 */

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end)
{
    while (at < end && is_digit(*at))
        at++;
    return at;
}

static const uint8_t *skip_zeros(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at == '0')
        at++;
    return at;
}

/* What stands behind "e"; all up to end must be its digits. */
static bool read_exponent(const uint8_t *at, const uint8_t *end, struct rkb_number *out)
{
    bool negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    if (at == end || skip_digits(at, end) != end)
        return false;
    at = skip_zeros(at, end);
    if (end - at > EXPONENT_DIGITS) {
        out->huge = rkb_slice(at, (size_t)(end - at));
        out->huge_negative = negative;
        return true;
    }
    int64_t exponent = 0;
    for (; at < end; at++)
        exponent = exponent * 10 + (*at - '0');
    out->point += negative ? -exponent : exponent;
    return true;
}

/* Of "120.340": `whole` is where it begins, `dot` where the '.' is or would be, `end` is behind the last digit. */
static void read_digits(const uint8_t *whole, const uint8_t *dot, const uint8_t *end, struct rkb_number *out)
{
    const uint8_t *first = skip_zeros(whole, dot);
    if (first == dot && dot < end)
        first = skip_zeros(dot + 1, end);
    if (first == end)
        return;                 /* it is 0 */
    while (end[-1] == '0' || end[-1] == '.')
        end--;
    out->digits = rkb_slice(first, (size_t)(end - first));
    out->dotted = dot > first && dot < end;
    out->count = out->digits.size - out->dotted;
    out->point = first < dot ? dot - first : -(first - dot - 1);
}

bool rkb_number_read(struct rkb_slice text, struct rkb_number *out)
{
    text = rkb_with_data(text);
    const uint8_t *at = text.data, *end = text.data + text.size;
    bool negative = at < end && *at == '-';
    at += negative;
    const uint8_t *dot = skip_digits(at, end);
    if (dot == at || (*at == '0' && dot - at > 1))
        return false;
    const uint8_t *last = dot;
    if (dot < end && *dot == '.') {
        last = skip_digits(dot + 1, end);
        if (last == dot + 1)
            return false;
    }
    *out = (struct rkb_number){.sign = 0};
    read_digits(at, dot, last, out);
    if (last < end && ((*last | 0x20) != 'e' || !read_exponent(last + 1, end, out)))
        return false;
    if (out->count == 0)
        *out = (struct rkb_number){.sign = 0};
    else
        out->sign = negative ? -1 : 1;
    return true;
}

/* The digit at `place` places from the right, with the exponent's sign; 0 left of its first digit. */
static int huge_digit(const struct rkb_number *number, size_t place)
{
    if (place >= number->huge.size)
        return 0;
    int digit = number->huge.data[number->huge.size - 1 - place] - '0';
    return number->huge_negative ? -digit : digit;
}

/* a's huge exponent less b's, or FAR with its sign where it is beyond that. */
static int64_t huge_difference(const struct rkb_number *a, const struct rkb_number *b)
{
    int64_t difference = 0;
    for (size_t place = a->huge.size > b->huge.size ? a->huge.size : b->huge.size; place > 0; place--) {
        if (difference >= FAR / 10 || difference <= -FAR / 10)
            return difference > 0 ? FAR : -FAR;
        difference = difference * 10 + huge_digit(a, place - 1) - huge_digit(b, place - 1);
    }
    return difference;
}

static int sign_of(int64_t value)
{
    return (value > 0) - (value < 0);
}

static int compare_exponents(const struct rkb_number *a, const struct rkb_number *b)
{
    int64_t difference = a->point - b->point;
    if (a->huge.size > 0 || b->huge.size > 0)
        difference += huge_difference(a, b);
    return sign_of(difference);
}

/* The first digit that differs decides; where there is none the longer is the greater, as its last digit is not 0. */
static int compare_digits(const struct rkb_number *a, const struct rkb_number *b)
{
    size_t count = a->count < b->count ? a->count : b->count;
    if (!a->dotted && !b->dotted) {
        int order = memcmp(a->digits.data, b->digits.data, count);
        if (order != 0)
            return sign_of(order);
    } else {
        const uint8_t *left = a->digits.data, *right = b->digits.data;
        for (size_t i = 0; i < count; i++) {
            left += *left == '.';
            right += *right == '.';
            if (*left != *right)
                return sign_of(*left - *right);
            left++;
            right++;
        }
    }
    return (a->count > b->count) - (a->count < b->count);
}

int rkb_number_compare(const struct rkb_number *a, const struct rkb_number *b)
{
    if (a->sign != b->sign || a->sign == 0)
        return sign_of(a->sign - b->sign);
    int order = compare_exponents(a, b);
    if (order == 0)
        order = compare_digits(a, b);
    return a->sign * order;
}

bool rkb_number_is_integer(const struct rkb_number *number)
{
    if (number->huge.size > 0)
        return !number->huge_negative;
    return number->point >= (int64_t)number->count;
}

/* Its exponent is so small that each way to write it has it in `point`, and that no huge one comes near. */
static bool is_near(const struct rkb_number *number)
{
    return number->huge.size == 0 && number->point > -NEAR && number->point < NEAR;
}

/* FNV-1a, 64 bits. */
uint64_t rkb_number_hash(const struct rkb_number *number)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325) ^ (uint8_t)number->sign;
    if (is_near(number))
        hash ^= (uint64_t)number->point << 8;
    for (size_t i = 0; i < number->digits.size; i++)
        if (number->digits.data[i] != '.')
            hash = (hash ^ number->digits.data[i]) * UINT64_C(0x100000001B3);
    return hash;
}

static uint64_t without_factor(uint64_t value, unsigned factor)
{
    while (value % factor == 0)
        value /= factor;
    return value;
}

bool rkb_divisor_make(const struct rkb_number *number, struct rkb_divisor *out)
{
    if (number->sign <= 0 || number->count > COEFFICIENT_DIGITS || !is_near(number))
        return false;
    *out = (struct rkb_divisor){.exponent = number->point - (int64_t)number->count};
    for (size_t i = 0; i < number->digits.size; i++)
        if (number->digits.data[i] != '.')
            out->coefficient = out->coefficient * 10 + (number->digits.data[i] - '0');
    out->odd_part = without_factor(without_factor(out->coefficient, 2), 5);
    return true;
}

static uint64_t digits_modulo(const struct rkb_number *number, uint64_t modulus)
{
    uint64_t rest = 0;
    for (size_t i = 0; i < number->digits.size; i++)
        if (number->digits.data[i] != '.')
            rest = (rest * 10 + (number->digits.data[i] - '0')) % modulus;
    return rest;
}

/*
 * With both coefficients as integers not ending in 0: number / divisor = DIGITS * 10^power / coefficient.
 */
bool rkb_divisor_divides(const struct rkb_divisor *divisor, const struct rkb_number *number)
{
    if (number->sign == 0)
        return true;
    bool huge = number->huge.size > 0;
    int64_t power = number->point - (int64_t)number->count - divisor->exponent;
    if (huge ? number->huge_negative : power < 0)
        return false;           /* DIGITS does not end in 0, so 10 does not go into it */
    if (huge || power >= ALL_POWERS)
        return digits_modulo(number, divisor->odd_part) == 0;
    uint64_t rest = digits_modulo(number, divisor->coefficient);
    for (; power > 0 && rest != 0; power--)
        rest = rest * 10 % divisor->coefficient;
    return rest == 0;
}
