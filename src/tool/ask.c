/*
 * ask -- `rkbctl COMMAND ...`: one command to the control socket, its answer to the terminal.
 *
 * Lines go out as they come, whatever their length; only the line that may be the last, `OK`, is held back. Silence of
 * ten seconds ends the waiting. Every failure says which socket, why, and what to do.
 */
#include "tool/tool.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool/talk.h"

struct answer {
    const char *path;
    int fd;
    struct rkb_buffer buffer;   /* read and not yet shown */
    size_t lines;               /* shown so far */
    bool is_status;
    int code;
    FILE *out, *err;
};

/* `ERROR code text`, as the text and in brackets the code. */
static void show_error(const struct answer *answer, struct rkb_slice line)
{
    const char *code = (const char *)line.data + strlen("ERROR ");
    size_t rest = line.size - strlen("ERROR ");
    const char *blank = memchr(code, ' ', rest);
    size_t code_size = blank == NULL ? rest : (size_t)(blank - code);
    size_t text_size = blank == NULL ? 0 : rest - code_size - 1;
    fprintf(answer->err, "rkbctl: %.*s (%.*s)\n", (int)text_size, blank == NULL ? "" : blank + 1, (int)code_size, code);
}

/* One line, without its newline. true: it was the last. */
static bool take_line(struct answer *answer, struct rkb_slice line)
{
    if (rkb_slice_equal(line, rkb_slice_text("OK")))
        return true;
    if (rkb_talk_starts(line, "ERROR ")) {
        show_error(answer, line);
        answer->code = answer->is_status ? RKB_EXIT_UNREACHABLE : 1;
        return true;
    }
    if (answer->lines == 0 && answer->is_status)
        answer->code = rkb_talk_verdict(line);
    answer->lines++;
    fwrite(line.data, 1, line.size, answer->out);
    fputc('\n', answer->out);
    return false;
}

/* Takes all whole lines out of the buffer. true: the last was among them. */
static bool take_lines(struct answer *answer)
{
    struct rkb_buffer *buffer = &answer->buffer;
    bool last = false;
    size_t at = 0;
    const uint8_t *end;
    while (!last && at < buffer->size && (end = memchr(buffer->data + at, '\n', buffer->size - at)) != NULL) {
        size_t size = (size_t)(end - buffer->data) - at;
        last = take_line(answer, rkb_slice(buffer->data + at, size));
        at += size + 1;
    }
    if (at > 0)
        memmove(buffer->data, buffer->data + at, buffer->size - at);
    buffer->size -= at;
    return last;
}

static int broken_off(const struct answer *answer, const char *why)
{
    fprintf(answer->err, "rkbctl: the answer from %s broke off: %s\n", answer->path, why);
    return RKB_EXIT_UNREACHABLE;
}

static int read_answer(struct answer *answer)
{
    while (!take_lines(answer)) {
        uint8_t *room = rkb_buffer_reserve(&answer->buffer, 65536);
        if (room == NULL)
            return broken_off(answer, "out of memory");
        ssize_t got = rkb_talk_wait(answer->fd, POLLIN) ? recv(answer->fd, room, 65536, 0) : -1;
        if (got < 0 && errno == ETIMEDOUT)
            return broken_off(answer, "nothing came for 10 seconds; rkbridge hangs, or was stopped");
        if (got < 0 && errno != EINTR)
            return broken_off(answer, strerror(errno));
        if (got == 0)
            return broken_off(answer, "rkbridge closed the connection; is it shutting down?");
        answer->buffer.size += got > 0 ? (size_t)got : 0;
    }
    return answer->code;
}

/* The words joined by blanks, and a newline; --json is the word json. false: a word would end the line too early. */
static bool join(int argc, char **argv, struct rkb_buffer *line)
{
    for (int i = 0; i < argc; i++) {
        if (strchr(argv[i], '\n') != NULL)
            return false;
        rkb_buffer_text(line, i > 0 ? " " : "");
        rkb_buffer_text(line, strcmp(argv[i], "--json") == 0 ? "json" : argv[i]);
    }
    rkb_buffer_text(line, "\n");
    return !line->failed;
}

static int ask(struct answer *answer, const struct rkb_buffer *line)
{
    answer->fd = rkb_talk_connect(answer->path);
    if (answer->fd < 0)
        return rkb_talk_unreachable(answer->err, answer->path, errno);
    /* Not sent is no reason not to read: a socket that is shut to us may have said why. */
    bool sent = rkb_talk_send(answer->fd, line->data, line->size);
    int code = sent || errno == EPIPE ? read_answer(answer) : rkb_talk_unreachable(answer->err, answer->path, errno);
    close(answer->fd);
    return code;
}

int rkb_tool_ask(const char *path, int argc, char **argv, FILE *out, FILE *err)
{
    struct answer answer = {.path = path, .out = out, .err = err,
                            .is_status = argc > 0 && strcmp(argv[0], "status") == 0};
    struct rkb_buffer line = {0};
    int code = RKB_EXIT_USAGE;
    if (join(argc, argv, &line))
        code = ask(&answer, &line);
    else
        fprintf(err, "rkbctl: a command is one line\n");
    rkb_buffer_free(&line);
    rkb_buffer_free(&answer.buffer);
    return code;
}
