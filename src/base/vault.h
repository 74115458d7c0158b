/*
 * vault -- texts that nobody may see: kept in memory that no core dump holds, and found where they are repeated.
 *
 * Each text has pages of its own, marked MADV_DONTDUMP; few are kept, so that this is cheap enough.
 */
#ifndef RKB_BASE_VAULT_H
#define RKB_BASE_VAULT_H

#include "base/bytes.h"

/* A copy of text, for rkb_vault_drop. NULL when memory ran out. */
char *rkb_vault_keep(const char *text);
void rkb_vault_drop(char *text);        /* NULL is allowed */

/* Overwrites and frees a text of malloc's. NULL is allowed. */
void rkb_wipe_free(char *text);

/*
 * Does text repeat the secret, or a part of it? Six bytes in a row count, or all of a shorter one; "" is no secret.
 * Others' words (a server's, a library's) are shown only where they do not.
 */
bool rkb_vault_repeats(struct rkb_slice text, const char *secret);

#endif
