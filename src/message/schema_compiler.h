/*
 * schema_compiler -- what compiling a schema passes around: for the files of schema_* only.
 */
#ifndef RKB_MESSAGE_SCHEMA_COMPILER_H
#define RKB_MESSAGE_SCHEMA_COMPILER_H

#include "base/error.h"
#include "message/schema_state.h"

#define RKB_SCHEMA_MISTAKES 50

struct rkb_found_mistake {
    size_t at;                  /* in the schema's text */
    char *text;
};

/* What an $id says: the value at `value` goes by this URI, or by this name within it. */
struct rkb_id {
    struct rkb_slice uri, name; /* name without data: the URI's own */
    uint32_t value;
};

struct rkb_compiler {
    struct rkb_schema *schema;
    const struct rkb_value *values;     /* the schema's document */
    struct rkb_found_mistake mistakes[RKB_SCHEMA_MISTAKES];
    size_t mistake_count;
    bool no_memory;
    uint32_t *node_of;                  /* for each value: the node that it is; RKB_NONE */
    struct rkb_slice *bases;            /* for each node: the URI that its $refs are seen from */
    size_t base_capacity;
    struct rkb_id *ids;
    size_t id_count, id_capacity;
    uint32_t node;                      /* the one being compiled */
    struct rkb_rule *rules;             /* its rules so far */
    size_t rule_count, rule_capacity;
    bool members_done;                  /* its properties and their like have been read */
};

/* Notes a mistake, at the value of that number; returns false. */
bool rkb_compiler_mistake(struct rkb_compiler *compiler, uint32_t value, const char *format, ...) RKB_PRINTF(3, 4);
/* The same, with the key in front of the words. */
bool rkb_compiler_mistake_about(struct rkb_compiler *compiler, uint32_t key, const char *words);
/* Notes that memory ran out; returns false. */
bool rkb_compiler_no_memory(struct rkb_compiler *compiler);

/*
 * A link from the node that is compiled, by the keyword `key`, to the schema at `value`, whose node is made if it is
 * not there yet. RKB_NONE where that is no schema (a mistake, noted).
 */
uint32_t rkb_compiler_link(struct rkb_compiler *compiler, uint32_t key, uint32_t value, bool in_place);
/* The same for each of the values in a list that is not empty: the first link, the others follow. *count: how many. */
uint32_t rkb_compiler_links(struct rkb_compiler *compiler, uint32_t key, bool in_place, uint32_t *count);

/* The value of that keyword in the schema that is compiled, or 0. */
uint32_t rkb_compiler_keyword(const struct rkb_compiler *compiler, const char *name);
/* A pattern, owned by the schema; NULL where it is none (noted). */
struct rkb_regex *rkb_compiler_pattern(struct rkb_compiler *compiler, uint32_t value);

/* The keywords of the object that is compiled, into compiler->rules. */
void rkb_compile_keywords(struct rkb_compiler *compiler, uint32_t object);
/* properties, patternProperties, additionalProperties, required. False where there is a mistake, or no memory. */
bool rkb_compile_members(struct rkb_compiler *compiler, struct rkb_rule *rule);

/* An $id of the node that is compiled: from now on it counts for its $refs. */
void rkb_compile_id(struct rkb_compiler *compiler, uint32_t value);
/* When all nodes are there: makes the links go where the $refs on their way lead. */
void rkb_follow_refs(struct rkb_compiler *compiler);

/* Room for one more in an array that grows by realloc; NULL when memory ran out. */
void *rkb_grown(void *array, size_t count, size_t *capacity, size_t each);

#endif
