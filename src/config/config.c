/*
 * config -- see config.h.
 *
 *     file --yaml--> document --walk--> config, with the place of each setting --check--> no mistakes, or all of them
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/canary.h"
#include "config/check.h"
#include "config/effective.h"
#include "config/places.h"
#include "config/secret.h"
#include "config/values.h"
#include "config/walk.h"
#include "message/judge.h"

static void free_reading(struct rkb_reading *reading)
{
    free(reading->sources);
    free(reading->routes);
    rkb_yaml_free(&reading->yaml);
}

static void note_givens(struct rkb_reading *reading)
{
    reading->config->givens = calloc(1, sizeof *reading->config->givens);
    if (reading->config->givens == NULL || !rkb_givens_note(reading, reading->config->givens))
        reading->findings.failed = true;
}

struct rkb_config *rkb_config_read_placed(const char *path, bool embedded, struct rkb_mistakes *mistakes,
                                          struct rkb_places *places)
{
    struct rkb_reading reading = {
        .config = calloc(1, sizeof *reading.config), .path = path, .embedded = embedded};
    *mistakes = (struct rkb_mistakes){0};
    if (reading.config == NULL) {
        reading.findings.failed = true;
    } else if (rkb_yaml_load(&reading.yaml, path, &reading.findings) && rkb_walk(&reading)) {
        rkb_check_routes(&reading);
        rkb_check_settings(&reading);
        rkb_canary_check(&reading);
        if (reading.findings.count == 0)
            rkb_check_keys(&reading);
        if (reading.findings.count == 0)
            note_givens(&reading);
        if (places != NULL)
            rkb_places_take(places, &reading);
        if (reading.findings.count == 0)
            rkb_canary_add_routes(&reading);        /* last: no line of the file is theirs */
    }
    free_reading(&reading);
    mistakes->warning_count = rkb_findings_finish(&reading.warnings, path, "warning: ", &mistakes->warnings);
    mistakes->count = rkb_findings_finish(&reading.findings, path, "", &mistakes->text);
    if (mistakes->count == 0)
        return reading.config;
    rkb_config_free(reading.config);
    return NULL;
}

struct rkb_config *rkb_config_read(const char *path, bool embedded, struct rkb_mistakes *mistakes)
{
    return rkb_config_read_placed(path, embedded, mistakes, NULL);
}

static void free_settings(const char *kind, void *base)
{
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const char *row = rkb_settings[i].path;
        if (*kind == '\0' ? strchr(row, '*') == NULL : strncmp(row, kind, strlen(kind)) == 0)
            rkb_value_free(&rkb_settings[i], base);
    }
}

static void free_source(struct rkb_config_source *source)
{
    free_settings("redis.*.", source);
    free(source->name);
}

void rkb_config_free(struct rkb_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->source_count; i++)
        free_source(&config->sources[i]);
    for (size_t i = 0; i < config->route_count; i++) {
        free_settings("routes.*.", &config->routes[i]);
        free(config->routes[i].name);
        free(config->routes[i].schema_text);
    }
    free_settings("", config);
    if (config->givens != NULL)
        rkb_givens_free(config->givens);
    free(config->givens);
    free(config->control.admin_users.list);
    free(config->control.admin_group_numbers.list);
    free(config->sources);
    free(config->routes);
    free(config);
}

void rkb_mistakes_free(struct rkb_mistakes *mistakes)
{
    rkb_buffer_free(&mistakes->text);
    rkb_buffer_free(&mistakes->warnings);
    mistakes->count = mistakes->warning_count = 0;
}

bool rkb_config_keyless(const struct rkb_config_route *route)
{
    return route->key == NULL || route->key[0] == '\0' || strcmp(route->key, "none") == 0;
}

bool rkb_config_password(const struct rkb_config_source *source, char *out, size_t size, struct rkb_error *error)
{
    if (source->password_file != NULL)
        return rkb_secret_read(source->password_file, out, size, error);
    const char *password = source->password != NULL ? source->password : "";
    if (strlen(password) >= size)
        return rkb_fail(error, RKB_USAGE, "the password is longer than %zu bytes", size - 1);
    memcpy(out, password, strlen(password) + 1);
    return true;
}

struct rkb_tls_options rkb_config_tls(const struct rkb_config_source *source)
{
    return (struct rkb_tls_options){
        .ca_file = source->tls.ca_file,
        .ca_directory = source->tls.ca_directory,
        .certificate_file = source->tls.certificate_file,
        .key_file = source->tls.key_file,
        .key_password_file = source->tls.key_password_file,
        .server_name = source->tls.server_name,
        .unverified = source->tls.verify == 0,
    };
}

struct rkb_judge_spec rkb_config_checks(const struct rkb_config_route *route)
{
    return (struct rkb_judge_spec){
        .require = (enum rkb_require)route->require,
        .expects = route->expect.list,
        .expect_count = route->expect.count,
        .filters = route->filter.list,
        .filter_count = route->filter.count,
        .schema = rkb_slice(route->schema_text, route->schema_size),
    };
}
