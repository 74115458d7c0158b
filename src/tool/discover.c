/*
 * discover -- `rkbctl discover URL`: what goes over a Redis's channels, and a config for it; needs neither config nor
 * Kafka.
 *
 *     command line --> listen (discover_listen) --> plan (discover_plan) --> report, and with --write a config
 *
 * The config is written whole beside the file and then takes its name, so that a full disk leaves nothing half.
 */
#include "tool/discover.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/units.h"
#include "tool/tool.h"

#define PASSWORD_VARIABLE "RKBRIDGE_REDIS_PASSWORD"
#define LONGEST_US (INT64_C(86400) * 1000000)

struct arguments {
    struct rkb_redis_url url;
    struct rkb_listen_options listen;
    char *paths[8];                     /* made absolute; to be freed */
    size_t path_count;
    const char *file;
    bool force, json;
};

enum { FOR = 256, WRITE, FORCE, JSON, USER, PASSWORD, CA_FILE, CA_DIRECTORY, CERTIFICATE, KEY, KEY_PASSWORD,
       SERVER_NAME, NO_VERIFY };

static int wrong_use(FILE *err)
{
    fputs("usage: rkbctl discover [--for TIME] [--write FILE [--force]] [--json] [--user NAME]\n"
          "                       [--password-file FILE] [--tls-...] URL\n"
          "\n"
          "  URL               redis://[user@]host[:port], rediss:// (TLS) or unix:///path\n"
          "  --for TIME        how long to listen, as 30s, 5m; 1m without it\n"
          "  --write FILE      a config for rkbridge from what was found; --force: FILE may be there already\n"
          "  --json            the report as a JSON object\n"
          "  --user NAME       the ACL user; its password in --password-file FILE, or in the variable\n"
          "                    " PASSWORD_VARIABLE ". In the URL everybody on this machine can see it.\n"
          "  --tls-ca-file FILE, --tls-ca-directory DIR, --tls-certificate-file FILE, --tls-key-file FILE,\n"
          "  --tls-key-password-file FILE, --tls-server-name NAME, --tls-no-verify: for rediss://\n", err);
    return RKB_EXIT_USAGE;
}

static int complain(FILE *err, int code, const char *what, const char *why)
{
    fprintf(err, "rkbctl: %s%s%s\n", what, why[0] != '\0' ? ": " : "", why);
    return code;
}

/* ---- the command line ---- */

/* The config wants absolute paths. What cannot be made one stays, and is refused when it is read. */
static const char *absolute(struct arguments *arguments, const char *path)
{
    char *whole = realpath(path, NULL);
    if (whole == NULL || arguments->path_count == sizeof arguments->paths / sizeof arguments->paths[0]) {
        free(whole);
        return path;
    }
    arguments->paths[arguments->path_count++] = whole;
    return whole;
}

static bool take_option(struct arguments *arguments, int option, const char *text, struct rkb_error *error)
{
    struct rkb_listen_options *listen = &arguments->listen;
    switch (option) {
    case FOR:
        if (!rkb_parse_duration(text, &listen->for_us, error))
            return false;
        if (listen->for_us < 1000000 || listen->for_us > LONGEST_US)
            return rkb_fail(error, RKB_USAGE, "--for takes 1s to 24h");
        return true;
    case WRITE:
        arguments->file = text;
        return true;
    case FORCE:
        arguments->force = true;
        return true;
    case JSON:
        arguments->json = true;
        return true;
    case USER:
        listen->user = text;
        return true;
    case PASSWORD:
        listen->password_file = absolute(arguments, text);
        return true;
    case CA_FILE:
        listen->tls.ca_file = absolute(arguments, text);
        return true;
    case CA_DIRECTORY:
        listen->tls.ca_directory = absolute(arguments, text);
        return true;
    case CERTIFICATE:
        listen->tls.certificate_file = absolute(arguments, text);
        return true;
    case KEY:
        listen->tls.key_file = absolute(arguments, text);
        return true;
    case KEY_PASSWORD:
        listen->tls.key_password_file = absolute(arguments, text);
        return true;
    case SERVER_NAME:
        listen->tls.server_name = text;
        return true;
    case NO_VERIFY:
        listen->tls.unverified = true;
        return true;
    default:
        return rkb_fail(error, RKB_OK, "%s", "");
    }
}

static bool read_options(struct arguments *arguments, int argc, char **argv, struct rkb_error *error)
{
    static const struct option options[] = {
        {"for", required_argument, NULL, FOR}, {"write", required_argument, NULL, WRITE},
        {"force", no_argument, NULL, FORCE}, {"json", no_argument, NULL, JSON},
        {"user", required_argument, NULL, USER}, {"password-file", required_argument, NULL, PASSWORD},
        {"tls-ca-file", required_argument, NULL, CA_FILE}, {"tls-ca-directory", required_argument, NULL, CA_DIRECTORY},
        {"tls-certificate-file", required_argument, NULL, CERTIFICATE}, {"tls-key-file", required_argument, NULL, KEY},
        {"tls-key-password-file", required_argument, NULL, KEY_PASSWORD},
        {"tls-server-name", required_argument, NULL, SERVER_NAME}, {"tls-no-verify", no_argument, NULL, NO_VERIFY},
        {NULL, 0, NULL, 0}};
    optind = 0;                         /* begins anew: main has read its own options */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (!take_option(arguments, option, optarg, error))
            return false;
    return optind + 1 == argc || rkb_fail(error, RKB_OK, "%s", "");
}

/* What fits together, and the URL. */
static bool read_arguments(struct arguments *arguments, int argc, char **argv, struct rkb_error *error)
{
    struct rkb_listen_options *listen = &arguments->listen;
    *listen = (struct rkb_listen_options){.url = &arguments->url, .for_us = 60000000, .sys = &rkb_sys_posix};
    if (!read_options(arguments, argc, argv, error) || !rkb_redis_url_parse(argv[optind], &arguments->url, error))
        return false;
    if (listen->user != NULL && arguments->url.user[0] != '\0')
        return rkb_fail(error, RKB_USAGE, "the user is given twice, by --user and in the URL");
    if (listen->password_file != NULL && arguments->url.password[0] != '\0')
        return rkb_fail(error, RKB_USAGE, "the password is given twice, by --password-file and in the URL");
    if (arguments->url.password[0] == '\0')
        listen->password = getenv(PASSWORD_VARIABLE);
    const struct rkb_tls_options none = {0};
    if (!arguments->url.is_tls && memcmp(&listen->tls, &none, sizeof none) != 0)
        return rkb_fail(error, RKB_USAGE, "only a rediss:// URL (TLS) has use for --tls-...");
    return true;
}

/* ---- the file ---- */

static bool may_write(const struct arguments *arguments, struct rkb_error *error)
{
    if (arguments->file == NULL || arguments->force || access(arguments->file, F_OK) != 0)
        return true;
    return rkb_fail(error, RKB_USAGE, "%.300s is there already, and is not written over; --force does",
                    arguments->file);
}

static bool write_all(int fd, const struct rkb_buffer *text)
{
    for (size_t at = 0; at < text->size;) {
        ssize_t wrote = write(fd, text->data + at, text->size - at);
        if (wrote < 0 && errno != EINTR)
            return false;
        at += wrote > 0 ? (size_t)wrote : 0;
    }
    return fsync(fd) == 0;
}

/* Its name only when it is whole. Without --force even a file that came meanwhile stays. */
static bool write_file(const struct arguments *arguments, const struct rkb_buffer *text, struct rkb_error *error)
{
    char path[4096];
    int used = snprintf(path, sizeof path, "%s.XXXXXX", arguments->file);
    int fd = used > 0 && (size_t)used < sizeof path ? mkostemp(path, O_CLOEXEC) : -1;
    if (fd < 0)
        return rkb_fail_errno(error, "%.300s cannot be written", arguments->file);
    bool good = write_all(fd, text);
    if (good && arguments->force)
        good = rename(path, arguments->file) == 0;
    else if (good)
        good = link(path, arguments->file) == 0;
    if (!good)
        rkb_fail_errno(error, "%.300s cannot be written", arguments->file);
    close(fd);
    unlink(path);
    return good;
}

/* ---- the whole ---- */

static int exit_code(enum rkb_listen_end end)
{
    switch (end) {
    case RKB_END_TIME:
    case RKB_END_SIGNAL:
    case RKB_END_BUFFER:
    case RKB_END_SLOW:
    case RKB_END_BUSY:
        return 0;
    case RKB_END_LOST:
    case RKB_END_REFUSED:
    case RKB_END_UNREACHABLE:
        break;
    }
    return RKB_EXIT_UNREACHABLE;
}

/* The config first, so that the report can say that it is there. */
static int tell(const struct arguments *arguments, struct rkb_discovery *discovery, FILE *out, FILE *err)
{
    struct rkb_buffer config = {0}, report = {0};
    struct rkb_error error;
    int code = exit_code(discovery->heard->end);
    if (arguments->file != NULL && !rkb_discover_config(discovery, &config))
        code = complain(err, code != 0 ? code : 1, "nothing was found that could be routed; not written",
                        arguments->file);
    else if (arguments->file != NULL && (config.failed || !write_file(arguments, &config, &error)))
        code = complain(err, 1, config.failed ? "out of memory" : error.text, "");
    else
        discovery->written = arguments->file;
    if (arguments->json)
        rkb_discover_json(discovery, &report);
    else
        rkb_discover_text(discovery, &report);
    if (report.failed)
        code = complain(err, 1, "out of memory", "");
    fwrite(report.data, 1, report.size, out);
    rkb_buffer_free(&config);
    rkb_buffer_free(&report);
    return code;
}

static int discover(const struct arguments *arguments, FILE *out, FILE *err)
{
    struct rkb_heard heard;
    struct rkb_plan plan = {0};
    struct rkb_discovery discovery = {.options = &arguments->listen, .heard = &heard, .plan = &plan,
                                      .started_us = rkb_sys_posix.realtime_us()};
    if (arguments->url.password[0] != '\0')
        complain(err, 0, "the password in the URL can be seen by everybody on this machine; better "
                         "--password-file FILE, or " PASSWORD_VARIABLE, "");
    rkb_listen(&arguments->listen, &heard);
    int code = RKB_EXIT_UNREACHABLE;
    if (heard.end == RKB_END_UNREACHABLE || heard.end == RKB_END_REFUSED)
        complain(err, code, heard.why.text, "");
    else if (!rkb_plan_make(&plan, heard.channels, heard.fields))
        code = complain(err, 1, "out of memory", "");
    else
        code = tell(arguments, &discovery, out, err);
    rkb_plan_free(&plan);
    rkb_heard_free(&heard);
    return code;
}

int rkb_tool_discover(int argc, char **argv, FILE *out, FILE *err)
{
    struct arguments arguments = {.file = NULL};
    struct rkb_error error = {0};
    int code;
    if (read_arguments(&arguments, argc, argv, &error) && may_write(&arguments, &error))
        code = discover(&arguments, out, err);
    else if (error.code == RKB_OK)
        code = wrong_use(err);
    else
        code = complain(err, RKB_EXIT_USAGE, error.text, "");
    for (size_t i = 0; i < arguments.path_count; i++)
        free(arguments.paths[i]);
    explicit_bzero(&arguments.url, sizeof arguments.url);
    return code;
}
