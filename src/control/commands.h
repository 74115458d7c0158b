/*
 * commands -- what the control socket understands: one row a command.
 *
 * An answer is lines and then a line `OK`, or a line `ERROR code text`; no other line of an answer is `OK` or begins
 * with `ERROR `. Codes are lower-case words that never change: unknown_command, usage, not_allowed, unknown_name; and
 * from the socket too_long, too_many_clients, incomplete, ending; and those of whoever does the command.
 *
 * `retry HEADERS PAYLOAD` is followed by bytes: so many of a headers area (base/headers.h), so many of a payload. Its
 * codes beside: too_large, busy, timeout, and those of whoever takes it.
 */
#ifndef RKB_CONTROL_COMMANDS_H
#define RKB_CONTROL_COMMANDS_H

#include <stddef.h>

#include "base/bytes.h"
#include "base/error.h"
#include "control/rights.h"
#include "control/stats.h"

struct rkb_log;
struct rkb_request;

struct rkb_command {
    const char *word, *arguments;       /* [what may be left out]; a|b, as they are; in capitals: what one gives */
    enum rkb_right right;
    /* Appends the lines of the answer. false: the arguments are wrong. NULL: the daemon does it (rkb_act). */
    bool (*run)(const struct rkb_request *request, struct rkb_buffer *out);
    const char *help;
};

/* What a command asks of the daemon. All lent until the call returns. */
struct rkb_action {
    const char *word;                   /* the row's */
    const struct rkb_slice *words;      /* behind it; none has a blank in it */
    size_t count;
    const struct rkb_peer *peer;        /* who asks, for the log; the right was looked at */
    uint64_t ticket;                    /* for an answer that comes later; never 0 */
};

enum rkb_outcome {
    RKB_DONE,           /* in *out are the lines of the answer, none of them `OK` or beginning with `ERROR ` */
    RKB_WRONG_WORDS,    /* the arguments are wrong: the row's usage is shown */
    RKB_DENIED,         /* it cannot be: *code, a word that never changes, and *error */
    RKB_LATER           /* *out is shown now; more and the end come by rkb_control_say and _finish with the ticket */
};

/* Loop thread; does not wait; may free the control. */
typedef enum rkb_outcome rkb_act(void *context, const struct rkb_action *action, struct rkb_buffer *out,
                                 const char **code, struct rkb_error *error);

const struct rkb_command *rkb_commands(size_t *count);

/* Who asks, and whom a command asks. */
struct rkb_asking {
    const struct rkb_snapshot *(*snapshot)(void *context);      /* asked only for a known command that may be run */
    void *context;
    rkb_act *act;                       /* NULL: such commands are not answered here */
    void *act_context;
    struct rkb_log *log;                /* whose memory is shown; NULL: none */
    const struct rkb_peer *peer;
    uint64_t ticket;
};

/* Appends the whole answer to one line (without its newline). false: it has only begun, the rest comes later. */
bool rkb_command_answer(struct rkb_slice line, const struct rkb_asking *asking, struct rkb_buffer *out);

/* Bytes that follow a command. */
struct rkb_upload {
    uint64_t headers, payload;
};

/* Whether this line is a command that bytes follow: the socket reads them, and no answer is asked for. */
bool rkb_command_upload(struct rkb_slice line, struct rkb_upload *upload);
/* Whether this line is a command that goes on until its client leaves: the socket does it, no answer is asked for. */
bool rkb_command_watch(struct rkb_slice line, bool *json);
/* Whether this peer may; else the error is appended. */
bool rkb_command_allowed(const char *word, const struct rkb_peer *peer, struct rkb_buffer *out);

/* Appends `ERROR code text`, the text on one line. */
void rkb_command_error(struct rkb_buffer *out, const char *code, const char *text);

#endif
