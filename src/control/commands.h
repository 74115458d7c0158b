/*
 * commands -- what the control socket understands: one row a command.
 *
 * An answer is lines and then a line `OK`, or one line `ERROR code text`. No other line of an answer is `OK`. Codes are
 * lower-case words that never change: unknown_command, usage; and from the socket too_long,
 * too_many_clients, incomplete.
 *
 * `retry HEADERS PAYLOAD` is followed by bytes: so many of a headers area (base/headers.h), so many of a payload. Its
 * codes beside: too_large, busy, timeout, and those of whoever takes it.
 */
#ifndef RKB_CONTROL_COMMANDS_H
#define RKB_CONTROL_COMMANDS_H

#include <stddef.h>

#include "base/bytes.h"
#include "control/stats.h"

struct rkb_request;

struct rkb_command {
    const char *word, *arguments, *help;
    /* Appends the lines of the answer. false: the arguments are wrong. */
    bool (*run)(const struct rkb_request *request, struct rkb_buffer *out);
};

const struct rkb_command *rkb_commands(size_t *count);

/* Appends the whole answer to one line (without its newline). `snapshot` is asked only for a known command. */
void rkb_command_answer(struct rkb_slice line, const struct rkb_snapshot *(*snapshot)(void *context), void *context,
                        struct rkb_buffer *out);

/* Bytes that follow a command. */
struct rkb_upload {
    uint64_t headers, payload;
};

/* Whether this line is a command that bytes follow: the socket reads them, and no answer is asked for. */
bool rkb_command_upload(struct rkb_slice line, struct rkb_upload *upload);

/* Appends `ERROR code text`, the text on one line. */
void rkb_command_error(struct rkb_buffer *out, const char *code, const char *text);

#endif
