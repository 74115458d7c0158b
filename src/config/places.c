/* places -- see places.h. */
#include "config/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/reading.h"

#define LONGEST 640

static void note(struct rkb_places *places, const char *path, const yaml_node_t *node)
{
    if (places->count == places->capacity) {
        size_t capacity = places->capacity > 0 ? 2 * places->capacity : 64;
        struct rkb_setting_place *list = realloc(places->list, capacity * sizeof *list);
        if (list == NULL)
            return;
        places->list = list;
        places->capacity = capacity;
    }
    char *copy = strdup(path);
    if (copy != NULL)
        places->list[places->count++] = (struct rkb_setting_place){copy, rkb_yaml_place(node)};
}

static void note_items(struct rkb_places *places, struct rkb_reading *reading, const char *path,
                       const yaml_node_t *node)
{
    char item[LONGEST + 24];
    size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    for (size_t i = 0; i < count; i++) {
        snprintf(item, sizeof item, "%s[%zu]", path, i);
        note(places, item, rkb_reading_item(reading, node, i));
    }
}

static void note_members(struct rkb_places *places, struct rkb_reading *reading, const char *path,
                         const yaml_node_t *node)
{
    char member[2 * LONGEST];
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = rkb_yaml_node(&reading->yaml, pair->key);
        if (key->type != YAML_SCALAR_NODE)
            continue;
        snprintf(member, sizeof member, "%s.%.600s", path, rkb_yaml_text(key));
        note(places, member, rkb_yaml_node(&reading->yaml, pair->value));
    }
}

/* "redis.*.url" in the section "redis.legacy." is "redis.legacy.url". */
static void note_section(struct rkb_places *places, struct rkb_reading *reading, const struct rkb_section *section)
{
    char path[LONGEST];
    if (section->name != NULL) {
        snprintf(path, sizeof path, "%.*s", (int)strlen(section->shown) - 1, section->shown);
        note(places, path, section->name);
    }
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const yaml_node_t *node = section->nodes[i];
        const char *star = strstr(rkb_settings[i].path, "*.");
        if (node == NULL)
            continue;
        snprintf(path, sizeof path, "%s%s", section->shown, star != NULL ? star + 2 : rkb_settings[i].path);
        note(places, path, node);
        if (node->type == YAML_SEQUENCE_NODE)
            note_items(places, reading, path, node);
        else if (node->type == YAML_MAPPING_NODE)
            note_members(places, reading, path, node);
    }
}

static void note_tops(struct rkb_places *places, struct rkb_reading *reading)
{
    const yaml_node_t *root = rkb_yaml_root(&reading->yaml);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = rkb_yaml_node(&reading->yaml, pair->key);
        bool is_setting = rkb_yaml_node(&reading->yaml, pair->value)->type == YAML_SCALAR_NODE;
        if (key->type == YAML_SCALAR_NODE && !is_setting)
            note(places, rkb_yaml_text(key), key);
    }
}

static int by_path(const void *a, const void *b)
{
    const struct rkb_setting_place *x = a, *y = b;
    return strcmp(x->path, y->path);
}

void rkb_places_take(struct rkb_places *places, struct rkb_reading *reading)
{
    note_tops(places, reading);
    note_section(places, reading, &reading->global);
    for (size_t i = 0; i < reading->config->source_count; i++)
        note_section(places, reading, &reading->sources[i]);
    for (size_t i = 0; i < reading->config->route_count; i++)
        note_section(places, reading, &reading->routes[i]);
    if (places->count > 0)
        qsort(places->list, places->count, sizeof *places->list, by_path);
}

/* Cuts the last part off: an item of a list, or a name. False: there is only one. */
static bool shorten(char *path)
{
    char *dot = strrchr(path, '.'), *bracket = strrchr(path, '[');
    char *cut = bracket != NULL && (dot == NULL || bracket > dot) ? bracket : dot;
    if (cut != NULL)
        *cut = '\0';
    return cut != NULL;
}

struct rkb_place rkb_places_find(const struct rkb_places *places, const char *path)
{
    char rest[LONGEST];
    snprintf(rest, sizeof rest, "%s", path);
    const struct rkb_setting_place wanted = {.path = rest};
    const struct rkb_setting_place *found = NULL;
    if (places->count == 0)
        return (struct rkb_place){0, 0};
    do
        found = bsearch(&wanted, places->list, places->count, sizeof *places->list, by_path);
    while (found == NULL && shorten(rest));
    return found != NULL ? found->place : (struct rkb_place){0, 0};
}

void rkb_places_free(struct rkb_places *places)
{
    for (size_t i = 0; i < places->count; i++)
        free(places->list[i].path);
    free(places->list);
    *places = (struct rkb_places){0};
}
