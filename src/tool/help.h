/*
 * help -- what rkbctl can do, for people: `rkbctl --help`, and
 * `--help-commands`, from which doc/rkbctl.1 has its entries.
 *
 * The commands to a running rkbridge are its own rows (control/commands.h);
 * those that rkbctl does itself have theirs here.
 */
#ifndef RKB_TOOL_HELP_H
#define RKB_TOOL_HELP_H

#include <stdio.h>

void rkb_tool_usage(FILE *out);

/*
 * Each command in three lines: its words, with capitals for what one gives; indented the right it needs (look, admin;
 * or offline: it asks no running rkbridge); indented what it does.
 */
void rkb_tool_commands(FILE *out);

#endif
