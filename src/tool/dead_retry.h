/*
 * dead_retry -- `rkbctl dead retry`: hands dead letters back to the running bridge, each once.
 */
#ifndef RKB_TOOL_DEAD_RETRY_H
#define RKB_TOOL_DEAD_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct rkb_retry_words {
    const char *config_path;
    const char *route;          /* those of this route; NULL: of any */
    char **ids;                 /* ids or places, moved to the front of argv; none: all of them */
    size_t id_count;
    bool all, dry_run;
};

/* Of `dead retry ...`; false for wrong use. */
bool rkb_retry_words(struct rkb_retry_words *words, int argc, char **argv);

/* 0: each was sent; 1: some were not, which was said; 64; 69: no bridge answers. */
int rkb_tool_dead_retry(const struct rkb_retry_words *words, FILE *out, FILE *err);

#endif
