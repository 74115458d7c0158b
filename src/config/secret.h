/* secret -- the one line in a file: a password, or a property's value. Never shown, in no error either. */
#ifndef RKB_CONFIG_SECRET_H
#define RKB_CONFIG_SECRET_H

#include <stddef.h>

#include "base/error.h"

/*
 * The file's text into out, NUL-terminated, without one newline at its end. Refused: an empty file, one that does
 * not fit, one with a NUL byte.
 */
bool rkb_secret_read(const char *path, char *out, size_t size, struct rkb_error *error) RKB_MUST_CHECK;

#endif
