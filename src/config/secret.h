/*
 * secret -- the one line in a file: a password, or a property's value. Never shown, in no error either.
 *
 * Bounded: a FIFO, a directory or a file without end is refused, and not waited for.
 */
#ifndef RKB_CONFIG_SECRET_H
#define RKB_CONFIG_SECRET_H

#include <stddef.h>

#include "base/error.h"

/*
 * The file's text into out, NUL-terminated, without one newline at its end. Refused: an empty file, one that does
 * not fit (its newline included), one with a NUL byte, one that is not a regular file.
 */
bool rkb_secret_read(const char *path, char *out, size_t size, struct rkb_error *error) RKB_MUST_CHECK;

#endif
