/*
 * document -- see document.h.
 *
 *     value --scalar, "[]" or "{}"--> behind a value --","--> (key) value
 *       |                               |   ^
 *       +-- "[", "{": one deeper        +---+ "]", "}": its container is closed
 *
 * Promises: one pass, no recursion, no memory once it has grown. Keys that stand twice in an object are found when it
 * closes, in time that grows with its members, whatever their names.
 */
#include "message/document.h"

#include <stdlib.h>

#include "message/json_string.h"
#include "message/scan.h"

#define FIRST_VALUES 64
#define FEW_MEMBERS 16          /* so many are compared each with each */
#define PROBES_PER_MEMBER 16    /* honest names need about one */

struct reader {
    struct rkb_document *document;
    const uint8_t *at, *end;
    size_t depth;
    enum rkb_document_result result;
};

static bool give_up(struct reader *reader, enum rkb_document_result result)
{
    reader->result = result;
    return false;
}

static bool grow(struct reader *reader)
{
    struct rkb_document *document = reader->document;
    size_t capacity = document->capacity > 0 ? 2 * document->capacity : FIRST_VALUES;
    if (capacity > RKB_DOCUMENT_VALUES)
        return give_up(reader, RKB_DOCUMENT_TOO_LARGE);
    struct rkb_value *values = realloc(document->values, capacity * sizeof *values);
    if (values == NULL)
        return give_up(reader, RKB_DOCUMENT_NO_MEMORY);
    document->values = values;
    document->capacity = capacity;
    return true;
}

/* A value that begins at `at`; NULL where there is no room. */
static inline struct rkb_value *add(struct reader *reader, const uint8_t *at, enum rkb_kind kind)
{
    struct rkb_document *document = reader->document;
    if (document->count == document->capacity && !grow(reader))
        return NULL;
    struct rkb_value *value = &document->values[document->count++];
    *value = (struct rkb_value){.data = at, .next = (uint32_t)document->count, .kind = (uint8_t)kind,
                                .at = (uint32_t)(at - document->text.data)};
    return value;
}

/* ---- strings and keys ---- */

static inline uint64_t word_at(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t half_at(const uint8_t *at)
{
    uint32_t half;
    memcpy(&half, at, sizeof half);
    return half;
}

static inline uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

uint32_t rkb_key_hash(struct rkb_slice key)
{
    const uint8_t *at = key.data, *end = key.data + key.size;
    uint64_t hash = key.size;
    if (key.size >= 8) {
        for (; end - at > 8; at += 8)
            hash = mix(hash, word_at(at));
        return (uint32_t)mix(hash, word_at(end - 8));
    }
    if (key.size >= 4)
        return (uint32_t)mix(hash, (uint64_t)half_at(at) << 32 | half_at(end - 4));
    if (key.size == 0)
        return 0;
    return (uint32_t)mix(hash, (uint64_t)at[0] << 16 | (uint64_t)at[key.size / 2] << 8 | end[-1]);
}

/* A string is never longer than its text, so room for the rest of the text is room for all strings to come. */
static bool make_plain_room(struct reader *reader, size_t size)
{
    struct rkb_document *document = reader->document;
    if (document->plain_size == 0 && document->plain_capacity < document->text.size) {
        free(document->plain);
        document->plain = malloc(document->text.size);
        document->plain_capacity = document->plain != NULL ? document->text.size : 0;
    }
    return document->plain_capacity - document->plain_size >= size || give_up(reader, RKB_DOCUMENT_NO_MEMORY);
}

/* The rest of a string that has escapes or characters beyond ASCII, into value. */
static bool read_rich_string(struct reader *reader, struct rkb_value *value, const uint8_t *start)
{
    struct rkb_json_spot spot = rkb_json_string(start, reader->end);
    if (!spot.good)
        return give_up(reader, RKB_DOCUMENT_NOT_JSON);
    reader->at = spot.at;
    struct rkb_slice text = rkb_slice(start, (size_t)(spot.at - start) - 1);
    value->data = text.data;
    value->size = (uint32_t)text.size;
    if (text.size == 0 || memchr(text.data, '\\', text.size) == NULL)
        return true;
    if (!make_plain_room(reader, text.size))
        return false;
    struct rkb_document *document = reader->document;
    uint8_t *plain = document->plain + document->plain_size;
    uint8_t *end = rkb_json_unescape(plain, text);
    value->data = plain;
    value->size = (uint32_t)(end - plain);
    document->plain_size += value->size;
    return true;
}

static inline struct rkb_value *read_string(struct reader *reader)
{
    struct rkb_value *value = add(reader, reader->at, RKB_KIND_STRING);
    if (value == NULL)
        return NULL;
    const uint8_t *start = reader->at + 1;
    const uint8_t *end = start + rkb_scan_plain(start, (size_t)(reader->end - start));
    if (end == reader->end || *end != '"')
        return read_rich_string(reader, value, start) ? value : NULL;
    value->data = start;
    value->size = (uint32_t)(end - start);
    reader->at = end + 1;
    return value;
}

static inline void skip_space(struct reader *reader)
{
    if (reader->at < reader->end && *reader->at <= ' ')
        reader->at = rkb_json_space(reader->at, reader->end);
}

static inline uint8_t byte_at(const struct reader *reader)
{
    return reader->at < reader->end ? *reader->at : 0;
}

/* A key and its colon. */
static bool read_key(struct reader *reader)
{
    skip_space(reader);
    if (byte_at(reader) != '"')
        return give_up(reader, RKB_DOCUMENT_NOT_JSON);
    struct rkb_value *key = read_string(reader);
    if (key == NULL)
        return false;
    key->key = true;
    key->hash = rkb_key_hash(rkb_value_text(key));
    skip_space(reader);
    if (byte_at(reader) != ':')
        return give_up(reader, RKB_DOCUMENT_NOT_JSON);
    reader->at++;
    return true;
}

/* ---- keys that stand there twice ---- */

static bool same_key(const struct rkb_value *a, const struct rkb_value *b)
{
    return a->hash == b->hash && rkb_slice_equal(rkb_value_text(a), rkb_value_text(b));
}

/* The key behind this one. */
static size_t next_key(const struct rkb_value *values, size_t key)
{
    return values[key + 1].next;
}

static void shadow(struct rkb_document *document, size_t object, size_t key)
{
    document->values[key].shadowed = true;
    document->values[object].count--;
}

static void compare_each(struct rkb_document *document, size_t object)
{
    struct rkb_value *values = document->values;
    for (size_t key = object + 1; key < document->count; key = next_key(values, key))
        for (size_t later = next_key(values, key); later < document->count; later = next_key(values, later))
            if (same_key(&values[key], &values[later])) {
                shadow(document, object, key);
                break;
            }
}

static bool make_table(struct reader *reader, size_t slots)
{
    struct rkb_document *document = reader->document;
    if (document->table_capacity < slots) {
        free(document->table);
        document->table = malloc(slots * sizeof *document->table);
        document->table_capacity = document->table != NULL ? slots : 0;
        if (document->table == NULL)
            return give_up(reader, RKB_DOCUMENT_NO_MEMORY);
    }
    memset(document->table, 0, slots * sizeof *document->table);
    return true;
}

static bool compare_by_table(struct reader *reader, size_t object)
{
    struct rkb_document *document = reader->document;
    struct rkb_value *values = document->values;
    size_t slots = 4 * FEW_MEMBERS;
    while (slots < 2 * (size_t)values[object].count)
        slots *= 2;
    if (!make_table(reader, slots))
        return false;
    size_t probes = PROBES_PER_MEMBER * (size_t)values[object].count;
    for (size_t key = object + 1; key < document->count; key = next_key(values, key)) {
        size_t slot = values[key].hash & (slots - 1);
        while (document->table[slot] != 0 && !same_key(&values[document->table[slot]], &values[key])) {
            if (probes-- == 0)
                return give_up(reader, RKB_DOCUMENT_TOO_LARGE);
            slot = (slot + 1) & (slots - 1);
        }
        if (document->table[slot] != 0)
            shadow(document, object, document->table[slot]);
        document->table[slot] = (uint32_t)key;
    }
    return true;
}

/* One bit for each key: where no two set the same one, no two are the same. */
static bool may_repeat(const struct rkb_document *document, size_t object)
{
    const struct rkb_value *values = document->values;
    uint64_t seen = 0;
    for (size_t key = object + 1; key < document->count; key = next_key(values, key)) {
        uint64_t bit = UINT64_C(1) << (values[key].hash & 63);
        if ((seen & bit) != 0)
            return true;
        seen |= bit;
    }
    return false;
}

static bool mark_shadowed(struct reader *reader, size_t object)
{
    struct rkb_document *document = reader->document;
    if (document->values[object].count > FEW_MEMBERS)
        return compare_by_table(reader, object);
    if (may_repeat(document, object))
        compare_each(document, object);
    return true;
}

/* ---- values ---- */

static bool read_number(struct reader *reader)
{
    struct rkb_value *value = add(reader, reader->at, RKB_KIND_NUMBER);
    if (value == NULL)
        return false;
    const uint8_t *at = reader->at + 1;
    while (at < reader->end && *at >= '0' && *at <= '9')
        at++;
    value->whole = at == reader->end || (*at != '.' && (*at | 0x20) != 'e');
    while (at < reader->end && ((*at >= '0' && *at <= '9') || strchr("+-.eE", *at) != NULL) && *at != 0)
        at++;
    value->size = (uint32_t)(at - reader->at);
    reader->at = at;
    return true;
}

static bool read_word(struct reader *reader, const char *word, enum rkb_kind kind)
{
    size_t size = strlen(word);
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0)
        return give_up(reader, RKB_DOCUMENT_NOT_JSON);
    struct rkb_value *value = add(reader, reader->at, kind);
    if (value == NULL)
        return false;
    value->size = (uint32_t)size;
    reader->at += size;
    return true;
}

static bool close_container(struct reader *reader)
{
    struct rkb_document *document = reader->document;
    size_t container = document->open[--reader->depth];
    struct rkb_value *value = &document->values[container];
    value->next = (uint32_t)document->count;
    reader->at++;
    value->size = (uint32_t)(reader->at - value->data);
    return value->kind == RKB_KIND_ARRAY || value->count < 2 || mark_shadowed(reader, container);
}

/* To the first value in it, or behind it where it is empty: *behind is then true. */
static bool open_container(struct reader *reader, enum rkb_kind kind, bool *behind)
{
    struct rkb_document *document = reader->document;
    if (reader->depth == RKB_JSON_DEPTH)
        return give_up(reader, RKB_DOCUMENT_NOT_JSON);
    struct rkb_value *value = add(reader, reader->at, kind);
    if (value == NULL)
        return false;
    document->open[reader->depth++] = (uint32_t)(document->count - 1);
    reader->at++;
    skip_space(reader);
    *behind = byte_at(reader) == (kind == RKB_KIND_OBJECT ? '}' : ']');
    if (*behind)
        return close_container(reader);
    value->count = 1;
    return kind == RKB_KIND_ARRAY || read_key(reader);
}

/* A scalar, or the beginning of a container. */
static bool read_value(struct reader *reader, bool *behind)
{
    skip_space(reader);
    *behind = true;
    switch (byte_at(reader)) {
    case '"':
        return read_string(reader) != NULL;
    case '{':
        return open_container(reader, RKB_KIND_OBJECT, behind);
    case '[':
        return open_container(reader, RKB_KIND_ARRAY, behind);
    case 't':
        return read_word(reader, "true", RKB_KIND_BOOLEAN);
    case 'f':
        return read_word(reader, "false", RKB_KIND_BOOLEAN);
    case 'n':
        return read_word(reader, "null", RKB_KIND_NULL);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return read_number(reader);
    }
    return give_up(reader, RKB_DOCUMENT_NOT_JSON);
}

/* Behind a value: closes what ends there. *more: another value follows (its key is read). */
static bool go_on(struct reader *reader, bool *more)
{
    struct rkb_document *document = reader->document;
    *more = false;
    while (reader->depth > 0) {
        struct rkb_value *container = &document->values[document->open[reader->depth - 1]];
        bool object = container->kind == RKB_KIND_OBJECT;
        skip_space(reader);
        if (byte_at(reader) == ',') {
            container->count++;
            reader->at++;
            *more = true;
            return !object || read_key(reader);
        }
        if (byte_at(reader) != (object ? '}' : ']'))
            return give_up(reader, RKB_DOCUMENT_NOT_JSON);
        if (!close_container(reader))
            return false;
    }
    skip_space(reader);
    return reader->at == reader->end || give_up(reader, RKB_DOCUMENT_NOT_JSON);
}

enum rkb_document_result rkb_document_read(struct rkb_document *document, struct rkb_slice text)
{
    document->text = rkb_with_data(text);
    document->count = document->plain_size = 0;
    if (text.size > UINT32_MAX)
        return RKB_DOCUMENT_TOO_LARGE;
    struct reader reader = {.document = document, .at = document->text.data, .end = document->text.data + text.size,
                            .result = RKB_DOCUMENT_READ};
    bool more = true;
    while (more) {
        bool behind;
        if (!read_value(&reader, &behind))
            return reader.result;
        if (behind && !go_on(&reader, &more))
            return reader.result;
    }
    return RKB_DOCUMENT_READ;
}

void rkb_document_free(struct rkb_document *document)
{
    free(document->values);
    free(document->plain);
    free(document->table);
    *document = (struct rkb_document){0};
}

uint32_t rkb_values_member(const struct rkb_value *values, uint32_t object, struct rkb_slice key, uint32_t hash)
{
    for (uint32_t at = object + 1; at < values[object].next; at = values[at + 1].next)
        if (values[at].hash == hash && !values[at].shadowed && rkb_slice_equal(rkb_value_text(&values[at]), key))
            return at + 1;
    return 0;
}
