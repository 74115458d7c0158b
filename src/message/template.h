/*
 * template -- text with {{slot}}s, compiled once into literal bytes and slots, so that wrapping is copying.
 *
 *     text --compile--> [literal][slot][literal]... --measure--> size --render--> bytes in the ring
 *
 * Three contexts decide how a slot's value is written: plain (keys, topics, headers), a JSON value (a string of a JSON
 * template that is just one slot), inside a JSON string (escaped). `{{{{` is a literal `{{`.
 *
 * Some slots may find nothing in a message: a JSON Pointer, {{pattern}} of an exact channel. In a JSON template that
 * is null, or no text inside a string; a plain template is then not whole, and what it was for is left out.
 */
#ifndef RKB_MESSAGE_TEMPLATE_H
#define RKB_MESSAGE_TEMPLATE_H

#include "base/bytes.h"
#include "base/error.h"
#include "message/pointer.h"
#include "message/position.h"
#include "message/uuid.h"

enum rkb_encoding { RKB_ENCODING_JSON, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64 };

/* A name that appears in many messages, with its JSON form made once. */
struct rkb_name_forms {
    struct rkb_slice plain;
    struct rkb_slice json;      /* escaped, without quotes */
};

/* {{1}} to {{16}}. */
#define RKB_CAPTURES 16

struct rkb_merge;        /* message/merge.h */

/* All that a template can say about one message. Everything is lent. */
struct rkb_facts {
    struct rkb_name_forms channel, pattern;         /* pattern empty for an exact subscription */
    const struct rkb_name_forms *captures;          /* as many as the templates' scope had */
    struct rkb_slice payload;
    enum rkb_encoding encoding;
    const struct rkb_slice *found;                  /* what rkb_pointers_find found with the scope's pointers */
    const struct rkb_merge *merge;                  /* how an envelope that merges does it; NULL: it does not */
    char uuid[RKB_UUID_TEXT];
    char time[24];                                  /* RFC 3339 */
    struct rkb_slice time_ms;                       /* decimal digits (JSON value: a number) */
    struct rkb_slice position;
};

/* What is fixed when a template is compiled; route, source and instance become literals. */
struct rkb_template_scope {
    struct rkb_name_forms route, source, instance;
    struct rkb_pointers *pointers;      /* where the template's JSON Pointers are added */
    size_t captures;                    /* {{1}} to this */
    const char *captures_of;            /* the channel or pattern that has no more than these; for words */
    bool own;                           /* also what only presets may say: {{attribute}} makes what follows in its text
                                           or string an attribute (attribute.h), and slots of their own */
};

enum rkb_template_kind { RKB_TEMPLATE_PLAIN, RKB_TEMPLATE_JSON };

struct rkb_template;

/*
 * Compiles. NULL and *error (RKB_USAGE) with *at = offset of the mistake in text: unknown slot, unclosed {{, a JSON
 * template that is not JSON, a capture there is not. White space between the tokens of a JSON template is dropped.
 * Nothing of scope is kept.
 */
struct rkb_template *rkb_template_compile(enum rkb_template_kind kind, struct rkb_slice text,
                                          const struct rkb_template_scope *scope, size_t *at, struct rkb_error *error);
/* The template that is the payload, byte for byte; no text can say it. NULL and *error when memory ran out. */
struct rkb_template *rkb_template_bytes(struct rkb_error *error);
void rkb_template_free(struct rkb_template *template);

/*
 * The exact size of the rendered template, and the rendering; returns the end. Both walk the
 * slots once and allocate nothing.
 */
size_t rkb_template_size(const struct rkb_template *template, const struct rkb_facts *facts);
uint8_t *rkb_template_render(const struct rkb_template *template, const struct rkb_facts *facts, uint8_t *out);
/* False when a slot of a plain template finds nothing in this message, or JSON's null. */
bool rkb_template_whole(const struct rkb_template *template, const struct rkb_facts *facts);

/* True if the template has no slots, or only {{channel}}, {{pattern}} and captures: it is the same for a channel. */
bool rkb_template_per_channel(const struct rkb_template *template);
/* True if it has no slots at all. */
bool rkb_template_constant(const struct rkb_template *template);
/* True if a slot of it needs facts->time (or time_ms, or position): the relay fills only what is asked for. */
bool rkb_template_uses_position(const struct rkb_template *template);
/* The highest {{n}} in it; 0: none. */
size_t rkb_template_captures(const struct rkb_template *template);

#endif
