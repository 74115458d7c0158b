/*
 * dead -- `rkbctl dead list|show`: the dead letters of a config, those in the file beside its journal and those in the
 * topics that its routes name, while a bridge runs or not.
 *
 *     the file --+
 *     topics ----+--> each letter as a JSON object --> a line of a table, or the object; the one that is asked for
 *
 * A letter has an id, its message's UUID, which two may share (sent again after a kill); and a place that is its own:
 * file/<sequence>, or <topic>/<partition>/<offset>. Never: changes anything, joins a group, commits.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/escape.h"
#include "config/config.h"
#include "journal/inspect.h"
#include "kafka/records.h"
#include "message/letter.h"
#include "tool/dump.h"
#include "tool/tool.h"

#define WAIT_MS 10000           /* for Kafka, each time */

struct dead {
    FILE *out, *err;
    const char *config_path;
    const char *route;          /* only of this route; NULL: of all */
    const char *wanted;         /* id or place; NULL: all */
    bool json, values;
    size_t count;
};

/* ---- one letter ---- */

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

static json_t *letter_of(const char *place, struct rkb_slice headers)
{
    json_t *object = json_object();
    struct rkb_letter letter;
    rkb_letter_read(headers, &letter);
    json_object_set_new(object, "place", json_string(place));
    for (size_t i = 0; i < RKB_LETTER_HEADERS; i++)
        if (letter.of[i].data != NULL)
            rkb_dump_bytes(object, members[i], letter.of[i]);
    return object;
}

static void add_content(json_t *object, bool has_key, struct rkb_slice key, struct rkb_slice value,
                        struct rkb_slice headers)
{
    if (has_key)
        rkb_dump_bytes(object, "key", key);
    else
        json_object_set_new(object, "key", json_null());
    json_object_set_new(object, "headers", own_headers(headers));
    json_object_set_new(object, "value_size", json_integer((json_int_t)value.size));
}

/* ---- showing ---- */

/* The member, else what stands for it, fit for a terminal and at least so wide. */
static void print_member(FILE *out, const json_t *object, const char *member, int width)
{
    struct rkb_buffer escaped = {0};
    char coded[64];
    snprintf(coded, sizeof coded, "%s_base64", member);
    const char *text = json_string_value(json_object_get(object, member));
    if (text == NULL)
        text = json_string_value(json_object_get(object, coded));
    rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(text != NULL && text[0] != '\0' ? text : "-"), &escaped);
    fprintf(out, "%-*.*s", width, (int)escaped.size, escaped.data != NULL ? (const char *)escaped.data : "");
    rkb_buffer_free(&escaped);
}

static const struct { const char *title, *member; int width; } columns[] = {
    {"set aside", "error_time", 24}, {"code", "code", 18}, {"route", "route", 16}, {"channel", "channel", 24},
    {"id", "id", 36}, {"place", "place", 0}};
#define COLUMNS (sizeof columns / sizeof columns[0])

static void print_titles(FILE *out)
{
    for (size_t i = 0; i < COLUMNS; i++)
        fprintf(out, "%-*s%s", columns[i].width, columns[i].title, i + 1 < COLUMNS ? "  " : "\n");
}

static void print_row(const struct dead *dead, const json_t *object)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        print_member(dead->out, object, columns[i].member, columns[i].width);
        fputs(i + 1 < COLUMNS ? "  " : "\n", dead->out);
    }
}

/* All there is to know, a line each, then an empty line and the value as it is. */
static void print_whole(const struct dead *dead, json_t *object, struct rkb_slice value)
{
    const char *member;
    json_t *content;
    json_object_foreach(object, member, content) {
        if (!json_is_string(content))
            continue;
        fprintf(dead->out, "%-11s ", member);
        print_member(dead->out, object, member, 0);
        fputc('\n', dead->out);
    }
    fprintf(dead->out, "%-11s %zu\n\n", "value_size", value.size);
    if (value.size > 0)
        fwrite(value.data, 1, value.size, dead->out);
    fputc('\n', dead->out);
}

static bool is_wanted(const struct dead *dead, const json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *place = json_string_value(json_object_get(object, "place"));
    const char *route = json_string_value(json_object_get(object, "route"));
    if (dead->route != NULL && (route == NULL || strcmp(route, dead->route) != 0))
        return false;
    return dead->wanted == NULL || (id != NULL && strcmp(id, dead->wanted) == 0) || strcmp(place, dead->wanted) == 0;
}

/* Takes the object. */
static void show(struct dead *dead, json_t *object, struct rkb_slice value)
{
    if (is_wanted(dead, object)) {
        if (dead->json && dead->values)
            rkb_dump_bytes(object, "value", value);
        if (dead->json) {
            json_dumpf(object, dead->out, JSON_COMPACT | JSON_PRESERVE_ORDER);
            fputc('\n', dead->out);
        } else if (dead->values) {
            print_whole(dead, object, value);
        } else {
            print_row(dead, object);
        }
        dead->count++;
    }
    json_decref(object);
}

/* ---- where they are ---- */

/* What the file's line of JSON says counts where the record has no headers: before version 2 it had none. */
static void see_in_file(void *context, const struct rkb_record *letter, const struct rkb_record *message)
{
    static const char *const pairs[][2] = {
        {"code", "code"}, {"reason", "reason"}, {"error_time", "time"}, {"route", "route"}, {"topic", "topic"}};
    char place[40];
    snprintf(place, sizeof place, "file/%llu", (unsigned long long)message->sequence);
    json_t *object = letter_of(place, message->headers);
    json_t *why = json_loadb((const char *)letter->value.data, letter->value.size, 0, NULL);
    for (size_t i = 0; (message->flags & RKB_FLAG_DEAD) == 0 && i < sizeof pairs / sizeof pairs[0]; i++)
        json_object_set(object, pairs[i][0], json_object_get(why, pairs[i][1]));
    json_decref(why);
    add_content(object, message->has_key, message->key, message->value, message->headers);
    show(context, object, message->value);
}

static void see_in_topic(void *context, const struct rkb_read_record *record)
{
    char place[300];
    snprintf(place, sizeof place, "%s/%d/%lld", record->topic, (int)record->partition, (long long)record->offset);
    json_t *object = letter_of(place, record->headers);
    add_content(object, record->has_key, record->key, record->value, record->headers);
    show(context, object, record->value);
}

static bool read_file(struct dead *dead, const struct rkb_config *config)
{
    struct rkb_error error;
    struct rkb_inspected_dead found;
    struct rkb_inspection *inspection = rkb_inspect_open(config->journal.directory, &rkb_sys_posix, &error);
    bool good = inspection != NULL && rkb_inspect_dead(inspection, &found, see_in_file, dead, &error);
    if (inspection != NULL)
        rkb_inspect_close(inspection);
    if (!good)
        fprintf(dead->err, "rkbctl: %s\n", error.text);
    else if (found.reason[0] != '\0')
        fprintf(dead->err, "rkbctl: %s at %llu: %s; what is behind is not shown\n", found.path,
                (unsigned long long)found.offset, found.reason);
    return good && found.state != RKB_SEGMENT_DAMAGED && found.state != RKB_SEGMENT_NEWER;
}

/* Several routes may share a topic: it is read for the first of them. */
static bool is_first(const struct rkb_config *config, size_t route)
{
    for (size_t i = 0; i < route; i++)
        if (config->routes[i].dead_letter != NULL
            && strcmp(config->routes[i].dead_letter, config->routes[route].dead_letter) == 0)
            return false;
    return true;
}

static bool read_topics(struct dead *dead, const struct rkb_config *config)
{
    struct rkb_records *records = NULL;
    struct rkb_error error;
    bool good = true;
    for (size_t i = 0; i < config->route_count; i++) {
        const char *topic = config->routes[i].dead_letter;
        if (topic == NULL || !is_first(config, i))
            continue;
        if (records == NULL)
            records = rkb_records_new(config->kafka.properties.list, config->kafka.properties.count, &error);
        if (records != NULL && rkb_records_visit(records, topic, WAIT_MS, see_in_topic, dead, &error))
            continue;
        fprintf(dead->err, "rkbctl: %s\n", error.text);
        good = false;
        if (records == NULL)
            break;
    }
    rkb_records_free(records);
    return good;
}

/* ---- the command ---- */

static int wrong_use(FILE *err)
{
    fputs("usage: rkbctl dead list [--json] [--route ROUTE] -c FILE\n"
          "       rkbctl dead show [--json] -c FILE ID\n"
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
        else if (is_show && argv[i][0] != '-' && dead->wanted == NULL)
            dead->wanted = argv[i];
        else
            return false;
    }
    dead->values = is_show;
    return dead->config_path != NULL && (is_list || (is_show && dead->wanted != NULL));
}

int rkb_tool_dead(int argc, char **argv, FILE *out, FILE *err)
{
    struct dead dead = {.out = out, .err = err};
    struct rkb_mistakes mistakes = {0};
    if (!read_words(&dead, argc, argv))
        return wrong_use(err);
    struct rkb_config *config = rkb_config_read(dead.config_path, false, &mistakes);
    if (config == NULL)
        fprintf(err, "%.*s", (int)mistakes.text.size, (const char *)mistakes.text.data);
    rkb_mistakes_free(&mistakes);
    if (config == NULL)
        return RKB_EXIT_USAGE;
    if (!dead.json && !dead.values)
        print_titles(out);
    bool good = read_file(&dead, config);
    good = read_topics(&dead, config) && good;
    rkb_config_free(config);
    if (dead.wanted != NULL && dead.count == 0) {
        fprintf(err, "rkbctl: no dead letter with this id or place\n");
        return 1;
    }
    return good ? 0 : 1;
}
