/*
 * schema, by the official suite for draft-07 (Debian package json-schema-test-suite): every file, every case. A group
 * whose schema is refused must stand in the list below, and every group of the list must be refused: nothing is left
 * out unseen. The files are read with our own reader, as it keeps numbers as they are written.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "message/document.h"
#include "message/schema.h"

#define DRAFT RKB_SCHEMA_SUITE "/tests/draft7"

/* file, group (NULL: all of the file), and words of the refusal. */
static const struct {
    const char *file, *group, *says;
} refused[] = {
    {"definitions.json", NULL, "leads to no schema in this file"},
    {"ref.json", "remote ref, containing refs itself", "leads to no schema in this file"},
    {"ref.json", "escaped pointer ref", "\"tilda~field\" is no keyword"},
    {"ref.json", "ref overrides any sibling keywords", "beside a $ref this has no effect"},
    {"refRemote.json", NULL, "leads to no schema in this file"},
    {"optional/content.json", NULL, "does not look into a string's content"},
    {"optional/ecmascript-regex.json", NULL, "format is not checked"},
    {"optional/format/", NULL, "format is not checked"},
};
#define REFUSED (sizeof refused / sizeof *refused)

struct run {
    const char *file;
    struct rkb_document document;
    struct rkb_schema_room *room;
    unsigned groups, cases, refused_groups, refused_cases, wrong;
    unsigned met[REFUSED];
};

struct mistakes {
    char text[2000];
};

static void note_mistake(void *context, size_t line, size_t column, const char *text)
{
    struct mistakes *mistakes = context;
    size_t used = strlen(mistakes->text);
    snprintf(mistakes->text + used, sizeof mistakes->text - used, "%zu:%zu: %s\n", line, column, text);
}

/* The value's text, as it stands. */
static struct rkb_slice text_of(const struct run *run, uint32_t value)
{
    const uint8_t *text = run->document.text.data, *start = text + run->document.values[value].at;
    struct rkb_json_spot end = rkb_json_value(start, text + run->document.text.size, RKB_JSON_DEPTH);
    assert_true(end.good);
    return rkb_slice(start, (size_t)(end.at - start));
}

static uint32_t member(const struct run *run, uint32_t object, const char *name)
{
    struct rkb_slice key = rkb_slice_text(name);
    uint32_t value = rkb_values_member(run->document.values, object, key, rkb_key_hash(key));
    if (value == 0)
        fail_msg("%s: a group or a case without \"%s\"", run->file, name);
    return value;
}

static void run_case(struct run *run, const struct rkb_schema *schema, const char *group, uint32_t one)
{
    char reason[RKB_SCHEMA_REASON] = "";
    bool expected = *run->document.values[member(run, one, "valid")].data == 't';
    struct rkb_slice data = text_of(run, member(run, one, "data"));
    bool valid = rkb_schema_check(schema, run->room, data, reason, sizeof reason);
    run->cases++;
    if (valid == expected && (valid || strchr(reason, '#') != NULL))
        return;
    struct rkb_slice name = rkb_value_text(&run->document.values[member(run, one, "description")]);
    print_error("%s: %s: %.*s: %s, but here it is %s (%s)\n", run->file, group, (int)name.size,
                (const char *)name.data, expected ? "valid" : "invalid", valid ? "valid" : "invalid", reason);
    run->wrong++;
}

/* Whether that row of the list is about the group. */
static bool is_about(size_t row, const char *file, const char *group)
{
    size_t size = strlen(refused[row].file);
    bool folder = refused[row].file[size - 1] == '/';
    return strncmp(file, refused[row].file, folder ? size : size + 1) == 0 &&
           (refused[row].group == NULL || strcmp(refused[row].group, group) == 0);
}

/* Whether the refusal was expected. */
static bool is_expected(struct run *run, const char *group, const char *mistakes)
{
    for (size_t i = 0; i < REFUSED; i++) {
        if (!is_about(i, run->file, group) || strstr(mistakes, refused[i].says) == NULL)
            continue;
        run->met[i]++;
        return true;
    }
    return false;
}

/* A group of the list that was not refused. */
static bool should_be_refused(const struct run *run, const char *group)
{
    for (size_t i = 0; i < REFUSED; i++)
        if (is_about(i, run->file, group))
            return true;
    return false;
}

static void run_group(struct run *run, uint32_t group)
{
    const struct rkb_value *values = run->document.values;
    uint32_t tests = member(run, group, "tests");
    struct rkb_slice description = rkb_value_text(&values[member(run, group, "description")]);
    char name[200];
    snprintf(name, sizeof name, "%.*s", (int)description.size, (const char *)description.data);
    struct mistakes mistakes = {""};
    struct rkb_schema *schema = rkb_schema_compile(text_of(run, member(run, group, "schema")), note_mistake, &mistakes);
    if (schema == NULL) {
        run->refused_groups++;
        run->refused_cases += values[tests].count;
        if (!is_expected(run, name, mistakes.text)) {
            print_error("%s: %s: refused, which is not expected: %s", run->file, name, mistakes.text);
            run->wrong++;
        }
        return;
    }
    run->groups++;
    if (should_be_refused(run, name)) {
        print_error("%s: %s: taken, which is not expected\n", run->file, name);
        run->wrong++;
    }
    for (uint32_t one = tests + 1; one < values[tests].next; one = values[one].next)
        run_case(run, schema, name, one);
    rkb_schema_free(schema);
}

static void run_file(struct run *run, const char *file)
{
    char path[1000];
    struct rkb_buffer text = {0};
    snprintf(path, sizeof path, "%s/%s", DRAFT, file);
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    uint8_t *room = rkb_buffer_reserve(&text, 1 << 20);
    assert_non_null(room);
    text.size = fread(room, 1, 1 << 20, stream);
    fclose(stream);
    run->file = file;
    struct rkb_slice json = rkb_slice(text.data, text.size);
    assert_true(rkb_json_valid(json, NULL));
    assert_int_equal(rkb_document_read(&run->document, json), RKB_DOCUMENT_READ);
    for (uint32_t group = 1; group < run->document.values[0].next; group = run->document.values[group].next)
        run_group(run, group);
    rkb_buffer_free(&text);
}

static void run_folder(struct run *run, const char *folder)
{
    struct dirent **entries;
    char path[1000], file[300];
    snprintf(path, sizeof path, "%s/%s", DRAFT, folder);
    int count = scandir(path, &entries, NULL, alphasort);
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        size_t size = strlen(entries[i]->d_name);
        if (size > 5 && strcmp(entries[i]->d_name + size - 5, ".json") == 0) {
            snprintf(file, sizeof file, "%s%s", folder, entries[i]->d_name);
            run_file(run, file);
        }
        free(entries[i]);
    }
    free(entries);
}

static void every_case_of_every_file(void **state)
{
    (void)state;
    struct run run = {.room = rkb_schema_room_new()};
    assert_non_null(run.room);
    run_folder(&run, "");
    run_folder(&run, "optional/");
    run_folder(&run, "optional/format/");
    for (size_t i = 0; i < REFUSED; i++)
        if (run.met[i] == 0) {
            print_error("%s: %s: in the list, but was not refused\n", refused[i].file, refused[i].group);
            run.wrong++;
        }
    print_message("draft-07: %u groups with %u cases checked; %u groups with %u cases refused, as listed\n",
                  run.groups, run.cases, run.refused_groups, run.refused_cases);
    rkb_document_free(&run.document);
    rkb_schema_room_free(run.room);
    assert_true(run.cases >= 400);
    assert_int_equal(run.wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_case_of_every_file)};
    DIR *there = opendir(DRAFT);
    if (there != NULL) {
        closedir(there);
        return cmocka_run_group_tests(tests, NULL, NULL);
    }
    fprintf(stderr, "NOT RUN: the official tests of JSON Schema, since " DRAFT " is not there; on Debian: apt-get "
                    "install json-schema-test-suite, or configure --with-json-schema-test-suite=DIR\n");
    return 77;
}
