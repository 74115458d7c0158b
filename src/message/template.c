/*
 * template -- see template.h.
 *
 * Compiled, a template is a list of parts, each a literal (maybe empty) and the slot behind it (none behind the
 * last one):
 *
 *     {"id": "{{uuid}}", "user": "{{payload}}"}
 *     [{"id":        ] [uuid, value]  [,"user":      ] [payload, value]  [}           ] [-]
 *
 * A JSON template is first checked as it stands, as slots live inside its strings; then a string is a key if a colon
 * follows, a value that is just one slot loses its quotes, and all else is literal, escapes as they are written.
 * Promises: what renders from a JSON template is JSON whatever the payload. Rendering
 * allocates nothing and cannot fail.
 */
#include "message/template.h"

#include <stdlib.h>

#include "message/attribute.h"
#include "message/json.h"
#include "message/json_string.h"
#include "message/slot.h"

struct part {
    size_t start, size;             /* of the literal, in literals */
    const struct rkb_slot *slot;    /* NULL behind the last literal */
    size_t argument;                /* of a capture or a pointer: see slot.h */
    enum rkb_context context;
};

struct rkb_template {
    struct part *parts;
    uint8_t *literals;
    size_t literal_size;            /* of all literals together */
};

struct compiler {
    struct rkb_slice text;
    size_t at;                      /* in text; on a mistake: where it is */
    const struct rkb_template_scope *scope;
    struct rkb_buffer parts, literals;
    size_t literal_start;           /* of the literal that is growing */
    bool attribute;                 /* what follows in this text or string is one */
    struct rkb_error *error;
};

static void add_literal(struct compiler *compiler, const void *data, size_t size)
{
    rkb_buffer_add(&compiler->literals, data, size);
}

/* Closes the literal that grows and puts the slot behind it. */
static void add_part(struct compiler *compiler, const struct rkb_slot *slot, size_t argument, enum rkb_context context)
{
    struct part part = {compiler->literal_start, compiler->literals.size - compiler->literal_start, slot, argument,
                        context};
    rkb_buffer_add(&compiler->parts, &part, sizeof part);
    compiler->literal_start = compiler->literals.size;
}

/* The name of a source, route or instance as (a part of) an attribute. */
static void add_fixed_attribute(struct compiler *compiler, struct rkb_slice name, bool json)
{
    struct rkb_attribute attribute = {.text = name, .json = json};
    size_t size = rkb_attribute_size(&attribute);
    uint8_t *room = rkb_buffer_reserve(&compiler->literals, size);
    if (room == NULL)
        return;
    rkb_attribute_write(&attribute, room);
    compiler->literals.size += size;
}

static void add_fixed(struct compiler *compiler, const struct rkb_name_forms *forms, enum rkb_context context)
{
    if (context >= RKB_CONTEXT_ATTRIBUTE) {
        add_fixed_attribute(compiler, forms->plain, context == RKB_CONTEXT_ATTRIBUTE_STRING);
        return;
    }
    struct rkb_slice form = context == RKB_CONTEXT_PLAIN ? forms->plain : forms->json;
    if (context == RKB_CONTEXT_VALUE)
        add_literal(compiler, "\"", 1);
    add_literal(compiler, form.data, form.size);
    if (context == RKB_CONTEXT_VALUE)
        add_literal(compiler, "\"", 1);
}

static bool begins(struct rkb_slice text, size_t at, const char *with)
{
    size_t size = strlen(with);
    return text.size - at >= size && memcmp(text.data + at, with, size) == 0;
}

static struct rkb_slice trim(struct rkb_slice name)
{
    while (name.size > 0 && (name.data[0] == ' ' || name.data[0] == '\t'))
        name = rkb_slice(name.data + 1, name.size - 1);
    while (name.size > 0 && (name.data[name.size - 1] == ' ' || name.data[name.size - 1] == '\t'))
        name.size--;
    return name;
}

/*
 * The slot at `start`, which begins with {{: its trimmed name, and where it ends. False: no }} before the end of text.
 */
static bool read_slot(struct rkb_slice text, size_t start, struct rkb_slice *name, size_t *end)
{
    for (size_t i = start + 2; i < text.size; i++) {
        if (!begins(text, i, "}}"))
            continue;
        *name = trim(rkb_slice(text.data + start + 2, i - start - 2));
        *end = i + 2;
        return true;
    }
    return false;
}

static bool refuse_slot(struct compiler *compiler, struct rkb_slice name)
{
    char shown[48] = "";
    for (size_t i = 0; i < name.size && i < sizeof shown - 1; i++)
        shown[i] = name.data[i] >= 0x20 && name.data[i] < 0x7F ? (char)name.data[i] : '?';
    if (name.size == 0)
        return rkb_fail(compiler->error, RKB_USAGE, "an empty slot {{}}; there are %s", rkb_slot_names());
    return rkb_fail(compiler->error, RKB_USAGE, "no slot {{%s}}; there are %s", shown, rkb_slot_names());
}

/* {{1}}: at most as many as each pattern of the route has. */
static bool add_capture(struct compiler *compiler, struct rkb_slice name, enum rkb_context context)
{
    const struct rkb_template_scope *scope = compiler->scope;
    size_t number = 0;
    for (size_t i = 0; i < name.size && number <= RKB_CAPTURES; i++)
        number = 10 * number + (name.data[i] - (size_t)'0');
    if (number > RKB_CAPTURES)
        return rkb_fail(compiler->error, RKB_USAGE, "captures are {{1}} to {{%d}}", RKB_CAPTURES);
    if (number == 0)
        return rkb_fail(compiler->error, RKB_USAGE, "captures begin with {{1}}");
    if (number > scope->captures)
        return rkb_fail(compiler->error, RKB_USAGE, "{{%zu}} is what the %zu. * of a pattern matched, and %.100s has "
                        "%zu", number, number, scope->captures_of == NULL ? "this route" : scope->captures_of,
                        scope->captures);
    add_part(compiler, &rkb_slot_capture, number - 1, context);
    return true;
}

/* {{payload:/user/id}}; in a JSON template it stands in a string, and is written as strings are. */
static bool add_pointer(struct compiler *compiler, struct rkb_slice text, enum rkb_context context)
{
    struct rkb_buffer plain = {0};
    size_t place;
    if (context != RKB_CONTEXT_PLAIN && context != RKB_CONTEXT_ATTRIBUTE) {
        uint8_t *room = rkb_buffer_reserve(&plain, text.size + 1);
        if (room == NULL)
            return rkb_fail(compiler->error, RKB_NO_MEMORY, "no memory for a template");
        text = rkb_slice(room, (size_t)(rkb_json_unescape(room, text) - room));
    }
    bool added = rkb_pointers_add(compiler->scope->pointers, text, &place, compiler->error);
    rkb_buffer_free(&plain);
    if (added)
        add_part(compiler, &rkb_slot_pointer, place, context);
    return added;
}

static bool is_number(struct rkb_slice name)
{
    size_t digits = 0;
    while (digits < name.size && name.data[digits] >= '0' && name.data[digits] <= '9')
        digits++;
    return digits > 0 && digits == name.size;
}

static bool add_slot(struct compiler *compiler, struct rkb_slice name, enum rkb_context context)
{
    static const char pointer[] = "payload:";
    const struct rkb_name_forms *fixed = rkb_slot_fixed(name, compiler->scope);
    const struct rkb_slot *slot = fixed == NULL ? rkb_slot_find(name, compiler->scope->own) : NULL;
    if (compiler->scope->own && rkb_slice_equal(name, rkb_slice_text("attribute"))) {
        compiler->attribute = true;
        return true;
    }
    if (compiler->attribute)
        context = context == RKB_CONTEXT_PLAIN ? RKB_CONTEXT_ATTRIBUTE : RKB_CONTEXT_ATTRIBUTE_STRING;
    if (is_number(name))
        return add_capture(compiler, name, context);
    if (begins(name, 0, pointer))
        return add_pointer(compiler, rkb_slice(name.data + strlen(pointer), name.size - strlen(pointer)), context);
    if (fixed != NULL)
        add_fixed(compiler, fixed, context);
    else if (slot != NULL)
        add_part(compiler, slot, 0, context);
    return fixed != NULL || slot != NULL || refuse_slot(compiler, name);
}

/* Text with slots from compiler->at up to end: all of a plain template, or the inside of a JSON string. */
static bool compile_text(struct compiler *compiler, size_t end, enum rkb_context context)
{
    struct rkb_slice text = rkb_slice(compiler->text.data, end);
    while (compiler->at < end) {
        if (begins(text, compiler->at, "{{{{")) {
            add_literal(compiler, "{{", 2);
            compiler->at += 4;
            continue;
        }
        if (!begins(text, compiler->at, "{{")) {
            add_literal(compiler, text.data + compiler->at++, 1);
            continue;
        }
        struct rkb_slice name;
        size_t behind;
        if (!read_slot(text, compiler->at, &name, &behind))
            return rkb_fail(compiler->error, RKB_USAGE,
                            "{{ without }}; a literal {{ is written {{{{, the slots are %s", rkb_slot_names());
        if (!add_slot(compiler, name, context))
            return false;
        compiler->at = behind;
    }
    return true;
}

/* The place of the closing quote of the string that opens at compiler->at. */
static size_t closing_quote(const struct compiler *compiler)
{
    size_t at = compiler->at + 1;
    while (compiler->text.data[at] != '"')
        at += compiler->text.data[at] == '\\' ? 2 : 1;
    return at;
}

static size_t skip_space(struct rkb_slice text, size_t at)
{
    while (at < text.size && strchr(" \n\r\t", text.data[at]) != NULL && text.data[at] != '\0')
        at++;
    return at;
}

/* A string of a JSON template, from its opening quote. */
static bool compile_string(struct compiler *compiler)
{
    size_t close = closing_quote(compiler), start = compiler->at + 1, next = skip_space(compiler->text, close + 1);
    bool key = next < compiler->text.size && compiler->text.data[next] == ':';
    struct rkb_slice inside = rkb_slice(compiler->text.data, close), name;
    size_t end = 0;
    bool whole = begins(inside, start, "{{") && !begins(inside, start, "{{{{")
                 && read_slot(inside, start, &name, &end) && end == close;
    compiler->at = start;
    if (whole && !key) {
        if (!add_slot(compiler, name, RKB_CONTEXT_VALUE))
            return false;
    } else {
        add_literal(compiler, "\"", 1);
        if (!compile_text(compiler, close, RKB_CONTEXT_STRING))
            return false;
        add_literal(compiler, "\"", 1);
    }
    compiler->at = close + 1;
    compiler->attribute = false;
    return true;
}

static bool compile_json(struct compiler *compiler)
{
    if (!rkb_json_valid(compiler->text, &compiler->at))
        return rkb_fail(compiler->error, RKB_USAGE,
                        "not JSON at byte %zu; a slot stands in a string, as in {\"id\": \"{{uuid}}\"}", compiler->at);
    for (compiler->at = skip_space(compiler->text, 0); compiler->at < compiler->text.size;
         compiler->at = skip_space(compiler->text, compiler->at)) {
        if (compiler->text.data[compiler->at] != '"')
            add_literal(compiler, compiler->text.data + compiler->at++, 1);
        else if (!compile_string(compiler))
            return false;
    }
    return true;
}

/* Takes what the compiler has made; NULL when memory ran out on the way. */
static struct rkb_template *finish(struct compiler *compiler)
{
    add_part(compiler, NULL, 0, RKB_CONTEXT_PLAIN);
    struct rkb_template *template = calloc(1, sizeof *template);
    if (template == NULL || compiler->parts.failed || compiler->literals.failed) {
        free(template);
        rkb_fail(compiler->error, RKB_NO_MEMORY, "no memory for a template");
        return NULL;
    }
    template->parts = (void *)compiler->parts.data;
    template->literals = compiler->literals.data;
    template->literal_size = compiler->literals.size;
    compiler->parts = compiler->literals = (struct rkb_buffer){0};
    return template;
}

struct rkb_template *rkb_template_compile(enum rkb_template_kind kind, struct rkb_slice text,
                                          const struct rkb_template_scope *scope, size_t *at, struct rkb_error *error)
{
    struct compiler compiler = {.text = text, .scope = scope, .error = error};
    bool good = kind == RKB_TEMPLATE_JSON ? compile_json(&compiler) : compile_text(&compiler, text.size,
                                                                                   RKB_CONTEXT_PLAIN);
    struct rkb_template *template = good ? finish(&compiler) : NULL;
    if (template == NULL && at != NULL)
        *at = compiler.at;
    rkb_buffer_free(&compiler.parts);
    rkb_buffer_free(&compiler.literals);
    return template;
}

struct rkb_template *rkb_template_bytes(struct rkb_error *error)
{
    struct compiler compiler = {.error = error};
    add_part(&compiler, &rkb_slot_bytes, 0, RKB_CONTEXT_PLAIN);
    struct rkb_template *template = finish(&compiler);
    rkb_buffer_free(&compiler.parts);
    rkb_buffer_free(&compiler.literals);
    return template;
}

void rkb_template_free(struct rkb_template *template)
{
    if (template == NULL)
        return;
    free(template->parts);
    free(template->literals);
    free(template);
}

size_t rkb_template_size(const struct rkb_template *template, const struct rkb_facts *facts)
{
    size_t size = template->literal_size;
    for (const struct part *part = template->parts; part->slot != NULL; part++) {
        struct rkb_piece piece = rkb_slot_piece(part->slot, facts, part->context, part->argument);
        size += rkb_piece_size(&piece);
    }
    return size;
}

uint8_t *rkb_template_render(const struct rkb_template *template, const struct rkb_facts *facts, uint8_t *out)
{
    for (const struct part *part = template->parts;; part++) {
        if (part->size > 0)
            memcpy(out, template->literals + part->start, part->size);
        out += part->size;
        if (part->slot == NULL)
            return out;
        struct rkb_piece piece = rkb_slot_piece(part->slot, facts, part->context, part->argument);
        out = rkb_piece_write(&piece, out);
    }
}

bool rkb_template_whole(const struct rkb_template *template, const struct rkb_facts *facts)
{
    for (const struct part *part = template->parts; part->slot != NULL; part++)
        if (part->slot->optional && rkb_slot_piece(part->slot, facts, part->context, part->argument).nothing)
            return false;
    return true;
}

bool rkb_template_per_channel(const struct rkb_template *template)
{
    for (const struct part *part = template->parts; part->slot != NULL; part++)
        if (!part->slot->per_channel)
            return false;
    return true;
}

bool rkb_template_constant(const struct rkb_template *template)
{
    return template->parts[0].slot == NULL;
}

bool rkb_template_uses_position(const struct rkb_template *template)
{
    for (const struct part *part = template->parts; part->slot != NULL; part++)
        if (part->slot->position)
            return true;
    return false;
}

size_t rkb_template_captures(const struct rkb_template *template)
{
    size_t captures = 0;
    for (const struct part *part = template->parts; part->slot != NULL; part++)
        if (part->slot == &rkb_slot_capture && part->argument >= captures)
            captures = part->argument + 1;
    return captures;
}
