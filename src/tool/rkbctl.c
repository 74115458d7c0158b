/* rkbctl -- the one tool for people: reads the command line and hands it to whoever does it. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "control/commands.h"
#include "control/socket.h"
#include "tool/tool.h"

static void usage(FILE *out)
{
    size_t count;
    const struct rkb_command *rows = rkb_commands(&count);
    fprintf(out, "usage: rkbctl [-s SOCKET] COMMAND ...\n"
                 "       rkbctl check -c FILE [--connect]\n"
                 "       rkbctl journal list|verify|dump DIR\n"
                 "       rkbctl dead list|show|retry ... -c FILE\n"
                 "       rkbctl render -c FILE CHANNEL < PAYLOAD\n"
                 "       rkbctl discover [--for 1m] [--write FILE] URL\n"
                 "       rkbctl --help | --version\n"
                 "\n"
                 "  -s, --socket SOCKET    rkbridge's control socket; else RKBRIDGE_SOCKET, else\n"
                 "                         " RKB_CONTROL_DEFAULT_PATH "\n"
                 "\n"
                 "To a running rkbridge:\n");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].word, "watch") == 0)     /* of programs: this is what people get */
            continue;
        fprintf(out, "  %-8s %-31s %s%s\n", rows[i].word, rows[i].arguments, rows[i].help,
                rows[i].right == RKB_RIGHT_ADMIN ? " [admin]" : "");
    }
    fprintf(out, "  %-8s %-31s %s\n", "watch", "[--json]",
            "the status each second, and the last events; where it is no terminal, a line each");
    fprintf(out, "\n"
                 "Offline:\n"
                 "  check -c FILE [--connect]      whether a bridge with this config would run, and what to change;\n"
                 "                                 with --connect both ends are really opened\n"
                 "  journal list|verify|dump DIR   what a journal holds, whether it is sound, its records\n"
                 "  dead list|show ID -c FILE      dead letters, in the file and in the topics of a config\n"
                 "  dead retry --all -c FILE       sends them again, by the running rkbridge; --route R or IDs: those\n"
                 "  render -c FILE CHANNEL         what a message on this channel would become by a config\n"
                 "  discover URL                   listens to all channels of a Redis for a minute: what goes over\n"
                 "                                 them, who listens; with --write FILE a config from it\n"
                 "\n"
                 "Exit: 0 OK; 1 refused; 64 wrong use; 69 no rkbridge answers.\n"
                 "`status` by its verdict: 0 OK, 1 WARN, 2 BAD, 69 none to be had;\n"
                 "`check`: 0 all is fine, 1 warnings, 2 bad, 64 the config has mistakes;\n"
                 "`render` by what comes of the message: 0 a record, 3 no route takes it, 4 a dead letter,\n"
                 "5 filtered, 6 dropped.\n");
}

static const char *default_socket(void)
{
    const char *named = getenv("RKBRIDGE_SOCKET");
    return named != NULL && named[0] != '\0' ? named : RKB_CONTROL_DEFAULT_PATH;
}

static int run(const char *path, int argc, char **argv)
{
    if (argc == 0) {
        usage(stderr);
        return RKB_EXIT_USAGE;
    }
    if (strcmp(argv[0], "check") == 0)
        return rkb_tool_check(argc, argv, stdout, stderr);
    if (strcmp(argv[0], "journal") == 0)
        return rkb_tool_journal(argc, argv, stdout, stderr);
    if (strcmp(argv[0], "dead") == 0)
        return rkb_tool_dead(argc, argv, stdout, stderr);
    if (strcmp(argv[0], "discover") == 0)
        return rkb_tool_discover(argc, argv, stdout, stderr);
    if (strcmp(argv[0], "render") == 0)
        return rkb_tool_render(argc, argv, stdout, stderr);
    if (strcmp(argv[0], "watch") == 0)
        return rkb_tool_watch(path, argc, argv, stdout, stderr);
    return rkb_tool_ask(path, argc, argv, stdout, stderr);
}

/* What was shown did not all get out (a full disk): the exit code must not say that it did. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    perror("rkbctl: standard output");
    return code != 0 ? code : 1;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    const char *path = default_socket();
    int option;
    while ((option = getopt_long(argc, argv, "+s:hV", options, NULL)) != -1) {
        switch (option) {
        case 's':
            path = optarg;
            break;
        case 'h':
            usage(stdout);
            return finish(0);
        case 'V':
            printf("rkbctl %s\n", PACKAGE_VERSION);
            return finish(0);
        default:
            fprintf(stderr, "Try `rkbctl --help`.\n");
            return RKB_EXIT_USAGE;
        }
    }
    return finish(run(path, argc - optind, argv + optind));
}
