/*
 * reading -- what is known while a file is read: the document, the mistakes so far, the config so far, and
 * where each setting was written.
 */
#ifndef RKB_CONFIG_READING_H
#define RKB_CONFIG_READING_H

#include "config/config.h"
#include "config/findings.h"
#include "config/yaml.h"

/* Where the settings of a source, of a route, or of everything else were written. */
struct rkb_section {
    const yaml_node_t *name;                        /* NULL for everything else */
    char shown[80];                                 /* "redis.legacy."; "" for everything else */
    const yaml_node_t *nodes[RKB_SETTING_LIMIT];    /* by row; NULL: not given */
};

struct rkb_reading {
    struct rkb_yaml yaml;
    struct rkb_findings findings, warnings;
    struct rkb_config *config;
    const char *path;                               /* of the file */
    bool embedded;
    struct rkb_section global, *sources, *routes;   /* beside config->sources and config->routes */
    size_t steps;                                   /* names and list items read, aliases followed */
};

/* Where the row was written; NULL where it was not. */
const yaml_node_t *rkb_reading_node(const struct rkb_section *section, const char *path);
/* The part of a list that became its text number i: the list itself where it is one scalar. */
const yaml_node_t *rkb_reading_item(struct rkb_reading *reading, const yaml_node_t *list, size_t i);
/* Counts one more name or list item; false, and a mistake the first time, where aliases have made too many of them. */
bool rkb_reading_step(struct rkb_reading *reading, const yaml_node_t *node);
/* Where the byte at `offset` of a scalar's text, ${NAME} replaced, is written. */
struct rkb_place rkb_reading_place_in(const struct rkb_reading *reading, const yaml_node_t *scalar, size_t offset);
/* The place of a name at the top of the file ("journal"), or the start of the file. */
struct rkb_place rkb_reading_top(struct rkb_reading *reading, const char *name);
/* The section's name; for everything else the name at the top of the row's path. */
struct rkb_place rkb_reading_section_place(struct rkb_reading *reading, const struct rkb_section *section,
                                           const char *path);

/*
 * A mistake about one setting: "redis.legacy.url: ...", placed at its value or, where it was not given, at its section.
 */
void rkb_reading_mistake(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                         const char *format, ...) RKB_PRINTF(4, 5);
/* As a mistake, but the config can be run. */
void rkb_reading_warning(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                         const char *format, ...) RKB_PRINTF(4, 5);
/* A mistake, placed at the byte `offset` of the setting's text after ${NAME} was replaced. */
void rkb_reading_mistake_at(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                            size_t offset, const char *text);

/* The same for the text that a setting with names has under this one. */
void rkb_reading_map_mistake(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                             const char *name, size_t offset, const char *text);

/*
 * What of a name may be said that no table knows: a piece of a secret may have come to stand in its place, as in
 * {password: a,b} or {password=a: b}. So only what looks like a name, and has a value.
 */
#define RKB_NAME_SHOWN 176
const char *rkb_reading_name(const char *name, const yaml_node_t *value, char out[RKB_NAME_SHOWN]);

/*
 * The scalar's text with ${NAME} replaced, to be freed. NULL where it is no text: not a scalar, a variable that is not
 * set, a NUL in it; that is a mistake then, in which `shown` names the setting and `wanted` what it takes.
 */
char *rkb_reading_text(struct rkb_reading *reading, const yaml_node_t *node, const char *shown, const char *wanted);

#endif
