/*
 * slot -- what can stand between {{ and }}: one table of rows, each from facts to a piece of bytes and how to write it.
 *
 * A slot answers once for both measuring and rendering, so the two cannot disagree.
 */
#ifndef RKB_MESSAGE_SLOT_H
#define RKB_MESSAGE_SLOT_H

#include "message/template.h"

/* Where a slot stands decides how its value is written. ATTRIBUTE: in a CloudEvent's attribute, see attribute.h. */
enum rkb_context {
    RKB_CONTEXT_PLAIN,
    RKB_CONTEXT_VALUE,
    RKB_CONTEXT_STRING,
    RKB_CONTEXT_ATTRIBUTE,
    RKB_CONTEXT_ATTRIBUTE_STRING
};

/* UNESCAPE: the inside of a JSON string, as what it means. */
enum rkb_manner {
    RKB_MANNER_COPY,
    RKB_MANNER_ESCAPE,
    RKB_MANNER_UNESCAPE,
    RKB_MANNER_BASE64,
    RKB_MANNER_ATTRIBUTE
};

struct rkb_piece {
    struct rkb_slice bytes;
    enum rkb_manner manner;
    bool quoted;
    bool nothing;           /* there is no such thing in this message */
    bool escaped, json;     /* of an attribute: see attribute.h */
};

struct rkb_slot {
    const char *name;
    struct rkb_piece (*piece)(const struct rkb_facts *facts, enum rkb_context context, size_t argument);
    bool per_channel;       /* its value is the same for all messages of one channel by one subscription */
    bool position;          /* needs facts->position, time or time_ms */
    bool optional;          /* may find nothing */
    bool own;               /* only presets may name it */
};

/* NULL where there is no slot of that name. own: also what only presets may name. */
const struct rkb_slot *rkb_slot_find(struct rkb_slice name, bool own);
/*
 * A slot whose value is fixed when a template is compiled (route, source, instance); NULL
 * where the name is none of these.
 */
const struct rkb_name_forms *rkb_slot_fixed(struct rkb_slice name, const struct rkb_template_scope *scope);
/* {{1}}, {{2}}: argument is the number less 1. {{payload:/a}}: argument is the pointer's place in facts->found. */
extern const struct rkb_slot rkb_slot_capture, rkb_slot_pointer;
/* All names that a template may use, "uuid, channel, ...". */
const char *rkb_slot_names(void);
/* The payload byte for byte in every context. Not nameable: it would break a JSON template. */
extern const struct rkb_slot rkb_slot_bytes;

/* In an attribute a slot is never nothing: where it has no text, it is one U+FFFD. */
struct rkb_piece rkb_slot_attribute(const struct rkb_slot *slot, const struct rkb_facts *facts,
                                    enum rkb_context context, size_t argument);

static inline struct rkb_piece rkb_slot_piece(const struct rkb_slot *slot, const struct rkb_facts *facts,
                                              enum rkb_context context, size_t argument)
{
    return context < RKB_CONTEXT_ATTRIBUTE ? slot->piece(facts, context, argument)
                                           : rkb_slot_attribute(slot, facts, context, argument);
}

size_t rkb_piece_size(const struct rkb_piece *piece);
uint8_t *rkb_piece_write(const struct rkb_piece *piece, uint8_t *out);

#endif
