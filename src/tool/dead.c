/*
 * dead -- `rkbctl dead list|show|retry`: the dead letters of a config.
 *
 *     letters.h: each of them --> waiting, or sent again (journal/retried.h) --> a line of a table, or a JSON object;
 *     the one that is asked for, whole
 *
 * retry is in dead_retry.c. Never: changes anything.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "journal/retried.h"
#include "tool/dead_retry.h"
#include "tool/dump.h"
#include "tool/letters.h"
#include "tool/tool.h"

struct dead {
    FILE *out, *err;
    const char *config_path;
    const char *route;          /* only of this route; NULL: of all */
    const char *wanted;         /* id or place; NULL: all */
    bool json, values, all;
    struct rkb_retried *retried;
    size_t count;
};

/* ---- for programs ---- */

static const char *const members[RKB_LETTER_HEADERS] = {
    [RKB_LETTER_CODE] = "code", [RKB_LETTER_REASON] = "reason", [RKB_LETTER_ERROR_TIME] = "error_time",
    [RKB_LETTER_ROUTE] = "route", [RKB_LETTER_SOURCE] = "source", [RKB_LETTER_CHANNEL] = "channel",
    [RKB_LETTER_PATTERN] = "pattern", [RKB_LETTER_ID] = "id", [RKB_LETTER_POSITION] = "position",
    [RKB_LETTER_TIME] = "time", [RKB_LETTER_TOPIC] = "topic", [RKB_LETTER_FORM] = "form",
};

static json_t *own_headers(struct rkb_slice headers)
{
    json_t *list = json_array();
    struct rkb_reader area = rkb_reader(headers.data, headers.size);
    struct rkb_slice name, value;
    while (rkb_headers_next(&area, &name, &value)) {
        if (rkb_letter_names(name))
            continue;
        json_t *header = json_object();
        rkb_dump_bytes(header, "name", name);
        rkb_dump_bytes(header, "value", value);
        json_array_append_new(list, header);
    }
    return list;
}

static void print_json(const struct dead *dead, const struct rkb_found_letter *letter, const char *when)
{
    json_t *object = json_object();
    json_object_set_new(object, "place", json_string(letter->place));
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++)
        if (letter->says.of[i].data != NULL)
            rkb_dump_bytes(object, members[i], letter->says.of[i]);
    if (when != NULL)
        json_object_set_new(object, "retried", json_stringn(when, 24));
    if (letter->has_key)
        rkb_dump_bytes(object, "key", letter->key);
    else
        json_object_set_new(object, "key", json_null());
    json_object_set_new(object, "headers", own_headers(letter->headers));
    json_object_set_new(object, "value_size", json_integer((json_int_t)letter->value.size));
    if (dead->values)
        rkb_dump_bytes(object, "value", letter->value);
    json_dumpf(object, dead->out, JSON_COMPACT | JSON_PRESERVE_ORDER);
    fputc('\n', dead->out);
    json_decref(object);
}

/* ---- for people ---- */

static const struct { const char *title; enum rkb_letter_header header; int width; } columns[] = {
    {"set aside", RKB_LETTER_ERROR_TIME, 24}, {"code", RKB_LETTER_CODE, 18}, {"route", RKB_LETTER_ROUTE, 16},
    {"channel", RKB_LETTER_CHANNEL, 24}, {"id", RKB_LETTER_ID, 36}};
#define COLUMNS (sizeof columns / sizeof columns[0])
#define STATE_WIDTH 32          /* "retried 2026-01-02T03:04:05.678Z" */

static void print_titles(const struct dead *dead)
{
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(dead->out, "%-*s  ", columns[i].width, columns[i].title);
    if (dead->all)
        fprintf(dead->out, "%-*s  ", STATE_WIDTH, "state");
    fputs("place\n", dead->out);
}

static void print_row(const struct dead *dead, const struct rkb_found_letter *letter, const char *when)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        rkb_letters_print(letter->says.of[columns[i].header], columns[i].width, dead->out);
        fputs("  ", dead->out);
    }
    if (dead->all && when != NULL)
        fprintf(dead->out, "retried %.24s  ", when);
    else if (dead->all)
        fprintf(dead->out, "%-*s  ", STATE_WIDTH, "waiting");
    fprintf(dead->out, "%s\n", letter->place);
}

static void print_member(const struct dead *dead, const char *member, struct rkb_slice text)
{
    fprintf(dead->out, "%-11s ", member);
    rkb_letters_print(text, 0, dead->out);
    fputc('\n', dead->out);
}

/* All there is to know, a line each, then an empty line and the value as it is. */
static void print_whole(const struct dead *dead, const struct rkb_found_letter *letter, const char *when)
{
    print_member(dead, "place", rkb_slice_text(letter->place));
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++)
        if (letter->says.of[i].data != NULL)
            print_member(dead, members[i], letter->says.of[i]);
    if (when != NULL)
        print_member(dead, "retried", rkb_slice(when, 24));
    if (letter->has_key)
        print_member(dead, "key", letter->key);
    fprintf(dead->out, "%-11s %zu\n\n", "value_size", letter->value.size);
    if (letter->value.size > 0)
        fwrite(letter->value.data, 1, letter->value.size, dead->out);
    fputc('\n', dead->out);
}

/* ---- list and show ---- */

static bool is(struct rkb_slice text, const char *wanted)
{
    return rkb_slice_equal(text, rkb_slice_text(wanted));
}

static void see(void *context, const struct rkb_found_letter *letter)
{
    struct dead *dead = context;
    const struct rkb_slice *of = letter->says.of;
    if (dead->route != NULL && !is(of[RKB_LETTER_ROUTE], dead->route))
        return;
    if (dead->wanted != NULL && !is(of[RKB_LETTER_ID], dead->wanted) && strcmp(letter->place, dead->wanted) != 0)
        return;
    const char *when = rkb_retried_when(dead->retried, letter->place, of[RKB_LETTER_ID]);
    if (!dead->values && !dead->all && when != NULL)
        return;
    dead->count++;
    if (dead->json)
        print_json(dead, letter, when);
    else if (dead->values)
        print_whole(dead, letter, when);
    else
        print_row(dead, letter, when);
}

static int wrong_use(FILE *err)
{
    fputs("usage: rkbctl dead list [--json] [--route ROUTE] [--all] -c FILE\n"
          "       rkbctl dead show [--json] -c FILE ID\n"
          "       rkbctl dead retry [--dry-run] -c FILE --all | --route ROUTE | ID ...\n"
          "FILE is rkbridge's config; ID a letter's id, or its place as list shows it.\n", err);
    return RKB_EXIT_USAGE;
}

/* False for wrong use. */
static bool read_words(struct dead *dead, int argc, char **argv)
{
    bool is_list = argc > 1 && strcmp(argv[1], "list") == 0, is_show = argc > 1 && strcmp(argv[1], "show") == 0;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            dead->json = true;
        else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            dead->config_path = argv[++i];
        else if (is_list && strcmp(argv[i], "--route") == 0 && i + 1 < argc)
            dead->route = argv[++i];
        else if (is_list && strcmp(argv[i], "--all") == 0)
            dead->all = true;
        else if (is_show && argv[i][0] != '-' && dead->wanted == NULL)
            dead->wanted = argv[i];
        else
            return false;
    }
    dead->values = is_show;
    return dead->config_path != NULL && (is_list || (is_show && dead->wanted != NULL));
}

static int look(struct dead *dead, const struct rkb_config *config)
{
    struct rkb_error error;
    dead->retried = rkb_retried_read(config->journal.directory, &rkb_sys_posix, &error);
    if (dead->retried == NULL) {
        fprintf(dead->err, "rkbctl: %s\n", error.text);
        return 1;
    }
    if (!dead->json && !dead->values)
        print_titles(dead);
    bool good = rkb_letters_visit(config, dead->err, see, dead);
    rkb_retried_free(dead->retried);
    if (dead->wanted == NULL || dead->count > 0)
        return good ? 0 : 1;
    fprintf(dead->err, "rkbctl: no dead letter with this id or place\n");
    return 1;
}

int rkb_tool_dead(int argc, char **argv, FILE *out, FILE *err)
{
    struct dead dead = {.out = out, .err = err};
    struct rkb_retry_words words;
    if (argc > 1 && strcmp(argv[1], "retry") == 0)
        return rkb_retry_words(&words, argc, argv) ? rkb_tool_dead_retry(&words, out, err) : wrong_use(err);
    if (!read_words(&dead, argc, argv))
        return wrong_use(err);
    struct rkb_config *config = rkb_letters_config(dead.config_path, err);
    if (config == NULL)
        return RKB_EXIT_USAGE;
    int code = look(&dead, config);
    rkb_config_free(config);
    return code;
}
