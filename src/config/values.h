/*
 * values -- text to value, by the type of the row. Text in a file, a default and an
 * environment variable go the same way.
 */
#ifndef RKB_CONFIG_VALUES_H
#define RKB_CONFIG_VALUES_H

#include "base/error.h"
#include "config/config.h"

/*
 * Sets the row's member of `base` (the struct its offset is in) from text; an old value is freed. RKB_USAGE,
 * RKB_NO_MEMORY. Not for lists and properties.
 */
bool rkb_value_set(const struct rkb_setting *row, const char *text, void *base, struct rkb_error *error) RKB_MUST_CHECK;
/* Adds to a list; text is copied. */
bool rkb_value_add_text(struct rkb_texts *texts, const char *text) RKB_MUST_CHECK;
/* Frees the row's member of `base`. */
void rkb_value_free(const struct rkb_setting *row, void *base);

/* What is wanted, in words: "a size", "a duration", "one of text, json". */
void rkb_value_describe(const struct rkb_setting *row, char *out, size_t size);
/* "64 KiB to 1 GiB", "at least 1 MiB"; "" where there is no limit. */
void rkb_value_range(const struct rkb_setting *row, char *out, size_t size);

/* [A-Za-z0-9_.-], 1 to `longest` bytes: the names of sources, routes, instances and topics. */
bool rkb_value_is_name(const char *text, size_t longest);

#endif
