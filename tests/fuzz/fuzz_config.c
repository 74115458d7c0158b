/*
 * Fuzz target: the config file.
 *
 *     input   a number: whether the Kafka is our own
 *             the file
 *
 * Claims, for any bytes: there is a config, or there are mistakes, each on a line of its own that names the file, and,
 * unless it is about the file as a whole, a line and column that the file has; read again it is the same; nothing is
 * made, changed or left open; what was read without a mistake can be compiled and shown.
 */
#include "fuzz.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

static char directory[200], path[260];

static void write_file(struct rkb_slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CLAIM(fd >= 0 && write(fd, bytes.data, bytes.size) == (ssize_t)bytes.size);
    close(fd);
}

/* The file is as it was, and alone. */
static void check_untouched(struct rkb_slice bytes)
{
    DIR *here = opendir(directory);
    struct stat status;
    size_t names = 0;
    CLAIM(here != NULL);
    for (const struct dirent *entry; (entry = readdir(here)) != NULL;)
        names += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
    closedir(here);
    CLAIM(names == 1 && stat(path, &status) == 0 && (size_t)status.st_size == bytes.size);
}

/* The lowest free descriptor: higher where one was left open. */
static int next_descriptor(void)
{
    int fd = open("/", O_RDONLY | O_CLOEXEC);
    CLAIM(fd >= 0);
    close(fd);
    return fd;
}

/* ---- mistakes ---- */

static size_t count_lines(struct rkb_slice bytes)
{
    size_t lines = 1;
    for (size_t i = 0; i < bytes.size; i++)
        lines += bytes.data[i] == '\n' || bytes.data[i] == '\r' || bytes.data[i] >= 0x80;  /* NEL, LS, PS too */
    return lines;
}

/* The number before a colon; 0: there is none. *at stands behind it then. */
static size_t read_number(const char **at)
{
    char *end;
    size_t number = isdigit((unsigned char)**at) ? strtoul(*at, &end, 10) : 0;
    if (number > 0) {
        CLAIM(*end == ':');
        *at = end + 1;
    }
    return number;
}

/* One line: FILE:LINE:COLUMN: text, or FILE: text. */
static void check_line(const char *line, size_t lines, size_t size)
{
    size_t name = strlen(path);
    CLAIM(strncmp(line, path, name) == 0 && line[name] == ':');
    const char *at = line + name + 1;
    size_t number = read_number(&at);
    if (number > 0) {
        size_t column = read_number(&at);
        CLAIM(number <= lines + 1 && column > 0 && column <= size + 2);
    }
    CLAIM(at[0] == ' ' && at[1] != '\0');
    for (; *at != '\0'; at++)
        CLAIM(!iscntrl((unsigned char)*at));
}

static void check_lines(const struct rkb_buffer *text, size_t count, struct rkb_slice bytes)
{
    char *copy = strndup(text->size > 0 ? (const char *)text->data : "", text->size), *rest = copy, *line;
    size_t lines = count_lines(bytes), found = 0;
    CLAIM(copy != NULL && strlen(copy) == text->size);
    while ((line = strsep(&rest, "\n")) != NULL && *line != '\0') {
        check_line(line, lines, bytes.size);
        found++;
    }
    CLAIM(found == count);
    free(copy);
}

/* ---- what was read can be used ---- */

static void check_config(const struct rkb_config *config)
{
    CLAIM(config->instance != NULL && config->source_count > 0 && config->route_count > 0);
    CLAIM(config->journal.directory != NULL && config->control.socket != NULL);
    CLAIM(rkb_config_record_limit(config) > 0);
    for (size_t i = 0; i < config->source_count; i++) {
        struct rkb_error error = {0};
        char password[4096];
        CLAIM(config->sources[i].name != NULL);
        if (!rkb_config_password(&config->sources[i], password, sizeof password, &error))
            CLAIM(error.text[0] != '\0');
        (void)rkb_config_tls(&config->sources[i]);
    }
    for (size_t i = 0; i < config->route_count; i++) {
        const struct rkb_config_route *route = &config->routes[i];
        CLAIM(route->name != NULL && route->source_index < config->source_count && route->topic != NULL);
        CLAIM(route->channels.count + route->patterns.count > 0);
        (void)rkb_config_checks(route);
    }
}

static void check(struct rkb_slice bytes, bool embedded)
{
    struct rkb_mistakes mistakes, again;
    int descriptor = next_descriptor();
    struct rkb_config *config = rkb_config_read(path, embedded, &mistakes);
    struct rkb_config *other = rkb_config_read(path, embedded, &again);
    CLAIM((config == NULL) == (mistakes.count > 0) && (config == NULL) == (other == NULL));
    CLAIM(mistakes.count == again.count && mistakes.warning_count == again.warning_count);
    CLAIM(rkb_slice_equal(rkb_slice(mistakes.text.data, mistakes.text.size),
                          rkb_slice(again.text.data, again.text.size)));
    check_lines(&mistakes.text, mistakes.count, bytes);
    check_lines(&mistakes.warnings, mistakes.warning_count, bytes);
    if (config != NULL)
        check_config(config);
    rkb_config_free(config);
    rkb_config_free(other);
    rkb_mistakes_free(&mistakes);
    rkb_mistakes_free(&again);
    CLAIM(next_descriptor() == descriptor);
    check_untouched(bytes);
}

static void begin(void)
{
    temporary_path(directory, sizeof directory, "config");
    snprintf(path, sizeof path, "%s/rkbridge.yaml", directory);
    CLAIM(mkdir(directory, 0700) == 0);
    clearenv();
    setenv("HOME_OF", "value", 1);
    setenv("EMPTY", "", 1);
    setenv("ODD", "a: [b\n\xff", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {rkb_slice(data, size)};
    bool embedded = take_number(&input, 2) == 1;
    if (directory[0] == '\0')
        begin();
    write_file(input.rest);
    check(input.rest, embedded);
    return 0;
}
