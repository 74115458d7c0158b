/*
 * json_value -- what one JSON value is, asked of its text: its type, its length, whether it equals a constant.
 *
 * A value is the text of one valid JSON value without white space around it, as rkb_pointers_find gives it.
 */
#ifndef RKB_MESSAGE_JSON_VALUE_H
#define RKB_MESSAGE_JSON_VALUE_H

#include "base/bytes.h"
#include "message/number.h"

/* As bits, so that several can be named. An integer is a number too: only number_is_integer tells. */
enum rkb_json_type {
    RKB_JSON_STRING = 1 << 0,
    RKB_JSON_NUMBER = 1 << 1,
    RKB_JSON_INTEGER = 1 << 2,
    RKB_JSON_BOOLEAN = 1 << 3,
    RKB_JSON_OBJECT = 1 << 4,
    RKB_JSON_ARRAY = 1 << 5,
    RKB_JSON_NULL = 1 << 6
};
#define RKB_JSON_TYPES 7

/* "string" for bit 0, and so on. */
extern const char *const rkb_json_type_names[RKB_JSON_TYPES + 1];

/* By its first byte; never RKB_JSON_INTEGER. */
enum rkb_json_type rkb_json_type_of(struct rkb_slice value);
/* What stands between the quotes of a string. */
struct rkb_slice rkb_json_inside(struct rkb_slice string);
/*
 * The same as what it means: without escapes it is the text itself; else room is filled anew, grown where it is too
 * small, and lent. False where memory ran out.
 */
bool rkb_json_content(struct rkb_slice string, struct rkb_buffer *room, struct rkb_slice *out);

/* The characters (code points) of a string, the elements of an array. A surrogate pair is one, a lone surrogate too. */
size_t rkb_json_characters(struct rkb_slice string);
size_t rkb_json_elements(struct rkb_slice array);

/* A string (text is its content), a number (its text), or true, false, null. Lent. */
struct rkb_json_constant {
    enum rkb_json_type type;
    struct rkb_slice text;
    struct rkb_number number;
};

/* A plain text as the constant that it reads as in JSON: 5, true and null are themselves, all else is a string. */
struct rkb_json_constant rkb_json_constant(struct rkb_slice text, bool is_string);
/* Strings by their content, numbers by their value: 1.0 is 1, "\u0061" is "a". */
bool rkb_json_equals(const struct rkb_json_constant *constant, struct rkb_slice value);

#endif
