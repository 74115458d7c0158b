/* help -- the table of settings for people: rkbridge --help-config. */
#include "config/config.h"
#include "config/values.h"

static void write_setting(FILE *out, const struct rkb_setting *row)
{
    char wanted[160], range[80];
    rkb_value_describe(row, wanted, sizeof wanted);
    rkb_value_range(row, range, sizeof range);
    fprintf(out, "%s\n    %s%s%s", row->path, wanted, *range != '\0' ? ", " : "", range);
    if (row->required)
        fprintf(out, "; required");
    else if (row->initial != NULL)
        fprintf(out, "; default %s", row->initial);
    fprintf(out, "\n    %s%s\n", row->help, row->live ? " A reload takes it." : "");
}

void rkb_config_help(FILE *out)
{
    for (size_t i = 0; i < rkb_setting_count; i++)
        write_setting(out, &rkb_settings[i]);
}
