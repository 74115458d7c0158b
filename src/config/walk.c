/* walk -- see walk.h. */
#include "config/walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/vault.h"
#include "config/nearest.h"
#include "config/properties.h"
#include "config/rules.h"
#include "config/values.h"

/* A bound for what is compared name by name. */
#define MOST_NAMES 10000

/* Where the settings of one mapping belong. */
struct scope {
    const char *prefix;             /* of the rows' paths: "", "journal.", "redis.*." */
    struct rkb_section *section;
    void *base;                     /* the struct the rows' offsets are in */
};

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Whether the row is set in structs of this kind: "" for the one config, or "redis.*.", "routes.*.". */
static bool row_of(const struct rkb_setting *row, const char *kind)
{
    return *kind == '\0' ? strchr(row->path, '*') == NULL : starts_with(row->path, kind);
}

void rkb_walk_defaults(struct rkb_reading *reading, const char *kind, void *base)
{
    struct rkb_error error;
    for (size_t i = 0; i < rkb_setting_count; i++)
        if (row_of(&rkb_settings[i], kind) && rkb_settings[i].initial != NULL &&
            !rkb_value_set(&rkb_settings[i], rkb_settings[i].initial, base, &error))
            reading->findings.failed = true;
}

static void check_required(struct rkb_reading *reading, const char *kind, const struct rkb_section *section)
{
    for (size_t i = 0; i < rkb_setting_count; i++)
        if (row_of(&rkb_settings[i], kind) && rkb_settings[i].required && section->nodes[i] == NULL)
            rkb_reading_mistake(reading, section, rkb_settings[i].path, "required, and missing");
}

static void read_scalar(struct rkb_reading *reading, const struct rkb_setting *row, const yaml_node_t *node,
                        const char *shown, void *base)
{
    char wanted[160];
    rkb_value_describe(row, wanted, sizeof wanted);
    char *text = rkb_reading_text(reading, node, shown, wanted);
    struct rkb_error error;
    if (text != NULL && !rkb_value_set(row, text, base, &error))
        rkb_findings_add(&reading->findings, rkb_yaml_place(node), "%s: %s", shown, error.text);
    rkb_wipe_free(text);
}

/* A text that is a mistake is kept as "", so that texts and items keep the same numbers. */
static bool read_item(struct rkb_reading *reading, const yaml_node_t *node, const char *shown, struct rkb_texts *texts)
{
    char *text = rkb_reading_text(reading, node, shown, "text");
    if (text != NULL && *text == '\0')
        rkb_findings_add(&reading->findings, rkb_yaml_place(node), "%s: an empty text", shown);
    if (!rkb_value_add_text(texts, text == NULL ? "" : text))
        reading->findings.failed = true;
    free(text);
    return rkb_reading_step(reading, node) && !reading->findings.failed;
}

static void read_list(struct rkb_reading *reading, const yaml_node_t *node, const char *shown, struct rkb_texts *texts)
{
    if (node->type != YAML_SEQUENCE_NODE) {
        if (!rkb_yaml_nothing(node))
            read_item(reading, node, shown, texts);
        return;
    }
    const yaml_node_item_t *item = node->data.sequence.items.start;
    while (item < node->data.sequence.items.top &&
           read_item(reading, rkb_yaml_node(&reading->yaml, *item), shown, texts))
        item++;
}

/* False, and a mistake, where it is something else; nothing at all is an empty mapping. */
static bool expect_mapping(struct rkb_reading *reading, const yaml_node_t *node, const char *shown)
{
    if (node->type == YAML_MAPPING_NODE)
        return true;
    if (!rkb_yaml_nothing(node))
        rkb_findings_add(&reading->findings, rkb_yaml_place(node), "%s: %s where a mapping of settings is wanted",
                         shown, node->type == YAML_SEQUENCE_NODE ? "a list" : "text");
    return false;
}

/* The first pair of the mapping whose name reads like that of pair number i: i where there is none before it. */
static ptrdiff_t first_of_name(struct rkb_reading *reading, const yaml_node_pair_t *pairs, ptrdiff_t i)
{
    const char *name = rkb_yaml_text(rkb_yaml_node(&reading->yaml, pairs[i].key));
    for (ptrdiff_t j = 0; j < i; j++) {
        const yaml_node_t *other = rkb_yaml_node(&reading->yaml, pairs[j].key);
        if (other->type == YAML_SCALAR_NODE && strcmp(rkb_yaml_text(other), name) == 0)
            return j;
    }
    return i;
}

/* How much of "journal." is the name of the section. */
static int section_size(const char *inside)
{
    return *inside == '\0' ? 0 : (int)strlen(inside) - 1;
}

/*
 * The name in pair number i; NULL, and a mistake, where it is none or was there before.
 * `inside`: "journal.", for people.
 */
static const char *read_name(struct rkb_reading *reading, const yaml_node_pair_t *pairs, ptrdiff_t i,
                             const char *inside)
{
    const yaml_node_t *key = rkb_yaml_node(&reading->yaml, pairs[i].key);
    struct rkb_place place = rkb_yaml_place(key);
    if (key->type != YAML_SCALAR_NODE || strlen(rkb_yaml_text(key)) != key->data.scalar.length) {
        rkb_findings_add(&reading->findings, place, "%.*s%s: a name must be plain text", section_size(inside), inside,
                         *inside == '\0' ? "the file" : "");
        return NULL;
    }
    const char *name = rkb_yaml_text(key);
    ptrdiff_t first = first_of_name(reading, pairs, i);
    if (first == i)
        return name;
    char shown[RKB_NAME_SHOWN];
    size_t line = rkb_yaml_place(rkb_yaml_node(&reading->yaml, pairs[first].key)).line;
    rkb_findings_add(&reading->findings, place, "%s%s: given twice, first in line %zu", inside,
                     rkb_reading_name(name, rkb_yaml_node(&reading->yaml, pairs[i].value), shown), line);
    return NULL;
}

/* A function for each name of a mapping; what it belongs to comes by the scope. */
typedef void name_reader(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key,
                         const char *name, const yaml_node_t *value);

static void read_names(struct rkb_reading *reading, const yaml_node_t *mapping, const struct scope *scope,
                       const char *inside, name_reader *reader)
{
    const yaml_node_pair_t *pairs = mapping->data.mapping.pairs.start;
    ptrdiff_t count = mapping->data.mapping.pairs.top - pairs;
    if (count > MOST_NAMES) {
        rkb_findings_add(&reading->findings, rkb_yaml_place(mapping), "%.*s%s: more than %d names",
                         section_size(inside), inside, *inside == '\0' ? "the file" : "", MOST_NAMES);
        return;
    }
    for (ptrdiff_t i = 0; i < count; i++) {
        const yaml_node_t *key = rkb_yaml_node(&reading->yaml, pairs[i].key);
        if (!rkb_reading_step(reading, key))
            return;
        const char *name = read_name(reading, pairs, i, inside);
        if (name != NULL)
            reader(reading, scope, key, name, rkb_yaml_node(&reading->yaml, pairs[i].value));
    }
}

static void read_property(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key,
                          const char *name, const yaml_node_t *value)
{
    rkb_property_read(reading, key, name, value, scope->base);
}

/* A name and its text; scope->prefix is "routes.users.topic_config.". */
static void read_pair(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key, const char *name,
                      const yaml_node_t *value)
{
    char shown[240];
    snprintf(shown, sizeof shown, "%s%.64s", scope->prefix, name);
    char *text = rkb_reading_text(reading, value, shown, "text");
    bool good = rkb_value_is_name(name, 120);
    if (!good)
        rkb_findings_add(&reading->findings, rkb_yaml_place(key), "%s: a name is 1 to 120 of A-Z a-z 0-9 _ . -", shown);
    if (good && text != NULL && !rkb_properties_add(scope->base, name, text, NULL))
        reading->findings.failed = true;
    free(text);
}

static void read_map(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *node, const char *shown,
                     void *map)
{
    char inside[170];
    snprintf(inside, sizeof inside, "%s.", shown);
    read_names(reading, node, &(struct scope){inside, scope->section, map}, inside, read_pair);
}

static void read_rule_part(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key,
                           const char *name, const yaml_node_t *value)
{
    (void)reading;
    rkb_rule_part(scope->base, key, name, value);
}

/* One mapping; `rules` is the list of its kind. */
static void read_rule(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *node,
                      const char *shown, bool is_filter, void *rules)
{
    char inside[170];
    struct rkb_rule rule;
    snprintf(inside, sizeof inside, "%s.", shown);
    if (rkb_yaml_nothing(node))
        rkb_findings_add(&reading->findings, rkb_yaml_place(node), "%s: nothing where a mapping is wanted", shown);
    if (!expect_mapping(reading, node, shown))
        return;
    rkb_rule_begin(&rule, reading, node, shown, is_filter);
    read_names(reading, node, &(struct scope){"", scope->section, &rule}, inside, read_rule_part);
    rkb_rule_end(&rule, rules, rules);
}

/* One rule, or a list of them. */
static void read_rules(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *node,
                       const char *shown, bool is_filter, void *rules)
{
    if (node->type != YAML_SEQUENCE_NODE) {
        read_rule(reading, scope, node, shown, is_filter, rules);
        return;
    }
    const yaml_node_item_t *item = node->data.sequence.items.start;
    for (; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *each = rkb_yaml_node(&reading->yaml, *item);
        if (!rkb_reading_step(reading, each))
            return;
        read_rule(reading, scope, each, shown, is_filter, rules);
    }
}

static void read_setting(struct rkb_reading *reading, const struct scope *scope, const struct rkb_setting *row,
                         const yaml_node_t *node, const char *shown)
{
    scope->section->nodes[row - rkb_settings] = node;
    void *at = (char *)scope->base + row->offset;
    if (row->type == RKB_SETTING_LIST)
        read_list(reading, node, shown, at);
    else if (row->type == RKB_SETTING_EXPECT || row->type == RKB_SETTING_FILTER)
        read_rules(reading, scope, node, shown, row->type == RKB_SETTING_FILTER, at);
    else if (row->type != RKB_SETTING_PROPERTIES && row->type != RKB_SETTING_MAP)
        read_scalar(reading, row, node, shown, scope->base);
    else if (!expect_mapping(reading, node, shown))
        return;
    else if (row->type == RKB_SETTING_MAP)
        read_map(reading, scope, node, shown, at);
    else
        read_names(reading, node, &(struct scope){"", scope->section, at}, "kafka.properties.", read_property);
}

/* The next name of the table behind the prefix, up to its dot: offered as what was meant. */
static void offer_known(struct rkb_nearest *nearest, const char *wrong, const char *prefix,
                        const struct rkb_setting *row, char part[64])
{
    if (!starts_with(row->path, prefix))
        return;
    const char *behind = row->path + strlen(prefix);
    char known[64];
    snprintf(known, sizeof known, "%.*s", (int)strcspn(behind, "."), behind);
    const char *before = nearest->name;
    size_t distance = nearest->distance;
    rkb_nearest_offer(nearest, wrong, known);
    if (nearest->name == before && nearest->distance == distance)
        return;
    memcpy(part, known, sizeof known);
    nearest->name = part;
}

static void add_unknown(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key,
                        const char *name, const yaml_node_t *value)
{
    char shown[RKB_NAME_SHOWN];
    struct rkb_nearest nearest = {0};
    char part[64];
    for (size_t i = 0; i < rkb_setting_count; i++)
        offer_known(&nearest, name, scope->prefix, &rkb_settings[i], part);
    const char *inside = scope->section->name != NULL ? scope->section->shown : scope->prefix;
    struct rkb_place place = rkb_yaml_place(key);
    if (strcmp(name, "<<") == 0)
        rkb_findings_add(&reading->findings, place, "%s<<: merge keys are not read; write the settings out", inside);
    else if (nearest.name != NULL)
        rkb_findings_add(&reading->findings, place, "%s%s: unknown setting; did you mean %s?", inside,
                         rkb_reading_name(name, value, shown), nearest.name);
    else
        rkb_findings_add(&reading->findings, place, "%s%s: unknown setting", inside,
                         rkb_reading_name(name, value, shown));
}

static void read_known(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key, const char *name,
                       const yaml_node_t *value)
{
    char path[160], shown[160];
    snprintf(path, sizeof path, "%s%.64s", scope->prefix, name);
    snprintf(shown, sizeof shown, "%s%.64s", scope->section->name != NULL ? scope->section->shown : scope->prefix,
             name);
    const struct rkb_setting *row = strpbrk(name, ".*") == NULL ? rkb_setting_find(path) : NULL;
    if (row == NULL)
        add_unknown(reading, scope, key, name, value);
    else
        read_setting(reading, scope, row, value, shown);
}

static bool check_name(struct rkb_reading *reading, const yaml_node_t *key, const char *shown, const char *name)
{
    if (rkb_value_is_name(name, 64))
        return true;
    rkb_findings_add(&reading->findings, rkb_yaml_place(key), "%s: a name is 1 to 64 of A-Z a-z 0-9 _ . -", shown);
    return false;
}

/* One source or route: its defaults, its settings, what it lacks. */
static void fill_section(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key,
                         const char *head, const char *name, const yaml_node_t *value)
{
    struct rkb_section *section = scope->section;
    char shown[80];
    snprintf(shown, sizeof shown, "%s.%.64s", head, rkb_value_is_name(name, 64) ? name : "?");
    *section = (struct rkb_section){.name = key};
    snprintf(section->shown, sizeof section->shown, "%.78s.", shown);
    check_name(reading, key, shown, name);
    rkb_walk_defaults(reading, scope->prefix, scope->base);
    if (expect_mapping(reading, value, shown))
        read_names(reading, value, scope, section->shown, read_known);
    check_required(reading, scope->prefix, section);
}

/* Makes room for one more of both arrays; the new places are zero. */
static bool grow(void **structs, size_t size, struct rkb_section **sections, size_t count)
{
    void *more = realloc(*structs, (count + 1) * size);
    if (more == NULL)
        return false;
    *structs = more;
    memset((char *)more + count * size, 0, size);
    struct rkb_section *more_sections = realloc(*sections, (count + 1) * sizeof *more_sections);
    if (more_sections == NULL)
        return false;
    *sections = more_sections;
    return true;
}

static void read_source(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key,
                        const char *name, const yaml_node_t *value)
{
    (void)scope;
    struct rkb_config *config = reading->config;
    void *structs = config->sources;
    bool grown = grow(&structs, sizeof *config->sources, &reading->sources, config->source_count);
    config->sources = structs;
    struct rkb_config_source *source = grown ? &config->sources[config->source_count] : NULL;
    if (source == NULL || (source->name = strdup(name)) == NULL) {
        reading->findings.failed = true;
        return;
    }
    struct scope inner = {"redis.*.", &reading->sources[config->source_count++], source};
    fill_section(reading, &inner, key, "redis", name, value);
}

static void read_route(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key, const char *name,
                       const yaml_node_t *value)
{
    (void)scope;
    struct rkb_config *config = reading->config;
    void *structs = config->routes;
    bool grown = grow(&structs, sizeof *config->routes, &reading->routes, config->route_count);
    config->routes = structs;
    struct rkb_config_route *route = grown ? &config->routes[config->route_count] : NULL;
    if (route == NULL || (route->name = strdup(name)) == NULL) {
        reading->findings.failed = true;
        return;
    }
    struct scope inner = {"routes.*.", &reading->routes[config->route_count++], route};
    fill_section(reading, &inner, key, "routes", name, value);
}

/* True if rows begin with this name and a dot. */
static bool is_section(const char *name)
{
    size_t size = strlen(name);
    for (size_t i = 0; i < rkb_setting_count; i++)
        if (strncmp(rkb_settings[i].path, name, size) == 0 && rkb_settings[i].path[size] == '.')
            return strchr(name, '.') == NULL;
    return false;
}

/* A name at the top of the file. */
static void read_top(struct rkb_reading *reading, const struct scope *scope, const yaml_node_t *key, const char *name,
                     const yaml_node_t *value)
{
    char prefix[80];
    snprintf(prefix, sizeof prefix, "%.64s.", name);
    if (!is_section(name)) {
        read_known(reading, scope, key, name, value);
    } else if (expect_mapping(reading, value, name)) {
        struct scope inner = {prefix, scope->section, scope->base};
        name_reader *reader = strcmp(name, "redis") == 0    ? read_source
                              : strcmp(name, "routes") == 0 ? read_route
                                                            : read_known;
        read_names(reading, value, &inner, prefix, reader);
    }
}

bool rkb_walk(struct rkb_reading *reading)
{
    struct scope top = {"", &reading->global, reading->config};
    const yaml_node_t *root = rkb_yaml_root(&reading->yaml);
    bool nothing = root == NULL || rkb_yaml_nothing(root);
    if (!nothing && root->type != YAML_MAPPING_NODE) {
        rkb_findings_add(&reading->findings, rkb_yaml_place(root), "the file must be a mapping of settings");
        return false;
    }
    rkb_walk_defaults(reading, "", reading->config);
    if (!nothing)
        read_names(reading, root, &top, "", read_top);
    check_required(reading, "", &reading->global);
    return true;
}
