/*
 * The sample file and the man page against the table of settings, and the sample cut and changed everywhere: whatever a
 * file holds, it is a config or it has mistakes.
 */
#include "config_files.h"

#include <ctype.h>

#include "config/difference.h"
#include "config/settings.h"
#include "config/values.h"

/*
 * The sample with its directories moved into the test's; the control socket's, at its default, has to be named for
 * that.
 */
static char *sample(void)
{
    char *text = source_file("etc/rkbridge.yaml");
    char *first = replaced(text, "/var/lib/rkbridge", "@/journal");
    char *second = replaced(first, "#socket: /run/rkbridge/control.sock", "socket: @/run/control.sock");
    assert_string_not_equal(first, second);
    char *whole = replaced_directory(&files, second);
    free(text);
    free(first);
    free(second);
    return whole;
}

static struct rkb_config *read_text(const char *text)
{
    struct rkb_mistakes mistakes;
    files_write(files.config, text, strlen(text));
    struct rkb_config *config = rkb_config_read(files.config, false, &mistakes);
    if (config == NULL)
        fail_msg("%s", (char *)mistakes.text.data);
    rkb_mistakes_free(&mistakes);       /* there may be warnings: not every machine knows the sample's users */
    return config;
}

/* Every `#name:` becomes `name:`, as the sample's head says; prose has a space behind its #. */
static char *uncommented(const char *text)
{
    char *copy = strdup(text), *out = copy;
    bool indent = true;
    assert_non_null(copy);
    for (const char *in = text; *in != '\0'; in++) {
        bool setting = indent && *in == '#' && islower((unsigned char)in[1]);
        indent = *in == '\n' || (indent && *in == ' ');
        if (!setting)
            *out++ = *in;
    }
    *out = '\0';
    return copy;
}

static void sample_passes(void **state)
{
    (void)state;
    char *text = sample();
    struct rkb_config *config = read_text(text);
    assert_int_equal(config->source_count, 1);
    assert_int_equal(config->route_count, 2);
    assert_string_equal(config->routes[0].topic, "user_activity");
    assert_string_equal(config->routes[1].channels.texts[0], "product_inventory_updates");
    assert_int_equal(config->routes[1].expect.count, 2);
    rkb_config_free(config);
    free(text);
}

/* The sample shows these by an example, not by their default. */
static bool is_example(const struct rkb_setting *row)
{
    return row->type == RKB_SETTING_LIST || row->type == RKB_SETTING_MAP || row->type == RKB_SETTING_EXPECT
           || row->type == RKB_SETTING_FILTER || row->type == RKB_SETTING_PROPERTIES;
}

static bool same_value(const struct rkb_setting *row, const void *a, const void *b)
{
    return is_example(row) || rkb_setting_equal(row, a, b);
}

/* What is commented out is written as the default it has. */
static void commented_out_is_the_default(void **state)
{
    (void)state;
    char *text = sample(), *all = uncommented(text);
    struct rkb_config *config = read_text(text), *full = read_text(all);
    assert_int_not_equal(strlen(text), strlen(all));
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const struct rkb_setting *row = &rkb_settings[i];
        bool same = strncmp(row->path, "redis.", 6) == 0    ? same_value(row, config->sources, full->sources)
                    : strncmp(row->path, "routes.", 7) == 0 ? same_value(row, config->routes, full->routes)
                                                            : same_value(row, config, full);
        if (!same)
            fail_msg("%s in the sample is not its default", row->path);
    }
    rkb_config_free(config);
    rkb_config_free(full);
    free(text);
    free(all);
}

/* True if `name:` stands in the section, behind nothing but blanks and perhaps a #. */
static bool names(const char *section, size_t size, const char *name)
{
    size_t name_size = strlen(name);
    for (const char *line = section; line < section + size; line += strcspn(line, "\n") + 1) {
        const char *word = line + strspn(line, " #");
        if (strncmp(word, name, name_size) == 0 && word[name_size] == ':')
            return true;
    }
    return false;
}

static void sample_names_every_setting(void **state)
{
    (void)state;
    char *text = sample();
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const char *path = rkb_settings[i].path, *leaf = strrchr(path, '.');
        char start[40];
        snprintf(start, sizeof start, "\n%.*s:", (int)strcspn(path, "."), path);
        const char *section = leaf == NULL ? text : strstr(text, start);
        if (section == NULL)
            fail_msg("the sample has no section for %s", path);
        size_t size = leaf == NULL ? strlen(text) : 2;
        while (leaf != NULL && section[size] != '\0'
               && !(section[size - 1] == '\n' && islower((unsigned char)section[size])))
            size++;
        if (!names(section, size, leaf == NULL ? path : leaf + 1))
            fail_msg("the sample does not name %s", path);
    }
    free(text);
}

static void help_has_every_setting(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    rkb_config_help(out);
    assert_int_equal(fclose(out), 0);
    assert_non_null(strstr(text, "journal.segment_size\n    a size, 64 KiB to 1 GiB; default 64MiB\n"));
    assert_non_null(strstr(text, "redis.*.url\n    a url; required\n"));
    assert_non_null(strstr(text, "journal.sync\n    a duration or none or always, 1 ms to 1 h; default 1s\n"));
    assert_non_null(strstr(text, "log.format\n    one of text, json; default text\n"));
    for (size_t i = 0; i < rkb_setting_count; i++)
        assert_non_null(strstr(text, rkb_settings[i].help));
    free(text);
}

/*
 * A config or mistakes, never both, never neither; each mistake on a line of its own that begins with the file's name.
 */
static void try_bytes(const char *bytes, size_t size)
{
    struct rkb_mistakes mistakes;
    files_write(files.config, bytes, size);
    struct rkb_config *config = rkb_config_read(files.config, false, &mistakes);
    assert_int_equal(config == NULL, mistakes.count > 0);
    size_t lines = 0;
    for (const char *line = (const char *)mistakes.text.data; mistakes.count > 0 && *line != '\0';
         line = strchr(line, '\n') + 1) {
        assert_int_equal(strncmp(line, files.config, strlen(files.config)), 0);
        lines++;
    }
    assert_int_equal(lines, mistakes.count);
    rkb_mistakes_free(&mistakes);
    rkb_config_free(config);
}

static void cut_at_every_byte(void **state)
{
    (void)state;
    char *text = sample();
    for (size_t size = strlen(text) + 1; size > 0; size--)
        try_bytes(text, size - 1);
    free(text);
}

/* A small generator, the same in every run. */
static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static void changed_at_random(void **state)
{
    (void)state;
    static const char telling[] = "\n :-[]{}\"'&*!|>#%@`?,\\$\t\x01\x80\xff" "09az";
    char *text = sample(), *all = uncommented(text), *copy = strdup(all);
    uint64_t seed = 1;
    size_t size = strlen(all);
    assert_non_null(copy);
    for (int i = 0; i < 3000; i++) {
        memcpy(copy, all, size);
        for (uint32_t changes = next_random(&seed) % 4 + 1; changes > 0; changes--)
            copy[next_random(&seed) % size] = telling[next_random(&seed) % sizeof telling];
        try_bytes(copy, size);
    }
    free(text);
    free(all);
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sample_passes),
        cmocka_unit_test(commented_out_is_the_default),
        cmocka_unit_test(sample_names_every_setting),
        cmocka_unit_test(help_has_every_setting),
        cmocka_unit_test(cut_at_every_byte),
        cmocka_unit_test(changed_at_random),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
