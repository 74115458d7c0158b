/*
 * document -- a JSON text as a flat list of its values, in the order of the text: what a schema is checked against.
 *
 *     {"a": [1, "x"], "b": {}}      0 object   next 7, 2 members
 *                                   1 key "a"
 *                                   2 array    next 5, 2 elements
 *                                   3 number 1
 *                                   4 string "x"
 *                                   5 key "b"
 *                                   6 object   next 7, none
 *
 * The first child of a container stands behind it, and `next` leads behind a value with all that it holds. Strings and
 * keys are slices of the text; one with escapes is unescaped into memory of the document (a lone surrogate reads as
 * U+FFFD). Numbers stay text. A document is read again and again into the same memory.
 */
#ifndef RKB_MESSAGE_DOCUMENT_H
#define RKB_MESSAGE_DOCUMENT_H

#include "base/bytes.h"
#include "message/json.h"

/* A text with more values (keys count) is not read. Their memory, 4 MiB, is what a document grows to at most. */
#define RKB_DOCUMENT_VALUES (128 * 1024)

enum rkb_kind { RKB_KIND_NULL, RKB_KIND_BOOLEAN, RKB_KIND_NUMBER, RKB_KIND_STRING, RKB_KIND_ARRAY, RKB_KIND_OBJECT };
#define RKB_KINDS 6

struct rkb_value {
    const uint8_t *data;        /* a string's or key's bytes, a number's text, a boolean's first letter */
    uint32_t size;
    uint32_t next;              /* the value behind this one and all it holds */
    uint32_t count;             /* of elements, or of members without the shadowed ones */
    uint32_t hash;              /* of a key's bytes */
    uint32_t at;                /* where it begins in the text */
    uint8_t kind;               /* enum rkb_kind; a key is a string */
    bool key;
    bool shadowed;              /* a key that stands there again, further on: it and its value do not count */
    bool whole;                 /* a number that is digits only, with or without a minus */
};

struct rkb_document {
    struct rkb_value *values;
    size_t count, capacity;
    struct rkb_slice text;
    uint8_t *plain;             /* strings unescaped */
    size_t plain_size, plain_capacity;
    uint32_t *table;            /* to find keys that stand there twice */
    size_t table_capacity;
    uint32_t open[RKB_JSON_DEPTH];      /* the containers that the reader is in */
};

enum rkb_document_result {
    RKB_DOCUMENT_READ,
    RKB_DOCUMENT_NOT_JSON,
    RKB_DOCUMENT_TOO_LARGE,     /* more than RKB_DOCUMENT_VALUES, or 4 GiB; or keys made to look alike */
    RKB_DOCUMENT_NO_MEMORY
};

/*
 * Reads text, which must outlive what was read. That it is JSON must be known (rkb_json_valid): of what is not, some is
 * read as if it were, but never a byte behind its end. Zero-initialise a document before its first text.
 */
enum rkb_document_result rkb_document_read(struct rkb_document *document, struct rkb_slice text);
void rkb_document_free(struct rkb_document *document);

static inline struct rkb_slice rkb_value_text(const struct rkb_value *value)
{
    return rkb_slice(value->data, value->size);
}

/* What a key's `hash` is. Not made against people who look for collisions: who uses it bounds the work. */
uint32_t rkb_key_hash(struct rkb_slice key);

/* The value of that key in the object at `object`, or 0, which is no member's. */
uint32_t rkb_values_member(const struct rkb_value *values, uint32_t object, struct rkb_slice key, uint32_t hash);

#endif
