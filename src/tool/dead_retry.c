/*
 * dead_retry -- see dead_retry.h.
 *
 *     letters.h: each letter --waiting, and asked for?--> control socket --OK--> noted in dead-letters.retried
 *                                                            | busy: again, for a minute    | refused: said, it waits
 *
 * Promise: what is noted was taken. What was taken and could not be noted (a kill in between) goes again the next time,
 * under the same UUID. What fails again meanwhile has a new place, and waits for the next command: there is no loop.
 * Never: sends anything where it has no right to note it.
 */
#include "tool/dead_retry.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"
#include "base/units.h"
#include "journal/retried.h"
#include "message/uuid.h"
#include "tool/letters.h"
#include "tool/talk.h"
#include "tool/tool.h"

#define BUSY_PATIENCE_US INT64_C(60000000)
#define BUSY_PAUSE_MS 100
#define SECOND_US INT64_C(1000000)

struct retry {
    const struct rkb_retry_words *words;
    FILE *out, *err;
    const char *socket;
    int fd;                             /* -1: not connected */
    struct rkb_retried *retried;
    struct rkb_buffer message;          /* the command's line and the headers */
    char answer[1024];                  /* its last line, without the newline; with what came before in `outcome` */
    char outcome[64];
    char started[24];
    int64_t synced_us, shown_us;
    bool *found;                        /* of words->ids: there is such a letter */
    uint64_t taken, dead, filtered, dropped, same, refused, already;
    int stopped;                        /* exit code: nothing more is sent; 0: it goes on */
};

/* ---- words ---- */

bool rkb_retry_words(struct rkb_retry_words *words, int argc, char **argv)
{
    *words = (struct rkb_retry_words){.ids = argv};
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--all") == 0)
            words->all = true;
        else if (strcmp(argv[i], "--dry-run") == 0)
            words->dry_run = true;
        else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            words->config_path = argv[++i];
        else if (strcmp(argv[i], "--route") == 0 && i + 1 < argc)
            words->route = argv[++i];
        else if (argv[i][0] != '-')
            argv[words->id_count++] = argv[i];
        else
            return false;
    }
    bool chosen = words->id_count > 0 ? !words->all : words->all || words->route != NULL;
    return words->config_path != NULL && chosen;
}

static void say_letter(const struct rkb_found_letter *letter, FILE *out)
{
    fprintf(out, "%s ", letter->place);
    rkb_letters_print(letter->says.of[RKB_LETTER_ID], 0, out);
}

/* On a terminal only, once a second. */
static void show_progress(struct retry *retry, int64_t now_us)
{
    if (!isatty(fileno(retry->err)) || now_us - retry->shown_us < SECOND_US)
        return;
    retry->shown_us = now_us;
    fprintf(retry->err, "\r%" PRIu64 " sent ", retry->taken + retry->dead + retry->filtered + retry->dropped);
    fflush(retry->err);
}

static void refuse(struct retry *retry, const struct rkb_found_letter *letter, const char *why)
{
    retry->refused++;
    say_letter(letter, retry->out);
    fputs(": ", retry->out);
    rkb_letters_print(rkb_slice_text(why), 0, retry->out);
    fputc('\n', retry->out);
}

static void stop(struct retry *retry, int code, const char *why)
{
    fprintf(retry->err, "rkbctl: %s\n", why);
    retry->stopped = code;
}

/* ---- handing one over ---- */

enum answer { ANSWER_TAKEN, ANSWER_REFUSED, ANSWER_BUSY, ANSWER_BROKEN };

static void hang_up(struct retry *retry)
{
    if (retry->fd >= 0)
        close(retry->fd);
    retry->fd = -1;
}

/* Lines up to the last, which ends the answer. False: it broke off. */
static bool read_answer(struct retry *retry)
{
    size_t size = 0;
    retry->outcome[0] = '\0';
    for (;;) {
        char *end = memchr(retry->answer, '\n', size);
        if (end != NULL) {
            *end = '\0';
            if (strcmp(retry->answer, "OK") == 0 || strncmp(retry->answer, "ERROR ", 6) == 0)
                return true;
            snprintf(retry->outcome, sizeof retry->outcome, "%.60s", retry->answer);
            size -= (size_t)(end + 1 - retry->answer);
            memmove(retry->answer, end + 1, size);
            continue;
        }
        if (size == sizeof retry->answer || !rkb_talk_wait(retry->fd, POLLIN))
            return false;
        ssize_t got = recv(retry->fd, retry->answer + size, sizeof retry->answer - size, 0);
        if (got == 0 || (got < 0 && errno != EINTR))
            return false;
        size += got > 0 ? (size_t)got : 0;
    }
}

/* The command's line and the letter's headers. False when memory ran out. */
static bool write_message(struct retry *retry, const struct rkb_found_letter *letter)
{
    struct rkb_buffer *message = &retry->message;
    uint16_t count;
    size_t size = rkb_letter_size(&letter->says, &count);
    message->size = 0;
    rkb_buffer_format(message, "retry %zu %zu\n", size, letter->value.size);
    uint8_t *at = rkb_buffer_reserve(message, size);
    if (at == NULL || message->failed)
        return false;
    rkb_letter_write(&letter->says, at);
    message->size += size;
    return true;
}

static enum answer broken(struct retry *retry, const char *why)
{
    hang_up(retry);
    stop(retry, RKB_EXIT_UNREACHABLE, why);
    return ANSWER_BROKEN;
}

static enum answer ask(struct retry *retry, const struct rkb_found_letter *letter)
{
    if (!write_message(retry, letter))
        return broken(retry, "out of memory");
    if (retry->fd < 0 && (retry->fd = rkb_talk_connect(retry->socket)) < 0) {
        retry->stopped = rkb_talk_unreachable(retry->err, retry->socket, errno);
        return ANSWER_BROKEN;
    }
    /* Not sent is no reason not to read: it may have said why. */
    if (rkb_talk_send(retry->fd, retry->message.data, retry->message.size))
        (void)!rkb_talk_send(retry->fd, letter->value.data, letter->value.size);
    if (!read_answer(retry))
        return broken(retry, "the answer from rkbridge broke off; is it shutting down?");
    if (strcmp(retry->answer, "OK") == 0)
        return ANSWER_TAKEN;
    hang_up(retry);         /* after some errors the other side does, too */
    const char *code = retry->answer + strlen("ERROR ");
    if (strncmp(code, "busy ", 5) == 0)
        return ANSWER_BUSY;
    if (strncmp(code, "stopping ", 9) == 0 || strncmp(code, "timeout ", 8) == 0)
        return broken(retry, code);
    return ANSWER_REFUSED;
}

static enum answer ask_patiently(struct retry *retry, const struct rkb_found_letter *letter)
{
    int64_t since_us = rkb_sys_posix.monotonic_us();
    enum answer answer;
    while ((answer = ask(retry, letter)) == ANSWER_BUSY) {
        if (rkb_sys_posix.monotonic_us() - since_us > BUSY_PATIENCE_US)
            return broken(retry, "rkbridge has had no room for a minute: see rkbctl status; the rest waits");
        poll(NULL, 0, BUSY_PAUSE_MS);
    }
    return answer;
}

/* ---- one letter ---- */

/* Why it cannot go, for what is known without asking; NULL: nothing is against it. */
static const char *obstacle(const struct rkb_found_letter *letter)
{
    const struct rkb_slice *of = letter->says.of;
    uint8_t uuid[16];
    int64_t time_us;
    if (of[RKB_LETTER_FORM].data != NULL)
        return "its value is a record and not the payload that it was made of (the route has a value of its own); "
               "publish the message again";
    if (of[RKB_LETTER_CHANNEL].data == NULL || of[RKB_LETTER_ROUTE].data == NULL
        || !rkb_uuid_parse(of[RKB_LETTER_ID], uuid) || !rkb_parse_time(of[RKB_LETTER_TIME], &time_us))
        return "it does not say route, channel, UUID and time of its message; publish the message again";
    return NULL;
}

static void note(struct retry *retry, const struct rkb_found_letter *letter)
{
    struct rkb_error error;
    int64_t now_us = rkb_sys_posix.monotonic_us();
    bool noted = rkb_retried_add(retry->retried, letter->place, letter->says.of[RKB_LETTER_ID], &error);
    if (noted && now_us - retry->synced_us > SECOND_US) {
        noted = rkb_retried_sync(retry->retried, &error);
        retry->synced_us = now_us;
    }
    if (!noted)
        stop(retry, 1, error.text);
    show_progress(retry, now_us);
}

static void send_one(struct retry *retry, const struct rkb_found_letter *letter)
{
    switch (ask_patiently(retry, letter)) {
    case ANSWER_TAKEN:
        break;
    case ANSWER_REFUSED:
        refuse(retry, letter, retry->answer + strlen("ERROR "));
        return;
    case ANSWER_BUSY:
    case ANSWER_BROKEN:
        return;
    }
    if (strncmp(retry->outcome, "dead_letter", 11) == 0)
        retry->dead++;
    else if (strcmp(retry->outcome, "filtered") == 0)
        retry->filtered++;
    else if (strncmp(retry->outcome, "dropped", 7) == 0)
        retry->dropped++;
    else
        retry->taken++;
    note(retry, letter);
}

/* Another letter of a message that was sent by this command: the same, before it began; or it has failed again. */
static void see_twin(struct retry *retry, const struct rkb_found_letter *letter)
{
    struct rkb_slice when = letter->says.of[RKB_LETTER_ERROR_TIME];
    if (when.size != sizeof retry->started || memcmp(when.data, retry->started, when.size) >= 0)
        return;
    retry->same++;
    note(retry, letter);
}

static bool is(struct rkb_slice text, const char *wanted)
{
    return rkb_slice_equal(text, rkb_slice_text(wanted));
}

static bool is_asked_for(const struct retry *retry, const struct rkb_found_letter *letter)
{
    const struct rkb_retry_words *words = retry->words;
    const struct rkb_slice *of = letter->says.of;
    bool named = words->id_count == 0;
    if (words->route != NULL && !is(of[RKB_LETTER_ROUTE], words->route))
        return false;
    for (size_t i = 0; i < words->id_count; i++) {
        if (!is(of[RKB_LETTER_ID], words->ids[i]) && strcmp(letter->place, words->ids[i]) != 0)
            continue;
        retry->found[i] = true;
        named = true;
    }
    return named;
}

static void see(void *context, const struct rkb_found_letter *letter)
{
    struct retry *retry = context;
    struct rkb_slice id = letter->says.of[RKB_LETTER_ID];
    if (retry->stopped != 0 || !is_asked_for(retry, letter))
        return;
    const char *why = obstacle(letter);
    if (rkb_retried_when(retry->retried, letter->place, id) != NULL) {
        retry->already++;
    } else if (rkb_retried_just_now(retry->retried, id)) {
        see_twin(retry, letter);
    } else if (why != NULL) {
        refuse(retry, letter, why);
    } else if (retry->words->dry_run) {
        retry->taken++;
        say_letter(letter, retry->out);
        fputs(": would go to route ", retry->out);
        rkb_letters_print(letter->says.of[RKB_LETTER_ROUTE], 0, retry->out);
        fputc('\n', retry->out);
    } else {
        send_one(retry, letter);
    }
}

/* ---- all ---- */

static void say_count(FILE *out, uint64_t count, const char *what)
{
    if (count > 0)
        fprintf(out, "; %" PRIu64 " %s", count, what);
}

/* whole: all there is was seen. */
static void summarize(const struct retry *retry, bool whole)
{
    uint64_t sent = retry->taken + retry->dead + retry->filtered + retry->dropped;
    if (isatty(fileno(retry->err)) && retry->shown_us != 0)
        fputs("\r", retry->err);
    if (whole && sent + retry->refused + retry->same == 0)
        fprintf(retry->out, "nothing to do: no dead letter waits%s",
                retry->already > 0 ? " among these" : retry->words->route != NULL ? " of this route" : "");
    else
        fprintf(retry->out, retry->words->dry_run ? "would send %" PRIu64 : "sent %" PRIu64, sent);
    say_count(retry->out, retry->dead, "of them failed again and are new dead letters");
    say_count(retry->out, retry->filtered, "of them are filtered now");
    say_count(retry->out, retry->dropped, "of them are dropped now (missing: drop)");
    say_count(retry->out, retry->same, "more were letters of the same messages");
    say_count(retry->out, retry->already, "were sent before");
    say_count(retry->out, retry->refused, "cannot be sent");
    fputc('\n', retry->out);
}

static bool all_found(const struct retry *retry)
{
    bool all = true;
    for (size_t i = 0; i < retry->words->id_count; i++) {
        if (retry->found[i])
            continue;
        fprintf(retry->err, "rkbctl: no dead letter with this id or place: %s\n", retry->words->ids[i]);
        all = false;
    }
    return all;
}

static int run(struct retry *retry, const struct rkb_config *config)
{
    struct rkb_error error;
    const char *directory = config->journal.directory;
    retry->found = calloc(retry->words->id_count + 1, sizeof *retry->found);
    retry->retried = retry->words->dry_run ? rkb_retried_read(directory, &rkb_sys_posix, &error)
                                           : rkb_retried_open(directory, &rkb_sys_posix, &error);
    if (retry->found == NULL || retry->retried == NULL) {
        fprintf(retry->err, "rkbctl: %s; nothing was sent. Run rkbctl as the user of rkbridge, or as root.\n",
                retry->found == NULL ? "out of memory" : error.text);
        return 1;
    }
    rkb_format_time(retry->started, rkb_sys_posix.realtime_us());
    bool good = rkb_letters_visit(config, retry->err, see, retry);
    if (!retry->words->dry_run && !rkb_retried_sync(retry->retried, &error)) {
        fprintf(retry->err, "rkbctl: %s\n", error.text);
        good = false;
    }
    summarize(retry, good && retry->stopped == 0);
    good = all_found(retry) && good;
    return retry->stopped != 0 ? retry->stopped : good && retry->refused == 0 ? 0 : 1;
}

int rkb_tool_dead_retry(const struct rkb_retry_words *words, FILE *out, FILE *err)
{
    struct rkb_config *config = rkb_letters_config(words->config_path, err);
    if (config == NULL)
        return RKB_EXIT_USAGE;
    struct retry retry = {.words = words, .out = out, .err = err, .socket = config->control.socket, .fd = -1};
    int code = run(&retry, config);
    hang_up(&retry);
    rkb_retried_free(retry.retried);
    rkb_buffer_free(&retry.message);
    free(retry.found);
    rkb_config_free(config);
    return code;
}
