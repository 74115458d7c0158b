/* properties -- see properties.h. */
#include "config/properties.h"

#include <stdlib.h>
#include <string.h>

#include "config/secret.h"
#include "config/values.h"

/* Certificates and keys in PEM are the longest. */
#define LONGEST_FILE 65536

const char *rkb_property_find(const struct rkb_properties *properties, const char *name)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->list[i].name, name) == 0)
            return properties->list[i].value;
    return NULL;
}

/* Replaces a path by what the file holds. *text is freed; NULL then where it cannot be read. */
static bool read_value_file(char **text, struct rkb_error *error)
{
    char *content = malloc(LONGEST_FILE);
    bool read = content != NULL ? rkb_secret_read(*text, content, LONGEST_FILE, error)
                                : rkb_fail(error, RKB_NO_MEMORY, "out of memory");
    free(*text);
    *text = read ? content : NULL;
    if (!read)
        free(content);
    return read;
}

void rkb_property_read(struct rkb_reading *reading, const yaml_node_t *key, const char *name, const yaml_node_t *value,
                       struct rkb_properties *properties)
{
    char shown[160], plain[128];
    struct rkb_error error = {0};
    size_t size = strlen(name);
    bool from_file = size > 5 && strcmp(name + size - 5, "_file") == 0;
    snprintf(shown, sizeof shown, "kafka.properties.%.120s", name);
    snprintf(plain, sizeof plain, "%.*s", (int)(size > 120 ? 120 : from_file ? size - 5 : size), name);
    char *text = rkb_reading_text(reading, value, shown, from_file ? "an absolute path" : "text");
    bool given = rkb_property_find(properties, plain) != NULL;
    if (text != NULL && given)
        (void)rkb_fail(&error, RKB_USAGE, "given twice, as %s and as %s_file", plain, plain);
    else if (text != NULL && from_file)
        (void)read_value_file(&text, &error);
    if (error.code != RKB_OK)
        rkb_findings_add(&reading->findings, rkb_yaml_place(key), "%s: %s", shown, error.text);
    else if (text != NULL && !rkb_kafka_property_check(plain, text, &error))
        rkb_findings_add(&reading->findings, rkb_yaml_place(key), "%s", error.text);    /* names the property */
    if (!given && !rkb_value_add_property(properties, plain, text == NULL ? "" : text))
        reading->findings.failed = true;
    free(text);
}
