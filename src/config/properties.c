/*
 * properties -- see properties.h and, for reading them again, config.h.
 *
 * Promise: secrets are in the vault, and what was read to get them is overwritten.
 */
#include "config/properties.h"

#include <stdlib.h>
#include <string.h>

#include "base/vault.h"
#include "config/secret.h"

/* Certificates and keys in PEM are the longest. */
#define LONGEST_FILE 65536

const char *rkb_property_find(const struct rkb_properties *properties, const char *name)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->list[i].name, name) == 0)
            return properties->list[i].value;
    return NULL;
}

bool rkb_properties_equal(const struct rkb_properties *a, const struct rkb_properties *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const char *other = rkb_property_find(b, a->list[i].name);
        if (other == NULL || strcmp(other, a->list[i].value) != 0)
            return false;
    }
    return a->count == b->count;
}

static bool make_room(struct rkb_properties *properties)
{
    size_t wanted = properties->count + 1;
    struct rkb_property *list = realloc(properties->list, wanted * sizeof *list);
    if (list != NULL)
        properties->list = list;
    char **files = realloc(properties->files, wanted * sizeof *files);
    if (files != NULL)
        properties->files = files;
    return list != NULL && files != NULL;
}

bool rkb_properties_add(struct rkb_properties *properties, const char *name, const char *value, const char *file)
{
    if (!make_room(properties))
        return false;
    struct rkb_property *added = &properties->list[properties->count];
    char **place = &properties->files[properties->count];
    *added = (struct rkb_property){strdup(name), NULL};
    if (added->name != NULL)
        added->value = rkb_kafka_property_secret(name) ? rkb_vault_keep(value) : strdup(value);
    *place = file != NULL ? strdup(file) : NULL;
    properties->count++;    /* counted even where a copy failed: the rest is freed with the list */
    return added->name != NULL && added->value != NULL && (file == NULL || *place != NULL);
}

/* A property's texts are ours although kafka/client.h only reads them. */
static char *ours(const char *text)
{
    return (char *)(uintptr_t)text;
}

static void free_property(struct rkb_property *property)
{
    if (property->name != NULL && rkb_kafka_property_secret(property->name))
        rkb_vault_drop(ours(property->value));
    else
        free(ours(property->value));
    free(ours(property->name));
}

void rkb_properties_free(struct rkb_properties *properties)
{
    for (size_t i = 0; i < properties->count; i++) {
        free_property(&properties->list[i]);
        if (properties->files != NULL)
            free(properties->files[i]);
    }
    free(properties->list);
    free(properties->files);
    *properties = (struct rkb_properties){0};
}

/* What the file holds, to be freed wiped; NULL where it cannot be read. */
static char *read_value_file(const char *path, struct rkb_error *error)
{
    char *content = malloc(LONGEST_FILE);
    if (content == NULL) {
        rkb_fail(error, RKB_NO_MEMORY, "out of memory");
        return NULL;
    }
    if (rkb_secret_read(path, content, LONGEST_FILE, error))
        return content;
    explicit_bzero(content, LONGEST_FILE);
    free(content);
    return NULL;
}

void rkb_property_read(struct rkb_reading *reading, const yaml_node_t *key, const char *name, const yaml_node_t *value,
                       struct rkb_properties *properties)
{
    char shown[160], plain[128], name_shown[RKB_NAME_SHOWN];
    struct rkb_error error = {0};
    const char *sayable = rkb_reading_name(name, value, name_shown);
    if (strcmp(sayable, name) != 0 && strlen(name) <= 120) {
        rkb_findings_add(&reading->findings, rkb_yaml_place(key), "kafka.properties: %s", sayable);
        return;
    }
    size_t size = strlen(name);
    bool from_file = size > 5 && strcmp(name + size - 5, "_file") == 0;
    snprintf(shown, sizeof shown, "kafka.properties.%.120s", name);
    snprintf(plain, sizeof plain, "%.*s", (int)(size > 120 ? 120 : from_file ? size - 5 : size), name);
    char *text = rkb_reading_text(reading, value, shown, from_file ? "an absolute path" : "text");
    char *path = from_file ? text : NULL;
    bool given = rkb_property_find(properties, plain) != NULL;
    if (text != NULL && given)
        (void)rkb_fail(&error, RKB_USAGE, "given twice, as %s and as %s_file", plain, plain);
    else if (path != NULL)
        text = read_value_file(path, &error);
    if (error.code != RKB_OK)
        rkb_findings_add(&reading->findings, rkb_yaml_place(key), "%s: %s", shown, error.text);
    else if (text != NULL && !rkb_kafka_property_check(plain, text, &error))
        rkb_findings_add(&reading->findings, rkb_yaml_place(key), "%s", error.text);    /* names the property */
    if (!given && !rkb_properties_add(properties, plain, text == NULL ? "" : text, path))
        reading->findings.failed = true;
    if (text != path)
        rkb_wipe_free(text);
    free(path);
}

/* One property with its value as it is now. */
static bool read_again(const struct rkb_properties *from, size_t i, struct rkb_properties *out, struct rkb_error *error)
{
    const struct rkb_property *property = &from->list[i];
    const char *file = from->files != NULL ? from->files[i] : NULL;
    struct rkb_error why;
    char *fresh = NULL;
    if (file != NULL && (fresh = read_value_file(file, &why)) == NULL)
        return rkb_fail(error, why.code, "kafka.properties.%.120s_file: %.300s", property->name, why.text);
    const char *value = fresh != NULL ? fresh : property->value;
    bool good = fresh == NULL || rkb_kafka_property_check(property->name, value, error);
    if (good && !rkb_properties_add(out, property->name, value, file))
        good = rkb_fail(error, RKB_NO_MEMORY, "out of memory");
    rkb_wipe_free(fresh);
    return good;
}

bool rkb_properties_read(const struct rkb_properties *from, struct rkb_properties *out, struct rkb_error *error)
{
    *out = (struct rkb_properties){0};
    for (size_t i = 0; i < from->count; i++) {
        if (read_again(from, i, out, error))
            continue;
        rkb_properties_free(out);
        return false;
    }
    return true;
}
