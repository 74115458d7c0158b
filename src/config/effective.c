/* effective -- see effective.h. */
#include "config/effective.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/expand.h"
#include "config/reading.h"
#include "redis/url.h"

#define SHOWN 240               /* bytes of a value, at the most */

/* ---- noting ---- */

/* The first variable of the environment in what is written there; NULL: none. */
static char *variable_of(const yaml_node_t *node)
{
    struct rkb_piece piece = {0};
    if (node->type != YAML_SCALAR_NODE)
        return NULL;
    while (rkb_expand_next(rkb_yaml_text(node), node->data.scalar.length, &piece))
        if (piece.name != NULL)
            return strndup(piece.name, piece.name_size);
    return NULL;
}

static bool add(struct rkb_givens *givens, struct rkb_written given)
{
    if (givens->count == givens->capacity) {
        size_t capacity = givens->capacity > 0 ? givens->capacity * 2 : 64;
        struct rkb_written *list = realloc(givens->list, capacity * sizeof *list);
        if (list != NULL) {
            givens->list = list;
            givens->capacity = capacity;
        }
    }
    if (given.value != NULL && givens->count < givens->capacity) {
        givens->list[givens->count++] = given;
        return true;
    }
    free(given.name);
    free(given.value);
    free(given.variable);
    return false;
}

/* The text, cut where it is long; to be freed. */
static char *shown_text(const char *text)
{
    size_t size = strlen(text);
    char *shown = malloc(SHOWN + sizeof "...");
    if (shown == NULL)
        return NULL;
    if (size <= SHOWN) {
        memcpy(shown, text, size + 1);
        return shown;
    }
    size = SHOWN;
    while (size > 0 && ((unsigned char)text[size] & 0xc0) == 0x80)
        size--;
    memcpy(shown, text, size);
    memcpy(shown + size, "...", sizeof "...");
    return shown;
}

static char *joined(const struct rkb_texts *texts)
{
    struct rkb_buffer all = {0};
    for (size_t i = 0; i < texts->count && all.size <= SHOWN; i++) {
        rkb_buffer_text(&all, i > 0 ? ", " : "");
        rkb_buffer_text(&all, texts->texts[i]);
    }
    rkb_buffer_add(&all, "", 1);
    char *shown = all.failed ? NULL : shown_text((const char *)all.data);
    rkb_buffer_free(&all);
    return shown;
}

static char *counted(size_t count, const char *what)
{
    char text[60];
    snprintf(text, sizeof text, "(%zu %s%s)", count, what, count == 1 ? "" : "s");
    return strdup(text);
}

static char *url_of(const struct rkb_config_source *source)
{
    char shown[600];
    rkb_redis_url_show(&source->url, shown, sizeof shown);
    return strdup(shown);
}

/* As it is in force; to be freed. base: the struct that the row's offset is in. */
static char *value_of(struct rkb_reading *reading, const struct rkb_setting *row, const yaml_node_t *node,
                      const void *base)
{
    const void *at = (const char *)base + row->offset;
    if (row->type == RKB_SETTING_URL)
        return url_of(base);
    if (row->secret)
        return strdup(RKB_HIDDEN);
    if (row->type == RKB_SETTING_LIST)
        return joined(at);
    if (row->type == RKB_SETTING_EXPECT)
        return counted(((const struct rkb_expects *)at)->count, "rule");
    if (row->type == RKB_SETTING_FILTER)
        return counted(((const struct rkb_filters *)at)->count, "condition");
    char *text = rkb_reading_text(reading, node, row->path, "text");
    char *shown = text != NULL ? shown_text(text) : NULL;
    free(text);
    return shown;
}

/* A setting with names under it: each by itself. */
static bool note_names(const struct rkb_setting *row, const char *section, const yaml_node_t *node,
                       const struct rkb_properties *properties, struct rkb_givens *givens)
{
    for (size_t i = 0; i < properties->count; i++) {
        const struct rkb_property *property = &properties->list[i];
        bool hidden = row->type == RKB_SETTING_PROPERTIES && rkb_kafka_property_secret(property->name);
        struct rkb_written given = {row, section, strdup(property->name),
                                  hidden ? strdup(RKB_HIDDEN) : shown_text(property->value), NULL,
                                  rkb_yaml_place(node).line};
        if (!add(givens, given))
            return false;
    }
    return true;
}

static bool note_section(struct rkb_reading *reading, const struct rkb_section *section, const char *name,
                         const void *base, struct rkb_givens *givens)
{
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const struct rkb_setting *row = &rkb_settings[i];
        const yaml_node_t *node = section->nodes[i];
        if (node == NULL)
            continue;
        if (row->type == RKB_SETTING_MAP || row->type == RKB_SETTING_PROPERTIES) {
            if (!note_names(row, name, node, (const void *)((const char *)base + row->offset), givens))
                return false;
            continue;
        }
        struct rkb_written given = {row, name, NULL, value_of(reading, row, node, base), variable_of(node),
                                  rkb_yaml_place(node).line};
        if (!add(givens, given))
            return false;
    }
    return true;
}

bool rkb_givens_note(struct rkb_reading *reading, struct rkb_givens *givens)
{
    struct rkb_config *config = reading->config;
    bool noted = note_section(reading, &reading->global, NULL, config, givens);
    for (size_t i = 0; noted && i < config->source_count; i++)
        noted = note_section(reading, &reading->sources[i], config->sources[i].name, &config->sources[i], givens);
    for (size_t i = 0; noted && i < config->route_count; i++)
        noted = note_section(reading, &reading->routes[i], config->routes[i].name, &config->routes[i], givens);
    return noted;
}

void rkb_givens_free(struct rkb_givens *givens)
{
    for (size_t i = 0; i < givens->count; i++) {
        free(givens->list[i].name);
        free(givens->list[i].value);
        free(givens->list[i].variable);
    }
    free(givens->list);
    *givens = (struct rkb_givens){0};
}

/* ---- showing ---- */

struct visitor {
    const struct rkb_givens *givens;
    bool changed;
    void (*visit)(void *context, const char *path, const char *value, const char *origin);
    void *context;
};

static void show_given(const struct visitor *visitor, const char *path, const struct rkb_written *given)
{
    char whole[700], origin[200];
    if (visitor->changed && given->row->initial != NULL && strcmp(given->value, given->row->initial) == 0)
        return;
    const char *name = given->name != NULL ? given->name : "";
    snprintf(whole, sizeof whole, "%s%s%s", path, name[0] != '\0' ? "." : "", name);
    if (given->variable != NULL)
        snprintf(origin, sizeof origin, "environment %.120s, line %zu", given->variable, given->line);
    else
        snprintf(origin, sizeof origin, "line %zu", given->line);
    visitor->visit(visitor->context, whole, given->value, origin);
}

/* The rows of this kind ("", "redis.*.", "routes.*."), in a section that begins at *next; *next moves behind it. */
static void show_section(const struct visitor *visitor, const char *kind, const char *section, size_t next)
{
    const struct rkb_givens *givens = visitor->givens;
    size_t head = strcspn(kind, "*");
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const struct rkb_setting *row = &rkb_settings[i];
        char path[300];
        bool here = *kind == '\0' ? strchr(row->path, '*') == NULL : strncmp(row->path, kind, strlen(kind)) == 0;
        bool given = false;
        if (!here)
            continue;
        snprintf(path, sizeof path, "%.*s%s%s", (int)head, kind, section != NULL ? section : "",
                 *kind == '\0' ? row->path : row->path + head + 1);
        for (; next < givens->count && givens->list[next].row == row && givens->list[next].section == section; next++) {
            show_given(visitor, path, &givens->list[next]);
            given = true;
        }
        if (!given && !visitor->changed)
            visitor->visit(visitor->context, path, row->initial != NULL ? row->initial : "-", "default");
    }
}

/* Where this section's begin; sources may have come to stand in another order since. hint: where to look first. */
static size_t start_of(const struct rkb_givens *givens, const char *section, const char *kind, size_t hint)
{
    for (size_t i = 0; i < givens->count; i++) {
        size_t at = (hint + i) % givens->count;
        if (givens->list[at].section == section && strncmp(givens->list[at].row->path, kind, strlen(kind)) == 0
            && (at == 0 || givens->list[at - 1].section != section))
            return at;
    }
    return givens->count;
}

void rkb_effective_each(const struct rkb_config *config, bool changed,
                        void (*visit)(void *context, const char *path, const char *value, const char *origin),
                        void *context)
{
    struct visitor visitor = {config->givens, changed, visit, context};
    size_t at = 0;
    show_section(&visitor, "", NULL, 0);
    for (size_t i = 0; i < config->source_count; i++) {
        at = start_of(config->givens, config->sources[i].name, "redis.*.", at);
        show_section(&visitor, "redis.*.", config->sources[i].name, at);
    }
    for (size_t i = 0; i < config->route_count - config->canary_count; i++) {
        at = start_of(config->givens, config->routes[i].name, "routes.*.", at);
        show_section(&visitor, "routes.*.", config->routes[i].name, at);
    }
}
