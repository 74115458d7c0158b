/*
 * letters -- the dead letters of a config, wherever they are: in the file beside its journal, in the topics that its
 * routes name. Each once, from the first to the last there is when asked, while a bridge runs or not.
 *
 * A letter has an id, its message's UUID, which two may share (sent again after a kill); and a place that is its own:
 * file/<sequence>, or <topic>/<partition>/<offset>. Never: changes anything, joins a group, commits.
 */
#ifndef RKB_TOOL_LETTERS_H
#define RKB_TOOL_LETTERS_H

#include <stdio.h>

#include "config/config.h"
#include "message/letter.h"

/* All lent for the call. */
struct rkb_found_letter {
    const char *place;
    struct rkb_letter says;
    bool has_key;
    struct rkb_slice key, value, headers;
};

/* False, with the words on err, where the file or a topic could not be read, or not whole; the others were. */
bool rkb_letters_visit(const struct rkb_config *config, FILE *err,
                       void (*visit)(void *context, const struct rkb_found_letter *letter), void *context);

/* The config of a command, else NULL with its mistakes on err. */
struct rkb_config *rkb_letters_config(const char *path, FILE *err);

/* A part of one, "-" where there is none, fit for a terminal and at least so wide. */
void rkb_letters_print(struct rkb_slice text, int width, FILE *out);

#endif
