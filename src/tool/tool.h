/*
 * tool -- what `rkbctl` can do: one function per kind of command. Each returns the exit code; wrong use is 64.
 */
#ifndef RKB_TOOL_TOOL_H
#define RKB_TOOL_TOOL_H

#include <stdio.h>

#define RKB_EXIT_USAGE 64           /* wrong use */
#define RKB_EXIT_UNREACHABLE 69     /* no rkbridge answers; no Redis does */

/*
 * Asks the rkbridge that listens at path: the words as one command, --json as json. The answer without its last
 * line goes to out. Returns 0 for OK and 1 for ERROR, with its text on err; for `status` 0, 1 or 2 by its
 * verdict OK, WARN or BAD, and 69 for ERROR.
 */
int rkb_tool_ask(const char *path, int argc, char **argv, FILE *out, FILE *err);

/*
 * `watch [--json]`: on a terminal the status, drawn anew each second, with the last events; else a
 * line for each event, and the verdict where it is another. Until SIGINT or SIGTERM: 0. 69 where
 * nobody answers at first; later it tries again.
 */
int rkb_tool_watch(const char *path, int argc, char **argv, FILE *out, FILE *err);

/* `journal list|verify|dump DIR`: a journal offline; argv[0] is "journal". */
int rkb_tool_journal(int argc, char **argv, FILE *out, FILE *err);

/* `discover URL`: listens to a Redis, tells what is there, writes a config; argv[0] is "discover". */
int rkb_tool_discover(int argc, char **argv, FILE *out, FILE *err);

/* `check -c FILE`: whether a bridge with this config would run; argv[0] is "check". Returns 0, 1, 2 or 64. */
int rkb_tool_check(int argc, char **argv, FILE *out, FILE *err);

/* `dead list|show`: dead letters, of the file and of the topics of a config; argv[0] is "dead". */
int rkb_tool_dead(int argc, char **argv, FILE *out, FILE *err);

/* `render CHANNEL`: what a message would become by a config, without any server; argv[0] is "render". */
int rkb_tool_render(int argc, char **argv, FILE *out, FILE *err);

#endif
