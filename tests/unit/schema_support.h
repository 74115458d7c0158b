/*
 * schema_support -- schemas and payloads for the tests of schema. All JSON in them, and all words that are expected,
 * may have ' where a " is meant.
 */
#ifndef RKB_TESTS_SCHEMA_SUPPORT_H
#define RKB_TESTS_SCHEMA_SUPPORT_H

#include "message/schema.h"

struct mistakes {
    unsigned count;
    char text[20000];           /* "line:column: words\n" each */
};

/* A copy with each ' made a ", to be freed by the caller; NUL-terminated. */
char *quoted(struct rkb_slice text);

/* A schema that has no mistake. */
struct rkb_schema *compile(const char *text);
/* The mistakes of one that has some. */
void refuse(struct rkb_slice text, struct mistakes *mistakes);
void note_mistake(void *context, size_t line, size_t column, const char *text);

struct rkb_schema_room *make_room(void);
/* json as it is, in memory of exactly its size, so that a sanitizer sees a read behind its end. */
bool check(const struct rkb_schema *schema, struct rkb_schema_room *room, struct rkb_slice json,
           char reason[RKB_SCHEMA_REASON]);

bool holds(const char *schema, const char *json);
void fails_with(const char *schema, const char *json, const char *reason);
/* The same for a payload that is large, and that an empty object holds afterwards. */
void gives_up(const char *schema, const struct rkb_buffer *json, const char *reason);
void repeat(struct rkb_buffer *out, const char *text, size_t times);

#endif
