/* help -- see help.h. */
#include "tool/help.h"

#include <string.h>

#include "control/commands.h"
#include "control/socket.h"

#define COLUMN 39   /* where the help begins */

struct row {
    const char *words, *help;
};

/* The row of this name is for programs; this is what people get. */
#define WATCH "watch"
static const struct row watch = {
    WATCH " [--json]", "the status each second, and the last events; where it is no terminal, a line each"
};

static const struct row offline[] = {
    {"check -c FILE [--connect] [--json]",
     "whether a bridge with this config would run, and what to change; with --connect both ends are really opened"},
    {"journal list DIRECTORY", "what a journal is made of"},
    {"journal verify DIRECTORY", "whether it is sound, and where it is not"},
    {"journal dump [--no-values] DIRECTORY", "its records, a JSON object on each line"},
    {"dead list [--json] [--route ROUTE] [--all] -c FILE",
     "the dead letters that wait, in the file and in the topics of a config; with --all also those that were sent "
     "again"},
    {"dead show [--json] -c FILE ID", "one of them: what there is to know, and its value"},
    {"dead retry [--dry-run] -c FILE --all|--route ROUTE|ID ...", "sends them again, by the running rkbridge"},
    {"render -c FILE CHANNEL", "what a message on this channel would become by a config; its payload is the input"},
    {"discover URL",
     "listens to all channels of a Redis for a minute: what goes over them, who listens; with --write FILE a config "
     "from it"},
};

static void show(FILE *out, const char *words, const char *help, const char *right)
{
    if (strlen(words) > COLUMN - 1)
        fprintf(out, "  %s\n  %-*s %s%s\n", words, COLUMN, "", help, right);
    else
        fprintf(out, "  %-*s %s%s\n", COLUMN, words, help, right);
}

static void words_of(const struct rkb_command *command, char *words, size_t size)
{
    snprintf(words, size, "%s%s%s", command->word, *command->arguments != '\0' ? " " : "", command->arguments);
}

void rkb_tool_usage(FILE *out)
{
    size_t count;
    const struct rkb_command *rows = rkb_commands(&count);
    char words[80];
    fprintf(out, "usage: rkbctl [-s SOCKET] COMMAND ...\n"
                 "       rkbctl --help | --help-commands | --version\n"
                 "\n"
                 "  -s, --socket SOCKET    rkbridge's control socket; else RKBRIDGE_SOCKET, else\n"
                 "                         " RKB_CONTROL_DEFAULT_PATH "\n"
                 "\n"
                 "To a running rkbridge:\n");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].word, WATCH) == 0)
            continue;
        words_of(&rows[i], words, sizeof words);
        show(out, words, rows[i].help, rows[i].right == RKB_RIGHT_ADMIN ? " [admin]" : "");
    }
    show(out, watch.words, watch.help, "");
    fprintf(out, "\nOffline:\n");
    for (size_t i = 0; i < sizeof offline / sizeof offline[0]; i++)
        show(out, offline[i].words, offline[i].help, "");
    fprintf(out, "\n"
                 "Exit: 0 OK; 1 refused; 64 wrong use; 69 no rkbridge answers.\n"
                 "`status` by its verdict: 0 OK, 1 WARN, 2 BAD, 69 none to be had;\n"
                 "`check`: 0 all is fine, 1 warnings, 2 bad, 64 the config has mistakes;\n"
                 "`render` by what comes of the message: 0 a record, 3 no route takes it, 4 a dead letter,\n"
                 "5 filtered, 6 dropped.\n");
}

void rkb_tool_commands(FILE *out)
{
    size_t count;
    const struct rkb_command *rows = rkb_commands(&count);
    for (size_t i = 0; i < count; i++) {
        char words[80];
        bool of_people = strcmp(rows[i].word, WATCH) == 0;
        words_of(&rows[i], words, sizeof words);
        fprintf(out, "%s\n    %s\n    %s\n", of_people ? watch.words : words, rkb_right_word(rows[i].right),
                of_people ? watch.help : rows[i].help);
    }
    for (size_t i = 0; i < sizeof offline / sizeof offline[0]; i++)
        fprintf(out, "%s\n    offline\n    %s\n", offline[i].words, offline[i].help);
}
