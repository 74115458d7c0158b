/* check -- see check.h; the routes are in check_routes.c. */
#include "config/check.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/units.h"
#include "config/properties.h"
#include "config/values.h"

/* The path without its last part, into out. */
static bool parent_of(const char *path, char *out, size_t size)
{
    char copy[1024];
    if (strlen(path) >= sizeof copy || strlen(path) >= size)
        return false;
    memcpy(copy, path, strlen(path) + 1);
    snprintf(out, size, "%s", dirname(copy));
    return true;
}

static bool is_writable_directory(const char *path, struct rkb_error *error)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return rkb_fail_errno(error, "%.200s", path);
    if (!S_ISDIR(status.st_mode))
        return rkb_fail(error, RKB_USAGE, "%.200s is not a directory", path);
    if (eaccess(path, W_OK | X_OK) != 0)
        return rkb_fail_errno(error, "%.200s cannot be written", path);
    return true;
}

/* A directory that is there, or whose last part can be made. */
static bool can_be_used(const char *path, struct rkb_error *error)
{
    char parent[1024];
    struct stat status;
    if (stat(path, &status) == 0 || errno != ENOENT)
        return is_writable_directory(path, error);
    if (!parent_of(path, parent, sizeof parent))
        return rkb_fail(error, RKB_USAGE, "too long for a path");
    struct rkb_error why;
    if (is_writable_directory(parent, &why))
        return true;
    return rkb_fail(error, why.code, "%.180s is missing and cannot be made: %.260s", path, why.text);
}

/* The host's name with all that is no name of ours replaced by a dash. */
static void use_host_name(struct rkb_reading *reading)
{
    char host[65] = "";
    if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')
        snprintf(host, sizeof host, "rkbridge");
    for (char *c = host; *c != '\0'; c++)
        if (!rkb_value_is_name((char[]){*c, '\0'}, 1))
            *c = '-';
    reading->config->instance = strdup(host);
    if (reading->config->instance == NULL)
        reading->findings.failed = true;
}

static void check_instance(struct rkb_reading *reading)
{
    if (reading->config->instance == NULL)
        use_host_name(reading);
    else if (!rkb_value_is_name(reading->config->instance, 64))
        rkb_reading_mistake(reading, &reading->global, "instance", "a name is 1 to 64 of A-Z a-z 0-9 _ . -");
}

/* A setting that is there but empty, as from ${NAME:-}, is as good as none. */
static void drop_empty(const char *path, struct rkb_config_source *source, const char *text)
{
    if (text != NULL && *text == '\0')
        rkb_value_free(rkb_setting_find(path), source);
}

/* What the url says, where the setting says nothing; both is a mistake. */
static void take_from_url(struct rkb_reading *reading, const struct rkb_section *section, const char *path,
                          const char *from_url, const char *text, struct rkb_config_source *source)
{
    struct rkb_error error;
    if (from_url[0] == '\0')
        return;
    if (text != NULL)
        rkb_reading_mistake(reading, section, path, "given here and in the url");
    else if (!rkb_value_set(rkb_setting_find(path), from_url, source, &error))
        reading->findings.failed = true;
}

static void check_password(struct rkb_reading *reading, const struct rkb_section *section,
                           struct rkb_config_source *source)
{
    char password[1024];
    struct rkb_error error;
    if (source->password_file == NULL)
        return;
    if (source->password != NULL)
        rkb_reading_mistake(reading, section, "redis.*.password_file", "the password is given twice, here and by %s",
                            rkb_reading_node(section, "redis.*.password") != NULL ? "password" : "the url");
    if (!rkb_config_password(source, password, sizeof password, &error))
        rkb_reading_mistake(reading, section, "redis.*.password_file", "%s", error.text);
    explicit_bzero(password, sizeof password);
}

/* Without TLS none of its settings means anything, and to believe that one did would be dangerous. */
static void refuse_tls(struct rkb_reading *reading, const struct rkb_section *section)
{
    for (size_t i = 0; i < rkb_setting_count; i++) {
        const char *path = rkb_settings[i].path;
        if (strncmp(path, "redis.*.tls_", strlen("redis.*.tls_")) == 0 && rkb_reading_node(section, path) != NULL)
            rkb_reading_mistake(reading, section, path, "only a rediss:// url (TLS) has use for it");
    }
}

static void check_tls(struct rkb_reading *reading, const struct rkb_section *section, struct rkb_config_source *source)
{
    struct rkb_error error;
    const char *setting;
    char path[64];
    drop_empty("redis.*.tls_server_name", source, source->tls.server_name);
    struct rkb_tls_options options = rkb_config_tls(source);
    if (options.certificate_file != NULL && options.key_file == NULL) {
        rkb_reading_mistake(reading, section, "redis.*.tls_certificate_file", "tls_key_file, its key, is missing");
    } else if (options.certificate_file == NULL && options.key_file != NULL) {
        rkb_reading_mistake(reading, section, "redis.*.tls_key_file",
                            "tls_certificate_file, its certificate, is missing");
    } else if (options.key_file == NULL && options.key_password_file != NULL) {
        rkb_reading_mistake(reading, section, "redis.*.tls_key_password_file", "there is no tls_key_file");
    } else if (!rkb_tls_check(&options, &setting, &error)) {
        snprintf(path, sizeof path, "redis.*.%s", setting != NULL ? setting : "url");
        rkb_reading_mistake(reading, section, path, "%s", error.text);
    }
}

static void check_source(struct rkb_reading *reading, const struct rkb_section *section,
                         struct rkb_config_source *source)
{
    struct rkb_error error;
    drop_empty("redis.*.user", source, source->user);
    drop_empty("redis.*.password", source, source->password);
    if (source->url_text != NULL && !rkb_redis_url_parse(source->url_text, &source->url, &error)) {
        rkb_reading_mistake(reading, section, "redis.*.url", "%s", error.text);
    } else {
        take_from_url(reading, section, "redis.*.user", source->url.user, source->user, source);
        take_from_url(reading, section, "redis.*.password", source->url.password, source->password, source);
        if (source->url.is_tls)
            check_tls(reading, section, source);
        else if (source->url_text != NULL)
            refuse_tls(reading, section);
    }
    explicit_bzero(source->url.password, sizeof source->url.password);      /* the vault has it */
    check_password(reading, section, source);
    if (source->reconnect_min > source->reconnect_max)
        rkb_reading_mistake(reading, section, "redis.*.reconnect_max", "less than reconnect_min");
}

static void check_kafka(struct rkb_reading *reading)
{
    struct rkb_config *config = reading->config;
    if (config->kafka.delivery != 0)
        rkb_reading_mistake(reading, &reading->global, "kafka.delivery",
                            "exactly-once is not in this version; at-least-once is");
    struct rkb_properties *properties = &config->kafka.properties;
    /* The brokers' own way of making topics, with their defaults, must not come first. */
    if (config->kafka.create_topics && rkb_property_find(properties, "allow.auto.create.topics") == NULL &&
        !rkb_properties_add(properties, "allow.auto.create.topics", "false", NULL))
        reading->findings.failed = true;
    bool has_servers = rkb_property_find(properties, "bootstrap.servers") != NULL ||
                       rkb_property_find(properties, "metadata.broker.list") != NULL;
    if (!has_servers && !reading->embedded)
        rkb_reading_mistake(reading, &reading->global, "kafka.properties",
                            "bootstrap.servers is required, and missing");
}

/* Whether the properties go together; asked only when each is right by itself. An embedded Kafka has no address yet. */
static void check_kafka_together(struct rkb_reading *reading)
{
    const struct rkb_properties *given = &reading->config->kafka.properties;
    if (reading->findings.count > 0)
        return;
    struct rkb_property *list = calloc(given->count + 1, sizeof *list);
    if (list == NULL) {
        reading->findings.failed = true;
        return;
    }
    if (given->count > 0)
        memcpy(list + 1, given->list, given->count * sizeof *list);
    list[0] = (struct rkb_property){"bootstrap.servers", "localhost"};
    struct rkb_error error;
    size_t skip = reading->embedded ? 0 : 1;
    rd_kafka_conf_t *conf = rkb_kafka_conf(list + skip, given->count + 1 - skip, &error);
    if (conf == NULL)
        rkb_reading_mistake(reading, &reading->global, "kafka.properties", "%s", error.text);
    else
        rd_kafka_conf_destroy(conf);
    free(list);
}

/* NULL stands for anonymous memory: "none", or a default that this machine does not have. */
static void check_ring_directory(struct rkb_reading *reading)
{
    char **directory = &reading->config->journal.ring_directory;
    struct rkb_error error;
    if (*directory == NULL)
        return;
    bool none = strcmp(*directory, "none") == 0;
    if (!none && is_writable_directory(*directory, &error))
        return;
    if (!none && rkb_reading_node(&reading->global, "journal.ring_directory") != NULL)
        rkb_reading_mistake(reading, &reading->global, "journal.ring_directory", "%s", error.text);
    free(*directory);
    *directory = NULL;
}

/* As ring and journal are made: three eighths of the ring, half of a segment, which is an eighth of all at most. */
uint64_t rkb_config_record_limit(const struct rkb_config *config)
{
    uint64_t segment = config->journal.segment_size, eighth = config->journal.max_size / 8, smallest = 64 << 10;
    segment = segment < eighth ? segment : eighth;
    segment = segment < smallest ? smallest : segment / 4096 * 4096;
    uint64_t ring = config->journal.ring_size / 8 * 3;
    return ring < segment / 2 ? ring : segment / 2;
}

/* Asked only where it is given: the default of a small ring says nothing wrong, each record is measured anyway. */
static void check_message_size(struct rkb_reading *reading, const struct rkb_section *section,
                               const struct rkb_config_source *source)
{
    uint64_t most = rkb_config_record_limit(reading->config);
    char shown[32];
    const struct rkb_config *config = reading->config;
    bool known = config->journal.ring_size > 0 && config->journal.segment_size > 0 && config->journal.max_size > 0;
    if (!known || rkb_reading_node(section, "redis.*.max_message_size") == NULL || source->max_message_size <= most)
        return;
    rkb_format_size(shown, sizeof shown, most);
    rkb_reading_mistake(reading, section, "redis.*.max_message_size",
                        "more than the %s that a record may take (three eighths of journal.ring_size, half of "
                        "journal.segment_size, a sixteenth of journal.max_size); give those more, or this less", shown);
}

static void check_journal(struct rkb_reading *reading)
{
    struct rkb_error error;
    const char *directory = reading->config->journal.directory;
    if (directory != NULL && !can_be_used(directory, &error))
        rkb_reading_mistake(reading, &reading->global, "journal.directory", "%s", error.text);
    check_ring_directory(reading);
}

static void check_control(struct rkb_reading *reading)
{
    const char *path = reading->config->control.socket;
    size_t longest = sizeof((struct sockaddr_un *)NULL)->sun_path - 1;
    char parent[1024];
    struct stat status;
    struct rkb_error error;
    if (path == NULL)
        return;
    if (strlen(path) > longest || !parent_of(path, parent, sizeof parent))
        rkb_reading_mistake(reading, &reading->global, "control.socket",
                            "longer than %zu bytes, which no socket's path can be", longest);
    else if (!can_be_used(parent, &error))
        rkb_reading_mistake(reading, &reading->global, "control.socket", "%s", error.text);
    else if (stat(path, &status) == 0 && !S_ISSOCK(status.st_mode))
        rkb_reading_mistake(reading, &reading->global, "control.socket", "%.200s is there and is no socket", path);
    else if (stat(parent, &status) == 0 && (status.st_mode & (S_IWOTH | S_ISVTX)) == S_IWOTH)
        rkb_reading_warning(reading, &reading->global, "control.socket",
                            "everybody can write to %.200s, and put a socket of his own in the place of ours; "
                            "take that right away (chmod o-w)", parent);
}

void rkb_check_settings(struct rkb_reading *reading)
{
    struct rkb_config *config = reading->config;
    check_instance(reading);
    if (config->source_count == 0)
        rkb_findings_add(&reading->findings, rkb_reading_top(reading, "redis"), "redis: no source; name at least one");
    for (size_t i = 0; i < config->source_count; i++)
        check_source(reading, &reading->sources[i], &config->sources[i]);
    for (size_t i = 0; i < config->source_count; i++)
        check_message_size(reading, &reading->sources[i], &config->sources[i]);
    check_kafka(reading);
    check_journal(reading);
    check_control(reading);
    rkb_check_admins(reading);
    check_kafka_together(reading);
}

bool rkb_config_make_directory(const struct rkb_config *config, struct rkb_error *error)
{
    char parent[1024];
    if (!parent_of(config->control.socket, parent, sizeof parent))
        return rkb_fail(error, RKB_USAGE, "control.socket: too long for a path");
    mode_t mode = (config->control.socket_mode & 0006) != 0 ? 0755 : 0750;
    if (mkdir(parent, 0700) == 0 ? chmod(parent, mode) != 0 : errno != EEXIST)
        return rkb_fail_errno(error, "control.socket: %.200s cannot be made", parent);
    return true;
}
