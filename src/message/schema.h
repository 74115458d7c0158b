/*
 * schema -- JSON Schema draft-07 (the validation vocabulary), compiled once at start, checked per message.
 *
 * Whatever has an effect in a schema is either done or refused at compile time with its place: `format`, a $ref to
 * another document, an unknown keyword. Nothing is ignored. doc/json-schema.md says what is taken, and the rules for
 * numbers (exact, whatever their size), duplicate keys (the last counts), strings (lengths in code points).
 */
#ifndef RKB_MESSAGE_SCHEMA_H
#define RKB_MESSAGE_SCHEMA_H

#include "base/bytes.h"

struct rkb_schema;

/* One mistake in a schema: its place (both from 1; columns count characters) and a line that says what to do. */
typedef void rkb_schema_mistake(void *context, size_t line, size_t column, const char *text);

/*
 * Compiles; text is copied. NULL where there are mistakes: each (the first 50) has then been given to `mistake`, in the
 * order of their places. Memory running out counts as a mistake at 1:1.
 */
struct rkb_schema *rkb_schema_compile(struct rkb_slice text, rkb_schema_mistake *mistake, void *context);
void rkb_schema_free(struct rkb_schema *schema);        /* NULL is allowed */

/*
 * Room to work in, kept from message to message so that a check allocates nothing once it has grown; it is bounded.
 * One room does for all schemas of one thread. NULL when memory ran out.
 */
struct rkb_schema_room *rkb_schema_room_new(void);
void rkb_schema_room_free(struct rkb_schema_room *room);

#define RKB_SCHEMA_REASON 200

/*
 * Whether json (found valid by rkb_json_valid before) is what the schema asks for. Where not, reason (NUL-terminated,
 * cut at RKB_SCHEMA_REASON or size) names place and keyword: "/items/3/price: minimum 0
 * (#/definitions/price/minimum)". It holds no value of the payload, and of its keys only those that stand in the
 * schema; any other reads `*`. The work is bounded: a payload that is too large or too deep to check, or would take
 * too long, fails with a reason that says so.
 */
bool rkb_schema_check(const struct rkb_schema *schema, struct rkb_schema_room *room, struct rkb_slice json,
                      char *reason, size_t size);

#endif
