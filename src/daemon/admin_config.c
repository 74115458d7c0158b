/* admin_config -- config [changed] [text|json]: the settings in force, and where each comes from; see admin.h. */
#include "daemon/admin_call.h"

#include "config/effective.h"
#include "control/output.h"

static void show(void *context, const char *path, const char *value, const char *origin)
{
    struct rkb_output *output = context;
    rkb_output_row(output);
    rkb_output_text(output, "setting", path);
    rkb_output_text(output, "value", value);
    rkb_output_text(output, "origin", origin);
    rkb_output_row_end(output);
}

enum rkb_outcome rkb_admin_config(const struct rkb_call *call)
{
    struct rkb_output output;
    size_t count = call->action->count;
    bool changed = rkb_call_is(call, 0, "changed");
    bool json = count > 0 && rkb_call_is(call, count - 1, "json");
    bool text = count > 0 && rkb_call_is(call, count - 1, "text");
    if (count != (size_t)changed + (size_t)(json || text))
        return RKB_WRONG_WORDS;
    rkb_output_begin(&output, json ? RKB_OUTPUT_JSON : RKB_OUTPUT_TEXT, call->out);
    rkb_output_table(&output, "settings");
    rkb_effective_each(call->admin->config, changed, show, &output);
    rkb_output_table_end(&output);
    rkb_output_end(&output);
    return RKB_DONE;
}
