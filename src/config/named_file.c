/* named_file -- see named_file.h. */
#include "config/named_file.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

/* The file's name as it is opened, to be freed; NULL: no memory. */
static char *full_name(const struct rkb_reading *reading, const char *name)
{
    const char *slash = strrchr(reading->path, '/');
    struct rkb_buffer full = {0};
    if (name[0] != '/' && slash != NULL)
        rkb_buffer_add(&full, reading->path, (size_t)(slash + 1 - reading->path));
    rkb_buffer_add(&full, name, strlen(name) + 1);
    if (full.failed)
        rkb_buffer_free(&full);
    return (char *)full.data;
}

char *rkb_named_file_read(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                          const char *name, size_t most, size_t *size)
{
    struct rkb_error error;
    char *full = full_name(reading, name), *content = malloc(most + 1);
    bool read = false;
    if (full == NULL || content == NULL)
        reading->findings.failed = true;
    else if (!(read = rkb_file_read(full, content, most, size, &error)))
        rkb_reading_mistake(reading, section, path, "%s", error.text);
    else
        content[*size] = '\0';
    free(full);
    if (!read) {
        free(content);
        content = NULL;
    }
    return content;
}

/* Columns count characters, as in the config itself. */
void rkb_named_file_mistake(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                            const char *name, struct rkb_slice content, size_t offset, const char *text)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset && i < content.size; i++) {
        bool newline = content.data[i] == '\n';
        line += newline;
        column = newline ? 1 : column + ((content.data[i] & 0xC0) != 0x80);
    }
    rkb_reading_mistake(reading, section, path, "%.300s:%zu:%zu: %s", name, line, column, text);
}
