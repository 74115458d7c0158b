/*
 * settings -- the table of settings: one row each, read by the parser, --check, the sample
 * file's test and the man page.
 *
 * A row's path names where it stands in the file; `*` stands for a name the user gives (redis.*.url). `live` says that
 * a reload can take it (daemon/reload.h); a change of any other needs a restart, and a reload refuses it by name.
 */
#ifndef RKB_CONFIG_SETTINGS_H
#define RKB_CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rkb_setting_type {
    RKB_SETTING_TEXT,           /* char *; one of words, where there are any */
    RKB_SETTING_TEMPLATE,       /* char *, compiled when all is read */
    RKB_SETTING_PATH,           /* char *, absolute; words: what may stand there instead */
    RKB_SETTING_FILE,           /* char *, read with the config: absolute, or from the config file's directory */
    RKB_SETTING_URL,            /* char *, a Redis url */
    RKB_SETTING_LISTEN,         /* char *, host:port; a numeric IPv4, an IPv6 in brackets or localhost */
    RKB_SETTING_SIZE,           /* uint64_t, bytes */
    RKB_SETTING_SHARE,          /* struct rkb_share: a percentage or bytes */
    RKB_SETTING_DURATION,       /* int64_t, microseconds */
    RKB_SETTING_SYNC,           /* int64_t: RKB_SYNC_NONE, RKB_SYNC_ALWAYS (by its words) or microseconds */
    RKB_SETTING_MODE,           /* unsigned, octal */
    RKB_SETTING_WORD,           /* int, index into words */
    RKB_SETTING_NUMBER,         /* int64_t; its one word, where there is one, is -1 */
    RKB_SETTING_LIST,           /* struct rkb_texts: one scalar or a sequence of scalars */
    RKB_SETTING_MAP,            /* struct rkb_properties: a mapping of names to scalars */
    RKB_SETTING_EXPECT,         /* struct rkb_expects: a rule, or a list of them */
    RKB_SETTING_FILTER,         /* struct rkb_filters: a condition, or a list of them */
    RKB_SETTING_PROPERTIES      /* struct rkb_properties: librdkafka's, NAME_file from a file */
};

#define RKB_SYNC_NONE INT64_MAX
#define RKB_SYNC_ALWAYS 0
#define RKB_DISK_ERROR_DEGRADE 0
#define RKB_DISK_ERROR_EXIT 1

struct rkb_setting {
    const char *path;           /* "journal.max_size" */
    enum rkb_setting_type type;
    size_t offset;              /* in struct rkb_config, rkb_config_source or rkb_config_route, by the path's head */
    const char *initial;        /* default as written in a file; NULL: none */
    int64_t least, most;        /* for sizes, numbers, durations and the durations of sync; most 0: no limit */
    const char *const *words;   /* NULL-terminated; required for RKB_SETTING_WORD */
    bool required, live;
    bool secret;                /* a text, kept in the vault (base/vault.h); no mistake repeats it */
    const char *help;           /* one sentence, with unit */
};

extern const struct rkb_setting rkb_settings[];
extern const size_t rkb_setting_count;

/* How many rows there may be at most: for arrays with a place for each row. */
#define RKB_SETTING_LIMIT 96

/* The row of this path ("redis.*.url"), or NULL. */
const struct rkb_setting *rkb_setting_find(const char *path);

#endif
