/*
 * main -- the rkbridge program: its arguments, its config, its log, and the exit code.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/sys.h"
#include "control/metrics.h"
#include "daemon/bridge.h"
#include "kafka/mock.h"

#define LAST_WORDS_MS 1000          /* for the log, at the end */
#define MOCK_PARTITIONS 4

struct arguments {
    const char *config;
    bool check, embedded;
};

/* For libevent, which hands nothing through to what it calls. */
static struct rkb_log *libevent_log;

static const char usage[] =
    "usage: rkbridge -c FILE [--check] [--embedded-kafka]\n"
    "       rkbridge --help-config | --help-metrics | --version | --help\n"
    "\n"
    "Subscribes to Redis Pub/Sub channels and republishes each message to Kafka, through a journal.\n"
    "\n"
    "  -c, --config FILE    the configuration (YAML)\n"
    "      --check          say every mistake in it and end: 0 if there is none, else 64\n"
    "      --embedded-kafka run a Kafka inside this process, on a port of the loopback interface, for\n"
    "                       trying things out: for clients built on librdkafka; nothing survives it\n"
    "      --help-config    all settings, with their defaults\n"
    "      --help-metrics   all metrics, as the table of doc/metrics.md\n"
    "      --version        the version, also librdkafka's\n"
    "\n"
    "SIGTERM or SIGINT: unsubscribe, ship what waits (shutdown_timeout), end. Exit codes: 0 done and\n"
    "drained, 3 done with records left in the journal, 64 wrong use or config, 69 something needed could\n"
    "not be had, 70 the disk broke a promise, 73 journal locked or damaged.\n";

/*
 * librdkafka makes and frees buffers of a megabyte all the time. By default glibc gives each back to the kernel and
 * takes fresh pages for the next: measured, 2 % of the time of a burst. Kept, they are a few megabytes in each arena;
 * and the threads of each new producer get arenas of their own, up to eight for each core. With one arena for all,
 * which the kernel gets back from its end: measured, 20,000 messages a second after outages of Kafka are done in 6 MiB,
 * with two arenas in 10, for the same time of the processor, and a burst for 8 % less of it.
 */
static void keep_buffers(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 4 << 20);
    mallopt(M_TRIM_THRESHOLD, 8 << 20);
    mallopt(M_ARENA_MAX, 2);
#endif
}

static void show_metrics(void)
{
    struct rkb_buffer table = {0};
    rkb_metrics_table(&table);
    fwrite(table.data, 1, table.size, stdout);
    rkb_buffer_free(&table);
}

/* -1 to go on, else the exit code. */
static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},   {"check", no_argument, NULL, 'k'},
        {"embedded-kafka", no_argument, NULL, 'e'}, {"help-config", no_argument, NULL, 's'},
        {"help-metrics", no_argument, NULL, 'm'},
        {"version", no_argument, NULL, 'v'},        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    for (int option; (option = getopt_long(argc, argv, "c:h", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            arguments->config = optarg;
            break;
        case 'k':
            arguments->check = true;
            break;
        case 'e':
            arguments->embedded = true;
            break;
        case 's':
            rkb_config_help(stdout);
            return 0;
        case 'm':
            show_metrics();
            return 0;
        case 'v':
            printf("rkbridge %s (librdkafka %s)\n", PACKAGE_VERSION, rd_kafka_version_str());
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:        /* getopt has said what is wrong */
            fprintf(stderr, "Try `rkbridge --help`.\n");
            return RKB_EXIT_USAGE;
        }
    }
    if (arguments->config != NULL && optind == argc)
        return -1;
    if (optind < argc)
        fprintf(stderr, "rkbridge: it takes no argument \"%s\"; the configuration is named with -c\n", argv[optind]);
    else
        fprintf(stderr, "rkbridge: no configuration; name one with -c FILE\n");
    fprintf(stderr, "Try `rkbridge --help`.\n");
    return RKB_EXIT_USAGE;
}

static void say_mistakes(const char *file, const struct rkb_mistakes *mistakes)
{
    fwrite(mistakes->text.data, 1, mistakes->text.size, stderr);
    fprintf(stderr, "%s: %zu mistake%s; nothing was started\n", file, mistakes->count,
            mistakes->count == 1 ? "" : "s");
}

static void say_checked(const char *file, const struct rkb_mistakes *mistakes)
{
    if (mistakes->warning_count > 0)
        fwrite(mistakes->warnings.data, 1, mistakes->warnings.size, stderr);
    printf("%s: no mistakes", file);
    if (mistakes->warning_count > 0)
        printf(", %zu warning%s", mistakes->warning_count, mistakes->warning_count == 1 ? "" : "s");
    printf("\n");
}

static const char *bootstrap_of(const struct rkb_properties *properties)
{
    for (size_t i = 0; i < properties->count; i++) {
        if (strcmp(properties->list[i].name, "bootstrap.servers") == 0 || strcmp(properties->list[i].name,
                                                                                 "metadata.broker.list") == 0)
            return properties->list[i].value;
    }
    return "";
}

/* Each once: making one may take the mock cluster a second. */
static bool make_topics(struct rkb_mock *mock, const struct rkb_config *config, struct rkb_error *error)
{
    for (size_t i = 0; i < config->route_count; i++) {
        size_t first = 0;
        while (strcmp(config->routes[first].topic, config->routes[i].topic) != 0)
            first++;
        if (first == i && !rkb_mock_topic(mock, config->routes[i].topic, MOCK_PARTITIONS, error))
            return false;
    }
    return true;
}

/* Runs with a Kafka of our own: its address takes the place of bootstrap.servers. */
static int run_embedded(const char *file, const struct rkb_config *config, struct rkb_log *log)
{
    struct rkb_error error;
    const struct rkb_properties *given = &config->kafka.properties;
    struct rkb_properties properties = {.list = calloc(given->count + 1, sizeof *properties.list)};
    struct rkb_mock *mock = rkb_mock_start(1, &error);
    int code = RKB_EXIT_FAILED;
    if (mock != NULL && properties.list != NULL && make_topics(mock, config, &error)) {
        const char *bootstrap = rkb_mock_bootstrap(mock);
        properties.list[properties.count++] = (struct rkb_property){"bootstrap.servers", bootstrap};
        for (size_t i = 0; i < given->count; i++) {
            if (strcmp(given->list[i].name, "bootstrap.servers") != 0 && strcmp(given->list[i].name,
                                                                                "metadata.broker.list") != 0)
                properties.list[properties.count++] = given->list[i];
        }
        rkb_log(log, RKB_LOG_INFO, "kafka", "embedded_kafka",
                "embedded Kafka at %s; nothing in it survives this process", bootstrap);
        code = rkb_bridge_run(file, config, &properties, bootstrap, true, log);
    } else {
        rkb_log(log, RKB_LOG_ERROR, "kafka", "start_failed", "embedded Kafka: %s", error.text);
    }
    if (mock != NULL)
        rkb_mock_stop(mock);
    free(properties.list);
    return code;
}

/* libevent's own way is to write to standard error on the spot, which the loop must not do. */
static void on_libevent(int severity, const char *text)
{
    rkb_log(libevent_log, severity >= EVENT_LOG_WARN ? RKB_LOG_WARN : RKB_LOG_DEBUG,
            "libevent", "libevent", "%s", text);
}

static void log_warnings(struct rkb_log *log, const struct rkb_buffer *lines)
{
    for (size_t at = 0; at < lines->size;) {
        const char *line = (const char *)lines->data + at;
        size_t size = (size_t)((const char *)memchr(line, '\n', lines->size - at) - line);
        rkb_log(log, RKB_LOG_WARN, "config", "config_warning", "%.*s", (int)size, line);
        at += size + 1;
    }
}

static int run(const struct arguments *arguments, const struct rkb_config *config, const struct rkb_buffer *warnings)
{
    struct rkb_error error;
    struct rkb_log *log = rkb_log_new(STDERR_FILENO, (enum rkb_log_level)config->log.level,
                                      (enum rkb_log_format)config->log.format, &error);
    if (log == NULL) {
        fprintf(stderr, "rkbridge: %s\n", error.text);
        return RKB_EXIT_FAILED;
    }
    libevent_log = log;
    event_set_log_callback(on_libevent);
    log_warnings(log, warnings);
    const char *file = arguments->config;
    const struct rkb_properties *properties = &config->kafka.properties;
    int code = arguments->embedded ? run_embedded(file, config, log)
                                   : rkb_bridge_run(file, config, properties, bootstrap_of(properties), false, log);
    libevent_log = NULL;
    rkb_log_free(log, LAST_WORDS_MS);
    return code;
}

/*
 * Whoever starts us may have closed these. Their numbers must not go to a file of ours: log lines would be
 * written into it. Standard error cannot be written to then, so what is lost is counted.
 */
static void occupy_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            (void)!open("/dev/null", O_RDONLY);
}

/*
 * A page of a mapped file cannot be read: an I/O error, or somebody cut the file. Whatever thread it is, nothing can be
 * done with it but to say so; the next start tells what is lost.
 */
static void on_unreadable_page(int number)
{
    static const char words[] =
        "rkbridge: a part of the journal (or of the ring) that is mapped cannot be read: an I/O error, or its file was "
        "cut; ending, the next start goes on from what reads back event=promise_broken\n";
    (void)number;
    ssize_t said = write(STDERR_FILENO, words, sizeof words - 1);
    (void)said;
    _exit(RKB_EXIT_BROKEN);
}

/* A hangup, which asks for a reload, waits until there is who takes it: bridge.c lets it through. */
static void set_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN}, unreadable = {.sa_handler = on_unreadable_page};
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    sigprocmask(SIG_BLOCK, &hangup, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
    sigaction(SIGXFSZ, &ignore, NULL);      /* a limit on file sizes is met as EFBIG */
    sigaction(SIGBUS, &unreadable, NULL);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    keep_buffers();
    occupy_standard_descriptors();
    int code = read_arguments(argc, argv, &arguments);
    if (code >= 0)
        return code;
    set_signals();
    struct rkb_mistakes mistakes;
    struct rkb_config *config = rkb_config_read(arguments.config, arguments.embedded, &mistakes);
    code = config == NULL ? RKB_EXIT_USAGE : 0;
    if (config == NULL)
        say_mistakes(arguments.config, &mistakes);
    else if (arguments.check)
        say_checked(arguments.config, &mistakes);
    else
        code = run(&arguments, config, &mistakes.warnings);
    rkb_mistakes_free(&mistakes);
    rkb_config_free(config);
    return code;
}
