/*
 * schema_state -- what a compiled schema is: for the files of schema_* only.
 *
 *     schema --> nodes: one for each schema in the text, the outermost is `root`
 *     node   --> types it allows, and rules: for any kind of value, and for numbers, strings, arrays, objects
 *     rule   --> one keyword and its operand, made ready
 *     link   --> from a rule to another node: all stand in one list, so that a $ref is followed when all is known
 */
#ifndef RKB_MESSAGE_SCHEMA_STATE_H
#define RKB_MESSAGE_SCHEMA_STATE_H

#include "message/document.h"
#include "message/number.h"
#include "message/regex.h"
#include "message/schema.h"

#define RKB_NONE UINT32_MAX

/* Which values a rule is about; rules of a node stand in this order. */
enum rkb_about { RKB_ABOUT_ANY, RKB_ABOUT_NUMBER, RKB_ABOUT_STRING, RKB_ABOUT_ARRAY, RKB_ABOUT_OBJECT };
#define RKB_ABOUTS 5

#define RKB_TYPE_INTEGER (1u << RKB_KINDS)          /* beside one bit for each enum rkb_kind */
#define RKB_TYPE_ALL ((1u << RKB_KINDS) - 1)

/* Memory that is given back all at once. Zero-initialise. */
struct rkb_pool {
    struct rkb_pool_block *blocks;
};

/* Zeroed; NULL when memory ran out. */
void *rkb_pool_add(struct rkb_pool *pool, size_t size);
void rkb_pool_free(struct rkb_pool *pool);

/* A name that a schema knows: of a member, or only of its `required`. */
struct rkb_name {
    struct rkb_slice text;
    uint32_t hash;
    bool required;
    uint32_t link;              /* its schema; RKB_NONE */
};

/* Names by their hash: open addressing, at most half full. */
struct rkb_names {
    struct rkb_name *slots;     /* no data: free */
    uint32_t mask;
};

/* Room for so many names; false when memory ran out. */
bool rkb_names_make(struct rkb_names *names, struct rkb_pool *pool, size_t count);
/* The name, added if it was not there. */
struct rkb_name *rkb_names_add(struct rkb_names *names, struct rkb_slice text, uint32_t hash);

static inline const struct rkb_name *rkb_names_find(const struct rkb_names *names, struct rkb_slice text, uint32_t hash)
{
    for (uint32_t slot = hash & names->mask;; slot = (slot + 1) & names->mask) {
        const struct rkb_name *name = &names->slots[slot];
        if (name->text.data == NULL)
            return NULL;
        if (name->hash == hash && rkb_slice_equal(name->text, text))
            return name;
    }
}

/* properties, patternProperties, additionalProperties and required: one walk over an object does them all. */
struct rkb_members {
    struct rkb_names names;
    struct rkb_regex **patterns;
    size_t pattern_count;
    uint32_t pattern_links;     /* the first of them */
    uint32_t additional;        /* link; RKB_NONE */
    uint32_t required_key;      /* of the keyword, in the schema's document; RKB_NONE */
    uint32_t required_count;
};

/* One entry of `dependencies`: a name, and either a schema or names. */
struct rkb_dependency {
    uint32_t key;               /* in the schema's document */
    uint32_t link;              /* RKB_NONE: its value is an array of names */
};

struct rkb_check;
struct rkb_rule;
/* Whether the value holds the rule; where not, the failure is noted. */
typedef bool rkb_rule_check(struct rkb_check *check, const struct rkb_rule *rule, uint32_t value);

struct rkb_rule {
    rkb_rule_check *check;
    enum rkb_about about;
    uint32_t key;               /* of the keyword, in the schema's document: its value stands behind it */
    uint32_t link;              /* the first node that it leads to */
    uint32_t count;             /* of nodes, or of dependencies */
    union {
        uint64_t limit;
        struct rkb_number number;
        struct rkb_divisor divisor;
        const struct rkb_regex *regex;
        const struct rkb_members *members;
        const struct rkb_dependency *dependencies;
        struct {
            uint32_t condition, then, otherwise;    /* links; RKB_NONE */
        } choice;
        uint32_t rest;          /* items: link of additionalItems; RKB_NONE */
    } with;
};

struct rkb_node {
    uint32_t types;             /* bits; 0: the schema `false` */
    uint32_t schema;            /* where it stands in the document */
    uint32_t type_key;
    uint32_t ref_key;           /* a $ref: then it is nothing else; RKB_NONE */
    struct rkb_rule *rules;
    uint32_t first[RKB_ABOUTS + 1];     /* where the rules about each begin, and where all end */
};

struct rkb_link {
    uint32_t node;
    uint32_t owner;             /* the node whose rule it is */
    uint32_t key;               /* the keyword */
    bool in_place;              /* about the same value as its owner, not about a part of it */
};

struct rkb_schema {
    uint8_t *text;
    struct rkb_document document;
    struct rkb_pool pool;
    struct rkb_node *nodes;
    size_t node_count, node_capacity;
    uint32_t root;
    struct rkb_link *links;
    size_t link_count, link_capacity;
    struct rkb_regex **regexes;         /* all, to be freed */
    size_t regex_count, regex_capacity;
    struct rkb_names known;     /* every name of a member that the schema's text has */
};

/* The rules' checks, which the table of keywords names. */
rkb_rule_check rkb_check_multiple_of, rkb_check_maximum, rkb_check_exclusive_maximum, rkb_check_minimum,
    rkb_check_exclusive_minimum, rkb_check_max_length, rkb_check_min_length, rkb_check_pattern, rkb_check_items,
    rkb_check_max_items, rkb_check_min_items, rkb_check_unique_items, rkb_check_contains, rkb_check_max_properties,
    rkb_check_min_properties, rkb_check_members, rkb_check_dependencies, rkb_check_property_names, rkb_check_enum,
    rkb_check_const, rkb_check_all_of, rkb_check_any_of, rkb_check_one_of, rkb_check_not, rkb_check_if;

/* ---- a check under way ---- */

enum rkb_gave_up { RKB_GOES_ON, RKB_TOO_LONG, RKB_TOO_DEEP, RKB_PATTERN_TOO_LONG, RKB_CHECK_NO_MEMORY };

struct rkb_schema_room {
    struct rkb_document document;
    uint32_t *table;            /* for uniqueItems */
    size_t table_capacity;
};

struct rkb_check {
    const struct rkb_schema *schema;
    const struct rkb_value *values;
    struct rkb_schema_room *room;
    int64_t steps;              /* left */
    uint64_t regex_steps;       /* left */
    uint32_t depth;
    enum rkb_gave_up gave_up;   /* once it is set, every check fails */
    uint32_t failed_value;
    uint32_t failed_key;        /* of the keyword, in the schema's document; RKB_NONE: the schema `false` */
    uint32_t failed_at;         /* what of the schema the value failed: the keyword's value, or a part of it */
};

bool rkb_check_node(struct rkb_check *check, uint32_t node, uint32_t value);
/* Both note why, and return false. */
bool rkb_check_fail(struct rkb_check *check, uint32_t key, uint32_t at, uint32_t value);
bool rkb_check_give_up(struct rkb_check *check, enum rkb_gave_up why);

/* So much work is done; false, with RKB_TOO_LONG, where it was too much. */
static inline bool rkb_check_spend(struct rkb_check *check, size_t steps)
{
    check->steps -= (int64_t)steps;
    return check->steps >= 0 || rkb_check_give_up(check, RKB_TOO_LONG);
}

/* Whether the string matches; RKB_REGEX_LIMIT as well where all steps are spent. */
enum rkb_regex_result rkb_check_search(struct rkb_check *check, const struct rkb_regex *regex, uint32_t value);
/* Whether two values, of two documents, are the same by draft-07 (core, 4.2.2); false as well where it gave up. */
bool rkb_check_equal(struct rkb_check *check, const struct rkb_value *a_values, uint32_t a,
                     const struct rkb_value *b_values, uint32_t b);
/* Values that are the same have the same hash. */
uint64_t rkb_value_hash(const struct rkb_value *values, uint32_t at);
/* How many steps it is worth to walk over a value with all that it holds. */
size_t rkb_check_weight(const struct rkb_value *value, uint32_t at);

/* The reason of a check that failed, NUL-terminated. */
void rkb_check_reason(const struct rkb_check *check, char *reason, size_t size);
/* The words as the reason; returns false. */
bool rkb_reason_words(char *reason, size_t size, const char *words);

#endif
