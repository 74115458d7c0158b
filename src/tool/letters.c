/*
 * letters -- see letters.h.
 *
 *     the file --+
 *     topics ----+--> each letter: where it is, what its headers say, what it holds
 */
#include "tool/letters.h"

#include <jansson.h>
#include <string.h>

#include "base/escape.h"
#include "journal/inspect.h"
#include "kafka/records.h"

#define WAIT_MS 10000           /* for Kafka, each time */

struct visiting {
    FILE *err;
    void (*visit)(void *context, const struct rkb_found_letter *letter);
    void *context;
};

/* What the file's line of JSON says, for a record that has no headers: before version 2 it had none. */
static void add_from_line(struct rkb_letter *says, json_t *why)
{
    static const struct { enum rkb_letter_header header; const char *member; } rows[] = {
        {RKB_LETTER_CODE, "code"}, {RKB_LETTER_REASON, "reason"}, {RKB_LETTER_ERROR_TIME, "time"},
        {RKB_LETTER_ROUTE, "route"}, {RKB_LETTER_TOPIC, "topic"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *text = json_string_value(json_object_get(why, rows[i].member));
        if (text != NULL)
            says->of[rows[i].header] = rkb_slice_text(text);
    }
    says->of[RKB_LETTER_FORM] = rkb_slice_text(RKB_FORM_AS_IT_STOOD);
}

static void see_in_file(void *context, const struct rkb_record *letter, const struct rkb_record *message)
{
    const struct visiting *visiting = context;
    char place[40];
    snprintf(place, sizeof place, "file/%llu", (unsigned long long)message->sequence);
    struct rkb_found_letter found = {.place = place, .has_key = message->has_key, .key = message->key,
                                     .value = message->value, .headers = message->headers};
    json_t *why = NULL;
    rkb_letter_read(message->headers, &found.says);
    if ((message->flags & RKB_FLAG_DEAD) == 0)
        why = json_loadb((const char *)letter->value.data, letter->value.size, 0, NULL);
    if (why != NULL)
        add_from_line(&found.says, why);
    visiting->visit(visiting->context, &found);
    json_decref(why);
}

static void see_in_topic(void *context, const struct rkb_read_record *record)
{
    const struct visiting *visiting = context;
    char place[300];
    snprintf(place, sizeof place, "%s/%d/%lld", record->topic, (int)record->partition, (long long)record->offset);
    struct rkb_found_letter found = {.place = place, .has_key = record->has_key, .key = record->key,
                                     .value = record->value, .headers = record->headers};
    rkb_letter_read(record->headers, &found.says);
    visiting->visit(visiting->context, &found);
}

static bool read_file(struct visiting *visiting, const struct rkb_config *config)
{
    struct rkb_error error;
    struct rkb_inspected_dead found;
    struct rkb_inspection *inspection = rkb_inspect_open(config->journal.directory, &rkb_sys_posix, &error);
    bool good = inspection != NULL && rkb_inspect_dead(inspection, &found, see_in_file, visiting, &error);
    if (inspection != NULL)
        rkb_inspect_close(inspection);
    if (!good)
        fprintf(visiting->err, "rkbctl: %s\n", error.text);
    else if (found.reason[0] != '\0')
        fprintf(visiting->err, "rkbctl: %s at %llu: %s; what is behind is not shown\n", found.path,
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

static bool read_topics(struct visiting *visiting, const struct rkb_config *config)
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
        if (records != NULL && rkb_records_visit(records, topic, WAIT_MS, see_in_topic, visiting, &error))
            continue;
        fprintf(visiting->err, "rkbctl: %s\n", error.text);
        good = false;
        if (records == NULL)
            break;
    }
    rkb_records_free(records);
    return good;
}

bool rkb_letters_visit(const struct rkb_config *config, FILE *err,
                       void (*visit)(void *context, const struct rkb_found_letter *letter), void *context)
{
    struct visiting visiting = {err, visit, context};
    bool good = read_file(&visiting, config);
    return read_topics(&visiting, config) && good;
}

struct rkb_config *rkb_letters_config(const char *path, FILE *err)
{
    struct rkb_mistakes mistakes = {0};
    struct rkb_config *config = rkb_config_read(path, false, &mistakes);
    if (config == NULL)
        fprintf(err, "%.*s", (int)mistakes.text.size, (const char *)mistakes.text.data);
    rkb_mistakes_free(&mistakes);
    return config;
}

void rkb_letters_print(struct rkb_slice text, int width, FILE *out)
{
    struct rkb_buffer escaped = {0};
    rkb_escape(RKB_ESCAPE_PLAIN, text.size > 0 ? text : rkb_slice_text("-"), &escaped);
    fprintf(out, "%-*.*s", width, (int)escaped.size, escaped.data != NULL ? (const char *)escaped.data : "");
    rkb_buffer_free(&escaped);
}
