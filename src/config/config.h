/*
 * config -- reads the YAML file against the table of settings; every mistake is listed at
 * once, with file, line and column.
 *
 * YAML by libyaml's document API (syntax errors too get line and column). Scalars are text, parsed by the
 * setting's type; `${NAME}` and `${NAME:-default}` come from the environment. Promise: what rkb_config_read
 * returns without mistakes can be run.
 */
#ifndef RKB_CONFIG_CONFIG_H
#define RKB_CONFIG_CONFIG_H

#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/units.h"
#include "config/settings.h"
#include "kafka/client.h"
#include "message/rules.h"
#include "redis/tls.h"
#include "redis/url.h"

struct rkb_texts {
    char **texts;               /* NULL-terminated when count > 0 */
    size_t count;
};

struct rkb_numbers {
    uint32_t *list;
    size_t count;
};

struct rkb_properties {
    struct rkb_property *list;
    char **files;               /* beside list: where a value was read from, or NULL; NULL itself: no value was */
    size_t count;
};

struct rkb_judge_spec;          /* message/judge.h */

struct rkb_expects {
    struct rkb_expect_spec *list;
    size_t count;
};

struct rkb_filters {
    struct rkb_filter_spec *list;
    size_t count;
};

struct rkb_config_source {
    char *name;
    char *url_text;
    struct rkb_redis_url url;
    char *user, *password, *password_file;      /* NULL where not given; user and password may come from the url */
    struct {
        char *ca_file, *ca_directory, *certificate_file, *key_file, *key_password_file, *server_name;
        int verify;                             /* 0: no, 1: yes */
    } tls;
    int64_t connect_timeout, heartbeat, heartbeat_timeout, reconnect_min, reconnect_max, healthy_after, retry_refused;
    uint64_t max_message_size;
    int64_t watch;                              /* RKB_SYNC_NONE: none */
    int allow_parallel;                         /* 0: no, 1: yes */
    char *gap_topic;                            /* where its gaps are told; NULL: nowhere */
};

struct rkb_config_route {
    char *name, *source;
    size_t source_index;
    struct rkb_texts channels, patterns;
    /* envelope NULL where value is given, and the other way round */
    char *topic, *key, *envelope, *value, *payload_name;
    char *dead_letter;                          /* topic of its dead letters; NULL: they go to the file */
    bool topic_varies;                          /* topic is a template, not a name */
    int64_t max_topics;                         /* how many names that may come to, since the start */
    char *value_file, *name_template;           /* value holds what value_file holds */
    struct rkb_properties headers;
    int rkb_headers;                            /* 0: no, 1: yes */
    int missing;                                /* enum rkb_missing */
    int when_taken;                             /* enum rkb_when_taken */
    int64_t max_depth;
    int64_t partitions, replication;            /* of the topic, -1: the broker's default */
    struct rkb_properties topic_config;
    int payload;                                /* enum rkb_payload_kind */
    int require;                                /* enum rkb_require */
    struct rkb_expects expect;
    struct rkb_filters filter;
    bool canary;                                /* it is of no file: the config made it for a source's canary */
    char *schema, *schema_text;                 /* the file's name, and what it holds; NULL: none */
    size_t schema_size;
};

enum rkb_start { RKB_START_LENIENT, RKB_START_STRICT };

struct rkb_givens;

struct rkb_config {
    struct rkb_givens *givens;                  /* what the file gives, and where: effective.h */
    char *instance;
    int start;                                  /* enum rkb_start */
    int64_t shutdown_timeout, linger;           /* linger comes first; 0: none */
    struct rkb_config_source *sources;
    size_t source_count;
    struct rkb_config_route *routes;            /* those of the file, then the canaries' (canary.h) */
    size_t route_count, canary_count;           /* canary_count: so many of them are */
    struct {
        int delivery;                           /* 0: at-least-once, the only one so far */
        int create_topics;                      /* 0: no, 1: yes */
        struct rkb_properties properties;
        int64_t refuse_after, watchdog;         /* watchdog 0: none */
        int64_t outage_budget;
    } kafka;
    struct {
        char *directory, *ring_directory;       /* ring_directory NULL: anonymous memory */
        uint64_t max_size, segment_size, dead_letter_size, ring_size;
        struct rkb_share min_free;
        int on_disk_error;                      /* RKB_DISK_ERROR_... */
        int64_t sync;
    } journal;
    struct {
        char *socket;
        unsigned socket_mode;
        struct rkb_texts admins, admin_groups;      /* as written */
        struct rkb_numbers admin_users, admin_group_numbers;    /* uid_t and gid_t of those that there are */
    } control;
    struct {
        char *listen;                           /* "127.0.0.1:9464"; NULL: no HTTP */
        int expose;                             /* 1: all, off loopback too */
    } http;
    struct {
        char *topic;                            /* NULL: none are sent */
        int64_t interval, late_after;
    } canary;
    struct {
        int64_t routes;                         /* so many have metrics of their own */
    } metrics;
    struct {
        int level, format;                      /* enum rkb_log_level, enum rkb_log_format */
    } log;
};

struct rkb_mistakes {
    struct rkb_buffer text;     /* one mistake a line: "FILE:LINE:COLUMN: what is wrong; what to do" */
    size_t count;
    /* What can be run and is hardly meant so, a line each: "FILE:LINE:COLUMN: warning: what; what to do". */
    struct rkb_buffer warnings;
    size_t warning_count;
};

/*
 * Reads and checks all; makes and changes nothing. NULL when there is a mistake (mistakes->count > 0, in the
 * order of the file; "FILE: ..." where no place can be named). Warnings only where there is none. embedded: the Kafka
 * is our own, so bootstrap.servers may be missing.
 */
struct rkb_config *rkb_config_read(const char *path, bool embedded, struct rkb_mistakes *mistakes);
/* The same, and where each setting is written (config/places.h), to be freed in any case. */
struct rkb_places;
struct rkb_config *rkb_config_read_placed(const char *path, bool embedded, struct rkb_mistakes *mistakes,
                                          struct rkb_places *places);
void rkb_config_free(struct rkb_config *config);
void rkb_mistakes_free(struct rkb_mistakes *mistakes);

/* Whether its records have no key: `key` is none, or empty. */
bool rkb_config_keyless(const struct rkb_config_route *route);

/* The password of a source: from its file (read anew, one trailing newline dropped) or its setting; "" for none. */
bool rkb_config_password(const struct rkb_config_source *source, char *out, size_t size,
                         struct rkb_error *error) RKB_MUST_CHECK;
/* The largest record that ring and journal of these settings take, in bytes. */
uint64_t rkb_config_record_limit(const struct rkb_config *config);
/* What TLS needs to know; its texts are the source's. */
struct rkb_tls_options rkb_config_tls(const struct rkb_config_source *source);
/*
 * The properties with the values of NAME_file read anew, so that a credential that was rotated counts for the next
 * client; each is checked as at start. *out is the caller's, and empty where that fails: what was used before still
 * stands then. Reads files: not for the loop.
 */
bool rkb_properties_read(const struct rkb_properties *from, struct rkb_properties *out,
                         struct rkb_error *error) RKB_MUST_CHECK;
/* The route's checks, for rkb_judge_compile; its texts are the route's. */
struct rkb_judge_spec rkb_config_checks(const struct rkb_config_route *route);
/* Frees a list and overwrites its values. */
void rkb_properties_free(struct rkb_properties *properties);
/* Makes the control socket's directory, where it is missing: 0750, or 0755 where the socket is for all. */
bool rkb_config_make_directory(const struct rkb_config *config, struct rkb_error *error) RKB_MUST_CHECK;

/* Writes all settings of the table: path, what it takes, default, help. */
void rkb_config_help(FILE *out);

#endif
