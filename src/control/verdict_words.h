/* verdict_words -- what the rules of the verdict say is put together with these. Of verdict_rules.c only. */
#ifndef RKB_CONTROL_VERDICT_WORDS_H
#define RKB_CONTROL_VERDICT_WORDS_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/units.h"
#include "control/verdict_rules.h"

/* Says it. true */
static inline bool RKB_PRINTF(2, 3) say(const struct rkb_look *look, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(look->what, look->size, format, arguments);
    va_end(arguments);
    return true;
}

/* The same behind what was said, where it still has room. true */
static inline bool RKB_PRINTF(2, 3) say_behind(const struct rkb_look *look, const char *format, ...)
{
    size_t used = strlen(look->what);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(look->what + used, look->size - used, format, arguments);
    va_end(arguments);
    return true;
}

static inline const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

/* "; and 3 more routes", where it still has room. true */
static inline bool and_more(const struct rkb_look *look, size_t count, const char *noun)
{
    return count == 0 || say_behind(look, "; and %zu more %s%s", count, noun, plural(count));
}

struct words {
    char text[40];
};

static inline struct words duration(double seconds)
{
    struct words words;
    rkb_format_duration(words.text, sizeof words.text, (int64_t)(seconds * 1e6));
    return words;
}

static inline struct words size_of(double bytes)
{
    struct words words;
    rkb_format_size(words.text, sizeof words.text, (uint64_t)bytes);
    return words;
}

/* It began so long ago. */
static inline void began_before(const struct rkb_look *look, double seconds)
{
    if (seconds > 0)
        *look->began_us = look->snapshot->now_us - (int64_t)(seconds * 1e6);
}

#endif
