/* rkbctl -- the one tool for people: reads the command line and hands it to whoever does it. */
#include <getopt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/socket.h"
#include "tool/help.h"
#include "tool/tool.h"

static const char *default_socket(void)
{
    const char *named = getenv("RKBRIDGE_SOCKET");
    return named != NULL && named[0] != '\0' ? named : RKB_CONTROL_DEFAULT_PATH;
}

static int run(const char *path, int argc, char **argv)
{
    if (argc == 0) {
        rkb_tool_usage(stderr);
        return RKB_EXIT_USAGE;
    }
    if (strcmp(argv[0], "check") == 0)
        return rkb_tool_check(argc, argv, stdout, stderr);
    bool of_running = argc == 1 || strcmp(argv[1], "text") == 0 || strcmp(argv[1], "json") == 0
                      || strcmp(argv[1], "--json") == 0;
    if (strcmp(argv[0], "journal") == 0 && !of_running)
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
        {"help-commands", no_argument, NULL, 'c'},
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
            rkb_tool_usage(stdout);
            return finish(0);
        case 'c':
            rkb_tool_commands(stdout);
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
