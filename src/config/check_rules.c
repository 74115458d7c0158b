/* check_rules -- see check.h: what a route's checks are together. Each rule was checked when it was read. */
#include "config/check.h"

#include <stdlib.h>

#include "config/named_file.h"
#include "message/judge.h"

#define MOST_SCHEMA (1u << 20)

struct schema_mistakes {
    struct rkb_reading *reading;
    const struct rkb_section *section;
    const char *file;
};

static void add_mistake(void *context, size_t line, size_t column, const char *text)
{
    const struct schema_mistakes *to = context;
    rkb_reading_mistake(to->reading, to->section, "routes.*.schema", "%.200s:%zu:%zu: %s", to->file, line, column,
                        text);
}

void rkb_check_schema(struct rkb_reading *reading, const struct rkb_section *section, struct rkb_config_route *route)
{
    if (route->schema == NULL)
        return;
    struct schema_mistakes mistakes = {reading, section, route->schema};
    size_t size = 0;
    char *text = rkb_named_file_read(reading, section, "routes.*.schema", route->schema, MOST_SCHEMA, &size);
    struct rkb_schema *schema = text == NULL ? NULL : rkb_schema_compile(rkb_slice(text, size), add_mistake, &mistakes);
    if (schema != NULL) {
        route->schema_text = text;
        route->schema_size = size;
    } else {
        free(text);
    }
    rkb_schema_free(schema);
}

void rkb_check_rules(struct rkb_reading *reading, const struct rkb_section *section,
                     const struct rkb_config_route *route, struct rkb_pointers *pointers)
{
    struct rkb_judge_spec spec = rkb_config_checks(route);
    struct rkb_judge *judge;
    struct rkb_error error;
    if (!rkb_judge_compile(&spec, pointers, &judge, &error))
        rkb_reading_mistake(reading, section, route->expect.count > 0 ? "routes.*.expect" : "routes.*.filter", "%s",
                            error.text);
    rkb_judge_free(judge);
}
