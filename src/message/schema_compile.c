/*
 * schema_compile -- a schema's text made into nodes and rules, or all that is wrong with it, each with its place.
 *
 *     text --> document --> nodes, one after another, each making those it leads to --> $refs followed --> no loops?
 *
 * The text is read by our own reader and not by jansson, which has no places, rounds numbers and folds repeated keys.
 * Promises that everything in the text with an effect has become a rule or a mistake. Never recurses, so that no schema
 * is too deep for the stack. (A check does recurse, and counts.)
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/escape.h"
#include "message/schema_compiler.h"

#define IN_PLACE_DEPTH 64       /* allOf in anyOf in ...: more of them about one value is taken for a loop */

/* ---- mistakes ---- */

bool rkb_compiler_no_memory(struct rkb_compiler *compiler)
{
    compiler->no_memory = true;
    return false;
}

static bool note(struct rkb_compiler *compiler, size_t at, const char *text)
{
    if (compiler->mistake_count == RKB_SCHEMA_MISTAKES)
        return false;
    char *copy = strdup(text);
    if (copy == NULL)
        return rkb_compiler_no_memory(compiler);
    compiler->mistakes[compiler->mistake_count++] = (struct rkb_found_mistake){at, copy};
    return false;
}

bool rkb_compiler_mistake(struct rkb_compiler *compiler, uint32_t value, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return note(compiler, compiler->values[value].at, text);
}

bool rkb_compiler_mistake_about(struct rkb_compiler *compiler, uint32_t key, const char *words)
{
    struct rkb_buffer name = {0};
    rkb_escape(RKB_ESCAPE_PLAIN, rkb_value_text(&compiler->values[key]), &name);
    rkb_compiler_mistake(compiler, key, "\"%.*s\" %s", (int)(name.size < 200 ? name.size : 200),
                         name.size > 0 ? (const char *)name.data : "", words);
    rkb_buffer_free(&name);
    return false;
}

static int by_place(const void *left, const void *right)
{
    const struct rkb_found_mistake *a = left, *b = right;
    return (a->at > b->at) - (a->at < b->at);
}

/* Says the mistakes in the order of their places; true if there were any. */
static bool tell_mistakes(struct rkb_compiler *compiler, rkb_schema_mistake *mistake, void *context)
{
    const uint8_t *text = compiler->schema->document.text.data;
    size_t line = 1, column = 1, at = 0, count = compiler->mistake_count;
    qsort(compiler->mistakes, count, sizeof *compiler->mistakes, by_place);
    for (size_t i = 0; i < count; i++) {
        for (; at < compiler->mistakes[i].at; at++) {
            if (text[at] == '\n') {
                line++;
                column = 1;
            } else if ((text[at] & 0xC0) != 0x80) {
                column++;
            }
        }
        mistake(context, line, column, compiler->mistakes[i].text);
        free(compiler->mistakes[i].text);
    }
    if (compiler->no_memory)
        mistake(context, 1, 1, "no memory to compile a schema");
    return count > 0 || compiler->no_memory;
}

/* ---- nodes and links ---- */

void *rkb_grown(void *array, size_t count, size_t *capacity, size_t each)
{
    if (count < *capacity)
        return array;
    size_t more = *capacity > 0 ? 2 * *capacity : 16;
    void *grown = realloc(array, more * each);
    if (grown != NULL)
        *capacity = more;
    return grown;
}

static bool make_node(struct rkb_compiler *compiler, uint32_t value)
{
    struct rkb_schema *schema = compiler->schema;
    struct rkb_node *nodes =
        rkb_grown(schema->nodes, schema->node_count, &schema->node_capacity, sizeof *schema->nodes);
    if (nodes == NULL)
        return rkb_compiler_no_memory(compiler);
    schema->nodes = nodes;
    struct rkb_slice *bases =
        rkb_grown(compiler->bases, schema->node_count, &compiler->base_capacity, sizeof *compiler->bases);
    if (bases == NULL)
        return rkb_compiler_no_memory(compiler);
    compiler->bases = bases;
    bases[schema->node_count] = schema->node_count > 0 ? bases[compiler->node] : rkb_slice("", 0);
    compiler->node_of[value] = (uint32_t)schema->node_count;
    schema->nodes[schema->node_count++] =
        (struct rkb_node){.types = RKB_TYPE_ALL, .schema = value, .type_key = RKB_NONE, .ref_key = RKB_NONE};
    return true;
}

uint32_t rkb_compiler_link(struct rkb_compiler *compiler, uint32_t key, uint32_t value, bool in_place)
{
    struct rkb_schema *schema = compiler->schema;
    uint8_t kind = compiler->values[value].kind;
    if (kind != RKB_KIND_OBJECT && kind != RKB_KIND_BOOLEAN) {
        rkb_compiler_mistake(compiler, value, "here a schema must stand: an object, true or false");
        return RKB_NONE;
    }
    if (compiler->node_of[value] == RKB_NONE && !make_node(compiler, value))
        return RKB_NONE;
    struct rkb_link *links =
        rkb_grown(schema->links, schema->link_count, &schema->link_capacity, sizeof *schema->links);
    if (links == NULL) {
        rkb_compiler_no_memory(compiler);
        return RKB_NONE;
    }
    schema->links = links;
    links[schema->link_count] = (struct rkb_link){compiler->node_of[value], compiler->node, key, in_place};
    return (uint32_t)schema->link_count++;
}

uint32_t rkb_compiler_links(struct rkb_compiler *compiler, uint32_t key, bool in_place, uint32_t *count)
{
    const struct rkb_value *values = compiler->values;
    uint32_t list = key + 1, first = (uint32_t)compiler->schema->link_count;
    *count = 0;
    if (values[list].kind != RKB_KIND_ARRAY || values[list].count == 0) {
        rkb_compiler_mistake(compiler, list, "here a list of schemas must stand, with at least one in it");
        return RKB_NONE;
    }
    for (uint32_t at = list + 1; at < values[list].next; at = values[at].next, ++*count)
        if (rkb_compiler_link(compiler, key, at, in_place) == RKB_NONE)
            first = RKB_NONE;
    return first;
}

uint32_t rkb_compiler_keyword(const struct rkb_compiler *compiler, const char *name)
{
    struct rkb_slice text = rkb_slice_text(name);
    return rkb_values_member(compiler->values, compiler->schema->nodes[compiler->node].schema, text,
                             rkb_key_hash(text));
}

struct rkb_regex *rkb_compiler_pattern(struct rkb_compiler *compiler, uint32_t value)
{
    struct rkb_schema *schema = compiler->schema;
    if (compiler->values[value].kind != RKB_KIND_STRING) {
        rkb_compiler_mistake(compiler, value, "a pattern is a string");
        return NULL;
    }
    struct rkb_regex **regexes =
        rkb_grown(schema->regexes, schema->regex_count, &schema->regex_capacity, sizeof *regexes);
    if (regexes == NULL) {
        rkb_compiler_no_memory(compiler);
        return NULL;
    }
    schema->regexes = regexes;
    size_t at;
    struct rkb_error error;
    struct rkb_regex *regex = rkb_regex_compile_as(RKB_REGEX_ECMA, rkb_value_text(&compiler->values[value]), &at,
                                                   &error);
    if (regex != NULL)
        regexes[schema->regex_count++] = regex;
    else
        rkb_compiler_mistake(compiler, value, "%s", error.text);
    return regex;
}

/* The rules of the node that is compiled, put together by what they are about. */
static void keep_rules(struct rkb_compiler *compiler)
{
    struct rkb_node *node = &compiler->schema->nodes[compiler->node];
    if (compiler->rule_count == 0)
        return;
    node->rules = rkb_pool_add(&compiler->schema->pool, compiler->rule_count * sizeof *node->rules);
    if (node->rules == NULL) {
        rkb_compiler_no_memory(compiler);
        return;
    }
    uint32_t count = 0;
    for (int about = 0; about < RKB_ABOUTS; about++) {
        node->first[about] = count;
        for (size_t i = 0; i < compiler->rule_count; i++)
            if ((int)compiler->rules[i].about == about)
                node->rules[count++] = compiler->rules[i];
    }
    node->first[RKB_ABOUTS] = count;
}

static void compile_node(struct rkb_compiler *compiler)
{
    struct rkb_node *node = &compiler->schema->nodes[compiler->node];
    const struct rkb_value *value = &compiler->values[node->schema];
    if (value->kind == RKB_KIND_BOOLEAN) {
        node->types = *value->data == 't' ? RKB_TYPE_ALL : 0;
        return;
    }
    compiler->rule_count = 0;
    compiler->members_done = false;
    rkb_compile_keywords(compiler, node->schema);
    keep_rules(compiler);
}

/* ---- the whole ---- */

/* What is counted of an object leaves these out, so nothing goes on where there is one. */
static bool refuse_repeated(struct rkb_compiler *compiler)
{
    bool repeated = false;
    for (uint32_t i = 0; i < compiler->schema->document.count; i++) {
        if (!compiler->values[i].shadowed)
            continue;
        rkb_compiler_mistake_about(compiler, i, "stands twice in this object: take one out");
        repeated = true;
    }
    return repeated;
}

/*
 * Schemas about one value that lead to each other would be checked without end. The height of a node is how many nodes
 * about the same value may follow; in a loop it grows without limit.
 */
static void refuse_loops(struct rkb_compiler *compiler)
{
    struct rkb_schema *schema = compiler->schema;
    uint32_t *height = calloc(schema->node_count, sizeof *height);
    const struct rkb_link *loop = NULL;
    bool changed = height != NULL;
    if (height == NULL)
        rkb_compiler_no_memory(compiler);
    while (changed && loop == NULL) {
        changed = false;
        for (const struct rkb_link *link = schema->links; link < schema->links + schema->link_count; link++) {
            if (!link->in_place || height[link->owner] > height[link->node])
                continue;
            changed = true;
            height[link->owner] = height[link->node] + 1;
            if (height[link->owner] > IN_PLACE_DEPTH)
                loop = link;
        }
    }
    if (loop != NULL)
        rkb_compiler_mistake(compiler, loop->key, "this leads back to itself about the same value, or through more "
                             "than %d schemas: a check would not end", IN_PLACE_DEPTH);
    free(height);
}

/* All keys and strings of the schema: a reason may name them. */
static void collect_known(struct rkb_compiler *compiler)
{
    struct rkb_schema *schema = compiler->schema;
    if (!rkb_names_make(&schema->known, &schema->pool, schema->document.count)) {
        rkb_compiler_no_memory(compiler);
        return;
    }
    for (size_t i = 0; i < schema->document.count; i++) {
        struct rkb_slice text = rkb_value_text(&compiler->values[i]);
        if (compiler->values[i].kind == RKB_KIND_STRING)
            rkb_names_add(&schema->known, text, rkb_key_hash(text));
    }
}

static void compile(struct rkb_compiler *compiler)
{
    struct rkb_schema *schema = compiler->schema;
    if (refuse_repeated(compiler))
        return;
    compiler->node_of = malloc(schema->document.count * sizeof *compiler->node_of);
    if (compiler->node_of == NULL) {
        rkb_compiler_no_memory(compiler);
        return;
    }
    for (size_t i = 0; i < schema->document.count; i++)
        compiler->node_of[i] = RKB_NONE;
    rkb_compiler_link(compiler, 0, 0, false);
    for (; compiler->node < schema->node_count; compiler->node++)
        compile_node(compiler);
    if (compiler->mistake_count == 0 && !compiler->no_memory)
        rkb_follow_refs(compiler);
    if (compiler->mistake_count == 0 && !compiler->no_memory)
        refuse_loops(compiler);
    collect_known(compiler);
}

static bool read_text(struct rkb_compiler *compiler, struct rkb_slice text)
{
    struct rkb_schema *schema = compiler->schema;
    schema->text = malloc(text.size + 1);
    if (schema->text == NULL)
        return rkb_compiler_no_memory(compiler);
    if (text.size > 0)
        memcpy(schema->text, text.data, text.size);
    schema->document.text = rkb_slice(schema->text, text.size);
    size_t stopped_at = 0;
    if (!rkb_json_valid(schema->document.text, &stopped_at))
        return note(compiler, stopped_at, "this is not JSON (RFC 8259): reading it stopped here");
    switch (rkb_document_read(&schema->document, schema->document.text)) {
    case RKB_DOCUMENT_READ:
        compiler->values = schema->document.values;
        return true;
    case RKB_DOCUMENT_NOT_JSON:
    case RKB_DOCUMENT_TOO_LARGE:
        return note(compiler, 0, "this schema has too many values, or too many keys that look alike");
    case RKB_DOCUMENT_NO_MEMORY:
        break;
    }
    return rkb_compiler_no_memory(compiler);
}

struct rkb_schema *rkb_schema_compile(struct rkb_slice text, rkb_schema_mistake *mistake, void *context)
{
    struct rkb_schema *schema = calloc(1, sizeof *schema);
    if (schema == NULL) {
        mistake(context, 1, 1, "no memory to compile a schema");
        return NULL;
    }
    struct rkb_compiler compiler = {.schema = schema};
    if (read_text(&compiler, text))
        compile(&compiler);
    bool bad = tell_mistakes(&compiler, mistake, context);
    free(compiler.node_of);
    free(compiler.bases);
    free(compiler.ids);
    free(compiler.rules);
    if (!bad)
        return schema;
    rkb_schema_free(schema);
    return NULL;
}

void rkb_schema_free(struct rkb_schema *schema)
{
    if (schema == NULL)
        return;
    for (size_t i = 0; i < schema->regex_count; i++)
        rkb_regex_free(schema->regexes[i]);
    free(schema->regexes);
    free(schema->nodes);
    free(schema->links);
    rkb_pool_free(&schema->pool);
    rkb_document_free(&schema->document);
    free(schema->text);
    free(schema);
}
