/* reading -- see reading.h. */
#include "config/reading.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config/expand.h"

/* A bound for what aliases can make of a small file. */
#define MOST_STEPS 100000
/* Room for a value from the start: growing would leave a copy of a secret behind. */
#define EXPECTED 2048

static const struct rkb_place start_of_file = {1, 1};

const yaml_node_t *rkb_reading_node(const struct rkb_section *section, const char *path)
{
    const struct rkb_setting *row = rkb_setting_find(path);
    return row == NULL ? NULL : section->nodes[row - rkb_settings];
}

const yaml_node_t *rkb_reading_item(struct rkb_reading *reading, const yaml_node_t *list, size_t i)
{
    if (list->type != YAML_SEQUENCE_NODE)
        return list;
    return rkb_yaml_node(&reading->yaml, list->data.sequence.items.start[i]);
}

bool rkb_reading_step(struct rkb_reading *reading, const yaml_node_t *node)
{
    if (++reading->steps == MOST_STEPS)
        rkb_findings_add(&reading->findings, rkb_yaml_place(node),
                         "more than %d names and list items, aliases followed", MOST_STEPS);
    return reading->steps < MOST_STEPS;
}

struct rkb_place rkb_reading_place_in(const struct rkb_reading *reading, const yaml_node_t *scalar, size_t offset)
{
    size_t written = rkb_expand_origin(rkb_yaml_text(scalar), scalar->data.scalar.length, offset);
    return rkb_yaml_place_in(&reading->yaml, scalar, written);
}

struct rkb_place rkb_reading_top(struct rkb_reading *reading, const char *name)
{
    const yaml_node_t *root = rkb_yaml_root(&reading->yaml);
    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return start_of_file;
    const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
    for (; pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = rkb_yaml_node(&reading->yaml, pair->key);
        if (key->type == YAML_SCALAR_NODE && strcmp(rkb_yaml_text(key), name) == 0)
            return rkb_yaml_place(key);
    }
    return start_of_file;
}

struct rkb_place rkb_reading_section_place(struct rkb_reading *reading, const struct rkb_section *section,
                                           const char *path)
{
    if (section->name != NULL)
        return rkb_yaml_place(section->name);
    char top[32];
    snprintf(top, sizeof top, "%.*s", (int)strcspn(path, "."), path);
    return rkb_reading_top(reading, top);
}

/* "redis.*.url" in the section "redis.legacy." is "redis.legacy.url". */
static const char *last_part(const struct rkb_section *section, const char *path)
{
    const char *star = strstr(path, "*.");
    return section->name != NULL && star != NULL ? star + 2 : path;
}

static void RKB_PRINTF(5, 0) add(struct rkb_reading *reading, struct rkb_findings *to,
                                 const struct rkb_section *section, const char *path, const char *format,
                                 va_list arguments)
{
    char text[640];
    vsnprintf(text, sizeof text, format, arguments);
    const yaml_node_t *node = rkb_reading_node(section, path);
    struct rkb_place place = node != NULL ? rkb_yaml_place(node) : rkb_reading_section_place(reading, section, path);
    rkb_findings_add(to, place, "%s%s: %s", section->shown, last_part(section, path), text);
}

void rkb_reading_mistake(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(reading, &reading->findings, section, path, format, arguments);
    va_end(arguments);
}

void rkb_reading_warning(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                         const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    add(reading, &reading->warnings, section, path, format, arguments);
    va_end(arguments);
}

void rkb_reading_mistake_at(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                            size_t offset, const char *text)
{
    const yaml_node_t *node = rkb_reading_node(section, path);
    if (node == NULL || node->type != YAML_SCALAR_NODE) {
        rkb_reading_mistake(reading, section, path, "%s", text);
        return;
    }
    rkb_findings_add(&reading->findings, rkb_reading_place_in(reading, node, offset), "%s%s: %s", section->shown,
                     last_part(section, path), text);
}

static const yaml_node_t *find_in_map(struct rkb_reading *reading, const yaml_node_t *map, const char *name)
{
    if (map == NULL || map->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *pair = map->data.mapping.pairs.start; pair < map->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = rkb_yaml_node(&reading->yaml, pair->key);
        const yaml_node_t *value = rkb_yaml_node(&reading->yaml, pair->value);
        if (key->type == YAML_SCALAR_NODE && strcmp(rkb_yaml_text(key), name) == 0)
            return value->type == YAML_SCALAR_NODE ? value : NULL;
    }
    return NULL;
}

void rkb_reading_map_mistake(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                             const char *name, size_t offset, const char *text)
{
    const yaml_node_t *node = find_in_map(reading, rkb_reading_node(section, path), name);
    if (node == NULL) {
        rkb_reading_mistake(reading, section, path, "%.64s: %s", name, text);
        return;
    }
    size_t written = rkb_expand_origin(rkb_yaml_text(node), node->data.scalar.length, offset);
    rkb_findings_add(&reading->findings, rkb_yaml_place_in(&reading->yaml, node, written), "%s%s.%.64s: %s",
                     section->shown, last_part(section, path), name, text);
}

static void add_bad_piece(struct rkb_reading *reading, const yaml_node_t *node, const struct rkb_piece *piece,
                          const char *shown)
{
    struct rkb_place place = rkb_yaml_place_in(&reading->yaml, node, piece->at);
    if (piece->name_size > 0)
        rkb_findings_add(&reading->findings, place, "%s: ${%.*s}: %s", shown, (int)piece->name_size, piece->name,
                         piece->mistake);
    else
        rkb_findings_add(&reading->findings, place, "%s: %s", shown, piece->mistake);
}

/* All pieces of the scalar; every bad one is a mistake. NULL where there was one. */
static char *expand(struct rkb_reading *reading, const yaml_node_t *node, const char *shown)
{
    struct rkb_buffer out = {0};
    struct rkb_piece piece = {0};
    bool good = rkb_buffer_reserve(&out, EXPECTED) != NULL;
    while (rkb_expand_next(rkb_yaml_text(node), node->data.scalar.length, &piece)) {
        if (piece.mistake != NULL)
            add_bad_piece(reading, node, &piece, shown);
        else
            rkb_buffer_add(&out, piece.value, piece.value_size);
        good = good && piece.mistake == NULL;
    }
    rkb_buffer_add(&out, "", 1);
    if (out.failed)
        reading->findings.failed = true;
    if (good && !out.failed)
        return (char *)out.data;
    if (out.data != NULL)
        explicit_bzero(out.data, out.capacity);
    rkb_buffer_free(&out);
    return NULL;
}

const char *rkb_reading_name(const char *name, const yaml_node_t *value, char out[RKB_NAME_SHOWN])
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t size = strspn(name, allowed);
    bool whole = name[size] == '\0';
    if (strcmp(name, "<<") == 0)
        return name;
    if (whole && rkb_yaml_nothing(value))
        return "(a name without a value; not shown, it may be a piece of a secret that wants quotes)";
    snprintf(out, RKB_NAME_SHOWN, "%.*s%s", (int)(size > 120 ? 120 : size), name,
             whole ? "" : size == 0 ? "(no name, and not shown)" : "... (the rest is no name, and not shown)");
    return out;
}

/* {{channel}} without quotes is a mapping whose first name is a mapping. */
static bool is_bare_slot(struct rkb_reading *reading, const yaml_node_t *node)
{
    if (node->type != YAML_MAPPING_NODE || node->data.mapping.pairs.start == node->data.mapping.pairs.top)
        return false;
    return rkb_yaml_node(&reading->yaml, node->data.mapping.pairs.start->key)->type == YAML_MAPPING_NODE;
}

static const char *shape(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE ? "a mapping" : node->type == YAML_SEQUENCE_NODE ? "a list" : "nothing";
}

char *rkb_reading_text(struct rkb_reading *reading, const yaml_node_t *node, const char *shown, const char *wanted)
{
    struct rkb_place place = rkb_yaml_place(node);
    if (node->type != YAML_SCALAR_NODE || rkb_yaml_nothing(node)) {
        rkb_findings_add(&reading->findings, place, "%s: %s where %s is wanted%s", shown, shape(node), wanted,
                         is_bare_slot(reading, node) ? "; put quotes around text that begins with {" : "");
        return NULL;
    }
    if (strcmp((const char *)node->tag, YAML_STR_TAG) != 0) {
        rkb_findings_add(&reading->findings, place,
                         "%s: a tag has no meaning here, all values are text; put quotes around text "
                         "that begins with !", shown);
        return NULL;
    }
    if (strlen(rkb_yaml_text(node)) != node->data.scalar.length) {
        rkb_findings_add(&reading->findings, place, "%s: a NUL byte in the value", shown);
        return NULL;
    }
    return expand(reading, node, shown);
}
