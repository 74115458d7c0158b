/*
 * pointer -- see pointer.h.
 *
 * The pointers are one tree by their tokens, children as lists. A search goes down the tree and the payload together:
 *
 *     value --the node has children, and it is a container--> each member or element: a child's? --> its value
 *       |                                                                               | no
 *       +--scalar, or a leaf of the tree--> skipped as a whole <------------------------+
 *
 * Promises: never deeper than RKB_POINTER_TOKENS calls, whatever the payload; each byte is looked at once.
 */
#include "message/pointer.h"

#include <stdlib.h>

#include "message/json.h"
#include "message/json_string.h"
#include "message/scan.h"

#define NONE SIZE_MAX

struct node {
    struct rkb_slice token;     /* owned; a key as it is meant */
    size_t index;               /* the element of an array that the token names; NONE */
    struct node *child, *next;  /* its first child, its parent's next */
    size_t place;               /* of its value; NONE: only on the way to others */
};

struct rkb_pointers {
    struct node root;
    size_t count;
    char *texts[RKB_POINTERS_LIMIT];
};

struct search {
    const uint8_t *end;
    struct rkb_slice *found;
};

/* ---- making the tree ---- */

struct rkb_pointers *rkb_pointers_new(void)
{
    struct rkb_pointers *pointers = calloc(1, sizeof *pointers);
    if (pointers != NULL)
        pointers->root = (struct node){.index = NONE, .place = NONE};
    return pointers;
}

static void free_children(struct node *node)
{
    while (node->child != NULL) {
        struct node *child = node->child;
        node->child = child->next;
        free_children(child);
        free(child);
    }
}

void rkb_pointers_free(struct rkb_pointers *pointers)
{
    if (pointers == NULL)
        return;
    free_children(&pointers->root);
    for (size_t i = 0; i < pointers->count; i++)
        free(pointers->texts[i]);
    free(pointers);
}

/* "0", "12", never "01" (RFC 6901, section 4). */
static size_t index_of(struct rkb_slice token)
{
    size_t index = 0;
    if (token.size == 0 || token.size > 18 || (token.data[0] == '0' && token.size > 1))
        return NONE;
    for (size_t i = 0; i < token.size; i++) {
        if (token.data[i] < '0' || token.data[i] > '9')
            return NONE;
        index = 10 * index + (token.data[i] - (size_t)'0');
    }
    return index;
}

/* The token that begins at text.data[*at], behind its "/", unescaped into out; moves *at to the next "/". */
static bool take_token(struct rkb_slice text, size_t *at, uint8_t *out, size_t *size, struct rkb_error *error)
{
    *size = 0;
    for (; *at < text.size && text.data[*at] != '/'; (*at)++) {
        uint8_t byte = text.data[*at];
        if (byte == '~') {
            byte = *at + 1 < text.size ? text.data[++*at] : 0;
            if (byte != '0' && byte != '1')
                return rkb_fail(error, RKB_USAGE, "a ~ in a JSON Pointer is written ~0, and a / in a key ~1");
            byte = byte == '0' ? '~' : '/';
        }
        out[(*size)++] = byte;
    }
    return true;
}

static struct node *find_child(struct node *node, struct rkb_slice token)
{
    struct node *child = node->child;
    while (child != NULL && !rkb_slice_equal(child->token, token))
        child = child->next;
    return child;
}

/* The token's bytes lie behind the node. */
static struct node *add_child(struct node *node, struct rkb_slice token)
{
    struct node *child = calloc(1, sizeof *child + token.size);
    if (child == NULL)
        return NULL;
    uint8_t *bytes = (uint8_t *)(child + 1);
    if (token.size > 0)
        memcpy(bytes, token.data, token.size);
    *child = (struct node){rkb_slice(bytes, token.size), index_of(token), NULL, node->child, NONE};
    node->child = child;
    return child;
}

static struct node *walk_down(struct node *node, struct rkb_slice text, uint8_t *room, struct rkb_error *error)
{
    size_t at = 0, tokens = 0;
    while (at < text.size) {
        size_t size;
        at++;
        if (!take_token(text, &at, room, &size, error))
            return NULL;
        if (++tokens > RKB_POINTER_TOKENS) {
            rkb_fail(error, RKB_USAGE, "a JSON Pointer of more than %d tokens", RKB_POINTER_TOKENS);
            return NULL;
        }
        struct rkb_slice token = rkb_slice(room, size);
        struct node *child = find_child(node, token);
        node = child != NULL ? child : add_child(node, token);
        if (node == NULL) {
            rkb_fail(error, RKB_NO_MEMORY, "no memory for a JSON Pointer");
            return NULL;
        }
    }
    return node;
}

static bool give_place(struct rkb_pointers *pointers, struct node *node, struct rkb_slice text)
{
    char *copy = malloc(text.size + 1);
    if (copy == NULL)
        return false;
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    node->place = pointers->count;
    pointers->texts[pointers->count++] = copy;
    return true;
}

bool rkb_pointers_add(struct rkb_pointers *pointers, struct rkb_slice text, size_t *place, struct rkb_error *error)
{
    if (text.size > 0 && text.data[0] != '/')
        return rkb_fail(error, RKB_USAGE, "a JSON Pointer begins with /, as in /user/id");
    uint8_t *room = malloc(text.size + 1);
    if (room == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a JSON Pointer");
    struct node *node = walk_down(&pointers->root, text, room, error);
    free(room);
    if (node == NULL)
        return false;
    if (node->place == NONE && pointers->count == RKB_POINTERS_LIMIT)
        return rkb_fail(error, RKB_USAGE, "more than %d JSON Pointers in one route", RKB_POINTERS_LIMIT);
    if (node->place == NONE && !give_place(pointers, node, text))
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a JSON Pointer");
    *place = node->place;
    return true;
}

const char *rkb_pointers_text(const struct rkb_pointers *pointers, size_t place)
{
    return pointers->texts[place];
}

size_t rkb_pointers_count(const struct rkb_pointers *pointers)
{
    return pointers->count;
}

/* ---- searching ---- */

static struct rkb_json_spot bad(const uint8_t *at)
{
    return (struct rkb_json_spot){at, false};
}

static struct rkb_json_spot visit(const struct search *search, const struct node *node, const uint8_t *at,
                                  size_t depth);

/* A key stood there before: what was found below it does not count. */
static void forget(const struct search *search, const struct node *node)
{
    if (node->place != NONE)
        search->found[node->place] = rkb_slice(NULL, 0);
    for (const struct node *child = node->child; child != NULL; child = child->next)
        forget(search, child);
}

static bool is_key(struct rkb_slice text, bool escaped, const struct node *child)
{
    return escaped ? rkb_json_means(text, child->token) : rkb_slice_equal(text, child->token);
}

/* The child whose key this is; NULL. */
static const struct node *child_of_key(const struct node *node, struct rkb_slice text)
{
    bool escaped = memchr(text.data, '\\', text.size) != NULL;
    const struct node *child = node->child;
    while (child != NULL && !is_key(text, escaped, child))
        child = child->next;
    return child;
}

static const struct node *child_of_index(const struct node *node, size_t index)
{
    const struct node *child = node->child;
    while (child != NULL && child->index != index)
        child = child->next;
    return child;
}

static struct rkb_json_spot visit_or_skip(const struct search *search, const struct node *child, const uint8_t *at,
                                          size_t depth)
{
    if (child == NULL)
        return rkb_json_value(at, search->end, depth);
    forget(search, child);
    return visit(search, child, at, depth);
}

/* Behind a member or an element: whether another follows; *spot: where it begins, or where all ends, or is wrong. */
static bool more_follow(const struct search *search, struct rkb_json_spot *spot, uint8_t close)
{
    if (!spot->good)
        return false;
    spot->at = rkb_json_space(spot->at, search->end);
    uint8_t byte = spot->at < search->end ? *spot->at : 0;
    spot->good = byte == ',' || byte == close;
    spot->at += spot->good;
    return byte == ',';
}

static struct rkb_json_spot visit_member(const struct search *search, const struct node *node, const uint8_t *at,
                                         size_t depth)
{
    at = rkb_json_space(at, search->end);
    if (at == search->end || *at != '"')
        return bad(at);
    struct rkb_json_spot key = rkb_json_string(at + 1, search->end);
    if (!key.good)
        return key;
    struct rkb_slice text = rkb_slice(at + 1, (size_t)(key.at - at) - 2);
    at = rkb_json_space(key.at, search->end);
    if (at == search->end || *at != ':')
        return bad(at);
    return visit_or_skip(search, child_of_key(node, text), rkb_json_space(at + 1, search->end), depth);
}

static struct rkb_json_spot visit_container(const struct search *search, const struct node *node, const uint8_t *at,
                                            size_t depth)
{
    bool object = *at == '{';
    uint8_t close = object ? '}' : ']';
    struct rkb_json_spot spot = {rkb_json_space(at + 1, search->end), true};
    if (depth == 0)
        return bad(at);
    if (spot.at < search->end && *spot.at == close)
        return (struct rkb_json_spot){spot.at + 1, true};
    size_t index = 0;
    do {
        at = rkb_json_space(spot.at, search->end);
        spot = object ? visit_member(search, node, at, depth - 1)
                      : visit_or_skip(search, child_of_index(node, index++), at, depth - 1);
    } while (more_follow(search, &spot, close));
    return spot;
}

/* The value at `at`, which the node is about. */
static struct rkb_json_spot visit(const struct search *search, const struct node *node, const uint8_t *at, size_t depth)
{
    bool container = at < search->end && (*at == '{' || *at == '[');
    struct rkb_json_spot spot = node->child != NULL && container ? visit_container(search, node, at, depth)
                                                                 : rkb_json_value(at, search->end, depth);
    if (spot.good && node->place != NONE)
        search->found[node->place] = rkb_slice(at, (size_t)(spot.at - at));
    return spot;
}

bool rkb_pointers_find(const struct rkb_pointers *pointers, struct rkb_slice json, size_t depth,
                       struct rkb_slice *found)
{
    json = rkb_with_data(json);
    struct search search = {json.data + json.size, found};
    forget(&search, &pointers->root);
    struct rkb_json_spot spot = visit(&search, &pointers->root, rkb_json_space(json.data, search.end),
                                      depth < RKB_JSON_DEPTH ? depth : RKB_JSON_DEPTH);
    bool valid = spot.good && rkb_json_space(spot.at, search.end) == search.end;
    if (!valid)
        forget(&search, &pointers->root);
    return valid;
}
