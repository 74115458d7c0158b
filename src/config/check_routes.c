/* check_routes -- see check.h: sources that exist, claims that do not overlap, templates that compile. */
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/nearest.h"
#include "config/named_file.h"
#include "config/route_rules.h"
#include "config/values.h"
#include "message/presets.h"
#include "message/route.h"

/* Channels of our own begin so; no route of a file may name one. */
static const char *const control_prefixes[] = {"__rkbridge:", RKB_CANARY_PREFIX};

/* A channel or pattern that a route wants from its source. */
struct claim {
    size_t source, route, order;
    bool is_pattern;
    const char *text;
    const yaml_node_t *node;
};

struct claims {
    struct claim *list;
    size_t count;
};

#define NO_SOURCE SIZE_MAX

static size_t find_source(const struct rkb_config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (strcmp(config->sources[i].name, name) == 0)
            return i;
    return NO_SOURCE;
}

static void add_no_such_source(struct rkb_reading *reading, const struct rkb_section *section, const char *name)
{
    struct rkb_nearest nearest = {0};
    for (size_t i = 0; i < reading->config->source_count; i++)
        rkb_nearest_offer(&nearest, name, reading->config->sources[i].name);
    rkb_reading_mistake(reading, section, "routes.*.source", "there is no source \"%s\" under redis%s%s%s",
                        rkb_value_is_name(name, 64) ? name : "(no name of a source, and not shown)",
                        nearest.name != NULL ? "; did you mean " : "", nearest.name != NULL ? nearest.name : "",
                        nearest.name != NULL ? "?" : "");
}

/* With no source at all that is the mistake, not each route's. */
static void check_route_source(struct rkb_reading *reading, const struct rkb_section *section,
                               struct rkb_config_route *route)
{
    route->source_index = route->source == NULL ? NO_SOURCE : find_source(reading->config, route->source);
    if (route->source != NULL && route->source_index == NO_SOURCE && reading->config->source_count > 0)
        add_no_such_source(reading, section, route->source);
}

#define MOST_TEMPLATE (1u << 20)

/* Its text becomes the route's value. */
static void read_value_file(struct rkb_reading *reading, const struct rkb_section *section,
                            struct rkb_config_route *route)
{
    size_t size;
    char *text = rkb_named_file_read(reading, section, "routes.*.value_file", route->value_file, MOST_TEMPLATE, &size);
    if (text != NULL && strlen(text) != size) {
        rkb_reading_mistake(reading, section, "routes.*.value_file", "a NUL byte in the file");
        free(text);
        text = NULL;
    }
    free(route->value);
    route->value = text;
}

/* One that is given where nothing uses it is a misunderstanding. */
static void check_used(struct rkb_reading *reading, const struct rkb_section *section, const char *path, bool used,
                       const char *with)
{
    if (!used && rkb_reading_node(section, path) != NULL)
        rkb_reading_mistake(reading, section, path, "has no effect here; only %s", with);
}

/* Leaves one of envelope and value; the other is NULL from here on. */
static void check_envelope_or_value(struct rkb_reading *reading, const struct rkb_section *section,
                                    struct rkb_config_route *route)
{
    bool has_file = rkb_reading_node(section, "routes.*.value_file") != NULL;
    bool has_value = rkb_reading_node(section, "routes.*.value") != NULL;
    bool has_envelope = rkb_reading_node(section, "routes.*.envelope") != NULL;
    if (has_value && has_envelope)
        rkb_reading_mistake(reading, section, "routes.*.value", "envelope and value are both given; keep one");
    if (has_file && (has_value || has_envelope))
        rkb_reading_mistake(reading, section, "routes.*.value_file", "given beside envelope or value; keep one");
    if (has_file && route->value_file != NULL)
        read_value_file(reading, section, route);
    if (has_value || has_file) {
        free(route->envelope);
        route->envelope = NULL;
    }
    const struct rkb_preset *preset = route->envelope == NULL ? NULL : rkb_preset_find(route->envelope);
    check_used(reading, section, "routes.*.payload_name", preset != NULL && preset->uses_payload_name,
               "envelopes event, flat and merge use it");
    check_used(reading, section, "routes.*.name", preset != NULL && preset->uses_name,
               "envelopes event, flat, cloudevents and cloudevents-json use it");
    check_used(reading, section, "routes.*.when_taken", preset != NULL && preset->merges, "envelope merge uses it");
}

static void check_headers(struct rkb_reading *reading, const struct rkb_section *section,
                          const struct rkb_config_route *route)
{
    if (route->headers.count > RKB_ROUTE_HEADERS)
        rkb_reading_mistake(reading, section, "routes.*.headers", "%zu headers; a route may have %d",
                            route->headers.count, RKB_ROUTE_HEADERS);
}

static const char *path_of_field(enum rkb_envelope_field field)
{
    switch (field) {
    case RKB_FIELD_ENVELOPE:
        return "routes.*.envelope";
    case RKB_FIELD_VALUE:
        return "routes.*.value";
    case RKB_FIELD_NAME:
        return "routes.*.name";
    case RKB_FIELD_PAYLOAD_NAME:
        return "routes.*.payload_name";
    case RKB_FIELD_KEY:
        return "routes.*.key";
    case RKB_FIELD_TOPIC:
        return "routes.*.topic";
    case RKB_FIELD_HEADER:
        return "routes.*.headers";
    }
    return "routes.*.envelope";
}

static void add_mistake(struct rkb_reading *reading, const struct rkb_section *section,
                        const struct rkb_config_route *route, const struct rkb_envelope_mistake *mistake,
                        const char *header, const char *text)
{
    if (mistake->field == RKB_FIELD_VALUE && route->value_file != NULL)
        rkb_named_file_mistake(reading, section, "routes.*.value_file", route->value_file,
                               rkb_slice_text(route->value), mistake->at, text);
    else if (mistake->field == RKB_FIELD_HEADER)
        rkb_reading_map_mistake(reading, section, "routes.*.headers", header, mistake->at, text);
    else
        rkb_reading_mistake_at(reading, section, path_of_field(mistake->field), mistake->at, text);
}

/* Something right in place of what is wrong, so that the rest is looked at too. */
static void replace_field(struct rkb_route_rules *rules, const struct rkb_envelope_mistake *mistake)
{
    struct rkb_envelope_spec *spec = &rules->spec.envelope;
    switch (mistake->field) {
    case RKB_FIELD_KEY:
        spec->key = NULL;
        break;
    case RKB_FIELD_NAME:
        spec->name = NULL;
        break;
    case RKB_FIELD_PAYLOAD_NAME:
        spec->payload_name = NULL;
        break;
    case RKB_FIELD_TOPIC:
        spec->topic = NULL;
        break;
    case RKB_FIELD_HEADER:
        memmove(&rules->headers[mistake->header], &rules->headers[mistake->header + 1],
                (spec->header_count - mistake->header - 1) * sizeof rules->headers[0]);
        spec->header_count--;
        break;
    case RKB_FIELD_ENVELOPE:
    case RKB_FIELD_VALUE:
        spec->preset = "raw";
        spec->value = NULL;
        break;
    }
}

/* An empty key or value of a mistaken scalar is not looked at: its mistake is known. The checks are looked at alone. */
static void check_templates(struct rkb_reading *reading, const struct rkb_section *section,
                            const struct rkb_config_route *route)
{
    struct rkb_slice instance = rkb_slice_text(reading->config->instance == NULL ? "" : reading->config->instance);
    struct rkb_route_rules rules;
    struct rkb_envelope_mistake mistake;
    struct rkb_error error;
    struct rkb_rules *compiled;
    rkb_route_rules(route, (struct rkb_name_forms){instance, instance}, &rules);
    rules.spec.checks = (struct rkb_judge_spec){0};
    if (route->value == NULL && route->envelope == NULL)
        rules.spec.envelope.preset = "raw";
    for (int fields = 0; fields < 8 + RKB_ROUTE_HEADERS; fields++) {
        if ((compiled = rkb_rules_compile(&rules.spec, &mistake, &error)) != NULL) {
            rkb_rules_free(compiled);
            return;
        }
        add_mistake(reading, section, route, &mistake, rules.headers[mistake.header].name, error.text);
        replace_field(&rules, &mistake);
    }
}

/* A route whose source does not exist has one to itself: what it names twice is still twice. */
static size_t claimed_source(const struct rkb_config *config, size_t route)
{
    size_t source = config->routes[route].source_index;
    return source == NO_SOURCE ? config->source_count + route : source;
}

static void refuse_ours(struct rkb_reading *reading, const struct claim *claim, const char *path)
{
    for (size_t i = 0; i < sizeof control_prefixes / sizeof control_prefixes[0]; i++)
        if (strncmp(claim->text, control_prefixes[i], strlen(control_prefixes[i])) == 0)
            rkb_findings_add(&reading->findings, rkb_yaml_place(claim->node),
                             "%s%s: channels that begin with %s are rkbridge's own",
                             reading->routes[claim->route].shown, path + strlen("routes.*."), control_prefixes[i]);
}

static void add_claims(struct rkb_reading *reading, struct claims *claims, size_t route, bool is_pattern)
{
    const struct rkb_config_route *from = &reading->config->routes[route];
    const char *path = is_pattern ? "routes.*.patterns" : "routes.*.channels";
    const struct rkb_texts *texts = is_pattern ? &from->patterns : &from->channels;
    const yaml_node_t *list = rkb_reading_node(&reading->routes[route], path);
    for (size_t i = 0; i < texts->count; i++) {
        struct claim claim = {claimed_source(reading->config, route), route, claims->count, is_pattern, texts->texts[i],
                              rkb_reading_item(reading, list, i)};
        refuse_ours(reading, &claim, path);
        if (claim.text[0] != '\0')
            claims->list[claims->count++] = claim;
    }
}

static int by_claim(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    if (x->is_pattern != y->is_pattern)
        return x->is_pattern ? 1 : -1;
    int texts = strcmp(x->text, y->text);
    return texts != 0 ? texts : (x->order > y->order) - (x->order < y->order);
}

static bool same_claim(const struct claim *a, const struct claim *b)
{
    return a->source == b->source && a->is_pattern == b->is_pattern && strcmp(a->text, b->text) == 0;
}

static void add_claimed_twice(struct rkb_reading *reading, const struct claim *first, const struct claim *second)
{
    const struct rkb_config *config = reading->config;
    const char *noun = second->is_pattern ? "pattern" : "channel";
    const char *setting = second->is_pattern ? "patterns" : "channels";
    struct rkb_place place = rkb_yaml_place(second->node);
    size_t line = rkb_yaml_place(first->node).line;
    if (first->route == second->route)
        rkb_findings_add(&reading->findings, place, "routes.%s.%s: the %s \"%.100s\" is there twice, first in line %zu",
                         config->routes[second->route].name, setting, noun, second->text, line);
    else
        rkb_findings_add(&reading->findings, place,
                         "routes.%s.%s: the %s \"%.100s\" of %s belongs to the route %s already, line %zu",
                         config->routes[second->route].name, setting, noun, second->text,
                         config->sources[second->source].name, config->routes[first->route].name, line);
}

static void check_claims(struct rkb_reading *reading)
{
    const struct rkb_config *config = reading->config;
    struct claims claims = {0};
    size_t count = 0;
    for (size_t i = 0; i < config->route_count; i++)
        count += config->routes[i].channels.count + config->routes[i].patterns.count;
    claims.list = calloc(count + 1, sizeof *claims.list);
    if (claims.list == NULL) {
        reading->findings.failed = true;
        return;
    }
    for (size_t i = 0; i < config->route_count; i++) {
        add_claims(reading, &claims, i, false);
        add_claims(reading, &claims, i, true);
    }
    qsort(claims.list, claims.count, sizeof *claims.list, by_claim);
    for (size_t i = 1, first = 0; i < claims.count; i++) {
        if (same_claim(&claims.list[first], &claims.list[i]))
            add_claimed_twice(reading, &claims.list[first], &claims.list[i]);
        else
            first = i;
    }
    free(claims.list);
}

static void check_rules(struct rkb_reading *reading, const struct rkb_section *section,
                        const struct rkb_config_route *route)
{
    struct rkb_pointers *pointers = rkb_pointers_new();
    if (pointers != NULL)
        rkb_check_rules(reading, section, route, pointers);
    else
        reading->findings.failed = true;
    rkb_pointers_free(pointers);
}

/* What is right by itself may be too much together. */
static void check_together(struct rkb_reading *reading, const struct rkb_section *section,
                           const struct rkb_config_route *route)
{
    struct rkb_slice instance = rkb_slice_text(reading->config->instance == NULL ? "" : reading->config->instance);
    struct rkb_route_rules rules;
    struct rkb_envelope_mistake mistake;
    struct rkb_error error;
    if (reading->findings.count > 0)
        return;
    rkb_route_rules(route, (struct rkb_name_forms){instance, instance}, &rules);
    struct rkb_rules *compiled = rkb_rules_compile(&rules.spec, &mistake, &error);
    if (compiled == NULL)
        rkb_findings_add(&reading->findings, rkb_yaml_place(section->name), "routes.%.64s: templates and checks: %s",
                         route->name, error.text);
    rkb_rules_free(compiled);
}

static void check_route(struct rkb_reading *reading, const struct rkb_section *section, struct rkb_config_route *route)
{
    check_route_source(reading, section, route);
    if (route->channels.count + route->patterns.count == 0)
        rkb_findings_add(&reading->findings, rkb_yaml_place(section->name),
                         "routes.%.64s: neither channels nor patterns", route->name);
    check_envelope_or_value(reading, section, route);
    check_headers(reading, section, route);
    check_templates(reading, section, route);
    rkb_check_schema(reading, section, route);
    check_rules(reading, section, route);
    check_together(reading, section, route);
}

/* A source without a route would connect for nothing; most likely a route is missing or names another. */
static void check_sources_used(struct rkb_reading *reading)
{
    const struct rkb_config *config = reading->config;
    for (size_t i = 0; i < config->source_count; i++) {
        bool used = false;
        for (size_t j = 0; j < config->route_count && !used; j++)
            used = config->routes[j].source_index == i;
        if (!used)
            rkb_findings_add(&reading->findings, rkb_yaml_place(reading->sources[i].name),
                             "redis.%s: no route reads from it",
                             rkb_value_is_name(config->sources[i].name, 64) ? config->sources[i].name : "?");
    }
}

void rkb_check_routes(struct rkb_reading *reading)
{
    struct rkb_config *config = reading->config;
    if (config->route_count == 0)
        rkb_findings_add(&reading->findings, rkb_reading_top(reading, "routes"), "routes: no route; name at least one");
    for (size_t i = 0; i < config->route_count; i++)
        check_route(reading, &reading->routes[i], &config->routes[i]);
    rkb_check_topics(reading);
    check_claims(reading);
    if (config->route_count > 0)
        check_sources_used(reading);
}
