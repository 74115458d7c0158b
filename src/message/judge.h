/*
 * judge -- what a route's checks say of a message, in this order:
 *
 *     filter --no--> FILTERED
 *       | yes
 *     require --> expect --> schema --all hold--> PASS
 *       +-----------+----------+--one does not--> REJECTED, with its code and a reason
 *
 * Loop thread, or a tool: a judge has room to work in, and judges one message at a time.
 */
#ifndef RKB_MESSAGE_JUDGE_H
#define RKB_MESSAGE_JUDGE_H

#include "message/expect.h"
#include "message/filter.h"
#include "message/schema.h"
#include "message/verdict.h"

enum rkb_require { RKB_REQUIRE_ANY, RKB_REQUIRE_JSON, RKB_REQUIRE_OBJECT };

/* A route's checks as they are written. */
struct rkb_judge_spec {
    enum rkb_require require;
    const struct rkb_expect_spec *expects;
    size_t expect_count;
    const struct rkb_filter_spec *filters;
    size_t filter_count;
    struct rkb_slice schema;        /* the text of one; without data: none */
};

struct rkb_judge;

/*
 * *out is NULL where nothing is checked. Adds to pointers what the checks look at. The texts of expects and filters
 * must outlive it, that of the schema not. False and *error: RKB_USAGE, RKB_NO_MEMORY.
 */
bool rkb_judge_compile(const struct rkb_judge_spec *spec, struct rkb_pointers *pointers, struct rkb_judge **out,
                       struct rkb_error *error) RKB_MUST_CHECK;
void rkb_judge_free(struct rkb_judge *judge);       /* NULL is allowed */

/* Whether it asks if the payload is JSON, so that its verdict needs is_json and found. NULL asks nothing. */
bool rkb_judge_needs_json(const struct rkb_judge *judge);

struct rkb_judge_facts {
    struct rkb_slice payload;
    bool is_json;
    const struct rkb_slice *found;      /* by the pointers given at compile; not looked at where it is no JSON */
};

/* Of verdict it writes kind, and code and reason for RKB_REJECTED. */
void rkb_judge(const struct rkb_judge *judge, const struct rkb_judge_facts *facts, struct rkb_verdict *verdict);

#endif
