/*
 * named_file -- files that are read with the config: templates, schemas. Mistakes in them are told with their place.
 */
#ifndef RKB_CONFIG_NAMED_FILE_H
#define RKB_CONFIG_NAMED_FILE_H

#include "config/reading.h"

/*
 * Reads a file that a setting names, of at most `most` bytes, a NUL behind them; a relative name counts from the config
 * file's directory. NULL where it cannot be read: that is a mistake then.
 */
char *rkb_named_file_read(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                       const char *name, size_t most, size_t *size);
/* A mistake inside such a file, placed at the setting, in words that name the file, and line and column in it. */
void rkb_named_file_mistake(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                              const char *name, struct rkb_slice content, size_t offset, const char *text);

#endif
