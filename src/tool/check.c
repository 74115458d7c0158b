/*
 * check -- `rkbctl check -c FILE [--connect]`: would a bridge with this config run, and if not, what is to be changed.
 *
 *     config --mistakes--> said, 64
 *        |
 *        +--> warnings, the rights that are needed --(--connect)--> journal --> Redis of each source --> Kafka
 *
 * Promise: ends in words, however silent the servers are. Never: changes anything anywhere (check_journal's file
 * without a name is gone with it), shows a secret.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "tool/check_journal.h"
#include "tool/check_kafka.h"
#include "tool/check_redis.h"
#include "tool/check_report.h"
#include "tool/check_rights.h"
#include "tool/tool.h"

#define ANSWER_MS 10000                 /* for the journal's disk, and for each answer of Kafka's */
#define REDIS_US INT64_C(60000000)      /* for all sources together; each answer has its source's connect_timeout */

struct arguments {
    const char *file;
    bool connect, json;
};

static int wrong_use(FILE *err)
{
    fputs("usage: rkbctl check -c FILE [--connect] [--json]\n"
          "\n"
          "  -c, --config FILE   rkbridge's config\n"
          "  --connect           opens both ends really: each Redis, Kafka, the journal's disk; changes nothing there\n"
          "  --json              one JSON object instead of lines\n"
          "\n"
          "Exit: 0 all is fine; 1 there are warnings; 2 something is bad; 64 the config has mistakes, or wrong use.\n",
          err);
    return RKB_EXIT_USAGE;
}

static bool read_arguments(struct arguments *arguments, int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"connect", no_argument, NULL, 'n'},
                                            {"json", no_argument, NULL, 'j'},
                                            {NULL, 0, NULL, 0}};
    optind = 0;                         /* begins anew: main has read its own options */
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "c:", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            arguments->file = optarg;
            break;
        case 'n':
            arguments->connect = true;
            break;
        case 'j':
            arguments->json = true;
            break;
        default:
            return false;
        }
    }
    return arguments->file != NULL && optind == argc;
}

static void connect_all(const struct rkb_config *config, struct rkb_report *report)
{
    struct rkb_journal_found journal;
    bool runs = rkb_check_journal(config, &rkb_sys_posix, ANSWER_MS, &journal, report);
    const struct rkb_check_redis_options options = {
        .config = config, .runs = runs, .journal = journal.where, .limit_us = REDIS_US, .sys = &rkb_sys_posix};
    rkb_check_redis(&options, report);
    rkb_check_kafka(config, ANSWER_MS, report);
}

static void check_config(const struct arguments *arguments, const struct rkb_config *config,
                         const struct rkb_mistakes *mistakes, struct rkb_report *report)
{
    rkb_report_mistakes(report, RKB_GRADE_WARN, &mistakes->warnings);
    rkb_report_add(report, RKB_GRADE_OK, NULL, "no mistakes: %zu source%s, %zu route%s", config->source_count,
                   config->source_count == 1 ? "" : "s", config->route_count, config->route_count == 1 ? "" : "s");
    rkb_rights_redis(config, &report->redis_rights);
    rkb_rights_kafka(config, &report->kafka_rights);
    if (arguments->connect)
        connect_all(config, report);
}

static int exit_code(const struct rkb_report *report)
{
    switch (rkb_report_verdict(report)) {
    case RKB_GRADE_OK: return 0;
    case RKB_GRADE_WARN: return 1;
    case RKB_GRADE_BAD: return 2;
    }
    return 2;
}

int rkb_tool_check(int argc, char **argv, FILE *out, FILE *err)
{
    struct arguments arguments = {0};
    if (!read_arguments(&arguments, argc, argv))
        return wrong_use(err);
    struct rkb_places places = {0};
    struct rkb_mistakes mistakes;
    struct rkb_config *config = rkb_config_read_placed(arguments.file, false, &mistakes, &places);
    struct rkb_report report = {.file = arguments.file, .places = &places};
    if (config != NULL)
        check_config(&arguments, config, &mistakes, &report);
    else
        rkb_report_mistakes(&report, RKB_GRADE_BAD, &mistakes.text);
    if (arguments.json)
        rkb_report_json(&report, out);
    else
        rkb_report_text(&report, out);
    int code = config == NULL ? RKB_EXIT_USAGE : exit_code(&report);
    rkb_report_free(&report);
    rkb_mistakes_free(&mistakes);
    rkb_places_free(&places);
    rkb_config_free(config);
    return code;
}
