/*
 * subscriber -- see subscriber.h, also for the picture.
 *
 * Subscriptions go out in one stream of commands, channels first; Redis answers in that order. A command that the ACL
 * refuses is asked again in halves, down to the names that are refused (subscriptions.h); the source runs with the
 * others, and those are asked again on a timer, each alone, while no PING is open: so an error is always the answer to
 * what was asked first. Where Redis ends a subscription by itself, the connection is given up and made anew, since
 * nobody knows from when on messages are missing.
 */
#include "redis/subscriber_state.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    AGAIN_AT_ONCE = 100,                /* refused names that are asked for again at a time */
    PONG_WAIT_US = 100000,              /* until which a PING may be answered */
    PATIENCE = 10                       /* times connect_timeout: for an answer of a change, among messages */
};

static void arm(struct event *timer, int64_t us)
{
    const struct timeval time = {us / 1000000, us % 1000000};
    event_add(timer, &time);
}

static const char *command_of(const struct rkb_subscriber *subscriber, size_t from)
{
    return from < subscriber->subscriptions.channels ? "SUBSCRIBE" : "PSUBSCRIBE";
}

/* Asks Redis for these, if the connection still stands. */
static void ask(struct rkb_subscriber *subscriber, size_t from, size_t end)
{
    if (subscriber->is_stream && from < end)
        rkb_subscriber_send_names(subscriber, &subscriber->subscriptions, command_of(subscriber, from), from, end);
}

void rkb_subscriber_ask_all(struct rkb_subscriber *subscriber)
{
    struct rkb_subscriptions *subscriptions = &subscriber->subscriptions;
    for (size_t from = 0, end; from < subscriptions->size && subscriber->is_stream; from = end) {
        end = rkb_subscriptions_batch_end(subscriptions, from);
        if (!subscriptions->list[from].stands)
            ask(subscriber, from, end);
    }
}

static void hand_over_batch(struct rkb_subscriber *subscriber)
{
    if (!subscriber->batch_due)
        return;
    subscriber->batch_due = false;
    if (rkb_subscriber_alive(subscriber))
        subscriber->events.batch(subscriber->context);
}

static void finish(struct rkb_subscriber *subscriber)
{
    rkb_connection_close(subscriber->connection);
    event_del(subscriber->timer);
    event_del(subscriber->again);
    subscriber->is_stream = false;
    rkb_subscriptions_reset(&subscriber->subscriptions);
    hand_over_batch(subscriber);
    rkb_subscriber_change_ended(subscriber);
    if (!rkb_subscriber_alive(subscriber))
        return;
    subscriber->state = STOPPED;
    subscriber->events.stopped(subscriber->context);
}

static int64_t next_wait(struct rkb_subscriber *subscriber)
{
    uint32_t random = UINT32_MAX / 2;
    (void)subscriber->sys->random(&random, sizeof random);
    if (subscriber->settled && subscriber->sys->monotonic_us() - subscriber->since_us >= subscriber->healthy_us)
        rkb_backoff_reset(&subscriber->backoff);
    return rkb_backoff_next(&subscriber->backoff, random);
}

/* Whether it was idleness that ended it, and what to do then. A pause is our own silence. */
static void look_for_a_proxy(struct rkb_subscriber *subscriber, struct rkb_error *error)
{
    int64_t active_us = rkb_connection_active_us(subscriber->connection);
    if (subscriber->settled && !subscriber->paused && active_us != 0)
        rkb_idle_ended(&subscriber->idle, subscriber->sys->monotonic_us() - active_us, subscriber->heartbeat_us, error);
}

static void on_lost(void *context, const struct rkb_error *why)
{
    struct rkb_subscriber *subscriber = context;
    struct rkb_error error = *why;
    bool was_stream = subscriber->is_stream;
    look_for_a_proxy(subscriber, &error);
    int64_t caught_up_us = rkb_connection_caught_up_us(subscriber->connection);
    snprintf(subscriber->error, sizeof subscriber->error, "%.*s", (int)sizeof subscriber->error - 1, error.text);
    if (caught_up_us != 0)
        subscriber->caught_up_us = caught_up_us;
    subscriber->broke_off = rkb_connection_broke_off(subscriber->connection);
    subscriber->is_stream = false;
    rkb_subscriptions_reset(&subscriber->subscriptions);
    event_del(subscriber->again);
    if (subscriber->state == STOPPING) {
        arm(subscriber->timer, 0);
        return;
    }
    int64_t wait_us = next_wait(subscriber);
    subscriber->settled = false;
    subscriber->state = WAITING;
    arm(subscriber->timer, wait_us);
    hand_over_batch(subscriber);
    if (rkb_subscriber_alive(subscriber))
        subscriber->events.lost(subscriber->context, &error, was_stream, caught_up_us, wait_us);
    rkb_subscriber_change_ended(subscriber);
}

static void lose(struct rkb_subscriber *subscriber, enum rkb_code code, const char *text, struct rkb_slice name)
{
    struct rkb_error error;
    char shown[128];
    rkb_printable(shown, sizeof shown, name);
    rkb_fail(&error, code, "%s %s", text, shown);
    rkb_connection_fail(subscriber->connection, &error);
}

/* All that was asked is answered: by a confirmation, or by a no. */
static void settle(struct rkb_subscriber *subscriber)
{
    size_t refused = subscriber->subscriptions.refused;
    bool is_news = subscriber->state == SUBSCRIBING || refused != subscriber->told_refused;
    if (subscriber->state == SUBSCRIBING) {
        subscriber->state = SUBSCRIBED;
        subscriber->settled = true;
        subscriber->since_us = subscriber->sys->monotonic_us();
    }
    subscriber->told_refused = refused;
    rkb_connection_beat(subscriber->connection);
    if (refused > 0)
        arm(subscriber->again, subscriber->refused_again_us);
    if (is_news)
        subscriber->events.subscribed(subscriber->context, subscriber->sys->realtime_us(), refused);
    rkb_subscriber_change_on(subscriber);
}

void rkb_subscriber_check(struct rkb_subscriber *subscriber)
{
    if (!rkb_subscriber_alive(subscriber) || (subscriber->state != SUBSCRIBING && subscriber->state != SUBSCRIBED))
        return;
    rkb_subscriber_change_answered(subscriber);
    if (rkb_subscriptions_first(&subscriber->subscriptions) == NULL)
        settle(subscriber);
    else
        rkb_connection_expect(subscriber->connection, "the answer to all subscriptions");
}

static void on_ready(void *context)
{
    struct rkb_subscriber *subscriber = context;
    subscriber->state = SUBSCRIBING;
    subscriber->is_stream = true;
    subscriber->connections++;
    rkb_subscriptions_reset(&subscriber->subscriptions);
    subscriber->events.stream(subscriber->context, subscriber->sys->realtime_us());
    if (!rkb_subscriber_alive(subscriber) || subscriber->state != SUBSCRIBING)
        return;
    rkb_subscriber_ask_all(subscriber);
    if (subscriber->is_stream)
        rkb_subscriber_check(subscriber);
}

static void confirmed_on(struct rkb_subscriber *subscriber, const struct rkb_confirmation *confirmation)
{
    size_t refused = subscriber->subscriptions.refused;
    const struct rkb_wish *wish = rkb_subscriptions_confirm(&subscriber->subscriptions, confirmation->is_pattern,
                                                            confirmation->name);
    if (wish == NULL) {
        lose(subscriber, RKB_PROTOCOL, "Redis confirmed a subscription that was not asked for:", confirmation->name);
        return;
    }
    subscriber->events.confirmed(subscriber->context, confirmation->is_pattern, confirmation->name, true);
    if (rkb_subscriber_alive(subscriber) && subscriber->subscriptions.refused < refused)
        subscriber->events.allowed(subscriber->context, confirmation->is_pattern, confirmation->name);
    rkb_subscriber_check(subscriber);
}

/* While stopping: once nothing at all is subscribed to, nothing more can come. */
static void confirmed_off(struct rkb_subscriber *subscriber, const struct rkb_confirmation *confirmation)
{
    if (subscriber->state == SUBSCRIBED && confirmation->named
        && rkb_subscriber_left(subscriber, confirmation->is_pattern, confirmation->name))
        return;
    if (confirmation->named) {
        if (subscriber->subscriptions.standing > 0)
            subscriber->subscriptions.standing--;
        subscriber->events.confirmed(subscriber->context, confirmation->is_pattern, confirmation->name, false);
    }
    if (!rkb_subscriber_alive(subscriber))
        return;
    if (subscriber->state != STOPPING)
        lose(subscriber, RKB_REFUSED, "Redis ended a subscription by itself:", confirmation->name);
    else if (confirmation->count == 0)
        finish(subscriber);
}

static void on_confirmation(void *context, const struct rkb_confirmation *confirmation)
{
    if (confirmation->on)
        confirmed_on(context, confirmation);
    else
        confirmed_off(context, confirmation);
}

static void on_message(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                       struct rkb_slice payload, int64_t time_us)
{
    struct rkb_subscriber *subscriber = context;
    subscriber->batch_due = true;
    subscriber->events.message(subscriber->context, is_pattern, pattern, channel, payload, time_us);
}

static void on_too_large(void *context, bool is_pattern, struct rkb_slice pattern, struct rkb_slice channel,
                         uint64_t size, int64_t time_us)
{
    struct rkb_subscriber *subscriber = context;
    subscriber->batch_due = true;
    subscriber->events.too_large(subscriber->context, is_pattern, pattern, channel, size, time_us);
}

/* "SUBSCRIBE orders, users, ... (100 names)": the first names of the command that was refused. */
static void describe(const struct rkb_subscriber *subscriber, const struct rkb_asked *asked, char *out, size_t size)
{
    size_t count = asked->end - asked->from;
    int used = snprintf(out, size, "%s", command_of(subscriber, asked->from));
    for (size_t i = 0; i < count && i < 3; i++) {
        char name[44];
        rkb_printable(name, sizeof name, rkb_wish_name(&subscriber->subscriptions.list[asked->from + i]));
        used += snprintf(out + used, size - (size_t)used, "%s%s", i == 0 ? " " : ", ", name);
    }
    if (count > 3)
        snprintf(out + used, size - (size_t)used, ", ... (%zu names)", count);
}

/* A no that is not about rights, or not the answer to what was asked: the connection is not to be trusted. */
static void fail_refused(struct rkb_subscriber *subscriber, const struct rkb_asked *asked, struct rkb_slice words)
{
    struct rkb_error error;
    char command[200] = "to go on";
    if (asked != NULL)
        describe(subscriber, asked, command, sizeof command);
    rkb_refusal(&error, command, words, "");
    rkb_connection_fail(subscriber->connection, &error);
}

/*
 * The ACL's no to a whole command. Where its right is missing, or it had one name, it is known whose; else its halves
 * are asked for.
 */
static void refused(struct rkb_subscriber *subscriber, enum rkb_lack lack, struct rkb_slice words)
{
    struct rkb_subscriptions *subscriptions = &subscriber->subscriptions;
    const struct rkb_asked asked = rkb_subscriptions_take(subscriptions);
    size_t count = asked.end - asked.from;
    if (lack != RKB_LACKS_COMMAND && count > 1) {
        ask(subscriber, asked.from, asked.from + count / 2);
        ask(subscriber, asked.from + count / 2, asked.end);
    } else {
        for (size_t i = asked.from; i < asked.end && rkb_subscriber_alive(subscriber); i++) {
            struct rkb_wish *wish = &subscriptions->list[i];
            if (rkb_subscriptions_refuse(subscriptions, wish, lack))
                subscriber->events.refused(subscriber->context, wish->is_pattern, rkb_wish_name(wish), lack, words);
        }
    }
    if (rkb_subscriber_alive(subscriber) && subscriber->is_stream)
        rkb_subscriber_check(subscriber);
}

/* While stopping: UNSUBSCRIBE is refused, or something that was asked before it. */
static void answered_while_stopping(struct rkb_subscriber *subscriber)
{
    if (rkb_subscriptions_first(&subscriber->subscriptions) != NULL)
        (void)rkb_subscriptions_take(&subscriber->subscriptions);
    else
        finish(subscriber);
}

/* No command of ours has a plain reply but where it is refused. */
static void on_reply(void *context, enum rkb_reply kind, struct rkb_slice text, long long integer)
{
    (void)integer;
    struct rkb_subscriber *subscriber = context;
    const struct rkb_asked *asked = rkb_subscriptions_first(&subscriber->subscriptions);
    enum rkb_lack lack = rkb_refusal_lack(text);
    if (subscriber->state == STOPPING)
        answered_while_stopping(subscriber);
    else if (kind == RKB_REPLY_ERROR && rkb_subscriber_stays(subscriber, text))
        return;
    else if (kind != RKB_REPLY_ERROR)
        lose(subscriber, RKB_PROTOCOL, "Redis sent a reply that nothing asked for", rkb_slice(NULL, 0));
    else if (asked == NULL || asked->confirmed > 0 || lack == RKB_LACKS_NOTHING)
        fail_refused(subscriber, asked, text);
    else
        refused(subscriber, lack, text);
}

static void tell_beat(struct rkb_subscriber *subscriber, struct rkb_slice words)
{
    if (rkb_subscriber_alive(subscriber) && subscriber->events.pong != NULL)
        subscriber->events.pong(subscriber->context);
    size_t most = sizeof subscriber->heartbeat - 1, size = words.size < most ? words.size : most;
    if (strlen(subscriber->heartbeat) == size && (size == 0 || memcmp(subscriber->heartbeat, words.data, size) == 0))
        return;
    if (size > 0)
        memcpy(subscriber->heartbeat, words.data, size);
    subscriber->heartbeat[size] = '\0';
    if (rkb_subscriber_alive(subscriber) && subscriber->events.heartbeat != NULL)
        subscriber->events.heartbeat(subscriber->context, words);
}

/* The PING that was open is answered: first what it told, then what waited for it. */
static void on_beat(void *context, struct rkb_slice words)
{
    struct rkb_subscriber *subscriber = context;
    tell_beat(subscriber, words);
    rkb_subscriber_change_on(subscriber);
}

static void on_idle(void *context)
{
    hand_over_batch(context);
    rkb_subscriber_change_moves(context);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rkb_subscriber *subscriber = arg;
    rkb_guard_enter(&subscriber->guard);
    if (subscriber->state == STOPPING) {
        finish(subscriber);
    } else if (subscriber->state == WAITING) {
        subscriber->state = OPENING;
        rkb_connection_open(subscriber->connection);
    }
    rkb_guard_leave(&subscriber->guard);
}

/* Asks for some of what is refused, each alone; O(1) for Redis. */
static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct rkb_subscriber *subscriber = arg;
    struct rkb_subscriptions *subscriptions = &subscriber->subscriptions;
    rkb_guard_enter(&subscriber->guard);
    bool busy = rkb_connection_awaits_pong(subscriber->connection) || subscriber->change != NONE;
    if (subscriber->state == SUBSCRIBED && busy) {
        int64_t period_us = subscriber->refused_again_us;
        arm(subscriber->again, PONG_WAIT_US < period_us ? PONG_WAIT_US : period_us);
    } else if (subscriber->state == SUBSCRIBED) {
        size_t count = subscriptions->refused < AGAIN_AT_ONCE ? subscriptions->refused : AGAIN_AT_ONCE, index;
        for (size_t i = 0; i < count && rkb_subscriptions_again(subscriptions, &index); i++)
            ask(subscriber, index, index + 1);
        if (subscriber->is_stream)
            rkb_subscriber_check(subscriber);
    }
    rkb_guard_leave(&subscriber->guard);
}

bool rkb_subscriber_add(struct rkb_subscriber *subscriber, bool is_pattern, struct rkb_slice name,
                        struct rkb_error *error)
{
    return rkb_subscriptions_add(&subscriber->subscriptions, is_pattern, name, error);
}

bool rkb_subscriber_next_refused(const struct rkb_subscriber *subscriber, size_t *at, struct rkb_refused *refused)
{
    const struct rkb_subscriptions *subscriptions = &subscriber->subscriptions;
    for (size_t left = subscriptions->refused; left > 0 && *at < subscriptions->size; ++*at) {
        const struct rkb_wish *wish = &subscriptions->list[*at];
        if (wish->refused) {
            *refused = (struct rkb_refused){wish->is_pattern, rkb_wish_name(wish), wish->lack};
            ++*at;
            return true;
        }
    }
    return false;
}

void rkb_subscriber_start(struct rkb_subscriber *subscriber)
{
    if (subscriber->state != NEW && subscriber->state != STOPPED)
        return;
    subscriber->state = WAITING;
    subscriber->settled = false;
    arm(subscriber->timer, 0);
}

void rkb_subscriber_pause(struct rkb_subscriber *subscriber, bool paused)
{
    subscriber->paused = paused;
    rkb_connection_pause(subscriber->connection, paused);
    rkb_subscriber_change_rests(subscriber);
    rkb_guard_enter(&subscriber->guard);
    rkb_subscriber_change_on(subscriber);
    rkb_guard_leave(&subscriber->guard);
}

bool rkb_subscriber_ping(struct rkb_subscriber *subscriber)
{
    rkb_guard_enter(&subscriber->guard);
    bool sent = subscriber->state == SUBSCRIBED && rkb_connection_ping(subscriber->connection);
    rkb_guard_leave(&subscriber->guard);
    return sent;
}

void rkb_subscriber_renew(struct rkb_subscriber *subscriber, const struct rkb_error *why)
{
    rkb_guard_enter(&subscriber->guard);
    if (subscriber->state == SUBSCRIBING || subscriber->state == SUBSCRIBED)
        rkb_connection_fail(subscriber->connection, why);
    rkb_guard_leave(&subscriber->guard);
}

void rkb_subscriber_stop(struct rkb_subscriber *subscriber, int64_t timeout_us)
{
    const struct rkb_slice commands[] = {rkb_slice_text("UNSUBSCRIBE"), rkb_slice_text("PUNSUBSCRIBE")};
    if (subscriber->state == STOPPING)
        return;
    subscriber->state = STOPPING;
    event_del(subscriber->again);
    if (!subscriber->is_stream) {
        rkb_connection_close(subscriber->connection);
        arm(subscriber->timer, 0);
        return;
    }
    arm(subscriber->timer, timeout_us);
    rkb_connection_rest(subscriber->connection);
    for (int i = 0; i < 2 && subscriber->is_stream; i++)
        rkb_connection_send(subscriber->connection, 1, &commands[i]);
}

static void destroy(void *object)
{
    struct rkb_subscriber *subscriber = object;
    rkb_connection_free(subscriber->connection);
    if (subscriber->timer != NULL)
        event_free(subscriber->timer);
    if (subscriber->again != NULL)
        event_free(subscriber->again);
    if (subscriber->late != NULL)
        event_free(subscriber->late);
    rkb_subscriptions_free(&subscriber->subscriptions);
    rkb_subscriptions_free(&subscriber->other);
    free(subscriber->user);
    free(subscriber->client_name);
    explicit_bzero(&subscriber->url, sizeof subscriber->url);
    free(subscriber);
}

void rkb_subscriber_free(struct rkb_subscriber *subscriber)
{
    if (subscriber == NULL)
        return;
    if (subscriber->guard.inside > 0) {
        rkb_connection_close(subscriber->connection);
        event_del(subscriber->timer);
        event_del(subscriber->again);
        event_del(subscriber->late);
    }
    rkb_guard_doom(&subscriber->guard);
}

static struct rkb_connection *new_connection(struct event_base *base, struct rkb_subscriber *subscriber,
                                             const struct rkb_subscriber_options *options)
{
    static const struct rkb_connection_events events = {
        .ready = on_ready,
        .message = on_message,
        .too_large = on_too_large,
        .confirmation = on_confirmation,
        .reply = on_reply,
        .beat = on_beat,
        .idle = on_idle,
        .lost = on_lost,
    };
    const struct rkb_connection_options of_connection = {
        .url = &subscriber->url,
        .tls = options->tls,
        .user = subscriber->user,
        .password = options->password,
        .password_context = subscriber->context,
        .client_name = subscriber->client_name,
        .learn_id = options->learn_id,
        .deadline_us = options->connect_timeout_us,
        .heartbeat_us = options->heartbeat_us,
        .heartbeat_timeout_us = options->heartbeat_timeout_us,
        .max_message_size = options->max_message_size,
        .sys = options->sys,
    };
    return rkb_connection_new(base, &of_connection, &subscriber->guard, &events, subscriber);
}

struct rkb_subscriber *rkb_subscriber_new(struct event_base *base, const struct rkb_subscriber_options *options,
                                          const struct rkb_subscriber_events *events, void *context)
{
    struct rkb_subscriber *subscriber = calloc(1, sizeof *subscriber);
    if (subscriber == NULL)
        return NULL;
    subscriber->guard = (struct rkb_guard){.destroy = destroy, .object = subscriber};
    subscriber->events = *events;
    subscriber->context = context;
    subscriber->sys = options->sys;
    subscriber->url = options->url;
    subscriber->healthy_us = options->healthy_us;
    subscriber->backoff = rkb_backoff(options->backoff_min_us, options->backoff_max_us);
    subscriber->user = strdup(options->user != NULL ? options->user : "");
    subscriber->client_name = strdup(options->client_name != NULL ? options->client_name : "");
    subscriber->timer = evtimer_new(base, on_timer, subscriber);
    subscriber->again = evtimer_new(base, on_again, subscriber);
    subscriber->late = evtimer_new(base, rkb_subscriber_change_late, subscriber);
    subscriber->patience_us = PATIENCE * options->connect_timeout_us;
    subscriber->refused_again_us = options->refused_again_us;
    subscriber->heartbeat_us = options->heartbeat_us;
    subscriber->connection = new_connection(base, subscriber, options);
    if (subscriber->user == NULL || subscriber->client_name == NULL || subscriber->timer == NULL ||
        subscriber->again == NULL || subscriber->late == NULL || subscriber->connection == NULL) {
        destroy(subscriber);
        return NULL;
    }
    return subscriber;
}

const struct rkb_connection *rkb_subscriber_connection(const struct rkb_subscriber *subscriber)
{
    return subscriber->is_stream ? subscriber->connection : NULL;
}

void rkb_subscriber_figures(const struct rkb_subscriber *subscriber, struct rkb_subscriber_figures *figures)
{
    int64_t caught_up_us = rkb_connection_caught_up_us(subscriber->connection);
    *figures = (struct rkb_subscriber_figures){
        .connected = subscriber->is_stream,
        .subscribed = (uint32_t)subscriber->subscriptions.standing,
        .refused = (uint32_t)subscriber->subscriptions.refused,
        .connections_total = subscriber->connections,
        .bytes_total = rkb_connection_bytes(subscriber->connection),
        .caught_up_us = caught_up_us != 0 ? caught_up_us : subscriber->caught_up_us,
        .id = subscriber->is_stream ? rkb_connection_id(subscriber->connection) : 0,
        .broke_off = subscriber->broke_off,
    };
    memcpy(figures->error, subscriber->error, sizeof figures->error);
}
