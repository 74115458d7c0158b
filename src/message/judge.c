/* judge -- see judge.h. */
#include "message/judge.h"

#include <stdio.h>
#include <stdlib.h>

#include "message/json.h"

struct rkb_judge {
    enum rkb_require require;
    struct rkb_filter *filter;      /* NULL: none */
    struct rkb_expect *expect;
    struct rkb_schema *schema;
    struct rkb_schema_room *schema_room;
    struct rkb_buffer *room;        /* for strings with escapes */
};

/* The first mistake is the error. */
static void take_mistake(void *context, size_t line, size_t column, const char *text)
{
    struct rkb_error *error = context;
    if (error != NULL && error->code == RKB_OK)
        rkb_fail(error, RKB_USAGE, "the schema, %zu:%zu: %.400s", line, column, text);
}

static bool compile_schema(struct rkb_judge *judge, struct rkb_slice text, struct rkb_error *error)
{
    if (text.data == NULL)
        return true;
    if (error != NULL)
        error->code = RKB_OK;
    judge->schema = rkb_schema_compile(text, take_mistake, error);
    if (judge->schema == NULL)
        return false;
    judge->schema_room = rkb_schema_room_new();
    return judge->schema_room != NULL || rkb_fail(error, RKB_NO_MEMORY, "no memory for a schema");
}

static bool compile(struct rkb_judge *judge, const struct rkb_judge_spec *spec, struct rkb_pointers *pointers,
                    struct rkb_error *error)
{
    judge->require = spec->require;
    judge->room = calloc(1, sizeof *judge->room);
    if (judge->room == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a route's checks");
    if (spec->filter_count > 0)
        judge->filter = rkb_filter_compile(spec->filters, spec->filter_count, pointers, error);
    if (spec->filter_count > 0 && judge->filter == NULL)
        return false;
    if (spec->expect_count > 0)
        judge->expect = rkb_expect_compile(spec->expects, spec->expect_count, pointers, error);
    if (spec->expect_count > 0 && judge->expect == NULL)
        return false;
    return compile_schema(judge, spec->schema, error);
}

bool rkb_judge_compile(const struct rkb_judge_spec *spec, struct rkb_pointers *pointers, struct rkb_judge **out,
                       struct rkb_error *error)
{
    *out = NULL;
    if (spec->require == RKB_REQUIRE_ANY && spec->expect_count + spec->filter_count == 0 && spec->schema.data == NULL)
        return true;
    struct rkb_judge *judge = calloc(1, sizeof *judge);
    if (judge == NULL)
        return rkb_fail(error, RKB_NO_MEMORY, "no memory for a route's checks");
    if (!compile(judge, spec, pointers, error)) {
        rkb_judge_free(judge);
        return false;
    }
    *out = judge;
    return true;
}

void rkb_judge_free(struct rkb_judge *judge)
{
    if (judge == NULL)
        return;
    rkb_filter_free(judge->filter);
    rkb_expect_free(judge->expect);
    rkb_schema_free(judge->schema);
    rkb_schema_room_free(judge->schema_room);
    if (judge->room != NULL)
        rkb_buffer_free(judge->room);
    free(judge->room);
    free(judge);
}

bool rkb_judge_needs_json(const struct rkb_judge *judge)
{
    return judge != NULL;
}

static void set_aside(struct rkb_verdict *verdict, const char *code)
{
    verdict->kind = RKB_REJECTED;
    verdict->code = code;
}

static bool is_object(struct rkb_slice json)
{
    return *rkb_json_space(json.data, json.data + json.size) == '{';
}

static bool meets_requirement(const struct rkb_judge *judge, const struct rkb_judge_facts *facts,
                              struct rkb_verdict *verdict)
{
    if (judge->require == RKB_REQUIRE_ANY)
        return true;
    bool met = facts->is_json && (judge->require == RKB_REQUIRE_JSON || is_object(facts->payload));
    if (!met)
        snprintf(verdict->reason, sizeof verdict->reason, "%s", facts->is_json ? "not an object" : "not JSON");
    return met;
}

static bool fits_schema(const struct rkb_judge *judge, const struct rkb_judge_facts *facts, struct rkb_verdict *verdict)
{
    if (judge->schema == NULL)
        return true;
    if (facts->is_json)
        return rkb_schema_check(judge->schema, judge->schema_room, facts->payload, verdict->reason,
                                sizeof verdict->reason);
    snprintf(verdict->reason, sizeof verdict->reason, "not JSON");
    return false;
}

void rkb_judge(const struct rkb_judge *judge, const struct rkb_judge_facts *facts, struct rkb_verdict *verdict)
{
    const struct rkb_slice *found = facts->is_json ? facts->found : NULL;
    verdict->kind = RKB_PASS;
    if (judge == NULL)
        return;
    if (judge->filter != NULL && !rkb_filter_passes(judge->filter, found, judge->room))
        verdict->kind = RKB_FILTERED;
    else if (!meets_requirement(judge, facts, verdict))
        set_aside(verdict, "require");
    else if (judge->expect != NULL &&
             !rkb_expect_holds(judge->expect, found, judge->room, verdict->reason, sizeof verdict->reason))
        set_aside(verdict, "expect");
    else if (!fits_schema(judge, facts, verdict))
        set_aside(verdict, "schema");
}
