/*
 * Each kind of mistake with its exact line and column: tests/unit/data/config/mistakes.txt, which says how to read it.
 * Here: what such a file cannot hold, and that no secret is ever in a mistake.
 */
#include "config_files.h"

static int set_up(void **state)
{
    int made = make_files(state);
    files_add(&files, "empty", "", 0);
    setenv("RKB_TIMEOUT", "soon", 1);
    setenv("RKB_SLOT", "some {{no}}", 1);
    return made;
}

static int tear_down(void **state)
{
    files_remove(&files, "empty");
    return drop_files(state);
}

/* The mistakes in files.config, else the warnings, without its name and with `@/` for the directory; to be freed. */
static char *mistakes_found(void)
{
    struct rkb_mistakes mistakes;
    char name[250], directory[210];
    struct rkb_config *config = rkb_config_read(files.config, false, &mistakes);
    size_t lines = 0;
    assert_int_equal(config == NULL, mistakes.count > 0);
    assert_true(mistakes.count == 0 || mistakes.warning_count == 0);
    const struct rkb_buffer *text = mistakes.warning_count > 0 ? &mistakes.warnings : &mistakes.text;
    for (size_t i = 0; i < text->size; i++)
        lines += text->data[i] == '\n';
    assert_int_equal(lines, mistakes.count + mistakes.warning_count);
    snprintf(name, sizeof name, "%s:", files.config);
    snprintf(directory, sizeof directory, "%s/", files.directory);
    char *unnamed = replaced(lines > 0 ? (char *)text->data : "", name, "");
    char *found = replaced(unnamed, directory, "@/");
    free(unnamed);
    rkb_mistakes_free(&mistakes);
    rkb_config_free(config);
    return found;
}

/* Line by line; a wanted line that ends in "..." may go on. */
static bool as_wanted(const char *found, const char *wanted)
{
    while (*wanted != '\0' && *found != '\0') {
        size_t wanted_size = strcspn(wanted, "\n"), found_size = strcspn(found, "\n");
        bool open = wanted_size >= 3 && strncmp(wanted + wanted_size - 3, "...", 3) == 0;
        size_t size = open ? wanted_size - 3 : wanted_size;
        if (found_size < size || (!open && found_size != size) || strncmp(wanted, found, size) != 0)
            return false;
        wanted += wanted_size + (wanted[wanted_size] == '\n');
        found += found_size + (found[found_size] == '\n');
    }
    return *wanted == '\0' && *found == '\0';
}

/* One case: "name[ !]\n" text "=>\n" wanted. True if the mistakes are the wanted ones. */
static bool try_case(char *block)
{
    char *end_of_name = strchr(block, '\n');
    char *arrow = strstr(end_of_name, "\n=>\n");
    assert_non_null(arrow);
    char *wanted = arrow + 4;
    char *text = end_of_name + 1;
    arrow[1] = '\0';
    *end_of_name = '\0';
    char *comment = strstr(wanted, "\n\n");
    if (comment != NULL)
        comment[1] = '\0';
    bool alone = end_of_name[-1] == '!';
    if (alone)
        files_write(files.config, text, strlen(text));
    else
        write_completed(&files, text);
    char *found = mistakes_found();
    bool good = as_wanted(found, wanted);
    if (!good)
        print_error("=== %s\n%s=>\n%s\n", block, text, found);
    free(found);
    return good;
}

/* How many cases the file has. */
static size_t try_file(const char *name, size_t *failed)
{
    char *all = source_file(name);
    size_t tried = 0;
    char *block = strstr(all, "\n=== ");
    while (block != NULL) {
        char *next = strstr(block + 1, "\n=== ");
        if (next != NULL)
            *next = '\0';
        *failed += !try_case(block + 5);
        tried++;
        block = next;
    }
    free(all);
    return tried;
}

static void every_kind(void **state)
{
    (void)state;
    size_t failed = 0;
    assert_true(try_file("tests/unit/data/config/mistakes.txt", &failed) > 90);
    assert_true(try_file("tests/unit/data/config/checks.txt", &failed) > 30);
    assert_int_equal(failed, 0);
}

/* One file with many of them: all at once, in the order of the file. */
static void all_at_once(void **state)
{
    (void)state;
    char *text = source_file("tests/unit/data/config/all.yaml");
    char *wanted = source_file("tests/unit/data/config/all.txt");
    files_write(files.config, text, strlen(text));
    char *found = mistakes_found();
    if (!as_wanted(found, wanted))
        fail_msg("%s", found);
    free(found);
    free(wanted);
    free(text);
}

/* A literal with its NULs. */
#define BYTES(literal) literal, sizeof(literal) - 1

static void assert_mistake(const void *bytes, size_t size, const char *wanted)
{
    files_write(files.config, bytes, size);
    char *found = mistakes_found();
    if (!as_wanted(found, wanted))
        fail_msg("%s instead of %s", found, wanted);
    free(found);
}

static void bytes_that_are_no_text(void **state)
{
    (void)state;
    assert_mistake(BYTES("instance: x\nlog:  \x01\n"), "2:7: not YAML: control characters are not allowed\n");
    assert_mistake(BYTES("instance: caf\xe9\n"), "1:14: not UTF-8\n");
    assert_mistake(BYTES("instance: \"\xc3\xa9\xc3\xa9 \xff\"\n"), "1:15: not UTF-8\n");
    assert_mistake(BYTES("\xef\xbb\xbfinstance: \xff\n"), "1:11: not UTF-8\n");
    assert_mistake(BYTES("instance: x\n\0"), "2:1: a NUL byte; the file must be UTF-8 text\n");
    assert_mistake(BYTES("\xff\xfei\0n\0"), "1:4: a NUL byte; the file must be UTF-8 text\n");
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    struct rkb_mistakes mistakes;
    assert_null(rkb_config_read("/dev/null/none", false, &mistakes));
    assert_string_equal((char *)mistakes.text.data, "/dev/null/none: cannot be read: Not a directory\n");
    rkb_mistakes_free(&mistakes);
    assert_null(rkb_config_read("/", false, &mistakes));
    assert_string_equal((char *)mistakes.text.data, "/: cannot be read: Is a directory\n");
    rkb_mistakes_free(&mistakes);
}

/* `count` times `part`, between `head` and `tail`, as the whole file; `wanted` is in what is wrong with it. */
static void assert_mistake_of_many(const char *head, const char *part, size_t count, const char *tail,
                                   const char *wanted)
{
    struct rkb_buffer text = {0};
    struct rkb_mistakes mistakes;
    rkb_buffer_text(&text, head);
    for (size_t i = 0; i < count; i++)
        rkb_buffer_format(&text, part, i);
    rkb_buffer_text(&text, tail);
    assert_false(text.failed);
    files_write(files.config, text.data, text.size);
    rkb_buffer_free(&text);
    assert_null(rkb_config_read(files.config, false, &mistakes));
    if (memmem(mistakes.text.data, mistakes.text.size, wanted, strlen(wanted)) == NULL)
        fail_msg("no \"%s\" in %.2000s", wanted, (char *)mistakes.text.data);
    assert_true(mistakes.count < 100000);       /* and the reading stopped there */
    rkb_mistakes_free(&mistakes);
}

static void too_much(void **state)
{
    (void)state;
    assert_mistake_of_many("", "# %055zu\n", 74000, "", ": is longer than 4 MiB");
    assert_mistake_of_many("log: {", "a%zu: x, ", 10001, "}\n", "1:6: log: more than 10000 names\n");
    assert_mistake_of_many("instance: ", "[", 100000, "\n", "1:42: nested too deep\n");
}

/* Aliases make much of little: each route has the same long list, each list the one before it ten times. */
static void aliases_that_grow(void **state)
{
    (void)state;
    assert_mistake_of_many("x: &list "
                           "[a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]\n"
                           "routes:\n",
                           "  r%zu: {source: a, topic: t, channels: *list}\n", 5000, "",
                           "more than 100000 names and list items, aliases followed\n");
    assert_mistake_of_many("x: &list [a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
                           "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a]\n"
                           "routes:\n",
                           "  r%zu: {source: a, topic: t, filter: *list, expect: {at: /a, enum: *list}}\n", 1300, "",
                           "more than 100000 names and list items, aliases followed\n");
    assert_mistake(BYTES("routes: &r\n  a: *r\nredis: &s [*s]\n"),
                   "1:1: journal.directory: required, and missing\n"
                   "1:1: kafka.properties: bootstrap.servers is required, and missing\n"
                   "2:3: routes.a.a: unknown setting\n"
                   "2:3: routes.a.source: required, and missing\n"
                   "2:3: routes.a.topic: required, and missing\n"
                   "2:3: routes.a: neither channels nor patterns\n"
                   "3:1: redis: no source; name at least one\n"
                   "3:8: redis: a list where a mapping of settings is wanted\n");
}

static void secrets_are_never_shown(void **state)
{
    (void)state;
    setenv("RKB_SECRET", "s3cret\nmore", 1);
    files_add(&files, "secret", "s3cret", 6);
    static const char *const texts[] = {
        "redis: {legacy: {url: 'redis://u:s3cret@h:99999', pasword: s3cret}}\n",
        "redis: {legacy: {url: 'http://u:s3cret@h'}}\n",
        "redis: {legacy: {url: 'redis://u:s3cret@h/0', password: s3cret}}\n",
        "redis: {legacy: {url: 'redis://u:s3cret@h', password: [s3cret], user: {s3: s3cret}, "
        "password_file: @/secret}}\n",
        "redis: {legacy: {url: 'redis://u:${RKB_SECRET}@h:x', password: '${RKB_SECRET}${RKB_NO}'}}\n",
        "redis: {legacy: {url: 'redis://h', password: *s3cret}}\n",
        "redis: {legacy: {url: 'redis://h', password: 's3cret\n",
        "kafka: {properties: {bootstrap.servers: h, sasl.passwort: s3cret, sasl.password: {s3cret: 1}}}\n",
        "kafka: {properties: {bootstrap.servers: h, ssl.key.pem: s3cret, ssl.key.location: s3cret, sasl.password: "
        "s3cret, sasl.passwort_file: @/secret}}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_completed(&files, texts[i]);
        char *found = mistakes_found();
        if (*found == '\0' || strstr(found, "s3cret") != NULL)
            fail_msg("%s gives %s", texts[i], found);
        free(found);
    }
    files_remove(&files, "secret");
}

/* Control characters of a name or value do not reach the terminal. */
static void one_line_each(void **state)
{
    (void)state;
    write_completed(&files, "\"a\\n\\eb\": x\nlog: {level: \"a\\nb\"}\n");
    char *found = mistakes_found();
    assert_string_equal(found, "1:1: a... (the rest is no name, and not shown): unknown setting\n"
                               "2:14: log.level: \"a?b\" is not one of error, warn, info, debug\n");
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(all_at_once),
        cmocka_unit_test(bytes_that_are_no_text),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(too_much),
        cmocka_unit_test(aliases_that_grow),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(one_line_each),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
