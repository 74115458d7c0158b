/*
 * config_files -- files for the tests of the configuration: a private directory, whole files, files completed to a good
 * one.
 */
#ifndef TEST_CONFIG_FILES_H
#define TEST_CONFIG_FILES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

/* A directory of this test's own; `@/` in a test's text stands for it. */
struct files {
    char directory[200];
    char config[240];
};

static inline void files_make(struct files *files)
{
    const char *parent = getenv("TMPDIR");
    snprintf(files->directory, sizeof files->directory, "%s/rkb-config-XXXXXX", parent != NULL ? parent : "/tmp");
    assert_non_null(mkdtemp(files->directory));
    snprintf(files->config, sizeof files->config, "%s/rkbridge.yaml", files->directory);
}

static inline void files_write(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* A file beside the config. */
static inline void files_add(const struct files *files, const char *name, const void *bytes, size_t size)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", files->directory, name);
    files_write(path, bytes, size);
}

static inline void files_remove(const struct files *files, const char *name)
{
    char path[300];
    snprintf(path, sizeof path, "%s/%s", files->directory, name);
    unlink(path);
}

static inline void files_drop(struct files *files)
{
    unlink(files->config);
    assert_int_equal(rmdir(files->directory), 0);
}

/* Text with every `from` replaced, to be freed. */
static inline char *replaced(const char *text, const char *from, const char *to)
{
    struct rkb_buffer out = {0};
    for (const char *next; (next = strstr(text, from)) != NULL; text = next + strlen(from)) {
        rkb_buffer_add(&out, text, (size_t)(next - text));
        rkb_buffer_text(&out, to);
    }
    rkb_buffer_add(&out, text, strlen(text) + 1);
    assert_false(out.failed);
    return (char *)out.data;
}

static inline char *replaced_directory(const struct files *files, const char *text)
{
    char directory[210];
    snprintf(directory, sizeof directory, "%s/", files->directory);
    return replaced(text, "@/", directory);
}

/* The whole file from the source tree, to be freed. */
static inline char *source_file(const char *name)
{
    const char *top = getenv("srcdir");
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", top != NULL ? top : ".", name);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s is missing", path);
    struct rkb_buffer text = {0};
    for (int c; (c = fgetc(file)) != EOF;)
        rkb_buffer_add(&text, &(char){(char)c}, 1);
    fclose(file);
    rkb_buffer_add(&text, "", 1);
    return (char *)text.data;
}

/* What a test does not say of a good file; written behind it. */
static const struct {
    const char *name, *text;
} sections[] = {
    {"redis", "redis: {legacy: {url: 'redis://127.0.0.1'}}\n"},
    {"kafka", "kafka: {properties: {bootstrap.servers: '127.0.0.1:9092'}}\n"},
    {"journal", "journal: {directory: @/journal}\n"},
    {"control", "control: {socket: @/control.sock}\n"},
    {"routes", "routes: {all: {source: legacy, patterns: ['*'], topic: all}}\n"},
};

static inline bool has_section(const char *text, const char *name)
{
    char start[40];
    snprintf(start, sizeof start, "\n%s:", name);
    return strncmp(text, start + 1, strlen(start) - 1) == 0 || strstr(text, start) != NULL;
}

/* Writes the text with the sections it lacks. A text that ends without a newline is written alone. */
static inline void write_completed(const struct files *files, const char *text)
{
    struct rkb_buffer whole = {0};
    rkb_buffer_text(&whole, text);
    bool alone = whole.size > 0 && text[whole.size - 1] != '\n';
    for (size_t i = 0; !alone && i < sizeof sections / sizeof sections[0]; i++)
        if (!has_section(text, sections[i].name))
            rkb_buffer_text(&whole, sections[i].text);
    rkb_buffer_add(&whole, "", 1);
    char *placed = replaced_directory(files, (char *)whole.data);
    files_write(files->config, placed, strlen(placed));
    free(placed);
    rkb_buffer_free(&whole);
}

/* Reads the text, completed; what is wrong is a failed test. */
static inline struct rkb_config *read_good(const struct files *files, const char *text)
{
    struct rkb_mistakes mistakes;
    write_completed(files, text);
    struct rkb_config *config = rkb_config_read(files->config, false, &mistakes);
    if (config == NULL)
        fail_msg("%.*s", (int)mistakes.text.size, (char *)mistakes.text.data);
    assert_int_equal(mistakes.count, 0);
    rkb_mistakes_free(&mistakes);
    return config;
}

/* The test program's own, and what makes and drops it around all tests. */
static struct files files;

static inline int make_files(void **state)
{
    (void)state;
    files_make(&files);
    return 0;
}

static inline int drop_files(void **state)
{
    (void)state;
    files_drop(&files);
    return 0;
}

#endif
