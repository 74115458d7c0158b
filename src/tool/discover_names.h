/*
 * discover_names -- many names of channels, as few patterns and single names: what an operator would have written.
 *
 *     user.17.created  user.93.created  user.5.deleted  user.8.deleted  stock_low
 *          |  cut at : . / - _ ; tokens of one place that are ids, or very many words, become *
 *     user.*.created   user.*.deleted   stock_low
 *
 * Promise: each name belongs to exactly one group, whose pattern matches it by Redis's glob rules; a group of one is
 * the name itself; no pattern is all `*`. A pattern may match names of other groups too: whoever uses it says so.
 */
#ifndef RKB_TOOL_DISCOVER_NAMES_H
#define RKB_TOOL_DISCOVER_NAMES_H

#include "base/bytes.h"

/* So many different words in one place, and it is a name of somebody, not of something. */
#define RKB_NAMES_MANY 16

struct rkb_name_group {
    struct rkb_buffer text;         /* the channel, or the pattern */
    bool is_pattern;
    size_t members;
    size_t literal;                 /* bytes of a pattern that stand for themselves: the more, the narrower it is */
};

struct rkb_name_groups {
    struct rkb_name_group *list;
    size_t count;
    size_t *of;                     /* the group of each name */
};

/* names: all different. False when memory ran out; then groups is empty. */
bool rkb_names_group(const struct rkb_slice *names, size_t count, struct rkb_name_groups *groups);
void rkb_names_free(struct rkb_name_groups *groups);

#endif
