/*
 * check_subscribe -- see check_subscribe.h, also for the picture.
 *
 * Redis answers in order, one answer for each command: so the number of answers tells which command one belongs to.
 */
#include "tool/check_subscribe.h"

#include <stdlib.h>

#include "redis/connection.h"
#include "redis/guard.h"

#define FIRST 3                         /* commands ahead of the names' */
#define AT_ONCE 100                     /* names */
#define LONGEST_PAYLOAD (UINT64_C(64) << 10)    /* of a message that comes all the same, held for a moment */

struct rkb_trial {
    struct rkb_guard guard;
    struct rkb_trial_options options;
    void (*done)(void *context, const struct rkb_trial_found *found);
    void *context;
    struct rkb_connection *connection;
    struct rkb_trial_found found;
    size_t sent, answered;              /* commands: FIRST, then two for each name */
    bool over;
};

static void finish(struct rkb_trial *trial)
{
    if (trial->over)
        return;
    trial->over = true;
    rkb_connection_close(trial->connection);
    trial->done(trial->context, &trial->found);
}

static void on_lost(void *context, const struct rkb_error *error)
{
    struct rkb_trial *trial = context;
    trial->found.ended = *error;
    finish(trial);
}

static void ask(struct rkb_trial *trial, int count, const struct rkb_slice *words)
{
    if (trial->over)
        return;
    trial->sent++;
    rkb_connection_send(trial->connection, count, words);
}

static void send_first(struct rkb_trial *trial)
{
    static const char *const commands[FIRST] = {"PING", "UNSUBSCRIBE", "PUNSUBSCRIBE"};
    for (int i = 0; i < FIRST; i++) {
        const struct rkb_slice word = rkb_slice_text(commands[i]);
        ask(trial, 1, &word);
    }
}

/* What stands in the socket's buffer goes out in one write, when the loop turns. */
static void send_names(struct rkb_trial *trial)
{
    size_t next = (trial->sent - FIRST) / 2;
    for (size_t i = next; i < trial->options.count && i < next + AT_ONCE; i++) {
        const struct rkb_trial_name *name = &trial->options.names[i];
        const struct rkb_slice in[] = {rkb_slice_text(name->is_pattern ? "PSUBSCRIBE" : "SUBSCRIBE"), name->name};
        const struct rkb_slice out[] = {rkb_slice_text(name->is_pattern ? "PUNSUBSCRIBE" : "UNSUBSCRIBE"), name->name};
        ask(trial, 2, in);
        ask(trial, 2, out);
    }
}

static void go_on(struct rkb_trial *trial)
{
    if (trial->over || trial->answered < trial->sent)
        return;
    if (trial->sent == 0)
        send_first(trial);
    else if ((trial->sent - FIRST) / 2 < trial->options.count)
        send_names(trial);
    else
        finish(trial);
    if (!trial->over)
        rkb_connection_expect(trial->connection, "the answer to what was tried");
}

static void on_ready(void *context)
{
    struct rkb_trial *trial = context;
    trial->found.logged_in = true;
    go_on(trial);
}

/* refused: NULL, or Redis's words. */
static void take(struct rkb_trial *trial, const struct rkb_slice *refused)
{
    size_t command = trial->answered++;
    struct rkb_trial_found *found = &trial->found;
    struct rkb_trial_name *name = command >= FIRST ? &trial->options.names[(command - FIRST) / 2] : NULL;
    bool leaves = name != NULL && (command - FIRST) % 2 == 1;
    if (name != NULL && !leaves) {
        name->tried = true;
        name->refused = refused != NULL;
    }
    if (refused == NULL)
        return;
    if (name != NULL && !leaves) {
        name->lack = rkb_refusal_lack(*refused);
        rkb_printable(name->words, sizeof name->words, *refused);
    }
    found->no_ping = found->no_ping || command == 0;
    found->no_unsubscribe = found->no_unsubscribe || command == 1 || (leaves && !name->is_pattern);
    found->no_punsubscribe = found->no_punsubscribe || command == 2 || (leaves && name->is_pattern);
}

static void unasked(struct rkb_trial *trial)
{
    struct rkb_error error;
    rkb_fail(&error, RKB_PROTOCOL, "Redis sent a reply that does not belong to what it was asked");
    rkb_connection_fail(trial->connection, &error);
}

/* Whether the next answer may be a confirmation of this kind. */
static bool awaits(const struct rkb_trial *trial, bool is_pattern, bool on)
{
    if (trial->answered >= trial->sent || trial->answered == 0)
        return false;
    if (trial->answered < FIRST)
        return !on && is_pattern == (trial->answered == 2);
    return on == ((trial->answered - FIRST) % 2 == 0) &&
           is_pattern == trial->options.names[(trial->answered - FIRST) / 2].is_pattern;
}

static void on_confirmation(void *context, const struct rkb_confirmation *confirmation)
{
    struct rkb_trial *trial = context;
    if (!awaits(trial, confirmation->is_pattern, confirmation->on)) {
        unasked(trial);
        return;
    }
    take(trial, NULL);
    go_on(trial);
}

static void on_reply(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    (void)integer;
    struct rkb_trial *trial = context;
    bool is_pong = kind == RKB_REPLY_STATUS && trial->answered == 0;
    if (trial->answered >= trial->sent || (kind != RKB_REPLY_ERROR && !is_pong)) {
        unasked(trial);
        return;
    }
    take(trial, kind == RKB_REPLY_ERROR ? &text : NULL);
    go_on(trial);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    (void)is_pattern;
    (void)pattern;
    (void)channel;
    (void)payload;
    (void)time_us;
    struct rkb_trial *trial = context;
    trial->found.messages++;
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size, int64_t time_us)
{
    (void)size;
    on_message(context, is_pattern, pattern, channel, channel, time_us);
}

static void on_idle(void *context)
{
    (void)context;
}

static void destroy(void *object)
{
    struct rkb_trial *trial = object;
    rkb_connection_free(trial->connection);
    free(trial);
}

struct rkb_trial *rkb_trial_new(struct event_base *base, const struct rkb_trial_options *options,
                                void (*done)(void *context, const struct rkb_trial_found *found), void *context)
{
    static const struct rkb_connection_events events = {
        .ready = on_ready, .message = on_message, .too_large = on_too_large, .confirmation = on_confirmation,
        .reply = on_reply, .idle = on_idle, .lost = on_lost};
    const struct rkb_connection_options of_connection = {
        .url = options->url, .tls = options->tls, .user = options->user, .password = options->password,
        .password_context = options->password_context, .client_name = options->client_name,
        .deadline_us = options->deadline_us, .heartbeat_us = options->deadline_us,
        .heartbeat_timeout_us = options->deadline_us, .max_message_size = LONGEST_PAYLOAD, .sys = options->sys};
    struct rkb_trial *trial = calloc(1, sizeof *trial);
    if (trial == NULL)
        return NULL;
    trial->guard = (struct rkb_guard){.destroy = destroy, .object = trial};
    trial->options = *options;
    trial->done = done;
    trial->context = context;
    trial->connection = rkb_connection_new(base, &of_connection, &trial->guard, &events, trial);
    if (trial->connection != NULL)
        return trial;
    free(trial);
    return NULL;
}

void rkb_trial_start(struct rkb_trial *trial)
{
    rkb_guard_enter(&trial->guard);
    rkb_connection_open(trial->connection);
    rkb_guard_leave(&trial->guard);
}

void rkb_trial_free(struct rkb_trial *trial)
{
    if (trial == NULL)
        return;
    trial->over = true;
    if (trial->guard.inside > 0)
        rkb_connection_close(trial->connection);
    rkb_guard_doom(&trial->guard);
}
