/*
 * schema_refs -- $id and $ref: which schema of the document a reference leads to (draft-07 core, section 8).
 *
 *     $ref --seen from the nearest $id above it--> URI and fragment
 *     URI:      the document itself, or a schema in it with that $id; any other is another document, and refused
 *     fragment: none, the schema; /..., a JSON Pointer from it; a name, the schema in it with $id "#name"
 */
#include <stdlib.h>

#include "message/schema_compiler.h"
#include "message/schema_uri.h"

/* Text made in a buffer, to be kept with the schema; the buffer is freed. */
static struct rkb_slice keep(struct rkb_compiler *compiler, struct rkb_buffer *buffer)
{
    uint8_t *copy = buffer->failed ? NULL : rkb_pool_add(&compiler->schema->pool, buffer->size + 1);
    if (copy == NULL) {
        rkb_compiler_no_memory(compiler);
        buffer->size = 0;
    } else if (buffer->size > 0) {
        memcpy(copy, buffer->data, buffer->size);
    }
    struct rkb_slice kept = rkb_slice(copy, buffer->size);
    rkb_buffer_free(buffer);
    return kept;
}

static struct rkb_slice resolved(struct rkb_compiler *compiler, struct rkb_slice base, struct rkb_slice reference)
{
    struct rkb_buffer out = {0};
    rkb_uri_resolve(base, reference, &out);
    return keep(compiler, &out);
}

static struct rkb_slice decoded(struct rkb_compiler *compiler, struct rkb_slice text)
{
    struct rkb_buffer out = {0};
    uint8_t *room = rkb_buffer_reserve(&out, text.size + 1);
    if (room != NULL)
        out.size = rkb_uri_decode(text, room);
    return keep(compiler, &out);
}

/* ---- $id ---- */

static const struct rkb_id *find_id(const struct rkb_compiler *compiler, struct rkb_slice uri, struct rkb_slice name)
{
    for (size_t i = 0; i < compiler->id_count; i++) {
        const struct rkb_id *id = &compiler->ids[i];
        bool kind = (id->name.data == NULL) == (name.data == NULL);
        if (kind && rkb_slice_equal(id->uri, uri) && rkb_slice_equal(id->name, name))
            return id;
    }
    return NULL;
}

static void add_id(struct rkb_compiler *compiler, uint32_t value, struct rkb_slice uri, struct rkb_slice name)
{
    struct rkb_id *ids = rkb_grown(compiler->ids, compiler->id_count, &compiler->id_capacity, sizeof *ids);
    if (ids == NULL) {
        rkb_compiler_no_memory(compiler);
        return;
    }
    compiler->ids = ids;
    if (find_id(compiler, uri, name) != NULL)
        rkb_compiler_mistake(compiler, value, "another schema has this $id already");
    else
        ids[compiler->id_count++] =
            (struct rkb_id){uri, name, compiler->schema->nodes[compiler->node].schema};
}

void rkb_compile_id(struct rkb_compiler *compiler, uint32_t value)
{
    struct rkb_slice text = rkb_value_text(&compiler->values[value]);
    if (compiler->values[value].kind != RKB_KIND_STRING) {
        rkb_compiler_mistake(compiler, value, "an $id is a string: a URI, or \"#name\"");
        return;
    }
    struct rkb_slice *base = &compiler->bases[compiler->node], fragment = rkb_uri_parse(text).fragment;
    struct rkb_slice uri = resolved(compiler, *base, text);
    bool named = fragment.size > 0;
    if (named && (fragment.data[0] == '/' || !rkb_slice_equal(uri, *base)))
        rkb_compiler_mistake(compiler, value, "an $id is a URI without a fragment, or \"#name\" alone");
    else if (named)
        add_id(compiler, value, uri, decoded(compiler, fragment));
    else if (compiler->node == 0 || !rkb_slice_equal(uri, *base))
        add_id(compiler, value, uri, (struct rkb_slice){0});
    if (!named)
        *base = uri;
}

/* ---- $ref ---- */

static bool index_of(struct rkb_slice token, uint32_t *index)
{
    *index = 0;
    if (token.size == 0 || token.size > 9 || (token.size > 1 && token.data[0] == '0'))
        return false;
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return false;
        *index = *index * 10 + (token.data[i] - (uint32_t)'0');
    }
    return true;
}

static uint32_t child_at(const struct rkb_value *values, uint32_t container, struct rkb_slice token)
{
    uint32_t index, child = container + 1;
    if (values[container].kind == RKB_KIND_OBJECT)
        return rkb_values_member(values, container, token, rkb_key_hash(token));
    if (values[container].kind != RKB_KIND_ARRAY || !index_of(token, &index) || index >= values[container].count)
        return 0;
    while (index-- > 0)
        child = values[child].next;
    return child;
}

/* The value that the JSON Pointer leads to, from `at`; RKB_NONE. Unescapes its tokens in place. */
static uint32_t follow_pointer(const struct rkb_value *values, uint32_t at, uint8_t *pointer, size_t size)
{
    size_t from = 0;
    while (from < size) {
        uint8_t *token = pointer + ++from;
        size_t length = 0;
        for (; from < size && pointer[from] != '/'; from++) {
            uint8_t byte = pointer[from];
            if (byte == '~' && from + 1 < size && (pointer[from + 1] == '0' || pointer[from + 1] == '1'))
                byte = pointer[++from] == '0' ? '~' : '/';
            token[length++] = byte;
        }
        at = child_at(values, at, rkb_slice(token, length));
        if (at == 0)
            return RKB_NONE;
    }
    return at;
}

/* The value that a $ref leads to; RKB_NONE, with the mistake noted. */
static uint32_t find_target(struct rkb_compiler *compiler, uint32_t value, struct rkb_slice base)
{
    struct rkb_slice text = rkb_value_text(&compiler->values[value]);
    struct rkb_slice fragment = decoded(compiler, rkb_uri_parse(text).fragment);
    struct rkb_slice uri = resolved(compiler, base, text);
    bool pointer = fragment.size == 0 || fragment.data[0] == '/';
    const struct rkb_id *id = find_id(compiler, uri, pointer ? (struct rkb_slice){0} : fragment);
    uint32_t target = RKB_NONE;
    if (id == NULL && !(pointer && uri.size == 0)) {
        rkb_compiler_mistake(compiler, value, "this $ref leads to no schema in this file, and others are not read: put "
                             "the schema under definitions and write \"#/definitions/NAME\"");
        return RKB_NONE;
    }
    uint32_t start = id != NULL ? id->value : 0;
    if (pointer && fragment.size > 0)
        target = follow_pointer(compiler->values, start, (uint8_t *)(uintptr_t)fragment.data, fragment.size);
    else
        target = start;
    if (target == RKB_NONE)
        rkb_compiler_mistake(compiler, value, "nothing stands where this $ref leads");
    else if (compiler->node_of[target] == RKB_NONE)
        rkb_compiler_mistake(compiler, value, "what stands where this $ref leads is used as no schema");
    return target;
}

/* The node that counts where `node` is asked for: a $ref leads on. RKB_NONE where it leads in a circle. */
static uint32_t end_of_refs(const struct rkb_schema *schema, const uint32_t *targets, uint32_t node)
{
    for (size_t hops = 0; hops <= schema->node_count; hops++) {
        if (targets[node] == RKB_NONE)
            return node;
        node = targets[node];
    }
    return RKB_NONE;
}

static void follow(struct rkb_compiler *compiler, const uint32_t *targets)
{
    struct rkb_schema *schema = compiler->schema;
    for (size_t i = 0; i < schema->node_count; i++)
        if (end_of_refs(schema, targets, (uint32_t)i) == RKB_NONE) {
            rkb_compiler_mistake(compiler, schema->nodes[i].ref_key, "this $ref leads only back to itself");
            return;
        }
    schema->root = end_of_refs(schema, targets, 0);
    for (size_t i = 0; i < schema->link_count; i++)
        schema->links[i].node = end_of_refs(schema, targets, schema->links[i].node);
}

void rkb_follow_refs(struct rkb_compiler *compiler)
{
    struct rkb_schema *schema = compiler->schema;
    uint32_t *targets = malloc(schema->node_count * sizeof *targets);
    if (targets == NULL) {
        rkb_compiler_no_memory(compiler);
        return;
    }
    for (size_t i = 0; i < schema->node_count; i++) {
        uint32_t key = schema->nodes[i].ref_key;
        uint32_t value = key != RKB_NONE ? find_target(compiler, key + 1, compiler->bases[i]) : RKB_NONE;
        targets[i] = value != RKB_NONE ? compiler->node_of[value] : RKB_NONE;
    }
    if (compiler->mistake_count == 0 && !compiler->no_memory)
        follow(compiler, targets);
    free(targets);
}
