/*
 * check_wanted -- what a config asks of the servers: a source's subscriptions, and the topics that it names.
 */
#ifndef RKB_TOOL_CHECK_WANTED_H
#define RKB_TOOL_CHECK_WANTED_H

#include "config/config.h"

/* Where a thing is set: "routes.users.channels[2]". */
#define RKB_SETTING_SHOWN 640

struct rkb_wanted_name {
    bool is_pattern;
    struct rkb_slice name;              /* the config's */
    size_t route, item;                 /* item: of the route's channels, or patterns */
};
/* The source's subscriptions; the config has none twice. The caller frees the list. False: memory ran out. */
bool rkb_wanted_names(const struct rkb_config *config, size_t source, struct rkb_wanted_name **list,
                      size_t *count) RKB_MUST_CHECK;
void rkb_wanted_name_setting(const struct rkb_config *config, const struct rkb_wanted_name *name,
                             char out[RKB_SETTING_SHOWN]);

enum rkb_topic_use { RKB_TOPIC_OF_ROUTE, RKB_TOPIC_OF_LETTERS, RKB_TOPIC_OF_GAPS };

struct rkb_wanted_topic {
    const char *name;                   /* the config's */
    enum rkb_topic_use use;             /* the first in it */
    size_t route;                       /* the first that asks for it; of gaps: unused */
    char setting[RKB_SETTING_SHOWN];
    int64_t partitions, replication;    /* asked for; -1: nothing is */
    uint64_t longest;                   /* payload that may come to it; 0: none */
    bool keyless;                       /* a route that writes to it gives no key */
    const struct rkb_properties *settings;      /* topic_config, the config's; NULL: none */
};
/* Each topic that the config names, once; not those that messages name. Likewise. */
bool rkb_wanted_topics(const struct rkb_config *config, struct rkb_wanted_topic **list, size_t *count) RKB_MUST_CHECK;

#endif
