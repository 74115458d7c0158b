/*
 * settings -- the rows themselves. See settings.h.
 *
 * The order of the rows is the order of the sample file and the man page. A default is written as a user would write
 * it and goes through the same parser, so that the table cannot promise what the parser refuses.
 */
#include "config/settings.h"

#include <string.h>

#include "config/config.h"
#include "message/json.h"

#define US(n) ((int64_t)(n))
#define MS(n) (US(n) * 1000)
#define SECONDS(n) (MS(n) * 1000)
#define MINUTES(n) (SECONDS(n) * 60)
#define HOURS(n) (MINUTES(n) * 60)
#define KIB(n) ((int64_t)(n) << 10)
#define MIB(n) ((int64_t)(n) << 20)
#define GIB(n) ((int64_t)(n) << 30)

#define GLOBAL(member) offsetof(struct rkb_config, member)
#define SOURCE(member) offsetof(struct rkb_config_source, member)
#define ROUTE(member) offsetof(struct rkb_config_route, member)

static const char *const start_words[] = {"lenient", "strict", NULL};
static const char *const delivery_words[] = {"at-least-once", "exactly-once", NULL};
static const char *const truth_words[] = {"no", "yes", NULL};
static const char *const default_words[] = {"default", NULL};
static const char *const sync_words[] = {"none", "always", NULL};
static const char *const watch_words[] = {"none", NULL};
static const char *const yes_words[] = {"no", "yes", NULL};
static const char *const expose_words[] = {"metrics", "all", NULL};
static const char *const disk_error_words[] = {"degrade", "exit", NULL};
static const char *const ring_words[] = {"none", NULL};
static const char *const level_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const format_words[] = {"text", "json", NULL};
static const char *const envelope_words[] = {"event", "flat", "merge", "raw", "cloudevents", "cloudevents-json",
                                             NULL};
static const char *const taken_words[] = {"keep", "overwrite", "dead_letter", NULL};
static const char *const require_words[] = {"any", "json", "object", NULL};
static const char *const missing_words[] = {"null", "drop", "dead_letter", NULL};
static const char *const payload_words[] = {"auto", "json", "text", "base64", NULL};

const struct rkb_setting rkb_settings[] = {
    {.path = "instance", .type = RKB_SETTING_TEXT, .offset = GLOBAL(instance),
     .help = "Name of this rkbridge in records, logs and Redis's CLIENT LIST; by default the host's name."},
    {.path = "shutdown_timeout", .type = RKB_SETTING_DURATION, .offset = GLOBAL(shutdown_timeout), .initial = "25s",
     .most = HOURS(24),
     .live = true, .help = "How long SIGTERM waits for Kafka to take what is left; the rest stays in the journal."},
    {.path = "linger", .type = RKB_SETTING_DURATION, .offset = GLOBAL(linger), .initial = "0", .most = HOURS(1),
     .live = true,
     .help = "How long SIGTERM still takes messages, before shutdown_timeout begins: for an app that ends at the same "
             "moment and publishes to its end."},
    {.path = "start", .type = RKB_SETTING_WORD, .offset = GLOBAL(start), .initial = "lenient", .words = start_words,
     .live = true,
     .help = "strict: a subscription that Redis's ACL refuses, or another rkbridge on that Redis, at the start ends "
             "this one (69); lenient: the others run, and another is waited for."},

    {.path = "redis.*.url", .type = RKB_SETTING_URL, .offset = SOURCE(url_text), .required = true, .secret = true,
     .help = "Where this Redis is: redis://[user@]host[:port], rediss:// (TLS) or unix:///path."},
    {.path = "redis.*.user", .type = RKB_SETTING_TEXT, .offset = SOURCE(user),
     .help = "ACL user for AUTH, where the url names none."},
    {.path = "redis.*.password", .type = RKB_SETTING_TEXT, .offset = SOURCE(password), .secret = true,
     .help = "Password for AUTH; better from the environment, as ${NAME}, or by password_file."},
    {.path = "redis.*.password_file", .type = RKB_SETTING_PATH, .offset = SOURCE(password_file), .secret = true,
     .help = "File with the password, read again at each reconnect; one newline at its end does not count."},
    {.path = "redis.*.tls_ca_file", .type = RKB_SETTING_PATH, .offset = SOURCE(tls.ca_file),
     .help = "PEM file of the CAs that may sign the server's certificate, by default this system's; for rediss://."},
    {.path = "redis.*.tls_ca_directory", .type = RKB_SETTING_PATH, .offset = SOURCE(tls.ca_directory),
     .help = "Directory of such files, named as openssl rehash names them."},
    {.path = "redis.*.tls_certificate_file", .type = RKB_SETTING_PATH, .offset = SOURCE(tls.certificate_file),
     .help = "PEM file with our certificate and what leads to its CA, where Redis asks for one."},
    {.path = "redis.*.tls_key_file", .type = RKB_SETTING_PATH, .offset = SOURCE(tls.key_file),
     .help = "PEM file with the private key of that certificate."},
    {.path = "redis.*.tls_key_password_file", .type = RKB_SETTING_PATH, .offset = SOURCE(tls.key_password_file),
     .secret = true, .help = "File with the password of that key, where it is encrypted."},
    {.path = "redis.*.tls_server_name", .type = RKB_SETTING_TEXT, .offset = SOURCE(tls.server_name),
     .help = "Name or address that the server's certificate must be for, by default the url's host."},
    {.path = "redis.*.tls_verify", .type = RKB_SETTING_WORD, .offset = SOURCE(tls.verify), .initial = "yes",
     .words = truth_words,
     .help = "Whether the server's certificate is verified; no believes whoever answers, and is warned about."},
    {.path = "redis.*.connect_timeout", .type = RKB_SETTING_DURATION, .offset = SOURCE(connect_timeout),
     .initial = "5s", .least = MS(10), .most = MINUTES(10), .help = "How long a connection may take to be ready."},
    {.path = "redis.*.heartbeat", .type = RKB_SETTING_DURATION, .offset = SOURCE(heartbeat), .initial = "5s",
     .least = MS(100), .most = HOURS(1), .help = "Time between two PINGs (each O(1) for Redis)."},
    {.path = "redis.*.heartbeat_timeout", .type = RKB_SETTING_DURATION, .offset = SOURCE(heartbeat_timeout),
     .initial = "5s", .least = MS(100), .most = HOURS(1),
     .help = "How long Redis may be silent after a PING before the connection counts as lost."},
    {.path = "redis.*.reconnect_min", .type = RKB_SETTING_DURATION, .offset = SOURCE(reconnect_min), .initial = "5ms",
     .least = MS(1), .most = HOURS(1), .help = "First wait before connecting again; doubles, with jitter."},
    {.path = "redis.*.reconnect_max", .type = RKB_SETTING_DURATION, .offset = SOURCE(reconnect_max), .initial = "5s",
     .least = MS(1), .most = HOURS(1), .help = "Longest wait before connecting again."},
    {.path = "redis.*.healthy_after", .type = RKB_SETTING_DURATION, .offset = SOURCE(healthy_after), .initial = "10s",
     .most = HOURS(1), .help = "How long a connection must hold before the wait starts from reconnect_min again."},
    {.path = "redis.*.retry_refused", .type = RKB_SETTING_DURATION, .offset = SOURCE(retry_refused), .initial = "30s",
     .least = MS(100), .most = HOURS(1),
     .help = "How often subscriptions that Redis's ACL refuses are asked for again (each O(1) for Redis)."},
    {.path = "redis.*.max_message_size", .type = RKB_SETTING_SIZE, .offset = SOURCE(max_message_size),
     .initial = "8MiB", .least = KIB(1), .most = MIB(512),
     .help = "Longest payload; a longer one passes by without being held, counted as dropped (too_large), in a gap. "
             "At most three eighths of journal.ring_size, and half a segment."},
    {.path = "redis.*.watch", .type = RKB_SETTING_SYNC, .offset = SOURCE(watch), .initial = "5s", .least = MS(100),
     .most = MINUTES(1), .words = watch_words,
     .help = "How often a second connection asks Redis how near we are to a cut and whether another "
             "rkbridge is there."},
    {.path = "redis.*.allow_parallel", .type = RKB_SETTING_WORD, .offset = SOURCE(allow_parallel), .initial = "no",
     .words = yes_words,
     .help = "yes: subscribe even where another rkbridge does; for two that ship different routes."},
    {.path = "redis.*.gap_topic", .type = RKB_SETTING_TEXT, .offset = SOURCE(gap_topic),
     .live = true,
     .help = "Topic that is told of this source's gaps, each when it opens and when it closes; by default none. It may "
             "be a route's: then they stand among its records."},

    {.path = "kafka.delivery", .type = RKB_SETTING_WORD, .offset = GLOBAL(kafka.delivery), .initial = "at-least-once",
     .words = delivery_words, .help = "What Kafka is promised; exactly-once is not in this version."},
    {.path = "kafka.refuse_after", .type = RKB_SETTING_DURATION, .offset = GLOBAL(kafka.refuse_after), .initial = "10m",
     .most = HOURS(24 * 365), .live = true,
     .help = "How long a topic may refuse for want of a right before its records are set aside as dead letters."},
    {.path = "kafka.watchdog", .type = RKB_SETTING_DURATION, .offset = GLOBAL(kafka.watchdog), .initial = "2m",
     .most = HOURS(24), .live = true,
     .help = "A producer that reports nothing for so long although records are in flight is made anew; 0s: never."},
    {.path = "kafka.outage_budget", .type = RKB_SETTING_DURATION, .offset = GLOBAL(kafka.outage_budget),
     .initial = "10m", .most = HOURS(24 * 365), .live = true,
     .help = "How long Kafka may be away before this rkbridge counts as not ready (/readyz); messages are journalled "
             "anyway."},
    {.path = "kafka.properties", .type = RKB_SETTING_PROPERTIES, .offset = GLOBAL(kafka.properties),
     .help = "Any librdkafka property; NAME_file reads the value from a file. bootstrap.servers is required."},
    {.path = "kafka.create_topics", .type = RKB_SETTING_WORD, .offset = GLOBAL(kafka.create_topics), .initial = "no",
     .words = yes_words,
     .help = "Create the routes' topics that are missing, with the routes' partitions, replication and topic_config."},

    {.path = "journal.directory", .type = RKB_SETTING_PATH, .offset = GLOBAL(journal.directory), .required = true,
     .help = "Where the journal is; its last part is made where it is missing. One rkbridge per directory."},
    {.path = "journal.max_size", .type = RKB_SETTING_SIZE, .offset = GLOBAL(journal.max_size), .initial = "4GiB",
     .least = MIB(1),
     .help = "What the journal may take of the disk; full, the newest messages are dropped and counted."},
    {.path = "journal.min_free", .type = RKB_SETTING_SHARE, .offset = GLOBAL(journal.min_free), .initial = "10%",
     .help = "What the journal leaves free of the file system it is on; short of that it counts as full. "
             "0: all may be taken."},
    {.path = "journal.on_disk_error", .type = RKB_SETTING_WORD, .offset = GLOBAL(journal.on_disk_error),
     .initial = "degrade", .words = disk_error_words,
     .help = "What follows a write or sync that fails: go on, in memory if need be, and say what is not "
             "durable; or end with 70."},
    {.path = "journal.segment_size", .type = RKB_SETTING_SIZE, .offset = GLOBAL(journal.segment_size),
     .initial = "64MiB", .least = KIB(64), .most = GIB(1),
     .help = "Size of one file of the journal; a record takes at most half of one. "
             "At most an eighth of max_size is used."},
    {.path = "journal.dead_letter_size", .type = RKB_SETTING_SIZE, .offset = GLOBAL(journal.dead_letter_size),
     .initial = "64MiB", .most = GIB(1),
     .help = "What the file of dead letters may take, as a part of max_size; at most a quarter of that is used."},
    {.path = "journal.sync", .type = RKB_SETTING_SYNC, .offset = GLOBAL(journal.sync), .initial = "1s", .least = MS(1),
     .most = HOURS(1), .words = sync_words,
     .help = "How often the journal is forced to the disk: what a power cut may cost. A kill costs nothing."},
    {.path = "journal.ring_size", .type = RKB_SETTING_SIZE, .offset = GLOBAL(journal.ring_size), .initial = "32MiB",
     .least = KIB(256), .most = GIB(1),
     .help = "Memory between Redis and the journal: what a slow disk may cost in time."},
    {.path = "journal.ring_directory", .type = RKB_SETTING_PATH, .offset = GLOBAL(journal.ring_directory),
     .initial = "/dev/shm", .words = ring_words,
     .help = "A tmpfs for the ring, so that it outlives a kill; none for anonymous memory."},

    {.path = "control.socket", .type = RKB_SETTING_PATH, .offset = GLOBAL(control.socket),
     .initial = "/run/rkbridge/control.sock", .help = "The socket rkbctl talks to."},
    {.path = "control.socket_mode", .type = RKB_SETTING_MODE, .offset = GLOBAL(control.socket_mode), .initial = "0660",
     .help = "Who may use it: its permissions, octal. Whoever can open it may look."},
    {.path = "control.admins", .type = RKB_SETTING_LIST, .offset = GLOBAL(control.admins),
     .live = true,
     .help = "Users, by name or number, who may also give orders (pause, drain, reload); root and rkbridge's own "
             "user always may."},
    {.path = "control.admin_groups", .type = RKB_SETTING_LIST, .offset = GLOBAL(control.admin_groups),
     .live = true, .help = "Groups whose members may."},

    {.path = "http.listen", .type = RKB_SETTING_LISTEN, .offset = GLOBAL(http.listen),
     .help = "Where HTTP is served; without it there is none."},
    {.path = "http.expose", .type = RKB_SETTING_WORD, .offset = GLOBAL(http.expose), .initial = "metrics",
     .words = expose_words,
     .help = "What is served off loopback: metrics (/metrics, /healthz, /readyz), or all (/stats too, with the names "
             "of hosts and topics)."},

    {.path = "canary.topic", .type = RKB_SETTING_TEXT, .offset = GLOBAL(canary.topic), .live = true,
     .help = "Topic, of no route, for messages of our own that are published on each source and have to come the whole "
             "way: what /readyz then goes by, too. By default there are none."},
    {.path = "canary.interval", .type = RKB_SETTING_DURATION, .offset = GLOBAL(canary.interval), .initial = "1s",
     .least = MS(100), .most = MINUTES(1), .live = true,
     .help = "Time between two of them (each a PUBLISH: for Redis O(its subscribers of that channel + patterns))."},
    {.path = "canary.late_after", .type = RKB_SETTING_DURATION, .offset = GLOBAL(canary.late_after), .initial = "10s",
     .least = MS(200), .most = HOURS(1), .live = true,
     .help = "How long one may be on its way before this rkbridge counts as not ready; longer than interval."},

    {.path = "metrics.routes", .type = RKB_SETTING_NUMBER, .offset = GLOBAL(metrics.routes), .initial = "200",
     .most = 100000, .live = true,
     .help = "How many routes have metrics of their own, in the order of this file; the rest are summed as (other)."},

    {.path = "log.level", .type = RKB_SETTING_WORD, .offset = GLOBAL(log.level), .initial = "info",
     .words = level_words, .live = true, .help = "The least important lines that are written."},
    {.path = "log.format", .type = RKB_SETTING_WORD, .offset = GLOBAL(log.format), .initial = "text",
     .words = format_words, .help = "Lines for people, or a JSON object on each line."},

    {.path = "routes.*.source", .type = RKB_SETTING_TEXT, .offset = ROUTE(source), .required = true,
     .live = true, .help = "The Redis it reads from: a name under redis."},
    {.path = "routes.*.channels", .type = RKB_SETTING_LIST, .offset = ROUTE(channels),
     .live = true, .help = "Channels, by their exact names; channels or patterns must name at least one."},
    {.path = "routes.*.patterns", .type = RKB_SETTING_LIST, .offset = ROUTE(patterns),
     .live = true, .help = "Patterns of channels, by Redis's glob rules; "
             "an exact channel wins over a pattern, an earlier one over a later."},
    {.path = "routes.*.topic", .type = RKB_SETTING_TEMPLATE, .offset = ROUTE(topic), .required = true,
     .live = true, .help = "The Kafka topic, or a template of its name."},
    {.path = "routes.*.max_topics", .type = RKB_SETTING_NUMBER, .offset = ROUTE(max_topics), .initial = "100",
     .least = 1, .most = 10000,
     .live = true,
     .help = "How many topics a template may name between two starts; what would name another is a dead letter."},
    {.path = "routes.*.dead_letter", .type = RKB_SETTING_TEXT, .offset = ROUTE(dead_letter),
     .live = true, .help = "The Kafka topic of its dead letters; without it they go to the file of dead letters."},
    {.path = "routes.*.partitions", .type = RKB_SETTING_NUMBER, .offset = ROUTE(partitions), .initial = "default",
     .least = 1, .most = 100000, .words = default_words,
     .live = true, .help = "Partitions of the topic where rkbridge creates it; "
             "a topic with another number is warned about, never changed."},
    {.path = "routes.*.replication", .type = RKB_SETTING_NUMBER, .offset = ROUTE(replication), .initial = "default",
     .least = 1, .most = 10000, .words = default_words,
     .live = true,
     .help = "Replicas of each partition of the topic where rkbridge creates it; default is the broker's."},
    {.path = "routes.*.topic_config", .type = RKB_SETTING_MAP, .offset = ROUTE(topic_config),
     .live = true, .help = "Kafka's settings of the topic where rkbridge creates it, as retention.ms: 604800000."},
    {.path = "routes.*.key", .type = RKB_SETTING_TEMPLATE, .offset = ROUTE(key), .initial = "{{channel}}",
     .live = true,
     .help = "Template of the record's key; none for records without one, which gives up order. A key of which a "
             "slot finds nothing is none."},
    {.path = "routes.*.envelope", .type = RKB_SETTING_TEXT, .offset = ROUTE(envelope), .initial = "event",
     .words = envelope_words, .live = true, .help = "A ready-made value template; or value, never both."},
    {.path = "routes.*.value", .type = RKB_SETTING_TEMPLATE, .offset = ROUTE(value),
     .live = true, .help = "Template of the record's value, a JSON document; or envelope, never both."},
    {.path = "routes.*.value_file", .type = RKB_SETTING_FILE, .offset = ROUTE(value_file),
     .live = true, .help = "File with such a template; its name may be relative to the config file's directory."},
    {.path = "routes.*.name", .type = RKB_SETTING_TEMPLATE, .offset = ROUTE(name_template), .initial = "{{channel}}",
     .live = true, .help = "Template of what an envelope with a name in it calls the message."},
    {.path = "routes.*.payload_name", .type = RKB_SETTING_TEXT, .offset = ROUTE(payload_name), .initial = "payload",
     .live = true, .help = "What an envelope with the payload as a member calls it."},
    {.path = "routes.*.when_taken", .type = RKB_SETTING_WORD, .offset = ROUTE(when_taken), .initial = "keep",
     .words = taken_words,
     .live = true,
     .help = "What envelope merge does with a payload that has id, channel or time itself: keep the payload's, "
             "overwrite it, or dead_letter."},
    {.path = "routes.*.payload", .type = RKB_SETTING_WORD, .offset = ROUTE(payload), .initial = "auto",
     .words = payload_words,
     .live = true,
     .help = "What payloads are: auto takes the first of json, text, base64 that fits; with json or text, what is not "
             "so becomes a dead letter."},
    {.path = "routes.*.max_depth", .type = RKB_SETTING_NUMBER, .offset = ROUTE(max_depth), .initial = "512",
     .least = 1, .most = RKB_JSON_DEPTH, .live = true,
     .help = "A payload nested deeper than this does not count as JSON."},
    {.path = "routes.*.missing", .type = RKB_SETTING_WORD, .offset = ROUTE(missing), .initial = "null",
     .words = missing_words,
     .live = true,
     .help = "What becomes of a message in which a JSON Pointer of the route's templates finds nothing: null in its "
             "place, dropped and counted, or a dead letter."},
    {.path = "routes.*.headers", .type = RKB_SETTING_MAP, .offset = ROUTE(headers),
     .live = true,
     .help = "Headers of the record: names, each with a template; one of which a slot finds nothing is left out."},
    {.path = "routes.*.rkb_headers", .type = RKB_SETTING_WORD, .offset = ROUTE(rkb_headers), .initial = "no",
     .words = yes_words,
     .live = true,
     .help = "yes: the headers rkb-id, rkb-channel, rkb-pattern, rkb-source, rkb-position, rkb-time, rkb-encoding."},
    {.path = "routes.*.filter", .type = RKB_SETTING_FILTER, .offset = ROUTE(filter),
     .live = true,
     .help = "Which messages are wanted: conditions of at (a JSON Pointer) and one of equals, glob, exists; "
             "the rest is counted as filtered."},
    {.path = "routes.*.require", .type = RKB_SETTING_WORD, .offset = ROUTE(require), .initial = "any",
     .words = require_words, .live = true, .help = "What a payload must be; what is not is a dead letter."},
    {.path = "routes.*.expect", .type = RKB_SETTING_EXPECT, .offset = ROUTE(expect),
     .live = true,
     .help = "What must hold in a payload: rules of at (a JSON Pointer) and type, min, max, min_length, max_length, "
             "enum, pattern, optional; where one does not, it is a dead letter."},
    {.path = "routes.*.schema", .type = RKB_SETTING_FILE, .offset = ROUTE(schema),
     .live = true,
     .help = "A file with a JSON Schema (draft-07) that payloads must fit; what does not is a dead letter."},
};

const size_t rkb_setting_count = sizeof rkb_settings / sizeof rkb_settings[0];

_Static_assert(sizeof rkb_settings / sizeof rkb_settings[0] <= RKB_SETTING_LIMIT, "more rows than RKB_SETTING_LIMIT");

const struct rkb_setting *rkb_setting_find(const char *path)
{
    for (size_t i = 0; i < rkb_setting_count; i++)
        if (strcmp(rkb_settings[i].path, path) == 0)
            return &rkb_settings[i];
    return NULL;
}
