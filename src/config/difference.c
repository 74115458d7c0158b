/* difference -- see difference.h. */
#include "config/difference.h"

#include <stdio.h>
#include <string.h>

/* ---- one setting ---- */

static bool same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_texts(const struct rkb_texts *a, const struct rkb_texts *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->texts[i], b->texts[i]) == 0;
    return same;
}

static const char *file_of(const struct rkb_properties *properties, size_t i)
{
    return properties->files != NULL ? properties->files[i] : NULL;
}

static bool same_properties(const struct rkb_properties *a, const struct rkb_properties *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        bool by_file = file_of(a, i) != NULL || file_of(b, i) != NULL;
        same = strcmp(a->list[i].name, b->list[i].name) == 0 && same_text(file_of(a, i), file_of(b, i))
            && (by_file || strcmp(a->list[i].value, b->list[i].value) == 0);
    }
    return same;
}

static bool same_literal(const struct rkb_literal *a, const struct rkb_literal *b)
{
    return a->is_string == b->is_string && same_text(a->text, b->text);
}

static bool same_expect(const struct rkb_expect_spec *a, const struct rkb_expect_spec *b)
{
    bool same = same_text(a->at, b->at) && a->types == b->types && a->optional == b->optional
        && same_text(a->min, b->min) && same_text(a->max, b->max)
        && a->min_length == b->min_length && a->max_length == b->max_length
        && a->value_count == b->value_count && same_text(a->pattern, b->pattern);
    for (size_t i = 0; same && i < a->value_count; i++)
        same = same_literal(&a->values[i], &b->values[i]);
    return same;
}

static bool same_expects(const struct rkb_expects *a, const struct rkb_expects *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = same_expect(&a->list[i], &b->list[i]);
    return same;
}

static bool same_filters(const struct rkb_filters *a, const struct rkb_filters *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) {
        const struct rkb_filter_spec *one = &a->list[i], *other = &b->list[i];
        same = same_text(one->at, other->at) && one->kind == other->kind && same_literal(&one->equals, &other->equals)
            && same_text(one->glob, other->glob) && one->exists == other->exists;
    }
    return same;
}

static bool same_share(const struct rkb_share *a, const struct rkb_share *b)
{
    return a->bytes == b->bytes && a->percent == b->percent;
}

bool rkb_setting_equal(const struct rkb_setting *row, const void *a, const void *b)
{
    const void *one = (const char *)a + row->offset, *other = (const char *)b + row->offset;
    switch (row->type) {
    case RKB_SETTING_TEXT:
    case RKB_SETTING_TEMPLATE:
    case RKB_SETTING_PATH:
    case RKB_SETTING_FILE:
    case RKB_SETTING_URL:
    case RKB_SETTING_LISTEN:
        return same_text(*(char *const *)one, *(char *const *)other);
    case RKB_SETTING_SIZE:
        return *(const uint64_t *)one == *(const uint64_t *)other;
    case RKB_SETTING_SHARE:
        return same_share(one, other);
    case RKB_SETTING_DURATION:
    case RKB_SETTING_SYNC:
    case RKB_SETTING_NUMBER:
        return *(const int64_t *)one == *(const int64_t *)other;
    case RKB_SETTING_MODE:
        return *(const unsigned *)one == *(const unsigned *)other;
    case RKB_SETTING_WORD:
        return *(const int *)one == *(const int *)other;
    case RKB_SETTING_LIST:
        return same_texts(one, other);
    case RKB_SETTING_MAP:
    case RKB_SETTING_PROPERTIES:
        return same_properties(one, other);
    case RKB_SETTING_EXPECT:
        return same_expects(one, other);
    case RKB_SETTING_FILTER:
        return same_filters(one, other);
    }
    return false;
}

/* ---- two configs ---- */

static void begin_line(struct rkb_buffer *out)
{
    if (out->size > 0)
        rkb_buffer_text(out, "\n");
}

static void add_change(struct rkb_difference *to, const char *head, const char *name, const char *what)
{
    begin_line(&to->changed);
    rkb_buffer_format(&to->changed, "%s%s: %s", head, name, what);
    to->change_count++;
}

/* The names of settings that were collected, where there are any; frees them. */
static void add_words(struct rkb_difference *to, const char *head, const char *name, struct rkb_buffer *words)
{
    to->changed.failed = to->changed.failed || words->failed;
    rkb_buffer_add(words, "", 1);
    if (words->size > 1 && *head != '\0') {
        add_change(to, head, name, (const char *)words->data);
    } else if (words->size > 1) {
        begin_line(&to->changed);
        rkb_buffer_text(&to->changed, (const char *)words->data);
        to->change_count++;
    }
    rkb_buffer_free(words);
}

static void add_refusal(struct rkb_difference *to, const char *head, const char *name, const char *what)
{
    begin_line(&to->refused);
    rkb_buffer_format(&to->refused, "%s%s%s needs a restart", head, name, what);
    to->refused_count++;
}

/* what: of the source; then: what to do with it so that the rest is taken. */
static void refuse_source(struct rkb_difference *to, const char *name, const char *what, const char *then)
{
    begin_line(&to->refused);
    rkb_buffer_format(&to->refused, "redis.%s: it is %s; sources come and go only with a restart: %s until then, so "
                      "that the rest is taken", name, what, then);
    to->refused_count++;
}

/* Rows whose paths begin with `kind` ("redis.*."); "" is all that no source and no route has. */
static bool is_of(const struct rkb_setting *row, const char *kind)
{
    return *kind == '\0' ? strchr(row->path, '*') == NULL : strncmp(row->path, kind, strlen(kind)) == 0;
}

/* What may count at once goes to `words` ("topic, key"). */
static void compare(struct rkb_difference *to, const char *kind, const char *head, const char *name, const void *now,
                    const void *next, struct rkb_buffer *words)
{
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const struct rkb_setting *row = &rkb_settings[i];
        char what[96];
        if (!is_of(row, kind) || rkb_setting_equal(row, now, next))
            continue;
        const char *last = row->path + strlen(kind);
        if (row->live) {
            rkb_buffer_format(words, "%s%s", words->size > 0 ? ", " : "", last);
            continue;
        }
        snprintf(what, sizeof what, "%s%s:", *name != '\0' ? "." : "", last);
        add_refusal(to, head, name, what);
    }
}

static const struct rkb_config_source *find_source(const struct rkb_config *config, const char *name)
{
    for (size_t i = 0; i < config->source_count; i++)
        if (strcmp(config->sources[i].name, name) == 0)
            return &config->sources[i];
    return NULL;
}

/*
 * Looks behind the one found last first (*last, 0 at first), so that two configs that are alike are compared in one
 * walk.
 */
static const struct rkb_config_route *find_route(const struct rkb_config *config, const char *name, size_t *last)
{
    for (size_t i = 0; i < config->route_count; i++) {
        size_t at = (*last + i) % config->route_count;
        if (strcmp(config->routes[at].name, name) != 0)
            continue;
        *last = at + 1;
        return &config->routes[at];
    }
    return NULL;
}

static void compare_sources(struct rkb_difference *to, const struct rkb_config *now, const struct rkb_config *next)
{
    for (size_t i = 0; i < now->source_count; i++) {
        const struct rkb_config_source *source = &now->sources[i], *other = find_source(next, source->name);
        struct rkb_buffer words = {0};
        if (other == NULL) {
            refuse_source(to, source->name, "gone", "put it back");
            continue;
        }
        compare(to, "redis.*.", "redis.", source->name, source, other, &words);
        add_words(to, "redis.", source->name, &words);
    }
    for (size_t i = 0; i < next->source_count; i++)
        if (find_source(now, next->sources[i].name) == NULL)
            refuse_source(to, next->sources[i].name, "new", "leave it and its routes out");
}

/* What stands in a file that a setting names, and may differ where the name does not. */
static bool same_files(const struct rkb_config_route *a, const struct rkb_config_route *b)
{
    return a->schema_size == b->schema_size
        && (a->schema_size == 0 || memcmp(a->schema_text, b->schema_text, a->schema_size) == 0);
}

/* The routes that both have, in another order: patterns win by it. */
static bool in_order(const struct rkb_config *now, const struct rkb_config *next)
{
    const struct rkb_config_route *last = NULL;
    size_t found = 0;
    for (size_t i = 0; i < now->route_count; i++) {
        const struct rkb_config_route *other = find_route(next, now->routes[i].name, &found);
        if (other == NULL)
            continue;
        if (last != NULL && other < last)
            return false;
        last = other;
    }
    return true;
}

static void compare_routes(struct rkb_difference *to, const struct rkb_config *now, const struct rkb_config *next)
{
    size_t found = 0;
    for (size_t i = 0; i < next->route_count; i++) {
        const struct rkb_config_route *route = &next->routes[i], *before = find_route(now, route->name, &found);
        struct rkb_buffer words = {0};
        if (before == NULL) {
            add_change(to, "routes.", route->name, "new");
            continue;
        }
        compare(to, "routes.*.", "routes.", route->name, before, route, &words);
        if (same_text(before->schema, route->schema) && !same_files(before, route))
            rkb_buffer_format(&words, "%sschema's file", words.size > 0 ? ", " : "");
        add_words(to, "routes.", route->name, &words);
    }
    for (size_t i = 0; i < now->route_count; i++)
        if (find_route(next, now->routes[i].name, &found) == NULL)
            add_change(to, "routes.", now->routes[i].name, "gone");
    if (!in_order(now, next)) {
        begin_line(&to->changed);
        rkb_buffer_text(&to->changed, "routes: their order");
        to->change_count++;
    }
}

static void compare_globals(struct rkb_difference *to, const struct rkb_config *now, const struct rkb_config *next)
{
    struct rkb_buffer words = {0};
    compare(to, "", "", "", now, next, &words);
    add_words(to, "", "", &words);
}

static void swap_sources(struct rkb_config *config, size_t a, size_t b)
{
    struct rkb_config_source source = config->sources[a];
    config->sources[a] = config->sources[b];
    config->sources[b] = source;
    explicit_bzero(&source, sizeof source);
    for (size_t i = 0; i < config->route_count; i++) {
        size_t *index = &config->routes[i].source_index;
        *index = *index == a ? b : *index == b ? a : *index;
    }
}

void rkb_config_order_sources(struct rkb_config *config, char *const *names, size_t count)
{
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        const struct rkb_config_source *source = find_source(config, names[i]);
        if (source == NULL)
            continue;
        swap_sources(config, place, (size_t)(source - config->sources));
        place++;
    }
}

bool rkb_config_difference(const struct rkb_config *now, const struct rkb_config *next,
                           struct rkb_difference *difference)
{
    *difference = (struct rkb_difference){0};
    compare_globals(difference, now, next);
    compare_sources(difference, now, next);
    compare_routes(difference, now, next);
    return !difference->changed.failed && !difference->refused.failed;
}

void rkb_difference_free(struct rkb_difference *difference)
{
    rkb_buffer_free(&difference->changed);
    rkb_buffer_free(&difference->refused);
}
