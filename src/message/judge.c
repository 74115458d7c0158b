/* judge -- see judge.h. */
#include "message/judge.h"

#include <stdio.h>
#include <stdlib.h>

#include "message/json.h"

struct rkb_judge {
    enum rkb_require require;
    struct rkb_filter *filter;      /* NULL: none */
    struct rkb_expect *expect;
    struct rkb_buffer *room;        /* for strings with escapes */
};

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
    return spec->expect_count == 0 || judge->expect != NULL;
}

bool rkb_judge_compile(const struct rkb_judge_spec *spec, struct rkb_pointers *pointers, struct rkb_judge **out,
                       struct rkb_error *error)
{
    *out = NULL;
    if (spec->require == RKB_REQUIRE_ANY && spec->expect_count + spec->filter_count == 0)
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
}
