/*
 * connection -- see connection.h.
 *
 * One timer serves both kinds of watching, since they never run together. Any byte after a PING is a sign of life,
 * not only its PONG, which may stand behind megabytes of messages. An answer to a PING that is an error (LOADING,
 * NOPERM) is one too. The owner's commands are answered before the first PING is sent, so an error reply while a
 * PING is open is that PING's.
 *
 * Paused inside a message, what was read and is not fed yet (at most one read of the transport's, and what TLS holds)
 * waits in `held`, and the transport rests until it is handed on: in order, as if it were read then. The time of its
 * read stays with it, and what the transport said of having taken all counts only once it is.
 */
#include "redis/connection.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/units.h"
#include "redis/refusal.h"

enum state { CLOSED, CONNECTING, GREETING, READY };
enum greeting { AUTH, SETNAME, ID, FIRST_PING, MOST_GREETINGS };
enum {
    MOST_WORDS = 128,
    MUCH_BEHIND = 128 * 1024            /* bytes that waited: more than is in a socket while we keep up */
};

static const char *const greeting_names[MOST_GREETINGS] = {
    [AUTH] = "AUTH",
    [SETNAME] = "CLIENT SETNAME",
    [ID] = "CLIENT ID",
    [FIRST_PING] = "PING",
};

struct rkb_connection {
    struct rkb_connection_options options;
    struct rkb_connection_events events;
    void *context;
    struct rkb_guard *guard;
    struct rkb_transport *transport;
    struct rkb_resp *resp;
    struct event *timer;
    enum state state;
    const char *awaited;                /* what the deadline is for; NULL: heartbeat, or nothing */
    bool beating;
    enum greeting greetings[MOST_GREETINGS];
    unsigned sent, answered;            /* of greetings */
    char secret[sizeof((struct rkb_redis_url *)0)->password];  /* while the greeting is open */
    bool ping_open;
    uint64_t bytes, bytes_at_ping;
    uint64_t bytes_caught_up;           /* of them, by the last read that took all there was */
    uint64_t id;
    int64_t read_us, caught_up_us;
    int64_t asked_us;                   /* monotonic: of the PING or the login that is to be answered; 0: none */
    int64_t rounds_us[2];               /* how long the last two answers to these took */
    int64_t active_us;                  /* monotonic: of the last byte, either way */
    int64_t held_caught_up_us;          /* what caught_up_us becomes when all that is held is handed on */
    bool paused;
    struct rkb_buffer held;             /* read and not fed; held_from: fed already */
    size_t held_from;
    struct event *resume;
};

static void arm(struct rkb_connection *connection, int64_t us)
{
    const struct timeval time = {us / 1000000, us % 1000000};
    event_add(connection->timer, &time);
}

/* While nothing is read no answer can come, so the time does not count. */
static void arm_again(struct rkb_connection *connection)
{
    if (connection->paused && connection->state >= GREETING)
        event_del(connection->timer);
    else if (connection->awaited != NULL)
        arm(connection, connection->options.deadline_us);
    else if (connection->beating)
        arm(connection,
            connection->ping_open ? connection->options.heartbeat_timeout_us : connection->options.heartbeat_us);
}

void rkb_connection_rest(struct rkb_connection *connection)
{
    connection->awaited = NULL;
    connection->beating = false;
    event_del(connection->timer);
}

void rkb_connection_expect(struct rkb_connection *connection, const char *what)
{
    connection->beating = false;
    connection->awaited = what;
    arm_again(connection);
}

void rkb_connection_beat(struct rkb_connection *connection)
{
    connection->awaited = NULL;
    connection->beating = true;
    arm_again(connection);
}

bool rkb_connection_awaits_pong(const struct rkb_connection *connection)
{
    return connection->ping_open;
}

void rkb_connection_close(struct rkb_connection *connection)
{
    rkb_connection_rest(connection);
    explicit_bzero(connection->secret, sizeof connection->secret);
    connection->state = CLOSED;
    rkb_resp_stop(connection->resp);
    rkb_transport_close(connection->transport);
    event_del(connection->resume);
    rkb_buffer_free(&connection->held);
    connection->held_from = 0;
    connection->held_caught_up_us = 0;
}

void rkb_connection_fail(struct rkb_connection *connection, const struct rkb_error *why)
{
    rkb_connection_close(connection);
    connection->events.lost(connection->context, why);
}

void rkb_connection_send(struct rkb_connection *connection, int count, const struct rkb_slice *words)
{
    const char *texts[MOST_WORDS];
    size_t sizes[MOST_WORDS];
    char *command = NULL;
    struct rkb_error error;
    for (int i = 0; i < count; i++) {
        texts[i] = words[i].size > 0 ? (const char *)words[i].data : "";
        sizes[i] = words[i].size;
    }
    connection->active_us = connection->options.sys->monotonic_us();
    long long size = redisFormatCommandArgv(&command, count, texts, sizes);
    bool sent = size <= 0 ? rkb_fail(&error, RKB_NO_MEMORY, "no memory for a command")
                : connection->state == GREETING
                    ? rkb_transport_write_secret(connection->transport, command, (size_t)size, &error)
                    : rkb_transport_write(connection->transport, command, (size_t)size, &error);
    if (size > 0) {
        explicit_bzero(command, (size_t)size);      /* it may be AUTH */
        redisFreeCommand(command);
    }
    if (!sent)
        rkb_connection_fail(connection, &error);
}

static void answered(struct rkb_connection *connection)
{
    if (connection->asked_us == 0)
        return;
    connection->rounds_us[1] = connection->rounds_us[0];
    connection->rounds_us[0] = connection->options.sys->monotonic_us() - connection->asked_us;
    connection->asked_us = 0;
}

static void send_ping(struct rkb_connection *connection)
{
    connection->asked_us = connection->options.sys->monotonic_us();
    const struct rkb_slice ping = rkb_slice_text("PING");
    rkb_connection_send(connection, 1, &ping);
}

static void beat(struct rkb_connection *connection)
{
    struct rkb_error error;
    char time[32];
    if (connection->ping_open && connection->bytes == connection->bytes_at_ping) {
        rkb_format_duration(time, sizeof time, connection->options.heartbeat_timeout_us);
        rkb_fail(&error, RKB_TIMEOUT, "nothing came from Redis for %s after a PING", time);
        rkb_connection_fail(connection, &error);
        return;
    }
    bool due = !connection->ping_open;
    connection->ping_open = true;
    connection->bytes_at_ping = connection->bytes;
    arm_again(connection);
    if (due)
        send_ping(connection);
}

bool rkb_connection_ping(struct rkb_connection *connection)
{
    if (connection->state != READY || !connection->beating || connection->ping_open || connection->paused)
        return false;
    beat(connection);
    return true;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rkb_connection *connection = arg;
    struct rkb_error error;
    char time[32];
    rkb_guard_enter(connection->guard);
    if (connection->awaited != NULL) {
        rkb_format_duration(time, sizeof time, connection->options.deadline_us);
        if (connection->state == CONNECTING)
            rkb_transport_overdue(connection->transport, time, &error);
        else
            rkb_fail(&error, RKB_TIMEOUT, "%s did not come within %s", connection->awaited, time);
        rkb_connection_fail(connection, &error);
    } else if (connection->beating) {
        beat(connection);
    }
    rkb_guard_leave(connection->guard);
}

/* The user and password of this login; the password goes to connection->secret. */
static bool find_login(struct rkb_connection *connection, const char **user, struct rkb_error *error)
{
    const struct rkb_connection_options *options = &connection->options;
    *user = options->user != NULL && options->user[0] != '\0' ? options->user : options->url->user;
    connection->secret[0] = '\0';
    if (options->password != NULL)
        return options->password(options->password_context, connection->secret, sizeof connection->secret, error);
    memcpy(connection->secret, options->url->password, sizeof connection->secret);
    return true;
}

static void greet(struct rkb_connection *connection, enum greeting greeting, int count, const struct rkb_slice *words)
{
    if (connection->state != GREETING)
        return;
    connection->greetings[connection->sent++] = greeting;
    rkb_connection_send(connection, count, words);
}

static void greet_all(struct rkb_connection *connection, const char *user)
{
    const struct rkb_slice secret = rkb_slice_text(connection->secret);
    const char *client = connection->options.client_name;
    const struct rkb_slice name = rkb_slice_text(client != NULL ? client : "");
    const struct rkb_slice with_user[] = {rkb_slice_text("AUTH"), rkb_slice_text(user), secret};
    const struct rkb_slice without_user[] = {rkb_slice_text("AUTH"), secret};
    const struct rkb_slice setname[] = {rkb_slice_text("CLIENT"), rkb_slice_text("SETNAME"), name};
    const struct rkb_slice ask_id[] = {rkb_slice_text("CLIENT"), rkb_slice_text("ID")};
    const struct rkb_slice ping[] = {rkb_slice_text("PING")};
    if (secret.size > 0 && user[0] != '\0')
        greet(connection, AUTH, 3, with_user);
    else if (secret.size > 0)
        greet(connection, AUTH, 2, without_user);
    if (name.size > 0)
        greet(connection, SETNAME, 3, setname);
    if (connection->options.learn_id)
        greet(connection, ID, 2, ask_id);
    if (connection->sent == 0)
        greet(connection, FIRST_PING, 1, ping);
}

/* All greetings go out together. One is always sent: a Redis that takes no more clients says so only in an answer. */
static void on_opened(void *context)
{
    struct rkb_connection *connection = context;
    struct rkb_error error;
    const char *user;
    if (!find_login(connection, &user, &error)) {
        rkb_connection_fail(connection, &error);
        return;
    }
    connection->state = GREETING;
    connection->asked_us = connection->options.sys->monotonic_us();
    rkb_connection_expect(connection, "the answer to the login");
    greet_all(connection, user);
}

static bool begins(struct rkb_slice text, const char *with)
{
    size_t length = strlen(with);
    return text.size >= length && memcmp(text.data, with, length) == 0;
}

/* A Redis that knows no client names or numbers, or an ACL that forbids them, can still be subscribed to. */
static bool can_do_without(enum greeting greeting, struct rkb_slice words)
{
    return (greeting == SETNAME || greeting == ID) &&
           (begins(words, "NOPERM") || begins(words, "ERR unknown") || begins(words, "ERR Client names") ||
            begins(words, "ERR Unknown") || begins(words, "ERR Syntax"));
}

static bool fits(enum greeting greeting, enum rkb_reply kind)
{
    return kind == RKB_REPLY_ERROR || kind == (greeting == ID ? RKB_REPLY_INTEGER : RKB_REPLY_STATUS);
}

static void greeting_answered(struct rkb_connection *connection, enum rkb_reply kind, struct rkb_slice text,
                              long long integer)
{
    enum greeting greeting = connection->greetings[connection->answered];
    struct rkb_error error;
    if (kind == RKB_REPLY_ERROR && !can_do_without(greeting, text))
        rkb_refusal(&error, greeting_names[greeting], text, connection->secret);
    else if (!fits(greeting, kind))
        rkb_fail(&error, RKB_PROTOCOL, "Redis answered %s with neither %s nor an error", greeting_names[greeting],
                 greeting == ID ? "a number" : "a status");
    else
        error.code = RKB_OK;
    if (error.code != RKB_OK) {
        rkb_connection_fail(connection, &error);
        return;
    }
    if (greeting == ID && kind == RKB_REPLY_INTEGER && integer > 0)
        connection->id = (uint64_t)integer;
    if (++connection->answered < connection->sent)
        return;
    explicit_bzero(connection->secret, sizeof connection->secret);
    connection->state = READY;
    rkb_connection_rest(connection);
    connection->events.ready(connection->context);
}

/* A reply that may not come now: while greeting, or behind it where the owner takes the bytes himself. */
static bool is_early(const struct rkb_connection *connection)
{
    return connection->state != READY || connection->events.bytes != NULL;
}

static void unasked(struct rkb_connection *connection)
{
    struct rkb_error error;
    rkb_fail(&error, RKB_PROTOCOL, "Redis sent a reply that nothing asked for before the login was answered");
    rkb_connection_fail(connection, &error);
}

static void pong(struct rkb_connection *connection, struct rkb_slice words)
{
    connection->ping_open = false;
    answered(connection);
    arm_again(connection);
    if (connection->events.beat != NULL)
        connection->events.beat(connection->context, words);
}

static void on_reply(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    struct rkb_connection *connection = context;
    bool is_pong = kind == RKB_REPLY_STATUS && begins(text, "PONG");
    if (connection->state == GREETING) {
        answered(connection);
        greeting_answered(connection, kind, text, integer);
    } else if (is_early(connection)) {
        unasked(connection);
    } else if (connection->ping_open && (kind == RKB_REPLY_ERROR || is_pong)) {
        pong(connection, kind == RKB_REPLY_ERROR ? text : rkb_slice(NULL, 0));
    } else {
        connection->events.reply(connection->context, kind, text, integer);
    }
}

static void on_pong(void *context)
{
    struct rkb_connection *connection = context;
    if (is_early(connection))
        unasked(connection);
    else
        pong(connection, rkb_slice(NULL, 0));
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload)
{
    struct rkb_connection *connection = context;
    if (is_early(connection))
        unasked(connection);
    else
        connection->events.message(connection->context, is_pattern, pattern, channel, payload, connection->read_us);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size)
{
    struct rkb_connection *connection = context;
    if (is_early(connection))
        unasked(connection);
    else
        connection->events.too_large(connection->context, is_pattern, pattern, channel, size, connection->read_us);
}

static void on_confirmation(void *context, const struct rkb_confirmation *confirmation)
{
    struct rkb_connection *connection = context;
    if (is_early(connection))
        unasked(connection);
    else
        connection->events.confirmation(connection->context, confirmation);
}

/* Hands on what it can of the bytes and moves the slice behind that. False: the connection is gone. */
static bool feed(struct rkb_connection *connection, struct rkb_slice *bytes)
{
    struct rkb_error error;
    if (rkb_resp_feed(connection->resp, bytes, &error))
        return connection->state != CLOSED;
    rkb_connection_fail(connection, &error);
    return false;
}

static void hold(struct rkb_connection *connection, struct rkb_slice bytes)
{
    struct rkb_error error;
    rkb_buffer_add(&connection->held, bytes.data, bytes.size);
    if (!connection->held.failed)
        return;
    rkb_fail(&error, RKB_NO_MEMORY, "no memory for %zu bytes while reading rests", bytes.size);
    rkb_connection_fail(connection, &error);
}

static void on_bytes(void *context, struct rkb_slice bytes, int64_t time_us)
{
    struct rkb_connection *connection = context;
    connection->bytes += bytes.size;
    connection->active_us = connection->options.sys->monotonic_us();
    if (connection->state == READY && connection->events.bytes != NULL) {
        connection->read_us = time_us;
        connection->events.bytes(connection->context, bytes);
        return;
    }
    if (connection->held.size == 0 && !connection->paused) {
        connection->read_us = time_us;
        if (!feed(connection, &bytes))
            return;
    }
    if (bytes.size > 0)
        hold(connection, bytes);
}

/* time_us: when all there was had been read; 0: it was not all. */
static void catch_up(struct rkb_connection *connection, int64_t time_us)
{
    if (time_us == 0 || !rkb_resp_between(connection->resp))
        return;
    connection->caught_up_us = time_us;
    connection->bytes_caught_up = connection->bytes;
}

static void on_idle(void *context, int64_t caught_up_us)
{
    struct rkb_connection *connection = context;
    if (connection->held.size > 0 || (connection->paused && !rkb_resp_between(connection->resp)))
        connection->held_caught_up_us = caught_up_us;
    else
        catch_up(connection, caught_up_us);
    connection->events.idle(connection->context);
}

/* Reading goes on: first with what was held. */
static void go_on(struct rkb_connection *connection)
{
    struct rkb_slice rest = rkb_slice(connection->held.data, connection->held.size);
    if (rest.size > 0)
        rest = rkb_slice(rest.data + connection->held_from, rest.size - connection->held_from);
    if (!feed(connection, &rest))
        return;
    connection->held_from = connection->held.size - rest.size;
    if (rest.size == 0) {
        rkb_buffer_free(&connection->held);
        connection->held_from = 0;
    }
    if (!connection->paused) {
        catch_up(connection, connection->held_caught_up_us);
        connection->held_caught_up_us = 0;
        rkb_transport_pause(connection->transport, false);
    }
    connection->events.idle(connection->context);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rkb_connection *connection = arg;
    rkb_guard_enter(connection->guard);
    if (!connection->paused && connection->state != CLOSED)
        go_on(connection);
    rkb_guard_leave(connection->guard);
}

void rkb_connection_pause(struct rkb_connection *connection, bool paused)
{
    connection->paused = paused;
    rkb_resp_pause(connection->resp, paused);
    bool holds = connection->held.size > 0 || (connection->state >= GREETING && !rkb_resp_between(connection->resp));
    if (paused || !holds)
        rkb_transport_pause(connection->transport, paused);
    else
        event_active(connection->resume, EV_TIMEOUT, 1);
    arm_again(connection);
}

static void on_broken(void *context, const struct rkb_error *error)
{
    rkb_connection_fail(context, error);
}

void rkb_connection_open(struct rkb_connection *connection)
{
    struct rkb_error error;
    connection->sent = connection->answered = 0;
    connection->ping_open = false;
    connection->caught_up_us = connection->active_us = 0;
    connection->asked_us = connection->rounds_us[0] = connection->rounds_us[1] = 0;
    connection->bytes_caught_up = connection->bytes;
    connection->id = 0;
    connection->state = CONNECTING;
    if (!rkb_resp_reset(connection->resp, &error)) {
        rkb_connection_fail(connection, &error);
        return;
    }
    rkb_connection_expect(connection, "the connection");
    rkb_transport_open(connection->transport);
}

uint64_t rkb_connection_bytes(const struct rkb_connection *connection)
{
    return connection->bytes;
}

int64_t rkb_connection_caught_up_us(const struct rkb_connection *connection)
{
    const int64_t *rounds = connection->rounds_us;
    int64_t under_way = rounds[0] > rounds[1] ? rounds[0] : rounds[1];
    return connection->caught_up_us > 0 ? connection->caught_up_us - under_way : 0;
}

int64_t rkb_connection_active_us(const struct rkb_connection *connection)
{
    return connection->active_us;
}

uint64_t rkb_connection_id(const struct rkb_connection *connection)
{
    return connection->id;
}

bool rkb_connection_same_peer(const struct rkb_connection *a, const struct rkb_connection *b)
{
    return rkb_transport_same_peer(a->transport, b->transport);
}

bool rkb_connection_is_local(const struct rkb_connection *connection)
{
    return rkb_transport_is_local(connection->transport);
}

bool rkb_connection_broke_off(const struct rkb_connection *connection)
{
    return !rkb_resp_between(connection->resp) && connection->bytes - connection->bytes_caught_up >= MUCH_BEHIND;
}

struct rkb_connection *rkb_connection_new(struct event_base *base, const struct rkb_connection_options *options,
                                          struct rkb_guard *guard, const struct rkb_connection_events *events,
                                          void *context)
{
    static const struct rkb_transport_events of_transport = {on_opened, on_bytes, on_idle, on_broken};
    static const struct rkb_resp_events of_resp = {on_message, on_confirmation, on_pong, on_reply, on_too_large};
    struct rkb_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return NULL;
    connection->options = *options;
    connection->events = *events;
    connection->context = context;
    connection->guard = guard;
    connection->timer = evtimer_new(base, on_timer, connection);
    connection->resume = evtimer_new(base, on_resume, connection);
    connection->resp = rkb_resp_new(&of_resp, options->max_message_size, connection);
    const struct rkb_transport_options to = {
        .url = options->url,
        .tls = options->tls,
        .silence_us = options->heartbeat_us + options->heartbeat_timeout_us,
        .sys = options->sys,
    };
    connection->transport = rkb_transport_new(base, &to, guard, &of_transport, connection);
    if (connection->timer == NULL || connection->resume == NULL || connection->resp == NULL ||
        connection->transport == NULL) {
        rkb_connection_free(connection);
        return NULL;
    }
    return connection;
}

void rkb_connection_free(struct rkb_connection *connection)
{
    if (connection == NULL)
        return;
    rkb_transport_free(connection->transport);
    rkb_resp_free(connection->resp);
    if (connection->timer != NULL)
        event_free(connection->timer);
    if (connection->resume != NULL)
        event_free(connection->resume);
    rkb_buffer_free(&connection->held);
    explicit_bzero(connection->secret, sizeof connection->secret);
    free(connection);
}
