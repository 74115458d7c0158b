/* json_value -- see json_value.h. Never reads behind a value, never builds anything of it. */
#include "message/json_value.h"

#include "message/json.h"
#include "message/json_string.h"

const char *const rkb_json_type_names[RKB_JSON_TYPES + 1] = {"string", "number", "integer", "boolean",
                                                             "object", "array",  "null",    NULL};

enum rkb_json_type rkb_json_type_of(struct rkb_slice value)
{
    switch (value.data[0]) {
    case '"':
        return RKB_JSON_STRING;
    case '{':
        return RKB_JSON_OBJECT;
    case '[':
        return RKB_JSON_ARRAY;
    case 't':
    case 'f':
        return RKB_JSON_BOOLEAN;
    case 'n':
        return RKB_JSON_NULL;
    }
    return RKB_JSON_NUMBER;
}

struct rkb_slice rkb_json_inside(struct rkb_slice string)
{
    return rkb_slice(string.data + 1, string.size - 2);
}

bool rkb_json_content(struct rkb_slice string, struct rkb_buffer *room, struct rkb_slice *out)
{
    struct rkb_slice inside = rkb_json_inside(string);
    *out = inside;
    if (memchr(inside.data, '\\', inside.size) == NULL)
        return true;
    *room = (struct rkb_buffer){.data = room->data, .capacity = room->capacity};
    uint8_t *bytes = rkb_buffer_reserve(room, inside.size);     /* no escape is shorter than what it means */
    if (bytes == NULL)
        return false;
    *out = rkb_slice(bytes, (size_t)(rkb_json_unescape(bytes, inside) - bytes));
    return true;
}

static bool starts_character(uint8_t byte)
{
    return (byte & 0xC0) != 0x80;
}

/* d800 to dbff, dc00 to dfff: by the second digit alone, as the first is d. */
static bool is_half(const uint8_t *digits, char least, char most)
{
    char second = (char)(digits[1] >= 'A' && digits[1] <= 'F' ? digits[1] | 0x20 : digits[1]);
    return (digits[0] | 0x20) == 'd' && second >= least && second <= most;
}

static bool is_high_half(const uint8_t *digits)
{
    return is_half(digits, '8', '9') || is_half(digits, 'a', 'b');
}

/* The size of the escape at `at`: of both, where two make one character. At the end stands the string's quote. */
static size_t escape_size(const uint8_t *at)
{
    if (at[1] != 'u')
        return 2;
    bool pair = is_high_half(at + 2) && at[6] == '\\' && at[7] == 'u' && is_half(at + 8, 'c', 'f');
    return pair ? 12 : 6;
}

size_t rkb_json_characters(struct rkb_slice string)
{
    struct rkb_slice inside = rkb_json_inside(string);
    const uint8_t *at = inside.data, *end = at + inside.size;
    size_t count = 0;
    while (at < end) {
        count += starts_character(*at);
        at += *at == '\\' ? escape_size(at) : 1;
    }
    return count;
}

size_t rkb_json_elements(struct rkb_slice array)
{
    const uint8_t *end = array.data + array.size, *at = rkb_json_space(array.data + 1, end);
    if (*at == ']')
        return 0;
    for (size_t count = 1;; count++) {
        at = rkb_json_space(rkb_json_value(at, end, RKB_JSON_DEPTH).at, end);
        if (*at != ',')
            return count;
        at = rkb_json_space(at + 1, end);
    }
}

struct rkb_json_constant rkb_json_constant(struct rkb_slice text, bool is_string)
{
    struct rkb_json_constant constant = {RKB_JSON_STRING, text, {.sign = 0}};
    if (is_string)
        return constant;
    if (rkb_number_read(text, &constant.number))
        constant.type = RKB_JSON_NUMBER;
    else if (rkb_slice_equal(text, rkb_slice_text("true")) || rkb_slice_equal(text, rkb_slice_text("false")))
        constant.type = RKB_JSON_BOOLEAN;
    else if (rkb_slice_equal(text, rkb_slice_text("null")))
        constant.type = RKB_JSON_NULL;
    return constant;
}

bool rkb_json_equals(const struct rkb_json_constant *constant, struct rkb_slice value)
{
    if (constant->type != rkb_json_type_of(value))
        return false;
    struct rkb_number number;
    if (constant->type == RKB_JSON_STRING)
        return rkb_json_means(rkb_json_inside(value), constant->text);
    if (constant->type == RKB_JSON_NUMBER)
        return rkb_number_read(value, &number) && rkb_number_compare(&number, &constant->number) == 0;
    return rkb_slice_equal(constant->text, value);
}
