/* answers -- see answers.h. */
#include "redis/answers.h"

#include <stdio.h>

#define LONGEST_TEXT (UINT64_C(513) << 20)      /* Redis's own limit, 512 MB, and a little */
#define MOST_ELEMENTS (UINT64_C(1) << 20)

void rkb_answers_reset(struct rkb_answers *answers)
{
    answers->in_text = answers->stopped = false;
    answers->left = answers->elements = 0;
    answers->size = 0;
}

void rkb_answers_stop(struct rkb_answers *answers)
{
    answers->stopped = true;
}

/* What does not fit is left out. */
static void keep(struct rkb_answers *answers, const uint8_t *data, size_t size)
{
    size_t room = sizeof answers->line_so_far - answers->size;
    if (size > room)
        size = room;
    memcpy(answers->line_so_far + answers->size, data, size);
    answers->size += size;
}

/* The line so far, without what ends it; the next one begins. */
static struct rkb_slice take_line(struct rkb_answers *answers)
{
    size_t size = answers->size;
    while (size > 0 && (answers->line_so_far[size - 1] == '\r' || answers->line_so_far[size - 1] == '\n'))
        size--;
    answers->size = 0;
    return rkb_slice(answers->line_so_far, size);
}

static void element_ends(struct rkb_answers *answers, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    if (--answers->elements == 0)
        answers->whole(answers->context, kind, text, integer);
}

/* One element's, or the array's. */
static enum rkb_reply kind_of(struct rkb_answers *answers, enum rkb_reply kind, bool first)
{
    if (first)
        answers->kind = kind;
    return answers->kind;
}

static bool parse_number(struct rkb_slice digits, long long *number)
{
    bool negative = digits.size > 0 && digits.data[0] == '-';
    *number = 0;
    if (digits.size == negative || digits.size > 18u + negative)
        return false;
    for (size_t i = negative; i < digits.size; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return false;
        *number = *number * 10 + (digits.data[i] - '0');
    }
    if (negative)
        *number = -*number;
    return true;
}

static bool text_begins(struct rkb_answers *answers, long long size, bool first, struct rkb_error *error)
{
    if (size < -1 || size > (long long)LONGEST_TEXT)
        return rkb_fail(error, RKB_PROTOCOL, RKB_NO_RESP "a text of an impossible length");
    enum rkb_reply kind = kind_of(answers, size < 0 ? RKB_REPLY_NIL : RKB_REPLY_STRING, first);
    if (size < 0) {
        element_ends(answers, kind, rkb_slice(NULL, 0), 0);
        return true;
    }
    answers->in_text = true;
    answers->left = (uint64_t)size + 2;
    return true;
}

static bool array_begins(struct rkb_answers *answers, long long count, bool first, struct rkb_error *error)
{
    if (count < -1 || count > (long long)(MOST_ELEMENTS - answers->elements))
        return rkb_fail(error, RKB_PROTOCOL, RKB_NO_RESP "an array of an impossible length");
    enum rkb_reply kind = kind_of(answers, count < 0 ? RKB_REPLY_NIL : RKB_REPLY_STRING, first);
    if (count > 0)
        answers->elements += (uint64_t)count - 1;
    else
        element_ends(answers, kind, rkb_slice(NULL, 0), 0);
    return true;
}

static bool take_head(struct rkb_answers *answers, struct rkb_error *error)
{
    struct rkb_slice head = take_line(answers);
    if (head.size == 0)
        return rkb_fail(error, RKB_PROTOCOL, RKB_NO_RESP "an empty line");
    struct rkb_slice rest = rkb_slice(head.data + 1, head.size - 1);
    bool first = answers->elements == 0;
    long long number = 0;
    if (first)
        answers->elements = 1;
    if (head.data[0] == '+' || head.data[0] == '-') {
        enum rkb_reply kind = kind_of(answers, head.data[0] == '+' ? RKB_REPLY_STATUS : RKB_REPLY_ERROR, first);
        element_ends(answers, kind, rest, 0);
        return true;
    }
    if (memchr(":$*", head.data[0], 3) == NULL || !parse_number(rest, &number))
        return rkb_fail(error, RKB_PROTOCOL, RKB_NO_RESP "a line begins with \\x%02x and goes on as none does",
                        head.data[0]);
    if (head.data[0] == '$')
        return text_begins(answers, number, first, error);
    if (head.data[0] == '*')
        return array_begins(answers, number, first, error);
    if (!first && answers->number != NULL)
        answers->number(answers->context, number);
    if (!answers->stopped)
        element_ends(answers, kind_of(answers, RKB_REPLY_INTEGER, first), rkb_slice(NULL, 0), number);
    return true;
}

/* As much of a text as there is up to the end of a line; what was used. */
static size_t feed_text(struct rkb_answers *answers, struct rkb_slice bytes, bool *good, struct rkb_error *error)
{
    size_t size = bytes.size < answers->left ? bytes.size : (size_t)answers->left;
    const uint8_t *end = memchr(bytes.data, '\n', size);
    if (end != NULL)
        size = (size_t)(end - bytes.data) + 1;
    keep(answers, bytes.data, size);
    answers->left -= size;
    if (end == NULL && answers->left > 0)
        return size;
    if (end == NULL) {
        *good = rkb_fail(error, RKB_PROTOCOL, RKB_NO_RESP "a text that does not end where it should");
        return size;
    }
    struct rkb_slice line = take_line(answers);
    if (line.size > 0)
        answers->line(answers->context, line);
    if (answers->left == 0) {
        answers->in_text = false;
        if (!answers->stopped)
            element_ends(answers, answers->kind, rkb_slice(NULL, 0), 0);
    }
    return size;
}

static size_t feed_head(struct rkb_answers *answers, struct rkb_slice bytes, bool *good, struct rkb_error *error)
{
    const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
    size_t size = end == NULL ? bytes.size : (size_t)(end - bytes.data) + 1;
    keep(answers, bytes.data, size);
    if (end != NULL)
        *good = take_head(answers, error);
    return size;
}

bool rkb_answers_feed(struct rkb_answers *answers, struct rkb_slice bytes, struct rkb_error *error)
{
    bool good = true;
    while (good && bytes.size > 0 && !answers->stopped) {
        size_t used = answers->in_text ? feed_text(answers, bytes, &good, error)
                                       : feed_head(answers, bytes, &good, error);
        bytes = rkb_slice(bytes.data + used, bytes.size - used);
    }
    return good;
}
