/* commands -- see commands.h. */
#include "control/commands.h"

#include <stdio.h>
#include <string.h>

#include "base/escape.h"
#include "control/request.h"

#define WORD_SHOWN 40   /* of an unknown command, in the answer */

static bool is_word(struct rkb_slice word, const char *text)
{
    return rkb_slice_equal(word, rkb_slice_text(text));
}

/* With words that can be read it is the socket's (rkb_command_upload, rkb_command_watch). */
static bool run_later(const struct rkb_request *request, struct rkb_buffer *out)
{
    (void)request;
    (void)out;
    return false;
}

static bool run_help(const struct rkb_request *request, struct rkb_buffer *out);

#define LOOK RKB_RIGHT_LOOK
#define ADMIN RKB_RIGHT_ADMIN
#define DAEMON NULL     /* it does it: daemon/admin.c */

static const struct rkb_command commands[] = {
    {"help", "[COMMAND]", LOOK, run_help, "all commands, or one, and the right that each needs"},
    {"version", "", LOOK, rkb_look_version, "the version of the running rkbridge"},
    {"status", "[text|json]", LOOK, rkb_look_status,
     "how it is: a verdict and why, then sources, Kafka, journal, routes, gaps and books"},
    {"stats", "[text|json|prom] [route NAME]", LOOK, rkb_look_stats, "all figures, or those of one route"},
    {"routes", "[text|json]", LOOK, rkb_look_routes, "what goes where, and how much did"},
    {"sources", "[text|json]", LOOK, rkb_look_sources, "each Redis: the connection, subscriptions, stall budget, role"},
    {"kafka", "[text|json]", LOOK, rkb_look_kafka,
     "the connection, what is on its way, errors, what a topic does not take"},
    {"journal", "[text|json]", LOOK, rkb_look_journal,
     "its size, its limits, how long the room lasts, whether it is durable"},
    {"gaps", "[SINCE] [text|json]", LOOK, rkb_look_gaps,
     "when messages may have been missed; SINCE: a time, or how long ago (2h)"},
    {"reload", "", ADMIN, DAEMON, "reads the config file anew, as SIGHUP does, and says what came of it"},
    {"config", "[changed] [text|json]", LOOK, DAEMON,
     "the settings in force, and where each comes from; changed: those that are not as by default"},
    {"errors", "[N] [text|json]", LOOK, rkb_look_errors, "the last 20, or N, warnings and errors of the log"},
    {"watch", "[text|json]", LOOK, run_later, "a line for each event of the log, until you leave"},
    {"pause", "[[route|topic] NAME]", ADMIN, DAEMON,
     "what comes for it waits in the journal, the others go on; without a NAME: what is paused"},
    {"resume", "[route|topic] NAME", ADMIN, DAEMON, "what waited is shipped"},
    {"intake", "[stop|start]", ADMIN, DAEMON,
     "stop: unsubscribes, which LOSES what is published until start; without a word: how it is"},
    {"log", "[LEVEL [OBJECT]]", ADMIN, DAEMON,
     "what is logged from now on, of all or one object: error, warn, info, debug; default: as configured"},
    {"drain", "", ADMIN, DAEMON, "takes no more, ships what there is, and ends, as SIGTERM does"},
    {"retry", "SIZE SIZE", ADMIN, run_later,
     "takes a dead letter, its headers and its payload: for rkbctl dead retry"},
};

const struct rkb_command *rkb_commands(size_t *count)
{
    *count = sizeof commands / sizeof commands[0];
    return commands;
}

static bool run_help(const struct rkb_request *request, struct rkb_buffer *out)
{
    size_t count, shown = 0;
    const struct rkb_command *rows = rkb_commands(&count);
    for (size_t i = 0; i < count; i++) {
        if (request->count > 1 && !is_word(request->words[1], rows[i].word))
            continue;
        rkb_buffer_format(out, "%-8s %-31s %-5s  %s\n", rows[i].word, rows[i].arguments,
                          rkb_right_word(rows[i].right), rows[i].help);
        shown++;
    }
    return request->count <= 2 && shown > 0;
}

/* Splits at blanks. Words beyond RKB_REQUEST_WORDS are left out: no command takes so many, so it is refused. */
static void split(struct rkb_slice line, struct rkb_request *request)
{
    size_t at = 0;
    while (request->count < RKB_REQUEST_WORDS) {
        while (at < line.size && (line.data[at] == ' ' || line.data[at] == '\t'))
            at++;
        size_t from = at;
        while (at < line.size && line.data[at] != ' ' && line.data[at] != '\t')
            at++;
        if (at == from)
            return;
        request->words[request->count++] = rkb_slice(line.data + from, at - from);
    }
}

bool rkb_command_watch(struct rkb_slice line, bool *json)
{
    struct rkb_request request = {.count = 0};
    enum rkb_output_kind kind;
    split(line, &request);
    if (!rkb_request_is(&request, 0, "watch") || !rkb_request_format(&request, &kind))
        return false;
    *json = kind == RKB_OUTPUT_JSON;
    return true;
}

void rkb_command_error(struct rkb_buffer *out, const char *code, const char *text)
{
    rkb_buffer_format(out, "ERROR %s ", code);
    rkb_escape(RKB_ESCAPE_PLAIN, rkb_slice_text(text), out);
    rkb_buffer_text(out, "\n");
}

static void answer_unknown(struct rkb_slice word, struct rkb_buffer *out)
{
    if (word.size > WORD_SHOWN)
        word.size = WORD_SHOWN;
    rkb_buffer_text(out, "ERROR unknown_command there is no command \"");
    rkb_escape(RKB_ESCAPE_PLAIN, word, out);
    rkb_buffer_text(out, "\"; try help\n");
}

static const struct rkb_command *find(struct rkb_slice word)
{
    size_t count;
    const struct rkb_command *rows = rkb_commands(&count);
    for (size_t i = 0; i < count; i++)
        if (is_word(word, rows[i].word))
            return &rows[i];
    return NULL;
}

/* A plain decimal number of at most 15 digits. */
static bool read_size(struct rkb_slice word, uint64_t *size)
{
    *size = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
        *size = *size * 10 + (uint64_t)(word.data[i] - '0');
    }
    return word.size > 0 && word.size <= 15;
}

bool rkb_command_upload(struct rkb_slice line, struct rkb_upload *upload)
{
    struct rkb_request request = {.count = 0};
    split(line, &request);
    return request.count == 3 && is_word(request.words[0], "retry") && read_size(request.words[1], &upload->headers)
           && read_size(request.words[2], &upload->payload);
}

bool rkb_command_allowed(const char *word, const struct rkb_peer *peer, struct rkb_buffer *out)
{
    const struct rkb_command *command = find(rkb_slice_text(word));
    char text[240];
    if (command->right == RKB_RIGHT_LOOK || peer->right == RKB_RIGHT_ADMIN)
        return true;
    snprintf(text, sizeof text, "%s needs the admin right: root has it, the user that rkbridge runs as, and whom "
             "control.admins and control.admin_groups name; you are user %lld", word, (long long)peer->uid);
    rkb_command_error(out, "not_allowed", text);
    return false;
}

static void answer_usage(const struct rkb_command *command, struct rkb_buffer *out)
{
    char usage[80];
    snprintf(usage, sizeof usage, "usage: %s %s", command->word, command->arguments);
    rkb_command_error(out, "usage", usage);
}

/* The daemon does it. False: the rest comes later. */
static bool act(const struct rkb_command *command, const struct rkb_request *request,
                const struct rkb_asking *asking, struct rkb_buffer *out)
{
    struct rkb_action action = {command->word, request->words + 1, request->count - 1, asking->peer, asking->ticket};
    struct rkb_error error = {.text = "it is not done here"};
    const char *code = "not_here";
    size_t before = out->size;
    enum rkb_outcome outcome = RKB_DENIED;
    if (asking->act != NULL)
        outcome = asking->act(asking->act_context, &action, out, &code, &error);
    switch (outcome) {
    case RKB_DONE:
        rkb_buffer_text(out, "OK\n");
        break;
    case RKB_WRONG_WORDS:
        out->size = before;
        answer_usage(command, out);
        break;
    case RKB_DENIED:
        out->size = before;
        rkb_command_error(out, code, error.text);
        break;
    case RKB_LATER:
        break;
    }
    return outcome != RKB_LATER;
}

static void run(const struct rkb_command *command, struct rkb_request *request, const struct rkb_asking *asking,
                struct rkb_buffer *out)
{
    size_t before = out->size;
    struct rkb_error error = {.text = ""};
    request->snapshot = asking->snapshot(asking->context);
    request->log = asking->log;
    request->unknown = &error;
    if (command->run(request, out)) {
        rkb_buffer_text(out, "OK\n");
        return;
    }
    out->size = before;
    if (error.text[0] != '\0')
        rkb_command_error(out, "unknown_name", error.text);
    else
        answer_usage(command, out);
}

bool rkb_command_answer(struct rkb_slice line, const struct rkb_asking *asking, struct rkb_buffer *out)
{
    struct rkb_request request = {.count = 0};
    split(line, &request);
    const struct rkb_command *command = request.count == 0 ? NULL : find(request.words[0]);
    if (command == NULL)
        answer_unknown(request.words[0], out);
    else if (!rkb_command_allowed(command->word, asking->peer, out))
        return true;
    else if (command->run == NULL)
        return act(command, &request, asking, out);
    else
        run(command, &request, asking, out);
    return true;
}
