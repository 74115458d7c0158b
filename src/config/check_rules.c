/* check_rules -- see check.h: what a route's checks are together. Each rule was checked when it was read. */
#include "config/check.h"
#include "message/judge.h"

void rkb_check_rules(struct rkb_reading *reading, const struct rkb_section *section,
                     const struct rkb_config_route *route, struct rkb_pointers *pointers)
{
    struct rkb_judge_spec spec = rkb_config_checks(route);
    struct rkb_judge *judge;
    struct rkb_error error;
    if (!rkb_judge_compile(&spec, pointers, &judge, &error))
        rkb_reading_mistake(reading, section, route->expect.count > 0 ? "routes.*.expect" : "routes.*.filter", "%s",
                            error.text);
    rkb_judge_free(judge);
}
