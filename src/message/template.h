/*
 * template -- text with {{slot}}s, compiled once into literal bytes and slots, so that wrapping is copying.
 *
 *     text --compile--> [literal][slot][literal]... --measure--> size --render--> bytes in the ring
 *
 * Three contexts decide how a slot's value is written: plain (keys, topics, headers), a JSON value (a string of a JSON
 * template that is just one slot), inside a JSON string (escaped). `{{{{` is a literal `{{`. Slots are
 * rows of one table; pointers and captures (`{{payload:/a}}`, `{{1}}`) will be rows with an argument.
 */
#ifndef RKB_MESSAGE_TEMPLATE_H
#define RKB_MESSAGE_TEMPLATE_H

#include "base/bytes.h"
#include "base/error.h"
#include "message/position.h"
#include "message/uuid.h"

enum rkb_encoding { RKB_ENCODING_JSON, RKB_ENCODING_TEXT, RKB_ENCODING_BASE64 };
/*
 * What a route's `payload` setting says. A payload that does not fit json or text takes the
 * next that does, as with auto.
 */
enum rkb_payload_kind { RKB_PAYLOAD_AUTO, RKB_PAYLOAD_JSON, RKB_PAYLOAD_TEXT, RKB_PAYLOAD_BASE64 };

enum rkb_encoding rkb_payload_encoding(enum rkb_payload_kind kind, struct rkb_slice payload);

/* A name that appears in many messages, with its JSON form made once. */
struct rkb_name_forms {
    struct rkb_slice plain;
    struct rkb_slice json;      /* escaped, without quotes */
};

/* All that a template can say about one message. Everything is lent. */
struct rkb_facts {
    struct rkb_name_forms channel, pattern;         /* pattern empty for an exact subscription (JSON value: null) */
    struct rkb_slice payload;
    enum rkb_encoding encoding;
    char uuid[RKB_UUID_TEXT];
    char time[24];                                  /* RFC 3339 */
    struct rkb_slice time_ms;                       /* decimal digits (JSON value: a number) */
    struct rkb_slice position;
};

/* What is fixed when a template is compiled; route, source and instance become literals. */
struct rkb_template_scope {
    struct rkb_name_forms route, source, instance;
};

enum rkb_template_kind { RKB_TEMPLATE_PLAIN, RKB_TEMPLATE_JSON };

struct rkb_template;

/*
 * Compiles. NULL and *error (RKB_USAGE) with *at = offset of the mistake in text: unknown slot, unclosed {{, a JSON
 * template that is not JSON. White space between the tokens of a JSON template is dropped. Nothing of scope is kept.
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

/* True if the template has no slots, or only {{channel}} and {{pattern}}: its result may be kept per channel. */
bool rkb_template_per_channel(const struct rkb_template *template);
/* True if it has no slots at all. */
bool rkb_template_constant(const struct rkb_template *template);
/* True if a slot of it needs facts->time (or time_ms, or position): the relay fills only what is asked for. */
bool rkb_template_uses_position(const struct rkb_template *template);

#endif
