/*
 * file -- a small file, whole, into memory: bounded in size and, but for the disk itself, in time.
 *
 * Only regular files are read: a FIFO without a writer, a terminal or a directory is refused, never waited for.
 */
#ifndef RKB_BASE_FILE_H
#define RKB_BASE_FILE_H

#include <stddef.h>

#include "base/error.h"

/*
 * All of the file into out, its size to *length. False and *error, which names the path and the reason, for a file that
 * is missing, unreadable, not a regular one, or longer than size; what stands in out is then cleared.
 */
bool rkb_file_read(const char *path, void *out, size_t size, size_t *length, struct rkb_error *error) RKB_MUST_CHECK;

#endif
